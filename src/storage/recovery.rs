//! Opening a store: the state of its last checkpoint, and nothing else on disk.
//!
//! 1. Read the manifest that CURRENT names (`manifest.rs`), or begin one.
//! 2. Open every table it names: length, footer and properties must be what they were. A tree whose tables are not all
//!    so is damaged: nobody reads or writes it, and its files and what the manifest says of them stay until it is
//!    dropped. The others are opened. Index, filter and blocks are held against their checksums when they are read.
//! 3. Remove tables it does not name: a crash left them between being written and being listed, or between
//!    being unlisted and being removed.
//!
//! The log is the owner's: it replays everything from
//! [`Store::checkpoint_position`](super::Store::checkpoint_position) on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use super::manifest::{Durable, Levels, Manifest};
use super::options::Options;
use super::sstable::Table;
use super::tree::Tree;
use super::version::Version;
use crate::error::{Error, Result, SqlState};
use crate::fs::Fs;
use crate::log::StorageId;

/// What was found in a folder.
pub struct Opened {
    pub context: Arc<Context>,
    pub manifest: Manifest,
    pub trees: BTreeMap<StorageId, Arc<Tree>>,
    pub damaged: BTreeMap<StorageId, Error>,
}

pub fn open(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Result<Opened> {
    let context = Arc::new(Context::new(fs.clone(), dir, options));
    fs.create_dir_all(&dir.join("tables"))?;
    let manifest = Manifest::open(fs, dir, context.options.manifest_bytes_max)?;
    let durable = manifest.durable();
    context.skip_number(durable.next_number);
    remove_orphans(&context, durable)?;
    let (mut trees, mut damaged) = (BTreeMap::new(), BTreeMap::new());
    for (id, levels) in &durable.trees {
        match open_version(&context, *id, levels) {
            Ok(version) => drop(trees.insert(*id, Arc::new(Tree::new(*id, context.clone(), version)))),
            Err(error) if is_damage(&error) => drop(damaged.insert(*id, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(Opened { context, manifest, trees, damaged })
}

/// Whether an error of opening or reading files says that they are not what was written: other bytes, a file that is
/// gone, or one that the disk does not give back. Others, such as too many open files, are not about these files.
pub fn is_damage(error: &Error) -> bool {
    match error.state() {
        SqlState::DATA_CORRUPTED | SqlState::UNDEFINED_FILE => true,
        SqlState::IO_ERROR => error.message().starts_with("could not read "),
        _ => false,
    }
}

/// The tables the manifest names, open.
pub fn open_version(context: &Arc<Context>, id: StorageId, levels: &Levels) -> Result<Version> {
    let mut version = Version::default();
    for (tables, metas) in version.levels.iter_mut().zip(levels) {
        for meta in metas {
            let table = Table::open(context, id, meta.clone())?;
            table.keep(true);
            tables.push(Arc::new(table));
        }
    }
    Ok(version)
}

/// Only what has our name is touched: vector segments and bitmaps lie in the same folders.
fn remove_orphans(context: &Context, durable: &Durable) -> Result<()> {
    let tables = context.dir.join("tables");
    for folder in context.fs.list(&tables)? {
        let id = folder.to_str().and_then(|name| name.parse().ok()).map(StorageId);
        let Some(id) = id else { continue };
        let levels = durable.trees.get(&id);
        let named: BTreeSet<u64> = levels.into_iter().flatten().flatten().map(|meta| meta.number).collect();
        for name in context.fs.list(&tables.join(&folder))? {
            let number = name.to_str().and_then(|name| name.strip_suffix(".sst")?.parse().ok());
            let Some(number) = number else { continue };
            context.skip_number(number);
            if !named.contains(&number) {
                context.fs.remove_file(&tables.join(&folder).join(name))?;
            }
        }
    }
    Ok(())
}
