//! Statements of definitions: tables, indexes and columns come, go and change, among statements of rows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hither::catalog::{Column, DefaultExpr, DroppedColumn, Edit, Object, Table};
use hither::database::{BuildProgress, OnConflict, Transaction};
use hither::error::Result;
use hither::table::Layout;
use hither::types::{Type, Value};

use crate::client::{
    Extra, create_index, create_table, created_columns, definition, index_kinds, index_name, index_of, now,
    oid_of,
};
use crate::model::{ColumnState, Row, State, TableState};
use crate::work::{Topic, Worker};

/// Tables have at most so many columns.
const COLUMNS_MAX: usize = 10;

impl Worker {
    /// A statement of one of the workload's topics.
    pub fn define(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        let topics: Vec<Topic> = self.workload.topics.to_vec();
        match self.chance.pick(&topics) {
            Some(Topic::Columns) => self.columns(txn, state),
            Some(Topic::Sequences) => self.sequences(txn, state),
            Some(Topic::Partitions) => self.partitions(txn, state),
            Some(Topic::References) => self.create_child(txn, state),
            _ => self.tables(txn, state),
        }
    }

    fn tables(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        let names = state.names();
        let enough = names.len() > 3 || names.len() > 1 && !self.chance.one_in(4);
        let Some(table) = self.chance.pick(&names).filter(|_| enough) else {
            return self.create_table(txn, state);
        };
        let indexes = state.tables[&table].indexes.clone();
        let is_parent = !state.children(&table).is_empty();
        match self.chance.below(12) {
            0 if names.len() > 2 && !is_parent => {
                self.did("drop table");
                now(txn.drop_table(oid_of(txn, &table)))?;
                state.tables.remove(&table);
                Ok(())
            }
            1 if !is_parent => {
                self.did("truncate");
                now(txn.truncate(oid_of(txn, &table)))?;
                state.table(&table).rows.clear();
                Ok(())
            }
            2..4 if !indexes.is_empty() => {
                self.did("drop index");
                let names: Vec<String> = indexes.into_keys().collect();
                let name = self.chance.pick(&names).expect("not empty");
                state.table(&table).indexes.remove(&name);
                now(txn.drop_index(index_of(txn, &name).oid))
            }
            4..6 if !indexes.is_empty() => {
                let names: Vec<String> = indexes.into_keys().collect();
                self.reindex(txn, &names)
            }
            _ => self.create_index(txn, &table, state),
        }
    }

    fn create_table(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        self.did("create table");
        let partitioned = self.is_about(Topic::Partitions) && !self.chance.one_in(3);
        let extra = Extra { partitioned_by: partitioned.then_some(3), ..Extra::default() };
        let table = TableState { columns: created_columns(self.workload.columns), ..TableState::default() };
        let name = self.new_table(txn, state, table, extra)?;
        self.insert(txn, &name, state)
    }

    pub fn new_table(
        &mut self,
        txn: &mut Transaction,
        state: &mut State,
        table: TableState,
        extra: Extra,
    ) -> Result<String> {
        let name = format!("t{}", self.next_id);
        self.next_id += 1;
        create_table(txn, &name, &table.columns, extra)?;
        state.tables.insert(name.clone(), Arc::new(table));
        Ok(name)
    }

    fn create_index(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        let columns = state.tables[table].columns.clone();
        let kinds =
            columns.iter().flat_map(|column| index_kinds(column).iter().map(move |kind| (column, *kind)));
        let kinds: Vec<(&ColumnState, &'static str)> = kinds.collect();
        let Some((column, kind)) = self.chance.pick(&kinds) else { return Ok(()) };
        if state.tables[table].indexes.contains_key(&index_name(table, column, kind)) {
            return Ok(());
        }
        self.did("create index");
        self.did(kind);
        let (name, what) = create_index(txn, table, column, kind)?;
        state.table(table).indexes.insert(name, what);
        Ok(())
    }

    fn reindex(&mut self, txn: &mut Transaction, names: &[String]) -> Result<()> {
        self.did("reindex");
        let name = self.chance.pick(names).expect("not empty");
        let index = index_of(txn, &name);
        let progress = BuildProgress::new(index.table, index.oid, Arc::new(AtomicBool::new(false)));
        let oid = txn.new_oid();
        assert!(now(txn.rebuild_index(index.oid, oid, &progress))?, "the index is there");
        Ok(())
    }

    /// ALTER TABLE.
    fn columns(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        let Some(table) = self.chance.pick(&state.names()) else { return self.create_table(txn, state) };
        let known = state.tables[&table].clone();
        // The key, the unique texts and what partitions go by stay.
        let others: Vec<ColumnState> = known.columns[3..].to_vec();
        match self.chance.below(8) {
            0..3 if known.columns.len() < COLUMNS_MAX => self.add_column(txn, &table, state),
            3 if !others.is_empty() => self.drop_column(txn, &table, state, &others),
            4 if !others.is_empty() => {
                self.did("rename column");
                let column = self.chance.pick(&others).expect("not empty");
                let to = self.new_name();
                let mut altered = definition(txn, &table);
                let at = altered.position(column.number).expect("a column of the table");
                altered.columns[at].name.clone_from(&to);
                let at = known.position(column.number);
                state.table(&table).columns[at].name = to;
                put(txn, altered, Vec::new())
            }
            5 => self.retype(txn, &table, state),
            6 if known.columns.len() < COLUMNS_MAX => self.add_filled_vectors(txn, &table, state),
            _ => self.tables(txn, state),
        }
    }

    fn new_name(&mut self) -> String {
        self.next_id += 1;
        format!("c{}", self.next_id)
    }

    fn new_column(&mut self, altered: &Table) -> ColumnState {
        let ty = match self.chance.below(7) {
            0 => Type::Int4,
            1 => Type::Text,
            2 => Type::Array(Box::new(Type::Text)),
            3 => Type::Halfvec(Some(6)),
            4 => Type::Sparsevec(Some(20)),
            5 => Type::Bit(Some(12)),
            _ => Type::Vector(Some(6)),
        };
        ColumnState { name: self.new_name(), number: altered.next_number(), ty }
    }

    /// ADD COLUMN with a constant default, which old rows read without being written anew, or with none.
    fn add_column(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        let mut altered = definition(txn, table);
        let column = self.new_column(&altered);
        let mut added = Column::new(column.number, &column.name, column.ty.clone());
        let mut value = Value::Null;
        if !column.ty.is_slot_vector() && !self.chance.one_in(3) {
            self.did("add column with a default");
            value = self.cell(self.next_id, &column);
        } else {
            self.did("add column");
        }
        if value != Value::Null {
            let mut missing = Vec::new();
            Layout::new(std::slice::from_ref(&column.ty)).encode(&[value.clone()], &mut missing)?;
            added.missing = Some(missing);
            added.default = Some(DefaultExpr { sql: "'as the rows before'".into() });
        }
        altered.columns.push(added);
        let known = state.table(table);
        known.columns.push(column);
        known.rows.values_mut().for_each(|row| row.push(value.clone()));
        put(txn, altered, Vec::new())
    }

    fn drop_column(
        &mut self,
        txn: &mut Transaction,
        table: &str,
        state: &mut State,
        others: &[ColumnState],
    ) -> Result<()> {
        self.did("drop column");
        let column = self.chance.pick(others).expect("not empty");
        let mut altered = definition(txn, table);
        let at = altered.position(column.number).expect("a column of the table");
        altered.columns.remove(at);
        altered.dropped.push(DroppedColumn { number: column.number, ty: column.ty.clone() });
        let catalog = txn.catalog();
        let indexes = catalog.indexes_of(altered.oid).filter(|index| index.columns.contains(&column.number));
        let mut edits = Vec::new();
        let known = state.table(table);
        for index in indexes {
            altered.forget_index(index.oid);
            known.indexes.remove(&index.name);
            edits.push(Edit::Delete(index.oid));
        }
        let at = known.position(column.number);
        known.columns.remove(at);
        known.rows.values_mut().for_each(|row| drop(row.remove(at)));
        put(txn, altered, edits)
    }

    /// ALTER COLUMN ... TYPE between integers, which writes all rows anew.
    fn retype(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("retype column");
        let mut altered = definition(txn, table);
        let at = state.tables[table].position(3);
        let (ty, convert): (Type, fn(&Value) -> Value) = match state.tables[table].columns[at].ty {
            Type::Int4 => (Type::Int8, |value| match value {
                Value::Int4(number) => Value::Int8(i64::from(*number)),
                other => other.clone(),
            }),
            _ => (Type::Int4, |value| match value {
                Value::Int8(number) => Value::Int4(*number as i32),
                other => other.clone(),
            }),
        };
        let place = altered.position(3).expect("the third column");
        altered.columns[place].ty = ty.clone();
        let known = state.table(table);
        known.columns[at].ty = ty;
        known.rows.values_mut().for_each(|row| row[at] = convert(&row[at]));
        rewrite(txn, altered, known)
    }

    /// ADD COLUMN of vectors with a default, which writes all rows anew.
    fn add_filled_vectors(&mut self, txn: &mut Transaction, table: &str, state: &mut State) -> Result<()> {
        self.did("add filled column");
        let mut altered = definition(txn, table);
        let (name, number) = (self.new_name(), altered.next_number());
        let column = ColumnState { name, number, ty: Type::Vector(Some(6)) };
        let value = self.cell(0, &column);
        altered.columns.push(Column::new(column.number, &column.name, column.ty.clone()));
        let known = state.table(table);
        known.columns.push(column);
        known.rows.values_mut().for_each(|row| row.push(value.clone()));
        rewrite(txn, altered, known)
    }
}

fn put(txn: &mut Transaction, altered: Table, mut edits: Vec<Edit>) -> Result<()> {
    now(txn.lock_table(altered.oid))?;
    edits.push(Edit::Put(Object::Table(altered)));
    now(txn.edit_catalog(edits))
}

/// The table under another definition, with the rows that the model has.
fn rewrite(txn: &mut Transaction, altered: Table, known: &TableState) -> Result<()> {
    let oid = altered.oid;
    now(txn.rewrite_table(altered))?;
    let rows: Vec<Row> = known.rows.values().cloned().collect();
    for piece in rows.chunks(20) {
        now(txn.insert(oid, piece, OnConflict::Error))?;
    }
    Ok(())
}
