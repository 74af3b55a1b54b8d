//! `ts_rank` and `ts_rank_cd`: how well a document matches a query.
//!
//! `ts_rank` weighs how often words of the query stand in the document, and, for AND, how near to each other.
//! `ts_rank_cd` is cover density (Clarke, Cormack and Tudhope, 1999): the shortest parts of the document that match, by
//! how much else is in them. Single and double precision change where they do in PostgreSQL, so that the last digit is
//! the same.

use std::collections::BTreeSet;

use crate::error::{Error, Result, SqlState};
use crate::fulltext::matching::{Answer, Document, Lexemes, execute};
use crate::types::tsquery::{Item, TsQuery, Word};
use crate::types::tsvector::{Lexeme, PLACE_END, Position, TsVector};

/// What positions of weights D, C, B and A count.
pub type Weights = [f32; 4];

pub const WEIGHTS: Weights = [0.1, 0.2, 0.4, 1.0];

/// By what a rank is divided; bits that may be set together.
mod normalization {
    /// 1 + the logarithm of the document's length
    pub const LOG_LENGTH: i32 = 1;
    pub const LENGTH: i32 = 2;
    /// The mean harmonic distance between covers; for ts_rank_cd only.
    pub const COVER_DISTANCE: i32 = 4;
    /// How many lexemes are distinct.
    pub const UNIQUE: i32 = 8;
    pub const LOG_UNIQUE: i32 = 16;
    /// Itself + 1.
    pub const ITSELF: i32 = 32;
}

/// Weights as an array of four; negative ones are the default.
pub fn weights(given: &[Option<f32>]) -> Result<Weights> {
    if given.len() < WEIGHTS.len() {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array of weight is too short"));
    }
    let mut weights = WEIGHTS;
    for given in given {
        if given.is_none() {
            return Err(Error::new(SqlState("22004"), "array of weight must not contain nulls"));
        }
    }
    for (weight, given) in weights.iter_mut().zip(given.iter().flatten()) {
        if *given >= 0.0 {
            *weight = *given;
        }
        if *weight > 1.0 {
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "weight out of range"));
        }
    }
    Ok(weights)
}

/// ts_rank()
pub fn rank(weights: &Weights, vector: &TsVector, query: &TsQuery, method: i32) -> f32 {
    let lexemes = vector.lexemes();
    let Some(first) = query.items().first().filter(|_| !lexemes.is_empty()) else { return 0.0 };
    let words = distinct_words(query);
    let nearness = matches!(first, Item::And { .. } | Item::Phrase { .. }) && words.len() > 1;
    let document = Lexemes { lexemes: &lexemes };
    let mut rank = match nearness {
        true => nearness_of(weights, &document, &words),
        false => frequency_of(weights, &document, &words),
    };
    if rank < 0.0 {
        rank = 1e-20;
    }
    let (length, unique) = (length_of(&lexemes), lexemes.len());
    if method & normalization::LOG_LENGTH != 0 {
        rank = (f64::from(rank) / (((length + 1) as f64).ln() / 2f64.ln())) as f32;
    }
    if method & normalization::LENGTH != 0 && length > 0 {
        rank /= length as f32;
    }
    if method & normalization::UNIQUE != 0 {
        rank /= unique as f32;
    }
    if method & normalization::LOG_UNIQUE != 0 {
        rank = (f64::from(rank) / (((unique + 1) as f64).ln() / 2f64.ln())) as f32;
    }
    if method & normalization::ITSELF != 0 {
        rank /= rank + 1.0;
    }
    rank
}

/// The words of a query by text, each once.
fn distinct_words(query: &TsQuery) -> Vec<&Word> {
    let mut words: Vec<&Word> = query.words().collect();
    words.sort_by(|one, other| one.text.cmp(&other.text));
    words.dedup_by(|one, other| one.text == other.text);
    words
}

/// Positions; a lexeme without any counts once.
fn length_of(lexemes: &[Lexeme]) -> usize {
    lexemes.iter().map(|lexeme| lexeme.position_count().max(1)).sum()
}

/// The positions of a lexeme; `otherwise` when it has none.
fn positions_or(lexeme: &Lexeme, otherwise: Position) -> Vec<Position> {
    match lexeme.position_count() {
        0 => vec![otherwise],
        _ => lexeme.positions().collect(),
    }
}

fn frequency_of(weights: &Weights, document: &Lexemes, words: &[&Word]) -> f32 {
    let mut sum = 0f32;
    for lexeme in words.iter().flat_map(|word| document.found(word)) {
        let (mut series, mut heaviest, mut heaviest_at) = (0f32, -1f32, 0usize);
        for (index, position) in positions_or(lexeme, Position { place: 0, weight: 0 }).iter().enumerate() {
            let weight = weights[usize::from(position.weight)];
            series += weight / square(index);
            if weight > heaviest {
                (heaviest, heaviest_at) = (weight, index);
            }
        }
        // The heaviest counts as the first; the series of 1/i² tends to π²/6.
        let series = heaviest + series - heaviest / square(heaviest_at);
        sum = (f64::from(sum) + f64::from(series) / 1.644_934_066_85) as f32;
    }
    if words.is_empty() { sum } else { sum / words.len() as f32 }
}

/// Of the number counted from 1.
fn square(index: usize) -> f32 {
    ((index + 1) * (index + 1)) as f32
}

fn nearness_of(weights: &Weights, document: &Lexemes, words: &[&Word]) -> f32 {
    let unplaced = Position { place: (PLACE_END - 1) as u16, weight: 0 };
    let mut rank = -1f32;
    // Of each word before: the positions of its last lexeme, and whether it has none of its own.
    let mut before: Vec<Option<(Vec<Position>, bool)>> = Vec::new();
    for word in words {
        let mut last = None;
        for lexeme in document.found(word) {
            let bare = lexeme.position_count() == 0;
            let positions = positions_or(lexeme, unplaced);
            for (others, other_bare) in before.iter().flatten() {
                for (one, other) in positions.iter().flat_map(|one| others.iter().map(move |o| (one, o))) {
                    let distance = (i32::from(one.place) - i32::from(other.place)).abs();
                    if distance == 0 && !bare && !other_bare {
                        continue;
                    }
                    let distance = if distance == 0 { PLACE_END as i32 } else { distance };
                    let both = weights[usize::from(one.weight)] * weights[usize::from(other.weight)];
                    let near = f64::from(both * closeness(distance)).sqrt() as f32;
                    rank = match rank < 0.0 {
                        true => near,
                        false => (1.0 - (1.0 - f64::from(rank)) * (1.0 - f64::from(near))) as f32,
                    };
                }
            }
            last = Some((positions, bare));
        }
        before.push(last);
    }
    rank
}

/// What a distance between two words counts.
fn closeness(distance: i32) -> f32 {
    if distance > 100 {
        return 1e-30;
    }
    (1.0 / (1.005 + 0.05 * (f64::from(distance as f32) / 1.5 - 2.0).exp())) as f32
}

/// One place of the document with the words of the query that stand there.
struct Spot {
    position: Position,
    lexeme: usize,
    items: Vec<usize>,
}

/// ts_rank_cd()
pub fn rank_by_covers(weights: &Weights, vector: &TsVector, query: &TsQuery, method: i32) -> f32 {
    let lexemes = vector.lexemes();
    let spots = spots(&Lexemes { lexemes: &lexemes }, query);
    if spots.is_empty() {
        return 0.0;
    }
    let mut rank = 0f64;
    let (mut distances, mut last_middle, mut covers) = (0f64, 0f64, 0usize);
    let mut from = 0;
    while let Some(cover) = next_cover(&spots, query, &mut from) {
        let inside = &spots[cover.begin..=cover.end];
        let inverse = |spot: &Spot| 1.0 / f64::from(weights[usize::from(spot.position.weight)]);
        let inverses: f64 = inside.iter().fold(0.0, |sum, spot| sum + inverse(spot));
        let mean = inside.len() as f64 / inverses;
        let (first, last) =
            (i32::from(inside[0].position.place), i32::from(inside[inside.len() - 1].position.place));
        let others = (cover.end - cover.begin) as i32;
        // Places that were cut off leave no room between words.
        let noise = if last - first < others { others / 2 } else { last - first - others };
        rank += mean / f64::from(1 + noise);
        let middle = f64::from(first + last) / 2.0;
        if covers > 0 && middle > last_middle {
            distances += 1.0 / (middle - last_middle);
        }
        (last_middle, covers) = (middle, covers + 1);
    }
    normalized_by_covers(rank, method, &lexemes, covers, distances) as f32
}

fn normalized_by_covers(
    mut rank: f64,
    method: i32,
    lexemes: &[Lexeme],
    covers: usize,
    distances: f64,
) -> f64 {
    let (length, unique) = (length_of(lexemes), lexemes.len());
    if method & normalization::LOG_LENGTH != 0 {
        rank /= ((length + 1) as f64).ln();
    }
    if method & normalization::LENGTH != 0 {
        rank /= length as f64;
    }
    if method & normalization::COVER_DISTANCE != 0 && covers > 0 && distances > 0.0 {
        rank /= covers as f64 / distances;
    }
    if method & normalization::UNIQUE != 0 {
        rank /= unique as f64;
    }
    if method & normalization::LOG_UNIQUE != 0 {
        rank /= ((unique + 1) as f64).ln() / 2f64.ln();
    }
    if method & normalization::ITSELF != 0 {
        rank /= rank + 1.0;
    }
    rank
}

/// Where words of the query stand, ascending.
fn spots(document: &Lexemes, query: &TsQuery) -> Vec<Spot> {
    // (place, weight, lexeme, item): the order in which spots follow each other, and items within one.
    let mut found = BTreeSet::new();
    for (item, word) in query.items().iter().enumerate() {
        let Item::Word(word) = word else { continue };
        for lexeme in document.found(word) {
            // Lexemes are found in slices of the document's.
            let index = document.lexemes.partition_point(|other| other.word < lexeme.word);
            for position in lexeme.positions().filter(|position| word.takes_weight(position.weight)) {
                found.insert((position, index, item));
            }
        }
    }
    let mut spots: Vec<Spot> = Vec::new();
    for (position, lexeme, item) in found {
        match spots.last_mut() {
            Some(last) if (last.position, last.lexeme) == (position, lexeme) => last.items.push(item),
            _ => spots.push(Spot { position, lexeme, items: vec![item] }),
        }
    }
    spots
}

/// The first and the last spot of a part that matches.
struct Cover {
    begin: usize,
    end: usize,
}

/// The words that some spots have, as a document.
struct Seen {
    /// By item of the query.
    places: Vec<Vec<i32>>,
    descending: bool,
}

impl Seen {
    fn new(query: &TsQuery, descending: bool) -> Seen {
        Seen { places: vec![Vec::new(); query.items().len()], descending }
    }

    fn add(&mut self, spot: &Spot) {
        let place = i32::from(spot.position.place);
        for &item in &spot.items {
            if self.places[item].last() != Some(&place) {
                self.places[item].push(place);
            }
        }
    }
}

impl Document for Seen {
    fn has(&self, item: usize, _word: &Word) -> Answer {
        if self.places[item].is_empty() { Answer::No } else { Answer::Yes }
    }

    fn places(&self, item: usize, word: &Word) -> (Answer, Vec<i32>) {
        let mut places = self.places[item].clone();
        if self.descending {
            places.reverse();
        }
        (self.has(item, word), places)
    }
}

/// The shortest part from the spot `from` on that matches; `from` moves behind its beginning.
fn next_cover(spots: &[Spot], query: &TsQuery, from: &mut usize) -> Option<Cover> {
    loop {
        let mut seen = Seen::new(query, false);
        let end = (*from..spots.len()).find(|&at| {
            seen.add(&spots[at]);
            execute(query.items(), &seen)
        })?;
        let mut seen = Seen::new(query, true);
        let begin = (*from..=end).rev().find(|&at| {
            seen.add(&spots[at]);
            execute(query.items(), &seen)
        });
        match begin {
            Some(begin) => {
                *from = begin + 1;
                return Some(Cover { begin, end });
            }
            None => *from += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::types::{tsquery, tsvector};

    use super::*;

    #[test]
    fn ranks_are_postgres() {
        let ranks = |vector: &str, query: &str, method| {
            let (vector, query) = (tsvector::parse(vector).unwrap(), tsquery::parse(query).unwrap());
            (rank(&WEIGHTS, &vector, &query, method), rank_by_covers(&WEIGHTS, &vector, &query, method))
        };
        // Each was answered by PostgreSQL 15.
        for (vector, query, method, expected) in [
            ("a:1 b:2 c:3", "a", 0, (0.06079271, 0.1)),
            ("a:1 b:2 c:3", "a & b", 0, (0.09910322, 0.1)),
            ("a:1 b:2 c:3", "d", 0, (0.0, 0.0)),
        ] {
            assert_eq!(ranks(vector, query, method), expected, "{vector} {query} {method}");
        }
    }

    #[test]
    fn weights_are_checked() {
        let message = |given: &[Option<f32>]| weights(given).unwrap_err().message().to_owned();
        assert_eq!(message(&[Some(1.0)]), "array of weight is too short");
        assert_eq!(message(&[None; 4]), "array of weight must not contain nulls");
        assert_eq!(message(&[Some(2.0); 4]), "weight out of range");
        assert_eq!(weights(&[Some(-1.0); 5]).unwrap(), WEIGHTS);
    }
}
