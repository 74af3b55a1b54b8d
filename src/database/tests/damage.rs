//! A small database with every kind of file, damaged: a byte flipped, a file cut, a file gone.
//!
//! What is read afterwards is right, or an error that names the file, never a wrong row and never a panic; and a file of
//! one table does not keep the database from opening (see `damaged_tables.rs` for what comes then). The quick
//! form takes some hundred places; `HITHER_DAMAGE=full cargo test --release --no-default-features --lib damage` takes
//! every byte and every length.

use std::path::PathBuf;

use super::vacuum::{create_index, load, update};
use super::*;
use crate::error::{Result, SqlState};
use crate::fs::OpenMode;

type Answer = Vec<(i64, String)>;

/// Rows in sorted tables, in the log, in segments and graph generations; the process was killed.
fn sample() -> (MemoryFs, Oid, Answer) {
    let (fs, table, _, answer) = sample_with_former();
    (fs, table, answer)
}

/// The third is the answer before the last commit.
fn sample_with_former() -> (MemoryFs, Oid, Answer, Answer) {
    let fs = Arc::new(MemoryFs::new());
    let options = Options { log_segment_bytes: 8 << 10, ..options() };
    let database = Database::open(fs.clone(), Path::new("/db"), options).unwrap();
    let table = create_t(&database);
    create_index(&database, table);
    load(&database, table, 0..60, "first");
    database.close().unwrap();
    drop(database);
    let database = open(&fs);
    update(&database, table, 0..10, "second", false);
    let former = all(&database, table);
    load(&database, table, 100..110, "third");
    let answer = all(&database, table);
    assert_eq!(answer.len(), 70);
    (fs.crash(1), table, former, answer)
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

fn is_of_the_table(path: &Path) -> bool {
    ["/db/tables/1/", "/db/indexes/1/"].iter().any(|folder| path.starts_with(folder))
}

/// Opens, whatever is wrong with this file if it is one of the table's, and reads everything: rows, their vectors, keys.
fn read(fs: MemoryFs, path: &Path, table: Oid) -> Result<Answer> {
    let opened = Database::open(Arc::new(fs), Path::new("/db"), options());
    assert!(opened.is_ok() || !is_of_the_table(path), "{}: {:?}", path.display(), opened.err());
    let database = opened?;
    let mut txn = database.begin(Isolation::ReadCommitted);
    txn.start_statement();
    let snapshot = txn.snapshot(table)?;
    let view = snapshot.vector_view(3)?;
    let key = txn.catalog().indexes_of(table).find(|index| index.unique).unwrap().oid;
    let mut found = Vec::new();
    for entry in snapshot.scan() {
        let (slot, row) = entry?;
        let values = snapshot.layout().read(&row)?.values()?;
        view.verify(slot)?;
        let (Value::Int8(id), Value::Text(name)) = (&values[0], &values[1]) else { panic!("{values:?}") };
        assert_eq!(view.get(slot).as_f32(), [*id as f32, 1.0, -1.0]);
        assert_eq!(snapshot.lookup_key(key, &[Value::Int8(*id)])?, Some(slot), "the key of {id}");
        found.push((*id, name.clone()));
    }
    found.sort_unstable();
    Ok(found)
}

#[derive(Debug, Default)]
struct Tally {
    tried: u64,
    detected: u64,
    harmless: u64,
}

impl Tally {
    fn judge(&mut self, case: &str, found: Result<Answer>, expected: &Answer) {
        self.tried += 1;
        match found {
            Ok(found) => {
                assert!(found == *expected, "{case}: a wrong answer");
                self.harmless += 1;
            }
            Err(error) => {
                let state = error.state();
                let known = [SqlState::DATA_CORRUPTED, SqlState::UNDEFINED_FILE, SqlState("55000")];
                assert!(known.contains(&state), "{case}: {error}");
                assert!(error.message().contains("/db"), "{case}: no file is named: {error}");
                self.detected += 1;
            }
        }
    }
}

fn steps(len: u64, quick: u64) -> impl Iterator<Item = u64> {
    let full = std::env::var("HITHER_DAMAGE").as_deref() == Ok("full");
    let step = if full { 1 } else { (len / quick).max(1) };
    // An odd step meets every place of a record sooner or later.
    (0..len).step_by(step as usize | 1)
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

#[test]
fn a_flipped_byte_gives_no_wrong_answer() {
    let (fs, table, expected) = sample();
    for path in files(&fs, Path::new("/db")).iter().filter(|path| !is_log(path)) {
        let mut tally = Tally::default();
        for at in steps(fs.open(path, OpenMode::Read).unwrap().len().unwrap(), 24) {
            let copy = fs.crash(1);
            let file = copy.open(path, OpenMode::ReadWrite).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ (1 << (at % 8))], at).unwrap();
            tally.judge(&format!("byte {at} of {}", path.display()), read(copy, path, table), &expected);
        }
        println!("{}: {tally:?}", path.display());
    }
}

#[test]
fn a_file_that_is_gone_or_cut_gives_no_wrong_answer() {
    let (fs, table, expected) = sample();
    for path in files(&fs, Path::new("/db")).iter().filter(|path| !is_log(path)) {
        let mut tally = Tally::default();
        let copy = fs.crash(1);
        copy.remove_file(path).unwrap();
        tally.judge(&format!("{} is gone", path.display()), read(copy, path, table), &expected);
        for len in steps(fs.open(path, OpenMode::Read).unwrap().len().unwrap(), 8) {
            let copy = fs.crash(1);
            copy.open(path, OpenMode::ReadWrite).unwrap().truncate(len).unwrap();
            tally.judge(&format!("{} cut to {len}", path.display()), read(copy, path, table), &expected);
        }
        println!("{}: {tally:?}", path.display());
    }
}

/// Only the last commit may go without a word: a crash may tear the log's tail, and nothing behind it testifies that it
/// was durable. Whatever is damaged before it is an error.
#[test]
fn a_damaged_log_loses_nothing_but_its_torn_tail() {
    let (fs, table, former, expected) = sample_with_former();
    let mut torn = 0;
    for path in files(&fs, Path::new("/db")).iter().filter(|path| is_log(path)) {
        let mut tally = Tally::default();
        let len = fs.open(path, OpenMode::Read).unwrap().len().unwrap();
        let written = written_end(&fs, path, len);
        // Densely where there are records, and some places of the zeros behind them.
        for at in steps(written, 60).chain((written..len).step_by(len as usize / 4)) {
            let copy = fs.crash(1);
            let file = copy.open(path, OpenMode::ReadWrite).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ (1 << (at % 8))], at).unwrap();
            let found = read(copy, path, table);
            torn += u32::from(found.as_ref().is_ok_and(|found| *found == former));
            let right = if found.as_ref().is_ok_and(|found| *found == former) { &former } else { &expected };
            tally.judge(&format!("byte {at} of {}", path.display()), found, right);
        }
        println!("{}: {tally:?}", path.display());
        assert!(tally.detected + tally.harmless == tally.tried && tally.tried > 8);
    }
    assert!(torn > 0, "no place of the last commit was met");
}

/// Where the last byte that is not zero ends.
fn written_end(fs: &MemoryFs, path: &Path, len: u64) -> u64 {
    let mut bytes = vec![0; len as usize];
    fs.open(path, OpenMode::Read).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}
