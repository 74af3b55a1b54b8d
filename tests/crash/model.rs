//! What a client knows, and how it differs from what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use hither::log::Position;
use hither::types::{Type, Value};

/// Cells by column; the first is the key.
pub type Row = Vec<Value>;

/// The column of a foreign key.
pub const REFERENCE: &str = "parent";

#[derive(Clone, Debug, PartialEq)]
pub struct ColumnState {
    pub name: String,
    pub number: u16,
    pub ty: Type,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableState {
    pub columns: Vec<ColumnState>,
    pub rows: BTreeMap<i64, Row>,
    /// What each is, by name; those of constraints are left out.
    pub indexes: BTreeMap<String, String>,
    /// The key of each partition by list, by name.
    pub parts: BTreeMap<String, String>,
    /// The table that a foreign key refers to.
    pub parent: Option<String>,
}

impl TableState {
    pub fn position(&self, number: u16) -> usize {
        self.columns.iter().position(|column| column.number == number).expect("a column of the table")
    }

    /// Whether the column's cells are keys of the parent.
    pub fn is_reference(&self, column: &ColumnState) -> bool {
        self.parent.is_some() && column.name == REFERENCE
    }
}

/// Everything that commits as a whole.
#[derive(Clone, Default, PartialEq)]
pub struct State {
    pub tables: BTreeMap<String, Arc<TableState>>,
    /// Their increments by name.
    pub sequences: BTreeMap<String, i64>,
}

impl State {
    pub fn table(&mut self, name: &str) -> &mut TableState {
        Arc::make_mut(self.tables.get_mut(name).expect("a known table"))
    }

    pub fn names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    /// Tables whose rows refer to this one's.
    pub fn children(&self, table: &str) -> Vec<String> {
        let refers = |child: &TableState| child.parent.as_deref() == Some(table);
        let children = self.tables.iter().filter(|(_, child)| refers(child));
        children.map(|(name, _)| name.clone()).collect()
    }
}

/// Where a sequence stands: `last_value` and `is_called`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub last: i64,
    pub is_called: bool,
}

impl Place {
    pub fn next(self, increment: i64) -> i64 {
        if self.is_called { self.last + increment } else { self.last }
    }

    /// Whether a sequence that stood here may stand there after a crash: values that the log had covered are skipped.
    fn may_become(self, found: Place, increment: i64) -> bool {
        let skipped = found.next(increment) - self.next(increment);
        skipped % increment == 0 && (0..=32).contains(&(skipped / increment))
    }
}

/// What is known of a sequence.
#[derive(Clone, Debug)]
pub struct Counter {
    /// As of the last acknowledged use.
    pub settled: Place,
    /// Uses since then that may have become durable; no rollback takes them back.
    pub possible: Vec<Place>,
}

/// What was found in a database.
#[derive(Clone, Default)]
pub struct Found {
    pub state: State,
    pub places: BTreeMap<String, Place>,
}

/// Backups of the database, and a restore that is being made.
#[derive(Clone, Default)]
pub struct Backups {
    /// Every acknowledged commit's position with what was there then, oldest first.
    pub history: Vec<(Position, Arc<State>)>,
    /// The newest commit of the last backup that was acknowledged.
    pub taken: Option<Position>,
    pub restoring: Option<(PathBuf, Arc<State>)>,
}

impl Backups {
    pub fn at(&self, position: Position) -> Arc<State> {
        let before = self.history.iter().rev().find(|(commit, _)| *commit <= position);
        before.map(|(_, state)| state.clone()).unwrap_or_default()
    }
}

#[derive(Clone, Default)]
pub struct Known {
    /// Everything acknowledged.
    pub acknowledged: Arc<State>,
    /// The same with the commit that is on its way.
    pub in_flight: Option<Arc<State>>,
    /// Sequences by name, also of those that are gone.
    pub counters: BTreeMap<String, Counter>,
    pub backups: Backups,
    pub step: u64,
}

impl Known {
    pub fn of(found: Found, step: u64) -> Known {
        let counter = |(name, settled)| (name, Counter { settled, possible: Vec::new() });
        let counters = found.places.into_iter().map(counter).collect();
        Known { acknowledged: Arc::new(found.state), counters, step, ..Known::default() }
    }

    pub fn compare(&self, found: &Found) -> Result<(), String> {
        self.compare_state(&found.state)?;
        for (name, place) in &found.places {
            let increment = found.state.sequences[name];
            let Some(Counter { settled, possible }) = self.counters.get(name) else { continue };
            let mut from = [*settled].into_iter().chain(possible.iter().copied());
            if !from.any(|known| known.may_become(*place, increment)) {
                let step = self.step;
                return Err(format!(
                    "step {step}: sequence {name} by {increment}: acknowledged {settled:?}, possible {possible:?}, \
                     found {place:?}"
                ));
            }
        }
        Ok(())
    }

    pub fn compare_state(&self, found: &State) -> Result<(), String> {
        if *found == *self.acknowledged || self.in_flight.as_deref() == Some(found) {
            return Ok(());
        }
        let said = difference(&self.acknowledged, self.in_flight.as_deref(), found);
        Err(format!("step {}: {said}", self.step))
    }
}

/// The first few places where what was found is neither.
pub fn difference(acknowledged: &State, in_flight: Option<&State>, found: &State) -> String {
    let mut lines = vec![format!("commit on its way: {}", in_flight.is_some())];
    if acknowledged.sequences != found.sequences {
        lines.push(format!("sequences {:?} found {:?}", acknowledged.sequences, found.sequences));
    }
    let names: BTreeSet<&String> = acknowledged.tables.keys().chain(found.tables.keys()).collect();
    for name in names {
        match (acknowledged.tables.get(name), found.tables.get(name)) {
            (Some(a), Some(f)) => {
                let next = in_flight.and_then(|state| state.tables.get(name));
                lines.extend(table_difference(name, a, next.map(|next| &**next), f));
            }
            (a, f) => lines.push(format!("{name}: acknowledged {}, found {}", a.is_some(), f.is_some())),
        }
    }
    lines.join("\n    ")
}

fn table_difference(name: &str, a: &TableState, next: Option<&TableState>, f: &TableState) -> Vec<String> {
    let mut lines = Vec::new();
    if a.columns != f.columns {
        lines.push(format!("{name}: columns {:?} found {:?}", a.columns, f.columns));
    }
    if a.indexes != f.indexes {
        lines.push(format!("{name}: indexes {:?} found {:?}", a.indexes, f.indexes));
    }
    if (&a.parts, &a.parent) != (&f.parts, &f.parent) {
        let (a, f) = ((&a.parts, &a.parent), (&f.parts, &f.parent));
        lines.push(format!("{name}: partitions and parent {a:?} found {f:?}"));
    }
    let ids: BTreeSet<&i64> = a.rows.keys().chain(f.rows.keys()).collect();
    let differ = ids.into_iter().filter(|id| a.rows.get(id) != f.rows.get(id));
    for id in differ.take(4) {
        let next = next.and_then(|next| next.rows.get(id));
        let (a, f) = (a.rows.get(id), f.rows.get(id));
        lines.push(format!("{name} {id}: acknowledged {a:?}, on its way {next:?}, found {f:?}"));
    }
    lines
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
