//! The cell a finished plan reads its execution from; it lives below, because scans read it too.

pub use crate::table::bindings::{Bindings, Execution, OuterRows, SearchSettings, SessionContext, Timing};
