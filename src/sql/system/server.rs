//! How the server fares: its scrub, its archive, its storage.

use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::system::relation::{Relation, Rows};
use crate::sql::system::{HITHER, PG_CATALOG};

pub const RELATIONS: &[Relation] = &[
    Relation {
        oid: 13_303,
        schema: HITHER,
        name: "scrub",
        kind: 'v',
        columns: "running bool, runs int8, started timestamptz, finished timestamptz, files int8, bytes int8, \
            findings int8",
        rows: |execution, rows| report(execution, rows, "scrub"),
    },
    Relation {
        oid: 13_304,
        schema: HITHER,
        name: "scrub_findings",
        kind: 'v',
        columns: "found timestamptz, relation text, kind text, file text, message text, action text",
        rows: |execution, rows| report(execution, rows, "scrub_findings"),
    },
    Relation {
        oid: 13_305,
        schema: HITHER,
        name: "storage",
        kind: 'v',
        columns: "tables int8, table_bytes int8, memtable_bytes int8, log_bytes int8, arrived_bytes int8, \
            merged_bytes int8, write_amplification float8, read_amplification int8, space_amplification float8, \
            stalls int8, stall_ms float8, stall_ms_max float8, stalled int8, flushes_failing int8, \
            cache_bytes int8, cache_hits int8, cache_misses int8",
        rows: |execution, rows| report(execution, rows, "storage"),
    },
    Relation {
        oid: 13_307,
        schema: HITHER,
        name: "memory",
        kind: 'v',
        columns: "kind text, bytes int8, bytes_max int8, evictable bool",
        rows: |execution, rows| report(execution, rows, "memory"),
    },
    Relation {
        oid: 13_308,
        schema: HITHER,
        name: "recall",
        kind: 'v',
        columns: "schema text, relation text, index text, rows_from int8, rows_to int8, share_to float8, \
            forced bool, bound int8, effort int8, queries float8, recall float8, recall_low float8",
        rows: |execution, rows| report(execution, rows, "recall"),
    },
    Relation {
        oid: 12_223,
        schema: PG_CATALOG,
        name: "pg_stat_archiver",
        kind: 'v',
        columns: "archived_count int8, last_archived_wal text, last_archived_time timestamptz, failed_count int8, \
            last_failed_wal text, last_failed_time timestamptz, stats_reset timestamptz",
        rows: |execution, rows| report(execution, rows, "archiver"),
    },
];

/// The rows that the session has for a view of the server's state.
pub(super) fn report(execution: &Execution, rows: &mut Rows, view: &str) -> Result<()> {
    execution.session.report(view).into_iter().for_each(|row| rows.add(row));
    Ok(())
}
