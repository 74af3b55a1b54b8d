//! What stands around a call, by which its arguments have types.
//!
//! A statement's tree is walked from outside to inside and from left to right, and everything that was walked is kept here:
//! the queries of WITH, and the items of FROM before the one that is walked. Arguments that do not tell their types are
//! planned over that:
//!
//! ```text
//!   WITH w AS (...) SELECT ... FROM t, LATERAL (SELECT f(t.a, u.b) FROM u)
//!     WITH w AS (...) SELECT t.a, u.b FROM u                                    if that cannot be planned, because of t.a:
//!     WITH w AS (...) SELECT q.* FROM t, LATERAL (SELECT t.a, u.b FROM u) AS q
//! ```

use datafusion::sql::sqlparser::ast::{
    self, Cte, Expr, Ident, OrderBy, Query, SelectItem, SetExpr, TableWithJoins, With,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::context::PlanContext;
use crate::sql::query;
use crate::sql::routines::call::{Told, told};
use crate::sql::trees::{alias_of, derived, query_of};
use crate::types::Type;

/// The types of expressions where there is no query around them.
pub type Typer<'a> = &'a dyn Fn(&Expr) -> Result<Type>;

/// What was walked of the queries around.
#[derive(Default)]
pub struct Scopes {
    pub queries: Vec<QueryScope>,
    /// The items of FROM of each SELECT.
    pub selects: Vec<Vec<TableWithJoins>>,
}

#[derive(Default)]
pub struct QueryScope {
    pub with: Option<With>,
    /// ORDER BY, which is walked with its SELECT's columns.
    pub order: Option<OrderBy>,
}

impl Scopes {
    /// The parts of the innermost WITH that were walked.
    pub fn parts_of_with(&mut self) -> &mut Vec<Cte> {
        let query = self.queries.last_mut().expect("parts of WITH are walked in their query");
        &mut query.with.as_mut().expect("it is kept before its parts are walked").cte_tables
    }

    /// The types of arguments; `None` of what is unknown.
    pub fn types_of(
        &self,
        arguments: &[Expr],
        context: &PlanContext,
        typer: Option<Typer>,
    ) -> Result<Vec<Option<Type>>> {
        let mut types = Vec::with_capacity(arguments.len());
        let mut asked = Vec::new();
        for (place, argument) in arguments.iter().enumerate() {
            types.push(match told(argument, context.param_types) {
                Told::Type(ty) => Some(ty),
                Told::Unknown => None,
                Told::Nothing => {
                    asked.push(place);
                    None
                }
            });
        }
        let planned: Vec<Type> = match (self.selects.is_empty(), typer) {
            _ if asked.is_empty() => return Ok(types),
            (true, Some(typer)) => {
                asked.iter().map(|&place| typer(&arguments[place])).collect::<Result<_>>()?
            }
            _ => self.planned(asked.iter().map(|&place| arguments[place].clone()).collect(), context)?,
        };
        for (place, ty) in asked.into_iter().zip(planned) {
            types[place] = Some(ty);
        }
        Ok(types)
    }

    fn planned(&self, arguments: Vec<Expr>, context: &PlanContext) -> Result<Vec<Type>> {
        let column = |(number, expr): (usize, Expr)| SelectItem::ExprWithAlias {
            expr,
            alias: Ident::new(format!("hither_type_{number}")),
        };
        let mut query = query_of(arguments.into_iter().enumerate().map(column).collect());
        let mut around = self.selects.iter().rev();
        if let Some(from) = around.next() {
            set_from(&mut query, from.clone());
        }
        loop {
            let mut whole = query.clone();
            whole.with = self.with();
            match query::plan(&whole, context) {
                Ok(planned) => return Ok(planned.columns.iter().map(|column| column.ty.bare()).collect()),
                Err(error) if is_of_names(&error) => match around.next() {
                    Some(from) => query = beside(query, from.clone()),
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// All queries of WITH that were walked; an inner one hides an outer one of its name.
    fn with(&self) -> Option<With> {
        let mut all: Option<With> = None;
        for with in self.queries.iter().filter_map(|query| query.with.as_ref()) {
            match &mut all {
                None => all = Some(with.clone()),
                Some(all) => {
                    all.recursive |= with.recursive;
                    let is_hidden =
                        |known: &Cte| with.cte_tables.iter().any(|cte| cte.alias.name == known.alias.name);
                    all.cte_tables.retain(|known| !is_hidden(known));
                    all.cte_tables.extend(with.cte_tables.iter().cloned());
                }
            }
        }
        all.filter(|with| !with.cte_tables.is_empty())
    }
}

/// A recursive query of WITH as its first term, which says its types.
pub fn first_term(cte: &Cte) -> Cte {
    let mut first = cte.clone();
    if let SetExpr::SetOperation { left, .. } = first.query.body.as_ref() {
        let left = left.clone();
        first.query.body = left;
    }
    first
}

fn is_of_names(error: &Error) -> bool {
    matches!(error.state(), SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_TABLE)
}

fn set_from(query: &mut Query, from: Vec<TableWithJoins>) {
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = from;
    }
}

/// `SELECT * FROM from, LATERAL (query)`, of which only the query's columns are shown.
fn beside(inner: Query, mut from: Vec<TableWithJoins>) -> Query {
    let alias = Ident::new("hither_inner");
    let kind = ast::SelectItemQualifiedWildcardKind::ObjectName(alias.clone().into());
    let mut query = query_of(vec![SelectItem::QualifiedWildcard(kind, Default::default())]);
    from.push(TableWithJoins { relation: derived(true, inner, alias_of(alias)), joins: Vec::new() });
    set_from(&mut query, from);
    query
}
