//! Searches beside what all rows say: the nearest by comparing everything and by an index, and what a metadata index and
//! an inverted one find.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::AtomicBool;

use hither::distance::{Element, Metric, Query, Vector};
use hither::error::{Error, Result};
use hither::index::bitmap::Predicate;
use hither::index::inverted::Question;
use hither::index::{Finder, Hit, Probes, Request, Rows, Strategy, search};
use hither::table::Snapshot;
use hither::types::{Type, Value};

use crate::model::{ColumnState, Row};

/// So many are asked for.
const K: usize = 10;

/// Slots with the keys of their rows.
type Slots = BTreeMap<u32, i64>;

/// Every index of the snapshot finds what comparing `rows` finds, or for the nearest by an index: rows that are there, as many as
/// were asked for, each once and with its distance.
pub fn check(
    snapshot: &Snapshot,
    columns: &[ColumnState],
    rows: &BTreeMap<i64, Row>,
    slots: &Slots,
) -> Result<()> {
    for (position, column) in columns.iter().enumerate() {
        let told = |said: String| Error::internal(format!("column {}: {said}", column.name));
        if column.ty.is_slot_vector() {
            let table = Vectors { snapshot, column, position, rows, slots };
            table.check().map_err(|error| told(error.message().to_owned()))?;
        } else {
            check_metadata(snapshot, column, position, rows, slots).map_err(told)?;
        }
    }
    Ok(())
}

/// A column of vectors.
struct Vectors<'a> {
    snapshot: &'a Snapshot,
    column: &'a ColumnState,
    position: usize,
    rows: &'a BTreeMap<i64, Row>,
    slots: &'a Slots,
}

impl Vectors<'_> {
    /// Asks for what is near the first and near the middle one.
    fn check(&self) -> Result<()> {
        let filled: Vec<&Value> =
            self.rows.values().map(|row| &row[self.position]).filter(|cell| **cell != Value::Null).collect();
        for near in [0, filled.len() / 2].into_iter().filter_map(|at| filled.get(at)) {
            self.near(near)?;
        }
        Ok(())
    }

    fn near(&self, query: &Value) -> Result<()> {
        let query = vector(query).expect("a vector");
        let metric = if query.element() == Element::Bit { Metric::Hamming } else { Metric::L2 };
        let distance = |row: &Row| vector(&row[self.position]).map(|cell| metric.distance(query, cell));
        let mut wanted: Vec<f64> = self.rows.values().filter_map(distance).collect();
        wanted.sort_by(f64::total_cmp);
        wanted.truncate(K);
        let exact = self.found(query, metric, None)?;
        if exact != wanted {
            return Err(Error::internal(format!("the nearest are at {wanted:?}, found {exact:?}")));
        }
        if !self.snapshot.has_vector_index(self.column.number, metric) {
            return Ok(());
        }
        let by_index = self.found(query, metric, Some(()))?;
        if by_index.len() != wanted.len() {
            return Err(Error::internal(format!("{} rows by the index of {}", by_index.len(), wanted.len())));
        }
        Ok(())
    }

    /// The distances of what is found, each of a row that is there.
    fn found(&self, query: Vector, metric: Metric, index: Option<()>) -> Result<Vec<f64>> {
        let snapshot = self.snapshot;
        let view = snapshot.vector_view(self.column.number)?;
        let live = snapshot.live();
        let visible_dirty = snapshot.visible_dirty()?;
        let index = index.and_then(|()| snapshot.vector_index(self.column.number, metric, live));
        let by = index.as_ref().map(|index| match &*index.finder {
            Finder::Graph(_) => Strategy::Graph,
            Finder::Lists(_) => Strategy::Lists,
        });
        let none = Default::default();
        // Those without a vector are no rows of a search.
        let filled = live.iter().filter(|slot| !view.is_null(*slot)).collect();
        let filled_dirty = visible_dirty.iter().filter(|slot| !view.is_null(*slot)).collect();
        let answer = search(&Request {
            vectors: &view,
            query: Query::new(metric, query),
            rows: Rows::new(&filled, snapshot.dirty(), &filled_dirty),
            finder: index.as_ref().map(|index| &*index.finder),
            tail: index.as_ref().map_or(&none, |index| &*index.tail),
            k: K,
            ef: 20,
            distances_max: u64::MAX,
            probes: Probes { first: 1, most: 1 },
            strategy: by.or(Some(Strategy::Exact)),
            cancel: &AtomicBool::new(false),
        })?;
        let mut seen = BTreeMap::new();
        let mut distances = Vec::new();
        for Hit { slot, .. } in answer.hits {
            let Some(id) = self.slots.get(&slot) else {
                return Err(Error::internal(format!("slot {slot} is found and not there")));
            };
            if seen.insert(slot, ()).is_some() {
                return Err(Error::internal(format!("{id} is found twice")));
            }
            let Some(cell) = vector(&self.rows[id][self.position]) else {
                return Err(Error::internal(format!("{id} is found and has no vector")));
            };
            distances.push(metric.distance(query, cell));
        }
        Ok(distances)
    }
}

fn vector(value: &Value) -> Option<Vector<'_>> {
    Some(match value {
        Value::Vector(values) => Vector::F32(values),
        Value::Halfvec(values) => Vector::F16(values),
        Value::Bits(bits) => Vector::Bits { bytes: bits.bytes(), length: bits.len() },
        Value::Sparsevec(vector) => Vector::Sparse(vector.as_sparse()),
        _ => return None,
    })
}

/// Asks for a value, a range and what is NULL, or for arrays with a word.
fn check_metadata(
    snapshot: &Snapshot,
    column: &ColumnState,
    position: usize,
    rows: &BTreeMap<i64, Row>,
    slots: &Slots,
) -> Result<(), String> {
    let cells = || slots.iter().map(|(slot, id)| (*slot, &rows[id][position]));
    let compare = |what: &str, found: &mut dyn Iterator<Item = u32>, wanted: &dyn Fn(&Value) -> bool| {
        let wanted: Vec<u32> = cells().filter(|(_, cell)| wanted(cell)).map(|(slot, _)| slot).collect();
        let found: Vec<u32> = found.collect();
        match found == wanted {
            true => Ok(()),
            false => Err(format!("{what}: slots {wanted:?}, found {found:?}")),
        }
    };
    let is_null = |cell: &Value| *cell == Value::Null;
    if let Some(found) = snapshot.select(column.number, &Predicate::IsNull) {
        compare("NULL", &mut found.iter(), &is_null)?;
    }
    if let Some(some) = cells().map(|(_, cell)| cell).find(|cell| !is_null(cell)).cloned() {
        if let Some(found) = snapshot.select(column.number, &Predicate::Eq(some.clone())) {
            compare("equal", &mut found.iter(), &|cell| *cell == some)?;
        }
        let range = Predicate::Range { low: Bound::Included(some.clone()), high: Bound::Unbounded };
        let number = |value: &Value| match value {
            Value::Int4(number) => Some(i64::from(*number)),
            Value::Int8(number) => Some(*number),
            _ => None,
        };
        if number(&some).is_some()
            && let Some(found) = snapshot.select(column.number, &range)
        {
            compare("range", &mut found.iter(), &|cell| number(cell) >= number(&some))?;
        }
    }
    if column.ty == Type::Array(Box::new(Type::Text)) {
        let word = Value::Text("word 3".into());
        let question = Question::ContainsElements(vec![word.clone()]);
        if let Some(found) = snapshot.search(column.number, &question) {
            let has = |cell: &Value| matches!(cell, Value::Array(words) if words.contains(&word));
            compare("a word", &mut found.slots.iter(), &has)?;
        }
    }
    Ok(())
}
