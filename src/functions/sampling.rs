//! Whether a row is in a sample: a number made of its slot and a seed is below the part that is wanted.

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::error::{Error, SqlState};
use crate::functions::scalar::{Function, answer, rows_of};
use crate::types::arrow::errors::external;

/// The function: slot, whether whole blocks are taken, percentage, seed, number of the sample in its query.
pub const SAMPLED: &str = "hither_sampled";

/// Slots that SYSTEM takes or leaves together; PostgreSQL's pages have some hundred rows.
const BLOCK_SLOTS: u32 = 64;

pub fn function() -> Arc<ScalarUDF> {
    Function::new(SAMPLED, coerce, DataType::Boolean, sampled)
}

/// A seed is a number, or the time of the statement where none was given.
fn coerce(_name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    let seed = match given.get(3) {
        Some(time @ DataType::Timestamp(..)) => time.clone(),
        _ => DataType::Float64,
    };
    Ok(vec![DataType::UInt32, DataType::Boolean, DataType::Float64, seed, DataType::Int64])
}

fn sampled(args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, constant) = rows_of(args);
    let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
    let slots = columns[0].as_primitive::<UInt32Type>();
    let (blocks, percent) = (columns[1].as_boolean(), columns[2].as_primitive::<Float64Type>());
    let number = columns[4].as_primitive::<Int64Type>();
    let mut chosen = Vec::with_capacity(rows);
    for row in 0..rows {
        if percent.is_null(row) {
            return Err(invalid("2202H", "TABLESAMPLE parameter cannot be null"));
        }
        let percent = percent.value(row);
        if !(0.0..=100.0).contains(&percent) {
            return Err(invalid("2202H", "sample percentage must be between 0 and 100"));
        }
        if columns[3].is_null(row) {
            return Err(invalid("2202G", "TABLESAMPLE REPEATABLE parameter cannot be null"));
        }
        let seed = match columns[3].data_type() {
            DataType::Float64 => columns[3].as_primitive::<Float64Type>().value(row).to_bits(),
            // Two samples of one statement differ.
            _ => {
                let time = columns[3].as_primitive::<TimestampMicrosecondType>().value(row) as u64;
                mixed(time.wrapping_add(number.value(row) as u64))
            }
        };
        let place = if blocks.value(row) { slots.value(row) / BLOCK_SLOTS } else { slots.value(row) };
        let point = unit_of(mixed(mixed(seed) ^ u64::from(place)));
        chosen.push(point < percent / 100.0);
    }
    answer(Arc::new(BooleanArray::from(chosen)), constant)
}

fn invalid(state: &'static str, message: &str) -> datafusion::common::DataFusionError {
    external(Error::new(SqlState(state), message))
}

/// Random bits: the outputs of one SplitMix64 per thread, which begins where the operating system drew.
pub fn drawn() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(uuid::Uuid::new_v4().as_u64_pair().0);
    }
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    STATE.with(|state| mixed(state.replace(state.get().wrapping_add(STEP))))
}

/// From 0 to below 1, by the 53 bits that a double holds.
pub fn unit_of(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// SplitMix64's output function: every bit of the result depends on every bit given.
pub fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_numbers_is_below_a_tenth() {
        let below =
            (0..100_000u64).filter(|n| (mixed(mixed(7) ^ n) >> 11) as f64 / ((1u64 << 53) as f64) < 0.1);
        let count = below.count();
        assert!((9_500..10_500).contains(&count), "{count}");
    }
}
