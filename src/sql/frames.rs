//! The offsets of window frames, in the few words that the planner reads there, and AT LOCAL.
//!
//! ```text
//!   ROWS 1 + 1 PRECEDING                     ROWS 2 PRECEDING
//!   RANGE '1 day'::interval PRECEDING        RANGE INTERVAL '1 day' PRECEDING
//! ```

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DataType, Expr, UnaryOperator, WindowFrameBound, WindowFrameUnits, WindowSpec,
    WindowType,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::framed;
use crate::sql::trees::{self, literal};

/// Takes EXCLUDE out of frames. What is left out is said by a mark in place of the last bound: see [`framed`].
fn mark_exclusions(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid = dialect::solid(&tokens);
    let word = |place: usize| solid.get(place).map(|&at| dialect::word(&tokens[at])).unwrap_or_default();
    let is = |place: usize, token: Token| solid.get(place).is_some_and(|&at| tokens[at].token == token);
    let mut edits = Vec::new();
    // The clause stands behind a bound of its frame, and ends the frame and the window.
    for place in (1..solid.len()).filter(|&place| word(place) == "EXCLUDE") {
        let (what, length) = match (word(place + 1).as_str(), word(place + 2).as_str()) {
            ("NO", "OTHERS") => (None, 3),
            ("CURRENT", "ROW") => (Some("CURRENT ROW"), 3),
            ("GROUP", _) => (Some("GROUP"), 2),
            ("TIES", _) => (Some("TIES"), 2),
            _ => continue,
        };
        let last = word(place - 1);
        if !is(place + length, Token::RParen) || !matches!(last.as_str(), "PRECEDING" | "FOLLOWING" | "ROW") {
            continue;
        }
        let gone = solid[place]..solid[place + length - 1] + 1;
        let Some(what) = what else {
            edits.push((gone, Vec::new()));
            continue;
        };
        let (bound, offset) = match (word(place.saturating_sub(2)).as_str(), last.as_str()) {
            ("CURRENT", "ROW") => ("CURRENT ROW", None),
            ("UNBOUNDED", "PRECEDING") => ("UNBOUNDED PRECEDING", None),
            ("UNBOUNDED", "FOLLOWING") => ("UNBOUNDED FOLLOWING", None),
            (_, "PRECEDING") => ("PRECEDING", Some(place - 1)),
            (_, "FOLLOWING") => ("FOLLOWING", Some(place - 1)),
            _ => continue,
        };
        let starts = |at: usize| {
            let (mut depth, mut at) = (0usize, at);
            while at > 0 {
                at -= 1;
                match &tokens[solid[at]].token {
                    Token::RParen => depth += 1,
                    Token::LParen if depth == 0 => return None,
                    Token::LParen => depth -= 1,
                    _ if depth == 0 => {
                        if matches!(word(at).as_str(), "AND" | "ROWS" | "RANGE" | "GROUPS") {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
            }
            None
        };
        let (begin, value) = match offset {
            None => (solid[place - 2], vec![Token::make_keyword("NULL")]),
            Some(end) => {
                let Some(begin) = starts(end) else { continue };
                let value = tokens[solid[begin]..solid[end]].iter().map(|token| token.token.clone());
                (solid[begin], value.collect())
            }
        };
        let mut mark = vec![Token::make_word(framed::EXCLUDING, None), Token::LParen];
        let texts = [what, bound].map(|text| Token::SingleQuotedString(text.to_owned()));
        mark.extend(texts.into_iter().flat_map(|text| [text, Token::Comma]));
        mark.extend(value);
        mark.extend([Token::RParen, Token::Whitespace(Whitespace::Space), Token::make_keyword("FOLLOWING")]);
        edits.push((begin..gone.end, mark));
    }
    for (range, mark) in edits.into_iter().rev() {
        let span = tokens[range.start].span;
        let mark = mark.into_iter().map(|token| TokenWithSpan { token, span });
        tokens.splice(range, mark);
    }
    tokens
}

/// `x AT LOCAL` is `x AT TIME ZONE` of the session's.
fn settle_local(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid = dialect::solid(&tokens);
    let is = |at: usize, word: &str| dialect::word(&tokens[at]) == word;
    let found = solid.windows(2).filter(|near| is(near[0], "AT") && is(near[1], "LOCAL"));
    let found: Vec<usize> = found.map(|near| near[1]).collect();
    if found.is_empty() {
        return tokens;
    }
    let mut settled = Vec::with_capacity(tokens.len() + found.len() * 8);
    for (at, token) in tokens.into_iter().enumerate() {
        if !found.contains(&at) {
            settled.push(token);
            continue;
        }
        let blank = || Token::Whitespace(Whitespace::Space);
        let words = [Token::make_keyword("TIME"), blank(), Token::make_keyword("ZONE"), blank()];
        let setting = [
            Token::make_word("current_setting", None),
            Token::LParen,
            Token::SingleQuotedString("TimeZone".to_owned()),
            Token::RParen,
        ];
        let span = token.span;
        settled.extend(words.into_iter().chain(setting).map(|token| TokenWithSpan { token, span }));
    }
    settled
}

/// `'1 day'::interval PRECEDING`: sqlparser expects the end of the offset behind a text.
pub fn take(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut tokens = settle_local(tokens);
    let excludes = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case("exclude"));
    if tokens.iter().any(excludes) {
        tokens = mark_exclusions(tokens);
    }
    if !tokens.iter().any(|token| token.token == Token::DoubleColon) {
        return tokens;
    }
    let is = |at: usize, words: &[&str]| words.contains(&dialect::word(&tokens[at]).as_str());
    let casts = dialect::solid(&tokens);
    let casts = casts.windows(4).filter(|near| {
        matches!(tokens[near[0]].token, Token::SingleQuotedString(_))
            && tokens[near[1]].token == Token::DoubleColon
            && is(near[2], &["INTERVAL"])
            && is(near[3], &["PRECEDING", "FOLLOWING"])
    });
    let gone: Vec<usize> = casts.flat_map(|near| [near[1], near[2]]).collect();
    for at in gone.into_iter().rev() {
        tokens.remove(at);
    }
    tokens
}

/// Those of a call.
pub fn of_call(function: &mut ast::Function) -> Result<()> {
    match &mut function.over {
        Some(WindowType::WindowSpec(spec)) => of_window(spec),
        _ => Ok(()),
    }
}

fn of_window(spec: &mut WindowSpec) -> Result<()> {
    let Some(frame) = &mut spec.window_frame else { return Ok(()) };
    // Distances are compared by the type of their key, which also says what it thinks of negative ones.
    if frame.units == WindowFrameUnits::Range {
        return Ok(());
    }
    settle(&mut frame.start_bound, "starting")?;
    frame.end_bound.as_mut().map_or(Ok(()), |bound| settle(bound, "ending"))
}

fn settle(bound: &mut WindowFrameBound, which: &str) -> Result<()> {
    let (WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset))) = bound
    else {
        return Ok(());
    };
    if trees::is_null(offset) {
        let message = format!("frame {which} offset must not be null");
        return Err(Error::new(SqlState("22004"), message));
    }
    if let Some(number) = whole(offset) {
        if number < 0 {
            return Err(negative(which));
        }
        **offset = trees::number(number);
    } else if is_negative(offset) {
        return Err(negative(which));
    } else if let Some(interval) = interval(offset) {
        **offset = interval;
    }
    Ok(())
}

fn negative(which: &str) -> Error {
    Error::new(SqlState("22013"), format!("frame {which} offset must not be negative"))
}

/// Whether it is a constant with a minus before it.
pub fn is_negative(offset: &Expr) -> bool {
    match offset {
        Expr::Nested(inner) => is_negative(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => matches!(expr.as_ref(), Expr::Value(_)),
        _ => false,
    }
}

/// The value of a constant made of whole numbers.
fn whole(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Nested(inner) => whole(inner),
        Expr::Cast { expr, data_type, .. } => {
            use DataType::{BigInt, Int, Int2, Int4, Int8, Integer, SmallInt};
            let is_whole = matches!(
                data_type,
                BigInt(_) | Int(_) | Int2(_) | Int4(_) | Int8(_) | Integer(_) | SmallInt(_)
            );
            is_whole.then(|| whole(expr)).flatten()
        }
        Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => whole(expr)?.checked_neg(),
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (whole(left)?, whole(right)?);
            match op {
                BinaryOperator::Plus => left.checked_add(right),
                BinaryOperator::Minus => left.checked_sub(right),
                BinaryOperator::Multiply => left.checked_mul(right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `interval '1' day` with its unit in the text, from which `sql::spellings` makes what the planner reads.
fn interval(expr: &Expr) -> Option<Expr> {
    let text = match expr {
        Expr::Nested(inner) => return interval(inner),
        Expr::Cast { expr, data_type: DataType::Interval { fields: None, precision: None }, .. } => {
            literal(expr).map(str::to_owned)
        }
        Expr::Interval(ast::Interval { value, leading_field, last_field: None, .. }) => {
            let unit = leading_field.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
            literal(value).map(|text| format!("{text}{unit}"))
        }
        _ => None,
    };
    text.map(|text| {
        Expr::Interval(ast::Interval {
            value: Box::new(trees::text(text)),
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        })
    })
}
