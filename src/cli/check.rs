//! `hither check`: verify a data directory that no server is using.

use std::path::PathBuf;
use std::sync::Arc;

use crate::database::check::check_directory;
use crate::error::{Error, Result, SqlState};
use crate::fs::Fs;
use crate::fs::disk::DiskFs;

#[derive(clap::Args)]
pub struct Args {
    /// The data directory; it is not changed
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    let checked = check_directory(fs, &args.dir, &mut |problem| {
        eprintln!("{problem}");
    })?;
    println!(
        "{} tables, {} rows, {} unique keys, {} vectors, {} graph nodes",
        checked.tables, checked.rows, checked.keys, checked.vectors, checked.graph_nodes
    );
    if !checked.affected.is_empty() {
        let names: Vec<&str> = checked.affected.iter().map(String::as_str).collect();
        println!("affected: {}", names.join(", "));
    }
    match checked.problems {
        0 => {
            println!("no problems");
            Ok(())
        }
        count => {
            Err(Error::new(SqlState::DATA_CORRUPTED, format!("{count} problems in {}", args.dir.display())))
        }
    }
}
