//! SELECT ... FOR UPDATE and FOR SHARE.
//!
//! The query also returns the slots of the rows behind each row of its result. Those are locked as UPDATE locks what
//! it finds; when a row has changed since the snapshot, the query runs again on a new one, keeping the locks. Nothing
//! is returned before all of it is locked. With SKIP LOCKED the LIMIT counts rows that were to be had.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{SchemaRef, UInt32Type};
use datafusion::sql::sqlparser::ast::{
    self, Expr, GroupByExpr, Ident, LimitClause, LockType, NonBlock, SelectItem, SetExpr, TableFactor,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use futures::stream::{self, StreamExt};

use crate::catalog::{Catalog, Oid, Relation, Table};
use crate::database::{LockOutcome, Stop};
use crate::error::{Error, Result, SqlState};
use crate::locks::Mode;
use crate::sql::context::PlanContext;
use crate::sql::ddl::spell_out_wildcards;
use crate::sql::dialect;
use crate::sql::dml::cells::{self, Constant};
use crate::sql::known::{factors, factors_mut};
use crate::sql::query::{self, Query};
use crate::sql::response::{Response, Rows, RowsTag};
use crate::sql::session::{OutputColumn, Session};
use crate::sql::shared::Shared;
use crate::sql::system_columns;
use crate::sql::transactions::Waited;
use crate::sql::words::{fold, object_name};
use crate::table::provider::{SLOT_COLUMN, SystemColumns};
use crate::types::{Look, Type, Value};

/// Tokens by their places among those that are no white space; EOF behind the last.
struct Solid<'t> {
    tokens: &'t [TokenWithSpan],
    places: Vec<usize>,
}

impl<'t> Solid<'t> {
    fn of(tokens: &'t [TokenWithSpan]) -> Solid<'t> {
        Solid { tokens, places: dialect::solid(tokens) }
    }

    fn word(&self, place: usize) -> String {
        self.places.get(place).map(|&at| dialect::word(&self.tokens[at])).unwrap_or_default()
    }

    fn token(&self, place: usize) -> &'t Token {
        self.places.get(place).map_or(&Token::EOF, |&at| &self.tokens[at].token)
    }
}

/// `FOR UPDATE LIMIT 1` as `LIMIT 1 FOR UPDATE`, the order that sqlparser reads.
pub fn limits_first(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid = Solid::of(&tokens);
    let (word, token) = (|place| solid.word(place), |place| solid.token(place));
    let locks = |place: usize| word(place) == "FOR" && matches!(word(place + 1).as_str(), "UPDATE" | "SHARE");
    // Locking clauses and the LIMIT behind them: where the first begins, the second, and what follows.
    let mut turned = Vec::new();
    let mut place = 0;
    while place < solid.places.len() {
        let start = place;
        place += 1;
        if !locks(start) {
            continue;
        }
        let is_limit = |place: usize| matches!(word(place).as_str(), "LIMIT" | "OFFSET" | "FETCH");
        let ends = |place: usize| matches!(token(place), Token::RParen | Token::EOF);
        while !is_limit(place) && !ends(place) {
            place += 1;
        }
        let limit = place;
        let mut open = 0_usize;
        while open > 0 || !ends(place) && !locks(place) {
            match token(place) {
                Token::EOF => break,
                Token::LParen => open += 1,
                Token::RParen => open -= 1,
                _ => {}
            }
            place += 1;
        }
        if limit < place {
            let end = solid.places.get(place).copied().unwrap_or(tokens.len());
            turned.push((solid.places[start], solid.places[limit], end));
        }
    }
    let mut tokens = tokens;
    for (start, limit, end) in turned {
        tokens[start..end].rotate_left(limit - start);
    }
    tokens
}

/// `FOR UPDATE OF a, b NOWAIT` as `FOR UPDATE OF a NOWAIT FOR UPDATE OF b NOWAIT`: sqlparser reads one table in each
/// clause.
pub fn one_each(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let solid = Solid::of(&tokens);
    let (word, token) = (|place| solid.word(place), |place| solid.token(place));
    // What stands in the place of a comma, by the comma's place: the end of one clause and the start of the next.
    let mut ends: HashMap<usize, Vec<TokenWithSpan>> = HashMap::new();
    for start in 0..solid.places.len() {
        if word(start) != "FOR"
            || !matches!(word(start + 1).as_str(), "UPDATE" | "SHARE")
            || word(start + 2) != "OF"
        {
            continue;
        }
        let (mut commas, mut place) = (Vec::new(), start + 3);
        while matches!(token(place), Token::Word(_)) {
            place += 1;
            while *token(place) == Token::Period && matches!(token(place + 1), Token::Word(_)) {
                place += 2;
            }
            if *token(place) != Token::Comma {
                break;
            }
            commas.push(solid.places[place]);
            place += 1;
        }
        let waiting = match word(place).as_str() {
            "NOWAIT" => place..place + 1,
            "SKIP" => place..place + 2,
            _ => place..place,
        };
        let copied = waiting.chain(start..start + 3).filter_map(|place| solid.places.get(place));
        let copied: Vec<TokenWithSpan> = copied.map(|&at| tokens[at].clone()).collect();
        ends.extend(commas.into_iter().map(|comma| (comma, copied.clone())));
    }
    if ends.is_empty() {
        return tokens;
    }
    let places = tokens.into_iter().enumerate();
    places.flat_map(|(place, token)| ends.remove(&place).unwrap_or_else(|| vec![token])).collect()
}

/// A planned SELECT that locks.
pub struct LockingPlan {
    pub columns: Arc<[OutputColumn]>,
    pub param_types: Vec<Type>,
    /// The columns, then the slot of each of `tables`.
    query: Arc<Query>,
    tables: Vec<(Oid, String)>,
    mode: Mode,
    waiting: Option<NonBlock>,
    /// LIMIT and OFFSET, where rows that are locked are passed over.
    limit: Option<Expr>,
    offset: Option<Expr>,
}

/// What became of the rows of one batch.
enum Locked {
    /// Which of them are locked now.
    Rows(BooleanArray),
    /// The query has to run again, on the snapshot that was taken meanwhile.
    Again,
}

impl LockingPlan {
    /// Of the columns it returns.
    pub fn schema(&self) -> SchemaRef {
        let columns: Vec<usize> = (0..self.columns.len()).collect();
        let projected = self.query.schema().project(&columns);
        Arc::new(projected.expect("the slots come after the columns"))
    }

    /// The query that finds the rows.
    pub fn query(&self) -> &Arc<Query> {
        &self.query
    }

    pub fn tables_read(&self) -> &[Oid] {
        self.query.tables()
    }

    pub fn new(query: &ast::Query, context: &PlanContext, shared: &Shared) -> Result<LockingPlan> {
        let mut query = query.clone();
        let locks = std::mem::take(&mut query.locks);
        let Some(first) = locks.first() else { return Err(Error::internal("a SELECT without locks")) };
        let (kind, waiting) = (first.lock_type, first.nonblock);
        let clause = format!("FOR {kind}");
        if locks.iter().any(|lock| lock.lock_type != kind || lock.nonblock != waiting) {
            return Err(Error::unsupported("several different locking clauses"));
        }
        let plain = query::plan(&query, context)?;
        refuse_shapes(&query, &plain, &clause)?;
        let (mut limit, mut offset) = (None, None);
        if waiting == Some(NonBlock::SkipLocked) {
            (limit, offset) = take_limit(&mut query)?;
        }
        spell_out_wildcards(&mut query, &plain);
        let SetExpr::Select(select) = query.body.as_mut() else {
            return Err(Error::internal("a shape that was refused"));
        };
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables).map(|c| fold(&c.alias.name));
        let ctes: Vec<String> = ctes.chain(context.staged.iter().map(|part| part.name.clone())).collect();
        let found = factors(&select.from);
        let found = found.into_iter().map(|factor| locked_table(factor, &ctes, context.catalog, shared));
        let found: Vec<Option<(Arc<Table>, String)>> = found.collect::<Result<_>>()?;
        let known = || found.iter().flatten();
        let wanted: Vec<String> =
            locks.iter().filter_map(|lock| lock.of.as_ref()).map(|name| object_name(name).name).collect();
        if let Some(missing) = wanted.iter().find(|name| known().all(|(_, alias)| alias != *name)) {
            let message = format!("relation \"{missing}\" in {clause} clause not found in FROM clause");
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
        }
        let mut aliases: Vec<&String> = known().map(|(_, alias)| alias).collect();
        aliases.sort_unstable();
        if let Some(twice) = aliases.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::unsupported(format!("{clause} with several tables called \"{}\"", twice[0])));
        }
        let is_wanted = |alias: &String| wanted.is_empty() || wanted.contains(alias);
        for (factor, found) in factors_mut(&mut select.from).into_iter().zip(&found) {
            if let Some((table, _)) = found.as_ref().filter(|(_, alias)| is_wanted(alias)) {
                system_columns::mark(factor, table, SystemColumns::Slot);
            }
        }
        let tables = known().filter(|(_, alias)| is_wanted(alias));
        let tables: Vec<(Oid, String)> = tables.map(|(table, alias)| (table.oid, alias.clone())).collect();
        for (number, (_, alias)) in tables.iter().enumerate() {
            let slot = Expr::CompoundIdentifier(vec![Ident::with_quote('"', alias), Ident::new(SLOT_COLUMN)]);
            let alias = Ident::new(format!("__lock_{number}"));
            select.projection.push(SelectItem::ExprWithAlias { expr: slot, alias });
        }
        let types: Vec<Option<Type>> = plain.param_types.iter().cloned().map(Some).collect();
        let context = PlanContext { param_types: &types, ..*context };
        let locking = query::plan(&query, &context)?;
        if locking.columns.len() != plain.columns.len() + tables.len() {
            return Err(Error::internal("a locking query with other columns"));
        }
        Ok(LockingPlan {
            columns: plain.columns.clone(),
            param_types: plain.param_types.clone(),
            query: Arc::new(locking),
            tables,
            mode: if kind == LockType::Update { Mode::Exclusive } else { Mode::Shared },
            waiting,
            limit,
            offset,
        })
    }
}

/// The table behind an item of FROM, with the name it has there.
fn locked_table(
    factor: &TableFactor,
    ctes: &[String],
    catalog: &Catalog,
    shared: &Shared,
) -> Result<Option<(Arc<Table>, String)>> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return Ok(None) };
    let read = object_name(name);
    if read.schema.is_none() && ctes.contains(&read.name) {
        return Ok(None);
    }
    match shared.relation(catalog, &read) {
        Some(Relation::Table(table) | Relation::Partition(table)) => {
            let alias = alias.as_ref().map_or_else(|| table.name.clone(), |alias| fold(&alias.name));
            Ok(Some((table, alias)))
        }
        Some(Relation::View(_)) => Err(Error::unsupported("locking the rows of a view")),
        _ => Ok(None),
    }
}

/// Results whose rows are not rows of tables.
fn refuse_shapes(query: &ast::Query, plain: &Query, clause: &str) -> Result<()> {
    let refused = |what: &str| {
        let message = format!("{clause} is not allowed with {what}");
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
    };
    let SetExpr::Select(select) = query.body.as_ref() else { return refused("UNION/INTERSECT/EXCEPT") };
    if select.distinct.is_some() {
        return refused("DISTINCT clause");
    }
    if !matches!(&select.group_by, GroupByExpr::Expressions(list, _) if list.is_empty()) {
        return refused("GROUP BY clause");
    }
    if select.having.is_some() {
        return refused("HAVING clause");
    }
    if plain.aggregates() {
        return refused("aggregate functions");
    }
    Ok(())
}

/// Takes LIMIT and OFFSET out of a query.
fn take_limit(query: &mut ast::Query) -> Result<(Option<Expr>, Option<Expr>)> {
    if query.fetch.is_some() {
        return Err(Error::unsupported("FETCH FIRST with SKIP LOCKED"));
    }
    match query.limit_clause.take() {
        None => Ok((None, None)),
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
            Ok((limit, offset.map(|offset| offset.value)))
        }
        Some(_) => Err(Error::unsupported("this form of LIMIT")),
    }
}

impl Session {
    pub(crate) async fn select_locking(
        &mut self,
        plan: &Arc<LockingPlan>,
        params: &[Value],
    ) -> Result<Response> {
        let limit = self.counted(plan.limit.as_ref(), params)?.unwrap_or(usize::MAX);
        let offset = self.counted(plan.offset.as_ref(), params)?.unwrap_or(0);
        let width = plan.columns.len();
        let mut waited = Waited::default();
        let changed = self.shared.large_objects_changed();
        let batches = 'run: loop {
            let mut batches: Vec<RecordBatch> = Vec::new();
            let (mut skip, mut left) = (offset, limit);
            let mut stream = self.query_stream(&plan.query, params).await?;
            while left > 0
                && let Some(batch) = stream.next().await
            {
                let mut batch = batch?;
                // One by one, when rows are passed over: no more may be locked than are returned.
                let step = if plan.waiting == Some(NonBlock::SkipLocked) && limit != usize::MAX {
                    1
                } else {
                    usize::MAX
                };
                while batch.num_rows() > 0 && left > 0 {
                    let rows = step.min(batch.num_rows());
                    let piece = batch.slice(0, rows);
                    batch = batch.slice(rows, batch.num_rows() - rows);
                    let kept = match self.lock_batch(plan, &piece, width, &mut waited).await? {
                        Locked::Rows(kept) => kept,
                        Locked::Again => {
                            drop(stream);
                            self.check_again(changed)?;
                            continue 'run;
                        }
                    };
                    let columns: Vec<usize> = (0..width).collect();
                    let kept =
                        arrow::compute::filter_record_batch(&piece, &kept).and_then(|b| b.project(&columns));
                    let mut kept = kept.map_err(crate::types::arrow::errors::from_arrow)?;
                    let skipped = skip.min(kept.num_rows());
                    skip -= skipped;
                    kept = kept.slice(skipped, kept.num_rows() - skipped);
                    let taken = left.min(kept.num_rows());
                    left = left.saturating_sub(taken);
                    batches.push(kept.slice(0, taken));
                }
            }
            break batches;
        };
        let stream = stream::iter(batches.into_iter().map(Ok)).boxed();
        Ok(Response::Rows(Rows::new(plan.columns.clone(), stream, RowsTag::Select)))
    }

    /// Locks the rows behind a batch.
    async fn lock_batch(
        &mut self,
        plan: &LockingPlan,
        batch: &RecordBatch,
        width: usize,
        waited: &mut Waited,
    ) -> Result<Locked> {
        let mut kept = vec![true; batch.num_rows()];
        for (number, (table, alias)) in plan.tables.iter().enumerate() {
            let column = batch.column(width + number);
            let Some(column) = column.as_primitive_opt::<UInt32Type>() else {
                return Err(Error::internal("slots of another type"));
            };
            let slot = |row: usize| column.is_valid(row).then(|| column.value(row));
            let mut slots: Vec<u32> =
                (0..batch.num_rows()).filter(|&row| kept[row]).filter_map(slot).collect();
            slots.sort_unstable();
            slots.dedup();
            if plan.waiting == Some(NonBlock::SkipLocked) {
                let (table, mode) = (*table, plan.mode);
                slots = self.retry(|transaction| transaction.lock_free_rows(table, &slots, mode)).await?;
                for (row, kept) in kept.iter_mut().enumerate() {
                    *kept &= slot(row).is_none_or(|slot| slots.binary_search(&slot).is_ok());
                }
            }
            match self.attempt(|transaction| transaction.lock_rows_as(*table, &slots, plan.mode)) {
                Ok(LockOutcome::Locked) => {}
                Ok(LockOutcome::Restart) => {
                    self.restart_statement()?;
                    return Ok(Locked::Again);
                }
                Err(Stop::Wait(_)) if plan.waiting == Some(NonBlock::Nowait) => {
                    let message = format!("could not obtain lock on row in relation \"{alias}\"");
                    return Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, message));
                }
                Err(Stop::Wait(waiter)) => {
                    self.wait(waiter, waited).await?;
                    self.start_statement()?;
                    return Ok(Locked::Again);
                }
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        Ok(Locked::Rows(BooleanArray::from(kept)))
    }

    /// The number LIMIT or OFFSET says: a literal or a parameter.
    fn counted(&self, expr: Option<&Expr>, params: &[Value]) -> Result<Option<usize>> {
        let Some(expr) = expr else { return Ok(None) };
        let value = match cells::literal(expr, Look::PLAIN)? {
            Some(Constant::Typed(value, _)) => value,
            Some(Constant::Null) => return Ok(None),
            Some(Constant::Unknown(text)) => crate::types::text::parse(&Type::Int8, &text)?,
            None => match expr {
                Expr::Value(found) => match &found.value {
                    ast::Value::Placeholder(name) => {
                        let number = name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
                        params.get(number.wrapping_sub(1)).cloned().unwrap_or(Value::Null)
                    }
                    _ => return Err(Error::unsupported("a computed LIMIT with SKIP LOCKED")),
                },
                _ => return Err(Error::unsupported("a computed LIMIT with SKIP LOCKED")),
            },
        };
        match crate::types::cast::cast(value, &Type::Int8, false)? {
            Value::Null => Ok(None),
            Value::Int8(number) => usize::try_from(number)
                .map(Some)
                .map_err(|_| Error::new(SqlState("2201W"), "LIMIT must not be negative")),
            _ => Err(Error::internal("a count that is no number")),
        }
    }
}
