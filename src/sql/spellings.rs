//! Expressions in the words that the planner has for them.
//!
//! ```text
//!   a SIMILAR TO b                     similar_to(a, b)
//!   (a, b) < (c, d)                    a < c OR (a = c AND b < d)
//!   (a, b) OVERLAPS (c, d)             overlaps(a, b, c, d)
//!   (a, b) IN ((1, 2), (3, 4))         (a = 1 AND b = 2) OR (a = 3 AND b = 4)
//!   (a, b) = (SELECT x, y ...)         a = (SELECT x ...) AND b = (SELECT y ...)
//!   ARRAY['a', 1]::text[]              ARRAY[CAST('a' AS text), CAST(1 AS text)]::text[]
//!   date(x), int8(x)                   CAST(x AS date), CAST(x AS int8)
//!   make_interval(days => 10)          make_interval(0, 0, 0, 10)
//!   INTERVAL '1:30' MINUTE TO SECOND   CAST('00:01:30' AS interval)
//! ```

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DateTimeField, Expr, FunctionArg, FunctionArgExpr, Ident, UnaryOperator,
};

use crate::functions::doubles;
use crate::functions::normal_forms::FORMS;
use crate::planner::operators::{IS_DISTINCT_FROM, IS_NOT_DISTINCT_FROM};
use crate::sql::membership::{column_of, width_of};
use crate::sql::operator_functions;
use crate::sql::rewrite::{arguments, call, cast_to, folded, function_call, is_float_type, plain_name};
use crate::sql::trees::{self, literal, number, text};
use crate::types::interval::{self, Field};
use crate::types::numeric::SMALL_DIGITS;

/// Elements of an array that is cast as a whole need nothing in common. Where one may be an array itself, they are left
/// alone.
fn cast_elements(array: &mut Expr, ty: &ast::DataType) {
    match array {
        Expr::Nested(inner) => cast_elements(inner, ty),
        array if is_empty_array(array) => *array = text("{}"),
        Expr::Array(array) if array.elem.iter().any(|element| matches!(element, Expr::Array(_))) => {
            let ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(ty, _)) = ty else { return };
            array.elem.iter_mut().for_each(|element| cast_elements(element, ty));
        }
        Expr::Array(array)
            if !matches!(ty, ast::DataType::Array(_)) && array.elem.iter().all(is_no_array) =>
        {
            for element in &mut array.elem {
                *element = cast_to(element.clone(), ty.clone());
            }
        }
        _ => {}
    }
}

/// `ARRAY[]`, `ARRAY[[], []]`
fn is_empty_array(expr: &Expr) -> bool {
    matches!(expr, Expr::Array(array) if array.elem.iter().all(is_empty_array))
}

/// Whether an expression is no array, whatever stands in it.
fn is_no_array(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => is_no_array(inner),
        Expr::Cast { data_type, .. } => !matches!(data_type, ast::DataType::Array(_)),
        _ => false,
    }
}

/// What the planner would read in its own way, in words that it leaves to us.
pub fn respell(expr: &mut Expr) {
    match expr {
        // A number too large for a decimal is none too large for a float.
        Expr::Cast { expr: inner, data_type, .. } if is_float_type(data_type) => {
            if let Expr::Value(value) = inner.as_mut()
                && let ast::Value::Number(number, _) = &value.value
            {
                value.value = ast::Value::SingleQuotedString(number.clone());
            }
        }
        Expr::Cast {
            expr: inner,
            data_type: ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(ty, _)),
            ..
        } => {
            cast_elements(inner, ty);
        }
        // What a domain or the other name of an array type is over.
        Expr::Cast { expr: inner, data_type: ast::DataType::Custom(..), .. } if is_empty_array(inner) => {
            **inner = text("{}");
        }
        // N'text'
        Expr::Value(value) if matches!(value.value, ast::Value::NationalStringLiteral(_)) => {
            if let ast::Value::NationalStringLiteral(text) =
                std::mem::replace(&mut value.value, ast::Value::Null)
            {
                value.value = ast::Value::SingleQuotedString(text);
            }
        }
        Expr::Interval(interval) => {
            if let Some(cast) = literal(&interval.value).and_then(|text| interval_literal(interval, text)) {
                *expr = cast;
            }
        }
        Expr::Cast { expr: inner, data_type: ast::DataType::Interval { fields, precision }, .. }
            if fields.is_some() || precision.is_some() =>
        {
            let last = fields.as_ref().map(ToString::to_string).unwrap_or_default();
            let last = last.rsplit(' ').next().unwrap_or_default().to_lowercase();
            let digits = precision.map_or(-1, |digits| i64::try_from(digits).unwrap_or(i64::MAX));
            let interval = cast_to((**inner).clone(), PLAIN_INTERVAL);
            *expr = function_call("hither_fit_interval", vec![interval, text(last), number(digits)]);
        }
        Expr::IsNormalized { expr: inner, form, negated } => {
            let form = form.map_or_else(|| FORMS[0].to_owned(), |form| form.to_string());
            let call = function_call("is_normalized", vec![(**inner).clone(), text(form)]);
            *expr = match negated {
                true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(call) },
                false => call,
            };
        }
        // normalize(x, NFC)
        Expr::Function(function) if plain_name(function).as_deref() == Some("normalize") => {
            if let Some([_, form]) = arguments(function).as_deref()
                && let Expr::Identifier(word) = form
                && word.quote_style.is_none()
                && FORMS.contains(&word.value.to_ascii_uppercase().as_str())
                && let ast::FunctionArguments::List(list) = &mut function.args
            {
                let form = text(word.value.to_ascii_uppercase());
                list.args[1] = FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(form));
            }
        }
        Expr::SimilarTo { negated, expr: subject, pattern, escape_char } => {
            let mut arguments = vec![(**subject).clone(), (**pattern).clone()];
            arguments.extend(escape_char.clone().map(Expr::Value));
            let call = function_call("similar_to", arguments);
            *expr = match negated {
                true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(call) },
                false => call,
            };
        }
        Expr::BinaryOp { left, op, right } => {
            if let (Some(one), Expr::Subquery(query)) = (row_of(left), right.as_ref())
                && width_of(query) == Some(one.len())
            {
                let width = one.len();
                let other: Vec<Expr> = (0..width).map(|place| column_of(query, place, width)).collect();
                if let Some(compared) = compare_rows(op, &one, &other) {
                    *expr = compared;
                }
            } else if let (Some(one), Some(other)) = (row_of(left), row_of(right)) {
                if *op == BinaryOperator::Overlaps {
                    *expr = function_call("overlaps", [one, other].concat());
                } else if let Some(compared) = compare_rows(op, &one, &other) {
                    *expr = compared;
                }
            }
        }
        Expr::Value(value) => {
            if let ast::Value::Number(digits, _) = &value.value
                && exceeds_decimal(digits)
            {
                *expr = cast_to(text(digits), ast::DataType::Numeric(ast::ExactNumberInfo::None));
            }
        }
        // The planner wants to know the type of both at once, and we the operator.
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
            let (left, right) = (left.clone(), right.clone());
            let is_distinct = matches!(expr, Expr::IsDistinctFrom(..));
            let op = if is_distinct { IS_DISTINCT_FROM } else { IS_NOT_DISTINCT_FROM };
            *expr = Expr::BinaryOp { left, op: BinaryOperator::Custom(op.to_owned()), right };
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: operand }
            if matches!(operand.as_ref(), Expr::Value(value)
                if matches!(&value.value, ast::Value::Number(digits, _) if exceeds_decimal(digits))) =>
        {
            let number = text(format!("-{operand}"));
            *expr = cast_to(number, ast::DataType::Numeric(ast::ExactNumberInfo::None));
        }
        Expr::UnaryOp { op, expr: operand } => {
            let mut operand = (**operand).clone();
            // Of double precision only.
            if matches!(op, UnaryOperator::PGSquareRoot | UnaryOperator::PGCubeRoot) {
                operand = cast_to(operand, ast::DataType::DoublePrecision);
            }
            let name = match op {
                UnaryOperator::BitwiseNot => "bitnot",
                UnaryOperator::PGAbs => "abs",
                // The planner knows of no numbers but its own.
                UnaryOperator::Minus if !matches!(operand, Expr::Value(_)) => "-",
                // !!query
                UnaryOperator::PGPrefixFactorial => "tsquery_not",
                UnaryOperator::PGSquareRoot => "sqrt",
                UnaryOperator::PGCubeRoot => "cbrt",
                _ => return,
            };
            *expr = function_call(name, vec![operand]);
        }
        Expr::Function(function) => {
            position_arguments(function);
            double_arguments(function);
            if let Some(operation) = operator_functions::as_operator(function) {
                *expr = operation;
                return;
            }
            if let Some(settled) = now_with_digits(function).or_else(|| cast_as_call(function)) {
                *expr = settled;
            }
        }
        Expr::InList { expr: subject, list, negated } => {
            let Some(row) = row_of(subject) else { return };
            let compared = |item: &Expr| compare_rows(&BinaryOperator::Eq, &row, &row_of(item)?);
            if let Some(compared) = list.iter().map(compared).collect::<Option<Vec<Expr>>>() {
                let any = Expr::Nested(Box::new(any_of(compared)));
                *expr = match negated {
                    true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(any) },
                    false => any,
                };
            }
        }
        // substring() has patterns as well.
        Expr::Substring { expr: input, substring_from, substring_for, shorthand: true, .. } => {
            let mut arguments = vec![(**input).clone()];
            arguments.extend(substring_from.as_deref().cloned());
            arguments.extend(substring_for.as_deref().cloned());
            *expr = function_call("substr", arguments);
        }
        // Of bytes too.
        Expr::Trim { expr: input, trim_where, trim_what, trim_characters } => {
            let name = match trim_where {
                Some(ast::TrimWhereField::Leading) => "ltrim",
                Some(ast::TrimWhereField::Trailing) => "rtrim",
                _ => "btrim",
            };
            let mut arguments = vec![(**input).clone()];
            arguments.extend(trim_what.as_deref().cloned());
            arguments.extend(trim_characters.clone().unwrap_or_default());
            *expr = function_call(name, arguments);
        }
        // NULL of a condition is what is not known; NOT asks for one.
        Expr::IsUnknown(condition) => *expr = Expr::IsNull(Box::new(negated(condition))),
        Expr::IsNotUnknown(condition) => *expr = Expr::IsNotNull(Box::new(negated(condition))),
        // extract('year' FROM x), extract("year" FROM x)
        Expr::Extract { field: DateTimeField::Custom(field), .. } if field.quote_style.is_some() => {
            *field = Ident::new(field.value.to_lowercase());
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expr = function_call("timezone", vec![(**time_zone).clone(), (**timestamp).clone()]);
        }
        _ => {}
    }
}

/// `current_timestamp(3)` is `current_timestamp::timestamptz(3)`.
fn now_with_digits(function: &ast::Function) -> Option<Expr> {
    use ast::TimezoneInfo::{None as Local, Tz};
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Value(digits)))] = list.args.as_slice()
    else {
        return None;
    };
    let ast::Value::Number(digits, _) = &digits.value else { return None };
    let digits = digits.parse().ok();
    let data_type = match plain_name(function)?.as_str() {
        "current_timestamp" => ast::DataType::Timestamp(digits, Tz),
        "localtimestamp" => ast::DataType::Timestamp(digits, Local),
        "localtime" => ast::DataType::Time(digits, Local),
        "current_time" => ast::DataType::Time(digits, Tz),
        _ => return None,
    };
    let now = call(function.name.0.last()?.as_ident()?.clone(), ast::FunctionArguments::None);
    Some(cast_to(now, data_type))
}

fn negated(condition: &Expr) -> Expr {
    let operand = Box::new(Expr::Nested(Box::new(condition.clone())));
    Expr::UnaryOp { op: UnaryOperator::Not, expr: operand }
}

/// Whether a number has more digits than an Arrow decimal has room for, or may have with its exponent.
fn exceeds_decimal(digits: &str) -> bool {
    if digits.len() > usize::from(SMALL_DIGITS) {
        return true;
    }
    let exponent = digits.split_once(['e', 'E']).map(|(_, exponent)| exponent.parse::<i32>());
    exponent.is_some_and(|exponent| !exponent.is_ok_and(|exponent| (-30..=30).contains(&exponent)))
}

/// `(a, b) = (c, d)` and its like, column by column; `None` for rows of different lengths and other operators.
pub fn compare_rows(op: &BinaryOperator, one: &[Expr], other: &[Expr]) -> Option<Expr> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    let binary = |left: Expr, op: BinaryOperator, right: Expr| {
        Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
    };
    let mut pairs: Vec<(Expr, Expr)> = one.iter().cloned().zip(other.iter().cloned()).collect();
    let last = pairs.pop().filter(|_| one.len() == other.len())?;
    Some(match op {
        Eq => pairs.into_iter().rfold(binary(last.0, Eq, last.1), |rest, (left, right)| {
            binary(binary(left, Eq, right), And, rest)
        }),
        NotEq => pairs.into_iter().rfold(binary(last.0, NotEq, last.1), |rest, (left, right)| {
            binary(binary(left, NotEq, right), Or, rest)
        }),
        Lt | LtEq | Gt | GtEq => {
            let strict = if matches!(op, Lt | LtEq) { Lt } else { Gt };
            pairs.into_iter().rfold(binary(last.0, op.clone(), last.1), |rest, (left, right)| {
                let decided = binary(left.clone(), strict.clone(), right.clone());
                binary(decided, Or, binary(binary(left, Eq, right), And, rest))
            })
        }
        _ => return None,
    })
}

/// The fields of `(a, b)` and of `row(a, b)`.
pub fn row_of(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(fields) => Some(fields.clone()),
        Expr::Nested(inner) => row_of(inner),
        Expr::Function(function) if plain_name(function).as_deref() == Some("row") => arguments(function),
        _ => None,
    }
}

/// Conditions joined by OR, in a tree that is no deeper than it has to be.
fn any_of(mut conditions: Vec<Expr>) -> Expr {
    match conditions.len() {
        0 => Expr::value(ast::Value::Boolean(false)),
        1 => conditions.swap_remove(0),
        count => {
            let rest = conditions.split_off(count / 2);
            let (left, right) = (any_of(conditions), any_of(rest));
            let either =
                Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::Or, right: Box::new(right) };
            Expr::Nested(Box::new(either))
        }
    }
}

/// Whether all fields of a row are what they should be.
pub fn all_of(row: Vec<Expr>, check: impl Fn(Expr) -> Expr) -> Expr {
    let checks = row.into_iter().map(check).reduce(|one, other| Expr::BinaryOp {
        left: Box::new(one),
        op: BinaryOperator::And,
        right: Box::new(other),
    });
    Expr::Nested(Box::new(checks.unwrap_or_else(|| Expr::value(ast::Value::Boolean(true)))))
}

/// Types whose casts are written as calls.
const CALLED_TYPES: &[&str] = &[
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "text",
    "varchar",
    "bpchar",
    "bytea",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "money",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "json",
    "jsonb",
    "vector",
    "halfvec",
    "sparsevec",
];

/// `date(x)` is `x::date`.
fn cast_as_call(function: &ast::Function) -> Option<Expr> {
    let name = plain_name(function).filter(|name| CALLED_TYPES.contains(&name.as_str()))?;
    if function.over.is_some() || function.filter.is_some() {
        return None;
    }
    let [argument] = arguments(function)?.try_into().ok()?;
    let name = ast::ObjectName::from(Ident::with_quote('"', name));
    Some(cast_to(argument, ast::DataType::Custom(name, Vec::new())))
}

/// The name of a parameter, and what it is where it is not given.
type Parameter = (&'static str, Option<&'static str>);

/// Functions whose arguments are called by name, with those names and what an argument is that is not there.
const NAMED: &[(&str, &[Parameter])] = &[
    (
        "make_interval",
        &[
            ("years", Some("0")),
            ("months", Some("0")),
            ("weeks", Some("0")),
            ("days", Some("0")),
            ("hours", Some("0")),
            ("mins", Some("0")),
            ("secs", Some("0")),
        ],
    ),
    ("make_date", &[("year", None), ("month", None), ("day", None)]),
    ("make_time", &[("hour", None), ("min", None), ("sec", None)]),
    (
        "make_timestamp",
        &[("year", None), ("month", None), ("mday", None), ("hour", None), ("min", None), ("sec", None)],
    ),
    (
        "make_timestamptz",
        &[
            ("year", None),
            ("month", None),
            ("mday", None),
            ("hour", None),
            ("min", None),
            ("sec", None),
            ("timezone", None),
        ],
    ),
    (
        "jsonb_set",
        &[("jsonb_in", None), ("path", None), ("replacement", None), ("create_if_missing", Some("true"))],
    ),
    (
        "jsonb_insert",
        &[("jsonb_in", None), ("path", None), ("replacement", None), ("insert_after", Some("false"))],
    ),
    (
        "jsonb_set_lax",
        &[
            ("jsonb_in", None),
            ("path", None),
            ("replacement", None),
            ("create_if_missing", Some("true")),
            ("null_value_treatment", Some("use_json_null")),
        ],
    ),
    ("parse_ident", &[("str", None), ("strict", Some("true"))]),
    ("jsonb_path_exists", IN_PATH),
    ("jsonb_path_match", IN_PATH),
    ("jsonb_path_query", IN_PATH),
    ("jsonb_path_query_array", IN_PATH),
    ("jsonb_path_query_first", IN_PATH),
    ("jsonb_path_exists_tz", IN_PATH),
    ("jsonb_path_match_tz", IN_PATH),
    ("jsonb_path_query_tz", IN_PATH),
    ("jsonb_path_query_array_tz", IN_PATH),
    ("jsonb_path_query_first_tz", IN_PATH),
];

/// Those of what a path finds.
const IN_PATH: &[Parameter] =
    &[("target", None), ("path", None), ("vars", Some("{}")), ("silent", Some("false"))];

/// Arguments of functions of double precision as such.
fn double_arguments(function: &mut ast::Function) {
    if !plain_name(function).is_some_and(|name| doubles::OF_DOUBLES.contains(&name.as_str())) {
        return;
    }
    let ast::FunctionArguments::List(list) = &mut function.args else { return };
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument
            && literal(argument).is_none()
        {
            *argument = function_call(doubles::NAME, vec![argument.clone()]);
        }
    }
}

/// Puts arguments that are named where their names say; a call that cannot be meant stays as it is.
fn position_arguments(function: &mut ast::Function) {
    let Some(name) = plain_name(function) else { return };
    let Some((_, parameters)) = NAMED.iter().find(|(named, _)| *named == name) else { return };
    let ast::FunctionArguments::List(list) = &mut function.args else { return };
    // `name := value` is read as an operator.
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp {
            left,
            op: BinaryOperator::Assignment,
            right,
        })) = argument
            && let Expr::Identifier(name) = left.as_ref()
        {
            *argument = FunctionArg::Named {
                name: name.clone(),
                arg: FunctionArgExpr::Expr((**right).clone()),
                operator: ast::FunctionArgOperator::Assignment,
            };
        }
    }
    let is_named = |argument: &FunctionArg| !matches!(argument, FunctionArg::Unnamed(_));
    if !list.args.iter().any(is_named) {
        return;
    }
    let mut given: Vec<Option<FunctionArgExpr>> = vec![None; parameters.len()];
    for (place, argument) in list.args.iter().enumerate() {
        let (place, value) = match argument {
            FunctionArg::Unnamed(value) => (Some(place), value),
            FunctionArg::Named { name, arg, .. } => {
                (parameters.iter().position(|(known, _)| *known == folded(name)), arg)
            }
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => {
                (parameters.iter().position(|(known, _)| *known == folded(name)), arg)
            }
            FunctionArg::ExprNamed { .. } => (None, &FunctionArgExpr::Wildcard),
        };
        match place.and_then(|place| given.get_mut(place)) {
            Some(slot @ None) => *slot = Some(value.clone()),
            _ => return,
        }
    }
    let count = given.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let otherwise = |default: &str| {
        let value = match default {
            "true" | "false" => ast::Value::Boolean(default == "true"),
            "{}" => ast::Value::SingleQuotedString(default.to_owned()),
            number => ast::Value::Number(number.to_owned(), false),
        };
        FunctionArgExpr::Expr(Expr::value(value))
    };
    let values = given.into_iter().zip(*parameters).take(count);
    let placed: Option<Vec<FunctionArg>> = values
        .map(|(value, (_, default))| value.or_else(|| default.map(otherwise)).map(FunctionArg::Unnamed))
        .collect();
    if let Some(placed) = placed {
        list.args = placed;
    }
}

const PLAIN_INTERVAL: ast::DataType = ast::DataType::Interval { fields: None, precision: None };

/// `INTERVAL '1' DAY` as the cast of a text that says the same; what is no interval is complained about by the cast.
fn interval_literal(literal: &ast::Interval, text: &str) -> Option<Expr> {
    let field = |field: &DateTimeField| {
        Some(match field {
            DateTimeField::Year => Field::Year,
            DateTimeField::Month => Field::Month,
            DateTimeField::Day => Field::Day,
            DateTimeField::Hour => Field::Hour,
            DateTimeField::Minute => Field::Minute,
            DateTimeField::Second => Field::Second,
            _ => return None,
        })
    };
    let cast = |shown: &str| cast_to(trees::text(shown), PLAIN_INTERVAL);
    let digits = literal.fractional_seconds_precision.or(literal.leading_precision);
    let digits = digits.and_then(|digits| u8::try_from(digits).ok());
    let Some(first) = &literal.leading_field else { return Some(cast(text)) };
    let first = field(first)?;
    let last = literal.last_field.as_ref().map_or(Some(first), field)?;
    let read = interval::parse_fields(text, first, last).map(|read| interval::fit(read, Some(last), digits));
    let Ok(read) = read else { return Some(cast(text)) };
    let mut shown = Vec::new();
    interval::print(read, &mut shown);
    Some(cast(&String::from_utf8_lossy(&shown)))
}

/// Distances of a frame, which the planner reads itself: `RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW`.
pub fn settle_frame(function: &mut ast::Function) {
    if let Some(ast::WindowType::WindowSpec(spec)) = &mut function.over {
        settle_window(spec);
    }
}

/// Those of a window.
fn settle_window(spec: &mut ast::WindowSpec) {
    let Some(frame) = &mut spec.window_frame else { return };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        let (ast::WindowFrameBound::Preceding(Some(distance))
        | ast::WindowFrameBound::Following(Some(distance))) = bound
        else {
            continue;
        };
        let text = match distance.as_ref() {
            Expr::Cast { expr, data_type: ast::DataType::Interval { .. }, .. } => expr,
            _ => distance,
        };
        if matches!(text.as_ref(), Expr::Value(value) if matches!(value.value, ast::Value::SingleQuotedString(_)))
        {
            let value = text.clone();
            **distance = Expr::Interval(ast::Interval {
                value,
                leading_field: None,
                leading_precision: None,
                last_field: None,
                fractional_seconds_precision: None,
            });
        }
    }
}
