//! The definition of a function written in SQL.

use serde::{Deserialize, Serialize};

use crate::catalog::definition::{Oid, ViewColumn};
use crate::types::Type;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub arguments: Vec<Argument>,
    pub returns: Returns,
    pub body: Body,
    pub volatility: Volatility,
    /// NULL for a NULL argument, without running.
    #[serde(default)]
    pub strict: bool,
    #[serde(default)]
    pub security_definer: bool,
    #[serde(default)]
    pub leakproof: bool,
    #[serde(default)]
    pub parallel: Parallel,
    /// COST and ROWS, as far as they were said. They change no plan here.
    #[serde(default)]
    pub cost: Option<f64>,
    #[serde(default)]
    pub rows: Option<f64>,
    /// SET search_path: the value as text.
    #[serde(default)]
    pub search_path: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    /// One row, where `returns` says which columns it has or whose row it is; else a set.
    #[serde(default)]
    pub one_row: bool,
    /// The columns of `returns` are OUT parameters.
    #[serde(default)]
    pub out: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Argument {
    pub name: Option<String>,
    /// Without modifier: PostgreSQL forgets those of arguments.
    pub ty: Type,
    /// Source text.
    pub default: Option<String>,
    /// Takes any number of what its arrays are of: VARIADIC.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub variadic: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Returns {
    /// One value.
    Scalar(Type),
    /// A row per value.
    SetOf(Type),
    /// RETURNS TABLE, and OUT parameters.
    Table(Vec<ViewColumn>),
    /// A table's rows.
    SetOfRows(Oid),
    /// Rows of whichever columns the query has; a call in FROM lists them.
    Record,
}

/// Source text, and how it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// AS '...'
    Text(String),
    /// RETURN expression
    Return(String),
    /// BEGIN ATOMIC ...; END: what stands between.
    Atomic(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parallel {
    Safe,
    Restricted,
    #[default]
    Unsafe,
}

impl Function {
    pub fn argument_types(&self) -> Vec<Type> {
        self.arguments.iter().map(|argument| argument.ty.clone()).collect()
    }

    /// Whether a call says what its types are.
    pub fn is_polymorphic(&self) -> bool {
        self.arguments.iter().any(|argument| matches!(argument.ty, Type::Polymorphic(_)))
    }

    /// The parameter that takes any number of arguments.
    pub fn variadic(&self) -> Option<&Argument> {
        self.arguments.last().filter(|argument| argument.variadic)
    }

    /// With other types for those that are declared.
    pub fn with_types(&self, change: impl Fn(&Type) -> Option<Type>) -> Option<Function> {
        let mut function = self.clone();
        for argument in &mut function.arguments {
            argument.ty = change(&argument.ty)?;
        }
        match &mut function.returns {
            Returns::Scalar(ty) | Returns::SetOf(ty) => *ty = change(ty)?,
            Returns::Table(columns) => {
                for column in columns {
                    column.ty = change(&column.ty)?;
                }
            }
            Returns::SetOfRows(_) | Returns::Record => {}
        }
        Some(function)
    }

    /// `f(integer,text)`, unquoted, for messages.
    pub fn signature(&self) -> String {
        let types: Vec<String> = self.arguments.iter().map(|argument| argument.ty.to_string()).collect();
        format!("{}({})", self.name, types.join(","))
    }

    /// How many arguments a call has to give.
    pub fn arguments_min(&self) -> usize {
        self.arguments.iter().filter(|argument| argument.default.is_none()).count()
    }

    pub fn returns_set(&self) -> bool {
        !matches!(self.returns, Returns::Scalar(_)) && !self.one_row
    }

    /// The type of the one value it returns.
    pub fn value(&self) -> Option<&Type> {
        match &self.returns {
            Returns::Scalar(ty) => Some(ty),
            Returns::Table(columns) if self.one_row => match columns.as_slice() {
                [one] => Some(&one.ty),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Volatility {
    /// As pg_proc has it.
    pub fn letter(self) -> char {
        match self {
            Volatility::Immutable => 'i',
            Volatility::Stable => 's',
            Volatility::Volatile => 'v',
        }
    }

    pub fn sql(self) -> &'static str {
        match self {
            Volatility::Immutable => "IMMUTABLE",
            Volatility::Stable => "STABLE",
            Volatility::Volatile => "VOLATILE",
        }
    }
}

impl Parallel {
    /// As pg_proc has it.
    pub fn letter(self) -> char {
        match self {
            Parallel::Safe => 's',
            Parallel::Restricted => 'r',
            Parallel::Unsafe => 'u',
        }
    }

    pub fn sql(self) -> &'static str {
        match self {
            Parallel::Safe => "PARALLEL SAFE",
            Parallel::Restricted => "PARALLEL RESTRICTED",
            Parallel::Unsafe => "PARALLEL UNSAFE",
        }
    }
}
