//! Queries of clients before and after.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::*;

fn rewritten(sql: &str) -> String {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
    let Statement::Query(query) = &mut statements[0] else { panic!("a query") };
    super::query(query, Known::default());
    query.to_string()
}

#[test]
fn spellings_become_known_ones() {
    for (written, planned) in [
        (
            "SELECT pg_catalog.quote_ident(x) FROM t WHERE a OPERATOR(pg_catalog.~) '^(b)$' COLLATE pg_catalog.default",
            "SELECT quote_ident(x) FROM t WHERE a ~ '^(b)$'",
        ),
        ("SELECT 1 WHERE c = 'pg_class'::regclass", "SELECT 1 WHERE c = hither_regclass_in('pg_class')"),
        ("SELECT oid::regclass FROM t", "SELECT hither_regclass_out(oid) AS \"oid\" FROM t"),
        (
            "SELECT x FROM t ORDER BY c::regclass::text",
            "SELECT x FROM t ORDER BY hither_regclass_out(c)::TEXT",
        ),
        ("SELECT nextval('s'::regclass)", "SELECT nextval('s')"),
        (
            "SELECT array(SELECT a FROM t ORDER BY 1)",
            "SELECT hither_array_or_empty((SELECT array_agg(a ORDER BY a) FROM t)) AS \"array\"",
        ),
        (
            "SELECT array(select 'toast.' || x from pg_catalog.unnest(tc.o) x) FROM tc",
            "SELECT hither_array_prefix('toast.', tc.o) AS \"array\" FROM tc",
        ),
        (
            "SELECT (SELECT d.x FROM pg_attrdef d WHERE d.r = a.r AND a.h) FROM pg_attribute a",
            "SELECT CASE WHEN a.h THEN (SELECT min(d.x) FROM pg_attrdef d WHERE d.r = a.r) END AS \"x\" FROM pg_attribute a",
        ),
        (
            "SELECT EXISTS (SELECT 1 FROM pg_index WHERE q) FROM t",
            "SELECT ((SELECT count(*) FROM pg_index WHERE q) > 0) AS \"exists\" FROM t",
        ),
        (
            "SELECT p.polname, f(p.x) AS y FROM pg_catalog.pg_policy p WHERE p.z = '1'",
            "SELECT p.polname, NULL::TEXT AS y FROM pg_catalog.pg_policy p WHERE false",
        ),
        ("SELECT 1 WHERE x = ANY ('{a,b}')", "SELECT 1 WHERE x IN ('a', 'b')"),
        ("SELECT current_schema", "SELECT current_schema()"),
        ("SELECT 1 FROM pg_catalog.generate_series(1, 2) s", "SELECT 1 FROM generate_series(1, 2) s"),
        ("SELECT c.x FROM pg_class c WHERE c.tableoid = 1", "SELECT c.x FROM pg_class c WHERE 1259 = 1"),
        ("SELECT a FROM t LEFT JOIN pg_trigger g ON b", "SELECT a FROM t LEFT JOIN pg_trigger g ON b"),
    ] {
        assert_eq!(rewritten(written), planned);
    }
}

#[test]
fn outer_columns_take_the_name_of_their_equals() {
    let written = "SELECT (SELECT c.n FROM pg_collation c, pg_type t \
        WHERE c.oid = a.c AND t.oid = a.t AND a.c <> t.d) FROM pg_attribute a";
    assert!(rewritten(written).contains("AND c.oid <> t.d)"), "{}", rewritten(written));
}
