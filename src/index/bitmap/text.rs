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

use super::array::CHUNK_SLOTS;
use super::blocks::{BlockReader, Writer};
use super::fixed::{Fixed, within};
use super::postings::DISTINCT_MAX;
use super::predicate::{Ranges, TextRange};
use super::share::{Share, Texts};
use crate::error::{Error, Result};

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

#[derive(Clone)]
pub struct Dictionary {
    pub codes: BTreeMap<Box<str>, u16>,
    /// Codes whose text no slot has any more.
    free: Vec<u16>,
    /// Of all texts.
    bytes: usize,
    /// Counts them in the share of memory.
    counted: Texts,
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
    pub fn new(share: &Arc<Share>) -> Text {
        Text::Coded { codes: Fixed::new(share), dictionary: Arc::new(Dictionary::new(share)) }
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

    pub fn open(from: &mut BlockReader, share: &Arc<Share>) -> Result<Text> {
        Ok(match from.u8()? {
            CODED => {
                let dictionary = Arc::new(Dictionary::open(from, share)?);
                Text::Coded { codes: Fixed::open(from, share)?, dictionary }
            }
            HASHED => {
                let keys = from.u128()?;
                Text::Hashed(Hashed { keys, hashes: Fixed::open(from, share)? })
            }
            other => return Err(from.corrupt("texts by codes or by hashes", other)),
        })
    }

    /// Whether the slot has this text, or NULL.
    pub fn holds(&self, slot: u32, text: Option<&str>) -> Result<bool> {
        match self {
            Text::Hashed(hashed) => hashed.hashes.holds(slot, text.map(|text| hashed.hash(text))),
            Text::Coded { codes, dictionary } => match text.map(|text| dictionary.codes.get(text)) {
                None => codes.holds(slot, None),
                Some(None) => Ok(false),
                Some(Some(code)) => codes.holds(slot, Some(*code)),
            },
        }
    }

    pub fn set(&mut self, slot: u32, text: &str) -> Result<()> {
        self.sweep(text)?;
        if let Text::Coded { codes, dictionary } = self {
            match code(dictionary, text) {
                Some(code) => return codes.set(slot, code),
                None => *self = Text::Hashed(Hashed::of(codes, dictionary)?),
            }
        }
        match self {
            Text::Hashed(hashed) => hashed.hashes.set(slot, hashed.hash(text)),
            Text::Coded { .. } => unreachable!("a text without a code has a hash"),
        }
    }

    pub fn set_null(&mut self, slot: u32) -> Result<()> {
        on_keys!(self, keys => keys.set_null(slot))
    }

    pub fn remove(&mut self, slot: u32) -> Result<()> {
        on_keys!(self, keys => keys.remove(slot))
    }

    /// When the dictionary has no place for a text, drops those that no slot has any more.
    fn sweep(&mut self, text: &str) -> Result<()> {
        let Text::Coded { codes, dictionary } = self else { return Ok(()) };
        if dictionary.has_place(text) || codes.distinct() == Some(dictionary.codes.len() as u64) {
            return Ok(());
        }
        let mut used = RoaringBitmap::new();
        if codes.distinct().is_some() {
            for code in dictionary.codes.values() {
                if codes.count(&Ranges(vec![(*code, *code)]))? > 0 {
                    used.insert(u32::from(*code));
                }
            }
        } else {
            codes.for_each(None, |_, code| {
                used.insert(u32::from(code));
            })?;
            let known: RoaringBitmap = dictionary.codes.values().map(|code| u32::from(*code)).collect();
            if let Some(code) = (&used - &known).min() {
                return Err(unknown(code as u16));
            }
        }
        let dictionary = Arc::make_mut(dictionary);
        let Dictionary { codes: texts, free, bytes, .. } = dictionary;
        texts.retain(|text, code| {
            let used = used.contains(u32::from(*code));
            if !used {
                free.push(*code);
                *bytes -= text.len();
            }
            used
        });
        dictionary.count();
        Ok(())
    }

    /// `None` when hashes cannot say.
    pub fn select(&self, texts: &[TextRange]) -> Result<Option<RoaringBitmap>> {
        match self {
            Text::Coded { codes, dictionary } => codes.select(&coded(dictionary, texts)).map(Some),
            Text::Hashed(hashed) => {
                hashed.of_texts(texts).map(|hashes| hashed.hashes.select(&hashes)).transpose()
            }
        }
    }

    pub fn count(&self, texts: &[TextRange]) -> Result<Option<u64>> {
        match self {
            Text::Coded { codes, dictionary } => codes.count(&coded(dictionary, texts)).map(Some),
            Text::Hashed(hashed) => {
                hashed.of_texts(texts).map(|hashes| hashed.hashes.count(&hashes)).transpose()
            }
        }
    }

    /// The first `rows` slots of `among`, or of all, by their texts, and those of the last one's text; `None` of hashes.
    pub fn first(
        &self,
        among: Option<&RoaringBitmap>,
        descending: bool,
        rows: usize,
    ) -> Result<Option<RoaringBitmap>> {
        let Text::Coded { codes, dictionary } = self else { return Ok(None) };
        let mut texts = dictionary.codes.values();
        let mut next = || if descending { texts.next_back() } else { texts.next() };
        let mut first = RoaringBitmap::new();
        if codes.distinct().is_some() {
            while (first.len() as usize) < rows {
                let Some(&code) = next() else { break };
                first |= within(codes.select(&Ranges(vec![(code, code)]))?, among);
            }
            return Ok(Some(first));
        }
        // Without bitmaps the codes are looked at twice: how many slots each has, then which.
        let mut counts = vec![0usize; CODES_MAX];
        let mut foreign = None;
        codes.for_each(among, |_, code| match counts.get_mut(usize::from(code)) {
            Some(count) => *count += 1,
            None => foreign = Some(code),
        })?;
        if let Some(code) = foreign {
            return Err(unknown(code));
        }
        let (mut wanted, mut found) = (vec![false; CODES_MAX], 0);
        while found < rows {
            let Some(&code) = next() else { break };
            wanted[usize::from(code)] = true;
            found += counts[usize::from(code)];
        }
        let mut slots = Vec::new();
        codes.for_each(among, |slot, code| {
            slots.extend(wanted.get(usize::from(code)).and_then(|wanted| wanted.then_some(slot)))
        })?;
        Ok(Some(slots.into_iter().collect()))
    }

    pub fn present(&self) -> Result<RoaringBitmap> {
        on_keys!(self, keys => keys.present())
    }

    pub fn nulls(&self) -> Result<RoaringBitmap> {
        on_keys!(self, keys => keys.nulls())
    }

    pub fn charge(&self) {
        on_keys!(self, keys => keys.charge());
    }

    pub fn spill_next(&mut self) -> u64 {
        on_keys!(self, keys => keys.spill_next())
    }

    pub fn chunks_in_files(&self, slots: &RoaringBitmap) -> usize {
        on_keys!(self, keys => keys.chunks_in_files(slots))
    }

    pub fn is_movable(&self) -> bool {
        on_keys!(self, keys => keys.is_movable())
    }

    pub fn drop_bitmaps(&mut self) {
        on_keys!(self, keys => keys.drop_bitmaps());
    }

    pub fn make_next_filters(&mut self, count: usize) -> Result<()> {
        on_keys!(self, keys => keys.make_next_filters(count))
    }

    pub fn has_lost(&self) -> bool {
        on_keys!(self, keys => keys.has_lost())
    }

    pub fn lacks_filters(&self) -> bool {
        on_keys!(self, keys => keys.lacks_filters())
    }

    pub fn bitmap_bytes(&self) -> u64 {
        on_keys!(self, keys => keys.bitmap_bytes())
    }

    pub fn settle(&mut self) -> Result<()> {
        on_keys!(self, keys => keys.settle())
    }

    pub fn distinct(&self) -> Option<u64> {
        on_keys!(self, keys => keys.distinct())
    }

    pub fn bytes(&self) -> u64 {
        match self {
            Text::Hashed(hashed) => hashed.hashes.bytes(),
            Text::Coded { codes, dictionary } => codes.bytes() + dictionary.memory(),
        }
    }
}

impl Hashed {
    /// The hashes of the texts whose codes these are; an error when those cannot be read (58030), or are not of these texts
    /// (XX001).
    fn of(codes: &Fixed<u16>, dictionary: &Dictionary) -> Result<Hashed> {
        let drawn = || u128::from(RandomState::new().build_hasher().finish());
        let mut hashed = Hashed { keys: drawn() << 64 | drawn(), hashes: Fixed::new(codes.share()) };
        let mut by_code = vec![None; CODES_MAX];
        for (text, code) in &dictionary.codes {
            by_code[usize::from(*code)] = Some(hashed.hash(text));
        }
        let (mut outcome, mut chunk) = (Ok(()), 0);
        codes.for_each(None, |slot, code| {
            if outcome.is_ok() {
                let hash = by_code.get(usize::from(code)).copied().flatten();
                let hash = hash.ok_or_else(|| unknown(code));
                let set = |hash| hashed.follow(&mut chunk, slot, |hashes| hashes.set(slot, hash));
                outcome = hash.and_then(set);
            }
        })?;
        outcome?;
        let nulls = codes.nulls()?;
        nulls.iter().try_for_each(|slot| hashed.follow(&mut chunk, slot, |hashes| hashes.set_null(slot)))?;
        Ok(hashed)
    }

    /// Sets a slot, of many in their order, the last of which was in this chunk: what is behind may go to files.
    fn follow(
        &mut self,
        chunk: &mut usize,
        slot: u32,
        set: impl FnOnce(&mut Fixed<u128>) -> Result<()>,
    ) -> Result<()> {
        let next = slot as usize / CHUNK_SLOTS;
        if std::mem::replace(chunk, next) != next {
            self.hashes.settle()?;
        }
        set(&mut self.hashes)
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

/// A code read from a file that is of no text: the page is another than was written.
pub fn unknown(code: u16) -> Error {
    Error::corrupt("metadata index", 0, "the code of a text", code)
}

/// The codes of the texts in the ranges.
fn coded(dictionary: &Dictionary, texts: &[TextRange]) -> Ranges<u16> {
    let mut codes: Vec<u16> = texts.iter().flat_map(|range| codes_within(dictionary, *range)).collect();
    codes.sort_unstable();
    codes.dedup();
    Ranges(codes.into_iter().map(|code| (code, code)).collect())
}

impl Dictionary {
    fn new(share: &Arc<Share>) -> Dictionary {
        Dictionary { codes: BTreeMap::new(), free: Vec::new(), bytes: 0, counted: Texts::new(share) }
    }

    /// Bytes of memory, about.
    fn memory(&self) -> u64 {
        (self.bytes + 32 * self.codes.len()) as u64
    }

    /// Tells the share of memory what it takes now.
    fn count(&mut self) {
        self.counted.set(self.memory());
    }

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

    fn open(from: &mut BlockReader, share: &Arc<Share>) -> Result<Dictionary> {
        let mut dictionary = Dictionary::new(share);
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
        dictionary.count();
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
    dictionary.count();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes that are of no text, as a page has them that is another than was written.
    #[test]
    fn a_code_of_no_text_is_an_error() {
        for foreign in [7, 60_000] {
            let share = Share::unbounded();
            let mut text = Text::new(&share);
            (0..5).for_each(|slot| text.set(slot, &format!("t{slot}")).unwrap());
            let Text::Coded { codes, dictionary } = &mut text else { panic!("few texts have codes") };
            codes.set(3, foreign).unwrap();
            codes.drop_bitmaps();
            let state = |error: Error| error.state();
            let corrupted = crate::error::SqlState::DATA_CORRUPTED;
            assert_eq!(Hashed::of(codes, dictionary).err().map(state), Some(corrupted));
            Arc::make_mut(dictionary).bytes = TEXT_BYTES_MAX;
            assert_eq!(text.sweep("another").err().map(state), Some(corrupted));
            if usize::from(foreign) >= CODES_MAX {
                assert_eq!(text.first(None, false, 3).err().map(state), Some(corrupted));
            }
        }
    }
}
