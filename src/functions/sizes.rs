//! `pg_column_size`: the bytes that PostgreSQL takes for a value in memory.
//!
//! Those of a fixed width take it; all others have a header of four bytes. In PostgreSQL's tables short ones have a header
//! of one byte, and long ones are packed; here they lie otherwise, and what a column takes is not a matter of single
//! values. Types whose layout is not known here are refused (0A000).

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result};
use crate::functions::value::{functions as build, typed};
use crate::types::json::Node;
use crate::types::network::Network;
use crate::types::numeric::{self, Numeric};
use crate::types::{Type, Value, cast, dimensions};

/// The header of a value of any length.
const HEADER: usize = 4;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    build(vec![typed("pg_column_size(any) int4", |_, types, v| {
        if v[0] == Value::Null {
            return Ok(Value::Null);
        }
        let bytes = size(&v[0], &types[0])?;
        Ok(Value::Int4(i32::try_from(bytes).unwrap_or(i32::MAX)))
    })])
}

fn size(value: &Value, ty: &Type) -> Result<usize> {
    Ok(match value {
        Value::Bool(_) => 1,
        Value::Int2(_) => 2,
        Value::Int4(_) | Value::Float4(_) | Value::Date(_) | Value::Oid(_) | Value::Enum(_) => 4,
        Value::Int8(_) | Value::Float8(_) | Value::Money(_) => 8,
        Value::Time(_) | Value::Timestamp(_) | Value::Timestamptz(_) => 8,
        Value::Tid(_) => 6,
        Value::Timetz(_) => 12,
        Value::Interval(_) | Value::Uuid(_) => 16,
        Value::Text(text) => match ty {
            Type::Name => cast::NAME_BYTES_MAX + 1,
            Type::Char => 1,
            Type::Bpchar(Some(characters)) => {
                HEADER + text.len() + (*characters as usize).saturating_sub(text.chars().count())
            }
            _ => HEADER + text.len(),
        },
        Value::Bytea(bytes) => HEADER + bytes.len(),
        Value::Json(text) => HEADER + text.len(),
        Value::Jsonb(text) => document(&Node::parse(text)?, HEADER, true)?,
        Value::Numeric(number) => of_number(number),
        // Dimensions, and two bytes that are not used.
        Value::Vector(values) => HEADER + 4 + 4 * values.len(),
        Value::Halfvec(values) => HEADER + 4 + 2 * values.len(),
        // Dimensions, how many elements, and four bytes that are not used.
        Value::Sparsevec(vector) => HEADER + 12 + 8 * vector.as_sparse().count(),
        Value::Bits(bits) => HEADER + 4 + bits.bytes().len(),
        // Family and bits of the mask.
        Value::Network(Network::Inet(inet) | Network::Cidr(inet)) => {
            HEADER + 2 + usize::from(inet.bits_max()) / 8
        }
        Value::Network(Network::Macaddr(address)) => address.len(),
        Value::Network(Network::Macaddr8(address)) => address.len(),
        Value::Array(items) => of_array(items, ty.element())?,
        _ => return Err(Error::unsupported(format!("pg_column_size() of {ty}"))),
    })
}

/// Digits of base 10,000 behind two bytes, or four where the scale or the weight is large: the digits that are sent have
/// eight bytes of their own before them.
fn of_number(number: &Numeric) -> usize {
    let mut sent = Vec::new();
    numeric::send(number, &mut sent);
    let digits = sent.len() - 8;
    let weight = i16::from_be_bytes([sent[2], sent[3]]);
    let is_short = number.as_special().is_some() || number.scale() <= 63 && (-64..64).contains(&weight);
    HEADER + if is_short { 2 } else { 4 } + digits
}

/// Up to the next place that is a multiple of `unit`.
fn aligned(at: usize, unit: usize) -> usize {
    at.next_multiple_of(unit)
}

/// Where the next element may begin behind one of the type.
fn alignment(ty: &Type) -> usize {
    match ty {
        Type::Bool | Type::Char | Type::Name | Type::Uuid => 1,
        Type::Int2 | Type::Tid => 2,
        Type::Int8 | Type::Float8 | Type::Money | Type::Interval(_) => 8,
        Type::Time(_) | Type::Timetz(_) | Type::Timestamp(_) | Type::Timestamptz(_) => 8,
        _ => 4,
    }
}

fn of_array(items: &[Value], element: &Type) -> Result<usize> {
    let shape = dimensions::shape(items);
    let flat = dimensions::into_flat(items.to_vec());
    // Length and bound of each dimension, and a bit per element if some are NULL.
    let mut header = HEADER + 12 + 8 * shape.len();
    if flat.contains(&Value::Null) {
        header += flat.len().div_ceil(8);
    }
    let mut bytes = 0;
    for item in flat.iter().filter(|item| **item != Value::Null) {
        bytes = aligned(bytes + size(item, element)?, alignment(element));
    }
    Ok(aligned(header, 8) + bytes)
}

/// Where a part of a document ends that begins at a place: a header, an entry of four bytes for each part, and the parts.
/// One that is no array and no object is an array of it.
fn document(node: &Node, at: usize, outermost: bool) -> Result<usize> {
    match node {
        Node::Array(items) => items.iter().try_fold(aligned(at, 4) + 4 + 4 * items.len(), part),
        Node::Object(members) => {
            let keys: usize = members.keys().map(|key| key.text.len()).sum();
            members.values().try_fold(aligned(at, 4) + 4 + 8 * members.len() + keys, part)
        }
        scalar if outermost => part(aligned(at, 4) + 8, scalar),
        scalar => part(at, scalar),
    }
}

fn part(at: usize, node: &Node) -> Result<usize> {
    Ok(match node {
        Node::Text(text) => at + text.len(),
        Node::Plain(text) => match text.as_str() {
            "true" | "false" | "null" => at,
            number => aligned(at, 4) + of_number(&numeric::parse(number)?),
        },
        node => document(node, at, false)?,
    })
}
