//! Functions that read the execution they run in: parameters, now(), nextval('s'), pg_get_indexdef(oid).
//!
//! During planning such a function is a name and a signature. [`bind`] gives it the cell of the plan it became a
//! part of; calling it before is an error. All are volatile, so no rule folds them into constants of the first
//! execution.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::scalar::Coerce;
use crate::planner::bindings::{Bindings, Execution};
use crate::types::Type;
use crate::types::arrow::errors::external;
use crate::types::arrow::field;

/// The function itself, given the execution and arguments of the types the coercion answered.
pub type Evaluate = fn(&Execution, &ScalarFunctionArgs) -> crate::error::Result<ColumnarValue>;

/// The same for several functions, which are told by their names.
pub type EvaluateNamed = fn(&str, &Execution, &ScalarFunctionArgs) -> crate::error::Result<ColumnarValue>;

#[derive(Clone, Copy, Debug)]
enum Body {
    One(Evaluate),
    Named(EvaluateNamed),
}

/// A function of the session, the catalogue or the transaction.
#[derive(Debug)]
pub struct BoundFunction {
    name: &'static str,
    signature: Signature,
    coerce: Coerce,
    returns: FieldRef,
    evaluate: Body,
    bindings: Option<Arc<Bindings>>,
}

impl BoundFunction {
    #[expect(
        clippy::new_ret_no_self,
        reason = "the planner only ever holds it as a function of its own kind"
    )]
    pub fn new(name: &'static str, coerce: Coerce, returns: Type, evaluate: Evaluate) -> Arc<ScalarUDF> {
        BoundFunction::unbound(name, coerce, &returns, Body::One(evaluate))
    }

    /// One of several that are evaluated by one piece of code.
    pub fn named(
        name: &'static str,
        coerce: Coerce,
        returns: Type,
        evaluate: EvaluateNamed,
    ) -> Arc<ScalarUDF> {
        BoundFunction::unbound(name, coerce, &returns, Body::Named(evaluate))
    }

    fn unbound(name: &'static str, coerce: Coerce, returns: &Type, evaluate: Body) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(BoundFunction {
            name,
            signature: Signature::user_defined(Volatility::Volatile),
            coerce,
            returns: Arc::new(field(name, returns, true)),
            evaluate,
            bindings: None,
        }))
    }
}

impl PartialEq for BoundFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.bindings.is_some() == other.bindings.is_some()
    }
}

impl Eq for BoundFunction {}

impl Hash for BoundFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for BoundFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(self.returns.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.returns))
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        (self.coerce)(self.name, given)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(bindings) = &self.bindings else {
            let error = crate::error::Error::internal(format!("{} was called while planning", self.name));
            return Err(external(error));
        };
        let execution = bindings.execution().map_err(external)?;
        let outcome = match self.evaluate {
            Body::One(evaluate) => evaluate(&execution, &args),
            Body::Named(evaluate) => evaluate(self.name, &execution, &args),
        };
        outcome.map_err(external)
    }
}

/// Where a value without arguments comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// `$1` is 1.
    Parameter(usize),
    /// Read from the execution.
    Session(fn(&Execution) -> crate::error::Result<ScalarValue>),
}

/// A parameter or a value of the session in a finished plan. It shows under the placeholder's name, so replacing the
/// placeholder changes no column name.
#[derive(Debug)]
pub struct BoundValue {
    placeholder: String,
    source: Source,
    field: FieldRef,
    signature: Signature,
    bindings: Arc<Bindings>,
}

impl BoundValue {
    #[expect(
        clippy::new_ret_no_self,
        reason = "the planner only ever holds it as a function of its own kind"
    )]
    pub fn new(
        placeholder: String,
        source: Source,
        data_type: DataType,
        bindings: Arc<Bindings>,
    ) -> Arc<ScalarUDF> {
        let field = Arc::new(Field::new(&placeholder, data_type, true));
        let signature = Signature::nullary(Volatility::Volatile);
        Arc::new(ScalarUDF::from(BoundValue { placeholder, source, field, signature, bindings }))
    }

    fn value(&self) -> crate::error::Result<ScalarValue> {
        let execution = self.bindings.execution()?;
        match self.source {
            Source::Parameter(number) => execution.param(number).cloned(),
            Source::Session(read) => read(&execution),
        }
    }
}

impl PartialEq for BoundValue {
    fn eq(&self, other: &Self) -> bool {
        self.placeholder == other.placeholder && self.field == other.field
    }
}

impl Eq for BoundValue {}

impl Hash for BoundValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.placeholder.hash(state);
    }
}

impl ScalarUDFImpl for BoundValue {
    fn name(&self) -> &str {
        &self.placeholder
    }

    fn schema_name(&self, _args: &[Expr]) -> Result<String> {
        Ok(self.placeholder.clone())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = self.value().map_err(external)?;
        if value.data_type() == *self.field.data_type() {
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Scalar(value.cast_to(self.field.data_type())?))
    }
}

/// The function with its cell, if it is one that needs it.
pub fn bind(function: &ScalarUDF, bindings: &Arc<Bindings>) -> Option<Arc<ScalarUDF>> {
    let unbound = (function.inner().as_ref() as &dyn std::any::Any).downcast_ref::<BoundFunction>()?;
    Some(Arc::new(ScalarUDF::from(BoundFunction {
        name: unbound.name,
        signature: unbound.signature.clone(),
        coerce: unbound.coerce,
        returns: Arc::clone(&unbound.returns),
        evaluate: unbound.evaluate,
        bindings: Some(Arc::clone(bindings)),
    })))
}
