//! `+ - * / %`, unary minus and abs of numbers, with PostgreSQL's types, ranges and digits.
//!
//! They are functions because DataFusion's operators wrap around at the end of a type, divide floats by zero, and keep
//! another number of digits.
//!
//! | operands                 | result                                                     |
//! |--------------------------|------------------------------------------------------------|
//! | integers                 | the wider of the two; 22003 when the value does not fit    |
//! | a float and anything     | double precision, or real when both are; 22003 when a finite result overflows or underflows |
//! | numeric, with an integer | see [`crate::functions::decimal`]                          |
//!
//! A division by zero is 22012 for all of them.

use std::fmt::{self, Display, Write};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, Datum, PrimitiveArray};
use arrow::compute::kernels::{arity, numeric};
use arrow::datatypes::*;
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::expr::{ScalarFunction, schema_name_from_exprs};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use crate::error::{Error, SqlState};
use crate::functions::decimal::{self, Numbers};
use crate::functions::doubles;
use crate::functions::scalar::{answer, no_such_function, rows_of, type_name};
use crate::types::Numeric;
use crate::types::arrow::errors::external;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Neg,
    Abs,
}

const OPS: [Op; 7] = [Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Mod, Op::Neg, Op::Abs];

/// The name of unary minus, which `sql::spellings` calls by it.
pub const NEGATIVE: &str = "-";

/// `abs` and `mod`, which have names of their own in SQL, and unary minus.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let named = [("abs", Op::Abs), ("mod", Op::Mod), (NEGATIVE, Op::Neg)];
    named.into_iter().map(|(name, op)| Arc::new(ScalarUDF::from(Arithmetic::new(name, op)))).collect()
}

/// The operator over numbers as a call; `None` when it is none of ours.
#[expect(clippy::result_large_err, reason = "the operands go back to where they came from")]
pub fn binary(op: Operator, left: Expr, right: Expr) -> std::result::Result<Expr, (Expr, Expr)> {
    let op = match op {
        Operator::Plus => Op::Add,
        Operator::Minus => Op::Sub,
        Operator::Multiply => Op::Mul,
        Operator::Divide => Op::Div,
        Operator::Modulo => Op::Mod,
        _ => return Err((left, right)),
    };
    Ok(call(op, vec![left, right]))
}

/// Unary minus.
pub fn negative(operand: Expr) -> Expr {
    call(Op::Neg, vec![operand])
}

/// Whether these operators are the ones of a type.
pub fn is_number(ty: &DataType) -> bool {
    is_integer(ty) || is_float(ty) || decimal::is_numeric(ty)
}

fn is_integer(ty: &DataType) -> bool {
    matches!(ty, DataType::Int16 | DataType::Int32 | DataType::Int64)
}

fn is_float(ty: &DataType) -> bool {
    matches!(ty, DataType::Float32 | DataType::Float64)
}

fn call(op: Op, arguments: Vec<Expr>) -> Expr {
    static FUNCTIONS: OnceLock<Vec<Arc<ScalarUDF>>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| {
        OPS.iter().map(|op| Arc::new(ScalarUDF::from(Arithmetic::new(op.symbol(), *op)))).collect()
    });
    let function = functions[op as usize].clone();
    Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))
}

impl Op {
    fn symbol(self) -> &'static str {
        match self {
            Op::Add => "+",
            Op::Sub | Op::Neg => "-",
            Op::Mul => "*",
            Op::Div => "/",
            Op::Mod => "%",
            Op::Abs => "abs",
        }
    }

    /// Those of a higher one are computed first.
    fn precedence(self) -> u8 {
        match self {
            Op::Add | Op::Sub => 1,
            Op::Mul | Op::Div | Op::Mod => 2,
            Op::Neg | Op::Abs => 3,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    name: &'static str,
    op: Op,
    signature: Signature,
}

impl Arithmetic {
    fn new(name: &'static str, op: Op) -> Arithmetic {
        Arithmetic { name, op, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn is_operator(&self) -> bool {
        self.name == self.op.symbol() && self.op != Op::Abs
    }

    /// The message for operands it is not defined on.
    fn undefined(&self, given: &[DataType]) -> DataFusionError {
        match given {
            [left, right] if self.is_operator() => undefined_operator(self.name, Some(left), right),
            [operand] if self.is_operator() => undefined_operator(self.name, None, operand),
            _ => no_such_function(self.name, given),
        }
    }
}

/// 42883 for an operator between types that do not have it.
pub fn undefined_operator(operator: &str, left: Option<&DataType>, right: &DataType) -> DataFusionError {
    let left = left.map(|left| format!("{} ", type_name(left))).unwrap_or_default();
    let message = format!("operator does not exist: {left}{operator} {}", type_name(right));
    external(Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
        "No operator matches the given name and argument types. You might need to add explicit type casts.",
    ))
}

/// How many operators a name shows of an expression. A name is asked for at each node, and of all within it, each time the
/// type of one is: with names as long as what they name, planning a sum of a few hundred took seconds.
const SHOWN_MAX: usize = 24;

/// Writes the name of a column computed by an expression, with the brackets it needs to be read as it is meant: joins know
/// their keys by it. `shown` counts the operators down that may still be shown.
fn write_name(expr: &Expr, shown: &mut usize, name: &mut String) -> fmt::Result {
    match expr {
        Expr::ScalarFunction(call) if let Some(of) = operator_of(call) => {
            write_operation(of, &call.args, shown, name)
        }
        expr => write!(name, "{}", expr.schema_name()),
    }
}

fn write_operation(of: &Arithmetic, args: &[Expr], shown: &mut usize, name: &mut String) -> fmt::Result {
    if *shown == 0 {
        return name.write_str("...");
    }
    *shown -= 1;
    let mut operand = |operand: &Expr, in_brackets: bool, name: &mut String| {
        if !in_brackets {
            return write_name(operand, shown, name);
        }
        name.push('(');
        write_name(operand, shown, name)?;
        name.push(')');
        Ok(())
    };
    match args {
        [left, right] => {
            operand(left, is_looser(left, |inner| inner < of.op.precedence()), name)?;
            write!(name, " {} ", of.name)?;
            operand(right, is_looser(right, |inner| inner <= of.op.precedence()), name)
        }
        args => {
            name.push_str("(- ");
            args.iter().try_for_each(|arg| operand(arg, false, name))?;
            name.push(')');
            Ok(())
        }
    }
}

/// Whether an operand needs brackets; `is_looser` tells of the precedence of an operation.
fn is_looser(operand: &Expr, is_looser: impl Fn(u8) -> bool) -> bool {
    match operand {
        Expr::ScalarFunction(call) if call.args.len() == 2 => {
            operator_of(call).is_some_and(|inner| is_looser(inner.op.precedence()))
        }
        Expr::BinaryExpr(_) => true,
        _ => false,
    }
}

/// The operator that a call stands for.
fn operator_of(call: &ScalarFunction) -> Option<&Arithmetic> {
    call.func.inner().downcast_ref::<Arithmetic>().filter(|of| of.is_operator())
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.name
    }

    // Operators are shown as DataFusion shows its own, so that columns made of them keep their names.
    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [left, right] if self.is_operator() => format!("{} {} {}", Inner(left), self.name, Inner(right)),
            [operand] if self.is_operator() => format!("(- {operand})"),
            _ => {
                let shown: Vec<String> = args.iter().map(Expr::to_string).collect();
                format!("{}({})", self.name, shown.join(", "))
            }
        })
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let mut name = String::new();
        match self.is_operator() {
            true => write_operation(self, args, &mut { SHOWN_MAX }, &mut name)?,
            false => write!(name, "{}({})", self.name, schema_name_from_exprs(args)?)?,
        }
        Ok(name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        // A function of its own in the end.
        if let (Op::Neg, [DataType::Interval(_)]) = (self.op, given) {
            return Ok(given.to_vec());
        }
        let known = given.iter().find(|ty| !ty.is_null());
        let filled =
            |ty: &DataType| if ty.is_null() { known.cloned().unwrap_or(DataType::Int32) } else { ty.clone() };
        let given_all: Vec<DataType> = given.iter().map(filled).collect();
        let arity = if matches!(self.op, Op::Neg | Op::Abs) { 1 } else { 2 };
        if given.len() != arity || !given_all.iter().all(is_number) {
            return Err(self.undefined(given));
        }
        let [left, right] = given_all.as_slice() else { return Ok(given_all) };
        let common = common_type(left, right);
        if is_float(&common) && self.op == Op::Mod {
            return Err(self.undefined(given));
        }
        Ok(match decimal::is_numeric(&common) {
            // Each keeps its own scale.
            true => given_all.iter().map(|ty| decimal::of_integer(ty).unwrap_or(ty.clone())).collect(),
            // Numbers of ours are no floats by themselves.
            false => {
                let coerced = |ty: &DataType| if *ty == decimal::any() { ty.clone() } else { common.clone() };
                given_all.iter().map(coerced).collect()
            }
        })
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let [left, right] = given else { return Ok(given[0].clone()) };
        if is_float(left) || is_float(right) {
            return Ok(common_type(left, right));
        }
        if !decimal::is_numeric(left) {
            return Ok(left.clone());
        }
        Ok(match self.op {
            Op::Mul => decimal::product_type(left, right),
            Op::Div => decimal::any(),
            _ => decimal::sum_type(left, right),
        })
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.return_field.data_type() {
            ty if is_integer(ty) => self.integers(&args),
            ty if is_float(ty) => self.floats(&args),
            _ => self.decimals(&args),
        }
    }
}

/// Whether a call stands for an operator between two numbers.
pub fn is_operation(call: &ScalarFunction) -> bool {
    call.args.len() == 2 && operator_of(call).is_some()
}

/// An operand in parentheses when it is an operation itself.
struct Inner<'a>(&'a Expr);

impl Display for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_operation = match self.0 {
            Expr::BinaryExpr(_) => true,
            Expr::ScalarFunction(call) => is_operation(call),
            _ => false,
        };
        if is_operation { write!(f, "({})", self.0) } else { write!(f, "{}", self.0) }
    }
}

/// The type both operands are converted to, or some decimal when they are decimals.
fn common_type(left: &DataType, right: &DataType) -> DataType {
    if left == right {
        return left.clone();
    }
    let is_single = |ty: &DataType| *ty == DataType::Float32;
    match (is_float(left), is_float(right)) {
        // real with anything else is double precision, as PostgreSQL's preferred type wins.
        (true, _) | (_, true) => match is_single(left) && is_single(right) {
            true => DataType::Float32,
            false => DataType::Float64,
        },
        _ if decimal::is_numeric(left) => left.clone(),
        _ if decimal::is_numeric(right) => right.clone(),
        _ => [DataType::Int64, DataType::Int32]
            .into_iter()
            .find(|ty| ty == left || ty == right)
            .unwrap_or(DataType::Int16),
    }
}

impl Arithmetic {
    fn integers(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ty = args.return_field.data_type();
        let checked = |result: std::result::Result<ArrayRef, ArrowError>| match result {
            Err(ArrowError::ArithmeticOverflow(_)) => {
                Err(ArrowError::ExternalError(Box::new(out_of_range(ty))))
            }
            result => result,
        };
        let binary = |kernel: fn(&dyn Datum, &dyn Datum) -> std::result::Result<ArrayRef, ArrowError>| {
            apply(&args.args[0], &args.args[1], |left, right| checked(kernel(left, right)))
        };
        match self.op {
            Op::Add => binary(numeric::add),
            Op::Sub => binary(numeric::sub),
            Op::Mul => binary(numeric::mul),
            Op::Div => binary(numeric::div),
            Op::Mod => binary(remainder),
            Op::Neg | Op::Abs => {
                let (rows, constant) = rows_of(args);
                let operand = args.args[0].to_array(rows)?;
                let result = if self.op == Op::Neg { numeric::neg(&operand) } else { absolute(&operand) };
                answer(checked(result)?, constant)
            }
        }
    }

    fn floats(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, constant) = rows_of(args);
        let operand = |arg: &ColumnarValue| match arg.to_array(rows)? {
            number if *number.data_type() == decimal::any() => doubles::of_numbers(&number),
            number => Ok(number),
        };
        let operands = args.args.iter().map(operand).collect::<Result<Vec<_>>>()?;
        let result = match args.return_field.data_type() {
            DataType::Float32 => float_result::<Float32Type>(self.op, &operands, f64::from, |a| a as f32)?,
            _ => float_result::<Float64Type>(self.op, &operands, |a| a, |a| a)?,
        };
        answer(result, constant)
    }

    fn decimals(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (rows, constant) = rows_of(args);
        let operands: Vec<Numbers> = args
            .args
            .iter()
            .map(|argument| argument.to_array(rows).map(|column| Numbers::new(&column)))
            .collect::<Result<_>>()?;
        let mut result = decimal::Builder::new(args.return_field.data_type(), rows);
        for row in 0..rows {
            let value = match operands.as_slice() {
                [operand] => {
                    let operand = operand.get(row)?;
                    operand.map(|a| self.decimal(&a, &a)).transpose().map_err(external)?
                }
                [left, right] => match (left.get(row)?, right.get(row)?) {
                    (Some(a), Some(b)) => Some(self.decimal(&a, &b).map_err(external)?),
                    _ => None,
                },
                _ => None,
            };
            result.append(value.as_ref())?;
        }
        answer(result.finish()?, constant)
    }

    fn decimal(&self, a: &Numeric, b: &Numeric) -> crate::error::Result<Numeric> {
        match self.op {
            Op::Add => a.plus(b),
            Op::Sub => a.minus(b),
            Op::Mul => a.times(b),
            Op::Div => a.divided_by(b),
            Op::Mod => a.remainder(b),
            Op::Neg => Ok(a.negated()),
            Op::Abs => Ok(a.absolute()),
        }
    }
}

/// `integer out of range` and its like.
pub fn out_of_range(ty: &DataType) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{} out of range", type_name(ty)))
}

/// The lowest number modulo -1 is 0 and no overflow.
fn remainder(left: &dyn Datum, right: &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> {
    match numeric::rem(left, right) {
        Err(ArrowError::ArithmeticOverflow(_)) => {}
        result => return result,
    }
    fn wrapping<T: ArrowPrimitiveType>(
        left: &dyn Datum,
        right: &dyn Datum,
        rem: fn(T::Native, T::Native) -> Option<T::Native>,
    ) -> std::result::Result<ArrayRef, ArrowError> {
        let ((left, left_scalar), (right, right_scalar)) = (left.get(), right.get());
        let rows = if left_scalar { right.len() } else { left.len() };
        let spread = |array: &dyn Array, scalar: bool| -> PrimitiveArray<T> {
            let array = array.as_primitive::<T>();
            (0..rows)
                .map(|row| if scalar { 0 } else { row })
                .map(|row| (!array.is_null(row)).then(|| array.value(row)))
                .collect()
        };
        let rem = |a, b| rem(a, b).ok_or(ArrowError::DivideByZero);
        let result: PrimitiveArray<T> =
            arity::try_binary(&spread(left, left_scalar), &spread(right, right_scalar), rem)?;
        Ok(Arc::new(result))
    }
    match left.get().0.data_type() {
        DataType::Int16 => wrapping::<Int16Type>(left, right, |a, b| (b != 0).then(|| a.wrapping_rem(b))),
        DataType::Int32 => wrapping::<Int32Type>(left, right, |a, b| (b != 0).then(|| a.wrapping_rem(b))),
        _ => wrapping::<Int64Type>(left, right, |a, b| (b != 0).then(|| a.wrapping_rem(b))),
    }
}

fn absolute(operand: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    fn checked<T: ArrowPrimitiveType>(
        operand: &ArrayRef,
        abs: fn(T::Native) -> Option<T::Native>,
    ) -> std::result::Result<ArrayRef, ArrowError> {
        let overflow = || ArrowError::ArithmeticOverflow("abs".to_owned());
        let result: PrimitiveArray<T> =
            arity::try_unary(operand.as_primitive::<T>(), |value| abs(value).ok_or_else(overflow))?;
        Ok(Arc::new(result))
    }
    match operand.data_type() {
        DataType::Int16 => checked::<Int16Type>(operand, i16::checked_abs),
        DataType::Int32 => checked::<Int32Type>(operand, i32::checked_abs),
        _ => checked::<Int64Type>(operand, i64::checked_abs),
    }
}

fn float_result<T: ArrowPrimitiveType>(
    op: Op,
    operands: &[ArrayRef],
    widen: fn(T::Native) -> f64,
    narrow: fn(f64) -> T::Native,
) -> Result<ArrayRef> {
    let left = operands[0].as_primitive::<T>();
    let Some(right) = operands.get(1) else {
        let result: PrimitiveArray<T> =
            left.unary(|a| narrow(if op == Op::Neg { -widen(a) } else { widen(a).abs() }));
        return Ok(Arc::new(result));
    };
    let compute = |a: T::Native, b: T::Native| {
        let (a, b) = (widen(a), widen(b));
        // Both widths give the correctly rounded result of one operation this way.
        let wide = match op {
            Op::Add => a + b,
            Op::Sub => a - b,
            Op::Mul => a * b,
            _ if b == 0.0 && !a.is_nan() => return Err(ArrowError::DivideByZero),
            _ => a / b,
        };
        let result = narrow(wide);
        let shown = widen(result);
        let lost = match op {
            _ if shown.is_infinite() && a.is_finite() && b.is_finite() => "overflow",
            Op::Mul if shown == 0.0 && a != 0.0 && b != 0.0 => "underflow",
            Op::Div if shown == 0.0 && a != 0.0 && b.is_finite() => "underflow",
            _ => return Ok(result),
        };
        let error = Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {lost}"));
        Err(ArrowError::ExternalError(Box::new(error)))
    };
    let result: PrimitiveArray<T> = arity::try_binary(left, right.as_primitive::<T>(), compute)?;
    Ok(Arc::new(result))
}
