//! What the tours share: which server they visit, and a connection to it that is no part of any tour.
//!
//! Each test makes tables of its own names and drops what an earlier run left of them, so that the tests of a tour
//! may run side by side.

use tokio::sync::OnceCell;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// How a test ends: a tour meets the errors of several crates.
pub type Done = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// postgres://user@host:port/database, where the extension is there.
pub async fn server() -> &'static str {
    static SERVER: OnceCell<String> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let url = std::env::var("HITHER_URL").expect("HITHER_URL names the server to visit");
            // Two at a time would get in each other's way on PostgreSQL.
            connect(&url).await.batch_execute("CREATE EXTENSION IF NOT EXISTS vector").await.unwrap();
            url
        })
        .await
}

/// For clients that are not asynchronous.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What a connection to `url` hears goes nowhere.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server at HITHER_URL");
    tokio::spawn(connection);
    client
}

/// Whether the server refuses `script` for want of a feature: by 0A000. Every other error is an error.
pub async fn is_refused(script: &str) -> bool {
    let done = connect(server().await).await.batch_execute(&format!("BEGIN; {script}; ROLLBACK")).await;
    let Err(error) = done else { return false };
    assert_eq!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED), "{error:?}");
    eprintln!("skipped: {error:?}");
    true
}
