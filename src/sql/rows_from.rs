//! `ROWS FROM (f(1), g(2) AS (a int, b text)) WITH ORDINALITY AS t`: several functions side by side, the shorter ones filled
//! with NULLs; and `FROM f(1) AS (a int, b text)`, where nothing but the columns has a name.
//!
//! sqlparser reads neither. They are put as calls, which are arrays that are unnested together:
//!
//! ```text
//!   ROWS FROM (unnest(a), f(1), g(2) AS (b int))
//!     hither_rows_from(unnest(a), f(1), hither_listed(g(2), 'b int'))
//!     (SELECT c1 AS unnest, c2 AS f, get_field(c3, 'b') AS b
//!        FROM UNNEST(a, ARRAY[f(1)], ARRAY(SELECT row FROM g(2) AS row(b int))) AS r(c1, c2, c3)) AS unnest
//! ```

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, SelectItem, SetExpr,
    TableAlias, TableAliasColumnDef, TableFactor, TableFunctionArgs,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result, SqlState};
use crate::functions::records::ROW;
use crate::sql::dialect::{self, byte_index, solid, word};
use crate::sql::known::quoted;
use crate::sql::rewrite::{arguments, folded, function_call, plain_name};
use crate::sql::set_functions;
use crate::sql::trees::{alias_of, derived, literal, query_from, relation, text};
use crate::sql::values;

/// What several functions in FROM are the arguments of.
pub const ROWS_FROM: &str = "hither_rows_from";
/// A function and the columns that are listed for it, as text.
const LISTED: &str = "hither_listed";
/// An array of rows, and the names of their columns.
const ROWS: &str = "hither_rows_of";
/// An array, and the name of the column that it is unnested to.
const VALUES: &str = "hither_values_of";

/// What begins a query: `WITH a(b) AS (TABLE c)` lists no columns.
const QUERIES: &[&str] = &["SELECT", "VALUES", "WITH", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE"];

/// The tokens with such calls.
pub fn take(source: &str, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_meant = |token: &TokenWithSpan| matches!(word(token).as_str(), "ROWS" | "AS");
    if !tokens.iter().any(is_meant) {
        return tokens;
    }
    name_listed(side_by_side(source, tokens))
}

/// `ROWS FROM (...)` as a call.
fn side_by_side(source: &str, mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places = solid(&tokens);
    // From the last to the first, so that places before a change stay right.
    for number in (1..places.len()).rev() {
        let at = |distance: usize| places.get(number + distance).map(|&at| &tokens[at]);
        let is_call = |token: Option<&TokenWithSpan>| {
            token.is_some_and(|token| match &token.token {
                Token::Word(_) => !QUERIES.contains(&word(token).as_str()),
                _ => false,
            })
        };
        let before = &tokens[places[number - 1]];
        let follows = before.token == Token::Comma
            || matches!(word(before).as_str(), "FROM" | "JOIN" | "LATERAL" | "USING");
        let is_meant = follows
            && at(0).is_some_and(|token| word(token) == "ROWS")
            && at(1).is_some_and(|token| word(token) == "FROM")
            && at(2).is_some_and(|token| token.token == Token::LParen)
            && is_call(at(3))
            && at(4).is_some_and(|token| matches!(token.token, Token::LParen | Token::Period));
        if !is_meant {
            continue;
        }
        let (rows, from, open) = (places[number], places[number + 1], places[number + 2]);
        let Some(close) = closing(&tokens, open) else { continue };
        let items = listed_items(source, &tokens[open + 1..close]);
        tokens.splice(open + 1..close, items);
        tokens.remove(from);
        tokens[rows].token = Token::make_word(ROWS_FROM, None);
    }
    tokens
}

/// Where the parenthesis closes that opens at a place.
fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    let place = tokens[open..].iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => return false,
        }
        depth == 0
    });
    place.map(|place| open + place)
}

/// Each `f(1) AS (a int)` as `hither_listed(f(1), 'a int')`.
fn listed_items(source: &str, tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut read: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // Where the item began among those that were read.
    let (mut depth, mut begin, mut at) = (0usize, 0, 0);
    while let Some(token) = tokens.get(at) {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::Comma if depth == 0 => begin = read.len() + 1,
            Token::Word(_) if depth == 0 && word(token) == "AS" => {
                let open = solid(&tokens[at + 1..]).first().map(|place| at + 1 + place);
                let open = open.filter(|&open| tokens[open].token == Token::LParen);
                if let Some((open, close)) = open.and_then(|open| Some((open, closing(tokens, open)?))) {
                    let (from, to) = (tokens[open].span.end, tokens[close].span.start);
                    let columns = &source[byte_index(source, from)..byte_index(source, to)];
                    let made = |made: Token| TokenWithSpan { token: made, span: token.span };
                    read.insert(begin, made(Token::LParen));
                    read.insert(begin, made(Token::make_word(LISTED, None)));
                    let text = Token::SingleQuotedString(columns.to_owned());
                    read.extend([Token::Comma, text, Token::RParen].map(made));
                    at = close + 1;
                    continue;
                }
            }
            _ => {}
        }
        read.push(token.clone());
        at += 1;
    }
    read
}

/// `FROM f(1) AS (a int)` as `FROM f(1) AS f (a int)`.
fn name_listed(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places = solid(&tokens);
    for number in (3..places.len()).rev() {
        let at = |place: usize| places.get(place).map(|&at| &tokens[at]);
        let is_word = |place: usize| at(place).is_some_and(|token| matches!(token.token, Token::Word(_)));
        let is_listed = at(number).is_some_and(|token| word(token) == "AS")
            && at(number - 1).is_some_and(|token| token.token == Token::RParen)
            && at(number + 1).is_some_and(|token| token.token == Token::LParen)
            && at(number + 2).is_some_and(|token| !QUERIES.contains(&word(token).as_str()))
            && is_word(number + 2)
            && is_word(number + 3);
        if !is_listed {
            continue;
        }
        let mut depth = 0usize;
        let open = (0..number).rev().find(|&place| {
            match at(place).map(|token| &token.token) {
                Some(Token::RParen) => depth += 1,
                Some(Token::LParen) => depth -= 1,
                _ => return false,
            }
            depth == 0
        });
        let Some(called) = open.and_then(|open| open.checked_sub(1)).filter(|&called| is_word(called)) else {
            continue;
        };
        // A name may have a schema before it.
        let mut before = called.checked_sub(1);
        while let Some(place) = before
            && at(place).is_some_and(|token| token.token == Token::Period)
        {
            before = place.checked_sub(2);
        }
        let is_from = before.and_then(at).is_some_and(|token| {
            token.token == Token::Comma
                || matches!(word(token).as_str(), "FROM" | "JOIN" | "LATERAL" | "USING")
        });
        if is_from {
            let name = tokens[places[called]].token.clone();
            let span = tokens[places[number]].span;
            let blank = Token::Whitespace(datafusion::sql::sqlparser::tokenizer::Whitespace::Space);
            let behind = places[number] + 1;
            tokens.splice(behind..behind, [blank, name].map(|token| TokenWithSpan { token, span }));
        }
    }
    tokens
}

/// The columns that a text lists.
fn columns_of(listed: &str) -> Result<Vec<TableAliasColumnDef>> {
    let query = dialect::parse_query(&format!("SELECT 0 FROM f() AS f ({listed})"))?;
    let SetExpr::Select(select) = *query.body else { return Ok(Vec::new()) };
    let relation = select.from.into_iter().next().map(|from| from.relation);
    match relation {
        Some(TableFactor::Table { alias: Some(alias), .. }) => Ok(alias.columns),
        _ => Ok(Vec::new()),
    }
}

/// The calls of a factor that is `ROWS FROM`.
pub fn items_of(factor: &mut TableFactor) -> Option<&mut Vec<FunctionArg>> {
    match factor {
        TableFactor::Table { name, args: Some(args), .. } if is_rows_from(name) => Some(&mut args.args),
        _ => None,
    }
}

fn is_rows_from(name: &ObjectName) -> bool {
    matches!(name.0.as_slice(), [name] if name.as_ident().is_some_and(|name| name.value == ROWS_FROM))
}

/// An item as the array of the rows that a call in FROM has, whose columns are named so. `listed` are those with types.
pub fn rows_of(call: Expr, columns: Vec<String>, listed: Vec<TableAliasColumnDef>) -> Result<Expr> {
    let alias = TableAlias { columns: listed, ..alias_of(quoted("row")) };
    let field = |name: &String| {
        let value = Expr::CompoundIdentifier(vec![quoted("row"), quoted(name)]);
        [text(name.clone()), value]
    };
    let row = function_call(ROW, columns.iter().flat_map(field).collect());
    let from = call_in_from(call, Some(alias))?;
    let array = array_of(query_from(vec![SelectItem::UnnamedExpr(row)], from))?;
    let names = columns.into_iter().map(text);
    Ok(function_call(ROWS, std::iter::once(array).chain(names).collect()))
}

/// An item as the array of the values that a call in FROM has.
pub fn values_of(call: Expr, column: &str) -> Result<Expr> {
    let name = TableAliasColumnDef { name: quoted("value"), data_type: None };
    let alias = TableAlias { columns: vec![name], ..alias_of(quoted("row")) };
    let value = Expr::CompoundIdentifier(vec![quoted("row"), quoted("value")]);
    let array = array_of(query_from(vec![SelectItem::UnnamedExpr(value)], call_in_from(call, Some(alias))?))?;
    Ok(function_call(VALUES, vec![array, text(column)]))
}

/// `ARRAY(query)`
fn array_of(query: Query) -> Result<Expr> {
    let mut array = dialect::parse_expression("ARRAY(SELECT 0)")?;
    if let Expr::Function(call) = &mut array {
        call.args = FunctionArguments::Subquery(Box::new(query));
    }
    Ok(array)
}

/// A call as it stands in FROM.
fn call_in_from(call: Expr, alias: Option<TableAlias>) -> Result<TableFactor> {
    let Expr::Function(call) = call else {
        return Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{call}\"")));
    };
    let args = match call.args {
        FunctionArguments::List(list) => list.args,
        _ => Vec::new(),
    };
    Ok(relation(call.name, alias, Some(TableFunctionArgs { args, settings: None })))
}

/// What is listed for items, as arrays of rows; `ROWS FROM` of one function as the call alone.
pub fn settle(factor: &mut TableFactor) -> Result<()> {
    let Some(items) = items_of(factor) else { return Ok(()) };
    if let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(call)))] = items.as_slice()
        && !matches!(plain_name(call).as_deref(), Some(ROWS | VALUES))
    {
        return one(factor);
    }
    for item in items.iter_mut() {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(item)) = item
            && let Some((call, listed)) = listed_of(item)
        {
            let listed = columns_of(&listed)?;
            let names = listed.iter().map(|column| folded(&column.name)).collect();
            *item = rows_of(call, names, listed)?;
        }
    }
    let mut settled = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let arrays = match &item {
            // Before it becomes anything else.
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(call))) => {
                set_functions::arrays_of(call)
            }
            _ => None,
        };
        match arrays {
            None => settled.push(item),
            Some(arrays) => settled.extend(arrays.into_iter().map(|(array, column)| {
                let values = function_call(VALUES, vec![array, text(column)]);
                FunctionArg::Unnamed(FunctionArgExpr::Expr(values))
            })),
        }
    }
    *items = settled;
    Ok(())
}

/// A call and the text of the columns that are listed for it.
fn listed_of(item: &Expr) -> Option<(Expr, String)> {
    let Expr::Function(function) = item else { return None };
    if plain_name(function).as_deref() != Some(LISTED) {
        return None;
    }
    match arguments(function)?.as_slice() {
        [call, listed] => Some((call.clone(), literal(listed)?.to_owned())),
        _ => None,
    }
}

/// `ROWS FROM (f(1))`, and `ROWS FROM (f(1) AS (a int)) WITH ORDINALITY`.
fn one(factor: &mut TableFactor) -> Result<()> {
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(item))) =
        items_of(factor).and_then(|items| items.first().cloned())
    else {
        return Ok(());
    };
    let TableFactor::Table { alias, with_ordinality, .. } = factor else { return Ok(()) };
    let (alias, numbered) = (alias.take(), *with_ordinality);
    *factor = match listed_of(&item) {
        None => {
            let mut call = call_in_from(item, alias)?;
            if let TableFactor::Table { with_ordinality, .. } = &mut call {
                *with_ordinality = numbered;
            }
            call
        }
        Some((call, listed)) => {
            let columns = columns_of(&listed)?;
            let Expr::Function(function) = &call else { return call_in_from(call, alias).map(drop) };
            let lateral = values::names_columns(&call);
            let name = function.name.0.last().and_then(|name| name.as_ident()).cloned();
            let name = name.unwrap_or_else(|| quoted("row"));
            let shown = columns.iter().map(|column| {
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(vec![name.clone(), column.name.clone()]))
            });
            let mut items: Vec<SelectItem> = shown.collect();
            if numbered {
                let expr = dialect::parse_expression("row_number() OVER ()")?;
                items.push(SelectItem::ExprWithAlias { expr, alias: Ident::new("ordinality") });
            }
            let inner = TableAlias { columns, ..alias_of(name.clone()) };
            let query = query_from(items, call_in_from(call, Some(inner))?);
            derived(lateral, query, alias.unwrap_or_else(|| alias_of(name)))
        }
    };
    Ok(())
}

/// An item as it is unnested: the array, and the columns that it makes, with the fields of its elements that they are.
pub struct Item {
    pub array: Expr,
    pub columns: Vec<Column>,
}

/// A column of what is unnested.
pub struct Column {
    pub name: String,
    /// The field of a row that it is.
    pub field: Option<String>,
}

impl Item {
    /// Of an array that makes one column.
    pub fn plain(array: Expr, name: impl Into<String>) -> Item {
        Item { array, columns: vec![Column { name: name.into(), field: None }] }
    }

    /// Of an array that was made before; `None` for other calls.
    pub fn made(item: &Expr) -> Option<Item> {
        let Expr::Function(function) = item else { return None };
        let name = plain_name(function)?;
        let mut given = arguments(function)?.into_iter();
        let array = given.next()?;
        let names: Vec<String> = given.filter_map(|name| literal(&name).map(str::to_owned)).collect();
        let column = |name: String| match name_is_row(&function.name) {
            true => Column { field: Some(name.clone()), name },
            false => Column { name, field: None },
        };
        matches!(name.as_str(), ROWS | VALUES)
            .then(|| Item { array, columns: names.into_iter().map(column).collect() })
    }
}

fn name_is_row(name: &ObjectName) -> bool {
    name.0.last().and_then(|name| name.as_ident()).is_some_and(|name| name.value == ROWS)
}
