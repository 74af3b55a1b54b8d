//! Columns that are computed: GENERATED ALWAYS AS (...) STORED, and the hidden ones that indexes are on.
//!
//! Their expressions see the columns of the row that statements see. They are compiled with the statement, and evaluated
//! for all rows of a batch before these go to the core; the log has the values, so that recovery evaluates nothing.
//! A column with a guard is evaluated only for the rows in which the guard is true, and is NULL in the others.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};

use crate::catalog::{Column, Table};
use crate::error::{Error, Result, SqlState};
use crate::planner::bindings::Execution;
use crate::sql::context::PlanContext;
use crate::sql::ddl::columns_of;
use crate::sql::dialect;
use crate::sql::expressions::{self, Projection, Relation};
use crate::types::arrow::{array, type_of, value_at};
use crate::types::{Look, Type, Value};

/// Computed columns of a table, ready to be evaluated.
#[derive(Default)]
pub struct Computed {
    groups: Vec<Group>,
}

/// Columns that are computed for the same rows.
struct Group {
    guard: Option<usize>,
    /// Positions in the stored row, and types.
    columns: Vec<(usize, Type)>,
    projection: Projection,
    /// Positions of the columns that the expressions read.
    reads: Vec<usize>,
}

impl Computed {
    /// The columns at these positions of a stored row.
    pub fn compile(table: &Table, positions: &[usize], context: &PlanContext) -> Result<Computed> {
        let mut guards: Vec<Option<usize>> = Vec::new();
        for &position in positions {
            let guard = guard_of(table, position);
            if !guards.contains(&guard) {
                guards.push(guard);
            }
        }
        // Guards have none themselves, and come first.
        guards.sort_unstable();
        let group = |guard: Option<usize>| {
            let of_group = positions.iter().copied().filter(|&position| guard_of(table, position) == guard);
            Group::compile(table, guard, of_group.collect(), context)
        };
        Ok(Computed { groups: guards.into_iter().map(group).collect::<Result<_>>()? })
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Positions of the columns that are read, ascending.
    pub fn reads(&self) -> Vec<usize> {
        let mut reads: Vec<usize> =
            self.groups.iter().flat_map(|group| group.reads.iter().copied()).collect();
        reads.sort_unstable();
        reads.dedup();
        reads
    }

    /// Whether a vector column is read or written.
    pub fn touches_vectors(&self, table: &Table) -> bool {
        let is_vector = |position: &usize| table.stored_column(*position).is_some_and(Column::is_slot_vector);
        self.groups.iter().any(|group| {
            group.reads.iter().any(is_vector) || group.columns.iter().any(|(position, _)| is_vector(position))
        })
    }

    /// Puts the values into the rows, which are as wide as the table stores them.
    pub fn fill(
        &self,
        rows: &mut [Vec<Value>],
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<()> {
        self.groups.iter().try_for_each(|group| group.fill(rows, execution))
    }
}

impl Group {
    fn compile(
        table: &Table,
        guard: Option<usize>,
        positions: Vec<usize>,
        context: &PlanContext,
    ) -> Result<Group> {
        let mut columns = Vec::with_capacity(positions.len());
        let mut parsed = Vec::with_capacity(positions.len());
        let mut reads = Vec::new();
        for position in positions {
            let column = table.stored_column(position);
            let (Some(column), Some(sql)) = (column, column.and_then(expression_of)) else { continue };
            parsed.push(dialect::parse_expression(sql)?);
            reads.extend(columns_of(sql, table)?.iter().filter_map(|number| table.position(*number)));
            columns.push((position, column.ty.clone()));
        }
        reads.sort_unstable();
        reads.dedup();
        // What is kept does not depend on who writes it.
        let environment = context.environment.with_look(Look::PLAIN);
        let plain = PlanContext { param_types: &[], environment: &environment, ..*context };
        let targets: Vec<Type> = columns.iter().map(|(_, ty)| ty.clone()).collect();
        let relations = [Relation { alias: &table.name, table }];
        let projection = expressions::compile(&plain, &relations, &expressions::items(parsed), &targets)?;
        Ok(Group { guard, columns, projection, reads })
    }

    fn fill(
        &self,
        rows: &mut [Vec<Value>],
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<()> {
        let inside = |row: &Vec<Value>| self.guard.is_none_or(|guard| row[guard] == Value::Bool(true));
        let chosen: Vec<usize> = (0..rows.len()).filter(|&row| inside(&rows[row])).collect();
        for row in rows.iter_mut() {
            self.columns.iter().for_each(|(position, _)| row[*position] = Value::Null);
        }
        if chosen.is_empty() {
            return Ok(());
        }
        let batch = self.batch(rows, &chosen)?;
        let arrays = self.projection.evaluate(&batch, execution()?)?;
        for ((position, ty), values) in self.columns.iter().zip(&arrays) {
            for (place, &row) in chosen.iter().enumerate() {
                rows[row][*position] = value_at(values, place, ty)?;
            }
        }
        Ok(())
    }

    /// The chosen rows as the expressions take them; columns they do not read are NULL.
    fn batch(&self, rows: &[Vec<Value>], chosen: &[usize]) -> Result<RecordBatch> {
        let schema = self.projection.input();
        let mut arrays = Vec::with_capacity(schema.fields().len());
        for (position, field) in schema.fields().iter().enumerate() {
            arrays.push(match self.reads.contains(&position) {
                true => array(&type_of(field), chosen.iter().map(|&row| &rows[row][position]))?,
                false => new_null_array(field.data_type(), chosen.len()),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(chosen.len()));
        RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
            .map_err(|error| Error::internal(error.to_string()))
    }
}

fn expression_of(column: &Column) -> Option<&str> {
    column.generated.as_ref().map(|generated| generated.sql.as_str())
}

fn guard_of(table: &Table, position: usize) -> Option<usize> {
    table.position(table.stored_column(position)?.generated.as_ref()?.guard?)
}

/// Positions of the generated columns that statements see, and of the hidden ones.
pub fn all(table: &Table) -> (Vec<usize>, Vec<usize>) {
    let visible = table.columns.iter().enumerate().filter(|(_, column)| column.generated.is_some());
    (visible.map(|(position, _)| position).collect(), (table.columns.len()..table.stored_width()).collect())
}

/// Those of them whose values may change when the columns at these positions are set.
pub fn affected(table: &Table, set: &[usize]) -> Result<(Vec<usize>, Vec<usize>)> {
    let (mut visible, hidden) = all(table);
    let mut changed = set.to_vec();
    let reads = |position: usize, changed: &[usize]| -> Result<bool> {
        let Some(sql) = table.stored_column(position).and_then(expression_of) else { return Ok(false) };
        let numbers = columns_of(sql, table)?;
        Ok(numbers.iter().filter_map(|number| table.position(*number)).any(|read| changed.contains(&read)))
    };
    let mut kept = Vec::new();
    for position in std::mem::take(&mut visible) {
        if set.contains(&position) || reads(position, set)? {
            kept.push(position);
        }
    }
    changed.extend(&kept);
    let mut kept_hidden: Vec<usize> = Vec::new();
    for &position in hidden.iter().filter(|position| guard_of(table, **position).is_none()) {
        if reads(position, &changed)? {
            kept_hidden.push(position);
        }
    }
    for position in hidden {
        let Some(guard) = guard_of(table, position) else { continue };
        if kept_hidden.contains(&guard) || reads(position, &changed)? {
            kept_hidden.push(position);
        }
    }
    Ok((kept, kept_hidden))
}

/// Where an expression stands whose values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    GeneratedColumn,
    Index,
    IndexPredicate,
}

/// Compiles an expression whose values are kept, and refuses what may give another value tomorrow (42P17).
pub fn check_kept(
    table: &Table,
    sql: &str,
    target: Option<&Type>,
    place: Place,
    context: &PlanContext,
) -> Result<Type> {
    let parsed = dialect::parse_expression(sql)?;
    if crate::sql::rewrite::has_subquery(&parsed) {
        let place = match place {
            Place::GeneratedColumn => "column generation expression",
            Place::Index => "index expression",
            Place::IndexPredicate => "index predicate",
        };
        let message = format!("cannot use subquery in {place}");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let plain = PlanContext { param_types: &[], ..*context };
    let relations = [Relation { alias: &table.name, table }];
    let items = expressions::items([parsed]);
    let compiled =
        expressions::compile(&plain, &relations, &items, target.map_or(&[][..], std::slice::from_ref))?;
    if compiled.is_immutable() {
        let environment = context.environment.with_look(Look::PLAIN);
        let plain = PlanContext { environment: &environment, ..plain };
        let kept =
            expressions::compile(&plain, &relations, &items, target.map_or(&[][..], std::slice::from_ref))?;
        if kept.text() != compiled.text() {
            let message = "a constant that is another one in the time zone UTC, in an expression whose values are kept,";
            return Err(Error::unsupported(message));
        }
        return Ok(compiled.columns[0].ty.clone());
    }
    let message = match place {
        Place::GeneratedColumn => "generation expression is not immutable",
        Place::Index => "functions in index expression must be marked IMMUTABLE",
        Place::IndexPredicate => "functions in index predicate must be marked IMMUTABLE",
    };
    Err(Error::new(SqlState("42P17"), message))
}
