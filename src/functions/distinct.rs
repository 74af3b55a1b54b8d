//! Aggregates of DISTINCT values: what is gathered of values of which no two are equal, from the least to the greatest, as
//! PostgreSQL's sort has them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::as_list_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::utils::format_state_name;

use crate::codec::key;
use crate::functions::decimal;
use crate::functions::frame::{Gather, Read};
use crate::types::Numeric;

/// Values that have an order.
pub trait Keyed: Read {
    /// What they are in the state.
    fn data_type() -> DataType;

    /// Bytes in the order of the values, the same for those that are equal.
    fn key(&self, out: &mut Vec<u8>);

    fn scalar(&self) -> ScalarValue;
}

impl Keyed for Numeric {
    fn data_type() -> DataType {
        decimal::any()
    }

    fn key(&self, out: &mut Vec<u8>) {
        key::number(self, out);
    }

    fn scalar(&self) -> ScalarValue {
        decimal::scalar(Some(self))
    }
}

impl Keyed for f64 {
    fn data_type() -> DataType {
        DataType::Float64
    }

    fn key(&self, out: &mut Vec<u8>) {
        key::float(*self, out);
    }

    fn scalar(&self) -> ScalarValue {
        ScalarValue::from(*self)
    }
}

/// The state of a [`Distinct`] of values of a type.
pub fn state(name: &str, ty: DataType) -> Vec<FieldRef> {
    let items = DataType::List(Arc::new(Field::new("item", ty, true)));
    vec![Arc::new(Field::new(format_state_name(name, "values"), items, true))]
}

#[derive(Debug)]
pub struct Distinct<G: Gather> {
    /// By their keys; of equal ones the first.
    values: BTreeMap<Vec<u8>, G::Value>,
    /// Of no values.
    gathered: G,
}

impl<G: Gather> Distinct<G> {
    pub fn new(gathered: G) -> Distinct<G> {
        Distinct { values: BTreeMap::new(), gathered }
    }
}

impl<G: Gather<Value: Keyed>> Accumulator for Distinct<G> {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let mut values = VecDeque::new();
        G::Value::read(&columns[0], &mut values)?;
        for value in values {
            let mut key = Vec::new();
            value.key(&mut key);
            self.values.entry(key).or_insert(value);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        as_list_array(&states[0])?.iter().flatten().try_for_each(|items| self.update_batch(&[items]))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let items: Vec<ScalarValue> = self.values.values().map(Keyed::scalar).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&items, &G::Value::data_type()))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut gathered = self.gathered.clone();
        self.values.values().try_for_each(|value| gathered.add(value))?;
        gathered.answer()
    }

    fn size(&self) -> usize {
        let entry = |key: &Vec<u8>| key.capacity() + size_of::<(Vec<u8>, G::Value)>();
        size_of::<Self>() + self.values.keys().map(entry).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;

    use super::*;
    use crate::functions::spread::{Of, Whole};

    #[test]
    fn values_come_back_once_and_in_their_order() {
        let mut distinct = Distinct::new(Whole::new(Of { root: false, population: true }));
        let values: Float64Array = [f64::NAN, -0.0, 3.5, -2.0, f64::NEG_INFINITY, 0.0, 3.5, -f64::NAN]
            .into_iter()
            .map(Some)
            .collect();
        distinct.update_batch(&[Arc::new(values)]).expect("floats");
        let found: Vec<f64> = distinct.values.values().copied().collect();
        assert_eq!(found[..4], [f64::NEG_INFINITY, -2.0, 0.0, 3.5]);
        assert!(found[4].is_nan() && found.len() == 5);
    }
}
