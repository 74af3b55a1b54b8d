//! Memory that the databases of one server share: what `memory.rs` gives each purpose is for all of them together.
//!
//! ```text
//!   purpose            shared              who has none left
//!   block cache        storage/pool.rs     the blocks used least go, whoever's they are
//!   memtables          storage/pool.rs     flushes its own, down to a quarter of all
//!   graphs             index/room.rs       has its own in files
//!   metadata indexes   bitmap/share.rs     moves its own to files, down to a quarter of all
//! ```

use std::fmt;
use std::sync::Arc;

use crate::index::bitmap::Share;
use crate::index::room::Room;
use crate::storage::Pool;

use super::Options;

/// Of graphs and metadata indexes; the options of the storage have the rest.
#[derive(Clone)]
pub struct SharedMemory {
    pub graphs: Arc<Room>,
    pub metadata: Arc<Share>,
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (graphs, metadata) = (self.graphs.held(), self.metadata.held());
        f.debug_struct("SharedMemory").field("graphs", &graphs).field("metadata", &metadata).finish()
    }
}

impl Options {
    /// All databases that are opened with these options, or copies of them, have the memory of one.
    pub fn sharing(mut self) -> Options {
        self.storage.pool = Some(Arc::new(Pool::new(self.storage.cache_bytes_max)));
        self.shared = Some(SharedMemory {
            graphs: Room::bound(self.graph_bytes_max),
            metadata: Share::bound(self.metadata_bytes_max),
        });
        self
    }
}
