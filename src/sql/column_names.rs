//! What output columns without AS are called: PostgreSQL's FigureColname.
//!
//! A column, a function and a field have names that win over those of casts and of CASE; operators have none.

use datafusion::sql::sqlparser::ast::{self, AccessExpr, Expr, SelectItem, SetExpr};

use crate::sql::rewrite::{arguments, expanded_name, folded, plain_name};
use crate::sql::sql_json::{BYTES, PREFIX};

/// PostgreSQL's name for an output column without AS.
pub fn name_of(expr: &Expr) -> String {
    strong_name(expr).or_else(|| weak_name(expr)).unwrap_or_else(|| "?column?".to_owned())
}

/// The names of the items of a list that say none, as the user wrote them; `None` stands for the others.
pub fn names_of(items: &[SelectItem]) -> Vec<Option<String>> {
    let name = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => Some(name_of(expr)),
        _ => None,
    };
    items.iter().map(name).collect()
}

fn strong_name(expr: &Expr) -> Option<String> {
    Some(match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(idents) => folded(idents.last()?),
        // LIKE ANY, an operator.
        Expr::Function(function)
            if plain_name(function).is_some_and(|name| {
                matches!(name.as_str(), "hither_like" | "hither_has" | "hither_is_json")
            }) =>
        {
            return None;
        }
        Expr::Function(function) if plain_name(function).as_deref() == Some(BYTES) => {
            return strong_name(arguments(function)?.first()?);
        }
        Expr::Function(function) => match expanded_name(function) {
            Some(name) => name,
            None => {
                let name = folded(function.name.0.last()?.as_ident()?);
                match name.strip_prefix(PREFIX) {
                    Some(known) => known.trim_end_matches('_').to_owned(),
                    None => name,
                }
            }
        },
        Expr::Nested(inner) => return strong_name(inner),
        Expr::Cast { expr, .. } | Expr::Collate { expr, .. } => return strong_name(expr),
        Expr::AtTimeZone { .. } => "timezone".to_owned(),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(field)) => Some(folded(field)),
                _ => None,
            });
            return field.or_else(|| strong_name(root));
        }
        Expr::Exists { negated: false, .. } => "exists".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Tuple(_) => "row".to_owned(),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Substring { shorthand: true, .. } => "substr".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Overlay { .. } => "overlay".to_owned(),
        Expr::BinaryOp { op: ast::BinaryOperator::Overlaps, .. } => "overlaps".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Trim { trim_where, .. } => match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim".to_owned(),
            Some(ast::TrimWhereField::Trailing) => "rtrim".to_owned(),
            _ => "btrim".to_owned(),
        },
        // What CASE says otherwise.
        Expr::Case { else_result: Some(otherwise), .. } => return strong_name(otherwise),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => name_of(expr),
                SelectItem::ExprWithAlias { alias, .. } => folded(alias),
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    })
}

/// Names that an inner name would win over.
fn weak_name(expr: &Expr) -> Option<String> {
    Some(match expr {
        Expr::Case { .. } => "case".to_owned(),
        Expr::Interval(_) => "interval".to_owned(),
        Expr::Nested(inner) => return weak_name(inner),
        Expr::CompoundFieldAccess { root, .. } => return weak_name(root),
        // A bit string literal, which is no cast in PostgreSQL.
        Expr::Cast { data_type: ast::DataType::Custom(name, _), .. } if name.to_string() == "\"bit\"" => {
            return None;
        }
        Expr::Cast { data_type, .. } => type_name(data_type),
        Expr::TypedString(typed) => type_name(&typed.data_type),
        _ => return None,
    })
}

/// The catalogue's name of a type: `int4` for `integer`, and for an array of them.
pub fn type_name(data_type: &ast::DataType) -> String {
    use ast::ArrayElemTypeDef::{AngleBracket, Parenthesis, SquareBracket};
    if let ast::DataType::Array(SquareBracket(item, _) | AngleBracket(item) | Parenthesis(item)) = data_type {
        return type_name(item);
    }
    let text = data_type.to_string();
    let last = text.rsplit('.').next().unwrap_or(&text);
    if let Some(quoted) = last.strip_prefix('"') {
        return quoted.split('"').next().unwrap_or_default().to_owned();
    }
    let mut bare = last.to_lowercase();
    if let (Some(open), Some(close)) = (bare.find('('), bare.find(')')) {
        bare.replace_range(open..=close, "");
    }
    let words: Vec<&str> = bare.split_whitespace().collect();
    match words.join(" ").as_str() {
        "int" | "integer" => "int4",
        "smallint" => "int2",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" | "double" | "float" => "float8",
        "boolean" => "bool",
        "character varying" => "varchar",
        "bit varying" => "varbit",
        "char" | "character" => "bpchar",
        "decimal" | "dec" => "numeric",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        "time with time zone" => "timetz",
        "time without time zone" => "time",
        name if name.starts_with("interval ") => "interval",
        name => name,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::dialect::parse_expression;

    #[test]
    fn names_are_postgresqls() {
        for (written, expected) in [
            ("substr('a', 1)", "substr"),
            ("substring('a' from 1)", "substring"),
            ("true", "?column?"),
            ("true::bool", "bool"),
            ("'{1}'::int[]", "int4"),
            ("'a'::\"char\"", "char"),
            ("CASE WHEN a THEN 1 ELSE b END", "b"),
            ("CASE WHEN a THEN b ELSE 1::int END", "case"),
            ("a::timestamp(3) with time zone", "a"),
            ("'x'::timestamp(3) with time zone", "timestamptz"),
            ("t.tags[1]", "tags"),
            ("now() AT TIME ZONE 'UTC'", "timezone"),
            ("@ -5", "?column?"),
            ("a SIMILAR TO b", "?column?"),
            ("a + b", "?column?"),
            ("(SELECT 1::int)", "int4"),
        ] {
            assert_eq!(name_of(&parse_expression(written).unwrap()), expected, "{written}");
        }
    }
}
