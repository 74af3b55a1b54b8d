//! `hither backup`: asks a running server for a backup of one of its databases, over the wire as any client would
//! (`BACKUP TO`).

use std::path::PathBuf;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::cli::client::{Server, wrap};
use crate::error::{Error, Result};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    /// Folder of backups of this database on the server's machine, made when it does not exist; what an earlier backup
    /// stored there is used again
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// How many backups of the folder stay, the new one counted: older ones go, with the files and the log (also in the
    /// server's archive) that only they need
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Megabytes (of 1,048,576 bytes) per second, read and written together, at most; 0: as fast as it goes
    #[arg(long, value_name = "MB", default_value_t = 0)]
    rate: u32,
}

pub fn run(args: Args) -> Result<()> {
    let to = std::path::absolute(&args.to)
        .map_err(|error| Error::io("find", args.to.display(), &error))?
        .display()
        .to_string();
    let keep = args.keep.map(|keep| format!(" KEEP {keep}")).unwrap_or_default();
    let statement = format!("BACKUP TO '{}'{keep} RATE {}", to.replace('\'', "''"), args.rate);
    args.server.ask(|client| ask(client, to, statement))
}

async fn ask(client: Client, to: String, statement: String) -> Result<()> {
    for message in client.simple_query(&statement).await.map_err(wrap)? {
        if let SimpleQueryMessage::Row(row) = message {
            let cell = |name: &str| row.get(name).unwrap_or("unknown").to_owned();
            println!(
                "backup of commit {} ({}) in {to}: {} files, {} bytes; new: {} files, {} bytes, {} of {} pieces of the log",
                cell("last_commit"),
                cell("last_commit_time"),
                cell("files"),
                cell("bytes"),
                cell("files_copied"),
                cell("bytes_copied"),
                cell("log_pieces_copied"),
                cell("log_pieces"),
            );
            println!("it can be restored up to log position {}", cell("log_end"));
            if cell("backups_removed") != "0" {
                println!("removed: {} older backups", cell("backups_removed"));
            }
        }
    }
    Ok(())
}
