//! Indexes whose parts lie in files beside the same wholly in memory: whatever is set, removed, spilled and kept by readers
//! meanwhile, both answer alike; where a file cannot be made or read, too, or the one in files does not answer.

use std::io::ErrorKind;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::file::{Name, save_whole};
use super::tests::{predicate, slot, types, value};
use super::{ColumnIndex, ColumnValues, Nulls, Order, Predicate, Share};
use crate::fs::faulty::{Fault, Op, What};
use crate::fs::{DiskFs, FaultyFs, MemoryFs};
use crate::types::{RangeType, Type, Value};

/// What happens to an index.
#[derive(Clone, Debug)]
enum Step {
    Set(u32, Value),
    Remove(u32),
    /// Everything goes to files that can.
    Settle,
    /// A chunk goes.
    Spill,
    DropBitmaps,
    /// A reader keeps it as it is.
    Keep,
    /// The n-th operation on files from here fails.
    Fail(u64),
}

fn step(ty: &Type) -> impl Strategy<Value = Step> + use<> {
    prop_oneof![
        24 => (slot(), value(ty)).prop_map(|(slot, value)| Step::Set(slot, value)),
        6 => slot().prop_map(Step::Remove),
        2 => Just(Step::Settle),
        4 => Just(Step::Spill),
        1 => Just(Step::DropBitmaps),
        2 => Just(Step::Keep),
        1 => (1u64..6).prop_map(Step::Fail),
    ]
}

fn range(low: i32, high: i32) -> Predicate {
    Predicate::Range { low: Bound::Included(Value::Int4(low)), high: Bound::Included(Value::Int4(high)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_lies_in_files_answers_as_in_memory(
        (ty, steps, predicates) in prop::sample::select(types()).prop_flat_map(|ty| {
            let steps = prop::collection::vec(step(&ty), 0..150);
            let predicates = prop::collection::vec(predicate(&ty), 1..6);
            (Just(ty), steps, predicates)
        }),
        held_max in prop::sample::select(vec![0u64, 30_000, 200_000]),
        among in prop::option::of(prop::collection::vec(slot(), 0..60)),
        descending: bool,
    ) {
        let (fs, faults) = FaultyFs::new(MemoryFs::new());
        let share = Share::new(fs, "/spill".into(), held_max);
        let mut plain = ColumnIndex::for_type(&ty).unwrap();
        let mut spilled = ColumnIndex::for_type_in(&ty, &share).unwrap();
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Step::Set(slot, value) => {
                    plain.set(slot, &value);
                    spilled.set(slot, &value);
                    spilled.charge();
                }
                Step::Remove(slot) => {
                    plain.remove(slot);
                    spilled.remove(slot);
                }
                Step::Settle => spilled.settle(),
                Step::Spill => drop(spilled.spill_next()),
                Step::DropBitmaps => spilled.drop_bitmaps(),
                Step::Keep => kept.push((plain.clone(), spilled.clone())),
                Step::Fail(at) => {
                    let on = Op::CREATE.or(Op::WRITE).or(Op::READ).or(Op::REMOVE);
                    faults.arm(Fault { at, on, what: What::Fail(ErrorKind::StorageFull) });
                }
            }
        }
        kept.push((plain, spilled));
        let among: Option<RoaringBitmap> = among.map(|slots| slots.into_iter().collect());
        let kept = kept.into_iter().map(|(plain, spilled)| (Arc::new(plain), Arc::new(spilled)));
        let kept: Vec<_> = kept.collect();
        for (plain, spilled) in &kept {
            for predicate in predicates.iter().chain([&Predicate::IsNull, &Predicate::IsNotNull]) {
                prop_assert_eq!(spilled.select(predicate), plain.select(predicate), "{:?}", predicate);
                prop_assert_eq!(spilled.count(predicate), plain.count(predicate), "{:?}", predicate);
            }
            for nulls in [Nulls::First, Nulls::Last, Nulls::Ignored] {
                let order = Order { descending, nulls };
                let first = |index: &ColumnIndex| index.first(among.as_ref(), order, 7);
                prop_assert_eq!(first(spilled), first(plain));
            }
            if let (Some(plain_values), Some(values)) = (ColumnValues::of(plain, &ty), ColumnValues::of(spilled, &ty)) {
                for slot in plain.select(&Predicate::IsNotNull).unwrap() {
                    let value = plain_values.value(slot).unwrap();
                    prop_assert_eq!(&values.value(slot).unwrap(), &value);
                    prop_assert!(spilled.agrees(slot, &value));
                }
            }
        }
        drop(kept);
        prop_assert_eq!((share.held(), share.spilled()), (0, 0), "what is gone holds nothing");
    }
}

/// The n-th number of a series that jumps about.
fn mixed(n: u64) -> u64 {
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 8
}

/// The value of a number.
type Made = Box<dyn Fn(u64) -> Value>;

/// Many rows, set in order and then changed at random, in all kinds of columns; one reader holds what there was.
#[test]
fn the_share_is_kept_by_loads_and_changes_and_answers_stay() {
    const ROWS: u32 = 100_000;
    const HELD_MAX: u64 = 120_000;
    let text = |n: u64| Value::Text(format!("text {n}"));
    let kinds: Vec<(Type, Made)> = vec![
        (Type::Int4, Box::new(|n| Value::Int4(n as i32))),
        (Type::Int8, Box::new(|n| Value::Int8((n % 10) as i64))),
        (Type::Int2, Box::new(|n| Value::Int2((n % 20_000) as i16))),
        (Type::Uuid, Box::new(|n| Value::Uuid((u128::from(n) << 64 | u128::from(n)).to_be_bytes()))),
        (Type::Text, Box::new(move |n| text(n % 3_000))),
        // Hashes, of which the first 50,000 rows had codes.
        (Type::Text, Box::new(move |n| text(n % 9_000))),
        (
            Type::Range(RangeType::Int4),
            Box::new(|n| {
                let text = format!("[{},{})", n % 5_000, n % 5_000 + 3);
                Value::Range(
                    crate::types::range::parse(RangeType::Int4, &text, crate::types::Look::PLAIN).unwrap(),
                )
            }),
        ),
    ];
    for (ty, of) in kinds {
        let share = Share::new(Arc::new(MemoryFs::new()), "/spill".into(), HELD_MAX);
        let mut plain = ColumnIndex::for_type(&ty).unwrap();
        let mut spilled = ColumnIndex::for_type_in(&ty, &share).unwrap();
        let set = |slot: u32, n: u64, plain: &mut ColumnIndex, spilled: &mut ColumnIndex| {
            let value = if n % 50 == 7 { Value::Null } else { of(n) };
            plain.set(slot, &value);
            spilled.set(slot, &value);
        };
        for slot in 0..ROWS {
            let n = mixed(u64::from(slot));
            set(slot, if slot < ROWS / 2 { n % 4_000 } else { n }, &mut plain, &mut spilled);
            if slot % 1_000 == 999 {
                spilled.settle();
                assert!(share.held() <= HELD_MAX, "{ty:?}: {} after {slot} rows", share.held());
            }
        }
        assert!(share.spilled() > 0, "{ty:?}");
        let old = (plain.clone(), spilled.clone());
        for n in 0..2_000 {
            let slot = (mixed(n) % u64::from(ROWS)) as u32;
            if n % 5 == 0 {
                plain.remove(slot);
                spilled.remove(slot);
            } else {
                set(slot, mixed(n + 77), &mut plain, &mut spilled);
            }
            spilled.settle();
            // Beside the reader's copy of what was in memory then.
            assert!(share.held() <= 2 * HELD_MAX, "{ty:?}: {}", share.held());
        }
        let asked = |index: &ColumnIndex| {
            let values = || (0..40).map(|n| of(mixed(n * 31)));
            let mut predicates: Vec<Predicate> = values().map(Predicate::Eq).collect();
            predicates.extend([Predicate::In(values().collect()), Predicate::IsNull, Predicate::IsNotNull]);
            let bounds = values().zip(values().skip(1));
            predicates.extend(bounds.map(|(low, high)| Predicate::Range {
                low: Bound::Included(low),
                high: Bound::Excluded(high),
            }));
            predicates.push(Predicate::Prefix("text 1".into()));
            let selected: Vec<_> = predicates.iter().map(|predicate| index.select(predicate)).collect();
            let order = Order { descending: true, nulls: Nulls::Last };
            (selected, index.first(None, order, 1_000))
        };
        assert_eq!(asked(&spilled), asked(&plain), "{ty:?}");
        assert_eq!(asked(&old.1), asked(&old.0), "{ty:?}");
        drop((old, spilled));
        assert_eq!((share.held(), share.spilled()), (0, 0));
    }
}

/// The one text too many makes hashes of all rows: a chunk at a time, also where no row begins one.
#[test]
fn hashes_take_the_place_of_codes_within_the_share() {
    const HELD_MAX: u64 = 300_000;
    /// Of hashes, with bits and filters.
    const CHUNK: u64 = 16 * 8_192 + 2_048 + 16_384;
    let share = Share::new(Arc::new(MemoryFs::new()), "/spill".into(), HELD_MAX);
    let mut index = ColumnIndex::for_type_in(&Type::Text, &share).unwrap();
    let text = |n: u32| Value::Text(format!("text {n}"));
    let value = |slot: u32| if slot.is_multiple_of(8_192) { Value::Null } else { text(slot % 4_000) };
    for slot in 0..100_000 {
        index.set(slot, &value(slot));
        if slot % 1_000 == 999 {
            index.settle();
        }
    }
    assert!(share.texts() > 4_000 * 30, "{} bytes of texts", share.texts());
    for slot in 100_000..100_200 {
        index.set(slot, &text(slot));
        assert!(share.held() <= HELD_MAX + 2 * CHUNK, "{} at {slot}", share.held());
    }
    assert_eq!((share.texts(), index.select(&Predicate::Prefix("text".into()))), (0, None), "hashes");
    for n in [0, 7, 3_999] {
        let expected = (0..100_000).filter(|slot| value(*slot) == text(n)).collect();
        assert_eq!(index.select(&Predicate::Eq(text(n))), Some(expected));
    }
    assert_eq!(index.count(&Predicate::IsNull), Some(13));
}

/// Readers scan what they hold while a writer changes rows, and chunks go to files, come back and leave places that others
/// take: each finds what its snapshot says.
#[test]
fn readers_find_what_their_snapshot_says_while_chunks_move() {
    const ROWS: u32 = 40_000;
    const TURNS: u64 = 150;
    let folder = tempfile::tempdir().unwrap();
    let share = Share::new(Arc::new(DiskFs), folder.path().join("spill"), 60_000);
    let mut index = ColumnIndex::for_type_in(&Type::Int4, &share).unwrap();
    let number = |n: u64| (mixed(n) % 100_000) as i32;
    let mut model: Vec<Option<i32>> = (0..ROWS).map(|slot| Some(number(u64::from(slot)))).collect();
    for (slot, number) in (0..).zip(&model) {
        index.set(slot, &number.map_or(Value::Null, Value::Int4));
        if slot % 4_096 == 0 {
            index.settle();
        }
    }
    let newest = Mutex::new(Arc::new((Arc::new(index.clone()), model.clone())));
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 1..4u64 {
            let (newest, is_done) = (&newest, &is_done);
            scope.spawn(move || {
                for turn in reader << 32.. {
                    let held = newest.lock().clone();
                    let (index, model) = &*held;
                    let (low, width) = (number(turn), number(turn + 7) / 20);
                    let is_inside = |n: &Option<i32>| n.is_some_and(|n| (low..=low + width).contains(&n));
                    let inside = model.iter().zip(0..).filter(|(number, _)| is_inside(number));
                    let inside: RoaringBitmap = inside.map(|(_, slot)| slot).collect();
                    assert_eq!(index.select(&range(low, low + width)), Some(inside));
                    let values = ColumnValues::of(index, &Type::Int4).unwrap();
                    for slot in (0..50).map(|n| (mixed(turn + n) % u64::from(ROWS)) as u32) {
                        let expected = model[slot as usize].map_or(Value::Null, Value::Int4);
                        assert_eq!(*values.value(slot).unwrap(), expected);
                    }
                    if is_done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for turn in 0..TURNS {
            for n in 0..20 {
                let slot = mixed(turn * 20 + n) % u64::from(ROWS);
                model[slot as usize] = if n % 5 == 0 { None } else { Some(number(slot + turn)) };
                match model[slot as usize] {
                    None => index.remove(slot as u32),
                    Some(number) => index.set(slot as u32, &Value::Int4(number)),
                }
            }
            match turn % 3 {
                0 => drop(index.spill_next()),
                _ => index.settle(),
            }
            *newest.lock() = Arc::new((Arc::new(index.clone()), model.clone()));
        }
        is_done.store(true, Ordering::Relaxed);
    });
    drop((newest, index));
    assert_eq!((share.held(), share.spilled()), (0, 0));
}

/// Files of which the name is gone are cut through the handles that this process has.
#[cfg(target_os = "linux")]
fn cut_files_in(dir: &Path) -> usize {
    let handles = std::fs::read_dir("/proc/self/fd").unwrap().flatten().map(|entry| entry.path());
    let ours = handles.filter(|handle| std::fs::read_link(handle).is_ok_and(|file| file.starts_with(dir)));
    let cut =
        |handle: &Path| std::fs::OpenOptions::new().write(true).open(handle).and_then(|file| file.set_len(0));
    ours.filter(|handle| cut(handle).is_ok()).count()
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_read_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let share = Share::new(Arc::new(DiskFs), folder.path().join("spill"), 0);
    let make = |ty: &Type, of: &dyn Fn(u32) -> Value| {
        let mut index = ColumnIndex::for_type_in(ty, &share).unwrap();
        (0..50_000).for_each(|slot| index.set(slot, &of(slot)));
        // The bitmaps go, and then the chunks.
        index.settle();
        index
    };
    let number = |slot: u32| Value::Int4((mixed(u64::from(slot)) % 100_000) as i32);
    let name = |slot: u32| Value::Text(format!("t{}", slot % 999));
    let numbers = Arc::new(make(&Type::Int4, &number));
    let names = Arc::new(make(&Type::Text, &name));
    let (values, name_values) =
        (ColumnValues::of(&numbers, &Type::Int4).unwrap(), ColumnValues::of(&names, &Type::Text).unwrap());
    let mut changing = ColumnIndex::clone(&numbers);
    assert_eq!(numbers.count(&range(0, 99_999)), Some(50_000));
    assert_eq!(names.count(&Predicate::Eq(name(5))), Some(51));
    assert!(cut_files_in(folder.path()) > 0);
    let order = Order { descending: false, nulls: Nulls::Last };
    for index in [&numbers, &names] {
        for predicate in [Predicate::IsNull, Predicate::IsNotNull, Predicate::Eq(name(5)), range(5, 700)] {
            assert_eq!(index.select(&predicate), None, "{predicate:?}");
            assert_eq!(index.count(&predicate), None, "{predicate:?}");
        }
        assert_eq!(index.first(None, order, 10), None);
        assert!(index.agrees(3, &Value::Null), "nothing is known against it");
    }
    assert_eq!(values.value(7).unwrap_err().state(), crate::error::SqlState::IO_ERROR);
    assert_eq!(name_values.value(7).unwrap_err().state(), crate::error::SqlState::IO_ERROR);
    // A value outside of all that there are is not looked for.
    assert_eq!(numbers.count(&range(200_000, 300_000)), Some(0));
    let fs: &dyn crate::fs::Fs = &MemoryFs::new();
    fs.create_dir_all(Path::new("/t")).unwrap();
    let name_of = Name { storage: 7, number: 5 };
    let saved = [(3, &*numbers)].into_iter();
    let saved = save_whole(fs, Path::new("/t/5.bits"), name_of, 99, &RoaringBitmap::new(), saved);
    assert_eq!(saved.unwrap_err().state(), crate::error::SqlState::IO_ERROR);
    changing.set(7, &Value::Int4(1));
    assert_eq!(changing.select(&range(200_000, 300_000)), None, "it was given up");
    assert!(numbers.is_whole() && !changing.is_whole(), "and is not to be saved");
    assert!(numbers.has_lost() && names.has_lost() && share.unread() > 0);
    // What comes later does not lie where something was lost.
    let later = make(&Type::Int4, &number);
    assert_eq!(later.count(&range(0, 99_999)), Some(50_000));
    assert!(!later.has_lost());
    drop((numbers, names, values, name_values, changing, later));
    assert_eq!((share.held(), share.spilled()), (0, 0));
}
