//! The differences from PostgreSQL that are on purpose, each with its reason; docs/sql.md tells users the same.

use crate::client::Answer;

/// The reason for a difference that is on purpose. `ask` puts a question to PostgreSQL.
pub fn reason(
    sql: &str,
    ours: &Answer,
    theirs: &Answer,
    ask: &mut dyn FnMut(&str) -> Answer,
) -> Option<&'static str> {
    match (ours, theirs) {
        (Answer::Rows(ours), Answer::Rows(theirs)) => same_but_digits(ours, theirs).then_some(
            "the digits of numeric after the point belong to the type of an expression, not to each value",
        ),
        (Answer::Error(state, message), _) if state == "0A000" => {
            NOT_SUPPORTED.iter().find(|(feature, _)| message.contains(feature)).map(|(_, reason)| *reason)
        }
        (Answer::Rows(_), Answer::Error(_, message))
            if message.starts_with("function max(") || message.starts_with("function min(") =>
        {
            Some("min and max are there for all types that have an order")
        }
        (Answer::Rows(_), Answer::Error(_, message)) if UNKNOWN.contains(&message.as_str()) => {
            Some("array_agg and window functions of a literal are those of a text")
        }
        (Answer::Rows(_), Answer::Error(_, message))
            if message.starts_with("non-integer constant") && sql.contains(" B'") =>
        {
            Some("a bit string as a constant is an expression like others")
        }
        // PostgreSQL says so when it plans already.
        (Answer::Rows(_) | Answer::Error(..), Answer::Error(state, _)) if state.starts_with("22") => {
            let planned = ask(&format!("EXPLAIN {sql}"));
            matches!(planned, Answer::Error(planned, _) if planned == *state)
                .then_some("constants that cannot be evaluated are an error only where rows need them")
        }
        (Answer::Error(state, _), Answer::Rows(_)) if state.starts_with("22") && order_is_open(sql) => Some(
            "in which order conditions are evaluated, and for which rows, is open where not all are needed",
        ),
        (Answer::Rows(_), Answer::Error(state, _)) if state.starts_with("22") && order_is_open(sql) => Some(
            "in which order conditions are evaluated, and for which rows, is open where not all are needed",
        ),
        _ => None,
    }
}

const UNKNOWN: &[&str] = &[
    "function array_agg(unknown) is not unique",
    "could not determine polymorphic type because input has type unknown",
];

/// Features that answer 0A000, by a part of the message.
const NOT_SUPPORTED: &[(&str, &str)] = &[
    ("38 digits", "numeric holds 38 digits"),
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
    ]
    .iter()
    .any(|word| sql.contains(word))
}

/// Whether rows are the same but for the last digits of numbers in them, and for the sign of 0.
fn same_but_digits(ours: &[String], theirs: &[String]) -> bool {
    let written_alike = |rows: &[String]| {
        let mut rows: Vec<String> = rows.iter().map(|row| alike(row)).collect();
        rows.sort();
        rows
    };
    written_alike(ours) == written_alike(theirs)
}

/// Numbers as short as `real` has them, up to nine digits, rounded to seven; longer ones to fourteen.
fn alike(row: &str) -> String {
    let mut out = String::new();
    let mut rest = row;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, after) = rest.split_at(start);
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
        let (text, after) = after.split_at(end);
        let number = text.parse::<f64>().unwrap_or(f64::NAN);
        let before = if number == 0.0 { before.strip_suffix('-').unwrap_or(before) } else { before };
        out.push_str(before);
        // Zeros behind the point are no digits.
        let digits = if text.contains('.') { text.trim_end_matches('0') } else { text };
        let digits = digits.trim_matches('.').trim_start_matches(['0', '.']).len();
        match (number.is_finite(), text.contains('.')) {
            (true, true) if digits <= 10 => out.push_str(&format!("{number:.6e}")),
            (true, false) if text.len() <= 7 => out.push_str(&format!("{number:.6e}")),
            (true, true) => out.push_str(&format!("{number:.13e}")),
            _ => out.push_str(text),
        }
        rest = after;
    }
    out + rest
}
