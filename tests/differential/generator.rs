//! Random statements, typed so that most of them mean something.
//!
//! An expression is made for a type that is wanted: columns, literals, operators and functions of that type are drawn
//! until the depth is used up. Around expressions stand the shapes of queries; `changes` makes transactions that write.
//! One query in twenty has an expression without a meaning somewhere, to compare errors.

use crate::changes;
use crate::random::Random;
use crate::shapes;
use crate::templates::{AGGREGATES, WINDOWS, WRONG, templates};
use crate::types::{COLUMNS_OF_B, ORDERED, Ty, any_type, column_of, literal, name_of, type_named};

/// What one number of a seed stands for: statements that are asked one after the other, in one session.
pub fn case(random: &mut Random) -> Vec<String> {
    match random.below(10) {
        0 => changes::transaction(random),
        1 | 2 => vec![shapes::query(random)],
        _ => vec![query(random)],
    }
}

/// What expressions may name.
#[derive(Clone, Copy)]
pub struct Columns {
    pub a: bool,
    pub b: bool,
}

pub struct Generator<'a> {
    pub random: &'a mut Random,
    pub columns: Columns,
}

impl Generator<'_> {
    fn column(&mut self, ty: Ty) -> Option<String> {
        let name = match ty {
            Ty::Int4 => self.random.pick(&["i4", "id"]),
            _ => column_of(ty),
        };
        match (self.columns.a, self.columns.b && COLUMNS_OF_B.contains(&name)) {
            (true, true) => Some(format!("{}.{name}", self.random.pick(&["da", "db"]))),
            (true, false) => Some(format!("da.{name}")),
            (false, true) => Some(format!("db.{name}")),
            (false, false) => None,
        }
    }

    fn leaf(&mut self, ty: Ty) -> String {
        if self.random.chance(4) {
            return format!("NULL::{}", name_of(ty));
        }
        match self.column(ty) {
            Some(column) if self.random.chance(65) => column,
            _ => literal(self.random, ty),
        }
    }

    /// Replaces `{type}` by expressions of that type, PATH by a path into a document, KEY by a total order.
    pub fn fill(&mut self, template: &str, depth: usize) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (name, after) = after.split_once('}').expect("a template closes its braces");
            out.push_str(&self.expression(type_named(name), depth));
            rest = after;
        }
        out.push_str(rest);
        out.replace("PATH", "{a,c}").replace("KEY", self.key())
    }

    /// What no two rows share.
    fn key(&self) -> &'static str {
        match self.columns {
            Columns { a: true, b: true } => "(da.id * 100 + coalesce(db.id, 99))",
            Columns { a: true, b: false } => "da.id",
            _ => "1",
        }
    }

    pub fn expression(&mut self, ty: Ty, depth: usize) -> String {
        if depth == 0 || self.random.chance(20) {
            return self.leaf(ty);
        }
        let depth = depth - 1;
        match self.random.below(14) {
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

    fn any(&mut self, depth: usize) -> String {
        let ty = any_type(self.random);
        self.expression(ty, depth)
    }

    fn ordered(&mut self, depth: usize) -> String {
        let ty = ORDERED[self.random.below(ORDERED.len())];
        self.expression(ty, depth)
    }

    fn several(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> String) -> String {
        let count = 1 + self.random.below(most);
        let list: Vec<String> = (0..count).map(|_| one(self)).collect();
        list.join(", ")
    }

    fn filter(&mut self) -> String {
        match self.random.chance(40) {
            true => String::new(),
            false => format!(" WHERE {}", self.expression(Ty::Bool, 2)),
        }
    }
}

/// A query. Its rows are compared as a set, so that ORDER BY without LIMIT may leave ties open.
fn query(random: &mut Random) -> String {
    let (columns, from) = match random.below(10) {
        0 | 1 => (Columns { a: false, b: false }, ""),
        2 => (Columns { a: true, b: true }, " FROM da JOIN db ON da.id = db.a_id"),
        3 => (Columns { a: true, b: true }, " FROM da LEFT JOIN db ON da.id = db.a_id AND db.b"),
        4 => (Columns { a: true, b: true }, " FROM da, db"),
        _ => (Columns { a: true, b: false }, " FROM da"),
    };
    let mut generator = Generator { random, columns };
    let depth = 1 + generator.random.below(3);
    if from.is_empty() {
        return plain(&mut generator, from, "", depth);
    }
    let filter = generator.filter();
    match generator.random.below(16) {
        0..=2 => grouped(&mut generator, from, &filter),
        3 => grouping_sets(&mut generator, from, &filter),
        4 | 5 => windows(&mut generator, from, &filter),
        6 => set_operation(&mut generator, from, &filter),
        7 => with(&mut generator, from, &filter),
        8 => nested(&mut generator, from),
        9 => lateral(&mut generator),
        10 => limited(&mut generator, from, &filter),
        11 => nearest(&mut generator),
        _ => plain(&mut generator, from, &filter, depth),
    }
}

fn plain(generator: &mut Generator, from: &str, filter: &str, depth: usize) -> String {
    let mut list = generator.several(3, |generator| generator.any(depth));
    if generator.random.chance(5) {
        let wrong = generator.random.pick(WRONG);
        list = format!("{list}, {}", generator.fill(wrong, 1));
    }
    let order = match !from.is_empty() && generator.random.chance(30) {
        true => format!(" ORDER BY {}", generator.ordered(1)),
        false => String::new(),
    };
    format!("SELECT {list}{from}{filter}{order}")
}

fn aggregate(generator: &mut Generator) -> String {
    let template = generator.random.pick(AGGREGATES);
    generator.fill(template, 1)
}

fn grouped(generator: &mut Generator, from: &str, filter: &str) -> String {
    let list = generator.several(2, aggregate);
    if generator.random.chance(30) {
        return format!("SELECT {list}{from}{filter}");
    }
    let key = generator.ordered(1);
    let having = match generator.random.below(8) {
        0 => " HAVING count(*) > 1".to_owned(),
        1 => format!(" HAVING {} IS NOT NULL", aggregate(generator)),
        _ => String::new(),
    };
    let distinct = generator.random.pick(&["", "", "", "DISTINCT "]);
    format!("SELECT {distinct}{key}, {list}{from}{filter} GROUP BY {key}{having}")
}

fn grouping_sets(generator: &mut Generator, from: &str, filter: &str) -> String {
    let list = generator.several(2, aggregate);
    let inner = format!(
        "SELECT da.*, {} AS k, {} AS l{from}{filter}",
        generator.expression(Ty::Bool, 1),
        generator.ordered(1)
    );
    let sets = generator.random.pick(&[
        "ROLLUP (da.k, da.l)",
        "CUBE (da.k, da.l)",
        "GROUPING SETS ((da.k), (da.l), ())",
        "GROUPING SETS ((da.k, da.l), (da.k))",
        "da.k, ROLLUP (da.l)",
    ]);
    let list = match generator.columns.b {
        // Only columns of `da` pass through the inner query.
        true => "count(*), sum(da.i4), max(da.t)".to_owned(),
        false => list,
    };
    format!("SELECT da.k, da.l, grouping(da.k, da.l), {list} FROM ({inner}) da GROUP BY {sets}")
}

fn windows(generator: &mut Generator, from: &str, filter: &str) -> String {
    let list = generator.several(2, |generator| {
        let template = generator.random.pick(WINDOWS);
        generator.fill(template, 1)
    });
    match generator.random.below(4) {
        0 => format!(
            "SELECT * FROM (SELECT da.id, row_number() OVER (PARTITION BY {} ORDER BY {}) AS r{from}{filter}) x WHERE r <= 2",
            generator.ordered(1),
            generator.key(),
        ),
        _ => format!("SELECT da.id, {list}{from}{filter}"),
    }
}

fn set_operation(generator: &mut Generator, from: &str, filter: &str) -> String {
    let ty = ORDERED[generator.random.below(ORDERED.len())];
    let operator =
        generator.random.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]);
    let (one, other) = (generator.expression(ty, 1), generator.expression(ty, 1));
    let (second, third) = (generator.filter(), generator.expression(ty, 0));
    let tail = match generator.random.below(4) {
        0 => format!(" UNION SELECT {third}{from}"),
        1 => " ORDER BY 1 LIMIT 5".to_owned(),
        _ => String::new(),
    };
    format!("SELECT {one}{from}{filter} {operator} SELECT {other}{from}{second}{tail}")
}

fn with(generator: &mut Generator, from: &str, filter: &str) -> String {
    let ty = ORDERED[generator.random.below(ORDERED.len())];
    let (key, value) = (generator.expression(ty, 1), generator.any(1));
    let named = format!("c AS (SELECT da.id, {key} AS k, {value} AS w{from}{filter})");
    match generator.random.below(5) {
        0 => format!("WITH {named} SELECT c.*, o.id FROM c JOIN c o ON c.k = o.k"),
        1 => format!("WITH {named} SELECT k, count(*), count(w) FROM c GROUP BY k"),
        2 => format!(
            "WITH {named}, e AS (SELECT k FROM c WHERE id > 3) SELECT c.w FROM c WHERE c.k IN (SELECT k FROM e)"
        ),
        3 => format!("WITH {named} SELECT w FROM c WHERE k = (SELECT max(k) FROM c)"),
        _ => format!(
            "WITH RECURSIVE r (n, x) AS (SELECT 1, {} UNION ALL SELECT n + 1, {} FROM r WHERE n < 4) SELECT * FROM r",
            "0::int8", "x + n * 2"
        ),
    }
}

fn nested(generator: &mut Generator, from: &str) -> String {
    let (selected, inner, condition) =
        (generator.any(1), generator.expression(Ty::Int4, 1), generator.expression(Ty::Bool, 1));
    match generator.random.below(8) {
        0 => format!("SELECT {selected}{from} WHERE da.id IN (SELECT a_id FROM db x WHERE x.i4 > 2)"),
        1 => format!("SELECT {selected}, (SELECT max(x.i4) FROM db x WHERE x.a_id = da.id){from}"),
        2 => format!(
            "SELECT {selected}{from} WHERE EXISTS (SELECT 1 FROM db x WHERE x.a_id = da.id AND x.i4 > {inner})"
        ),
        3 => format!("SELECT {selected}{from} WHERE NOT EXISTS (SELECT 1 FROM db x WHERE x.i4 = {inner})"),
        4 => format!(
            "SELECT (SELECT count(*) FROM db x WHERE x.i4 < {inner}), {selected}{from} WHERE {condition}"
        ),
        5 => format!("SELECT (SELECT x.t FROM db x WHERE x.i4 >= {inner} ORDER BY x.i4, x.id LIMIT 1){from}"),
        6 => format!("SELECT DISTINCT ON (da.b) da.b, {selected}{from} ORDER BY da.b, {}", generator.key()),
        _ => format!("SELECT x.k + 1, count(*) FROM (SELECT {inner} AS k{from}) x GROUP BY x.k + 1"),
    }
}

fn lateral(generator: &mut Generator) -> String {
    generator.columns = Columns { a: true, b: false };
    let (outer, filter) = (generator.any(1), generator.filter());
    let source = generator.random.pick(&[
        "CROSS JOIN LATERAL (SELECT x.id, {int4} AS k FROM db x WHERE x.a_id >= da.id ORDER BY x.id LIMIT 2) l",
        "LEFT JOIN LATERAL (SELECT max(x.i4) AS k FROM db x WHERE x.i4 < {int4}) l ON true",
        "CROSS JOIN LATERAL (SELECT {text} AS k) l",
        "CROSS JOIN unnest({int[]}) AS l (k)",
        "CROSS JOIN unnest({text[]}) WITH ORDINALITY AS l (k, o)",
        "CROSS JOIN jsonb_each_text({jsonb}) AS l",
        "CROSS JOIN jsonb_array_elements(CASE WHEN jsonb_typeof(da.j) = 'array' THEN da.j END) AS l",
        "CROSS JOIN generate_series(1, {int2} & 3) AS l",
        "CROSS JOIN regexp_split_to_table({text}, '[ ,]') AS l",
        "CROSS JOIN jsonb_object_keys(CASE WHEN jsonb_typeof(da.j) = 'object' THEN da.j END) AS l",
    ]);
    format!("SELECT da.id, l.*, {outer} FROM da {}{filter}", generator.fill(source, 1))
}

fn limited(generator: &mut Generator, from: &str, filter: &str) -> String {
    let direction = generator.random.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
    let bounds =
        generator.random.pick(&["LIMIT 3", "LIMIT 5 OFFSET 2", "FETCH FIRST 2 ROWS ONLY", "OFFSET 20"]);
    let (list, order, key) = (generator.any(2), generator.ordered(1), generator.key());
    format!("SELECT da.id, {list}{from}{filter} ORDER BY {order}{direction}, {key} {bounds}")
}

fn nearest(generator: &mut Generator) -> String {
    generator.columns = Columns { a: true, b: false };
    let filter = generator.filter();
    let operators: &[&str] = &["<->", "<#>", "<=>", "<+>"];
    let (column, ty, operator) = match generator.random.below(4) {
        0 => ("v", Ty::Vector, generator.random.pick(operators)),
        1 => ("h", Ty::Halfvec, generator.random.pick(operators)),
        2 => ("s", Ty::Sparsevec, generator.random.pick(operators)),
        _ => ("bi", Ty::Bit, generator.random.pick(&["<~>", "<%>"])),
    };
    let (query, limit) = (literal(generator.random, ty), 1 + generator.random.below(30));
    format!(
        "SELECT da.id, da.{column} {operator} {query} FROM da{filter} ORDER BY da.{column} {operator} {query}, da.id LIMIT {limit}"
    )
}
