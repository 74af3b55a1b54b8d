//! All rows of a tree as of a snapshot, block by block where that is possible.
//!
//! ```text
//!   memtable             5@90     9@91
//!   level 0    [2@80  5@81] [8@82]
//!   level 1    [1@10 2@11 3@12 ... 7@16] [8@17 ... 60@70] [61@71 ...]
//!
//!   rows       1 | 2 | 3 4 | 5 | 6 7 | 8 | 9 | 10 ... 60 | 61 ...          each | begins a run of one block
//! ```
//!
//! Of the parts the one with the least slot has its turn, up to the least slot of the others. Where that is all of a block
//! whose entries the snapshot sees, and which has one of each slot, the block is taken as it is. Otherwise entries are
//! looked at by slot and sequence number alone: their cells are not read before somebody asks for a column.

use std::ops::{Bound, Range};
use std::sync::Arc;

use super::cells::{Row, Rows};
use super::memtable::Memtable;
use super::merge::{MemtableSource, tables_between};
use super::shape::slot_of;
use super::slice::Slice;
use super::sstable::{Columns, DataBlock, Index, Table};
use crate::error::{Error, Result};
use crate::log::Seq;

/// Rows that nobody else sees yet, in order of slots; `None` where one is deleted. They come before all others.
pub type OwnRows = Box<dyn Iterator<Item = Result<(u32, Option<Slice>)>> + Send>;

/// Rows in order of slots. Owns what it reads, so that it does not hold up flushes and compactions.
pub struct ColumnScan {
    /// The newest first; none after an error.
    cursors: Vec<Cursor>,
    /// First byte of rows' keys.
    prefix: u8,
    snapshot: Seq,
    /// What a row counts for besides its own bytes.
    bytes_each: usize,
    /// The slot of which the version that counts has been seen last.
    decided: Option<u32>,
}

/// A part, and the slot and sequence number it stands on; `None` at its end.
struct Cursor {
    part: Part,
    head: Option<(u32, Seq)>,
}

enum Part {
    Own(OwnRows, Option<Slice>),
    Memtable(MemtableSource),
    Level(Level),
}

/// Disjoint tables in order of keys.
struct Level {
    /// Last first.
    tables: Vec<Arc<Table>>,
    /// With its index, which is held while the scan is in it.
    table: Option<(Arc<Table>, Index)>,
    next_block: usize,
    block: Option<DataBlock>,
    at: usize,
}

impl ColumnScan {
    /// Nothing yet, of rows whose keys begin with `prefix`.
    pub(super) fn new(prefix: u8, snapshot: Seq, own: Option<OwnRows>) -> ColumnScan {
        let own = own.map(|own| Cursor { part: Part::Own(own, None), head: None });
        ColumnScan { cursors: own.into_iter().collect(), prefix, snapshot, bytes_each: 0, decided: None }
    }

    /// Rows are read with what comes from elsewhere, which has so many bytes for each: they come that many fewer at a time.
    pub fn counting(self, bytes_each: usize) -> ColumnScan {
        ColumnScan { bytes_each, ..self }
    }

    /// Adds a part that is older than all before.
    pub(super) fn add_memtable(&mut self, memtable: &Arc<Memtable>) {
        let source = MemtableSource::new(memtable.clone(), Bound::Included(&[self.prefix]));
        self.cursors.push(Cursor { part: Part::Memtable(source), head: None });
    }

    /// Adds a part that is older than all before.
    pub(super) fn add_tables(&mut self, tables: &[Arc<Table>]) {
        let to = self.prefix.checked_add(1).map(|next| [next]);
        let to = to.as_ref().map_or(Bound::Unbounded, |to| Bound::Excluded(&to[..]));
        let mut tables = tables_between(tables, Bound::Included(&[self.prefix]), to);
        // Of an ingested one the file says that all is of the first moment.
        tables.retain(|table| table.meta().seq_min <= self.snapshot);
        let level = Level { tables, table: None, next_block: 0, block: None, at: 0 };
        self.cursors.push(Cursor { part: Part::Level(level), head: None });
    }

    /// All parts are there.
    pub(super) fn begin(mut self) -> Result<ColumnScan> {
        let prefix = self.prefix;
        self.cursors.iter_mut().try_for_each(|cursor| cursor.step(prefix))?;
        self.cursors.retain(|cursor| cursor.head.is_some());
        Ok(self)
    }

    /// The next rows, at most as many as are wanted: fewer where they are long, or before the end; none only at the end.
    /// After an error there are none.
    pub fn next(&mut self, wanted: usize) -> Result<Rows> {
        let mut rows = Rows::counting(self.bytes_each);
        while rows.len() < wanted && !rows.is_full() {
            match self.step(wanted, &mut rows) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.cursors.clear();
                    return Err(error);
                }
            }
        }
        Ok(rows)
    }

    /// Takes rows of the part whose turn it is; false at the end.
    fn step(&mut self, wanted: usize, rows: &mut Rows) -> Result<bool> {
        // Of one slot the newest version comes first, of one version the newest part's.
        let order = |cursor: &Cursor| cursor.head.map(|(slot, seq)| (slot, u64::MAX - seq.0));
        let Some((top, Some((slot, _)))) =
            self.cursors.iter().map(order).enumerate().min_by_key(|(rank, head)| (*head, *rank))
        else {
            return Ok(false);
        };
        let others = self.cursors.iter().enumerate().filter(|(rank, _)| *rank != top);
        let bound = others.filter_map(|(_, cursor)| cursor.head).map(|(slot, _)| slot).min();
        let cursor = &mut self.cursors[top];
        if self.decided == Some(slot) {
            // An older version.
        } else if bound.is_none_or(|bound| slot < bound)
            && let Part::Level(level) = &mut cursor.part
            && let Level { table: Some((table, _)), block: Some(DataBlock::Columns(block)), at, .. } = level
        {
            let snapshot = table.stored_seq(self.snapshot);
            let end = bound.map_or(block.count(), |bound| block.before(bound));
            if block.is_plain(snapshot) {
                let end = end.min(at.saturating_add(wanted - rows.len()));
                rows.push_entries(block, *at..end);
                self.decided = Some(block.slot(end - 1));
                *at = end - 1;
            } else {
                *at = versions(block, *at..end, snapshot, &mut self.decided, wanted, rows) - 1;
            }
        } else {
            let is_visible = cursor.head.is_some_and(|(_, seq)| seq <= self.snapshot || cursor.is_own());
            if is_visible {
                self.decided = Some(slot);
                if let Some(row) = cursor.row() {
                    rows.push(slot, row);
                }
            }
        }
        cursor.step(self.prefix)?;
        if cursor.head.is_none() {
            self.cursors.remove(top);
        }
        Ok(true)
    }
}

/// Takes those of some entries of a block that count, and tells where it stopped.
fn versions(
    block: &Columns,
    entries: Range<usize>,
    snapshot: Seq,
    decided: &mut Option<u32>,
    wanted: usize,
    rows: &mut Rows,
) -> usize {
    for index in entries.clone() {
        if rows.len() == wanted {
            return index;
        }
        let slot = block.slot(index);
        if *decided == Some(slot) || block.seq(index) > snapshot {
            continue;
        }
        *decided = Some(slot);
        if !block.is_deleted(index) {
            rows.push_entries(block, index..index + 1);
        }
    }
    entries.end
}

/// The slot of a row's key; `None` for the first key behind all rows, which begins otherwise.
fn slot_in(prefix: u8, key: &[u8], place: impl std::fmt::Display) -> Result<Option<u32>> {
    match slot_of(prefix, key) {
        None if key.first() == Some(&prefix) => {
            Err(Error::corrupt(place, 0, "the key of a row", key.escape_ascii()))
        }
        slot => Ok(slot),
    }
}

impl Cursor {
    fn is_own(&self) -> bool {
        matches!(self.part, Part::Own(..))
    }

    /// Goes to the next entry, the first one at the beginning.
    fn step(&mut self, prefix: u8) -> Result<()> {
        self.head = match &mut self.part {
            Part::Own(rows, row) => match rows.next().transpose()? {
                Some((slot, own)) => {
                    *row = own;
                    Some((slot, Seq(u64::MAX)))
                }
                None => None,
            },
            Part::Memtable(source) => {
                source.advance();
                match source.entry() {
                    Some(entry) => slot_in(prefix, entry.key, "memtable")?.map(|slot| (slot, entry.seq)),
                    None => None,
                }
            }
            Part::Level(level) => level.step(prefix)?,
        };
        Ok(())
    }

    /// The row it stands on; `None` for a deletion.
    fn row(&self) -> Option<Row> {
        match &self.part {
            Part::Own(_, row) => row.clone().map(Row::Bytes),
            Part::Memtable(source) => source.value().map(Row::Bytes),
            Part::Level(level) => level.block.as_ref()?.row(level.at),
        }
    }
}

impl Level {
    /// Goes to the next entry and tells its slot and sequence number; `None` at the end.
    fn step(&mut self, prefix: u8) -> Result<Option<(u32, Seq)>> {
        // Where there is no block yet, loading one says where it begins.
        self.at += 1;
        while self.block.as_ref().is_none_or(|block| self.at >= block.count()) {
            if !self.load(prefix)? {
                return Ok(None);
            }
        }
        self.head(prefix)
    }

    fn head(&self, prefix: u8) -> Result<Option<(u32, Seq)>> {
        let (Some(block), Some((table, _))) = (&self.block, &self.table) else { return Ok(None) };
        let (slot, seq) = match block {
            DataBlock::Columns(block) if block.prefix() == prefix => {
                (block.slot(self.at), block.seq(self.at))
            }
            DataBlock::Columns(_) => return Ok(None),
            DataBlock::Entries(block) => match slot_in(prefix, block.key(self.at), table.path().display())? {
                Some(slot) => (slot, block.seq(self.at)),
                None => return Ok(None),
            },
        };
        Ok(Some((slot, table.global_seq().unwrap_or(seq))))
    }

    /// Goes to the first entry of the next block that may have rows; false at the end.
    fn load(&mut self, prefix: u8) -> Result<bool> {
        self.block = None;
        loop {
            if let Some((table, index)) = &self.table
                && self.next_block < index.len()
            {
                let block = table.block(index.place(self.next_block), true)?;
                // Of the first one the part before the rows is left out.
                self.at = block.seek(&[prefix], Seq(u64::MAX));
                self.block = Some(block);
                self.next_block += 1;
                return Ok(true);
            }
            let Some(table) = self.tables.pop() else { return Ok(false) };
            let index = table.index(true)?;
            self.next_block = index.seek(&[prefix], Seq(u64::MAX));
            self.table = Some((table, index));
        }
    }
}
