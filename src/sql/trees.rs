//! Pieces of sqlparser's trees, as our own rewriting puts them together.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Cte, Expr, Ident, ObjectName, Query, SelectItem, SetExpr, TableAlias, TableFactor,
    TableFunctionArgs, TableWithJoins, Value,
};

use crate::sql::dialect;

/// `SELECT items`
pub fn query_of(items: Vec<SelectItem>) -> Query {
    let mut query = dialect::parse_query("SELECT 0").expect("SELECT 0 is a query");
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items;
    }
    *query
}

/// `SELECT items FROM relation`
pub fn query_from(items: Vec<SelectItem>, relation: TableFactor) -> Query {
    let mut query = query_of(items);
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    }
    query
}

/// `SELECT * FROM name`
pub fn rows_of(name: &Ident) -> Query {
    let all = vec![SelectItem::Wildcard(Default::default())];
    query_from(all, relation(ObjectName::from(vec![name.clone()]), None, None))
}

/// `name AS (query)`, of WITH.
pub fn named(name: Ident, query: Query) -> Cte {
    Cte {
        alias: alias_of(name),
        query: Box::new(query),
        from: None,
        materialized: None,
        closing_paren_token: AttachedToken::empty(),
    }
}

/// `AS name`, with names for no column.
pub fn alias_of(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: Vec::new(), at: None }
}

/// `name AS alias`, or the call `name(args) AS alias`.
pub fn relation(name: ObjectName, alias: Option<TableAlias>, args: Option<TableFunctionArgs>) -> TableFactor {
    TableFactor::Table {
        name,
        alias,
        args,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// `[LATERAL] (subquery) AS alias`
pub fn derived(lateral: bool, subquery: Query, alias: TableAlias) -> TableFactor {
    TableFactor::Derived { lateral, subquery: Box::new(subquery), alias: Some(alias), sample: None }
}

/// `'text'`
pub fn text(text: impl Into<String>) -> Expr {
    Expr::value(Value::SingleQuotedString(text.into()))
}

/// `12`
pub fn number(number: impl ToString) -> Expr {
    Expr::value(Value::Number(number.to_string(), false))
}

/// The text of `'text'`.
pub fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The place in a select list, from 0, that a number in ORDER BY or GROUP BY stands for.
pub fn place(key: &Expr) -> Option<usize> {
    match key {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse::<usize>().ok()?.checked_sub(1),
            _ => None,
        },
        _ => None,
    }
}

/// What an item of a select list computes, wildcards excepted.
pub fn computed(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// Whether an expression is NULL, as it is written.
pub fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}

/// The name that an expression is, and nothing else.
pub fn lone_name(expr: &Expr) -> Option<&Ident> {
    match unnested(expr) {
        Expr::Identifier(name) => Some(name),
        _ => None,
    }
}

pub fn unnested(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

/// The operands of an AND or OR, those of the same inside it too; an expression that is none is the only one.
pub fn operands<'e>(expr: &'e Expr, of: &BinaryOperator) -> Vec<&'e Expr> {
    match unnested(expr) {
        Expr::BinaryOp { left, op, right } if op == of => {
            let mut all = operands(left, of);
            all.extend(operands(right, of));
            all
        }
        other => vec![other],
    }
}

/// The operator of two operands that is written so.
pub fn operator_of(symbol: &str) -> Option<BinaryOperator> {
    Some(match symbol {
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "@>" => BinaryOperator::AtArrow,
        "<@" => BinaryOperator::ArrowAt,
        "&&" => BinaryOperator::PGOverlap,
        "<<" => BinaryOperator::PGBitwiseShiftLeft,
        ">>" => BinaryOperator::PGBitwiseShiftRight,
        "@@" => BinaryOperator::AtAt,
        _ => return None,
    })
}
