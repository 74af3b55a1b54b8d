//! Columns of a query around, where a table inside has a column that is called as the relation outside.
//!
//! The planner takes the relation's name for the column's, and what follows for a field of it. With a schema before it
//! there is nothing to mistake:
//!
//! ```text
//!   SELECT FROM category WHERE EXISTS (SELECT FROM items WHERE items.category = category.id)
//!   SELECT FROM category WHERE EXISTS (SELECT FROM items WHERE items.category = public.category.id)
//! ```

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Select, TableFactor};

use crate::catalog::PUBLIC_SCHEMA;
use crate::sql::known::{Known, factors, qualifier, quoted};
use crate::sql::rewrite::folded;

/// What can be named where an expression stands: a scope for each SELECT around it, the outermost first.
#[derive(Default)]
pub struct Scopes {
    open: Vec<Scope>,
}

struct Scope {
    relations: Vec<Relation>,
    /// Those of its relations, as far as they are known before planning; of the outermost scope nobody asks.
    columns: Vec<String>,
    /// Whether it has relations of which they are not: a query of WITH, or one with a `*`.
    may_have_others: bool,
}

struct Relation {
    name: String,
    /// What it is where it has no alias.
    table: Option<ObjectName>,
}

impl Scopes {
    pub fn enter(&mut self, select: &Select, known: &Known, hidden: &[String]) {
        let factors = factors(&select.from);
        let relations = factors.iter().filter_map(|factor| relation(factor)).collect();
        let mut columns = Vec::new();
        let mut may_have_others = false;
        if !self.open.is_empty() {
            for factor in factors {
                match known.columns_of(factor, hidden) {
                    Some(found) => columns.extend(found.names),
                    None => may_have_others |= is_query(factor, hidden),
                }
            }
        }
        self.open.push(Scope { relations, columns, may_have_others });
    }

    pub fn leave(&mut self) {
        self.open.pop();
    }

    /// Puts a schema before a name that the planner would misread.
    pub fn qualify(&self, expr: &mut Expr, known: &Known, hidden: &[String]) {
        let Expr::CompoundIdentifier(parts) = expr else { return };
        let [relation, _] = parts.as_slice() else { return };
        let name = folded(relation);
        let mut is_column = false;
        for scope in self.open.iter().rev() {
            if let Some(found) = scope.relations.iter().find(|relation| relation.name == name) {
                if is_column {
                    // What has an alias, or is a query of WITH, is in no schema, and any will do.
                    let schema = match found.table.as_ref().filter(|table| !is_hidden(table, hidden)) {
                        Some(table) => known.schema_of(table, hidden),
                        None => Some(PUBLIC_SCHEMA.to_owned()),
                    };
                    if let Some(schema) = schema {
                        parts.insert(0, quoted(&schema));
                    }
                }
                return;
            }
            is_column |= scope.may_have_others || scope.columns.contains(&name);
        }
    }
}

/// Whether it is a query, of FROM or of WITH.
fn is_query(factor: &TableFactor, hidden: &[String]) -> bool {
    match factor {
        TableFactor::Table { name, args: None, .. } => is_hidden(name, hidden),
        TableFactor::Derived { .. } => true,
        _ => false,
    }
}

fn is_hidden(name: &ObjectName, hidden: &[String]) -> bool {
    matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|part| hidden.contains(&folded(part))))
}

fn relation(factor: &TableFactor) -> Option<Relation> {
    let name = folded(qualifier(factor)?.last()?);
    let table = match factor {
        TableFactor::Table { name, alias: None, .. } => Some(name.clone()),
        _ => None,
    };
    Some(Relation { name, table })
}
