//! A flag that another task raises and a running statement looks at.
//!
//! The reason decides the error text. Loops look at [`CancelFlag::raised`], tasks that wait use
//! [`CancelFlag::wait`]. The flag is lowered when a message of the client has been waited for, and when the client has been
//! told of any error: so a request that comes too late hits nothing and none hits two statements, as in PostgreSQL, and
//! one that comes while a statement is planned counts when it has been.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::error::{Error, Result, SqlState};

/// Who wants the statement to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    UserRequest,
    StatementTimeout,
    Shutdown,
}

/// Shared by the session and whoever may cancel it.
#[derive(Debug, Default)]
pub struct CancelFlag {
    /// Changes together with `raised`, while this is held.
    reason: Mutex<Option<Reason>>,
    raised: Arc<AtomicBool>,
    notify: Notify,
}

/// Raises the flag when a statement's time is up. Once dropped, it does not any more.
#[derive(Debug)]
pub struct Timer {
    flag: Arc<CancelFlag>,
    /// The statement is through; set while the flag's reason is held.
    over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Timer {
    /// One that waits on `workers`.
    pub fn start(flag: &Arc<CancelFlag>, limit: Duration, workers: &Handle) -> Timer {
        let over = Arc::new(AtomicBool::new(false));
        let (to_raise, unless) = (flag.clone(), over.clone());
        let task = workers.spawn(async move {
            tokio::time::sleep(limit).await;
            to_raise.raise_unless(Reason::StatementTimeout, || unless.load(Ordering::Relaxed));
        });
        Timer { flag: flag.clone(), over, task }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let _held = self.flag.reason.lock();
        self.over.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

impl CancelFlag {
    /// Asks the running statement to end. The first reason counts, but somebody's request before a timeout, which may be
    /// that of an earlier statement, and a shutdown before all.
    pub fn raise(&self, reason: Reason) {
        self.raise_unless(reason, || false);
    }

    fn raise_unless(&self, reason: Reason, over: impl FnOnce() -> bool) {
        let mut now = self.reason.lock();
        if over() {
            return;
        }
        if matches!(*now, None | Some(Reason::StatementTimeout)) || reason == Reason::Shutdown {
            *now = Some(reason);
        }
        self.raised.store(true, Ordering::Release);
        drop(now);
        self.notify.notify_waiters();
    }

    /// Forgets a request that found nothing to cancel, or that was answered. A shutdown stays.
    pub fn lower(&self) {
        self.forget(|reason| reason != Reason::Shutdown);
    }

    fn forget(&self, which: impl Fn(Reason) -> bool) {
        let mut now = self.reason.lock();
        if now.is_some_and(which) {
            *now = None;
            self.raised.store(false, Ordering::Release);
        }
    }

    /// To be asked when a statement starts: the error of one that was cancelled before. That the time of an earlier
    /// statement was up is no matter any more.
    pub fn begin(&self) -> Result<()> {
        if self.is_raised() {
            self.forget(|reason| reason == Reason::StatementTimeout);
        }
        self.check()
    }

    /// The bare flag, for the core's loops.
    pub fn raised(&self) -> &Arc<AtomicBool> {
        &self.raised
    }

    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// The error a cancelled statement ends with, if it is cancelled.
    pub fn check(&self) -> Result<()> {
        if self.is_raised() { Err(self.error()) } else { Ok(()) }
    }

    /// Returns when the flag is raised.
    pub async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_raised() {
                return;
            }
            notified.await;
        }
    }

    /// What the statement ends with.
    pub fn error(&self) -> Error {
        match *self.reason.lock() {
            Some(Reason::StatementTimeout) => {
                Error::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
            }
            Some(Reason::Shutdown) => {
                Error::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
            }
            Some(Reason::UserRequest) | None => Error::canceled(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_for_the_statement_that_starts_and_a_timeout_does_not() {
        let flag = CancelFlag::default();
        assert!(flag.begin().is_ok());
        flag.raise(Reason::UserRequest);
        assert_eq!(flag.begin().unwrap_err().state(), SqlState::QUERY_CANCELED);
        flag.lower();
        flag.raise(Reason::StatementTimeout);
        assert!(flag.begin().is_ok(), "it was the time of the statement before");
    }

    #[test]
    fn a_request_is_stronger_than_a_timeout_and_a_shutdown_than_both() {
        let flag = CancelFlag::default();
        flag.raise(Reason::StatementTimeout);
        flag.raise(Reason::UserRequest);
        flag.raise(Reason::StatementTimeout);
        assert_eq!(flag.begin().unwrap_err().to_string(), Error::canceled().to_string());
        flag.raise(Reason::Shutdown);
        flag.lower();
        flag.raise(Reason::UserRequest);
        assert_eq!(flag.begin().unwrap_err().state(), SqlState::ADMIN_SHUTDOWN);
    }
}
