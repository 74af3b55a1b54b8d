//! How writers, background threads and their owner tell each other to go on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::Error;
use crate::log::StorageId;

/// How long a sleeping thread trusts that nothing was missed, and the pause before a failed flush is tried
/// again.
const NAP: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Signal {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether `failed` has any: asked for each write, and mostly false.
    any_failed: AtomicBool,
}

#[derive(Default)]
struct State {
    /// There may be something to flush or to compact.
    work: u64,
    workers: usize,
    /// Memtables that were flushed.
    flushes: u64,
    /// What the last flush of a tree failed with, until one succeeds.
    failed: BTreeMap<StorageId, Error>,
    stopping: bool,
}

impl Signal {
    /// Something was frozen, or tables were added.
    pub fn work(&self) {
        self.state.lock().work += 1;
        self.changed.notify_all();
    }

    /// A memtable of the tree was flushed.
    pub fn progress(&self, id: StorageId) {
        let mut state = self.state.lock();
        state.flushes += 1;
        state.work += 1;
        self.forget_in(&mut state, id);
        self.changed.notify_all();
    }

    /// A flush of the tree failed.
    pub fn failed(&self, id: StorageId, error: Error) {
        self.state.lock().failed.insert(id, error);
        self.any_failed.store(true, Relaxed);
        self.changed.notify_all();
    }

    /// The tree is gone: it cannot fail any more.
    pub fn forget(&self, id: StorageId) {
        self.forget_in(&mut self.state.lock(), id);
        self.changed.notify_all();
    }

    fn forget_in(&self, state: &mut State, id: StorageId) {
        state.failed.remove(&id);
        self.any_failed.store(!state.failed.is_empty(), Relaxed);
    }

    /// What the last flush of the tree failed with.
    pub fn failure(&self, id: StorageId) -> Option<Error> {
        if !self.any_failed.load(Relaxed) {
            return None;
        }
        self.state.lock().failed.get(&id).cloned()
    }

    /// What the last flush of any tree failed with that has not succeeded since.
    pub fn any_failure(&self) -> Option<Error> {
        if !self.any_failed.load(Relaxed) {
            return None;
        }
        self.state.lock().failed.values().next().cloned()
    }

    /// Trees whose last flush failed.
    pub fn failing(&self) -> usize {
        self.state.lock().failed.len()
    }

    /// Memtables flushed so far.
    pub fn flushes(&self) -> u64 {
        self.state.lock().flushes
    }

    pub fn has_worker(&self) -> bool {
        self.state.lock().workers > 0
    }

    pub fn worker_started(&self) {
        self.state.lock().workers += 1;
    }

    pub fn worker_ended(&self) {
        self.state.lock().workers -= 1;
        self.changed.notify_all();
    }

    /// Something that waits may go on.
    pub fn nudge(&self) {
        self.changed.notify_all();
    }

    /// Waits until something happened, and so long at most. Something may have happened before: whoever waits looks again.
    pub fn wait(&self, time: Duration) {
        let mut state = self.state.lock();
        self.changed.wait_for(&mut state, time);
    }

    /// A worker without work sleeps; `seen` is what [`Signal::seen`] said before it looked for work. False:
    /// it shall end.
    pub fn wait_for_work(&self, seen: u64) -> bool {
        let mut state = self.state.lock();
        if state.work == seen && !state.stopping {
            self.changed.wait_for(&mut state, NAP);
        }
        !state.stopping
    }

    pub fn seen(&self) -> u64 {
        self.state.lock().work
    }

    pub fn set_stopping(&self, stopping: bool) {
        self.state.lock().stopping = stopping;
        self.changed.notify_all();
    }

    pub fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }
}
