//! The databases of a server: who is connected to which, and CREATE, ALTER and DROP DATABASE.
//!
//! ```text
//!   startup packet "database"  --admit-->  Seat  -- holds -->  Engine of that database
//!   DROP DATABASE: no seat left (or WITH (FORCE) ends them) -> off the map -> off the list -> files go
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::database::{Cluster, MAIN_DATABASE, Member};
use crate::error::{Error, Result, SqlState};
use crate::memory::Budget;
use crate::planner::environment::Environment;
use crate::sql::cancel::{CancelFlag, Reason};
use crate::sql::database_words::{AlterDatabase, DatabaseChange, DropDatabase};
use crate::sql::engine::Engine;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::shared::Shared;
use crate::sql::system::System;
use crate::sql::transactions::now;

/// How long DROP DATABASE waits for other sessions to leave; PostgreSQL's CountOtherDBBackends waits as long.
const LEAVING_MAX: Duration = Duration::from_secs(5);
/// Between two looks.
const LEAVING_REST: Duration = Duration::from_millis(20);

/// All databases of a server, each with what its sessions share.
pub struct Databases {
    cluster: Cluster,
    engines: Mutex<BTreeMap<String, Arc<Engine>>>,
    environment: Arc<Environment>,
    budget: Budget,
    settings: Vec<(String, String)>,
    /// Cancelled when the server ends.
    shutdown: CancellationToken,
    workers: OnceLock<Handle>,
    started: i64,
}

/// A session's place in a database, which nobody drops as long as it is taken.
pub struct Seat {
    pub engine: Arc<Engine>,
    /// Cancelled when the session is to end: with the server, or with its database.
    pub ended: CancellationToken,
    number: u64,
}

/// The seats taken, by number.
#[derive(Default)]
pub struct Seats {
    last: AtomicU64,
    taken: Mutex<BTreeMap<u64, Occupant>>,
}

/// How to end a session and what it runs, and what others may see of it.
struct Occupant {
    ended: CancellationToken,
    session: Option<(Arc<CancelFlag>, Arc<Shared>)>,
}

impl Occupant {
    fn end(&self) {
        self.ended.cancel();
        if let Some((statement, _)) = &self.session {
            statement.raise(Reason::Shutdown);
        }
    }
}

impl Seat {
    fn take(engine: Arc<Engine>, shutdown: &CancellationToken) -> Seat {
        let ended = shutdown.child_token();
        let number = engine.seats.last.fetch_add(1, Ordering::Relaxed);
        engine.seats.taken.lock().insert(number, Occupant { ended: ended.clone(), session: None });
        Seat { engine, ended, number }
    }

    /// The session is seen from here on, and what it runs can be ended.
    pub fn occupy(&self, session: &Session, client: SocketAddr) {
        session.shared.activity.set_client(client);
        if let Some(occupant) = self.engine.seats.taken.lock().get_mut(&self.number) {
            occupant.session = Some((session.cancel_flag().clone(), session.shared.clone()));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.engine.seats.taken.lock().remove(&self.number);
    }
}

impl Seats {
    fn count(&self) -> usize {
        self.taken.lock().len()
    }

    fn end_all(&self) {
        self.taken.lock().values().for_each(Occupant::end);
    }

    /// The sessions, oldest first.
    pub fn sessions(&self) -> Vec<Arc<Shared>> {
        let taken = self.taken.lock();
        taken.values().filter_map(|occupant| Some(occupant.session.as_ref()?.1.clone())).collect()
    }

    /// Cancels the statement of a session, or ends the session; whether there is one of this number.
    pub fn signal(&self, process_id: i32, terminate: bool) -> bool {
        let taken = self.taken.lock();
        for occupant in taken.values() {
            match &occupant.session {
                Some((_, session)) if session.process_id() != process_id => {}
                Some((statement, _)) if !terminate => {
                    statement.raise(Reason::UserRequest);
                    return true;
                }
                Some(_) => {
                    occupant.end();
                    return true;
                }
                None => {}
            }
        }
        false
    }
}

impl Databases {
    /// Sorts, joins and aggregates of all queries together hold what `budget` leaves them.
    pub fn new(cluster: Cluster, settings: Vec<(String, String)>, budget: Budget) -> Result<Arc<Databases>> {
        let environment = Environment::new(Arc::new(System), budget.queries() as usize)?;
        let databases = Arc::new(Databases {
            cluster,
            engines: Mutex::default(),
            environment,
            budget,
            settings,
            shutdown: CancellationToken::new(),
            workers: OnceLock::new(),
            started: now(),
        });
        for member in databases.cluster.members() {
            databases.serve(member)?;
        }
        Ok(databases)
    }

    /// Gives the threads for what must go on while a connection's own thread computes or listens; the first call counts.
    pub fn set_workers(&self, workers: Handle) {
        for engine in self.engines.lock().values() {
            engine.set_workers(workers.clone());
        }
        let _ = self.workers.set(workers);
    }

    /// Cancelled when the server ends.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// A seat in the database; 3D000 when there is none of this name.
    pub fn admit(&self, name: &str) -> Result<Seat> {
        // Taken under the lock under which DROP DATABASE counts.
        let engines = self.engines.lock();
        let engine = engines.get(name).cloned().ok_or_else(|| undefined(name))?;
        Ok(Seat::take(engine, &self.shutdown))
    }

    pub(super) fn engines(&self) -> Vec<(String, Arc<Engine>)> {
        self.engines.lock().iter().map(|(name, engine)| (name.clone(), engine.clone())).collect()
    }

    /// When the server started, microseconds since 1970 UTC.
    pub fn started(&self) -> i64 {
        self.started
    }

    /// (oid, name) of all databases.
    pub fn names(&self) -> Vec<(u32, String)> {
        self.engines.lock().iter().map(|(name, engine)| (engine.oid, name.clone())).collect()
    }

    /// Bytes on disk of a database.
    pub fn bytes_on_disk(&self, oid: u32) -> Option<u64> {
        let engine = self.engines.lock().values().find(|engine| engine.oid == oid).cloned();
        engine.map(|engine| engine.database.bytes_on_disk())
    }

    /// Checkpoints all and marks their directories as cleanly closed.
    pub fn close(&self) -> Result<()> {
        self.cluster.close()
    }

    /// The databases under the server.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn serve(self: &Arc<Self>, member: Member) -> Result<()> {
        let name = member.name.clone();
        let engine = Engine::new(member, self, self.environment.beside())?;
        if let Some(workers) = self.workers.get() {
            engine.set_workers(workers.clone());
        }
        self.engines.lock().insert(name, engine);
        Ok(())
    }

    fn create(self: &Arc<Self>, name: &str) -> Result<()> {
        let member = self.cluster.create(name)?;
        self.serve(member)
    }

    fn remove(&self, name: &str, force: bool) -> Result<()> {
        if name == MAIN_DATABASE {
            return Err(Error::unsupported(format!("dropping the database \"{MAIN_DATABASE}\"")));
        }
        let engine = self.take_when_left(name, force)?;
        self.cluster.remove(name).inspect_err(|_| {
            self.engines.lock().insert(name.to_owned(), engine.clone());
        })
    }

    fn rename(&self, name: &str, to: &str) -> Result<()> {
        if name == MAIN_DATABASE {
            return Err(Error::unsupported(format!("renaming the database \"{MAIN_DATABASE}\"")));
        }
        if self.engines.lock().contains_key(to) {
            let message = format!("database \"{to}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_DATABASE, message));
        }
        let engine = self.take_when_left(name, false)?;
        let renamed = self.cluster.rename(name, to);
        let now = if renamed.is_ok() { to } else { name };
        self.engines.lock().insert(now.to_owned(), engine);
        renamed
    }

    /// Takes a database off the map once nobody is connected to it: 55006 when that does not happen in time. `force` ends
    /// idle sessions, and statements.
    fn take_when_left(&self, name: &str, force: bool) -> Result<Arc<Engine>> {
        let started = Instant::now();
        loop {
            let mut engines = self.engines.lock();
            let engine = engines.get(name).cloned().ok_or_else(|| undefined(name))?;
            let count = engine.seats.count();
            if count == 0 {
                engines.remove(name);
                return Ok(engine);
            }
            drop(engines);
            if force {
                engine.seats.end_all();
            }
            if started.elapsed() >= LEAVING_MAX {
                return Err(in_use(name, count));
            }
            std::thread::sleep(LEAVING_REST);
        }
    }

    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    pub(super) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }
}

fn undefined(name: &str) -> Error {
    Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
}

fn in_use(name: &str, count: usize) -> Error {
    let message = format!("database \"{name}\" is being accessed by other users");
    Error::new(SqlState::OBJECT_IN_USE, message).detail(match count {
        1 => "There is 1 other session using the database.".to_owned(),
        count => format!("There are {count} other sessions using the database."),
    })
}

impl Session {
    /// CREATE DATABASE
    pub(super) async fn create_database(&mut self, name: &str, owner: Option<&str>) -> Result<Response> {
        self.refuse_in_block("CREATE DATABASE")?;
        owner.map_or(Ok(()), |owner| self.check_owner(owner))?;
        let name = name.to_owned();
        self.on_databases(move |databases| databases.create(&name)).await?;
        Ok(done("CREATE DATABASE"))
    }

    /// DROP DATABASE
    pub(super) async fn drop_database(&mut self, drop: &DropDatabase) -> Result<Response> {
        self.refuse_in_block("DROP DATABASE")?;
        if drop.name == self.shared.database {
            let message = "cannot drop the currently open database";
            return Err(Error::new(SqlState::OBJECT_IN_USE, message));
        }
        let DropDatabase { name, if_exists, force } = drop.clone();
        match self.on_databases(move |databases| databases.remove(&name, force)).await {
            Err(error) if if_exists && error.state() == SqlState::INVALID_CATALOG_NAME => {
                let message = format!("database \"{}\" does not exist, skipping", drop.name);
                self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
            }
            outcome => outcome?,
        }
        Ok(done("DROP DATABASE"))
    }

    /// ALTER DATABASE
    pub(super) async fn alter_database(&mut self, alter: &AlterDatabase) -> Result<Response> {
        let name = alter.name.clone();
        match &alter.change {
            DatabaseChange::Owner(owner) => {
                self.check_owner(owner)?;
                self.on_databases(move |databases| databases.admit(&name).map(drop)).await?;
            }
            DatabaseChange::Rename(_) if name == self.shared.database => {
                return Err(Error::unsupported("renaming the current database"));
            }
            DatabaseChange::Rename(to) => {
                self.refuse_in_block("ALTER DATABASE ... RENAME")?;
                let to = to.clone();
                self.on_databases(move |databases| databases.rename(&name, &to)).await?;
            }
        }
        Ok(done("ALTER DATABASE"))
    }

    /// Runs work that waits for the disk, and for others to leave, beside the threads that serve.
    async fn on_databases(
        &self,
        work: impl FnOnce(&Arc<Databases>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let databases = self.shared.engine.databases()?;
        let task = tokio::task::spawn_blocking(move || work(&databases));
        task.await.map_err(|error| Error::internal(format!("work on databases failed: {error}")))?
    }
}
