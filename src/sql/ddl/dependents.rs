//! What is of some types, and goes with them, or with the extension that has them, when CASCADE says so.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::DataType;

use crate::catalog::{Catalog, Domain, Edit, Extension, Function, Oid, Table};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::types::types_of;
use crate::sql::ddl::view::{dependents, described, readers_of};
use crate::sql::session::Session;
use crate::sql::type_names;
use crate::sql::{dialect, domains};
use crate::types::Type;

/// Objects of the types, in the order in which PostgreSQL lists them.
pub(super) struct Dependents {
    columns: Vec<(Arc<Table>, String)>,
    /// Views, those that read others behind them.
    views: Vec<Oid>,
    functions: Vec<Arc<Function>>,
    domains: Vec<Arc<Domain>>,
    /// Of composite types, by their oids.
    fields: Vec<(Oid, String)>,
    /// What each is, and what it depends on.
    lines: Vec<(String, String)>,
}

impl Dependents {
    /// `is_of` says which types are meant, with the arrays of them.
    pub(super) fn of(catalog: &Catalog, is_of: impl Fn(&Type) -> bool) -> Dependents {
        let is_of = |ty: &&Type| is_of(ty);
        let (columns, views, functions) = (Vec::new(), Vec::new(), Vec::new());
        let (domains, fields, lines) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = Dependents { columns, views, functions, domains, fields, lines };
        let type_name = |ty: &Type| format!("type {}", ty.standard_name());
        for arrays in [true, false] {
            for table in catalog.tables() {
                for column in table.columns.iter().rev() {
                    if Some(&column.ty).filter(is_of).is_some()
                        && arrays == matches!(column.ty, Type::Array(_))
                    {
                        let needed = match catalog.domain_of(column) {
                            Some(domain) => format!("type {}", domain.name),
                            None => type_name(&column.ty),
                        };
                        found.add_column(catalog, table, (&column.name, column.number), needed);
                    }
                }
            }
        }
        for view in catalog.views() {
            if let Some(column) = view.columns.iter().find(|column| is_of(&&column.ty)) {
                found.add_view(catalog, view.oid, type_name(&column.ty));
            }
        }
        for function in catalog.functions() {
            if let Some(ty) = types_of(function).find(is_of) {
                let shown = format!("function {}", function.signature());
                found.lines.push((shown.clone(), type_name(ty)));
                for reading in readers_of(catalog, &[function.oid], None) {
                    found.add_view(catalog, reading.reader, shown.clone());
                }
                found.functions.push(Arc::clone(function));
            }
        }
        for domain in catalog.domains().filter(|domain| is_of(&&domain.base)) {
            found.lines.push((format!("type {}", domain.name), type_name(&domain.base)));
            found.domains.push(Arc::clone(domain));
        }
        for holder in catalog.composites().map(|of| &of.definition) {
            for field in holder.fields.iter().filter(|field| is_of(&&field.ty)) {
                let shown = format!("column {} of composite type {}", field.name, holder.name);
                found.lines.push((shown, type_name(&field.ty)));
                found.fields.push((holder.oid, field.name.clone()));
            }
        }
        found
    }

    /// 2BP01 when there is something.
    pub(super) fn refuse(&self, what: &str) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> =
            self.lines.iter().map(|(dependent, needed)| format!("{dependent} depends on {needed}")).collect();
        Err(depended_on(what)
            .detail(dependents(&lines))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."))
    }

    fn add_column(&mut self, catalog: &Catalog, table: &Arc<Table>, column: (&str, u16), needed: String) {
        let (name, number) = column;
        if table.materialized.is_some() {
            return self.add_view(catalog, table.oid, needed);
        }
        let shown = format!("column {name} of table {}", table.name);
        self.lines.push((shown.clone(), needed));
        for reading in readers_of(catalog, &[table.oid], Some(number)) {
            self.add_view(catalog, reading.reader, shown.clone());
        }
        self.columns.push((Arc::clone(table), name.to_owned()));
    }

    /// A view, and what reads it.
    fn add_view(&mut self, catalog: &Catalog, view: Oid, needed: String) {
        if self.views.contains(&view) {
            return;
        }
        let shown = described(catalog, view);
        self.lines.push((shown.clone(), needed));
        self.views.push(view);
        for reading in readers_of(catalog, &[view], None) {
            self.add_view(catalog, reading.reader, shown.clone());
        }
    }
}

impl Session {
    pub(super) async fn drop_dependents(&mut self, found: Dependents) -> Result<()> {
        for view in found.views.iter().rev() {
            self.drop_relation(*view).await?;
        }
        for (table, column) in &found.columns {
            let now = self.shared.current_catalog();
            if let Some(table) = now.table_by_oid(table.oid).cloned() {
                self.drop_column(&table, column, true, true).await?;
            }
        }
        self.edit(found.functions.iter().map(|function| Edit::Delete(function.oid)).collect()).await?;
        for domain in &found.domains {
            Box::pin(self.remove_domain(domain, true)).await?;
        }
        for (holder, field) in found.fields {
            Box::pin(self.drop_field(holder, field)).await?;
        }
        Ok(())
    }

    /// 2BP01 when something is of a type of the extension, or without it with CASCADE.
    pub(super) async fn drop_of_extension(&mut self, extension: &Extension, cascade: bool) -> Result<()> {
        let name = extension.name.as_str();
        let found = Dependents::of(&self.shared.current_catalog(), |ty| ty.extension() == Some(name));
        let what = format!("extension {name}");
        if !cascade {
            found.refuse(&what)?;
        }
        self.tell_cascade(found.lines.iter().map(|(dependent, _)| dependent.clone()).collect());
        self.drop_dependents(found).await?;
        let is_meant = |data_type: &_| {
            type_names::resolve(data_type).is_ok_and(|ty| ty.extension().is_some_and(|of| of == name))
        };
        self.refuse_casts(&what, &format!("a type of {what}"), None, &is_meant)
    }

    /// 2BP01 when a stored expression or query, but of a domain that goes, casts to a type; unlike columns, CASCADE does not
    /// drop what has those.
    pub(super) fn refuse_casts(
        &self,
        what: &str,
        types: &str,
        domain: Option<Oid>,
        is_meant: &dyn Fn(&DataType) -> bool,
    ) -> Result<()> {
        match self.stored_cast(domain, is_meant) {
            None => Ok(()),
            Some(dependent) => Err(depended_on(what)
                .detail(format!("{dependent} casts to {types}"))
                .hint("Drop what depends on it first.")),
        }
    }

    /// Something, other than a domain that goes, whose stored expression or query casts to a type that is meant.
    fn stored_cast(&self, domain: Option<Oid>, is_meant: &dyn Fn(&DataType) -> bool) -> Option<String> {
        let catalog = self.shared.current_catalog();
        let casts = |sql: &str| match dialect::parse_expression(sql) {
            Ok(expression) => domains::is_cast_to(&expression, is_meant),
            Err(_) => false,
        };
        let mut found = None;
        for table in catalog.tables() {
            if table.stored_expressions().any(|(_, sql)| casts(sql)) {
                found = Some(format!("table {}", table.name));
            }
        }
        for other in catalog.domains().filter(|other| Some(other.oid) != domain) {
            if other.checks.iter().any(|check| casts(&check.sql)) {
                found = Some(format!("type {}", other.name));
            }
        }
        for (oid, query) in catalog.stored_queries() {
            let tree = dialect::parse_query(&query.sql);
            if tree.is_ok_and(|tree| domains::is_cast_to(&*tree, is_meant)) {
                let view = catalog.view_by_oid(oid).map(|view| view.name.clone());
                found = Some(format!("view {}", view.unwrap_or_else(|| oid.to_string())));
            }
        }
        found
    }
}

fn depended_on(what: &str) -> Error {
    let message = format!("cannot drop {what} because other objects depend on it");
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
}
