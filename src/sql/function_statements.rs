//! What CREATE, ALTER and DROP FUNCTION say.

use datafusion::sql::sqlparser::ast;

use crate::catalog::{Argument, Body, Parallel, ViewColumn, Volatility};
use crate::sql::statement::Name;
use crate::types::Type;

/// CREATE FUNCTION ... LANGUAGE sql.
#[derive(Clone, Debug)]
pub struct CreateFunction {
    pub name: Name,
    pub replace: bool,
    pub arguments: Vec<Argument>,
    pub named: Vec<NamedType>,
    /// Of the columns that it returns.
    pub named_out: Vec<NamedType>,
    pub returns: ReturnsClause,
    pub body: Body,
    pub options: FunctionOptions,
}

/// The type of a parameter that only the catalogue knows: until it is asked, the parameter is of type void, which none is
/// otherwise.
#[derive(Clone, Debug)]
pub struct NamedType {
    /// The place among the parameters that are given, or among the columns that are returned.
    pub place: usize,
    pub data_type: ast::DataType,
}

/// What stands after RETURNS.
#[derive(Clone, Debug)]
pub enum ReturnsClause {
    /// A type, or a relation whose rows they are; `set` is SETOF.
    Named {
        data_type: ast::DataType,
        set: bool,
    },
    Table(Vec<ViewColumn>),
    /// RECORD, and a set of it.
    Record {
        set: bool,
    },
    /// OUT and INOUT parameters.
    Out {
        columns: Vec<ViewColumn>,
        set: bool,
    },
}

/// The clauses of CREATE and ALTER FUNCTION; `None` is "not said".
#[derive(Clone, Debug, Default)]
pub struct FunctionOptions {
    pub volatility: Option<Volatility>,
    pub strict: Option<bool>,
    pub security_definer: Option<bool>,
    pub leakproof: Option<bool>,
    pub parallel: Option<Parallel>,
    pub cost: Option<f64>,
    pub rows: Option<f64>,
    /// SET search_path, and RESET.
    pub search_path: Option<Option<String>>,
}

/// `name [(types)]`: a function, by its arguments where the name alone does not tell.
#[derive(Clone, Debug)]
pub struct FunctionName {
    pub name: Name,
    pub types: Option<Vec<Type>>,
    pub named: Vec<NamedType>,
}

#[derive(Clone, Debug)]
pub struct DropFunction {
    pub functions: Vec<FunctionName>,
    pub if_exists: bool,
    pub cascade: bool,
}

#[derive(Clone, Debug)]
pub struct AlterFunction {
    pub function: FunctionName,
    pub action: FunctionAction,
}

#[derive(Clone, Debug)]
pub enum FunctionAction {
    Rename(String),
    SetSchema(String),
    OwnerTo(String),
    Options(Box<FunctionOptions>),
    Comment(Option<String>),
}
