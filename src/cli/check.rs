//! `hither check`: verify a data directory that no server is using.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::database::MAIN_DATABASE;
use crate::database::check::check_directory;
use crate::database::cluster;
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
    let mut problems = check(&fs, MAIN_DATABASE, &args.dir)?;
    match cluster::listed(&*fs, &args.dir) {
        Ok(others) => {
            for (name, dir) in others {
                problems += check(&fs, &name, &dir).unwrap_or_else(|error| {
                    eprintln!("database \"{name}\": {error}");
                    1
                });
            }
        }
        Err(error) => {
            eprintln!("{error}");
            problems += 1;
        }
    }
    match problems {
        0 => {
            println!("no problems");
            Ok(())
        }
        count => {
            Err(Error::new(SqlState::DATA_CORRUPTED, format!("{count} problems in {}", args.dir.display())))
        }
    }
}

/// The number of problems.
fn check(fs: &Arc<dyn Fs>, name: &str, dir: &Path) -> Result<u64> {
    let checked = check_directory(fs.clone(), dir, &mut |problem| eprintln!("{problem}"))?;
    println!(
        "{name}: {} tables, {} rows, {} unique keys, {} vectors, {} graph nodes",
        checked.tables, checked.rows, checked.keys, checked.vectors, checked.graph_nodes
    );
    if !checked.affected.is_empty() {
        let names: Vec<&str> = checked.affected.iter().map(String::as_str).collect();
        println!("affected in {name}: {}", names.join(", "));
    }
    Ok(checked.problems)
}
