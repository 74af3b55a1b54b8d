//! Partitions by list, and rows that refer to rows of another table.

use hither::catalog::{Edit, Object, Partition, PartitionBound, PartitionIndex};
use hither::database::Transaction;
use hither::error::{Result, SqlState};
use hither::types::{Type, Value};

use crate::client::{Extra, created_columns, definition, now, oid_of};
use crate::model::{ColumnState, REFERENCE, Row, State, TableState};
use crate::work::Worker;

impl Worker {
    /// CREATE TABLE ... PARTITION OF, or DROP TABLE of a partition.
    pub fn partitions(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        let partitioned = |name: &String| definition(txn, name).is_partitioned();
        let names: Vec<String> = state.names().into_iter().filter(partitioned).collect();
        let Some(table) = self.chance.pick(&names) else { return Ok(()) };
        let known = state.tables[&table].clone();
        let mut altered = definition(txn, &table);
        let parts: Vec<(String, String)> =
            known.parts.iter().map(|(name, key)| (name.clone(), key.clone())).collect();
        if self.chance.one_in(3)
            && let Some((name, key)) = self.chance.pick(&parts)
        {
            self.did("drop partition");
            let at = known.position(3);
            let is_in = |row: &Row| matches!(row[at], Value::Int4(score) if score.to_string() == key);
            let ids: Vec<i64> = known.rows.iter().filter(|(_, row)| is_in(row)).map(|(id, _)| *id).collect();
            if self.unreferred(txn, &table, state, ids.clone())?.len() < ids.len() {
                return Ok(());
            }
            self.delete_ids(txn, &table, state, &ids)?;
            let oid = altered.partitions().iter().find(|part| part.name == name).expect("the partition").oid;
            state.table(&table).parts.remove(&name);
            let without = altered.without_partition(oid);
            now(txn.lock_table(without.oid))?;
            return now(txn.edit_catalog(vec![Edit::Put(Object::Table(without))]));
        }
        let key = self.chance.below(7).to_string();
        if known.parts.values().any(|taken| *taken == key) {
            return Ok(());
        }
        self.did("create partition");
        self.next_id += 1;
        let name = format!("p{}", self.next_id);
        let catalog = txn.catalog();
        let of: Vec<(u32, String)> =
            catalog.indexes_of(altered.oid).map(|index| (index.oid, index.name.clone())).collect();
        let oid = txn.new_oid();
        let own = |(of, index): (u32, String)| PartitionIndex {
            oid: txn.new_oid(),
            name: format!("{name}_{index}"),
            of,
        };
        let indexes = of.into_iter().map(own).collect();
        let part = Partition {
            oid,
            schema: "public".into(),
            name: name.clone(),
            bound: PartitionBound::In(vec![Some(key.clone())]),
            defaults: Vec::new(),
            options: Vec::new(),
            comment: None,
            indexes,
        };
        altered.partitioning.as_mut().expect("it is partitioned").parts.push(part);
        state.table(&table).parts.insert(name, key);
        now(txn.lock_table(altered.oid))?;
        now(txn.edit_catalog(vec![Edit::Put(Object::Table(altered))]))
    }

    /// A table whose rows refer to another one's.
    pub fn create_child(&mut self, txn: &mut Transaction, state: &mut State) -> Result<()> {
        let Some(parent) = self.chance.pick(&state.names()) else { return Ok(()) };
        if state.tables.values().filter(|table| table.parent.is_some()).count() > 2 {
            return Ok(());
        }
        self.did("create child");
        let mut columns = created_columns(self.workload.columns);
        let number = columns.len() as u16 + 1;
        columns.push(ColumnState { name: REFERENCE.into(), number, ty: Type::Int8 });
        let extra = Extra { refers: Some((number, &parent)), ..Extra::default() };
        let child = TableState { columns, parent: Some(parent.clone()), ..TableState::default() };
        let name = self.new_table(txn, state, child, extra)?;
        self.insert(txn, &name, state)
    }

    /// Lets new rows of a child refer to rows of its parent, that are there.
    pub fn refer(
        &mut self,
        txn: &mut Transaction,
        table: &str,
        state: &State,
        rows: &mut [Row],
    ) -> Result<()> {
        let child = &state.tables[table];
        let Some(parent) = &child.parent else { return Ok(()) };
        let at = child.columns.iter().position(|column| child.is_reference(column)).expect("its column");
        let ids: Vec<i64> = state.tables[parent].rows.keys().copied().collect();
        for row in rows.iter_mut() {
            if !self.chance.one_in(4) {
                row[at] = self.chance.pick(&ids).map_or(Value::Null, Value::Int8);
            }
        }
        self.did("refer");
        let oid = oid_of(txn, table);
        now(txn.check_references(oid, rows, &|_| true))?;
        let mut stray = rows[..1].to_vec();
        stray[0][at] = Value::Int8(-1);
        let refused = now(txn.check_references(oid, &stray, &|_| true)).err().map(|error| error.state());
        assert_eq!(refused, Some(SqlState::FOREIGN_KEY_VIOLATION));
        Ok(())
    }

    /// Those of the table's rows that no row of another one refers to, by the model and by what is there.
    pub fn unreferred(
        &mut self,
        txn: &mut Transaction,
        table: &str,
        state: &State,
        ids: Vec<i64>,
    ) -> Result<Vec<i64>> {
        let mut free = ids.clone();
        for child in state.children(table) {
            let (oid, known) = (oid_of(txn, &child), &state.tables[&child]);
            let at = known.columns.iter().position(|column| known.is_reference(column)).expect("its column");
            let keys: Vec<Vec<Value>> = ids.iter().map(|id| vec![Value::Int8(*id)]).collect();
            let found = txn.referring(oid, &[known.columns[at].number], &keys)?.len();
            let refers = |row: &&Row| matches!(row[at], Value::Int8(id) if ids.contains(&id));
            assert_eq!(
                found,
                known.rows.values().filter(refers).count(),
                "rows of {child} that refer to {table}"
            );
            free.retain(|id| !known.rows.values().any(|row| row[at] == Value::Int8(*id)));
        }
        Ok(free)
    }
}
