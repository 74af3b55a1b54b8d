//! A data directory with a table of every type, every index, a sequence, partitions and a foreign key, as the present format
//! writes them, in `tests/formats/4-types`, and those of formats before: what each holds is what was put into it, and it goes on.
//!
//! It was made by [`write`], by a process that was killed. A new format gets its own by
//! `HITHER_FORMAT_TYPES=tests/formats/<version>-types cargo test --no-default-features --lib format_types`.

use std::collections::BTreeMap;

use super::formats::{copy, folder, small};
use super::*;
use crate::catalog::{
    DefaultExpr, DroppedColumn, Edit, EnumObject, ForeignKey, HnswOptions, Index, IndexMethod, IndexMetric,
    IvfflatOptions, Object, Partition, PartitionBound, Partitioning, ReferentialAction, Relation, Sequence,
};
use crate::database::control::FORMAT_VERSION;
use crate::fs::DiskFs;
use crate::index::inverted::Question;
use crate::index::quantizer::Quantization;
use crate::types::enums::{Enum, Label};
use crate::types::{EnumType, NetworkType, RangeType, text};

/// Directories, and since which format they have the tables that they have.
const KEPT: [(&str, u32); 3] = [("2-types", 2), ("3-types", 3), ("4-types", 4)];
const MOOD: Oid = 30_000;

fn mood() -> EnumType {
    let label = |oid, order, text: &str| Label { oid, order, text: text.into() };
    let labels = vec![label(MOOD + 2, 0, "calm"), label(MOOD + 3, 1 << 20, "glad")];
    let (schema, name) = ("public".into(), "mood".into());
    EnumType::from(Enum { oid: MOOD, array_oid: MOOD + 1, schema, name, labels })
}

/// Each type with a value of it.
pub fn types() -> Vec<(Type, &'static str)> {
    let ranges = ["[1,5)", "[1,)", "(,2.5]", "[2024-01-01,2024-02-01)", "[2024-01-01 00:00,)", "empty"];
    let plain = vec![
        (Type::Int8, "-9"),
        (Type::Bool, "t"),
        (Type::Int2, "-2"),
        (Type::Int4, "2000000000"),
        (Type::Float4, "0.1"),
        (Type::Float8, "-Infinity"),
        (Type::Numeric(None), "12345678901234567890.125"),
        (Type::Numeric(Some((6, 2))), "1234.50"),
        (Type::Text, "kept · för alle"),
        (Type::Varchar(Some(10)), "ten"),
        (Type::Bpchar(Some(5)), "five "),
        (Type::Bytea, "\\x00ff10"),
        (Type::Date, "1999-12-31"),
        (Type::Time(None), "23:59:59.999999"),
        (Type::Timestamp(None), "2024-02-29 12:00:00.5"),
        (Type::Timestamptz(None), "2024-02-29 12:00:00+02"),
        (Type::Interval(None), "1 year 2 mons 3 days 04:05:06.7"),
        (Type::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (Type::Json, "{\"a\" : [1,  2]}"),
        (Type::Jsonb, "{\"a\": [1, 2.50, null]}"),
        (Type::Vector(None), "[1,2.5]"),
        (Type::Halfvec(None), "[0.5,-4]"),
        (Type::Sparsevec(None), "{1:1.5,3:-2}/9"),
        (Type::Varbit(None), "10110"),
        (Type::TsVector, "'cat':3A 'fat':2"),
        (Type::TsQuery, "'cat' & !'dog'"),
        (Type::Array(Box::new(Type::Text)), "{a,NULL,\"b c\"}"),
        (Type::Array(Box::new(Type::Int4)), "{3,1}"),
        (Type::Enum(mood()), "glad"),
    ];
    let ranges = RangeType::BUILT_IN.into_iter().map(Type::Range).zip(ranges);
    plain.into_iter().chain(ranges).collect()
}

/// Rows by table, in order of their keys.
type Tables = BTreeMap<String, Vec<Vec<Value>>>;

/// What is in a directory of a format.
fn written(format: u32) -> Tables {
    let (first, last) = (-9, 100);
    let values: Vec<Value> = types().iter().map(|(ty, text)| text::parse(ty, text).unwrap()).collect();
    let mut nulls = vec![Value::Null; values.len()];
    nulls[0] = Value::Int8(last);
    // Behind the dropped column comes one that older rows read from the definition.
    let plain = [values, nulls].into_iter().zip([first, last]).map(|(mut row, id)| {
        row.push(Value::Text(if id == first { "default".into() } else { "own".into() }));
        row
    });
    let children = [(1, Value::Int8(5)), (2, Value::Null), (100, Value::Int8(100))];
    let child = |(id, parent): (i64, Value)| vec![Value::Int8(id), parent];
    let parted = |id: i64| vec![Value::Int8(id), Value::Text(["a", "b", "c"][id as usize % 3].into())];
    let mut tables = BTreeMap::from([
        ("plain".into(), plain.collect()),
        ("vectors".into(), (0..20).chain(100..105).map(vectors).collect()),
        ("children".into(), children.into_iter().map(child).collect()),
        ("parted".into(), (0..6).chain(100..102).map(parted).collect()),
    ]);
    if format >= 3 {
        tables.insert("numbers".into(), (0..4).chain(100..104).map(numbers).collect());
    }
    tables
}

/// Numbers whose cells are behind the row, and others, with text between them; addresses.
fn numbers(id: i64) -> Vec<Value> {
    let number = |text: &str| Value::Numeric(crate::types::numeric::parse(text).unwrap());
    let long = number(&format!("-{}.{id:03}", "1234567890".repeat(6)));
    let any = ["NaN", "-Infinity", "1.50", "1e-60"].map(number)[id as usize % 4].clone();
    vec![
        Value::Int8(id),
        any.clone(),
        Value::Text(format!("row {id}")),
        long,
        Value::Array(vec![any, Value::Null]),
        text::parse(&Type::Network(NetworkType::Inet), &format!("10.1.{id}.0/24")).unwrap(),
        text::parse(&Type::Network(NetworkType::Macaddr), "08:00:2b:01:02:03").unwrap(),
    ]
}

fn vectors(id: i64) -> Vec<Value> {
    let x = (id % 7) as f32;
    let numbers = [x, 1.0, (id % 3) as f32 - 0.5];
    let sparse = crate::types::Sparsevec::new(9, [(1, x + 1.0), (id as u32 % 5 + 3, 2.0)].into_iter());
    let null = |value: Value| if id % 8 == 7 { Value::Null } else { value };
    vec![
        Value::Int8(id),
        null(Value::Vector(numbers.to_vec())),
        null(Value::Halfvec(numbers.iter().map(|number| crate::types::f16::from_f32(*number)).collect())),
        null(Value::Bits(crate::types::Bits::of_integer(id * 37 % 4096, 12))),
        null(Value::Sparsevec(sparse)),
        Value::Array(vec![Value::Text(format!("word {}", id % 4)), Value::Text("all".into())]),
    ]
}

fn is_first(row: &[Value]) -> bool {
    matches!(row[0], Value::Int8(id) if id < 100)
}

fn table_of(txn: &Transaction, name: &str) -> Oid {
    txn.catalog().table("public", name).unwrap().oid
}

/// Tables with their first rows, closed in order; then the others, in the log.
fn write(dir: &Path) {
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    let database = Database::open(fs.clone(), dir, small()).unwrap();
    let mut txn = database.begin(Isolation::ReadCommitted);
    create_plain(&mut txn);
    create_vectors(&mut txn);
    create_relations(&mut txn);
    create_numbers(&mut txn);
    txn.commit().unwrap();
    insert_those(&database, is_first);
    let mut txn = database.begin(Isolation::ReadCommitted);
    add_and_drop_columns(&mut txn);
    let sequence = txn.catalog().sequence("public", "counter").unwrap().oid;
    assert_eq!((txn.nextval(sequence).unwrap(), txn.nextval(sequence).unwrap()), (7, 10));
    txn.commit().unwrap();
    while database.step_indexer().unwrap() {}
    database.close().unwrap();
    drop(database);
    let database = Database::open(fs, dir, small()).unwrap();
    insert_those(&database, |row| !is_first(row));
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.setval(sequence, 40, true).unwrap();
    txn.commit().unwrap();
}

fn insert_those(database: &Arc<Database>, wanted: impl Fn(&[Value]) -> bool) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    for (name, rows) in written(FORMAT_VERSION) {
        let oid = table_of(&txn, &name);
        let columns = txn.catalog().table_by_oid(oid).unwrap().columns.len();
        // The last column of `plain` comes later, behind one that goes.
        let row = |row: Vec<Value>| match name == "plain" && is_first(&row) {
            true => [&row[..columns - 1], &[Value::Int4(1)]].concat(),
            false => row,
        };
        let rows: Vec<_> = rows.into_iter().filter(|row| wanted(row)).map(row).collect();
        done(txn.insert(oid, &rows, OnConflict::Error));
    }
    txn.commit().unwrap();
}

fn create_plain(txn: &mut Transaction) {
    let object = EnumObject { definition: mood(), comment: Some("a type".into()) };
    done(txn.edit_catalog(vec![Edit::Put(Object::Enum(object))]));
    let types = types();
    let mut columns: Vec<Column> = types
        .iter()
        .zip(1..)
        .map(|((ty, _), number)| column(number, &format!("c{number}"), ty.clone()))
        .collect();
    columns.push(column(columns.len() as u16 + 1, "goes", Type::Int4));
    create_with(txn, "plain", columns);
}

fn add_and_drop_columns(txn: &mut Transaction) {
    txn.start_statement();
    let mut altered = Table::clone(txn.catalog().table("public", "plain").unwrap());
    let gone = altered.columns.pop().unwrap();
    altered.dropped.push(DroppedColumn { number: gone.number, ty: gone.ty });
    let mut missing = Vec::new();
    let layout = crate::table::Layout::new(&[Type::Text]);
    layout.encode(&[Value::Text("default".into())], &mut missing).unwrap();
    let added = Column {
        missing: Some(missing),
        default: Some(DefaultExpr { sql: "'default'".into() }),
        ..column(altered.next_number(), "added", Type::Text)
    };
    altered.columns.push(added);
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(altered))]));
}

fn create_numbers(txn: &mut Transaction) {
    let columns = vec![
        column(1, "id", Type::Int8),
        column(2, "any", Type::Numeric(None)),
        column(3, "text", Type::Text),
        column(4, "long", Type::Numeric(Some((80, 3)))),
        column(5, "list", Type::Array(Box::new(Type::Numeric(None)))),
        column(6, "inet", Type::Network(NetworkType::Inet)),
        column(7, "mac", Type::Network(NetworkType::Macaddr)),
    ];
    create_with(txn, "numbers", columns);
}

/// Name, column, method, metric, codes.
type IndexOf = (&'static str, u16, IndexMethod, IndexMetric, Option<Quantization>);

const INDEXES: [IndexOf; 8] = [
    ("plain_graph", 2, IndexMethod::Hnsw, IndexMetric::Cosine, None),
    ("sq8", 2, IndexMethod::Hnsw, IndexMetric::L2, Some(Quantization::Sq8)),
    ("bq", 3, IndexMethod::Hnsw, IndexMetric::L2, Some(Quantization::Bq)),
    ("half", 3, IndexMethod::Hnsw, IndexMetric::InnerProduct, None),
    ("bits", 4, IndexMethod::Hnsw, IndexMetric::Hamming, None),
    ("sparse", 5, IndexMethod::Hnsw, IndexMetric::L2, None),
    ("lists", 2, IndexMethod::Ivfflat, IndexMetric::L1, None),
    ("words", 6, IndexMethod::Gin, IndexMetric::L2, None),
];

fn create_vectors(txn: &mut Transaction) {
    let columns = vec![
        column(1, "id", Type::Int8),
        column(2, "v", Type::Vector(Some(3))),
        column(3, "h", Type::Halfvec(Some(3))),
        column(4, "b", Type::Bit(Some(12))),
        column(5, "s", Type::Sparsevec(Some(9))),
        column(6, "words", Type::Array(Box::new(Type::Text))),
    ];
    let table = create_with(txn, "vectors", columns);
    for (name, number, method, metric, quantization) in INDEXES {
        let hnsw = HnswOptions { metric, m: 4, ef_construction: 16, quantization };
        let index = Index {
            oid: txn.new_oid(),
            name: name.into(),
            table,
            method,
            columns: vec![number],
            hnsw: (method == IndexMethod::Hnsw).then_some(hnsw),
            ivfflat: (method == IndexMethod::Ivfflat).then_some(IvfflatOptions { metric, lists: 2 }),
            ..Index::default()
        };
        done(txn.create_index(index));
    }
}

fn create_relations(txn: &mut Transaction) {
    let parent = table_of(txn, "vectors");
    let columns = vec![column(1, "id", Type::Int8), column(2, "parent", Type::Int8)];
    let children = create_with(txn, "children", columns);
    let key = ForeignKey {
        columns: vec![2],
        table: parent,
        referenced: vec![1],
        on_delete: ReferentialAction::Cascade,
        set_on_delete: Vec::new(),
        on_update: ReferentialAction::Restrict,
        deferral: Default::default(),
        full: false,
    };
    let (oid, name, kind) = (txn.new_oid(), "children_fkey", ConstraintKind::ForeignKey(key));
    done(txn.add_constraint(children, Constraint::new(oid, name, kind)));
    let parted = create_with(txn, "parted", vec![column(1, "id", Type::Int8), column(2, "kind", Type::Text)]);
    let mut altered = Table::clone(txn.catalog().table_by_oid(parted).unwrap());
    let bounds =
        [("parted_a", PartitionBound::In(vec![Some("a".into())])), ("others", PartitionBound::Default)];
    let parts = bounds.map(|(name, bound)| Partition {
        oid: txn.new_oid(),
        schema: "public".into(),
        name: name.into(),
        bound,
        defaults: Vec::new(),
        comment: None,
        indexes: Vec::new(),
        options: Vec::new(),
    });
    altered.partitioning =
        Some(Partitioning { column: 2, strategy: Default::default(), parts: parts.to_vec() });
    let sequence = Sequence {
        oid: txn.new_oid(),
        schema: "public".into(),
        name: "counter".into(),
        ty: Type::Int8,
        start: 7,
        increment: 3,
        min: 1,
        max: 1_000,
        cycle: false,
        cache: 1,
        owned_by: Some((parted, 1)),
        comment: None,
    };
    done(txn.edit_catalog(vec![Edit::Put(Object::Table(altered)), Edit::Put(Object::Sequence(sequence))]));
}

/// All rows, cells of vectors from their segments.
fn read(database: &Arc<Database>) -> Tables {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let catalog = txn.catalog();
    let tables = catalog.tables().map(|table| {
        let snapshot = txn.snapshot(table.oid).unwrap();
        let mut rows: Vec<Vec<Value>> =
            snapshot.scan().map(|entry| row_of(&snapshot, entry.unwrap())).collect();
        rows.sort_by_key(|row| match row[0] {
            Value::Int8(id) => id,
            _ => panic!("{row:?}"),
        });
        (table.name.clone(), rows)
    });
    tables.collect()
}

fn row_of(snapshot: &Snapshot, (slot, bytes): (u32, crate::storage::Slice)) -> Vec<Value> {
    let reader = snapshot.layout().read(&bytes).unwrap();
    let columns = snapshot.definition().columns.iter().enumerate();
    let cell = |(position, column): (usize, &Column)| {
        if !column.is_slot_vector() || reader.is_null(position).unwrap() {
            return reader.value(position).unwrap();
        }
        let view = snapshot.vector_view(column.number).unwrap();
        view.verify(slot).unwrap();
        match view.get(slot) {
            crate::distance::Vector::Sparse(vector) => Value::Sparsevec(vector.to_owned()),
            _ => crate::table::rows::decode_vector(view.bytes(slot), &column.ty).unwrap(),
        }
    };
    columns.map(cell).collect()
}

/// Indexes answer, and constraints hold.
fn use_them(database: &Arc<Database>) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let catalog = txn.catalog();
    let vectors = table_of(&txn, "vectors");
    let snapshot = txn.snapshot(vectors).unwrap();
    for (name, column, _, metric, quantization) in INDEXES.into_iter().filter(|of| of.0 != "words") {
        let found = snapshot.vector_index(column, metric.into(), snapshot.live()).unwrap();
        assert_eq!((found.index.name.as_str(), found.finder.quantization()), (name, quantization));
        assert!(found.finder.nodes().len() >= 18, "{name} was read, not built anew");
        let view = snapshot.vector_view(column).unwrap();
        let filled = snapshot.live().iter().filter(|slot| !view.is_null(*slot)).collect();
        let request = Request {
            vectors: &view,
            query: Query::new(metric.into(), view.get(0)),
            rows: Rows::exactly(&filled),
            finder: Some(&found.finder),
            tail: &found.tail,
            k: 100,
            ef: 100,
            distances_max: u64::MAX,
            probes: Probes { first: 2, most: 2 },
            strategy: None,
            cancel: &AtomicBool::new(false),
        };
        assert_eq!(search(&request).unwrap().hits.len() as u64, filled.len(), "{name}");
    }
    let question = Question::ContainsElements(vec![Value::Text("word 1".into())]);
    assert_eq!(snapshot.search(6, &question).unwrap().slots.len(), 6);
    let Some(Relation::Partition(part)) = catalog.relation("public", "parted_a") else {
        panic!("there is no partition of this name")
    };
    assert!(part.part.as_ref().unwrap().keys.contain(&Value::Text("a".into())));
    let children = table_of(&txn, "children");
    let child = |parent| [vec![Value::Int8(500), Value::Int8(parent)]];
    done(txn.check_references(children, &child(19), &|_| true));
    assert_eq!(error_of(txn.check_references(children, &child(50), &|_| true)).state().0, "23503");
    assert_eq!(txn.referring(children, &[2], &[vec![Value::Int8(5)]]).unwrap().len(), 1);
    let sequence = catalog.sequence("public", "counter").unwrap();
    assert_eq!(txn.nextval(sequence.oid).unwrap(), 43);
}

#[test]
fn tables_of_all_types_open_and_go_on() {
    if let Some(dir) = std::env::var_os("HITHER_FORMAT_TYPES") {
        write(Path::new(&dir));
    }
    for (kept, format) in KEPT {
        let copied = tempfile::tempdir().unwrap();
        let dir = copied.path().join("data");
        copy(&folder().join(kept), &dir);
        let fs: Arc<dyn Fs> = Arc::new(DiskFs);
        let mut told = Vec::new();
        let checked =
            crate::database::check::check_directory(fs.clone(), &dir, &mut |error| told.push(error));
        assert_eq!(checked.unwrap().problems, 0, "{kept}: {told:?}");
        let database = Database::open(fs.clone(), &dir, small()).unwrap();
        assert_eq!(read(&database), written(format), "{kept}");
        use_them(&database);
        let mut expected = written(format);
        let mut txn = database.begin(Isolation::ReadCommitted);
        let table = table_of(&txn, "vectors");
        done(txn.insert(table, &[vectors(500)], OnConflict::Error));
        expected.get_mut("vectors").unwrap().push(vectors(500));
        txn.commit().unwrap();
        database.check().unwrap();
        database.close().unwrap();
        drop(database);
        let database = Database::open(fs, &dir, small()).unwrap();
        assert_eq!(read(&database), expected, "{kept}");
    }
}
