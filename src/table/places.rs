//! Conditions on `ctid`, which name rows by where they lie: `ctid = '(0,1)'`, `ctid IN (...)`, `ctid = ANY (...)`. No
//! index is asked; a place is a slot.

use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use roaring::RoaringBitmap;

use crate::error;
use crate::table::Snapshot;
use crate::table::predicate::{Constant, constant_type, evaluate};
use crate::table::provider::{CTID_COLUMN, SystemColumns, TableSourceProvider};
use crate::types::Value;
use crate::types::arrow::{from_scalar, type_of_data_type};

/// Which places: those of some constants, each a `tid` or an array of them.
pub struct Places(Vec<Constant>);

impl Places {
    /// The places that a condition asks for; `None` for other conditions.
    pub fn of(expr: &Expr, provider: &TableSourceProvider, session: &dyn Session) -> Result<Option<Places>> {
        if provider.system() != SystemColumns::Ctid {
            return Ok(None);
        }
        let is_ctid = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == CTID_COLUMN);
        let constants: Vec<&Expr> = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_ctid(left) => vec![right],
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_ctid(right) => vec![left],
            Expr::InList(InList { expr, list, negated: false }) if is_ctid(expr) => list.iter().collect(),
            Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
                ("array_has", [array, subject]) if is_ctid(subject) => vec![array],
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if constants.iter().any(|constant| constant_type(constant).is_none()) {
            return Ok(None);
        }
        let physical = |expr: &&Expr| session.create_physical_expr((*expr).clone(), &DFSchema::empty());
        constants.iter().map(physical).collect::<Result<_>>().map(|constants| Some(Places(constants)))
    }

    pub fn constants(&self) -> error::Result<Vec<ScalarValue>> {
        self.0.iter().map(evaluate).collect()
    }

    /// The slots that are meant, of rows that are there and not dirty.
    pub fn answer(&self, snapshot: &Snapshot) -> error::Result<RoaringBitmap> {
        let mut values = Vec::new();
        for constant in self.constants()? {
            match from_scalar(&constant, &type_of_data_type(&constant.data_type()))? {
                Value::Array(places) => values.extend(places),
                place => values.push(place),
            }
        }
        Ok((slots_of(&values) & &**snapshot.live()) - &**snapshot.dirty())
    }
}

/// The slots at these places.
pub fn slots_of(places: &[Value]) -> RoaringBitmap {
    let slot = |place: &Value| match place {
        Value::Tid(place) => place.slot(),
        _ => None,
    };
    places.iter().filter_map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Tid;

    #[test]
    fn places_without_a_slot_name_no_row() {
        let nowhere = [(0, 0), (0, 257), (u32::MAX, 1)].map(|(block, offset)| Tid { block, offset });
        let somewhere = [7, 300, u32::MAX].map(Tid::of_slot);
        let mut places: Vec<Value> = nowhere.into_iter().chain(somewhere).map(Value::Tid).collect();
        places.push(Value::Null);
        assert_eq!(slots_of(&places).iter().collect::<Vec<_>>(), [7, 300, u32::MAX]);
    }
}
