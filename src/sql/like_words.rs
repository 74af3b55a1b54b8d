//! LIKE clauses of CREATE TABLE, which sqlparser does not read.
//!
//! They are taken out of the tokens before it sees them, and a column of a name that nobody gives stands in their place.

use std::collections::VecDeque;

use datafusion::sql::sqlparser::ast::ColumnDef;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use crate::error::Error;
use crate::sql::statement::Name;
use crate::sql::words::{Parsed, Words};

/// The column's name: no tokenizer makes it of any text, for PostgreSQL's names have no control characters in practice.
const PLACE: &str = "\u{1}like";

/// `LIKE source [INCLUDING ...]` in CREATE TABLE: what is copied besides names, types and NOT NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikeClause {
    pub source: Name,
    pub comments: bool,
    pub constraints: bool,
    pub defaults: bool,
    pub generated: bool,
    pub identity: bool,
    pub indexes: bool,
    pub storage: bool,
    pub compression: bool,
}

/// Takes the clauses out of the list of a CREATE TABLE.
pub fn take(tokens: &mut Vec<TokenWithSpan>) -> VecDeque<Vec<TokenWithSpan>> {
    let mut taken = VecDeque::new();
    let is_word = |token: &Token, text: &str| matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text));
    let significant = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let second = tokens.iter().filter(significant).nth(1).map(|token| is_word(&token.token, "TABLE"));
    let Some(open) = tokens.iter().position(|token| token.token == Token::LParen) else { return taken };
    if second != Some(true) {
        return taken;
    }
    let (mut at, mut depth, mut starts) = (open, 0usize, false);
    while at < tokens.len() {
        match &tokens[at].token {
            Token::Whitespace(_) => {}
            Token::LParen => {
                depth += 1;
                starts = depth == 1;
            }
            Token::RParen if depth == 1 => return taken,
            Token::RParen => depth -= 1,
            Token::Comma => starts = depth == 1,
            token if starts && is_word(token, "LIKE") => {
                starts = false;
                let ends = |token: &TokenWithSpan| matches!(token.token, Token::Comma | Token::RParen);
                let Some(length) = tokens[at..].iter().position(ends) else { return taken };
                let span = tokens[at].span;
                let word = |value: &str, quote_style| {
                    let keyword = datafusion::sql::sqlparser::keywords::Keyword::NoKeyword;
                    Token::Word(Word { value: value.to_owned(), quote_style, keyword })
                };
                let column = [word(PLACE, Some('"')), word("int4", None)];
                let column = column.into_iter().map(|token| TokenWithSpan { token, span });
                taken.push_back(tokens.splice(at..at + length, column).skip(1).collect());
                at += 1;
            }
            _ => starts = false,
        }
        at += 1;
    }
    taken
}

/// Whether a column stands in the place of a clause.
pub fn stands_for_clause(column: &ColumnDef) -> bool {
    column.name.value == PLACE
}

/// The clauses that were taken, read.
pub fn clauses(w: &mut Words) -> Parsed<Vec<LikeClause>> {
    let mut clauses = Vec::new();
    for tokens in std::mem::take(&mut w.likes) {
        let mut parser = crate::sql::dialect::parser(tokens);
        let mut words = Words::of_piece(&mut parser, w.source);
        clauses.push(clause(&mut words)?);
        if !words.at_end() {
            return words.unexpected("INCLUDING or EXCLUDING");
        }
    }
    Ok(clauses)
}

/// After LIKE.
fn clause(w: &mut Words) -> Parsed<LikeClause> {
    let mut clause = LikeClause {
        source: w.name()?,
        comments: false,
        constraints: false,
        defaults: false,
        generated: false,
        identity: false,
        indexes: false,
        storage: false,
        compression: false,
    };
    loop {
        let including = w.accept("INCLUDING");
        if !including && !w.accept("EXCLUDING") {
            return Ok(clause);
        }
        let Some(what) = w.word() else { return w.unexpected("what to copy") };
        match what.as_str() {
            "COMMENTS" => clause.comments = including,
            "CONSTRAINTS" => clause.constraints = including,
            "DEFAULTS" => clause.defaults = including,
            "GENERATED" => clause.generated = including,
            "IDENTITY" => clause.identity = including,
            "INDEXES" => clause.indexes = including,
            "STORAGE" => clause.storage = including,
            "COMPRESSION" => clause.compression = including,
            // What CREATE STATISTICS made; there is nothing of the kind to copy.
            "STATISTICS" => {}
            "ALL" => {
                let source = clause.source;
                clause = LikeClause {
                    source,
                    comments: including,
                    constraints: including,
                    defaults: including,
                    generated: including,
                    identity: including,
                    indexes: including,
                    storage: including,
                    compression: including,
                };
            }
            other => return Err(Error::unsupported(format!("LIKE ... INCLUDING {other}")).into()),
        }
    }
}
