//! EXPLAIN of a statement: the plan of its query, below what the statement does with the rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::sql::sqlparser::ast;

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::planner::explain::formats::Format;
use crate::planner::explain::{ExplainOptions, Explanation, Node};
use crate::sql::plans::{Made, Plan, text_rows};
use crate::sql::query::Query;
use crate::sql::response::Response;
use crate::sql::session::{OutputColumn, Prepared, Session};
use crate::sql::staged::StagedPlan;
use crate::sql::statement::{Ast, Explain};
use crate::table::explained::Explained;
use crate::types::{Type, Value};

impl Session {
    pub(super) fn make_explain(
        &self,
        explain: &Explain,
        catalog: &Arc<Catalog>,
        declared: &[Option<Type>],
    ) -> Result<Made> {
        let ty = if explain.options.format == Format::Json { Type::Json } else { Type::Text };
        let columns = [OutputColumn { name: "QUERY PLAN".into(), ty, table_oid: 0, attnum: 0 }];
        let (plan, param_types) = match &explain.statement {
            // The arguments are evaluated, and the plan looked at, when it runs.
            Ast::Execute { .. } => (Plan::Utility, Vec::new()),
            ast => {
                let made = self.make(ast, catalog, declared)?;
                if explain.options.generic && !made.param_types.is_empty() {
                    return Err(Error::unsupported("EXPLAIN (GENERIC_PLAN) of a statement with parameters"));
                }
                (Plan::Explain(Arc::new(made.plan), explain.options), made.param_types)
            }
        };
        Ok(Made { plan, param_types, columns: Some(columns.into()) })
    }

    /// EXPLAIN EXECUTE
    pub(super) async fn explain_execute(
        &mut self,
        prepared: &Prepared,
        options: ExplainOptions,
        name: &str,
        arguments: &[ast::Expr],
    ) -> Result<Response> {
        self.start_statement()?;
        let saved = self.saved_statement(name)?;
        let params = self.arguments(name, &saved, arguments)?;
        let plan = self.plan_to_run(&saved).await?;
        self.explain(prepared, &plan, options, params).await
    }

    pub(super) async fn explain(
        &mut self,
        prepared: &Prepared,
        plan: &Plan,
        options: ExplainOptions,
        params: Vec<Value>,
    ) -> Result<Response> {
        if options.wal && !matches!(plan, Plan::Query(_)) {
            return Err(Error::unsupported("EXPLAIN (WAL) of a statement that changes or locks rows"));
        }
        let mut explanation = match plan {
            Plan::Staged(staged) => self.explain_staged(staged, options, &params).await?,
            plan => self.explain_one(plan, options, &params).await?,
        };
        if options.settings {
            let changed = self.shared.settings.lock().planning_changes();
            explanation.settings =
                changed.into_iter().map(|shown| (shown.setting.name.to_owned(), shown.value)).collect();
        }
        let columns = prepared.columns.clone().unwrap_or_else(|| Arc::from([]));
        let rows = explanation.lines(options).into_iter().map(|line| vec![Some(line)]).collect();
        text_rows(columns, rows, "EXPLAIN")
    }

    /// The main statement's plan, with those of the parts before it as its first children.
    async fn explain_staged(
        &mut self,
        staged: &StagedPlan,
        options: ExplainOptions,
        params: &[Value],
    ) -> Result<Explanation> {
        if options.analyze {
            return Err(Error::unsupported(match staged.parts.is_empty() {
                true => "EXPLAIN ANALYZE of a statement with subqueries in ON CONFLICT",
                false => "EXPLAIN ANALYZE of a statement whose WITH changes or locks rows",
            }));
        }
        let mut main = self.explain_one(&staged.main, options, params).await?;
        let mut parts = Vec::with_capacity(staged.parts.len());
        for part in &staged.parts {
            let plan = self.explain_one(&part.plan, options, params).await?;
            let shown = Explained::new("CTE").heading(format!("CTE {}", part.name));
            parts.push(Node::above(shown, vec![plan.root]));
        }
        main.root = main.root.after(parts);
        Ok(main)
    }

    async fn explain_one(
        &mut self,
        plan: &Plan,
        options: ExplainOptions,
        params: &[Value],
    ) -> Result<Explanation> {
        Ok(match plan {
            Plan::Query(query) => self.explain_query(query, options, params).await?,
            Plan::Insert(insert) => {
                let input = match insert.query() {
                    Some(query) => self.explain_input(query, options, params).await?,
                    None => Explanation::of(Node::above(Explained::new("Values"), Vec::new())),
                };
                let started = Instant::now();
                if options.analyze {
                    self.insert(insert, params).await?;
                }
                above("Insert", &insert.table.name, input, started.elapsed(), options)
            }
            Plan::Update(change) => {
                let input = self.explain_input(&change.query, options, params).await?;
                let started = Instant::now();
                if options.analyze {
                    self.update(change, params).await?;
                }
                above("Update", &change.table.name, input, started.elapsed(), options)
            }
            Plan::Delete(change) => {
                let input = self.explain_input(&change.query, options, params).await?;
                let started = Instant::now();
                if options.analyze {
                    self.delete(change, params).await?;
                }
                above("Delete", &change.table.name, input, started.elapsed(), options)
            }
            Plan::Merge(merge) => {
                let input = self.explain_input(&merge.query, options, params).await?;
                let started = Instant::now();
                if options.analyze {
                    self.merge(merge, params).await?;
                }
                above("Merge", &merge.table.name, input, started.elapsed(), options)
            }
            // The query locks while it runs; its plan is that of the rows.
            Plan::Locking(locking) if !options.analyze => {
                let input = self.explain_query(locking.query(), options, params).await?;
                Explanation { root: Node::above(Explained::new("LockRows"), vec![input.root]), ..input }
            }
            Plan::Locking(_) => return Err(Error::unsupported("EXPLAIN ANALYZE of SELECT FOR UPDATE")),
            Plan::Staged(_) | Plan::Explain(..) | Plan::Utility => {
                return Err(Error::unsupported("EXPLAIN of this statement"));
            }
        })
    }

    async fn explain_query(
        &self,
        query: &Arc<Query>,
        options: ExplainOptions,
        params: &[Value],
    ) -> Result<Explanation> {
        let execution = self.execution(query.tables(), params, &query.param_types)?;
        query.explain(Some(execution), options).await
    }

    /// The plan of a data change's query. It is not run here: the change runs it.
    async fn explain_input(
        &self,
        query: &Arc<Query>,
        options: ExplainOptions,
        params: &[Value],
    ) -> Result<Explanation> {
        self.explain_query(query, ExplainOptions { analyze: false, ..options }, params).await
    }
}

/// A data change above the plan of its rows.
fn above(
    verb: &str,
    table: &str,
    input: Explanation,
    time: Duration,
    options: ExplainOptions,
) -> Explanation {
    let shown = Explained::new("ModifyTable")
        .heading(format!("{verb} on {table}"))
        .fact("Operation", verb)
        .fact("Relation Name", table);
    Explanation {
        root: Node::above(shown, vec![input.root]),
        planning: input.planning,
        execution: options.analyze.then_some(time),
        settings: Vec::new(),
    }
}
