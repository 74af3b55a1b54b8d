//! The lock table and the wait-for graph.
//!
//! Exclusive row and key locks are by far the most (a bulk load holds one per key), so they are sixteen bytes of
//! resource and eight of holder, and those of a transaction that holds very many are in a list of its own (`many.rs`);
//! shared ones, which foreign keys take on what they refer to, have lists of holders. Keys are locked by a 64-bit hash: two
//! keys of one hash wait for each other without need, which costs time and never correctness.
//!
//! A table's lock is shared by everybody who writes its rows, so whoever wants it alone would wait for ever if others
//! could go on coming. They wait behind it, unless that would close a circle: the one in front may wait for something
//! that they hold.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result, SqlState};
use crate::locks::many::{FEW_MAX, Many};
use crate::locks::waiter::{Cell, Waiter};
use crate::log::TxnId;

/// What can be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// By oid.
    Table(u32),
    /// By storage id and slot.
    Row(u64, u32),
    /// By index oid and [`Resource::key`]'s hash.
    Key(u32, u64),
}

impl Resource {
    /// The lock of one key of one unique index.
    pub fn key(index: u32, key: &[u8]) -> Resource {
        // A strong hash: keys are of anybody's making and differ in few bits, and two that collide wait for each other,
        // or even stand in each other's way for good (40P01). In memory only, so it may change with the compiler.
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        Resource::Key(index, hasher.finish())
    }
}

/// How much a lock excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Compatible with itself.
    Shared,
    Exclusive,
}

/// All locks of a database.
#[derive(Default)]
pub struct Locks {
    held: Mutex<Held>,
    edges: Arc<Mutex<Edges>>,
}

#[derive(Default)]
struct Held {
    /// Rows and keys, of each transaction the first [`FEW_MAX`].
    exclusive: HashMap<Resource, TxnId, BuildHasherDefault<Mix>>,
    /// The others.
    many: Many,
    /// Keys that rows of other tables refer to, and rows: whoever holds one keeps others from changing it.
    shared: HashMap<Resource, Vec<TxnId>, BuildHasherDefault<Mix>>,
    tables: HashMap<u32, TableLock>,
    by_transaction: HashMap<TxnId, Vec<Resource>>,
}

#[derive(Default)]
struct TableLock {
    shared: Vec<TxnId>,
    exclusive: Option<TxnId>,
}

/// The wait-for graph: whom each waiting transaction waits for.
#[derive(Default)]
pub(super) struct Edges {
    waits_for: HashMap<TxnId, Edge>,
    waiters: HashMap<TxnId, Vec<Arc<Cell>>>,
    /// Who wants a table alone, first come first: from its first wait until it has the table, gives up or ends.
    claims: HashMap<u32, Vec<TxnId>>,
}

struct Edge {
    holder: TxnId,
    wanted: Wanted,
    cell: Arc<Cell>,
    /// It waits only because the other was there first, and goes on if that closes a circle.
    is_courtesy: bool,
}

/// What a transaction waits for, and how it wants it.
type Wanted = (Resource, Mode);

/// A lock as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenLock {
    pub txn: TxnId,
    pub resource: Resource,
    pub mode: Mode,
    /// Whom it waits for, who does not have the lock.
    pub waits_for: Option<TxnId>,
}

impl Locks {
    pub fn new() -> Locks {
        Locks::default()
    }

    /// Takes a table's lock, or returns a waiter for someone who holds it. A transaction may hold both modes.
    pub fn table(&self, txn: TxnId, table: u32, mode: Mode) -> Result<Option<Waiter>> {
        let mut held = self.held.lock();
        let lock = held.tables.entry(table).or_default();
        let other_shared = || lock.shared.iter().copied().find(|&holder| holder != txn);
        let blocker = match mode {
            Mode::Shared => lock.exclusive.filter(|&holder| holder != txn),
            Mode::Exclusive => lock.exclusive.filter(|&holder| holder != txn).or_else(other_shared),
        };
        if let Some(holder) = blocker {
            let waiter = self.wait(txn, holder, (Resource::Table(table), mode))?;
            if mode == Mode::Exclusive {
                self.edges.lock().claim(table, txn);
            }
            return Ok(Some(waiter));
        }
        match mode {
            Mode::Exclusive => self.edges.lock().unclaim(table, txn),
            Mode::Shared if !lock.shared.contains(&txn) && lock.exclusive.is_none() => {
                let waiting = self.wait_behind(txn, table);
                if waiting.is_some() {
                    return Ok(waiting);
                }
            }
            Mode::Shared => {}
        }
        let new = match mode {
            Mode::Shared if lock.shared.contains(&txn) => false,
            Mode::Shared => {
                lock.shared.push(txn);
                true
            }
            Mode::Exclusive => lock.exclusive.replace(txn).is_none(),
        };
        if new {
            held.by_transaction.entry(txn).or_default().push(Resource::Table(table));
        }
        Ok(None)
    }

    /// Takes all of these row and key locks, or returns a waiter for the holder of the first that is taken. Locks
    /// taken on the way are kept: the statement is tried again with them.
    pub fn exclusive(
        &self,
        txn: TxnId,
        resources: impl IntoIterator<Item = Resource>,
    ) -> Result<Option<Waiter>> {
        let mut guard = self.held.lock();
        let held = &mut *guard;
        let mine = held.by_transaction.entry(txn).or_default();
        for resource in resources {
            let other = other_holder(&held.shared, resource, txn);
            if let Some(holder) = other.or_else(|| held.many.other_holder(resource, txn)) {
                return self.wait(txn, holder, (resource, Mode::Exclusive)).map(Some);
            }
            if mine.len() >= FEW_MAX {
                match held.exclusive.get(&resource) {
                    None => held.many.add(txn, resource),
                    Some(holder) if *holder == txn => {}
                    Some(holder) => return self.wait(txn, *holder, (resource, Mode::Exclusive)).map(Some),
                }
                continue;
            }
            match held.exclusive.entry(resource) {
                Entry::Vacant(free) => {
                    free.insert(txn);
                    mine.push(resource);
                }
                Entry::Occupied(taken) if *taken.get() == txn => {}
                Entry::Occupied(taken) => {
                    let holder = *taken.get();
                    return self.wait(txn, holder, (resource, Mode::Exclusive)).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Takes a row or key lock if nobody stands in the way; whether it did. Nobody is waited for.
    pub fn try_one(&self, txn: TxnId, resource: Resource, mode: Mode) -> bool {
        let mut guard = self.held.lock();
        let held = &mut *guard;
        let exclusive =
            held.exclusive.get(&resource).copied().or_else(|| held.many.other_holder(resource, txn));
        let free = exclusive.is_none_or(|holder| holder == txn)
            && (mode == Mode::Shared || other_holder(&held.shared, resource, txn).is_none());
        if !free || exclusive.is_some() {
            return free;
        }
        let mine = held.by_transaction.entry(txn).or_default();
        match mode {
            Mode::Exclusive => {
                held.exclusive.insert(resource, txn);
                mine.push(resource);
            }
            Mode::Shared => {
                let holders = held.shared.entry(resource).or_default();
                if !holders.contains(&txn) {
                    holders.push(txn);
                    mine.push(resource);
                }
            }
        }
        true
    }

    /// Takes all of these row and key locks so that others may hold them too, but nobody exclusively. Waits as
    /// [`Locks::exclusive`] does.
    pub fn shared(
        &self,
        txn: TxnId,
        resources: impl IntoIterator<Item = Resource>,
    ) -> Result<Option<Waiter>> {
        let mut guard = self.held.lock();
        let held = &mut *guard;
        let mine = held.by_transaction.entry(txn).or_default();
        for resource in resources {
            if let Some(holder) = held.many.other_holder(resource, txn) {
                return self.wait(txn, holder, (resource, Mode::Shared)).map(Some);
            }
            match held.exclusive.get(&resource) {
                Some(holder) if *holder != txn => {
                    let holder = *holder;
                    return self.wait(txn, holder, (resource, Mode::Shared)).map(Some);
                }
                // What is held exclusively need not be shared.
                Some(_) => continue,
                None => {}
            }
            let holders = held.shared.entry(resource).or_default();
            if !holders.contains(&txn) {
                holders.push(txn);
                mine.push(resource);
            }
        }
        Ok(None)
    }

    /// Gives back all locks of a transaction that has ended, and wakes who waited for it.
    pub fn release(&self, txn: TxnId) {
        {
            let mut guard = self.held.lock();
            let held = &mut *guard;
            for resource in held.by_transaction.remove(&txn).unwrap_or_default() {
                held.release(txn, resource);
            }
            held.many.release(txn);
        }
        let waiters = self.edges.lock().ended(txn);
        for cell in waiters {
            cell.release();
        }
    }

    /// The locks of tables, and what is waited for. Those of rows and keys that nobody waits for are left out: a load has
    /// millions.
    pub fn seen(&self) -> Vec<SeenLock> {
        let (held, edges) = (self.held.lock(), self.edges.lock());
        let mut seen = Vec::new();
        for (&table, lock) in &held.tables {
            let of = |txn, mode| SeenLock { txn, resource: Resource::Table(table), mode, waits_for: None };
            seen.extend(lock.shared.iter().map(|&txn| of(txn, Mode::Shared)));
            seen.extend(lock.exclusive.map(|txn| of(txn, Mode::Exclusive)));
        }
        for (&txn, edge) in &edges.waits_for {
            let (resource, mode) = edge.wanted;
            seen.push(SeenLock { txn, resource, mode, waits_for: Some(edge.holder) });
        }
        seen
    }

    /// Who stands in the way of a transaction that waits.
    pub fn blockers(&self, txn: TxnId) -> Vec<TxnId> {
        let (held, edges) = (self.held.lock(), self.edges.lock());
        let Some(edge) = edges.waits_for.get(&txn) else { return Vec::new() };
        let (resource, mode) = edge.wanted;
        let (exclusive, shared) = match resource {
            Resource::Table(table) => {
                let lock = held.tables.get(&table);
                (lock.and_then(|lock| lock.exclusive), lock.map(|lock| &lock.shared))
            }
            resource => (held.exclusive.get(&resource).copied(), held.shared.get(&resource)),
        };
        let shared = shared.filter(|_| mode == Mode::Exclusive).into_iter().flatten().copied();
        let mut blockers: Vec<TxnId> = shared.chain(exclusive).chain([edge.holder]).collect();
        blockers.retain(|blocker| *blocker != txn);
        blockers.sort_unstable();
        blockers.dedup();
        blockers
    }

    /// How many locks are held.
    pub fn len(&self) -> usize {
        let held = self.held.lock();
        held.by_transaction.values().map(Vec::len).sum::<usize>() + held.many.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Called with `held` locked, so the holder cannot end before the waiter is known.
    fn wait(&self, txn: TxnId, holder: TxnId, wanted: Wanted) -> Result<Waiter> {
        let cell = self.edges.lock().add(txn, holder, wanted)?;
        Ok(Waiter::new(cell, self.edges.clone(), txn, wanted.0))
    }

    /// Waits behind who wants the table alone; `None` if nobody does, or that one waits, however indirectly, for this one.
    fn wait_behind(&self, txn: TxnId, table: u32) -> Option<Waiter> {
        let mut edges = self.edges.lock();
        let first = *edges.claims.get(&table)?.iter().find(|&&claimant| claimant != txn)?;
        let wanted = Resource::Table(table);
        let cell = edges.add_courtesy(txn, first, (wanted, Mode::Shared))?;
        drop(edges);
        Some(Waiter::new(cell, self.edges.clone(), txn, wanted))
    }
}

fn other_holder(
    shared: &HashMap<Resource, Vec<TxnId>, BuildHasherDefault<Mix>>,
    resource: Resource,
    txn: TxnId,
) -> Option<TxnId> {
    if shared.is_empty() {
        return None;
    }
    shared.get(&resource)?.iter().copied().find(|&holder| holder != txn)
}

impl Held {
    fn release(&mut self, txn: TxnId, resource: Resource) {
        let Resource::Table(table) = resource else {
            if self.exclusive.get(&resource) == Some(&txn) {
                self.exclusive.remove(&resource);
            }
            if let Some(holders) = self.shared.get_mut(&resource) {
                holders.retain(|&holder| holder != txn);
                if holders.is_empty() {
                    self.shared.remove(&resource);
                }
            }
            return;
        };
        if let Some(lock) = self.tables.get_mut(&table) {
            lock.shared.retain(|&holder| holder != txn);
            lock.exclusive = lock.exclusive.filter(|&holder| holder != txn);
            if lock.shared.is_empty() && lock.exclusive.is_none() {
                self.tables.remove(&table);
            }
        }
    }
}

impl Edges {
    /// 40P01 if that closes a circle in which nobody waits out of courtesy.
    fn add(&mut self, txn: TxnId, holder: TxnId, wanted: Wanted) -> Result<Arc<Cell>> {
        while let Some(circle) = self.circle(txn, holder) {
            let polite = circle.into_iter().find(|waiter| self.waits_for[waiter].is_courtesy);
            let Some(polite) = polite else { return Err(deadlock(txn, holder)) };
            // It tries again, finds the circle and goes on.
            let cell = self.waits_for[&polite].cell.clone();
            self.remove_edge(polite, &cell);
            cell.release();
        }
        Ok(self.insert(txn, holder, wanted, false))
    }

    /// `None` if that closes a circle.
    fn add_courtesy(&mut self, txn: TxnId, first: TxnId, wanted: Wanted) -> Option<Arc<Cell>> {
        self.circle(txn, first).is_none().then(|| self.insert(txn, first, wanted, true))
    }

    fn insert(&mut self, txn: TxnId, holder: TxnId, wanted: Wanted, is_courtesy: bool) -> Arc<Cell> {
        let cell = Arc::new(Cell::default());
        self.waits_for.insert(txn, Edge { holder, wanted, cell: cell.clone(), is_courtesy });
        self.waiters.entry(holder).or_default().push(cell.clone());
        cell
    }

    /// Those who wait on the way from `holder` back to `txn`, if there is one.
    fn circle(&self, txn: TxnId, holder: TxnId) -> Option<Vec<TxnId>> {
        let (mut next, mut way) = (holder, Vec::new());
        while next != txn {
            way.push(next);
            next = self.waits_for.get(&next)?.holder;
        }
        Some(way)
    }

    fn claim(&mut self, table: u32, txn: TxnId) {
        let claims = self.claims.entry(table).or_default();
        if !claims.contains(&txn) {
            claims.push(txn);
        }
    }

    fn unclaim(&mut self, table: u32, txn: TxnId) {
        if let Some(claims) = self.claims.get_mut(&table) {
            claims.retain(|claimant| *claimant != txn);
            if claims.is_empty() {
                self.claims.remove(&table);
            }
        }
    }

    /// The waiter gave up waiting for this. Returns those who waited behind it.
    pub(super) fn gave_up(&mut self, txn: TxnId, cell: &Arc<Cell>, wanted: Resource) -> Vec<Arc<Cell>> {
        self.remove_edge(txn, cell);
        if let Resource::Table(table) = wanted {
            self.unclaim(table, txn);
        }
        let behind = self.waits_for.iter().filter(|(_, edge)| edge.holder == txn && edge.is_courtesy);
        let behind: Vec<(TxnId, Arc<Cell>)> =
            behind.map(|(waiter, edge)| (*waiter, edge.cell.clone())).collect();
        behind.iter().for_each(|(waiter, cell)| self.remove_edge(*waiter, cell));
        behind.into_iter().map(|(_, cell)| cell).collect()
    }

    fn remove_edge(&mut self, txn: TxnId, cell: &Arc<Cell>) {
        let Some(edge) = self.waits_for.get(&txn).filter(|edge| Arc::ptr_eq(&edge.cell, cell)) else {
            return;
        };
        let holder = edge.holder;
        self.waits_for.remove(&txn);
        if let Some(cells) = self.waiters.get_mut(&holder) {
            cells.retain(|other| !Arc::ptr_eq(other, cell));
            if cells.is_empty() {
                self.waiters.remove(&holder);
            }
        }
    }

    fn ended(&mut self, holder: TxnId) -> Vec<Arc<Cell>> {
        let claimed: Vec<u32> = self
            .claims
            .iter()
            .filter(|(_, claims)| claims.contains(&holder))
            .map(|(table, _)| *table)
            .collect();
        claimed.into_iter().for_each(|table| self.unclaim(table, holder));
        let cells = self.waiters.remove(&holder).unwrap_or_default();
        if !cells.is_empty() {
            self.waits_for.retain(|_, edge| edge.holder != holder);
        }
        cells
    }
}

fn deadlock(txn: TxnId, holder: TxnId) -> Error {
    Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .detail(format!(
            "Transaction {} waits for transaction {}, which waits for it in turn.",
            txn.0, holder.0
        ))
        .hint("See server log for query details.")
}

/// A multiply-rotate hash (as in rustc's FxHash) with a final mix: resources are small and already spread.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Mix {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(u64::from_le_bytes(word.try_into().expect("chunks of eight bytes")));
        }
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        self.add(u64::from_le_bytes(last) ^ (bytes.len() as u64).rotate_right(8));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_isize(&mut self, word: isize) {
        self.add(word as u64);
    }

    /// The multiplication leaves the low bits weak, and the table indexes by them.
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(outcome: Result<Option<Waiter>>) -> Waiter {
        outcome.unwrap().expect("somebody is in the way")
    }

    /// Sharers come and go without a gap; whoever wants the table alone gets it all the same.
    #[test]
    fn later_sharers_wait_behind_who_wants_the_table_alone() {
        let locks = Locks::new();
        let shared = |txn| locks.table(TxnId(txn), 9, Mode::Shared);
        assert!(shared(1).unwrap().is_none());
        let alone = waits(locks.table(TxnId(2), 9, Mode::Exclusive));
        let later = waits(shared(3));
        assert!(shared(1).unwrap().is_none(), "who has it goes on");
        locks.release(TxnId(1));
        alone.wait();
        assert!(locks.table(TxnId(2), 9, Mode::Exclusive).unwrap().is_none());
        locks.release(TxnId(2));
        later.wait();
        assert!(shared(3).unwrap().is_none());
    }

    /// The table of all locks and the list of a bulk load say the same.
    #[test]
    fn very_many_locks_are_like_few() {
        let locks = Locks::new();
        let key = |number: usize| Resource::key(1, &number.to_le_bytes());
        let all = 3 * FEW_MAX;
        assert!(locks.exclusive(TxnId(1), (0..all).map(key)).unwrap().is_none());
        assert!(locks.exclusive(TxnId(1), (0..all).map(key)).unwrap().is_none(), "its own once more");
        for number in [0, FEW_MAX - 1, FEW_MAX, all - 1] {
            let other = waits(locks.exclusive(TxnId(2), [key(number)]));
            assert!(!locks.try_one(TxnId(2), key(number), Mode::Exclusive));
            assert!(!locks.try_one(TxnId(2), key(number), Mode::Shared));
            drop(waits(locks.shared(TxnId(3), [key(number)])));
            drop(other);
        }
        assert!(locks.exclusive(TxnId(2), [key(all)]).unwrap().is_none());
        let behind = waits(locks.exclusive(TxnId(1), [key(all)]));
        assert!(locks.exclusive(TxnId(2), [key(all - 1)]).is_err(), "a deadlock");
        locks.release(TxnId(2));
        behind.wait();
        let waiter = waits(locks.exclusive(TxnId(3), [key(all - 1)]));
        locks.release(TxnId(1));
        waiter.wait();
        assert!(locks.exclusive(TxnId(3), (0..all).map(key)).unwrap().is_none());
        locks.release(TxnId(3));
        assert!(locks.is_empty());
    }

    #[test]
    fn who_gives_up_waiting_keeps_nobody_waiting() {
        let locks = Locks::new();
        assert!(locks.table(TxnId(1), 9, Mode::Shared).unwrap().is_none());
        let alone = waits(locks.table(TxnId(2), 9, Mode::Exclusive));
        let later = waits(locks.table(TxnId(3), 9, Mode::Shared));
        drop(alone);
        later.wait();
        assert!(locks.table(TxnId(3), 9, Mode::Shared).unwrap().is_none());
        assert!(locks.table(TxnId(4), 9, Mode::Shared).unwrap().is_none());
        for txn in 1..5 {
            locks.release(TxnId(txn));
        }
        assert!(locks.is_empty());
    }

    /// Whoever waits behind another goes on when otherwise somebody would wait in a circle.
    #[test]
    fn courtesy_is_no_deadlock() {
        let locks = Locks::new();
        let row = || [Resource::Row(1, 1)];
        assert!(locks.exclusive(TxnId(3), row()).unwrap().is_none());
        assert!(locks.table(TxnId(1), 9, Mode::Shared).unwrap().is_none());
        let _alone = waits(locks.table(TxnId(2), 9, Mode::Exclusive));
        let polite = waits(locks.table(TxnId(3), 9, Mode::Shared));
        // 3 waits behind 2, which waits for 1, which now wants what 3 has.
        let _row = waits(locks.exclusive(TxnId(1), row()));
        polite.wait();
        assert!(locks.table(TxnId(3), 9, Mode::Shared).unwrap().is_none());
    }

    /// The claim holds from one holder's end to the next wait.
    #[test]
    fn nobody_slips_in_between_two_holders() {
        let locks = Locks::new();
        let shared = |txn| locks.table(TxnId(txn), 9, Mode::Shared);
        assert!(shared(1).unwrap().is_none());
        assert!(shared(2).unwrap().is_none());
        let alone = waits(locks.table(TxnId(3), 9, Mode::Exclusive));
        locks.release(TxnId(1));
        alone.wait();
        let _later = waits(shared(4));
        let alone = waits(locks.table(TxnId(3), 9, Mode::Exclusive));
        locks.release(TxnId(2));
        alone.wait();
        let _later = waits(shared(5));
        assert!(locks.table(TxnId(3), 9, Mode::Exclusive).unwrap().is_none());
    }

    /// The one in front waits for a transaction that now wants to share: it is let through.
    #[test]
    fn nobody_waits_behind_who_waits_for_it() {
        let locks = Locks::new();
        assert!(locks.exclusive(TxnId(1), [Resource::Row(1, 1)]).unwrap().is_none());
        assert!(locks.table(TxnId(3), 9, Mode::Shared).unwrap().is_none());
        let _alone = waits(locks.table(TxnId(2), 9, Mode::Exclusive));
        let _row = waits(locks.exclusive(TxnId(3), [Resource::Row(1, 1)]));
        // 2 waits for 3, which waits for 1.
        assert!(locks.table(TxnId(1), 9, Mode::Shared).unwrap().is_none());
    }

    /// Keys as tables have them: a prefix of the index, then numbers or texts that count up.
    #[test]
    fn keys_that_differ_little_do_not_wait_for_each_other() {
        let mut hashes = HashMap::new();
        for n in 0..100_000_u32 {
            let text = format!("\u{2}\0\0@\u{10}\u{1}tag {n}\0\0");
            let number = [&[2, 0, 0, 64, 17, 128][..], &n.to_be_bytes()].concat();
            for key in [text.as_bytes(), &number] {
                let Resource::Key(_, hash) = Resource::key(7, key) else { panic!("a key's lock") };
                assert_eq!(hashes.insert(hash, n), None, "{key:?} collides");
            }
        }
    }

    fn key(n: u64) -> [Resource; 1] {
        [Resource::Key(1, n)]
    }

    #[test]
    fn a_lock_is_free_again_when_its_holder_ends() {
        let locks = Locks::new();
        assert!(locks.exclusive(TxnId(1), key(5)).unwrap().is_none());
        assert!(locks.exclusive(TxnId(1), key(5)).unwrap().is_none(), "one's own lock does not block");
        let waiter = locks.exclusive(TxnId(2), key(5)).unwrap().expect("taken");
        let thread = std::thread::spawn(move || waiter.wait());
        locks.release(TxnId(1));
        thread.join().unwrap();
        assert!(locks.exclusive(TxnId(2), key(5)).unwrap().is_none());
        locks.release(TxnId(2));
        assert!(locks.is_empty());
    }

    #[test]
    fn shared_keys_exclude_the_exclusive_ones_of_others() {
        let locks = Locks::new();
        assert!(locks.shared(TxnId(1), key(5)).unwrap().is_none());
        assert!(locks.shared(TxnId(2), key(5)).unwrap().is_none());
        assert!(locks.exclusive(TxnId(3), key(5)).unwrap().is_some());
        locks.release(TxnId(2));
        assert!(locks.exclusive(TxnId(1), key(5)).unwrap().is_none(), "nobody else shares it any more");
        assert!(locks.shared(TxnId(3), key(5)).unwrap().is_some());
        assert!(!locks.try_one(TxnId(3), key(5)[0], Mode::Shared));
        assert!(locks.try_one(TxnId(3), key(6)[0], Mode::Shared));
        assert!(locks.try_one(TxnId(4), key(6)[0], Mode::Shared));
        assert!(!locks.try_one(TxnId(4), key(6)[0], Mode::Exclusive));
        locks.release(TxnId(3));
        assert!(locks.try_one(TxnId(4), key(6)[0], Mode::Exclusive));
        locks.release(TxnId(4));
        assert!(locks.shared(TxnId(1), key(5)).unwrap().is_none());
        locks.release(TxnId(1));
        assert!(locks.shared(TxnId(3), key(5)).unwrap().is_none());
        locks.release(TxnId(3));
        assert!(locks.is_empty());
    }

    #[test]
    fn the_edge_that_closes_a_cycle_is_refused() {
        let locks = Locks::new();
        for n in 1..=3 {
            assert!(locks.exclusive(TxnId(n), key(n)).unwrap().is_none());
        }
        let first = locks.exclusive(TxnId(1), key(2)).unwrap();
        let second = locks.exclusive(TxnId(2), key(3)).unwrap();
        assert!(first.is_some() && second.is_some());
        let error = locks.exclusive(TxnId(3), key(1)).unwrap_err();
        assert_eq!(error.state(), SqlState::DEADLOCK_DETECTED);
        drop(second);
        assert!(locks.exclusive(TxnId(3), key(1)).unwrap().is_some(), "2 no longer waits: no cycle");
    }

    #[test]
    fn who_stands_in_the_way_is_seen() {
        let locks = Locks::new();
        for n in 1..=2 {
            assert!(locks.table(TxnId(n), 9, Mode::Shared).unwrap().is_none());
            assert!(locks.shared(TxnId(n), key(5)).unwrap().is_none());
        }
        assert_eq!(locks.seen().len(), 2, "keys that nobody waits for are not shown");
        let waiter = locks.exclusive(TxnId(3), key(5)).unwrap();
        let waits = locks.seen().into_iter().find(|seen| seen.waits_for.is_some()).unwrap();
        assert_eq!((waits.txn, waits.resource, waits.mode), (TxnId(3), key(5)[0], Mode::Exclusive));
        assert_eq!(locks.blockers(TxnId(3)), [TxnId(1), TxnId(2)]);
        drop(waiter);
        let alone = locks.table(TxnId(2), 9, Mode::Exclusive).unwrap();
        assert_eq!(locks.blockers(TxnId(2)), [TxnId(1)]);
        assert_eq!(locks.blockers(TxnId(1)), []);
        drop(alone);
        assert_eq!(locks.seen().len(), 2);
    }

    #[test]
    fn shared_table_locks_exclude_the_exclusive_one_of_others() {
        let locks = Locks::new();
        assert!(locks.table(TxnId(1), 9, Mode::Shared).unwrap().is_none());
        assert!(locks.table(TxnId(2), 9, Mode::Shared).unwrap().is_none());
        assert!(locks.table(TxnId(1), 9, Mode::Exclusive).unwrap().is_some());
        locks.release(TxnId(2));
        assert!(locks.table(TxnId(1), 9, Mode::Exclusive).unwrap().is_none());
        assert!(locks.table(TxnId(3), 9, Mode::Shared).unwrap().is_some());
        locks.release(TxnId(1));
        assert!(locks.table(TxnId(3), 9, Mode::Shared).unwrap().is_none());
    }

    #[test]
    fn a_callback_runs_at_the_release() {
        let locks = Locks::new();
        locks.exclusive(TxnId(1), key(1)).unwrap();
        let waiter = locks.exclusive(TxnId(2), key(1)).unwrap().expect("taken");
        let (sender, receiver) = std::sync::mpsc::channel();
        waiter.on_release(Box::new(move || sender.send(()).expect("the test listens")));
        assert!(receiver.try_recv().is_err());
        locks.release(TxnId(1));
        receiver.recv().unwrap();
    }
}
