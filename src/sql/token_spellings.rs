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
    let words = ["USING", "TRIM", "INHERIT", "TOAST"];
    if !tokens.iter().any(|token| words.contains(&word(token).as_str())) {
        return tokens;
    }
    let places = solid(&tokens);
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
                if kinds.iter().any(|kind| name.starts_with(kind)) {
                    tokens[at].token = Token::make_word(&format!("toast.{name}"), Some('"'));
                    tokens.drain(at + 1..=places[number + 2]);
                }
            }
            "NO" if is(&next(1), "INHERIT")
                && number > 0
                && tokens[places[number - 1]].token == Token::RParen =>
            {
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
