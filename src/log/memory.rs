//! The log in memory, for tests of what stands on it. It keeps the promises of [`Log`] but the durable one.

use parking_lot::Mutex;

use super::{Log, Position, Record};
use crate::codec::Reader;
use crate::error::Result;

/// Records as bytes, one after the other, each with its position.
#[derive(Default)]
pub struct MemoryLog(Mutex<State>);

struct State {
    records: Vec<(Position, Vec<u8>)>,
    end: Position,
    durable: Position,
}

impl Default for State {
    fn default() -> State {
        State { records: Vec::new(), end: Position(8), durable: Position(8) }
    }
}

impl MemoryLog {
    pub fn new() -> MemoryLog {
        MemoryLog::default()
    }

    /// What a restart finds: the records that were synced.
    pub fn crash(&self) -> MemoryLog {
        let state = self.0.lock();
        let synced =
            state.records.iter().filter(|(position, _)| *position < state.durable).cloned().collect();
        MemoryLog(Mutex::new(State { records: synced, end: state.durable, durable: state.durable }))
    }
}

impl Log for MemoryLog {
    fn append(&self, records: &[Record]) -> Result<Vec<Position>> {
        let mut state = self.0.lock();
        let mut positions = Vec::with_capacity(records.len());
        for record in records {
            let mut bytes = Vec::with_capacity(record.size_hint());
            record.encode(&mut bytes);
            let position = state.end;
            state.end = Position(position.0 + bytes.len() as u64);
            state.records.push((position, bytes));
            positions.push(position);
        }
        Ok(positions)
    }

    fn sync(&self) -> Result<Position> {
        let mut state = self.0.lock();
        state.durable = state.end;
        Ok(state.end)
    }

    fn end(&self) -> Position {
        self.0.lock().end
    }

    fn replay(&self, from: Position, f: &mut dyn FnMut(Position, Record) -> Result<()>) -> Result<()> {
        let records = self.0.lock().records.clone();
        for (position, bytes) in records.iter().filter(|(position, _)| *position >= from) {
            f(*position, Record::decode(&mut Reader::new(bytes))?)?;
        }
        Ok(())
    }

    fn truncate_before(&self, p: Position) -> Result<()> {
        self.0.lock().records.retain(|(position, _)| *position >= p);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.0.lock().records.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}
