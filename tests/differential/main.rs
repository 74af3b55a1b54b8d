//! Random statements give the same rows and the same class of error here as in PostgreSQL.
//!
//! `generator` makes typed statements over two tables from a seed. With `HITHER_SQL_URL=postgres://...` (PostgreSQL with
//! pgvector) each runs on both servers: rows are compared as text and as a set, errors by the first two characters of
//! their SQLSTATE. Without it the statements only have to be answered: no connection may be lost, and no answer be an
//! internal error.
//!
//! - `HITHER_SEED` (1) and `HITHER_STATEMENTS` (400) choose the statements; a difference is reported with both numbers.
//! - `HITHER_DIFFERENCES_MAX` (0) is how many differences are let pass, for a survey of what is left.

mod generator;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use generator::{Random, setup, statement};
use hither::database::{Cluster, Options as DatabaseOptions};
use hither::fs::memory::MemoryFs;
use hither::memory::Budget;
use hither::server::{self, Options, Server};
use hither::sql::Databases;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// What a server answers: its rows in order of their text, or a SQLSTATE and the message.
#[derive(Debug, PartialEq)]
enum Answer {
    Rows(Vec<String>),
    Error(String, String),
    Lost,
}

async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(driver);
    client
}

async fn ask(client: &Client, sql: &str) -> Answer {
    match client.simple_query(sql).await {
        Ok(messages) => {
            let row = |message| match message {
                SimpleQueryMessage::Row(row) => {
                    let cells: Vec<&str> =
                        (0..row.len()).map(|cell| row.get(cell).unwrap_or("NULL")).collect();
                    Some(cells.join("|"))
                }
                _ => None,
            };
            let mut rows: Vec<String> = messages.into_iter().filter_map(row).collect();
            rows.sort();
            Answer::Rows(rows)
        }
        Err(error) => match error.as_db_error() {
            Some(error) => Answer::Error(error.code().code().to_owned(), error.message().to_owned()),
            None => Answer::Lost,
        },
    }
}

/// How two answers differ; `None` when they agree.
fn difference(ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    match (ours, theirs) {
        (Answer::Lost, _) | (_, Answer::Lost) => Some("connection lost"),
        (Answer::Rows(a), Answer::Rows(b)) if a == b => None,
        (Answer::Rows(a), Answer::Rows(b)) if same_numbers(a, b) => Some("digits of numbers"),
        (Answer::Rows(_), Answer::Rows(_)) => Some("rows"),
        (Answer::Error(a, _), Answer::Error(b, _)) => (a[..2] != b[..2]).then_some("class of error"),
        (Answer::Error(state, _), Answer::Rows(_)) if state == "0A000" => Some("not supported"),
        (Answer::Error(..), Answer::Rows(_)) => Some("an error instead of rows"),
        (Answer::Rows(_), Answer::Error(..)) => Some("rows instead of an error"),
    }
}

/// Whether rows are the same but for how numbers are written.
fn same_numbers(a: &[String], b: &[String]) -> bool {
    let same_cell = |(a, b): (&str, &str)| {
        a == b
            || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b))
                if (a - b).abs() <= 1e-12 * a.abs().max(b.abs()) || a.is_nan() && b.is_nan())
    };
    let same_row = |(a, b): (&String, &String)| {
        a.split('|').count() == b.split('|').count() && a.split('|').zip(b.split('|')).all(same_cell)
    };
    a.len() == b.len() && a.iter().zip(b).all(same_row)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_statements_answer_as_postgres() {
    let runtime = server::runtime().expect("a runtime");
    let cluster = Cluster::open(Arc::new(MemoryFs::new()), Path::new("/data"), DatabaseOptions::default())
        .expect("a database");
    let databases = Databases::new(cluster, Vec::new(), Budget::of_machine()).expect("databases");
    let options = Options { listen: "127.0.0.1:0".to_owned(), ..Options::default() };
    let server = Server::start(databases.clone(), options, runtime.handle().clone()).expect("a server");
    let ours = format!("postgres://postgres@{}/postgres", server.address());
    let theirs = std::env::var("HITHER_SQL_URL").ok();
    let failures = runtime.block_on(async {
        let failures = run(&ours, theirs.as_deref()).await;
        server.stop(Duration::from_secs(5)).await;
        failures
    });
    databases.close().expect("a clean close");
    let most = number("HITHER_DIFFERENCES_MAX", 0) as usize;
    assert!(failures <= most, "{failures} statements are answered otherwise");
}

/// The number of statements whose answers differ.
async fn run(ours: &str, theirs: Option<&str>) -> usize {
    let mut client = connect(ours).await;
    let reference = match theirs {
        Some(url) => Some(connect(url).await),
        None => None,
    };
    let extension = "CREATE EXTENSION IF NOT EXISTS vector".to_owned();
    for sql in std::iter::once(extension).chain(setup()) {
        client.simple_query(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        if let Some(reference) = &reference {
            reference.simple_query(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }
    let (seed, count) = (number("HITHER_SEED", 1), number("HITHER_STATEMENTS", 400));
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for index in 0..count {
        let sql = statement(&mut Random::new(seed.wrapping_mul(1_000_003).wrapping_add(index)));
        let answer = ask(&client, &sql).await;
        let found = match &reference {
            Some(reference) => {
                let expected = ask(reference, &sql).await;
                difference(&answer, &expected).map(|kind| (kind, format!("{expected:?}")))
            }
            None => match &answer {
                Answer::Lost => Some(("connection lost", String::new())),
                Answer::Error(state, _) if state == "XX000" => Some(("an internal error", String::new())),
                _ => None,
            },
        };
        if let Some((kind, expected)) = found {
            *kinds.entry(kind).or_default() += 1;
            println!(
                "seed {seed}, statement {index}: {kind}\n  {sql}\n  ours:   {}\n  theirs: {}",
                short(&format!("{answer:?}")),
                short(&expected)
            );
        }
        if client.is_closed() {
            client = connect(ours).await;
        }
    }
    println!("{count} statements of seed {seed}: {kinds:?}");
    kinds.values().sum()
}

fn short(text: &str) -> String {
    text.chars().take(400).collect()
}
