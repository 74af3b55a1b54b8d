//! CREATE TYPE ... AS ENUM and AS (...), ALTER TYPE and DROP TYPE. CREATE TYPE ... AS RANGE is in `ranges.rs`.
//!
//! Columns, views, functions and other types carry the definition of the types they are of, so a change of a type is one of
//! them too, in the same transaction. No row is touched.

use crate::catalog::{
    Catalog, CompositeObject, Domain, Edit, EnumObject, Function, Object, Oid, RangeObject, Returns, Table,
    View,
};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::dependents::Dependents;
use crate::sql::ddl::rename::check_schema;
use crate::sql::ddl::table::check_column_type;
use crate::sql::domain_words::DomainAction;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::statement::{ColumnType, Drop, Name};
use crate::sql::type_names::{own_named, resolve_in};
use crate::sql::type_words::{Field, FieldAction, TypeAction};
use crate::types::{Composite, Enum, OwnRange, RangeType, Type};

impl Session {
    pub(super) async fn create_enum(&mut self, name: &Name, labels: &[String]) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let schema = self.shared.creation_schema(&catalog, name)?;
        refuse_taken(&catalog, &schema, &name.name, None)?;
        let definition = Enum::new(&schema, &name.name, labels, || self.new_oid())?.into();
        self.edit(vec![Edit::Put(Object::Enum(EnumObject { definition, comment: None }))]).await?;
        Ok(done("CREATE TYPE"))
    }

    pub(super) async fn create_composite(&mut self, name: &Name, fields: &[Field]) -> Result<Response> {
        self.retry(|transaction| transaction.lock_types()).await?;
        let catalog = self.shared.current_catalog();
        let schema = self.shared.creation_schema(&catalog, name)?;
        refuse_taken(&catalog, &schema, &name.name, None)?;
        if fields.is_empty() {
            return Err(Error::unsupported("a composite type without attributes"));
        }
        let typed = fields.iter().map(|field| Ok((field.name.clone(), self.type_of_field(&catalog, field)?)));
        let typed = typed.collect::<Result<_>>()?;
        let definition = Composite::new(&schema, &name.name, typed, || self.new_oid())?;
        definition.check_size()?;
        let definition = definition.into();
        self.edit(vec![Edit::Put(Object::Composite(CompositeObject { definition, comment: None }))]).await?;
        Ok(done("CREATE TYPE"))
    }

    fn type_of_field(&self, catalog: &Catalog, field: &Field) -> Result<Type> {
        let path = self.shared.schemas(catalog);
        if matches!(field.ty, ColumnType::Domain(_)) || field.ty.domain(catalog, &path).is_some() {
            return Err(Error::unsupported("an attribute of a domain"));
        }
        let ty = field.ty.resolve(catalog, &path)?;
        check_column_type(&field.name, &ty)?;
        if let Some(extension) = ty.extension() {
            return Err(Error::unsupported(format!("an attribute of a type of the extension {extension}")));
        }
        Ok(ty)
    }

    pub(super) async fn alter_named_type(&mut self, name: &Name, action: &TypeAction) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        if let Some(action) = of_domain(action)
            && crate::sql::domains::by_name(name, &catalog, &self.shared.schemas(&catalog)).is_some()
        {
            self.alter_domain(name, &action).await?;
            return Ok(done("ALTER TYPE"));
        }
        self.retry(|transaction| transaction.lock_types()).await?;
        // As others left it.
        let catalog = self.shared.current_catalog();
        let old = self.type_of_user(&catalog, name)?;
        let (schema, old_name) = schema_and_name(&old);
        let changed = match action {
            TypeAction::OwnerTo(owner) => {
                self.check_owner(owner)?;
                None
            }
            TypeAction::Rename(to) => {
                refuse_taken(&catalog, schema, to, None)?;
                self.refuse_stored(&catalog, old_name)?;
                Some(moved(&old, schema, to))
            }
            TypeAction::SetSchema(to) => {
                let moves = self.may_move_type(&catalog, (schema, old_name), to)?;
                moves.then(|| moved(&old, to, old_name))
            }
            TypeAction::AddValue { .. } | TypeAction::RenameValue { .. } => match &old {
                Type::Enum(of) => {
                    let mut definition = Enum::clone(of);
                    self.alter_enum(&mut definition, action)?.then(|| Type::Enum(definition.into()))
                }
                _ => return Err(not_of_kind(name, "an enum")),
            },
            TypeAction::Fields(_) | TypeAction::RenameField { .. } => match &old {
                Type::Composite(of) => {
                    let mut definition = Composite::clone(of);
                    self.alter_composite(&catalog, &mut definition, action)?;
                    Some(Type::Composite(definition.into()))
                }
                _ => {
                    let message = format!("relation \"{name}\" does not exist");
                    return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
                }
            },
        };
        if let Some(definition) = changed {
            let edits = with_definition(&catalog, &definition);
            for edit in &edits {
                if let Object::Composite(of) = edit {
                    of.definition.check_size()?;
                }
            }
            self.edit(edits.into_iter().map(Edit::Put).collect()).await?;
        }
        Ok(done("ALTER TYPE"))
    }

    /// Whether the definition has changed.
    fn alter_enum(&mut self, definition: &mut Enum, action: &TypeAction) -> Result<bool> {
        match action {
            TypeAction::AddValue { label, if_not_exists, .. } if definition.label(label).is_some() => {
                let message = format!("enum label \"{label}\" already exists");
                if !if_not_exists {
                    return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
                }
                let skipped = Error::new(SqlState::DUPLICATE_OBJECT, format!("{message}, skipping"));
                self.notice(Severity::Notice, skipped);
                return Ok(false);
            }
            TypeAction::AddValue { label, place, .. } => definition.add(label, place, self.new_oid()?)?,
            TypeAction::RenameValue { from, to } => definition.rename(from, to)?,
            _ => {}
        }
        Ok(true)
    }

    fn alter_composite(
        &mut self,
        catalog: &Catalog,
        definition: &mut Composite,
        action: &TypeAction,
    ) -> Result<()> {
        let actions = match action {
            TypeAction::RenameField { from, to } => {
                refuse_read_field(catalog, from)?;
                return definition.rename(from, to);
            }
            TypeAction::Fields(actions) => actions,
            _ => return Ok(()),
        };
        for action in actions {
            match action {
                FieldAction::Add(field) => {
                    let ty = self.type_of_field(catalog, field)?;
                    refuse_itself(definition, &ty)?;
                    definition.add(field.name.clone(), ty)?;
                }
                FieldAction::Drop { name, if_exists } => {
                    match definition.fields.iter().position(|field| field.name == *name) {
                        Some(_) if definition.fields.len() == 1 => {
                            return Err(Error::unsupported("a composite type without attributes"));
                        }
                        Some(place) => {
                            refuse_read_field(catalog, name)?;
                            definition.fields.remove(place);
                        }
                        None if *if_exists => {
                            let skipped = format!("{}, skipping", no_field(definition, name));
                            self.notice(Severity::Notice, Error::new(SqlState("00000"), skipped));
                        }
                        None => {
                            let message = no_field(definition, name);
                            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
                        }
                    }
                }
                FieldAction::Retype(field) => {
                    let ty = self.type_of_field(catalog, field)?;
                    refuse_itself(definition, &ty)?;
                    let place = definition.fields.iter().position(|known| known.name == field.name);
                    let place = place.ok_or_else(|| {
                        Error::new(SqlState::UNDEFINED_COLUMN, no_field(definition, &field.name))
                    })?;
                    let of = Type::Composite(definition.clone().into());
                    for table in catalog.tables() {
                        let used = table.columns.iter().find(|c| c.ty.with_definition(&of).is_some());
                        if let Some(column) = used {
                            return Err(Error::new(
                                SqlState::FEATURE_NOT_SUPPORTED,
                                format!(
                                    "cannot alter type \"{}\" because column \"{}.{}\" uses it",
                                    definition.name, table.name, column.name
                                ),
                            ));
                        }
                    }
                    definition.fields[place].ty = ty;
                }
            }
        }
        Ok(())
    }

    /// A type that a name means, which CREATE TYPE made.
    pub(super) fn type_of_user(&self, catalog: &Catalog, name: &Name) -> Result<Type> {
        let path = self.shared.schemas(catalog);
        match own_named(name, catalog, &path) {
            Some(found) if is_own(&found) => Ok(found),
            _ if Type::from_name(&name.name).is_ok() => Err(not_of_kind(name, "an enum")),
            _ => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))),
        }
    }

    /// Expressions are stored as text, in which the type has the name it had.
    pub(super) fn refuse_stored(&self, catalog: &Catalog, name: &str) -> Result<()> {
        match stored_texts(catalog).any(|text| text.contains(name)) {
            true => Err(Error::unsupported("moving or renaming a type that a stored expression names")),
            false => Ok(()),
        }
    }

    /// Whether a type may move into a schema; `false` when it is there already.
    pub(super) fn may_move_type(
        &self,
        catalog: &Catalog,
        (from, name): (&str, &str),
        schema: &str,
    ) -> Result<bool> {
        check_schema(catalog, schema)?;
        if schema == from {
            return Ok(false);
        }
        refuse_taken(catalog, schema, name, Some(schema))?;
        self.refuse_stored(catalog, name)?;
        Ok(true)
    }

    pub(super) async fn drop_type(&mut self, catalog: &Catalog, name: &Name, drop: &Drop) -> Result<()> {
        let path = self.shared.schemas(catalog);
        if let Some(domain) = crate::sql::domains::by_name(name, catalog, &path).cloned() {
            return self.remove_domain(&domain, drop.cascade).await;
        }
        match own_named(name, catalog, &path) {
            Some(Type::Multirange(of)) => {
                let of = Type::Range(of);
                let message = format!("cannot drop type {name} because type {of} requires it");
                Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .hint(format!("You can drop type {of} instead.")))
            }
            Some(of) if is_own(&of) => self.drop_named_type(&of, drop.cascade).await,
            Some(ty) if let Some(extension) = ty.extension() => {
                let message = format!("cannot drop type {ty} because extension {extension} requires it");
                Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .hint(format!("You can drop extension {extension} instead.")))
            }
            Some(array) => {
                let item = array.to_string();
                let item = item.trim_end_matches("[]");
                let message = format!("cannot drop type {array} because type {item} requires it");
                Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .hint(format!("You can drop type {item} instead.")))
            }
            None => self.missing(drop, name),
        }
    }

    /// Drops a type that CREATE TYPE made, with what is of it if `cascade` says so.
    pub(super) async fn drop_named_type(&mut self, of: &Type, cascade: bool) -> Result<()> {
        self.retry(|transaction| transaction.lock_types()).await?;
        let found = Dependents::of(&self.shared.current_catalog(), |ty| is_directly(ty, of));
        let what = format!("type {of}");
        if !cascade {
            found.refuse(&what)?;
        }
        self.drop_dependents(found).await?;
        let catalog = self.shared.current_catalog();
        let path = self.shared.schemas(&catalog);
        let is_meant = |name: &_| resolve_in(name, &catalog, &path).is_ok_and(|ty| is_directly(&ty, of));
        self.refuse_casts(&what, &what, None, &is_meant)?;
        self.edit(vec![Edit::Delete(of.oid())]).await
    }

    /// Takes a field out of a composite type, and the type itself when it has no other.
    pub(super) async fn drop_field(&mut self, holder: Oid, name: String) -> Result<()> {
        let Some(holder @ Type::Composite(of)) = &self.shared.current_catalog().type_by_oid(holder) else {
            return Ok(());
        };
        if of.fields.len() == 1 {
            return self.drop_named_type(holder, true).await;
        }
        let drop = FieldAction::Drop { name, if_exists: true };
        let holder = Name { schema: Some(of.schema.clone()), name: of.name.clone(), position: 0 };
        self.alter_named_type(&holder, &TypeAction::Fields(vec![drop])).await.map(|_| ())
    }
}

/// Whether CREATE TYPE made it.
fn is_own(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Enum(_)
            | Type::Composite(_)
            | Type::Range(RangeType::Own(_))
            | Type::Multirange(RangeType::Own(_))
    )
}

/// Whether it is the type itself, an array of it, or of the sets of its ranges; what only has fields of it is not.
fn is_directly(ty: &Type, of: &Type) -> bool {
    match ty {
        Type::Array(item) => is_directly(item, of),
        Type::Multirange(ranges) => Type::Range(ranges.clone()).oid() == of.oid(),
        ty => ty.oid() == of.oid(),
    }
}

/// 42P16 for a field of the type that it is in, wherever within.
fn refuse_itself(definition: &Composite, ty: &Type) -> Result<()> {
    if ty.with_definition(&Type::Composite(definition.clone().into())).is_none() {
        return Ok(());
    }
    let message = format!("composite type {} cannot be made a member of itself", definition.name);
    Err(Error::new(SqlState("42P16"), message))
}

/// The expressions and queries that the catalogue keeps.
fn stored_texts(catalog: &Catalog) -> impl Iterator<Item = &str> {
    let of_domains = catalog.domains().flat_map(|domain| {
        let default = domain.default.iter().map(|default| default.sql.as_str());
        default.chain(domain.checks.iter().map(|check| check.sql.as_str()))
    });
    let of_tables = catalog.tables().flat_map(|table| table.stored_expressions()).map(|(_, sql)| sql);
    of_tables.chain(of_domains).chain(catalog.stored_queries().map(|(_, query)| query.sql.as_str()))
}

/// The same for a field, which stands behind a value in brackets: `(home).zip`.
fn refuse_read_field(catalog: &Catalog, field: &str) -> Result<()> {
    let (plain, quoted) = (format!(").{field}"), format!(").\"{}\"", field.replace('"', "\"\"")));
    let reads = |text: &str| {
        let together: String = text.split_whitespace().collect();
        together.contains(&quoted) || together.to_lowercase().contains(&plain.to_lowercase())
    };
    match stored_texts(catalog).any(reads) {
        true => Err(Error::unsupported("renaming or dropping an attribute that a stored expression reads")),
        false => Ok(()),
    }
}

fn no_field(of: &Composite, name: &str) -> String {
    format!("column \"{name}\" of relation \"{}\" does not exist", of.name)
}

fn not_of_kind(name: &Name, kind: &str) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{} is not {kind}", name.name))
}

/// Of a type that CREATE TYPE made.
fn schema_and_name(of: &Type) -> (&str, &str) {
    match of {
        Type::Enum(of) => (&of.schema, &of.name),
        Type::Composite(of) => (&of.schema, &of.name),
        Type::Range(RangeType::Own(of)) => (&of.schema, &of.name),
        Type::Multirange(RangeType::Own(of)) => (&of.multirange_schema, &of.multirange_name),
        _ => ("", ""),
    }
}

/// The same type by another name; of a multirange, the ranges that it is of.
fn moved(of: &Type, schema: &str, name: &str) -> Type {
    let (schema, name) = (schema.to_owned(), name.to_owned());
    match of {
        Type::Enum(of) => Type::Enum(Enum { schema, name, ..Enum::clone(of) }.into()),
        Type::Composite(of) => Type::Composite(Composite { schema, name, ..Composite::clone(of) }.into()),
        Type::Range(RangeType::Own(of)) => {
            Type::Range(RangeType::Own(OwnRange { schema, name, ..OwnRange::clone(of) }.into()))
        }
        Type::Multirange(RangeType::Own(of)) => {
            let (multirange_schema, multirange_name) = (schema, name);
            let moved = OwnRange { multirange_schema, multirange_name, ..OwnRange::clone(of) };
            Type::Range(RangeType::Own(moved.into()))
        }
        other => other.clone(),
    }
}

/// What ALTER TYPE does to a domain.
fn of_domain(action: &TypeAction) -> Option<DomainAction> {
    match action {
        TypeAction::OwnerTo(owner) => Some(DomainAction::OwnerTo(owner.clone())),
        TypeAction::Rename(to) => Some(DomainAction::Rename(to.clone())),
        TypeAction::SetSchema(schema) => Some(DomainAction::SetSchema(schema.clone())),
        _ => None,
    }
}

/// The types of a function's arguments and of what it returns.
pub(super) fn types_of(function: &Function) -> impl Iterator<Item = &Type> {
    let arguments = function.arguments.iter().map(|argument| &argument.ty);
    let returned: Vec<&Type> = match &function.returns {
        Returns::Scalar(ty) | Returns::SetOf(ty) => vec![ty],
        Returns::Table(columns) => columns.iter().map(|column| &column.ty).collect(),
        Returns::SetOfRows(_) | Returns::Record => Vec::new(),
    };
    arguments.chain(returned)
}

/// A type and everything that is of it, with another definition of it.
fn with_definition(catalog: &Catalog, definition: &Type) -> Vec<Object> {
    let mut changed = Vec::new();
    let change = |ty: &mut Type| {
        let new = ty.with_definition(definition);
        let found = new.is_some();
        *ty = new.unwrap_or_else(|| ty.clone());
        found
    };
    for of in catalog.enums() {
        if let Some(Type::Enum(new)) = Type::Enum(of.definition.clone()).with_definition(definition) {
            changed.push(Object::Enum(EnumObject { definition: new, comment: of.comment.clone() }));
        }
    }
    for of in catalog.composites() {
        if let Some(Type::Composite(new)) = Type::Composite(of.definition.clone()).with_definition(definition)
        {
            changed.push(Object::Composite(CompositeObject { definition: new, comment: of.comment.clone() }));
        }
    }
    for of in catalog.ranges() {
        let old = Type::Range(RangeType::Own(of.definition.clone()));
        if let Some(Type::Range(RangeType::Own(definition))) = old.with_definition(definition) {
            changed.push(Object::Range(RangeObject { definition, ..RangeObject::clone(of) }));
        }
    }
    for table in catalog.tables() {
        let mut table = Table::clone(table);
        let mut found = false;
        for column in table.columns.iter_mut().chain(&mut table.hidden) {
            found |= change(&mut column.ty);
        }
        for column in &mut table.dropped {
            found |= change(&mut column.ty);
        }
        changed.extend(found.then_some(Object::Table(table)));
    }
    for domain in catalog.domains() {
        let mut domain = Domain::clone(domain);
        let found = change(&mut domain.base);
        changed.extend(found.then_some(Object::Domain(domain)));
    }
    for view in catalog.views() {
        let mut view = View::clone(view);
        let mut found = false;
        for column in &mut view.columns {
            found |= change(&mut column.ty);
        }
        changed.extend(found.then_some(Object::View(view)));
    }
    for function in catalog.functions() {
        let mut function = Function::clone(function);
        let mut found = false;
        for argument in &mut function.arguments {
            found |= change(&mut argument.ty);
        }
        match &mut function.returns {
            Returns::Scalar(ty) | Returns::SetOf(ty) => found |= change(ty),
            Returns::Table(columns) => {
                columns.iter_mut().for_each(|column| found |= change(&mut column.ty));
            }
            Returns::SetOfRows(_) | Returns::Record => {}
        }
        changed.extend(found.then_some(Object::Function(function)));
    }
    changed
}

/// A relation's name is a type's too.
pub(super) fn refuse_taken(
    catalog: &Catalog,
    schema: &str,
    name: &str,
    moved_to: Option<&str>,
) -> Result<()> {
    let is_type = catalog.type_named(schema, name).is_some() || catalog.domain_named(schema, name).is_some();
    if !is_type && catalog.relation(schema, name).is_none() {
        return Ok(());
    }
    let place = moved_to.map(|schema| format!(" in schema \"{schema}\"")).unwrap_or_default();
    Err(Error::new(SqlState::DUPLICATE_OBJECT, format!("type \"{name}\" already exists{place}")))
}
