//! "Perhaps you meant to reference the column ...": which columns have names like one that is not there.
//!
//! The rules are those of PostgreSQL's `parse_relation.c`: names at most three changes apart, of which no more than half
//! are other letters, and no more than two columns that are equally near. The name of a table counts where one was given.

use datafusion::common::Column;

/// Names further apart are not alike.
const DISTANCE_MAX: usize = 3;

/// The hint for a column that is not among these.
pub fn of_column(relation: Option<&str>, name: &str, valid: &[Column]) -> Option<String> {
    let mut nearest = Nearest { distance: DISTANCE_MAX + 1, found: Vec::new() };
    for column in valid {
        let Some(table) = column.relation.as_ref().map(|table| table.table()) else { continue };
        // What was put there by the planner or by us is nobody's column.
        if table.starts_with("hither_") || table.contains(' ') || column.name.starts_with("hither_") {
            continue;
        }
        let beside = relation.map_or(0, |relation| changes(relation, table));
        nearest.take(beside, name, table, &column.name);
    }
    match nearest.found.as_slice() {
        [one] => Some(format!("Perhaps you meant to reference the column \"{one}\".")),
        [one, other] => {
            Some(format!("Perhaps you meant to reference the column \"{one}\" or the column \"{other}\"."))
        }
        _ => None,
    }
}

struct Nearest {
    distance: usize,
    /// `table.column` of those that are so near.
    found: Vec<String>,
}

impl Nearest {
    fn take(&mut self, beside: usize, name: &str, table: &str, column: &str) {
        if beside > self.distance {
            return;
        }
        let changed = changes(name, column);
        if changed > name.len() / 2 {
            return;
        }
        let distance = changed + beside;
        let shown = format!("{table}.{column}");
        if distance < self.distance {
            (self.distance, self.found) = (distance, vec![shown]);
        } else if distance == self.distance && distance <= DISTANCE_MAX {
            match self.found.len() {
                // Too many: only what is nearer counts from here on.
                2 => {
                    self.found.clear();
                    self.distance = distance.saturating_sub(1);
                }
                _ => self.found.push(shown),
            }
        }
    }
}

/// How many characters are put in, left out or changed between two names: Levenshtein's distance.
fn changes(left: &str, right: &str) -> usize {
    // Each character more is a change; a client may write a name of many megabytes.
    if left.len().abs_diff(right.len()) > 4 * DISTANCE_MAX {
        return left.len().max(right.len());
    }
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (count, a) in left.chars().enumerate() {
        let mut before = row[0];
        row[0] = count + 1;
        for (place, b) in right.iter().enumerate() {
            let changed = before + usize::from(a != *b);
            before = row[place + 1];
            row[place + 1] = changed.min(before + 1).min(row[place] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(relation: Option<&str>, name: &str) -> Option<String> {
        let column = |(table, name): (&str, &str)| Column::new(Some(table), name);
        let valid = [("items", "price"), ("items", "name"), ("tags", "names"), ("tags", "id")].map(column);
        of_column(relation, name, &valid)
    }

    #[test]
    fn names_that_are_near() {
        assert_eq!(changes("kitten", "sitting"), 3);
        let meant = |column: &str| Some(format!("Perhaps you meant to reference the column \"{column}\"."));
        assert_eq!(hint(None, "prise"), meant("items.price"));
        assert_eq!(hint(Some("item"), "price"), meant("items.price"));
        assert_eq!(
            hint(None, "nammes").as_deref(),
            Some("Perhaps you meant to reference the column \"tags.names\".")
        );
        assert_eq!(
            hint(None, "namez").as_deref(),
            Some("Perhaps you meant to reference the column \"items.name\" or the column \"tags.names\".")
        );
        assert_eq!(hint(None, "nothing"), None);
    }
}
