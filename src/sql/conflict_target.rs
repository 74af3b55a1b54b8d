//! ON CONFLICT's target, where it is more than columns.
//!
//! sqlparser reads `ON CONFLICT (a, b)` only. A target with expressions or a WHERE becomes one quoted name before it is
//! parsed, which holds the target's own text behind a zero byte, as no name can:
//!
//! ```text
//!   ON CONFLICT (lower(email)) WHERE gone IS NULL DO ...   ->   ON CONFLICT ("\0(lower(email)) WHERE gone IS NULL") DO ...
//! ```

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::source::Source;
use crate::sql::words::{Fault, Parsed, Words, is_word};

const MARK: char = '\0';

/// What a target names: columns and expressions, and WHERE.
pub struct Target {
    pub subjects: Vec<Subject>,
    pub predicate: Option<Expr>,
}

/// A column or an expression, and the operator class it is asked for by.
pub struct Subject {
    pub expr: Expr,
    pub opclass: Option<String>,
}

/// The tokens with every target that sqlparser does not read as one name.
pub fn wrap(source: &Source, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is_word(&token.token, "CONFLICT")) {
        return tokens;
    }
    let mut wrapped = Vec::with_capacity(tokens.len());
    let mut done = 0;
    for (from, to) in targets(&tokens) {
        wrapped.extend_from_slice(&tokens[done..from]);
        let span = Span::new(tokens[from].span.start, tokens[to].span.end);
        let name = Token::make_word(&format!("{MARK}{}", source.between(span)), Some('"'));
        wrapped.extend([Token::LParen, name, Token::RParen].map(|token| TokenWithSpan { token, span }));
        done = to + 1;
    }
    wrapped.extend_from_slice(&tokens[done..]);
    wrapped
}

/// The targets that have to be wrapped: from the parenthesis to the token before DO.
fn targets(tokens: &[TokenWithSpan]) -> Vec<(usize, usize)> {
    let solid = dialect::solid(tokens);
    let token = |place: usize| solid.get(place).map(|&at| &tokens[at].token);
    let is = |place: usize, word: &str| token(place).is_some_and(|token| is_word(token, word));
    let mut targets = Vec::new();
    let mut place = 0;
    while place < solid.len() {
        let open = place + 2;
        if !(is(place, "ON") && is(place + 1, "CONFLICT") && token(open) == Some(&Token::LParen)) {
            place += 1;
            continue;
        }
        // Where brackets or DO are missing, the statement is refused as it is.
        let Some(close) = closing(&solid, tokens, open) else { break };
        place = close + 1;
        // `a, b`, and no `a text_ops`.
        let is_plain = (open + 1..close).enumerate().all(|(place, at)| match token(at) {
            Some(Token::Word(_)) => place % 2 == 0,
            Some(Token::Comma) => place % 2 == 1,
            _ => false,
        });
        let has_condition = is(close + 1, "WHERE");
        if is_plain && !has_condition {
            continue;
        }
        if has_condition {
            let is_do = |at: &usize| is(*at, "DO") && (is(*at + 1, "UPDATE") || is(*at + 1, "NOTHING"));
            let Some(action) = (close + 2..solid.len()).find(is_do) else { break };
            place = action;
        }
        targets.push((solid[open], solid[place - 1]));
    }
    targets
}

/// The place of the parenthesis that closes the one at `open`.
fn closing(solid: &[usize], tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    (open..solid.len()).find(|&place| {
        match tokens[solid[place]].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// The target behind a name that [`wrap`] made.
pub fn unwrap(name: &Ident) -> Result<Option<Target>> {
    let Some(text) = name.value.strip_prefix(MARK) else { return Ok(None) };
    let source = Source::of(text);
    let mut parser = dialect::parser_of(&source)?;
    let mut words = Words::of_piece(&mut parser, &source);
    match read(&mut words) {
        Ok(target) => Ok(Some(target)),
        Err(Fault::Refused(error)) => Err(error),
        Err(Fault::Syntax(_)) => Err(dialect::error_at(&source, &parser.peek_token())),
    }
}

fn read(words: &mut Words) -> Parsed<Target> {
    let subjects = words.parenthesised(subject)?;
    let predicate = if words.accept("WHERE") { Some(words.expression()?) } else { None };
    match words.at_end() {
        true => Ok(Target { subjects, predicate }),
        false => words.unexpected("DO"),
    }
}

fn subject(words: &mut Words) -> Parsed<Subject> {
    let expr = words.expression()?;
    if words.accept("ASC") || words.accept("DESC") {
        let message = "ASC/DESC is not allowed in ON CONFLICT clause";
        return Err(Fault::Refused(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)));
    }
    let is_all = words.at_token(&Token::Comma) || words.at_token(&Token::RParen);
    let opclass = if is_all { None } else { Some(words.identifier()?) };
    Ok(Subject { expr, opclass })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_that_are_more_than_columns_are_one_name() {
        let sql = "INSERT INTO t VALUES (1) ON CONFLICT (lower(email), b) WHERE gone IS NULL DO NOTHING";
        let parsed = dialect::parse(sql).expect("parses");
        let crate::sql::statement::Ast::Insert(insert, _) = &parsed[0].ast else { panic!("no INSERT") };
        let shown = format!("{:?}", insert.on);
        assert!(shown.contains("\\0(lower(email), b) WHERE gone IS NULL"), "{shown}");
        assert!(dialect::parse("INSERT INTO t VALUES (1) ON CONFLICT (a, \"B\") DO NOTHING").is_ok());
        assert!(dialect::parse("INSERT INTO t VALUES (1) ON CONFLICT (lower(a) DO NOTHING").is_err());
    }
}
