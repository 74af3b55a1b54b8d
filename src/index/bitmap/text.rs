//! A column of text: a dictionary gives each distinct text a code, and the codes are a fixed column.
//!
//! ```text
//!   up to 4,096 distinct texts      dictionary text -> code, codes by slot     =, IN, <, LIKE 'a%'
//!   more, or more than 1 MB         hashes of 128 bits by slot                 =, IN
//! ```
//!
//! With more texts than the dictionary takes ([`DISTINCT_MAX`], [`TEXT_BYTES_MAX`]) each slot has the SipHash of its text,
//! under keys drawn for the column. Two texts of one hash would be taken for one: among 10^9 texts that has a chance of
//! 10^-21, and nobody who does not know the keys can do better. Ranges have no answer then (until the index is made anew).

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringBitmap;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::blocks::{BlockReader, Writer};
use super::fixed::{Fixed, within};
use super::postings::DISTINCT_MAX;
use super::predicate::{Ranges, TextRange};
use crate::error::Result;

/// Codes, of which each has a bitmap.
const CODES_MAX: usize = DISTINCT_MAX as usize;

/// Bytes of all texts of a dictionary: 256 for each, which names and titles do not need. Whole documents are not looked for
/// by their order, and would be in memory once more.
const TEXT_BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
pub enum Text {
    Coded {
        codes: Fixed<u16>,
        dictionary: Arc<Dictionary>,
    },
    /// By hash, once there were too many texts.
    Hashed(Hashed),
}

#[derive(Clone)]
pub struct Hashed {
    /// Of the hash function.
    keys: u128,
    hashes: Fixed<u128>,
}

/// How a file tells the two apart.
const CODED: u8 = 1;
const HASHED: u8 = 2;

#[derive(Clone, Default)]
pub struct Dictionary {
    pub codes: BTreeMap<Box<str>, u16>,
    /// Codes whose text no slot has any more.
    free: Vec<u16>,
    /// Of all texts.
    bytes: usize,
}

/// Runs the same expression on codes and on hashes.
macro_rules! on_keys {
    ($text:expr, $keys:ident => $run:expr) => {
        match $text {
            Text::Coded { codes: $keys, .. } => $run,
            Text::Hashed(Hashed { hashes: $keys, .. }) => $run,
        }
    };
}

impl Text {
    pub fn new() -> Text {
        Text::Coded { codes: Fixed::new(), dictionary: Arc::default() }
    }

    /// Which of the two it is, then the dictionary or the keys of the hashes, then the column.
    pub fn save(&self, out: &mut Writer) -> Result<()> {
        match self {
            Text::Coded { codes, dictionary } => {
                out.put_u8(CODED)?;
                dictionary.save(out)?;
                codes.save(out)
            }
            Text::Hashed(hashed) => {
                out.put_u8(HASHED)?;
                out.put_u128(hashed.keys)?;
                hashed.hashes.save(out)
            }
        }
    }

    pub fn open(from: &mut BlockReader) -> Result<Text> {
        Ok(match from.u8()? {
            CODED => {
                let dictionary = Arc::new(Dictionary::open(from)?);
                Text::Coded { codes: Fixed::open(from)?, dictionary }
            }
            HASHED => {
                let keys = from.u128()?;
                Text::Hashed(Hashed { keys, hashes: Fixed::open(from)? })
            }
            other => return Err(from.corrupt("texts by codes or by hashes", other)),
        })
    }

    /// Whether the slot has this text, or NULL.
    pub fn holds(&self, slot: u32, text: Option<&str>) -> bool {
        match self {
            Text::Hashed(hashed) => hashed.hashes.holds(slot, text.map(|text| hashed.hash(text))),
            Text::Coded { codes, dictionary } => match text.map(|text| dictionary.codes.get(text)) {
                None => codes.holds(slot, None),
                Some(None) => false,
                Some(Some(code)) => codes.holds(slot, Some(*code)),
            },
        }
    }

    pub fn set(&mut self, slot: u32, text: &str) {
        self.sweep(text);
        if let Text::Coded { codes, dictionary } = self {
            match code(dictionary, text) {
                Some(code) => return codes.set(slot, code),
                None => *self = Text::Hashed(Hashed::of(codes, dictionary)),
            }
        }
        if let Text::Hashed(hashed) = self {
            hashed.hashes.set(slot, hashed.hash(text));
        }
    }

    pub fn set_null(&mut self, slot: u32) {
        on_keys!(self, keys => keys.set_null(slot));
    }

    pub fn remove(&mut self, slot: u32) {
        on_keys!(self, keys => keys.remove(slot));
    }

    /// When the dictionary has no place for a text, drops those that no slot has any more.
    fn sweep(&mut self, text: &str) {
        let Text::Coded { codes, dictionary } = self else { return };
        if dictionary.has_place(text) || codes.distinct() == Some(dictionary.codes.len() as u64) {
            return;
        }
        let Dictionary { codes: texts, free, bytes } = Arc::make_mut(dictionary);
        texts.retain(|text, code| {
            let used = codes.count(&Ranges(vec![(*code, *code)])) > 0;
            if !used {
                free.push(*code);
                *bytes -= text.len();
            }
            used
        });
    }

    pub fn select(&self, texts: &[TextRange]) -> Option<RoaringBitmap> {
        Some(match self {
            Text::Coded { codes, dictionary } => codes.select(&coded(dictionary, texts)),
            Text::Hashed(hashed) => hashed.hashes.select(&hashed.of_texts(texts)?),
        })
    }

    pub fn count(&self, texts: &[TextRange]) -> Option<u64> {
        Some(match self {
            Text::Coded { codes, dictionary } => codes.count(&coded(dictionary, texts)),
            Text::Hashed(hashed) => hashed.hashes.count(&hashed.of_texts(texts)?),
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
            Text::Hashed(hashed) => hashed.hashes.bytes(),
            Text::Coded { codes, dictionary } => {
                codes.bytes() + (dictionary.bytes + 32 * dictionary.codes.len()) as u64
            }
        }
    }
}

impl Hashed {
    /// The hashes of the texts whose codes these are.
    fn of(codes: &Fixed<u16>, dictionary: &Dictionary) -> Hashed {
        let drawn = || u128::from(RandomState::new().build_hasher().finish());
        let mut hashed = Hashed { keys: drawn() << 64 | drawn(), hashes: Fixed::new() };
        for (text, code) in &dictionary.codes {
            let hash = hashed.hash(text);
            let slots = codes.select(&Ranges(vec![(*code, *code)]));
            slots.iter().for_each(|slot| hashed.hashes.set(slot, hash));
        }
        codes.nulls().iter().for_each(|slot| hashed.hashes.set_null(slot));
        hashed
    }

    /// The hash that stands for a text.
    fn hash(&self, text: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_keys((self.keys >> 64) as u64, self.keys as u64);
        hasher.write(text.as_bytes());
        hasher.finish128().as_u128()
    }

    /// The hashes of single texts; `None` where there is a range.
    fn of_texts(&self, texts: &[TextRange]) -> Option<Ranges<u128>> {
        let one = |range: &TextRange| match range {
            TextRange::Between(Bound::Included(low), Bound::Included(high)) if low == high => {
                Some(self.hash(low))
            }
            _ => None,
        };
        let mut hashes = texts.iter().map(one).collect::<Option<Vec<_>>>()?;
        hashes.sort_unstable();
        Some(Ranges(hashes.into_iter().map(|hash| (hash, hash)).collect()))
    }
}

/// The codes of the texts in the ranges.
fn coded(dictionary: &Dictionary, texts: &[TextRange]) -> Ranges<u16> {
    let mut codes: Vec<u16> = texts.iter().flat_map(|range| codes_within(dictionary, *range)).collect();
    codes.sort_unstable();
    codes.dedup();
    Ranges(codes.into_iter().map(|code| (code, code)).collect())
}

impl Dictionary {
    /// Whether the text is there, or may come.
    fn has_place(&self, text: &str) -> bool {
        let is_full = self.codes.len() >= CODES_MAX || self.bytes + text.len() > TEXT_BYTES_MAX;
        !is_full || self.codes.contains_key(text)
    }

    fn save(&self, out: &mut Writer) -> Result<()> {
        out.put_u32(self.codes.len() as u32)?;
        for (text, code) in &self.codes {
            out.put_u16(*code)?;
            out.put_u32(text.len() as u32)?;
            out.put(text.as_bytes())?;
        }
        out.put_u32(self.free.len() as u32)?;
        self.free.iter().try_for_each(|code| out.put_u16(*code))
    }

    fn open(from: &mut BlockReader) -> Result<Dictionary> {
        let mut dictionary = Dictionary::default();
        // Each code is a text's or free, and the next new one is as great as they are many.
        let mut seen = RoaringBitmap::new();
        for _ in 0..from.u32()? {
            let (code, bytes) = (from.u16()?, from.u32()?);
            let text = str::from_utf8(from.take(bytes as usize)?).map(Box::from);
            let text: Box<str> = text.map_err(|error| from.corrupt("a text", error))?;
            dictionary.bytes += text.len();
            if !seen.insert(u32::from(code)) || dictionary.codes.insert(text, code).is_some() {
                return Err(from.corrupt("texts and codes that differ", code));
            }
        }
        for _ in 0..from.u32()? {
            let code = from.u16()?;
            if !seen.insert(u32::from(code)) {
                return Err(from.corrupt("a code that is free", code));
            }
            dictionary.free.push(code);
        }
        if seen.len() > CODES_MAX as u64 || seen.max().is_some_and(|last| u64::from(last) >= seen.len()) {
            return Err(from.corrupt("codes from 0 on, without gaps", format_args!("{seen:?}")));
        }
        Ok(dictionary)
    }
}

/// The text's code, a new one if need be; `None` when there are no more.
fn code(dictionary: &mut Arc<Dictionary>, text: &str) -> Option<u16> {
    if let Some(&code) = dictionary.codes.get(text) {
        return Some(code);
    }
    if !dictionary.has_place(text) {
        return None;
    }
    let dictionary = Arc::make_mut(dictionary);
    let code = dictionary.free.pop().unwrap_or(dictionary.codes.len() as u16);
    dictionary.bytes += text.len();
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
