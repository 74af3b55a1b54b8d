//! The index beside a naive model: a list of cells, each asked on its own.

use proptest::prelude::*;

use super::*;
use crate::fulltext::matching::matches;
use crate::types::{Type, tsquery, tsvector};

fn slots(found: Option<Found>) -> (Vec<u32>, bool) {
    let found = found.expect("the index answers");
    (found.slots.iter().collect(), found.exact)
}

fn ask(index: &InvertedIndex, query: &str) -> (Vec<u32>, bool) {
    slots(index.search(&Question::Matches(tsquery::parse(query).unwrap())))
}

#[test]
fn words_phrases_and_weights() {
    let mut index = InvertedIndex::new(Kind::Lexemes);
    for (slot, text) in [(1, "a:1 b:2"), (2, "a:1 c:3A"), (70_000, "ab:1"), (5, "")] {
        index.set(slot, &Value::TsVector(tsvector::parse(text).unwrap()));
    }
    index.set(6, &Value::Null);
    assert_eq!(ask(&index, "a"), (vec![1, 2], true));
    assert_eq!(ask(&index, "a:*"), (vec![1, 2, 70_000], true));
    assert_eq!(ask(&index, "!a"), (vec![5, 70_000], true));
    assert_eq!(ask(&index, "a & !b"), (vec![2], true));
    assert_eq!(ask(&index, "a <-> b"), (vec![1], false));
    assert_eq!(ask(&index, "a <-> !b"), (vec![1, 2], false));
    assert_eq!(ask(&index, "!(a <-> b)"), (vec![1, 2, 5, 70_000], false));
    assert_eq!(ask(&index, "c:A | b"), (vec![1, 2], false));
    assert_eq!(ask(&index, "x <-> y"), (vec![], true));
    assert_eq!(index.distinct(), 4);
    index.set(1, &Value::TsVector(tsvector::parse("b:2").unwrap()));
    index.remove(70_000);
    assert_eq!(ask(&index, "a:* | b"), (vec![1, 2], true));
    assert_eq!((index.distinct(), index.present().len()), (3, 3));
}

#[test]
fn elements_and_documents() {
    let ints = |items: &[i32]| Value::Array(items.iter().map(|&item| Value::Int4(item)).collect());
    let mut index = InvertedIndex::new(Kind::of(None, &Type::Array(Box::new(Type::Int4))).unwrap());
    index.set(1, &ints(&[1, 2, 2]));
    index.set(2, &ints(&[]));
    index.set(3, &Value::Array(vec![Value::Null, Value::Int4(2)]));
    let contains = |items| slots(index.search(&Question::ContainsElements(items)));
    assert_eq!(contains(vec![Value::Int4(2)]), (vec![1, 3], true));
    assert_eq!(contains(vec![Value::Int4(2), Value::Int4(1)]), (vec![1], true));
    assert_eq!(contains(vec![]), (vec![1, 2, 3], true));
    assert_eq!(contains(vec![Value::Null]), (vec![], true));
    let overlaps = Question::Overlaps(vec![Value::Int4(1), Value::Null, Value::Int4(9)]);
    assert_eq!(slots(index.search(&overlaps)), (vec![1], true));

    let mut index = InvertedIndex::new(Kind::of(None, &Type::Jsonb).unwrap());
    for (slot, text) in [(1, "{\"a\": {\"b\": [1.50, 2]}}"), (2, "[\"a\", \"c\"]"), (3, "\"a\""), (4, "{}")] {
        index.set(slot, &Value::Jsonb(text.to_owned()));
    }
    let contains = |text: &str| slots(index.search(&Question::ContainsDocument(text.to_owned())));
    assert_eq!(contains("{\"a\": {\"b\": [1.5]}}"), (vec![1], false));
    assert_eq!(contains("{}"), (vec![1, 2, 3, 4], false));
    assert_eq!(contains("[\"c\"]"), (vec![2], false));
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(slots(index.search(&Question::HasKeys(keys(&["a"])))), (vec![1, 2, 3], true));
    assert_eq!(slots(index.search(&Question::HasKeys(keys(&["a", "c"])))), (vec![2], true));
    assert_eq!(slots(index.search(&Question::HasAnyKey(keys(&["b", "c"])))), (vec![2], true));
    let paths_only = InvertedIndex::new(Kind::of(Some("jsonb_path_ops"), &Type::Jsonb).unwrap());
    assert!(paths_only.search(&Question::HasKeys(keys(&["a"]))).is_none());
}

fn vectors() -> impl Strategy<Value = Option<String>> {
    let lexeme =
        ("[a-e]{1,2}", prop::collection::vec((1..6u32, "[A-D]"), 0..3)).prop_map(|(word, positions)| {
            let positions: Vec<String> =
                positions.iter().map(|(place, weight)| format!("{place}{weight}")).collect();
            match positions.is_empty() {
                true => word,
                false => format!("{word}:{}", positions.join(",")),
            }
        });
    prop::option::weighted(0.9, prop::collection::vec(lexeme, 0..5).prop_map(|lexemes| lexemes.join(" ")))
}

fn queries() -> impl Strategy<Value = String> {
    let word = ("[a-e]{1,2}", "(:\\*|:A|:\\*B)?").prop_map(|(word, suffix)| format!("{word}{suffix}"));
    word.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|query| format!("!({query})")),
            (inner.clone(), prop_oneof![Just("&"), Just("|"), Just("<->"), Just("<2>")], inner)
                .prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
        ]
    })
}

proptest! {
    #[test]
    fn every_match_is_found(changes in prop::collection::vec((0..40u32, vectors()), 1..60),
                            queries in prop::collection::vec(queries(), 1..10)) {
        let mut index = InvertedIndex::new(Kind::Lexemes);
        let mut model = std::collections::BTreeMap::new();
        for (slot, text) in changes {
            match text {
                Some(text) => {
                    let vector = tsvector::parse(&text).unwrap();
                    index.set(slot, &Value::TsVector(vector.clone()));
                    model.insert(slot, vector);
                }
                None => {
                    index.remove(slot);
                    model.remove(&slot);
                }
            }
        }
        for text in queries {
            let query = tsquery::parse(&text).unwrap();
            let expected: RoaringBitmap =
                model.iter().filter(|(_, vector)| matches(vector, &query)).map(|(&slot, _)| slot).collect();
            let found = index.search(&Question::Matches(query)).unwrap();
            prop_assert!(found.slots.is_superset(&expected), "{}", text);
            prop_assert!(!found.exact || found.slots == expected, "{}", text);
        }
    }
}
