//! Queries from text to rows over a real database in memory, without sessions.
//!
//! [`World`] is the only helper that touches the API: it holds a table `t (id bigint primary key, category integer,
//! name text, v vector(4))` and runs queries in a transaction.

mod knn;
mod plans;
mod shapes;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;

use crate::catalog::{self, Catalog, Constraint, ConstraintKind, Oid, Table};
use crate::database::{Database, Isolation, OnConflict, Options, Stop, Transaction};
use crate::error::{Error, Result};
use crate::fs::Fs;
use crate::fs::memory::MemoryFs;
use crate::planner::bindings::{Execution, SearchSettings, SessionContext};
use crate::planner::environment::Environment;
use crate::planner::system::NoSystemCatalog;
use crate::sql::query::{ExplainOptions, PlanContext, Query, plan};
use crate::sql::statement::Ast;
use crate::types::arrow::{to_scalar, value_at};
use crate::types::{Type, Value, text};

pub struct World {
    pub database: Arc<Database>,
    pub environment: Arc<Environment>,
    pub table: Oid,
    pub settings: SearchSettings,
}

struct NoSession(Arc<Catalog>);

impl SessionContext for NoSession {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0)
    }
    fn current_user(&self) -> String {
        "tester".into()
    }
    fn session_user(&self) -> String {
        "tester".into()
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
        1
    }
    fn setting(&self, _name: &str) -> Option<String> {
        None
    }
    fn set_setting(&self, _name: &str, value: &str, _local: bool) -> Result<String> {
        Ok(value.into())
    }
    fn nextval(&self, _sequence: &str) -> Result<i64> {
        Err(Error::unsupported("sequences"))
    }
    fn currval(&self, _sequence: &str) -> Result<i64> {
        Err(Error::unsupported("sequences"))
    }
    fn setval(&self, _sequence: &str, _value: i64, _called: bool) -> Result<i64> {
        Err(Error::unsupported("sequences"))
    }
    fn lastval(&self) -> Result<i64> {
        Err(Error::unsupported("sequences"))
    }
}

pub fn done<T>(outcome: std::result::Result<T, Stop>) -> T {
    match outcome {
        Ok(value) => value,
        Err(Stop::Error(error)) => panic!("{error}"),
        Err(Stop::Wait(waiter)) => panic!("{waiter:?}"),
    }
}

impl World {
    /// An empty table.
    pub fn new() -> World {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let options = Options {
            background: false,
            build_threads: 1,
            storage: crate::storage::Options::tiny(),
            log_segment_bytes: 1 << 20,
            ..Options::default()
        };
        let database = Database::open(fs, std::path::Path::new("/db"), options).unwrap();
        let mut txn = database.begin(Isolation::ReadCommitted);
        let table = txn.new_oid();
        let key = Constraint::new(txn.new_oid(), "t_pkey", ConstraintKind::PrimaryKey { columns: vec![1] });
        let columns = [
            ("id", Type::Int8),
            ("category", Type::Int4),
            ("name", Type::Text),
            ("v", Type::Vector(Some(4))),
        ];
        let definition = Table {
            oid: table,
            schema: "public".into(),
            name: "t".into(),
            columns: columns
                .into_iter()
                .enumerate()
                .map(|(n, (name, ty))| column(n as u16 + 1, name, ty))
                .collect(),
            constraints: vec![key],
            ..Table::default()
        };
        done(txn.create_table(definition, Vec::new()));
        txn.commit().unwrap();
        let environment = Environment::new(Arc::new(NoSystemCatalog), 256 << 20).unwrap();
        World { database, environment, table, settings: SearchSettings::default() }
    }

    pub fn begin(&self) -> Transaction {
        let mut txn = self.database.begin(Isolation::ReadCommitted);
        txn.start_statement();
        txn
    }

    pub fn insert(&self, txn: &mut Transaction, rows: Vec<Vec<Value>>) {
        done(txn.insert(self.table, &rows, OnConflict::Error));
    }

    pub fn plan(&self, txn: &Transaction, sql: &str) -> Result<Query> {
        let mut statements = crate::sql::dialect::parse(sql)?;
        let Ast::Query(query) = statements.remove(0).ast else { panic!("not a query: {sql}") };
        let catalog = txn.catalog();
        let search_path = ["public".to_owned()];
        let context = PlanContext {
            environment: &self.environment,
            catalog: &catalog,
            search_path: &search_path,
            database: "postgres",
            param_types: &[],
            shapes: true,
            unpopulated: false,
            staged: &[],
        };
        plan(&query, &context)
    }

    pub fn execution(&self, txn: &Transaction, query: &Query, params: &[Value]) -> Execution {
        let snapshots: HashMap<Oid, _> =
            query.tables().iter().map(|oid| (*oid, Arc::new(txn.snapshot(*oid).unwrap()))).collect();
        let params = params.iter().zip(&query.param_types).map(|(value, ty)| to_scalar(value, ty).unwrap());
        Execution {
            params: params.collect(),
            snapshots,
            transaction_time: 1_700_000_000_000_000,
            statement_time: 1_700_000_000_000_000,
            zone: crate::types::Zone::UTC,
            settings: self.settings.clone(),
            staged: Vec::new(),
            session: Arc::new(NoSession(txn.catalog())),
            reads: None,
            once: Arc::default(),
            outer: None,
            cancel: Arc::default(),
        }
    }

    /// Rows of a planned query, each as its cells' texts.
    pub fn run(&self, txn: &Transaction, query: &Query, params: &[Value]) -> Result<Vec<Vec<String>>> {
        let execution = self.execution(txn, query, params);
        block_on(async {
            let mut stream = query.execute(execution, None).await?;
            let mut rows = Vec::new();
            while let Some(batch) = stream.next().await {
                rows.extend(texts(&batch?, query));
            }
            Ok(rows)
        })
    }

    pub fn query(&self, txn: &Transaction, sql: &str, params: &[Value]) -> Result<Vec<Vec<String>>> {
        let query = self.plan(txn, sql)?;
        self.run(txn, &query, params)
    }

    /// In a transaction of its own; cells joined by `|`, rows by newlines.
    pub fn show(&self, sql: &str, params: &[Value]) -> String {
        let txn = self.begin();
        match self.query(&txn, sql, params) {
            Ok(rows) => rows.iter().map(|row| row.join("|")).collect::<Vec<_>>().join("\n"),
            Err(error) => format!("{} {}", error.state().0, error.message()),
        }
    }

    pub fn explain(&self, sql: &str, params: &[Value], analyze: bool) -> String {
        self.explain_as(sql, params, ExplainOptions { analyze, ..ExplainOptions::default() })
    }

    pub fn explain_as(&self, sql: &str, params: &[Value], options: ExplainOptions) -> String {
        let txn = self.begin();
        let query = self.plan(&txn, sql).unwrap();
        let execution = self.execution(&txn, &query, params);
        block_on(query.explain(Some(execution), options)).unwrap().lines(options).join("\n")
    }
}

fn column(number: u16, name: &str, ty: Type) -> catalog::Column {
    catalog::Column { not_null: name == "id", ..catalog::Column::new(number, name, ty) }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn texts(batch: &RecordBatch, query: &Query) -> Vec<Vec<String>> {
    let cell = |row: usize, column: usize| {
        let value = value_at(batch.column(column), row, &query.columns[column].ty).unwrap();
        if value == Value::Null { "NULL".to_owned() } else { text::to_string(&value) }
    };
    (0..batch.num_rows())
        .map(|row| (0..batch.num_columns()).map(|column| cell(row, column)).collect())
        .collect()
}

/// `(id, category, name, v)`
pub fn row(id: i64, category: Option<i32>, name: &str, vector: Option<[f32; 4]>) -> Vec<Value> {
    vec![
        Value::Int8(id),
        category.map_or(Value::Null, Value::Int4),
        Value::Text(name.into()),
        vector.map_or(Value::Null, |v| Value::Vector(v.to_vec())),
    ]
}

/// A small generator, the same each time.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn vector(&mut self) -> [f32; 4] {
        std::array::from_fn(|_| (self.below(2_001) as f32 - 1_000.0) / 500.0)
    }
}
