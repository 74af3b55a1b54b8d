//! CREATE TYPE ... AS ENUM, ALTER TYPE and DROP TYPE.
//!
//! Columns, views and functions carry the definition of the types they are of, so a change of a type is one of them too,
//! in the same transaction. No row is touched.

use std::sync::Arc;

use crate::catalog::{Catalog, Domain, Edit, EnumObject, Function, Object, Returns, Table, View};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::rename::check_schema;
use crate::sql::domain_words::DomainAction;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::statement::{Drop, Name, TypeAction};
use crate::sql::type_names::own_named;
use crate::types::{Enum, EnumType, Type};

impl Session {
    pub(super) async fn create_enum(&mut self, name: &Name, labels: &[String]) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let schema = self.shared.creation_schema(&catalog, name)?;
        refuse_taken(&catalog, &schema, &name.name, None)?;
        let definition = Enum::new(&schema, &name.name, labels, || self.new_oid())?.into();
        self.edit(vec![Edit::Put(Object::Enum(EnumObject { definition, comment: None }))]).await?;
        Ok(done("CREATE TYPE"))
    }

    pub(super) async fn alter_enum(&mut self, name: &Name, action: &TypeAction) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        if let Some(action) = of_domain(action)
            && crate::sql::domains::by_name(name, &catalog, &self.shared.schemas(&catalog)).is_some()
        {
            self.alter_domain(name, &action).await?;
            return Ok(done("ALTER TYPE"));
        }
        let old = self.enum_of_user(&catalog, name)?;
        let mut definition = Enum::clone(&old.definition);
        match action {
            TypeAction::OwnerTo(owner) => {
                self.check_owner(owner)?;
                return Ok(done("ALTER TYPE"));
            }
            TypeAction::AddValue { label, place, if_not_exists } => {
                if definition.label(label).is_some() {
                    let message = format!("enum label \"{label}\" already exists");
                    if !if_not_exists {
                        return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
                    }
                    let skipped = Error::new(SqlState::DUPLICATE_OBJECT, format!("{message}, skipping"));
                    self.notice(Severity::Notice, skipped);
                    return Ok(done("ALTER TYPE"));
                }
                definition.add(label, place, self.new_oid()?)?;
            }
            TypeAction::RenameValue { from, to } => definition.rename(from, to)?,
            TypeAction::Rename(to) => {
                refuse_taken(&catalog, &definition.schema, to, None)?;
                self.refuse_stored(&catalog, &old.definition.name)?;
                definition.name.clone_from(to);
            }
            TypeAction::SetSchema(schema) => {
                if !self.may_move_type(&catalog, (&definition.schema, &definition.name), schema)? {
                    return Ok(done("ALTER TYPE"));
                }
                definition.schema.clone_from(schema);
            }
        }
        let definition = EnumType::from(definition);
        let mut edits = with_definition(&catalog, &definition);
        edits.push(Object::Enum(EnumObject { definition, comment: old.comment.clone() }));
        self.edit(edits.into_iter().map(Edit::Put).collect()).await?;
        Ok(done("ALTER TYPE"))
    }

    /// A type that a name means, which is not built in.
    pub(super) fn enum_of_user(&self, catalog: &Catalog, name: &Name) -> Result<Arc<EnumObject>> {
        let path = self.shared.schemas(catalog);
        let found = match own_named(name, catalog, &path) {
            Some(Type::Enum(of)) => catalog.enum_by_oid(of.oid).cloned(),
            _ => None,
        };
        match found {
            Some(found) => Ok(found),
            None if Type::from_name(&name.name).is_ok() => {
                let message = format!("{} is not an enum", name.name);
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
            }
            None => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))),
        }
    }

    /// Expressions are stored as text, in which the type has the name it had.
    pub(super) fn refuse_stored(&self, catalog: &Catalog, name: &str) -> Result<()> {
        let of_domains = catalog.domains().flat_map(|domain| {
            let default = domain.default.iter().map(|default| default.sql.as_str());
            default.chain(domain.checks.iter().map(|check| check.sql.as_str()))
        });
        let of_tables = catalog.tables().flat_map(|table| table.stored_expressions()).map(|(_, sql)| sql);
        let of_views = catalog.stored_queries().map(|(_, query)| query.sql.as_str());
        let mut texts = of_tables.chain(of_domains).chain(of_views);
        match texts.any(|text| text.contains(name)) {
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
            Some(Type::Enum(of)) => {
                let of = catalog.enum_by_oid(of.oid).cloned();
                let of = of.ok_or_else(|| Error::internal("a type that is gone"))?;
                self.drop_enum(&of, drop.cascade).await
            }
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

    /// Drops the type, with what is of it if `cascade` says so.
    pub(super) async fn drop_enum(&mut self, of: &EnumObject, cascade: bool) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let is_of = |ty: &Type| ty.with_enum(&of.definition).is_some();
        let mut columns: Vec<(Arc<Table>, String)> = Vec::new();
        for table in catalog.tables() {
            let names = table.columns.iter().filter(|column| is_of(&column.ty)).map(|c| c.name.clone());
            columns.extend(names.map(|name| (table.clone(), name)));
        }
        let views: Vec<_> =
            catalog.views().filter(|view| view.columns.iter().any(|c| is_of(&c.ty))).cloned().collect();
        let functions: Vec<_> =
            catalog.functions().filter(|function| types_of(function).any(is_of)).cloned().collect();
        let domains: Vec<_> = catalog.domains().filter(|domain| is_of(&domain.base)).cloned().collect();
        let shown = of.definition.shown();
        let dependents = columns.iter().map(|(table, name)| format!("column {name} of table {}", table.name));
        let dependents = dependents.chain(views.iter().map(|view| format!("view {}", view.name)));
        let dependents = dependents.chain(functions.iter().map(|f| format!("function {}", f.signature())));
        let dependents = dependents.chain(domains.iter().map(|domain| format!("type {}", domain.name)));
        let dependents: Vec<String> = dependents.collect();
        if !dependents.is_empty() && !cascade {
            let lines: Vec<String> =
                dependents.iter().map(|dependent| format!("{dependent} depends on type {shown}")).collect();
            let message = format!("cannot drop type {shown} because other objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(lines.join("\n"))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for domain in &domains {
            Box::pin(self.remove_domain(domain, true)).await?;
        }
        let views: Vec<u32> = views.iter().map(|view| view.oid).collect();
        let readers = views.iter().copied().chain(functions.iter().map(|function| function.oid));
        self.drop_readers(&readers.collect::<Vec<_>>(), None, true).await?;
        let mut edits: Vec<Edit> = views.into_iter().map(Edit::Delete).collect();
        edits.extend(functions.iter().map(|function| Edit::Delete(function.oid)));
        self.edit(edits).await?;
        for (table, name) in columns {
            let catalog = self.shared.current_catalog();
            if let Some(table) = catalog.table_by_oid(table.oid).cloned() {
                self.drop_column(&table, &name, true, true).await?;
            }
        }
        self.edit(vec![Edit::Delete(of.definition.oid)]).await
    }
}

/// What ALTER TYPE does to a domain.
fn of_domain(action: &TypeAction) -> Option<DomainAction> {
    match action {
        TypeAction::OwnerTo(owner) => Some(DomainAction::OwnerTo(owner.clone())),
        TypeAction::Rename(to) => Some(DomainAction::Rename(to.clone())),
        TypeAction::SetSchema(schema) => Some(DomainAction::SetSchema(schema.clone())),
        TypeAction::AddValue { .. } | TypeAction::RenameValue { .. } => None,
    }
}

/// The types of a function's arguments and of what it returns.
pub(super) fn types_of(function: &Function) -> impl Iterator<Item = &Type> {
    let arguments = function.arguments.iter().map(|argument| &argument.ty);
    let returned: Vec<&Type> = match &function.returns {
        Returns::Scalar(ty) | Returns::SetOf(ty) => vec![ty],
        Returns::Table(columns) => columns.iter().map(|column| &column.ty).collect(),
        Returns::SetOfRows(_) => Vec::new(),
    };
    arguments.chain(returned)
}

/// Everything that is of a type, with another definition of it.
fn with_definition(catalog: &Catalog, definition: &EnumType) -> Vec<Object> {
    let mut changed = Vec::new();
    let change = |ty: &mut Type| {
        let new = ty.with_enum(definition);
        let found = new.is_some();
        *ty = new.unwrap_or_else(|| ty.clone());
        found
    };
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
            Returns::SetOfRows(_) => {}
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
    let is_type = catalog.enum_named(schema, name).is_some() || catalog.domain_named(schema, name).is_some();
    if !is_type && catalog.relation(schema, name).is_none() {
        return Ok(());
    }
    let place = moved_to.map(|schema| format!(" in schema \"{schema}\"")).unwrap_or_default();
    Err(Error::new(SqlState::DUPLICATE_OBJECT, format!("type \"{name}\" already exists{place}")))
}
