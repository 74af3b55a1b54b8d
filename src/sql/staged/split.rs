//! From a statement's tree to its parts.
//!
//! WITH queries that change or lock rows become parts, and so do subqueries that lock rows, under a name of ours. A plain
//! WITH query goes into the one statement that reads it, where the planner sees through it; when several parts read it,
//! it is a part itself, so that it runs once.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Cte, Ident, SetExpr, Visit, VisitMut, VisitorMut, With};

use crate::error::{Error, Result, SqlState};
use crate::sql::dml::conflict_query;
use crate::sql::once;
use crate::sql::staged::returned;
use crate::sql::staged::{Part, Staged};
use crate::sql::statement::{Ast, Overriding};
use crate::sql::trees::{derived, named, rows_of};
use crate::sql::visit;
use crate::sql::words::{fold, object_name};

/// Names of subqueries that lock rows; not to be written without quotes.
const LOCKED: &str = "locked rows ";

/// The statement with its WITH: as it is when nothing in it has to run before it, else in parts. `locks` tells whether a
/// locking clause stands anywhere in it.
pub fn arrange(with: Option<With>, main: Ast, locks: bool) -> Result<Ast> {
    let Some((with, main)) = returned::of_main(&with, &main) else { return arrange_parts(with, main, locks) };
    let mut arranged = arrange_parts(with, main, locks)?;
    if let Ast::Staged(staged) = &mut arranged {
        staged.shows_part = true;
    }
    Ok(arranged)
}

fn arrange_parts(with: Option<With>, mut main: Ast, locks: bool) -> Result<Ast> {
    let modifies = with.iter().flat_map(|with| &with.cte_tables).any(|cte| is_change(&cte.query));
    let of_conflict = with.as_ref().map_or_else(Vec::new, |_| names_in_conflict(&main));
    let in_conflict = |cte: &Cte| of_conflict.contains(&fold(&cte.alias.name));
    let conflicts = with.iter().flat_map(|with| &with.cte_tables).any(in_conflict);
    if !modifies && !locks && !conflicts {
        return attach(with, main);
    }
    let (recursive, ctes) = match with {
        Some(with) => (with.recursive, returned::of_parts(with.cte_tables)),
        None => (false, Vec::new()),
    };
    refuse_equal_names(&ctes)?;
    let mut items = Vec::new();
    let mut taken = 0;
    for mut cte in ctes {
        take_out(&mut cte.query, 0, &mut taken, &mut items);
        items.push(Item {
            // The source of an INSERT has its WITH; what ON CONFLICT reads is to be there for it too.
            runs: is_change(&cte.query) || !cte.query.locks.is_empty() || in_conflict(&cte),
            taken_out: false,
            cte,
        });
    }
    match &mut main {
        Ast::Query(query) => take_out(query, 0, &mut taken, &mut items),
        Ast::Insert(insert, _) => take_out(insert, 1, &mut taken, &mut items),
        Ast::Update(update) => take_out(update, 1, &mut taken, &mut items),
        Ast::Delete(delete) => take_out(delete, 1, &mut taken, &mut items),
        Ast::Merge(merge) => take_out(merge, 1, &mut taken, &mut items),
        _ => {}
    }
    if items.iter().all(|item| !item.runs) {
        // The one locking clause is the outermost.
        return attach(with_of(recursive, items.into_iter().map(|item| item.cte).collect()), main);
    }
    assemble(recursive, items, main)
}

/// An INSERT whose ON CONFLICT has subqueries: they are not to see what it has written before.
pub fn at_one_moment(ast: &Ast) -> Option<Ast> {
    let Ast::Insert(insert, _) = ast else { return None };
    conflict_query::has_subqueries(insert)
        .then(|| Ast::Staged(Box::new(Staged { parts: Vec::new(), main: ast.clone(), shows_part: false })))
}

/// A WITH query, or a subquery under a name of ours.
struct Item {
    cte: Cte,
    /// Whether it changes or locks rows, or must be there for what follows.
    runs: bool,
    taken_out: bool,
}

fn is_change(query: &ast::Query) -> bool {
    matches!(
        query.body.as_ref(),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
    )
}

/// PostgreSQL's refusal of data-modifying WITH queries in cursors and views.
pub fn refuse_changes(query: &ast::Query, what: &str) -> Result<()> {
    match query.with.iter().flat_map(|with| &with.cte_tables).any(|cte| is_change(&cte.query)) {
        false => Ok(()),
        true => {
            let message = format!("{what} must not contain data-modifying statements in WITH");
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
    }
}

fn refuse_equal_names(ctes: &[Cte]) -> Result<()> {
    let mut seen = HashSet::new();
    match ctes.iter().map(|cte| fold(&cte.alias.name)).find(|name| !seen.insert(name.clone())) {
        None => Ok(()),
        Some(name) => {
            let message = format!("WITH query name \"{name}\" specified more than once");
            Err(Error::new(SqlState("42712"), message))
        }
    }
}

/// Puts the locking subqueries of a statement before it. `depth` is 0 for a query, whose own locks are its business.
fn take_out(statement: &mut impl VisitMut, depth: usize, taken: &mut usize, items: &mut Vec<Item>) {
    let _ = visit::walk_mut(statement, &mut TakeOut { depth, taken, items });
}

struct TakeOut<'a> {
    depth: usize,
    taken: &'a mut usize,
    items: &'a mut Vec<Item>,
}

impl VisitorMut for TakeOut<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        if self.depth > 0 && !query.locks.is_empty() {
            *self.taken += 1;
            let name = Ident::with_quote('"', format!("{LOCKED}{}", self.taken));
            let query = std::mem::replace(query, rows_of(&name));
            self.items.push(Item { cte: named(name, query), runs: true, taken_out: true });
        }
        ControlFlow::Continue(())
    }
}

/// The names of relations that a statement mentions without a schema, as often as it does.
fn names_of(statement: &impl ast::Visit) -> Vec<String> {
    let mut names = Vec::new();
    let _ = visit::relations(statement, |name| {
        let read = object_name(name);
        if read.schema.is_none() {
            names.push(read.name);
        }
        ControlFlow::<()>::Continue(())
    });
    names
}

/// Those that the subqueries of ON CONFLICT mention.
fn names_in_conflict(main: &Ast) -> Vec<String> {
    let Ast::Insert(insert, _) = main else { return Vec::new() };
    conflict_query::expressions(insert).flat_map(names_of).collect()
}

fn names_in_main(main: &Ast) -> Vec<String> {
    match main {
        Ast::Query(query) => names_of(query),
        Ast::Insert(insert, _) => names_of(insert),
        Ast::Update(update) => names_of(update),
        Ast::Delete(delete) => names_of(delete),
        Ast::Merge(merge) => names_of(merge),
        _ => Vec::new(),
    }
}

fn assemble(recursive: bool, items: Vec<Item>, main: Ast) -> Result<Ast> {
    let hosts = hosts(&items, &main);
    let mut parts = Vec::new();
    for (number, item) in items.iter().enumerate().filter(|(number, _)| hosts[*number].is_none()) {
        let with = with_of(recursive, inside(&items, &hosts, Some(number)));
        let alias = &item.cte.alias;
        parts.push(Part {
            name: fold(&alias.name),
            columns: alias.columns.iter().map(|column| fold(&column.name)).collect(),
            statement: part(recursive, with, item)?,
            taken_out: item.taken_out,
        });
    }
    let main = attach(with_of(recursive, inside(&items, &hosts, None)), main)?;
    Ok(Ast::Staged(Box::new(Staged { parts, main, shows_part: false })))
}

/// Where an item that is no part of its own goes: into the part of this number, or into the main statement.
type Host = Option<usize>;

/// Per item: nothing for a part of its own, else its host.
fn hosts(items: &[Item], main: &Ast) -> Vec<Option<Host>> {
    let used: Vec<Vec<String>> = items.iter().map(|item| names_of(&item.cte.query)).collect();
    let used_by_main = names_in_main(main);
    let mut hosts: Vec<Option<Host>> = vec![None; items.len()];
    for number in (0..items.len()).rev().filter(|&number| !items[number].runs) {
        let mut later = items[number + 1..].iter().filter(|item| item.runs);
        if later.any(|item| used[number].contains(&fold(&item.cte.alias.name))) {
            // It means a table of that name: as a part before that one, it finds it.
            continue;
        }
        let name = fold(&items[number].cte.alias.name);
        let mut found: Vec<Host> = Vec::new();
        if used_by_main.contains(&name) {
            found.push(None);
        }
        for reader in (number + 1..items.len()).filter(|&reader| used[reader].contains(&name)) {
            found.push(hosts[reader].unwrap_or(Some(reader)));
        }
        found.sort_unstable();
        found.dedup();
        hosts[number] = match found.as_slice() {
            // Nobody reads it: PostgreSQL checks it and does not run it.
            [] => Some(None),
            [one] => Some(*one),
            _ => None,
        };
    }
    hosts
}

fn inside(items: &[Item], hosts: &[Option<Host>], host: Host) -> Vec<Cte> {
    let here = items.iter().zip(hosts).filter(|(_, found)| **found == Some(host));
    here.map(|(item, _)| item.cte.clone()).collect()
}

pub fn with_of(recursive: bool, cte_tables: Vec<Cte>) -> Option<With> {
    let with_token = ast::helpers::attached_token::AttachedToken::empty();
    (!cte_tables.is_empty()).then_some(With { with_token, recursive, cte_tables })
}

/// What a part of its own executes.
fn part(recursive: bool, with: Option<With>, item: &Item) -> Result<Ast> {
    let query = &item.cte.query;
    if !is_change(query) && query.locks.is_empty() && recursive {
        // It may read itself.
        let mut ctes = with.map(|with| with.cte_tables).unwrap_or_default();
        ctes.push(Cte { materialized: None, ..item.cte.clone() });
        return attach(with_of(true, ctes), Ast::Query(Box::new(rows_of(&item.cte.alias.name))));
    }
    let (own, body) = (query.with.clone(), query.body.clone());
    match *body {
        SetExpr::Insert(ast::Statement::Insert(insert)) => {
            attach(merged(with, own)?, Ast::Insert(Box::new(insert), Overriding::None))
        }
        SetExpr::Update(ast::Statement::Update(update)) => {
            attach(merged(with, own)?, Ast::Update(Box::new(update)))
        }
        SetExpr::Delete(ast::Statement::Delete(delete)) => {
            attach(merged(with, own)?, Ast::Delete(Box::new(delete)))
        }
        SetExpr::Merge(ast::Statement::Merge(merge)) => {
            attach(merged(with, own)?, Ast::Merge(Box::new(merge)))
        }
        _ => attach(with, Ast::Query(query.clone())),
    }
}

/// The outer WITH's queries, then the inner one's.
fn merged(outer: Option<With>, inner: Option<With>) -> Result<Option<With>> {
    let (Some(mut outer), Some(inner)) = (outer.clone(), inner.clone()) else { return Ok(outer.or(inner)) };
    let taken: HashSet<String> = outer.cte_tables.iter().map(|cte| fold(&cte.alias.name)).collect();
    if inner.cte_tables.iter().any(|cte| taken.contains(&fold(&cte.alias.name))) {
        return Err(Error::unsupported("a WITH query that hides an outer one of the same name"));
    }
    outer.recursive |= inner.recursive;
    outer.cte_tables.extend(inner.cte_tables);
    Ok(Some(outer))
}

/// The statement with plain queries before it.
fn attach(with: Option<With>, main: Ast) -> Result<Ast> {
    let Some(with) = with else { return Ok(main) };
    match main {
        Ast::Query(mut query) => {
            query.with = merged(Some(with), query.with.take())?;
            Ok(Ast::Query(query))
        }
        Ast::Insert(mut insert, overriding) => {
            let Some(source) = insert.source.as_mut() else {
                return Err(Error::unsupported("WITH before an INSERT of this form"));
            };
            source.with = merged(Some(with), source.with.take())?;
            Ok(Ast::Insert(insert, overriding))
        }
        Ast::Update(mut update) => {
            // A WITH query of the same name is not what is changed.
            let target = update.table.clone();
            inline(with, update.as_mut())?;
            update.table = target;
            Ok(Ast::Update(update))
        }
        Ast::Delete(mut delete) => {
            let from = delete.from.clone();
            inline(with, delete.as_mut())?;
            delete.from = from;
            Ok(Ast::Delete(delete))
        }
        Ast::Merge(mut merge) => {
            if with.recursive {
                let message = "WITH RECURSIVE is not supported for MERGE statement";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            let target = merge.table.clone();
            inline(with, merge.as_mut())?;
            merge.table = target;
            Ok(Ast::Merge(merge))
        }
        other => Ok(other),
    }
}

/// WITH before UPDATE, DELETE and MERGE: `(WITH ... SELECT * FROM name)` stands where a name does, with the queries that it
/// may read: those before it, and of WITH RECURSIVE all. What is to run once is marked before it is copied.
fn inline(mut with: With, statement: &mut (impl Visit + VisitMut)) -> Result<()> {
    once::mark_copied(&mut with, statement)?;
    let known = with.cte_tables.iter().enumerate().map(|(number, cte)| {
        let end = if with.recursive { with.cte_tables.len() } else { number + 1 };
        let read = with_of(with.recursive, with.cte_tables[..end].to_vec());
        let name = &cte.alias.name;
        named(name.clone(), ast::Query { with: read, ..rows_of(name) })
    });
    let _ = visit::walk_mut(statement, &mut Inliner { known: known.collect() });
    Ok(())
}

struct Inliner {
    known: Vec<Cte>,
}

impl VisitorMut for Inliner {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        let ast::TableFactor::Table { name, alias, args: None, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let read = object_name(name);
        let found = self.known.iter().rev().find(|cte| fold(&cte.alias.name) == read.name);
        if let (Some(cte), None) = (found, &read.schema) {
            let shown = alias.take().unwrap_or_else(|| cte.alias.clone());
            *factor = derived(false, cte.query.as_ref().clone(), shown);
        }
        ControlFlow::Continue(())
    }
}
