//! Tables of one name in one FROM.
//!
//! `FROM a.t, b.t` is allowed: they are told apart by their schemas, and `t.x` is ambiguous. The planner would take the
//! first of them for whatever `t.x` means, so a table that is named without its schema gets it here, and names that leave
//! it open are refused.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor,
};

use crate::catalog::TEMPORARY_SCHEMA;
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::TEMPORARY_ALIAS;
use crate::sql::known::{Known, factors, factors_mut, qualifier, quoted};
use crate::sql::rewrite::folded;
use crate::sql::system_columns;
use crate::sql::using;
use crate::sql::visit;
use crate::table::provider::SLOT_COLUMN;

/// Names tables of one name by their schemas. `hidden` are the names of WITH.
///
/// 42712 for two relations that cannot be told apart, 42P09 for a column of either.
pub fn settle(select: &mut Select, known: &Known, hidden: &[String]) -> Result<()> {
    let mut seen: HashMap<String, Vec<Option<Vec<String>>>> = HashMap::new();
    for factor in factors(&select.from) {
        let Some(called) = qualifier(factor).and_then(|parts| parts.last().map(folded)) else { continue };
        let table = whole_name(factor, known, hidden);
        let others = seen.entry(called.clone()).or_default();
        if others.iter().any(|other| table.is_none() || other.is_none() || *other == table) {
            let message = format!("table name \"{called}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_ALIAS, message));
        }
        others.push(table);
    }
    for alias in using::aliases(&select.from) {
        if seen.insert(alias.clone(), Vec::new()).is_some() {
            let message = format!("table name \"{alias}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_ALIAS, message));
        }
    }
    seen.retain(|_, tables| tables.len() > 1);
    if seen.is_empty() {
        return Ok(());
    }
    for factor in factors_mut(&mut select.from) {
        let Some(whole) = whole_name(factor, known, hidden) else { continue };
        let TableFactor::Table { name, alias, .. } = factor else { continue };
        if whole.last().is_some_and(|last| seen.contains_key(last)) {
            *alias = None;
            if name.0.len() == 1 {
                // Statements call the schema of temporary tables so.
                let part = |part: &String| match part.starts_with(TEMPORARY_SCHEMA) {
                    true => quoted(TEMPORARY_ALIAS),
                    false => quoted(part),
                };
                *name = ObjectName::from(whole.iter().map(part).collect::<Vec<_>>());
            }
        }
    }
    refuse_open(select, &seen)
}

/// The name with its schema of a table that goes by its own name; `None` for what is called otherwise.
fn whole_name(factor: &TableFactor, known: &Known, hidden: &[String]) -> Option<Vec<String>> {
    let name = system_columns::named_by_itself(factor)?;
    match name.0.as_slice() {
        [part] if part.as_ident().is_some_and(|part| hidden.contains(&folded(part))) => None,
        _ => Some(known.whole_name(name)),
    }
}

/// 42P09 for `t.x` and `t.*` where t is one of several.
fn refuse_open(select: &Select, several: &HashMap<String, Vec<Option<Vec<String>>>>) -> Result<()> {
    let ambiguous = |name: &str| {
        let message = format!("table reference \"{name}\" is ambiguous");
        Err(Error::new(SqlState("42P09"), message))
    };
    for item in &select.projection {
        if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
            && let [part] = name.0.as_slice()
            && let Some(name) = part.as_ident().map(folded).filter(|name| several.contains_key(name))
        {
            return ambiguous(&name);
        }
    }
    let open = visit::own_expressions(select, |expr| match expr {
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [relation, column] if column.value != SLOT_COLUMN && several.contains_key(&folded(relation)) => {
                ControlFlow::Break(folded(relation))
            }
            _ => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    });
    match open {
        ControlFlow::Break(name) => ambiguous(&name),
        ControlFlow::Continue(()) => Ok(()),
    }
}
