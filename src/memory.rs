//! One budget for the memory that a server cannot give back at once, and what it is shared among.
//!
//! ```text
//!   budget  1/8  block cache        decoded blocks of sorted tables, their filters and indexes; the least used go
//!           1/8  memtables          rows not flushed yet; beyond, writers wait, at twice as much for a flush
//!           1/4  graphs             links and codes; beyond, they lie in files (index/room.rs)
//!           1/4  queries            sorts, joins and aggregates; beyond, they spill, or end with 53200
//!           1/8  metadata indexes   values by slot, bitmaps by value; beyond, values lie in files, and bitmaps go
//!                                   (index/bitmap/share.rs)
//!           1/8  everything else    transactions, sessions, plans, the program
//! ```
//!
//! The databases of a server have them together (`database/shared_memory.rs`). Shares are bounds, not reservations. Vectors
//! are in none of them: they are mapped files, whose pages the kernel drops when it wants the memory, and reads again. What
//! no share bounds is the last eighth. In it are inverted indexes, which are wholly in memory; the view `hither.memory` shows
//! how much they take.

use std::path::Path;

use crate::error::{Error, Result, SqlState};

/// Bytes a server may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u64);

/// Below this the program itself, with a few sessions and their plans, would not fit.
pub const BUDGET_MIN: u64 = 64 << 20;
/// A memtable that is larger is slower, and more of them only postpone a flush.
const MEMTABLES_MAX: u64 = 128 << 20;
/// Frozen memtables wait for their flush beside the one that is written.
const MEMTABLES: u64 = 4;
/// For a machine that does not tell.
const UNKNOWN_MEMORY: u64 = 2 << 30;

impl Budget {
    /// 22023 for less than [`BUDGET_MIN`].
    pub fn of(bytes: u64) -> Result<Budget> {
        if bytes < BUDGET_MIN {
            let message = format!("a memory budget of {bytes} bytes is too small");
            let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
            return Err(error.hint(format!("The least is {} MB.", BUDGET_MIN >> 20)));
        }
        Ok(Budget(bytes))
    }

    /// Half of what the machine has, or of what the control group of this process may use: the other half is for
    /// mapped vectors.
    pub fn of_machine() -> Budget {
        let machine = of_status("/proc/meminfo", "MemTotal:").unwrap_or(UNKNOWN_MEMORY);
        Budget((machine.min(of_control_group().unwrap_or(u64::MAX)) / 2).max(BUDGET_MIN))
    }

    pub fn bytes(self) -> u64 {
        self.0
    }

    pub fn cache(self) -> u64 {
        self.0 / 8
    }

    /// All memtables together.
    pub fn memtables(self) -> u64 {
        (self.0 / 8).min(MEMTABLES_MAX)
    }

    /// One memtable, when it is frozen.
    pub fn memtable(self) -> u64 {
        self.memtables() / (2 * MEMTABLES)
    }

    pub fn graphs(self) -> u64 {
        self.0 / 4
    }

    pub fn metadata(self) -> u64 {
        self.0 / 8
    }

    pub fn queries(self) -> u64 {
        self.0 / 4
    }

    /// What one transaction has written to one table, before it moves to files.
    pub fn overlay(self) -> u64 {
        (self.0 / 32).min(64 << 20)
    }
}

/// What the system says of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Bytes of memory that are no file's, and cannot be dropped.
    pub anonymous: u64,
    /// Bytes of mapped files that are in memory at the moment.
    pub mapped: u64,
}

impl Resident {
    /// `None` where the system does not tell (`man 5 proc_pid_status`: RssAnon, RssFile, RssShmem).
    pub fn now() -> Option<Resident> {
        let line = |name| of_status("/proc/self/status", name);
        let anonymous = line("RssAnon:")?;
        Some(Resident { anonymous, mapped: line("RssFile:")? + line("RssShmem:").unwrap_or(0) })
    }
}

/// The bytes in a line like `MemTotal:  24605716 kB`.
fn of_status(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The bound of this process's control group, of version 2 or 1; `None` without one.
fn of_control_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(bound_of_group).min()
}

/// The least bound from the group of a line like `0::/user.slice` up to the root.
fn bound_of_group(line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, group) = (fields.next()?, fields.next()?);
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        names if names.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let bound = |group: &Path| {
        let path = Path::new(root).join(group.strip_prefix("/").unwrap_or(group)).join(file);
        std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
    };
    Path::new(group).ancestors().filter_map(bound).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_within_the_budget() {
        assert!(Budget::of(BUDGET_MIN - 1).is_err());
        for bytes in [BUDGET_MIN, 1 << 30, 100 << 30] {
            let budget = Budget::of(bytes).expect("enough");
            let shares = budget.cache() + budget.memtables() + budget.graphs() + budget.queries();
            assert!(shares <= budget.bytes() * 3 / 4, "{budget:?}");
            assert!(shares + budget.metadata() <= budget.bytes() * 7 / 8, "{budget:?}");
            assert!(MEMTABLES * budget.memtable() <= budget.memtables());
            assert!(budget.overlay() <= budget.bytes() / 4);
        }
        let machine = Budget::of_machine();
        assert!(machine.bytes() >= BUDGET_MIN && machine.bytes() < 1 << 50);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_what_is_resident() {
        let anonymous = || Resident::now().expect("Linux tells").anonymous;
        // Other tests of the process may give memory back at the same moment, but not each time. What was allocated is
        // held: given back it would stay with the allocator, and the next try would get it again.
        let mut held = Vec::new();
        let grew = (0..16).any(|_| {
            let before = anonymous();
            held.push(std::hint::black_box(vec![1u8; 32 << 20]));
            anonymous() > before + (16 << 20)
        });
        assert!(grew);
    }
}
