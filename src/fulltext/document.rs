//! `to_tsvector` and functions of documents.

use crate::error::{Error, Result, SqlState};
use crate::fulltext::Config;
use crate::fulltext::dictionary::Lexed;
use crate::fulltext::parser::tokens;
use crate::types::tsvector::{LEXEME_BYTES_MAX, PLACE_END, POSITIONS_MAX, Position, TsVector, Words};

/// A lexeme of a text and its place, from 1.
pub type Placed = (String, u32);

/// The lexemes of a text in its order; `place` is that of the last word before.
pub fn lexemes(config: Config, text: &str, place: &mut u32) -> Vec<Placed> {
    let mut found = Vec::new();
    for token in tokens(text) {
        // PostgreSQL ignores words as long as this.
        if token.text.len() >= LEXEME_BYTES_MAX {
            continue;
        }
        let Some(lexed) = config.lexeme(token.kind, token.text) else { continue };
        *place += 1;
        if let Lexed::Word(word) = lexed {
            found.push((word, *place));
        }
    }
    found
}

/// to_tsvector()
pub fn to_tsvector(config: Config, text: &str) -> Result<TsVector> {
    of_texts(config, std::iter::once(text))
}

/// The texts of a document one after the other, with a gap between them that no phrase bridges.
pub fn of_texts<'a>(config: Config, texts: impl Iterator<Item = &'a str>) -> Result<TsVector> {
    let mut words = Words::new();
    let mut place = 0;
    for text in texts {
        let found = lexemes(config, text, &mut place);
        if !found.is_empty() {
            place += 1;
        }
        for (word, place) in found {
            let positions = words.entry(word).or_default();
            let position = Position::at(place);
            // One fewer than a tsvector can hold.
            let is_full = positions.len() >= POSITIONS_MAX - 1;
            let at_end = positions.last().is_some_and(|last| u32::from(last.place) == PLACE_END - 1);
            if !is_full && !at_end {
                positions.push(position);
            }
        }
    }
    TsVector::from_words(words)
}

/// setweight(); with `only`, of these lexemes alone.
pub fn set_weight(vector: &TsVector, weight: u8, only: Option<&[String]>) -> Result<TsVector> {
    let mut words = vector.words();
    for (word, positions) in &mut words {
        if only.is_none_or(|only| only.contains(word)) {
            positions.iter_mut().for_each(|position| position.weight = weight);
        }
    }
    TsVector::from_words(words)
}

/// The weight that a character of type `"char"` names.
pub fn weight_of(letter: &str) -> Result<u8> {
    let mut letters = letter.chars();
    let weight = letters.next().and_then(crate::types::tsvector::weight_of);
    weight.ok_or_else(|| {
        // PostgreSQL shows the number of what is no letter.
        let code = letter.bytes().next().unwrap_or(0);
        Error::new(SqlState::INTERNAL_ERROR, format!("unrecognized weight: {code}"))
    })
}

/// ts_filter(): the positions of these weights, and the lexemes that have one.
pub fn filter(vector: &TsVector, weights: &[u8]) -> Result<TsVector> {
    let mut words = vector.words();
    words.retain(|_, positions| {
        positions.retain(|position| weights.contains(&position.weight));
        !positions.is_empty()
    });
    TsVector::from_words(words)
}

/// ts_delete()
pub fn delete(vector: &TsVector, gone: &[String]) -> Result<TsVector> {
    let mut words = vector.words();
    words.retain(|word, _| !gone.contains(word));
    TsVector::from_words(words)
}

/// array_to_tsvector()
pub fn of_array(words: &[String]) -> Result<TsVector> {
    if words.iter().any(String::is_empty) {
        return Err(Error::new(SqlState("2200F"), "lexeme array may not contain empty strings"));
    }
    TsVector::from_words(words.iter().map(|word| (word.clone(), Vec::new())).collect())
}
