//! DECLARE, FETCH, MOVE, CLOSE: a query whose rows are asked for in portions.
//!
//! A cursor is the query's stream and what is left of the batch last taken from it. Its snapshot is that of DECLARE, as
//! in PostgreSQL. It ends with its transaction.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;

use crate::error::{Error, Result, SqlState};
use crate::sql::plans::Plan;
use crate::sql::response::{Response, Rows, RowsTag};
use crate::sql::session::{OutputColumn, Session, done};
use crate::sql::statement::{Ast, FetchCount, Statement};
use crate::sql::transactions::Block;

/// An open cursor.
pub struct Cursor {
    pub columns: Arc<[OutputColumn]>,
    /// Only ever reached through `&mut`; the lock lets a session be shared between threads.
    stream: Mutex<BoxStream<'static, Result<RecordBatch>>>,
    rest: Option<RecordBatch>,
}

impl Session {
    pub(crate) async fn declare(
        &mut self,
        name: &str,
        query: &ast::Query,
        hold: bool,
        binary: bool,
        statement: &Statement,
    ) -> Result<Response> {
        if hold {
            return Err(Error::unsupported("a cursor WITH HOLD"));
        }
        if binary {
            return Err(Error::unsupported("a BINARY cursor"));
        }
        if self.state.block != Block::Explicit && !self.state.several_statements {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        if self.cursors.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, message));
        }
        self.start_statement()?;
        let inner = Statement { ast: Ast::Query(Box::new(query.clone())), ..statement.clone() };
        let prepared = self.plan(Some(inner), &[])?;
        let plan = prepared.plan.lock().plan.clone();
        if let Plan::Locking(_) = plan {
            return Err(Error::unsupported("a cursor FOR UPDATE"));
        }
        let Plan::Query(query) = plan else { return Err(Error::internal("a cursor without a query")) };
        let stream = self.query_stream(&query, &[], None).await?;
        self.cursors.insert(
            name.to_string(),
            Cursor { columns: query.columns.clone(), stream: Mutex::new(stream), rest: None },
        );
        Ok(done("DECLARE CURSOR"))
    }

    pub(crate) async fn fetch(&mut self, name: &str, count: FetchCount, move_only: bool) -> Result<Response> {
        let cursor = self.cursors.get_mut(name).ok_or_else(|| missing(name))?;
        let wanted = match count {
            FetchCount::Rows(rows) => usize::try_from(rows).unwrap_or(usize::MAX),
            FetchCount::All => usize::MAX,
        };
        let batches = cursor.take(wanted).await?;
        if move_only {
            let moved: usize = batches.iter().map(RecordBatch::num_rows).sum();
            return Ok(done(format!("MOVE {moved}")));
        }
        let stream = stream::iter(batches.into_iter().map(Ok)).boxed();
        Ok(Response::Rows(Rows::new(cursor.columns.clone(), stream, RowsTag::Fetch)))
    }

    pub(crate) fn close_cursor(&mut self, name: Option<&str>) -> Result<Response> {
        match name {
            None => {
                self.cursors.clear();
                Ok(done("CLOSE CURSOR ALL"))
            }
            Some(name) => {
                self.cursors.remove(name).ok_or_else(|| missing(name))?;
                Ok(done("CLOSE CURSOR"))
            }
        }
    }

    pub(crate) fn close_cursors(&mut self) {
        self.cursors.clear();
    }
}

impl Cursor {
    /// The next `wanted` rows.
    async fn take(&mut self, wanted: usize) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        let mut missing = wanted;
        while missing > 0 {
            let batch = match self.rest.take() {
                Some(rest) => rest,
                None => match self.stream.get_mut().next().await {
                    Some(batch) => batch?,
                    None => break,
                },
            };
            let taken = batch.num_rows().min(missing);
            if taken < batch.num_rows() {
                self.rest = Some(batch.slice(taken, batch.num_rows() - taken));
            }
            missing -= taken;
            batches.push(batch.slice(0, taken));
        }
        Ok(batches)
    }
}

fn missing(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}
