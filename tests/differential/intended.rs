//! The differences from PostgreSQL that are on purpose, each with its reason; docs/sql.md tells users the same.

use std::cmp::Ordering;

use crate::client::Answer;

/// The reason for a difference that is on purpose. `ask` puts a question to PostgreSQL.
pub fn reason(
    sql: &str,
    ours: &Answer,
    theirs: &Answer,
    ask: &mut dyn FnMut(&str) -> Answer,
) -> Option<&'static str> {
    let of_halves = sql.contains("halfvec") || sql.contains(".h)") || sql.contains(".h +");
    match (ours, theirs) {
        (Answer::Rows(ours), Answer::Rows(theirs))
            if of_halves && sql.contains("sum(") && ours.len() == theirs.len() =>
        {
            Some("sums of halfvec are rounded to halves at each step, in the order in which rows come")
        }
        (Answer::Rows(ours), Answer::Rows(theirs)) => same_but_digits(ours, theirs)
            .then_some("sums of floats are added in another order, and their last digits are others"),
        (Answer::Error(state, message), _) if state == "0A000" => {
            NOT_SUPPORTED.iter().find(|(feature, _)| message.contains(feature)).map(|(_, reason)| *reason)
        }
        // What PostgreSQL refuses before it runs may end in another error here when it runs.
        (ours, Answer::Error(_, message))
            if ran(ours)
                && (message.starts_with("function max(") || message.starts_with("function min(")) =>
        {
            Some("min and max are there for all types that have an order")
        }
        (ours, Answer::Error(_, message)) if ran(ours) && UNKNOWN.contains(&message.as_str()) => {
            Some("array_agg and window functions of a literal are those of a text")
        }
        (ours, Answer::Error(_, message))
            if ran(ours) && message.starts_with("non-integer constant") && sql.contains(" B'") =>
        {
            Some("a bit string as a constant is an expression like others")
        }
        (Answer::Error(_, message), Answer::Rows(_)) if message == "interval out of range" => {
            Some("the time of an interval is 64 bits of nanoseconds, 2.5 million hours")
        }
        (Answer::Error(state, _), Answer::Error(other, _)) if other == "23505" && state.starts_with("22") => {
            Some("rows are computed in batches before the first of them meets a constraint")
        }
        (Answer::Rows(_) | Answer::Error(..), Answer::Error(state, _)) if state.starts_with("22") => {
            // PostgreSQL says so when it plans already.
            let planned = ask(&format!("EXPLAIN {sql}"));
            if matches!(planned, Answer::Error(planned, _) if planned == *state) {
                Some("constants that cannot be evaluated are an error only where rows need them")
            } else {
                order_is_open(sql).then_some(OPEN)
            }
        }
        (Answer::Error(state, _), Answer::Rows(_)) if state.starts_with("22") && order_is_open(sql) => {
            Some(OPEN)
        }
        _ => None,
    }
}

const OPEN: &str =
    "in which order conditions are evaluated, and for which rows, is open where not all are needed";

/// Whether it came as far as computing rows.
fn ran(answer: &Answer) -> bool {
    match answer {
        Answer::Rows(_) => true,
        Answer::Error(state, _) => state.starts_with("22"),
        Answer::Lost | Answer::Silent => false,
    }
}

const UNKNOWN: &[&str] = &[
    "function array_agg(unknown) is not unique",
    "could not determine polymorphic type because input has type unknown",
];

/// Features that answer 0A000, by a part of the message.
const NOT_SUPPORTED: &[(&str, &str)] = &[
    ("numrange of more than 38 digits", "a numrange holds 38 digits"),
    ("gcd and lcm of numbers of more than 38 digits", "gcd and lcm of more than 38 digits"),
    ("NaN as a numeric", "NaN in a numeric(p, s)"),
    ("in to_char is not supported", "to_char: EEEE"),
    ("an offset of lag or lead", "lag and lead with an offset that is not a constant"),
    ("a correlated subquery in this place", "correlated subqueries in arguments of FROM and in GROUP BY"),
    ("a subquery in this place is not supported", "subqueries in ON CONFLICT DO UPDATE"),
    ("several dimensions", "arrays of several dimensions"),
];

/// Whether several conditions, joined tables, a limit or a NULL that decides leave open what is evaluated.
fn order_is_open(sql: &str) -> bool {
    [
        " AND ",
        " OR ",
        " BETWEEN ",
        " JOIN ",
        ", db",
        " LIMIT ",
        " OFFSET ",
        " FETCH ",
        "NULL::",
        "(SELECT ",
        " IN (",
        "USING ",
        // What nobody asks for is not computed: the other side of an empty one, columns of WITH, what has a type only.
        " EXCEPT ",
        " INTERSECT ",
        " UNION ",
        "WITH c ",
        "pg_typeof(",
        " HAVING ",
    ]
    .iter()
    .any(|word| sql.contains(word))
}

/// Whether rows are the same but for the last digits of numbers in them, and for the sign of 0.
fn same_but_digits(ours: &[String], theirs: &[String]) -> bool {
    let alike = |(a, b): (&Vec<Token>, &Vec<Token>)| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_alike(b))
    };
    ours.len() == theirs.len() && in_order(ours).iter().zip(&in_order(theirs)).all(alike)
}

fn in_order(rows: &[String]) -> Vec<Vec<Token<'_>>> {
    let mut rows: Vec<Vec<Token>> = rows.iter().map(|row| tokens(row)).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    rows
}

/// A piece of a row.
#[derive(PartialEq, PartialOrd)]
enum Token<'r> {
    /// First what orders rows: digits that both servers give.
    Number {
        rounded: String,
        value: f64,
        is_short: bool,
        text: &'r str,
    },
    Text(&'r str),
}

impl Token<'_> {
    /// Numbers as short as `real` has them agree to six digits, longer ones to thirteen.
    fn is_alike(&self, other: &Token) -> bool {
        match (self, other) {
            (Token::Text(one), Token::Text(other)) => one == other,
            (
                Token::Number { value: a, is_short: one, text: ours, .. },
                Token::Number { value: b, is_short: other, text: theirs, .. },
            ) => {
                // The same number has the same digits.
                if a == b {
                    return ours == theirs;
                }
                let part = if *one || *other { 1e-6 } else { 1e-13 };
                (a - b).abs() <= part * a.abs().max(b.abs())
            }
            _ => false,
        }
    }
}

/// The numbers of a row, and what is between them. A minus belongs to its number, but to that of 0.
fn tokens(row: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = row;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, after) = rest.split_at(start);
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
        let (text, after) = after.split_at(end);
        // Two points and the like are no number.
        let value = text.parse::<f64>().unwrap_or(f64::NAN);
        let before = if value == 0.0 { before.strip_suffix('-').unwrap_or(before) } else { before };
        tokens.push(Token::Text(before));
        if value.is_nan() {
            tokens.push(Token::Text(text));
        } else {
            let digits = text.trim_start_matches(['0', '.']).trim_end_matches('0').trim_end_matches('.');
            let is_short = text.contains('.') && digits.len() <= 10;
            tokens.push(Token::Number { rounded: format!("{value:.4e}"), value, is_short, text });
        }
        rest = after;
    }
    tokens.push(Token::Text(rest));
    tokens
}
