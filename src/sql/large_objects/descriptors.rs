//! Which large objects a transaction has open.
//!
//! A descriptor is the lowest number that is free. ROLLBACK TO closes those that were opened since; what was closed
//! since stays closed, and positions stay where they are, as in PostgreSQL.

use std::sync::Arc;

use crate::catalog::Oid;
use crate::database::LargeObjects;
use crate::error::{Error, Result, SqlState};

/// The open descriptors.
#[derive(Default)]
pub struct Descriptors {
    open: Vec<Option<Open>>,
    /// How many were opened in this transaction.
    opened: u64,
}

/// How many had been opened at some time.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One of them.
#[derive(Clone)]
pub struct Descriptor {
    pub object: Oid,
    /// Where it reads and writes next.
    pub position: i64,
    /// What it sees: the objects as they were when it was opened for reading. One for writing sees them as they are.
    pub seen: Option<Arc<LargeObjects>>,
}

impl Descriptors {
    /// The number of a new one.
    pub fn add(&mut self, object: Oid, seen: Option<LargeObjects>) -> Result<i32> {
        let place = self.open.iter().position(|slot| slot.is_none()).unwrap_or(self.open.len());
        let number = i32::try_from(place).map_err(|_| Error::internal("more descriptors than numbers"))?;
        if place == self.open.len() {
            self.open.push(None);
        }
        self.open[place] = Some(Open {
            descriptor: Descriptor { object, position: 0, seen: seen.map(Arc::new) },
            at: self.opened,
        });
        self.opened += 1;
        Ok(number)
    }

    /// 42704 where it is not open.
    pub fn get(&self, number: i32) -> Result<Descriptor> {
        self.open
            .get(place(number))
            .cloned()
            .flatten()
            .map(|open| open.descriptor)
            .ok_or_else(|| invalid(number))
    }

    /// Goes on from another position.
    pub fn move_to(&mut self, number: i32, position: i64) {
        if let Some(Some(open)) = self.open.get_mut(place(number)) {
            open.descriptor.position = position;
        }
    }

    /// 42704 where it is not open.
    pub fn close(&mut self, number: i32) -> Result<()> {
        let open = self.open.get_mut(place(number)).and_then(Option::take);
        open.map(drop).ok_or_else(|| invalid(number))
    }

    /// Those of an object that is gone.
    pub fn close_all_of(&mut self, object: Oid) {
        self.retain(|open| open.descriptor.object != object);
    }

    /// The transaction has ended.
    pub fn clear(&mut self) {
        *self = Descriptors::default();
    }

    pub fn mark(&self) -> Mark {
        Mark(self.opened)
    }

    /// Closes what was opened since.
    pub fn back_to(&mut self, mark: Mark) {
        self.retain(|open| open.at < mark.0);
    }

    fn retain(&mut self, keep: impl Fn(&Open) -> bool) {
        for slot in &mut self.open {
            slot.take_if(|open| !keep(open));
        }
    }
}

/// A descriptor, and how many had been opened before it.
#[derive(Clone)]
struct Open {
    descriptor: Descriptor,
    at: u64,
}

fn place(number: i32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn invalid(number: i32) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("invalid large-object descriptor: {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again() {
        let mut all = Descriptors::default();
        assert_eq!((all.add(7, None).unwrap(), all.add(8, None).unwrap()), (0, 1));
        all.close(0).unwrap();
        assert_eq!(all.close(0).unwrap_err().message(), "invalid large-object descriptor: 0");
        assert_eq!(all.add(9, None).unwrap(), 0);
        all.close_all_of(8);
        assert!(all.get(1).is_err() && all.get(0).is_ok() && all.get(-1).is_err());
    }

    #[test]
    fn going_back_closes_what_was_opened_since() {
        let mut all = Descriptors::default();
        all.add(7, None).unwrap();
        let mark = all.mark();
        all.add(7, None).unwrap();
        all.move_to(0, 5);
        all.back_to(mark);
        assert_eq!(all.get(0).unwrap().position, 5);
        assert!(all.get(1).is_err());
        // One that takes the place of an older one is a new one.
        all.close(0).unwrap();
        all.add(7, None).unwrap();
        all.back_to(mark);
        assert!(all.get(0).is_err());
    }
}
