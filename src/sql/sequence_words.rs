//! Reading the options of sequences: of CREATE and ALTER SEQUENCE, and of identity columns.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result, SqlState};
use crate::sql::statement::*;
use crate::sql::type_names;
use crate::sql::words::{Parsed, Words};
use crate::types::Type;

/// The options of CREATE and ALTER SEQUENCE, and of an identity column in parentheses.
pub fn sequence_options(w: &mut Words) -> Parsed<SequenceOptions> {
    let mut options = SequenceOptions::default();
    while one_sequence_option(w, &mut options)? {}
    Ok(options)
}

/// Takes one option; whether there was one.
fn one_sequence_option(w: &mut Words, options: &mut SequenceOptions) -> Parsed<bool> {
    if w.accept("SEQUENCE NAME") {
        options.name = Some(w.name()?);
    } else if w.accept("AS") {
        let ty = type_names::resolve(&w.parser.parse_data_type()?)?;
        if !matches!(ty, Type::Int2 | Type::Int4 | Type::Int8) {
            let message = "sequence type must be smallint, integer, or bigint";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
        }
        options.ty = Some(ty);
    } else if w.accept("START") {
        w.accept("WITH");
        options.start = Some(w.integer()?);
    } else if w.accept("RESTART") {
        let with = w.accept("WITH") || matches!(w.peek(), Token::Number(..) | Token::Minus);
        options.restart = Some(if with { Some(w.integer()?) } else { None });
    } else if w.accept("INCREMENT") {
        w.accept("BY");
        options.increment = Some(w.integer()?);
    } else if w.accept("NO MINVALUE") {
        options.min = Some(None);
    } else if w.accept("NO MAXVALUE") {
        options.max = Some(None);
    } else if w.accept("MINVALUE") {
        options.min = Some(Some(w.integer()?));
    } else if w.accept("MAXVALUE") {
        options.max = Some(Some(w.integer()?));
    } else if w.accept("CACHE") {
        // Values are logged ahead for all sessions together; a cache per session would only lose more of them.
        options.cache = Some(w.integer()?);
    } else if w.accept("NO CYCLE") {
        options.cycle = Some(false);
    } else if w.accept("CYCLE") {
        options.cycle = Some(true);
    } else if w.accept("OWNED BY NONE") {
        options.owned_by = Some(None);
    } else if w.accept("OWNED BY") {
        options.owned_by = Some(Some(qualified_column(w)?));
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// `[schema.]table.column`
pub fn qualified_column(w: &mut Words) -> Parsed<(Name, String)> {
    let position = w.source.position(w.location());
    let mut parts = vec![w.identifier()?];
    while w.accept_token(&Token::Period) {
        parts.push(w.identifier()?);
    }
    let column = parts.pop().unwrap_or_default();
    let Some(name) = parts.pop() else {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
            .hint("Specify OWNED BY table.column or OWNED BY NONE.")
            .into());
    };
    Ok((Name { schema: parts.pop(), name, position }, column))
}

/// What may follow SET where the options of an identity column are changed.
const IDENTITY_OPTIONS: &[&str] = &[
    "INCREMENT",
    "MINVALUE",
    "MAXVALUE",
    "NO MINVALUE",
    "NO MAXVALUE",
    "START",
    "CACHE",
    "CYCLE",
    "NO CYCLE",
];

/// Whether options of an identity column are to be changed.
pub fn at_identity_options(w: &Words) -> bool {
    let other = ["GENERATED", "SEQUENCE NAME", "OWNED BY", "AS"];
    let mut settable = IDENTITY_OPTIONS.iter().chain(&other);
    w.at("RESTART") || settable.any(|option| w.at(&format!("SET {option}")))
}

/// `SET GENERATED ALWAYS SET INCREMENT BY 2 RESTART`
pub fn identity_options(w: &mut Words) -> Parsed<(Option<IdentityKind>, SequenceOptions)> {
    let (mut kind, mut options) = (None, SequenceOptions::default());
    loop {
        if w.accept("SET GENERATED") {
            let found = if w.accept("ALWAYS") {
                IdentityKind::Always
            } else {
                w.expect("BY DEFAULT")?;
                IdentityKind::ByDefault
            };
            if kind.replace(found).is_some() {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options").into());
            }
            continue;
        }
        if let Some(words) =
            ["SEQUENCE NAME", "OWNED", "AS"].iter().find(|words| w.at(&format!("SET {words}")))
        {
            let message = match *words {
                "SEQUENCE NAME" => "invalid sequence option SEQUENCE NAME",
                "OWNED" => "sequence option \"owned_by\" not supported here",
                _ => "sequence option \"as\" not supported here",
            };
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
        }
        let is_option = IDENTITY_OPTIONS.iter().any(|option| w.at(&format!("SET {option}")));
        if is_option {
            w.expect("SET")?;
        } else if !w.at("RESTART") {
            return Ok((kind, options));
        }
        one_sequence_option(w, &mut options)?;
    }
}

/// sqlparser's sequence options as ours.
pub fn converted_options(options: &[ast::SequenceOptions]) -> Result<SequenceOptions> {
    let mut converted = SequenceOptions::default();
    for option in options {
        match option {
            ast::SequenceOptions::IncrementBy(value, _) => converted.increment = Some(integer(value)?),
            ast::SequenceOptions::MinValue(value) => {
                converted.min = Some(value.as_ref().map(integer).transpose()?)
            }
            ast::SequenceOptions::MaxValue(value) => {
                converted.max = Some(value.as_ref().map(integer).transpose()?)
            }
            ast::SequenceOptions::StartWith(value, _) => converted.start = Some(integer(value)?),
            ast::SequenceOptions::Cache(_) => {}
            // sqlparser's field says whether NO stands before CYCLE.
            ast::SequenceOptions::Cycle(no) => converted.cycle = Some(!no),
        }
    }
    Ok(converted)
}

fn integer(expression: &ast::Expr) -> Result<i64> {
    expression
        .to_string()
        .replace(' ', "")
        .parse()
        .map_err(|_| Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{expression}\"")))
}
