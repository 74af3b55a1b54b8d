//! What tables have beside their own columns: the slot, by which UPDATE and DELETE name rows, and `ctid`, which is the same
//! for everybody (PostgreSQL's documentation, "System Columns").
//!
//! A table of FROM has them where it is marked: its name then begins with a part that no statement can contain.
//!
//! ```text
//!   DELETE FROM t USING s ...       ─▶  ... FROM <slot>.public.t AS t, s ...
//!   SELECT ctid, * FROM t           ─▶  SELECT ctid, t.* EXCLUDE (slot, ctid) FROM <ctid>.public.t AS t
//!   SELECT * FROM t, q ...          ─▶  SELECT t.* EXCLUDE (slot, ctid), q.* FROM <ctid>.public.t AS t, q ...
//! ```
//!
//! When a query names `ctid` anywhere, all of its tables are marked, for each has one, whichever is meant. `*` is written
//! out, since system columns are no part of it. What a query cannot be told to be a table beforehand (a name that a WITH
//! query around has too) is not marked; its `ctid` is refused.
//!
//! `tableoid` is an expression (`known.rs`), `xmax` is there in RETURNING of INSERT (`dml/insert.rs`). The others are
//! refused by name.

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, JoinConstraint, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, Visit, Visitor,
    WildcardAdditionalOptions,
};

use crate::catalog::Table;
use crate::error::{Error, Result, SqlState};
use crate::sql::known::{Known, factors, factors_mut, qualifier, quoted};
use crate::sql::rewrite::folded;
use crate::sql::trees::alias_of;
use crate::sql::using::constraint_of;
use crate::sql::visit;
use crate::table::provider::{CTID_COLUMN, SLOT_COLUMN, SystemColumns};

/// The first parts of marked names: [`MARK`](crate::types::arrow::errors::MARK), which no text of a statement has, and more.
const SLOT_MARK: &str = "\0slot";
const CTID_MARK: &str = "\0ctid";

/// Names that PostgreSQL's tables have for themselves.
pub const NAMES: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", CTID_COLUMN];

/// Gives a table of FROM these columns behind its own.
pub fn mark(factor: &mut TableFactor, table: &Table, system: SystemColumns) {
    let TableFactor::Table { name, alias, .. } = factor else { return };
    let mark = match system {
        SystemColumns::None => return,
        SystemColumns::Slot => SLOT_MARK,
        SystemColumns::Ctid => CTID_MARK,
    };
    // Others may name it with its schema, if it was so named here; an alias would hide that.
    if name.0.len() == 1 && alias.is_none() {
        let called = quoted(&table.name);
        *alias = Some(alias_of(called));
    }
    // As it is written, which is how others name it: `pg_temp` is a schema of another name.
    let written = name.0.iter().rev().nth(1).and_then(|schema| schema.as_ident());
    let schema = written.cloned().unwrap_or_else(|| quoted(&table.schema));
    *name = ObjectName::from(vec![quoted(mark), schema, quoted(&table.name)]);
}

/// What a name that the planner looks for says of system columns.
pub fn of_reference(name: &TableReference) -> SystemColumns {
    name.catalog().map_or(SystemColumns::None, of_mark)
}

/// The same of a name in the tree.
fn of_name(name: &ObjectName) -> SystemColumns {
    match name.0.as_slice() {
        [mark, _, _] => mark.as_ident().map_or(SystemColumns::None, |mark| of_mark(&mark.value)),
        _ => SystemColumns::None,
    }
}

fn of_mark(mark: &str) -> SystemColumns {
    match mark {
        SLOT_MARK => SystemColumns::Slot,
        CTID_MARK => SystemColumns::Ctid,
        _ => SystemColumns::None,
    }
}

/// The name of a relation without its mark.
pub fn unmarked(name: &ObjectName) -> ObjectName {
    match of_name(name) {
        SystemColumns::None => name.clone(),
        _ => ObjectName(name.0[1..].to_vec()),
    }
}

/// The name of a table that has no alias, but for one that [`mark`] gave it.
pub fn named_by_itself(factor: &TableFactor) -> Option<&ObjectName> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let is_marked = of_name(name) != SystemColumns::None;
    let own = |alias: &TableAlias| is_marked && name.0.last().and_then(|p| p.as_ident()) == Some(&alias.name);
    alias.as_ref().is_none_or(own).then_some(name)
}

/// The columns that a name gives a table behind its own.
pub fn behind(name: &ObjectName) -> &'static [&'static str] {
    match of_name(name) {
        SystemColumns::None => &[],
        SystemColumns::Slot => &[SLOT_COLUMN],
        SystemColumns::Ctid => &[SLOT_COLUMN, CTID_COLUMN],
    }
}

/// Whether a query names `ctid` anywhere.
pub fn names_ctid(query: &Query) -> bool {
    let named = visit::expressions(query, |expr| match last_part(expr) {
        Some(name) if folded(name) == CTID_COLUMN => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    named.is_break()
}

fn last_part(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}

/// The conditions of all joins, those in brackets too.
fn constraints(from: &mut [TableWithJoins]) -> Vec<&mut JoinConstraint> {
    let mut all = Vec::new();
    for item in from {
        if let TableFactor::NestedJoin { table_with_joins, .. } = &mut item.relation {
            all.extend(constraints(std::slice::from_mut(table_with_joins)));
        }
        for join in &mut item.joins {
            if let TableFactor::NestedJoin { table_with_joins, .. } = &mut join.relation {
                all.extend(constraints(std::slice::from_mut(table_with_joins)));
            }
            all.extend(constraint_of(&mut join.join_operator));
        }
    }
    all
}

/// Gives the tables of a select `ctid`, and writes out each `*` that would show it. `hidden` are the names of WITH.
pub fn expose(select: &mut Select, known: &Known, hidden: &[String]) {
    // What is left of these merges columns that nobody here knows.
    let is_bare = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
    let merges = |constraint: &JoinConstraint| match constraint {
        JoinConstraint::Natural => true,
        JoinConstraint::Using(_) => is_bare,
        JoinConstraint::On(_) | JoinConstraint::None => false,
    };
    if constraints(&mut select.from).into_iter().any(|constraint| merges(constraint))
        || !write_out(select, known, hidden)
    {
        return;
    }
    for factor in factors_mut(&mut select.from) {
        if let Some(table) = table_of(factor, known, hidden) {
            mark(factor, table, SystemColumns::Ctid);
        }
    }
}

/// The table that an item of FROM is, if it can have `ctid`.
fn table_of<'a>(factor: &TableFactor, known: &Known<'a>, hidden: &[String]) -> Option<&'a Table> {
    let TableFactor::Table { name, alias, args: None, sample: None, .. } = factor else { return None };
    let table = known.base_table(name, hidden)?;
    let mut given = alias.iter().flat_map(|alias| &alias.columns);
    let is_given = given.any(|column| folded(&column.name) == CTID_COLUMN);
    // Older versions let a column be renamed to it.
    (!is_given && table.column(CTID_COLUMN).is_none()).then_some(table)
}

/// Writes out each `*`; whether all could be.
fn write_out(select: &mut Select, known: &Known, hidden: &[String]) -> bool {
    let mut written = Vec::with_capacity(select.projection.len());
    for item in &select.projection {
        match item {
            SelectItem::Wildcard(options) if *options == Default::default() => {
                for factor in factors(&select.from) {
                    match columns_of(factor, options, known, hidden) {
                        Some(columns) => written.push(columns),
                        None => return false,
                    }
                }
            }
            SelectItem::Wildcard(_) => return false,
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let named: Option<Vec<String>> =
                    name.0.iter().map(|part| part.as_ident().map(folded)).collect();
                let is_it = |factor: &&TableFactor| {
                    qualifier(factor).map(|parts| parts.iter().map(folded).collect()) == named
                };
                match factors(&select.from).into_iter().find(is_it) {
                    Some(factor) => match columns_of(factor, options, known, hidden) {
                        Some(columns) => written.push(columns),
                        None => return false,
                    },
                    None => written.push(item.clone()),
                }
            }
            _ => written.push(item.clone()),
        }
    }
    select.projection = written;
    true
}

/// The columns of an item of FROM under its name; `None` if it has none, or for options that are not known.
fn columns_of(
    factor: &TableFactor,
    options: &WildcardAdditionalOptions,
    known: &Known,
    hidden: &[String],
) -> Option<SelectItem> {
    let mut relation = qualifier(factor)?;
    let mut options = options.clone();
    if table_of(factor, known, hidden).is_some() {
        options = without_system(&options)?;
        // The planner wants the name as it will be, see [`mark`].
        if let [.., schema, table] = relation.as_slice() {
            relation = vec![quoted(CTID_MARK), schema.clone(), table.clone()];
        }
    }
    let name = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(relation));
    Some(SelectItem::QualifiedWildcard(name, options))
}

/// `t.* EXCLUDE (slot, ctid)`; `None` where the wildcard has other options than EXCLUDE.
fn without_system(options: &WildcardAdditionalOptions) -> Option<WildcardAdditionalOptions> {
    let mut names = match &options.opt_exclude {
        None => Vec::new(),
        Some(ExcludeSelectItem::Single(name)) => vec![name.clone()],
        Some(ExcludeSelectItem::Multiple(names)) => names.clone(),
    };
    let others = WildcardAdditionalOptions { opt_exclude: None, ..options.clone() };
    if others != WildcardAdditionalOptions::default() {
        return None;
    }
    names.extend([SLOT_COLUMN, CTID_COLUMN].map(|name| ObjectName::from(quoted(name))));
    Some(WildcardAdditionalOptions { opt_exclude: Some(ExcludeSelectItem::Multiple(names)), ..others })
}

/// 42701 for a column that would be called as one of these.
pub fn refuse_name(column: &str) -> Result<()> {
    if NAMES.contains(&column) {
        let message = format!("column name \"{column}\" conflicts with a system column name");
        return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
    }
    Ok(())
}

/// What is said where a query finds no column of this name that a table in it has: 0A000 instead of 42703.
pub fn refused(error: Error, query: &Query, known: &Known) -> Error {
    let Some((relation, column)) = missed(&error) else { return error };
    let mut meant = Meant { relation, column, known, around: Vec::new() };
    match visit::walk(query, &mut meant) {
        ControlFlow::Break(()) => unsupported(column),
        ControlFlow::Continue(()) => error,
    }
}

/// Looks for a select that names a column, with a table that has it as a system column in it or around it.
struct Meant<'a> {
    relation: Option<String>,
    column: &'static str,
    known: &'a Known<'a>,
    /// Whether there is such a table, of the selects around.
    around: Vec<bool>,
}

impl Meant<'_> {
    fn has_it(&self, factor: &TableFactor) -> bool {
        let TableFactor::Table { name, args: None, .. } = factor else { return false };
        let called = || qualifier(factor).and_then(|parts| parts.last().map(folded));
        self.known.base_table(name, &[]).is_some() && (self.relation.is_none() || called() == self.relation)
    }

    fn is_named(&self, tree: &impl Visit) -> bool {
        let named = visit::own_expressions(tree, |expr| match last_part(expr) {
            Some(name) if folded(name) == self.column => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        named.is_break()
    }
}

impl Visitor for Meant<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let (Some(order), SetExpr::Select(select)) = (&query.order_by, query.body.as_ref()) else {
            return ControlFlow::Continue(());
        };
        let has_it = factors(&select.from).into_iter().any(|factor| self.has_it(factor));
        if has_it && self.is_named(order) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.around.push(factors(&select.from).into_iter().any(|factor| self.has_it(factor)));
        match self.around.contains(&true) && self.is_named(select) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn post_visit_select(&mut self, _select: &Select) -> ControlFlow<()> {
        self.around.pop();
        ControlFlow::Continue(())
    }
}

/// The same over rows of tables, which all have system columns.
pub fn refused_here(error: Error) -> Error {
    match missed(&error) {
        Some((_, column)) => unsupported(column),
        None => error,
    }
}

fn unsupported(column: &str) -> Error {
    Error::unsupported(format!("the system column {column} here"))
}

/// The system column that an error finds no such column of, and the relation that it names.
fn missed(error: &Error) -> Option<(Option<String>, &'static str)> {
    if error.state() != SqlState::UNDEFINED_COLUMN {
        return None;
    }
    let named = error.message().strip_prefix("column ")?.strip_suffix(" does not exist")?;
    let parts: Vec<&str> = named.split('.').map(|part| part.trim_matches('"')).collect();
    let (name, relation) = parts.split_last()?;
    let column = NAMES.into_iter().find(|column| column == name)?;
    Some((relation.last().map(|relation| (*relation).to_owned()), column))
}
