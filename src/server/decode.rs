//! Parameters to values: the bytes of a Bind message as cells of the types the statement was prepared with.

use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;
use crate::functions::encodings::binary::received;
use crate::server::frontend::{Bind, Format, Parameter};
use crate::types::dimensions::DIMENSIONS_MAX;
use crate::types::names::UNKNOWN_OID;
use crate::types::{Look, Type, Value, array, binary, text};

/// The type a client declares in Parse; 0 and `unknown` leave it to the statement. `find` knows the types of users.
pub fn parameter_type(oid: u32, find: impl FnOnce(u32) -> Option<Type>) -> Result<Option<Type>> {
    if oid == 0 || oid == UNKNOWN_OID {
        return Ok(None);
    }
    match Type::from_oid(oid).or_else(|| find(oid)) {
        Some(ty) => Ok(Some(ty)),
        None => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"))),
    }
}

/// The parameters of a Bind.
pub struct Bound {
    pub values: Vec<Value>,
    /// The types they have, where these are not the ones that were asked for: arrays bring their number of dimensions.
    pub other_types: Option<Vec<Type>>,
}

/// All parameters of a Bind; their number has been checked. Text is read as a session reads it.
pub fn parameters(types: &[Type], bind: &Bind<'_>, look: Look, client: Encoding) -> Result<Bound> {
    let mut bound = Bound { values: Vec::with_capacity(types.len()), other_types: None };
    for (index, (ty, parameter)) in types.iter().zip(&bind.parameters).enumerate() {
        let of_place = |error: Error| error.context(place(&bind.portal, index));
        let other = other_dimensions(ty, parameter, client).map_err(of_place)?;
        bound.values.push(value(other.as_ref().unwrap_or(ty), parameter, look, client).map_err(of_place)?);
        if let Some(other) = other {
            bound.other_types.get_or_insert_with(|| types.to_vec())[index] = other;
        }
    }
    Ok(bound)
}

/// The type of a parameter that is an array of other dimensions than `ty`; one without items is of any.
fn other_dimensions(ty: &Type, parameter: &Parameter<'_>, client: Encoding) -> Result<Option<Type>> {
    let (Type::Array(_), Some(bytes)) = (ty, parameter.bytes) else { return Ok(None) };
    let dimensions = match parameter.format {
        Format::Binary => binary::dimensions(bytes),
        Format::Text if bytes.iter().all(|byte| matches!(byte, b'{' | b'}' | b' ')) => 0,
        Format::Text => array::dimensions(&client.decode(bytes)?),
    };
    let is_other = (1..=DIMENSIONS_MAX).contains(&dimensions) && dimensions != ty.dimensions();
    Ok(is_other.then(|| ty.with_dimensions(dimensions)))
}

/// One parameter, or one argument of a function.
pub fn value(ty: &Type, parameter: &Parameter<'_>, look: Look, client: Encoding) -> Result<Value> {
    match (parameter.bytes, parameter.format) {
        (None, _) => Ok(Value::Null),
        (Some(bytes), Format::Binary) => binary::receive(ty, &received(ty, bytes, client)?),
        (Some(bytes), Format::Text) => text::parse_as(ty, &client.decode(bytes)?, look),
    }
}

fn place(portal: &str, index: usize) -> String {
    match portal {
        "" => format!("unnamed portal parameter ${}", index + 1),
        name => format!("portal \"{name}\" parameter ${}", index + 1),
    }
}
