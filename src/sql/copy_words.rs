//! COPY, read word by word: where from or to, and the options in both of PostgreSQL's grammars.

use std::collections::HashSet;

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, SqlState};
use crate::functions::encodings::Encoding;
use crate::sql::dialect::QUERIES;
use crate::sql::statement::*;
use crate::sql::utility::{self, boolean_option};
use crate::sql::words::{Parsed, Words};

/// `COPY ...`, in PostgreSQL's present grammar and in the one before 9.0.
pub fn copy(w: &mut Words) -> Parsed<Ast> {
    w.expect("COPY")?;
    let mut options = CopyOptions::default();
    if w.accept("BINARY") {
        options.format = CopyEncoding::Binary;
    }
    let mut source = if w.accept_token(&Token::LParen) {
        let ast = rows(w)?;
        w.expect_token(&Token::RParen)?;
        CopySource::Rows(Box::new(ast))
    } else {
        let name = w.name()?;
        let columns =
            if *w.peek() == Token::LParen { w.parenthesised(Words::identifier)? } else { Vec::new() };
        CopySource::Table { name, columns, filter: None }
    };
    let from = match source {
        CopySource::Table { .. } => w.accept("FROM"),
        CopySource::Rows(_) => false,
    };
    if !from {
        w.expect("TO")?;
    }
    copy_endpoint(w, from)?;
    w.accept("WITH");
    if *w.peek() == Token::LParen {
        let mut names = HashSet::new();
        w.parenthesised(|w| {
            if let Token::Word(name) = w.peek()
                && !names.insert(name.value.to_lowercase())
            {
                let position = w.source.position(w.location());
                let error = Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options");
                return Err(error.position(position).into());
            }
            copy_option(w, &mut options)
        })?;
    } else {
        old_copy_options(w, &mut options)?;
    }
    if let CopySource::Table { filter, .. } = &mut source
        && from
        && w.accept("WHERE")
    {
        *filter = Some(w.expression()?);
    }
    Ok(Ast::Copy(Box::new(Copy { source, from, options })))
}

/// What gives the rows: a query, or a change.
fn rows(w: &mut Words) -> Parsed<Ast> {
    if !QUERIES.iter().any(|word| w.at(word)) && *w.peek() != Token::LParen {
        return w.unexpected("a query");
    }
    match utility::any(w, Overriding::None)? {
        Ast::CreateTableAs { .. } => Err(Error::unsupported("COPY (SELECT INTO)").into()),
        ast => Ok(ast),
    }
}

fn copy_endpoint(w: &mut Words, from: bool) -> Parsed<()> {
    if w.accept("STDIN") || w.accept("STDOUT") {
        return Ok(());
    }
    let hint = "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.";
    let what = if w.at("PROGRAM") { "COPY with a program" } else { "COPY with a file of the server" };
    match w.peek() {
        Token::SingleQuotedString(_) | Token::Word(_) => Err(Error::unsupported(what).hint(hint).into()),
        _ => w.unexpected(if from { "STDIN" } else { "STDOUT" }),
    }
}

fn copy_option(w: &mut Words, options: &mut CopyOptions) -> Parsed<()> {
    let Some(name) = w.word() else { return w.unexpected("an option") };
    match name.as_str() {
        "FORMAT" => options.format = copy_format(w)?,
        "DELIMITER" => options.delimiter = Some(w.string()?),
        "NULL" => options.null = Some(w.string()?),
        "DEFAULT" => options.default = Some(w.string()?),
        "HEADER" => {
            options.header = if w.accept("MATCH") {
                CopyHeader::Match
            } else if boolean_option(w, "header")? {
                CopyHeader::Yes
            } else {
                CopyHeader::No
            }
        }
        "QUOTE" => options.quote = Some(w.string()?),
        "ESCAPE" => options.escape = Some(w.string()?),
        "FORCE_QUOTE" => options.force_quote = forced_columns(w)?,
        "FORCE_NOT_NULL" => options.force_not_null = forced_columns(w)?,
        "FORCE_NULL" => options.force_null = forced_columns(w)?,
        "ENCODING" => options.encoding = Some(copy_encoding(&w.string()?)?),
        "FREEZE" => {
            boolean_option(w, "freeze")?;
        }
        "ON_ERROR" => {
            options.on_error =
                Some(choice(w, &name, &[("stop", OnError::Stop), ("ignore", OnError::Ignore)])?);
        }
        "LOG_VERBOSITY" => {
            options.is_verbose = choice(w, &name, &[("default", false), ("verbose", true)])?;
        }
        _ => {
            let message = format!("option \"{}\" not recognized", name.to_lowercase());
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
        }
    }
    Ok(())
}

/// The value of an option that has few, as a word or a text; the first where none is given.
fn choice<T: Clone>(w: &mut Words, option: &str, values: &[(&str, T)]) -> Parsed<T> {
    let text = match w.peek().clone() {
        Token::Word(word) => word.value,
        Token::SingleQuotedString(text) => text,
        _ => return Ok(values[0].1.clone()),
    };
    w.advance();
    match values.iter().find(|(value, _)| text.eq_ignore_ascii_case(value)) {
        Some((_, value)) => Ok(value.clone()),
        None => {
            let message = format!("COPY {option} \"{text}\" not recognized");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).into())
        }
    }
}

fn copy_format(w: &mut Words) -> Parsed<CopyEncoding> {
    let text = match w.peek().clone() {
        Token::Word(word) => word.value.to_lowercase(),
        Token::SingleQuotedString(text) => text,
        _ => return w.unexpected("a format"),
    };
    w.advance();
    match text.as_str() {
        "text" => Ok(CopyEncoding::Text),
        "csv" => Ok(CopyEncoding::Csv),
        "binary" => Ok(CopyEncoding::Binary),
        _ => {
            let message = format!("COPY format \"{text}\" not recognized");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).into())
        }
    }
}

fn copy_encoding(name: &str) -> Parsed<Encoding> {
    match Encoding::find(name) {
        Some(encoding) if encoding.is_supported() => Ok(encoding),
        Some(encoding) => Err(encoding.unsupported().into()),
        None => {
            let message = "argument to option \"encoding\" must be a valid encoding name";
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).into())
        }
    }
}

fn forced_columns(w: &mut Words) -> Parsed<ForcedColumns> {
    if w.accept_token(&Token::Mul) {
        return Ok(ForcedColumns::All);
    }
    Ok(ForcedColumns::Some(w.parenthesised(Words::identifier)?))
}

/// The syntax of PostgreSQL 8 and older, still written by many programs: `CSV HEADER DELIMITER ';'`.
fn old_copy_options(w: &mut Words, options: &mut CopyOptions) -> Parsed<()> {
    loop {
        if w.accept("BINARY") {
            options.format = CopyEncoding::Binary;
        } else if w.accept("CSV") {
            options.format = CopyEncoding::Csv;
        } else if w.accept("HEADER") {
            options.header = CopyHeader::Yes;
        } else if w.accept("DELIMITERS") || w.accept("DELIMITER") {
            w.accept("AS");
            options.delimiter = Some(w.string()?);
        } else if w.accept("NULL") {
            w.accept("AS");
            options.null = Some(w.string()?);
        } else if w.accept("QUOTE") {
            w.accept("AS");
            options.quote = Some(w.string()?);
        } else if w.accept("ESCAPE") {
            w.accept("AS");
            options.escape = Some(w.string()?);
        } else if w.accept("FORCE QUOTE") {
            options.force_quote = old_forced_columns(w)?;
        } else if w.accept("FORCE NOT NULL") {
            options.force_not_null = old_forced_columns(w)?;
        } else if w.accept("FORCE NULL") {
            options.force_null = old_forced_columns(w)?;
        } else if w.accept("ENCODING") {
            options.encoding = Some(copy_encoding(&w.string()?)?);
        } else if !w.accept("FREEZE") {
            return Ok(());
        }
    }
}

fn old_forced_columns(w: &mut Words) -> Parsed<ForcedColumns> {
    if w.accept_token(&Token::Mul) {
        return Ok(ForcedColumns::All);
    }
    Ok(ForcedColumns::Some(w.list(Words::identifier)?))
}
