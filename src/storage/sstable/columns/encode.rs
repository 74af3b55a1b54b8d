//! Makes a block of columns of the entries of one block.

use super::{
    Coding, DIRECTORY_ENTRY, ENTRIES_BYTES_MAX, HAS_COUNTS, HAS_DELETIONS, HAS_TAIL, HEADER_BYTES, Place,
    entries_bytes, is_elsewhere, move_pointers,
};
use crate::codec::{put_u16, put_u32, put_u64};
use crate::storage::memtable::EntryRef;
use crate::storage::shape::{Kind, Row, Shape};

/// The bytes of a block of columns; `None` where not all entries are rows of these columns under keys of slots, or they are
/// too many.
pub fn encode<'a>(entries: impl Iterator<Item = EntryRef<'a>>, shape: &Shape) -> Option<Vec<u8>> {
    let mut rows = Rows::default();
    for EntryRef { key, seq, value } in entries {
        rows.slots.push(shape.slot(key)?);
        rows.seqs.push(seq.0);
        rows.rows.push(match value {
            Some(value) => Some(shape.split(value)?),
            None => None,
        });
    }
    if rows.rows.is_empty() {
        return None;
    }
    rows.encode(shape)
}

/// Entries in their parts.
#[derive(Default)]
struct Rows<'a> {
    slots: Vec<u32>,
    seqs: Vec<u64>,
    /// `None`: a deletion.
    rows: Vec<Option<Row<'a>>>,
}

impl Rows<'_> {
    fn encode(&self, shape: &Shape) -> Option<Vec<u8>> {
        let count = self.rows.len();
        let living = || self.rows.iter().flatten();
        let columns = living().map(|row| row.columns).max().unwrap_or(0);
        let columns_min = living().map(|row| row.columns).min().unwrap_or(0);
        if entries_bytes(count, columns, shape.offset(columns)) > ENTRIES_BYTES_MAX {
            return None;
        }
        let has_tail = living().any(|row| !row.tail().is_empty());
        let first = self.slots[0];
        let above: Vec<u64> = self.slots.iter().map(|slot| u64::from(slot.wrapping_sub(first))).collect();
        let follow = above.iter().enumerate().all(|(index, above)| *above == index as u64);
        let slot_width = if follow { 0 } else { width_of(above.last().copied().unwrap_or(0)).max(1) };
        let seq_min = self.seqs.iter().copied().min().unwrap_or(0);
        let seqs: Vec<u64> = self.seqs.iter().map(|seq| seq - seq_min).collect();
        let seq_width = width_of(seqs.iter().copied().max().unwrap_or(0));
        let has_deletions = self.rows.iter().any(Option::is_none);
        let flags =
            [(has_deletions, HAS_DELETIONS), (columns_min < columns, HAS_COUNTS), (has_tail, HAS_TAIL)];

        let mut out = Vec::with_capacity(16 << 10);
        put_u32(&mut out, count as u32);
        put_u16(&mut out, columns as u16);
        put_u16(&mut out, columns_min as u16);
        let flags = flags.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum();
        out.extend_from_slice(&[shape.prefix(), slot_width as u8, seq_width as u8, flags]);
        put_u32(&mut out, first);
        put_u64(&mut out, seq_min);
        put_u64(&mut out, 0);
        out.resize(HEADER_BYTES + (columns + usize::from(has_tail)) * DIRECTORY_ENTRY, 0);
        above.iter().for_each(|above| put_packed(&mut out, *above, slot_width));
        seqs.iter().for_each(|seq| put_packed(&mut out, *seq, seq_width));
        if has_deletions {
            put_bits(&mut out, self.rows.iter().map(Option::is_none));
        }
        if columns_min < columns {
            // A deletion is of as many as there are, all NULL.
            self.rows.iter().for_each(|row| put_u16(&mut out, row.map_or(columns, |row| row.columns) as u16));
        }
        let mut previous = None;
        for column in 0..columns {
            let kind = shape.kinds()[column];
            let place = self.column(column, kind, shape.offset(column), previous, &mut out)?;
            put_place(&mut out, column, &place);
            if kind == Kind::Var {
                previous = Some(shape.offset(column));
            }
        }
        if has_tail {
            let place =
                var_cells(self.rows.iter().map(|row| row.map_or(&[][..], |row| row.tail())), 0, &mut out)?;
            put_place(&mut out, columns, &place);
        }
        // Places are words.
        u32::try_from(out.len()).ok().map(|_| out)
    }

    fn column(
        &self,
        column: usize,
        kind: Kind,
        offset: usize,
        previous: Option<usize>,
        out: &mut Vec<u8>,
    ) -> Option<Place> {
        let has = |row: &&Row| column < row.columns && !row.is_null(column);
        let present = self.rows.iter().flatten().filter(has).count();
        if present == 0 {
            return Some(Place { kind, coding: Coding::Nothing, width: 0, validity: 0, data: 0, end: 0 });
        }
        let validity = if present == self.rows.len() { 0 } else { out.len() };
        if validity != 0 {
            put_bits(out, self.rows.iter().map(|row| row.as_ref().is_some_and(|row| has(&row))));
        }
        let rows = self.rows.iter().map(|row| row.as_ref().filter(has));
        match kind {
            Kind::Outside => {
                let at = out.len();
                Some(Place { kind, coding: Coding::Plain, width: 0, validity, data: at, end: at })
            }
            Kind::Var => {
                let cells = rows.map(|row| row.map_or(&[][..], |row| row.var(previous, offset)));
                var_cells(cells, validity, out)
            }
            Kind::Fixed(width @ (2 | 4 | 8)) => {
                let cells = rows.map(|row| row.map(|row| integer(row.fixed(offset, width.into()))));
                Some(numbers(cells, kind, validity, out))
            }
            Kind::Fixed(width) => {
                let cells = rows.map(|row| row.map(|row| row.fixed(offset, width.into())));
                Some(fixed_cells(cells, kind, validity, out))
            }
            Kind::Number => {
                let start = out.len();
                let cells = rows.clone().map(|row| row.map(|row| row.fixed(offset, kind.fixed_bytes())));
                let place = fixed_cells(cells, kind, validity, out);
                // Places in the tail count from its begin, for var-width cells lie elsewhere here.
                if place.coding == Coding::Plain {
                    for (cell, row) in out[start..].chunks_exact_mut(kind.fixed_bytes()).zip(rows) {
                        if let Some(row) = row
                            && is_elsewhere(cell)
                        {
                            move_pointers(cell, (row.var_bytes() as u32).wrapping_neg());
                        }
                    }
                }
                Some(place)
            }
        }
    }
}

/// A little-endian number of 2, 4 or 8 bytes.
fn integer(cell: &[u8]) -> i64 {
    match *cell {
        [a, b] => i16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]).into(),
        _ => i64::from_le_bytes(cell.try_into().expect("eight bytes")),
    }
}

fn numbers(
    cells: impl Iterator<Item = Option<i64>> + Clone,
    kind: Kind,
    validity: usize,
    out: &mut Vec<u8>,
) -> Place {
    let (least, greatest) =
        cells.clone().flatten().fold((i64::MAX, i64::MIN), |(a, b), cell| (a.min(cell), b.max(cell)));
    let data = out.len();
    let (count, bytes) = (cells.clone().count(), kind.fixed_bytes());
    let width = width_of(greatest.wrapping_sub(least) as u64);
    let coding = match width {
        0 => Coding::Same,
        // Of a few cells the least one takes more than they save.
        width if 8 + width * count < bytes * count => Coding::Above,
        _ => Coding::Plain,
    };
    match coding {
        Coding::Same => out.extend_from_slice(&least.to_le_bytes()[..bytes]),
        Coding::Above => {
            put_u64(out, least as u64);
            cells.for_each(|cell| {
                put_packed(out, cell.map_or(0, |cell| cell.wrapping_sub(least)) as u64, width)
            });
        }
        _ => cells.for_each(|cell| out.extend_from_slice(&cell.unwrap_or(0).to_le_bytes()[..bytes])),
    }
    let width = if coding == Coding::Above { width } else { 0 };
    Place { kind, coding, width, validity, data, end: out.len() }
}

fn fixed_cells<'a>(
    cells: impl Iterator<Item = Option<&'a [u8]>> + Clone,
    kind: Kind,
    validity: usize,
    out: &mut Vec<u8>,
) -> Place {
    let data = out.len();
    let mut present = cells.clone().flatten();
    let first = present.next();
    // What a number's cell says of the tail is another thing for each row.
    let is_same =
        present.all(|cell| Some(cell) == first) && !(kind == Kind::Number && first.is_some_and(is_elsewhere));
    let zeros = [0; u8::MAX as usize];
    match first.filter(|_| is_same) {
        Some(cell) => out.extend_from_slice(cell),
        None => cells.for_each(|cell| out.extend_from_slice(cell.unwrap_or(&zeros[..kind.fixed_bytes()]))),
    }
    let coding = if is_same { Coding::Same } else { Coding::Plain };
    Place { kind, coding, width: 0, validity, data, end: out.len() }
}

/// Lengths, then cells.
fn var_cells<'a>(
    cells: impl Iterator<Item = &'a [u8]> + Clone,
    validity: usize,
    out: &mut Vec<u8>,
) -> Option<Place> {
    let total: usize = cells.clone().map(<[u8]>::len).sum();
    let width = width_of(total as u64).max(1);
    if width > 4 {
        return None;
    }
    let data = out.len();
    cells.clone().for_each(|cell| put_packed(out, cell.len() as u64, width));
    cells.for_each(|cell| out.extend_from_slice(cell));
    Some(Place { kind: Kind::Var, coding: Coding::Plain, width, validity, data, end: out.len() })
}

/// Bytes that hold a number: 0, 1, 2, 4 or 8.
fn width_of(most: u64) -> usize {
    match most {
        0 => 0,
        1..=0xFF => 1,
        0x100..=0xFFFF => 2,
        0x1_0000..=0xFFFF_FFFF => 4,
        _ => 8,
    }
}

fn put_packed(out: &mut Vec<u8>, value: u64, width: usize) {
    match width {
        0 => {}
        1 => out.push(value as u8),
        2 => out.extend_from_slice(&(value as u16).to_le_bytes()),
        4 => out.extend_from_slice(&(value as u32).to_le_bytes()),
        _ => out.extend_from_slice(&value.to_le_bytes()),
    }
}

fn put_bits(out: &mut Vec<u8>, bits: impl ExactSizeIterator<Item = bool>) {
    let start = out.len();
    out.resize(start + bits.len().div_ceil(8), 0);
    for (index, bit) in bits.enumerate() {
        out[start + index / 8] |= u8::from(bit) << (index % 8);
    }
}

fn put_place(out: &mut [u8], column: usize, place: &Place) {
    let at = HEADER_BYTES + column * DIRECTORY_ENTRY;
    out[at..at + DIRECTORY_ENTRY].copy_from_slice(&place.encode());
}
