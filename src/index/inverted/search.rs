//! Questions to an inverted index.
//!
//! An index knows terms, not places and weights, so that a part of a tsquery is answered by two sets: the slots that
//! surely match and those that may. NOT turns them round, which is why both are needed.

use roaring::RoaringBitmap;

use crate::types::json::Node;
use crate::types::tsquery::{Item, TsQuery};
use crate::types::{Hstore, Value};

use super::InvertedIndex;
use super::terms::{Kind, Term, WHOLE_BYTES_MAX, element, key, pair, paths, whole};

/// What a column can be asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// `tsvector @@ query`
    Matches(TsQuery),
    /// `array @> elements`
    ContainsElements(Vec<Value>),
    /// `array && elements`
    Overlaps(Vec<Value>),
    /// `jsonb @> document`
    ContainsDocument(String),
    /// `hstore @> hstore`
    ContainsPairs(Hstore),
    /// `jsonb ?& keys`, `hstore ?& keys`
    HasKeys(Vec<String>),
    /// `jsonb ?| keys`, `hstore ?| keys`
    HasAnyKey(Vec<String>),
    /// Equal to a value whose equals share one of these bytes
    Equals(Vec<Vec<u8>>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// All slots for which the answer is yes, and maybe others.
    pub slots: RoaringBitmap,
    /// Whether there are no others.
    pub exact: bool,
}

/// Slots that surely match, and those that may.
struct Bounds {
    sure: RoaringBitmap,
    possible: RoaringBitmap,
}

impl InvertedIndex {
    /// The slots that answer the question; `None` when this index cannot tell.
    pub fn search(&self, question: &Question) -> Option<Found> {
        let exactly = |slots| Some(Found { slots, exact: true });
        match (&self.kind, question) {
            (Kind::Lexemes, Question::Matches(query)) if query.is_empty() => exactly(RoaringBitmap::new()),
            (Kind::Lexemes, Question::Matches(query)) => {
                let Bounds { sure, possible } = self.bounds(query.items(), 0, &self.present());
                Some(Found { exact: sure == possible, slots: possible })
            }
            (Kind::Elements(ty), Question::ContainsElements(items)) => {
                // NULL is equal to nothing, so that nothing contains it.
                let terms: Option<Vec<Term>> = items.iter().map(|item| element(ty, item)).collect();
                exactly(terms.map_or_else(RoaringBitmap::new, |terms| self.with_all(&terms)))
            }
            (Kind::Elements(ty), Question::Overlaps(items)) => {
                exactly(self.with_any(items.iter().filter_map(|item| element(ty, item))))
            }
            (Kind::Document { .. }, Question::ContainsDocument(text)) => {
                let mut terms = Vec::new();
                paths(&Node::parse(text).ok()?, 0, &mut terms);
                Some(Found { slots: self.with_all(&terms), exact: false })
            }
            (Kind::Pairs, Question::ContainsPairs(pairs)) => {
                let terms = pairs.pairs().iter().map(|(name, value)| pair(name, value.as_deref()));
                exactly(self.with_all(&terms.collect::<Vec<Term>>()))
            }
            (Kind::Pairs | Kind::Document { keys: true }, Question::HasKeys(keys)) => {
                let terms: Vec<Term> = keys.iter().map(|name| key(name)).collect();
                exactly(self.with_all(&terms))
            }
            (Kind::Pairs | Kind::Document { keys: true }, Question::HasAnyKey(keys)) => {
                exactly(self.with_any(keys.iter().map(|name| key(name))))
            }
            (Kind::Whole(_), Question::Equals(values)) => Some(Found {
                // Of a hash others may be, too.
                exact: values.iter().all(|bytes| bytes.len() <= WHOLE_BYTES_MAX),
                slots: self.with_any(values.iter().map(|bytes| whole(bytes.clone()))),
            }),
            _ => None,
        }
    }

    /// Slots that have all the terms; of none, every slot with a value.
    fn with_all(&self, terms: &[Term]) -> RoaringBitmap {
        let Some((first, others)) = terms.split_first() else { return self.present() };
        let mut slots = self.dictionary.find(first);
        for term in others {
            if slots.is_empty() {
                break;
            }
            slots &= self.dictionary.find(term);
        }
        slots
    }

    fn with_any(&self, terms: impl Iterator<Item = Term>) -> RoaringBitmap {
        terms.fold(RoaringBitmap::new(), |slots, term| slots | self.dictionary.find(&term))
    }

    /// What the part of a query from `at` on matches among all the slots with a value.
    fn bounds(&self, items: &[Item], at: usize, all: &RoaringBitmap) -> Bounds {
        let item = &items[at];
        match item {
            Item::Word(word) => {
                let term = word.text.as_bytes();
                let possible =
                    if word.prefix { self.dictionary.find_prefix(term) } else { self.dictionary.find(term) };
                let sure = if word.weights == 0 { possible.clone() } else { RoaringBitmap::new() };
                Bounds { sure, possible }
            }
            Item::Stop => Bounds { sure: RoaringBitmap::new(), possible: RoaringBitmap::new() },
            Item::Not => {
                let inner = self.bounds(items, at + 1, all);
                Bounds { sure: all - inner.possible, possible: all - inner.sure }
            }
            Item::And { .. } => {
                let left = self.bounds(items, at + item.left(), all);
                let right = self.bounds(items, at + 1, all);
                Bounds { sure: left.sure & right.sure, possible: left.possible & right.possible }
            }
            Item::Or { .. } => {
                let left = self.bounds(items, at + item.left(), all);
                let right = self.bounds(items, at + 1, all);
                Bounds { sure: left.sure | right.sure, possible: left.possible | right.possible }
            }
            // Where words stand is not known here.
            Item::Phrase { .. } => {
                Bounds { sure: RoaringBitmap::new(), possible: self.possible(items, at, all) }
            }
        }
    }

    /// Slots that may match below FOLLOWED BY, where NOT is about places and rules nothing out.
    fn possible(&self, items: &[Item], at: usize, all: &RoaringBitmap) -> RoaringBitmap {
        let item = &items[at];
        match item {
            Item::Not => all.clone(),
            Item::Word(_) | Item::Stop => self.bounds(items, at, all).possible,
            Item::Or { .. } => {
                self.possible(items, at + item.left(), all) | self.possible(items, at + 1, all)
            }
            Item::And { .. } | Item::Phrase { .. } => {
                self.possible(items, at + item.left(), all) & self.possible(items, at + 1, all)
            }
        }
    }
}
