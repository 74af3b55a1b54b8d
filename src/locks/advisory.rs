//! Advisory locks: locks on numbers whose meaning is the application's.
//!
//! They are held by sessions, as often as they were taken, until they are given back or the session ends; or, taken
//! for a transaction, until that ends. They stand beside the locks of rows: a wait for one is bounded by lock_timeout
//! and cancel requests, and not looked at for deadlocks.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::Result;
use crate::locks::Mode;

/// What is locked: one number or a pair, which never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AdvisoryKey {
    One(i64),
    Two(i32, i32),
}

/// How long a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Session,
    Transaction,
}

/// Who holds locks: any number that is the session's alone.
pub type Owner = u64;

/// All advisory locks of a server.
#[derive(Default)]
pub struct AdvisoryLocks {
    held: Mutex<HashMap<AdvisoryKey, Vec<Held>>>,
    /// Who waits, for others to see. Locked after `held`.
    waiting: Mutex<Vec<Waiting>>,
    released: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    owner: Owner,
    mode: Mode,
    span: Span,
    times: u64,
}

impl Held {
    /// Whether it stands in the way of an owner who wants its key.
    fn excludes(&self, owner: Owner, mode: Mode) -> bool {
        self.owner != owner && (mode == Mode::Exclusive || self.mode == Mode::Exclusive)
    }
}

type Waiting = (Owner, AdvisoryKey, Mode);

/// An advisory lock as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenAdvisory {
    pub owner: Owner,
    pub key: AdvisoryKey,
    pub mode: Mode,
    pub granted: bool,
}

/// A waiter looks this often whether it has been cancelled.
pub(super) const LOOK: Duration = Duration::from_millis(20);

impl AdvisoryLocks {
    /// Takes the lock if nobody else stands in the way; whether it did.
    pub fn try_lock(&self, owner: Owner, key: AdvisoryKey, mode: Mode, span: Span) -> bool {
        take(&mut self.held.lock(), owner, key, mode, span)
    }

    /// Waits for the lock; `go_on` is asked now and then whether to.
    pub fn lock(
        &self,
        owner: Owner,
        key: AdvisoryKey,
        mode: Mode,
        span: Span,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let mut held = self.held.lock();
        if take(&mut held, owner, key, mode, span) {
            return Ok(());
        }
        let wanted = (owner, key, mode);
        self.waiting.lock().push(wanted);
        let done = loop {
            let stop = go_on();
            if stop.is_err() {
                break stop;
            }
            self.released.wait_for(&mut held, LOOK);
            if take(&mut held, owner, key, mode, span) {
                break Ok(());
            }
        };
        let mut waiting = self.waiting.lock();
        if let Some(place) = waiting.iter().position(|known| *known == wanted) {
            waiting.swap_remove(place);
        }
        done
    }

    /// All locks, and those that are waited for.
    pub fn seen(&self) -> Vec<SeenAdvisory> {
        let (held, waiting) = (self.held.lock(), self.waiting.lock());
        let mut seen = Vec::new();
        for (&key, holders) in &*held {
            for (place, h) in holders.iter().enumerate() {
                // One of a session and one of its transaction are the same to look at.
                let is_first = !holders[..place].iter().any(|o| o.owner == h.owner && o.mode == h.mode);
                seen.extend(is_first.then_some(SeenAdvisory {
                    owner: h.owner,
                    key,
                    mode: h.mode,
                    granted: true,
                }));
            }
        }
        let waiting = waiting.iter();
        seen.extend(waiting.map(|&(owner, key, mode)| SeenAdvisory { owner, key, mode, granted: false }));
        seen
    }

    /// Who stands in the way of an owner that waits.
    pub fn blockers(&self, owner: Owner) -> Vec<Owner> {
        let (held, waiting) = (self.held.lock(), self.waiting.lock());
        let wanted = waiting.iter().filter(|(waiter, ..)| *waiter == owner);
        let stand = wanted.flat_map(|(_, key, mode)| {
            held.get(key).into_iter().flatten().filter(|holder| holder.excludes(owner, *mode))
        });
        let mut blockers: Vec<Owner> = stand.map(|holder| holder.owner).collect();
        blockers.sort_unstable();
        blockers.dedup();
        blockers
    }

    /// Gives a session's lock back once; whether it was held.
    pub fn unlock(&self, owner: Owner, key: AdvisoryKey, mode: Mode) -> bool {
        let mut held = self.held.lock();
        let Some(holders) = held.get_mut(&key) else { return false };
        let mine = |h: &Held| h.owner == owner && h.mode == mode && h.span == Span::Session;
        let Some(place) = holders.iter().position(mine) else { return false };
        holders[place].times -= 1;
        if holders[place].times == 0 {
            holders.swap_remove(place);
        }
        if holders.is_empty() {
            held.remove(&key);
        }
        self.released.notify_all();
        true
    }

    /// Gives back all of a session's locks of this span.
    pub fn release(&self, owner: Owner, span: Span) {
        let mut held = self.held.lock();
        if held.is_empty() {
            return;
        }
        held.retain(|_, holders| {
            holders.retain(|h| h.owner != owner || h.span != span);
            !holders.is_empty()
        });
        self.released.notify_all();
    }

    /// How many keys are locked.
    pub fn len(&self) -> usize {
        self.held.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn take(
    held: &mut HashMap<AdvisoryKey, Vec<Held>>,
    owner: Owner,
    key: AdvisoryKey,
    mode: Mode,
    span: Span,
) -> bool {
    let holders = held.entry(key).or_default();
    if holders.iter().any(|holder| holder.excludes(owner, mode)) {
        return false;
    }
    let same = |h: &&mut Held| h.owner == owner && h.mode == mode && h.span == span;
    match holders.iter_mut().find(same) {
        Some(known) => known.times += 1,
        None => holders.push(Held { owner, mode, span, times: 1 }),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: AdvisoryKey = AdvisoryKey::One(7);

    #[test]
    fn sessions_count_their_locks() {
        let locks = AdvisoryLocks::default();
        assert!(locks.try_lock(1, KEY, Mode::Exclusive, Span::Session));
        assert!(locks.try_lock(1, KEY, Mode::Exclusive, Span::Session));
        assert!(!locks.try_lock(2, KEY, Mode::Shared, Span::Session));
        assert!(locks.try_lock(2, AdvisoryKey::Two(0, 7), Mode::Exclusive, Span::Session));
        assert!(locks.unlock(1, KEY, Mode::Exclusive));
        assert!(!locks.try_lock(2, KEY, Mode::Shared, Span::Session));
        assert!(locks.unlock(1, KEY, Mode::Exclusive));
        assert!(!locks.unlock(1, KEY, Mode::Exclusive));
        assert!(locks.try_lock(2, KEY, Mode::Shared, Span::Session));
        assert!(locks.try_lock(3, KEY, Mode::Shared, Span::Transaction));
        assert!(
            !locks.unlock(3, KEY, Mode::Shared),
            "a transaction's lock is not the session's to give back"
        );
        locks.release(3, Span::Transaction);
        locks.release(2, Span::Session);
        assert!(locks.is_empty());
    }

    #[test]
    fn who_waits_is_seen() {
        let locks = AdvisoryLocks::default();
        assert!(locks.try_lock(1, KEY, Mode::Shared, Span::Session));
        assert!(locks.try_lock(1, KEY, Mode::Shared, Span::Transaction));
        assert_eq!(locks.seen(), [SeenAdvisory { owner: 1, key: KEY, mode: Mode::Shared, granted: true }]);
        let looks = std::cell::Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            if looks.get() < 2 { Ok(()) } else { Err(crate::error::Error::internal("enough")) }
        };
        assert!(locks.lock(2, KEY, Mode::Exclusive, Span::Session, &look).is_err());
        assert_eq!(locks.waiting.lock().len(), 0);
        assert_eq!(locks.seen().len(), 1);
    }

    #[test]
    fn a_waiter_gets_the_lock_or_gives_up() {
        let locks = std::sync::Arc::new(AdvisoryLocks::default());
        assert!(locks.try_lock(1, KEY, Mode::Exclusive, Span::Session));
        let stop = || Err(crate::error::Error::internal("enough"));
        assert!(locks.lock(2, KEY, Mode::Exclusive, Span::Session, &stop).is_err());
        let waiting = locks.clone();
        let thread =
            std::thread::spawn(move || waiting.lock(2, KEY, Mode::Exclusive, Span::Session, &|| Ok(())));
        locks.release(1, Span::Session);
        thread.join().unwrap().unwrap();
        assert!(!locks.try_lock(1, KEY, Mode::Exclusive, Span::Session));
    }
}
