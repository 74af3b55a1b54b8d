//! CREATE, ALTER and DROP DOMAIN.
//!
//! Rows keep cells of the base type, so a change of a domain changes no row; what it asks for anew is asked of the rows
//! that are there, with their tables locked.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{DataType, Expr};

use crate::catalog::{Catalog, Column, DefaultExpr, Domain, DomainCheck, Edit, Object, Oid, Table};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::table::check_collation;
use crate::sql::dialect;
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::domain_words::{CreateDomain, DomainAction, check_base};
use crate::sql::domains::{self, by_name};
use crate::sql::expressions;
use crate::sql::known::quoted;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::statement::{Drop, Name};
use crate::types::Type;

impl Session {
    pub(super) async fn create_domain(&mut self, create: &CreateDomain) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let path = self.shared.schemas(&catalog);
        let schema = self.shared.creation_schema(&catalog, &create.name)?;
        super::types::refuse_taken(&catalog, &schema, &create.name.name, None)?;
        let parent = match create.base.domain(&catalog, &path) {
            Some(parent) => Some(self.lock_domain(parent).await?),
            None => None,
        };
        let base = create.base.resolve(&catalog, &path)?;
        check_base(&base)?;
        check_collation(&base, create.collation.as_deref())?;
        let inherited = parent.as_ref().and_then(|parent| parent.collation.clone());
        let mut domain = Domain {
            oid: self.new_oid()?,
            schema,
            name: create.name.name.clone(),
            base,
            collation: create.collation.clone().or(inherited),
            parent: parent.as_ref().map(|parent| parent.oid),
            not_null: create.not_null,
            // That of the other domain as it is now.
            default: match &create.default {
                Some(sql) => Some(DefaultExpr { sql: sql.clone() }),
                None => parent.and_then(|parent| parent.default.clone()),
            },
            checks: Vec::new(),
            comment: None,
        };
        for (name, sql) in &create.checks {
            self.add_check(&mut domain, name.as_deref(), sql, false)?;
        }
        self.check_domain_default(&domain)?;
        self.edit(vec![Edit::Put(Object::Domain(domain))]).await?;
        Ok(done("CREATE DOMAIN"))
    }

    pub(super) async fn alter_domain(&mut self, name: &Name, action: &DomainAction) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let old = self.domain_of_user(&catalog, name)?;
        let old = self.lock_domain(old.oid).await?;
        let catalog = self.shared.current_catalog();
        let mut domain = Domain::clone(&old);
        match action {
            DomainAction::OwnerTo(owner) => {
                self.check_owner(owner)?;
                return Ok(done("ALTER DOMAIN"));
            }
            DomainAction::Default(default) => {
                domain.default = default.clone().map(|sql| DefaultExpr { sql });
                self.check_domain_default(&domain)?;
            }
            DomainAction::NotNull(not_null) => {
                if *not_null && !domain.not_null {
                    self.verify_columns(
                        &old,
                        |column| Ok(format!("{} IS NOT NULL", quoted(column))),
                        |table, column| {
                            let message = format!(
                                "column \"{column}\" of table \"{}\" contains null values",
                                table.name
                            );
                            Error::new(SqlState::NOT_NULL_VIOLATION, message)
                        },
                    )
                    .await?;
                }
                domain.not_null = *not_null;
            }
            DomainAction::AddCheck { name, sql, not_valid } => {
                let added = self.add_check(&mut domain, name.as_deref(), sql, *not_valid)?;
                if !not_valid {
                    self.verify_check(&domain, &added).await?;
                }
            }
            DomainAction::ValidateConstraint(name) => {
                let Some(check) = domain.checks.iter_mut().find(|check| check.name == *name) else {
                    return Err(undefined_check(&domain, name));
                };
                check.not_valid = false;
                self.verify_check(&domain.clone(), name).await?;
            }
            DomainAction::DropConstraint { name, if_exists } => {
                let count = domain.checks.len();
                domain.checks.retain(|check| check.name != *name);
                if domain.checks.len() == count {
                    let missing = undefined_check(&domain, name);
                    if !if_exists {
                        return Err(missing);
                    }
                    let message = format!("{}, skipping", missing.message());
                    self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
                    return Ok(done("ALTER DOMAIN"));
                }
            }
            DomainAction::RenameConstraint { name, to } => {
                if domain.check(to).is_some() {
                    return Err(taken_check(&domain, to));
                }
                match domain.checks.iter_mut().find(|check| check.name == *name) {
                    Some(check) => check.name.clone_from(to),
                    None => return Err(undefined_check(&domain, name)),
                }
                domain.checks.sort_by(|a, b| a.name.cmp(&b.name));
            }
            DomainAction::Rename(to) => {
                super::types::refuse_taken(&catalog, &domain.schema, to, None)?;
                self.refuse_stored(&catalog, &domain.name)?;
                domain.name.clone_from(to);
            }
            DomainAction::SetSchema(schema) => {
                if !self.may_move_type(&catalog, (&domain.schema, &domain.name), schema)? {
                    return Ok(done("ALTER DOMAIN"));
                }
                domain.schema.clone_from(schema);
            }
        }
        self.edit(vec![Edit::Put(Object::Domain(domain))]).await?;
        Ok(done("ALTER DOMAIN"))
    }

    /// The domain as it is once nobody else is changing it.
    async fn lock_domain(&mut self, oid: Oid) -> Result<Arc<Domain>> {
        let gone = || Error::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"));
        self.retry(|transaction| {
            // As it is after a wait, and not as it was before.
            let domain = transaction.catalog().domain_by_oid(oid).cloned().ok_or_else(gone)?;
            transaction.edit_catalog(vec![Edit::Put(Object::Domain(Domain::clone(&domain)))])?;
            Ok(domain)
        })
        .await
    }

    /// A domain that a name means.
    pub(super) fn domain_of_user(&self, catalog: &Catalog, name: &Name) -> Result<Arc<Domain>> {
        let path = self.shared.schemas(catalog);
        if let Some(domain) = by_name(name, catalog, &path) {
            return Ok(domain.clone());
        }
        match self.is_other_type(catalog, name) {
            true => Err(no_domain(name)),
            false => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))),
        }
    }

    /// Whether it is the name of a type that is no domain; relations are such types.
    fn is_other_type(&self, catalog: &Catalog, name: &Name) -> bool {
        let path = self.shared.schemas(catalog);
        Type::from_name(&name.name).is_ok()
            || crate::sql::type_names::own_named(name, catalog, &path).is_some()
            || self.shared.relation(catalog, name).is_some()
    }

    /// Adds a condition, which must be one on the base type; its name.
    fn add_check(
        &self,
        domain: &mut Domain,
        name: Option<&str>,
        sql: &str,
        not_valid: bool,
    ) -> Result<String> {
        let name = match name {
            Some(name) if domain.check(name).is_some() => return Err(taken_check(domain, name)),
            Some(name) => name.to_owned(),
            None => {
                let first = format!("{}_check", domain.name);
                let names = std::iter::once(first.clone()).chain((1..).map(|n| format!("{first}{n}")));
                let mut free = names.filter(|name| domain.check(name).is_none());
                free.next().ok_or_else(|| Error::internal("there are always more numbers"))?
            }
        };
        let check = DomainCheck { oid: self.new_oid()?, name: name.clone(), sql: sql.to_owned(), not_valid };
        domain.checks.push(check);
        domain.checks.sort_by(|a, b| a.name.cmp(&b.name));
        let null = dialect::parse_expression(&format!("CAST(NULL AS {})", domain.base))?;
        let conditions: Vec<Expr> =
            domains::conditions(domain, &null)?.into_iter().map(|(_, condition)| condition).collect();
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        let types = vec![Type::Bool; conditions.len()];
        expressions::compile(&context, &[], &expressions::items(conditions), &types)?;
        Ok(name)
    }

    fn check_domain_default(&self, domain: &Domain) -> Result<()> {
        let Some(default) = &domain.default else { return Ok(()) };
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        let column = Column::new(1, &domain.name, domain.base.clone());
        DefaultValue::compile(&default.sql, &column, &context, &self.shared).map(drop)
    }

    async fn verify_check(&mut self, domain: &Domain, name: &str) -> Result<()> {
        let Some(check) = domain.check(name).cloned() else { return Err(undefined_check(domain, name)) };
        let one = Domain { checks: vec![check], ..domain.clone() };
        let condition = |column: &str| {
            let conditions = domains::conditions(&one, &Expr::Identifier(quoted(column)))?;
            Ok(conditions.first().map(|(_, condition)| condition.to_string()).unwrap_or_default())
        };
        self.verify_columns(domain, condition, |table, column| {
            let message = format!(
                "column \"{column}\" of table \"{}\" contains values that violate the new constraint",
                table.name
            );
            Error::new(SqlState::CHECK_VIOLATION, message)
        })
        .await
    }

    /// Asks the rows of all columns of the domain; their tables stay locked.
    async fn verify_columns(
        &mut self,
        domain: &Domain,
        condition: impl Fn(&str) -> Result<String>,
        violation: impl Fn(&Table, &str) -> Error,
    ) -> Result<()> {
        let catalog = self.shared.current_catalog();
        for (table, column) in users(&catalog, &with_descendants(&catalog, domain.oid)) {
            self.put((*table).clone()).await?;
            self.start_statement()?;
            self.verify_rows(&table, &condition(&column)?, |table| violation(table, &column)).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_domain(&mut self, catalog: &Catalog, name: &Name, drop: &Drop) -> Result<()> {
        let path = self.shared.schemas(catalog);
        match by_name(name, catalog, &path).cloned() {
            Some(domain) => self.remove_domain(&domain, drop.cascade).await,
            None if self.is_other_type(catalog, name) => Err(no_domain(name)),
            None => self.missing(drop, name),
        }
    }

    /// Drops the domain, with its columns if `cascade` says so.
    pub(super) async fn remove_domain(&mut self, domain: &Domain, cascade: bool) -> Result<()> {
        let catalog = self.shared.current_catalog();
        if catalog.domain_by_oid(domain.oid).is_none() {
            // It went with the domain it was over.
            return Ok(());
        }
        let columns = users(&catalog, &[domain.oid]);
        let shown = &domain.name;
        let lines = dependents(&catalog, domain);
        if !lines.is_empty() && !cascade {
            let message = format!("cannot drop type {shown} because other objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(lines.join("\n"))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for (table, column) in columns {
            let catalog = self.shared.current_catalog();
            if let Some(table) = catalog.table_by_oid(table.oid).cloned() {
                self.drop_column(&table, &column, true, true).await?;
            }
        }
        for over in children(&catalog, domain.oid) {
            Box::pin(self.remove_domain(&over, true)).await?;
        }
        let catalog = self.shared.current_catalog();
        let path = self.shared.schemas(&catalog);
        let is_meant = |data_type: &DataType| {
            domains::meant(data_type, &catalog, &path).is_some_and(|meant| meant.oid == domain.oid)
        };
        let what = format!("type {shown}");
        self.refuse_casts(&what, &what, Some(domain.oid), &is_meant)?;
        self.edit(vec![Edit::Delete(domain.oid)]).await
    }
}

/// The domains over a domain.
fn children(catalog: &Catalog, domain: Oid) -> Vec<Arc<Domain>> {
    catalog.domains().filter(|over| over.parent == Some(domain)).cloned().collect()
}

/// A domain, and those over it.
fn with_descendants(catalog: &Catalog, domain: Oid) -> Vec<Oid> {
    let over = children(catalog, domain);
    let below = over.iter().flat_map(|over| with_descendants(catalog, over.oid));
    std::iter::once(domain).chain(below).collect()
}

/// What goes with a domain, as PostgreSQL says it.
fn dependents(catalog: &Catalog, domain: &Domain) -> Vec<String> {
    let columns = users(catalog, &[domain.oid]).into_iter().map(|(table, column)| {
        format!("column {column} of table {} depends on type {}", table.name, domain.name)
    });
    let over = children(catalog, domain.oid).into_iter().flat_map(|over| {
        let line = format!("type {} depends on type {}", over.name, domain.name);
        std::iter::once(line).chain(dependents(catalog, &over))
    });
    columns.chain(over).collect()
}

/// The columns of domains.
fn users(catalog: &Catalog, domains: &[Oid]) -> Vec<(Arc<Table>, String)> {
    let of = |table: &Arc<Table>| {
        let columns =
            table.columns.iter().filter(|column| column.domain.is_some_and(|oid| domains.contains(&oid)));
        columns.map(|column| (table.clone(), column.name.clone())).collect::<Vec<_>>()
    };
    catalog.tables().flat_map(of).collect()
}

fn no_domain(name: &Name) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a domain", name.name))
}

fn undefined_check(domain: &Domain, name: &str) -> Error {
    let message = format!("constraint \"{name}\" of domain \"{}\" does not exist", domain.name);
    Error::new(SqlState::UNDEFINED_OBJECT, message)
}

fn taken_check(domain: &Domain, name: &str) -> Error {
    let message = format!("constraint \"{name}\" for domain \"{}\" already exists", domain.name);
    Error::new(SqlState::DUPLICATE_OBJECT, message)
}
