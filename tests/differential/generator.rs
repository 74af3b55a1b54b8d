//! Random statements, typed so that most of them mean something.
//!
//! An expression is made for a type that is wanted; columns, literals, operators and functions of that type are drawn
//! until the depth is used up. One statement in ten has an expression of a wrong type somewhere, to compare errors.

/// splitmix64: the same statements on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// The types of expressions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ty {
    Int2,
    Int4,
    Int8,
    Float8,
    Numeric,
    Text,
    Bool,
    Date,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Jsonb,
    Ints,
    Vector,
}

const TYPES: &[Ty] = &[
    Ty::Int2,
    Ty::Int4,
    Ty::Int4,
    Ty::Int8,
    Ty::Float8,
    Ty::Numeric,
    Ty::Text,
    Ty::Text,
    Ty::Bool,
    Ty::Date,
    Ty::Timestamp,
    Ty::Timestamptz,
    Ty::Interval,
    Ty::Uuid,
    Ty::Jsonb,
    Ty::Ints,
    Ty::Vector,
];
/// Types that have an order, and equality that does not depend on how a value is written.
const ORDERED: &[Ty] = &[
    Ty::Int2,
    Ty::Int4,
    Ty::Int8,
    Ty::Float8,
    Ty::Numeric,
    Ty::Text,
    Ty::Bool,
    Ty::Date,
    Ty::Timestamp,
    Ty::Timestamptz,
    Ty::Uuid,
];

/// The tables and their rows.
pub fn setup() -> Vec<String> {
    let mut statements = vec![
        "DROP TABLE IF EXISTS da".to_owned(),
        "DROP TABLE IF EXISTS db".to_owned(),
        "CREATE TABLE da (id int PRIMARY KEY, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(12,2), \
         t text, b bool, d date, ts timestamp, tz timestamptz, iv interval, u uuid, j jsonb, ai int[], v vector(3))"
            .to_owned(),
        "CREATE TABLE db (id int PRIMARY KEY, a_id int, i4 int4, i8 int8, n numeric(10,3), t text, b bool, d date)"
            .to_owned(),
    ];
    let mut random = Random::new(7);
    for id in 0..24 {
        let mut cells = vec![id.to_string()];
        let types = [
            Ty::Int2,
            Ty::Int4,
            Ty::Int8,
            Ty::Float8,
            Ty::Float8,
            Ty::Numeric,
            Ty::Text,
            Ty::Bool,
            Ty::Date,
            Ty::Timestamp,
            Ty::Timestamptz,
            Ty::Interval,
            Ty::Uuid,
            Ty::Jsonb,
            Ty::Ints,
            Ty::Vector,
        ];
        for ty in types {
            cells.push(if random.chance(15) { "NULL".to_owned() } else { literal(&mut random, ty) });
        }
        statements.push(format!("INSERT INTO da VALUES ({})", cells.join(", ")));
    }
    for id in 0..16 {
        let mut cells = vec![id.to_string(), random.below(30).to_string()];
        for ty in [Ty::Int4, Ty::Int8, Ty::Numeric, Ty::Text, Ty::Bool, Ty::Date] {
            cells.push(if random.chance(15) { "NULL".to_owned() } else { literal(&mut random, ty) });
        }
        statements.push(format!("INSERT INTO db VALUES ({})", cells.join(", ")));
    }
    statements
}

fn literal(random: &mut Random, ty: Ty) -> String {
    let number = |random: &mut Random| match random.below(6) {
        0 => 0,
        1 => 1,
        2 => -(random.below(10) as i64),
        3 => random.below(1000) as i64,
        _ => random.below(20) as i64,
    };
    match ty {
        Ty::Int2 | Ty::Int4 => number(random).to_string(),
        Ty::Int8 => format!("{}::int8", [number(random), 3_000_000_000][random.below(2)]),
        Ty::Float8 => format!("{}.{}::float8", number(random), [0, 5, 25, 125][random.below(4)]),
        Ty::Numeric => format!("{}.{:02}", number(random), random.below(100)),
        Ty::Text => {
            let words = ["", "a", "abc", "Hello World", "x_y", "12", "héllo", "A,b,c", "  pad ", "zzz"];
            format!("'{}'", random.pick(&words))
        }
        Ty::Bool => random.pick(&["true", "false"]).to_owned(),
        Ty::Date => format!(
            "date '20{:02}-{:02}-{:02}'",
            random.below(40),
            random.below(12) + 1,
            random.below(28) + 1
        ),
        Ty::Timestamp | Ty::Timestamptz => {
            let name = if ty == Ty::Timestamp { "timestamp" } else { "timestamptz" };
            let zone = if ty == Ty::Timestamp { "" } else { "+00" };
            format!(
                "{name} '20{:02}-{:02}-{:02} {:02}:{:02}:{:02}{zone}'",
                random.below(40),
                random.below(12) + 1,
                random.below(28) + 1,
                random.below(24),
                random.below(60),
                random.below(60),
            )
        }
        Ty::Interval => {
            let some =
                ["1 day", "2 hours", "1 month", "-3 days", "1 year 2 mons", "00:30:15", "40 days 25:00:00"];
            format!("interval '{}'", random.pick(&some))
        }
        Ty::Uuid => format!("'{:08x}-0000-4000-8000-{:012x}'::uuid", random.below(9), random.below(9)),
        Ty::Jsonb => {
            let some = [
                r#"{"a": 1, "b": [1, 2]}"#,
                r#"{"a": "x"}"#,
                "[1, 2, 3]",
                r#""s""#,
                "null",
                "12.50",
                "true",
                r#"{"a": {"c": null}, "bb": 2}"#,
            ];
            format!("'{}'::jsonb", random.pick(&some))
        }
        Ty::Ints => format!("'{}'::int[]", random.pick(&["{}", "{1}", "{1,2,3}", "{3,NULL,1}", "{5,5}"])),
        Ty::Vector => format!("'[{},{},{}]'::vector", random.below(5), random.below(5), random.below(5)),
    }
}

/// What expressions may name.
#[derive(Clone, Copy)]
struct Columns {
    a: bool,
    b: bool,
}

fn column(random: &mut Random, ty: Ty, columns: Columns) -> Option<String> {
    let name = match ty {
        Ty::Int2 => "i2",
        Ty::Int4 => random.pick(&["i4", "id"]),
        Ty::Int8 => "i8",
        Ty::Float8 => "f8",
        Ty::Numeric => "n",
        Ty::Text => "t",
        Ty::Bool => "b",
        Ty::Date => "d",
        Ty::Timestamp => "ts",
        Ty::Timestamptz => "tz",
        Ty::Interval => "iv",
        Ty::Uuid => "u",
        Ty::Jsonb => "j",
        Ty::Ints => "ai",
        Ty::Vector => "v",
    };
    let in_b = ["i4", "id", "i8", "n", "t", "b", "d"].contains(&name);
    match (columns.a, columns.b && in_b) {
        (true, true) => Some(format!("{}.{name}", random.pick(&["da", "db"]))),
        (true, false) => Some(format!("da.{name}")),
        (false, true) => Some(format!("db.{name}")),
        (false, false) => None,
    }
}

struct Generator<'a> {
    random: &'a mut Random,
    columns: Columns,
}

impl Generator<'_> {
    fn leaf(&mut self, ty: Ty) -> String {
        if self.random.chance(4) {
            return format!("NULL::{}", name_of(ty));
        }
        match column(self.random, ty, self.columns) {
            Some(column) if self.random.chance(65) => column,
            _ => literal(self.random, ty),
        }
    }

    /// Replaces `{type}` by expressions of that type, and PATH by a path into a document.
    fn fill(&mut self, template: &str, depth: usize) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (name, after) = after.split_once('}').expect("a template closes its braces");
            out.push_str(&self.expression(type_named(name), depth));
            rest = after;
        }
        out.push_str(rest);
        out.replace("PATH", "{a,c}")
    }

    fn expression(&mut self, ty: Ty, depth: usize) -> String {
        if depth == 0 || self.random.chance(20) {
            return self.leaf(ty);
        }
        let depth = depth - 1;
        match self.random.below(12) {
            0 => {
                let (condition, one, other) = (
                    self.expression(Ty::Bool, depth),
                    self.expression(ty, depth),
                    self.expression(ty, depth),
                );
                format!("CASE WHEN {condition} THEN {one} ELSE {other} END")
            }
            1 => format!("coalesce({}, {})", self.expression(ty, depth), self.expression(ty, depth)),
            2 if ORDERED.contains(&ty) => {
                let function = self.random.pick(&["greatest", "least", "nullif"]);
                format!("{function}({}, {})", self.expression(ty, depth), self.expression(ty, depth))
            }
            _ => {
                let template = self.random.pick(templates(ty));
                self.fill(template, depth)
            }
        }
    }
}

fn name_of(ty: Ty) -> &'static str {
    match ty {
        Ty::Int2 => "int2",
        Ty::Int4 => "int4",
        Ty::Int8 => "int8",
        Ty::Float8 => "float8",
        Ty::Numeric => "numeric",
        Ty::Text => "text",
        Ty::Bool => "bool",
        Ty::Date => "date",
        Ty::Timestamp => "timestamp",
        Ty::Timestamptz => "timestamptz",
        Ty::Interval => "interval",
        Ty::Uuid => "uuid",
        Ty::Jsonb => "jsonb",
        Ty::Ints => "int[]",
        Ty::Vector => "vector",
    }
}

fn type_named(name: &str) -> Ty {
    *TYPES.iter().find(|ty| name_of(**ty) == name).unwrap_or_else(|| panic!("no type {name}"))
}

/// Operators and functions by their result; braces hold operands.
fn templates(ty: Ty) -> &'static [&'static str] {
    match ty {
        Ty::Int2 => {
            &["({int2} + {int2})", "({int2} - {int2})", "abs({int2})", "({int4})::int2", "(- {int2})"]
        }
        Ty::Int4 => &[
            "({int4} + {int4})",
            "({int4} - {int4})",
            "({int4} * {int4})",
            "({int4} / {int4})",
            "({int4} % {int4})",
            "({int2} + {int4})",
            "(- {int4})",
            "abs({int4})",
            "length({text})",
            "({date} - {date})",
            "({int8})::int4",
            "({float8})::int4",
            "({numeric})::int4",
            "strpos({text}, {text})",
            "ascii({text})",
            "array_length({int[]}, 1)",
            "cardinality({int[]})",
            "position({text} in {text})",
            "mod({int4}, {int4})",
            "octet_length({text})",
            "({bool})::int4",
            "vector_dims({vector})",
            "char_length({text})",
            "sign({int4})::int4",
        ],
        Ty::Int8 => &[
            "({int8} + {int4})",
            "({int8} - {int8})",
            "({int8} * {int4})",
            "({int8} / {int4})",
            "({int8} % {int8})",
            "({int4})::int8",
            "abs({int8})",
            "(- {int8})",
        ],
        Ty::Float8 => &[
            "({float8} + {float8})",
            "({float8} - {int4})",
            "({float8} * {float8})",
            "({float8} / {float8})",
            "({numeric})::float8",
            "({int4})::float8",
            "abs({float8})",
            "round({float8})",
            "ceil({float8})",
            "floor({float8})",
            "trunc({float8})",
            "sign({float8})",
            "date_part('day', {timestamp})",
            "sqrt({float8})",
            "({vector} <-> {vector})",
            "l1_distance({vector}, {vector})",
            "power({float8}, 2)",
            "(- {float8})",
            "date_part('epoch', {interval})",
        ],
        Ty::Numeric => &[
            "({numeric} + {numeric})",
            "({numeric} - {numeric})",
            "({numeric} * {numeric})",
            "({numeric} / {numeric})",
            "({numeric} + {int4})",
            "({numeric} * {int4})",
            "round({numeric}, 1)",
            "round({numeric})",
            "trunc({numeric})",
            "ceil({numeric})",
            "floor({numeric})",
            "abs({numeric})",
            "({numeric})::numeric(10,1)",
            "extract(year FROM {date})",
            "extract(second FROM {timestamp})",
            "extract(dow FROM {date})",
            "extract(epoch FROM {timestamp})",
            "extract(week FROM {date})",
            "mod({numeric}, {numeric})",
            "sign({numeric})",
            "(- {numeric})",
            "extract(hour FROM {interval})",
        ],
        Ty::Text => &[
            "({text} || {text})",
            "upper({text})",
            "lower({text})",
            "substr({text}, {int4})",
            "trim({text})",
            "substring({text} from 2 for 3)",
            "replace({text}, 'a', {text})",
            "left({text}, {int4})",
            "right({text}, {int4})",
            "lpad({text}, 6, '*')",
            "rpad({text}, 5)",
            "repeat({text}, 2)",
            "reverse({text})",
            "split_part({text}, ',', 1)",
            "initcap({text})",
            "md5({text})",
            "({int4})::text",
            "({numeric})::text",
            "({bool})::text",
            "({date})::text",
            "({timestamp})::text",
            "({interval})::text",
            "({float8})::text",
            "({jsonb})::text",
            "({jsonb} ->> 'a')",
            "({uuid})::text",
            "({int[]})::text",
            "concat({text}, {int4}, {bool})",
            "concat_ws('-', {text}, {text})",
            "translate({text}, 'abc', 'xy')",
            "to_char({timestamp}, 'YYYY-MM-DD HH24:MI:SS')",
            "to_char({date}, 'FMDay, DD Mon YYYY')",
            "to_char({int4}, '999G999')",
            "to_char({numeric}, 'FM99990.00')",
            "format('%s-%s', {text}, {int4})",
            "quote_literal({text})",
            "quote_ident({text})",
            "regexp_replace({text}, '[a-c]', 'X', 'g')",
            "jsonb_typeof({jsonb})",
            "array_to_string({int[]}, ',')",
            "btrim({text}, 'a')",
            "ltrim({text})",
            "to_hex({int4})",
            "overlay({text} placing 'Z' from 1 for 1)",
            "({vector})::text",
            "chr(65 + abs({int2} % 20))",
        ],
        Ty::Bool => &[
            "({int4} = {int4})",
            "({int4} < {int8})",
            "({int8} >= {int4})",
            "({numeric} > {int4})",
            "({float8} <= {float8})",
            "({text} = {text})",
            "({text} < {text})",
            "({date} > {date})",
            "({timestamp} <= {timestamp})",
            "({timestamptz} <> {timestamptz})",
            "({uuid} = {uuid})",
            "({interval} > {interval})",
            "({bool} AND {bool})",
            "({bool} OR {bool})",
            "(NOT {bool})",
            "({int4} IS NULL)",
            "({text} IS NOT NULL)",
            "({int4} BETWEEN {int4} AND {int4})",
            "({int4} IN ({int4}, {int4}))",
            "({text} LIKE '%a%')",
            "({text} ILIKE 'h%')",
            "({text} ~ '^[a-z]+$')",
            "({int4} = ANY ({int[]}))",
            "({bool} IS TRUE)",
            "({int4} IS DISTINCT FROM {int4})",
            "({jsonb} @> {jsonb})",
            "({jsonb} ? 'a')",
            "({date} < {timestamp})",
            "({numeric} = {numeric})",
            "({int[]} @> {int[]})",
            "({int[]} && {int[]})",
            "({int[]} = {int[]})",
            "starts_with({text}, 'a')",
            "({text} NOT IN ('a', 'abc'))",
            "({numeric} BETWEEN {int4} AND {numeric})",
            "({vector} = {vector})",
            "(({int4}) :: bool)",
            "(({text}, {int4}) = ({text}, {int4}))",
            "({int4} NOT BETWEEN 1 AND {int4})",
        ],
        Ty::Date => &[
            "({date} + {int2})",
            "({date} - {int2})",
            "({timestamp})::date",
            "make_date(2020, 1, 1 + abs({int2} % 28))",
        ],
        Ty::Timestamp => &[
            "({timestamp} + {interval})",
            "({timestamp} - {interval})",
            "({date} + {interval})",
            "({date})::timestamp",
            "date_trunc('month', {timestamp})",
            "date_trunc('hour', {timestamp})",
            "date_trunc('week', {timestamp})",
            "({timestamptz} AT TIME ZONE 'UTC')",
        ],
        Ty::Timestamptz => &[
            "({timestamptz} + {interval})",
            "({timestamptz} - {interval})",
            "date_trunc('day', {timestamptz})",
            "({timestamp} AT TIME ZONE 'UTC')",
            "date_trunc('year', {timestamptz})",
        ],
        Ty::Interval => &[
            "({timestamp} - {timestamp})",
            "({interval} + {interval})",
            "({interval} * {int2})",
            "(- {interval})",
            "age({timestamp}, {timestamp})",
            "({interval} / 2)",
            "justify_days({interval})",
            "make_interval(0, 1, 0, {int4} % 100)",
            "({timestamptz} - {timestamptz})",
            "({interval} - {interval})",
        ],
        Ty::Uuid => &["(({uuid})::text)::uuid"],
        Ty::Jsonb => &[
            "({jsonb} -> 'a')",
            "({jsonb} -> 0)",
            "({jsonb} #> 'PATH')",
            "to_jsonb({int4})",
            "to_jsonb({text})",
            "jsonb_build_object('k', {int4}, 'l', {text})",
            "jsonb_build_array({int4}, {text}, {bool})",
            "({jsonb} || {jsonb})",
            "jsonb_strip_nulls({jsonb})",
            "to_jsonb({int[]})",
            "to_jsonb({timestamp})",
        ],
        Ty::Ints => &[
            "ARRAY[{int4}, {int4}]",
            "({int[]} || {int4})",
            "({int[]} || {int[]})",
            "array_append({int[]}, {int4})",
            "array_remove({int[]}, 1)",
            "array_cat({int[]}, {int[]})",
            "array_prepend({int4}, {int[]})",
        ],
        Ty::Vector => &["({vector} + {vector})", "({vector} - {vector})", "({vector} * {vector})"],
    }
}

/// One statement. Its rows are compared as a set, so that ORDER BY without LIMIT may leave ties open.
pub fn statement(random: &mut Random) -> String {
    let shape = random.below(10);
    let columns = match shape {
        0 | 1 => Columns { a: false, b: false },
        2 | 3 => Columns { a: true, b: true },
        _ => Columns { a: true, b: false },
    };
    let mut generator = Generator { random, columns };
    let depth = 1 + generator.random.below(3);
    let from = match shape {
        0 | 1 => String::new(),
        2 => " FROM da JOIN db ON da.id = db.a_id".to_owned(),
        3 => " FROM da LEFT JOIN db ON da.id = db.a_id AND db.b".to_owned(),
        _ => " FROM da".to_owned(),
    };
    let filter = match from.is_empty() || generator.random.chance(40) {
        true => String::new(),
        false => format!(" WHERE {}", generator.expression(Ty::Bool, 2)),
    };
    let any = |generator: &mut Generator| {
        let ty = TYPES[generator.random.below(TYPES.len())];
        generator.expression(ty, depth)
    };
    if !from.is_empty() && generator.random.chance(25) {
        return grouped(&mut generator, &from, &filter);
    }
    if shape == 4 {
        let inner = generator.expression(Ty::Int4, 1);
        let kind = generator.random.below(3);
        let selected = any(&mut generator);
        return match kind {
            0 => format!("SELECT {selected}{from} WHERE da.id IN (SELECT a_id FROM db WHERE db.i4 > 2)"),
            1 => format!("SELECT {selected}, (SELECT max(db.i4) FROM db WHERE db.a_id = da.id){from}"),
            _ => format!("SELECT x.k + 1, count(*) FROM (SELECT {inner} AS k{from}) x GROUP BY x.k + 1"),
        };
    }
    let count = 1 + generator.random.below(3);
    let mut list: Vec<String> = (0..count).map(|_| any(&mut generator)).collect();
    if generator.random.chance(6) {
        let wrong = generator.random.pick(&[
            "1 + {text}",
            "{date} + {date}",
            "{bool} + 1",
            "nosuch({int4})",
            "lower({int4})",
        ]);
        list.push(generator.fill(wrong, 1));
    }
    let order = match generator.random.chance(30) {
        true => format!(" ORDER BY {}", generator.expression(Ty::Int4, 1)),
        false => String::new(),
    };
    let order = if from.is_empty() { String::new() } else { order };
    format!("SELECT {}{from}{filter}{order}", list.join(", "))
}

fn grouped(generator: &mut Generator, from: &str, filter: &str) -> String {
    let key_type = ORDERED[generator.random.below(ORDERED.len())];
    let key = generator.expression(key_type, 1);
    let aggregates = [
        "count(*)",
        "count({int4})",
        "sum({int4})",
        "sum({int8})",
        "sum({numeric})",
        "avg({int4})",
        "avg({numeric})",
        "min({int4})",
        "max({numeric})",
        "min({text})",
        "max({date})",
        "bool_and({bool})",
        "bool_or({bool})",
        "count(DISTINCT {int4})",
        "sum({int4}) FILTER (WHERE {bool})",
        "min({timestamp})",
        "avg({float8})",
        "string_agg({text}, ',' ORDER BY da.id)",
        "array_agg({int4} ORDER BY da.id)",
        "max({interval})",
        "jsonb_agg({int4} ORDER BY da.id)",
        "every({bool})",
        "round(avg({int4}), 2)",
    ];
    let count = 1 + generator.random.below(2);
    let list: Vec<String> = (0..count)
        .map(|_| {
            let template = generator.random.pick(&aggregates);
            generator.fill(template, 1)
        })
        .collect();
    if generator.random.chance(30) {
        return format!("SELECT {}{from}{filter}", list.join(", "));
    }
    let having = if generator.random.chance(20) { " HAVING count(*) > 1" } else { "" };
    format!("SELECT {key}, {}{from}{filter} GROUP BY {key}{having}", list.join(", "))
}
