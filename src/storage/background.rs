//! Flushes and compactions, on threads of their own or step by step.
//!
//! Two threads: a compaction may take seconds, and a writer that waits for a flush shall not wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::compaction;
use super::context::Context;
use super::is_damage;
use super::store::{Shared, Store};
use super::tree::Tree;
use crate::error::{Error, Result, SqlState};
use crate::log::StorageId;

/// How long a tree whose compaction failed rests.
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(300);

impl Store {
    /// Starts the threads that flush and compact; without them, [`Store::step`] does their work.
    pub fn start_background(&self) -> Result<()> {
        let mut threads = self.shared.background.lock();
        if !threads.is_empty() {
            return Ok(());
        }
        let flush: Step =
            |shared| shared.flush_step().inspect_err(|error| shared.context.signal.failed(error.clone()));
        let compact: Step = Shared::compact_step;
        for (name, step) in [("hither-flush", flush), ("hither-compact", compact)] {
            let context = self.shared.context.clone();
            let shared = Arc::downgrade(&self.shared);
            let thread =
                std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&context, &shared, step));
            context_started(&self.shared.context, &thread);
            threads.push(thread.map_err(|error| Error::io("start thread", name, &error))?);
        }
        Ok(())
    }

    /// Ends the threads and waits for them; a compaction under way is given up.
    pub fn stop_background(&self) {
        let threads = std::mem::take(&mut *self.shared.background.lock());
        self.shared.context.signal.set_stopping(true);
        for thread in threads {
            if thread.join().is_err() {
                log::error!("a background thread of the store had panicked");
            }
        }
        self.shared.context.signal.set_stopping(false);
    }
}

/// Trees whose last compaction failed.
#[derive(Default)]
pub(super) struct Compactions(BTreeMap<StorageId, Rest>);

struct Rest {
    until: Instant,
    time: Duration,
}

impl Compactions {
    fn rests(&self, tree: StorageId, now: Instant) -> bool {
        self.0.get(&tree).is_some_and(|rest| now < rest.until)
    }

    /// Damage stays, so that each rest is twice the one before; what else failed may work again soon.
    fn failed(&mut self, tree: StorageId, error: &Error, now: Instant) {
        let last = self.0.get(&tree).map(|rest| rest.time).filter(|_| is_damage(error));
        let time = last.map_or(REST_MIN, |time| (2 * time).min(REST_MAX));
        self.0.insert(tree, Rest { until: now + time, time });
    }

    fn succeeded(&mut self, tree: StorageId) {
        self.0.remove(&tree);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.context.signal.set_stopping(true);
    }
}

/// One piece of work; false when there is none.
type Step = fn(&Shared) -> Result<bool>;

/// Counts the thread before it runs, so that a writer never sees none.
fn context_started<T>(context: &Context, thread: &std::io::Result<T>) {
    if thread.is_ok() {
        context.signal.worker_started();
    }
}

/// Takes the worker out of the count however the thread ends.
struct Counted<'a>(&'a Context);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.signal.worker_ended();
    }
}

fn run(context: &Context, shared: &Weak<Shared>, step: Step) {
    let _counted = Counted(context);
    loop {
        let seen = context.signal.seen();
        let Some(strong) = shared.upgrade() else { return };
        let worked = step(&strong);
        drop(strong);
        match worked {
            Ok(true) if !context.signal.is_stopping() => continue,
            Ok(_) => {}
            Err(error) if error.state() == SqlState::ADMIN_SHUTDOWN => {}
            Err(error) => log::error!("background work of the store failed and will be tried again: {error}"),
        }
        if !context.signal.wait_for_work(seen) {
            return;
        }
    }
}

impl Shared {
    /// Flushes a frozen memtable of the tree that has most; freezes one when all together are too large.
    pub(super) fn flush_step(&self) -> Result<bool> {
        let trees = self.live_trees();
        if let Some(tree) = trees.iter().max_by_key(|tree| tree.unflushed())
            && tree.unflushed() > 0
        {
            return tree.flush_one(u64::MAX);
        }
        let total: usize = trees.iter().map(|tree| tree.bytes_in_memory()).sum();
        let largest = trees.iter().max_by_key(|tree| tree.bytes_in_memory());
        match largest.filter(|_| total > self.context.options.memtables_bytes_max) {
            Some(tree) => {
                tree.freeze();
                tree.flush_one(u64::MAX)
            }
            None => Ok(false),
        }
    }

    /// Does the first compaction that is due. A tree whose tables cannot be merged, for one has a damaged block, does not
    /// keep the others waiting: its failure is told when no other tree has anything to do, and it rests for a while.
    pub(super) fn compact_step(&self) -> Result<bool> {
        let _guard = self.compacting.lock();
        let mut failed = None;
        for tree in self.live_trees() {
            let version = tree.version();
            let Some(choice) = compaction::choose(&compaction::shape(&version), &self.context.options) else {
                continue;
            };
            if self.compactions.lock().rests(tree.id(), Instant::now()) {
                continue;
            }
            match compaction::run(&self.context, tree.id(), &version, &choice) {
                Ok(job) => {
                    self.compactions.lock().succeeded(tree.id());
                    self.commit_compaction(&tree, &job)?;
                    return Ok(true);
                }
                Err(error) if error.state() == SqlState::ADMIN_SHUTDOWN => return Err(error),
                Err(error) => {
                    self.compactions.lock().failed(tree.id(), &error, Instant::now());
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(false), Err)
    }

    pub(super) fn compact_tree(&self, id: StorageId) -> Result<()> {
        let _guard = self.compacting.lock();
        let tree = self.trees.lock().live.get(&id).cloned();
        let Some(tree) = tree else { return Ok(()) };
        let version = tree.version();
        let Some(choice) = compaction::everything(&version) else { return Ok(()) };
        let job = compaction::run(&self.context, id, &version, &choice)?;
        self.commit_compaction(&tree, &job)
    }

    /// Exchanges the tables in the manifest and for the readers. The version may have got new tables in
    /// level 0 meanwhile, but none of those merged can have gone: one compaction runs at a time.
    pub(super) fn commit_compaction(&self, tree: &Tree, job: &compaction::Job) -> Result<()> {
        let mut manifest = self.manifest.lock();
        if tree.is_dropped() {
            return Ok(());
        }
        // Before the commit: should it fail half way, the disk's manifest may name the files.
        job.added.iter().for_each(|table| table.keep(true));
        let mut edits = job.edits(tree.id());
        edits.push(self.next_number_edit());
        manifest.commit(edits)?;
        let removed: Vec<u64> = job.removed.iter().map(|table| table.meta().number).collect();
        tree.replace_tables(&removed, job.level, &job.added);
        let moved = |number: u64| job.added.iter().any(|table| table.meta().number == number);
        for table in job.removed.iter().filter(|table| !moved(table.meta().number)) {
            table.keep(false);
        }
        Ok(())
    }
}
