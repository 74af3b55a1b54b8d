//! Every byte of small files changed, one at a time: an error or the right answer, never a wrong one, never
//! a panic. And a tree that cannot be compacted for its damage keeps no other from being compacted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::fs::{MemoryFs, OpenMode};

/// A store with several tables in several levels, one of them ingested, and its content.
fn sample(fs: &Arc<dyn Fs>) -> Content {
    let mut world = World::new(fs.clone(), 3).unwrap();
    for _ in 0..12 {
        world.write().unwrap();
        world.ingest().unwrap();
        world.checkpoint().unwrap();
    }
    world.store.step().unwrap();
    world.write().unwrap();
    world.checkpoint().unwrap();
    whole(&world.tree(), LATEST).unwrap()
}

/// What a reader of the store finds; an error may come when opening or when reading.
fn content(fs: &Arc<dyn Fs>) -> Result<Content> {
    let store = open(fs)?;
    let tree = store.create_tree(TREE);
    for number in 0..200u32 {
        tree.get(&[&[1][..], &number.to_be_bytes()].concat(), LATEST)?;
    }
    let by_column = rows(&tree, LATEST, 20)?;
    let all = whole(&tree, LATEST)?;
    let is_row = |(key, _, _): &&(Vec<u8>, u64, Vec<u8>)| key.first() == Some(&ROW);
    let by_row = all.iter().filter(is_row).map(|(key, _, value)| (key.clone(), value.clone()));
    assert_eq!(by_column, by_row.collect::<Vec<_>>());
    Ok(all)
}

fn files(fs: &Arc<dyn Fs>) -> Vec<PathBuf> {
    let top = Path::new("data");
    let tables = top.join("tables/7");
    let mut all: Vec<_> = fs.list(&tables).unwrap().into_iter().map(|name| tables.join(name)).collect();
    all.sort_by_key(|path| fs.open(path, OpenMode::Read).unwrap().len().unwrap());
    // Small ones, and one of rows.
    let begins_with_columns = |path: &PathBuf| {
        let mut kind = [0];
        fs.open(path, OpenMode::Read).unwrap().read_exact_at(&mut kind, 12).unwrap();
        kind == [5]
    };
    let of_rows = all.iter().find(|path| begins_with_columns(path)).expect("a table of rows").clone();
    all.truncate(4);
    all.push(of_rows);
    all.dedup();
    all.extend(
        fs.list(top)
            .unwrap()
            .into_iter()
            .map(|name| top.join(name))
            .filter(|path| path != &top.join("tables")),
    );
    all
}

fn damaged(memory: &MemoryFs, path: &Path, at: u64, change: u8) -> Arc<dyn Fs> {
    let copy: Arc<dyn Fs> = Arc::new(memory.crash(1));
    flip(&copy, path, at, change);
    copy
}

pub fn flip(fs: &Arc<dyn Fs>, path: &Path, at: u64, change: u8) {
    let file = fs.open(path, OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ change], at).unwrap();
}

#[test]
fn no_changed_byte_gives_a_wrong_answer() {
    let memory = MemoryFs::new();
    let fs: Arc<dyn Fs> = Arc::new(memory.clone());
    let expected = sample(&fs);
    assert!(expected.len() > 50);
    for path in files(&fs) {
        let len = fs.open(&path, OpenMode::Read).unwrap().len().unwrap();
        let mut detected = 0;
        for at in 0..len {
            let change = if at % 2 == 0 { 1 << (at / 2 % 8) } else { 0xFF };
            match content(&damaged(&memory, &path, at, change)) {
                Ok(found) => assert_eq!(found, expected, "byte {at} of {}", path.display()),
                Err(error) => {
                    detected += 1;
                    // Nothing tells a version that rotted from a newer one.
                    let is_version = path.to_string_lossy().contains("MANIFEST") && (8..12).contains(&at);
                    let allowed = if is_version { ["XX001", "55000"] } else { ["XX001", "58P01"] };
                    assert!(allowed.contains(&error.state().0), "{error}");
                    assert!(error.message().contains("data"), "no file is named: {error}");
                }
            }
        }
        assert!(detected * 4 > len, "{}: {detected} of {len} changes were noticed", path.display());
    }
}

#[test]
fn the_check_finds_every_change_in_a_table() {
    let memory = MemoryFs::new();
    let fs: Arc<dyn Fs> = Arc::new(memory.clone());
    sample(&fs);
    for path in files(&fs).iter().filter(|path| path.extension().is_some()) {
        for at in 0..fs.open(path, OpenMode::Read).unwrap().len().unwrap() {
            let report = check(damaged(&memory, path, at, 0x10), Path::new("data"));
            assert!(report.is_ok_and(|report| !report.damage.is_empty()), "byte {at} of {}", path.display());
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_noticed() {
    let memory = MemoryFs::new();
    let fs: Arc<dyn Fs> = Arc::new(memory.clone());
    let expected = sample(&fs);
    for path in files(&fs) {
        let len = fs.open(&path, OpenMode::Read).unwrap().len().unwrap();
        let is_manifest = path.to_string_lossy().contains("MANIFEST");
        for cut in (0..len).filter(|_| !is_manifest) {
            let copy: Arc<dyn Fs> = Arc::new(memory.crash(1));
            copy.open(&path, OpenMode::ReadWrite).unwrap().truncate(cut).unwrap();
            match content(&copy) {
                Ok(found) => assert_eq!(found, expected, "{} cut to {cut}", path.display()),
                Err(error) => assert_eq!(error.state().0, "XX001", "{error}"),
            }
        }
        for cut in (0..len).filter(|_| is_manifest) {
            let copy: Arc<dyn Fs> = Arc::new(memory.crash(1));
            copy.open(&path, OpenMode::ReadWrite).unwrap().truncate(cut).unwrap();
            // A manifest cut between records is one whose last records were never synced.
            drop(content(&copy));
        }
    }
}

#[test]
fn tables_in_each_others_place_are_noticed() {
    let memory = MemoryFs::new();
    let fs: Arc<dyn Fs> = Arc::new(memory.clone());
    let store = open(&fs).unwrap();
    for id in [7, 8] {
        let tree = store.create_tree(StorageId(id));
        tree.write(Seq(1), [(&b"a"[..], Some(&id.to_le_bytes()[..]))]).unwrap();
    }
    store.checkpoint(Checkpoint { position: Position(2), extras: Vec::new() }).unwrap();
    let path = |id: u64| {
        let folder = Path::new("data/tables").join(id.to_string());
        folder.join(&fs.list(&folder).unwrap()[0])
    };
    let (one, other) = (path(7), path(8));
    drop(store);
    fs.rename(&one, Path::new("data/aside")).unwrap();
    fs.rename(&other, &one).unwrap();
    fs.rename(Path::new("data/aside"), &other).unwrap();
    assert_eq!(open(&fs).err().expect("it must not open").state().0, "XX001");
}

/// Makes a store of two trees, each with enough tables in level 0 for a compaction.
fn two_trees_due(fs: &Arc<dyn Fs>) {
    let store = open(fs).unwrap();
    for round in 1..=Options::tiny().level0_tables_max as u64 {
        for id in [7, 8] {
            let tree = store.create_tree(StorageId(id));
            tree.write(Seq(round), [(&b"a"[..], Some(&round.to_le_bytes()[..]))]).unwrap();
        }
        store.checkpoint(Checkpoint { position: Position(round + 1), extras: Vec::new() }).unwrap();
    }
}

#[test]
fn a_damaged_tree_rests_and_the_others_are_compacted() {
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    two_trees_due(&fs);
    let folder = Path::new("data/tables/7");
    let path = folder.join(&fs.list(folder).unwrap()[0]);
    // A byte of the first data block, behind the head of its frame.
    flip(&fs, &path, 16, 0xFF);
    let store = open(&fs).unwrap();
    let tables = |id: u64| store.tree(StorageId(id)).unwrap().version().levels[0].len();
    let start = Instant::now();
    let after = |seconds: u64| store.shared.compact_step_at(start + Duration::from_secs(seconds));
    assert!(tables(7) > 1 && tables(8) > 1);

    assert!(after(0).unwrap(), "tree 8 is compacted though tree 7 fails before it");
    assert!(tables(7) > 1 && tables(8) == 0);
    assert!(!after(0).unwrap(), "tree 7 rests");
    // Its rests are 1, 2 and 4 seconds long.
    for (second, is_tried) in [(1, true), (2, false), (3, true), (6, false), (7, true)] {
        let outcome = after(second);
        assert_eq!(outcome.is_err(), is_tried, "at second {second}: {outcome:?}");
        assert!(outcome.is_ok() || outcome.is_err_and(|error| error.state().0 == "XX001"));
    }

    // The file is mended, as from a backup.
    flip(&fs, &path, 16, 0xFF);
    assert!(!after(14).unwrap());
    assert!(after(15).unwrap());
    assert_eq!(tables(7), 0);
    assert!(!after(15).unwrap());
}
