//! Columns of JOIN ... USING, by their bare names.
//!
//! `a JOIN b USING (id)` has one column `id`: a's, or b's in a right join, or whichever is not NULL in a full one.
//! DataFusion takes the bare name for ambiguous outside of FROM, so it is qualified here:
//!
//! | join           | `id` is              |
//! |----------------|----------------------|
//! | inner, left    | `a.id`               |
//! | right          | `b.id`               |
//! | full           | `coalesce(a.id, b.id)` |
//!
//! `*` shows the merged columns first: `SELECT a.id, a.* EXCLUDE (id), b.* EXCLUDE (id)`.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, ExcludeSelectItem, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator,
    ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    TableWithJoins, VisitMut, WildcardAdditionalOptions,
};

use crate::error::{Error, Result};
use crate::sql::known::{Known, qualified, qualifier, quoted};
use crate::sql::relation_words;
use crate::sql::rewrite::function_call;
use crate::sql::trees::{derived, query_of};
use crate::sql::visit;
use crate::sql::words::{fold, object_name};

/// Qualifies the select's bare names of merged columns, and writes out `*`, which begins with them. NATURAL becomes
/// USING where the columns of both sides are known.
pub fn qualify(select: &mut Select, known: &Known, hidden: &[String]) -> Result<()> {
    let (mut merger, mut shown) = (Merger::new(known, hidden), Vec::new());
    for from in &mut select.from {
        shown.extend(merger.joined(from).shown);
    }
    let Merger { merged, outer, aliased, .. } = merger;
    write_aliased(select, &aliased);
    if merged.is_empty() {
        return refuse_whole(select, outer);
    }
    match shown.iter().map(Part::items).collect::<Option<Vec<_>>>() {
        Some(items) => write_out(&mut select.projection, &items.concat()),
        None => refuse_whole(select, outer)?,
    }
    for item in &mut select.projection {
        let bare = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        };
        write_names(item, &merged);
        if let (Some(alias), SelectItem::UnnamedExpr(expr @ Expr::Function(_))) = (bare, &*item) {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
    write_names(&mut select.selection, &merged);
    write_names(&mut select.having, &merged);
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        write_names(keys, &merged);
    }
    Ok(())
}

/// `(a JOIN b USING (id)) AS x` as `(SELECT * FROM a JOIN b USING (id)) AS x`, with the columns of `*` where they are known.
pub fn open_nested(select: &mut Select, known: &Known, hidden: &[String]) {
    for from in &mut select.from {
        open_in(from, known, hidden);
    }
}

fn open_in(from: &mut TableWithJoins, known: &Known, hidden: &[String]) {
    let joined = from.joins.iter_mut().map(|join| &mut join.relation);
    for factor in std::iter::once(&mut from.relation).chain(joined) {
        let TableFactor::NestedJoin { table_with_joins, alias } = factor else { continue };
        open_in(table_with_joins, known, hidden);
        let Some(alias) = alias.take() else { continue };
        let mut query = query_of(vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())]);
        if let SetExpr::Select(inner) = query.body.as_mut() {
            let joined = Merger::new(known, hidden).joined(&mut table_with_joins.as_ref().clone());
            let is_known = |part: &Part| !matches!(part, Part::Rest { columns: None, .. });
            let items = joined.shown.iter().map(|part| part.items().filter(|_| is_known(part)));
            if let Some(items) = items.collect::<Option<Vec<_>>>() {
                inner.projection = items.concat();
            }
            inner.from = vec![table_with_joins.as_ref().clone()];
        }
        *factor = derived(false, query, alias);
    }
}

/// The aliases of joins: x of `a JOIN b USING (id) AS x`.
pub fn aliases(from: &[TableWithJoins]) -> Vec<String> {
    let mut aliases = Vec::new();
    for join in from.iter().flat_map(|from| &from.joins) {
        if let (_, Some(columns)) = parts(join) {
            aliases.extend(relation_words::alias_of(columns).map(|alias| fold(&alias)));
        }
    }
    aliases
}

/// `ORDER BY x.id` of `a JOIN b USING (id) AS x`, as the merged column's name.
pub fn order_by_merged(query: &mut Query) {
    if query.order_by.is_none() {
        return;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let aliases = aliases(&select.from);
    if aliases.is_empty() {
        return;
    }
    let _ = visit::own_expressions_mut(&mut query.order_by, |expr| {
        if let Expr::CompoundIdentifier(names) = &*expr
            && let [relation, column] = names.as_slice()
            && aliases.contains(&fold(relation))
        {
            *expr = Expr::Identifier(column.clone());
        }
        ControlFlow::<()>::Continue(())
    });
}

/// A merged column under the alias of its join.
struct Aliased {
    alias: String,
    column: String,
    value: Expr,
}

/// Replaces merged columns behind the aliases of their joins, and `x.*`.
fn write_aliased(select: &mut Select, aliased: &[Aliased]) {
    if aliased.is_empty() {
        return;
    }
    let is_of = |aliased: &&Aliased, name: &str| aliased.alias == name;
    let written = std::mem::take(&mut select.projection).into_iter().flat_map(|item| {
        let of = match &item {
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                object_name(name).name
            }
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) if names.len() == 2 => {
                // The column keeps its name, whatever it is computed of.
                let (alias, column) = (fold(&names[0]), fold(&names[1]));
                let found = aliased.iter().find(|known| is_of(known, &alias) && known.column == column);
                return vec![found.map_or(item, Aliased::item)];
            }
            _ => return vec![item],
        };
        let items: Vec<SelectItem> =
            aliased.iter().filter(|known| is_of(known, &of)).map(Aliased::item).collect();
        if items.is_empty() { vec![item] } else { items }
    });
    select.projection = written.collect();
    let _ = visit::expressions_mut(select, |expr| {
        if let Expr::CompoundIdentifier(names) = &*expr
            && let [alias, column] = names.as_slice()
        {
            let (alias, column) = (fold(alias), fold(column));
            let mut found = aliased.iter().filter(|known| is_of(known, &alias) && known.column == column);
            if let Some(known) = found.next() {
                *expr = known.value.clone();
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

impl Aliased {
    fn item(&self) -> SelectItem {
        SelectItem::ExprWithAlias { expr: self.value.clone(), alias: quoted(&self.column) }
    }
}

fn is_whole(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_))
}

fn refuse_whole(select: &Select, outer: bool) -> Result<()> {
    if outer && select.projection.iter().any(is_whole) {
        return Err(Error::unsupported("SELECT * over this RIGHT or FULL JOIN ... USING"));
    }
    Ok(())
}

/// The items in the place of each `*`.
fn write_out(projection: &mut Vec<SelectItem>, items: &[SelectItem]) {
    if projection.iter().any(is_whole) {
        let written = std::mem::take(projection).into_iter().flat_map(|item| match item {
            SelectItem::Wildcard(_) => items.to_vec(),
            item => vec![item],
        });
        *projection = written.collect();
    }
}

/// A part of what `*` stands for.
enum Part {
    /// A merged column, and what it is.
    Merged(String, Option<Box<Expr>>),
    /// The columns of a relation but for these; which they are may not be known.
    Rest { relation: Option<Vec<Ident>>, columns: Option<Vec<String>>, without: Vec<String> },
}

impl Part {
    /// Nobody knows.
    const UNKNOWN: Part = Part::Rest { relation: None, columns: None, without: Vec::new() };

    /// As items of a list; `None` for a relation without a name.
    fn items(&self) -> Option<Vec<SelectItem>> {
        Some(match self {
            Part::Merged(column, value) => vec![match value.as_deref()? {
                expr @ Expr::Function(_) => {
                    SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(column) }
                }
                expr => SelectItem::UnnamedExpr(expr.clone()),
            }],
            Part::Rest { relation, columns: Some(columns), without } => {
                let relation = relation.as_ref()?;
                let shown = columns.iter().filter(|column| !without.contains(column));
                shown.map(|column| SelectItem::UnnamedExpr(qualified(relation, &quoted(column)))).collect()
            }
            Part::Rest { relation, columns: None, without } => {
                let name = ObjectName::from(relation.clone()?);
                let names: Vec<ObjectName> =
                    without.iter().map(|column| ObjectName::from(quoted(column))).collect();
                let options = WildcardAdditionalOptions {
                    opt_exclude: (!names.is_empty()).then_some(ExcludeSelectItem::Multiple(names)),
                    ..WildcardAdditionalOptions::default()
                };
                vec![SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                )]
            }
        })
    }
}

/// A relation's name, and its columns if they are known.
type Named = (Option<Vec<Ident>>, Option<Vec<String>>);

/// A FROM item, or the part of it so far.
struct Joined {
    shown: Vec<Part>,
    relations: Vec<Named>,
}

impl Joined {
    /// The relation that has a column: the only one, or the only one that is known to.
    fn relation_of(&self, column: &str) -> Option<&Vec<Ident>> {
        if let [(relation, _)] = self.relations.as_slice() {
            return relation.as_ref();
        }
        let known = |(_, columns): &&Named| {
            columns.as_ref().is_some_and(|columns| columns.iter().any(|known| known == column))
        };
        let mut found = self.relations.iter().filter(known);
        match (found.next(), found.next()) {
            (Some((relation, _)), None) => relation.as_ref(),
            _ => None,
        }
    }

    /// What a join in this part merged under the name.
    fn merged(&self, column: &str) -> Option<&Expr> {
        self.shown.iter().find_map(|part| match part {
            Part::Merged(merged, value) if merged == column => value.as_deref(),
            _ => None,
        })
    }

    /// `*` without a column that is merged from here on. A column that was merged before is left out already.
    fn leave_out(&mut self, column: &str) {
        let was_merged = |part: &Part| matches!(part, Part::Merged(merged, _) if merged == column);
        if self.shown.iter().any(was_merged) {
            return self.shown.retain(|part| !was_merged(part));
        }
        let of = self.relation_of(column).cloned();
        let is_of = |part: &&mut Part| matches!(part, Part::Rest { relation, .. } if *relation == of);
        match self.shown.iter_mut().find(is_of) {
            Some(Part::Rest { without, .. }) if of.is_some() => without.push(column.to_owned()),
            _ => self.shown.push(Part::UNKNOWN),
        }
    }

    /// The names of all its columns.
    fn names(&self) -> Option<Vec<String>> {
        let all: Option<Vec<&Vec<String>>> =
            self.relations.iter().map(|(_, columns)| columns.as_ref()).collect();
        let mut names: Vec<String> = Vec::new();
        for name in all?.into_iter().flatten() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Some(names)
    }
}

struct Merger<'a> {
    known: &'a Known<'a>,
    hidden: &'a [String],
    /// What the merged columns are.
    merged: HashMap<String, Expr>,
    /// Whether a right or full join is among those that merge.
    outer: bool,
    /// Those of joins that have an alias.
    aliased: Vec<Aliased>,
}

impl<'a> Merger<'a> {
    fn new(known: &'a Known<'a>, hidden: &'a [String]) -> Merger<'a> {
        Merger { known, hidden, merged: HashMap::new(), outer: false, aliased: Vec::new() }
    }

    fn joined(&mut self, from: &mut TableWithJoins) -> Joined {
        let mut left = self.relation(&mut from.relation);
        for join in &mut from.joins {
            let right = self.relation(&mut join.relation);
            left = self.join(left, join, right);
        }
        left
    }

    fn relation(&mut self, factor: &mut TableFactor) -> Joined {
        if let TableFactor::NestedJoin { table_with_joins, alias: None } = factor {
            return self.joined(table_with_joins);
        }
        let relation = qualifier(factor);
        let columns = self.known.columns_of(factor, self.hidden).map(|columns| columns.names);
        Joined {
            shown: vec![Part::Rest {
                relation: relation.clone(),
                columns: columns.clone(),
                without: Vec::new(),
            }],
            relations: vec![(relation, columns)],
        }
    }

    /// `a FULL JOIN b USING (id) JOIN c USING (id)` compares c's column with the merged one, which the planner would take
    /// for a's: `... JOIN c ON coalesce(a.id, b.id) = c.id`.
    fn join(&mut self, mut left: Joined, join: &mut Join, mut right: Joined) -> Joined {
        name_common(join, &left, &right);
        let (alias, is_natural) = match constraint_of(&mut join.join_operator) {
            Some(JoinConstraint::Using(columns)) => (relation_words::take_alias(columns), false),
            constraint => (None, matches!(constraint, Some(JoinConstraint::Natural))),
        };
        let (side, columns) = parts(join);
        self.outer |= matches!(side, Side::Right | Side::Full) && columns.is_some();
        let columns: Vec<Ident> = columns
            .into_iter()
            .flatten()
            .filter_map(|column| column.0.last().and_then(|part| part.as_ident()).cloned())
            .collect();
        let (mut equal, mut values) = (Vec::new(), Vec::new());
        for column in &columns {
            let key = fold(column);
            let of = |side: &Joined| {
                let merged = side.merged(&key).cloned();
                merged.or_else(|| Some(qualified(side.relation_of(&key)?, column)))
            };
            let again = self.outer && (left.merged(&key).is_some() || right.merged(&key).is_some());
            let (ours, theirs) = (of(&left), of(&right));
            equal.push((again, ours.clone(), theirs.clone()));
            let value = match (side, ours, theirs) {
                // Both are the same.
                (Side::Inner, None, theirs) => theirs,
                (Side::Inner | Side::Left, ours, _) => ours,
                (Side::Right, _, theirs) => theirs,
                (Side::Full, Some(ours), Some(theirs)) => Some(function_call("coalesce", vec![ours, theirs])),
                _ => None,
            };
            if let Some(value) = &value {
                self.merged.insert(key.clone(), value.clone());
                self.aliased.extend(alias.as_ref().map(|alias| Aliased {
                    alias: fold(alias),
                    column: key.clone(),
                    value: value.clone(),
                }));
            }
            values.push(value.map(Box::new));
        }
        if equal.iter().any(|(again, _, _)| *again) {
            join_on(join, equal);
        }
        let names: Vec<String> = columns.iter().map(fold).collect();
        for column in &names {
            left.leave_out(column);
            right.leave_out(column);
        }
        if is_natural {
            left.shown.push(Part::UNKNOWN);
        }
        let merged = names.into_iter().zip(values).map(|(name, value)| Part::Merged(name, value));
        let shown = merged.chain(left.shown).chain(right.shown).collect();
        Joined { shown, relations: left.relations.into_iter().chain(right.relations).collect() }
    }
}

/// The join with its columns compared one by one, where both sides of each are known.
fn join_on(join: &mut Join, columns: Vec<(bool, Option<Expr>, Option<Expr>)>) {
    let equal = columns.into_iter().map(|(_, ours, theirs)| {
        let (left, right) = (Box::new(ours?), Box::new(theirs?));
        Some(Expr::BinaryOp { left, op: BinaryOperator::Eq, right })
    });
    let Some(equal) = equal.collect::<Option<Vec<Expr>>>() else { return };
    let all = equal.into_iter().reduce(|left, right| {
        let (left, right) = (Box::new(left), Box::new(right));
        Expr::BinaryOp { left, op: BinaryOperator::And, right }
    });
    if let (Some(all), Some(constraint)) = (all, constraint_of(&mut join.join_operator)) {
        *constraint = JoinConstraint::On(all);
    }
}

/// NATURAL as USING the columns that both sides have.
fn name_common(join: &mut Join, left: &Joined, right: &Joined) {
    let Some(constraint) = constraint_of(&mut join.join_operator) else { return };
    if !matches!(constraint, JoinConstraint::Natural) {
        return;
    }
    let (Some(ours), Some(theirs)) = (left.names(), right.names()) else { return };
    let common = ours.iter().filter(|name| theirs.contains(name));
    let common: Vec<ObjectName> = common.map(|name| ObjectName::from(quoted(name))).collect();
    *constraint = match common.is_empty() {
        true => JoinConstraint::On(Expr::value(ast::Value::Boolean(true))),
        false => JoinConstraint::Using(common),
    };
}

/// What a join compares, where it says so.
pub fn constraint_of(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Side {
    Inner,
    Left,
    Right,
    Full,
}

/// The kind of a join, and its USING columns; those of NATURAL are not known here.
fn parts(join: &Join) -> (Side, Option<&[ObjectName]>) {
    let (side, constraint) = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (Side::Inner, constraint),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (Side::Left, constraint),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (Side::Right, constraint),
        JoinOperator::FullOuter(constraint) => (Side::Full, constraint),
        _ => return (Side::Inner, None),
    };
    match constraint {
        JoinConstraint::Using(columns) => (side, Some(columns)),
        JoinConstraint::Natural => (side, Some(&[])),
        _ => (side, None),
    }
}

/// Replaces bare names of merged columns outside of subqueries, whose names are their own.
fn write_names(tree: &mut (impl VisitMut + ?Sized), merged: &HashMap<String, Expr>) {
    let _ = visit::own_expressions_mut(tree, |expr| {
        if let Expr::Identifier(name) = &*expr
            && let Some(value) = merged.get(&fold(name))
        {
            *expr = value.clone();
        }
        ControlFlow::<()>::Continue(())
    });
}
