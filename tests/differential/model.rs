//! Statements that write, and what a map says to them.
//!
//! Two sessions change one table, each the rows whose keys are its own (even and odd), so that neither waits for the other;
//! both read all of it. What a session must see is known at every moment:
//!
//! ```text
//!   READ COMMITTED    its own rows as they are + those that the other has committed
//!   REPEATABLE READ   its own rows as they are + those that the other had committed when its transaction began
//! ```
//!
//! Every answer is compared: rows of queries and of RETURNING, and the SQLSTATE of what must fail (where a statement breaks
//! several constraints, that of any). Between them are savepoints, checkpoints, vacuums, and now and then the server
//! ends, cleanly or with the power gone, and goes on with what was committed.

use std::collections::BTreeMap;
use std::fmt::Write;

use hither::fs::memory::MemoryFs;

use crate::client::{Answer, Client};
use crate::house::House;
use crate::random::Random;
use crate::{number, short};

/// Statements before the table begins anew, with another index.
const CASE: usize = 400;
/// Keys are below; the fewer the more often one is there already.
const KEYS: usize = 160;
/// Values of the second unique column are below.
const UNIQUE: usize = 400;

const TABLE: &str = "CREATE TABLE m (id bigint PRIMARY KEY, k integer UNIQUE, n integer NOT NULL CHECK (n >= 0), t text, \
                     v vector(3))";
/// With the shapes an index can have; the first case has none.
const INDEXES: [&str; 5] = [
    "SELECT 1",
    "CREATE INDEX ON m USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 16)",
    "CREATE INDEX ON m USING hnsw (v vector_l2_ops) WITH (quantization = 'sq8')",
    "CREATE INDEX ON m USING ivfflat (v vector_l2_ops) WITH (lists = 3)",
    "CREATE INDEX ON m (n, t)",
];

#[derive(Clone, Debug, PartialEq)]
struct Row {
    k: Option<i32>,
    n: i32,
    t: Option<String>,
    v: Option<[i32; 3]>,
}

type Rows = BTreeMap<i64, Row>;

/// What a statement must answer: rows as the client gives them, in the order of their text, or one of these errors.
type Expected = Result<Vec<String>, Vec<&'static str>>;

const UNIQUE_VIOLATION: &str = "23505";
const CHECK_VIOLATION: &str = "23514";
const CARDINALITY_VIOLATION: &str = "21000";
const IN_FAILED_TRANSACTION: &str = "25P02";

struct Transaction {
    own: Rows,
    /// The other's rows, where they are those of the beginning.
    others: Option<Rows>,
    failed: bool,
    /// Rows at each, and whether the transaction had failed: it had not.
    savepoints: Vec<Rows>,
}

struct Session {
    client: Client,
    open: Option<Transaction>,
}

struct World {
    house: Option<House>,
    fs: MemoryFs,
    sessions: Vec<Session>,
    /// What each session has committed.
    committed: [Rows; 2],
    random: Random,
    statements: usize,
    /// The last ones, for the report.
    said: Vec<String>,
}

#[test]
fn changes_are_those_of_a_map() {
    let (seed, first) = (number("HITHER_SEED", 1), number("HITHER_FIRST", 0));
    let count = number("HITHER_CHANGES", 2_000) as usize;
    let panics = crate::house::panics();
    let mut done = 0;
    for case in first.. {
        if done >= count {
            println!("{done} statements in cases {first} to {} of seed {seed}", case - 1);
            break;
        }
        let mut world = World::begin(Random::of(seed, case), case);
        while world.statements < CASE {
            if let Err(said) = world.step() {
                let last = world.said.iter().rev().take(30).rev().cloned().collect::<Vec<_>>().join("\n  ");
                panic!("HITHER_SEED={seed} HITHER_FIRST={case} HITHER_CHANGES=1: {said}\n  {last}");
            }
        }
        done += world.statements;
        world.end();
    }
    assert_eq!(crate::house::panics(), panics, "panics");
}

impl World {
    fn begin(random: Random, case: u64) -> World {
        let fs = MemoryFs::new();
        let mut world = World {
            house: None,
            fs: fs.clone(),
            sessions: Vec::new(),
            committed: Default::default(),
            random,
            statements: 0,
            said: Vec::new(),
        };
        world.open();
        for sql in ["CREATE EXTENSION vector", TABLE, INDEXES[case as usize % INDEXES.len()]] {
            world.must(0, sql);
        }
        world
    }

    fn open(&mut self) {
        let house = House::open_on(self.fs.clone());
        let url = house.url();
        self.sessions = (0..2).map(|_| Session { client: Client::open(&url), open: None }).collect();
        self.house = Some(house);
        // One session has nearest neighbours from the index and one without.
        self.must(1, "SET enable_indexscan = off");
    }

    fn end(&mut self) {
        self.sessions.clear();
        self.house.take().expect("it runs").close();
    }

    fn ask(&mut self, session: usize, sql: &str) -> Answer {
        self.statements += 1;
        self.said.push(format!("{session}: {sql}"));
        self.sessions[session].client.ask(sql)
    }

    fn must(&mut self, session: usize, sql: &str) {
        let answer = self.ask(session, sql);
        assert!(matches!(answer, Answer::Rows(_)), "{sql}: {answer:?}");
    }

    fn compare(&mut self, session: usize, sql: &str, expected: &Expected) -> Result<(), String> {
        let answer = self.ask(session, sql);
        let agrees = match (&answer, expected) {
            (Answer::Rows(found), Ok(rows)) => found == rows,
            (Answer::Error(state, _), Err(states)) => states.contains(&state.as_str()),
            _ => false,
        };
        if agrees {
            return Ok(());
        }
        Err(format!("{}\n  expected: {}", short(&format!("{answer:?}")), short(&format!("{expected:?}"))))
    }

    /// One statement of one session, or an event.
    fn step(&mut self) -> Result<(), String> {
        let session = self.random.below(2);
        if self.random.below(400) == 0 {
            return self.restart();
        }
        match self.random.below(24) {
            0 | 1 => self.transaction_begins(session),
            2 | 3 => self.transaction_ends(session),
            4 => self.savepoint(session),
            5 if self.random.chance(20) => self.maintain(session),
            5..=9 => self.read(session),
            _ => self.change(session),
        }
    }

    /// The server ends and begins; with the power gone, of what is not synced only a part is left.
    fn restart(&mut self) -> Result<(), String> {
        let power = self.random.chance(50);
        let survivor = power.then(|| self.fs.crash(self.random.next()));
        self.said.push(format!("restart, power gone: {power}"));
        self.end();
        self.fs = survivor.unwrap_or_else(|| self.fs.clone());
        self.open();
        self.everything(0)
    }

    fn transaction_begins(&mut self, session: usize) -> Result<(), String> {
        if self.sessions[session].open.is_some() {
            return self.read(session);
        }
        let repeatable = self.random.chance(40);
        let level = if repeatable { "REPEATABLE READ" } else { "READ COMMITTED" };
        self.compare(session, &format!("BEGIN ISOLATION LEVEL {level}"), &Ok(Vec::new()))?;
        // The snapshot is taken by the first query.
        let sql = "SELECT count(*) FROM m";
        let count = self.committed.iter().map(BTreeMap::len).sum::<usize>();
        self.compare(session, sql, &Ok(vec![count.to_string()]))?;
        self.sessions[session].open = Some(Transaction {
            own: self.committed[session].clone(),
            others: repeatable.then(|| self.committed[1 - session].clone()),
            failed: false,
            savepoints: Vec::new(),
        });
        Ok(())
    }

    fn transaction_ends(&mut self, session: usize) -> Result<(), String> {
        let Some(open) = self.sessions[session].open.take() else { return self.read(session) };
        let commit = self.random.chance(65);
        self.compare(session, if commit { "COMMIT" } else { "ROLLBACK" }, &Ok(Vec::new()))?;
        if commit && !open.failed {
            self.committed[session] = open.own;
        }
        self.everything(session)
    }

    fn savepoint(&mut self, session: usize) -> Result<(), String> {
        let back = self.random.chance(50);
        let release = self.random.chance(30);
        let Some(open) = self.sessions[session].open.as_mut() else { return self.read(session) };
        let sql = match open.savepoints.len() {
            count if count > 0 && (back || open.failed) => {
                let to = count - 1;
                open.own = open.savepoints[to].clone();
                open.failed = false;
                format!("ROLLBACK TO SAVEPOINT s{to}")
            }
            _ if open.failed => return self.read(session),
            count if count > 0 && release => {
                open.savepoints.pop();
                format!("RELEASE SAVEPOINT s{}", count - 1)
            }
            count => {
                open.savepoints.push(open.own.clone());
                format!("SAVEPOINT s{count}")
            }
        };
        self.compare(session, &sql, &Ok(Vec::new()))
    }

    /// What others never notice.
    fn maintain(&mut self, session: usize) -> Result<(), String> {
        let open = self.sessions.iter().any(|session| session.open.is_some());
        let sql = self.random.pick(&["CHECKPOINT", "VACUUM m", "ANALYZE m", "REINDEX TABLE m", "TRUNCATE m"]);
        // REINDEX and TRUNCATE wait for those that have read the table; VACUUM is no statement of a transaction.
        let alone = sql == "REINDEX TABLE m" || sql == "TRUNCATE m";
        if self.sessions[session].open.is_some() || (alone && open) {
            return self.read(session);
        }
        self.compare(session, sql, &Ok(Vec::new()))?;
        if sql == "TRUNCATE m" {
            self.committed = Default::default();
        }
        self.everything(session)
    }

    /// What a session sees.
    fn view(&self, session: usize) -> Rows {
        let open = self.sessions[session].open.as_ref();
        let own = open.map_or(&self.committed[session], |open| &open.own);
        let others = open.and_then(|open| open.others.as_ref()).unwrap_or(&self.committed[1 - session]);
        own.iter().chain(others).map(|(id, row)| (*id, row.clone())).collect()
    }

    fn failed(&self, session: usize) -> bool {
        self.sessions[session].open.as_ref().is_some_and(|open| open.failed)
    }

    fn everything(&mut self, session: usize) -> Result<(), String> {
        let expected = match self.failed(session) {
            true => Err(vec![IN_FAILED_TRANSACTION]),
            false => Ok(texts(&self.view(session))),
        };
        self.compare(session, "SELECT * FROM m", &expected)
    }

    fn read(&mut self, session: usize) -> Result<(), String> {
        let view = self.view(session);
        let random = &mut self.random;
        let filter = Filter::draw(random);
        let kept = || view.iter().filter(|(id, row)| filter.keeps(**id, row));
        let (sql, rows) = match random.below(7) {
            0 => return self.everything(session),
            1 => {
                let sum: i64 = kept().map(|(_, row)| i64::from(row.n)).sum();
                let count = kept().count();
                let sum = if count == 0 { "NULL".to_owned() } else { sum.to_string() };
                (format!("SELECT count(*), sum(n), count(v) FROM m WHERE {filter}"), {
                    let vectors = kept().filter(|(_, row)| row.v.is_some()).count();
                    vec![format!("{count}|{sum}|{vectors}")]
                })
            }
            2 => {
                let limit = random.below(6);
                let mut ids: Vec<(i32, i64)> = kept().map(|(id, row)| (row.n, *id)).collect();
                ids.sort_by_key(|(n, id)| (std::cmp::Reverse(*n), *id));
                let rows = ids.iter().take(limit).map(|(n, id)| format!("{id}|{n}")).collect();
                (format!("SELECT id, n FROM m WHERE {filter} ORDER BY n DESC, id LIMIT {limit}"), rows)
            }
            3 => {
                let mut groups: BTreeMap<Option<&str>, (usize, i32)> = BTreeMap::new();
                for (_, row) in kept() {
                    let group = groups.entry(row.t.as_deref()).or_insert((0, i32::MAX));
                    *group = (group.0 + 1, group.1.min(row.n));
                }
                let text = |(t, (count, n)): (&Option<&str>, &(usize, i32))| {
                    format!("{}|{count}|{n}", t.unwrap_or("NULL"))
                };
                (
                    format!("SELECT t, count(*), min(n) FROM m WHERE {filter} GROUP BY t"),
                    groups.iter().map(text).collect(),
                )
            }
            4 => return self.nearest(session, &filter),
            _ => (
                format!("SELECT * FROM m WHERE {filter}"),
                kept().map(|(id, row)| text(*id, row)).collect::<Vec<_>>(),
            ),
        };
        let expected = if self.failed(session) { Err(vec![IN_FAILED_TRANSACTION]) } else { Ok(sorted(rows)) };
        self.compare(session, &sql, &expected)
    }

    /// As many rows as there are, all of which the filter keeps; without an index the nearest.
    fn nearest(&mut self, session: usize, filter: &Filter) -> Result<(), String> {
        let view = self.view(session);
        let (limit, query) = (1 + self.random.below(12), vector(&mut self.random));
        let sql = format!(
            "SELECT id FROM m WHERE {filter} AND v IS NOT NULL ORDER BY v <-> '{}' LIMIT {limit}",
            vector_text(&query)
        );
        let square = |v: &[i32; 3]| (0..3).map(|axis| (v[axis] - query[axis]).pow(2)).sum::<i32>();
        let kept = view.iter().filter(|(id, row)| filter.keeps(**id, row));
        let mut distances: Vec<i32> = kept.filter_map(|(_, row)| row.v.as_ref().map(square)).collect();
        distances.sort_unstable();
        distances.truncate(limit);
        if self.failed(session) {
            return self.compare(session, &sql, &Err(vec![IN_FAILED_TRANSACTION]));
        }
        let answer = self.ask(session, &sql);
        let Answer::Rows(ids) = &answer else { return Err(format!("{answer:?}")) };
        let mut found = Vec::new();
        for id in ids {
            let id: i64 = id.parse().map_err(|_| format!("{id} is no key"))?;
            let row = view
                .get(&id)
                .filter(|row| filter.keeps(id, row))
                .ok_or(format!("{id} is not to be found"))?;
            found.push(square(row.v.as_ref().ok_or(format!("{id} has no vector"))?));
        }
        found.sort_unstable();
        let exact = session == 1;
        if found.len() != distances.len() || (exact && found != distances) {
            return Err(format!("{ids:?} at {found:?}, expected {distances:?}"));
        }
        let mut distinct = ids.clone();
        distinct.dedup();
        if distinct.len() == ids.len() { Ok(()) } else { Err(format!("a row twice: {ids:?}")) }
    }

    fn change(&mut self, session: usize) -> Result<(), String> {
        let open = self.sessions[session].open.as_ref();
        let before = open.map_or(&self.committed[session], |open| &open.own).clone();
        let (sql, outcome) = draw(&mut self.random, session, &before);
        let (expected, after) = match outcome {
            _ if self.failed(session) => (Err(vec![IN_FAILED_TRANSACTION]), None),
            Ok((rows, after)) => (Ok(sorted(rows)), Some(after)),
            Err(states) => (Err(states), None),
        };
        self.compare(session, &sql, &expected)?;
        match (&mut self.sessions[session].open, after) {
            (Some(open), Some(after)) => open.own = after,
            (Some(open), None) => open.failed = true,
            (None, Some(after)) => self.committed[session] = after,
            (None, None) => {}
        }
        Ok(())
    }
}

/// Whether a row, with its key, is one that a condition is true for.
type Keep = Box<dyn Fn(i64, &Row) -> bool>;

/// A condition on rows.
struct Filter {
    sql: String,
    keep: Keep,
}

impl Filter {
    fn draw(random: &mut Random) -> Filter {
        let (a, b) = (random.below(KEYS) as i64, 1 + random.below(KEYS / 3) as i64);
        let (n, word) = (random.below(60) as i32, word(random));
        let k = random.below(UNIQUE) as i32;
        let filter = |sql: String, keep: Keep| Filter { sql, keep };
        match random.below(11) {
            0 => filter("true".to_owned(), Box::new(|_, _| true)),
            1 => filter(format!("id = {a}"), Box::new(move |id, _| id == a)),
            2 => filter(
                format!("id BETWEEN {a} AND {}", a + b),
                Box::new(move |id, _| (a..=a + b).contains(&id)),
            ),
            3 => filter(format!("n < {n}"), Box::new(move |_, row| row.n < n)),
            4 => filter(format!("n = {n}"), Box::new(move |_, row| row.n == n)),
            5 => filter(format!("t = '{word}'"), Box::new(move |_, row| row.t.as_deref() == Some(word))),
            6 => filter(
                "t IS NULL AND v IS NOT NULL".to_owned(),
                Box::new(|_, row| row.t.is_none() && row.v.is_some()),
            ),
            7 => filter(format!("k = {k}"), Box::new(move |_, row| row.k == Some(k))),
            8 => filter(format!("k > {k}"), Box::new(move |_, row| row.k.is_some_and(|found| found > k))),
            9 => filter(
                format!("id IN ({a}, {}, {}) OR n % 7 = {}", a + 1, a + b, n % 7),
                Box::new(move |id, row| id == a || id == a + 1 || id == a + b || row.n % 7 == n % 7),
            ),
            _ => filter(
                format!("NOT (n >= {n} AND t <> '{word}')"),
                // Without a text the second half is unknown, and so is the whole unless the first is false.
                Box::new(move |_, row| row.n < n || row.t.as_deref() == Some(word)),
            ),
        }
    }

    fn keeps(&self, id: i64, row: &Row) -> bool {
        (self.keep)(id, row)
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({})", self.sql)
    }
}

/// What a change answers and leaves, or how it fails.
type Outcome = Result<(Vec<String>, Rows), Vec<&'static str>>;

fn draw(random: &mut Random, session: usize, before: &Rows) -> (String, Outcome) {
    let filter = Filter::draw(random);
    let own = format!("id % 2 = {session} AND {filter}");
    let kept: Vec<i64> =
        before.iter().filter(|(id, row)| filter.keeps(**id, row)).map(|(id, _)| *id).collect();
    match random.below(13) {
        0..=2 => insert(random, session, before, ""),
        3 => insert(random, session, before, "NOTHING"),
        4 | 5 => insert(random, session, before, "UPDATE"),
        6 => {
            let add = random.below(20) as i32 - 5;
            let change = |row: &mut Row| row.n += add;
            update(before, &kept, &format!("n = n + {add}"), &own, change)
        }
        7 => {
            let word = word(random);
            let change = |row: &mut Row| row.t = (row.n % 3 > 0).then(|| word.to_owned());
            update(before, &kept, &format!("t = CASE WHEN n % 3 > 0 THEN '{word}' END"), &own, change)
        }
        8 => {
            let v = random.chance(80).then(|| vector(random));
            let text = v.map_or("NULL".to_owned(), |v| format!("'{}'", vector_text(&v)));
            update(before, &kept, &format!("v = {text}"), &own, |row| row.v = v)
        }
        9 => {
            let (id, k) = (key(random, session), unique(random, session));
            let ids: Vec<i64> = before.contains_key(&id).then_some(id).into_iter().collect();
            let text = k.map_or("NULL".to_owned(), |k| k.to_string());
            update(before, &ids, &format!("k = {text}"), &format!("id = {id}"), |row| row.k = k)
        }
        10 => moved(random, session, before),
        11 => merge(random, session, before),
        _ => {
            let (limit, returning) = (1 + random.below(4), random.chance(50));
            let mut order: Vec<(i32, i64)> = kept.iter().map(|id| (before[id].n, *id)).collect();
            order.sort_unstable();
            let gone: Vec<i64> = order.iter().take(limit).map(|(_, id)| *id).collect();
            let mut after = before.clone();
            let rows = gone.iter().map(|id| text(*id, &after.remove(id).expect("it is there"))).collect();
            let sql = format!(
                "DELETE FROM m WHERE id IN (SELECT id FROM m WHERE {own} ORDER BY n, id LIMIT {limit})"
            );
            match returning {
                true => (sql + " RETURNING *", Ok((rows, after))),
                false => (sql, Ok((Vec::new(), after))),
            }
        }
    }
}

fn update(
    before: &Rows,
    ids: &[i64],
    set: &str,
    filter: &str,
    change: impl Fn(&mut Row),
) -> (String, Outcome) {
    let mut after = before.clone();
    for id in ids {
        change(after.get_mut(id).expect("it is there"));
    }
    let sql = format!("UPDATE m SET {set} WHERE {filter} RETURNING *");
    let rows = ids.iter().map(|id| text(*id, &after[id])).collect();
    (sql, ended(after, Vec::new()).map(|after| (rows, after)))
}

/// A row gets another key.
fn moved(random: &mut Random, session: usize, before: &Rows) -> (String, Outcome) {
    let (from, to) = (key(random, session), key(random, session));
    let sql = format!("UPDATE m SET id = {to} WHERE id = {from} RETURNING id");
    let mut after = before.clone();
    let outcome = match after.remove(&from) {
        None => Ok((Vec::new(), after)),
        Some(_) if after.contains_key(&to) => Err(vec![UNIQUE_VIOLATION]),
        Some(row) => {
            after.insert(to, row);
            Ok((vec![to.to_string()], after))
        }
    };
    (sql, outcome)
}

fn merge(random: &mut Random, session: usize, before: &Rows) -> (String, Outcome) {
    let mut keys: Vec<i64> = (0..1 + random.below(4)).map(|_| key(random, session)).collect();
    keys.sort_unstable();
    keys.dedup();
    let add = 1 + random.below(9) as i32;
    let values: Vec<String> = keys.iter().map(|id| format!("({id}, {add})")).collect();
    let sql = format!(
        "MERGE INTO m USING (VALUES {}) s(id, n) ON m.id = s.id \
         WHEN MATCHED AND m.n % 4 = 0 THEN DELETE \
         WHEN MATCHED THEN UPDATE SET n = m.n + s.n \
         WHEN NOT MATCHED THEN INSERT (id, n, t) VALUES (s.id, s.n, 'merged')",
        values.join(", ")
    );
    let mut after = before.clone();
    for id in keys {
        match after.get_mut(&id) {
            Some(row) if row.n % 4 == 0 => drop(after.remove(&id)),
            Some(row) => row.n += add,
            None => drop(after.insert(id, Row { k: None, n: add, t: Some("merged".to_owned()), v: None })),
        }
    }
    (sql, Ok((Vec::new(), after)))
}

/// `conflict` is what ON CONFLICT does, if it is there.
fn insert(random: &mut Random, session: usize, before: &Rows, conflict: &str) -> (String, Outcome) {
    let mut sql = "INSERT INTO m VALUES ".to_owned();
    let mut rows = Vec::new();
    for number in 0..1 + random.below(4) {
        let id = key(random, session);
        let n = if random.chance(2) { -1 } else { random.below(60) as i32 };
        let t = random.chance(80).then(|| word(random).to_owned());
        let v = random.chance(85).then(|| vector(random));
        let row = Row { k: unique(random, session), n, t, v };
        let quoted = |text: Option<String>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
        let k = row.k.map_or("NULL".to_owned(), |k| k.to_string());
        let v = quoted(row.v.as_ref().map(vector_text));
        let comma = if number > 0 { ", " } else { "" };
        write!(sql, "{comma}({id}, {k}, {n}, {}, {v})", quoted(row.t.clone())).expect("a string grows");
        rows.push((id, row));
    }
    let mut broken = Vec::new();
    if rows.iter().any(|(_, row)| row.n < 0) {
        broken.push(CHECK_VIOLATION);
    }
    match conflict {
        "NOTHING" => sql += " ON CONFLICT DO NOTHING",
        "UPDATE" => {
            sql += " ON CONFLICT (id) DO UPDATE SET n = m.n + excluded.n, t = excluded.t WHERE m.n < 40"
        }
        _ => {}
    }
    sql += " RETURNING *";
    let mut after = before.clone();
    let mut touched: Vec<i64> = Vec::new();
    let mut answer = Vec::new();
    for (id, row) in rows {
        let k_taken = row.k.is_some() && after.iter().any(|(other, found)| *other != id && found.k == row.k);
        match (conflict, after.get_mut(&id)) {
            ("UPDATE", Some(_)) if touched.contains(&id) => broken.push(CARDINALITY_VIOLATION),
            ("UPDATE", Some(found)) => {
                if found.n < 40 {
                    found.n += row.n;
                    found.t = row.t;
                    answer.push(text(id, found));
                    touched.push(id);
                }
            }
            ("NOTHING", found) if found.is_some() || k_taken => {}
            (_, Some(_)) => broken.push(UNIQUE_VIOLATION),
            (_, None) if k_taken => broken.push(UNIQUE_VIOLATION),
            (_, None) => {
                answer.push(text(id, &row));
                touched.push(id);
                after.insert(id, row);
            }
        }
    }
    (sql, ended(after, broken).map(|after| (answer, after)))
}

/// The rows after a statement, unless they break a constraint, or something did.
fn ended(after: Rows, mut broken: Vec<&'static str>) -> Result<Rows, Vec<&'static str>> {
    if after.values().any(|row| row.n < 0) {
        broken.push(CHECK_VIOLATION);
    }
    let mut unique: Vec<i32> = after.values().filter_map(|row| row.k).collect();
    unique.sort_unstable();
    if unique.windows(2).any(|pair| pair[0] == pair[1]) {
        broken.push(UNIQUE_VIOLATION);
    }
    if broken.is_empty() { Ok(after) } else { Err(broken) }
}

fn key(random: &mut Random, session: usize) -> i64 {
    (random.below(KEYS / 2) * 2 + session) as i64
}

fn unique(random: &mut Random, session: usize) -> Option<i32> {
    random.chance(70).then(|| (random.below(UNIQUE / 2) * 2 + session) as i32)
}

fn word(random: &mut Random) -> &'static str {
    ["red", "green", "blue", "grey", "a much longer colour than the others are"][random.below(5)]
}

fn vector(random: &mut Random) -> [i32; 3] {
    [0; 3].map(|_| random.below(30) as i32 - 10)
}

fn vector_text(v: &[i32; 3]) -> String {
    format!("[{},{},{}]", v[0], v[1], v[2])
}

fn text(id: i64, row: &Row) -> String {
    let null = || "NULL".to_owned();
    let (k, t) = (row.k.map_or_else(null, |k| k.to_string()), row.t.clone().unwrap_or_else(null));
    format!("{id}|{k}|{}|{t}|{}", row.n, row.v.as_ref().map_or_else(null, vector_text))
}

fn texts(rows: &Rows) -> Vec<String> {
    sorted(rows.iter().map(|(id, row)| text(*id, row)).collect())
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}
