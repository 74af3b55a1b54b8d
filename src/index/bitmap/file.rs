//! A table's live set and metadata indexes as of a checkpoint, in files.
//!
//! ```text
//!   whole      live set            bytes u64, a roaring bitmap in its portable format
//!              columns             count u32, then per column its number u16 and its index:
//!                                  family of types u8, whether it is usable u8, then by family
//!                fixed width       array, and whether there are bitmaps u8, then those
//!                ranges            two of fixed width: lower ends, upper ends
//!                text              1 u8, a dictionary, the codes, of fixed width; or
//!                                  2 u8, keys of the hash function u128, the hashes, of fixed width
//!   changes    the slots that changed since a whole file, as the live set
//!
//!   array      chunks u32; each:   1 "has values" + 2 "has NULLs" + 4 "has filters" u8, bytes of an offset u8, base, least, greatest (u128)
//!                                  1,024 bytes of bits per flag, 8,192 offsets
//!   bitmaps    values u32; each:   key u128, parts u32; each: high 16 bits of its slots u16, slots - 1 u16, then the low
//!                                  16 bits of each, or from 4,097 slots on 8,192 bytes of bits
//!   dictionary texts u32; each:    code u16, bytes u32, UTF-8; then free codes u32, each u16
//! ```
//!
//! Writing changes is cheap when few of many rows have: who opens the files looks these slots up in the rows.

use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::blocks::{BlockReader, Head, MAGIC, Writer};
use super::{ColumnIndex, Share};
use crate::error::{Error, Result};
use crate::fs::{Fs, Lines, Pace, begins_with};

const WHOLE: u32 = 1;
const CHANGES: u32 = 2;

/// Which file of which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    pub storage: u64,
    pub number: u64,
}

/// What a whole file has.
pub struct Whole {
    /// It has what was committed before.
    pub position: u64,
    pub live: RoaringBitmap,
    /// By their numbers.
    pub columns: Vec<(u16, ColumnIndex)>,
}

/// Writes a whole file, durably but for its name. It must not exist. Answers its bytes.
pub fn save_whole<'a>(
    fs: &dyn Fs,
    path: &Path,
    Name { storage, number }: Name,
    position: u64,
    live: &RoaringBitmap,
    columns: impl ExactSizeIterator<Item = (u16, &'a ColumnIndex)>,
) -> Result<u64> {
    let head = Head { kind: WHOLE, storage, number, position, whole: number };
    let mut out = Writer::create(fs, path, head)?;
    put_slots(live, &mut out)?;
    out.put_u32(columns.len() as u32)?;
    for (number, index) in columns {
        out.put_u16(number)?;
        index.save(&mut out)?;
    }
    out.finish()
}

/// Reads a whole file: XX001 when it is damaged, 55000 when a newer program wrote it. The index of a column takes its memory
/// from `share` of its number.
pub fn open_whole(fs: &dyn Fs, path: &Path, name: Name, share: &dyn Fn(u16) -> Arc<Share>) -> Result<Whole> {
    let mut from = BlockReader::open(fs, path)?;
    from.expect(WHOLE, name.storage, name.number)?;
    read_whole(&mut from, share)
}

fn read_whole(from: &mut BlockReader, share: &dyn Fn(u16) -> Arc<Share>) -> Result<Whole> {
    let live = slots(from)?;
    let mut columns = Vec::new();
    for _ in 0..from.u32()? {
        let number = from.u16()?;
        columns.push((number, ColumnIndex::open(from, &share(number))?));
    }
    from.finish()?;
    Ok(Whole { position: from.head().position, live, columns })
}

/// Writes the slots that changed since the whole file of this number, as [`save_whole`] does.
pub fn save_changes(
    fs: &dyn Fs,
    path: &Path,
    Name { storage, number }: Name,
    position: u64,
    whole: u64,
    changed: &RoaringBitmap,
) -> Result<u64> {
    let head = Head { kind: CHANGES, storage, number, position, whole };
    let mut out = Writer::create(fs, path, head)?;
    put_slots(changed, &mut out)?;
    out.finish()
}

/// Reads slots that changed since this whole file.
pub fn open_changes(fs: &dyn Fs, path: &Path, name: Name, whole: u64) -> Result<RoaringBitmap> {
    let mut from = BlockReader::open(fs, path)?;
    from.expect(CHANGES, name.storage, name.number)?;
    if from.head().whole != whole {
        return Err(from.corrupt(format_args!("changes since file {whole}"), from.head().whole));
    }
    let changed = slots(&mut from)?;
    from.finish()?;
    Ok(changed)
}

/// Holds every byte of a file against its checksums.
pub fn verify(fs: &dyn Fs, path: &Path, pace: &mut Pace) -> Result<()> {
    BlockReader::open(fs, path)?.verify(pace)
}

/// Whether a file has bitmaps, and then of which columns: `hither dump --file`.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    if !begins_with(fs, path, MAGIC)? {
        return Ok(false);
    }
    let mut from = BlockReader::open(fs, path)?;
    let Head { kind, storage, number, position, whole } = from.head();
    let what = format!("file {number} of storage {storage} as of position {position}");
    match kind {
        WHOLE => {
            let Whole { live, columns, .. } = read_whole(&mut from, &|_| Share::unbounded())?;
            out(format!(
                "live set and bitmaps, {what}: {} slots, {} columns; sound",
                live.len(),
                columns.len()
            ))?;
            columns.iter().try_for_each(|(number, index)| out(format!("column {number}: {index}")))?;
        }
        CHANGES => {
            let changed = slots(&mut from)?;
            out(format!("changes since file {whole}, {what}: {} slots; sound", changed.len()))?;
            changed.iter().try_for_each(|slot| out(slot.to_string()))?;
        }
        other => return Err(from.corrupt("a kind of file with bitmaps", other)),
    }
    Ok(true)
}

fn put_slots(slots: &RoaringBitmap, out: &mut Writer) -> Result<()> {
    let mut bytes = Vec::with_capacity(slots.serialized_size());
    slots.serialize_into(&mut bytes).map_err(|error| Error::io("write", "a bitmap", &error))?;
    out.put_u64(bytes.len() as u64)?;
    out.put(&bytes)
}

fn slots(from: &mut BlockReader) -> Result<RoaringBitmap> {
    let bytes = from.u64()?;
    let slots = RoaringBitmap::deserialize_from(from.take(bytes as usize)?);
    slots.map_err(|error| from.corrupt("a roaring bitmap", error))
}
