//! Functions that make uuids: `gen_random_uuid`, and those of the extension uuid-ossp.
//!
//! <https://www.postgresql.org/docs/17/uuid-ossp.html>; the kinds are those of RFC 9562.

use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::FixedSizeBinaryBuilder;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Volatility};
use md5::{Digest, Md5};
use sha1::Sha1;
use uuid::{Builder, Uuid};

use crate::error;
use crate::functions::bytes::text;
use crate::functions::pgcrypto::random_bytes;
use crate::functions::scalar::{Function, no_such_function};
use crate::functions::value::{Definition, functions as build, strict};
use crate::types::Value;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let random = |name| {
        let volatile = Volatility::Volatile;
        Function::with_volatility(name, volatile, no_arguments, DataType::FixedSizeBinary(16), random_uuid)
    };
    let mut functions = build(definitions());
    functions.extend([random("gen_random_uuid"), random("uuid_generate_v4")]);
    functions
}

fn definitions() -> Vec<Definition> {
    vec![
        strict("uuid_generate_v1() uuid", |_| of_now(NODE.clone())).volatile(),
        strict("uuid_generate_v1mc() uuid", |_| of_now(random_node())).volatile(),
        strict("uuid_generate_v3(uuid, text) uuid", |v| {
            let hash = Md5::new().chain_update(namespace(&v[0])).chain_update(text(&v[1])).finalize();
            Ok(of(Builder::from_md5_bytes(hash.into())))
        }),
        strict("uuid_generate_v5(uuid, text) uuid", |v| {
            let hash = Sha1::new().chain_update(namespace(&v[0])).chain_update(text(&v[1])).finalize();
            let mut first = [0; 16];
            first.copy_from_slice(&hash[..16]);
            Ok(of(Builder::from_sha1_bytes(first)))
        }),
        strict("uuid_nil() uuid", |_| Ok(Value::Uuid(Uuid::nil().into_bytes()))),
        strict("uuid_ns_dns() uuid", |_| Ok(Value::Uuid(Uuid::NAMESPACE_DNS.into_bytes()))),
        strict("uuid_ns_url() uuid", |_| Ok(Value::Uuid(Uuid::NAMESPACE_URL.into_bytes()))),
        strict("uuid_ns_oid() uuid", |_| Ok(Value::Uuid(Uuid::NAMESPACE_OID.into_bytes()))),
        strict("uuid_ns_x500() uuid", |_| Ok(Value::Uuid(Uuid::NAMESPACE_X500.into_bytes()))),
    ]
}

fn of(builder: Builder) -> Value {
    Value::Uuid(builder.into_uuid().into_bytes())
}

fn namespace(value: &Value) -> [u8; 16] {
    match value {
        Value::Uuid(bytes) => *bytes,
        _ => unreachable!("the signature says uuid"),
    }
}

/// What stands for this process where version 1 has the address of a network card: which one that is, is nobody's business.
static NODE: LazyLock<error::Result<[u8; 6]>> = LazyLock::new(random_node);

/// Random bits with the multicast bit, which no card's address has (RFC 9562, 6.10).
fn random_node() -> error::Result<[u8; 6]> {
    let mut node = [0; 6];
    node.copy_from_slice(&random_bytes(6)?);
    node[0] |= 1;
    Ok(node)
}

/// Version 1: the time, a random clock sequence and a node.
fn of_now(node: error::Result<[u8; 6]>) -> error::Result<Value> {
    // Steps of 100 ns from the beginning of the Gregorian calendar to that of Unix time (RFC 9562, 5.1).
    const GREGORIAN: u64 = 0x01B2_1DD2_1381_4000;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ticks = GREGORIAN + now.as_secs() * 10_000_000 + u64::from(now.subsec_nanos() / 100);
    let clock = random_bytes(2)?;
    let clock = u16::from_be_bytes([clock[0], clock[1]]);
    Ok(of(Builder::from_gregorian_timestamp(ticks, clock, &node?)))
}

fn no_arguments(name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    if given.is_empty() { Ok(Vec::new()) } else { Err(no_such_function(name, given)) }
}

/// A version 4 uuid per row.
fn random_uuid(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut uuids = FixedSizeBinaryBuilder::with_capacity(args.number_rows, 16);
    for _ in 0..args.number_rows {
        uuids.append_value(Uuid::new_v4().as_bytes())?;
    }
    Ok(ColumnarValue::Array(Arc::new(uuids.finish())))
}
