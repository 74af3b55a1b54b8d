//! What recall the indexes of a database have shown: `hither.recall`.

use crate::database::Database;
use crate::index::recall::{Class, Effort, Estimate};

/// One effort of one class of queries of one index.
#[derive(Clone, Debug)]
pub struct MeasuredRecall {
    pub schema: String,
    pub table: String,
    pub index: String,
    pub class: Class,
    pub effort: Effort,
    pub estimate: Estimate,
}

impl Database {
    /// Everything measured since the server was started or the indexes were built.
    pub fn measured_recall(&self) -> Vec<MeasuredRecall> {
        let version = self.core().version.load();
        let mut all = Vec::new();
        for table in version.tables.values() {
            let state = table.state();
            for index in &state.vector_indexes {
                let (table, name) = (&state.definition, &index.definition.name);
                all.extend(index.measured.estimates().into_iter().map(|(class, effort, estimate)| {
                    MeasuredRecall {
                        schema: table.schema.to_string(),
                        table: table.name.to_string(),
                        index: name.to_string(),
                        class,
                        effort,
                        estimate,
                    }
                }));
            }
        }
        all
    }
}
