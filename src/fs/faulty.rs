//! A file system that fails or crashes at the n-th operation of another.
//!
//! A test first runs its work once and counts the operations ([`Faults::count`]), then runs it again for each n:
//!
//! ```text
//! let (fs, faults) = FaultyFs::new(memory.clone());
//! faults.arm(Fault { at: n, on: Op::CHANGES, what: What::Crash });
//! work(fs);                       // ends in an error once the crash has happened
//! reopen(memory.crash(seed));     // what the power failure left
//! ```
//!
//! Or it runs the work once with an observer ([`Faults::observe`]) that takes a [`super::MemoryFs::crash`] before
//! every operation, which shows the same states for far less work.
//!
//! A crash lets the write it happens at reach the cache, so that pieces of it may survive, but a sync, rename or
//! removal does not happen any more; from then on every operation fails.

use std::any::Any;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{File, Fs, Map, MemoryFs, OpenMode, WordMap};
use crate::error::{Error, Result};

/// Kinds of operations, as bits: [`Fault::on`] is a set of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op(pub u16);

impl Op {
    pub const OPEN: Op = Op(1);
    pub const CREATE: Op = Op(1 << 1);
    pub const READ: Op = Op(1 << 2);
    pub const WRITE: Op = Op(1 << 3);
    pub const ALLOCATE: Op = Op(1 << 4);
    pub const TRUNCATE: Op = Op(1 << 5);
    pub const SYNC: Op = Op(1 << 6);
    pub const SYNC_DIR: Op = Op(1 << 7);
    pub const RENAME: Op = Op(1 << 8);
    pub const REMOVE: Op = Op(1 << 9);
    /// Everything that changes what a restart finds.
    pub const CHANGES: Op = Op(0b11_1111_1010);
    pub const ALL: Op = Op(u16::MAX);

    pub const fn or(self, other: Op) -> Op {
        Op(self.0 | other.0)
    }

    fn meets(self, other: Op) -> bool {
        self.0 & other.0 != 0
    }

    /// Of a single kind.
    pub fn name(self) -> &'static str {
        match self {
            Op::OPEN => "open",
            Op::CREATE => "create",
            Op::READ => "read",
            Op::WRITE => "write",
            Op::ALLOCATE => "allocate",
            Op::TRUNCATE => "truncate",
            Op::SYNC => "sync",
            Op::SYNC_DIR => "sync_dir",
            Op::RENAME => "rename",
            Op::REMOVE => "remove",
            _ => "several",
        }
    }
}

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It fails with this error, once; a write may leave its first half. The next one works.
    Fail(ErrorKind),
    /// It and all after it fail with this error, until [`Faults::disarm`]: a disk that is full, or gone.
    FailFromHere(ErrorKind),
    /// The machine stops.
    Crash,
}

/// Where and how to fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which operation among those of `on`, from 1, counted from [`Faults::arm`].
    pub at: u64,
    pub on: Op,
    pub what: What,
}

/// The control of a [`FaultyFs`], shared with the test.
#[derive(Default)]
pub struct Faults {
    plan: Mutex<Plan>,
    observer: Mutex<Option<(Op, Observer)>>,
    forgetful: Mutex<Option<MemoryFs>>,
}

type Only = Box<dyn Fn(&Path) -> bool + Send>;
type Observer = Arc<dyn Fn(Op, &Path) + Send + Sync>;

#[derive(Default)]
struct Plan {
    counts: [u64; 16],
    fault: Option<Fault>,
    /// The fault meets only these paths.
    only: Option<Only>,
    met: u64,
    crashed: bool,
    recent: VecDeque<String>,
}

/// Operations [`Faults::recent`] remembers: enough to see what a crash interrupted.
const RECENT_MAX: usize = 32;

impl Faults {
    pub fn arm(&self, fault: Fault) {
        let mut plan = self.plan.lock();
        plan.fault = Some(fault);
        plan.met = 0;
    }

    /// From now on faults meet, and count, only operations on paths that contain `part`.
    pub fn within(&self, part: &str) {
        let part = part.to_owned();
        self.only(move |path| path.to_string_lossy().contains(&part));
    }

    /// From now on faults meet, and count, only operations on such paths.
    pub fn only(&self, paths: impl Fn(&Path) -> bool + Send + 'static) {
        self.plan.lock().only = Some(Box::new(paths));
    }

    /// Calls `observer` before every operation of the kinds in `on`, while the caller may hold locks of its own.
    pub fn observe(&self, on: Op, observer: impl Fn(Op, &Path) + Send + Sync + 'static) {
        *self.observer.lock() = Some((on, Arc::new(observer)));
    }

    /// A sync that fails also loses what it should have made durable, as Linux does it: `memory` is the file system below.
    pub fn lose_at_failed_syncs(&self, memory: &MemoryFs) {
        *self.forgetful.lock() = Some(memory.clone());
    }

    /// No more failures. A crash stays a crash.
    pub fn disarm(&self) {
        self.plan.lock().fault = None;
    }

    /// Operations so far of the kinds in `on`.
    pub fn count(&self, on: Op) -> u64 {
        let plan = self.plan.lock();
        plan.counts.iter().enumerate().filter(|(bit, _)| on.0 & (1 << bit) != 0).map(|(_, count)| count).sum()
    }

    /// Operations that the armed fault has looked at.
    pub fn met(&self) -> u64 {
        self.plan.lock().met
    }

    pub fn crashed(&self) -> bool {
        self.plan.lock().crashed
    }

    /// Stops the machine now.
    pub fn crash(&self) {
        self.plan.lock().crashed = true;
    }

    /// The last operations, oldest first.
    pub fn recent(&self) -> Vec<String> {
        self.plan.lock().recent.iter().cloned().collect()
    }

    /// Counts the operation and says what becomes of it.
    fn meet(&self, op: Op, path: &Path) -> Verdict {
        self.show(op, path);
        let mut plan = self.plan.lock();
        if plan.crashed {
            return Verdict::Refused(stopped(op, path));
        }
        plan.counts[op.0.trailing_zeros() as usize] += 1;
        if plan.recent.len() == RECENT_MAX {
            plan.recent.pop_front();
        }
        plan.recent.push_back(format!("{} {}", op.name(), path.display()));
        let inside = plan.only.as_ref().is_none_or(|only| only(path));
        let Some(fault) = plan.fault.filter(|fault| inside && fault.on.meets(op)) else {
            return Verdict::Works;
        };
        plan.met += 1;
        match fault.what {
            What::Fail(kind) if plan.met == fault.at => Verdict::Fails(injected(op, path, kind)),
            What::FailFromHere(kind) if plan.met >= fault.at => Verdict::Refused(injected(op, path, kind)),
            What::Crash if plan.met == fault.at => {
                plan.crashed = true;
                Verdict::Crashes(stopped(op, path))
            }
            _ => Verdict::Works,
        }
    }

    fn show(&self, op: Op, path: &Path) {
        let observer = self
            .observer
            .lock()
            .as_ref()
            .filter(|(on, _)| on.meets(op))
            .map(|(_, observer)| observer.clone());
        if let Some(observer) = observer
            && !self.crashed()
        {
            observer(op, path);
        }
    }

    /// For operations that happen altogether or not at all.
    fn pass(&self, op: Op, path: &Path) -> Result<()> {
        match self.meet(op, path) {
            Verdict::Works => Ok(()),
            Verdict::Fails(error) | Verdict::Refused(error) | Verdict::Crashes(error) => Err(error),
        }
    }
}

enum Verdict {
    Works,
    /// Fails, perhaps half done.
    Fails(Error),
    /// Fails and leaves nothing.
    Refused(Error),
    /// The operation reached the cache, and nobody will hear of it.
    Crashes(Error),
}

fn injected(op: Op, path: &Path, kind: ErrorKind) -> Error {
    Error::io(op.name(), path.display(), &io::Error::from(kind))
}

fn stopped(op: Op, path: &Path) -> Error {
    Error::io(op.name(), path.display(), &io::Error::other("the machine has stopped"))
}

/// Another file system with faults.
pub struct FaultyFs {
    inner: Arc<dyn Fs>,
    faults: Arc<Faults>,
}

impl FaultyFs {
    pub fn new(inner: impl Fs) -> (Arc<FaultyFs>, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        (Arc::new(FaultyFs { inner: Arc::new(inner), faults: faults.clone() }), faults)
    }
}

impl Fs for FaultyFs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        self.faults.pass(if mode == OpenMode::Create { Op::CREATE } else { Op::OPEN }, path)?;
        Ok(Arc::new(FaultyFile { inner: self.inner.open(path, mode)?, faults: self.faults.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.faults.pass(Op::RENAME, to)?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.faults.pass(Op::REMOVE, path)?;
        self.inner.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        self.faults.pass(Op::CREATE, path)?;
        self.inner.create_dir(path)
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        self.faults.pass(Op::REMOVE, path)?;
        self.inner.remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        self.faults.pass(Op::READ, path)?;
        self.inner.list(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.inner.exists(path)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        self.inner.resolve(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.faults.pass(Op::SYNC_DIR, path)?;
        self.inner.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Any + Send + Sync>> {
        self.faults.pass(Op::OPEN, path)?;
        self.inner.lock(path)
    }
}

struct FaultyFile {
    inner: Arc<dyn File>,
    faults: Arc<Faults>,
}

impl FaultyFile {
    fn pass_sync(&self) -> Result<()> {
        self.faults.pass(Op::SYNC, self.path()).inspect_err(|_| {
            if let Some(memory) = self.faults.forgetful.lock().as_ref().filter(|_| !self.faults.crashed()) {
                memory.lose_unsynced(self.path());
            }
        })
    }
}

impl File for FaultyFile {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn len(&self) -> Result<u64> {
        self.inner.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.faults.pass(Op::READ, self.path())?;
        self.inner.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        match self.faults.meet(Op::WRITE, self.path()) {
            Verdict::Works => self.inner.write_all_at(bytes, offset),
            Verdict::Refused(error) => Err(error),
            Verdict::Fails(error) => {
                self.inner.write_all_at(&bytes[..bytes.len() / 2], offset)?;
                Err(error)
            }
            Verdict::Crashes(error) => {
                self.inner.write_all_at(bytes, offset)?;
                Err(error)
            }
        }
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.faults.pass(Op::ALLOCATE, self.path())?;
        self.inner.allocate(len)
    }

    fn refill(&self, offset: u64, len: u64) -> Result<()> {
        self.faults.pass(Op::ALLOCATE, self.path())?;
        self.inner.refill(offset, len)
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        self.faults.pass(Op::TRUNCATE, self.path())?;
        self.inner.punch(offset, len)
    }

    fn space(&self) -> Result<u64> {
        self.inner.space()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.faults.pass(Op::TRUNCATE, self.path())?;
        self.inner.truncate(len)
    }

    fn sync_data(&self) -> Result<()> {
        self.pass_sync()?;
        self.inner.sync_data()
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }

    fn finish_writeback(&self, offset: u64, len: u64) -> Result<()> {
        self.pass_sync()?;
        self.inner.finish_writeback(offset, len)
    }

    /// Reads through a map cannot fail, so making one stands for them.
    fn map(&self, len: u64) -> Result<Map> {
        self.faults.pass(Op::READ, self.path())?;
        self.inner.map(len)
    }

    fn map_again(&self, map: &Map, bytes: Range<u64>) -> Result<()> {
        self.inner.map_again(map, bytes)
    }

    fn map_words(&self) -> Result<WordMap> {
        self.faults.pass(Op::READ, self.path())?;
        self.inner.map_words()
    }

    fn share_words(&self) -> Result<WordMap> {
        self.inner.share_words()
    }
}
