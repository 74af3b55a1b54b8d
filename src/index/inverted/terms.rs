//! What a cell is found by.

use std::hash::{DefaultHasher, Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::index::bitmap::{ColumnIndex, key_of_element};
use crate::types::dimensions::flat;
use crate::types::json::Node;
use crate::types::sort_key::of_equals;
use crate::types::{Type, Value, citext};

/// A term, as bytes.
pub type Term = Vec<u8>;

/// What the terms of a column are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The lexemes of a tsvector.
    Lexemes,
    /// The elements of an array.
    Elements(Type),
    /// Values of a jsonb with the path of keys to them; with `keys`, its keys at the top too.
    Document { keys: bool },
    /// Keys of an hstore, and its pairs.
    Pairs,
    /// A value of this type as a whole.
    Whole(Type),
}

/// Before the bytes of a term of a document.
const PATH: u8 = b'p';
const KEY: u8 = b'k';
/// Before those of a pair.
const PAIR: u8 = b'v';

/// Bytes of a whole value that are its term; of more, which a column of documents has, there is a hash.
pub const WHOLE_BYTES_MAX: usize = 32;

impl Kind {
    /// What an index by this operator class (or the default one) on a column of `ty` holds; `None` when there is none.
    pub fn of(opclass: Option<&str>, ty: &Type) -> Option<Kind> {
        match (ty, opclass) {
            (Type::TsVector, None | Some("tsvector_ops")) => Some(Kind::Lexemes),
            (Type::Jsonb, None | Some("jsonb_ops")) => Some(Kind::Document { keys: true }),
            (Type::Jsonb, Some("jsonb_path_ops")) => Some(Kind::Document { keys: false }),
            (Type::Hstore, None | Some("gin_hstore_ops" | "gist_hstore_ops")) => Some(Kind::Pairs),
            (Type::Array(_), None | Some("array_ops")) if key_of_element(ty.element(), None).is_some() => {
                Some(Kind::Elements(ty.element().clone()))
            }
            _ => None,
        }
    }

    /// What the index of a column of `ty` holds that finds its equals; `None` where bitmaps find them, and where nothing is
    /// equal or values lie elsewhere than in rows.
    pub fn of_equals(ty: &Type) -> Option<Kind> {
        let elsewhere = ty.is_pgvectors() || ty.is_slot_vector();
        let has_none = ColumnIndex::for_type(ty).is_some() || *ty == Type::Json || elsewhere;
        (!has_none).then(|| Kind::Whole(ty.clone()))
    }

    /// The operator class that is taken when none is named.
    pub fn default_opclass(&self) -> &'static str {
        match self {
            Kind::Lexemes => "tsvector_ops",
            Kind::Elements(_) => "array_ops",
            Kind::Document { .. } => "jsonb_ops",
            Kind::Pairs => "gin_hstore_ops",
            Kind::Whole(_) => "",
        }
    }

    /// The terms of a cell, maybe some of them twice; `None` for NULL.
    pub fn terms(&self, value: &Value) -> Option<Vec<Term>> {
        match (self, value) {
            (Kind::Lexemes, Value::TsVector(vector)) => {
                Some(vector.lexemes().iter().map(|lexeme| lexeme.word.as_bytes().to_vec()).collect())
            }
            (Kind::Elements(ty), Value::Array(items)) => {
                Some(flat(items).into_iter().filter_map(|item| element(ty, item)).collect())
            }
            (Kind::Document { keys }, Value::Jsonb(text)) => {
                let mut terms = Vec::new();
                // A stored document reads as one.
                if let Ok(node) = Node::parse(text) {
                    paths(&node, 0, &mut terms);
                    if *keys {
                        terms.extend(top_keys(&node).map(key));
                    }
                }
                Some(terms)
            }
            (Kind::Pairs, Value::Hstore(hstore)) => {
                let terms =
                    hstore.pairs().iter().flat_map(|(name, value)| [key(name), pair(name, value.as_deref())]);
                Some(terms.collect())
            }
            (Kind::Whole(_), Value::Null) => None,
            (Kind::Whole(ty), value) => Some(vec![whole(of_equals(&citext::folded(value, ty)))]),
            _ => None,
        }
    }
}

/// The term of a whole value, from the bytes that its equals share.
pub fn whole(bytes: Vec<u8>) -> Term {
    if bytes.len() <= WHOLE_BYTES_MAX {
        return bytes;
    }
    // Longer than those that are whole. The keys of the hash are known: whoever finds two values of one hash has rows
    // looked at in vain.
    let mut hasher = SipHasher13::new();
    hasher.write(&bytes);
    let mut term = bytes[..=WHOLE_BYTES_MAX - 16].to_vec();
    term.extend_from_slice(&hasher.finish128().as_bytes());
    term
}

/// The term of an array's element; `None` for NULL, which nothing finds.
pub fn element(ty: &Type, value: &Value) -> Option<Term> {
    key_of_element(ty, Some(value)).flatten()
}

/// The term of a key with its value; no byte of text is zero.
pub fn pair(key: &str, value: Option<&str>) -> Term {
    let mut term = [&[PAIR], key.as_bytes(), &[0]].concat();
    if let Some(value) = value {
        term.push(0);
        term.extend_from_slice(value.as_bytes());
    }
    term
}

/// The term of a key at the top of a document, or of one of an hstore.
pub fn key(key: &str) -> Term {
    [&[KEY], key.as_bytes()].concat()
}

fn text_of(node: &Node) -> Option<&str> {
    match node {
        Node::Text(text) => Some(text.as_str()),
        _ => None,
    }
}

/// What `?` finds: keys of an object, strings in an array, a string.
fn top_keys(node: &Node) -> Box<dyn Iterator<Item = &str> + '_> {
    match node {
        Node::Object(entries) => Box::new(entries.keys().map(|key| key.text.as_str())),
        Node::Array(items) => Box::new(items.iter().filter_map(text_of)),
        Node::Text(text) => Box::new(std::iter::once(text.as_str())),
        Node::Plain(_) => Box::new(std::iter::empty()),
    }
}

/// A term for each value in the document: a hash of the keys on the way to it and of itself. Places in arrays do not
/// count. What contains a document has all of its terms; the other way round is for whoever looks at the rows.
pub fn paths(node: &Node, path: u64, terms: &mut Vec<Term>) {
    match node {
        Node::Object(entries) => {
            entries.iter().for_each(|(key, value)| paths(value, hash((path, &key.text)), terms));
        }
        Node::Array(items) => items.iter().for_each(|item| paths(item, path, terms)),
        Node::Text(text) => terms.push(path_term(hash((path, 't', text)))),
        Node::Plain(text) => terms.push(path_term(hash((path, 'p', same_number(text))))),
    }
}

fn path_term(hash: u64) -> Term {
    [&[PATH][..], &hash.to_be_bytes()].concat()
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// 1.50 and 1.5 are the same number.
fn same_number(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}
