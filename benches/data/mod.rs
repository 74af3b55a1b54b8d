//! Reads numpy's files: `.npy` arrays of the types the benchmark data has, and `.npz` archives of them.
//!
//! Included by benches and tests; the data itself is looked for in `$HITHER_DATA`, then in `../shared/data`.

#![allow(dead_code, reason = "each user needs a part")]

use std::io::Read;
use std::path::{Path, PathBuf};

/// An array of any shape; values converted.
pub struct Array {
    pub shape: Vec<usize>,
    kind: String,
    bytes: Vec<u8>,
}

/// The folder of data sets, if there is one.
pub fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("HITHER_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    [named, Some(beside)].into_iter().flatten().find(|path| path.join("minilm/base.npy").exists())
}

pub fn npy(path: &Path) -> Array {
    parse(std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// The array `name` of an archive.
pub fn npz(path: &Path, name: &str) -> Array {
    let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let number = |at: usize, bytes: usize| -> usize {
        file[at..at + bytes].iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte))
    };
    // The end record, 22 bytes without a comment, leads to the central directory.
    let end = file.len() - 22;
    assert_eq!(&file[end..end + 4], b"PK\x05\x06", "no archive, or one with a comment");
    let mut at = number(end + 16, 4);
    for _ in 0..number(end + 10, 2) {
        let (method, packed, unpacked) = (number(at + 10, 2), number(at + 20, 4), number(at + 24, 4));
        let (name_bytes, extra, comment) = (number(at + 28, 2), number(at + 30, 2), number(at + 32, 2));
        let local = number(at + 42, 4);
        if file[at + 46..at + 46 + name_bytes] == *format!("{name}.npy").as_bytes() {
            let start = local + 30 + number(local + 26, 2) + number(local + 28, 2);
            let data = &file[start..start + packed];
            if method == 0 {
                return parse(data.to_vec());
            }
            let mut bytes = Vec::with_capacity(unpacked);
            flate2::read::DeflateDecoder::new(data).read_to_end(&mut bytes).expect("a whole archive");
            return parse(bytes);
        }
        at += 46 + name_bytes + extra + comment;
    }
    panic!("{} has no array {name}", path.display());
}

fn parse(file: Vec<u8>) -> Array {
    assert_eq!(&file[..6], b"\x93NUMPY", "not a .npy file");
    let header_bytes = usize::from(u16::from_le_bytes([file[8], file[9]]));
    let header = String::from_utf8_lossy(&file[10..10 + header_bytes]).into_owned();
    let after = |key: &str| &header[header.find(key).expect("a header field") + key.len()..];
    let kind = after("'descr': '").split('\'').next().expect("a type").to_owned();
    let shape = after("'shape': (").split(')').next().expect("a shape");
    let shape = shape.split(',').filter_map(|part| part.trim().parse().ok()).collect();
    Array { shape, kind, bytes: file[10 + header_bytes..].to_vec() }
}

impl Array {
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    pub fn columns(&self) -> usize {
        self.shape[1]
    }

    pub fn floats(&self) -> Vec<f32> {
        match self.kind.as_str() {
            "<f2" => self.values(|b: [u8; 2]| half(u16::from_le_bytes(b))),
            "<f4" => self.values(f32::from_le_bytes),
            "|u1" => self.values(|b: [u8; 1]| f32::from(b[0])),
            other => panic!("floats of {other}"),
        }
    }

    pub fn integers(&self) -> Vec<i64> {
        match self.kind.as_str() {
            "<i2" => self.values(|b| i64::from(i16::from_le_bytes(b))),
            "<i4" => self.values(|b| i64::from(i32::from_le_bytes(b))),
            "<i8" => self.values(i64::from_le_bytes),
            other => panic!("integers of {other}"),
        }
    }

    /// numpy's fixed-width byte strings, without the padding.
    pub fn strings(&self) -> Vec<String> {
        let width: usize = self.kind.trim_start_matches("|S").parse().expect("byte strings");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        self.bytes.chunks_exact(width).map(text).collect()
    }

    fn values<const N: usize, T>(&self, value: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect()
    }
}

/// IEEE half precision to single.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15), u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction as f32 * 2f32.powi(-24),
        31 => f32::from_bits(0x7F80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    if sign == 1 { -magnitude } else { magnitude }
}
