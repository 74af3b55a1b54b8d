//! Sequences: counters that no rollback turns back.
//!
//! The log says how far a sequence *may* have come: one record covers the next 32 values, so a crash skips at most
//! that many and never gives one out twice. The record is synced with the commit of the transaction that asked for the
//! value, also when it has nothing else to commit.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::catalog::{Oid, Sequence};
use crate::error::{Error, Result, SqlState};
use crate::log::{Log, Record};

/// Values one log record covers (PostgreSQL's SEQ_LOG_VALS).
const AHEAD: i64 = 32;

/// Where all sequences stand.
#[derive(Default)]
pub struct Sequences {
    states: Mutex<HashMap<Oid, State>>,
}

/// Where one sequence stands. A sequence that was never used has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What nextval gave last, or with `is_called` false gives next.
    pub last: i64,
    pub is_called: bool,
    /// Values up to here are covered by the log.
    logged: i64,
}

impl Sequences {
    /// The next value, logged ahead.
    pub fn next(&self, sequence: &Sequence, log: &dyn Log) -> Result<i64> {
        let mut states = self.states.lock();
        let state = states.get(&sequence.oid).copied();
        let value = match state {
            None => sequence.start,
            Some(state) if !state.is_called => state.last,
            Some(state) => successor(sequence, state.last)?,
        };
        let covered = state.is_some_and(|state| state.is_called && covers(sequence, &state, value));
        let logged = match state {
            Some(state) if covered => state.logged,
            _ => self.log_ahead(sequence, value, log)?,
        };
        states.insert(sequence.oid, State { last: value, is_called: true, logged });
        Ok(value)
    }

    fn log_ahead(&self, sequence: &Sequence, value: i64, log: &dyn Log) -> Result<i64> {
        let ahead = value.saturating_add(sequence.increment.saturating_mul(AHEAD - 1));
        // Past an end the sequence turns or stops: then only this value is covered.
        let logged = if (sequence.min..=sequence.max).contains(&ahead) { ahead } else { value };
        log.append(&[Record::Sequence { id: u64::from(sequence.oid), value: logged }])?;
        Ok(logged)
    }

    pub fn set(&self, sequence: &Sequence, value: i64, is_called: bool, log: &dyn Log) -> Result<()> {
        if !(sequence.min..=sequence.max).contains(&value) {
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                    sequence.name, sequence.min, sequence.max
                ),
            ));
        }
        let mut states = self.states.lock();
        // After a crash the sequence goes on after the logged value, so "next is `value`" is logged as the one before.
        let logged = if is_called { value } else { value.wrapping_sub(sequence.increment) };
        log.append(&[Record::Sequence { id: u64::from(sequence.oid), value: logged }])?;
        states.insert(sequence.oid, State { last: value, is_called, logged });
        Ok(())
    }

    /// (last_value, is_called), as PostgreSQL shows a sequence.
    pub fn state(&self, sequence: &Sequence) -> (i64, bool) {
        self.states.lock().get(&sequence.oid).map_or((sequence.start, false), |s| (s.last, s.is_called))
    }

    /// Takes in a log record.
    pub fn replay(&self, oid: Oid, value: i64) {
        self.states.lock().insert(oid, State { last: value, is_called: true, logged: value });
    }

    pub fn forget(&self, oid: Oid) {
        self.states.lock().remove(&oid);
    }

    /// Forgets all but the known: others were created by transactions that never committed.
    pub fn retain(&self, known: impl Fn(Oid) -> bool) {
        self.states.lock().retain(|oid, _| known(*oid));
    }

    /// Runs `f` while no value is given out, with what a checkpoint keeps: after a crash, values covered by the log are
    /// skipped; after a clean close (`exact`) none are. Those that transactions still open have made are kept as well: of a
    /// transaction that is carried on, recovery does not meet the values. If it never commits, [`Sequences::retain`] forgets
    /// them.
    pub fn checkpoint<R>(&self, exact: bool, f: impl FnOnce(Vec<u8>) -> R) -> R {
        let states = self.states.lock();
        let kept = |state: &State| match exact || !state.is_called {
            true => *state,
            false => State { last: state.logged, ..*state },
        };
        let all: Vec<(Oid, State)> = states.iter().map(|(oid, state)| (*oid, kept(state))).collect();
        f(serde_json::to_vec(&all).expect("numbers and flags are JSON"))
    }

    pub fn restore(&self, bytes: &[u8]) -> Result<()> {
        let all: Vec<(Oid, State)> = serde_json::from_slice(bytes)
            .map_err(|e| Error::corrupt("manifest", 0, "the sequences' states", e))?;
        let mut states = self.states.lock();
        for (oid, state) in all {
            // What was covered before is not covered by the log that is left.
            states.insert(oid, State { logged: state.last, ..state });
        }
        Ok(())
    }
}

/// Whether a record in the log already covers `value`.
fn covers(sequence: &Sequence, state: &State, value: i64) -> bool {
    match sequence.increment > 0 {
        true => (state.last..=state.logged).contains(&value),
        false => (state.logged..=state.last).contains(&value),
    }
}

fn successor(sequence: &Sequence, last: i64) -> Result<i64> {
    let next = last.checked_add(sequence.increment);
    if let Some(next) = next.filter(|next| (sequence.min..=sequence.max).contains(next)) {
        return Ok(next);
    }
    let ascending = sequence.increment > 0;
    match (sequence.cycle, ascending) {
        (true, true) => Ok(sequence.min),
        (true, false) => Ok(sequence.max),
        (false, true) => Err(exhausted("maximum", &sequence.name, sequence.max)),
        (false, false) => Err(exhausted("minimum", &sequence.name, sequence.min)),
    }
}

fn exhausted(which: &str, name: &str, limit: i64) -> Error {
    Error::new(SqlState("2200H"), format!("nextval: reached {which} value of sequence \"{name}\" ({limit})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{MemoryLog, Position};
    use crate::types::Type;

    fn sequence(increment: i64, min: i64, max: i64, cycle: bool) -> Sequence {
        let start = if increment > 0 { min } else { max };
        let (schema, name) = ("public".into(), "s".into());
        Sequence {
            oid: 1,
            schema,
            name,
            ty: Type::Int8,
            start,
            increment,
            min,
            max,
            cycle,
            cache: 1,
            owned_by: None,
            comment: None,
        }
    }

    fn recovered(log: &MemoryLog) -> Sequences {
        let sequences = Sequences::default();
        log.replay(Position(8), &mut |_, record| {
            if let Record::Sequence { id, value } = record {
                sequences.replay(id as Oid, value);
            }
            Ok(())
        })
        .unwrap();
        sequences
    }

    #[test]
    fn no_value_comes_twice_after_a_crash() {
        let log = MemoryLog::new();
        let sequence = sequence(1, 1, i64::MAX, false);
        let sequences = Sequences::default();
        for expected in 1..=40 {
            assert_eq!(sequences.next(&sequence, &log).unwrap(), expected);
        }
        assert_eq!(recovered(&log).next(&sequence, &log).unwrap(), 65);
        sequences.set(&sequence, 10, false, &log).unwrap();
        assert_eq!(recovered(&log).next(&sequence, &log).unwrap(), 10);
    }

    #[test]
    fn a_checkpoint_keeps_what_the_log_had_covered() {
        let log = MemoryLog::new();
        let sequence = sequence(1, 1, i64::MAX, false);
        let sequences = Sequences::default();
        for _ in 0..3 {
            sequences.next(&sequence, &log).unwrap();
        }
        for (exact, expected) in [(false, 33), (true, 4)] {
            let restored = Sequences::default();
            restored.restore(&sequences.checkpoint(exact, |bytes| bytes)).unwrap();
            assert_eq!(restored.next(&sequence, &log).unwrap(), expected);
        }
    }

    #[test]
    fn ends_turn_or_refuse() {
        let log = MemoryLog::new();
        for (increment, last) in [(1, 3), (-1, 1)] {
            let sequences = Sequences::default();
            let stops = sequence(increment, 1, 3, false);
            for _ in 0..3 {
                sequences.next(&stops, &log).unwrap();
            }
            assert_eq!(sequences.state(&stops), (last, true));
            assert_eq!(sequences.next(&stops, &log).unwrap_err().state(), SqlState("2200H"));
            let turns = sequence(increment, 1, 3, true);
            assert_eq!(sequences.next(&turns, &log).unwrap(), turns.start);
        }
    }
}
