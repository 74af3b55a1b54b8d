//! Polymorphic types: what a call makes of `anyelement`, `anyarray` and their kin.
//!
//! There are two families. In the first all arguments agree on one element type, of which arrays are the arrays and ranges
//! the ranges; in the second (`anycompatible`) the element type is one that all arguments are cast to. Which family a type
//! is of, what it asks of an argument and what it becomes is decided here; everything else of a function has its types
//! from the call then.
//!
//! Source: <https://www.postgresql.org/docs/17/extend-type-system.html#EXTEND-TYPES-POLYMORPHIC>

use serde::{Deserialize, Serialize};

use crate::types::cast::{Context, context};
use crate::types::{RangeType, Type};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Polymorphic {
    Element,
    Array,
    NonArray,
    Enum,
    Range,
    Multirange,
    Compatible,
    CompatibleArray,
    CompatibleNonArray,
    CompatibleRange,
    CompatibleMultirange,
}

use Polymorphic::*;

/// All of them, with their names and oids.
pub const ALL: &[(Polymorphic, &str, u32)] = &[
    (Element, "anyelement", 2_283),
    (Array, "anyarray", 2_277),
    (NonArray, "anynonarray", 2_776),
    (Enum, "anyenum", 3_500),
    (Range, "anyrange", 3_831),
    (Multirange, "anymultirange", 4_537),
    (Compatible, "anycompatible", 5_077),
    (CompatibleArray, "anycompatiblearray", 5_078),
    (CompatibleNonArray, "anycompatiblenonarray", 5_079),
    (CompatibleRange, "anycompatiblerange", 5_080),
    (CompatibleMultirange, "anycompatiblemultirange", 4_538),
];

impl Polymorphic {
    pub fn from_name(name: &str) -> Option<Polymorphic> {
        ALL.iter().find(|(_, known, _)| *known == name).map(|(of, _, _)| *of)
    }

    pub fn from_oid(oid: u32) -> Option<Polymorphic> {
        ALL.iter().find(|(_, _, known)| *known == oid).map(|(of, _, _)| *of)
    }

    pub fn name(self) -> &'static str {
        self.entry().1
    }

    pub fn oid(self) -> u32 {
        self.entry().2
    }

    fn entry(self) -> &'static (Polymorphic, &'static str, u32) {
        ALL.iter().find(|(of, _, _)| *of == self).expect("the table has every polymorphic type")
    }

    /// Whether arguments are cast to a type that they have in common.
    pub fn is_compatible(self) -> bool {
        matches!(
            self,
            Compatible | CompatibleArray | CompatibleNonArray | CompatibleRange | CompatibleMultirange
        )
    }

    fn is_element(self) -> bool {
        matches!(self, Element | NonArray | Enum | Compatible | CompatibleNonArray)
    }

    fn is_of_ranges(self) -> bool {
        matches!(self, Range | Multirange | CompatibleRange | CompatibleMultirange)
    }

    /// Why a function cannot return this, if its parameters do not tell what it is.
    pub fn undetermined(self, parameters: &[Type]) -> Option<String> {
        let mut given = parameters.iter().filter_map(polymorphic_of);
        let name = self.name();
        if self.is_of_ranges() {
            let range = if self.is_compatible() { CompatibleRange } else { Range };
            let multirange = if self.is_compatible() { CompatibleMultirange } else { Multirange };
            let told = given.any(|of| of == range || of == multirange);
            return (!told).then(|| {
                let (range, multirange) = (range.name(), multirange.name());
                format!(
                    "A result of type {name} requires at least one input of type {range} or {multirange}."
                )
            });
        }
        let told = given.any(|of| of.is_compatible() == self.is_compatible());
        let inputs = match self.is_compatible() {
            true => {
                "anycompatible, anycompatiblearray, anycompatiblenonarray, anycompatiblerange, or \
                 anycompatiblemultirange"
            }
            false => "anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange",
        };
        (!told).then(|| format!("A result of type {name} requires at least one input of type {inputs}."))
    }
}

/// The polymorphic type that a type is.
pub fn polymorphic_of(ty: &Type) -> Option<Polymorphic> {
    match ty {
        Type::Polymorphic(of) => Some(*of),
        _ => None,
    }
}

/// Why a call does not fit.
#[derive(Clone, Debug, PartialEq)]
pub enum Misfit {
    /// There is no such function for the types given.
    Missing,
    /// All arguments that would tell are of unknown type.
    Unknown,
}

/// What the polymorphic types of a call stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    exact: Family,
    compatible: Family,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Family {
    element: Option<Type>,
    array: Option<Type>,
    range: Option<RangeType>,
}

/// The actual types of a call's arguments; `None` of one whose type is unknown.
pub fn resolve(parameters: &[Type], given: &[Option<Type>]) -> Result<Actual, Misfit> {
    let pairs: Vec<(Polymorphic, Option<Type>)> = parameters
        .iter()
        .zip(given)
        .filter_map(|(parameter, given)| Some((polymorphic_of(parameter)?, given.as_ref().map(Type::bare))))
        .collect();
    let of_family = |compatible: bool| {
        pairs.iter().filter(move |(of, _)| of.is_compatible() == compatible).cloned().collect::<Vec<_>>()
    };
    Ok(Actual { exact: exact(&of_family(false))?, compatible: compatible(&of_family(true))? })
}

/// Keeps what is found first; the rest must be alike.
fn alike<T: PartialEq>(kept: &mut Option<T>, found: T) -> Result<(), Misfit> {
    match kept {
        Some(known) if *known != found => Err(Misfit::Missing),
        Some(_) => Ok(()),
        None => {
            *kept = Some(found);
            Ok(())
        }
    }
}

fn range_of(of: Polymorphic, ty: &Type) -> Result<Option<RangeType>, Misfit> {
    match (of, ty) {
        (Range | CompatibleRange, Type::Range(range)) => Ok(Some(range.clone())),
        (Multirange | CompatibleMultirange, Type::Multirange(range)) => Ok(Some(range.clone())),
        (Range | CompatibleRange | Multirange | CompatibleMultirange, _) => Err(Misfit::Missing),
        _ => Ok(None),
    }
}

/// What the array's elements are, as far as polymorphism goes: arrays of any number of dimensions have one element type.
fn element_of(array: &Type) -> Result<Type, Misfit> {
    match array {
        Type::Array(_) => Ok(array.element().clone()),
        Type::Int2Vector => Ok(Type::Int2),
        Type::OidVector => Ok(Type::Oid),
        _ => Err(Misfit::Missing),
    }
}

fn exact(pairs: &[(Polymorphic, Option<Type>)]) -> Result<Family, Misfit> {
    let mut family = Family::default();
    for (of, given) in pairs {
        let Some(given) = given else { continue };
        match of {
            of if of.is_element() => alike(&mut family.element, given.clone())?,
            Array => {
                element_of(given)?;
                alike(&mut family.array, given.clone())?;
            }
            of => {
                if let Some(range) = range_of(*of, given)? {
                    alike(&mut family.range, range)?;
                }
            }
        }
    }
    if let Some(array) = &family.array {
        alike(&mut family.element, element_of(array)?)?;
    }
    if let Some(range) = &family.range {
        alike(&mut family.element, range.element().bare())?;
    }
    let asks = |wanted: Polymorphic| pairs.iter().any(|(of, _)| *of == wanted);
    match &family.element {
        Some(Type::Array(_)) if asks(NonArray) => return Err(Misfit::Missing),
        Some(element) if asks(Enum) && !matches!(element, Type::Enum(_)) => return Err(Misfit::Missing),
        Some(_) => {}
        None if pairs.is_empty() => {}
        None => return Err(Misfit::Unknown),
    }
    if family.range.is_none() && pairs.iter().any(|(of, _)| of.is_of_ranges()) {
        return Err(Misfit::Unknown);
    }
    Ok(family)
}

fn compatible(pairs: &[(Polymorphic, Option<Type>)]) -> Result<Family, Misfit> {
    let mut family = Family::default();
    let mut elements: Vec<Type> = Vec::new();
    for (of, given) in pairs {
        let Some(given) = given else { continue };
        match of {
            CompatibleArray => elements.push(element_of(given)?),
            of if of.is_element() => elements.push(given.clone()),
            of => {
                if let Some(range) = range_of(*of, given)? {
                    alike(&mut family.range, range)?;
                }
            }
        }
    }
    let is_implicit = |from: &Type, to: &Type| from == to || context(from, to) == Some(Context::Implicit);
    family.element = match &family.range {
        Some(range) => Some(range.element().bare()),
        None if pairs.iter().any(|(of, _)| of.is_of_ranges()) => return Err(Misfit::Unknown),
        None if pairs.is_empty() => None,
        // Texts, if nothing says anything else.
        None if elements.is_empty() => Some(Type::Text),
        None => Some(common(&elements).ok_or(Misfit::Missing)?),
    };
    if let Some(element) = &family.element {
        if !elements.iter().all(|from| is_implicit(from, element)) {
            return Err(Misfit::Missing);
        }
        if matches!(element, Type::Array(_)) && pairs.iter().any(|(of, _)| *of == CompatibleNonArray) {
            return Err(Misfit::Missing);
        }
    }
    Ok(family)
}

/// The type of some that all the others are cast to, by PostgreSQL's rules for UNION: of one category, a preferred one
/// or the last that the one before is cast to and that is not cast to it.
pub fn common(types: &[Type]) -> Option<Type> {
    let (first, rest) = types.split_first()?;
    let mut chosen = first.clone();
    for ty in rest {
        if *ty == chosen {
            continue;
        }
        if ty.category() != chosen.category() {
            return None;
        }
        let is_preferred = chosen.is_preferred();
        let forward = context(&chosen, ty) == Some(Context::Implicit);
        let back = context(ty, &chosen) == Some(Context::Implicit);
        if !is_preferred && forward && !back {
            chosen = ty.clone();
        }
    }
    Some(chosen)
}

impl Actual {
    /// What a type of the signature is in this call; `None` where nothing tells.
    pub fn of(&self, ty: &Type) -> Option<Type> {
        let Some(of) = polymorphic_of(ty) else { return Some(ty.clone()) };
        let family = if of.is_compatible() { &self.compatible } else { &self.exact };
        match of {
            Array | CompatibleArray => match &family.array {
                Some(array) => Some(array.clone()),
                None => family.element.clone()?.in_arrays().ok(),
            },
            Range | CompatibleRange => family.range.clone().map(Type::Range),
            Multirange | CompatibleMultirange => family.range.clone().map(Type::Multirange),
            _ => family.element.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(parameters: &[Polymorphic], given: &[&str], returns: Polymorphic) -> Result<String, Misfit> {
        let parameters: Vec<Type> = parameters.iter().map(|of| Type::Polymorphic(*of)).collect();
        let given: Vec<Option<Type>> = given.iter().map(|name| Type::from_name(name).ok()).collect();
        let actual = resolve(&parameters, &given)?;
        actual.of(&Type::Polymorphic(returns)).map(|ty| ty.to_string()).ok_or(Misfit::Unknown)
    }

    #[test]
    fn element_types_agree() {
        assert_eq!(call(&[Element, Array], &["int", "int[]"], Array).as_deref(), Ok("integer[]"));
        assert_eq!(call(&[Element, Array], &["unknown", "text[]"], Element).as_deref(), Ok("text"));
        assert_eq!(call(&[Element, Element], &["int", "bigint"], Element), Err(Misfit::Missing));
        assert_eq!(call(&[Array], &["int"], Element), Err(Misfit::Missing));
        assert_eq!(call(&[Element], &["unknown"], Element), Err(Misfit::Unknown));
        assert_eq!(call(&[NonArray], &["int[]"], NonArray), Err(Misfit::Missing));
        assert_eq!(
            call(&[Range, Element], &["int4range", "int"], Multirange).as_deref(),
            Ok("int4multirange")
        );
        assert_eq!(call(&[Range, Element], &["int4range", "text"], Range), Err(Misfit::Missing));
    }

    #[test]
    fn compatible_types_are_cast() {
        let pair = &[Compatible, Compatible];
        assert_eq!(call(pair, &["int", "numeric"], CompatibleArray).as_deref(), Ok("numeric[]"));
        assert_eq!(call(pair, &["unknown", "unknown"], Compatible).as_deref(), Ok("text"));
        assert_eq!(call(pair, &["int", "text"], Compatible), Err(Misfit::Missing));
        let range = &[CompatibleRange, Compatible];
        assert_eq!(call(range, &["numrange", "int"], Compatible).as_deref(), Ok("numeric"));
        assert_eq!(call(range, &["int4range", "numeric"], Compatible), Err(Misfit::Missing));
    }

    #[test]
    fn results_need_parameters_that_tell() {
        let element = [Type::Polymorphic(Element)];
        assert_eq!(Array.undetermined(&element), None);
        assert!(Range.undetermined(&element).is_some_and(|why| why.ends_with("anyrange or anymultirange.")));
        assert!(Compatible.undetermined(&element).is_some());
    }
}
