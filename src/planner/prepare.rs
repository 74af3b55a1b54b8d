//! PostgreSQL's types for literals and parameters, before DataFusion coerces anything.
//!
//! - Whole numbers that fit are `integer`; DataFusion reads all of them as `bigint`.
//! - Text literals in IN lists, BETWEEN and CASE take the type of what they are compared with.
//! - Parameters have the types of the statement; `parameters` finds those the client left open.
//! - now(), current_user and their like become pseudo-parameters.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{InList, Placeholder, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Union,
};

use crate::error::{Error, SqlState};
use crate::functions::records::{IS_NOT_NULL, IS_NULL};
use crate::functions::{arithmetic, decimal, rounding, text_search, unknown};
use crate::planner::argument;
use crate::planner::casts::input_schema;
use crate::planner::characters;
use crate::planner::citext;
use crate::planner::common;
use crate::planner::comparison;
use crate::planner::dimensions;
use crate::planner::in_lists;
use crate::planner::kinds::kind_of;
use crate::planner::networks;
use crate::planner::operators::{call, literal, parameter, without_modifier};
use crate::planner::record;
use crate::planner::recursion;
use crate::planner::scalar_subquery;
use crate::planner::session_values;
use crate::planner::window;
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::type_of;
use crate::types::cast::context;

/// The plan with PostgreSQL's types; `params` are the types of `$1`, `$2`, ...
pub fn prepare(plan: LogicalPlan, params: &[Type]) -> Result<LogicalPlan> {
    let mut preparation = Preparation { params, outer: Vec::new() };
    Ok(preparation.plan(plan)?.data)
}

/// Goes through a plan so that the types of what a subquery refers to are settled before the subquery is: first the
/// inputs of a node, then the subqueries in its expressions, then the expressions.
struct Preparation<'a> {
    params: &'a [Type],
    /// The columns that subqueries may refer to, those of the innermost query last.
    outer: Vec<DFSchemaRef>,
}

impl Preparation<'_> {
    fn plan(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let depth = self.outer.len();
        // The right side of a join may be LATERAL.
        let is_join = matches!(plan, LogicalPlan::Join(_));
        let plan = plan.map_children(|input| {
            let input = self.plan(input)?;
            if is_join {
                self.outer.push(Arc::clone(input.data.schema()));
            }
            Ok(input)
        })?;
        self.outer.truncate(depth);
        let plan = match plan.data {
            plan if has_subqueries(&plan) => {
                self.outer.push(Arc::new(input_schema(&plan)));
                let plan = plan.map_subqueries(|subquery| self.plan(subquery))?;
                self.outer.pop();
                plan.data
            }
            LogicalPlan::Subquery(mut subquery) => {
                for column in &mut subquery.outer_ref_columns {
                    *column = self.outer_column(std::mem::take(column)).data;
                }
                LogicalPlan::Subquery(subquery)
            }
            plan => plan,
        };
        self.node(plan)
    }

    fn node(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let schema = input_schema(&node);
        let names = NamePreserver::new(&node);
        let integers = !matches!(node, LogicalPlan::Limit(_));
        let outputs = matches!(node, LogicalPlan::Projection(_));
        comparison::check_documents(&node, &schema)?;
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| Ok(self.outer_column(expr)))?.data;
            let mut expr = prepare_expr(expr, &schema, self.params, integers)?;
            if outputs {
                expr.data = characters::settle_output(expr.data, &schema);
            }
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?
        .map_data(recompute)
    }

    /// A column of an outer query with the type that it has now.
    fn outer_column(&self, expr: Expr) -> Transformed<Expr> {
        let Expr::OuterReferenceColumn(_, column) = &expr else { return Transformed::no(expr) };
        let found = self.outer.iter().rev().find_map(|schema| schema.field_from_column(column).ok());
        match found {
            Some(field) => Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column.clone())),
            None => Transformed::no(expr),
        }
    }
}

fn has_subqueries(plan: &LogicalPlan) -> bool {
    let is_subquery = |expr: &Expr| {
        matches!(
            expr,
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        )
    };
    let mut found = false;
    let looked = plan.apply_expressions(|expr| {
        found |= expr.exists(|part| Ok(is_subquery(part)))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    looked.is_ok() && found
}

/// VALUES take their types from their expressions, which the general recomputation leaves out.
fn recompute(node: LogicalPlan) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Values(mut values) => {
            let width = values.values.first().map_or(0, Vec::len);
            for column in 0..width {
                let cells = values.values.iter_mut().filter_map(|row| row.get_mut(column));
                common::unify_column(cells.map(common::as_written).collect())?;
            }
            LogicalPlanBuilder::values(values.values)?.build()
        }
        LogicalPlan::Union(union) => {
            let inputs = common::unify_inputs(union.inputs)?;
            Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
        }
        LogicalPlan::Join(mut join) => {
            // The columns of INTERSECT and EXCEPT.
            for (left, right) in &mut join.on {
                comparison::of_join((left, join.left.schema()), (right, join.right.schema()))?;
            }
            LogicalPlan::Join(join).recompute_schema()
        }
        LogicalPlan::RecursiveQuery(query) => recursion::settle(query),
        LogicalPlan::Unnest(_) => citext::note_unnested(node.recompute_schema()?),
        node => node.recompute_schema(),
    }
}

/// One expression; `integers` says whether its literals may become `integer`.
pub fn prepare_expr(
    expr: Expr,
    schema: &DFSchema,
    params: &[Type],
    integers: bool,
) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        if let Expr::ScalarFunction(call) = &expr
            && let Some(complaint) = unknown::complaint(call, schema)
        {
            return Err(complaint);
        }
        if let Expr::ScalarFunction(call) = &expr
            && let Some(row) = record::of_row(call, schema)
        {
            return Ok(Transformed::yes(row));
        }
        if let Expr::ScalarFunction(call) = &expr
            && let Some(settled) = argument::settle(call, schema)?
        {
            return Ok(Transformed::yes(settled));
        }
        if let Expr::Cast(cast) = &expr {
            check_cast(cast, schema)?;
            if let Some(text) = citext::settle_cast(cast, schema) {
                return Ok(Transformed::yes(text));
            }
            if let Some(kept) = dimensions::settle_cast(cast, schema) {
                return Ok(Transformed::yes(kept));
            }
        }
        if let Expr::ScalarFunction(call) = &expr
            && let Some(settled) = citext::settle_function(call, schema)?
        {
            return Ok(Transformed::yes(settled));
        }
        if let Expr::ScalarFunction(call) = &expr
            && let Some(array) = dimensions::settle_elements(call, schema)?
        {
            return Ok(Transformed::yes(array));
        }
        if let Expr::ScalarFunction(call) = &expr
            && let Some(name) = names_type(call, schema)
        {
            return Ok(Transformed::yes(name));
        }
        Ok(match expr {
            Expr::Literal(ScalarValue::Int64(Some(number)), None) if integers => {
                match i32::try_from(number) {
                    Ok(number) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(number)), None)),
                    Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(number)), None)),
                }
            }
            Expr::Literal(ScalarValue::UInt64(Some(number)), None) => Transformed::yes(Expr::Literal(
                ScalarValue::Decimal128(Some(i128::from(number)), 20, 0),
                None,
            )),
            // 1e3 has a negative scale in Arrow and none in SQL; and numbers of more digits are no decimals there.
            Expr::Literal(
                number @ (ScalarValue::Decimal128(Some(_), _, ..0) | ScalarValue::Decimal256(Some(_), ..)),
                None,
            ) => {
                let number = decimal::of_scalar(&number)?.unwrap_or_default();
                Transformed::yes(Expr::Literal(decimal::literal(&number), None))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let number = |expr: &Expr| is_number(expr, schema);
                if number(&left) && number(&right) {
                    match arithmetic::binary(op, *left, *right) {
                        Ok(call) => Transformed::yes(call),
                        Err((left, right)) => {
                            let (left, right) = comparison::of_operator(left, op, right, schema)?;
                            let (left, right) = (Box::new(left), Box::new(right));
                            Transformed::no(Expr::BinaryExpr(BinaryExpr::new(left, op, right)))
                        }
                    }
                } else if matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) {
                    let left = take_type(*left, &right, schema)?;
                    let right = take_type(*right, &left, schema)?;
                    let (left, right) = comparison::of_operator(left, op, right, schema)?;
                    Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
                } else {
                    let op = citext::settle_match(&left, op, &right, schema);
                    let left =
                        if is_like(op) { Box::new(characters::with_blanks(*left, schema)) } else { left };
                    let (left, right) = comparison::of_operator(*left, op, *right, schema)?;
                    let (left, right) = (Box::new(left), Box::new(right));
                    Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))
                }
            }
            // The blanks of a char are no part of the text it becomes.
            Expr::Cast(mut cast) if characters::is_to_text(&cast) => {
                match characters::text_type(&cast.expr, schema) {
                    Some(from @ Type::Bpchar(_)) => {
                        Transformed::yes(characters::converted(*cast.expr, &from, &Type::Text))
                    }
                    _ => {
                        *cast.expr = characters::without_blanks(std::mem::take(&mut *cast.expr), schema);
                        Transformed::yes(Expr::Cast(cast))
                    }
                }
            }
            Expr::Cast(cast) if type_of(&cast.field) == Type::Numeric(None) => prepare_numeric(cast, schema)?,
            Expr::ScalarFunction(call) if let Some(function) = networks::function_of(&call, schema) => {
                Transformed::yes(self::call(function, call.args))
            }
            Expr::ScalarFunction(call)
                if call.func.name() == arithmetic::NEGATIVE
                    && matches!(call.args.as_slice(), [operand] if is_interval(operand, schema)) =>
            {
                Transformed::yes(self::call("interval_um", call.args))
            }
            Expr::IsNull(record) if is_record(&record, schema) => {
                Transformed::yes(call(IS_NULL, vec![*record]))
            }
            Expr::IsNotNull(record) if is_record(&record, schema) => {
                Transformed::yes(call(IS_NOT_NULL, vec![*record]))
            }
            Expr::Negative(operand) if is_number(&operand, schema) => {
                Transformed::yes(arithmetic::negative(*operand))
            }
            Expr::Negative(operand) if is_interval(&operand, schema) => {
                Transformed::yes(call("interval_um", vec![*operand]))
            }
            Expr::Placeholder(placeholder) => Transformed::yes(prepare_parameter(placeholder, params)),
            Expr::ScalarFunction(call) if call.args.is_empty() => {
                match session_values::by_function(call.func.name()) {
                    Some((name, value)) => Transformed::yes(parameter(name, &value.ty)),
                    None => Transformed::no(Expr::ScalarFunction(call)),
                }
            }
            Expr::ScalarFunction(mut call) if needs_configuration(&call, schema) => {
                call.args.insert(0, configuration());
                Transformed::yes(Expr::ScalarFunction(call))
            }
            Expr::Like(like)
                if !like.case_insensitive
                    && like.escape_char.is_none()
                    && [&like.expr, &like.pattern]
                        .iter()
                        .all(|side| matches!(side.get_type(schema), Ok(DataType::Binary))) =>
            {
                let name = if like.negated { "byteanlike" } else { "bytealike" };
                Transformed::yes(call(name, vec![*like.expr, *like.pattern]))
            }
            Expr::Like(mut like) => {
                citext::settle_like(&mut like, schema);
                *like.expr = characters::with_blanks(std::mem::take(&mut *like.expr), schema);
                Transformed::yes(Expr::Like(like))
            }
            Expr::ScalarFunction(mut call)
                if matches!(call.func.name(), "octet_length" | "similar_to" | "hither_like") =>
            {
                call.args = call.args.into_iter().map(|arg| characters::with_blanks(arg, schema)).collect();
                Transformed::yes(Expr::ScalarFunction(call))
            }
            Expr::AggregateFunction(mut function) if function.func.name() == "array_agg" => {
                let params = &mut function.params;
                let keys = params.order_by.iter_mut().map(|key| &mut key.expr);
                for part in params.args.iter_mut().chain(keys) {
                    *part = characters::with_blanks(std::mem::take(part), schema);
                }
                Transformed::yes(Expr::AggregateFunction(function))
            }
            // The planner's own function of x = ANY (array), and ours of a literal.
            Expr::ScalarFunction(call)
                if matches!(call.func.name(), "array_has" | "hither_has") && call.args.len() == 2 =>
            {
                let mut args = call.args;
                if let Some(array) = args.first_mut() {
                    *array = dimensions::member_of(std::mem::take(array), schema);
                }
                if let [array, subject] = args.as_mut_slice()
                    && !citext::settle_member(array, subject, schema)?
                {
                    args = type_member(args, schema)?;
                }
                Transformed::yes(self::call("array_has", args))
            }
            Expr::ScalarFunction(call) if common::is_choice(call.func.name()) => {
                Transformed::yes(common::settle_choice(call, schema)?)
            }
            Expr::ScalarFunction(mut call) if call.func.name() == "make_array" => {
                let ty = common::unify(call.args.iter_mut().collect(), schema, common::ARRAY)?;
                let array = Expr::ScalarFunction(call);
                Transformed::yes(match ty {
                    Some(ty @ Type::Citext) => characters::as_noted(array, &Type::Array(Box::new(ty))),
                    _ => dimensions::settle_nested(array, schema)?,
                })
            }
            Expr::ScalarFunction(mut call) if common::takes_items(call.func.name()) => {
                common::type_items(&mut call.args, schema)?;
                Transformed::yes(Expr::ScalarFunction(call))
            }
            Expr::ScalarFunction(call) if call.args.len() == 2 => {
                match rounding::with_constant_digits(call) {
                    Ok(call) => Transformed::yes(call),
                    Err(call) => Transformed::no(Expr::ScalarFunction(call)),
                }
            }
            Expr::InList(InList { mut expr, list, negated }) => {
                // A text whose type is not known has that of the items: `'a' = ANY ('{a,b}'::mood[])`.
                if let Some(typed) = of_one_type(&list, schema) {
                    *expr = take_type(std::mem::take(expr.as_mut()), typed, schema)?;
                }
                let mut list: Vec<Expr> =
                    list.into_iter().map(|item| take_type(item, &expr, schema)).collect::<Result<_>>()?;
                comparison::of_list(&expr, &mut list, schema);
                comparison::settle(std::iter::once(expr.as_mut()).chain(&mut list), schema)?;
                comparison::of_zeros(&mut expr, &mut list, schema);
                in_lists::settle(&mut list);
                Transformed::yes(Expr::InList(InList { expr, list, negated }))
            }
            Expr::ScalarSubquery(subquery) => {
                Transformed::yes(Expr::ScalarSubquery(scalar_subquery::settle(subquery)?))
            }
            Expr::InSubquery(member) => {
                Transformed::yes(Expr::InSubquery(comparison::of_subquery(member, schema)?))
            }
            Expr::Between(Between { mut expr, negated, low, high }) => {
                let mut low = Box::new(take_type(*low, &expr, schema)?);
                let mut high = Box::new(take_type(*high, &expr, schema)?);
                comparison::of_range([expr.as_mut(), low.as_mut(), high.as_mut()], schema)?;
                Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
            }
            Expr::Case(mut case) => {
                if let Some(subject) = &mut case.expr {
                    for (when, _) in &mut case.when_then_expr {
                        **when = take_type(std::mem::take(when.as_mut()), subject, schema)?;
                    }
                    let values = case.when_then_expr.iter_mut().map(|(when, _)| when.as_mut());
                    comparison::settle(std::iter::once(subject.as_mut()).chain(values), schema)?;
                    let values = case.when_then_expr.iter_mut().map(|(when, _)| when.as_mut());
                    comparison::of_case(std::iter::once(subject.as_mut()).chain(values), schema);
                }
                if case.expr.is_none() {
                    case.when_then_expr.iter().try_for_each(|(when, _)| check_condition(when, schema))?;
                }
                let results = case.when_then_expr.iter_mut().map(|(_, then)| then.as_mut());
                // As PostgreSQL looks at them.
                let ty = common::unify(
                    case.else_expr.iter_mut().map(Box::as_mut).chain(results).collect(),
                    schema,
                    "CASE",
                )?;
                Transformed::yes(common::noted(Expr::Case(case), ty))
            }
            Expr::WindowFunction(mut function) => {
                window::settle_default(&mut function, schema)?;
                window::settle_offset(&mut function)?;
                window::count_peers(&mut function, schema);
                Transformed::yes(Expr::WindowFunction(function))
            }
            expr => Transformed::no(expr),
        })
    })
}

/// 42846 for a cast between types that have none.
fn check_cast(cast: &Cast, schema: &DFSchema) -> Result<()> {
    let Ok((_, found)) = cast.expr.to_field(schema) else { return Ok(()) };
    let (from, to) = (type_of(&found), type_of(&cast.field));
    let is_known = |ty: &Type| kind_of(ty).is_some() || *ty == Type::Bytea;
    let known = !found.data_type().is_null() && is_known(&from) && is_known(&to);
    if known && from != to && context(&from, &to).is_none() {
        let message = format!("cannot cast type {} to {}", from.bare(), to.bare());
        return Err(external(Error::new(SqlState::CANNOT_COERCE, message)));
    }
    Ok(())
}

/// `pg_typeof(x)`, which is known before x is.
fn names_type(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    let ([argument], "pg_typeof") = (call.args.as_slice(), call.func.name()) else { return None };
    let name = match argument {
        Expr::Literal(ScalarValue::Utf8(_), None) | Expr::Literal(ScalarValue::Null, _) => {
            "unknown".to_owned()
        }
        argument => match argument.to_field(schema).ok()?.1 {
            found if *found.data_type() == DataType::Utf8 => match characters::text_type(argument, schema)? {
                Type::Bpchar(_) => "character".to_owned(),
                ty => ty.bare().to_string(),
            },
            found if found.data_type().is_null() => "unknown".to_owned(),
            found => match type_of(&found) {
                Type::Record(_) => "record".to_owned(),
                ty => ty.standard_name(),
            },
        },
    };
    literal(&name, &Type::Text).ok()
}

/// Whether it is a row, which is NULL when each of its fields is.
fn is_record(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| matches!(field.data_type(), DataType::Struct(_)))
}

/// Chains of operators are asked at each of their links: what they yield is known without asking below.
fn is_number(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) if op.is_logic_operator() || op.supports_propagation() => {
            return false;
        }
        Expr::ScalarFunction(call) if arithmetic::is_operation(call) => return true,
        _ => {}
    }
    expr.to_field(schema).is_ok_and(|(_, field)| arithmetic::is_number(field.data_type()))
}

/// Whether a function of text search was called without a configuration.
fn needs_configuration(call: &ScalarFunction, schema: &DFSchema) -> bool {
    let ty = |arg: &Expr| arg.to_field(schema).map_or(DataType::Null, |(_, field)| field.data_type().clone());
    let second = || call.args.get(1).map_or(DataType::Null, ty);
    text_search::takes_configuration(call.func.name(), call.args.len(), second)
}

/// The session's text search configuration.
pub fn configuration() -> Expr {
    match session_values::by_function("get_current_ts_config") {
        Some((name, value)) => parameter(name, &value.ty),
        None => Expr::Literal(ScalarValue::Null, None),
    }
}

/// 42804 for a condition of CASE that is none.
fn check_condition(when: &Expr, schema: &DFSchema) -> Result<()> {
    let Ok((_, found)) = when.to_field(schema) else { return Ok(()) };
    if matches!(found.data_type(), DataType::Boolean | DataType::Null | DataType::Utf8) {
        return Ok(());
    }
    let message = format!("argument of CASE/WHEN must be type boolean, not type {}", type_of(&found).bare());
    Err(external(Error::new(SqlState::DATATYPE_MISMATCH, message)))
}

fn is_interval(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| matches!(field.data_type(), DataType::Interval(_)))
}

/// A cast to numeric without modifier keeps the digits of what it is given.
fn prepare_numeric(cast: Cast, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::Literal(ScalarValue::Utf8(Some(text)), None) = cast.expr.as_ref() {
        let number = crate::types::numeric::parse(text).map_err(external)?;
        return Ok(Transformed::yes(Expr::Literal(decimal::literal(&number), None)));
    }
    let Ok((_, found)) = cast.expr.to_field(schema) else { return Ok(Transformed::no(Expr::Cast(cast))) };
    if decimal::is_numeric(found.data_type()) {
        return Ok(Transformed::yes(*cast.expr));
    }
    Ok(match decimal::of_integer(found.data_type()) {
        Some(exact) => Transformed::yes(Expr::Cast(Cast::new(cast.expr, exact))),
        None => Transformed::no(Expr::Cast(cast)),
    })
}

fn prepare_parameter(placeholder: Placeholder, params: &[Type]) -> Expr {
    let number = placeholder.id.trim_start_matches('$').parse::<usize>().ok();
    match number.and_then(|number| params.get(number.checked_sub(1)?)) {
        Some(ty) => parameter(placeholder.id, ty),
        None => Expr::Placeholder(placeholder),
    }
}

/// Of `[array, x]`, a text literal x as a value of the array's type of elements.
fn type_member(args: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let ty = |expr: &Expr| expr.to_field(schema).map(|(_, found)| type_of(&found));
    match args.as_slice() {
        [array, Expr::Literal(ScalarValue::Utf8(Some(text)), None)] => match ty(array) {
            Ok(Type::Array(element)) => Ok(vec![array.clone(), literal(text, &without_modifier(*element))?]),
            _ => Ok(args),
        },
        _ => Ok(args),
    }
}

/// An item of the list, if all that have a type have the same one.
fn of_one_type<'e>(list: &'e [Expr], schema: &DFSchema) -> Option<&'e Expr> {
    let is_open =
        |item: &&Expr| matches!(item, Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Null, None));
    let type_of_item = |item: &Expr| item.to_field(schema).map(|(_, found)| type_of(&found)).ok();
    let mut typed = list.iter().filter(|item| !is_open(item));
    let first = typed.next()?;
    let ty = type_of_item(first)?;
    typed.all(|item| type_of_item(item).as_ref() == Some(&ty)).then_some(first)
}

/// A text literal or an open parameter as a value of the type of `other`.
fn take_type(expr: Expr, other: &Expr, schema: &DFSchema) -> Result<Expr> {
    let Ok((_, found)) = other.to_field(schema) else { return Ok(expr) };
    let ty = without_modifier(type_of(&found));
    // Blanks at the end mean nothing in character(n).
    let is_text = found.data_type() == &DataType::Utf8 && !matches!(ty, Type::Bpchar(_));
    if is_text || found.data_type().is_null() {
        return Ok(expr);
    }
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) => literal(&text, &ty),
        expr => Ok(expr),
    }
}

/// The operators that LIKE and ILIKE stand for.
fn is_like(op: Operator) -> bool {
    use Operator::{ILikeMatch, LikeMatch, NotILikeMatch, NotLikeMatch};
    matches!(op, LikeMatch | ILikeMatch | NotLikeMatch | NotILikeMatch)
}
