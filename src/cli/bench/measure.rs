//! Many connections asking at once, for a while: latencies, and the server's processor time if its process is known.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cli::bench::client::{Connection, Raw};
use crate::error::{Error, Result};

/// Queries per connection before the clock starts.
const WARM_UP: usize = 20;
/// Of /proc/N/stat's clock: USER_HZ is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What to ask.
pub struct Job<'a> {
    pub url: &'a str,
    pub settings: &'a [String],
    pub asked: Asked<'a>,
    pub connections: usize,
    pub end: End<'a>,
    /// The server's process, for its processor time.
    pub process: Option<u32>,
}

/// One query after the other; behind the last comes the first.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// A prepared statement with these parameters.
    Prepared { sql: &'a str, params: &'a [Vec<Raw>] },
    /// Texts by the simple protocol.
    Texts(&'a [String]),
}

impl Asked<'_> {
    fn len(self) -> usize {
        match self {
            Asked::Prepared { params, .. } => params.len(),
            Asked::Texts(texts) => texts.len(),
        }
    }
}

/// Who asks.
struct Client<'a> {
    connection: Connection,
    statement: Option<tokio_postgres::Statement>,
    asked: Asked<'a>,
}

impl<'a> Client<'a> {
    fn open(job: &Job<'a>) -> Result<Client<'a>> {
        let connection = Connection::open(job.url, job.settings)?;
        let statement = match job.asked {
            Asked::Prepared { sql, .. } => Some(connection.prepare(sql)?),
            Asked::Texts(_) => None,
        };
        Ok(Client { connection, statement, asked: job.asked })
    }

    fn ask(&self, turn: usize) -> Result<()> {
        let turn = turn % self.asked.len();
        match (self.asked, &self.statement) {
            (Asked::Prepared { params, .. }, Some(statement)) => {
                self.connection.query(statement, &params[turn]).map(drop)
            }
            (Asked::Prepared { .. }, None) => Err(Error::internal("a statement that was not prepared")),
            (Asked::Texts(texts), _) => self.connection.text(&texts[turn]).map(drop),
        }
    }
}

/// When to stop asking.
#[derive(Clone, Copy)]
pub enum End<'a> {
    /// After so many seconds.
    After(f64),
    /// When each was asked once, as changes must be, or after so many seconds.
    OnceWithin(f64),
    /// When each was asked once.
    Once,
    /// When this is set.
    When(&'a AtomicBool),
}

impl End<'_> {
    fn is_once(self) -> bool {
        matches!(self, End::Once | End::OnceWithin(_))
    }

    fn has_come(self, elapsed: Duration) -> bool {
        match self {
            End::After(seconds) | End::OnceWithin(seconds) => elapsed >= Duration::from_secs_f64(seconds),
            End::When(set) => set.load(Ordering::Relaxed),
            End::Once => false,
        }
    }
}

/// What came of it. Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, serde::Serialize)]
pub struct Speed {
    pub queries: usize,
    pub qps: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    /// Processor time of the server per query, microseconds.
    pub server_cpu_us: Option<f64>,
}

/// Runs the job on its connections, started together.
pub fn measure(job: &Job) -> Result<Speed> {
    let barrier = Barrier::new(job.connections);
    let before = job.process.map(processor_seconds);
    let results: Vec<Result<Latencies>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..job.connections)
            .map(|index| {
                scope.spawn({
                    let barrier = &barrier;
                    move || ask(job, index, barrier)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    let after = job.process.map(processor_seconds);
    let mut latencies = Vec::new();
    let mut qps = 0.0;
    for result in results {
        let one = result?;
        qps += one.seconds.len() as f64 / one.wall.max(1e-9);
        latencies.extend(one.seconds);
    }
    latencies.sort_unstable_by(f64::total_cmp);
    let percentile = |share: f64| {
        let index = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(index).copied().unwrap_or_default() * 1e3
    };
    let asked = latencies.len() + if job.end.is_once() { 0 } else { WARM_UP * job.connections };
    let cpu = before.zip(after).map(|(before, after)| (after - before) * 1e6 / asked.max(1) as f64);
    Ok(Speed {
        queries: latencies.len(),
        qps,
        p50: percentile(0.50),
        p95: percentile(0.95),
        p99: percentile(0.99),
        server_cpu_us: cpu,
    })
}

struct Latencies {
    seconds: Vec<f64>,
    wall: f64,
}

fn ask(job: &Job, index: usize, barrier: &Barrier) -> Result<Latencies> {
    let prepared = prepare(job, index);
    // Everybody reaches the barrier, or nobody would.
    barrier.wait();
    let client = prepared?;
    let start = Instant::now();
    let mut last = start;
    let mut seconds = Vec::new();
    let share = |index: usize| index * job.asked.len() / job.connections;
    let mut turn = share(index);
    let end = if job.end.is_once() { share(index + 1) } else { usize::MAX };
    while turn < end && !job.end.has_come(last - start) {
        client.ask(turn)?;
        let now = Instant::now();
        seconds.push((now - last).as_secs_f64());
        last = now;
        turn += 1;
    }
    Ok(Latencies { seconds, wall: (last - start).as_secs_f64() })
}

fn prepare<'a>(job: &Job<'a>, index: usize) -> Result<Client<'a>> {
    let client = Client::open(job)?;
    if !job.end.is_once() {
        (0..WARM_UP).try_for_each(|turn| client.ask(index + turn))?;
    }
    Ok(client)
}

pub fn panicked() -> Error {
    Error::internal("a client thread panicked")
}

/// Processor time of a process and its descendants so far, in seconds; PostgreSQL has a process per connection.
fn processor_seconds(process: u32) -> f64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0.0 };
    let all: Vec<Stat> =
        entries.filter_map(|entry| Stat::read(&entry.ok()?.file_name().to_string_lossy())).collect();
    let mut tree = vec![process];
    let mut at = 0;
    while at < tree.len() {
        let parent = tree[at];
        tree.extend(all.iter().filter(|stat| stat.parent == parent).map(|stat| stat.process));
        at += 1;
    }
    all.iter()
        .filter(|stat| tree.contains(&stat.process))
        .map(|stat| stat.ticks as f64 / TICKS_PER_SECOND)
        .sum()
}

/// The parts of /proc/N/stat that are needed.
struct Stat {
    process: u32,
    parent: u32,
    /// User and system time, ended children included.
    ticks: u64,
}

impl Stat {
    fn read(name: &str) -> Option<Stat> {
        let process = name.parse().ok()?;
        let text = std::fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        Some(Stat { process, parent: fields.get(1)?.parse().ok()?, ticks })
    }
}
