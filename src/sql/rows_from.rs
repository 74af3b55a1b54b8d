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

use std::collections::{HashMap, HashSet};

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, SelectItem, SetExpr,
    TableAlias, TableAliasColumnDef, TableFactor, TableFunctionArgs,
};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace};

use crate::error::{Error, Result, SqlState};
use crate::functions::records::ROW;
use crate::sql::dialect::{self, QUERIES, is_white, solid, word};
use crate::sql::known::quoted;
use crate::sql::rewrite::{arguments, folded, function_call, plain_name};
use crate::sql::set_functions;
use crate::sql::source::Source;
use crate::sql::trees::{alias_of, derived, literal, query_from, relation, text};
use crate::sql::values;
use crate::sql::words::is_word;

/// What several functions in FROM are the arguments of.
pub const ROWS_FROM: &str = "hither_rows_from";
/// A function and the columns that are listed for it, as text.
const LISTED: &str = "hither_listed";
/// An array of rows, and the names of their columns.
const ROWS: &str = "hither_rows_of";
/// An array, and the name of the column that it is unnested to.
const VALUES: &str = "hither_values_of";

/// The tokens with such calls.
pub fn take(source: &Source, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let [is_rows, is_listed] =
        ["ROWS", "AS"].map(|expected| tokens.iter().any(|token| is_word(&token.token, expected)));
    let tokens = if is_rows { side_by_side(source, tokens) } else { tokens };
    if is_listed { name_listed(tokens) } else { tokens }
}

/// `ROWS FROM (...)` as a call, and each `f(1) AS (a int)` in it as `hither_listed(f(1), 'a int')`.
fn side_by_side(source: &Source, mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let closes = closes(&tokens);
    let (opens, gone) = name_calls(&mut tokens, &closes);
    if opens.is_empty() {
        return tokens;
    }
    let mut read: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // Where a call of LISTED begins among those that were read.
    let mut wraps: Vec<(usize, Span)> = Vec::new();
    let mut around: Vec<Around> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if around.last().is_some_and(|call| call.close == at) {
            around.pop();
        }
        if let Some(call) = around.last_mut() {
            match token.token {
                Token::LParen | Token::LBracket => call.depth += 1,
                Token::RParen | Token::RBracket => call.depth = call.depth.saturating_sub(1),
                Token::Comma if call.depth == 0 => call.begin = read.len() + 1,
                Token::Word(_) if call.depth == 0 && is_word(&token.token, "AS") => {
                    if let Some((open, close)) = listed_behind(&tokens, &closes, at) {
                        let columns =
                            source.between(Span::new(tokens[open].span.end, tokens[close].span.start));
                        let text = Token::SingleQuotedString(columns.to_owned());
                        let span = token.span;
                        wraps.push((call.begin, span));
                        read.extend(
                            [Token::Comma, text, Token::RParen].map(|token| TokenWithSpan { token, span }),
                        );
                        at = close + 1;
                        continue;
                    }
                }
                _ => {}
            }
        }
        if let Some(&close) = opens.get(&at) {
            around.push(Around { close, depth: 0, begin: read.len() + 1 });
        }
        if !gone.contains(&at) {
            read.push(token.clone());
        }
        at += 1;
    }
    let made = |(begin, span)| {
        let tokens = [Token::make_word(LISTED, None), Token::LParen];
        tokens.map(|token| (begin, TokenWithSpan { token, span }))
    };
    inserted(read, wraps.into_iter().flat_map(made).collect())
}

/// `ROWS FROM (` around the tokens that are read.
struct Around {
    close: usize,
    depth: usize,
    /// Where the item began among those that were read.
    begin: usize,
}

/// Makes names of calls of each ROWS before FROM. Their parentheses, and the FROMs, which have to go.
fn name_calls(
    tokens: &mut [TokenWithSpan],
    closes: &[Option<usize>],
) -> (HashMap<usize, usize>, HashSet<usize>) {
    let (mut opens, mut gone) = (HashMap::new(), HashSet::new());
    for near in solid(tokens).windows(6) {
        let [before, rows, from, open, called, behind] = near else { continue };
        if !is_word(&tokens[*rows].token, "ROWS") || !is_word(&tokens[*from].token, "FROM") {
            continue;
        }
        let follows = tokens[*before].token == Token::Comma || is_before_factor(&tokens[*before]);
        let is_call = matches!(tokens[*called].token, Token::Word(_))
            && !QUERIES.contains(&word(&tokens[*called]).as_str())
            && matches!(tokens[*behind].token, Token::LParen | Token::Period);
        let is_meant = follows && tokens[*open].token == Token::LParen && is_call;
        if let Some(close) = closes[*open].filter(|_| is_meant) {
            opens.insert(*open, close);
            gone.insert(*from);
            tokens[*rows].token = Token::make_word(ROWS_FROM, None);
        }
    }
    (opens, gone)
}

/// Whether a word stands before something in FROM.
fn is_before_factor(token: &TokenWithSpan) -> bool {
    matches!(word(token).as_str(), "FROM" | "JOIN" | "LATERAL" | "USING")
}

/// The parentheses around the columns that are listed behind an AS.
fn listed_behind(tokens: &[TokenWithSpan], closes: &[Option<usize>], at: usize) -> Option<(usize, usize)> {
    let open = (at + 1..tokens.len()).find(|&place| !is_white(&tokens[place].token))?;
    Some((open, closes[open]?))
}

/// For each parenthesis that opens, where it closes.
fn closes(tokens: &[TokenWithSpan]) -> Vec<Option<usize>> {
    let mut found = vec![None; tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => open.push(at),
            Token::RParen => {
                if let Some(open) = open.pop() {
                    found[open] = Some(at);
                }
            }
            _ => {}
        }
    }
    found
}

/// The tokens with others before those at some places, in one pass.
fn inserted(tokens: Vec<TokenWithSpan>, mut more: Vec<(usize, TokenWithSpan)>) -> Vec<TokenWithSpan> {
    // Keeps the order of those at one place.
    more.sort_by_key(|(place, _)| *place);
    let mut read = Vec::with_capacity(tokens.len() + more.len());
    let mut more = more.into_iter().peekable();
    for (at, token) in tokens.into_iter().enumerate() {
        while let Some((_, made)) = more.next_if(|(place, _)| *place <= at) {
            read.push(made);
        }
        read.push(token);
    }
    read.extend(more.map(|(_, made)| made));
    read
}

/// `FROM f(1) AS (a int)` as `FROM f(1) AS f (a int)`.
fn name_listed(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places = solid(&tokens);
    let at = |place: usize| places.get(place).map(|&at| &tokens[at]);
    let is_word = |place: usize| at(place).is_some_and(|token| matches!(token.token, Token::Word(_)));
    let mut more = Vec::new();
    // The parentheses that are open, and the one that was closed last.
    let (mut open, mut closed) = (Vec::new(), None);
    for (number, &place) in places.iter().enumerate() {
        match tokens[place].token {
            Token::LParen => open.push(number),
            Token::RParen => closed = open.pop(),
            _ => {}
        }
        // `WITH a(b) AS (TABLE c)` lists no columns.
        let is_listed = word(&tokens[place]) == "AS"
            && number.checked_sub(1).and_then(at).is_some_and(|token| token.token == Token::RParen)
            && at(number + 1).is_some_and(|token| token.token == Token::LParen)
            && at(number + 2).is_some_and(|token| !QUERIES.contains(&word(token).as_str()))
            && is_word(number + 2)
            && is_word(number + 3);
        if !is_listed {
            continue;
        }
        let called = closed.and_then(|open: usize| open.checked_sub(1));
        let Some(called) = called.filter(|&called| is_word(called)) else { continue };
        // A name may have a schema before it.
        let mut before = called.checked_sub(1);
        while let Some(place) = before
            && at(place).is_some_and(|token| token.token == Token::Period)
        {
            before = place.checked_sub(2);
        }
        let is_from =
            before.and_then(at).is_some_and(|token| token.token == Token::Comma || is_before_factor(token));
        if is_from {
            let made = [Token::Whitespace(Whitespace::Space), tokens[places[called]].token.clone()];
            let span = tokens[place].span;
            more.extend(made.map(|token| (place + 1, TokenWithSpan { token, span })));
        }
    }
    inserted(tokens, more)
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
        let name = plain_name(function).filter(|name| matches!(name.as_str(), ROWS | VALUES))?;
        let mut given = arguments(function)?.into_iter();
        let array = given.next()?;
        let column = |column: Expr| {
            let column = literal(&column)?.to_owned();
            Some(Column { field: (name == ROWS).then(|| column.clone()), name: column })
        };
        Some(Item { array, columns: given.filter_map(column).collect() })
    }
}
