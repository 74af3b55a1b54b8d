//! ALTER VIEW, and ALTER TABLE of a view, which is the same.

use datafusion::sql::sqlparser::ast::{GroupByExpr, Ident, SelectItem, SetExpr};

use crate::catalog::{Column, DefaultExpr, Edit, Object, StoredQuery, View};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl_words::is_null_of;
use crate::sql::dialect::{parse_expression, parse_query};
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::statement::{AlterAction, AlterTable};
use crate::sql::storage_parameters;
use crate::sql::system::quote_ident;

impl Session {
    pub(super) async fn alter_view(&mut self, view: &View, alter: &AlterTable) -> Result<Response> {
        let mut altered = view.clone();
        for action in &alter.actions {
            match action {
                AlterAction::OwnerTo(owner) => self.check_owner(owner)?,
                AlterAction::RenameColumn { name, to } => self.rename_view_column(&mut altered, name, to)?,
                AlterAction::SetDefault { column, default } => {
                    self.set_view_default(&mut altered, column, default.as_deref())?;
                }
                AlterAction::StorageParameters(changes) => {
                    storage_parameters::change(&mut altered.options, changes);
                }
                AlterAction::RenameConstraint { name, .. } => {
                    let message = format!("constraint \"{name}\" for table \"{}\" does not exist", view.name);
                    return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
                }
                other => return Err(not_performed(title(other), &view.name, "views")),
            }
        }
        if altered != *view {
            self.edit(vec![Edit::Put(Object::View(altered))]).await?;
        }
        Ok(done(alter.kind.alter_command()))
    }

    fn rename_view_column(&self, view: &mut View, name: &str, to: &str) -> Result<()> {
        let Some(position) = view.columns.iter().position(|column| column.name == name) else {
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist")));
        };
        if view.columns.iter().any(|column| column.name == to) {
            let message = format!("column \"{to}\" of relation \"{}\" already exists", view.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        self.refuse_read(view.oid, None, "renaming a column")?;
        view.query = self.with_column_named(&view.query, position, to)?;
        view.columns[position].name = to.to_owned();
        Ok(())
    }

    fn set_view_default(&self, view: &mut View, name: &str, default: Option<&str>) -> Result<()> {
        let Some(position) = view.columns.iter().position(|column| column.name == name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", view.name);
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        };
        let number = position as u16 + 1; // A table has 1,600 columns at most, and so has a view.
        view.defaults.retain(|(known, _)| *known != number);
        let Some(sql) = default else { return Ok(()) };
        // NULL is no default, as in a table: the table's own is one.
        if is_null_of(&parse_expression(sql)?, &view.columns[position].ty) {
            return Ok(());
        }
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        let column = Column::new(number, name, view.columns[position].ty.clone());
        DefaultValue::compile(sql, &column, &context, &self.shared)?;
        view.defaults.push((number, DefaultExpr { sql: sql.to_owned() }));
        view.defaults.sort_by_key(|(number, _)| *number);
        Ok(())
    }

    /// A stored query whose column at a position has another name: what it is shown and dumped as. 0A000 where that is not
    /// certain to be the same query.
    pub(super) fn with_column_named(
        &self,
        query: &StoredQuery,
        position: usize,
        to: &str,
    ) -> Result<StoredQuery> {
        let refused = || Error::unsupported("renaming a column of a view over this form of query");
        let mut parsed = parse_query(&query.sql)?;
        // Where columns are sorted, grouped or told apart by names, another name may mean another column.
        let is_sorted = parsed.order_by.is_some();
        let SetExpr::Select(select) = parsed.body.as_mut() else { return Err(refused()) };
        let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if is_sorted || is_grouped || select.distinct.is_some() {
            return Err(refused());
        }
        let Some(item @ (SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })) =
            select.projection.get_mut(position)
        else {
            return Err(refused());
        };
        let (SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)) = item.clone() else {
            return Err(refused());
        };
        let alias = if quote_ident(to) == to { Ident::new(to) } else { Ident::with_quote('"', to) };
        *item = SelectItem::ExprWithAlias { expr, alias };
        let catalog = self.shared.current_catalog();
        let sql = parsed.to_string();
        self.stored_query(&catalog, &parsed)?;
        Ok(StoredQuery { sql, uses: query.uses.clone() })
    }
}

/// 42809 for what ALTER TABLE does to tables alone.
pub(super) fn not_performed(action: &str, relation: &str, kinds: &str) -> Error {
    let message = format!("ALTER action {action} cannot be performed on relation \"{relation}\"");
    Error::new(SqlState::WRONG_OBJECT_TYPE, message)
        .detail(format!("This operation is not supported for {kinds}."))
}

/// What a materialized view refuses: its rows are a query's.
pub(super) fn not_of_rows(action: &AlterAction) -> Option<&'static str> {
    match action {
        AlterAction::OwnerTo(_)
        | AlterAction::RenameColumn { .. }
        | AlterAction::RenameConstraint { .. }
        | AlterAction::StorageParameters(_)
        | AlterAction::ColumnHint { .. }
        | AlterAction::ClusterOn(_) => None,
        other => Some(title(other)),
    }
}

/// An action as PostgreSQL calls it.
fn title(action: &AlterAction) -> &'static str {
    use crate::sql::hint_words::ColumnHint;
    match action {
        AlterAction::StorageParameters(_) => "SET",
        AlterAction::AddConstraint { .. } => "ADD CONSTRAINT",
        AlterAction::ValidateConstraint(_) => "VALIDATE CONSTRAINT",
        AlterAction::AlterConstraint { .. } => "ALTER CONSTRAINT",
        AlterAction::DropConstraint { .. } => "DROP CONSTRAINT",
        AlterAction::AddColumn { .. } => "ADD COLUMN",
        AlterAction::DropColumn { .. } => "DROP COLUMN",
        AlterAction::RenameColumn { .. } => "RENAME COLUMN",
        AlterAction::RenameConstraint { .. } => "RENAME CONSTRAINT",
        AlterAction::SetDefault { .. } => "ALTER COLUMN ... SET DEFAULT",
        AlterAction::SetNotNull { not_null: true, .. } => "ALTER COLUMN ... SET NOT NULL",
        AlterAction::SetNotNull { .. } => "ALTER COLUMN ... DROP NOT NULL",
        AlterAction::AddIdentity { .. } => "ALTER COLUMN ... ADD IDENTITY",
        AlterAction::SetIdentity { .. } => "ALTER COLUMN ... SET",
        AlterAction::DropIdentity { .. } => "ALTER COLUMN ... DROP IDENTITY",
        AlterAction::SetExpression { .. } => "ALTER COLUMN ... SET EXPRESSION",
        AlterAction::DropExpression { .. } => "ALTER COLUMN ... DROP EXPRESSION",
        AlterAction::SetType { .. } => "ALTER COLUMN ... SET DATA TYPE",
        AlterAction::OwnerTo(_) => "OWNER TO",
        AlterAction::Partition(_) => "ATTACH PARTITION",
        AlterAction::ColumnHint { hint, .. } => match hint {
            ColumnHint::Storage(_) => "ALTER COLUMN ... SET STORAGE",
            ColumnHint::Compression(_) => "ALTER COLUMN ... SET COMPRESSION",
            ColumnHint::Statistics(_) => "ALTER COLUMN ... SET STATISTICS",
            ColumnHint::Options(_) => "ALTER COLUMN ... SET",
        },
        AlterAction::ClusterOn(Some(_)) => "CLUSTER ON",
        AlterAction::ClusterOn(None) => "SET WITHOUT CLUSTER",
        AlterAction::ReplicaIdentity(_) => "REPLICA IDENTITY",
        AlterAction::Logged(true) => "SET LOGGED",
        AlterAction::Logged(false) => "SET UNLOGGED",
    }
}
