//! `hither restore`: a data directory from a folder of backups and the archived log, up to any commit.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::database::backup::{Target, restore};
use crate::database::check::check_directory;
use crate::database::new_cluster;
use crate::error::{Error, Result, SqlState};
use crate::fs::DiskFs;
use crate::log::Position;
use crate::sql::time_text;
use crate::types::{Type, Value, text};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of backups
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Folder of the archived log (the server's setting archive_dir)
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// The directory to make; it does not exist or is empty
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The last commit: a timestamp ('2026-11-25 22:30:00+00') or a log position (a number, as BACKUP and hither.snapshots
    /// tell them); without it everything there is
    #[arg(long, value_name = "TARGET")]
    to: Option<String>,
    /// Read everything back afterwards, as `hither check` does
    #[arg(long)]
    check: bool,
}

pub fn run(args: Args) -> Result<()> {
    super::start_log("warn")?;
    let target = args.to.as_deref().map_or(Ok(Target::Latest), target)?;
    let archive = args.archive.as_deref();
    let done = restore(&DiskFs, &args.from, archive, &args.data_dir, target, new_cluster())?;
    let last = done.last.map_or("none".into(), |last| last.0.to_string());
    let time = done.time.map_or("unknown time".into(), time_text);
    println!(
        "restored {} up to commit {last} ({time}): {} files, {} bytes, and {} bytes of log",
        args.data_dir.display(),
        done.files,
        done.bytes,
        done.log_bytes
    );
    if args.check {
        check(&args)?;
    }
    Ok(())
}

fn check(args: &Args) -> Result<()> {
    let checked = check_directory(Arc::new(DiskFs), &args.data_dir, &mut |problem| eprintln!("{problem}"))?;
    match checked.problems {
        0 => {
            println!(
                "{} tables, {} rows, {} vectors: no problems",
                checked.tables, checked.rows, checked.vectors
            );
            Ok(())
        }
        count => Err(Error::new(
            SqlState::DATA_CORRUPTED,
            format!("{count} problems in {}", args.data_dir.display()),
        )),
    }
}

/// A number is a position; everything else a timestamp, in UTC unless it says otherwise.
fn target(given: &str) -> Result<Target> {
    if let Ok(position) = given.trim().parse() {
        return Ok(Target::Position(Position(position)));
    }
    match text::parse(&Type::Timestamptz(None), given)? {
        Value::Timestamptz(time) => Ok(Target::Time(Timestamp(time))),
        other => Err(Error::internal(format!("a timestamp was read as {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_positions_or_times() {
        assert_eq!(target("4096").unwrap(), Target::Position(Position(4096)));
        assert_eq!(target("1970-01-01 00:00:01+00").unwrap(), Target::Time(Timestamp(1_000_000)));
        assert_eq!(target("1970-01-01T02:00:00+02").unwrap(), Target::Time(Timestamp(0)));
        assert!(target("yesterday evening").is_err());
    }
}
