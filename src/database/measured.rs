//! What recall the indexes of a database have shown: `hither.recall`.

use crate::database::Database;
use crate::index::recall::{Class, Effort, Estimate};

/// One effort of one class of queries of one index.
#[derive(Clone, Debug)]
pub struct MeasuredRecall {
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
                let (table, index_name) =
                    (state.definition.name.to_string(), index.definition.name.to_string());
                all.extend(index.measured.estimates().into_iter().map(|(class, effort, estimate)| {
                    let (table, index) = (table.clone(), index_name.clone());
                    MeasuredRecall { table, index, class, effort, estimate }
                }));
            }
        }
        all
    }
}
