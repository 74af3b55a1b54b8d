//! The offsets of window frames, in the few words that the planner reads there.
//!
//! ```text
//!   ROWS 1 + 1 PRECEDING                     ROWS 2 PRECEDING
//!   RANGE '1 day'::interval PRECEDING        RANGE INTERVAL '1 day' PRECEDING
//! ```

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DataType, Expr, UnaryOperator, WindowFrameBound, WindowSpec, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result, SqlState};
use crate::sql::dialect;
use crate::sql::trees::{self, literal};

/// Takes EXCLUDE NO OTHERS out of frames, which is what they do without it. 0A000 for a frame that leaves rows out.
fn take_exclusion(tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    let solid = dialect::solid(tokens);
    let word = |place: usize| solid.get(place).map(|&at| dialect::word(&tokens[at])).unwrap_or_default();
    let mut gone = Vec::new();
    // The clause stands behind a bound of its frame, and ends the frame and the window.
    let begins =
        |place: usize| place > 0 && matches!(word(place - 1).as_str(), "PRECEDING" | "FOLLOWING" | "ROW");
    let ends = |place: usize| solid.get(place).is_some_and(|&at| tokens[at].token == Token::RParen);
    for place in (0..solid.len()).filter(|&place| word(place) == "EXCLUDE" && begins(place)) {
        let excluded = match (word(place + 1).as_str(), word(place + 2).as_str()) {
            ("NO", "OTHERS") if ends(place + 3) => {
                gone.extend([solid[place + 2], solid[place + 1], solid[place]]);
                continue;
            }
            ("CURRENT", "ROW") if ends(place + 3) => "CURRENT ROW",
            ("GROUP", _) if ends(place + 2) => "GROUP",
            ("TIES", _) if ends(place + 2) => "TIES",
            _ => continue,
        };
        return Err(Error::unsupported(format!("EXCLUDE {excluded} in a window frame")));
    }
    gone.sort_unstable();
    for at in gone.into_iter().rev() {
        tokens.remove(at);
    }
    Ok(())
}

/// `'1 day'::interval PRECEDING`: sqlparser expects the end of the offset behind a text. 0A000 for a frame that leaves
/// rows out.
pub fn take(mut tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let excludes = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case("exclude"));
    if tokens.iter().any(excludes) {
        take_exclusion(&mut tokens)?;
    }
    if !tokens.iter().any(|token| token.token == Token::DoubleColon) {
        return Ok(tokens);
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
    Ok(tokens)
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
    settle(&mut frame.start_bound, "starting")?;
    frame.end_bound.as_mut().map_or(Ok(()), |bound| settle(bound, "ending"))
}

fn settle(bound: &mut WindowFrameBound, which: &str) -> Result<()> {
    let (WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset))) = bound
    else {
        return Ok(());
    };
    if matches!(offset.as_ref(), Expr::Value(value) if value.value == ast::Value::Null) {
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
