//! Running a statement in parts.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;

use crate::catalog::{Oid, Table};
use crate::error::{Error, Result};
use crate::sql::cancel::Timer;
use crate::sql::dml::references::Change;
use crate::sql::response::Response;
use crate::sql::session::Session;
use crate::sql::staged::StagedPlan;
use crate::sql::staged::plan::batch_of;
use crate::table::{SlotSet, Snapshot};
use crate::types::Value;

/// What the parts of a statement have in common while it runs.
#[derive(Default)]
pub struct View {
    /// The tables that are read.
    tables: Vec<Oid>,
    pinned: HashMap<Oid, Arc<Snapshot>>,
    /// The rows of the parts that are done.
    results: Vec<RecordBatch>,
    /// Something was written.
    written: bool,
    /// The statement must be undone and run again.
    restart: bool,
    /// What foreign keys are to be asked about when all parts are done.
    unchecked: Vec<Unchecked>,
    /// All parts are done.
    settling: bool,
}

/// Rows that foreign keys have not seen.
enum Unchecked {
    /// Of the constraint with this oid.
    Written(Arc<Table>, Oid, Vec<Vec<Value>>),
    Changed(Arc<Table>, Vec<Change>),
}

/// Rows that are held at a time to see what changed: few enough to be small.
const ROWS_COMPARED: usize = 64;

impl View {
    /// Whether a new snapshot would show later parts something else than earlier ones saw.
    fn is_fixed(&self) -> bool {
        (self.written || !self.results.is_empty()) && !self.settling
    }

    pub fn results(&self) -> Vec<RecordBatch> {
        self.results.clone()
    }

    pub fn pinned(&self, table: Oid) -> Option<Arc<Snapshot>> {
        self.pinned.get(&table).cloned()
    }
}

impl Session {
    pub(crate) async fn run_staged(
        &mut self,
        plan: &Arc<StagedPlan>,
        params: &[Value],
        timer: Option<Timer>,
    ) -> Result<Response> {
        let before = self.shared.with_transaction(|transaction| Ok(transaction.savepoint()))?;
        let tables = plan.tables_read();
        let mut timer = timer;
        loop {
            self.state.view = Some(View { tables: tables.clone(), ..View::default() });
            let outcome = self.run_parts(plan, params, &mut timer).await;
            let again = self.state.view.take().is_some_and(|view| view.restart);
            match outcome {
                Err(_) if again => {
                    self.cancel.check()?;
                    self.shared.with_transaction(|transaction| transaction.rollback_to(&before))?;
                    self.start_statement()?;
                }
                outcome => return outcome,
            }
        }
    }

    async fn run_parts(
        &mut self,
        plan: &StagedPlan,
        params: &[Value],
        timer: &mut Option<Timer>,
    ) -> Result<Response> {
        self.pin()?;
        let mut tag = None;
        for part in &plan.parts {
            let response = self.run_plan(&part.plan, params, None).await?;
            let mut batches = Vec::new();
            if let Response::Rows(mut rows) = response {
                while let Some(batch) = rows.next().await {
                    batches.push(batch?);
                }
                tag = Some(rows.tag(rows.given()));
            }
            let rows = batch_of(&part.schema, &batches)?;
            if let Some(view) = &mut self.state.view {
                view.results.push(rows);
            }
        }
        let response = self.run_plan(&plan.main, params, timer.take()).await?;
        self.check_all_parts().await?;
        match (response, tag) {
            (Response::Rows(rows), Some(tag)) if plan.shows_part => Ok(Response::Rows(rows.tagged(tag))),
            (response, _) => Ok(response),
        }
    }

    /// Takes the snapshots that all parts look at.
    pub(crate) fn pin(&mut self) -> Result<()> {
        let Some(view) = &mut self.state.view else { return Ok(()) };
        view.pinned.clear();
        for &table in &view.tables {
            let snapshot = self.shared.with_transaction(|transaction| transaction.snapshot(table))?;
            view.pinned.insert(table, Arc::new(snapshot));
        }
        Ok(())
    }

    /// Whether this statement keeps the snapshot it has.
    pub(crate) fn keeps_snapshot(&self) -> bool {
        self.state.view.as_ref().is_some_and(View::is_fixed)
    }

    /// Rows are about to be written.
    pub(crate) fn begin_writing(&mut self) {
        if let Some(view) = &mut self.state.view {
            view.written = true;
        }
    }

    /// A row has changed since the snapshot: goes on with a new one, or gives the statement up to be run again.
    pub(crate) fn restart_statement(&mut self) -> Result<()> {
        match &mut self.state.view {
            Some(view) if view.is_fixed() => {
                view.restart = true;
                Err(Error::concurrent_update())
            }
            _ => self.start_statement(),
        }
    }

    /// Which of these rows an earlier part of the statement has changed.
    pub(crate) fn touched(&self, table: Oid, slots: &[u32]) -> Result<SlotSet> {
        let mut touched = SlotSet::new();
        let written = self.state.view.as_ref().filter(|view| view.written);
        let Some(then) = written.and_then(|view| view.pinned(table)) else { return Ok(touched) };
        let now = self.shared.with_transaction(|transaction| transaction.snapshot(table))?;
        for slots in slots.chunks(ROWS_COMPARED) {
            let (then, now) = (then.rows(slots)?, now.rows(slots)?);
            let pairs = slots.iter().zip(then.iter().zip(&now));
            touched.extend(
                pairs.filter(|(_, (then, now))| then.as_deref() != now.as_deref()).map(|(slot, _)| slot),
            );
        }
        Ok(touched)
    }

    /// Keeps written rows for the end of the statement, or gives them back to be checked now.
    pub(crate) fn check_later(
        &mut self,
        table: &Arc<Table>,
        constraint: Oid,
        rows: Vec<Vec<Value>>,
    ) -> Option<Vec<Vec<Value>>> {
        match &mut self.state.view {
            Some(view) if !view.settling => {
                view.unchecked.push(Unchecked::Written(table.clone(), constraint, rows));
                None
            }
            _ => Some(rows),
        }
    }

    /// Keeps changed rows for the end of the statement, or gives them back to be followed now.
    pub(crate) fn follow_later(&mut self, table: &Arc<Table>, changes: Vec<Change>) -> Option<Vec<Change>> {
        match &mut self.state.view {
            Some(view) if !view.settling => {
                view.unchecked.push(Unchecked::Changed(table.clone(), changes));
                None
            }
            _ => Some(changes),
        }
    }

    /// All parts are done: asks foreign keys.
    async fn check_all_parts(&mut self) -> Result<()> {
        let Some(view) = &mut self.state.view else { return Ok(()) };
        view.settling = true;
        for unchecked in std::mem::take(&mut view.unchecked) {
            match unchecked {
                Unchecked::Written(table, constraint, rows) => {
                    self.check_references(&table, constraint, rows).await?;
                }
                Unchecked::Changed(table, changes) => self.follow_references(&table, changes).await?,
            }
        }
        Ok(())
    }
}
