//! Texts inside of binary values, as a client with another encoding sends and gets them.
//!
//! ```text
//!   text, json, enums    all of it          array, record, hstore   each item of it
//!   jsonb, jsonpath      behind a byte      ranges                  each end
//!   tsvector, tsquery    words that end with zeros
//! ```
//!
//! The rest has no text in it. Lengths are those of the text as it is sent. A value that is cut off or says what cannot be is
//! left as it is for the type's own reader to refuse.

use std::borrow::Cow;

use crate::error::Result;
use crate::functions::encodings::Encoding;
use crate::types::Type;

/// The bytes of a value of `ty` as they are here, of those that a client sent.
pub fn received<'b>(ty: &Type, bytes: &'b [u8], client: Encoding) -> Result<Cow<'b, [u8]>> {
    let text = |bytes: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(client.decode(bytes)?.as_bytes());
        Ok(())
    };
    converted(ty, bytes, client, text)
}

/// Converts the value of `ty` that stands in `out` from `start` on to what a client gets.
pub fn send_from(ty: &Type, out: &mut Vec<u8>, start: usize, client: Encoding) -> Result<()> {
    let text = |bytes: &[u8], out: &mut Vec<u8>| {
        let start = out.len();
        out.extend_from_slice(bytes);
        client.encode_from(out, start)
    };
    if let Cow::Owned(bytes) = converted(ty, &out[start..], client, text)? {
        out.truncate(start);
        out.extend_from_slice(&bytes);
    }
    Ok(())
}

/// Whether values of the type have text inside.
pub fn has_text(ty: &Type) -> bool {
    match ty {
        Type::Array(element) => has_text(element),
        Type::Range(_) | Type::Multirange(_) => true,
        _ => {
            is_text(ty)
                || fields(ty).is_some()
                || matches!(ty, Type::Jsonb | Type::JsonPath | Type::Hstore | Type::TsVector | Type::TsQuery)
        }
    }
}

fn is_text(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Text
            | Type::Varchar(_)
            | Type::Bpchar(_)
            | Type::Citext
            | Type::Name
            | Type::Json
            | Type::Enum(_)
    )
}

type Convert<'c> = &'c dyn Fn(&[u8], &mut Vec<u8>) -> Result<()>;

fn converted<'b>(
    ty: &Type,
    bytes: &'b [u8],
    client: Encoding,
    text: impl Fn(&[u8], &mut Vec<u8>) -> Result<()>,
) -> Result<Cow<'b, [u8]>> {
    if client.is_ours() || !has_text(ty) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut out = Vec::with_capacity(bytes.len());
    convert(ty, bytes, &mut out, &text)?;
    Ok(Cow::Owned(out))
}

fn convert(ty: &Type, bytes: &[u8], out: &mut Vec<u8>, text: Convert<'_>) -> Result<()> {
    let mut parts = Parts { rest: bytes, out, text };
    match ty {
        _ if is_text(ty) => return text(bytes, out),
        Type::Jsonb | Type::JsonPath => {
            if parts.copy(1).is_some() {
                let rest = parts.rest;
                return text(rest, parts.out);
            }
        }
        Type::Hstore => {
            if let Some(pairs) = parts.number() {
                for _ in 0..pairs.saturating_mul(2).max(0) {
                    if parts.item(&Type::Text)?.is_none() {
                        break;
                    }
                }
            }
        }
        Type::TsVector => {
            let _ = parts.copy(4);
            while parts.word()?.is_some() {
                let Some(positions) = parts.copy(2) else { break };
                let positions = usize::from(u16::from_be_bytes([positions[0], positions[1]]));
                if parts.copy(2 * positions).is_none() {
                    break;
                }
            }
        }
        Type::TsQuery => {
            let _ = parts.copy(4);
            loop {
                // A word with its weights and whether it is a beginning; a phrase with its distance; another operator.
                let done = match *parts.rest {
                    [1, ..] => parts.copy(3).is_none() || parts.word()?.is_none(),
                    [2, 4, ..] => parts.copy(4).is_none(),
                    _ => parts.copy(2).is_none(),
                };
                if done {
                    break;
                }
            }
        }
        Type::Array(_) => {
            // Dimensions, whether there are NULLs, the type, and a length and a first place per dimension.
            let header = parts.number().map_or(0, |dimensions| dimensions.clamp(0, 6) as usize * 8 + 8);
            let _ = parts.copy(header);
            while parts.item(ty.element())?.is_some() {}
        }
        Type::Range(of) => parts.range(&of.element())?,
        Type::Multirange(of) => {
            let _ = parts.copy(4);
            while parts.item(&Type::Range(of.clone()))?.is_some() {}
        }
        _ => {
            let _ = parts.copy(4);
            for field in fields(ty).into_iter().flatten() {
                // The type's number stands before each.
                if parts.copy(4).is_none() || parts.item(&field)?.is_none() {
                    break;
                }
            }
        }
    }
    parts.out.extend_from_slice(parts.rest);
    Ok(())
}

/// The types of a row's columns.
fn fields(ty: &Type) -> Option<Vec<Type>> {
    match ty {
        Type::Record(fields) => Some(fields.iter().map(|field| field.ty.clone()).collect()),
        Type::Composite(of) => Some(of.record().iter().map(|field| field.ty.clone()).collect()),
        _ => None,
    }
}

/// A value on its way from one encoding to the other.
struct Parts<'p> {
    rest: &'p [u8],
    out: &'p mut Vec<u8>,
    text: Convert<'p>,
}

impl<'p> Parts<'p> {
    /// Bytes that stay as they are; `None` when there are not as many.
    fn copy(&mut self, count: usize) -> Option<&'p [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.out.extend_from_slice(bytes);
        self.rest = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<i32> {
        self.copy(4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes)
    }

    /// Text up to a zero; `None` where there is none.
    fn word(&mut self) -> Result<Option<()>> {
        let Some(end) = self.rest.iter().position(|byte| *byte == 0) else { return Ok(None) };
        let (word, rest) = self.rest.split_at(end);
        (self.text)(word, self.out)?;
        self.rest = rest;
        Ok(self.copy(1).map(|_| ()))
    }

    /// A length and an item of that many bytes, or -1; `None` at the end and where it is cut off.
    fn item(&mut self, ty: &Type) -> Result<Option<()>> {
        let Some((length, _)) = self.rest.split_first_chunk::<4>() else { return Ok(None) };
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            return Ok(self.copy(4).map(|_| ()));
        };
        let Some(item) = self.rest[4..].get(..length) else { return Ok(None) };
        let mut converted = Vec::with_capacity(length);
        convert(ty, item, &mut converted, self.text)?;
        self.out.extend_from_slice(&(converted.len() as i32).to_be_bytes());
        self.out.extend_from_slice(&converted);
        self.rest = &self.rest[4 + length..];
        Ok(Some(()))
    }

    /// The flags of a range, and the ends that it has.
    fn range(&mut self, element: &Type) -> Result<()> {
        let _ = self.copy(1);
        while self.item(element)?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Value, binary, text};

    fn latin1() -> Encoding {
        Encoding::find("latin1").expect("an encoding")
    }

    fn sent(ty: &Type, ours: &[u8]) -> Vec<u8> {
        let mut out = [b"before", ours].concat();
        send_from(ty, &mut out, 6, latin1()).expect("a value in Latin-1");
        out.split_off(6)
    }

    #[test]
    fn texts_inside_of_values_are_converted() {
        let texts = Type::Array(Box::new(Type::Text));
        let word = |word: &str| Value::Text(word.to_owned());
        for (value, ty, differs) in [
            (word("é"), Type::Text, true),
            (Value::Array(vec![word("né"), Value::Null, word("a")]), texts, true),
            (Value::Jsonb("\"é\"".to_owned()), Type::Jsonb, true),
            (text::parse(&Type::TsVector, "'né':1A,3 'a'").expect("a tsvector"), Type::TsVector, true),
            (text::parse(&Type::TsQuery, "né:*A <2> b & !ü").expect("a tsquery"), Type::TsQuery, true),
            (Value::Array(vec![Value::Int4(233)]), Type::Array(Box::new(Type::Int4)), false),
            (Value::Bytea(b"\xc3\xa9".to_vec()), Type::Bytea, false),
        ] {
            let mut ours = Vec::new();
            binary::send(&value, &ty, &mut ours);
            let theirs = sent(&ty, &ours);
            assert_eq!(*theirs != *ours, differs, "{value:?}");
            assert_eq!(theirs.len() < ours.len(), differs, "{value:?}");
            let back = received(&ty, &theirs, latin1()).expect("a value");
            assert_eq!(binary::receive(&ty, &back).expect("the value"), value);
        }
    }

    #[test]
    fn what_is_cut_off_is_left_to_its_reader() {
        let texts = Type::Array(Box::new(Type::Text));
        let mut ours = Vec::new();
        binary::send(&Value::Array(vec![Value::Text("né".to_owned())]), &texts, &mut ours);
        let theirs = sent(&texts, &ours);
        for end in 0..theirs.len() {
            let cut = received(&texts, &theirs[..end], latin1()).expect("bytes");
            assert!(binary::receive(&texts, &cut).is_err() || end < 12, "cut at {end}");
        }
    }
}
