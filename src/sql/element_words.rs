//! `SET tags[2] = 'x'`, `SET doc['a']['b'] = '1'`: subscripts of what is assigned to, which sqlparser does not read.
//!
//! The brackets become a last part of the name, quoted by a bracket, which nobody can write: `tags."[2]"`.
//! [`subscripts`] reads them back when the assignment is planned.

use datafusion::sql::sqlparser::ast::{AccessExpr, AssignmentTarget, Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::error::{Error, Result};
use crate::sql::dialect::parse_expression;
use crate::sql::source::Source;

/// The quote of a name that is subscripts.
const QUOTE: char = '[';

/// Makes names of the subscripts in SET's lists.
pub fn take(source: &Source, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is_word(token, &["SET"]))
        || !tokens.iter().any(|t| t.token == Token::LBracket)
    {
        return tokens;
    }
    // Per open parenthesis whether it stands in a list of assignments.
    let mut lists = vec![false];
    let mut taken: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let open = lists.len();
        let list = lists.last_mut().expect("one more than parentheses are open");
        match &token.token {
            Token::LParen => lists.push(false),
            Token::RParen if open > 1 => drop(lists.pop()),
            Token::Word(_) if is_word(token, &["SET"]) => *list = true,
            Token::Word(_) if is_word(token, ENDS) => *list = false,
            Token::LBracket if *list && is_target(&taken) => {
                if let Some(last) = last_bracket(&tokens, at) {
                    let span = Span::new(token.span.start, tokens[last].span.end);
                    let name = Token::make_word(source.between(span), Some(QUOTE));
                    taken.extend([Token::Period, name].map(|token| TokenWithSpan { token, span }));
                    at = last + 1;
                    continue;
                }
            }
            _ => {}
        }
        taken.push(token.clone());
        at += 1;
    }
    taken
}

/// What ends a list of assignments.
const ENDS: &[&str] = &["FROM", "WHERE", "RETURNING", "SELECT", "WHEN", "ON", "VALUES"];

fn is_word(token: &TokenWithSpan, words: &[&str]) -> bool {
    let Token::Word(word) = &token.token else { return false };
    word.quote_style.is_none() && words.iter().any(|known| word.value.eq_ignore_ascii_case(known))
}

/// Whether a name stands at the end, behind SET or a comma.
fn is_target(before: &[TokenWithSpan]) -> bool {
    let mut solid = before.iter().rev().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let is_name = solid.next().is_some_and(|token| matches!(token.token, Token::Word(_)));
    is_name && solid.next().is_some_and(|token| token.token == Token::Comma || is_word(token, &["SET"]))
}

/// The bracket that closes the subscripts beginning at a place, if `=` follows.
fn last_bracket(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    let (mut depth, mut last) = (0usize, None);
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.token {
            Token::LBracket | Token::LParen => depth += 1,
            Token::RBracket | Token::RParen => {
                depth = depth.checked_sub(1)?;
                last = (depth == 0).then_some(at);
            }
            Token::Whitespace(_) => {}
            Token::Eq if depth == 0 => return last,
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The subscripts of an assignment's target and the name before them.
pub fn subscripts(target: &AssignmentTarget) -> Result<Option<(Ident, Vec<AccessExpr>)>> {
    let AssignmentTarget::ColumnName(name) = target else { return Ok(None) };
    let [.., column, last] = name.0.as_slice() else { return Ok(None) };
    let (Some(column), Some(last)) = (column.as_ident(), last.as_ident()) else { return Ok(None) };
    if last.quote_style != Some(QUOTE) {
        return Ok(None);
    }
    match parse_expression(&format!("x{}", last.value))? {
        Expr::CompoundFieldAccess { access_chain, .. } => Ok(Some((column.clone(), access_chain))),
        _ => Err(Error::internal(format!("{} are no subscripts", last.value))),
    }
}
