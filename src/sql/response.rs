//! What executing a statement yields: rows, a tag, a COPY in either direction, and notices beside them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};

use crate::error::{Error, Result};
use crate::sql::cancel::Timer;
use crate::sql::session::OutputColumn;

/// The answer to one statement. Streams end with the first error.
pub enum Response {
    /// Rows to send; the tag is known after the last.
    Rows(Rows),
    /// No rows; CommandComplete carries the tag.
    Done { tag: String },
    /// The client is to send data: [`crate::sql::Session::copy_data`] and [`crate::sql::Session::copy_done`].
    CopyIn(CopyIn),
    /// Data for the client.
    CopyOut(CopyOut),
    /// An empty statement (EmptyQueryResponse).
    Empty,
}

/// Rows of a statement. Poll it as a stream of batches whose columns match `columns`, then ask for the tag.
pub struct Rows {
    pub columns: Arc<[OutputColumn]>,
    /// Batches that come before those of the stream.
    ahead: VecDeque<RecordBatch>,
    stream: BoxStream<'static, Result<RecordBatch>>,
    tag: RowsTag,
    rows: u64,
    /// Whether they are from a BINARY cursor, which the simple protocol sends in the binary format.
    is_binary: bool,
    /// Of the statement, while it runs.
    timer: Option<Timer>,
}

/// How the command tag of a statement with rows reads.
#[derive(Clone, Debug)]
pub enum RowsTag {
    /// `SELECT n`, n being the rows sent.
    Select,
    /// A fixed text, such as `INSERT 0 3` (RETURNING) or `SHOW`.
    Fixed(String),
    /// `FETCH n`.
    Fetch,
}

impl Rows {
    pub fn new(
        columns: Arc<[OutputColumn]>,
        stream: BoxStream<'static, Result<RecordBatch>>,
        tag: RowsTag,
    ) -> Rows {
        Rows { columns, ahead: VecDeque::new(), stream, tag, rows: 0, is_binary: false, timer: None }
    }

    /// Puts a batch that was taken out back in front.
    pub(crate) fn put_back(&mut self, batch: RecordBatch) {
        self.rows -= batch.num_rows() as u64;
        self.ahead.push_front(batch);
    }

    /// How many rows were given.
    pub(crate) fn given(&self) -> u64 {
        self.rows
    }

    /// Takes out the batches that are there, and where more come from.
    pub(crate) fn take_parts(&mut self) -> (VecDeque<RecordBatch>, BoxStream<'static, Result<RecordBatch>>) {
        let stream = std::mem::replace(&mut self.stream, stream::empty().boxed());
        (std::mem::take(&mut self.ahead), stream)
    }

    /// The same command goes on with what is left of its rows.
    pub(crate) fn go_on_with(
        &mut self,
        ahead: VecDeque<RecordBatch>,
        stream: BoxStream<'static, Result<RecordBatch>>,
        given: u64,
    ) {
        (self.ahead, self.stream, self.rows) = (ahead, stream, given);
    }

    /// How long the rows may take from now on.
    pub(crate) fn set_timer(&mut self, timer: Option<Timer>) {
        self.timer = timer;
    }

    /// The client has what it asked for, and its time to think is not the statement's;
    /// [`Session::go_on`](crate::sql::Session::go_on) is for when it asks for more.
    pub fn pause(&mut self) {
        self.timer = None;
    }

    pub(crate) fn of_binary_cursor(self, is_binary: bool) -> Rows {
        Rows { is_binary, ..self }
    }

    /// Whether a client that cannot say so wants them in the binary format.
    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// The same rows, of a statement with this tag.
    pub fn tagged(self, tag: String) -> Rows {
        Rows { tag: RowsTag::Fixed(tag), ..self }
    }

    /// The command tag, after the stream has ended. `sent` are the rows of this portion, which is what a SELECT tells.
    pub fn tag(&self, sent: u64) -> String {
        match &self.tag {
            RowsTag::Select => format!("SELECT {sent}"),
            RowsTag::Fetch => format!("FETCH {sent}"),
            RowsTag::Fixed(text) => text.clone(),
        }
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = match self.ahead.pop_front() {
            Some(batch) => Poll::Ready(Some(Ok(batch))),
            None => self.stream.as_mut().poll_next(context),
        };
        if let Poll::Ready(Some(Ok(batch))) = &next {
            self.rows += batch.num_rows() as u64;
        }
        next
    }
}

/// The formats of COPY as the protocol tells them apart; CSV is text on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Binary,
}

/// What CopyInResponse says. The data goes to [`crate::sql::Session::copy_data`].
#[derive(Clone, Copy, Debug)]
pub struct CopyIn {
    pub format: CopyFormat,
    pub columns: usize,
}

/// What CopyOutResponse says, and the data.
pub struct CopyOut {
    pub format: CopyFormat,
    pub columns: usize,
    stream: BoxStream<'static, Result<CopyChunk>>,
    rows: Arc<AtomicU64>,
}

/// Some rows of COPY TO. Each range of `bytes` between two `ends` is one CopyData message, because drivers take a
/// message for a row.
#[derive(Clone, Debug, Default)]
pub struct CopyChunk {
    pub bytes: Bytes,
    /// Ascending; the last equals `bytes.len()`.
    pub ends: Vec<u32>,
}

impl CopyOut {
    pub fn new(
        format: CopyFormat,
        columns: usize,
        stream: BoxStream<'static, Result<CopyChunk>>,
        rows: Arc<AtomicU64>,
    ) -> CopyOut {
        CopyOut { format, columns, stream, rows }
    }

    /// `COPY n`; call it after the stream has ended.
    pub fn tag(&self) -> String {
        format!("COPY {}", self.rows.load(Ordering::Relaxed))
    }
}

impl Stream for CopyOut {
    type Item = Result<CopyChunk>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(context)
    }
}

/// How a notice is labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Debug,
    Log,
    Notice,
    Warning,
    Info,
}

/// A NoticeResponse: the fields of an error that is none.
#[derive(Clone, Debug)]
pub struct Notice {
    pub severity: Severity,
    pub error: Error,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Debug => "DEBUG",
            Severity::Log => "LOG",
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
            Severity::Info => "INFO",
        }
    }
}
