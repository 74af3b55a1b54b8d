//! A sequence as the relation that PostgreSQL keeps its state in: `SELECT last_value, is_called FROM orders_id_seq`.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::catalog::{Oid, Sequence};
use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::planner::system::SystemTable;
use crate::types::arrow::{array, errors::from_arrow, field};
use crate::types::{Type, Value};

/// One row.
pub struct SequenceTable(pub Arc<Sequence>);

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        field("last_value", &Type::Int8, false),
        field("log_cnt", &Type::Int8, false),
        field("is_called", &Type::Bool, false),
    ]))
});

impl SystemTable for SequenceTable {
    fn oid(&self) -> Oid {
        self.0.oid
    }

    fn name(&self) -> &str {
        &self.0.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn rows(&self, execution: &Execution) -> Result<RecordBatch> {
        let (last, is_called) = execution.session.sequence_state(self.0.oid)?;
        // How many more values the log covers is nobody's business.
        let cells = [
            (Type::Int8, Value::Int8(last)),
            (Type::Int8, Value::Int8(0)),
            (Type::Bool, Value::Bool(is_called)),
        ];
        let arrays = cells.iter().map(|(ty, value)| array(ty, [value].into_iter())).collect::<Result<_>>()?;
        RecordBatch::try_new(self.schema(), arrays).map_err(from_arrow)
    }
}
