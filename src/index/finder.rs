//! What finds near vectors without comparing all: a graph (`hnsw`), or lists around centres (`ivf`).
//!
//! Beside either stands a tail of slots that it does not hold yet, both are saved in generations and emptied by vacuum,
//! and a search is merged with the exact one of everything beside them. All that goes through here; only building and
//! walking differ.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use roaring::RoaringBitmap;

use super::hnsw::{self, Graph};
use super::ivf::{self, Lists};
use super::quantizer::Quantization;
use super::room::Room;
use super::source::Vectors;
use crate::distance::Metric;
use crate::error::Result;
use crate::fs::{Fs, OpenMode, Pace};

/// A graph or lists: searched, added to and saved at the same time.
#[expect(clippy::large_enum_variant, reason = "an index has one")]
pub enum Finder {
    Graph(Graph),
    Lists(Lists),
}

/// What it is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    Graph(hnsw::Params),
    Lists(ivf::Params),
}

impl Finder {
    /// Without nodes; a graph's memory is from `room`. Lists are bitmaps, and small beside what they are of; of the room
    /// they take what their centres are found in.
    pub fn new(params: Params, room: &Arc<Room>) -> Finder {
        match params {
            Params::Graph(params) => Finder::Graph(Graph::new_in(params, room)),
            Params::Lists(params) => Finder::Lists(Lists::new(params).sampling(room.held_max())),
        }
    }

    /// Of the vectors of `slots`, in `room`. `progress` counts slots done, `cancel` ends the build with 57014.
    pub fn build<V: Vectors>(
        params: Params,
        room: &Arc<Room>,
        vectors: &V,
        slots: &RoaringBitmap,
        threads: usize,
        progress: &AtomicU32,
        cancel: &AtomicBool,
    ) -> Result<Finder> {
        let finder = Finder::new(params, room);
        finder.add(vectors, slots, threads, progress, cancel)?;
        Ok(finder)
    }

    /// Takes in all of `slots` that are not in it yet. When cancelled, those taken in so far may stay.
    pub fn add<V: Vectors>(
        &self,
        vectors: &V,
        slots: &RoaringBitmap,
        threads: usize,
        progress: &AtomicU32,
        cancel: &AtomicBool,
    ) -> Result<()> {
        match self {
            Finder::Graph(graph) => graph.add(vectors, slots, threads, progress, cancel),
            Finder::Lists(lists) => lists.add(vectors, slots, threads, progress, cancel),
        }
    }

    /// Whether so many slots are better taken in at once than piece by piece: more than memory holds, they are put in an
    /// order that spares reads.
    pub fn wants_at_once<V: Vectors>(&self, vectors: &V, slots: &RoaringBitmap) -> bool {
        match (self, slots.min()) {
            (Finder::Graph(graph), Some(first)) => graph.are_beyond_memory(vectors, first, slots.len()),
            _ => false,
        }
    }

    /// Takes slots out; answers how many of them were in it.
    pub fn remove<V: Vectors>(
        &self,
        vectors: &V,
        slots: &RoaringBitmap,
        threads: usize,
        cancel: &AtomicBool,
    ) -> Result<u64> {
        match self {
            Finder::Graph(graph) => graph.remove(vectors, slots, threads, cancel),
            Finder::Lists(lists) => Ok(lists.remove(slots)),
        }
    }

    pub fn params(&self) -> Params {
        match self {
            Finder::Graph(graph) => Params::Graph(graph.params()),
            Finder::Lists(lists) => Params::Lists(lists.params()),
        }
    }

    pub fn metric(&self) -> Metric {
        match self {
            Finder::Graph(graph) => graph.params().metric,
            Finder::Lists(lists) => lists.params().metric,
        }
    }

    /// The slots in it now.
    pub fn nodes(&self) -> Arc<RoaringBitmap> {
        match self {
            Finder::Graph(graph) => graph.nodes(),
            Finder::Lists(lists) => lists.nodes(),
        }
    }

    pub fn contains(&self, slot: u32) -> bool {
        match self {
            Finder::Graph(graph) => graph.contains(slot),
            Finder::Lists(lists) => lists.contains(slot),
        }
    }

    /// An error (58030) when some of it could not be read, ever: it is of no use from then on, and to be built anew.
    pub fn refuse_unread(&self) -> Result<()> {
        match self {
            Finder::Graph(graph) => graph.refuse_unread(),
            // They are in memory.
            Finder::Lists(_) => Ok(()),
        }
    }

    /// Bytes of links or lists, in memory or mapped.
    pub fn bytes(&self) -> u64 {
        match self {
            Finder::Graph(graph) => graph.bytes(),
            Finder::Lists(lists) => lists.bytes(),
        }
    }

    /// How many of a graph's nodes are in memory, when the room had none for the others.
    pub fn fitted(&self) -> Option<u64> {
        match self {
            Finder::Graph(graph) => graph.fitted(),
            Finder::Lists(_) => None,
        }
    }

    /// What stands in for vectors in it.
    pub fn quantization(&self) -> Option<Quantization> {
        match self {
            Finder::Graph(graph) => graph.params().quantization,
            Finder::Lists(_) => None,
        }
    }

    /// Whether a vector of this norm has a place in it: not NULL, and under cosine not zero.
    pub fn takes(&self, norm: f32) -> bool {
        match self {
            Finder::Graph(graph) => graph.takes(norm),
            Finder::Lists(lists) => lists.params().takes_norm(norm),
        }
    }

    /// Whether it should be built anew over a table of so many rows, dead ones aside.
    pub fn is_outgrown(&self, rows: u64) -> bool {
        match self {
            Finder::Graph(graph) => graph.wants_training(rows),
            Finder::Lists(lists) => lists.wants_training(rows),
        }
    }

    /// Writes a generation that contains everything up to log position `position`, durably, and verifies it.
    pub fn save(&self, fs: &dyn Fs, path: &Path, dimensions: usize, position: u64) -> Result<u64> {
        match self {
            Finder::Graph(graph) => graph.save(fs, path, dimensions, position),
            Finder::Lists(lists) => lists.save(fs, path, position),
        }
    }

    /// Opens a generation of what `params` make, in `room`. With `verify`, every word is read.
    pub fn open(fs: &dyn Fs, path: &Path, params: Params, room: &Arc<Room>, verify: bool) -> Result<Finder> {
        match params {
            Params::Graph(_) => {
                if verify {
                    Graph::verify(fs, path)?;
                }
                Ok(Finder::Graph(Graph::open_in(fs, path, room)?.0))
            }
            Params::Lists(_) => Ok(Finder::Lists(Lists::open(fs, path)?.0)),
        }
    }

    /// What a generation of what `params` make holds, without opening it. With `verify`, every word is read.
    pub fn nodes_of(fs: &dyn Fs, path: &Path, params: Params, verify: bool) -> Result<Arc<RoaringBitmap>> {
        match params {
            Params::Graph(_) => {
                if verify {
                    Graph::verify(fs, path)?;
                }
                Graph::nodes_of(fs, path).map(Arc::new)
            }
            Params::Lists(_) => Ok(Lists::open(fs, path)?.0.nodes()),
        }
    }

    /// Reads a whole generation of what `params` make and holds it against its checksums (XX001 when it is damaged), as
    /// fast as `pace` lets it.
    pub fn verify_paced(fs: &dyn Fs, path: &Path, params: Params, pace: &mut Pace) -> Result<()> {
        match params {
            Params::Graph(_) => Graph::verify_paced(fs, path, pace),
            Params::Lists(_) => {
                pace(fs.open(path, OpenMode::Read)?.len()?)?;
                Lists::open(fs, path).map(drop)
            }
        }
    }

    /// Violated invariants.
    pub fn check(&self) -> Vec<String> {
        match self {
            Finder::Graph(graph) => graph.check().damage,
            Finder::Lists(lists) => lists.check(),
        }
    }
}

impl Params {
    /// How its files' names end.
    pub fn extension(self) -> &'static str {
        match self {
            Params::Graph(_) => "hnsw",
            Params::Lists(_) => "ivfflat",
        }
    }
}
