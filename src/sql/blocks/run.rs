//! The steps of a block, one after the other, in the session's transaction.
//!
//! Each statement is planned when its turn comes, so that it sees what those before it defined. A block with EXCEPTION
//! is between a savepoint and its release: a handler begins where the block began.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast::{Expr, VisitMut};
use futures::TryStreamExt;

use crate::error::{Error, Result, SqlState};
use crate::sql::blocks::conditions;
use crate::sql::blocks::words::{of_statement, refused, statements, wanted};
use crate::sql::blocks::{Action, Block, Level, Message, Raise, RaiseOption, Step};
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Declared, OutputColumn, Session, done};
use crate::sql::settings::parse_bool;
use crate::sql::statement::{Ast, Savepoint, Statement};
use crate::sql::trees::text;
use crate::sql::visit;
use crate::types::Value;
use crate::types::arrow::value_at;
use crate::types::text::to_string_as;

/// The savepoint of a block, of which the innermost is meant. No text of a client has a zero byte.
const SAVEPOINT: &str = "\0";

/// Of rows that nobody asked for; the language's error, not the statement's.
const NO_DESTINATION: &str = "query has no destination for result data";

/// Whether the block goes on.
enum Flow {
    On,
    Return,
}

/// Rows a statement yielded.
struct Yielded {
    columns: Arc<[OutputColumn]>,
    batches: Vec<RecordBatch>,
}

impl Session {
    /// DO: all of a block, in one transaction, the one that is open or its own.
    pub(crate) async fn do_block(&mut self, block: &Block) -> Result<Response> {
        // What refuses to run beside others refuses to run in a block.
        let several = std::mem::replace(&mut self.state.several_statements, true);
        let ended = self.run_block(block, None).await;
        self.state.several_statements = several;
        ended.map(|_| done("DO"))
    }

    async fn run_block(&mut self, block: &Block, caught: Option<&Error>) -> Result<Flow> {
        if block.handlers.is_empty() {
            return self.run_steps(&block.steps, caught).await;
        }
        self.ensure_block();
        self.savepoint(&Savepoint::Define(SAVEPOINT.to_owned()))?;
        let error = match self.run_steps(&block.steps, caught).await {
            Ok(flow) => {
                self.savepoint(&Savepoint::Release(SAVEPOINT.to_owned()))?;
                return Ok(flow);
            }
            Err(error) => error,
        };
        let takes = |condition: &conditions::Condition| condition.takes(error.state());
        let handler = block.handlers.iter().find(|handler| handler.conditions.iter().any(takes));
        if handler.is_some() {
            if error.state() == SqlState::QUERY_CANCELED {
                // The request is answered.
                self.cancel.lower();
            }
            self.savepoint(&Savepoint::RollBackTo(SAVEPOINT.to_owned()))?;
        }
        self.savepoint(&Savepoint::Release(SAVEPOINT.to_owned()))?;
        match handler {
            Some(handler) => self.run_steps(&handler.steps, Some(&error)).await,
            None => Err(error),
        }
    }

    async fn run_steps(&mut self, steps: &[Step], caught: Option<&Error>) -> Result<Flow> {
        for step in steps {
            let flow = Box::pin(self.run_action(&step.action, caught)).await;
            match flow.map_err(|error| at_line(error, step))? {
                Flow::On => {}
                Flow::Return => return Ok(Flow::Return),
            }
        }
        Ok(Flow::On)
    }

    async fn run_action(&mut self, action: &Action, caught: Option<&Error>) -> Result<Flow> {
        match action {
            Action::Null => {}
            Action::Return => return Ok(Flow::Return),
            Action::Block(block) => return self.run_block(block, caught).await,
            Action::If { arms, otherwise } => {
                for (condition, steps) in arms {
                    if self.is_true(condition, caught).await? {
                        return self.run_steps(steps, caught).await;
                    }
                }
                return self.run_steps(otherwise, caught).await;
            }
            Action::Sql(statement) => {
                if self.run_inner(statement, caught).await?.is_some() {
                    let error = Error::new(SqlState::SYNTAX_ERROR, NO_DESTINATION);
                    return Err(match statement.ast {
                        Ast::Query(_) => {
                            error.hint("If you want to discard the results of a SELECT, use PERFORM instead.")
                        }
                        _ => error,
                    });
                }
            }
            Action::Perform(query) => drop(self.run_inner(query, caught).await?),
            Action::Execute(query) => {
                let Some(sql) = self.text_of(query, caught).await? else {
                    let message = "query string argument of EXECUTE is null";
                    return Err(Error::new(SqlState("22004"), message));
                };
                for statement in statements(&sql)? {
                    self.run_inner(&statement, None).await?;
                }
            }
            Action::Raise(raise) => self.raise(raise, caught).await?,
        }
        Ok(Flow::On)
    }

    /// Runs a statement to its end. `None` when it is one that yields no rows.
    async fn run_inner(&mut self, statement: &Statement, caught: Option<&Error>) -> Result<Option<Yielded>> {
        let mut statement = statement.clone();
        if let Some(caught) = caught {
            name_caught(&mut statement.ast, caught);
        }
        let prepared = self.plan(Some(statement), Declared::default())?;
        if let count @ 1.. = prepared.param_types.len() {
            return Err(Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${count}")));
        }
        match Box::pin(self.run(&prepared, Vec::new(), None)).await? {
            Response::Rows(rows) => {
                let columns = rows.columns.clone();
                Ok(Some(Yielded { columns, batches: rows.try_collect().await? }))
            }
            Response::Done { .. } | Response::Empty => Ok(None),
            Response::CopyIn(_) | Response::CopyOut(_) => {
                self.copy = None;
                Err(refused("COPY to or from the client"))
            }
        }
    }

    /// The cells of the first row; none when there is no row.
    async fn cells(&mut self, query: &Statement, caught: Option<&Error>) -> Result<Vec<Value>> {
        let Some(Yielded { columns, batches }) = self.run_inner(query, caught).await? else {
            return Ok(Vec::new());
        };
        let mut rows = batches.iter().map(RecordBatch::num_rows).enumerate().filter(|(_, rows)| *rows > 0);
        let Some((place, count)) = rows.next() else { return Ok(Vec::new()) };
        if count > 1 || rows.next().is_some() {
            return Err(Error::new(SqlState::CARDINALITY_VIOLATION, "query returned more than one row"));
        }
        let arrays = batches[place].columns();
        columns.iter().zip(arrays).map(|(column, array)| value_at(array, 0, &column.ty)).collect()
    }

    /// The one cell of a query, as text; `None` is NULL.
    async fn text_of(&mut self, query: &Statement, caught: Option<&Error>) -> Result<Option<String>> {
        let cells = self.cells(query, caught).await?;
        if cells.len() > 1 {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("query returned {} columns", cells.len()),
            ));
        }
        let look = self.look();
        Ok(cells.first().filter(|cell| **cell != Value::Null).map(|cell| to_string_as(cell, look)))
    }

    async fn is_true(&mut self, condition: &Statement, caught: Option<&Error>) -> Result<bool> {
        let Some(text) = self.text_of(condition, caught).await? else { return Ok(false) };
        parse_bool(&text).ok_or_else(|| {
            let message = format!("invalid input syntax for type boolean: \"{text}\"");
            Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        })
    }

    async fn raise(&mut self, raise: &Raise, caught: Option<&Error>) -> Result<()> {
        let (mut state, mut message) = (
            match raise.level {
                Level::Exception => SqlState("P0001"),
                Level::Notice(Severity::Warning) => SqlState("01000"),
                Level::Notice(_) => SqlState::SUCCESSFUL_COMPLETION,
            },
            None,
        );
        match &raise.message {
            None if raise.options.is_empty() => {
                // Without a level either: another was refused when it was read.
                let message = "RAISE without parameters cannot be used outside an exception handler";
                return Err(caught.cloned().unwrap_or_else(|| Error::new(SqlState("0Z002"), message)));
            }
            None => {}
            Some(Message::Named(name, named)) => (state, message) = (*named, Some(name.clone())),
            Some(Message::Format(format, arguments)) => {
                let mut cells = match arguments {
                    Some(query) => self.cells(query, caught).await?,
                    None => Vec::new(),
                };
                // Of no row each is NULL.
                cells.resize(cells.len().max(wanted(format)), Value::Null);
                let look = self.look();
                let shown = cells.iter().map(|cell| match cell {
                    Value::Null => "<NULL>".to_owned(),
                    cell => to_string_as(cell, look),
                });
                message = Some(filled(format, shown.collect()));
            }
        }
        let (mut given, mut named) = (Vec::new(), None);
        for (place, (option, query)) in raise.options.iter().enumerate() {
            let is_given = match option {
                RaiseOption::Message => raise.message.is_some(),
                RaiseOption::Errcode => matches!(raise.message, Some(Message::Named(..))),
                _ => false,
            };
            if is_given || raise.options[..place].iter().any(|(before, _)| before == option) {
                let name = format!("{option:?}").to_uppercase();
                let message = format!("RAISE option already specified: {name}");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            let Some(text) = self.text_of(query, caught).await? else {
                return Err(Error::new(SqlState("22004"), "RAISE statement option cannot be null"));
            };
            match option {
                RaiseOption::Errcode => {
                    state = raised_state(&text)?;
                    named = Some(text);
                }
                RaiseOption::Message => message = Some(text),
                option => given.push((*option, text)),
            }
        }
        let error = Error::new(state, message.or(named).unwrap_or_else(|| state.0.to_owned()));
        let error = given.into_iter().fold(error, |error, (option, text)| match option {
            RaiseOption::Detail => error.detail(text),
            RaiseOption::Hint => error.hint(text),
            RaiseOption::Column => error.column(text),
            RaiseOption::Constraint => error.constraint(text),
            RaiseOption::Table => error.named_table(text),
            RaiseOption::Schema => error.schema(text),
            RaiseOption::Datatype => error.datatype(text),
            RaiseOption::Message | RaiseOption::Errcode => error,
        });
        match raise.level {
            Level::Exception => Err(error),
            Level::Notice(severity) => {
                self.notice(severity, error);
                Ok(())
            }
        }
    }
}

/// What ERRCODE says: an SQLSTATE of five characters, or else the name of a condition.
fn raised_state(text: &str) -> Result<SqlState> {
    let is_state =
        text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    match (conditions::known_state(text).or_else(|| conditions::state_named(text)), is_state) {
        (Some(state), _) => Ok(state),
        (None, true) => {
            Err(Error::unsupported(format!("the SQLSTATE {text}, which PostgreSQL does not list,")))
        }
        (None, false) => Err(conditions::unknown(text)),
    }
}

/// The format with an argument for each %; %% is a percent sign. There are as many arguments as it wants.
fn filled(format: &str, arguments: Vec<String>) -> String {
    let mut arguments = arguments.into_iter();
    let mut text = String::with_capacity(format.len());
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '%' if characters.next_if_eq(&'%').is_some() => text.push('%'),
            '%' => text.push_str(&arguments.next().unwrap_or_default()),
            other => text.push(other),
        }
    }
    text
}

/// SQLERRM and SQLSTATE of what a handler has caught, as literals.
fn name_caught(ast: &mut Ast, caught: &Error) {
    let replace = |part: &mut Expr| {
        if let Expr::Identifier(name) = part
            && name.quote_style.is_none()
        {
            match name.value.to_lowercase().as_str() {
                "sqlerrm" => *part = text(caught.message()),
                "sqlstate" => *part = text(caught.state().0),
                _ => {}
            }
        }
        ControlFlow::<()>::Continue(())
    };
    expressions(ast, &mut { replace });
}

/// Changes the expressions of a statement.
fn expressions(ast: &mut Ast, change: &mut impl FnMut(&mut Expr) -> ControlFlow<()>) {
    fn each(tree: &mut impl VisitMut, change: &mut impl FnMut(&mut Expr) -> ControlFlow<()>) {
        let _ = visit::expressions_mut(tree, change);
    }
    match ast {
        Ast::Query(query) | Ast::CreateTableAs { query, .. } => each(query.as_mut(), change),
        Ast::Insert(insert, _) => each(insert.as_mut(), change),
        Ast::Update(update) => each(update.as_mut(), change),
        Ast::Delete(delete) => each(delete.as_mut(), change),
        Ast::Merge(merge) => each(merge.as_mut(), change),
        Ast::Staged(staged) => {
            staged.parts.iter_mut().for_each(|part| expressions(&mut part.statement, change));
            expressions(&mut staged.main, change);
        }
        _ => {}
    }
}

/// Where in the block it happened, beneath where in a statement it did.
fn at_line(error: Error, step: &Step) -> Error {
    let what = match &step.action {
        // What is inside has said it.
        Action::Block(_) | Action::If { .. } if error.fields().context.is_some() => return error,
        Action::Block(_) => "statement block",
        Action::If { .. } => "IF",
        Action::Sql(_) => "SQL statement",
        Action::Perform(_) => "PERFORM",
        Action::Execute(_) => "EXECUTE",
        Action::Raise(_) => "RAISE",
        Action::Null | Action::Return => return error,
    };
    let line = step.line;
    let place = format!("PL/pgSQL function inline_code_block line {line} at {what}");
    let statement = match &step.action {
        Action::Sql(statement) | Action::Perform(statement) if error.message() != NO_DESTINATION => {
            Some(of_statement(statement.text()))
        }
        _ => None,
    };
    let inner = error.fields().context.clone();
    let lines: Vec<String> = inner.or(statement).into_iter().chain([place]).collect();
    error.without_position().context(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn formats_are_filled() {
        let filled = |format: &str| super::filled(format, vec!["x".to_owned()]);
        assert_eq!(filled("100%% of %"), "100% of x");
        assert_eq!(filled("%%%"), "%x");
    }
}
