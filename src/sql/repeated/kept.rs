//! The plans of repeated statements, of all sessions of a database.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::Catalog;
use crate::memory::Budget;
use crate::sql::repeated::lifted::Role;
use crate::sql::session::Prepared;
use crate::types::{Look, Type};

/// Of this much of the server's budget there is one plan, which takes some 50 to 100 kB.
const BYTES_PER_PLAN: u64 = 1 << 20;
/// The statements of a large application; the one that was used longest ago is looked for among so many.
const KEPT_MAX: usize = 4_096;
/// Hashes of texts that came once, or cannot be kept.
const NOTED_MAX: usize = 4_096;

/// What is known of statements that came.
pub struct Repeated {
    known: Mutex<Known>,
    kept_max: usize,
}

#[derive(Default)]
struct Known {
    kept: HashMap<u64, Kept>,
    seen: Noted,
    /// With these definitions.
    refused: Noted,
    refused_with: Option<Arc<Catalog>>,
    /// What all that is kept was planned against.
    catalog: Option<Arc<Catalog>>,
    /// Uses so far.
    uses: u64,
    guarded: Option<(Arc<Catalog>, Arc<Guarded>)>,
}

struct Kept {
    key: Key,
    prepared: Arc<Prepared>,
    /// The number of its last use.
    used: u64,
}

/// A statement, and what its plan depends on beside the catalogue.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub text: Arc<str>,
    /// Types that the client declared.
    pub declared: Vec<Option<Type>>,
    /// What its literals are, where they are parameters.
    pub roles: Vec<Role>,
    pub search_path: Arc<str>,
    /// The schema of the session's temporary tables, when it has one.
    pub temporary: Option<String>,
    pub look: Look,
}

impl Key {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}

/// The latest of some hashes.
#[derive(Default)]
struct Noted {
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Noted {
    fn note(&mut self, hash: u64) {
        if !self.hashes.insert(hash) {
            return;
        }
        if self.order.len() == NOTED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        self.order.push_back(hash);
    }
}

impl Repeated {
    pub fn new(budget: Budget) -> Repeated {
        let kept_max = KEPT_MAX.min((budget.bytes() / BYTES_PER_PLAN) as usize);
        Repeated { known: Mutex::default(), kept_max }
    }

    /// The plan of a statement, as it was made against this catalogue.
    pub fn get(&self, key: &Key, catalog: &Arc<Catalog>) -> Option<Arc<Prepared>> {
        let (hash, mut known) = (key.hash(), self.known.lock());
        known.uses += 1;
        let uses = known.uses;
        if !known.catalog.as_ref().is_some_and(|of| Arc::ptr_eq(of, catalog)) {
            return None;
        }
        let kept = known.kept.get_mut(&hash).filter(|kept| kept.key == *key)?;
        kept.used = uses;
        Some(Arc::clone(&kept.prepared))
    }

    /// Whether a statement came before and may be kept, with these definitions; it has come now.
    pub fn is_due(&self, key: &Key, catalog: &Arc<Catalog>) -> bool {
        let (hash, mut known) = (key.hash(), self.known.lock());
        if !known.refused_with.as_ref().is_some_and(|with| Arc::ptr_eq(with, catalog)) {
            known.refused_with = Some(Arc::clone(catalog));
            known.refused = Noted::default();
        }
        let is_due = known.seen.hashes.contains(&hash) && !known.refused.hashes.contains(&hash);
        known.seen.note(hash);
        is_due
    }

    /// Remembers that a statement is not to be kept.
    pub fn refuse(&self, key: &Key) {
        let hash = key.hash();
        self.known.lock().refused.note(hash);
    }

    /// Keeps a plan that was made against this catalogue, the newest of the database. Those of others are of no use any
    /// more.
    pub fn keep(&self, key: Key, prepared: &Arc<Prepared>, catalog: &Arc<Catalog>) {
        // Dropped when the lock is free again: plans are large.
        let (mut outdated, mut _before) = (HashMap::new(), None);
        let hash = key.hash();
        let mut known = self.known.lock();
        let known = &mut *known;
        if !known.catalog.as_ref().is_some_and(|of| Arc::ptr_eq(of, catalog)) {
            outdated = std::mem::take(&mut known.kept);
            _before = known.catalog.replace(Arc::clone(catalog));
        }
        if known.kept.len() >= self.kept_max {
            let oldest = known.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(hash, _)| *hash);
            outdated.extend(oldest.and_then(|oldest| known.kept.remove_entry(&oldest)));
        }
        let kept = Kept { prepared: Arc::clone(prepared), used: known.uses, key };
        outdated.extend(known.kept.insert(hash, kept).map(|before| (0, before)));
    }

    /// What conditions of partial indexes say.
    pub fn guarded(&self, catalog: &Arc<Catalog>) -> Arc<Guarded> {
        let mut known = self.known.lock();
        if let Some((of, guarded)) = &known.guarded
            && Arc::ptr_eq(of, catalog)
        {
            return Arc::clone(guarded);
        }
        let guarded = Arc::new(Guarded::by(catalog));
        known.guarded = Some((Arc::clone(catalog), Arc::clone(&guarded)));
        guarded
    }
}

/// The words of conditions of partial indexes: whether such an index has the rows of a query is known from the constants
/// beside them.
pub struct Guarded(HashSet<String>);

impl Guarded {
    fn by(catalog: &Catalog) -> Guarded {
        let conditions = catalog.indexes().filter_map(|index| index.predicate.as_ref());
        let words = conditions.flat_map(|condition| words(&condition.sql));
        Guarded(words.map(str::to_lowercase).collect())
    }

    /// Whether a condition may be about the column, or for `None` about any expression.
    pub fn has(&self, column: Option<&str>) -> bool {
        match column {
            None => !self.0.is_empty(),
            Some(_) if self.0.is_empty() => false,
            Some(column) => words(column).any(|word| self.0.contains(word)),
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}
