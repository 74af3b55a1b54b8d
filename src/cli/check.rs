//! `hither check`: verify a data directory that no server is using, a folder of backups, or an archive of the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::database::MAIN_DATABASE;
use crate::database::backup::{Folder, Moment, archives_in, check_archive, check_backups, folder_of};
use crate::database::check::check_directory;
use crate::database::cluster;
use crate::error::{Error, Result, SqlState};
use crate::fs::Fs;
use crate::fs::disk::DiskFs;
use crate::sql::time_text;

#[derive(clap::Args)]
pub struct Args {
    /// The data directory, folder of backups or archive; it is not changed
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Of a folder of backups: folder of the archived log (the server's setting archive_dir)
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<()> {
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    let folder = folder_of(&*fs, &args.dir)?;
    if args.archive.is_some() && folder != Some(Folder::Backups) {
        let message = format!("\"{}\" is not a folder of backups", args.dir.display());
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .detail("An archive goes with a folder of backups only."));
    }
    let problems = match folder {
        Some(Folder::Backups) => backups(&*fs, &args.dir, args.archive.as_deref())?,
        Some(Folder::Archive) => archives(&*fs, &args.dir)?,
        None => databases(&fs, &args.dir)?,
    };
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

/// Of all databases of a data directory, the number of problems.
fn databases(fs: &Arc<dyn Fs>, dir: &Path) -> Result<u64> {
    let mut problems = check(fs, MAIN_DATABASE, dir)?;
    match cluster::listed(&**fs, dir) {
        Ok(others) => {
            for (name, dir) in others {
                problems += check(fs, &name, &dir).unwrap_or_else(|error| {
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
    Ok(problems)
}

/// Of a folder of backups, the number of problems.
fn backups(fs: &dyn Fs, dir: &Path, archive: Option<&Path>) -> Result<u64> {
    let checked = check_backups(fs, dir, archive, &mut |problem| eprintln!("{problem}"))?;
    let time = |time: Option<Timestamp>| time.map_or("unknown time".into(), time_text);
    for backup in &checked.backups {
        let outcome = match backup.restorable {
            None => "cannot be restored".to_owned(),
            Some(Moment { position, time: then }) => {
                format!("can be restored up to commit {} ({})", position.0, time(then))
            }
        };
        println!("backup of commit {} ({}): {outcome}", backup.last.0, time(backup.time));
    }
    println!(
        "{} backups, {} files, {} bytes, {} pieces of the log",
        checked.backups.len(),
        checked.files,
        checked.bytes,
        checked.pieces
    );
    Ok(checked.problems)
}

/// Of an archive with those of the other databases in it, the number of problems.
fn archives(fs: &dyn Fs, dir: &Path) -> Result<u64> {
    let mut problems = 0;
    for dir in std::iter::once(dir.to_owned()).chain(archives_in(fs, dir)?) {
        let checked = check_archive(fs, &dir, &mut |problem| eprintln!("{problem}"))?;
        problems += checked.problems;
        let positions = match (checked.first, checked.end) {
            (Some(first), Some(end)) => format!(", positions {} to {}", first.0, end.0),
            _ => String::new(),
        };
        println!(
            "{}: {} pieces of the log, {} bytes{positions}",
            dir.display(),
            checked.pieces,
            checked.bytes
        );
    }
    Ok(problems)
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
