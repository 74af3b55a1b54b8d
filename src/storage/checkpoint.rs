//! A checkpoint: from now on, recovery begins here.
//!
//! 1. [`Store::freeze`]: every tree's memtable becomes pending. The one step that must not overlap a write.
//! 2. Flush all that was pending then. Writes go on meanwhile, into later batches.
//! 3. Commit one record to the manifest: new and dropped trees, the flushed and ingested tables as level 0,
//!    the extras, the position. All of it counts from the moment the record is durable, or nothing.
//! 4. Readers get the same tables in their new place; the files of dropped trees go with their last reader.

use std::sync::Arc;

use super::limiter::Lane;
use super::manifest::Edit;
use super::store::{Shared, Store};
use super::tree::Tree;
use crate::error::Result;
use crate::log::{Position, StorageId};

/// A small named value that the manifest keeps for a tree's other files: graph generations, bitmaps, synced
/// segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    pub storage: StorageId,
    pub name: String,
    /// `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// What a checkpoint records beside the trees.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// Everything before is in the trees; the log is replayed from here.
    pub position: Position,
    pub extras: Vec<Extra>,
}

/// The moment a checkpoint is of: see [`Store::freeze`].
pub struct Frozen {
    /// Each tree with the last batch that belongs to the checkpoint.
    trees: Vec<(Arc<Tree>, u64)>,
    dropped: Vec<Arc<Tree>>,
}

impl Store {
    /// Step one of a checkpoint, microseconds long: fixes what belongs to it. The caller sees to it that all
    /// writes before the checkpoint's position are in and none after.
    pub fn freeze(&self) -> Frozen {
        let trees = self.shared.trees.lock();
        let frozen = trees.live.values().map(|tree| (tree.clone(), tree.freeze())).collect();
        Frozen { trees: frozen, dropped: trees.dropped.clone() }
    }

    /// Step two: flushes what was frozen and makes it, the position and the extras durable in one edit.
    /// After an error nothing is lost, and another checkpoint may be tried. `calm`: as slowly as what is behind
    /// allows, for nobody waits for it.
    pub fn checkpoint_frozen(&self, frozen: Frozen, checkpoint: Checkpoint, calm: bool) -> Result<()> {
        let _urgent = (!calm).then(|| self.urgent());
        let _guard = self.shared.checkpointing.lock();
        for (tree, last) in &frozen.trees {
            while tree.flush_one(*last, calm.then_some(Lane::Flush))? {}
        }
        self.shared.commit(&frozen, checkpoint)?;
        self.shared.context.signal.work();
        Ok(())
    }

    /// Both steps, while nobody writes.
    pub fn checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        let frozen = self.freeze();
        self.checkpoint_frozen(frozen, checkpoint, false)
    }
}

impl Shared {
    fn commit(&self, frozen: &Frozen, checkpoint: Checkpoint) -> Result<()> {
        let mut manifest = self.manifest.lock();
        let mut edits: Vec<_> = frozen.dropped.iter().map(|tree| Edit::DropTree(tree.id())).collect();
        for (tree, last) in &frozen.trees {
            edits.push(Edit::CreateTree(tree.id()));
            for table in tree.pending_tables(*last) {
                // Before the commit: should it fail half way, the disk's manifest may name the file.
                table.keep(true);
                edits.push(Edit::AddTable(tree.id(), 0, table.meta().clone()));
            }
        }
        edits.extend(checkpoint.extras.into_iter().map(Extra::into_edit));
        edits.push(Edit::Position(checkpoint.position));
        edits.push(self.next_number_edit());
        manifest.commit(edits)?;
        frozen.trees.iter().for_each(|(tree, last)| tree.adopt(*last));
        for tree in &frozen.dropped {
            tree.all_tables().iter().for_each(|table| table.keep(false));
        }
        let gone = |tree: &Arc<Tree>| frozen.dropped.iter().any(|other| Arc::ptr_eq(tree, other));
        self.trees.lock().dropped.retain(|tree| !gone(tree));
        Ok(())
    }
}

impl Extra {
    pub(super) fn into_edit(self) -> Edit {
        match self.value {
            Some(value) => Edit::SetExtra(self.storage, self.name, value),
            None => Edit::RemoveExtra(self.storage, self.name),
        }
    }
}
