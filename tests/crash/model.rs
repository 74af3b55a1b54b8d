//! What a client knows, and how it differs from what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hither::types::Value;

/// Cells by column; the first is the key.
pub type Row = Vec<Value>;

#[derive(Clone, Default, PartialEq)]
pub struct TableState {
    pub rows: BTreeMap<i64, Row>,
    pub indexes: BTreeSet<String>,
}

/// Tables by name.
pub type State = BTreeMap<String, TableState>;

#[derive(Clone, Default)]
pub struct Known {
    /// Everything acknowledged.
    pub acknowledged: Arc<State>,
    /// The same with the commit that is on its way.
    pub in_flight: Option<Arc<State>>,
    pub step: u64,
}

impl Known {
    pub fn compare(&self, found: &State) -> Result<(), String> {
        if *found == *self.acknowledged || self.in_flight.as_deref() == Some(found) {
            return Ok(());
        }
        Err(format!(
            "step {}: {}",
            self.step,
            difference(&self.acknowledged, self.in_flight.as_deref(), found)
        ))
    }
}

/// The first few places where what was found is neither.
pub fn difference(acknowledged: &State, in_flight: Option<&State>, found: &State) -> String {
    let mut lines = vec![format!("commit on its way: {}", in_flight.is_some())];
    let names: BTreeSet<&String> = acknowledged.keys().chain(found.keys()).collect();
    for name in names {
        match (acknowledged.get(name), found.get(name)) {
            (Some(a), Some(f)) => {
                if a.indexes != f.indexes {
                    lines.push(format!("{name}: indexes {:?} found {:?}", a.indexes, f.indexes));
                }
                let ids: BTreeSet<&i64> = a.rows.keys().chain(f.rows.keys()).collect();
                let differ = ids.into_iter().filter(|id| a.rows.get(id) != f.rows.get(id));
                for id in differ.take(4) {
                    let next = in_flight.and_then(|state| state.get(name)?.rows.get(id));
                    lines.push(format!(
                        "{name} {id}: acknowledged {:?}, on its way {next:?}, found {:?}",
                        a.rows.get(id),
                        f.rows.get(id)
                    ));
                }
            }
            (a, f) => lines.push(format!("{name}: acknowledged {}, found {}", a.is_some(), f.is_some())),
        }
    }
    lines.join("\n    ")
}

/// splitmix64.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len() as u64) as usize].clone()) }
    }
}
