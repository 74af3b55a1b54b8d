//! sqlx's migrations: from the folder beside, applied, applied again, undone; and what it says of one that fails.

use std::path::Path;

use hither_clients::{Done, server};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Postgres, Row, SqlSafeStr, query, query_as, query_scalar, raw_sql};

static EMBEDDED: Migrator = sqlx::migrate!("tests/sqlx/migrations");

async fn applied(pool: &sqlx::PgPool) -> sqlx::Result<Vec<(i64, String, bool)>> {
    query_as("SELECT version, description, success FROM _sqlx_migrations ORDER BY version")
        .fetch_all(pool)
        .await
}

#[tokio::test]
async fn migrations_go_up_and_down() -> Done {
    // One connection: a migration that fails leaves the lock of all migrations on its own.
    let pool = PgPoolOptions::new().max_connections(1).connect(server().await).await?;
    raw_sql(
        "DROP TABLE IF EXISTS _sqlx_migrations; DROP VIEW IF EXISTS sqx_drafts; DROP TABLE IF EXISTS sqx_migrated;
         DROP TYPE IF EXISTS sqx_state",
    )
    .execute(&pool)
    .await?;
    EMBEDDED.run_to(1, &pool).await?;
    assert_eq!(applied(&pool).await?, [(1, "items".to_owned(), true)]);
    EMBEDDED.run(&pool).await?;
    // Tests run in their package's folder.
    Migrator::new(Path::new("tests/sqlx/migrations")).await?.run(&pool).await?;
    assert_eq!(applied(&pool).await?.len(), 3);
    let row = query(
        "SELECT id, state::text, note, half::text, since <= now() AS past FROM sqx_migrated
         ORDER BY embedding <-> '[4,5,7]' LIMIT 1",
    )
    .fetch_one(&pool)
    .await?;
    assert_eq!((row.get::<i64, _>(0), row.get::<&str, _>(1), row.get::<&str, _>(2)), (2, "draft", "none"));
    assert_eq!((row.get::<&str, _>(3), row.get::<bool, _>(4)), ("[4,5,6]", true));
    assert_eq!(query_scalar::<_, i64>("SELECT count(*) FROM sqx_drafts").fetch_one(&pool).await?, 2);
    let error =
        query("INSERT INTO sqx_migrated (id, embedding, half, note) VALUES (7, '[1,2,3]', '[1,2,3]', 'x')")
            .execute(&pool)
            .await;
    assert_eq!(error.unwrap_err().as_database_error().unwrap().code().unwrap(), "428C9");

    let one = |sql: &'static str| {
        Migration::new(4, "more".into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let with = |migration: Migration| {
        Migrator::with_migrations(EMBEDDED.iter().cloned().chain([migration]).collect())
    };
    let failing =
        with(one("CREATE TABLE sqx_half_made (id int); SELECT 1 / 0")).run(&pool).await.unwrap_err();
    assert!(matches!(failing, MigrateError::ExecuteMigration(_, 4)), "{failing:?}");
    let left: Option<String> =
        query_scalar("SELECT to_regclass('sqx_half_made')::text").fetch_one(&pool).await?;
    assert_eq!((left, applied(&pool).await?.len()), (None, 3));
    with(one("SELECT 1")).run(&pool).await?;
    let changed = with(one("SELECT 2")).run(&pool).await.unwrap_err();
    assert!(matches!(changed, MigrateError::VersionMismatch(4)), "{changed:?}");
    let missing = EMBEDDED.run(&pool).await.unwrap_err();
    assert!(matches!(missing, MigrateError::VersionMissing(4)), "{missing:?}");

    query::<Postgres>("DELETE FROM _sqlx_migrations WHERE version = $1").bind(4_i64).execute(&pool).await?;
    EMBEDDED.undo(&pool, 1).await?;
    let columns: Vec<String> = query_scalar(
        "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'sqx_migrated'
         ORDER BY ordinal_position",
    )
    .fetch_all(&pool)
    .await?;
    assert_eq!(columns, ["id", "state", "embedding", "added"]);
    EMBEDDED.undo(&pool, 0).await?;
    assert!(applied(&pool).await?.is_empty());
    EMBEDDED.skip(&pool, Some(2)).await?;
    assert_eq!(applied(&pool).await?.len(), 2);
    raw_sql("DROP TABLE _sqlx_migrations").execute(&pool).await?;
    pool.close().await;
    Ok(())
}
