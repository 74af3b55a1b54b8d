//! Which moments somebody still looks at.
//!
//! A snapshot is the sequence number of the newest published commit. It is taken and registered in one step, so the
//! horizon — the oldest registered, or the newest published — never passes a snapshot that is about to be used.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::log::Seq;

/// The registry of snapshots.
#[derive(Default)]
pub struct Snapshots {
    registry: Arc<Mutex<Registry>>,
}

#[derive(Default)]
struct Registry {
    published: Seq,
    /// What was published first, at open.
    opened: Option<Seq>,
    /// Who holds which, told apart by numbers.
    held: BTreeMap<(Seq, u64), Holder>,
    /// The next number.
    next: u64,
}

/// Who looks at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A transaction, with the number of its client's session if it has one.
    Transaction(Option<i32>),
    Backup,
    Checkpointer,
    Indexer,
    Scrub,
}

impl Holder {
    /// Of a session as pg_stat_activity calls it in `backend_type`.
    pub fn name(self) -> &'static str {
        match self {
            Holder::Transaction(_) => "client backend",
            Holder::Backup => "backup",
            Holder::Checkpointer => "checkpointer",
            Holder::Indexer => "indexer",
            Holder::Scrub => "scrub",
        }
    }
}

/// A registered snapshot; let go when dropped.
pub struct Held {
    seq: Seq,
    number: u64,
    registry: Arc<Mutex<Registry>>,
}

impl Snapshots {
    /// The newest published moment, held.
    pub fn take(&self, holder: Holder) -> Arc<Held> {
        let mut registry = self.registry.lock();
        let (seq, number) = (registry.published, registry.next);
        registry.next += 1;
        registry.held.insert((seq, number), holder);
        Arc::new(Held { seq, number, registry: self.registry.clone() })
    }

    /// Lets new snapshots see everything up to `seq`.
    pub fn publish(&self, seq: Seq) {
        let mut registry = self.registry.lock();
        assert!(seq >= registry.published, "published {} after {}", seq.0, registry.published.0);
        registry.published = seq;
        registry.opened.get_or_insert(seq);
    }

    /// What was published first: the position up to which the checkpoint had all commits.
    pub fn opened(&self) -> Seq {
        self.registry.lock().opened.unwrap_or_default()
    }

    pub fn published(&self) -> Seq {
        self.registry.lock().published
    }

    /// All that are held, oldest first. The first holds back the space of everything that died since.
    pub fn held(&self) -> Vec<HeldSnapshot> {
        let registry = self.registry.lock();
        registry.held.iter().map(|(&(seq, _), &holder)| HeldSnapshot { seq, holder }).collect()
    }

    /// No snapshot is older, nor will be.
    pub fn horizon(&self) -> Seq {
        let registry = self.registry.lock();
        registry.held.keys().next().map_or(registry.published, |(seq, _)| *seq)
    }
}

/// A moment that is looked at, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSnapshot {
    pub seq: Seq,
    pub holder: Holder,
}

impl Held {
    pub fn seq(&self) -> Seq {
        self.seq
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.registry.lock().held.remove(&(self.seq, self.number));
    }
}
