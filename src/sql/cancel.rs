//! A flag that another task raises and a running statement looks at.
//!
//! The reason decides the error text. Loops look at [`CancelFlag::raised`], tasks that wait use
//! [`CancelFlag::wait`]. The flag is lowered when a message of the client has been waited for, and when an error has
//! told of it: so a late cancel request hits nothing and no request hits two statements, as in PostgreSQL, and one that
//! comes while a statement is planned counts when it has been.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::error::{Error, Result, SqlState};

/// Who wants the statement to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    UserRequest = 1,
    StatementTimeout = 2,
    Shutdown = 3,
}

/// Shared by the session and whoever may cancel it.
#[derive(Debug, Default)]
pub struct CancelFlag {
    raised: Arc<AtomicBool>,
    reason: AtomicU8,
    notify: Notify,
}

impl CancelFlag {
    /// Asks the running statement to end. The first reason counts, but somebody's request before a timeout, which may be
    /// that of an earlier statement, and a shutdown before all.
    pub fn raise(&self, reason: Reason) {
        let replaces = |now| now == 0 || now == Reason::StatementTimeout as u8 || reason == Reason::Shutdown;
        let reason = |now| replaces(now).then_some(reason as u8);
        let _ = self.reason.fetch_update(Ordering::AcqRel, Ordering::Acquire, reason);
        self.tell();
    }

    fn tell(&self) {
        self.raised.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// Forgets a request that found nothing to cancel, or that was answered. A shutdown stays.
    pub fn lower(&self) {
        self.forget(|reason| reason != Reason::Shutdown as u8);
    }

    fn forget(&self, which: impl Fn(u8) -> bool) {
        let none = |now| which(now).then_some(0);
        if self.reason.fetch_update(Ordering::AcqRel, Ordering::Acquire, none).is_ok() {
            self.raised.store(false, Ordering::Release);
            // One that came in between.
            if self.reason.load(Ordering::Acquire) != 0 {
                self.tell();
            }
        }
    }

    /// To be asked when a statement starts: the error of one that was cancelled before. That the time of an earlier
    /// statement was up is no matter any more.
    pub fn begin(&self) -> Result<()> {
        self.forget(|reason| reason == Reason::StatementTimeout as u8);
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
        let reason = self.reason.load(Ordering::Acquire);
        if reason == Reason::StatementTimeout as u8 {
            Error::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
        } else if reason == Reason::Shutdown as u8 {
            Error::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
        } else {
            Error::canceled()
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
