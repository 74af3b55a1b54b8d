//! One error type from the disk to the wire.
//!
//! A client acts on the SQLSTATE, an operator on the text, so an [`Error`] is a SQLSTATE with PostgreSQL's
//! fields beside it. What a receiver does about it is its [`Kind`], which follows from the SQLSTATE's class:
//! fix the input, retry, free resources, or stop trusting the file.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// An error once the flag is raised.
pub fn check_cancel(cancel: &AtomicBool) -> Result<()> {
    match cancel.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::canceled()),
    }
}

/// A five-character SQLSTATE (PostgreSQL, appendix A).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

macro_rules! sqlstates {
    ($($name:ident = $code:literal;)*) => {
        impl SqlState {
            $(#[doc = $code] pub const $name: SqlState = SqlState($code);)*
        }
    };
}

sqlstates! {
    SUCCESSFUL_COMPLETION = "00000";
    CONNECTION_FAILURE = "08006";
    PROTOCOL_VIOLATION = "08P01";
    FEATURE_NOT_SUPPORTED = "0A000";
    CARDINALITY_VIOLATION = "21000";
    DATA_EXCEPTION = "22000";
    STRING_DATA_RIGHT_TRUNCATION = "22001";
    NUMERIC_VALUE_OUT_OF_RANGE = "22003";
    NULL_VALUE_NOT_ALLOWED = "22004";
    INVALID_DATETIME_FORMAT = "22007";
    DATETIME_FIELD_OVERFLOW = "22008";
    INVALID_TIME_ZONE_DISPLACEMENT_VALUE = "22009";
    DIVISION_BY_ZERO = "22012";
    INTERVAL_FIELD_OVERFLOW = "22015";
    INVALID_ROW_COUNT_IN_LIMIT = "2201W";
    INVALID_ROW_COUNT_IN_OFFSET = "2201X";
    CHARACTER_NOT_IN_REPERTOIRE = "22021";
    STRING_DATA_LENGTH_MISMATCH = "22026";
    ARRAY_SUBSCRIPT_ERROR = "2202E";
    INVALID_PARAMETER_VALUE = "22023";
    INVALID_TEXT_REPRESENTATION = "22P02";
    INVALID_BINARY_REPRESENTATION = "22P03";
    BAD_COPY_FILE_FORMAT = "22P04";
    NOT_NULL_VIOLATION = "23502";
    FOREIGN_KEY_VIOLATION = "23503";
    INVALID_FOREIGN_KEY = "42830";
    UNIQUE_VIOLATION = "23505";
    CHECK_VIOLATION = "23514";
    INVALID_CURSOR_STATE = "24000";
    ACTIVE_SQL_TRANSACTION = "25001";
    READ_ONLY_SQL_TRANSACTION = "25006";
    NO_ACTIVE_SQL_TRANSACTION = "25P01";
    IN_FAILED_SQL_TRANSACTION = "25P02";
    INVALID_SQL_STATEMENT_NAME = "26000";
    INVALID_PASSWORD = "28P01";
    DEPENDENT_OBJECTS_STILL_EXIST = "2BP01";
    INVALID_CURSOR_NAME = "34000";
    INVALID_CATALOG_NAME = "3D000";
    INVALID_SCHEMA_NAME = "3F000";
    SERIALIZATION_FAILURE = "40001";
    DEADLOCK_DETECTED = "40P01";
    SYNTAX_ERROR = "42601";
    INSUFFICIENT_PRIVILEGE = "42501";
    INVALID_NAME = "42602";
    NAME_TOO_LONG = "42622";
    DUPLICATE_COLUMN = "42701";
    AMBIGUOUS_COLUMN = "42702";
    UNDEFINED_COLUMN = "42703";
    UNDEFINED_OBJECT = "42704";
    DUPLICATE_OBJECT = "42710";
    DUPLICATE_ALIAS = "42712";
    AMBIGUOUS_FUNCTION = "42725";
    GROUPING_ERROR = "42803";
    DATATYPE_MISMATCH = "42804";
    WRONG_OBJECT_TYPE = "42809";
    CANNOT_COERCE = "42846";
    UNDEFINED_FUNCTION = "42883";
    GENERATED_ALWAYS = "428C9";
    UNDEFINED_TABLE = "42P01";
    UNDEFINED_PARAMETER = "42P02";
    DUPLICATE_CURSOR = "42P03";
    DUPLICATE_DATABASE = "42P04";
    DUPLICATE_PREPARED_STATEMENT = "42P05";
    DUPLICATE_SCHEMA = "42P06";
    DUPLICATE_TABLE = "42P07";
    INVALID_COLUMN_REFERENCE = "42P10";
    INVALID_TABLE_DEFINITION = "42P16";
    INDETERMINATE_DATATYPE = "42P18";
    DISK_FULL = "53100";
    OUT_OF_MEMORY = "53200";
    TOO_MANY_CONNECTIONS = "53300";
    PROGRAM_LIMIT_EXCEEDED = "54000";
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000";
    OBJECT_IN_USE = "55006";
    CANT_CHANGE_RUNTIME_PARAM = "55P02";
    LOCK_NOT_AVAILABLE = "55P03";
    QUERY_CANCELED = "57014";
    ADMIN_SHUTDOWN = "57P01";
    CANNOT_CONNECT_NOW = "57P03";
    IO_ERROR = "58030";
    UNDEFINED_FILE = "58P01";
    INTERNAL_ERROR = "XX000";
    DATA_CORRUPTED = "XX001";
    INDEX_CORRUPTED = "XX002";
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What the receiver of an error can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Change the statement, the data or the settings.
    Input,
    /// Run the transaction again.
    Retry,
    /// Free disk, memory or connections, then run it again.
    Resources,
    /// Restore or rebuild what is damaged; `hither check` names it.
    Damage,
    /// A defect of this program.
    Internal,
}

/// An error with the fields of PostgreSQL's ErrorResponse.
#[derive(Clone, Debug)]
pub struct Error(Box<Fields>);

/// The fields of an [`Error`]; all but the first two are optional.
#[derive(Clone, Debug)]
pub struct Fields {
    pub state: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Character index into the statement text, from 1.
    pub position: Option<u32>,
    /// COPY line, context of a nested operation.
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
    pub datatype: Option<String>,
    /// PostgreSQL's function that reports it, for the few errors that drivers tell apart by that.
    pub routine: Option<&'static str>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(state: SqlState, message: impl Into<String>) -> Error {
        Error(Box::new(Fields {
            state,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
            schema: None,
            table: None,
            column: None,
            constraint: None,
            datatype: None,
            routine: None,
        }))
    }

    /// `feature` is a noun phrase: "triggers are not supported" reads from "triggers".
    pub fn unsupported(feature: impl fmt::Display) -> Error {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{feature} is not supported"))
    }

    /// What the transaction builds on is no longer what its snapshot has.
    pub fn concurrent_update() -> Error {
        let message = "could not serialize access due to concurrent update";
        Error::new(SqlState::SERIALIZATION_FAILURE, message)
    }

    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(SqlState::INTERNAL_ERROR, message)
    }

    /// The statement ends early because somebody asked for it; `sql` puts another reason in its place.
    pub fn canceled() -> Error {
        Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
    }

    /// A panic that was caught: what it said.
    pub fn panicked(what: &str, panic: &(dyn std::any::Any + Send)) -> Error {
        let text = panic.downcast_ref::<&str>().copied();
        let said =
            text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Error::internal(format!("{what} panicked: {said}"))
    }

    /// A damaged file: which, where, what was expected and what is there.
    pub fn corrupt(
        file: impl fmt::Display,
        offset: u64,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Error {
        Error::new(
            SqlState::DATA_CORRUPTED,
            format!("{file} is damaged at offset {offset}: expected {expected}, found {found}"),
        )
    }

    /// A file that a newer program wrote (55000): of a format `version` above the `newest` that this one reads. It is not
    /// damage, so whoever opens it gives up and leaves everything as it is.
    pub fn newer_format(file: impl fmt::Display, version: u32, newest: u32) -> Error {
        Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("\"{file}\" has format version {version}; this version of Hither reads up to {newest}"),
        )
        .hint("Open it with the version of Hither that wrote it, or a newer one.")
    }

    /// A failed system call on a file. A full disk is a refusal of its own (53100), in PostgreSQL's words.
    pub fn io(operation: &str, path: impl fmt::Display, error: &std::io::Error) -> Error {
        if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
            let done = match operation {
                "allocate" | "allocate space for" | "write" => "extend",
                other => other,
            };
            let why = match error.kind() {
                std::io::ErrorKind::QuotaExceeded => "Disk quota exceeded",
                _ => "No space left on device",
            };
            return Error::new(SqlState::DISK_FULL, format!("could not {done} file \"{path}\": {why}"))
                .hint("Check free disk space.");
        }
        let state = match error.kind() {
            std::io::ErrorKind::NotFound => SqlState::UNDEFINED_FILE,
            _ => SqlState::IO_ERROR,
        };
        Error::new(state, format!("could not {operation} \"{path}\": {error}"))
    }

    /// A page of a mapped file that the disk did not give, or that the file has no more (58030): what was read there was
    /// not what was written.
    pub fn unreadable(path: impl fmt::Display, offset: u64) -> Error {
        let message =
            format!("could not read \"{path}\": no data at offset {offset} where its pages are mapped");
        Error::new(SqlState::IO_ERROR, message)
            .hint("Look for the device in the kernel's log; \"hither check\" names all that is damaged.")
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = Some(detail.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Without a position, which counted in another text.
    pub fn without_position(mut self) -> Error {
        self.0.position = None;
        self
    }

    /// `position` counts characters of the statement from 1.
    pub fn position(mut self, position: u32) -> Error {
        self.0.position = Some(position);
        self
    }

    pub fn context(mut self, context: impl Into<String>) -> Error {
        self.0.context = Some(context.into());
        self
    }

    pub fn table(self, schema: impl Into<String>, table: impl Into<String>) -> Error {
        self.schema(schema).named_table(table)
    }

    pub fn schema(mut self, schema: impl Into<String>) -> Error {
        self.0.schema = Some(schema.into());
        self
    }

    /// A table whose schema is told apart, or not at all.
    pub fn named_table(mut self, table: impl Into<String>) -> Error {
        self.0.table = Some(table.into());
        self
    }

    /// The type it is about, a domain.
    pub fn datatype(mut self, datatype: impl Into<String>) -> Error {
        self.0.datatype = Some(datatype.into());
        self
    }

    pub fn column(mut self, column: impl Into<String>) -> Error {
        self.0.column = Some(column.into());
        self
    }

    pub fn constraint(mut self, constraint: impl Into<String>) -> Error {
        self.0.constraint = Some(constraint.into());
        self
    }

    pub fn routine(mut self, routine: &'static str) -> Error {
        self.0.routine = Some(routine);
        self
    }

    pub fn fields(&self) -> &Fields {
        &self.0
    }

    pub fn state(&self) -> SqlState {
        self.0.state
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn kind(&self) -> Kind {
        match &self.0.state.0[..2] {
            "40" => Kind::Retry,
            "53" | "08" | "57" => Kind::Resources,
            "58" => Kind::Damage,
            "XX" if self.0.state == SqlState::INTERNAL_ERROR => Kind::Internal,
            "XX" => Kind::Damage,
            _ => Kind::Input,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.state.0)?;
        if let Some(detail) = &self.0.detail {
            write!(f, "; {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
