//! A vector segment as lines that people read: `hither dump --file`.

use std::path::Path;

use crate::distance::{Element, Vector};
use crate::error::{Error, Result};
use crate::fs::{Fs, Lines, OpenMode};
use crate::vectors::SEGMENT_SLOTS;
use crate::vectors::heap::Place;
use crate::vectors::segment::{Layout, slot_sum};

/// Whether a file is a segment, and then every slot that was ever written: which of them live, the rows tell.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut header = [0; 32];
    if file.len()? < 4096 {
        return Ok(false);
    }
    file.read_exact_at(&mut header, 0)?;
    if &header[..8] != b"HITHRVEC" {
        return Ok(false);
    }
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let (column, dimensions, number) = (word(12), word(16) as usize, word(24));
    let element = Element::ALL
        .into_iter()
        .find(|element| element.number() == word(20))
        .ok_or_else(|| Error::corrupt(path.display(), 20, "an element from 0 to 3", word(20)))?;
    let layout = Layout::new(element, dimensions);
    out(format!("vector segment {number} of column {column}: {}({dimensions})", element.type_name()))?;
    let map = file.map(file.len()?)?;
    let word =
        |at: u64| u32::from_le_bytes(map[at as usize..at as usize + 4].try_into().expect("four bytes"));
    for place in 0..layout.slots_of(file.len()?) {
        let at = layout.vector(place) as usize;
        let vector = &map[at..at + layout.stride];
        let slot = number * SEGMENT_SLOTS + place;
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
        let expected = slot_sum(slot, norm, vector);
        let told = if expected == sum { "" } else { "; its checksum is wrong" };
        out(format!("{slot}: {}{told}", shown(norm, element.read(vector, dimensions))))?;
    }
    Ok(true)
}

fn shown(norm: f32, vector: Vector<'_>) -> String {
    match vector {
        _ if norm.is_nan() => "NULL".into(),
        Vector::F32(values) => format!("{values:?}"),
        Vector::F16(values) => format!("{values:?}"),
        other => format!("{other:?}"),
    }
}
