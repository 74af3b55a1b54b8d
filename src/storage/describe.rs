//! Sorted tables and manifests as lines that people read: `hither dump --file`.

use std::path::Path;

use super::manifest;
use super::sstable::describe_table;
use crate::error::Result;
use crate::fs::{Fs, Lines, OpenMode};

/// Whether a file's first or last bytes are those of a file of this folder, and then its lines.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    let file = fs.open(path, OpenMode::Read)?;
    let len = file.len()?;
    let (mut first, mut last) = ([0; 8], [0; 8]);
    if len < 8 {
        return Ok(false);
    }
    file.read_exact_at(&mut first, 0)?;
    file.read_exact_at(&mut last, len - 8)?;
    if &first == b"HITHERMF" {
        manifest::describe(&*file, out)?;
    } else if &last == b"HITHERST" {
        describe_table(&*file, out)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}
