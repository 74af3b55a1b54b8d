//! Where the time of a session's statements goes: the view hither.timings.
//!
//! ```text
//!   Parse                      Bind              Execute
//!   parse -> plan              bind              execute <-> encode      (execute: until the rows are there)
//!      kept by the statement,     kept by the portal
//!      for its first execution
//! ```
//!
//! An execution that reuses a plan shows zero for parse and plan: they belong to the execution that came first. Making
//! a plan anew, because the catalogue or search_path changed, counts for the execution that needed it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::error::Result;
use crate::planner::bindings::{Execution, Timing};
use crate::sql::session::{Prepared, Session};
use crate::sql::system::HITHER;
use crate::sql::system::relation::{Relation, Rows, cells};

/// Statements a session remembers; enough to look back over an experiment, a few kilobytes.
const KEPT: usize = 128;
/// Bytes of a statement's text that are kept.
const TEXT_BYTES_MAX: usize = 1024;

pub const RELATIONS: &[Relation] = &[Relation {
    oid: 13_301,
    schema: HITHER,
    name: "timings",
    kind: 'v',
    columns: "number int8, statement text, parse_us float8, plan_us float8, bind_us float8, execute_us float8, \
        encode_us float8",
    rows: timings,
}];

/// What one execution of a statement has spent so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub parse: Duration,
    pub plan: Duration,
    pub bind: Duration,
    pub execute: Duration,
    pub encode: Duration,
}

/// The last `KEPT` statements of a session, oldest first.
#[derive(Debug, Default)]
pub struct Timings {
    recent: VecDeque<Timing>,
    number: i64,
}

impl Timings {
    fn push(&mut self, statement: &str, spent: Spent) {
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.number += 1;
        let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
        let kept = statement.floor_char_boundary(TEXT_BYTES_MAX);
        self.recent.push_back(Timing {
            number: self.number,
            statement: statement[..kept].to_owned(),
            microseconds: [spent.parse, spent.plan, spent.bind, spent.execute, spent.encode]
                .map(microseconds),
        });
    }

    pub fn recent(&self) -> Vec<Timing> {
        self.recent.iter().cloned().collect()
    }
}

impl Session {
    /// Notes a finished execution. What was spent on making its plan is taken from the statement.
    pub fn note_timing(&self, prepared: &Prepared, mut spent: Spent) {
        let Some(statement) = &prepared.statement else { return };
        let making = std::mem::take(&mut *prepared.making.lock());
        spent.parse += making.parse;
        spent.plan += making.plan;
        self.shared.timings.lock().push(statement.text(), spent);
    }
}

fn timings(execution: &Execution, rows: &mut Rows) -> Result<()> {
    for Timing { number, statement, microseconds: [parse, plan, bind, execute, encode] } in
        execution.session.timings()
    {
        rows.add(cells! {
            number: number, statement: statement, parse_us: parse, plan_us: plan, bind_us: bind,
            execute_us: execute, encode_us: encode,
        });
    }
    Ok(())
}
