//! How long a write waits when flushes and compactions fall behind: longer and longer, so that they catch up before memory
//! is full, and never all at once.
//!
//! ```text
//!   frozen memtables   0   1   2   3   4   5        level 0   0 ... 16 ......... 48 ...     memory   0 ... 1 ......... 2
//!                              |---------|  stop                    |------------|                         |---------|  stop
//!   a write goes at        64 MiB/s ... 1 MiB/s                 64 MiB/s ... 1 MiB/s                  64 MiB/s ... 1 MiB/s
//! ```
//!
//! The greatest of the three counts. A write waits at most [`DELAY_MAX`] for the rate, whatever its size; only where memory
//! has no room for it, it waits until something is flushed. This is RocksDB's delayed write rate with a rate that follows
//! from the debt alone, so that it needs no controller, and no history. Who waits, and where, is in `admission.rs`.

use std::time::Duration;

use super::options::Options;

/// What is behind in a tree, and in all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debt {
    /// Memtables that are to be flushed, those included that writes on their way are going to fill.
    pub frozen: usize,
    /// Tables in level 0, of which a compaction is due at [`Options::level0_tables_max`].
    pub level0: usize,
    /// Memtables of all trees that can be flushed, and from where on the largest of them is.
    pub memory_bytes: usize,
    pub memory_bytes_max: usize,
}

/// What a write has to do first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Nothing,
    Delay(Duration),
    /// Until something is flushed.
    Flush,
}

/// No write waits longer than this for the rate: a tenth of a second is felt, and is no outage.
pub const DELAY_MAX: Duration = Duration::from_millis(100);
/// Shorter delays are owed until they are worth a sleep, which takes some 60 us more than it is asked for.
pub const DELAY_MIN: Duration = Duration::from_millis(1);
/// Bytes per second where delays begin: somewhat less than one thread writes (its commits are logged and synced), so that
/// the beginning is hardly noticed; and at full debt: what any disk flushes and merges ten times over.
const RATE_FIRST: f64 = (64 << 20) as f64;
const RATE_LAST: f64 = (1 << 20) as f64;
/// Level 0 in units of what makes a compaction due: twice of that is behind, and six times of it is as far as delays go.
pub(super) const LEVEL0_FIRST: usize = 2;
const LEVEL0_LAST: usize = 6;
/// Memory in units of what makes the largest memtable be flushed: writes stop at twice of it.
const MEMORY_LAST: usize = 2;

/// What a write of so many bytes waits for.
pub fn wait(debt: Debt, bytes: usize, options: &Options) -> Wait {
    let frozen_max = options.frozen_memtables_max;
    let memory_last = debt.memory_bytes_max.saturating_mul(MEMORY_LAST);
    if debt.frozen > frozen_max || debt.memory_bytes > memory_last {
        return Wait::Flush;
    }
    let frozen = part(debt.frozen, frozen_max / 2, frozen_max);
    let unit = options.level0_tables_max;
    let level0 = part(debt.level0, LEVEL0_FIRST * unit, LEVEL0_LAST * unit);
    let memory = part(debt.memory_bytes, debt.memory_bytes_max, memory_last);
    match frozen.max(level0).max(memory) {
        none if none <= 0.0 => Wait::Nothing,
        debt => {
            let rate = RATE_FIRST * (RATE_LAST / RATE_FIRST).powf(debt);
            Wait::Delay(Duration::from_secs_f64(bytes as f64 / rate).min(DELAY_MAX))
        }
    }
}

/// How far `value` is from `first`, where there is no debt yet, to `last`.
fn part(value: usize, first: usize, last: usize) -> f64 {
    let length = last.saturating_sub(first).max(1) as f64;
    (value.saturating_sub(first) as f64 / length).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { frozen_memtables_max: 4, level0_tables_max: 8, ..Options::default() }
    }

    fn delay(frozen: usize, level0: usize, bytes: usize) -> Duration {
        match wait(Debt { frozen, level0, ..Debt::default() }, bytes, &options()) {
            Wait::Nothing => Duration::ZERO,
            Wait::Delay(delay) => delay,
            Wait::Flush => panic!("{frozen} frozen memtables and {level0} tables are no reason to stop"),
        }
    }

    #[test]
    fn a_write_waits_for_nothing_while_nothing_is_behind() {
        for (frozen, level0) in [(0, 0), (2, 0), (0, 16), (2, 16)] {
            assert_eq!(delay(frozen, level0, 1 << 30), Duration::ZERO, "{frozen}, {level0}");
        }
    }

    #[test]
    fn delays_grow_with_the_debt_and_the_bytes_and_are_bounded() {
        let bytes = 10 << 10;
        for level0 in 16..60 {
            assert!(delay(0, level0, bytes) <= delay(0, level0 + 1, bytes), "{level0}");
            assert!(delay(0, level0, bytes) <= delay(0, level0, 2 * bytes), "{level0}");
            assert!(delay(0, level0, usize::MAX) <= DELAY_MAX);
        }
        assert!(delay(0, 17, bytes) > Duration::ZERO && delay(0, 17, bytes) < Duration::from_micros(200));
        // 10 KiB at 1 MiB a second.
        assert!((delay(0, 48, bytes).as_secs_f64() - 1.0 / 102.4).abs() < 1e-4, "{:?}", delay(0, 48, bytes));
        assert_eq!(delay(0, 48, bytes), delay(0, 10_000, bytes), "level 0 alone never stops a write");
        // The greater debt counts.
        assert_eq!(delay(4, 0, bytes), delay(0, 48, bytes));
        assert_eq!(delay(3, 17, bytes), delay(3, 0, bytes));
    }

    #[test]
    fn a_write_stops_only_for_memory() {
        let debt = Debt { frozen: 5, ..Debt::default() };
        assert_eq!(wait(debt, 0, &options()), Wait::Flush);
        // Whatever the options are.
        for frozen_max in 0..4 {
            let options = Options { frozen_memtables_max: frozen_max, ..options() };
            let wait = |frozen| wait(Debt { frozen, ..Debt::default() }, 1 << 20, &options);
            assert_eq!(wait(0), Wait::Nothing);
            assert_ne!(wait(frozen_max), Wait::Flush);
            assert_eq!(wait(frozen_max + 1), Wait::Flush);
        }
    }

    #[test]
    fn memory_of_all_trees_delays_and_then_stops() {
        let wait = |memory_bytes| {
            let debt = Debt { memory_bytes, memory_bytes_max: 1000, ..Debt::default() };
            wait(debt, 10 << 10, &options())
        };
        assert_eq!(wait(1000), Wait::Nothing);
        let mut last = Duration::ZERO;
        for bytes in 1001..=2000 {
            let Wait::Delay(delay) = wait(bytes) else {
                panic!("{bytes} of 1000 bytes are a reason for a delay")
            };
            assert!(delay >= last, "{bytes}");
            last = delay;
        }
        assert_eq!(wait(2001), Wait::Flush);
    }
}
