//! `hither dump --file`: any file of a data directory, a folder of backups or an archive as lines.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::database::describe::describe;
use crate::error::{Error, Result};
use crate::fs::DiskFs;

/// `file` is not changed. A sorted table lies under the name it has in a data directory.
pub fn run(file: &Path) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let failed = |error: std::io::Error| Error::io("write", "standard output", &error);
    let mut ended = false;
    let mut tell = |line: String| {
        writeln!(out, "{line}").map_err(|error| {
            // Whoever read the lines has seen enough.
            ended = error.kind() == std::io::ErrorKind::BrokenPipe;
            failed(error)
        })
    };
    let outcome = describe(&DiskFs, file, &mut tell);
    if ended { Ok(()) } else { outcome.and_then(|()| out.flush().map_err(failed)) }
}
