//! Storage parameters of tables: PostgreSQL's heap and its vacuum are tuned by them, and neither is here.
//!
//! They are checked as PostgreSQL checks them and told of as without effect, so that a schema which names them loads. See
//! <https://www.postgresql.org/docs/17/sql-createtable.html#SQL-CREATETABLE-STORAGE-PARAMETERS>.

use datafusion::sql::sqlparser::ast::{Expr, SqlOption};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result, SqlState};
use crate::sql::response::Severity;
use crate::sql::session::Session;
use crate::sql::trees::literal;
use crate::sql::words::{Parsed, Words, fold};

enum Kind {
    Bool,
    Int(i64, i64),
    Real(f64, f64),
    Choice(&'static [&'static str]),
}

const INT_MAX: i64 = i32::MAX as i64;

/// With their bounds; those of `toast.` are the same but for `fillfactor` and the like.
const PARAMETERS: &[(&str, Kind)] = &[
    ("autovacuum_analyze_scale_factor", Kind::Real(0.0, 100.0)),
    ("autovacuum_analyze_threshold", Kind::Int(0, INT_MAX)),
    ("autovacuum_enabled", Kind::Bool),
    ("autovacuum_freeze_max_age", Kind::Int(100_000, 2_000_000_000)),
    ("autovacuum_freeze_min_age", Kind::Int(0, 1_000_000_000)),
    ("autovacuum_freeze_table_age", Kind::Int(0, 2_000_000_000)),
    ("autovacuum_multixact_freeze_max_age", Kind::Int(10_000, 2_000_000_000)),
    ("autovacuum_multixact_freeze_min_age", Kind::Int(0, 1_000_000_000)),
    ("autovacuum_multixact_freeze_table_age", Kind::Int(0, 2_000_000_000)),
    ("autovacuum_vacuum_cost_delay", Kind::Real(0.0, 100.0)),
    ("autovacuum_vacuum_cost_limit", Kind::Int(1, 10_000)),
    ("autovacuum_vacuum_insert_scale_factor", Kind::Real(0.0, 100.0)),
    ("autovacuum_vacuum_insert_threshold", Kind::Int(-1, INT_MAX)),
    ("autovacuum_vacuum_scale_factor", Kind::Real(0.0, 100.0)),
    ("autovacuum_vacuum_threshold", Kind::Int(0, INT_MAX)),
    ("fillfactor", Kind::Int(10, 100)),
    ("log_autovacuum_min_duration", Kind::Int(-1, INT_MAX)),
    ("parallel_workers", Kind::Int(0, 1024)),
    ("toast_tuple_target", Kind::Int(128, 8160)),
    ("user_catalog_table", Kind::Bool),
    ("vacuum_index_cleanup", Kind::Choice(&["auto", "on", "off", "true", "false", "yes", "no", "1", "0"])),
    ("vacuum_truncate", Kind::Bool),
];

/// The parameters in `WITH (name = value, ...)`; 22023 for what PostgreSQL does not take.
pub fn of_options(options: &[SqlOption]) -> Result<Vec<(String, String)>> {
    let parameter = |option: &SqlOption| {
        let (name, value) = match option {
            SqlOption::KeyValue { key, value } => (fold(key), text_of(value)),
            SqlOption::Ident(name) => (fold(name), "true".to_owned()),
            _ => return Err(Error::unsupported("this form of CREATE TABLE")),
        };
        check(&name, &value)?;
        Ok((name, value))
    };
    let parameters: Vec<(String, String)> = options.iter().map(parameter).collect::<Result<_>>()?;
    refuse_twice(parameters.iter().map(|(name, _)| name.as_str()))?;
    Ok(parameters)
}

/// `SET (name = value, ...)` or `RESET (name, ...)`, each checked by `check`.
pub fn changed(
    w: &mut Words,
    check: impl Fn(&str, &str) -> Result<()>,
) -> Parsed<Vec<(String, Option<String>)>> {
    let sets = w.accept("SET");
    if !sets {
        w.expect("RESET")?;
    }
    listed(w, sets, check)
}

/// What stands in parentheses behind WITH, SET and RESET.
pub fn listed(
    w: &mut Words,
    sets: bool,
    check: impl Fn(&str, &str) -> Result<()>,
) -> Parsed<Vec<(String, Option<String>)>> {
    let changes = w.parenthesised(|w| {
        let mut name = w.identifier()?;
        if w.accept_token(&Token::Period) {
            name = format!("{name}.{}", w.identifier()?);
        }
        if !sets {
            return Ok((name, None));
        }
        let value = match w.accept_token(&Token::Eq) {
            true => text_of(&w.expression()?),
            false => "true".to_owned(),
        };
        check(&name, &value)?;
        Ok((name, Some(value)))
    })?;
    refuse_twice(changes.iter().map(|(name, _)| name.as_str()))?;
    Ok(changes)
}

/// Those that the table itself has: PostgreSQL keeps those of `toast.` elsewhere.
pub fn of_table(parameters: &[(String, String)]) -> Vec<(String, String)> {
    parameters.iter().filter(|(name, _)| is_of_table(name)).cloned().collect()
}

fn is_of_table(name: &str) -> bool {
    !name.starts_with("toast.")
}

/// SET (name = value) and RESET (name), for which there is no value.
pub fn change(parameters: &mut Vec<(String, String)>, changes: &[(String, Option<String>)]) {
    parameters.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let set = changes.iter().filter(|(name, _)| is_of_table(name));
    parameters.extend(set.filter_map(|(name, value)| Some((name.clone(), value.clone()?))));
}

pub fn text_of(value: &Expr) -> String {
    literal(value).map_or_else(|| value.to_string(), str::to_owned)
}

/// 22023 for a name that stands there again.
pub fn refuse_twice<'n>(names: impl Iterator<Item = &'n str>) -> Result<()> {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            let message = format!("parameter \"{name}\" specified more than once");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        seen.push(name);
    }
    Ok(())
}

/// 22023 for a value that a parameter of an index does not take: of all that are known, those that are named here.
pub fn check_of_index(name: &str, value: &str, known: &[&str]) -> Result<()> {
    match name {
        _ if !known.contains(&name) => {
            let message = format!("unrecognized parameter \"{name}\"");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
        "deduplicate_items" | "fastupdate" => check_value(name, value, &Kind::Bool),
        "buffering" => check_value(name, value, &Kind::Choice(&["auto", "on", "off"])),
        "gin_pending_list_limit" => check_value(name, value, &Kind::Int(64, INT_MAX)),
        _ => check(name, value),
    }
}

/// 22023 for an unknown name and for a value that is none of it.
pub fn check(name: &str, value: &str) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let bare = name.strip_prefix("toast.").unwrap_or(name);
    let Some((_, kind)) = PARAMETERS.iter().find(|(known, _)| *known == bare) else {
        return invalid(format!("unrecognized parameter \"{bare}\""));
    };
    check_value(bare, value, kind)
}

fn check_value(bare: &str, value: &str, kind: &Kind) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let out = |low: String, high: String| {
        let error = Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("value {value} out of bounds for option \"{bare}\""),
        );
        Err(error.detail(format!("Valid values are between \"{low}\" and \"{high}\".")))
    };
    let lower = value.to_lowercase();
    match *kind {
        Kind::Bool if !["true", "false", "on", "off", "yes", "no", "1", "0"].contains(&lower.as_str()) => {
            invalid(format!("invalid value for boolean option \"{bare}\": {value}"))
        }
        Kind::Choice(choices) if !choices.contains(&lower.as_str()) => {
            invalid(format!("invalid value for enum option \"{bare}\": {value}"))
        }
        Kind::Int(low, high) => match value.parse::<i64>() {
            Err(_) => invalid(format!("invalid value for integer option \"{bare}\": {value}")),
            Ok(number) if !(low..=high).contains(&number) => out(low.to_string(), high.to_string()),
            Ok(_) => Ok(()),
        },
        Kind::Real(low, high) => match value.parse::<f64>() {
            Err(_) => invalid(format!("invalid value for floating point option \"{bare}\": {value}")),
            Ok(number) if !(low..=high).contains(&number) => out(format!("{low:.6}"), format!("{high:.6}")),
            Ok(_) => Ok(()),
        },
        Kind::Bool | Kind::Choice(_) => Ok(()),
    }
}

impl Session {
    /// Tells the client that these change nothing.
    pub(super) fn warn_of_parameters<'n>(&mut self, names: impl Iterator<Item = &'n String>) {
        for name in names {
            let message = format!("storage parameter \"{name}\" has no effect");
            self.notice(Severity::Warning, Error::new(SqlState("01000"), message));
        }
    }
}
