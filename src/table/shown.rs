//! Predicates as SQL text, for EXPLAIN: `((price < 2) AND (category = 'b'::text))`, as PostgreSQL's ruleutils write them.

use std::fmt::Write;

use arrow::datatypes::Field;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::FieldMetadata;
use datafusion::logical_expr::{Case, Expr};

use crate::functions::characters::type_noted;
use crate::functions::{citext, sort_keys};
use crate::table::numbers;
use crate::types::arrow::{from_scalar, type_of};
use crate::types::text;

/// The text of an expression. What has no short form in SQL is shown as the planner shows it.
pub fn shown(expr: &Expr) -> String {
    let is = |inner: &Expr, what: &str| format!("({} IS {what})", shown(inner));
    match expr {
        Expr::Alias(alias) => shown(&alias.expr),
        Expr::Column(column) => column.name.clone(),
        Expr::Literal(value, metadata) => literal(value, metadata.as_ref()),
        Expr::Placeholder(placeholder) => placeholder.id.clone(),
        Expr::BinaryExpr(binary) => {
            let (left, right) = (beside(&binary.left, &binary.right), beside(&binary.right, &binary.left));
            format!("({left} {} {right})", binary.op)
        }
        Expr::Not(inner) => format!("(NOT {})", shown(inner)),
        Expr::Negative(inner) => format!("(- {})", shown(inner)),
        Expr::IsNull(inner) => is(inner, "NULL"),
        Expr::IsNotNull(inner) => is(inner, "NOT NULL"),
        Expr::IsTrue(inner) => is(inner, "TRUE"),
        Expr::IsNotTrue(inner) => is(inner, "NOT TRUE"),
        Expr::IsFalse(inner) => is(inner, "FALSE"),
        Expr::IsNotFalse(inner) => is(inner, "NOT FALSE"),
        Expr::IsUnknown(inner) => is(inner, "UNKNOWN"),
        Expr::IsNotUnknown(inner) => is(inner, "NOT UNKNOWN"),
        Expr::Like(like) => {
            let not = if like.negated { "NOT " } else { "" };
            let word = if like.case_insensitive { "ILIKE" } else { "LIKE" };
            format!("({} {not}{word} {})", shown(&like.expr), shown(&like.pattern))
        }
        Expr::Between(between) => {
            let not = if between.negated { "NOT " } else { "" };
            let (low, high) = (beside(&between.low, &between.expr), beside(&between.high, &between.expr));
            format!("({} {not}BETWEEN {low} AND {high})", shown(&between.expr))
        }
        Expr::InList(list) => {
            let not = if list.negated { "NOT " } else { "" };
            let items: Vec<String> = list.list.iter().map(|item| beside(item, &list.expr)).collect();
            format!("({} {not}IN ({}))", shown(&list.expr), items.join(", "))
        }
        Expr::Cast(cast) => format!("({})::{}", shown(&cast.expr), type_of(&cast.field).bare()),
        // The planner's own: types made equal.
        Expr::ScalarFunction(function) if function.name() == "cast" => listed(&function.args),
        // A parameter.
        Expr::ScalarFunction(function) if function.name().starts_with('$') => function.name().to_owned(),
        Expr::ScalarFunction(function) => match (function.name(), function.args.as_slice()) {
            // Numbers, floats and citext are compared by their keys.
            (sort_keys::NUMBER | sort_keys::FLOAT | citext::KEY, [value]) => shown(value),
            (_, [value]) if let Some(ty) = type_noted(&function.func) => {
                format!("({})::{}", shown(value), ty.bare())
            }
            ("array_has", [array, element]) => format!("({} = ANY ({}))", shown(element), shown(array)),
            (name, arguments) => format!("{name}({})", listed(arguments)),
        },
        Expr::Case(case) => case_text(case),
        other => other.to_string(),
    }
}

/// One side of a comparison: the key of a number beside another one is that number.
fn beside(expr: &Expr, other: &Expr) -> String {
    if let (Expr::Literal(key @ ScalarValue::Binary(Some(_)), _), Expr::ScalarFunction(call)) = (expr, other)
        && call.name() == sort_keys::NUMBER
        && let Ok(number) = numbers::of_key(key)
    {
        return text::to_string(&number);
    }
    shown(expr)
}

fn listed(expressions: &[Expr]) -> String {
    expressions.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn case_text(case: &Case) -> String {
    let mut text = "CASE".to_owned();
    if let Some(operand) = &case.expr {
        let _ = write!(text, " {}", shown(operand));
    }
    for (when, then) in &case.when_then_expr {
        let _ = write!(text, " WHEN {} THEN {}", shown(when), shown(then));
    }
    if let Some(otherwise) = &case.else_expr {
        let _ = write!(text, " ELSE {}", shown(otherwise));
    }
    text + " END"
}

/// Numbers and truths bare, everything else quoted and with its type.
fn literal(value: &ScalarValue, metadata: Option<&FieldMetadata>) -> String {
    let field = Field::new("", value.data_type(), true);
    let ty =
        type_of(&metadata.map_or_else(|| field.clone(), |metadata| metadata.add_to_field(field.clone())));
    let Ok(cell) = from_scalar(value, &ty) else { return value.to_string() };
    if value.is_null() {
        return format!("NULL::{}", ty.bare());
    }
    let text = text::to_string(&cell);
    match ty.is_truth_or_number() {
        true => text,
        false => format!("'{}'::{}", text.replace('\'', "''"), ty.bare()),
    }
}
