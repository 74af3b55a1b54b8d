//! CREATE TABLE.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use futures::StreamExt;

use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind as StoredKind, DefaultExpr, Deferral, ForeignKey, Generated,
    Identity, Oid, Relation, Sequence, Table, TableKind,
};
use crate::database::OnConflict;
use crate::error::{Error, Result, SqlState};
use crate::sql::arguments::with_constants;
use crate::sql::ddl::foreign_keys::check_types;
use crate::sql::ddl::names::Namer;
use crate::sql::ddl::partition::{check_unique, partitioning};
use crate::sql::ddl::references::columns_of;
use crate::sql::ddl::sequence::new_sequence;
use crate::sql::ddl::temporary::set_persistence;
use crate::sql::ddl_words::is_null_of;
use crate::sql::dialect;
use crate::sql::dml::defaults::DefaultValue;
use crate::sql::dml::generated::{Place, check_kept};
use crate::sql::dml::rows::Checks;
use crate::sql::query::Query;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::shared::undefined_relation;
use crate::sql::statement::{
    Ast, ColumnDefinition, ColumnType, ConstraintKind, CreateTable, ForeignKeyDefinition, IdentityKind, Name,
    Persistence, TableConstraint,
};
use crate::sql::storage_parameters;
use crate::sql::system_columns;
use crate::types::arrow::value_at;
use crate::types::{Type, Value};

/// Columns of a table at most, as in PostgreSQL.
const COLUMNS_MAX: usize = 1_600;

/// Makes a definition out of what a statement says.
pub struct Builder<'a> {
    pub table: Table,
    pub sequences: Vec<Sequence>,
    namer: Namer<'a>,
    new_oid: &'a dyn Fn() -> Result<Oid>,
    catalog: &'a Catalog,
    /// Where referenced tables are looked for.
    search_path: &'a [String],
}

impl<'a> Builder<'a> {
    pub fn new(
        catalog: &'a Catalog,
        schema: &'a str,
        name: &str,
        search_path: &'a [String],
        new_oid: &'a dyn Fn() -> Result<Oid>,
    ) -> Result<Builder<'a>> {
        let table = Table {
            oid: new_oid()?,
            schema: schema.into(),
            name: name.into(),
            storage: 0,
            columns: Vec::new(),
            hidden: Vec::new(),
            dropped: Vec::new(),
            constraints: Vec::new(),
            kind: TableKind::Ordinary,
            comment: None,
            comments: Vec::new(),
            materialized: None,
            temporary: None,
            unlogged: false,
            options: Vec::new(),
            replica_identity: None,
            partitioning: None,
            part: None,
        };
        let mut namer = Namer::new(catalog, schema);
        namer.reserve(name);
        Ok(Builder { table, sequences: Vec::new(), namer, new_oid, catalog, search_path })
    }

    /// Goes on from a table that exists.
    pub fn of(
        catalog: &'a Catalog,
        table: &'a Table,
        search_path: &'a [String],
        new_oid: &'a dyn Fn() -> Result<Oid>,
    ) -> Builder<'a> {
        let namer = Namer::new(catalog, &table.schema);
        Builder { table: table.clone(), sequences: Vec::new(), namer, new_oid, catalog, search_path }
    }

    pub fn add_column(&mut self, definition: &ColumnDefinition) -> Result<()> {
        if usize::from(self.table.next_number()) > COLUMNS_MAX {
            let message = format!("tables can have at most {COLUMNS_MAX} columns");
            return Err(Error::new(SqlState("54011"), message));
        }
        if self.table.column(&definition.name).is_some() {
            let message = format!("column \"{}\" specified more than once", definition.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        system_columns::refuse_name(&definition.name)?;
        let ty = &definition.ty.resolve(self.catalog, self.search_path)?;
        check_column_type(&definition.name, ty)?;
        check_collation(ty, definition.collation.as_deref())?;
        let number = self.table.next_number();
        let domain = definition.ty.domain(self.catalog, self.search_path);
        let mut default = definition.default.clone();
        if let Some(sql) = &default
            && domain.is_none()
            && is_null_of(&dialect::parse_expression(sql)?, ty)
        {
            default = None;
        }
        let mut column = Column {
            domain,
            collation: definition.collation.clone(),
            not_null: definition.not_null,
            default: default.map(|sql| DefaultExpr { sql }),
            generated: definition.generated.clone().map(|sql| Generated { sql, guard: None }),
            hints: definition.hints.clone(),
            ..Column::new(number, &definition.name, ty.clone())
        };
        check_generated(&column, definition, &self.table.name)?;
        if let ColumnType::Serial(_) = definition.ty {
            if column.default.is_some() {
                let message = format!("multiple default values specified for column \"{}\"", column.name);
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            let name = self.add_sequence(&mut column, &Default::default())?;
            column.default = Some(DefaultExpr { sql: nextval_of(&name) });
        }
        if let Some((kind, options)) = &definition.identity {
            check_identity(&column)?;
            self.add_sequence(&mut column, options)?;
            column.identity = Some(stored_identity(*kind));
        }
        self.table.columns.push(column);
        Ok(())
    }

    /// A sequence of the column's own; its name.
    pub fn add_sequence(
        &mut self,
        column: &mut Column,
        options: &crate::sql::statement::SequenceOptions,
    ) -> Result<String> {
        let name = match &options.name {
            Some(name) => name.name.clone(),
            None => self.namer.relation(&self.table.name, &column.name, "seq"),
        };
        let oid = (self.new_oid)()?;
        let mut sequence = new_sequence(oid, &self.table.schema, &name, column.ty.clone(), options)?;
        sequence.owned_by = Some((self.table.oid, column.number));
        column.sequence = Some(oid);
        self.sequences.push(sequence);
        Ok(name)
    }

    pub fn add_constraint(&mut self, constraint: &TableConstraint) -> Result<()> {
        let kind = match &constraint.kind {
            ConstraintKind::PrimaryKey(columns) => {
                if self.table.primary_key().is_some() {
                    let message =
                        format!("multiple primary keys for table \"{}\" are not allowed", self.table.name);
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
                let columns = self.key_columns(columns)?;
                check_unique(&self.table, &columns, true)?;
                for &number in &columns {
                    if let Some(position) = self.table.position(number) {
                        self.table.columns[position].not_null = true;
                    }
                }
                StoredKind::PrimaryKey { columns }
            }
            ConstraintKind::Unique { columns, nulls_equal } => {
                let columns = self.key_columns(columns)?;
                check_unique(&self.table, &columns, false)?;
                StoredKind::Unique { columns, nulls_equal: *nulls_equal }
            }
            ConstraintKind::Check { no_inherit: true, .. } if self.table.is_partitioned() => {
                let message =
                    format!("cannot add NO INHERIT constraint to partitioned table \"{}\"", self.table.name);
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            ConstraintKind::Check { sql, .. } => StoredKind::Check { sql: sql.clone() },
            ConstraintKind::UsingIndex { .. } => {
                let message = "cannot use an existing index in CREATE TABLE";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            ConstraintKind::ForeignKey(definition) => {
                StoredKind::ForeignKey(self.foreign_key(definition, constraint.name.as_deref())?)
            }
        };
        let name = match &constraint.name {
            Some(name) => self.own_name(name, &kind)?,
            None => self.generated_name(&constraint.kind, &constraint.included),
        };
        if !constraint.deferral.is_never() && self.table.is_partitioned() {
            return Err(Error::unsupported("a deferrable key of a partitioned table"));
        }
        let included = self.column_numbers(&constraint.included)?;
        let oid = (self.new_oid)()?;
        let deferral = constraint.deferral;
        let no_inherit = matches!(constraint.kind, ConstraintKind::Check { no_inherit: true, .. });
        let constraint = Constraint { included, no_inherit, deferral, ..Constraint::new(oid, name, kind) };
        self.table.constraints.push(constraint);
        Ok(())
    }

    fn own_name(&mut self, name: &str, _kind: &StoredKind) -> Result<String> {
        if self.table.constraints.iter().any(|constraint| constraint.name == name) {
            let message =
                format!("constraint \"{name}\" for relation \"{}\" already exists", self.table.name);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        self.namer.reserve(name);
        Ok(name.to_string())
    }

    fn generated_name(&mut self, kind: &ConstraintKind, included: &[String]) -> String {
        let table = self.table.name.clone();
        match kind {
            ConstraintKind::PrimaryKey(_) => self.namer.relation(&table, "", "pkey"),
            ConstraintKind::UsingIndex { index, .. } => index.clone(),
            ConstraintKind::Unique { columns, .. } => {
                self.namer.relation(&table, &[columns, included].concat().join("_"), "key")
            }
            ConstraintKind::ForeignKey(definition) => {
                self.namer.constraint(&self.table, &table, &definition.columns.join("_"), "fkey")
            }
            // Of the columns it names, wherever it is written.
            ConstraintKind::Check { sql, .. } => {
                let column = only_column(sql, &self.table).unwrap_or_default();
                self.namer.constraint(&self.table, &table, &column, "check")
            }
        }
    }

    fn foreign_key(&self, definition: &ForeignKeyDefinition, name: Option<&str>) -> Result<ForeignKey> {
        let own = definition.table.name == self.table.name
            && definition.table.schema.as_ref().is_none_or(|schema| *schema == self.table.schema);
        let found = match own {
            true => Some(Arc::new(self.table.clone())),
            false => match self.find(&definition.table) {
                Some(Relation::Table(table)) => Some(table),
                Some(Relation::Partition(_)) => {
                    return Err(Error::unsupported("a foreign key that refers to a partition"));
                }
                Some(_) => {
                    let message = format!("referenced relation \"{}\" is not a table", definition.table.name);
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
                None => None,
            },
        };
        let parent = found.ok_or_else(|| undefined_relation(&definition.table))?;
        refuse_shorter_life(&self.table, &parent)?;
        let columns = columns_named(&self.table, &definition.columns)?;
        refuse_actions_on_generated(&self.table, &columns, definition)?;
        let set_on_delete = columns_named(&self.table, &definition.set_on_delete)?;
        if let Some(place) = set_on_delete.iter().position(|number| !columns.contains(number)) {
            let message = format!(
                "column \"{}\" referenced in ON DELETE SET action must be part of foreign key",
                definition.set_on_delete[place]
            );
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
        }
        let referenced = match definition.referenced.as_slice() {
            [] => parent.primary_key().map(<[u16]>::to_vec).ok_or_else(|| {
                let message = format!("there is no primary key for referenced table \"{}\"", parent.name);
                Error::new(SqlState::UNDEFINED_OBJECT, message)
            })?,
            names => columns_named(&parent, names)?,
        };
        if columns.len() != referenced.len() {
            let message = "number of referencing and referenced columns for foreign key disagree";
            return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message));
        }
        let same = |key: &[u16]| key.len() == referenced.len() && key.iter().all(|c| referenced.contains(c));
        let unique = parent.constraints.iter().any(|constraint| match &constraint.kind {
            StoredKind::PrimaryKey { columns } | StoredKind::Unique { columns, .. } => same(columns),
            _ => false,
        });
        if !unique && self.catalog.unique_index_on(parent.oid, &referenced).is_none() {
            let message = format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                parent.name
            );
            return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message));
        }
        refuse_full_and_deferrable(definition.full, columns.len(), definition.deferral)?;
        let made_up = format!("{}_{}_fkey", self.table.name, definition.columns.join("_"));
        check_types(name.unwrap_or(&made_up), (&self.table, &columns), (&parent, &referenced))?;
        Ok(ForeignKey {
            columns,
            table: parent.oid,
            referenced,
            on_delete: definition.on_delete,
            set_on_delete,
            on_update: definition.on_update,
            deferral: definition.deferral,
            full: definition.full,
        })
    }

    fn find(&self, name: &Name) -> Option<Relation> {
        match &name.schema {
            Some(schema) => self.catalog.relation(schema, &name.name),
            None => self.search_path.iter().find_map(|schema| self.catalog.relation(schema, &name.name)),
        }
    }

    /// The columns of INCLUDE, which may be of any type.
    fn column_numbers(&self, names: &[String]) -> Result<Vec<u16>> {
        let number = |name: &String| {
            let message = || format!("column \"{name}\" named in key does not exist");
            let column = self.table.column(name);
            let column = column.ok_or_else(|| Error::new(SqlState::UNDEFINED_COLUMN, message()))?;
            Ok(column.number)
        };
        names.iter().map(number).collect()
    }

    fn key_columns(&self, names: &[String]) -> Result<Vec<u16>> {
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            let column = self.table.column(name).ok_or_else(|| {
                let message = format!("column \"{name}\" named in key does not exist");
                Error::new(SqlState::UNDEFINED_COLUMN, message)
            })?;
            if matches!(column.ty, Type::Json) {
                let message = "data type json has no default operator class for access method \"btree\"";
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
            if column.ty.is_pgvectors() || column.ty.is_slot_vector() {
                return Err(Error::unsupported(format!("a key on type {}", column.ty)));
            }
            if numbers.contains(&column.number) {
                let message = format!("column \"{name}\" appears twice in key");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            numbers.push(column.number);
        }
        Ok(numbers)
    }
}

/// What a row refers to is there as long as the row.
fn refuse_shorter_life(table: &Table, parent: &Table) -> Result<()> {
    let is_temporary = parent.temporary.is_some();
    let (refused, what, only) = match (table.temporary.is_some(), table.unlogged) {
        (true, _) => (!is_temporary, "temporary", "temporary"),
        (_, true) => (is_temporary, "unlogged", "permanent or unlogged"),
        _ => (is_temporary || parent.unlogged, "permanent", "permanent"),
    };
    if !refused {
        return Ok(());
    }
    let message = format!("constraints on {what} tables may reference only {only} tables");
    Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message))
}

/// Rows whose keys are checked later are found by what they refer to, which one with a NULL in it does not.
pub(super) fn refuse_full_and_deferrable(full: bool, columns: usize, deferral: Deferral) -> Result<()> {
    match full && columns > 1 && deferral != Deferral::Never {
        true => Err(Error::unsupported("a deferrable foreign key of several columns with MATCH FULL")),
        false => Ok(()),
    }
}

/// What a foreign key would write to its columns, nobody can write to a generated one.
fn refuse_actions_on_generated(
    table: &Table,
    columns: &[u16],
    definition: &ForeignKeyDefinition,
) -> Result<()> {
    use crate::catalog::ReferentialAction::{Cascade, SetDefault, SetNull};
    let is_generated = |number: &u16| table.column_number(*number).is_some_and(|c| c.generated.is_some());
    let refused = match (definition.on_update, definition.on_delete) {
        _ if !columns.iter().any(is_generated) => return Ok(()),
        (SetNull | SetDefault | Cascade, _) => "ON UPDATE",
        (_, SetNull | SetDefault) => "ON DELETE",
        _ => return Ok(()),
    };
    let message = format!("invalid {refused} action for foreign key constraint containing generated column");
    Err(Error::new(SqlState::SYNTAX_ERROR, message))
}

/// A column has one source of values.
fn check_generated(column: &Column, definition: &ColumnDefinition, table: &str) -> Result<()> {
    let other = match (&column.generated, &column.default, &definition.identity) {
        (Some(_), Some(_), _) => "default",
        (Some(_), None, Some(_)) => "identity",
        _ => return Ok(()),
    };
    let message = format!(
        "both {other} and generation expression specified for column \"{}\" of table \"{table}\"",
        column.name
    );
    Err(Error::new(SqlState::SYNTAX_ERROR, message))
}

/// What is generated is computed at once, not in an order.
fn refuse_generated_names(table: &Table, sql: &str) -> Result<()> {
    let named = columns_of(sql, table)?;
    let mut named = named.iter().filter_map(|number| table.column_number(*number));
    match named.find(|column| column.generated.is_some()) {
        None => Ok(()),
        Some(column) => {
            let message =
                format!("cannot use generated column \"{}\" in column generation expression", column.name);
            Err(Error::new(SqlState("42P17"), message)
                .detail("A generated column cannot reference another generated column."))
        }
    }
}

pub fn check_column_type(name: &str, ty: &Type) -> Result<()> {
    match ty.element() {
        Type::Record(_) | Type::Void | Type::Polymorphic(_) => {
            let message = format!("column \"{name}\" has pseudo-type {ty}");
            Err(Error::new(SqlState("42P16"), message))
        }
        Type::Char | Type::JsonPath | Type::Int2Vector | Type::OidVector => {
            Err(Error::unsupported(format!("type {ty} for the column \"{name}\"")))
        }
        // Nothing would compare them.
        Type::Citext if ty.dimensions() > 1 => {
            Err(Error::unsupported(format!("type {ty} for the column \"{name}\"")))
        }
        _ => Ok(()),
    }
}

pub fn check_identity(column: &Column) -> Result<()> {
    if !matches!(column.ty, Type::Int2 | Type::Int4 | Type::Int8) {
        let message = "identity column type must be smallint, integer, or bigint";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    if column.default.is_some() {
        let message = format!("both default and identity specified for column \"{}\"", column.name);
        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
    }
    Ok(())
}

pub fn stored_identity(kind: IdentityKind) -> Identity {
    match kind {
        IdentityKind::Always => Identity::Always,
        IdentityKind::ByDefault => Identity::ByDefault,
    }
}

fn columns_named(table: &Table, names: &[String]) -> Result<Vec<u16>> {
    let number = |name: &String| {
        table.column(name).map(|column| column.number).ok_or_else(|| {
            let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
            Error::new(SqlState::UNDEFINED_COLUMN, message)
        })
    };
    names.iter().map(number).collect()
}

/// The default of a serial column.
fn nextval_of(sequence: &str) -> String {
    let plain = sequence.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !sequence.starts_with(|c: char| c.is_ascii_digit());
    let name = if plain { sequence.to_string() } else { format!("\"{}\"", sequence.replace('"', "\"\"")) };
    format!("nextval('{}'::regclass)", name.replace('\'', "''"))
}

/// The column a CHECK is about, when it is about one only.
fn only_column(sql: &str, table: &Table) -> Option<String> {
    use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
    let tokens = Tokenizer::new(&dialect::DIALECT, sql).tokenize().ok()?;
    let mut names: Vec<String> = tokens
        .into_iter()
        .filter_map(|token| match token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
            Token::Word(word) => Some(word.value),
            _ => None,
        })
        .filter(|name| table.column(name).is_some())
        .collect();
    names.sort();
    names.dedup();
    if names.len() == 1 { names.pop() } else { None }
}

impl Session {
    pub(super) async fn create_table(&mut self, create: &CreateTable) -> Result<Response> {
        let schema = self.schema_for(create.persistence, &create.name).await?;
        let catalog = self.shared.current_catalog();
        if catalog.relation(&schema, &create.name.name).is_some() {
            return self.already_exists(&create.name.name, create.if_not_exists, "CREATE TABLE");
        }
        self.warn_of_parameters(create.storage_parameters.iter().map(|(name, _)| name));
        let written = create;
        let create = &self.with_likes(&catalog, written)?;
        let path = self.shared.schemas(&catalog);
        let shared = self.shared.clone();
        let new_oid = move || shared.with_transaction(|transaction| Ok(transaction.new_oid()));
        let (mut table, sequences) = {
            let mut builder = Builder::new(&catalog, &schema, &create.name.name, &path, &new_oid)?;
            set_persistence(&mut builder.table, create.persistence);
            for column in &create.columns {
                builder.add_column(column)?;
            }
            if let Some((strategy, key)) = &create.partition_by {
                builder.table.partitioning = Some(partitioning(&builder.table, *strategy, key)?);
            }
            // Names that are given come first, so that generated ones avoid them; foreign keys last, for they may
            // refer to keys of this table.
            let mut constraints: Vec<&TableConstraint> = create.constraints.iter().collect();
            constraints.sort_by_key(|constraint| {
                (matches!(constraint.kind, ConstraintKind::ForeignKey(_)), constraint.name.is_none())
            });
            for constraint in constraints {
                builder.add_constraint(constraint)?;
            }
            (builder.table, builder.sequences)
        };
        table.options = storage_parameters::of_table(&create.storage_parameters);
        self.link_sequences(&mut table)?;
        self.check_definition(&table, &sequences)?;
        self.share_referenced(&table).await?;
        self.retry(|transaction| transaction.create_table(table.clone(), sequences.clone())).await?;
        self.tell_implicit(&table, &sequences);
        self.finish_likes(written, &schema).await?;
        Ok(done("CREATE TABLE"))
    }

    /// What a table brings with it unasked, for clients that want to hear so much.
    fn tell_implicit(&mut self, table: &Table, sequences: &[Sequence]) {
        let mut tell = |message: String| {
            self.notice(Severity::Debug, Error::new(SqlState::SUCCESSFUL_COMPLETION, message));
        };
        for sequence in sequences {
            let owner = table.columns.iter().find(|column| column.sequence == Some(sequence.oid));
            if let Some(column) = owner.filter(|column| column.identity.is_none()) {
                tell(format!(
                    "CREATE TABLE will create implicit sequence \"{}\" for serial column \"{}.{}\"",
                    sequence.name, table.name, column.name
                ));
            }
        }
        for constraint in &table.constraints {
            let kind = match constraint.kind {
                StoredKind::PrimaryKey { .. } => "PRIMARY KEY",
                StoredKind::Unique { .. } => "UNIQUE",
                _ => continue,
            };
            tell(format!(
                "CREATE TABLE / {kind} will create implicit index \"{}\" for table \"{}\"",
                constraint.name, table.name
            ));
        }
    }

    /// Keeps the tables that foreign keys refer to as they are until this transaction ends.
    pub(super) async fn share_referenced(&mut self, table: &Table) -> Result<()> {
        for (_, key) in table.foreign_keys().filter(|(_, key)| key.table != table.oid) {
            self.retry(|transaction| transaction.share_table(key.table)).await?;
        }
        Ok(())
    }

    /// Compiles defaults and CHECKs, so that what cannot work is refused now.
    pub(super) fn check_definition(&self, table: &Table, sequences: &[Sequence]) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let schemas = self.shared.schemas(&catalog);
        let environment = self.shared.environment();
        let context = self.plan_context(&environment, &catalog, &schemas);
        for column in &table.columns {
            let own = column.sequence.is_some_and(|oid| sequences.iter().any(|sequence| sequence.oid == oid));
            if let (Some(default), false) = (&column.default, own) {
                DefaultValue::compile(&default.sql, column, &context, &self.shared)?;
            }
        }
        for column in &table.columns {
            if let Some(generated) = &column.generated {
                check_kept(table, &generated.sql, Some(&column.ty), Place::GeneratedColumn, &context)?;
                refuse_generated_names(table, &generated.sql)?;
            }
        }
        Checks::of(&Arc::new(table.clone()), &context)?;
        Ok(())
    }

    pub(super) async fn create_table_as(
        &mut self,
        persistence: Persistence,
        name: &Name,
        if_not_exists: bool,
        columns: &[String],
        query: &ast::Query,
        with_data: bool,
    ) -> Result<Response> {
        let schema = self.schema_for(persistence, name).await?;
        let catalog = self.shared.current_catalog();
        if catalog.relation(&schema, &name.name).is_some() {
            return self.already_exists(&name.name, if_not_exists, "CREATE TABLE AS");
        }
        let query = self.planned(query)?;
        let mut table = self.table_of_query(&schema, &name.name, columns, &query)?;
        set_persistence(&mut table, persistence);
        self.retry(|transaction| transaction.create_table(table.clone(), Vec::new())).await?;
        if !with_data {
            return Ok(done("CREATE TABLE AS"));
        }
        let count = self.fill(table.oid, &query).await?;
        Ok(done(format!("SELECT {count}")))
    }

    /// CREATE TABLE ... AS EXECUTE.
    pub(crate) async fn create_table_execute(&mut self, table: &Ast, executed: &Ast) -> Result<Response> {
        let (Ast::CreateTableAs { .. }, Ast::Execute { name, arguments }) = (table, executed) else {
            return Err(Error::internal("a table as what is not executed"));
        };
        self.start_statement()?;
        let saved = self.saved_statement(name)?;
        let params = self.arguments(name, &saved, arguments)?;
        let bound = match &saved.statement {
            Some(statement) => with_constants(statement, &saved.param_types, &params)?.ast,
            None => return Err(Error::internal("a prepared statement without one")),
        };
        let Ast::Query(bound) = bound else {
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, "prepared statement is not a SELECT"));
        };
        let mut filled = table.clone();
        if let Ast::CreateTableAs { query, .. } = &mut filled {
            *query = bound;
        }
        Box::pin(self.define(&filled)).await
    }

    /// A table with the columns of a query.
    pub(super) fn table_of_query(
        &self,
        schema: &str,
        name: &str,
        columns: &[String],
        query: &Query,
    ) -> Result<Table> {
        if columns.len() > query.columns.len() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "too many column names were specified"));
        }
        let catalog = self.shared.current_catalog();
        let path = self.shared.schemas(&catalog);
        let shared = self.shared.clone();
        let new_oid = move || shared.with_transaction(|transaction| Ok(transaction.new_oid()));
        let mut builder = Builder::new(&catalog, schema, name, &path, &new_oid)?;
        for (position, output) in query.columns.iter().enumerate() {
            builder.add_column(&ColumnDefinition {
                name: columns.get(position).unwrap_or(&output.name).clone(),
                ty: ColumnType::Plain(output.ty.clone()),
                collation: None,
                not_null: false,
                default: None,
                identity: None,
                generated: None,
                hints: Default::default(),
            })?;
        }
        Ok(builder.table)
    }

    /// Inserts the rows of a query; how many there were.
    pub(super) async fn fill(&mut self, table: Oid, query: &Arc<Query>) -> Result<usize> {
        let types: Vec<Type> = query.columns.iter().map(|column| column.ty.clone()).collect();
        let checks = {
            let catalog = self.shared.current_catalog();
            let schemas = self.shared.schemas(&catalog);
            let definition = catalog.table_by_oid(table);
            let definition =
                definition.ok_or_else(|| Error::internal("a table to fill that is not there"))?;
            Checks::of(definition, &self.plan_context(&self.shared.environment(), &catalog, &schemas))?
        };
        let mut stream = self.query_stream(query, &[]).await?;
        let mut count = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let rows = (0..batch.num_rows()).map(|row| {
                let cells =
                    types.iter().enumerate().map(|(column, ty)| value_at(batch.column(column), row, ty));
                cells.collect::<Result<Vec<Value>>>()
            });
            let mut rows = rows.collect::<Result<Vec<_>>>()?;
            checks.verify(&mut rows, &mut || self.plain_execution(&[], &[]))?;
            count += rows.len();
            self.retry(|transaction| transaction.insert(table, &rows, OnConflict::Error)).await?;
        }
        Ok(count)
    }
}

/// 42804 for COLLATE of a type that has no collation.
pub(super) fn check_collation(ty: &Type, collation: Option<&str>) -> Result<()> {
    let is_text =
        |ty: &Type| matches!(ty, Type::Text | Type::Varchar(_) | Type::Bpchar(_) | Type::Citext | Type::Name);
    match ty {
        _ if collation.is_none() || is_text(ty) => Ok(()),
        Type::Array(_) if is_text(ty.element()) => Ok(()),
        _ => {
            let message = format!("collations are not supported by type {}", ty.bare());
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
        }
    }
}
