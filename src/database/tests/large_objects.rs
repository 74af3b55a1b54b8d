//! Large objects are what a byte vector with holes would be, through commits, rollbacks, files and crashes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{done, fresh, open, options};
use crate::catalog::large_objects::{BYTES_MAX, OBJECTS, PAGES};
use crate::database::{Database, Isolation, Options, Stop, Transaction};
use crate::error::SqlState;
use crate::fs::Fs;
use crate::fs::memory::MemoryFs;

fn begin(database: &Arc<Database>) -> Transaction {
    database.prepare_large_objects().unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    txn
}

fn all_of(txn: &mut Transaction, object: u32) -> Vec<u8> {
    txn.newest_large_objects().unwrap().read_value(object, 0, None).unwrap()
}

fn committed(database: &Arc<Database>, object: u32) -> Vec<u8> {
    all_of(&mut begin(database), object)
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Stop>) -> SqlState {
    match outcome {
        Err(Stop::Error(error)) => error.state(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_is_read_and_comes_back_after_a_crash() {
    let (fs, database) = fresh();
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let mut txn = begin(&database);
    let object = done(txn.create_large_object(None));
    done(txn.write_large_object(object, 0, &bytes));
    done(txn.write_large_object(object, 3_000, b"in the middle of pages"));
    let mut expected = bytes.clone();
    expected[3_000..3_022].copy_from_slice(b"in the middle of pages");
    assert_eq!(all_of(&mut txn, object), expected);
    txn.commit().unwrap();
    let mut txn = begin(&database);
    done(txn.write_large_object(object, 0, b"never committed"));
    assert_eq!(all_of(&mut txn, object)[..15], *b"never committed");
    drop(txn);
    assert_eq!(committed(&database, object), expected);
    drop(database);
    let fs = Arc::new(fs.crash(1));
    let database = open(&fs);
    assert_eq!(committed(&database, object), expected);
    database.check().unwrap();
    let objects = begin(&database).large_objects().unwrap();
    assert_eq!(objects.read(object, 2_999, 5).unwrap(), &expected[2_999..3_004]);
    assert_eq!(objects.read(object, 99_998, 5).unwrap(), &expected[99_998..]);
    assert!(objects.read(object, 100_000, 5).unwrap().is_empty());
}

#[test]
fn holes_are_zeros_and_take_no_pages() {
    let (_, database) = fresh();
    let mut txn = begin(&database);
    let object = done(txn.create_large_object(Some(7)));
    assert_eq!(txn.newest_large_objects().unwrap().size(object).unwrap(), 0);
    done(txn.write_large_object(object, BYTES_MAX - 1, b"z"));
    done(txn.write_large_object(object, 5_000, b"a"));
    let objects = txn.newest_large_objects().unwrap();
    assert_eq!(objects.size(object).unwrap(), BYTES_MAX);
    assert_eq!(objects.read(object, 4_095, 1_000).unwrap(), [&[0; 905][..], b"a", &[0; 94]].concat());
    assert_eq!(objects.read(object, BYTES_MAX - 3, 9).unwrap(), b"\0\0z");
    assert_eq!(objects.read_value(object, 0, None).unwrap_err().state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    drop(objects);
    assert_eq!(txn.snapshot(PAGES).unwrap().row_count().unwrap(), 2);
    done(txn.truncate_large_object(object, BYTES_MAX));
    assert_eq!(txn.newest_large_objects().unwrap().size(object).unwrap(), BYTES_MAX);
    done(txn.truncate_large_object(object, 4_096));
    assert_eq!(all_of(&mut txn, object), vec![0; 4_096]);
    done(txn.truncate_large_object(object, 10));
    assert_eq!(all_of(&mut txn, object), vec![0; 10]);
    assert_eq!(txn.snapshot(PAGES).unwrap().row_count().unwrap(), 1);
    done(txn.drop_large_object(object));
    assert_eq!(txn.snapshot(PAGES).unwrap().row_count().unwrap(), 0);
    assert_eq!(refused(txn.write_large_object(object, 0, b"x")).0, "42704");
}

#[test]
fn numbers_are_given_once() {
    let (_, database) = fresh();
    let mut txn = begin(&database);
    let first = done(txn.create_large_object(None));
    done(txn.create_large_object(Some(first + 1)));
    assert_eq!(done(txn.create_large_object(None)), first + 2);
    assert_eq!(refused(txn.create_large_object(Some(first))), SqlState::UNIQUE_VIOLATION);
}

#[test]
fn a_snapshot_sees_the_object_as_it_was_and_a_writer_as_it_is() {
    let (_, database) = fresh();
    let mut txn = begin(&database);
    done(txn.create_large_object(Some(7)));
    done(txn.write_large_object(7, 0, b"before"));
    txn.commit().unwrap();
    let mut old = database.begin(Isolation::RepeatableRead);
    old.start_statement();
    let mut txn = begin(&database);
    done(txn.write_large_object(7, 0, b"after!"));
    // The second writer waits for the first, and goes on from what that has left.
    let Err(Stop::Wait(waiter)) = old.write_large_object(7, 6, b"...") else { panic!("two writers") };
    txn.commit().unwrap();
    waiter.wait();
    assert_eq!(old.large_objects().unwrap().read(7, 0, 100).unwrap(), b"before");
    done(old.write_large_object(7, 6, b"..."));
    assert_eq!(all_of(&mut old, 7), b"after!...");
    // What was open before a write does not see it.
    let seen = old.large_objects().unwrap();
    done(old.truncate_large_object(7, 0));
    assert_eq!(seen.size(7).unwrap(), 9);
    old.commit().unwrap();
    assert_eq!(committed(&database, 7), b"");
    let mut txn = begin(&database);
    done(txn.drop_large_object(7));
    let Err(Stop::Wait(waiter)) = begin(&database).truncate_large_object(7, 0) else { panic!("two writers") };
    txn.commit().unwrap();
    drop(waiter);
    assert_eq!(refused(begin(&database).truncate_large_object(7, 0)).0, "42704");
}

#[test]
fn the_tables_appear_where_a_transaction_is_open_already() {
    let (_, database) = fresh();
    let mut txn = database.begin(Isolation::RepeatableRead);
    txn.start_statement();
    assert!(!txn.has_large_objects());
    assert!(!txn.large_objects().unwrap().exists(7).unwrap());
    assert_eq!(refused(txn.write_large_object(7, 0, b"x")).0, "42704");
    database.prepare_large_objects().unwrap();
    database.prepare_large_objects().unwrap();
    done(txn.create_large_object(Some(7)));
    done(txn.write_large_object(7, 0, b"x"));
    assert_eq!(txn.large_objects().unwrap().read(7, 0, 9).unwrap(), b"x");
    txn.commit().unwrap();
    // Nobody lists them or finds them by name.
    let catalog = database.catalog();
    assert_eq!((catalog.tables().count(), catalog.indexes().count()), (0, 0));
    assert!(catalog.relation("pg_catalog", "pg_largeobject").is_none());
    assert_eq!(catalog.system_table("pg_catalog", "pg_largeobject_metadata").map(|t| t.oid), Some(OBJECTS));
    database.check().unwrap();
}

#[test]
fn descriptions_go_with_their_objects() {
    let (_, database) = fresh();
    let mut txn = begin(&database);
    done(txn.create_large_object(Some(7)));
    done(txn.describe_large_object(7, Some("one")));
    done(txn.describe_large_object(7, Some("two")));
    assert_eq!(txn.large_objects().unwrap().descriptions().unwrap(), [(7, "two".to_owned())]);
    let savepoint = txn.savepoint();
    done(txn.describe_large_object(7, None));
    assert_eq!(txn.large_objects().unwrap().description(7).unwrap(), None);
    txn.rollback_to(&savepoint).unwrap();
    assert_eq!(txn.large_objects().unwrap().description(7).unwrap().as_deref(), Some("two"));
    done(txn.drop_large_object(7));
    assert!(txn.large_objects().unwrap().descriptions().unwrap().is_empty());
    assert_eq!(refused(txn.describe_large_object(7, Some("x"))).0, "42704");
}

/// Random writes, truncations, savepoints and ends of transactions beside a map of bytes, with an overlay that spills all
/// the time and crashes between.
#[test]
fn objects_are_like_a_map_of_bytes() {
    for seed in 0..6u64 {
        let mut fs = Arc::new(MemoryFs::new());
        let small = || Options { overlay_bytes_max: 6_000, ..options() };
        let opened = |fs: &Arc<MemoryFs>| {
            let fs: Arc<dyn Fs> = fs.clone();
            Database::open(fs, Path::new("/db"), small()).unwrap()
        };
        let mut database = opened(&fs);
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut known: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for round in 0..25 {
            let mut txn = begin(&database);
            let mut mine = known.clone();
            let mut saved = None;
            for step in 0..8 {
                let object = 1 + draw(3) as u32;
                match (draw(8), mine.get_mut(&object)) {
                    (_, None) => {
                        done(txn.create_large_object(Some(object)));
                        mine.insert(object, Vec::new());
                    }
                    (0, Some(_)) => {
                        done(txn.drop_large_object(object));
                        mine.remove(&object);
                    }
                    (1 | 2, Some(bytes)) => {
                        let length = draw(12_000) as usize;
                        done(txn.truncate_large_object(object, length as i64));
                        bytes.resize(length, 0);
                    }
                    (3, Some(_)) => saved = Some((txn.savepoint(), mine.clone())),
                    (4, Some(_)) => {
                        if let Some((savepoint, then)) = &saved {
                            txn.rollback_to(savepoint).unwrap();
                            mine = then.clone();
                        }
                    }
                    (_, Some(bytes)) => {
                        let (at, length) = (draw(14_000) as usize, draw(6_000) as usize);
                        let piece: Vec<u8> = (0..length).map(|_| draw(256) as u8).collect();
                        done(txn.write_large_object(object, at as i64, &piece));
                        if length > 0 {
                            bytes.resize(bytes.len().max(at + length), 0);
                            bytes[at..at + length].copy_from_slice(&piece);
                        }
                    }
                }
                for (object, bytes) in &mine {
                    assert_eq!(all_of(&mut txn, *object), *bytes, "seed {seed}, round {round}, step {step}");
                }
            }
            drop(saved);
            if draw(3) > 0 {
                txn.commit().unwrap();
                known = mine;
            } else {
                drop(txn);
            }
            if draw(5) == 0 {
                drop(database);
                fs = Arc::new(fs.crash(seed));
                database = opened(&fs);
                database.check().unwrap();
            }
            for (object, bytes) in &known {
                assert_eq!(committed(&database, *object), *bytes, "seed {seed}, round {round}");
            }
        }
    }
}
