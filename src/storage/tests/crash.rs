//! The machine stops, or a call fails, at every operation on files of a random history.

use std::io::ErrorKind;

use super::*;
use crate::fs::MemoryFs;
use crate::fs::faulty::{Fault, Faults, FaultyFs, Op, What};

/// Short enough that a run of all crash points takes seconds.
const STEPS: u64 = 60;

/// Every fifth operation; which, differs between the seeds.
const STRIDE: usize = 5;

/// The world, and whether the machine stopped on the way.
fn run(memory: &MemoryFs, seed: u64, fault: Option<Fault>) -> (Option<World>, Arc<Faults>) {
    let (fs, faults) = FaultyFs::new(memory.clone());
    if let Some(fault) = fault {
        faults.arm(fault);
    }
    let Ok(mut world) = World::new(fs, seed) else { return (None, faults) };
    for _ in 0..STEPS {
        if let Err(error) = world.step() {
            assert!(fault.is_some(), "{error}");
            if faults.crashed() {
                break;
            }
        }
    }
    (Some(world), faults)
}

fn operations(seed: u64) -> u64 {
    let (_, faults) = run(&MemoryFs::new(), seed, None);
    faults.count(Op::CHANGES)
}

#[test]
fn a_crash_at_any_operation_leaves_the_last_checkpoint() {
    for seed in seeds(0..3) {
        let count = operations(seed);
        assert!(count > 100, "the history is too short: {count} operations");
        for at in (1 + seed..=count).step_by(STRIDE) {
            let memory = MemoryFs::new();
            let (world, faults) = run(&memory, seed, Some(Fault { at, on: Op::CHANGES, what: What::Crash }));
            for power in 0..4 {
                let after: Arc<dyn Fs> = Arc::new(memory.crash(power * 1000 + power.min(1) * at));
                let mut again = match &world {
                    Some(world) => World {
                        fs: after.clone(),
                        options: world.options.clone(),
                        store: world.store.clone(),
                        random: world.random.clone(),
                        model: world.model.clone(),
                        log: world.log.clone(),
                        candidates: world.candidates.clone(),
                        ..*world
                    },
                    None => World::new(after.clone(), seed).unwrap(),
                };
                let context = || format!("seed {seed}, operation {at}, power {power}: {:?}", faults.recent());
                again.reopen(after).unwrap_or_else(|error| panic!("{error}; {}", context()));
                for _ in 0..20 {
                    again.step().unwrap_or_else(|error| panic!("{error}; {}", context()));
                }
            }
        }
    }
}

#[test]
fn a_call_that_fails_once_loses_nothing() {
    for seed in seeds(10..13) {
        let count = operations(seed);
        for at in (1 + seed % 10..=count).step_by(STRIDE) {
            let kind = if at % 2 == 0 { ErrorKind::StorageFull } else { ErrorKind::Other };
            let memory = MemoryFs::new();
            let (world, faults) =
                run(&memory, seed, Some(Fault { at, on: Op::CHANGES, what: What::Fail(kind) }));
            let Some(mut world) = world else { continue };
            faults.disarm();
            let context = || format!("seed {seed}, operation {at}: {:?}", faults.recent());
            let expected = world.model.scan(Bound::Unbounded, Bound::Unbounded, u64::MAX);
            assert_eq!(whole(&world.tree(), LATEST).unwrap(), expected, "{}", context());
            world.checkpoint().unwrap_or_else(|error| panic!("{error}; {}", context()));
            assert_eq!(whole(&world.tree(), LATEST).unwrap(), expected, "{}", context());
            let after: Arc<dyn Fs> = Arc::new(memory.crash(at));
            world.close();
            world.reopen(after).unwrap_or_else(|error| panic!("{error}; {}", context()));
        }
    }
}

#[test]
fn a_full_disk_refuses_new_writes_and_goes_on_when_there_is_room() {
    let (fs, faults) = FaultyFs::new(MemoryFs::new());
    let fs: Arc<dyn Fs> = fs;
    let options = Options { frozen_memtables_max: 2, ..Options::tiny() };
    let store = Store::open(fs, Path::new("data"), options).unwrap();
    let tree = store.create_tree(TREE);
    let on = Op::CHANGES;
    faults.arm(Fault { at: 1, on, what: What::FailFromHere(ErrorKind::StorageFull) });
    let mut written = 0u64;
    while admit(&store, &tree).is_ok() {
        written += 1;
        tree.write(Seq(written), [(&written.to_be_bytes()[..], Some(&[7u8; 100][..]))]).unwrap();
        assert!(written < 10_000, "nothing refuses the writes");
    }
    assert_eq!(admit(&store, &tree).err().unwrap().state().0, "53100");
    assert_eq!(whole(&tree, LATEST).unwrap().len() as u64, written);
    faults.disarm();
    while store.step().unwrap() {}
    admit(&store, &tree).unwrap();
    assert_eq!(whole(&tree, LATEST).unwrap().len() as u64, written);
}
