//! What a session is doing, for the others: pg_stat_activity, pg_stat_progress_create_index, pg_cancel_backend(),
//! pg_terminate_backend().

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::catalog::IndexMethod;
use crate::database::{BuildProgress, Holder};
use crate::sql::databases::Databases;
use crate::sql::session::SUPERUSER;
use crate::sql::shared::Shared;
use crate::sql::transactions::now;
use crate::table::bindings::ReportRow;
use crate::types::{Network, Value};

/// PostgreSQL's track_activity_query_size, less the zero at the end of its strings.
const QUERY_BYTES_MAX: usize = 1023;

/// What one session is doing. Times are microseconds since 1970 UTC.
pub struct Activity {
    /// When the session began.
    began: i64,
    client: OnceLock<SocketAddr>,
    doing: Mutex<Doing>,
}

#[derive(Default)]
struct Doing {
    running: bool,
    /// The transaction's status byte after the last statement.
    status: u8,
    /// The query string that runs, or that ran last.
    query: Arc<str>,
    query_started: Option<i64>,
    changed: Option<i64>,
    transaction_started: Option<i64>,
    /// What the statement waits for: type and event.
    wait: Option<(&'static str, &'static str)>,
    /// The index that is being built, and by which command.
    build: Option<(&'static str, Arc<BuildProgress>)>,
}

/// The build of an index that others see while this lives.
pub(crate) struct ShownBuild {
    session: Arc<Shared>,
    progress: Arc<BuildProgress>,
}

impl ShownBuild {
    /// `command` as PostgreSQL's view has it.
    pub fn new(session: Arc<Shared>, command: &'static str, progress: Arc<BuildProgress>) -> ShownBuild {
        session.activity.doing.lock().build = Some((command, progress.clone()));
        ShownBuild { session, progress }
    }

    pub fn progress(&self) -> Arc<BuildProgress> {
        self.progress.clone()
    }
}

impl Drop for ShownBuild {
    fn drop(&mut self) {
        self.session.activity.doing.lock().build = None;
    }
}

impl Default for Activity {
    fn default() -> Activity {
        Activity { began: now(), client: OnceLock::new(), doing: Mutex::default() }
    }
}

impl Activity {
    /// Where the client is.
    pub fn set_client(&self, client: SocketAddr) {
        let _ = self.client.set(client);
    }

    pub fn client(&self) -> Option<SocketAddr> {
        self.client.get().copied()
    }

    /// A statement of this query string begins.
    pub fn begin(&self, query: &Arc<str>) {
        let mut doing = self.doing.lock();
        let now = now();
        doing.running = true;
        doing.query = Arc::clone(query);
        doing.query_started = Some(now);
        doing.changed = Some(now);
        doing.transaction_started.get_or_insert(now);
    }

    /// The client has the turn; `status` is that of ReadyForQuery.
    pub fn rest(&self, status: u8) {
        let mut doing = self.doing.lock();
        if doing.running || doing.status != status {
            doing.changed = Some(now());
        }
        doing.running = false;
        doing.status = status;
        if status == b'I' {
            doing.transaction_started = None;
        }
    }

    /// What the statement waits for from now on: type and event as pg_stat_activity has them.
    pub fn wait(&self, wait: Option<(&'static str, &'static str)>) {
        self.doing.lock().wait = wait;
    }

    /// The query string that runs.
    pub fn query(&self) -> Arc<str> {
        Arc::clone(&self.doing.lock().query)
    }
}

impl Doing {
    fn state(&self) -> &'static str {
        match (self.running, self.status) {
            (true, _) => "active",
            (_, b'T') => "idle in transaction",
            (_, b'E') => "idle in transaction (aborted)",
            _ => "idle",
        }
    }
}

/// The rows of pg_stat_activity.
pub fn rows(databases: &Databases) -> Vec<ReportRow> {
    of_sessions(databases, |session| Some(row(session)))
}

/// The rows of pg_stat_progress_create_index.
pub fn builds(databases: &Databases) -> Vec<ReportRow> {
    of_sessions(databases, |session| {
        let build = session.activity.doing.lock().build.clone();
        build.map(|(command, progress)| build_row(command, &progress))
    })
}

/// What there is to say of each session, with its number and its database.
fn of_sessions(databases: &Databases, row: impl Fn(&Shared) -> Option<ReportRow>) -> Vec<ReportRow> {
    let mut rows = Vec::new();
    for (name, engine) in databases.engines() {
        for session in engine.seats.sessions() {
            rows.extend(row(&session).map(|mut row| {
                row.push(("datid", Value::Oid(engine.oid)));
                row.push(("datname", Value::from(&*name)));
                row.push(("pid", Value::Int4(session.process_id())));
                row
            }));
        }
    }
    rows
}

fn row(session: &Shared) -> ReportRow {
    let time = |time: Option<i64>| time.map_or(Value::Null, Value::Timestamptz);
    let application = session.settings.lock().show("application_name").ok();
    let activity = &session.activity;
    let doing = activity.doing.lock();
    let client = activity.client.get();
    vec![
        ("usesysid", Value::Oid(crate::sql::system::OWNER_OID)),
        ("usename", Value::from(SUPERUSER)),
        ("application_name", Value::from(application)),
        (
            "client_addr",
            client.map_or(Value::Null, |client| {
                Value::Network(Network::Inet(client.ip().to_canonical().into()))
            }),
        ),
        ("client_port", Value::from(client.map(|client| i32::from(client.port())))),
        ("backend_start", Value::Timestamptz(activity.began)),
        ("xact_start", time(doing.transaction_started)),
        ("query_start", time(doing.query_started)),
        ("state_change", time(doing.changed)),
        ("wait_event_type", Value::from(doing.wait.map(|(kind, _)| kind))),
        ("wait_event", Value::from(doing.wait.map(|(_, event)| event))),
        ("state", Value::from(doing.state())),
        ("query", Value::from(clipped(&doing.query))),
        ("backend_xmin", oldest_snapshot(session)),
        ("backend_type", Value::from("client backend")),
    ]
}

/// The position of the oldest moment that a session looks at; it has no transaction ids that others could be compared with.
fn oldest_snapshot(session: &Shared) -> Value {
    let its = Holder::Transaction(Some(session.process_id()));
    let held = session.engine.database.snapshots();
    let oldest = held.iter().find(|held| held.holder == its);
    oldest.and_then(|held| i64::try_from(held.seq.0).ok()).map_or(Value::Null, Value::Int8)
}

/// PostgreSQL's blocks are those of the table; here they are what the vectors take, and as many of them are done as of
/// the rows.
fn build_row(command: &'static str, progress: &BuildProgress) -> ReportRow {
    const BLOCK_BYTES: u64 = 8192;
    let (rows, bytes) = progress.total();
    let done = u64::from(progress.done().load(Ordering::Relaxed)).min(rows);
    let blocks = bytes.div_ceil(BLOCK_BYTES);
    let phase = match (rows, done, progress.of) {
        (0, ..) => "initializing",
        (_, 0, Some(IndexMethod::Ivfflat)) => "building index: performing k-means",
        (_, _, Some(IndexMethod::Ivfflat)) => "building index: assigning tuples",
        (_, _, Some(IndexMethod::Hnsw)) => "building index: loading tuples",
        _ => "building index: scanning table",
    };
    let number = |number: u64| Value::Int8(number as i64);
    vec![
        ("relid", Value::Oid(progress.table)),
        ("index_relid", Value::Oid(progress.index)),
        ("command", Value::from(command)),
        ("phase", Value::from(phase)),
        ("blocks_total", number(blocks)),
        ("blocks_done", number(blocks * done / rows.max(1))),
        ("tuples_total", number(rows)),
        ("tuples_done", number(done)),
    ]
}

/// As much as there is room for, without half a character.
fn clipped(query: &str) -> &str {
    &query[..query.floor_char_boundary(QUERY_BYTES_MAX)]
}

impl Databases {
    /// Ends the statement of a session, or the session itself; whether there is one of this number.
    pub fn signal(&self, process_id: i32, terminate: bool) -> bool {
        self.engines().iter().any(|(_, engine)| engine.seats.signal(process_id, terminate))
    }
}
