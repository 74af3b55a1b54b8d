//! What all sessions of a server share: the database and the planner's state.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use crate::database::Database;
use crate::error::Result;
use crate::locks::AdvisoryLocks;
use crate::memory::Budget;
use crate::planner::environment::Environment;
use crate::sql::notifications::Exchange;
use crate::sql::system::System;

/// Made once per server; sessions hold it.
pub struct Engine {
    pub database: Arc<Database>,
    pub environment: Arc<Environment>,
    pub advisory: AdvisoryLocks,
    pub notifications: Exchange,
    pub budget: Budget,
    /// Numbers of sessions, as holders of advisory locks.
    pub sessions: AtomicU64,
    /// Settings of the server's configuration, in front of each session's own.
    pub settings: Vec<(String, String)>,
    workers: OnceLock<Handle>,
}

impl Engine {
    /// Sorts, joins and aggregates of all queries together hold what `budget` leaves them.
    pub fn new(
        database: Arc<Database>,
        settings: Vec<(String, String)>,
        budget: Budget,
    ) -> Result<Arc<Engine>> {
        crate::sql::ddl::drop_temporary(&database, None)?;
        let environment = Environment::new(Arc::new(System), budget.queries() as usize)?;
        Ok(Arc::new(Engine {
            database,
            budget,
            environment,
            advisory: AdvisoryLocks::default(),
            notifications: Exchange::default(),
            sessions: AtomicU64::new(0),
            settings,
            workers: OnceLock::new(),
        }))
    }

    /// Gives the threads for what must go on while a connection's own thread computes or listens; the first call counts.
    pub fn set_workers(&self, workers: Handle) {
        let _ = self.workers.set(workers);
    }

    /// Those threads. Sessions that no server runs have the runtime they are in.
    pub fn workers(&self) -> Option<Handle> {
        self.workers.get().cloned().or_else(|| Handle::try_current().ok())
    }
}
