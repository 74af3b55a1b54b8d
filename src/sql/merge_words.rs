//! What MERGE says and sqlparser's grammar does not know, spelt so that it does.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sql::dialect::{solid, word};

/// The column under which DO NOTHING of MERGE goes through sqlparser's grammar, which does not know it.
pub const DO_NOTHING: &str = "do nothing";
/// The same for INSERT DEFAULT VALUES.
pub const DEFAULT_VALUES: &str = "default values";

/// `THEN DO NOTHING` becomes an assignment to a column that cannot be, and `INSERT DEFAULT VALUES` an insertion into one.
pub fn spell(tokens: &mut Vec<TokenWithSpan>, words: &[(usize, String)]) {
    let mut not = false;
    let mut spelt: Vec<(usize, usize, Vec<Token>)> = Vec::new();
    let name = |text: &str| Token::make_word(text, Some('"'));
    let insert = |column: &str| {
        let mut tokens = vec![Token::make_keyword("INSERT"), Token::LParen, name(column), Token::RParen];
        tokens.extend([
            Token::make_keyword("VALUES"),
            Token::LParen,
            Token::make_keyword("NULL"),
            Token::RParen,
        ]);
        tokens
    };
    for place in 0..words.len() {
        let next: Vec<&str> = words[place..].iter().take(4).map(|(_, word)| word.as_str()).collect();
        match next.as_slice() {
            ["WHEN", "MATCHED", ..] | ["MATCHED", "BY", "SOURCE", ..] => not = false,
            ["WHEN", "NOT", "MATCHED", ..] => not = true,
            ["THEN", "DO", "NOTHING", ..] => {
                let action = if not {
                    insert(DO_NOTHING)
                } else {
                    let set = [Token::make_keyword("UPDATE"), Token::make_keyword("SET"), name(DO_NOTHING)];
                    set.into_iter().chain([Token::Eq, Token::make_keyword("NULL")]).collect()
                };
                spelt.push((words[place + 1].0, words[place + 2].0, action));
            }
            ["THEN", "INSERT", "DEFAULT", "VALUES"] => {
                spelt.push((words[place + 1].0, words[place + 3].0, insert(DEFAULT_VALUES)));
            }
            _ => {}
        }
    }
    for (first, last, action) in spelt.into_iter().rev() {
        let span = tokens[first].span;
        tokens.splice(first..=last, action.into_iter().map(|token| TokenWithSpan { token, span }));
    }
    enclose_joins(tokens);
}

/// `USING a JOIN b ON ... ON ...` becomes `USING (a JOIN b ON ...) ON ...`: each JOIN has its condition, and the one behind
/// them is that of MERGE.
fn enclose_joins(tokens: &mut Vec<TokenWithSpan>) {
    let mut depth = 0_usize;
    let (mut merges, mut start) = (false, None);
    let (mut joins, mut open) = (0_usize, 0_usize);
    let mut without_condition = false;
    let mut found = Vec::new();
    for at in solid(tokens) {
        match &tokens[at].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 0 {
            continue;
        }
        match (word(&tokens[at]).as_str(), start) {
            ("MERGE", _) => merges = true,
            ("USING", None) if merges => start = Some(at + 1),
            ("CROSS" | "NATURAL", Some(_)) => without_condition = true,
            ("JOIN", Some(_)) => {
                joins += 1;
                open += usize::from(!std::mem::take(&mut without_condition));
            }
            ("USING", Some(_)) => open = open.saturating_sub(1),
            ("ON", Some(_)) if open > 0 => open -= 1,
            ("ON", Some(start_at)) => {
                if joins > 0 {
                    found.push((start_at, at));
                }
                (merges, start, joins) = (false, None, 0);
            }
            _ => {}
        }
    }
    for (start, end) in found.into_iter().rev() {
        let span = tokens[end].span;
        tokens.insert(end, TokenWithSpan { token: Token::RParen, span });
        let span = tokens[start].span;
        tokens.insert(start, TokenWithSpan { token: Token::LParen, span });
    }
}
