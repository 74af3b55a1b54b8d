//! What a transaction may do, and how it ends.
//!
//! ```text
//!   start_statement ─> snapshot(s) ─> lock_rows ─> insert / update / delete ─> ... ─> commit_start ─> Commit
//!                 └────── Stop::Wait or Restart: wait, then again ──────┘         └─> rollback
//! ```
//!
//! Writes check the newest state, not the snapshot: a key is locked, then looked up as of the newest commit. Locks
//! are given back after the commit is published, so who gets a lock sees what its last holder did.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::catalog::{self, Catalog, Edit, Oid};
use crate::database::Database;
use crate::database::commit::{self, Submitted};
use crate::database::core::{Core, Version};
use crate::database::deferred_keys::{DeferredKeys, Until, Wait};
use crate::database::snapshots::{Held, Holder};
use crate::database::work::{CHUNK_BYTES, LiveWork, Work, no_table};
use crate::error::{Error, Result, SqlState};
use crate::locks::{Mode, Resource, Waiter};
use crate::log::{Record, Seq, TxnId};
use crate::table::reads::Reads;
use crate::table::write::{Keys, NewRow, NewVersion, Writer};
use crate::table::{Snapshot, Table};
use crate::types::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A new snapshot per statement.
    ReadCommitted,
    /// One snapshot, taken by the first statement.
    RepeatableRead,
    /// The same, and what was read is unchanged by others at the end: `serializable.rs`.
    Serializable,
}

impl Isolation {
    /// As SQL has it.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        }
    }
}

/// Why a call did not do its work.
#[derive(Debug)]
pub enum Stop {
    Error(Error),
    /// Someone else holds a lock. Nothing was changed (locks already taken are kept): after the wait make the
    /// same call again, or under READ COMMITTED run the statement again.
    Wait(Waiter),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// What INSERT does about a row whose key exists. Indexes are unique ones, by oid; no index means any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// 23505.
    Error,
    /// DO NOTHING.
    Nothing(Option<Oid>),
    /// DO UPDATE: the row is not inserted and the existing slot is reported. A row that conflicts with one of the same
    /// call is 21000.
    Report(Oid),
    /// For a part of what a statement writes: the row waits for its key until [`Transaction::end_parts`].
    Wait,
}

/// When a new key of an updated row must be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Free {
    Now,
    /// Later parts of the statement may give it up.
    AfterAllParts,
}

/// What became of the rows of one insert.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InsertOutcome {
    /// Per row, in order: its slot, or none when it was skipped or reported.
    pub slots: Vec<Option<u32>>,
    /// (row, existing slot), for [`OnConflict::Report`].
    pub conflicts: Vec<(usize, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    Locked,
    /// READ COMMITTED: a row changed since the statement's snapshot. Take a new one ([`Transaction::start_statement`])
    /// and run the statement again; the locks are kept.
    Restart,
}

/// A new version of a row.
#[derive(Clone, Debug)]
pub struct RowUpdate {
    pub slot: u32,
    /// All stored columns in order. Where `vectors_changed` is false, `vector(n)` cells are not looked at.
    pub row: Vec<Value>,
    /// Whether a `vector(n)` cell changed: then the row moves to a new slot, and all such cells are given.
    pub vectors_changed: bool,
}

/// How far a commit is when [`Transaction::commit_start`] returns.
pub enum Commit {
    /// Nothing was written.
    Done(Seq),
    /// This caller commits for all who wait: call [`Leader::lead`].
    Lead(Leader),
    /// Another caller commits for this one.
    Follow(Pending),
    /// It could not start, and is undone.
    Failed(Error),
}

/// The right and the duty to commit what is queued. Dropped, it does its duty on the spot.
pub type Leader = commit::Leader<LiveWork>;
/// A commit that waits for its leader.
pub type Pending = commit::Pending<LiveWork>;
/// What a follower hears.
pub type Follower = commit::Follower<LiveWork>;

/// A transaction. One statement at a time; dropping it rolls back.
pub struct Transaction {
    pub(super) core: Arc<Core>,
    commits: Arc<commit::Commits<LiveWork>>,
    isolation: Isolation,
    holder: Holder,
    snapshot: Arc<Held>,
    version: Arc<Version>,
    /// With own DDL.
    catalog: Arc<Catalog>,
    /// Nothing until the first write or lock.
    pub(super) work: Option<Work>,
    /// The number that the work has or is going to have, once somebody asked for it.
    number: Option<TxnId>,
    /// Where others see it; 0 before.
    announced: Arc<AtomicU64>,
    /// Whether a statement has started.
    started: bool,
    /// Whether its commit is acknowledged only when it is on disk.
    waits_for_disk: bool,
    /// Whether it was told values of sequences, which it must not be told twice.
    pub(super) used_sequence: bool,
    /// Keys that rows wait for.
    pub(super) deferred: DeferredKeys,
    /// Under SERIALIZABLE.
    pub(super) reads: Arc<Reads>,
    /// As of the snapshot, without own DDL.
    pub(super) begun: Arc<Catalog>,
}

impl Transaction {
    pub(super) fn new(
        database: &Database,
        isolation: Isolation,
        holder: Holder,
        announced: Arc<AtomicU64>,
    ) -> Transaction {
        announced.store(0, Ordering::Relaxed);
        let core = database.core().clone();
        let (version, snapshot) = newest(&core, holder);
        let (catalog, begun) = (version.catalog.clone(), version.catalog.clone());
        let commits = database.commits().clone();
        Transaction {
            core,
            commits,
            isolation,
            holder,
            snapshot,
            version,
            catalog,
            work: None,
            number: None,
            announced,
            started: false,
            deferred: DeferredKeys::default(),
            waits_for_disk: true,
            used_sequence: false,
            reads: Arc::default(),
            begun,
        }
    }

    /// Assigned at the first write or lock, or by [`Transaction::assigned_id`].
    pub fn id(&self) -> Option<TxnId> {
        self.work.as_ref().map(|work| work.txn).or(self.number)
    }

    /// The number, which is greater than those that were assigned before.
    pub fn assigned_id(&mut self) -> TxnId {
        let (work, core) = (&self.work, &self.core);
        let number =
            *self.number.get_or_insert_with(|| work.as_ref().map_or_else(|| core.new_txn(), |work| work.txn));
        self.announced.store(number.0, Ordering::Relaxed);
        number
    }

    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// SET TRANSACTION ISOLATION LEVEL; only before the first statement.
    pub fn set_isolation(&mut self, isolation: Isolation) {
        self.isolation = isolation;
    }

    /// The catalogue this statement sees, own DDL included.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// The newest commit this statement sees.
    pub fn snapshot_seq(&self) -> Seq {
        self.snapshot.seq()
    }

    /// Starts a statement: under READ COMMITTED it sees everything committed by now.
    pub fn start_statement(&mut self) {
        if self.isolation == Isolation::ReadCommitted || !self.started {
            self.start_again();
        } else {
            self.load_version();
        }
        self.started = true;
    }

    fn start_again(&mut self) {
        let (version, snapshot) = newest(&self.core, self.holder);
        self.snapshot = snapshot;
        self.begun = version.catalog.clone();
        self.take_version(version);
    }

    fn load_version(&mut self) {
        self.take_version(self.core.version.load_full());
    }

    fn take_version(&mut self, version: Arc<Version>) {
        if !Arc::ptr_eq(&version, &self.version) {
            self.version = version;
            self.refresh_catalog();
        }
    }

    /// After a table was locked and before anything of it was read: under READ COMMITTED the statement sees what was
    /// committed by then.
    pub(super) fn start_locked(&mut self) {
        self.load_version();
        if self.isolation == Isolation::ReadCommitted && self.version.seq > self.snapshot.seq() {
            self.start_again();
        }
    }

    /// The committed catalogue with own edits on top.
    pub(super) fn refresh_catalog(&mut self) {
        self.catalog = match &self.work {
            Some(work) if !work.edits.is_empty() => Arc::new(self.version.catalog.apply(&work.edits)),
            _ => self.version.catalog.clone(),
        };
    }

    pub(super) fn version(&self) -> &Version {
        &self.version
    }

    pub(super) fn catalog_ref(&self) -> &Catalog {
        &self.catalog
    }

    /// After a lock was taken: what committed before is known from here on.
    pub(super) fn start_ddl(&mut self) {
        self.load_version();
    }

    /// A table as of the newest commit, own writes included: what DDL builds on.
    pub(super) fn newest_snapshot(&self, table: Oid) -> Result<Snapshot> {
        self.snapshot_at(table, self.newest_held())
    }

    /// A table as this statement sees it, own writes included.
    pub fn snapshot(&self, table: Oid) -> Result<Snapshot> {
        self.snapshot_at(table, self.held())
    }

    /// What this statement sees.
    pub(super) fn held(&self) -> Arc<Held> {
        self.snapshot.clone()
    }

    /// What there is as of the newest commit.
    pub(super) fn newest_held(&self) -> Arc<Held> {
        self.core.snapshots.take(self.holder)
    }

    /// A table as of a moment, own writes included.
    pub(super) fn snapshot_at(&self, table: Oid, held: Arc<Held>) -> Result<Snapshot> {
        let definition = self.catalog.table_by_oid(table).ok_or_else(|| no_table(table))?.clone();
        let files = self.files(table)?;
        if held.seq() < files.rows_since() {
            // Its rows as the snapshot has them are gone.
            return Err(Error::concurrent_update()
                .detail(format!("Another transaction has rewritten the table \"{}\".", definition.name))
                .hint("Run the transaction again."));
        }
        let writer = self.work.as_ref().and_then(|work| work.writers.get(&files.storage()));
        let overlay = writer.map(Writer::overlay).filter(|overlay| !overlay.is_empty()).cloned();
        let vectors = self.work.as_ref().and_then(|work| work.vectors.get(&files.storage()).cloned());
        Ok(Snapshot::new(files, definition, held.seq(), overlay, vectors, held))
    }

    /// The live table behind an oid, as this transaction has it. One that is damaged is XX001.
    pub(super) fn files(&self, table: Oid) -> Result<Arc<Table>> {
        let definition = self.catalog.table_by_oid(table).ok_or_else(|| no_table(table))?;
        let storage = crate::log::StorageId(definition.storage);
        if let Some(created) = self.work.as_ref().and_then(|work| work.created.get(&storage)) {
            return Ok(created.clone());
        }
        self.version.check_sound(table, storage)?;
        let committed = self.version.tables.get(&table).filter(|files| files.storage() == storage);
        committed.cloned().ok_or_else(|| no_table(table))
    }

    /// Refuses rows for a table that can take in no more.
    pub(super) fn admit(&self, table: Oid) -> Result<()> {
        let files = self.files(table)?;
        self.core.admit(&files)
    }

    pub(super) fn work(&mut self) -> &mut Work {
        let (core, number, announced) = (&self.core, self.number, &self.announced);
        let session = match self.holder {
            Holder::Transaction(session) => session,
            _ => None,
        };
        self.work.get_or_insert_with(|| {
            let number = number.unwrap_or_else(|| core.new_txn());
            // Before it locks anything.
            announced.store(number.0, Ordering::Relaxed);
            Work::new(number, session)
        })
    }

    /// Locks the table for changes of its rows, and returns the pen for it.
    pub(super) fn writer(&mut self, table: Oid) -> Result<&mut Writer, Stop> {
        let txn = self.work().txn;
        let files = self.files(table)?;
        let known = self.work.as_ref().is_some_and(|work| work.writers.contains_key(&files.storage()));
        if !known {
            if let Some(waiter) = self.core.locks.table(txn, table, Mode::Shared)? {
                return Err(Stop::Wait(waiter));
            }
            // The definition may have changed before the lock was ours.
            self.load_version();
        }
        let files = self.files(table)?;
        let (core, catalog) = (self.core.clone(), self.catalog.clone());
        Ok(self.work().writer(&core, &catalog, &files, table)?)
    }

    pub(super) fn lock(&self, resources: impl IntoIterator<Item = Resource>) -> Result<(), Stop> {
        let txn = self.id().expect("a writer was made before, and with it the id");
        match self.core.locks.exclusive(txn, resources)? {
            None => Ok(()),
            Some(waiter) => Err(Stop::Wait(waiter)),
        }
    }

    /// Inserts full rows in the order of [`catalog::Table::stored_columns`]; defaults and generated columns are filled in,
    /// NOT NULL and CHECK are verified by the caller.
    pub fn insert(
        &mut self,
        table: Oid,
        rows: &[Vec<Value>],
        on_conflict: OnConflict,
    ) -> Result<InsertOutcome, Stop> {
        self.admit(table)?;
        let writer = self.writer(table)?;
        check_width(writer, rows.iter().map(Vec::len))?;
        let unique = writer.unique_keys().clone();
        let keyed = |values| Ok(NewRow { keys: writer.keys_of(values)?, values: Cow::Borrowed(values) });
        let rows: Vec<NewRow> = rows.iter().map(Vec::as_slice).map(keyed).collect::<Result<_>>()?;
        let keys = rows.iter().flat_map(|row| row.keys.iter().zip(unique.iter()));
        self.lock(keys.filter_map(|(key, unique)| Some(Resource::key(unique.index, key.as_ref()?))))?;
        let (outcome, kept, waits) = self.judge(table, rows, on_conflict)?;
        let horizon = self.core.snapshots.horizon();
        let slots = self.writer(table)?.insert(&kept, horizon)?;
        self.deferred.wait(table, waits, &slots);
        self.log_full_chunks()?;
        Ok(with_slots(outcome, &slots))
    }

    /// Which rows may be inserted: their keys are locked, so nobody else decides meanwhile. In the outcome, `Some(0)`
    /// stands for a slot to come.
    fn judge<'v>(
        &mut self,
        table: Oid,
        mut rows: Vec<NewRow<'v>>,
        on_conflict: OnConflict,
    ) -> Result<(InsertOutcome, Vec<NewRow<'v>>, Vec<Wait>), Stop> {
        let modes = self.deferred.modes();
        let (isolation, seen) = (self.isolation, self.snapshot.seq());
        let writer = self.writer(table)?;
        // Rows that the snapshot does not have as they are, where it is to last.
        let changed = match isolation {
            Isolation::ReadCommitted => None,
            _ => writer.table().state().changes.since(seen),
        };
        let unique = writer.unique_keys().clone();
        let mut waits: Vec<(usize, usize, Until)> = Vec::new();
        let mut outcome = InsertOutcome { slots: Vec::with_capacity(rows.len()), conflicts: Vec::new() };
        // Rows that come in order of their only key, as they mostly do, have no key twice.
        let are_distinct = unique.len() <= 1 && rows.is_sorted_by(|one, next| one.keys < next.keys);
        let mut taken: HashSet<&[u8]> = HashSet::new();
        // What ON CONFLICT names is asked first: a row that conflicts there violates no other key.
        let target = match on_conflict {
            OnConflict::Nothing(target) => target,
            OnConflict::Report(target) => Some(target),
            OnConflict::Error | OnConflict::Wait => None,
        };
        let mut order: Vec<usize> = (0..unique.len()).collect();
        order.sort_by_key(|&place| Some(unique[place].index) != target);
        for (number, row) in rows.iter().enumerate() {
            let mut skipped = false;
            for &place in &order {
                let (Some(key), unique) = (&row.keys[place], &unique[place]) else { continue };
                let by_same_call = taken.contains(key.as_slice());
                let owner = if by_same_call { None } else { writer.owner(key)? };
                if !by_same_call && owner.is_none() {
                    continue;
                }
                let defers = modes.defers(unique.constraint, unique.deferral);
                if on_conflict == OnConflict::Wait && (defers || !by_same_call) {
                    waits.push((number, place, Until::AllParts));
                    continue;
                }
                if defers {
                    waits.push((number, place, Until::Commit));
                    continue;
                }
                match on_conflict {
                    OnConflict::Nothing(target) if target.is_none_or(|target| target == unique.index) => {
                        if owner.zip(changed.as_ref()).is_some_and(|(owner, changed)| changed.contains(owner))
                        {
                            return Err(Error::concurrent_update().into());
                        }
                    }
                    OnConflict::Report(target) if target == unique.index => match owner {
                        Some(slot) => outcome.conflicts.push((number, slot)),
                        None => return Err(second_time().into()),
                    },
                    _ => {
                        let definition = writer.definition().clone();
                        return Err(
                            duplicate_key(&definition, &self.catalog, unique.index, &row.values).into()
                        );
                    }
                }
                skipped = true;
                break;
            }
            outcome.slots.push((!skipped).then_some(0));
            if !skipped && !are_distinct {
                taken.extend(row.keys.iter().flatten().map(Vec::as_slice));
            }
        }
        let places: Vec<usize> = outcome
            .slots
            .iter()
            .scan(0, |kept, slot| Some(std::mem::replace(kept, *kept + usize::from(slot.is_some()))))
            .collect();
        let waits = waits.into_iter().filter(|(number, ..)| outcome.slots[*number].is_some());
        let waits = waits.filter_map(|(number, place, until)| {
            let key = rows[number].keys[place].take()?;
            Some(Wait { row: places[number], index: unique[place].index, key, until })
        });
        let waits = waits.collect();
        let verdicts = rows.into_iter().zip(&outcome.slots);
        let kept = verdicts.filter(|(_, slot)| slot.is_some()).map(|(row, _)| row).collect();
        Ok((outcome, kept, waits))
    }

    /// Locks rows of this statement's snapshot before they are updated or deleted (or for SELECT FOR UPDATE). From
    /// REPEATABLE READ on a row that changed since is 40001.
    pub fn lock_rows(&mut self, table: Oid, slots: &[u32]) -> Result<LockOutcome, Stop> {
        self.lock_rows_as(table, slots, Mode::Exclusive)
    }

    /// Those of the rows whose lock is to be had without waiting, now locked.
    pub fn lock_free_rows(&mut self, table: Oid, slots: &[u32], mode: Mode) -> Result<Vec<u32>, Stop> {
        let writer = self.writer(table)?;
        let storage = writer.table().storage().0;
        let overlay = writer.overlay().clone();
        let txn = self.work().txn;
        let core = self.core.clone();
        let own = |slot: u32| overlay.inserted().contains(slot);
        let free = |slot: u32| core.locks.try_one(txn, Resource::Row(storage, slot), mode);
        Ok(slots.iter().copied().filter(|&slot| own(slot) || free(slot)).collect())
    }

    /// [`Transaction::lock_rows`], so that others may hold the locks too when the mode says so.
    pub fn lock_rows_as(&mut self, table: Oid, slots: &[u32], mode: Mode) -> Result<LockOutcome, Stop> {
        let writer = self.writer(table)?;
        let files = writer.table().clone();
        let storage = files.storage().0;
        let overlay = writer.overlay().clone();
        let foreign = slots.iter().filter(|slot| !overlay.inserted().contains(**slot));
        let resources = foreign.clone().map(|slot| Resource::Row(storage, *slot));
        match mode {
            Mode::Exclusive => self.lock(resources)?,
            Mode::Shared => {
                let txn = self.work().txn;
                if let Some(waiter) = self.core.locks.shared(txn, resources)? {
                    return Err(Stop::Wait(waiter));
                }
            }
        }
        let Some(changed) = files.state().changes.since(self.snapshot.seq()) else {
            return Ok(LockOutcome::Locked);
        };
        let mut mine = foreign.filter(|slot| changed.contains(**slot));
        match (mine.next(), self.isolation) {
            (None, _) => Ok(LockOutcome::Locked),
            (Some(_), Isolation::ReadCommitted) => Ok(LockOutcome::Restart),
            (Some(_), Isolation::RepeatableRead | Isolation::Serializable) => {
                Err(Error::concurrent_update().into())
            }
        }
    }

    /// Replaces rows that [`Transaction::lock_rows`] locked; returns their slots afterwards, in order.
    pub fn update(&mut self, table: Oid, rows: &[RowUpdate]) -> Result<Vec<u32>, Stop> {
        self.replace(table, rows, Free::Now)
    }

    /// [`Transaction::update`] of some of the rows that a statement changes. A key that another row has may be given up by
    /// a later part: the row waits for it until [`Transaction::end_parts`].
    pub fn update_part(&mut self, table: Oid, rows: &[RowUpdate]) -> Result<Vec<u32>, Stop> {
        self.replace(table, rows, Free::AfterAllParts)
    }

    fn replace(&mut self, table: Oid, rows: &[RowUpdate], free: Free) -> Result<Vec<u32>, Stop> {
        self.admit(table)?;
        let mut versions = self.new_versions(table, rows)?;
        self.lock_changed_keys(table, &versions)?;
        let waits = self.check_new_keys(table, &versions, free)?;
        let unique = self.writer(table)?.unique_keys().clone();
        let waits: Vec<Wait> = waits
            .into_iter()
            .filter_map(|(row, place, until)| {
                let key = versions[row].new_keys[place].take()?;
                Some(Wait { row, index: unique[place].index, key, until })
            })
            .collect();
        let (mut stay, mut leave, mut arrive) = (Vec::new(), Vec::new(), Vec::new());
        let mut slots: Vec<Option<u32>> = Vec::with_capacity(rows.len());
        for (version, row) in versions.into_iter().zip(rows) {
            if row.vectors_changed {
                slots.push(None);
                leave.push((version.slot, version.old_keys));
                arrive.push(NewRow { values: version.values, keys: version.new_keys });
            } else {
                slots.push(Some(version.slot));
                stay.push(version);
            }
        }
        let horizon = self.core.snapshots.horizon();
        let writer = self.writer(table)?;
        // Keys move between rows of one statement: all are given up before any is taken.
        writer.delete(&leave)?;
        writer.update(&mut stay)?;
        let mut new = writer.insert(&arrive, horizon)?.into_iter();
        let slots: Vec<u32> = slots
            .into_iter()
            .map(|slot| slot.unwrap_or_else(|| new.next().expect("a slot per arriving row")))
            .collect();
        self.deferred.wait(table, waits, &slots);
        self.log_full_chunks()?;
        Ok(slots)
    }

    fn new_versions<'v>(&mut self, table: Oid, rows: &'v [RowUpdate]) -> Result<Vec<NewVersion<'v>>, Stop> {
        let writer = self.writer(table)?;
        check_width(writer, rows.iter().map(|row| row.row.len()))?;
        let mut versions = Vec::with_capacity(rows.len());
        for row in rows {
            let old_keys = keys_of_current(writer, row.slot)?;
            let (values, new_keys) = (Cow::Borrowed(&row.row[..]), writer.keys_of(&row.row)?);
            versions.push(NewVersion { slot: row.slot, values, old_keys, new_keys });
        }
        Ok(versions)
    }

    fn lock_changed_keys(&mut self, table: Oid, versions: &[NewVersion]) -> Result<(), Stop> {
        let unique = self.writer(table)?.unique_keys().clone();
        let mut resources = Vec::new();
        for version in versions {
            let pairs = version.old_keys.iter().zip(&version.new_keys).zip(unique.iter());
            for ((old, new), unique) in pairs.filter(|((old, new), _)| old != new) {
                let keys = old.iter().chain(new);
                resources.extend(keys.map(|key| Resource::key(unique.index, key)));
            }
        }
        self.lock(resources)
    }

    /// New keys are free, or given up by a row of the same call. Those that are not, and may wait: by version and place, and
    /// until when.
    fn check_new_keys(
        &mut self,
        table: Oid,
        versions: &[NewVersion],
        free: Free,
    ) -> Result<Vec<(usize, usize, Until)>, Stop> {
        let modes = self.deferred.modes();
        let mut waits = Vec::new();
        let catalog = self.catalog.clone();
        let writer = self.writer(table)?;
        let unique = writer.unique_keys().clone();
        let changed =
            |version: &NewVersion, number: usize| version.old_keys[number] != version.new_keys[number];
        let mut given_up: HashMap<&[u8], u32> = HashMap::new();
        for version in versions {
            for number in (0..unique.len()).filter(|number| changed(version, *number)) {
                given_up.extend(version.old_keys[number].as_deref().map(|key| (key, version.slot)));
            }
        }
        let mut taken: HashSet<&[u8]> = HashSet::new();
        for (place, version) in versions.iter().enumerate() {
            for number in (0..unique.len()).filter(|number| changed(version, *number)) {
                let Some(key) = version.new_keys[number].as_deref() else { continue };
                let owner = writer.owner(key)?;
                let is_first = taken.insert(key);
                if is_first && owner.is_none_or(|owner| given_up.get(key) == Some(&owner)) {
                    continue;
                }
                let defers = modes.defers(unique[number].constraint, unique[number].deferral);
                match free {
                    Free::AfterAllParts if is_first || defers => waits.push((place, number, Until::AllParts)),
                    Free::Now if defers => waits.push((place, number, Until::Commit)),
                    // Of two rows of one call that want a key one is without it in the end.
                    _ => {
                        let definition = writer.definition().clone();
                        let index = unique[number].index;
                        return Err(duplicate_key(&definition, &catalog, index, &version.values).into());
                    }
                }
            }
        }
        Ok(waits)
    }

    /// Deletes rows that [`Transaction::lock_rows`] locked.
    pub fn delete(&mut self, table: Oid, slots: &[u32]) -> Result<(), Stop> {
        self.admit(table)?;
        let writer = self.writer(table)?;
        let unique = writer.unique_keys().clone();
        let mut rows = Vec::with_capacity(slots.len());
        for &slot in slots {
            rows.push((slot, keys_of_current(writer, slot)?));
        }
        // Who inserts the key again waits for us to end.
        let keys = rows.iter().flat_map(|(_, keys)| keys.iter().zip(unique.iter()));
        self.lock(keys.filter_map(|(key, unique)| Some(Resource::key(unique.index, key.as_ref()?))))?;
        self.writer(table)?.delete(&rows)?;
        self.log_full_chunks()?;
        Ok(())
    }

    /// Hands full chunks to the log, so that a large transaction needs little memory.
    pub(super) fn log_full_chunks(&mut self) -> Result<()> {
        self.log_chunks(CHUNK_BYTES)
    }

    /// Hands chunks of this many bytes and more to the log.
    pub(super) fn log_chunks(&mut self, bytes_min: usize) -> Result<()> {
        self.work.as_mut().map_or(Ok(()), |work| work.log_chunks(&self.core, bytes_min))
    }

    /// Logs edits and goes on with them.
    pub(super) fn edit(&mut self, edits: &[Edit]) -> Result<()> {
        self.core.healthy()?;
        self.check_edits_sound(edits)?;
        // Changes made before stand before the edits in the log: a slot that a new column has place for is known by then.
        self.log_chunks(1)?;
        let core = self.core.clone();
        let work = self.work();
        let list = Edit::encode_list(edits);
        work.append(&core, |txn| Record::Catalog { txn, edits: &list })?;
        let catalog = Arc::new(self.catalog.apply(edits));
        let work = self.work();
        work.stage(&core, edits, &catalog)?;
        self.catalog = catalog;
        Ok(())
    }

    /// Whether anything was written.
    pub fn has_written(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.is_empty())
    }

    /// Waits until memory has room for what this transaction writes, when flushes or compactions are behind. `go_on` is asked
    /// meanwhile; its error ends the wait. A commit does so by itself, but then nobody can end it.
    pub fn make_room(&mut self, go_on: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        match &mut self.work {
            Some(work) => work.make_room(&self.core, go_on),
            None => Ok(()),
        }
    }

    /// Commits, blocking until it is durable and visible. For tests and background work.
    pub fn commit(self) -> Result<Seq> {
        match self.commit_start() {
            Commit::Done(seq) => Ok(seq),
            Commit::Lead(leader) => leader.lead().map(|position| Seq(position.0)),
            Commit::Follow(pending) => pending.wait().map(|position| Seq(position.0)),
            Commit::Failed(error) => Err(error),
        }
    }

    /// Whether the commit is acknowledged only when it is on disk, as it is unless told otherwise. One that is not is
    /// there within [`commit::LATE`]; a crash of the machine before that undoes it as a whole, and all that came after it.
    /// Definitions wait whatever is said here.
    pub fn wait_for_disk(&mut self, waits: bool) {
        self.waits_for_disk = waits;
    }

    /// Queues the commit. The locks are given back once it is visible.
    pub fn commit_start(mut self) -> Commit {
        let Some(mut work) = self.work.take() else { return self.commit_nothing() };
        if work.is_empty() {
            self.undo(work);
            return self.commit_nothing();
        }
        let admitted = self.core.healthy().and_then(|()| work.make_room(&self.core, &mut || Ok(())));
        if let Err(error) = admitted.and_then(|()| work.prepare()) {
            self.undo(work);
            return Commit::Failed(error);
        }
        match self.commits.submit(LiveWork::new(self.core.clone(), work, self.waits_for_disk)) {
            Submitted::Lead(leader) => Commit::Lead(leader),
            Submitted::Follow(pending) => Commit::Follow(pending),
        }
    }

    /// Without changes of rows or definitions there is no record of its own to sync for, but maybe one of a sequence.
    fn commit_nothing(&self) -> Commit {
        let syncs = self.used_sequence && self.waits_for_disk;
        match syncs.then(|| self.core.log.sync()).transpose() {
            Ok(_) => Commit::Done(self.snapshot.seq()),
            Err(error) => Commit::Failed(error),
        }
    }

    /// Undoes everything (sequences excepted).
    pub fn rollback(self) {}

    fn undo(&self, work: Work) {
        let txn = work.txn;
        work.undo(&self.core);
        self.core.ended(txn);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.undo(work);
        }
    }
}

/// Definitions and a snapshot that fits them: while a commit with new definitions is being published, they are there
/// before its rows can be seen.
fn newest(core: &Core, holder: Holder) -> (Arc<Version>, Arc<Held>) {
    loop {
        // The snapshot first: the definitions are at least as new then, and no newer if they pass.
        let snapshot = core.snapshots.take(holder);
        let version = core.version.load_full();
        if version.seq <= snapshot.seq() || core.healthy().is_err() {
            return (version, snapshot);
        }
        drop(snapshot);
        std::thread::yield_now();
    }
}

/// Rows come with their hidden columns: without them an index would miss rows.
fn check_width(writer: &Writer, mut widths: impl Iterator<Item = usize>) -> Result<()> {
    let expected = writer.definition().stored_width();
    match widths.find(|width| *width != expected) {
        None => Ok(()),
        Some(width) => Err(Error::internal(format!("a row of {width} values for {expected} stored columns"))),
    }
}

fn keys_of_current(writer: &Writer, slot: u32) -> Result<Keys> {
    if writer.unique_keys().is_empty() {
        return Ok(Keys::new());
    }
    let values = writer.current_values(slot)?;
    let values = values.ok_or_else(|| Error::internal(format!("slot {slot} was locked and holds no row")))?;
    let mut keys = writer.keys_of(&values)?;
    // A row that waits for a key does not have it. Of keys that cannot be deferred none is waited for here: no row is
    // written again before `end_parts`.
    for (key, unique) in keys.iter_mut().zip(writer.unique_keys().iter()) {
        if !unique.deferral.is_never()
            && let Some(own) = key
            && writer.owner(own)? != Some(slot)
        {
            *key = None;
        }
    }
    Ok(keys)
}

fn with_slots(mut outcome: InsertOutcome, slots: &[u32]) -> InsertOutcome {
    let mut slots = slots.iter();
    for slot in outcome.slots.iter_mut().flatten() {
        *slot = *slots.next().expect("a slot per kept row");
    }
    outcome
}

/// PostgreSQL's words.
pub(super) fn duplicate_key(table: &catalog::Table, catalog: &Catalog, index: Oid, row: &[Value]) -> Error {
    let index = catalog.index_by_oid(index);
    let name = index.map_or("", |index| index.name.as_str());
    let columns: Vec<usize> =
        index.map(|i| i.columns.iter().filter_map(|n| table.position(*n)).collect()).unwrap_or_default();
    let names: Vec<&str> = columns.iter().map(|column| table.title(*column)).collect();
    let values: Vec<String> = columns.iter().map(|column| shown(&row[*column])).collect();
    Error::new(
        SqlState::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{name}\""),
    )
    .detail(format!("Key ({})=({}) already exists.", names.join(", "), values.join(", ")))
    .table(&table.schema, &table.name)
    .constraint(name)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        value => crate::types::text::to_string(value),
    }
}

fn second_time() -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
}
