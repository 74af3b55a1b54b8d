//! JSON_TABLE as a query, before sqlparser reads it as MySQL's.
//!
//! ```text
//!   JSON_TABLE(d, '$.a[*]' COLUMNS (n FOR ORDINALITY, x int PATH '$.x', NESTED '$.b[*]' COLUMNS (y text)))
//!
//!   LATERAL (SELECT CAST(hither_r.v -> 0 ->> 1 AS int) AS "n",
//!                   hither_sql_json_value(NULL::int, hither_r.v -> 0 -> 0, '$.x', ...) AS "x",
//!                   hither_sql_json_value(NULL::text, hither_r.v -> 1 -> 0, '$."y"', ...) AS "y"
//!            FROM unnest(hither_json_table(d, '["$.a[*]", [["$.b[*]", []]]]', false)) AS hither_r(v))
//! ```
//!
//! Grammar: <https://www.postgresql.org/docs/17/functions-json.html#FUNCTIONS-SQLJSON-TABLE>.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident, Value};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result, SqlState};
use crate::sql::dialect::{self, solid, syntax_error, tokenize, word};
use crate::sql::rewrite::cast_to;
use crate::sql::source::Source;
use crate::sql::sql_json::{Question, Words};
use crate::types::json::Node;

/// Words behind the bracket that are no alias.
const NO_ALIAS: &[&str] = &[
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "WINDOW",
    "JOIN",
    "LEFT",
    "RIGHT",
    "INNER",
    "CROSS",
    "FULL",
    "NATURAL",
    "ON",
    "USING",
    "FOR",
    "RETURNING",
    "SET",
];

/// The tokens with queries for JSON_TABLE.
pub fn take(source: &Source, mut tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    if !tokens.iter().any(|token| word(token) == "JSON_TABLE") {
        return Ok(tokens);
    }
    let places = solid(&tokens);
    // From the last to the first, so that places before a change stay right.
    for (number, &at) in places.iter().enumerate().rev() {
        let is_table = word(&tokens[at]) == "JSON_TABLE"
            && places.get(number + 1).is_some_and(|&next| tokens[next].token == Token::LParen);
        if !is_table {
            continue;
        }
        let open = places[number + 1];
        let Some(close) = closing(&tokens, open) else { continue };
        let inner = tokens[open + 1..close].iter().map(printable).collect::<Result<Vec<_>>>()?;
        let mut parser = dialect::parser(inner);
        let table = match Table::read(&mut parser) {
            Ok(table) => table,
            Err(error) => return Err(syntax_error(source, &parser, error)),
        };
        table.check_names()?;
        let behind = tokens[close + 1..].iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
        let is_named = behind.is_some_and(|token| {
            matches!(token.token, Token::Word(_)) && !NO_ALIAS.contains(&word(token).as_str())
        });
        let mut sql = table.query();
        sql.push_str(if is_named { " " } else { " AS json_table " });
        let span = tokens[close].span;
        let made = tokenize(&Source::of(&sql))?.into_iter().filter(|token| token.token != Token::EOF);
        let made: Vec<TokenWithSpan> = made.map(|token| TokenWithSpan { token: token.token, span }).collect();
        tokens.splice(at..=close, made);
        if tokens.len() > TOKENS_MAX {
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "JSON_TABLE is too long"));
        }
    }
    Ok(tokens)
}

/// Tokens of a statement with what stands for its JSON_TABLEs: what is passed is written once for each column, and again
/// by those around.
const TOKENS_MAX: usize = 1_000_000;

/// A token that is the same when it has been printed and read again: sqlparser takes a quote behind a backslash for one
/// that was doubled before, and prints it as it is.
fn printable(token: &TokenWithSpan) -> Result<TokenWithSpan> {
    let read = match &token.token {
        Token::SingleQuotedString(text) | Token::NationalStringLiteral(text)
            if text.contains(['\'', '\\']) =>
        {
            Token::EscapedStringLiteral(text.clone())
        }
        Token::Word(word) if word.quote_style.is_some() && word.value.contains('"') => {
            return Err(Error::unsupported("a name with a quote in it within JSON_TABLE"));
        }
        other => other.clone(),
    };
    Ok(TokenWithSpan { token: read, span: token.span })
}

/// A text that is printed so that it is read again as it is.
fn escaped(text: String) -> Expr {
    Expr::value(Value::EscapedStringLiteral(text))
}

/// Where the bracket at a place closes.
fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0;
    tokens.iter().enumerate().skip(open).find_map(|(at, token)| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

type Parsed<T> = std::result::Result<T, ParserError>;

struct Table {
    document: Expr,
    root: Pattern,
    passed: Vec<Expr>,
    tells_errors: bool,
}

/// A path with its columns and those nested in it.
struct Pattern {
    path: String,
    name: Option<String>,
    columns: Vec<Column>,
}

enum Column {
    Ordinality(String),
    Value { name: String, path: String, question: Box<Question>, cast: Option<DataType> },
    Nested(Pattern),
}

impl Table {
    fn read(parser: &mut Parser) -> Parsed<Table> {
        let mut words = Words { parser };
        let document = words.value()?;
        words.parser.expect_token(&Token::Comma)?;
        let mut root = Pattern { path: path(&mut words)?, name: None, columns: Vec::new() };
        if words.accept("as") {
            root.name = Some(name(&mut words)?);
        }
        let passed = words.passing()?;
        root.columns = columns(&mut words)?;
        let tells_errors = words.accept("error on error");
        if !tells_errors && words.accept("empty") {
            let _ = words.accept("array");
            words.expect("on error")?;
        }
        match words.parser.peek_token_ref().token {
            Token::EOF => Ok(Table { document, root, passed, tells_errors }),
            _ => words.parser.expected(")", words.parser.peek_token()),
        }
    }

    /// 42712 for a name that is there twice.
    fn check_names(&self) -> Result<()> {
        let mut names = Vec::new();
        self.root.names(&mut names);
        names.sort_unstable();
        match names.windows(2).find(|near| near[0] == near[1]) {
            Some(near) => {
                let message = format!("duplicate JSON_TABLE column or path name: {}", near[0]);
                Err(Error::new(SqlState("42712"), message))
            }
            None => Ok(()),
        }
    }

    fn query(self) -> String {
        let (mut count, mut items) = (0, Vec::new());
        let mut plan = String::new();
        self.root.write(&mut count, &self.passed, &mut items, &mut plan);
        let tells_errors = if self.tells_errors { "true" } else { "false" };
        let mut arguments = format!("CAST({} AS jsonb), {}, {tells_errors}", self.document, escaped(plan));
        for passed in &self.passed {
            arguments.push_str(&format!(", {passed}"));
        }
        let items = items.join(", ");
        format!("LATERAL (SELECT {items} FROM unnest(hither_json_table({arguments})) AS hither_r(v))")
    }
}

impl Pattern {
    fn names<'a>(&'a self, names: &mut Vec<&'a str>) {
        names.extend(self.name.as_deref());
        for column in &self.columns {
            match column {
                Column::Ordinality(name) | Column::Value { name, .. } => names.push(name),
                Column::Nested(pattern) => pattern.names(names),
            }
        }
    }

    /// The items of the query, and the paths as the function reads them.
    fn write(self, count: &mut usize, passed: &[Expr], items: &mut Vec<String>, plan: &mut String) {
        let number = *count;
        *count += 1;
        plan.push('[');
        plan.push_str(&Node::Text(self.path).to_text());
        plan.push_str(", [");
        let mut is_first = true;
        for column in self.columns {
            match column {
                Column::Ordinality(name) => {
                    let name = Ident::with_quote('"', name);
                    items.push(format!("CAST(hither_r.v -> {number} ->> 1 AS int) AS {name}"));
                }
                Column::Value { name, path, question, cast } => {
                    let document = format!("(hither_r.v -> {number} -> 0)");
                    let Ok(document) = dialect::parse_expression(&document) else { continue };
                    let mut value = question.call(document, escaped(path), passed.to_vec());
                    if let Some(data_type) = cast {
                        value = cast_to(value, data_type);
                    }
                    items.push(format!("{value} AS {}", Ident::with_quote('"', name)));
                }
                Column::Nested(pattern) => {
                    plan.push_str(if is_first { "" } else { ", " });
                    is_first = false;
                    pattern.write(count, passed, items, plan);
                }
            }
        }
        plan.push_str("]]");
    }
}

fn name(words: &mut Words) -> Parsed<String> {
    let name = words.parser.parse_identifier()?;
    Ok(if name.quote_style.is_some() { name.value } else { name.value.to_lowercase() })
}

/// A path, which is a constant here.
fn path(words: &mut Words) -> Parsed<String> {
    match words.parser.next_token().token {
        Token::SingleQuotedString(path) | Token::EscapedStringLiteral(path) => Ok(path),
        _ => {
            words.parser.prev_token();
            match words.parser.parse_expr() {
                Ok(_) => words.refuse("only string constants are supported in JSON_TABLE path specification"),
                Err(error) => Err(error),
            }
        }
    }
}

fn columns(words: &mut Words) -> Parsed<Vec<Column>> {
    words.expect("columns")?;
    words.parser.expect_token(&Token::LParen)?;
    let mut columns = vec![column(words)?];
    while words.parser.consume_token(&Token::Comma) {
        columns.push(column(words)?);
    }
    words.close()?;
    Ok(columns)
}

fn column(words: &mut Words) -> Parsed<Column> {
    let is_nested = words.at(0, "nested")
        && (words.at(1, "path")
            || matches!(words.parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_)));
    if is_nested {
        let _ = words.accept("nested path") || words.accept("nested");
        let path = path(words)?;
        let name = if words.accept("as") { Some(name(words)?) } else { None };
        return Ok(Column::Nested(Pattern { path, name, columns: columns(words)? }));
    }
    let name = name(words)?;
    if words.accept("for ordinality") {
        return Ok(Column::Ordinality(name));
    }
    let data_type = words.parser.parse_data_type()?;
    let is_exists = words.accept("exists");
    let mut is_formatted = !is_exists && words.format()?;
    let path = match words.accept("path") {
        true => path(words)?,
        false => format!("$.{}", Node::Text(name.clone()).to_text()),
    };
    is_formatted |= matches!(data_type, DataType::JSON | DataType::JSONB | DataType::Array(_))
        || ["with", "without", "keep", "omit"].iter().any(|word| words.at(0, word));
    let (function, returned) = match (is_exists, is_formatted) {
        (true, _) => ("json_exists", DataType::Boolean),
        (_, true) => ("json_query", data_type.clone()),
        _ => ("json_value", data_type.clone()),
    };
    let mut question = Question::new(function, &name, returned);
    if is_formatted {
        words.wrapper_and_quotes(&mut question)?;
    }
    words.behaviours(&mut question)?;
    let cast = (is_exists && data_type != DataType::Boolean).then_some(data_type);
    Ok(Column::Value { name, path, question: Box::new(question), cast })
}
