//! Random statements give the same rows and the same class of error here as in PostgreSQL, and whatever is sent is answered.
//!
//! `generator` makes typed statements over three tables from a seed. With `HITHER_SQL_URL=postgres://...` (PostgreSQL with
//! pgvector) each runs on both servers: rows are compared as text and as a set, errors by the first two characters of
//! their SQLSTATE. What differs on purpose stands in `intended` with its reason, and is counted by it. Without the URL
//! the statements only have to be answered. `mutated` spoils the text of statements, and asks for answers alone.
//!
//! An answer that is always a fault: a lost connection, none within 20 seconds, an internal error, a panic.
//!
//! - `HITHER_SEED` (1) and `HITHER_STATEMENTS` (400) choose the cases, each a query or a transaction; a difference is
//!   reported with the number of its case, and `HITHER_FIRST` (0) begins there.
//! - `HITHER_DIFFERENCES_MAX` (0) is how many differences are let pass, for a survey of what is left.
//! - `HITHER_SERVER_URL` names a running server to be asked in the place of the one in this process, a release build say.

mod changes;
mod client;
mod generator;
mod house;
mod intended;
mod model;
mod mutated;
mod random;
mod serializable;
mod shapes;
mod templates;
mod types;

use std::collections::BTreeMap;

use client::{Answer, Client, Url};
use house::House;
use random::Random;

pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A session of the server under test, or of the reference.
fn session(url: &Url) -> Client {
    let mut client = Client::open(url);
    for sql in
        ["CREATE EXTENSION IF NOT EXISTS vector", LIMIT].map(str::to_owned).into_iter().chain(types::setup())
    {
        let answer = client.ask(&sql);
        assert!(matches!(answer, Answer::Rows(_)), "{sql}: {answer:?}");
    }
    client
}

/// Half of the silence after which a client gives up.
const LIMIT: &str = "SET statement_timeout = '10s'";

#[test]
fn random_statements_answer_as_postgres() {
    let panics = house::panics();
    let house = House::open();
    let ours = std::env::var("HITHER_SERVER_URL").map_or_else(|_| house.url(), |url| Url::parse(&url));
    let mut client = session(&ours);
    let mut reference = std::env::var("HITHER_SQL_URL").ok().map(|url| session(&Url::parse(&url)));
    let (seed, first, count) =
        (number("HITHER_SEED", 1), number("HITHER_FIRST", 0), number("HITHER_STATEMENTS", 400));
    let mut found = Found::default();
    for index in first..first + count {
        found.case(&mut client, reference.as_mut(), seed, index);
    }
    println!("{} statements in {count} cases of seed {seed}", found.statements);
    println!("differences: {:?}", found.differences);
    for (reason, count) in &found.intended {
        println!("{count} on purpose: {reason}");
    }
    drop(client);
    house.close();
    let differences: usize = found.differences.values().sum();
    let most = number("HITHER_DIFFERENCES_MAX", 0) as usize;
    assert!(differences <= most, "{differences} statements are answered otherwise");
    assert_eq!(house::panics(), panics, "panics");
}

/// What a run has found, by kind and by reason.
#[derive(Default)]
struct Found {
    statements: usize,
    differences: BTreeMap<&'static str, usize>,
    intended: BTreeMap<&'static str, usize>,
}

impl Found {
    /// Runs one case up to its first difference: after it the two sessions are in different states.
    fn case(&mut self, client: &mut Client, mut reference: Option<&mut Client>, seed: u64, index: u64) {
        for sql in generator::case(&mut Random::of(seed, index)) {
            self.statements += 1;
            let ours = client.ask(&sql);
            let theirs = reference.as_mut().map(|reference| reference.ask(&sql));
            let Some(kind) = fault(&ours).or_else(|| difference(&ours, theirs.as_ref()?)) else { continue };
            let purpose = reference.as_mut().zip(theirs.as_ref()).and_then(|(reference, theirs)| {
                intended::reason(&sql, &ours, theirs, &mut |sql| reference.ask(sql))
            });
            match purpose {
                Some(reason) if fault(&ours).is_none() => *self.intended.entry(reason).or_default() += 1,
                _ => {
                    *self.differences.entry(kind).or_default() += 1;
                    println!(
                        "HITHER_SEED={seed} HITHER_FIRST={index}: {kind}\n  {sql}\n  ours:   {}\n  theirs: {}",
                        short(&format!("{ours:?}")),
                        short(&format!("{theirs:?}"))
                    );
                }
            }
            if matches!(ours, Answer::Lost | Answer::Silent) {
                client.reopen();
                client.ask(LIMIT);
            }
            client.ask("ROLLBACK");
            if let Some(reference) = reference.as_mut() {
                reference.ask("ROLLBACK");
            }
            return;
        }
    }
}

/// What no answer may be.
pub fn fault(answer: &Answer) -> Option<&'static str> {
    match answer {
        Answer::Lost => Some("connection lost"),
        Answer::Silent => Some("no answer"),
        Answer::Error(state, _) if state == "XX000" => Some("internal error"),
        Answer::Error(state, _) if state == "57014" => Some("out of time"),
        _ => None,
    }
}

/// How two answers differ; `None` when they agree.
fn difference(ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    match (ours, theirs) {
        (Answer::Rows(a), Answer::Rows(b)) if a == b => None,
        (Answer::Rows(_), Answer::Rows(_)) => Some("rows"),
        (Answer::Error(a, _), Answer::Error(b, _)) => (a[..2] != b[..2]).then_some("class of error"),
        (Answer::Error(state, _), _) if state == "0A000" => Some("not supported"),
        (Answer::Error(..), _) => Some("an error instead of rows"),
        (Answer::Rows(_), _) => Some("rows instead of an error"),
        (Answer::Lost | Answer::Silent, _) => Some("no answer"),
    }
}

pub fn short(text: &str) -> String {
    text.chars().take(400).collect()
}
