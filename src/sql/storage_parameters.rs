//! Storage parameters of tables: PostgreSQL's heap and its vacuum are tuned by them, and neither is here.
//!
//! They are checked as PostgreSQL checks them and told of as without effect, so that a schema which names them loads. See
//! <https://www.postgresql.org/docs/17/sql-createtable.html#SQL-CREATETABLE-STORAGE-PARAMETERS>.

use datafusion::sql::sqlparser::ast::{Expr, SqlOption};

use crate::error::{Error, Result, SqlState};
use crate::sql::response::Severity;
use crate::sql::session::Session;
use crate::sql::trees::literal;
use crate::sql::words::fold;

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

/// The names of parameters in `WITH (name = value, ...)`; 22023 for what PostgreSQL does not take.
pub fn of_options(options: &[SqlOption]) -> Result<Vec<String>> {
    let name = |option: &SqlOption| match option {
        SqlOption::KeyValue { key, value } => {
            let name = fold(key);
            check(&name, &text_of(value))?;
            Ok(name)
        }
        SqlOption::Ident(name) => {
            let name = fold(name);
            check(&name, "true")?;
            Ok(name)
        }
        _ => Err(Error::unsupported("this form of CREATE TABLE")),
    };
    let names: Vec<String> = options.iter().map(name).collect::<Result<_>>()?;
    refuse_twice(&names)?;
    Ok(names)
}

pub fn text_of(value: &Expr) -> String {
    literal(value).map_or_else(|| value.to_string(), str::to_owned)
}

/// 22023 for a name that stands there again.
pub fn refuse_twice(names: &[String]) -> Result<()> {
    match names.iter().enumerate().find(|(number, name)| names[..*number].contains(name)) {
        None => Ok(()),
        Some((_, name)) => {
            let message = format!("parameter \"{name}\" specified more than once");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}

/// 22023 for an unknown name and for a value that is none of it.
pub fn check(name: &str, value: &str) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let bare = name.strip_prefix("toast.").unwrap_or(name);
    let Some((_, kind)) = PARAMETERS.iter().find(|(known, _)| *known == bare) else {
        return invalid(format!("unrecognized parameter \"{bare}\""));
    };
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
    pub(super) fn warn_of_parameters(&mut self, names: &[String]) {
        for name in names {
            let message = format!("storage parameter \"{name}\" has no effect");
            self.notice(Severity::Warning, Error::new(SqlState("01000"), message));
        }
    }
}
