//! `tsvector`: a document as a sorted list of lexemes with the places where they stand.
//!
//! A value is kept as bytes whose order is PostgreSQL's order of tsvectors, so that rows, Arrow cells, sorting and
//! grouping need nothing but bytes, and reading one allocates no lexeme:
//!
//! ```text
//!   size of PostgreSQL's own form (u32) | lexemes (u32) | lexeme ...
//!   lexeme:  0 with positions, 1 without | word, 0 | count of positions, position ...
//! ```
//!
//! Numbers are big-endian. PostgreSQL sorts larger counts and positions first, so these are kept as their complement;
//! a position is its place times four plus its weight.

use std::collections::BTreeMap;

use crate::error::{Error, Result, SqlState};
use crate::types::text::is_space;

/// Longest lexeme plus one, in bytes (PostgreSQL's MAXSTRLEN).
pub const LEXEME_BYTES_MAX: usize = (1 << 11) - 1;
/// Most bytes of lexemes and positions (MAXSTRPOS).
pub const BYTES_MAX: usize = (1 << 20) - 1;
/// Places are smaller than this; later ones count as the last (MAXENTRYPOS).
pub const PLACE_END: u32 = 1 << 14;
/// Most positions of one lexeme (MAXNUMPOS).
pub const POSITIONS_MAX: usize = 256;

/// Where a lexeme stands: the place, from 1, and a weight from 0 (D) to 3 (A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub place: u16,
    pub weight: u8,
}

impl Position {
    /// With weight D; places beyond the last are the last.
    pub fn at(place: u32) -> Position {
        Position { place: place.min(PLACE_END - 1) as u16, weight: 0 }
    }
}

/// A sorted list of distinct lexemes, encoded as above.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TsVector(Vec<u8>);

/// One lexeme of a [`TsVector`].
#[derive(Clone, Copy, Debug)]
pub struct Lexeme<'a> {
    pub word: &'a str,
    positions: &'a [u8],
}

/// Lexemes on their way into a [`TsVector`], by word.
pub type Words = BTreeMap<String, Vec<Position>>;

impl<'a> Lexeme<'a> {
    pub fn positions(&self) -> impl DoubleEndedIterator<Item = Position> + ExactSizeIterator + use<'a> {
        let (pairs, _) = self.positions.as_chunks::<2>();
        pairs.iter().map(|pair| {
            let packed = !u16::from_be_bytes(*pair);
            Position { place: packed >> 2, weight: (packed & 3) as u8 }
        })
    }

    pub fn position_count(&self) -> usize {
        self.positions.len() / 2
    }
}

impl Default for TsVector {
    fn default() -> TsVector {
        encode(&Words::new())
    }
}

impl TsVector {
    /// Positions are sorted, places that repeat keep their highest weight, and PostgreSQL's limits hold afterwards.
    pub fn from_words(mut words: Words) -> Result<TsVector> {
        for (word, positions) in &mut words {
            if word.len() >= LEXEME_BYTES_MAX {
                let message =
                    format!("word is too long ({} bytes, max {} bytes)", word.len(), LEXEME_BYTES_MAX - 1);
                return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
            }
            normalize(positions);
        }
        let bytes = bytes_of(&words);
        if bytes > BYTES_MAX {
            let message = format!("string is too long for tsvector ({bytes} bytes, max {BYTES_MAX} bytes)");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        Ok(encode(&words))
    }

    /// What [`TsVector::bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> TsVector {
        TsVector(bytes.to_vec())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// In order of their words.
    pub fn lexemes(&self) -> Vec<Lexeme<'_>> {
        lexemes(&self.0)
    }

    /// As the map that [`TsVector::from_words`] takes.
    pub fn words(&self) -> Words {
        let entry = |lexeme: Lexeme| (lexeme.word.to_owned(), lexeme.positions().collect());
        self.lexemes().into_iter().map(entry).collect()
    }

    /// How many lexemes.
    pub fn len(&self) -> usize {
        self.0.get(4..8).and_then(|count| count.try_into().ok()).map_or(0, u32::from_be_bytes) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lexemes without their positions.
    pub fn strip(&self) -> TsVector {
        encode(&self.lexemes().iter().map(|lexeme| (lexeme.word.to_owned(), Vec::new())).collect())
    }

    /// `||`: the places of the second come after the first's.
    pub fn concat(&self, other: &TsVector) -> Result<TsVector> {
        let mut words = self.words();
        let places = words.values().flatten().map(|position| u32::from(position.place));
        let last = places.max().unwrap_or(0);
        for lexeme in other.lexemes() {
            let positions = words.entry(lexeme.word.to_owned()).or_default();
            for position in lexeme.positions() {
                let moved = Position::at(u32::from(position.place) + last).place;
                // What is cut off at the last place is kept once.
                let repeats = positions.last().is_some_and(|end| u32::from(end.place) == PLACE_END - 1);
                if positions.len() < POSITIONS_MAX && !repeats {
                    positions.push(Position { place: moved, weight: position.weight });
                }
            }
        }
        TsVector::from_words(words)
    }
}

/// The lexemes in an encoded value. What does not read as one ends the list.
pub fn lexemes(bytes: &[u8]) -> Vec<Lexeme<'_>> {
    let count = bytes.get(4..8).and_then(|count| count.try_into().ok()).map_or(0, u32::from_be_bytes);
    let mut found = Vec::with_capacity(count as usize);
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((lexeme, after)) = lexeme(rest) {
        found.push(lexeme);
        rest = after;
    }
    found
}

fn lexeme(bytes: &[u8]) -> Option<(Lexeme<'_>, &[u8])> {
    let (&without_positions, rest) = bytes.split_first()?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let word = std::str::from_utf8(&rest[..end]).ok()?;
    let rest = &rest[end + 1..];
    if without_positions == 1 {
        return Some((Lexeme { word, positions: &[] }, rest));
    }
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let (positions, rest) = rest.split_at_checked(2 * usize::from(!u16::from_be_bytes(*count)))?;
    Some((Lexeme { word, positions }, rest))
}

fn encode(words: &Words) -> TsVector {
    let size = 8 + 4 * words.len() + bytes_of(words);
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&(size as u32).to_be_bytes());
    out.extend_from_slice(&(words.len() as u32).to_be_bytes());
    for (word, positions) in words {
        out.push(u8::from(positions.is_empty()));
        out.extend_from_slice(word.as_bytes());
        out.push(0);
        if !positions.is_empty() {
            out.extend_from_slice(&(!(positions.len() as u16)).to_be_bytes());
        }
        for position in positions {
            out.extend_from_slice(&(!(position.place << 2 | u16::from(position.weight))).to_be_bytes());
        }
    }
    TsVector(out)
}

/// What words and positions take in PostgreSQL's own form: positions are aligned to two bytes.
fn bytes_of(words: &Words) -> usize {
    words.iter().fold(0, |bytes: usize, (word, positions)| {
        let bytes = bytes + word.len();
        match positions.len() {
            0 => bytes,
            count => bytes.next_multiple_of(2) + 2 + 2 * count,
        }
    })
}

/// Sorted, each place once with its highest weight, no more than PostgreSQL keeps.
fn normalize(positions: &mut Vec<Position>) {
    positions.sort_by_key(|position| (position.place, std::cmp::Reverse(position.weight)));
    positions.dedup_by_key(|position| position.place);
    positions.truncate(POSITIONS_MAX);
}

/// `'a':1A 'b'`
pub fn print(vector: &TsVector, out: &mut Vec<u8>) {
    for (index, lexeme) in vector.lexemes().iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        print_word(lexeme.word, out);
        for (index, position) in lexeme.positions().enumerate() {
            out.push(if index == 0 { b':' } else { b',' });
            out.extend_from_slice(position.place.to_string().as_bytes());
            if position.weight > 0 {
                out.push(b"DCBA"[usize::from(position.weight)]);
            }
        }
    }
}

/// A lexeme in quotes.
pub(super) fn print_word(word: &str, out: &mut Vec<u8>) {
    out.push(b'\'');
    for byte in word.bytes() {
        if matches!(byte, b'\'' | b'\\') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'\'');
}

/// Reads `'a':1A b:2,3`.
pub fn parse(text: &str) -> Result<TsVector> {
    let mut words = Words::new();
    let mut reader = WordReader::new(text, Kind::Vector);
    while let Some(word) = reader.word()? {
        if word.len() >= LEXEME_BYTES_MAX {
            let message =
                format!("word is too long ({} bytes, max {} bytes)", word.len(), LEXEME_BYTES_MAX - 1);
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let positions = reader.positions()?;
        words.entry(word).or_default().extend(positions);
    }
    TsVector::from_words(words)
}

/// Reads words as tsvectors and tsqueries are written: bare or in single quotes, with backslashes.
pub(super) struct WordReader<'a> {
    text: &'a str,
    /// What has not been read yet.
    pub rest: &'a str,
    kind: Kind,
}

/// Where words stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Vector,
    /// Operators end a bare word.
    Query,
    /// So do double quotes; single ones and backslashes mean nothing.
    Web,
}

impl<'a> WordReader<'a> {
    pub fn new(text: &'a str, kind: Kind) -> WordReader<'a> {
        WordReader { text, rest: text, kind }
    }

    pub fn syntax_error(&self) -> Error {
        let kind = if self.kind == Kind::Vector { "tsvector" } else { "tsquery" };
        Error::new(SqlState::SYNTAX_ERROR, format!("syntax error in {kind}: \"{}\"", self.text))
    }

    fn is_end(&self, c: char) -> bool {
        is_space(c) || self.kind != Kind::Vector && is_operator(c) || self.kind == Kind::Web && c == '"'
    }

    /// The next word; `None` at the end.
    pub fn word(&mut self) -> Result<Option<String>> {
        self.rest = self.rest.trim_start_matches(is_space);
        match self.rest.chars().next() {
            None => Ok(None),
            Some('\'') if self.kind != Kind::Web => {
                self.rest = &self.rest[1..];
                self.quoted().map(Some)
            }
            Some(c) if self.kind != Kind::Vector && is_operator(c) => Err(self.syntax_error()),
            Some(_) => self.bare().map(Some),
        }
    }

    fn escaped(&mut self, chars: &mut std::str::Chars<'_>) -> Result<char> {
        chars.next().ok_or_else(|| {
            let message = format!("there is no escaped character: \"{}\"", self.text);
            Error::new(SqlState::SYNTAX_ERROR, message)
        })
    }

    fn bare(&mut self) -> Result<String> {
        let mut word = String::new();
        let mut chars = self.rest.chars();
        loop {
            let before = chars.as_str();
            match chars.next() {
                Some('\\') if self.kind != Kind::Web => word.push(self.escaped(&mut chars)?),
                // A colon that begins a word is part of it.
                Some(':') if !word.is_empty() || before.len() != self.rest.len() => {
                    self.rest = before;
                    break;
                }
                Some(c) if !self.is_end(c) => word.push(c),
                _ => {
                    self.rest = before;
                    break;
                }
            }
        }
        if word.is_empty() { Err(self.syntax_error()) } else { Ok(word) }
    }

    /// Its opening quote read already.
    fn quoted(&mut self) -> Result<String> {
        let mut word = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next() {
                None => return Err(self.syntax_error()),
                Some('\\') => word.push(self.escaped(&mut chars)?),
                Some('\'') if chars.as_str().starts_with('\'') => {
                    chars.next();
                    word.push('\'');
                }
                Some('\'') => break,
                Some(c) => word.push(c),
            }
        }
        self.rest = chars.as_str();
        if word.is_empty() { Err(self.syntax_error()) } else { Ok(word) }
    }

    /// `:1A,2` after a word of a tsvector.
    fn positions(&mut self) -> Result<Vec<Position>> {
        let mut positions = Vec::new();
        let Some(rest) = self.rest.strip_prefix(':') else { return Ok(positions) };
        self.rest = rest;
        loop {
            positions.push(self.position()?);
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None if self.rest.chars().next().is_none_or(is_space) => return Ok(positions),
                None => return Err(self.syntax_error()),
            }
        }
    }

    fn position(&mut self) -> Result<Position> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() {
            return Err(self.syntax_error());
        }
        self.rest = rest;
        let mut position = Position::at(digits.parse().unwrap_or(u32::MAX));
        if position.place == 0 {
            let message = format!("wrong position info in tsvector: \"{}\"", self.text);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        while let Some(c) = self.rest.chars().next() {
            let weight = if c == '*' { Some(3) } else { weight_of(c) };
            let Some(weight) = weight else { break };
            if position.weight > 0 {
                return Err(self.syntax_error());
            }
            position.weight = weight;
            self.rest = &self.rest[1..];
        }
        Ok(position)
    }
}

/// The weight a letter names.
pub fn weight_of(letter: char) -> Option<u8> {
    "DCBA".find(letter.to_ascii_uppercase()).map(|weight| weight as u8)
}

pub(super) fn is_operator(c: char) -> bool {
    matches!(c, '!' | '&' | '|' | '(' | ')' | '<')
}

/// tsvector_send
pub fn send(vector: &TsVector, out: &mut Vec<u8>) {
    let lexemes = vector.lexemes();
    out.extend_from_slice(&(lexemes.len() as u32).to_be_bytes());
    for lexeme in lexemes {
        out.extend_from_slice(lexeme.word.as_bytes());
        out.push(0);
        out.extend_from_slice(&(lexeme.position_count() as u16).to_be_bytes());
        for position in lexeme.positions() {
            out.extend_from_slice(&(u16::from(position.weight) << 14 | position.place).to_be_bytes());
        }
    }
}

/// tsvector_recv
pub fn receive(bytes: &[u8]) -> Result<TsVector> {
    let invalid = |message: &str| Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message);
    let short = || invalid("insufficient data left in message");
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let mut words = Words::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let end = rest.iter().position(|&byte| byte == 0).ok_or_else(short)?;
        let word = std::str::from_utf8(&rest[..end]).map_err(|_| invalid("invalid tsvector: not UTF-8"))?;
        if end >= LEXEME_BYTES_MAX {
            return Err(invalid("invalid tsvector: lexeme too long"));
        }
        let (positions, after) = rest[end + 1..].split_first_chunk::<2>().ok_or_else(short)?;
        let positions = usize::from(u16::from_be_bytes(*positions));
        if positions > POSITIONS_MAX {
            return Err(invalid("unexpected number of tsvector positions"));
        }
        let (positions, after) = after.split_at_checked(2 * positions).ok_or_else(short)?;
        let mut read: Vec<Position> = Vec::new();
        for pair in positions.as_chunks::<2>().0 {
            let packed = u16::from_be_bytes(*pair);
            let position = Position { place: packed & 0x3FFF, weight: (packed >> 14) as u8 };
            if position.place == 0 || read.last().is_some_and(|last| last.place >= position.place) {
                return Err(invalid("position information is misordered"));
            }
            read.push(position);
        }
        if words.insert(word.to_owned(), read).is_some() {
            return Err(invalid("invalid tsvector: duplicate lexeme"));
        }
        rest = after;
    }
    if !rest.is_empty() {
        return Err(invalid("incorrect binary data format"));
    }
    TsVector::from_words(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> std::result::Result<String, String> {
        let vector = parse(text).map_err(|error| error.message().to_owned())?;
        let mut out = Vec::new();
        print(&vector, &mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn reads_and_prints_as_postgres() {
        for (text, printed) in [
            ("", ""),
            ("a fat cat sat on a mat", "'a' 'cat' 'fat' 'mat' 'on' 'sat'"),
            ("a:1 fat:2 cat:3 a:10,5", "'a':1,5,10 'cat':3 'fat':2"),
            ("'1' '2a':3 ' a '", "' a ' '1' '2a':3"),
            ("a:3A b:2a", "'a':3A 'b':2A"),
            ("'wi''th\\\\bs' \\ a", "' a' 'wi''th\\\\bs'"),
            ("a:1D,1B", "'a':1B"),
            ("x:20000", "'x':16383"),
            (":a", "':a'"),
            (
                "w:12B w:13* w:12,5,6 a:1,3* a:3 w asd:1dc asd zxc:81,567,222A",
                "'a':1,3A 'asd':1C 'w':5,6,12B,13A 'zxc':81,222A,567",
            ),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(printed), "{text}");
        }
        assert_eq!(shown("a:0").unwrap_err(), "wrong position info in tsvector: \"a:0\"");
        assert_eq!(shown("a:1x").unwrap_err(), "syntax error in tsvector: \"a:1x\"");
        assert_eq!(shown("''").unwrap_err(), "syntax error in tsvector: \"''\"");
        assert_eq!(shown("'a").unwrap_err(), "syntax error in tsvector: \"'a\"");
        assert_eq!(shown("a\\").unwrap_err(), "there is no escaped character: \"a\\\"");
        assert!(shown(&"x".repeat(2047)).unwrap_err().starts_with("word is too long (2047 bytes, max 2046"));
    }

    #[test]
    fn binary_leads_back_and_damage_is_refused() {
        let vector = parse("'fat':2,4A 'cat':3C x").unwrap();
        let mut sent = Vec::new();
        send(&vector, &mut sent);
        assert_eq!(receive(&sent).unwrap(), vector);
        for end in 0..sent.len() {
            assert!(receive(&sent[..end]).is_err(), "{end}");
        }
        assert!(receive(&[sent, vec![0]].concat()).is_err());
    }

    #[test]
    fn bytes_sort_as_postgres_sorts() {
        // ORDER BY in PostgreSQL 15.
        let ordered = ["", "a", "b", "aa", "a:2", "a:1A", "a:1", "b:1", "b c", "a:1,2", "a:1 b"];
        for pair in ordered.windows(2) {
            assert!(parse(pair[0]).unwrap() < parse(pair[1]).unwrap(), "{pair:?}");
        }
    }

    #[test]
    fn concatenation_moves_places() {
        let joined = parse("a:1 b:2").unwrap().concat(&parse("a:1 c:2,3B").unwrap()).unwrap();
        assert_eq!(joined, parse("a:1,3 b:2 c:4,5B").unwrap());
        assert_eq!(parse("a").unwrap().concat(&parse("b:2").unwrap()).unwrap(), parse("a b:2").unwrap());
        assert_eq!(parse("a:1,2 b").unwrap().strip(), parse("a b").unwrap());
    }
}
