//! Every byte of small files changed, one at a time: an error or the right answer, never a wrong one, never
//! a panic.

use std::path::PathBuf;

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
    whole(&tree, LATEST)
}

fn files(fs: &Arc<dyn Fs>) -> Vec<PathBuf> {
    let top = Path::new("data");
    let tables = top.join("tables/7");
    let mut all: Vec<_> = fs.list(&tables).unwrap().into_iter().map(|name| tables.join(name)).collect();
    all.sort_by_key(|path| fs.open(path, OpenMode::Read).unwrap().len().unwrap());
    all.truncate(4);
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
    let file = copy.open(path, OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ change], at).unwrap();
    copy
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
                    assert!(error.state().0 == "XX001" || error.state().0 == "58P01", "{error}");
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

/// Each tree has more tables in level 0 than it should, and those of the first cannot be read.
#[test]
fn a_damaged_tree_does_not_keep_others_from_being_compacted() {
    const OTHER: StorageId = StorageId(8);
    let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
    let store = open(&fs).unwrap();
    let trees = [store.create_tree(TREE), store.create_tree(OTHER)];
    let puts: Puts = (0..50u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![b'v'; 50]))).collect();
    for round in 1..=6 {
        trees.iter().for_each(|tree| tree.write(Seq(round), borrowed(&puts)).unwrap());
        store.checkpoint(Checkpoint { position: Position(round), extras: Vec::new() }).unwrap();
    }
    drop((trees, store));
    let tables = |tree: StorageId| {
        let folder = Path::new("data/tables").join(tree.0.to_string());
        let names = fs.list(&folder).unwrap().into_iter();
        names.map(|name| folder.join(name)).collect::<Vec<_>>()
    };
    let before = tables(OTHER).len();
    assert!(before >= 6, "{before}");
    for path in tables(TREE) {
        let file = fs.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[0xff; 4], 100).unwrap();
    }
    let store = open(&fs).unwrap();
    assert!(store.step().unwrap(), "the other tree has something to do");
    while store.step().unwrap() {}
    assert!(tables(OTHER).len() < before, "{}", tables(OTHER).len());
    assert_eq!(whole(&store.tree(OTHER).unwrap(), LATEST).unwrap().len(), 50);
    drop(store);

    // Alone it is told, and then rests.
    let store = open(&fs).unwrap();
    store.drop_tree(OTHER);
    assert_eq!(store.step().unwrap_err().state(), crate::error::SqlState::DATA_CORRUPTED);
    assert!(!store.step().unwrap());
}
