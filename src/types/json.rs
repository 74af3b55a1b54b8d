//! json is text that was checked; jsonb is text in PostgreSQL's normal form.
//!
//! The normal form: one space after colons and commas, keys of an object ordered by length and then bytes, the last
//! of equal keys kept, escapes resolved, numbers as `numeric` prints them. serde_json would turn numbers into floats,
//! so the reader is our own.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result, SqlState};

/// Nesting that PostgreSQL's stack takes many times over and ours takes safely.
const DEPTH_MAX: usize = 500;
/// Digits a number may unfold to; PostgreSQL's numeric stops at 131,072 before the point.
const NUMBER_DIGITS_MAX: i64 = 131_072;

/// Whether `text` is JSON (22P02 when not).
pub fn check(text: &str) -> Result<()> {
    let mut reader = Reader::new(text);
    reader.keeps_escapes = true;
    reader.document().map(|_| ())
}

/// Whether `text` is JSON of a kind, `value`, `array`, `object` or `scalar`; with `unique`, without a key twice in any object.
pub fn is_of_kind(text: &str, kind: &str, unique: bool) -> bool {
    let Ok(node) = Node::parse(text) else { return false };
    let is_kind = match kind {
        "array" => matches!(node, Node::Array(_)),
        "object" => matches!(node, Node::Object(_)),
        "scalar" => matches!(node, Node::Plain(_) | Node::Text(_)),
        _ => true,
    };
    is_kind && (!unique || has_unique_keys(text))
}

/// Of text that is JSON, and so no deeper than [`DEPTH_MAX`].
fn has_unique_keys(text: &str) -> bool {
    match Parts::of(text) {
        Ok(Parts::Object(entries)) => {
            let names: BTreeSet<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
            names.len() == entries.len() && entries.iter().all(|(_, value)| has_unique_keys(value))
        }
        Ok(Parts::Array(items)) => items.into_iter().all(has_unique_keys),
        Ok(Parts::Scalar) | Err(_) => true,
    }
}

/// `text` in jsonb's normal form.
pub fn normalise(text: &str) -> Result<String> {
    let node = Reader::new(text).document()?;
    let mut out = String::with_capacity(text.len());
    node.print(&mut out);
    Ok(out)
}

/// A document taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// true, false, null and numbers, as they print.
    Plain(String),
    Text(String),
    Array(Vec<Node>),
    Object(BTreeMap<Key, Node>),
}

/// The outermost array or object of a document, with its parts as they are written.
#[derive(Debug, PartialEq)]
pub enum Parts<'a> {
    Object(Vec<(String, &'a str)>),
    Array(Vec<&'a str>),
    /// Neither.
    Scalar,
}

impl<'a> Parts<'a> {
    pub fn of(text: &'a str) -> Result<Parts<'a>> {
        let mut reader = Reader::new(text);
        let parts = match reader.peek() {
            Some(b'{') => Parts::Object(reader.parts(b'}', Reader::string_key)?),
            Some(b'[') => {
                let items = reader.parts(b']', |_| Ok(()))?;
                Parts::Array(items.into_iter().map(|((), item)| item).collect())
            }
            _ => Parts::Scalar,
        };
        Ok(parts)
    }

    /// The last value under a key.
    pub fn member(&self, key: &str) -> Option<&'a str> {
        let Parts::Object(entries) = self else { return None };
        entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// The value at an index from 0; negative ones count from the end.
    pub fn element(&self, index: i64) -> Option<&'a str> {
        let Parts::Array(items) = self else { return None };
        let index = if index < 0 { index + items.len() as i64 } else { index };
        items.get(usize::try_from(index).ok()?).copied()
    }
}

/// Ordered as jsonb orders keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    bytes: usize,
    pub text: String,
}

impl Key {
    pub fn new(text: &str) -> Key {
        Key { bytes: text.len(), text: text.to_owned() }
    }
}

impl Node {
    pub fn parse(text: &str) -> Result<Node> {
        Reader::new(text).document()
    }

    pub fn null() -> Node {
        Node::Plain("null".to_owned())
    }

    pub fn is_null(&self) -> bool {
        *self == Node::null()
    }

    /// jsonb's normal form.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.print(&mut out);
        out
    }

    fn print(&self, out: &mut String) {
        match self {
            Node::Plain(text) => out.push_str(text),
            Node::Text(text) => print_string(text, out),
            Node::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    item.print(out);
                }
                out.push(']');
            }
            Node::Object(entries) => {
                out.push('{');
                for (i, (key, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    print_string(&key.text, out);
                    out.push_str(": ");
                    value.print(out);
                }
                out.push('}');
            }
        }
    }
}

/// A JSON string, escaped as PostgreSQL's escape_json does.
pub fn print_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Escapes of characters need only look like some: nobody wants the text.
    keeps_escapes: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0, depth: 0, keeps_escapes: false }
    }

    fn document(mut self) -> Result<Node> {
        let node = self.value()?;
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.invalid("end of input")),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn value(&mut self) -> Result<Node> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Node::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Node::Plain(self.number()?)),
            _ => {
                for word in ["true", "false", "null"] {
                    if self.token() == word {
                        self.at += word.len();
                        return Ok(Node::Plain(word.to_owned()));
                    }
                }
                Err(self.invalid("JSON value"))
            }
        }
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Result<Node>) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("JSON nested deeper than {DEPTH_MAX} levels");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        self.at += 1;
        let node = inner(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn array(&mut self) -> Result<Node> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.value()?);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Node::Array(items));
                }
                _ => return Err(self.invalid("\",\" or \"]\"")),
            }
        }
    }

    fn object(&mut self) -> Result<Node> {
        let mut entries = BTreeMap::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(entries));
        }
        loop {
            if self.peek() != Some(b'"') {
                let expected = if entries.is_empty() { "string or \"}\"" } else { "string" };
                return Err(self.invalid(expected));
            }
            let text = self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.invalid("\":\""));
            }
            self.at += 1;
            let value = self.value()?;
            entries.insert(Key { bytes: text.len(), text }, value);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Node::Object(entries));
                }
                _ => return Err(self.invalid("\",\" or \"}\"")),
            }
        }
    }

    /// The parts of what opens here up to its `end`, each behind what `key` reads.
    fn parts<K>(&mut self, end: u8, key: impl Fn(&mut Self) -> Result<K>) -> Result<Vec<(K, &'a str)>> {
        let mut parts = Vec::new();
        self.at += 1;
        while self.peek() != Some(end) {
            let key = key(self)?;
            self.peek();
            let start = self.at;
            self.value()?;
            parts.push((key, &self.text[start..self.at]));
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(found) if found == end => {}
                _ => return Err(self.invalid("\",\"")),
            }
        }
        Ok(parts)
    }

    fn string_key(&mut self) -> Result<String> {
        if self.peek() != Some(b'"') {
            return Err(self.invalid("string"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.invalid("\":\""));
        }
        self.at += 1;
        Ok(key)
    }

    fn string(&mut self) -> Result<String> {
        let mut out = String::new();
        let start = self.at;
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape(start)?),
                Some(&control) => {
                    let detail = format!("Character with value 0x{control:02x} must be escaped.");
                    return Err(self.fault(detail, self.at));
                }
                None => return Err(self.unterminated(start)),
            }
        }
    }

    /// In a string that began at `start`.
    fn escape(&mut self, start: usize) -> Result<char> {
        let kind = self.text[self.at + 1..].chars().next();
        self.at += 1 + kind.map_or(0, char::len_utf8);
        Ok(match kind {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode(),
            Some(c) => {
                return Err(self.fault(format!("Escape sequence \"\\{c}\" is invalid."), self.at));
            }
            None => return Err(self.unterminated(start)),
        })
    }

    /// A string that the text ends in.
    fn unterminated(&self, start: usize) -> Error {
        self.fault(format!("Token \"{}\" is invalid.", &self.text[start..]), self.text.len())
    }

    /// What follows `\u`: four hexadecimal digits, or two such escapes for a character beyond the first plane.
    fn unicode(&mut self) -> Result<char> {
        let first = self.hex4()?;
        if self.keeps_escapes {
            return Ok('?');
        }
        if first == 0 {
            return Err(Error::new(SqlState("22P05"), "unsupported Unicode escape sequence")
                .detail("\\u0000 cannot be converted to text.")
                .context(self.context(self.at - 1)));
        }
        let low = "Unicode low surrogate must follow a high surrogate.";
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.text[self.at..].starts_with("\\u") {
                    let next = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
                    return Err(self.fault(low.to_owned(), self.at + next));
                }
                self.at += 2;
                match self.hex4()? {
                    0xD800..=0xDBFF => {
                        let detail = "Unicode high surrogate must not follow a high surrogate.";
                        return Err(self.fault(detail.to_owned(), self.at));
                    }
                    second @ 0xDC00..=0xDFFF => 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                    _ => return Err(self.fault(low.to_owned(), self.at)),
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or_else(|| self.fault(low.to_owned(), self.at))
    }

    fn hex4(&mut self) -> Result<u32> {
        let rest = &self.text[self.at..];
        let digits = rest.bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
        if digits < 4 {
            let wrong = rest[digits..].chars().next().map_or(0, char::len_utf8);
            let detail = "\"\\u\" must be followed by four hexadecimal digits.";
            return Err(self.fault(detail.to_owned(), self.at + digits + wrong));
        }
        self.at += 4;
        Ok(u32::from_str_radix(&rest[..4], 16).unwrap_or_default())
    }

    /// A number as `numeric` prints it: exponent unfolded, digits kept.
    fn number(&mut self) -> Result<String> {
        let token = self.token();
        let unfolded = unfold(token);
        match unfolded {
            Some(number) => {
                self.at += token.len();
                number
            }
            None => Err(self.fault(format!("Token \"{token}\" is invalid."), self.at + token.len())),
        }
    }

    /// From here to the next character that cannot be part of a word or number.
    fn token(&self) -> &'a str {
        let rest = &self.text[self.at..];
        let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-'));
        let end = rest.find(ends).unwrap_or(rest.len());
        &rest[..end]
    }

    /// What stands here is not `expected`, or nothing at all.
    fn invalid(&mut self, expected: &str) -> Error {
        let Some(first) = self.peek() else {
            return syntax()
                .detail("The input string ended unexpectedly.")
                .context(self.context(self.text.len()));
        };
        let start = self.at;
        let (end, is_token) = match first {
            b'{' | b'}' | b'[' | b']' | b':' | b',' => (start + 1, true),
            b'"' => match self.string() {
                Ok(_) => (self.at, true),
                Err(error) => return error,
            },
            _ => match self.token() {
                "" => (start + self.text[start..].chars().next().map_or(1, char::len_utf8), false),
                word => {
                    let is_number = unfold(word).is_some_and(|number| number.is_ok());
                    (start + word.len(), matches!(word, "true" | "false" | "null") || is_number)
                }
            },
        };
        let token = &self.text[start..end];
        let detail = match is_token {
            true => format!("Expected {expected}, but found \"{token}\"."),
            false => format!("Token \"{token}\" is invalid."),
        };
        self.fault(detail, end)
    }

    /// The error of what ends at `end`.
    fn fault(&self, detail: String, end: usize) -> Error {
        syntax().detail(detail).context(self.context(end))
    }

    /// The line up to `end`, from where at most fifty bytes are left.
    fn context(&self, end: usize) -> String {
        let before = &self.text[..end];
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let mut start = line_start;
        while end - start >= 50 {
            start += self.text[start..].chars().next().map_or(1, char::len_utf8);
        }
        if start - line_start <= 3 {
            start = line_start;
        }
        let prefix = if start > line_start { "..." } else { "" };
        let goes_on = self.text[end..].chars().next().is_some_and(|next| !matches!(next, '\n' | '\r'));
        let suffix = if goes_on { "..." } else { "" };
        format!("JSON data, line {line}: {prefix}{}{suffix}", &self.text[start..end])
    }
}

fn syntax() -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
}

/// `None`: not a JSON number; an error: one too long to unfold.
fn unfold(token: &str) -> Option<Result<String>> {
    let (negative, body) = match token.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, token),
    };
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        None => (body, None),
        Some(at) => (&body[..at], Some(&body[at + 1..])),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading_zero || !digits(whole) || !digits(fraction) {
        return None;
    }
    let exponent: i64 = match exponent {
        None => 0,
        Some(text) => {
            let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
            if bare.is_empty() || !digits(bare) {
                return None;
            }
            let magnitude = bare.parse().unwrap_or(i64::from(i32::MAX)).min(i64::from(i32::MAX));
            if text.starts_with('-') { -magnitude } else { magnitude }
        }
    };
    let point = whole.len() as i64 + exponent;
    if point.abs() > NUMBER_DIGITS_MAX {
        return Some(Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")));
    }
    let all: String = [whole, fraction].concat();
    let (before, after) = match usize::try_from(point) {
        Ok(point) if point >= all.len() => (all.clone() + &"0".repeat(point - all.len()), String::new()),
        Ok(point) => (all[..point].to_owned(), all[point..].to_owned()),
        Err(_) => (String::new(), "0".repeat(point.unsigned_abs() as usize) + &all),
    };
    let before = match before.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let zero = before == "0" && after.bytes().all(|b| b == b'0');
    let sign = if negative && !zero { "-" } else { "" };
    Some(Ok(match after.as_str() {
        "" => format!("{sign}{before}"),
        after => format!("{sign}{before}.{after}"),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn normal_form_is_postgres() {
        for (input, expected) in [
            (r#"{"bb":1, "a":2,"a":3}"#, r#"{"a": 3, "bb": 1}"#),
            (r#" [1 , 2.50,-0, 1e3, 1.5e-3, 12e-1] "#, r#"[1, 2.50, 0, 1000, 0.0015, 1.2]"#),
            (r#""a\u00e9\ud83d\ude00\/\n""#, "\"aé😀/\\n\""),
            ("{}", "{}"),
            ("[]", "[]"),
            (r#"{"z": {"y": [null, true, false]}}"#, r#"{"z": {"y": [null, true, false]}}"#),
        ] {
            assert_eq!(normalise(input).unwrap(), expected);
        }
    }

    #[test]
    fn parts_are_as_they_are_written() {
        let parts = Parts::of(r#" {"a" : { "b":1}, "c":[1 , 2],"a":"x" }"#).unwrap();
        assert_eq!(parts.member("a"), Some("\"x\""));
        assert_eq!(parts.member("c"), Some("[1 , 2]"));
        assert_eq!(Parts::of("[1 , [2 ]]").unwrap().element(-1), Some("[2 ]"));
        assert_eq!(Parts::of("[]").unwrap(), Parts::Array(Vec::new()));
        assert_eq!(Parts::of(" 1").unwrap(), Parts::Scalar);
    }

    #[test]
    fn refuses_what_is_not_json() {
        for input in [
            "",
            "{",
            "[1,]",
            "{a:1}",
            "01",
            "1.",
            "tru",
            "\"\n\"",
            "\"\\x\"",
            "[1] 2",
            "{\"a\" 1}",
            "nan",
            "\"a",
        ] {
            let error = normalise(input).unwrap_err();
            assert_eq!(error.message(), "invalid input syntax for type json", "{input}");
            assert!(check(input).is_err());
        }
        // Of escapes json asks no more than four digits, as in PostgreSQL: its text is not read.
        assert_eq!(normalise("\"\\ud800\"").unwrap_err().message(), "invalid input syntax for type json");
        assert!(check("\"\\ud800\"").is_ok());
        assert!(check("\"\\ud80\"").is_err());
        assert_eq!(normalise("\"\\u0000\"").unwrap_err().state().0, "22P05");
        assert_eq!(normalise(&"[".repeat(100_000)).unwrap_err().state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    }

    proptest! {
        #[test]
        fn the_normal_form_is_its_own(text in "[\\[\\]{},:\"a-c0-9.e\\\\ -]{0,40}") {
            if let Ok(normal) = normalise(&text) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&normal).is_ok());
                prop_assert_eq!(normalise(&normal).unwrap(), normal);
            }
        }
    }
}
