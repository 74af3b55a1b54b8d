//! Columns and tables that go while a checkpoint is made, after its moment: it still has them, and so a restart or a restored
//! backup needs all their files, before the log takes them away again.
//!
//! The checkpoint meets two tables `id, name, v vector(3), w vector(3)` with an index on the hidden column `v::halfvec(3)`.
//! When it syncs the last of their vectors, rows are committed to both, so that it syncs all of them again after its moment;
//! when it begins with that, both tables are changed.

use std::path::PathBuf;

use parking_lot::Mutex;

use super::*;
use crate::catalog::{
    DroppedColumn, Edit, Generated, HnswOptions, Index, IndexMethod, IndexMetric, Object, Table as Definition,
};
use crate::database::backup::{Target, restore};
use crate::distance::Vector;
use crate::fs::FaultyFs;
use crate::fs::faulty::{Faults, Op};
use crate::types::halfvec;

static CANCEL: AtomicBool = AtomicBool::new(false);
const BACKUPS: &str = "/backups";
/// Rows before the checkpoint.
const BEFORE: i64 = 10;
/// All of them, where those between need more room than there was before, and where they do not.
const MANY: i64 = 900;
const FEW: i64 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    DropColumn,
    /// Under another type, in new files.
    Retype,
    /// With the hidden column that only it reads.
    DropIndex,
    DropTable,
    Truncate,
}

const CHANGES: [Change; 5] =
    [Change::DropColumn, Change::Retype, Change::DropIndex, Change::DropTable, Change::Truncate];

struct World {
    memory: MemoryFs,
    faults: Arc<Faults>,
    database: Arc<Database>,
    tables: [Oid; 2],
    /// Rows of each in the end.
    all: i64,
}

/// A row of what the table has, all of it told by the id.
fn values(definition: &Definition, id: i64) -> Vec<Value> {
    let vector = [id as f32, 1.0, -1.0];
    let value = |column: &Column| match &column.ty {
        Type::Int8 => Value::Int8(id),
        Type::Text => Value::Text("x".into()),
        Type::Halfvec(_) => Value::Halfvec(halfvec::from_vector(&vector).unwrap()),
        _ => Value::Vector(vector.to_vec()),
    };
    definition.stored_columns().map(value).collect()
}

fn definition(txn: &Transaction, table: Oid) -> Definition {
    Definition::clone(txn.catalog().table_by_oid(table).unwrap())
}

fn fill(txn: &mut Transaction, table: Oid, ids: std::ops::Range<i64>) {
    let definition = definition(txn, table);
    let rows: Vec<_> = ids.map(|id| values(&definition, id)).collect();
    done(txn.insert(table, &rows, OnConflict::Error));
}

fn commit_rows(database: &Arc<Database>, tables: [Oid; 2], ids: std::ops::Range<i64>) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    tables.iter().for_each(|table| fill(&mut txn, *table, ids.clone()));
    txn.commit().unwrap();
}

fn change(txn: &mut Transaction, table: Oid, change: Change, all: i64) {
    txn.start_statement();
    done(txn.lock_table(table));
    let mut altered = definition(txn, table);
    match change {
        Change::DropColumn => {
            let gone = altered.columns.remove(2);
            altered.dropped.push(DroppedColumn { number: gone.number, ty: gone.ty });
            done(txn.edit_catalog(vec![Edit::Put(Object::Table(altered))]));
        }
        Change::Retype => {
            altered.columns[2].ty = Type::Halfvec(Some(3));
            done(txn.rewrite_table(altered));
            fill(txn, table, 0..all);
        }
        Change::DropIndex => {
            let index = txn.catalog().indexes_of(table).find(|index| index.hnsw.is_some()).unwrap().oid;
            done(txn.drop_index(index));
        }
        Change::DropTable => done(txn.drop_table(table)),
        Change::Truncate => done(txn.truncate(table)),
    }
}

fn world(all: i64) -> World {
    let memory = MemoryFs::new();
    let (fs, faults) = FaultyFs::new(memory.clone());
    let database = Database::open(fs, Path::new("/db"), options()).unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    let columns = || {
        vec![
            column(1, "id", Type::Int8),
            column(2, "name", Type::Text),
            column(3, "v", Type::Vector(Some(3))),
            column(4, "w", Type::Vector(Some(3))),
        ]
    };
    let tables = ["t", "u"].map(|name| create_with(&mut txn, name, columns()));
    for (table, name) in tables.into_iter().zip(["t_v", "u_v"]) {
        let mut altered = definition(&txn, table);
        altered.hidden = vec![Column {
            metadata_index: false,
            generated: Some(Generated { sql: "v::halfvec(3)".into(), guard: None }),
            ..column(5, "", Type::Halfvec(Some(3)))
        }];
        done(txn.edit_catalog(vec![Edit::Put(Object::Table(altered))]));
        let options = HnswOptions { metric: IndexMetric::L2, m: 4, ef_construction: 16, quantization: None };
        let index = Index {
            oid: txn.new_oid(),
            name: name.into(),
            table,
            method: IndexMethod::Hnsw,
            columns: vec![5],
            hnsw: Some(options),
            ..Index::default()
        };
        done(txn.create_index(index));
    }
    txn.commit().unwrap();
    commit_rows(&database, tables, 0..BEFORE / 2);
    while database.step_indexer().unwrap() {}
    World { memory, faults, database, tables, all }
}

impl World {
    /// Runs what makes a checkpoint, with the change right behind its moment.
    fn race(&self, wanted: Change, run: impl FnOnce(&Arc<Database>)) {
        commit_rows(&self.database, self.tables, BEFORE / 2..BEFORE);
        let (database, tables, all) = (self.database.clone(), self.tables, self.all);
        let dirs = tables.map(|table| database.core().version.load().tables[&table].dir().to_owned());
        let seen: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
        let state = seen.clone();
        self.faults.observe(Op::SYNC, move |_, path| {
            let is_segment = path.extension().is_some_and(|extension| extension == "vec");
            if !is_segment || !dirs.iter().any(|dir| path.starts_with(dir)) {
                return;
            }
            let count = {
                let mut seen = state.lock();
                seen.push(path.to_owned());
                seen.len()
            };
            let database = database.clone();
            // In threads of their own: this one is in the middle of its sync.
            let thread = match count {
                6 => std::thread::spawn(move || commit_rows(&database, tables, BEFORE..all)),
                7 => std::thread::spawn(move || {
                    let mut txn = database.begin(Isolation::ReadCommitted);
                    tables.iter().for_each(|table| change(&mut txn, *table, wanted, all));
                    txn.commit().unwrap();
                }),
                _ => return,
            };
            thread.join().unwrap();
        });
        run(&self.database);
        self.faults.observe(Op(0), |_, _| ());
        let seen = seen.lock();
        assert!(seen.len() > 6, "{wanted:?}: nothing is synced after the moment: {seen:?}");
        let mut first: Vec<&PathBuf> = seen[..6].iter().collect();
        first.sort();
        first.dedup();
        assert_eq!(first.len(), 6, "{wanted:?}: each is synced once before the moment: {seen:?}");
    }

    /// What a database has in both tables once the change is there.
    fn compare(&self, database: &Arc<Database>, change: Change, case: &str) {
        database.check().unwrap_or_else(|error| panic!("{case}: {error}"));
        let expected = match change {
            Change::DropTable => None,
            Change::Truncate => Some(Vec::new()),
            _ => Some((0..self.all).collect()),
        };
        for table in self.tables {
            assert!(read(database, table) == expected, "{case}");
        }
    }
}

/// The ids of a table, each held against all its vectors; none when there is no such table.
fn read(database: &Arc<Database>, table: Oid) -> Option<Vec<i64>> {
    let definition = database.catalog().table_by_oid(table)?.clone();
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table).unwrap();
    let vectors = definition.stored_columns().filter(|column| column.is_slot_vector());
    let views: Vec<_> = vectors.map(|column| snapshot.vector_view(column.number).unwrap()).collect();
    let mut ids = Vec::new();
    for entry in snapshot.scan() {
        let (slot, row) = entry.unwrap();
        let Value::Int8(id) = snapshot.layout().read(&row).unwrap().value(0).unwrap() else {
            panic!("no id")
        };
        for view in &views {
            view.verify(slot).unwrap();
            let first = match view.get(slot) {
                Vector::F32(vector) => vector[0],
                Vector::F16(vector) => vector[0].to_f32(),
                _ => panic!("a vector of another kind"),
            };
            assert_eq!(first, id as f32, "a vector of row {id}");
        }
        ids.push(id);
    }
    ids.sort_unstable();
    Some(ids)
}

#[test]
fn a_checkpoint_keeps_the_files_of_what_goes_after_its_moment() {
    for change in CHANGES {
        let world = world(MANY);
        world.race(change, |database| database.checkpoint().unwrap());
        for seed in 0..6 {
            let reopened = open(&Arc::new(world.memory.crash(seed)));
            world.compare(&reopened, change, &format!("{change:?}, seed {seed}"));
            // It goes on from there.
            reopened.checkpoint().unwrap();
            world.compare(&reopened, change, &format!("{change:?}, seed {seed}, once more"));
        }
        // The next one lets go of them.
        world.database.checkpoint().unwrap();
        let gone: &[&str] = match change {
            Change::DropColumn => &["3."],
            Change::DropIndex => &["5."],
            _ => &[],
        };
        for table in world.tables.iter().filter(|_| !gone.is_empty()) {
            let names = world.memory.list(world.database.core().version.load().tables[table].dir()).unwrap();
            let is_gone = |name: &&PathBuf| {
                let name = name.to_str().unwrap();
                gone.iter().any(|prefix| name.starts_with(prefix)) && name.ends_with(".vec")
            };
            assert!(names.iter().find(is_gone).is_none(), "{change:?}: {names:?}");
        }
        for seed in 0..3 {
            let reopened = open(&Arc::new(world.memory.crash(seed)));
            world.compare(&reopened, change, &format!("{change:?}, seed {seed}, after the next checkpoint"));
        }
    }
}

#[test]
fn a_backup_has_what_goes_after_its_moment() {
    for (change, all) in CHANGES.into_iter().flat_map(|change| [(change, FEW), (change, MANY)]) {
        let world = world(all);
        // From here on vectors have stamps, and files that keep theirs are not copied again.
        world.database.backup(Path::new(BACKUPS), &CANCEL).unwrap();
        let mut last = None;
        world.race(change, |database| {
            last = Some(database.backup(Path::new(BACKUPS), &CANCEL).unwrap().last);
        });
        let before = Target::Position(crate::log::Position(last.unwrap().0));
        for (target, to) in [(Target::Latest, "/latest"), (before, "/before")] {
            let fs = Arc::new(world.memory.crash(1));
            restore(&*fs, Path::new(BACKUPS), None, Path::new(to), target, 7).unwrap();
            let restored = Database::open(fs, Path::new(to), options()).unwrap();
            let case = format!("{change:?} of {all} rows, {to}");
            if target == Target::Latest {
                world.compare(&restored, change, &case);
                continue;
            }
            restored.check().unwrap_or_else(|error| panic!("{case}: {error}"));
            for table in world.tables {
                let found = read(&restored, table);
                assert!(
                    found == Some((0..world.all).collect()),
                    "{case}: {:?} rows",
                    found.map(|ids| ids.len())
                );
            }
        }
    }
}
