//! MERGE.
//!
//! One query joins the target with the source and says per row which WHEN clause is the first that fits, and what that
//! clause assigns:
//!
//! ```text
//!   MERGE INTO t USING s ON t.id = s.id                 SELECT CASE WHEN action = 0 THEN t.n + s.n END,
//!     WHEN MATCHED THEN UPDATE SET n = t.n + s.n    =>         CASE WHEN action = 1 THEN s.id END, ..., action, slot
//!     WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.n)   FROM s LEFT JOIN t ON t.id = s.id
//! ```
//!
//! Its rows wait in a spool and the target's are locked before anything is written. Then, part by part
//! ([`parts`](super::parts)), come the deletions, the updates and the insertions. A row that another transaction inserts
//! meanwhile is a duplicate key, as in PostgreSQL.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, Join, JoinConstraint, JoinOperator, MergeAction, MergeClause, MergeClauseKind,
    MergeInsertKind, OutputClause, SelectItem, SetExpr, TableFactor, TableWithJoins,
};
use futures::StreamExt;

use crate::catalog::Table;
use crate::database::{LockOutcome, OnConflict, RowUpdate, Stop};
use crate::error::{Error, Result, SqlState};
use crate::planner::spool::Spool;
use crate::sql::context::PlanContext;
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Cell, ParamTypes, Target};
use crate::sql::dml::change::{all_of, check_outputs, kept, named_target, target_table};
use crate::sql::dml::conflict::{Assignments, SetSource, assignments, vectors_differ};
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::insert::{cell_value, column_position, refuse_generated};
use crate::sql::dml::parts::{Changed, Locked, Parts, Size, bytes_of};
use crate::sql::dml::returning::Returning;
use crate::sql::dml::rows::Checks;
use crate::sql::expressions::{Relation, row_type};
use crate::sql::known::{factors, qualifier, quoted};
use crate::sql::merge_words::{DEFAULT_VALUES, DO_NOTHING};
use crate::sql::query::{self, Query};
use crate::sql::response::Response;
use crate::sql::rewrite::has_subquery;
use crate::sql::session::{OutputColumn, Session};
use crate::sql::shared::Shared;
use crate::sql::statement::Overriding;
use crate::sql::transactions::Waited;
use crate::sql::trees::number;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};
use crate::table::SlotSet;
use crate::table::provider::SLOT_COLUMN;
use crate::types::arrow::value_at;
use crate::types::{Look, Type, Value};

/// A column of the source that is true: NULL in rows of the target that no source row matches.
const SOURCE_ROW: &str = "source row";
/// The relation and column that merge_action() reads in RETURNING.
const ACTION_RELATION: &str = "merge action";
const ACTION_COLUMN: &str = "merge_action";

/// A planned MERGE.
pub struct MergePlan {
    pub table: Arc<Table>,
    pub param_types: Vec<Type>,
    /// Outputs: what clauses assign, the number of the clause, the slot, and for RETURNING the source's columns.
    pub query: Arc<Query>,
    /// Per WHEN clause.
    actions: Vec<Action>,
    /// Of the outputs that are assigned.
    assigned: Vec<Type>,
    source: Vec<Type>,
    defaults: Vec<DefaultValue>,
    checks: Checks,
    returning: Option<Returning>,
}

/// What a WHEN clause does.
enum Action {
    Nothing,
    Delete,
    Update(Vec<(usize, SetSource)>),
    /// Per column of the table.
    Insert(Vec<SetSource>),
}

impl MergePlan {
    pub fn new(merge: &ast::Merge, context: &PlanContext, shared: &Shared) -> Result<MergePlan> {
        let target = TableWithJoins { relation: merge.table.clone(), joins: Vec::new() };
        let (table, alias) = target_table(&target, context, shared)?;
        let target = named_target(&target, &table).relation;
        let (source, source_alias) = marked_source(&merge.source)?;
        let of_join = TableWithJoins { relation: merge.source.clone(), joins: Vec::new() };
        let named = factors(std::slice::from_ref(&of_join)).into_iter().filter_map(qualifier);
        let is_target = |name: Vec<Ident>| name.last().is_some_and(|last| fold(last) == alias);
        if source_alias == alias || source_alias == SOURCE_ROW && named.into_iter().any(is_target) {
            let message = format!("name \"{alias}\" specified more than once");
            return Err(Error::new(SqlState("42712"), message)
                .detail("The name is used both as MERGE target table and data source."));
        }
        if source_alias == SOURCE_ROW && merge.output.is_some() {
            return Err(Error::unsupported("RETURNING of MERGE from a join"));
        }
        refuse_unreachable(&merge.clauses)?;
        let mut params = ParamTypes::declared(context);
        let mut outputs = Outputs::default();
        let actions = merge.clauses.iter().enumerate();
        let names = Names { table: &table, target: &alias, source: &source_alias };
        let actions = actions.map(|(number, clause)| outputs.action(number, clause, &names, &mut params));
        let actions: Vec<Action> = actions.collect::<Result<_>>()?;
        let from = vec![joined(target, source, &merge.on, &merge.clauses)];
        let chosen = choice(&merge.clauses, &names)?;
        let known = PlanContext { param_types: &params.0.clone(), ..*context };
        let plain = outputs.expressions.iter().map(|(_, expr)| SelectItem::UnnamedExpr(expr.clone()));
        check_outputs(&select(plain.collect(), from.clone())?, &outputs.columns, &table, &known)?;
        let items = match &merge.output {
            None => None,
            Some(OutputClause::Returning { select_items, .. }) => Some(select_items),
            Some(OutputClause::Output { .. }) => return Err(Error::unsupported("OUTPUT")),
        };
        let list = outputs.select_list(&chosen, &alias, items.map(|_| source_alias.as_str()));
        let assigned = outputs.columns.iter().map(|&column| table.columns[column].ty.clone());
        let assigned: Vec<Type> = assigned.collect();
        let query = Arc::new(query::plan_for(&select(list, from)?, &known, &assigned)?);
        params.widen(&query.param_types);
        let mut source: Vec<OutputColumn> = query.columns[assigned.len() + 2..].to_vec();
        source.retain(|column| column.name != SOURCE_ROW);
        let known = PlanContext { param_types: &params.0.clone(), ..*context };
        let returning = match items {
            Some(items) => Some(returning(items, &source, &source_alias, &table, &alias, &known)?),
            None => None,
        };
        if let Some(returning) = &returning {
            params.widen(returning.param_types());
        }
        let defaults = table.columns.iter().map(|column| DefaultValue::of(column, context, shared));
        Ok(MergePlan {
            defaults: defaults.collect::<Result<_>>()?,
            checks: Checks::of(&table, context)?,
            param_types: params.finish(),
            source: source.into_iter().map(|column| column.ty).collect(),
            query,
            actions,
            assigned,
            returning,
            table,
        })
    }

    pub fn returning_columns(&self) -> Option<Arc<[OutputColumn]>> {
        self.returning.as_ref().map(|returning| returning.columns.clone())
    }
}

/// The expressions that clauses assign, as outputs of the query.
#[derive(Default)]
struct Outputs {
    /// With the number of the clause.
    expressions: Vec<(usize, Expr)>,
    /// The columns they go to.
    columns: Vec<usize>,
}

impl Outputs {
    fn action(
        &mut self,
        number: usize,
        clause: &MergeClause,
        names: &Names,
        params: &mut ParamTypes,
    ) -> Result<Action> {
        let table = names.table;
        match &clause.action {
            MergeAction::Delete { .. } => Ok(Action::Delete),
            MergeAction::Update(update) if is_nothing(&update.assignments) => Ok(Action::Nothing),
            MergeAction::Update(update) => {
                let Assignments { mut sets, expressions } =
                    assignments(&update.assignments, table, names.target, params)?;
                for (column, source) in &mut sets {
                    if let SetSource::Output(output) = source {
                        let expr = names.scoped(&expressions[*output], &clause.clause_kind)?;
                        *output = self.add(number, *column, expr);
                    }
                }
                Ok(Action::Update(sets))
            }
            MergeAction::Insert(insert) => self.insert(number, insert, names, params),
        }
    }

    fn insert(
        &mut self,
        number: usize,
        insert: &ast::MergeInsertExpr,
        scope: &Names,
        params: &mut ParamTypes,
    ) -> Result<Action> {
        let table = scope.table;
        let names: Vec<String> = insert.columns.iter().map(|name| object_name(name).name).collect();
        let mut fill: Vec<SetSource> = table.columns.iter().map(|_| SetSource::Cell(Cell::Default)).collect();
        match names.as_slice() {
            [word] if word == DO_NOTHING => return Ok(Action::Nothing),
            [word] if word == DEFAULT_VALUES => return Ok(Action::Insert(fill)),
            _ => {}
        }
        let MergeInsertKind::Values(values) = &insert.kind else {
            return Err(Error::unsupported("INSERT ROW"));
        };
        let [row] = values.rows.as_slice() else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \",\""));
        };
        let columns: Vec<usize> = match names.is_empty() {
            true => (0..table.columns.len()).collect(),
            false => names.iter().map(|name| column_position(table, name)).collect::<Result<_>>()?,
        };
        if row.content.len() > columns.len() {
            let message = "INSERT has more expressions than target columns";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        if row.content.len() < columns.len() && !names.is_empty() {
            let message = "INSERT has more target columns than expressions";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        for (expr, column) in row.content.iter().zip(columns) {
            let definition = &table.columns[column];
            let target = Target { name: &definition.name, ty: &definition.ty };
            if !cells::is_default(expr) {
                refuse_generated(table, column, Overriding::None)?;
            }
            fill[column] = match cells::cell(expr, &target, params)? {
                Some(cell) => SetSource::Cell(cell),
                None => {
                    let expr = scope.scoped(expr, &MergeClauseKind::NotMatched)?;
                    SetSource::Output(self.add(number, column, expr))
                }
            };
        }
        Ok(Action::Insert(fill))
    }

    fn add(&mut self, clause: usize, column: usize, expr: Expr) -> usize {
        self.expressions.push((clause, expr));
        self.columns.push(column);
        self.expressions.len() - 1
    }

    /// Each expression only where its clause is the chosen one, the clause, the slot, and the source's columns.
    fn select_list(&self, chosen: &Expr, target: &str, source: Option<&str>) -> Vec<SelectItem> {
        let named = |position: usize, expr: Expr| SelectItem::ExprWithAlias {
            expr,
            alias: Ident::new(format!("__output_{position}")),
        };
        let guarded = self.expressions.iter().map(|(clause, expr)| {
            let condition = Expr::BinaryOp {
                left: Box::new(chosen.clone()),
                op: ast::BinaryOperator::Eq,
                right: Box::new(number(*clause)),
            };
            case(vec![(condition, expr.clone())])
        });
        let slot = Expr::CompoundIdentifier(vec![quoted(target), Ident::new(SLOT_COLUMN)]);
        let all = guarded.chain([chosen.clone(), slot]);
        let mut list: Vec<SelectItem> =
            all.enumerate().map(|(position, expr)| named(position, expr)).collect();
        list.extend(source.map(all_of));
        list
    }
}

fn is_nothing(list: &[ast::Assignment]) -> bool {
    match list {
        [ast::Assignment { target: ast::AssignmentTarget::ColumnName(name), .. }] => {
            object_name(name).name == DO_NOTHING
        }
        _ => false,
    }
}

fn case(branches: Vec<(Expr, Expr)>) -> Expr {
    let conditions = branches.into_iter().map(|(condition, result)| ast::CaseWhen { condition, result });
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: conditions.collect(),
        else_result: None,
    }
}

/// The source with [`SOURCE_ROW`], under the name it has.
fn marked_source(source: &TableFactor) -> Result<(TableFactor, String)> {
    let alias = match source {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => fold(&alias.name),
            None => object_name(name).name,
        },
        TableFactor::Derived { alias: Some(alias), .. } => fold(&alias.name),
        TableFactor::NestedJoin { table_with_joins, alias: None } => {
            return Ok((marked_join(table_with_joins)?, SOURCE_ROW.to_owned()));
        }
        _ => return Err(Error::unsupported("MERGE from a source of this form")),
    };
    let mut query = dialect::parse_query(&format!("SELECT *, TRUE AS \"{SOURCE_ROW}\""))?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![TableWithJoins { relation: source.clone(), joins: Vec::new() }];
    }
    let shown = ast::TableAlias { explicit: true, name: quoted(&alias), columns: Vec::new(), at: None };
    let marked = TableFactor::Derived { lateral: false, subquery: query, alias: Some(shown), sample: None };
    Ok((marked, alias))
}

/// A join as the source, whose relations keep their names: [`SOURCE_ROW`] is of one beside them.
fn marked_join(join: &TableWithJoins) -> Result<TableFactor> {
    let inner = TableFactor::NestedJoin { table_with_joins: Box::new(join.clone()), alias: None };
    let shown = ast::TableAlias { explicit: true, name: quoted(SOURCE_ROW), columns: Vec::new(), at: None };
    let mark = TableFactor::Derived {
        lateral: false,
        subquery: dialect::parse_query(&format!("SELECT TRUE AS \"{SOURCE_ROW}\""))?,
        alias: Some(shown),
        sample: None,
    };
    let join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
    let marked = TableWithJoins {
        relation: inner,
        joins: vec![Join { relation: mark, global: false, join_operator }],
    };
    Ok(TableFactor::NestedJoin { table_with_joins: Box::new(marked), alias: None })
}

/// The join that yields what the clauses ask about.
fn joined(target: TableFactor, source: TableFactor, on: &Expr, clauses: &[MergeClause]) -> TableWithJoins {
    let has = |kinds: &[MergeClauseKind]| clauses.iter().any(|clause| kinds.contains(&clause.clause_kind));
    let constraint = JoinConstraint::On(on.clone());
    let without_target = has(&[MergeClauseKind::NotMatched, MergeClauseKind::NotMatchedByTarget]);
    let join_operator = match (without_target, has(&[MergeClauseKind::NotMatchedBySource])) {
        (true, true) => JoinOperator::FullOuter(constraint),
        (true, false) => JoinOperator::LeftOuter(constraint),
        (false, true) => JoinOperator::RightOuter(constraint),
        (false, false) => JoinOperator::Inner(constraint),
    };
    TableWithJoins { relation: source, joins: vec![Join { relation: target, global: false, join_operator }] }
}

/// What clauses name.
struct Names<'a> {
    table: &'a Table,
    target: &'a str,
    source: &'a str,
}

impl Names<'_> {
    /// An expression in which columns are those of the rows that the clause has: only the source's where no row of the
    /// target matched, only the target's where none of the source did.
    /// 42P01 for the other's.
    fn scoped(&self, expr: &Expr, kind: &MergeClauseKind) -> Result<Expr> {
        let (relation, other) = match kind {
            MergeClauseKind::Matched => return Ok(expr.clone()),
            MergeClauseKind::NotMatchedBySource => (self.target, self.source),
            MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => (self.source, self.target),
        };
        let strange = visit::own_expressions(expr, |part| match part {
            Expr::CompoundIdentifier(names) if names.len() == 2 && fold(&names[0]) == other => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        if strange.is_break() {
            let message = format!("invalid reference to FROM-clause entry for table \"{other}\"");
            let detail = format!(
                "There is an entry for table \"{other}\", but it cannot be referenced from this part of the query."
            );
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message).detail(detail));
        }
        let mut expr = expr.clone();
        if has_subquery(&expr) {
            return Ok(expr);
        }
        // Names of a join's columns are told apart by whoever wrote them.
        if relation == SOURCE_ROW {
            let is_of_target = |part: &Expr| match part {
                Expr::Identifier(name) if self.table.column(&fold(name)).is_some() => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
            return match visit::own_expressions(&expr, is_of_target) {
                ControlFlow::Continue(()) => Ok(expr),
                ControlFlow::Break(()) => Err(Error::unsupported(
                    "in MERGE from a join, a name alone that is also a column of the target",
                )),
            };
        }
        let _ = visit::expressions_mut(&mut expr, |part| {
            if let Expr::Identifier(name) = part
                && self.table.column(&fold(name)).is_some()
            {
                *part = Expr::CompoundIdentifier(vec![quoted(relation), name.clone()]);
            }
            ControlFlow::<()>::Continue(())
        });
        Ok(expr)
    }
}

/// The number of the first clause that fits, or NULL.
fn choice(clauses: &[MergeClause], names: &Names) -> Result<Expr> {
    let slot = Expr::CompoundIdentifier(vec![quoted(names.target), Ident::new(SLOT_COLUMN)]);
    let row = Expr::CompoundIdentifier(vec![quoted(names.source), quoted(SOURCE_ROW)]);
    let there = |expr: &Expr| Expr::IsNotNull(Box::new(expr.clone()));
    let missing = |expr: &Expr| Expr::IsNull(Box::new(expr.clone()));
    let branch = |(position, clause): (usize, &MergeClause)| {
        let kind = match clause.clause_kind {
            MergeClauseKind::Matched => and(there(&slot), there(&row)),
            MergeClauseKind::NotMatchedBySource => missing(&row),
            MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => missing(&slot),
        };
        let condition = match &clause.predicate {
            Some(predicate) => {
                let predicate = names.scoped(predicate, &clause.clause_kind)?;
                and(kind, Expr::Nested(Box::new(predicate)))
            }
            None => kind,
        };
        Ok((condition, number(position)))
    };
    Ok(case(clauses.iter().enumerate().map(branch).collect::<Result<_>>()?))
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: ast::BinaryOperator::And, right: Box::new(right) }
}

fn select(items: Vec<SelectItem>, from: Vec<TableWithJoins>) -> Result<ast::Query> {
    let mut query = *dialect::parse_query("SELECT 1")?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::internal("a fixed query is not a SELECT"));
    };
    select.projection = items;
    select.from = from;
    Ok(query)
}

/// 42601 for a clause after an unconditional one of its kind.
fn refuse_unreachable(clauses: &[MergeClause]) -> Result<()> {
    let kind = |clause: &MergeClause| match clause.clause_kind {
        MergeClauseKind::Matched => 0,
        MergeClauseKind::NotMatchedBySource => 1,
        MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => 2,
    };
    let mut done = HashSet::new();
    for clause in clauses {
        if done.contains(&kind(clause)) {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        if clause.predicate.is_none() {
            done.insert(kind(clause));
        }
    }
    Ok(())
}

/// RETURNING over a row of the source, a row of the target, and the action; `*` is both rows.
fn returning(
    items: &[SelectItem],
    source: &[OutputColumn],
    source_alias: &str,
    table: &Table,
    alias: &str,
    context: &PlanContext,
) -> Result<Returning> {
    let mut expanded = Vec::with_capacity(items.len());
    for item in items {
        match item {
            SelectItem::Wildcard(_) => expanded.extend([all_of(source_alias), all_of(alias)]),
            other => expanded.push(other.clone()),
        }
    }
    for item in &mut expanded {
        let _ = visit::expressions_mut(item, |expr| {
            if let Expr::Function(call) = expr
                && object_name(&call.name).name == ACTION_COLUMN
            {
                *expr = Expr::CompoundIdentifier(vec![quoted(ACTION_RELATION), Ident::new(ACTION_COLUMN)]);
            }
            ControlFlow::<()>::Continue(())
        });
    }
    let source = row_type(source.iter().map(|column| (column.name.clone(), column.ty.clone())));
    let action = row_type([(ACTION_COLUMN.to_owned(), Type::Text)]);
    let relations = [
        Relation { alias: source_alias, table: &source },
        Relation { alias, table },
        Relation { alias: ACTION_RELATION, table: &action },
    ];
    Returning::over(&expanded, &relations, context)
}

/// A row of the join for which a clause does something.
struct Found {
    action: usize,
    slot: Option<u32>,
    outputs: Vec<Value>,
    source: Vec<Value>,
}

/// What a clause makes of a row.
struct Merged {
    action: &'static str,
    slot: Option<u32>,
    old: Option<Vec<Value>>,
    new: Option<Vec<Value>>,
    source: Vec<Value>,
}

impl Merged {
    fn update(&self, table: &Table) -> Option<RowUpdate> {
        let (slot, old, new) = (self.slot?, self.old.as_ref()?, self.new.as_ref()?);
        Some(RowUpdate { slot, row: new.clone(), vectors_changed: vectors_differ(table, old, new) })
    }

    /// The row of the source, that of the target, and the action; `width` columns of the target are seen.
    fn returned(self, width: usize) -> Vec<Value> {
        let target = self.new.or(self.old).unwrap_or_default().into_iter().take(width);
        self.source.into_iter().chain(target).chain([Value::from(self.action)]).collect()
    }
}

impl Session {
    pub(crate) async fn merge(&mut self, plan: &Arc<MergePlan>, params: &[Value]) -> Result<Response> {
        let found = self.find_and_lock_merged(plan, params).await?;
        self.begin_writing();
        let mut changed = self.nothing_changed(&plan.table, plan.returning.as_ref());
        let mut locked = Locked::of(&plan.table, true);
        let mut parts = Parts::of(found, Size::beginning(bytes_of(params)));
        while let Some(part) = parts.next().await? {
            self.cancel.check()?;
            let (merged, bytes) = self.merged(plan, plan.rows_of(&part)?, &mut locked, params)?;
            let new = merged.iter().filter_map(|row| row.new.as_deref());
            parts.size.learn(merged.len(), bytes.max(new.map(bytes_of).sum()));
            self.merge_part(plan, merged, params, &mut changed).await?;
        }
        self.all_written(&plan.table, &mut changed).await?;
        let tag = format!("MERGE {}", changed.rows);
        Ok(changed.response(plan.returning.as_ref(), tag))
    }

    /// Does what the clauses say about some rows.
    async fn merge_part(
        &mut self,
        plan: &MergePlan,
        merged: Vec<Merged>,
        params: &[Value],
        changed: &mut Changed,
    ) -> Result<()> {
        let table = plan.table.oid;
        let gone = merged.iter().filter(|row| row.new.is_none());
        let gone: Vec<u32> = gone.filter_map(|row| row.slot).collect();
        let updated: Vec<RowUpdate> = merged.iter().filter_map(|row| row.update(&plan.table)).collect();
        let inserted = merged.iter().filter(|row| row.slot.is_none());
        let inserted: Vec<Vec<Value>> = inserted.filter_map(|row| row.new.clone()).collect();
        if !gone.is_empty() {
            self.retry(|transaction| transaction.delete(table, &gone)).await?;
        }
        if !updated.is_empty() {
            self.retry(|transaction| transaction.update_part(table, &updated)).await?;
        }
        if !inserted.is_empty() {
            self.retry(|transaction| transaction.insert(table, &inserted, OnConflict::Wait)).await?;
        }
        for row in &merged {
            if let Some(new) = &row.new {
                changed.unchecked.add(row.old.as_deref(), new);
            }
            if let Some(old) = &row.old {
                changed.follow(old, row.new.as_deref());
            }
        }
        changed.rows += merged.len() as u64;
        if let Some(returning) = &plan.returning {
            let width = plan.table.columns.len();
            let rows: Vec<Vec<Value>> = merged.into_iter().map(|row| row.returned(width)).collect();
            let execution = &mut || self.plain_execution(params, &plan.param_types);
            changed.give(returning.batch(&rows, execution)?)?;
        }
        Ok(())
    }

    /// What the clauses make of the rows, ready to be stored, and how many bytes of the table were read; nothing is written
    /// yet.
    fn merged(
        &self,
        plan: &MergePlan,
        found: Vec<Found>,
        locked: &mut Locked,
        params: &[Value],
    ) -> Result<(Vec<Merged>, usize)> {
        let slots: Vec<u32> = found.iter().filter_map(|row| row.slot).collect();
        let (olds, bytes) = locked.read(self, &slots)?;
        let mut olds = olds.into_iter();
        let mut merged = Vec::with_capacity(found.len());
        for row in found {
            let old = match row.slot {
                Some(_) => olds.next(),
                None => None,
            };
            let (action, new) = match (&plan.actions[row.action], row.slot, &old) {
                (Action::Delete, Some(_), Some(_)) => ("DELETE", None),
                (Action::Update(sets), Some(_), Some(old)) => {
                    let mut new = old.clone();
                    for (column, source) in sets {
                        new[*column] = self.merged_cell(plan, *column, source, &row.outputs, params)?;
                    }
                    ("UPDATE", Some(new))
                }
                (Action::Insert(fill), None, None) => {
                    let cells = fill.iter().enumerate();
                    let cells = cells
                        .map(|(column, source)| self.merged_cell(plan, column, source, &row.outputs, params));
                    ("INSERT", Some(cells.collect::<Result<_>>()?))
                }
                _ => return Err(Error::internal("a clause of MERGE was chosen for a row it cannot have")),
            };
            merged.push(Merged { action, slot: row.slot, old, new, source: row.source });
        }
        let mut written: Vec<Vec<Value>> = merged.iter_mut().filter_map(|row| row.new.take()).collect();
        plan.checks.verify(&mut written, &mut || self.plain_execution(params, &plan.param_types))?;
        let mut written = written.into_iter();
        merged.iter_mut().filter(|row| row.action != "DELETE").for_each(|row| row.new = written.next());
        Ok((merged, bytes))
    }

    fn merged_cell(
        &self,
        plan: &MergePlan,
        column: usize,
        source: &SetSource,
        outputs: &[Value],
        params: &[Value],
    ) -> Result<Value> {
        let ty = &plan.table.columns[column].ty;
        let execution = &mut || self.plain_execution(params, &plan.param_types);
        match source {
            SetSource::Output(output) => cells::assign(outputs[*output].clone(), ty, Look::PLAIN),
            SetSource::Cell(Cell::Default) => plan.defaults[column].take(ty, &self.shared, execution),
            SetSource::Cell(cell) => cell_value(cell, ty, params, execution),
        }
    }

    /// Runs the query and locks the rows it changes, again until nothing has changed in between. Its rows for which a clause
    /// does something.
    async fn find_and_lock_merged(&mut self, plan: &MergePlan, params: &[Value]) -> Result<Spool> {
        let table = plan.table.oid;
        let mut waited = Waited::default();
        let changed = self.shared.large_objects_changed();
        loop {
            let (mut found, mut slots) = (self.shared.environment().spool(), Vec::new());
            let mut seen = SlotSet::new();
            let mut stream = self.query_stream(&plan.query, params).await?;
            while let Some(batch) = stream.next().await {
                let Some(batch) = plan.of_clauses(batch?)? else { continue };
                slots.extend(plan.slots_of(&batch)?.iter().flatten());
                found.push(batch)?;
            }
            drop(stream);
            if !slots.iter().all(|slot| seen.insert(*slot)) {
                return Err(second_time());
            }
            if slots.is_empty() {
                return Ok(found);
            }
            match self.attempt(|transaction| transaction.lock_rows(table, &slots)) {
                Ok(LockOutcome::Locked) => {
                    return match self.touched(table, &slots)?.is_empty() {
                        true => Ok(found),
                        false => Err(second_time()),
                    };
                }
                Ok(LockOutcome::Restart) => self.restart_statement()?,
                Err(Stop::Wait(waiter)) => {
                    self.wait(waiter, &mut waited).await?;
                    self.start_statement()?;
                }
                Err(Stop::Error(error)) => return Err(error),
            }
            self.check_again(changed)?;
        }
    }
}

/// The query's rows: what is assigned, the clause, the slot of the target's row, the source's columns.
impl MergePlan {
    /// The clause that each row of a batch is for.
    fn clauses_of(&self, batch: &RecordBatch) -> Result<Vec<Option<usize>>> {
        let column = batch.column(self.assigned.len());
        let clause = |row| match value_at(column, row, &Type::Int4)? {
            Value::Int4(clause) => {
                let clause = usize::try_from(clause);
                Ok(Some(clause.map_err(|_| Error::internal("a negative clause of MERGE"))?))
            }
            _ => Ok(None),
        };
        (0..batch.num_rows()).map(clause).collect()
    }

    fn slots_of(&self, batch: &RecordBatch) -> Result<Vec<Option<u32>>> {
        let column = batch.column(self.assigned.len() + 1);
        let slot = |row| match value_at(column, row, &Type::Oid)? {
            Value::Oid(slot) => Ok(Some(slot)),
            _ => Ok(None),
        };
        (0..batch.num_rows()).map(slot).collect()
    }

    /// The rows for which a clause does something, if there are some.
    fn of_clauses(&self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let does = |clause: usize| !matches!(self.actions[clause], Action::Nothing);
        let marks = self.clauses_of(&batch)?.into_iter().map(|clause| clause.is_some_and(does)).collect();
        kept(batch, marks)
    }

    /// Such rows, as values.
    fn rows_of(&self, batch: &RecordBatch) -> Result<Vec<Found>> {
        let values = |row: usize, types: &[Type], from: usize| {
            let cells = types.iter().enumerate();
            let cells = cells.map(|(n, ty)| value_at(batch.column(from + n), row, ty));
            cells.collect::<Result<Vec<Value>>>()
        };
        let marks = self.clauses_of(batch)?.into_iter().zip(self.slots_of(batch)?).enumerate();
        let found = marks.map(|(row, (action, slot))| {
            Ok(Found {
                action: action.ok_or_else(|| Error::internal("a row of MERGE without a clause"))?,
                slot,
                outputs: values(row, &self.assigned, 0)?,
                source: values(row, &self.source, self.assigned.len() + 2)?,
            })
        });
        found.collect()
    }
}

fn second_time() -> Error {
    Error::new(SqlState::CARDINALITY_VIOLATION, "MERGE command cannot affect row a second time")
        .hint("Ensure that not more than one source row matches any one target row.")
}
