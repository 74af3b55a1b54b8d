//! Names that nobody gave: PostgreSQL's, because programs and dumps refer to them.

use std::collections::HashSet;

use crate::catalog::{Catalog, Table};

/// PostgreSQL's NAMEDATALEN - 1, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// Makes names that are not taken in a schema, nor by the statement itself.
pub struct Namer<'a> {
    catalog: &'a Catalog,
    schema: &'a str,
    given: HashSet<String>,
}

impl<'a> Namer<'a> {
    pub fn new(catalog: &'a Catalog, schema: &'a str) -> Namer<'a> {
        Namer { catalog, schema, given: HashSet::new() }
    }

    /// Notes a name that the statement itself uses.
    pub fn reserve(&mut self, name: &str) {
        self.given.insert(name.to_string());
    }

    /// `first[_second]_label`, shortened to fit, with a number when it is taken as a relation.
    pub fn relation(&mut self, first: &str, second: &str, label: &str) -> String {
        let taken = |namer: &Self, name: &str| namer.catalog.relation(namer.schema, name).is_some();
        self.free(first, second, label, taken)
    }

    /// The same among a table's constraints.
    pub fn constraint(&mut self, table: &Table, first: &str, second: &str, label: &str) -> String {
        let taken = |_: &Self, name: &str| table.constraints.iter().any(|constraint| constraint.name == name);
        self.free(first, second, label, taken)
    }

    fn free(
        &mut self,
        first: &str,
        second: &str,
        label: &str,
        taken: impl Fn(&Self, &str) -> bool,
    ) -> String {
        let mut number = 0;
        loop {
            let label = if number == 0 { label.to_string() } else { format!("{label}{number}") };
            let name = shortened(first, second, &label);
            if !self.given.contains(&name) && !taken(self, &name) {
                self.given.insert(name.clone());
                return name;
            }
            number += 1;
        }
    }
}

/// PostgreSQL's makeObjectName: the longer of the two parts loses bytes first.
fn shortened(first: &str, second: &str, label: &str) -> String {
    let separators = 1 + usize::from(!second.is_empty());
    let room = NAME_BYTES_MAX.saturating_sub(label.len() + separators);
    let (mut a, mut b) = (first.len(), second.len());
    while a + b > room {
        if a > b { a -= 1 } else { b -= 1 }
    }
    let cut = |text: &str, end: usize| {
        let end = (0..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text[..end].to_string()
    };
    match second {
        "" => format!("{}_{label}", cut(first, a)),
        _ => format!("{}_{}_{label}", cut(first, a), cut(second, b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit() {
        assert_eq!(shortened("items", "", "pkey"), "items_pkey");
        assert_eq!(shortened("items", "a_b", "key"), "items_a_b_key");
        assert_eq!(shortened(&"t".repeat(80), &"c".repeat(10), "seq").len(), 63);
    }

    #[test]
    fn taken_names_get_numbers() {
        let catalog = Catalog::new();
        let mut namer = Namer::new(&catalog, "public");
        assert_eq!(namer.relation("t", "c", "key"), "t_c_key");
        assert_eq!(namer.relation("t", "c", "key"), "t_c_key1");
    }
}
