//! Partitions in queries and in rows that are written.
//!
//! ```text
//!   FROM items_1     ->  FROM items WHERE category_id IN (1, 2)        what follows is a filtered table like any other
//!   INSERT items     ->  some partition takes the row's key, or 23514
//!   INSERT items_1   ->  the row's key is one of its own, or 23514
//! ```

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::Expr;

use crate::catalog::{Keys, PartitionBound, Table};
use crate::error::{Error, Result, SqlState};
use crate::types::arrow::to_scalar;
use crate::types::{Type, Value, text};

/// Which rows of its parent a partition is, over the columns of a scan under this alias. None: all of them.
pub fn condition(table: &Table, alias: &str) -> Result<Option<Expr>> {
    let Some(part) = &table.part else { return Ok(None) };
    let column = table.column_number(part.column);
    let column = column.ok_or_else(|| Error::internal("a partition without its key"))?;
    let key = || Expr::Column(Column::new(Some(alias), &column.name));
    if !part.keys.ranges.is_empty() {
        return in_ranges(&part.keys, key, &column.ty).map(Some);
    }
    let nulls = part.keys.values.contains(&Value::Null);
    let values = literals(&part.keys, &column.ty)?;
    Ok(match (part.keys.others, values.is_empty(), nulls) {
        (false, true, _) => Some(key().is_null()),
        (false, false, false) => Some(key().in_list(values, false)),
        (false, false, true) => Some(key().is_null().or(key().in_list(values, false))),
        (true, true, false) => None,
        (true, true, true) => Some(key().is_not_null()),
        (true, false, true) => Some(key().in_list(values, true)),
        (true, false, false) => Some(key().is_null().or(key().in_list(values, true))),
    })
}

/// `key >= from AND key < to OR ...`; of the others, what is in none of the ranges, and NULL.
fn in_ranges(keys: &Keys, key: impl Fn() -> Expr, ty: &Type) -> Result<Expr> {
    let literal = |value: &Value| Ok::<_, Error>(Expr::Literal(to_scalar(value, ty)?, None));
    let mut any: Option<Expr> = None;
    for range in &keys.ranges {
        let (from, to) = (range.from.as_ref(), range.to.as_ref());
        let inside = match (keys.others, from, to) {
            (false, None, None) => key().is_not_null(),
            (false, Some(from), None) => key().gt_eq(literal(from)?),
            (false, None, Some(to)) => key().lt(literal(to)?),
            (false, Some(from), Some(to)) => key().gt_eq(literal(from)?).and(key().lt(literal(to)?)),
            (true, None, None) => Expr::Literal(ScalarValue::Boolean(Some(false)), None),
            (true, Some(from), None) => key().lt(literal(from)?),
            (true, None, Some(to)) => key().gt_eq(literal(to)?),
            (true, Some(from), Some(to)) => key().lt(literal(from)?).or(key().gt_eq(literal(to)?)),
        };
        any = Some(match any {
            None => inside,
            Some(any) if keys.others => any.and(inside),
            Some(any) => any.or(inside),
        });
    }
    let any = any.ok_or_else(|| Error::internal("ranges of keys without one"))?;
    Ok(if keys.others { key().is_null().or(any) } else { any })
}

fn literals(keys: &Keys, ty: &Type) -> Result<Vec<Expr>> {
    let present = keys.values.iter().filter(|value| **value != Value::Null);
    present.map(|value| Ok(Expr::Literal(to_scalar(value, ty)?, None))).collect()
}

/// The same for values and ranges that are not of others, as SQL over the parent; `name` is the key's, quoted.
pub fn condition_sql(name: &str, keys: &Keys) -> Option<String> {
    let shown = |value: &Value| format!("'{}'", text::to_string(value).replace('\'', "''"));
    let present: Vec<String> = keys.values.iter().filter(|value| **value != Value::Null).map(shown).collect();
    let listed = (!present.is_empty()).then(|| format!("{name} IN ({})", present.join(", ")));
    let nulls = keys.values.contains(&Value::Null).then(|| format!("{name} IS NULL"));
    let ranges = keys.ranges.iter().map(|range| {
        let from = range.from.as_ref().map(|from| format!("{name} >= {}", shown(from)));
        let to = range.to.as_ref().map(|to| format!("{name} < {}", shown(to)));
        let ends = from.into_iter().chain(to).reduce(|from, to| format!("({from} AND {to})"));
        ends.unwrap_or_else(|| format!("{name} IS NOT NULL"))
    });
    nulls.into_iter().chain(listed).chain(ranges).reduce(|a, b| format!("{a} OR {b}"))
}

/// Where rows that are written to a table may lie.
pub enum Place {
    Anywhere,
    /// In some partition: by the key's position; what each of them takes, and all of them.
    Parent(usize, Vec<Keys>, Keys),
    /// In this one.
    Partition(usize, Keys),
}

impl Place {
    pub fn of(table: &Table) -> Result<Place> {
        if let Some(part) = &table.part {
            let position = table.position(part.column);
            let position = position.ok_or_else(|| Error::internal("a partition without its key"))?;
            return Ok(Place::Partition(position, part.keys.clone()));
        }
        let Some(by) = &table.partitioning else { return Ok(Place::Anywhere) };
        let column = table.column_number(by.column).zip(table.position(by.column));
        let (column, position) =
            column.ok_or_else(|| Error::internal("a partitioned table without its key"))?;
        let parts = by.parts.iter().filter(|part| part.bound != PartitionBound::Default);
        let parts = parts.map(|part| part.bound.keys(&column.ty));
        Ok(Place::Parent(position, parts.collect(), by.accepted(&column.ty)))
    }

    /// 23514 for rows that no partition of the parent takes.
    pub fn route(&self, table: &Table, rows: &[Vec<Value>]) -> Result<()> {
        let Place::Parent(position, _, keys) = self else { return Ok(()) };
        match rows.iter().find(|row| !keys.contain(&row[*position])) {
            None => Ok(()),
            Some(row) => {
                let value = match &row[*position] {
                    Value::Null => "null".to_owned(),
                    value => text::to_string(value),
                };
                let message = format!("no partition of relation \"{}\" found for row", table.name);
                Err(Error::new(SqlState::CHECK_VIOLATION, message)
                    .detail(format!(
                        "Partition key of the failing row contains ({}) = ({value}).",
                        table.title(*position)
                    ))
                    .table(&table.schema, &table.name))
            }
        }
    }

    /// Whether a row would be in another partition than before.
    pub fn is_left(&self, old: &[Value], new: &[Value]) -> bool {
        match self {
            Place::Anywhere => false,
            Place::Parent(position, parts, _) => {
                let part_of = |row: &[Value]| parts.iter().position(|keys| keys.contain(&row[*position]));
                part_of(old) != part_of(new)
            }
            Place::Partition(position, keys) => !keys.contain(&new[*position]),
        }
    }

    /// The first row that is not one of the partition's.
    pub fn foreign<'r>(&self, rows: &'r [Vec<Value>]) -> Option<&'r Vec<Value>> {
        match self {
            Place::Partition(position, keys) => rows.iter().find(|row| !keys.contain(&row[*position])),
            _ => None,
        }
    }
}
