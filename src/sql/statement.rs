//! Statements as the session sees them.
//!
//! Queries and data changes stay sqlparser's trees. Everything else is reduced to the little that PostgreSQL's
//! grammar says and we can do; what we cannot do is refused while parsing, by name, with 0A000.

use std::ops::Range;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, Expr};

use crate::catalog::{ColumnHints, Deferral, OnCommit, ReferentialAction, Strategy};
use crate::database::BackupOptions;
use crate::functions::encodings::Encoding;
use crate::planner::explain::ExplainOptions;
use crate::sql::blocks::Block;
use crate::sql::database_words::{AlterDatabase, CreateDatabase, DropDatabase};
use crate::sql::ddl::extension::CreateExtension;
use crate::sql::domain_words::{CreateDomain, DomainAction};
use crate::sql::function_statements::{AlterFunction, CreateFunction, DropFunction};
use crate::sql::grants::Grant;
use crate::sql::hint_words::{ColumnHint, Identity};
pub use crate::sql::like_words::LikeClause;
use crate::sql::lock_table::LockTable;
use crate::sql::notifications::Listening;
pub use crate::sql::object_kind::ObjectKind;
use crate::sql::partition_words::{CreatePartition, PartitionAction};
use crate::sql::source::Source;
use crate::sql::staged::Staged;
use crate::sql::type_words::{Field, RangeOptions, TypeAction};
use crate::types::Type;

/// One parsed statement of a query string.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(crate) ast: Ast,
    /// The whole query string; positions count in it.
    pub(crate) source: Arc<Source>,
    /// The bytes of `source` that are this statement.
    pub(crate) range: Range<usize>,
    /// What it names behind ONLY, which its tree does not say.
    pub(crate) only: Vec<Name>,
}

impl Statement {
    /// Whether it is CLOSE.
    pub fn closes(&self) -> bool {
        matches!(self.ast, Ast::Close(_))
    }

    /// The cursor that FETCH, MOVE or CLOSE names.
    pub fn cursor(&self) -> Option<&str> {
        match &self.ast {
            Ast::Fetch { name, .. } | Ast::Close(Some(name)) => Some(name),
            _ => None,
        }
    }

    /// Another statement in the place of this one.
    pub fn with_ast(&self, ast: Ast) -> Statement {
        let Statement { source, range, only, .. } = self;
        Statement { ast, source: source.clone(), range: range.clone(), only: only.clone() }
    }

    /// The statement's own text, without the semicolon.
    pub fn text(&self) -> &str {
        &self.source[self.range.clone()]
    }
}

/// What a statement says.
#[derive(Clone, Debug)]
pub enum Ast {
    Query(Box<ast::Query>),
    Insert(Box<ast::Insert>, Overriding),
    Update(Box<ast::Update>),
    Delete(Box<ast::Delete>),
    Merge(Box<ast::Merge>),
    /// A query or a data change after others that run before it.
    Staged(Box<Staged>),
    Truncate(Truncate),
    Copy(Box<Copy>),
    Explain(Box<Explain>),

    /// BEGIN or START TRANSACTION, as the tag says.
    Begin {
        modes: Modes,
        tag: &'static str,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(Savepoint),
    SetTransaction {
        modes: Modes,
        session: bool,
    },
    /// SET CONSTRAINTS; no names are ALL.
    SetConstraints {
        names: Vec<Name>,
        deferred: bool,
    },
    /// LISTEN and UNLISTEN.
    Listen(Listening),
    Notify {
        channel: String,
        payload: String,
    },

    Set {
        local: bool,
        name: String,
        value: SetValue,
    },
    Reset(Option<String>),
    Show(Option<String>),
    Discard(Discard),

    Prepare {
        name: String,
        types: Vec<ColumnType>,
        statement: Box<Ast>,
    },
    Execute {
        name: String,
        arguments: Vec<Expr>,
    },
    Deallocate(Option<String>),
    Declare {
        name: String,
        query: Box<ast::Query>,
        options: DeclareOptions,
    },
    Fetch {
        name: String,
        direction: Direction,
        move_only: bool,
    },
    Close(Option<String>),
    Do(Box<Block>),

    CreateTable(Box<CreateTable>),
    CreatePartition(Box<CreatePartition>),
    /// ALTER INDEX ... ATTACH PARTITION.
    AttachIndex(Name, Name),
    CreateTableAs {
        persistence: Persistence,
        name: Name,
        if_not_exists: bool,
        columns: Vec<String>,
        query: Box<ast::Query>,
        with_data: bool,
    },
    /// CREATE TABLE ... AS EXECUTE: the table, whose query is yet a placeholder, and what is executed.
    CreateTableExecute(Box<Ast>, Box<Ast>),
    CreateView(Box<CreateView>),
    CreateFunction(Box<CreateFunction>),
    DropFunction(DropFunction),
    CreateDatabase(CreateDatabase),
    AlterDatabase(AlterDatabase),
    DropDatabase(DropDatabase),
    CreateEnum {
        name: Name,
        labels: Vec<String>,
    },
    /// CREATE TYPE ... AS (...)
    CreateComposite {
        name: Name,
        fields: Vec<Field>,
    },
    /// CREATE TYPE ... AS RANGE
    CreateRange {
        name: Name,
        options: Box<RangeOptions>,
    },
    AlterType {
        name: Name,
        action: TypeAction,
    },
    Refresh {
        name: Name,
        concurrently: bool,
        with_data: bool,
    },
    CreateIndex(Box<CreateIndex>),
    CreateSequence(Box<CreateSequence>),
    CreateSchema {
        name: String,
        if_not_exists: bool,
    },
    CreateExtension(CreateExtension),
    Drop(Drop),
    AlterTable(AlterTable),
    AlterFunction(AlterFunction),
    AlterSequence(AlterSequence),
    /// OWNER TO and its like on what has no owner here but the superuser.
    CreateDomain(Box<CreateDomain>),
    AlterDomain {
        name: Name,
        action: DomainAction,
    },
    AlterOwner {
        kind: &'static str,
        name: Name,
        owner: String,
        if_exists: bool,
    },
    Rename {
        kind: ObjectKind,
        name: Name,
        if_exists: bool,
        to: String,
    },
    SetSchema {
        kind: ObjectKind,
        name: Name,
        if_exists: bool,
        schema: String,
    },
    Comment {
        kind: String,
        name: Name,
        column: Option<String>,
        text: Option<String>,
    },

    Vacuum {
        analyze: bool,
        full: bool,
        verbose: bool,
        /// Each with columns that ANALYZE looks at, if they were named.
        tables: Vec<(Name, Vec<String>)>,
    },
    Analyze(Vec<(Name, Vec<String>)>),
    Checkpoint,
    LockTable(LockTable),
    Grant(Grant),
    /// Into this folder.
    Backup(String, BackupOptions),
    Scrub,
    Reindex {
        kind: ReindexKind,
        name: Option<Name>,
        concurrently: bool,
    },
}

/// `[schema.]name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub schema: Option<String>,
    pub name: String,
    /// Character position in the query string, from 1; 0 when unknown.
    pub position: u32,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What INSERT's OVERRIDING clause says about identity columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overriding {
    None,
    System,
    User,
}

#[derive(Clone, Debug)]
pub struct Truncate {
    /// Each with whether ONLY stood before it.
    pub tables: Vec<(Name, bool)>,
    pub restart_identity: bool,
    pub cascade: bool,
}

#[derive(Clone, Debug)]
pub struct Explain {
    pub options: ExplainOptions,
    pub statement: Ast,
}

/// Isolation level, access mode and deferrability as far as the statement names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    pub isolation: Option<IsolationLevel>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl IsolationLevel {
    pub fn name(self) -> &'static str {
        match self {
            IsolationLevel::ReadUncommitted => "read uncommitted",
            IsolationLevel::ReadCommitted => "read committed",
            IsolationLevel::RepeatableRead => "repeatable read",
            IsolationLevel::Serializable => "serializable",
        }
    }

    pub fn by_name(name: &str) -> Option<IsolationLevel> {
        use IsolationLevel::*;
        [ReadUncommitted, ReadCommitted, RepeatableRead, Serializable]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum SetValue {
    Default,
    /// The values of the list, each as text.
    Values(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    All,
    Plans,
    Sequences,
    Temp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeclareOptions {
    pub binary: bool,
    /// SCROLL or NO SCROLL.
    pub scroll: Option<bool>,
    /// WITH HOLD
    pub hold: bool,
}

/// Where FETCH and MOVE go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This many rows; none is ALL.
    Forward(Option<usize>),
    Backward(Option<usize>),
    /// To a row, counted from 1, or from the end with negative numbers.
    Absolute(i64),
    Relative(i64),
}

#[derive(Clone, Debug)]
pub struct Copy {
    pub source: CopySource,
    /// FROM STDIN or TO STDOUT.
    pub from: bool,
    pub options: CopyOptions,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one per statement")]
pub enum CopySource {
    Table {
        name: Name,
        columns: Vec<String>,
        filter: Option<Expr>,
    },
    /// A query, or a change with RETURNING.
    Rows(Box<Ast>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CopyEncoding {
    #[default]
    Text,
    Csv,
    Binary,
}

/// Which columns a FORCE_ option names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ForcedColumns {
    #[default]
    None,
    All,
    Some(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CopyHeader {
    #[default]
    No,
    Yes,
    /// The names in the header must be those of the columns.
    Match,
}

/// The options as written; what is absent takes the default of the format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    pub format: CopyEncoding,
    pub delimiter: Option<String>,
    pub null: Option<String>,
    pub default: Option<String>,
    pub header: CopyHeader,
    pub quote: Option<String>,
    pub escape: Option<String>,
    /// What the data is in; the client's where it is not said.
    pub encoding: Option<Encoding>,
    pub force_quote: ForcedColumns,
    pub force_not_null: ForcedColumns,
    pub force_null: ForcedColumns,
    pub on_error: Option<OnError>,
    /// LOG_VERBOSITY.
    pub is_verbose: bool,
}

/// What COPY does with a row whose field is no value of its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnError {
    #[default]
    Stop,
    /// Skips the row.
    Ignore,
}

#[derive(Clone, Debug)]
pub struct CreateTable {
    pub name: Name,
    pub if_not_exists: bool,
    pub persistence: Persistence,
    pub columns: Vec<ColumnDefinition>,
    /// LIKE clauses, and before which of the columns each stands.
    pub likes: Vec<(usize, LikeClause)>,
    pub constraints: Vec<TableConstraint>,
    /// PARTITION BY: the strategy, and the key's column.
    pub partition_by: Option<(Strategy, String)>,
    /// WITH (name = value), which has no effect.
    pub storage_parameters: Vec<(String, String)>,
}

/// How long a table lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Persistence {
    #[default]
    Permanent,
    Unlogged,
    Temporary(OnCommit),
}

/// CREATE VIEW and CREATE MATERIALIZED VIEW.
#[derive(Clone, Debug)]
pub struct CreateView {
    pub name: Name,
    pub replace: bool,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub columns: Vec<String>,
    pub query: Box<ast::Query>,
    /// None for a plain view; else `WITH [NO] DATA`.
    pub materialized: Option<bool>,
    /// WITH (security_barrier, security_invoker).
    pub options: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    pub name: String,
    pub ty: ColumnType,
    /// COLLATE; none for that of the type.
    pub collation: Option<String>,
    pub not_null: bool,
    /// Source text of the expression.
    pub default: Option<String>,
    pub identity: Option<(IdentityKind, SequenceOptions)>,
    /// GENERATED ALWAYS AS (...) STORED.
    pub generated: Option<String>,
    /// What is shown and changes no answer: STORAGE, COMPRESSION.
    pub hints: ColumnHints,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ColumnType {
    Plain(Type),
    /// smallserial, serial, bigserial: an integer with a sequence of its own.
    Serial(Type),
    /// A name that the catalogue knows, or nobody.
    Named(ast::DataType),
    /// The domain of this oid.
    Domain(crate::catalog::Oid),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    Always,
    ByDefault,
}

#[derive(Clone, Debug)]
pub struct TableConstraint {
    pub name: Option<String>,
    pub kind: ConstraintKind,
    /// INCLUDE of a key.
    pub included: Vec<String>,
    /// When a key is checked.
    pub deferral: Deferral,
}

#[derive(Clone, Debug)]
pub enum ConstraintKind {
    PrimaryKey(Vec<String>),
    Unique {
        columns: Vec<String>,
        /// NULLS NOT DISTINCT.
        nulls_equal: bool,
    },
    /// A key on a unique index that is there.
    UsingIndex {
        index: String,
        primary: bool,
    },
    ForeignKey(ForeignKeyDefinition),
    /// Source text of the condition.
    Check {
        sql: String,
        /// NO INHERIT
        no_inherit: bool,
    },
}

/// `[FOREIGN KEY (columns)] REFERENCES table [(referenced)]`; without `referenced`, its primary key.
#[derive(Clone, Debug)]
pub struct ForeignKeyDefinition {
    pub columns: Vec<String>,
    pub table: Name,
    pub referenced: Vec<String>,
    /// MATCH FULL.
    pub full: bool,
    pub on_delete: ReferentialAction,
    /// The columns that SET NULL or SET DEFAULT names.
    pub set_on_delete: Vec<String>,
    pub on_update: ReferentialAction,
    pub deferral: Deferral,
}

#[derive(Clone, Debug)]
pub struct CreateIndex {
    pub name: Option<String>,
    pub table: Name,
    pub only: bool,
    pub unique: bool,
    /// NULLS NOT DISTINCT.
    pub nulls_equal: bool,
    pub concurrently: bool,
    pub if_not_exists: bool,
    pub method: String,
    pub columns: Vec<IndexColumn>,
    /// INCLUDE.
    pub included: Vec<String>,
    /// WITH (name = value): names lower-case, values as text.
    pub options: Vec<(String, String)>,
    /// WHERE.
    pub predicate: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct IndexColumn {
    pub subject: IndexSubject,
    pub opclass: Option<String>,
    /// ASC or DESC: whether it is the latter.
    pub descending: Option<bool>,
    /// NULLS FIRST or LAST: whether it is the former.
    pub nulls_first: Option<bool>,
}

/// What an index is on.
#[derive(Clone, Debug)]
pub enum IndexSubject {
    Column(String),
    Expression(Box<Expr>),
}

#[derive(Clone, Debug)]
pub struct CreateSequence {
    pub name: Name,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub options: SequenceOptions,
}

/// `None` is "not said"; `Some(None)` of a bound is NO MINVALUE / NO MAXVALUE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceOptions {
    pub name: Option<Name>,
    pub ty: Option<Type>,
    pub start: Option<i64>,
    pub restart: Option<Option<i64>>,
    pub increment: Option<i64>,
    pub min: Option<Option<i64>>,
    pub max: Option<Option<i64>>,
    pub cycle: Option<bool>,
    pub cache: Option<i64>,
    /// OWNED BY table.column; `Some(None)` is OWNED BY NONE.
    pub owned_by: Option<Option<(Name, String)>>,
}

#[derive(Clone, Debug)]
pub struct Drop {
    pub kind: ObjectKind,
    pub names: Vec<Name>,
    pub if_exists: bool,
    pub cascade: bool,
    pub concurrently: bool,
}

#[derive(Clone, Debug)]
pub struct AlterTable {
    /// What the statement calls it.
    pub kind: ObjectKind,
    pub name: Name,
    pub if_exists: bool,
    pub only: bool,
    pub actions: Vec<AlterAction>,
}

#[derive(Clone, Debug)]
pub enum AlterAction {
    /// SET or RESET of these, which have no effect.
    StorageParameters(Vec<(String, Option<String>)>),
    AddConstraint {
        constraint: TableConstraint,
        not_valid: bool,
    },
    ValidateConstraint(String),
    AlterConstraint {
        name: String,
        deferral: Deferral,
    },
    DropConstraint {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    AddColumn {
        definition: Box<ColumnDefinition>,
        constraints: Vec<TableConstraint>,
        if_not_exists: bool,
    },
    DropColumn {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    RenameColumn {
        name: String,
        to: String,
    },
    RenameConstraint {
        name: String,
        to: String,
    },
    SetDefault {
        column: String,
        default: Option<String>,
    },
    SetNotNull {
        column: String,
        not_null: bool,
    },
    AddIdentity {
        column: String,
        kind: IdentityKind,
        options: SequenceOptions,
    },
    /// What is changed of an identity column: when it is generated, and its sequence.
    SetIdentity {
        column: String,
        kind: Option<IdentityKind>,
        options: SequenceOptions,
    },
    DropIdentity {
        column: String,
        if_exists: bool,
    },
    /// GENERATED ALWAYS AS (...) STORED with another expression.
    SetExpression {
        column: String,
        sql: String,
    },
    DropExpression {
        column: String,
        if_exists: bool,
    },
    SetType {
        column: String,
        ty: ColumnType,
        collation: Option<String>,
        /// Source text of USING.
        using: Option<String>,
    },
    OwnerTo(String),
    Partition(PartitionAction),
    /// What is shown and changes no answer.
    ColumnHint {
        column: String,
        hint: ColumnHint,
    },
    /// SET WITHOUT CLUSTER where there is no index.
    ClusterOn(Option<String>),
    ReplicaIdentity(Identity),
    /// SET LOGGED or UNLOGGED.
    Logged(bool),
}

#[derive(Clone, Debug)]
pub struct AlterSequence {
    pub name: Name,
    pub if_exists: bool,
    pub options: SequenceOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReindexKind {
    Index,
    Table,
    Schema,
    Database,
}

/// A part of a transaction, by name.
#[derive(Clone, Debug, PartialEq)]
pub enum Savepoint {
    Define(String),
    Release(String),
    RollBackTo(String),
}

impl Savepoint {
    /// As PostgreSQL names the command in errors.
    pub fn command(&self) -> &'static str {
        match self {
            Savepoint::Define(_) => "SAVEPOINT",
            Savepoint::Release(_) => "RELEASE SAVEPOINT",
            Savepoint::RollBackTo(_) => "ROLLBACK TO SAVEPOINT",
        }
    }

    pub fn tag(&self) -> &'static str {
        match self {
            Savepoint::Define(_) => "SAVEPOINT",
            Savepoint::Release(_) => "RELEASE",
            Savepoint::RollBackTo(_) => "ROLLBACK",
        }
    }
}

impl Ast {
    /// The command tag without counts, as PostgreSQL names the command in errors.
    pub fn command(&self) -> &'static str {
        match self {
            Ast::Query(query) if !query.locks.is_empty() => "SELECT FOR UPDATE",
            Ast::Query(_) => "SELECT",
            Ast::Insert(..) => "INSERT",
            Ast::Update(_) => "UPDATE",
            Ast::Delete(_) => "DELETE",
            Ast::Merge(_) => "MERGE",
            Ast::Staged(staged) => staged.main.command(),
            Ast::Truncate(_) => "TRUNCATE TABLE",
            Ast::Copy(_) => "COPY",
            Ast::Explain(_) => "EXPLAIN",
            Ast::Begin { tag, .. } => tag,
            Ast::Commit { .. } => "COMMIT",
            Ast::Rollback { .. } => "ROLLBACK",
            Ast::Savepoint(savepoint) => savepoint.command(),
            Ast::SetConstraints { .. } => "SET CONSTRAINTS",
            Ast::Listen(Listening::Start(_)) => "LISTEN",
            Ast::Listen(_) => "UNLISTEN",
            Ast::Notify { .. } => "NOTIFY",
            Ast::SetTransaction { .. } | Ast::Set { .. } => "SET",
            Ast::Reset(_) => "RESET",
            Ast::Show(_) => "SHOW",
            Ast::Discard(Discard::All) => "DISCARD ALL",
            Ast::Discard(Discard::Plans) => "DISCARD PLANS",
            Ast::Discard(Discard::Sequences) => "DISCARD SEQUENCES",
            Ast::Discard(Discard::Temp) => "DISCARD TEMP",
            Ast::Prepare { .. } => "PREPARE",
            Ast::Execute { .. } => "EXECUTE",
            Ast::Deallocate(Some(_)) => "DEALLOCATE",
            Ast::Deallocate(None) => "DEALLOCATE ALL",
            Ast::Declare { .. } => "DECLARE CURSOR",
            Ast::Fetch { move_only: true, .. } => "MOVE",
            Ast::Fetch { .. } => "FETCH",
            Ast::Close(Some(_)) => "CLOSE CURSOR",
            Ast::Close(None) => "CLOSE CURSOR ALL",
            Ast::CreateTable(_) | Ast::CreatePartition(_) => "CREATE TABLE",
            Ast::AttachIndex(..) => "ALTER INDEX",
            Ast::CreateTableAs { .. } | Ast::CreateTableExecute(..) => "CREATE TABLE AS",
            Ast::CreateView(view) if view.materialized.is_some() => "CREATE MATERIALIZED VIEW",
            Ast::CreateView(_) => "CREATE VIEW",
            Ast::CreateFunction(_) => "CREATE FUNCTION",
            Ast::DropFunction(_) => "DROP FUNCTION",
            Ast::CreateEnum { .. } | Ast::CreateComposite { .. } | Ast::CreateRange { .. } => "CREATE TYPE",
            Ast::AlterType { .. } => "ALTER TYPE",
            Ast::CreateDomain(_) => "CREATE DOMAIN",
            Ast::AlterDomain { .. } => "ALTER DOMAIN",
            Ast::AlterFunction(_) => "ALTER FUNCTION",
            Ast::Refresh { .. } => "REFRESH MATERIALIZED VIEW",
            Ast::CreateIndex(_) => "CREATE INDEX",
            Ast::CreateSequence(_) => "CREATE SEQUENCE",
            Ast::CreateSchema { .. } => "CREATE SCHEMA",
            Ast::CreateDatabase(_) => "CREATE DATABASE",
            Ast::AlterDatabase(_) => "ALTER DATABASE",
            Ast::DropDatabase(_) => "DROP DATABASE",
            Ast::CreateExtension(_) => "CREATE EXTENSION",
            Ast::Drop(drop) => drop.kind.drop_command(),
            Ast::AlterTable(alter) => alter.kind.alter_command(),
            Ast::AlterSequence(_) => "ALTER SEQUENCE",
            Ast::AlterOwner { kind, .. } => kind,
            Ast::Rename { kind, .. } | Ast::SetSchema { kind, .. } => kind.alter_command(),
            Ast::Comment { .. } => "COMMENT",
            Ast::Do(_) => "DO",
            Ast::Vacuum { .. } => "VACUUM",
            Ast::Analyze(_) => "ANALYZE",
            Ast::Checkpoint => "CHECKPOINT",
            Ast::LockTable(_) => "LOCK TABLE",
            Ast::Grant(grant) => {
                if grant.revoke {
                    "REVOKE"
                } else {
                    "GRANT"
                }
            }
            Ast::Backup(..) => "BACKUP",
            Ast::Scrub => "SCRUB",
            Ast::Reindex { .. } => "REINDEX",
        }
    }

    /// Whether a READ ONLY transaction refuses it.
    pub fn writes(&self) -> bool {
        match self {
            Ast::Insert(..) | Ast::Update(_) | Ast::Delete(_) | Ast::Merge(_) | Ast::Truncate(_) => true,
            Ast::Query(query) => !query.locks.is_empty(),
            Ast::Staged(staged) => {
                staged.main.writes() || staged.parts.iter().any(|part| part.statement.writes())
            }
            Ast::Copy(copy) => match &copy.source {
                CopySource::Table { .. } => copy.from,
                CopySource::Rows(ast) => ast.writes(),
            },
            Ast::Explain(explain) => explain.options.analyze && explain.statement.writes(),
            Ast::CreateTable(_)
            | Ast::CreatePartition(_)
            | Ast::AttachIndex(..)
            | Ast::CreateTableAs { .. }
            | Ast::CreateTableExecute(..)
            | Ast::CreateView(_)
            | Ast::CreateFunction(_)
            | Ast::DropFunction(_)
            | Ast::CreateEnum { .. }
            | Ast::CreateComposite { .. }
            | Ast::CreateRange { .. }
            | Ast::AlterType { .. }
            | Ast::CreateDomain(_)
            | Ast::AlterDomain { .. }
            | Ast::AlterFunction(_)
            | Ast::Refresh { .. }
            | Ast::CreateIndex(_)
            | Ast::CreateSequence(_)
            | Ast::CreateSchema { .. }
            | Ast::CreateExtension(_)
            | Ast::Drop(_)
            | Ast::AlterTable(_)
            | Ast::AlterSequence(_)
            | Ast::CreateDatabase(_)
            | Ast::AlterDatabase(_)
            | Ast::DropDatabase(_)
            | Ast::AlterOwner { .. }
            | Ast::Rename { .. }
            | Ast::SetSchema { .. }
            | Ast::Comment { .. }
            | Ast::Grant(_) => true,
            _ => false,
        }
    }

    /// Whether it may run in an aborted transaction.
    pub fn ends_transaction(&self) -> bool {
        matches!(self, Ast::Commit { .. } | Ast::Rollback { .. } | Ast::Savepoint(Savepoint::RollBackTo(_)))
    }
}
