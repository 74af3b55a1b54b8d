//! Rows as values in expressions: `ROW(1, 'a')`, `t`, `t.*`, `(row).field`, `row IS NULL`.
//!
//! ```text
//!   ROW(1, 'a')                  hither_row('f1', 1, 'f2', 'a')
//!   t.*                          hither_row_of(t.*)
//!   ROW(t.*, 1)                  hither_row('f1', t.*, 'f2', 1)      whose columns are written out once they are known
//!   (f(x)).name                  get_field(f(x), 'name')
//!   ROW(a, b) IS NULL            a IS NULL AND b IS NULL
//!   t.* IS NOT NULL              hither_row_is_not_null(hither_row_of(t.*))
//!   (jsonb_each(x)).*            unnest(hither_json_keys(x)) AS key, unnest(hither_json_values(x)) AS value
//! ```

use datafusion::sql::sqlparser::ast::{
    self, AccessExpr, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, SelectItem,
    SelectItemQualifiedWildcardKind,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result};
use crate::functions::RECORD;
use crate::functions::records::{IS_NOT_NULL, IS_NULL, ROW, ROW_OF};
use crate::sql::rewrite::{arguments, folded, function_call, plain_name};
use crate::sql::trees::{computed, literal, text};
use crate::sql::{set_functions, spellings};

/// The quote of the star behind a row, which nobody can write.
const STAR_QUOTE: char = '[';

/// `(row).*`: sqlparser takes a star behind the names of relations only.
pub fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    for at in 2..tokens.len() {
        if let [Token::RParen, Token::Period, Token::Mul] =
            [&tokens[at - 2].token, &tokens[at - 1].token, &tokens[at].token]
        {
            tokens[at].token = Token::make_word("*", Some(STAR_QUOTE));
        }
    }
    tokens
}

/// The row before a star.
fn starred(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.as_slice() {
            [AccessExpr::Dot(Expr::Identifier(star))] if star.quote_style == Some(STAR_QUOTE) => Some(root),
            _ => None,
        },
        _ => None,
    }
}

/// Before what is inside is looked at.
pub fn settle(expr: &mut Expr) {
    let settled = match expr {
        Expr::IsNull(row) => asked(row, IS_NULL, |field| Expr::IsNull(Box::new(field))),
        Expr::IsNotNull(row) => asked(row, IS_NOT_NULL, |field| Expr::IsNotNull(Box::new(field))),
        Expr::QualifiedWildcard(table, _) => Some(row_of(table.clone())),
        Expr::CompoundFieldAccess { root, access_chain } => field(root, access_chain),
        _ => None,
    };
    if let Some(settled) = settled {
        *expr = settled;
    }
    let Expr::Function(function) = expr else { return };
    let name = plain_name(function);
    if matches!(name.as_deref(), Some(RECORD | ROW | ROW_OF)) {
        return;
    }
    if let Some(spread) = spread(ROW, expr) {
        *expr = spread;
        return;
    }
    let Expr::Function(function) = expr else { return };
    if let FunctionArguments::List(list) = &mut function.args {
        for argument in &mut list.args {
            if let FunctionArg::Unnamed(argument) = argument
                && let FunctionArgExpr::QualifiedWildcard(table) = argument
            {
                *argument = FunctionArgExpr::Expr(row_of(table.clone()));
            }
        }
    }
}

/// After that: rows of values, and functions of several columns.
pub fn expand(expr: &mut Expr) {
    if let Expr::Cast { expr: inner, .. } = expr
        && let Expr::Tuple(values) = without_parentheses(inner)
    {
        **inner = function_call(ROW, numbered(values.clone()));
    }
    let Expr::Function(function) = expr else { return };
    let Some(name) = plain_name(function) else { return };
    let made = match name.as_str() {
        "row" if function.over.is_none() => {
            arguments(function).map(|values| function_call(ROW, numbered(values)))
        }
        name => set_functions::columns_of(name, function).map(row),
    };
    if let Some(made) = made {
        *expr = made;
    }
}

/// Rows of values and of functions in a select list.
pub fn settle_items(items: &mut Vec<SelectItem>) -> Result<()> {
    let mut settled = Vec::with_capacity(items.len());
    for mut item in std::mem::take(items) {
        // `(t.*)` is `t.*`.
        if let SelectItem::UnnamedExpr(expr @ Expr::Nested(_)) = &item
            && let Expr::QualifiedWildcard(table, _) = without_parentheses(expr)
        {
            let table = SelectItemQualifiedWildcardKind::ObjectName(table.clone());
            settled.push(SelectItem::QualifiedWildcard(table, Default::default()));
            continue;
        }
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = &mut item
            && let Expr::Tuple(values) = expr
        {
            *expr = function_call("row", std::mem::take(values));
        }
        let Some(row) = computed(&item).and_then(starred) else {
            settled.push(item);
            continue;
        };
        match without_parentheses(row) {
            Expr::Identifier(table) => {
                let table = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(table.clone()));
                settled.push(SelectItem::QualifiedWildcard(table, Default::default()));
            }
            Expr::Function(function) => {
                let columns =
                    plain_name(function).and_then(|name| set_functions::columns_of(&name, function));
                let Some(columns) = columns else { return Err(star(row)) };
                settled.extend(columns.map(|(name, expr)| SelectItem::ExprWithAlias {
                    expr,
                    alias: Ident::with_quote('"', name),
                }));
            }
            _ => return Err(star(row)),
        }
    }
    *items = settled;
    Ok(())
}

fn star(row: &Expr) -> Error {
    Error::unsupported(format!("{row}.*"))
}

fn without_parentheses(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => without_parentheses(inner),
        expr => expr,
    }
}

/// The name of a row as PostgreSQL gives it to an output.
pub fn name_of(function: &ast::Function) -> Option<String> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match plain_name(function)?.as_str() {
        ROW => {
            let values = arguments(function).unwrap_or_default();
            let function = values.get(1).and_then(set_functions::function_of_columns);
            function.or_else(|| Some("row".to_owned()))
        }
        ROW_OF => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(table))] => {
                table.0.last()?.as_ident().map(folded)
            }
            // Columns of a query around, behind their names.
            [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(column))), ..] => {
                column.iter().rev().nth(1).map(folded)
            }
            _ => None,
        },
        "get_field" => literal(arguments(function)?.get(1)?).map(str::to_owned),
        _ => None,
    }
}

/// `ROW(t.*, 1)` as a call of `function`, ROW or RECORD, whose stars `planner::record` writes out; `None` for rows without.
pub fn spread(function: &str, row: &Expr) -> Option<Expr> {
    let star = |value: &Expr| match value {
        Expr::QualifiedWildcard(table, _) => Some(FunctionArgExpr::QualifiedWildcard(table.clone())),
        _ => None,
    };
    let values: Vec<FunctionArgExpr> = match without_parentheses(row) {
        Expr::Tuple(values) => values
            .iter()
            .map(|value| star(value).unwrap_or_else(|| FunctionArgExpr::Expr(value.clone())))
            .collect(),
        Expr::Function(call) if call.over.is_none() && plain_name(call).as_deref() == Some("row") => {
            let FunctionArguments::List(list) = &call.args else { return None };
            let value = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
                    Some(star(value).unwrap_or_else(|| FunctionArgExpr::Expr(value.clone())))
                }
                FunctionArg::Unnamed(value @ FunctionArgExpr::QualifiedWildcard(_)) => Some(value.clone()),
                _ => None,
            };
            list.args.iter().map(value).collect::<Option<_>>()?
        }
        _ => return None,
    };
    if !values.iter().any(|value| matches!(value, FunctionArgExpr::QualifiedWildcard(_))) {
        return None;
    }
    let value = |value| match value {
        FunctionArgExpr::Expr(value) => FunctionArgExpr::Expr(written_out(value)),
        star => star,
    };
    let mut call = function_call(function, Vec::new());
    if let Expr::Function(ast::Function { args: FunctionArguments::List(list), .. }) = &mut call {
        let named = values.into_iter().map(value).zip(1..);
        let pairs =
            named.flat_map(|(value, place)| [FunctionArgExpr::Expr(text(format!("f{place}"))), value]);
        list.args = pairs.map(FunctionArg::Unnamed).collect();
    }
    Some(call)
}

/// The row of a table.
pub fn row_of(table: ObjectName) -> Expr {
    call_of_table(ROW_OF, table)
}

/// `function(table.*)`
pub fn call_of_table(function: &str, table: ObjectName) -> Expr {
    let mut call = function_call(function, Vec::new());
    if let Expr::Function(ast::Function { args: FunctionArguments::List(list), .. }) = &mut call {
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(table)));
    }
    call
}

/// The fields of a row of values, each behind its name: `'f1', a, 'f2', b`. Rows among them are written out too.
pub fn numbered(values: Vec<Expr>) -> Vec<Expr> {
    let named = values.into_iter().map(written_out).zip(1..);
    named.flat_map(|(value, place)| [text(format!("f{place}")), value]).collect()
}

fn written_out(value: Expr) -> Expr {
    match value {
        Expr::Tuple(values) => function_call(ROW, numbered(values)),
        value => value,
    }
}

fn row(fields: impl Iterator<Item = (String, Expr)>) -> Expr {
    function_call(ROW, fields.flat_map(|(name, value)| [text(name), value]).collect())
}

/// Whether a row is NULL: each field of one that is written out, a question to any other.
fn asked(row: &Expr, question: &str, each: impl Fn(Expr) -> Expr) -> Option<Expr> {
    if let Some(row) = spread(ROW, row) {
        return Some(function_call(question, vec![row]));
    }
    if let Some(fields) = spellings::row_of(row) {
        let each = |field| each(Expr::Nested(Box::new(field)));
        return (!fields.is_empty()).then(|| spellings::all_of(fields, each));
    }
    match without_parentheses(row) {
        Expr::QualifiedWildcard(table, _) => Some(function_call(question, vec![row_of(table.clone())])),
        Expr::Function(function) if plain_name(function).as_deref() == Some(ROW_OF) => {
            Some(function_call(question, vec![row.clone()]))
        }
        _ => None,
    }
}

/// `(row).a.b`: a field of a field.
fn field(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let is_star = |access: &AccessExpr| matches!(access, AccessExpr::Dot(Expr::Identifier(name)) if name.quote_style == Some(STAR_QUOTE));
    if chain.iter().any(is_star) {
        return None;
    }
    let names: Option<Vec<&Ident>> = chain
        .iter()
        .map(|access| match access {
            AccessExpr::Dot(Expr::Identifier(name)) => Some(name),
            _ => None,
        })
        .collect();
    let mut names = names?.into_iter();
    let mut value = match without_parentheses(root) {
        Expr::Function(function) => {
            let columns = plain_name(function).and_then(|name| set_functions::columns_of(&name, function));
            match columns {
                Some(mut columns) => {
                    let wanted = folded(names.next()?);
                    let column = columns.find(|(name, _)| *name == wanted)?.1;
                    if names.len() == 0 {
                        return Some(function_call(
                            "get_field",
                            vec![row([(wanted.clone(), column)].into_iter()), text(wanted)],
                        ));
                    }
                    column
                }
                None => root.clone(),
            }
        }
        // A parameter of a composite type.
        Expr::Value(value) if matches!(value.value, ast::Value::Placeholder(_)) => root.clone(),
        Expr::Subquery(_)
        | Expr::Case { .. }
        | Expr::Cast { .. }
        | Expr::CompoundFieldAccess { .. }
        | Expr::Identifier(_)
        | Expr::CompoundIdentifier(_) => root.clone(),
        _ => return None,
    };
    for name in names {
        value = function_call("get_field", vec![value, text(folded(name))]);
    }
    Some(value)
}
