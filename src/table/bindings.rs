//! What one execution of a finished plan is given: parameters, snapshots, the time, the settings.
//!
//! ```text
//!   finished plan (kept between executions)              one execution
//!   ---------------------------------------              -------------
//!   KnnScanExec --+                                      params     $1, $2, ...
//!   $1 (UDF)    --+--> Arc<Bindings> --- holds -->       snapshots  table oid -> Snapshot
//!   now() (UDF) --+                                      now, settings, session, cancel
//! ```
//!
//! All nodes and expressions of one plan share one cell. A plan is executed by one statement at a time: whoever
//! checks it out fills the cell, runs it to the end and gives it back, so nothing below ever sees two executions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::ScalarValue;
use parking_lot::Mutex;

use crate::catalog::{Catalog, Oid};
use crate::error::{Error, Result, SqlState, check_cancel};
use crate::index::Probes;
use crate::locks::{AdvisoryKey, Mode, Span};
use crate::table::Snapshot;
use crate::table::knn::Searches;
use crate::table::large_objects::LargeObjectCalls;
use crate::table::reads::Reads;
use crate::types::Zone;

/// The cell a finished plan reads its execution from.
#[derive(Default)]
pub struct Bindings {
    /// Written twice per statement and read a few times: what makes reading cheaper than a lock makes writing dear.
    execution: Mutex<Option<Arc<Execution>>>,
}

/// Everything that differs between two executions of one plan.
pub struct Execution {
    /// `$1` is `params[0]`, each of the Arrow type of its parameter's type.
    pub params: Vec<ScalarValue>,
    /// One per table of the plan, all of the same moment.
    pub snapshots: HashMap<Oid, Arc<Snapshot>>,
    /// Start of the transaction, microseconds since 1970 UTC: now().
    pub transaction_time: i64,
    /// Arrival of the statement, microseconds since 1970 UTC.
    pub statement_time: i64,
    /// The session's.
    pub zone: Zone,
    pub settings: SearchSettings,
    /// Rows of the parts of the statement that ran before this plan, by number.
    pub staged: Vec<RecordBatch>,
    pub session: Arc<dyn SessionContext>,
    /// Set when the statement is to end.
    pub cancel: Arc<AtomicBool>,
    /// Where the transaction wants to know what is read, under SERIALIZABLE.
    pub reads: Option<Arc<Reads>>,
    /// What queries that run once have found.
    pub once: Arc<RowsOnce>,
    /// In a subquery that is run for one outer row after the other: their batch, and the row it is run for.
    pub outer: Option<(Arc<OuterRows>, usize)>,
}

/// A batch of outer rows, by the values that a subquery reads of them, and what was found for some of them ahead of time.
pub struct OuterRows {
    /// An array for each value.
    pub columns: Vec<ArrayRef>,
    pub rows: usize,
    /// Answers of the subquery's searches.
    pub searches: Searches,
}

impl OuterRows {
    pub fn new(columns: Vec<ArrayRef>, rows: usize) -> Arc<OuterRows> {
        Arc::new(OuterRows { columns, rows, searches: Mutex::default() })
    }

    /// Its values of a row.
    pub fn values(&self, row: usize) -> datafusion::common::Result<Vec<ScalarValue>> {
        self.columns.iter().map(|column| ScalarValue::try_from_array(column, row)).collect()
    }
}

/// Rows that are found once in an execution, by the number of their query.
#[derive(Default)]
pub struct RowsOnce(Mutex<HashMap<u64, Arc<RowsCell>>>);

/// The rows, once they are there. Who is to find them holds the lock meanwhile.
pub type RowsCell = Mutex<Option<Arc<Vec<RecordBatch>>>>;

/// The settings that change how a search runs, never what a plan looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchSettings {
    /// `hnsw.ef_search`, 1 to 1000.
    pub ef_search: usize,
    /// `ivfflat.probes`, and `ivfflat.max_probes` if `ivfflat.iterative_scan` is on.
    pub probes: Probes,
    /// `hnsw.max_scan_tuples`: vectors that a filtered traversal compares before the search becomes exact.
    pub max_scan_tuples: usize,
    /// `enable_indexscan`: off searches exactly.
    pub enable_indexscan: bool,
    /// `enable_seqscan`: off prefers the graph where it has the choice.
    pub enable_seqscan: bool,
    /// `hither.require_exact`: every search compares all that may be in its answer.
    pub require_exact: bool,
    /// `hither.recall_target`: what an approximate answer's recall shall be in the mean; 0 goes by `ef_search`.
    pub recall_target: f64,
    /// `hither.recall_audit`: share of a processor's time for measuring queries in the background.
    pub recall_audit: f64,
    /// EXPLAIN (ANALYZE, RECALL): a search is followed by the exact one.
    pub measure_recall: bool,
}

impl Default for SearchSettings {
    fn default() -> Self {
        SearchSettings {
            ef_search: 40,
            probes: Probes { first: 1, most: 1 },
            max_scan_tuples: 20_000,
            enable_indexscan: true,
            enable_seqscan: true,
            require_exact: false,
            recall_target: 0.0,
            recall_audit: 0.0,
            measure_recall: false,
        }
    }
}

/// Where the time of one statement of a session went: a row of `hither.timings`.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Counts the session's statements, from 1.
    pub number: i64,
    pub statement: String,
    /// Parse, plan, bind, execute, encode.
    pub microseconds: [f64; 5],
}

/// Cells of a view's row, by column.
pub type ReportRow = Vec<(&'static str, crate::types::Value)>;

/// What functions need from the session they run in.
pub trait SessionContext: Send + Sync {
    /// The catalogue of the statement, own DDL included.
    fn catalog(&self) -> Arc<Catalog>;
    fn current_user(&self) -> String;
    fn session_user(&self) -> String;
    fn database(&self) -> String;
    /// Existing schemas of the search_path, first one first; without the implicit pg_catalog.
    fn search_path(&self) -> Vec<String>;
    fn backend_pid(&self) -> i32;
    /// Where the client is; `None` of a session without a connection.
    fn client(&self) -> Option<std::net::SocketAddr>;
    /// The value SHOW prints; `None` if there is no such setting.
    fn setting(&self, name: &str) -> Option<String>;
    /// set_config(): the new value.
    fn set_setting(&self, name: &str, value: &str, local: bool) -> Result<String>;
    /// Sequences by name as given in the call: `'s'`, `'schema.s'`, `'"S"'`.
    fn nextval(&self, sequence: &str) -> Result<i64>;
    fn currval(&self, sequence: &str) -> Result<i64>;
    fn setval(&self, sequence: &str, value: i64, called: bool) -> Result<i64>;
    fn lastval(&self) -> Result<i64>;
    /// (last_value, is_called) of a sequence.
    fn sequence_state(&self, _sequence: Oid) -> Result<(i64, bool)> {
        Err(Error::internal("a session without sequences"))
    }
    /// Bytes on disk of a table's rows and vectors, or of an index; `None` when it is not known.
    fn relation_bytes(&self, _relation: Oid) -> Option<u64> {
        None
    }
    /// Takes an advisory lock, waiting unless `wait` is false; whether it did.
    fn advisory_lock(
        &self,
        _key: AdvisoryKey,
        _mode: Mode,
        _span: Span,
        _wait: bool,
        _check: &dyn Fn() -> Result<()>,
    ) -> Result<bool> {
        Err(Error::unsupported("an advisory lock here"))
    }
    /// Gives an advisory lock back; whether it was held.
    fn advisory_unlock(&self, _key: AdvisoryKey, _mode: Mode) -> bool {
        false
    }
    fn advisory_unlock_all(&self) {}
    /// pg_notify(): a message for who listens to the channel, when the transaction commits.
    fn notify(&self, _channel: &str, _payload: &str) -> Result<()> {
        Err(Error::unsupported("a notification here"))
    }
    /// The number of the transaction under way, which `assign` gives it where it has none yet.
    fn transaction_number(&self, _assign: bool) -> Result<Option<u64>> {
        Err(Error::unsupported("the number of a transaction here"))
    }
    /// The channels the session listens to.
    fn channels(&self) -> Vec<String> {
        Vec::new()
    }
    /// Of the sessions that a session waits for.
    fn blocking_pids(&self, _process_id: i32) -> Vec<crate::types::Value> {
        Vec::new()
    }
    /// pg_cancel_backend() and pg_terminate_backend(): whether there is such a session.
    fn signal(&self, _process_id: i32, _terminate: bool) -> bool {
        false
    }
    /// Microseconds since 1970 UTC.
    fn server_started(&self) -> Option<i64> {
        None
    }
    /// The query string under way.
    fn query(&self) -> String {
        String::new()
    }
    /// (oid, name) of the server's databases.
    fn databases(&self) -> Vec<(Oid, String)> {
        Vec::new()
    }
    /// Bytes on disk of a database; `None` when it is not known.
    fn database_bytes(&self, _database: Oid) -> Option<u64> {
        None
    }
    /// The session's latest statements, oldest first.
    fn timings(&self) -> Vec<Timing> {
        Vec::new()
    }
    /// The rows of a view of the server's state, by its name.
    fn report(&self, _view: &str) -> Vec<ReportRow> {
        Vec::new()
    }
    /// The large objects and the descriptors that are open.
    fn large_objects(&self) -> Option<&dyn LargeObjectCalls> {
        None
    }
    /// Live rows and obsolete row versions of a table.
    fn garbage(&self, _table: Oid) -> Option<(u64, u64)> {
        None
    }
}

impl Bindings {
    pub fn new() -> Arc<Bindings> {
        Arc::default()
    }

    /// Fills the cell for an execution.
    pub fn fill(&self, execution: Arc<Execution>) {
        *self.execution.lock() = Some(execution);
    }

    /// Empties the cell, so that a plan at rest holds no snapshot.
    pub fn clear(&self) {
        *self.execution.lock() = None;
    }

    /// The execution under way.
    pub fn execution(&self) -> Result<Arc<Execution>> {
        self.execution.lock().clone().ok_or_else(|| Error::internal("a plan was run without its bindings"))
    }
}

impl std::fmt::Debug for Bindings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bindings")
    }
}

impl Execution {
    /// The same with other parameters.
    pub fn with_params(&self, params: Vec<ScalarValue>) -> Execution {
        Execution {
            params,
            snapshots: self.snapshots.clone(),
            transaction_time: self.transaction_time,
            statement_time: self.statement_time,
            zone: self.zone,
            settings: self.settings.clone(),
            staged: self.staged.clone(),
            session: Arc::clone(&self.session),
            cancel: Arc::clone(&self.cancel),
            reads: self.reads.clone(),
            once: Arc::clone(&self.once),
            outer: None,
        }
    }

    /// The same for another outer row of the batch, whose values are the last parameters.
    pub fn for_outer_row(&self, outer: &OuterRows, row: usize) -> datafusion::common::Result<Execution> {
        let before = self.params.len().saturating_sub(outer.columns.len());
        let mut params = self.params[..before].to_vec();
        params.extend(outer.values(row)?);
        Ok(self.with_params(params))
    }

    /// Where the rows of a query that runs once are kept.
    pub fn once(&self, number: u64) -> Arc<RowsCell> {
        Arc::clone(self.once.0.lock().entry(number).or_default())
    }

    /// A table to read from: all of it counts as read.
    pub fn snapshot(&self, table: Oid) -> Result<&Arc<Snapshot>> {
        if let Some(reads) = &self.reads {
            reads.whole(table);
        }
        self.look(table)
    }

    /// A table to estimate by, or to read from when [`Execution::reads`] is told what.
    pub fn look(&self, table: Oid) -> Result<&Arc<Snapshot>> {
        self.snapshots
            .get(&table)
            .ok_or_else(|| Error::internal(format!("no snapshot was taken of the table with oid {table}")))
    }

    /// The value of `$number`, from 1.
    pub fn param(&self, number: usize) -> Result<&ScalarValue> {
        number.checked_sub(1).and_then(|index| self.params.get(index)).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${number}"))
        })
    }

    /// An error if the statement is to end; `sql` replaces the text by the reason's.
    pub fn check_cancel(&self) -> Result<()> {
        check_cancel(&self.cancel)
    }
}
