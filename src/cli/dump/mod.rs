//! `hither dump`: a database as SQL, or one file of a data directory as lines.

mod file;
mod sql;

use std::path::PathBuf;

use crate::cli::client::Server;
use crate::error::Result;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
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
    args.server.ask(|client| sql::run(client, !args.schema_only))
}
