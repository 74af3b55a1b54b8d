//! What the views of the server are made of: hither.scrub, hither.scrub_findings, hither.snapshots, hither.storage,
//! hither.memory, hither.recall, pg_stat_archiver, pg_stat_activity, pg_locks.

use crate::clock::Timestamp;
use crate::database::{Database, HeldSnapshot, Holder};
use crate::memory::Resident;
use crate::sql::activity;
use crate::sql::engine::Engine;
use crate::sql::seen_locks;
use crate::table::bindings::ReportRow;
use crate::types::Value;

/// The rows of a view.
pub fn rows(engine: &Engine, view: &str) -> Vec<ReportRow> {
    let database = &engine.database;
    match view {
        "scrub" => scrub(database),
        "scrub_findings" => scrub_findings(database),
        "archiver" => archiver(database),
        "snapshots" => snapshots(database),
        "storage" => storage(database),
        "memory" => memory(engine),
        "recall" => recall(database),
        "builds" => engine.databases().map(|databases| activity::builds(&databases)).unwrap_or_default(),
        "activity" => engine.databases().map(|databases| activity::rows(&databases)).unwrap_or_default(),
        "locks" => engine.databases().map(|databases| seen_locks::rows(&databases)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn time(moment: Option<Timestamp>) -> Value {
    moment.map_or(Value::Null, |moment| Value::Timestamptz(moment.0))
}

fn count(number: u64) -> Value {
    Value::Int8(i64::try_from(number).unwrap_or(i64::MAX))
}

fn storage(database: &Database) -> Vec<ReportRow> {
    let stats = database.storage_stats();
    vec![vec![
        ("tables", count(stats.table_count as u64)),
        ("table_bytes", count(stats.table_bytes)),
        ("memtable_bytes", count(stats.memtable_bytes as u64)),
        ("log_bytes", count(database.log_bytes())),
        ("arrived_bytes", count(stats.arrived_bytes)),
        ("merged_bytes", count(stats.merged_bytes)),
        ("write_amplification", Value::Float8(stats.write_amplification())),
        ("read_amplification", count(stats.runs_max as u64)),
        ("space_amplification", Value::Float8(stats.space_amplification())),
        ("stalls", count(stats.stalls)),
        ("stall_ms", Value::Float8(stats.stall_micros as f64 / 1e3)),
        ("stall_ms_max", Value::Float8(stats.stall_micros_max as f64 / 1e3)),
        ("stalled", count(stats.stalled as u64)),
        ("flushes_failing", count(stats.flushes_failing as u64)),
        ("cache_bytes", count(stats.cache_bytes as u64)),
        ("cache_hits", count(stats.cache_hits)),
        ("cache_misses", count(stats.cache_misses)),
    ]]
}

/// Each moment that somebody looks at. Those at the first hold back the space of all that died since, unless it is the
/// newest. `log_from` is where the records of an open transaction begin that keep the log.
fn snapshots(database: &Database) -> Vec<ReportRow> {
    let (newest, held) = (database.published(), database.snapshots());
    let first = held.first().map(|held| held.seq).filter(|first| *first < newest);
    let kept = database.kept_log();
    let row = |held: HeldSnapshot| {
        let session = match held.holder {
            Holder::Transaction(session) => session,
            _ => None,
        };
        let kept = kept.iter().find(|kept| session.is_some() && kept.session == session);
        vec![
            ("position", count(held.seq.0)),
            ("holder", Value::Text(held.holder.name().into())),
            ("pid", session.map_or(Value::Null, Value::Int4)),
            ("log_bytes_behind", count(newest.0.saturating_sub(held.seq.0))),
            ("holds_back_space", Value::Bool(first == Some(held.seq))),
            ("log_from", kept.map_or(Value::Null, |kept| count(kept.first.0))),
        ]
    };
    held.into_iter().map(row).collect()
}

/// A row per purpose, with its bound if it has one; then what the process as a whole has.
fn memory(engine: &Engine) -> Vec<ReportRow> {
    let (budget, usage) = (engine.budget, engine.database.memory());
    let row = |kind: &str, bytes: u64, bytes_max: Option<u64>, evictable| {
        vec![
            ("kind", Value::Text(kind.into())),
            ("bytes", count(bytes)),
            ("bytes_max", bytes_max.map_or(Value::Null, count)),
            ("evictable", Value::Bool(evictable)),
        ]
    };
    let mut rows = vec![
        row("block cache", usage.cache, Some(budget.cache()), false),
        row("memtables", usage.memtables, Some(budget.memtables()), false),
        row("graphs", usage.graphs, Some(budget.graphs()), false),
        row("graphs in files", usage.graphs_spilled, None, true),
        row("metadata indexes", usage.metadata + usage.metadata_texts, Some(budget.metadata()), false),
        row("metadata indexes in files", usage.metadata_spilled, None, true),
        row("inverted indexes", usage.inverted, None, false),
        row("filters and indexes of tables", usage.table_filters, Some(usage.table_filters_max), false),
        row("queries", engine.environment.memory_reserved() as u64, Some(budget.queries()), false),
    ];
    if let Some(resident) = Resident::now() {
        rows.push(row("process", resident.anonymous, Some(budget.bytes()), false));
        rows.push(row("mapped files", resident.mapped, None, true));
    }
    rows
}

/// A row per index, class of queries and effort that was measured.
fn recall(database: &Database) -> Vec<ReportRow> {
    let row = |known: crate::database::MeasuredRecall| {
        let (rows, estimate) = (known.class.rows(), known.estimate);
        vec![
            ("schema", Value::Text(known.schema)),
            ("relation", Value::Text(known.table)),
            ("index", Value::Text(known.index)),
            ("rows_from", count(*rows.start())),
            ("rows_to", count(*rows.end())),
            ("share_to", Value::Float8(known.class.share())),
            ("forced", Value::Bool(known.class.forced())),
            ("bound", count(known.class.bound())),
            ("effort", count(known.effort as u64)),
            ("queries", Value::Float8(estimate.queries)),
            ("recall", Value::Float8(estimate.mean)),
            ("recall_low", Value::Float8(estimate.low)),
        ]
    };
    database.measured_recall().into_iter().map(row).collect()
}

fn scrub(database: &Database) -> Vec<ReportRow> {
    let scrub = database.scrub_state();
    vec![vec![
        ("running", Value::Bool(scrub.running)),
        ("runs", count(scrub.runs)),
        ("started", time(scrub.started)),
        ("finished", time(scrub.finished)),
        ("files", count(scrub.files)),
        ("bytes", count(scrub.bytes)),
        ("findings", count(scrub.findings.len() as u64)),
    ]]
}

fn scrub_findings(database: &Database) -> Vec<ReportRow> {
    let finding = |finding: crate::database::scrub::Finding| {
        vec![
            ("found", time(Some(finding.found))),
            ("relation", finding.table.map_or(Value::Null, Value::Text)),
            ("kind", Value::Text(finding.kind.name().into())),
            ("file", Value::Text(finding.file)),
            ("message", Value::Text(finding.message)),
            ("action", Value::Text(finding.action.into())),
        ]
    };
    database.scrub_state().findings.into_iter().map(finding).collect()
}

fn archiver(database: &Database) -> Vec<ReportRow> {
    let archived = database.archived();
    let text = |last: &Option<(String, Timestamp)>| {
        last.as_ref().map_or(Value::Null, |(text, _)| Value::Text(text.clone()))
    };
    let moment = |last: &Option<(String, Timestamp)>| time(last.as_ref().map(|(_, moment)| *moment));
    vec![vec![
        ("archived_count", count(archived.count)),
        ("last_archived_wal", text(&archived.last)),
        ("last_archived_time", moment(&archived.last)),
        ("failed_count", count(archived.failures)),
        ("last_failed_wal", text(&archived.last_failure)),
        ("last_failed_time", moment(&archived.last_failure)),
    ]]
}
