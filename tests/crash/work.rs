//! The workload: steps of a session, of a second one beside it, and of what runs in the background.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use hither::database::{Database, Isolation, LockOutcome, OnConflict, RowUpdate, Transaction};
use hither::error::{Error, Result, SqlState};
use hither::types::Value;

use crate::client::{DIMENSIONS, create_index, create_table, index_name, lock, now, oid_of, primary_key};
use crate::model::{Chance, Known, Row, State, TableState};

/// Rows inserted, by table.
type Inserted = Vec<(String, Vec<Row>)>;

pub struct Worker {
    pub db: Arc<Database>,
    pub known: Arc<Mutex<Known>>,
    chance: Chance,
    next_id: i64,
    /// A second session's transaction, open across steps of the first; it only inserts, so nobody waits for it.
    other: Option<(Transaction, Inserted)>,
    /// How often each kind of work was done, for the test to see that all were.
    pub done: BTreeMap<&'static str, u64>,
}

impl Worker {
    pub fn new(db: Arc<Database>, known: Arc<Mutex<Known>>, seed: u64, next_id: i64) -> Worker {
        Worker { db, known, chance: Chance(seed), next_id, other: None, done: BTreeMap::new() }
    }

    fn acknowledged(&self) -> State {
        (*self.known.lock().unwrap().acknowledged).clone()
    }

    fn did(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    pub fn step(&mut self) -> Result<()> {
        self.known.lock().unwrap().step += 1;
        match self.chance.below(100) {
            0..4 => self.checkpoint(),
            4..8 => self.compact(),
            8..11 => self.index_tails(),
            11..14 => self.vacuum(),
            14..21 => {
                self.finish_other()?;
                self.transaction(Worker::ddl)
            }
            21..24 => self.duplicate(),
            24..32 => self.go_on_with_other(),
            _ => self.transaction(Worker::rows),
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

    /// Runs statements, then commits, or one time in six rolls back.
    fn transaction(
        &mut self,
        work: impl Fn(&mut Worker, &mut Transaction, &mut State) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.acknowledged();
        let mut txn = self.db.begin(Isolation::ReadCommitted);
        txn.start_statement();
        work(self, &mut txn, &mut state)?;
        if self.chance.one_in(6) {
            self.did("rollback");
            txn.rollback();
            return Ok(());
        }
        self.commit(txn, state)
    }

    fn commit(&mut self, txn: Transaction, state: State) -> Result<()> {
        self.did("commit");
        // After a failure a commit may be in doubt already. Then only one that changes nothing can succeed.
        let doubt = self.known.lock().unwrap().in_flight.replace(Arc::new(state));
        let outcome = txn.commit();
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
            Ok(_) => {
                known.acknowledged = known.in_flight.take().expect("set above");
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
        let tables: Vec<String> = self.acknowledged().into_keys().collect();
        let Some(table) = self.chance.pick(&tables) else { return Ok(()) };
        let count = 1 + self.chance.below(20);
        let rows = self.new_rows(count);
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

    fn ddl(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        let tables: Vec<String> = state.keys().cloned().collect();
        let Some(table) = self.chance.pick(&tables).filter(|_| tables.len() > 3 || !self.chance.one_in(4))
        else {
            self.did("create table");
            let name = format!("t{}", self.next_id);
            self.next_id += 1;
            create_table(txn, &name)?;
            state.insert(name.clone(), TableState::default());
            return self.insert(txn, &name, state);
        };
        let indexes = &mut state.get_mut(&table).expect("picked").indexes;
        match self.chance.below(10) {
            0 if tables.len() > 2 => {
                self.did("drop table");
                now(txn.drop_table(oid_of(txn, &table)))?;
                state.remove(&table);
            }
            1 => {
                self.did("truncate");
                now(txn.truncate(oid_of(txn, &table)))?;
                state.get_mut(&table).expect("picked").rows.clear();
            }
            2..4 if !indexes.is_empty() => {
                self.did("drop index");
                let name = indexes.pop_first().expect("not empty");
                let oid = txn.catalog().index("public", &name).expect("an index").oid;
                now(txn.drop_index(oid))?;
            }
            _ => {
                let kind = ["hnsw", "unique", "bitmap"][self.chance.below(3) as usize];
                if indexes.insert(index_name(&table, kind)) {
                    self.did("create index");
                    create_index(txn, &table, kind)?;
                }
            }
        }
        Ok(())
    }

    fn rows(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        for _ in 0..1 + self.chance.below(4) {
            let tables: Vec<String> = state.keys().cloned().collect();
            let Some(table) = self.chance.pick(&tables) else { return Ok(()) };
            txn.start_statement();
            // What happens in the background does not wait for the ends of transactions.
            match self.chance.below(24) {
                0 => self.checkpoint()?,
                1 => self.compact()?,
                2 => self.index_tails()?,
                _ => {}
            }
            match self.chance.below(8) {
                0..3 => self.insert(txn, &table, state)?,
                3 => self.upsert(txn, &table, state)?,
                4..6 => self.update(txn, &table, state)?,
                6 => self.update_vectors(txn, &table, state)?,
                _ => self.delete(txn, &table, state)?,
            }
        }
        Ok(())
    }

    fn row(&mut self, id: i64) -> Row {
        let tag = self.or_null(Value::Text(format!("tag {id}")));
        let score = self.or_null(Value::Int4(id as i32 % 7));
        let vector = (0..DIMENSIONS).map(|_| self.chance.below(1000) as f32 / 500.0 - 1.0).collect();
        let embedding = self.or_null(Value::Vector(vector));
        let note_bytes = if self.chance.one_in(12) { 5000 } else { self.chance.below(60) };
        let note =
            (0..note_bytes).map(|i| char::from(b'a' + ((id as u64 * 31 + i * i) % 26) as u8)).collect();
        vec![Value::Int8(id), tag, score, embedding, Value::Text(note)]
    }

    fn or_null(&mut self, value: Value) -> Value {
        if self.chance.one_in(8) { Value::Null } else { value }
    }

    fn new_rows(&mut self, count: u64) -> Vec<Row> {
        (0..count)
            .map(|_| {
                self.next_id += 1;
                self.row(self.next_id)
            })
            .collect()
    }

    fn insert(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("insert");
        let count = if self.chance.one_in(10) { 40 } else { 1 + self.chance.below(5) };
        let rows = self.new_rows(count);
        let outcome = now(txn.insert(oid_of(txn, table), &rows, OnConflict::Error))?;
        assert!(outcome.slots.iter().all(Option::is_some));
        remember(state, table, rows);
        Ok(())
    }

    /// INSERT ... ON CONFLICT (id) DO UPDATE, or DO NOTHING.
    fn upsert(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        let mut rows = self.new_rows(2);
        for id in self.some_ids(&state[table], 2) {
            rows.push(self.row(id));
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
        now(txn.update(oid, outcome.conflicts.iter().map(update).collect()))?;
        remember(state, table, rows);
        Ok(())
    }

    fn update(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("update");
        let ids = self.some_ids(&state[table], 4);
        let mut rows: Vec<Row> = ids.iter().map(|id| state[table].rows[id].clone()).collect();
        for row in &mut rows {
            row[2] = Value::Int4(self.chance.below(7) as i32);
            if self.chance.one_in(3) {
                self.next_id += 1;
                row[1] = Value::Text(format!("tag {}", self.next_id));
            }
        }
        self.write(txn, table, &ids, rows, false, state)
    }

    fn update_vectors(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("update vectors");
        let ids = self.some_ids(&state[table], 3);
        let rows = ids.iter().map(|id| self.row(*id)).collect();
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
        now(txn.update(oid, rows.iter().zip(slots).map(update).collect()))?;
        remember(state, table, rows);
        Ok(())
    }

    fn delete(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("delete");
        let count = if self.chance.one_in(10) { 30 } else { 3 };
        let ids = self.some_ids(&state[table], count);
        let oid = oid_of(txn, table);
        let slots = lock(txn, oid, &ids)?;
        now(txn.delete(oid, &slots))?;
        state.get_mut(table).expect("a known table").rows.retain(|id, _| !ids.contains(id));
        Ok(())
    }

    /// An insert that meets its own key, in a transaction that has written before: all of it goes.
    fn duplicate(&mut self) -> Result<()> {
        let mut state = self.acknowledged();
        let filled = state.iter().find(|(_, table)| !table.rows.is_empty());
        let Some((table, id)) =
            filled.map(|(name, table)| (name.clone(), *table.rows.keys().next().unwrap()))
        else {
            return Ok(());
        };
        self.did("duplicate key");
        let mut txn = self.db.begin(Isolation::ReadCommitted);
        txn.start_statement();
        self.insert(&mut txn, &table, &mut state)?;
        let row = self.row(id);
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
    let table = state.get_mut(table).expect("a known table");
    for row in rows {
        let Value::Int8(id) = row[0] else { unreachable!("rows begin with their key") };
        table.rows.insert(id, row);
    }
}
