//! What a session shares with the plans it runs.
//!
//! Functions such as nextval() and set_config() are called while rows stream to the client, after the statement's call
//! has returned. So transaction and settings stand behind short locks here; nothing holds one across an await.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::catalog::{Catalog, Oid, Relation, Sequence, TEMPORARY_SCHEMA, Table, View};
use crate::database::Transaction;
use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;
use crate::locks::{AdvisoryKey, Mode, Span};
use crate::planner::bindings::{SessionContext, Timing};
use crate::planner::environment::Environment;
use crate::sql::activity::Activity;
use crate::sql::ddl::TEMPORARY_ALIAS;
use crate::sql::dialect;
use crate::sql::engine::Engine;
use crate::sql::large_objects::Descriptors;
use crate::sql::notifications::{Mailbox, Notification, Outbox};
use crate::sql::seen_locks;
use crate::sql::session::Saved;
use crate::sql::settings::{Settings, id};
use crate::sql::source::Source;
use crate::sql::statement::Name;
use crate::sql::system::{HITHER, INFORMATION_SCHEMA, PG_CATALOG};
use crate::sql::timings::Timings;
use crate::sql::words::Words;
use crate::table::bindings::ReportRow;
use crate::table::large_objects::LargeObjectCalls;
use crate::types::{Look, Value, Zone};

/// Schemas that exist without being created.
pub const SYSTEM_SCHEMAS: &[&str] = &[PG_CATALOG, INFORMATION_SCHEMA, HITHER];

/// The part of a session that functions see.
pub struct Shared {
    pub engine: Arc<Engine>,
    pub user: String,
    pub database: String,
    pub process_id: AtomicI32,
    pub activity: Activity,
    pub settings: Mutex<Settings>,
    pub transaction: Mutex<Option<Transaction>>,
    /// The number of the transaction, or of the last one, for who cannot wait for its statement; 0 without one.
    pub transaction_number: Arc<AtomicU64>,
    pub timings: Mutex<Timings>,
    sequences: Mutex<SequencesUsed>,
    /// Large objects that the transaction has open.
    pub descriptors: Mutex<Descriptors>,
    /// How often it has changed one.
    pub large_object_changes: AtomicU64,
    /// What the transaction notifies and listens to once it has committed.
    pub outbox: Mutex<Outbox>,
    /// What it hears.
    pub mailbox: Arc<Mailbox>,
    /// Statements named by the protocol's Parse or by PREPARE; one namespace, as in PostgreSQL.
    pub statements: Mutex<BTreeMap<String, Saved>>,
    /// Cursors that DECLARE opened, as pg_cursors shows them.
    pub cursors: Mutex<Vec<ReportRow>>,
    /// This session as a holder of advisory locks.
    holder: u64,
}

/// What currval() and lastval() answer.
#[derive(Default)]
struct SequencesUsed {
    values: HashMap<Oid, i64>,
    last: Option<Oid>,
}

impl Shared {
    pub fn new(engine: Arc<Engine>, user: &str, database: &str, settings: Settings) -> Arc<Shared> {
        let holder = engine.sessions.fetch_add(1, Ordering::Relaxed);
        Arc::new(Shared {
            holder,
            engine,
            user: user.to_string(),
            database: database.to_string(),
            process_id: AtomicI32::new(0),
            activity: Activity::default(),
            settings: Mutex::new(settings),
            transaction: Mutex::new(None),
            transaction_number: Arc::default(),
            timings: Mutex::default(),
            sequences: Mutex::default(),
            descriptors: Mutex::default(),
            large_object_changes: AtomicU64::new(0),
            outbox: Mutex::default(),
            mailbox: Arc::default(),
            statements: Mutex::default(),
            cursors: Mutex::default(),
        })
    }

    /// The number in BackendKeyData.
    pub fn process_id(&self) -> i32 {
        self.process_id.load(Ordering::Relaxed)
    }

    /// The session's time zone.
    pub fn zone(&self) -> Zone {
        self.look().zone
    }

    /// How the session wants values to be shown.
    pub fn look(&self) -> Look {
        self.settings.lock().look()
    }

    /// The client's encoding.
    pub fn encoding(&self) -> Encoding {
        // What is set has been found before.
        Encoding::find(&self.settings.lock().text(id::CLIENT_ENCODING)).unwrap_or(Encoding::UTF8)
    }

    /// What the session's statements are planned in.
    pub fn environment(&self) -> Arc<Environment> {
        self.engine.environment.with_look(self.look())
    }

    /// The schemas in which names are looked for: that of temporary tables, then those of search_path that exist.
    pub fn schemas(&self, catalog: &Catalog) -> Vec<String> {
        let path = self.settings.lock().text(id::SEARCH_PATH);
        let names = split_path(&path).into_iter().map(|name| match name.as_str() {
            "$user" => self.user.clone(),
            _ => name,
        });
        let named =
            names.filter(|name| catalog.schema(name).is_some() || SYSTEM_SCHEMAS.contains(&name.as_str()));
        let own = Some(self.temporary_schema()).filter(|own| catalog.schema(own).is_some());
        own.into_iter().chain(named).collect()
    }

    /// The schema of this session's temporary tables, once it is made.
    pub fn temporary_schema(&self) -> String {
        format!("{TEMPORARY_SCHEMA}{}", self.process_id())
    }

    /// The relation a name means.
    pub fn relation(&self, catalog: &Catalog, name: &Name) -> Option<Relation> {
        match &name.schema {
            Some(schema) if schema == TEMPORARY_ALIAS => {
                catalog.relation(&self.temporary_schema(), &name.name)
            }
            Some(schema) => catalog.relation(schema, &name.name),
            None => self.schemas(catalog).iter().find_map(|schema| catalog.relation(schema, &name.name)),
        }
    }

    /// 0A000 for partitioned tables behind ONLY, of which PostgreSQL reads no rows.
    pub fn refuse_only(&self, catalog: &Catalog, names: &[Name]) -> Result<()> {
        for name in names {
            if let Some(Relation::Table(table)) = self.relation(catalog, name)
                && table.is_partitioned()
            {
                return Err(Error::unsupported("ONLY of a partitioned table"));
            }
        }
        Ok(())
    }

    /// The table a name means; 42P01 when there is none, 42809 when it is something else.
    pub fn table(&self, catalog: &Catalog, name: &Name) -> Result<Arc<Table>> {
        match self.relation(catalog, name) {
            Some(Relation::Table(table)) => Ok(table),
            Some(Relation::Partition(_)) => {
                Err(Error::unsupported(format!("this on a partition alone (\"{}\")", name.name)))
            }
            Some(Relation::View(_)) => Err(Error::unsupported(format!(
                "changing rows or the definition of a view (\"{}\")",
                name.name
            ))),
            Some(_) => {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a table", name.name)))
            }
            None if name.schema.as_deref().is_some_and(|schema| SYSTEM_SCHEMAS.contains(&schema)) => {
                let message = format!("permission denied: \"{}\" is a system catalog", name.name);
                Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
            }
            None => Err(undefined_relation(name)),
        }
    }

    /// The table or partition whose rows a statement names; otherwise as [`Shared::table`].
    pub fn rows_of(&self, catalog: &Catalog, name: &Name) -> Result<Arc<Table>> {
        match self.relation(catalog, name) {
            Some(Relation::Partition(part)) => Ok(part),
            _ => self.table(catalog, name),
        }
    }

    /// The view that a name means, if it means one.
    pub fn view(&self, catalog: &Catalog, name: &Name) -> Option<Arc<View>> {
        match self.relation(catalog, name) {
            Some(Relation::View(view)) => Some(view),
            _ => None,
        }
    }

    /// The table whose rows a statement changes: [`Shared::rows_of`], and 42809 for a materialized view.
    pub fn writable_table(&self, catalog: &Catalog, name: &Name) -> Result<Arc<Table>> {
        let table = self.rows_of(catalog, name)?;
        if table.materialized.is_some() {
            let message = format!("cannot change materialized view \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Ok(table)
    }

    pub fn sequence(&self, catalog: &Catalog, name: &Name) -> Result<Arc<Sequence>> {
        match self.relation(catalog, name) {
            Some(Relation::Sequence(sequence)) => Ok(sequence),
            Some(_) => {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a sequence", name.name)))
            }
            None => Err(undefined_relation(name)),
        }
    }

    /// The schema in which a new object of this name is made.
    pub fn creation_schema(&self, catalog: &Catalog, name: &Name) -> Result<String> {
        let missing = |message: String| Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
        match &name.schema {
            Some(schema) if SYSTEM_SCHEMAS.contains(&schema.as_str()) => {
                let message = format!("permission denied to create \"{schema}.{}\"", name.name);
                Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
                    .detail("System catalog modifications are currently disallowed."))
            }
            Some(schema) if catalog.schema(schema).is_none() => {
                missing(format!("schema \"{schema}\" does not exist"))
            }
            Some(schema) => Ok(schema.clone()),
            None => match self
                .schemas(catalog)
                .into_iter()
                .find(|s| !SYSTEM_SCHEMAS.contains(&s.as_str()) && !s.starts_with(TEMPORARY_SCHEMA))
            {
                Some(schema) => Ok(schema),
                None => missing("no schema has been selected to create in".into()),
            },
        }
    }

    /// Says something to who listens to the channel, when the transaction commits.
    pub fn notify(&self, channel: &str, payload: &str) -> Result<()> {
        let process_id = self.process_id();
        let message = Notification { process_id, channel: channel.to_owned(), payload: payload.to_owned() };
        self.outbox.lock().notify(message)
    }

    /// The next value of a sequence, remembered for currval().
    pub fn nextval_of(&self, sequence: Oid) -> Result<i64> {
        self.check_sequence(sequence, "nextval()")?;
        let value = self.with_transaction(|transaction| transaction.nextval(sequence))?;
        let mut used = self.sequences.lock();
        used.values.insert(sequence, value);
        used.last = Some(sequence);
        Ok(value)
    }

    /// DISCARD SEQUENCES.
    pub fn forget_sequences(&self) {
        *self.sequences.lock() = SequencesUsed::default();
    }

    /// Whether a call may go on waiting for a lock from now on: not once `check` says no, nor longer than lock_timeout.
    pub fn patience<'c>(&self, check: &'c dyn Fn() -> Result<()>) -> impl Fn() -> Result<()> + use<'c> {
        let limit = u64::try_from(self.settings.lock().int(id::LOCK_TIMEOUT)).unwrap_or(0);
        let started = Instant::now();
        move || {
            check()?;
            if limit > 0 && started.elapsed() >= Duration::from_millis(limit) {
                let message = "canceling statement due to lock timeout";
                return Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, message));
            }
            Ok(())
        }
    }

    /// This session as a holder of advisory locks.
    pub fn advisory_owner(&self) -> u64 {
        self.holder
    }

    /// Gives back the session's advisory locks of this span.
    pub fn release_advisory(&self, span: Span) {
        self.engine.advisory.release(self.holder, span);
    }

    pub fn with_transaction<T>(&self, work: impl FnOnce(&mut Transaction) -> Result<T>) -> Result<T> {
        match self.transaction.lock().as_mut() {
            Some(transaction) => work(transaction),
            None => Err(Error::internal("a statement runs outside a transaction")),
        }
    }

    /// The catalogue as the present statement sees it.
    pub fn current_catalog(&self) -> Arc<Catalog> {
        match self.transaction.lock().as_ref() {
            Some(transaction) => transaction.catalog(),
            None => self.engine.database.catalog(),
        }
    }

    /// A sequence by the text given to nextval() and its like.
    fn sequence_by_text(&self, text: &str) -> Result<Arc<Sequence>> {
        self.sequence(&self.current_catalog(), &parse_name(text)?)
    }
}

impl SessionContext for Shared {
    fn advisory_lock(
        &self,
        key: AdvisoryKey,
        mode: Mode,
        span: Span,
        wait: bool,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<bool> {
        let locks = &self.engine.advisory;
        if locks.try_lock(self.holder, key, mode, span) {
            return Ok(true);
        }
        if !wait {
            return Ok(false);
        }
        let go_on = self.patience(check);
        aside(|| locks.lock(self.holder, key, mode, span, &go_on))?;
        Ok(true)
    }

    fn advisory_unlock(&self, key: AdvisoryKey, mode: Mode) -> bool {
        self.engine.advisory.unlock(self.holder, key, mode)
    }

    fn notify(&self, channel: &str, payload: &str) -> Result<()> {
        Shared::notify(self, channel, payload)
    }

    fn transaction_number(&self, assign: bool) -> Result<Option<u64>> {
        self.with_transaction(|transaction| {
            let number = if assign { Some(transaction.assigned_id()) } else { transaction.id() };
            Ok(number.map(|number| number.0))
        })
    }

    fn channels(&self) -> Vec<String> {
        self.engine.notifications.channels(&self.mailbox)
    }

    fn advisory_unlock_all(&self) {
        self.release_advisory(Span::Session);
    }

    fn large_objects(&self) -> Option<&dyn LargeObjectCalls> {
        Some(self)
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.current_catalog()
    }

    fn current_user(&self) -> String {
        self.user.clone()
    }

    fn session_user(&self) -> String {
        self.user.clone()
    }

    fn database(&self) -> String {
        self.database.clone()
    }

    fn search_path(&self) -> Vec<String> {
        self.schemas(&self.current_catalog())
    }

    fn timings(&self) -> Vec<Timing> {
        self.timings.lock().recent()
    }

    fn report(&self, view: &str) -> Vec<ReportRow> {
        match view {
            "cursors" => self.cursors.lock().clone(),
            "prepared_statements" => {
                let statements = self.statements.lock();
                statements.iter().filter_map(|(name, saved)| saved.row(name)).collect()
            }
            _ => crate::sql::reports::rows(&self.engine, view),
        }
    }

    fn garbage(&self, table: Oid) -> Option<(u64, u64)> {
        self.engine.database.garbage(table).map(|garbage| (garbage.rows, garbage.obsolete))
    }

    fn backend_pid(&self) -> i32 {
        self.process_id()
    }

    fn client(&self) -> Option<std::net::SocketAddr> {
        self.activity.client()
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.lock().show(name).ok()
    }

    fn set_setting(&self, name: &str, value: &str, local: bool) -> Result<String> {
        self.settings.lock().set(name, value, local)
    }

    fn nextval(&self, sequence: &str) -> Result<i64> {
        self.nextval_of(self.sequence_by_text(sequence)?.oid)
    }

    fn sequence_state(&self, sequence: Oid) -> Result<(i64, bool)> {
        self.with_transaction(|transaction| transaction.sequence_state(sequence))
    }

    fn currval(&self, sequence: &str) -> Result<i64> {
        let sequence = self.sequence_by_text(sequence)?;
        self.sequences.lock().values.get(&sequence.oid).copied().ok_or_else(|| {
            let message =
                format!("currval of sequence \"{}\" is not yet defined in this session", sequence.name);
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }

    fn setval(&self, sequence: &str, value: i64, called: bool) -> Result<i64> {
        let sequence = self.sequence_by_text(sequence)?;
        self.check_sequence(sequence.oid, "setval()")?;
        if value < sequence.min || value > sequence.max {
            let message = format!(
                "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                sequence.name, sequence.min, sequence.max
            );
            return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        self.with_transaction(|transaction| transaction.setval(sequence.oid, value, called))?;
        if called {
            self.sequences.lock().values.insert(sequence.oid, value);
        }
        Ok(value)
    }

    fn relation_bytes(&self, relation: Oid) -> Option<u64> {
        self.engine.database.relation_bytes(relation)
    }

    fn signal(&self, process_id: i32, terminate: bool) -> bool {
        self.engine.databases().is_ok_and(|databases| databases.signal(process_id, terminate))
    }

    fn blocking_pids(&self, process_id: i32) -> Vec<Value> {
        let databases = self.engine.databases();
        let blocking = databases.map(|databases| seen_locks::blocking(&databases, process_id));
        blocking.unwrap_or_default().into_iter().map(Value::Int4).collect()
    }

    fn server_started(&self) -> Option<i64> {
        Some(self.engine.databases().ok()?.started())
    }

    fn query(&self) -> String {
        self.activity.query().to_string()
    }

    fn databases(&self) -> Vec<(Oid, String)> {
        self.engine.databases().map(|databases| databases.names()).unwrap_or_default()
    }

    fn database_bytes(&self, database: Oid) -> Option<u64> {
        self.engine.databases().ok()?.bytes_on_disk(database)
    }

    fn lastval(&self) -> Result<i64> {
        let last = {
            let used = self.sequences.lock();
            used.last.and_then(|last| Some((last, used.values.get(&last).copied()?)))
        };
        // One that was dropped is forgotten.
        let known = |(last, value)| self.sequence_state(last).ok().map(|_| value);
        last.and_then(known).ok_or_else(|| {
            let message = "lastval is not yet defined in this session";
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }
}

/// Waits inside a call of a function. A long query runs on a worker, which serves other sessions too: those go elsewhere
/// meanwhile.
pub fn aside<T>(waiting: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(waiting),
        _ => waiting(),
    }
}

/// 42P01 at the name's position.
pub fn undefined_relation(name: &Name) -> Error {
    let error = Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"));
    if name.position > 0 { error.position(name.position) } else { error }
}

/// A name as written in a string: `'s'`, `'schema.s'`, `'"S"'`.
pub fn parse_name(text: &str) -> Result<Name> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let source = Source::of(text);
    let mut parser = dialect::parser_of(&source).map_err(|_| invalid())?;
    let mut words = Words::of_piece(&mut parser, &source);
    let name = words.name().map_err(|_| invalid())?;
    if words.at_end() { Ok(Name { position: 0, ..name }) } else { Err(invalid()) }
}

/// The names of a search_path.
fn split_path(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = path.trim();
    while !rest.is_empty() {
        let (name, tail) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"').unwrap_or(quoted.len());
                (quoted[..end].to_string(), quoted.get(end + 1..).unwrap_or(""))
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_lowercase(), &rest[end..])
            }
        };
        names.push(name);
        rest = tail.trim_start().strip_prefix(',').unwrap_or("").trim_start();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split() {
        assert_eq!(split_path("\"$user\", public"), ["$user", "public"]);
        assert_eq!(split_path("Public,\"A b\" , c"), ["public", "A b", "c"]);
        assert_eq!(split_path(""), Vec::<String>::new());
    }

    #[test]
    fn names_parse() {
        let name = parse_name("public.\"S\"").unwrap();
        assert_eq!((name.schema.as_deref(), name.name.as_str()), (Some("public"), "S"));
        assert_eq!(parse_name("T").unwrap().name, "t");
        assert!(parse_name("a b").is_err());
    }
}
