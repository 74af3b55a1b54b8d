//! Functions written in SQL, where they are called.
//!
//! They are not run; they are inlined, as PostgreSQL inlines them, and the planner sees one query:
//!
//! ```text
//!   SELECT f(a + 1)                 f(x int): SELECT x * 2             SELECT (a + 1) * 2
//!   SELECT * FROM g('[1,2]', 5)     g(q vector, n int): SELECT ...     SELECT * FROM (the plan of g's query,
//!                                     ORDER BY v <-> q LIMIT n           with $1 = '[1,2]' and $2 = 5)
//! ```
//!
//! - [`call`]: the function that a name and arguments mean; named arguments and defaults in their places, polymorphic types
//!   as what they are in the call.
//! - [`scopes`]: the types of arguments that do not tell them, by what stands around the call.
//! - [`carriers`]: types that are known in a tree, told to the planner; [`listed`]: the columns that a call lists.
//! - [`expand`]: in a statement's tree, expressions take the place of calls, and a call in FROM gets the function's own
//!   name, which the planner asks [`table`] for.
//! - [`body`]: the stored text as a tree, in which parameters are `$1`, `$2`, ...

// The query of a function.
pub mod body;
// The function that is called.
mod call;
// The types of arguments in a tree.
mod carriers;
// Calls in a tree.
mod expand;
// Columns that calls list.
mod listed;
// The types of what is called with.
mod scopes;
// A call in FROM as a plan.
mod table;

pub use call::called_in;
pub use carriers::argument_function;
pub use expand::{called_by_name, expand, expand_typed, qualify};
pub use listed::{listed_twice, listed_wrongly, ordinality_of_listed, unlisted};
pub use table::{check, source};

/// Functions that call functions: deeper than people go. PostgreSQL's own limit is its stack.
pub const NESTED_MAX: usize = 100;
