//! What queries of many shapes answer.

use super::*;

fn world() -> World {
    let world = World::new();
    let mut txn = world.begin();
    world.insert(
        &mut txn,
        vec![
            row(1, Some(10), "one", Some([1.0, 0.0, 0.0, 0.0])),
            row(2, Some(20), "two", Some([0.0, 2.0, 0.0, 0.0])),
            row(3, Some(10), "three", None),
            row(4, None, "four", Some([1.0, 1.0, 1.0, 1.0])),
        ],
    );
    txn.commit().unwrap();
    world
}

#[test]
fn selects() {
    let w = world();
    let cases: &[(&str, &str)] = &[
        ("SELECT 1", "1"),
        ("SELECT 1 + 1, 'a' || 'b', 7 / 2, 2.5 * 2", "2|ab|3|5.0"),
        ("SELECT count(*) FROM t", "4"),
        ("SELECT id, name FROM t WHERE id = 2", "2|two"),
        ("SELECT id FROM t WHERE id = '3'", "3"),
        ("SELECT id FROM t WHERE category = 10 ORDER BY id", "1\n3"),
        ("SELECT id FROM t WHERE category IN (20, 30) OR category IS NULL ORDER BY id", "2\n4"),
        ("SELECT id FROM t WHERE category IN ('20') ORDER BY id", "2"),
        ("SELECT id FROM t WHERE name LIKE 't%' ORDER BY id DESC", "3\n2"),
        ("SELECT id FROM t WHERE id BETWEEN '2' AND 3 ORDER BY id", "2\n3"),
        (
            "SELECT category, count(*), min(id) FROM t GROUP BY category ORDER BY category",
            "10|2|1\n20|1|2\nNULL|1|4",
        ),
        ("SELECT a.id, b.id FROM t a JOIN t b ON a.category = b.category WHERE a.id < b.id", "1|3"),
        ("SELECT id, id FROM t WHERE id = 1", "1|1"),
        ("SELECT v FROM t WHERE id = 4", "[1,1,1,1]"),
        ("SELECT v FROM t WHERE v = '[1,0,0,0]'", "[1,0,0,0]"),
        ("SELECT id FROM t WHERE v <> '[1,0,0,0]' ORDER BY id", "2\n4"),
        ("SELECT '[1,2,3]'::vector <-> '[1,2,5]'", "2"),
        ("SELECT '[1,2,3]'::vector(3)", "[1,2,3]"),
        (
            "SELECT '[1,2]'::vector + '[3,4]', '[1,2]'::vector * '[3,4]', '[1]'::vector || '[2]'",
            "[4,6]|[3,8]|[1,2]",
        ),
        (
            "SELECT vector_dims('[1,2,3]'::vector), vector_norm('[3,4]'), l2_normalize('[3,4]')",
            "3|5|[0.6,0.8]",
        ),
        ("SELECT avg(v), sum(v) FROM t", "[0.6666667,1,0.33333334,0.33333334]|[2,3,1,1]"),
        ("SELECT id, v <#> '[1,1,1,1]' AS d FROM t WHERE id < 3 ORDER BY id", "1|-1\n2|-2"),
        ("SELECT subvector('[1,2,3,4]'::vector, 2, 2)", "[2,3]"),
        ("SELECT ARRAY[1,2,3]::vector, '[1,2]'::vector::real[]", "[1,2,3]|{1,2}"),
        ("SELECT 1.7::int, '5'::int + 1, 2::text, true::text, 1.0::float8::text", "2|6|2|true|1"),
        ("SELECT '2024-01-02'::date + 1, DATE '2024-01-31' - DATE '2024-01-01'", "2024-01-03|30"),
        ("SELECT current_user, current_schema, current_database()", "tester|public|postgres"),
        ("SELECT now() = current_timestamp, now()::date", "t|2023-11-14"),
        ("SELECT * FROM generate_series(1, 3) g WHERE g > 1", "2\n3"),
        ("SELECT x FROM (VALUES (1, 'a'), (2, 'b')) AS v(x, y) WHERE y = 'b'", "2"),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n",
            "1\n2\n3",
        ),
        ("SELECT id FROM t WHERE id IN (SELECT max(id) FROM t)", "4"),
        (
            "SELECT (SELECT count(*) FROM t b WHERE b.category = a.category) FROM t a ORDER BY id",
            "2\n1\n2\n0",
        ),
        ("SELECT CASE category WHEN '10' THEN 'ten' ELSE 'other' END FROM t WHERE id = 1", "ten"),
        ("SELECT '{\"a\": {\"b\": [1, 2]}}'::jsonb -> 'a' -> 'b' ->> 1", "2"),
        ("SELECT string_agg(name, ',' ORDER BY id) FROM t", "one,two,three,four"),
        ("SELECT id FROM t ORDER BY id LIMIT 2 OFFSET 1", "2\n3"),
        ("SELECT gen_random_uuid() IS NOT NULL", "t"),
        ("SELECT id FROM t WHERE id = ANY(ARRAY[1, 3]) ORDER BY id", "1\n3"),
        ("SELECT coalesce(category, 0) FROM t ORDER BY id", "10\n20\n10\n0"),
        (
            "SELECT extract(year FROM DATE '2024-05-06'), date_trunc('month', TIMESTAMP '2024-05-06 01:02:03')",
            "2024|2024-05-01 00:00:00",
        ),
        ("SELECT 'a7f0c2de-0000-4000-8000-000000000001'::uuid = 'A7F0C2DE-0000-4000-8000-000000000001'", "t"),
        ("SELECT timestamp '2024-01-01 10:00' + interval '1 hour'", "2024-01-01 11:00:00"),
    ];
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        let found = w.show(sql, &[]);
        if found != *expected {
            wrong.push(format!("{sql}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn errors_have_postgres_codes() {
    let w = world();
    let cases: &[(&str, &str)] = &[
        ("SELECT * FROM nowhere", "42P01 relation \"nowhere\" does not exist"),
        ("SELECT nothing FROM t", "42703 column \"nothing\" does not exist"),
        ("SELECT x.id FROM t", "42P01 missing FROM-clause entry for table \"x\""),
        ("SELECT nofunction(1)", "42883 function nofunction(integer) does not exist"),
        ("SELECT 1 / 0", "22012 division by zero"),
        ("SELECT 'x'::int", "22P02 invalid input syntax for type integer: \"x\""),
        ("SELECT id FROM t WHERE id = 'x'", "22P02 invalid input syntax for type bigint: \"x\""),
        ("SELECT v <-> '[1,2]' FROM t", "22000 different vector dimensions 4 and 2"),
        ("SELECT id FROM t ORDER BY v <-> '[1,2]' LIMIT 1", "22000 different vector dimensions 4 and 2"),
        ("SELECT '[1,2]'::vector(3)", "22000 expected 3 dimensions, not 2"),
        ("SELECT 1 <-> 2", "42883 operator does not exist: integer <-> integer"),
    ];
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        let found = w.show(sql, &[]);
        if found != *expected {
            wrong.push(format!("{sql}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn columns_have_the_names_and_types_of_postgres() {
    let w = world();
    let txn = w.begin();
    let sql = "SELECT count(*), 1, id + 1, v <-> '[1,2,3,4]', name, v, *, id::int, now() FROM t GROUP BY id, name, v, category";
    let query = w.plan(&txn, sql).unwrap();
    let shown: Vec<String> = query.columns.iter().map(|c| format!("{}:{:?}", c.name, c.ty)).collect();
    assert_eq!(
        shown.join(" "),
        "count:Int8 ?column?:Int4 ?column?:Int8 ?column?:Float8 name:Text v:Vector(Some(4)) \
         id:Int8 category:Int4 name:Text v:Vector(Some(4)) id:Int4 now:Timestamptz(None)"
    );
    let origin = &query.columns[4];
    assert_eq!((origin.table_oid, origin.attnum), (w.table, 3));
}

#[test]
fn parameters_take_their_types_from_where_they_stand() {
    let w = world();
    let txn = w.begin();
    let types = |sql: &str| w.plan(&txn, sql).unwrap().param_types;
    assert_eq!(types("SELECT id FROM t ORDER BY v <-> $1 LIMIT $2"), [Type::Vector(None), Type::Int8]);
    assert_eq!(
        types("SELECT id FROM t WHERE id = $1 AND category IN ($2) AND name = $3"),
        [Type::Int8, Type::Int4, Type::Text]
    );
    assert_eq!(types("SELECT $1::date, $2"), [Type::Date, Type::Text]);
    assert_eq!(types("SELECT $1::vector <-> '[1]'"), [Type::Vector(None)]);
    assert_eq!(types("SELECT l2_distance(v, $1) FROM t"), [Type::Vector(None)]);
}
