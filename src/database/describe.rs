//! Any file of a data directory, of a folder of backups or of an archive as lines that people read:
//! `hither dump --file`. It looks at one file alone and changes nothing.

use std::path::Path;

use crate::database::{cluster, control};
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, Lines, OpenMode};
use crate::{index, log, storage, vectors};

/// Texts are shown as they are up to this size.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// Tells the file line by line; 22023 when it is none of ours.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<()> {
    let known = control::describe(fs, path, out)?
        || cluster::describe(fs, path, out)?
        || log::describe(fs, path, out)?
        || storage::describe(fs, path, out)?
        || vectors::describe(fs, path, out)?
        || index::hnsw::describe(fs, path, out)?
        || index::ivf::describe(fs, path, out)?
        || index::bitmap::file::describe(fs, path, out)?
        || text(fs, path, out)?;
    match known {
        true => Ok(()),
        false => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("\"{}\" is no file of a data directory", path.display()),
        )),
    }
}

/// CURRENT, and what a backup says of itself.
fn text(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A backup's copy has its position before its name, and its checksums behind it.
    if !name.ends_with(".base") && name.split('.').all(|part| part != "CURRENT") {
        return Ok(false);
    }
    let file = fs.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()?.min(TEXT_BYTES_MAX) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    String::from_utf8_lossy(&bytes).lines().try_for_each(|line| out(line.to_owned()))?;
    Ok(true)
}
