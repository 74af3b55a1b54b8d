//! Reading CREATE INDEX.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::Error;
use crate::sql::ddl_words::collation;
use crate::sql::statement::*;
use crate::sql::words::{Parsed, Words, fold};

/// From UNIQUE or INDEX on.
pub fn create_index(w: &mut Words) -> Parsed<Ast> {
    let unique = w.accept("UNIQUE");
    w.expect("INDEX")?;
    let concurrently = w.accept("CONCURRENTLY");
    let if_not_exists = w.accept("IF NOT EXISTS");
    let name = if w.at("ON") { None } else { Some(w.identifier()?) };
    w.expect("ON")?;
    let only = w.accept("ONLY");
    let table = w.name()?;
    let method = if w.accept("USING") { w.identifier()? } else { "btree".to_string() };
    let columns = w.parenthesised(index_column)?;
    let included = if w.accept("INCLUDE") { w.parenthesised(Words::identifier)? } else { Vec::new() };
    let nulls_equal = w.accept("NULLS NOT DISTINCT");
    w.accept("NULLS DISTINCT");
    let options = if w.accept("WITH") { w.parenthesised(storage_option)? } else { Vec::new() };
    if w.accept("TABLESPACE") {
        default_tablespace(w)?;
    }
    let predicate = if w.accept("WHERE") { Some(w.expression()?) } else { None };
    let index = CreateIndex {
        name,
        table,
        only,
        unique,
        nulls_equal: nulls_equal && unique,
        concurrently,
        if_not_exists,
        method,
        columns,
        included,
        options,
        predicate,
    };
    Ok(Ast::CreateIndex(Box::new(index)))
}

fn default_tablespace(w: &mut Words) -> Parsed<()> {
    match w.identifier()?.as_str() {
        "pg_default" => Ok(()),
        _ => Err(Error::unsupported("a tablespace").into()),
    }
}

/// `name = value` of WITH (...), value as text.
fn storage_option(w: &mut Words) -> Parsed<(String, String)> {
    let name = w.identifier()?.to_lowercase();
    if !w.accept_token(&Token::Eq) {
        return Ok((name, "true".into()));
    }
    let sign = if w.accept_token(&Token::Minus) { "-" } else { "" };
    let value = match w.peek().clone() {
        Token::Number(text, _) => text,
        Token::Word(word) => word.value,
        Token::SingleQuotedString(text) => text,
        _ => return w.unexpected("a value"),
    };
    w.advance();
    Ok((name, format!("{sign}{value}")))
}

fn index_column(w: &mut Words) -> Parsed<IndexColumn> {
    let subject = if *w.peek() == Token::LParen || w.parser.peek_nth_token_ref(1).token == Token::LParen {
        index_expression(w.parser.parse_prefix()?)
    } else {
        IndexSubject::Column(w.identifier()?)
    };
    if w.accept("COLLATE") {
        collation(&w.name()?.name)?;
    }
    let ordering = |w: &Words| w.at("ASC") || w.at("DESC") || w.at("NULLS");
    let opclass = match w.peek() {
        Token::Word(_) if !ordering(w) => Some(w.name()?.name),
        _ => None,
    };
    let descending = either(w, "DESC", "ASC");
    let nulls_first = either(w, "NULLS FIRST", "NULLS LAST");
    Ok(IndexColumn { subject, opclass, descending, nulls_first })
}

/// Whether the one stands there, or the other.
fn either(w: &mut Words, one: &str, other: &str) -> Option<bool> {
    if w.accept(one) {
        return Some(true);
    }
    w.accept(other).then_some(false)
}

/// A column in parentheses is the column.
fn index_expression(expression: ast::Expr) -> IndexSubject {
    match expression {
        ast::Expr::Nested(inner) => index_expression(*inner),
        ast::Expr::Identifier(name) => IndexSubject::Column(fold(&name)),
        other => IndexSubject::Expression(Box::new(other)),
    }
}
