//! CREATE TYPE ... AS RANGE, which makes two types: of ranges, and of sets of them.

use crate::catalog::{Catalog, Edit, IndexMethod, Object, RangeObject};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::types::refuse_taken;
use crate::sql::ddl_words;
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::statement::{ColumnType, Name};
use crate::sql::system::{check_opclass, collation, is_default_opclass, opclass_oid};
use crate::sql::type_words::RangeOptions;
use crate::types::range::{MULTIRANGE_SUFFIX, Maker, takes};
use crate::types::{OwnRange, Type};

/// Functions that say how far apart two values are, and what of. They are looked for by name only: nothing asks them.
const DIFFERENCES: [(&str, Type); 7] = [
    ("float8mi", Type::Float8),
    ("int4range_subdiff", Type::Int4),
    ("int8range_subdiff", Type::Int8),
    ("numrange_subdiff", Type::Numeric(None)),
    ("daterange_subdiff", Type::Date),
    ("tsrange_subdiff", Type::Timestamp(None)),
    ("tstzrange_subdiff", Type::Timestamptz(None)),
];

impl Session {
    pub(super) async fn create_range(&mut self, name: &Name, options: &RangeOptions) -> Result<Response> {
        self.retry(|transaction| transaction.lock_types()).await?;
        let catalog = self.shared.current_catalog();
        let schema = self.shared.creation_schema(&catalog, name)?;
        refuse_taken(&catalog, &schema, &name.name, None)?;
        let subtype = self.subtype(&catalog, options)?;
        let collation = range_collation(options, &subtype)?;
        check_class(options, &subtype)?;
        if options.canonical.is_some() {
            return Err(Error::unsupported("a canonical function of a range type"));
        }
        let subtype_diff = difference(options, &subtype)?;
        let (multirange_schema, multirange_name) = self.multirange_name(&catalog, name, &schema, options)?;
        let definition = OwnRange {
            oid: 0,
            array_oid: 0,
            multirange_oid: 0,
            multirange_array_oid: 0,
            maker: Maker { schema: schema.clone(), name: name.name.clone() },
            multirange_maker: Maker { schema: multirange_schema.clone(), name: multirange_name.clone() },
            schema,
            name: name.name.clone(),
            multirange_schema,
            multirange_name,
            subtype,
            collation,
            subtype_diff,
        };
        let definition = definition.numbered(|| self.new_oid())?.into();
        let made = RangeObject { definition, comment: None, multirange_comment: None };
        self.edit(vec![Edit::Put(Object::Range(made))]).await?;
        Ok(done("CREATE TYPE"))
    }

    fn subtype(&self, catalog: &Catalog, options: &RangeOptions) -> Result<Type> {
        let named = options
            .subtype
            .as_ref()
            .ok_or_else(|| Error::new(SqlState::SYNTAX_ERROR, "type attribute \"subtype\" is required"))?;
        let path = self.shared.schemas(catalog);
        if matches!(named, ColumnType::Domain(_)) || named.domain(catalog, &path).is_some() {
            return Err(Error::unsupported("a range over a domain"));
        }
        let subtype = named.resolve(catalog, &path)?.bare();
        match takes(&subtype) {
            true => Ok(subtype),
            false if subtype == Type::Json => Err(without_order(&subtype)),
            false => Err(Error::unsupported(format!("a range over the type {subtype}"))),
        }
    }

    /// The schema and name of the sets.
    fn multirange_name(
        &self,
        catalog: &Catalog,
        range: &Name,
        schema: &str,
        options: &RangeOptions,
    ) -> Result<(String, String)> {
        if let Some(name) = &options.multirange_name {
            let place = self.shared.creation_schema(catalog, name)?;
            refuse_taken(catalog, &place, &name.name, None)?;
            if (place.as_str(), &name.name) == (schema, &range.name) {
                let message = format!("type \"{}\" already exists", name.name);
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
            return Ok((place, name.name.clone()));
        }
        let name = name_of_sets(&range.name);
        refuse_taken(catalog, schema, &name, None).map_err(|error| {
            error
                .detail(format!("Failed while creating a multirange type for type \"{}\".", range.name))
                .hint("You can manually specify a multirange type name using the \"multirange_type_name\" attribute.")
        })?;
        Ok((schema.to_owned(), name))
    }
}

/// `floatrange` has `floatmultirange`, and `spans` has `spans_multirange`; cut to what a name may have.
fn name_of_sets(range: &str) -> String {
    const NAME_BYTES_MAX: usize = 63;
    let cut = |text: &str, bytes: usize| text[..text.floor_char_boundary(bytes)].to_owned();
    match range.find("range") {
        Some(at) => cut(&format!("{}multi{}", &range[..at], &range[at..]), NAME_BYTES_MAX),
        None => {
            format!("{}_{MULTIRANGE_SUFFIX}", cut(range, NAME_BYTES_MAX - 1 - MULTIRANGE_SUFFIX.len()))
        }
    }
}

fn range_collation(options: &RangeOptions, subtype: &Type) -> Result<Option<String>> {
    let Some(name) = &options.collation else { return Ok(None) };
    if collation(subtype) == 0 {
        let message = "range collation specified but subtype does not support collation";
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    ddl_words::collation(&name.name)
}

/// The order of the ends is that of the type.
fn check_class(options: &RangeOptions, subtype: &Type) -> Result<()> {
    match &options.subtype_opclass {
        Some(class) => {
            check_opclass(IndexMethod::Btree, &class.name, subtype)?;
            match is_default_opclass(IndexMethod::Btree, &class.name, subtype) {
                true => Ok(()),
                false => Err(Error::unsupported(format!("a range in the order of {}", class.name))),
            }
        }
        None if opclass_oid(IndexMethod::Btree, None, subtype) != 0 => Ok(()),
        None => Err(without_order(subtype)),
    }
}

fn without_order(subtype: &Type) -> Error {
    let message = format!("data type {subtype} has no default operator class for access method \"btree\"");
    Error::new(SqlState::UNDEFINED_OBJECT, message).hint(
        "You must specify an operator class for the range type or define a default operator class for the subtype.",
    )
}

fn difference(options: &RangeOptions, subtype: &Type) -> Result<Option<String>> {
    let Some(name) = &options.subtype_diff else { return Ok(None) };
    match DIFFERENCES.iter().find(|(known, _)| *known == name.name) {
        Some((known, ty)) if ty == subtype => Ok(Some((*known).to_owned())),
        Some(_) => {
            let message = format!("function {name}({subtype}, {subtype}) does not exist");
            Err(Error::new(SqlState::UNDEFINED_FUNCTION, message))
        }
        None => Err(Error::unsupported(format!("{name} as SUBTYPE_DIFF"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_called_after_their_ranges() {
        assert_eq!(name_of_sets("floatrange"), "floatmultirange");
        assert_eq!(name_of_sets("rangerange"), "multirangerange");
        assert_eq!(name_of_sets("spans"), "spans_multirange");
        assert_eq!(name_of_sets(&"é".repeat(31)), format!("{}_multirange", "é".repeat(26)));
    }
}
