//! What is shown here:
//!
//! - `model.rs`: any sequence of operations gives the answers of an ordered map with versions, and reopening
//!   gives the state of the last checkpoint;
//! - `clean.rs`: a vacuum writes in proportion to what it frees;
//! - `crash.rs`: so it does when the machine stops, or a call fails, at any operation on files;
//! - `damage.rs`: any changed byte in a table or manifest gives an error or the right answer;
//! - `pool.rs`: stores that share their memory stay within it together, and never see each other's blocks;
//! - `guides.rs`: indexes and filters of tables stay within the cache's budget, and are read again when they have to be;
//! - `packing.rs`: tables are deflated unless they are merged soon;
//! - `stalls.rs`: who writes more than is flushed waits or is refused, and nobody else;
//! - `threads.rs`: readers see whole batches while the background threads flush and compact.

mod clean;
mod crash;
mod damage;
mod guides;
mod model;
mod packing;
mod pool;
mod stalls;
mod threads;

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::error::Result;
use crate::fs::Fs;
use crate::log::{Position, Seq, StorageId};

const TREE: StorageId = StorageId(7);
const LATEST: Seq = Seq(u64::MAX);

/// A sequence of numbers that a seed fixes (SplitMix64).
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

type Puts = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Seeds of a test: `usual`, or as `HITHER_SEEDS=first..end` says, to look longer or to look at one again.
fn seeds(usual: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("HITHER_SEEDS") else { return usual };
    let (first, end) = text.split_once("..").expect("HITHER_SEEDS=first..end");
    first.parse().expect("a number")..end.parse().expect("a number")
}

/// What a scan gives: key, sequence number, value.
type Content = Vec<(Vec<u8>, u64, Vec<u8>)>;

/// The naive twin: all versions of all keys.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(BTreeMap<Vec<u8>, BTreeMap<u64, Option<Vec<u8>>>>);

impl Model {
    fn write(&mut self, seq: u64, puts: &Puts) {
        for (key, value) in puts {
            self.0.entry(key.clone()).or_default().insert(seq, value.clone());
        }
    }

    fn get(&self, key: &[u8], snapshot: u64) -> Option<(u64, &Vec<u8>)> {
        let (seq, value) = self.0.get(key)?.range(..=snapshot).next_back()?;
        value.as_ref().map(|value| (*seq, value))
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, snapshot: u64) -> Content {
        let inside = |key: &Vec<u8>| std::ops::RangeBounds::<[u8]>::contains(&(from, to), &key[..]);
        let keys = self.0.keys().filter(|key| inside(key));
        keys.filter_map(|key| self.get(key, snapshot).map(|(seq, value)| (key.clone(), seq, value.clone())))
            .collect()
    }
}

/// With a damaged tree it fails, which a database makes the best of.
fn open(fs: &Arc<dyn Fs>) -> Result<Store> {
    open_with(fs, Options::tiny())
}

fn open_with(fs: &Arc<dyn Fs>, options: Options) -> Result<Store> {
    let store = Store::open(fs.clone(), Path::new("data"), options)?;
    store.tree_ids().into_iter().find_map(|id| store.damage(id)).map_or(Ok(store), Err)
}

/// Asks for room for a write, without end.
fn admit(store: &Store, tree: &Arc<Tree>) -> Result<Vec<Admitted>> {
    store.admit(&[(tree.clone(), 1 << 10)], &mut || Ok(()))
}

fn borrowed(puts: &Puts) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    puts.iter().map(|(key, value)| (&key[..], value.as_deref()))
}

fn scan(tree: &Tree, from: Bound<&[u8]>, to: Bound<&[u8]>, snapshot: Seq) -> Result<Content> {
    let entries = tree.scan(from, to, snapshot);
    entries.map(|entry| entry.map(|(key, seq, value)| (key.to_vec(), seq.0, value.to_vec()))).collect()
}

fn whole(tree: &Tree, snapshot: Seq) -> Result<Content> {
    scan(tree, Bound::Unbounded, Bound::Unbounded, snapshot)
}

/// Keys of a row and of an index, short values that deflate and long ones that do not.
fn random_key(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0..6 => [&[1][..], &(random.below(200) as u32).to_be_bytes()].concat(),
        6..9 => {
            [&[2, 0, 0, 0, 1][..], &vec![b'a' + random.below(6) as u8; random.below(7) as usize]].concat()
        }
        _ => vec![b'x'; random.below(3) as usize],
    }
}

fn random_value(random: &mut Random) -> Option<Vec<u8>> {
    match random.below(16) {
        0..2 => None,
        2 => Some(Vec::new()),
        3 => Some("text that repeats itself, ".repeat(random.below(40) as usize).into_bytes()),
        4 => Some((0..random.below(600)).map(|_| random.next() as u8).collect()),
        _ => Some(format!("a value like many others, number {}", random.below(1000)).into_bytes()),
    }
}

/// Rows of a number and a text, whose blocks are of columns.
fn shape() -> Shape {
    Shape::new(ROW, vec![Kind::Fixed(8), Kind::Var])
}

/// First byte of rows' keys.
const ROW: u8 = 1;

/// The row whose text is `value`; an empty one is NULL.
fn row_of(value: &[u8]) -> Vec<u8> {
    let nulls = u8::from(value.is_empty()) << 1;
    let number = (value.len() as u64 * 7).to_le_bytes();
    [&[2, 0, nulls], &number[..], &(value.len() as u32).to_le_bytes(), value].concat()
}

/// With distinct keys, in order. What rows' keys have is mostly a row, and now and then something else.
fn random_puts(random: &mut Random, count: u64) -> Puts {
    let mut puts = BTreeMap::new();
    for _ in 0..1 + random.below(count) {
        let (key, value) = (random_key(random), random_value(random));
        let is_row = key.first() == Some(&ROW) && random.below(30) > 0;
        puts.insert(key, if is_row { value.map(|value| row_of(&value)) } else { value });
    }
    puts.into_iter().collect()
}

/// A tree that knows what rows are.
fn tree_of(store: &Store) -> Arc<Tree> {
    let tree = store.create_tree(TREE);
    tree.set_shape(shape());
    tree
}

/// All rows, gathered by block: key, value.
fn rows(tree: &Tree, snapshot: Seq, wanted: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut scan = tree.rows(ROW, snapshot, None)?;
    let mut all = Vec::new();
    loop {
        let rows = scan.next(wanted)?;
        if rows.is_empty() {
            return Ok(all);
        }
        let key = |slot: u32| [&[ROW][..], &slot.to_be_bytes()].concat();
        all.extend(rows.into_bytes().into_iter().map(|(slot, row)| (key(slot), row.to_vec())));
    }
}

/// A store, its twin, and the log that a restart replays.
struct World {
    fs: Arc<dyn Fs>,
    options: Options,
    store: Store,
    random: Random,
    model: Model,
    /// All batches since the start: sequence number, writes, ingested or not.
    log: Vec<(u64, Puts, bool)>,
    seq: u64,
    horizon: u64,
    /// What a restart may find: position of the checkpoint and the state at it.
    candidates: Vec<(Position, Model)>,
}

impl World {
    fn new(fs: Arc<dyn Fs>, seed: u64) -> Result<World> {
        World::with(fs, seed, Options::tiny())
    }

    fn with(fs: Arc<dyn Fs>, seed: u64, options: Options) -> Result<World> {
        let store = open_with(&fs, options.clone())?;
        tree_of(&store);
        Ok(World {
            fs,
            options,
            store,
            random: Random(seed),
            model: Model::default(),
            log: Vec::new(),
            seq: 0,
            horizon: 0,
            candidates: vec![(Position(0), Model::default())],
        })
    }

    fn tree(&self) -> Arc<Tree> {
        tree_of(&self.store)
    }

    /// One operation on store and twin, drawn at random. An error leaves the twin as if it had not been.
    fn step(&mut self) -> Result<()> {
        match self.random.below(100) {
            0..40 => self.write(),
            40..48 => self.ingest(),
            48..62 => self.store.step().map(drop),
            62..70 => self.checkpoint(),
            70..72 => self.store.compact(TREE),
            72..75 => self.store.clean(TREE, false),
            75..79 => self.raise_horizon(),
            79..90 => self.compare_gets(),
            _ => self.compare_scan(),
        }
    }

    fn write(&mut self) -> Result<()> {
        let puts = random_puts(&mut self.random, 12);
        self.seq += 1 + self.random.below(3);
        self.tree().write(Seq(self.seq), borrowed(&puts))?;
        self.model.write(self.seq, &puts);
        self.log.push((self.seq, puts, false));
        Ok(())
    }

    fn ingest(&mut self) -> Result<()> {
        let puts = random_puts(&mut self.random, 60);
        let spilled = self.tree().build_table(borrowed(&puts))?;
        let found: Result<Puts> = spilled
            .scan(Bound::Unbounded, Bound::Unbounded)
            .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.map(|value| value.to_vec()))))
            .collect();
        assert_eq!(found?, puts);
        for (key, value) in &puts {
            assert_eq!(spilled.get(key)?.expect("it was put in").as_deref(), value.as_deref());
        }
        if self.random.below(4) == 0 {
            return Ok(());
        }
        self.seq += 1;
        self.tree().ingest(spilled, Seq(self.seq))?;
        self.model.write(self.seq, &puts);
        self.log.push((self.seq, puts, true));
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.seq += 1;
        let position = Position(self.seq);
        let value = self.seq.to_le_bytes().to_vec();
        let extra = Extra { storage: TREE, name: "position".to_owned(), value: Some(value) };
        self.candidates.push((position, self.model.clone()));
        self.store.checkpoint(Checkpoint { position, extras: vec![extra] })?;
        assert_eq!(self.store.checkpoint_position(), position);
        self.candidates.drain(..self.candidates.len() - 1);
        Ok(())
    }

    fn raise_horizon(&mut self) -> Result<()> {
        self.horizon += self.random.below(self.seq - self.horizon + 1);
        self.store.set_horizon(Seq(self.horizon));
        Ok(())
    }

    fn snapshot(&mut self) -> Seq {
        match self.random.below(3) {
            0 => LATEST,
            _ => Seq(self.horizon + self.random.below(self.seq - self.horizon + 1)),
        }
    }

    fn compare_gets(&mut self) -> Result<()> {
        for _ in 0..10 {
            let (key, snapshot) = (random_key(&mut self.random), self.snapshot());
            let found = self.tree().get_with_seq(&key, snapshot)?;
            let found = found.and_then(|(seq, value)| Some((seq.0, value?.into_bytes().to_vec())));
            let expected = self.model.get(&key, snapshot.0).map(|(seq, value)| (seq, value.clone()));
            assert_eq!(found, expected, "{} at {snapshot:?}", key.escape_ascii());
        }
        Ok(())
    }

    fn compare_scan(&mut self) -> Result<()> {
        let (a, b, snapshot) = (random_key(&mut self.random), random_key(&mut self.random), self.snapshot());
        let bound = |kind: u64, key| match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        };
        let from = bound(self.random.below(3), &a[..]);
        let to = bound(self.random.below(3), &b[..]);
        let found = scan(&self.tree(), from, to, snapshot)?;
        assert_eq!(found, self.model.scan(from, to, snapshot.0), "{from:?} to {to:?} at {snapshot:?}");
        let expected = self.model.scan(Bound::Included(&[ROW]), Bound::Excluded(&[ROW + 1]), snapshot.0);
        let expected: Vec<_> = expected.into_iter().map(|(key, _, value)| (key, value)).collect();
        let wanted = 1 + self.random.below(100) as usize;
        let found = rows(&self.tree(), snapshot, wanted)?;
        let keys = |rows: &[(Vec<u8>, Vec<u8>)]| rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&found), keys(&expected), "rows at {snapshot:?}");
        assert!(found == expected, "values at {snapshot:?}");
        for _ in 0..5 {
            let (key, snapshot) = (random_key(&mut self.random), self.snapshot());
            let found = self.tree().find(&key, snapshot)?.map(|row| row.into_bytes().to_vec());
            assert_eq!(found, self.model.get(&key, snapshot.0).map(|(_, value)| value.clone()));
        }
        Ok(())
    }

    /// Opens `fs` in place of what there was, finds the state of a checkpoint, and replays the log from
    /// there.
    fn reopen(&mut self, fs: Arc<dyn Fs>) -> Result<()> {
        self.fs = fs;
        self.store = open_with(&self.fs, self.options.clone())?;
        let position = self.store.checkpoint_position();
        let found = self.candidates.iter().find(|(candidate, _)| *candidate == position).cloned();
        let (_, model) = found.unwrap_or_else(|| panic!("{position:?} is not {:?}", self.candidates));
        let extra = self.store.extra(TREE, "position").unwrap_or(vec![0; 8]);
        assert_eq!(extra, position.0.to_le_bytes());
        assert_eq!(whole(&self.tree(), LATEST)?, model.scan(Bound::Unbounded, Bound::Unbounded, u64::MAX));
        let report = self.store.check()?;
        assert!(report.damage.is_empty(), "{:?}", report.damage);
        self.candidates = vec![(position, model.clone())];
        for (seq, puts, ingested) in self.log.iter().filter(|(seq, ..)| *seq > position.0) {
            if *ingested {
                let spilled = self.tree().build_table(borrowed(puts))?;
                self.tree().ingest(spilled, Seq(*seq))?;
            } else {
                self.tree().write(Seq(*seq), borrowed(puts))?;
            }
        }
        let expected = self.model.scan(Bound::Unbounded, Bound::Unbounded, u64::MAX);
        assert_eq!(whole(&self.tree(), LATEST)?, expected);
        self.store.set_horizon(Seq(self.horizon));
        Ok(())
    }

    /// Lets go of the store, as the end of a process does.
    fn close(&mut self) {
        let nowhere: Arc<dyn Fs> = Arc::new(crate::fs::MemoryFs::new());
        self.store = open(&nowhere).expect("memory does not fail");
    }
}
