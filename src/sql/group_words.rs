//! GROUP BY as sqlparser does not read it, put otherwise before it does:
//!
//! ```text
//!   GROUP BY ALL a, ROLLUP (b)                           GROUP BY a, ROLLUP (b)
//!   GROUPING SETS ((a), GROUPING SETS ((b), (c)))        GROUPING SETS ((a), (b), (c))
//! ```
//!
//! `GROUP BY ALL` with nothing behind it is left as it is.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sql::dialect::solid;
use crate::sql::words::is_word;

/// What may stand behind the keys.
const BEHIND: &[&str] =
    &["HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "FOR", "UNION", "EXCEPT", "INTERSECT"];

/// The tokens with those spellings.
pub fn take(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is_word(&token.token, "GROUP")) {
        return tokens;
    }
    let mut kept = vec![true; tokens.len()];
    for place in needless(&tokens) {
        kept[place] = false;
    }
    tokens.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(token, _)| token).collect()
}

/// The places of what is left out.
fn needless(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let places = solid(tokens);
    let token = |place: usize| places.get(place).map(|at| &tokens[*at].token);
    let is = |place: usize, word: &str| token(place).is_some_and(|token| is_word(token, word));
    let mut needless = Vec::new();
    // For each bracket: whether it is around grouping sets, and whether those are within others.
    let mut open: Vec<(bool, bool)> = Vec::new();
    for (place, at) in places.iter().enumerate() {
        if is(place, "GROUP") && is(place + 1, "BY") && is(place + 2, "ALL") {
            let has_keys = match token(place + 3) {
                Some(Token::LParen | Token::Number(..)) => true,
                Some(word @ Token::Word(_)) => !BEHIND.iter().any(|behind| is_word(word, behind)),
                _ => false,
            };
            needless.extend(has_keys.then(|| places[place + 2]));
        }
        match tokens[*at].token {
            Token::LParen => {
                let is_around_sets = place >= 2 && is(place - 2, "GROUPING") && is(place - 1, "SETS");
                let is_within = is_around_sets && open.last().is_some_and(|(sets, _)| *sets);
                open.push((is_around_sets, is_within));
                if is_within {
                    needless.extend([places[place - 2], places[place - 1], *at]);
                }
            }
            Token::RParen => {
                if let Some((_, true)) = open.pop() {
                    needless.push(*at);
                }
            }
            _ => {}
        }
    }
    needless
}
