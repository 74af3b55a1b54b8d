//! How writers, background threads and their owner tell each other to go on.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::Error;

/// How long a sleeping thread trusts that nothing was missed, and the pause before a failed flush is tried
/// again.
const NAP: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// There may be something to flush or to compact.
    work: u64,
    workers: usize,
    /// What the last flush failed with, until one succeeds.
    failed: Option<Error>,
    stopping: bool,
}

impl Signal {
    /// Something was frozen, or tables were added.
    pub fn work(&self) {
        self.state.lock().work += 1;
        self.changed.notify_all();
    }

    /// A memtable was flushed.
    pub fn progress(&self) {
        let mut state = self.state.lock();
        state.failed = None;
        state.work += 1;
        self.changed.notify_all();
    }

    pub fn failed(&self, error: Error) {
        self.state.lock().failed = Some(error);
        self.changed.notify_all();
    }

    pub fn failure(&self) -> Option<Error> {
        self.state.lock().failed.clone()
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

    /// Waits until something happened; false when there is no hope that waiting helps.
    pub fn wait_for_progress(&self) -> bool {
        let mut state = self.state.lock();
        if state.failed.is_none() && state.workers > 0 {
            self.changed.wait_for(&mut state, NAP);
        }
        state.failed.is_none() && state.workers > 0
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
