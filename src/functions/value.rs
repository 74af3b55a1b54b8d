//! Functions over single values: a signature as PostgreSQL writes it, and what it computes.
//!
//! ```text
//!   strict("make_date(int4, int4, int4) date", |v| ...)
//! ```
//!
//! Most functions are not worth a kernel over columns; they are written here as functions of `types::Value`s, and this
//! file finds the overload, converts the arguments and calls them row by row. A name may be defined several times;
//! of the definitions that take the arguments, the one with the fewest conversions is called, the first of equals.
//! `any` takes a value of any type as it is, and `any...` any number of them; a result `$1` has the type of the first
//! argument. `anyrange`, `anymultirange` and `anyelement` are of one range type, which the arguments say.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::decimal;
use crate::functions::scalar::{answer, look_of, no_such_function, rows_of};
use crate::types::arrow::errors::external;
use crate::types::arrow::lists::{multirange_of, network_of, range_of};
use crate::types::arrow::{Builder, data_type, plain_field, type_of, type_of_data_type, value_at};
use crate::types::{Look, NetworkType, RangeType, Type, Value, Zone, cast, dimensions};

/// What the twin of a function of any number of arguments is called that takes them as an array: this and the function's
/// name. `f(a, VARIADIC array)` calls it (`sql::variadic`).
pub const VARIADIC: &str = "hither_variadic_";

/// What a function computes from one row's arguments.
pub type Call = fn(&[Value]) -> crate::error::Result<Value>;
/// The same with the session's time zone.
pub type ZonedCall = fn(Zone, &[Value]) -> crate::error::Result<Value>;
/// The same of one that makes text, which the session's style of intervals changes too.
pub type ShownCall = fn(Look, &[Value]) -> crate::error::Result<Value>;

/// The same of one that asks for the types of its arguments, and sees NULLs.
pub type TypedCall = fn(Look, &[Type], &[Value]) -> crate::error::Result<Value>;
/// The same of one that makes values of a range type, or of its sets.
pub type RangeCall = fn(&RangeType, &[Value]) -> crate::error::Result<Value>;

#[derive(Clone, Debug)]
enum Compute {
    Plain(Call),
    Made(RangeType, RangeCall),
    Zoned(ZonedCall),
    Shown(ShownCall),
    Typed(TypedCall),
}

/// One definition of a function.
pub struct Definition {
    signature: &'static str,
    call: Compute,
    strict: bool,
    volatile: bool,
    null_is_empty: bool,
    /// Where it is not in the signature.
    name: Option<String>,
}

impl Definition {
    fn new(signature: &'static str, call: Compute, strict: bool) -> Definition {
        Definition { signature, call, strict, volatile: false, null_is_empty: false, name: None }
    }

    /// Of a function that answers differently each time.
    pub fn volatile(self) -> Definition {
        Definition { volatile: true, ..self }
    }

    /// Of a function of any number of arguments for which VARIADIC NULL is an array of none.
    pub fn null_is_empty(self) -> Definition {
        Definition { null_is_empty: true, ..self }
    }
}

/// A function that is NULL when an argument is.
pub fn strict(signature: &'static str, call: Call) -> Definition {
    Definition::new(signature, Compute::Plain(call), true)
}

/// A function that sees NULLs.
pub fn lenient(signature: &'static str, call: Call) -> Definition {
    Definition::new(signature, Compute::Plain(call), false)
}

/// A function that is NULL when an argument is, and whose result depends on the session's time zone.
pub fn zoned(signature: &'static str, call: ZonedCall) -> Definition {
    Definition::new(signature, Compute::Zoned(call), true)
}

/// A function that is NULL when an argument is, and shows its arguments as the session wants to see them.
pub fn shown(signature: &'static str, call: ShownCall) -> Definition {
    Definition::new(signature, Compute::Shown(call), true)
}

/// The same of one that sees NULLs.
pub fn lenient_shown(signature: &'static str, call: ShownCall) -> Definition {
    Definition::new(signature, Compute::Shown(call), false)
}

/// A function that makes values of types it is given by the types of its arguments; it sees NULLs.
pub fn typed(signature: &'static str, call: TypedCall) -> Definition {
    Definition::new(signature, Compute::Typed(call), false)
}

/// A function that makes values of a range type or of its sets: `(anyelement, anyelement) anyrange`, by this name.
pub fn maker(
    name: &str,
    of: &RangeType,
    signature: &'static str,
    strict: bool,
    call: RangeCall,
) -> Definition {
    let definition = Definition::new(signature, Compute::Made(of.clone(), call), strict);
    Definition { name: Some(name.to_owned()), ..definition }
}

/// Whether a call with arguments of these types depends on the session's time zone.
pub fn needs_zone(function: &ScalarUDF, given: &[DataType]) -> bool {
    let function = function.inner().downcast_ref::<ValueFunction>();
    function.and_then(|function| function.choose(given).ok()).is_some_and(|overload| match overload.call {
        Compute::Zoned(_) => {
            // What takes any type depends on the zone when it is given moments.
            let moment = |ty: &DataType| matches!(ty, DataType::Timestamp(_, Some(_)));
            overload.parameters.iter().any(|parameter| parameter.ty().is_some()) || given.iter().any(moment)
        }
        Compute::Shown(_) => {
            let shown = |ty: &DataType| {
                matches!(ty, DataType::Timestamp(_, Some(_)) | DataType::Interval(_) | DataType::Binary)
            };
            given.iter().any(shown)
        }
        // It may make moments of texts.
        Compute::Typed(_) => true,
        Compute::Plain(_) | Compute::Made(..) => false,
    })
}

/// The type a function takes at a position, given the types of its other arguments; `None` when it takes any, or is none
/// of these functions.
pub fn parameter(function: &ScalarUDF, given: &[DataType], position: usize) -> Option<Type> {
    let function = function.inner().downcast_ref::<ValueFunction>()?;
    function.choose(given).ok()?.parameter(position).cloned()
}

/// The functions of some definitions, those of one name together.
pub fn functions(definitions: Vec<Definition>) -> Vec<Arc<ScalarUDF>> {
    let mut named: BTreeMap<String, (Vec<Overload>, Volatility)> = BTreeMap::new();
    for definition in definitions {
        let is_volatile = definition.volatile;
        let (name, overload) = Overload::read(definition);
        let twin = overload.twin().map(|twin| (format!("{VARIADIC}{name}"), twin));
        for (name, overload) in std::iter::once((name, overload)).chain(twin) {
            let (overloads, volatility) = named.entry(name).or_insert((Vec::new(), Volatility::Immutable));
            overloads.push(overload);
            if is_volatile {
                *volatility = Volatility::Volatile;
            }
        }
    }
    let function = |(name, (overloads, volatility))| {
        let signature = Signature::user_defined(volatility);
        Arc::new(ScalarUDF::from(ValueFunction { name, overloads, signature }))
    };
    named.into_iter().map(function).collect()
}

#[derive(Clone, Debug)]
struct Overload {
    parameters: Vec<Parameter>,
    variadic: bool,
    /// The last argument is an array of arguments; whether NULL is one of none.
    spread: bool,
    null_is_empty: bool,
    returns: Returns,
    strict: bool,
    call: Compute,
}

#[derive(Clone, Debug)]
enum Parameter {
    /// Takes any type.
    Any,
    Fixed(Type),
    /// Takes what the others of the call are ranges, sets or elements of.
    OfRange(OfRange),
}

impl Parameter {
    fn ty(&self) -> Option<&Type> {
        match self {
            Parameter::Fixed(ty) => Some(ty),
            Parameter::Any | Parameter::OfRange(_) => None,
        }
    }
}

/// A type that a range type says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum OfRange {
    Element,
    Range,
    Multirange,
}

impl OfRange {
    fn from_name(name: &str) -> Option<OfRange> {
        match name {
            "anyelement" => Some(OfRange::Element),
            "anyrange" => Some(OfRange::Range),
            "anymultirange" => Some(OfRange::Multirange),
            _ => None,
        }
    }

    fn ty(self, of: &RangeType) -> Type {
        match self {
            OfRange::Element => of.element(),
            OfRange::Range => Type::Range(of.clone()),
            OfRange::Multirange => Type::Multirange(of.clone()),
        }
    }
}

/// The type of a result.
#[derive(Clone, Debug)]
enum Returns {
    Fixed(Type),
    OfRange(OfRange),
    /// That of an argument, counted from 0.
    Argument(usize),
    /// Arrays of that of an argument.
    ArrayOf(usize),
    /// `deepest`: that of the argument of most dimensions.
    Deepest,
    /// `flat`: arrays of one dimension of what stands in the first argument, an array or a multirange.
    Flat,
    /// `above`: arrays of the first argument, of as many dimensions as there are other arguments.
    Above,
    /// `element`: what stands in the first argument, an array of any dimensions.
    Element,
    /// `document`: jsonb where an argument is jsonb or of such, else json.
    Document,
}

impl Returns {
    /// By the types of `count` arguments, which are asked for where they matter.
    fn of(&self, count: usize, type_at: impl Fn(usize) -> Type) -> Type {
        let argument = |index: usize| if index < count { type_at(index) } else { Type::Text };
        match self {
            Returns::Fixed(ty) => ty.clone(),
            // Bound before it is asked for.
            Returns::OfRange(_) => Type::Text,
            Returns::Argument(index) => argument(*index),
            Returns::ArrayOf(index) => Type::Array(Box::new(argument(*index))),
            // The first of those that are alike.
            Returns::Deepest => {
                (0..count).rev().map(argument).max_by_key(Type::dimensions).unwrap_or(Type::Text)
            }
            Returns::Flat => {
                let array = argument(0);
                match array {
                    Type::Multirange(of) => Type::Array(Box::new(Type::Range(of))),
                    array if array.dimensions() > 1 => array.with_dimensions(1),
                    array => array,
                }
            }
            Returns::Above => argument(0).with_dimensions(count.saturating_sub(1)),
            Returns::Element => argument(0).element().clone(),
            Returns::Document => {
                let is_jsonb = (0..count).any(|index| *argument(index).element() == Type::Jsonb);
                if is_jsonb { Type::Jsonb } else { Type::Json }
            }
        }
    }
}

impl Overload {
    /// Reads `name(type, type) type`.
    fn read(definition: Definition) -> (String, Overload) {
        let ty = |name: &str| Type::from_name(name).expect("signatures of this crate name types it has");
        let read = |name: &str| match name.trim_end_matches("...") {
            "any" => Parameter::Any,
            name => OfRange::from_name(name).map_or_else(|| Parameter::Fixed(ty(name)), Parameter::OfRange),
        };
        let (name, rest) = definition.signature.split_once('(').expect("a signature has parentheses");
        let (parameters, returns) = rest.rsplit_once(") ").expect("a signature ends with its result type");
        let variadic = parameters.ends_with("...");
        let parameters: Vec<Parameter> =
            parameters.split(", ").filter(|name| !name.is_empty()).map(read).collect();
        let argument = |text: &str| text.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let item = returns.strip_suffix("[]").and_then(argument);
        let returns = match (argument(returns), item) {
            (Some(number), _) => Returns::Argument(number - 1),
            (None, Some(number)) => Returns::ArrayOf(number - 1),
            (None, None) => match returns {
                "deepest" => Returns::Deepest,
                "flat" => Returns::Flat,
                "above" => Returns::Above,
                "element" => Returns::Element,
                "document" => Returns::Document,
                returns => {
                    OfRange::from_name(returns).map_or_else(|| Returns::Fixed(ty(returns)), Returns::OfRange)
                }
            },
        };
        let name = definition.name.unwrap_or_else(|| name.to_owned());
        let (strict, call, null_is_empty) = (definition.strict, definition.call, definition.null_is_empty);
        let mut overload =
            Overload { parameters, variadic, spread: false, null_is_empty, returns, strict, call };
        if let Compute::Made(of, _) = &overload.call {
            let of = of.clone();
            overload.bind(&of);
        }
        (name, overload)
    }

    /// The same with an array in the place of any number of arguments.
    fn twin(&self) -> Option<Overload> {
        let mut parameters = self.parameters.clone();
        let last = parameters.last_mut().filter(|_| self.variadic)?;
        if let Parameter::Fixed(item) = last {
            *last = Parameter::Fixed(Type::Array(Box::new(item.clone())));
        }
        Some(Overload { parameters, variadic: false, spread: true, ..self.clone() })
    }

    fn parameter(&self, index: usize) -> Option<&Type> {
        self.parameters.get(index.min(self.parameters.len().saturating_sub(1)))?.ty()
    }

    /// The definition for the range type that the arguments are of; `None` where none is, or no definition for any.
    fn bound(&self, given: &[DataType]) -> Option<Cow<'_, Overload>> {
        let of_range = |parameter: &Parameter| matches!(parameter, Parameter::OfRange(_));
        if !self.parameters.iter().any(of_range) {
            return Some(Cow::Borrowed(self));
        }
        let of = self.parameters.iter().zip(given).find_map(|(parameter, given)| match parameter {
            Parameter::OfRange(OfRange::Range) => range_of(given),
            Parameter::OfRange(OfRange::Multirange) => multirange_of(given),
            _ => None,
        })?;
        let mut bound = self.clone();
        bound.bind(&of);
        Some(Cow::Owned(bound))
    }

    fn bind(&mut self, of: &RangeType) {
        for parameter in &mut self.parameters {
            if let Parameter::OfRange(of_range) = parameter {
                *parameter = Parameter::Fixed(of_range.ty(of));
            }
        }
        if let Returns::OfRange(of_range) = self.returns {
            self.returns = Returns::Fixed(of_range.ty(of));
        }
    }

    fn takes(&self, count: usize) -> bool {
        match self.variadic {
            true => count + 1 >= self.parameters.len(),
            false => count == self.parameters.len(),
        }
    }

    /// What converting the arguments costs; `None` when they cannot be.
    fn cost(&self, given: &[DataType]) -> Option<u32> {
        if !self.takes(given.len()) {
            return None;
        }
        let costs = given.iter().enumerate().map(|(index, given)| match self.parameter(index) {
            Some(parameter) => conversion_cost(given, parameter),
            None => Some(0),
        });
        costs.sum()
    }

    /// The type an argument is converted to.
    fn coerced(&self, index: usize, given: &DataType) -> DataType {
        match self.parameter(index) {
            // Types that exist inside plans only.
            None => data_type_of_value(given),
            Some(Type::Numeric(_)) if decimal::is_numeric(given) => given.clone(),
            // The same bytes.
            Some(Type::Network(_)) if network_of(given).is_some() => given.clone(),
            // Cast by us.
            Some(_) if *given == decimal::any() => given.clone(),
            Some(Type::Money) if matches!(given, DataType::Utf8 | DataType::Utf8View) => DataType::Utf8,
            Some(Type::Numeric(_)) => decimal::of_integer(given).unwrap_or_else(decimal::any),
            Some(parameter) => data_type(parameter),
        }
    }
}

/// The type an argument of any type is read as.
fn data_type_of_value(given: &DataType) -> DataType {
    match given {
        DataType::Null | DataType::List(_) => given.clone(),
        given if decimal::is_numeric(given) => given.clone(),
        given => data_type(&type_of_data_type(given)),
    }
}

/// How far an argument is from a parameter. Literals are `bigint` and text until the statement's types are settled,
/// so that narrowing and reading text are possible, though dear.
fn conversion_cost(given: &DataType, parameter: &Type) -> Option<u32> {
    let wanted = data_type(parameter);
    if *given == wanted || given.is_null() {
        return Some(0);
    }
    let rank = |ty: &DataType| match ty {
        DataType::Int16 => Some(0),
        DataType::Int32 => Some(1),
        DataType::Int64 => Some(2),
        ty if decimal::is_numeric(ty) => Some(4),
        DataType::Float32 => Some(5),
        DataType::Float64 => Some(3),
        _ => None,
    };
    // Functions of an inet take a cidr.
    if let (Some(given), Type::Network(wanted)) = (network_of(given), parameter) {
        return (given == NetworkType::Cidr && *wanted == NetworkType::Inet).then_some(1);
    }
    match (given, &wanted) {
        // A literal beyond bigint is a numeric.
        (DataType::UInt64, DataType::Float64) => Some(1),
        (DataType::UInt64, wanted) => decimal::is_numeric(wanted).then_some(0),
        (DataType::Utf8View, DataType::Utf8) => Some(0),
        (DataType::Utf8 | DataType::Utf8View, DataType::LargeUtf8) => Some(20),
        (DataType::Utf8 | DataType::Utf8View, _) => Some(20),
        (DataType::Date32, DataType::Timestamp(_, Some(_))) => Some(1),
        (DataType::Date32, DataType::Timestamp(_, None)) => Some(2),
        (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_))) => Some(1),
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None)) => None,
        (DataType::Time64(_), DataType::Interval(_) | DataType::FixedSizeBinary(12)) => Some(1),
        (DataType::Float64, DataType::Float32) => Some(10),
        (DataType::Float32, DataType::Float64) => Some(1),
        // By a cast that is written only.
        (DataType::Float32 | DataType::Float64, number) if decimal::is_numeric(number) => None,
        // ARRAY[1, 2] for one of type integer[]
        (DataType::List(from), DataType::List(to))
            if *from.data_type() == DataType::Int64 && *to.data_type() == DataType::Int32 =>
        {
            Some(10)
        }
        // ARRAY[0.1, 1] for a parameter of type real[]
        (DataType::List(from), DataType::List(to))
            if *to.data_type() == DataType::Float32 && is_number(from.data_type()) =>
        {
            Some(10)
        }
        (DataType::Int32 | DataType::Int64, DataType::Int16) | (DataType::Int64, DataType::Int32) => Some(10),
        (given, wanted) => {
            let (from, to) = (rank(given)?, rank(wanted)?);
            if decimal::is_numeric(given) {
                return match wanted {
                    DataType::Float64 => Some(1),
                    DataType::Float32 => Some(2),
                    wanted => decimal::is_numeric(wanted).then_some(0),
                };
            }
            u32::checked_sub(to, from).filter(|cost| *cost > 0)
        }
    }
}

fn is_number(ty: &DataType) -> bool {
    ty.is_integer() || ty.is_floating() || decimal::is_numeric(ty)
}

#[derive(Debug)]
struct ValueFunction {
    name: String,
    overloads: Vec<Overload>,
    signature: Signature,
}

impl PartialEq for ValueFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.made() == other.made()
    }
}

impl Eq for ValueFunction {}

impl std::hash::Hash for ValueFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ValueFunction {
    /// The range type of what it makes: functions of one name are in several schemas.
    fn made(&self) -> Option<&RangeType> {
        match &self.overloads.first()?.call {
            Compute::Made(of, _) => Some(of),
            _ => None,
        }
    }

    fn choose(&self, given: &[DataType]) -> Result<Cow<'_, Overload>> {
        let bound = self.overloads.iter().filter_map(|overload| overload.bound(given));
        let costs = bound.filter_map(|overload| Some((overload.cost(given)?, overload)));
        let best = costs.min_by_key(|(cost, _)| *cost);
        best.map(|(_, overload)| overload).ok_or_else(|| no_such_function(&self.name, given))
    }
}

impl ScalarUDFImpl for ValueFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match &self.choose(given)?.returns {
            // As it is, with what its Arrow type notes.
            Returns::Argument(index) => given.get(*index).cloned().unwrap_or(DataType::Null),
            returns => data_type(&returns.of(given.len(), |index| type_of_data_type(&given[index]))),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let fields = args.arg_fields;
        let returns = self.choose(&given)?.returns.of(fields.len(), |index| type_of(&fields[index]));
        Ok(Arc::new(plain_field(&self.name, &returns)))
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let overload = self.choose(given)?;
        Ok(given.iter().enumerate().map(|(index, given)| overload.coerced(index, given)).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let overload = self.choose(&given)?;
        let (rows, constant) = match self.signature.volatility {
            // Another answer for each row, also for the same arguments.
            Volatility::Volatile => (args.number_rows, false),
            _ => rows_of(&args),
        };
        let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let types: Vec<Type> = args
            .arg_fields
            .iter()
            .enumerate()
            .map(|(index, field)| match overload.parameter(index) {
                Some(ty) if !matches!(ty, Type::Numeric(_)) => ty.clone(),
                _ => type_of(field),
            })
            .collect();
        // What shows values of any type shows those of char(n) with their blanks.
        let has_blanks: Vec<bool> = types
            .iter()
            .enumerate()
            .map(|(index, ty)| {
                let is_shown =
                    matches!((overload.parameter(index), &overload.call), (None, Compute::Shown(_)));
                is_shown && cast::has_blanks(ty)
            })
            .collect();
        let fields = &args.arg_fields;
        let returns = overload.returns.of(fields.len(), |index| type_of(&fields[index]));
        let look = look_of(&args.config_options);
        let result =
            evaluate(&overload, &returns, &columns, &types, &has_blanks, rows, look).map_err(external)?;
        answer(result, constant)
    }
}

fn evaluate(
    overload: &Overload,
    returns: &Type,
    columns: &[ArrayRef],
    types: &[Type],
    has_blanks: &[bool],
    rows: usize,
    look: Look,
) -> crate::error::Result<ArrayRef> {
    let mut result = Builder::new(returns, rows);
    let mut values = Vec::with_capacity(columns.len());
    for row in 0..rows {
        values.clear();
        for ((column, ty), has_blanks) in columns.iter().zip(types).zip(has_blanks) {
            let value = match column.data_type() {
                DataType::Null => Value::Null,
                number if *number == decimal::any() && !matches!(ty, Type::Numeric(_)) => {
                    cast::cast(value_at(column, row, &Type::Numeric(None))?, ty, false)?
                }
                DataType::Utf8 if *ty == Type::Money => {
                    cast::cast(value_at(column, row, &Type::Text)?, ty, false)?
                }
                _ => value_at(column, row, ty)?,
            };
            values.push(if *has_blanks { cast::filled(value, ty) } else { value });
        }
        // Without an array there is mostly no answer.
        let mut is_null = false;
        if overload.spread {
            match values.pop() {
                Some(Value::Array(items)) => values.extend(dimensions::into_flat(items)),
                _ => is_null = !overload.null_is_empty,
            }
        }
        is_null |= overload.strict && values.contains(&Value::Null);
        result.append(&match &overload.call {
            _ if is_null => Value::Null,
            Compute::Plain(call) => call(&values)?,
            Compute::Made(of, call) => call(of, &values)?,
            Compute::Zoned(call) => call(look.zone, &values)?,
            Compute::Shown(call) => call(look, &values)?,
            Compute::Typed(call) => call(look, types, &values)?,
        })?;
    }
    Ok(result.finish())
}
