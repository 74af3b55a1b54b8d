//! Marks on queries of WITH that are to run once however often they are read.
//!
//! ```text
//!   WITH t AS (SELECT random() AS r)
//!   WITH t AS (SELECT * FROM (SELECT random() AS r) AS "once 7")
//! ```
//!
//! Those that may be volatile are marked, and those that are MATERIALIZED and read more than once; [`crate::planner::once`]
//! does the rest. A recursive query stands as it is, as the planner wants it, and is read through one that is marked:
//!
//! ```text
//!   WITH RECURSIVE t AS (... FROM t ...) SELECT ... FROM t AS a, t AS b
//!   WITH RECURSIVE t AS (... FROM t ...), "once t" AS (SELECT * FROM (SELECT * FROM t) AS "once 8")
//!   SELECT ... FROM "once t" AS a, "once t" AS b
//! ```

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::sql::sqlparser::ast::{
    self, Cte, CteAsMaterialized, Ident, Query, SelectItem, TableAlias, TableFactor, Visit, With,
};

use crate::error::Result;
use crate::planner::once::{MARK, MATERIALIZED};
use crate::sql::aliases;
use crate::sql::known::Known;
use crate::sql::recursive_terms::{mentions, redefines};
use crate::sql::trees::{alias_of, derived, named, query_from, query_of, rows_of};
use crate::sql::visit;
use crate::sql::volatile;
use crate::sql::with_order::Renamer;
use crate::sql::words::{fold, object_name};

/// The last query that was marked. A view that is read twice is two queries, so numbers are not given twice.
static MARKED: AtomicU64 = AtomicU64::new(0);

/// Marks the queries of a query's own WITH.
pub fn mark(query: &mut Query, known: &Known, hidden: &[String]) {
    let Some(mut with) = query.with.take() else { return };
    let mut names = hidden.to_vec();
    names.extend(with.cte_tables.iter().map(|cte| fold(&cte.alias.name)));
    let mut number = 0;
    while number < with.cte_tables.len() {
        let cte = &with.cte_tables[number];
        let name = fold(&cte.alias.name);
        let asked = is_asked(cte) && reads_of(query, &with, number, &name) > 1;
        if is_marked(cte) || !(asked || may_differ(cte.query.as_ref(), known, &names)) {
            number += 1;
            continue;
        }
        let prefix = if asked { MATERIALIZED } else { MARK };
        if with.recursive && mentions(&cte.query, &name) > 0 {
            if reads_of(query, &with, number, &name) > 0 && !redefined(query, &with, &name) {
                read_through(query, &mut with, number, prefix);
                number += 1;
            }
        } else {
            wrap(&mut with.cte_tables[number], prefix);
        }
        number += 1;
    }
    query.with = Some(with);
}

/// Marks those queries of a WITH, which will stand in each place where their names do, that are read more than once or
/// are seen to be volatile.
pub fn mark_copied(with: &mut With, statement: &impl Visit) -> Result<()> {
    for number in 0..with.cte_tables.len() {
        let cte = &with.cte_tables[number];
        let name = fold(&cte.alias.name);
        let reads = reads_of(statement, with, number, &name);
        let differs = reads > 1 || may_differ(cte.query.as_ref(), &Known::default(), &[]);
        let recursive = with.recursive && mentions(cte.query.as_ref(), &name) > 0;
        if !differs || recursive || is_marked(cte) {
            continue;
        }
        let asked = is_asked(cte) && reads > 1;
        let cte = &mut with.cte_tables[number];
        aliases::complete_with(&mut cte.alias, &cte.query)?;
        wrap(cte, if asked { MATERIALIZED } else { MARK });
    }
    Ok(())
}

/// How often a query of WITH, that of this number, is read by the statement and the queries behind it.
fn reads_of(statement: &impl Visit, with: &With, number: usize, name: &str) -> usize {
    let later = with.cte_tables[number + 1..].iter().map(|cte| mentions(cte.query.as_ref(), name));
    mentions(statement, name) + later.sum::<usize>()
}

/// Whether MATERIALIZED stands there.
fn is_asked(cte: &Cte) -> bool {
    cte.materialized == Some(CteAsMaterialized::Materialized)
}

/// Whether a query calls a volatile function, or reads a view, which may.
fn may_differ(query: &Query, known: &Known, hidden: &[String]) -> bool {
    let reads = visit::relations(query, |name| {
        let called = object_name(name);
        match volatile::is_one(&called.name) || known.is_view(name, hidden) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    volatile::is_called(query) || reads.is_break()
}

fn is_marked(cte: &Cte) -> bool {
    let ast::SetExpr::Select(select) = cte.query.body.as_ref() else { return false };
    let [ast::TableWithJoins { relation: TableFactor::Derived { alias: Some(alias), .. }, .. }] =
        select.from.as_slice()
    else {
        return false;
    };
    [MARK, MATERIALIZED].iter().any(|prefix| alias.name.value.starts_with(prefix))
}

/// `SELECT * FROM (query) AS "once 7"`
fn wrap(cte: &mut Cte, prefix: &str) {
    let number = MARKED.fetch_add(1, Ordering::Relaxed);
    let name = Ident::with_quote('"', format!("{prefix}{number}"));
    // Its columns may be called alike, which only their new names tell apart.
    let alias = TableAlias { columns: cte.alias.columns.clone(), ..alias_of(name) };
    let body = std::mem::replace(cte.query.as_mut(), query_of(Vec::new()));
    let all = vec![SelectItem::Wildcard(Default::default())];
    *cte.query = query_from(all, derived(false, body, alias));
}

/// Whether a WITH inside gives the name to another query.
fn redefined(query: &Query, with: &With, name: &str) -> bool {
    redefines(query, name) || with.cte_tables.iter().any(|cte| redefines(&cte.query, name))
}

/// Puts a marked query behind the recursive one of this number, and has it read instead.
fn read_through(query: &mut Query, with: &mut With, number: usize, prefix: &str) {
    let name = with.cte_tables[number].alias.name.clone();
    let through = Ident::with_quote('"', format!("{prefix}{}", fold(&name)));
    let mut cte = named(through.clone(), rows_of(&name));
    wrap(&mut cte, prefix);
    let mut renamer = Renamer::of(vec![(fold(&name), through)]);
    let _ = visit::walk_mut(query, &mut renamer);
    for later in &mut with.cte_tables[number + 1..] {
        let _ = visit::walk_mut(later.query.as_mut(), &mut renamer);
    }
    with.cte_tables.insert(number + 1, cte);
}
