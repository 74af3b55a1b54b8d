//! Every invariant of a database, stated once. Tests, crash runs and `hither check` all come here.
//!
//! ```text
//!   store      files of the checkpoint: checksums, order, what the manifest says of them      storage/check.rs
//!   catalogue  rows of storage 0  =  definitions in memory; what they name exists
//!   rows       decode; NOT NULL holds; their slots = the live set
//!   keys       every row's unique key leads to its slot, and there are no other keys
//!   vectors    checksums of live slots; NULL where the row says NULL
//!   metadata   every indexed cell is found under its value; saved bitmaps were as they should be when they were opened
//!   graphs     links and levels; every live row is in the graph or in its tail, and only live ones in the tail
//!   slots      those to be given to new rows hold no row, and no graph or generation of one knows them
//! ```
//!
//! The log has been checked by being replayed. Nobody may write meanwhile: the check compares what is in memory with
//! what is on disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::catalog::edit::{OBJECT_KEY, decode_object, encode_object, object_key};
use crate::catalog::{CATALOG_STORAGE, Catalog, Object};
use crate::database::apply::unique_key;
use crate::database::open::load_catalog;
use crate::database::{Database, Options};
use crate::error::{Error, Result, SqlState};
use crate::fs::{Fs, TrialFs};
use crate::log::{Seq, StorageId};
use crate::storage::Store;
use crate::table::Table;
use crate::table::keys::{ROWS, UniqueKey, slot_of_row_key, slot_of_value};
use crate::table::state::State;

/// How much a check has looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub tables: u64,
    pub rows: u64,
    pub keys: u64,
    pub vectors: u64,
    pub graph_nodes: u64,
    pub problems: u64,
    /// Tables of which something is damaged.
    pub affected: BTreeSet<String>,
}

/// Checks a data directory as a restart would find it, without changing it. Tells every problem; fails when the
/// directory does not open at all.
pub fn check_directory(fs: Arc<dyn Fs>, dir: &Path, tell: &mut dyn FnMut(Error)) -> Result<Checked> {
    if !fs.exists(&dir.join("CONTROL")) {
        let message = format!("\"{}\" is not a data directory", dir.display());
        return Err(Error::new(SqlState::UNDEFINED_FILE, message).detail("It has no file CONTROL."));
    }
    let options = Options { background: false, ..Options::default() };
    match Database::open(Arc::new(TrialFs::new(fs.clone())), dir, options) {
        Ok(database) => Ok(database.check_all(tell)),
        Err(error) => {
            let error = error.context("The directory does not open; its files were checked one by one.");
            check_files(fs, dir, error, tell)
        }
    }
}

/// What can be said of a directory that does not open for this reason: which of its sorted tables are damaged.
fn check_files(fs: Arc<dyn Fs>, dir: &Path, reason: Error, tell: &mut dyn FnMut(Error)) -> Result<Checked> {
    let trial: Arc<dyn Fs> = Arc::new(TrialFs::new(fs.clone()));
    let store = Store::open(trial, dir, crate::storage::Options::default());
    // Without names, numbers must do.
    let catalog = store.and_then(|store| load_catalog(&store)).unwrap_or_default();
    let Ok(report) = crate::storage::check(fs, dir) else { return Err(reason) };
    let mut check = Check { tell, done: Checked::default() };
    let said = reason.message().to_owned();
    check.note_file(Err(reason), &catalog);
    for error in report.damage.into_iter().filter(|error| error.message() != said) {
        check.note_file(Err(error), &catalog);
    }
    Ok(check.done)
}

/// The table whose files lie in the folder that a report of damage names.
fn affected(error: &Error, catalog: &Catalog) -> Option<String> {
    let (_, rest) =
        error.message().split_once("/tables/").or_else(|| error.message().split_once("/indexes/"))?;
    let storage: u64 = rest.split('/').next()?.parse().ok()?;
    if storage == CATALOG_STORAGE {
        return Some("the catalogue, and with it all tables".into());
    }
    let table = catalog.stored_tables().find(|table| table.storage == storage);
    Some(table.map_or_else(|| format!("the table of storage {storage}"), |table| table.qualified_name()))
}

impl Database {
    /// The first broken invariant, if there is one.
    pub fn check(&self) -> Result<()> {
        let mut first = None;
        self.check_all(&mut |error| first = first.take().or(Some(error)));
        first.map_or(Ok(()), Err)
    }

    /// Tells every broken invariant; goes on after each where that makes sense.
    pub fn check_all(&self, tell: &mut dyn FnMut(Error)) -> Checked {
        let mut check = Check { tell, done: Checked::default() };
        let mut told = BTreeSet::new();
        match self.core().store.check() {
            Ok(report) => {
                let catalog = self.catalog();
                told.extend(report.damage.iter().map(|error| error.message().to_owned()));
                report.damage.into_iter().for_each(|error| check.note_file(Err(error), &catalog));
            }
            Err(error) => check.note(Err(error)),
        }
        let outcome = self.check_catalog();
        check.note(outcome);
        let version = self.core().version.load_full();
        for table in version.catalog.stored_tables() {
            check.done.tables += 1;
            if let Some(damaged) = version.damaged.get(&table.oid) {
                check.done.affected.insert(table.qualified_name());
                let cause = damaged.cause();
                // The files of its tree were among those above.
                check.note(if told.contains(cause.message()) { Ok(()) } else { Err(cause.clone()) });
                continue;
            }
            match version.tables.get(&table.oid) {
                Some(files) => {
                    check.note_file(
                        self.core().bitmaps.damage(files.storage()).map_or(Ok(()), Err),
                        &version.catalog,
                    );
                    check.table(files);
                }
                None => check.note(Err(broken("catalogue", "a table with files", &table.name))),
            }
        }
        check.done
    }

    /// The rows of storage 0 are the definitions in memory, and what they name exists.
    fn check_catalog(&self) -> Result<()> {
        let catalog = self.core().version.load().catalog.clone();
        let Some(tree) = self.core().store.tree(StorageId(CATALOG_STORAGE)) else {
            return match catalog.stored_tables().next() {
                None => Ok(()),
                Some(table) => Err(broken("catalogue", "the tree of storage 0", &table.name)),
            };
        };
        let mut count = 0;
        let (from, to) = ([OBJECT_KEY], [OBJECT_KEY + 1]);
        let range = (std::ops::Bound::Included(&from[..]), std::ops::Bound::Excluded(&to[..]));
        for entry in tree.scan(range.0, range.1, NEWEST) {
            let (key, _, value) = entry?;
            let object = decode_object(&value)?;
            let same = match (&object, catalog.object_by_oid(object.oid())) {
                (Object::Schema(gone), known) if gone.name.is_empty() => known.is_none(),
                // Two definitions of one type are equal; here the labels and fields count too.
                (Object::Enum(_) | Object::Composite(_) | Object::Range(_), Some(known)) => {
                    encode_object(&known) == encode_object(&object)
                }
                (object, known) => known.as_ref() == Some(object),
            };
            if !same || key[..] != object_key(object.oid())[..] {
                return Err(broken("catalogue", "the definition in memory", format_args!("{object:?}")));
            }
            count += u64::from(!matches!(object, Object::Schema(_)));
        }
        let known =
            catalog.stored_tables().count() + catalog.stored_indexes().count() + catalog.sequences().count();
        let known = known
            + catalog.views().count()
            + catalog.functions().count()
            + catalog.enums().count()
            + catalog.composites().count()
            + catalog.ranges().count()
            + catalog.domains().count()
            + catalog.extensions().count();
        if count != known as u64 {
            return Err(broken("catalogue", format_args!("{known} stored definitions"), count));
        }
        for index in catalog.stored_indexes() {
            let table = catalog.table_by_oid(index.table);
            if !table.is_some_and(|table| index.columns.iter().all(|c| table.column_number(*c).is_some())) {
                return Err(broken("catalogue", "the table and columns of an index", &index.name));
            }
        }
        Ok(())
    }
}

/// Everything that is published.
const NEWEST: Seq = Seq(u64::MAX);

struct Check<'a> {
    tell: &'a mut dyn FnMut(Error),
    done: Checked,
}

impl Check<'_> {
    fn note(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.done.problems += 1;
            (self.tell)(error);
        }
    }

    /// [`Check::note`], of a file that belongs to a table.
    fn note_file(&mut self, outcome: Result<()>, catalog: &Catalog) {
        if let Err(error) = &outcome {
            self.done.affected.extend(affected(error, catalog));
        }
        self.note(outcome);
    }

    fn table(&mut self, table: &Table) {
        let before = self.done.problems;
        self.contents(table);
        if self.done.problems > before {
            self.done.affected.insert(table.state().definition.qualified_name());
        }
    }

    /// Rows first; what is compared with them makes no sense when they cannot be read.
    fn contents(&mut self, table: &Table) {
        let state = table.state();
        let rows = match self.rows(table, &state) {
            Ok(rows) => rows,
            Err(error) => return self.note(Err(error)),
        };
        let name = state.definition.qualified_name();
        if *state.live != rows.live {
            let difference = &*state.live ^ &rows.live;
            let found =
                format_args!("slots {:?} on one side only", difference.iter().take(8).collect::<Vec<_>>());
            self.note(Err(broken(&name, "a live set of the slots that hold rows", found)));
        }
        for (unique, expected) in state.unique_keys.iter().zip(&rows.keys) {
            let outcome = check_keys(table, &name, unique, *expected);
            self.note(outcome);
            self.done.keys += expected;
        }
        for (vectors, nulls) in state.vectors.iter().zip(&rows.vector_nulls) {
            let filled = &rows.live - nulls;
            let view = vectors.column.view();
            self.done.vectors += filled.len();
            self.note(vectors.column.check(&rows.live));
            if let Some(slot) = rows.live.iter().find(|slot| view.is_null(*slot) != nulls.contains(*slot)) {
                let found = format_args!("slot {slot}, where one is NULL and the other is not");
                self.note(Err(broken(&name, "vectors as the rows have them", found)));
            }
        }
        self.graphs(&state, &name, &rows);
        let known = state.vector_indexes.iter().map(|index| &*index.finder.nodes() | &*index.saved);
        let known = known.fold(state.live.as_ref().clone(), |all, of_one| all | of_one);
        if let Some(slot) = table.slots_to_give(&known).min() {
            let found = format_args!("slot {slot}, which is to be given to the next row");
            self.note(Err(broken(&name, "no row and no node of an index in slots that are free", found)));
        }
    }

    /// Reads every row.
    fn rows(&mut self, table: &Table, state: &State) -> Result<Rows> {
        let definition = &state.definition;
        let mut rows = Rows {
            live: RoaringBitmap::new(),
            keys: vec![0; state.unique_keys.len()],
            vector_nulls: vec![RoaringBitmap::new(); state.vectors.len()],
        };
        for entry in table.tree().scan(ROWS.0, ROWS.1, NEWEST) {
            let (key, _, bytes) = entry?;
            let slot = slot_of_row_key(&key)?;
            let row = state.layout.read(&bytes)?;
            let values = row.values().map_err(|error| error.context(at(definition, slot)))?;
            self.done.rows += 1;
            rows.live.insert(slot);
            for (column, value) in definition.columns.iter().zip(&values) {
                if column.not_null && *value == crate::types::Value::Null {
                    return Err(broken(
                        at(definition, slot),
                        format_args!("no NULL in {}", column.name),
                        "one",
                    ));
                }
            }
            if let Some(position) = state.metadata.disagreement(slot, &row)? {
                let column = definition.stored_columns().nth(position).map_or("", |column| &column.name);
                let expected = format_args!("the row in the indexes of column {column}");
                return Err(broken(at(definition, slot), expected, "another value, or none"));
            }
            for (unique, count) in state.unique_keys.iter().zip(&mut rows.keys) {
                let Some(key) = unique_key(unique, &row)? else { continue };
                *count += 1;
                let owner = table.tree().get(&key, NEWEST)?.map(|value| slot_of_value(&value)).transpose()?;
                if owner != Some(slot) {
                    let expected = format_args!("a key in index {} that leads to the row", unique.index);
                    return Err(broken(at(definition, slot), expected, format_args!("{owner:?}")));
                }
            }
            for (vectors, nulls) in state.vectors.iter().zip(&mut rows.vector_nulls) {
                // Rows from before a hidden column do not say whether it is NULL.
                let hidden = vectors.position >= definition.columns.len();
                if if hidden { vectors.column.view().is_null(slot) } else { row.is_null(vectors.position)? } {
                    nulls.insert(slot);
                }
            }
        }
        Ok(rows)
    }

    fn graphs(&mut self, state: &State, name: &str, rows: &Rows) {
        for index in &state.vector_indexes {
            self.done.graph_nodes += index.finder.nodes().len();
            let known = &*index.finder.nodes() | &*index.tail;
            let Some(number) = state.vectors.iter().position(|vectors| vectors.position == index.position)
            else {
                self.note(Err(broken(name, "the column of a vector index", &index.definition.name)));
                continue;
            };
            let view = state.vectors[number].column.view();
            let filled = &*state.members(index) - &rows.vector_nulls[number];
            if let Some(slot) = (&*index.tail - &*state.live).min() {
                let expected = format_args!("live rows in the tail of index {}", index.definition.name);
                self.note(Err(broken(name, expected, format_args!("slot {slot}"))));
            }
            let missing = (&filled - &known).iter().find(|slot| index.finder.takes(view.norm(*slot)));
            if let Some(slot) = missing {
                let expected = format_args!("slot {slot} in index {} or in its tail", index.definition.name);
                self.note(Err(broken(name, expected, "neither")));
            }
            for damage in index.finder.check() {
                self.note(Err(broken(
                    format_args!("{name}, index {}", index.definition.name),
                    "a sound index",
                    damage,
                )));
            }
        }
    }
}

/// What the rows of a table say about the rest of it.
struct Rows {
    live: RoaringBitmap,
    /// Rows that have a key, by unique index.
    keys: Vec<u64>,
    /// Rows whose vector is NULL, by vector column.
    vector_nulls: Vec<RoaringBitmap>,
}

/// Every row's key was found; so there are no others if there are as many.
fn check_keys(table: &Table, name: &str, unique: &UniqueKey, expected: u64) -> Result<()> {
    let (from, to) = unique.range();
    let range = (std::ops::Bound::Included(&from[..]), std::ops::Bound::Excluded(&to[..]));
    let mut found = 0;
    for entry in table.tree().scan(range.0, range.1, NEWEST) {
        entry?;
        found += 1;
    }
    match found == expected {
        true => Ok(()),
        false => Err(broken(name, format_args!("{expected} keys in index {}", unique.index), found)),
    }
}

fn at(definition: &crate::catalog::Table, slot: u32) -> String {
    format!("{}, slot {slot}", definition.qualified_name())
}

fn broken(
    place: impl std::fmt::Display,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Error {
    Error::new(SqlState::INDEX_CORRUPTED, format!("{place}: expected {expected}, found {found}"))
}
