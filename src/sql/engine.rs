//! What all sessions of a database share: the database and the planner's state.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};

use tokio::runtime::Handle;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::locks::AdvisoryLocks;
use crate::memory::Budget;
use crate::planner::environment::Environment;
use crate::sql::databases::{Databases, Seats};
use crate::sql::notifications::Exchange;
use crate::sql::repeated::Repeated;

/// Made once per database of a server; sessions hold it.
pub struct Engine {
    pub oid: u32,
    pub database: Arc<Database>,
    pub environment: Arc<Environment>,
    pub advisory: AdvisoryLocks,
    pub notifications: Exchange,
    pub budget: Budget,
    /// Numbers of sessions, as holders of advisory locks.
    pub sessions: AtomicU64,
    /// Settings of the server's configuration, in front of each session's own.
    pub settings: Vec<(String, String)>,
    /// Who is connected.
    pub seats: Seats,
    pub repeated: Repeated,
    databases: Weak<Databases>,
    workers: OnceLock<Handle>,
}

impl Engine {
    pub(super) fn new(
        oid: u32,
        database: Arc<Database>,
        databases: &Arc<Databases>,
        environment: Arc<Environment>,
    ) -> Result<Arc<Engine>> {
        crate::sql::ddl::drop_temporary(&database, None)?;
        Ok(Arc::new(Engine {
            oid,
            database,
            budget: databases.budget(),
            environment,
            advisory: AdvisoryLocks::default(),
            notifications: Exchange::default(),
            sessions: AtomicU64::new(0),
            settings: databases.settings().to_vec(),
            seats: Seats::default(),
            repeated: Repeated::new(databases.budget()),
            databases: Arc::downgrade(databases),
            workers: OnceLock::new(),
        }))
    }

    /// All databases of the server.
    pub fn databases(&self) -> Result<Arc<Databases>> {
        self.databases.upgrade().ok_or_else(|| Error::internal("the server has ended"))
    }

    pub(super) fn set_workers(&self, workers: Handle) {
        let _ = self.workers.set(workers);
    }

    /// The threads for what must go on while a connection's own thread computes or listens. Sessions that no server runs
    /// have the runtime they are in.
    pub fn workers(&self) -> Option<Handle> {
        self.workers.get().cloned().or_else(|| Handle::try_current().ok())
    }
}
