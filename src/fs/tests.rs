//! The same expectations of the disk and of memory, then what only memory and faults do.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::faulty::{Fault, Op, What};
use super::*;
use crate::error::SqlState;

/// Every file system with a folder to work in.
fn each(test: impl Fn(&dyn Fs, &Path)) {
    each_home(&test);
    let folder = tempfile::tempdir().unwrap();
    test(&TrialFs::new(Arc::new(DiskFs)), &folder.path().join("nothing there"));
}

/// Those that stand on their own.
fn each_home(test: impl Fn(&dyn Fs, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(&DiskFs, folder.path());
    let memory = MemoryFs::new();
    memory.create_dir_all(Path::new("/data")).unwrap();
    test(&memory, Path::new("/data"));
}

#[test]
fn a_trial_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["a", "b", "c"] {
        std::fs::write(path(name), [name.as_bytes()[0]; 10_000]).unwrap();
    }
    let fs = TrialFs::new(Arc::new(DiskFs));
    let file = fs.open(&path("a"), OpenMode::ReadWrite).unwrap();
    let (whole, longer) = (file.map(10_000).unwrap(), file.map(20_000).unwrap());
    file.write_all_at(b"changed", 4093).unwrap();
    let mut bytes = [0; 9];
    file.read_exact_at(&mut bytes, 4092).unwrap();
    assert_eq!(&bytes, b"achangeda");
    assert_eq!((&whole[4092..4101], &longer[4092..4101]), (&bytes[..], &bytes[..]));
    assert_eq!(file.map(10_000).unwrap()[4092..4101], bytes);
    assert_eq!(file.map_words().unwrap()[1024].load(Ordering::Relaxed).to_ne_bytes(), *b"nged");
    file.truncate(4095).unwrap();
    file.allocate(5000).unwrap();
    let mut bytes = [1; 4];
    file.read_exact_at(&mut bytes, 4092).unwrap();
    assert_eq!(&bytes, b"ach\0");
    file.read_exact_at(&mut bytes, 4996).unwrap();
    assert_eq!(bytes, [0; 4]);
    assert!(file.read_exact_at(&mut bytes, 4997).is_err());
    fs.rename(&path("b"), &path("d")).unwrap();
    fs.remove_file(&path("c")).unwrap();
    assert_eq!(fs.list(folder.path()).unwrap(), [Path::new("a"), Path::new("d")]);
    let moved = fs.open(&path("d"), OpenMode::Read).unwrap();
    moved.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"bbbb");
    fs.remove_dir_all(folder.path()).unwrap();
    assert!(!fs.exists(folder.path()) && fs.list(folder.path()).unwrap().is_empty());
    for name in ["a", "b", "c"] {
        assert_eq!(std::fs::read(path(name)).unwrap(), [name.as_bytes()[0]; 10_000]);
    }
}

#[test]
fn files_read_what_was_written() {
    each(|fs, dir| {
        let path = dir.join("a");
        let file = fs.open(&path, OpenMode::Create).unwrap();
        file.write_all_at(b"hello", 3).unwrap();
        assert_eq!(file.len().unwrap(), 8);
        let mut bytes = [1; 8];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0\0hello");
        let error = file.read_exact_at(&mut bytes, 1).unwrap_err();
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
        assert!(error.message().contains("/a is damaged at offset 1"), "{error}");
        file.truncate(4).unwrap();
        file.allocate(6).unwrap();
        let mut bytes = [1; 6];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0\0h\0\0");
        file.allocate(2).unwrap();
        assert_eq!(file.len().unwrap(), 6);
        assert_eq!(fs.open(&path, OpenMode::Create).err().unwrap().state(), SqlState::IO_ERROR);
        let missing = fs.open(&dir.join("b"), OpenMode::Read).err().unwrap();
        assert_eq!(missing.state(), SqlState::UNDEFINED_FILE);
        assert!(missing.message().contains("/b\""), "{missing}");
        let read_only = fs.open(&path, OpenMode::Read).unwrap();
        assert!(read_only.write_all_at(b"x", 0).is_err());
    });
}

#[test]
fn names_move_and_go() {
    each(|fs, dir| {
        let deep = dir.join("x/y");
        fs.create_dir_all(&deep).unwrap();
        fs.create_dir_all(&deep).unwrap();
        for name in ["b", "a"] {
            fs.open(&deep.join(name), OpenMode::Create).unwrap();
        }
        fs.rename(&deep.join("b"), &deep.join("c")).unwrap();
        fs.sync_dir(&deep).unwrap();
        assert_eq!(fs.list(&deep).unwrap(), [Path::new("a"), Path::new("c")]);
        assert_eq!(fs.list(dir).unwrap(), [Path::new("x")]);
        assert_eq!(fs.list(&dir.join("none")).unwrap(), Vec::<PathBuf>::new());
        fs.remove_file(&deep.join("a")).unwrap();
        assert!(fs.remove_file(&deep.join("a")).is_err());
        assert!(fs.exists(&deep.join("c")) && !fs.exists(&deep.join("a")));
        fs.remove_dir_all(&dir.join("x")).unwrap();
        assert!(!fs.exists(&deep) && !fs.exists(&deep.join("c")));
    });
}

#[test]
fn maps_see_later_writes_and_word_maps_keep_theirs() {
    each(|fs, dir| {
        let file = fs.open(&dir.join("m"), OpenMode::Create).unwrap();
        file.allocate(4096).unwrap();
        let map = file.map(1 << 20).unwrap();
        file.write_all_at(&7u32.to_ne_bytes(), 100).unwrap();
        assert_eq!(map.len(), 1 << 20);
        assert_eq!(map[100..104], 7u32.to_ne_bytes());
        file.allocate(8192).unwrap();
        file.write_all_at(b"far", 8000).unwrap();
        assert_eq!(&map[8000..8003], b"far");
        let words = file.map_words().unwrap();
        assert_eq!(words.len(), 2048);
        assert_eq!(words[25].load(Ordering::Relaxed), 7);
        words[25].store(8, Ordering::Relaxed);
        assert_eq!(words[25].load(Ordering::Relaxed), 8);
        assert_eq!(map[100..104], 7u32.to_ne_bytes());
        let empty = fs.open(&dir.join("e"), OpenMode::Create).unwrap();
        assert!(empty.map(0).unwrap().is_empty() && empty.map_words().unwrap().is_empty());
    });
}

#[test]
fn one_holder_of_a_lock() {
    each_home(|fs, dir| {
        let held = fs.lock(&dir.join("LOCK")).unwrap();
        assert_eq!(fs.lock(&dir.join("LOCK")).unwrap_err().state(), SqlState::OBJECT_IN_USE);
        drop(held);
        fs.lock(&dir.join("LOCK")).unwrap();
    });
}

fn memory() -> MemoryFs {
    let fs = MemoryFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    fs
}

fn contents(fs: &MemoryFs, path: &str) -> Option<Vec<u8>> {
    let file = fs.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

#[test]
fn a_crash_keeps_what_was_synced_under_names_that_were_synced() {
    let fs = memory();
    let file = fs.open(Path::new("/d/a"), OpenMode::Create).unwrap();
    file.write_all_at(b"one", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(contents(&fs.crash(0), "/d/a"), None, "the name was not synced");
    fs.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(b"two!", 0).unwrap();
    assert_eq!(contents(&fs.crash(0), "/d/a").unwrap(), b"one");
    assert_eq!(contents(&fs.crash(1), "/d/a").unwrap(), b"two!");
    fs.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
    assert_eq!(contents(&fs.crash(0), "/d/a").unwrap(), b"one");
    assert_eq!(contents(&fs.crash(1), "/d/b").unwrap(), b"two!");
    fs.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(contents(&fs.crash(0), "/d/b").unwrap(), b"one");
    assert_eq!(contents(&fs.crash(0), "/d/a"), None);
}

#[test]
fn a_folder_is_lost_with_all_in_it_until_its_parent_is_synced() {
    let fs = memory();
    let (folder, file) = (Path::new("/d/x"), Path::new("/d/x/a"));
    fs.create_dir(folder).unwrap();
    fs.open(file, OpenMode::Create).unwrap().sync_data().unwrap();
    fs.sync_dir(folder).unwrap();
    let lost = fs.crash(0);
    assert!(!lost.exists(folder) && !lost.exists(file));
    assert!(fs.crash(1).exists(file));
    fs.sync_dir(Path::new("/d")).unwrap();
    assert!(fs.crash(0).exists(file), "it was synced in a folder that is durable now");
    fs.open(&folder.join("b"), OpenMode::Create).unwrap();
    fs.remove_dir_all(folder).unwrap();
    assert!(!fs.exists(file) && !fs.exists(folder));
    assert!(fs.crash(0).exists(file), "the removal was not synced");
    assert!(!fs.crash(1).exists(folder));
    fs.sync_dir(Path::new("/d")).unwrap();
    for seed in 0..20 {
        let crashed = fs.crash(seed);
        assert_eq!(crashed.list(Path::new("/d")).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(crashed.list(folder).unwrap(), Vec::<PathBuf>::new(), "seed {seed}");
    }
}

#[test]
fn what_create_dir_all_has_made_is_durable_whoever_began_it() {
    let deep = Path::new("/d/x/y/z");
    let count = {
        let (fs, faults) = FaultyFs::new(memory());
        fs.create_dir_all(deep).unwrap();
        faults.count(Op::CHANGES)
    };
    assert_eq!(count, 3 + 4, "each is made and its parent synced, and first that of the last one there is");
    for at in 1..=count {
        let inner = memory();
        let (fs, faults) = FaultyFs::new(inner.clone());
        faults.arm(Fault { at, on: Op::CHANGES, what: What::Fail(ErrorKind::Other) });
        fs.create_dir_all(deep).unwrap_err();
        // By the same process, or by the next one after a kill.
        for begun in [inner.clone(), inner.crash(1)] {
            begun.create_dir_all(deep).unwrap();
            assert!(begun.crash(0).exists(deep), "after a failure at {at}");
        }
        // After the power failed.
        let begun = inner.crash(0);
        begun.create_dir_all(deep).unwrap();
        assert!(begun.crash(0).exists(deep));
    }
}

#[test]
fn drawn_crashes_tear_between_units_and_never_inside() {
    let fs = memory();
    let file = fs.open(Path::new("/d/a"), OpenMode::Create).unwrap();
    file.write_all_at(&[1; 16384], 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(&[2; 16384], 0).unwrap();
    file.write_all_at(&[3; 4096], 4096).unwrap();
    file.write_all_at(&[4; 4096], 16384).unwrap();
    fs.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
    let (mut old, mut new, mut mixed, mut renamed) = (0, 0, 0, 0);
    for seed in 2..200 {
        let crashed = fs.crash(seed);
        let (a, b) = (contents(&crashed, "/d/a"), contents(&crashed, "/d/b"));
        assert!(a.is_some() != b.is_some(), "a rename is one operation");
        renamed += b.is_some() as u32;
        let bytes = a.or(b).unwrap();
        for unit in bytes.chunks(512) {
            assert!(unit.iter().all(|byte| byte == &unit[0]), "seed {seed}");
        }
        let kinds = bytes[..16384].chunks(512).map(|unit| unit[0]).collect::<std::collections::BTreeSet<_>>();
        assert!(kinds.iter().all(|kind| (1..=3).contains(kind)), "seed {seed}");
        old += (bytes[0] == 1) as u32;
        new += (bytes[0] == 2) as u32;
        mixed += (kinds.len() > 1) as u32;
        assert_eq!(contents(&fs.crash(seed), "/d/a").is_some(), contents(&crashed, "/d/a").is_some());
    }
    assert!(old > 20 && new > 20 && mixed > 50 && renamed > 50, "{old} {new} {mixed} {renamed}");
}

#[test]
fn faults_strike_once_forever_or_stop_the_machine() {
    let inner = memory();
    let (fs, faults) = FaultyFs::new(inner.clone());
    let file = fs.open(Path::new("/d/a"), OpenMode::Create).unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    faults.arm(Fault { at: 2, on: Op::WRITE, what: What::Fail(ErrorKind::StorageFull) });
    file.write_all_at(b"abcd", 0).unwrap();
    assert_eq!(file.write_all_at(b"ABCD", 0).unwrap_err().state(), SqlState::DISK_FULL);
    assert_eq!(contents(&inner, "/d/a").unwrap(), b"ABcd", "half of it");
    file.write_all_at(b"abcd", 0).unwrap();
    faults.arm(Fault { at: 1, on: Op::SYNC, what: What::FailFromHere(ErrorKind::Other) });
    assert!(file.sync_data().is_err() && file.sync_data().is_err());
    faults.disarm();
    file.sync_data().unwrap();
    assert_eq!((faults.count(Op::WRITE), faults.count(Op::SYNC)), (3, 3));
    faults.arm(Fault { at: 1, on: Op::CHANGES, what: What::Crash });
    file.write_all_at(b"last", 0).unwrap_err();
    assert!(faults.crashed() && file.sync_data().is_err());
    assert_eq!(contents(&inner.crash(0), "/d/a").unwrap(), b"abcd");
    assert_eq!(contents(&inner.crash(1), "/d/a").unwrap(), b"last");
    assert!(faults.recent().last().unwrap().starts_with("write "));
}

#[test]
fn a_path_is_resolved_as_far_as_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    // The folder of temporary files may be a link itself.
    let top = std::fs::canonicalize(folder.path()).unwrap();
    std::fs::create_dir_all(top.join("data/inner")).unwrap();
    std::os::unix::fs::symlink(top.join("data"), top.join("link")).unwrap();
    std::fs::write(top.join("file"), b"").unwrap();
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(top.strip_prefix("/").unwrap());
    for fs in [&DiskFs as &dyn Fs, &TrialFs::new(Arc::new(DiskFs)), &*FaultyFs::new(MemoryFs::new()).0] {
        let is_disk = fs.exists(&top.join("file"));
        for (path, expected, on_disk_only) in [
            ("data/inner", "data/inner", false),
            ("data/./inner/../none/of/../it", "data/none/it", false),
            ("none/../data", "data", false),
            ("file/below", "file/below", false),
            ("link", "data", true),
            ("link/none/it", "data/none/it", true),
            ("link/../data/inner", "data/inner", true),
        ] {
            if is_disk || !on_disk_only {
                assert_eq!(fs.resolve(&top.join(path)).unwrap(), top.join(expected), "{path}");
            }
            if is_disk {
                assert_eq!(fs.resolve(&relative.join(path)).unwrap(), top.join(expected), "relative: {path}");
            }
        }
        assert_eq!(fs.resolve(Path::new("/../x")).unwrap(), Path::new("/x"));
    }
    assert_eq!(DiskFs.resolve(Path::new("none")).unwrap(), here.join("none"));
    assert_eq!(memory().resolve(Path::new("a/./b/../c")).unwrap(), Path::new("a/c"));
}
