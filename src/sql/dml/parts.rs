//! Changes of many rows, a few at a time.
//!
//! ```text
//!   query ─> slots, and in a spool what was computed for each    all rows are locked; nothing is written yet
//!         ─> part: rows are read, changed, verified, written     as many as take little memory
//!         ─> part: ...
//!         ─> end: keys that had to wait, then foreign keys       what holds of all rows together only
//! ```
//!
//! What RETURNING shows goes to a spool too. So a statement over a table larger than memory holds four bytes a row, its
//! locks, a batch of its query and a part of its rows; and until the end keys that must wait, the different keys that it
//! refers to, and those that others refer to and that change.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::catalog::{Oid, Table};
use crate::codec;
use crate::database::RowUpdate;
use crate::error::{Error, Result};
use crate::planner::spool::{self, Spool};
use crate::sql::dml::conflict::vectors_differ;
use crate::sql::dml::references::{Change, KeyColumns};
use crate::sql::dml::returning::Returning;
use crate::sql::dml::rows::read_measured;
use crate::sql::response::{Response, Rows, RowsTag};
use crate::sql::session::{Session, done};
use crate::table::Snapshot;
use crate::types::{Value, text};

/// Bytes of rows in a part: a thousand rows of usual width. Values, keys, log and what the transaction itself sees are several
/// times as much.
const PART_BYTES: usize = 256 << 10;
/// Rows in a part: enough for what each part costs by itself to be little beside them.
const PART_ROWS: usize = 1024;
/// Rows in the first part, of which little is known yet.
const FIRST_ROWS: usize = 64;

/// How many rows a part should have, going by those before it.
pub struct Size {
    rows: usize,
}

impl Size {
    /// Before the first part. Each row takes at least so many bytes, for values that the statement gives to all.
    pub fn beginning(bytes_each: usize) -> Size {
        Size { rows: (PART_BYTES / bytes_each.max(1)).clamp(1, FIRST_ROWS) }
    }

    /// The first rows of what is left, and the others.
    pub fn split<'r, T>(&self, rows: &'r [T]) -> (&'r [T], &'r [T]) {
        rows.split_at(self.rows.min(rows.len()))
    }

    /// The rows of a part took so many bytes.
    pub fn learn(&mut self, rows: usize, bytes: usize) {
        self.rows = (PART_BYTES / (bytes / rows.max(1)).max(1)).clamp(1, PART_ROWS);
    }
}

/// About what values take beside their places.
pub fn bytes_of(values: &[Value]) -> usize {
    let bytes = |value: &Value| match value {
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => text.len(),
        Value::Bytea(bytes) => bytes.len(),
        Value::Vector(vector) => size_of_val(&vector[..]),
        Value::Halfvec(vector) => size_of_val(&vector[..]),
        Value::Bits(bits) => bits.len() as usize / 8,
        Value::Array(items) => size_of_val(&items[..]) + bytes_of(items),
        // Of no fixed size, and seldom large: as long as they are when they are shown.
        Value::Numeric(_)
        | Value::Sparsevec(_)
        | Value::TsVector(_)
        | Value::TsQuery(_)
        | Value::Range(_)
        | Value::Multirange(_)
        | Value::Hstore(_)
        | Value::Record(_) => text::to_string(value).len(),
        Value::Null
        | Value::Bool(_)
        | Value::Int2(_)
        | Value::Int4(_)
        | Value::Int8(_)
        | Value::Float4(_)
        | Value::Float8(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Timetz(_)
        | Value::Timestamp(_)
        | Value::Timestamptz(_)
        | Value::Interval(_)
        | Value::Uuid(_)
        | Value::Money(_)
        | Value::Network(_)
        | Value::Enum(_)
        | Value::Oid(_)
        | Value::Tid(_) => 0,
    };
    values.iter().map(bytes).sum()
}

/// Spooled rows, a part at a time.
pub struct Parts {
    batches: BoxStream<'static, Result<RecordBatch>>,
    /// What is left of a batch, and bytes of each of its rows.
    rest: Option<(RecordBatch, usize)>,
    pub size: Size,
}

impl Parts {
    pub fn of(rows: Spool, size: Size) -> Parts {
        Parts { batches: rows.read(), rest: None, size }
    }

    /// The next rows; at least one.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (batch, each) = match self.rest.take() {
            Some(rest) => rest,
            None => match self.batches.next().await.transpose()? {
                Some(batch) => {
                    let each = spool::bytes_of(&batch) / batch.num_rows().max(1);
                    (batch, each.max(1))
                }
                None => return Ok(None),
            },
        };
        let rows = self.size.rows.min(PART_BYTES / each).max(1);
        if rows >= batch.num_rows() {
            return Ok(Some(batch));
        }
        self.rest = Some((batch.slice(rows, batch.num_rows() - rows), each));
        Ok(Some(batch.slice(0, rows)))
    }
}

/// Rows that a transaction has locked and not written yet, as they are.
pub struct Locked {
    table: Oid,
    /// Whether cells of `vector(n)` columns are read.
    vectors: bool,
    has_read: bool,
    /// From the second part on. It does not have what this statement writes, which none of these rows is; a new one for each
    /// part would look at all that was written so far. For the first it is given up at once, or what is written next would
    /// be written to a copy of what the transaction wrote before.
    snapshot: Option<Snapshot>,
}

impl Locked {
    pub fn of(table: &Table, vectors: bool) -> Locked {
        Locked { table: table.oid, vectors, has_read: false, snapshot: None }
    }

    /// The rows, and how many bytes they take where they are stored.
    pub fn read(&mut self, session: &Session, slots: &[u32]) -> Result<(Vec<Vec<Value>>, usize)> {
        let snapshot = match self.snapshot.take() {
            Some(snapshot) => snapshot,
            None => session.shared.with_transaction(|transaction| transaction.snapshot(self.table))?,
        };
        let (rows, bytes) = read_measured(&snapshot, slots, self.vectors)?;
        self.snapshot = Some(snapshot).filter(|_| self.has_read);
        self.has_read = true;
        let rows =
            rows.into_iter().map(|row| row.ok_or_else(|| Error::internal("a locked row is not visible")));
        Ok((rows.collect::<Result<_>>()?, bytes))
    }
}

/// Rows whose foreign keys are to be asked about: by key, each of them once, and of each the cells of the key alone.
#[derive(Default)]
pub struct Unchecked {
    keys: Vec<UncheckedKey>,
}

struct UncheckedKey {
    constraint: Oid,
    columns: KeyColumns,
    rows: Vec<Vec<Value>>,
    known: HashSet<Vec<u8>>,
}

impl Unchecked {
    /// Nothing yet of a table's keys.
    pub fn of(table: &Table) -> Unchecked {
        let keys = table.foreign_keys().filter_map(|(constraint, key)| {
            let columns = KeyColumns::at(table, key.columns.iter())?;
            let (rows, known) = (Vec::new(), HashSet::new());
            Some(UncheckedKey { constraint: constraint.oid, columns, rows, known })
        });
        Unchecked { keys: keys.collect() }
    }

    /// A new row, or another version of one: then those keys count that are others.
    pub fn add(&mut self, old: Option<&[Value]>, new: &[Value]) {
        for key in &mut self.keys {
            let cells = || key.columns.cells(new);
            if old.is_some_and(|old| key.columns.cells(old).eq(cells())) {
                continue;
            }
            let mut bytes = Vec::new();
            cells().for_each(|cell| codec::key::encode_one(cell, &mut bytes));
            if key.known.insert(bytes) {
                key.rows.push(key.columns.narrowed(new));
            }
        }
    }

    /// The rows by constraint; nothing is left.
    fn take(&mut self) -> Vec<(Oid, Vec<Vec<Value>>)> {
        let taken = self.keys.iter_mut().map(|key| {
            key.known.clear();
            (key.constraint, std::mem::take(&mut key.rows))
        });
        taken.collect()
    }
}

/// What a statement has changed so far, as far as it matters when all is written.
pub struct Changed {
    pub rows: u64,
    returned: Option<Spool>,
    pub unchecked: Unchecked,
    /// The columns that others refer to, and what happened to their cells.
    referenced: Option<KeyColumns>,
    changes: Vec<Change>,
}

impl Changed {
    /// Rows that others may refer to were changed (or deleted, without `new`).
    pub fn follow(&mut self, old: &[Value], new: Option<&[Value]>) {
        if let Some(referenced) = &self.referenced {
            self.changes.extend(referenced.change(old, new));
        }
    }

    pub fn is_referenced(&self) -> bool {
        self.referenced.is_some()
    }

    /// What happened to cells that others refer to.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Keeps rows for the client.
    pub fn give(&mut self, rows: RecordBatch) -> Result<()> {
        self.returned.as_mut().map_or(Ok(()), |returned| returned.push(rows))
    }

    /// The answer to the statement.
    pub fn response(self, returning: Option<&Returning>, tag: String) -> Response {
        match (self.returned, returning) {
            (Some(rows), Some(returning)) => {
                Response::Rows(Rows::new(returning.columns.clone(), rows.read(), RowsTag::Fixed(tag)))
            }
            _ => done(tag),
        }
    }
}

impl Session {
    /// For new rows, to which nothing refers yet.
    pub(super) fn nothing_inserted(&self, table: &Table, returning: Option<&Returning>) -> Changed {
        Changed {
            rows: 0,
            returned: returning.map(|_| self.shared.environment().spool()),
            unchecked: Unchecked::of(table),
            referenced: None,
            changes: Vec::new(),
        }
    }

    /// For rows of a table that are there.
    pub(super) fn nothing_changed(&self, table: &Table, returning: Option<&Returning>) -> Changed {
        Changed { referenced: self.referenced(table), ..self.nothing_inserted(table, returning) }
    }

    /// Asks about the foreign keys of some of the rows that a statement inserts; where the table refers to itself, they are
    /// kept until all are there.
    pub(crate) async fn check_inserted<'r>(
        &mut self,
        table: &Arc<Table>,
        rows: impl Iterator<Item = &'r Vec<Value>>,
        unchecked: &mut Unchecked,
    ) -> Result<()> {
        rows.for_each(|row| unchecked.add(None, row));
        match table.foreign_keys().any(|(_, key)| key.table == table.oid) {
            true => Ok(()),
            false => self.check_kept(table, unchecked).await,
        }
    }

    /// Asks about the foreign keys of rows that were kept.
    pub(crate) async fn check_kept(&mut self, table: &Arc<Table>, unchecked: &mut Unchecked) -> Result<()> {
        for (constraint, rows) in unchecked.take() {
            self.check_references(table, constraint, rows).await?;
        }
        Ok(())
    }

    /// Writes other versions of rows, and keeps what foreign keys are to be asked about them; returns the versions. With
    /// `vectors`, cells of `vector(n)` columns were read and may be others.
    pub(super) async fn write_versions(
        &mut self,
        table: &Table,
        slots: &[u32],
        old: &[Vec<Value>],
        new: Vec<Vec<Value>>,
        vectors: bool,
        changed: &mut Changed,
    ) -> Result<Vec<RowUpdate>> {
        let versions = slots.iter().zip(old).zip(new).map(|((&slot, old), row)| {
            let vectors_changed = vectors && vectors_differ(table, old, &row);
            RowUpdate { slot, row, vectors_changed }
        });
        let versions: Vec<RowUpdate> = versions.collect();
        self.retry(|transaction| transaction.update_part(table.oid, &versions)).await?;
        for (old, new) in old.iter().zip(&versions) {
            changed.unchecked.add(Some(old), &new.row);
            changed.follow(old, Some(&new.row));
        }
        changed.rows += versions.len() as u64;
        Ok(versions)
    }

    /// All rows are written: settles the keys that had to wait, and does what foreign keys say.
    pub(super) async fn all_written(&mut self, table: &Arc<Table>, changed: &mut Changed) -> Result<()> {
        self.all_there(table, changed).await?;
        self.follow_references(table, changed.changes()).await
    }

    /// The first half of it: what the table's own keys say.
    pub(super) async fn all_there(&mut self, table: &Arc<Table>, changed: &mut Changed) -> Result<()> {
        self.retry(|transaction| transaction.end_parts()).await?;
        self.check_kept(table, &mut changed.unchecked).await
    }
}
