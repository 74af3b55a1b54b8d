//! Columns of subqueries that are called alike.
//!
//! The planner wants names that differ. They get a number behind a character that nobody writes, and lose it where names are
//! shown.

/// Between a name and the number that tells it from others: the "unit separator".
const NUMBERED: char = '\u{1f}';

/// A name that differs from those of other columns.
pub fn numbered(name: &str, position: usize) -> String {
    format!("{name}{NUMBERED}{position}")
}

/// The name as clients see it.
pub fn shown(name: &str) -> &str {
    name.split_once(NUMBERED).map_or(name, |(name, _)| name)
}
