//! A client of a running server, for the commands that ask one.

use std::future::Future;

use tokio_postgres::{Client, NoTls};

use crate::database::MAIN_DATABASE;
use crate::error::{Error, Result, SqlState};
use crate::server::SUPERUSER;

/// Which server a command asks.
#[derive(clap::Args)]
pub struct Server {
    /// The server [default: postgres://postgres@127.0.0.1:5432/postgres]
    #[arg(value_name = "URL", env = "HITHER_URL")]
    url: Option<String>,
}

impl Server {
    /// Runs a conversation with the server on this thread.
    pub fn ask<T, F: Future<Output = Result<T>>>(self, conversation: impl FnOnce(Client) -> F) -> Result<T> {
        let url =
            self.url.unwrap_or_else(|| format!("postgres://{SUPERUSER}@127.0.0.1:5432/{MAIN_DATABASE}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::io("start", "a runtime", &error))?;
        runtime.block_on(async { conversation(connect(&url).await?).await })
    }
}

/// A connection, driven in the background.
pub async fn connect(url: &str) -> Result<Client> {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.map_err(wrap)?;
    // Ends with the client; an error there shows up as the error of the request that met it.
    tokio::spawn(async move { driver.await.unwrap_or_default() });
    Ok(client)
}

/// A client's error as ours, for the command line to print.
pub fn wrap(error: tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(told) => {
            let wrapped = Error::new(
                SqlState::CONNECTION_FAILURE,
                format!("{} ({})", told.message(), told.code().code()),
            );
            let wrapped = told.detail().into_iter().fold(wrapped, |error, detail| error.detail(detail));
            told.hint().into_iter().fold(wrapped, |error, hint| error.hint(hint))
        }
        None => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Error::new(SqlState::CONNECTION_FAILURE, format!("{error}{cause}"))
        }
    }
}
