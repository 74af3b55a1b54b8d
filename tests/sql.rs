//! What SQL promises, shown by the files of sql-tests/, each on a fresh database, in four modes:
//!
//! - `memory`: the data directory is in memory.
//! - `disk`: it is on the disk.
//! - `restart`: on the disk, and the server is closed and opened again wherever a file says `-- restart`.
//! - `exact`: nearest neighbours are searched without graphs, and must be the same.
//!
//! All mismatches of a file are reported, not only the first. `HITHER_SQL_URL=postgres://...` runs the files against
//! another server instead (PostgreSQL with pgvector, for one), in a schema that is dropped between files;
//! `HITHER_SQL_FILES=knn,types` picks some.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hither::database::{Cluster, Options as DatabaseOptions};
use hither::fs::{Fs, disk::DiskFs, memory::MemoryFs};
use hither::memory::Budget;
use hither::server::{self, Options, Server};
use hither::sql::Databases;
use parking_lot::Mutex;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Record, Runner};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Memory,
    Disk,
    Restart,
    Exact,
}

/// A server of one file, which may be replaced by a later one on the same directory.
struct House {
    mode: Mode,
    dir: Option<tempfile::TempDir>,
    running: Mutex<Option<Running>>,
    runtime: tokio::runtime::Runtime,
}

struct Running {
    server: Server,
    databases: Arc<Databases>,
}

impl House {
    fn open(mode: Mode) -> Arc<House> {
        let dir = match mode {
            Mode::Disk | Mode::Restart => Some(tempfile::tempdir().expect("a directory")),
            Mode::Memory | Mode::Exact => None,
        };
        let runtime = server::runtime().expect("a runtime");
        let house = Arc::new(House { mode, dir, running: Mutex::new(None), runtime });
        house.start();
        house
    }

    fn start(&self) {
        let (fs, path): (Arc<dyn Fs>, PathBuf) = match &self.dir {
            Some(dir) => (Arc::new(DiskFs), dir.path().join("data")),
            None => (Arc::new(MemoryFs::new()), PathBuf::from("/data")),
        };
        let cluster = Cluster::open(fs, &path, DatabaseOptions::default()).expect("a database");
        let settings = match self.mode {
            Mode::Exact => vec![("enable_indexscan".to_string(), "off".to_string())],
            _ => Vec::new(),
        };
        let databases = Databases::new(cluster, settings, Budget::of_machine()).expect("databases");
        let options = Options { listen: "127.0.0.1:0".to_owned(), ..Options::default() };
        let server =
            Server::start(databases.clone(), options, self.runtime.handle().clone()).expect("a server");
        *self.running.lock() = Some(Running { server, databases });
    }

    fn url(&self) -> String {
        let running = self.running.lock();
        let address = running.as_ref().expect("it runs").server.address();
        format!("postgres://postgres@{address}/postgres")
    }

    async fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(Running { server, databases }) = running {
            server.stop(Duration::from_secs(5)).await;
            databases.close().expect("a clean close");
        }
    }

    async fn restart(&self) {
        self.stop().await;
        self.start();
    }
}

/// Where statements go.
#[derive(Clone)]
enum Target {
    House(Arc<House>),
    Url(String),
}

impl Target {
    fn url(&self) -> String {
        match self {
            Target::House(house) => house.url(),
            Target::Url(url) => url.clone(),
        }
    }
}

struct Connection {
    target: Target,
    client: Client,
}

async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(driver);
    client
}

#[derive(Debug)]
struct SqlError(String);

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SqlError {}

impl From<tokio_postgres::Error> for SqlError {
    fn from(error: tokio_postgres::Error) -> SqlError {
        match error.as_db_error() {
            Some(error) => SqlError(format!("({}) {}", error.code().code(), error.message())),
            None => SqlError(error.to_string()),
        }
    }
}

#[async_trait::async_trait]
impl AsyncDB for Connection {
    type Error = SqlError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, SqlError> {
        if sql.trim() == "-- restart" {
            if let Target::House(house) = &self.target
                && house.mode == Mode::Restart
            {
                house.restart().await;
                self.client = connect(&house.url()).await;
            }
            return Ok(DBOutput::StatementComplete(0));
        }
        let mut rows = Vec::new();
        let mut columns = None;
        let mut count = 0;
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(described) => columns = Some(described.len()),
                SimpleQueryMessage::Row(row) => {
                    let cell = |index| match row.get(index) {
                        None => "NULL".to_string(),
                        Some("") => "(empty)".to_string(),
                        Some(text) => text.to_string(),
                    };
                    rows.push((0..row.len()).map(cell).collect());
                }
                SimpleQueryMessage::CommandComplete(rows) => count = rows,
                _ => {}
            }
        }
        match columns {
            Some(columns) => Ok(DBOutput::Rows { types: vec![DefaultColumnType::Text; columns], rows }),
            None => Ok(DBOutput::StatementComplete(count)),
        }
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        match self.target {
            Target::House(_) => "hither",
            Target::Url(_) => "postgresql",
        }
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql-tests");
    let wanted = std::env::var("HITHER_SQL_FILES").ok();
    let is_wanted = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        wanted.as_ref().is_none_or(|wanted| wanted.split(',').any(|one| one == name))
    };
    let entries = std::fs::read_dir(folder).expect("sql-tests");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "slt")).collect();
    files.retain(is_wanted);
    files.sort();
    files
}

/// The mismatches of one file.
async fn run_file(file: &Path, target: Target) -> Vec<String> {
    let records: Vec<Record<DefaultColumnType>> = sqllogictest::parse_file(file).expect("a file that parses");
    let mut runner = Runner::new(|| {
        let target = target.clone();
        async move {
            let client = connect(&target.url()).await;
            Ok::<_, SqlError>(Connection { client, target })
        }
    });
    let mut mismatches = Vec::new();
    for record in records {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        if let Err(error) = runner.run_async(record).await {
            mismatches.push(error.to_string());
        }
    }
    mismatches
}

fn run(mode: Mode) {
    if std::env::var("HITHER_SQL_URL").is_ok() {
        return;
    }
    let mut failed = Vec::new();
    for file in files() {
        let house = House::open(mode);
        let target = Target::House(house.clone());
        let mismatches = house.runtime.block_on(async {
            let mismatches = run_file(&file, target).await;
            house.stop().await;
            mismatches
        });
        report(&file, &mismatches, &mut failed);
    }
    assert!(failed.is_empty(), "{mode:?}: {}", failed.join(", "));
}

fn report(file: &Path, mismatches: &[String], failed: &mut Vec<String>) {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !mismatches.is_empty() {
        eprintln!("==== {name}: {} mismatches", mismatches.len());
        mismatches.iter().for_each(|mismatch| eprintln!("{mismatch}\n"));
        failed.push(format!("{name} ({})", mismatches.len()));
    }
}

#[test]
fn memory() {
    run(Mode::Memory);
}

#[test]
fn disk() {
    run(Mode::Disk);
}

#[test]
fn restart() {
    run(Mode::Restart);
}

#[test]
fn exact() {
    run(Mode::Exact);
}

/// Against the server of HITHER_SQL_URL.
#[test]
fn url() {
    let Ok(url) = std::env::var("HITHER_SQL_URL") else { return };
    let runtime = server::runtime().expect("a runtime");
    let mut failed = Vec::new();
    for file in files() {
        let mismatches = runtime.block_on(async {
            let client = connect(&url).await;
            let clean =
                "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION IF NOT EXISTS vector";
            client.simple_query(clean).await.expect("a clean schema");
            run_file(&file, Target::Url(url.clone())).await
        });
        report(&file, &mismatches, &mut failed);
    }
    assert!(failed.is_empty(), "{}", failed.join(", "));
}
