//! How fast the background writes: slowly while nothing is behind, so that commits and reads have the disk, the processors
//! and the page cache to themselves, and faster and faster as something is.
//!
//! ```text
//!   flushes    frozen memtables and how full the next is   1 ........... 2     memory     1/2 ........ 1 of what is meant
//!   merges     tables in level 0 and on the way there      8 .......... 16
//!                                                          |-----------|  no bound
//!   they go at                                         16 MiB/s ... 1 GiB/s
//! ```
//!
//! It is RocksDB's auto-tuned rate limiter, with a rate that follows from the debt that delays writers (`delay.rs`): its
//! bound has gone before the first of them would be delayed, so the limiter never makes a stall. It needs no controller and
//! no history, like the delays.
//!
//! Flushes and merges have a bucket each: a merge never takes what a flush would need. Held back are those on the store's own
//! threads, of checkpoints and of vacuums that come by themselves. Work that somebody asked for and waits for is not, nor
//! anything beside it, for it may have to wait for that first. While they are bounded, blocks are deflated on the one thread that writes them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::context::Context;
use super::delay::{self, Debt, Wait};
use super::options::Options;
use super::store::Shared;
use crate::error::Result;
use crate::fs::throttle::{Bucket, WAIT_MIN};

/// What the background writes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Flush,
    Merge,
}

/// Bytes per second while nothing is behind, unless told otherwise. A memtable is flushed in a second and level 0 merged in
/// some ten; it is a quarter of what one thread deflates, and an eighth of what a plain SATA disk writes.
pub const RATE: u64 = 16 << 20;
/// How many times as fast it is at last, before there is no bound.
const RISE: f64 = 64.0;
/// The debt may have grown meanwhile. To look at it is to look at every tree.
const LOOK: Duration = Duration::from_millis(50);

/// What is behind, as far as flushes and merges see it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Behind {
    /// Memtables to flush in the tree that has most.
    pub frozen: usize,
    /// How much of that tree's active memtable is full.
    pub active: f64,
    pub memory_bytes: usize,
    pub memory_bytes_max: usize,
    /// Tables in level 0, and of no checkpoint yet, in the tree that has most.
    pub level0: usize,
}

/// Bytes per second; none: as fast as it goes. `slowest` is what it is while nothing is behind.
pub fn rate(lane: Lane, behind: &Behind, slowest: u64, options: &Options) -> Option<u64> {
    let debt = match lane {
        Lane::Flush => Debt {
            frozen: behind.frozen,
            memory_bytes: behind.memory_bytes,
            memory_bytes_max: behind.memory_bytes_max,
            ..Debt::default()
        },
        Lane::Merge => Debt { level0: behind.level0, ..Debt::default() },
    };
    if slowest == 0 || delay::wait(debt, 1, options) != Wait::Nothing {
        return None;
    }
    let part = match lane {
        // The next memtable is frozen when the active one is full.
        Lane::Flush => {
            let frozen = behind.frozen as f64 + behind.active.clamp(0.0, 1.0);
            let frozen = ramp(frozen, 1.0, (options.frozen_memtables_max / 2) as f64);
            // Where there may be nothing, anything is too much, and then there is no bound already.
            let memory_max = behind.memory_bytes_max.max(1) as f64;
            frozen.max(ramp(behind.memory_bytes as f64, memory_max / 2.0, memory_max))
        }
        Lane::Merge => {
            let unit = options.level0_tables_max as f64;
            ramp(behind.level0 as f64, unit, delay::LEVEL0_FIRST as f64 * unit)
        }
    };
    (part < 1.0).then(|| (slowest as f64 * RISE.powf(part)) as u64)
}

/// How far `value` is from `first` to `last`; where there is no way between them, it is there as soon as it is at `first`.
fn ramp(value: f64, first: f64, last: f64) -> f64 {
    match last > first {
        true => ((value - first) / (last - first)).clamp(0.0, 1.0),
        false if value >= first => 1.0,
        false => 0.0,
    }
}

/// Holds back what the background writes.
#[derive(Default)]
pub struct Limiter {
    flush: Mutex<Bucket>,
    merge: Mutex<Bucket>,
    /// Whose debt it is; there once the store is open.
    store: OnceLock<Weak<Shared>>,
    /// How many wait for work of the background.
    urgent: AtomicUsize,
    off: AtomicBool,
}

/// While this lives, nothing that the background writes is held back.
pub struct Urgent(Arc<Context>);

impl Urgent {
    pub(super) fn new(context: &Arc<Context>) -> Urgent {
        context.limiter.urgent.fetch_add(1, Relaxed);
        Urgent(context.clone())
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        self.0.limiter.urgent.fetch_sub(1, Relaxed);
    }
}

impl Limiter {
    pub fn follow(&self, store: Weak<Shared>) {
        let _ = self.store.set(store);
    }

    /// From now on there is no bound: the store is about to be closed.
    pub fn set_off(&self) {
        self.off.store(true, Relaxed);
    }

    /// At what rate it goes now.
    pub fn rate(&self, lane: Lane, options: &Options) -> Option<u64> {
        let slowest = options.background_bytes_per_second;
        if slowest == 0 || self.off.load(Relaxed) || self.urgent.load(Relaxed) > 0 {
            return None;
        }
        let behind = self.store.get()?.upgrade()?.behind();
        rate(lane, &behind, slowest, options)
    }

    /// So many bytes were written: waits as long as the rate asks for. 57P01 when the store is closing.
    pub fn pace(&self, context: &Context, lane: Lane, bytes: u64) -> Result<()> {
        let bucket = match lane {
            Lane::Flush => &self.flush,
            Lane::Merge => &self.merge,
        };
        let mut written = bytes;
        loop {
            let Some(rate) = self.rate(lane, &context.options) else {
                bucket.lock().forget();
                return Ok(());
            };
            let wait = bucket.lock().wait_after(std::mem::take(&mut written), rate, Instant::now());
            if wait < WAIT_MIN {
                return Ok(());
            }
            context.check_stopping()?;
            context.signal.wait(wait.min(LOOK));
        }
    }
}

impl Shared {
    fn behind(&self) -> Behind {
        let (memory_bytes, memory_bytes_max) = self.memory();
        let mut behind = Behind { memory_bytes, memory_bytes_max, ..Behind::default() };
        for tree in self.live_trees() {
            behind.level0 = behind.level0.max(tree.level0() + tree.pending_size().0);
            // What cannot be flushed is no reason to hurry.
            if tree.unflushed() > 0 && tree.failure().is_none() {
                // As who is let in counts them.
                let frozen = self.frozen(&tree, tree.gate.lock().reserved);
                let active =
                    tree.active_bytes() as f64 / self.context.options.memtable_bytes_max.max(1) as f64;
                if (frozen, active) > (behind.frozen, behind.active) {
                    (behind.frozen, behind.active) = (frozen, active);
                }
            }
        }
        behind
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options() -> Options {
        Options { frozen_memtables_max: 4, level0_tables_max: 8, ..Options::default() }
    }

    #[test]
    fn it_is_slow_while_nothing_is_behind_and_has_no_bound_before_anybody_is_delayed() {
        let rate = |lane, behind| rate(lane, &behind, RATE, &options());
        let frozen = |frozen, active| Behind { frozen, active, ..Behind::default() };
        let level0 = |level0| Behind { level0, ..Behind::default() };
        assert_eq!(rate(Lane::Flush, frozen(0, 1.0)), Some(RATE));
        assert_eq!(rate(Lane::Flush, frozen(1, 0.0)), Some(RATE));
        assert_eq!(rate(Lane::Flush, frozen(1, 0.5)), Some(8 * RATE));
        assert_eq!(rate(Lane::Flush, frozen(2, 0.0)), None);
        assert_eq!(rate(Lane::Merge, level0(8)), Some(RATE));
        assert_eq!(rate(Lane::Merge, level0(12)), Some(8 * RATE));
        assert_eq!(rate(Lane::Merge, level0(16)), None);
        assert_eq!(
            rate(Lane::Merge, frozen(4, 1.0)),
            Some(RATE),
            "a merge does not hurry because a flush has to"
        );
        assert_eq!(rate(Lane::Flush, level0(100)), Some(RATE));
    }

    fn behind() -> impl Strategy<Value = Behind> {
        (0..8_usize, 0.0..1.0_f64, 0..400_usize, 0..200_usize, 0..80_usize).prop_map(
            |(frozen, active, memory_bytes, memory_bytes_max, level0)| Behind {
                frozen,
                active,
                memory_bytes,
                memory_bytes_max,
                level0,
            },
        )
    }

    proptest! {
        #[test]
        fn never_below_what_the_debt_demands(
            now in behind(),
            more in behind(),
            frozen_memtables_max in 0..10_usize,
            level0_tables_max in 1..20_usize,
            slowest in 1..1_u64 << 50,
        ) {
            let options = Options { frozen_memtables_max, level0_tables_max, ..Options::default() };
            let worse = Behind {
                frozen: now.frozen + more.frozen,
                active: now.active.max(more.active),
                memory_bytes: now.memory_bytes + more.memory_bytes,
                memory_bytes_max: now.memory_bytes_max,
                level0: now.level0 + more.level0,
            };
            let or_no_bound = |rate: Option<u64>| rate.unwrap_or(u64::MAX);
            for lane in [Lane::Flush, Lane::Merge] {
                let (rate_now, rate_worse) = (rate(lane, &now, slowest, &options), rate(lane, &worse, slowest, &options));
                prop_assert!(or_no_bound(rate_now) >= slowest);
                prop_assert!(or_no_bound(rate_worse) >= or_no_bound(rate_now), "{lane:?}: {now:?}, {worse:?}");
            }
            // Who is delayed, is so by what goes as fast as it can.
            let flushes = Debt {
                frozen: now.frozen,
                memory_bytes: now.memory_bytes,
                memory_bytes_max: now.memory_bytes_max,
                ..Debt::default()
            };
            let merges = Debt { level0: now.level0, ..Debt::default() };
            for (lane, debt) in [(Lane::Flush, flushes), (Lane::Merge, merges)] {
                if delay::wait(debt, 1 << 20, &options) != Wait::Nothing {
                    prop_assert_eq!(rate(lane, &now, slowest, &options), None);
                }
            }
            prop_assert_eq!(rate(Lane::Flush, &now, 0, &options), None);
        }

        /// A steady load that the disk can flush in time is never delayed, however slow the slowest rate is: there is a
        /// memtable's time without any bound before.
        #[test]
        fn a_load_that_the_disk_keeps_up_with_is_never_delayed(
            arrival in 1.0..1000.0_f64,
            spare in 1.05..4.0_f64,
            slowest in 1..(64_u64 << 20),
        ) {
            let options = options();
            let memtable = options.memtable_bytes_max as f64;
            let (arrival, disk) = (arrival * 1e6, arrival * 1e6 * spare);
            // Two hundred steps for each memtable that fills.
            let step = memtable / arrival / 200.0;
            let (mut active, mut frozen, mut flushed) = (0.0, 0_usize, 0.0);
            for _ in 0..4000 {
                active += arrival * step;
                if active >= memtable {
                    (active, frozen) = (active - memtable, frozen + 1);
                }
                let behind = Behind { frozen, active: active / memtable, ..Behind::default() };
                if frozen > 0 {
                    let rate = rate(Lane::Flush, &behind, slowest, &options).map_or(disk, |rate| disk.min(rate as f64));
                    flushed += rate * step;
                    if flushed >= memtable {
                        (flushed, frozen) = (0.0, frozen - 1);
                    }
                }
                let debt = Debt { frozen, ..Debt::default() };
                prop_assert_eq!(delay::wait(debt, 1 << 20, &options), Wait::Nothing, "{:?}", behind);
            }
        }
    }
}
