//! PostgreSQL's text search: from text to lexemes, and what is done with them.
//!
//! ```text
//!   text --parser--> tokens --dictionary--> lexemes --document--> tsvector ---+
//!   text --query----------------------------------------------->  tsquery  ---+--matching--> yes or no
//!                                                                             +--rank------> how well
//!   text, tsquery ----------------------------------------------headline----> the part that says it
//! ```
//!
//! The types are `types::tsvector` and `types::tsquery`. Of PostgreSQL's configurations there are `english` and
//! `simple`, both with its default parser. Nothing here knows columns or rows.

// What a character is to the parser.
mod characters;
// Words to lexemes: configurations, stop words, stems.
pub mod dictionary;
// to_tsvector and functions of documents.
pub mod document;
// ts_headline.
pub mod headline;
// Whether a document matches.
pub mod matching;
// The vocabulary of the parser's rules.
mod machine;
// Text to tokens.
pub mod parser;
// to_tsquery and its like.
pub mod query;
// ts_rank and ts_rank_cd.
pub mod rank;
// The states of the parser.
mod states;

pub use dictionary::Config;
