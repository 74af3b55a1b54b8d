//! A query string in which places are found without reading it from its start.
//!
//! sqlparser's tokens say line and column; PostgreSQL's errors count characters, and texts are cut by bytes. Marks tell all
//! three, at the start of each line and at each 256th character of a line:
//!
//! ```text
//!   INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\n ...
//!   ^ 1:1, character 0, byte 0 ^ 2:1, character 26, byte 26
//! ```
//!
//! A script of 100,000 statements asks for 200,000 places: with each of them counted from the start, reading it took time
//! that grew as the square of its length.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use crate::sql::unicode_escapes;

/// A text and where its lines begin.
#[derive(Debug)]
pub struct Source {
    text: Arc<str>,
    marks: OnceLock<Vec<Mark>>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    location: Location,
    character: usize,
    byte: usize,
}

impl Source {
    /// How many characters apart marks are: a place costs as many steps at most.
    const APART: u64 = 256;

    pub fn of(text: &str) -> Source {
        Source { text: text.into(), marks: OnceLock::new() }
    }

    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The byte at which a location lies; the end of the text when it lies behind it, or nowhere.
    pub fn byte(&self, location: Location) -> usize {
        self.place(location).map_or(self.text.len(), |(byte, _)| byte)
    }

    /// The character's number, from 1, at which a location lies.
    pub fn position(&self, location: Location) -> u32 {
        let before = self.place(location).map_or_else(|| self.text.chars().count(), |(_, before)| before);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    /// The text of a span; none where it ends before it starts, as one over tokens that were put together may.
    pub fn between(&self, span: Span) -> &str {
        self.text.get(self.byte(span.start)..self.byte(span.end)).unwrap_or_default()
    }

    /// A location's byte, and how many characters are before it.
    fn place(&self, location: Location) -> Option<(usize, usize)> {
        let marks = self.marks.get_or_init(|| marks(&self.text));
        let count = marks.partition_point(|mark| mark.location <= location);
        let mark = marks.get(count.checked_sub(1)?)?;
        if mark.location.line != location.line {
            return None;
        }
        let distance = usize::try_from(location.column - mark.location.column).ok()?;
        let (further, _) = self.text.get(mark.byte..)?.char_indices().nth(distance)?;
        Some((mark.byte + further, mark.character + distance))
    }
}

fn marks(text: &str) -> Vec<Mark> {
    let mut location = Location { line: 1, column: 1 };
    let mut marks = Vec::new();
    for (character, (byte, found)) in text.char_indices().enumerate() {
        if location.column % Source::APART == 1 {
            marks.push(Mark { location, character, byte });
        }
        unicode_escapes::advance(&mut location, found);
    }
    marks
}

impl Deref for Source {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The byte and the position, counted from the start.
    fn counted(text: &str, location: Location) -> (usize, u32) {
        let mut at = Location { line: 1, column: 1 };
        let mut position = 1;
        for (byte, character) in text.char_indices() {
            if at == location {
                return (byte, position);
            }
            position += 1;
            unicode_escapes::advance(&mut at, character);
        }
        (text.len(), position)
    }

    #[test]
    fn places_are_as_counted_from_the_start() {
        let text = format!("é\n{}b\n\nc", "ä".repeat(700));
        let source = Source::of(&text);
        let location = |line, column| Location { line, column };
        for (line, columns) in [(0, 1), (1, 2), (2, 702), (3, 1), (4, 2)] {
            for column in 0..=columns {
                let at = location(line, column);
                assert_eq!((source.byte(at), source.position(at)), counted(&text, at), "{at:?}");
            }
        }
        let span = |start, end| Span::new(start, end);
        assert_eq!(source.between(span(location(2, 701), location(4, 2))), "b\n\nc");
        assert_eq!(source.between(span(location(4, 1), location(2, 1))), "");
    }

    #[test]
    fn an_empty_text_has_one_place() {
        let at = Location { line: 1, column: 1 };
        assert_eq!((Source::of("").byte(at), Source::of("").position(at)), (0, 1));
    }
}
