//! Words to lexemes: the configurations `english` and `simple`.
//!
//! A configuration says by the kind of a token which dictionary looks at it. `simple` writes it in lower case;
//! `english` leaves out stop words and cuts the others down to their stems, but for tokens that are no plain words.

use std::fmt;
use std::sync::OnceLock;

use rust_stemmers::{Algorithm, Stemmer};

use crate::error::{Error, Result, SqlState};
use crate::fulltext::characters::lower;
use crate::fulltext::parser::Kind;

/// Longer words are taken as they are (snowball's stemmers are not made for them).
const STEMMED_BYTES_MAX: usize = 1_000;

/// A text search configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Config {
    English,
    Simple,
}

impl Config {
    /// `english` or `pg_catalog.simple`; other configurations of PostgreSQL answer 0A000.
    pub fn from_name(name: &str) -> Result<Config> {
        let bare = name.trim().to_ascii_lowercase();
        let bare = bare.strip_prefix("pg_catalog.").unwrap_or(&bare).trim_matches('"');
        match bare {
            "english" => Ok(Config::English),
            "simple" => Ok(Config::Simple),
            other if OTHERS.contains(&other) => {
                Err(Error::unsupported(format!("text search configuration \"{other}\"")))
            }
            _ => {
                let message = format!("text search configuration \"{name}\" does not exist");
                Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Config::English => "english",
            Config::Simple => "simple",
        }
    }

    /// What a token becomes; `None` when no dictionary looks at its kind.
    pub fn lexeme(self, kind: Kind, text: &str) -> Option<Lexed> {
        if matches!(kind, Kind::Blank | Kind::Tag | Kind::Protocol | Kind::Entity) {
            return None;
        }
        let word = lower(text);
        if self == Config::Simple || !is_plain(kind) {
            return Some(Lexed::Word(word));
        }
        if STOP_WORDS.binary_search(&word.as_str()).is_ok() {
            return Some(Lexed::Stop);
        }
        Some(Lexed::Word(stem(word)))
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a dictionary makes of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lexed {
    Word(String),
    /// Left out, but it takes a place.
    Stop,
}

/// Kinds that `english` stems.
fn is_plain(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AsciiWord
            | Kind::Word
            | Kind::HyphenAsciiWord
            | Kind::HyphenWord
            | Kind::HyphenAsciiPart
            | Kind::HyphenPart
    )
}

fn stem(word: String) -> String {
    static ENGLISH: OnceLock<Stemmer> = OnceLock::new();
    if word.len() > STEMMED_BYTES_MAX {
        return word;
    }
    ENGLISH.get_or_init(|| Stemmer::create(Algorithm::English)).stem(&word).into_owned()
}

/// Configurations that PostgreSQL's initdb makes and that are not here.
const OTHERS: &[&str] = &[
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
];

/// PostgreSQL's stop words of English, sorted.
const STOP_WORDS: &[&str] = &[
    "a",
    "about",
    "above",
    "after",
    "again",
    "against",
    "all",
    "am",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "below",
    "between",
    "both",
    "but",
    "by",
    "can",
    "did",
    "do",
    "does",
    "doing",
    "don",
    "down",
    "during",
    "each",
    "few",
    "for",
    "from",
    "further",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "here",
    "hers",
    "herself",
    "him",
    "himself",
    "his",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "itself",
    "just",
    "me",
    "more",
    "most",
    "my",
    "myself",
    "no",
    "nor",
    "not",
    "now",
    "of",
    "off",
    "on",
    "once",
    "only",
    "or",
    "other",
    "our",
    "ours",
    "ourselves",
    "out",
    "over",
    "own",
    "s",
    "same",
    "she",
    "should",
    "so",
    "some",
    "such",
    "t",
    "than",
    "that",
    "the",
    "their",
    "theirs",
    "them",
    "themselves",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "through",
    "to",
    "too",
    "under",
    "until",
    "up",
    "very",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "whom",
    "why",
    "will",
    "with",
    "you",
    "your",
    "yours",
    "yourself",
    "yourselves",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stemmed_or_left_out() {
        assert!(STOP_WORDS.is_sorted());
        let english = |text: &str| match Config::English.lexeme(Kind::AsciiWord, text) {
            Some(Lexed::Word(word)) => word,
            other => format!("{other:?}"),
        };
        for (word, stem) in [
            ("Running", "run"),
            ("the", "Some(Stop)"),
            ("skies", "sky"),
            ("databases", "databas"),
            ("dying", "die"),
            ("generously", "generous"),
            ("news", "news"),
            ("consisting", "consist"),
            ("knackeries", "knackeri"),
        ] {
            assert_eq!(english(word), stem);
        }
        let simple = Config::Simple.lexeme(Kind::AsciiWord, "The");
        assert_eq!(simple, Some(Lexed::Word("the".into())));
        assert_eq!(
            Config::English.lexeme(Kind::Host, "Running.Com"),
            Some(Lexed::Word("running.com".into()))
        );
        assert_eq!(Config::English.lexeme(Kind::Blank, " "), None);
    }

    #[test]
    fn names() {
        assert_eq!(Config::from_name("pg_catalog.english").unwrap(), Config::English);
        assert_eq!(Config::from_name("SIMPLE").unwrap(), Config::Simple);
        assert_eq!(Config::from_name("german").unwrap_err().state(), SqlState::FEATURE_NOT_SUPPORTED);
        let unknown = Config::from_name("klingon").unwrap_err();
        assert_eq!(unknown.message(), "text search configuration \"klingon\" does not exist");
    }
}
