//! Portals: bound statements, and the rows of those that are half sent.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;
use crate::server::encode::{RowEncoder, RowSource};
use crate::server::frontend::Format;
use crate::sql::{Prepared, Rows, Spent};
use crate::types::{Look, Value};

/// A statement with its parameters. Ends with its transaction.
pub struct Portal {
    pub prepared: Arc<Prepared>,
    pub formats: Vec<Format>,
    /// For `hither.timings`.
    pub spent: Spent,
    state: PortalState,
}

/// How far a portal is.
pub enum PortalState {
    Bound(Vec<Value>),
    Open(Box<RowsInFlight>),
    Done,
    /// It failed, or its transaction has: only its name is left.
    GivenUp,
}

impl Portal {
    pub fn new(prepared: Arc<Prepared>, params: Vec<Value>, formats: Vec<Format>) -> Portal {
        Portal { prepared, formats, spent: Spent::default(), state: PortalState::Bound(params) }
    }

    /// What there is to do; the portal counts as done until it is suspended. Statements without rows run once.
    pub fn start(&mut self) -> Result<PortalState> {
        let state = std::mem::replace(&mut self.state, PortalState::Done);
        if matches!(state, PortalState::Done) && self.prepared.columns.is_none() {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "portal cannot be run: it has already completed",
            ));
        }
        Ok(state)
    }

    /// Takes out what there is to do, for a statement that names the portal as a cursor. It comes back by
    /// [`Portal::resume`].
    pub fn lend(&mut self) -> PortalState {
        std::mem::replace(&mut self.state, PortalState::GivenUp)
    }

    /// Goes on with these rows.
    pub fn resume(&mut self, rows: Rows, look: Look, client: Encoding) {
        let rows = RowsInFlight::new(rows, &self.formats, look, client);
        self.suspend(rows);
    }

    /// Keeps the rest of the rows for the next Execute.
    pub fn suspend(&mut self, mut rows: RowsInFlight) {
        rows.stream.pause();
        self.state = PortalState::Open(Box::new(rows));
    }
}

/// Rows on their way to the client: the stream, and where in the current batch we are.
pub struct RowsInFlight {
    pub stream: Rows,
    encoder: RowEncoder,
    /// As it came, and ready to be written.
    batch: Option<(RecordBatch, RowSource)>,
    sent: usize,
}

impl RowsInFlight {
    /// Values are shown as `look` says, in the client's encoding.
    pub fn new(stream: Rows, formats: &[Format], look: Look, client: Encoding) -> RowsInFlight {
        let encoder = RowEncoder::new(&stream.columns, formats, look, client);
        RowsInFlight { stream, encoder, batch: None, sent: 0 }
    }

    /// The stream, with the rows that were not sent.
    pub fn into_rest(self) -> Rows {
        let mut rows = self.stream;
        if let Some((batch, _)) = self.batch {
            rows.put_back(batch.slice(self.sent, batch.num_rows() - self.sent));
        }
        rows
    }

    /// The client's encoding may have changed since the last time.
    pub fn go_on(&mut self, client: Encoding) -> Result<()> {
        if self.encoder.set_client(client)
            && let Some((batch, source)) = &mut self.batch
        {
            *source = self.encoder.open(batch.clone())?;
        }
        Ok(())
    }

    /// Whether the next batch is needed.
    pub fn is_drained(&self) -> bool {
        self.batch.as_ref().is_none_or(|(_, batch)| self.sent == batch.len())
    }

    pub fn fill(&mut self, batch: RecordBatch) -> Result<()> {
        self.batch = Some((batch.clone(), self.encoder.open(batch)?));
        self.sent = 0;
        Ok(())
    }

    /// Appends DataRow messages: at most `rows_max`, and no more than fill a buffer. Returns how many.
    pub fn write(&mut self, out: &mut Vec<u8>, rows_max: usize) -> Result<usize> {
        let Some((_, batch)) = &self.batch else { return Ok(0) };
        let end = self.sent.saturating_add(rows_max).min(batch.len());
        let written = self.encoder.write(batch, self.sent..end, out)?;
        self.sent += written;
        Ok(written)
    }
}

/// The unnamed portal, which every prepared query uses, and the named ones.
#[derive(Default)]
pub struct Portals {
    unnamed: Option<Portal>,
    named: HashMap<String, Portal>,
}

impl Portals {
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_ok()
    }

    pub fn get(&self, name: &str) -> Result<&Portal> {
        let portal = if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) };
        portal.ok_or_else(|| missing(name))
    }

    pub fn take(&mut self, name: &str) -> Result<Portal> {
        let portal = if name.is_empty() { self.unnamed.take() } else { self.named.remove(name) };
        portal.ok_or_else(|| missing(name))
    }

    pub fn insert(&mut self, name: &str, portal: Portal) {
        if name.is_empty() {
            self.unnamed = Some(portal);
        } else {
            self.named.insert(name.to_owned(), portal);
        }
    }

    pub fn remove(&mut self, name: &str) {
        if name.is_empty() {
            self.unnamed = None;
        } else {
            self.named.remove(name);
        }
    }

    /// Their transaction has failed: they keep their names until it ends, and nothing else.
    pub fn give_up(&mut self) {
        for portal in self.unnamed.iter_mut().chain(self.named.values_mut()) {
            portal.state = PortalState::GivenUp;
        }
    }

    pub fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }
}

fn missing(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
