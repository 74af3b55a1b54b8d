//! SERIALIZABLE: whatever random transactions did side by side, they could have done one after the other.
//!
//! Sessions take turns, a statement each, and read and write the rows of one small table by key, by value and whole. What a
//! transaction writes depends on what it has read. Then those that committed are done again alone, on a map:
//!
//! ```text
//!   wrote something     in the order of their COMMITs; each read must find what it found
//!   only read           behind the commits that its snapshot sees
//! ```
//!
//! A write that waits for another session's lock is given up after a millisecond, and its transaction with it.

use std::collections::BTreeMap;

use crate::client::{Answer, Client};
use crate::house::House;
use crate::number;
use crate::random::Random;

/// Keys are below, so that most transactions meet.
const KEYS: usize = 6;
const SESSIONS: usize = 4;
/// What is read by.
const GROUPS: i64 = 3;

type Rows = BTreeMap<i64, i64>;

#[derive(Clone, Debug)]
enum Step {
    /// The value of a key, and what was found.
    Key(i64, Option<i64>),
    /// Number and sum of the values of a group.
    Group(i64, (i64, i64)),
    /// The same of all.
    Whole((i64, i64)),
    /// A key gets a value.
    Put(i64, i64),
    /// A key that was there. One that was not is only read.
    Delete(i64),
}

impl Step {
    /// Does it on a map; whether it reads what it read.
    fn again(&self, rows: &mut Rows) -> bool {
        match *self {
            Step::Key(key, found) => rows.get(&key).copied() == found,
            Step::Group(group, found) => summed(rows, |value| value % GROUPS == group) == found,
            Step::Whole(found) => summed(rows, |_| true) == found,
            Step::Put(key, value) => {
                rows.insert(key, value);
                true
            }
            Step::Delete(key) => rows.remove(&key).is_some(),
        }
    }

    fn writes(&self) -> bool {
        matches!(self, Step::Put(..) | Step::Delete(_))
    }
}

fn summed(rows: &Rows, is_meant: impl Fn(i64) -> bool) -> (i64, i64) {
    rows.values()
        .filter(|value| is_meant(**value))
        .fold((0, 0), |(count, sum), value| (count + 1, sum + value))
}

struct Transaction {
    steps: Vec<Step>,
    /// Commits that its snapshot sees, of those that wrote.
    seen: usize,
    /// How many more steps.
    left: usize,
    /// Whether it has had statements that change rows, if any were there.
    changes: bool,
}

struct World {
    clients: Vec<Client>,
    open: Vec<Option<Transaction>>,
    /// What committed transactions wrote and read, in the order of their commits.
    wrote: Vec<Vec<Step>>,
    /// Those that only read.
    read: Vec<(usize, Vec<Step>)>,
    random: Random,
    refused: usize,
}

#[test]
fn transactions_are_as_if_one_after_the_other() {
    let house = House::open();
    let cases = number("HITHER_SERIAL", 20);
    let seed = number("HITHER_SEED", 1);
    let (mut wrote, mut read, mut refused) = (0, 0, 0);
    let mut clients: Vec<Client> = (0..SESSIONS).map(|_| Client::open(&house.url())).collect();
    for client in &mut clients {
        rows(client, "SET default_transaction_isolation = serializable");
        rows(client, "SET lock_timeout = 1");
    }
    for case in number("HITHER_FIRST", 0)..cases {
        for sql in ["DROP TABLE IF EXISTS s", "CREATE TABLE s (id bigint PRIMARY KEY, v bigint NOT NULL)"] {
            rows(&mut clients[0], sql);
        }
        let open = (0..SESSIONS).map(|_| None).collect();
        let random = Random::of(seed, case);
        let mut world = World { clients, open, wrote: Vec::new(), read: Vec::new(), random, refused: 0 };
        for _ in 0..120 {
            let session = world.random.below(SESSIONS);
            world.turn(session);
        }
        for session in 0..SESSIONS {
            world.end(session);
        }
        world.replay(&format!("HITHER_SEED={seed} HITHER_FIRST={case}"));
        (wrote, read, refused) =
            (wrote + world.wrote.len(), read + world.read.len(), refused + world.refused);
        clients = world.clients;
    }
    println!("{wrote} transactions wrote, {read} only read, {refused} were refused");
    assert!(wrote > 0 && read > 0 && refused > 0, "all kinds come about");
    drop(clients);
    house.close();
}

fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    match client.ask(sql) {
        Answer::Rows(rows) => rows,
        other => panic!("{sql}: {other:?}"),
    }
}

/// `a|b` of numbers; an empty cell is 0.
fn pair(row: &str) -> (i64, i64) {
    let (count, sum) = row.split_once('|').expect("two cells");
    (count.parse().expect("a number"), sum.parse().expect("a number"))
}

impl World {
    fn turn(&mut self, session: usize) {
        match &self.open[session] {
            None => {
                rows(&mut self.clients[session], "BEGIN");
                let left = 1 + self.random.below(5);
                // The first statement takes the snapshot.
                self.open[session] =
                    Some(Transaction { steps: Vec::new(), seen: self.wrote.len(), left, changes: false });
            }
            Some(transaction) if transaction.left == 0 => self.end(session),
            Some(_) => self.step(session),
        }
    }

    /// One statement, whose effects depend on what was read before.
    fn step(&mut self, session: usize) {
        let key = self.random.below(KEYS) as i64;
        let kind = self.random.below(7);
        let number = self.wrote.len();
        let Some(transaction) = &mut self.open[session] else { return };
        if transaction.steps.is_empty() {
            transaction.seen = number;
        }
        let known: i64 = transaction.steps.iter().map(weight).sum();
        let group = key % GROUPS;
        let value = known + key + 1;
        let sql = match kind {
            0 | 1 => format!("SELECT v FROM s WHERE id = {key}"),
            2 => format!("SELECT count(*), coalesce(sum(v), 0) FROM s WHERE v % {GROUPS} = {group}"),
            3 => "SELECT count(*), coalesce(sum(v), 0) FROM s".to_owned(),
            4 => format!("DELETE FROM s WHERE id = {key} RETURNING id"),
            _ => {
                format!("INSERT INTO s VALUES ({key}, {value}) ON CONFLICT (id) DO UPDATE SET v = excluded.v")
            }
        };
        let answer = match self.clients[session].ask(&sql) {
            Answer::Rows(answer) => answer,
            Answer::Error(state, message) => {
                assert!(["40001", "40P01", "55P03"].contains(&state.as_str()), "{sql}: {state} {message}");
                rows(&mut self.clients[session], "ROLLBACK");
                self.open[session] = None;
                self.refused += 1;
                return;
            }
            other => panic!("{sql}: {other:?}"),
        };
        transaction.left -= 1;
        transaction.changes |= kind >= 4;
        transaction.steps.push(match kind {
            0 | 1 => Step::Key(key, answer.first().map(|value| value.parse().expect("a number"))),
            2 => Step::Group(group, pair(&answer[0])),
            3 => Step::Whole(pair(&answer[0])),
            4 if answer.is_empty() => Step::Key(key, None),
            4 => Step::Delete(key),
            _ => Step::Put(key, value),
        });
    }

    fn end(&mut self, session: usize) {
        let Some(transaction) = self.open[session].take() else { return };
        let answer = self.clients[session].ask("COMMIT");
        let wrote = transaction.steps.iter().any(Step::writes);
        match answer {
            Answer::Rows(_) if wrote => self.wrote.push(transaction.steps),
            Answer::Rows(_) => self.read.push((transaction.seen, transaction.steps)),
            Answer::Error(state, _) if state == "40001" && transaction.changes => self.refused += 1,
            other => panic!("COMMIT: {other:?}"),
        }
    }

    /// All again, one after the other.
    fn replay(&self, case: &str) {
        let mut now = Rows::new();
        for number in 0..=self.wrote.len() {
            for (_, steps) in self.read.iter().filter(|(seen, _)| *seen == number) {
                for step in steps {
                    assert!(step.again(&mut now.clone()), "{case}: {step:?} of {steps:?} in {now:?}");
                }
            }
            let Some(steps) = self.wrote.get(number) else { break };
            for step in steps {
                assert!(step.again(&mut now), "{case}: {step:?} of {steps:?} in {now:?}");
            }
        }
    }
}

/// What a read adds to later writes.
fn weight(step: &Step) -> i64 {
    match *step {
        Step::Key(_, found) => found.unwrap_or(7),
        Step::Group(_, (count, sum)) | Step::Whole((count, sum)) => (count + 3 * sum) % 100,
        Step::Put(..) | Step::Delete(_) => 0,
    }
}
