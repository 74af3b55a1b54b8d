//! Random shapes of queries: what stands in what, and which name means which column.
//!
//! `generator` draws from all types and operators and puts them into fixed frames. Here are three kinds of value and few
//! operators, and the frames are drawn: tables, derived tables, joins, VALUES, functions and names of WITH in FROM,
//! subqueries in every clause, groups, grouping sets, windows and set operations in one another. Names of tables and columns
//! come from short lists, so that they hide others, are said twice, and stand for items and columns at once.
//!
//! ```text
//! scopes   [ outermost query's names | … | this query's names ]     a subquery sees all, unless an inner one hides it
//!            x.a int, x.b text, y.a int         b int                 bare: only where one column of the level has it
//! ```
//!
//! Answers must not depend on the order of rows: LIMIT and DISTINCT ON stand behind an order by all items, window
//! functions are those that treat peers alike.

use crate::random::Random;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Int,
    Text,
    Bool,
}

const KINDS: [Kind; 3] = [Kind::Int, Kind::Text, Kind::Bool];

/// Short, so that they meet.
const COLUMNS: [&str; 5] = ["a", "b", "c", "id", "t"];
const TABLES: [&str; 5] = ["x", "y", "z", "da", "db"];

/// A column that expressions may name.
#[derive(Clone)]
struct Name {
    table: String,
    column: String,
    kind: Kind,
    /// Whether the column alone means it, when no other of its level has that name: not for the two sides of USING.
    alone: bool,
    /// Whether it may be named: columns that are no key of their groups may not, and still hide others.
    usable: bool,
}

/// The columns of a table or query, in order.
type Row = Vec<(String, Kind)>;

struct Shapes<'a> {
    random: &'a mut Random,
    scopes: Vec<Vec<Name>>,
    /// Names of WITH that FROM may use.
    with: Vec<(String, Row)>,
    /// Expressions that the groups of the innermost query have, by kind; empty outside grouped queries.
    keys: Vec<(String, Kind)>,
    /// Within an aggregate: one of an outer query's columns alone would be that query's, which is 0A000 here.
    is_aggregated: bool,
    /// Tables that may still be drawn: bounds the size of the text and, with joins of 24 and 16 rows, of the answer.
    tables: usize,
}

/// A query of a random shape.
pub fn query(random: &mut Random) -> String {
    let tables = 2 + random.below(4);
    let mut shapes = Shapes {
        random,
        scopes: Vec::new(),
        with: Vec::new(),
        keys: Vec::new(),
        is_aggregated: false,
        tables,
    };
    let kinds = shapes.kinds();
    shapes.query(3, &kinds).0
}

impl Shapes<'_> {
    fn kinds(&mut self) -> Vec<Kind> {
        (0..1 + self.random.below(3)).map(|_| self.kind()).collect()
    }

    fn kind(&mut self) -> Kind {
        KINDS[self.random.below(5).min(2)]
    }

    /// SELECTs with items of these kinds: one, several in a set operation, or behind WITH.
    fn query(&mut self, depth: usize, kinds: &[Kind]) -> (String, Row) {
        let known = self.with.len();
        let mut head = String::new();
        if depth > 1 && self.random.chance(15) {
            let of = self.kinds();
            let (sql, row) = self.query(depth - 1, &of);
            let name = format!("w{}", self.with.len());
            let how = self.random.pick(&["", "", "MATERIALIZED ", "NOT MATERIALIZED "]);
            let (list, row) = self.renamed(row);
            head = format!("WITH {name}{list} AS {how}({sql}) ");
            self.with.push((name, row));
        }
        let (body, row) = match depth > 1 && self.tables > 1 && self.random.chance(15) {
            true => self.set_operation(depth, kinds),
            false => self.select(depth, kinds),
        };
        self.with.truncate(known);
        (head + &body, row)
    }

    fn set_operation(&mut self, depth: usize, kinds: &[Kind]) -> (String, Row) {
        let operator = self.random.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
        let (one, row) = self.query(depth - 1, kinds);
        let (other, _) = self.query(depth - 1, kinds);
        let order = match self.random.below(4) {
            0 => format!(" ORDER BY {}", self.all_items(kinds.len())),
            1 => format!(" ORDER BY {} LIMIT {}", self.all_items(kinds.len()), 1 + self.random.below(6)),
            _ => String::new(),
        };
        (format!("({one}) {operator} ({other}){order}"), row)
    }

    /// The items by number, in any order, each once: a total order but for equal rows.
    fn all_items(&mut self, count: usize) -> String {
        let start = self.random.below(count);
        let item = |at: usize| (1 + (start + at) % count).to_string();
        (0..count)
            .map(|at| item(at) + self.random.pick(&["", " DESC", " NULLS FIRST"]))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn select(&mut self, depth: usize, kinds: &[Kind]) -> (String, Row) {
        self.scopes.push(Vec::new());
        let keys = std::mem::take(&mut self.keys);
        let from = self.from(depth);
        let filter = match self.random.chance(50) {
            true => format!(" WHERE {}", self.expression(Kind::Bool, 2, depth)),
            false => String::new(),
        };
        let (items, tail, is_plain) = match self.random.below(10) {
            0..3 => {
                let (items, tail) = self.grouped(depth, kinds);
                (items, tail, false)
            }
            3 => (self.list(kinds, |shapes, kind| shapes.aggregate(kind)), String::new(), false),
            4 => (self.list(kinds, |shapes, kind| shapes.window(kind)), String::new(), true),
            _ => (self.list(kinds, |shapes, kind| shapes.expression(kind, 2, depth)), String::new(), true),
        };
        let names: Vec<Option<String>> = items
            .iter()
            .map(|_| self.random.chance(70).then(|| self.random.pick(&COLUMNS).to_owned()))
            .collect();
        let texts: Vec<String> = (items.iter().zip(&names))
            .map(|(item, name)| match name {
                Some(name) => format!("{item} AS {name}"),
                None => item.clone(),
            })
            .collect();
        let (distinct, order) = self.order(depth, &items, &names, is_plain);
        self.keys = keys;
        self.scopes.pop();
        let row =
            names.into_iter().zip(kinds).map(|(name, kind)| (name.unwrap_or_default(), *kind)).collect();
        (format!("SELECT {distinct}{} FROM {from}{filter}{tail}{order}", texts.join(", ")), row)
    }

    fn list(&mut self, kinds: &[Kind], mut item: impl FnMut(&mut Self, Kind) -> String) -> Vec<String> {
        kinds.iter().map(|kind| item(self, *kind)).collect()
    }

    /// DISTINCT, and ORDER BY with its LIMIT.
    fn order(
        &mut self,
        depth: usize,
        items: &[String],
        names: &[Option<String>],
        is_plain: bool,
    ) -> (String, String) {
        match self.random.below(9) {
            0 => ("DISTINCT ".into(), String::new()),
            1 => ("DISTINCT ".into(), format!(" ORDER BY {}", self.all_items(items.len()))),
            2 => {
                let limit = 1 + self.random.below(6);
                (String::new(), format!(" ORDER BY {} LIMIT {limit}", self.all_items(items.len())))
            }
            3 if is_plain => {
                let numbers: Vec<String> = (1..=items.len()).map(|number| number.to_string()).collect();
                ("DISTINCT ON (1) ".into(), format!(" ORDER BY {}", numbers.join(", ")))
            }
            // Names of items, of columns that items hide, expressions, and items said again.
            4 => match names.iter().flatten().next() {
                Some(name) => (String::new(), format!(" ORDER BY {name}")),
                None => (String::new(), format!(" ORDER BY {}", items[0])),
            },
            5 if is_plain => {
                let kind = self.kind();
                (String::new(), format!(" ORDER BY {}", self.expression(kind, 1, depth)))
            }
            _ => (String::new(), String::new()),
        }
    }

    // FROM.

    fn from(&mut self, depth: usize) -> String {
        let mut list = vec![self.joined(depth)];
        if self.tables > 0 && self.random.chance(15) {
            list.push(self.joined(depth));
        }
        list.join(", ")
    }

    fn joined(&mut self, depth: usize) -> String {
        // Names of the tables before it in FROM: LATERAL sees them, ON does not.
        let before = self.scope().len();
        let mut sql = self.table(depth, true);
        while self.tables > 0 && self.random.chance(35) {
            let left = self.scope().len();
            let kind = self.random.pick(&[
                "JOIN",
                "LEFT JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "CROSS JOIN",
            ]);
            let right = self.table(depth, !matches!(kind, "RIGHT JOIN" | "FULL JOIN"));
            if kind == "CROSS JOIN" {
                sql = format!("{sql} {kind} {right}");
                continue;
            }
            let shared = self.shared(before, left);
            if let Some(column) = shared.filter(|_| self.random.chance(40)) {
                sql = format!("{sql} {kind} {right} USING ({column})");
                self.merge(before, &column);
                continue;
            }
            let condition = match kind {
                // PostgreSQL has FULL JOIN for conditions that merge or hash.
                "FULL JOIN" => self.equality(before, left),
                _ => {
                    let earlier: Vec<Name> = self.scope().drain(..before).collect();
                    let condition = match self.random.chance(60) {
                        true => self.equality(0, left - before),
                        false => self.expression(Kind::Bool, 1, 0),
                    };
                    self.scope().splice(0..0, earlier);
                    condition
                }
            };
            sql = format!("{sql} {kind} {right} ON {condition}");
        }
        sql
    }

    fn scope(&mut self) -> &mut Vec<Name> {
        self.scopes.last_mut().expect("FROM belongs to a query")
    }

    /// A column that the tables from `start` have once before `left`, and once from there on.
    fn shared(&mut self, start: usize, left: usize) -> Option<String> {
        let scope = &self.scopes[self.scopes.len() - 1];
        let count = |names: &[Name], column: &str| {
            names.iter().filter(|name| name.alone && name.column == column).count()
        };
        let candidate = scope[start..left].iter().find(|name| {
            let other = scope[left..].iter().find(|other| other.column == name.column);
            name.alone
                && other.is_some_and(|other| other.kind == name.kind && other.alone)
                && count(&scope[start..left], &name.column) == 1
                && count(&scope[left..], &name.column) == 1
        });
        candidate.map(|name| name.column.clone())
    }

    /// Makes the column of USING one.
    fn merge(&mut self, start: usize, column: &str) {
        let scope = self.scope();
        let mut kind = Kind::Int;
        for name in scope[start..].iter_mut().filter(|name| name.column == column) {
            name.alone = false;
            kind = name.kind;
        }
        scope.push(Name { table: String::new(), column: column.to_owned(), kind, alone: true, usable: true });
    }

    /// Columns of both sides that are equal; of kinds that differ nothing is.
    fn equality(&mut self, start: usize, left: usize) -> String {
        let scope = self.scope().clone();
        let has_table = |name: &&Name| !name.table.is_empty();
        let pairs: Vec<(&Name, &Name)> = (scope[start..left].iter().filter(has_table))
            .flat_map(|one| scope[left..].iter().filter(has_table).map(move |other| (one, other)))
            .filter(|(one, other)| one.kind == other.kind)
            .collect();
        match pairs.is_empty() {
            true => "true".into(),
            false => {
                let (one, other) = pairs[self.random.below(pairs.len())];
                format!("{}.{} = {}.{}", one.table, one.column, other.table, other.column)
            }
        }
    }

    /// An item of FROM, whose names join the scope; `may_see` for one that may be LATERAL.
    fn table(&mut self, depth: usize, may_see: bool) -> String {
        self.tables = self.tables.saturating_sub(1);
        let taken: Vec<String> = self.scope().iter().map(|name| name.table.clone()).collect();
        let free: Vec<&str> =
            TABLES.into_iter().filter(|name| !taken.iter().any(|other| other == name)).collect();
        let alias = match free.is_empty() {
            true => format!("t{}", taken.len()),
            false => free[self.random.below(free.len())].to_owned(),
        };
        let (sql, row) = match self.random.below(10) {
            0..=2 if depth > 1 => {
                let is_lateral = may_see && self.random.chance(25);
                let own = match is_lateral {
                    true => Vec::new(),
                    false => std::mem::take(self.scope()),
                };
                let kinds = self.kinds();
                let (sql, row) = self.query(depth - 1, &kinds);
                if !is_lateral {
                    *self.scope() = own;
                }
                (format!("{}({sql})", if is_lateral { "LATERAL " } else { "" }), row)
            }
            3 => ("(VALUES (1, 'a'), (2, NULL), (NULL, 'b'))".into(), row("a:int b:text")),
            4 => ("generate_series(0, 3)".into(), row("a:int")),
            5 | 6 if !self.with.is_empty() => self.with[self.random.below(self.with.len())].clone(),
            7 | 8 => ("db".into(), row("id:int a_id:int i4:int t:text b:bool")),
            _ => ("da".into(), row("id:int i4:int t:text b:bool")),
        };
        let is_table = sql == "da" || sql == "db" || sql.starts_with('w');
        let needs_names = sql.starts_with("(VALUES") || sql.starts_with("generate");
        let (list, row) = match needs_names || (!is_table && self.random.chance(40)) {
            true => self.renamed(row),
            false => (String::new(), row),
        };
        for (column, kind) in row.into_iter().filter(|(column, _)| !column.is_empty()) {
            self.scope().push(Name { table: alias.clone(), column, kind, alone: true, usable: true });
        }
        format!("{sql} AS {alias}{list}")
    }

    /// Other names for the columns of a row, sometimes not for the last.
    fn renamed(&mut self, row: Row) -> (String, Row) {
        let all = row.len();
        let count = if all > 1 && self.random.chance(20) { all - 1 } else { all };
        let start = self.random.below(COLUMNS.len());
        let names: Vec<&str> = (0..count).map(|at| COLUMNS[(start + at) % COLUMNS.len()]).collect();
        let list = format!(" ({})", names.join(", "));
        let rest = row[count..].to_vec();
        let renamed = names.into_iter().zip(row).map(|(name, (_, kind))| (name.to_owned(), kind));
        (list, renamed.chain(rest).collect())
    }

    // Groups and windows.

    /// Items over groups, and GROUP BY with HAVING.
    fn grouped(&mut self, depth: usize, kinds: &[Kind]) -> (Vec<String>, String) {
        let count = 1 + self.random.below(2);
        let has_sets = self.random.chance(40);
        // PostgreSQL 16 forgets that a constant is a key where a grouping set lacks it: sets are of columns.
        let size = if has_sets { 0 } else { 1 };
        let keys: Vec<(String, Kind)> = (0..count)
            .map(|_| {
                let kind = self.kind();
                (self.expression(kind, size, 0), kind)
            })
            .filter(|(key, _)| !is_constant(key))
            .collect();
        if keys.is_empty() {
            return (self.list(kinds, |shapes, kind| shapes.aggregate(kind)), String::new());
        }
        let texts: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        let (one, all) = (texts[0], texts.join(", "));
        let by = match if has_sets { self.random.below(4) } else { 4 } {
            0 => format!("ROLLUP ({all})"),
            1 => format!("CUBE ({all})"),
            2 => format!("GROUPING SETS (({all}), ({one}), ())"),
            3 => format!("GROUPING SETS (({one}), ({all}))"),
            _ => all,
        };
        // What subqueries in the items may name of this query: columns that are keys.
        let scope = self.scope().clone();
        let mut grouped = scope.clone();
        for name in &mut grouped {
            let full = format!("{}.{}", name.table, name.column);
            name.usable = keys.iter().any(|(key, _)| *key == full);
        }
        self.keys = keys;
        let items = self.list(kinds, |shapes, kind| match shapes.random.chance(40) {
            true => {
                let ungrouped = std::mem::replace(shapes.scope(), scope.clone());
                let item = shapes.aggregate(kind);
                *shapes.scope() = ungrouped;
                item
            }
            false => {
                *shapes.scope() = grouped.clone();
                shapes.expression(kind, 1, depth)
            }
        });
        let having = match self.random.chance(25) {
            true => {
                *self.scope() = scope.clone();
                format!(" HAVING {} IS NOT NULL", self.aggregate(Kind::Int))
            }
            false => String::new(),
        };
        *self.scope() = scope;
        (items, format!(" GROUP BY {by}{having}"))
    }

    fn aggregate(&mut self, kind: Kind) -> String {
        let keys = std::mem::take(&mut self.keys);
        self.is_aggregated = true;
        let call = match (kind, self.random.below(4)) {
            (Kind::Int, 0) => "count(*)".into(),
            (Kind::Int, 1) => {
                let of = self.kind();
                format!("count(DISTINCT {})", self.expression(of, 1, 0))
            }
            (Kind::Int, 2) => format!("sum({})", self.expression(Kind::Int, 1, 0)),
            (Kind::Text, 0) => {
                let text = self.expression(Kind::Text, 1, 0);
                format!("string_agg({text}, ',' ORDER BY {text})")
            }
            (Kind::Bool, which) => {
                let function = ["bool_and", "bool_or", "every", "bool_and"][which];
                format!("{function}({})", self.expression(Kind::Bool, 1, 0))
            }
            (_, which) => {
                let function = ["min", "max"][which % 2];
                format!("{function}({})", self.expression(kind, 1, 0))
            }
        };
        let filter = match self.random.chance(20) {
            true => format!(" FILTER (WHERE {})", self.expression(Kind::Bool, 1, 1)),
            false => String::new(),
        };
        self.is_aggregated = false;
        self.keys = keys;
        call + &filter
    }

    fn window(&mut self, kind: Kind) -> String {
        let call = match (kind, self.random.below(3)) {
            (Kind::Int, 0) => "rank()".into(),
            (Kind::Int, 1) => "count(*)".into(),
            (Kind::Int, _) => format!("sum({})", self.expression(Kind::Int, 1, 0)),
            (Kind::Text, _) => format!("min({})", self.expression(Kind::Text, 1, 0)),
            (Kind::Bool, _) => format!("bool_or({})", self.expression(Kind::Bool, 1, 0)),
        };
        let (by, order) = (self.kind(), self.kind());
        let partition = format!("PARTITION BY {} ", self.expression(by, 1, 0));
        let order = format!("ORDER BY {}", self.expression(order, 1, 0));
        match self.random.below(3) {
            0 => format!("{call} OVER ({partition})"),
            1 => format!("{call} OVER ({order})"),
            _ => format!("{call} OVER ({partition}{order})"),
        }
    }

    // Expressions.

    /// `size` bounds operators, `depth` subqueries.
    fn expression(&mut self, kind: Kind, size: usize, depth: usize) -> String {
        if size == 0 || self.random.chance(25) {
            return self.leaf(kind);
        }
        if depth > 1 && self.tables > 0 && self.random.chance(12) {
            return self.subquery(kind, depth - 1);
        }
        let size = size - 1;
        let of = |shapes: &mut Self, kind| shapes.expression(kind, size, depth);
        if self.random.chance(15) {
            let (condition, one, other) = (of(self, Kind::Bool), of(self, kind), of(self, kind));
            return match self.random.below(3) {
                0 => format!("CASE WHEN {condition} THEN {one} ELSE {other} END"),
                1 => format!("coalesce({one}, {other})"),
                _ => format!("nullif({one}, {other})"),
            };
        }
        match kind {
            Kind::Int => {
                let one = of(self, Kind::Int);
                match self.random.below(7) {
                    0 => format!("(-{one})"),
                    1 => format!("length({})", of(self, Kind::Text)),
                    2 => format!("{one} - ({} - {})", of(self, Kind::Int), self.random.below(5)),
                    3 => format!("({one} * {})", self.random.below(4)),
                    4 => format!("{one} + {}", of(self, Kind::Int)),
                    5 => format!("({one} - {})", of(self, Kind::Int)),
                    _ => format!("({})::int", of(self, Kind::Bool)),
                }
            }
            Kind::Text => {
                let one = of(self, Kind::Text);
                match self.random.below(5) {
                    0 => format!("upper({one})"),
                    1 => format!("left({one}, 2)"),
                    2 => format!("({})::text", of(self, Kind::Int)),
                    _ => format!("({one} || {})", of(self, Kind::Text)),
                }
            }
            Kind::Bool => self.condition(size, depth),
        }
    }

    fn condition(&mut self, size: usize, depth: usize) -> String {
        let kind = self.kind();
        let of = |shapes: &mut Self, kind| shapes.expression(kind, size, depth);
        let one = of(self, kind);
        match self.random.below(9) {
            0 => format!("({one} IS NULL)"),
            1 => format!("({one} IS DISTINCT FROM {})", of(self, kind)),
            2 => format!("({one} IN ({}, {}))", of(self, kind), of(self, kind)),
            3 => format!("({one} BETWEEN {} AND {})", of(self, kind), of(self, kind)),
            4 => format!("(NOT {})", of(self, Kind::Bool)),
            5 => format!("({} OR {})", of(self, Kind::Bool), of(self, Kind::Bool)),
            6 => format!("({} AND {})", of(self, Kind::Bool), of(self, Kind::Bool)),
            _ => {
                let operator = self.random.pick(&["=", "<>", "<", ">="]);
                format!("({one} {operator} {})", of(self, kind))
            }
        }
    }

    fn subquery(&mut self, kind: Kind, depth: usize) -> String {
        let keys = std::mem::take(&mut self.keys);
        let sql = match kind {
            Kind::Bool => {
                let of = self.kind();
                let (inner, _) = self.query(depth, &[of]);
                self.keys.clone_from(&keys);
                let is_not = self.random.pick(&["", "NOT "]);
                match self.random.below(4) {
                    0 => format!("({is_not}EXISTS ({inner}))"),
                    1 => format!("({} = ANY ({inner}))", self.leaf(of)),
                    2 => format!("({} >= ALL ({inner}))", self.leaf(of)),
                    _ => format!("({} {is_not}IN ({inner}))", self.leaf(of)),
                }
            }
            // Of one row, by an aggregate or a LIMIT behind a total order.
            _ => {
                let (inner, _) = self.query(depth, &[kind]);
                match self.random.below(2) {
                    0 => format!("(SELECT min(q.v) FROM ({inner}) AS q (v))"),
                    _ => format!("(SELECT q.v FROM ({inner}) AS q (v) ORDER BY 1 LIMIT 1)"),
                }
            }
        };
        self.keys = keys;
        sql
    }

    fn leaf(&mut self, kind: Kind) -> String {
        let keys: Vec<&String> = self.keys.iter().filter(|(_, of)| *of == kind).map(|(key, _)| key).collect();
        if !keys.is_empty() && self.random.chance(75) {
            let key = keys[self.random.below(keys.len())];
            return if key.contains(' ') { format!("({key})") } else { key.clone() };
        }
        let names = self.visible(kind);
        if !names.is_empty() && self.random.chance(80) {
            return names[self.random.below(names.len())].clone();
        }
        match kind {
            Kind::Int => self.random.below(6).to_string(),
            Kind::Text => self.random.pick(&["'a'", "'b'", "'hello'", "NULL::text", "''"]).to_owned(),
            Kind::Bool => self.random.pick(&["true", "false", "NULL::bool"]).to_owned(),
        }
    }

    /// What names columns of this kind, innermost query first; an outer one is drawn as often as an inner one.
    fn visible(&self, kind: Kind) -> Vec<String> {
        let mut texts = Vec::new();
        let is_grouped = !self.keys.is_empty();
        for (level, scope) in self.scopes.iter().enumerate().rev() {
            let inner = &self.scopes[level + 1..];
            if self.is_aggregated && !inner.is_empty() {
                break;
            }
            for name in scope.iter().filter(|name| name.kind == kind && name.usable) {
                let twice = |other: &&Name| other.column == name.column && other.alone;
                let is_hidden = inner.iter().flatten().any(|other| other.column == name.column);
                if name.alone && !is_hidden && !is_grouped && scope.iter().filter(twice).count() == 1 {
                    texts.push(name.column.clone());
                }
                // A table's column twice is ambiguous by any name.
                let same = |other: &&Name| other.table == name.table && other.column == name.column;
                let is_hidden = inner.iter().flatten().any(|other| other.table == name.table);
                if !name.table.is_empty() && !is_hidden && scope.iter().filter(same).count() == 1 {
                    texts.push(format!("{}.{}", name.table, name.column));
                }
            }
        }
        texts
    }
}

/// Whether PostgreSQL takes a key of GROUP BY for a constant or the number of an item.
fn is_constant(key: &str) -> bool {
    !key.contains(|c: char| c.is_ascii_alphabetic()) || key.starts_with(['\'', '(']) && !key.contains('.')
}

/// `name:kind` after `name:kind`.
fn row(text: &str) -> Row {
    text.split(' ')
        .map(|column| {
            let (name, kind) = column.split_once(':').expect("a name and a kind");
            let kind = match kind {
                "int" => Kind::Int,
                "text" => Kind::Text,
                _ => Kind::Bool,
            };
            (name.to_owned(), kind)
        })
        .collect()
}
