//! Statements that write their rows in parts: keys move from row to row, across parts, and in the end each key has one
//! row; after ROLLBACK TO in the midst of it, and after a crash, too.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::catalog::Deferral;
use crate::database::RowUpdate;
use crate::error::SqlState;

/// What a statement does to a row: a new key, and whether its vector changes too; or the row goes.
#[derive(Clone, Copy, Debug)]
enum To {
    Key(i64, bool),
    Gone,
}

/// Of which statements are about all.
const ROWS: i64 = 12;

/// One of all rows, by their names, and rows that arrive before any of them is changed.
#[derive(Clone, Debug)]
struct Statement {
    changes: Vec<To>,
    arriving: Vec<i64>,
    /// Rows in a part.
    part: usize,
    /// After so many parts the statement fails.
    parts_max: usize,
    /// The log has each part before the next one is written: what is undone, is undone there.
    logged: bool,
}

#[derive(Clone, Debug)]
struct Case {
    /// Rows that were inserted by the same transaction; others are there before.
    own: i64,
    /// Before the savepoint, and after it, until one fails.
    before: Vec<Statement>,
    after: Vec<Statement>,
    /// Also when nothing failed.
    goes_back: bool,
    deferrable: bool,
    crashes: bool,
    overlay_bytes_max: usize,
}

fn statement() -> impl Strategy<Value = Statement> {
    // Few keys: most are of a row that changes as well.
    let to = prop_oneof![
        8 => (0..2 * ROWS, any::<bool>()).prop_map(|(key, moves)| To::Key(key, moves)),
        1 => Just(To::Gone),
    ];
    let drawn = prop::collection::vec(to, ROWS as usize);
    // Each row has the key of another one, and of the next statement maybe its own again.
    let shifted = (1..ROWS, any::<bool>())
        .prop_map(|(by, moves)| (0..ROWS).map(|id| To::Key((id + by) % ROWS, moves)).collect());
    let same = Just((0..ROWS).map(|id| To::Key(id, false)).collect());
    let changes = prop_oneof![2 => drawn, 4 => shifted, 2 => same];
    let arriving = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(0..2 * ROWS, 1..3)];
    (changes, arriving, 1..5usize, prop_oneof![Just(usize::MAX), 0..6usize], any::<bool>()).prop_map(
        |(changes, arriving, part, parts_max, logged)| Statement {
            changes,
            arriving,
            part,
            parts_max,
            logged,
        },
    )
}

/// All rows get other keys, and then some of them their own again: they are what they were, and wait for a key.
fn there_and_half_back() -> impl Strategy<Value = Vec<Statement>> {
    (1..ROWS, 1..5usize, 1..6usize, any::<bool>()).prop_map(|(by, part, parts_max, logged)| {
        let to = |key: fn(i64, i64) -> i64| (0..ROWS).map(|id| To::Key(key(id, by), false)).collect();
        let arriving = Vec::new();
        let there = Statement {
            changes: to(|id, by| (id + by) % ROWS),
            arriving: arriving.clone(),
            part,
            parts_max: usize::MAX,
            logged: true,
        };
        let back = Statement { changes: to(|id, _| id), arriving, part, parts_max, logged };
        vec![there, back]
    })
}

fn case() -> impl Strategy<Value = Case> {
    let statements = || prop::collection::vec(statement(), 0..3);
    let after = prop_oneof![2 => statements().boxed(), 1 => there_and_half_back().boxed()];
    let drawn = (0..=ROWS, statements(), after, any::<bool>(), any::<bool>(), any::<bool>());
    (drawn, prop_oneof![Just(0), Just(300), Just(1 << 20)]).prop_map(|(drawn, overlay_bytes_max)| {
        let (own, before, after, goes_back, deferrable, crashes) = drawn;
        Case { own, before, after, goes_back, deferrable, crashes, overlay_bytes_max }
    })
}

fn open_with(fs: &Arc<MemoryFs>, overlay_bytes_max: usize) -> Arc<Database> {
    let fs: Arc<dyn Fs> = fs.clone();
    Database::open(fs, Path::new("/db"), Options { overlay_bytes_max, ..options() }).unwrap()
}

/// Rows by name; what arrives has the names behind those of all.
type Model = BTreeMap<i64, i64>;

/// The transaction's rows by name, with their slots.
fn slots(txn: &mut Transaction, t: Oid) -> BTreeMap<i64, u32> {
    txn.start_statement();
    let snapshot = txn.snapshot(t).unwrap();
    let entries = snapshot.scan().map(|entry| {
        let (slot, row) = entry.unwrap();
        let Value::Text(name) = snapshot.layout().read(&row).unwrap().value(1).unwrap() else {
            panic!("a name")
        };
        (name.parse().unwrap(), slot)
    });
    entries.collect()
}

fn named(key: i64, name: i64) -> Vec<Value> {
    row(key, &format!("{name:02}"))
}

/// Runs a statement; the model has it if it did not fail.
fn run(txn: &mut Transaction, t: Oid, statement: &Statement, model: &mut Model) -> Result<(), Error> {
    let known = slots(txn, t);
    done(txn.lock_rows(t, &known.values().copied().collect::<Vec<_>>()));
    let next = model.keys().last().map_or(0, |last| last + 1).max(100);
    let stopped = |stop| match stop {
        Stop::Error(error) => error,
        Stop::Wait(_) => panic!("waited for nobody"),
    };
    for (name, &key) in (next..).zip(&statement.arriving) {
        txn.insert(t, &[named(key, name)], OnConflict::Wait).map_err(stopped)?;
        model.insert(name, key);
    }
    let all: Vec<(i64, u32)> = known.into_iter().collect();
    for (number, part) in all.chunks(statement.part).enumerate() {
        if number == statement.parts_max {
            return Err(Error::internal("the statement fails here"));
        }
        let change = |name: i64| statement.changes.get(name as usize).copied();
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        for &(name, slot) in part {
            match change(name) {
                Some(To::Gone) => {
                    model.remove(&name);
                    gone.push(slot);
                }
                Some(To::Key(key, vectors_changed)) => {
                    model.insert(name, key);
                    changed.push(RowUpdate { slot, row: named(key, name), vectors_changed });
                }
                None => {}
            }
        }
        txn.delete(t, &gone).map_err(stopped)?;
        txn.update_part(t, &changed).map_err(stopped)?;
        if statement.logged {
            txn.log_chunks(1)?;
        }
    }
    txn.end_parts().map_err(stopped)
}

fn is_unique(model: &Model) -> bool {
    model.values().collect::<BTreeSet<_>>().len() == model.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn keys_move_across_parts_as_in_a_map(case in case()) {
        let fs = Arc::new(MemoryFs::new());
        let database = open_with(&fs, case.overlay_bytes_max);
        let t = create(&database, case.deferrable);
        let mut model = Model::new();
        let mut txn = database.begin(Isolation::ReadCommitted);
        for name in 0..ROWS {
            if name == ROWS - case.own {
                txn.commit().unwrap();
                txn = database.begin(Isolation::ReadCommitted);
            }
            done(txn.insert(t, &[named(name, name)], OnConflict::Error));
            model.insert(name, name);
        }
        if case.own == 0 {
            txn.commit().unwrap();
            txn = database.begin(Isolation::ReadCommitted);
        }
        // A statement that fails is undone, as the session does.
        let mut marked = (txn.savepoint(), model.clone());
        let mut failed = false;
        for (number, statement) in case.before.iter().chain(&case.after).enumerate() {
            if number <= case.before.len() {
                marked = (txn.savepoint(), model.clone());
            }
            match run(&mut txn, t, statement, &mut model) {
                Ok(()) => prop_assert!(case.deferrable || is_unique(&model), "a key has two rows: {:?}", model),
                Err(error) if error.state() == SqlState::UNIQUE_VIOLATION => {
                    prop_assert!(!case.deferrable, "{}", error);
                    failed = true;
                }
                Err(error) => {
                    prop_assert_eq!(error.message(), "the statement fails here");
                    failed = true;
                }
            }
            if failed && number < case.before.len() {
                txn.rollback_to(&marked.0).unwrap();
                (model, failed) = (marked.1.clone(), false);
            }
            if failed {
                break;
            }
        }
        if failed || case.goes_back {
            txn.rollback_to(&marked.0).unwrap();
            model = marked.1;
        }
        match txn.settle_keys(false) {
            Ok(()) => {
                prop_assert!(is_unique(&model), "a key has two rows: {:?}", model);
                txn.commit().unwrap();
            }
            Err(Stop::Error(error)) => {
                prop_assert!(case.deferrable && !is_unique(&model), "{}: {:?}", error, model);
                txn.rollback();
                model = (0..ROWS - case.own).map(|name| (name, name)).collect();
            }
            Err(Stop::Wait(_)) => panic!("waited for nobody"),
        }
        let database = if case.crashes { open(&Arc::new(fs.crash(7))) } else { database };
        let mut expected: Vec<(i64, String)> =
            model.iter().map(|(name, key)| (*key, format!("{name:02}"))).collect();
        expected.sort();
        prop_assert_eq!(super::all(&database, t), expected.clone());
        // Each key finds its row, and no other key finds one.
        let mut txn = database.begin(Isolation::ReadCommitted);
        let by_name = slots(&mut txn, t);
        let index = txn.catalog().indexes_of(t).next().unwrap().oid;
        let snapshot = txn.snapshot(t).unwrap();
        for key in 0..2 * ROWS {
            let slot = snapshot.lookup_key(index, &[Value::Int8(key)]).unwrap();
            let name = model.iter().find(|(_, own)| **own == key).map(|(name, _)| *name);
            prop_assert_eq!(slot, name.map(|name| by_name[&name]), "key {}", key);
        }
        drop((snapshot, txn));
        database.check().unwrap();
    }
}

/// The table `t`, whose key may be one that is checked at COMMIT.
fn create(database: &Arc<Database>, deferrable: bool) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let key = ConstraintKind::PrimaryKey { columns: vec![1] };
    let mut constraint = Constraint::new(txn.new_oid(), "t_pkey", key);
    if deferrable {
        constraint.deferral = Deferral::Initially;
    }
    let table = Table {
        oid: txn.new_oid(),
        schema: "public".into(),
        name: "t".into(),
        columns: vec![
            column(1, "id", Type::Int8),
            column(2, "name", Type::Text),
            column(3, "v", Type::Vector(Some(3))),
        ],
        constraints: vec![constraint],
        ..Table::default()
    };
    let oid = table.oid;
    done(txn.create_table(table, Vec::new()));
    txn.commit().unwrap();
    oid
}
