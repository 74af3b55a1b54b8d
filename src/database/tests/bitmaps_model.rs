//! Random work on a table with a column of every kind that has a metadata index, with checkpoints, restarts and crashes
//! between: a table opened from what checkpoints saved is the one that is opened from its rows.

use proptest::prelude::*;

use super::bitmaps::{bits, remove_bits};
use super::*;
use crate::catalog::{DroppedColumn, Edit, Index, IndexMethod, Object};
use crate::database::RowUpdate;
use crate::index::bitmap::Predicate;
use crate::table::state::State;
use crate::types::range::parse;
use crate::types::{Enum, EnumType, RangeType};

/// Cells differ up to here.
const CELLS: u32 = 24;

#[derive(Clone, Debug)]
enum Step {
    Insert { ids: Vec<i64>, cell: u32 },
    Update { id: i64, cell: u32 },
    Delete { id: i64 },
    AddColumn,
    DropColumn,
    Truncate,
    Index { on: bool },
    Checkpoint,
    Storage,
    Close,
    Crash { seed: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (id, cell) = (0..30_i64, 0..CELLS);
    prop_oneof![
        6 => (proptest::collection::vec(id.clone(), 1..12), cell.clone())
            .prop_map(|(ids, cell)| Step::Insert { ids, cell }),
        6 => (id.clone(), cell).prop_map(|(id, cell)| Step::Update { id, cell }),
        4 => id.prop_map(|id| Step::Delete { id }),
        1 => Just(Step::AddColumn),
        1 => Just(Step::DropColumn),
        1 => Just(Step::Truncate),
        1 => any::<bool>().prop_map(|on| Step::Index { on }),
        6 => Just(Step::Checkpoint),
        2 => Just(Step::Storage),
        2 => Just(Step::Close),
        3 => any::<u64>().prop_map(|seed| Step::Crash { seed }),
    ]
}

fn mood() -> EnumType {
    let labels: Vec<String> = (0..CELLS).map(|n| format!("mood {n}")).collect();
    let mut oid = 90_000;
    let made = Enum::new("public", "mood", &labels, || {
        oid += 1;
        Ok(oid)
    });
    EnumType::from(made.unwrap())
}

fn types() -> Vec<Type> {
    vec![
        Type::Int8,
        Type::Bool,
        Type::Int2,
        Type::Int4,
        Type::Float4,
        Type::Float8,
        Type::Date,
        Type::Time(None),
        Type::Timestamp(None),
        Type::Timestamptz(None),
        Type::Uuid,
        Type::Money,
        Type::Text,
        Type::Varchar(None),
        Type::Bpchar(Some(4)),
        Type::Enum(mood()),
        Type::Range(RangeType::Int4),
        Type::Range(RangeType::Tstz),
        Type::Array(Box::new(Type::Int4)),
        Type::Vector(Some(2)),
    ]
}

/// The n-th value of a type, and NULL now and then.
fn cell(ty: &Type, n: u32) -> Value {
    let (wide, odd) = (i64::from(n) * 1_000_003, n % 2 == 1);
    let spread = if odd { -wide * wide } else { wide };
    match ty {
        _ if n % 7 == 3 => Value::Null,
        Type::Bool => Value::Bool(odd),
        Type::Int2 => Value::Int2((wide % 30_000) as i16),
        Type::Int4 => Value::Int4(n as i32 - 12),
        Type::Int8 => Value::Int8(spread),
        Type::Float4 => Value::Float4(if n == 5 { f32::NAN } else { spread as f32 / 3.0 }),
        Type::Float8 => Value::Float8(if n == 0 { -0.0 } else { spread as f64 / 3.0 }),
        Type::Date => Value::Date(n as i32),
        Type::Time(_) => Value::Time(wide),
        Type::Timestamp(_) => Value::Timestamp(spread),
        Type::Timestamptz(_) => Value::Timestamptz(spread),
        Type::Money => Value::Money(spread),
        Type::Uuid => Value::Uuid((u128::from(n) << 100 | 7).to_be_bytes()),
        Type::Bpchar(_) => Value::Text(format!("{n:<4}")),
        Type::Enum(of) => of.value(i64::from(n + 1) << 32).unwrap(),
        Type::Range(of) => {
            let texts = ["empty", "(,)", "[1,5)", "[3,)"];
            let text = match of {
                RangeType::Int4 => texts[n as usize % 4].to_owned(),
                _ => format!("[2026-01-01,2026-01-{:02})", n + 2),
            };
            Value::Range(parse(of.clone(), &text, crate::types::Look::PLAIN).unwrap())
        }
        Type::Array(_) => Value::Array(vec![Value::Int4(n as i32), Value::Int4(7)]),
        Type::Vector(_) => Value::Vector(vec![n as f32, 1.0]),
        _ => Value::Text(format!("text {n}")),
    }
}

fn open_with(fs: &Arc<MemoryFs>, metadata_bytes_max: u64) -> Arc<Database> {
    let fs: Arc<dyn Fs> = fs.clone();
    Database::open(fs, Path::new("/db"), Options { metadata_bytes_max, ..options() }).unwrap()
}

struct World {
    fs: Arc<MemoryFs>,
    database: Arc<Database>,
    t: Oid,
    /// Opens that found files.
    loaded: u32,
    /// Memory for metadata indexes.
    metadata_bytes_max: u64,
}

impl World {
    fn new(metadata_bytes_max: u64) -> World {
        let fs = Arc::new(MemoryFs::new());
        let database = open_with(&fs, metadata_bytes_max);
        let mut txn = database.begin(Isolation::ReadCommitted);
        let columns = types().into_iter().zip(1..).map(|(ty, n)| column(n, &format!("c{n}"), ty)).collect();
        let t = create_with(&mut txn, "t", columns);
        txn.commit().unwrap();
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let index = Index {
            oid: txn.new_oid(),
            name: "t_gin".into(),
            table: t,
            method: IndexMethod::Gin,
            columns: vec![18],
            opclasses: vec!["array_ops".into()],
            ..Index::default()
        };
        done(txn.create_index(index));
        txn.commit().unwrap();
        World { fs, database, t, loaded: 0, metadata_bytes_max }
    }

    fn state(&self) -> Arc<State> {
        state(&self.database, self.t)
    }

    fn row(&self, txn: &Transaction, id: i64, n: u32) -> Vec<Value> {
        let definition = txn.catalog().table_by_oid(self.t).unwrap().clone();
        let cells = definition.columns.iter().zip(n..).map(|(column, n)| cell(&column.ty, n % CELLS));
        let mut row: Vec<Value> = cells.collect();
        row[0] = Value::Int8(id);
        row
    }

    fn slot(&self, txn: &Transaction, id: i64) -> Option<u32> {
        let index = txn.catalog().indexes_of(self.t).find(|index| index.unique).unwrap().oid;
        txn.snapshot(self.t).unwrap().lookup_key(index, &[Value::Int8(id)]).unwrap()
    }

    /// A statement in a transaction of its own.
    fn transact(&self, work: impl FnOnce(&mut Transaction)) {
        let mut txn = self.database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        work(&mut txn);
        txn.commit().unwrap();
    }

    fn redefine(&self, change: impl FnOnce(&mut Table)) {
        self.transact(|txn| {
            let mut definition = Table::clone(txn.catalog().table_by_oid(self.t).unwrap());
            change(&mut definition);
            done(txn.edit_catalog(vec![Edit::Put(Object::Table(definition))]));
        });
    }

    fn run(&mut self, step: Step) {
        let t = self.t;
        match step {
            Step::Insert { ids, cell } => self.transact(|txn| {
                for (id, n) in ids.into_iter().zip(cell..) {
                    if self.slot(txn, id).is_none() {
                        let row = self.row(txn, id, n);
                        done(txn.insert(t, &[row], OnConflict::Error));
                    }
                    txn.start_statement();
                }
            }),
            Step::Update { id, cell } => self.transact(|txn| {
                if let Some(slot) = self.slot(txn, id) {
                    done(txn.lock_rows(t, &[slot]));
                    let (row, vectors_changed) = (self.row(txn, id, cell), true);
                    done(txn.update(t, &[RowUpdate { slot, row, vectors_changed }]));
                }
            }),
            Step::Delete { id } => self.transact(|txn| {
                if let Some(slot) = self.slot(txn, id) {
                    done(txn.lock_rows(t, &[slot]));
                    done(txn.delete(t, &[slot]));
                }
            }),
            Step::AddColumn => self.redefine(|table| {
                let dropped = table.dropped.iter().map(|column| column.number);
                let number = 1 + table.columns.iter().map(|c| c.number).chain(dropped).max().unwrap();
                let mut missing = Vec::new();
                crate::table::Layout::new(&[Type::Int4]).encode(&[Value::Int4(7)], &mut missing).unwrap();
                let new = column(number, &format!("c{number}"), Type::Int4);
                table.columns.push(Column { missing: Some(missing), ..new });
            }),
            Step::DropColumn => self.redefine(|table| {
                // The first after the key that has no index of its own.
                let place = table.columns.iter().skip(1).position(|column| column.number != 18).unwrap() + 1;
                let gone = table.columns.remove(place);
                table.dropped.push(DroppedColumn { number: gone.number, ty: gone.ty });
            }),
            Step::Truncate => self.transact(|txn| done(txn.truncate(t))),
            Step::Index { on } => self.redefine(|table| table.columns[1].metadata_index = on),
            Step::Checkpoint => self.database.checkpoint().unwrap(),
            Step::Storage => drop(self.database.step_storage().unwrap()),
            Step::Close => {
                self.database.close().unwrap();
                self.open(None);
            }
            Step::Crash { seed } => self.open(Some(seed)),
        }
    }

    /// Opens what a crash leaves, or a clean end, and compares it with what is opened without the files.
    fn open(&mut self, seed: Option<u64>) {
        let left = seed.map_or_else(|| self.fs.crash(1), |seed| self.fs.crash(seed));
        let without = Arc::new(left.crash(1));
        remove_bits(&without);
        self.fs = Arc::new(left);
        self.database = open_with(&self.fs, self.metadata_bytes_max);
        self.database.check().unwrap();
        self.loaded += u32::from(!bits(&self.database, self.t).is_empty());
        let rebuilt = open(&without);
        assert!(bits(&rebuilt, self.t).is_empty());
        same(&self.state(), &state(&rebuilt, self.t), self.metadata_bytes_max > 0);
    }
}

fn state(database: &Arc<Database>, t: Oid) -> Arc<State> {
    database.core().version.load().tables[&t].state()
}

/// The indexes of both answer every question alike; those that have room for bitmaps also that of how many values there are.
fn same(loaded: &State, rebuilt: &State, have_bitmaps: bool) {
    assert_eq!(loaded.live, rebuilt.live);
    for column in &loaded.definition.columns {
        let select = |state: &State, predicate: &Predicate| state.metadata.select(column.number, predicate);
        let values = (0..CELLS).map(|n| Predicate::Eq(cell(&column.ty, n)));
        for predicate in values.chain([Predicate::IsNull, Predicate::IsNotNull]) {
            let (found, expected) = (select(loaded, &predicate), select(rebuilt, &predicate));
            assert_eq!(found, expected, "{} {predicate:?}", column.name);
        }
        let distinct = |state: &State| state.metadata.distinct(column.number).filter(|_| have_bitmaps);
        assert_eq!(distinct(loaded), distinct(rebuilt));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_checkpoints_saved_is_what_the_rows_say(
        steps in proptest::collection::vec(step(), 10..70),
        metadata_bytes_max in proptest::sample::select(vec![0, u64::MAX]),
    ) {
        let mut world = World::new(metadata_bytes_max);
        steps.into_iter().for_each(|step| world.run(step));
        world.run(Step::Crash { seed: 3 });
    }
}

/// The same with more rows than a chunk has slots, and with files that are surely there.
#[test]
fn many_rows_come_back_from_files_and_changes() {
    [0, u64::MAX].into_iter().for_each(many_rows_come_back);
}

fn many_rows_come_back(metadata_bytes_max: u64) {
    let mut world = World::new(metadata_bytes_max);
    let t = world.t;
    world.transact(|txn| {
        let rows: Vec<_> = (0..9_000).map(|id| world.row(txn, id, id as u32)).collect();
        done(txn.insert(t, &rows, OnConflict::Error));
    });
    world.run(Step::Checkpoint);
    world.run(Step::Crash { seed: 0 });
    assert_eq!((world.loaded, bits(&world.database, t).len()), (1, 1));
    for id in (0..9_000).step_by(100) {
        world.run(Step::Update { id, cell: 5 });
        world.run(Step::Delete { id: id + 1 });
    }
    world.run(Step::Checkpoint);
    // Behind the checkpoint, in the log alone.
    world.run(Step::Update { id: 2, cell: 9 });
    world.run(Step::Crash { seed: 0 });
    assert_eq!((world.loaded, bits(&world.database, t).len()), (2, 2), "a whole file and the changes");
    world.run(Step::Close);
    assert_eq!((world.loaded, bits(&world.database, t).len()), (3, 1), "written whole at the end");
}
