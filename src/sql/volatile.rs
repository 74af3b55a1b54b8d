//! Functions that answer otherwise when they are called again, by name.
//!
//! For rules about trees, which must not write an expression out twice, or a query of WITH. Plans know by the functions
//! themselves.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Visit};

use crate::planner::large_objects;
use crate::sql::visit;
use crate::sql::words::object_name;

const NAMES: &[&str] = &[
    "array_sample",
    "array_shuffle",
    "clock_timestamp",
    "currval",
    "gen_random_bytes",
    "gen_random_uuid",
    "lastval",
    "nextval",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "random",
    "random_normal",
    "set_config",
    "setseed",
    "setval",
    "timeofday",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
];

/// Whether a tree calls one.
pub fn is_called(tree: &impl Visit) -> bool {
    let found = visit::expressions(tree, |part| match part {
        Expr::Function(call) if is_one(&object_name(&call.name).name) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Whether a function of this name is volatile.
pub fn is_one(name: &str) -> bool {
    NAMES.contains(&name)
        || name.contains("advisory") && name.starts_with("pg_")
        || large_objects::is_one(name)
}
