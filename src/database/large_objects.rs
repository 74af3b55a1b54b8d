//! Large objects: long values that are read and written in pieces, each under a number of its own.
//!
//! ```text
//!   object 77:  ..|page 0|page 1|      |page 3|      size: the end of the last page
//!                                 hole, reads as zeros
//! ```
//!
//! The pages are rows like others ([`crate::catalog::large_objects`]), so that what is written to them is seen, committed,
//! undone, logged and vacuumed as rows are. Who changes an object holds its lock until the transaction ends, and changes
//! the newest state of it, whatever the isolation level: PostgreSQL's way, where a second writer of a page fails once the
//! first has committed, while here it goes on.
//!
//! Nothing is kept of an object in memory but the pages that one call is about.

use std::sync::Arc;

use crate::catalog::large_objects::{
    BYTES_MAX, DESCRIPTIONS, DESCRIPTIONS_INDEX, NAMES_LOCK, OBJECTS, OBJECTS_INDEX, OWNER, PAGE_BYTES,
    PAGES, PAGES_INDEX, READ_MAX, definitions, too_large,
};
use crate::catalog::{FIRST_USER_OID, Oid};
use crate::database::Database;
use crate::database::ddl::NAMES;
use crate::database::snapshots::Held;
use crate::database::transaction::{Isolation, OnConflict, RowUpdate, Stop, Transaction};
use crate::error::{Error, Result, SqlState};
use crate::locks::Resource;
use crate::table::Snapshot;
use crate::table::keys::UniqueKey;
use crate::types::Value;

/// Pages that are changed at a time.
const BATCH: usize = 64;
/// Pages of an object: more cannot be numbered.
const PAGES_MAX: i64 = BYTES_MAX / PAGE_BYTES as i64;

/// The large objects as a statement sees them, or as they are.
pub struct LargeObjects(Option<Tables>);

/// `None` above: the database has had no large object yet.
struct Tables {
    objects: Snapshot,
    pages: Snapshot,
    descriptions: Snapshot,
}

/// A page that is there.
struct Page {
    number: i64,
    slot: u32,
    data: Vec<u8>,
}

impl LargeObjects {
    pub fn exists(&self, object: Oid) -> Result<bool> {
        let Some(Tables { objects, .. }) = &self.0 else { return Ok(false) };
        Ok(objects.lookup_key(OBJECTS_INDEX, &[Value::Oid(object)])?.is_some())
    }

    /// 42704 where there is no such object.
    pub fn check(&self, object: Oid) -> Result<()> {
        if self.exists(object)? { Ok(()) } else { Err(missing(object)) }
    }

    /// How many bytes the object has; 0 where there is none.
    pub fn size(&self, object: Oid) -> Result<i64> {
        let Some(Tables { pages, .. }) = &self.0 else { return Ok(0) };
        let Some(mut last) = page_from(pages, object, 0)? else { return Ok(0) };
        // The last page is between what was found and where nothing was. A page behind the last number marks the end of an
        // object that was truncated to the most it can be.
        let mut end = PAGES_MAX + 1;
        let mut step = 1;
        while last.number + 1 < end {
            let at = (last.number + step).min(last.number + (end - last.number) / 2).max(last.number + 1);
            match page_from(pages, object, at)? {
                Some(page) => (last, step) = (page, step * 2),
                None => (end, step) = (at, end),
            }
        }
        Ok(last.number * PAGE_BYTES as i64 + last.data.len() as i64)
    }

    /// Up to `length` bytes from `offset` on, fewer at the end of the object. 54000 when they are too many.
    pub fn read(&self, object: Oid, offset: i64, length: i64) -> Result<Vec<u8>> {
        let Some(Tables { pages, .. }) = &self.0 else { return Ok(Vec::new()) };
        let mut read: Vec<u8> = Vec::new();
        let mut end = offset.saturating_add(length).min(BYTES_MAX);
        let mut is_sized = false;
        loop {
            let at = offset + read.len() as i64;
            let (number, within) = place(at);
            let wanted = (end - at).min((PAGE_BYTES - within) as i64);
            if wanted <= 0 {
                return Ok(read);
            }
            if read.len() + wanted as usize > READ_MAX {
                return Err(too_large());
            }
            let data = page_at(pages, object, number)?.map(|page| page.data).unwrap_or_default();
            let there = data.get(within..).unwrap_or_default();
            let there = &there[..there.len().min(wanted as usize)];
            read.extend_from_slice(there);
            if (there.len() as i64) < wanted {
                // A hole, or the end of the object.
                if !is_sized {
                    end = end.min(self.size(object)?);
                    is_sized = true;
                }
                let next = page_from(pages, object, number + 1)?;
                let until = next.map_or(end, |page| page.number * PAGE_BYTES as i64).min(end);
                if until - offset > READ_MAX as i64 {
                    return Err(too_large());
                }
                read.resize(read.len().max((until - offset).max(0) as usize), 0);
            }
        }
    }

    /// [`LargeObjects::read`] of all from `offset` on, or of so many bytes; refused before anything is read.
    pub fn read_value(&self, object: Oid, offset: i64, length: Option<i64>) -> Result<Vec<u8>> {
        let behind = (self.size(object)? - offset).max(0);
        let length = length.unwrap_or(behind).min(behind);
        if length > READ_MAX as i64 { Err(too_large()) } else { self.read(object, offset, length) }
    }

    /// What COMMENT ON LARGE OBJECT said of an object.
    pub fn description(&self, object: Oid) -> Result<Option<String>> {
        let Some(Tables { descriptions, .. }) = &self.0 else { return Ok(None) };
        let slot = descriptions.lookup_key(DESCRIPTIONS_INDEX, &[Value::Oid(object)])?;
        match slot.map(|slot| values(descriptions, slot)).transpose()?.as_deref() {
            Some([_, Value::Text(text)]) => Ok(Some(text.clone())),
            Some(_) => Err(Error::internal("a description of another shape")),
            None => Ok(None),
        }
    }

    /// What it said of all of them.
    pub fn descriptions(&self) -> Result<Vec<(Oid, String)>> {
        let Some(Tables { descriptions, .. }) = &self.0 else { return Ok(Vec::new()) };
        let described = descriptions.scan().map(|entry| {
            match descriptions.layout().read(&entry?.1)?.values()?.as_slice() {
                [Value::Oid(object), Value::Text(text)] => Ok((*object, text.clone())),
                _ => Err(Error::internal("a description of another shape")),
            }
        });
        described.collect()
    }
}

impl Transaction {
    /// The large objects as this statement sees them, own writes up to now included.
    pub fn large_objects(&mut self) -> Result<LargeObjects> {
        self.seen_large_objects(|transaction| transaction.held())
    }

    /// The large objects as of the newest commit, own writes included.
    pub fn newest_large_objects(&mut self) -> Result<LargeObjects> {
        self.seen_large_objects(|transaction| transaction.newest_held())
    }

    fn seen_large_objects(&mut self, held: impl FnOnce(&Transaction) -> Arc<Held>) -> Result<LargeObjects> {
        if !self.has_large_objects() {
            return Ok(LargeObjects(None));
        }
        let held = held(self);
        Ok(LargeObjects(Some(Tables {
            objects: self.snapshot_at(OBJECTS, held.clone())?,
            pages: self.snapshot_at(PAGES, held.clone())?,
            descriptions: self.snapshot_at(DESCRIPTIONS, held)?,
        })))
    }

    /// 42704 where there is no such object as of the newest commit.
    pub fn check_large_object(&mut self, object: Oid) -> Result<()> {
        let key = [Value::Oid(object)];
        let is_there = self.has_large_objects()
            && self.newest_snapshot(OBJECTS)?.lookup_key(OBJECTS_INDEX, &key)?.is_some();
        if is_there { Ok(()) } else { Err(missing(object)) }
    }

    /// Whether the tables are there, maybe since a moment ago.
    pub fn has_large_objects(&mut self) -> bool {
        if self.catalog_ref().table_by_oid(OBJECTS).is_none() {
            self.start_ddl();
        }
        self.catalog_ref().table_by_oid(OBJECTS).is_some()
    }

    /// A new object, under a number that is free when none is given. 23505 when the one given is not. The tables have been
    /// made ([`Database::prepare_large_objects`]).
    pub fn create_large_object(&mut self, wanted: Option<Oid>) -> Result<Oid, Stop> {
        if !self.has_large_objects() {
            return Err(Error::internal("a large object without the tables of large objects").into());
        }
        let row = |object| [vec![Value::Oid(object), Value::Oid(OWNER), Value::Null]];
        if let Some(object) = wanted {
            self.insert(OBJECTS, &row(object), OnConflict::Error)?;
            return Ok(object);
        }
        loop {
            let object = self.new_oid();
            if object < FIRST_USER_OID {
                continue;
            }
            let outcome = self.insert(OBJECTS, &row(object), OnConflict::Nothing(None))?;
            if outcome.slots.iter().any(Option::is_some) {
                return Ok(object);
            }
        }
    }

    /// Takes the object away with all that belongs to it. 42704 where there is none.
    pub fn drop_large_object(&mut self, object: Oid) -> Result<(), Stop> {
        let slot = self.lock_large_object(object)?;
        self.drop_pages(object, 0)?;
        self.describe_locked(object, None)?;
        self.delete(OBJECTS, &[slot])
    }

    /// Writes bytes from `offset` on; what is between the end and there becomes zeros. 42704 where there is no such object.
    pub fn write_large_object(&mut self, object: Oid, offset: i64, bytes: &[u8]) -> Result<(), Stop> {
        self.lock_large_object(object)?;
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let mut pages = Vec::new();
            while !rest.is_empty() && pages.len() < BATCH {
                let (number, within) = place(at);
                let (piece, behind) = rest.split_at(rest.len().min(PAGE_BYTES - within));
                let (slot, mut data) = self.newest_page(object, number)?;
                data.resize(data.len().max(within + piece.len()), 0);
                data[within..within + piece.len()].copy_from_slice(piece);
                pages.push((slot, row_of_page(object, number, data)));
                (rest, at) = (behind, at + piece.len() as i64);
            }
            self.put(PAGES, pages)?;
        }
        Ok(())
    }

    /// Makes the object end at `length`, filled with zeros if it was shorter. 42704 where there is none.
    pub fn truncate_large_object(&mut self, object: Oid, length: i64) -> Result<(), Stop> {
        self.lock_large_object(object)?;
        let (number, within) = place(length);
        self.drop_pages(object, number + 1)?;
        // A page marks the end, also where it is empty or in a hole.
        let (slot, mut data) = self.newest_page(object, number)?;
        data.resize(within, 0);
        self.put(PAGES, vec![(slot, row_of_page(object, number, data))])
    }

    /// COMMENT ON LARGE OBJECT; no text takes the comment away. 42704 where there is no such object.
    pub fn describe_large_object(&mut self, object: Oid, text: Option<&str>) -> Result<(), Stop> {
        self.lock_large_object(object)?;
        self.describe_locked(object, text)
    }

    fn describe_locked(&mut self, object: Oid, text: Option<&str>) -> Result<(), Stop> {
        let slot = self.writer(DESCRIPTIONS)?.owner(&key(DESCRIPTIONS_INDEX, &[Value::Oid(object)])?)?;
        let row = text.map(|text| vec![Value::Oid(object), Value::from(text)]);
        match (slot, row) {
            (None, None) => Ok(()),
            (Some(slot), None) => self.delete(DESCRIPTIONS, &[slot]),
            (slot, Some(row)) => self.put(DESCRIPTIONS, vec![(slot, row)]),
        }
    }

    /// Keeps everybody else from changing the object until this transaction ends; the slot of its row.
    fn lock_large_object(&mut self, object: Oid) -> Result<u32, Stop> {
        if !self.has_large_objects() {
            return Err(missing(object).into());
        }
        let key = key(OBJECTS_INDEX, &[Value::Oid(object)])?;
        self.writer(OBJECTS)?;
        // Who makes the object or takes it away locks its key too.
        self.lock([Resource::key(OBJECTS_INDEX, &key)])?;
        Ok(self.writer(OBJECTS)?.owner(&key)?.ok_or_else(|| missing(object))?)
    }

    /// Where a page of an object whose lock is held is, and its bytes; nothing of one that is missing.
    fn newest_page(&mut self, object: Oid, number: i64) -> Result<(Option<u32>, Vec<u8>), Stop> {
        let key = key(PAGES_INDEX, &key_of_page(object, number))?;
        let writer = self.writer(PAGES)?;
        let Some(slot) = writer.owner(&key)? else { return Ok((None, Vec::new())) };
        let values = writer.current_values(slot)?;
        let values = values.ok_or_else(|| Error::internal(format!("slot {slot} has a key and no row")))?;
        Ok((Some(slot), page_of_row(slot, values)?.data))
    }

    /// Rows are changed where they are, or are new ones.
    fn put(&mut self, table: Oid, rows: Vec<(Option<u32>, Vec<Value>)>) -> Result<(), Stop> {
        let (mut changed, mut new) = (Vec::new(), Vec::new());
        for (slot, row) in rows {
            match slot {
                Some(slot) => changed.push(RowUpdate { slot, row, vectors_changed: false }),
                None => new.push(row),
            }
        }
        if !changed.is_empty() {
            self.update(table, &changed)?;
        }
        if !new.is_empty() {
            self.insert(table, &new, OnConflict::Error)?;
        }
        Ok(())
    }

    /// Takes away the pages from a number on.
    fn drop_pages(&mut self, object: Oid, first: i64) -> Result<(), Stop> {
        let mut next = first;
        loop {
            let slots = {
                // No longer than it takes: while it is held, what is written is copied.
                let pages = self.newest_snapshot(PAGES)?;
                let mut slots = Vec::new();
                while slots.len() < BATCH
                    && let Some(page) = page_from(&pages, object, next)?
                {
                    slots.push(page.slot);
                    next = page.number + 1;
                }
                slots
            };
            if slots.is_empty() {
                return Ok(());
            }
            self.delete(PAGES, &slots)?;
        }
    }

    /// Makes the tables, unless they are there.
    fn create_large_object_tables(&mut self) -> Result<(), Stop> {
        self.work();
        self.lock([Resource::key(NAMES, NAMES_LOCK)])?;
        if self.has_large_objects() {
            return Ok(());
        }
        let core = self.core.clone();
        Ok(self.edit(&definitions(|| core.new_storage().0))?)
    }
}

impl Database {
    /// Makes the tables of large objects, unless they are there, in a transaction of its own: who makes the first object
    /// keeps nobody else from making one, and finds the tables again after a rollback.
    pub fn prepare_large_objects(&self) -> Result<()> {
        loop {
            let mut transaction = self.begin(Isolation::ReadCommitted);
            transaction.start_statement();
            match transaction.create_large_object_tables() {
                Ok(()) => return transaction.commit().map(drop),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Wait(waiter)) => {
                    drop(transaction);
                    waiter.wait();
                }
            }
        }
    }
}

/// The number of the page with an offset, and where it is there.
fn place(offset: i64) -> (i64, usize) {
    let page = PAGE_BYTES as i64;
    (offset.div_euclid(page), offset.rem_euclid(page) as usize)
}

fn key_of_page(object: Oid, number: i64) -> [Value; 2] {
    // No offset is past BYTES_MAX, so that no number is past i32::MAX.
    [Value::Oid(object), Value::Int4(i32::try_from(number).unwrap_or(i32::MAX))]
}

fn key(index: Oid, values: &[Value]) -> Result<Vec<u8>> {
    let key = UniqueKey::of_values(index, values.len()).key(|column| &values[column]);
    key.ok_or_else(|| Error::internal("a key of a large object with a NULL"))
}

fn row_of_page(object: Oid, number: i64, data: Vec<u8>) -> Vec<Value> {
    let [object, number] = key_of_page(object, number);
    vec![object, number, Value::Bytea(data)]
}

/// A page by its number.
fn page_at(pages: &Snapshot, object: Oid, number: i64) -> Result<Option<Page>> {
    let slot = pages.lookup_key(PAGES_INDEX, &key_of_page(object, number))?;
    slot.map(|slot| page_of_row(slot, values(pages, slot)?)).transpose()
}

/// The first page from a number on.
fn page_from(pages: &Snapshot, object: Oid, number: i64) -> Result<Option<Page>> {
    let from = key(PAGES_INDEX, &key_of_page(object, number))?;
    let to = key(PAGES_INDEX, &key_of_page(object, PAGES_MAX))?;
    let to = [to, vec![0]].concat();
    let slot = pages.next_key(&from, &to)?;
    slot.map(|slot| page_of_row(slot, values(pages, slot)?)).transpose()
}

fn page_of_row(slot: u32, values: Vec<Value>) -> Result<Page> {
    match <[Value; 3]>::try_from(values) {
        Ok([Value::Oid(_), Value::Int4(number), Value::Bytea(data)]) => {
            Ok(Page { number: i64::from(number), slot, data })
        }
        _ => Err(Error::internal(format!("slot {slot} holds no page of a large object"))),
    }
}

/// The cells of a visible row.
fn values(table: &Snapshot, slot: u32) -> Result<Vec<Value>> {
    let row = table.row(slot)?;
    let row = row.ok_or_else(|| Error::internal(format!("slot {slot} has a key and no row")))?;
    table.layout().read(&row)?.values()
}

fn missing(object: Oid) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("large object {object} does not exist"))
}
