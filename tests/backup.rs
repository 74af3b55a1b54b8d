//! Backup, archive and point in time, with the real binary: a server is backed up while it is written to, killed, and
//! restored to a commit in the past and to the newest.

#![cfg(feature = "server")]

#[path = "kill/served.rs"]
mod served;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use served::Server;

const HITHER: &str = env!("CARGO_BIN_EXE_hither");

fn hither(arguments: &[&str]) -> Output {
    Command::new(HITHER).args(arguments).output().expect("the program runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn count(client: &Client) -> i64 {
    client.query_one("SELECT count(*) FROM items", &[]).await.expect("a count").get(0)
}

async fn insert(client: &Client, ids: std::ops::Range<i64>) {
    let rows: Vec<String> = ids.map(|id| format!("({id}, 'item {id}', '[{id},1,0]')")).collect();
    client.batch_execute(&format!("INSERT INTO items VALUES {}", rows.join(","))).await.expect("an insert");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_comes_back_as_of_any_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let shown = |name: &str| at(name).display().to_string();
    let config = at("hither.toml");
    let settings = format!("[settings]\narchive_dir = \"{}\"\narchive_timeout = 1\n", shown("archive"));
    std::fs::write(&config, settings).expect("a configuration file");
    let server = Server::start(&at("data"), &["--config", &shown("hither.toml")]);
    let client = server.connect().await.expect("a connection");
    client
        .batch_execute(
            "CREATE EXTENSION IF NOT EXISTS vector;
             CREATE TABLE items (id bigint PRIMARY KEY, name text, embedding vector(3));
             CREATE INDEX ON items USING hnsw (embedding vector_l2_ops);
             CREATE TABLE terms (id int PRIMARY KEY, weights sparsevec(1000));
             INSERT INTO terms VALUES (1, '{1:1.5,999:2}/1000'), (2, '{500:1}/1000'), (3, NULL)",
        )
        .await
        .expect("tables");
    insert(&client, 0..500).await;

    let taken = hither(&["backup", &server.address, "--to", &shown("backups")]);
    assert!(taken.status.success(), "{}", text(&taken));
    insert(&client, 500..600).await;
    let before: String = client.query_one("SELECT now()::text", &[]).await.expect("the time").get(0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    // The mistake.
    client.batch_execute("DELETE FROM items WHERE id < 300").await.expect("a delete");
    assert_eq!(count(&client).await, 300);

    let again = hither(&["backup", &server.address, "--to", &shown("backups")]);
    assert!(again.status.success(), "{}", text(&again));
    insert(&client, 1_000..1_010).await;
    archived_all(&client).await;
    let scrub = client.query_one("SELECT running, findings FROM hither.scrub", &[]).await.expect("the view");
    assert_eq!(scrub.get::<_, i64>(1), 0);
    drop(server);

    let restore = |to: &str, target: Option<&str>| {
        let (backups, archive, data) = (shown("backups"), shown("archive"), shown(to));
        let mut arguments =
            vec!["restore", "--from", &backups, "--archive", &archive, "--data-dir", &data, "--check"];
        arguments.extend(target.iter().flat_map(|target| ["--to", *target]));
        hither(&arguments)
    };
    let past = restore("past", Some(&before));
    assert!(past.status.success(), "{}", text(&past));
    let server = Server::start(&at("past"), &[]);
    let client = server.connect().await.expect("a connection");
    assert_eq!(count(&client).await, 600, "before the mistake");
    let nearest = "SELECT id FROM items ORDER BY embedding <-> '[7,1,0]' LIMIT 1";
    assert_eq!(client.query_one(nearest, &[]).await.expect("a search").get::<_, i64>(0), 7);
    insert(&client, 5_000..5_001).await;
    let terms = "SELECT weights::text FROM terms WHERE id < 3 ORDER BY id";
    let terms = client.query(terms, &[]).await.expect("sparse vectors");
    let terms: Vec<String> = terms.iter().map(|row| row.get(0)).collect();
    assert_eq!(terms, ["{1:1.5,999:2}/1000", "{500:1}/1000"]);
    drop(server);

    let newest = restore("newest", None);
    assert!(newest.status.success(), "{}", text(&newest));
    let server = Server::start(&at("newest"), &[]);
    assert_eq!(
        count(&server.connect().await.expect("a connection")).await,
        310,
        "what was archived after the last backup too"
    );
    drop(server);

    let refused = restore("past", Some(&before));
    assert!(!refused.status.success() && text(&refused).contains("is not empty"), "{}", text(&refused));
    let future = restore("future", Some("2999-01-01"));
    assert!(text(&future).contains("before configured recovery target was reached"), "{}", text(&future));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_backups_go_and_those_that_stay_can_be_restored() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let shown = |name: &str| at(name).display().to_string();
    let server = Server::start(&at("data"), &[]);
    let client = server.connect().await.expect("a connection");
    let table = "CREATE TABLE items (id bigint PRIMARY KEY, name text, embedding vector(3))";
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS vector").await.expect("the extension");
    client.batch_execute(table).await.expect("a table");
    for round in 0..4 {
        insert(&client, round * 100..round * 100 + 100).await;
        let taken =
            hither(&["backup", &server.address, "--to", &shown("backups"), "--keep", "2", "--rate", "100"]);
        assert!(taken.status.success(), "{}", text(&taken));
        assert_eq!(text(&taken).contains("removed: 1 older backups"), round >= 2, "{}", text(&taken));
    }
    let none = hither(&["backup", &server.address, "--to", &shown("backups"), "--keep", "0"]);
    assert!(!none.status.success(), "{}", text(&none));
    drop(server);
    let restored =
        hither(&["restore", "--from", &shown("backups"), "--data-dir", &shown("restored"), "--check"]);
    assert!(restored.status.success(), "{}", text(&restored));
    let server = Server::start(&at("restored"), &[]);
    assert_eq!(count(&server.connect().await.expect("a connection")).await, 400);
}

/// Waits until the archive has everything that was committed before the call. Segments are ended one at a time, when
/// they have records, and archived in turn: one may have been under way, the next has what was committed, and the third
/// is more than was asked for.
async fn archived_all(client: &Client) {
    let start = Instant::now();
    let count = async || {
        let state = "SELECT archived_count, failed_count, last_failed_wal FROM pg_stat_archiver";
        let row = client.query_one(state, &[]).await.expect("the view");
        let (archived, failed): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(failed, 0, "{:?}", row.get::<_, Option<String>>(2));
        archived
    };
    let before = count().await;
    while count().await < before + 3 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "three segments were not archived within a minute"
        );
        // Records for the next segment.
        client.batch_execute("UPDATE terms SET weights = NULL WHERE id = 3").await.expect("an update");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
