//! The rows of JSON_TABLE: what its paths find in a document, the nested ones in what those around them found.
//!
//! The paths are numbered as they are written, and a row is an array with what each of them found and the how manyth that
//! is; null stands for a path that is not the row's. An item below which nothing is found has one row of its own.
//!
//! ```text
//!   '$.a[*]' (NESTED '$.b[*]', NESTED '$.c')       [["$.a[*]", [["$.b[*]", []], ["$.c", []]]]
//!   {"a": [{"b": [7, 8]}]}                         [[{"b": [7, 8]}, 1], [7, 1], null]
//!                                                  [[{"b": [7, 8]}, 1], [8, 2], null]
//! ```

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result};
use crate::functions::jsonpath::moments::ZoneUse;
use crate::functions::jsonpath::{Item, Search, Variables};
use crate::functions::sql_json::passed;
use crate::functions::value::{functions as build, typed};
use crate::types::json::Node;
use crate::types::jsonpath::Path;
use crate::types::{Look, Type, Value};

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(vec![typed("hither_json_table(jsonb, text, bool, any...) jsonb[]", table)])
}

/// The document, the paths, whether errors are told, and what is passed.
fn table(look: Look, _types: &[Type], v: &[Value]) -> Result<Value> {
    let [Value::Jsonb(document), Value::Text(paths), Value::Bool(tells_errors), rest @ ..] = v else {
        return Ok(Value::Array(Vec::new()));
    };
    let mut count = 0;
    let root = Pattern::of(&Node::parse(paths)?, &mut count)?;
    let zones = ZoneUse { zone: look.zone, allowed: true };
    let scan = Scan { variables: &passed(look, rest)?, zones, count };
    match scan.rows(&root, &Node::parse(document)?) {
        Ok(rows) => Ok(Value::Array(rows.into_iter().map(shown).collect())),
        Err(error) if *tells_errors => Err(error),
        Err(_) => Ok(Value::Array(Vec::new())),
    }
}

/// A path with those nested in it.
struct Pattern {
    number: usize,
    path: Path,
    nested: Vec<Pattern>,
}

impl Pattern {
    fn of(node: &Node, count: &mut usize) -> Result<Pattern> {
        let Node::Array(parts) = node else {
            return Err(Error::internal("a path of JSON_TABLE is an array"));
        };
        let [Node::Text(path), Node::Array(nested)] = parts.as_slice() else {
            return Err(Error::internal("a path of JSON_TABLE has nested ones"));
        };
        let number = *count;
        *count += 1;
        let nested = nested.iter().map(|node| Pattern::of(node, count)).collect::<Result<_>>()?;
        Ok(Pattern { number, path: Path::parse(path)?, nested })
    }
}

/// What each path found, and the how manyth it is.
type Row = Vec<Option<(Node, usize)>>;

struct Scan<'a> {
    variables: &'a Variables,
    zones: ZoneUse,
    count: usize,
}

impl Scan<'_> {
    fn rows(&self, pattern: &Pattern, document: &Node) -> Result<Vec<Row>> {
        let (items, failure) = Search::new(document, &pattern.path, self.variables, self.zones).items();
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        let mut rows = Vec::new();
        for (place, node) in items.into_iter().map(Item::into_node).enumerate() {
            let mut below = Vec::new();
            for nested in &pattern.nested {
                below.extend(self.rows(nested, &node)?);
            }
            if below.is_empty() {
                below.push(vec![None; self.count]);
            }
            for mut row in below {
                row[pattern.number] = Some((node.clone(), place + 1));
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

fn shown(row: Row) -> Value {
    let cell = |cell: Option<(Node, usize)>| match cell {
        Some((node, place)) => Node::Array(vec![node, Node::Plain(place.to_string())]),
        None => Node::null(),
    };
    Value::Jsonb(Node::Array(row.into_iter().map(cell).collect()).to_text())
}
