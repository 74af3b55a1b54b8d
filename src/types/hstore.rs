//! PostgreSQL's `hstore`: keys with values, which may be NULL, as text.
//!
//! Pairs lie in the order in which hstore keeps them, the shortest keys first and those of one length by their bytes.
//! What a statement gives twice is there once, as it was given first.
//!
//! In memory they are pairs of strings; in rows, keys and Arrow they are bytes that sort as hstore's own operators of
//! sorting do, by all text first and by where it is cut last:
//!
//! ```text
//!   keys and values, one after the other   0   pairs: u32   then of each key and each value in turn
//!   (no byte of text is zero)                               where it ends: u32, whether it is NULL: u8
//! ```
//!
//! Numbers are big-endian. Of no pairs there are no bytes.

use std::cmp::Ordering;

use crate::error::{Error, Result, SqlState};
use crate::types::Value;
use crate::types::binary::{Parts, trailing, utf8};
use crate::types::json;
use crate::types::text::is_space;

/// A key and its value.
pub type Pair = (String, Option<String>);

/// Most pairs that hstore takes: its MaxAllocSize divided by what a pair takes in its memory.
const PAIRS_MAX: i32 = 26_843_545;

/// Unique keys in order, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hstore {
    pairs: Vec<Pair>,
}

fn order(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.as_bytes().cmp(right.as_bytes()))
}

impl Hstore {
    /// Of pairs in any order; of those with one key the first stays.
    pub fn new(mut pairs: Vec<Pair>) -> Hstore {
        pairs.sort_by(|(left, _), (right, _)| order(left, right));
        pairs.dedup_by(|later, earlier| later.0 == earlier.0);
        Hstore { pairs }
    }

    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The value of a key, which may be NULL; `None` without such a key.
    pub fn get(&self, key: &str) -> Option<Option<&str>> {
        let place = self.pairs.binary_search_by(|(found, _)| order(found, key)).ok()?;
        Some(self.pairs[place].1.as_deref())
    }

    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether all pairs of `other` are here.
    pub fn contains(&self, other: &Hstore) -> bool {
        other.pairs.iter().all(|(key, value)| self.get(key) == Some(value.as_deref()))
    }

    /// Both; of a key that both have, the value of `other`.
    pub fn concat(&self, other: &Hstore) -> Hstore {
        Hstore::new(other.pairs.iter().chain(&self.pairs).cloned().collect())
    }

    /// The pairs that stay.
    pub fn filtered(&self, stays: impl Fn(&str, Option<&str>) -> bool) -> Hstore {
        let kept = self.pairs.iter().filter(|(key, value)| stays(key, value.as_deref()));
        Hstore { pairs: kept.cloned().collect() }
    }

    /// As a document of strings; `loose` makes numbers and booleans of what looks so.
    pub fn to_json(&self, loose: bool) -> String {
        let mut out = String::from("{");
        for (place, (key, value)) in self.pairs.iter().enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            json::print_string(key, &mut out);
            out.push_str(": ");
            match value.as_deref() {
                None => out.push_str("null"),
                Some("t") if loose => out.push_str("true"),
                Some("f") if loose => out.push_str("false"),
                Some(number) if loose && is_number(number) => out.push_str(number),
                Some(text) => json::print_string(text, &mut out),
            }
        }
        out.push('}');
        out
    }

    /// See the drawing above.
    pub fn bytes(&self) -> Vec<u8> {
        if self.pairs.is_empty() {
            return Vec::new();
        }
        let texts = || self.pairs.iter().flat_map(|(key, value)| [Some(key.as_str()), value.as_deref()]);
        let mut bytes: Vec<u8> = texts().flatten().flat_map(str::bytes).collect();
        bytes.push(0);
        bytes.extend_from_slice(&(self.pairs.len() as u32).to_be_bytes());
        let mut end = 0;
        for text in texts() {
            end += text.map_or(0, str::len) as u32;
            bytes.extend_from_slice(&end.to_be_bytes());
            bytes.push(u8::from(text.is_none()));
        }
        bytes
    }

    /// The inverse of [`Hstore::bytes`]; `None` of other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Hstore> {
        if bytes.is_empty() {
            return Some(Hstore::default());
        }
        let zero = bytes.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(&bytes[..zero]).ok()?;
        let (count, ends) = bytes[zero + 1..].split_first_chunk::<4>()?;
        let (entries, rest) = ends.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() || entries.len() != usize::try_from(u32::from_be_bytes(*count)).ok()? * 2 {
            return None;
        }
        let mut start = 0;
        let mut next = |&[a, b, c, d, null]: &[u8; ENTRY_BYTES]| {
            let end = u32::from_be_bytes([a, b, c, d]) as usize;
            let part = text.get(start..end)?;
            start = end;
            Some((null == 0).then(|| part.to_owned()))
        };
        let pair = |entry: &[[u8; ENTRY_BYTES]; 2]| Some((next(&entry[0])??, next(&entry[1])?));
        let pairs = entries.as_chunks::<2>().0.iter().map(pair).collect::<Option<Vec<Pair>>>()?;
        let in_order = pairs.windows(2).all(|two| order(&two[0].0, &two[1].0) == Ordering::Less);
        in_order.then_some(Hstore { pairs })
    }
}

/// Where a key or a value ends, and whether it is NULL.
const ENTRY_BYTES: usize = 5;

/// Whether a document could have the text as a number.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && json::check(text).is_ok()
}

/// Keys and values in turn, as hstore(text[]) takes them.
pub fn of_array(items: &[Value]) -> Result<Hstore> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        let message = "array must have even number of elements";
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
    }
    let pairs = pairs.iter().map(|[key, value]| Ok((text_of(key).ok_or_else(null_key)?, text_of(value))));
    Ok(Hstore::new(pairs.collect::<Result<_>>()?))
}

/// Text that is not NULL.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// 22004 for a key that is NULL.
pub fn null_key() -> Error {
    Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for hstore key")
}

/// `"a"=>"1", "b"=>NULL`
pub fn print(hstore: &Hstore, out: &mut Vec<u8>) {
    for (place, (key, value)) in hstore.pairs.iter().enumerate() {
        if place > 0 {
            out.extend_from_slice(b", ");
        }
        print_quoted(key, out);
        out.extend_from_slice(b"=>");
        match value {
            Some(value) => print_quoted(value, out),
            None => out.extend_from_slice(b"NULL"),
        }
    }
}

fn print_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// hstore_in.
pub fn parse(text: &str) -> Result<Hstore> {
    let mut parser = Parser { text, at: 0 };
    let mut pairs = Vec::new();
    while let Some((key, _)) = parser.word(b'=')? {
        parser.skip_spaces();
        parser.expect('=')?;
        parser.expect('>')?;
        let (value, quoted) = parser.word(b',')?.ok_or_else(unexpected_end)?;
        let is_null = !quoted && value.eq_ignore_ascii_case("null");
        pairs.push((key, (!is_null).then_some(value)));
        parser.skip_spaces();
        if parser.peek().is_none() {
            break;
        }
        parser.expect(',')?;
    }
    Ok(Hstore::new(pairs))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        match self.peek() {
            Some(found) if found == wanted => {
                self.at += found.len_utf8();
                Ok(())
            }
            Some(found) => Err(self.unexpected(found)),
            None => Err(unexpected_end()),
        }
    }

    fn unexpected(&self, found: char) -> Error {
        let message = format!("syntax error in hstore, near \"{found}\" at position {}", self.at);
        Error::new(SqlState::SYNTAX_ERROR, message)
    }

    /// A key, which ends before `=`, or a value, which ends before `,`, and whether quotes were around it; `None` at the
    /// end of the text. One without quotes also ends at white space, and one with them at the second.
    fn word(&mut self, end: u8) -> Result<Option<(String, bool)>> {
        self.skip_spaces();
        let mut word = String::new();
        let quoted = match self.peek() {
            None => return Ok(None),
            Some('=') if end == b'=' => return Err(self.unexpected('=')),
            first => first == Some('"'),
        };
        if quoted {
            self.at += 1;
        }
        let mut first = !quoted;
        loop {
            match self.peek() {
                Some('\\') => {
                    self.at += 1;
                    word.push(self.take().ok_or_else(unexpected_end)?);
                }
                Some('"') if quoted => {
                    self.at += 1;
                    break;
                }
                None if quoted => return Err(unexpected_end()),
                None => break,
                Some(c) if !quoted && !first && (is_space(c) || c == char::from(end)) => break,
                Some(c) => {
                    word.push(c);
                    self.at += c.len_utf8();
                }
            }
            first = false;
        }
        Ok(Some((word, quoted)))
    }
}

fn unexpected_end() -> Error {
    Error::new(SqlState::SYNTAX_ERROR, "syntax error in hstore: unexpected end of string")
}

/// hstore_send: how many pairs, and of each the length of the key, the key, the length of the value or -1, the value.
pub fn send(hstore: &Hstore, out: &mut Vec<u8>) {
    out.extend_from_slice(&(hstore.pairs.len() as i32).to_be_bytes());
    for (key, value) in &hstore.pairs {
        send_text(key, out);
        match value {
            Some(value) => send_text(value, out),
            None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }
}

fn send_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as i32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// hstore_recv.
pub fn receive(bytes: &[u8]) -> Result<Hstore> {
    let mut parts = Parts(bytes);
    let count = i32::from_be_bytes(parts.take()?);
    if !(0..=PAIRS_MAX).contains(&count) {
        let message = format!("number of pairs ({count}) exceeds the maximum allowed ({PAIRS_MAX})");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let mut pairs = Vec::new();
    for _ in 0..count {
        let key = receive_text(&mut parts)?.ok_or_else(null_key)?;
        pairs.push((key, receive_text(&mut parts)?));
    }
    if parts.0.is_empty() { Ok(Hstore::new(pairs)) } else { Err(trailing()) }
}

/// `None` for what is NULL, whose length is below zero.
fn receive_text(parts: &mut Parts) -> Result<Option<String>> {
    let Ok(length) = usize::try_from(i32::from_be_bytes(parts.take()?)) else { return Ok(None) };
    Ok(Some(utf8(parts.slice(length)?)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let mut out = Vec::new();
        print(&parse(text).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn any_hstore() -> impl Strategy<Value = Hstore> {
        let text = || "[^\u{0}]{0,4}";
        vec((text(), of(text())), 0..8).prop_map(Hstore::new)
    }

    #[test]
    fn text_is_read_as_hstore_reads_it() {
        for (text, wanted) in [
            ("", ""),
            ("  ", ""),
            ("a=>1", "\"a\"=>\"1\""),
            (" a => 1 , b=>2 ", "\"a\"=>\"1\", \"b\"=>\"2\""),
            ("bb=>1, a=>2", "\"a\"=>\"2\", \"bb\"=>\"1\""),
            ("a=>1, a=>2", "\"a\"=>\"1\""),
            ("a=>NULL, b=>nUll, c=>\"null\"", "\"a\"=>NULL, \"b\"=>NULL, \"c\"=>\"null\""),
            ("a=>\\null", "\"a\"=>NULL"),
            ("\"a b\"=>\"x\\\"y\\\\z\"", "\"a b\"=>\"x\\\"y\\\\z\""),
            ("\\==>a", "\"=\"=>\"a\""),
            ("a=>b=c", "\"a\"=>\"b=c\""),
            ("a,b=>1", "\"a,b\"=>\"1\""),
            ("a=>,", "\"a\"=>\",\""),
            ("a=>1,", "\"a\"=>\"1\""),
            ("\"\"=>\"\"", "\"\"=>\"\""),
            ("a\"b=>c\"d", "\"a\\\"b\"=>\"c\\\"d\""),
            ("é=>ü", "\"é\"=>\"ü\""),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn refusals_are_postgres_words() {
        for (text, wanted) in [
            ("a", "syntax error in hstore: unexpected end of string"),
            ("a=", "syntax error in hstore: unexpected end of string"),
            ("a=>", "syntax error in hstore: unexpected end of string"),
            ("a=>\"b", "syntax error in hstore: unexpected end of string"),
            ("a=>b\\", "syntax error in hstore: unexpected end of string"),
            ("=>b", "syntax error in hstore, near \"=\" at position 0"),
            ("a= >b", "syntax error in hstore, near \" \" at position 2"),
            ("a b=>1", "syntax error in hstore, near \"b\" at position 2"),
            ("a=>1 é=>2", "syntax error in hstore, near \"é\" at position 5"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.state(), error.message()), (SqlState::SYNTAX_ERROR, wanted), "{text}");
        }
        assert_eq!(receive(&[0, 0, 0, 1, 255, 255, 255, 255]).unwrap_err().message(), null_key().message());
        let error = receive(&[255, 255, 255, 255]).unwrap_err();
        assert_eq!(error.message(), "number of pairs (-1) exceeds the maximum allowed (26843545)");
    }

    #[test]
    fn documents() {
        let hstore = parse("n=>1.50, e=>1e3, t=>t, f=>f, s=>01, m=>-, z=>NULL, q=>\"a\\\"\"").unwrap();
        let strict = "{\"e\": \"1e3\", \"f\": \"f\", \"m\": \"-\", \"n\": \"1.50\", \"q\": \"a\\\"\", \"s\": \"01\", \
            \"t\": \"t\", \"z\": null}";
        assert_eq!(hstore.to_json(false), strict);
        let loose = "{\"e\": 1e3, \"f\": false, \"m\": \"-\", \"n\": 1.50, \"q\": \"a\\\"\", \"s\": \"01\", \
            \"t\": true, \"z\": null}";
        assert_eq!(hstore.to_json(true), loose);
    }

    /// hstore_cmp: all text first, then how many pairs, then where each key and value ends, then what is NULL.
    fn compared(left: &Hstore, right: &Hstore) -> Ordering {
        let texts = |hstore: &Hstore| -> Vec<Option<String>> {
            hstore.pairs.iter().flat_map(|(key, value)| [Some(key.clone()), value.clone()]).collect()
        };
        let (one, other) = (texts(left), texts(right));
        let all =
            |texts: &[Option<String>]| texts.iter().flatten().flat_map(|t| t.bytes()).collect::<Vec<u8>>();
        let ends = |texts: &[Option<String>]| {
            let mut end = 0;
            let place = |text: &Option<String>| {
                end += text.as_ref().map_or(0, String::len);
                (end, text.is_none())
            };
            texts.iter().map(place).collect::<Vec<_>>()
        };
        match (one.is_empty(), other.is_empty()) {
            (false, false) => {}
            (left, right) => return right.cmp(&left),
        }
        all(&one)
            .cmp(&all(&other))
            .then(one.len().cmp(&other.len()))
            .then_with(|| ends(&one).cmp(&ends(&other)))
    }

    proptest! {
        #[test]
        fn everything_leads_back(hstore in any_hstore()) {
            let (mut text, mut binary) = (Vec::new(), Vec::new());
            print(&hstore, &mut text);
            send(&hstore, &mut binary);
            prop_assert_eq!(&parse(std::str::from_utf8(&text).unwrap()).unwrap(), &hstore);
            prop_assert_eq!(&receive(&binary).unwrap(), &hstore);
            prop_assert_eq!(&Hstore::from_bytes(&hstore.bytes()).unwrap(), &hstore);
            for (key, value) in hstore.pairs() {
                prop_assert_eq!(hstore.get(key), Some(value.as_deref()));
            }
            prop_assert!(json::check(&hstore.to_json(true)).is_ok());
        }

        #[test]
        fn bytes_sort_as_hstore_does(left in any_hstore(), right in any_hstore()) {
            prop_assert_eq!(left.bytes().cmp(&right.bytes()), compared(&left, &right));
        }

        #[test]
        fn nothing_panics(text in "[ab \\\\\"=>,Né]{0,16}", bytes in vec(0u8..6, 0..32)) {
            if let Ok(read) = parse(&text) {
                let mut out = Vec::new();
                print(&read, &mut out);
                prop_assert_eq!(parse(std::str::from_utf8(&out).unwrap()).unwrap(), read);
            }
            let _ = receive(&bytes);
            if let Some(read) = Hstore::from_bytes(&bytes) {
                prop_assert_eq!(Hstore::from_bytes(&read.bytes()), Some(read));
            }
        }
    }
}
