//! What a vacuum writes anew: tables of which enough is garbage, and no others.
//!
//! Garbage is what no reader can ask for: a version with a newer one at or before the horizon, and a deletion of which
//! nothing older is below.
//!
//! ```text
//!   level 0   [b@9      d@8 deleted]       read, with all levels but the lowest, which has nine parts in ten
//!   level 1   [a@5  b@6] [d@4  f@5]          garbage: b@6 | d@4
//!   level 2   [a@1  b@2  c@2] [d@1  e@1]     garbage: a@1 b@2 | d@1      asked: their filters, and how many of their
//!                                                                        entries are older versions of their own keys
//! ```
//!
//! A table is *trimmed*: written anew in its place without its garbage, the levels above being read for what makes it
//! garbage and left as they are. So what is written follows the garbage, wherever in a large tree it is. Only level 0,
//! whose tables overlap, is merged into the next one.
//!
//! A tenth has to be garbage: at most nine bytes are written for one that is freed, and what stays is at most a ninth of
//! what lives, besides deletions that garbage keeps. Filters err once in a hundred keys, so that a table may be trimmed for
//! less where a hundred times as many new keys lie among its own.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use super::policy::{Choice, How, TableShape, bring_down, level0_groups};
use super::worker::{Asked, Mode, Trim, shape, table_around};
use crate::error::Result;
use crate::log::Seq;
use crate::storage::context::Context;
use crate::storage::limiter::Lane;
use crate::storage::merge::{DecidedKey, LevelSource, Merge, Source};
use crate::storage::sstable::Table;
use crate::storage::version::Version;

/// One in so many entries has to be garbage.
const ENTRIES_PER_GARBAGE: u64 = 10;
/// Tables of so many bytes are exchanged at once: few syncs, and a full disk needs no more than that beside the tree.
const TRIM_BYTES: u64 = 256 << 20;
/// Entries between two looks at whether to go on.
const ENTRIES_BETWEEN_CHECKS: u64 = 4096;

/// Garbage entries by number of table, as far as is known.
pub type Garbage = HashMap<u64, u64>;

/// A piece of a vacuum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleaning {
    /// Some of level 0 goes into level 1.
    Merge(Choice),
    Trim(Trim),
}

/// Finds the garbage of a tree. Filters are read at the lane's rate. 57P01 when the store is closing.
pub fn count(context: &Context, version: &Version, lane: Option<Lane>) -> Result<Garbage> {
    let horizon = context.horizon();
    let mut garbage = Garbage::new();
    let Some(lowest) = version.levels.iter().rposition(|tables| !tables.is_empty()) else {
        return Ok(garbage);
    };
    for table in version.levels[lowest].iter().filter(|_| lowest > 0) {
        garbage.insert(table.meta().number, older_versions(table, horizon));
    }
    // Newest first: the tables of level 0 one by one, then the levels before the lowest.
    let mut parts: Vec<(usize, &[Arc<Table>])> =
        version.levels[0].chunks(1).rev().map(|table| (0, table)).collect();
    parts.extend((1..lowest).map(|level| (level, &version.levels[level][..])));
    let whole = |tables: &[Arc<Table>]| {
        Source::Level(LevelSource::new(tables, Bound::Unbounded, Bound::Unbounded, false))
    };
    let mut merge = Merge::new(parts.iter().map(|(_, tables)| whole(tables)).collect());
    let (mut decided, mut asked) = (DecidedKey::default(), Asked::new(context, version, lane, Mode::AtOnce));
    let mut entries = 0u64;
    while merge.advance_each()? {
        entries += 1;
        if entries.is_multiple_of(ENTRIES_BETWEEN_CHECKS) {
            context.check_stopping()?;
        }
        let (Some(rank), Some(entry)) = (merge.rank(), merge.entry()) else { break };
        if entry.seq > horizon {
            continue;
        }
        let (level, tables) = parts[rank];
        let is_newest = decided.is_new(entry.key);
        if is_newest
            && lowest > 0
            && let Some(below) = asked.perhaps_in(lowest, entry.key)?
        {
            *garbage.entry(below.meta().number).or_default() += 1;
        }
        if (!is_newest || entry.value.is_none() && asked.nothing_below(level, entry.key)?)
            && let Some(own) = table_around(tables, entry.key)
        {
            *garbage.entry(own.meta().number).or_default() += 1;
        }
    }
    Ok(garbage)
}

/// What is worth doing, in order: groups of level 0 alone, for after them the others are to be counted again; else tables
/// that lie beside each other together, lower levels first.
pub fn plan(version: &Version, garbage: &Garbage) -> Vec<Cleaning> {
    let is_worth = |tables: &[&Arc<Table>]| {
        let sum = |f: &dyn Fn(&Table) -> u64| tables.iter().map(|table| f(table)).sum::<u64>();
        let found = sum(&|table| garbage.get(&table.meta().number).copied().unwrap_or(0));
        found > 0 && found * ENTRIES_PER_GARBAGE >= sum(&|table| table.meta().entries)
    };
    let shape = shape(version);
    let mut merges: Vec<Choice> = Vec::new();
    for group in level0_groups(&shape[0]) {
        let choice = Choice { how: How::Merge, ..bring_down(&shape, 0, &group) };
        let chosen = version.only(&[&choice.upper[..], &choice.lower].concat());
        // Two groups may overlap one table below: the second is for the next time.
        let is_free =
            merges.iter().all(|other| other.lower.iter().all(|table| !choice.lower.contains(table)));
        if is_free && is_worth(&chosen.tables().collect::<Vec<_>>()) {
            merges.push(choice);
        }
    }
    if !merges.is_empty() {
        return merges.into_iter().map(Cleaning::Merge).collect();
    }
    let mut cleanings = Vec::new();
    for level in (1..version.levels.len()).rev() {
        let runs = version.levels[level].chunk_by(|a, b| is_worth(&[a]) == is_worth(&[b]));
        let mut trim = Trim { level, runs: Vec::new() };
        let mut bytes = 0;
        for run in runs.filter(|run| is_worth(&[&run[0]])) {
            trim.runs.push(run.iter().map(|table| table.meta().number).collect());
            bytes += run.iter().map(|table| table.meta().bytes).sum::<u64>();
            if bytes >= TRIM_BYTES {
                cleanings
                    .push(Cleaning::Trim(std::mem::replace(&mut trim, Trim { level, runs: Vec::new() })));
                bytes = 0;
            }
        }
        if !trim.runs.is_empty() {
            cleanings.push(Cleaning::Trim(trim));
        }
    }
    cleanings
}

impl Cleaning {
    /// Whether the tables it is about are still there, and still lie as they did.
    pub fn fits(&self, version: &Version) -> bool {
        let shape = shape(version);
        match self {
            Cleaning::Merge(choice) => {
                let upper: Vec<&TableShape> =
                    shape[0].iter().filter(|table| choice.upper.contains(&table.number)).collect();
                upper.len() == choice.upper.len() && bring_down(&shape, 0, &upper).lower == choice.lower
            }
            Cleaning::Trim(trim) => {
                let numbers: Vec<u64> = shape[trim.level].iter().map(|table| table.number).collect();
                trim.runs.iter().all(|run| numbers.windows(run.len()).any(|there| there == run))
            }
        }
    }
}

/// Entries with a newer version in the table itself. While some of them are after the horizon nobody knows which can go.
fn older_versions(table: &Table, horizon: Seq) -> u64 {
    let meta = table.meta();
    match table.older_versions() {
        Some(older) if meta.seq_max <= horizon => older,
        Some(_) => 0,
        // Of the first format, which did not count them; there are none among entries of one moment.
        None if meta.seq_min == meta.seq_max => 0,
        None => meta.entries,
    }
}
