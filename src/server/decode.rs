//! Parameters to values: the bytes of a Bind message as cells of the types the statement was prepared with.

use crate::error::{Error, Result, SqlState};
use crate::server::frontend::{Bind, Format, Parameter};
use crate::types::names::UNKNOWN_OID;
use crate::types::{Type, Value, Zone, binary, text};

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

/// All parameters of a Bind; their number has been checked. Moments in text without a zone are of `zone`.
pub fn parameters(types: &[Type], bind: &Bind<'_>, zone: Zone) -> Result<Vec<Value>> {
    let decode = |(index, (ty, parameter)): (usize, (&Type, &Parameter<'_>))| {
        value(ty, parameter, zone).map_err(|error| error.context(place(bind.portal, index)))
    };
    types.iter().zip(&bind.parameters).enumerate().map(decode).collect()
}

/// One parameter, or one argument of a function.
pub fn value(ty: &Type, parameter: &Parameter<'_>, zone: Zone) -> Result<Value> {
    match (parameter.bytes, parameter.format) {
        (None, _) => Ok(Value::Null),
        (Some(bytes), Format::Binary) => binary::receive(ty, bytes),
        (Some(bytes), Format::Text) => text::parse_in_zone(ty, binary::utf8(bytes)?, zone),
    }
}

fn place(portal: &str, index: usize) -> String {
    match portal {
        "" => format!("unnamed portal parameter ${}", index + 1),
        name => format!("portal \"{name}\" parameter ${}", index + 1),
    }
}
