//! Which unique index decides an ON CONFLICT.
//!
//! ```text
//!   ON CONFLICT (a)                    the one on a, of all rows
//!   ON CONFLICT (a) WHERE b = 'u'      or a partial one whose condition that makes sure of
//!   ON CONFLICT (a) WHERE b = $1       which depends on the parameter's value: told at each execution
//!   ON CONFLICT ON CONSTRAINT name     the constraint's
//! ```
//!
//! See "conflict_target" at <https://www.postgresql.org/docs/17/sql-insert.html#SQL-ON-CONFLICT>.

use datafusion::sql::sqlparser::ast::{BinaryOperator, ConflictTarget, Expr};

use crate::catalog::{Catalog, ConstraintKind, Index, IndexMethod, Oid, Table};
use crate::error::{Error, Result, SqlState};
use crate::sql::conflict_target;
use crate::sql::ddl_words::kept_expression;
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Cell, ParamTypes, Target};
use crate::sql::dml::insert::{cell_value, column_position};
use crate::sql::system::{check_opclass, is_default_opclass, quote_ident};
use crate::sql::trees::{operands, unnested};
use crate::sql::words::{fold, object_name};
use crate::types::{Type, Value};

/// The unique index that decides; of several, as the values of parameters say.
pub struct Arbiter(Vec<Candidate>);

struct Candidate {
    index: Oid,
    /// What has to hold for the target's WHERE to make sure of the index's.
    needed: Vec<Needed>,
}

/// A parameter of the target's WHERE, and the constant in its place in the index's.
struct Needed {
    parameter: Cell,
    constant: Value,
    ty: Type,
}

impl Arbiter {
    /// 42P10 where no unique index is on exactly what the target names.
    pub fn of(
        target: &ConflictTarget,
        table: &Table,
        catalog: &Catalog,
        params: &mut ParamTypes,
    ) -> Result<Arbiter> {
        if let ConflictTarget::Columns(names) = target
            && let [name] = names.as_slice()
            && let Some(target) = conflict_target::unwrap(name)?
        {
            return candidates(&target, table, catalog, params).map(Arbiter);
        }
        let index = plain_arbiter(target, table, catalog)?;
        Ok(Arbiter(vec![Candidate { index, needed: Vec::new() }]))
    }

    /// The index for these values of the parameters. 42P10 where there is none.
    pub fn index(&self, params: &[Value]) -> Result<Oid> {
        for candidate in &self.0 {
            let mut holds = true;
            for Needed { parameter, constant, ty } in &candidate.needed {
                let value = cell_value(parameter, ty, params, &mut || {
                    Err(Error::internal("a parameter that is an expression"))
                })?;
                holds &= value == *constant;
            }
            if holds {
                return Ok(candidate.index);
            }
        }
        Err(no_arbiter())
    }
}

/// The unique index of a constraint, or on these columns.
fn plain_arbiter(target: &ConflictTarget, table: &Table, catalog: &Catalog) -> Result<Oid> {
    match target {
        ConflictTarget::OnConstraint(name) => {
            let name = object_name(name).name;
            let constraint = table.constraints.iter().find(|constraint| {
                constraint.name == name
                    && matches!(
                        constraint.kind,
                        ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. }
                    )
            });
            let index = constraint.and_then(|constraint| catalog.index_of_constraint(constraint.oid));
            index.map(|index| index.oid).ok_or_else(|| {
                let message = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
                Error::new(SqlState::UNDEFINED_OBJECT, message)
            })
        }
        ConflictTarget::Columns(names) => {
            let mut wanted = Vec::with_capacity(names.len());
            for name in names {
                let name = fold(name);
                let column = table.column(&name).ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
                })?;
                wanted.push(column.number);
            }
            wanted.sort_unstable();
            wanted.dedup();
            let matches = |columns: &[u16]| {
                let mut columns = columns.to_vec();
                columns.sort_unstable();
                columns == wanted
            };
            let mut unique =
                catalog.indexes_of(table.oid).filter(|index| index.unique && index.predicate.is_none());
            let found = unique.find(|index| matches(&index.columns)).ok_or_else(no_arbiter)?;
            check_arbiter(found, table)?;
            Ok(found.oid)
        }
    }
}

fn no_arbiter() -> Error {
    let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
    Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
}

/// 55000 for an index whose keys may be checked later.
fn check_arbiter(index: &Index, table: &Table) -> Result<()> {
    if index.deferral(table).is_never() {
        return Ok(());
    }
    let message =
        "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters";
    Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
}

/// What is in the collation of its type; no index is in any other.
fn without_collation(expr: &Expr) -> Result<&Expr> {
    match expr {
        Expr::Collate { expr, collation } => match object_name(collation).name.as_str() {
            "default" => without_collation(expr),
            _ => Err(no_arbiter()),
        },
        expr => Ok(expr),
    }
}

/// The unique indexes on exactly these columns and expressions: one of all rows, or partial ones whose WHERE the target's
/// makes sure of.
fn candidates(
    target: &conflict_target::Target,
    table: &Table,
    catalog: &Catalog,
    params: &mut ParamTypes,
) -> Result<Vec<Candidate>> {
    let mut wanted = Vec::with_capacity(target.subjects.len());
    let mut named = Vec::new();
    for subject in &target.subjects {
        let expr = without_collation(&subject.expr)?;
        wanted.push(kept_expression(expr));
        let column = match expr {
            Expr::Identifier(name) => Some(&table.columns[column_position(table, &fold(name))?]),
            _ => None,
        };
        // What is equal is the same to both classes of a type, but PostgreSQL asks for the index's own.
        if let Some(class) = &subject.opclass
            && !column.is_some_and(|column| is_default_opclass(IndexMethod::Btree, class, &column.ty))
        {
            let check = column.map_or(Ok(()), |column| check_opclass(IndexMethod::Btree, class, &column.ty));
            check.map_err(|error| match error.state() {
                SqlState::DATATYPE_MISMATCH => no_arbiter(),
                _ => error,
            })?;
            named.push(class);
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    let given = target.predicate.as_ref().map(conjuncts).unwrap_or_default();
    let mut found = Vec::new();
    for index in catalog.indexes_of(table.oid).filter(|index| index.unique) {
        let subjects = index.columns.iter().filter_map(|number| table.position(*number));
        let mut subjects: Vec<String> = subjects.map(|position| subject_at(table, position)).collect();
        subjects.sort_unstable();
        let is_of_class = |class: &&String| index.opclasses.contains(*class);
        if subjects != wanted || !named.iter().all(is_of_class) {
            continue;
        }
        match &index.predicate {
            None => {
                check_arbiter(index, table)?;
                return Ok(vec![Candidate { index: index.oid, needed: Vec::new() }]);
            }
            Some(predicate) => {
                let predicate = dialect::parse_expression(&predicate.sql)?;
                if let Some(needed) = needed(&conjuncts(&predicate), &given, table, params)? {
                    found.push(Candidate { index: index.oid, needed });
                }
            }
        }
    }
    match found.is_empty() {
        true => Err(no_arbiter()),
        false => Ok(found),
    }
}

/// What parameters have to be for conditions that are given to make sure of those of an index; `None` when they do not.
fn needed(
    asked: &[&Expr],
    given: &[&Expr],
    table: &Table,
    params: &mut ParamTypes,
) -> Result<Option<Vec<Needed>>> {
    let mut all = Vec::new();
    'asked: for asked in asked {
        if given.iter().any(|given| kept_expression(given) == kept_expression(asked)) {
            continue;
        }
        for given in given {
            if let Some(needed) = same_but_for_a_parameter(asked, given, table, params)? {
                all.push(needed);
                continue 'asked;
            }
        }
        return Ok(None);
    }
    Ok(Some(all))
}

/// Operators whose sides are of one type.
fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// `b = $1` given beside `b = 'u'` asked.
fn same_but_for_a_parameter(
    asked: &Expr,
    given: &Expr,
    table: &Table,
    params: &mut ParamTypes,
) -> Result<Option<Needed>> {
    let (
        Expr::BinaryOp { left: column, op: asked_op, right: constant },
        Expr::BinaryOp { left, op, right: parameter },
    ) = (asked, given)
    else {
        return Ok(None);
    };
    let Expr::Identifier(name) = unnested(column) else { return Ok(None) };
    if !compares(op) || op != asked_op || kept_expression(left) != kept_expression(column) {
        return Ok(None);
    }
    let column = &table.columns[column_position(table, &fold(name))?];
    // Of no length and no scale: neither side is cut to fit.
    let ty = column.ty.bare();
    let target = Target { name: &column.name, ty: &ty };
    let Ok(Some(Cell::Constant(constant))) = cells::cell(constant, &target, params) else { return Ok(None) };
    Ok(match cells::cell(parameter, &target, params)? {
        Some(parameter @ Cell::Param(..)) => Some(Needed { parameter, constant, ty }),
        _ => None,
    })
}

/// What an index is on, as text to compare.
fn subject_at(table: &Table, position: usize) -> String {
    match position < table.columns.len() {
        true => quote_ident(table.title(position)),
        false => table.title(position).to_owned(),
    }
}

fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    operands(expr, &BinaryOperator::And)
}
