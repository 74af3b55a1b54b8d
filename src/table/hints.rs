//! What the nodes above a scan want of it beyond its filter, so that it need not read the rows they would throw away.
//!
//! - [`Keys`]: a join wants the rows that have one of the keys of its other side, which it has read by then.
//! - [`First`]: a sort with a limit wants the first rows in an order, `min` and `max` the very first.
//!
//! Both only leave out rows that cannot be in the answer: the nodes above do their work as if there were no hints. A scan
//! that cannot tell, because a column has no index or the other side has too many keys, reads all rows.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::catalog::{self, Catalog};
use crate::error::{Error, Result};
use crate::index::bitmap::{Nulls, Order, Predicate};
use crate::table::Snapshot;
use crate::table::places::slots_of;
use crate::table::predicate::{Clause, Constant, count_of};
use crate::table::provider::CTID_COLUMN;
use crate::types::Value;
use crate::types::arrow::{from_scalar, type_of_data_type};

/// Keys up to which they are gathered. Rows are read one by one then, so that with many more reading all is as fast.
const KEYS_MAX: usize = 10_000;
/// Keys up to which each is looked up in a unique index, before a metadata index goes through all rows once for them.
const LOOKUPS_MAX: usize = 1_000;

/// All hints of a scan.
#[derive(Clone, Default)]
pub struct Hints {
    pub keys: Vec<Keys>,
    pub first: Vec<First>,
}

/// Only rows whose cell of a column is one of the keys are wanted.
#[derive(Clone)]
pub struct Keys {
    /// Position in the table; `None` for `ctid`.
    pub column: Option<usize>,
    pub gathered: Arc<Gathered>,
}

/// The distinct keys of a join's side, once all are known.
#[derive(Debug, Default)]
pub struct Gathered(Mutex<Gathering>);

#[derive(Debug, Default)]
enum Gathering {
    Going(HashSet<ScalarValue>),
    Done(HashSet<ScalarValue>),
    /// There are too many, or the side was not read to its end.
    #[default]
    Unknown,
}

impl Gathered {
    /// From now on keys are gathered.
    pub fn begin(&self) {
        *self.0.lock() = Gathering::Going(HashSet::new());
    }

    pub fn is_done(&self) -> bool {
        matches!(*self.0.lock(), Gathering::Done(_))
    }

    /// Takes in the keys of a batch.
    pub fn add(&self, keys: impl Iterator<Item = datafusion::common::Result<ScalarValue>>) {
        let mut gathering = self.0.lock();
        let Gathering::Going(known) = &mut *gathering else { return };
        for key in keys {
            match key {
                Ok(key) if key.is_null() => {}
                Ok(key) if known.len() < KEYS_MAX || known.contains(&key) => {
                    known.insert(key);
                }
                _ => {
                    *gathering = Gathering::Unknown;
                    return;
                }
            }
        }
    }

    /// The side has been read to its end.
    pub fn finish(&self) {
        let mut gathering = self.0.lock();
        if let Gathering::Going(known) = &mut *gathering {
            *gathering = Gathering::Done(std::mem::take(known));
        }
    }
}

impl Keys {
    /// The column as plans call it.
    pub fn title<'a>(&self, table: &'a catalog::Table) -> &'a str {
        self.column.map_or(CTID_COLUMN, |column| table.title(column))
    }

    /// The slots of the rows that are wanted, and others perhaps; `None` when that is not known.
    fn slots(&self, catalog: &Catalog, snapshot: &Snapshot) -> Result<Option<RoaringBitmap>> {
        let gathering = self.gathered.0.lock();
        let Gathering::Done(keys) = &*gathering else { return Ok(None) };
        let values: Vec<Value> = keys
            .iter()
            .map(|key| from_scalar(key, &type_of_data_type(&key.data_type())))
            .collect::<Result<_>>()?;
        let Some(column) = self.column else { return Ok(Some(slots_of(&values))) };
        let table = snapshot.definition();
        let column = table.stored_column(column).ok_or_else(|| Error::internal("a key of no column"))?;
        let unique = catalog.indexes_of(table.oid).find(|index| {
            let is_own = || index.columns == [column.number] && index.predicate.is_none();
            index.unique && is_own() && snapshot.has_keys(index)
        });
        if let Some(index) = unique.filter(|_| values.len() <= LOOKUPS_MAX) {
            let mut slots = RoaringBitmap::new();
            for value in &values {
                slots.extend(snapshot.lookup_key(index.oid, std::slice::from_ref(value))?);
            }
            return Ok(Some(slots));
        }
        let Some(mut slots) = snapshot.select(column.number, &Predicate::In(values)) else { return Ok(None) };
        slots |= &*snapshot.visible_dirty()?;
        Ok(Some(slots))
    }
}

/// Only the first rows by a column are wanted, with all that are equal to the last of them.
#[derive(Clone)]
pub struct First {
    /// Position in the table.
    pub column: usize,
    pub descending: bool,
    pub nulls: Nulls,
    pub rows: Rows,
}

/// How many.
#[derive(Clone)]
pub enum Rows {
    This(usize),
    /// As LIMIT and OFFSET say, which may be parameters.
    Limit {
        skip: Option<Constant>,
        fetch: Option<Constant>,
    },
}

impl Rows {
    /// `None` when all are wanted.
    pub fn count(&self) -> Result<Option<usize>> {
        let (skip, fetch) = match self {
            Rows::This(rows) => return Ok(Some(*rows)),
            Rows::Limit { skip, fetch } => (skip, fetch),
        };
        let skip = count_of(skip.as_ref(), Clause::Offset)?.unwrap_or(0);
        Ok(count_of(fetch.as_ref(), Clause::Limit)?.and_then(|fetch| fetch.checked_add(skip)))
    }
}

impl First {
    /// The first `rows` of these slots, of all where there are none; `None` when no index can tell.
    pub fn of(
        &self,
        snapshot: &Snapshot,
        among: Option<&RoaringBitmap>,
        rows: usize,
    ) -> Result<Option<RoaringBitmap>> {
        let Some(column) = snapshot.definition().stored_column(self.column) else { return Ok(None) };
        let order = Order { descending: self.descending, nulls: self.nulls };
        Ok(snapshot.first(column.number, among, order, rows))
    }
}

impl Hints {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.first.is_empty()
    }

    /// The slots of the rows that have keys which are wanted.
    pub fn by_keys(&self, catalog: &Catalog, snapshot: &Snapshot) -> Result<Option<RoaringBitmap>> {
        let mut all: Option<RoaringBitmap> = None;
        for keys in &self.keys {
            let found = keys.slots(catalog, snapshot)?;
            all = match (all, found) {
                (Some(all), Some(found)) => Some(all & found),
                (all, found) => all.or(found),
            };
        }
        Ok(all)
    }

    /// Of these slots, which pass the filter and are not dirty, those of the rows that come first; of all where there are
    /// none.
    pub fn by_order(
        &self,
        snapshot: &Snapshot,
        among: Option<&RoaringBitmap>,
    ) -> Result<Option<RoaringBitmap>> {
        let mut any = RoaringBitmap::new();
        for first in &self.first {
            let Some(rows) = first.rows.count()? else { return Ok(None) };
            let Some(found) = first.of(snapshot, among, rows)? else { return Ok(None) };
            any |= found;
        }
        Ok((!self.first.is_empty()).then_some(any))
    }
}
