//! The functions that send values in binary: `float4send(x)` is what a client would get of `x`.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::functions::value::{functions as build, strict};
use crate::types::{Type, Value, binary};

/// `"name(type) bytea" Type`.
macro_rules! sends {
    ($($signature:literal $ty:expr;)*) => {
        vec![$(strict($signature, |v| {
            let mut bytes = Vec::new();
            binary::send(&v[0], &$ty, &mut bytes);
            Ok(Value::Bytea(bytes))
        })),*]
    };
}

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(sends! {
        "boolsend(bool) bytea" Type::Bool;
        "byteasend(bytea) bytea" Type::Bytea;
        "date_send(date) bytea" Type::Date;
        "float4send(float4) bytea" Type::Float4;
        "float8send(float8) bytea" Type::Float8;
        "int2send(int2) bytea" Type::Int2;
        "int4send(int4) bytea" Type::Int4;
        "int8send(int8) bytea" Type::Int8;
        "interval_send(interval) bytea" Type::Interval(None);
        "json_send(json) bytea" Type::Json;
        "jsonb_send(jsonb) bytea" Type::Jsonb;
        "numeric_send(numeric) bytea" Type::Numeric(None);
        "oidsend(oid) bytea" Type::Oid;
        "textsend(text) bytea" Type::Text;
        "time_send(time) bytea" Type::Time(None);
        "timestamp_send(timestamp) bytea" Type::Timestamp(None);
        "timestamptz_send(timestamptz) bytea" Type::Timestamptz(None);
        "uuid_send(uuid) bytea" Type::Uuid;
    })
}
