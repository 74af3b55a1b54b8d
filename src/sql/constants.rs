//! Constants in ORDER BY, GROUP BY and DISTINCT ON, which are places in the list or nothing.
//!
//! `ORDER BY -1` is a place too, which no list has; `ORDER BY 1 + 0` and `ORDER BY 'a'::text` are expressions like others.
//! Brackets say nothing: `GROUP BY (a, b)` is `GROUP BY a, b`, and `GROUP BY ()` is one group, of no rows as well.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, GroupByExpr, OrderByKind, Query, SetExpr, UnaryOperator, Value,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::group_names::Spellings;
use crate::sql::rewrite::{arguments, plain_name};
use crate::sql::trees::{computed, place, unnested};

/// Puts places in the words that the planner knows; 42601 and 42P10 for constants of a query that are no places.
pub fn settle(query: &mut Query) -> Result<()> {
    if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) {
        keys.iter_mut().try_for_each(|key| settle_key(&mut key.expr, "ORDER BY"))?;
    }
    settle_body(&mut query.body)
}

fn settle_body(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) => {
            if let Some(Distinct::On(keys)) = &mut select.distinct {
                for key in keys {
                    settle_key(key, "DISTINCT ON")?;
                    let Some(place) = place(key) else { continue };
                    match select.projection.get(place).map(computed) {
                        Some(Some(_)) => {}
                        None if select.projection.iter().all(|item| computed(item).is_some()) => {
                            return Err(not_in_list("DISTINCT ON", place + 1));
                        }
                        _ => return Err(Error::unsupported("DISTINCT ON position of a column of *")),
                    }
                }
            }
            match &mut select.group_by {
                GroupByExpr::Expressions(keys, _) => {
                    unpack(keys);
                    keys.iter_mut().try_for_each(spread_repeated)?;
                    keys.iter_mut().try_for_each(spread)?;
                    keys.iter_mut().try_for_each(settle_group)
                }
                GroupByExpr::All(_) => Ok(()),
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            settle_body(left)?;
            settle_body(right)
        }
        // A query in brackets is visited on its own.
        _ => Ok(()),
    }
}

/// The keys without brackets around several; of none, the one empty set.
fn unpack(keys: &mut Vec<Expr>) {
    let given = std::mem::take(keys);
    let some = !given.is_empty();
    for key in given {
        match key {
            Expr::Tuple(parts) => keys.extend(parts),
            key => keys.push(key),
        }
    }
    if some && keys.is_empty() {
        keys.push(Expr::GroupingSets(vec![Vec::new()]));
    }
}

/// `ROLLUP (a, a)` as its sets.
fn spread_repeated(key: &mut Expr) -> Result<()> {
    let (Expr::Rollup(parts) | Expr::Cube(parts)) = &*key else { return Ok(()) };
    let mut known = Spellings::default();
    let is_repeated = parts.iter().flatten().any(|key| {
        let is_known = known.find(key).is_some();
        known.add(key, 0);
        is_known
    });
    if !is_repeated {
        return Ok(());
    }
    *key = Expr::GroupingSets(match &*key {
        Expr::Rollup(parts) => rolled_up(parts),
        _ => cubed(parts)?,
    });
    Ok(())
}

/// The sets of ROLLUP: all parts, and ever fewer of the first.
fn rolled_up(parts: &[Vec<Expr>]) -> Vec<Vec<Expr>> {
    (0..=parts.len()).rev().map(|length| parts[..length].concat()).collect()
}

/// The sets of CUBE: each choice of parts. 54011 for too many.
fn cubed(parts: &[Vec<Expr>]) -> Result<Vec<Vec<Expr>>> {
    if parts.len() > CUBE_MAX {
        return Err(Error::new(SqlState("54011"), format!("CUBE is limited to {CUBE_MAX} elements")));
    }
    let chosen = |members: usize| {
        let member = |&place: &usize| members & (1 << place) != 0;
        (0..parts.len()).filter(member).flat_map(|place| parts[place].clone()).collect()
    };
    Ok((0..1_usize << parts.len()).rev().map(chosen).collect())
}

/// `GROUPING SETS (ROLLUP (a, b), c)` as the sets that are meant, which sqlparser reads as a call, and each key of a set once.
fn spread(key: &mut Expr) -> Result<()> {
    let Expr::GroupingSets(sets) = key else { return Ok(()) };
    for set in std::mem::take(sets) {
        let parts = |function: &Function| -> Option<Vec<Vec<Expr>>> {
            let parts = arguments(function)?.into_iter().map(|part| match part {
                Expr::Tuple(parts) => parts,
                part => vec![unnested(&part).clone()],
            });
            Some(parts.collect())
        };
        let called = match set.as_slice() {
            [Expr::Function(function)] => plain_name(function).zip(parts(function)),
            _ => None,
        };
        match called {
            Some((name, parts)) if name == "rollup" => sets.extend(rolled_up(&parts)),
            Some((name, parts)) if name == "cube" => sets.extend(cubed(&parts)?),
            _ => sets.push(set),
        }
        if sets.len() > SETS_MAX {
            let message = format!("too many grouping sets present (maximum {SETS_MAX})");
            return Err(Error::new(SqlState("54001"), message));
        }
    }
    say_once(sets);
    Ok(())
}

/// Leaves of a set's keys that are the same, as `t.a` and `a`, the first: the planner takes them for two columns.
fn say_once(sets: &mut [Vec<Expr>]) {
    // The same few keys stand in many sets.
    let (mut known, mut numbers) = (Spellings::default(), HashMap::new());
    for set in sets {
        let mut seen = HashSet::new();
        set.retain(|key| {
            let next = numbers.len();
            let number = *numbers.entry(key.to_string()).or_insert_with(|| {
                let number = known.find(key).unwrap_or(next);
                known.add(key, number);
                number
            });
            seen.insert(number)
        });
    }
}

/// PostgreSQL's.
const SETS_MAX: usize = 4096;

/// PostgreSQL's bound: 4,096 sets.
const CUBE_MAX: usize = 12;

fn settle_group(key: &mut Expr) -> Result<()> {
    match key {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
            sets.iter_mut().flatten().try_for_each(settle_group)
        }
        key => settle_key(key, "GROUP BY"),
    }
}

fn settle_key(key: &mut Expr, clause: &str) -> Result<()> {
    let (mut number, mut sign) = (unnested(key), "");
    // The reader of numbers takes the signs before them.
    while let Expr::UnaryOp { op: UnaryOperator::Minus, expr } = number {
        (number, sign) = (unnested(expr), if sign.is_empty() { "-" } else { "" });
    }
    let Expr::Value(value) = number else { return Ok(()) };
    match &value.value {
        Value::Placeholder(_) => Ok(()),
        Value::Number(digits, _) => match digits.parse::<i32>() {
            Ok(_) if sign.is_empty() => {
                *key = number.clone();
                Ok(())
            }
            Ok(place) => Err(not_in_list(clause, -place)),
            Err(_) => Err(no_place(clause)),
        },
        _ if sign.is_empty() => Err(no_place(clause)),
        _ => Ok(()),
    }
}

fn not_in_list(clause: &str, place: impl Display) -> Error {
    Error::new(SqlState("42P10"), format!("{clause} position {place} is not in select list"))
}

fn no_place(clause: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {clause}"))
}
