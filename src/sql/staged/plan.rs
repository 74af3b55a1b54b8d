//! Planning the parts, in order: each is planned like a statement of its own, in which the parts before it are tables.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::catalog::Oid;
use crate::error::{Error, Result, SqlState};
use crate::planner::bindings::Execution;
use crate::planner::system::SystemTable;
use crate::sql::context::PlanContext;
use crate::sql::expressions::output_schema;
use crate::sql::parameters;
use crate::sql::plans::{Made, Plan};
use crate::sql::session::{OutputColumn, Session};
use crate::sql::staged::{Part, Staged};
use crate::sql::statement::Ast;
use crate::types::Type;

/// The plans of a statement in parts.
pub struct StagedPlan {
    pub parts: Vec<PlannedPart>,
    pub main: Plan,
    /// The client is told of the last part.
    pub shows_part: bool,
}

pub struct PlannedPart {
    pub name: String,
    pub plan: Plan,
    /// Of the rows it passes on.
    pub schema: SchemaRef,
}

/// The rows that a part passes on, as a table of the plans after it.
pub struct StagedTable {
    pub name: String,
    number: usize,
    /// Nothing for a data change without RETURNING.
    schema: Option<SchemaRef>,
    /// The columns it passes on, of a statement that has some.
    columns: Option<Arc<[OutputColumn]>>,
}

impl StagedTable {
    /// Rows that a statement gives its query when it runs it.
    pub fn of_rows(name: &str, number: usize, schema: SchemaRef) -> StagedTable {
        StagedTable { name: name.to_owned(), number, schema: Some(schema), columns: None }
    }

    /// 0A000 for a part that passes nothing on.
    pub fn check(&self) -> Result<()> {
        match &self.schema {
            Some(_) => Ok(()),
            None => {
                let message = format!("WITH query \"{}\" does not have a RETURNING clause", self.name);
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
            }
        }
    }
}

impl SystemTable for StagedTable {
    fn oid(&self) -> Oid {
        0
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn scan_name(&self) -> &'static str {
        "CTE Scan"
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty()))
    }

    fn rows(&self, execution: &Execution) -> Result<RecordBatch> {
        let rows = execution.staged.get(self.number).cloned();
        rows.ok_or_else(|| Error::internal(format!("the part \"{}\" has not run", self.name)))
    }

    fn origin(&self, position: usize) -> Option<(Oid, u16)> {
        let column = self.columns.as_ref()?.get(position)?;
        (column.table_oid != 0).then_some((column.table_oid, column.attnum))
    }
}

impl StagedPlan {
    /// The plans, the main one last.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.parts.iter().map(|part| &part.plan).chain([&self.main])
    }

    /// The tables that any of them reads.
    pub fn tables_read(&self) -> Vec<Oid> {
        let mut tables: Vec<Oid> = self.plans().flat_map(Plan::tables_read).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}

impl Session {
    pub(crate) fn make_staged(&self, staged: &Staged, context: &PlanContext) -> Result<Made> {
        let mut known = context.param_types.to_vec();
        let mut made = self.make_parts(staged, context, &mut known)?;
        if known.len() != context.param_types.len() || context.param_types.iter().any(Option::is_none) {
            // Each part was planned with what was known by then; now they all know every parameter.
            for ty in &mut known {
                ty.get_or_insert(Type::Text);
            }
            made = self.make_parts(staged, context, &mut known)?;
        }
        made.param_types = known.into_iter().map(|ty| ty.unwrap_or(Type::Text)).collect();
        Ok(made)
    }

    fn make_parts(
        &self,
        staged: &Staged,
        context: &PlanContext,
        known: &mut Vec<Option<Type>>,
    ) -> Result<Made> {
        let mut tables: Vec<Arc<StagedTable>> = Vec::new();
        let mut parts = Vec::with_capacity(staged.parts.len());
        for part in &staged.parts {
            let context = PlanContext { param_types: known.as_slice(), staged: &tables, ..*context };
            let made = self.make_one(&part.statement, &context);
            let made = made.map_err(|error| if part.taken_out { correlated(error) } else { error })?;
            note_parameters(&part.statement, &made, known);
            let schema = schema_of(part, &made)?;
            let table = StagedTable {
                name: part.name.clone(),
                number: tables.len(),
                schema: schema.clone(),
                columns: made.columns.clone(),
            };
            let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
            parts.push(PlannedPart { name: part.name.clone(), plan: made.plan, schema });
            tables.push(Arc::new(table));
        }
        let context = PlanContext { param_types: known.as_slice(), staged: &tables, ..*context };
        let made = self.make_one(&staged.main, &context)?;
        note_parameters(&staged.main, &made, known);
        let plan =
            Plan::Staged(Arc::new(StagedPlan { parts, main: made.plan, shows_part: staged.shows_part }));
        Ok(Made { plan, ..made })
    }
}

/// A locking subquery that names what is outside of it.
fn correlated(error: Error) -> Error {
    match error.state() {
        SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_TABLE => {
            Error::unsupported("FOR UPDATE in a subquery that refers to the query around it")
                .detail(error.message().to_owned())
        }
        _ => error,
    }
}

/// The parameters that a statement names take the types its plan gave them, unless an earlier part knew.
fn note_parameters(statement: &Ast, made: &Made, known: &mut Vec<Option<Type>>) {
    for number in parameters::named(statement) {
        let Some(ty) = made.param_types.get(number - 1) else { continue };
        if known.len() < number {
            known.resize(number, None);
        }
        known[number - 1].get_or_insert_with(|| ty.clone());
    }
}

/// The rows a part passes on: its columns under the names of WITH, all of them nullable.
fn schema_of(part: &Part, made: &Made) -> Result<Option<SchemaRef>> {
    let Some(columns) = &made.columns else { return Ok(None) };
    if part.columns.len() > columns.len() {
        let message = format!(
            "WITH query \"{}\" has {} columns available but {} columns specified",
            part.name,
            columns.len(),
            part.columns.len()
        );
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    let planned = match &made.plan {
        Plan::Query(query) => query.schema(),
        Plan::Locking(locking) => locking.schema(),
        _ => output_schema(columns),
    };
    let names = names(part, columns);
    let fields = planned.fields().iter().zip(names);
    let fields: Vec<Field> =
        fields.map(|(field, name)| field.as_ref().clone().with_name(name).with_nullable(true)).collect();
    Ok(Some(Arc::new(Schema::new(fields))))
}

fn names(part: &Part, columns: &[OutputColumn]) -> Vec<String> {
    let mut seen = HashSet::new();
    let name = |(position, column): (usize, &OutputColumn)| {
        let name = part.columns.get(position).unwrap_or(&column.name).clone();
        // The planner wants names that differ; those of a second column of the name cannot be written anyway.
        if seen.insert(name.clone()) { name } else { format!("{name} {position}") }
    };
    columns.iter().enumerate().map(name).collect()
}

/// The rows of a part as one batch of its schema.
pub fn batch_of(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let first = batches.first().map(RecordBatch::schema);
    let whole = match first {
        Some(found) => arrow::compute::concat_batches(&found, batches),
        None => return Ok(RecordBatch::new_empty(Arc::clone(schema))),
    };
    let whole = whole.map_err(crate::types::arrow::errors::from_arrow)?;
    let options = RecordBatchOptions::new().with_row_count(Some(whole.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), whole.columns().to_vec(), &options)
        .map_err(crate::types::arrow::errors::from_arrow)
}
