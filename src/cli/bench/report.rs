//! What a benchmark found: a table while it runs, JSON for those who compare, progress for those who wait.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cli::bench::Args;
use crate::cli::bench::client::Connection;
use crate::cli::bench::data::{Data, Filter, Verdict};
use crate::cli::bench::measure::Speed;

/// Everything, in the order of the phases.
#[derive(serde::Deserialize, serde::Serialize)]
pub struct Report {
    pub server: String,
    pub data: String,
    pub rows: usize,
    pub dimensions: usize,
    pub metric: String,
    pub m: u32,
    pub ef_construction: u32,
    pub settings: Vec<String>,
    pub load: Option<Loaded>,
    pub index: Option<Built>,
    pub floor: Option<Speed>,
    pub search: Vec<Searched>,
    pub filtered: Vec<Filtered>,
    pub insert: Vec<Changed>,
    pub update: Vec<Changed>,
    pub live: Vec<Grown>,
    pub statements: Vec<Said>,
}

#[derive(serde::Deserialize, serde::Serialize)]
pub struct Loaded {
    pub rows: u64,
    pub seconds: f64,
    pub rows_per_second: f64,
}

#[derive(serde::Deserialize, serde::Serialize)]
pub struct Built {
    pub seconds: f64,
    pub metadata_seconds: f64,
    pub index_bytes: Option<u64>,
    pub table_bytes: Option<u64>,
}

#[derive(serde::Deserialize, serde::Serialize)]
pub struct Searched {
    pub ef_search: u32,
    pub connections: usize,
    pub recall: f64,
    pub rows: f64,
    #[serde(flatten)]
    pub speed: Speed,
}

impl Searched {
    pub fn new(ef_search: u32, connections: usize, verdict: Verdict, speed: Speed) -> Searched {
        Searched { ef_search, connections, recall: verdict.recall, rows: verdict.rows, speed }
    }
}

#[derive(serde::Deserialize, serde::Serialize)]
pub struct Filtered {
    pub filter: String,
    pub sql: String,
    pub selectivity: f64,
    pub ef_search: u32,
    pub recall: f64,
    pub rows: f64,
    pub missing: usize,
    pub wrong: usize,
    #[serde(flatten)]
    pub speed: Speed,
}

impl Filtered {
    pub fn new(filter: &Filter, ef_search: u32, verdict: Verdict, speed: Speed) -> Filtered {
        Filtered {
            filter: filter.name.clone(),
            sql: filter.sql.clone(),
            selectivity: filter.selectivity(),
            ef_search,
            recall: verdict.recall,
            rows: verdict.rows,
            missing: verdict.missing,
            wrong: verdict.wrong,
            speed,
        }
    }
}

/// Single-row changes, one per transaction.
#[derive(serde::Deserialize, serde::Serialize)]
pub struct Changed {
    pub connections: usize,
    #[serde(flatten)]
    pub speed: Speed,
}

/// A step of the live phase.
#[derive(serde::Deserialize, serde::Serialize)]
pub struct Grown {
    /// In the table at the step's end.
    pub rows: usize,
    /// Then, when nobody inserts.
    pub recall: f64,
    pub inserts: Speed,
    /// Beside the inserts.
    pub searches: Speed,
}

/// A statement of an application.
#[derive(serde::Deserialize, serde::Serialize)]
pub struct Said {
    pub statement: String,
    pub prepared: Speed,
    /// With its values in the text.
    pub literals: Speed,
}

impl Grown {
    pub fn new(rows: usize, verdict: Verdict, inserts: Speed, searches: Speed) -> Grown {
        Grown { rows, recall: verdict.recall, inserts, searches }
    }
}

impl Report {
    pub fn new(args: &Args, data: &Data, control: &Connection) -> Report {
        let server = control.text("SELECT version()").ok().flatten().unwrap_or_else(|| "unknown".to_owned());
        Report {
            server,
            data: data.name.clone(),
            rows: data.rows(),
            dimensions: data.dimensions,
            metric: args.metric.opclass("vector"),
            m: args.m,
            ef_construction: args.ef_construction,
            settings: args.settings.clone(),
            load: None,
            index: None,
            floor: None,
            search: Vec::new(),
            filtered: Vec::new(),
            insert: Vec::new(),
            update: Vec::new(),
            live: Vec::new(),
            statements: Vec::new(),
        }
    }

    pub fn head(&self) {
        println!("{}", self.server);
        println!("{}: {} x {}, {}", self.data, self.rows, self.dimensions, self.metric);
    }

    pub fn loaded(&mut self, loaded: Loaded) {
        println!(
            "load      {} rows in {:.2} s: {:.0} rows/s",
            loaded.rows, loaded.seconds, loaded.rows_per_second
        );
        self.load = Some(loaded);
    }

    pub fn built(&mut self, built: Built) {
        let megabytes =
            |bytes: Option<u64>| bytes.map_or("?".to_owned(), |b| format!("{:.1} MB", b as f64 / 1e6));
        println!(
            "index     hnsw in {:.2} s, metadata in {:.2} s; index {}, table {}",
            built.seconds,
            built.metadata_seconds,
            megabytes(built.index_bytes),
            megabytes(built.table_bytes)
        );
        self.index = Some(built);
    }

    pub fn floor(&mut self, speed: Speed) {
        println!("SELECT 1  {}", line(&speed));
        self.floor = Some(speed);
    }

    pub fn searched(&mut self, point: Searched) {
        if self.search.is_empty() {
            println!("search    ef_search connections recall  rows  {HEAD}");
        }
        println!(
            "          {:>9} {:>11} {:.4} {:>5.2}  {}",
            point.ef_search,
            point.connections,
            point.recall,
            point.rows,
            line(&point.speed)
        );
        self.search.push(point);
    }

    pub fn filtered(&mut self, point: Filtered) {
        if self.filtered.is_empty() {
            println!("filtered  filter         share   ef_search recall  rows  missing wrong  {HEAD}");
        }
        println!(
            "          {:<14} {:<7.5} {:>9} {:.4} {:>5.2} {:>8} {:>5}  {}",
            point.filter,
            point.selectivity,
            point.ef_search,
            point.recall,
            point.rows,
            point.missing,
            point.wrong,
            line(&point.speed)
        );
        self.filtered.push(point);
    }

    pub fn inserted(&mut self, point: Changed) {
        changed("insert", &mut self.insert, point);
    }

    pub fn updated(&mut self, point: Changed) {
        changed("update", &mut self.update, point);
    }

    pub fn grown(&mut self, step: Grown) {
        if self.live.is_empty() {
            println!("live           rows recall  rows/s  {HEAD} of searches");
        }
        println!(
            "          {:>9} {:.4} {:>7.0}  {}",
            step.rows,
            step.recall,
            step.inserts.qps,
            line(&step.searches)
        );
        self.live.push(step);
    }

    pub fn said(&mut self, statements: Vec<Said>) {
        println!("statements                           {HEAD}");
        for said in &statements {
            println!("          {:<24} prepared {}", said.statement, line(&said.prepared));
            println!("          {:<24} literals {}", "", line(&said.literals));
        }
        self.statements = statements;
    }
}

fn changed(phase: &str, points: &mut Vec<Changed>, point: Changed) {
    if points.is_empty() {
        println!("{phase:<9} connections  {HEAD}");
    }
    println!("          {:>11}  {}", point.connections, line(&point.speed));
    points.push(point);
}

const HEAD: &str = "      QPS   p50 ms   p95 ms   p99 ms  server us/query";

fn line(speed: &Speed) -> String {
    let cpu = speed.server_cpu_us.map_or("-".to_owned(), |us| format!("{us:.0}"));
    format!("{:>9.1} {:>8.3} {:>8.3} {:>8.3}  {cpu:>15}", speed.qps, speed.p50, speed.p95, speed.p99)
}

/// A line on standard error that is rewritten while something takes long; silent when nobody looks.
pub struct Progress {
    label: &'static str,
    total: usize,
    done: usize,
    drawn: Instant,
    shown: bool,
    stop: Option<Arc<AtomicBool>>,
}

/// Redrawing more often only flickers.
const REDRAW: Duration = Duration::from_millis(200);

impl Progress {
    pub fn new(label: &'static str, total: usize) -> Progress {
        let shown = std::io::stderr().is_terminal();
        Progress { label, total, done: 0, drawn: Instant::now(), shown, stop: None }
    }

    /// For work whose extent the server does not tell: shows the seconds.
    pub fn waiting(label: &'static str) -> Progress {
        let mut progress = Progress::new(label, 0);
        if progress.shown {
            let stop = Arc::new(AtomicBool::new(false));
            progress.stop = Some(stop.clone());
            std::thread::spawn(move || {
                let start = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    draw(&format!("{label} {:.0} s", start.elapsed().as_secs_f64()));
                    std::thread::sleep(REDRAW);
                }
            });
        }
        progress
    }

    pub fn step(&mut self) {
        self.set(self.done + 1);
    }

    pub fn set(&mut self, done: usize) {
        self.done = done;
        if self.shown && self.drawn.elapsed() >= REDRAW {
            self.drawn = Instant::now();
            draw(&format!("{} {} of {}", self.label, self.done, self.total));
        }
    }

    pub fn end(self) {
        if let Some(stop) = &self.stop {
            stop.store(true, Ordering::Relaxed);
        }
        if self.shown {
            draw("");
        }
    }
}

fn draw(text: &str) {
    eprint!("\r\x1b[K{text}");
    // A terminal that cannot be written to has nobody in front of it.
    let _ = std::io::stderr().flush();
}
