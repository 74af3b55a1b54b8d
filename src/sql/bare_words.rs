//! Words that sqlparser takes for its own where PostgreSQL reads a name, and a list of columns without any.
//!
//! | PostgreSQL                   | as it is read                          |
//! |------------------------------|----------------------------------------|
//! | `SELECT top FROM t`          | `SELECT "top" FROM t`                  |
//! | `SELECT trim FROM t`         | `SELECT "trim" FROM t`                 |
//! | `FROM unnest`, `FROM json_table` | `FROM "unnest"`, `FROM "json_table"` |
//! | `CREATE TABLE json_table (`, `INSERT INTO json_table (` | with the name in quotes |
//! | `SELECT`, `EXISTS (SELECT)`  | `SELECT FROM (VALUES (1)) AS one`      |

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sql::dialect::{solid, tokenize, word};
use crate::sql::source::Source;
use crate::sql::words::is_word;

/// Words of which one is in each of them.
const MEANT: &[&str] = &["TOP", "TRIM", "UNNEST", "JSON_TABLE"];

/// What a relation's name stands behind, and no call of a function.
const BEFORE_RELATION: &[&str] = &["TABLE", "INTO", "REFERENCES", "COPY", "ANALYZE", "WITH"];

/// What stands behind a list of columns, and begins none.
const BEHIND_COLUMNS: &[&str] = &["WHERE", "UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "OFFSET"];

/// One row without columns.
const NO_COLUMNS: &str = " FROM (VALUES (1)) AS one";

/// The tokens with those names in quotes.
pub fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_meant = |token: &TokenWithSpan| MEANT.iter().any(|expected| is_word(&token.token, expected));
    if tokens.iter().any(is_meant) {
        let places = solid(&tokens);
        for (number, &at) in places.iter().enumerate() {
            let found = word(&tokens[at]);
            if !MEANT.contains(&found.as_str()) {
                continue;
            }
            let is_called = places.get(number + 1).is_some_and(|&next| tokens[next].token == Token::LParen);
            // `public.json_table` stands behind what its schema stands behind.
            let is_qualified = number > 1 && tokens[places[number - 1]].token == Token::Period;
            let before = number.checked_sub(if is_qualified { 3 } else { 1 });
            let before = before.map(|before| word(&tokens[places[before]])).unwrap_or_default();
            let is_name = match found.as_str() {
                // PostgreSQL has no such word.
                "TOP" => true,
                _ if !is_called => true,
                // `CREATE TABLE IF NOT EXISTS json_table (`, `CREATE INDEX ON json_table (`
                "JSON_TABLE" if ["EXISTS", "ON"].contains(&before.as_str()) => true,
                _ => BEFORE_RELATION.contains(&before.as_str()),
            };
            if is_name {
                tokens[at].token = Token::make_word(&found.to_lowercase(), Some('"'));
            }
        }
    }
    without_columns(tokens)
}

/// Whether what stands behind a token is a name, whatever word it is: `s.select`, `a AS select`. Statements that make
/// something of a query have AS in front of it.
fn is_name_behind(before: &TokenWithSpan, tokens: &[TokenWithSpan]) -> bool {
    let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    let makes = |first: &TokenWithSpan| ["CREATE", "PREPARE", "WITH"].contains(&word(first).as_str());
    before.token == Token::Period || is_word(&before.token, "AS") && !first.is_some_and(makes)
}

/// A SELECT with nothing behind it.
fn without_columns(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_select = |token: &TokenWithSpan| is_word(&token.token, "SELECT");
    if !tokens.iter().any(is_select) {
        return tokens;
    }
    // From the last on, so that what is put in moves nothing that is still to be looked at.
    let places = solid(&tokens);
    for (number, &at) in places.iter().enumerate().rev() {
        if !is_select(&tokens[at]) {
            continue;
        }
        let ends = match places.get(number + 1).map(|&next| &tokens[next].token) {
            None | Some(Token::EOF | Token::RParen | Token::SemiColon) => true,
            Some(next) => BEHIND_COLUMNS.iter().any(|expected| is_word(next, expected)),
        };
        if ends && (number == 0 || !is_name_behind(&tokens[places[number - 1]], &tokens)) {
            let span = tokens[at].span;
            let made = tokenize(&Source::of(NO_COLUMNS)).unwrap_or_default().into_iter();
            let made = made.filter(|token| token.token != Token::EOF);
            let made: Vec<_> = made.map(|token| TokenWithSpan { token: token.token, span }).collect();
            tokens.splice(at + 1..at + 1, made);
        }
    }
    tokens
}
