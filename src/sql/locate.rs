//! Positions for errors that were found far from the text.
//!
//! The planner knows names, not where they stood. An error that says which relation, column, function or literal it is
//! about gets the position of the first token of the statement with that text.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, SqlState};
use crate::sql::dialect;
use crate::sql::statement::Statement;

/// The error with a position, if it lacks one and its text tells what to look for.
pub fn locate(error: Error, statement: &Statement) -> Error {
    if error.fields().position.is_some() || error.fields().context.is_some() {
        return error;
    }
    let Some(wanted) = wanted(&error) else { return error };
    let source = &statement.source;
    let Ok(tokens) = dialect::raw_tokens(source) else { return error };
    let found = tokens.iter().find(|token| {
        let start = source.byte(token.span.start);
        statement.range.contains(&start) && matches_token(&token.token, &wanted)
    });
    match found {
        Some(token) => error.position(source.position(token.span.start)),
        None => error,
    }
}

/// What to look for.
enum Wanted {
    Name(String),
    Literal(String),
    /// With its dollar.
    Parameter(String),
}

fn wanted(error: &Error) -> Option<Wanted> {
    let message = error.message();
    let last_part = |name: &str| name.rsplit('.').next().unwrap_or(name).to_string();
    match error.state() {
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN | SqlState::AMBIGUOUS_COLUMN => {
            let name = match quoted(message) {
                Some(name) => last_part(name),
                // `column t.x does not exist`
                None => last_part(message.split(' ').nth(1)?),
            };
            // Only names in a query have positions: `DROP TABLE x` has none.
            message.starts_with("table \"").then_some(()).map_or(Some(Wanted::Name(name)), |()| None)
        }
        SqlState::UNDEFINED_FUNCTION => {
            let name = message.strip_prefix("function ")?.split('(').next()?;
            Some(Wanted::Name(last_part(name)))
        }
        SqlState::UNDEFINED_PARAMETER => {
            Some(Wanted::Parameter(message.strip_prefix("there is no parameter ")?.to_owned()))
        }
        SqlState::INVALID_TEXT_REPRESENTATION
        | SqlState::INVALID_DATETIME_FORMAT
        | SqlState::DATETIME_FIELD_OVERFLOW
        | SqlState::INTERVAL_FIELD_OVERFLOW => {
            let (_, text) = message.split_once(": \"")?;
            Some(Wanted::Literal(text.strip_suffix('"')?.to_string()))
        }
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE => {
            // `value "99999" is out of range for type smallint`, `"1e400" is out of range for type double precision`
            let (_, text) = message.split_once('"')?;
            let (text, _) = text.rsplit_once("\" is out of range for type ")?;
            Some(Wanted::Literal(text.to_string()))
        }
        _ => None,
    }
}

fn quoted(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once('"')?;
    rest.split_once('"').map(|(name, _)| name)
}

fn matches_token(token: &Token, wanted: &Wanted) -> bool {
    match (token, wanted) {
        (Token::Word(word), Wanted::Name(name)) => match word.quote_style {
            Some(_) => word.value == *name,
            None => word.value.to_lowercase() == *name,
        },
        (Token::SingleQuotedString(text), Wanted::Literal(literal)) => text == literal,
        (Token::Placeholder(name), Wanted::Parameter(wanted)) => name == wanted,
        _ => false,
    }
}
