//! The catalogue's queries, planned and run against a small catalogue, without a server.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use futures::StreamExt;

use crate::catalog::*;
use crate::error::{Error, Result, SqlState};
use crate::planner::bindings::{Execution, SearchSettings, SessionContext};
use crate::planner::environment::Environment;
use crate::sql::query::{self, PlanContext};
use crate::sql::system::System;
use crate::types::arrow::{type_of, value_at};
use crate::types::{Type, Value, text};

/// psql's queries; the file says how it is written.
const PSQL: &str = include_str!("psql.sql");

struct Session(Arc<Catalog>);

impl SessionContext for Session {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0)
    }
    fn current_user(&self) -> String {
        "postgres".into()
    }
    fn session_user(&self) -> String {
        "postgres".into()
    }
    fn database(&self) -> String {
        "postgres".into()
    }
    fn search_path(&self) -> Vec<String> {
        vec!["public".into()]
    }
    fn client(&self) -> Option<std::net::SocketAddr> {
        None
    }

    fn backend_pid(&self) -> i32 {
        7
    }
    fn setting(&self, name: &str) -> Option<String> {
        (name == "application_name").then(|| "test".into())
    }
    fn set_setting(&self, _name: &str, value: &str, _local: bool) -> Result<String> {
        Ok(value.into())
    }
    fn nextval(&self, _sequence: &str) -> Result<i64> {
        Err(Error::unsupported("a sequence in this test"))
    }
    fn sequence_state(&self, _sequence: Oid) -> Result<(i64, bool)> {
        Ok((1, false))
    }
    fn currval(&self, _sequence: &str) -> Result<i64> {
        Err(Error::unsupported("a sequence in this test"))
    }
    fn setval(&self, _sequence: &str, _value: i64, _called: bool) -> Result<i64> {
        Err(Error::unsupported("a sequence in this test"))
    }
    fn lastval(&self) -> Result<i64> {
        Err(Error::unsupported("a sequence in this test"))
    }
    fn relation_bytes(&self, _relation: Oid) -> Option<u64> {
        Some(8192)
    }
}

const ITEMS: Oid = 16_400;
const SEQUENCE: Oid = 16_401;
const PRIMARY: Oid = 16_402;
const HNSW: Oid = 16_404;

/// `CREATE TABLE items (id bigserial PRIMARY KEY, name text NOT NULL DEFAULT 'x' CHECK (name <> ''),
/// embedding vector(3), tags text[]); CREATE INDEX items_embedding_idx ON items USING hnsw (embedding vector_l2_ops)
/// WITH (m = 8)`.
fn catalog() -> Arc<Catalog> {
    let column = |number, name: &str, ty, not_null, default: Option<&str>| Column {
        not_null,
        default: default.map(|sql| DefaultExpr { sql: sql.into() }),
        sequence: default.filter(|sql| sql.starts_with("nextval")).map(|_| SEQUENCE),
        ..Column::new(number, name, ty)
    };
    let table = Table {
        oid: ITEMS,
        schema: "public".into(),
        name: "items".into(),
        storage: 5,
        columns: vec![
            column(1, "id", Type::Int8, true, Some("nextval('items_id_seq'::regclass)")),
            column(2, "name", Type::Text, true, Some("'x'::text")),
            column(3, "embedding", Type::Vector(Some(3)), false, None),
            column(4, "tags", Type::Array(Box::new(Type::Text)), false, None),
        ],
        constraints: vec![
            Constraint::new(16_403, "items_pkey", ConstraintKind::PrimaryKey { columns: vec![1] }),
            Constraint::new(16_405, "items_name_check", ConstraintKind::Check { sql: "name <> ''".into() }),
        ],
        comment: Some("things".into()),
        ..Table::default()
    };
    let index = |oid, name: &str, method, column| Index {
        oid,
        name: name.into(),
        table: ITEMS,
        method,
        columns: vec![column],
        ..Index::default()
    };
    let primary = Index {
        unique: true,
        constraint: Some(16_403),
        ..index(PRIMARY, "items_pkey", IndexMethod::Btree, 1)
    };
    let hnsw = Index {
        included: Vec::new(),
        orders: Vec::new(),
        options: Vec::new(),
        opclasses: vec!["vector_l2_ops".into()],
        hnsw: Some(HnswOptions { metric: IndexMetric::L2, m: 8, ef_construction: 64, quantization: None }),
        ..index(HNSW, "items_embedding_idx", IndexMethod::Hnsw, 3)
    };
    let sequence = Sequence {
        oid: SEQUENCE,
        schema: "public".into(),
        name: "items_id_seq".into(),
        ty: Type::Int8,
        start: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cycle: false,
        cache: 1,
        owned_by: Some((ITEMS, 1)),
        comment: None,
    };
    Arc::new(Catalog::new().apply(&[
        Edit::Put(Object::Table(table)),
        Edit::Put(Object::Index(primary)),
        Edit::Put(Object::Index(hnsw)),
        Edit::Put(Object::Sequence(sequence)),
    ]))
}

/// Runs queries one after the other.
struct Runner {
    runtime: tokio::runtime::Runtime,
    environment: Arc<Environment>,
    catalog: Arc<Catalog>,
}

impl Runner {
    fn new() -> Runner {
        Runner {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            environment: Environment::new(Arc::new(System), 64 << 20).unwrap(),
            catalog: catalog(),
        }
    }

    /// The rows, cells as text; NULL is `~`.
    fn run(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql);
        let mut statements = statements.map_err(|error| Error::internal(error.to_string()))?;
        let Statement::Query(tree) = statements.remove(0) else { panic!("not a query: {sql}") };
        let context = PlanContext {
            environment: &self.environment,
            catalog: &self.catalog,
            search_path: &["public".to_owned()],
            database: "postgres",
            param_types: &[],
            shapes: true,
            unpopulated: false,
            staged: &[],
        };
        let planned = query::plan(&tree, &context)?;
        let execution = Execution {
            params: Vec::new(),
            snapshots: Default::default(),
            transaction_time: 0,
            statement_time: 0,
            zone: crate::types::Zone::UTC,
            settings: SearchSettings::default(),
            staged: Vec::new(),
            session: Arc::new(Session(Arc::clone(&self.catalog))),
            reads: None,
            once: Arc::default(),
            outer: None,
            cancel: Arc::default(),
        };
        let batches: Vec<Result<RecordBatch>> = self
            .runtime
            .block_on(async { Ok::<_, Error>(planned.execute(execution, None).await?.collect().await) })?;
        let mut rows = Vec::new();
        for batch in batches {
            let batch = batch?;
            let schema = batch.schema();
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
                    value_at(column, row, &type_of(field)).map(|value| match value {
                        Value::Null => "~".to_owned(),
                        value => text::to_string(&value),
                    })
                });
                rows.push(cells.collect::<Result<Vec<String>>>()?);
            }
        }
        Ok(rows)
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        let rows = self.run(sql).unwrap_or_else(|error| panic!("{sql}\n{error}"));
        rows.into_iter().map(|row| row.join("|")).collect()
    }
}

#[test]
fn everything_psql_asks_is_answered() {
    let runner = Runner::new();
    let mut failures = Vec::new();
    for entry in PSQL.split("\n--- ").skip(1) {
        let (command, sql) = entry.split_once('\n').unwrap();
        let sql =
            sql.replace("@items_pkey", &PRIMARY.to_string()).replace("@items_id_seq", &SEQUENCE.to_string());
        let sql = sql.replace("@items", &ITEMS.to_string());
        // \sf asks for a function that is not there; PostgreSQL has the same answer for those.
        let missing =
            |error: &Error| command.starts_with("\\sf") && error.state() == SqlState::UNDEFINED_FUNCTION;
        if let Some(error) = runner.run(&sql).err().filter(|error| !missing(error)) {
            failures.push(format!("{command}: {error}\n{sql}\n"));
        }
    }
    assert!(failures.is_empty(), "{} queries fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn descriptions_are_postgres() {
    let runner = Runner::new();
    let one = |sql: &str| runner.lines(sql).join("\n");
    assert_eq!(
        one(&format!("SELECT pg_get_indexdef({HNSW}), pg_get_indexdef('items_pkey'::regclass, 0, true)")),
        "CREATE INDEX items_embedding_idx ON public.items USING hnsw (embedding vector_l2_ops) WITH (m='8')|\
         CREATE UNIQUE INDEX items_pkey ON items USING btree (id)"
    );
    assert_eq!(
        one("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1"),
        "items_name_check|CHECK ((name <> ''::text))\nitems_pkey|PRIMARY KEY (id)"
    );
    assert_eq!(
        one("SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute \
             WHERE attrelid = 'items'::regclass ORDER BY attnum"),
        "id|bigint|t\nname|text|t\nembedding|vector(3)|f\ntags|text[]|f"
    );
    assert_eq!(
        one("SELECT table_name, column_name, data_type, udt_name FROM information_schema.columns \
             WHERE table_schema = 'public' ORDER BY ordinal_position LIMIT 3"),
        "items|id|bigint|int8\nitems|name|text|text\nitems|embedding|USER-DEFINED|vector"
    );
    assert_eq!(
        one("SELECT 'items'::regclass, 'items'::regclass::oid, 16400::regclass::text"),
        "items|16400|items"
    );
    assert_eq!(one("SELECT to_regclass('nowhere'), current_schemas(true)"), "~|{pg_catalog,public}");
    assert_eq!(one("SELECT pg_get_serial_sequence('items', 'id')"), "public.items_id_seq");
    assert_eq!(one("SELECT count(*) > 3 FROM pg_settings"), "t");
    let error = runner.run("SELECT 'nowhere'::regclass").unwrap_err();
    assert_eq!(error.message(), "relation \"nowhere\" does not exist");
}

/// Queries of SQLAlchemy's PostgreSQL dialect, shortened where they repeat themselves.
#[test]
fn orms_find_columns_and_keys() {
    let runner = Runner::new();
    assert_eq!(
        runner.lines(
            "SELECT a.attname AS name, (SELECT pg_get_expr(d.adbin, d.adrelid) AS x FROM pg_catalog.pg_attrdef AS d \
             WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef) AS \"default\", \
             (SELECT json_build_object('always', a.attidentity = 'a', 'start', pg_catalog.pg_sequence.seqstart) AS y \
             FROM pg_catalog.pg_sequence WHERE a.attidentity != '' AND pg_catalog.pg_sequence.seqrelid = \
             CAST(CAST(pg_catalog.pg_get_serial_sequence(CAST(CAST(a.attrelid AS REGCLASS) AS TEXT), a.attname) \
             AS REGCLASS) AS OID)) AS identity_options \
             FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_attribute a ON c.oid = a.attrelid \
             AND a.attnum > 0 AND NOT a.attisdropped WHERE c.relkind = ANY (ARRAY['r', 'p']) \
             AND pg_catalog.pg_table_is_visible(c.oid) AND c.relname IN ('items') ORDER BY a.attnum"
        ),
        ["id|nextval('items_id_seq'::regclass)|~", "name|'x'::text|~", "embedding|~|~", "tags|~|~"]
    );
    assert_eq!(
        runner.lines(
            "SELECT attr.conname, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols FROM \
             (SELECT con.conname, con.ord, a.attname FROM pg_catalog.pg_attribute a JOIN \
             (SELECT conrelid, conname, unnest(conkey) AS attnum, generate_subscripts(conkey, 1) AS ord \
             FROM pg_catalog.pg_constraint WHERE contype = 'p' AND conrelid IN (16400)) AS con \
             ON a.attnum = con.attnum AND a.attrelid = con.conrelid) AS attr GROUP BY attr.conname"
        ),
        ["items_pkey|{id}"]
    );
    assert_eq!(
        runner.lines("SELECT typname FROM pg_type WHERE typname = ANY ('{vector,int4}') ORDER BY 1"),
        ["int4", "vector"]
    );
}

#[test]
fn drivers_find_their_types() {
    let runner = Runner::new();
    assert_eq!(
        runner.lines(
            "SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter \
             FROM pg_type t WHERE t.oid = to_regtype('vector') ORDER BY t.oid"
        ),
        ["vector|16388|16393|vector|,"]
    );
    assert_eq!(
        runner.lines(
            "SELECT t.oid, t.typelem AS elemtype, t.typtype AS kind FROM pg_catalog.pg_type AS t \
             INNER JOIN pg_catalog.pg_namespace ns ON (ns.oid = t.typnamespace) \
             WHERE t.typname = 'vector' AND ns.nspname = 'public'"
        ),
        ["16388|0|b"]
    );
}

#[test]
fn every_relation_can_be_read() {
    let runner = Runner::new();
    for (schema, name) in super::VIEWS.keys() {
        runner.lines(&format!("SELECT * FROM {schema}.{name}"));
    }
    let twice = runner.lines("SELECT oid FROM pg_class GROUP BY oid HAVING count(*) > 1");
    assert!(twice.is_empty(), "oids of several relations: {twice:?}");
}
