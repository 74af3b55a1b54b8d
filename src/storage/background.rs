//! Flushes and compactions, on threads of their own or step by step.
//!
//! Two threads: a compaction may take seconds, and a writer that waits for a flush shall not wait for it.
//! A tree whose flush or compaction fails rests before it is tried again, and longer when it is damaged
//! (`compaction/rests.rs`), while the others are flushed and compacted.

use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::MutexGuard;

use super::compaction::{self, Cleaning};
use super::context::Context;
use super::is_damage;
use super::limiter::Lane;
use super::manifest::LEVELS;
use super::store::{Shared, Store};
use super::tree::Tree;
use crate::error::{Error, Result, SqlState};
use crate::log::StorageId;

impl Store {
    /// Starts the threads that flush and compact; without them, [`Store::step`] does their work.
    pub fn start_background(&self) -> Result<()> {
        let mut threads = self.shared.background.lock();
        if !threads.is_empty() {
            return Ok(());
        }
        let flush: Step = |shared| shared.flush_step(Some(Instant::now()));
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

impl Drop for Shared {
    fn drop(&mut self) {
        self.context.signal.set_stopping(true);
    }
}

/// One piece of work; false when there is none. An error has been logged.
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
        if worked.is_ok_and(|worked| worked) && !context.signal.is_stopping() {
            continue;
        }
        if !context.signal.wait_for_work(seen) {
            return;
        }
    }
}

impl Shared {
    /// Flushes a frozen memtable of the tree that has most; freezes one when all together are too large. Trees whose last
    /// flush failed have their turn apart: at the time `now` those that have rested, else all of them, once there is nothing
    /// else to do. One that fails is logged.
    ///
    /// The first error when all that were tried failed.
    pub(super) fn flush_step(&self, now: Option<Instant>) -> Result<bool> {
        let (mut sound, failing) = self.look_at_memory();
        let mut failed = None;
        // The store's own thread tells the time, and who makes room where memory is too full, for whom there is no bound.
        let lane = now.map(|_| Lane::Flush);
        if let Some(now) = now
            && self.flush_first(self.rested(&failing, now), lane, &mut failed)
        {
            return Ok(true);
        }
        // Others write and flush meanwhile.
        sound.sort_by_cached_key(|tree| std::cmp::Reverse(tree.unflushed()));
        if self.flush_first(sound.iter().filter(|tree| tree.unflushed() > 0), lane, &mut failed) {
            return Ok(true);
        }
        let (bytes, bytes_max) = self.memory();
        let largest = sound.iter().max_by_key(|tree| tree.bytes_in_memory());
        if let Some(tree) = largest.filter(|tree| bytes > bytes_max && tree.failure().is_none()) {
            tree.freeze();
            if self.flush_first([tree], lane, &mut failed) {
                return Ok(true);
            }
        }
        if now.is_none() && self.flush_first(&failing, lane, &mut failed) {
            return Ok(true);
        }
        failed.map_or(Ok(false), Err)
    }

    /// Flushes one of the first of these trees for which that succeeds; whether there was any.
    fn flush_first<'a>(
        &self,
        trees: impl IntoIterator<Item = &'a Arc<Tree>>,
        lane: Option<Lane>,
        failed: &mut Option<Error>,
    ) -> bool {
        for tree in trees {
            match tree.flush_one(u64::MAX, lane) {
                Ok(true) => {
                    self.flush_rests.lock().ended(tree.id());
                    return true;
                }
                Ok(false) => {}
                Err(error) if error.state() == SqlState::ADMIN_SHUTDOWN => {
                    failed.get_or_insert(error);
                }
                Err(error) => {
                    let rest = self.flush_rests.lock().failed(tree.id(), is_damage(&error), Instant::now());
                    log::error!(
                        "a flush of tree {} failed and will be tried again in {} s: {error}",
                        tree.id().0,
                        rest.as_secs()
                    );
                    failed.get_or_insert(error);
                }
            }
        }
        false
    }

    /// Those of the trees that have rested at the time `now`.
    fn rested<'a>(&self, failing: &'a [Arc<Tree>], now: Instant) -> Vec<&'a Arc<Tree>> {
        let mut rests = self.flush_rests.lock();
        rests.keep(|id| failing.iter().any(|tree| tree.id() == id));
        failing.iter().filter(|tree| !rests.rests(tree.id(), now)).collect()
    }

    /// Does the first compaction that is due and succeeds. One that fails is logged, and its tree rests.
    ///
    /// The first error when all that were due failed; 57P01 when the store is closing.
    pub(super) fn compact_step(&self) -> Result<bool> {
        self.compact_step_at(Instant::now())
    }

    /// As [`Shared::compact_step`], at a time that is told.
    pub(super) fn compact_step_at(&self, now: Instant) -> Result<bool> {
        let mut rests = self.compacting.lock();
        let trees = self.live_trees();
        rests.keep(|id| trees.iter().any(|tree| tree.id() == id));
        let mut failed = None;
        for tree in &trees {
            if rests.rests(tree.id(), now) {
                continue;
            }
            match self.compact_due(tree) {
                Ok(worked) => {
                    rests.ended(tree.id());
                    if worked {
                        return Ok(true);
                    }
                }
                Err(error) if error.state() == SqlState::ADMIN_SHUTDOWN => return Err(error),
                Err(error) => {
                    let rest = rests.failed(tree.id(), is_damage(&error), now);
                    log::error!(
                        "the compaction of tree {} failed and will be tried again in {} s: {error}",
                        tree.id().0,
                        rest.as_secs()
                    );
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(false), Err)
    }

    /// Compacts the tree if that is due; false when it is not.
    fn compact_due(&self, tree: &Tree) -> Result<bool> {
        let version = tree.version();
        let choice = compaction::choose(&compaction::shape(&version), &self.context.options);
        let Some(choice) = choice else { return Ok(false) };
        let job = compaction::run(&self.context, tree.id(), &version, &choice, Some(Lane::Merge))?;
        self.commit_compaction(tree, &job).map(|()| true)
    }

    pub(super) fn compact_tree(&self, id: StorageId) -> Result<()> {
        let mut rests = self.compacting.lock();
        let tree = self.trees.lock().live.get(&id).cloned();
        let Some(tree) = tree else { return Ok(()) };
        let version = tree.version();
        let Some(choice) = compaction::everything(&version) else { return Ok(()) };
        let job = compaction::run(&self.context, id, &version, &choice, None)?;
        self.commit_compaction(&tree, &job)?;
        rests.ended(id);
        Ok(())
    }

    /// Writes anew what is worth it, until nothing is: what goes from one level may leave deletions in another without
    /// anything to delete.
    pub(super) fn clean_tree(&self, id: StorageId, lane: Option<Lane>) -> Result<()> {
        let mut rests = self.compacting.lock();
        let tree = self.trees.lock().live.get(&id).cloned();
        let Some(tree) = tree else { return Ok(()) };
        for _round in 0..=LEVELS {
            let version = tree.version();
            let garbage = compaction::count(&self.context, &version, lane)?;
            let cleanings = compaction::plan(&version, &garbage);
            if cleanings.is_empty() {
                break;
            }
            for cleaning in cleanings {
                // Compactions that are due have their turn: a vacuum of a large tree takes minutes.
                MutexGuard::bump(&mut rests);
                let version = tree.version();
                if !cleaning.fits(&version) {
                    break;
                }
                let job = match &cleaning {
                    Cleaning::Merge(choice) => compaction::run(&self.context, id, &version, choice, lane)?,
                    Cleaning::Trim(trim) => compaction::trim(&self.context, id, &version, trim, lane)?,
                };
                self.commit_compaction(&tree, &job)?;
            }
        }
        rests.ended(id);
        Ok(())
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
