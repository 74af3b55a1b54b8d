//! Columns of subqueries that are called alike.
//!
//! The planner wants names that differ. They get a number behind a character that nobody writes, and lose it where names are
//! shown.

use crate::catalog::Oid;
use crate::types::arrow::errors::NUMBERED;

/// A name that differs from those of other columns.
pub fn numbered(name: &str, position: usize) -> String {
    format!("{name}{NUMBERED}{position}")
}

/// The name as clients see it.
pub fn shown(name: &str) -> &str {
    name.split_once(NUMBERED).map_or(name, |(name, _)| name)
}

/// What the plan of a view is called inside the plan that reads it.
pub fn of_view(oid: Oid) -> String {
    format!("{NUMBERED}{oid}")
}

/// The view whose plan is called so.
pub fn view_of(name: &str) -> Option<Oid> {
    name.strip_prefix(NUMBERED)?.parse().ok()
}
