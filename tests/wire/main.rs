//! The wire as clients see it: a real server on a socket, in this process, over an in-memory file system.
//!
//! `calls` is the function call sub-protocol; `queries` and `copies` use tokio-postgres, as an application would; `frames` speaks raw bytes, also wrong ones;
//! `mutated` sends what no client would; `notifications` has several clients at once, `databases` several databases, `dumps` what `hither dump` writes, `encodings` clients of other encodings than UTF-8; `process` runs the binary itself, `repeated` sends
//! what was there before.

#![cfg(feature = "server")]

mod calls;
mod copies;
mod databases;
mod dumps;
mod encodings;
mod frames;
mod mutated;
mod notifications;
mod process;
mod queries;
mod repeated;
// The differential test draws from it too.
#[path = "../differential/random.rs"]
mod random;

use std::sync::Arc;
use std::time::Duration;

use hither::database::{self, Cluster};
use hither::fs::memory::MemoryFs;
use hither::memory::Budget;
use hither::server::{Options, Server};
use hither::sql::Databases;
use tokio_postgres::{Client, NoTls};

/// A server with an empty database.
struct House {
    server: Server,
    databases: Arc<Databases>,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn new() -> House {
        House::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Options)) -> House {
        let mut options = Options { listen: "127.0.0.1:0".to_owned(), ..Options::default() };
        change(&mut options);
        let fs = Arc::new(MemoryFs::new());
        let cluster =
            Cluster::open(fs, "/data".as_ref(), database::Options::default()).expect("an empty database");
        let databases = Databases::new(cluster, Vec::new(), Budget::of_machine()).expect("databases");
        let runtime = hither::server::runtime().expect("a runtime");
        let server = Server::start(databases.clone(), options, runtime.handle().clone()).expect("a server");
        House { server, databases, runtime }
    }

    fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.server.address())
    }

    async fn connect(&self) -> Client {
        let (client, driver) = tokio_postgres::connect(&self.url(), NoTls).await.expect("a connection");
        tokio::spawn(driver);
        client
    }

    /// Runs a test against the server, then stops it.
    fn run<F: Future<Output = ()>>(self, test: impl FnOnce(Arc<House>) -> F) {
        let house = Arc::new(self);
        house
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), test(house.clone())).await })
            .expect("the test ends within a minute");
        let house = Arc::into_inner(house).expect("nobody else holds the server");
        house.runtime.block_on(house.server.stop(Duration::from_secs(5)));
        house.databases.close().expect("a clean close");
        // A cancelled join may still be computing; nobody waits for it.
        house.runtime.shutdown_background();
    }
}

/// The SQLSTATE of an error from the server.
fn state(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("no SQLSTATE", |code| code.code())
}

/// The message of an error from the server.
fn message(error: &tokio_postgres::Error) -> &str {
    error.as_db_error().map_or("no message", |error| error.message())
}
