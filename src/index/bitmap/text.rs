//! A column of text: a dictionary gives each distinct text a code, and the codes are a fixed column.
//!
//! ```text
//!   up to 4,096 distinct texts      dictionary text -> code, codes by slot     =, IN, <, LIKE 'a%'
//!   more                            hashes of 128 bits by slot                 =, IN
//! ```
//!
//! With more texts than the dictionary takes ([`DISTINCT_MAX`]) each slot has the SipHash of its text, under keys that this
//! process has drawn. Two texts of one hash would be taken for one: among 10^9 texts that has a chance of 10^-21, and nobody
//! who does not know the keys can do better. Ranges have no answer then (until the index is made anew).

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Bound;
use std::sync::{Arc, LazyLock};

use roaring::RoaringBitmap;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::fixed::{Fixed, within};
use super::postings::DISTINCT_MAX;
use super::predicate::{Ranges, TextRange};

/// Codes, of which each has a bitmap.
const CODES_MAX: usize = DISTINCT_MAX as usize;

#[derive(Clone)]
pub enum Text {
    Coded {
        codes: Fixed<u16>,
        dictionary: Arc<Dictionary>,
    },
    /// By hash, once there were too many texts.
    Hashed(Fixed<u128>),
}

#[derive(Clone, Default)]
pub struct Dictionary {
    pub codes: BTreeMap<Box<str>, u16>,
    /// Codes whose text no slot has any more.
    free: Vec<u16>,
}

/// Runs the same expression on codes and on hashes.
macro_rules! on_keys {
    ($text:expr, $keys:ident => $run:expr) => {
        match $text {
            Text::Coded { codes: $keys, .. } => $run,
            Text::Hashed($keys) => $run,
        }
    };
}

impl Text {
    pub fn new() -> Text {
        Text::Coded { codes: Fixed::new(), dictionary: Arc::default() }
    }

    /// Whether the slot has this text, or NULL.
    pub fn holds(&self, slot: u32, text: Option<&str>) -> bool {
        match self {
            Text::Hashed(hashes) => hashes.holds(slot, text.map(hash)),
            Text::Coded { codes, dictionary } => match text.map(|text| dictionary.codes.get(text)) {
                None => codes.holds(slot, None),
                Some(None) => false,
                Some(Some(code)) => codes.holds(slot, Some(*code)),
            },
        }
    }

    pub fn set(&mut self, slot: u32, text: &str) {
        self.sweep();
        if let Text::Coded { codes, dictionary } = self {
            match code(dictionary, text) {
                Some(code) => return codes.set(slot, code),
                None => *self = Text::Hashed(hashes_of(codes, dictionary)),
            }
        }
        if let Text::Hashed(hashes) = self {
            hashes.set(slot, hash(text));
        }
    }

    pub fn set_null(&mut self, slot: u32) {
        on_keys!(self, keys => keys.set_null(slot));
    }

    pub fn remove(&mut self, slot: u32) {
        on_keys!(self, keys => keys.remove(slot));
    }

    /// When the dictionary is full, drops the texts that no slot has any more.
    fn sweep(&mut self) {
        let Text::Coded { codes, dictionary } = self else { return };
        if dictionary.codes.len() < CODES_MAX || codes.distinct() == Some(DISTINCT_MAX) {
            return;
        }
        let Dictionary { codes: texts, free } = Arc::make_mut(dictionary);
        texts.retain(|_, code| {
            let used = codes.count(&Ranges(vec![(*code, *code)])) > 0;
            if !used {
                free.push(*code);
            }
            used
        });
    }

    pub fn select(&self, texts: &[TextRange]) -> Option<RoaringBitmap> {
        Some(match self {
            Text::Coded { codes, dictionary } => codes.select(&coded(dictionary, texts)),
            Text::Hashed(hashes) => hashes.select(&hashed(texts)?),
        })
    }

    pub fn count(&self, texts: &[TextRange]) -> Option<u64> {
        Some(match self {
            Text::Coded { codes, dictionary } => codes.count(&coded(dictionary, texts)),
            Text::Hashed(hashes) => hashes.count(&hashed(texts)?),
        })
    }

    /// The first `rows` slots of `among`, or of all, by their texts, and those of the last one's text; `None` of hashes.
    pub fn first(
        &self,
        among: Option<&RoaringBitmap>,
        descending: bool,
        rows: usize,
    ) -> Option<RoaringBitmap> {
        let Text::Coded { codes, dictionary } = self else { return None };
        let mut texts = dictionary.codes.values();
        let mut first = RoaringBitmap::new();
        while (first.len() as usize) < rows {
            let Some(&code) = (if descending { texts.next_back() } else { texts.next() }) else { break };
            first |= within(codes.select(&Ranges(vec![(code, code)])), among);
        }
        Some(first)
    }

    pub fn present(&self) -> RoaringBitmap {
        on_keys!(self, keys => keys.present())
    }

    pub fn nulls(&self) -> RoaringBitmap {
        on_keys!(self, keys => keys.nulls())
    }

    pub fn distinct(&self) -> Option<u64> {
        on_keys!(self, keys => keys.distinct())
    }

    pub fn bytes(&self) -> u64 {
        match self {
            Text::Hashed(hashes) => hashes.bytes(),
            Text::Coded { codes, dictionary } => {
                let texts = dictionary.codes.keys().map(|text| text.len() as u64 + 32);
                codes.bytes() + texts.sum::<u64>()
            }
        }
    }
}

/// The hash that stands for a text.
fn hash(text: &str) -> u128 {
    static KEYS: LazyLock<(u64, u64)> = LazyLock::new(|| {
        let drawn = || RandomState::new().build_hasher().finish();
        (drawn(), drawn())
    });
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write(text.as_bytes());
    hasher.finish128().as_u128()
}

/// The hashes of the texts whose codes these are.
fn hashes_of(codes: &Fixed<u16>, dictionary: &Dictionary) -> Fixed<u128> {
    let mut hashes = Fixed::new();
    for (text, code) in &dictionary.codes {
        let hash = hash(text);
        codes.select(&Ranges(vec![(*code, *code)])).iter().for_each(|slot| hashes.set(slot, hash));
    }
    codes.nulls().iter().for_each(|slot| hashes.set_null(slot));
    hashes
}

/// The codes of the texts in the ranges.
fn coded(dictionary: &Dictionary, texts: &[TextRange]) -> Ranges<u16> {
    let mut codes: Vec<u16> = texts.iter().flat_map(|range| codes_within(dictionary, *range)).collect();
    codes.sort_unstable();
    codes.dedup();
    Ranges(codes.into_iter().map(|code| (code, code)).collect())
}

/// The hashes of single texts; `None` where there is a range.
fn hashed(texts: &[TextRange]) -> Option<Ranges<u128>> {
    let one = |range: &TextRange| match range {
        TextRange::Between(Bound::Included(low), Bound::Included(high)) if low == high => Some(hash(low)),
        _ => None,
    };
    let mut hashes = texts.iter().map(one).collect::<Option<Vec<_>>>()?;
    hashes.sort_unstable();
    Some(Ranges(hashes.into_iter().map(|hash| (hash, hash)).collect()))
}

/// The text's code, a new one if need be; `None` when there are no more.
fn code(dictionary: &mut Arc<Dictionary>, text: &str) -> Option<u16> {
    if let Some(&code) = dictionary.codes.get(text) {
        return Some(code);
    }
    if dictionary.codes.len() >= CODES_MAX {
        return None;
    }
    let dictionary = Arc::make_mut(dictionary);
    let code = dictionary.free.pop().unwrap_or(dictionary.codes.len() as u16);
    dictionary.codes.insert(text.into(), code);
    Some(code)
}

/// The codes of the texts in a range.
fn codes_within(dictionary: &Dictionary, range: TextRange) -> Vec<u16> {
    let low = match range {
        TextRange::Between(low, _) => low,
        TextRange::Prefix(prefix) => Bound::Included(prefix),
    };
    let goes_on = |text: &str| match range {
        TextRange::Between(_, Bound::Included(high)) => text <= high,
        TextRange::Between(_, Bound::Excluded(high)) => text < high,
        TextRange::Between(_, Bound::Unbounded) => true,
        TextRange::Prefix(prefix) => text.starts_with(prefix),
    };
    let from = dictionary.codes.range::<str, _>((low, Bound::Unbounded));
    from.take_while(|(text, _)| goes_on(text)).map(|(_, &code)| code).collect()
}
