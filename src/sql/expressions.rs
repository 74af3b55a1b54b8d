//! Select lists over rows that are not in a table: CHECK, RETURNING, and the SET of ON CONFLICT.
//!
//! `expression` compiles single expressions; here they become lists with PostgreSQL's output columns, and values become
//! the batches they are evaluated over. Rows come as one batch that holds the columns of all relations side by side.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{self, Expr, SelectItem, SelectItemQualifiedWildcardKind};

use crate::catalog::{self, Table};
use crate::error::{Error, Result, SqlState};
use crate::planner::bindings::Execution;
use crate::sql::context::PlanContext;
use crate::sql::expression::{self, Expressions, Scope};
use crate::sql::known;
use crate::sql::rewrite;
use crate::sql::session::OutputColumn;
use crate::sql::system::rewrite::tables::is_tableoid;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};
use crate::table::provider::SLOT_COLUMN;
use crate::types::arrow::{self as arrow_types, field, type_of};
use crate::types::{Type, Value};

/// A table's columns under a name.
#[derive(Clone, Debug)]
pub struct Relation<'a> {
    pub alias: &'a str,
    pub table: &'a Table,
}

/// Compiled expressions with their output columns.
pub struct Projection {
    pub columns: Arc<[OutputColumn]>,
    pub param_types: Vec<Type>,
    compiled: Expressions,
    schema: SchemaRef,
}

/// Compiles a select list over `relations`; `*` is all columns of the first. Outputs are assigned to `targets`,
/// position by position, as far as there are any.
pub fn compile(
    context: &PlanContext,
    relations: &[Relation],
    items: &[SelectItem],
    targets: &[Type],
) -> Result<Projection> {
    let mut outputs = Vec::new();
    for item in items {
        expand(item, relations, &mut outputs)?;
    }
    outputs.iter_mut().for_each(|output| name_tables(&mut output.expression, relations));
    let scopes = relations.iter().map(|relation| Scope::of_table(relation.table, Some(relation.alias)));
    let scope = scopes.reduce(Scope::and).unwrap_or_default();
    let list: Vec<_> =
        outputs.iter().enumerate().map(|(n, output)| (&output.expression, targets.get(n))).collect();
    let compiled = expression::compile(&list, &scope, context)?;
    let columns = outputs.iter().zip(compiled.types()).map(|(output, ty)| {
        let (table_oid, attnum) = origin(&output.expression, relations);
        OutputColumn { name: output.name.clone(), ty: ty.clone(), table_oid, attnum }
    });
    let count = compiled.param_types.keys().last().copied().unwrap_or(0).max(context.param_types.len());
    let given = |number: usize| context.param_types.get(number - 1).cloned().flatten();
    let found = |number: usize| compiled.param_types.get(&number).cloned().flatten();
    let fields: Vec<Field> =
        scope.columns().iter().map(|column| field(column.name.clone(), &column.ty, true)).collect();
    Ok(Projection {
        columns: columns.collect(),
        param_types: (1..=count).map(|n| given(n).or_else(|| found(n)).unwrap_or(Type::Text)).collect(),
        schema: Arc::new(Schema::new(fields)),
        compiled,
    })
}

/// `tableoid`, bare or behind the name of a relation, as what it is.
fn name_tables(expr: &mut Expr, relations: &[Relation]) {
    let _ = visit::expressions_mut(expr, |part| {
        let relation = match &*part {
            Expr::Identifier(name) if is_tableoid(name) => relations.first(),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [.., table, column] if is_tableoid(column) => {
                    let called = fold(table);
                    relations.iter().find(|relation| relation.alias == called)
                }
                _ => None,
            },
            _ => None,
        };
        // Rows of no table have none, nor have those that were not written.
        let counts = |relation: &&Relation| {
            let Relation { alias, table } = relation;
            table.oid != 0 && *alias != "excluded" && table.column("tableoid").is_none()
        };
        if let Some(Relation { alias, table }) = relation.filter(counts)
            && let Some(oid) = known::table_oid(table, alias)
        {
            *part = oid;
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Columns that are in no table, as expressions name them.
pub fn row_type(columns: impl IntoIterator<Item = (String, Type)>) -> Table {
    let column = |(name, ty): (String, Type)| catalog::Column {
        metadata_index: false,
        ..catalog::Column::new(0, &name, ty)
    };
    Table {
        oid: 0,
        schema: String::new(),
        name: String::new(),
        storage: 0,
        columns: columns.into_iter().map(column).collect(),
        hidden: Vec::new(),
        dropped: Vec::new(),
        constraints: Vec::new(),
        kind: catalog::TableKind::Ordinary,
        comment: None,
        temporary: None,
        unlogged: false,
        options: Vec::new(),
        partitioning: None,
        replica_identity: None,
        part: None,
        materialized: None,
        comments: Vec::new(),
    }
}

/// Select items that are expressions alone.
pub fn items(expressions: impl IntoIterator<Item = ast::Expr>) -> Vec<SelectItem> {
    expressions.into_iter().map(SelectItem::UnnamedExpr).collect()
}

impl Projection {
    /// The schema of the batches it takes.
    pub fn input(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether the same row gives the same outputs at all times.
    pub fn is_immutable(&self) -> bool {
        self.compiled.is_immutable
    }

    /// What is left to compute, with its constants: the same for the same expressions.
    pub fn text(&self) -> String {
        self.compiled.to_string()
    }

    /// The outputs for each row of `batch`.
    pub fn evaluate(&self, batch: &RecordBatch, execution: Arc<Execution>) -> Result<Vec<ArrayRef>> {
        self.compiled.evaluate(batch, &execution)
    }
}

/// One output before it is planned: its expression, and its name when that is known.
struct Output {
    expression: ast::Expr,
    name: String,
}

fn expand(item: &SelectItem, relations: &[Relation], outputs: &mut Vec<Output>) -> Result<()> {
    match item {
        SelectItem::UnnamedExpr(expression) => {
            outputs.push(Output { name: rewrite::name_of(expression), expression: expression.clone() });
        }
        SelectItem::ExprWithAlias { expr, alias } => {
            outputs.push(Output { name: fold(alias), expression: expr.clone() });
        }
        SelectItem::Wildcard(_) => all_columns(relations.first(), outputs),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let alias = object_name(name).name;
            let relation = relations.iter().find(|relation| relation.alias == alias);
            if relation.is_none() {
                let message = format!("missing FROM-clause entry for table \"{alias}\"");
                return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
            }
            all_columns(relation, outputs);
        }
        other => return Err(Error::unsupported(format!("{other} in this list"))),
    }
    Ok(())
}

fn all_columns(relation: Option<&Relation>, outputs: &mut Vec<Output>) {
    let Some(relation) = relation else { return };
    // Not where a row of another table lies, which joins carry along.
    for column in relation.table.columns.iter().filter(|column| column.name != SLOT_COLUMN) {
        let parts =
            vec![ast::Ident::with_quote('"', relation.alias), ast::Ident::with_quote('"', &column.name)];
        outputs.push(Output { expression: ast::Expr::CompoundIdentifier(parts), name: column.name.clone() });
    }
}

/// The table and column an output comes from, if it is a plain column.
fn origin(expression: &ast::Expr, relations: &[Relation]) -> (u32, u16) {
    let (qualifier, name) = match expression {
        ast::Expr::Identifier(name) => (None, fold(name)),
        ast::Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [qualifier, name] => (Some(fold(qualifier)), fold(name)),
            _ => return (0, 0),
        },
        _ => return (0, 0),
    };
    let named =
        relations.iter().filter(|r| qualifier.as_deref().is_none_or(|qualifier| r.alias == qualifier));
    let mut found = named.filter_map(|r| Some((r.table.oid, r.table.column(&name)?.number)));
    found.next().unwrap_or((0, 0))
}

/// A batch of the relation's rows, column by column.
pub fn batch(schema: &SchemaRef, rows: &[Vec<Value>]) -> Result<RecordBatch> {
    let mut arrays = Vec::with_capacity(schema.fields().len());
    for (position, found) in schema.fields().iter().enumerate() {
        let cells = rows.iter().map(|row| row.get(position).unwrap_or(&Value::Null));
        let cells: Vec<_> = cells.collect();
        arrays.push(arrow_types::array(&type_of(found), cells.into_iter())?);
    }
    record_batch(schema.clone(), arrays, rows.len())
}

/// A batch that knows its number of rows even without columns.
pub fn record_batch(schema: SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    // A literal NULL has no type of its own.
    let typed = arrays.into_iter().zip(schema.fields()).map(|(array, field)| match array.data_type() {
        DataType::Null => new_null_array(field.data_type(), rows),
        _ => array,
    });
    let arrays = typed.collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options)
        .map_err(|error| Error::internal(error.to_string()))
}

/// The schema of output columns.
pub fn output_schema(columns: &[OutputColumn]) -> SchemaRef {
    let fields: Vec<Field> =
        columns.iter().map(|column| field(column.name.clone(), &column.ty, true)).collect();
    Arc::new(Schema::new(fields))
}
