//! Arrays as numpy writes them: `.npy` files, and `.npz` archives of them.
//!
//! Enough of both to read a data set: C order, little-endian floats and integers, byte strings; archive members stored
//! or deflated. Every length comes from a stranger's file, so each is checked before it is used.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result, SqlState};

/// An array of numbers or byte strings, as bytes with a shape.
pub struct Array {
    pub shape: Vec<usize>,
    kind: char,
    /// Bytes of one element.
    width: usize,
    bytes: Vec<u8>,
}

pub fn read_npy(path: &Path) -> Result<Array> {
    Array::parse(read_file(path)?).map_err(|error| error.detail(format!("in {}", path.display())))
}

impl Array {
    fn parse(mut bytes: Vec<u8>) -> Result<Array> {
        let magic = bytes.get(..8).ok_or_else(|| broken("the file is too short"))?;
        if &magic[..6] != b"\x93NUMPY" {
            return Err(broken("this is not a numpy array"));
        }
        let (start, length) = match magic[6] {
            1 => (10, u16_at(&bytes, 8)? as usize),
            _ => (12, u32_at(&bytes, 8)? as usize),
        };
        let end = start + length;
        let header = bytes.get(start..end).ok_or_else(|| broken("the header is cut off"))?;
        let header = String::from_utf8_lossy(header).into_owned();
        let (kind, width) = element(value_of(&header, "descr")?)?;
        if value_of(&header, "fortran_order")?.starts_with("True") {
            return Err(broken("arrays in Fortran order are not read"));
        }
        let shape = shape(value_of(&header, "shape")?)?;
        let items = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        let needed = items.and_then(|items| items.checked_mul(width));
        bytes.drain(..end);
        if needed != Some(bytes.len()) {
            return Err(broken(&format!("shape {shape:?} does not fit {} bytes", bytes.len())));
        }
        Ok(Array { shape, kind, width, bytes })
    }

    /// Numbers as f32.
    pub fn floats(&self) -> Result<Vec<f32>> {
        let items = self.bytes.chunks_exact(self.width);
        Ok(match (self.kind, self.width) {
            ('f', 2) => items.map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect(),
            ('f', 4) => items.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            ('u', 1) => items.map(|b| f32::from(b[0])).collect(),
            ('i', 1) => items.map(|b| f32::from(b[0] as i8)).collect(),
            _ => return Err(self.unread("vectors")),
        })
    }

    /// Integers as i64.
    pub fn integers(&self) -> Result<Vec<i64>> {
        let items = self.bytes.chunks_exact(self.width);
        let signed = self.kind == 'i';
        if !matches!((self.kind, self.width), ('i' | 'u', 1 | 2 | 4 | 8)) {
            return Err(self.unread("integers"));
        }
        Ok(items
            .map(|item| {
                let fill = if signed && item[item.len() - 1] >= 0x80 { 0xff } else { 0 };
                let mut wide = [fill; 8];
                wide[..item.len()].copy_from_slice(item);
                i64::from_le_bytes(wide)
            })
            .collect())
    }

    /// Byte strings, without their padding.
    pub fn strings(&self) -> Result<Vec<String>> {
        if self.kind != 'S' || self.width == 0 {
            return Err(self.unread("strings"));
        }
        let string = |item: &[u8]| String::from_utf8_lossy(item).trim_end_matches('\0').to_owned();
        Ok(self.bytes.chunks_exact(self.width).map(string).collect())
    }

    /// The lines of a text stored as an array of bytes.
    pub fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.bytes).split('\n').map(str::to_owned).collect()
    }

    fn unread(&self, wanted: &str) -> Error {
        broken(&format!("elements of kind '{}{}' are not read as {wanted}", self.kind, self.width))
    }
}

/// The text behind `'key':` in the header's dictionary.
fn value_of<'a>(header: &'a str, key: &str) -> Result<&'a str> {
    let at = header.find(&format!("'{key}':")).ok_or_else(|| broken(&format!("the header has no {key}")))?;
    Ok(header[at + key.len() + 3..].trim_start())
}

/// `'<f2'` is ('f', 2).
fn element(descr: &str) -> Result<(char, usize)> {
    let unknown = || broken(&format!("unknown element type {descr:.10}"));
    let mut letters = descr.strip_prefix('\'').ok_or_else(unknown)?.chars();
    let order = letters.next().ok_or_else(unknown)?;
    let kind = letters.next().ok_or_else(unknown)?;
    let digits: String = letters.take_while(char::is_ascii_digit).collect();
    let width = digits.parse().map_err(|_| unknown())?;
    if order == '>' || width == 0 {
        return Err(unknown());
    }
    Ok((kind, width))
}

/// `(50000, 384)`; `()` is one element.
fn shape(tuple: &str) -> Result<Vec<usize>> {
    let inner = tuple.strip_prefix('(').and_then(|rest| rest.split(')').next());
    let inner = inner.ok_or_else(|| broken("the header has no shape"))?;
    let sizes = inner.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().map_err(|_| broken("the shape is not made of numbers"))).collect()
}

/// An IEEE half as f32.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// An `.npz` archive: a zip file.
pub struct Archive {
    bytes: Vec<u8>,
    members: Vec<Member>,
}

struct Member {
    name: String,
    deflated: bool,
    /// Bytes as stored.
    size: usize,
    /// Of its local header.
    offset: usize,
}

impl Archive {
    pub fn open(path: &Path) -> Result<Archive> {
        let bytes = read_file(path)?;
        let members = directory(&bytes).map_err(|error| error.detail(format!("in {}", path.display())))?;
        Ok(Archive { bytes, members })
    }

    /// The array stored as `name.npy`.
    pub fn array(&self, name: &str) -> Result<Array> {
        let file = format!("{name}.npy");
        let member = self.members.iter().find(|member| member.name == file);
        let member = member.ok_or_else(|| broken(&format!("the archive has no array \"{name}\"")))?;
        // The local header repeats the name and has extra fields of its own length.
        let skip = 30
            + u16_at(&self.bytes, member.offset + 26)? as usize
            + u16_at(&self.bytes, member.offset + 28)? as usize;
        let start = member.offset + skip;
        let stored =
            self.bytes.get(start..start + member.size).ok_or_else(|| broken("the archive is cut off"))?;
        let mut bytes = Vec::new();
        if member.deflated {
            flate2::read::DeflateDecoder::new(stored)
                .read_to_end(&mut bytes)
                .map_err(|error| Error::io("inflate", &file, &error))?;
        } else {
            bytes.extend_from_slice(stored);
        }
        Array::parse(bytes)
    }
}

/// The members, from the central directory at the end.
fn directory(bytes: &[u8]) -> Result<Vec<Member>> {
    let end = bytes.windows(4).rposition(|window| window == b"PK\x05\x06");
    let end = end.ok_or_else(|| broken("this is not a zip archive"))?;
    let count = u16_at(bytes, end + 10)?;
    let mut at = u32_at(bytes, end + 16)? as usize;
    let mut members = Vec::new();
    for _ in 0..count {
        if bytes.get(at..at + 4) != Some(b"PK\x01\x02") {
            return Err(broken("the archive's directory is broken"));
        }
        let name_length = u16_at(bytes, at + 28)? as usize;
        let rest = u16_at(bytes, at + 30)? as usize + u16_at(bytes, at + 32)? as usize;
        let name = bytes.get(at + 46..at + 46 + name_length).ok_or_else(|| broken("a name is cut off"))?;
        members.push(Member {
            name: String::from_utf8_lossy(name).into_owned(),
            deflated: u16_at(bytes, at + 10)? == 8,
            size: u32_at(bytes, at + 20)? as usize,
            offset: u32_at(bytes, at + 42)? as usize,
        });
        at += 46 + name_length + rest;
    }
    Ok(members)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let field = bytes.get(at..at + 2).ok_or_else(|| broken("the file is cut off"))?;
    Ok(u16::from_le_bytes([field[0], field[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from(u16_at(bytes, at)?) | u32::from(u16_at(bytes, at + 2)?) << 16)
}

pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io("read", path.display(), &error))
}

fn broken(message: &str) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn halves_are_exact() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0)] {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn arrays_are_read_and_short_ones_refused() {
        let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n";
        let array = Array::parse(npy(header, &[1, 0, 0xff, 0xff])).expect("an array");
        assert_eq!((array.shape.as_slice(), array.integers().expect("integers")), (&[2][..], vec![1, -1]));
        assert!(array.floats().is_err());
        assert!(Array::parse(npy(header, &[1, 0, 0])).is_err());
        for cut in 0..20 {
            assert!(Array::parse(npy(header, &[1, 0, 0xff, 0xff])[..cut].to_vec()).is_err());
        }
    }
}
