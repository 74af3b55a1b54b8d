//! Statements that come again: their plans are kept, and nothing but the time they take tells.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::{House, state};

/// The rows of a simple query as text; of an error its SQLSTATE and where in the text it is.
async fn ask(client: &Client, sql: &str) -> String {
    let messages = match client.simple_query(sql).await {
        Ok(messages) => messages,
        Err(error) => {
            let position = error.as_db_error().and_then(|error| error.position().cloned());
            return format!("{} {position:?}", state(&error));
        }
    };
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            let cells: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL")).collect();
            Some(cells.join(" "))
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect::<Vec<_>>().join("\n")
}

/// The time that planning the statement before the last took.
async fn planning(client: &Client, of: &str) -> String {
    let sql = format!(
        "SELECT plan_us = 0 FROM hither.timings WHERE statement LIKE '{of}%' ORDER BY number DESC LIMIT 1"
    );
    ask(client, &sql).await
}

const TABLE: &str = "CREATE EXTENSION vector; CREATE TABLE t (id int PRIMARY KEY, kind text, v vector(2), h halfvec(2)); \
    INSERT INTO t SELECT i, 'k' || i % 3, ARRAY[i, 0]::real[]::vector, ARRAY[i, 0]::real[]::halfvec \
    FROM generate_series(1, 100) i; CREATE INDEX ON t USING hnsw (v vector_l2_ops)";

#[test]
fn a_query_that_comes_again_is_not_planned_again_and_answers_for_its_own_vector() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client.batch_execute(TABLE).await.expect("a table");
        for sql in [
            "SELECT id FROM t ORDER BY v <-> '[$,0]' LIMIT 3",
            "SELECT id FROM t ORDER BY v<->'[$, 0]'::vector LIMIT 3;",
            "SELECT id, h <-> '[$,0]' AS d FROM t WHERE kind = 'k1' ORDER BY h <-> '[$,0]', id LIMIT 2",
            "SELECT count(*), min(v <-> '[$,0]') FROM t WHERE v <-> '[$,0]' < 7.5",
            "SELECT v <-> '[$,0]', h <-> '[$,0]' FROM t ORDER BY 1, 2 LIMIT 1",
            "SELECT v::halfvec(2) <-> '[$,0.1]', v::vector(2) <-> '[$,0.1]' FROM t ORDER BY id LIMIT 3",
            "SELECT v <-> '[$,0]' > 3, count(*) FROM t GROUP BY v <-> '[$,0]' > 3 ORDER BY 1",
        ] {
            // A comment is enough for its literals to stay.
            for x in ["10", "20.25", "-3", "1e1", "99"] {
                let said = sql.replace('$', x);
                let planned = ask(&client, &format!("{said} -- once")).await;
                assert_eq!(ask(&client, &said).await, planned, "{said}");
            }
            let start = sql.split('$').next().unwrap_or_default().replace('\'', "");
            let start = start.trim_end_matches('[');
            assert_eq!(planning(&client, start).await, "t", "{start}");
        }
        // No blank of SQL, and of two bytes.
        let strange = "SELECT id FROM t ORDER BY\u{a0}v <-> '[1,0]' LIMIT 1";
        let first = ask(&client, strange).await;
        for _ in 0..3 {
            assert_eq!(ask(&client, strange).await, first);
        }
    });
}

/// Each `$` is another value each time.
const CHANGES: [&str; 8] = [
    "UPDATE kinds SET big = $, label = 'new $', price = $.5 WHERE id = $ RETURNING *",
    "INSERT INTO kinds (id, small, big, price, ratio, single, label, code, day, at, flags, tags, doc, raw, mood) VALUES \
     (100$, $, $, $.255, $.1, $.1, 'it''s $', 'ab$  ', '2024-01-$', '2024-01-$ 10:00', '101', '{$,NULL}', '{\"k\": $}', \
     '\\x0$', 'sad') RETURNING *",
    "INSERT INTO kinds (id, label) VALUES (200$, $), (300$, 'x'), (400$, -$.50) RETURNING id, label",
    "INSERT INTO kinds (id, small) VALUES (500$, $.7), (600$, -$) RETURNING small",
    "INSERT INTO kinds (id, big) VALUES (1$, 3000000000) ON CONFLICT (id) DO UPDATE SET big = $, code = 'z$' RETURNING *",
    "DELETE FROM kinds WHERE id IN (100$, 300$) OR label = '$' RETURNING id",
    "UPDATE kinds SET small = 7000$ WHERE id = $",
    "INSERT INTO kinds (id, code) VALUES (700$, 'far too long $')",
];

/// So many of the first queries have parameters in the place of all their literals.
const PLANNED_ONCE: usize = 16;
const CHANGES_PLANNED_ONCE: usize = 2;

const QUERIES: [&str; 29] = [
    "SELECT id FROM kinds WHERE label LIKE 'l$%' OR code NOT ILIKE 'C$%' ORDER BY id LIMIT $ OFFSET 1",
    "SELECT id FROM kinds WHERE id = ANY(ARRAY[$,2,3]) OR big = ANY(ARRAY[$,-1]) OR label = ANY(ARRAY['l$','it''s \"']) ORDER BY id",
    "SELECT id FROM kinds WHERE small = $ OR big = $ OR price = $.5 OR ratio = $.1 ORDER BY id",
    "SELECT id FROM kinds WHERE day = '2024-01-$' OR at > '2024-01-$ 12:00'::timestamp OR at = '2024-01-1$ 00:00:00.4' ORDER BY 1",
    "SELECT id FROM kinds WHERE flags = '101' OR tags = '{$}' OR doc = '{\"k\": $}' OR raw = '\\x0$' ORDER BY id",
    "SELECT id FROM kinds WHERE mood = 'sad' OR mood > 'ok' AND id > $ ORDER BY id",
    "SELECT id FROM kinds WHERE id IN ($, 1, 2) AND small NOT IN ($) AND id BETWEEN 1 AND $ OR id NOT BETWEEN -$ AND 1$ ORDER BY id",
    "SELECT count(*) FROM kinds WHERE id >= $ HAVING count(*) > $",
    "SELECT small > $, count(*) FROM kinds GROUP BY small > $ ORDER BY 1",
    "SELECT small > $, count(*) FROM kinds WHERE small <> $ GROUP BY small > $ ORDER BY small > $ DESC",
    "SELECT CASE WHEN small = $ THEN 'a' WHEN label = 'l$' THEN 'b' ELSE 'c' END FROM kinds ORDER BY id",
    "SELECT id FROM kinds WHERE doc->>'k' = '$' OR (doc->'k')::int = $ ORDER BY id",
    "SELECT id FROM kinds k WHERE EXISTS (SELECT 1 FROM kinds WHERE label = '$' OR id = $) AND k.id < $ ORDER BY id",
    "SELECT a.id FROM kinds a JOIN kinds b ON a.id = b.small AND b.id < $ WHERE a.label > 'l$' ORDER BY 1",
    "WITH few AS (SELECT * FROM kinds WHERE id < $) SELECT id FROM few WHERE id <> $ ORDER BY id",
    "SELECT id FROM kinds WHERE label = 'l$' FOR UPDATE",
    "SELECT id FROM kinds WHERE day = ANY(ARRAY['2024-01-0$']) OR single = ANY(ARRAY[$.1])",
    "SELECT id FROM kinds WHERE single = ANY(ARRAY[$.1]) OR code = ANY(ARRAY['c$']) ORDER BY id LIMIT $.5",
    "SELECT id FROM kinds WHERE small = $ + 1 OR small + 1 = $ OR -small = -$ ORDER BY id",
    "SELECT id FROM kinds WHERE active = '$' AND id > $",
    "SELECT id, single = $.1, ratio = $.1, single = '$.1', small = $.0, price = $.505, small < 70000$ FROM kinds ORDER BY id",
    "SELECT id FROM kinds WHERE label = 'l$' OR code = 'c$' OR code = 'c$   ' OR label = 'l$ ' ORDER BY id",
    "SELECT DISTINCT small = $ FROM kinds ORDER BY small = $",
    "SELECT id FROM kinds WHERE label = $",
    "SELECT id FROM kinds WHERE big = '$x'",
    "SELECT id FROM kinds WHERE big = $ AND nothing = 5",
    "SELECT id FROM kinds WHERE small = 3000000000$",
    "SELECT id FROM kinds WHERE active = $",
    "SELECT $ / (id - 1) = 1 FROM kinds WHERE id = $",
];

/// Literals of all types, in all places where they may be parameters, and what PostgreSQL would make of them: the same
/// statement with a comment has its literals planned.
#[test]
fn literals_of_what_comes_again_mean_what_they_say() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client
            .batch_execute(
                "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE TABLE kinds (id int PRIMARY KEY, small smallint, \
                 big bigint, price numeric(10,2), ratio float8, single real, label text, code char(4), day date, \
                 at timestamp(0), flags bit(3), tags int[], doc jsonb, raw bytea, mood mood, active boolean); \
                 INSERT INTO kinds SELECT i, i, i, i + 0.5, i + 0.1, i + 0.1, 'l' || i, 'c' || i, '2024-01-01'::date + i, \
                 '2024-01-01'::timestamp + i * '1 day'::interval, '101', ARRAY[i], jsonb_build_object('k', i), \
                 decode('0' || i, 'hex'), 'ok', i % 2 = 0 FROM generate_series(1, 9) i",
            )
            .await
            .expect("a table");
        for (number, sql) in QUERIES.into_iter().enumerate() {
            for x in ["1", "2", "5", "7", "9"] {
                let said = sql.replace('$', x);
                let planned = ask(&client, &format!("{said} -- once")).await;
                assert_eq!(ask(&client, &said).await, planned, "{said}");
            }
            if number < PLANNED_ONCE {
                let start = sql.split(['$', '\'', '(']).next().unwrap_or_default();
                assert_eq!(planning(&client, start).await, "t", "{sql}");
            }
        }
        for (number, sql) in CHANGES.into_iter().enumerate() {
            for x in ["1", "2", "5", "7", "9"] {
                let said = sql.replace('$', x);
                client.batch_execute("BEGIN").await.expect("a block");
                let planned = ask(&client, &format!("{said} -- once")).await;
                client.batch_execute("ROLLBACK").await.expect("no block");
                assert_eq!(ask(&client, &said).await, planned, "{said}");
            }
            if number < CHANGES_PLANNED_ONCE {
                let start = sql.split(['$', '(']).next().unwrap_or_default();
                assert_eq!(planning(&client, start).await, "t", "{sql}");
            }
        }
        // A partial index is found by the constant, and not by a parameter.
        client.batch_execute("CREATE INDEX few ON kinds (big) WHERE label = 'l3'").await.expect("an index");
        for label in ["l1", "l2", "l3", "l4"] {
            let sql = format!("EXPLAIN SELECT big FROM kinds WHERE label = '{label}' AND big = 3");
            let planned = ask(&client, &format!("{sql} -- once")).await;
            assert_eq!(ask(&client, &sql).await, planned);
        }
    });
}

/// Another session has the plans of the first, as far as they are its own.
#[test]
fn what_one_session_has_planned_another_need_not() {
    House::new().run(async |house| {
        let (client, other) = (house.connect().await, house.connect().await);
        client.batch_execute(TABLE).await.expect("a table");
        for id in 1..4 {
            assert_eq!(ask(&client, &format!("SELECT id FROM t WHERE id = {id}")).await, id.to_string());
        }
        assert_eq!(ask(&other, "SELECT id FROM t WHERE id = 50").await, "50");
        assert_eq!(planning(&other, "SELECT id FROM t WHERE id").await, "t");
        // Temporary tables are of one session, also those that come later.
        other.batch_execute("CREATE TEMP TABLE t AS SELECT 7 AS id").await.expect("a table of its own");
        for _ in 0..4 {
            assert_eq!(ask(&other, "SELECT id FROM t WHERE id = 7").await, "7");
            assert_eq!(ask(&other, "SELECT id FROM t WHERE id = 50").await, "");
            assert_eq!(ask(&client, "SELECT id FROM t WHERE id = 50").await, "50");
        }
        other.batch_execute("DROP TABLE t").await.expect("dropped");
        assert_eq!(ask(&other, "SELECT id FROM t WHERE id = 50").await, "50");
        // Definitions of an open transaction are nobody else's.
        client.batch_execute("BEGIN; ALTER TABLE t RENAME COLUMN kind TO sort").await.expect("renamed");
        for id in 1..4 {
            assert_eq!(
                ask(&client, &format!("SELECT sort FROM t WHERE id = {id}")).await,
                format!("k{}", id % 3)
            );
        }
        client.batch_execute("ROLLBACK").await.expect("as it was");
        assert_eq!(ask(&client, "SELECT sort FROM t WHERE id = 3").await, "42703 Some(Original(8))");
        assert_eq!(ask(&other, "SELECT kind FROM t WHERE id = 3").await, "k0");
    });
}

#[test]
fn errors_of_a_query_that_comes_again_are_its_own() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client.batch_execute(TABLE).await.expect("a table");
        let nearest = |vector: &str| format!("SELECT id FROM t ORDER BY v <-> '{vector}' LIMIT 1");
        for _ in 0..3 {
            assert_eq!(ask(&client, &nearest("[7,0]")).await, "7");
        }
        assert_eq!(ask(&client, &nearest("[7,x]")).await, "22P02 Some(Original(33))");
        assert_eq!(ask(&client, &nearest("[7,0,0]")).await, "22000 None");
        assert_eq!(ask(&client, "BEGIN").await, "");
        assert_eq!(ask(&client, "SELECT 1 / 0").await, "22012 None");
        assert_eq!(ask(&client, &nearest("[7,0]")).await, "25P02 None");
        assert_eq!(ask(&client, "ROLLBACK").await, "");
        assert_eq!(ask(&client, &nearest("[8,0]")).await, "8");
        // A moment of its own each time, wherever it is said.
        client
            .batch_execute(
                "CREATE VIEW moment AS SELECT 'now'::text::timestamptz AS at; \
                 CREATE TABLE made (id int, at timestamptz DEFAULT 'now'::text::timestamptz)",
            )
            .await
            .expect("definitions");
        for sql in [
            "SELECT 'now'::timestamptz",
            "SELECT at FROM moment",
            "INSERT INTO made VALUES (1) RETURNING at",
        ] {
            let mut before = String::new();
            for _ in 0..4 {
                let told = ask(&client, sql).await;
                assert_ne!(told, before, "{sql}");
                before = told;
            }
        }
        client.batch_execute("DROP VIEW moment; DROP TABLE made").await.expect("no definitions");
        // What was said, and not what was planned.
        for vector in ["[1,0]", "[2,0]", "[3,0]"] {
            let sql = format!(
                "SELECT query FROM pg_stat_activity, t WHERE pid = pg_backend_pid() ORDER BY v <-> '{vector}' LIMIT 1"
            );
            assert_eq!(ask(&client, &sql).await, sql);
        }
    });
}

#[test]
fn definitions_and_settings_count_for_a_query_that_comes_again() {
    House::new().run(async |house| {
        let (client, other) = (house.connect().await, house.connect().await);
        client.batch_execute(TABLE).await.expect("a table");
        let first = "SELECT * FROM t ORDER BY v <-> '[5,0]' LIMIT 1";
        let zoned = "SELECT '2024-01-01 12:00+00'::timestamptz";
        for _ in 0..3 {
            assert_eq!(ask(&client, first).await, "5 k2 [5,0] [5,0]");
            assert_eq!(ask(&client, zoned).await, "2024-01-01 12:00:00+00");
        }
        assert_eq!(ask(&client, "SET TimeZone = 'Asia/Tokyo'").await, "");
        assert_eq!(ask(&client, zoned).await, "2024-01-01 21:00:00+09");
        other.batch_execute("ALTER TABLE t ADD more int DEFAULT 1, DROP h").await.expect("a change");
        assert_eq!(ask(&client, first).await, "5 k2 [5,0] 1");
        client
            .batch_execute(
                "CREATE SCHEMA s; CREATE TABLE s.t (v vector(2)); INSERT INTO s.t VALUES ('[1,1]')",
            )
            .await
            .expect("another");
        assert_eq!(ask(&client, "SET search_path = s, public").await, "");
        assert_eq!(ask(&client, first).await, "[1,1]");
        assert_eq!(ask(&client, "RESET search_path").await, "");
        for _ in 0..3 {
            assert_eq!(ask(&client, first).await, "5 k2 [5,0] 1");
        }
        other.batch_execute("DROP TABLE t").await.expect("a change");
        assert_eq!(ask(&client, first).await, "42P01 Some(Original(15))");
        assert_eq!(ask(&client, "SELECT $1").await, "42P02 Some(Original(8))");
    });
}

#[test]
fn a_parse_that_comes_again_is_not_planned_again() {
    House::new().run(async |house| {
        let client = house.connect().await;
        client.batch_execute(TABLE).await.expect("a table");
        // Parse without a name, as node-postgres sends it.
        let sql = "SELECT kind FROM t WHERE id = $1";
        for (id, kind) in [(1i32, "k1"), (2, "k2"), (3, "k0"), (4, "k1")] {
            let rows = client.query_typed(sql, &[(&id, Type::INT4)]).await.expect("an answer");
            assert_eq!(rows[0].get::<_, &str>(0), kind);
        }
        assert_eq!(planning(&client, "SELECT kind FROM t").await, "t");
        // A parameter of another type is another statement.
        let rows = client.query_typed(sql, &[(&5i64, Type::INT8)]).await.expect("an answer");
        assert_eq!(rows[0].get::<_, &str>(0), "k2");
        // What Parse has planned is no simple query, which has no parameters.
        assert_eq!(ask(&client, sql).await, "42P02 Some(Original(31))");
        let change = "INSERT INTO t (id, kind) VALUES ($1, 'new') RETURNING id";
        for id in 201i32..205 {
            let rows = client.query_typed(change, &[(&id, Type::INT4)]).await.expect("an answer");
            assert_eq!(rows[0].get::<_, i32>(0), id);
        }
        let again = client.query_typed(change, &[(&201i32, Type::INT4)]).await.expect_err("it is there");
        assert_eq!(state(&again), "23505");
    });
}
