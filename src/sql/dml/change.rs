//! UPDATE and DELETE.
//!
//! Both are queries first: `UPDATE t SET a = a + 1 FROM u WHERE ...` runs `SELECT a + 1, t.slot FROM t, u WHERE ...`.
//! The slots are locked; when a row has changed since the snapshot, the query runs again on a new one, before anything
//! has been written. Then the rows are read, changed, verified and handed to the core, part by part
//! ([`parts`](super::parts)).

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::UInt32Type;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FromTable, Ident, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    TableWithJoins,
};
use futures::StreamExt;

use crate::catalog::Table;
use crate::database::{LockOutcome, Stop};
use crate::error::{Error, Result, SqlState};
use crate::planner::spool::Spool;
use crate::sql::context::PlanContext;
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Cell, ParamTypes, Target};
use crate::sql::dml::conflict::{Assignments, SetSource, assignments, outputs_of};
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::insert::cell_value;
use crate::sql::dml::parts::{Changed, Locked, Parts, Size, bytes_of};
use crate::sql::dml::returning::Returning;
use crate::sql::dml::rows::Checks;
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
use crate::table::SlotSet;
use crate::table::provider::{SLOT_COLUMN, SystemColumns};
use crate::types::arrow::errors::from_arrow;
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
        let clauses = Clauses { from, selection: update.selection.clone(), returning: &update.returning };
        ChangePlan::new(target, sets, expressions, clauses, context, shared, params)
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
        let clauses = Clauses { from, selection: delete.selection.clone(), returning: &delete.returning };
        ChangePlan::new(target, Vec::new(), Vec::new(), clauses, context, shared, params)
    }

    fn new(
        target: ChangeTarget,
        sets: Vec<(usize, SetSource)>,
        expressions: Vec<Expr>,
        clauses: Clauses,
        context: &PlanContext,
        shared: &Shared,
        mut params: ParamTypes,
    ) -> Result<ChangePlan> {
        let ChangeTarget { table, alias, view, .. } = target;
        let alias = alias.as_str();
        let others = match clauses.returning {
            Some(_) => aliases(&clauses.from),
            None => Vec::new(),
        };
        let is_called = |name: Vec<Ident>| name.last().is_some_and(|last| fold(last) == alias);
        let has_lateral = factors(&clauses.from[1..]).into_iter().any(is_lateral);
        let has_namesake = factors(&clauses.from[1..]).into_iter().filter_map(qualifier).any(is_called);
        let select = slot_query(alias, expressions, &others, clauses.from, clauses.selection)?;
        let known = PlanContext { param_types: &params.0.clone(), ..*context };
        let columns: Vec<usize> = outputs_of(&sets).collect();
        let told = |error| if has_lateral { hidden_target(error, alias) } else { error };
        check_outputs(&select, &columns, &table, &known).map_err(told)?;
        let targets: Vec<Type> = columns.iter().map(|&column| table.columns[column].ty.clone()).collect();
        let query = Arc::new(query::plan_for(&select, &known, &targets).map_err(told)?);
        // RETURNING would take one for the other.
        if has_namesake && clauses.returning.is_some() {
            return Err(Error::unsupported(format!("RETURNING beside another table called \"{alias}\"")));
        }
        params.widen(&query.param_types);
        let known = PlanContext { param_types: &params.0.clone(), ..*context };
        let names = query.qualified_outputs();
        let read = columns.len()..query.columns.len() - 1;
        let items = match (&view, clauses.returning) {
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

    /// Bytes that SET gives each row besides what is computed of it.
    fn bytes_given(&self, params: &[Value]) -> usize {
        let given = |source: &SetSource| match source {
            SetSource::Cell(Cell::Constant(value)) => bytes_of(std::slice::from_ref(value)),
            SetSource::Cell(Cell::Param(index, ..)) => params.get(*index..=*index).map_or(0, bytes_of),
            _ => 0,
        };
        self.sets.iter().map(|(_, source)| given(source)).sum()
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
struct Clauses<'a> {
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
    // Behind what is LATERAL, which does not see the target.
    if factors(&select.from[1..]).into_iter().any(is_lateral) {
        select.from.rotate_left(1);
    }
    select.selection = selection;
    Ok(query)
}

fn is_lateral(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Derived { lateral, .. } => *lateral,
        TableFactor::Table { args, .. } => args.is_some(),
        TableFactor::Function { .. } | TableFactor::TableFunction { .. } | TableFactor::UNNEST { .. } => true,
        _ => false,
    }
}

/// PostgreSQL's words where LATERAL names the target.
fn hidden_target(error: Error, target: &str) -> Error {
    let message = format!("invalid reference to FROM-clause entry for table \"{target}\"");
    if error.message() != message || error.state() != SqlState::UNDEFINED_TABLE {
        return error;
    }
    let hint = format!(
        "There is an entry for table \"{target}\", but it cannot be referenced from this part of the query."
    );
    Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).hint(hint)
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

/// The rows a change is about: each slot once, and in the spool the outputs of its query.
struct Found {
    slots: Vec<u32>,
    outputs: Spool,
    /// A join may find a row several times; the first counts.
    seen: SlotSet,
}

/// The outputs for rows that are locked.
struct Meant {
    outputs: Spool,
    /// What an earlier part of the statement has changed: those rows stay as they are.
    spared: SlotSet,
}

/// A part of them.
struct Part {
    slots: Vec<u32>,
    outputs: RecordBatch,
}

impl Session {
    pub(crate) async fn update(&mut self, plan: &Arc<ChangePlan>, params: &[Value]) -> Result<Response> {
        let meant = self.find_and_lock(plan, params).await?;
        let mut changed = self.nothing_changed(&plan.table, plan.returning.as_ref());
        let mut locked = Locked::of(&plan.table, plan.needs_vectors());
        let mut parts = Parts::of(meant.outputs, Size::beginning(plan.bytes_given(params)));
        while let Some(outputs) = parts.next().await? {
            let Some(part) = Part::of(outputs, &meant.spared)? else { continue };
            self.cancel.check()?;
            let (old, bytes) = locked.read(self, &part.slots)?;
            let new = self.new_rows(plan, &part, &old, params)?;
            parts.size.learn(new.len(), bytes.max(new.iter().map(|row| bytes_of(row)).sum()));
            let vectors = plan.needs_vectors();
            let new = self.write_versions(&plan.table, &part.slots, &old, new, vectors, &mut changed).await?;
            self.return_rows(plan, new.into_iter().map(|new| new.row), &part, params, &mut changed)?;
        }
        self.all_written(&plan.table, &mut changed).await?;
        let tag = format!("UPDATE {}", changed.rows);
        Ok(changed.response(plan.returning.as_ref(), tag))
    }

    /// The rows of a part with SET's values in them, ready to be stored.
    fn new_rows(
        &self,
        plan: &ChangePlan,
        part: &Part,
        old: &[Vec<Value>],
        params: &[Value],
    ) -> Result<Vec<Vec<Value>>> {
        let targets = outputs_of(&plan.sets).map(|column| &plan.table.columns[column].ty);
        let outputs = part.values(0, targets)?;
        let rows = old.iter().zip(outputs).map(|(old, outputs)| self.changed(plan, old, outputs, params));
        let mut rows = rows.collect::<Result<Vec<_>>>()?;
        plan.checks.verify(&mut rows, &mut || self.plain_execution(params, &plan.param_types))?;
        Ok(rows)
    }

    pub(crate) async fn delete(&mut self, plan: &Arc<ChangePlan>, params: &[Value]) -> Result<Response> {
        let meant = self.find_and_lock(plan, params).await?;
        let mut changed = self.nothing_changed(&plan.table, plan.returning.as_ref());
        let mut locked = Locked::of(&plan.table, plan.needs_vectors());
        let is_read = plan.returning.is_some() || changed.is_referenced();
        let mut parts = Parts::of(meant.outputs, Size::beginning(0));
        while let Some(outputs) = parts.next().await? {
            let Some(part) = Part::of(outputs, &meant.spared)? else { continue };
            self.cancel.check()?;
            let (old, bytes) = if is_read { locked.read(self, &part.slots)? } else { Default::default() };
            parts.size.learn(part.slots.len(), bytes);
            let table = plan.table.oid;
            self.retry(|transaction| transaction.delete(table, &part.slots)).await?;
            old.iter().for_each(|old| changed.follow(old, None));
            changed.rows += part.slots.len() as u64;
            self.return_rows(plan, old.into_iter(), &part, params, &mut changed)?;
        }
        self.all_written(&plan.table, &mut changed).await?;
        let tag = format!("DELETE {}", changed.rows);
        Ok(changed.response(plan.returning.as_ref(), tag))
    }

    /// Keeps what RETURNING shows of rows: each with what it was joined with behind the columns that statements see.
    fn return_rows(
        &self,
        plan: &ChangePlan,
        rows: impl Iterator<Item = Vec<Value>>,
        part: &Part,
        params: &[Value],
        changed: &mut Changed,
    ) -> Result<()> {
        let Some(returning) = &plan.returning else { return Ok(()) };
        let mut rows: Vec<Vec<Value>> = rows.collect();
        if !plan.others.is_empty() {
            let others = part.values(outputs_of(&plan.sets).count(), plan.others.iter())?;
            for (row, others) in rows.iter_mut().zip(others) {
                row.truncate(plan.table.columns.len());
                row.extend(others);
            }
        }
        changed.give(returning.batch(&rows, &mut || self.plain_execution(params, &plan.param_types))?)
    }

    /// Runs the query and locks its rows, again until nothing has changed in between.
    async fn find_and_lock(&mut self, plan: &ChangePlan, params: &[Value]) -> Result<Meant> {
        let table = plan.table.oid;
        let mut waited = Waited::default();
        let changed = self.shared.large_objects_changed();
        loop {
            let found = self.find(plan, params).await?;
            if found.slots.is_empty() {
                return Ok(Meant { outputs: found.outputs, spared: SlotSet::new() });
            }
            match self.attempt(|transaction| transaction.lock_rows(table, &found.slots)) {
                Ok(LockOutcome::Locked) => {
                    let spared = self.touched(table, &found.slots)?;
                    self.begin_writing();
                    return Ok(Meant { outputs: found.outputs, spared });
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
        let outputs = self.shared.environment().spool();
        let mut found = Found { slots: Vec::new(), outputs, seen: SlotSet::new() };
        let mut stream = self.query_stream(&plan.query, params).await?;
        while let Some(batch) = stream.next().await {
            found.add(batch?)?;
        }
        Ok(found)
    }

    /// The row with SET's values in it.
    fn changed(
        &self,
        plan: &ChangePlan,
        old: &[Value],
        mut outputs: Vec<Value>,
        params: &[Value],
    ) -> Result<Vec<Value>> {
        let mut row = old.to_vec();
        for (column, source) in &plan.sets {
            let ty = &plan.table.columns[*column].ty;
            row[*column] = match source {
                SetSource::Output(output) => {
                    let value = std::mem::replace(&mut outputs[*output], Value::Null);
                    cells::assign(value, ty, Look::PLAIN)?
                }
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

impl Found {
    fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let slots = slots_of(&batch)?;
        let is_new: Vec<bool> = slots.iter().map(|slot| self.seen.insert(*slot)).collect();
        self.slots.extend(slots.iter().zip(&is_new).filter(|(_, is_new)| **is_new).map(|(slot, _)| slot));
        match kept(batch, is_new)? {
            Some(batch) => self.outputs.push(batch),
            None => Ok(()),
        }
    }
}

impl Part {
    /// What is to be changed of these rows, if there is something.
    fn of(outputs: RecordBatch, spared: &SlotSet) -> Result<Option<Part>> {
        let is_meant = slots_of(&outputs)?.iter().map(|slot| !spared.contains(*slot)).collect();
        let Some(outputs) = kept(outputs, is_meant)? else { return Ok(None) };
        Ok(Some(Part { slots: slots_of(&outputs)?.to_vec(), outputs }))
    }

    /// By row, the cells of the columns of these types that begin with the `first`.
    fn values<'t>(&self, first: usize, types: impl Iterator<Item = &'t Type>) -> Result<Vec<Vec<Value>>> {
        let columns: Vec<_> = self.outputs.columns()[first..].iter().zip(types).collect();
        let cells = |row| columns.iter().map(|(column, ty)| value_at(column, row, ty)).collect();
        (0..self.slots.len()).map(cells).collect()
    }
}

/// The last output of a change's query.
fn slots_of(batch: &RecordBatch) -> Result<&[u32]> {
    let slots = batch.column(batch.num_columns() - 1);
    let slots = slots.as_primitive_opt::<UInt32Type>();
    let slots = slots.ok_or_else(|| Error::internal("a change's query does not end with slots"))?;
    Ok(slots.values())
}

/// The rows that are marked, if there are some.
pub fn kept(batch: RecordBatch, marks: Vec<bool>) -> Result<Option<RecordBatch>> {
    let batch = match marks.contains(&false) {
        false => batch,
        true => filter_record_batch(&batch, &marks.into()).map_err(from_arrow)?,
    };
    Ok(Some(batch).filter(|batch| batch.num_rows() > 0))
}
