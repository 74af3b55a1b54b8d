//! Rows of a table: what is computed of them, what they must satisfy, and how they are read back.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use datafusion::sql::sqlparser::ast::Expr;

use crate::catalog::{Column, Constraint, ConstraintKind, Table};
use crate::error::{Error, Result, SqlState};
use crate::functions::domains::{NOT_NULL, violation};
use crate::planner::bindings::Execution;
use crate::sql::context::PlanContext;
use crate::sql::dialect;
use crate::sql::dml::generated::{self, Computed};
use crate::sql::domains;
use crate::sql::expressions::{self, Projection, Relation};
use crate::sql::known::quoted;
use crate::sql::partitions::Place;
use crate::table::Snapshot;
use crate::table::rows::decode_vector;
use crate::types::{Type, Value, cast, text};

/// Bytes of a value shown in an error's detail, as in PostgreSQL.
const SHOWN_BYTES_MAX: usize = 64;

/// What a table computes and asks of its rows: generated columns, NOT NULL, CHECK, hidden columns.
pub struct Checks {
    table: Arc<Table>,
    asked: Vec<Asked>,
    compiled: Option<Projection>,
    generated: Computed,
    hidden: Computed,
    place: Place,
}

impl Checks {
    /// Whether verifying a row evaluates expressions; NOT NULL is none.
    pub fn have_expressions(&self) -> bool {
        self.compiled.is_some() || !self.generated.is_empty() || !self.hidden.is_empty()
    }

    /// For new rows.
    pub fn of(table: &Arc<Table>, context: &PlanContext) -> Result<Checks> {
        Checks::computing(table, generated::all(table), None, context)
    }

    /// For rows of which the columns at these positions are set: what does not depend on them stays as it is.
    pub fn after_set(table: &Arc<Table>, set: &[usize], context: &PlanContext) -> Result<Checks> {
        Checks::computing(table, generated::affected(table, set)?, Some(set), context)
    }

    /// With the computed columns at these positions, visible and hidden ones.
    fn computing(
        table: &Arc<Table>,
        (generated, hidden): (Vec<usize>, Vec<usize>),
        set: Option<&[usize]>,
        context: &PlanContext,
    ) -> Result<Checks> {
        let is_new =
            |position: usize| set.is_none_or(|set| set.contains(&position)) || generated.contains(&position);
        let (asked, conditions) = conditions(table, &is_new, context)?;
        let compiled = match asked.is_empty() {
            true => None,
            false => Some(compile(table, conditions, context)?),
        };
        let generated = Computed::compile(table, &generated, context)?;
        let hidden = Computed::compile(table, &hidden, context)?;
        Ok(Checks { table: table.clone(), asked, compiled, generated, hidden, place: Place::of(table)? })
    }

    /// Whether vectors are looked at or computed; CHECK conditions may look at any column.
    pub fn need_vectors(&self) -> bool {
        self.compiled.is_some()
            || self.generated.touches_vectors(&self.table)
            || self.hidden.touches_vectors(&self.table)
    }

    /// Makes rows ready to be stored: computes what is generated, verifies the rest (23502 and 23514), and adds what
    /// indexes are on.
    pub fn verify(
        &self,
        rows: &mut [Vec<Value>],
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<()> {
        self.verify_visible(rows, execution)?;
        self.add_hidden(rows, execution)
    }

    /// The last step of [`Checks::verify`].
    pub fn add_hidden(
        &self,
        rows: &mut [Vec<Value>],
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<()> {
        rows.iter_mut().for_each(|row| row.resize(self.table.stored_width(), Value::Null));
        self.hidden.fill(rows, execution)
    }

    /// [`Checks::verify`] without its last step.
    pub fn verify_visible(
        &self,
        rows: &mut [Vec<Value>],
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<()> {
        self.place.route(&self.table, rows)?;
        self.generated.fill(rows, execution)?;
        // Row by row: a later one is not looked at.
        let missing = rows.iter().enumerate().find_map(|(at, row)| Some((at, self.null(row)?)));
        self.verify_checks(&rows[..missing.map_or(rows.len(), |(at, _)| at)], execution)?;
        if let Some((at, column)) = missing {
            return Err(self.null_violation(column, &rows[at]));
        }
        match self.place.foreign(rows) {
            None => Ok(()),
            Some(row) => Err(self.outside(row)),
        }
    }

    /// Of [`Checks::verify_visible`], what domains ask of the cells of some columns, which COPY asks before its WHERE: the
    /// column's position and the error, where one is not in its domain.
    pub fn outside_domain(
        &self,
        row: &Vec<Value>,
        columns: &[usize],
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<Option<(usize, Error)>> {
        let position = |asked: &Asked| match asked {
            Asked::OfDomain { position, .. } => Some(*position).filter(|position| columns.contains(position)),
            Asked::OfTable(_) => None,
        };
        if !self.asked.iter().any(|asked| position(asked).is_some()) {
            return Ok(None);
        }
        let failed = self.failed(std::slice::from_ref(row), &|asked| position(asked).is_some(), execution)?;
        Ok(failed.and_then(|(asked, row)| Some((position(asked)?, self.violation_of(asked, row)))))
    }

    fn verify_checks(
        &self,
        rows: &[Vec<Value>],
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<()> {
        match self.failed(rows, &|_| true, execution)? {
            None => Ok(()),
            Some((asked, row)) => Err(self.violation_of(asked, row)),
        }
    }

    fn violation_of(&self, asked: &Asked, row: &[Value]) -> Error {
        match asked {
            Asked::OfTable(name) => self.check_violation(name, row),
            Asked::OfDomain { schema, domain, condition, .. } => violation(schema, domain, condition),
        }
    }

    /// The first row for which some condition does not hold, and the first such condition.
    fn failed<'r>(
        &self,
        rows: &'r [Vec<Value>],
        counts: &dyn Fn(&Asked) -> bool,
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<Option<(&Asked, &'r Vec<Value>)>> {
        let Some(compiled) = &self.compiled else { return Ok(None) };
        let batch = expressions::batch(compiled.input(), rows)?;
        let arrays = compiled.evaluate(&batch, execution()?)?;
        let mut first: Option<(usize, &Asked)> = None;
        for (array, asked) in arrays.iter().zip(&self.asked).filter(|(_, asked)| counts(asked)) {
            let truths = array.as_boolean();
            // NULL passes.
            let end = first.map_or(rows.len(), |(row, _)| row);
            let failed = (0..end).find(|&row| truths.is_valid(row) && !truths.value(row));
            first = failed.map(|row| (row, asked)).or(first);
        }
        Ok(first.map(|(row, asked)| (asked, &rows[row])))
    }

    /// The first column that must not be NULL and is.
    fn null(&self, row: &[Value]) -> Option<&Column> {
        let mut cells = self.table.columns.iter().zip(row);
        let missing = cells.find(|(column, value)| column.not_null && **value == Value::Null);
        missing.map(|(column, _)| column)
    }

    fn null_violation(&self, column: &Column, row: &[Value]) -> Error {
        let table = &self.table;
        let message = format!(
            "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
            column.name, table.name
        );
        Error::new(SqlState::NOT_NULL_VIOLATION, message)
            .detail(failing_row(table, row))
            .table(&table.schema, &table.name)
            .column(&column.name)
    }

    /// 0A000 for what ON CONFLICT DO UPDATE may not do: move a row to another partition.
    pub fn refuse_move(&self, old: &[Value], new: &[Value]) -> Result<()> {
        if !self.place.is_left(old, new) {
            return Ok(());
        }
        let detail = "The result tuple would appear in a different partition than the original tuple.";
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "invalid ON UPDATE specification").detail(detail))
    }

    /// A row written to a partition that it is not of.
    fn outside(&self, row: &[Value]) -> Error {
        let table = &self.table;
        let message = format!("new row for relation \"{}\" violates partition constraint", table.name);
        Error::new(SqlState::CHECK_VIOLATION, message)
            .detail(failing_row(table, row))
            .table(&table.schema, &table.name)
    }

    fn check_violation(&self, name: &str, row: &[Value]) -> Error {
        let table = &self.table;
        let message = format!("new row for relation \"{}\" violates check constraint \"{name}\"", table.name);
        Error::new(SqlState::CHECK_VIOLATION, message)
            .detail(failing_row(table, row))
            .table(&table.schema, &table.name)
            .constraint(name)
    }
}

/// Whose condition it is.
enum Asked {
    OfTable(String),
    /// Of the cells of the column at a position.
    OfDomain {
        position: usize,
        schema: String,
        domain: String,
        condition: String,
    },
}

/// What is asked of each row: of new cells of domains first, as PostgreSQL makes the cells before the row.
fn conditions(
    table: &Table,
    is_new: &dyn Fn(usize) -> bool,
    context: &PlanContext,
) -> Result<(Vec<Asked>, Vec<Expr>)> {
    let (mut asked, mut expressions) = (Vec::new(), Vec::new());
    let columns = table.columns.iter().enumerate().filter(|(position, _)| is_new(*position));
    for (position, column) in columns {
        let Some(domain) = context.catalog.domain_of(column) else { continue };
        let domain = context.catalog.whole_domain(domain);
        let cell = Expr::Identifier(quoted(&column.name));
        let mut add = |condition: &str, expression| {
            let (schema, name) = (domain.schema.clone(), domain.name.clone());
            asked.push(Asked::OfDomain { position, schema, domain: name, condition: condition.to_owned() });
            expressions.push(expression);
        };
        if domain.not_null {
            add(NOT_NULL, Expr::IsNotNull(Box::new(cell.clone())));
        }
        for (name, condition) in domains::conditions(&domain, &cell)? {
            add(&name, condition);
        }
    }
    // By name, and not in the order they were added.
    let mut constraints: Vec<&Constraint> = table.constraints.iter().collect();
    constraints.sort_by(|a, b| a.name.cmp(&b.name));
    for constraint in constraints {
        if let ConstraintKind::Check { sql } = &constraint.kind {
            asked.push(Asked::OfTable(constraint.name.clone()));
            expressions.push(dialect::parse_expression(sql)?);
        }
    }
    Ok((asked, expressions))
}

fn compile(table: &Arc<Table>, expressions: Vec<Expr>, context: &PlanContext) -> Result<Projection> {
    let targets = vec![Type::Bool; expressions.len()];
    let plain = PlanContext { param_types: &[], ..*context };
    expressions::compile(
        &plain,
        &[Relation { alias: &table.name, table }],
        &expressions::items(expressions),
        &targets,
    )
}

fn failing_row(table: &Table, row: &[Value]) -> String {
    let cells = table.columns.iter().zip(row).map(|(column, value)| shown(value, &column.ty));
    format!("Failing row contains ({}).", cells.collect::<Vec<_>>().join(", "))
}

fn shown(value: &Value, ty: &Type) -> String {
    if *value == Value::Null {
        return "null".into();
    }
    let mut text = text::to_string(&cast::filled(value.clone(), ty));
    if text.len() > SHOWN_BYTES_MAX {
        let end = (0..=SHOWN_BYTES_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Stored rows by slot, hidden columns too; `None` where none is visible. With `vectors`, cells of `vector(n)` columns
/// are read.
pub fn read(snapshot: &Snapshot, slots: &[u32], vectors: bool) -> Result<Vec<Option<Vec<Value>>>> {
    Ok(read_measured(snapshot, slots, vectors)?.0)
}

/// [`read`], and how many bytes the rows take where they are stored.
pub fn read_measured(
    snapshot: &Snapshot,
    slots: &[u32],
    vectors: bool,
) -> Result<(Vec<Option<Vec<Value>>>, usize)> {
    let table = snapshot.definition();
    let views = table.stored_columns().enumerate();
    let views = views
        .filter(|(_, column)| vectors && column.is_slot_vector())
        .map(|(position, column)| Ok((position, &column.ty, snapshot.vector_view(column.number)?)))
        .collect::<Result<Vec<_>>>()?;
    let bytes = snapshot.rows(slots)?;
    let mut rows = Vec::with_capacity(slots.len());
    let mut total = 0;
    for (&slot, row) in slots.iter().zip(bytes) {
        let Some(row) = row else {
            rows.push(None);
            continue;
        };
        total += row.len();
        let mut values = snapshot.layout().read(&row)?.values()?;
        for (position, ty, view) in &views {
            // Rows from before a hidden column do not say whether it is NULL.
            let is_null = match *position < table.columns.len() {
                true => values[*position] == Value::Null,
                false => slot >= view.slots_end() || view.is_null(slot),
            };
            values[*position] = if is_null {
                Value::Null
            } else {
                // What an UPDATE carries along gets a new checksum.
                view.verify(slot)?;
                let bytes = view.bytes(slot);
                total += bytes.len();
                decode_vector(bytes, ty)?
            };
        }
        rows.push(Some(values));
    }
    views.iter().try_for_each(|(_, _, view)| view.refuse_unread())?;
    Ok((rows, total))
}
