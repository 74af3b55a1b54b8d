//! `hither dump`: a database as SQL, or one file of a data directory as lines.

mod file;
mod sql;

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::server::{DATABASE, SUPERUSER};

#[derive(clap::Args)]
pub struct Args {
    /// The server whose database is written as SQL [default: postgres://postgres@127.0.0.1:5432/postgres]
    #[arg(value_name = "URL", env = "HITHER_URL")]
    url: Option<String>,
    /// Definitions without rows
    #[arg(long, conflicts_with = "file")]
    schema_only: bool,
    /// Tell this file of a data directory or a backup instead; it is not changed. A sorted table lies under the name it
    /// has in a data directory
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<()> {
    if let Some(path) = args.file {
        return file::run(&path);
    }
    let url = args.url.unwrap_or_else(|| format!("postgres://{SUPERUSER}@127.0.0.1:5432/{DATABASE}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("start", "a runtime", &error))?;
    runtime.block_on(sql::run(&url, !args.schema_only))
}
