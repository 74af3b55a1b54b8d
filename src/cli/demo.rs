//! `hither demo`: a server with a small real data set, and a first search over the wire.
//!
//! The data are 3,500 packages of Debian with their sentence embeddings, compiled into the binary as COPY BINARY
//! streams (`demo/README.md`). What the demo does is what any client would do; nothing goes past the protocol.

use std::io::{Read, Write};
use std::path::PathBuf;

use bytes::Bytes;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::cli::client::{connect, wrap};
use crate::cli::serve::House;
use crate::config::Given;
use crate::database::MAIN_DATABASE;
use crate::error::{Error, Result, SqlState};
use crate::server::SUPERUSER;

const PACKAGES: &[u8] = include_bytes!("../../demo/packages.copy.gz");
const QUERIES: &[u8] = include_bytes!("../../demo/queries.copy.gz");

const SCHEMA: &str = "\
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE packages (
    id bigint PRIMARY KEY, title text, category text, tenant int4, size int4, embedding vector(384));
CREATE TABLE queries (id bigint PRIMARY KEY, text text, embedding vector(384))";

const INDEX: &str = "CREATE INDEX ON packages USING hnsw (embedding vector_cosine_ops)";

/// Games that want little disk: a filter that keeps a few of a hundred rows.
const SEARCH: &str = "\
SELECT p.title, p.size, round((p.embedding <=> $1)::numeric, 3) AS distance
FROM packages p
WHERE p.category = 'games' AND p.size < 5000
ORDER BY p.embedding <=> $1
LIMIT 5";

/// The query of the demo: its text is the synopsis of a package that is not in the table.
const QUERY: i64 = 2;

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the demo's database; made when it does not exist
    #[arg(long, value_name = "DIR", default_value = "./hither-demo", env = "HITHER_DATA_DIR")]
    data_dir: PathBuf,
    /// Address to listen on; without it 127.0.0.1:5432, or a free port when that is taken
    #[arg(long, value_name = "HOST:PORT", env = "HITHER_LISTEN")]
    listen: Option<String>,
    /// Stop after the search instead of serving on
    #[arg(long)]
    once: bool,
}

pub fn run(args: Args) -> Result<()> {
    super::start_log("warn")?;
    let house = open(&args)?;
    let address = house.server.address();
    let url = format!("postgres://{SUPERUSER}@{address}/{MAIN_DATABASE}");
    house.runtime().block_on(show(&url))?;
    println!("\nTry it:  psql {url}");
    println!("         SELECT id, text FROM queries;");
    if args.once {
        return house.close();
    }
    println!("\nServing on {address}, data in {}. Ctrl-C stops.", args.data_dir.display());
    // Whoever waits for this line behind a pipe gets it now.
    let _ = std::io::stdout().flush();
    house.serve_until_signal()
}

/// The usual port is often taken on a machine where somebody wants to compare.
fn open(args: &Args) -> Result<House> {
    let given = |listen: &str| Given {
        data_dir: Some(args.data_dir.clone()),
        listen: Some(listen.to_owned()),
        ..Given::default()
    };
    match &args.listen {
        Some(listen) => House::open(&given(listen).decide()?),
        None => match House::open(&given("127.0.0.1:5432").decide()?) {
            Err(error) if error.state() == SqlState::OBJECT_IN_USE && error.message().contains("listen") => {
                House::open(&given("127.0.0.1:0").decide()?)
            }
            other => other,
        },
    }
}

async fn show(url: &str) -> Result<()> {
    let client = connect(url).await?;
    load(&client).await?;
    let row = client
        .query_one("SELECT text, embedding::text FROM queries WHERE id = $1", &[&QUERY])
        .await
        .map_err(wrap)?;
    let (text, embedding): (String, String) = (row.get(0), row.get(1));
    println!("\nA filtered nearest-neighbour query. $1 is the embedding of \"{text}\".\n\n{SEARCH}\n");
    let sql = SEARCH.replace("$1", &format!("'{embedding}'"));
    print_rows(&client.simple_query(&sql).await.map_err(wrap)?);
    println!("\nHow it was answered (EXPLAIN ANALYZE):\n");
    let plan = client.simple_query(&format!("EXPLAIN ANALYZE {sql}")).await.map_err(wrap)?;
    for message in &plan {
        if let SimpleQueryMessage::Row(row) = message {
            println!("  {}", shorten(row.get(0).unwrap_or_default()));
        }
    }
    Ok(())
}

/// Fills the tables, unless an earlier run has.
async fn load(client: &Client) -> Result<()> {
    let there = client.simple_query("SELECT count(*) FROM packages").await;
    if there.is_ok() {
        println!("The tables of an earlier run are still there.");
        return Ok(());
    }
    client.batch_execute("BEGIN").await.map_err(wrap)?;
    client.batch_execute(SCHEMA).await.map_err(wrap)?;
    let packages = copy(client, "packages", PACKAGES).await?;
    copy(client, "queries", QUERIES).await?;
    client.batch_execute("COMMIT").await.map_err(wrap)?;
    println!("Loaded {packages} Debian packages with embeddings of 384 dimensions (COPY BINARY).");
    println!("{INDEX};");
    client.batch_execute(INDEX).await.map_err(wrap)
}

async fn copy(client: &Client, table: &str, compressed: &[u8]) -> Result<u64> {
    let mut data = Vec::new();
    flate2::read::GzDecoder::new(compressed)
        .read_to_end(&mut data)
        .map_err(|error| Error::io("read", format!("the demo's {table}"), &error))?;
    let sink = client
        .copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN WITH (FORMAT binary)"))
        .await
        .map_err(wrap)?;
    let mut sink = std::pin::pin!(sink);
    let mut data = Bytes::from(data);
    while !data.is_empty() {
        let chunk = data.split_to(data.len().min(64 << 10));
        futures::SinkExt::feed(&mut sink, chunk).await.map_err(wrap)?;
    }
    sink.finish().await.map_err(wrap)
}

/// A table as psql draws it, short of the details.
fn print_rows(messages: &[SimpleQueryMessage]) {
    let rows: Vec<Vec<&str>> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).unwrap_or_default()).collect())
            }
            _ => None,
        })
        .collect();
    for row in &rows {
        println!("  {:>8}  {:>9} KiB  {}", row[2], row[1], row[0]);
    }
    println!("  ({} rows)", rows.len());
}

/// Plans show the query vector; the first few components are enough to recognise it.
fn shorten(line: &str) -> String {
    const WIDTH_MAX: usize = 160;
    match line.char_indices().nth(WIDTH_MAX) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}
