//! The transaction of a session: when it begins, what it refuses, how it ends.
//!
//! ```text
//!             statement                    BEGIN
//!   ┌──────┐ ──────────> ┌──────────┐ ──────────────> ┌──────────┐  error   ┌────────┐
//!   │ None │             │ Implicit │                 │ Explicit │ ───────> │ failed │
//!   └──────┘ <────────── └──────────┘                 └──────────┘          └────────┘
//!             end_implicit                   COMMIT, ROLLBACK ──> None <── COMMIT, ROLLBACK
//! ```
//!
//! The core's transaction is begun by the first statement that needs one, so that BEGIN and SET TRANSACTION cost
//! nothing, and is given up at the first error, so that a failed transaction holds no locks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use crate::database::{Commit, Follower, Isolation, Pending, Stop, Transaction};
use crate::error::{Error, Result, SqlState};
use crate::locks::{Resource, Span, Waiter};
use crate::sql::dml::deferred::Constraints;
use crate::sql::notifications::Outbox;
use crate::sql::response::{Response, Severity};
use crate::sql::savepoints::Savepoints;
use crate::sql::session::Session;
use crate::sql::settings::id;
use crate::sql::shared::aside;
use crate::sql::staged::View;
use crate::sql::statement::{Ast, IsolationLevel, Modes};

/// What kind of transaction is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    None,
    /// Begun by a statement; ends with the query string or at Sync.
    Implicit,
    /// Begun by BEGIN.
    Explicit,
}

/// The session's side of its transaction.
pub struct State {
    pub block: Block,
    pub failed: bool,
    /// now(), microseconds since 1970 UTC.
    pub started_at: i64,
    /// A statement has run: the isolation level is fixed.
    pub used: bool,
    /// A query string of several statements is being run.
    pub several_statements: bool,
    pub savepoints: Savepoints,
    /// SET CONSTRAINTS, and what is checked at COMMIT.
    pub constraints: Constraints,
    /// While a statement in parts runs.
    pub view: Option<View>,
}

impl Default for State {
    fn default() -> State {
        State {
            block: Block::None,
            failed: false,
            started_at: 0,
            used: false,
            several_statements: false,
            savepoints: Savepoints::default(),
            constraints: Constraints::default(),
            view: None,
        }
    }
}

/// Microseconds since 1970 UTC.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Session {
    /// Opens a transaction of the kind, with the session's default modes.
    fn open(&mut self, block: Block) {
        self.state.block = block;
        self.state.failed = false;
        self.state.used = false;
        self.state.savepoints = Savepoints::default();
        self.state.constraints = Constraints::default();
        self.state.started_at = now();
        self.shared.settings.lock().begin();
    }

    /// A transaction for a statement that needs one.
    pub(crate) fn ensure_block(&mut self) {
        if self.state.block == Block::None {
            self.open(Block::Implicit);
        }
    }

    /// The core's transaction, with a new statement begun in it.
    pub(crate) fn start_statement(&mut self) -> Result<()> {
        if self.keeps_snapshot() {
            return Ok(());
        }
        self.ensure_block();
        self.state.used = true;
        let isolation = self.isolation()?;
        let mut transaction = self.shared.transaction.lock();
        let (database, session) = (&self.shared.engine.database, self.shared.process_id());
        let number = &self.shared.transaction_number;
        transaction.get_or_insert_with(|| database.begin_for(isolation, session, number)).start_statement();
        drop(transaction);
        self.pin()
    }

    fn isolation(&self) -> Result<Isolation> {
        let level = self.shared.settings.lock().text(id::TRANSACTION_ISOLATION);
        match IsolationLevel::by_name(&level) {
            Some(IsolationLevel::RepeatableRead) => Ok(Isolation::RepeatableRead),
            Some(IsolationLevel::Serializable) => Ok(Isolation::Serializable),
            // PostgreSQL reads no uncommitted rows either.
            _ => Ok(Isolation::ReadCommitted),
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.shared.settings.lock().bool(id::TRANSACTION_READ_ONLY)
    }

    /// 25P02 for all but the end of a failed transaction.
    pub(crate) fn check_not_failed(&self, ast: Option<&Ast>) -> Result<()> {
        if !self.state.failed || ast.is_some_and(Ast::ends_transaction) {
            return Ok(());
        }
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        Err(Error::new(SqlState::IN_FAILED_SQL_TRANSACTION, message))
    }

    /// 25001 for what cannot be undone together with other statements.
    pub(crate) fn refuse_in_block(&self, command: &str) -> Result<()> {
        if self.state.block == Block::Explicit || self.state.several_statements {
            let message = format!("{command} cannot run inside a transaction block");
            return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        Ok(())
    }

    /// BEGIN
    pub(crate) fn begin(&mut self, modes: Modes) -> Result<()> {
        if self.state.block == Block::Explicit {
            let message = "there is already a transaction in progress";
            self.notice(Severity::Warning, Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        } else if self.state.block == Block::Implicit && self.state.used {
            self.state.block = Block::Explicit;
        } else {
            self.open(Block::Explicit);
        }
        self.set_modes(modes)
    }

    /// SET TRANSACTION and SET SESSION CHARACTERISTICS.
    pub(crate) fn set_transaction(&mut self, modes: Modes, session: bool) -> Result<Response> {
        if session {
            let mut settings = self.shared.settings.lock();
            if let Some(level) = modes.isolation {
                settings.set("default_transaction_isolation", level.name(), false)?;
            }
            if let Some(read_only) = modes.read_only {
                settings.set("default_transaction_read_only", on_off(read_only), false)?;
            }
            if let Some(deferrable) = modes.deferrable {
                settings.set("default_transaction_deferrable", on_off(deferrable), false)?;
            }
            return Ok(done("SET"));
        }
        if self.state.block != Block::Explicit && !self.state.several_statements {
            let message = "SET TRANSACTION can only be used in transaction blocks";
            self.notice(Severity::Warning, Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
            return Ok(done("SET"));
        }
        self.set_modes(modes)?;
        Ok(done("SET"))
    }

    fn set_modes(&mut self, modes: Modes) -> Result<()> {
        let mut settings = self.shared.settings.lock();
        if let Some(level) = modes.isolation {
            let changes = *settings.text(id::TRANSACTION_ISOLATION) != *level.name();
            if changes && !self.state.savepoints.is_empty() {
                let message = "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction";
                return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
            }
            if self.state.used && *settings.text(id::TRANSACTION_ISOLATION) != *level.name() {
                let message = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
                return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
            }
            settings.set("transaction_isolation", level.name(), true)?;
        }
        if let Some(read_only) = modes.read_only {
            if !read_only && self.state.used && settings.bool(id::TRANSACTION_READ_ONLY) {
                let message = "transaction read-write mode must be set before any query";
                return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
            }
            settings.set("transaction_read_only", on_off(read_only), true)?;
        }
        if let Some(deferrable) = modes.deferrable {
            if self.state.used {
                let message = "SET TRANSACTION [NOT] DEFERRABLE must be called before any query";
                return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
            }
            settings.set("transaction_deferrable", on_off(deferrable), true)?;
        }
        Ok(())
    }

    /// COMMIT
    pub(crate) async fn commit_statement(&mut self, chain: bool) -> Result<Response> {
        self.warn_without_block(chain, "COMMIT")?;
        let modes = self.modes();
        let tag = if self.state.failed {
            self.roll_back();
            "ROLLBACK"
        } else {
            self.commit().await?;
            "COMMIT"
        };
        self.chain(chain, modes)?;
        Ok(done(tag))
    }

    /// ROLLBACK
    pub(crate) fn rollback_statement(&mut self, chain: bool) -> Result<Response> {
        self.warn_without_block(chain, "ROLLBACK")?;
        let modes = self.modes();
        self.roll_back();
        self.chain(chain, modes)?;
        Ok(done("ROLLBACK"))
    }

    fn warn_without_block(&mut self, chain: bool, command: &str) -> Result<()> {
        if self.state.block == Block::Explicit {
            return Ok(());
        }
        if chain {
            let message = format!("{command} AND CHAIN can only be used in transaction blocks");
            return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        let message = "there is no transaction in progress";
        self.notice(Severity::Warning, Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        Ok(())
    }

    fn modes(&self) -> Modes {
        let settings = self.shared.settings.lock();
        Modes {
            isolation: IsolationLevel::by_name(&settings.text(id::TRANSACTION_ISOLATION)),
            read_only: Some(settings.bool(id::TRANSACTION_READ_ONLY)),
            deferrable: Some(settings.bool(id::TRANSACTION_DEFERRABLE)),
        }
    }

    fn chain(&mut self, chain: bool, modes: Modes) -> Result<()> {
        if chain {
            self.open(Block::Explicit);
            self.set_modes(modes)?;
        }
        Ok(())
    }

    /// Commits what is open; on failure everything is rolled back.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        if let Err(error) = self.prepare_commit().await {
            self.roll_back();
            return Err(error);
        }
        let transaction = self.shared.transaction.lock().take();
        self.close_cursors();
        // They hold on to what the commit hands over.
        self.shared.descriptors.lock().clear();
        self.state.savepoints = Savepoints::default();
        let outbox = std::mem::take(&mut *self.shared.outbox.lock());
        let exchange = &self.shared.engine.notifications;
        // Messages are heard in the order of commits.
        let _turn = if outbox.notifies() { Some(exchange.turn().await) } else { None };
        let committed = match transaction {
            Some(mut transaction) => {
                let synchronous = self.shared.settings.lock().text(id::SYNCHRONOUS_COMMIT);
                transaction.wait_for_disk(&*synchronous != "off");
                commit(transaction).await
            }
            None => Ok(()),
        };
        if committed.is_ok() && !outbox.is_empty() {
            exchange.deliver(outbox, &self.shared.mailbox);
        }
        self.shared.release_advisory(Span::Transaction);
        self.state.block = Block::None;
        self.state.failed = false;
        let mut settings = self.shared.settings.lock();
        match &committed {
            Ok(()) => settings.commit(),
            Err(_) => settings.rollback(),
        }
        committed
    }

    /// What is still to be done and asked before a commit.
    async fn prepare_commit(&mut self) -> Result<()> {
        self.check_deferred(false).await?;
        self.keep_cursors().await?;
        self.clear_temporary().await?;
        self.make_room()?;
        if self.shared.transaction.lock().is_some() {
            self.retry(Transaction::serialize).await?;
        }
        Ok(())
    }

    /// Waits until memory has room for what is committed, as long as cancel requests and statement_timeout allow.
    fn make_room(&mut self) -> Result<()> {
        // Others may ask meanwhile what the session does.
        let Some(mut transaction) = self.shared.transaction.lock().take() else { return Ok(()) };
        let (cancel, activity) = (&self.cancel, &self.shared.activity);
        let outcome = aside(|| {
            transaction.make_room(&mut || {
                activity.wait(Some(("IO", "MemtableFlush")));
                cancel.check()
            })
        });
        self.shared.activity.wait(None);
        *self.shared.transaction.lock() = Some(transaction);
        outcome
    }

    /// Undoes what is open.
    pub(crate) fn roll_back(&mut self) {
        self.abandon();
        self.state.block = Block::None;
        self.state.failed = false;
        self.shared.settings.lock().rollback();
    }

    /// Gives up the core's transaction, and with it all locks, while the block goes on as failed.
    pub(crate) fn abandon(&mut self) {
        self.stop_reading();
        self.state.view = None;
        self.state.constraints = Constraints::default();
        *self.shared.outbox.lock() = Outbox::default();
        self.state.savepoints = Savepoints::default();
        self.shared.descriptors.lock().clear();
        if let Some(transaction) = self.shared.transaction.lock().take() {
            transaction.rollback();
        }
        self.shared.release_advisory(Span::Transaction);
    }

    /// Gives up what still reads from the transaction or writes to it.
    pub(crate) fn stop_reading(&mut self) {
        self.close_cursors();
        self.copy = None;
    }

    /// Waits for a lock, as long as lock_timeout and cancel requests allow. `waited` is kept from one wait of a statement
    /// to the next: a lock may have many holders, one after the other.
    pub(crate) async fn wait(&mut self, waiter: Waiter, waited: &mut Waited) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        waiter.on_release(Box::new(move || {
            // Nobody waits any more: the statement was cancelled.
            let _ = sender.send(());
        }));
        let limit = self.shared.settings.lock().int(id::LOCK_TIMEOUT);
        let timeout = async {
            match u64::try_from(limit) {
                Ok(milliseconds @ 1..) => {
                    let since = waited.since(&waiter);
                    tokio::time::sleep_until((since + Duration::from_millis(milliseconds)).into()).await;
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = receiver => Ok(()),
            () = self.cancel.wait() => Err(self.cancel.error()),
            () = timeout => {
                Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout"))
            }
        }
    }

    /// Does a piece of work on the transaction, again after each wait for a lock.
    pub(crate) async fn retry<T>(
        &mut self,
        mut work: impl FnMut(&mut Transaction) -> Result<T, Stop>,
    ) -> Result<T> {
        let mut waited = Waited::default();
        loop {
            match self.attempt(&mut work) {
                Ok(value) => return Ok(value),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Wait(waiter)) => self.wait(waiter, &mut waited).await?,
            }
            self.start_statement()?;
        }
    }

    /// Does a piece of work on the transaction once.
    pub(crate) fn attempt<T>(
        &self,
        work: impl FnOnce(&mut Transaction) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        match self.shared.transaction.lock().as_mut() {
            Some(transaction) => work(transaction),
            None => Err(Error::internal("a statement runs outside a transaction").into()),
        }
    }

    /// [`Session::retry`] for work that keeps a core busy: it runs on a thread of its own.
    pub(crate) async fn retry_blocking<T: Send + 'static>(
        &mut self,
        work: impl FnMut(&mut Transaction) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T> {
        let mut work = work;
        let mut waited = Waited::default();
        loop {
            let taken = self.shared.transaction.lock().take();
            let Some(mut transaction) = taken else {
                return Err(Error::internal("a statement runs outside a transaction"));
            };
            let task = tokio::task::spawn_blocking(move || {
                let outcome = work(&mut transaction);
                (transaction, work, outcome)
            });
            let (transaction, again, outcome) = match task.await {
                Ok(done) => done,
                Err(error) => {
                    // The transaction went with the thread.
                    self.abandon();
                    return Err(Error::internal(format!("background work failed: {error}")));
                }
            };
            work = again;
            *self.shared.transaction.lock() = Some(transaction);
            match outcome {
                Ok(value) => return Ok(value),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Wait(waiter)) => self.wait(waiter, &mut waited).await?,
            }
            self.start_statement()?;
        }
    }
}

/// For which lock a statement waits, and since when.
#[derive(Default)]
pub(crate) struct Waited(Option<(Resource, Instant)>);

impl Waited {
    fn since(&mut self, waiter: &Waiter) -> Instant {
        match self.0 {
            Some((wanted, since)) if wanted == waiter.wanted() => since,
            _ => self.0.insert((waiter.wanted(), Instant::now())).1,
        }
    }
}

/// Commits; returns when it is durable and visible.
async fn commit(transaction: Transaction) -> Result<()> {
    let mut step = transaction.commit_start();
    loop {
        match step {
            Commit::Done(_) => return Ok(()),
            Commit::Failed(error) => return Err(error),
            Commit::Lead(leader) => return leader.lead().map(drop),
            Commit::Follow(pending) => match follow(pending).await? {
                Follower::Done(outcome) => return outcome.map(drop),
                Follower::Lead(leader) => step = Commit::Lead(leader),
            },
        }
    }
}

async fn follow(pending: Pending) -> Result<Follower> {
    let (sender, receiver) = oneshot::channel();
    pending.on_done(Box::new(move |follower| drop(sender.send(follower))));
    receiver.await.map_err(|_| Error::internal("a commit was never answered"))
}

fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

fn done(tag: &str) -> Response {
    Response::Done { tag: tag.to_string() }
}
