//! Waiting for the end of a transaction, blocking or by callback.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::Result;
use crate::locks::advisory::LOOK;
use crate::locks::manager::{Edges, Resource};
use crate::log::TxnId;

/// Waits until the transaction that holds the wanted lock has ended; then the statement is tried again. Dropping it
/// stops waiting.
pub struct Waiter {
    cell: Arc<Cell>,
    edges: Arc<Mutex<Edges>>,
    waiting: TxnId,
    wanted: Resource,
}

/// Shared between a waiter and the transaction it waits for.
#[derive(Default)]
pub(super) struct Cell {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    released: bool,
    callback: Option<Box<dyn FnOnce() + Send>>,
}

impl Waiter {
    pub(super) fn new(cell: Arc<Cell>, edges: Arc<Mutex<Edges>>, waiting: TxnId, wanted: Resource) -> Waiter {
        Waiter { cell, edges, waiting, wanted }
    }

    /// What it waits for: each wait for one lock may be as long as lock_timeout, whoever holds it meanwhile.
    pub fn wanted(&self) -> Resource {
        self.wanted
    }

    /// Calls back once the lock may be free: at once when it already is, else from the thread that ends the holder,
    /// which must not be kept.
    pub fn on_release(&self, callback: Box<dyn FnOnce() + Send>) {
        let mut state = self.cell.state.lock();
        if state.released {
            drop(state);
            callback();
        } else {
            state.callback = Some(callback);
        }
    }

    /// Blocks until the lock may be free.
    pub fn wait(self) {
        let mut state = self.cell.state.lock();
        while !state.released {
            self.cell.released.wait(&mut state);
        }
    }

    /// [`Waiter::wait`], where `go_on` is asked now and then whether to.
    pub fn wait_while(&self, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
        let mut state = self.cell.state.lock();
        while !state.released {
            if self.cell.released.wait_for(&mut state, LOOK).timed_out() {
                MutexGuard::unlocked(&mut state, go_on)?;
            }
        }
        Ok(())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Released, it tries again; otherwise it gave up.
        if !self.cell.state.lock().released {
            let behind = self.edges.lock().gave_up(self.waiting, &self.cell, self.wanted);
            behind.iter().for_each(|cell| cell.release());
        }
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waiter({})", self.waiting.0)
    }
}

impl Cell {
    pub(super) fn release(&self) {
        let callback = {
            let mut state = self.state.lock();
            state.released = true;
            self.released.notify_all();
            state.callback.take()
        };
        if let Some(callback) = callback {
            callback();
        }
    }
}
