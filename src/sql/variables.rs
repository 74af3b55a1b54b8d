//! SET, RESET, SHOW, and statements that look after the database: VACUUM, ANALYZE, CHECKPOINT.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, Result, SqlState};
use crate::sql::dml::cells::{Constant, Target, constant, literal};
use crate::sql::expressions;
use crate::sql::maintenance::{BACKUP_COLUMNS, SCRUB_COLUMNS};
use crate::sql::plans::text_rows;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{OutputColumn, Prepared, Session, done};
use crate::sql::statement::{Ast, IsolationLevel, Modes, Name, SetValue};
use crate::sql::transactions::Block;
use crate::types::arrow::value_at;
use crate::types::{Type, Value};

impl Session {
    pub(crate) fn set(&mut self, local: bool, name: &str, value: &SetValue) -> Result<Response> {
        if local && self.state.block != Block::Explicit && !self.state.several_statements {
            let message = "SET LOCAL can only be used in transaction blocks";
            self.notice(Severity::Warning, Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        let values = match value {
            SetValue::Default => {
                self.shared.settings.lock().reset(name, local)?;
                return Ok(done("SET"));
            }
            SetValue::Values(values) => values,
        };
        if name == "transaction_isolation" {
            return self.set_isolation(values);
        }
        let text = match (name, values.as_slice()) {
            ("search_path", names) => {
                names.iter().map(|name| quoted_if_needed(name)).collect::<Vec<_>>().join(", ")
            }
            (_, [value]) => value.clone(),
            ("datestyle", values) => values.join(", "),
            (name, _) => {
                let message = format!("SET {name} takes only one argument");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        };
        self.shared.settings.lock().set(name, &text, local)?;
        Ok(done("SET"))
    }

    /// `SET transaction_isolation = ...` is SET TRANSACTION ISOLATION LEVEL.
    fn set_isolation(&mut self, values: &[String]) -> Result<Response> {
        let text = values.join(" ");
        let Some(level) = IsolationLevel::by_name(&text) else {
            let message = format!("invalid value for parameter \"transaction_isolation\": \"{text}\"");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        };
        self.set_transaction(Modes { isolation: Some(level), ..Modes::default() }, false)
    }

    pub(crate) fn reset(&mut self, name: Option<&str>) -> Result<Response> {
        let mut settings = self.shared.settings.lock();
        match name {
            Some(name) => settings.reset(name, false)?,
            None => settings.reset_all(),
        }
        Ok(done("RESET"))
    }

    pub(crate) fn show(&mut self, name: Option<&str>) -> Result<Response> {
        let ast = Ast::Show(name.map(str::to_string));
        let columns = self.utility_columns(&ast).unwrap_or_else(|| Arc::from([]));
        let settings = self.shared.settings.lock();
        let rows = match name {
            Some(name) => vec![vec![Some(settings.show(name)?)]],
            None => {
                let shown = settings.show_all().into_iter();
                shown
                    .map(|shown| {
                        let help = shown.setting.help.to_string();
                        vec![Some(shown.setting.name.to_string()), Some(shown.value), Some(help)]
                    })
                    .collect()
            }
        };
        drop(settings);
        text_rows(columns, rows, "SHOW")
    }

    /// The columns of statements that yield rows without being queries.
    pub(crate) fn utility_columns(&self, ast: &Ast) -> Option<Arc<[OutputColumn]>> {
        let text = |name: &str| OutputColumn { name: name.into(), ty: Type::Text, table_oid: 0, attnum: 0 };
        match ast {
            Ast::Show(None) => Some([text("name"), text("setting"), text("description")].into()),
            Ast::Show(Some(name)) => {
                // PostgreSQL spells the column as the setting is spelt in its list.
                let spelt = crate::sql::setting_list::LIST.iter().find(|s| s.name.eq_ignore_ascii_case(name));
                Some([text(spelt.map_or(name.as_str(), |setting| setting.name))].into())
            }
            Ast::Fetch { name, move_only: false, .. } => {
                self.cursors.get(name).map(|cursor| cursor.columns.clone())
            }
            Ast::Backup(..) => Some(BACKUP_COLUMNS.iter().map(|name| text(name)).collect()),
            Ast::Scrub => Some(SCRUB_COLUMNS.iter().map(|name| text(name)).collect()),
            _ => None,
        }
    }

    /// The values of EXECUTE's list.
    pub(crate) fn arguments(
        &self,
        name: &str,
        prepared: &Prepared,
        arguments: &[datafusion::sql::sqlparser::ast::Expr],
    ) -> Result<Vec<Value>> {
        if arguments.len() != prepared.param_types.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).detail(format!(
                "Expected {} parameters but got {}.",
                prepared.param_types.len(),
                arguments.len()
            )));
        }
        let mut values = Vec::with_capacity(arguments.len());
        for (number, (argument, ty)) in arguments.iter().zip(&prepared.param_types).enumerate() {
            let parameter = format!("${}", number + 1);
            let simple = match literal(argument, self.shared.look())? {
                Some(Constant::Typed(_, from))
                    if crate::types::cast::context(&from, ty)
                        .is_none_or(|context| context == crate::types::cast::Context::Explicit) =>
                {
                    let message = format!(
                        "parameter {parameter} of type {} cannot be coerced to the expected type {}",
                        from.bare(),
                        ty.bare()
                    );
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                        .hint("You will need to rewrite or cast the expression."));
                }
                _ => constant(argument, &Target { name: &parameter, ty }, self.shared.look())?,
            };
            values.push(match simple {
                Some(value) => value,
                None => self.computed_argument(argument, ty)?,
            });
        }
        Ok(values)
    }

    fn computed_argument(
        &self,
        argument: &datafusion::sql::sqlparser::ast::Expr,
        ty: &Type,
    ) -> Result<Value> {
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        let items = expressions::items([argument.clone()]);
        let projection = expressions::compile(&context, &[], &items, std::slice::from_ref(ty))?;
        let row = expressions::batch(projection.input(), &[Vec::new()])?;
        let arrays = projection.evaluate(&row, self.plain_execution(&[], &[])?)?;
        value_at(&arrays[0], 0, ty)
    }

    /// FULL asks for nothing more: space goes back to the system anyway.
    pub(crate) async fn vacuum(
        &mut self,
        tables: &[(Name, Vec<String>)],
        verbose: bool,
        analyze: bool,
    ) -> Result<Response> {
        self.refuse_in_block("VACUUM")?;
        if !analyze && tables.iter().any(|(_, columns)| !columns.is_empty()) {
            let message = "ANALYZE option must be specified when a column list is provided";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        self.check_tables(tables)?;
        let catalog = self.shared.current_catalog();
        let oid = |(name, _): &(Name, _)| self.shared.rows_of(&catalog, name).map(|table| table.oid);
        let oids: Vec<_> = tables.iter().map(oid).collect::<Result<_>>()?;
        let database = self.shared.engine.database.clone();
        let cancel = Arc::<AtomicBool>::clone(self.cancel.raised());
        let work = move || database.vacuum(&oids, &cancel);
        let task = tokio::task::spawn_blocking(work);
        let vacuumed = task.await.map_err(|error| Error::internal(format!("a vacuum failed: {error}")))??;
        for table in vacuumed.iter().filter(|_| verbose) {
            let message = format!("finished vacuuming \"{}.{}\"", self.shared.database, table.name);
            let detail = format!(
                "{} rows, {} obsolete row versions, {} of them in view of an open snapshot; {} nodes left graphs; {} to {} \
                 bytes; {} slots are free; removable cutoff: {}",
                table.rows,
                table.obsolete,
                table.slots_held,
                table.nodes,
                table.bytes_before,
                table.bytes_after,
                table.slots_free,
                table.horizon.0,
            );
            self.notice(Severity::Info, Error::new(SqlState("00000"), message).detail(detail));
        }
        Ok(done("VACUUM"))
    }

    /// Cardinalities come from bitmaps, exactly and always up to date: there are no statistics to gather.
    pub(crate) fn analyze(&mut self, tables: &[(Name, Vec<String>)]) -> Result<Response> {
        self.check_tables(tables)?;
        Ok(done("ANALYZE"))
    }

    pub(crate) async fn checkpoint(&mut self) -> Result<Response> {
        self.run_checkpoint().await?;
        Ok(done("CHECKPOINT"))
    }

    fn check_tables(&self, tables: &[(Name, Vec<String>)]) -> Result<()> {
        let catalog = self.shared.current_catalog();
        for (name, columns) in tables {
            let table = self.shared.rows_of(&catalog, name)?;
            for (place, column) in columns.iter().enumerate() {
                let of = format!("column \"{column}\" of relation \"{}\"", table.name);
                if table.column(column).is_none() {
                    return Err(Error::new(SqlState::UNDEFINED_COLUMN, format!("{of} does not exist")));
                }
                if columns[..place].contains(column) {
                    return Err(Error::new(
                        SqlState::DUPLICATE_COLUMN,
                        format!("{of} appears more than once"),
                    ));
                }
            }
        }
        Ok(())
    }

    async fn run_checkpoint(&self) -> Result<()> {
        let database = self.shared.engine.database.clone();
        let task = tokio::task::spawn_blocking(move || database.checkpoint());
        task.await.map_err(|error| Error::internal(format!("a checkpoint failed: {error}")))?
    }
}

/// A schema's name as it stands in search_path.
fn quoted_if_needed(name: &str) -> String {
    let plain = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    // A list that comes as one string is a list already.
    if plain || name.contains(',') || name.contains('"') { name.to_string() } else { format!("\"{name}\"") }
}
