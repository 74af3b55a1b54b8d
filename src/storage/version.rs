//! The tables of a tree that the manifest names, at one moment.

use std::ops::Bound;
use std::sync::Arc;

use super::cells::Row;
use super::manifest::LEVELS;
use super::merge::{LevelSource, Source};
use super::sstable::Table;
use crate::error::Result;
use crate::log::Seq;

/// Level 0: oldest first, ranges overlap. The others: by key, ranges disjoint. Of one key, a higher level
/// has older versions.
#[derive(Clone, Default)]
pub struct Version {
    pub levels: [Vec<Arc<Table>>; LEVELS],
}

impl Version {
    /// As [`Table::get`], of the newest table that knows the key.
    pub fn get(&self, key: &[u8], hash: u64, snapshot: Seq) -> Result<Option<(Seq, Option<Row>)>> {
        let level0 = self.levels[0].iter().rev();
        for table in level0.chain(self.levels[1..].iter().filter_map(|tables| table_of(tables, key))) {
            if let Some(found) = table.get(key, hash, snapshot)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.levels.iter().flatten()
    }

    /// All parts from their start, the newest first: level 0 from its end, then level after level.
    pub fn sources(&self, cache: bool) -> Vec<Source> {
        let source = |tables: &[Arc<Table>]| {
            Source::Level(LevelSource::new(tables, Bound::Unbounded, Bound::Unbounded, cache))
        };
        let level0 = self.levels[0].chunks(1).rev().map(source);
        let others = self.levels[1..].iter().filter(|tables| !tables.is_empty());
        level0.chain(others.map(|tables| source(tables))).collect()
    }

    /// Only the tables with these numbers.
    pub fn only(&self, numbers: &[u64]) -> Version {
        let mut version = self.clone();
        for tables in &mut version.levels {
            tables.retain(|table| numbers.contains(&table.meta().number));
        }
        version
    }

    /// Without the tables `removed`, and with `added` in `level`.
    pub fn replaced(&self, removed: &[u64], level: usize, added: &[Arc<Table>]) -> Version {
        let mut next = self.clone();
        for tables in &mut next.levels {
            tables.retain(|table| !removed.contains(&table.meta().number));
        }
        next.levels[level].extend(added.iter().cloned());
        if level > 0 {
            next.levels[level].sort_by(|a, b| a.meta().key_min.cmp(&b.meta().key_min));
        }
        next
    }
}

/// The one of disjoint tables in order that a key would be in, if it is not after all of them.
pub fn table_of<'a>(tables: &'a [Arc<Table>], key: &[u8]) -> Option<&'a Arc<Table>> {
    tables.get(tables.partition_point(|table| &table.meta().key_max[..] < key))
}
