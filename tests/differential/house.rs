//! The server under test, in this process, over files in memory; and a count of the panics in all its threads.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use hither::database::{Cluster, Options as DatabaseOptions};
use hither::error::SqlState;
use hither::fs::memory::MemoryFs;
use hither::memory::Budget;
use hither::server::{self, Options, Server};
use hither::sql::Databases;

use crate::client::Url;

/// Enough for any statement of the tests, little enough that a hostile one is refused before the machine is short.
const MEMORY: u64 = 1 << 30;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// The number of panics so far, in any thread; the first call begins to count.
pub fn panics() -> usize {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            print(panic);
        }));
    });
    PANICS.load(Ordering::Relaxed)
}

pub struct House {
    server: Server,
    databases: Arc<Databases>,
    runtime: tokio::runtime::Runtime,
}

impl House {
    pub fn open() -> House {
        House::open_on(MemoryFs::new())
    }

    /// On what an earlier one left, once the last of its threads has let go of it.
    pub fn open_on(fs: MemoryFs) -> House {
        let runtime = server::runtime().expect("a runtime");
        let deadline = Instant::now() + Duration::from_secs(10);
        let cluster = loop {
            match Cluster::open(Arc::new(fs.clone()), Path::new("/data"), DatabaseOptions::default()) {
                Ok(cluster) => break cluster,
                Err(error) if error.state() == SqlState("55006") && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("a cluster: {error}"),
            }
        };
        let memory = Budget::of(MEMORY).expect("a budget");
        let databases = Databases::new(cluster, Vec::new(), memory).expect("databases");
        let options = Options { listen: "127.0.0.1:0".to_owned(), ..Options::default() };
        let server = Server::start(databases.clone(), options, runtime.handle().clone()).expect("a server");
        House { server, databases, runtime }
    }

    pub fn url(&self) -> Url {
        Url { address: self.server.address(), database: "postgres".to_owned() }
    }

    pub fn close(self) {
        self.runtime.block_on(self.server.stop(Duration::from_secs(5)));
        self.databases.close().expect("a clean close");
        // A cancelled join may still be computing; nobody waits for it.
        self.runtime.shutdown_background();
    }
}
