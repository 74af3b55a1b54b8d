//! What a statement means.
//!
//! Text comes in from the wire and leaves as rows, a command tag or an error with PostgreSQL's words. sqlparser is
//! named in this folder and nowhere else. `dialect` turns text into statements, `session` owns the transaction and
//! the settings of a connection and sends each statement to the file that knows it.

// Aggregates made of arrays.
mod aggregates;
// Aliases that name the first columns only.
mod aliases;
// What sessions are doing, for each other.
mod activity;
// Parameters of DECLARE.
mod arguments;
// Parameters: which a statement names, and of which domains.
mod parameters;
// Backslashes in plain strings.
mod backslashes;
// Words that sqlparser takes for its own.
mod bare_words;
// Blocks of DO.
mod blocks;
mod bracketed;
// Cancel requests and statement timeouts, raised from elsewhere.
pub mod cancel;
// Names in queries.
pub mod context;
// ON CONFLICT's target.
mod conflict_target;
// COPY.
pub mod copy;
// Cursors.
mod cursors;
// Data definitions.
mod ddl;
// COPY, read word by word.
pub(crate) mod copy_words;
// Data definitions, read word by word.
pub(crate) mod ddl_words;
// Foreign keys, read from the parser's tree.
pub(crate) mod foreign_key_words;
// Calls of functions by their oids.
mod function_calls;
// CREATE, ALTER and DROP FUNCTION.
mod function_statements;
// CREATE FUNCTION and its like, read word by word.
pub(crate) mod function_words;
// CREATE INDEX, read word by word.
pub(crate) mod index_words;
// CREATE DATABASE and its like, read word by word.
pub(crate) mod database_words;
// The databases of the server, and who is in which.
pub mod databases;
// CREATE DOMAIN and its like, read word by word.
pub(crate) mod domain_words;
// EXPLAIN, read word by word.
pub(crate) mod explain_words;
// What a domain asks of a value.
mod domains;
// Kinds of objects.
mod object_kind;
// Text to statements, errors with positions.
pub mod dialect;
// Subscripts of what SET assigns to.
mod element_words;
// How many dimensions arrays have.
mod dimensions;
// Data changes.
pub mod dml;
// What output columns without AS are called.
mod column_names;
// Constants that are no places in the list.
mod constants;
// What all sessions of a database share.
pub mod engine;
// EXPLAIN.
mod explain;
// Expressions evaluated outside of queries.
pub mod expression;
// Select lists evaluated outside of queries.
pub mod expressions;
// Names of what is grouped by.
mod group_names;
// GROUP BY of a primary key.
mod group_keys;
// Offsets of window frames.
mod framed;
mod frames;
mod hypothetical;
// Where sqlparser's grammar is not PostgreSQL's.
mod grammar;
// Names of the columns of subqueries.
mod item_names;
// Tables and their columns, before a query is planned.
mod known;
// Numbers of sequences in sorted lists.
mod late_calls;
// FETCH FIRST before OFFSET.
mod fetch_words;
// Keys of GROUP BY as they are written.
mod group_words;
// The first terms of recursive queries.
mod first_terms;
// Positions for errors found far from the text.
mod locate;
// SELECT ... FOR UPDATE.
mod locking;
// BACKUP and SCRUB.
pub mod maintenance;
// Rows among the rows of a subquery.
mod membership;
// Tables that FROM names, and that cannot be named where they were.
mod missing_entries;
// MERGE as the parser reads it.
pub(crate) mod merge_words;
// LISTEN and NOTIFY.
pub mod notifications;
// Queries of WITH that run once.
mod once;
// The functions behind operators.
mod operator_functions;
// Wrong escapes in texts.
mod escape_errors;
// VARIADIC in calls.
mod variadic;
// Numbers in a statement's text.
mod number_words;
// ORDER BY by what the list does not show.
mod order_by;
// Relations of a query around that are called as columns inside.
mod outer_names;
// PARTITION BY and PARTITION OF, word by word.
pub(crate) mod partition_words;
// Partitions in queries and in rows that are written.
mod partitions;
// Finished plans of a statement.
pub mod plan_cache;
// Planning a statement, running what was planned.
pub mod plans;
// ANY and ALL of the rows of a subquery.
mod quantified;
// SELECT from tree to rows.
pub mod query;
#[cfg(test)]
mod query_tests;
// Rows of the views about the server's state.
pub(crate) mod reports;
// Plans of statements that come again.
mod repeated;
// What executing a statement yields.
pub mod response;
// Changes to a query's tree, names of its columns.
pub mod rewrite;
// Privileges of the one role.
mod grants;
// SET STORAGE and its like.
mod hint_words;
// What READ ONLY refuses.
mod read_only;
// Rows as values.
mod records;
// Recursion that is refused.
mod recursive_terms;
// What PostgreSQL refuses and the planner would not.
mod refusals;
// Functions written in SQL, where they are called.
mod routines;
// Several functions side by side in FROM, and columns that are listed for one.
mod rows_from;
// Large objects: descriptors, and what is done to them.
mod large_objects;
// CREATE TABLE (LIKE ...), word by word.
pub(crate) mod like_words;
// TABLESAMPLE.
mod sample;
// A query string, and where its lines begin.
mod source;
// Expressions in the planner's words.
mod spellings;
// JSON_TABLE.
mod json_table;
// The words of SQL/JSON.
mod sql_json;
// Parts of a transaction by name.
mod savepoints;
mod scrollable;
// Options of sequences, read word by word.
mod sequence_words;
// A connection's state: transaction, settings, prepared statements.
mod session;
// LOCK TABLE.
mod lock_table;
// Functions in FROM.
mod set_functions;
// Settings the program reads.
pub mod setting_ids;
// The list of settings.
pub mod setting_list;
// Values of settings in a session.
pub mod settings;
// What hidden columns hold, for the planner.
mod shapes;
// What a session shares with the plans it runs.
pub mod shared;
// Statements in parts: data-modifying WITH, locking subqueries.
pub mod staged;
// pgvector's operator classes.
pub(crate) mod operator_classes;
// Statements as the session sees them.
pub mod statement;
// Storage parameters of tables, which have no effect.
mod storage_parameters;
// Slices of arrays.
mod subscripts;
// pg_catalog and information_schema.
pub mod system;
// Tables of one name in one FROM.
mod same_names;
// ctid, and the slots by which rows are changed.
mod system_columns;
// FETCH FIRST ... WITH TIES.
mod ties;
// Where the time of statements goes: hither.timings.
pub mod timings;
// Spellings that sqlparser does not read, put otherwise before it does.
mod token_spellings;
// The transaction of a session.
pub mod transactions;
// Pieces of sqlparser's trees.
mod trees;
// Names of types in SQL text.
pub(crate) mod type_names;
// CREATE TYPE and ALTER TYPE, word by word.
mod type_words;
// Unicode escapes as the characters that they stand for.
mod unicode_escapes;
// Columns of JOIN ... USING, by their bare names.
mod using;
// Utility statements, read word by word.
pub(crate) mod utility;
// VALUES in the planner's words.
mod values;
// SET, SHOW, and looking after the database.
mod variables;
// CREATE VIEW, word by word.
mod view_words;
// Functions that answer otherwise each time.
mod volatile;
// Relations as sqlparser does not read them.
mod relation_words;
// SEARCH and CYCLE of recursive queries, and how they are read.
mod search_words;
mod searches;
mod seen_locks;
// Walks over the parser's trees, compiled once.
mod visit;
// Rows as documents.
mod whole_rows;
// Windows by their names.
mod windows;
// WITH RECURSIVE in the order of reading.
mod with_order;
// The cursor they are read with.
pub(crate) mod words;

pub use cancel::CancelFlag;
pub use databases::{Databases, Seat};
pub use engine::Engine;
pub use maintenance::time_text;
pub use notifications::Notification;
pub use repeated::Again;
pub use response::{CopyChunk, CopyFormat, CopyIn, CopyOut, Notice, Response, Rows, RowsTag, Severity};
pub use session::{Declared, OutputColumn, Prepared, Session};
pub use statement::Statement;
pub use timings::Spent;
