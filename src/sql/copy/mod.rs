//! COPY in both directions.
//!
//! ```text
//!   COPY FROM  bytes ─> decode (text, CSV, binary) ─> fields ─> values ─> batches ─> the core
//!   COPY TO    query ─> batches ─> encode ─> one message per row
//! ```
//!
//! Both stream: a load of any size holds one batch of rows, and the transaction's writes spill to files of their own
//! when they outgrow memory.

// The binary format, inwards.
mod binary;
// The CSV format, inwards.
mod csv;
// Fields of one row, between a decoder and the types.
mod fields;
// COPY FROM.
mod input;
// The options with their defaults, checked.
mod options;
// COPY TO.
mod output;
// The text format, inwards.
mod text;

pub use input::CopyInState;
pub use options::Options;

use crate::error::{Error, Result, SqlState};
use crate::sql::cancel::Timer;
use crate::sql::response::Response;
use crate::sql::session::Session;
use crate::sql::statement::{Copy, CopySource, Statement};

impl Session {
    /// COPY: answers with what the client is to do, or with the data.
    pub(crate) async fn copy(
        &mut self,
        copy: &Copy,
        statement: &Statement,
        timer: Option<Timer>,
    ) -> Result<Response> {
        match (&copy.source, copy.from) {
            (CopySource::Table { name, columns, filter }, true) => {
                self.start_statement()?;
                self.copy_from(name, columns, filter.as_ref(), &copy.options).await
            }
            (CopySource::Table { name, columns, .. }, false) => {
                let rows = statement.with_ast(self.rows_of_table(name, columns)?);
                self.copy_rows_to(rows, &copy.options, timer).await
            }
            (CopySource::Rows(ast), _) => {
                let rows = statement.with_ast((**ast).clone());
                self.copy_rows_to(rows, &copy.options, timer).await
            }
        }
    }

    /// Data of COPY FROM STDIN, cut anywhere. After an error the rest of the data is to be thrown away.
    pub async fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        let Some(mut copy) = self.copy.take() else { return Err(not_copying()) };
        match self.feed(&mut copy, data).await {
            Ok(()) => {
                self.copy = Some(copy);
                Ok(())
            }
            Err(error) => {
                self.fail();
                Err(error)
            }
        }
    }

    /// CopyDone: the command tag.
    pub async fn copy_done(&mut self) -> Result<String> {
        let Some(mut copy) = self.copy.take() else { return Err(not_copying()) };
        let outcome = self.finish(&mut copy).await;
        if outcome.is_err() {
            self.fail();
        }
        outcome.map(|count| format!("COPY {count}"))
    }

    /// CopyFail with the client's message: the error to answer with.
    pub async fn copy_fail(&mut self, message: &str) -> Error {
        let context = self.copy_abandon().await;
        self.fail();
        let error = Error::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {message}"));
        match context {
            Some(context) => error.context(context),
            None => error,
        }
    }

    /// Gives up a COPY FROM, if one is under way: where it was. The transaction is the session's again.
    pub async fn copy_abandon(&mut self) -> Option<String> {
        let mut copy = self.copy.take()?;
        // Whatever became of the rows, nobody wants them any more: no waiting for locks, no checks.
        let _ = self.take_back(&mut copy).await;
        Some(copy.context())
    }
}

fn not_copying() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "COPY data without a COPY under way")
}
