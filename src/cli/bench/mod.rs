//! `hither bench`: a client that measures any server speaking pgvector's SQL, through the same protocol.
//!
//! ```text
//!   load      CREATE TABLE, COPY BINARY                        rows/s
//!   index     CREATE INDEX USING hnsw, and on the metadata     seconds, bytes
//!   floor     SELECT 1, prepared                               what the wire costs
//!   search    k nearest at several ef_search and connections   recall, QPS, latencies
//!   filtered  the same under predicates                        recall, rows per answer, wrong rows, QPS
//!   insert    single-row autocommit INSERTs                    rows/s, each found afterwards
//! ```
//!
//! Nothing but SQL is used, so pointing it at PostgreSQL with pgvector is a matter of the URL. Answers are judged
//! against exact ones computed here, by distance: an answer counts when it is no farther than the true k-th
//! neighbour, so duplicates punish nobody. No speed is reported without its recall.

mod client;
mod data;
mod measure;
mod numpy;
mod report;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use crate::distance::Metric;
use crate::error::{Error, Result, SqlState};
use client::{Connection, Raw, put_vector, vector};
use data::{Data, K, Truth};
use measure::{Job, measure};
use report::{Built, Filtered, Inserted, Loaded, Progress, Report, Searched};

/// Queries whose answers are judged per filter.
const FILTER_QUERIES_MAX: usize = 200;
/// COPY data travels in chunks of about this many bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// Rows of the insert phase get ids from here.
const INSERT_ID_FIRST: i64 = 1 << 40;

#[derive(clap::Args)]
pub struct Args {
    /// The server: postgres://user@host:port/database
    url: String,
    /// Folder with base.npy, queries.npy, meta.npz and filters.json; without it clustered points are generated
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Generated rows
    #[arg(long, default_value_t = 50_000)]
    rows: usize,
    /// Generated dimensions
    #[arg(long, default_value_t = 128)]
    dimensions: usize,
    /// l2, cosine or ip
    #[arg(long, default_value = "cosine", value_parser = metric)]
    metric: Metric,
    /// Table to use; the load phase drops it and makes it again
    #[arg(long, default_value = "hither_bench")]
    table: String,
    /// Which phases to run, in order
    #[arg(long, value_delimiter = ',', default_value = "load,index,floor,search,filtered,insert")]
    phases: Vec<Phase>,
    #[arg(long, default_value_t = 16)]
    m: u32,
    #[arg(long, default_value_t = 64)]
    ef_construction: u32,
    /// hnsw.ef_search values
    #[arg(long, value_delimiter = ',', default_value = "20,40,80,120,200")]
    ef_search: Vec<u32>,
    /// hnsw.ef_search values of the filtered phase
    #[arg(long, value_delimiter = ',', default_value = "40,200")]
    filter_ef_search: Vec<u32>,
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_value = "1,2,8")]
    connections: Vec<usize>,
    /// Seconds per measured point
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Use at most this many queries
    #[arg(long, default_value_t = 1000)]
    queries: usize,
    /// Insert at most this many rows per point
    #[arg(long, default_value_t = 5000)]
    insert_rows: usize,
    /// Leave category, tenant and size without indexes
    #[arg(long)]
    no_metadata_indexes: bool,
    /// Session setting, such as "hnsw.iterative_scan = strict_order"; may be repeated
    #[arg(long = "set", value_name = "NAME = VALUE")]
    settings: Vec<String>,
    /// The server's process, to report its processor time per query
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Write the results here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Phase {
    Load,
    Index,
    Floor,
    Search,
    Filtered,
    Insert,
}

fn metric(name: &str) -> Result<Metric, String> {
    match name {
        "l2" => Ok(Metric::L2),
        "cosine" => Ok(Metric::Cosine),
        "ip" => Ok(Metric::InnerProduct),
        _ => Err("expected l2, cosine or ip".to_owned()),
    }
}

pub fn run(args: Args) -> Result<()> {
    let data = match &args.data {
        Some(folder) => Data::read(folder, args.queries)?,
        None => Data::generate(args.rows.max(K), args.dimensions.max(1), args.queries),
    };
    if data.queries() == 0 || args.connections.contains(&0) {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "queries and connections must be at least 1",
        ));
    }
    let control = Connection::open(&args.url, &args.settings)?;
    let mut bench = Bench { report: Report::new(&args, &data, &control), args, data, control, truth: None };
    bench.report.head();
    for phase in bench.args.phases.clone() {
        match phase {
            Phase::Load => bench.load()?,
            Phase::Index => bench.index()?,
            Phase::Floor => bench.floor()?,
            Phase::Search => bench.search()?,
            Phase::Filtered => bench.filtered()?,
            Phase::Insert => bench.insert()?,
        }
        // After each phase, so that an interrupted run leaves what it has.
        bench.report.save(bench.args.json.as_deref())?;
    }
    Ok(())
}

struct Bench {
    args: Args,
    data: Data,
    control: Connection,
    truth: Option<Truth>,
    report: Report,
}

impl Bench {
    fn load(&mut self) -> Result<()> {
        let (table, dimensions) = (&self.args.table, self.data.dimensions);
        // A server may have the type without the extension, or the extension without the right to create it.
        let _ = self.control.run("CREATE EXTENSION IF NOT EXISTS vector");
        self.control.run(&format!("DROP TABLE IF EXISTS {table}"))?;
        self.control.run(&format!(
            "CREATE TABLE {table} (id bigint PRIMARY KEY, category text, tenant int4, size int4, title text, \
             embedding vector({dimensions}))"
        ))?;
        // Made before the clock starts: the client's encoding is not what is measured.
        let chunks = copy_chunks(&self.data);
        let mut progress = Progress::new("COPY", chunks.len());
        let mut chunks = chunks.into_iter().inspect(|_| progress.step());
        let start = Instant::now();
        let copy = format!(
            "COPY {table} (id, category, tenant, size, title, embedding) FROM STDIN WITH (FORMAT binary)"
        );
        let rows = self.control.copy_in(&copy, || chunks.next())?;
        let seconds = start.elapsed().as_secs_f64();
        drop(chunks);
        progress.end();
        let counted = self.control.text(&format!("SELECT count(*) FROM {table}"))?;
        if rows as usize != self.data.rows() || counted != Some(rows.to_string()) {
            return Err(Error::internal(format!(
                "{rows} rows copied, {counted:?} counted, {} sent",
                self.data.rows()
            )));
        }
        self.report.loaded(Loaded { rows, seconds, rows_per_second: rows as f64 / seconds });
        Ok(())
    }

    fn index(&mut self) -> Result<()> {
        let Args { table, metric, m, ef_construction, .. } = &self.args;
        let name = format!("{table}_hnsw");
        self.control.run(&format!("DROP INDEX IF EXISTS {name}"))?;
        let progress = Progress::waiting("CREATE INDEX");
        let start = Instant::now();
        self.control.run(&format!(
            "CREATE INDEX {name} ON {table} USING hnsw (embedding {}) WITH (m = {m}, ef_construction = {ef_construction})",
            metric.opclass("vector")
        ))?;
        let seconds = start.elapsed().as_secs_f64();
        progress.end();
        let start = Instant::now();
        if !self.args.no_metadata_indexes {
            for column in ["category", "tenant", "size"] {
                self.control.run(&format!("CREATE INDEX ON {table} ({column})"))?;
            }
        }
        let metadata_seconds = start.elapsed().as_secs_f64();
        // What a server cannot say is left out of the report.
        let _ = self.control.run(&format!("ANALYZE {table}"));
        let bytes = |sql: String| self.control.text(&sql).ok().flatten().and_then(|text| text.parse().ok());
        let index_bytes = bytes(format!("SELECT pg_relation_size('{name}')"));
        let table_bytes = bytes(format!("SELECT pg_table_size('{table}')"));
        self.report.built(Built { seconds, metadata_seconds, index_bytes, table_bytes });
        Ok(())
    }

    fn floor(&mut self) -> Result<()> {
        let job = Job { sql: "SELECT 1", params: &[Vec::new()], connections: 1, ..self.job(&[]) };
        let speed = measure(&job)?;
        self.report.floor(speed);
        Ok(())
    }

    fn search(&mut self) -> Result<()> {
        self.find_truth();
        let params: Vec<Vec<Raw>> = self.query_params();
        let sql = self.knn_sql("");
        for ef in self.args.ef_search.clone() {
            let settings = self.settings(ef);
            let answers = self.answers(&settings, &sql, &params)?;
            let truth = self.truth.as_ref().ok_or_else(|| Error::internal("no exact answers"))?;
            let verdict = self.data.judge(truth, &answers, None);
            for connections in self.args.connections.clone() {
                let speed = measure(&Job { sql: &sql, params: &params, connections, ..self.job(&settings) })?;
                self.report.searched(Searched::new(ef, connections, verdict, speed));
            }
        }
        Ok(())
    }

    fn filtered(&mut self) -> Result<()> {
        self.find_truth();
        let params = self.query_params();
        let judged = &params[..params.len().min(FILTER_QUERIES_MAX)];
        for index in 0..self.data.filters.len() {
            let sql = self.knn_sql(&format!("WHERE {} ", self.data.filters[index].sql));
            for ef in self.args.filter_ef_search.clone() {
                let settings = self.settings(ef);
                let answers = self.answers(&settings, &sql, judged)?;
                let truth = self.truth.as_ref().ok_or_else(|| Error::internal("no exact answers"))?;
                let verdict = self.data.judge(truth, &answers, Some(index));
                let speed =
                    measure(&Job { sql: &sql, params: &params, connections: 1, ..self.job(&settings) })?;
                self.report.filtered(Filtered::new(&self.data.filters[index], ef, verdict, speed));
            }
        }
        Ok(())
    }

    /// Rows that are there already, under new ids, one per transaction; they are counted and deleted again.
    fn insert(&mut self) -> Result<()> {
        let table = self.args.table.clone();
        let sql = format!(
            "INSERT INTO {table} (id, category, tenant, size, title, embedding) VALUES ($1, $2, $3, $4, $5, $6)"
        );
        let mut id = INSERT_ID_FIRST;
        for connections in self.args.connections.clone() {
            let rows = self.args.insert_rows.min(self.data.rows());
            let params: Vec<Vec<Raw>> = (0..rows).map(|row| self.row_params(row, id + row as i64)).collect();
            let settings = self.args.settings.clone();
            let job = Job { sql: &sql, params: &params, connections, once: true, ..self.job(&settings) };
            let speed = measure(&job)?;
            let count = format!("SELECT count(*) FROM {table} WHERE id >= {id}");
            let found = self.control.text(&count)?.and_then(|text| text.parse().ok()).unwrap_or(0);
            if found != speed.queries {
                return Err(Error::internal(format!(
                    "{} rows were acknowledged, {found} are there",
                    speed.queries
                )));
            }
            self.report.inserted(Inserted { connections, speed });
            id += rows as i64;
        }
        self.control.run(&format!("DELETE FROM {table} WHERE id >= {INSERT_ID_FIRST}"))
    }

    fn job<'a>(&'a self, settings: &'a [String]) -> Job<'a> {
        Job {
            url: &self.args.url,
            settings,
            sql: "",
            params: &[],
            connections: 1,
            seconds: self.args.seconds,
            once: false,
            process: self.args.pid,
        }
    }

    fn settings(&self, ef: u32) -> Vec<String> {
        let mut settings = self.args.settings.clone();
        settings.push(format!("hnsw.ef_search = {ef}"));
        settings
    }

    fn knn_sql(&self, filter: &str) -> String {
        let Args { table, metric, .. } = &self.args;
        format!("SELECT id FROM {table} {filter}ORDER BY embedding {} $1 LIMIT {K}", metric.operator())
    }

    fn query_params(&self) -> Vec<Vec<Raw>> {
        (0..self.data.queries()).map(|index| vec![vector(self.data.query(index))]).collect()
    }

    fn row_params(&self, row: usize, id: i64) -> Vec<Raw> {
        let number = |value: i32| Raw(Bytes::copy_from_slice(&value.to_be_bytes()));
        let text = |value: &str| Raw(Bytes::copy_from_slice(value.as_bytes()));
        vec![
            Raw(Bytes::copy_from_slice(&id.to_be_bytes())),
            text(&self.data.category[row]),
            number(self.data.tenant[row]),
            number(self.data.size[row]),
            text(&self.data.title[row]),
            vector(self.data.vector(row)),
        ]
    }

    fn answers(&self, settings: &[String], sql: &str, params: &[Vec<Raw>]) -> Result<Vec<Vec<i64>>> {
        let connection = Connection::open(&self.args.url, settings)?;
        let statement = connection.prepare(sql)?;
        let ids = |params: &Vec<Raw>| {
            Ok(connection.query(&statement, params)?.iter().map(|row| row.get::<_, i64>(0)).collect())
        };
        params.iter().map(ids).collect()
    }

    fn find_truth(&mut self) {
        if self.truth.is_some() {
            return;
        }
        let done = AtomicUsize::new(0);
        let mut progress = Progress::new("exact answers", self.data.queries());
        let truth = std::thread::scope(|scope| {
            let worker = scope.spawn(|| self.data.truth(self.args.metric, &done));
            while !worker.is_finished() {
                progress.set(done.load(Ordering::Relaxed));
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            worker.join()
        });
        progress.end();
        self.truth = truth.ok();
    }
}

/// The COPY BINARY stream of the whole data set.
fn copy_chunks(data: &Data) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut chunk = BytesMut::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
    for row in 0..data.rows() {
        chunk.put_i16(6);
        put_field(&mut chunk, |out| out.put_i64(row as i64));
        put_field(&mut chunk, |out| out.put_slice(data.category[row].as_bytes()));
        put_field(&mut chunk, |out| out.put_i32(data.tenant[row]));
        put_field(&mut chunk, |out| out.put_i32(data.size[row]));
        put_field(&mut chunk, |out| out.put_slice(data.title[row].as_bytes()));
        put_field(&mut chunk, |out| put_vector(data.vector(row), out));
        if chunk.len() >= CHUNK_BYTES {
            chunks.push(chunk.split().freeze());
        }
    }
    chunk.put_i16(-1);
    chunks.push(chunk.freeze());
    chunks
}

fn put_field(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    write(out);
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}
