//! Many nodes at once, on several threads: each takes the next slots from a common counter and inserts them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use roaring::RoaringBitmap;

use super::graph::{Entry, Graph, Params};
use super::insert::Inserted;
use super::order::pivot_level;
use super::scratch::Scratch;
use crate::error::{Result, check_cancel};
use crate::index::source::Vectors;

/// Nodes inserted by one thread before the others join: threads that start on an empty graph would link to
/// nothing.
const ALONE: usize = 64;
/// Slots a thread takes at a time.
const STEP: usize = 16;
/// Nodes after which a thread makes them known, so that a generation can be saved while a long build goes on. Each time the
/// set of all nodes is copied, an eighth of a byte a slot.
const PUBLISHED: u64 = 16_384;

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
        let list: Vec<u32> = (slots - &*self.nodes()).into_iter().collect();
        let Some(&last) = list.last() else { return Ok(()) };
        let _listed = self.room().take_anyway(size_of_val(&list[..]) as u64);
        self.base.grow(u64::from(last).min(u64::from(vectors.slots_end())) + 1);
        // Before any thread looks: whoever walks meets nodes of all the others.
        if let Some(codes) = self.codes_for(vectors, &list) {
            codes.grow(last);
        }
        if self.is_beyond_memory(vectors, &list) {
            let level = pivot_level(self.len() as usize + list.len(), self.params.m);
            let (pivots, others) = self.split_pivots(&list, level);
            drop(list);
            let pivot = |place: usize| (pivots[place], None);
            self.link_all(vectors, pivots.len(), pivot, threads, progress, cancel)?;
            let cells = self.cells(vectors, &others, level, threads, cancel)?;
            drop(others);
            return self.link_all(vectors, cells.len(), |place| cells.get(place), threads, progress, cancel);
        }
        self.link_all(vectors, list.len(), |place| (list[place], None), threads, progress, cancel)
    }

    fn is_beyond_memory<V: Vectors>(&self, vectors: &V, list: &[u32]) -> bool {
        list.first().is_some_and(|&first| self.are_beyond_memory(vectors, first, list.len() as u64))
    }

    /// Whether vectors and links of `count` slots, `first` one of them, are more than the page cache is expected to keep:
    /// they are taken cell by cell then (`order.rs`), which pays the more the more there are at once.
    pub fn are_beyond_memory<V: Vectors>(&self, vectors: &V, first: u32, count: u64) -> bool {
        if first >= vectors.slots_end() {
            return false;
        }
        let element = vectors.get(first).element();
        let link_bytes = (self.params.capacity(0) + 1) * size_of::<u32>();
        let node_bytes = element.bytes(vectors.dimensions()) + link_bytes;
        self.room().is_exceeded_by(count * node_bytes as u64)
    }

    /// Links `count` slots in the order of their places, which `slot` tells with where their searches begin.
    fn link_all<V: Vectors>(
        &self,
        vectors: &V,
        count: usize,
        slot: impl Fn(usize) -> (u32, Option<Entry>) + Sync,
        threads: usize,
        progress: &AtomicU32,
        cancel: &AtomicBool,
    ) -> Result<()> {
        let alone = if self.len() < ALONE as u64 { ALONE.min(count) } else { 0 };
        let work = Work { graph: self, vectors, next: AtomicUsize::new(0), slot, progress, cancel };
        work.run(alone);
        std::thread::scope(|scope| {
            for _ in 1..threads.max(1) {
                scope.spawn(|| work.run(count));
            }
            work.run(count);
        });
        check_cancel(cancel)
    }
}

struct Work<'a, V, S> {
    graph: &'a Graph,
    vectors: &'a V,
    /// Places from here on are still to be taken.
    next: AtomicUsize,
    slot: S,
    progress: &'a AtomicU32,
    cancel: &'a AtomicBool,
}

impl<V: Vectors, S: Fn(usize) -> (u32, Option<Entry>)> Work<'_, V, S> {
    /// Takes and links slots until place `end`.
    fn run(&self, end: usize) {
        let mut scratch = Scratch::new();
        let mut done = RoaringBitmap::new();
        while !self.cancel.load(Ordering::Relaxed) && self.next.load(Ordering::Relaxed) < end {
            let start = self.next.fetch_add(STEP, Ordering::Relaxed);
            let places = start..end.min(start + STEP);
            for place in places.clone() {
                let (slot, start) = (self.slot)(place);
                if self.graph.link(self.vectors, slot, start, &mut scratch) != Inserted::NoVector {
                    done.insert(slot);
                }
            }
            self.progress.fetch_add(places.len() as u32, Ordering::Relaxed);
            if done.len() >= PUBLISHED {
                let some = std::mem::take(&mut done);
                self.graph.change_nodes(|nodes| *nodes |= some);
            }
        }
        self.graph.change_nodes(|nodes| *nodes |= done);
    }
}
