//! The types of expressions: their names, their literals, and the tables with a column of each.

use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ty {
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Bool,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Bytea,
    Json,
    Jsonb,
    Ints,
    Texts,
    Bit,
    Varbit,
    Level,
    Tsvector,
    Tsquery,
    Vector,
    Halfvec,
    Sparsevec,
}

/// Each type with its name in SQL and the column of `da` that has it.
pub const TYPES: &[(Ty, &str, &str)] = &[
    (Ty::Int2, "int2", "i2"),
    (Ty::Int4, "int4", "i4"),
    (Ty::Int8, "int8", "i8"),
    (Ty::Float4, "float4", "f4"),
    (Ty::Float8, "float8", "f8"),
    (Ty::Numeric, "numeric", "n"),
    (Ty::Text, "text", "t"),
    (Ty::Bool, "bool", "b"),
    (Ty::Date, "date", "d"),
    (Ty::Time, "time", "tm"),
    (Ty::Timestamp, "timestamp", "ts"),
    (Ty::Timestamptz, "timestamptz", "tz"),
    (Ty::Interval, "interval", "iv"),
    (Ty::Uuid, "uuid", "u"),
    (Ty::Bytea, "bytea", "by"),
    (Ty::Json, "json", "js"),
    (Ty::Jsonb, "jsonb", "j"),
    (Ty::Ints, "int[]", "ai"),
    (Ty::Texts, "text[]", "at"),
    (Ty::Bit, "bit(8)", "bi"),
    (Ty::Varbit, "varbit", "vb"),
    (Ty::Level, "level", "lv"),
    (Ty::Tsvector, "tsvector", "tv"),
    (Ty::Tsquery, "tsquery", "tq"),
    (Ty::Vector, "vector", "v"),
    (Ty::Halfvec, "halfvec", "h"),
    (Ty::Sparsevec, "sparsevec", "s"),
];

/// Types that have an order, and equality that does not depend on how a value is written.
pub const ORDERED: &[Ty] = &[
    Ty::Int2,
    Ty::Int4,
    Ty::Int8,
    Ty::Float4,
    Ty::Float8,
    Ty::Numeric,
    Ty::Text,
    Ty::Bool,
    Ty::Date,
    Ty::Time,
    Ty::Timestamp,
    Ty::Timestamptz,
    Ty::Uuid,
    Ty::Bytea,
    Ty::Ints,
    Ty::Bit,
    Ty::Varbit,
    Ty::Level,
    Ty::Vector,
    Ty::Halfvec,
];

pub fn name_of(ty: Ty) -> &'static str {
    TYPES.iter().find(|entry| entry.0 == ty).expect("every type is listed").1
}

pub fn column_of(ty: Ty) -> &'static str {
    TYPES.iter().find(|entry| entry.0 == ty).expect("every type is listed").2
}

pub fn type_named(name: &str) -> Ty {
    TYPES.iter().find(|entry| entry.1 == name).unwrap_or_else(|| panic!("no type {name}")).0
}

pub fn any_type(random: &mut Random) -> Ty {
    TYPES[random.below(TYPES.len())].0
}

/// The columns of `db`, which has fewer.
pub const COLUMNS_OF_B: &[&str] = &["id", "i4", "i8", "n", "t", "b", "d"];

/// The tables and their rows: `da` with a column of each type, `db` to join with, `dc` like `da` to be changed.
pub fn setup() -> Vec<String> {
    let columns: Vec<String> = TYPES
        .iter()
        .map(|(ty, name, column)| {
            let name = match ty {
                Ty::Vector => "vector(3)",
                Ty::Halfvec => "halfvec(3)",
                Ty::Sparsevec => "sparsevec(3)",
                _ => name,
            };
            format!("{column} {name}")
        })
        .collect();
    let mut statements: Vec<String> = [
        "DROP TABLE IF EXISTS da, db, dc",
        "DROP TYPE IF EXISTS level",
        "CREATE TYPE level AS ENUM ('low', 'mid', 'high')",
    ]
    .map(str::to_owned)
    .into();
    statements.push(format!("CREATE TABLE da (id int PRIMARY KEY, {})", columns.join(", ")));
    statements.push("CREATE TABLE dc (LIKE da INCLUDING ALL)".to_owned());
    statements.push(
        "CREATE TABLE db (id int PRIMARY KEY, a_id int, i4 int4, i8 int8, n numeric(10,3), t text, b bool, d date)"
            .to_owned(),
    );
    let mut random = Random::of(0, 7);
    let mut row = |head: String, types: &mut dyn Iterator<Item = Ty>| {
        let cell = |ty| if random.chance(15) { "NULL".to_owned() } else { ordinary(&mut random, ty) };
        std::iter::once(head).chain(types.map(cell)).collect::<Vec<_>>().join(", ")
    };
    for id in 0..24 {
        let cells = row(id.to_string(), &mut TYPES.iter().map(|entry| entry.0));
        statements.push(format!("INSERT INTO da VALUES ({cells})"));
    }
    for id in 0..16 {
        let types = [Ty::Int4, Ty::Int8, Ty::Numeric, Ty::Text, Ty::Bool, Ty::Date];
        let cells = row(format!("{id}, {}", id * 7 % 30), &mut types.into_iter());
        statements.push(format!("INSERT INTO db VALUES ({cells})"));
    }
    statements
}

/// A literal; one in thirty is at the edge of its type.
pub fn literal(random: &mut Random, ty: Ty) -> String {
    let edges = edges(ty);
    match !edges.is_empty() && random.below(30) == 0 {
        true => random.pick(edges).to_owned(),
        false => ordinary(random, ty),
    }
}

fn edges(ty: Ty) -> &'static [&'static str] {
    match ty {
        Ty::Int2 => &["32767::int2", "(-32768)::int2"],
        Ty::Int4 => &["2147483647", "(-2147483648)", "65536"],
        Ty::Int8 => &["9223372036854775807", "(-9223372036854775808)", "4294967296"],
        Ty::Float4 => {
            &["'NaN'::float4", "'Infinity'::float4", "3.4e38::float4", "1e-40::float4", "'-0'::float4"]
        }
        Ty::Float8 => &[
            "'NaN'::float8",
            "'-Infinity'::float8",
            "1.7e308::float8",
            "5e-324::float8",
            "'-0'::float8",
            "1e15",
        ],
        Ty::Numeric => &[
            "99999999.99",
            "0.000001",
            "123456789012345",
            "-0.5",
            "1.500",
            "'NaN'::numeric",
            "'Infinity'::numeric",
            "'-Infinity'::numeric",
            "12345678901234567890123456789012345678901234567890.5",
            "1e-40",
        ],
        Ty::Text => {
            &[r"'%\_'", r"E'a\nb\t'", "'日本語'", "'🦀x'", "'it''s'", "'{\"a\": 1}'", "'2020-01-01'", "' '"]
        }
        Ty::Date => &["date '0001-01-01'", "date '9999-12-31'", "date '1999-12-31'", "date '2024-02-29'"],
        Ty::Time => &["time '00:00'", "time '24:00'", "time '23:59:59.999999'"],
        Ty::Timestamp => &["timestamp '1969-12-31 23:59:59.999999'", "timestamp '2024-02-29 12:00'"],
        Ty::Timestamptz => &["timestamptz '1969-12-31 23:59:59.5-08'", "timestamptz '2024-03-31 01:30+01'"],
        Ty::Interval => {
            &["interval '0'", "interval '-1 mon +31 days -00:00:00.000001'", "interval '1000 years'"]
        }
        Ty::Bytea => &[r"'\x00ff'::bytea", "''::bytea", r"'a\\b'::bytea"],
        Ty::Jsonb => &[r#"'{"é": "\n", "": []}'::jsonb"#, "'1e5'::jsonb", "'{}'::jsonb", "'[[]]'::jsonb"],
        Ty::Json => &[r#"'{"a":1,"a":2}'::json"#, "' [1 , 2 ] '::json"],
        Ty::Vector => &["'[1e30,1e30,1]'::vector", "'[0,0,0]'::vector", "'[1,2]'::vector"],
        Ty::Halfvec => &["'[65504,1,1]'::halfvec", "'[0,0,0]'::halfvec", "'[1,2]'::halfvec"],
        Ty::Sparsevec => &["'{}/3'::sparsevec", "'{1:1e30}/3'::sparsevec", "'{2:1}/4'::sparsevec"],
        _ => &[],
    }
}

fn ordinary(random: &mut Random, ty: Ty) -> String {
    let number = |random: &mut Random| match random.below(6) {
        0 => 0,
        1 => 1,
        2 => -(random.below(10) as i64),
        3 => random.below(1000) as i64,
        _ => random.below(20) as i64,
    };
    let day = |random: &mut Random| {
        format!("20{:02}-{:02}-{:02}", random.below(40), random.below(12) + 1, random.below(28) + 1)
    };
    let clock = |random: &mut Random| {
        format!("{:02}:{:02}:{:02}", random.below(24), random.below(60), random.below(60))
    };
    // Quarters are exact in two bytes, and so are their sums: digits do not depend on the order of additions.
    let element = |random: &mut Random| format!("{}", random.below(24) as f64 / 4.0 - 2.0);
    let quoted =
        |random: &mut Random, some: &[&str], ty: Ty| format!("'{}'::{}", random.pick(some), name_of(ty));
    match ty {
        Ty::Int2 | Ty::Int4 => number(random).to_string(),
        Ty::Int8 => format!("{}::int8", [number(random), 3_000_000_000][random.below(2)]),
        Ty::Float4 | Ty::Float8 => {
            format!("{}.{}::{}", number(random), [0, 5, 25, 125][random.below(4)], name_of(ty))
        }
        Ty::Numeric => format!("{}.{:02}", number(random), random.below(100)),
        Ty::Text => {
            let words =
                ["", "a", "abc", "Hello World", "x_y", "12", "héllo", "A,b,c", "  pad ", "zzz", "fat cats"];
            format!("'{}'", random.pick(&words))
        }
        Ty::Bool => random.pick(&["true", "false"]).to_owned(),
        Ty::Date => format!("date '{}'", day(random)),
        Ty::Time => format!("time '{}'", clock(random)),
        Ty::Timestamp => format!("timestamp '{} {}'", day(random), clock(random)),
        Ty::Timestamptz => format!("timestamptz '{} {}+00'", day(random), clock(random)),
        Ty::Interval => {
            let some =
                ["1 day", "2 hours", "1 month", "-3 days", "1 year 2 mons", "00:30:15", "40 days 25:00:00"];
            format!("interval '{}'", random.pick(&some))
        }
        Ty::Uuid => format!("'{:08x}-0000-4000-8000-{:012x}'::uuid", random.below(9), random.below(9)),
        Ty::Bytea => quoted(random, &[r"\x61", r"\x616263", r"\xdeadbeef", "abc", r"\x0102030405"], ty),
        Ty::Json | Ty::Jsonb => {
            let some = [
                r#"{"a": 1, "b": [1, 2]}"#,
                r#"{"a": "x"}"#,
                "[1, 2, 3]",
                r#""s""#,
                "null",
                "12.50",
                "true",
                r#"{"a": {"c": null}, "bb": 2}"#,
                r#"[{"a": 1}, {"a": [2]}]"#,
            ];
            quoted(random, &some, ty)
        }
        Ty::Ints => quoted(random, &["{}", "{1}", "{1,2,3}", "{3,NULL,1}", "{5,5}"], ty),
        Ty::Texts => quoted(random, &["{}", "{a}", "{a,abc}", "{NULL,\"\",zzz}", "{\"x,y\",12}"], ty),
        Ty::Bit => format!("B'{:08b}'", random.below(256)),
        Ty::Varbit => quoted(random, &["", "1", "0", "101", "1011", "11110000", "0000000001"], ty),
        Ty::Level => quoted(random, &["low", "mid", "high"], ty),
        Ty::Tsvector => {
            let some = ["", "a", "cat:3 fat:2A", "cat fat rat", "x:1,2B y:7", "hello:1 world:2"];
            quoted(random, &some, ty)
        }
        Ty::Tsquery => quoted(
            random,
            &["cat", "cat & fat", "cat | !rat", "hello <-> world", "f:*", "fat:A", "x & y"],
            ty,
        ),
        Ty::Vector | Ty::Halfvec => {
            format!("'[{},{},{}]'::{}", element(random), element(random), element(random), name_of(ty))
        }
        Ty::Sparsevec => {
            let some = ["{1:1}/3", "{1:0.5,3:-2}/3", "{2:4}/3", "{1:1,2:2,3:3}/3"];
            quoted(random, &some, ty)
        }
    }
}
