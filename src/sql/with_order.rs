//! WITH RECURSIVE in the order in which its queries read each other.
//!
//! PostgreSQL's may read those that come later, and a recursive one may have a WITH of its own; the planner knows none but
//! those before, and drops what a recursive query has of its own:
//!
//! ```text
//!   WITH RECURSIVE x AS (WITH one AS (SELECT 1 AS n) SELECT n FROM one UNION ALL SELECT n + k FROM x, y), y AS (...)
//!   WITH RECURSIVE y AS (...), "one of x" AS (SELECT 1 AS n), x AS (SELECT n FROM "one of x" AS one UNION ALL ...)
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Cte, Ident, ObjectName, Query, SetExpr, TableFactor, VisitorMut,
};

use crate::sql::recursive_terms::mentions;
use crate::sql::trees::alias_of;
use crate::sql::visit;
use crate::sql::words::{fold, object_name};

/// Puts the queries of WITH RECURSIVE in order, and those of the recursive ones before them.
pub fn settle(query: &mut Query) {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else { return };
    let mut waiting: Vec<Cte> = std::mem::take(&mut with.cte_tables);
    while !waiting.is_empty() {
        let names: Vec<String> = waiting.iter().map(|cte| fold(&cte.alias.name)).collect();
        let is_ready = |(place, cte): (usize, &Cte)| {
            let mut others = names.iter().enumerate().filter(|(other, _)| *other != place);
            others.all(|(_, name)| mentions(cte.query.as_ref(), name) == 0)
        };
        // Where each waits for another the planner says so.
        let place = waiting.iter().enumerate().position(is_ready).unwrap_or(0);
        let mut cte = waiting.remove(place);
        let inner = taken_out(&mut cte);
        with.cte_tables.extend(inner);
        with.cte_tables.push(cte);
    }
}

/// Gives the queries of WITH whose names hide those of queries around, `hidden`, names of their own, as the planner knows one
/// of a name.
pub fn rename_hiding(query: &mut Query, hidden: &[String]) {
    let Some(mut with) = query.with.take() else { return };
    let mut renamer = Renamer { known: Vec::new(), hidden: Vec::new() };
    for cte in &mut with.cte_tables {
        let old = fold(&cte.alias.name);
        let hides = hidden.contains(&old);
        let places = hidden.len()..;
        let new = places.map(|place| format!("{old} of {place}")).find(|name| !hidden.contains(name));
        let known = (old.clone(), Ident::with_quote('"', new.unwrap_or(old)));
        if hides && with.recursive {
            renamer.known.push(known.clone());
        }
        if !renamer.known.is_empty() {
            let _ = visit::walk_mut(&mut cte.query, &mut renamer);
        }
        if hides {
            cte.alias.name = known.1.clone();
        } else {
            // It hides one that was renamed.
            renamer.known.retain(|(renamed, _)| *renamed != known.0);
        }
        if hides && !with.recursive {
            renamer.known.push(known);
        }
    }
    if !renamer.known.is_empty() {
        let _ = visit::walk_mut(query, &mut renamer);
    }
    query.with = Some(with);
}

/// The queries of the WITH of a query that may be recursive, under names that nobody else has.
fn taken_out(cte: &mut Cte) -> Vec<Cte> {
    let name = fold(&cte.alias.name);
    if !matches!(cte.query.body.as_ref(), SetExpr::SetOperation { .. }) {
        return Vec::new();
    }
    let Some(own) = cte.query.with.take() else { return Vec::new() };
    if own.cte_tables.iter().any(|inner| mentions(inner.query.as_ref(), &name) > 0) {
        // It is told what is wrong with it.
        cte.query.with = Some(own);
        return Vec::new();
    }
    let mut renamer = Renamer { known: Vec::new(), hidden: Vec::new() };
    let mut taken = Vec::with_capacity(own.cte_tables.len());
    for mut inner in own.cte_tables {
        let old = fold(&inner.alias.name);
        let new = Ident::with_quote('"', format!("{old} of {name}"));
        let itself = (old.clone(), new.clone());
        if own.recursive {
            renamer.known.push(itself.clone());
        }
        let _ = visit::walk_mut(&mut inner.query, &mut renamer);
        if !own.recursive {
            renamer.known.push(itself);
        }
        inner.alias.name = new;
        taken.push(inner);
    }
    let _ = visit::walk_mut(cte.query.as_mut(), &mut renamer);
    taken
}

/// Gives relations their new names; columns find them by the old ones.
pub struct Renamer {
    known: Vec<(String, Ident)>,
    /// What the WITHs of the queries around call so.
    hidden: Vec<Vec<String>>,
}

impl Renamer {
    /// Of these old names.
    pub fn of(known: Vec<(String, Ident)>) -> Renamer {
        Renamer { known, hidden: Vec::new() }
    }

    /// A query of WITH that is not recursive reads by its own name, and by those that follow, what stands outside.
    fn rename_before_hidden(&self, query: &mut Query) {
        let Some(with) = query.with.as_mut().filter(|with| !with.recursive) else { return };
        let mut known = self.known.clone();
        known.retain(|(old, _)| !self.hidden.iter().any(|names| names.contains(old)));
        let names: Vec<String> = with.cte_tables.iter().map(|cte| fold(&cte.alias.name)).collect();
        if !known.iter().any(|(old, _)| names.contains(old)) {
            return;
        }
        for cte in &mut with.cte_tables {
            if known.is_empty() {
                return;
            }
            let _ = visit::walk_mut(cte.query.as_mut(), &mut Renamer::of(known.clone()));
            let name = fold(&cte.alias.name);
            known.retain(|(old, _)| *old != name);
        }
    }
}

impl VisitorMut for Renamer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.rename_before_hidden(query);
        let own = query.with.iter().flat_map(|with| &with.cte_tables);
        self.hidden.push(own.map(|cte| fold(&cte.alias.name)).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.hidden.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let read = object_name(name);
        if read.schema.is_some() || self.hidden.iter().any(|names| names.contains(&read.name)) {
            return ControlFlow::Continue(());
        }
        let found = self.known.iter().rev().find(|(old, _)| *old == read.name);
        if let Some((old, new)) = found {
            *name = ObjectName::from(vec![new.clone()]);
            alias.get_or_insert_with(|| named(old));
        }
        ControlFlow::Continue(())
    }
}

fn named(name: &str) -> ast::TableAlias {
    alias_of(Ident::with_quote('"', name))
}
