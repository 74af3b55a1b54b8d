//! Views for people: pg_tables, pg_indexes, pg_sequences and the statistics of tables.

use std::collections::HashSet;

use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::system::definitions::{index_definition, view_definition};
use crate::sql::system::relation::{Relation, Rows, cells};
use crate::sql::system::server::report;
use crate::sql::system::{HITHER, OWNER, PG_CATALOG, listed_views, names};

pub const RELATIONS: &[Relation] = &[
    Relation {
        oid: 12_033,
        schema: PG_CATALOG,
        name: "pg_tables",
        kind: 'v',
        columns: "schemaname name, tablename name, tableowner name = postgres, tablespace name, hasindexes bool = f, \
            hasrules bool = f, hastriggers bool = f, rowsecurity bool = f",
        rows: tables,
    },
    Relation {
        oid: 12_043,
        schema: PG_CATALOG,
        name: "pg_indexes",
        kind: 'v',
        columns: "schemaname name, tablename name, indexname name, tablespace name, indexdef text",
        rows: indexes,
    },
    Relation {
        oid: 12_048,
        schema: PG_CATALOG,
        name: "pg_sequences",
        kind: 'v',
        columns: "schemaname name, sequencename name, sequenceowner name = postgres, data_type text, start_value int8, \
            min_value int8, max_value int8, increment_by int8, cycle bool, cache_size int8, last_value int8",
        rows: sequences,
    },
    Relation {
        oid: 12_028,
        schema: PG_CATALOG,
        name: "pg_views",
        kind: 'v',
        columns: "schemaname name, viewname name, viewowner name = postgres, definition text",
        rows: views,
    },
    Relation {
        oid: 12_038,
        schema: PG_CATALOG,
        name: "pg_matviews",
        kind: 'v',
        columns: "schemaname name, matviewname name, matviewowner name, tablespace name, hasindexes bool, \
            ispopulated bool, definition text",
        rows: materialized_views,
    },
    Relation {
        oid: 12_161,
        schema: PG_CATALOG,
        name: "pg_stat_user_tables",
        kind: 'v',
        columns: STAT_TABLES,
        rows: table_statistics,
    },
    Relation {
        oid: 12_152,
        schema: PG_CATALOG,
        name: "pg_stat_all_tables",
        kind: 'v',
        columns: STAT_TABLES,
        rows: table_statistics,
    },
    Relation {
        oid: 12_173,
        schema: PG_CATALOG,
        name: "pg_statio_all_tables",
        kind: 'v',
        columns: STATIO_TABLES,
        rows: table_blocks,
    },
    Relation {
        oid: 12_181,
        schema: PG_CATALOG,
        name: "pg_statio_user_tables",
        kind: 'v',
        columns: STATIO_TABLES,
        rows: table_blocks,
    },
    Relation {
        oid: 12_192,
        schema: PG_CATALOG,
        name: "pg_stat_user_indexes",
        kind: 'v',
        columns: STAT_INDEXES,
        rows: index_statistics,
    },
    Relation {
        oid: 13_302,
        schema: HITHER,
        name: "snapshots",
        kind: 'v',
        columns: "position int8, holder text, pid int4, log_bytes_behind int8, holds_back_space bool, \
            log_from int8",
        rows: |execution, rows| report(execution, rows, "snapshots"),
    },
    Relation {
        oid: 12_183,
        schema: PG_CATALOG,
        name: "pg_stat_all_indexes",
        kind: 'v',
        columns: STAT_INDEXES,
        rows: index_statistics,
    },
];

/// What is not counted is NULL.
const STAT_TABLES: &str = "relid oid, schemaname name, relname name, seq_scan int8, last_seq_scan timestamptz, \
    seq_tup_read int8, idx_scan int8, last_idx_scan timestamptz, idx_tup_fetch int8, n_tup_ins int8, n_tup_upd int8, \
    n_tup_del int8, n_tup_hot_upd int8, n_tup_newpage_upd int8, n_live_tup int8, n_dead_tup int8, \
    n_mod_since_analyze int8, n_ins_since_vacuum int8, last_vacuum timestamptz, last_autovacuum timestamptz, \
    last_analyze timestamptz, last_autoanalyze timestamptz, vacuum_count int8, autovacuum_count int8, \
    analyze_count int8, autoanalyze_count int8";

const STATIO_TABLES: &str = "relid oid, schemaname name, relname name, heap_blks_read int8, heap_blks_hit int8, \
    idx_blks_read int8, idx_blks_hit int8, toast_blks_read int8, toast_blks_hit int8, tidx_blks_read int8, \
    tidx_blks_hit int8";

const STAT_INDEXES: &str = "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, idx_scan int8, \
    last_idx_scan timestamptz, idx_tup_read int8, idx_tup_fetch int8";

fn tables(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    let indexed: HashSet<u32> = catalog.indexes_and_parts().map(|index| index.table).collect();
    for table in catalog.tables_and_parts().filter(|table| table.materialized.is_none()) {
        rows.add(cells! {
            schemaname: &table.schema, tablename: &table.name, tableowner: OWNER,
            hasindexes: indexed.contains(&table.known_as()),
        });
    }
    for view in listed_views().filter(|view| view.relation.kind == 'r') {
        rows.add(
            cells! { schemaname: view.relation.schema, tablename: view.relation.name, tableowner: OWNER },
        );
    }
    Ok(())
}

fn indexes(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for index in catalog.indexes_and_parts() {
        let Some(table) = catalog.rows_by_oid(index.table) else { continue };
        rows.add(cells! {
            schemaname: &table.schema, tablename: &table.name, indexname: &index.name,
            indexdef: index_definition(&catalog, index, false, names::extension_prefix(execution)),
        });
    }
    Ok(())
}

fn sequences(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for sequence in execution.session.catalog().sequences() {
        let (last, is_called) = execution.session.sequence_state(sequence.oid)?;
        rows.add(cells! {
            schemaname: &sequence.schema, sequencename: &sequence.name, data_type: sequence.ty.to_string(),
            start_value: sequence.start, min_value: sequence.min, max_value: sequence.max,
            increment_by: sequence.increment, cycle: sequence.cycle, cache_size: sequence.cache, last_value: is_called.then_some(last),
        });
    }
    Ok(())
}

fn materialized_views(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for table in catalog.tables() {
        let Some(materialized) = &table.materialized else { continue };
        rows.add(cells! {
            schemaname: &table.schema, matviewname: &table.name, matviewowner: OWNER,
            hasindexes: catalog.indexes_of(table.oid).next().is_some(), ispopulated: materialized.populated,
            definition: view_definition(table.oid, execution),
        });
    }
    Ok(())
}

fn views(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for view in execution.session.catalog().views() {
        rows.add(cells! {
            schemaname: &view.schema, viewname: &view.name, definition: view_definition(view.oid, execution),
        });
    }
    for view in listed_views().filter(|view| view.relation.kind == 'v') {
        rows.add(cells! { schemaname: view.relation.schema, viewname: view.relation.name });
    }
    Ok(())
}

fn table_statistics(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for table in execution.session.catalog().tables() {
        let (live, dead) = execution.session.garbage(table.oid).unwrap_or_default();
        rows.add(cells! {
            relid: table.oid, schemaname: &table.schema, relname: &table.name, n_live_tup: live as i64,
            n_dead_tup: dead as i64,
        });
    }
    Ok(())
}

/// Blocks are not counted.
fn table_blocks(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for table in execution.session.catalog().tables() {
        rows.add(cells! { relid: table.oid, schemaname: &table.schema, relname: &table.name });
    }
    Ok(())
}

fn index_statistics(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let catalog = execution.session.catalog();
    for index in catalog.indexes() {
        let Some(table) = catalog.table_by_oid(index.table) else { continue };
        rows.add(cells! {
            relid: table.oid, indexrelid: index.oid, schemaname: &table.schema, relname: &table.name,
            indexrelname: &index.name,
        });
    }
    Ok(())
}
