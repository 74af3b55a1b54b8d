//! Subqueries in RETURNING: the change is a part that passes its rows on, and the list a query over them.
//!
//! ```text
//!   UPDATE t SET ... RETURNING id, (SELECT count(*) FROM u)
//!   part 1   UPDATE t SET ... RETURNING *
//!   main     SELECT id, (SELECT count(*) FROM u) FROM "returned rows" AS t
//! ```
//!
//! The subqueries look at the snapshot that the change looked at, as in PostgreSQL, and the client is told of the change.

use datafusion::sql::sqlparser::ast::{
    self, Cte, Delete, FromTable, Ident, ObjectName, Query, SelectItem, SetExpr, TableFactor, TableObject,
    TableWithJoins, With,
};

use crate::sql::rewrite::has_subquery;
use crate::sql::staged::split::with_of;
use crate::sql::statement::{Ast, Overriding};
use crate::sql::trees::{alias_of, named, query_from, query_of, relation};

/// The rows that were changed; not to be written without quotes.
const RETURNED: &str = "returned rows";

/// The main change as the last of WITH, and the query over its rows; `None` when its RETURNING has no subquery, or is over
/// rows of several tables.
pub fn of_main(with: &Option<With>, main: &Ast) -> Option<(Option<With>, Ast)> {
    let (change, query) = take_apart(main, RETURNED)?;
    let mut ctes: Vec<Cte> = with.iter().flat_map(|with| with.cte_tables.iter().cloned()).collect();
    ctes.push(change);
    Some((with_of(with.as_ref().is_some_and(|with| with.recursive), ctes), Ast::Query(Box::new(query))))
}

/// The changes of WITH likewise: each is two, of which the second has its name.
pub fn of_parts(ctes: Vec<Cte>) -> Vec<Cte> {
    let apart = |(number, cte): (usize, Cte)| {
        let main = match cte.query.body.as_ref() {
            _ if cte.query.with.is_some() => None,
            SetExpr::Insert(ast::Statement::Insert(insert)) => {
                Some(Ast::Insert(Box::new(insert.clone()), Overriding::None))
            }
            SetExpr::Update(ast::Statement::Update(update)) => Some(Ast::Update(Box::new(update.clone()))),
            SetExpr::Delete(ast::Statement::Delete(delete)) => Some(Ast::Delete(Box::new(delete.clone()))),
            _ => None,
        };
        match main.and_then(|main| take_apart(&main, &format!("{RETURNED} {number}"))) {
            Some((change, query)) => vec![change, Cte { query: Box::new(query), ..cte }],
            None => vec![cte],
        }
    };
    ctes.into_iter().enumerate().flat_map(apart).collect()
}

/// The change under a name, and the query over its rows.
fn take_apart(main: &Ast, returned: &str) -> Option<(Cte, Query)> {
    let list = match main {
        Ast::Insert(insert, _) => &insert.returning,
        Ast::Update(update) => &update.returning,
        Ast::Delete(delete) => &delete.returning,
        _ => &None,
    };
    let has_subquery = list.iter().flatten().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => has_subquery(expr),
        _ => false,
    });
    if !has_subquery {
        return None;
    }
    let mut change = main.clone();
    let (list, name) = list_of(&mut change)?;
    let items = list.replace(vec![SelectItem::Wildcard(Default::default())])?;
    let body = match change {
        Ast::Insert(insert, Overriding::None) => SetExpr::Insert(ast::Statement::Insert(*insert)),
        Ast::Update(update) => SetExpr::Update(ast::Statement::Update(*update)),
        Ast::Delete(delete) => SetExpr::Delete(ast::Statement::Delete(*delete)),
        _ => return None,
    };
    let query = Query { body: Box::new(body), ..query_of(Vec::new()) };
    let returned = Ident::with_quote('"', returned);
    let rows = relation(ObjectName::from(vec![returned.clone()]), Some(alias_of(name)), None);
    Some((named(returned, query), query_from(items, rows)))
}

/// The list of RETURNING of a change of one table, and what the table is called in it.
fn list_of(change: &mut Ast) -> Option<(&mut Option<Vec<SelectItem>>, Ident)> {
    match change {
        Ast::Insert(insert, Overriding::None) => {
            let name = match (&insert.table_alias, &insert.table) {
                (Some(alias), _) => alias.alias.clone(),
                (None, TableObject::TableName(name)) => last(name)?,
                _ => return None,
            };
            Some((&mut insert.returning, name))
        }
        Ast::Update(update) => {
            let name = called(&update.table)?;
            update.from.is_none().then_some((&mut update.returning, name))
        }
        Ast::Delete(delete) => {
            let Delete {
                from: FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables), ..
            } = delete.as_ref();
            let name = called(tables.first()?)?;
            delete.using.is_none().then_some((&mut delete.returning, name))
        }
        _ => None,
    }
}

fn called(table: &TableWithJoins) -> Option<Ident> {
    match &table.relation {
        TableFactor::Table { alias: Some(alias), .. } => Some(alias.name.clone()),
        TableFactor::Table { name, .. } => last(name),
        _ => None,
    }
}

fn last(name: &ObjectName) -> Option<Ident> {
    name.0.last()?.as_ident().cloned()
}
