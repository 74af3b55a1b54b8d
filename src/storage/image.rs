//! The files of the last checkpoint, open, for a backup; and the check of their copies.

use std::path::Path;
use std::sync::Arc;

use super::check::check_table;
use super::context::Context;
use super::manifest::{self, Levels};
use super::options::Options;
use super::sstable::{Table, path_of};
use super::store::Store;
use crate::error::Result;
use crate::fs::{File, Fs, OpenMode, Pace};
use crate::log::{Position, StorageId};

/// What the manifest names at one moment. The files stay readable whatever happens to their names.
pub struct Image {
    /// The log is replayed from here.
    pub position: Position,
    pub trees: Vec<StorageId>,
    pub tables: Vec<TableFile>,
    /// A manifest that says the same, and CURRENT: names and contents.
    pub manifest: Vec<(String, Vec<u8>)>,
    levels: Vec<(StorageId, Levels)>,
}

/// A sorted table.
pub struct TableFile {
    pub storage: StorageId,
    pub number: u64,
    pub file: Arc<dyn File>,
}

impl Store {
    /// Opens every file that the manifest names now.
    pub fn image(&self) -> Result<Image> {
        // What it names is there as long as nobody commits to it.
        let manifest = self.shared.manifest.lock();
        let (context, durable) = (&self.shared.context, manifest.durable());
        let mut tables = Vec::new();
        for (id, levels) in &durable.trees {
            for meta in levels.iter().flatten() {
                let file = context.fs.open(&path_of(&context.dir, *id, meta.number), OpenMode::Read)?;
                tables.push(TableFile { storage: *id, number: meta.number, file });
            }
        }
        Ok(Image {
            position: durable.position,
            trees: durable.trees.keys().copied().collect(),
            tables,
            manifest: manifest::written(durable),
            levels: durable.trees.iter().map(|(id, levels)| (*id, levels.clone())).collect(),
        })
    }
}

/// Reads copies of tables below `dir`, those with the given numbers, and holds them against what the manifest says, as fast
/// as `pace` lets it.
pub fn check_copies(
    fs: Arc<dyn Fs>,
    dir: &Path,
    image: &Image,
    numbers: &[u64],
    pace: &mut Pace,
) -> Result<()> {
    let options = Options { cache_bytes_max: 0, ..Options::default() };
    let context = Arc::new(Context::new(fs, dir, options));
    for (id, levels) in &image.levels {
        for meta in levels.iter().flatten().filter(|meta| numbers.contains(&meta.number)) {
            let table = Table::open(&context, *id, meta.clone())?;
            table.keep(true);
            check_table(&table, pace).into_iter().collect::<Result<()>>()?;
        }
    }
    Ok(())
}
