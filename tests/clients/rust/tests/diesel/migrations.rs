//! diesel's migrations, embedded, up and down; and of what they made, the questions of `diesel print-schema`.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use hither_clients::{Done, is_refused, wait};

use super::start;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("tests/diesel/migrations");

mod information_schema {
    diesel::table! {
        information_schema.tables (table_schema, table_name) {
            table_schema -> VarChar,
            table_name -> VarChar,
            table_type -> VarChar,
        }
    }
    diesel::table! {
        information_schema.columns (table_schema, table_name, column_name) {
            table_schema -> VarChar,
            table_name -> VarChar,
            column_name -> VarChar,
            #[sql_name = "is_nullable"]
            may_be_null -> VarChar,
            character_maximum_length -> Nullable<Integer>,
            ordinal_position -> BigInt,
            udt_name -> VarChar,
            udt_schema -> VarChar,
            domain_name -> Nullable<VarChar>,
            domain_schema -> Nullable<VarChar>,
        }
    }
    diesel::table! {
        information_schema.key_column_usage (table_schema, table_name, column_name, constraint_name) {
            table_schema -> VarChar,
            table_name -> VarChar,
            column_name -> VarChar,
            constraint_schema -> VarChar,
            constraint_name -> VarChar,
            ordinal_position -> BigInt,
        }
    }
    diesel::table! {
        information_schema.table_constraints (table_schema, table_name, constraint_name) {
            table_schema -> VarChar,
            table_name -> VarChar,
            constraint_schema -> VarChar,
            constraint_name -> VarChar,
            constraint_type -> VarChar,
        }
    }
    diesel::allow_tables_to_appear_in_same_query!(key_column_usage, table_constraints);
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn col_description(
        table: sql_types::Oid,
        column: sql_types::BigInt,
    ) -> sql_types::Nullable<sql_types::Text>;
    fn obj_description(oid: sql_types::Oid, catalog: sql_types::Text)
    -> sql_types::Nullable<sql_types::Text>;
    fn quote_ident(name: sql_types::Text) -> sql_types::Text;
}

diesel::postfix_operator!(Regclass, "::regclass", sql_types::Oid, backend: diesel::pg::Pg);

#[derive(QueryableByName, Debug, PartialEq)]
struct ForeignKey {
    #[diesel(sql_type = sql_types::Text)]
    self_table: String,
    #[diesel(sql_type = sql_types::Array<sql_types::Text>)]
    self_columns: Vec<String>,
    #[diesel(sql_type = sql_types::Text)]
    foreign_table: String,
    #[diesel(sql_type = sql_types::Array<sql_types::Text>)]
    foreign_columns: Vec<String>,
}

const FOREIGN_KEYS: &str = r#"
SELECT sch.nspname AS "self_schema", tbl.relname AS "self_table",
       ARRAY_AGG(col.attname ORDER BY u.attposition) AS "self_columns",
       f_sch.nspname AS "foreign_schema", f_tbl.relname AS "foreign_table",
       ARRAY_AGG(f_col.attname ORDER BY f_u.attposition) AS "foreign_columns"
FROM pg_constraint c
LEFT JOIN LATERAL UNNEST(c.conkey) WITH ORDINALITY AS u(attnum, attposition) ON TRUE
LEFT JOIN LATERAL UNNEST(c.confkey) WITH ORDINALITY AS f_u(attnum, attposition) ON f_u.attposition = u.attposition
JOIN pg_class tbl ON tbl.oid = c.conrelid
JOIN pg_namespace sch ON sch.oid = tbl.relnamespace
LEFT JOIN pg_attribute col ON (col.attrelid = tbl.oid AND col.attnum = u.attnum)
LEFT JOIN pg_class f_tbl ON f_tbl.oid = c.confrelid
LEFT JOIN pg_namespace f_sch ON f_sch.oid = f_tbl.relnamespace
LEFT JOIN pg_attribute f_col ON (f_col.attrelid = f_tbl.oid AND f_col.attnum = f_u.attnum)
WHERE sch.nspname = $1 and f_sch.nspname = $1 and c.contype = 'f'
GROUP BY "self_schema", "self_table", "foreign_schema", "foreign_table"
ORDER BY "self_schema", "self_table";
"#;

fn print_schema(c: &mut PgConnection) -> Done {
    use information_schema::{columns, key_column_usage, table_constraints, tables};

    let names: Vec<String> = tables::table
        .select(tables::table_name)
        .filter(tables::table_schema.eq("public"))
        .filter(tables::table_name.not_like("\\_\\_%"))
        .filter(tables::table_type.like("BASE TABLE"))
        .load(c)?;
    assert!(["dsl_authors", "dsl_notes"].iter().all(|name| names.iter().any(|got| got == name)), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("__diesel")));
    type Column = (String, String, Option<String>, Option<String>, String, Option<i32>, Option<String>);
    let found: Vec<Column> = columns::table
        .select((
            columns::column_name,
            columns::udt_name,
            columns::udt_schema.nullable(),
            columns::domain_name,
            columns::may_be_null,
            columns::character_maximum_length,
            col_description(Regclass::new(quote_ident("dsl_notes")), columns::ordinal_position),
        ))
        .filter(columns::table_name.eq("dsl_notes"))
        .filter(columns::table_schema.eq("public"))
        .order(columns::ordinal_position)
        .load(c)?;
    let shown: Vec<String> = found
        .iter()
        .map(|(name, ty, schema, _, nullable, _, comment)| {
            format!("{name} {schema:?} {ty} {nullable} {comment:?}")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "id Some(\"pg_catalog\") int8 NO None",
            "author_id Some(\"pg_catalog\") int4 NO None",
            "body Some(\"pg_catalog\") text NO Some(\"in Markdown\")",
            "embedding Some(\"public\") vector NO None",
        ]
    );
    let keys = table_constraints::table
        .select(table_constraints::constraint_name)
        .filter(table_constraints::constraint_type.eq("PRIMARY KEY"));
    let found: Vec<String> = key_column_usage::table
        .select(key_column_usage::column_name)
        .filter(key_column_usage::constraint_name.eq_any(keys))
        .filter(key_column_usage::table_name.eq("dsl_notes"))
        .filter(key_column_usage::table_schema.eq("public"))
        .order(key_column_usage::ordinal_position)
        .load(c)?;
    assert_eq!(found, ["id"]);
    let comment: Option<String> =
        diesel::select(obj_description(Regclass::new(quote_ident("dsl_notes")), "pg_class")).get_result(c)?;
    assert_eq!(comment.as_deref(), Some("what was thought"));
    let found: Vec<ForeignKey> =
        diesel::sql_query(FOREIGN_KEYS).bind::<sql_types::Text, _>("public").load(c)?;
    let ours: Vec<&ForeignKey> = found.iter().filter(|key| key.self_table == "dsl_notes").collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(
        (&ours[0].self_columns, ours[0].foreign_table.as_str(), &ours[0].foreign_columns),
        (&vec!["author_id".to_owned()], "dsl_authors", &vec!["id".to_owned()])
    );
    Ok(())
}

#[test]
fn migrations_go_up_and_down() -> Done {
    let mut connection = start(
        "DROP TABLE IF EXISTS __diesel_schema_migrations; DROP TABLE IF EXISTS dsl_notes; DROP TABLE IF EXISTS dsl_authors;
         DROP TABLE IF EXISTS dsl_half_made",
    )?;
    let c = &mut connection;
    assert!(c.has_pending_migration(MIGRATIONS)?);
    c.run_next_migration(MIGRATIONS)?;
    assert_eq!(c.applied_migrations()?.len(), 1);
    assert_eq!(c.run_pending_migrations(MIGRATIONS)?.len(), 2);
    assert!(!c.has_pending_migration(MIGRATIONS)?);
    assert!(c.run_pending_migrations(MIGRATIONS)?.is_empty());
    print_schema(c)?;
    c.revert_last_migration(MIGRATIONS)?;
    c.revert_last_migration(MIGRATIONS)?;
    let left: i64 = information_schema::columns::table
        .filter(information_schema::columns::table_name.eq("dsl_notes"))
        .count()
        .get_result(c)?;
    assert_eq!((left, c.applied_migrations()?.len()), (3, 1));
    assert_eq!(c.revert_all_migrations(MIGRATIONS)?.len(), 1);

    // A migration that fails leaves nothing behind.
    let failed = c.transaction::<_, Box<dyn std::error::Error + Send + Sync>, _>(|c| {
        c.batch_execute(
            "CREATE TABLE dsl_half_made (id int); INSERT INTO dsl_half_made VALUES (1); SELECT 1 / 0",
        )?;
        Ok(())
    });
    assert!(failed.is_err());
    assert!(diesel::sql_query("SELECT * FROM dsl_half_made").execute(c).is_err());
    c.batch_execute("DROP TABLE __diesel_schema_migrations")?;
    Ok(())
}

/// The first migration that `diesel setup` puts into every project.
const FIRST: &str = r"
CREATE OR REPLACE FUNCTION diesel_manage_updated_at(_tbl regclass) RETURNS VOID AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER set_updated_at BEFORE UPDATE ON %s
                    FOR EACH ROW EXECUTE PROCEDURE diesel_set_updated_at()', _tbl);
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE FUNCTION diesel_set_updated_at() RETURNS trigger AS $$
BEGIN
    IF (
        NEW IS DISTINCT FROM OLD AND
        NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at
    ) THEN
        NEW.updated_at := current_timestamp;
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;
";

#[test]
fn the_first_migration_of_every_project() -> Done {
    if wait(is_refused(FIRST)) {
        return Ok(());
    }
    let mut connection = start("DROP TABLE IF EXISTS dsl_managed")?;
    let c = &mut connection;
    c.batch_execute(FIRST)?;
    c.batch_execute(
        "CREATE TABLE dsl_managed (id int PRIMARY KEY, n int, updated_at timestamptz NOT NULL DEFAULT '2000-01-01')",
    )?;
    diesel::sql_query("SELECT diesel_manage_updated_at('dsl_managed')").execute(c)?;
    c.batch_execute("INSERT INTO dsl_managed VALUES (1, 1); UPDATE dsl_managed SET n = 2")?;
    let changed = diesel::sql_query("DELETE FROM dsl_managed WHERE updated_at > '2001-01-01'").execute(c)?;
    assert_eq!(changed, 1);
    c.batch_execute(
        "DROP TABLE dsl_managed; DROP FUNCTION IF EXISTS diesel_manage_updated_at(_tbl regclass);
         DROP FUNCTION IF EXISTS diesel_set_updated_at()",
    )?;
    Ok(())
}
