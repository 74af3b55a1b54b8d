//! A block of rows, column by column: what scans copy whole, and a row's cells by their place.
//!
//! ```text
//!   header, 32 bytes
//!   directory     16 bytes a column: kind, coding, where its cells are
//!   slots         how far each is above the first; nothing where they follow one another
//!   sequence      how far each is above the least; nothing where all are one
//!   deletions     a bit per entry, where there are any
//!   counts        u16 per entry: columns its row had, where they differ
//!   column 0      validity: a bit per entry, where some are NULL | cells
//!   column 1      ...
//!   tail          as a var-width column: what rows have behind their var-width cells, where any have something
//! ```
//!
//! Cells of a fixed width lie plain, little-endian, one after the other; numbers of 2, 4 or 8 bytes that lie close together
//! as one, two or four bytes each above the least of them. Var-width cells lie one after the other behind their lengths;
//! in memory these are the ends, in the same place, so that any cell is found at once. A NULL takes the place of a cell of
//! a fixed width, and is empty in others. `docs/formats.md` has every field.
//!
//! Entries are in order of (slot, newest first), as in a block of entries: a key is the first byte, which all share, and
//! the slot. [`Columns::parse`] checks every length and place once; nothing after it can reach outside.

mod encode;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::block::{self, Block, BlockBuilder, SEQ_MAX};
use crate::log::Seq;
use crate::storage::cells::Bits;
use crate::storage::shape::{ELSEWHERE, Kind, NUMBER_BYTES, is_elsewhere, key_of, move_pointers, pointers};
use crate::storage::slice::Slice;

pub use encode::encode;

const HEADER_BYTES: usize = 32;
const DIRECTORY_ENTRY: usize = 16;

/// Of an entry in a block of entries: its place and its key.
const ENTRY_BYTES: usize = block::DIRECTORY_ENTRY + 5;

const HAS_DELETIONS: u8 = 1;
const HAS_COUNTS: u8 = 2;
const HAS_TAIL: u8 = 4;

/// How the cells of a column lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Coding {
    /// All are NULL.
    Nothing = 0,
    /// One after the other.
    Plain = 1,
    /// Numbers as how far they are above the first eight bytes.
    Above = 2,
    /// One for all that are not NULL.
    Same = 3,
}

/// A parsed block. Cheap to clone.
#[derive(Clone)]
pub struct Columns {
    data: Arc<[u8]>,
    count: u32,
    columns: u16,
    /// Columns that every row has.
    columns_min: u16,
    prefix: u8,
    slot_width: u8,
    seq_width: u8,
    flags: u8,
    /// No deletions, and no two versions of a slot.
    is_plain: bool,
    first_slot: u32,
    slots: u32,
    seqs: u32,
    deletions: u32,
    counts: u32,
    seq_min: u64,
    seq_max: u64,
}

/// What the directory says of a column.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: Kind,
    coding: Coding,
    /// Bytes of a coded number, or of a length.
    width: usize,
    /// Where the validity is; 0 where nothing, or everything, is NULL.
    validity: usize,
    /// Where the cells, or the lengths, begin.
    data: usize,
    /// Where the cells end.
    end: usize,
}

impl Columns {
    /// Takes a block's bytes, of which nobody else has a reference. The error says what is wrong where.
    pub fn parse(mut data: Arc<[u8]>) -> Result<Columns, String> {
        let mut columns = Columns::header(&data)?;
        let entries = usize::from(columns.columns) + usize::from(columns.flags & HAS_TAIL != 0);
        let count = columns.count as usize;
        let mut at = Sections { at: HEADER_BYTES, bytes: data.len() };
        at.take(entries * DIRECTORY_ENTRY, "the directory")?;
        columns.slots = at.take(count * usize::from(columns.slot_width), "slots")?;
        columns.seqs = at.take(count * usize::from(columns.seq_width), "sequence numbers")?;
        if columns.flags & HAS_DELETIONS != 0 {
            columns.deletions = at.take(count.div_ceil(8), "deletions")?;
        }
        if columns.flags & HAS_COUNTS != 0 {
            columns.counts = at.take(count * 2, "counts of columns")?;
        }
        let bytes = Arc::get_mut(&mut data).ok_or("a block that others read")?;
        let mut fixed = 0;
        for entry in 0..entries {
            let is_tail = entry == usize::from(columns.columns);
            let place = Place::parse(bytes, entry, is_tail)?;
            place.check(bytes, count, &mut at, entry)?;
            fixed += if is_tail { 0 } else { place.kind.fixed_bytes() };
        }
        let entries = entries_bytes(count, columns.columns(), fixed);
        if entries > ENTRIES_BYTES_MAX {
            return Err(format!("{count} entries, which would be {entries} bytes one by one"));
        }
        if at.at != data.len() {
            return Err(format!("{} bytes, of which {} are of columns", data.len(), at.at));
        }
        columns.data = data;
        columns.check_entries()?;
        Ok(columns)
    }

    fn header(data: &[u8]) -> Result<Columns, String> {
        let Some(header) = data.first_chunk::<HEADER_BYTES>() else {
            return Err(format!("a block of {} bytes", data.len()));
        };
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let half = |at: usize| u16::from_le_bytes(header[at..at + 2].try_into().expect("two bytes"));
        let columns = Columns {
            data: Arc::new([]),
            count: word(0),
            columns: half(4),
            columns_min: half(6),
            prefix: header[8],
            slot_width: header[9],
            seq_width: header[10],
            flags: header[11],
            is_plain: false,
            first_slot: word(12),
            slots: 0,
            seqs: 0,
            deletions: 0,
            counts: 0,
            seq_min: u64::from_le_bytes(header[16..24].try_into().expect("eight bytes")),
            seq_max: 0,
        };
        if columns.count == 0 || columns.columns_min > columns.columns {
            return Err(format!(
                "{} entries of {} to {} columns",
                columns.count, columns.columns_min, columns.columns
            ));
        }
        if !matches!(columns.slot_width, 0 | 1 | 2 | 4) || !matches!(columns.seq_width, 0 | 1 | 2 | 4 | 8) {
            return Err(format!(
                "slots of {} and sequence numbers of {} bytes",
                columns.slot_width, columns.seq_width
            ));
        }
        let has_counts = columns.flags & HAS_COUNTS != 0;
        if columns.flags > HAS_DELETIONS | HAS_COUNTS | HAS_TAIL
            || has_counts != (columns.columns_min < columns.columns)
        {
            return Err(format!("flags {:#x}", columns.flags));
        }
        match header[24..] {
            [0, 0, 0, 0, 0, 0, 0, 0] => Ok(columns),
            ref other => Err(format!("\"{}\" for zeros at byte 24", other.escape_ascii())),
        }
    }

    /// The order of the entries, the greatest sequence number, and whether there is more than a row per slot.
    fn check_entries(&mut self) -> Result<(), String> {
        self.is_plain = self.deletions == 0;
        self.seq_max = self.seq_min;
        let mut last: Option<(u32, u64)> = None;
        let ascends = self.slot_width == 0;
        if ascends && self.first_slot.checked_add(self.count - 1).is_none() {
            return Err(format!("{} slots from {} on", self.count, self.first_slot));
        }
        for index in 0..if ascends && self.seq_width == 0 { 0 } else { self.count() } {
            let above = packed(&self.data, self.slots as usize, self.slot_width.into(), index);
            let slot =
                if ascends { Some(self.slot(index)) } else { self.first_slot.checked_add(above as u32) };
            let above = packed(&self.data, self.seqs as usize, self.seq_width.into(), index);
            let seq = self.seq_min.checked_add(above);
            let (Some(slot), Some(seq)) = (slot, seq) else {
                return Err(format!("a slot or sequence number of entry {index} that there is not"));
            };
            if let Some((before, newer)) = last
                && (before > slot || before == slot && newer <= seq)
            {
                return Err(format!("entry {index}, {slot} at {seq}, after {before} at {newer}"));
            }
            self.is_plain &= last.is_none_or(|(before, _)| before != slot);
            self.seq_max = self.seq_max.max(seq);
            last = Some((slot, seq));
        }
        if self.seq_max > SEQ_MAX {
            return Err(format!("sequence number {}", self.seq_max));
        }
        for index in 0..if self.counts == 0 { 0 } else { self.count() } {
            let columns = self.columns_of(index);
            if columns > self.columns.into() || columns < self.columns_min.into() {
                return Err(format!(
                    "entry {index} of {columns} columns, of {} to {}",
                    self.columns_min, self.columns
                ));
            }
        }
        Ok(())
    }

    #[inline]
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Whether it is the same block, not only an equal one.
    #[inline]
    pub fn is(&self, other: &Columns) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }

    /// First byte of all keys.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    #[inline]
    pub fn slot(&self, index: usize) -> u32 {
        let above = match self.slot_width {
            0 => index as u64,
            width => packed(&self.data, self.slots as usize, width.into(), index),
        };
        self.first_slot.wrapping_add(above as u32)
    }

    /// Appends the slots of some entries.
    pub fn put_slots(&self, entries: Range<usize>, out: &mut Vec<u32>) {
        match self.slot_width {
            0 => {
                let first = self.first_slot.wrapping_add(entries.start as u32);
                out.extend((0..entries.len() as u32).map(|index| first.wrapping_add(index)));
            }
            _ => out.extend(entries.map(|index| self.slot(index))),
        }
    }

    #[inline]
    pub fn seq(&self, index: usize) -> Seq {
        let above = packed(&self.data, self.seqs as usize, self.seq_width.into(), index);
        Seq(self.seq_min.wrapping_add(above))
    }

    #[inline]
    pub fn is_deleted(&self, index: usize) -> bool {
        self.deletions != 0 && bit(&self.data, self.deletions as usize, index)
    }

    /// Whether every entry is a row that `snapshot` sees, and the only one of its slot here.
    #[inline]
    pub fn is_plain(&self, snapshot: Seq) -> bool {
        self.is_plain && self.seq_max <= snapshot.0
    }

    /// How many entries are of slots before `slot`.
    pub fn before(&self, slot: u32) -> usize {
        let Some(above) = slot.checked_sub(self.first_slot) else { return 0 };
        if self.slot_width == 0 {
            return self.count().min(above as usize);
        }
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if packed(&self.data, self.slots as usize, self.slot_width.into(), middle) < u64::from(above) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The newest version of a slot at or before `snapshot`.
    #[inline]
    pub fn find(&self, slot: u32, snapshot: Seq) -> Option<usize> {
        let mut of_slot = (self.before(slot)..self.count()).take_while(|index| self.slot(*index) == slot);
        of_slot.find(|index| self.seq(*index) <= snapshot)
    }

    /// The columns of any row here.
    pub fn columns(&self) -> usize {
        self.columns.into()
    }

    /// The columns that every row here has.
    pub fn columns_min(&self) -> usize {
        self.columns_min.into()
    }

    /// How many columns an entry's row has.
    #[inline]
    pub fn columns_of(&self, index: usize) -> usize {
        match self.counts {
            0 => self.columns.into(),
            counts => packed(&self.data, counts as usize, 2, index) as usize,
        }
    }

    pub fn kind(&self, column: usize) -> Kind {
        self.place(column).kind
    }

    /// Whether no entry is NULL in a column.
    pub fn has_all(&self, column: usize) -> bool {
        let place = self.place(column);
        place.coding != Coding::Nothing && place.validity == 0
    }

    #[inline]
    pub fn is_null(&self, column: usize, index: usize) -> bool {
        self.place(column).is_null(&self.data, index)
    }

    /// The first entry at or after version `seq` of `key`; [`Columns::count`] when all are before.
    pub fn seek(&self, key: &[u8], seq: Seq) -> usize {
        let Some((first, rest)) = key.split_first() else { return 0 };
        match first.cmp(&self.prefix) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.count(),
            Ordering::Equal => {}
        }
        let mut slot = [0; 4];
        let len = rest.len().min(4);
        slot[..len].copy_from_slice(&rest[..len]);
        let slot = u32::from_be_bytes(slot);
        let at = self.before(slot);
        // Of a key that only begins as that of the slot does, the slot's entries come after it, or all before.
        let is_before = |index: usize| match rest.len().cmp(&4) {
            Ordering::Less => false,
            Ordering::Equal => self.seq(index) > seq,
            Ordering::Greater => true,
        };
        let of_slot = (at..self.count()).take_while(|index| self.slot(*index) == slot);
        at + of_slot.take_while(|index| is_before(*index)).count()
    }

    /// Appends whether entries have a cell in a column.
    pub fn put_validity(&self, column: usize, entries: Range<usize>, out: &mut Bits) {
        let place = self.place(column);
        match (place.coding, place.validity) {
            (Coding::Nothing, _) => out.push_all(false, entries.len()),
            (_, 0) => out.push_all(true, entries.len()),
            (_, at) => out.push_bits(&self.data[at..at + self.count().div_ceil(8)], entries),
        }
    }

    /// Appends the cells of a column of numbers of so many bytes, made of their bytes by `plain` or of their value by `coded`;
    /// those that are NULL have no meaning.
    #[inline]
    pub fn put_numbers<T: Copy, const N: usize>(
        &self,
        column: usize,
        entries: Range<usize>,
        out: &mut Vec<T>,
        plain: impl Fn([u8; N]) -> T,
        coded: impl Fn(i64) -> T,
    ) {
        let place = self.place(column);
        let (from, to) = (entries.start, entries.end);
        let cells = |width: usize, at: usize| &self.data[at + from * width..at + to * width];
        match place.coding {
            Coding::Nothing => out.resize(out.len() + entries.len(), coded(0)),
            Coding::Plain => {
                out.extend(cells(N, place.data).as_chunks::<N>().0.iter().map(|cell| plain(*cell)))
            }
            Coding::Same => {
                let cell = self.data[place.data..place.data + N].try_into().expect("a cell of the column");
                out.resize(out.len() + entries.len(), plain(cell));
            }
            Coding::Above => {
                let least = self.least(&place);
                let at = place.data + 8;
                match place.width {
                    1 => {
                        out.extend(cells(1, at).iter().map(|&above| coded(least.wrapping_add(above.into()))))
                    }
                    2 => out.extend(
                        cells(2, at)
                            .as_chunks::<2>()
                            .0
                            .iter()
                            .map(|above| coded(least.wrapping_add(u16::from_le_bytes(*above).into()))),
                    ),
                    _ => out.extend(
                        cells(4, at)
                            .as_chunks::<4>()
                            .0
                            .iter()
                            .map(|above| coded(least.wrapping_add(u32::from_le_bytes(*above).into()))),
                    ),
                }
            }
        }
    }

    /// Appends the cells of a column of another fixed width, zeros where they are NULL.
    pub fn put_fixed(&self, column: usize, entries: Range<usize>, width: usize, out: &mut Vec<u8>) {
        let place = self.place(column);
        match place.coding {
            Coding::Plain => {
                out.extend_from_slice(
                    &self.data[place.data + entries.start * width..place.data + entries.end * width],
                );
            }
            _ => entries.for_each(|index| match place.is_null(&self.data, index) {
                true => out.resize(out.len() + width, 0),
                false => self.put_fixed_cell(&place, index, out),
            }),
        }
    }

    /// Appends the cells of a var-width column one after the other, and calls `end` with where each ends, counted from the
    /// first one's begin.
    #[inline]
    pub fn put_var(
        &self,
        column: usize,
        entries: Range<usize>,
        out: &mut Vec<u8>,
        mut end: impl FnMut(usize),
    ) {
        let place = self.place(column);
        if place.coding == Coding::Nothing {
            return entries.for_each(|_| end(0));
        }
        let start = self.var_start(&place, entries.start);
        let ends =
            &self.data[place.data + entries.start * place.width..place.data + entries.end * place.width];
        match place.width {
            1 => ends.iter().for_each(|to| end(usize::from(*to) - start)),
            2 => ends
                .as_chunks::<2>()
                .0
                .iter()
                .for_each(|to| end(usize::from(u16::from_le_bytes(*to)) - start)),
            _ => ends.as_chunks::<4>().0.iter().for_each(|to| end(u32::from_le_bytes(*to) as usize - start)),
        }
        let bytes = place.data + place.width * self.count();
        let to = if entries.is_empty() { start } else { self.var_start(&place, entries.end) };
        out.extend_from_slice(&self.data[bytes + start..bytes + to]);
    }

    /// As [`Columns::put_var`], of a column of numbers, which may be in the tail; an error for a place that there is not.
    pub fn put_long_numbers(
        &self,
        column: usize,
        entries: Range<usize>,
        out: &mut Vec<u8>,
        mut end: impl FnMut(usize),
    ) -> Result<(), String> {
        let place = self.place(column);
        let start = out.len();
        for index in entries {
            if !place.is_null(&self.data, index) {
                let at =
                    if place.coding == Coding::Same { place.data } else { place.data + index * NUMBER_BYTES };
                let cell = &self.data[at..at + NUMBER_BYTES];
                if is_elsewhere(cell) {
                    out.extend_from_slice(self.in_tail(cell, index)?);
                } else {
                    out.extend_from_slice(cell);
                }
            }
            end(out.len() - start);
        }
        Ok(())
    }

    /// What a cell says is in the tail of its row.
    fn in_tail(&self, cell: &[u8], index: usize) -> Result<&[u8], String> {
        let (from, to) = pointers(cell);
        let has_tail = self.flags & HAS_TAIL != 0;
        let tail = if has_tail { self.var_cell(&self.place(self.columns()), index) } else { &[] };
        let found = tail.get(from as usize..to as usize);
        found.ok_or_else(|| format!("a number at {from} to {to} of {} bytes", tail.len()))
    }

    /// Appends an entry's row as it was written.
    pub fn put_row(&self, index: usize, out: &mut Vec<u8>) {
        self.put_row_of((0..self.places()).map(|column| self.place(column)), index, out);
    }

    /// [`Columns::put_row`], given all of the directory.
    #[inline]
    fn put_row_of(&self, places: impl Iterator<Item = Place> + Clone, index: usize, out: &mut Vec<u8>) {
        let columns = self.columns_of(index);
        out.extend_from_slice(&(columns as u16).to_le_bytes());
        let nulls = out.len();
        out.resize(nulls + columns.div_ceil(8), 0);
        let fixed = out.len();
        let mut var_bytes = 0u32;
        let mut has_pointers = false;
        for (column, place) in places.clone().take(columns).enumerate() {
            let is_null = place.is_null(&self.data, index);
            if is_null {
                out[nulls + column / 8] |= 1 << (column % 8);
            }
            match place.kind {
                Kind::Outside => {}
                Kind::Var => {
                    if !is_null {
                        var_bytes = var_bytes.wrapping_add(self.var_cell(&place, index).len() as u32);
                    }
                    out.extend_from_slice(&var_bytes.to_le_bytes());
                }
                Kind::Fixed(_) | Kind::Number if is_null => {
                    out.resize(out.len() + place.kind.fixed_bytes(), 0);
                }
                Kind::Fixed(_) | Kind::Number => {
                    self.put_fixed_cell(&place, index, out);
                    has_pointers |= place.kind == Kind::Number && out.last() == Some(&ELSEWHERE);
                }
            }
        }
        if has_pointers {
            let mut at = fixed;
            for place in places.clone().take(columns) {
                let cell = &mut out[at..at + place.kind.fixed_bytes()];
                if place.kind == Kind::Number && is_elsewhere(cell) {
                    move_pointers(cell, var_bytes);
                }
                at += place.kind.fixed_bytes();
            }
        }
        let is_of_row = |column: usize| column < columns || column == self.columns();
        for (column, place) in places.enumerate() {
            if place.kind == Kind::Var && is_of_row(column) {
                out.extend_from_slice(self.var_cell(&place, index));
            }
        }
    }

    /// An entry's row as it was written.
    pub fn row(&self, index: usize) -> Slice {
        thread_local! {
            static ROW: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        ROW.with_borrow_mut(|row| {
            row.clear();
            self.put_row(index, row);
            let slice = Slice::copy_of(row);
            if row.capacity() > ROW_BYTES_KEPT {
                *row = Vec::new();
            }
            slice
        })
    }

    /// The same entries as a block of entries.
    pub fn to_entries(&self) -> Result<Block, String> {
        let places: Vec<Place> = (0..self.places()).map(|column| self.place(column)).collect();
        let mut entries = BlockBuilder::default();
        for index in 0..self.count() {
            let key = key_of(self.prefix, self.slot(index));
            if self.is_deleted(index) {
                entries.add(&key, self.seq(index), None);
            } else {
                let put_row = |out: &mut Vec<u8>| self.put_row_of(places.iter().copied(), index, out);
                entries.add_with(&key, self.seq(index), put_row);
            }
        }
        Block::parse(entries.finish().into())
    }

    /// How a column lies, in words.
    pub fn describe(&self, column: usize) -> String {
        let place = self.place(column);
        let kind = match place.kind {
            Kind::Outside => "outside".to_owned(),
            Kind::Var => "var".to_owned(),
            Kind::Fixed(width) => format!("{width} bytes"),
            Kind::Number => "number".to_owned(),
        };
        let coding = match place.coding {
            Coding::Nothing => return format!("{kind}, all NULL"),
            Coding::Plain if place.kind == Kind::Var => format!("lengths of {} bytes", place.width),
            Coding::Plain => "plain".to_owned(),
            Coding::Above => format!("{} bytes above {}", place.width, self.least(&place)),
            Coding::Same => "one for all".to_owned(),
        };
        let nulls = if place.validity == 0 { "no NULL" } else { "some NULL" };
        format!("{kind}, {coding}, {nulls}, {} bytes at {}", place.end - place.data, place.data)
    }

    /// Entries of the directory.
    fn places(&self) -> usize {
        self.columns() + usize::from(self.flags & HAS_TAIL != 0)
    }

    #[inline]
    fn place(&self, column: usize) -> Place {
        let at = HEADER_BYTES + column * DIRECTORY_ENTRY;
        let entry = self.data[at..at + DIRECTORY_ENTRY].try_into().expect("an entry of the directory");
        Place::of(entry)
    }

    fn least(&self, place: &Place) -> i64 {
        i64::from_le_bytes(self.data[place.data..place.data + 8].try_into().expect("eight bytes"))
    }

    /// Appends the cell of a fixed width, which is not NULL.
    #[inline]
    fn put_fixed_cell(&self, place: &Place, index: usize, out: &mut Vec<u8>) {
        let width = place.kind.fixed_bytes();
        match place.coding {
            Coding::Nothing => {}
            Coding::Plain => {
                let at = place.data + index * width;
                out.extend_from_slice(&self.data[at..at + width]);
            }
            Coding::Same => out.extend_from_slice(&self.data[place.data..place.data + width]),
            Coding::Above => {
                let above = packed(&self.data, place.data + 8, place.width, index);
                let value = self.least(place).wrapping_add(above as i64);
                out.extend_from_slice(&value.to_le_bytes()[..width]);
            }
        }
    }

    #[inline]
    fn var_start(&self, place: &Place, index: usize) -> usize {
        match index {
            0 => 0,
            _ => packed(&self.data, place.data, place.width, index - 1) as usize,
        }
    }

    #[inline]
    fn var_cell(&self, place: &Place, index: usize) -> &[u8] {
        if place.coding == Coding::Nothing {
            return &[];
        }
        let bytes = place.data + place.width * self.count();
        let end = packed(&self.data, place.data, place.width, index) as usize;
        &self.data[bytes + self.var_start(place, index)..bytes + end]
    }
}

/// Longer rows do not keep the memory they are put together in.
const ROW_BYTES_KEPT: usize = 64 << 10;

/// What the entries of a block may have one by one, their var-width cells not counted. Entries need not take a byte of a
/// block, so this is what keeps a count that is wrong from making somebody take memory. Of a block that is closed at 16 KiB it
/// is never above 13 MiB, whatever the entries are; what would be is written as a block of entries.
const ENTRIES_BYTES_MAX: usize = 16 << 20;

/// The bytes of so many entries in a block of entries, at most, without their var-width cells and tails, which have their
/// bytes in a block of columns as well.
fn entries_bytes(count: usize, columns: usize, fixed: usize) -> usize {
    count * (ENTRY_BYTES + 2 + columns.div_ceil(8) + fixed)
}

impl Place {
    #[inline]
    fn of(entry: &[u8; DIRECTORY_ENTRY]) -> Place {
        let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().expect("four bytes")) as usize;
        Place {
            kind: match entry[0] {
                0 => Kind::Outside,
                1 => Kind::Var,
                2 => Kind::Fixed(entry[1]),
                _ => Kind::Number,
            },
            coding: match entry[2] {
                0 => Coding::Nothing,
                1 => Coding::Plain,
                2 => Coding::Above,
                _ => Coding::Same,
            },
            width: entry[3].into(),
            validity: word(4),
            data: word(8),
            end: word(12),
        }
    }

    fn encode(&self) -> [u8; DIRECTORY_ENTRY] {
        let mut entry = [0; DIRECTORY_ENTRY];
        entry[0] = match self.kind {
            Kind::Outside => 0,
            Kind::Var => 1,
            Kind::Fixed(_) => 2,
            Kind::Number => 3,
        };
        entry[1] = if let Kind::Fixed(width) = self.kind { width } else { 0 };
        (entry[2], entry[3]) = (self.coding as u8, self.width as u8);
        for (word, value) in [self.validity, self.data, self.end].into_iter().enumerate() {
            entry[4 + 4 * word..8 + 4 * word].copy_from_slice(&(value as u32).to_le_bytes());
        }
        entry
    }

    /// What the directory says, if it is what [`Place::encode`] writes of some column.
    fn parse(data: &[u8], column: usize, is_tail: bool) -> Result<Place, String> {
        let at = HEADER_BYTES + column * DIRECTORY_ENTRY;
        let entry: &[u8; DIRECTORY_ENTRY] = data[at..at + DIRECTORY_ENTRY].try_into().expect("an entry");
        let place = Place::of(entry);
        let is_number = matches!(place.kind, Kind::Fixed(2 | 4 | 8));
        let fits = match (place.coding, place.kind) {
            (Coding::Nothing, _) => place.width == 0,
            (Coding::Plain, Kind::Var) => matches!(place.width, 1 | 2 | 4),
            (Coding::Plain, _) => place.width == 0,
            (Coding::Above, _) => {
                is_number && matches!(place.width, 1 | 2 | 4) && place.width < place.kind.fixed_bytes()
            }
            (Coding::Same, kind) => place.width == 0 && matches!(kind, Kind::Fixed(_) | Kind::Number),
        };
        if place.encode() != *entry
            || !fits
            || is_tail && place.kind != Kind::Var
            || place.kind == Kind::Fixed(0)
        {
            return Err(format!("column {column} as \"{}\"", entry.escape_ascii()));
        }
        Ok(place)
    }

    /// Holds the places against what lies before; lengths become ends.
    fn check(&self, data: &mut [u8], count: usize, at: &mut Sections, column: usize) -> Result<(), String> {
        let wrong = || format!("column {column} at {}, {}, {}", self.validity, self.data, self.end);
        if self.coding == Coding::Nothing {
            return if (self.validity, self.data, self.end) == (0, 0, 0) { Ok(()) } else { Err(wrong()) };
        }
        if self.validity != 0 && at.take(count.div_ceil(8), "validity")? as usize != self.validity {
            return Err(wrong());
        }
        let fixed = self.kind.fixed_bytes();
        let bytes = match (self.coding, self.kind) {
            (_, Kind::Outside) => 0,
            (_, Kind::Var) => self.width * count,
            (Coding::Same, _) => fixed,
            (Coding::Above, _) => 8 + self.width * count,
            _ => fixed * count,
        };
        let start = at.take(bytes, "cells")? as usize;
        if start != self.data {
            return Err(wrong());
        }
        if self.kind == Kind::Var {
            let total = ends_of_lengths(&mut data[start..start + bytes], self.width);
            let total = total.ok_or_else(|| format!("lengths of column {column} that overflow"))?;
            at.take(total, "var-width cells")?;
        }
        if at.at == self.end { Ok(()) } else { Err(wrong()) }
    }

    #[inline]
    fn is_null(&self, data: &[u8], index: usize) -> bool {
        match self.validity {
            0 => self.coding == Coding::Nothing,
            at => !bit(data, at, index),
        }
    }
}

/// Where the next part of a block begins.
struct Sections {
    at: usize,
    bytes: usize,
}

impl Sections {
    fn take(&mut self, bytes: usize, what: &str) -> Result<u32, String> {
        let at = self.at;
        match at.checked_add(bytes) {
            // Places are words.
            Some(end) if end <= self.bytes && u32::try_from(end).is_ok() => {
                self.at = end;
                Ok(at as u32)
            }
            _ => Err(format!("{what} of {bytes} bytes at {at} of {}", self.bytes)),
        }
    }
}

/// Makes ends of lengths, in their place, and tells the last one; `None` where one has no room.
fn ends_of_lengths(lengths: &mut [u8], width: usize) -> Option<usize> {
    let mut end = 0u32;
    match width {
        1 => {
            for length in lengths.iter_mut() {
                end += u32::from(*length);
                *length = u8::try_from(end).ok()?;
            }
        }
        2 => {
            for length in lengths.as_chunks_mut::<2>().0 {
                end += u32::from(u16::from_le_bytes(*length));
                *length = u16::try_from(end).ok()?.to_le_bytes();
            }
        }
        _ => {
            for length in lengths.as_chunks_mut::<4>().0 {
                end = end.checked_add(u32::from_le_bytes(*length))?;
                *length = end.to_le_bytes();
            }
        }
    }
    Some(end as usize)
}

/// Number `index` of those of `width` bytes from `at` on.
#[inline]
fn packed(data: &[u8], at: usize, width: usize, index: usize) -> u64 {
    let at = at + index * width;
    match width {
        0 => 0,
        1 => data[at].into(),
        2 => u16::from_le_bytes(data[at..at + 2].try_into().expect("two bytes")).into(),
        4 => u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes")).into(),
        _ => u64::from_le_bytes(data[at..at + 8].try_into().expect("eight bytes")),
    }
}

#[inline]
fn bit(data: &[u8], at: usize, index: usize) -> bool {
    data[at + index / 8] & (1 << (index % 8)) != 0
}
