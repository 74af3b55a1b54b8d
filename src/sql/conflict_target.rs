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

use crate::error::Result;
use crate::sql::dialect;
use crate::sql::words::{Fault, Parsed, Words};

const MARK: char = '\0';

/// What a target names: columns and expressions, and WHERE.
pub struct Target {
    pub subjects: Vec<Expr>,
    pub predicate: Option<Expr>,
}

/// The tokens with every target that sqlparser does not read as one name.
pub fn wrap(source: &str, mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    while let Some((from, to)) = next_target(&tokens) {
        let (start, end) = (tokens[from].span.start, tokens[to].span.end);
        let span = Span::new(start, end);
        let text = dialect::between(source, span);
        let name = Token::make_word(&format!("{MARK}{text}"), Some('"'));
        let wrapped = [Token::LParen, name, Token::RParen].map(|token| TokenWithSpan { token, span });
        tokens.splice(from..=to, wrapped);
    }
    tokens
}

/// The first target that has to be wrapped: from its parenthesis to the token before DO.
fn next_target(tokens: &[TokenWithSpan]) -> Option<(usize, usize)> {
    let solid = dialect::solid(tokens);
    let is = |place: usize, word: &str| match solid.get(place).map(|&at| &tokens[at].token) {
        Some(Token::Word(found)) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
        _ => false,
    };
    let token = |place: usize| solid.get(place).map(|&at| &tokens[at].token);
    for place in (0..solid.len()).filter(|&place| is(place, "ON") && is(place + 1, "CONFLICT")) {
        if token(place + 2) != Some(&Token::LParen) {
            continue;
        }
        let close = closing(&solid, tokens, place + 2)?;
        let plain = |at: usize| matches!(token(at), Some(Token::Word(_) | Token::Comma));
        if (place + 3..close).all(plain) && !is(close + 1, "WHERE") {
            continue;
        }
        let mut last = close;
        if is(close + 1, "WHERE") {
            let is_do = |at: &usize| is(*at, "DO") && (is(*at + 1, "UPDATE") || is(*at + 1, "NOTHING"));
            last = (close + 2..solid.len()).find(is_do)? - 1;
        }
        return Some((solid[place + 2], solid[last]));
    }
    None
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
    let mut parser = dialect::parser_of(text)?;
    let mut words = Words::of_piece(&mut parser, text);
    match read(&mut words) {
        Ok(target) => Ok(Some(target)),
        Err(Fault::Refused(error)) => Err(error),
        Err(Fault::Syntax(_)) => Err(dialect::error_at(text, &parser.peek_token())),
    }
}

fn read(words: &mut Words) -> Parsed<Target> {
    let subjects = words.parenthesised(Words::expression)?;
    let predicate = if words.accept("WHERE") { Some(words.expression()?) } else { None };
    match words.at_end() {
        true => Ok(Target { subjects, predicate }),
        false => words.unexpected("DO"),
    }
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
