//! Operators by the types of their operands.
//!
//! Two things PostgreSQL does that DataFusion does not:
//!
//! 1. `<->`, `<#>`, `<=>`, `<+>`, `<~>`, `<%>` and the comparisons and arithmetic of vectors and bit strings are
//!    functions of [`crate::functions::vector`] and [`crate::functions::bits`].
//! 2. A text literal has no type until it meets an operand that has one: `id = '5'`, `v <-> '[1,2]'`,
//!    `created > '2024-01-01'`. It is read as a value of that type here, with that type's error messages.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::functions_nested::extract::array_element;
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, GetFieldAccess, Operator, ScalarUDF};

use crate::distance::{Element, Metric};
use crate::error::{Error, SqlState};
use crate::functions::cast::{self, parse_text};
use crate::functions::cells::{common_element, element_of, type_of_element};
use crate::functions::scalar::type_name;
use crate::functions::vector::{distance_function, operator_function};
use crate::functions::{
    arithmetic, arrays, bits, characters, choice, citext, dates, decimal, documents, extract, json, jsonpath,
    math, membership, money, ranges, regex, regexps, sort_keys, strings, text_search, vector,
};
use crate::planner::characters::with_blanks;
use crate::planner::citext as of_citext;
use crate::planner::kinds::{is_defined, kind_of};
use crate::planner::prepare::configuration;
use crate::planner::{common, comparison, dimensions, fixed_width, hstore, networks, ranges as of_ranges};
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::{network_of, tsquery_type, tsvector_type};
use crate::types::arrow::{data_type, field, metadata, to_scalar, type_of};
use crate::types::{NetworkType, Type};

/// What `sql::spellings` calls operators that the grammar has, and the planner plans without asking.
pub const IS_DISTINCT_FROM: &str = "IS DISTINCT FROM";
pub const IS_NOT_DISTINCT_FROM: &str = "IS NOT DISTINCT FROM";

/// Our part of planning binary operators; what it leaves alone is DataFusion's.
#[derive(Debug)]
pub struct OperatorPlanner;

/// What is known of an operand.
pub enum Operand {
    /// A text literal: takes the other side's type.
    Unknown(String),
    /// A parameter without a type yet.
    Parameter(String),
    Typed(Field),
    /// NULL, or a column this schema does not tell about (a lambda, an outer query's).
    Other,
}

impl ExprPlanner for OperatorPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let operator = operator_name(&expr.op.to_string());
        let (left, right) = (operand(&expr.left, schema), operand(&expr.right, schema));
        let distinct = match operator.as_str() {
            IS_DISTINCT_FROM => Some(Operator::IsDistinctFrom),
            IS_NOT_DISTINCT_FROM => Some(Operator::IsNotDistinctFrom),
            _ => None,
        };
        if let Some(op) = distinct {
            let (left, right) = match [&left, &right].iter().any(|operand| operand.is(&decimal::any())) {
                true => comparison::of_operator(expr.left, op, expr.right, schema)?,
                false => {
                    let taken = |other: &Operand| other.field().and_then(|field| type_beside("=", field));
                    let (of_left, of_right) = (taken(&right), taken(&left));
                    (
                        of_left.map_or(Ok(expr.left.clone()), |ty| typed(expr.left.clone(), &left, &ty))?,
                        of_right
                            .map_or(Ok(expr.right.clone()), |ty| typed(expr.right.clone(), &right, &ty))?,
                    )
                }
            };
            let compared = BinaryExpr::new(Box::new(left), op, Box::new(right));
            return Ok(PlannerResult::Planned(Expr::BinaryExpr(compared)));
        }
        if let Some(planned) = text_search_operator(&operator, &expr, &left, &right)? {
            return Ok(PlannerResult::Planned(planned));
        }
        if let Some(planned) = hstore::plan(&operator, &expr, &left, &right)? {
            return Ok(PlannerResult::Planned(planned));
        }
        if operator == "||" && left.is_json() && right.is_json() {
            return Err(no_operator(&operator, &left, &right));
        }
        if operator == "||"
            && let Some(planned) = joined_to_text(&expr, &left, &right)
        {
            return Ok(PlannerResult::Planned(planned));
        }
        let is_oid = |operand: &Operand| operand.field().is_some_and(|field| type_of(field) == Type::Oid);
        if matches!(operator.as_str(), "+" | "-" | "*" | "/" | "%") && (is_oid(&left) || is_oid(&right)) {
            // They are compared, and that is all.
            return Err(no_operator(&operator, &left, &right));
        }
        if let Some(planned) = of_ranges::plan(&operator, &expr, &left, &right)? {
            return Ok(PlannerResult::Planned(planned));
        }
        if let Some(planned) = networks::plan(&operator, &expr, &left, &right)? {
            return Ok(PlannerResult::Planned(planned));
        }
        let mut expr = expr;
        networks::compared(&mut expr, &left, &right);
        if let Some(metric) = Metric::from_operator(&operator) {
            let RawBinaryExpr { left: a, right: b, .. } = expr;
            return distance(metric, (a, left), (b, right)).map(PlannerResult::Planned);
        }
        if let Some(element) = common(&left, &right)
            && let Some(function) = operator_function(&operator, element)
        {
            if !meets(&left, element, &operator) || !meets(&right, element, &operator) {
                return Err(no_operator(&operator, &left, &right));
            }
            let vector = type_of_element(element);
            let ty = if matches!(operator.as_str(), "<<" | ">>") { &Type::Int4 } else { &vector };
            let arguments = vec![typed(expr.left, &left, &vector)?, typed(expr.right, &right, ty)?];
            return Ok(PlannerResult::Planned(call(function, arguments)));
        }
        let is_text = |operand: &Operand| operand.is(&DataType::Utf8);
        if common(&left, &right) == Some(Element::Sparse)
            && is_of_numbers(&operator)
            && !is_text(&left)
            && !is_text(&right)
        {
            return Err(no_operator(&operator, &left, &right));
        }
        if let Some(function) = json::function_of_operator(&operator)
            && (left.is(&DataType::LargeUtf8) || left.is_json())
        {
            let right = json::right_operand(&operator, expr.right, matches!(right, Operand::Parameter(_)));
            return Ok(PlannerResult::Planned(call(function, vec![expr.left, right])));
        }
        // NULL || array is no array with a NULL more.
        let is_null = |expr: &Expr| operator == "||" && matches!(expr, Expr::Literal(ScalarValue::Null, _));
        let takes = (
            left.takes_array(&right) || is_null(&expr.left),
            right.takes_array(&left) || is_null(&expr.right),
        );
        if let Some((function, swapped)) = arrays::function_of_operator(&operator, takes.0, takes.1)
            && (left.array().is_some() || right.array().is_some())
        {
            if are_of_other_kinds(&left, &right) {
                return Err(no_operator(&operator, &left, &right));
            }
            let nulls = (is_null(&expr.left), is_null(&expr.right));
            let a = array_operand(expr.left, &left, &right)?;
            let b = array_operand(expr.right, &right, &left)?;
            // Of the type of the first one.
            let arguments = match nulls {
                (true, false) => vec![b, a],
                _ if swapped => vec![b, a],
                _ => vec![a, b],
            };
            return Ok(PlannerResult::Planned(call(function, arguments)));
        }
        if let Some(compared) = dimensions::compared(&expr, &operator, &left, &right, schema)? {
            return Ok(PlannerResult::Planned(compared));
        }
        if let Some((function, negated)) = regex::function_of_operator(&operator) {
            let is_text = |operand: &Operand| match operand {
                Operand::Typed(field) => matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View),
                _ => true,
            };
            if !is_text(&left) || !is_text(&right) {
                return Err(no_operator(&operator, &left, &right));
            }
            // Beside a citext, what has no type is one.
            let is_citext =
                |operand: &Operand| operand.field().is_some_and(|field| type_of(field) == Type::Citext);
            let open = if is_citext(&left) || is_citext(&right) { Type::Citext } else { Type::Text };
            let subject = with_blanks(typed(expr.left, &left, &open)?, schema);
            let arguments = vec![subject, typed(expr.right, &right, &open)?];
            let found = call(function, arguments);
            return Ok(PlannerResult::Planned(if negated { Expr::Not(Box::new(found)) } else { found }));
        }
        if operator == "||" && (left.is(&DataType::Binary) || right.is(&DataType::Binary)) {
            // A text literal beside bytes is read as bytes.
            let (a, b) = (typed(expr.left, &left, &Type::Bytea)?, typed(expr.right, &right, &Type::Bytea)?);
            let both = RawBinaryExpr { op: expr.op, left: a, right: b };
            return Ok(PlannerResult::Original(both));
        }
        if operator == "^@" {
            let arguments =
                vec![typed(expr.left, &left, &Type::Text)?, typed(expr.right, &right, &Type::Text)?];
            return Ok(PlannerResult::Planned(call("starts_with", arguments)));
        }
        // DataFusion takes x # x for 0, of NULL too.
        let is_whole =
            |operand: &Operand| matches!(operand, Operand::Typed(field) if field.data_type().is_integer());
        if operator == "#" && is_whole(&left) && is_whole(&right) {
            return Ok(PlannerResult::Planned(call("int_xor", vec![expr.left, expr.right])));
        }
        let is_document = |operand: &Operand| operand.is(&DataType::LargeUtf8);
        if is_document(&left)
            && let Some(function) = jsonpath::function_of_operator(&operator)
        {
            let path = typed(expr.right, &right, &Type::JsonPath)?;
            return Ok(PlannerResult::Planned(call(function, vec![expr.left, path])));
        }
        // A text literal beside a document is read as one.
        if operator == "||" && is_document(&right) && matches!(left, Operand::Unknown(_)) {
            let document = typed(expr.left, &left, &Type::Jsonb)?;
            return Ok(PlannerResult::Planned(call("jsonb_concat", vec![document, expr.right])));
        }
        if (is_document(&left) || operator == "<@" && is_document(&right))
            && let Some(function) = documents::function_of_operator(&operator, is_document(&right))
        {
            return Ok(PlannerResult::Planned(call(function, vec![expr.left, expr.right])));
        }
        plan_text_literals(with_null_length(expr, &operator, &left, &right), &operator, &left, &right, schema)
    }

    fn plan_array_literal(
        &self,
        mut exprs: Vec<Expr>,
        schema: &DFSchema,
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let operands: Vec<Operand> = exprs.iter().map(|expr| operand(expr, schema)).collect();
        if let Some(ty) = operands.iter().find_map(Operand::array) {
            let typed = exprs.into_iter().zip(&operands).map(|(expr, operand)| match operand.array() {
                Some(found) if found.dimensions() != ty.dimensions() => Err(external(arrays::uneven())),
                None if operand.field().is_some_and(|field| !field.data_type().is_null()) => {
                    Err(dimensions::no_array(&operands, operand))
                }
                _ => typed(expr, operand, &ty),
            });
            return Ok(PlannerResult::Original(typed.collect::<Result<_>>()?));
        }
        if let Some(of) = operands.iter().find_map(Operand::range) {
            let typed = exprs.into_iter().zip(&operands).map(|(expr, operand)| match operand.field() {
                Some(field) if type_of(field) != of => Err(of_ranges::no_array(&type_of(field), &of)),
                _ => typed(expr, operand, &of),
            });
            return Ok(PlannerResult::Original(typed.collect::<Result<_>>()?));
        }
        let types = || operands.iter().filter_map(Operand::field).map(Field::data_type);
        let Some(element) = common_element(types()) else {
            // Numbers have PostgreSQL's types later on, but for those that DataFusion does not know.
            if types().any(|ty| !ty.is_null() && !ty.is_numeric() && *ty != DataType::Utf8) {
                common::unify(exprs.iter_mut().collect(), schema, common::ARRAY)?;
            }
            return Ok(PlannerResult::Original(exprs));
        };
        let ty = type_of_element(element);
        let typed = exprs.into_iter().zip(&operands).map(|(expr, operand)| match operand.field() {
            Some(field) if element_of(field.data_type()).is_some_and(|found| found != element) => {
                let function = cast::function(type_of(field), ty.clone(), false);
                Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr])))
            }
            _ => typed(expr, operand, &ty),
        });
        Ok(PlannerResult::Original(typed.collect::<Result<_>>()?))
    }

    /// Subscripts count from 1, and nothing is before the first element; DataFusion counts from the end there. Those of
    /// jsonb are `about['a']` and `about[0]`.
    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if let Some(deeper) = dimensions::subscript(&expr, schema) {
            return Ok(PlannerResult::Planned(deeper));
        }
        if operand(&expr.expr, schema).is(&DataType::LargeUtf8) {
            // A step of a path, and not `->`: `'[1]'['0']` is 1, and nothing is in a scalar.
            let key = match expr.field_access {
                GetFieldAccess::NamedStructField { name } => Expr::Literal(name, None),
                GetFieldAccess::ListIndex { key } => {
                    let text = Arc::new(field("", &Type::Text, true));
                    Expr::Cast(Cast::new_from_field(key, text))
                }
                GetFieldAccess::ListRange { .. } => {
                    let message = "jsonb subscript does not support slices";
                    return Err(external(Error::new(SqlState::DATATYPE_MISMATCH, message)));
                }
            };
            return Ok(PlannerResult::Planned(call("jsonb_extract_path", vec![expr.expr, key])));
        }
        let subscripted = operand(&expr.expr, schema);
        if hstore::is_hstore(&subscripted) {
            return hstore::element(expr.expr, expr.field_access).map(PlannerResult::Planned);
        }
        if subscripted.array().is_none() {
            return Ok(PlannerResult::Original(expr));
        }
        Ok(match expr.field_access {
            GetFieldAccess::ListIndex { key } => {
                let none = Expr::Literal(ScalarValue::Int64(Some(0)), None);
                let subscript = match *key {
                    Expr::Literal(ScalarValue::Int64(Some(1..)), None) => *key,
                    key => call("greatest", vec![key, none]),
                };
                PlannerResult::Planned(array_element(expr.expr, subscript))
            }
            GetFieldAccess::ListRange { start, stop, .. } => {
                PlannerResult::Planned(call("hither_slice", vec![expr.expr, *start, *stop]))
            }
            field_access => PlannerResult::Original(RawFieldAccessExpr { expr: expr.expr, field_access }),
        })
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(call("substring", args)))
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        // The module overloads strpos, and not this.
        let args = args.into_iter().map(of_citext::plain).collect();
        Ok(PlannerResult::Planned(call("strpos", args)))
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(call("overlay", args)))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(match field_of(&args).map(extract::extract_function) {
            Some(function) => PlannerResult::Planned(call(function, args)),
            None => PlannerResult::Original(args),
        })
    }
}

/// The field of `extract(field FROM ...)`.
fn field_of(args: &[Expr]) -> Option<&str> {
    match args {
        [Expr::Literal(ScalarValue::Utf8(Some(field)), _), _] => Some(field),
        _ => None,
    }
}

/// `OPERATOR(public.<->)` is `<->`.
fn operator_name(text: &str) -> String {
    let inner = text.strip_prefix("OPERATOR(").and_then(|text| text.strip_suffix(')'));
    match inner {
        Some(qualified) => qualified.rsplit_once('.').map_or(qualified, |(_, name)| name).to_owned(),
        None => text.to_owned(),
    }
}

impl Operand {
    fn is(&self, data_type: &DataType) -> bool {
        matches!(self, Operand::Typed(field) if field.data_type() == data_type)
    }

    /// The type of a range or multirange.
    pub fn range(&self) -> Option<Type> {
        let ty = self.field().map(type_of)?;
        matches!(ty, Type::Range(_) | Type::Multirange(_)).then_some(ty)
    }

    pub fn network(&self) -> Option<NetworkType> {
        self.field().and_then(|field| network_of(field.data_type()))
    }

    fn is_json(&self) -> bool {
        matches!(self, Operand::Typed(field) if type_of(field) == Type::Json)
    }

    pub fn describe(&self) -> String {
        match self {
            Operand::Typed(field) => match type_of(field) {
                ty @ (Type::Array(_) | Type::Enum(_) | Type::Composite(_)) => ty.standard_name(),
                ty @ (Type::Range(_) | Type::Multirange(_)) => ty.standard_name(),
                ty if ty.is_text() => ty.standard_name(),
                _ => type_name(field.data_type()).into_owned(),
            },
            _ => "unknown".to_owned(),
        }
    }
}

fn operand(expr: &Expr, schema: &DFSchema) -> Operand {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) => Operand::Unknown(text.clone()),
        Expr::Literal(ScalarValue::Null, _) => Operand::Other,
        Expr::Literal(ScalarValue::Int64(Some(number)), None) if i32::try_from(*number).is_ok() => {
            Operand::Typed(field("", &Type::Int4, true))
        }
        Expr::Placeholder(Placeholder { id, field: None }) => Operand::Parameter(id.clone()),
        // A field has a name, which for each link of a chain of operators would be made of all before it.
        Expr::BinaryExpr(_) => match expr.get_type(schema) {
            Ok(ty) if ty.is_null() => Operand::Other,
            Ok(ty) => Operand::Typed(Field::new("", ty, true)),
            Err(_) => Operand::Other,
        },
        expr => match expr.to_field(schema) {
            Ok((_, field)) if field.data_type().is_null() => Operand::Other,
            Ok((_, field)) => Operand::Typed(field.as_ref().clone()),
            Err(_) => Operand::Other,
        },
    }
}

/// The element in which two operands meet, when one is a vector.
fn common(left: &Operand, right: &Operand) -> Option<Element> {
    common_element([left, right].into_iter().filter_map(Operand::field).map(Field::data_type))
}

/// Whether an operand is a vector of `element`, becomes one by itself, or has no type of its own.
fn meets(operand: &Operand, element: Element, operator: &str) -> bool {
    let Operand::Typed(field) = operand else { return true };
    match element_of(field.data_type()) {
        Some(found) => (found == Element::Bit) == (element == Element::Bit),
        None => matches!(operator, "<<" | ">>") && field.data_type().is_integer(),
    }
}

/// Operators that dense vectors have, or might be thought to, and sparse ones have not.
fn is_of_numbers(operator: &str) -> bool {
    matches!(operator, "+" | "-" | "*" | "/" | "%" | "||")
}

/// The operators of text search: `@@`, and what they share with arrays, text and vectors.
fn text_search_operator(
    operator: &str,
    expr: &RawBinaryExpr,
    left: &Operand,
    right: &Operand,
) -> Result<Option<Expr>> {
    let is_vector = |operand: &Operand| operand.is(&tsvector_type());
    let is_query = |operand: &Operand| operand.is(&tsquery_type());
    let is_open =
        |operand: &Operand| matches!(operand, Operand::Unknown(_) | Operand::Parameter(_) | Operand::Other);
    let is_text = |operand: &Operand| operand.is(&DataType::Utf8);
    let (a, b) = (expr.left.clone(), expr.right.clone());
    let both = |function: &str, ty: &Type| {
        let arguments = vec![typed(a.clone(), left, ty)?, typed(b.clone(), right, ty)?];
        Ok(Some(call(function, arguments)))
    };
    // On jsonb it is a path's condition.
    if operator == "@@" && left.is(&DataType::LargeUtf8) {
        return Ok(None);
    }
    if operator == "@@" {
        let matched = |vector: Expr, query: Expr| Ok(Some(call("ts_match", vec![vector, query])));
        let document = |text: Expr| call("to_tsvector", vec![configuration(), text]);
        return match () {
            _ if is_vector(left) && (is_query(right) || is_open(right)) => {
                matched(a, typed(b, right, &Type::TsQuery)?)
            }
            _ if is_vector(right) && (is_query(left) || is_open(left)) => {
                matched(b, typed(a, left, &Type::TsQuery)?)
            }
            _ if is_query(right) && is_text(left) => matched(document(a), b),
            _ if is_query(right) && is_open(left) => matched(typed(a, left, &Type::TsVector)?, b),
            _ if is_query(left) && is_open(right) => matched(typed(b, right, &Type::TsVector)?, a),
            _ if (is_text(left) || is_open(left)) && (is_text(right) || is_open(right)) => {
                let query = call("plainto_tsquery", vec![configuration(), typed(b, right, &Type::Text)?]);
                matched(document(typed(a, left, &Type::Text)?), query)
            }
            _ => Err(no_operator(operator, left, right)),
        };
    }
    let meets = |is: &dyn Fn(&Operand) -> bool| {
        is(left) && (is(right) || is_open(right)) || is(right) && is_open(left)
    };
    if operator == "||" && meets(&is_vector) {
        return both("tsvector_concat", &Type::TsVector);
    }
    if !meets(&is_query) {
        return Ok(None);
    }
    match operator {
        "&&" => both("tsquery_and", &Type::TsQuery),
        "||" => both("tsquery_or", &Type::TsQuery),
        "<->" => both("tsquery_phrase", &Type::TsQuery),
        "@>" => both("tsq_mcontains", &Type::TsQuery),
        "<@" => both("tsq_mcontained", &Type::TsQuery),
        _ => Ok(None),
    }
}

/// `range || text` and `json || text`: the range or the document as text, which DataFusion would take for an array, or
/// keep for a document.
fn joined_to_text(expr: &RawBinaryExpr, left: &Operand, right: &Operand) -> Option<Expr> {
    // A literal beside jsonb is jsonb.
    let literal = [left, right].iter().any(|operand| matches!(operand, Operand::Unknown(_)));
    let is_other = |operand: &Operand| {
        operand.range().is_some()
            || operand.network().is_some()
            || hstore::is_hstore(operand)
            || operand.is_json()
            || !literal && operand.is(&DataType::LargeUtf8)
    };
    let is_text = |operand: &Operand| {
        !is_other(operand) && operand.is(&DataType::Utf8) || matches!(operand, Operand::Unknown(_))
    };
    let of_text = |value: &Expr| {
        let text = Arc::new(field("", &Type::Text, true));
        Box::new(Expr::Cast(Cast::new_from_field(Box::new(value.clone()), text)))
    };
    let is_null = |expr: &Expr| matches!(expr, Expr::Literal(ScalarValue::Null, _));
    let (left, right) = match (is_other(left), is_other(right)) {
        (true, false) if left.is_json() && is_null(&expr.right) => {
            (of_text(&expr.left), of_text(&expr.right))
        }
        (false, true) if right.is_json() && is_null(&expr.left) => {
            (of_text(&expr.left), of_text(&expr.right))
        }
        (true, false) if is_text(right) => (of_text(&expr.left), Box::new(expr.right.clone())),
        (false, true) if is_text(left) => (Box::new(expr.left.clone()), of_text(&expr.right)),
        _ => return None,
    };
    Some(Expr::BinaryExpr(BinaryExpr::new(left, Operator::StringConcat, right)))
}

fn distance(metric: Metric, left: (Expr, Operand), right: (Expr, Operand)) -> Result<Expr> {
    let of_bits = Metric::OF_BITS.contains(&metric);
    let otherwise = if of_bits { Element::Bit } else { Element::F32 };
    let element = common(&left.1, &right.1).unwrap_or(otherwise);
    let fits = |operand: &Operand| operand.is(&DataType::Utf8) || meets(operand, element, metric.operator());
    if !Metric::of(element).contains(&metric) || !fits(&left.1) || !fits(&right.1) {
        return Err(no_operator(metric.operator(), &left.1, &right.1));
    }
    let ty = type_of_element(element);
    let arguments = vec![typed(left.0, &left.1, &ty)?, typed(right.0, &right.1, &ty)?];
    Ok(call(distance_function(metric, element), arguments))
}

pub fn no_operator(operator: &str, left: &Operand, right: &Operand) -> DataFusionError {
    let error = Error::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("operator does not exist: {} {operator} {}", left.describe(), right.describe()),
    )
    .hint(
        "No operator matches the given name and argument types. You might need to add explicit type casts.",
    );
    external(error)
}

/// Whether no array can have both: the elements of two arrays, or of one and what stands beside it.
fn are_of_other_kinds(left: &Operand, right: &Operand) -> bool {
    let kind = |operand: &Operand| kind_of(&type_of(operand.field()?).element().bare());
    matches!((kind(left), kind(right)), (Some(one), Some(other)) if one != other)
}

/// The expression as `ty` when it has no type of its own.
pub fn typed(expr: Expr, operand: &Operand, ty: &Type) -> Result<Expr> {
    match operand {
        Operand::Unknown(text) => literal(text, ty),
        Operand::Parameter(id) => Ok(parameter(id.clone(), ty)),
        _ => Ok(expr),
    }
}

/// A parameter of a known type.
pub fn parameter(id: String, ty: &Type) -> Expr {
    Expr::Placeholder(Placeholder::new_with_field(id, Some(Arc::new(field("", ty, true)))))
}

/// A text literal as a value of `ty`.
pub fn literal(text: &str, ty: &Type) -> Result<Expr> {
    let Some(value) = parse_text(text, ty).map_err(external)? else {
        // The session's time zone makes it a value, as it does of any text.
        let text = Expr::Literal(ScalarValue::Utf8(Some(text.to_owned())), None);
        return Ok(Expr::Cast(Cast::new_from_field(Box::new(text), Arc::new(field("", ty, true)))));
    };
    let scalar = to_scalar(&value, ty).map_err(external)?;
    let metadata = datafusion::common::metadata::FieldMetadata::from(
        &Field::new("", data_type(ty), true).with_metadata(metadata(ty)),
    );
    Ok(Expr::Literal(scalar, Some(metadata)))
}

/// A call of one of our functions.
pub fn call(function: &str, arguments: Vec<Expr>) -> Expr {
    static FUNCTIONS: OnceLock<HashMap<String, Arc<ScalarUDF>>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| {
        let all = vector::functions()
            .into_iter()
            .chain(bits::functions())
            .chain(json::functions())
            .chain(dates::functions());
        let all = all.chain(documents::functions()).chain(strings::functions()).chain(arrays::functions());
        let all = all.chain(text_search::functions()).chain(jsonpath::functions());
        let all = all
            .chain(regex::functions())
            .chain(regexps::functions())
            .chain(math::functions())
            .chain(money::functions())
            .chain(crate::functions::networks::functions())
            .chain(crate::functions::hstore::functions())
            .chain(choice::functions());
        let all = all.chain(sort_keys::functions()).chain(membership::functions());
        let all = all.chain(characters::functions()).chain(ranges::functions()).chain(citext::functions());
        let all = all.chain(crate::functions::records::functions());
        all.map(|function| (function.name().to_owned(), function)).collect()
    });
    let udf = functions.get(function).expect("operators name functions of these files only");
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(udf), arguments))
}

/// `now() + NULL`: what is added to a moment is a length of time, also where it is not known.
fn with_null_length(
    mut expr: RawBinaryExpr,
    operator: &str,
    left: &Operand,
    right: &Operand,
) -> RawBinaryExpr {
    let is_moment = |operand: &Operand| {
        let of = |ty: &DataType| {
            matches!(ty, DataType::Timestamp(..) | DataType::Time64(_) | DataType::FixedSizeBinary(12))
        };
        operand.field().is_some_and(|field| of(field.data_type()))
    };
    let is_null = |side: &Expr| matches!(side, Expr::Literal(ScalarValue::Null, _));
    let length = || Expr::Literal(ScalarValue::IntervalMonthDayNano(None), None);
    if operator == "+" && is_moment(left) && is_null(&expr.right) {
        expr.right = length();
    } else if operator == "+" && is_moment(right) && is_null(&expr.left) {
        expr.left = length();
    }
    expr
}

fn plan_text_literals(
    expr: RawBinaryExpr,
    operator: &str,
    left: &Operand,
    right: &Operand,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    if let (Some(one), Some(other)) = (left.field(), right.field())
        && !is_defined(operator, &type_of(one), &type_of(other))
    {
        return Err(no_operator(operator, left, right));
    }
    // json has no order, and no equality.
    let compares = matches!(operator, "=" | "<>" | "!=" | "<" | "<=" | ">" | ">=");
    if compares && (left.is_json() || right.is_json()) {
        return Err(no_operator(operator, left, right));
    }
    let RawBinaryExpr { op, left: a, right: b } = expr;
    let a_type = right.field().and_then(|field| type_beside(operator, field));
    let b_type = left.field().and_then(|field| type_beside(operator, field));
    let a = match &a_type {
        Some(ty) => typed(a, left, ty)?,
        None => a,
    };
    let b = match &b_type {
        Some(ty) => typed(b, right, ty)?,
        None => b,
    };
    if let (Some(one), Some(other)) = (left.type_or(a_type.clone()), right.type_or(b_type.clone()))
        && let Some(function) = dates::function_of_operator(operator, &one, &other)
            .or_else(|| money::function_of_operator(operator, &one, &other))
    {
        return Ok(PlannerResult::Planned(call(function, vec![a, b])));
    }
    let (a, b) = fixed_width::settle(operator, (a, left), (b, right));
    // DataFusion does not know what stands for these numbers.
    let is_any = |operand: &Operand, ty: &Option<Type>| {
        operand.is(&decimal::any()) || ty.as_ref().is_some_and(|ty| data_type(ty) == decimal::any())
    };
    if (is_any(left, &a_type) || is_any(right, &b_type))
        && let Some(op) = operator_of_numbers(operator)
    {
        return Ok(PlannerResult::Planned(plan_numbers(op, a, b, schema)?));
    }
    Ok(PlannerResult::Original(RawBinaryExpr { op, left: a, right: b }))
}

/// An operator with a number that shows its own digits.
fn plan_numbers(op: Operator, left: Expr, right: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(match arithmetic::binary(op, left, right) {
        Ok(computed) => computed,
        Err((left, right)) => {
            let (left, right) = comparison::of_operator(left, op, right, schema)?;
            Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
        }
    })
}

pub fn operator_of_numbers(operator: &str) -> Option<Operator> {
    Some(match operator {
        "+" => Operator::Plus,
        "-" => Operator::Minus,
        "*" => Operator::Multiply,
        "/" => Operator::Divide,
        "%" => Operator::Modulo,
        "=" => Operator::Eq,
        "<>" | "!=" => Operator::NotEq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        _ => return None,
    })
}

/// A literal or parameter beside an array is one; a number beside one of numbers has its elements' type.
pub fn array_operand(expr: Expr, operand: &Operand, other: &Operand) -> Result<Expr> {
    match other.array() {
        Some(ty) => match operand {
            Operand::Unknown(text) => literal(text, &dimensions::of_literal(text, &ty)),
            operand => typed(expr, operand, &ty),
        },
        None => Ok(expr),
    }
}

impl Operand {
    /// The type of an array.
    pub fn array(&self) -> Option<Type> {
        match self {
            Operand::Typed(field) => match type_of(field) {
                ty @ Type::Array(_) => Some(ty),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is an array, or becomes one beside `other`.
    fn takes_array(&self, other: &Operand) -> bool {
        self.array().is_some()
            || matches!(self, Operand::Unknown(_) | Operand::Parameter(_)) && other.array().is_some()
    }

    /// The type it has, or takes as a literal or parameter beside the other operand.
    fn type_or(&self, taken: Option<Type>) -> Option<Type> {
        match self {
            Operand::Typed(field) => Some(without_modifier(type_of(field))),
            Operand::Unknown(_) | Operand::Parameter(_) => taken,
            Operand::Other => None,
        }
    }

    pub fn field(&self) -> Option<&Field> {
        match self {
            Operand::Typed(field) => Some(field),
            _ => None,
        }
    }
}

/// The type an operand without one takes beside `other`; `None` leaves it alone.
fn type_beside(operator: &str, other: &Field) -> Option<Type> {
    let ty = without_modifier(type_of(other));
    let compares = matches!(operator, "=" | "<>" | "!=" | "<" | "<=" | ">" | ">=");
    // Blanks at the end mean nothing in character(n), and are not kept.
    if is_text(&ty) && !(compares && matches!(ty, Type::Bpchar(_))) {
        return None;
    }
    let is_moment = matches!(
        ty,
        Type::Date | Type::Time(_) | Type::Timetz(_) | Type::Timestamp(_) | Type::Timestamptz(_)
    );
    match operator {
        _ if compares => Some(ty),
        "+" if is_moment => Some(Type::Interval(None)),
        "*" | "/" if matches!(ty, Type::Interval(_)) => Some(Type::Float8),
        "*" if ty == Type::Money => Some(Type::Float8),
        "+" | "-" | "*" | "/" | "%" => Some(ty),
        _ => None,
    }
}

/// Text literals stay text beside text and json.
fn is_text(ty: &Type) -> bool {
    ty.is_text() || matches!(ty, Type::Json)
}

/// The type of a parameter or literal that meets a column of `ty`.
pub fn without_modifier(ty: Type) -> Type {
    ty.bare()
}
