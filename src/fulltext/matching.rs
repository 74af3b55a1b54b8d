//! Whether a document matches a query, and where.
//!
//! AND, OR and NOT ask whether words are there; FOLLOWED BY asks where. Below it an answer is a set of places, or the
//! complement of one, and a width: a phrase is kept by the place where it ends and how far before it begins.

use crate::types::tsquery::{Item, TsQuery, Word};
use crate::types::tsvector::{Lexeme, TsVector};

/// An answer, when places may be missing that would decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    No,
    Yes,
    Maybe,
}

/// Where a part of a query matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The ends of matches, ascending.
    pub ends: Vec<i32>,
    /// It matches everywhere else instead.
    pub negated: bool,
    /// How far before its end a match begins.
    pub width: i32,
}

/// What a query is held against.
pub trait Document {
    /// Whether the word that is `item` of the query is there.
    fn has(&self, item: usize, word: &Word) -> Answer;

    /// Where it is; places only with [`Answer::Yes`].
    fn places(&self, item: usize, word: &Word) -> (Answer, Vec<i32>);
}

/// `@@`
pub fn matches(vector: &TsVector, query: &TsQuery) -> bool {
    let lexemes = vector.lexemes();
    !query.is_empty() && execute(query.items(), &Lexemes { lexemes: &lexemes })
}

/// Whether `document` matches the query of these items.
pub fn execute(items: &[Item], document: &impl Document) -> bool {
    answer(items, 0, document) != Answer::No
}

/// The lexemes of a tsvector as a document.
pub struct Lexemes<'a> {
    pub lexemes: &'a [Lexeme<'a>],
}

impl<'a> Lexemes<'a> {
    /// The lexemes that a word matches, whatever their weights.
    pub fn found(&self, word: &Word) -> &'a [Lexeme<'a>] {
        let first = self.lexemes.partition_point(|lexeme| lexeme.word < word.text.as_str());
        let rest = &self.lexemes[first..];
        match word.prefix {
            true => &rest[..rest.partition_point(|lexeme| lexeme.word.starts_with(&word.text))],
            false => &rest[..usize::from(rest.first().is_some_and(|lexeme| lexeme.word == word.text))],
        }
    }
}

impl Document for Lexemes<'_> {
    fn has(&self, _item: usize, word: &Word) -> Answer {
        let counts = |lexeme: &Lexeme| {
            lexeme.position_count() == 0
                || word.weights == 0
                || lexeme.positions().any(|position| word.takes_weight(position.weight))
        };
        if self.found(word).iter().any(counts) { Answer::Yes } else { Answer::No }
    }

    fn places(&self, _item: usize, word: &Word) -> (Answer, Vec<i32>) {
        let mut places = Vec::new();
        for lexeme in self.found(word) {
            if lexeme.position_count() == 0 {
                return (Answer::Maybe, Vec::new());
            }
            let counted = lexeme.positions().filter(|position| word.takes_weight(position.weight));
            places.extend(counted.map(|position| i32::from(position.place)));
        }
        places.sort_unstable();
        places.dedup();
        (if places.is_empty() { Answer::No } else { Answer::Yes }, places)
    }
}

fn answer(items: &[Item], at: usize, document: &impl Document) -> Answer {
    let item = &items[at];
    let left = || answer(items, at + item.left(), document);
    let right = || answer(items, at + 1, document);
    match item {
        Item::Word(word) => document.has(at, word),
        Item::Stop => Answer::No,
        Item::Not => match right() {
            Answer::No => Answer::Yes,
            Answer::Yes => Answer::No,
            Answer::Maybe => Answer::Maybe,
        },
        Item::And { .. } => match left() {
            Answer::No => Answer::No,
            first => match right() {
                Answer::Yes => first,
                other => other,
            },
        },
        Item::Or { .. } => match left() {
            Answer::Yes => Answer::Yes,
            first => match right() {
                Answer::No => first,
                other => other,
            },
        },
        // A phrase over words without places does not match.
        Item::Phrase { .. } => match phrase(items, at, document).0 {
            Answer::Yes => Answer::Yes,
            Answer::No | Answer::Maybe => Answer::No,
        },
    }
}

/// Which places two sets of them make.
#[derive(Clone, Copy)]
struct Emit {
    left: bool,
    right: bool,
    both: bool,
}

const BOTH: Emit = Emit { left: false, right: false, both: true };
const EITHER: Emit = Emit { left: true, right: true, both: true };
const ONLY_LEFT: Emit = Emit { left: true, right: false, both: false };
const ONLY_RIGHT: Emit = Emit { left: false, right: true, both: false };

/// Two sets of places, moved by their offsets, as one.
fn merged(left: &Places, right: &Places, emit: Emit, left_offset: i32, right_offset: i32) -> Vec<i32> {
    let mut places = Vec::new();
    let (mut lefts, mut rights) = (left.ends.iter().peekable(), right.ends.iter().peekable());
    loop {
        let one = lefts.peek().map(|&&place| place + left_offset);
        let other = rights.peek().map(|&&place| place + right_offset);
        let (place, emitted) = match (one, other) {
            (None, None) => return places,
            (Some(one), Some(other)) if one == other => (one, emit.both),
            (Some(one), other) if other.is_none_or(|other| one < other) => (one, emit.left),
            (_, Some(other)) => (other, emit.right),
            (Some(one), None) => (one, emit.left),
        };
        if one == Some(place) {
            lefts.next();
        }
        if other == Some(place) {
            rights.next();
        }
        if emitted && place > 0 {
            places.push(place);
        }
    }
}

fn yes_if_any(ends: Vec<i32>, width: i32) -> (Answer, Places) {
    match ends.is_empty() {
        true => (Answer::No, Places { width, ..Places::default() }),
        false => (Answer::Yes, Places { ends, negated: false, width }),
    }
}

/// Where the part from `at` on matches.
fn phrase(items: &[Item], at: usize, document: &impl Document) -> (Answer, Places) {
    let item = &items[at];
    match item {
        Item::Word(word) => {
            let (answer, ends) = document.places(at, word);
            (answer, Places { ends, ..Places::default() })
        }
        Item::Stop => (Answer::No, Places::default()),
        Item::Not => match phrase(items, at + 1, document) {
            (Answer::No, _) => (Answer::Yes, Places { negated: true, ..Places::default() }),
            (Answer::Maybe, places) => (Answer::Maybe, places),
            (Answer::Yes, places) if places.ends.is_empty() => (Answer::No, Places::default()),
            (Answer::Yes, places) => (Answer::Yes, Places { negated: !places.negated, ..places }),
        },
        Item::Or { .. } => either(items, at, document),
        Item::And { .. } => both(items, at, None, document),
        Item::Phrase { distance, .. } => both(items, at, Some(i32::from(*distance)), document),
    }
}

/// Where both operands match, the right one `distance` behind the left one when that is given.
fn both(items: &[Item], at: usize, distance: Option<i32>, document: &impl Document) -> (Answer, Places) {
    let (one, left) = phrase(items, at + items[at].left(), document);
    if one == Answer::No {
        return (Answer::No, Places::default());
    }
    let (other, right) = phrase(items, at + 1, document);
    if other == Answer::No {
        return (Answer::No, Places::default());
    }
    if one == Answer::Maybe || other == Answer::Maybe {
        return (Answer::Maybe, Places::default());
    }
    let (left_offset, right_offset, width) = match distance {
        Some(distance) => (distance + right.width, 0, distance + left.width + right.width),
        None => {
            let width = left.width.max(right.width);
            (width - left.width, width - right.width, width)
        }
    };
    let merged = |emit| merged(&left, &right, emit, left_offset, right_offset);
    match (left.negated, right.negated) {
        (true, true) => (Answer::Yes, Places { ends: merged(EITHER), negated: true, width }),
        (true, false) => yes_if_any(merged(ONLY_RIGHT), width),
        (false, true) => yes_if_any(merged(ONLY_LEFT), width),
        (false, false) => yes_if_any(merged(BOTH), width),
    }
}

/// Where one of the operands matches; the narrower one counts as wide as the other.
fn either(items: &[Item], at: usize, document: &impl Document) -> (Answer, Places) {
    let (one, mut left) = phrase(items, at + items[at].left(), document);
    let (other, mut right) = phrase(items, at + 1, document);
    if one == Answer::No && other == Answer::No {
        return (Answer::No, Places::default());
    }
    if one == Answer::Maybe || other == Answer::Maybe {
        return (Answer::Maybe, Places::default());
    }
    for (answer, places) in [(one, &mut left), (other, &mut right)] {
        if answer == Answer::No {
            *places = Places::default();
        }
    }
    let width = left.width.max(right.width);
    let merged = |emit| merged(&left, &right, emit, width - left.width, width - right.width);
    let negated = |emit| (Answer::Yes, Places { ends: merged(emit), negated: true, width });
    match (left.negated, right.negated) {
        (true, true) => negated(BOTH),
        (true, false) => negated(ONLY_LEFT),
        (false, true) => negated(ONLY_RIGHT),
        (false, false) => yes_if_any(merged(EITHER), width),
    }
}

/// Where the words and phrases are that a match needs: one set of places for each that is joined by AND. Parts under
/// NOT have none, and alternatives share theirs. Empty when the document does not match.
pub fn locations(items: &[Item], document: &impl Document) -> Vec<Places> {
    locate(items, 0, document).unwrap_or_default()
}

fn locate(items: &[Item], at: usize, document: &impl Document) -> Option<Vec<Places>> {
    let item = &items[at];
    let left = || locate(items, at + item.left(), document);
    let right = || locate(items, at + 1, document);
    match item {
        Item::Word(word) => match document.places(at, word) {
            (Answer::Yes, ends) => Some(vec![Places { ends, ..Places::default() }]),
            _ => None,
        },
        Item::Stop => None,
        Item::Not => match right() {
            None => Some(Vec::new()),
            Some(_) => None,
        },
        Item::And { .. } => Some([left()?, right()?].concat()),
        Item::Or { .. } => match (left(), right()) {
            (None, None) => None,
            (one, other) => Some(alternatives(one.unwrap_or_default(), other.unwrap_or_default())),
        },
        Item::Phrase { .. } => match phrase(items, at, document) {
            (Answer::Yes, places) if places.negated => Some(Vec::new()),
            (Answer::Yes, places) => Some(vec![places]),
            _ => None,
        },
    }
}

/// (A and B) or (C and D) needs (A or C) and (A or D) and (B or C) and (B or D).
fn alternatives(one: Vec<Places>, other: Vec<Places>) -> Vec<Places> {
    if one.is_empty() {
        return other;
    }
    if other.is_empty() {
        return one;
    }
    let pairs = one.iter().flat_map(|left| other.iter().map(move |right| (left, right)));
    let join = |(left, right): (&Places, &Places)| Places {
        ends: merged(left, right, EITHER, 0, 0),
        negated: false,
        width: left.width.max(right.width),
    };
    pairs.map(join).collect()
}

#[cfg(test)]
mod tests {
    use crate::types::{tsquery, tsvector};

    use super::*;

    fn found(vector: &str, query: &str) -> bool {
        matches(&tsvector::parse(vector).unwrap(), &tsquery::parse(query).unwrap())
    }

    #[test]
    fn matches_as_postgres() {
        // Each was answered by PostgreSQL 15.
        for (vector, query, expected) in [
            ("a b:89  ca:23A,64b d:34c", "d:AC & ca", true),
            ("a b:89  ca:23A,64b d:34c", "d:AC & ca:C", false),
            ("a b:89  ca:23A,64b d:34c", "d:AC & c:*C", false),
            ("a b:89  ca:23A,64c d:34c", "d:AC & c:*C", true),
            ("a b:89  ca:23A,64c d:34c", "d:AC & c:*CB", true),
            ("a b c", "a & !d", true),
            ("a b", "a <-> b", false),
            ("a:1 b:2", "a <-> b", true),
            ("a:1 b:3", "a <-> b", false),
            ("a:1 b:3", "a <2> b", true),
            ("a:1 b:2 c:3", "a <-> (b <-> c)", true),
            ("a:1 b:2 c:3", "(a & b) <-> c", false),
            ("a:1 b:1 c:2", "(a & b) <-> c", true),
            ("a:1 c:2", "!b <-> c", true),
            ("b:1 c:2", "!b <-> c", false),
            ("c:2", "!b <-> c", true),
            ("a:1 b:2", "a <-> !c", true),
            ("ab:1 ac:2 d:3", "a:* <-> d", true),
            ("a:1 b:2", "", false),
            ("a:1A b:2", "a:B <-> b", false),
            ("a:1A b:2", "a:A <-> b", true),
        ] {
            assert_eq!(found(vector, query), expected, "{vector} @@ {query}");
        }
    }
}
