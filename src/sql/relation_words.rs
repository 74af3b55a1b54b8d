//! Relations as sqlparser does not read them, put otherwise before it does.
//!
//! | PostgreSQL                | as it is read                        |
//! |---------------------------|--------------------------------------|
//! | `(TABLE t) AS s`          | `(SELECT * FROM t) AS s`             |
//! | `FROM t*`                 | `FROM t`: with what inherits from it, as always |
//! | `FROM ONLY (t)`           | `FROM ONLY t`                        |
//! | `JOIN u USING (a) AS x`   | `JOIN u USING (a, "using alias".x)`  |

use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sql::dialect::{solid, word};
use crate::sql::words::is_word;

/// What stands before the alias of the merged columns of a join; not to be written.
const ALIAS: &str = "\u{1}using alias";

/// Words that may stand behind a relation, and behind no operator.
const BEHIND_RELATION: &[&str] = &[
    "AS",
    "WHERE",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "NATURAL",
    "ON",
    "USING",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "FOR",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "SET",
    "RETURNING",
];

/// Words that begin a query where a list of names might stand.
const QUERIES: &[&str] = &["SELECT", "VALUES", "TABLE", "WITH"];

/// The tokens with those spellings.
pub fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_meant = |token: &TokenWithSpan| {
        token.token == Token::Mul
            || ["TABLE", "ONLY", "USING"].iter().any(|expected| is_word(&token.token, expected))
    };
    if !tokens.iter().any(is_meant) {
        return tokens;
    }
    let places = solid(&tokens);
    let first = places.first().map(|&at| word(&tokens[at])).unwrap_or_default();
    // From the last to the first, so that places before a change stay right.
    for (number, &at) in places.iter().enumerate().rev() {
        let span = tokens[at].span;
        let made = |token: Token| TokenWithSpan { token, span };
        match (&tokens[at].token, word(&tokens[at]).as_str()) {
            (_, "TABLE") if is_query(&tokens, &places, number, &first) => {
                let [select, from] = ["SELECT", "FROM"].map(|word| made(Token::make_keyword(word)));
                tokens.splice(at..=at, [select, made(Token::Mul), from]);
            }
            (Token::Mul, _) if is_of_relation(&tokens, &places, number) => drop(tokens.remove(at)),
            (_, "ONLY") => {
                if let Some(close) = list(&tokens, &places, number + 1, &Token::Period)
                    && number > 0
                    && is_before_relation(&tokens[places[number - 1]])
                {
                    tokens.remove(places[close]);
                    tokens.remove(places[number + 1]);
                }
            }
            (_, "USING") => {
                let Some(close) = list(&tokens, &places, number + 1, &Token::Comma) else { continue };
                let [Some(&end), Some(&behind), Some(&name)] =
                    [close, close + 1, close + 2].map(|at| places.get(at))
                else {
                    continue;
                };
                if word(&tokens[behind]) == "AS" && matches!(tokens[name].token, Token::Word(_)) {
                    let alias = tokens[name].clone();
                    tokens.drain(behind..=name);
                    let mark = made(Token::make_word(ALIAS, Some('"')));
                    tokens.splice(end..end, [made(Token::Comma), mark, made(Token::Period), alias]);
                }
            }
            _ => {}
        }
    }
    tokens
}

/// A query's text with the aliases behind the lists of columns.
pub fn shown(mut text: String) -> String {
    let begin = format!(", \"{ALIAS}\".");
    while let Some(at) = text.find(&begin) {
        let Some(length) = text[at + begin.len()..].find(')') else { break };
        let alias = text[at + begin.len()..at + begin.len() + length].to_owned();
        text.replace_range(at..=at + begin.len() + length, &format!(") AS {alias}"));
    }
    text
}

/// The alias that a join's merged columns have, taken from their list.
pub fn take_alias(columns: &mut Vec<ObjectName>) -> Option<Ident> {
    let alias = alias_of(columns)?;
    columns.pop();
    Some(alias)
}

/// The alias that a join's merged columns have.
pub fn alias_of(columns: &[ObjectName]) -> Option<Ident> {
    match columns.last()?.0.as_slice() {
        [mark, alias] if mark.as_ident().is_some_and(|mark| mark.value == ALIAS) => alias.as_ident().cloned(),
        _ => None,
    }
}

/// Whether TABLE begins a query here.
fn is_query(tokens: &[TokenWithSpan], places: &[usize], number: usize, first: &str) -> bool {
    let named = places.get(number + 1).is_some_and(|&at| match &tokens[at].token {
        Token::Word(name) => {
            name.quote_style.is_some() || !BEHIND_RELATION.contains(&word(&tokens[at]).as_str())
        }
        _ => false,
    });
    let is_from =
        places.get(number + 1).is_some_and(|&at| matches!(word(&tokens[at]).as_str(), "FROM" | "INTO"));
    let begins = match number.checked_sub(1).map(|before| &tokens[places[before]]) {
        None => true,
        Some(before) => match before.token {
            Token::LParen => true,
            Token::RParen => first == "WITH",
            _ => {
                matches!(word(before).as_str(), "UNION" | "EXCEPT" | "INTERSECT" | "ALL" | "DISTINCT" | "AS")
            }
        },
    };
    named && !is_from && begins
}

fn is_before_relation(token: &TokenWithSpan) -> bool {
    token.token == Token::Comma
        || matches!(word(token).as_str(), "FROM" | "JOIN" | "UPDATE" | "USING" | "TABLE")
}

/// Whether a star stands behind the name of a relation.
fn is_of_relation(tokens: &[TokenWithSpan], places: &[usize], number: usize) -> bool {
    let ends = places.get(number + 1).is_none_or(|&at| match &tokens[at].token {
        Token::RParen | Token::Comma | Token::SemiColon | Token::EOF => true,
        _ => BEHIND_RELATION.contains(&word(&tokens[at]).as_str()),
    });
    // `a.b.c` from the last to the first.
    let mut before = places[..number].iter().rev().map(|&at| &tokens[at]);
    loop {
        if !before.next().is_some_and(|token| matches!(token.token, Token::Word(_))) {
            return false;
        }
        match before.next() {
            Some(token) if token.token == Token::Period => {}
            Some(token) => {
                return ends && matches!(word(token).as_str(), "FROM" | "JOIN" | "UPDATE" | "ONLY" | "TABLE");
            }
            None => return false,
        }
    }
}

/// The end of parentheses around names with such tokens between them, by the numbers of their places.
fn list(tokens: &[TokenWithSpan], places: &[usize], open: usize, between: &Token) -> Option<usize> {
    let at = |number: usize| places.get(number).map(|&at| &tokens[at]);
    if at(open)?.token != Token::LParen || QUERIES.contains(&word(at(open + 1)?).as_str()) {
        return None;
    }
    let mut number = open + 1;
    loop {
        if !matches!(at(number)?.token, Token::Word(_)) {
            return None;
        }
        match &at(number + 1)?.token {
            Token::RParen => return Some(number + 1),
            token if token == between => number += 2,
            _ => return None,
        }
    }
}
