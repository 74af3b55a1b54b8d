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
use crate::storage::sstable::{Filter, Table, Writer};
use crate::storage::version::{Version, table_of};

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
    let mut asked = Asked::new(context, version, lane, Mode::WhenWorth);
    let mut kept = Retain::new(merge, context.horizon(), |key| asked.nothing_below(choice.into, key));
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
    let mut asked = Asked::new(context, version, lane, Mode::AtOnce);
    let below = |key: &[u8]| asked.nothing_below(level, key);
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

/// What levels may have, asked about keys in order. Where the cache lacks the filter of a table it is read from the file at
/// the lane's rate, and held for the level until the next table is asked, so that none is read twice.
pub struct Asked<'a> {
    context: &'a Context,
    version: &'a Version,
    lane: Option<Lane>,
    mode: Mode,
    held: [Option<Held>; LEVELS],
}

/// When a filter is read that the cache lacks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With the first question. Who counts garbage and who removes what was counted have to know: what a "perhaps" keeps
    /// would be counted again.
    AtOnce,
    /// Once the table was asked about as many keys as the filter has bytes of blocks; until then the answer is "perhaps",
    /// which is always right: a deletion that could go sinks with the merge instead. So deletions far from each other, one
    /// for each table below, read nothing, and a filter is read for a number of them, not for each.
    WhenWorth,
}

/// The table that a level was asked about last.
struct Held {
    number: u64,
    filter: Option<Filter>,
    questions: usize,
    /// Whether the file was asked: a damaged filter is asked for once.
    was_read: bool,
}

impl<'a> Asked<'a> {
    pub fn new(context: &'a Context, version: &'a Version, lane: Option<Lane>, mode: Mode) -> Asked<'a> {
        Asked { context, version, lane, mode, held: Default::default() }
    }

    /// Whether no level below this one has a key, as far as ranges and filters tell.
    pub fn nothing_below(&mut self, level: usize, key: &[u8]) -> Result<bool> {
        for below in level + 1..LEVELS {
            if self.perhaps_in(below, key)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The table of a level from 1 on that may have a key. 57P01 when the store is closing.
    pub fn perhaps_in(&mut self, level: usize, key: &[u8]) -> Result<Option<&'a Arc<Table>>> {
        let Some(table) = table_around(&self.version.levels[level], key) else { return Ok(None) };
        let number = table.meta().number;
        let held = match &mut self.held[level] {
            Some(held) if held.number == number => held,
            held => {
                held.insert(Held { number, filter: table.cached_filter(), questions: 0, was_read: false })
            }
        };
        held.questions += 1;
        let is_worth = || {
            let worth = held.questions.saturating_mul(self.context.options.block_bytes);
            self.mode == Mode::AtOnce || worth > table.filter_bytes()
        };
        if held.filter.is_none() && !held.was_read && is_worth() {
            held.filter = table.read_filter();
            held.was_read = true;
            if let Some(lane) = self.lane {
                self.context.limiter.pace(self.context, lane, table.filter_bytes() as u64)?;
            }
        }
        Ok(held.filter.as_ref().is_none_or(|filter| filter.may_contain(key)).then_some(table))
    }
}

/// The one of disjoint tables whose range has a key.
pub fn table_around<'a>(tables: &'a [Arc<Table>], key: &[u8]) -> Option<&'a Arc<Table>> {
    table_of(tables, key).filter(|table| &table.meta().key_min[..] <= key)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs::faulty::Op;
    use crate::fs::{FaultyFs, MemoryFs};
    use crate::log::{Position, Seq};
    use crate::storage::{Checkpoint, Options, Store};

    fn key(number: u32) -> [u8; 4] {
        number.to_be_bytes()
    }

    /// Counted in reads of files: nobody else reads meanwhile, and the cache has room for nothing.
    #[test]
    fn a_filter_is_read_for_several_questions_or_for_who_has_to_know() {
        let (fs, faults) = FaultyFs::new(MemoryFs::new());
        faults.within(".sst");
        let options = Options { cache_bytes_max: 0, table_bytes_max: 16 << 10, ..Options::tiny() };
        let store = Store::open(fs, Path::new("data"), options.clone()).unwrap();
        let tree = store.create_tree(StorageId(7));
        // Odd numbers are there.
        let keys: Vec<_> = (0..10_000).map(|number| key(2 * number + 1)).collect();
        tree.write(Seq(1), keys.iter().map(|key| (&key[..], Some(&key[..])))).unwrap();
        store.checkpoint(Checkpoint { position: Position(2), extras: Vec::new() }).unwrap();
        store.compact(StorageId(7)).unwrap();
        let version = tree.version();
        let tables = &version.levels[1];
        assert!(tables.len() > 3, "{} tables", tables.len());
        let worth = |table: &Table| table.filter_bytes() / options.block_bytes + 1;
        assert!(tables[..3].iter().all(|table| worth(table) > 3), "filters of several blocks");
        let first = |table: &Table| u32::from_be_bytes(table.meta().key_min[..].try_into().unwrap());
        let reads = |asked: &mut Asked, numbers: &mut dyn Iterator<Item = u32>| {
            let before = faults.count(Op::READ);
            let found: Vec<bool> =
                numbers.map(|number| !asked.nothing_below(0, &key(number)).unwrap()).collect();
            (faults.count(Op::READ) - before, found)
        };
        let ask = |mode| Asked::new(&store.shared.context, &version, None, mode);
        let mut asked = ask(Mode::WhenWorth);
        for table in &tables[..3] {
            let (first, worth) = (first(table), worth(table) as u32);
            let absent = reads(&mut asked, &mut (1..worth).map(|at| first + 2 * at - 1));
            assert_eq!(absent, (0, vec![true; worth as usize - 1]), "nobody looked");
            let (read, found) = reads(&mut asked, &mut (worth..worth + 100).map(|at| first + 2 * at - 1));
            assert_eq!(read, 1);
            assert!(found.iter().filter(|is_perhaps| **is_perhaps).count() < 20, "{found:?}");
            assert_eq!(reads(&mut asked, &mut (1..100).map(|at| first + 2 * at)), (0, vec![true; 99]));
        }
        let mut asked = ask(Mode::AtOnce);
        for table in &tables[..3] {
            let (read, found) = reads(&mut asked, &mut (1..100).map(|at| first(table) + 2 * at - 1));
            assert_eq!(read, 1);
            assert!(found.iter().filter(|is_perhaps| **is_perhaps).count() < 20, "{found:?}");
        }
        let beyond = reads(&mut asked, &mut [0, 20_002].into_iter());
        assert_eq!(beyond, (0, vec![false; 2]), "in no table's range");
    }
}
