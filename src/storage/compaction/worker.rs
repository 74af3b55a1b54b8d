//! Carries a choice out.
//!
//! 1. Merge the chosen tables and write what is still needed to new ones.
//! 2. Commit the exchange to the manifest.
//! 3. Give readers the new version; old files go with the last reader that still has them.
//!
//! Tables that overlap nothing are moved instead: the same files, named in another level.

use std::sync::Arc;

use super::policy::{Choice, How, Shape, TableShape};
use super::retain::Retain;
use crate::error::Result;
use crate::log::StorageId;
use crate::storage::context::{Context, Traffic};
use crate::storage::manifest::{Edit, LEVELS};
use crate::storage::merge::Merge;
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

/// Does the merging of `choice`, made from `version`.
pub fn run(context: &Arc<Context>, id: StorageId, version: &Version, choice: &Choice) -> Result<Job> {
    let chosen = version.only(&[&choice.upper[..], &choice.lower].concat());
    let removed: Vec<_> = chosen.tables().cloned().collect();
    if choice.how == How::Move {
        return Ok(Job { added: removed.clone(), level: choice.into, removed });
    }
    let merge = Merge::new(chosen.sources(false));
    let mut kept = Retain::new(merge, context.horizon(), |key| nothing_below(version, choice.into, key));
    let mut writer = Writer::new(context.clone(), id);
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

fn nothing_below(version: &Version, level: usize, key: &[u8]) -> bool {
    (level + 1..LEVELS).all(|below| {
        let tables = &version.levels[below];
        let at = tables.partition_point(|table| &table.meta().key_max[..] < key);
        tables.get(at).is_none_or(|table| key < &table.meta().key_min[..])
    })
}
