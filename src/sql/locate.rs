//! Positions for errors that were found far from the text.
//!
//! The planner knows names, not where they stood. An error that says which relation, column, function or literal it is
//! about gets the position of the first token of the statement with that text. pgvector's errors do not repeat the literal:
//! theirs is the first one of which its type says the same.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, SqlState};
use crate::sql::dialect;
use crate::sql::statement::Statement;
use crate::types::{Type, text};

/// The error with a position, if it lacks one and its text tells what to look for.
pub fn locate(error: Error, statement: &Statement) -> Error {
    if error.fields().position.is_some() || error.fields().context.is_some() {
        return error;
    }
    let Some(wanted) = wanted(&error) else { return error };
    let source = &statement.source;
    let Ok(tokens) = dialect::raw_tokens(source) else { return error };
    let inside = tokens.iter().enumerate().filter(|(_, token)| {
        let start = source.byte(token.span.start);
        statement.range.contains(&start)
    });
    let mut found = inside.filter(|(at, token)| match &wanted {
        Wanted::Modified(name) => is_modified(&tokens[*at..], name),
        wanted => matches_token(&token.token, wanted),
    });
    match found.next() {
        Some((_, token)) => error.position(source.position(token.span.start)),
        None => error,
    }
}

/// What to look for.
enum Wanted {
    Name(String),
    Literal(String),
    /// With its dollar.
    Parameter(String),
    /// A literal of which the type says this.
    Refused(Type, String),
    /// The name of a type with a modifier.
    Modified(&'static str),
}

/// pgvector's types, by name.
static VECTORS: [(&str, Type); 3] =
    [("vector", Type::Vector(None)), ("halfvec", Type::Halfvec(None)), ("sparsevec", Type::Sparsevec(None))];

/// What an error of one of pgvector's types is about.
fn of_vector(message: &str) -> Option<Wanted> {
    if let Some(rest) = message.strip_prefix("dimensions for type ") {
        let name = rest.split(' ').next()?;
        return VECTORS.iter().find(|(known, _)| *known == name).map(|(known, _)| Wanted::Modified(known));
    }
    let names = |(name, _): &&(&str, Type)| message.split([' ', ':']).any(|word| word == *name);
    let (_, ty) = VECTORS.iter().find(names)?;
    Some(Wanted::Refused(ty.clone(), message.to_owned()))
}

fn wanted(error: &Error) -> Option<Wanted> {
    let message = error.message();
    // Those with the literal in them are found by it.
    if error.state() != SqlState::INVALID_TEXT_REPRESENTATION
        && error.state() != SqlState::UNDEFINED_FUNCTION
        && let Some(wanted) = of_vector(message)
    {
        return Some(wanted);
    }
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

/// Whether tokens begin with the name and a parenthesis.
fn is_modified(tokens: &[TokenWithSpan], name: &str) -> bool {
    let mut solid = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let is_name = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    solid.next().is_some_and(is_name) && solid.next().is_some_and(|token| token.token == Token::LParen)
}

fn matches_token(token: &Token, wanted: &Wanted) -> bool {
    match (token, wanted) {
        (Token::Word(word), Wanted::Name(name)) => match word.quote_style {
            Some(_) => word.value == *name,
            None => word.value.to_lowercase() == *name,
        },
        (Token::SingleQuotedString(text), Wanted::Literal(literal)) => text == literal,
        (Token::Placeholder(name), Wanted::Parameter(wanted)) => name == wanted,
        (Token::SingleQuotedString(literal), Wanted::Refused(ty, message)) => {
            text::parse(ty, literal).is_err_and(|error| error.message() == *message)
        }
        _ => false,
    }
}
