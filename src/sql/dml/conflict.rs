//! ON CONFLICT.
//!
//! DO UPDATE asks the core to report rows whose key exists. Each of those is locked, read as it is now, and updated;
//! one that has meanwhile gone is inserted after all:
//!
//! ```text
//!   rows ─> insert(Report) ─> inserted
//!             │ existing slots
//!             ├─> lock ─> changed since: new snapshot, again
//!             ├─> read ─> gone: back to insert
//!             └─> SET, WHERE, CHECK ─> update
//! ```

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use datafusion::sql::sqlparser::ast::{self, AssignmentTarget, Expr, OnConflictAction, OnInsert};

use crate::catalog::Table;
use crate::database::{LockOutcome, OnConflict, RowUpdate};
use crate::error::{Error, Result, SqlState};
use crate::sql::context::PlanContext;
use crate::sql::dml::arbiter::Arbiter;
use crate::sql::dml::cells::{self, Cell, ParamTypes, Target};
use crate::sql::dml::conflict_query::{Computed, PairsQuery};
use crate::sql::dml::elements::Elements;
use crate::sql::dml::insert::{InsertPlan, Written, cell_value, column_position};
use crate::sql::dml::rows::read;
use crate::sql::expressions::{self, Projection, Relation};
use crate::sql::membership;
use crate::sql::query::Query;
use crate::sql::rewrite;
use crate::sql::session::Session;
use crate::sql::words::object_name;
use crate::types::arrow::value_at;
use crate::types::{Type, Value};

/// What happens to a row whose key exists.
pub enum Conflict {
    Error,
    /// With this unique index, or any.
    Nothing(Option<Arbiter>),
    Update(Box<ConflictUpdate>),
}

/// DO UPDATE SET ... WHERE ...
pub struct ConflictUpdate {
    arbiter: Arbiter,
    sets: Vec<(usize, SetSource)>,
    computation: Computation,
}

/// How SET's expressions and WHERE are computed.
enum Computation {
    /// On the rows at hand.
    OfRows { sets: Option<Box<Projection>>, filter: Option<Box<Projection>> },
    /// With subqueries.
    Query(PairsQuery),
}

/// Where the new value of a column comes from.
pub enum SetSource {
    Cell(Cell),
    /// Of the projection's outputs.
    Output(usize),
}

impl Conflict {
    pub fn new(
        on: &Option<OnInsert>,
        table: &Arc<Table>,
        alias: &str,
        context: &PlanContext,
        params: &mut ParamTypes,
    ) -> Result<Conflict> {
        let clause = match on {
            None => return Ok(Conflict::Error),
            Some(OnInsert::OnConflict(clause)) => clause,
            Some(_) => return Err(Error::unsupported("ON DUPLICATE KEY")),
        };
        let arbiter = match &clause.conflict_target {
            None => None,
            Some(target) => Some(Arbiter::of(target, table, context.catalog, params)?),
        };
        match (&clause.action, arbiter) {
            (OnConflictAction::DoNothing, arbiter) => Ok(Conflict::Nothing(arbiter)),
            (OnConflictAction::DoUpdate(_), None) => {
                let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
                Err(Error::new(SqlState::SYNTAX_ERROR, message)
                    .hint("For example, ON CONFLICT (column_name)."))
            }
            (OnConflictAction::DoUpdate(update), Some(arbiter)) => {
                let update = ConflictUpdate::new(update, arbiter, table, alias, context, params)?;
                Ok(Conflict::Update(Box::new(update)))
            }
        }
    }
}

impl ConflictUpdate {
    fn new(
        update: &ast::DoUpdate,
        arbiter: Arbiter,
        table: &Arc<Table>,
        alias: &str,
        context: &PlanContext,
        params: &mut ParamTypes,
    ) -> Result<ConflictUpdate> {
        let relations = [Relation { alias, table }, Relation { alias: "excluded", table }];
        let Assignments { sets, expressions } = assignments(&update.assignments, table, alias, params)?;
        let columns: Vec<usize> = outputs_of(&sets).collect();
        let computed =
            Computed { expressions: &expressions, columns: &columns, condition: update.selection.as_ref() };
        if computed.has_subquery() {
            let known = PlanContext { param_types: &params.0.clone(), ..*context };
            let pairs = PairsQuery::new(&computed, table, alias, &known)?;
            params.widen(&pairs.query().param_types);
            return Ok(ConflictUpdate { arbiter, sets, computation: Computation::Query(pairs) });
        }
        let targets: Vec<Type> = columns.iter().map(|&column| table.columns[column].ty.clone()).collect();
        let mut compile = |items: Vec<ast::SelectItem>, targets: &[Type]| {
            let known = PlanContext { param_types: &params.0.clone(), ..*context };
            let compiled = expressions::compile(&known, &relations, &items, targets)?;
            params.widen(&compiled.param_types);
            Ok::<_, Error>(Box::new(compiled))
        };
        let projection = match expressions.is_empty() {
            true => None,
            false => Some(compile(expressions::items(expressions), &targets)?),
        };
        let filter = match &update.selection {
            None => None,
            Some(condition) => Some(compile(expressions::items([condition.clone()]), &[Type::Bool])?),
        };
        Ok(ConflictUpdate { arbiter, sets, computation: Computation::OfRows { sets: projection, filter } })
    }

    /// The query that has the subqueries.
    pub fn query(&self) -> Option<&Arc<Query>> {
        match &self.computation {
            Computation::OfRows { .. } => None,
            Computation::Query(pairs) => Some(pairs.query()),
        }
    }
}

/// SET's list: what each column gets, and the expressions among it.
pub struct Assignments {
    pub sets: Vec<(usize, SetSource)>,
    pub expressions: Vec<Expr>,
}

/// Columns that get an output, in order of the outputs.
pub fn outputs_of(sets: &[(usize, SetSource)]) -> impl Iterator<Item = usize> {
    sets.iter().filter(|(_, source)| matches!(source, SetSource::Output(_))).map(|(column, _)| *column)
}

/// Reads SET's list.
pub fn assignments(
    list: &[ast::Assignment],
    table: &Table,
    alias: &str,
    params: &mut ParamTypes,
) -> Result<Assignments> {
    let mut read = Assignments { sets: Vec::new(), expressions: Vec::new() };
    let mut elements = Elements { table, alias, assigned: HashSet::new() };
    for assignment in list {
        if elements.add(assignment, &mut read, params)? {
            continue;
        }
        match (&assignment.target, without_row(&assignment.value).as_ref()) {
            (AssignmentTarget::ColumnName(name), value) => {
                if let [of, _, ..] = name.0.as_slice()
                    && let Some(of) = of.as_ident().map(rewrite::folded)
                    && table.columns.iter().any(|column| column.name == of)
                {
                    return Err(Error::unsupported(format!("assignment to a field of the column \"{of}\"")));
                }
                read.add(&object_name(name).name, value, table, params)?;
            }
            (AssignmentTarget::Tuple(names), Expr::Tuple(values)) if names.len() == values.len() => {
                for (name, value) in names.iter().zip(values) {
                    read.add(&object_name(name).name, value, table, params)?;
                }
            }
            (AssignmentTarget::Tuple(names), Expr::Nested(value)) if names.len() == 1 => {
                read.add(&object_name(&names[0]).name, value, table, params)?;
            }
            (AssignmentTarget::Tuple(_), Expr::Tuple(_)) => {
                let message = "number of columns does not match number of values";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            (AssignmentTarget::Tuple(names), Expr::Subquery(query)) => {
                if membership::width_of(query).is_some_and(|width| width != names.len()) {
                    let message = "number of columns does not match number of values";
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                for (place, name) in names.iter().enumerate() {
                    let value = membership::column_of(query, place, names.len());
                    read.add(&object_name(name).name, &value, table, params)?;
                }
            }
            (AssignmentTarget::Tuple(_), _) => {
                let message =
                    "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
                return Err(Error::unsupported(message));
            }
        }
    }
    Ok(read)
}

/// `ROW (a, b)` is `(a, b)`.
fn without_row(value: &Expr) -> Cow<'_, Expr> {
    match value {
        Expr::Function(row) if rewrite::plain_name(row).as_deref() == Some("row") => {
            match rewrite::arguments(row) {
                Some(values) => Cow::Owned(Expr::Tuple(values)),
                None => Cow::Borrowed(value),
            }
        }
        value => Cow::Borrowed(value),
    }
}

impl Assignments {
    pub(super) fn add(
        &mut self,
        name: &str,
        value: &Expr,
        table: &Table,
        params: &mut ParamTypes,
    ) -> Result<()> {
        let position = column_position(table, name)?;
        if self.sets.iter().any(|(column, _)| *column == position) {
            let message = format!("multiple assignments to same column \"{name}\"");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let column = &table.columns[position];
        let target = Target { name: &column.name, ty: &column.ty };
        let source = match cells::cell(value, &target, params)? {
            Some(cell) => SetSource::Cell(cell),
            None => {
                self.expressions.push(value.clone());
                SetSource::Output(self.expressions.len() - 1)
            }
        };
        if !matches!(source, SetSource::Cell(Cell::Default)) && super::defaults::is_generated_always(column) {
            let message = format!("column \"{name}\" can only be updated to DEFAULT");
            let what = match column.generated {
                Some(_) => "a generated column",
                None => "an identity column defined as GENERATED ALWAYS",
            };
            return Err(Error::new(SqlState::GENERATED_ALWAYS, message)
                .detail(format!("Column \"{name}\" is {what}.")));
        }
        self.sets.push((position, source));
        Ok(())
    }
}

impl Session {
    /// Inserts rows, or updates those that exist.
    pub(super) async fn write_or_update(
        &mut self,
        plan: &Arc<InsertPlan>,
        rows: Vec<Vec<Value>>,
        params: &[Value],
        written: &mut Written,
    ) -> Result<()> {
        let Conflict::Update(update) = &plan.conflict else {
            return Err(Error::internal("an upsert without its clause"));
        };
        let (table, index) = (plan.table.oid, update.arbiter.index(params)?);
        let mut results: Vec<Option<Vec<Value>>> = vec![None; rows.len()];
        let mut inserted = vec![false; rows.len()];
        let mut pending: Vec<usize> = (0..rows.len()).collect();
        while !pending.is_empty() {
            let batch: Vec<Vec<Value>> = pending.iter().map(|&row| rows[row].clone()).collect();
            let mode = OnConflict::Report(index);
            let outcome = self.retry(|transaction| transaction.insert(table, &batch, mode)).await?;
            for (&row, slot) in pending.iter().zip(&outcome.slots) {
                if let Some(slot) = slot {
                    written.touched.insert(*slot);
                    results[row] = Some(rows[row].clone());
                    inserted[row] = true;
                    written.changed.rows += 1;
                }
            }
            let conflicts = outcome.conflicts.iter().map(|&(at, slot)| (pending[at], slot)).collect();
            pending =
                self.update_existing(plan, update, &rows, conflicts, params, written, &mut results).await?;
        }
        self.check_inserted(&plan.table, results.iter().flatten(), &mut written.changed.unchecked).await?;
        let (rows, inserted): (Vec<Vec<Value>>, Vec<bool>) =
            results.into_iter().zip(inserted).filter_map(|(row, inserted)| Some((row?, inserted))).unzip();
        self.return_written(plan, rows, |place| !inserted[place], params, &mut written.changed)
    }

    /// Updates the rows in these slots; returns the rows whose slot is gone.
    async fn update_existing(
        &mut self,
        plan: &InsertPlan,
        update: &ConflictUpdate,
        rows: &[Vec<Value>],
        conflicts: Vec<(usize, u32)>,
        params: &[Value],
        written: &mut Written,
        results: &mut [Option<Vec<Value>>],
    ) -> Result<Vec<usize>> {
        if conflicts.is_empty() {
            return Ok(Vec::new());
        }
        let slots: Vec<u32> = conflicts.iter().map(|&(_, slot)| slot).collect();
        if slots.iter().any(|slot| written.touched.contains(slot)) {
            return Err(second_time());
        }
        let table = plan.table.oid;
        while self.retry(|transaction| transaction.lock_rows(table, &slots)).await? == LockOutcome::Restart {
            self.restart_statement()?;
        }
        let snapshot = self.shared.with_transaction(|transaction| transaction.snapshot(table))?;
        let old = read(&snapshot, &slots, true)?;
        let mut gone = Vec::new();
        let mut present = Vec::new();
        for ((row, slot), old) in conflicts.into_iter().zip(old) {
            match old {
                Some(old) => present.push(Place { row, slot, old }),
                None => gone.push(row),
            }
        }
        self.update_present(plan, update, rows, present, params, written, results).await?;
        Ok(gone)
    }

    /// The rows that the clause's WHERE lets pass, and what SET computes of each.
    async fn admitted(
        &self,
        plan: &InsertPlan,
        update: &ConflictUpdate,
        rows: &[Vec<Value>],
        present: Vec<Place>,
        params: &[Value],
        touched: &mut HashSet<u32>,
    ) -> Result<(Vec<Place>, Vec<Vec<Value>>)> {
        // Expressions see what statements see.
        let width = plan.table.columns.len();
        let (sets, filter) = match &update.computation {
            Computation::OfRows { sets, filter } => (sets, filter),
            Computation::Query(pairs) => {
                let both = present.iter().map(|place| [&place.old[..width], &rows[place.row][..width]]);
                let computed = self.compute_pairs(pairs, &both.collect::<Vec<_>>(), params).await?;
                let places = admit(present, touched, |position| computed[position].is_some())?;
                return Ok((places, computed.into_iter().flatten().collect()));
            }
        };
        let evaluate = |projection: &Projection, places: &[Place]| {
            let both = places.iter().map(|place| {
                place.old[..width].iter().chain(&rows[place.row][..width]).cloned().collect::<Vec<Value>>()
            });
            let batch = expressions::batch(projection.input(), &both.collect::<Vec<_>>())?;
            projection.evaluate(&batch, self.plain_execution(params, &plan.param_types)?)
        };
        let filter = filter.as_ref().map(|filter| evaluate(filter, &present)).transpose()?;
        let passes = |position: usize| match &filter {
            None => true,
            Some(arrays) => arrays[0].is_valid(position) && arrays[0].as_boolean().value(position),
        };
        let places = admit(present, touched, passes)?;
        let arrays = sets.as_ref().map(|sets| evaluate(sets, &places)).transpose()?.unwrap_or_default();
        let outputs = (0..places.len()).map(|position| {
            let columns = arrays.iter().zip(outputs_of(&update.sets));
            columns.map(|(array, column)| value_at(array, position, &plan.table.columns[column].ty)).collect()
        });
        let outputs = outputs.collect::<Result<_>>()?;
        Ok((places, outputs))
    }

    /// Updates the rows that the clause's WHERE lets pass. One that it does not is not touched, and may come again.
    async fn update_present(
        &mut self,
        plan: &InsertPlan,
        update: &ConflictUpdate,
        rows: &[Vec<Value>],
        present: Vec<Place>,
        params: &[Value],
        written: &mut Written,
        results: &mut [Option<Vec<Value>>],
    ) -> Result<()> {
        let (places, outputs) =
            self.admitted(plan, update, rows, present, params, &mut written.touched).await?;
        let mut new_rows: Vec<Vec<Value>> = Vec::new();
        for (place, outputs) in places.iter().zip(outputs) {
            let mut new = place.old.clone();
            for (column, source) in &update.sets {
                let ty = &plan.table.columns[*column].ty;
                new[*column] = match source {
                    SetSource::Output(output) => outputs[*output].clone(),
                    SetSource::Cell(Cell::Default) => self.default_of(plan, *column, params)?,
                    SetSource::Cell(cell) => {
                        cell_value(cell, ty, params, &mut || self.plain_execution(params, &plan.param_types))?
                    }
                };
            }
            plan.checks.refuse_move(&place.old, &new)?;
            new_rows.push(new);
        }
        self.verify_updated(plan, &mut new_rows, params)?;
        let updates = places.iter().zip(new_rows).map(|(place, row)| {
            let vectors_changed = vectors_differ(&plan.table, &place.old, &row);
            RowUpdate { slot: place.slot, row, vectors_changed }
        });
        let updates: Vec<RowUpdate> = updates.collect();
        let table = plan.table.oid;
        let slots = self.retry(|transaction| transaction.update(table, &updates)).await?;
        written.changed.rows += slots.len() as u64;
        written.touched.extend(slots);
        if let Some(referenced) = self.referenced(&plan.table) {
            let rows = places.iter().zip(&updates);
            let changes = rows.filter_map(|(place, new)| referenced.change(&place.old, Some(&new.row)));
            self.follow_references(&plan.table, changes.collect()).await?;
        }
        for (place, new) in places.into_iter().zip(updates) {
            results[place.row] = Some(new.row);
        }
        Ok(())
    }
}

/// A proposed row's place among them, and the row that exists.
struct Place {
    row: usize,
    slot: u32,
    old: Vec<Value>,
}

/// Those that pass, each of which must not have been touched before.
fn admit(
    present: Vec<Place>,
    touched: &mut HashSet<u32>,
    passes: impl Fn(usize) -> bool,
) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for (position, place) in present.into_iter().enumerate() {
        if touched.contains(&place.slot) {
            return Err(second_time());
        }
        if passes(position) {
            touched.insert(place.slot);
            places.push(place);
        }
    }
    Ok(places)
}

fn second_time() -> Error {
    let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
    Error::new(SqlState::CARDINALITY_VIOLATION, message).hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
    )
}

/// Whether a cell of a `vector(n)` column is another one, in a hidden column too.
pub fn vectors_differ(table: &Table, old: &[Value], new: &[Value]) -> bool {
    let mut vectors = table.stored_columns().enumerate().filter(|(_, column)| column.is_slot_vector());
    vectors.any(|(position, _)| old[position] != new[position])
}
