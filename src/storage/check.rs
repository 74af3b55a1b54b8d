//! Every invariant of the store, once. Tests, crash runs and `hither check` call this.
//!
//! - The manifest is whole and names tables that are there, with the length and properties they had.
//! - Every block's checksum is right; its entries lie between the first and last key its index entry has.
//! - A table's entries ascend strictly by (key, newest first); count, deletions, smallest and largest key
//!   and sequence number are what the metadata says, older versions as many as the footer says; the filter knows
//!   every key.
//! - From level 1 on, the tables of a level are in order and share no key.
//! - Of one key, the versions in a table of level 0 are not newer than those in later ones, and those in a
//!   level not newer than those in the levels before: a reader may stop at the first it finds.

use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use super::manifest::{self, Levels};
use super::merge::Merge;
use super::options::Options;
use super::recovery;
use super::slice::Slice;
use super::sstable::{Filter, SEQ_MAX, Table};
use super::version::Version;
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, Pace, unpaced};
use crate::log::{Seq, StorageId};

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub trees: usize,
    pub tables: usize,
    pub entries: u64,
    pub bytes: u64,
    pub damage: Vec<Error>,
}

/// Checks the store in `dir`, which nobody has open, and changes nothing. An error is damage that hides the
/// rest.
pub fn check(fs: Arc<dyn Fs>, dir: &Path) -> Result<Report> {
    let mut report = Report::default();
    let Some((durable, _)) = manifest::read(&*fs, dir)? else { return Ok(report) };
    let options = Options { cache_bytes_max: 0, ..Options::default() };
    let context = Arc::new(Context::new(fs, dir, options));
    for (id, levels) in &durable.trees {
        match recovery::open_version(&context, *id, levels) {
            Ok(version) => check_version(&version, &mut report),
            Err(_) => check_files(&context, *id, levels, &mut report),
        }
    }
    Ok(report)
}

/// Each table by itself, of a tree that does not open.
pub(super) fn check_files(context: &Arc<Context>, id: StorageId, levels: &Levels, report: &mut Report) {
    report.trees += 1;
    for meta in levels.iter().flatten() {
        match Table::open(context, id, meta.clone()) {
            Ok(table) => {
                // The manifest names it, whatever becomes of this object.
                table.keep(true);
                report.tables += 1;
                report.damage.extend(check_table(&table, &mut unpaced).into_iter().filter_map(Result::err));
            }
            Err(error) => report.damage.push(error),
        }
    }
}

pub(super) fn check_version(version: &Version, report: &mut Report) {
    report.trees += 1;
    for (level, tables) in version.levels.iter().enumerate() {
        for table in tables {
            report.tables += 1;
            report.entries += table.meta().entries;
            report.bytes += table.meta().bytes;
            report.damage.extend(check_table(table, &mut unpaced).into_iter().filter_map(Result::err));
        }
        if level > 0 {
            report.damage.extend(check_order(tables).err());
        }
    }
    // What it cannot read was told already.
    let known = |error: &Error| report.damage.iter().any(|told| told.message() == error.message());
    let ages = check_ages(version).err().filter(|error| !known(error));
    report.damage.extend(ages);
}

fn check_order(tables: &[Arc<Table>]) -> Result<()> {
    for pair in tables.windows(2) {
        let (end, start) = (&pair[0].meta().key_max, &pair[1].meta().key_min);
        if end >= start {
            let expected = format!("keys after \"{}\"", end.escape_ascii());
            return Err(pair[1].damaged(0, expected, format_args!("\"{}\"", start.escape_ascii())));
        }
    }
    Ok(())
}

/// Reads a table's file from end to end, as fast as `pace` lets it: what is wrong with its rows, and what with a filter that
/// cannot be read. A sound filter is used again from now on.
pub(super) fn check_table(table: &Table, pace: &mut Pace) -> [Result<()>; 2] {
    let filter = table.filter_from_file();
    [check_rows(table, filter.as_ref().ok(), pace), filter.map(drop)]
}

fn check_rows(table: &Table, filter: Option<&Filter>, pace: &mut Pace) -> Result<()> {
    let index = table.index_from_file()?;
    let meta = table.meta();
    let mut last: Option<(Vec<u8>, Seq)> = None;
    let (mut entries, mut deletions, mut older) = (0, 0, 0);
    let (mut seq_min, mut seq_max) = (Seq(u64::MAX), Seq(0));
    for at in 0..index.len() {
        let place = index.place(at);
        let block = table.block_from_file(place)?;
        pace(place.len.into())?;
        for index in 0..block.len() {
            let entry = table.entry(&block, index);
            let after = last.as_ref().is_none_or(|(key, seq)| {
                entry.key[..] > key[..] || (entry.key[..] == key[..] && entry.seq < *seq)
            });
            if !after || entry.seq.0 > SEQ_MAX {
                let found = format!("\"{}\" at {}", entry.key.escape_ascii(), entry.seq.0);
                return Err(table.damaged(place.offset, format_args!("an entry after {last:?}"), found));
            }
            if filter.is_some_and(|filter| !filter.may_contain(&entry.key)) {
                let key = entry.key.escape_ascii().to_string();
                return Err(table.damaged(
                    place.offset,
                    format_args!("\"{key}\" in the filter"),
                    "a filter without it",
                ));
            }
            entries += 1;
            older += u64::from(last.as_ref().is_some_and(|(key, _)| entry.key[..] == key[..]));
            deletions += u64::from(entry.value.is_none());
            seq_min = seq_min.min(entry.seq);
            seq_max = seq_max.max(entry.seq);
            last = Some((entry.key.to_vec(), entry.seq));
        }
        let bounds = (block.len() > 0).then(|| (block.key(0), block.key(block.len() - 1)));
        if bounds != Some((index.first_key(at)?, index.last_key(at))) {
            return Err(table.damaged(place.offset, "the keys the index has", "others"));
        }
    }
    if table.older_versions().is_some_and(|counted| counted != older) {
        return Err(table.damaged(
            0,
            format_args!("{older} older versions"),
            format_args!("{:?}", table.older_versions()),
        ));
    }
    let key_max = last.map(|(key, _)| key).unwrap_or_default();
    let key_min = if index.len() > 0 { index.first_key(0)?.to_vec() } else { Vec::new() };
    let found = (entries, deletions, seq_min, seq_max, &key_min[..], &key_max[..]);
    let expected =
        (meta.entries, meta.deletions, meta.seq_min, meta.seq_max, &meta.key_min[..], &meta.key_max[..]);
    if found != expected {
        return Err(table.damaged(0, format_args!("{expected:?}"), format_args!("{found:?}")));
    }
    Ok(())
}

/// Walks over all parts at once. Versions of a key come newest first, so the parts they are from must come
/// in order too.
fn check_ages(version: &Version) -> Result<()> {
    let mut merge = Merge::new(version.sources(false));
    let mut last: Option<(Slice, usize)> = None;
    while merge.advance_each()? {
        let (Some(rank), Some(entry)) = (merge.rank(), merge.to_entry()) else { break };
        if let Some((key, newer)) = &last
            && *key == entry.key
            && rank < *newer
        {
            let key = key.escape_ascii();
            let message = format!(
                "version {} of \"{key}\" lies above a newer one (part {rank} of {newer})",
                entry.seq.0
            );
            return Err(Error::new(SqlState::DATA_CORRUPTED, message));
        }
        last = Some((entry.key, rank));
    }
    Ok(())
}
