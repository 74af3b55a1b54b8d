//! What is of an extension's types, and goes with the extension when CASCADE says so.

use std::sync::Arc;

use crate::catalog::{Catalog, Domain, Edit, Extension, Function, Oid, Table};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::types::types_of;
use crate::sql::ddl::view::{dependents, described, readers_of};
use crate::sql::session::Session;
use crate::sql::type_names;
use crate::types::Type;

/// Objects of the types, in the order in which PostgreSQL lists them.
struct Dependents {
    columns: Vec<(Arc<Table>, String)>,
    /// Views, those that read others behind them.
    views: Vec<Oid>,
    functions: Vec<Arc<Function>>,
    domains: Vec<Arc<Domain>>,
    /// What each is, and what it depends on.
    lines: Vec<(String, String)>,
}

impl Dependents {
    fn of(extension: &Extension, catalog: &Catalog) -> Dependents {
        let is_of = |ty: &&Type| ty.extension() == Some(extension.name.as_str());
        let mut found =
            Dependents { columns: vec![], views: vec![], functions: vec![], domains: vec![], lines: vec![] };
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
        found
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
    /// 2BP01 when something is of a type of the extension, or without it with CASCADE.
    pub(super) async fn drop_of_extension(&mut self, extension: &Extension, cascade: bool) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let found = Dependents::of(extension, &catalog);
        if !found.lines.is_empty() && !cascade {
            let lines: Vec<String> =
                found.lines.iter().map(|(what, needed)| format!("{what} depends on {needed}")).collect();
            return Err(depended_on(extension)
                .detail(dependents(&lines))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        self.tell_cascade(found.lines.into_iter().map(|(what, _)| what).collect());
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
            self.remove_domain(domain, true).await?;
        }
        self.refuse_casts_to_extension(extension)
    }

    /// 2BP01 when a stored expression or query casts to a type of the extension; unlike columns, CASCADE does not drop
    /// what has those.
    fn refuse_casts_to_extension(&self, extension: &Extension) -> Result<()> {
        let name = extension.name.as_str();
        let is_meant = |data_type: &_| {
            type_names::resolve(data_type).is_ok_and(|ty| ty.extension().is_some_and(|of| of == name))
        };
        match self.stored_cast(None, &is_meant) {
            None => Ok(()),
            Some(dependent) => Err(depended_on(extension)
                .detail(format!("{dependent} casts to a type of extension {name}"))
                .hint("Drop what depends on it first.")),
        }
    }
}

fn depended_on(extension: &Extension) -> Error {
    let message = format!("cannot drop extension {} because other objects depend on it", extension.name);
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
}
