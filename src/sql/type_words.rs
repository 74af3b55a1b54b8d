//! Reading CREATE TYPE and ALTER TYPE.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::Error;
use crate::sql::statement::{Ast, TypeAction};
use crate::sql::words::{Parsed, Words};
use crate::types::enums::Place;

/// After `CREATE TYPE`.
pub fn create(w: &mut Words) -> Parsed<Ast> {
    let name = w.name()?;
    if !w.accept("AS ENUM") {
        return Err(Error::unsupported("CREATE TYPE other than AS ENUM").into());
    }
    w.expect_token(&Token::LParen)?;
    let labels = if w.at_token(&Token::RParen) { Vec::new() } else { w.list(Words::string)? };
    w.expect_token(&Token::RParen)?;
    Ok(Ast::CreateEnum { name, labels })
}

/// After `ALTER TYPE`.
pub fn alter(w: &mut Words) -> Parsed<Ast> {
    let name = w.name()?;
    let action = if w.accept("ADD VALUE") {
        let if_not_exists = w.accept("IF NOT EXISTS");
        let label = w.string()?;
        let place = if w.accept("BEFORE") {
            Place::Before(w.string()?)
        } else if w.accept("AFTER") {
            Place::After(w.string()?)
        } else {
            Place::Last
        };
        TypeAction::AddValue { label, place, if_not_exists }
    } else if w.accept("RENAME VALUE") {
        let from = w.string()?;
        w.expect("TO")?;
        TypeAction::RenameValue { from, to: w.string()? }
    } else if w.accept("RENAME TO") {
        TypeAction::Rename(w.identifier()?)
    } else if w.accept("SET SCHEMA") {
        TypeAction::SetSchema(w.identifier()?)
    } else if w.accept("OWNER TO") {
        TypeAction::OwnerTo(w.identifier()?)
    } else {
        return Err(Error::unsupported("ALTER TYPE of this form").into());
    };
    Ok(Ast::AlterType { name, action })
}
