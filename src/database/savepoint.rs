//! Savepoints: SAVEPOINT, ROLLBACK TO, RELEASE.
//!
//! Rows go back writer by writer (see `table::savepoint`). Definitions go back by cutting the list of edits; for
//! recovery the log is told the opposite edits. Locks and sequences stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::{Catalog, Edit, Oid};
use crate::database::Transaction;
use crate::database::core::Core;
use crate::database::deferred_keys::DeferredKeys;
use crate::database::work::Work;
use crate::error::Result;
use crate::log::{Record, StorageId};
use crate::table::savepoint::Mark;
use crate::table::state::VectorColumn;

/// A transaction as it was. Names and nesting are the session's: after going back to one, later ones are void, and the
/// one itself stays good. Releasing is dropping; hold none at commit.
#[derive(Clone, Default)]
pub struct Savepoint {
    writers: BTreeMap<StorageId, Mark>,
    edits: usize,
    created: BTreeSet<StorageId>,
    vectors: BTreeMap<StorageId, Arc<[VectorColumn]>>,
    graphs: usize,
    deferred: DeferredKeys,
}

impl std::fmt::Debug for Savepoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Savepoint({} tables, {} edits)", self.writers.len(), self.edits)
    }
}

impl Transaction {
    pub fn savepoint(&self) -> Savepoint {
        let deferred = self.deferred.clone();
        let Some(work) = &self.work else { return Savepoint { deferred, ..Savepoint::default() } };
        Savepoint {
            deferred,
            writers: work.writers.iter().map(|(storage, writer)| (*storage, writer.mark())).collect(),
            edits: work.edits.len(),
            created: work.created.keys().copied().collect(),
            vectors: work.vectors.clone(),
            graphs: work.graphs.len(),
        }
    }

    /// Undoes everything since the savepoint (locks and sequences excepted).
    pub fn rollback_to(&mut self, savepoint: &Savepoint) -> Result<()> {
        self.deferred = savepoint.deferred.clone();
        let Some(mut work) = self.work.take() else { return Ok(()) };
        let catalog = self.version().catalog.apply(&work.edits[..savepoint.edits]);
        let outcome = go_back(&self.core, &mut work, savepoint, &catalog);
        self.work = Some(work);
        self.refresh_catalog();
        outcome
    }
}

fn go_back(core: &Core, work: &mut Work, savepoint: &Savepoint, catalog: &Catalog) -> Result<()> {
    // Rows first: their keys are those of the definitions they were written under.
    for (storage, writer) in &mut work.writers {
        writer.back_to(savepoint.writers.get(storage).unwrap_or(&Mark::default()))?;
    }
    if work.edits.len() > savepoint.edits {
        let opposite = opposite(&work.edits[savepoint.edits..], catalog);
        // Only the chunks that were written before belong before the opposite edits.
        work.log_chunks(core, 1)?;
        let edits = Edit::encode_list(&opposite);
        work.append(core, |txn| Record::Catalog { txn, edits: &edits })?;
        forget_definitions(core, work, savepoint, catalog);
    }
    Ok(())
}

fn forget_definitions(core: &Core, work: &mut Work, savepoint: &Savepoint, catalog: &Catalog) {
    work.edits.truncate(savepoint.edits);
    work.graphs.truncate(savepoint.graphs);
    work.vectors.clone_from(&savepoint.vectors);
    // A savepoint has the columns themselves.
    work.dropped_vectors.clear();
    let gone: Vec<StorageId> =
        work.created.keys().filter(|storage| !savepoint.created.contains(*storage)).copied().collect();
    for storage in gone {
        work.created.remove(&storage);
        work.writers.remove(&storage);
        core.store.drop_tree(storage);
        core.retired.lock().push(core.table_dir(storage));
    }
    work.redefine_writers(catalog);
}

/// Edits that lead back from these to the catalogue before them.
fn opposite(edits: &[Edit], before: &Catalog) -> Vec<Edit> {
    let touched: BTreeSet<Oid> = edits.iter().map(Edit::oid).collect();
    touched.into_iter().map(|oid| before.object_by_oid(oid).map_or(Edit::Delete(oid), Edit::Put)).collect()
}
