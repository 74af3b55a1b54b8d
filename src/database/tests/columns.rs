//! Scans by column against row-by-row reading.

use proptest::prelude::*;

use super::*;
use crate::catalog::{Edit, Object};
use crate::database::RowUpdate;
use crate::error::SqlState;
use crate::fs::DiskFs;
use crate::log::{Position, Seq, StorageId};
use crate::storage::{Checkpoint, OwnRows, Piece, Rows, Slice, Store};
use crate::table::{Layout, keys};

/// Every column of some rows is what the rows have, one by one.
fn rows_agree(layout: &Layout, expected: &[(u32, Slice)], rows: &Rows) {
    let slots: Vec<u32> = expected.iter().map(|(slot, _)| *slot).collect();
    assert_eq!(rows.slots(), slots);
    for column in 0..layout.columns() {
        let gathered = layout.gather(rows, column).unwrap();
        let mut expected = expected.iter();
        let each = gathered.each(|cell| {
            let (slot, row) = expected.next().unwrap();
            assert_eq!(cell, layout.read(row)?.raw(column)?, "slot {slot}, column {column}");
            Ok(())
        });
        each.unwrap();
        assert!(expected.next().is_none(), "{} cells of column {column}", gathered.len());
    }
    assert_eq!(rows.clone().into_bytes(), expected);
}

/// A scan by column, some rows at a time, has what row-by-row reading has; so have rows by their slots, and parts of both.
pub fn agree(snapshot: &Snapshot, wanted: usize) {
    let expected: Vec<(u32, Slice)> = snapshot.scan().collect::<Result<_, _>>().unwrap();
    let mut scan = snapshot.columns().unwrap();
    let mut at = 0;
    loop {
        let rows = scan.next(wanted).unwrap();
        if rows.is_empty() {
            break;
        }
        let end = at + rows.len();
        assert!(rows.len() == wanted || end == expected.len(), "{} rows of {wanted}", rows.len());
        rows_agree(snapshot.layout(), &expected[at..end], &rows);
        let odd = |row: usize| expected[at + row].0 % 5 < 3;
        let kept: Vec<_> =
            (0..rows.len()).filter(|row| odd(*row)).map(|row| expected[at + row].clone()).collect();
        rows_agree(snapshot.layout(), &kept, &rows.select(odd));
        at = end;
    }
    assert_eq!(at, expected.len());
    // Each third slot by itself, also those that have no row.
    let last = expected.last().map_or(0, |(slot, _)| slot + 3);
    let some = || (0..last).step_by(3).filter(|slot| snapshot.row(*slot).unwrap().is_some());
    let expected: Vec<_> = some().map(|slot| (slot, snapshot.row(slot).unwrap().unwrap())).collect();
    rows_agree(
        snapshot.layout(),
        &expected,
        &snapshot.rows_at(&mut (0..last).step_by(3), usize::MAX).unwrap(),
    );
}

/// The rows of a table by their ids; a vector counts as one that is not NULL.
type Model = std::collections::BTreeMap<i64, Vec<Value>>;

/// A scan by column has what was written.
fn is_model(snapshot: &Snapshot, model: &Model, wanted: usize) {
    let layout = snapshot.layout();
    let mut scan = snapshot.columns().unwrap();
    let mut found = Model::new();
    loop {
        let rows = scan.next(wanted).unwrap();
        if rows.is_empty() {
            break;
        }
        let mut values = vec![Vec::new(); rows.len()];
        for column in 0..layout.columns() {
            let mut row = values.iter_mut();
            let each = layout.gather(&rows, column).unwrap().each(|cell| {
                row.next().unwrap().push(match cell {
                    None => Value::Null,
                    Some(_) if layout.is_slot_vector(column) => Value::Vector(Vec::new()),
                    Some(cell) => crate::table::rows::decode(cell, layout.column_type(column))?,
                });
                Ok(())
            });
            each.unwrap();
        }
        for row in values {
            let Value::Int8(id) = row[0] else { panic!("{row:?}") };
            assert!(found.insert(id, row).is_none(), "row {id} is there twice");
        }
    }
    assert_eq!(found, *model);
}

/// A tree of rows of a layout, whose tables are of columns.
fn tree_of(layout: &Layout) -> (Store, Arc<crate::storage::Tree>) {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let store = Store::open(fs, Path::new("/store"), crate::storage::Options::default()).unwrap();
    let tree = store.create_tree(StorageId(1));
    tree.set_shape(layout.shape());
    (store, tree)
}

#[test]
fn every_type_comes_back_from_a_block_of_columns() {
    let types = super::format_types::types();
    let layout = Layout::new(&types.iter().map(|(ty, _)| ty.clone()).collect::<Vec<_>>());
    let values: Vec<Value> =
        types.iter().map(|(ty, text)| crate::types::text::parse(ty, text).unwrap()).collect();
    // Of each row others are NULL; of the first none, of the last all.
    let rows: Vec<Vec<Value>> = (0..types.len() + 2)
        .map(|row| {
            let is_null = |column: usize| row == types.len() + 1 || row > 0 && column % row == 1;
            let value =
                |(column, value): (usize, &Value)| if is_null(column) { Value::Null } else { value.clone() };
            values.iter().enumerate().map(value).collect()
        })
        .collect();
    let (store, tree) = tree_of(&layout);
    for (slot, row) in rows.iter().enumerate() {
        let mut bytes = Vec::new();
        layout.encode(row, &mut bytes).unwrap();
        tree.write(Seq(5), [(&keys::row_key(slot as u32)[..], Some(&bytes[..]))]).unwrap();
    }
    store.checkpoint(Checkpoint { position: Position(9), extras: Vec::new() }).unwrap();
    let found = tree.rows(keys::ROW, Seq(9), None).unwrap().next(1_000).unwrap();
    assert!(found.pieces().all(|piece| matches!(piece, Piece::Entries(..))), "the table is of columns");
    assert_eq!(found.len(), rows.len());
    for (column, (ty, _)) in types.iter().enumerate() {
        let mut expected = rows.iter().map(|row| &row[column]);
        let each = layout.gather(&found, column).unwrap().each(|cell| {
            let value = cell.map_or(Ok(Value::Null), |cell| crate::table::rows::decode(cell, ty))?;
            assert_eq!(Some(&value), expected.next(), "{ty:?}");
            Ok(())
        });
        each.unwrap();
    }
    for (slot, row) in rows.iter().enumerate() {
        let bytes = tree.get(&keys::row_key(slot as u32), Seq(9)).unwrap().unwrap();
        assert_eq!(layout.read(&bytes).unwrap().values().unwrap(), *row);
    }
}

/// What happens to a table; `Read` looks at it in a snapshot that stays open.
#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Update {
        first: u8,
        every: u8,
    },
    Delete {
        first: u8,
        every: u8,
    },
    AddColumn,
    Checkpoint,
    Storage,
    Hold,
    /// Reads what is open, so many rows at a time, some after writes of its own.
    Read {
        wanted: usize,
        own: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..60).prop_map(Step::Insert),
        3 => (0_u8..20, 1_u8..20).prop_map(|(first, every)| Step::Update { first, every }),
        2 => (0_u8..20, 2_u8..20).prop_map(|(first, every)| Step::Delete { first, every }),
        1 => Just(Step::AddColumn),
        3 => Just(Step::Checkpoint),
        3 => Just(Step::Storage),
        1 => Just(Step::Hold),
        3 => (1_usize..100, any::<bool>()).prop_map(|(wanted, own)| Step::Read { wanted, own }),
    ]
}

fn write(model: &mut Model, row: &[Value]) {
    let Value::Int8(id) = row[0] else { panic!("{row:?}") };
    let cell = |value: &Value| match value {
        Value::Vector(_) => Value::Vector(Vec::new()),
        value => value.clone(),
    };
    model.insert(id, row.iter().map(cell).collect());
}

struct World {
    database: Arc<Database>,
    table: Oid,
    next: i64,
    changes: u32,
    model: Model,
    held: Vec<(Snapshot, Model)>,
}

impl World {
    fn new() -> World {
        let (_, database) = fresh();
        let mut txn = database.begin(Isolation::ReadCommitted);
        let columns = vec![
            column(1, "id", Type::Int8),
            column(2, "a", Type::Int4),
            column(3, "name", Type::Text),
            column(4, "n", Type::Numeric(None)),
            column(5, "b", Type::Bool),
            column(6, "v", Type::Vector(Some(2))),
        ];
        let table = create_with(&mut txn, "t", columns);
        txn.commit().unwrap();
        World { database, table, next: 0, changes: 0, model: Model::new(), held: Vec::new() }
    }

    fn row(&self, id: i64) -> Vec<Value> {
        let null = |every: i64, value: Value| if id % every == every - 1 { Value::Null } else { value };
        let number = ["1.50", "NaN", "1e60", "-12345678901234567890.125"][id as usize % 4];
        let mut row = vec![
            Value::Int8(id),
            null(5, Value::Int4((id * id) as i32)),
            null(7, Value::Text("word ".repeat(id as usize % 6))),
            null(3, Value::Numeric(crate::types::numeric::parse(number).unwrap())),
            null(11, Value::Bool(id % 2 == 0)),
            null(4, Value::Vector(vec![id as f32, 1.0])),
        ];
        let columns = self.database.catalog().table_by_oid(self.table).unwrap().columns.len();
        row.extend((6..columns as i64).map(|column| null(column, Value::Int4((id + column) as i32))));
        row
    }

    /// (id, slot) of the rows whose ids are `first`, and each so many after it.
    fn chosen(&self, txn: &Transaction, first: u8, every: u8) -> Vec<(i64, u32)> {
        let snapshot = txn.snapshot(self.table).unwrap();
        let id = |row: &[u8]| match snapshot.layout().read(row).unwrap().value(0).unwrap() {
            Value::Int8(id) => id,
            other => panic!("{other:?}"),
        };
        let rows = snapshot.scan().map(Result::unwrap).map(|(slot, row)| (id(&row), slot));
        rows.filter(|(id, _)| *id >= first.into() && (*id - i64::from(first)) % i64::from(every) == 0)
            .collect()
    }

    fn change(&mut self, txn: &mut Transaction, step: &Step, model: &mut Model) {
        txn.start_statement();
        match *step {
            Step::Insert(count) => {
                let rows: Vec<_> = (self.next..self.next + i64::from(count)).map(|id| self.row(id)).collect();
                self.next += i64::from(count);
                rows.iter().for_each(|row| write(model, row));
                done(txn.insert(self.table, &rows, OnConflict::Error));
            }
            Step::Update { first, every } => {
                let chosen = self.chosen(txn, first, every);
                done(txn.lock_rows(self.table, &chosen.iter().map(|(_, slot)| *slot).collect::<Vec<_>>()));
                let new = |(id, slot): &(i64, u32)| {
                    let mut row = self.row(*id);
                    row[2] = Value::Text(format!("changed {}", self.changes));
                    RowUpdate { slot: *slot, row, vectors_changed: false }
                };
                let rows: Vec<RowUpdate> = chosen.iter().map(new).collect();
                rows.iter().for_each(|update| write(model, &update.row));
                self.changes += 1;
                done(txn.update(self.table, &rows));
            }
            Step::Delete { first, every } => {
                let chosen = self.chosen(txn, first, every);
                let slots: Vec<u32> = chosen.iter().map(|(_, slot)| *slot).collect();
                chosen.iter().for_each(|(id, _)| assert!(model.remove(id).is_some(), "row {id}"));
                done(txn.lock_rows(self.table, &slots));
                done(txn.delete(self.table, &slots));
            }
            _ => {}
        }
    }

    fn add_column(&mut self) {
        let mut txn = self.database.begin(Isolation::ReadCommitted);
        let mut definition = Table::clone(txn.catalog().table_by_oid(self.table).unwrap());
        if definition.columns.len() >= 10 {
            return;
        }
        let mut missing = Vec::new();
        Layout::new(&[Type::Int4]).encode(&[Value::Int4(7)], &mut missing).unwrap();
        let number = definition.next_number();
        let missing = number.is_multiple_of(2).then_some(missing);
        let read_as = if missing.is_some() { Value::Int4(7) } else { Value::Null };
        self.model.values_mut().for_each(|row| row.push(read_as.clone()));
        definition.columns.push(Column { missing, ..column(number, &format!("c{number}"), Type::Int4) });
        // Held snapshots stand before the column, with definitions of their own.
        done(txn.edit_catalog(vec![Edit::Put(Object::Table(definition))]));
        txn.commit().unwrap();
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::AddColumn => self.add_column(),
            Step::Checkpoint => self.database.checkpoint().unwrap(),
            Step::Storage => while self.database.core().store.step().unwrap() {},
            Step::Hold => {
                let mut txn = self.database.begin(Isolation::ReadCommitted);
                txn.start_statement();
                self.held.push((txn.snapshot(self.table).unwrap(), self.model.clone()));
                self.held.drain(..self.held.len().saturating_sub(3));
            }
            Step::Read { wanted, own } => {
                for (snapshot, model) in &self.held {
                    agree(snapshot, *wanted);
                    is_model(snapshot, model, *wanted);
                }
                let mut model = self.model.clone();
                let mut txn = self.database.begin(Isolation::ReadCommitted);
                if *own {
                    self.change(&mut txn, &Step::Insert(5), &mut model);
                    self.change(&mut txn, &Step::Update { first: 1, every: 7 }, &mut model);
                    self.change(&mut txn, &Step::Delete { first: 3, every: 9 }, &mut model);
                }
                txn.start_statement();
                let snapshot = txn.snapshot(self.table).unwrap();
                agree(&snapshot, *wanted);
                is_model(&snapshot, &model, *wanted);
            }
            step => {
                let mut txn = self.database.begin(Isolation::ReadCommitted);
                let mut model = std::mem::take(&mut self.model);
                self.change(&mut txn, step, &mut model);
                self.model = model;
                txn.commit().unwrap();
            }
        }
    }
}

#[test]
fn scans_by_column_are_scans_by_row() {
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let steps = prop::collection::vec(step(), 1..40);
    let result = runner.run(&steps, |steps| {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        world.run(&Step::Read { wanted: 50, own: false });
        world.run(&Step::Checkpoint);
        world.run(&Step::Read { wanted: 2_048, own: true });
        world.database.check().unwrap();
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// A block as whole, one with older versions, and rows of one's own before them.
#[test]
fn blocks_are_taken_whole_up_to_what_lies_over_them() {
    let layout = Layout::new(&[Type::Int8]);
    let (store, tree) = tree_of(&layout);
    let row = |number: i64| {
        let mut bytes = Vec::new();
        layout.encode(&[Value::Int8(number)], &mut bytes).unwrap();
        bytes
    };
    let put = |slot: u32, seq: u64, number: Option<i64>| {
        let bytes = number.map(row);
        tree.write(Seq(seq), [(&keys::row_key(slot)[..], bytes.as_deref())]).unwrap();
    };
    (0..100).for_each(|slot| put(slot, 1, Some(slot.into())));
    store.checkpoint(Checkpoint { position: Position(1), extras: Vec::new() }).unwrap();
    put(40, 2, Some(-40));
    put(50, 3, None);
    store.checkpoint(Checkpoint { position: Position(3), extras: Vec::new() }).unwrap();
    put(60, 4, Some(-60));
    let runs = |snapshot: u64, own: Option<OwnRows>| -> Vec<usize> {
        let rows = tree.rows(keys::ROW, Seq(snapshot), own).unwrap().next(1_000).unwrap();
        let length = |piece: Piece| match piece {
            Piece::Row(_) => 1,
            Piece::Entries(_, entries) => entries.len(),
        };
        rows.pieces().map(length).collect()
    };
    assert_eq!(runs(4, None), [40, 1, 9, 9, 1, 39]);
    assert_eq!(runs(3, None).iter().sum::<usize>(), 99);
    assert_eq!(runs(1, None).iter().sum::<usize>(), 100);
    let own = vec![(10, None), (20, Some(Slice::copy_of(&row(-20)))), (200, Some(Slice::copy_of(&row(200))))];
    let own: OwnRows = Box::new(own.into_iter().map(Ok));
    assert_eq!(runs(4, Some(own)), [10, 9, 1, 19, 1, 9, 9, 1, 39, 1]);
}

/// What a program wrote before there were columns is compacted into them.
#[test]
fn older_tables_become_columns_when_they_are_merged() {
    for version in 1..=3 {
        let copied = tempfile::tempdir().unwrap();
        let dir = copied.path().join("data");
        super::formats::copy(&super::formats::folder().join(version.to_string()), &dir);
        let database = Database::open(Arc::new(DiskFs), &dir, super::formats::small()).unwrap();
        let oid = database.catalog().tables().next().unwrap().oid;
        let expected = all(&database, oid);
        let table = database.core().version.load().tables[&oid].clone();
        database.checkpoint().unwrap();
        database.core().store.compact(table.storage()).unwrap();
        assert_eq!(all(&database, oid), expected, "format {version}");
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let snapshot = txn.snapshot(oid).unwrap();
        let rows = snapshot.columns().unwrap().next(1_000).unwrap();
        assert!(rows.pieces().all(|piece| matches!(piece, Piece::Entries(..))), "format {version}");
        database.check().unwrap();
    }
}

/// A table's row of so many cells.
fn put(tree: &crate::storage::Tree, layout: &Layout, slot: u32, values: &[Value]) {
    let mut bytes = Vec::new();
    layout.encode(values, &mut bytes).unwrap();
    tree.write(Seq(1), [(&keys::row_key(slot)[..], Some(&bytes[..]))]).unwrap();
}

fn flush(store: &Store) {
    store.checkpoint(Checkpoint { position: Position(1), extras: Vec::new() }).unwrap();
}

/// 40 rows of 1 MiB, half of them in a table, are not gathered at once, and none is lost.
#[test]
fn long_rows_come_a_few_at_a_time() {
    let layout = Layout::new(&[Type::Text]);
    let (store, tree) = tree_of(&layout);
    for slot in 0..40 {
        put(&tree, &layout, slot, &[Value::Text("x".repeat(1 << 20))]);
        if slot == 20 {
            flush(&store);
        }
    }
    let mut scan = tree.rows(keys::ROW, Seq(9), None).unwrap();
    let mut slots = Vec::new();
    loop {
        let rows = scan.next(2_048).unwrap();
        if rows.is_empty() {
            break;
        }
        assert!(rows.len() <= 16, "{} rows of 1 MiB", rows.len());
        slots.extend_from_slice(rows.slots());
    }
    assert_eq!(slots, (0..40).collect::<Vec<u32>>());
}

/// As long are rows that read a default of 1 MiB for a column they were written before, in order and by their slots.
#[test]
fn rows_with_a_long_default_come_a_few_at_a_time() {
    let mut world = World::new();
    world.run(&Step::Insert(40));
    world.run(&Step::Checkpoint);
    world.run(&Step::Insert(10));
    let mut txn = world.database.begin(Isolation::ReadCommitted);
    let mut definition = Table::clone(txn.catalog().table_by_oid(world.table).unwrap());
    let mut missing = Vec::new();
    Layout::new(&[Type::Text]).encode(&[Value::Text("d".repeat(1 << 20))], &mut missing).unwrap();
    let number = definition.next_number();
    definition.columns.push(Column { missing: Some(missing), ..column(number, "d", Type::Text) });
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(definition))]));
    txn.commit().unwrap();
    let mut txn = world.database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(world.table).unwrap();
    let expected: Vec<u32> = snapshot.scan().map(|row| row.unwrap().0).collect();
    let mut scan = snapshot.columns().unwrap();
    let mut slots = expected.clone().into_iter();
    let by_slots = || snapshot.rows_at(&mut slots, 2_048).unwrap();
    let in_order = || scan.next(2_048).unwrap();
    let sources: [Box<dyn FnMut() -> Rows>; 2] = [Box::new(by_slots), Box::new(in_order)];
    for mut next in sources {
        let mut found = Vec::new();
        loop {
            let rows = next();
            if rows.is_empty() {
                break;
            }
            // A block is taken as a whole.
            assert!(rows.len() <= 41, "{} rows", rows.len());
            let cells = snapshot.layout().gather(&rows, 6).unwrap();
            cells
                .each(|cell| {
                    assert_eq!(cell.map(<[u8]>::len), Some(1 << 20));
                    Ok(())
                })
                .unwrap();
            found.extend_from_slice(rows.slots());
        }
        assert_eq!(found, expected);
    }
}

/// As many as there are, also in the middle of a block.
#[test]
fn all_the_rest_may_be_wanted() {
    let layout = Layout::new(&[Type::Int8]);
    let (store, tree) = tree_of(&layout);
    (0..100).for_each(|slot| put(&tree, &layout, slot, &[Value::Int8(slot.into())]));
    flush(&store);
    let mut scan = tree.rows(keys::ROW, Seq(9), None).unwrap();
    assert_eq!(scan.next(3).unwrap().slots(), [0, 1, 2]);
    assert_eq!(scan.next(usize::MAX).unwrap().len(), 97);
    assert!(scan.next(usize::MAX).unwrap().is_empty());
}

/// What a block took for a number and its tail is a text when the layout says so.
#[test]
fn a_block_of_other_kinds_has_its_rows() {
    let layout = Layout::new(&[Type::Text]);
    let (store, tree) = tree_of(&layout);
    tree.set_shape(crate::storage::Shape::new(keys::ROW, vec![crate::storage::Kind::Fixed(4)]));
    for slot in 0..50 {
        put(&tree, &layout, slot, &[Value::Text(format!("text {slot}"))]);
    }
    flush(&store);
    let rows = tree.rows(keys::ROW, Seq(9), None).unwrap().next(1_000).unwrap();
    assert!(rows.pieces().all(|piece| matches!(piece, Piece::Entries(..))));
    let mut found = Vec::new();
    let each = layout.gather(&rows, 0).unwrap().each(|cell| {
        found.push(String::from_utf8(cell.unwrap().to_vec()).unwrap());
        Ok(())
    });
    each.unwrap();
    assert_eq!(found, (0..50).map(|slot| format!("text {slot}")).collect::<Vec<_>>());
}

/// Blocks of columns are those that are smaller for it and whose rows are not long.
#[test]
fn blocks_in_which_nothing_is_won_are_of_entries() {
    let is_columns = |types: &[Type], rows: u32, value: Value| {
        let layout = Layout::new(types);
        let (store, tree) = tree_of(&layout);
        (0..rows).for_each(|slot| put(&tree, &layout, slot, &vec![value.clone(); types.len()]));
        flush(&store);
        let rows = tree.rows(keys::ROW, Seq(9), None).unwrap().next(1_000).unwrap();
        let is_columns: Vec<bool> = rows.pieces().map(|piece| matches!(piece, Piece::Entries(..))).collect();
        assert!(is_columns.iter().all(|is| *is == is_columns[0]), "{is_columns:?}");
        is_columns[0]
    };
    let text = |bytes: usize| Value::Text("x".repeat(bytes));
    assert!(is_columns(&[Type::Text], 60, text(500)));
    assert!(!is_columns(&[Type::Text], 1, text(500)), "one row");
    assert!(!is_columns(&[Type::Text], 60, text(5_000)), "long rows");
    assert!(!is_columns(&[Type::Text], 3, text(50_000)), "rows longer than blocks");
    assert!(is_columns(&vec![Type::Int8; 100], 60, Value::Int8(5)));
    assert!(!is_columns(&vec![Type::Int8; 100], 2, Value::Int8(5)), "directory and cells of two rows");
}

/// Wherever it lies.
#[test]
fn a_key_that_is_no_rows_is_damage() {
    let layout = Layout::new(&[Type::Int8]);
    for is_flushed in [false, true] {
        let (store, tree) = tree_of(&layout);
        put(&tree, &layout, 3, &[Value::Int8(3)]);
        tree.write(Seq(1), [(&[keys::ROW, 0, 0, 0, 3, 7][..], Some(&b"x"[..]))]).unwrap();
        tree.write(Seq(1), [(&[keys::ROW + 1][..], Some(&b"behind all rows"[..]))]).unwrap();
        if is_flushed {
            flush(&store);
        }
        let found = tree.rows(keys::ROW, Seq(9), None).and_then(|mut scan| scan.next(10));
        let error = found.err().expect("a key of six bytes");
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED, "{error}");
    }
}
