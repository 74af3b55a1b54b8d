//! A connection's state and the way of a statement through it.
//!
//! The server calls, per statement: [`Session::parse`] and [`Session::prepare_statement`] (simple protocol) or
//! [`Session::prepare`] (extended protocol), then [`Session::execute`], drains the response, then
//! [`Session::end_implicit`] at the end of a simple query or at Sync, before ReadyForQuery (and, in the simple
//! protocol, before the CommandComplete of the last statement). After each call it drains notices and
//! parameter changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::catalog::{Catalog, Oid};
use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;
use crate::locks::Span;
use crate::sql::arguments;
use crate::sql::backslashes::{self, Rules};
use crate::sql::cancel::{CancelFlag, Timer};
use crate::sql::copy::CopyInState;
use crate::sql::cursors::Cursor;
use crate::sql::ddl::drop_temporary;
use crate::sql::dialect;
use crate::sql::dimensions::dimensions_of;
use crate::sql::engine::Engine;
use crate::sql::known::Known;
use crate::sql::locate::locate;
use crate::sql::notifications::{Mailbox, Notification};
use crate::sql::parameters;
use crate::sql::plans::Plan;
use crate::sql::response::{Notice, Response, Rows, Severity};
use crate::sql::settings::{Settings, Value as SettingValue, id, parse_bool};
use crate::sql::shared::Shared;
use crate::sql::statement::{Ast, Discard, Statement};
use crate::sql::timings::Spent;
use crate::sql::transactions::{Block, State, now};
use crate::table::bindings::ReportRow;
use crate::types::identifiers::quote_ident;
use crate::types::{Look, Type, Value, Zone};

/// The role every data directory has.
pub const SUPERUSER: &str = "postgres";

/// A statement ready to be executed with parameters; reused between executions.
pub struct Prepared {
    /// Types of $1, $2, ...; of those of a domain, its base type.
    pub param_types: Vec<Type>,
    /// The domains of parameters, by number.
    pub(crate) param_domains: BTreeMap<usize, Oid>,
    /// The columns of the rows it yields; `None` when it yields none.
    pub columns: Option<Arc<[OutputColumn]>>,
    /// `None` for an empty query string.
    pub(crate) statement: Option<Statement>,
    pub(crate) plan: Mutex<Planned>,
    /// The statement for arrays of other dimensions, which it was run with last.
    pub(crate) again: Mutex<Option<Arc<Prepared>>>,
    /// Time spent on parsing and planning that no execution has answered for yet.
    pub(crate) making: Mutex<Spent>,
    /// How often its plan was run.
    pub(crate) executions: AtomicI64,
}

impl Prepared {
    /// The oids of the parameters' types, domains among them.
    pub fn param_oids(&self) -> Vec<u32> {
        let oid =
            |(place, ty): (usize, &Type)| self.param_domains.get(&(place + 1)).copied().unwrap_or(ty.oid());
        self.param_types.iter().enumerate().map(oid).collect()
    }
}

/// A prepared statement under its name.
pub struct Saved {
    prepared: Arc<Prepared>,
    /// The text of PREPARE; `None` when the protocol's Parse made it.
    prepare: Option<Arc<str>>,
    at: i64,
}

impl Saved {
    /// A row of pg_prepared_statements, which shows no unnamed statement.
    pub fn row(&self, name: &str) -> Option<ReportRow> {
        if name.is_empty() {
            return None;
        }
        let names = |types: Vec<String>| Value::Array(types.into_iter().map(Value::Text).collect());
        let catalog = self.prepared.plan.lock().catalog.clone();
        let parameters = self.prepared.param_types.iter().enumerate().map(|(place, ty)| {
            let domain =
                self.prepared.param_domains.get(&(place + 1)).and_then(|oid| catalog.domain_by_oid(*oid));
            domain.map_or_else(|| ty.standard_name(), |domain| quote_ident(&domain.name))
        });
        let parsed = self.prepared.statement.as_ref().map(|statement| statement.source.text());
        let text = self.prepare.as_ref().or(parsed).map_or("", |text| &**text);
        let columns = self.prepared.columns.as_ref();
        Some(vec![
            ("name", Value::from(name)),
            ("statement", Value::from(text)),
            ("prepare_time", Value::Timestamptz(self.at)),
            ("parameter_types", names(parameters.collect())),
            (
                "result_types",
                columns.map_or(Value::Null, |columns| {
                    names(columns.iter().map(|c| c.ty.standard_name()).collect())
                }),
            ),
            ("from_sql", Value::Bool(self.prepare.is_some())),
            // A plan takes any parameters.
            ("generic_plans", Value::Int8(self.prepared.executions.load(Ordering::Relaxed))),
        ])
    }
}

/// A plan with what it was made from.
#[derive(Clone)]
pub(crate) struct Planned {
    pub plan: Plan,
    pub catalog: Arc<Catalog>,
    pub search_path: Arc<str>,
    pub look: Look,
}

/// What a client says of a statement's parameters before it is planned.
#[derive(Clone, Copy, Default)]
pub struct Declared<'a> {
    /// Types by place; `None` leaves one to inference.
    pub types: &'a [Option<Type>],
    /// Of the types that are domains' base types, the domains: numbers from 1, and oids.
    pub domains: &'a [(usize, Oid)],
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputColumn {
    pub name: String,
    pub ty: Type,
    /// The table it comes from, 0 when it is computed.
    pub table_oid: u32,
    /// Its number there, 0 when it is computed; that of a system column is negative on the wire.
    pub attnum: u16,
}

/// One client connection. One statement at a time.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cancel: Arc<CancelFlag>,
    pub(crate) state: State,
    pub(crate) cursors: HashMap<String, Cursor>,
    pub(crate) copy: Option<Box<CopyInState>>,
    pub(crate) notices: Vec<Notice>,
    /// Calls of functions that are kept prepared, by the oids of the functions.
    pub(crate) calls: HashMap<Oid, Arc<Prepared>>,
    /// Of the query string that was parsed last, until a statement of it is planned.
    pub(crate) parse_time: Duration,
}

impl Session {
    /// The time zone of moments that name none.
    pub fn zone(&self) -> Zone {
        self.shared.zone()
    }

    /// How its results are shown.
    pub fn look(&self) -> Look {
        self.shared.look()
    }

    /// What its client reads and writes.
    pub fn encoding(&self) -> Encoding {
        self.shared.encoding()
    }

    /// `options` are the startup packet's parameters other than user and database (names of settings, and `options`
    /// with `-c name=value` inside).
    pub fn new(
        engine: Arc<Engine>,
        user: &str,
        database: &str,
        options: &[(String, String)],
    ) -> Result<Session> {
        if user != SUPERUSER {
            return Err(Error::new(SqlState("28000"), format!("role \"{user}\" does not exist")));
        }
        let mut settings = Settings::default();
        for (name, value) in &engine.settings {
            settings.set_startup(name, value)?;
        }
        settings.set_internal(id::SESSION_AUTHORIZATION, SettingValue::Text(user.into()));
        for (name, value) in options {
            startup_option(&mut settings, name, value)?;
        }
        Ok(Session {
            shared: Shared::new(engine, user, database, settings),
            cancel: Arc::default(),
            state: State::default(),
            cursors: HashMap::new(),
            copy: None,
            notices: Vec::new(),
            calls: HashMap::new(),
            parse_time: Duration::ZERO,
        })
    }

    /// Splits and parses a query string. A syntax error anywhere fails the whole string.
    pub fn parse(&mut self, sql: &str) -> Result<Vec<Statement>> {
        let started = Instant::now();
        let rules = Rules::of(&self.shared.settings.lock());
        let parsed = match rules.are_standard() {
            true => dialect::parse(sql),
            false => self.parse_escaped(sql, rules),
        };
        self.parse_time = started.elapsed();
        if parsed.is_err() {
            self.fail();
        }
        parsed
    }

    fn parse_escaped(&mut self, sql: &str, rules: Rules) -> Result<Vec<Statement>> {
        let mut text = backslashes::conform(sql, rules)?;
        for warning in std::mem::take(&mut text.warnings) {
            self.notice(Severity::Warning, warning);
        }
        dialect::parse(&text.sql).map_err(|error| text.located(error))
    }

    /// Plans one statement of a simple query: no parameters.
    pub fn prepare_statement(&mut self, statement: &Statement) -> Result<Arc<Prepared>> {
        let planned = self.plan(Some(statement.clone()), Declared::default());
        let planned = planned.and_then(|prepared| match prepared.param_types.is_empty() {
            true => Ok(prepared),
            false => Err(parameters::absent(statement.text())),
        });
        self.failing(planned, Some(statement))
    }

    /// A type by its oid, those of users among them.
    pub fn type_by_oid(&self, oid: u32) -> Option<Type> {
        self.shared.current_catalog().type_by_oid(oid)
    }

    /// The domain of an oid: its base type.
    pub fn base_type_by_oid(&self, domain: u32) -> Option<Type> {
        Some(self.shared.current_catalog().domain_by_oid(domain)?.base.clone())
    }

    /// Parses and plans for the extended protocol.
    pub fn prepare(&mut self, sql: &str, declared: Declared<'_>) -> Result<Arc<Prepared>> {
        let mut statements = self.parse(sql)?;
        if statements.len() > 1 {
            self.fail();
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let statement = statements.pop();
        let planned = self.plan(statement.clone(), declared);
        // Planning cannot be interrupted; what was cancelled meanwhile ends here.
        let planned = planned.and_then(|planned| self.cancel.begin().map(|()| planned));
        self.failing(planned, statement.as_ref())
    }

    /// A prepared statement for parameters of other types: arrays of other dimensions than it was planned for. The last one
    /// that was made is kept.
    pub fn prepare_again(&mut self, prepared: &Prepared, given: &[Type]) -> Result<Arc<Prepared>> {
        if let Some(kept) = prepared.again.lock().as_ref().filter(|kept| kept.param_types == given) {
            return Ok(Arc::clone(kept));
        }
        let types: Vec<Option<Type>> = given.iter().cloned().map(Some).collect();
        let domains: Vec<(usize, Oid)> =
            prepared.param_domains.iter().map(|(number, oid)| (*number, *oid)).collect();
        let declared = Declared { types: &types, domains: &domains };
        let planned = self.plan(prepared.statement.clone(), declared).and_then(|again| {
            let oids = |columns: &Option<Arc<[OutputColumn]>>| {
                columns
                    .as_ref()
                    .map(|columns| columns.iter().map(|column| column.ty.oid()).collect::<Vec<_>>())
            };
            match oids(&again.columns) == oids(&prepared.columns) {
                true => Ok(again),
                false => {
                    let message = "cached plan must not change result type";
                    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
                }
            }
        });
        let again = self.failing(planned, prepared.statement.as_ref())?;
        *prepared.again.lock() = Some(Arc::clone(&again));
        Ok(again)
    }

    /// The prepared statement for arrays of as many dimensions as the arguments of EXECUTE have, where that is written.
    fn with_dimensions_of(
        &mut self,
        prepared: Arc<Prepared>,
        arguments: &[datafusion::sql::sqlparser::ast::Expr],
    ) -> Result<Arc<Prepared>> {
        let mut types = prepared.param_types.clone();
        for (ty, argument) in types.iter_mut().zip(arguments) {
            if let (1.., Some(found @ 1..)) = (ty.dimensions(), dimensions_of(argument, &Known::default())) {
                *ty = ty.with_dimensions(found);
            }
        }
        match types == prepared.param_types {
            true => Ok(prepared),
            false => self.prepare_again(&prepared, &types),
        }
    }

    /// Runs it. An error leaves the transaction aborted (the session knows); the server still calls
    /// [`Session::end_implicit`]. An error in a response's stream is reported with [`Session::fail`].
    pub async fn execute(&mut self, prepared: &Arc<Prepared>, params: Vec<Value>) -> Result<Response> {
        self.execute_said(None, prepared, params).await
    }

    /// [`Session::execute`] of what a client said in another text, with literals in the place of parameters.
    pub async fn execute_said(
        &mut self,
        said: Option<&Arc<str>>,
        prepared: &Arc<Prepared>,
        params: Vec<Value>,
    ) -> Result<Response> {
        // Places in another text are not the client's.
        let statement = prepared.statement.as_ref().filter(|_| said.is_none());
        if let Err(error) = self.cancel.begin() {
            return self.failing(Err(error), statement);
        }
        if let Some(text) = said.or(statement.map(|statement| statement.source.text())) {
            self.shared.activity.begin(text);
        }
        let timer = self.start_timer();
        let outcome = self.run(prepared, params, timer).await;
        self.failing(outcome, statement)
    }

    /// The client wants more of the rows of a portal that was suspended: each portion has statement_timeout.
    pub fn go_on(&self, prepared: &Prepared, rows: &mut Rows) -> Result<()> {
        self.cancel.begin()?;
        if let Some(statement) = &prepared.statement {
            self.shared.activity.begin(statement.source.text());
        }
        rows.set_timer(self.start_timer());
        Ok(())
    }

    /// A response's stream failed, or the client's message could not be read: the transaction is aborted.
    pub fn fail(&mut self) {
        if self.state.savepoints.is_empty() {
            self.abandon();
        } else {
            // ROLLBACK TO may save what was done before, cursors too.
            self.copy = None;
        }
        self.state.failed = self.state.block != Block::None;
    }

    /// Ends an implicit transaction, if one is open: commits when every statement went well (which waits for the
    /// disk and may fail), else rolls back. Explicit transactions are left alone.
    pub async fn end_implicit(&mut self) -> Result<()> {
        self.state.several_statements = false;
        if self.state.block != Block::Implicit {
            return Ok(());
        }
        if self.state.failed {
            self.roll_back();
            return Ok(());
        }
        self.commit().await
    }

    /// Tells that a simple query of several statements begins: they run in one implicit transaction block.
    pub fn begin_implicit_block(&mut self) {
        self.state.several_statements = true;
    }

    /// `I`dle, in a `T`ransaction, or in a failed one (`E`).
    pub fn transaction_status(&self) -> u8 {
        match (self.state.block, self.state.failed) {
            (Block::None, _) => b'I',
            (_, true) => b'E',
            (_, false) => b'T',
        }
    }

    /// A statement named by the protocol's Parse. 42P05 if the name is taken.
    pub fn save_statement(&mut self, name: &str, prepared: Arc<Prepared>) -> Result<()> {
        self.save(name, prepared, None)
    }

    /// `prepare` is the text of the PREPARE that it comes from.
    fn save(&mut self, name: &str, prepared: Arc<Prepared>, prepare: Option<Arc<str>>) -> Result<()> {
        let mut statements = self.shared.statements.lock();
        if !name.is_empty() && statements.contains_key(name) {
            drop(statements);
            self.fail();
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
        }
        statements.insert(name.to_string(), Saved { prepared, prepare, at: now() });
        Ok(())
    }

    /// 26000 if there is none.
    pub fn saved_statement(&self, name: &str) -> Result<Arc<Prepared>> {
        let found = self.shared.statements.lock().get(name).map(|saved| Arc::clone(&saved.prepared));
        found.ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_string(),
                _ => format!("prepared statement \"{name}\" does not exist"),
            };
            Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    /// Close of a statement; no error if there is none.
    pub fn drop_statement(&mut self, name: &str) {
        // What it held is let go outside the lock.
        let _dropped = self.shared.statements.lock().remove(name);
    }

    fn drop_statements(&mut self) {
        let _dropped = std::mem::take(&mut *self.shared.statements.lock());
    }

    /// Notices since the last call that client_min_messages lets through.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Messages of NOTIFY to tell the client; none within a transaction.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        match self.state.block {
            Block::None => self.shared.mailbox.take(),
            _ => Vec::new(),
        }
    }

    /// How many threads work for the database behind its sessions.
    pub fn others_at_work(&self) -> usize {
        self.shared.engine.database.background_at_work()
    }

    /// Where they come in.
    pub fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.shared.mailbox)
    }

    /// Settings to report by ParameterStatus since the last call; the first call gives all of them.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.shared.settings.lock().take_changes()
    }

    /// Raised by a CancelRequest.
    pub fn cancel_flag(&self) -> &Arc<CancelFlag> {
        &self.cancel
    }

    /// The client has the turn.
    pub fn rest(&self) {
        self.shared.activity.rest(self.transaction_status());
    }

    /// What pg_backend_pid() answers: the number in BackendKeyData.
    pub fn set_process_id(&mut self, process_id: i32) {
        self.shared.process_id.store(process_id, Ordering::Relaxed);
    }

    /// How long the client may be idle now, and what it is then told.
    pub fn idle_limit(&self) -> Option<(Duration, Error)> {
        let settings = self.shared.settings.lock();
        let (setting, state, what) = match self.state.block {
            Block::Explicit => (
                id::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                SqlState("25P03"),
                "terminating connection due to idle-in-transaction timeout",
            ),
            _ => (
                id::IDLE_SESSION_TIMEOUT,
                SqlState("57P05"),
                "terminating connection due to idle-session timeout",
            ),
        };
        let limit = u64::try_from(settings.int(setting)).ok().filter(|&milliseconds| milliseconds > 0)?;
        Some((Duration::from_millis(limit), Error::new(state, what)))
    }

    /// The value SHOW prints.
    pub fn setting(&self, name: &str) -> Result<String> {
        self.shared.settings.lock().show(name)
    }

    pub(crate) fn notice(&mut self, severity: Severity, error: Error) {
        let least = match &*self.shared.settings.lock().text(id::CLIENT_MIN_MESSAGES) {
            "error" => return,
            "warning" => Severity::Warning,
            "log" => Severity::Log,
            level if level.starts_with("debug") => Severity::Debug,
            _ => Severity::Notice,
        };
        if severity >= least {
            self.notices.push(Notice { severity, error });
        }
    }

    /// Aborts the transaction on an error, and gives the error its position.
    pub(crate) fn failing<T>(&mut self, outcome: Result<T>, statement: Option<&Statement>) -> Result<T> {
        outcome.map_err(|error| {
            self.fail();
            let error = match error.state() {
                SqlState::QUERY_CANCELED if self.cancel.is_raised() => self.cancel.error(),
                _ => error,
            };
            match statement {
                Some(statement) => locate(error, statement),
                None => error,
            }
        })
    }

    /// Raises the cancel flag when statement_timeout has passed; stops when dropped.
    fn start_timer(&self) -> Option<Timer> {
        let limit = u64::try_from(self.shared.settings.lock().int(id::STATEMENT_TIMEOUT)).unwrap_or(0);
        let workers = self.shared.engine.workers().filter(|_| limit > 0)?;
        Some(Timer::start(&self.cancel, Duration::from_millis(limit), &workers))
    }

    pub(crate) async fn run(
        &mut self,
        prepared: &Arc<Prepared>,
        params: Vec<Value>,
        timer: Option<Timer>,
    ) -> Result<Response> {
        let Some(statement) = &prepared.statement else { return Ok(Response::Empty) };
        let ast = &statement.ast;
        self.check_not_failed(Some(ast))?;
        self.state.savepoints.observe(ast);
        match ast {
            Ast::Begin { modes, tag } => {
                self.begin(*modes)?;
                return Ok(done(*tag));
            }
            Ast::Commit { chain } => return self.commit_statement(*chain).await,
            Ast::Rollback { chain } => return self.rollback_statement(*chain),
            Ast::SetTransaction { modes, session } => return self.set_transaction(*modes, *session),
            Ast::Savepoint(savepoint) => return self.savepoint(savepoint),
            Ast::Deallocate(name) => return self.deallocate(name.as_deref()),
            Ast::Discard(what) => return self.discard(*what),
            Ast::Checkpoint => return self.checkpoint().await,
            Ast::Backup(to, options) => return self.backup(to, *options).await,
            Ast::Scrub => return self.scrub().await,
            _ => self.ensure_block(),
        }
        self.refuse_writes(ast)?;
        self.dispatch(prepared, statement, params, timer).await
    }

    async fn dispatch(
        &mut self,
        prepared: &Arc<Prepared>,
        statement: &Statement,
        params: Vec<Value>,
        timer: Option<Timer>,
    ) -> Result<Response> {
        let bound;
        let statement = match &statement.ast {
            Ast::Declare { .. } if !params.is_empty() => {
                bound = arguments::with_constants(statement, &prepared.param_types, &params)?;
                &bound
            }
            _ => statement,
        };
        match &statement.ast {
            Ast::Explain(explain) if let Ast::Execute { name, arguments } = &explain.statement => {
                self.explain_execute(prepared, explain.options, name, arguments).await
            }
            Ast::Query(_)
            | Ast::Insert(..)
            | Ast::Update(_)
            | Ast::Delete(_)
            | Ast::Merge(_)
            | Ast::Staged(_)
            | Ast::Explain(_) => self.execute_planned(prepared, params, timer).await,
            Ast::Truncate(truncate) => self.truncate(truncate).await,
            Ast::LockTable(lock) => self.lock_tables(lock).await,
            Ast::Grant(grant) => self.grant(grant),
            Ast::Copy(copy) => self.copy(copy, statement, timer).await,
            Ast::Set { local, name, value } => self.set(*local, name, value),
            Ast::Reset(name) => self.reset(name.as_deref()),
            Ast::Show(name) => self.show(name.as_deref()),
            Ast::Prepare { name, types, statement: inner } => {
                let catalog = self.shared.current_catalog();
                let path = self.shared.schemas(&catalog);
                if types.iter().any(|ty| ty.domain(&catalog, &path).is_some()) {
                    return Err(Error::unsupported("a parameter of a domain"));
                }
                let resolved = types.iter().map(|ty| ty.resolve(&catalog, &path).map(Some));
                let types: Vec<Option<Type>> = resolved.collect::<Result<_>>()?;
                let inner = statement.with_ast((**inner).clone());
                let declared = Declared { types: &types, ..Declared::default() };
                let prepared = self.plan(Some(inner), declared)?;
                self.save(name, prepared, Some(Arc::clone(statement.source.text())))?;
                Ok(done("PREPARE"))
            }
            Ast::Execute { name, arguments } => {
                let prepared = self.saved_statement(name)?;
                let prepared = self.with_dimensions_of(prepared, arguments)?;
                let params = self.arguments(name, &prepared, arguments)?;
                Box::pin(self.run(&prepared, params, timer)).await
            }
            Ast::CreateTableExecute(table, executed) => self.create_table_execute(table, executed).await,
            Ast::Declare { name, query, options } => self.declare(name, query, *options, statement).await,
            Ast::Fetch { name, direction, move_only } => self.fetch(name, *direction, *move_only).await,
            Ast::Close(name) => self.close_cursor(name.as_deref()),
            Ast::SetConstraints { names, deferred } => self.set_constraints(names, *deferred).await,
            Ast::Listen(listening) => {
                self.start_statement()?;
                self.shared.outbox.lock().listen(listening.clone());
                Ok(done(statement.ast.command()))
            }
            Ast::Notify { channel, payload } => {
                self.start_statement()?;
                self.shared.notify(channel, payload)?;
                Ok(done("NOTIFY"))
            }
            Ast::CreateDatabase(create) => self.create_database(create).await,
            Ast::AlterDatabase(alter) => self.alter_database(alter).await,
            Ast::DropDatabase(drop) => self.drop_database(drop).await,
            Ast::Do(block) => self.do_block(block).await,
            Ast::Vacuum { tables, verbose, analyze, .. } => self.vacuum(tables, *verbose, *analyze).await,
            Ast::Analyze(tables) => self.analyze(tables),
            Ast::Reindex { kind, name, concurrently } => {
                self.reindex(*kind, name.as_ref(), *concurrently).await
            }
            ddl => {
                self.start_statement()?;
                self.define(ddl).await
            }
        }
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<Response> {
        match name {
            None => {
                self.drop_statements();
                Ok(done("DEALLOCATE ALL"))
            }
            Some(name) => {
                self.saved_statement(name)?;
                self.drop_statement(name);
                Ok(done("DEALLOCATE"))
            }
        }
    }

    fn discard(&mut self, what: Discard) -> Result<Response> {
        match what {
            Discard::All => {
                self.refuse_in_block("DISCARD ALL")?;
                self.cursors.clear();
                self.show_cursors();
                self.drop_statements();
                self.shared.forget_sequences();
                self.shared.release_advisory(Span::Session);
                drop_temporary(&self.shared.engine.database, Some(&self.shared.temporary_schema()))?;
                self.shared.settings.lock().reset_all();
                self.shared.engine.notifications.leave(&self.shared.mailbox);
                Ok(done("DISCARD ALL"))
            }
            Discard::Sequences => {
                self.shared.forget_sequences();
                Ok(done("DISCARD SEQUENCES"))
            }
            // Those of prepared statements are checked against the catalogue at each execution.
            Discard::Plans => Ok(done("DISCARD PLANS")),
            Discard::Temp => {
                self.refuse_in_block("DISCARD TEMP")?;
                drop_temporary(&self.shared.engine.database, Some(&self.shared.temporary_schema()))?;
                Ok(done("DISCARD TEMP"))
            }
        }
    }
}

impl Drop for Session {
    /// Temporary tables go with the session, once it holds no locks.
    fn drop(&mut self) {
        self.abandon();
        // Plans hold on to the session they run in.
        self.drop_statements();
        self.shared.engine.notifications.leave(&self.shared.mailbox);
        self.shared.release_advisory(Span::Session);
        let schema = self.shared.temporary_schema();
        if let Err(error) = drop_temporary(&self.shared.engine.database, Some(&schema)) {
            log::warn!("temporary tables of a session stay until the next start: {error}");
        }
    }
}

fn startup_option(settings: &mut Settings, name: &str, value: &str) -> Result<()> {
    match name {
        "options" => {
            for (name, value) in command_line_options(value)? {
                settings.set_startup(&name, &value)?;
            }
            Ok(())
        }
        // A walsender's option; anything that means "no" is a plain session.
        "replication" if parse_bool(value) == Some(false) => Ok(()),
        "replication" => Err(Error::unsupported("the replication protocol")),
        // Protocol extensions are negotiated by the server.
        _ if name.starts_with("_pq_.") => Ok(()),
        _ => settings.set_startup(name, value),
    }
}

/// `-c name=value`, `-cname=value`, `--name=value`, with backslashes before spaces.
fn command_line_options(text: &str) -> Result<Vec<(String, String)>> {
    let mut words: Vec<String> = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut().expect("starts with one word").extend(characters.next()),
            c if c.is_whitespace() => words.push(String::new()),
            c => words.last_mut().expect("starts with one word").push(c),
        }
    }
    let mut options = Vec::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let assignment = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(rest), _) => rest.replace('-', "_"),
            (None, Some("")) => words.next().unwrap_or_default(),
            (None, Some(rest)) => rest.to_string(),
            (None, None) => return Err(invalid_option(&word)),
        };
        let (name, value) = assignment.split_once('=').ok_or_else(|| invalid_option(&word))?;
        options.push((name.to_string(), value.to_string()));
    }
    Ok(options)
}

fn invalid_option(word: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("invalid command-line argument for server process: {word}"))
}

pub(crate) fn done(tag: impl Into<String>) -> Response {
    Response::Done { tag: tag.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_split() {
        let options =
            command_line_options("-c search_path=a\\ b -cwork_mem=1MB --statement-timeout=5").unwrap();
        let expected = [("search_path", "a b"), ("work_mem", "1MB"), ("statement_timeout", "5")]
            .map(|(n, v)| (n.into(), v.into()));
        assert_eq!(options, expected);
        assert!(command_line_options("nonsense").is_err());
    }
}
