//! COPY FROM: fields to values to batches.
//!
//! ```text
//!   this task           | decode batch 1 | decode batch 2 | decode batch 3 |
//!   a blocking thread                    | write batch 1  | write batch 2  | write batch 3 |
//! ```
//!
//! While a batch is written its thread has the transaction, and the session has none; [`Session::settle`] waits for the
//! batch and takes the transaction back. Tables whose rows need the session to be made (defaults, CHECK, WHERE, foreign keys) are
//! written batch by batch instead.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use datafusion::sql::sqlparser::ast::Expr;
use tokio::task::JoinHandle;

use crate::catalog::{Column, Oid, Table};
use crate::database::{OnConflict, Stop, Transaction};
use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::binary::received;
use crate::locks::Waiter;
use crate::sql::copy::binary::BinaryDecoder;
use crate::sql::copy::csv::CsvDecoder;
use crate::sql::copy::fields::{Fields, bad_format};
use crate::sql::copy::options::Options;
use crate::sql::copy::text::TextDecoder;
use crate::sql::ddl::columns_of;
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::insert::column_position;
use crate::sql::dml::parts::Unchecked;
use crate::sql::dml::rows::Checks;
use crate::sql::expressions::{self, Projection, Relation};
use crate::sql::response::{CopyFormat, CopyIn, Response, Severity};
use crate::sql::session::Session;
use crate::sql::statement::{CopyEncoding, CopyHeader, CopyOptions, Name, OnError};
use crate::sql::transactions::Waited;
use crate::types::{Look, Type, Value, binary, text};

/// A batch goes to the core when it holds so many rows, or rows of so many bytes: large enough that a call's own cost
/// does not count, small enough to stay in the processor's cache.
const BATCH_ROWS: usize = 1_024;
const BATCH_BYTES: usize = 1 << 20;
/// Bytes of data that an error's context shows, as in PostgreSQL.
const SHOWN_BYTES_MAX: usize = 100;

/// A COPY FROM under way.
pub struct CopyInState {
    table: Arc<Table>,
    /// Per field: the column's position.
    columns: Vec<usize>,
    /// Of the columns that no field fills.
    defaults: Vec<(usize, DefaultValue)>,
    /// The positions of the columns whose domains are asked ahead of all else, for WHERE or ON_ERROR: those that have their
    /// values before others are computed from them.
    asked_first: Vec<usize>,
    checks: Checks,
    filter: Option<Projection>,
    options: Options,
    decoder: Decoder,
    fields: Fields,
    header_done: bool,
    batch: Batch,
    /// What foreign keys are to be asked about when all rows are there.
    unchecked: Unchecked,
    writing: Option<Writing>,
    batch_bytes: usize,
    count: u64,
    /// That timestamps are read in.
    look: Look,
    /// Of each field's column, where the option DEFAULT is given.
    field_defaults: Vec<DefaultValue>,
    /// Rows that ON_ERROR left out.
    skipped: u64,
    /// In another encoding: what has come of a line that has not ended.
    line: Vec<u8>,
}

/// Rows to write together.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<Vec<Value>>,
    /// Line of each row.
    lines: Vec<u64>,
}

/// A batch on its way into the transaction, which is with it.
struct Writing {
    batch: Arc<Batch>,
    task: JoinHandle<(Transaction, Result<(), Stop>)>,
}

enum Decoder {
    Text(TextDecoder),
    Csv(CsvDecoder),
    Binary(BinaryDecoder),
}

/// A field that is no value of its column.
struct BadField(usize);

impl Decoder {
    fn push(&mut self, data: &[u8]) {
        match self {
            Decoder::Text(decoder) => decoder.pending.push(data),
            Decoder::Csv(decoder) => decoder.pending.push(data),
            Decoder::Binary(decoder) => decoder.pending.push(data),
        }
    }

    fn next(
        &mut self,
        options: &Options,
        columns: usize,
        fields: &mut Fields,
        last: bool,
    ) -> Result<Option<()>> {
        match self {
            Decoder::Text(decoder) => decoder.next(options, fields, last),
            Decoder::Csv(decoder) => decoder.next(options, fields, last),
            Decoder::Binary(decoder) => decoder.next(columns, fields, last),
        }
    }

    fn line_number(&self) -> u64 {
        match self {
            Decoder::Text(decoder) => decoder.line_number,
            Decoder::Csv(decoder) => decoder.line_number,
            Decoder::Binary(decoder) => decoder.line_number,
        }
    }

    /// The line last read; nothing for binary rows.
    fn line(&self) -> Option<&[u8]> {
        match self {
            Decoder::Text(decoder) => Some(decoder.pending.get(decoder.line.clone())),
            Decoder::Csv(decoder) => Some(decoder.pending.get(decoder.line.clone())),
            Decoder::Binary(_) => None,
        }
    }
}

impl CopyInState {
    /// `COPY t, line 3`
    pub fn context(&self) -> String {
        format!("COPY {}, line {}", self.table.name, self.decoder.line_number())
    }

    /// Takes data that has come. What ends a line is that byte alone in all encodings, so that whole lines can be converted.
    fn push(&mut self, data: &[u8]) -> Result<()> {
        if self.options.encoding.is_ours() || self.options.format == CopyEncoding::Binary {
            self.decoder.push(data);
            return Ok(());
        }
        let whole = data.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        if whole > 0 {
            self.line.extend_from_slice(&data[..whole]);
            self.push_rest()?;
        }
        self.line.extend_from_slice(&data[whole..]);
        Ok(())
    }

    /// Takes what is left without an end of line.
    fn push_rest(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = self.options.encoding.decode(&line).map_err(|error| error.context(self.context()))?;
        self.decoder.push(text.as_bytes());
        Ok(())
    }

    /// `COPY t, line 3: "1,x"`
    fn line_context(&self) -> String {
        match self.decoder.line() {
            Some(line) => format!("{}: \"{}\"", self.context(), shown(line)),
            None => self.context(),
        }
    }

    /// `COPY t, line 3, column v: "x"`
    fn column_context(&self, field: usize) -> String {
        let column = &self.table.columns[self.columns[field]].name;
        match (self.fields.get(field), &self.decoder) {
            (_, Decoder::Binary(_)) => format!("{}, column {column}", self.context()),
            (Some(value), _) => format!("{}, column {column}: \"{}\"", self.context(), shown(value)),
            (None, _) => format!("{}, column {column}: null input", self.context()),
        }
    }

    /// The next row's values, `None` when there is none yet.
    fn next_row(&mut self, last: bool) -> Result<bool> {
        loop {
            let next = self.decoder.next(&self.options, self.columns.len(), &mut self.fields, last);
            if next.map_err(|error| error.context(self.context()))?.is_none() {
                return Ok(false);
            }
            if self.header_done {
                return Ok(true);
            }
            self.header_done = true;
            if self.options.header == CopyHeader::Match {
                self.check_header().map_err(|error| error.context(self.line_context()))?;
            }
        }
    }

    fn check_header(&self) -> Result<()> {
        let got = if self.is_row_of_none() { 0 } else { self.fields.len() };
        let expected = self.columns.len();
        if got != expected {
            return Err(bad_format(format!(
                "wrong number of fields in header line: got {got}, expected {expected}"
            )));
        }
        for (field, &column) in self.columns.iter().enumerate() {
            let expected = &self.table.columns[column].name;
            let got = self.fields.get(field).map(String::from_utf8_lossy);
            if got.as_deref() != Some(expected.as_str()) {
                let got = got.map_or("null value".to_string(), |got| format!("\"{got}\""));
                let message = format!(
                    "column name mismatch in header line field {}: got {got}, expected \"{expected}\"",
                    field + 1
                );
                return Err(bad_format(message));
            }
        }
        Ok(())
    }

    /// Of a table without columns a row, or a header, is an empty line.
    fn is_row_of_none(&self) -> bool {
        self.columns.is_empty() && self.decoder.line().is_some_and(<[u8]>::is_empty)
    }

    /// Whether making rows takes the session's transaction.
    fn needs_session(&self) -> bool {
        !self.defaults.is_empty()
            || !self.field_defaults.is_empty()
            || self.checks.have_expressions()
            || self.filter.is_some()
            || self.table.foreign_keys().next().is_some()
    }

    /// Puts the fields into a row. A field too many is told first, one that is missing in its turn. Of one that is no value
    /// of its column, ON_ERROR may want no more than to know which.
    fn fill(&mut self, row: &mut [Value]) -> Result<Option<BadField>> {
        let count = self.fields.len();
        if count > self.columns.len() && !self.is_row_of_none() {
            let error = bad_format("extra data after last expected column");
            return Err(error.context(self.line_context()));
        }
        for (field, &column) in self.columns.iter().enumerate() {
            if field == count {
                let name = &self.table.columns[column].name;
                let error = bad_format(format!("missing data for column \"{name}\""));
                return Err(error.context(self.line_context()));
            }
            let ty = &self.table.columns[column].ty;
            let value = match self.fields.get(field) {
                None => Ok(Value::Null),
                Some(bytes) => match &self.decoder {
                    Decoder::Binary(_) => received(ty, bytes, self.options.encoding)
                        .and_then(|bytes| binary::receive(ty, &bytes)),
                    _ => {
                        // What is no text is an error whatever ON_ERROR says.
                        let text = binary::utf8(bytes);
                        let text = text.map_err(|error| error.context(self.column_context(field)))?;
                        text::parse_as(ty, text, self.look)
                    }
                },
            };
            row[column] = match value {
                Ok(value) => value,
                Err(_) if self.options.on_error == OnError::Ignore => return Ok(Some(BadField(field))),
                Err(error) => return Err(error.context(self.column_context(field))),
            };
        }
        Ok(None)
    }

    /// Puts the defaults of columns where the data says so.
    fn fill_defaults(&self, row: &mut [Value], session: &Session) -> Result<()> {
        for (field, default) in self.field_defaults.iter().enumerate() {
            if !self.fields.is_default(field) {
                continue;
            }
            let column = &self.table.columns[self.columns[field]];
            if matches!(default, DefaultValue::Constant(Value::Null)) && column.default.is_none() {
                let error = bad_format("unexpected default marker in COPY data")
                    .detail(format!("Column \"{}\" has no default value.", column.name));
                return Err(error.context(self.line_context()));
            }
            let mut execution = || session.plain_execution(&[], &[]);
            row[self.columns[field]] = default.take(&column.ty, &session.shared, &mut execution)?;
        }
        Ok(())
    }
}

fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN_BYTES_MAX {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    format!("{}...", String::from_utf8_lossy(&bytes[..SHOWN_BYTES_MAX]).trim_end_matches('\u{fffd}'))
}

impl Session {
    pub(super) async fn copy_from(
        &mut self,
        name: &Name,
        columns: &[String],
        filter: Option<&Expr>,
        options: &CopyOptions,
    ) -> Result<Response> {
        if let Some(view) = self.shared.view(&self.shared.current_catalog(), name) {
            let message = format!("cannot copy to view \"{}\"", view.name);
            let hint = "To enable copying to a view, provide an INSTEAD OF INSERT trigger.";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).hint(hint));
        }
        let table = self.shared.writable_table(&self.shared.current_catalog(), name)?;
        // What rows must satisfy stays as it is from here on.
        self.retry(|transaction| transaction.share_table(table.oid)).await?;
        let catalog = self.shared.current_catalog();
        let table = self.shared.writable_table(&catalog, name)?;
        let columns = listed_columns(&table, columns)?;
        let names: Vec<String> = columns.iter().map(|&column| table.columns[column].name.clone()).collect();
        let options = Options::new(options, true, &names, self.shared.encoding())?;
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        let missing = table.columns.iter().enumerate();
        let missing = missing.filter(|(position, c)| !columns.contains(position) && c.generated.is_none());
        let defaults = missing
            .map(|(position, column)| Ok((position, DefaultValue::of(column, &context, &self.shared)?)));
        let field_defaults = match &options.default {
            None => Vec::new(),
            Some(_) => columns
                .iter()
                .map(|&position| DefaultValue::of(&table.columns[position], &context, &self.shared))
                .collect::<Result<_>>()?,
        };
        let filter = match filter {
            None => None,
            Some(condition) => {
                refuse_generated(condition, &table)?;
                let items = expressions::items([condition.clone()]);
                let relations = [Relation { alias: &table.name, table: &table }];
                Some(expressions::compile(&context, &relations, &items, &[Type::Bool])?)
            }
        };
        let (format, decoder) = match options.format {
            CopyEncoding::Text => (CopyFormat::Text, Decoder::Text(TextDecoder::default())),
            CopyEncoding::Csv => (CopyFormat::Text, Decoder::Csv(CsvDecoder::default())),
            CopyEncoding::Binary => (CopyFormat::Binary, Decoder::Binary(BinaryDecoder::default())),
        };
        let answer = CopyIn { format, columns: columns.len() };
        let defaults: Vec<(usize, DefaultValue)> = defaults.collect::<Result<_>>()?;
        self.copy = Some(Box::new(CopyInState {
            asked_first: match filter.is_some() || options.on_error == OnError::Ignore {
                true => columns.iter().copied().chain(defaults.iter().map(|(column, _)| *column)).collect(),
                false => Vec::new(),
            },
            defaults,
            checks: Checks::of(&table, &context)?,
            header_done: options.header == CopyHeader::No,
            unchecked: Unchecked::of(&table),
            table,
            columns,
            filter,
            options,
            decoder,
            fields: Fields::default(),
            batch: Batch::default(),
            writing: None,
            batch_bytes: 0,
            count: 0,
            look: self.shared.look(),
            field_defaults,
            skipped: 0,
            line: Vec::new(),
        }));
        Ok(Response::CopyIn(answer))
    }

    pub(super) async fn feed(&mut self, copy: &mut CopyInState, data: &[u8]) -> Result<()> {
        match self.take_rows(copy, Some(data)).await {
            Ok(()) => Ok(()),
            // Earlier rows' errors come first, and the transaction must be back before it can be aborted.
            Err(error) => self.settle(copy).await.and(Err(error)),
        }
    }

    /// The rest of the data; the number of rows.
    pub(super) async fn finish(&mut self, copy: &mut CopyInState) -> Result<u64> {
        let taken = match self.take_rows(copy, None).await {
            Ok(()) => self.write_batch(copy).await,
            Err(error) => Err(error),
        };
        self.settle(copy).await.and(taken)?;
        self.check_kept(&copy.table, &mut copy.unchecked).await?;
        if copy.skipped > 0 {
            let rows = if copy.skipped == 1 { "row was" } else { "rows were" };
            let message = format!("{} {rows} skipped due to data type incompatibility", copy.skipped);
            self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
        }
        Ok(copy.count)
    }

    /// The rows that `data` completes; without more data, the last ones.
    async fn take_rows(&mut self, copy: &mut CopyInState, data: Option<&[u8]>) -> Result<()> {
        match data {
            Some(data) => copy.push(data)?,
            None => copy.push_rest()?,
        }
        while copy.next_row(data.is_none())? {
            let mut row = vec![Value::Null; copy.table.columns.len()];
            if let Some(BadField(field)) = copy.fill(&mut row)? {
                self.skip_row(copy, field);
                continue;
            }
            copy.fill_defaults(&mut row, self)?;
            for (column, default) in &copy.defaults {
                let ty = &copy.table.columns[*column].ty;
                row[*column] = default.take(ty, &self.shared, &mut || self.plain_execution(&[], &[]))?;
            }
            let execution = &mut || self.plain_execution(&[], &[]);
            if let Some((column, error)) = copy.checks.outside_domain(&row, &copy.asked_first, execution)? {
                match copy.columns.iter().position(|given| *given == column) {
                    Some(field) if copy.options.on_error == OnError::Ignore => {
                        self.skip_row(copy, field);
                        continue;
                    }
                    _ => return Err(error.context(copy.line_context())),
                }
            }
            let verified = if copy.filter.is_none() { self.verify(copy, &mut row) } else { Ok(()) };
            verified.map_err(|error| error.context(copy.line_context()))?;
            copy.batch_bytes += copy.fields.bytes.len();
            copy.batch.rows.push(row);
            copy.batch.lines.push(copy.decoder.line_number());
            if copy.batch.rows.len() >= BATCH_ROWS || copy.batch_bytes >= BATCH_BYTES {
                self.write_batch(copy).await?;
            }
        }
        Ok(())
    }

    /// ON_ERROR leaves the row out.
    fn skip_row(&mut self, copy: &mut CopyInState, field: usize) {
        copy.skipped += 1;
        if !copy.options.is_verbose {
            return;
        }
        let column = &copy.table.columns[copy.columns[field]].name;
        let what = match copy.fields.get(field) {
            Some(value) => format!("\"{}\"", shown(value)),
            None => "null input".to_owned(),
        };
        let line = copy.decoder.line_number();
        let message = format!(
            "skipping row due to data type incompatibility at line {line} for column \"{column}\": {what}"
        );
        let context = format!("COPY {}", copy.table.name);
        self.notice(Severity::Notice, Error::new(SqlState("00000"), message).context(context));
    }

    async fn write_batch(&mut self, copy: &mut CopyInState) -> Result<()> {
        self.settle(copy).await?;
        self.cancel.check()?;
        copy.batch_bytes = 0;
        let mut batch = std::mem::take(&mut copy.batch);
        if let Some(filter) = &copy.filter {
            batch = self.filtered(filter, batch)?;
            // Rows that WHERE leaves out may break any constraint.
            for (row, line) in batch.rows.iter_mut().zip(&batch.lines) {
                let context = || format!("COPY {}, line {line}", copy.table.name);
                self.verify(copy, row).map_err(|error| error.context(context()))?;
            }
        }
        if batch.rows.is_empty() {
            return Ok(());
        }
        let hidden = copy.checks.add_hidden(&mut batch.rows, &mut || self.plain_execution(&[], &[]));
        hidden.map_err(|error| error.context(format!("COPY {}", copy.table.name)))?;
        copy.count += batch.rows.len() as u64;
        let taken = self.shared.transaction.lock().take();
        let Some(mut transaction) = taken else {
            return Err(Error::internal("a statement runs outside a transaction"));
        };
        let (table, batch) = (copy.table.oid, Arc::new(batch));
        let rows = Arc::clone(&batch);
        let task = tokio::task::spawn_blocking(move || {
            let outcome = transaction.insert(table, &rows.rows, OnConflict::Error).map(drop);
            (transaction, outcome)
        });
        copy.writing = Some(Writing { batch, task });
        match copy.needs_session() {
            true => self.settle(copy).await,
            false => Ok(()),
        }
    }

    /// Waits for the batch that is being written, if one is.
    pub(super) async fn settle(&mut self, copy: &mut CopyInState) -> Result<()> {
        let Some((batch, outcome)) = self.take_back(copy).await? else { return Ok(()) };
        let outcome = match outcome {
            Ok(()) => Ok(()),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Wait(waiter)) => self.insert_after(waiter, copy.table.oid, &batch).await,
        };
        let outcome = match outcome {
            Err(error) => Err(error),
            Ok(()) => self.check_inserted(&copy.table, batch.rows.iter(), &mut copy.unchecked).await,
        };
        outcome.map_err(|error| {
            let line = self.line_of_duplicate(&copy.table, &error, &batch);
            error.context(match line {
                Some(line) => format!("COPY {}, line {line}", copy.table.name),
                None => format!("COPY {}", copy.table.name),
            })
        })
    }

    /// Waits for the batch's thread, and takes the transaction back. If the thread panicked there is none any more.
    pub(super) async fn take_back(
        &mut self,
        copy: &mut CopyInState,
    ) -> Result<Option<(Arc<Batch>, Result<(), Stop>)>> {
        let Some(Writing { batch, task }) = copy.writing.take() else { return Ok(None) };
        match task.await {
            Ok((transaction, outcome)) => {
                *self.shared.transaction.lock() = Some(transaction);
                Ok(Some((batch, outcome)))
            }
            Err(error) => {
                self.abandon();
                Err(Error::internal(format!("writing a batch failed: {error}")))
            }
        }
    }

    async fn insert_after(&mut self, waiter: Waiter, table: Oid, batch: &Batch) -> Result<()> {
        self.wait(waiter, &mut Waited::default()).await?;
        self.start_statement()?;
        self.retry(|transaction| transaction.insert(table, &batch.rows, OnConflict::Error).map(drop)).await
    }

    fn verify(&self, copy: &CopyInState, row: &mut Vec<Value>) -> Result<()> {
        copy.checks.verify_visible(std::slice::from_mut(row), &mut || self.plain_execution(&[], &[]))
    }

    /// The rows that pass WHERE, with their lines.
    fn filtered(&self, filter: &Projection, Batch { rows, lines }: Batch) -> Result<Batch> {
        let batch = expressions::batch(filter.input(), &rows)?;
        let arrays = filter.evaluate(&batch, self.plain_execution(&[], &[])?)?;
        let truths = arrays[0].as_boolean();
        let passes = |position: usize| truths.is_valid(position) && truths.value(position);
        let kept = rows.into_iter().zip(lines).enumerate().filter(|(position, _)| passes(*position));
        let (rows, lines) = kept.map(|(_, row)| row).unzip();
        Ok(Batch { rows, lines })
    }

    /// The line a 23505 is about: the row whose key the error names, the second one if the batch holds it twice.
    fn line_of_duplicate(&self, table: &Table, error: &Error, Batch { rows, lines }: &Batch) -> Option<u64> {
        if error.state() != SqlState::UNIQUE_VIOLATION || lines.len() != rows.len() {
            return None;
        }
        let name = error.fields().constraint.as_deref()?;
        let catalog = self.shared.current_catalog();
        let index = catalog.indexes_of(table.oid).find(|index| index.name == name)?;
        let detail = error.fields().detail.as_deref()?;
        let key = |row: &Vec<Value>| {
            let positions = index.columns.iter().filter_map(|&number| table.position(number));
            let cells = positions.map(|position| text::to_string(&row[position]));
            format!("=({}) ", cells.collect::<Vec<_>>().join(", "))
        };
        let mut found = rows.iter().zip(lines).filter(|(row, _)| detail.contains(&key(row)));
        let first = found.next().map(|(_, line)| *line)?;
        Some(found.next().map_or(first, |(_, line)| *line))
    }
}

/// Positions of the columns a COPY lists; all but generated ones when it lists none. GENERATED ALWAYS AS IDENTITY does not keep COPY out, as in
/// PostgreSQL.
pub fn listed_columns(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        let given = table.columns.iter().enumerate().filter(|(_, column)| column.generated.is_none());
        return Ok(given.map(|(position, _)| position).collect());
    }
    let mut positions = Vec::with_capacity(names.len());
    for name in names {
        let position = column_position(table, name)?;
        if positions.contains(&position) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        if table.columns[position].generated.is_some() {
            let message = format!("column \"{name}\" is a generated column");
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
                .detail("Generated columns cannot be used in COPY."));
        }
        positions.push(position);
    }
    Ok(positions)
}

/// 42P10 for columns that are computed once the row is known to be wanted.
fn refuse_generated(condition: &Expr, table: &Table) -> Result<()> {
    let named = columns_of(&condition.to_string(), table)?;
    let mut named = named.iter().filter_map(|&number| table.column_number(number));
    match named.find(|column| column.generated.is_some()) {
        None => Ok(()),
        Some(Column { name, .. }) => {
            let message = "generated columns are not supported in COPY FROM WHERE conditions";
            Err(Error::new(SqlState("42P10"), message)
                .detail(format!("Column \"{name}\" is a generated column.")))
        }
    }
}
