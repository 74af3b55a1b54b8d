//! `hither backup`: asks a running server for a backup, over the wire as any client would (`BACKUP TO`).

use std::path::PathBuf;

use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::cli::bench::wrap;
use crate::error::{Error, Result};
use crate::server::{DATABASE, SUPERUSER};

#[derive(clap::Args)]
pub struct Args {
    /// The server [default: postgres://postgres@127.0.0.1:5432/postgres]
    #[arg(value_name = "URL", env = "HITHER_URL")]
    url: Option<String>,
    /// Folder of backups on the server's machine, made when it does not exist; what an earlier backup stored there is
    /// used again
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let to = std::path::absolute(&args.to)
        .map_err(|error| Error::io("find", args.to.display(), &error))?
        .display()
        .to_string();
    let url = args.url.unwrap_or_else(|| format!("postgres://{SUPERUSER}@127.0.0.1:5432/{DATABASE}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("start", "a runtime", &error))?;
    runtime.block_on(ask(&url, &to))
}

async fn ask(url: &str, to: &str) -> Result<()> {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.map_err(wrap)?;
    // Ends with the client; an error there shows up as the error of the request that met it.
    tokio::spawn(async move { driver.await.unwrap_or_default() });
    let statement = format!("BACKUP TO '{}'", to.replace('\'', "''"));
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
        }
    }
    Ok(())
}
