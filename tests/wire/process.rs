//! The binary: starting, being refused, stopping by signal, and finding everything again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::SinkExt;
use tokio_postgres::NoTls;

struct Running {
    child: Child,
    url: String,
}

fn hither(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hither"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

impl Running {
    fn start(folder: &Path) -> Running {
        let mut child = hither(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"], folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let url =
            line.trim().strip_prefix("ready: ").unwrap_or_else(|| panic!("not ready: {line}")).to_owned();
        Running { child, url }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    fn code(mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().expect("an end");
        panic!("the server did not stop");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Dead already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs SQL and gives the first cell of the last row.
fn sql(url: &str, sql: &str) -> Result<String, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, driver) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(driver);
        let messages = client.simple_query(sql).await?;
        let cell = messages.iter().rev().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(cell.unwrap_or_default())
    })
}

#[test]
fn a_stopped_server_finds_everything_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path());
    sql(
        &server.url,
        "CREATE TABLE t (id int8 PRIMARY KEY, v vector(2)); INSERT INTO t VALUES (1, '[1,2]'), (2, '[3,4]')",
    )
    .expect("two rows");
    server.signal("-TERM");
    assert_eq!(server.code(), Some(0));
    let server = Running::start(folder.path());
    assert_eq!(sql(&server.url, "SELECT id FROM t ORDER BY v <-> '[3,4]' LIMIT 1").expect("a row"), "2");
    // A crash loses nothing that was acknowledged.
    sql(&server.url, "INSERT INTO t VALUES (3, '[5,6]')").expect("a row");
    server.signal("-KILL");
    assert_eq!(server.code(), None);
    let server = Running::start(folder.path());
    assert_eq!(sql(&server.url, "SELECT count(*) FROM t").expect("a count"), "3");
    server.signal("-INT");
    assert_eq!(server.code(), Some(0));
    let checked = hither(&["check", "data"], folder.path()).output().expect("a check");
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_shutdown_ends_idle_connections_and_finishes_statements() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (idle, driver) = tokio_postgres::connect(&server.url, NoTls).await.expect("a connection");
        let idle_end = tokio::spawn(driver);
        let (busy, driver) = tokio_postgres::connect(&server.url, NoTls).await.expect("a connection");
        tokio::spawn(driver);
        busy.batch_execute("CREATE TABLE t (id int4)").await.expect("a table");
        let sink = busy.copy_in::<_, bytes::Bytes>("COPY t FROM STDIN").await.expect("a sink");
        let mut sink = std::pin::pin!(sink);
        server.signal("-TERM");
        let told = idle_end.await.expect("the driver").expect_err("a reason");
        assert_eq!(told.code().map(|code| code.code()), Some("57P01"));
        assert!(idle.is_closed());
        sink.send(bytes::Bytes::from_static(b"1\n2\n")).await.expect("data");
        assert_eq!(sink.finish().await.expect("the statement finishes"), 2);
    });
    assert_eq!(server.code(), Some(0));
}

#[test]
fn a_second_server_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path());
    let address = server.url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let refused = |arguments: &[&str], words: &str| {
        let output = hither(arguments, folder.path()).output().expect("an end");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(words), "{told}");
        assert!(!told.contains("panicked"), "{told}");
    };
    refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"], "locked by another process");
    refused(&["serve", "--listen", address, "--data-dir", "other"], "already in use");
    refused(&["check", "data"], "locked by another process");
    refused(&["serve", "--config", "missing.toml"], "missing.toml");
    refused(&["serve", "--listen", "nonsense", "--data-dir", "third"], "nonsense");
    refused(&["serve", "--log-level", "loud"], "loud");
    std::fs::create_dir(folder.path().join("foreign")).expect("a folder");
    std::fs::write(folder.path().join("foreign/notes.txt"), "hello").expect("a file");
    refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "foreign"], "foreign");
}

#[test]
fn the_demo_answers_and_leaves() {
    let folder = tempfile::tempdir().expect("a folder");
    for words in ["Loaded 3500", "earlier run"] {
        let demo =
            hither(&["demo", "--once", "--listen", "127.0.0.1:0", "--data-dir", "data"], folder.path());
        let output = { demo }.output().expect("an end");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(shown.contains(words), "{shown}");
        assert!(shown.contains("(5 rows)"), "{shown}");
        assert!(shown.contains("KnnScan"), "{shown}");
    }
}

#[test]
fn a_benchmark_leaves_the_table_as_it_was_and_compares_what_it_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start(folder.path());
    let size =
        ["--rows", "400", "--dimensions", "8", "--metric", "l2", "--hold-back", "100", "--queries", "20"];
    let speed = ["--seconds", "0.05", "--connections", "1,2", "--insert-rows", "20", "--update-rows", "40"];
    let rounds = ["--rounds", "2", "--beside", &server.url, "--json", "found.json"];
    let phases = [
        "--phases",
        "load,index,floor,search,filtered,insert,update,live",
        "--ef-search",
        "40",
        "--filter-ef-search",
        "40",
    ];
    let output = hither(&["bench", &server.url], folder.path())
        .args([&size[..], &speed, &rounds, &phases].concat())
        .output()
        .expect("an end");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    for row in
        ["| HNSW build, s |", "| 40 | 1 | ", "| tenth | ", "UPDATE of metadata, 2 connections", "| 400 | "]
    {
        assert!(shown.lines().any(|line| line.starts_with("| ") && line.contains(row)), "{row} in {shown}");
    }
    // What was inserted and updated for measuring is gone again.
    let left = "SELECT count(*) || ' ' || min(size) || ' ' || max(id) FROM hither_bench";
    let left = sql(&server.url, left).expect("an answer");
    assert!(left.starts_with("300 ") && left.ends_with(" 299") && !left.contains('-'), "{left}");
    let found = std::fs::read_to_string(folder.path().join("found.json")).expect("a file");
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    for (server, round) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let report = &found[server][round];
        assert_eq!(report["live"].as_array().map(Vec::len), Some(10), "{report}");
        assert_eq!(report["live"][9]["rows"], 400, "{report}");
        assert!(report["live"][9]["recall"].as_f64().is_some_and(|recall| recall > 0.9), "{report}");
    }
}
