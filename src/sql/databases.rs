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

use crate::database::cluster::{duplicate, undefined};
use crate::database::{Cluster, MAIN_DATABASE, MAIN_DATABASE_OID, Member};
use crate::error::{Error, Result, SqlState};
use crate::memory::Budget;
use crate::planner::environment::Environment;
use crate::sql::cancel::{CancelFlag, Reason};
use crate::sql::database_words::{AlterDatabase, CreateDatabase, DatabaseChange, DropDatabase};
use crate::sql::engine::Engine;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::shared::Shared;
use crate::sql::system::System;
use crate::sql::transactions::now;

/// How long DROP DATABASE waits for other sessions to leave; PostgreSQL's CountOtherDBBackends waits as long.
const LEAVING_MAX: Duration = Duration::from_secs(5);
/// The databases that CREATE DATABASE copies in PostgreSQL. Here both are empty and nobody is in them: their names are taken.
/// With PostgreSQL's oids.
pub(super) const TEMPLATES: [(u32, &str); 2] = [(4, "template0"), (1, "template1")];

fn is_template(name: &str) -> bool {
    TEMPLATES.iter().any(|(_, template)| *template == name)
}

/// Between two looks.
const LEAVING_REST: Duration = Duration::from_millis(20);

/// All databases of a server, each with what its sessions share.
pub struct Databases {
    cluster: Cluster,
    places: Mutex<BTreeMap<String, Place>>,
    /// That of `postgres`; the others' are made beside it.
    environment: Arc<Environment>,
    budget: Budget,
    settings: Vec<(String, String)>,
    /// Cancelled when the server ends.
    shutdown: CancellationToken,
    workers: OnceLock<Handle>,
    started: i64,
}

/// What there is under a name.
struct Place {
    oid: u32,
    /// `Err` says why it does not open: nobody can connect, and it can be dropped.
    engine: Result<Arc<Engine>>,
    /// Somebody waits for it to be left, to drop it or to call it something else: nobody is admitted meanwhile.
    leaving: bool,
}

/// A session's place in a database, which nobody drops as long as it is taken.
pub struct Seat {
    pub engine: Arc<Engine>,
    /// Cancelled when the session is to end: with the server, with its database, or alone.
    pub ended: CancellationToken,
    /// Cancelled when it is to end whatever it does: not with the server, which lets statements finish.
    pub killed: CancellationToken,
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
    killed: CancellationToken,
    session: Option<(Arc<CancelFlag>, Arc<Shared>)>,
}

impl Occupant {
    fn end(&self) {
        self.ended.cancel();
        self.killed.cancel();
        if let Some((statement, _)) = &self.session {
            statement.raise(Reason::Shutdown);
        }
    }
}

impl Seat {
    fn take(engine: Arc<Engine>, shutdown: &CancellationToken) -> Seat {
        let (ended, killed) = (shutdown.child_token(), CancellationToken::new());
        let number = engine.seats.last.fetch_add(1, Ordering::Relaxed);
        let occupant = Occupant { ended: ended.clone(), killed: killed.clone(), session: None };
        engine.seats.taken.lock().insert(number, occupant);
        Seat { engine, ended, killed, number }
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
            places: Mutex::default(),
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
        for (_, engine) in self.engines() {
            engine.set_workers(workers.clone());
        }
        let _ = self.workers.set(workers);
    }

    /// Cancelled when the server ends.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// A seat in the database. 3D000 when there is none of this name; 55006 when it is about to be dropped or renamed; XX001
    /// when it does not open; 55000 for the templates.
    pub fn admit(&self, name: &str) -> Result<Seat> {
        // Taken under the lock under which DROP DATABASE counts.
        let places = self.places.lock();
        let place = match places.get(name) {
            Some(place) => place,
            None if is_template(name) => {
                let message = format!("database \"{name}\" is not currently accepting connections");
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
            None => return Err(undefined(name)),
        };
        if place.leaving {
            let message = format!("database \"{name}\" is being dropped or renamed");
            return Err(Error::new(SqlState::OBJECT_IN_USE, message));
        }
        Ok(Seat::take(place.engine.clone()?, &self.shutdown))
    }

    pub(super) fn engines(&self) -> Vec<(String, Arc<Engine>)> {
        let places = self.places.lock();
        places.iter().filter_map(|(name, place)| Some((name.clone(), place.engine.clone().ok()?))).collect()
    }

    /// When the server started, microseconds since 1970 UTC.
    pub fn started(&self) -> i64 {
        self.started
    }

    /// (oid, name) of all databases.
    pub fn names(&self) -> Vec<(u32, String)> {
        self.places.lock().iter().map(|(name, place)| (place.oid, name.clone())).collect()
    }

    /// Bytes on disk of a database.
    pub fn bytes_on_disk(&self, oid: u32) -> Option<u64> {
        let engine = self.engines().into_iter().find(|(_, engine)| engine.oid == oid);
        engine.map(|(_, engine)| engine.database.bytes_on_disk())
    }

    /// Checkpoints all and marks their directories as cleanly closed.
    pub fn close(&self) -> Result<()> {
        self.cluster.close()
    }

    fn serve(self: &Arc<Self>, member: Member) -> Result<()> {
        let Member { name, oid, database } = member;
        let environment = match oid {
            MAIN_DATABASE_OID => self.environment.clone(),
            _ => self.environment.beside(),
        };
        let engine = database.and_then(|database| Engine::new(oid, database, self, environment));
        if let (Ok(engine), Some(workers)) = (&engine, self.workers.get()) {
            engine.set_workers(workers.clone());
        }
        if name == MAIN_DATABASE {
            engine.clone()?;
        }
        self.places.lock().insert(name, Place { oid, engine, leaving: false });
        Ok(())
    }

    fn create(self: &Arc<Self>, name: &str, template: Option<&str>) -> Result<()> {
        self.check_free(name)?;
        if let Some(template) = template.filter(|template| !is_template(template)) {
            return match self.places.lock().contains_key(template) {
                true => Err(Error::unsupported(format!("copying the database \"{template}\""))),
                false => {
                    let message = format!("template database \"{template}\" does not exist");
                    Err(Error::new(SqlState::INVALID_CATALOG_NAME, message))
                }
            };
        }
        let member = self.cluster.create(name)?;
        self.serve(member)
    }

    fn remove(&self, name: &str, force: bool, check: &dyn Fn() -> Result<()>) -> Result<()> {
        if is_template(name) {
            let message = "cannot drop a template database";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        if name == MAIN_DATABASE {
            return Err(Error::unsupported(format!("dropping the database \"{MAIN_DATABASE}\"")));
        }
        let place = self.take_when_left(name, force, check)?;
        self.cluster.remove(name).inspect_err(|_| {
            self.places.lock().insert(name.to_owned(), place);
        })
    }

    /// `own` is the database of the session that asks.
    fn rename(&self, name: &str, to: &str, own: &str, check: &dyn Fn() -> Result<()>) -> Result<()> {
        if !self.places.lock().contains_key(name) {
            return Err(undefined(name));
        }
        self.check_free(to)?;
        if name == own {
            let message = "current database cannot be renamed";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if name == MAIN_DATABASE {
            return Err(Error::unsupported(format!("renaming the database \"{MAIN_DATABASE}\"")));
        }
        let place = self.take_when_left(name, false, check)?;
        let renamed = self.cluster.rename(name, to);
        let now = if renamed.is_ok() { to } else { name };
        self.places.lock().insert(now.to_owned(), place);
        renamed
    }

    fn check_free(&self, name: &str) -> Result<()> {
        if self.places.lock().contains_key(name) || is_template(name) {
            return Err(duplicate(name));
        }
        Ok(())
    }

    /// Takes a database off the map once nobody is connected to it; nobody is admitted meanwhile. 55006 when that does not
    /// happen in time, or what `check` says. `force` ends its sessions.
    fn take_when_left(&self, name: &str, force: bool, check: &dyn Fn() -> Result<()>) -> Result<Place> {
        let started = Instant::now();
        let mut first = true;
        loop {
            let mut places = self.places.lock();
            let place = places.get_mut(name).ok_or_else(|| undefined(name))?;
            let count = place.engine.as_ref().map_or(0, |engine| engine.seats.count());
            if first && place.leaving {
                return Err(in_use(name, count.max(1)));
            }
            first = false;
            let refused = match count {
                0 => None,
                count if started.elapsed() >= LEAVING_MAX => Some(in_use(name, count)),
                _ => check().err(),
            };
            if let Some(error) = refused {
                place.leaving = false;
                return Err(error);
            }
            if count == 0 {
                let mut place = places.remove(name).ok_or_else(|| undefined(name))?;
                place.leaving = false;
                return Ok(place);
            }
            place.leaving = true;
            if let (true, Ok(engine)) = (force, &place.engine) {
                engine.seats.end_all();
            }
            drop(places);
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

fn in_use(name: &str, count: usize) -> Error {
    let message = format!("database \"{name}\" is being accessed by other users");
    Error::new(SqlState::OBJECT_IN_USE, message).detail(match count {
        1 => "There is 1 other session using the database.".to_owned(),
        count => format!("There are {count} other sessions using the database."),
    })
}

impl Session {
    /// CREATE DATABASE
    pub(super) async fn create_database(&mut self, create: &CreateDatabase) -> Result<Response> {
        self.refuse_in_block("CREATE DATABASE")?;
        create.owner.as_deref().map_or(Ok(()), |owner| self.check_owner(owner))?;
        let CreateDatabase { name, template, .. } = create.clone();
        self.on_databases(move |databases, _| databases.create(&name, template.as_deref())).await?;
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
        match self.on_databases(move |databases, check| databases.remove(&name, force, check)).await {
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
            DatabaseChange::Rename(to) => {
                self.refuse_in_block("ALTER DATABASE ... RENAME")?;
                let (to, own) = (to.clone(), self.shared.database.clone());
                self.on_databases(move |databases, check| databases.rename(&name, &to, &own, check)).await?;
            }
            same => {
                if let DatabaseChange::Owner(owner) = same {
                    self.check_owner(owner)?;
                }
                let known = self.shared.engine.databases()?.names();
                if !known.iter().any(|(_, known)| *known == name) {
                    return Err(undefined(&name));
                }
            }
        }
        Ok(done("ALTER DATABASE"))
    }

    /// Runs work that waits for the disk, and for others to leave, beside the threads that serve. It looks at whether the
    /// statement, or the server, is to end.
    async fn on_databases(
        &self,
        work: impl FnOnce(&Arc<Databases>, &dyn Fn() -> Result<()>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let databases = self.shared.engine.databases()?;
        let statement = self.cancel.clone();
        let task = tokio::task::spawn_blocking(move || {
            let check = || match databases.shutdown.is_cancelled() {
                true => Err(Error::new(SqlState::ADMIN_SHUTDOWN, "the server is shutting down")),
                false => statement.check(),
            };
            work(&databases, &check)
        });
        task.await.map_err(|error| Error::internal(format!("work on databases failed: {error}")))?
    }
}
