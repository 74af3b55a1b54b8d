//! INSERT, UPDATE and DELETE through a view of one table: the statement becomes one on the table.
//!
//! ```text
//!   CREATE VIEW cheap AS SELECT id, price AS cost, price * 2 AS double FROM items WHERE price < 10
//!
//!   UPDATE cheap SET cost = cost + 1 WHERE double > 6 RETURNING *
//!   UPDATE items AS cheap SET price = cheap.price + 1 WHERE (cheap.price * 2) > 6 AND cheap.price < 10
//!     RETURNING cheap.id AS id, cheap.price AS cost, (cheap.price * 2) AS double
//! ```
//!
//! A view of a view is taken apart twice. Which views can be changed, and which of their columns, is PostgreSQL's:
//! <https://www.postgresql.org/docs/17/sql-createview.html#SQL-CREATEVIEW-UPDATABLE-VIEWS>.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    self, Assignment, AssignmentTarget, BinaryOperator, ConflictTarget, Expr, FromTable, Ident, ObjectName,
    OnConflictAction, OnInsert, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableAliasWithoutColumns, TableFactor, TableObject, TableWithJoins, VisitorMut,
};

use crate::catalog::{Catalog, Relation, View};
use crate::error::{Error, Result, SqlState};
use crate::sql::aggregates;
use crate::sql::context::PlanContext;
use crate::sql::dialect::parse_query;
use crate::sql::known::quoted;
use crate::sql::set_functions;
use crate::sql::shared::Shared;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};

/// The statement on what the view is of, if it is on a view.
pub fn insert(insert: &ast::Insert, context: &PlanContext, shared: &Shared) -> Result<Option<ast::Insert>> {
    let TableObject::TableName(name) = &insert.table else { return Ok(None) };
    let Some(view) = shared.view(context.catalog, &object_name("", name)) else { return Ok(None) };
    let alias = insert.table_alias.as_ref().map_or_else(|| quoted(&view.name), |alias| alias.alias.clone());
    let opened = Opened::of(&view, Change::Insert, alias)?.hide(context.catalog);
    let mut insert = insert.clone();
    insert.columns = opened.inserted(&insert)?;
    insert.table = TableObject::TableName(opened.base.clone());
    insert.table_alias = Some(TableAliasWithoutColumns { explicit: true, alias: opened.alias.clone() });
    if let Some(OnInsert::OnConflict(clause)) = &mut insert.on {
        if let Some(ConflictTarget::Columns(names)) = &mut clause.conflict_target {
            for name in names {
                *name = opened.base_column(name)?;
            }
        }
        if let OnConflictAction::DoUpdate(update) = &mut clause.action {
            opened.assign(&mut update.assignments)?;
            opened.substitute(&mut update.selection)?;
        }
    }
    opened.returned(&mut insert.returning)?;
    let again = self::insert(&insert, context, shared)?;
    Ok(Some(again.unwrap_or(insert)))
}

/// The statement on what the view is of, if it is on a view.
pub fn update(update: &ast::Update, context: &PlanContext, shared: &Shared) -> Result<Option<ast::Update>> {
    let Some((view, alias)) = target(&update.table, context, shared) else { return Ok(None) };
    let opened = Opened::of(&view, Change::Update, alias)?;
    let opened = if update.from.is_none() { opened.hide(context.catalog) } else { opened };
    let mut update = update.clone();
    opened.name(&mut update.table);
    opened.assign(&mut update.assignments)?;
    opened.filter(&mut update.selection)?;
    opened.returned(&mut update.returning)?;
    let again = self::update(&update, context, shared)?;
    Ok(Some(again.unwrap_or(update)))
}

/// The statement on what the view is of, if it is on a view.
pub fn delete(delete: &ast::Delete, context: &PlanContext, shared: &Shared) -> Result<Option<ast::Delete>> {
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
    let [table] = tables.as_slice() else { return Ok(None) };
    let Some((view, alias)) = target(table, context, shared) else { return Ok(None) };
    let opened = Opened::of(&view, Change::Delete, alias)?;
    let opened = if delete.using.is_none() { opened.hide(context.catalog) } else { opened };
    let mut delete = delete.clone();
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &mut delete.from;
    tables.iter_mut().for_each(|table| opened.name(table));
    opened.filter(&mut delete.selection)?;
    opened.returned(&mut delete.returning)?;
    let again = self::delete(&delete, context, shared)?;
    Ok(Some(again.unwrap_or(delete)))
}

/// Per column of a view whether it can be set through the view; nothing for views whose rows cannot be changed.
pub fn changeable_columns(view: &View, catalog: &Catalog) -> Option<Vec<bool>> {
    let opened = Opened::of(view, Change::Update, quoted(&view.name)).ok()?;
    let base = object_name("", &opened.base);
    let behind = match catalog.relation(base.schema.as_deref()?, &base.name)? {
        Relation::Table(table) if table.materialized.is_none() => None,
        Relation::Partition(_) => None,
        Relation::View(view) => Some((changeable_columns(&view, catalog)?, view)),
        _ => return None,
    };
    let is_changeable = |(name, _): &(String, Expr)| {
        let Ok(column) = opened.base_column(&quoted(name)) else { return false };
        let Some((columns, view)) = &behind else { return true };
        let place = view.columns.iter().position(|known| known.name == fold(&column));
        place.is_some_and(|place| columns[place])
    };
    let columns: Vec<bool> = opened.columns.iter().map(is_changeable).collect();
    columns.contains(&true).then_some(columns)
}

fn target(table: &TableWithJoins, context: &PlanContext, shared: &Shared) -> Option<(Arc<View>, Ident)> {
    let TableFactor::Table { name, alias, args: None, .. } = &table.relation else { return None };
    let view = shared.view(context.catalog, &object_name("", name))?;
    let alias = alias.as_ref().map_or_else(|| quoted(&view.name), |alias| alias.name.clone());
    Some((view, alias))
}

#[derive(Clone, Copy)]
enum Change {
    Insert,
    Update,
    Delete,
}

/// A view taken apart: its expressions are over what it is of, which is called `alias`.
struct Opened {
    view: String,
    change: Change,
    alias: Ident,
    base: ObjectName,
    /// Names and what they stand for.
    columns: Vec<(String, Expr)>,
    /// Columns of the relation that the view does not show, where a bare name can mean nothing else.
    hidden: Vec<String>,
    condition: Option<Expr>,
}

impl Opened {
    /// 55000 for views that are more than some rows and columns of one relation.
    fn of(view: &View, change: Change, alias: Ident) -> Result<Opened> {
        let query = parse_query(&view.query.sql)?;
        let refused = |why: &str| Err(not_changeable(&view.name, change, why));
        let select = match simple(&query) {
            Ok(select) => select,
            Err(why) => return refused(why),
        };
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else {
            return refused(NOT_ONE);
        };
        let TableFactor::Table { name, alias: inner, args: None, sample: None, .. } = relation else {
            return refused(NOT_ONE);
        };
        if !joins.is_empty() {
            return refused(NOT_ONE);
        }
        let own = inner.as_ref().map_or_else(|| object_name("", name).name, |inner| fold(&inner.name));
        let renamed = inner.as_ref().is_some_and(|inner| !inner.columns.is_empty());
        if renamed || select.projection.len() != view.columns.len() {
            return Err(Error::unsupported(format!("changing rows through the view \"{}\"", view.name)));
        }
        let mut over = Renamer { from: &own, to: &alias, depth: 0 };
        let mut columns = Vec::with_capacity(view.columns.len());
        for (item, column) in select.projection.iter().zip(&view.columns) {
            let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
                return Err(Error::internal("a view's list has a wildcard"));
            };
            let mut expr = expr.clone();
            let _ = visit::walk_mut(&mut expr, &mut over);
            columns.push((column.name.clone(), expr));
        }
        let mut condition = select.selection.clone();
        let _ = visit::walk_mut(&mut condition, &mut over);
        let hidden = Vec::new();
        Ok(Opened { view: view.name.clone(), change, alias, base: name.clone(), columns, hidden, condition })
    }

    /// Knows the columns that the view does not show.
    fn hide(mut self, catalog: &Catalog) -> Opened {
        let base = object_name("", &self.base);
        let relation = base.schema.as_deref().and_then(|schema| catalog.relation(schema, &base.name));
        let names: Vec<String> = match relation {
            Some(Relation::Table(table) | Relation::Partition(table)) => {
                table.columns.iter().map(|column| column.name.clone()).collect()
            }
            Some(Relation::View(view)) => view.columns.iter().map(|column| column.name.clone()).collect(),
            _ => Vec::new(),
        };
        let is_shown = |name: &String| self.columns.iter().any(|(known, _)| known == name);
        self.hidden = names.into_iter().filter(|name| !is_shown(name)).collect();
        self
    }

    /// The columns that are filled: those that are listed, or as many as the rows have.
    fn inserted(&self, insert: &ast::Insert) -> Result<Vec<ObjectName>> {
        if !insert.columns.is_empty() {
            let named =
                insert.columns.iter().map(|column| self.base_column(&quoted(&object_name("", column).name)));
            return named.map(|column| Ok(ObjectName::from(column?))).collect();
        }
        let Some(source) = &insert.source else { return Ok(Vec::new()) };
        let width = match source.body.as_ref() {
            SetExpr::Values(values) => values.rows.first().map(|row| row.len()),
            SetExpr::Select(select) => {
                let is_one = |item: &SelectItem| {
                    matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
                };
                select.projection.iter().all(is_one).then_some(select.projection.len())
            }
            _ => None,
        };
        let width = width.unwrap_or(self.columns.len());
        if width > self.columns.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more expressions than target columns",
            ));
        }
        let named = self.columns[..width].iter().map(|(name, _)| self.base_column(&quoted(name)));
        named.map(|column| Ok(ObjectName::from(column?))).collect()
    }

    /// The column behind one of the view's; 0A000 for one that is computed.
    fn base_column(&self, column: &Ident) -> Result<Ident> {
        let name = fold(column);
        let Some((_, expr)) = self.columns.iter().find(|(known, _)| *known == name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", self.view);
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        };
        match expr {
            Expr::CompoundIdentifier(parts) if parts.len() == 2 && parts[0] == self.alias => {
                Ok(parts[1].clone())
            }
            _ => {
                let what = match self.change {
                    Change::Insert => "insert into",
                    _ => "update",
                };
                let message = format!("cannot {what} column \"{name}\" of view \"{}\"", self.view);
                let detail = "View columns that are not columns of their base relation are not updatable.";
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail))
            }
        }
    }

    /// The target under its new name.
    fn name(&self, target: &mut TableWithJoins) {
        if let TableFactor::Table { name, alias, .. } = &mut target.relation {
            *name = self.base.clone();
            let columns = Vec::new();
            *alias = Some(ast::TableAlias { explicit: true, name: self.alias.clone(), columns, at: None });
        }
    }

    fn assign(&self, assignments: &mut [Assignment]) -> Result<()> {
        for assignment in assignments {
            let names = match &mut assignment.target {
                AssignmentTarget::ColumnName(name) => std::slice::from_mut(name),
                AssignmentTarget::Tuple(names) => names.as_mut_slice(),
            };
            for name in names {
                // Behind the column may stand what element is meant.
                if let Some(column) = name.0.first().and_then(|part| part.as_ident()) {
                    name.0[0] = ast::ObjectNamePart::Identifier(self.base_column(column)?);
                }
            }
            self.substitute(&mut assignment.value)?;
        }
        Ok(())
    }

    /// The statement's condition with the view's.
    fn filter(&self, selection: &mut Option<Expr>) -> Result<()> {
        self.substitute(selection)?;
        let nested = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
        *selection = match (&*selection, &self.condition) {
            (Some(asked), Some(own)) => {
                Some(Expr::BinaryOp { left: nested(own), op: BinaryOperator::And, right: nested(asked) })
            }
            (None, own) => own.clone(),
            (asked, None) => asked.clone(),
        };
        Ok(())
    }

    fn returned(&self, returning: &mut Option<Vec<SelectItem>>) -> Result<()> {
        let Some(items) = returning else { return Ok(()) };
        let mut shown = Vec::with_capacity(items.len());
        for mut item in std::mem::take(items) {
            if self.is_all(&item) {
                shown.extend(self.columns.iter().map(|(name, expr)| SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias: quoted(name),
                }));
                continue;
            }
            if let SelectItem::UnnamedExpr(expr) = &item {
                let name = match expr {
                    Expr::Identifier(name) => Some(name),
                    Expr::CompoundIdentifier(parts) => parts.last(),
                    _ => None,
                };
                if let Some(alias) = name.cloned() {
                    item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
            }
            self.substitute(&mut item)?;
            shown.push(item);
        }
        *returning = Some(shown);
        Ok(())
    }

    /// `*`, or the view's own.
    fn is_all(&self, item: &SelectItem) -> bool {
        match item {
            SelectItem::Wildcard(_) => true,
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                object_name("", name).name == fold(&self.alias)
            }
            _ => false,
        }
    }

    /// The view's columns replaced by what they stand for.
    fn substitute(&self, tree: &mut (impl ast::VisitMut + ?Sized)) -> Result<()> {
        let mut substitution = Substitution { opened: self, depth: 0, refused: None };
        let _ = visit::walk_mut(tree, &mut substitution);
        substitution.refused.map_or(Ok(()), Err)
    }
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

fn not_changeable(view: &str, change: Change, why: &str) -> Error {
    let (what, doing, event) = match change {
        Change::Insert => ("insert into", "inserting into", "INSERT"),
        Change::Update => ("update", "updating", "UPDATE"),
        Change::Delete => ("delete from", "deleting from", "DELETE"),
    };
    let hint = format!(
        "To enable {doing} the view, provide an INSTEAD OF {event} trigger or an unconditional ON {event} DO \
         INSTEAD rule."
    );
    Error::new(SqlState("55000"), format!("cannot {what} view \"{view}\"")).detail(why).hint(hint)
}

/// Columns of a view's relation under the relation's new name.
struct Renamer<'a> {
    from: &'a str,
    to: &'a Ident,
    depth: usize,
}

impl VisitorMut for Renamer<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) if self.depth == 0 => {
                *expr = Expr::CompoundIdentifier(vec![self.to.clone(), name.clone()]);
            }
            Expr::CompoundIdentifier(parts) => {
                if let [.., relation, column] = parts.as_slice()
                    && fold(relation) == self.from
                {
                    *parts = vec![self.to.clone(), column.clone()];
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

struct Substitution<'a> {
    opened: &'a Opened,
    depth: usize,
    refused: Option<Error>,
}

impl Substitution<'_> {
    /// What a column stands for in the row that is called `relation`.
    fn meant(&self, column: &Ident, relation: &Ident) -> Option<Expr> {
        let name = fold(column);
        let (_, expr) = self.opened.columns.iter().find(|(known, _)| *known == name)?;
        let mut expr = expr.clone();
        let alias = fold(&self.opened.alias);
        if fold(relation) != alias {
            let _ = visit::walk_mut(&mut expr, &mut Renamer { from: &alias, to: relation, depth: 0 });
        }
        let is_plain = matches!(expr, Expr::CompoundIdentifier(_));
        Some(if is_plain { expr } else { Expr::Nested(Box::new(expr)) })
    }
}

impl VisitorMut for Substitution<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let alias = &self.opened.alias;
        let meant = match &*expr {
            Expr::Identifier(name) if self.depth == 0 => {
                if self.opened.hidden.contains(&fold(name)) {
                    let message = format!("column \"{}\" does not exist", fold(name));
                    self.refused = Some(Error::new(SqlState::UNDEFINED_COLUMN, message));
                    return ControlFlow::Break(());
                }
                self.meant(name, alias)
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, column] if fold(relation) == fold(alias) || fold(relation) == "excluded" => {
                    let meant = self.meant(column, relation);
                    if meant.is_none() {
                        let message = format!("column {}.{} does not exist", fold(relation), fold(column));
                        self.refused = Some(Error::new(SqlState::UNDEFINED_COLUMN, message));
                        return ControlFlow::Break(());
                    }
                    meant
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(meant) = meant {
            *expr = meant;
        }
        ControlFlow::Continue(())
    }
}
