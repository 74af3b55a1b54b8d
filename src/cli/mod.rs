//! The command line: `hither serve`, `demo`, `check`, `backup`, `restore`, `dump`, `bench`.
//!
//! Every command ends with exit code 0, or with one line on standard error (and its detail and hint) and code 1.

// Pages that hold nothing any more.
mod allocator;
mod backup;
mod bench;
mod check;
mod client;
mod demo;
mod dump;
mod restore;
mod serve;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Error, Result, SqlState};

/// A vector database that PostgreSQL clients already know how to use.
#[derive(Parser)]
#[command(name = "hither", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGTERM or SIGINT
    Serve(serve::Args),
    /// Run a server with a small real data set and show a first search
    Demo(demo::Args),
    /// Verify a data directory that no server is using, a folder of backups, or an archive of the log
    Check(check::Args),
    /// Ask a running server for a backup
    Backup(backup::Args),
    /// Make a data directory from a backup, as of any commit
    Restore(restore::Args),
    /// Write a database as SQL, or tell a file of a data directory or a backup as lines
    Dump(dump::Args),
    /// Measure any server that speaks pgvector's SQL: load, index, recall, speed
    Bench(bench::Args),
}

/// The binary.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Restore(args) => restore::run(args),
        Command::Dump(args) => dump::run(args),
        Command::Bench(args) => bench::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &Error) {
    let fields = error.fields();
    eprintln!("hither: {}", fields.message);
    if let Some(detail) = &fields.detail {
        eprintln!("        {detail}");
    }
    if let Some(hint) = &fields.hint {
        eprintln!("hint:   {hint}");
    }
}

/// Log lines on standard error: a level, or levels by module ("info,hither::sql=debug").
fn start_log(level: &str) -> Result<()> {
    for part in level.split(',') {
        let name = part.rsplit('=').next().unwrap_or(part).trim();
        name.parse::<log::LevelFilter>().map_err(|_| {
            Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("\"{name}\" is not a log level"))
                .hint("Levels are off, error, warn, info, debug and trace.")
        })?;
    }
    let line = |out: &mut env_logger::fmt::Formatter, record: &log::Record| {
        let time = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.3f UTC");
        writeln!(out, "{time} {:5} {}: {}", record.level(), record.target(), record.args())
    };
    // Only fails when a log was started before, as in tests.
    let _ = env_logger::Builder::new().parse_filters(level).format(line).try_init();
    Ok(())
}
