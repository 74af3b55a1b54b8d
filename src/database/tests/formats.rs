//! Data directories of every format there was, in `tests/formats/<version>`: each is opened, holds what was put into it and
//! goes on. They were made by [`write`], under the program of their time, by a process that was killed.
//!
//! A new format gets its directory by `HITHER_FORMAT=tests/formats/<version> cargo test --no-default-features --lib formats`.

use std::path::PathBuf;

use super::vacuum::{create_index, load, update};
use super::*;
use crate::database::control::FORMAT_VERSION;
use crate::error::SqlState;
use crate::fs::{DiskFs, OpenMode};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

fn small() -> Options {
    Options { log_segment_bytes: 8 << 10, ..options() }
}

/// Rows in sorted tables, in the log, in a segment and a graph generation.
fn write(dir: &Path) {
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    let database = Database::open(fs.clone(), dir, small()).unwrap();
    let table = create_t(&database);
    create_index(&database, table);
    load(&database, table, 0..60, "first");
    database.close().unwrap();
    drop(database);
    let database = Database::open(fs, dir, small()).unwrap();
    update(&database, table, 0..10, "second", false);
    load(&database, table, 100..110, "third");
    super::vacuum::delete(&database, table, 20..25);
}

fn written() -> Vec<(i64, String)> {
    let name = |id: i64| match id {
        0..10 => "second",
        100..110 => "third",
        _ => "first",
    };
    (0..20).chain(25..60).chain(100..110).map(|id| (id, name(id).to_owned())).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn directories_of_every_format_open_and_go_on() {
    if let Some(dir) = std::env::var_os("HITHER_FORMAT") {
        write(Path::new(&dir));
    }
    for version in 1..=FORMAT_VERSION {
        let kept = folder().join(version.to_string());
        assert!(kept.join("CONTROL").exists(), "there is a directory of format {version}");
        let copied = tempfile::tempdir().unwrap();
        let dir = copied.path().join("data");
        copy(&kept, &dir);
        let fs: Arc<dyn Fs> = Arc::new(DiskFs);
        let mut told = Vec::new();
        let checked =
            crate::database::check::check_directory(fs.clone(), &dir, &mut |error| told.push(error));
        assert_eq!(checked.unwrap().problems, 0, "format {version}: {told:?}");
        let database = Database::open(fs.clone(), &dir, small()).unwrap();
        let table = database.catalog().tables().next().unwrap().oid;
        assert_eq!(all(&database, table), written(), "format {version}");
        let mut txn = database.begin(Isolation::ReadCommitted);
        insert(&mut txn, table, &[(500, "now")]);
        txn.commit().unwrap();
        database.check().unwrap();
        database.close().unwrap();
        drop(database);
        let database = Database::open(fs, &dir, small()).unwrap();
        assert_eq!(all(&database, table).len(), written().len() + 1, "format {version}");
    }
}

#[test]
fn a_directory_of_a_newer_format_is_refused_by_name() {
    let copied = tempfile::tempdir().unwrap();
    copy(&folder().join(FORMAT_VERSION.to_string()), copied.path());
    let file = DiskFs.open(&copied.path().join("CONTROL"), OpenMode::ReadWrite).unwrap();
    file.write_all_at(&(FORMAT_VERSION + 1).to_le_bytes(), 8).unwrap();
    let error = Database::open(Arc::new(DiskFs), copied.path(), small()).err().unwrap();
    assert_eq!(error.state(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    let newer = FORMAT_VERSION + 1;
    assert!(
        error
            .message()
            .contains(&format!("has format {newer}, and this program knows formats up to {FORMAT_VERSION}")),
        "{error}"
    );
}

/// Every file of the kept directories as lines.
#[test]
fn every_file_can_be_told_as_lines() {
    for path in files(&folder().join(FORMAT_VERSION.to_string())) {
        let mut lines = Vec::new();
        let told = crate::database::describe::describe(&DiskFs, &path, &mut |line| {
            lines.push(line);
            Ok(())
        });
        told.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let has = |part: &str| lines.iter().any(|line| line.contains(part));
        let right = match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") => has("log segment") && has("commit of transaction"),
            Some("sst") => has("sorted table") && has(" entries") && lines.len() > 5,
            Some("vec") => has("vector(3)") && has("[42.0, 1.0, -1.0]"),
            Some("hnsw") => has("graph of 60 nodes") && has("; sound") && lines.len() == 61,
            _ => !lines.is_empty(),
        };
        assert!(right, "{}: {lines:#?}", path.display());
    }
    let error =
        crate::database::describe::describe(&DiskFs, &folder().join("../../Cargo.toml"), &mut |_| Ok(()));
    assert_eq!(error.unwrap_err().state(), SqlState::INVALID_PARAMETER_VALUE);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}
