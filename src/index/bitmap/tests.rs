//! A column index beside a naive twin, a map from slots to values: whatever is set and removed, both select the
//! same slots. Also after a trip through a file in between, and while an older clone must not change.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::file::{self, Name};
use super::{ColumnIndex, ColumnValues, Nulls, Order, Predicate, Share};
use crate::error::Result;
use crate::fs::{Fs, MemoryFs, OpenMode};
use crate::types::range::{Relation, parse};
use crate::types::{Numeric, Range, RangeType, Type, Value};

#[derive(Clone, Default)]
struct Model(BTreeMap<u32, Value>);

impl Model {
    fn select(&self, predicate: &Predicate) -> RoaringBitmap {
        self.0.iter().filter(|(_, value)| satisfies(predicate, value)).map(|(&slot, _)| slot).collect()
    }
}

fn satisfies(predicate: &Predicate, value: &Value) -> bool {
    if *value == Value::Null {
        return *predicate == Predicate::IsNull;
    }
    match predicate {
        Predicate::Eq(other) => order(value, other) == Some(0),
        Predicate::In(others) => others.iter().any(|other| order(value, other) == Some(0)),
        Predicate::IsNull => false,
        Predicate::IsNotNull => true,
        Predicate::Related(relation, other) => match value {
            Value::Range(range) => relation.holds(range, other).unwrap(),
            _ => false,
        },
        Predicate::Prefix(prefix) => matches!(value, Value::Text(text) if text.starts_with(prefix)),
        Predicate::Range { low, high } => {
            let low = match low {
                Bound::Unbounded => true,
                Bound::Included(low) => order(value, low).is_some_and(|order| order >= 0),
                Bound::Excluded(low) => order(value, low).is_some_and(|order| order > 0),
            };
            let high = match high {
                Bound::Unbounded => true,
                Bound::Included(high) => order(value, high).is_some_and(|order| order <= 0),
                Bound::Excluded(high) => order(value, high).is_some_and(|order| order < 0),
            };
            low && high
        }
    }
}

/// How SQL orders two values: -1, 0, 1, or unknown.
fn order(a: &Value, b: &Value) -> Option<i8> {
    let number = |value: &Value| match value {
        Value::Int2(x) => Some(f64::from(*x)),
        Value::Int4(x) => Some(f64::from(*x)),
        Value::Int8(x) => Some(*x as f64),
        Value::Float4(x) => Some(f64::from(*x)),
        Value::Float8(x) => Some(*x),
        Value::Date(x) => Some(f64::from(*x)),
        Value::Bool(x) => Some(f64::from(u8::from(*x))),
        _ => None,
    };
    let ordering = match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        (Value::Money(a), Value::Money(b)) => a.cmp(b),
        (Value::Numeric(a), Value::Numeric(b)) => {
            // Within the digits of both, as long as they are.
            let digits = |number: &Numeric| {
                number.unscaled().map(|unscaled| {
                    unscaled * num_bigint::BigInt::from(10).pow(60 - u32::from(number.scale()))
                })
            };
            match (digits(a), digits(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.compare(b),
            }
        }
        _ => {
            let (a, b) = (number(a)?, number(b)?);
            match (a.is_nan(), b.is_nan()) {
                (false, false) => a.partial_cmp(&b)?,
                (a, b) => a.cmp(&b),
            }
        }
    };
    Some(ordering as i8)
}

fn numeric(scale: std::ops::RangeInclusive<u8>) -> BoxedStrategy<Value> {
    let few = prop_oneof![-12i128..12, -1_000_000i128..1_000_000];
    (few, scale).prop_map(|(unscaled, scale)| Value::Numeric(Numeric::new(unscaled, scale))).boxed()
}

fn special() -> BoxedStrategy<Value> {
    let text = prop_oneof![Just("NaN"), Just("Infinity"), Just("-Infinity")];
    text.prop_map(|text| Value::Numeric(crate::types::numeric::parse(text).unwrap())).boxed()
}

/// Beyond all keys.
fn far() -> BoxedStrategy<Value> {
    let text = prop_oneof![Just("1e39"), Just("-1e39"), Just("1e-50"), Just("-1e-50")];
    text.prop_map(|text| Value::Numeric(crate::types::numeric::parse(text).unwrap())).boxed()
}

pub fn value(ty: &Type) -> BoxedStrategy<Value> {
    let some = match ty {
        Type::Numeric(Some((_, scale))) => numeric(*scale as u8..=*scale as u8),
        Type::Numeric(None) => prop_oneof![8 => numeric(0..=16), 1 => special()].boxed(),
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Int2 => prop_oneof![(-5i16..5), any::<i16>()].prop_map(Value::Int2).boxed(),
        Type::Int4 => prop_oneof![(-5i32..50), any::<i32>()].prop_map(Value::Int4).boxed(),
        // f64 is the model's number.
        Type::Int8 => (-(1i64 << 50)..(1 << 50)).prop_map(Value::Int8).boxed(),
        Type::Float4 => {
            prop_oneof![any::<f32>(), Just(f32::NAN), Just(-0.0), Just(0.0)].prop_map(Value::Float4).boxed()
        }
        Type::Float8 => prop_oneof![any::<f64>(), Just(f64::NAN), Just(-0.0)].prop_map(Value::Float8).boxed(),
        Type::Date => (-1000i32..1000).prop_map(Value::Date).boxed(),
        Type::Money => any::<i64>().prop_map(Value::Money).boxed(),
        Type::Uuid => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        _ => "[ab]{0,3}".prop_map(Value::Text).boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 9 => some].boxed()
}

/// Decimals are compared with others of any scale.
pub fn predicate(ty: &Type) -> BoxedStrategy<Predicate> {
    let value = |ty: &Type| match ty {
        Type::Numeric(_) => {
            prop_oneof![2 => value(ty), 16 => numeric(0..=18), 1 => special(), 1 => far()].boxed()
        }
        ty => value(ty),
    };
    let bound = |ty: &Type| {
        prop_oneof![
            Just(Bound::Unbounded),
            value(ty).prop_map(Bound::Included),
            value(ty).prop_map(Bound::Excluded)
        ]
    };
    prop_oneof![
        value(ty).prop_map(Predicate::Eq),
        prop::collection::vec(value(ty), 0..20).prop_map(Predicate::In),
        (bound(ty), bound(ty)).prop_map(|(low, high)| Predicate::Range { low, high }),
        Just(Predicate::IsNull),
        Just(Predicate::IsNotNull),
    ]
    .boxed()
}

pub fn slot() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..200, 8_100u32..8_300, 65_500u32..65_600, 200_000u32..200_010]
}

type Case = (Type, Vec<(u32, Option<Value>)>, Vec<Predicate>);

pub fn types() -> Vec<Type> {
    vec![
        Type::Bool,
        Type::Int2,
        Type::Int4,
        Type::Int8,
        Type::Float4,
        Type::Float8,
        Type::Date,
        Type::Numeric(Some((10, 2))),
        Type::Numeric(None),
        Type::Uuid,
        Type::Money,
        Type::Text,
    ]
}

fn case() -> impl Strategy<Value = Case> {
    prop::sample::select(types()).prop_flat_map(|ty| {
        let changes = prop::collection::vec((slot(), prop::option::weighted(0.8, value(&ty))), 0..200);
        let predicates = prop::collection::vec(predicate(&ty), 1..8);
        (Just(ty), changes, predicates)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn selects_what_the_model_selects((ty, changes, predicates) in case()) {
        let mut index = ColumnIndex::for_type(&ty).unwrap();
        let mut model = Model::default();
        let mut old = (index.clone(), model.clone());
        for (n, (slot, value)) in changes.iter().enumerate() {
            match value {
                Some(value) => {
                    index.set(*slot, value);
                    model.0.insert(*slot, value.clone());
                }
                None => {
                    index.remove(*slot);
                    model.0.remove(slot);
                }
            }
            if n == changes.len() / 2 {
                old = (index.clone(), model.clone());
                index = trip(&index);
            }
        }
        for (index, model) in [(&index, &model), (&old.0, &old.1)] {
            for (&slot, value) in &model.0 {
                prop_assert!(index.agrees(slot, value), "{} {:?}", slot, value);
                for other in model.0.values().filter(|other| **other != Value::Null) {
                    let same = model.select(&Predicate::Eq(other.clone())).contains(slot);
                    prop_assert_eq!(index.agrees(slot, other), same, "{} {:?}", slot, other);
                }
            }
        }
        let index = Arc::new(index);
        if let Some(values) = ColumnValues::of(&index, &ty) {
            for (&slot, value) in &model.0 {
                prop_assert_eq!(&*values.value(slot).unwrap(), value);
            }
        }
        let index = &*index;
        for predicate in &predicates {
            for (index, model) in [(index, &model), (&old.0, &old.1)] {
                let expected = model.select(predicate);
                prop_assert_eq!(index.count(predicate), Some(expected.len()), "{:?}", predicate);
                prop_assert_eq!(index.select(predicate), Some(expected), "{:?}", predicate);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_first_are_the_first_of_the_model(
        (ty, changes, _) in case(),
        among in prop::option::of(prop::collection::vec(slot(), 0..60)),
        descending: bool,
        nulls in prop::sample::select(vec![Nulls::First, Nulls::Last, Nulls::Ignored]),
        rows in 0usize..40,
    ) {
        let mut index = ColumnIndex::for_type(&ty).unwrap();
        let mut model = Model::default();
        for (slot, value) in changes {
            match value {
                Some(value) => {
                    index.set(slot, &value);
                    model.0.insert(slot, value);
                }
                None => {
                    index.remove(slot);
                    model.0.remove(&slot);
                }
            }
        }
        let among: Option<RoaringBitmap> = among.map(|slots| slots.into_iter().collect());
        let first = index.first(among.as_ref(), Order { descending, nulls }, rows).unwrap();
        // Every slot with fewer than `rows` before it, and no other.
        let is_wanted = |slot: &u32| among.as_ref().is_none_or(|among| among.contains(*slot));
        let all: Vec<(u32, &Value)> =
            model.0.iter().filter(|(slot, _)| is_wanted(slot)).map(|(&slot, value)| (slot, value)).collect();
        let seen: Vec<&(u32, &Value)> =
            all.iter().filter(|(_, value)| nulls != Nulls::Ignored || **value != Value::Null).collect();
        let comes_before = |a: &Value, b: &Value| match (*a == Value::Null, *b == Value::Null) {
            (true, true) => false,
            (true, false) => nulls == Nulls::First,
            (false, true) => nulls == Nulls::Last,
            (false, false) => order(a, b).unwrap() == if descending { 1 } else { -1 },
        };
        let is_first = |value: &Value| seen.iter().filter(|(_, other)| comes_before(other, value)).count() < rows;
        let expected: RoaringBitmap =
            seen.iter().filter(|(_, value)| is_first(value)).map(|(slot, _)| *slot).collect();
        prop_assert_eq!(first, expected);
    }
}

const FILE: &str = "/t/5.bits";
const NAME: Name = Name { storage: 7, number: 5 };

pub fn save(fs: &MemoryFs, live: &RoaringBitmap, index: &ColumnIndex) {
    fs.create_dir_all(Path::new("/t")).unwrap();
    file::save_whole(fs, Path::new(FILE), NAME, 99, live, [(3, index)].into_iter()).unwrap();
}

pub fn saved(fs: &MemoryFs) -> Result<ColumnIndex> {
    let whole = file::open_whole(fs, Path::new(FILE), NAME, &|_| Share::unbounded())?;
    assert_eq!((whole.position, whole.columns.len(), whole.columns[0].0), (99, 1, 3));
    Ok(whole.columns.into_iter().next().unwrap().1)
}

/// Through a file and back.
fn trip(index: &ColumnIndex) -> ColumnIndex {
    let fs = MemoryFs::new();
    save(&fs, &RoaringBitmap::new(), index);
    saved(&fs).unwrap()
}

#[test]
fn an_index_of_each_kind_comes_back_from_its_file() {
    let many = |count: u32, value: &dyn Fn(u32) -> Value, ty: Type| {
        let mut index = ColumnIndex::for_type(&ty).unwrap();
        (0..count).for_each(|slot| index.set(slot * 3, &value(slot)));
        index.set(7, &Value::Null);
        let back = trip(&index);
        assert_eq!((back.distinct(), back.to_string()), (index.distinct(), index.to_string()));
        (0..count).for_each(|slot| assert!(back.agrees(slot * 3, &value(slot)), "{index}: {slot}"));
        assert!(back.agrees(7, &Value::Null));
    };
    many(50_000, &|slot| Value::Int4(slot as i32 * 7), Type::Int4);
    many(300_000, &|slot| Value::Int8(i64::from(slot % 3)), Type::Int8);
    many(20_000, &|slot| Value::Bool(slot % 5 == 0), Type::Bool);
    many(9_000, &|slot| Value::Float8(f64::from(slot) / 3.0), Type::Float8);
    many(9_000, &|slot| text(&format!("t{}", slot % 4_000)), Type::Text);
    let price = |slot: u32| Value::Numeric(Numeric::new(i128::from(slot) - 4_500, 2));
    many(9_000, &price, Type::Numeric(Some((10, 2))));
    // More texts than there are codes.
    let mut index = ColumnIndex::for_type(&Type::Text).unwrap();
    (0..9_000).for_each(|slot| index.set(slot, &text(&format!("t{slot}"))));
    let back = trip(&index);
    assert_eq!(back.select(&Predicate::Eq(text("t7"))), Some(RoaringBitmap::from([7])));
    assert_eq!(back.select(&Predicate::Prefix("t7".into())), None);
    assert_eq!(back.count(&Predicate::IsNotNull), Some(9_000));
    index.set(0, &Value::Int4(1));
    assert_eq!(trip(&index).select(&Predicate::IsNull), None, "unusable");
}

/// Every byte of a file of several blocks: nothing is taken for what was written, and nothing panics.
#[test]
fn a_damaged_file_does_not_open() {
    let fs = MemoryFs::new();
    let mut index = ColumnIndex::for_type(&Type::Text).unwrap();
    (0..30_000u32).for_each(|slot| index.set(slot, &text(&format!("t{}", slot.wrapping_mul(77) % 999))));
    save(&fs, &(0..30_000).collect(), &index);
    let len = fs.open(Path::new(FILE), OpenMode::Read).unwrap().len().unwrap();
    assert!(len > 2 << 16, "{len} bytes");
    let fs_of = |change: &dyn Fn(&dyn crate::fs::File)| {
        let copy = fs.crash(1);
        change(&*copy.open(Path::new(FILE), OpenMode::ReadWrite).unwrap());
        copy
    };
    for at in (0..60).chain((60..len).step_by(997)).chain([len - 1]) {
        let damaged = fs_of(&|file| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ (1 << (at % 8))], at).unwrap();
        });
        let error = saved(&damaged).err().unwrap_or_else(|| panic!("byte {at} is nobody's"));
        assert!(error.message().starts_with("/t/5.bits is damaged at offset "), "{error}");
        let verified = file::verify(&damaged, Path::new(FILE), &mut crate::fs::unpaced);
        assert!(verified.is_err(), "byte {at} is not verified");
        let cut = fs_of(&|file| file.truncate(at).unwrap());
        assert!(saved(&cut).is_err(), "cut to {at}");
    }
    // The file of another number, or of another table, has other checksums.
    for other in [Name { number: 6, ..NAME }, Name { storage: 8, ..NAME }] {
        assert!(file::open_whole(&fs, Path::new(FILE), other, &|_| Share::unbounded()).is_err());
    }
    assert!(file::open_changes(&fs, Path::new(FILE), NAME, 5).is_err(), "of another kind");
    assert!(saved(&fs).unwrap().agrees(0, &text("t0")));
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn prefixes_and_trailing_blanks() {
    let mut index = ColumnIndex::for_type(&Type::Varchar(None)).unwrap();
    for (slot, value) in ["abc", "abd", "ab", "b", "a\u{10FFFF}x"].iter().enumerate() {
        index.set(slot as u32, &text(value));
    }
    let select = |predicate| index.select(&predicate).unwrap().iter().collect::<Vec<_>>();
    assert_eq!(select(Predicate::Prefix("ab".into())), [0, 1, 2]);
    assert_eq!(select(Predicate::Prefix("a\u{10FFFF}".into())), [4]);
    assert_eq!(select(Predicate::Prefix(String::new())), [0, 1, 2, 3, 4]);
    let mut padded = ColumnIndex::for_type(&Type::Bpchar(Some(5))).unwrap();
    padded.set(1, &text("ab   "));
    assert_eq!(padded.count(&Predicate::Eq(text("ab"))), Some(1));
    assert_eq!(padded.select(&Predicate::Prefix("ab".into())), None);
}

#[test]
fn citext_is_found_by_its_text_in_lower_case() {
    let mut index = ColumnIndex::for_type(&Type::Citext).unwrap();
    for (slot, value) in ["Abc", "aBC", "ÄB", "b"].iter().enumerate() {
        index.set(slot as u32, &text(value));
    }
    let select = |predicate| index.select(&predicate).unwrap().iter().collect::<Vec<_>>();
    assert_eq!(select(Predicate::Eq(text("abc"))), [0, 1]);
    assert_eq!(select(Predicate::Eq(text("Abc"))), [0u32; 0]);
    assert_eq!(select(Predicate::In(vec![text("äb"), text("b")])), [2, 3]);
    assert_eq!(
        select(Predicate::Range { low: Bound::Included(text("abc")), high: Bound::Excluded(text("b")) }),
        [0, 1]
    );
    assert!(index.agrees(0, &text("ABC")) && !index.agrees(0, &text("abd")));
}

#[test]
fn operands_of_other_integer_types_are_clamped() {
    let mut index = ColumnIndex::for_type(&Type::Int2).unwrap();
    [-30_000i16, 0, 30_000].iter().enumerate().for_each(|(slot, x)| index.set(slot as u32, &Value::Int2(*x)));
    let count = |low, high| index.count(&Predicate::Range { low, high }).unwrap();
    let far = |x: i64| Value::Int8(x);
    assert_eq!(index.count(&Predicate::Eq(far(70_000))), Some(0));
    assert_eq!(count(Bound::Excluded(far(-70_000)), Bound::Excluded(far(70_000))), 3);
    assert_eq!(count(Bound::Included(far(70_000)), Bound::Unbounded), 0);
    assert_eq!(count(Bound::Unbounded, Bound::Included(far(-70_000))), 0);
    assert_eq!(count(Bound::Included(far(0)), Bound::Excluded(far(30_000))), 1);
    let half = |unscaled| Value::Numeric(Numeric::new(unscaled, 1));
    assert_eq!(count(Bound::Included(half(-300_005)), Bound::Excluded(half(299_999))), 2);
    assert_eq!(count(Bound::Excluded(half(-299_995)), Bound::Included(half(300_000))), 2);
    assert_eq!(count(Bound::Included(half(i128::from(i64::MAX) * 100)), Bound::Unbounded), 0);
    assert_eq!(index.count(&Predicate::Eq(half(5))), Some(0));
    assert_eq!(index.count(&Predicate::Eq(half(0))), Some(1));
    assert_eq!(index.select(&Predicate::Eq(text("0"))), None, "not comparable");
    let mut single = ColumnIndex::for_type(&Type::Float4).unwrap();
    single.set(0, &Value::Float4(0.1));
    assert_eq!(single.count(&Predicate::Eq(Value::Float8(0.1))), None, "0.1 is no float4");
    assert_eq!(single.count(&Predicate::Eq(Value::Float4(0.1))), Some(1));
}

#[test]
fn many_texts_are_known_by_their_hashes() {
    let mut index = ColumnIndex::for_type(&Type::Text).unwrap();
    (0..4_096).for_each(|slot| index.set(slot, &text(&format!("text {slot}"))));
    assert_eq!(index.distinct(), Some(4_096));
    // Texts without slots make room.
    index.remove(7);
    index.set(9_000, &text("one more"));
    index.set(8_000, &Value::Null);
    assert_eq!(index.count(&Predicate::Eq(text("one more"))), Some(1));
    assert_eq!(index.count(&Predicate::Eq(text("text 7"))), Some(0));
    assert_eq!(index.count(&Predicate::Prefix("text 1".into())), Some(1_111));
    let old = index.clone();
    index.set(7, &text("text 7"));
    index.set(9_001, &Value::Null);
    index.set(9_002, &text("text 1"));
    let select = |index: &ColumnIndex, predicate| {
        index.select(&predicate).map(|slots: RoaringBitmap| slots.iter().collect::<Vec<_>>())
    };
    assert_eq!(select(&index, Predicate::Eq(text("text 1"))), Some(vec![1, 9_002]));
    assert_eq!(select(&index, Predicate::Eq(text("text 7"))), Some(vec![7]));
    assert_eq!(select(&index, Predicate::Eq(text("text"))), Some(vec![]));
    let some = [text("text 4000"), text("what?"), Value::Null, text("one more"), text("text 4000")];
    assert_eq!(select(&index, Predicate::In(some.to_vec())), Some(vec![4_000, 9_000]));
    assert_eq!(select(&index, Predicate::IsNull), Some(vec![8_000, 9_001]));
    assert_eq!(index.count(&Predicate::IsNotNull), Some(4_098));
    assert_eq!(select(&index, Predicate::Prefix("text 1".into())), None);
    assert!(index.agrees(9_002, &text("text 1")) && !index.agrees(9_002, &text("text 2")));
    index.set(1, &text("another"));
    index.remove(9_002);
    assert_eq!(select(&index, Predicate::Eq(text("text 1"))), Some(vec![]));
    assert_eq!(select(&old, Predicate::Eq(text("text 1"))), Some(vec![1]));
}

#[test]
fn long_texts_are_known_by_their_hashes() {
    let long = |n: u32| text(&format!("{n} ").repeat(10_000));
    let mut index = ColumnIndex::for_type(&Type::Text).unwrap();
    (0..10).for_each(|slot| index.set(slot, &text(&format!("short {slot}"))));
    // One slot whose text changes: the dictionary is swept, and holds what fits into it.
    (0..100).for_each(|n| index.set(10, &long(n)));
    assert_eq!(index.count(&Predicate::Prefix("short".into())), Some(10));
    assert_eq!(index.count(&Predicate::Eq(long(99))), Some(1));
    assert_eq!(index.count(&Predicate::Eq(long(98))), Some(0));
    assert!(index.bytes() < 1_500_000, "{} bytes", index.bytes());
    (11..111).for_each(|slot| index.set(slot, &long(slot)));
    assert!(index.bytes() < 200_000, "{} bytes", index.bytes());
    assert_eq!(index.count(&Predicate::Prefix("short".into())), None);
    for slot in 11..111 {
        let found = index.select(&Predicate::Eq(long(slot))).unwrap();
        let expected: RoaringBitmap = if slot == 99 { [10, 99].into() } else { [slot].into() };
        assert_eq!(found, expected, "slot {slot}");
    }
    assert_eq!(index.count(&Predicate::Eq(text("short 7"))), Some(1));
    let mut one = ColumnIndex::for_type(&Type::Text).unwrap();
    one.set(0, &text(&"x".repeat(2 << 20)));
    assert!(one.bytes() < 200_000, "{} bytes", one.bytes());
    assert_eq!(one.count(&Predicate::Eq(text(&"x".repeat(2 << 20)))), Some(1));
}

/// In no order, so that every chunk's extremes span all values.
#[test]
fn one_of_many_numbers_is_found() {
    let mut index = ColumnIndex::for_type(&Type::Int8).unwrap();
    let value =
        |slot: u32| Value::Int8((u64::from(slot / 2).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1) as i64);
    (0..60_000).for_each(|slot| index.set(slot, &value(slot)));
    for slot in (0..60_000).step_by(777) {
        let both = RoaringBitmap::from([slot & !1, slot | 1]);
        assert_eq!(index.select(&Predicate::Eq(value(slot))), Some(both));
        assert_eq!(index.count(&Predicate::Eq(Value::Int8(-1 - i64::from(slot)))), Some(0));
    }
    let list: Vec<Value> = (0..40).map(|n| value(n * 1_000)).collect();
    assert_eq!(index.count(&Predicate::In(list)), Some(80));
    index.set(70_000, &value(0));
    index.remove(0);
    assert_eq!(index.select(&Predicate::Eq(value(0))), Some(RoaringBitmap::from([1, 70_000])));
}

#[test]
fn many_distinct_numbers_are_scanned() {
    let mut index = ColumnIndex::for_type(&Type::Timestamp(None)).unwrap();
    (0..100_000u32).for_each(|slot| index.set(slot, &Value::Timestamp(i64::from(slot) * 1_000)));
    assert_eq!(index.distinct(), None);
    let range = Predicate::Range {
        low: Bound::Included(Value::Timestamp(40_000_000)),
        high: Bound::Excluded(Value::Timestamp(60_000_000)),
    };
    assert_eq!(index.select(&range).unwrap(), (40_000..60_000).collect::<RoaringBitmap>());
    let points: Vec<Value> = (0..50).map(|n| Value::Timestamp(n * 7_000)).collect();
    assert_eq!(index.count(&Predicate::In(points)), Some(50));
    assert!(index.bytes() < 100_000 * 10);
}

#[test]
fn a_value_of_another_type_ends_the_answers() {
    let mut index = ColumnIndex::for_type(&Type::Int4).unwrap();
    index.set(0, &text("what?"));
    assert_eq!(index.select(&Predicate::IsNotNull), None);
    assert!(ColumnIndex::for_type(&Type::Vector(Some(3))).is_none());
}

#[test]
fn ranges_are_found_as_they_lie() {
    let of = RangeType::Int4;
    let texts = ["empty", "[1,5)", "[3,9]", "(,4)", "[5,)", "(,)", "[1,5)", "[9,9]", "[4,4]"];
    let range = |text: &str| parse(of.clone(), text, crate::types::Look::PLAIN).unwrap();
    let ranges: Vec<Range> = texts.iter().map(|text| range(text)).collect();
    let mut index = ColumnIndex::for_type(&Type::Range(of.clone())).unwrap();
    for (slot, range) in ranges.iter().enumerate() {
        index.set(slot as u32 * 10_000, &Value::Range(range.clone()));
    }
    index.set(7, &Value::Null);
    index.set(8, &Value::Range(range("[3,4)")));
    index.remove(8);
    let index = trip(&index);
    let relations = [
        Relation::Contains,
        Relation::ContainedBy,
        Relation::Overlaps,
        Relation::Before,
        Relation::After,
        Relation::EndsWithin,
        Relation::BeginsWithin,
        Relation::Adjacent,
    ];
    let slots = |holds: &dyn Fn(&Range) -> bool| -> RoaringBitmap {
        (0..).zip(&ranges).filter(|(_, range)| holds(range)).map(|(n, _)| n * 10_000).collect()
    };
    let others = texts.iter().chain(&["[4,6)", "[10,)", "(,1)", "[2,3)"]).map(|text| range(text));
    for other in others {
        let value = Value::Range(other.clone());
        for relation in relations {
            let found = index.select(&Predicate::Related(relation, value.clone())).unwrap();
            let expected = slots(&|range| relation.holds(range, &value).unwrap());
            assert_eq!(found, expected, "{relation:?} {other:?}");
        }
        assert_eq!(index.select(&Predicate::Eq(value)).unwrap(), slots(&|range| *range == other));
    }
    for number in -1..12 {
        let value = Value::Int4(number);
        let found = index.select(&Predicate::Related(Relation::Contains, value.clone())).unwrap();
        assert_eq!(found, slots(&|range| range.has(&value).unwrap()), "{number}");
    }
    assert!(index.agrees(10_000, &Value::Range(range("[1,5)"))) && index.agrees(7, &Value::Null));
    assert!(!index.agrees(10_000, &Value::Range(range("[1,6)"))) && !index.agrees(8, &Value::Null));
    assert_eq!(index.select(&Predicate::IsNull).unwrap().iter().collect::<Vec<_>>(), [7]);
    assert_eq!(index.count(&Predicate::IsNotNull), Some(ranges.len() as u64));
    assert!(ColumnIndex::for_type(&Type::Range(RangeType::Num)).is_none());
}
