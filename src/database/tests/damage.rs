//! A small database with every kind of file, damaged: a byte flipped, a file cut, a file gone.
//!
//! What is read afterwards is right, or an error that names the file, never a wrong row and never a panic; and a file of
//! one table does not keep the database from opening (see `damaged_tables.rs` for what comes then). Read are the rows,
//! their keys and vectors, and before anything else has looked at a vector, nearest neighbours: by graphs, codes and
//! lists only true rows at their distances and as many as there are, without an index the nearest ones.
//!
//! Each case is tallied. *Detected* is an error. After a right answer a scrub and a checkpoint follow: where the scrub
//! has a finding, or the damaged place is in no file any more, it is *repaired*. What is left has to be *unused*: in a
//! range of which the format says that nobody reads it ([`unused`]), or the case fails.
//!
//! The quick form takes some hundred places; `HITHER_DAMAGE=full cargo test --release --no-default-features --lib damage`
//! takes every byte and every length, of unused ranges every 61st.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use roaring::RoaringBitmap;

use super::*;
use crate::catalog::{HnswOptions, Index, IndexMethod, IndexMetric, IvfflatOptions};
use crate::database::RowUpdate;
use crate::distance::Vector;
use crate::error::{Result, SqlState};
use crate::fs::OpenMode;
use crate::index::Probes;
use crate::index::quantizer::Quantization;
use crate::types::Sparsevec;

type Answer = Vec<(i64, String)>;

static CANCEL: AtomicBool = AtomicBool::new(false);
/// Has no vectors.
const NULL_ID: i64 = 50;

fn dense(id: i64) -> Option<Vec<f32>> {
    (id != NULL_ID).then(|| vec![id as f32, (id * 7 % 13) as f32, -1.0])
}

fn sparse(id: i64) -> Option<Sparsevec> {
    let elements = [(id as u32 % 5, id as f32), (5 + id as u32 % 3, 1.5)];
    (id != NULL_ID).then(|| Sparsevec::new(8, elements.into_iter()))
}

pub fn row_of(id: i64, name: &str) -> Vec<Value> {
    let dense = dense(id).map_or(Value::Null, Value::Vector);
    vec![Value::Int8(id), Value::Text(name.into()), dense, sparse(id).map_or(Value::Null, Value::Sparsevec)]
}

/// `create table t (id bigint primary key, name text, v vector(3), s sparsevec(8))` with a graph, a graph of codes and
/// lists over `v`, and a graph over `s`.
pub fn create(database: &Arc<Database>) -> Oid {
    let mut txn = database.begin(Isolation::ReadCommitted);
    let columns = vec![
        column(1, "id", Type::Int8),
        column(2, "name", Type::Text),
        column(3, "v", Type::Vector(Some(3))),
        column(4, "s", Type::Sparsevec(Some(8))),
    ];
    let table = create_with(&mut txn, "t", columns);
    txn.commit().unwrap();
    let graph =
        |quantization| HnswOptions { metric: IndexMetric::L2, m: 4, ef_construction: 16, quantization };
    let lists = IvfflatOptions { metric: IndexMetric::L2, lists: 4 };
    for (name, column, hnsw, ivfflat) in [
        ("graph", 3, Some(graph(None)), None),
        ("codes", 3, Some(graph(Some(Quantization::Sq8))), None),
        ("parts", 3, Some(graph(Some(Quantization::Pq))), None),
        ("lists", 3, None, Some(lists)),
        ("sparse", 4, Some(graph(None)), None),
    ] {
        let mut txn = database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        let index = Index {
            oid: txn.new_oid(),
            name: name.into(),
            table,
            method: if hnsw.is_some() { IndexMethod::Hnsw } else { IndexMethod::Ivfflat },
            columns: vec![column],
            hnsw,
            ivfflat,
            ..Index::default()
        };
        done(txn.create_index(index));
        txn.commit().unwrap();
    }
    table
}

fn load(database: &Arc<Database>, table: Oid, ids: Range<i64>, name: &str) {
    let rows: Vec<_> = ids.map(|id| row_of(id, name)).collect();
    let mut txn = database.begin(Isolation::ReadCommitted);
    done(txn.insert(table, &rows, OnConflict::Error));
    txn.commit().unwrap();
    while database.step_indexer().unwrap() {}
}

fn change(
    database: &Arc<Database>,
    table: Oid,
    ids: Range<i64>,
    f: impl Fn(&mut Transaction, &[(i64, u32)]),
) {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let key = txn.catalog().indexes_of(table).find(|index| index.unique).unwrap().oid;
    let snapshot = txn.snapshot(table).unwrap();
    let slot = |id| snapshot.lookup_key(key, &[Value::Int8(id)]).unwrap().unwrap();
    let slots: Vec<(i64, u32)> = ids.map(|id| (id, slot(id))).collect();
    drop(snapshot);
    done(txn.lock_rows(table, &slots.iter().map(|(_, slot)| *slot).collect::<Vec<_>>()));
    f(&mut txn, &slots);
    txn.commit().unwrap();
}

fn rename(database: &Arc<Database>, table: Oid, ids: Range<i64>, name: &str) {
    change(database, table, ids, |txn, rows| {
        let new = |(id, slot): &(i64, u32)| RowUpdate {
            slot: *slot,
            row: row_of(*id, name),
            vectors_changed: false,
        };
        done(txn.update(table, &rows.iter().map(new).collect::<Vec<_>>()));
    });
}

struct Sample {
    fs: MemoryFs,
    table: Oid,
    answer: Answer,
    /// Before the last commit.
    former: Answer,
    /// Slots of rows.
    live: BTreeSet<u32>,
    /// Those of them that recovery writes again.
    in_log: BTreeSet<u32>,
}

/// Rows in sorted tables, in segments and in graph generations. Closed in order, or killed with more of them in the log.
fn sample(is_closed: bool) -> Sample {
    let fs = Arc::new(MemoryFs::new());
    let open = || {
        let options = Options { log_segment_bytes: 8 << 10, ..options() };
        Database::open(fs.clone(), Path::new("/db"), options).unwrap()
    };
    let database = open();
    let table = create(&database);
    load(&database, table, 0..60, "first");
    change(&database, table, 20..25, |txn, rows| {
        done(txn.delete(table, &rows.iter().map(|(_, slot)| *slot).collect::<Vec<_>>()));
    });
    database.close().unwrap();
    drop(database);
    let database = open();
    rename(&database, table, 0..10, "second");
    // Over several segments of the log.
    load(&database, table, 100..105, &"third".repeat(150));
    load(&database, table, 105..109, &"third".repeat(150));
    let (former, _) = rows_of(&database, table).unwrap();
    load(&database, table, 109..110, "fourth");
    if is_closed {
        database.close().unwrap();
    }
    let (answer, slots) = rows_of(&database, table).unwrap();
    assert_eq!(answer.len(), 65);
    drop(database);
    let in_log = slots.iter().filter(|(_, id)| !is_closed && **id >= 100).map(|(slot, _)| *slot).collect();
    Sample { fs: fs.crash(1), table, answer, former, live: slots.into_keys().collect(), in_log }
}

fn files(fs: &MemoryFs, folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for name in fs.list(folder).unwrap() {
        let path = folder.join(name);
        match fs.open(&path, OpenMode::Read) {
            Ok(_) => all.push(path),
            Err(_) => all.extend(files(fs, &path)),
        }
    }
    all
}

fn bytes_of(fs: &MemoryFs, path: &Path) -> Option<Vec<u8>> {
    let file = fs.open(path, OpenMode::Read).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

fn is_of_the_table(path: &Path) -> bool {
    ["/db/tables/1/", "/db/indexes/1/"].iter().any(|folder| path.starts_with(folder))
}

/// The rows, without their vectors, and the slots they are in.
pub fn rows_of(database: &Arc<Database>, table: Oid) -> Result<(Answer, BTreeMap<u32, i64>)> {
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table)?;
    let key = txn.catalog().indexes_of(table).find(|index| index.unique).unwrap().oid;
    let (mut found, mut slots) = (Vec::new(), BTreeMap::new());
    for entry in snapshot.scan() {
        let (slot, row) = entry?;
        let values = snapshot.layout().read(&row)?.values()?;
        let (Value::Int8(id), Value::Text(name)) = (&values[0], &values[1]) else { panic!("{values:?}") };
        assert_eq!(snapshot.lookup_key(key, &[Value::Int8(*id)])?, Some(slot), "the key of {id}");
        slots.insert(slot, *id);
        found.push((*id, name.clone()));
    }
    found.sort_unstable();
    Ok((found, slots))
}

/// Opens, whatever is wrong with this file if it is one of the table's, and reads everything.
fn read(fs: MemoryFs, path: &Path, table: Oid) -> Result<(Answer, Arc<Database>)> {
    let opened = Database::open(Arc::new(fs), Path::new("/db"), options());
    assert!(opened.is_ok() || !is_of_the_table(path), "{}: {:?}", path.display(), opened.err());
    let database = opened?;
    let (found, slots) = rows_of(&database, table)?;
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table)?;
    let state = database.core().version.load().tables[&table].state();
    let none = RoaringBitmap::new();
    let (asked, asked_sparse) = ([13.3f32, 4.2, -1.0], Sparsevec::new(8, [(2, 9.3), (6, 1.0)].into_iter()));
    for (number, asked) in [(3, Vector::from(&asked[..])), (4, Vector::from(&asked_sparse))] {
        let view = snapshot.vector_view(number)?;
        let query = Query::new(Metric::L2, asked);
        let distance = |id: i64| match number {
            3 => dense(id).map(|vector| query.distance_to(&vector[..])),
            _ => sparse(id).map(|vector| query.distance_to(&vector)),
        };
        let finders = state.vector_indexes.iter().filter(|index| index.definition.columns == [number]);
        let searches = finders.flat_map(|index| match &*index.finder {
            Finder::Graph(_) => vec![(Some(index), By::Graph), (Some(index), By::FilteredGraph)],
            Finder::Lists(_) => vec![(Some(index), By::Lists)],
        });
        for (index, strategy) in searches.chain([(None, By::Exact)]) {
            // All rows, half of them, and fewer than are asked for.
            let filters: [&dyn Fn(i64) -> bool; 3] =
                [&|_| true, &|id| id % 2 == 0, &|id| [5, NULL_ID, 7].contains(&id)];
            for filter in filters {
                let allowed: RoaringBitmap =
                    slots.iter().filter(|(_, id)| filter(**id)).map(|(slot, _)| *slot).collect();
                snapshot.refuse_damaged(&view)?;
                let request = Request {
                    vectors: &view,
                    query: Query::new(Metric::L2, asked),
                    rows: Rows::exactly(&allowed),
                    finder: index.map(|index| &*index.finder),
                    tail: index.map_or(&none, |index| &index.tail),
                    k: 5,
                    ef: 10,
                    distances_max: u64::MAX,
                    probes: Probes { first: 2, most: 2 },
                    strategy: Some(strategy),
                    cancel: &CANCEL,
                };
                let hits = search(&request)?.hits;
                let case = format!("{}: {strategy:?} over column {number}", path.display());
                let mut shown = Vec::new();
                for hit in &hits {
                    let id = slots[&hit.slot];
                    assert!(allowed.contains(hit.slot), "{case}: {id} is not asked for");
                    view.verify(hit.slot)?;
                    let found = (!view.is_null(hit.slot)).then(|| query.distance_to(view.get(hit.slot)));
                    assert_eq!(found, distance(id), "{case}: the distance of {id}");
                    shown.push(found.unwrap_or(f64::INFINITY));
                }
                let distinct: BTreeSet<u32> = hits.iter().map(|hit| hit.slot).collect();
                assert_eq!(distinct.len() as u64, allowed.len().min(5), "{case}: {hits:?}");
                let mut nearest: Vec<f64> =
                    allowed.iter().map(|slot| distance(slots[&slot]).unwrap_or(f64::INFINITY)).collect();
                nearest.sort_by(f64::total_cmp);
                nearest.truncate(5);
                assert!(strategy != By::Exact || shown == nearest, "{case}: {shown:?} for {nearest:?}");
            }
        }
        for (&slot, &id) in &slots {
            view.verify(slot)?;
            assert_eq!(
                (!view.is_null(slot)).then(|| query.distance_to(view.get(slot))),
                distance(id),
                "{id}"
            );
        }
    }
    drop(txn);
    Ok((found, database))
}

#[derive(Debug, Default)]
struct Tally {
    tried: u64,
    detected: u64,
    repaired: u64,
    unused: u64,
}

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip(u64),
    Cut(u64),
    Gone,
}

impl Tally {
    fn sum(&mut self, other: &Tally) {
        self.tried += other.tried;
        self.detected += other.detected;
        self.repaired += other.repaired;
        self.unused += other.unused;
    }

    fn try_one(&mut self, sample: &Sample, path: &Path, damage: Damage, unused: &[Range<u64>]) {
        let case = format!("{damage:?} {}", path.display());
        let fs = sample.fs.crash(1);
        match damage {
            Damage::Flip(at) => {
                let file = fs.open(path, OpenMode::ReadWrite).unwrap();
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << (at % 8))], at).unwrap();
            }
            Damage::Cut(len) => fs.open(path, OpenMode::ReadWrite).unwrap().truncate(len).unwrap(),
            Damage::Gone => fs.remove_file(path).unwrap(),
        }
        let damaged = bytes_of(&fs, path);
        let whole = bytes_of(&sample.fs, path).unwrap().len() as u64;
        self.tried += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| read(fs.clone(), path, sample.table)));
        let outcome = outcome.unwrap_or_else(|_| panic!("{case}: a panic"));
        let (found, database) = match outcome {
            Ok(read) => read,
            Err(error) => {
                let known = [SqlState::DATA_CORRUPTED, SqlState::UNDEFINED_FILE, SqlState("55000")];
                assert!(known.contains(&error.state()), "{case}: {error}");
                assert!(error.message().contains("/db"), "{case}: no file is named: {error}");
                self.detected += 1;
                return;
            }
        };
        // The tail of the log, and nothing behind it that testifies.
        let is_torn = is_log(path) && matches!(damage, Damage::Flip(_)) && found == sample.former;
        assert!(found == sample.answer || is_torn, "{case}: a wrong answer: {found:?}");
        let findings = database.scrub(&CANCEL).unwrap().findings;
        database.checkpoint().unwrap();
        drop(database);
        let lies_in =
            |range: Range<u64>| unused.iter().any(|one| one.start <= range.start && range.end <= one.end);
        let is_unused = match damage {
            Damage::Flip(at) => lies_in(at..at + 1),
            Damage::Cut(len) => lies_in(len..whole),
            Damage::Gone => lies_in(0..whole),
        };
        let is_replaced = || match (damage, bytes_of(&fs, path), &damaged) {
            (Damage::Flip(at), Some(now), Some(then)) => now.get(at as usize) != then.get(at as usize),
            (_, now, then) => now != *then || now.is_none() && then.is_none(),
        };
        if is_torn || !findings.is_empty() {
            self.repaired += 1;
        } else if is_unused {
            self.unused += 1;
        } else {
            assert!(is_replaced(), "{case}: nobody has noticed");
            self.repaired += 1;
        }
    }
}

/// Ranges of a file of which the format says that nobody reads them, or only to write them anew.
#[expect(clippy::single_range_in_vec_init, reason = "some files have one range, others several")]
fn unused(sample: &Sample, path: &Path) -> Vec<Range<u64>> {
    let bytes = bytes_of(&sample.fs, path).unwrap();
    let len = bytes.len() as u64;
    let name = path.file_name().unwrap().to_str().unwrap();
    let stride = if name.starts_with('3') { 12 } else { 16 };
    // Within the segment that all slots are in.
    let group_at = |slot: u32| 4096 + u64::from(slot / 256) * 256 * (stride + 8);
    let parts = |slot: u32| {
        let (group, place) = (group_at(slot), u64::from(slot % 256));
        let side = |part: u64| group + 256 * (stride + 4 * part) + 4 * place;
        [group + stride * place..group + stride * (place + 1), side(0)..side(0) + 4, side(1)..side(1) + 4]
    };
    let slots = || 0..((len - 4096) / (256 * (stride + 8)) * 256) as u32;
    if name.ends_with(".vec") {
        let dead = slots().filter(|slot| !sample.live.contains(slot)).flat_map(parts);
        // What room a place has only counts for the process that gave it.
        let rooms =
            slots().filter(|_| stride == 16).map(|slot| parts(slot)[0].start + 12..parts(slot)[0].end);
        // NULL has no cell, wherever it is.
        let is_null = |slot: &u32| stride == 16 && bytes[parts(*slot)[0].start as usize..][..16] == [0; 16];
        let nulls = slots().filter(is_null).map(|slot| parts(slot)[0].clone());
        return merge(dead.chain(rooms).chain(nulls).chain([32..4096]).collect());
    }
    if name.ends_with(".heap") {
        let segment = bytes_of(&sample.fs, &path.with_file_name("4.0.vec")).unwrap();
        let word = |at: u64| u64::from(u32::from_le_bytes(segment[at as usize..][..4].try_into().unwrap()));
        let mut cells: Vec<Range<u64>> = Vec::new();
        // Recovery gives its rows new places.
        for &slot in sample.live.difference(&sample.in_log) {
            let place = 4096 + u64::from(slot) * 16;
            let start = 4096 + word(place) * (128 << 10) + word(place + 4);
            cells.push(start..start + word(place + 8));
        }
        cells.retain(|cell| !cell.is_empty());
        cells.sort_by_key(|cell| cell.start);
        let starts = [24, 4096].into_iter().chain(cells.iter().map(|cell| cell.end));
        let ends = [4096].into_iter().chain(cells.iter().map(|cell| cell.start)).chain([len]);
        return merge(
            starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end).collect(),
        );
    }
    match name {
        _ if name.ends_with(".hnsw") => vec![84..4096],
        _ if name.starts_with("spare-") => vec![0..len],
        _ if is_log(path) => {
            // Records begin at multiples of eight, and have the length of their payload first.
            // The note of the next segment is a help, not a need.
            let (mut at, mut ranges) = (4096, vec![28..4096]);
            while let Some(word) = bytes.get(at as usize..at as usize + 4).filter(|word| **word != [0; 4]) {
                let end = at + 16 + u64::from(u32::from_le_bytes(word.try_into().unwrap()));
                at = end.next_multiple_of(8);
                ranges.push(end..at);
            }
            ranges.push(at..len);
            merge(ranges)
        }
        _ => Vec::new(),
    }
}

/// Neighbours as one.
fn merge(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn is_full() -> bool {
    std::env::var("HITHER_DAMAGE").as_deref() == Ok("full")
}

fn steps(range: Range<u64>, quick: u64) -> impl Iterator<Item = u64> {
    let step = if is_full() { 1 } else { ((range.end - range.start) / quick).max(1) };
    // An odd step meets every place of a record sooner or later.
    range.step_by(step as usize | 1)
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

/// Where the last byte that is not zero ends.
fn written_end(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Every file of a sample, one kind of damage.
fn sweep(is_closed: bool, damages: impl Fn(&Path, u64, &[Range<u64>]) -> Vec<Damage>) -> Tally {
    let (sample, started) = (sample(is_closed), std::time::Instant::now());
    let mut all = Tally::default();
    for path in files(&sample.fs, Path::new("/db")) {
        let (bytes, unused) = (bytes_of(&sample.fs, &path).unwrap(), unused(&sample, &path));
        let mut tally = Tally::default();
        for damage in damages(&path, bytes.len() as u64, &unused) {
            tally.try_one(&sample, &path, damage, &unused);
        }
        println!("{}, {} bytes: {tally:?}", path.display(), bytes.len());
        all.sum(&tally);
    }
    println!("all: {all:?} in {:?}", started.elapsed());
    assert_eq!(all.tried, all.detected + all.repaired + all.unused);
    all
}

/// All places of what is used, or about `quick` of them, and some of what is not.
fn places(len: u64, unused: &[Range<u64>], quick: u64) -> Vec<u64> {
    let starts = [0].into_iter().chain(unused.iter().map(|range| range.end));
    let used = starts.zip(unused.iter().map(|range| range.start).chain([len]));
    let used: Vec<Range<u64>> =
        used.map(|(start, end)| start..end).filter(|range| !range.is_empty()).collect();
    let bytes: u64 = used.iter().map(|range| range.end - range.start).sum();
    let count = |range: &Range<u64>| (quick * (range.end - range.start)).div_ceil(bytes);
    let of_used = used.iter().flat_map(|range| steps(range.clone(), count(range)));
    let probe = |range: &Range<u64>| if is_full() { 61 } else { ((range.end - range.start) / 2).max(1) | 1 };
    let of_unused = unused.iter().flat_map(|range| range.clone().step_by(probe(range) as usize));
    of_used.chain(of_unused.take(if is_full() { usize::MAX } else { 4 })).collect()
}

#[test]
fn a_flipped_byte_gives_no_wrong_answer() {
    for is_closed in [false, true] {
        let tally = sweep(is_closed, |path, len, unused| {
            // Of a log densely where there are records.
            let quick = if is_log(path) { 30 } else { 10 };
            places(len, unused, quick).into_iter().map(Damage::Flip).collect()
        });
        assert!(tally.detected > 100 && tally.repaired > 30 && tally.unused > 10, "{tally:?}");
    }
}

/// A log file too: they have their full length from the beginning, so one that is shorter was not torn by a crash.
#[test]
fn a_file_that_is_gone_or_cut_gives_no_wrong_answer() {
    for is_closed in [false, true] {
        let tally = sweep(is_closed, |_, len, unused| {
            let cuts = places(len, unused, 5).into_iter().map(Damage::Cut);
            [Damage::Gone].into_iter().chain(cuts).collect()
        });
        assert!(tally.detected > 50, "{tally:?}");
    }
}

/// Only the last commit may go without a word: a crash may tear the log's tail, and nothing behind it testifies that it
/// was durable. Whatever is damaged before it is an error.
#[test]
fn a_damaged_log_loses_nothing_but_its_torn_tail() {
    let sample = sample(false);
    let mut torn = 0;
    for path in files(&sample.fs, Path::new("/db")).iter().filter(|path| is_log(path)) {
        let end = written_end(&bytes_of(&sample.fs, path).unwrap());
        for at in steps(4096..end.max(4096), 60) {
            let fs = sample.fs.crash(1);
            let file = fs.open(path, OpenMode::ReadWrite).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ (1 << (at % 8))], at).unwrap();
            if let Ok((found, _)) = read(fs, path, sample.table) {
                assert!(found == sample.answer || found == sample.former, "byte {at} of {}", path.display());
                torn += u32::from(found == sample.former);
            }
        }
    }
    assert!(torn > 0, "no place of the last commit was met");
}
