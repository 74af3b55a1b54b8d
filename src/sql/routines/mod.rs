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
//! - [`call`]: the function that a name and arguments mean; named arguments and defaults in their places.
//! - [`expand`]: in a statement's tree, expressions take the place of calls, and a call in FROM gets the function's own
//!   name, which the planner asks [`table`] for.
//! - [`body`]: the stored text as a tree, in which parameters are `$1`, `$2`, ...

// The query of a function.
pub mod body;
// The function that is called.
mod call;
// Calls in a tree.
mod expand;
// A call in FROM as a plan.
mod table;

pub use call::{called_in, find};
pub use expand::{argument_function, expand, oid_of_name, qualify};
pub use table::{check, source};

/// Functions that call functions: deeper than people go. PostgreSQL's own limit is its stack.
pub const NESTED_MAX: usize = 100;
