//! Waiting awake for a client that answers at once.
//!
//! A thread that waits for its client in epoll lets its core sleep, and a virtual machine's core wakes slowly and with
//! cold caches. A client in a loop has its next query here before that has paid off:
//!
//! ```text
//!   answer ----> client ----> next query within PATIENCE        the thread looks again and again
//!   answer ----> client thinks ... PATIENCE is over             the thread sleeps in epoll
//! ```
//!
//! Who is waited for awake has come within [`QUICK`] the last time, and only while so few threads are awake, those that work
//! in the background included, that the clients have cores too: with two cores, one. On two cores, with a client in
//! a loop on the same machine, `SELECT 1` takes 28 to 43 us instead of 58 to 72, at the same processor time, and a search of 130 us
//! 20 us less.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A client that came back within this time, which has a sleeping core's wake-up in it, is expected to do so again.
const QUICK: Duration = Duration::from_micros(250);
/// How long it is waited for awake: what a client on the same machine takes to wake and to ask.
const PATIENCE: Duration = Duration::from_micros(100);

/// The connections' threads that do not sleep.
pub struct Awake {
    threads: AtomicUsize,
    threads_max: usize,
}

impl Awake {
    pub fn new() -> Arc<Awake> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // The other half is for the clients, which may be on this machine.
        Arc::new(Awake { threads: AtomicUsize::new(0), threads_max: cores / 2 })
    }

    /// Counts the calling thread as long as its waits live.
    pub fn join(self: &Arc<Awake>) -> Waits {
        self.threads.fetch_add(1, Ordering::Relaxed);
        Waits { awake: Arc::clone(self), began: Cell::new(None), was_quick: Cell::new(false) }
    }

    fn has_room(&self, others: usize) -> bool {
        self.threads.load(Ordering::Relaxed) + others <= self.threads_max
    }
}

/// One connection's waits for its client.
pub struct Waits {
    awake: Arc<Awake>,
    began: Cell<Option<Instant>>,
    was_quick: Cell<bool>,
}

/// A thread that sleeps, until this is dropped.
struct Asleep<'a>(&'a Awake);

impl Waits {
    /// Keeps the thread awake for as long as that is worth it; never ends. To be polled beside what is waited for, and
    /// after it. `others` tells how many threads are awake beside the connections'.
    pub async fn watch(&self, others: impl Fn() -> usize) -> Infallible {
        let began = Instant::now();
        self.began.set(Some(began));
        while self.was_quick.get() && self.awake.has_room(others()) && began.elapsed() < PATIENCE {
            tokio::task::yield_now().await;
        }
        let _asleep = self.awake.sleep();
        pending().await
    }

    /// Sleeps in the next wait: what was answered was no query. A change has waited for the disk, and the core has slept
    /// then; staying awake afterwards took 20 us more of it for each INSERT and made none faster.
    pub fn doze(&self) {
        self.was_quick.set(false);
    }

    /// What was waited for is here.
    pub fn end(&self) {
        // Without a beginning it was here before.
        if let Some(began) = self.began.take() {
            self.was_quick.set(began.elapsed() < QUICK);
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.awake.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Awake {
    fn sleep(&self) -> Asleep<'_> {
        self.threads.fetch_sub(1, Ordering::Relaxed);
        Asleep(self)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.threads.fetch_add(1, Ordering::Relaxed);
    }
}
