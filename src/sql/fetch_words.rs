//! FETCH FIRST before OFFSET, which sqlparser reads the other way round only:
//!
//! ```text
//!   FETCH FIRST 2 ROWS ONLY OFFSET 1      OFFSET 1 FETCH FIRST 2 ROWS ONLY
//! ```

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sql::dialect::solid;
use crate::sql::words::is_word;

/// What may stand behind the two.
const BEHIND: &[&str] = &["FOR", "UNION", "EXCEPT", "INTERSECT", "FETCH", "LIMIT", "ON", "RETURNING"];

/// The tokens with such clauses in the other order.
pub fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| is_word(&token.token, "FETCH")) {
        return tokens;
    }
    let places = solid(&tokens);
    let mut place = 0;
    while let Some((fetch, offset, end)) = next(&tokens, &places, place) {
        let last = places.get(end).copied().unwrap_or(tokens.len());
        tokens[places[fetch]..last].rotate_left(places[offset] - places[fetch]);
        // Blanks between the tokens may have moved; what is behind has not.
        place = end;
    }
    tokens
}

/// The places of the next FETCH that has an OFFSET behind it, of that, and of what follows.
fn next(tokens: &[TokenWithSpan], places: &[usize], from: usize) -> Option<(usize, usize, usize)> {
    let is = |place: usize, words: &[&str]| {
        places.get(place).is_some_and(|at| words.iter().any(|word| is_word(&tokens[*at].token, word)))
    };
    for fetch in from..places.len() {
        if !(is(fetch, &["FETCH"]) && is(fetch + 1, &["FIRST", "NEXT"])) {
            continue;
        }
        let rows = end_of(tokens, places, fetch + 2, &["ROW", "ROWS"]);
        let is_only = is(rows + 1, &["ONLY"]);
        let offset = if is_only { rows + 2 } else { rows + 3 };
        if (is_only || is(rows + 2, &["TIES"])) && is(offset, &["OFFSET"]) {
            return Some((fetch, offset, end_of(tokens, places, offset + 1, BEHIND)));
        }
    }
    None
}

/// The place of one of these words, or of what ends the query.
fn end_of(tokens: &[TokenWithSpan], places: &[usize], from: usize, words: &[&str]) -> usize {
    let mut depth = 0usize;
    for place in from..places.len() {
        match &tokens[places[place]].token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return place,
            Token::RParen => depth -= 1,
            Token::SemiColon if depth == 0 => return place,
            token if depth == 0 && words.iter().any(|word| is_word(token, word)) => return place,
            _ => {}
        }
    }
    places.len()
}
