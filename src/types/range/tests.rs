//! Ranges beside a naive model: the set of places that they cover.
//!
//! Of integers and dates the places are the numbers from -8 to 8, of numeric also what lies between each two of them, so
//! that `(1,2)` covers something. An end that is infinite covers up to the last place, where no other end is.

use proptest::prelude::*;

use super::*;
use crate::types::{Look, Numeric};

fn read(of: RangeType, text: &str) -> Range {
    parse(of, text, Look::PLAIN).unwrap_or_else(|error| panic!("{text}: {}", error.message()))
}

fn shown(range: &Range) -> String {
    let mut out = Vec::new();
    print(range, Look::PLAIN, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn texts_have_one_form() {
    for (of, text, expected) in [
        (RangeType::Int4, "[1,5]", "[1,6)"),
        (RangeType::Int4, "(1,5)", "[2,5)"),
        (RangeType::Int4, " [ 1 , 5 ) ", "[1,5)"),
        (RangeType::Int4, "(4,5)", "empty"),
        (RangeType::Int4, "(5,5]", "empty"),
        (RangeType::Int4, "[5,5]", "[5,6)"),
        (RangeType::Int4, "[,5]", "(,6)"),
        (RangeType::Int4, "[,]", "(,)"),
        (RangeType::Int4, "[\"1\",\\5)", "[1,5)"),
        (RangeType::Int4, " EMPTY ", "empty"),
        (RangeType::Int8, "[-9223372036854775808,)", "[-9223372036854775808,)"),
        (RangeType::Num, "[1.50,2.0]", "[1.5,2]"),
        (RangeType::Num, "(-0.5,-0.25)", "(-0.5,-0.25)"),
        (RangeType::Date, "[2024-02-28,2024-02-29]", "[2024-02-28,2024-03-01)"),
        (RangeType::Date, "[-infinity,infinity]", "[-infinity,infinity]"),
        (RangeType::Ts, "[2024-01-01,2024-01-02]", "[\"2024-01-01 00:00:00\",\"2024-01-02 00:00:00\"]"),
        (RangeType::Ts, "(2024-01-01,infinity)", "(\"2024-01-01 00:00:00\",infinity)"),
        (RangeType::Tstz, "[\"2024-01-01 12:00+02\",)", "[\"2024-01-01 10:00:00+00\",)"),
    ] {
        assert_eq!(shown(&read(of, text)), expected, "{text}");
    }
}

#[test]
fn refusals_are_postgres_words() {
    let malformed = |text: &str| {
        let error = parse(RangeType::Int4, text, Look::PLAIN).unwrap_err();
        assert_eq!(error.state(), SqlState::INVALID_TEXT_REPRESENTATION);
        assert_eq!(error.message(), format!("malformed range literal: \"{text}\""));
        error.fields().detail.clone().unwrap_or_default()
    };
    assert_eq!(malformed("1,2"), "Missing left parenthesis or bracket.");
    assert_eq!(malformed("[1"), "Unexpected end of input.");
    assert_eq!(malformed("[1,2"), "Unexpected end of input.");
    assert_eq!(malformed("[\"1,2)"), "Unexpected end of input.");
    assert_eq!(malformed("[1,2\\"), "Unexpected end of input.");
    assert_eq!(malformed("[1)"), "Missing comma after lower bound.");
    assert_eq!(malformed("[1,2,3)"), "Too many commas.");
    assert_eq!(malformed("[1,2) x"), "Junk after right parenthesis or bracket.");
    assert_eq!(malformed("empty x"), "Junk after \"empty\" key word.");
    let refused = |of: RangeType, text: &str| {
        let error = parse(of, text, Look::PLAIN).unwrap_err();
        (error.state(), error.message().to_owned())
    };
    let order = "range lower bound must be less than or equal to range upper bound";
    assert_eq!(refused(RangeType::Int4, "[2,1]"), (SqlState::DATA_EXCEPTION, order.into()));
    let too_large = (SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range".into());
    assert_eq!(refused(RangeType::Int4, "[1,2147483647]"), too_large);
    assert_eq!(refused(RangeType::Int4, "(2147483647,)"), too_large);
    let far = (SqlState::DATETIME_FIELD_OVERFLOW, "date out of range".into());
    assert_eq!(refused(RangeType::Date, "(5874897-12-31,)"), far);
    let no_number = "invalid input syntax for type integer: \"\"";
    assert_eq!(
        refused(RangeType::Int4, "[\"\",)"),
        (SqlState::INVALID_TEXT_REPRESENTATION, no_number.into())
    );
}

#[test]
fn bytes_of_other_things_are_refused() {
    for bytes in [&[][..], &[1], &[0, 0], &[1, 0, 0], &[1, 2, 2], &[1, 0, 2, 9], &[1, 1, 0, 0]] {
        assert!(Range::from_bytes(RangeType::Int4, bytes).is_err(), "{bytes:?}");
    }
    let mut sound = read(RangeType::Num, "[0.5,7)").bytes();
    for (at, wrong) in [(0, 2), (18, 0xff), (34, 2)] {
        let right = std::mem::replace(&mut sound[at], wrong);
        assert!(Range::from_bytes(RangeType::Num, &sound).is_err(), "byte {at}");
        sound[at] = right;
    }
    assert!(Range::from_bytes(RangeType::Num, &sound).is_ok());
    for bytes in [&[][..], &[0], &[8, 0, 0, 0, 9, 1], &[24, 0], &[1, 0, 0, 0, 0]] {
        assert!(receive(RangeType::Int4, bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn long_numbers_come_back() {
    for text in [
        "[-9999999999999999999999.9999999999999999,0.0000000000000001)",
        "(1234567890123456789.5,)",
        "[5,5.00000000000000001)",
        "[0.00000000000000000000000000000000000001,99999999999999999999999999999999999999)",
    ] {
        let range = read(RangeType::Num, text);
        assert_eq!(shown(&range), text);
        assert_eq!(Range::from_bytes(RangeType::Num, &range.bytes()).unwrap(), range);
    }
}

/// Places from -16 to 16, the lowest bit first.
type Cover = u64;

const MIDDLE: i64 = 16;

fn cover(from: i64, to: i64) -> Cover {
    (from..=to).fold(0, |cover, place| cover | 1 << (place + MIDDLE))
}

fn is_in_one_piece(cover: Cover) -> bool {
    let shifted = cover >> cover.trailing_zeros().min(63);
    shifted & (shifted + 1) == 0
}

fn first(cover: Cover) -> i64 {
    i64::from(cover.trailing_zeros()) - MIDDLE
}

fn last(cover: Cover) -> i64 {
    63 - i64::from(cover.leading_zeros()) - MIDDLE
}

fn value(of: &RangeType, number: i32) -> Value {
    match of {
        RangeType::Num => Value::Numeric(Numeric::from_integer(i64::from(number))),
        RangeType::Date => Value::Date(number),
        _ => Value::Int4(number),
    }
}

/// A range and what it covers.
fn ranges(of: RangeType) -> impl Strategy<Value = (Range, Cover)> {
    // Often the same numbers, so that brackets decide.
    let number = || prop_oneof![-6..=6i32, 0..=1i32];
    let end = move || (proptest::option::weighted(0.85, number()), any::<bool>());
    (end(), end()).prop_map(move |(lower, upper)| {
        let (lower, upper) = match (lower.0, upper.0) {
            (Some(low), Some(high)) if low > high => (upper, lower),
            _ => (lower, upper),
        };
        let width = if of == RangeType::Num { 2 } else { 1 };
        let bound = |(number, inclusive): (Option<i32>, bool)| Bound {
            value: number.map_or(Value::Null, |number| value(&of, number)),
            inclusive,
        };
        let from = lower.0.map_or(-MIDDLE, |low| i64::from(low) * width + i64::from(!lower.1));
        let to = upper.0.map_or(MIDDLE, |high| i64::from(high) * width - i64::from(!upper.1));
        (Range::new(of.clone(), &bound(lower), &bound(upper)).unwrap(), cover(from, to))
    })
}

fn pairs() -> impl Strategy<Value = (RangeType, (Range, Cover), (Range, Cover))> {
    let types = prop_oneof![Just(RangeType::Int4), Just(RangeType::Num), Just(RangeType::Date)];
    types.prop_flat_map(|of| (Just(of.clone()), ranges(of.clone()), ranges(of)))
}

proptest! {
    #[test]
    fn ranges_come_back((of, (range, covered), _) in pairs()) {
        prop_assert_eq!(&read(of.clone(), &shown(&range)), &range);
        prop_assert_eq!(&Range::from_bytes(of.clone(), &range.bytes()).unwrap(), &range);
        let mut sent = Vec::new();
        send(&range, &mut sent);
        prop_assert_eq!(&receive(of.clone(), &sent).unwrap(), &range);
        prop_assert_eq!(range.is_empty(), covered == 0);
        let width = if of == RangeType::Num { 2 } else { 1 };
        for number in -8..=8 {
            let covers = covered & cover(i64::from(number) * width, i64::from(number) * width) != 0;
            prop_assert_eq!(range.has(&value(&of, number)).unwrap(), covers);
        }
    }

    #[test]
    fn two_ranges_are_as_what_they_cover((_, (a, x), (b, y)) in pairs()) {
        let both = x != 0 && y != 0;
        prop_assert_eq!(a == b, x == y);
        prop_assert_eq!(a.contains(&b), y & !x == 0);
        prop_assert_eq!(a.overlaps(&b), x & y != 0);
        prop_assert_eq!(a.is_before(&b), both && last(x) < first(y));
        prop_assert_eq!(a.ends_within(&b), both && last(x) <= last(y));
        prop_assert_eq!(a.begins_within(&b), both && first(x) >= first(y));
        let adjacent = both && (last(x) + 1 == first(y) || last(y) + 1 == first(x));
        prop_assert_eq!(a.is_adjacent(&b), adjacent);
    }

    #[test]
    fn results_cover_what_they_should((of, (a, x), (b, y)) in pairs()) {
        // A range that covers these places is one that says the same of all numbers.
        let covers = |range: &Range, covered: Cover| {
            let width = if of == RangeType::Num { 2 } else { 1 };
            (-7..=7i32).all(|number| {
                let place = i64::from(number) * width;
                range.has(&value(&of, number)).unwrap() == (covered & cover(place, place) != 0)
            })
        };
        let meet = a.intersection(&b);
        prop_assert_eq!(meet.is_empty(), x & y == 0);
        prop_assert!(covers(&meet, x & y));
        prop_assert!(a.contains(&meet) && b.contains(&meet));
        let merged = a.merge(&b);
        prop_assert!(merged.contains(&a) && merged.contains(&b));
        match a.union(&b) {
            Ok(union) => {
                prop_assert!(is_in_one_piece(x | y) && covers(&union, x | y));
                prop_assert_eq!(union, merged);
            }
            Err(_) => prop_assert!(!is_in_one_piece(x | y)),
        }
        match a.difference(&b) {
            Ok(left) => {
                prop_assert!(is_in_one_piece(x & !y) && covers(&left, x & !y));
                prop_assert_eq!(left.is_empty(), x & !y == 0);
                prop_assert!(a.contains(&left) && !left.overlaps(&b));
            }
            Err(_) => prop_assert!(!is_in_one_piece(x & !y)),
        }
    }

    #[test]
    fn bytes_sort_as_ranges_do((_, (a, x), (b, y)) in pairs()) {
        let key = |covered: Cover| (covered != 0).then(|| (first(covered), last(covered)));
        prop_assert_eq!(a.bytes().cmp(&b.bytes()), key(x).cmp(&key(y)));
        prop_assert_eq!(a.partial_cmp(&b), Some(key(x).cmp(&key(y))));
    }
}

/// A type that a user made, over another one.
fn own(subtype: Type) -> RangeType {
    let maker = Maker { schema: "public".into(), name: "span".into() };
    RangeType::Own(
        OwnRange {
            oid: 16_400,
            array_oid: 16_401,
            multirange_oid: 16_402,
            multirange_array_oid: 16_403,
            schema: "public".into(),
            name: "span".into(),
            multirange_schema: "public".into(),
            multirange_name: "span_multirange".into(),
            maker: maker.clone(),
            multirange_maker: maker,
            subtype,
            collation: None,
            subtype_diff: None,
        }
        .into(),
    )
}

/// Values of every subtype, ascending, are shown, kept and sorted as they are.
#[test]
fn ends_of_every_subtype_come_back() {
    let ascending: [(Type, &[&str]); 14] = [
        (Type::Int2, &["-5", "0", "7"]),
        (Type::Oid, &["0", "7", "4294967295"]),
        (Type::Money, &["-$1.00", "$0.00", "$5.25"]),
        (Type::Bool, &["f", "t"]),
        (Type::Time(None), &["00:00:00", "12:30:00", "24:00:00"]),
        (Type::Timetz(None), &["12:00:00+02", "12:00:00+00"]),
        (Type::Float4, &["-Infinity", "-1.5", "0", "0.1", "Infinity", "NaN"]),
        (Type::Float8, &["-Infinity", "-1.5", "-1e-300", "0", "0.1", "NaN"]),
        (Type::Numeric(None), &["-1.5", "0", "10.25"]),
        (Type::Text, &["\"\"", "\"a b\"", "\"a,b\"", "\"q\"\"x\"", "é"]),
        (Type::Bytea, &["\"\\\\x\"", "\"\\\\x00\"", "\"\\\\x0001\"", "\"\\\\x01\""]),
        (Type::Uuid, &["00000000-0000-0000-0000-000000000001", "f0000000-0000-0000-0000-000000000000"]),
        (Type::Varbit(None), &["0", "01", "1"]),
        (Type::Network(crate::types::NetworkType::Inet), &["10.0.0.0/8", "10.0.0.1", "192.168.0.1"]),
    ];
    for (subtype, texts) in ascending {
        let of = own(subtype);
        assert!(takes(&of.element()));
        let mut before: Option<Range> = None;
        for text in texts {
            let range = read(of.clone(), &format!("[{text},{text}]"));
            assert_eq!(shown(&range), format!("[{text},{text}]"));
            assert_eq!(Range::from_bytes(of.clone(), &range.bytes()).unwrap(), range, "{text}");
            if let Some(before) = before {
                assert!(
                    before < range && before.is_before(&range) && before.bytes() < range.bytes(),
                    "{text}"
                );
            }
            before = Some(range);
        }
        assert_eq!(RangeType::from_tag(&of.tag()), Some(of));
    }
}
