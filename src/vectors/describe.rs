//! A vector segment, or an extent of sparse cells, as lines that people read: `hither dump --file`.

use std::path::Path;

use crate::distance::{Element, Vector};
use crate::error::{Error, Result};
use crate::fs::{File, Fs, Lines, OpenMode, begins_with};
use crate::types::sparsevec::{self, Sparse};
use crate::vectors::SEGMENT_SLOTS;
use crate::vectors::heap::{self, Place};
use crate::vectors::segment::{self, GROUP_SLOTS, Layout, slot_sum};

/// Whether a file is one of the two, and then what is in it. 55000 when a newer program wrote it.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    let describe_one = match begins_with(fs, path, segment::MAGIC)? {
        true => describe_segment,
        false if begins_with(fs, path, heap::MAGIC)? => describe_extent,
        false => return Ok(false),
    };
    describe_one(&*fs.open(path, OpenMode::Read)?, out)?;
    Ok(true)
}

/// Every slot that was ever written: which of them live, the rows tell.
fn describe_segment(file: &dyn File, out: &mut Lines) -> Result<()> {
    let mut header = [0; segment::HEADER_SUMMED + 4];
    file.read_exact_at(&mut header, 0)?;
    segment::refuse_newer(file.path().display(), &header)?;
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let (column, dimensions, number) = (word(12), word(16) as usize, word(24));
    let element = Element::ALL
        .into_iter()
        .find(|element| element.number() == word(20))
        .ok_or_else(|| Error::corrupt(file.path().display(), 20, "an element from 0 to 3", word(20)))?;
    let layout = Layout::new(element, dimensions);
    out(format!("vector segment {number} of column {column}: {}({dimensions})", element.type_name()))?;
    let mut group = vec![0; layout.group_bytes as usize];
    for place in 0..layout.slots_of(file.len()?) {
        let start = layout.group(place);
        if place.is_multiple_of(GROUP_SLOTS) {
            file.read_exact_at(&mut group, start)?;
        }
        let part = |at: u64, len: usize| &group[(at - start) as usize..][..len];
        let word = |at: u64| u32::from_le_bytes(part(at, 4).try_into().expect("four bytes"));
        let vector = part(layout.vector(place), layout.stride);
        let slot = u64::from(number) * u64::from(SEGMENT_SLOTS) + u64::from(place);
        let (norm, sum) = (f32::from_bits(word(layout.norm(place))), word(layout.sum(place)));
        if norm == 0.0 && sum == 0 && vector.iter().all(|byte| *byte == 0) {
            continue;
        }
        if element == Element::Sparse {
            // Its checksum is that of the cell, which is in another file.
            let told = if norm.is_nan() { "NULL".to_owned() } else { format!("{:?}", Place::read(vector)) };
            out(format!("{slot}: {told}"))?;
            continue;
        }
        // A number above what a segment may have is damage, and then the checksum is wrong.
        let expected = slot_sum(slot as u32, norm, vector);
        let told = if expected == sum { "" } else { "; its checksum is wrong" };
        out(format!("{slot}: {}{told}", shown(norm, element.read(vector, dimensions))))?;
    }
    Ok(())
}

fn shown(norm: f32, vector: Vector<'_>) -> String {
    match vector {
        _ if norm.is_nan() => "NULL".into(),
        Vector::F32(values) => format!("{values:?}"),
        Vector::F16(values) => format!("{values:?}"),
        other => format!("{other:?}"),
    }
}

/// What every block seems to hold: where cells begin and end only the segments say, and which of them live, the rows.
fn describe_extent(file: &dyn File, out: &mut Lines) -> Result<()> {
    let mut header = [0; heap::HEADER_SUMMED + 4];
    file.read_exact_at(&mut header, 0)?;
    heap::refuse_newer(file.path().display(), &header)?;
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let (column, number) = (word(12), word(16));
    let told = if header == heap::header(column, number) { "" } else { "; its header is damaged" };
    let (end, block_bytes) = (file.len()?, u64::from(heap::BLOCK_BYTES));
    let blocks = end.saturating_sub(heap::HEADER_BYTES).div_ceil(block_bytes);
    out(format!("extent {number} of the sparse cells of column {column}: {blocks} blocks{told}"))?;
    for block in 0..blocks {
        let start = heap::HEADER_BYTES + block * block_bytes;
        let mut bytes = vec![0; (end - start).min(block_bytes) as usize];
        file.read_exact_at(&mut bytes, start)?;
        let words: Vec<u32> =
            bytes.as_chunks::<4>().0.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect();
        let block = u64::from(number) * u64::from(heap::EXTENT_BLOCKS) + block;
        let mut offset = 0;
        for (cell, is_whole) in cells(&words) {
            let told = match is_whole {
                true => printed(cell),
                false => format!("{} bytes that are no whole cell", 4 * cell.len()),
            };
            out(format!("block {block}, offset {offset}: {told}"))?;
            offset += 4 * cell.len();
        }
    }
    Ok(())
}

fn printed(cell: &[u32]) -> String {
    let mut text = Vec::new();
    sparsevec::print(Sparse::new(cell), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The words of a block up to the last that is not zero, cell by cell, each with whether it is one. All cells of a column
/// begin with its dimensions, which are no index and, as a float4, hardly ever a value: so a cell goes up to the next such
/// word, or to the end. One that is no vector has parts of a longer cell behind it, in whose room it was written.
fn cells(words: &[u32]) -> Vec<(&[u32], bool)> {
    let end = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
    let mut rest = &words[..end];
    let mut cells = Vec::new();
    while let Some((&dimensions, others)) = rest.split_first() {
        let count = others.iter().position(|word| *word == dimensions).map_or(rest.len(), |next| next + 1);
        let (cell, behind) = rest.split_at(count);
        cells.push((cell, is_whole(cell)));
        rest = behind;
    }
    cells
}

fn is_whole(cell: &[u32]) -> bool {
    let vector = Sparse::new(cell);
    let indices = vector.indices();
    cell.len() == 1 + 2 * vector.count()
        && indices.is_sorted_by(|before, next| before < next)
        && indices.last().is_none_or(|last| *last < vector.dimensions())
        && vector.values().iter().all(|value| value.is_finite() && *value != 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_told_apart() {
        let (a, b) = (1.5f32.to_bits(), (-2.0f32).to_bits());
        // A cell, an empty one, one of two elements with a word of a longer one behind it, and space.
        let words = [5, 0, a, 5, 5, 1, 3, a, b, a, 5, 4, b, 0, 0, 0];
        let told: Vec<_> = cells(&words)
            .into_iter()
            .map(|(cell, is_whole)| if is_whole { printed(cell) } else { format!("{} words", cell.len()) })
            .collect();
        assert_eq!(told, ["{1:1.5}/5", "{}/5", "6 words", "{5:-2}/5"]);
        assert!(cells(&[0; 8]).is_empty());
    }
}
