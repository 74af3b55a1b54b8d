//! Large objects in a session: descriptors that live as long as its transaction, and what is done by them.
//!
//! The functions are `planner::large_objects`, the pages `database::large_objects`; here stands what is between: which
//! descriptors are open, where they are, what they see, and how a call waits for a lock.

// lo_open(), loread() and their like on the session's transaction.
mod calls;
// What is open.
mod descriptors;
// COMMENT, ALTER and GRANT ON LARGE OBJECT.
mod statements;

pub use descriptors::{Descriptors, Mark};
pub(crate) use statements::object;
