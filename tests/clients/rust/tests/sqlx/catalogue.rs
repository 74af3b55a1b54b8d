//! What sqlx asks the catalogue: describing a statement as `query!` does, where a column comes from, databases.

use hither_clients::{Done, server};
use sqlx::migrate::MigrateDatabase;
use sqlx::{
    Column, ColumnOrigin, Connection, Either, Executor, PgConnection, Postgres, SqlSafeStr, Statement,
    TypeInfo, query_as,
};

use super::start;

/// What `query!` knows of a statement: the types of its parameters; its columns, with ! where they are never null
/// and ? where they may be.
async fn described(pool: &sqlx::PgPool, sql: &'static str) -> sqlx::Result<(Vec<String>, Vec<String>)> {
    let described = pool.describe(sql.into_sql_str()).await?;
    let parameters = match described.parameters() {
        Some(Either::Left(types)) => types.iter().map(|ty| ty.name().to_owned()).collect(),
        _ => vec![],
    };
    let columns = described.columns().iter().zip(&described.nullable).map(|(column, nullable)| {
        let mark = match nullable {
            Some(true) => "?",
            Some(false) => "!",
            None => "",
        };
        format!("{}{mark} {}", column.name(), column.type_info().name())
    });
    Ok((parameters, columns.collect()))
}

/// What `query!` says to a server before it asks about statements.
#[tokio::test]
async fn macros_make_plans_generic() -> Done {
    let mut connection = PgConnection::connect(server().await).await?;
    connection
        .execute(
            "DO $$
             BEGIN
                 IF EXISTS (SELECT 1 FROM pg_settings WHERE name = 'plan_cache_mode') THEN
                     SET SESSION plan_cache_mode = 'force_generic_plan';
                 END IF;
             END $$;",
        )
        .await?;
    let (mode,): (String,) = query_as("SHOW plan_cache_mode").fetch_one(&mut connection).await?;
    assert_eq!(mode, "force_generic_plan");
    Ok(())
}

#[tokio::test]
async fn statements_are_described() -> Done {
    let pool = start(
        "DROP VIEW IF EXISTS sqx_dear; DROP TABLE IF EXISTS sqx_goods; DROP TABLE IF EXISTS sqx_makers;
         CREATE TABLE sqx_makers (id serial PRIMARY KEY, name text NOT NULL, since date);
         CREATE TABLE sqx_goods (id bigserial PRIMARY KEY, maker int NOT NULL REFERENCES sqx_makers, name varchar(20) NOT NULL,
                                 price numeric(10, 2), tags text[] NOT NULL, about jsonb, embedding vector(3) NOT NULL);
         CREATE VIEW sqx_dear AS SELECT id, name, price FROM sqx_goods WHERE price > 100",
    )
    .await?;
    let mut differ = vec![];
    for (sql, parameters, columns) in [
        (
            "SELECT * FROM sqx_goods",
            vec![],
            vec![
                "id! INT8",
                "maker! INT4",
                "name! VARCHAR",
                "price? NUMERIC",
                "tags! TEXT[]",
                "about? JSONB",
                "embedding! vector",
            ],
        ),
        (
            "SELECT id, name AS called FROM sqx_goods WHERE price < $1 AND tags @> $2 ORDER BY id LIMIT $3",
            vec!["NUMERIC", "TEXT[]", "INT8"],
            vec!["id! INT8", "called! VARCHAR"],
        ),
        (
            "SELECT id, embedding <=> $1 AS distance FROM sqx_goods WHERE maker = $2 ORDER BY embedding <=> $1 LIMIT 5",
            vec!["vector", "INT4"],
            vec!["id! INT8", "distance FLOAT8"],
        ),
        (
            "SELECT g.name, m.name AS maker FROM sqx_goods g LEFT JOIN sqx_makers m ON m.id = g.maker",
            vec![],
            vec!["name! VARCHAR", "maker? TEXT"],
        ),
        (
            "SELECT g.id, m.since FROM sqx_goods g FULL JOIN sqx_makers m ON m.id = g.maker",
            vec![],
            vec!["id? INT8", "since? DATE"],
        ),
        (
            "SELECT g.name, m.name AS maker FROM sqx_goods g JOIN sqx_makers m ON m.id = g.maker WHERE m.since > $1",
            vec!["DATE"],
            vec!["name! VARCHAR", "maker! TEXT"],
        ),
        (
            "SELECT count(*), max(price), $1::text AS \"given!\" FROM sqx_goods",
            vec!["TEXT"],
            vec!["count INT8", "max NUMERIC", "given! TEXT"],
        ),
        (
            "SELECT m.name, array_agg(g.id) AS ids FROM sqx_makers m JOIN sqx_goods g ON g.maker = m.id GROUP BY m.name",
            vec![],
            vec!["name! TEXT", "ids INT8[]"],
        ),
        (
            "WITH top AS (SELECT id, name FROM sqx_goods ORDER BY price LIMIT 1) SELECT * FROM top",
            vec![],
            vec!["id! INT8", "name! VARCHAR"],
        ),
        (
            "INSERT INTO sqx_makers (name, since) VALUES ($1, $2) RETURNING id, since",
            vec!["TEXT", "DATE"],
            vec!["id! INT4", "since? DATE"],
        ),
        (
            "INSERT INTO sqx_makers (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *",
            vec!["INT4", "TEXT"],
            vec!["id! INT4", "name! TEXT", "since? DATE"],
        ),
        (
            "UPDATE sqx_goods SET about = about || $1 WHERE id = $2 RETURNING about",
            vec!["JSONB", "INT8"],
            vec!["about? JSONB"],
        ),
        ("DELETE FROM sqx_goods WHERE id = ANY($1)", vec!["INT8[]"], vec![]),
        ("SELECT 1 AS one UNION ALL SELECT $1", vec!["INT4"], vec!["one INT4"]),
        ("SELECT name FROM sqx_makers UNION SELECT name FROM sqx_goods", vec![], vec!["name TEXT"]),
        ("CREATE TABLE sqx_never (id int)", vec![], vec![]),
        (
            "SELECT column_name, is_nullable FROM information_schema.columns WHERE table_name = $1",
            vec!["NAME"],
            vec!["column_name? NAME", "is_nullable? VARCHAR"],
        ),
        (
            "SELECT g.id, m.name AS maker, count(*) OVER () FROM sqx_goods g JOIN sqx_makers m ON m.id = g.maker LIMIT 5",
            vec![],
            vec!["id! INT8", "maker! TEXT", "count INT8"],
        ),
        (
            "SELECT DISTINCT ON (maker) maker, name FROM sqx_goods ORDER BY maker, price DESC",
            vec![],
            vec!["maker! INT4", "name! VARCHAR"],
        ),
        (
            "SELECT m.name, near.id FROM sqx_makers m, LATERAL (SELECT id FROM sqx_goods g WHERE g.maker = m.id LIMIT 1) near",
            vec![],
            vec!["name! TEXT", "id! INT8"],
        ),
        (
            "SELECT name FROM sqx_makers WHERE EXISTS (SELECT 1 FROM sqx_goods WHERE maker = sqx_makers.id) FOR UPDATE",
            vec![],
            vec!["name! TEXT"],
        ),
        (
            "SELECT * FROM sqx_dear WHERE id = $1",
            vec!["INT8"],
            vec!["id? INT8", "name? VARCHAR", "price? NUMERIC"],
        ),
        (
            "SELECT id, row_number() OVER (ORDER BY price) AS r, coalesce(about, $1) AS about FROM sqx_goods",
            vec!["JSONB"],
            vec!["id! INT8", "r INT8", "about JSONB"],
        ),
        (
            "SELECT DISTINCT name, tags FROM sqx_goods ORDER BY name",
            vec![],
            vec!["name! VARCHAR", "tags! TEXT[]"],
        ),
        (
            "WITH gone AS (DELETE FROM sqx_goods RETURNING id, name) SELECT * FROM gone",
            vec![],
            vec!["id! INT8", "name! VARCHAR"],
        ),
        (
            "SELECT oid, relname FROM pg_class WHERE relkind = $1",
            vec!["\"CHAR\""],
            vec!["oid! OID", "relname! NAME"],
        ),
        ("VALUES (1, $1)", vec!["TEXT"], vec!["column1 INT4", "column2 TEXT"]),
    ] {
        let got = described(&pool, sql).await.map_err(|error| format!("{sql}: {error}"))?;
        if got.0 != parameters || got.1 != columns {
            differ.push(format!("{sql}: {got:?}"));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");

    let statement = pool
        .prepare("SELECT g.name AS n, m.id, 1 AS one FROM sqx_goods g, sqx_makers m".into_sql_str())
        .await?;
    let origins: Vec<String> = statement
        .columns()
        .iter()
        .map(|column| match column.origin() {
            ColumnOrigin::Table(table) => format!("{}.{}", table.table, table.name),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(origins, ["sqx_goods.name", "sqx_makers.id", "Expression"]);
    let rows = statement.query().fetch_all(&pool).await?;
    assert!(rows.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_there() -> Done {
    let pool = start(
        "DROP TABLE IF EXISTS sqx_shown;
         CREATE TABLE sqx_shown (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL DEFAULT 'x',
                                 twice int GENERATED ALWAYS AS (length(name) * 2) STORED, embedding halfvec(3));
         CREATE UNIQUE INDEX sqx_shown_lower ON sqx_shown (lower(name)) WHERE id > 0",
    )
    .await?;
    let columns: Vec<(String, String, String, Option<String>, String, String)> = query_as(
        "SELECT column_name, udt_name, is_nullable, column_default, is_identity, is_generated
         FROM information_schema.columns WHERE table_name = 'sqx_shown' ORDER BY ordinal_position",
    )
    .fetch_all(&pool)
    .await?;
    let shown: Vec<String> = columns
        .iter()
        .map(|(name, ty, nullable, default, identity, generated)| {
            format!("{name} {ty} {nullable} {} {identity} {generated}", default.as_deref().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "id int8 NO - YES NEVER",
            "name text NO 'x'::text NO NEVER",
            "twice int4 YES - NO ALWAYS",
            "embedding halfvec YES - NO NEVER"
        ]
    );
    let keys: Vec<(String, String, String)> = query_as(
        "SELECT tc.constraint_name, tc.constraint_type, kcu.column_name FROM information_schema.table_constraints tc
         JOIN information_schema.key_column_usage kcu USING (constraint_schema, constraint_name)
         WHERE tc.table_name = 'sqx_shown'",
    )
    .fetch_all(&pool)
    .await?;
    assert_eq!(keys, [("sqx_shown_pkey".to_owned(), "PRIMARY KEY".to_owned(), "id".to_owned())]);
    let (definition,): (String,) =
        query_as("SELECT pg_get_indexdef('sqx_shown_lower'::regclass)").fetch_one(&pool).await?;
    assert_eq!(
        definition,
        "CREATE UNIQUE INDEX sqx_shown_lower ON public.sqx_shown USING btree (lower(name)) WHERE (id > 0)"
    );
    Ok(())
}

#[tokio::test]
async fn databases_are_found() -> Done {
    let url = &format!("{}_sqx", server().await);
    if Postgres::database_exists(url).await? {
        Postgres::drop_database(url).await?;
    }
    Postgres::create_database(url).await?;
    assert!(Postgres::database_exists(url).await?);
    PgConnection::connect(url).await?.close().await?;
    Postgres::drop_database(url).await?;
    assert!(!Postgres::database_exists(url).await?);
    Ok(())
}
