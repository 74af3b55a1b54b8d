//! Hidden columns: what an index on an expression is over, and whether a row is in a partial index.
//!
//! They are columns like others to the core: numbered, stored, logged. Here they come into being with the index that
//! needs them (several indexes on the same expression share one), get their values in the rows that are there, and
//! follow changes of the columns they read.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;
use datafusion::sql::sqlparser::ast::{Query, SetExpr};
use futures::StreamExt;

use crate::catalog::{Column, Generated, Oid, Table};
use crate::error::{Error, Result};
use crate::sql::dialect::parse_query;
use crate::sql::dml::generated::{Computed, Place, check_kept};
use crate::sql::known::factors_mut;
use crate::sql::query;
use crate::sql::session::Session;
use crate::sql::system::quote_ident;
use crate::sql::system_columns::mark;
use crate::table::provider::{SLOT_COLUMN, SystemColumns};
use crate::types::arrow::value_at;
use crate::types::{Type, Value};

/// The number of the hidden column that holds these values: one that is there, or a new one.
pub fn hidden_column(table: &mut Table, name: &str, generated: Generated, ty: Type) -> u16 {
    let same = |column: &&Column| column.generated.as_ref() == Some(&generated) && column.ty == ty;
    if let Some(known) = table.hidden.iter().find(same) {
        return known.number;
    }
    let number = table.next_number();
    table.hidden.push(Column {
        metadata_index: !ty.is_slot_vector(),
        generated: Some(generated),
        ..Column::new(number, name, ty)
    });
    number
}

impl Session {
    /// Gives new hidden columns (by number) their values in all rows of a table, which is locked.
    pub(super) async fn fill_hidden(&mut self, table: Oid, columns: &[u16]) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let table = catalog.table_by_oid(table).cloned();
        let table = table.ok_or_else(|| Error::internal("a table to fill that is not there"))?;
        let positions: Vec<usize> = columns.iter().filter_map(|number| table.position(*number)).collect();
        let guards = positions.iter().filter_map(|position| {
            table.position(table.stored_column(*position)?.generated.as_ref()?.guard?)
        });
        let mut computed: Vec<usize> = positions.iter().copied().chain(guards).collect();
        computed.sort_unstable();
        computed.dedup();
        let (computed, reads, query) = {
            let schemas = self.shared.schemas(&catalog);
            let environment = self.shared.environment();
            let context = self.plan_context(&environment, &catalog, &schemas);
            let computed = Computed::compile(&table, &computed, &context)?;
            let reads = computed.reads();
            let query = select_with_slots(&table, &reads)?;
            (computed, reads, Arc::new(query::plan(&query, &context)?))
        };
        // Under REPEATABLE READ this is refused even where the snapshot has no rows.
        self.retry(|transaction| transaction.fill(table.oid, columns, &[])).await?;
        let mut stream = self.query_stream(&query, &[]).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            self.cancel.check()?;
            let slots = batch.column(reads.len());
            let slots = slots
                .as_primitive_opt::<UInt32Type>()
                .ok_or_else(|| Error::internal(format!("slots came as {}", slots.data_type())))?;
            let mut rows = vec![vec![Value::Null; table.stored_width()]; batch.num_rows()];
            for (output, &position) in reads.iter().enumerate() {
                for (place, row) in rows.iter_mut().enumerate() {
                    row[position] = value_at(batch.column(output), place, &table.columns[position].ty)?;
                }
            }
            computed.fill(&mut rows, &mut || self.plain_execution(&[], &[]))?;
            let filled = slots.values().iter().zip(&rows);
            let filled =
                filled.map(|(&slot, row)| (slot, positions.iter().map(|&p| row[p].clone()).collect()));
            let filled: Vec<(u32, Vec<Value>)> = filled.collect();
            self.retry(|transaction| transaction.fill(table.oid, columns, &filled)).await?;
        }
        Ok(())
    }

    /// Gives hidden columns the types that their expressions have over the altered table; whether one is another.
    pub(super) fn retype_hidden(&self, altered: &mut Table) -> Result<bool> {
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        let before = altered.clone();
        let mut changed = false;
        for column in &mut altered.hidden {
            let Some(generated) = &column.generated else { continue };
            let ty = check_kept(&before, &generated.sql, None, Place::Index, &context)?;
            changed |= ty != column.ty;
            column.ty = ty;
        }
        Ok(changed)
    }
}

/// `SELECT a, b, t.slot FROM s.t`
fn select_with_slots(table: &Table, columns: &[usize]) -> Result<Box<Query>> {
    let name = quote_ident(&table.name);
    let mut list: Vec<String> = columns.iter().map(|&p| quote_ident(&table.columns[p].name)).collect();
    list.push(format!("{name}.{}", quote_ident(SLOT_COLUMN)));
    let sql = format!("SELECT {} FROM {}.{name}", list.join(", "), quote_ident(&table.schema));
    let mut query = parse_query(&sql)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        factors_mut(&mut select.from).into_iter().for_each(|factor| mark(factor, table, SystemColumns::Slot));
    }
    Ok(query)
}
