//! COPY TO: rows as text, CSV or binary, one message per row.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use futures::stream::{Stream, StreamExt};

use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::binary::send_from;
use crate::sql::cancel::Timer;
use crate::sql::copy::binary::SIGNATURE;
use crate::sql::copy::input::listed_columns;
use crate::sql::copy::options::Options;
use crate::sql::dialect;
use crate::sql::response::{CopyChunk, CopyFormat, CopyOut, Response, Rows};
use crate::sql::session::{Declared, OutputColumn, Session};
use crate::sql::statement::{Ast, CopyEncoding, CopyHeader, CopyOptions, Name, Statement};
use crate::types::arrow::value_at;
use crate::types::{Look, Value, binary, cast, text};

impl Session {
    /// The query for the rows of a table.
    pub(super) fn rows_of_table(&self, name: &Name, columns: &[String]) -> Result<Ast> {
        let catalog = self.shared.current_catalog();
        if let Some(view) = self.shared.view(&catalog, name) {
            let message = format!("cannot copy from view \"{}\"", view.name);
            let hint = "Try the COPY (SELECT ...) TO variant.";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).hint(hint));
        }
        let table = self.shared.rows_of(&catalog, name)?;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let positions = listed_columns(&table, columns)?;
        let list: Vec<String> = positions.iter().map(|&column| quoted(&table.columns[column].name)).collect();
        let sql =
            format!("SELECT {} FROM {}.{}", list.join(", "), quoted(&table.schema), quoted(&table.name));
        dialect::parse_query(&sql).map(Ast::Query)
    }

    /// COPY of a query's rows, or of those that a change returns.
    pub(super) async fn copy_rows_to(
        &mut self,
        statement: Statement,
        options: &CopyOptions,
        timer: Option<Timer>,
    ) -> Result<Response> {
        let prepared = self.plan(Some(statement), Declared::default())?;
        if !prepared.param_types.is_empty() {
            return Err(Error::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1"));
        }
        let Some(columns) = prepared.columns.clone() else {
            let message = "COPY query must have a RETURNING clause";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        };
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let options = Options::new(options, false, &names, self.shared.encoding())?;
        let format = match options.format {
            CopyEncoding::Binary => CopyFormat::Binary,
            CopyEncoding::Text | CopyEncoding::Csv => CopyFormat::Text,
        };
        let Response::Rows(input) = self.execute_planned(&prepared, Vec::new(), timer).await? else {
            return Err(Error::internal("COPY of a statement without rows"));
        };
        let (count, rows) = (columns.len(), Arc::new(AtomicU64::new(0)));
        let encoder = Encoder { columns, options, look: self.shared.look() };
        let stream = Encoded { input, encoder, rows: rows.clone(), begun: false, ended: false };
        Ok(Response::CopyOut(CopyOut::new(format, count, stream.boxed(), rows)))
    }
}

/// Batches of rows as batches of messages.
struct Encoded {
    input: Rows,
    encoder: Encoder,
    rows: Arc<AtomicU64>,
    begun: bool,
    ended: bool,
}

impl Stream for Encoded {
    type Item = Result<CopyChunk>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let batch = match self.input.poll_next_unpin(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(batch) => batch,
        };
        let mut out = Messages::default();
        if !std::mem::replace(&mut self.begun, true)
            && let Err(error) = self.encoder.begin(&mut out)
        {
            self.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        match batch {
            Some(Ok(batch)) => {
                self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                Poll::Ready(Some(self.encoder.batch(&batch, &mut out).map(|()| out.finish())))
            }
            Some(Err(error)) => {
                self.ended = true;
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.ended = true;
                self.encoder.end(&mut out);
                Poll::Ready(Some(Ok(out.finish())))
            }
        }
    }
}

#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Messages {
    fn end_message(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    fn finish(self) -> CopyChunk {
        CopyChunk { bytes: self.bytes.into(), ends: self.ends }
    }
}

struct Encoder {
    columns: Arc<[OutputColumn]>,
    options: Options,
    /// That timestamps are shown in.
    look: Look,
}

impl Encoder {
    /// The binary header has no message of its own: drivers expect it in front of the first row.
    fn begin(&self, out: &mut Messages) -> Result<()> {
        if self.options.format == CopyEncoding::Binary {
            out.bytes.extend_from_slice(SIGNATURE);
            out.bytes.extend_from_slice(&[0; 8]);
        } else if self.options.header == CopyHeader::Yes {
            for (position, column) in self.columns.iter().enumerate() {
                self.separate(position, &mut out.bytes);
                self.cell(column.name.as_bytes(), position, false, &mut out.bytes);
            }
            out.bytes.push(b'\n');
            self.options.encoding.encode_from(&mut out.bytes, 0)?;
            out.end_message();
        }
        Ok(())
    }

    fn end(&self, out: &mut Messages) {
        if self.options.format == CopyEncoding::Binary {
            out.bytes.extend_from_slice(&(-1i16).to_be_bytes());
            out.end_message();
        }
    }

    fn batch(&self, batch: &RecordBatch, out: &mut Messages) -> Result<()> {
        let mut scratch = Vec::new();
        for row in 0..batch.num_rows() {
            if self.options.format == CopyEncoding::Binary {
                self.binary_row(batch, row, out)?;
            } else {
                let start = out.bytes.len();
                self.text_row(batch, row, &mut scratch, out)?;
                self.options.encoding.encode_from(&mut out.bytes, start)?;
            }
            out.end_message();
        }
        Ok(())
    }

    fn binary_row(&self, batch: &RecordBatch, row: usize, out: &mut Messages) -> Result<()> {
        out.bytes.extend_from_slice(&(self.columns.len() as i16).to_be_bytes());
        for (position, column) in self.columns.iter().enumerate() {
            let value = value_at(batch.column(position), row, &column.ty)?;
            if value == Value::Null {
                out.bytes.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            }
            let start = out.bytes.len();
            out.bytes.extend_from_slice(&[0; 4]);
            binary::send(&value, &column.ty, &mut out.bytes);
            send_from(&column.ty, &mut out.bytes, start + 4, self.options.encoding)?;
            let length = (out.bytes.len() - start - 4) as i32;
            out.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn text_row(
        &self,
        batch: &RecordBatch,
        row: usize,
        scratch: &mut Vec<u8>,
        out: &mut Messages,
    ) -> Result<()> {
        for (position, column) in self.columns.iter().enumerate() {
            self.separate(position, &mut out.bytes);
            let value = value_at(batch.column(position), row, &column.ty)?;
            if value == Value::Null {
                out.bytes.extend_from_slice(self.options.null.as_bytes());
                continue;
            }
            scratch.clear();
            text::print_as(&cast::filled(value, &column.ty), self.look, scratch);
            self.cell(scratch, position, self.options.force_quote[position], &mut out.bytes);
        }
        out.bytes.push(b'\n');
        Ok(())
    }

    fn separate(&self, position: usize, out: &mut Vec<u8>) {
        if position > 0 {
            out.push(self.options.delimiter);
        }
    }

    fn cell(&self, cell: &[u8], position: usize, force_quote: bool, out: &mut Vec<u8>) {
        match self.options.format {
            CopyEncoding::Csv => self.csv_cell(cell, position, force_quote, out),
            _ => self.text_cell(cell, out),
        }
    }

    fn text_cell(&self, cell: &[u8], out: &mut Vec<u8>) {
        for &byte in cell {
            let code = match byte {
                8 => b'b',
                12 => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                11 => b'v',
                b'\\' => b'\\',
                byte if byte == self.options.delimiter => byte,
                byte => {
                    out.push(byte);
                    continue;
                }
            };
            out.extend_from_slice(&[b'\\', code]);
        }
    }

    fn csv_cell(&self, cell: &[u8], position: usize, force_quote: bool, out: &mut Vec<u8>) {
        let options = &self.options;
        let special =
            |byte: &u8| *byte == options.delimiter || *byte == options.quote || matches!(byte, b'\n' | b'\r');
        let alone = position == 0 && self.columns.len() == 1;
        let quoted = force_quote
            || cell == options.null.as_bytes()
            || cell.iter().any(special)
            || (alone && cell == b"\\.");
        if !quoted {
            out.extend_from_slice(cell);
            return;
        }
        out.push(options.quote);
        for &byte in cell {
            if byte == options.quote || byte == options.escape {
                out.push(options.escape);
            }
            out.push(byte);
        }
        out.push(options.quote);
    }
}
