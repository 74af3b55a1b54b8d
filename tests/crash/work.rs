//! A workload: steps of a session, of a second one beside it, and of what runs in the background.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};

use hither::database::{Database, Isolation, LockOutcome, OnConflict, RowUpdate, Savepoint, Transaction};
use hither::error::{Error, Result, SqlState};
use hither::fs::Fs;
use hither::log::Position;
use hither::types::{Bits, Sparsevec, Type, Value, f16};

use crate::client::{Columns, lock, now, oid_of, primary_key};
use crate::model::{Chance, ColumnState, Known, Row, State, TableState};

/// What a workload is made of.
pub struct Workload {
    pub name: &'static str,
    pub seed: u64,
    /// Most are transactions of several statements.
    pub steps: u64,
    /// In the short form every so many points are taken.
    pub every: u64,
    /// Of new tables, behind the key.
    pub columns: Columns,
    pub topics: &'static [Topic],
    /// Everything that it must have done.
    pub does: &'static [&'static str],
}

/// What happens beside changes of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Tables and indexes come and go.
    Tables,
    /// Columns come, go, change their names and types.
    Columns,
    /// A transaction goes back to a savepoint, or forgets it.
    Savepoints,
    Sequences,
    /// Tables have partitions, which come and go.
    Partitions,
    /// Rows of some tables refer to rows of others.
    References,
    /// Backups, an archive of the log, and what is restored from them.
    Backups,
}

/// Rows inserted, by table.
type Inserted = Vec<(String, Vec<Row>)>;

pub struct Worker {
    pub db: Arc<Database>,
    pub fs: Arc<dyn Fs>,
    pub known: Arc<Mutex<Known>>,
    pub workload: &'static Workload,
    pub chance: Chance,
    pub next_id: i64,
    /// Sequences that the present transaction has used.
    pub used: BTreeSet<String>,
    /// A second session's transaction, open across steps of the first; it only inserts, so nobody waits for it.
    other: Option<(Transaction, Inserted)>,
    /// How often each kind of work was done, for the test to see that all were.
    pub done: BTreeMap<&'static str, u64>,
}

impl Worker {
    pub fn new(
        workload: &'static Workload,
        (db, fs): (Arc<Database>, Arc<dyn Fs>),
        known: Arc<Mutex<Known>>,
        seed: u64,
        next_id: i64,
    ) -> Worker {
        let (chance, used, done) = (Chance(seed), BTreeSet::new(), BTreeMap::new());
        Worker { db, fs, known, workload, chance, next_id, used, other: None, done }
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic holds it")
    }

    pub fn acknowledged(&self) -> State {
        (*self.known().acknowledged).clone()
    }

    pub fn is_about(&self, topic: Topic) -> bool {
        self.workload.topics.contains(&topic)
    }

    pub fn did(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    pub fn step(&mut self) -> Result<()> {
        self.known().step += 1;
        match self.chance.below(100) {
            0..4 => self.checkpoint(),
            4..8 => self.compact(),
            8..11 => self.index_tails(),
            11..14 => self.vacuum(),
            14..17 => self.duplicate(),
            17..24 => self.go_on_with_other(),
            24..34 if self.is_about(Topic::Backups) => self.back_up_or_restore(),
            24..45 => {
                self.finish_other()?;
                self.transaction(true)
            }
            _ => self.transaction(false),
        }
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.did("checkpoint");
        self.db.checkpoint()
    }

    fn compact(&mut self) -> Result<()> {
        self.did("compact");
        self.db.step_storage().map(drop)
    }

    fn index_tails(&mut self) -> Result<()> {
        self.did("index tails");
        self.db.step_indexer().map(drop)
    }

    fn vacuum(&mut self) -> Result<()> {
        self.did("vacuum");
        self.db.vacuum(&[], &AtomicBool::new(false)).map(drop)
    }

    /// Runs statements, of definitions too or of rows only, then commits, or one time in six rolls back.
    fn transaction(&mut self, definitions: bool) -> Result<()> {
        let mut state = self.acknowledged();
        let mut txn = self.db.begin(Isolation::ReadCommitted);
        self.used.clear();
        self.statements(&mut txn, &mut state, definitions)?;
        if self.chance.one_in(6) {
            self.did("rollback");
            txn.rollback();
            return Ok(());
        }
        self.commit(txn, state)
    }

    fn statements(&mut self, txn: &mut Transaction, state: &mut State, definitions: bool) -> Result<()> {
        let mut savepoints: Vec<(Savepoint, State)> = Vec::new();
        let count = 1 + self.chance.below(4);
        for number in 0..count {
            txn.start_statement();
            if self.is_about(Topic::Savepoints) && self.chance.one_in(2) {
                self.savepoint(txn, state, &mut savepoints)?;
            }
            // What happens in the background does not wait for the ends of transactions.
            match self.chance.below(24) {
                0 => self.checkpoint()?,
                1 => self.compact()?,
                2 => self.index_tails()?,
                _ => {}
            }
            match self.chance.below(8) {
                0..2 if self.is_about(Topic::Sequences) => self.use_sequence(txn, state)?,
                _ if definitions && (number == 0 || self.chance.one_in(2)) => self.define(txn, state)?,
                _ => self.rows(txn, state)?,
            }
        }
        Ok(())
    }

    /// SAVEPOINT, ROLLBACK TO, which keeps it, or RELEASE.
    fn savepoint(
        &mut self,
        txn: &mut Transaction,
        state: &mut State,
        savepoints: &mut Vec<(Savepoint, State)>,
    ) -> Result<()> {
        let at = self.chance.below(savepoints.len() as u64 + 1) as usize;
        match self.chance.below(3) {
            1 if at < savepoints.len() => {
                self.did("rollback to a savepoint");
                savepoints.truncate(at + 1);
                let (savepoint, then) = &savepoints[at];
                txn.rollback_to(savepoint)?;
                state.clone_from(then);
            }
            2 if at < savepoints.len() => {
                self.did("release");
                savepoints.truncate(at);
            }
            _ => {
                self.did("savepoint");
                savepoints.push((txn.savepoint(), state.clone()));
            }
        }
        Ok(())
    }

    fn commit(&mut self, txn: Transaction, state: State) -> Result<()> {
        self.did("commit");
        let state = Arc::new(state);
        // After a failure a commit may be in doubt already. Then only one that changes nothing can succeed.
        let doubt = self.known().in_flight.replace(state.clone());
        let outcome = txn.commit();
        let used = std::mem::take(&mut self.used);
        let mut known = self.known.lock().unwrap();
        match outcome {
            Ok(_) if doubt.is_some() => {
                assert!(
                    known.in_flight.as_deref() == Some(&*known.acknowledged),
                    "a commit after one in doubt"
                );
                known.in_flight = doubt;
                Ok(())
            }
            Ok(seq) => {
                known.acknowledged = known.in_flight.take().expect("set above");
                if self.workload.topics.contains(&Topic::Backups) {
                    known.backups.history.push((Position(seq.0), state));
                }
                for name in used {
                    let counter = known.counters.get_mut(&name).expect("a used sequence");
                    counter.settled = counter.possible.last().copied().unwrap_or(counter.settled);
                    counter.possible.clear();
                }
                Ok(())
            }
            // Failed before the log: certainly not committed. After a failure of the log nobody knows.
            Err(error) => {
                let refused = error.state() == SqlState::DISK_FULL || !is_of_the_log(&error);
                if doubt.is_some() || refused {
                    known.in_flight = doubt;
                }
                Err(error)
            }
        }
    }

    /// Begins the other session's transaction, inserts into any table, or ends it.
    fn go_on_with_other(&mut self) -> Result<()> {
        if self.other.is_some() && self.chance.one_in(4) {
            return self.finish_other();
        }
        let state = self.acknowledged();
        let Some(table) = self.chance.pick(&state.names()) else { return Ok(()) };
        let count = 1 + self.chance.below(20);
        let rows = self.new_rows(&state.tables[&table], count);
        let begin = || (self.db.begin(Isolation::ReadCommitted), Vec::new());
        let (mut txn, mut written) = self.other.take().unwrap_or_else(begin);
        txn.start_statement();
        let oid = oid_of(&txn, &table);
        now(txn.insert(oid, &rows, OnConflict::Error))?;
        written.push((table, rows));
        self.other = Some((txn, written));
        Ok(())
    }

    pub fn finish_other(&mut self) -> Result<()> {
        let Some((txn, written)) = self.other.take() else { return Ok(()) };
        if self.chance.one_in(3) {
            self.did("rollback of the other");
            txn.rollback();
            return Ok(());
        }
        self.did("commit of the other");
        let mut state = self.acknowledged();
        written.into_iter().for_each(|(table, rows)| remember(&mut state, &table, rows));
        self.commit(txn, state)
    }

    fn rows(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        let Some(table) = self.chance.pick(&state.names()) else { return Ok(()) };
        match self.chance.below(8) {
            0..3 => self.insert(txn, &table, state),
            3 => self.upsert(txn, &table, state),
            4..6 => self.update(txn, &table, state),
            6 => self.update_vectors(txn, &table, state),
            _ => self.delete(txn, &table, state),
        }
    }

    /// A cell of a row with this key. Texts of the second column are unique.
    pub fn cell(&mut self, id: i64, column: &ColumnState) -> Value {
        let value = match &column.ty {
            Type::Text if column.number == 2 => Value::Text(format!("tag {id}")),
            Type::Text => {
                let bytes = if self.chance.one_in(12) { 5000 } else { self.chance.below(60) };
                let letter = |i: u64| char::from(b'a' + ((id as u64 * 31 + i * i) % 26) as u8);
                Value::Text((0..bytes).map(letter).collect())
            }
            Type::Int4 => Value::Int4(id as i32 % 7),
            Type::Int8 => Value::Int8(id % 7),
            Type::Vector(Some(dimensions)) => Value::Vector(self.numbers(u32::from(*dimensions)).collect()),
            Type::Halfvec(Some(dimensions)) => {
                Value::Halfvec(self.numbers(u32::from(*dimensions)).map(f16::from_f32).collect())
            }
            Type::Sparsevec(Some(dimensions)) => {
                let filled: Vec<(u32, f32)> = self
                    .numbers(*dimensions)
                    .zip(0..)
                    .filter(|(number, _)| *number > 0.2)
                    .map(|(number, at)| (at, number))
                    .collect();
                Value::Sparsevec(Sparsevec::new(*dimensions, filled.into_iter()))
            }
            Type::Bit(Some(length)) => {
                let bytes = (0..length.div_ceil(8)).map(|_| self.chance.below(256) as u8).collect();
                Value::Bits(Bits::new(bytes, *length))
            }
            Type::Array(_) => {
                let words = (0..self.chance.below(5)).map(|_| self.chance.below(8));
                let words: BTreeSet<u64> = words.collect();
                Value::Array(words.into_iter().map(|word| Value::Text(format!("word {word}"))).collect())
            }
            other => panic!("no cells of {other}"),
        };
        if self.chance.one_in(8) { Value::Null } else { value }
    }

    fn numbers(&mut self, count: u32) -> impl Iterator<Item = f32> + use<> {
        let numbers: Vec<f32> = (0..count).map(|_| self.chance.below(1000) as f32 / 500.0 - 1.0).collect();
        numbers.into_iter()
    }

    pub fn row(&mut self, id: i64, table: &TableState) -> Row {
        let cells = table.columns[1..].iter().map(|column| match table.is_reference(column) {
            // Referring rows are made by whoever looks whom they can refer to.
            true => Value::Null,
            false => self.cell(id, column),
        });
        std::iter::once(Value::Int8(id)).chain(cells).collect()
    }

    pub fn new_rows(&mut self, table: &TableState, count: u64) -> Vec<Row> {
        (0..count)
            .map(|_| {
                self.next_id += 1;
                self.row(self.next_id, table)
            })
            .collect()
    }

    pub fn insert(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("insert");
        let count = if self.chance.one_in(10) { 40 } else { 1 + self.chance.below(5) };
        let mut rows = self.new_rows(&state.tables[table], count);
        self.refer(txn, table, state, &mut rows)?;
        let outcome = now(txn.insert(oid_of(txn, table), &rows, OnConflict::Error))?;
        assert!(outcome.slots.iter().all(Option::is_some));
        remember(state, table, rows);
        Ok(())
    }

    /// INSERT ... ON CONFLICT (id) DO UPDATE, or DO NOTHING.
    fn upsert(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        let known = state.tables[table].clone();
        let mut rows = self.new_rows(&known, 2);
        for id in self.some_ids(&known, 2) {
            rows.push(self.row(id, &known));
        }
        let oid = oid_of(txn, table);
        let key = primary_key(txn, oid);
        if self.chance.one_in(3) {
            self.did("insert or nothing");
            let outcome = now(txn.insert(oid, &rows, OnConflict::Nothing(Some(key))))?;
            let inserted = rows.into_iter().zip(outcome.slots).filter(|(_, slot)| slot.is_some());
            remember(state, table, inserted.map(|(row, _)| row).collect());
            return Ok(());
        }
        self.did("upsert");
        let outcome = now(txn.insert(oid, &rows, OnConflict::Report(key)))?;
        assert_eq!(outcome.conflicts.len(), rows.len() - 2);
        let slots: Vec<u32> = outcome.conflicts.iter().map(|(_, slot)| *slot).collect();
        assert_eq!(now(txn.lock_rows(oid, &slots))?, LockOutcome::Locked);
        let update = |(row, slot): &(usize, u32)| RowUpdate {
            slot: *slot,
            row: rows[*row].clone(),
            vectors_changed: true,
        };
        now(txn.update(oid, &outcome.conflicts.iter().map(update).collect::<Vec<_>>()))?;
        remember(state, table, rows);
        Ok(())
    }

    fn update(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("update");
        let known = state.tables[table].clone();
        let ids = self.some_ids(&known, 4);
        let mut rows: Vec<Row> = ids.iter().map(|id| known.rows[id].clone()).collect();
        for row in &mut rows {
            for (position, column) in known.columns.iter().enumerate().skip(1) {
                let tagged = column.number == 2;
                if column.ty.is_slot_vector()
                    || known.is_reference(column)
                    || tagged && !self.chance.one_in(3)
                {
                    continue;
                }
                self.next_id += 1;
                row[position] = self.cell(self.next_id, column);
            }
        }
        self.write(txn, table, &ids, rows, false, state)
    }

    fn update_vectors(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("update vectors");
        let known = state.tables[table].clone();
        let ids = self.some_ids(&known, 3);
        let rows = ids.iter().map(|id| self.row(*id, &known)).collect();
        self.write(txn, table, &ids, rows, true, state)
    }

    fn write(
        &mut self,
        txn: &mut Transaction,
        table: &str,
        ids: &[i64],
        rows: Vec<Row>,
        vectors_changed: bool,
        state: &mut State,
    ) -> Result<()> {
        let oid = oid_of(txn, table);
        let slots = lock(txn, oid, ids)?;
        let update = |(row, slot): (&Row, u32)| RowUpdate { slot, row: row.clone(), vectors_changed };
        now(txn.update(oid, &rows.iter().zip(slots).map(update).collect::<Vec<_>>()))?;
        remember(state, table, rows);
        Ok(())
    }

    fn delete(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("delete");
        let count = if self.chance.one_in(10) { 30 } else { 3 };
        let ids = self.some_ids(&state.tables[table], count);
        let ids = self.unreferred(txn, table, state, ids)?;
        self.delete_ids(txn, table, state, &ids)
    }

    pub fn delete_ids(
        &mut self,
        txn: &mut Transaction,
        table: &str,
        state: &mut State,
        ids: &[i64],
    ) -> Result<()> {
        let oid = oid_of(txn, table);
        let slots = lock(txn, oid, ids)?;
        now(txn.delete(oid, &slots))?;
        state.table(table).rows.retain(|id, _| !ids.contains(id));
        Ok(())
    }

    /// An insert that meets its own key, in a transaction that has written before: all of it goes.
    fn duplicate(&mut self) -> Result<()> {
        let mut state = self.acknowledged();
        let mut filled = state.tables.iter().filter(|(_, table)| !table.rows.is_empty());
        let Some((table, id)) =
            filled.next().map(|(name, table)| (name.clone(), *table.rows.keys().next().unwrap()))
        else {
            return Ok(());
        };
        self.did("duplicate key");
        let mut txn = self.db.begin(Isolation::ReadCommitted);
        txn.start_statement();
        self.insert(&mut txn, &table, &mut state)?;
        let row = self.row(id, &state.tables[&table]);
        txn.start_statement();
        let error = now(txn.insert(oid_of(&txn, &table), &[row], OnConflict::Error)).err();
        match error.map(|error| error.state()) {
            Some(SqlState::UNIQUE_VIOLATION) => txn.rollback(),
            other => panic!("a duplicate key was answered by {other:?}"),
        }
        Ok(())
    }

    /// Up to `count` different keys.
    fn some_ids(&mut self, table: &TableState, count: usize) -> Vec<i64> {
        let ids: Vec<i64> = table.rows.keys().copied().collect();
        let picked: BTreeSet<i64> = (0..count).filter_map(|_| self.chance.pick(&ids)).collect();
        picked.into_iter().collect()
    }
}

/// Whether the log failed: only then a commit may be there although nobody was told so.
fn is_of_the_log(error: &Error) -> bool {
    ["the log has stopped", "stopped writing", "durable but"]
        .iter()
        .any(|said| error.message().contains(said))
}

pub fn remember(state: &mut State, table: &str, rows: Vec<Row>) {
    let table = state.table(table);
    for row in rows {
        let Value::Int8(id) = row[0] else { unreachable!("rows begin with their key") };
        table.rows.insert(id, row);
    }
}
