//! Messages for clients whose encoding is another than UTF-8.
//!
//! Messages are written in UTF-8 and converted where they leave, whole. Cells and COPY data are not: what is text in them is
//! known where they are written (`encode.rs`, `sql/copy/`). Nobody can be told of an error here, so a character that the
//! encoding does not have is `?`; names of columns are looked at before.
//!
//! ```text
//!   E, N, S   letters, strings and zeros: all of it
//!   A         a process id, then strings
//!   T         a number, then for each column a name and 18 bytes
//! ```

use std::ops::Range;

use crate::functions::encodings::Encoding;

/// What stands behind a column's name in RowDescription.
const COLUMN_BYTES: usize = 18;

/// Converts the messages that stand in `out` from `start` on.
pub fn messages(out: &mut Vec<u8>, start: usize, client: Encoding) {
    if client.is_ours() || out[start..].is_ascii() {
        return;
    }
    let messages = out.split_off(start);
    let mut rest = messages.as_slice();
    while let Some((message, behind)) = split(rest) {
        one(message, client, out);
        rest = behind;
    }
    out.extend_from_slice(rest);
}

/// The first message, and what is behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = bytes.get(1..)?.first_chunk::<4>()?;
    bytes.split_at_checked(1 + u32::from_be_bytes(*length) as usize)
}

fn one(message: &[u8], client: Encoding, out: &mut Vec<u8>) {
    let body = &message[5..];
    let strings: Vec<Range<usize>> = match message[0] {
        b'E' | b'N' | b'S' => std::iter::once(0..body.len()).collect(),
        b'A' => std::iter::once(4..body.len()).collect(),
        b'T' => names(body),
        _ => return out.extend_from_slice(message),
    };
    let start = out.len();
    out.extend_from_slice(&message[..5]);
    let mut done = 0;
    for string in strings {
        out.extend_from_slice(&body[done..string.start]);
        out.extend_from_slice(&client.encode_or_mark(&String::from_utf8_lossy(&body[string.clone()])));
        done = string.end;
    }
    out.extend_from_slice(&body[done..]);
    // No encoding takes more bytes for a character than fit, if its UTF-8 did: GB18030 has four for two at most.
    let length = (out.len() - start - 1) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

/// Where the names of columns are in a RowDescription.
fn names(body: &[u8]) -> Vec<Range<usize>> {
    let mut names = Vec::new();
    let mut at = 2;
    while let Some(length) = body.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) {
        names.push(at..at + length);
        at += length + 1 + COLUMN_BYTES;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::backend;
    use crate::sql::OutputColumn;
    use crate::types::Type;

    #[test]
    fn strings_are_converted_and_numbers_are_not() {
        let latin1 = Encoding::find("latin1").expect("an encoding");
        let column =
            |name: &str| OutputColumn { name: name.to_owned(), ty: Type::Int4, table_oid: 0xe9, attnum: 1 };
        let mut out = b"before\xc3\xa9".to_vec();
        let start = out.len();
        backend::parameter_status(&mut out, "x".to_owned(), "a€é".to_owned());
        backend::row_description(&mut out, &[column("é"), column("b")], &[]);
        backend::ready(&mut out, b'I');
        let mut expected = b"before\xc3\xa9S\0\0\0\x0ax\0a?\xe9\0".to_vec();
        let mut described = Vec::new();
        backend::row_description(&mut described, &[column("e"), column("b")], &[]);
        described[7] = 0xe9;
        expected.extend(described);
        backend::ready(&mut expected, b'I');
        messages(&mut out, start, latin1);
        assert_eq!(out, expected);
    }
}
