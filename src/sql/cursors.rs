//! DECLARE, FETCH, MOVE, CLOSE: a query whose rows are asked for in portions.
//!
//! A cursor is the query's stream and a place in its rows:
//!
//! ```text
//!   place        0          1 2 3 ... n          n + 1
//!            before the first   on a row     after the last
//!   kept         NO SCROLL: the rest of the batch under way      SCROLL: every row that was read
//!                neither: the last ones, work_mem of them, if PostgreSQL would let it go back (`scrollable.rs`)
//! ```
//!
//! Its snapshot is that of DECLARE, as in PostgreSQL. It ends with its transaction, unless it was declared WITH HOLD: then
//! COMMIT reads it to the end, and the session keeps the rows. ROLLBACK TO ends those that were declared since the
//! savepoint; the others stay where they are.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;

use crate::error::{Error, Result, SqlState};
use crate::sql::response::{Response, Rows, RowsTag};
use crate::sql::scrollable;
use crate::sql::session::{Declared, OutputColumn, Prepared, Session, done};
use crate::sql::settings::id;
use crate::sql::statement::{Ast, DeclareOptions, Direction, Statement};
use crate::sql::transactions::{Block, now};
use crate::types::Value;
use crate::types::arrow::errors::from_arrow;

/// An open cursor.
pub struct Cursor {
    pub columns: Arc<[OutputColumn]>,
    /// Only ever reached through `&mut`; the lock lets a session be shared between threads. None after its end.
    stream: Mutex<Option<BoxStream<'static, Result<RecordBatch>>>>,
    /// The rows after `forgotten`, as far as they were read.
    read: Vec<RecordBatch>,
    /// Rows before those of `read`, which cannot be fetched again.
    forgotten: usize,
    /// See the drawing above.
    place: usize,
    back: Back,
    hold: bool,
    binary: bool,
    /// Its transaction has committed.
    kept: bool,
    /// Its query failed, or a FETCH of it.
    failed: bool,
    /// How many cursors the transaction had opened before.
    number: u64,
    /// The query string with DECLARE, and when it ran.
    declared: (Arc<str>, i64),
}

/// How far a cursor goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Back {
    Nowhere,
    /// Over rows of so many bytes.
    Bytes(usize),
    Anywhere,
}

impl Session {
    /// The columns of an open cursor.
    pub fn cursor_columns(&self, name: &str) -> Option<Arc<[OutputColumn]>> {
        self.cursors.get(name).map(|cursor| cursor.columns.clone())
    }

    /// Makes a cursor of rows that the protocol has asked for in portions so far: in PostgreSQL a portal is one. What stays
    /// behind is for [`Session::return_cursor`].
    pub fn lend_cursor(&mut self, name: &str, rows: &mut Rows, prepared: &Prepared) {
        let source =
            prepared.statement.as_ref().map_or_else(|| Arc::from(""), |s| Arc::clone(s.source.text()));
        let given = rows.given();
        let (ahead, stream) = rows.take_parts();
        let mut cursor =
            Cursor::new(rows.columns.clone(), stream, DeclareOptions::default(), Back::Nowhere, source);
        cursor.read = ahead.into();
        cursor.place = usize::try_from(given).unwrap_or(usize::MAX);
        cursor.forgotten = cursor.place;
        self.cursors.insert(name.to_owned(), cursor);
    }

    /// Puts what is left of it back; false when it was closed.
    pub fn return_cursor(&mut self, name: &str, rows: &mut Rows) -> Result<bool> {
        let Some(cursor) = self.cursors.remove(name) else { return Ok(false) };
        let given = cursor.place.min(cursor.known());
        let ahead = cursor.rows(given + 1, cursor.known())?;
        let stream = cursor.stream.into_inner().unwrap_or_else(|| stream::empty().boxed());
        rows.go_on_with(ahead.into(), stream, given as u64);
        Ok(true)
    }

    pub(crate) async fn declare(
        &mut self,
        name: &str,
        query: &ast::Query,
        options: DeclareOptions,
        statement: &Statement,
    ) -> Result<Response> {
        if self.state.block != Block::Explicit && !self.state.several_statements && !options.hold {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        if self.cursors.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, message));
        }
        if !query.locks.is_empty() && (options.hold || options.scroll == Some(true)) {
            let which = if options.hold { "CURSOR WITH HOLD" } else { "SCROLL CURSOR" };
            return Err(Error::unsupported(format!("DECLARE {which} ... {}", query.locks[0])));
        }
        self.start_statement()?;
        let inner = statement.with_ast(Ast::Query(Box::new(query.clone())));
        let prepared = self.plan(Some(inner), Declared::default())?;
        let plan = prepared.plan.lock().plan.clone();
        let Response::Rows(rows) = self.run_plan(&plan, &[], None).await? else {
            return Err(Error::internal("a cursor without a query"));
        };
        let source = Arc::clone(statement.source.text());
        let back = match options.scroll {
            Some(true) => Back::Anywhere,
            None if scrollable::goes_back(query) => {
                let kilobytes = self.shared.settings.lock().int(id::WORK_MEM);
                Back::Bytes(usize::try_from(kilobytes).unwrap_or(0).saturating_mul(1024))
            }
            _ => Back::Nowhere,
        };
        let mut cursor = Cursor::new(rows.columns.clone(), rows.boxed(), options, back, source);
        cursor.number = self.state.savepoints.open_cursor();
        self.cursors.insert(name.to_string(), cursor);
        self.show_cursors();
        Ok(done("DECLARE CURSOR"))
    }

    pub(crate) async fn fetch(
        &mut self,
        name: &str,
        direction: Direction,
        move_only: bool,
    ) -> Result<Response> {
        let cursor = self.cursors.get_mut(name).ok_or_else(|| missing(name))?;
        if cursor.failed {
            let message = format!("portal \"{name}\" cannot be run");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let fetched = cursor.fetch(direction).await;
        cursor.failed = fetched.is_err();
        let batches = fetched?;
        if move_only {
            let moved: usize = batches.iter().map(RecordBatch::num_rows).sum();
            return Ok(done(format!("MOVE {moved}")));
        }
        let stream = stream::iter(batches.into_iter().map(Ok)).boxed();
        let rows = Rows::new(cursor.columns.clone(), stream, RowsTag::Fetch);
        Ok(Response::Rows(rows.of_binary_cursor(cursor.binary)))
    }

    pub(crate) fn close_cursor(&mut self, name: Option<&str>) -> Result<Response> {
        match name {
            None => {
                self.cursors.clear();
                self.show_cursors();
                Ok(done("CLOSE CURSOR ALL"))
            }
            Some(name) => {
                self.cursors.remove(name).ok_or_else(|| missing(name))?;
                self.show_cursors();
                Ok(done("CLOSE CURSOR"))
            }
        }
    }

    /// The transaction ends: its cursors do, but not those that are kept.
    pub(crate) fn close_cursors(&mut self) {
        if self.cursors.is_empty() {
            return;
        }
        self.cursors.retain(|_, cursor| cursor.kept);
        self.show_cursors();
    }

    /// The transaction goes back to where it had opened so many cursors.
    pub(crate) fn close_cursors_since(&mut self, number: u64) {
        self.cursors.retain(|_, cursor| cursor.kept || cursor.number < number);
        self.show_cursors();
    }

    /// The rows of pg_cursors, after a change of what is open.
    pub(crate) fn show_cursors(&self) {
        let rows = self.cursors.iter().map(|(name, cursor)| {
            vec![
                ("name", Value::from(name)),
                ("statement", Value::from(&*cursor.declared.0)),
                ("is_holdable", Value::Bool(cursor.hold)),
                ("is_binary", Value::Bool(cursor.binary)),
                ("is_scrollable", Value::Bool(cursor.back != Back::Nowhere)),
                ("creation_time", Value::Timestamptz(cursor.declared.1)),
            ]
        });
        *self.shared.cursors.lock() = rows.collect();
    }

    /// The transaction is about to commit: reads cursors WITH HOLD to their end.
    pub(crate) async fn keep_cursors(&mut self) -> Result<()> {
        for cursor in self.cursors.values_mut().filter(|cursor| cursor.hold && !cursor.kept) {
            while cursor.read_more().await? {}
            cursor.kept = true;
        }
        Ok(())
    }
}

impl Cursor {
    fn new(
        columns: Arc<[OutputColumn]>,
        stream: BoxStream<'static, Result<RecordBatch>>,
        options: DeclareOptions,
        back: Back,
        source: Arc<str>,
    ) -> Cursor {
        Cursor {
            columns,
            stream: Mutex::new(Some(stream)),
            read: Vec::new(),
            forgotten: 0,
            place: 0,
            back,
            hold: options.hold,
            binary: options.binary,
            kept: false,
            failed: false,
            number: 0,
            declared: (source, now()),
        }
    }

    /// Moves, and returns the rows that are passed on the way, in the order in which they are.
    async fn fetch(&mut self, direction: Direction) -> Result<Vec<RecordBatch>> {
        match direction {
            Direction::Forward(Some(0)) | Direction::Backward(Some(0)) | Direction::Relative(0) => {
                self.rows(self.place, self.place)
            }
            Direction::Forward(count) => {
                let first = self.place.saturating_add(1);
                let last = self.place.saturating_add(count.unwrap_or(usize::MAX));
                self.forward(first, last).await
            }
            Direction::Backward(count) => {
                let last = self.place.saturating_sub(1);
                let first = self.place.saturating_sub(count.unwrap_or(self.place));
                self.refuse_backward(first)?;
                self.place = first;
                let mut rows = self.rows(first.max(1), last)?;
                let singles = rows.drain(..).flat_map(|b| (0..b.num_rows()).map(move |row| b.slice(row, 1)));
                let mut singles: Vec<RecordBatch> = singles.collect();
                singles.reverse();
                Ok(singles)
            }
            Direction::Relative(distance) => {
                let place = i128::try_from(self.place).unwrap_or(i128::MAX) + i128::from(distance);
                self.jump(place).await
            }
            Direction::Absolute(number) if number < 0 => {
                self.refuse_backward(self.known())?;
                while self.read_more().await? {
                    self.forget(self.known());
                }
                let behind = i128::try_from(self.known() + 1).unwrap_or(i128::MAX);
                self.jump(behind + i128::from(number)).await
            }
            Direction::Absolute(number) => self.jump(i128::from(number)).await,
        }
    }

    /// Goes to one place, and returns the row there, if there is one.
    async fn jump(&mut self, place: i128) -> Result<Vec<RecordBatch>> {
        let place = usize::try_from(place.max(0)).unwrap_or(usize::MAX - 1);
        if place <= self.place && place < self.place.max(1) {
            self.refuse_backward(place)?;
            self.place = place;
            return self.rows(place, place);
        }
        if place == self.place {
            return self.rows(place, place);
        }
        self.forward(place, place).await
    }

    /// The rows between two places after the present one; goes to the last, or behind all rows.
    async fn forward(&mut self, first: usize, last: usize) -> Result<Vec<RecordBatch>> {
        while self.known() < last && self.read_more().await? {
            self.forget(first);
        }
        if first <= self.forgotten && first <= self.known() {
            // Rows were counted from the end, and more of them than are kept.
            self.refuse_backward(first)?;
        }
        let ended = self.known() < last;
        let rows = self.rows(first, last.min(self.known()))?;
        self.place = if ended { self.known() + 1 } else { last };
        self.forget(self.place);
        Ok(rows)
    }

    /// 55000 where the cursor cannot go back to a place.
    fn refuse_backward(&self, place: usize) -> Result<()> {
        let is_there = self.forgotten == 0 || place > self.forgotten;
        if self.back != Back::Nowhere && is_there {
            return Ok(());
        }
        Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
            .hint("Declare it with SCROLL option to enable backward scan."))
    }

    /// How many rows are known to be there.
    fn known(&self) -> usize {
        self.forgotten + self.read.iter().map(RecordBatch::num_rows).sum::<usize>()
    }

    /// Reads a batch; false when there is none left.
    async fn read_more(&mut self) -> Result<bool> {
        let stream = self.stream.get_mut();
        let Some(rows) = stream else { return Ok(false) };
        match rows.next().await {
            Some(batch) => {
                self.read.push(batch?);
                Ok(true)
            }
            None => {
                // It gives back its plan, and the snapshots under it.
                *stream = None;
                Ok(false)
            }
        }
    }

    /// Lets go of what lies before a place, as far as nobody can go back to it. The row under the cursor may be fetched
    /// again.
    fn forget(&mut self, place: usize) {
        let room = match self.back {
            Back::Anywhere => return,
            Back::Nowhere => None,
            Back::Bytes(bytes) => Some(bytes),
        };
        let behind = |known: &(usize, &RecordBatch)| known.0 < place;
        let numbered = self.read.iter().scan(self.forgotten, |before, batch| {
            *before += batch.num_rows();
            Some((*before, batch))
        });
        let sizes = numbered.take_while(behind).map(|(_, batch)| batch.get_array_memory_size());
        let sizes: Vec<usize> = sizes.collect();
        let gone = match room {
            None => sizes.len(),
            // The newest that fit stay.
            Some(mut room) => {
                let fits = sizes.iter().rev().take_while(|size| {
                    let left = room.checked_sub(**size);
                    room = left.unwrap_or(0);
                    left.is_some()
                });
                sizes.len() - fits.count()
            }
        };
        self.forgotten += self.read.drain(..gone).map(|batch| batch.num_rows()).sum::<usize>();
    }

    /// The rows from one place to another, both included.
    fn rows(&self, first: usize, last: usize) -> Result<Vec<RecordBatch>> {
        let mut rows = Vec::new();
        let mut before = self.forgotten;
        for batch in &self.read {
            let (from, to) = (first.max(before + 1), last.min(before + batch.num_rows()));
            if from <= to {
                rows.push(batch.slice(from - before - 1, to - from + 1));
            }
            before += batch.num_rows();
        }
        // A client sees one portion, however the batches lay.
        if rows.len() > 1 {
            rows = vec![arrow::compute::concat_batches(&rows[0].schema(), &rows).map_err(from_arrow)?];
        }
        Ok(rows)
    }
}

fn missing(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}
