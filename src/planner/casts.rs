//! The analyser's last rule: casts in which PostgreSQL and Arrow differ become calls of `functions::cast`.
//!
//! It runs after type coercion, so it also sees the casts that rule put in: a text that meets a vector is parsed as a
//! vector and not taken for its bytes.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, Union};
use datafusion::optimizer::AnalyzerRule;

use crate::functions::cast;
use crate::types::arrow::{data_type, type_of};

#[derive(Debug)]
pub struct PostgresCasts;

impl AnalyzerRule for PostgresCasts {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|node| {
            let schema = input_schema(&node);
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(replace(expr, &schema)?.update_data(|expr| name.restore(expr)))
            })?
            .map_data(|node| match node {
                LogicalPlan::Union(union) => with_notes_of_inputs(union).map(LogicalPlan::Union),
                node => node.recompute_schema(),
            })
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &str {
        "postgres_casts"
    }
}

/// A union whose columns have the notes that all inputs agree on, and may be NULL where one's may: a cast takes a note
/// away, and its result may always be NULL.
fn with_notes_of_inputs(union: Union) -> Result<Union> {
    let fields = union.schema.iter().enumerate().map(|(place, (qualifier, field))| {
        let mut notes = union.inputs.iter().map(|input| input.schema().field(place).metadata());
        let first = notes.next().filter(|first| notes.all(|other| other == *first));
        let field = match first {
            Some(first) => field.as_ref().clone().with_metadata(first.clone()),
            None => field.as_ref().clone(),
        };
        let is_nullable = union.inputs.iter().any(|input| input.schema().field(place).is_nullable());
        let field = Arc::new(field.with_nullable(is_nullable));
        (qualifier.cloned(), field)
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), union.schema.metadata().clone())?;
    Ok(Union { schema: Arc::new(schema), ..union })
}

/// What a node's expressions refer to.
pub fn input_schema(node: &LogicalPlan) -> DFSchema {
    let inputs = node.inputs();
    if inputs.is_empty() { node.schema().as_ref().clone() } else { merge_schema(&inputs) }
}

/// An expression whose casts are PostgreSQL's.
pub fn replace(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let Expr::Cast(inner) = &expr else { return Ok(Transformed::no(expr)) };
        let Ok((_, source)) = inner.expr.to_field(schema) else { return Ok(Transformed::no(expr)) };
        if source.data_type().is_null() {
            return Ok(Transformed::no(expr));
        }
        let views = matches!(source.data_type(), DataType::Utf8View);
        let (source, target) = (type_of(&source), type_of(&inner.field));
        if !cast::differs(&source, &target) {
            return Ok(Transformed::no(expr));
        }
        let Expr::Cast(mut inner) = expr else { unreachable!("matched above") };
        // Functions over single values read arrays as we make them.
        if views {
            *inner.expr = Expr::Cast(Cast::new(std::mem::take(&mut inner.expr), data_type(&source)));
        }
        let (wanted, made) = (inner.field.data_type().clone(), data_type(&target));
        let function = cast::function(source, target, true);
        let call = Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![*inner.expr]));
        // Where a date meets a timestamp, the planner wants nanoseconds.
        let units =
            matches!((&wanted, &made), (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) if a != b);
        Ok(Transformed::yes(if units { Expr::Cast(Cast::new(Box::new(call), wanted)) } else { call }))
    })
}
