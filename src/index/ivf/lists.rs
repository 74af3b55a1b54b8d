//! Lists of slots around centres: filled, emptied and searched at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use super::centres::Centres;
use super::train::{SAMPLE_BYTES_MAX, sample_size, train};
use crate::distance::{Metric, Query};
use crate::error::{Error, Result, SqlState, check_cancel};
use crate::index::flat::{self, Nearest};
use crate::index::found::{Counters, Hit};
use crate::index::rows::Rows;
use crate::index::source::Vectors;

/// Slots a thread takes at a time.
const STEP: usize = 64;

/// What lists are built with. The name and the range are pgvector's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Centres, if there are as many different vectors.
    pub lists: u32,
    pub metric: Metric,
}

impl Params {
    pub const LISTS_DEFAULT: u32 = 100;
    pub const LISTS_MAX: u32 = 32_768;

    /// Checks the range, with pgvector's words.
    pub fn new(lists: u32, metric: Metric) -> Result<Params> {
        if (1..=Params::LISTS_MAX).contains(&lists) {
            return Ok(Params { lists, metric });
        }
        let message = format!("value {lists} out of bounds for option \"lists\"");
        Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .detail(format!("Valid values are between \"1\" and \"{}\".", Params::LISTS_MAX)))
    }

    /// Whether a vector has a place in a list: not NULL, and under cosine not zero.
    pub fn takes<V: Vectors>(&self, vectors: &V, slot: u32) -> bool {
        slot < vectors.slots_end() && self.takes_norm(vectors.norm(slot))
    }

    pub fn takes_norm(&self, norm: f32) -> bool {
        norm.is_finite() && (norm > 0.0 || self.metric != Metric::Cosine)
    }
}

/// How many lists a search looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    /// In any case.
    pub first: u32,
    /// While there are fewer hits than asked for.
    pub most: u32,
}

/// Lists that are searched, added to and saved at the same time.
pub struct Lists {
    params: Params,
    state: RwLock<Arc<State>>,
    /// Held by whoever makes the next state.
    changing: Mutex<()>,
    /// Bytes of vectors that centres are found among, at most.
    sample_bytes_max: u64,
}

/// The lists at one moment.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub centres: Arc<Centres>,
    /// One per centre.
    pub lists: Vec<Arc<RoaringBitmap>>,
    /// All slots in lists: everything else is the caller's to search exactly.
    pub nodes: Arc<RoaringBitmap>,
}

impl Lists {
    /// Without centres: they are found in what is added first.
    pub fn new(params: Params) -> Lists {
        let state = State { centres: Arc::new(Centres::none(0)), lists: Vec::new(), nodes: Arc::default() };
        Lists::from_state(params, state)
    }

    /// The same, finding centres in a sample of so many bytes at most.
    pub fn sampling(self, bytes_max: u64) -> Lists {
        Lists { sample_bytes_max: bytes_max.min(SAMPLE_BYTES_MAX), ..self }
    }

    pub(super) fn from_state(params: Params, state: State) -> Lists {
        let state = RwLock::new(Arc::new(state));
        Lists { params, state, changing: Mutex::new(()), sample_bytes_max: SAMPLE_BYTES_MAX }
    }

    /// Centres of the vectors of `slots`, and lists of them. `progress` counts slots done, `cancel` ends the build with
    /// 57014.
    pub fn build<V: Vectors>(
        params: Params,
        vectors: &V,
        slots: &RoaringBitmap,
        threads: usize,
        progress: &AtomicU32,
        cancel: &AtomicBool,
    ) -> Result<Lists> {
        let lists = Lists::new(params);
        lists.add(vectors, slots, threads, progress, cancel)?;
        Ok(lists)
    }

    pub fn params(&self) -> Params {
        self.params
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.state.read().clone()
    }

    /// The slots in lists now.
    pub fn nodes(&self) -> Arc<RoaringBitmap> {
        self.state.read().nodes.clone()
    }

    pub fn contains(&self, slot: u32) -> bool {
        self.state.read().nodes.contains(slot)
    }

    pub fn is_empty(&self) -> bool {
        self.state.read().nodes.is_empty()
    }

    /// How many lists there are.
    pub fn count(&self) -> usize {
        self.state.read().lists.len()
    }

    /// Bytes in memory, about.
    pub fn bytes(&self) -> u64 {
        let state = self.state();
        let lists: usize = state.lists.iter().map(|list| list.serialized_size()).sum();
        lists as u64 + super::file::points_bytes(&state.centres).len() as u64
    }

    /// Whether other centres would serve a table of so many rows better: there are none, or they were found in a small
    /// sample of what has doubled since.
    pub fn wants_training(&self, rows: u64) -> bool {
        let trained_on = self.state.read().centres.trained_on;
        rows > 0 && trained_on < sample_size(self.params.lists) && rows >= 2 * trained_on
    }

    /// Puts all of `slots` that are in no list yet into the nearest, on `threads` threads.
    pub fn add<V: Vectors>(
        &self,
        vectors: &V,
        slots: &RoaringBitmap,
        threads: usize,
        progress: &AtomicU32,
        cancel: &AtomicBool,
    ) -> Result<()> {
        let _changing = self.changing.lock();
        let mut next = State::clone(&self.state());
        if next.centres.is_empty() {
            let known = next.centres.trained_on;
            let mut centres = train(self.params, vectors, slots, (threads, self.sample_bytes_max), cancel)?;
            if centres.is_empty() {
                // Of all that was looked at so far nothing could be learnt.
                centres.trained_on += known;
            }
            next.centres = Arc::new(centres);
            next.lists = vec![Arc::default(); next.centres.len()];
        }
        if next.centres.is_empty() {
            *self.state.write() = Arc::new(next);
            return Ok(());
        }
        let new: Vec<u32> = (slots - &*next.nodes).into_iter().collect();
        let work = Assignment {
            params: self.params,
            centres: &next.centres,
            vectors,
            slots: &new,
            next: AtomicUsize::new(0),
            progress,
            cancel,
        };
        let parts: Vec<Vec<(u32, u32)>> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads.max(1)).map(|_| scope.spawn(|| work.run())).collect();
            let mine = work.run();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            std::iter::once(mine).chain(others.into_iter().map(join)).collect()
        });
        check_cancel(cancel)?;
        let mut placed: Vec<(u32, u32)> = parts.concat();
        placed.sort_unstable();
        for of_one in placed.chunk_by(|a, b| a.0 == b.0) {
            Arc::make_mut(&mut next.lists[of_one[0].0 as usize]).extend(of_one.iter().map(|(_, slot)| *slot));
        }
        Arc::make_mut(&mut next.nodes).extend(placed.iter().map(|(_, slot)| *slot));
        *self.state.write() = Arc::new(next);
        Ok(())
    }

    /// Takes slots out of their lists; answers how many there were.
    pub fn remove(&self, slots: &RoaringBitmap) -> u64 {
        let _changing = self.changing.lock();
        let mut next = State::clone(&self.state());
        let count = next.nodes.intersection_len(slots);
        if count > 0 {
            for list in next.lists.iter_mut().filter(|list| !list.is_disjoint(slots)) {
                *Arc::make_mut(list) -= slots;
            }
            *Arc::make_mut(&mut next.nodes) -= slots;
            *self.state.write() = Arc::new(next);
        }
        count
    }

    /// Allowed slots near the query, ascending, at most `k`.
    pub fn search<V: Vectors>(
        &self,
        vectors: &V,
        query: &Query,
        rows: Rows,
        k: usize,
        probes: Probes,
        cancel: &AtomicBool,
    ) -> Result<(Vec<Hit>, Counters)> {
        let state = self.state();
        let (mut nearest, mut counters) = (Nearest::new(k), Counters::default());
        let order = state.centres.in_order(self.params.metric, query.vector());
        counters.distances += order.len() as u64;
        for (probe, list) in (0..probes.most.max(probes.first)).zip(order) {
            if probe >= probes.first && nearest.len() >= k {
                break;
            }
            counters.hops += 1;
            let allowed = rows.among(&state.lists[list]);
            flat::offer_all(vectors, query, &allowed, &mut nearest, &mut counters, cancel)?;
        }
        Ok((nearest.into_sorted(), counters))
    }

    /// Violated invariants: every slot of the set is in one list and no other.
    pub fn check(&self) -> Vec<String> {
        let state = self.state();
        let mut damage = Vec::new();
        if state.lists.len() != state.centres.len() {
            damage.push(format!("{} lists of {} centres", state.lists.len(), state.centres.len()));
        }
        let mut all = RoaringBitmap::new();
        for (number, list) in state.lists.iter().enumerate() {
            if let Some(slot) = (&all & &**list).min() {
                damage.push(format!("slot {slot} of list {number} is in another"));
            }
            all |= &**list;
        }
        if all != *state.nodes {
            damage.push(format!("{} slots in lists, {} in the set", all.len(), state.nodes.len()));
        }
        damage
    }
}

/// Slots and the lists they belong to, worked out by several threads.
struct Assignment<'a, V> {
    params: Params,
    centres: &'a Centres,
    vectors: &'a V,
    slots: &'a [u32],
    next: AtomicUsize,
    progress: &'a AtomicU32,
    cancel: &'a AtomicBool,
}

impl<V: Vectors> Assignment<'_, V> {
    /// (list, slot) of the slots this thread got.
    fn run(&self) -> Vec<(u32, u32)> {
        let (mut placed, mut ranks) = (Vec::new(), Vec::new());
        while !self.cancel.load(Ordering::Relaxed) {
            let start = self.next.fetch_add(STEP, Ordering::Relaxed);
            let Some(slots) = self.slots.get(start..self.slots.len().min(start + STEP)) else { break };
            if slots.is_empty() {
                break;
            }
            for &slot in slots.iter().filter(|&&slot| self.params.takes(self.vectors, slot)) {
                let vector = self.vectors.get(slot);
                placed.push((self.centres.nearest(self.params.metric, vector, &mut ranks) as u32, slot));
            }
            self.progress.fetch_add(slots.len() as u32, Ordering::Relaxed);
        }
        placed
    }
}
