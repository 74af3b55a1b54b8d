//! Three tables that are written, damaged and repaired at random, beside maps that nothing happens to.
//!
//! Between two runs of the database, which end in order or by a crash, files of tables are damaged and others are put
//! back. A table that is damaged is refused and keeps what it had; all others answer as their maps do, always. A failure
//! tells its seed: `HITHER_SEEDS=7..8 cargo test --no-default-features --lib damaged_model`. The seed decides all but the
//! order in which a checkpoint or a vacuum takes the tables, and with it numbers of files: a few tries may be needed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::damaged_tables::{across_a_checkpoint, answer, content, files, put, remove, small};
use super::vacuum::{commit, create_index, delete, update};
use super::*;
use crate::catalog::{Edit, Object};
use crate::error::SqlState;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A table, its twin, and its file that is damaged with what it held before.
struct Twin {
    oid: Oid,
    rows: BTreeMap<i64, String>,
    hurt: Option<(PathBuf, Vec<u8>)>,
}

struct World {
    random: Random,
    fs: Arc<MemoryFs>,
    twins: Vec<Twin>,
    /// The next id, and the number of the next name.
    next: i64,
    seen: Seen,
}

/// What has happened, so that a test that tests nothing is noticed.
#[derive(Debug, Default)]
struct Seen {
    damaged: u64,
    repaired: u64,
    truncated: u64,
    checkpoints: u64,
    refused: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let fs = Arc::new(MemoryFs::new());
        let mut world = World { random: Random(seed), fs, twins: Vec::new(), next: 0, seen: Seen::default() };
        let database = world.start();
        for name in ["a", "b", "c"] {
            let mut txn = database.begin(Isolation::ReadCommitted);
            let oid = create_u(&mut txn, name);
            txn.commit().unwrap();
            world.twins.push(Twin { oid, rows: BTreeMap::new(), hurt: None });
        }
        create_index(&database, world.twins[0].oid);
        world
    }

    fn start(&self) -> Arc<Database> {
        Database::open(self.fs.clone(), Path::new("/db"), small()).unwrap()
    }

    /// A run of the database, and how it ends.
    fn run(&mut self) {
        let database = self.start();
        self.compare(&database);
        for _ in 0..self.random.below(8) {
            self.step(&database);
        }
        self.compare(&database);
        if self.random.chance(40) {
            database.close().unwrap();
        }
        drop(database);
        self.fs = Arc::new(self.fs.crash(self.random.below(1_000)));
    }

    fn compare(&self, database: &Arc<Database>) {
        for twin in &self.twins {
            let mut txn = database.begin(Isolation::ReadCommitted);
            txn.start_statement();
            let refused = txn.snapshot(twin.oid).err().map(|error| error.state());
            assert_eq!(refused, twin.hurt.as_ref().map(|_| SqlState::DATA_CORRUPTED));
            if twin.hurt.is_none() {
                let expected: Vec<_> = twin.rows.iter().map(|(id, name)| (*id, name.clone())).collect();
                assert_eq!(answer(database, twin.oid), expected);
            }
        }
        if self.twins.iter().all(|twin| twin.hurt.is_none()) {
            database.check().unwrap();
        }
    }

    fn step(&mut self, database: &Arc<Database>) {
        let chosen = self.random.below(3) as usize;
        match self.random.below(12) {
            0 | 1 => self.checkpoint(database),
            2 => {
                let done = database.vacuum(&[], &AtomicBool::new(false)).map(drop);
                self.refused_for_damage_only(done);
            }
            3 => drop(database.step_indexer().unwrap()),
            4 => while database.step_storage().unwrap() {},
            5 if self.random.chance(30) => self.truncate(database, chosen),
            6 => self.rename(database, chosen),
            7 if database.core().may_checkpoint().is_ok() => {
                self.next += 1;
                across_a_checkpoint(database, &format!("x{}", self.next), |_| ());
            }
            _ => self.write(database, chosen),
        }
    }

    fn checkpoint(&mut self, database: &Arc<Database>) {
        self.refused_for_damage_only(database.checkpoint());
        self.seen.checkpoints += 1;
    }

    fn refused_for_damage_only(&mut self, outcome: crate::error::Result<()>) {
        if let Err(error) = outcome {
            assert_eq!(error.state(), SqlState::DATA_CORRUPTED, "{error}");
            assert!(self.twins.iter().any(|twin| twin.hurt.is_some()), "{error}");
            self.seen.refused += 1;
        }
    }

    fn write(&mut self, database: &Arc<Database>, chosen: usize) {
        let (count, what) = (self.random.below(30) as i64 + 1, self.random.below(3));
        let (name, at) = (format!("n{}", self.next), self.random.below(50) as usize);
        let twin = &mut self.twins[chosen];
        if twin.hurt.is_some() {
            return;
        }
        match (what, twin.rows.keys().nth(at).copied()) {
            (0, Some(id)) => {
                delete(database, twin.oid, id..id + 1);
                twin.rows.remove(&id);
            }
            (1, Some(id)) => {
                update(database, twin.oid, id..id + 1, &name, at % 2 == 0);
                twin.rows.insert(id, name);
            }
            _ => {
                let ids = self.next..self.next + count;
                commit(database, twin.oid, ids.clone(), &name);
                twin.rows.extend(ids.map(|id| (id, name.clone())));
                self.next += count;
            }
        }
    }

    fn truncate(&mut self, database: &Arc<Database>, chosen: usize) {
        let twin = &mut self.twins[chosen];
        let mut txn = database.begin(Isolation::ReadCommitted);
        done(txn.truncate(twin.oid));
        txn.commit().unwrap();
        twin.rows.clear();
        self.seen.truncated += u64::from(twin.hurt.take().is_some());
    }

    /// A new name: the table's rows in the log are then of two definitions.
    fn rename(&mut self, database: &Arc<Database>, chosen: usize) {
        let twin = &self.twins[chosen];
        let mut definition = (**database.catalog().table_by_oid(twin.oid).unwrap()).clone();
        self.next += 1;
        definition.name = format!("t{}", self.next);
        let mut txn = database.begin(Isolation::ReadCommitted);
        match txn.edit_catalog(vec![Edit::Put(Object::Table(definition))]) {
            Ok(()) => drop(txn.commit().unwrap()),
            Err(Stop::Error(error)) if twin.hurt.is_some() => {
                assert_eq!(error.state(), SqlState::DATA_CORRUPTED, "{error}");
                self.seen.refused += 1;
            }
            Err(stop) => panic!("{stop:?}"),
        }
    }

    /// Puts files back and damages others.
    fn between_runs(&mut self) {
        for number in 0..self.twins.len() {
            if self.random.chance(35)
                && let Some((path, bytes)) = self.twins[number].hurt.take()
            {
                put(&self.fs, &path, &bytes);
                self.seen.repaired += 1;
            } else if self.random.chance(25) && self.twins[number].hurt.is_none() {
                self.hurt(number);
            }
        }
    }

    /// Damages a file of the table, when it has one without which it does not open.
    fn hurt(&mut self, number: usize) {
        let oid = self.twins[number].oid;
        // A look at a copy changes nothing.
        let storage = |fs: &MemoryFs| {
            let database = Database::open(Arc::new(fs.crash(0)), Path::new("/db"), small()).unwrap();
            let storage = database.catalog().table_by_oid(oid).unwrap().storage;
            let sound = !database.core().version.load().damaged.contains_key(&oid);
            (storage, sound)
        };
        let (folder, _) = storage(&self.fs);
        let paths = files(&self.fs, &format!("/db/tables/{folder}"));
        if paths.is_empty() {
            return;
        }
        let path = paths[self.random.below(paths.len() as u64) as usize].clone();
        let bytes = content(&self.fs, &path);
        if self.random.chance(50) {
            remove(&self.fs, &path);
        } else {
            put(&self.fs, &path, &bytes[..self.random.below(bytes.len() as u64) as usize]);
        }
        if storage(&self.fs).1 {
            put(&self.fs, &path, &bytes);
        } else {
            self.twins[number].hurt = Some((path, bytes));
            self.seen.damaged += 1;
        }
    }

    fn repair_all(&mut self) {
        for twin in &mut self.twins {
            if let Some((path, bytes)) = twin.hurt.take() {
                put(&self.fs, &path, &bytes);
            }
        }
    }
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("HITHER_SEEDS") else { return 0..24 };
    let (first, end) = text.split_once("..").expect("HITHER_SEEDS=first..end");
    first.parse().expect("a number")..end.parse().expect("a number")
}

/// Says which one it was when a test fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

#[test]
fn tables_come_back_as_they_were_whatever_was_damaged_meanwhile() {
    let mut all = Seen::default();
    for seed in seeds() {
        let _told = Told(seed);
        let mut world = World::new(seed);
        for _ in 0..14 {
            world.run();
            world.between_runs();
        }
        world.repair_all();
        for _ in 0..2 {
            let database = world.start();
            world.compare(&database);
            database.checkpoint().unwrap();
            world.compare(&database);
        }
        all.damaged += world.seen.damaged;
        all.repaired += world.seen.repaired;
        all.truncated += world.seen.truncated;
        all.checkpoints += world.seen.checkpoints;
        all.refused += world.seen.refused;
    }
    println!("{all:?}");
    let least = [all.damaged, all.repaired, all.truncated, all.checkpoints, all.refused].into_iter().min();
    assert!(least > Some(0) || std::env::var("HITHER_SEEDS").is_ok(), "{all:?}");
}
