//! Reading foreign keys, and when constraints are checked.

use datafusion::sql::sqlparser::ast;

use crate::catalog::{Deferral, ReferentialAction};
use crate::error::{Error, Result, SqlState};
use crate::sql::statement::ForeignKeyDefinition;
use crate::sql::token_spellings::{SET_ON_DELETE, SET_ON_UPDATE};
use crate::sql::words::{Parsed, Words, fold, object_name};

/// `REFERENCES ...` of these columns.
pub fn foreign_key(key: &ast::ForeignKeyConstraint, columns: Vec<String>) -> Result<ForeignKeyDefinition> {
    let deferral = deferral(&key.characteristics)?;
    let full = match key.match_kind {
        None | Some(ast::ConstraintReferenceMatchKind::Simple) => false,
        Some(ast::ConstraintReferenceMatchKind::Full) => true,
        Some(ast::ConstraintReferenceMatchKind::Partial) => return Err(Error::unsupported("MATCH PARTIAL")),
    };
    let (referenced, named) = columns_to_set(key)?;
    let action = |action: &Option<ast::ReferentialAction>| match action {
        None | Some(ast::ReferentialAction::NoAction) => ReferentialAction::NoAction,
        Some(ast::ReferentialAction::Restrict) => ReferentialAction::Restrict,
        Some(ast::ReferentialAction::Cascade) => ReferentialAction::Cascade,
        Some(ast::ReferentialAction::SetNull) => ReferentialAction::SetNull,
        Some(ast::ReferentialAction::SetDefault) => ReferentialAction::SetDefault,
    };
    Ok(ForeignKeyDefinition {
        columns,
        table: object_name(&key.foreign_table),
        referenced,
        set_on_delete: named,
        full,
        on_delete: action(&key.on_delete),
        on_update: action(&key.on_update),
        deferral,
    })
}

/// The columns that are referred to, and those that ON DELETE SET NULL or SET DEFAULT names: `token_spellings` puts them
/// behind the former.
fn columns_to_set(key: &ast::ForeignKeyConstraint) -> Result<(Vec<String>, Vec<String>)> {
    let mut referenced: Vec<String> = key.referred_columns.iter().map(fold).collect();
    if referenced.iter().any(|name| name == SET_ON_UPDATE) {
        let action =
            if key.on_update == Some(ast::ReferentialAction::SetDefault) { "DEFAULT" } else { "NULL" };
        let message = format!("a column list with SET {action} is only supported for ON DELETE actions");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let Some(at) = referenced.iter().position(|name| name == SET_ON_DELETE) else {
        return Ok((referenced, Vec::new()));
    };
    let named = referenced.split_off(at).split_off(1);
    Ok((referenced, named))
}

/// When a constraint is checked.
pub fn deferral(characteristics: &Option<ast::ConstraintCharacteristics>) -> Result<Deferral> {
    let Some(characteristics) = characteristics else { return Ok(Deferral::Never) };
    if characteristics.enforced == Some(false) {
        return Err(Error::unsupported("NOT ENFORCED"));
    }
    let initially = characteristics.initially.as_ref();
    settled(
        characteristics.deferrable,
        initially.map(|initially| *initially == ast::DeferrableInitial::Deferred),
    )
}

/// `[[NOT] DEFERRABLE] [INITIALLY {DEFERRED | IMMEDIATE}]`, in any order.
pub fn deferral_words(w: &mut Words) -> Parsed<Deferral> {
    let (mut deferrable, mut deferred) = (None, None);
    loop {
        if w.accept("DEFERRABLE") {
            deferrable = Some(true);
        } else if w.accept("NOT DEFERRABLE") {
            deferrable = Some(false);
        } else if w.accept("INITIALLY DEFERRED") {
            deferred = Some(true);
        } else if w.accept("INITIALLY IMMEDIATE") {
            deferred = Some(false);
        } else {
            return Ok(settled(deferrable, deferred)?);
        }
    }
}

fn settled(deferrable: Option<bool>, deferred: Option<bool>) -> Result<Deferral> {
    match (deferrable, deferred == Some(true)) {
        (Some(false), true) => {
            let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
            Err(Error::new(SqlState::SYNTAX_ERROR, message))
        }
        (_, true) => Ok(Deferral::Initially),
        (Some(true), false) => Ok(Deferral::Possible),
        _ => Ok(Deferral::Never),
    }
}
