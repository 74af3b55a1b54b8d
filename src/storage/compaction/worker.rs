//! Carries a choice out.
//!
//! 1. Merge the chosen tables and write what is still needed to new ones.
//! 2. Commit the exchange to the manifest.
//! 3. Give readers the new version; old files go with the last reader that still has them.
//!
//! Tables that overlap nothing are moved instead: the same files, named in another level.

use std::ops::Bound;
use std::sync::Arc;

use super::policy::{Choice, How, Shape, TableShape};
use super::retain::Retain;
use crate::error::Result;
use crate::log::StorageId;
use crate::storage::context::{Context, Traffic};
use crate::storage::limiter::Lane;
use crate::storage::manifest::{Edit, LEVELS};
use crate::storage::merge::{LevelSource, Merge, Source};
use crate::storage::sstable::{Table, Writer};
use crate::storage::version::Version;

/// How many entries are merged between two looks at whether the store is closing.
const ENTRIES_BETWEEN_CHECKS: u32 = 4096;

/// A finished compaction that is not committed yet.
pub struct Job {
    pub removed: Vec<Arc<Table>>,
    pub level: usize,
    pub added: Vec<Arc<Table>>,
}

impl Job {
    /// The exchange as the manifest records it.
    pub fn edits(&self, id: StorageId) -> Vec<Edit> {
        let removed = self.removed.iter().map(|table| Edit::RemoveTable(id, table.meta().number));
        let added = self.added.iter().map(|table| Edit::AddTable(id, self.level as u8, table.meta().clone()));
        removed.chain(added).collect()
    }
}

/// What the policy sees of a version.
pub fn shape(version: &Version) -> Shape {
    version.levels.each_ref().map(|tables| {
        let shapes = tables.iter().map(|table| TableShape {
            number: table.meta().number,
            bytes: table.meta().bytes,
            key_min: table.meta().key_min.clone(),
            key_max: table.meta().key_max.clone(),
        });
        shapes.collect()
    })
}

/// The choice that brings all tables into one level, the lowest in use, and so leaves no version that is not
/// needed.
pub fn everything(version: &Version) -> Option<Choice> {
    let into = version.levels.iter().rposition(|tables| !tables.is_empty())?.max(1);
    let numbers = |tables: &[Arc<Table>]| tables.iter().map(|table| table.meta().number).collect::<Vec<_>>();
    let upper = version.levels[..into].iter().flat_map(|tables| numbers(tables)).collect();
    Some(Choice { how: How::Merge, into, upper, lower: numbers(&version.levels[into]) })
}

/// Does the merging of `choice`, made from `version`; as fast as it goes, or as the lane's rate has it.
pub fn run(
    context: &Arc<Context>,
    id: StorageId,
    version: &Version,
    choice: &Choice,
    lane: Option<Lane>,
) -> Result<Job> {
    let chosen = version.only(&[&choice.upper[..], &choice.lower].concat());
    let removed: Vec<_> = chosen.tables().cloned().collect();
    if choice.how == How::Move {
        return Ok(Job { added: removed.clone(), level: choice.into, removed });
    }
    let merge = Merge::new(chosen.sources(false));
    let mut kept = Retain::new(merge, context.horizon(), |key| nothing_below(version, choice.into, key));
    let mut writer = Writer::new(context.clone(), id).paced(lane);
    let mut entries = 0u32;
    while let Some(entry) = kept.next()? {
        writer.add(entry.key, entry.seq, entry.value)?;
        entries = entries.wrapping_add(1);
        if entries.is_multiple_of(ENTRIES_BETWEEN_CHECKS) {
            context.check_stopping()?;
        }
    }
    let added = writer.finish()?;
    Traffic::add(&context.traffic.merged_bytes, &added);
    Ok(Job { removed, level: choice.into, added })
}

/// Tables of one level that are written anew in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Not level 0.
    pub level: usize,
    /// Numbers of tables that lie beside each other.
    pub runs: Vec<Vec<u64>>,
}

/// Writes tables anew without what they have no need of. The levels above are read along, for newer versions there, and
/// stay as they are.
pub fn trim(
    context: &Arc<Context>,
    id: StorageId,
    version: &Version,
    trim: &Trim,
    lane: Option<Lane>,
) -> Result<Job> {
    let mut job = Job { removed: Vec::new(), level: trim.level, added: Vec::new() };
    for run in &trim.runs {
        let tables = version.levels[trim.level].iter().filter(|table| run.contains(&table.meta().number));
        let tables: Vec<Arc<Table>> = tables.cloned().collect();
        job.added.extend(trim_run(context, id, version, trim.level, &tables, lane)?);
        job.removed.extend(tables);
    }
    Traffic::add(&context.traffic.merged_bytes, &job.added);
    Ok(job)
}

fn trim_run(
    context: &Arc<Context>,
    id: StorageId,
    version: &Version,
    level: usize,
    run: &[Arc<Table>],
    lane: Option<Lane>,
) -> Result<Vec<Arc<Table>>> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(Vec::new()) };
    let (from, to) = (&first.meta().key_min[..], &last.meta().key_max[..]);
    let between = |tables: &[Arc<Table>]| {
        Source::Level(LevelSource::new(tables, Bound::Included(from), Bound::Included(to), false))
    };
    let mut sources: Vec<Source> = version.levels[0].chunks(1).rev().map(between).collect();
    sources.extend(version.levels[1..level].iter().map(|tables| between(tables)));
    let own = sources.len();
    sources.push(between(run));
    let below = |key: &[u8]| nothing_below(version, level, key);
    let mut kept = Retain::new(Merge::new(sources), context.horizon(), below);
    let mut writer = Writer::new(context.clone(), id).paced(lane);
    let mut entries = 0u32;
    while kept.advance()? {
        let Some(entry) = kept.entry().filter(|entry| entry.key <= to) else { break };
        if kept.rank() == Some(own) {
            writer.add(entry.key, entry.seq, entry.value)?;
        }
        entries = entries.wrapping_add(1);
        if entries.is_multiple_of(ENTRIES_BETWEEN_CHECKS) {
            context.check_stopping()?;
        }
    }
    writer.finish()
}

/// Whether no level below this one has a key, as far as ranges and filters tell.
pub fn nothing_below(version: &Version, level: usize, key: &[u8]) -> bool {
    (level + 1..LEVELS).all(|below| {
        let tables = &version.levels[below];
        let at = tables.partition_point(|table| &table.meta().key_max[..] < key);
        tables.get(at).is_none_or(|table| key < &table.meta().key_min[..] || !table.may_contain(key))
    })
}
