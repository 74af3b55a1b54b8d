//! "Here is a question, give me slots."
//!
//! A question about vectors goes to [`search()`]: it picks a strategy by cost ([`strategy`]), asks the graph
//! ([`hnsw`]), the lists ([`ivf`]) or every allowed vector ([`flat`], or its code, `bounded`; [`tiles`] for many questions
//! together), adds what those do not hold yet, and never returns fewer rows than there are. A question about metadata goes to
//! a column's [`bitmap::ColumnIndex`], one about the terms in texts, arrays and documents to an
//! [`inverted::InvertedIndex`].
//! Nothing here knows rows, transactions or SQL: in go slots and vectors, out come slots.

pub mod bitmap;
mod bounded;
pub mod finder;
pub mod flat;
pub mod found;
pub mod hnsw;
pub mod inverted;
pub mod ivf;
mod mix;
pub mod quantizer;
pub mod recall;
pub mod room;
pub mod rows;
pub mod search;
pub mod source;
pub mod strategy;
pub mod tiles;

pub use finder::Finder;
pub use found::{Counters, Found, Hit};
pub use ivf::Probes;
pub use rows::Rows;
pub use search::{Request, search};
pub use source::Vectors;
pub use strategy::Strategy;
