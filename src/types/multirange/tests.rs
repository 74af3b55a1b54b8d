//! Sets of integers beside a naive model: which of the numbers from -9 to 9 are in them.

use proptest::prelude::*;

use super::*;

const PLACES: std::ops::RangeInclusive<i32> = -9..=9;

fn read(text: &str) -> Multirange {
    parse(&RangeType::Int4, text, Look::PLAIN).unwrap_or_else(|error| panic!("{text}: {}", error.message()))
}

fn shown(set: &Multirange) -> String {
    let mut out = Vec::new();
    print(set, Look::PLAIN, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn texts_have_one_form() {
    for (text, expected) in [
        ("{}", "{}"),
        (" { } ", "{}"),
        ("{empty}", "{}"),
        ("{ EMPTY , [1,2] }", "{[1,3)}"),
        ("{[3,4],[1,3)}", "{[1,5)}"),
        ("{[5,7), [1,2)}", "{[1,2),[5,7)}"),
        ("{(,1),[3,)}", "{(,1),[3,)}"),
        ("{[\"1\",\\5)}", "{[1,5)}"),
    ] {
        assert_eq!(shown(&read(text)), expected, "{text}");
    }
}

#[test]
fn refusals_are_postgres_words() {
    for (text, detail) in [
        ("[1,2)", "Missing left brace."),
        ("", "Missing left brace."),
        ("{1", "Expected range start."),
        ("{é", "Expected range start."),
        ("{[1,2)", "Unexpected end of input."),
        ("{[1,2", "Unexpected end of input."),
        ("{[1,2) [3,4)}", "Expected comma or end of multirange."),
        ("{[1,2),}", "Expected range start."),
        ("{} x", "Junk after closing right brace."),
    ] {
        let error = parse(&RangeType::Int4, text, Look::PLAIN).unwrap_err();
        assert_eq!(error.message(), format!("malformed multirange literal: \"{text}\""));
        assert_eq!(error.fields().detail.as_deref(), Some(detail), "{text}");
    }
}

/// A set of some of the places, and possibly of what is below or above all of them.
fn sets() -> impl Strategy<Value = Multirange> {
    let ends = (prop::option::weighted(0.9, -8i32..=8), prop::option::weighted(0.9, -8i32..=8));
    prop::collection::vec(ends, 0..5).prop_map(|pairs| {
        let bound = |value: Option<i32>, inclusive| Bound { value: value.into(), inclusive };
        let range = |(a, b): (Option<i32>, Option<i32>)| {
            let (low, high) = match (a, b) {
                (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
                other => other,
            };
            Range::new(RangeType::Int4, &bound(low, true), &bound(high, false)).unwrap()
        };
        Multirange::new(RangeType::Int4, pairs.into_iter().map(range).collect())
    })
}

fn members(set: &Multirange) -> Vec<i32> {
    let has = |place: &i32| set.ranges().iter().any(|range| range.has(&Value::Int4(*place)).unwrap());
    PLACES.filter(has).collect()
}

fn ask(relation: Relation, a: &Multirange, b: &Multirange) -> bool {
    holds(relation, &Value::Multirange(a.clone()), &Value::Multirange(b.clone())).unwrap()
}

proptest! {
    #[test]
    fn operators_are_those_of_sets(a in sets(), b in sets()) {
        let (in_a, in_b) = (members(&a), members(&b));
        let both = |keep: &dyn Fn(bool, bool) -> bool| -> Vec<i32> {
            PLACES.filter(|place| keep(in_a.contains(place), in_b.contains(place))).collect()
        };
        prop_assert_eq!(members(&a.union(&b)), both(&|a, b| a || b));
        prop_assert_eq!(members(&a.intersection(&b)), both(&|a, b| a && b));
        prop_assert_eq!(members(&a.difference(&b).unwrap()), both(&|a, b| a && !b));
        prop_assert_eq!(ask(Relation::Overlaps, &a, &b), !both(&|a, b| a && b).is_empty());
        prop_assert_eq!(ask(Relation::Contains, &a, &b), both(&|a, b| b && !a).is_empty());
        prop_assert_eq!(ask(Relation::ContainedBy, &a, &b), both(&|a, b| a && !b).is_empty());
        let before = in_a.last().zip(in_b.first()).is_some_and(|(a, b)| a < b);
        prop_assert_eq!(ask(Relation::Before, &a, &b), before);
    }

    #[test]
    fn sets_have_one_form_and_lead_back(a in sets(), b in sets()) {
        prop_assert_eq!(members(&a) == members(&b), a == b);
        prop_assert_eq!(a.bytes().cmp(&b.bytes()), a.partial_cmp(&b).unwrap());
        prop_assert_eq!(&Multirange::from_bytes(RangeType::Int4, &a.bytes()).unwrap(), &a);
        prop_assert_eq!(&read(&shown(&a)), &a);
        let mut sent = Vec::new();
        send(&a, &mut sent);
        prop_assert_eq!(&receive(&RangeType::Int4, &sent).unwrap(), &a);
        for end in 0..sent.len() {
            prop_assert!(receive(&RangeType::Int4, &sent[..end]).is_err());
        }
    }
}
