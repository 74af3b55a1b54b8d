//! Scalar and aggregate functions, one file per family.
//!
//! DataFusion brings most of PostgreSQL's functions; here are pgvector's, the casts where PostgreSQL differs, and
//! what DataFusion lacks or names otherwise. Functions that need the session (nextval, current_setting) are bound in
//! `planner`, because this layer knows nothing above values.

// + - * / % of numbers.
pub mod arithmetic;
// Arrays.
pub mod arrays;
// avg of integers and numeric.
pub mod average;
// Casts with PostgreSQL's rules and texts.
pub mod cast;
// Dates, times and intervals.
pub mod dates;
/// extract, and the names of fields.
pub mod extract;
/// Intervals.
pub mod intervals;
// array_agg of all types.
mod array_agg;
// percentile_cont, percentile_disc, mode.
mod ordered_set;
// (a, b) OVERLAPS (c, d).
mod overlaps;
// sum of smallint and integer.
mod integer_sum;
// avg of intervals.
mod interval_sum;
// pg_column_size.
mod sizes;
// normalize() and IS NORMALIZED.
pub mod normal_forms;
// Whether a value is one of a domain.
pub mod domains;
// enum_first and its like.
mod enums;
// min and max.
mod extremes;
// json and jsonb made, changed and taken apart.
pub mod documents;
// Assignment to elements of arrays and documents.
pub mod elements;
// Aggregates that look at all of a sliding frame.
mod frame;
// Which rows are in a frame.
pub mod frame_bounds;
// Functions over frames of our own.
pub mod framed;
// to_char and its like.
pub mod formatting;
// to_date and to_timestamp.
mod moment_templates;
// to_char and to_number of numbers.
mod number_formats;
// The digits of numeric.
pub mod decimal;
// bit_and, bit_or and bit_xor of bit strings.
mod bit_aggregate;
// md5.
mod digest;
// variance and stddev.
mod deviation;
// What is gathered of DISTINCT values.
mod distinct;
// Operators of json and jsonb.
pub mod json;
// Paths into documents.
pub mod jsonpath;
// x = ANY (array).
pub mod membership;
// Functions on numbers.
pub mod math;
// Amounts of money.
pub mod money;
// Functions of bit strings.
pub mod bits;
// Functions of bytea.
pub mod bytes;
// Encodings of clients.
pub mod encodings;
// varchar, char(n) and text.
pub mod characters;
// citext's keys, and the functions that its module overloads.
pub mod citext;
// coalesce and its like.
pub mod choice;
// Arguments that are vectors.
pub mod cells;
// Functions DataFusion lacks or names otherwise.
pub mod postgres;
// The extension pgcrypto.
mod pgcrypto;
// gen_random_uuid and the extension uuid-ossp.
mod uuids;
// Roots, powers and logarithms.
mod powers;
// PostgreSQL's hash functions.
mod hashes;
// The extension hstore.
pub mod hstore;
// sum of real.
mod real_sum;
// Names for what is grouped by.
pub mod key;
// range_intersect_agg.
mod range_aggregate;
// Functions and operators of ranges.
pub mod ranges;
// Rows as values.
pub mod records;
// Parts of documents as values.
pub mod populate;
// The rows of JSON_TABLE.
mod json_table;
// SQL/JSON's constructors and questions.
mod sql_json;
// Regular expressions.
pub mod regex;
// Functions of regular expressions.
pub mod regexps;
// Numbers as double precision.
pub mod doubles;
// ARRAY[...] of columns.
mod make_array;
// inet, cidr, macaddr, macaddr8.
pub mod networks;
// round, trunc, ceil, floor, sign.
pub mod rounding;
// Values in binary.
mod sends;
// Whether a row is in a sample.
pub mod sampling;
// The shape all our scalar functions share.
pub mod scalar;
// generate_series.
pub mod series;
// Keys of arrays and documents, in PostgreSQL's order.
pub mod sort_keys;
// variance and stddev of double precision.
mod spread;
// Functions on text.
pub mod strings;
// Their longer pieces.
mod texts;
// Text search in documents.
mod document_search;
// Functions and operators of text search.
pub mod text_search;
// Functions that do not exist.
pub mod unknown;
// Functions over single values.
pub mod value;
// pgvector's functions on vectors.
pub mod vector;
// avg and sum of vectors.
pub mod vector_aggregate;
// Window functions that count.
mod window;

use std::sync::Arc;

use datafusion::functions_aggregate::bool_and_or;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub use array_agg::COLLECT;
pub use documents::RECORD;
pub use window::functions as window_functions;

/// Our scalar functions; a name that DataFusion also has is ours.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let families = [
        vector::functions(),
        bits::functions(),
        json::functions(),
        postgres::functions(),
        arithmetic::functions(),
        digest::functions(),
        pgcrypto::functions(),
        uuids::functions(),
        rounding::functions(),
        doubles::functions(),
        dates::functions(),
        overlaps::functions(),
        sort_keys::functions(),
        formatting::functions(),
        strings::functions(),
        regex::functions(),
        regexps::functions(),
        series::functions(),
        bytes::functions(),
        sends::functions(),
        choice::functions(),
        characters::functions(),
        citext::functions(),
        math::functions(),
        money::functions(),
        powers::functions(),
        arrays::functions(),
        membership::functions(),
        vec![make_array::function()],
        documents::functions(),
        elements::functions(),
        records::functions(),
        jsonpath::functions(),
        populate::functions(),
        sql_json::functions(),
        json_table::functions(),
        text_search::functions(),
        ranges::functions(),
        networks::functions(),
        hstore::functions(),
        sizes::functions(),
        normal_forms::functions(),
        enums::functions(),
        domains::functions(),
        vec![sampling::function(), key::function()],
    ];
    families.into_iter().flatten().collect()
}

/// Our aggregates, tried on vectors before DataFusion's of the same name.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let also = |function: Arc<AggregateUDF>, name| Arc::new((*function).clone().with_aliases([name]));
    let mut functions = vector_aggregate::functions();
    functions.extend(ordered_set::functions());
    functions.extend(bit_aggregate::functions());
    functions.extend(extremes::functions());
    functions.extend(array_agg::functions());
    functions.push(also(bool_and_or::bool_and_udaf(), "every"));
    functions.extend(deviation::functions());
    functions.extend(range_aggregate::functions());
    functions
}
