//! Reading what ALTER TABLE says about how PostgreSQL keeps a table: shown and dumped, without effect.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result, SqlState};
use crate::sql::statement::AlterAction;
use crate::sql::storage_parameters;
use crate::sql::words::{Parsed, Words};

/// ALTER COLUMN ... SET STORAGE and its like, by the words.
#[derive(Clone, Debug)]
pub enum ColumnHint {
    Storage(String),
    Compression(String),
    Statistics(i64),
    /// SET or RESET of these.
    Options(Vec<(String, Option<String>)>),
}

/// Behind REPLICA IDENTITY.
#[derive(Clone, Debug)]
pub enum Identity {
    Default,
    Full,
    Nothing,
    /// USING INDEX
    Index(String),
}

/// CLUSTER ON, REPLICA IDENTITY, SET LOGGED; none when something else is next.
pub fn of_table(w: &mut Words) -> Parsed<Option<AlterAction>> {
    if w.accept("REPLICA IDENTITY") {
        let identity = if w.accept("DEFAULT") {
            Identity::Default
        } else if w.accept("FULL") {
            Identity::Full
        } else if w.accept("NOTHING") {
            Identity::Nothing
        } else {
            w.expect("USING INDEX")?;
            Identity::Index(w.identifier()?)
        };
        return Ok(Some(AlterAction::ReplicaIdentity(identity)));
    }
    if w.accept("CLUSTER ON") {
        return Ok(Some(AlterAction::ClusterOn(Some(w.identifier()?))));
    }
    if w.accept("SET WITHOUT CLUSTER") {
        return Ok(Some(AlterAction::ClusterOn(None)));
    }
    for (words, logged) in [("SET LOGGED", true), ("SET UNLOGGED", false)] {
        if w.accept(words) {
            return Ok(Some(AlterAction::Logged(logged)));
        }
    }
    Ok(None)
}

/// Behind ALTER COLUMN and its name.
pub fn of_column(w: &mut Words) -> Parsed<Option<ColumnHint>> {
    if w.accept("SET STATISTICS") {
        return Ok(Some(ColumnHint::Statistics(w.integer()?)));
    }
    if w.accept("SET STORAGE") {
        return Ok(Some(ColumnHint::Storage(w.identifier()?)));
    }
    if w.accept("SET COMPRESSION") {
        return Ok(Some(ColumnHint::Compression(w.identifier()?)));
    }
    if *w.peek_nth(1) == Token::LParen && (w.at("SET") || w.at("RESET")) {
        return Ok(Some(ColumnHint::Options(storage_parameters::changed(w, check_option)?)));
    }
    Ok(None)
}

/// 22023 for what PostgreSQL does not take: estimates of how many values there are.
fn check_option(name: &str, value: &str) -> Result<()> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    if !matches!(name, "n_distinct" | "n_distinct_inherited") {
        return Err(invalid(format!("unrecognized parameter \"{name}\"")));
    }
    match value.parse::<f64>() {
        Ok(number) if number >= -1.0 => Ok(()),
        Ok(_) => Err(invalid(format!("value {value} out of bounds for option \"{name}\"")).detail(format!(
            "Valid values are between \"{:.6}\" and \"{:.6}\".",
            -1.0,
            f64::MAX
        ))),
        Err(_) => Err(invalid(format!("invalid value for floating point option \"{name}\": {value}"))),
    }
}
