//! Kept expressions as PostgreSQL shows them: pg_get_expr(), pg_get_indexdef(), psql's \d.
//!
//! PostgreSQL keeps trees and writes them out again, with parentheses around every operation and a type on every text;
//! `pretty` leaves out the parentheses that precedence makes needless. Names of columns say what type a text beside them
//! has. What is not known here is shown as it was written.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr};
use datafusion::sql::sqlparser::ast::{CastKind, FunctionArguments, Ident, UnaryOperator, Value as Literal};

use crate::catalog::Table;
use crate::functions::hstore;
use crate::sql::dialect;
use crate::sql::grammar::IS_JSON;
use crate::sql::system::names::quote_ident;
use crate::sql::trees::{operands, unnested};
use crate::sql::type_names;
use crate::sql::words::{fold, object_name};
use crate::types::{Type, Value, text};

/// An expression over a table's columns.
pub fn expression(sql: &str, table: &Table, pretty: bool) -> String {
    match dialect::parse_expression(sql) {
        Ok(parsed) => Deparser { names: Names::Of(table), pretty }.whole(&parsed),
        Err(_) => sql.to_owned(),
    }
}

/// The default of a column: a constant as a value of the column's type.
pub fn default(sql: &str, table: &Table, ty: &Type) -> String {
    let Ok(parsed) = dialect::parse_expression(sql) else { return sql.to_owned() };
    constant(&parsed, ty)
        .unwrap_or_else(|| Deparser { names: Names::Of(table), pretty: false }.whole(&parsed))
}

/// The default of a domain over the type, which names no columns.
pub fn domain_default(sql: &str, ty: &Type) -> String {
    let parsed = dialect::parse_expression(sql).ok();
    let shown = parsed.and_then(|parsed| match unnested(&parsed) {
        Expr::Cast { expr, data_type, .. } => constant(expr, &type_names::resolve(data_type).ok()?),
        parsed => constant(parsed, ty),
    });
    shown.unwrap_or_else(|| sql.to_owned())
}

/// A condition of a domain over the type.
pub fn domain_check(sql: &str, ty: &Type, pretty: bool) -> String {
    match dialect::parse_expression(sql) {
        Ok(parsed) => Deparser { names: Names::Value(ty), pretty }.whole(&parsed),
        Err(_) => sql.to_owned(),
    }
}

/// A literal without a type of its own as a value of the type.
fn constant(expr: &Expr, ty: &Type) -> Option<String> {
    let Expr::Value(value) = unnested(expr) else { return None };
    match &value.value {
        Literal::SingleQuotedString(text) | Literal::EscapedStringLiteral(text) => {
            Some(quoted(text, &ty.bare()))
        }
        Literal::Null => Some(format!("NULL::{}", type_name(&ty.bare()))),
        _ => None,
    }
}

/// An expression as a column of an index: in parentheses unless it is a function's call.
pub fn index_expression(sql: &str, table: &Table, pretty: bool) -> String {
    let shown = expression(sql, table, pretty);
    match dialect::parse_expression(sql) {
        Ok(Expr::Function(_)) => shown,
        _ => format!("({shown})"),
    }
}

fn is_json_test(function: &Function) -> bool {
    object_name(&function.name).name == IS_JSON
}

struct Deparser<'a> {
    names: Names<'a>,
    pretty: bool,
}

/// What a name in an expression stands for.
enum Names<'a> {
    /// Columns of a table.
    Of(&'a Table),
    /// The value of a domain, by the word VALUE.
    Value(&'a Type),
}

impl Names<'_> {
    fn shown(&self, name: &Ident) -> String {
        match self {
            Names::Value(_) if self.type_of(name).is_some() => "VALUE".to_owned(),
            _ => quote_ident(&fold(name)),
        }
    }

    fn type_of(&self, name: &Ident) -> Option<Type> {
        match self {
            Names::Of(table) => Some(table.column(&fold(name))?.ty.clone()),
            Names::Value(ty) => (fold(name) == "value").then(|| (*ty).clone()),
        }
    }
}

impl Deparser<'_> {
    /// `document IS JSON ...`, as the parser reads it (`grammar.rs`).
    fn json_test(&self, expr: &Expr, function: &Function) -> String {
        let FunctionArguments::List(list) = &function.args else { return expr.to_string() };
        let arguments = list.args.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) => Some(inner),
            _ => None,
        });
        let Some([Expr::Cast { expr: document, .. }, kind, unique]) =
            arguments.collect::<Option<Vec<_>>>().as_deref().and_then(|three| <[_; 3]>::try_from(three).ok())
        else {
            return expr.to_string();
        };
        let kind = match kind.to_string().trim_matches('\'') {
            "value" => String::new(),
            kind => format!(" {}", kind.to_uppercase()),
        };
        let unique = if unique.to_string() == "true" { " WITH UNIQUE KEYS" } else { "" };
        format!("{} IS JSON{kind}{unique}", self.operand(unnested(document), expr, true, None))
    }

    fn whole(&self, expr: &Expr) -> String {
        let shown = self.part(expr, None);
        if self.pretty { shown } else { self.around(expr, shown) }
    }

    /// An operation in parentheses; everything else as it is.
    fn around(&self, expr: &Expr, shown: String) -> String {
        if is_operation(expr) { format!("({shown})") } else { shown }
    }

    /// As an operand of `above`.
    fn operand(&self, expr: &Expr, above: &Expr, left: bool, beside: Option<&Type>) -> String {
        let shown = self.part(expr, beside);
        match self.pretty && !needs_parentheses(expr, above, left) {
            true => shown,
            false => self.around(expr, shown),
        }
    }

    /// Without parentheses around it. `beside`: the type of what it is compared with.
    fn part(&self, expr: &Expr, beside: Option<&Type>) -> String {
        match expr {
            Expr::Nested(inner) => self.part(inner, beside),
            Expr::Identifier(name) => self.names.shown(name),
            Expr::BinaryOp { op: BinaryOperator::And, .. } => self.chain(expr, &BinaryOperator::And),
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => self.chain(expr, &BinaryOperator::Or),
            Expr::BinaryOp { left, op, right } => {
                let (left, right) = (unnested(left), unnested(right));
                let (of_left, of_right) = (self.type_of(left), self.type_of(right));
                let shown_left = self.side(left, expr, true, of_right.as_ref());
                let beside_left = match of_left {
                    Some(Type::Hstore) => hstore::type_on_right(&op.to_string()).or(Some(Type::Hstore)),
                    Some(ty @ (Type::Json | Type::Jsonb)) => {
                        Some(beside_document(&op.to_string()).unwrap_or(ty))
                    }
                    other => other,
                };
                let shown_right = self.side(right, expr, false, beside_left.as_ref());
                format!("{shown_left} {op} {shown_right}")
            }
            Expr::Between { expr: inner, negated: false, low, high } => {
                let inner = unnested(inner);
                let of_inner = self.type_of(inner);
                let bound = |op: &str, bound: &Expr| {
                    let bound = self.side(unnested(bound), expr, false, of_inner.as_ref());
                    let shown = format!("{} {op} {bound}", self.side(inner, expr, true, None));
                    if self.pretty { shown } else { format!("({shown})") }
                };
                format!("{} AND {}", bound(">=", low), bound("<=", high))
            }
            Expr::InList { expr: inner, list, negated } => {
                let inner = unnested(inner);
                let of_inner = self.type_of(inner);
                let (op, which) = if *negated { ("<>", "ALL") } else { ("=", "ANY") };
                let left = self.side(inner, expr, true, None);
                if let [item] = list.as_slice() {
                    return format!(
                        "{left} {op} {}",
                        self.side(unnested(item), expr, false, of_inner.as_ref())
                    );
                }
                let items = list.iter().map(|item| match (unnested(item), &of_inner) {
                    (Expr::Value(value), Some(ty @ Type::Varchar(_))) => match &value.value {
                        Literal::SingleQuotedString(text) => quoted(text, &ty.bare()),
                        _ => item.to_string(),
                    },
                    (item, of_inner) => self.part(item, of_inner.as_ref()),
                });
                let items = items.collect::<Vec<_>>().join(", ");
                match (self.is_varchar(inner), self.pretty) {
                    (true, true) => format!("{left} {op} {which} (ARRAY[{items}]::text[])"),
                    (true, false) => format!("{left} {op} {which} ((ARRAY[{items}])::text[])"),
                    (false, _) => format!("{left} {op} {which} (ARRAY[{items}])"),
                }
            }
            Expr::AnyOp { left, compare_op, right, .. } => {
                let left = self.side(unnested(left), expr, true, None);
                format!("{left} {compare_op} ANY ({})", self.part(unnested(right), None))
            }
            Expr::AllOp { left, compare_op, right } => {
                let left = self.side(unnested(left), expr, true, None);
                format!("{left} {compare_op} ALL ({})", self.part(unnested(right), None))
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                let (left, right) = (unnested(left), unnested(right));
                let (of_left, of_right) = (self.type_of(left), self.type_of(right));
                let not = if matches!(expr, Expr::IsNotDistinctFrom(..)) { "NOT " } else { "" };
                let shown = self.side(left, expr, true, of_right.as_ref());
                format!("{shown} IS {not}DISTINCT FROM {}", self.side(right, expr, false, of_left.as_ref()))
            }
            Expr::Array(array) => {
                let items = array.elem.iter().map(|item| self.part(unnested(item), beside));
                format!("ARRAY[{}]", items.collect::<Vec<_>>().join(", "))
            }
            Expr::Extract { field, expr: inner, .. } => {
                format!("EXTRACT({} FROM {})", field.to_string().to_lowercase(), self.argument(inner))
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let shown = self.operand(unnested(timestamp), expr, true, None);
                format!("{shown} AT TIME ZONE {}", self.operand(unnested(time_zone), expr, false, None))
            }
            Expr::Like { expr: inner, negated, pattern, any: false, escape_char: None } => {
                let (inner, pattern) = (unnested(inner), unnested(pattern));
                let op = if *negated { "!~~" } else { "~~" };
                let shown = self.side(inner, expr, true, None);
                format!("{shown} {op} {}", self.operand(pattern, expr, false, None))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => {
                format!("NOT {}", self.operand(unnested(inner), expr, false, None))
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } if is_number(inner) => {
                format!("'-{inner}'::{}", number_type(&inner.to_string()))
            }
            Expr::IsNull(inner) => format!("{} IS NULL", self.operand(unnested(inner), expr, true, None)),
            Expr::IsNotNull(inner) => {
                format!("{} IS NOT NULL", self.operand(unnested(inner), expr, true, None))
            }
            Expr::IsTrue(inner) => format!("{} IS TRUE", self.operand(unnested(inner), expr, true, None)),
            Expr::IsFalse(inner) => format!("{} IS FALSE", self.operand(unnested(inner), expr, true, None)),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, .. } => {
                match (type_names::resolve(data_type), unnested(inner)) {
                    (Ok(ty), Expr::Value(value)) => match &value.value {
                        Literal::SingleQuotedString(text) => quoted(text, &ty),
                        Literal::Null => format!("NULL::{}", type_name(&ty)),
                        Literal::Number(..) if self.type_of(inner).as_ref() == Some(&ty) => inner.to_string(),
                        _ => self.cast(inner, &type_name(&ty)),
                    },
                    (Ok(ty), Expr::Array(array)) if array.elem.is_empty() => {
                        format!("ARRAY[]::{}", type_name(&ty))
                    }
                    (Ok(ty), inner) => self.cast(inner, &type_name(&ty)),
                    (Err(_), inner) => self.cast(inner, &data_type.to_string()),
                }
            }
            Expr::Function(function) if is_json_test(function) => self.json_test(expr, function),
            Expr::Function(function) => match &function.args {
                FunctionArguments::List(list)
                    if list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
                {
                    let arguments = list.args.iter().map(|argument| match argument {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) => self.argument(inner),
                        other => other.to_string(),
                    });
                    let called = object_name(&function.name);
                    // Where all look is not said; a function of another schema is found by nothing else.
                    let schema = called.schema.filter(|schema| schema != "pg_catalog" && schema != "public");
                    let name = match (called.name.as_str(), schema) {
                        (name, Some(schema)) => format!("{}.{}", quote_ident(&schema), quote_ident(name)),
                        (name @ ("coalesce" | "nullif" | "greatest" | "least"), None) => name.to_uppercase(),
                        (name, None) => quote_ident(name),
                    };
                    format!("{name}({})", arguments.collect::<Vec<_>>().join(", "))
                }
                FunctionArguments::None => function.name.to_string().to_uppercase(),
                _ => expr.to_string(),
            },
            Expr::Value(value) => match &value.value {
                Literal::SingleQuotedString(text) => quoted(text, &beside.map_or(Type::Text, shown_type)),
                Literal::Boolean(value) => value.to_string(),
                Literal::Number(digits, _) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                    match number_type(digits) {
                        "integer" => digits.clone(),
                        ty => format!("'{digits}'::{ty}"),
                    }
                }
                _ => expr.to_string(),
            },
            other => other.to_string(),
        }
    }

    /// AND and OR take any number of operands.
    fn chain(&self, expr: &Expr, op: &BinaryOperator) -> String {
        let parts = operands(expr, op).into_iter().map(|part| self.operand(part, expr, true, None));
        parts.collect::<Vec<_>>().join(&format!(" {op} "))
    }

    /// A side of an operation: varchar is taken as text, and numbers as the wider type of the two.
    fn side(&self, expr: &Expr, above: &Expr, left: bool, beside: Option<&Type>) -> String {
        if self.is_varchar(expr) {
            return self.cast(expr, "text");
        }
        match (self.type_of(expr).map(|ty| width(&ty)), beside.map(width)) {
            (Some(Some(own)), Some(Some(other))) if own < other => self.cast(expr, NUMBERS[other]),
            _ => self.operand(expr, above, left, beside),
        }
    }

    fn is_varchar(&self, expr: &Expr) -> bool {
        matches!(self.type_of(expr), Some(Type::Varchar(_)))
    }

    fn argument(&self, expr: &Expr) -> String {
        let expr = unnested(expr);
        match self.type_of(expr) {
            Some(Type::Varchar(_)) => self.cast(expr, "text"),
            _ if self.pretty => self.part(expr, None),
            _ => self.around(expr, self.part(expr, None)),
        }
    }

    fn cast(&self, inner: &Expr, ty: &str) -> String {
        match inner {
            Expr::Value(value) if matches!(value.value, Literal::SingleQuotedString(_)) => {
                format!("{inner}::{ty}")
            }
            _ if self.pretty && !is_operation(inner) => format!("{}::{ty}", self.part(inner, None)),
            _ => {
                let shown = self.part(inner, None);
                let shown = if self.pretty { shown } else { self.around(inner, shown) };
                format!("({shown})::{ty}")
            }
        }
    }

    /// Of columns and casts.
    fn type_of(&self, expr: &Expr) -> Option<Type> {
        match expr {
            Expr::Nested(inner) => self.type_of(inner),
            Expr::Identifier(name) => self.names.type_of(name),
            Expr::Cast { data_type, .. } => type_names::resolve(data_type).ok(),
            Expr::Value(value) => match &value.value {
                Literal::Number(digits, _) if digits.parse::<i64>().is_ok() => Some(Type::Int4),
                Literal::Number(..) => Some(Type::Numeric(None)),
                _ => None,
            },
            Expr::BinaryOp { left, op, .. } => match (self.type_of(left)?, op.to_string().as_str()) {
                (ty @ (Type::Json | Type::Jsonb), "->" | "#>" | "-" | "#-" | "||") => Some(ty),
                (Type::Json | Type::Jsonb, "->>" | "#>>") | (Type::Hstore, "->") => Some(Type::Text),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What stands to the right of a document, where that is not one too.
fn beside_document(op: &str) -> Option<Type> {
    match op {
        "->" | "->>" | "?" | "-" => Some(Type::Text),
        "#>" | "#>>" | "?|" | "?&" | "#-" => Some(Type::Array(Box::new(Type::Text))),
        "@?" | "@@" => Some(Type::JsonPath),
        _ => None,
    }
}

/// The type a text beside a column of this type has: varchar is compared as text, and lengths do not matter.
pub(super) fn shown_type(ty: &Type) -> Type {
    match ty {
        Type::Varchar(_) => Type::Text,
        other => other.bare(),
    }
}

/// A text in quotes as PostgreSQL shows a constant of the type: read and printed, integers and truths without quotes.
pub(super) fn quoted(text: &str, ty: &Type) -> String {
    // Words such as `today` and moments without a zone are another value at another time.
    let is_fixed = match ty {
        Type::Timestamptz(_) => false,
        Type::Timetz(_) => matches!(crate::functions::cast::parse_text(text, ty), Ok(Some(_))),
        Type::Date | Type::Time(_) | Type::Timestamp(_) => {
            text.starts_with(|first: char| first.is_ascii_digit())
        }
        _ => true,
    };
    let value = text::parse(ty, text).ok().filter(|_| is_fixed);
    let shown = value.as_ref().map_or_else(|| text.to_owned(), text::to_string);
    match value {
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Int4(value)) if value >= 0 => shown,
        Some(Value::Numeric(_))
            if shown.starts_with(|first: char| first.is_ascii_digit()) && shown.contains('.') =>
        {
            shown
        }
        _ => format!("'{}'::{}", shown.replace('\'', "''"), type_name(ty)),
    }
}

/// A type as a cast names it: bit without a length would be bit(1).
fn type_name(ty: &Type) -> String {
    match ty {
        Type::Bit(None) => "\"bit\"".to_owned(),
        Type::Array(element) => format!("{}[]", type_name(element)),
        ty => ty.to_string(),
    }
}

fn is_operation(expr: &Expr) -> bool {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => !is_number(expr),
        Expr::Nested(inner) => is_operation(inner),
        Expr::Function(function) => is_json_test(function),
        _ => matches!(
            expr,
            Expr::BinaryOp { .. }
                | Expr::UnaryOp { .. }
                | Expr::IsNull(_)
                | Expr::IsNotNull(_)
                | Expr::IsTrue(_)
                | Expr::IsFalse(_)
                | Expr::InList { .. }
                | Expr::Between { .. }
                | Expr::Like { .. }
                | Expr::ILike { .. }
                | Expr::AnyOp { .. }
                | Expr::AllOp { .. }
                | Expr::IsDistinctFrom(..)
                | Expr::IsNotDistinctFrom(..)
                | Expr::AtTimeZone { .. }
        ),
    }
}

/// PostgreSQL's isSimpleNode: which operands stand without parentheses.
fn needs_parentheses(expr: &Expr, above: &Expr, left: bool) -> bool {
    if !is_operation(expr) {
        return false;
    }
    use BinaryOperator::{And, Divide, Minus, Modulo, Multiply, Or, Plus};
    match (expr, above) {
        (Expr::BinaryOp { op: inner, .. }, Expr::BinaryOp { op: outer, .. }) => match (inner, outer) {
            (And | Or, And | Or) => inner != outer && !(*inner == And && *outer == Or),
            (_, And | Or) => false,
            (Multiply | Divide | Modulo, Plus | Minus) => false,
            (Multiply | Divide | Modulo, Multiply | Divide | Modulo) | (Plus | Minus, Plus | Minus) => !left,
            _ => true,
        },
        (_, Expr::BinaryOp { op: And | Or, .. }) => false,
        (Expr::BinaryOp { op, .. }, Expr::UnaryOp { op: UnaryOperator::Not, .. }) => matches!(op, And | Or),
        (Expr::UnaryOp { op: UnaryOperator::Not, .. }, Expr::UnaryOp { op: UnaryOperator::Not, .. }) => true,
        (_, Expr::UnaryOp { op: UnaryOperator::Not, .. }) => false,
        _ => true,
    }
}

/// Numbers that meet become the later one of these.
const NUMBERS: [&str; 3] = ["integer", "numeric", "double precision"];

fn width(ty: &Type) -> Option<usize> {
    match ty {
        Type::Int2 | Type::Int4 | Type::Int8 => Some(0),
        Type::Numeric(_) => Some(1),
        Type::Float4 | Type::Float8 => Some(2),
        _ => None,
    }
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Literal::Number(..)))
}

fn number_type(digits: &str) -> &'static str {
    match digits.parse::<i64>() {
        Ok(number) if i32::try_from(-number).is_ok() => "integer",
        Ok(_) => "bigint",
        Err(_) => "numeric",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, TableKind};

    fn table() -> Table {
        Table {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            storage: 0,
            columns: vec![
                Column::new(1, "a", Type::Int4),
                Column::new(2, "b", Type::Int4),
                Column::new(3, "s", Type::Text),
                Column::new(4, "v", Type::Varchar(Some(10))),
                Column::new(5, "e", Type::Vector(None)),
                Column::new(6, "d", Type::Date),
            ],
            hidden: Vec::new(),
            dropped: Vec::new(),
            constraints: Vec::new(),
            kind: TableKind::Ordinary,
            comment: None,
            comments: Vec::new(),
            temporary: None,
            unlogged: false,
            options: Vec::new(),
            partitioning: None,
            replica_identity: None,
            part: None,
            materialized: None,
        }
    }

    /// Written by PostgreSQL: the type of the column, its default, and as pg_get_expr shows it.
    #[test]
    fn defaults_are_shown_as_postgresql_shows_them() {
        let cases = [
            ("int4", "-1", "'-1'::integer"),
            ("int4", "'-5'", "'-5'::integer"),
            ("int4", "'5'", "5"),
            ("int8", "-1", "'-1'::integer"),
            ("int8", "'5'", "'5'::bigint"),
            ("int8", "3000000000", "'3000000000'::bigint"),
            ("int8", "5::bigint", "(5)::bigint"),
            ("numeric", "-1.5", "'-1.5'::numeric"),
            ("numeric", "'5'", "'5'::numeric"),
            ("numeric(10,2)", "'1.50'", "1.50"),
            ("numeric(10,2)", "NULL", "NULL::numeric"),
            ("float8", "1.5", "1.5"),
            ("float8", "'1.5'", "'1.5'::double precision"),
            ("bool", "'t'", "true"),
            ("text", "'it''s'", "'it''s'::text"),
            ("varchar(5)", "'x'", "'x'::character varying"),
            ("varchar(5)", "'x'::varchar(5)", "'x'::character varying(5)"),
            ("varchar(5)", "NULL", "NULL::character varying"),
            ("character(3)", "'x'", "'x'::bpchar"),
            ("jsonb", "'{\"a\":1}'", "'{\"a\": 1}'::jsonb"),
            ("text[]", "'{a,b}'", "'{a,b}'::text[]"),
            ("text[]", "array['a','b']", "ARRAY['a'::text, 'b'::text]"),
            ("text[]", "array[]::text[]", "ARRAY[]::text[]"),
            ("int4[]", "'{}'::int[]", "'{}'::integer[]"),
            ("varchar(5)[]", "'{}'", "'{}'::character varying[]"),
            ("date", "'2020-1-1'", "'2020-01-01'::date"),
            ("time", "'10:00'", "'10:00:00'::time without time zone"),
            ("timestamp", "'2020-01-01 10:00'", "'2020-01-01 10:00:00'::timestamp without time zone"),
            ("bytea", "'abc'", "'\\x616263'::bytea"),
            ("interval", "'1 day'", "'1 day'::interval"),
            ("vector(3)", "'[1, 2,3]'", "'[1,2,3]'::vector"),
            ("timestamptz", "now()", "now()"),
            ("timestamptz", "current_timestamp", "CURRENT_TIMESTAMP"),
            ("text", "current_user", "CURRENT_USER"),
            ("timestamptz", "now() + '1 day'::interval", "(now() + '1 day'::interval)"),
            ("timestamp", "now() at time zone 'utc'", "(now() AT TIME ZONE 'utc'::text)"),
            ("int4", "extract(year from now())", "EXTRACT(year FROM now())"),
            ("text", "'a' || 'b'", "('a'::text || 'b'::text)"),
            ("int4", "abs(-3)", "abs('-3'::integer)"),
        ];
        for (ty, sql, shown) in cases {
            let ty = Type::from_name(ty).unwrap();
            assert_eq!(default(sql, &table(), &ty), shown, "{sql} of {ty}");
        }
    }

    /// Written by PostgreSQL: the expression, as pg_get_expr shows it, and pretty.
    #[test]
    fn expressions_are_shown_as_postgresql_shows_them() {
        let cases = [
            ("a+b", "(a + b)", "a + b"),
            ("a + b * 2", "(a + (b * 2))", "a + b * 2"),
            ("(a + b) * 2", "((a + b) * 2)", "(a + b) * 2"),
            ("a = 1 AND b = 2", "((a = 1) AND (b = 2))", "a = 1 AND b = 2"),
            ("s = 'x'", "(s = 'x'::text)", "s = 'x'::text"),
            ("v = 'x'", "((v)::text = 'x'::text)", "v::text = 'x'::text"),
            ("d > '2020-01-01'", "(d > '2020-01-01'::date)", "d > '2020-01-01'::date"),
            ("s IS NOT NULL", "(s IS NOT NULL)", "s IS NOT NULL"),
            ("lower(s)", "lower(s)", "lower(s)"),
            ("lower(v)", "lower((v)::text)", "lower(v::text)"),
            ("pg_catalog.lower(s)", "lower(s)", "lower(s)"),
            ("shop.\"Price\"(a)", "shop.\"Price\"(a)", "shop.\"Price\"(a)"),
            ("e::halfvec(3)", "(e)::halfvec(3)", "e::halfvec(3)"),
            (
                "a > 1 AND b = 1 AND s LIKE 'a%'",
                "((a > 1) AND (b = 1) AND (s ~~ 'a%'::text))",
                "a > 1 AND b = 1 AND s ~~ 'a%'::text",
            ),
            ("a BETWEEN 1 AND 5", "((a >= 1) AND (a <= 5))", "a >= 1 AND a <= 5"),
            ("a IN (1, 2)", "(a = ANY (ARRAY[1, 2]))", "a = ANY (ARRAY[1, 2])"),
            ("a * 2.5", "((a)::numeric * 2.5)", "a::numeric * 2.5"),
            ("coalesce(s, 'x')", "COALESCE(s, 'x'::text)", "COALESCE(s, 'x'::text)"),
            ("NOT (a = 1)", "(NOT (a = 1))", "NOT a = 1"),
            ("NOT (a = 1 AND b = 2)", "(NOT ((a = 1) AND (b = 2)))", "NOT (a = 1 AND b = 2)"),
            ("NOT (s IS NULL)", "(NOT (s IS NULL))", "NOT s IS NULL"),
            ("a > -1", "(a > '-1'::integer)", "a > '-1'::integer"),
            (
                "v IN ('a', 'b')",
                "((v)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
                "v::text = ANY (ARRAY['a'::character varying, 'b'::character varying]::text[])",
            ),
            ("s NOT IN ('q')", "(s <> 'q'::text)", "s <> 'q'::text"),
            ("a IS DISTINCT FROM 3", "(a IS DISTINCT FROM 3)", "a IS DISTINCT FROM 3"),
            ("a = ANY (ARRAY[1, 2])", "(a = ANY (ARRAY[1, 2]))", "a = ANY (ARRAY[1, 2])"),
        ];
        for (sql, full, pretty) in cases {
            assert_eq!(expression(sql, &table(), false), full, "{sql}");
            assert_eq!(expression(sql, &table(), true), pretty, "{sql}");
        }
        assert_eq!(index_expression("e::halfvec(3)", &table(), false), "((e)::halfvec(3))");
        assert_eq!(index_expression("lower(s)", &table(), false), "lower(s)");
    }
}
