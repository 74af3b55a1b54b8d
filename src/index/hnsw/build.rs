//! Many nodes at once, on several threads: each takes the next slots from a common counter and inserts them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use roaring::RoaringBitmap;

use super::graph::{Graph, Params};
use super::insert::Inserted;
use super::order::is_pivot;
use super::scratch::Scratch;
use crate::error::{Result, check_cancel};
use crate::index::source::Vectors;

/// Nodes inserted by one thread before the others join: threads that start on an empty graph would link to
/// nothing.
const ALONE: usize = 64;
/// Slots a thread takes at a time.
const STEP: usize = 16;

impl Graph {
    /// A graph of the vectors of `slots`. `progress` counts slots done, `cancel` ends the build with 57014.
    pub fn build<V: Vectors>(
        params: Params,
        vectors: &V,
        slots: &RoaringBitmap,
        threads: usize,
        progress: &AtomicU32,
        cancel: &AtomicBool,
    ) -> Result<Graph> {
        let graph = Graph::new(params);
        graph.add(vectors, slots, threads, progress, cancel)?;
        Ok(graph)
    }

    /// Inserts all of `slots` that are not nodes yet, on `threads` threads. When cancelled, those inserted so
    /// far stay.
    pub fn add<V: Vectors>(
        &self,
        vectors: &V,
        slots: &RoaringBitmap,
        threads: usize,
        progress: &AtomicU32,
        cancel: &AtomicBool,
    ) -> Result<()> {
        let _shape = self.shape.read();
        let mut list: Vec<u32> = (slots - &*self.nodes()).into_iter().collect();
        let Some(&last) = list.last() else { return Ok(()) };
        self.base.grow(u64::from(last).min(u64::from(vectors.slots_end())) + 1);
        // Before any thread looks: whoever walks meets nodes of all the others.
        if let Some(codes) = self.codes_for(vectors, &list) {
            codes.grow(last);
        }
        if self.is_empty() && self.is_beyond_memory(vectors, &list) {
            let (pivots, rest): (Vec<u32>, Vec<u32>) = list.iter().partition(|&&slot| is_pivot(slot));
            self.link_all(vectors, &pivots, threads, progress, cancel)?;
            list = rest;
            self.order_by_cells(vectors, &mut list, threads, cancel)?;
        }
        self.link_all(vectors, &list, threads, progress, cancel)
    }

    /// Whether vectors and links are more than the page cache is expected to keep.
    fn is_beyond_memory<V: Vectors>(&self, vectors: &V, list: &[u32]) -> bool {
        let Some(&first) = list.first().filter(|slot| **slot < vectors.slots_end()) else { return false };
        let element = vectors.get(first).element();
        let link_bytes = (self.params.capacity(0) + 1) * size_of::<u32>();
        let node_bytes = element.bytes(vectors.dimensions()) + link_bytes;
        self.room().is_exceeded_by(list.len() as u64 * node_bytes as u64)
    }

    /// Links all of `list`, in its order.
    fn link_all<V: Vectors>(
        &self,
        vectors: &V,
        list: &[u32],
        threads: usize,
        progress: &AtomicU32,
        cancel: &AtomicBool,
    ) -> Result<()> {
        let alone = if self.len() < ALONE as u64 { ALONE.min(list.len()) } else { 0 };
        let next = AtomicUsize::new(0);
        let work = Work { graph: self, vectors, list, progress, cancel };
        work.run(&next, alone);
        std::thread::scope(|scope| {
            for _ in 1..threads.max(1) {
                scope.spawn(|| work.run(&next, list.len()));
            }
            work.run(&next, list.len());
        });
        check_cancel(cancel)
    }
}

struct Work<'a, V> {
    graph: &'a Graph,
    vectors: &'a V,
    list: &'a [u32],
    progress: &'a AtomicU32,
    cancel: &'a AtomicBool,
}

impl<V: Vectors> Work<'_, V> {
    /// Takes and inserts slots until position `end` of the list.
    fn run(&self, next: &AtomicUsize, end: usize) {
        let mut scratch = Scratch::new();
        let mut done = RoaringBitmap::new();
        while !self.cancel.load(Ordering::Relaxed) && next.load(Ordering::Relaxed) < end {
            let start = next.fetch_add(STEP, Ordering::Relaxed);
            let Some(slots) = self.list.get(start..self.list.len().min(start + STEP)) else { break };
            for &slot in slots {
                if self.graph.link(self.vectors, slot, &mut scratch) != Inserted::NoVector {
                    done.insert(slot);
                }
            }
            self.progress.fetch_add(slots.len() as u32, Ordering::Relaxed);
        }
        self.graph.change_nodes(|nodes| *nodes |= done);
    }
}
