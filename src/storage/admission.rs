//! Who may write, asked before the write is logged.
//!
//! ```text
//!   commit   admit(bytes of each tree)  ->  log append, sync  ->  publish: Tree::write, which never waits
//!            waits here, holding nothing     in the order of the log, for all who commit
//!            that others need                          the guard goes: the bytes are in memtables now
//! ```
//!
//! Once a commit is in the log its place in the order is taken: if it waited there, for a flush of its own tree, all commits
//! behind it would wait as well. So whoever commits is let in first. It waits as `delay.rs` says, tree by tree, and ends the
//! wait when its caller is cancelled, when the tree's flush fails (53100 on a full disk), or when nothing was flushed for
//! [`Options::flush_wait_max`] (53200). Then nothing of it is logged.
//!
//! Memory is bounded all the same, although no write waits any more once it was let in:
//!
//! - What was let in and is not written yet is reserved, and counts as if it were. So the memtables of a tree take at most
//!   those that may be frozen and two more, beside what the writes bring that found room at the same moment, which their
//!   transactions had in memory before.
//! - The memtables of all trees that can be flushed take at most twice [`Options::memtables_bytes_max`], in the same sense:
//!   the largest are flushed from once of it on, and writes stop at twice.
//! - A tree whose flush fails is refused more once it has as many frozen memtables as it may have, or once all trees
//!   together have reached `memtables_bytes_max`; meanwhile the others have what it leaves, and a quarter at least. It is
//!   refused by itself, and the others go on. Only when such trees alone fill `memtables_bytes_max`, where it is hardly the
//!   fault of one table any more, nobody is let in until some of them are flushed: those that are found to fail from then
//!   on bring no more than the half that they had as others.
//! - What is written without having been let in, definitions and the keys of new indexes, and all that recovery replays, is
//!   followed by [`Store::relieve`] or [`Tree::relieve`], which flush on the spot; recovery has nobody who could wait for
//!   it. Only where that fails it stays in memory. It is no more than the log has of it, and a table whose flush fails takes
//!   in no more.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::context::Context;
use super::delay::{self, Debt, Wait};
use super::store::{Shared, Store};
use super::tree::Tree;
use crate::error::{Error, Result, SqlState};

/// How soon somebody who waits finds out that it is cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// Memory is added up anew once so much of what it may be has come: adding up looks at every tree.
const MEMORY_PARTS: usize = 64;

/// The least part of memory that trees which can be flushed have, however much others fill, of this store or another.
const SOUND_PARTS: usize = 4;

/// The way into a tree.
#[derive(Default)]
pub struct Gate {
    /// Bytes that were let in and are not written yet.
    pub(super) reserved: usize,
    /// When the delays of all who were let in are over: each waits behind those before.
    free_at: Option<Instant>,
}

impl Gate {
    /// Lets in so many bytes that shall wait so long, behind those who do already; answers how long that is from now.
    /// What is too short to be worth a sleep is owed by those who follow.
    fn pass(&mut self, bytes: usize, delay: Duration, now: Instant) -> Duration {
        self.reserved += bytes;
        if delay.is_zero() {
            return Duration::ZERO;
        }
        let begins = self.free_at.map_or(now, |free_at| free_at.max(now));
        let ends = (begins + delay).min(now + delay::DELAY_MAX);
        self.free_at = Some(ends);
        let pause = ends - now;
        if pause < delay::DELAY_MIN { Duration::ZERO } else { pause }
    }
}

/// A write that was let in: dropped once it is in the memtable, or given up.
pub struct Admitted {
    tree: Arc<Tree>,
    context: Arc<Context>,
    bytes: usize,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.tree.gate.lock().reserved -= self.bytes;
        self.context.memory.give_back(self.bytes);
        if self.context.traffic.waiting.load(Relaxed) > 0 {
            self.context.signal.nudge();
        }
    }
}

/// A writer that waits. All of the waiting of one admission is one stall.
struct Waiting<'a> {
    context: &'a Context,
    began: Instant,
    /// When something was flushed last, or the wait began.
    hoped: Instant,
    flushes: u64,
}

impl<'a> Waiting<'a> {
    fn new(context: &'a Context) -> Waiting<'a> {
        context.traffic.waiting.fetch_add(1, Relaxed);
        let began = Instant::now();
        Waiting { context, began, hoped: began, flushes: context.signal.flushes() }
    }

    /// Waits until something has happened or it is time to look whether the caller is cancelled.
    fn look(&mut self, time: Duration) {
        self.context.signal.wait(time.min(LOOK));
    }

    /// An error once nothing was flushed for too long.
    fn has_hope(&mut self) -> Result<()> {
        let (flushes, now) = (self.context.signal.flushes(), Instant::now());
        if flushes != self.flushes {
            (self.flushes, self.hoped) = (flushes, now);
        }
        let longest = self.context.options.flush_wait_max;
        if now.duration_since(self.hoped) < longest {
            return Ok(());
        }
        let message = format!(
            "memory is full of committed changes, and none could be written to disk for {} s",
            longest.as_secs()
        );
        Err(Error::new(SqlState::OUT_OF_MEMORY, message)
            .hint("Nothing of this transaction was committed. Look after the disk of the data directory."))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.context.traffic.waiting.fetch_sub(1, Relaxed);
        self.context.traffic.stalled(self.began.elapsed());
    }
}

impl Store {
    /// Lets in a write of so many bytes to each of these trees, before it is logged. May wait; `go_on` is asked all the
    /// while and ends it with its error. Without a background thread nothing would catch up meanwhile: then memtables that
    /// are too many are flushed here, and nothing else is waited for.
    pub fn admit(
        &self,
        writes: &[(Arc<Tree>, usize)],
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Admitted>> {
        let context = &*self.shared.context;
        let mut waiting: Option<Waiting> = None;
        loop {
            let Some((full, _)) = writes.iter().find(|(tree, bytes)| self.shared.is_full(tree, *bytes))
            else {
                let passed = writes.iter().map(|(tree, bytes)| self.shared.pass(tree, *bytes));
                let (admitted, pauses): (Vec<_>, Vec<_>) = passed.unzip();
                let until = pauses.into_iter().max().filter(|pause| !pause.is_zero());
                let until = until.map(|pause| Instant::now() + pause);
                while let Some(rest) = until.and_then(|until| until.checked_duration_since(Instant::now())) {
                    let waiting = waiting.get_or_insert_with(|| Waiting::new(context));
                    go_on()?;
                    waiting.look(rest);
                }
                return Ok(admitted);
            };
            // No other tree's room is taken meanwhile: who writes to that alone shall not wait for this commit.
            self.check_room(full)?;
            if context.signal.has_worker() {
                let waiting = waiting.get_or_insert_with(|| Waiting::new(context));
                go_on()?;
                waiting.has_hope()?;
                waiting.look(LOOK);
            } else {
                self.relieve(full);
                self.check_room(full)?;
                return Ok(writes.iter().map(|(tree, bytes)| self.shared.pass(tree, *bytes).0).collect());
            }
        }
    }

    /// An error (53100, 58030) when flushing this tree has failed and too much is unflushed, or of so many others that they
    /// fill memory: taking in more would only fill it more. Flushing is tried again all the while.
    pub fn check_room(&self, tree: &Tree) -> Result<()> {
        let context = &self.shared.context;
        let Some(error) = context.signal.any_failure() else { return Ok(()) };
        let options = &context.options;
        let (sound, stuck) = self.shared.memory_parts();
        if stuck > options.memtables_bytes_max {
            return Err(tree.failure().unwrap_or(error));
        }
        let Some(error) = tree.failure() else { return Ok(()) };
        let frozen = self.shared.frozen(tree, tree.gate.lock().reserved);
        let full = frozen > options.frozen_memtables_max || sound + stuck > options.memtables_bytes_max;
        if full { Err(error) } else { Ok(()) }
    }

    /// Makes room on this thread after a write that was not let in before, as [`Tree::relieve`] does, and in memory as a
    /// whole. What cannot be flushed stays there.
    pub fn relieve(&self, tree: &Tree) {
        tree.relieve();
        loop {
            let (bytes, bytes_max) = self.shared.memory();
            if bytes <= bytes_max || !matches!(self.shared.flush_step(Some(Instant::now())), Ok(true)) {
                return;
            }
        }
    }
}

impl Shared {
    /// What a write of so many bytes has to wait for, with what else was let in.
    fn wait(&self, tree: &Tree, bytes: usize, gate: &Gate) -> Wait {
        let (memory_bytes, memory_bytes_max) = self.memory();
        let frozen = self.frozen(tree, gate.reserved);
        let debt = Debt { frozen, level0: tree.level0(), memory_bytes, memory_bytes_max };
        delay::wait(debt, bytes, &self.context.options)
    }

    /// Whether a write has to wait for a flush.
    fn is_full(&self, tree: &Tree, bytes: usize) -> bool {
        self.is_stuck() || self.wait(tree, bytes, &tree.gate.lock()) == Wait::Flush
    }

    /// Whether what cannot be flushed fills memory.
    fn is_stuck(&self) -> bool {
        self.memory_parts().1 > self.context.options.memtables_bytes_max
    }

    /// Lets a write in for which there was room just now. Answers how long it is to be delayed.
    fn pass(&self, tree: &Arc<Tree>, bytes: usize) -> (Admitted, Duration) {
        let mut gate = tree.gate.lock();
        let delay = match self.wait(tree, bytes, &gate) {
            Wait::Delay(delay) if self.context.signal.has_worker() => delay,
            _ => Duration::ZERO,
        };
        let pause = gate.pass(bytes, delay, Instant::now());
        drop(gate);
        self.context.memory.reserve(bytes);
        (Admitted { tree: tree.clone(), context: self.context.clone(), bytes }, pause)
    }

    /// Memtables to flush, with those that writes on their way will fill.
    pub(super) fn frozen(&self, tree: &Tree, reserved: usize) -> usize {
        tree.unflushed() + reserved / self.context.options.memtable_bytes_max.max(1)
    }

    /// Bytes in memtables that can be flushed, and from where on the largest of them is.
    pub(super) fn memory(&self) -> (usize, usize) {
        let (sound, stuck) = self.memory_parts();
        let (all, others) = (self.context.options.memtables_bytes_max, self.context.memory.others());
        (sound, all.saturating_sub(stuck.saturating_add(others)).max(all / SOUND_PARTS))
    }

    /// Bytes in memtables that can be flushed, and in others.
    fn memory_parts(&self) -> (usize, usize) {
        let memory = &self.context.memory;
        if memory.since() > self.context.options.memtables_bytes_max / MEMORY_PARTS {
            self.look_at_memory();
        }
        memory.bytes()
    }

    /// Adds up what memtables take; the trees that can be flushed, and those whose last flush failed.
    pub(super) fn look_at_memory(&self) -> (Vec<Arc<Tree>>, Vec<Arc<Tree>>) {
        let seen = self.context.memory.since();
        let (failing, sound): (Vec<_>, Vec<_>) =
            self.live_trees().into_iter().partition(|tree| tree.failure().is_some());
        let bytes = |trees: &[Arc<Tree>]| trees.iter().map(|tree| tree.bytes_in_memory()).sum();
        self.context.memory.set(bytes(&sound), bytes(&failing), seen);
        (sound, failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_together_go_at_the_rate_of_one() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        let (delay, short) = (Duration::from_millis(7), Duration::from_micros(300));
        assert_eq!(gate.pass(10, delay, now), delay);
        assert_eq!(gate.pass(10, delay, now), 2 * delay, "it waits behind the first");
        assert_eq!(gate.pass(10, delay, now + 2 * delay), delay, "whose time is over");
        assert_eq!(gate.reserved, 30);
        let later = now + Duration::from_secs(1);
        for owed in 1..=3 {
            assert_eq!(gate.pass(0, short, later), Duration::ZERO, "{owed} short ones are not worth a sleep");
        }
        assert_eq!(gate.pass(0, short, later), 4 * short, "and are owed together");
        for _ in 0..100 {
            assert!(gate.pass(0, delay, later) <= delay::DELAY_MAX);
        }
        assert_eq!(gate.pass(0, Duration::ZERO, later), Duration::ZERO);
    }
}
