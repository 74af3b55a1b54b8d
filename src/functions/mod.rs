//! Scalar and aggregate functions, one file per family.
//!
//! DataFusion brings most of PostgreSQL's functions; here are pgvector's, the casts where PostgreSQL differs, and
//! what DataFusion lacks or names otherwise. Functions that need the session (nextval, current_setting) are bound in
//! `planner`, because this layer knows nothing above values.

// Casts with PostgreSQL's rules and texts.
pub mod cast;
// Operators of json and jsonb.
pub mod json;
// Functions DataFusion lacks or names otherwise.
pub mod postgres;
// The shape all our scalar functions share.
pub mod scalar;
// pgvector's functions on vectors.
pub mod vector;
// avg and sum of vectors.
pub mod vector_aggregate;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Our scalar functions; a name that DataFusion also has is ours.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    vector::functions().into_iter().chain(json::functions()).chain(postgres::functions()).collect()
}

/// Our aggregates, tried on vectors before DataFusion's of the same name.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vector_aggregate::functions()
}
