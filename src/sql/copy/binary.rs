//! The binary format, inwards.
//!
//! ```text
//!   "PGCOPY\n\xff\r\n\0" | flags i32 | extension bytes i32, extension | rows ... | -1 i16
//!   row: fields i16, then per field: bytes i32 (-1 for NULL), the field
//! ```

use std::ops::Range;

use crate::error::{Error, Result, SqlState};
use crate::sql::copy::fields::{Fields, Pending, bad_format};

pub const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Bit 16 of the flags: rows have oids, which PostgreSQL 12 gave up. Bits above are critical.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// A field's bytes at most, as in PostgreSQL's palloc.
const FIELD_BYTES_MAX: i32 = 0x3fff_ffff;

#[derive(Debug, Default)]
pub struct BinaryDecoder {
    pub pending: Pending,
    header_read: bool,
    ended: bool,
    pub line: Range<usize>,
    pub line_number: u64,
}

impl BinaryDecoder {
    /// The next row's fields; `None` when more data is needed, or after the trailer.
    pub fn next(&mut self, columns: usize, fields: &mut Fields, last: bool) -> Result<Option<()>> {
        if self.ended {
            return self.nothing_after_trailer();
        }
        if !self.header_read && !self.read_header(last)? {
            return Ok(None);
        }
        fields.clear();
        match self.read_row(columns, fields)? {
            Some(()) => Ok(Some(())),
            None if self.ended => self.nothing_after_trailer(),
            // PostgreSQL takes data that ends between rows, without a trailer, for complete.
            None if last && !self.pending.rest().is_empty() => Err(bad_format("unexpected EOF in COPY data")),
            None => Ok(None),
        }
    }

    fn nothing_after_trailer(&self) -> Result<Option<()>> {
        match self.pending.rest() {
            [] => Ok(None),
            _ => Err(bad_format("received copy data after EOF marker")),
        }
    }

    fn read_header(&mut self, last: bool) -> Result<bool> {
        let rest = self.pending.rest();
        let known = rest.len().min(SIGNATURE.len());
        if rest[..known] != SIGNATURE[..known] || (last && rest.len() < SIGNATURE.len()) {
            return Err(bad_format("COPY file signature not recognized"));
        }
        let fixed = SIGNATURE.len() + 8;
        if rest.len() < fixed {
            return if last {
                Err(bad_format("invalid COPY file header (missing flags)"))
            } else {
                Ok(false)
            };
        }
        let flags = u32::from_be_bytes(four(&rest[SIGNATURE.len()..]));
        if flags & CRITICAL_FLAGS != 0 {
            return Err(bad_format("unrecognized critical flags in COPY file header"));
        }
        let extension = usize::try_from(i32::from_be_bytes(four(&rest[SIGNATURE.len() + 4..])))
            .map_err(|_| bad_format("invalid COPY file header (missing length)"))?;
        if rest.len() < fixed + extension {
            return if last { Err(bad_format("invalid COPY file header (wrong length)")) } else { Ok(false) };
        }
        self.pending.take(fixed + extension);
        self.header_read = true;
        Ok(true)
    }

    fn read_row(&mut self, columns: usize, fields: &mut Fields) -> Result<Option<()>> {
        let rest = self.pending.rest();
        let Some(count) = rest.get(..2).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]])) else {
            return Ok(None);
        };
        if count == -1 {
            self.pending.take(2);
            self.ended = true;
            return Ok(None);
        }
        if usize::try_from(count) != Ok(columns) {
            self.line_number += 1;
            return Err(bad_format(format!("row field count is {count}, expected {columns}")));
        }
        let mut at = 2;
        for _ in 0..columns {
            let Some(length) = rest.get(at..at + 4).map(|bytes| i32::from_be_bytes(four(bytes))) else {
                return Ok(None);
            };
            at += 4;
            match length {
                -1 => fields.null(),
                0..=FIELD_BYTES_MAX => {
                    let Some(bytes) = rest.get(at..at + length as usize) else { return Ok(None) };
                    let start = fields.bytes.len();
                    fields.bytes.extend_from_slice(bytes);
                    fields.end(start);
                    at += length as usize;
                }
                _ => {
                    self.line_number += 1;
                    return Err(Error::new(SqlState::BAD_COPY_FILE_FORMAT, "invalid field size"));
                }
            }
        }
        self.line_number += 1;
        self.line = self.pending.take(at);
        Ok(Some(()))
    }
}

fn four(bytes: &[u8]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut file = SIGNATURE.to_vec();
        file.extend([0; 8]);
        file.extend([0, 2, 0, 0, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff]);
        file.extend([0, 2, 0, 0, 0, 0, 0, 0, 0, 2, b'b', b'c']);
        file.extend([0xff, 0xff]);
        file
    }

    #[test]
    fn rows_cut_anywhere_are_the_same_rows() {
        let file = file();
        for cut in 0..file.len() {
            let (mut decoder, mut fields, mut rows) =
                (BinaryDecoder::default(), Fields::default(), Vec::new());
            for piece in [&file[..cut], &file[cut..]] {
                decoder.pending.push(piece);
                while decoder.next(2, &mut fields, false).unwrap().is_some() {
                    rows.push([0, 1].map(|n| fields.get(n).map(<[u8]>::to_vec)));
                }
            }
            assert_eq!(rows, [[Some(b"a".to_vec()), None], [Some(vec![]), Some(b"bc".to_vec())]]);
        }
    }

    #[test]
    fn broken_files_are_refused() {
        let broken = |bytes: &[u8]| {
            let (mut decoder, mut fields) = (BinaryDecoder::default(), Fields::default());
            decoder.pending.push(bytes);
            loop {
                match decoder.next(2, &mut fields, true) {
                    Ok(Some(())) => {}
                    Ok(None) => return String::new(),
                    Err(error) => return error.message().to_string(),
                }
            }
        };
        assert_eq!(broken(b"1\tx\n"), "COPY file signature not recognized");
        assert_eq!(broken(&file()[..29]), "unexpected EOF in COPY data");
        // Nineteen bytes of header, eleven of a row: data may end between rows.
        assert_eq!(broken(&file()[..30]), "");
        let mut wide = file();
        wide[20] = 3;
        assert_eq!(broken(&wide), "row field count is 3, expected 2");
        let mut after = file();
        after.push(0);
        assert_eq!(broken(&after), "received copy data after EOF marker");
    }
}
