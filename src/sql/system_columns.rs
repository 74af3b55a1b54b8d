//! `ctid`, which tables have beside their own columns (PostgreSQL's documentation, "System Columns").
//!
//! A query is planned over tables without it. When it turns out to name it, it is planned again over tables that end with
//! it ([`SystemColumns::Ctid`]), and each `*` is written out, for system columns are no part of it:
//!
//! ```text
//!   SELECT ctid, * FROM t          ─▶  SELECT ctid, t.a, t.b FROM t
//!   SELECT t.*, s.* FROM t, s ...  ─▶  SELECT t.a, t.b, s.* FROM t, s ...      s is a query's rows, with a ctid if it
//!                                                                              selects one
//! ```
//!
//! `tableoid` is an expression (`known.rs`), `xmax` is there in RETURNING of INSERT (`dml/insert.rs`). The others are
//! refused by name.

use datafusion::sql::sqlparser::ast::{
    ObjectName, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::context::PlanContext;
use crate::sql::known::{Known, factors, qualified, qualifier, quoted};
use crate::sql::rewrite::folded;

use crate::table::provider::{CTID_COLUMN, SystemColumns};

/// Plans with `plan`, over tables with `ctid` where it is missed without. What names another system column is 0A000.
pub fn plan<'a, T>(context: &PlanContext<'a>, plan: impl Fn(&PlanContext<'a>) -> Result<T>) -> Result<T> {
    let refused = match plan(context) {
        Err(error) if error.state() == SqlState::UNDEFINED_COLUMN => error,
        planned => return planned,
    };
    match missed(&refused) {
        Some(CTID_COLUMN) if context.system == SystemColumns::Ctid => Err(refused),
        Some(CTID_COLUMN) => plan(&PlanContext { system: SystemColumns::Ctid, ..*context }),
        _ => Err(self::refused(refused)),
    }
}

/// What is said of a system column that is not there: 0A000 instead of 42703.
pub fn refused(error: Error) -> Error {
    match missed(&error) {
        Some(column) => Error::unsupported(format!("the system column {column} here")),
        None => error,
    }
}

/// The system column that an error finds no such column of.
fn missed(error: &Error) -> Option<&'static str> {
    let named = error.message().strip_prefix("column ")?.strip_suffix(" does not exist")?;
    let name = named.rsplit('.').next()?.trim_matches('"');
    [CTID_COLUMN, "xmin", "cmin", "xmax", "cmax"].into_iter().find(|column| *column == name)
}

/// Writes out `*` where tables have system columns behind their own.
pub fn leave_out(select: &mut Select, known: &Known, hidden: &[String]) -> Result<()> {
    if !known.has_ctid() {
        return Ok(());
    }
    let mut written = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match &item {
            SelectItem::Wildcard(_) => {
                for factor in factors(&select.from) {
                    written.extend(all_of(factor, known, hidden)?);
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let named: Option<Vec<String>> =
                    name.0.iter().map(|part| part.as_ident().map(folded)).collect();
                let is_it = |factor: &&TableFactor| {
                    qualifier(factor).map(|parts| parts.iter().map(folded).collect()) == named
                };
                match factors(&select.from).into_iter().find(is_it) {
                    Some(factor) => written.extend(all_of(factor, known, hidden)?),
                    None => written.push(item),
                }
            }
            _ => written.push(item),
        }
    }
    select.projection = written;
    Ok(())
}

/// The columns of an item of FROM, those of a table by their names.
fn all_of(factor: &TableFactor, known: &Known, hidden: &[String]) -> Result<Vec<SelectItem>> {
    let Some(relation) = qualifier(factor) else {
        return Err(Error::unsupported("* over rows without a name beside ctid"));
    };
    let is_table = matches!(factor, TableFactor::Table { .. });
    Ok(match known.columns_of(factor, hidden).filter(|_| is_table) {
        Some(columns) => {
            let column = |name: &String| SelectItem::UnnamedExpr(qualified(&relation, &quoted(name)));
            columns.names.iter().map(column).collect()
        }
        None => {
            let name = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(relation));
            vec![SelectItem::QualifiedWildcard(name, Default::default())]
        }
    })
}
