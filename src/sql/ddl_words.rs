//! Reading data definitions: CREATE, DROP, ALTER, COMMENT.
//!
//! Everything that plain pg_dump output contains is read here; clauses that are PostgreSQL's but not built are refused
//! by name.

use datafusion::sql::sqlparser::ast::{self, ColumnOption, CreateTableOptions, GeneratedAs};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::{ColumnHints, Deferral};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::extension::CreateExtension;
use crate::sql::foreign_key_words::{deferral, deferral_words, foreign_key};
use crate::sql::rewrite::{arguments, plain_name};
use crate::sql::sequence_words::{
    at_identity_options, converted_options, identity_options, qualified_column, sequence_options,
};
use crate::sql::statement::*;
use crate::sql::trees::query_of;
use crate::sql::type_names;
use crate::sql::visit;
use crate::sql::words::{Parsed, Words, fold, object_name, placed_name};
use crate::sql::{
    database_words, domain_words, function_words, hint_words, index_words, large_objects, like_words,
    partition_words, storage_parameters, token_spellings, type_words, utility, view_words,
};
use crate::types::Type;

/// `CREATE` what is not built, `DROP` and `ALTER` alike.
const UNSUPPORTED_OBJECTS: &[&str] = &[
    "ACCESS METHOD",
    "AGGREGATE",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "DEFAULT PRIVILEGES",
    "EVENT TRIGGER",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "GROUP",
    "LANGUAGE",
    "LARGE OBJECT",
    "OPERATOR",
    "OWNED",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "ROLE",
    "ROUTINE",
    "RULE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "SYSTEM",
    "TABLESPACE",
    "TEXT SEARCH",
    "TRANSFORM",
    "TRIGGER",
    "USER",
];

fn refuse_unsupported(w: &Words, verb: &str) -> Parsed<()> {
    match UNSUPPORTED_OBJECTS.iter().find(|object| w.at(object)) {
        Some(object) => Err(Error::unsupported(format!("{verb} {object}")).into()),
        None => Ok(()),
    }
}

// ---- CREATE ----

pub fn create(w: &mut Words) -> Parsed<Ast> {
    let at = |w: &Words, words: &str| w.at(&format!("CREATE {words}"));
    if at(w, "TABLE") {
        return create_table(w);
    }
    w.expect("CREATE")?;
    if w.at("FUNCTION") || w.at("OR REPLACE FUNCTION") {
        return function_words::create(w);
    }
    if w.at("UNLOGGED") {
        return Err(Error::unsupported("an unlogged sequence").into());
    }
    let replace = w.accept("OR REPLACE");
    refuse_unsupported(w, "CREATE")?;
    if w.at("CONSTRAINT TRIGGER") {
        return Err(Error::unsupported("CREATE TRIGGER").into());
    }
    let scoped = w.accept("LOCAL") || w.accept("GLOBAL");
    let temporary = w.accept("TEMPORARY") || w.accept("TEMP");
    if (temporary || scoped)
        && !(temporary && ["VIEW", "RECURSIVE VIEW", "SEQUENCE"].iter().any(|what| w.at(what)))
    {
        return w.unexpected("VIEW or SEQUENCE");
    }
    if w.at("VIEW") || w.at("RECURSIVE VIEW") {
        return view_words::create_view(w, replace, temporary);
    }
    if !temporary && w.accept("MATERIALIZED VIEW") {
        return view_words::create_materialized_view(w);
    }
    if w.at("UNIQUE") || w.at("INDEX") {
        return index_words::create_index(w);
    }
    if w.accept("SEQUENCE") {
        let if_not_exists = w.accept("IF NOT EXISTS");
        let name = w.name()?;
        let options = sequence_options(w)?;
        return Ok(Ast::CreateSequence(Box::new(CreateSequence { name, temporary, if_not_exists, options })));
    }
    if w.accept("EXTENSION") {
        return create_extension(w);
    }
    if w.at("DATABASE") {
        return database_words::create(w);
    }
    if w.accept("TYPE") {
        return type_words::create(w);
    }
    if w.accept("DOMAIN") {
        return domain_words::create(w);
    }
    if w.accept("SCHEMA") {
        let if_not_exists = w.accept("IF NOT EXISTS");
        // Without a name it has its owner's.
        let named = !w.at("AUTHORIZATION");
        let mut name = if named { w.identifier()? } else { String::new() };
        if w.accept("AUTHORIZATION") {
            let owner = w.identifier()?;
            name = if named { name } else { owner };
        }
        if w.at("CREATE") || w.at("GRANT") {
            return Err(Error::unsupported("CREATE SCHEMA with what it holds").into());
        }
        return Ok(Ast::CreateSchema { name, if_not_exists });
    }
    w.unexpected("an object")
}

fn create_extension(w: &mut Words) -> Parsed<Ast> {
    let if_not_exists = w.accept("IF NOT EXISTS");
    let name = w.identifier()?;
    w.accept("WITH");
    let (mut schema, mut version) = (None, None);
    loop {
        if w.accept("SCHEMA") {
            schema = Some(w.identifier()?);
        } else if w.accept("VERSION") {
            let quoted = matches!(w.peek(), Token::SingleQuotedString(_));
            version = Some(if quoted { w.string()? } else { w.identifier()? });
        } else if !w.accept("CASCADE") {
            return Ok(Ast::CreateExtension(CreateExtension { name, if_not_exists, schema, version }));
        }
    }
}

/// Without quotes where they are needless.
fn fold_name(name: &mut ast::Ident) {
    let folded = fold(name);
    *name = match crate::sql::system::quote_ident(&folded) == folded {
        true => ast::Ident::new(folded),
        false => ast::Ident::with_quote('"', folded),
    };
}

/// An expression over a table's columns as it is kept: without the table's name, which may change, and with names as the
/// catalogue has them.
pub fn kept_expression(expression: &ast::Expr) -> String {
    let mut kept = expression.clone();
    while let ast::Expr::Nested(inner) = kept {
        kept = *inner;
    }
    let _ = visit::expressions_mut(&mut kept, |part| {
        if let ast::Expr::CompoundIdentifier(parts) = part
            && let Some(name) = parts.pop()
        {
            *part = ast::Expr::Identifier(name);
        }
        match part {
            ast::Expr::Identifier(name) => fold_name(name),
            ast::Expr::Function(function) => {
                function.name.0.iter_mut().for_each(|part| {
                    if let ast::ObjectNamePart::Identifier(name) = part {
                        fold_name(name);
                    }
                });
            }
            _ => {}
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    kept.to_string()
}

pub fn collation(name: &str) -> Result<Option<String>> {
    match name {
        "default" => Ok(None),
        "C" | "POSIX" | "ucs_basic" => Ok(Some(name.to_owned())),
        _ => Err(Error::unsupported(format!("collation \"{name}\""))),
    }
}

// ---- CREATE TABLE ----

fn create_table(w: &mut Words) -> Parsed<Ast> {
    if names_columns_of_query(w)? {
        w.expect("CREATE TABLE")?;
        let if_not_exists = w.accept("IF NOT EXISTS");
        let name = w.name()?;
        let named = *w.peek() == Token::LParen;
        let columns = if named { w.parenthesised(Words::identifier)? } else { Vec::new() };
        w.expect("AS")?;
        let executed = if w.at("EXECUTE") { Some(utility::execute(w)?) } else { None };
        let query = if executed.is_some() { Box::new(query_of(Vec::new())) } else { w.query()? };
        let with_data = !w.accept("WITH NO DATA");
        w.accept("WITH DATA");
        let persistence = w.persistence;
        let table = Ast::CreateTableAs { persistence, name, if_not_exists, columns, query, with_data };
        return Ok(match executed {
            Some(executed) => Ast::CreateTableExecute(Box::new(table), Box::new(executed)),
            None => table,
        });
    }
    let ast::Statement::CreateTable(table) = w.parser.parse_statement()? else {
        return w.unexpected("CREATE TABLE");
    };
    let mut identities = Vec::new();
    for tokens in std::mem::take(&mut w.identities) {
        let mut parser = crate::sql::dialect::parser(tokens);
        let mut options = Words::of_piece(&mut parser, w.source);
        identities.push(sequence_options(&mut options)?);
        if !options.at_end() {
            return options.unexpected("an option of a sequence");
        }
    }
    let likes = like_words::clauses(w)?;
    let mut ast = convert_table(w, table, identities, likes)?;
    if let Ast::CreateTableAs { with_data, .. } = &mut ast {
        *with_data = !w.accept("WITH NO DATA");
        w.accept("WITH DATA");
    }
    Ok(ast)
}

/// Whether `CREATE TABLE t (a, b) AS` is next, which sqlparser reads as columns without types, or AS EXECUTE, which it does
/// not read. 0A000 for `CREATE TABLE t OF type`.
fn names_columns_of_query(w: &Words) -> Result<bool> {
    let token = |n: usize| &w.parser.peek_nth_token_ref(n).token;
    let mut at = if w.at("CREATE TABLE IF NOT EXISTS") { 5 } else { 2 };
    at += 1;
    while *token(at) == Token::Period {
        at += 2;
    }
    let is = |n: usize, expected: &str| match token(n) {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected),
        _ => false,
    };
    if is(at, "OF") {
        return Err(Error::unsupported("a typed table"));
    }
    if *token(at) != Token::LParen {
        return Ok(is(at, "AS") && is(at + 1, "EXECUTE"));
    }
    while matches!(token(at + 1), Token::Word(_)) {
        match token(at + 2) {
            Token::Comma => at += 2,
            Token::RParen => return Ok(is(at + 3, "AS")),
            _ => return Ok(false),
        }
    }
    Ok(false)
}

/// `identities` are the options of the identity columns in their order.
fn convert_table(
    w: &Words,
    table: ast::CreateTable,
    identities: Vec<SequenceOptions>,
    likes: Vec<LikeClause>,
) -> Result<Ast> {
    refuse_table_clauses(&table)?;
    if table.partition_of.is_some() {
        let options = storage_parameters_of(&table)?;
        return partition_words::partition(w, table, options);
    }
    let partition_by = table.partition_by.as_deref().map(partition_words::key).transpose()?;
    let name = placed_name(w.source, &table.name);
    let storage_parameters = storage_parameters_of(&table)?;
    if let Some(query) = table.query {
        if !storage_parameters.is_empty() {
            return Err(Error::unsupported("a storage parameter with AS"));
        }
        let columns = table.columns.iter().map(|column| fold(&column.name)).collect();
        return Ok(Ast::CreateTableAs {
            persistence: w.persistence,
            name,
            if_not_exists: table.if_not_exists,
            columns,
            query,
            with_data: true,
        });
    }
    let mut constraints = Vec::new();
    let mut columns = Vec::with_capacity(table.columns.len());
    let mut identities = identities.into_iter();
    let mut clauses = likes.into_iter();
    let mut likes = Vec::new();
    for column in &table.columns {
        if like_words::stands_for_clause(column) {
            likes.extend(clauses.next().map(|clause| (columns.len(), clause)));
            continue;
        }
        let mut definition = column_definition(column, &mut constraints)?;
        if let Some((_, options)) = &mut definition.identity {
            *options = identities.next().unwrap_or_default();
        }
        columns.push(definition);
    }
    for constraint in &table.constraints {
        constraints.push(table_constraint(constraint)?);
    }
    let if_not_exists = table.if_not_exists;
    Ok(Ast::CreateTable(Box::new(CreateTable {
        name,
        if_not_exists,
        persistence: w.persistence,
        columns,
        likes,
        constraints,
        partition_by,
        storage_parameters,
    })))
}

fn refuse_table_clauses(table: &ast::CreateTable) -> Result<()> {
    let refused = [
        (table.or_replace, "CREATE OR REPLACE TABLE"),
        (table.temporary, "a temporary table"),
        (table.external, "an external table"),
        (table.like.is_some(), "CREATE TABLE LIKE"),
        (table.clone.is_some(), "CREATE TABLE CLONE"),
        (table.on_commit.is_some(), "ON COMMIT"),
        (table.inherits.is_some(), "table inheritance"),
        (table.partition_by.is_some() && table.query.is_some(), "PARTITION BY with AS"),
        (table.without_rowid || table.strict, "this form of CREATE TABLE"),
        (table.location.is_some() || table.file_format.is_some(), "this form of CREATE TABLE"),
    ];
    if let Some((_, what)) = refused.iter().find(|(present, _)| *present) {
        return Err(Error::unsupported(what));
    }
    match &table.table_options {
        CreateTableOptions::None | CreateTableOptions::With(_) => Ok(()),
        _ => Err(Error::unsupported("this form of CREATE TABLE")),
    }
}

fn storage_parameters_of(table: &ast::CreateTable) -> Result<Vec<(String, String)>> {
    match &table.table_options {
        CreateTableOptions::With(options) => storage_parameters::of_options(options),
        _ => Ok(Vec::new()),
    }
}

fn column_definition(
    column: &ast::ColumnDef,
    constraints: &mut Vec<TableConstraint>,
) -> Result<ColumnDefinition> {
    let name = fold(&column.name);
    let ty = type_names::column_type(&column.data_type)?;
    let not_null = matches!(ty, ColumnType::Serial(_));
    let mut definition = ColumnDefinition {
        name,
        ty,
        collation: None,
        not_null,
        default: None,
        identity: None,
        generated: None,
        hints: ColumnHints::default(),
    };
    for option in &column.options {
        column_option(&mut definition, option, constraints)?;
    }
    Ok(definition)
}

fn column_option(
    definition: &mut ColumnDefinition,
    option: &ast::ColumnOptionDef,
    constraints: &mut Vec<TableConstraint>,
) -> Result<()> {
    let name = option.name.as_ref().map(fold);
    let column = definition.name.clone();
    let mut add = |kind, deferral| {
        constraints.push(TableConstraint { name: name.clone(), kind, included: Vec::new(), deferral });
    };
    match &option.option {
        ColumnOption::Null => {}
        ColumnOption::NotNull => definition.not_null = true,
        ColumnOption::Default(expression) => {
            if definition.default.is_some() {
                let message = format!("multiple default values specified for column \"{column}\"");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            definition.default = Some(expression.to_string());
        }
        ColumnOption::PrimaryKey(key) => {
            add(ConstraintKind::PrimaryKey(vec![column]), deferral(&key.characteristics)?);
        }
        ColumnOption::Unique(key) => {
            let kind = ConstraintKind::Unique { columns: vec![column], nulls_equal: nulls_equal(key) };
            add(kind, deferral(&key.characteristics)?);
        }
        ColumnOption::Check(check) => {
            add(condition(&check.expr), Deferral::Never);
        }
        ColumnOption::Collation(collation_name) => {
            definition.collation = collation(&object_name(collation_name).name)?;
        }
        ColumnOption::Generated { generated_as, sequence_options, generation_expr: None, .. } => {
            let kind = match generated_as {
                GeneratedAs::Always => IdentityKind::Always,
                GeneratedAs::ByDefault => IdentityKind::ByDefault,
                GeneratedAs::ExpStored => return Err(Error::unsupported("a generated column")),
            };
            definition.identity =
                Some((kind, converted_options(sequence_options.as_deref().unwrap_or(&[]))?));
            definition.not_null = true;
        }
        ColumnOption::Generated {
            generation_expr: Some(expression),
            generation_expr_mode,
            generated_as,
            ..
        } => {
            let is_virtual = matches!(generation_expr_mode, Some(ast::GeneratedExpressionMode::Virtual));
            if is_virtual || !matches!(generated_as, GeneratedAs::ExpStored | GeneratedAs::Always) {
                return Err(Error::unsupported("a generated column that is not stored"));
            }
            definition.generated = Some(kept_expression(expression));
        }
        ColumnOption::ForeignKey(key) => {
            add(ConstraintKind::ForeignKey(foreign_key(key, vec![column])?), Deferral::Never);
        }
        other => return Err(Error::unsupported(format!("column option {other}"))),
    }
    Ok(())
}

/// Whether an expression is NULL without more ado in a column of this type, which as a default is none; where the type
/// has a length to be fitted into, or is a domain's, which may have another default, PostgreSQL keeps it.
pub fn is_null_of(expression: &ast::Expr, ty: &Type) -> bool {
    match expression {
        ast::Expr::Nested(inner) => is_null_of(inner, ty),
        ast::Expr::Cast { expr: inner, data_type, .. } => {
            type_names::resolve(data_type).is_ok_and(|cast| cast == *ty) && is_null_of(inner, ty)
        }
        ast::Expr::Value(value) => value.value == ast::Value::Null && ty.typmod() < 0,
        _ => false,
    }
}

fn table_constraint(constraint: &ast::TableConstraint) -> Result<TableConstraint> {
    let (mut included, mut checked) = (Vec::new(), Deferral::Never);
    let (name, kind) = match constraint {
        ast::TableConstraint::PrimaryKey(key) => {
            let (columns, more) = included_columns(&key.columns)?;
            included = more;
            checked = deferral(&key.characteristics)?;
            (&key.name, ConstraintKind::PrimaryKey(plain_columns(columns)?))
        }
        ast::TableConstraint::Unique(unique) => {
            let (columns, more) = included_columns(&unique.columns)?;
            included = more;
            checked = deferral(&unique.characteristics)?;
            let columns = plain_columns(columns)?;
            (&unique.name, ConstraintKind::Unique { columns, nulls_equal: nulls_equal(unique) })
        }
        ast::TableConstraint::Check(check) => (&check.name, condition(&check.expr)),
        ast::TableConstraint::ForeignKey(key) => {
            let columns = key.columns.iter().map(fold).collect();
            (&key.name, ConstraintKind::ForeignKey(foreign_key(key, columns)?))
        }
        ast::TableConstraint::PrimaryKeyUsingIndex(using) => {
            checked = deferral(&using.characteristics)?;
            (&using.name, ConstraintKind::UsingIndex { index: fold(&using.index_name), primary: true })
        }
        ast::TableConstraint::UniqueUsingIndex(using) => {
            checked = deferral(&using.characteristics)?;
            (&using.name, ConstraintKind::UsingIndex { index: fold(&using.index_name), primary: false })
        }
        other => return Err(Error::unsupported(format!("table constraint {other}"))),
    };
    Ok(TableConstraint { name: name.as_ref().map(fold), kind, included, deferral: checked })
}

/// A CHECK; NO INHERIT has become a last alternative (`token_spellings`).
fn condition(expression: &ast::Expr) -> ConstraintKind {
    match expression {
        ast::Expr::BinaryOp { left, op: ast::BinaryOperator::Or, right } if matches!(&**right, ast::Expr::Identifier(name) if name.value == token_spellings::NO_INHERIT) => {
            ConstraintKind::Check { sql: left.to_string(), no_inherit: true }
        }
        _ => ConstraintKind::Check { sql: expression.to_string(), no_inherit: false },
    }
}

fn nulls_equal(key: &ast::UniqueConstraint) -> bool {
    matches!(key.nulls_distinct, ast::NullsDistinctOption::NotDistinct)
}

/// The columns of a key without those of INCLUDE, and the latter: `token_spellings` makes a call of them.
fn included_columns(columns: &[ast::IndexColumn]) -> Result<(&[ast::IndexColumn], Vec<String>)> {
    let Some((last, others)) = columns.split_last() else { return Ok((columns, Vec::new())) };
    let ast::Expr::Function(call) = &last.column.expr else { return Ok((columns, Vec::new())) };
    if plain_name(call).as_deref() != Some(token_spellings::INCLUDED) {
        return Ok((columns, Vec::new()));
    }
    let names = arguments(call).into_iter().flatten().map(|argument| match argument {
        ast::Expr::Identifier(name) => Ok(fold(&name)),
        _ => Err(Error::unsupported("expressions in included columns")),
    });
    Ok((others, names.collect::<Result<_>>()?))
}

fn plain_columns(columns: &[ast::IndexColumn]) -> Result<Vec<String>> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            ast::Expr::Identifier(identifier) => Ok(fold(identifier)),
            other => Err(Error::unsupported(format!("a constraint on the expression {other}"))),
        })
        .collect()
}

// ---- DROP ----

pub fn drop(w: &mut Words) -> Parsed<Ast> {
    w.expect("DROP")?;
    if w.at("FUNCTION") || w.at("ROUTINE") {
        return function_words::drop(w);
    }
    if w.at("DATABASE") {
        return database_words::drop(w);
    }
    let kind = if w.accept("TABLE") {
        ObjectKind::Table
    } else if w.accept("INDEX") {
        ObjectKind::Index
    } else if w.accept("SEQUENCE") {
        ObjectKind::Sequence
    } else if w.accept("EXTENSION") {
        ObjectKind::Extension
    } else if w.accept("SCHEMA") {
        ObjectKind::Schema
    } else if w.accept("VIEW") {
        ObjectKind::View
    } else if w.accept("MATERIALIZED VIEW") {
        ObjectKind::MaterializedView
    } else if w.accept("TYPE") {
        ObjectKind::Type
    } else if w.accept("DOMAIN") {
        ObjectKind::Domain
    } else {
        refuse_unsupported(w, "DROP")?;
        return w.unexpected("an object");
    };
    let concurrently = kind == ObjectKind::Index && w.accept("CONCURRENTLY");
    let if_exists = w.accept("IF EXISTS");
    let names = w.names()?;
    let cascade = cascade(w);
    Ok(Ast::Drop(Drop { kind, names, if_exists, cascade, concurrently }))
}

// ---- ALTER ----

pub fn alter(w: &mut Words) -> Parsed<Ast> {
    w.expect("ALTER")?;
    if w.at("FUNCTION") || w.at("ROUTINE") {
        return function_words::alter(w);
    }
    if w.at("DATABASE") {
        return database_words::alter(w);
    }
    if w.accept("TABLE") {
        return alter_table(w);
    }
    if w.accept("TYPE") {
        return type_words::alter(w);
    }
    if w.accept("DOMAIN") {
        return domain_words::alter(w);
    }
    if w.accept("SEQUENCE") {
        return alter_sequence(w);
    }
    if w.accept("VIEW") {
        return view_words::alter(w, ObjectKind::View);
    }
    if w.accept("MATERIALIZED VIEW") {
        return view_words::alter(w, ObjectKind::MaterializedView);
    }
    if w.accept("INDEX") {
        let if_exists = w.accept("IF EXISTS");
        let name = w.name()?;
        if w.accept("RENAME TO") {
            return Ok(Ast::Rename { kind: ObjectKind::Index, name, if_exists, to: w.identifier()? });
        }
        if w.accept("ATTACH PARTITION") {
            return Ok(Ast::AttachIndex(name, w.name()?));
        }
        return Err(Error::unsupported("ALTER INDEX other than RENAME and ATTACH PARTITION").into());
    }
    for (words, tag) in [("SCHEMA", "ALTER SCHEMA"), ("EXTENSION", "ALTER EXTENSION")] {
        if w.accept(words) {
            let name = w.name()?;
            if words == "SCHEMA" && w.accept("RENAME TO") {
                let to = w.identifier()?;
                return Ok(Ast::Rename { kind: ObjectKind::Schema, name, if_exists: false, to });
            }
            if w.accept("OWNER TO") {
                let owner = w.identifier()?;
                return Ok(Ast::AlterOwner { kind: tag, name, owner, if_exists: false });
            }
            return Err(Error::unsupported(format!("{tag} of this form")).into());
        }
    }
    if w.accept("LARGE OBJECT") {
        let name = large_objects::object(w)?;
        w.expect("OWNER TO")?;
        let owner = w.identifier()?;
        return Ok(Ast::AlterOwner { kind: "ALTER LARGE OBJECT", name, owner, if_exists: false });
    }
    refuse_unsupported(w, "ALTER")?;
    w.unexpected("an object")
}

fn alter_sequence(w: &mut Words) -> Parsed<Ast> {
    let if_exists = w.accept("IF EXISTS");
    let name = w.name()?;
    if w.accept("OWNER TO") {
        let owner = w.identifier()?;
        return Ok(Ast::AlterOwner { kind: "ALTER SEQUENCE", name, owner, if_exists });
    }
    if w.accept("RENAME TO") {
        return Ok(Ast::Rename { kind: ObjectKind::Sequence, name, if_exists, to: w.identifier()? });
    }
    if w.accept("SET SCHEMA") {
        return Ok(Ast::SetSchema { kind: ObjectKind::Sequence, name, if_exists, schema: w.identifier()? });
    }
    if w.at("SET") {
        return Err(Error::unsupported("ALTER SEQUENCE SET").into());
    }
    Ok(Ast::AlterSequence(AlterSequence { name, if_exists, options: sequence_options(w)? }))
}

fn alter_table(w: &mut Words) -> Parsed<Ast> {
    let if_exists = w.accept("IF EXISTS");
    let only = w.accept("ONLY");
    let name = w.name()?;
    if w.accept("RENAME TO") {
        return Ok(Ast::Rename { kind: ObjectKind::Table, name, if_exists, to: w.identifier()? });
    }
    if w.accept("SET SCHEMA") {
        return Ok(Ast::SetSchema { kind: ObjectKind::Table, name, if_exists, schema: w.identifier()? });
    }
    let actions = w.list(alter_action)?;
    Ok(Ast::AlterTable(AlterTable { kind: ObjectKind::Table, name, if_exists, only, actions }))
}

pub fn alter_action(w: &mut Words) -> Parsed<AlterAction> {
    if w.accept("RENAME CONSTRAINT") {
        let name = w.identifier()?;
        w.expect("TO")?;
        return Ok(AlterAction::RenameConstraint { name, to: w.identifier()? });
    }
    if w.accept("RENAME") {
        w.accept("COLUMN");
        let name = w.identifier()?;
        w.expect("TO")?;
        return Ok(AlterAction::RenameColumn { name, to: w.identifier()? });
    }
    if w.accept("OWNER TO") {
        return Ok(AlterAction::OwnerTo(w.identifier()?));
    }
    if w.accept("ADD") {
        return add_action(w);
    }
    if w.accept("DROP CONSTRAINT") {
        let if_exists = w.accept("IF EXISTS");
        let name = w.identifier()?;
        return Ok(AlterAction::DropConstraint { name, if_exists, cascade: cascade(w) });
    }
    if w.accept("DROP") {
        w.accept("COLUMN");
        let if_exists = w.accept("IF EXISTS");
        let name = w.identifier()?;
        return Ok(AlterAction::DropColumn { name, if_exists, cascade: cascade(w) });
    }
    if w.accept("ALTER CONSTRAINT") {
        let name = w.identifier()?;
        return Ok(AlterAction::AlterConstraint { name, deferral: deferral_words(w)? });
    }
    if w.accept("ALTER") {
        w.accept("COLUMN");
        let column = w.identifier()?;
        return alter_column(w, column);
    }
    if let Some(action) = hint_words::of_table(w)? {
        return Ok(action);
    }
    if w.accept("VALIDATE CONSTRAINT") {
        return Ok(AlterAction::ValidateConstraint(w.identifier()?));
    }
    if w.accept("ATTACH PARTITION") {
        return partition_words::attach(w);
    }
    if w.accept("DETACH PARTITION") {
        return partition_words::detach(w);
    }
    let in_brackets = *w.peek_nth(1) == Token::LParen;
    if in_brackets && (w.at("SET") || w.at("RESET")) {
        return Ok(AlterAction::StorageParameters(storage_parameters::changed(
            w,
            storage_parameters::check,
        )?));
    }
    for what in
        ["ENABLE", "DISABLE", "FORCE", "NO FORCE", "SET", "RESET", "INHERIT", "NO INHERIT", "OF", "NOT OF"]
    {
        if w.at(what) {
            return Err(Error::unsupported(format!("ALTER TABLE {what}")).into());
        }
    }
    w.unexpected("an action")
}

/// `[CASCADE | RESTRICT]`
fn cascade(w: &mut Words) -> bool {
    let cascade = w.accept("CASCADE");
    if !cascade {
        w.accept("RESTRICT");
    }
    cascade
}

fn add_action(w: &mut Words) -> Parsed<AlterAction> {
    let constraint = ["CONSTRAINT", "PRIMARY KEY", "UNIQUE", "CHECK", "FOREIGN KEY", "EXCLUDE"];
    if constraint.iter().any(|words| w.at(words)) {
        if w.at("EXCLUDE") {
            return Err(Error::unsupported("an exclusion constraint").into());
        }
        let Some(parsed) = w.parser.parse_optional_table_constraint()? else {
            return w.unexpected("a constraint");
        };
        let not_valid = w.accept("NOT VALID");
        return Ok(AlterAction::AddConstraint { constraint: table_constraint(&parsed)?, not_valid });
    }
    w.accept("COLUMN");
    let if_not_exists = w.accept("IF NOT EXISTS");
    let column = w.parser.parse_column_def()?;
    let mut constraints = Vec::new();
    let definition = Box::new(column_definition(&column, &mut constraints)?);
    Ok(AlterAction::AddColumn { definition, constraints, if_not_exists })
}

fn alter_column(w: &mut Words, column: String) -> Parsed<AlterAction> {
    if w.accept("SET DEFAULT") {
        let start = w.location();
        w.expression()?;
        return Ok(AlterAction::SetDefault { column, default: Some(w.text_since(start)) });
    }
    if w.accept("DROP DEFAULT") {
        return Ok(AlterAction::SetDefault { column, default: None });
    }
    if w.accept("SET NOT NULL") {
        return Ok(AlterAction::SetNotNull { column, not_null: true });
    }
    if w.accept("DROP NOT NULL") {
        return Ok(AlterAction::SetNotNull { column, not_null: false });
    }
    if w.accept("ADD GENERATED") {
        let kind = if w.accept("ALWAYS") {
            IdentityKind::Always
        } else {
            w.expect("BY DEFAULT")?;
            IdentityKind::ByDefault
        };
        w.expect("AS IDENTITY")?;
        let mut options = SequenceOptions::default();
        if w.accept_token(&Token::LParen) {
            options = sequence_options(w)?;
            w.expect_token(&Token::RParen)?;
        }
        return Ok(AlterAction::AddIdentity { column, kind, options });
    }
    if at_identity_options(w) {
        let (kind, options) = identity_options(w)?;
        return Ok(AlterAction::SetIdentity { column, kind, options });
    }
    if w.accept("DROP IDENTITY") {
        return Ok(AlterAction::DropIdentity { column, if_exists: w.accept("IF EXISTS") });
    }
    if w.accept("DROP EXPRESSION") {
        return Ok(AlterAction::DropExpression { column, if_exists: w.accept("IF EXISTS") });
    }
    if w.accept("SET EXPRESSION AS") {
        w.expect_token(&Token::LParen)?;
        let sql = kept_expression(&w.expression()?);
        w.expect_token(&Token::RParen)?;
        return Ok(AlterAction::SetExpression { column, sql });
    }
    if let Some(hint) = hint_words::of_column(w)? {
        return Ok(AlterAction::ColumnHint { column, hint });
    }
    if w.accept("TYPE") || w.accept("SET DATA TYPE") {
        let data_type = w.parser.parse_data_type()?;
        let ty = match type_names::column_type(&data_type)? {
            // It is no type, but what a new column may be called.
            ColumnType::Serial(_) => ColumnType::Plain(type_names::resolve(&data_type)?),
            ty => ty,
        };
        let collation = if w.accept("COLLATE") { collation(&w.name()?.name)? } else { None };
        let using = if w.accept("USING") { Some(w.expression()?.to_string()) } else { None };
        return Ok(AlterAction::SetType { column, ty, collation, using });
    }
    w.unexpected("an action")
}

// ---- COMMENT ----

pub fn comment(w: &mut Words) -> Parsed<Ast> {
    w.expect("COMMENT ON")?;
    if w.at("FUNCTION") {
        return function_words::comment(w);
    }
    if w.accept("LARGE OBJECT") {
        let name = large_objects::object(w)?;
        return Ok(Ast::Comment { kind: "LARGE OBJECT".into(), name, column: None, text: comment_text(w)? });
    }
    let Some(kind) = w.word() else { return w.unexpected("an object") };
    let kind = if kind == "MATERIALIZED" && w.accept("VIEW") { "MATERIALIZED VIEW".into() } else { kind };
    let (name, column) = match kind.as_str() {
        "TABLE" | "MATERIALIZED VIEW" | "INDEX" | "SEQUENCE" | "SCHEMA" | "EXTENSION" | "VIEW" | "TYPE"
        | "DOMAIN" => (w.name()?, None),
        "COLUMN" => {
            let (table, column) = qualified_column(w)?;
            (table, Some(column))
        }
        "CONSTRAINT" => {
            let constraint = w.identifier()?;
            w.expect("ON")?;
            if w.accept("DOMAIN") {
                return Err(Error::unsupported("COMMENT ON CONSTRAINT of a domain").into());
            }
            (w.name()?, Some(constraint))
        }
        _ => return Err(Error::unsupported(format!("COMMENT ON {kind}")).into()),
    };
    Ok(Ast::Comment { kind, name, column, text: comment_text(w)? })
}

fn comment_text(w: &mut Words) -> Parsed<Option<String>> {
    w.expect("IS")?;
    Ok(if w.accept("NULL") { None } else { Some(w.string()?) })
}
