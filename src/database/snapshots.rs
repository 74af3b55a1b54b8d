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
    /// How many hold each.
    held: BTreeMap<Seq, usize>,
}

/// A registered snapshot; let go when dropped.
pub struct Held {
    seq: Seq,
    registry: Arc<Mutex<Registry>>,
}

impl Snapshots {
    /// The newest published moment, held.
    pub fn take(&self) -> Arc<Held> {
        let mut registry = self.registry.lock();
        let seq = registry.published;
        *registry.held.entry(seq).or_default() += 1;
        Arc::new(Held { seq, registry: self.registry.clone() })
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
        registry.held.iter().map(|(&seq, &holders)| HeldSnapshot { seq, holders }).collect()
    }

    /// No snapshot is older, nor will be.
    pub fn horizon(&self) -> Seq {
        let registry = self.registry.lock();
        registry.held.keys().next().copied().unwrap_or(registry.published)
    }
}

/// A moment that is looked at, and by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSnapshot {
    pub seq: Seq,
    pub holders: usize,
}

impl Held {
    pub fn seq(&self) -> Seq {
        self.seq
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut registry = self.registry.lock();
        if let Some(count) = registry.held.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                registry.held.remove(&self.seq);
            }
        }
    }
}
