//! INSERT, UPDATE and DELETE through a view of one table.
//!
//! UPDATE and DELETE are queries for slots, so that the view's own query stands in FROM, with the slot beside its columns,
//! and names mean what they mean in any query. What is written is the table:
//!
//! ```text
//!   CREATE VIEW cheap AS SELECT id, price AS cost, price * 2 AS double FROM items WHERE price < 10
//!
//!   UPDATE cheap SET cost = cost + 1 WHERE double > 6 RETURNING double
//!     rows       SELECT cost + 1, cheap.slot
//!                FROM (SELECT id, price AS cost, price * 2 AS double, slot FROM items WHERE price < 10) AS cheap
//!                WHERE double > 6
//!     written    items.price
//!     returned   cheap.price * 2, over the row of items that was written
//! ```
//!
//! A view of a view is taken apart twice. Which views can be changed, and which of their columns, is PostgreSQL's:
//! <https://www.postgresql.org/docs/17/sql-createview.html#SQL-CREATEVIEW-UPDATABLE-VIEWS>.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    self, Assignment, AssignmentTarget, ConflictTarget, Expr, Ident, ObjectName, OnConflictAction, OnInsert,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias,
    TableAliasWithoutColumns, TableFactor, TableObject, TableWithJoins,
};

use crate::catalog::{Catalog, DefaultExpr, Relation, Table, View};
use crate::error::{Error, Result, SqlState};
use crate::sql::aggregates;
use crate::sql::conflict_target;
use crate::sql::context::PlanContext;
use crate::sql::dialect::{parse_expression, parse_query};
use crate::sql::dml::cells::is_default;
use crate::sql::dml::change::all_of;
use crate::sql::known::quoted;
use crate::sql::query;
use crate::sql::rewrite::has_subquery;
use crate::sql::set_functions;
use crate::sql::shared::Shared;
use crate::sql::system_columns;
use crate::sql::trees;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};
use crate::table::provider::{SLOT_COLUMN, SystemColumns};

/// The statement on the table, if it is on a view.
pub fn insert(
    insert: &ast::Insert,
    context: &PlanContext,
    shared: &Shared,
) -> Result<Option<(ast::Insert, Defaults)>> {
    let TableObject::TableName(name) = &insert.table else { return Ok(None) };
    let Some(view) = shared.view(context.catalog, &object_name(name)) else { return Ok(None) };
    let opened = Opened::of(&view, Changing::Insert, context.catalog)?;
    let alias = insert.table_alias.as_ref().map_or_else(|| quoted(&view.name), |alias| alias.alias.clone());
    let mut insert = insert.clone();
    insert.columns = opened.inserted(&insert, context)?;
    let table = &opened.table;
    insert.table = TableObject::TableName(ObjectName::from(vec![quoted(&table.schema), quoted(&table.name)]));
    if let Some(OnInsert::OnConflict(clause)) = &mut insert.on {
        if let Some(ConflictTarget::Columns(names)) = &mut clause.conflict_target {
            for name in names {
                if conflict_target::unwrap(name)?.is_some() {
                    return Err(Error::unsupported("ON CONFLICT of an expression through a view"));
                }
                *name = opened.base_name(name)?;
            }
        }
        if let OnConflictAction::DoUpdate(update) = &mut clause.action {
            opened.name_targets(&mut update.assignments)?;
            for assignment in &mut update.assignments {
                opened.over_table(&mut assignment.value, &alias, &[])?;
            }
            if let Some(condition) = &mut update.selection {
                opened.over_table(condition, &alias, &[])?;
            }
        }
    }
    if let Some(items) = &mut insert.returning {
        *items = opened.returned(items, &alias, &[])?;
    }
    insert.table_alias = Some(TableAliasWithoutColumns { explicit: true, alias });
    Ok(Some((insert, opened.defaults())))
}

/// What a view gives columns of its table (by position) instead of their defaults.
pub type Defaults = Vec<(usize, DefaultExpr)>;

/// Per column of a view whether it can be set through the view; nothing for views whose rows cannot be changed.
pub fn changeable_columns(view: &View, catalog: &Catalog) -> Option<Vec<bool>> {
    let opened = Opened::of(view, Changing::Update, catalog).ok()?;
    let columns: Vec<bool> = opened.columns.iter().map(|column| column.base.is_some()).collect();
    columns.contains(&true).then_some(columns)
}

/// What a statement does to the rows of a view.
#[derive(Clone, Copy)]
pub enum Changing {
    Insert,
    Update,
    Delete,
}

/// A view of one table.
pub struct Opened {
    name: String,
    change: Changing,
    pub table: Arc<Table>,
    /// The view's query, with the slot as the last column.
    rows: Box<Query>,
    columns: Vec<OpenedColumn>,
}

struct OpenedColumn {
    name: String,
    /// Over the table's columns by their bare names; nothing where a subquery is in it.
    expr: Option<Expr>,
    /// The position of the table's column that it is.
    base: Option<usize>,
    /// Of the view, or of one that it reads.
    default: Option<DefaultExpr>,
}

impl Opened {
    /// 55000 for views that are more than some rows and columns of one relation.
    pub fn of(view: &View, change: Changing, catalog: &Catalog) -> Result<Opened> {
        let refused = |why: &str| Err(not_changeable(&view.name, change, why));
        let mut rows = parse_query(&view.query.sql)?;
        if let Err(why) = simple(&rows) {
            return refused(why);
        }
        rows.order_by = None;
        let SetExpr::Select(select) = rows.body.as_mut() else { return refused(NOT_ONE) };
        let [TableWithJoins { relation, joins }] = select.from.as_mut_slice() else {
            return refused(NOT_ONE);
        };
        let TableFactor::Table { name, alias, args: None, sample: None, .. } = &*relation else {
            return refused(NOT_ONE);
        };
        if !joins.is_empty() {
            return refused(NOT_ONE);
        }
        let base = object_name(name);
        let own = alias.as_ref().map_or_else(|| quoted(&base.name), |alias| alias.name.clone());
        if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty())
            || select.projection.len() != view.columns.len()
        {
            return Err(Error::unsupported(format!("changing rows through the view \"{}\"", view.name)));
        }
        let found = base.schema.as_deref().and_then(|schema| catalog.relation(schema, &base.name));
        let (table, below) = match found {
            Some(Relation::Table(table) | Relation::Partition(table)) => {
                system_columns::mark(relation, &table, SystemColumns::Slot);
                let column = |(base, column): (usize, &crate::catalog::Column)| OpenedColumn {
                    name: column.name.clone(),
                    expr: Some(Expr::Identifier(quoted(&column.name))),
                    base: Some(base),
                    default: None,
                };
                let columns = table.columns.iter().enumerate().map(column).collect();
                (table, columns)
            }
            Some(Relation::View(inner)) => {
                let inner = Opened::of(&inner, change, catalog)?;
                *relation = derived(inner.rows, own.clone());
                (inner.table, inner.columns)
            }
            _ => return refused(NOT_ONE),
        };
        if table.materialized.is_some() {
            let message = format!("cannot change materialized view \"{}\"", table.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        let mut columns = Vec::with_capacity(view.columns.len());
        for (place, (item, column)) in select.projection.iter_mut().zip(&view.columns).enumerate() {
            let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
                return Err(Error::internal("a view's list has a wildcard"));
            };
            let known = column_named(expr, &below, &own);
            columns.push(OpenedColumn {
                name: column.name.clone(),
                expr: resolved(expr, &below, &own),
                base: known.and_then(|known| known.base),
                default: own_default(view, place).or_else(|| known?.default.clone()),
            });
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&column.name) };
        }
        let slot = Expr::CompoundIdentifier(vec![own, Ident::new(SLOT_COLUMN)]);
        select.projection.push(SelectItem::ExprWithAlias { expr: slot, alias: Ident::new(SLOT_COLUMN) });
        Ok(Opened { name: view.name.clone(), change, table, rows, columns })
    }

    fn defaults(&self) -> Defaults {
        self.columns.iter().filter_map(|column| Some((column.base?, column.default.clone()?))).collect()
    }

    /// The view in FROM, with the slots of its rows.
    pub fn rows_as(&self, alias: &str) -> TableWithJoins {
        TableWithJoins { relation: derived(self.rows.clone(), quoted(alias)), joins: Vec::new() }
    }

    /// The columns that are filled: those that are listed, or as many as the rows have.
    fn inserted(&self, insert: &ast::Insert, context: &PlanContext) -> Result<Vec<ObjectName>> {
        if insert.columns.iter().any(|column| column.0.len() > 1) {
            return Err(Error::unsupported("INSERT into a field of a column"));
        }
        let all: Vec<Ident> = match (&insert.source, insert.columns.is_empty()) {
            (_, false) => insert.columns.iter().map(|column| quoted(&object_name(column).name)).collect(),
            (None, true) => return Ok(Vec::new()),
            (Some(source), true) => {
                let width = match source.body.as_ref() {
                    SetExpr::Values(values) => values.rows.first().map_or(0, |row| row.len()),
                    _ => query::plan(source, context)?.columns.len(),
                };
                if width > self.columns.len() {
                    let message = "INSERT has more expressions than target columns";
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                self.columns[..width].iter().map(|column| quoted(&column.name)).collect()
            }
        };
        all.iter().map(|column| Ok(ObjectName::from(self.base_name(column)?))).collect()
    }

    /// The table's column behind one of the view's; 0A000 for one that is computed.
    fn base_name(&self, column: &Ident) -> Result<Ident> {
        let name = fold(column);
        let Some(column) = self.columns.iter().find(|column| column.name == name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", self.name);
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        };
        match column.base {
            Some(base) => Ok(quoted(&self.table.columns[base].name)),
            None => {
                let what = match self.change {
                    Changing::Insert => "insert into",
                    _ => "update",
                };
                let message = format!("cannot {what} column \"{name}\" of view \"{}\"", self.name);
                let detail = "View columns that are not columns of their base relation are not updatable.";
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail))
            }
        }
    }

    /// What is assigned to, by the table's names. DEFAULT is the view's, and not the table's.
    pub fn name_targets(&self, assignments: &mut [Assignment]) -> Result<()> {
        for assignment in assignments {
            let mut default = None;
            let names = match &mut assignment.target {
                AssignmentTarget::ColumnName(name) => std::slice::from_mut(name),
                AssignmentTarget::Tuple(names) => names.as_mut_slice(),
            };
            for name in names {
                // Behind the column may stand what element is meant.
                if let Some(column) = name.0.first().and_then(|part| part.as_ident()) {
                    default = self.columns.iter().find(|known| known.name == fold(column));
                    name.0[0] = ast::ObjectNamePart::Identifier(self.base_name(column)?);
                }
            }
            if is_default(&assignment.value) {
                assignment.value = match default.and_then(|column| column.default.as_ref()) {
                    Some(default) => parse_expression(&default.sql)?,
                    None => Expr::value(ast::Value::Null),
                };
            }
        }
        Ok(())
    }

    /// RETURNING over the table's row, and over columns of `others`, by relation and name.
    pub fn returned(
        &self,
        items: &[SelectItem],
        alias: &Ident,
        others: &[(Option<String>, String)],
    ) -> Result<Vec<SelectItem>> {
        let mut shown = Vec::with_capacity(items.len());
        let own = |shown: &mut Vec<SelectItem>| -> Result<()> {
            for column in &self.columns {
                let mut expr = Expr::Identifier(quoted(&column.name));
                self.over_table(&mut expr, alias, &[])?;
                shown.push(SelectItem::ExprWithAlias { expr, alias: quoted(&column.name) });
            }
            Ok(())
        };
        for item in items {
            match item {
                SelectItem::Wildcard(_) => {
                    own(&mut shown)?;
                    let mut relations: Vec<&String> =
                        others.iter().filter_map(|(relation, _)| relation.as_ref()).collect();
                    relations.dedup();
                    shown.extend(relations.into_iter().map(|relation| all_of(relation)));
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _)
                    if object_name(name).name == fold(alias) =>
                {
                    own(&mut shown)?;
                }
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    let named = match item {
                        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
                        _ => match expr {
                            Expr::Identifier(name) => Some(name.clone()),
                            Expr::CompoundIdentifier(parts) => parts.last().cloned(),
                            _ => None,
                        },
                    };
                    let mut expr = expr.clone();
                    self.over_table(&mut expr, alias, others)?;
                    shown.push(match named {
                        Some(alias) => SelectItem::ExprWithAlias { expr, alias },
                        None => SelectItem::UnnamedExpr(expr),
                    });
                }
                other => shown.push(other.clone()),
            }
        }
        Ok(shown)
    }

    /// An expression over the view's row, and over columns of `others`, as one over the table's row, which is called
    /// `alias`. Names in subqueries have meanings of their own: 0A000.
    fn over_table(&self, expr: &mut Expr, alias: &Ident, others: &[(Option<String>, String)]) -> Result<()> {
        if has_subquery(expr) {
            return Err(Error::unsupported("a subquery in this place of a change through a view"));
        }
        let mut refused = None;
        let _ = visit::expressions_mut(expr, |part| match self.meant(part, alias, others) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(meant)) => {
                *part = meant;
                ControlFlow::Continue(())
            }
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        });
        refused.map_or(Ok(()), Err)
    }

    /// What a name stands for; nothing for what is not of the view.
    fn meant(&self, part: &Expr, alias: &Ident, others: &[(Option<String>, String)]) -> Result<Option<Expr>> {
        let undefined = |shown: String| {
            Err(Error::new(SqlState::UNDEFINED_COLUMN, format!("column {shown} does not exist")))
        };
        let (name, relation) = match part {
            Expr::Identifier(name) => (fold(name), None),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, name] => (fold(name), Some(relation)),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let is_own = relation.is_none_or(|relation| fold(relation) == fold(alias));
        if !is_own && relation.is_none_or(|relation| fold(relation) != "excluded") {
            return Ok(None);
        }
        let column = self.columns.iter().find(|column| column.name == name);
        let elsewhere = relation.is_none() && others.iter().any(|(_, other)| *other == name);
        match (column, relation) {
            (Some(_), None) if elsewhere => {
                let message = format!("column reference \"{name}\" is ambiguous");
                Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message))
            }
            (Some(column), relation) => {
                let Some(expr) = &column.expr else {
                    return Err(Error::unsupported("RETURNING of a view's column that has a subquery"));
                };
                Ok(Some(of_row(expr, relation.unwrap_or(alias))))
            }
            (None, Some(relation)) => undefined(format!("{}.{name}", fold(relation))),
            // The view does not show it.
            (None, None) if !elsewhere && self.table.column(&name).is_some() => {
                undefined(format!("\"{name}\""))
            }
            (None, None) => Ok(None),
        }
    }
}

fn derived(rows: Box<Query>, name: Ident) -> TableFactor {
    let alias = TableAlias { explicit: true, name, columns: Vec::new(), at: None };
    trees::derived(false, *rows, alias)
}

/// The column of the relation below, which is called `own`, that an expression is.
fn column_named<'a>(expr: &Expr, below: &'a [OpenedColumn], own: &Ident) -> Option<&'a OpenedColumn> {
    let name = match expr {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., relation, name] if fold(relation) == fold(own) => name,
            _ => return None,
        },
        _ => return None,
    };
    let name = fold(name);
    below.iter().find(|column| column.name == name)
}

/// An expression over the relation below as one over the table's columns.
fn resolved(expr: &Expr, below: &[OpenedColumn], own: &Ident) -> Option<Expr> {
    if has_subquery(expr) {
        return None;
    }
    let mut resolved = expr.clone();
    let mut complete = true;
    let _ = visit::expressions_mut(&mut resolved, |part| {
        if let Some(column) = column_named(part, below, own) {
            match &column.expr {
                Some(Expr::Identifier(name)) => *part = Expr::Identifier(name.clone()),
                Some(expr) => *part = Expr::Nested(Box::new(expr.clone())),
                None => complete = false,
            }
        }
        ControlFlow::<()>::Continue(())
    });
    complete.then_some(resolved)
}

/// An expression over a table's columns as one over a row under a name.
fn of_row(expr: &Expr, relation: &Ident) -> Expr {
    let mut named = expr.clone();
    let _ = visit::expressions_mut(&mut named, |part| {
        if let Expr::Identifier(name) = part {
            *part = Expr::CompoundIdentifier(vec![relation.clone(), name.clone()]);
        }
        ControlFlow::<()>::Continue(())
    });
    match named {
        Expr::CompoundIdentifier(_) => named,
        named => Expr::Nested(Box::new(named)),
    }
}

fn own_default(view: &View, place: usize) -> Option<DefaultExpr> {
    let own = view.defaults.iter().find(|(number, _)| usize::from(*number) == place + 1);
    own.map(|(_, default)| default.clone())
}

const NOT_ONE: &str = "Views that do not select from a single table or view are not automatically updatable.";

/// The select of a query that is nothing but rows and columns of its FROM, or why it is not.
fn simple(query: &Query) -> std::result::Result<&Select, &'static str> {
    let select = match query.body.as_ref() {
        SetExpr::Select(select) => select,
        SetExpr::SetOperation { .. } => {
            return Err("Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable.");
        }
        _ => return Err(NOT_ONE),
    };
    let groups = match &select.group_by {
        ast::GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        ast::GroupByExpr::All(_) => true,
    };
    let expressions = || {
        select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        })
    };
    let why = if select.distinct.is_some() {
        "Views containing DISTINCT are not automatically updatable."
    } else if groups {
        "Views containing GROUP BY are not automatically updatable."
    } else if select.having.is_some() {
        "Views containing HAVING are not automatically updatable."
    } else if query.with.is_some() {
        "Views containing WITH are not automatically updatable."
    } else if query.limit_clause.is_some() || query.fetch.is_some() {
        "Views containing LIMIT or OFFSET are not automatically updatable."
    } else if expressions().any(aggregates::has_aggregate) {
        "Views that return aggregate functions are not automatically updatable."
    } else if expressions().any(aggregates::has_window) {
        "Views that return window functions are not automatically updatable."
    } else if expressions().any(set_functions::returns_set) {
        "Views that return set-returning functions are not automatically updatable."
    } else {
        return Ok(select);
    };
    Err(why)
}

fn not_changeable(view: &str, change: Changing, why: &str) -> Error {
    let (what, doing, event) = match change {
        Changing::Insert => ("insert into", "inserting into", "INSERT"),
        Changing::Update => ("update", "updating", "UPDATE"),
        Changing::Delete => ("delete from", "deleting from", "DELETE"),
    };
    let hint = format!(
        "To enable {doing} the view, provide an INSTEAD OF {event} trigger or an unconditional ON {event} DO \
         INSTEAD rule."
    );
    Error::new(SqlState("55000"), format!("cannot {what} view \"{view}\"")).detail(why).hint(hint)
}
