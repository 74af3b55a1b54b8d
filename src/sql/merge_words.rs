//! What MERGE says and sqlparser's grammar does not know, spelt so that it does.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

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
}
