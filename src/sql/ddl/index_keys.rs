//! ADD PRIMARY KEY and UNIQUE USING INDEX: a key whose index is there already, so that nothing is built.

use std::sync::Arc;

use crate::catalog::{
    Constraint, ConstraintKind as StoredKind, Edit, Index, IndexMethod, KeyOrder, Object, Relation, Table,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::alter::{contains_nulls, quoted};
use crate::sql::response::Severity;
use crate::sql::session::Session;
use crate::sql::statement::TableConstraint;
use crate::sql::system::{is_default_opclass, is_hidden};

impl Session {
    pub(super) async fn add_key_using(
        &mut self,
        table: &Arc<Table>,
        constraint: &TableConstraint,
        index: &str,
        primary: bool,
    ) -> Result<()> {
        let catalog = self.shared.current_catalog();
        if table.is_partitioned() {
            let message = "ALTER TABLE / ADD CONSTRAINT USING INDEX is not supported on partitioned tables";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let Some(Relation::Index(found)) = catalog.relation(&table.schema, index) else {
            let message = format!("index \"{index}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        check_index(&found, table)?;
        if primary && found.nulls_equal {
            let message = "primary keys cannot use NULLS NOT DISTINCT indexes";
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        if primary && table.primary_key().is_some() {
            let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        let name = constraint.name.clone().unwrap_or_else(|| found.name.clone());
        if table.constraints.iter().any(|known| known.name == name) {
            let message = format!("constraint \"{name}\" for relation \"{}\" already exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        if name != found.name {
            if catalog.relation(&table.schema, &name).is_some() {
                let message = format!("relation \"{name}\" already exists");
                return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
            }
            let message = format!(
                "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{}\" to \"{name}\"",
                found.name
            );
            self.notice(Severity::Notice, Error::new(SqlState::SUCCESSFUL_COMPLETION, message));
        }
        let mut altered = Table::clone(table);
        let columns = found.columns.clone();
        if primary {
            for position in columns.iter().filter_map(|&number| table.position(number)) {
                let column = &mut altered.columns[position];
                if !column.not_null {
                    column.not_null = true;
                    let condition = format!("{} IS NOT NULL", quoted(&column.name));
                    self.verify_rows(table, &condition, |table| contains_nulls(table, &column.name)).await?;
                }
            }
        }
        let kind = match primary {
            true => StoredKind::PrimaryKey { columns },
            false => StoredKind::Unique { columns, nulls_equal: found.nulls_equal },
        };
        let (included, deferral) = (found.included.clone(), constraint.deferral);
        let oid = self.new_oid()?;
        let constraint = Constraint { included, deferral, ..Constraint::new(oid, name.clone(), kind) };
        altered.constraints.push(constraint);
        let index = Index { name, constraint: Some(oid), ..Index::clone(&found) };
        self.edit(vec![Edit::Put(Object::Table(altered)), Edit::Put(Object::Index(index))]).await
    }
}

/// What an index must be to stand for a key.
fn check_index(index: &Index, table: &Table) -> Result<()> {
    let name = &index.name;
    if index.constraint.is_some() {
        let message = format!("index \"{name}\" is already associated with a constraint");
        return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    if index.table != table.oid {
        let message = format!("index \"{name}\" does not belong to table \"{}\"", table.name);
        return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    let unsorted = (0..index.columns.len()).find(|&place| {
        let order = index.orders.get(place).copied().unwrap_or_default();
        let column = table.column_number(index.columns[place]);
        let class = index.opclasses.get(place).filter(|class| !class.is_empty());
        order != KeyOrder::default()
            || class.is_some_and(|class| {
                column.is_some_and(|column| !is_default_opclass(index.method, class, &column.ty))
            })
    });
    let what = match unsorted {
        _ if !index.unique => format!("\"{name}\" is not a unique index"),
        _ if index.columns.iter().any(|number| is_hidden(table, *number)) => {
            format!("index \"{name}\" contains expressions")
        }
        _ if index.predicate.is_some() => format!("\"{name}\" is a partial index"),
        _ if index.method != IndexMethod::Btree => format!("index \"{name}\" is not a btree"),
        Some(place) => {
            format!("index \"{name}\" column number {} does not have default sorting behavior", place + 1)
        }
        None => return Ok(()),
    };
    Err(Error::new(SqlState::WRONG_OBJECT_TYPE, what)
        .detail("Cannot create a primary key or unique constraint using such an index."))
}
