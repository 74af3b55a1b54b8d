//! round, trunc, ceil, floor and sign, with PostgreSQL's halves and digits.
//!
//! Floats round half to even, numeric half away from zero; integers are taken as floats, as PostgreSQL's preferred
//! type wins. `round(x, 2)` has two digits after the point by its type: [`with_constant_digits`] moves a constant
//! second argument into the function, because a type must not change when the optimiser finds a constant.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::decimal::{self, Builder, Numbers};
use crate::functions::scalar::{answer, no_such_function, rows_of};
use crate::types::Numeric;
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::network_of;
use crate::types::numeric::{SCALE_MAX, Special};

/// PostgreSQL's bounds of the digits that are asked for: one more before the point than a number has, and all behind it.
const PLACES_MIN: i32 = -131_073;
const PLACES_MAX: i32 = SCALE_MAX as i32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Op {
    Round,
    Trunc,
    Ceil,
    Floor,
    Sign,
}

const NAMES: [(&str, Op); 6] = [
    ("round", Op::Round),
    ("trunc", Op::Trunc),
    ("ceil", Op::Ceil),
    ("ceiling", Op::Ceil),
    ("floor", Op::Floor),
    ("sign", Op::Sign),
];

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    NAMES.iter().map(|(name, op)| Arc::new(ScalarUDF::from(Rounding::new(name, *op, None)))).collect()
}

/// `round(x, 2)` and `trunc(x, 2)` with their digits inside the function.
pub fn with_constant_digits(call: ScalarFunction) -> std::result::Result<Expr, ScalarFunction> {
    let Some(rounding) = call.func.inner().downcast_ref::<Rounding>() else { return Err(call) };
    let (name, op) = (rounding.name, rounding.op);
    let digits = match call.args.as_slice() {
        [_, Expr::Literal(ScalarValue::Int32(Some(digits)), _)] => i64::from(*digits),
        [_, Expr::Literal(ScalarValue::Int64(Some(digits)), _)] => *digits,
        _ => return Err(call),
    };
    let digits = digits.clamp(i64::from(PLACES_MIN), i64::from(PLACES_MAX)) as i32;
    let function = Arc::new(ScalarUDF::from(Rounding::new(name, op, Some(digits))));
    let arguments = call.args.into_iter().take(1).collect();
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    name: &'static str,
    op: Op,
    /// Digits after the point, when they are constant.
    digits: Option<i32>,
    signature: Signature,
}

fn is_mac(ty: &DataType) -> bool {
    network_of(ty).is_some_and(|of| !of.is_ip())
}

impl Rounding {
    fn new(name: &'static str, op: Op, digits: Option<i32>) -> Rounding {
        Rounding { name, op, digits, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn shown(&self, arguments: String) -> String {
        match self.digits {
            Some(digits) => format!("{}({arguments},{digits})", self.name),
            None => format!("{}({arguments})", self.name),
        }
    }
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        self.name
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        let shown: Vec<String> = args.iter().map(Expr::to_string).collect();
        Ok(self.shown(shown.join(",")))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let shown: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(self.shown(shown.join(",")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let exact =
            |ty: &DataType| decimal::is_numeric(ty).then(|| ty.clone()).or_else(|| decimal::of_integer(ty));
        let with_digits = matches!(self.op, Op::Round | Op::Trunc);
        match given {
            // Another function in the end.
            [address] if self.op == Op::Trunc && is_mac(address) => Some(given.to_vec()),
            [operand] if self.digits.is_some() => exact(operand).map(|ty| vec![ty]),
            [operand] if decimal::is_numeric(operand) => Some(vec![operand.clone()]),
            [operand] if operand.is_numeric() || operand.is_null() => Some(vec![DataType::Float64]),
            [operand, places] if with_digits && (places.is_integer() || places.is_null()) => {
                let operand = if operand.is_null() { Some(decimal::any()) } else { exact(operand) };
                operand.map(|ty| vec![ty, DataType::Int32])
            }
            _ => None,
        }
        .ok_or_else(|| {
            let mut given = given.to_vec();
            given.extend(self.digits.map(|_| DataType::Int32));
            no_such_function(self.name, &given)
        })
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let Some((precision, scale)) = decimal::digits(&given[0]) else {
            return Ok(match &given[0] {
                number if decimal::is_numeric(number) => decimal::any(),
                address if is_mac(address) => address.clone(),
                _ => DataType::Float64,
            });
        };
        // One digit more than the operand has, for a carry.
        let whole = i16::from(precision) - i16::from(scale) + 1;
        let of_scale = |scale: i16| decimal::with_scale(whole + scale, scale);
        Ok(match (self.op, self.digits) {
            (Op::Sign, _) => DataType::Decimal128(1, 0),
            (Op::Round | Op::Trunc, Some(digits)) => {
                of_scale(i16::try_from(digits.max(0)).unwrap_or(i16::MAX))
            }
            (Op::Round | Op::Trunc, None) if given.len() == 2 => decimal::any(),
            _ => of_scale(0),
        })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, constant) = rows_of(&args);
        let operand = args.args[0].to_array(rows)?;
        let result = match args.return_field.data_type() {
            DataType::Float64 => self.floats(&operand),
            ty => {
                let places = args.args.get(1).map(|places| places.to_array(rows)).transpose()?;
                self.decimals(&operand, places.as_ref(), ty, rows)?
            }
        };
        answer(result, constant)
    }
}

impl Rounding {
    fn floats(&self, operand: &ArrayRef) -> ArrayRef {
        let round = match self.op {
            Op::Round => f64::round_ties_even,
            Op::Trunc => f64::trunc,
            Op::Ceil => f64::ceil,
            Op::Floor => f64::floor,
            Op::Sign => |value: f64| match value {
                value if value > 0.0 => 1.0,
                value if value < 0.0 => -1.0,
                // NaN stays one.
                value => value,
            },
        };
        let result: Float64Array = operand.as_primitive::<Float64Type>().unary(round);
        Arc::new(result)
    }

    fn decimals(
        &self,
        operand: &ArrayRef,
        places: Option<&ArrayRef>,
        ty: &DataType,
        rows: usize,
    ) -> Result<ArrayRef> {
        let operand = Numbers::new(operand);
        let places = places.map(|places| places.as_primitive::<arrow::datatypes::Int32Type>());
        let mut result = Builder::new(ty, rows);
        for row in 0..rows {
            let places = match places {
                Some(places) if arrow::array::Array::is_null(places, row) => None,
                Some(places) => Some(places.value(row).clamp(PLACES_MIN, PLACES_MAX)),
                None => Some(self.digits.unwrap_or(0)),
            };
            let value = match (operand.get(row)?, places) {
                (Some(value), Some(places)) => Some(self.decimal(&value, places).map_err(external)?),
                _ => None,
            };
            result.append(value.as_ref())?;
        }
        result.finish()
    }

    fn decimal(&self, value: &Numeric, places: i32) -> crate::error::Result<Numeric> {
        Ok(match self.op {
            Op::Round => value.rounded_within(places)?,
            Op::Trunc => value.truncated(places),
            Op::Ceil => value.ceiling()?,
            Op::Floor => value.floor()?,
            Op::Sign if value.is_zero() => Numeric::ZERO,
            Op::Sign if value.as_special() == Some(Special::NaN) => Numeric::NAN,
            Op::Sign => Numeric::from_integer(i64::from(value.signum())),
        })
    }
}
