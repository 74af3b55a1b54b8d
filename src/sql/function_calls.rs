//! Calls of functions by their oids, as the protocol's FunctionCall makes them.
//!
//! A call is the statement `SELECT name($1, ...)`. Those of the functions of large objects, which clients call over and
//! over, are kept prepared.

use std::sync::Arc;

use crate::catalog::Oid;
use crate::error::{Error, Result, SqlState};
use crate::planner::large_objects;
use crate::sql::session::{Declared, Prepared, Session};
use crate::sql::system::{PG_CATALOG, function_by_oid, qualified, quote_ident};
use crate::types::Type;

impl Session {
    /// The statement that calls a function; its parameters are the function's. 42883 if there is none.
    pub fn prepare_call(&mut self, function: Oid) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.calls.get(&function) {
            return Ok(prepared.clone());
        }
        let called = self.called(function);
        let (name, types) = called.inspect_err(|_| self.fail())?;
        let places: Vec<String> = (1..=types.len()).map(|number| format!("${number}")).collect();
        let sql = format!("SELECT {name}({})", places.join(", "));
        let types: Vec<Option<Type>> = types.into_iter().map(Some).collect();
        let prepared = self.prepare(&sql, Declared { types: &types, ..Declared::default() })?;
        if large_objects::by_oid(function).is_some() {
            self.calls.insert(function, prepared.clone());
        }
        Ok(prepared)
    }

    /// What a function is called in SQL, and the types of its arguments.
    fn called(&self, function: Oid) -> Result<(String, Vec<Type>)> {
        if let Some(routine) = large_objects::by_oid(function) {
            return Ok((qualified(PG_CATALOG, routine.name), routine.parameters.to_vec()));
        }
        let catalog = self.shared.current_catalog();
        if let Some(own) = catalog.function_by_oid(function) {
            return match own.returns_set() {
                true => Err(not_by_call(&own.name)),
                false => Ok((qualified(&own.schema, &own.name), own.argument_types())),
            };
        }
        match function_by_oid(function) {
            Some((name @ ("avg" | "sum"), _, _)) => Err(not_by_call(name)),
            Some((name, arguments, _)) => {
                let types = arguments.split(", ").map(Type::from_name).collect::<Result<_>>()?;
                Ok((quote_ident(name), types))
            }
            None => {
                let message = format!("function with OID {function} does not exist");
                Err(Error::new(SqlState::UNDEFINED_FUNCTION, message))
            }
        }
    }
}

/// Of a function that returns rows, or is an aggregate.
fn not_by_call(name: &str) -> Error {
    let message = format!("cannot call function \"{name}\" via fastpath interface");
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}
