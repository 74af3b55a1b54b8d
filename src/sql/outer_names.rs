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
        let columns = match self.open.is_empty() {
            true => Vec::new(),
            false => {
                let columns = factors.iter().filter_map(|factor| known.columns_of(factor, hidden));
                columns.flat_map(|columns| columns.names).collect()
            }
        };
        self.open.push(Scope { relations, columns });
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
                    // What has an alias is in no schema, and any will do.
                    let schema = found.table.as_ref().and_then(|table| known.schema_of(table, hidden));
                    parts.insert(0, quoted(schema.as_deref().unwrap_or(PUBLIC_SCHEMA)));
                }
                return;
            }
            is_column |= scope.columns.contains(&name);
        }
    }
}

fn relation(factor: &TableFactor) -> Option<Relation> {
    let name = folded(qualifier(factor)?.last()?);
    let table = match factor {
        TableFactor::Table { name, alias: None, .. } => Some(name.clone()),
        _ => None,
    };
    Some(Relation { name, table })
}
