//! Arrays in PostgreSQL's text form: `{1,NULL,"a,b"}`, `{{1,2},{3,4}}`, `[1:2]={7,8}`.
//!
//! Bounds other than 1 are refused (0A000).
//! Source: <https://www.postgresql.org/docs/17/arrays.html#ARRAYS-IO>

use std::iter::Peekable;
use std::str::Chars;

use crate::error::{Error, Result, SqlState};
use crate::types::dimensions::{DIMENSIONS_MAX, too_many};
use crate::types::text::is_space;

/// What was printed as an item.
pub enum Printed {
    Null,
    Item,
    /// An array in the array, with its braces.
    Array,
}

/// Prints one item after the other.
pub fn print<T>(items: &[T], mut item: impl FnMut(&T, &mut Vec<u8>) -> Printed, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, value) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let start = out.len();
        match item(value, out) {
            Printed::Item => quote_if_needed(start, out),
            Printed::Null => out.extend_from_slice(b"NULL"),
            Printed::Array => {}
        }
    }
    out.push(b'}');
}

/// Puts quotes around what stands from `start` on, when it would be read as something else without.
fn quote_if_needed(start: usize, out: &mut Vec<u8>) {
    let text = &out[start..];
    let special =
        |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(char::from(*b)) && b.is_ascii();
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special) {
        return;
    }
    let plain = out.split_off(start);
    out.push(b'"');
    for byte in plain {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// An array as it is written.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The items of all dimensions as text, the last dimension's side by side; `None` for NULL.
    pub items: Vec<Option<String>>,
    /// The length of each dimension, the outermost first. None of an array without items.
    pub shape: Vec<usize>,
}

/// Reads the text of an array.
pub fn parse(text: &str) -> Result<Parsed> {
    let mut reader = Reader { text, rest: text.chars().peekable() };
    reader.skip_space();
    let declared = reader.bounds()?;
    if reader.rest.peek() != Some(&'{') {
        return Err(reader.malformed(match declared {
            None => "Array value must start with \"{\" or dimension information.",
            Some(_) => "Array contents must start with \"{\".",
        }));
    }
    let parsed = reader.contents(declared.as_deref())?;
    reader.skip_space();
    match reader.rest.next() {
        None => Ok(parsed),
        Some(_) => Err(reader.malformed("Junk after closing right brace.")),
    }
}

/// How many dimensions a text begins to write, by its braces; 0 where it is no array.
pub fn dimensions(text: &str) -> usize {
    let text = text.trim_start_matches(is_space);
    let contents = match text.starts_with('[') {
        true => text.split_once('=').map_or("", |(_, contents)| contents),
        false => text,
    };
    contents.chars().filter(|c| !is_space(*c)).take_while(|c| *c == '{').count()
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<Chars<'a>>,
}

enum Token {
    Open,
    Close,
    Comma,
    Item(Option<String>),
}

impl Reader<'_> {
    fn malformed(&self, detail: impl Into<String>) -> Error {
        let message = format!("malformed array literal: \"{}\"", self.text);
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(|c| is_space(*c)).is_some() {}
    }

    /// `[1:2][1:3]=`: the length of each dimension.
    fn bounds(&mut self) -> Result<Option<Vec<usize>>> {
        let mut lengths = Vec::new();
        while self.rest.next_if_eq(&'[').is_some() {
            if lengths.len() == DIMENSIONS_MAX {
                return Err(too_many(lengths.len() + 1));
            }
            let missing = "\"[\" must introduce explicitly-specified array dimensions.";
            let first = self.number().ok_or_else(|| self.malformed(missing))?;
            let (first, last) = match self.rest.next_if_eq(&':') {
                None => (1, first),
                Some(_) => {
                    let last = self.number();
                    (first, last.ok_or_else(|| self.malformed("Missing array dimension value."))?)
                }
            };
            if self.rest.next_if_eq(&']').is_none() {
                return Err(self.malformed("Missing \"]\" after array dimensions."));
            }
            if last < first {
                let message = "upper bound cannot be less than lower bound";
                return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
            }
            if first != 1 {
                return Err(Error::unsupported("an array that does not begin at 1"));
            }
            lengths.push(usize::try_from(last).unwrap_or(0));
            self.skip_space();
        }
        if lengths.is_empty() {
            return Ok(None);
        }
        if self.rest.next_if_eq(&'=').is_none() {
            return Err(self.malformed("Missing \"=\" after array dimensions."));
        }
        self.skip_space();
        Ok(Some(lengths))
    }

    fn number(&mut self) -> Option<i32> {
        let mut digits = String::new();
        while let Some(c) =
            self.rest.next_if(|c| c.is_ascii_digit() || digits.is_empty() && matches!(c, '-' | '+'))
        {
            digits.push(c);
        }
        digits.parse().ok()
    }

    /// What stands in the outermost braces, and they.
    fn contents(&mut self, declared: Option<&[usize]>) -> Result<Parsed> {
        let uneven = self.malformed(match declared {
            Some(_) => "Specified array dimensions do not match array contents.",
            None => "Multidimensional arrays must have sub-arrays with matching dimensions.",
        });
        let mut items = Vec::new();
        // The lengths that are known, by dimension; how many items of it the open braces have; whether no deeper dimension
        // can come any more.
        let mut lengths: Vec<Option<usize>> =
            declared.unwrap_or_default().iter().map(|length| Some(*length)).collect();
        let mut open: Vec<usize> = Vec::new();
        let mut is_deepest = declared.is_some();
        let mut wants_comma = false;
        loop {
            match self.token()? {
                Token::Open if wants_comma => return Err(self.malformed("Unexpected \"{\" character.")),
                Token::Open => {
                    if open.len() == DIMENSIONS_MAX {
                        return Err(too_many(open.len() + 1));
                    }
                    open.push(0);
                    if open.len() > lengths.len() {
                        if is_deepest {
                            return Err(uneven);
                        }
                        lengths.push(None);
                    }
                }
                Token::Close => {
                    // There is one: the first token opens, and the last to close ends the loop.
                    let length = open.pop().unwrap_or_default();
                    if length > 0 && !wants_comma {
                        return Err(self.malformed("Unexpected \"}\" character."));
                    }
                    if let Some(outer) = open.last_mut() {
                        *outer += 1;
                    }
                    if *lengths[open.len()].get_or_insert(length) != length {
                        return Err(uneven);
                    }
                    wants_comma = true;
                    if open.is_empty() {
                        break;
                    }
                }
                Token::Comma if !wants_comma => return Err(self.malformed("Unexpected \",\" character.")),
                Token::Comma => wants_comma = false,
                Token::Item(_) if wants_comma => return Err(self.malformed("Unexpected array element.")),
                Token::Item(item) => {
                    is_deepest = true;
                    if open.len() != lengths.len() {
                        return Err(uneven);
                    }
                    if let Some(length) = open.last_mut() {
                        *length += 1;
                    }
                    items.push(item);
                    wants_comma = true;
                }
            }
        }
        let shape = if items.is_empty() { Vec::new() } else { lengths.into_iter().flatten().collect() };
        Ok(Parsed { items, shape })
    }

    fn token(&mut self) -> Result<Token> {
        self.skip_space();
        match self.rest.peek() {
            None => Err(self.malformed("Unexpected end of input.")),
            Some('"') => {
                self.rest.next();
                self.quoted()
            }
            Some(&c @ ('{' | '}' | ',')) => {
                self.rest.next();
                Ok(match c {
                    '{' => Token::Open,
                    '}' => Token::Close,
                    _ => Token::Comma,
                })
            }
            Some(_) => self.plain(),
        }
    }

    /// An item after its opening quote.
    fn quoted(&mut self) -> Result<Token> {
        let mut item = String::new();
        loop {
            let next = match self.rest.next() {
                Some('"') => break,
                Some('\\') => self.rest.next(),
                next => next,
            };
            item.push(next.ok_or_else(|| self.malformed("Unexpected end of input."))?);
        }
        self.skip_space();
        match self.rest.peek() {
            Some('{' | '}' | ',') => Ok(Token::Item(Some(item))),
            None => Err(self.malformed("Unexpected end of input.")),
            Some(_) => Err(self.malformed("Incorrectly quoted array element.")),
        }
    }

    /// An item without quotes: a NULL among them. White space at its end that no backslash protects is none of it.
    fn plain(&mut self) -> Result<Token> {
        let (mut item, mut kept, mut is_escaped) = (String::new(), 0, false);
        loop {
            match self.rest.peek() {
                None => return Err(self.malformed("Unexpected end of input.")),
                Some('{' | '}' | ',') => break,
                Some('"') => return Err(self.malformed("Incorrectly quoted array element.")),
                Some('\\') => {
                    self.rest.next();
                    is_escaped = true;
                    item.push(self.rest.next().ok_or_else(|| self.malformed("Unexpected end of input."))?);
                    kept = item.len();
                }
                Some(&c) => {
                    self.rest.next();
                    item.push(c);
                    if !is_space(c) {
                        kept = item.len();
                    }
                }
            }
        }
        item.truncate(kept);
        let is_null = !is_escaped && item.eq_ignore_ascii_case("null");
        Ok(Token::Item((!is_null).then_some(item)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(items: &[Option<String>]) -> String {
        let mut out = Vec::new();
        let item = |item: &Option<String>, out: &mut Vec<u8>| match item {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Printed::Item
            }
            None => Printed::Null,
        };
        print(items, item, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quotes_where_postgres_does() {
        let items = ["a", "", "NULL", "x,y", "q\"\\", " s "].map(|s| Some(s.to_owned()));
        assert_eq!(printed(&items), r#"{a,"","NULL","x,y","q\"\\"," s "}"#);
        assert_eq!(
            parse(" { a , null, \"b c\" , d\\,e , f g } ").unwrap().items,
            [Some("a".into()), None, Some("b c".into()), Some("d,e".into()), Some("f g".into())]
        );
        assert_eq!(parse("{}").unwrap(), Parsed { items: Vec::new(), shape: Vec::new() });
        for text in ["", "1", "{1", "{1}}", "{,}", "{1,}", "{\"a\"b}", "{a\"b\"}", "{\"a"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message(), format!("malformed array literal: \"{text}\""));
        }
    }

    #[test]
    fn dimensions_are_those_of_the_braces() {
        let shape =
            |text: &str| parse(text).map(|parsed| parsed.shape).map_err(|error| error.message().to_owned());
        assert_eq!(shape("{{1,2,3},{4,5,6}}"), Ok(vec![2, 3]));
        assert_eq!(shape(" [1:2] [3] = { {1,2,3} , {4,5,6} }"), Ok(vec![2, 3]));
        assert_eq!(shape("{{{a}},{{NULL}}}"), Ok(vec![2, 1, 1]));
        assert_eq!(shape("{{},{}}"), Ok(Vec::new()));
        for text in
            ["{{1,2},{3}}", "{{1},2}", "{1,{2}}", "{{1},{{2}}}", "[1:3]={1,2}", "[1:2][1]={1,2}", "[1]1"]
        {
            assert_eq!(shape(text), Err(format!("malformed array literal: \"{text}\"")));
        }
        assert_eq!(parse("[0:1]={1,2}").unwrap_err().state(), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(parse("{{{{{{{1}}}}}}}").unwrap_err().state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        for (text, expected) in
            [("{{1}}", 2), (" { {1}", 2), ("[1:1]={1}", 1), ("x", 0), ("", 0), ("{1,{", 1)]
        {
            assert_eq!(dimensions(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arrays_lead_back(items in prop::collection::vec(prop::option::of("\\PC{0,6}|[\\\\\"{},nul ]{0,5}"), 0..6)) {
            prop_assert_eq!(parse(&printed(&items)).unwrap().items, items);
        }

        #[test]
        fn nothing_panics(text in "[{},\"\\\\a null\\[\\]:=1]{0,20}") {
            let _ = parse(&text);
            let _ = dimensions(&text);
        }
    }
}
