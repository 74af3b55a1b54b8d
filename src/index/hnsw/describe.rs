//! A graph generation as lines that people read: `hither dump --file`.

use std::path::Path;

use super::graph::Graph;
use crate::error::Result;
use crate::fs::{Fs, Lines, OpenMode};

/// Whether a file is a generation, and then its nodes with their links on level 0.
pub fn describe(fs: &dyn Fs, path: &Path, out: &mut Lines) -> Result<bool> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut magic = [0; 8];
    if file.len()? < 4096 {
        return Ok(false);
    }
    file.read_exact_at(&mut magic, 0)?;
    if &magic != b"HITHRGRF" {
        return Ok(false);
    }
    drop(file);
    let (graph, position) = Graph::open(fs, path)?;
    let params = graph.params();
    out(format!(
        "graph of {} nodes as of position {position}: m {}, ef_construction {}, {:?}; {}",
        graph.len(),
        params.m,
        params.ef_construction,
        params.metric,
        match Graph::verify(fs, path) {
            Ok(()) => "sound".to_owned(),
            Err(error) => error.message().to_owned(),
        }
    ))?;
    for (slot, links) in graph.base_links() {
        out(format!("{slot}: {links:?}"))?;
    }
    Ok(true)
}
