//! Data directories of every format there was, in `tests/formats/<version>`: each is opened, holds what was put into it and
//! goes on. They were made by [`write`], under the program of their time, by a process that was killed.
//!
//! A new format gets its directory by `HITHER_FORMAT=tests/formats/<version> cargo test --no-default-features --lib formats`.

use std::path::PathBuf;

use super::vacuum::{create_index, load, update};
use super::*;
use crate::database::backup::Target;
use crate::database::control::FORMAT_VERSION;
use crate::database::{ArchiveOptions, Cluster};
use crate::error::SqlState;
use crate::fs::{DiskFs, OpenMode};
use crate::log::Position;
use crate::types::Sparsevec;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

pub fn small() -> Options {
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

pub fn copy(from: &Path, to: &Path) {
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

/// A closed data directory of two databases under `data`, with every kind of file of a table, a log in `archive` and a
/// backup in `backups`. Returns the table with lists.
fn everything(folder: &Path) -> Oid {
    let archive = ArchiveOptions { dir: Some(folder.join("archive")), ..ArchiveOptions::default() };
    let cluster =
        Cluster::open(Arc::new(DiskFs), &folder.join("data"), Options { archive, ..small() }).unwrap();
    cluster.create("shop").unwrap();
    let database = cluster.main();
    let graph = create_t(database);
    create_index(database, graph);
    let mut txn = database.begin(Isolation::ReadCommitted);
    let lists = create_u(&mut txn, "l");
    let columns = vec![column(1, "id", Type::Int8), column(2, "v", Type::Sparsevec(Some(5)))];
    let cells = create_with(&mut txn, "s", columns);
    let vector = Sparsevec::new(5, [(0, 1.5), (2, -2.0)].into_iter());
    done(txn.insert(
        cells,
        &[vec![Value::Int8(1), Value::Sparsevec(vector)], vec![Value::Int8(2), Value::Null]],
        OnConflict::Error,
    ));
    txn.commit().unwrap();
    super::lists::create_lists(database, lists);
    for table in [graph, lists] {
        load(database, table, 0..60, "first");
    }
    database.backup(&folder.join("backups"), &AtomicBool::new(false)).unwrap();
    while database.step_archiver().unwrap() {}
    cluster.close().unwrap();
    lists
}

/// Every file of the kept directories, and of a new one with its archive and its backups, as lines.
#[test]
fn every_file_can_be_told_as_lines() {
    let new = tempfile::tempdir().unwrap();
    everything(new.path());
    let mut kinds = BTreeSet::new();
    for path in files(&folder().join(FORMAT_VERSION.to_string())) {
        kinds.insert(tell(&path));
    }
    // What a lock and what is to become a list or a piece of the log have in them has no meaning.
    let meaning = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        !(name == "LOCK" || name == "DATABASES.new" || name.starts_with("spare-"))
    };
    for path in files(new.path()).iter().filter(|path| meaning(path)) {
        kinds.insert(tell(path));
    }
    for kind in
        ["CONTROL", "CURRENT", "DATABASES", "MANIFEST-000001", "base", "heap", "hnsw", "ivfflat", "log"]
    {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    for kind in ["piece", "sst", "sst of columns", "vec"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    let error =
        crate::database::describe::describe(&DiskFs, &folder().join("../../Cargo.toml"), &mut |_| Ok(()));
    assert_eq!(error.unwrap_err().state(), SqlState::INVALID_PARAMETER_VALUE);
}

fn lines(path: &Path) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    crate::database::describe::describe(&DiskFs, path, &mut |line| {
        lines.push(line);
        Ok(())
    })?;
    Ok(lines)
}

/// The kind of a file, whose lines are as they should be.
fn tell(path: &Path) -> String {
    let lines = lines(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let has = |part: &str| lines.iter().any(|line| line.contains(part));
    let name = path.file_name().unwrap().to_string_lossy();
    // A backup's copy has its checksums behind its name.
    let copied = ["vec", "heap", "hnsw", "ivfflat", "CURRENT", "MANIFEST-000001"];
    let copied = copied.into_iter().find(|kind| name.contains(&format!(".{kind}.")));
    let kind = match copied.unwrap_or_else(|| name.rsplit('.').next().unwrap()) {
        "sst" if has(" entries of 3 columns") => "sst of columns",
        kind => kind,
    };
    let right = match kind {
        "log" => has("log segment") && (has("commit of transaction") || has("no record")),
        "piece" => has("piece of the log, positions ") && has("commit of transaction"),
        "sst of columns" => has("  column 0: 8 bytes, ") && has("  column 2: outside, plain"),
        "sst" => has("sorted table") && has(" entries") && lines.len() > 5,
        "vec" if has("sparsevec(5)") => has("0: Place") && has("1: NULL"),
        "vec" => has("vector(3)") && has("[42.0, 1.0, -1.0]"),
        "heap" => {
            lines
                == ["extent 0 of the sparse cells of column 2: 1 blocks", "block 0, offset 0: {1:1.5,3:-2}/5"]
        }
        "hnsw" => has("graph of 60 nodes") && has("; sound") && lines.len() == 61,
        "ivfflat" => has("8 lists of 8 asked for, 60 slots") && has("; sound") && lines.len() == 9,
        "base" => has("\"cluster\":") && has(".heap"),
        "DATABASES" => has("list of 1 databases") && has("\"shop\""),
        _ => !lines.is_empty(),
    };
    assert!(right, "{}: {lines:#?}", path.display());
    kind.to_owned()
}

/// The bytes of a file of another version, with the checksum over so many bytes of its header.
fn with_version(sound: &[u8], version: u32, summed: usize) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let sum = crc32c::crc32c(&bytes[..summed]);
    bytes[summed..summed + 4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// A file of a newer program ends the open, and nothing is changed; a version that rotted is damage.
#[test]
fn a_file_of_a_newer_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let table = everything(folder.path());
    let data = folder.path().join("data");
    let open = || Database::open(Arc::new(DiskFs), &data, small());
    for (kind, newest, summed) in [("vec", 2, 28), ("heap", 1, 20), ("hnsw", 5, 80), ("ivfflat", 1, 64)] {
        let all = files(&data);
        let path = all.iter().find(|path| path.extension().is_some_and(|of| of == kind)).unwrap();
        let sound = std::fs::read(path).unwrap();
        // Of one the header is laid out as now, of the other it has a field more where the checksum is.
        let mut longer = sound.clone();
        longer[summed..summed + 4].fill(7);
        let newer_ones = [
            (9, with_version(&sound, 9, summed)),
            (newest + 1, with_version(&longer, newest + 1, summed + 4)),
        ];
        for (version, newer) in newer_ones {
            std::fs::write(path, &newer).unwrap();
            let expected = format!(
                "\"{}\" has format version {version}; this version of Hither reads up to {newest}",
                path.display()
            );
            let error = open().err().unwrap_or_else(|| panic!("{kind} of version {version} is opened"));
            assert_eq!((error.state(), error.message()), (SqlState("55000"), &expected[..]));
            assert!(error.fields().hint.is_some());
            assert_eq!(lines(path).unwrap_err().message(), expected);
            assert!(std::fs::read(path).unwrap() == newer, "{kind} is as it was");
            std::fs::write(path, &sound).unwrap();
        }
        let mut rotted = sound.clone();
        rotted[8] = 9;
        std::fs::write(path, &rotted).unwrap();
        let database = open().unwrap();
        let version = database.core().version.load_full();
        let built_anew = version
            .tables
            .values()
            .any(|table| table.state().vector_indexes.iter().any(|index| !index.tail.is_empty()));
        let is_graph = ["hnsw", "ivfflat"].contains(&kind);
        assert_eq!((version.damaged.len(), built_anew), (usize::from(!is_graph), is_graph), "{kind}");
        drop((version, database));
        std::fs::write(path, &sound).unwrap();
        assert_eq!(super::all(&open().unwrap(), table).len(), 60);
    }
}

/// Those that are refused by the version alone, before any checksum, a sorted table, whose checksum has its place in it,
/// and the log, which has no version.
#[test]
fn every_other_file_of_a_newer_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    write_cluster(folder.path());
    let [data, backups, archive] = ["data", "backups", "archive"].map(|name| folder.path().join(name));
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    let open = || Cluster::open(fs.clone(), &data, small()).map(drop);
    let restored = folder.path().join("restored");
    let restoring = || {
        let outcome =
            crate::database::backup::restore(&DiskFs, &backups, Some(&archive), &restored, Target::Latest, 7);
        let made = restored.join("CONTROL").exists();
        let _ = std::fs::remove_dir_all(&restored);
        assert_eq!(outcome.is_ok(), made);
        outcome.map(drop)
    };
    let first_of = |folder: &Path, what: &dyn Fn(&str) -> bool| {
        let mut all = files(folder);
        all.sort();
        all.into_iter().find(|path| what(&path.file_name().unwrap().to_string_lossy())).unwrap()
    };
    let manifest = first_of(&data, &|name| name.starts_with("MANIFEST-"));
    let table = first_of(&data.join("tables"), &|name| name.ends_with(".sst"));
    // The one that the newest backup needs.
    let piece = files(&archive).into_iter().max().unwrap();
    let base = first_of(&backups, &|name| name.ends_with(".base"));
    let list = data.join("DATABASES");
    let version_at_8 = |sound: &[u8]| {
        let mut bytes = sound.to_vec();
        bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
        bytes
    };
    let number = |part: &std::ffi::OsStr| part.to_string_lossy().parse::<u64>().unwrap();
    let footer = |sound: &[u8]| {
        let mut bytes = sound.to_vec();
        let at = bytes.len() - 64;
        bytes[at + 44..at + 48].copy_from_slice(&9u32.to_le_bytes());
        let storage = number(table.parent().unwrap().file_name().unwrap());
        let place = [storage.to_le_bytes(), number(table.file_stem().unwrap()).to_le_bytes()].concat();
        let sum = crc32c::crc32c_append(crc32c::crc32c(&place), &bytes[at..at + 48]);
        bytes[at + 48..at + 52].copy_from_slice(&sum.to_le_bytes());
        bytes
    };
    let json = |sound: &[u8]| {
        let text = std::str::from_utf8(sound).unwrap().replace("\"format\": 1", "\"format\": 9");
        let text = text.trim_end().rsplit_once('\n').unwrap().0.to_owned();
        format!("{text}\n{:08x}\n", crc32c::crc32c(text.as_bytes())).into_bytes()
    };
    let reads = "has format version 9; this version of Hither reads up to";
    let knows = "and this program knows";
    type Asked<'a> = &'a dyn Fn() -> Result<(), Error>;
    let mut cases: Vec<(&Path, Vec<u8>, Asked, &str)> = Vec::new();
    let sound = |path: &Path| std::fs::read(path).unwrap();
    cases.push((&manifest, version_at_8(&sound(&manifest)), &open, reads));
    cases.push((&table, footer(&sound(&table)), &open, reads));
    cases.push((&list, version_at_8(&sound(&list)), &open, knows));
    cases.push((&piece, version_at_8(&sound(&piece)), &restoring, knows));
    cases.push((&base, json(&sound(&base)), &restoring, knows));
    for (path, newer, asked, words) in cases {
        let sound = sound(path);
        asked().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        std::fs::write(path, &newer).unwrap();
        let error = asked().err().unwrap_or_else(|| panic!("{} of version 9 is taken", path.display()));
        assert_eq!(error.state(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{error}");
        let (message, name) = (error.message(), path.display().to_string());
        assert!(message.contains(&name) && message.contains('9') && message.contains(words), "{error}");
        assert!(std::fs::read(path).unwrap() == newer, "{name} is as it was");
        if path != base {
            assert_eq!(lines(path).unwrap_err().message(), message);
        }
        std::fs::write(path, &sound).unwrap();
        asked().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    // What would be the next version of the log.
    let log = first_of(&data.join("log"), &|name| name.ends_with(".log"));
    let mut bytes = sound(&log);
    bytes[7] = b'2';
    std::fs::write(&log, &bytes).unwrap();
    let error = open().unwrap_err();
    assert_eq!(error.state(), SqlState::DATA_CORRUPTED, "{error}");
    assert!(error.message().starts_with(&format!("{} is damaged at offset 0", log.display())), "{error}");
    // It is CONTROL that tells a newer one.
    let control = data.join("CONTROL");
    std::fs::write(&control, version_at_8(&sound(&control))).unwrap();
    assert_eq!(open().unwrap_err().state(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
}

/// The databases, the backups and the archive that are kept beside the directory of the present format.
fn kept() -> PathBuf {
    folder().join(format!("{FORMAT_VERSION}-cluster"))
}

/// [`everything`], a second backup, and commits that only the archive has.
fn write_cluster(folder: &Path) {
    everything(folder);
    let archive = ArchiveOptions { dir: Some(folder.join("archive")), ..ArchiveOptions::default() };
    let options = Options { archive, ..small() };
    let cluster = Cluster::open(Arc::new(DiskFs), &folder.join("data"), options).unwrap();
    let (main, shop) = (cluster.main(), cluster.members().remove(1).database.unwrap());
    let graph = main.catalog().table("public", "t").unwrap().oid;
    let table = create_t(&shop);
    load(&shop, table, 0..30, "shop");
    update(main, graph, 0..10, "second", false);
    main.backup(&folder.join("backups"), &AtomicBool::new(false)).unwrap();
    super::vacuum::delete(main, graph, 20..25);
    load(main, graph, 100..110, "third");
    // Only whole segments go into an archive.
    main.core().log.rotate().unwrap();
    while main.step_archiver().unwrap() {}
    cluster.close().unwrap();
    drop(cluster);
    for path in files(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "LOCK" || name.starts_with("spare-") || name == "DATABASES.new" {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Databases, backups and an archive of this format, as its program wrote them first: the databases open, and what is
/// restored of each backup is what was there.
#[test]
fn databases_and_backups_that_were_kept_open_and_are_restored() {
    if let Some(dir) = std::env::var_os("HITHER_FORMAT") {
        write_cluster(&Path::new(&dir).with_file_name(format!("{FORMAT_VERSION}-cluster")));
    }
    let copied = tempfile::tempdir().unwrap();
    copy(&kept(), copied.path());
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    let cluster = Cluster::open(fs.clone(), &copied.path().join("data"), small()).unwrap();
    let members = cluster.members();
    assert_eq!(members.iter().map(|member| &*member.name).collect::<Vec<_>>(), ["postgres", "shop"]);
    let rows_of =
        |database: &Arc<Database>| all(database, database.catalog().table("public", "t").unwrap().oid);
    assert_eq!(rows_of(cluster.main()), written());
    let shop = members[1].database.as_ref().unwrap();
    assert_eq!(rows_of(shop), (0..30).map(|id| (id, "shop".to_owned())).collect::<Vec<_>>());
    shop.check().unwrap();
    cluster.main().check().unwrap();
    let (backups, archive) = (copied.path().join("backups"), copied.path().join("archive"));
    let bases = crate::database::backup::repository::bases(&DiskFs, &backups).unwrap();
    assert_eq!(bases.len(), 2);
    let restored = |name: &str, target: Target| {
        let to = copied.path().join(name);
        crate::database::backup::restore(&DiskFs, &backups, Some(&archive), &to, target, 7).unwrap();
        let database = Database::open(fs.clone(), &to, small()).unwrap();
        database.check().unwrap();
        rows_of(&database)
    };
    assert_eq!(restored("latest", Target::Latest), written());
    let first =
        |name: fn(i64) -> &'static str| (0..60).map(|id| (id, name(id).to_owned())).collect::<Vec<_>>();
    let last = |base: usize| Target::Position(Position(bases[base].last));
    assert_eq!(restored("first", last(0)), first(|_| "first"));
    assert_eq!(restored("second", last(1)), first(|id| if id < 10 { "second" } else { "first" }));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}
