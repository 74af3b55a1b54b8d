//! `hither bench`: a client that measures any server speaking pgvector's SQL, through the same protocol.
//!
//! ```text
//!   load        CREATE TABLE, COPY BINARY                        rows/s
//!   index       CREATE INDEX USING hnsw, and on the metadata     seconds, bytes
//!   floor       SELECT 1, prepared                               what the wire costs
//!   search      k nearest at several ef_search and connections   recall, QPS, latencies
//!   filtered    the same under predicates                        recall, rows per answer, wrong rows, QPS
//!   insert      single-row autocommit INSERTs                    rows/s, each found afterwards
//!   update      single-row UPDATEs of a metadata column          rows/s, counted afterwards
//!   live        INSERTs of rows held back, beside searches       rows/s, latencies, recall as the table grows
//!   statements  an application's, prepared and as texts          latencies of both
//! ```
//!
//! Nothing but SQL is used, so pointing it at PostgreSQL with pgvector is a matter of the URL, and `--beside` has two
//! servers do the same in turns ([`beside`]). Answers are judged against exact ones computed here, by distance: an
//! answer counts when it is no farther than the true k-th neighbour, so duplicates punish nobody. No speed is reported
//! without its recall.

mod beside;
mod client;
mod data;
mod measure;
mod numpy;
mod report;
mod statements;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use crate::distance::Metric;
use crate::error::{Error, Result, SqlState};
use client::{Connection, Raw, put_vector, vector};
use data::{Data, K, Truth};
use measure::{Asked, End, Job, Speed, measure};
use report::{Built, Changed, Filtered, Grown, Loaded, Progress, Report, Said, Searched};
use statements::{Datum, raw};

/// Queries whose answers are judged per filter.
const FILTER_QUERIES_MAX: usize = 200;
/// COPY data travels in chunks of about this many bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// Rows of the insert phase get ids from here.
const INSERT_ID_FIRST: i64 = 1 << 40;
/// Queries of each kind that the statements phase has, and changes, of which each is made once.
const STATEMENTS: usize = 1_000;
const STATEMENTS_CHANGES: usize = 500;
/// How often the live phase stops to measure recall.
const LIVE_STEPS: usize = 10;

#[derive(clap::Args)]
pub struct Args {
    /// The server: postgres://user@host:port/database
    url: String,
    /// A second server, which does the same in turns with the first; the comparison follows, as Markdown
    #[arg(long, value_name = "URL")]
    beside: Option<String>,
    /// How often all phases are run on each server; the comparison is of medians
    #[arg(long, default_value_t = 1)]
    rounds: usize,
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
    /// Update this many rows per point
    #[arg(long, default_value_t = 10_000)]
    update_rows: usize,
    /// Keep this many rows of the data out of the table until the live phase
    #[arg(long, default_value_t = 0)]
    hold_back: usize,
    /// Leave category, tenant and size without indexes
    #[arg(long)]
    no_metadata_indexes: bool,
    /// Session setting, such as "hnsw.iterative_scan = strict_order"; may be repeated
    #[arg(long = "set", value_name = "NAME = VALUE")]
    settings: Vec<String>,
    /// The server's process, to report its processor time per query
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// The same of the server of --beside
    #[arg(long, value_name = "PID")]
    beside_pid: Option<u32>,
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
    Update,
    Live,
    Statements,
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
    let mut data = match &args.data {
        Some(folder) => Data::read(folder, args.queries)?,
        None => Data::generate(args.rows.max(K), args.dimensions.max(1), args.queries),
    };
    data.set_rows(data.rows().saturating_sub(args.hold_back));
    if data.queries() == 0 || data.rows() < K || args.connections.contains(&0) || args.rounds == 0 {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("queries, connections and rounds must be at least 1, rows that are not held back {K}"),
        ));
    }
    if args.phases.contains(&Phase::Live) && data.held_back() == 0 {
        let message = "the live phase adds the rows of --hold-back, which holds back none";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let mut servers = vec![Server::open(&args.url, args.pid, &args, &data)?];
    if let Some(url) = &args.beside {
        servers.push(Server::open(url, args.beside_pid, &args, &data)?);
    }
    let mut bench = Bench { args, data, truth: None, servers, at: 0, round: 0 };
    for round in 0..bench.args.rounds {
        for at in 0..bench.servers.len() {
            (bench.round, bench.at) = (round, at);
            bench.measure_all()?;
        }
    }
    if bench.args.rounds > 1 || bench.servers.len() > 1 {
        let rounds: Vec<&[Report]> = bench.servers.iter().map(|server| server.rounds.as_slice()).collect();
        print!("{}", beside::comparison(&rounds)?);
    }
    Ok(())
}

/// One of the servers that are measured.
struct Server {
    url: String,
    process: Option<u32>,
    control: Connection,
    /// What each round found, the current one last.
    rounds: Vec<Report>,
}

impl Server {
    fn open(url: &str, process: Option<u32>, args: &Args, data: &Data) -> Result<Server> {
        let control = Connection::open(url, &args.settings)?;
        let rounds = (0..args.rounds).map(|_| Report::new(args, data, &control)).collect();
        Ok(Server { url: url.to_owned(), process, control, rounds })
    }
}

struct Bench {
    args: Args,
    data: Data,
    truth: Option<Truth>,
    servers: Vec<Server>,
    /// Whose turn it is.
    at: usize,
    round: usize,
}

impl Bench {
    /// All phases on the server whose turn it is.
    fn measure_all(&mut self) -> Result<()> {
        if self.args.rounds > 1 {
            println!("round {} of {}", self.round + 1, self.args.rounds);
        }
        self.report().head();
        for phase in self.args.phases.clone() {
            match phase {
                Phase::Load => self.load()?,
                Phase::Index => self.index()?,
                Phase::Floor => self.floor()?,
                Phase::Search => self.search()?,
                Phase::Filtered => self.filtered()?,
                Phase::Insert => self.insert()?,
                Phase::Update => self.update()?,
                Phase::Live => self.live()?,
                Phase::Statements => self.statements()?,
            }
            // After each phase, so that an interrupted run leaves what it has.
            self.save()?;
        }
        Ok(())
    }

    fn save(&self) -> Result<()> {
        let Some(path) = self.args.json.as_deref() else { return Ok(()) };
        let wrong = |error: serde_json::Error| Error::internal(error.to_string());
        let json = match &self.servers[..] {
            [Server { rounds, .. }] if rounds.len() == 1 => serde_json::to_string_pretty(&rounds[0]),
            servers => {
                serde_json::to_string_pretty(&servers.iter().map(|server| &server.rounds).collect::<Vec<_>>())
            }
        };
        std::fs::write(path, json.map_err(wrong)? + "\n")
            .map_err(|error| Error::io("write", path.display(), &error))
    }

    fn server(&self) -> &Server {
        &self.servers[self.at]
    }

    fn control(&self) -> &Connection {
        &self.server().control
    }

    fn report(&mut self) -> &mut Report {
        &mut self.servers[self.at].rounds[self.round]
    }

    fn load(&mut self) -> Result<()> {
        let (table, dimensions) = (&self.args.table, self.data.dimensions);
        // A server may have the type without the extension, or the extension without the right to create it.
        let _ = self.control().run("CREATE EXTENSION IF NOT EXISTS vector");
        self.control().run(&format!("DROP TABLE IF EXISTS {table}"))?;
        self.control().run(&format!(
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
        let rows = self.control().copy_in(&copy, || chunks.next())?;
        let seconds = start.elapsed().as_secs_f64();
        drop(chunks);
        progress.end();
        let counted = self.control().text(&format!("SELECT count(*) FROM {table}"))?;
        if rows as usize != self.data.rows() || counted != Some(rows.to_string()) {
            return Err(Error::internal(format!(
                "{rows} rows copied, {counted:?} counted, {} sent",
                self.data.rows()
            )));
        }
        self.report().loaded(Loaded { rows, seconds, rows_per_second: rows as f64 / seconds });
        Ok(())
    }

    fn index(&mut self) -> Result<()> {
        let Args { table, metric, m, ef_construction, .. } = &self.args;
        let name = format!("{table}_hnsw");
        self.control().run(&format!("DROP INDEX IF EXISTS {name}"))?;
        let progress = Progress::waiting("CREATE INDEX");
        let start = Instant::now();
        self.control().run(&format!(
            "CREATE INDEX {name} ON {table} USING hnsw (embedding {}) WITH (m = {m}, ef_construction = {ef_construction})",
            metric.opclass("vector")
        ))?;
        let seconds = start.elapsed().as_secs_f64();
        progress.end();
        let start = Instant::now();
        if !self.args.no_metadata_indexes {
            for column in ["category", "tenant", "size"] {
                self.control().run(&format!("CREATE INDEX ON {table} ({column})"))?;
            }
        }
        let metadata_seconds = start.elapsed().as_secs_f64();
        // What a server cannot say is left out of the report.
        let _ = self.control().run(&format!("ANALYZE {table}"));
        let bytes = |sql: String| self.control().text(&sql).ok().flatten().and_then(|text| text.parse().ok());
        let index_bytes = bytes(format!("SELECT pg_relation_size('{name}')"));
        let table_bytes = bytes(format!("SELECT pg_table_size('{table}')"));
        self.report().built(Built { seconds, metadata_seconds, index_bytes, table_bytes });
        Ok(())
    }

    fn floor(&mut self) -> Result<()> {
        let speed = self.prepared(&[], "SELECT 1", &[Vec::new()], 1, self.while_measured())?;
        self.report().floor(speed);
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
                let speed = self.prepared(&settings, &sql, &params, connections, self.while_measured())?;
                self.report().searched(Searched::new(ef, connections, verdict, speed));
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
                let speed = self.prepared(&settings, &sql, &params, 1, self.while_measured())?;
                let point = Filtered::new(&self.data.filters[index], ef, verdict, speed);
                self.report().filtered(point);
            }
        }
        Ok(())
    }

    /// Rows that are there already, under new ids, one per transaction; they are counted and deleted again.
    fn insert(&mut self) -> Result<()> {
        let table = self.args.table.clone();
        let sql = self.insert_sql();
        let mut id = INSERT_ID_FIRST;
        for connections in self.args.connections.clone() {
            let rows = self.args.insert_rows.min(self.data.rows());
            let params: Vec<Vec<Raw>> = (0..rows).map(|row| self.row_params(row, id + row as i64)).collect();
            let settings = self.args.settings.clone();
            let end = End::OnceWithin(self.args.seconds);
            let speed = self.prepared(&settings, &sql, &params, connections, end)?;
            self.expect(speed.queries, &format!("id >= {id}"))?;
            self.report().inserted(Changed { connections, speed });
            id += rows as i64;
        }
        self.control().run(&format!("DELETE FROM {table} WHERE id >= {INSERT_ID_FIRST}"))
    }

    /// Sizes become -1 - size, one row per transaction, and with the next number of connections what they were.
    fn update(&mut self) -> Result<()> {
        let table = self.args.table.clone();
        let sql = format!("UPDATE {table} SET size = $1 WHERE id = $2");
        let rows = self.args.update_rows.min(self.data.rows());
        let settings = self.args.settings.clone();
        let mut turned = false;
        for connections in self.args.connections.clone() {
            turned = !turned;
            let size = |row: usize| if turned { -1 - self.data.size[row] } else { self.data.size[row] };
            let params: Vec<Vec<Raw>> =
                (0..rows).map(|row| raw(&[Datum::Int4(size(row)), Datum::Int8(row as i64)])).collect();
            let speed = self.prepared(&settings, &sql, &params, connections, End::Once)?;
            self.expect(if turned { rows } else { 0 }, "size < 0")?;
            self.report().updated(Changed { connections, speed });
        }
        self.control().run(&format!("UPDATE {table} SET size = -1 - size WHERE size < 0"))
    }

    /// Adds the rows that were held back, a tenth after the other, while one connection searches; after each tenth
    /// recall is measured. Then the rows are deleted, so that the phase can be run again.
    fn live(&mut self) -> Result<()> {
        let table = self.args.table.clone();
        let insert = self.insert_sql();
        let search = self.knn_sql("");
        let queries = self.query_params();
        let (loaded, added) = (self.data.rows(), self.data.held_back());
        let ef = self.args.ef_search.first().copied().unwrap_or(40);
        let settings = self.settings(ef);
        // One that inserts beside one that searches, or as many as the last of --connections says.
        let writers = self.args.connections.last().copied().unwrap_or(1);
        for step in 0..LIVE_STEPS {
            let rows = loaded + added * step / LIVE_STEPS..loaded + added * (step + 1) / LIVE_STEPS;
            let params: Vec<Vec<Raw>> = rows.clone().map(|row| self.row_params(row, row as i64)).collect();
            let over = AtomicBool::new(false);
            let writing = Job {
                asked: Asked::Prepared { sql: &insert, params: &params },
                connections: writers.min(params.len()).max(1),
                end: End::Once,
                ..self.job(&settings)
            };
            let searching = Job {
                asked: Asked::Prepared { sql: &search, params: &queries },
                end: End::When(&over),
                process: None,
                ..self.job(&settings)
            };
            let (inserts, searches) = std::thread::scope(|scope| {
                let searches = scope.spawn(|| measure(&searching));
                let inserts = measure(&writing);
                over.store(true, Ordering::Relaxed);
                (inserts, searches.join().unwrap_or_else(|_| Err(measure::panicked())))
            });
            let inserts = inserts?;
            self.data.set_rows(rows.end);
            self.expect(rows.end, "true")?;
            let judged = &queries[..queries.len().min(FILTER_QUERIES_MAX)];
            let truth = self.data.truth(self.args.metric, judged.len(), &AtomicUsize::new(0));
            let answers = self.answers(&settings, &search, judged)?;
            let verdict = self.data.judge(&truth, &answers, None);
            self.report().grown(Grown::new(rows.end, verdict, inserts, searches?));
        }
        self.data.set_rows(loaded);
        self.control().run(&format!("DELETE FROM {table} WHERE id >= {loaded}"))
    }

    /// Holds what was acknowledged against what is there.
    fn expect(&self, acknowledged: usize, condition: &str) -> Result<()> {
        let count = format!("SELECT count(*) FROM {} WHERE {condition}", self.args.table);
        let found = self.control().text(&count)?.and_then(|text| text.parse().ok()).unwrap_or(0);
        if found == acknowledged {
            return Ok(());
        }
        Err(Error::internal(format!("{acknowledged} rows were acknowledged, {found} are there")))
    }

    fn job<'a>(&'a self, settings: &'a [String]) -> Job<'a> {
        Job {
            url: &self.server().url,
            settings,
            asked: Asked::Texts(&[]),
            connections: 1,
            end: self.while_measured(),
            process: self.server().process,
        }
    }

    fn while_measured(&self) -> End<'static> {
        End::After(self.args.seconds)
    }

    /// How fast a prepared statement is.
    fn prepared(
        &self,
        settings: &[String],
        sql: &str,
        params: &[Vec<Raw>],
        connections: usize,
        end: End,
    ) -> Result<Speed> {
        measure(&Job { asked: Asked::Prepared { sql, params }, connections, end, ..self.job(settings) })
    }

    /// Statements of an application, one connection; what INSERT adds is deleted again.
    fn statements(&mut self) -> Result<()> {
        let (table, settings) = (self.args.table.clone(), self.args.settings.clone());
        let index = format!("CREATE INDEX IF NOT EXISTS {table}_title ON {table} (title)");
        self.control().run(&index)?;
        // What a run that was interrupted has left.
        self.control().run(&format!("DELETE FROM {table} WHERE id >= {INSERT_ID_FIRST}"))?;
        let _ = self.control().run(&format!("ANALYZE {table}"));
        let mut said = Vec::new();
        for statement in statements::all(&table, &self.data, self.args.metric, INSERT_ID_FIRST) {
            let (times, end) = match statement.changes {
                true => (STATEMENTS_CHANGES, End::Once),
                false => (STATEMENTS, self.while_measured()),
            };
            let (sql, params) = statement.prepared(0..times);
            let texts = statement.texts(times..2 * times);
            let ask = |asked| measure(&Job { asked, end, ..self.job(&settings) });
            let prepared = ask(Asked::Prepared { sql: &sql, params: &params })?;
            let literals = ask(Asked::Texts(&texts))?;
            if statement.name == "INSERT" {
                self.expect(2 * times, &format!("id >= {INSERT_ID_FIRST}"))?;
            }
            said.push(Said { statement: statement.name.to_owned(), prepared, literals });
        }
        self.expect(0, &format!("id >= {INSERT_ID_FIRST}"))?;
        self.report().said(said);
        Ok(())
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

    /// With the parameters of [`Bench::row_params`].
    fn insert_sql(&self) -> String {
        statements::with_parameters(&statements::insert(&self.args.table))
    }

    fn query_params(&self) -> Vec<Vec<Raw>> {
        (0..self.data.queries()).map(|index| vec![vector(self.data.query(index))]).collect()
    }

    fn row_params(&self, row: usize, id: i64) -> Vec<Raw> {
        raw(&statements::row(&self.data, row, id))
    }

    fn answers(&self, settings: &[String], sql: &str, params: &[Vec<Raw>]) -> Result<Vec<Vec<i64>>> {
        let connection = Connection::open(&self.server().url, settings)?;
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
            let worker = scope.spawn(|| self.data.truth(self.args.metric, self.data.queries(), &done));
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
