//! Generated columns in ALTER TABLE: their expressions change, and the columns they read go.

use std::sync::Arc;

use crate::catalog::{Generated, Index, Table};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::retype::names_column;
use crate::sql::response::Severity;
use crate::sql::session::Session;

impl Session {
    /// SET EXPRESSION computes the column anew; DROP EXPRESSION leaves it with what it holds.
    pub(super) async fn set_expression(
        &mut self,
        table: &Arc<Table>,
        column: &str,
        sql: Option<&str>,
        if_exists: bool,
    ) -> Result<()> {
        let position = self.position(table, column)?;
        let mut altered = (**table).clone();
        let Some(generated) = altered.columns[position].generated.take() else {
            let message =
                format!("column \"{column}\" of relation \"{}\" is not a generated column", table.name);
            if !if_exists {
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
            self.notice(Severity::Notice, Error::new(SqlState("00000"), format!("{message}, skipping")));
            return Ok(());
        };
        let Some(sql) = sql else { return self.put(altered).await };
        altered.columns[position].generated = Some(Generated { sql: sql.to_owned(), ..generated });
        self.check_definition(&altered, &[])?;
        self.copy_rows(table, altered).await
    }

    /// Drops the columns that are generated from one which goes: 2BP01 unless CASCADE was said.
    pub(super) async fn drop_generated_from(
        &mut self,
        table: &Arc<Table>,
        number: u16,
        name: &str,
        cascade: bool,
    ) -> Result<()> {
        for column in table.columns.iter().filter(|column| column.number != number) {
            let Some(generated) = &column.generated else { continue };
            if !names_column(&generated.sql, table, number)? {
                continue;
            }
            let what = format!("column {} of table {}", column.name, table.name);
            if !cascade {
                let going = format!("column {name} of table {}", table.name);
                let message = format!("cannot drop {going} because other objects depend on it");
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .detail(format!("{what} depends on {going}"))
                    .hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            self.tell_cascade(vec![what]);
            let catalog = self.shared.current_catalog();
            let now = catalog.table_by_oid(table.oid).unwrap_or(table).clone();
            Box::pin(self.drop_column(&now, &column.name, false, true)).await?;
        }
        Ok(())
    }
}

/// Whether an index is on a column, in an expression or in its WHERE.
pub fn reads_column(index: &Index, table: &Table, number: u16) -> Result<bool> {
    if index.columns.contains(&number) || index.included.contains(&number) {
        return Ok(true);
    }
    let hidden = index.columns.iter().filter_map(|column| table.column_number(*column)?.generated.as_ref());
    let expressions = hidden.map(|generated| &generated.sql);
    for sql in expressions.chain(index.predicate.as_ref().map(|predicate| &predicate.sql)) {
        if names_column(sql, table, number)? {
            return Ok(true);
        }
    }
    Ok(false)
}
