//! `ts_headline`: the part of a text that shows why it matches.
//!
//! The text is cut into words with the same parser as documents; words of the query are marked with the item they
//! match, once more for each further item. Covers, the shortest ranges with a match, are then stretched to whole
//! fragments of a readable length, and the best are shown.

use crate::error::{Error, Result, SqlState};
use crate::fulltext::Config;
use crate::fulltext::dictionary::Lexed;
use crate::fulltext::matching::{Answer, Document, Places, execute, locations};
use crate::fulltext::parser::{Kind, tokens};
use crate::types::text;
use crate::types::tsquery::{Item, TsQuery, Word as QueryWord};
use crate::types::tsvector::{LEXEME_BYTES_MAX, Position};
use crate::types::{Type, Value};

/// What the third argument of ts_headline says.
#[derive(Clone, Debug)]
pub struct Options {
    max_words: i32,
    min_words: i32,
    /// Words of at most so many bytes are no good ends.
    short_word: i32,
    /// 0: one headline, not fragments.
    max_fragments: i32,
    highlight_all: bool,
    start: String,
    stop: String,
    delimiter: String,
}

impl Options {
    /// Reads `MaxWords=20, StartSel="<i>"`.
    pub fn parse(text: &str) -> Result<Options> {
        let mut options = Options {
            max_words: 35,
            min_words: 15,
            short_word: 3,
            max_fragments: 0,
            highlight_all: false,
            start: "<b>".into(),
            stop: "</b>".into(),
            delimiter: " ... ".into(),
        };
        for (name, value) in parse_list(text)? {
            options.set(&name, value)?;
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        let integer = |value: &str| match text::parse(&Type::Int4, value)? {
            Value::Int4(number) => Ok(number),
            _ => Err(Error::internal("an integer reads as one")),
        };
        match name.to_ascii_lowercase().as_str() {
            "maxwords" => self.max_words = integer(&value)?,
            "minwords" => self.min_words = integer(&value)?,
            "shortword" => self.short_word = integer(&value)?,
            "maxfragments" => self.max_fragments = integer(&value)?,
            "startsel" => self.start = value,
            "stopsel" => self.stop = value,
            "fragmentdelimiter" => self.delimiter = value,
            "highlightall" => {
                let value = value.to_ascii_lowercase();
                self.highlight_all = matches!(value.as_str(), "1" | "on" | "true" | "t" | "y" | "yes");
            }
            _ => return Err(invalid(format!("unrecognized headline parameter: \"{name}\""))),
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if !self.highlight_all {
            if self.min_words >= self.max_words {
                return Err(invalid("MinWords should be less than MaxWords"));
            }
            if self.min_words <= 0 {
                return Err(invalid("MinWords should be positive"));
            }
            if self.short_word < 0 {
                return Err(invalid("ShortWord should be >= 0"));
            }
            if self.max_fragments < 0 {
                return Err(invalid("MaxFragments should be >= 0"));
            }
        }
        for (name, value) in
            [("StartSel", &self.start), ("StopSel", &self.stop), ("FragmentDelimiter", &self.delimiter)]
        {
            if value.len() > i16::MAX as usize {
                return Err(invalid(format!("value for \"{name}\" is too long")));
            }
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// Names and values of `name = value, name = 'value'`.
fn parse_list(text: &str) -> Result<Vec<(String, String)>> {
    let malformed = || {
        let message = format!("invalid parameter list format: \"{text}\"");
        Error::new(SqlState::SYNTAX_ERROR, message)
    };
    let mut list = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| text::is_space(c) || c == ',');
        if rest.is_empty() {
            return Ok(list);
        }
        let name = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside, '"', &mut rest).ok_or_else(malformed)?,
            None => {
                let end = rest.find(|c: char| text::is_space(c) || c == '=').ok_or_else(malformed)?;
                let (name, after) = rest.split_at(end);
                rest = after;
                name.to_owned()
            }
        };
        rest = rest.trim_start_matches(text::is_space).strip_prefix('=').ok_or_else(malformed)?;
        rest = rest.trim_start_matches(text::is_space);
        let value = if let Some(inside) = rest.strip_prefix('\'').or_else(|| rest.strip_prefix("E'")) {
            quoted(inside, '\'', &mut rest).ok_or_else(malformed)?
        } else if let Some(inside) = rest.strip_prefix('"') {
            quoted(inside, '"', &mut rest).ok_or_else(malformed)?
        } else if rest.is_empty() {
            return Err(malformed());
        } else {
            let end = rest.find(|c: char| text::is_space(c) || c == ',').unwrap_or(rest.len());
            let (value, after) = rest.split_at(end);
            rest = after;
            value.to_owned()
        };
        list.push((name, value));
    }
}

/// What stands up to the closing quote; two of them are one, and so are two backslashes in single quotes.
fn quoted<'a>(inside: &'a str, quote: char, rest: &mut &'a str) -> Option<String> {
    let mut value = String::new();
    let mut chars = inside.chars();
    loop {
        let c = chars.next()?;
        let doubled = chars.as_str().starts_with(c);
        if doubled && (c == quote || c == '\\' && quote == '\'') {
            chars.next();
        } else if c == quote {
            *rest = chars.as_str();
            return Some(value);
        }
        value.push(c);
    }
}

/// A word of the text.
#[derive(Clone, Debug)]
struct Word<'a> {
    kind: Kind,
    text: &'a str,
    /// The item of the query that it matches.
    item: Option<usize>,
    place: u16,
    /// The word before once more, for another item.
    repeated: bool,
    shown: bool,
    /// It is between the marks.
    marked: bool,
    /// A blank is shown instead.
    replaced: bool,
    /// Its parts follow.
    skipped: bool,
}

impl Word<'_> {
    /// A first match.
    fn is_wanted(&self) -> bool {
        self.item.is_some() && !self.repeated
    }

    /// Whether it counts as a word.
    fn counts(&self) -> bool {
        !matches!(self.kind, Kind::Blank | Kind::Tag) && !has_parts(self.kind)
    }

    fn count(&self) -> i32 {
        i32::from(self.counts())
    }

    /// A fragment should not end here.
    fn is_bad_end(&self, options: &Options) -> bool {
        let never = matches!(
            self.kind,
            Kind::Scientific
                | Kind::Version
                | Kind::Decimal
                | Kind::Integer
                | Kind::Unsigned
                | Kind::Protocol
                | Kind::Entity
        );
        (never || !self.counts() || self.text.len() as i64 <= i64::from(options.short_word))
            && !self.is_wanted()
    }
}

/// Tokens whose parts follow as tokens of their own.
fn has_parts(kind: Kind) -> bool {
    matches!(kind, Kind::Url | Kind::HyphenNumWord | Kind::HyphenAsciiWord | Kind::HyphenWord)
}

/// ts_headline()
pub fn headline(config: Config, text: &str, query: &TsQuery, options: &Options) -> String {
    let mut words = words_of(config, text, query);
    let locations = match query.is_empty() {
        true => Vec::new(),
        false => locations(query.items(), &Marked { words: &words }),
    };
    let mut covers = Covers { query, locations, next: 0 };
    match options.max_fragments {
        0 => mark_one(&mut words, &mut covers, options),
        _ => mark_fragments(&mut words, &mut covers, options),
    }
    shown(&words, options)
}

fn words_of<'a>(config: Config, text: &'a str, query: &TsQuery) -> Vec<Word<'a>> {
    let mut words: Vec<Word> = Vec::new();
    let mut place = 0;
    for token in tokens(text) {
        if token.text.len() >= LEXEME_BYTES_MAX {
            continue;
        }
        let mut word = Word {
            kind: token.kind,
            text: token.text,
            item: None,
            place: 0,
            repeated: false,
            shown: false,
            marked: false,
            replaced: false,
            skipped: false,
        };
        let lexed = config.lexeme(token.kind, token.text);
        place += u32::from(lexed.is_some());
        let mut items = Vec::new();
        if let Some(Lexed::Word(lexeme)) = lexed {
            word.place = Position::at(place).place;
            let matches = |item: &Item| matches!(item, Item::Word(wanted) if wanted.matches(&lexeme));
            items.extend(query.items().iter().enumerate().filter(|(_, item)| matches(item)).map(|(i, _)| i));
        }
        word.item = items.first().copied();
        words.push(word.clone());
        let again = items.iter().skip(1);
        words.extend(again.map(|&item| Word { item: Some(item), repeated: true, ..word.clone() }));
    }
    words
}

/// A range of words as a document.
struct Marked<'a> {
    words: &'a [Word<'a>],
}

impl Document for Marked<'_> {
    fn has(&self, item: usize, _word: &QueryWord) -> Answer {
        let found = self.words.iter().any(|word| word.item == Some(item));
        if found { Answer::Yes } else { Answer::No }
    }

    fn places(&self, item: usize, word: &QueryWord) -> (Answer, Vec<i32>) {
        let mut places: Vec<i32> = Vec::new();
        for found in self.words.iter().filter(|word| word.item == Some(item)) {
            let place = i32::from(found.place);
            if places.last().is_none_or(|&last| last < place) {
                places.push(place);
            }
        }
        (self.has(item, word), places)
    }
}

/// The shortest ranges of words that match.
struct Covers<'a> {
    query: &'a TsQuery,
    locations: Vec<Places>,
    /// The place the next one begins at, or behind it.
    next: i32,
}

impl Covers<'_> {
    /// The first and the last word of the next cover.
    fn next(&mut self, words: &[Word]) -> Option<(usize, usize)> {
        let mut from = self.next;
        loop {
            // The last of the first places of all that is needed, and how far back that needs to begin.
            let mut end = -1;
            for places in &self.locations {
                end = end.max(*places.ends.iter().find(|&&end| end >= from)?);
            }
            if end < 0 {
                return None;
            }
            let last_begin = |places: &Places| {
                let begins = places.ends.iter().rev().map(|end| end - places.width);
                begins.into_iter().find(|&begin| begin <= end).unwrap_or(-1)
            };
            let begin = self.locations.iter().map(last_begin).min().unwrap_or(i32::MAX - 1).max(from);
            if begin <= end
                && let Some((first, last)) = range_of(words, begin, end)
                && execute(self.query.items(), &Marked { words: &words[first..=last] })
            {
                self.next = begin + 1;
                return Some((first, last));
            }
            from = begin + 1;
        }
    }
}

/// The words of the query between two places.
fn range_of(words: &[Word], begin: i32, end: i32) -> Option<(usize, usize)> {
    let (mut first, mut last) = (None, None);
    for (index, word) in words.iter().enumerate().filter(|(_, word)| word.item.is_some()) {
        let place = i32::from(word.place);
        if first.is_none() && place >= begin {
            first = Some(index);
        }
        if place > end {
            break;
        }
        last = Some(index);
    }
    let (first, last) = (first?, last?);
    (first <= last).then_some((first, last))
}

fn mark(words: &mut [Word], options: &Options) {
    for word in words {
        word.marked |= word.item.is_some();
        word.replaced |= !options.highlight_all && word.kind == Kind::Tag;
        word.skipped |= has_parts(word.kind);
        word.shown = !word.repeated;
    }
}

/// The number of words from the start with `min_words` that count.
fn beginning(words: &[Word], options: &Options) -> usize {
    let mut count = 0;
    let counted = words.iter().take_while(|word| {
        let goes_on = count < options.min_words;
        count += word.count();
        goes_on
    });
    counted.count()
}

/// A headline that may be chosen.
struct Candidate {
    begin: usize,
    end: usize,
    wanted: i32,
    has_cover: bool,
}

/// One headline: the best of those around the covers.
fn mark_one(words: &mut [Word], covers: &mut Covers, options: &Options) {
    if options.highlight_all {
        return mark(words, options);
    }
    let mut best: Option<Candidate> = None;
    while let Some(cover) = covers.next(words) {
        let candidate = around(words, cover, options);
        let is_better = best.as_ref().is_none_or(|best| {
            let (ours, theirs) = ((candidate.has_cover, candidate.wanted), (best.has_cover, best.wanted));
            let ends_better =
                !words[candidate.end].is_bad_end(options) && words[best.end].is_bad_end(options);
            ours > theirs || ours == theirs && ends_better
        });
        if is_better {
            best = Some(candidate);
        }
    }
    match best {
        Some(best) => mark(&mut words[best.begin..=best.end], options),
        None => {
            let end = beginning(words, options);
            mark(&mut words[..end], options);
        }
    }
}

/// The headline around a cover: stretched to the right up to a good end, then to the left, or cut.
fn around(words: &[Word], (first, last): (usize, usize), options: &Options) -> Candidate {
    let (mut count, mut wanted) = (0, 0);
    let (mut begin, mut end) = (first, first);
    let mut at = first;
    while at <= last && count < options.max_words {
        count += words[at].count();
        wanted += i32::from(words[at].is_wanted());
        end = at;
        at += 1;
    }
    if count < options.max_words {
        at -= 1;
        while at < words.len() && count < options.max_words {
            if at > last {
                count += words[at].count();
                wanted += i32::from(words[at].is_wanted());
            }
            end = at;
            if !words[at].is_bad_end(options) && count >= options.min_words {
                break;
            }
            at += 1;
        }
        if count < options.min_words {
            begin = 0;
            for at in (0..first).rev() {
                count += words[at].count();
                wanted += i32::from(words[at].is_wanted());
                let is_full = count >= options.max_words;
                if is_full || !words[at].is_bad_end(options) && count >= options.min_words {
                    begin = at;
                    break;
                }
            }
        }
    } else {
        at = at.min(last);
        while count > options.min_words && words[at].is_bad_end(options) {
            count -= words[at].count();
            wanted -= i32::from(words[at].is_wanted());
            let Some(before) = at.checked_sub(1) else { break };
            (at, end) = (before, before);
        }
    }
    Candidate { begin, end, wanted, has_cover: begin <= first && end >= last }
}

/// A part of a cover.
#[derive(Debug)]
struct Fragment {
    begin: usize,
    end: usize,
    wanted: i32,
    count: i32,
    chosen: bool,
    excluded: bool,
}

/// Several fragments: those with most wanted words, the shortest of equals, that do not overlap.
fn mark_fragments(words: &mut [Word], covers: &mut Covers, options: &Options) {
    let mut fragments = Vec::new();
    while let Some((first, last)) = covers.next(words) {
        let mut begin = first;
        while begin <= last {
            let fragment = cut(words, begin, last, options);
            begin = fragment.end + 1;
            fragments.push(fragment);
        }
    }
    let mut marked = 0;
    while marked < options.max_fragments {
        let open = (0..fragments.len()).filter(|&at| !fragments[at].chosen && !fragments[at].excluded);
        let best = open.min_by_key(|&at| (-fragments[at].wanted, fragments[at].count, at));
        let Some(best) = best else { break };
        stretch(words, &mut fragments[best], options);
        fragments[best].chosen = true;
        let (begin, end) = (fragments[best].begin, fragments[best].end);
        mark(&mut words[begin..=end], options);
        marked += 1;
        for (at, other) in fragments.iter_mut().enumerate() {
            other.excluded |= at != best && other.begin <= end && other.end >= begin;
        }
    }
    if marked == 0 {
        let end = beginning(words, options);
        mark(&mut words[..end], options);
    }
}

/// The next part of a cover with at most `max_words`, from a wanted word to a wanted word.
fn cut(words: &[Word], begin: usize, last: usize, options: &Options) -> Fragment {
    let begin = (begin..=last).find(|&at| words[at].is_wanted()).unwrap_or(last);
    let (mut count, mut wanted) = (0, 0);
    let (mut at, mut end) = (begin, last);
    while at <= last && count < options.max_words {
        count += words[at].count();
        wanted += i32::from(words[at].is_wanted());
        at += 1;
    }
    if end > at {
        end = at;
        for at in (begin..=at).rev() {
            end = at;
            if words[at].is_wanted() {
                break;
            }
            count -= words[at].count();
        }
    }
    Fragment { begin, end, wanted, count, chosen: false, excluded: false }
}

/// Stretches a fragment to `max_words`, half of what is missing to the left, between good ends.
fn stretch(words: &[Word], fragment: &mut Fragment, options: &Options) {
    let mut count = fragment.count;
    if count >= options.max_words {
        return;
    }
    let stretch_max = (options.max_words - count) / 2;
    let (mut stretched, mut begin) = (0, fragment.begin);
    while begin > 0 && stretched < stretch_max && !words[begin - 1].shown {
        begin -= 1;
        stretched += words[begin].count();
    }
    count += stretched;
    while begin < fragment.begin && words[begin].is_bad_end(options) {
        count -= words[begin].count();
        begin += 1;
    }
    let mut end = fragment.end;
    while end + 1 < words.len() && count < options.max_words && !words[end + 1].shown {
        end += 1;
        count += words[end].count();
    }
    while end > fragment.end && words[end].is_bad_end(options) {
        count -= words[end].count();
        end -= 1;
    }
    (fragment.begin, fragment.end, fragment.count) = (begin, end, count);
}

fn shown(words: &[Word], options: &Options) -> String {
    let mut out = String::new();
    let (mut fragments, mut inside) = (0, false);
    for word in words.iter().filter(|word| !word.repeated) {
        if !word.shown {
            inside = false;
            continue;
        }
        if !inside {
            fragments += 1;
            if fragments > 1 {
                out.push_str(&options.delimiter);
            }
        }
        inside = true;
        match (word.replaced, word.skipped, word.marked) {
            (true, ..) => out.push(' '),
            (_, true, _) => {}
            (_, _, true) => out.extend([options.start.as_str(), word.text, options.stop.as_str()]),
            _ => out.push_str(word.text),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::fulltext::query::to_tsquery;

    use super::*;

    fn shows(text: &str, query: &str, options: &str) -> Result<String> {
        let query = to_tsquery(Config::English, query)?;
        Ok(headline(Config::English, text, &query, &Options::parse(options)?))
    }

    #[test]
    fn headlines_are_postgres() {
        let text = "The most common type of search is to find all documents containing given query terms and return \
                    them in order of their similarity to the query.";
        assert_eq!(
            shows(text, "query & similarity", "").unwrap(),
            "containing given <b>query</b> terms and return them in order of their <b>similarity</b> to the \
             <b>query</b>."
        );
        assert_eq!(shows("a<i>b</i> cats", "cat", "StartSel=[, StopSel=']'").unwrap(), "a b  [cats]");
        assert_eq!(shows("one two", "three", "").unwrap(), "one two");
        assert_eq!(shows("", "three", "").unwrap(), "");
    }

    #[test]
    fn options_are_checked() {
        let message = |options: &str| Options::parse(options).unwrap_err().message().to_owned();
        assert_eq!(message("MaxWords"), "invalid parameter list format: \"MaxWords\"");
        assert_eq!(message("Foo=1"), "unrecognized headline parameter: \"Foo\"");
        assert_eq!(message("MaxWords=x"), "invalid input syntax for type integer: \"x\"");
        assert_eq!(message("MaxWords=2"), "MinWords should be less than MaxWords");
        assert_eq!(message("StartSel='x"), "invalid parameter list format: \"StartSel='x\"");
        let read = parse_list("a = b,\"c\"=\"d \"\"e\", f='g\\\\''h'").unwrap();
        let expected = [("a", "b"), ("c", "d \"e"), ("f", "g\\'h")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
