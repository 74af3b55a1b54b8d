//! Rows that a statement keeps for later: in memory while they are few, then in files.
//!
//! ```text
//!   push:  batch batch batch  --over 1 MiB-->  temporary files in Arrow's stream format
//!   read:  in the order in which they were pushed
//! ```
//!
//! UPDATE, DELETE and MERGE keep what their query found until all rows are locked, and every change keeps what RETURNING
//! shows until all rows are written; both may be larger than memory.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::spill_pool::{SpillPoolSink, spsc_channel};
use futures::stream::{self, BoxStream, Stream, StreamExt};

use crate::error::{Error, Result, SqlState};
use crate::types::arrow::errors::from_datafusion;

/// Bytes that stay in memory: what a few thousand rows take, and little beside what a session takes anyway.
const MEMORY_BYTES: usize = 1 << 20;

/// Bytes after which a new file is begun; one that was read to its end goes.
const FILE_BYTES: usize = 64 << 20;

/// See the module.
pub struct Spool {
    runtime: Arc<RuntimeEnv>,
    /// Nothing once there are files.
    memory: Vec<RecordBatch>,
    bytes: usize,
    rows: usize,
    files: Option<(SpillPoolSink, SendableRecordBatchStream)>,
}

impl Spool {
    pub fn new(runtime: Arc<RuntimeEnv>) -> Spool {
        Spool { runtime, memory: Vec::new(), bytes: 0, rows: 0, files: None }
    }

    /// Adds rows behind those that are there; all batches have the columns of the first. 53100 on a full disk.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        // Batches are read back as they are written: of wide rows fewer.
        let pieces = bytes_of(&batch).div_ceil(MEMORY_BYTES).max(1);
        let rows = batch.num_rows().div_ceil(pieces).max(1);
        (0..batch.num_rows())
            .step_by(rows)
            .try_for_each(|first| self.keep(batch.slice(first, rows.min(batch.num_rows() - first))))
    }

    fn keep(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        if let Some((sink, _)) = &self.files {
            return sink.push_batch(&batch).map_err(from_datafusion);
        }
        self.bytes += bytes_of(&batch);
        self.memory.push(batch);
        if self.bytes > MEMORY_BYTES {
            let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
            let schema = nullable(self.memory[0].schema());
            let manager = SpillManager::new(Arc::clone(&self.runtime), metrics, schema);
            let (sink, source) = spsc_channel(FILE_BYTES, Arc::new(manager));
            for batch in self.memory.drain(..) {
                sink.push_batch(&batch).map_err(from_datafusion)?;
            }
            self.files = Some((sink, source));
        }
        Ok(())
    }

    /// The rows, in the order in which they were pushed.
    pub fn read(self) -> BoxStream<'static, Result<RecordBatch>> {
        match self.files {
            None => stream::iter(self.memory.into_iter().map(Ok)).boxed(),
            // Without its sink the source ends behind the last batch.
            Some((_, source)) => stream::try_unfold((source, self.rows), next_of).boxed(),
        }
    }
}

/// A batch, and where the others come from with the number of their rows: a file that ends too early would be rows that a
/// statement forgets.
async fn next_of<S>((mut source, rows): (S, usize)) -> Result<Option<(RecordBatch, (S, usize))>>
where
    S: Stream<Item = Result<RecordBatch, DataFusionError>> + Unpin,
{
    match source.next().await.transpose().map_err(from_datafusion)? {
        Some(batch) if batch.num_rows() <= rows => {
            let rows = rows - batch.num_rows();
            Ok(Some((batch, (source, rows))))
        }
        None if rows == 0 => Ok(None),
        _ => Err(Error::new(
            SqlState::IO_ERROR,
            "a temporary file does not have the rows that were written to it",
        )),
    }
}

/// Bytes of a batch's rows, not of what they are cut from.
pub fn bytes_of(batch: &RecordBatch) -> usize {
    let bytes = |column: &ArrayRef| {
        // Arrow counts the views alone.
        let viewed: usize = match column.data_type() {
            DataType::Utf8View => column.as_string_view().iter().flatten().map(str::len).sum(),
            DataType::BinaryView => column.as_binary_view().iter().flatten().map(<[u8]>::len).sum(),
            _ => 0,
        };
        let own = column.to_data().get_slice_memory_size();
        viewed + own.unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(bytes).sum()
}

/// Batches of one query may differ in what they promise.
fn nullable(schema: SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringViewArray};
    use arrow::compute::concat_batches;

    use super::*;

    fn batch(from: i32, rows: i32) -> RecordBatch {
        let numbers: Int32Array = (from..from + rows).map(|n| (n % 7 != 0).then_some(n)).collect();
        let texts: StringViewArray = (from..from + rows).map(|n| Some(format!("{n}").repeat(40))).collect();
        let columns = [("n", Arc::new(numbers) as _), ("t", Arc::new(texts) as _)];
        RecordBatch::try_from_iter(columns).expect("two columns")
    }

    async fn spooled(batches: &[RecordBatch]) -> (bool, Vec<RecordBatch>) {
        let mut spool = Spool::new(Arc::new(RuntimeEnv::default()));
        for batch in batches {
            spool.push(batch.clone()).expect("room");
        }
        let in_file = spool.files.is_some();
        let read: Vec<_> = spool.read().collect().await;
        (in_file, read.into_iter().collect::<Result<_>>().expect("what was written"))
    }

    #[tokio::test]
    async fn rows_come_back_from_memory_and_from_files() {
        for (count, goes_to_file) in [(0, false), (1, false), (40, true)] {
            let whole = batch(0, 1_000 * count.max(1));
            // Slices too: what they are cut from is not written.
            let batches: Vec<RecordBatch> =
                (0..count as usize).map(|n| whole.slice(n * 1_000, 1_000)).collect();
            let (in_file, read) = spooled(&batches).await;
            assert_eq!(in_file, goes_to_file, "{count} batches");
            assert!(read.iter().all(|batch| bytes_of(batch) < 2 * MEMORY_BYTES), "{count} batches");
            let both =
                [&read, &batches].map(|batches| concat_batches(&whole.schema(), batches).expect("rows"));
            assert_eq!(both[0].columns(), both[1].columns(), "{count} batches");
        }
    }
}
