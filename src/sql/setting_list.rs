//! The one list of settings: name, type, default, range, unit and what it does.
//!
//! Each entry says what it changes, or why it is accepted although nothing changes: drivers and pg_dump set it, and
//! what they ask for is what this server does anyway.

use crate::error::{Error, Result, SqlState};
use crate::fulltext::Config;
use crate::functions::encodings::Encoding;
use crate::sql::settings::Id;
use crate::types::{DateStyle, IntervalStyle, Zone};

/// What a setting is.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    pub context: Context,
    /// Reported to clients by ParameterStatus.
    pub report: bool,
    pub kept_by_reset_all: bool,
    /// The heading of pg_settings.
    pub category: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
}

#[derive(Debug)]
pub enum Kind {
    Bool(bool),
    Int {
        default: i64,
        min: i64,
        max: i64,
        unit: Unit,
    },
    Real {
        default: f64,
        min: f64,
        max: f64,
    },
    /// `hidden` are further spellings and what they stand for.
    Enum {
        default: &'static str,
        options: &'static [&'static str],
        hidden: &'static [(&'static str, &'static str)],
    },
    /// `check` normalises, or refuses.
    Text {
        default: &'static str,
        check: fn(&str) -> Result<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    None,
    Milliseconds,
    Seconds,
    Kilobytes,
    Megabytes,
}

/// Who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    User,
    /// Only at start of the server.
    Server,
    /// Nobody: it tells a fact.
    Internal,
}

/// The PostgreSQL whose dialect this is.
pub const SERVER_VERSION: &str = concat!("17.0 (Hither ", env!("CARGO_PKG_VERSION"), ")");

const INT_MAX: i64 = i32::MAX as i64;

const CLIENT: &str = "Client Connection Defaults";
pub const PLANNER: &str = "Query Tuning";
const RESOURCES: &str = "Resource Usage";
const PRESET: &str = "Preset Options";
const COMPATIBILITY: &str = "Version and Platform Compatibility";
pub const SEARCH: &str = "Vector Search";
const DURABILITY: &str = "Write-Ahead Log";
const LOGGING: &str = "Reporting and Logging";
const AUTOVACUUM: &str = "Autovacuum";
const SCRUB: &str = "Scrub";
const CONNECTIONS: &str = "Connections and Authentication";

const fn setting(name: &'static str, category: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting { name, kind, context: Context::User, report: false, kept_by_reset_all: false, category, help }
}

impl Setting {
    const fn reported(mut self) -> Setting {
        self.report = true;
        self
    }

    const fn internal(mut self) -> Setting {
        self.context = Context::Internal;
        self
    }

    const fn server(mut self) -> Setting {
        self.context = Context::Server;
        self
    }

    const fn kept(mut self) -> Setting {
        self.kept_by_reset_all = true;
        self
    }
}

const fn int(default: i64, min: i64, max: i64, unit: Unit) -> Kind {
    Kind::Int { default, min, max, unit }
}

const fn real(default: f64, min: f64, max: f64) -> Kind {
    Kind::Real { default, min, max }
}

const fn text(default: &'static str) -> Kind {
    Kind::Text { default, check: any }
}

const fn checked(default: &'static str, check: fn(&str) -> Result<String>) -> Kind {
    Kind::Text { default, check }
}

const fn choice(default: &'static str, options: &'static [&'static str]) -> Kind {
    Kind::Enum { default, options, hidden: &[] }
}

const fn milliseconds(default: i64) -> Kind {
    int(default, 0, INT_MAX, Unit::Milliseconds)
}

const MESSAGE_LEVELS: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];
const ISOLATION_LEVELS: &[&str] = &["serializable", "repeatable read", "read committed", "read uncommitted"];
/// Spellings of Booleans, for choices that may also be said as such.
const AS_ON_OFF: &[(&str, &str)] =
    &[("true", "on"), ("yes", "on"), ("1", "on"), ("false", "off"), ("no", "off"), ("0", "off")];

/// Every setting there is, in order of its name.
pub static LIST: &[Setting] = &[
    setting(
        "application_name",
        CLIENT,
        checked("", application_name),
        "Names the client in pg_stat_activity.",
    )
    .reported(),
    setting(
        "archive_dir",
        DURABILITY,
        text(""),
        "Folder for whole segments of the log; empty: they are not archived.",
    )
    .server(),
    setting(
        "archive_timeout",
        DURABILITY,
        int(0, 0, 1_073_741_823, Unit::Seconds),
        "Time after which a log segment with records is ended and archived; 0: when it is full.",
    )
    .server(),
    setting(
        "array_nulls",
        COMPATIBILITY,
        Kind::Enum { default: "on", options: &["on"], hidden: AS_ON },
        "An unquoted NULL in array input is NULL; only on is built.",
    ),
    setting(
        "autovacuum",
        AUTOVACUUM,
        Kind::Bool(true),
        "Vacuums tables with many obsolete row versions in the background.",
    )
    .server(),
    setting(
        "autovacuum_naptime",
        AUTOVACUUM,
        int(60, 1, 2_147_483, Unit::Seconds),
        "Time between two looks for tables that need a vacuum.",
    )
    .server(),
    setting(
        "autovacuum_vacuum_scale_factor",
        AUTOVACUUM,
        real(0.2, 0.0, 100.0),
        "Share of a table's rows that may be obsolete before it is vacuumed.",
    )
    .server(),
    setting(
        "autovacuum_vacuum_threshold",
        AUTOVACUUM,
        int(50, 0, INT_MAX, Unit::None),
        "Obsolete row versions that a table may have beside that share.",
    )
    .server(),
    setting(
        "backslash_quote",
        COMPATIBILITY,
        Kind::Enum {
            default: "safe_encoding",
            options: &["safe_encoding", "on", "off"],
            hidden: AS_ON_OFF,
        },
        "Whether \\' stands for a quote in strings with escapes; the encodings here are safe.",
    ),
    setting(
        "block_size",
        PRESET,
        int(8192, 8192, 8192, Unit::None),
        "PostgreSQL's page size; programs ask for it.",
    )
    .internal(),
    setting("bytea_output", CLIENT, choice("hex", &["hex", "escape"]), "How bytea prints as text."),
    setting(
        "check_function_bodies",
        CLIENT,
        Kind::Bool(true),
        "Plans the body of a function when it is created, so that what is wrong with it is said at once.",
    ),
    setting(
        "checkpoint_timeout",
        DURABILITY,
        int(300, 30, 86_400, Unit::Seconds),
        "Time after which a checkpoint is made if there is anything to replay.",
    )
    .server(),
    setting(
        "client_encoding",
        CLIENT,
        checked("UTF8", client_encoding),
        "The client's character set.",
    )
    .reported(),
    setting(
        "client_min_messages",
        CLIENT,
        Kind::Enum {
            default: "notice",
            options: MESSAGE_LEVELS,
            hidden: &[("info", "info"), ("fatal", "error"), ("panic", "error"), ("debug", "debug2")],
        },
        "The least severe message that is sent to the client.",
    ),
    setting("constraint_exclusion", PLANNER, choice("partition", &["partition", "on", "off"]), "Accepted; CHECK constraints play no part in plans."),
    setting("cpu_index_tuple_cost", PLANNER, real(0.005, 0.0, f64::MAX), "Accepted; costs are measured, not set."),
    setting("cpu_operator_cost", PLANNER, real(0.0025, 0.0, f64::MAX), "Accepted; costs are measured, not set."),
    setting("cpu_tuple_cost", PLANNER, real(0.01, 0.0, f64::MAX), "Accepted; costs are measured, not set."),
    setting("cursor_tuple_fraction", PLANNER, real(0.1, 0.0, 1.0), "Accepted; plans do not depend on how much of a cursor is read."),
    setting(
        "DateStyle",
        CLIENT,
        checked("ISO, MDY", whole_date_style),
        "How dates print, and the order of day, month and year in ambiguous input.",
    )
    .reported(),
    setting("default_statistics_target", PLANNER, int(100, 1, 10_000, Unit::None), "Accepted; cardinalities come from the indexes."),
    setting(
        "default_table_access_method",
        CLIENT,
        choice("heap", &["heap"]),
        "Set by pg_dump; there is one kind of table.",
    ),
    setting(
        "default_tablespace",
        CLIENT,
        checked("", default_tablespace),
        "Set by pg_dump; there are no tablespaces.",
    ),
    setting(
        "default_text_search_config",
        CLIENT,
        checked("pg_catalog.english", text_search_config),
        "The configuration of text search where none is named: english or simple.",
    ),
    setting(
        "default_toast_compression",
        CLIENT,
        choice("pglz", &["pglz", "lz4"]),
        "Tables compress their blocks on their own.",
    ),
    setting(
        "default_transaction_deferrable",
        CLIENT,
        Kind::Bool(false),
        "Transactions that only read are never refused nor kept waiting, deferrable or not.",
    ),
    setting(
        "default_transaction_isolation",
        CLIENT,
        choice("read committed", ISOLATION_LEVELS),
        "The isolation level of transactions that do not name one.",
    ),
    setting(
        "default_transaction_read_only",
        CLIENT,
        Kind::Bool(false),
        "Whether transactions refuse to write unless they say otherwise.",
    )
    .reported(),
    setting("enable_async_append", PLANNER, Kind::Bool(true), "Accepted; nothing is read from other servers."),
    setting(
        "enable_bitmapscan",
        PLANNER,
        Kind::Bool(true),
        "Accepted; filters choose their strategy by exact cardinality.",
    ),
    setting("enable_gathermerge", PLANNER, Kind::Bool(true), "Accepted; parallel work is chosen by its size."),
    setting("enable_hashagg", PLANNER, Kind::Bool(true), "Accepted; groups are always hashed."),
    setting("enable_hashjoin", PLANNER, Kind::Bool(true), "Accepted; joins are chosen by the planner alone."),
    setting("enable_incremental_sort", PLANNER, Kind::Bool(true), "Accepted; sorts are planned where they are needed."),
    setting(
        "enable_indexonlyscan",
        PLANNER,
        Kind::Bool(true),
        "Accepted; there are no index-only scans to forbid.",
    ),
    setting(
        "enable_indexscan",
        PLANNER,
        Kind::Bool(true),
        "Off: nearest neighbours are searched exactly, without graphs.",
    ),
    setting("enable_material", PLANNER, Kind::Bool(true), "Accepted; nothing is materialised on a choice."),
    setting("enable_memoize", PLANNER, Kind::Bool(true), "Accepted; nothing is memoised on a choice."),
    setting(
        "enable_mergejoin",
        PLANNER,
        Kind::Bool(true),
        "Accepted; joins are chosen by the planner alone.",
    ),
    setting("enable_nestloop", PLANNER, Kind::Bool(true), "Accepted; joins are chosen by the planner alone."),
    setting("enable_parallel_append", PLANNER, Kind::Bool(true), "Accepted; parallel work is chosen by its size."),
    setting("enable_parallel_hash", PLANNER, Kind::Bool(true), "Accepted; parallel work is chosen by its size."),
    setting("enable_partition_pruning", PLANNER, Kind::Bool(true), "Accepted; partitions that cannot match are always left out."),
    setting("enable_partitionwise_aggregate", PLANNER, Kind::Bool(false), "Accepted; partitions are aggregated together."),
    setting("enable_partitionwise_join", PLANNER, Kind::Bool(false), "Accepted; partitions are joined together."),
    setting(
        "enable_seqscan",
        PLANNER,
        Kind::Bool(true),
        "Off: a graph is preferred to an exact search where both are possible.",
    ),
    setting("enable_sort", PLANNER, Kind::Bool(true), "Accepted; sorts are planned where they are needed."),
    setting("enable_tidscan", PLANNER, Kind::Bool(true), "Accepted; there are no TID scans to forbid."),
    setting(
        "escape_string_warning",
        COMPATIBILITY,
        Kind::Bool(true),
        "Whether a backslash in a plain string gives a warning, where standard_conforming_strings is off.",
    ),
    setting(
        "extra_float_digits",
        CLIENT,
        int(1, -15, 3, Unit::None),
        "Above 0: floats print with the digits that give the same value back; else by as many digits less than they are good for.",
    ),
    setting(
        "force_parallel_mode",
        PLANNER,
        choice("off", &["off", "on", "regress"]),
        "Accepted; parallel work is chosen by its size.",
    ),
    setting("from_collapse_limit", PLANNER, int(8, 1, INT_MAX, Unit::None), "Accepted; subqueries are always merged."),
    setting("geqo", PLANNER, Kind::Bool(true), "Accepted; there is no genetic search for join orders."),
    setting("geqo_threshold", PLANNER, int(12, 2, INT_MAX, Unit::None), "Accepted; there is no genetic search for join orders."),
    setting("hash_mem_multiplier", RESOURCES, real(2.0, 1.0, 1000.0), "Accepted; queries share one memory pool."),
    setting(
        "hither.background_write_rate",
        RESOURCES,
        int(-1, -1, INT_MAX, Unit::Kilobytes),
        "What flushes and merges of sorted tables write per second each while nothing is behind; 0: no bound; -1: 16 MB.",
    )
    .server(),
    setting(
        "hither.memory_max",
        RESOURCES,
        int(0, 0, INT_MAX, Unit::Kilobytes),
        "Memory to hold, mapped vectors not counted, shared out as hither.memory shows; 0: half of the machine's.",
    )
    .server(),
    setting(
        "hither.recall_audit",
        SEARCH,
        real(0.0, 0.0, 1.0),
        "Share of a processor's time for measuring the recall of queries in the background; see hither.recall.",
    ),
    setting(
        "hither.recall_target",
        SEARCH,
        real(0.0, 0.0, 1.0),
        "Recall that index searches shall have in the mean, by what was measured; 0: as hnsw.ef_search gives.",
    ),
    setting(
        "hither.require_exact",
        SEARCH,
        Kind::Bool(false),
        "On: every nearest-neighbour search compares all rows that may be in its answer.",
    ),
    setting(
        "hither.scrub",
        SCRUB,
        Kind::Bool(true),
        "Reads every file in the background and compares checksums.",
    )
    .server(),
    setting(
        "hither.scrub_interval",
        SCRUB,
        int(86_400, 0, INT_MAX, Unit::Seconds),
        "Time between the end of a scrub and the start of the next.",
    )
    .server(),
    setting(
        "hither.scrub_rate",
        SCRUB,
        int(32 << 10, 0, INT_MAX, Unit::Kilobytes),
        "What a scrub reads per second at most; 0: no bound.",
    )
    .server(),
    setting(
        "hnsw.ef_search",
        SEARCH,
        int(40, 1, 1000, Unit::None),
        "Size of the candidate list of a graph search.",
    ),
    setting(
        "hnsw.iterative_scan",
        SEARCH,
        Kind::Enum { default: "off", options: &["off", "relaxed_order", "strict_order"], hidden: &[] },
        "Accepted: a filtered search here always goes on until it has the rows asked for, in strict order.",
    ),
    setting(
        "hnsw.max_scan_tuples",
        SEARCH,
        int(20_000, 1, INT_MAX, Unit::None),
        "Vectors compared after which a filtered graph search becomes exact.",
    ),
    setting(
        "hnsw.scan_mem_multiplier",
        SEARCH,
        real(1.0, 1.0, 1000.0),
        "Accepted; memory of a search is bounded by hnsw.max_scan_tuples.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        CLIENT,
        milliseconds(0),
        "Ends a session that has been idle in a transaction for so long; 0 never.",
    ),
    setting(
        "idle_session_timeout",
        CLIENT,
        milliseconds(0),
        "Ends a session that has been idle for so long; 0 never.",
    ),
    setting("in_hot_standby", PRESET, Kind::Bool(false), "Whether this server is a replica.")
        .internal()
        .reported(),
    setting("integer_datetimes", PRESET, Kind::Bool(true), "Times are integers on the wire.")
        .internal()
        .reported(),
    setting(
        "IntervalStyle",
        CLIENT,
        choice("postgres", IntervalStyle::NAMES),
        "How intervals print; they are read the same in all styles.",
    )
    .reported(),
    setting("is_superuser", PRESET, Kind::Bool(true), "Whether the user may do everything.")
        .internal()
        .reported(),
    setting(
        "ivfflat.iterative_scan",
        SEARCH,
        choice("off", &["off", "relaxed_order"]),
        "Relaxed order: a search that is short of rows looks into more lists before it becomes exact.",
    ),
    setting(
        "ivfflat.max_probes",
        SEARCH,
        int(32_768, 1, 32_768, Unit::None),
        "Lists that an iterative scan looks into at most.",
    ),
    setting("ivfflat.probes", SEARCH, int(1, 1, 32_768, Unit::None), "Lists that a search looks into."),
    setting("jit", PLANNER, Kind::Bool(false), "Accepted; expressions are vectorised, not compiled."),
    setting("jit_above_cost", PLANNER, real(100_000.0, -1.0, f64::MAX), "Accepted; expressions are vectorised, not compiled."),
    setting("jit_inline_above_cost", PLANNER, real(500_000.0, -1.0, f64::MAX), "Accepted; expressions are vectorised, not compiled."),
    setting("jit_optimize_above_cost", PLANNER, real(500_000.0, -1.0, f64::MAX), "Accepted; expressions are vectorised, not compiled."),
    setting("join_collapse_limit", PLANNER, int(8, 1, INT_MAX, Unit::None), "Accepted; joins are planned as they are written."),
    setting("lc_collate", PRESET, text("C"), "Text is ordered by its bytes.").internal(),
    setting("lc_ctype", PRESET, text("C.UTF-8"), "Letters are Unicode's.").internal(),
    setting(
        "lc_messages",
        CLIENT,
        choice("C", &["C", "C.UTF-8", "en_US.UTF-8"]),
        "The language of messages: English.",
    ),
    setting(
        "lc_monetary",
        CLIENT,
        choice("C", &["C", "C.UTF-8", "en_US.UTF-8"]),
        "Amounts of money look the same in all of them.",
    ),
    setting(
        "lc_numeric",
        CLIENT,
        choice("C", &["C", "C.UTF-8", "en_US.UTF-8"]),
        "Accepted; numbers print with a point.",
    ),
    setting(
        "lc_time",
        CLIENT,
        choice("C", &["C", "C.UTF-8", "en_US.UTF-8"]),
        "Accepted; names of days are English.",
    ),
    setting(
        "lock_timeout",
        CLIENT,
        milliseconds(0),
        "Ends a statement that has waited for one lock for so long; 0 never.",
    ),
    setting(
        "log_min_duration_statement",
        LOGGING,
        int(-1, -1, INT_MAX, Unit::Milliseconds),
        "Accepted; statements are not logged by duration yet.",
    ),
    setting(
        "log_statement",
        LOGGING,
        choice("none", &["none", "ddl", "mod", "all"]),
        "Accepted; statements are not logged yet.",
    ),
    setting(
        "maintenance_work_mem",
        RESOURCES,
        int(65_536, 1024, 2_147_483_647, Unit::Kilobytes),
        "What a build of a graph or lists may hold in memory, within the share of graphs in hither.memory_max, which a \
         server starts with; beyond it a graph is in a file.",
    ),
    setting("max_connections", CONNECTIONS, int(100, 1, 262_143, Unit::None), "Most connections at a time.")
        .server(),
    setting("max_identifier_length", PRESET, int(63, 63, 63, Unit::None), "Bytes of a name.").internal(),
    setting("max_index_keys", PRESET, int(32, 32, 32, Unit::None), "Columns of an index.").internal(),
    setting(
        "max_parallel_maintenance_workers",
        RESOURCES,
        int(2, 0, 1024, Unit::None),
        "Threads that help to build a graph or lists, as far as there are cores; a server starts with one less than it \
         has cores.",
    ),
    setting(
        "max_parallel_workers",
        RESOURCES,
        int(8, 0, 1024, Unit::None),
        "Accepted; workers are as many as cores.",
    ),
    setting(
        "max_parallel_workers_per_gather",
        RESOURCES,
        int(2, 0, 1024, Unit::None),
        "Accepted; a query uses the cores it is worth.",
    ),
    setting(
        "max_stack_depth",
        RESOURCES,
        int(2048, 100, 2_147_483_647, Unit::Kilobytes),
        "Accepted; statements of more than 4,000 operators in a chain are refused, and the planner makes room for others.",
    ),
    setting(
        "max_wal_size",
        DURABILITY,
        int(128, 2, INT_MAX, Unit::Megabytes),
        "Log after which a checkpoint is made: with what is written meanwhile, the most that a start replays.",
    )
    .server(),
    setting("min_parallel_index_scan_size", PLANNER, int(512, 0, INT_MAX, Unit::Kilobytes), "Accepted; parallel work is chosen by its size."),
    setting("min_parallel_table_scan_size", PLANNER, int(8192, 0, INT_MAX, Unit::Kilobytes), "Accepted; parallel work is chosen by its size."),
    setting("parallel_leader_participation", PLANNER, Kind::Bool(true), "Accepted; all threads of a query do the same."),
    setting("parallel_setup_cost", PLANNER, real(1000.0, 0.0, f64::MAX), "Accepted; costs are measured, not set."),
    setting("parallel_tuple_cost", PLANNER, real(0.1, 0.0, f64::MAX), "Accepted; costs are measured, not set."),
    setting(
        "password_encryption",
        CONNECTIONS,
        choice("scram-sha-256", &["scram-sha-256"]),
        "How passwords are kept.",
    ),
    setting(
        "plan_cache_mode",
        PLANNER,
        choice("auto", &["auto", "force_generic_plan", "force_custom_plan"]),
        "Accepted; a plan is made once and its strategy is chosen at each execution.",
    ),
    setting("quote_all_identifiers", COMPATIBILITY, Kind::Bool(false), "Accepted; set by pg_dump."),
    setting("random_page_cost", PLANNER, real(4.0, 0.0, f64::MAX), "Accepted; costs are measured, not set."),
    setting("recursive_worktable_factor", PLANNER, real(10.0, 0.001, 1_000_000.0), "Accepted; plans do not depend on it."),
    setting("role", CONNECTIONS, checked("none", role), "The role in effect; there is one.").kept(),
    setting("row_security", CLIENT, Kind::Bool(true), "Set by pg_dump; there are no row policies."),
    setting(
        "search_path",
        CLIENT,
        checked("\"$user\", public", search_path),
        "Schemas in which names without one are looked up.",
    )
    .reported(),
    setting("seq_page_cost", PLANNER, real(1.0, 0.0, f64::MAX), "Accepted; costs are measured, not set."),
    setting("server_encoding", PRESET, text("UTF8"), "The character set of stored text.")
        .internal()
        .reported(),
    setting(
        "server_version",
        PRESET,
        text(SERVER_VERSION),
        "The PostgreSQL whose dialect this is, and this program's version.",
    )
    .internal()
    .reported(),
    setting("server_version_num", PRESET, int(170_000, 0, INT_MAX, Unit::None), "The same as a number.")
        .internal(),
    setting(
        "session_authorization",
        CONNECTIONS,
        checked("postgres", session_authorization),
        "The user of the session.",
    )
    .reported()
    .kept(),
    setting(
        "session_replication_role",
        CLIENT,
        choice("origin", &["origin", "local", "replica"]),
        "Accepted; there are no triggers and foreign keys to switch off.",
    ),
    setting(
        "standard_conforming_strings",
        COMPATIBILITY,
        Kind::Bool(true),
        "Whether backslashes in plain strings are plain characters, or escapes as in E''.",
    )
    .reported(),
    setting("statement_timeout", CLIENT, milliseconds(0), "Ends a statement that runs for so long; 0 never."),
    setting(
        "synchronize_seqscans",
        COMPATIBILITY,
        Kind::Bool(true),
        "Set by pg_dump; scans are in order of slots anyway.",
    ),
    setting(
        "synchronous_commit",
        DURABILITY,
        Kind::Enum {
            default: "on",
            options: &["local", "remote_write", "remote_apply", "on", "off"],
            hidden: AS_ON_OFF,
        },
        "Whether a commit is on disk before it is acknowledged, or within 200 ms after: off. All others are on.",
    ),
    setting(
        "tcp_keepalives_count",
        CONNECTIONS,
        int(0, 0, INT_MAX, Unit::None),
        "Accepted; the operating system's value is in effect.",
    ),
    setting(
        "tcp_keepalives_idle",
        CONNECTIONS,
        int(0, 0, INT_MAX, Unit::Seconds),
        "Accepted; the operating system's value is in effect.",
    ),
    setting(
        "tcp_keepalives_interval",
        CONNECTIONS,
        int(0, 0, INT_MAX, Unit::Seconds),
        "Accepted; the operating system's value is in effect.",
    ),
    setting(
        "TimeZone",
        CLIENT,
        checked("UTC", time_zone),
        "The zone in which timestamptz is read and printed.",
    )
    .reported(),
    setting("timezone_abbreviations", CLIENT, choice("Default", &["Default"]), "Names of zones in input."),
    setting(
        "track_activities",
        LOGGING,
        Kind::Bool(true),
        "Accepted; sessions always show in pg_stat_activity.",
    ),
    setting("transaction_deferrable", CLIENT, Kind::Bool(false), "See default_transaction_deferrable.")
        .kept(),
    setting(
        "transaction_isolation",
        CLIENT,
        choice("read committed", ISOLATION_LEVELS),
        "The isolation level of this transaction.",
    )
    .kept(),
    setting("transaction_read_only", CLIENT, Kind::Bool(false), "Whether this transaction refuses to write.")
        .kept(),
    setting(
        "transaction_timeout",
        CLIENT,
        int(0, 0, 0, Unit::Milliseconds),
        "Set by pg_dump to 0; other values are not built.",
    ),
    setting("vacuum_cost_delay", RESOURCES, int(0, 0, 100, Unit::Milliseconds), "Accepted; dead rows are taken away in the background."),
    setting("wal_level", PRESET, text("replica"), "The log always holds whole rows.").internal(),
    setting(
        "work_mem",
        RESOURCES,
        int(4096, 64, 2_147_483_647, Unit::Kilobytes),
        "How far back a cursor goes that was declared without SCROLL; queries share one memory pool.",
    ),
    setting("xmlbinary", CLIENT, choice("base64", &["base64", "hex"]), "Accepted; there is no type xml."),
    setting(
        "xmloption",
        CLIENT,
        choice("content", &["content", "document"]),
        "Set by pg_dump; there is no type xml.",
    ),
];

const AS_ON: &[(&str, &str)] = &[("true", "on"), ("yes", "on"), ("1", "on")];

pub const fn id_of(name: &str) -> Id {
    let mut index = 0;
    while index < LIST.len() {
        if same(LIST[index].name, name) {
            return Id(index);
        }
        index += 1;
    }
    panic!("no setting of this name is in the list")
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

fn any(text: &str) -> Result<String> {
    Ok(text.to_string())
}

/// PostgreSQL keeps printable ASCII and 63 bytes.
fn application_name(text: &str) -> Result<String> {
    Ok(text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).take(63).collect())
}

fn client_encoding(text: &str) -> Result<String> {
    match Encoding::find(text) {
        Some(encoding) if encoding.is_supported() => Ok(encoding.name().into()),
        found => {
            let message = format!("invalid value for parameter \"client_encoding\": \"{text}\"");
            let Some(encoding) = found else {
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            };
            let detail = format!("Conversion between {} and UTF8 is not supported.", encoding.name());
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail))
        }
    }
}

/// The style that `text` makes of the one in effect; 22023 for words that name none.
pub fn date_style(text: &str, now: DateStyle, reset: DateStyle) -> Result<DateStyle> {
    now.changed(text, reset).map_err(|detail| {
        let message = format!("invalid value for parameter \"DateStyle\": \"{text}\"");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message).detail(detail)
    })
}

fn whole_date_style(text: &str) -> Result<String> {
    Ok(date_style(text, DateStyle::ISO, DateStyle::ISO)?.to_string())
}

fn default_tablespace(text: &str) -> Result<String> {
    match text {
        "" | "pg_default" => Ok(text.into()),
        _ => Err(Error::unsupported("a tablespace")),
    }
}

fn role(text: &str) -> Result<String> {
    match text {
        "none" | "postgres" | "default" => Ok(text.into()),
        _ => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{text}\" does not exist"))),
    }
}

fn session_authorization(text: &str) -> Result<String> {
    match text {
        "postgres" => Ok(text.into()),
        _ => Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{text}\" does not exist"))),
    }
}

/// The list as SHOW prints it: names separated by ", ", quoted where they must be.
fn search_path(text: &str) -> Result<String> {
    Ok(text.split(',').map(str::trim).collect::<Vec<_>>().join(", "))
}

/// With its schema, as PostgreSQL shows it.
fn text_search_config(text: &str) -> Result<String> {
    let known = Config::from_name(text).map_err(|error| match error.state() {
        SqlState::FEATURE_NOT_SUPPORTED => error,
        _ => {
            let message = format!("invalid value for parameter \"default_text_search_config\": \"{text}\"");
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        }
    });
    known.map(|config| format!("pg_catalog.{}", config.name()))
}

/// A place by its proper name, a description of a zone in capitals, an offset as one.
fn time_zone(text: &str) -> Result<String> {
    let zone = match text.to_ascii_lowercase().as_str() {
        "default" | "local" => Zone::UTC,
        _ => Zone::of_setting(text)?,
    };
    let is_number = text.trim().parse::<f64>().is_ok();
    Ok(if matches!(zone, Zone::Place(_)) || is_number { zone.to_string() } else { text.to_uppercase() })
}
