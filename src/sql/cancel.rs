//! A flag that another task raises and a running statement looks at.
//!
//! The reason decides the error text. Loops look at [`CancelFlag::raised`], tasks that wait use
//! [`CancelFlag::wait`]. The flag is lowered when a message of the client has been waited for, so a late cancel request
//! hits nothing, as in PostgreSQL, and one that comes while the statement is planned still counts when it starts.

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
    /// Asks the running statement to end; the first reason counts.
    pub fn raise(&self, reason: Reason) {
        let _ = self.reason.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.raised.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// Forgets a request that found nothing to cancel.
    pub fn lower(&self) {
        self.raised.store(false, Ordering::Release);
        self.reason.store(0, Ordering::Release);
    }

    /// To be asked when a statement starts: the error of one that was cancelled before. That the time of the statement
    /// before it was up is no matter any more.
    pub fn begin(&self) -> Result<()> {
        if self.reason.load(Ordering::Acquire) == Reason::StatementTimeout as u8 {
            self.lower();
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
}
