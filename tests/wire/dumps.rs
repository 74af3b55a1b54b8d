//! `hither dump` of what is not in the order in which it can be made again, loaded into a second database.

use std::process::Command;

use futures::SinkExt;
use tokio_postgres::{Client, NoTls};

use crate::House;
use crate::queries::texts;

/// Defaults, generated columns, conditions and indexes that call functions; functions that read views, and views that call
/// functions; what was made first and given another definition later; comments on everything.
const SAMPLE: &str = r#"
CREATE SCHEMA shop;
CREATE TABLE early (a int PRIMARY KEY, n int);
CREATE VIEW replaced AS SELECT 1 AS n;
CREATE VIEW small AS SELECT a, n FROM early WHERE a < 3;
CREATE VIEW named AS SELECT 2 AS n;
CREATE OR REPLACE VIEW replaced AS SELECT n FROM named;
CREATE FUNCTION doubled(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * 2';
CREATE FUNCTION smallest() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT a FROM small';
CREATE FUNCTION rows_of() RETURNS SETOF early LANGUAGE sql STABLE AS 'SELECT * FROM early';
CREATE FUNCTION plus(a int, b int DEFAULT doubled(2)) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE FUNCTION shop.three() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 3';
CREATE DOMAIN even AS int CONSTRAINT even_small CHECK (doubled(VALUE) < 100);
ALTER TABLE early ALTER n SET DEFAULT doubled(21);
ALTER TABLE early ADD COLUMN twice int GENERATED ALWAYS AS (doubled(a)) STORED;
ALTER TABLE early ADD CONSTRAINT early_sound CHECK (doubled(a) < 1000);
CREATE INDEX early_doubled ON early (doubled(a));
CREATE TABLE late (id int GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5) PRIMARY KEY,
    x int DEFAULT plus(1, 2), y int DEFAULT shop.three(), e even);
CREATE VIEW from_function AS SELECT smallest AS a FROM smallest();
CREATE MATERIALIZED VIEW kept AS SELECT a, plus(a, 1) AS more FROM early;
CREATE INDEX kept_a ON kept (a);
CREATE TABLE parts (k int, d int DEFAULT doubled(1)) PARTITION BY LIST (k);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
ALTER TABLE ONLY parts_2 ALTER COLUMN d SET DEFAULT 7;
INSERT INTO early (a) VALUES (1), (2), (3);
INSERT INTO late (e) VALUES (4), (NULL);
INSERT INTO parts (k) VALUES (1), (2);
REFRESH MATERIALIZED VIEW kept;
COMMENT ON SCHEMA shop IS 'where it''s sold';
COMMENT ON TABLE early IS 'the first';
COMMENT ON COLUMN early.n IS 'a number';
COMMENT ON INDEX early_doubled IS 'by twice';
COMMENT ON CONSTRAINT early_sound ON early IS 'never large';
COMMENT ON FUNCTION plus(int, int) IS 'a sum';
COMMENT ON VIEW named IS 'two';
COMMENT ON MATERIALIZED VIEW kept IS 'kept';
COMMENT ON DOMAIN even IS 'not odd';
"#;

/// What must be the same in both databases.
const ASKED: &[&str] = &[
    "SELECT relname, relkind::text, pg_get_viewdef(oid) FROM pg_class WHERE oid >= 16384 AND relkind IN ('v', 'm') ORDER BY 1",
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attidentity::text, a.attgenerated::text,
        a.attnotnull::text, pg_get_expr(d.adbin, d.adrelid)
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.oid >= 16384 AND a.attnum > 0 ORDER BY 1, a.attnum",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE oid >= 16384 ORDER BY 1",
    "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid >= 16384 ORDER BY 1",
    "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE oid >= 16384 ORDER BY 1",
    "SELECT description FROM pg_description WHERE objoid >= 16384 ORDER BY 1",
    "SELECT seqstart::text, seqincrement::text FROM pg_sequence ORDER BY 1",
    "SELECT early::text FROM early ORDER BY 1",
    "SELECT late::text FROM late ORDER BY 1",
    "SELECT a::text, more::text FROM kept ORDER BY 1",
    "SELECT tableoid::regclass::text, k::text, d::text FROM parts ORDER BY 1",
    "SELECT a::text FROM from_function ORDER BY 1",
    "INSERT INTO late DEFAULT VALUES RETURNING id::text, x::text, y::text",
    "INSERT INTO parts VALUES (1), (2) RETURNING k::text, d::text",
    "INSERT INTO parts_2 VALUES (2) RETURNING d::text",
];

async fn dump(url: String) -> String {
    let run = move || Command::new(env!("CARGO_BIN_EXE_hither")).args(["dump", &url]).output();
    let output = tokio::task::spawn_blocking(run).await.expect("a thread").expect("a dump");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// As psql does; a failure shows what the server said.
async fn load(client: &Client, script: &str) {
    let (mut statements, mut lines) = (String::new(), script.lines());
    while let Some(line) = lines.next() {
        let Some(copy) = line.strip_suffix(" FROM stdin;").filter(|line| line.starts_with("COPY ")) else {
            statements.push_str(line);
            statements.push('\n');
            continue;
        };
        client.batch_execute(&std::mem::take(&mut statements)).await.expect("definitions");
        let rows = lines.by_ref().take_while(|line| *line != "\\.").map(|line| format!("{line}\n"));
        let rows = bytes::Bytes::from(rows.collect::<String>());
        let sink = client.copy_in::<str, bytes::Bytes>(&format!("{copy} FROM stdin")).await.expect("a sink");
        let mut sink = std::pin::pin!(sink);
        sink.send(rows).await.expect("rows");
        sink.finish().await.expect("the rows are in");
    }
    client.batch_execute(&statements).await.unwrap_or_else(|error| panic!("{error:?} in\n{statements}"));
}

#[test]
fn a_dump_loads_whatever_was_made_first() {
    House::new().run(async |house| {
        let first = house.connect().await;
        first.batch_execute("CREATE DATABASE second").await.expect("a database");
        first.batch_execute(SAMPLE).await.expect("a sample");
        let script = dump(house.url()).await;
        for comment in
            ["SCHEMA shop", "INDEX public.early_doubled", "CONSTRAINT early_sound", "FUNCTION public.plus"]
        {
            assert!(script.contains(&format!("COMMENT ON {comment}")), "{comment} is not in\n{script}");
        }
        let url = format!("postgres://postgres@{}/second", house.server.address());
        let (second, driver) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
        tokio::spawn(driver);
        load(&second, &script).await;
        assert_eq!(dump(url.clone()).await, script);
        // A session with the search path that every session begins with.
        let (second, driver) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
        tokio::spawn(driver);
        for asked in ASKED {
            assert_eq!(texts(&second, asked).await, texts(&first, asked).await, "{asked}");
        }
    });
}
