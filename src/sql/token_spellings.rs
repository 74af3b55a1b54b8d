//! Spellings that sqlparser does not read, put otherwise before it does.
//!
//! | PostgreSQL                    | as it is read             |
//! |-------------------------------|---------------------------|
//! | `ORDER BY a USING >`          | `ORDER BY a DESC`         |
//! | `trim(TRAILING FROM a)`       | `trim(TRAILING ' ' FROM a)` |
//! | `trim(FROM a)`                | `trim(a)`                 |
//! | `CHECK (a > 0) NO INHERIT`    | `CHECK (a > 0)`: no table inherits from another |
//! | `WITH (toast.vacuum_truncate = on)` | `WITH ("toast.vacuum_truncate" = on)` |

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sql::dialect::{solid, word};

/// The tokens with those spellings.
pub fn settle(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_meant = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) => {
            ["USING", "TRIM", "INHERIT", "TOAST"].iter().any(|known| word.value.eq_ignore_ascii_case(known))
        }
        _ => false,
    };
    if !tokens.iter().any(is_meant) {
        return tokens;
    }
    let places = solid(&tokens);
    let first = places.first().map(|&at| word(&tokens[at])).unwrap_or_default();
    // From the last to the first, so that places before a change stay right.
    for (number, &at) in places.iter().enumerate().rev() {
        let next = |distance: usize| {
            let &at = places.get(number + distance)?;
            Some((at, tokens.get(at)?.clone()))
        };
        let is = |found: &Option<(usize, TokenWithSpan)>, expected: &str| {
            found.as_ref().is_some_and(|(_, token)| word(token) == expected)
        };
        match word(&tokens[at]).as_str() {
            "USING" => {
                let Some((operator, token)) = next(1) else { continue };
                let direction = match token.token {
                    Token::Lt => "ASC",
                    Token::Gt => "DESC",
                    _ => continue,
                };
                tokens[operator].token = Token::make_word(direction, None);
                tokens.remove(at);
            }
            "TRIM" if next(1).is_some_and(|(_, token)| token.token == Token::LParen) => {
                let (second, third) = (next(2), next(3));
                let side = ["LEADING", "TRAILING", "BOTH"].iter().any(|side| is(&second, side));
                match (second, third) {
                    (Some((from, token)), _) if word(&token) == "FROM" => drop(tokens.remove(from)),
                    (_, Some((from, token))) if side && word(&token) == "FROM" => {
                        let blank = Token::SingleQuotedString(" ".to_owned());
                        tokens.insert(from, TokenWithSpan { token: blank, span: token.span });
                    }
                    _ => {}
                }
            }
            "TOAST" if next(1).is_some_and(|(_, token)| token.token == Token::Period) => {
                let name = next(2).map(|(_, token)| word(&token).to_lowercase()).unwrap_or_default();
                let kinds = ["autovacuum_", "vacuum_", "log_autovacuum_"];
                let of_table = ["CREATE", "ALTER"].contains(&first.as_str());
                if of_table && kinds.iter().any(|kind| name.starts_with(kind)) {
                    tokens[at].token = Token::make_word(&format!("toast.{name}"), Some('"'));
                    tokens.drain(at + 1..=places[number + 2]);
                }
            }
            "NO" if is(&next(1), "INHERIT") && closes_check(&tokens, &places[..number]) => {
                if let Some((inherit, _)) = next(1) {
                    tokens.remove(inherit);
                    tokens.remove(at);
                }
            }
            _ => {}
        }
    }
    tokens
}

/// Whether the last of these places closes the parenthesis of a CHECK.
fn closes_check(tokens: &[TokenWithSpan], places: &[usize]) -> bool {
    let mut open = 0;
    for (number, &at) in places.iter().enumerate().rev() {
        match tokens[at].token {
            Token::RParen => open += 1,
            Token::LParen => open -= 1,
            _ if open == 0 => return false,
            _ => continue,
        }
        if open == 0 {
            return number > 0 && word(&tokens[places[number - 1]]) == "CHECK";
        }
    }
    false
}
