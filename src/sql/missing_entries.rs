//! "invalid reference to FROM-clause entry": a table that FROM names, and that cannot be named where it was.
//!
//! The planner says that there is no such table. It may be called otherwise (`SELECT t.id FROM t AS x`), or stand where it
//! cannot be seen from (`FROM t, (SELECT t.id) AS s`); PostgreSQL tells these apart.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Select, TableAlias, TableFactor, Visitor};

use crate::error::{Error, SqlState};
use crate::sql::known::factors;
use crate::sql::rewrite::folded;
use crate::sql::visit;

/// The error, in the words that tell what is the matter.
pub fn told(error: Error, query: &Query) -> Error {
    let relation = error.message().strip_prefix("missing FROM-clause entry for table \"");
    let Some(relation) = relation.and_then(|rest| rest.strip_suffix('"')) else { return error };
    let mut named = Named { relation: relation.to_owned(), around: Vec::new() };
    let ControlFlow::Break(entry) = visit::walk(query, &mut named) else { return error };
    let message = format!("invalid reference to FROM-clause entry for table \"{relation}\"");
    let told = Error::new(SqlState::UNDEFINED_TABLE, message);
    match entry {
        Entry::Called(alias) => {
            told.hint(format!("Perhaps you meant to reference the table alias \"{alias}\"."))
        }
        Entry::Hidden(lateral) => {
            let detail = format!(
                "There is an entry for table \"{relation}\", but it cannot be referenced from this part of the query."
            );
            match lateral {
                true => told
                    .detail(detail)
                    .hint("To reference that table, you must mark this subquery with LATERAL."),
                false => told.detail(detail),
            }
        }
    }
}

/// What FROM has of the name.
#[derive(Clone)]
enum Entry {
    /// The table, under this alias.
    Called(String),
    /// A table of the name; whether LATERAL would show it.
    Hidden(bool),
}

/// Looks for the first expression that names the relation where no item of FROM is called so.
struct Named {
    relation: String,
    /// What FROM has of the name, of the selects around.
    around: Vec<Option<Entry>>,
}

impl Named {
    fn entry(&self, select: &Select) -> Option<Entry> {
        factors(&select.from).into_iter().find_map(|factor| {
            let (name, alias) = match factor {
                TableFactor::Table { name, alias, .. } => (name.0.last()?.as_ident().map(folded), alias),
                TableFactor::Derived { alias, .. } => (None, alias),
                _ => return None,
            };
            let alias = alias.as_ref().map(|alias: &TableAlias| folded(&alias.name));
            match alias {
                Some(alias) if alias == self.relation => Some(Entry::Hidden(false)),
                Some(alias) if name.as_ref() == Some(&self.relation) => Some(Entry::Called(alias)),
                Some(_) => None,
                None => (name.as_ref() == Some(&self.relation)).then_some(Entry::Hidden(false)),
            }
        })
    }
}

impl Visitor for Named {
    type Break = Entry;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Entry> {
        let entry = self.entry(select);
        self.around.push(entry);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &Select) -> ControlFlow<Entry> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Entry> {
        let Expr::CompoundIdentifier(parts) = expr else { return ControlFlow::Continue(()) };
        let [table, _] = parts.as_slice() else { return ControlFlow::Continue(()) };
        if folded(table) != self.relation {
            return ControlFlow::Continue(());
        }
        let own = self.around.last().cloned().flatten();
        let outer = self.around.iter().rev().skip(1).flatten().next().cloned();
        match (own, outer) {
            (Some(Entry::Called(alias)), _) => ControlFlow::Break(Entry::Called(alias)),
            (None, Some(Entry::Hidden(_))) => ControlFlow::Break(Entry::Hidden(true)),
            (None, Some(entry)) => ControlFlow::Break(entry),
            // In a join that does not hold it.
            (Some(Entry::Hidden(_)), _) => ControlFlow::Break(Entry::Hidden(false)),
            (None, None) => ControlFlow::Continue(()),
        }
    }
}
