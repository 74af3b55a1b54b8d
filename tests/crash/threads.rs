//! The power fails while threads work.
//!
//! Elsewhere a workload goes step by step, so that each point can be met again. Here sessions commit beside one another, so
//! that they share records and syncs, another one makes and drops indexes, and flushes, merges, checkpoints, vacuums and
//! graphs that are caught up go on in threads of their own. At moments that nobody chooses, what a power failure would
//! leave is taken and opened:
//!
//! ```text
//!   session     txn 1   txn 2   ...   txn n  acknowledged     txn n + 1  under way
//!   found of it                       one of these two, whole, in all its tables
//! ```
//!
//! Each session has rows of its own in tables that all share, so what must be found does not depend on the others. Failures
//! cannot be replayed; they tell what was found and what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hither::catalog::Oid;
use hither::database::{
    AutovacuumOptions, Database, Isolation, LockOutcome, OnConflict, Options, RowUpdate, Stop, Transaction,
};
use hither::error::Result;
use hither::fs::{Fs, MemoryFs};
use hither::types::{Type, Value};

use crate::client::{self, DATA, Extra, created_columns, index_kinds, index_name, oid_of};
use crate::is_full;
use crate::model::{Chance, Row};

const SESSIONS: usize = 3;
/// Of the rows of a session in a table; more are deleted.
const ROWS_MAX: usize = 60;
const TABLES: [&str; 2] = ["one", "two"];
/// Ids of a session's rows begin with its number times this.
const IDS: i64 = 1_000_000;

/// What one session knows of its rows: by table and id.
type Own = BTreeMap<(usize, i64), Row>;

/// States after each transaction from the last acknowledged one on.
struct History<T> {
    acknowledged: u64,
    states: BTreeMap<u64, T>,
}

impl<T: Clone + Default> History<T> {
    fn new() -> History<T> {
        History { acknowledged: 0, states: BTreeMap::from([(0, T::default())]) }
    }

    /// The state that the next transaction is about to make.
    fn begin(&mut self, state: T) {
        self.states.insert(self.acknowledged + 1, state);
    }

    fn acknowledge(&mut self) {
        self.acknowledged += 1;
        self.states.retain(|number, _| *number >= self.acknowledged);
    }

    fn newest(&self) -> T {
        self.states[&self.acknowledged].clone()
    }
}

/// What all sessions know.
struct Known {
    sessions: [Mutex<History<Own>>; SESSIONS],
    indexes: Mutex<History<BTreeSet<String>>>,
}

/// States that may be found, by session and of indexes.
struct Allowed {
    sessions: Vec<Vec<Own>>,
    indexes: Vec<BTreeSet<String>>,
}

impl Known {
    fn new() -> Known {
        Known {
            sessions: std::array::from_fn(|_| Mutex::new(History::new())),
            indexes: Mutex::new(History::new()),
        }
    }

    /// What may be found in what `take` makes: from what was acknowledged before on, up to what is under way after it.
    fn around<R>(&self, take: impl FnOnce() -> R) -> (R, Allowed) {
        // While it is taken no state is forgotten or begun; transactions go on.
        let sessions: Vec<_> =
            self.sessions.iter().map(|history| history.lock().expect("no panic")).collect();
        let indexes = self.indexes.lock().expect("no panic");
        let taken = take();
        let states = |history: &History<Own>| history.states.values().cloned().collect();
        let allowed = Allowed {
            sessions: sessions.iter().map(|history| states(history)).collect(),
            indexes: indexes.states.values().cloned().collect(),
        };
        (taken, allowed)
    }
}

impl Allowed {
    fn verify(&self, fs: MemoryFs) -> std::result::Result<(), String> {
        let db = client::open(Arc::new(fs), false).map_err(|error| format!("open: {error}"))?;
        let found = client::read(&db).map_err(|error| format!("read: {error}"))?;
        db.check().map_err(|error| format!("check: {error}"))?;
        for (session, allowed) in self.sessions.iter().enumerate() {
            let mut own = Own::new();
            for (table, name) in TABLES.iter().enumerate() {
                let range = session as i64 * IDS..(session as i64 + 1) * IDS;
                let Some(state) = found.state.tables.get(*name) else {
                    return Err(format!("no table {name}"));
                };
                own.extend(state.rows.range(range).map(|(id, row)| ((table, *id), row.clone())));
            }
            if !allowed.contains(&own) {
                return Err(format!("session {session}: {}", differences(&own, &allowed[0])));
            }
        }
        let indexes = TABLES.iter().flat_map(|name| found.state.tables[*name].indexes.keys().cloned());
        let indexes: BTreeSet<String> = indexes.collect();
        match self.indexes.contains(&indexes) {
            true => Ok(()),
            false => Err(format!("indexes {indexes:?}, and not one of {:?}", self.indexes)),
        }
    }
}

fn differences(found: &Own, expected: &Own) -> String {
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differ = keys.into_iter().filter(|key| found.get(*key) != expected.get(*key));
    let told =
        differ.take(5).map(|key| format!("{key:?}: {:?}, and not {:?}", found.get(key), expected.get(key)));
    told.collect::<Vec<_>>().join("; ")
}

/// As small as elsewhere, and everything by threads, as soon as there is something to do.
fn options() -> Options {
    let soon = Duration::from_millis(5);
    Options {
        background: true,
        checkpoint_log_bytes: 64 << 10,
        checkpoint_idle: soon,
        autovacuum: AutovacuumOptions { enabled: true, threshold: 20, scale_factor: 0.1, naptime: soon },
        clock: Default::default(),
        ..client::options(false)
    }
}

fn columns() -> Vec<(&'static str, Type)> {
    vec![("t", Type::Text), ("n", Type::Int8), ("v", Type::Vector(Some(3)))]
}

/// The vector follows from the others, unless it is NULL.
fn row(id: i64, n: i64, chance: &mut Chance) -> Row {
    let vector = match chance.below(10) {
        0 => Value::Null,
        _ => Value::Vector(vec![id as f32, n as f32, 1.0]),
    };
    let text = format!("{id} {n} {}", "x".repeat(chance.below(120) as usize));
    vec![Value::Int8(id), Value::Text(text), Value::Int8(n), vector]
}

/// Does a statement, again after each wait.
fn waiting<T>(
    txn: &mut Transaction,
    mut statement: impl FnMut(&mut Transaction) -> std::result::Result<T, Stop>,
) -> Result<T> {
    loop {
        txn.start_statement();
        match statement(txn) {
            Ok(value) => return Ok(value),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Wait(waiter)) => waiter.wait(),
        }
    }
}

/// Transactions of one session, each over both tables.
struct Session<'k> {
    db: Arc<Database>,
    number: usize,
    history: &'k Mutex<History<Own>>,
    own: Own,
    chance: Chance,
    next_id: i64,
}

impl Session<'_> {
    fn transaction(&mut self) -> Result<()> {
        let mut txn = self.db.begin(Isolation::ReadCommitted);
        for (table, name) in TABLES.iter().enumerate() {
            txn.start_statement();
            let oid = oid_of(&txn, name);
            let mine: Vec<i64> = self.own.keys().filter(|(of, _)| *of == table).map(|(_, id)| *id).collect();
            self.insert(&mut txn, table, oid)?;
            self.update(&mut txn, table, oid, &mine)?;
            if mine.len() > ROWS_MAX || self.chance.below(4) == 0 {
                self.delete(&mut txn, table, oid, &mine)?;
            }
        }
        self.history.lock().expect("no panic").begin(self.own.clone());
        txn.commit()?;
        self.history.lock().expect("no panic").acknowledge();
        Ok(())
    }

    fn insert(&mut self, txn: &mut Transaction, table: usize, oid: Oid) -> Result<()> {
        let rows: Vec<Row> = (0..1 + self.chance.below(8))
            .map(|_| {
                self.next_id += 1;
                row(self.number as i64 * IDS + self.next_id, 0, &mut self.chance)
            })
            .collect();
        waiting(txn, |txn| txn.insert(oid, &rows, OnConflict::Error))?;
        self.own.extend(rows.into_iter().map(|row| ((table, id_of(&row)), row)));
        Ok(())
    }

    /// Of some rows all cells, of others all but the vector.
    fn update(&mut self, txn: &mut Transaction, table: usize, oid: Oid, mine: &[i64]) -> Result<()> {
        let chosen: Vec<i64> = mine.iter().copied().filter(|_| self.chance.below(5) == 0).collect();
        let slots = lock(txn, oid, &chosen)?;
        let mut updates = Vec::new();
        for (&id, slot) in chosen.iter().zip(slots) {
            let old = &self.own[&(table, id)];
            let Value::Int8(n) = old[2] else { unreachable!("a column of int8") };
            let mut new = row(id, n + 1, &mut self.chance);
            let vectors_changed = self.chance.below(2) == 0;
            if !vectors_changed {
                new[3] = old[3].clone();
            }
            updates.push(RowUpdate { slot, row: new.clone(), vectors_changed });
            self.own.insert((table, id), new);
        }
        waiting(txn, |txn| txn.update(oid, &updates)).map(drop)
    }

    fn delete(&mut self, txn: &mut Transaction, table: usize, oid: Oid, mine: &[i64]) -> Result<()> {
        let chosen: Vec<i64> = mine.iter().copied().filter(|_| self.chance.below(3) == 0).collect();
        let slots = lock(txn, oid, &chosen)?;
        waiting(txn, |txn| txn.delete(oid, &slots))?;
        chosen.iter().for_each(|id| drop(self.own.remove(&(table, *id))));
        Ok(())
    }
}

fn id_of(row: &Row) -> i64 {
    match row[0] {
        Value::Int8(id) => id,
        ref other => unreachable!("a key of {other:?}"),
    }
}

/// The slots of these ids, locked; nobody else changes them.
fn lock(txn: &mut Transaction, table: Oid, ids: &[i64]) -> Result<Vec<u32>> {
    txn.start_statement();
    let slots = client::slots(txn, table, ids)?;
    assert_eq!(waiting(txn, |txn| txn.lock_rows(table, &slots))?, LockOutcome::Locked);
    Ok(slots)
}

/// Makes and drops indexes of all kinds, a transaction each.
fn define(db: &Arc<Database>, history: &Mutex<History<BTreeSet<String>>>, chance: &mut Chance) -> Result<()> {
    let table = TABLES[chance.below(2) as usize];
    let columns = created_columns(columns);
    let kinds = columns.iter().flat_map(|column| index_kinds(column).iter().map(move |kind| (column, *kind)));
    let kinds: Vec<_> = kinds.collect();
    let (column, kind) = kinds[chance.below(kinds.len() as u64) as usize];
    let name = index_name(table, column, kind);
    let mut names = history.lock().expect("no panic").newest();
    let mut txn = db.begin(Isolation::ReadCommitted);
    txn.start_statement();
    if names.remove(&name) {
        let oid = client::index_of(&txn, &name).oid;
        waiting(&mut txn, |txn| txn.drop_index(oid))?;
    } else {
        let index = client::new_index(&mut txn, table, column, kind);
        waiting(&mut txn, |txn| txn.create_index(index.clone()))?;
        names.insert(name);
    }
    history.lock().expect("no panic").begin(names);
    txn.commit()?;
    history.lock().expect("no panic").acknowledge();
    Ok(())
}

/// Ends the threads, also when the test panics.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn power_fails_while_threads_work() {
    let images = if is_full() { 1_000 } else { 40 };
    let memory = MemoryFs::new();
    let fs: Arc<dyn Fs> = Arc::new(memory.clone());
    let db = Database::open(fs, Path::new(DATA), options()).expect("an empty directory opens");
    let mut txn = db.begin(Isolation::ReadCommitted);
    for table in TABLES {
        client::create_table(&mut txn, table, &created_columns(columns), Extra::default()).expect("a table");
    }
    txn.commit().expect("nothing fails");
    let known = Known::new();
    let over = AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        let ended = Over(&over);
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let (history, chance) = (&known.sessions[number], Chance(number as u64 + 1));
                let mut session =
                    Session { db: db.clone(), number, history, own: Own::new(), chance, next_id: 0 };
                let over = &over;
                scope.spawn(move || {
                    let mut count = 0_u64;
                    while !over.load(Ordering::Relaxed) {
                        session.transaction().expect("nothing fails");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let definitions = scope.spawn(|| {
            let (mut chance, mut count) = (Chance(99), 0_u64);
            while !over.load(Ordering::Relaxed) {
                define(&db, &known.indexes, &mut chance).expect("nothing fails");
                count += 1;
                std::thread::sleep(Duration::from_millis(3));
            }
            count
        });
        let mut chance = Chance(7);
        for image in 0..images {
            if image % 100 == 99 {
                println!("threads: {image} survivors verified");
            }
            std::thread::sleep(Duration::from_micros(chance.below(4_000)));
            // All that was not synced is lost, or kept, or some of it.
            let seed = if image < 2 { image } else { chance.below(u64::MAX) };
            let (crashed, allowed) = known.around(|| memory.crash(seed));
            if let Err(said) = allowed.verify(crashed) {
                panic!("survivor {image}, seed {seed}: {said}");
            }
        }
        drop(ended);
        let mut counts: Vec<u64> =
            sessions.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        counts.push(definitions.join().expect("no panic"));
        counts
    });
    println!("{images} survivors verified; transactions of each session, and of definitions: {counts:?}");
    assert!(counts.iter().all(|count| *count > 20), "too little was done: {counts:?}");
    let storage = db.storage_stats();
    println!("{storage:?}");
    db.close().expect("nothing fails");
    drop(db);
    let (crashed, allowed) = known.around(|| memory.crash(0));
    allowed.verify(crashed).expect("an orderly close keeps everything");
}
