//! COPY's options with their defaults, checked.

use crate::error::{Error, Result, SqlState};
use crate::functions::encodings::Encoding;
use crate::sql::statement::{CopyEncoding, CopyHeader, CopyOptions, ForcedColumns, OnError};

/// What a COPY works with.
#[derive(Clone, Debug)]
pub struct Options {
    pub format: CopyEncoding,
    pub delimiter: u8,
    pub null: String,
    /// What stands for a column's default.
    pub default: Option<String>,
    pub header: CopyHeader,
    pub quote: u8,
    pub escape: u8,
    /// Per column of the COPY.
    pub force_quote: Vec<bool>,
    pub force_not_null: Vec<bool>,
    pub force_null: Vec<bool>,
    /// What the data is in.
    pub encoding: Encoding,
    pub on_error: OnError,
    /// Whether each row that is skipped is told.
    pub is_verbose: bool,
}

impl Options {
    /// `columns` are the names of the columns that are copied, `client` is the encoding where none is given.
    pub fn new(given: &CopyOptions, from: bool, columns: &[String], client: Encoding) -> Result<Options> {
        let csv = given.format == CopyEncoding::Csv;
        if given.format == CopyEncoding::Binary {
            refuse_in_binary(given)?;
        }
        if !csv {
            refuse_outside_csv(given)?;
        }
        if !from && given.default.is_some() {
            return Err(unsupported("COPY DEFAULT cannot be used with COPY TO"));
        }
        if !from && given.on_error.is_some() {
            let message = "COPY ON_ERROR cannot be used with COPY TO";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        if from && given.force_quote != ForcedColumns::None {
            return Err(unsupported("COPY FORCE_QUOTE cannot be used with COPY FROM"));
        }
        if !from && (given.force_null != ForcedColumns::None || given.force_not_null != ForcedColumns::None) {
            return Err(unsupported("COPY FORCE_NULL and FORCE_NOT_NULL cannot be used with COPY TO"));
        }
        if !from && given.header == CopyHeader::Match {
            return Err(unsupported("cannot use \"match\" with HEADER in COPY TO"));
        }
        let quote = one_byte(given.quote.as_deref(), b'"', "COPY quote must be a single one-byte character")?;
        let options = Options {
            format: given.format,
            delimiter: one_byte(
                given.delimiter.as_deref(),
                if csv { b',' } else { b'\t' },
                "COPY delimiter must be a single one-byte character",
            )?,
            null: given.null.clone().unwrap_or_else(|| if csv { String::new() } else { "\\N".into() }),
            default: given.default.clone(),
            header: given.header,
            quote,
            escape: one_byte(
                given.escape.as_deref(),
                quote,
                "COPY escape must be a single one-byte character",
            )?,
            force_quote: forced(&given.force_quote, columns, "FORCE_QUOTE")?,
            force_not_null: forced(&given.force_not_null, columns, "FORCE_NOT_NULL")?,
            force_null: forced(&given.force_null, columns, "FORCE_NULL")?,
            encoding: given.encoding.unwrap_or(client),
            on_error: given.on_error.unwrap_or_default(),
            is_verbose: given.is_verbose,
        };
        options.check_characters(csv)?;
        Ok(options)
    }

    fn check_characters(&self, csv: bool) -> Result<()> {
        let invalid = |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        if matches!(self.delimiter, b'\n' | b'\r') {
            return invalid("COPY delimiter cannot be newline or carriage return");
        }
        if self.null.contains(['\n', '\r']) {
            return invalid("COPY null representation cannot use newline or carriage return");
        }
        if let Some(default) = &self.default {
            if default.contains(['\n', '\r']) {
                return invalid("COPY default representation cannot use newline or carriage return");
            }
            if default.as_bytes().contains(&self.delimiter) {
                return invalid("COPY delimiter character must not appear in the DEFAULT specification");
            }
            if csv && default.as_bytes().contains(&self.quote) {
                return invalid("CSV quote character must not appear in the DEFAULT specification");
            }
            if *default == self.null {
                return invalid("NULL specification and DEFAULT specification cannot be the same");
            }
        }
        // Characters that mean something in the text format.
        if !csv && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&self.delimiter) {
            return invalid(&format!("COPY delimiter cannot be \"{}\"", char::from(self.delimiter)));
        }
        if csv && self.delimiter == self.quote {
            return invalid("COPY delimiter and quote must be different");
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return invalid("COPY delimiter character must not appear in the NULL specification");
        }
        if csv && self.null.as_bytes().contains(&self.quote) {
            return invalid("CSV quote character must not appear in the NULL specification");
        }
        Ok(())
    }
}

fn unsupported(message: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn refuse_in_binary(given: &CopyOptions) -> Result<()> {
    let refused = [
        (given.delimiter.is_some(), "cannot specify DELIMITER in BINARY mode"),
        (given.null.is_some(), "cannot specify NULL in BINARY mode"),
        (given.default.is_some(), "cannot specify DEFAULT in BINARY mode"),
        (given.on_error == Some(OnError::Ignore), "only ON_ERROR STOP is allowed in BINARY mode"),
        (given.header != CopyHeader::No, "cannot specify HEADER in BINARY mode"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, message)) => Err(Error::new(SqlState::SYNTAX_ERROR, *message)),
        None => Ok(()),
    }
}

fn refuse_outside_csv(given: &CopyOptions) -> Result<()> {
    let refused = [
        (given.quote.is_some(), "COPY QUOTE requires CSV mode"),
        (given.escape.is_some(), "COPY ESCAPE requires CSV mode"),
        (given.force_quote != ForcedColumns::None, "COPY FORCE_QUOTE requires CSV mode"),
        (given.force_not_null != ForcedColumns::None, "COPY FORCE_NOT_NULL requires CSV mode"),
        (given.force_null != ForcedColumns::None, "COPY FORCE_NULL requires CSV mode"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, message)) => Err(unsupported(message)),
        None => Ok(()),
    }
}

fn one_byte(given: Option<&str>, default: u8, message: &str) -> Result<u8> {
    match given.map(str::as_bytes) {
        None => Ok(default),
        Some(&[byte]) => Ok(byte),
        Some(_) => Err(unsupported(message)),
    }
}

fn forced(given: &ForcedColumns, columns: &[String], option: &str) -> Result<Vec<bool>> {
    match given {
        ForcedColumns::None => Ok(vec![false; columns.len()]),
        ForcedColumns::All => Ok(vec![true; columns.len()]),
        ForcedColumns::Some(names) => {
            if let Some(name) = names.iter().find(|name| !columns.contains(name)) {
                let message = format!("{option} column \"{name}\" not referenced by COPY");
                return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
            }
            Ok(columns.iter().map(|column| names.contains(column)).collect())
        }
    }
}
