//! What a column gets when a row says nothing about it.
//!
//! The usual defaults are recognised and cost nothing: constants, nextval of a sequence, now(), gen_random_uuid().
//! Everything else is a compiled expression.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments};

use crate::catalog::{Catalog, Column, Identity, Oid};
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::context::PlanContext;
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Constant, Target};
use crate::sql::expressions::{self, Projection};
use crate::sql::shared::{Shared, parse_name};
use crate::sql::words::object_name;
use crate::types::arrow::value_at;
use crate::types::{Look, Type, Value};

/// A default, ready to be taken.
pub enum DefaultValue {
    Constant(Value),
    Sequence(Oid),
    TransactionTime,
    RandomUuid,
    Computed(Box<Projection>),
}

impl DefaultValue {
    /// The default of a column as it is defined.
    pub fn of(column: &Column, context: &PlanContext, shared: &Shared) -> Result<DefaultValue> {
        // By its oid, whatever the search path makes of its name now.
        let draws = column.default.as_ref().is_some_and(|default| default.sql.starts_with("nextval("));
        if let (Some(sequence), true) = (column.sequence, column.identity.is_some() || draws) {
            return Ok(DefaultValue::Sequence(sequence));
        }
        let domain = context.catalog.domain_of(column);
        match column.default.as_ref().or(domain.and_then(|domain| domain.default.as_ref())) {
            None => Ok(DefaultValue::Constant(Value::Null)),
            Some(default) => DefaultValue::compile(&default.sql, column, context, shared),
        }
    }

    /// Reads a default; this is also how CREATE TABLE checks it.
    pub fn compile(
        sql: &str,
        column: &Column,
        context: &PlanContext,
        shared: &Shared,
    ) -> Result<DefaultValue> {
        let expression = dialect::parse_expression(sql)?;
        let target = Target { name: &column.name, ty: &column.ty };
        if let Some(value) = cells::constant(&expression, &target, context.environment.look())? {
            return Ok(DefaultValue::Constant(value));
        }
        if let Some(known) = known_call(&expression, &column.ty, context.catalog, shared) {
            return Ok(known);
        }
        let items = expressions::items([expression]);
        let plain = PlanContext { param_types: &[], ..*context };
        let projection = expressions::compile(&plain, &[], &items, std::slice::from_ref(&column.ty))?;
        Ok(DefaultValue::Computed(Box::new(projection)))
    }

    /// The value for one row.
    pub fn take(
        &self,
        ty: &Type,
        shared: &Shared,
        execution: &mut dyn FnMut() -> Result<Arc<Execution>>,
    ) -> Result<Value> {
        match self {
            DefaultValue::Constant(value) => Ok(value.clone()),
            DefaultValue::Sequence(sequence) => {
                cells::assign(Value::Int8(shared.nextval_of(*sequence)?), ty, Look::PLAIN)
            }
            DefaultValue::TransactionTime => {
                let execution = execution()?;
                cells::assign(Value::Timestamptz(execution.transaction_time), ty, execution.zone.into())
            }
            DefaultValue::RandomUuid => Ok(Value::Uuid(*uuid::Uuid::new_v4().as_bytes())),
            DefaultValue::Computed(projection) => {
                let row = expressions::batch(projection.input(), &[Vec::new()])?;
                let arrays = projection.evaluate(&row, execution()?)?;
                value_at(&arrays[0], 0, ty)
            }
        }
    }
}

/// Whether INSERT may give the column a value of its own.
pub fn is_generated_always(column: &Column) -> bool {
    column.identity == Some(Identity::Always) || column.generated.is_some()
}

/// nextval('s'), now(), CURRENT_TIMESTAMP, gen_random_uuid().
fn known_call(expression: &Expr, ty: &Type, catalog: &Arc<Catalog>, shared: &Shared) -> Option<DefaultValue> {
    let Expr::Function(function) = expression else { return None };
    let name = object_name(&function.name).name;
    let arguments: &[FunctionArg] = match &function.args {
        FunctionArguments::None => &[],
        FunctionArguments::List(list) => &list.args,
        FunctionArguments::Subquery(_) => return None,
    };
    match (name.as_str(), arguments) {
        ("now" | "current_timestamp" | "transaction_timestamp", []) if *ty == Type::Timestamptz(None) => {
            Some(DefaultValue::TransactionTime)
        }
        ("gen_random_uuid", []) if *ty == Type::Uuid => Some(DefaultValue::RandomUuid),
        ("nextval", [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))]) => {
            let name = parse_name(&sequence_text(argument)?).ok()?;
            Some(DefaultValue::Sequence(shared.sequence(catalog, &name).ok()?.oid))
        }
        _ => None,
    }
}

/// The text of `'s'` or `'s'::regclass`.
pub fn sequence_text(argument: &Expr) -> Option<String> {
    let inner = match argument {
        Expr::Cast { expr, .. } => expr,
        other => other,
    };
    match cells::literal(inner, Look::PLAIN).ok()?? {
        Constant::Unknown(text) => Some(text),
        _ => None,
    }
}
