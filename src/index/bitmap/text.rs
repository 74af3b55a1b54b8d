//! A column of text: a dictionary gives each distinct text a code, and the codes are a fixed column.
//!
//! The dictionary takes [`DISTINCT_MAX`] texts. With more, equality and ranges are given up for good (until
//! the index is made anew); NULL or not is still known.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::blocks::{BlockReader, Writer};
use super::fixed::Fixed;
use super::postings::DISTINCT_MAX;
use super::predicate::{Ranges, TextRange};
use crate::error::Result;

/// Codes, of which each has a bitmap.
const CODES_MAX: usize = DISTINCT_MAX as usize;

#[derive(Clone)]
pub struct Text {
    codes: Fixed<u16>,
    /// `None` once there were too many texts; then every code is 0.
    dictionary: Option<Arc<Dictionary>>,
}

#[derive(Clone, Default)]
pub struct Dictionary {
    pub codes: BTreeMap<Box<str>, u16>,
    /// Codes whose text no slot has any more.
    free: Vec<u16>,
}

impl Text {
    pub fn new() -> Text {
        Text { codes: Fixed::new(), dictionary: Some(Arc::default()) }
    }

    pub fn save(&self, out: &mut Writer) -> Result<()> {
        out.put_u8(u8::from(self.dictionary.is_some()))?;
        self.dictionary.iter().try_for_each(|dictionary| dictionary.save(out))?;
        self.codes.save(out)
    }

    pub fn open(from: &mut BlockReader) -> Result<Text> {
        let dictionary = match from.u8()? {
            0 => None,
            1 => Some(Arc::new(Dictionary::open(from)?)),
            other => return Err(from.corrupt("whether there is a dictionary", other)),
        };
        Ok(Text { codes: Fixed::open(from)?, dictionary })
    }

    /// Whether the slot has this text, or NULL; of texts that were given up, whether it has one.
    pub fn holds(&self, slot: u32, text: Option<&str>) -> bool {
        let code = match (text, &self.dictionary) {
            (None, _) => None,
            (Some(_), None) => Some(0),
            (Some(text), Some(dictionary)) => match dictionary.codes.get(text) {
                Some(code) => Some(*code),
                None => return false,
            },
        };
        self.codes.holds(slot, code)
    }

    pub fn set(&mut self, slot: u32, text: &str) {
        self.sweep();
        let code = self.dictionary.as_mut().map(|dictionary| code(dictionary, text));
        match code {
            Some(Some(code)) => self.codes.set(slot, code),
            Some(None) => {
                self.give_up();
                self.codes.set(slot, 0);
            }
            None => self.codes.set(slot, 0),
        }
    }

    pub fn set_null(&mut self, slot: u32) {
        self.codes.set_null(slot);
    }

    pub fn remove(&mut self, slot: u32) {
        self.codes.remove(slot);
    }

    /// Keeps which slots have a text, and forgets which.
    fn give_up(&mut self) {
        self.dictionary = None;
        let codes = std::mem::replace(&mut self.codes, Fixed::new());
        codes.present().iter().for_each(|slot| self.codes.set(slot, 0));
        codes.nulls().iter().for_each(|slot| self.codes.set_null(slot));
    }

    /// When the dictionary is full, drops the texts that no slot has any more.
    fn sweep(&mut self) {
        let Some(dictionary) = &mut self.dictionary else { return };
        if dictionary.codes.len() < CODES_MAX || self.codes.distinct() == Some(DISTINCT_MAX) {
            return;
        }
        let (codes, dictionary) = (&self.codes, Arc::make_mut(dictionary));
        let Dictionary { codes: texts, free } = dictionary;
        texts.retain(|_, code| {
            let used = codes.count(&Ranges(vec![(*code, *code)])) > 0;
            if !used {
                free.push(*code);
            }
            used
        });
    }

    pub fn select(&self, texts: &[TextRange]) -> Option<RoaringBitmap> {
        Some(self.codes.select(&self.ranges(texts)?))
    }

    pub fn count(&self, texts: &[TextRange]) -> Option<u64> {
        Some(self.codes.count(&self.ranges(texts)?))
    }

    /// The codes of the texts in the ranges.
    fn ranges(&self, texts: &[TextRange]) -> Option<Ranges<u16>> {
        let dictionary = self.dictionary.as_ref()?;
        let mut codes: Vec<u16> = texts.iter().flat_map(|range| within(dictionary, *range)).collect();
        codes.sort_unstable();
        codes.dedup();
        Some(Ranges(codes.into_iter().map(|code| (code, code)).collect()))
    }

    pub fn present(&self) -> RoaringBitmap {
        self.codes.present()
    }

    pub fn nulls(&self) -> RoaringBitmap {
        self.codes.nulls()
    }

    pub fn distinct(&self) -> Option<u64> {
        self.dictionary.as_ref().and_then(|_| self.codes.distinct())
    }

    pub fn bytes(&self) -> u64 {
        let texts = self.dictionary.iter().flat_map(|dictionary| dictionary.codes.keys());
        self.codes.bytes() + texts.map(|text| text.len() as u64 + 32).sum::<u64>()
    }
}

impl Dictionary {
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
            let text = text.map_err(|error| from.corrupt("a text", error))?;
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
    if dictionary.codes.len() >= CODES_MAX {
        return None;
    }
    let dictionary = Arc::make_mut(dictionary);
    let code = dictionary.free.pop().unwrap_or(dictionary.codes.len() as u16);
    dictionary.codes.insert(text.into(), code);
    Some(code)
}

/// The codes of the texts in a range.
fn within(dictionary: &Dictionary, range: TextRange) -> Vec<u16> {
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
