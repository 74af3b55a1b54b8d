//! UPDATE and DELETE.
//!
//! Both are queries first: `UPDATE t SET a = a + 1 FROM u WHERE ...` runs `SELECT a + 1, t.slot FROM t, u WHERE ...`.
//! The slots are locked; when a row has changed since the snapshot, the query runs again on a new one, before anything
//! has been written. Then the rows are read, changed, verified and handed to the core.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt32Type;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FromTable, Ident, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    TableWithJoins,
};
use futures::StreamExt;

use crate::catalog::Table;
use crate::database::{LockOutcome, RowUpdate, Stop};
use crate::error::{Error, Result, SqlState};
use crate::sql::context::PlanContext;
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Cell, ParamTypes, Target};
use crate::sql::dml::conflict::{Assignments, SetSource, assignments, outputs_of, vectors_differ};
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::insert::cell_value;
use crate::sql::dml::references::Change;
use crate::sql::dml::returning::Returning;
use crate::sql::dml::rows::{Checks, read};
use crate::sql::dml::through_view::{Changing, Opened};
use crate::sql::expressions::{self, Relation};
use crate::sql::known::{factors, qualifier};
use crate::sql::query::{self, Query};
use crate::sql::refusals;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{OutputColumn, Session, done};
use crate::sql::shared::Shared;
use crate::sql::statement::{Ast, Truncate};
use crate::sql::system_columns;
use crate::sql::transactions::Waited;
use crate::sql::words::{fold, object_name};
use crate::table::provider::{SLOT_COLUMN, SystemColumns};
use crate::types::arrow::value_at;
use crate::types::{Look, Type, Value};

/// A planned UPDATE or DELETE.
pub struct ChangePlan {
    pub table: Arc<Table>,
    pub param_types: Vec<Type>,
    /// Outputs: the assigned expressions, for RETURNING the columns of FROM and USING, then the slot.
    pub query: Arc<Query>,
    /// Empty for DELETE.
    sets: Vec<(usize, SetSource)>,
    /// For SET column = DEFAULT, by column.
    defaults: Vec<DefaultValue>,
    checks: Checks,
    returning: Option<Returning>,
    /// Of the columns of FROM and USING that RETURNING may name.
    others: Vec<Type>,
}

impl ChangePlan {
    pub fn update(update: &ast::Update, context: &PlanContext, shared: &Shared) -> Result<ChangePlan> {
        if update.or.is_some()
            || update.output.is_some()
            || !update.order_by.is_empty()
            || update.limit.is_some()
        {
            return Err(Error::unsupported("this form of UPDATE"));
        }
        let target = ChangeTarget::of(&update.table, Changing::Update, context, shared)?;
        let mut from = vec![target.rows.clone()];
        match &update.from {
            Some(
                ast::UpdateTableFromKind::AfterSet(tables) | ast::UpdateTableFromKind::BeforeSet(tables),
            ) => {
                from.extend(tables.iter().cloned());
            }
            None => {}
        }
        let mut params = ParamTypes::declared(context);
        let mut assigned = Cow::Borrowed(&update.assignments);
        if let Some(view) = &target.view {
            view.name_targets(assigned.to_mut())?;
        }
        let Assignments { sets, expressions } =
            assignments(&assigned, &target.table, &target.alias, &mut params)?;
        refusals::of_row(&expressions, "UPDATE")?;
        let parts = Parts { from, selection: update.selection.clone(), returning: &update.returning };
        ChangePlan::new(target, sets, expressions, parts, context, shared, params)
    }

    pub fn delete(delete: &ast::Delete, context: &PlanContext, shared: &Shared) -> Result<ChangePlan> {
        if !delete.tables.is_empty()
            || delete.output.is_some()
            || !delete.order_by.is_empty()
            || delete.limit.is_some()
        {
            return Err(Error::unsupported("this form of DELETE"));
        }
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        let [target] = tables.as_slice() else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "DELETE names one table"));
        };
        let target = ChangeTarget::of(target, Changing::Delete, context, shared)?;
        let mut from = vec![target.rows.clone()];
        from.extend(delete.using.iter().flatten().cloned());
        let params = ParamTypes::declared(context);
        let parts = Parts { from, selection: delete.selection.clone(), returning: &delete.returning };
        ChangePlan::new(target, Vec::new(), Vec::new(), parts, context, shared, params)
    }

    fn new(
        target: ChangeTarget,
        sets: Vec<(usize, SetSource)>,
        expressions: Vec<Expr>,
        parts: Parts,
        context: &PlanContext,
        shared: &Shared,
        mut params: ParamTypes,
    ) -> Result<ChangePlan> {
        let ChangeTarget { table, alias, view, .. } = target;
        let alias = alias.as_str();
        let others = match parts.returning {
            Some(_) => aliases(&parts.from),
            None => Vec::new(),
        };
        let is_called = |name: Vec<Ident>| name.last().is_some_and(|last| fold(last) == alias);
        let has_namesake = factors(&parts.from[1..]).into_iter().filter_map(qualifier).any(is_called);
        let select = slot_query(alias, expressions, &others, parts.from, parts.selection)?;
        let known = PlanContext { param_types: &params.0.clone(), ..*context };
        let columns: Vec<usize> = outputs_of(&sets).collect();
        check_outputs(&select, &columns, &table, &known)?;
        let targets: Vec<Type> = columns.iter().map(|&column| table.columns[column].ty.clone()).collect();
        let query = Arc::new(query::plan_for(&select, &known, &targets)?);
        // RETURNING would take one for the other.
        if has_namesake && parts.returning.is_some() {
            return Err(Error::unsupported(format!("RETURNING beside another table called \"{alias}\"")));
        }
        params.widen(&query.param_types);
        let known = PlanContext { param_types: &params.0.clone(), ..*context };
        let names = query.qualified_outputs();
        let read = columns.len()..query.columns.len() - 1;
        let items = match (&view, parts.returning) {
            (Some(view), Some(items)) => Cow::Owned(Some(view.returned(
                items,
                &Ident::with_quote('"', alias),
                &names[read.clone()],
            )?)),
            (_, items) => Cow::Borrowed(items),
        };
        let returning = match items.as_ref() {
            Some(items) if !read.is_empty() => {
                let found = names[read.clone()].iter().zip(&query.columns[read.clone()]);
                Some(returning_with(items, found, &table, alias, &known)?)
            }
            items => Returning::new(items, &table, alias, &known)?,
        };
        if let Some(returning) = &returning {
            params.widen(returning.param_types());
        }
        let defaults = table.columns.iter().map(|column| DefaultValue::of(column, context, shared));
        Ok(ChangePlan {
            defaults: if sets.is_empty() { Vec::new() } else { defaults.collect::<Result<_>>()? },
            checks: Checks::after_set(&table, &sets.iter().map(|(c, _)| *c).collect::<Vec<_>>(), context)?,
            param_types: params.finish(),
            others: query.columns[read].iter().map(|column| column.ty.clone()).collect(),
            query,
            sets,
            returning,
            table,
        })
    }

    pub fn returning_columns(&self) -> Option<Arc<[OutputColumn]>> {
        self.returning.as_ref().map(|returning| returning.columns.clone())
    }

    /// Whether a column of a foreign key is assigned to.
    fn sets_foreign_key(&self) -> bool {
        let set = |number: &u16| {
            let position = self.table.position(*number);
            self.sets.iter().any(|(column, _)| Some(*column) == position)
        };
        self.table.foreign_keys().any(|(_, key)| key.columns.iter().any(set))
    }

    /// Whether cells of `vector(n)` columns must be read before the change.
    fn needs_vectors(&self) -> bool {
        let sets_vector = self.sets.iter().any(|(column, _)| self.table.columns[*column].is_slot_vector());
        let returns_vector =
            self.returning.as_ref().is_some_and(|returning| returning.needs_vectors(&self.table));
        sets_vector || returns_vector || (self.checks.need_vectors() && !self.sets.is_empty())
    }
}

/// What UPDATE or DELETE is about.
struct ChangeTarget {
    /// The table that is written.
    table: Arc<Table>,
    alias: String,
    /// The rows among which those to change are found.
    rows: TableWithJoins,
    /// The view that the statement names instead of the table.
    view: Option<Opened>,
}

impl ChangeTarget {
    fn of(
        target: &TableWithJoins,
        change: Changing,
        context: &PlanContext,
        shared: &Shared,
    ) -> Result<ChangeTarget> {
        if let (TableFactor::Table { name, alias, args: None, .. }, []) =
            (&target.relation, target.joins.as_slice())
            && let Some(view) = shared.view(context.catalog, &object_name(name))
        {
            let alias = alias.as_ref().map_or_else(|| view.name.clone(), |alias| fold(&alias.name));
            let opened = Opened::of(&view, change, context.catalog)?;
            let (table, rows) = (Arc::clone(&opened.table), opened.rows_as(&alias));
            return Ok(ChangeTarget { table, alias, rows, view: Some(opened) });
        }
        let (table, alias) = target_table(target, context, shared)?;
        let rows = named_target(target, &table);
        Ok(ChangeTarget { table, alias, rows, view: None })
    }
}

/// What UPDATE and DELETE have in common.
struct Parts<'a> {
    from: Vec<TableWithJoins>,
    selection: Option<Expr>,
    returning: &'a Option<Vec<SelectItem>>,
}

pub fn target_table(
    target: &TableWithJoins,
    context: &PlanContext,
    shared: &Shared,
) -> Result<(Arc<Table>, String)> {
    let TableFactor::Table { name, alias, .. } = &target.relation else {
        return Err(Error::unsupported("changing something other than a table"));
    };
    if !target.joins.is_empty() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"JOIN\""));
    }
    let table = shared.writable_table(context.catalog, &object_name(name))?;
    let alias = alias.as_ref().map_or_else(|| table.name.clone(), |alias| fold(&alias.name));
    Ok((table, alias))
}

/// The target as its query names it: with slots, and never a query of WITH.
pub fn named_target(target: &TableWithJoins, table: &Table) -> TableWithJoins {
    let mut named = target.clone();
    system_columns::mark(&mut named.relation, table, SystemColumns::Slot);
    named
}

/// `SELECT <expressions>, alias.slot FROM ... WHERE ...`
fn slot_query(
    alias: &str,
    expressions: Vec<Expr>,
    others: &[String],
    from: Vec<TableWithJoins>,
    selection: Option<Expr>,
) -> Result<ast::Query> {
    let statements = dialect::parse("SELECT 1")?;
    let Some(Ast::Query(query)) = statements.into_iter().next().map(|statement| statement.ast) else {
        return Err(Error::internal("a fixed query did not parse"));
    };
    let mut query = *query;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::internal("a fixed query is not a SELECT"));
    };
    let named = expressions.into_iter().enumerate().map(|(position, expr)| SelectItem::ExprWithAlias {
        expr,
        alias: Ident::new(format!("__set_{position}")),
    });
    select.projection = named.collect();
    select.projection.extend(others.iter().map(|other| all_of(other)));
    let slot = Expr::CompoundIdentifier(vec![Ident::with_quote('"', alias), Ident::new(SLOT_COLUMN)]);
    select.projection.push(SelectItem::UnnamedExpr(slot));
    select.from = from;
    select.selection = selection;
    Ok(query)
}

/// `name.*`
pub fn all_of(name: &str) -> SelectItem {
    let name = ast::ObjectName::from(vec![Ident::with_quote('"', name)]);
    SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), Default::default())
}

/// What FROM and USING name beside the target, which comes first.
fn aliases(from: &[TableWithJoins]) -> Vec<String> {
    let others = from.iter().skip(1);
    let factors =
        others.flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation)));
    let alias = |factor: &TableFactor| match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => Some(fold(&alias.name)),
        TableFactor::Table { name, .. } if name.0.len() == 1 => Some(object_name(name).name),
        _ => None,
    };
    factors.filter_map(alias).collect()
}

/// RETURNING over a row of the target and those of FROM or USING that it was joined with; `*` is all of them.
fn returning_with<'q>(
    items: &[SelectItem],
    found: impl Iterator<Item = (&'q (Option<String>, String), &'q OutputColumn)>,
    table: &Table,
    alias: &str,
    context: &PlanContext,
) -> Result<Returning> {
    let mut others: Vec<(String, Vec<(String, Type)>)> = Vec::new();
    for ((qualifier, name), column) in found {
        let qualifier = qualifier.clone().unwrap_or_default();
        if others.last().is_none_or(|(last, _)| *last != qualifier) {
            others.push((qualifier, Vec::new()));
        }
        if let Some((_, columns)) = others.last_mut() {
            columns.push((name.clone(), column.ty.clone()));
        }
    }
    let others: Vec<(String, Table)> =
        others.into_iter().map(|(alias, columns)| (alias, expressions::row_type(columns))).collect();
    let mut relations = vec![Relation { alias, table }];
    relations.extend(others.iter().map(|(alias, table)| Relation { alias, table }));
    let all: Vec<SelectItem> = relations.iter().map(|relation| all_of(relation.alias)).collect();
    let mut expanded = Vec::with_capacity(items.len());
    for item in items {
        match item {
            SelectItem::Wildcard(_) => expanded.extend(all.iter().cloned()),
            other => expanded.push(other.clone()),
        }
    }
    Returning::over(&expanded, &relations, context)
}

/// 42804 for expressions that their columns do not take.
pub fn check_outputs(
    select: &ast::Query,
    columns: &[usize],
    table: &Table,
    context: &PlanContext,
) -> Result<()> {
    if columns.is_empty() {
        return Ok(());
    }
    let untyped = query::plan(select, context)?;
    for (&column, output) in columns.iter().zip(untyped.columns.iter()) {
        let column = &table.columns[column];
        cells::check_assignable(&output.ty, &Target { name: &column.name, ty: &column.ty })?;
    }
    Ok(())
}

/// The rows a change is about: each slot once, with the values its SET expressions gave.
#[derive(Default)]
struct Found {
    slots: Vec<u32>,
    outputs: Vec<Vec<Value>>,
    /// What RETURNING may name beside the target.
    others: Vec<Vec<Value>>,
}

impl Session {
    pub(crate) async fn update(&mut self, plan: &Arc<ChangePlan>, params: &[Value]) -> Result<Response> {
        let found = self.find_and_lock(plan, params).await?;
        let table = plan.table.oid;
        let snapshot = self.shared.with_transaction(|transaction| transaction.snapshot(table))?;
        let vectors = plan.needs_vectors();
        let old = read(&snapshot, &found.slots, vectors)?;
        let referenced = self.is_referenced(&plan.table);
        let old =
            old.into_iter().map(|old| old.ok_or_else(|| Error::internal("a locked row is not visible")));
        let old = old.collect::<Result<Vec<_>>>()?;
        let rows = old.iter().zip(&found.outputs);
        let mut rows = rows
            .map(|(old, outputs)| self.changed(plan, old, outputs, params))
            .collect::<Result<Vec<_>>>()?;
        plan.checks.verify(&mut rows, &mut || self.plain_execution(params, &plan.param_types))?;
        let mut changes = Vec::new();
        let mut updates = Vec::with_capacity(found.slots.len());
        let others = found.others;
        for ((slot, row), old) in found.slots.into_iter().zip(rows).zip(old) {
            let vectors_changed = vectors && vectors_differ(&plan.table, &old, &row);
            if referenced {
                changes.push(Change { old, new: Some(row.clone()) });
            }
            updates.push(RowUpdate { slot, row, vectors_changed });
        }
        let rows: Vec<Vec<Value>> = match plan.returning.is_some() {
            true => updates.iter().map(|update| update.row.clone()).collect(),
            false => Vec::new(),
        };
        let count = updates.len();
        if count > 0 {
            self.retry(|transaction| transaction.update(table, updates.clone())).await?;
            if plan.sets_foreign_key() {
                let rows: Vec<Vec<Value>> = updates.into_iter().map(|update| update.row).collect();
                self.check_references(&plan.table, &rows).await?;
            }
            if referenced {
                self.follow_references(&plan.table, &changes).await?;
            }
        }
        let rows = with_others(rows, others, &plan.table);
        self.changed_response(plan, rows, format!("UPDATE {count}"), params)
    }

    pub(crate) async fn delete(&mut self, plan: &Arc<ChangePlan>, params: &[Value]) -> Result<Response> {
        let found = self.find_and_lock(plan, params).await?;
        let table = plan.table.oid;
        let mut rows = Vec::new();
        let referenced = self.is_referenced(&plan.table);
        if plan.returning.is_some() || referenced {
            let snapshot = self.shared.with_transaction(|transaction| transaction.snapshot(table))?;
            rows = read(&snapshot, &found.slots, plan.needs_vectors())?.into_iter().flatten().collect();
        }
        let count = found.slots.len();
        if count > 0 {
            self.retry(|transaction| transaction.delete(table, &found.slots)).await?;
            if referenced {
                let changes: Vec<Change> =
                    rows.iter().map(|old| Change { old: old.clone(), new: None }).collect();
                self.follow_references(&plan.table, &changes).await?;
            }
        }
        let rows = with_others(rows, found.others, &plan.table);
        self.changed_response(plan, rows, format!("DELETE {count}"), params)
    }

    fn changed_response(
        &self,
        plan: &ChangePlan,
        rows: Vec<Vec<Value>>,
        tag: String,
        params: &[Value],
    ) -> Result<Response> {
        match &plan.returning {
            None => Ok(done(tag)),
            Some(returning) => {
                returning.response(&rows, tag, &mut || self.plain_execution(params, &plan.param_types))
            }
        }
    }

    /// Runs the query and locks its rows, again until nothing has changed in between.
    async fn find_and_lock(&mut self, plan: &ChangePlan, params: &[Value]) -> Result<Found> {
        let table = plan.table.oid;
        let mut waited = Waited::default();
        let changed = self.shared.large_objects_changed();
        loop {
            let found = self.find(plan, params).await?;
            if found.slots.is_empty() {
                return Ok(found);
            }
            match self.attempt(|transaction| transaction.lock_rows(table, &found.slots)) {
                Ok(LockOutcome::Locked) => {
                    let kept = self.untouched(table, &found.slots)?;
                    self.begin_writing();
                    return Ok(found.only(kept));
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

    async fn find(&self, plan: &ChangePlan, params: &[Value]) -> Result<Found> {
        let mut found = Found::default();
        // A join may find a row several times; the first counts.
        let mut seen = HashSet::new();
        let types: Vec<&Type> = outputs_of(&plan.sets).map(|column| &plan.table.columns[column].ty).collect();
        let mut stream = self.query_stream(&plan.query, params).await?;
        while let Some(batch) = stream.next().await {
            found.add(&batch?, &types, &plan.others, &mut seen)?;
        }
        Ok(found)
    }

    /// The row with SET's values in it.
    fn changed(
        &self,
        plan: &ChangePlan,
        old: &[Value],
        outputs: &[Value],
        params: &[Value],
    ) -> Result<Vec<Value>> {
        let mut row = old.to_vec();
        for (column, source) in &plan.sets {
            let ty = &plan.table.columns[*column].ty;
            row[*column] = match source {
                SetSource::Output(output) => cells::assign(outputs[*output].clone(), ty, Look::PLAIN)?,
                SetSource::Cell(cell) => {
                    let execution = &mut || self.plain_execution(params, &plan.param_types);
                    match cell {
                        Cell::Default => plan.defaults[*column].take(ty, &self.shared, execution)?,
                        cell => cell_value(cell, ty, params, execution)?,
                    }
                }
            };
        }
        Ok(row)
    }

    pub(crate) async fn truncate(&mut self, truncate: &Truncate) -> Result<Response> {
        self.start_statement()?;
        let catalog = self.shared.current_catalog();
        let mut tables: Vec<Arc<Table>> = Vec::new();
        for (name, only) in &truncate.tables {
            if let Some(view) = self.shared.view(&catalog, name) {
                let message = format!("\"{}\" is not a table", view.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            let table = self.shared.writable_table(&catalog, name)?;
            if *only && table.is_partitioned() {
                let message = "cannot truncate only a partitioned table";
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).hint(
                    "Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly.",
                ));
            }
            tables.push(table);
        }
        let mut next = 0;
        while let Some(table) = tables.get(next).cloned() {
            next += 1;
            for (child, ..) in catalog.references_to(table.oid) {
                if tables.iter().any(|known| known.oid == child.oid) {
                    continue;
                }
                if !truncate.cascade {
                    let message = "cannot truncate a table referenced in a foreign key constraint";
                    let hint = format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        child.name
                    );
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                        .detail(format!("Table \"{}\" references \"{}\".", child.name, table.name))
                        .hint(hint));
                }
                let message = format!("truncate cascades to table \"{}\"", child.name);
                self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
                tables.push(child.clone());
            }
        }
        for table in tables {
            if table.part.is_some() {
                self.delete_part(&table).await?;
                continue;
            }
            self.retry(|transaction| transaction.truncate(table.oid)).await?;
            if truncate.restart_identity {
                for sequence in catalog.sequences_owned_by(table.oid) {
                    let (oid, start) = (sequence.oid, sequence.start);
                    self.shared.with_transaction(|transaction| transaction.setval(oid, start, false))?;
                }
            }
        }
        Ok(done("TRUNCATE TABLE"))
    }
}

/// Rows of the target, each with what it was joined with behind the columns that statements see.
fn with_others(rows: Vec<Vec<Value>>, others: Vec<Vec<Value>>, table: &Table) -> Vec<Vec<Value>> {
    if others.iter().all(Vec::is_empty) {
        return rows;
    }
    let width = table.columns.len();
    let rows = rows.into_iter().zip(others);
    rows.map(|(row, others)| row.into_iter().take(width).chain(others).collect()).collect()
}

impl Found {
    /// Those of the rows that are marked.
    fn only(mut self, kept: Vec<bool>) -> Found {
        let mut marks = kept.iter();
        self.slots.retain(|_| marks.next() == Some(&true));
        for rows in [&mut self.outputs, &mut self.others] {
            let mut marks = kept.iter();
            rows.retain(|_| marks.next() == Some(&true));
        }
        self
    }

    fn add(
        &mut self,
        batch: &RecordBatch,
        types: &[&Type],
        others: &[Type],
        seen: &mut HashSet<u32>,
    ) -> Result<()> {
        let slots = batch.column(batch.num_columns() - 1);
        let slots = slots
            .as_primitive_opt::<UInt32Type>()
            .ok_or_else(|| Error::internal(format!("slots came as {}", slots.data_type())))?;
        for row in 0..batch.num_rows() {
            let slot = slots.value(row);
            if seen.insert(slot) {
                self.slots.push(slot);
                let values =
                    types.iter().enumerate().map(|(output, ty)| value_at(batch.column(output), row, ty));
                self.outputs.push(values.collect::<Result<_>>()?);
                let values =
                    others.iter().enumerate().map(|(n, ty)| value_at(batch.column(types.len() + n), row, ty));
                self.others.push(values.collect::<Result<_>>()?);
            }
        }
        Ok(())
    }
}
