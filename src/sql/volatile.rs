//! Functions that answer otherwise when they are called again, by name.
//!
//! For rules about trees, which must not write an expression out twice, or a query of WITH. Plans know by the functions
//! themselves.

use crate::planner::large_objects;

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

/// Whether a function of this name is volatile.
pub fn is_one(name: &str) -> bool {
    NAMES.contains(&name)
        || name.contains("advisory") && name.starts_with("pg_")
        || large_objects::is_one(name)
}
