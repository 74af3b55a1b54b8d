//! The types of parameters that the client left open, as far as their surroundings tell.
//!
//! A query is planned once to find them, and again with them. PostgreSQL decides while it reads: a parameter has the type
//! of what it is first compared or combined with.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF};
use parking_lot::Mutex;

use crate::distance::{Element, Metric};
use crate::error::{Error, SqlState};
use crate::functions::arithmetic;
use crate::functions::cells::{element_of, type_of_element};
use crate::functions::value;
use crate::functions::vector::metric_of_function;
use crate::planner::argument;
use crate::planner::casts::input_schema;
use crate::planner::common;
use crate::planner::large_objects;
use crate::planner::operators::without_modifier;
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::{data_type, field, type_of};

/// Parameters that were compared with a value of a known type while the planner read: `d >= $1 AND d < $1 + interval
/// '1 day'` cannot be planned before the type of the first is known at the second.
#[derive(Debug, Default)]
pub struct Compared(Mutex<BTreeMap<usize, Type>>);

impl Compared {
    /// What was found since the last call.
    pub fn take(&self) -> BTreeMap<usize, Type> {
        std::mem::take(&mut self.0.lock())
    }
}

impl ExprPlanner for Compared {
    /// Leaves the planning to those behind it.
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        for (side, value) in [(&expr.left, &expr.right), (&expr.right, &expr.left)] {
            if let Expr::Placeholder(placeholder) = side
                && type_inside(placeholder).is_none()
                && let Some(number) = number_of(placeholder)
                && let Some(ty) = type_beside(&expr.op.to_string(), value, schema)
            {
                self.0.lock().entry(number).or_insert(ty);
            }
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// The type that an operator gives a parameter beside a value.
/// Source: <https://www.postgresql.org/docs/17/typeconv-oper.html>
fn type_beside(operator: &str, value: &Expr, schema: &DFSchema) -> Option<Type> {
    match operator {
        "=" | "<>" | "<" | "<=" | ">" | ">=" => known_type(value, schema).map(compared),
        // The power of numerics is one; that of all other numbers is of floats.
        "^" => match known_type(value, schema)? {
            ty @ Type::Numeric(_) => Some(ty),
            ty => arithmetic::is_number(&data_type(&ty)).then_some(Type::Float8),
        },
        // A value that is no text, array or document is made a text of.
        "||" => match value {
            Expr::Placeholder(_) => Some(Type::Text),
            value => {
                let ty = data_type(&known_type(value, schema)?);
                (arithmetic::is_number(&ty) || ty.is_temporal() || ty == DataType::Boolean)
                    .then_some(Type::Text)
            }
        },
        _ => None,
    }
}

/// The types of a plan's parameters by number, as far as their surroundings tell; `None` where they do not.
pub fn parameter_types(plan: &LogicalPlan) -> Result<BTreeMap<usize, Option<Type>>> {
    let mut types = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        let is_limit = matches!(node, LogicalPlan::Limit(_));
        let schema = input_schema(node);
        match node {
            LogicalPlan::Union(union) => note_union(&union.inputs, &mut types),
            LogicalPlan::Filter(filter) => note_all([&filter.predicate], Some(Type::Bool), &mut types),
            _ => {}
        }
        node.apply_expressions(|expr| {
            note_types(expr, &schema, &mut types, is_limit)?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(types)
}

/// Notes the parameters of one expression over `schema`.
pub fn note_types(
    expr: &Expr,
    schema: &DFSchema,
    types: &mut BTreeMap<usize, Option<Type>>,
    is_limit: bool,
) -> Result<()> {
    expr.apply(|expr| {
        match expr {
            Expr::Placeholder(placeholder) => {
                note(placeholder, is_limit.then_some(Type::Int8), types);
            }
            Expr::Cast(cast) => {
                let ty = without_modifier(type_of(&cast.field));
                match (cast.expr.as_ref(), ty) {
                    (Expr::Placeholder(placeholder), ty) => note(placeholder, Some(ty), types),
                    // ARRAY[$1]::integer[]
                    (Expr::ScalarFunction(call), Type::Array(element))
                        if call.func.name() == "make_array" =>
                    {
                        note_all(&call.args, Some(*element), types);
                    }
                    _ => {}
                }
            }
            Expr::ScalarFunction(call)
                if common::is_choice(call.func.name()) || call.func.name() == "make_array" =>
            {
                note_alike(&call.args.iter().collect::<Vec<_>>(), schema, types);
            }
            Expr::Case(case) => {
                let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
                match case.expr.as_deref() {
                    Some(subject) => {
                        let sides: Vec<&Expr> = std::iter::once(subject).chain(whens).collect();
                        note_compared(&sides, schema, types);
                    }
                    None => note_all(whens, Some(Type::Bool), types),
                }
                let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
                note_alike(&results.chain(case.else_expr.as_deref()).collect::<Vec<_>>(), schema, types);
            }
            Expr::Between(between) => {
                note_compared(&[&between.expr, &between.low, &between.high], schema, types);
            }
            // x IN ($1) is x = $1.
            Expr::InList(list) if list.list.len() == 1 => {
                note_operands(&list.expr, Operator::Eq, &list.list[0], schema, types)?;
            }
            Expr::InList(list) => {
                let sides = std::iter::once(list.expr.as_ref()).chain(&list.list);
                note_alike(&sides.collect::<Vec<_>>(), schema, types);
            }
            Expr::Not(operand)
            | Expr::IsTrue(operand)
            | Expr::IsFalse(operand)
            | Expr::IsNotTrue(operand)
            | Expr::IsNotFalse(operand) => note_all([operand.as_ref()], Some(Type::Bool), types),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
                note_all([left.as_ref(), right.as_ref()], Some(Type::Bool), types);
            }
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::IsDistinctFrom | Operator::IsNotDistinctFrom,
                right,
            }) => note_compared(&[left, right], schema, types),
            Expr::Like(like) => {
                let ty = known_type(&like.expr, schema).filter(Type::is_text);
                let of_pattern = ty.map(|ty| if ty == Type::Citext { ty } else { Type::Text });
                note_all([like.pattern.as_ref()], of_pattern, types);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                note_operands(left, *op, right, schema, types)?;
                // x < ANY ($1)
                for (array, item) in [(left, right), (right, left)] {
                    if let Expr::ScalarFunction(call) = array.as_ref()
                        && matches!(call.func.name(), "array_max" | "array_min")
                    {
                        let ty = known_type(item, schema).map(|ty| Type::Array(Box::new(ty)));
                        note_all(&call.args, ty, types);
                    }
                }
            }
            Expr::AggregateFunction(function) if function.func.name().starts_with("percentile_") => {
                note_all(function.params.args.get(1), Some(Type::Float8), types);
            }
            Expr::WindowFunction(function) => {
                let args = &function.params.args;
                match function.fun.name() {
                    "lag" | "lead" => {
                        note_all(args.get(1), Some(Type::Int4), types);
                        let value_and_default: Vec<&Expr> = args.iter().step_by(2).collect();
                        note_alike(&value_and_default, schema, types);
                    }
                    "ntile" => note_all(args.first(), Some(Type::Int4), types),
                    "nth_value" => note_all(args.get(1), Some(Type::Int4), types),
                    _ => {}
                }
            }
            Expr::ScalarFunction(call) => {
                for (position, argument) in call.args.iter().enumerate() {
                    if let Expr::Placeholder(placeholder) = argument {
                        let given = argument::type_given(call).cloned();
                        let of_function = || argument_type(call.func.name(), position, &call.args, schema);
                        match given.or_else(of_function) {
                            Some(ty) => note_all([argument], Some(ty), types),
                            None => {
                                note(
                                    placeholder,
                                    parameter_of(&call.func, position, &call.args, schema),
                                    types,
                                );
                            }
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Notes the parameters among expressions that are or become `ty`.
fn note_all<'e>(
    exprs: impl IntoIterator<Item = &'e Expr>,
    ty: Option<Type>,
    types: &mut BTreeMap<usize, Option<Type>>,
) {
    for expr in exprs {
        if let (Expr::Placeholder(Placeholder { id, .. }), Some(ty)) = (expr, &ty) {
            // What the planner found before, of literals that it reads as bigint, counts less.
            note(&Placeholder { id: id.clone(), field: None }, Some(ty.clone()), types);
        }
    }
}

/// Notes the parameters among expressions that have one type.
fn note_alike(exprs: &[&Expr], schema: &DFSchema, types: &mut BTreeMap<usize, Option<Type>>) {
    note_by(exprs, schema, types, |ty| ty);
}

/// Notes those among expressions that are compared with one another.
fn note_compared(exprs: &[&Expr], schema: &DFSchema, types: &mut BTreeMap<usize, Option<Type>>) {
    note_by(exprs, schema, types, compared);
}

fn note_by(
    exprs: &[&Expr],
    schema: &DFSchema,
    types: &mut BTreeMap<usize, Option<Type>>,
    meant: impl Fn(Type) -> Type,
) {
    if exprs.iter().any(|expr| matches!(expr, Expr::Placeholder(_))) {
        let known = exprs.iter().filter_map(|expr| known_type(expr, schema)).map(meant);
        note_all(exprs.iter().copied(), common::of_types(known), types);
    }
}

/// The type of an expression that has one; literals without one have none.
fn known_type(expr: &Expr, schema: &DFSchema) -> Option<Type> {
    match expr {
        Expr::Placeholder(_) | Expr::Literal(ScalarValue::Utf8(_), None) => None,
        Expr::Literal(ScalarValue::Int64(Some(number)), None) if i32::try_from(*number).is_ok() => {
            Some(Type::Int4)
        }
        // The planner reads whole numbers as bigint, and what is computed with them.
        Expr::BinaryExpr(BinaryExpr { op, .. }) if is_arithmetic(*op) => {
            integers(expr, schema).or_else(|| found_type(expr, schema))
        }
        Expr::ScalarFunction(call) if common::is_choice(call.func.name()) => {
            common::of_types(call.args.iter().filter_map(|argument| known_type(argument, schema)))
        }
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            common::of_types(results.filter_map(|result| known_type(result, schema)))
        }
        expr => found_type(expr, schema),
    }
}

/// The type of a chain of arithmetic over integers, when it is over nothing else.
fn integers(expr: &Expr, schema: &DFSchema) -> Option<Type> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(*op) => {
            // The chain goes on at the left.
            match (integers(left, schema), right.as_ref()) {
                (Some(left), Expr::Placeholder(_)) => Some(left),
                (Some(left), right) => common::of_types([left, integers(right, schema)?]),
                (None, right) if matches!(left.as_ref(), Expr::Placeholder(_)) => integers(right, schema),
                (None, _) => None,
            }
        }
        Expr::Placeholder(_) => None,
        expr => known_type(expr, schema).filter(is_integer),
    }
}

/// The type that the planner finds.
fn found_type(expr: &Expr, schema: &DFSchema) -> Option<Type> {
    let (_, found) = expr.to_field(schema).ok()?;
    (!found.data_type().is_null()).then(|| without_modifier(type_of(&found)))
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

fn is_integer(ty: &Type) -> bool {
    matches!(ty, Type::Int2 | Type::Int4 | Type::Int8)
}

/// The type of a parameter that is compared with a value: the operators of varchar are those of text.
/// Source: <https://www.postgresql.org/docs/17/typeconv-oper.html>
fn compared(ty: Type) -> Type {
    match ty {
        Type::Varchar(_) => Type::Text,
        other => other,
    }
}

/// Notes a parameter beside an operator. As PostgreSQL reads from left to right, another parameter counts when its type
/// is known by now.
fn note_operands(
    left: &Expr,
    op: Operator,
    right: &Expr,
    schema: &DFSchema,
    types: &mut BTreeMap<usize, Option<Type>>,
) -> Result<()> {
    // Chains of operators are long, and what is below each of them is asked for its type.
    if ![left, right].iter().any(|side| matches!(side, Expr::Placeholder(_))) {
        return Ok(());
    }
    let known = |expr: &Expr, types: &BTreeMap<usize, Option<Type>>| match expr {
        Expr::Placeholder(placeholder) => {
            let noted = number_of(placeholder).and_then(|number| types.get(&number).cloned().flatten());
            noted.or_else(|| type_inside(placeholder))
        }
        expr => known_type(expr, schema),
    };
    let both_open =
        [left, right].iter().all(|side| matches!(side, Expr::Placeholder(_)) && known(side, types).is_none());
    if both_open && is_arithmetic(op) {
        let message = format!("operator is not unique: unknown {op} unknown");
        let hint = "Could not choose a best candidate operator. You might need to add explicit type casts.";
        return Err(external(Error::new(SqlState::AMBIGUOUS_FUNCTION, message).hint(hint)));
    }
    for (parameter, value) in [(left, right), (right, left)] {
        let ty = known(value, types);
        if op.supports_propagation() {
            note_all([parameter], ty.map(compared), types);
        } else if is_arithmetic(op) {
            // Beside dates and intervals it may be either.
            note_all([parameter], ty.filter(|ty| arithmetic::is_number(&data_type(ty))), types);
        }
    }
    Ok(())
}

/// The type of an array's elements.
fn element_type(array: &Expr, schema: &DFSchema) -> Option<Type> {
    match known_type(array, schema)? {
        Type::Array(element) => Some(*element),
        _ => None,
    }
}

/// `SELECT id ... UNION SELECT $1`: as the column above or below.
fn note_union(inputs: &[Arc<LogicalPlan>], types: &mut BTreeMap<usize, Option<Type>>) {
    let output = |input: &LogicalPlan, column: usize| match input {
        LogicalPlan::Projection(projection) => projection.expr.get(column).map(|expr| expr.clone().unalias()),
        _ => None,
    };
    let width = inputs.first().map_or(0, |input| input.schema().fields().len());
    for column in 0..width {
        let is_open = |input: &&Arc<LogicalPlan>| {
            matches!(
                output(input, column),
                Some(Expr::Placeholder(_) | Expr::Literal(ScalarValue::Utf8(_), None))
            )
        };
        let known =
            inputs.iter().filter(|input| !is_open(input)).filter_map(|input| match output(input, column) {
                Some(literal @ Expr::Literal(_, _)) => known_type(&literal, input.schema()),
                _ => {
                    let found = input.schema().fields().get(column)?;
                    (!found.data_type().is_null()).then(|| without_modifier(type_of(found)))
                }
            });
        let common = common::of_types(known);
        let outputs: Vec<Expr> = inputs.iter().filter_map(|input| output(input, column)).collect();
        note_all(&outputs, common, types);
    }
}

/// The first type found stays.
fn note(placeholder: &Placeholder, ty: Option<Type>, types: &mut BTreeMap<usize, Option<Type>>) {
    let Some(number) = number_of(placeholder) else { return };
    let entry = types.entry(number).or_default();
    if entry.is_none() {
        *entry = type_inside(placeholder).or(ty);
    }
}

fn number_of(placeholder: &Placeholder) -> Option<usize> {
    placeholder.id.trim_start_matches('$').parse().ok()
}

/// The type that the planner has noted in a parameter. Beside another one it notes that it knows none.
fn type_inside(placeholder: &Placeholder) -> Option<Type> {
    let field = placeholder.field.as_ref().filter(|field| !field.data_type().is_null())?;
    Some(without_modifier(type_of(field)))
}

/// The type a function takes at a position, for the functions whose parameters are worth knowing.
fn argument_type(function: &str, position: usize, arguments: &[Expr], schema: &DFSchema) -> Option<Type> {
    // As the vector it is compared with.
    let beside = |otherwise: Element| {
        let known = |argument: &Expr| match argument {
            Expr::Placeholder(_) => None,
            argument => argument.to_field(schema).ok().and_then(|(_, field)| element_of(field.data_type())),
        };
        Some(type_of_element(arguments.iter().find_map(known).unwrap_or(otherwise)))
    };
    if function.starts_with("sparsevec_") {
        return beside(Element::Sparse);
    }
    if let Some(metric) = metric_of_function(function) {
        return beside(if Metric::OF_BITS.contains(&metric) { Element::Bit } else { Element::F32 });
    }
    if let Some(ty) = large_objects::parameter(function, arguments.len(), position) {
        return Some(ty);
    }
    match (function, position) {
        ("inner_product", _) => beside(Element::F32),
        ("vector_dims" | "vector_norm" | "l2_norm" | "l2_normalize" | "binary_quantize", _) => {
            Some(Type::Vector(None))
        }
        ("subvector", 0) => Some(Type::Vector(None)),
        ("subvector", _) => Some(Type::Int4),
        (name, _) if name.starts_with("pg_") && name.contains("advisory") => {
            Some(if arguments.len() == 1 { Type::Int8 } else { Type::Int4 })
        }
        ("pg_sleep", 0) => Some(Type::Float8),
        ("pg_blocking_pids" | "pg_cancel_backend" | "pg_terminate_backend", 0) => Some(Type::Int4),
        ("pg_terminate_backend" | "setval", 1) => Some(Type::Int8),
        ("setval", 2) => Some(Type::Bool),
        ("generate_series", position) => {
            let known = arguments.iter().filter_map(|argument| known_type(argument, schema));
            match common::of_types(known.filter(|ty| !matches!(ty, Type::Interval(_))))? {
                Type::Date | Type::Timestamp(_) | Type::Timestamptz(_) if position == 2 => {
                    Some(Type::Interval(None))
                }
                ty => Some(ty),
            }
        }
        ("bit_length", 0) => Some(Type::Text),
        ("power" | "pow", position @ (0 | 1)) => {
            let beside = known_type(arguments.get(1 - position)?, schema);
            Some(beside.filter(|ty| matches!(ty, Type::Numeric(_))).unwrap_or(Type::Float8))
        }
        ("mod", position @ (0 | 1)) => known_type(arguments.get(1 - position)?, schema)
            .filter(|ty| arithmetic::is_number(&data_type(ty))),
        ("round" | "trunc", 0) if arguments.len() == 2 => Some(Type::Numeric(None)),
        ("round" | "trunc", 1) => Some(Type::Int4),
        ("round" | "trunc" | "ceil" | "floor" | "abs" | "sign", 0) => Some(Type::Float8),
        ("sqrt" | "cbrt" | "exp" | "ln" | "log10" | "degrees" | "radians" | "sin" | "cos" | "tan", 0) => {
            Some(Type::Float8)
        }
        ("jsonb_concat" | "jsonb_contained" | "jsonb_contains", _) => Some(Type::Jsonb),
        ("array_append" | "array_remove" | "array_replace" | "array_position" | "array_positions", 1..) => {
            element_type(arguments.first()?, schema)
        }
        ("array_prepend", 0) => element_type(arguments.get(1)?, schema),
        ("array_cat", position) => known_type(arguments.get(1 - position.min(1))?, schema),
        ("jsonb_get_path" | "jsonb_get_path_text" | "json_get_path" | "json_get_path_text", 1) => {
            Some(Type::Array(Box::new(Type::Text)))
        }
        ("set_config", 2) => Some(Type::Bool),
        // $1 = ANY (array)
        ("hither_has", 1) => match known_type(arguments.first()?, schema)? {
            Type::Array(element) => Some(*element),
            _ => None,
        },
        // x = ANY ($1)
        ("hither_has", 0) => Some(Type::Array(Box::new(compared(known_type(arguments.get(1)?, schema)?)))),
        _ => None,
    }
}

/// The type that the functions of ours over single values take at a position.
fn parameter_of(
    function: &ScalarUDF,
    position: usize,
    arguments: &[Expr],
    schema: &DFSchema,
) -> Option<Type> {
    let given: Vec<DataType> = arguments
        .iter()
        .map(|argument| known_type(argument, schema).map_or(DataType::Null, |ty| data_type(&ty)))
        .collect();
    value::parameter(function, &given, position)
}

/// The types for SqlToRel: known ones as fields.
pub fn parameter_fields(types: &[Option<Type>]) -> Vec<Option<arrow::datatypes::FieldRef>> {
    types.iter().map(|ty| ty.as_ref().map(|ty| Arc::new(field("", ty, true)))).collect()
}
