//! INSERT.
//!
//! The rows come from cells (literals and parameters, no planner involved), from a query, or from defaults alone. A
//! query's rows are written batch by batch as they come, so that INSERT ... SELECT holds no more than one batch.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast::{self, Expr, SelectItem, SetExpr, TableObject};
use futures::StreamExt;

use crate::catalog::{Catalog, DefaultExpr, Table};
use crate::database::OnConflict;
use crate::error::{Error, Result, SqlState};
use crate::planner::bindings::Execution;
use crate::sql::context::PlanContext;
use crate::sql::dml::cells::{self, Cell, ParamTypes, Target};
use crate::sql::dml::conflict::Conflict;
use crate::sql::dml::defaults::{DefaultValue, is_generated_always};
use crate::sql::dml::parts::Changed;
use crate::sql::dml::returning::Returning;
use crate::sql::dml::rows::Checks;
use crate::sql::expressions::{self, Relation};
use crate::sql::query::{self, Query};
use crate::sql::response::Response;
use crate::sql::session::{OutputColumn, Session};
use crate::sql::set_functions;
use crate::sql::shared::Shared;
use crate::sql::statement::Overriding;
use crate::sql::system_columns;
use crate::sql::trees;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};
use crate::types::arrow::value_at;
use crate::types::{Look, Type, Value};

/// A planned INSERT.
pub struct InsertPlan {
    pub table: Arc<Table>,
    pub param_types: Vec<Type>,
    source: Source,
    /// Per column of the table: the input's position, or its default.
    fill: Vec<Option<usize>>,
    defaults: Vec<DefaultValue>,
    pub(super) checks: Checks,
    pub(super) conflict: Conflict,
    returning: Option<Returning>,
    /// Whether RETURNING asks for `xmax`.
    shows_xmax: bool,
}

/// The system column that is 0 in a row which was inserted, and in one that ON CONFLICT updated the number of the
/// transaction: `RETURNING (xmax = 0) AS inserted`.
const XMAX: &str = "xmax";

fn names_xmax(items: &[SelectItem], table: &Table) -> bool {
    let names = items.iter().any(|item| {
        let found = visit::expressions(item, |part| match part {
            ast::Expr::Identifier(name) if fold(name) == XMAX => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    });
    names && table.column(XMAX).is_none()
}

enum Source {
    Cells(Vec<Vec<Cell>>),
    Query(Arc<Query>),
    /// DEFAULT VALUES
    Defaults,
}

impl InsertPlan {
    /// `defaults` come before those of the table's columns at these positions.
    pub fn new(
        insert: &ast::Insert,
        overriding: Overriding,
        defaults: &[(usize, DefaultExpr)],
        context: &PlanContext,
        shared: &Shared,
    ) -> Result<InsertPlan> {
        refuse_clauses(insert)?;
        let TableObject::TableName(name) = &insert.table else {
            return Err(Error::unsupported("INSERT into something other than a table"));
        };
        let mut table = shared.writable_table(context.catalog, &object_name(name))?;
        for (position, default) in defaults {
            let column = &mut Arc::make_mut(&mut table).columns[*position];
            (column.default, column.sequence) = (Some(default.clone()), None);
        }
        let alias =
            insert.table_alias.as_ref().map_or_else(|| table.name.clone(), |alias| fold(&alias.alias));
        let inputs = target_columns(&table, insert)?;
        let mut params = ParamTypes::declared(context);
        let (source, inputs) = source(insert, &table, inputs, overriding, context, &mut params)?;
        let mut fill = vec![None; table.columns.len()];
        for (input, &column) in inputs.iter().enumerate() {
            if !(overriding == Overriding::User && table.columns[column].identity.is_some()) {
                fill[column] = Some(input);
            }
        }
        let known = PlanContext { param_types: &params.0.clone(), ..*context };
        let conflict = Conflict::new(&insert.on, &table, &alias, &known, &mut params)?;
        let known = PlanContext { param_types: &params.0.clone(), ..*context };
        let shows_xmax = insert.returning.as_ref().is_some_and(|items| names_xmax(items, &table));
        let returning = match &insert.returning {
            Some(items) if shows_xmax => {
                let own = Relation { alias: &alias, table: &table };
                let xmax = expressions::row_type([(XMAX.to_owned(), Type::Oid)]);
                Some(Returning::over(items, &[own, Relation { alias: "", table: &xmax }], &known)?)
            }
            items => Returning::new(items, &table, &alias, &known)?,
        };
        if let Some(returning) = &returning {
            params.widen(returning.param_types());
        }
        let defaults = table.columns.iter().map(|column| DefaultValue::of(column, context, shared));
        Ok(InsertPlan {
            defaults: defaults.collect::<Result<_>>()?,
            checks: Checks::of(&table, context)?,
            param_types: params.finish(),
            source,
            fill,
            conflict,
            returning,
            shows_xmax,
            table,
        })
    }

    pub fn returning_columns(&self) -> Option<Arc<[OutputColumn]>> {
        self.returning.as_ref().map(|returning| returning.columns.clone())
    }

    /// Where the rows come from, if from a query.
    pub fn query(&self) -> Option<&Arc<Query>> {
        match &self.source {
            Source::Query(query) => Some(query),
            _ => None,
        }
    }

    /// All queries that it runs.
    pub fn queries(&self) -> impl Iterator<Item = &Arc<Query>> {
        let of_conflict = match &self.conflict {
            Conflict::Update(update) => update.query(),
            _ => None,
        };
        self.query().into_iter().chain(of_conflict)
    }
}

fn refuse_clauses(insert: &ast::Insert) -> Result<()> {
    let refused = [
        (insert.or.is_some() || insert.replace_into, "INSERT OR"),
        (insert.ignore, "INSERT IGNORE"),
        (insert.overwrite, "INSERT OVERWRITE"),
        (insert.partitioned.is_some() || !insert.after_columns.is_empty(), "INSERT with partitions"),
        (!insert.assignments.is_empty(), "INSERT SET"),
        (insert.output.is_some(), "OUTPUT"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(Error::unsupported(what)),
        None => Ok(()),
    }
}

/// Positions of the columns that are listed; all when none are.
fn target_columns(table: &Table, insert: &ast::Insert) -> Result<Vec<usize>> {
    if insert.columns.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let mut positions: Vec<usize> = Vec::with_capacity(insert.columns.len());
    for column in &insert.columns {
        if column.0.len() > 1 {
            return Err(Error::unsupported("INSERT into a field of a column"));
        }
        let position = column_position(table, &object_name(column).name)?;
        if positions.contains(&position) {
            let message = format!("column \"{}\" specified more than once", table.columns[position].name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        positions.push(position);
    }
    Ok(positions)
}

/// 42703 when there is none.
pub fn column_position(table: &Table, name: &str) -> Result<usize> {
    table.columns.iter().position(|column| column.name == name).ok_or_else(|| {
        if system_columns::NAMES.contains(&name) {
            let message = format!("cannot assign to system column \"{name}\"");
            return Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
        }
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
        Error::new(SqlState::UNDEFINED_COLUMN, message)
    })
}

fn source(
    insert: &ast::Insert,
    table: &Table,
    inputs: Vec<usize>,
    overriding: Overriding,
    context: &PlanContext,
    params: &mut ParamTypes,
) -> Result<(Source, Vec<usize>)> {
    let Some(query) = &insert.source else { return Ok((Source::Defaults, Vec::new())) };
    if let Some(rows) = value_rows(query) {
        if let Some(selected) = selected(rows)? {
            let planned = planned(&selected, table, insert, inputs, context, params)?;
            planned.1.iter().try_for_each(|&column| refuse_generated(table, column, overriding))?;
            return Ok(planned);
        }
        let inputs = check_width(rows, insert, inputs)?;
        check_identities(rows, table, &inputs, overriding)?;
        let targets: Vec<Target> = inputs.iter().map(|&column| target(table, column)).collect();
        match cells_of(rows, &targets, context, params) {
            Ok(cells) => return Ok((Source::Cells(cells), inputs)),
            // A subquery among the values: the whole list is the planner's.
            Err(error) if error.state() == SqlState::FEATURE_NOT_SUPPORTED => {}
            Err(error) => return Err(error),
        }
        let query = with_defaults_spelt(query, table, &inputs, context.catalog)?;
        return planned(&query, table, insert, inputs, context, params);
    }
    let planned = planned(query, table, insert, inputs, context, params)?;
    for &column in &planned.1 {
        refuse_generated(table, column, overriding)?;
    }
    Ok(planned)
}

fn target(table: &Table, column: usize) -> Target<'_> {
    Target { name: &table.columns[column].name, ty: &table.columns[column].ty }
}

/// The rows of a plain VALUES list.
fn value_rows(query: &ast::Query) -> Option<&[ast::Parens<Vec<Expr>>]> {
    if query.with.is_some()
        || query.order_by.is_some()
        || query.limit_clause.is_some()
        || query.fetch.is_some()
    {
        return None;
    }
    match query.body.as_ref() {
        SetExpr::Values(values) => Some(&values.rows),
        _ => None,
    }
}

/// One row of values with functions that return sets is a select list; PostgreSQL has them in no longer list of rows.
fn selected(rows: &[ast::Parens<Vec<Expr>>]) -> Result<Option<ast::Query>> {
    if !rows.iter().any(|row| row.content.iter().any(set_functions::returns_set)) {
        return Ok(None);
    }
    match rows {
        [row] if row.content.iter().any(cells::is_default) => {
            Err(Error::unsupported("DEFAULT beside a function that returns a set"))
        }
        [row] => Ok(Some(trees::query_of(expressions::items(row.content.clone())))),
        _ => {
            let message = "set-returning functions are not allowed in VALUES";
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
    }
}

/// The columns that rows of this width fill.
fn check_width(
    rows: &[ast::Parens<Vec<Expr>>],
    insert: &ast::Insert,
    mut inputs: Vec<usize>,
) -> Result<Vec<usize>> {
    let width = rows.first().map_or(0, |row| row.content.len());
    if rows.iter().any(|row| row.content.len() != width) {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length"));
    }
    fit_width(width, insert, &mut inputs)?;
    Ok(inputs)
}

fn fit_width(width: usize, insert: &ast::Insert, inputs: &mut Vec<usize>) -> Result<()> {
    if width > inputs.len() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT has more expressions than target columns"));
    }
    if width < inputs.len() && !insert.columns.is_empty() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT has more target columns than expressions"));
    }
    inputs.truncate(width);
    Ok(())
}

fn check_identities(
    rows: &[ast::Parens<Vec<Expr>>],
    table: &Table,
    inputs: &[usize],
    overriding: Overriding,
) -> Result<()> {
    for (input, &column) in inputs.iter().enumerate() {
        if rows.iter().any(|row| !cells::is_default(&row.content[input])) {
            refuse_generated(table, column, overriding)?;
        }
    }
    Ok(())
}

pub fn refuse_generated(table: &Table, column: usize, overriding: Overriding) -> Result<()> {
    let column = &table.columns[column];
    let message = format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
    if column.generated.is_some() {
        let detail = format!("Column \"{}\" is a generated column.", column.name);
        return Err(Error::new(SqlState::GENERATED_ALWAYS, message).detail(detail));
    }
    if overriding != Overriding::None || !is_generated_always(column) {
        return Ok(());
    }
    Err(Error::new(SqlState::GENERATED_ALWAYS, message)
        .detail(format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name))
        .hint("Use OVERRIDING SYSTEM VALUE to override."))
}

/// The rows as cells.
fn cells_of(
    rows: &[ast::Parens<Vec<Expr>>],
    targets: &[Target],
    context: &PlanContext,
    params: &mut ParamTypes,
) -> Result<Vec<Vec<Cell>>> {
    let mut row_cells = |row: &ast::Parens<Vec<Expr>>| {
        let cells = row.content.iter().zip(targets);
        cells.map(|(expression, target)| cells::any_cell(expression, target, context, params)).collect()
    };
    rows.iter().map(&mut row_cells).collect()
}

/// The VALUES list with each DEFAULT replaced by what it stands for, for the planner.
fn with_defaults_spelt(
    query: &ast::Query,
    table: &Table,
    inputs: &[usize],
    catalog: &Catalog,
) -> Result<ast::Query> {
    let mut query = query.clone();
    if let SetExpr::Values(values) = query.body.as_mut() {
        for row in &mut values.rows {
            for (expression, &column) in row.content.iter_mut().zip(inputs) {
                if cells::is_default(expression) {
                    let column = &table.columns[column];
                    if column.identity.is_some() {
                        return Err(Error::unsupported("DEFAULT of an identity column among expressions"));
                    }
                    let domain = catalog.domain_of(column);
                    let default = column.default.as_ref().or(domain.and_then(|d| d.default.as_ref()));
                    let sql = default.map_or("NULL", |default| default.sql.as_str());
                    *expression = crate::sql::dialect::parse_expression(sql)?;
                }
            }
        }
    }
    Ok(query)
}

fn planned(
    query: &ast::Query,
    table: &Table,
    insert: &ast::Insert,
    mut inputs: Vec<usize>,
    context: &PlanContext,
    params: &mut ParamTypes,
) -> Result<(Source, Vec<usize>)> {
    let known = PlanContext { param_types: &params.0.clone(), ..*context };
    let types: Vec<Type> = inputs.iter().map(|&column| table.columns[column].ty.clone()).collect();
    // The outputs' own types decide whether they may be assigned.
    let untyped = query::plan(query, &known)?;
    fit_width(untyped.columns.len(), insert, &mut inputs)?;
    for (position, (&column, output)) in inputs.iter().zip(untyped.columns.iter()).enumerate() {
        if !is_literal_output(query, position) {
            cells::check_assignable(&output.ty, &target(table, column))?;
        }
    }
    let query = query::plan_for(query, &known, &types[..inputs.len()])?;
    params.widen(&query.param_types);
    Ok((Source::Query(Arc::new(query)), inputs))
}

/// Whether an output is a string, NULL or parameter, whose type comes from the column.
pub fn is_literal_output(query: &ast::Query, position: usize) -> bool {
    is_literal_in(query.body.as_ref(), position)
}

fn is_literal_in(body: &SetExpr, position: usize) -> bool {
    let literal = |expression: &Expr| match expression {
        Expr::Value(value) => matches!(
            value.value,
            ast::Value::SingleQuotedString(_)
                | ast::Value::EscapedStringLiteral(_)
                | ast::Value::DollarQuotedString(_)
                | ast::Value::Placeholder(_)
                | ast::Value::Null
        ),
        _ => false,
    };
    match body {
        SetExpr::Select(select) => match select.projection.get(position) {
            Some(ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. }) => {
                literal(expr)
            }
            _ => false,
        },
        // A column of a VALUES list is checked row by row when it is cast.
        SetExpr::Values(values) => {
            values.rows.iter().any(|row| row.content.get(position).is_some_and(literal))
        }
        SetExpr::Query(query) => is_literal_in(query.body.as_ref(), position),
        _ => false,
    }
}

/// The value of a cell other than DEFAULT.
pub fn cell_value(
    cell: &Cell,
    ty: &Type,
    params: &[Value],
    execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
) -> Result<Value> {
    match cell {
        Cell::Constant(value) => Ok(value.clone()),
        Cell::Param(index, _, look) => {
            cells::assign(params.get(*index).cloned().unwrap_or(Value::Null), ty, *look)
        }
        Cell::Computed(projection) => {
            let row = expressions::batch(projection.input(), &[Vec::new()])?;
            value_at(&projection.evaluate(&row, execution()?)?[0], 0, ty)
        }
        Cell::Default => Err(Error::internal("a default is not a cell's own")),
    }
}

/// What an INSERT has written so far.
pub struct Written {
    pub changed: Changed,
    /// Slots this statement inserted or updated, which ON CONFLICT must not update again.
    pub touched: HashSet<u32>,
}

impl Session {
    pub(crate) async fn insert(&mut self, plan: &Arc<InsertPlan>, params: &[Value]) -> Result<Response> {
        let changed = self.nothing_inserted(&plan.table, plan.returning.as_ref());
        let mut written = Written { changed, touched: HashSet::new() };
        match &plan.source {
            Source::Cells(cells) => {
                let rows = self.rows_of_cells(plan, cells, params)?;
                self.write(plan, rows, params, &mut written).await?;
            }
            Source::Defaults => {
                let rows = vec![self.full_row(plan, &mut |_| Value::Null, params)?];
                self.write(plan, rows, params, &mut written).await?;
            }
            Source::Query(query) => {
                let mut stream = self.query_stream(query, params).await?;
                while let Some(batch) = stream.next().await {
                    let rows = self.rows_of_batch(plan, &batch?, params)?;
                    self.write(plan, rows, params, &mut written).await?;
                }
            }
        }
        let mut changed = written.changed;
        self.all_written(&plan.table, &mut changed).await?;
        let tag = format!("INSERT 0 {}", changed.rows);
        Ok(changed.response(plan.returning.as_ref(), tag))
    }

    /// Keeps what RETURNING shows of rows that were inserted or updated.
    pub(super) fn return_written(
        &self,
        plan: &InsertPlan,
        mut rows: Vec<Vec<Value>>,
        is_updated: impl Fn(usize) -> bool,
        params: &[Value],
        changed: &mut Changed,
    ) -> Result<()> {
        let Some(returning) = &plan.returning else { return Ok(()) };
        if plan.shows_xmax {
            let number = self.shared.with_transaction(|transaction| Ok(transaction.id()))?;
            // Of the number's 64 bits PostgreSQL's type has 32, and 0 means none.
            let number = number.map_or(1, |id| (id.0 as u32).max(1));
            for (place, row) in rows.iter_mut().enumerate() {
                row.truncate(plan.table.columns.len());
                row.push(Value::Oid(if is_updated(place) { number } else { 0 }));
            }
        }
        changed.give(returning.batch(&rows, &mut || self.plain_execution(params, &plan.param_types))?)
    }

    /// An execution for expressions that look at no table.
    pub(crate) fn plain_execution(&self, params: &[Value], types: &[Type]) -> Result<Arc<Execution>> {
        Ok(Arc::new(self.execution(&[], params, types)?))
    }

    fn rows_of_cells(
        &self,
        plan: &InsertPlan,
        cells: &[Vec<Cell>],
        params: &[Value],
    ) -> Result<Vec<Vec<Value>>> {
        let mut rows = Vec::with_capacity(cells.len());
        for row in cells {
            let mut values = Vec::with_capacity(plan.table.columns.len());
            for (position, column) in plan.table.columns.iter().enumerate() {
                let execution = &mut || self.plain_execution(params, &plan.param_types);
                values.push(match plan.fill[position].map(|input| &row[input]) {
                    Some(Cell::Default) | None => self.default_of(plan, position, params)?,
                    Some(cell) => cell_value(cell, &column.ty, params, execution)?,
                });
            }
            rows.push(values);
        }
        Ok(rows)
    }

    fn rows_of_batch(
        &self,
        plan: &InsertPlan,
        batch: &RecordBatch,
        params: &[Value],
    ) -> Result<Vec<Vec<Value>>> {
        let rows = (0..batch.num_rows()).map(|row| {
            let columns =
                plan.table.columns.iter().enumerate().map(|(position, column)| match plan.fill[position] {
                    Some(input) => {
                        let value = value_at(batch.column(input), row, &column.ty)?;
                        cells::assign(value, &column.ty, Look::PLAIN)
                    }
                    None => self.default_of(plan, position, params),
                });
            columns.collect::<Result<Vec<Value>>>()
        });
        rows.collect()
    }

    fn full_row(
        &self,
        plan: &InsertPlan,
        input: &mut dyn FnMut(usize) -> Value,
        params: &[Value],
    ) -> Result<Vec<Value>> {
        let columns = (0..plan.table.columns.len()).map(|position| match plan.fill[position] {
            Some(from) => Ok(input(from)),
            None => self.default_of(plan, position, params),
        });
        columns.collect()
    }

    pub(super) fn default_of(&self, plan: &InsertPlan, position: usize, params: &[Value]) -> Result<Value> {
        let ty = &plan.table.columns[position].ty;
        plan.defaults[position]
            .take(ty, &self.shared, &mut || self.plain_execution(params, &plan.param_types))
    }

    async fn write(
        &mut self,
        plan: &Arc<InsertPlan>,
        mut rows: Vec<Vec<Value>>,
        params: &[Value],
        written: &mut Written,
    ) -> Result<()> {
        self.cancel.check()?;
        self.begin_writing();
        plan.checks.verify(&mut rows, &mut || self.plain_execution(params, &plan.param_types))?;
        match &plan.conflict {
            Conflict::Error => self.write_new(plan, rows, OnConflict::Error, params, written).await,
            Conflict::Nothing(arbiter) => {
                let index = arbiter.as_ref().map(|arbiter| arbiter.index(params)).transpose()?;
                self.write_new(plan, rows, OnConflict::Nothing(index), params, written).await
            }
            Conflict::Update(_) => self.write_or_update(plan, rows, params, written).await,
        }
    }

    async fn write_new(
        &mut self,
        plan: &InsertPlan,
        rows: Vec<Vec<Value>>,
        on_conflict: OnConflict,
        params: &[Value],
        written: &mut Written,
    ) -> Result<()> {
        let table = plan.table.oid;
        let outcome = self.retry(|transaction| transaction.insert(table, &rows, on_conflict)).await?;
        let changed = &mut written.changed;
        changed.rows += outcome.slots.iter().flatten().count() as u64;
        let kept = rows.iter().zip(&outcome.slots).filter(|(_, slot)| slot.is_some()).map(|(row, _)| row);
        self.check_inserted(&plan.table, kept, &mut changed.unchecked).await?;
        let kept = rows.into_iter().zip(&outcome.slots).filter(|(_, slot)| slot.is_some());
        self.return_written(plan, kept.map(|(row, _)| row).collect(), |_| false, params, changed)
    }

    pub(super) fn verify_updated(
        &self,
        plan: &InsertPlan,
        rows: &mut [Vec<Value>],
        params: &[Value],
    ) -> Result<()> {
        plan.checks.verify(rows, &mut || self.plain_execution(params, &plan.param_types))
    }
}
