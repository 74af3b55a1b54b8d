//! Spellings that sqlparser does not read, put otherwise before it does.
//!
//! | PostgreSQL                    | as it is read             |
//! |-------------------------------|---------------------------|
//! | `ORDER BY a USING >`          | `ORDER BY a DESC`         |
//! | `trim(TRAILING FROM a)`       | `trim(TRAILING ' ' FROM a)` |
//! | `trim(FROM a)`                | `trim(a)`                 |
//! | `CHECK (a > 0) NO INHERIT`    | `CHECK (a > 0 OR HITHER_NO_INHERIT)` |
//! | `CHECK (a > 0) NOT VALID`     | `CHECK (a > 0)`, in CREATE TABLE |
//! | `UNIQUE (a) INCLUDE (b)`      | `UNIQUE (a, INCLUDED(b))`, also of a primary key |
//! | `REFERENCES t (a) ON DELETE SET NULL (b)` | `REFERENCES t (a, HITHER_SET_ON_DELETE, b) ON DELETE SET NULL` |
//! | `FETCH FIRST (1 + 1) ROWS ONLY` | `LIMIT (1 + 1)`         |
//! | `WITH (toast.vacuum_truncate = on)` | `WITH ("toast.vacuum_truncate" = on)` |
//! | `INTERVAL (0) '1.5'`         | `'1.5'::INTERVAL (0)`     |
//! | `ROLLUP ((a + b) * 2, c)`     | `ROLLUP (((a + b) * 2), c)`, as of CUBE and GROUPING SETS |

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sql::dialect::{solid, word};

/// What the columns of INCLUDE are the arguments of.
pub const INCLUDED: &str = "hither_included";

/// The last alternative of the condition of a CHECK with NO INHERIT: no other operator binds less.
pub const NO_INHERIT: &str = "hither_no_inherit";

/// Stands before the columns that ON DELETE SET NULL or SET DEFAULT names, behind those that are referred to.
pub const SET_ON_DELETE: &str = "hither_set_on_delete";
/// The same of ON UPDATE, which cannot name any.
pub const SET_ON_UPDATE: &str = "hither_set_on_update";

/// Words of which one is in each of them.
const MEANT: &[&str] = &[
    "USING",
    "TRIM",
    "INHERIT",
    "VALID",
    "TOAST",
    "INCLUDE",
    "REFERENCES",
    "FETCH",
    "ROLLUP",
    "CUBE",
    "SETS",
    "INTERVAL",
];

const INTERVAL_FIELDS: &[&str] = &["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"];

/// The tokens with those spellings.
pub fn settle(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_meant = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) => MEANT.iter().any(|known| word.value.eq_ignore_ascii_case(known)),
        _ => false,
    };
    if !tokens.iter().any(is_meant) {
        return tokens;
    }
    let places = solid(&tokens);
    let first = places.first().map(|&at| word(&tokens[at])).unwrap_or_default();
    let of_table = first == "ALTER"
        || first == "CREATE" && places.iter().take(4).any(|&at| word(&tokens[at]) == "TABLE");
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
                if of_table && kinds.iter().any(|kind| name.starts_with(kind)) {
                    tokens[at].token = Token::make_word(&format!("toast.{name}"), Some('"'));
                    tokens.drain(at + 1..=places[number + 2]);
                }
            }
            "NO" if of_table && is(&next(1), "INHERIT") && closes(&tokens, &places[..number], &["CHECK"]) => {
                if let Some((inherit, _)) = next(1) {
                    tokens[places[number - 1]].token = Token::make_keyword("OR");
                    tokens[at].token = Token::make_word(NO_INHERIT, None);
                    tokens[inherit].token = Token::RParen;
                }
            }
            // What a new table has holds for all of its rows.
            "NOT"
                if is(&next(1), "VALID")
                    && of_table
                    && first == "CREATE"
                    && closes(&tokens, &places[..number], &["CHECK"])
                    && is_of_table(&tokens, &places[..number]) =>
            {
                if let Some((valid, _)) = next(1) {
                    tokens.remove(valid);
                    tokens.remove(at);
                }
            }
            "INCLUDE" if of_table && closes(&tokens, &places[..number], &["UNIQUE", "DISTINCT", "KEY"]) => {
                include_in_key(&mut tokens, places[number - 1], at);
            }
            "REFERENCES" if of_table => columns_to_set(&mut tokens, at),
            found @ ("ROLLUP" | "CUBE" | "SETS")
                if next(1).is_some_and(|(_, token)| token.token == Token::LParen)
                    && is_grouping(found, number.checked_sub(1).map(|before| &tokens[places[before]])) =>
            {
                items_in_parentheses(&mut tokens, at);
            }
            "INTERVAL" => {
                let following = [next(1), next(2), next(3), next(4)].map(|found| Some(found?.1.token));
                let [
                    Some(Token::LParen),
                    Some(Token::Number(..)),
                    Some(Token::RParen),
                    Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_)),
                ] = following
                else {
                    continue;
                };
                // With fields behind it, it is none.
                if next(5).is_some_and(|(_, token)| INTERVAL_FIELDS.contains(&word(&token).as_str())) {
                    continue;
                }
                let literal = tokens.remove(places[number + 4]);
                let cast = TokenWithSpan { token: Token::DoubleColon, span: literal.span };
                tokens.splice(at..at, [literal, cast]);
            }
            "FETCH" if is(&next(1), "FIRST") || is(&next(1), "NEXT") => {
                limit_in_parentheses(&mut tokens, at);
            }
            _ => {}
        }
    }
    tokens
}

/// Where tokens that are no white space are, from one of them on.
fn solid_from(tokens: &[TokenWithSpan], at: usize) -> Vec<usize> {
    solid(&tokens[at..]).into_iter().map(|place| at + place).collect()
}

/// `(a) INCLUDE (b)`, of which the end of the first parenthesis and the word are at these places.
fn include_in_key(tokens: &mut Vec<TokenWithSpan>, close: usize, include: usize) {
    let places = solid_from(tokens, include);
    let is_list = places.get(1).is_some_and(|&at| tokens[at].token == Token::LParen);
    let Some(end) = places.into_iter().find(|&at| tokens[at].token == Token::RParen) else { return };
    if is_list {
        tokens.insert(end, tokens[end].clone());
        tokens[include].token = Token::make_word(INCLUDED, None);
        tokens[close].token = Token::Comma;
    }
}

/// `REFERENCES t [(a)] ... ON DELETE SET NULL (b)`, of which the first word is at this place.
fn columns_to_set(tokens: &mut Vec<TokenWithSpan>, references: usize) {
    let places = solid_from(tokens, references);
    let is = |number: usize, words: &[&str]| {
        places.get(number).is_some_and(|&at| words.contains(&word(&tokens[at]).as_str()))
    };
    let token = |number: usize| places.get(number).map(|&at| &tokens[at].token);
    let (mut name, mut depth) = (1, 0);
    while token(name + 1) == Some(&Token::Period) {
        name += 2;
    }
    let list = token(name + 1) == Some(&Token::LParen);
    let mut found = None;
    for number in name + 1..places.len() {
        match token(number) {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) if depth == 0 => break,
            Some(Token::RParen) => depth -= 1,
            Some(Token::Comma | Token::SemiColon) if depth == 0 => break,
            _ => {}
        }
        let sets = is(number, &["ON"]) && is(number + 2, &["SET"]) && is(number + 3, &["NULL", "DEFAULT"]);
        if depth == 0 && sets && token(number + 4) == Some(&Token::LParen) {
            found = Some(number);
            break;
        }
    }
    let Some(on) = found else { return };
    let Some(close) = (on + 4..places.len()).find(|&number| token(number) == Some(&Token::RParen)) else {
        return;
    };
    let marker = if is(on + 1, &["UPDATE"]) { SET_ON_UPDATE } else { SET_ON_DELETE };
    let span = tokens[places[on]].span;
    let added = |token| TokenWithSpan { token, span };
    let named: Vec<TokenWithSpan> = places[on + 5..close].iter().map(|&at| tokens[at].clone()).collect();
    let marker = added(Token::make_word(marker, None));
    // Behind the columns referred to, or as the only ones.
    let end = (name + 1..on).find(|&number| list && token(number) == Some(&Token::RParen));
    let (at, mut insert) = match end {
        Some(end) => (places[end], vec![added(Token::Comma), marker, added(Token::Comma)]),
        None => (places[name] + 1, vec![added(Token::LParen), marker, added(Token::Comma)]),
    };
    insert.extend(named);
    insert.extend(end.is_none().then(|| added(Token::RParen)));
    tokens.drain(places[on + 4]..=places[close]);
    tokens.splice(at..at, insert);
}

/// Whether such a word says how is grouped, and is no name: `CREATE INDEX ON sets ((a + b) DESC)`.
fn is_grouping(found: &str, before: Option<&TokenWithSpan>) -> bool {
    before.is_some_and(|before| match found {
        "SETS" => word(before) == "GROUPING",
        _ => word(before) == "BY" || matches!(before.token, Token::Comma | Token::LParen),
    })
}

/// Puts parentheses around what is grouped by and begins with one, which would be read as a list of its own.
fn items_in_parentheses(tokens: &mut Vec<TokenWithSpan>, word: usize) {
    let mut depth = 0_usize;
    // Where an item begins, and where the parenthesis that it begins with ends.
    let (mut start, mut closed) = (None, None);
    let mut last = word;
    let mut items = Vec::new();
    for at in solid_from(tokens, word).into_iter().skip(1) {
        let token = &tokens[at].token;
        let ends = depth == 1 && matches!(token, Token::Comma | Token::RParen);
        if ends {
            if let (Some(start), Some(closed)) = (start, closed)
                && closed != last
            {
                items.push((start, last));
            }
            (start, closed) = (None, None);
        } else if depth == 1 && start.is_none() {
            start = Some(at);
        }
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        let begins_with_one = start.is_some_and(|start| tokens[start].token == Token::LParen);
        if depth == 1 && *token == Token::RParen && begins_with_one && closed.is_none() {
            closed = Some(at);
        }
        last = at;
    }
    for (start, last) in items.into_iter().rev() {
        tokens.insert(last + 1, TokenWithSpan { token: Token::RParen, span: tokens[last].span });
        tokens.insert(start, TokenWithSpan { token: Token::LParen, span: tokens[start].span });
    }
}

/// `FETCH FIRST (expression) ROWS ONLY`. With TIES, it is a number or a parameter that needs no parentheses.
fn limit_in_parentheses(tokens: &mut Vec<TokenWithSpan>, fetch: usize) {
    let places = solid_from(tokens, fetch);
    let [_, first, open, ..] = *places else { return };
    if tokens[open].token != Token::LParen {
        return;
    }
    let mut depth = 0;
    let close = places.iter().position(|&at| {
        match tokens[at].token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => return false,
        }
        depth == 0
    });
    let Some(close) = close else { return };
    let word_at = |number: usize| places.get(number).map(|&at| word(&tokens[at])).unwrap_or_default();
    if !matches!(word_at(close + 1).as_str(), "ROW" | "ROWS") {
        return;
    }
    match word_at(close + 2).as_str() {
        "ONLY" => {
            tokens.drain(places[close + 1]..=places[close + 2]);
            tokens[fetch].token = Token::make_word("LIMIT", None);
            tokens.remove(first);
        }
        "WITH" if close == 4 => {
            tokens.remove(places[close]);
            tokens.remove(open);
        }
        _ => {}
    }
}

/// Whether the CHECK whose condition ends at the last of these places is a constraint of its own, and not of a column.
fn is_of_table(tokens: &[TokenWithSpan], places: &[usize]) -> bool {
    let Some(open) = opening(tokens, places) else { return false };
    // CHECK stands before the parenthesis.
    let before = |distance: usize| open.checked_sub(1 + distance).map(|number| &tokens[places[number]]);
    let named = before(2).is_some_and(|token| word(token) == "CONSTRAINT");
    let first = if named { before(3) } else { before(1) };
    first.is_some_and(|token| matches!(token.token, Token::Comma | Token::LParen))
}

/// Which of these places opens the parenthesis that the last of them closes.
fn opening(tokens: &[TokenWithSpan], places: &[usize]) -> Option<usize> {
    let mut depth = 0;
    let open = places.iter().rposition(|&at| {
        match tokens[at].token {
            Token::RParen => depth += 1,
            Token::LParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    (tokens[places[open]].token == Token::LParen).then_some(open)
}

/// Whether the last of these places closes a parenthesis behind one of these words.
fn closes(tokens: &[TokenWithSpan], places: &[usize], words: &[&str]) -> bool {
    let before = opening(tokens, places).and_then(|open| open.checked_sub(1));
    before.is_some_and(|before| words.contains(&word(&tokens[places[before]]).as_str()))
}
