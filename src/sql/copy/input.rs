//! COPY FROM: fields to values to batches.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use datafusion::sql::sqlparser::ast::Expr;

use crate::catalog::Table;
use crate::database::OnConflict;
use crate::error::{Error, Result, SqlState};
use crate::sql::copy::binary::BinaryDecoder;
use crate::sql::copy::csv::CsvDecoder;
use crate::sql::copy::fields::{Fields, bad_format, utf8};
use crate::sql::copy::options::Options;
use crate::sql::copy::text::TextDecoder;
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::insert::column_position;
use crate::sql::dml::rows::Checks;
use crate::sql::expressions::{self, Projection, Relation};
use crate::sql::response::{CopyFormat, CopyIn, Response};
use crate::sql::session::Session;
use crate::sql::statement::{CopyEncoding, CopyHeader, CopyOptions, Name};
use crate::types::{Type, Value, binary, text};

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
    checks: Checks,
    filter: Option<Projection>,
    options: Options,
    decoder: Decoder,
    fields: Fields,
    header_done: bool,
    batch: Vec<Vec<Value>>,
    /// Rows of a table that refers to itself, whose foreign keys are checked when all are there.
    unchecked: Vec<Vec<Value>>,
    /// Line of each row of the batch.
    lines: Vec<u64>,
    batch_bytes: usize,
    count: u64,
}

enum Decoder {
    Text(TextDecoder),
    Csv(CsvDecoder),
    Binary(BinaryDecoder),
}

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
        let (got, expected) = (self.fields.len(), self.columns.len());
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

    fn check_width(&self) -> Result<()> {
        let (got, expected) = (self.fields.len(), self.columns.len());
        if got == expected {
            return Ok(());
        }
        let error = if got > expected {
            bad_format("extra data after last expected column")
        } else {
            let column = &self.table.columns[self.columns[got]].name;
            bad_format(format!("missing data for column \"{column}\""))
        };
        Err(error.context(self.line_context()))
    }

    /// Puts the fields into a row.
    fn fill(&mut self, row: &mut [Value]) -> Result<()> {
        self.check_width()?;
        for (field, &column) in self.columns.iter().enumerate() {
            let ty = &self.table.columns[column].ty;
            let value = match self.fields.get(field) {
                None => Ok(Value::Null),
                Some(bytes) => match &self.decoder {
                    Decoder::Binary(_) => binary::receive(ty, bytes),
                    _ => utf8(bytes).and_then(|text| text::parse(ty, text)),
                },
            };
            row[column] = value.map_err(|error| error.context(self.column_context(field)))?;
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
    pub(super) fn copy_from(
        &mut self,
        name: &Name,
        columns: &[String],
        filter: Option<&Expr>,
        options: &CopyOptions,
    ) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        let table = self.shared.writable_table(&catalog, name)?;
        let columns = listed_columns(&table, columns)?;
        let names: Vec<String> = columns.iter().map(|&column| table.columns[column].name.clone()).collect();
        let options = Options::new(options, true, &names)?;
        let schemas = self.shared.schemas(&catalog);
        let context = self.plan_context(&catalog, &schemas);
        let missing = table.columns.iter().enumerate().filter(|(position, _)| !columns.contains(position));
        let defaults = missing
            .map(|(position, column)| Ok((position, DefaultValue::of(column, &context, &self.shared)?)));
        let filter = match filter {
            None => None,
            Some(condition) => {
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
        self.copy = Some(Box::new(CopyInState {
            defaults: defaults.collect::<Result<_>>()?,
            checks: Checks::of(&table, &context)?,
            header_done: options.header == CopyHeader::No,
            table,
            columns,
            filter,
            options,
            decoder,
            fields: Fields::default(),
            batch: Vec::new(),
            unchecked: Vec::new(),
            lines: Vec::new(),
            batch_bytes: 0,
            count: 0,
        }));
        Ok(Response::CopyIn(answer))
    }

    pub(super) async fn feed(&mut self, copy: &mut CopyInState, data: &[u8]) -> Result<()> {
        copy.decoder.push(data);
        self.take_rows(copy, false).await
    }

    /// The rest of the data; the number of rows.
    pub(super) async fn finish(&mut self, copy: &mut CopyInState) -> Result<u64> {
        self.take_rows(copy, true).await?;
        self.write_batch(copy).await?;
        let deferred = std::mem::take(&mut copy.unchecked);
        self.check_references(&copy.table, &deferred).await?;
        Ok(copy.count)
    }

    async fn take_rows(&mut self, copy: &mut CopyInState, last: bool) -> Result<()> {
        while copy.next_row(last)? {
            let mut row = vec![Value::Null; copy.table.columns.len()];
            copy.fill(&mut row)?;
            for (column, default) in &copy.defaults {
                let ty = &copy.table.columns[*column].ty;
                row[*column] = default.take(ty, &self.shared, &mut || self.plain_execution(&[], &[]))?;
            }
            let verified =
                copy.checks.verify(std::slice::from_ref(&row), &mut || self.plain_execution(&[], &[]));
            verified.map_err(|error| error.context(copy.line_context()))?;
            copy.batch_bytes += copy.fields.bytes.len();
            copy.batch.push(row);
            copy.lines.push(copy.decoder.line_number());
            if copy.batch.len() >= BATCH_ROWS || copy.batch_bytes >= BATCH_BYTES {
                self.write_batch(copy).await?;
            }
        }
        Ok(())
    }

    async fn write_batch(&mut self, copy: &mut CopyInState) -> Result<()> {
        self.cancel.check()?;
        copy.batch_bytes = 0;
        let mut rows = std::mem::take(&mut copy.batch);
        let lines = std::mem::take(&mut copy.lines);
        if let Some(filter) = &copy.filter {
            rows = self.filtered(filter, rows)?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        copy.count += rows.len() as u64;
        let table = copy.table.oid;
        let outcome = self.retry(|transaction| transaction.insert(table, &rows, OnConflict::Error)).await;
        let outcome = match outcome {
            Err(error) => Err(error),
            Ok(_) if copy.table.foreign_keys().any(|(_, key)| key.table == table) => {
                copy.unchecked.extend(rows.iter().cloned());
                Ok(())
            }
            Ok(_) => self.check_references(&copy.table, &rows).await,
        };
        outcome.map_err(|error| {
            let line = self.line_of_duplicate(&copy.table, &error, &rows, &lines);
            error.context(match line {
                Some(line) => format!("COPY {}, line {line}", copy.table.name),
                None => format!("COPY {}", copy.table.name),
            })
        })
    }

    fn filtered(&self, filter: &Projection, rows: Vec<Vec<Value>>) -> Result<Vec<Vec<Value>>> {
        let batch = expressions::batch(filter.input(), &rows)?;
        let arrays = filter.evaluate(&batch, self.plain_execution(&[], &[])?)?;
        let truths = arrays[0].as_boolean();
        let passes = |position: usize| truths.is_valid(position) && truths.value(position);
        Ok(rows
            .into_iter()
            .enumerate()
            .filter(|(position, _)| passes(*position))
            .map(|(_, row)| row)
            .collect())
    }

    /// The line a 23505 is about: the row whose key the error names, the second one if the batch holds it twice.
    fn line_of_duplicate(
        &self,
        table: &Table,
        error: &Error,
        rows: &[Vec<Value>],
        lines: &[u64],
    ) -> Option<u64> {
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

/// Positions of the columns a COPY lists; all when it lists none. GENERATED ALWAYS does not keep COPY out, as in
/// PostgreSQL.
pub fn listed_columns(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let mut positions = Vec::with_capacity(names.len());
    for name in names {
        let position = column_position(table, name)?;
        if positions.contains(&position) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        positions.push(position);
    }
    Ok(positions)
}
