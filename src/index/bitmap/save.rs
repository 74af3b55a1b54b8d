//! An index as bytes, for a checkpoint.
//!
//! ```text
//!   magic "HBIT"  version u32  family u8  kind u8 (0 fixed, 1 text, 2 text given up, 3 unusable)
//!   chunks u32    per chunk: present 1,024 bytes, null 1,024 bytes, then the keys of present slots in order,
//!                 little-endian at the family's width (text: codes of 2 bytes; given up: none)
//!   texts u32     kind 1 only: length varint, bytes, code u16; ascending
//!   crc32c u32    over everything before
//! ```
//!
//! Bitmaps by value are made anew while loading.

use std::collections::BTreeMap;

use super::array::{Array, CHUNK_SLOTS, Chunk, WORDS};
use super::fixed::Fixed;
use super::keys::{Family, Key};
use super::text::Text;
use super::{ColumnIndex, Values};
use crate::codec::{self, Reader};
use crate::error::Result;
use crate::types::Type;

const MAGIC: &[u8; 4] = b"HBIT";
const FORMAT_VERSION: u32 = 1;
const FIXED: u8 = 0;
const TEXT: u8 = 1;
const TEXT_GIVEN_UP: u8 = 2;
const UNUSABLE: u8 = 3;

impl ColumnIndex {
    /// Appends the index to `out`.
    pub fn save(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(MAGIC);
        codec::put_u32(out, FORMAT_VERSION);
        out.push(self.family.number());
        match &self.values {
            Values::Two(fixed) => save_fixed(FIXED, fixed, out),
            Values::Four(fixed) => save_fixed(FIXED, fixed, out),
            Values::Eight(fixed) => save_fixed(FIXED, fixed, out),
            Values::Sixteen(fixed) => save_fixed(FIXED, fixed, out),
            Values::Text(text) => save_text(text, out),
            Values::Unusable => out.push(UNUSABLE),
        }
        let sum = crc32c::crc32c(&out[start..]);
        codec::put_u32(out, sum);
    }

    /// The index of a column of type `ty` from the bytes [`ColumnIndex::save`] made; `name` is the file's, for
    /// errors (XX001).
    pub fn load(ty: &Type, bytes: &[u8], name: &str) -> Result<ColumnIndex> {
        let mut reader = Reader::new(bytes).named(name, 0);
        let Some(body) = bytes.len().checked_sub(4) else {
            return Err(reader.corrupt("a metadata index", format!("{} bytes", bytes.len())));
        };
        let expected = crc32c::crc32c(&bytes[..body]);
        let found = Reader::new(&bytes[body..]).u32()?;
        if expected != found {
            return Err(reader.corrupt(format!("checksum {expected:08x}"), format!("{found:08x}")));
        }
        if reader.take(4)? != MAGIC || reader.u32()? != FORMAT_VERSION {
            return Err(reader.corrupt("a metadata index of this version", "something else"));
        }
        let family =
            Family::of(ty).filter(|family| reader.u8().is_ok_and(|number| number == family.number()));
        let Some(family) = family else {
            return Err(reader.corrupt(format!("an index on {ty:?}"), "one on another type"));
        };
        let kind = reader.u8()?;
        let values = match (kind, family.key_bytes()) {
            (UNUSABLE, _) => Values::Unusable,
            (FIXED, Some(2)) => Values::Two(Fixed::from_array(load_array(&mut reader, true)?)),
            (FIXED, Some(4)) => Values::Four(Fixed::from_array(load_array(&mut reader, true)?)),
            (FIXED, Some(8)) => Values::Eight(Fixed::from_array(load_array(&mut reader, true)?)),
            (FIXED, Some(16)) => Values::Sixteen(Fixed::from_array(load_array(&mut reader, true)?)),
            (TEXT, None) => {
                let codes = Fixed::from_array(load_array(&mut reader, true)?);
                Values::Text(Text::from_parts(codes, Some(load_texts(&mut reader)?)))
            }
            (TEXT_GIVEN_UP, None) => {
                Values::Text(Text::from_parts(Fixed::from_array(load_array(&mut reader, false)?), None))
            }
            _ => return Err(reader.corrupt("a kind of index", kind)),
        };
        if reader.remaining() != 4 {
            return Err(reader.corrupt("the end", format!("{} bytes more", reader.remaining())));
        }
        Ok(ColumnIndex { family, values })
    }
}

fn save_fixed<K: Key>(kind: u8, fixed: &Fixed<K>, out: &mut Vec<u8>) {
    out.push(kind);
    save_array(fixed.array(), kind != TEXT_GIVEN_UP, out);
}

fn save_array<K: Key>(array: &Array<K>, with_keys: bool, out: &mut Vec<u8>) {
    codec::put_u32(out, array.chunks().len() as u32);
    for chunk in array.chunks() {
        chunk.present.iter().chain(&chunk.null[..]).for_each(|&word| codec::put_u64(out, word));
        for place in places(&chunk.present).filter(|_| with_keys) {
            out.extend_from_slice(&chunk.keys[place].widen().to_le_bytes()[..K::BYTES]);
        }
    }
}

fn save_text(text: &Text, out: &mut Vec<u8>) {
    let Some(dictionary) = text.dictionary() else {
        return save_fixed(TEXT_GIVEN_UP, text.codes(), out);
    };
    save_fixed(TEXT, text.codes(), out);
    codec::put_u32(out, dictionary.codes.len() as u32);
    for (text, &code) in &dictionary.codes {
        codec::put_str(out, text);
        codec::put_u16(out, code);
    }
}

fn load_array<K: Key>(reader: &mut Reader, with_keys: bool) -> Result<Array<K>> {
    let count = reader.u32()?;
    if count as usize > reader.remaining() / (WORDS * 16) {
        return Err(reader.corrupt("as many chunks as there are bytes for", count));
    }
    let mut chunks = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let (present, null) = (load_bits(reader)?, load_bits(reader)?);
        let mut keys = vec![K::default(); CHUNK_SLOTS];
        for place in places(&present).filter(|_| with_keys) {
            let mut wide = [0; 16];
            wide[..K::BYTES].copy_from_slice(reader.take(K::BYTES)?);
            keys[place] = K::narrow(u128::from_le_bytes(wide));
        }
        chunks.push(Chunk::from_parts(keys, present, null));
    }
    Ok(Array::from_chunks(chunks))
}

fn load_bits(reader: &mut Reader) -> Result<[u64; WORDS]> {
    let mut bits = [0; WORDS];
    for word in &mut bits {
        *word = reader.u64()?;
    }
    Ok(bits)
}

fn load_texts(reader: &mut Reader) -> Result<BTreeMap<Box<str>, u16>> {
    let count = reader.u32()?;
    let mut texts = BTreeMap::new();
    for _ in 0..count {
        let text = reader.str()?.into();
        texts.insert(text, reader.u16()?);
    }
    Ok(texts)
}

/// Places of the bits that are set, ascending.
fn places(bits: &[u64; WORDS]) -> impl Iterator<Item = usize> + '_ {
    bits.iter().enumerate().filter(|(_, word)| **word != 0).flat_map(|(number, &word)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| number * 64 + bit)
    })
}
