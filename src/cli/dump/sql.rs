//! A database as SQL that psql loads, here or into PostgreSQL with pgvector.
//!
//! Everything is asked for in one REPEATABLE READ transaction through the catalogue, as any client could, and written in
//! an order in which each statement finds what it needs. Relations are named with their schemas; types and operators are
//! found in `public`, where the extension is. Defaults, conditions and the bodies of functions are stored as they were
//! written, so the schemas behind it are searched as well:
//!
//! ```text
//! schemas  types  sequences  domains                               definitions
//! tables and functions, each behind what it needs  owners of sequences
//! COPY ... FROM stdin  setval  large objects                       rows
//! keys and conditions  indexes  foreign keys                       faster, and safe, after the rows
//! views and materialized views, each behind what it reads
//! defaults and conditions that call functions  comments
//! ```
//!
//! A body may read what comes later, or what calls the function: bodies are not checked while they are loaded (PostgreSQL
//! checks those of RETURN and BEGIN ATOMIC all the same), and what calls functions without need comes when all there is
//! that bodies may read. A table needs a function of which it generates a column, a function the table whose rows it
//! returns and the functions of its arguments' defaults.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{BufWriter, Write};

use futures::{StreamExt, pin_mut};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::catalog::large_objects::PAGE_BYTES;
use crate::cli::client::wrap;
use crate::error::{Error, Result};

/// Schemas that are the server's own.
const OWN: &str =
    "n.nspname NOT IN ('pg_catalog', 'information_schema', 'hither') AND n.nspname !~ '^pg_(toast|temp)'";

/// The options of a sequence `q` of pg_sequence.
const OPTIONS: &str = "' INCREMENT BY ' || q.seqincrement || ' MINVALUE ' || q.seqmin || ' MAXVALUE ' || q.seqmax \
    || ' START WITH ' || q.seqstart || CASE WHEN q.seqcache > 1 THEN ' CACHE ' || q.seqcache ELSE '' END \
    || CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END";

/// A subquery for the `objid` of what calls functions that are written in SQL, of what a system relation lists.
fn calling(class: &str) -> String {
    format!(
        "(SELECT DISTINCT objid FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.{class}'::regclass
        AND refclassid = 'pg_catalog.pg_proc'::regclass AND refobjid >= 16384)"
    )
}

/// Writes the client's database to standard output.
pub async fn run(client: Client, with_rows: bool) -> Result<()> {
    client
        .batch_execute(
            "SET search_path = ''; SET datestyle = 'ISO'; SET extra_float_digits = 1; SET timezone = 'UTC';
            BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )
        .await
        .map_err(wrap)?;
    let out = BufWriter::new(std::io::stdout().lock());
    let mut dump = Dump { client, out, late: HashSet::new(), identities: HashMap::new() };
    dump.all(with_rows).await?;
    dump.out.flush().map_err(failed)
}

struct Dump<W: Write> {
    client: Client,
    out: BufWriter<W>,
    /// Oids of defaults that call functions.
    late: HashSet<String>,
    /// Options of the sequences of identity columns, by the oid of the table and the number of the column.
    identities: HashMap<(String, String), String>,
}

/// A table, view, sequence or index: `name` is quoted and has its schema.
struct Relation {
    oid: String,
    kind: String,
    name: String,
}

impl<W: Write> Dump<W> {
    async fn all(&mut self, with_rows: bool) -> Result<()> {
        self.say("-- A database as SQL, written by `hither dump`. Load it with: psql -f FILE\n")?;
        self.say("SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET check_function_bodies = off;\nSET search_path = public;\nSET timezone = 'UTC';")?;
        self.each(
            "SELECT 'CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA ' || quote_ident(n.nspname) || ';'
            FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname = 'vector'",
        )
        .await?;
        self.each(&format!(
            "SELECT 'CREATE SCHEMA ' || quote_ident(n.nspname) || ';' FROM pg_catalog.pg_namespace n
            WHERE {OWN} AND n.nspname <> 'public' ORDER BY n.nspname"
        ))
        .await?;
        self.each(&format!(
            "SELECT 'SET search_path = public, ' || string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname) || ';'
            FROM pg_catalog.pg_namespace n WHERE {OWN} AND n.nspname <> 'public' HAVING count(*) > 0"
        ))
        .await?;
        self.each(
            "SELECT format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I;', e.extname, n.nspname)
            FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname <> 'vector' ORDER BY e.extname",
        )
        .await?;
        self.enumerations().await?;
        self.ranges().await?;
        self.composites().await?;
        let relations = self.relations().await?;
        let of_kind = |kinds: &'static [&str]| {
            relations.iter().filter(move |relation| kinds.contains(&&*relation.kind))
        };
        for sequence in of_kind(&["S"]) {
            self.sequence(sequence).await?;
        }
        // Their defaults may draw from sequences.
        self.domains().await?;
        self.know_columns().await?;
        self.tables_and_functions(&relations).await?;
        self.each("SELECT 'ALTER SEQUENCE ' || d.objid::regclass || ' OWNED BY ' || d.refobjid::regclass || '.' || quote_ident(a.attname) || ';'
            FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
            JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.deptype = 'a' ORDER BY d.objid").await?;
        if with_rows {
            // Those of partitions are among their parents'.
            for table in of_kind(&["p", "r"]) {
                self.rows(table).await?;
            }
            // By name: those of identity columns are made with their tables.
            let mut sequences: Vec<&Relation> = of_kind(&["S", "I"]).collect();
            sequences.sort_by(|a, b| a.name.cmp(&b.name));
            for sequence in sequences {
                self.value(sequence).await?;
            }
            self.large_objects().await?;
        }
        self.constraints("(c.contype IN ('p', 'u') OR c.contype = 'c' AND f.objid IS NULL)").await?;
        self.indexes("c.relkind IN ('r', 'p')").await?;
        self.constraints("c.contype = 'f'").await?;
        self.views(&relations, with_rows).await?;
        self.indexes("c.relkind = 'm'").await?;
        self.constraints("c.contype = 'c' AND f.objid IS NOT NULL").await?;
        self.late_domains().await?;
        self.late_defaults(&relations).await?;
        self.comments(&relations).await
    }

    async fn indexes(&mut self, which: &str) -> Result<()> {
        // Those of partitions after their parents', because they have names of their own.
        self.each(&format!("SELECT pg_catalog.pg_get_indexdef(i.indexrelid) || ';'
              || coalesce('\nALTER INDEX ' || h.inhparent::regclass || ' ATTACH PARTITION ' || i.indexrelid::regclass || ';', '')
            FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = i.indexrelid
            WHERE {OWN} AND {which} AND c.relpersistence <> 't'
              AND i.indexrelid NOT IN (SELECT conindid FROM pg_catalog.pg_constraint WHERE contype IN ('p', 'u'))
            ORDER BY coalesce(h.inhparent, i.indexrelid), h.inhparent IS NOT NULL, i.indexrelid")).await
    }

    /// Asks for what [`Dump::table`] has to know of all tables.
    async fn know_columns(&mut self) -> Result<()> {
        let late = self.ask(&calling("pg_attrdef")).await?;
        self.late = late.iter().map(|row| cell(row, 0)).collect();
        let identities = self
            .ask(&format!(
                "SELECT x.refobjid, x.refobjsubid, ' (SEQUENCE NAME ' || q.seqrelid::regclass || {OPTIONS} || ')'
                FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_sequence q ON q.seqrelid = x.objid
                WHERE x.deptype = 'i'"
            ))
            .await?;
        let identity = |row| ((cell(row, 0), cell(row, 1)), cell(row, 2));
        self.identities = identities.iter().map(identity).collect();
        Ok(())
    }

    /// Each behind what it needs, otherwise in the order in which they were made.
    async fn tables_and_functions(&mut self, relations: &[Relation]) -> Result<()> {
        let of_kind = |relation: &&Relation| ["p", "r", "P"].contains(&&*relation.kind);
        let tables: BTreeMap<u32, &Relation> = by_oid(relations.iter().filter(of_kind))?;
        let functions = self
            .ask(&format!(
                "SELECT p.oid FROM pg_catalog.pg_proc p
                JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                JOIN pg_catalog.pg_language l ON l.oid = p.prolang
                WHERE {OWN} AND l.lanname = 'sql' AND p.oid >= 16384"
            ))
            .await?;
        let mut needs = self
            .pairs(
                "SELECT a.adrelid, d.refobjid FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_attrdef a ON a.oid = d.objid
            JOIN pg_catalog.pg_attribute c ON c.attrelid = a.adrelid AND c.attnum = a.adnum
            WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass
              AND d.refclassid = 'pg_catalog.pg_proc'::regclass AND c.attgenerated = 's'",
            )
            .await?;
        needs.extend(
            self.pairs(
                "SELECT objid, refobjid FROM pg_catalog.pg_depend
                WHERE classid = 'pg_catalog.pg_proc'::regclass AND refclassid = 'pg_catalog.pg_proc'::regclass",
            )
            .await?,
        );
        needs.extend(
            self.pairs(
                "SELECT d.objid, c.oid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.reltype = d.refobjid
                WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.refclassid = 'pg_catalog.pg_type'::regclass
                  AND c.relkind IN ('r', 'p')",
            )
            .await?,
        );
        needs.extend(self.pairs("SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits").await?);
        let mut all: Vec<u32> = functions.iter().map(|row| number(&cell(row, 0))).collect::<Result<_>>()?;
        all.extend(tables.keys());
        for oid in in_order(all, &needs) {
            match tables.get(&oid) {
                Some(table) if table.kind == "P" => self.partition(table).await?,
                Some(table) => self.table(table).await?,
                None => {
                    let definition = format!("SELECT pg_catalog.pg_get_functiondef({oid}) || ';'");
                    self.each(&definition).await?;
                }
            }
        }
        Ok(())
    }

    /// Each behind those that it reads.
    async fn views(&mut self, relations: &[Relation], with_rows: bool) -> Result<()> {
        let is_view = |relation: &&Relation| ["v", "m"].contains(&&*relation.kind);
        let views: BTreeMap<u32, &Relation> = by_oid(relations.iter().filter(is_view))?;
        let needs = self
            .pairs(
                "SELECT r.ev_class, d.refobjid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
                WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass",
            )
            .await?;
        for oid in in_order(views.keys().copied().collect(), &needs) {
            self.view(views[&oid], with_rows).await?;
        }
        Ok(())
    }

    /// Defaults and conditions that call functions, and conditions that rows do not satisfy which are there.
    async fn late_domains(&mut self) -> Result<()> {
        self.each(&format!("SELECT 'ALTER DOMAIN ' || pg_catalog.format_type(t.oid, NULL) || ' SET DEFAULT ' || t.typdefault || ';'
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            JOIN {} f ON f.objid = t.oid
            WHERE {OWN} AND t.typtype = 'd' AND t.typdefault IS NOT NULL ORDER BY t.oid", calling("pg_type"))).await?;
        self.each(&format!("SELECT 'ALTER DOMAIN ' || pg_catalog.format_type(t.oid, NULL) || ' ADD CONSTRAINT ' || quote_ident(c.conname) || ' ' || pg_catalog.pg_get_constraintdef(c.oid) || ';'
            FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_type t ON t.oid = c.contypid
            JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            LEFT JOIN {} f ON f.objid = c.oid
            WHERE {OWN} AND (NOT c.convalidated OR f.objid IS NOT NULL) ORDER BY t.oid, c.conname", calling("pg_constraint"))).await
    }

    /// Defaults of tables that call functions, then those that partitions do not share with their parents.
    async fn late_defaults(&mut self, relations: &[Relation]) -> Result<()> {
        self.each(&format!("SELECT 'ALTER TABLE ' || CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || a.attrelid::regclass
              || ' ALTER COLUMN ' || quote_ident(a.attname) || ' SET DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ';'
            FROM pg_catalog.pg_attrdef d JOIN {} f ON f.objid = d.oid
            JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE {OWN} AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
              AND a.attgenerated = '' ORDER BY c.oid, a.attnum", calling("pg_attrdef"))).await?;
        for part in relations.iter().filter(|relation| relation.kind == "P") {
            self.defaults_of_partition(part).await?;
        }
        Ok(())
    }

    /// In the order in which they were made.
    async fn relations(&self) -> Result<Vec<Relation>> {
        // A sequence of an identity column comes with the column.
        let rows = self.ask(&format!("SELECT c.oid, CASE WHEN d.deptype = 'i' THEN 'I' WHEN c.relispartition THEN 'P' ELSE c.relkind::text END, c.oid::regclass::text
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_depend d ON d.objid = c.oid AND c.relkind = 'S' AND d.deptype IN ('a', 'i')
            WHERE {OWN} AND c.relkind IN ('r', 'p', 'S', 'v', 'm') AND c.relpersistence <> 't' ORDER BY c.oid")).await?;
        Ok(rows
            .iter()
            .map(|row| Relation { oid: cell(row, 0), kind: cell(row, 1), name: cell(row, 2) })
            .collect())
    }

    /// CREATE TYPE, with comments.
    async fn enumerations(&mut self) -> Result<()> {
        let types = self.ask(&format!("SELECT t.oid, pg_catalog.format_type(t.oid, NULL) FROM pg_catalog.pg_type t
            JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE {OWN} AND t.typtype = 'e' ORDER BY t.oid")).await?;
        for row in types {
            let (oid, name) = (cell(&row, 0), cell(&row, 1));
            let labels = self
                .ask(&format!(
                    "SELECT quote_literal(enumlabel) FROM pg_catalog.pg_enum
                WHERE enumtypid = {oid} ORDER BY enumsortorder"
                ))
                .await?;
            let labels: Vec<String> = labels.iter().map(|row| cell(row, 0)).collect();
            self.say(&format!("CREATE TYPE {name} AS ENUM ({});", labels.join(", ")))?;
            self.comment_on_type(&oid, &name).await?;
        }
        Ok(())
    }

    /// CREATE TYPE ... AS RANGE, with comments. What they are over is built in.
    async fn ranges(&mut self) -> Result<()> {
        let types = self.ask(&format!("SELECT t.oid, pg_catalog.format_type(t.oid, NULL), r.rngmultitypid,
              pg_catalog.format_type(r.rngmultitypid, NULL),
              'SUBTYPE = ' || pg_catalog.format_type(r.rngsubtype, NULL)
              || coalesce((SELECT ', COLLATION = ' || quote_ident(c.collname) FROM pg_catalog.pg_collation c, pg_catalog.pg_type s
                   WHERE c.oid = r.rngcollation AND s.oid = r.rngsubtype AND r.rngcollation <> s.typcollation), '')
              || CASE WHEN r.rngsubdiff::text = '-' THEN '' ELSE ', SUBTYPE_DIFF = ' || r.rngsubdiff::text END
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
            JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE {OWN} ORDER BY t.oid")).await?;
        for row in types {
            let (name, sets) = (cell(&row, 1), cell(&row, 3));
            let options = cell(&row, 4);
            self.say(&format!("CREATE TYPE {name} AS RANGE ({options}, MULTIRANGE_TYPE_NAME = {sets});"))?;
            self.comment_on_type(&cell(&row, 0), &name).await?;
            self.comment_on_type(&cell(&row, 2), &sets).await?;
        }
        Ok(())
    }

    async fn comment_on_type(&mut self, oid: &str, name: &str) -> Result<()> {
        self.each(&format!(
            "SELECT 'COMMENT ON TYPE {} IS ' || quote_literal(description) || ';'
            FROM pg_catalog.pg_description
            WHERE classoid = 'pg_catalog.pg_type'::regclass AND objoid = {oid}",
            doubled(name)
        ))
        .await
    }

    /// CREATE TYPE ... AS (...), each behind those that its attributes are of, with comments.
    async fn composites(&mut self) -> Result<()> {
        let mut left = self.ask(&format!("SELECT t.oid, pg_catalog.format_type(t.oid, NULL),
              string_agg(quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum),
              string_agg(concat_ws(' ', f.oid, f.typelem), ' ')
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            JOIN pg_catalog.pg_type f ON f.oid = a.atttypid
            WHERE {OWN} GROUP BY t.oid ORDER BY t.oid")).await?;
        while !left.is_empty() {
            let waiting: Vec<String> = left.iter().map(|row| cell(row, 0)).collect();
            let waits = |row: &_| cell(row, 3).split(' ').any(|oid| waiting.iter().any(|other| other == oid));
            let (later, now): (Vec<_>, Vec<_>) = left.into_iter().partition(waits);
            if now.is_empty() {
                return Err(Error::internal("composite types that are made of each other"));
            }
            for row in &now {
                let (oid, name) = (cell(row, 0), cell(row, 1));
                self.say(&format!("CREATE TYPE {name} AS ({});", cell(row, 2)))?;
                self.comment_on_type(&oid, &name).await?;
            }
            left = later;
        }
        Ok(())
    }

    /// CREATE DOMAIN, with comments and what calls no function.
    async fn domains(&mut self) -> Result<()> {
        self.each(&format!("SELECT 'CREATE DOMAIN ' || pg_catalog.format_type(t.oid, NULL) || ' AS '
              || pg_catalog.format_type(t.typbasetype, t.typtypmod)
              || coalesce((SELECT ' COLLATE ' || quote_ident(k.collname) FROM pg_catalog.pg_collation k, pg_catalog.pg_type b
                   WHERE k.oid = t.typcollation AND b.oid = t.typbasetype AND t.typcollation <> b.typcollation), '')
              || CASE WHEN f.objid IS NULL THEN coalesce(' DEFAULT ' || t.typdefault, '') ELSE '' END || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
              || coalesce((SELECT string_agg(' CONSTRAINT ' || quote_ident(c.conname) || ' ' || pg_catalog.pg_get_constraintdef(c.oid), '' ORDER BY c.conname)
                  FROM pg_catalog.pg_constraint c LEFT JOIN {} f ON f.objid = c.oid
                  WHERE c.contypid = t.oid AND c.convalidated AND f.objid IS NULL), '') || ';'
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            LEFT JOIN {} f ON f.objid = t.oid
            WHERE {OWN} AND t.typtype = 'd' ORDER BY t.oid", calling("pg_constraint"), calling("pg_type"))).await?;
        self.each(&format!("SELECT 'COMMENT ON DOMAIN ' || pg_catalog.format_type(t.oid, NULL) || ' IS ' || quote_literal(d.description) || ';'
            FROM pg_catalog.pg_description d JOIN pg_catalog.pg_type t ON t.oid = d.objoid
            JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            WHERE {OWN} AND d.classoid = 'pg_catalog.pg_type'::regclass AND t.typtype = 'd' ORDER BY t.oid")).await
    }

    async fn sequence(&mut self, sequence: &Relation) -> Result<()> {
        self.each(&format!(
            "SELECT 'CREATE SEQUENCE {} AS ' || pg_catalog.format_type(q.seqtypid, NULL) || {OPTIONS} || ';'
            FROM pg_catalog.pg_sequence q WHERE q.seqrelid = {}",
            doubled(&sequence.name),
            sequence.oid
        ))
        .await
    }

    async fn table(&mut self, table: &Relation) -> Result<()> {
        let rows = self.ask(&format!("SELECT quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
              || coalesce((SELECT ' COLLATE ' || quote_ident(c.collname) FROM pg_catalog.pg_collation c, pg_catalog.pg_type t
                   WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation
                     AND NOT (t.typtype = 'd' AND a.attcollation = 100)), '')
              || CASE WHEN a.attgenerated = 's' THEN ' GENERATED ALWAYS AS (' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ') STORED'
                      WHEN a.attidentity = 'a' THEN ' GENERATED ALWAYS AS IDENTITY'
                      WHEN a.attidentity = 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY'
                      ELSE '' END,
              CASE WHEN a.attgenerated = '' AND a.attidentity = '' THEN ' DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
              d.oid, a.attnum, CASE WHEN a.attnotnull THEN ' NOT NULL' END
            FROM pg_catalog.pg_attribute a
            LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum", table.oid)).await?;
        let column = |row| {
            let default = if self.late.contains(&cell(row, 2)) { String::new() } else { cell(row, 1) };
            let options = self.identities.get(&(table.oid.clone(), cell(row, 3))).map_or("", String::as_str);
            format!("    {}{default}{options}{}", cell(row, 0), cell(row, 4))
        };
        let columns = rows.iter().map(column).collect::<Vec<_>>().join(",\n");
        let kept = self
            .ask(&format!("SELECT relpersistence, array_to_string(reloptions, ',') FROM pg_catalog.pg_class WHERE oid = {}", table.oid))
            .await?;
        let unlogged = kept.first().is_some_and(|row| cell(row, 0) == "u");
        let options = kept.first().map(|row| cell(row, 1)).unwrap_or_default();
        let options = options.split(',').filter_map(|option| option.split_once('='));
        let options: Vec<String> =
            options.map(|(name, value)| format!("{name}='{}'", doubled(value))).collect();
        let with =
            if options.is_empty() { String::new() } else { format!("\nWITH ({})", options.join(", ")) };
        let kind = if unlogged { "UNLOGGED TABLE" } else { "TABLE" };
        if table.kind == "p" {
            let by = self.ask(&format!("SELECT pg_catalog.pg_get_partkeydef({})", table.oid)).await?;
            let by = by.first().map(|row| cell(row, 0)).unwrap_or_default();
            return self.say(&format!("CREATE {kind} {} (\n{columns}\n)\nPARTITION BY {by};", table.name));
        }
        self.say(&format!("CREATE {kind} {} (\n{columns}\n){with};", table.name))
    }

    /// A partition, with the defaults of its parent.
    async fn partition(&mut self, part: &Relation) -> Result<()> {
        self.each(&format!(
            "SELECT 'CREATE ' || CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED TABLE ' ELSE 'TABLE ' END || c.oid::regclass || ' PARTITION OF ' || i.inhparent::regclass || ' '
              || pg_catalog.pg_get_expr(c.relpartbound, c.oid)
              || coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') || ';'
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
            WHERE c.oid = {}",
            part.oid
        ))
        .await
    }

    async fn defaults_of_partition(&mut self, part: &Relation) -> Result<()> {
        self.each(&format!("SELECT 'ALTER TABLE ONLY ' || a.attrelid::regclass || ' ALTER COLUMN ' || quote_ident(a.attname)
              || CASE WHEN d.adbin IS NULL THEN ' DROP DEFAULT;' ELSE ' SET DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ';' END
            FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.attrelid
            LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            LEFT JOIN pg_catalog.pg_attrdef p ON p.adrelid = i.inhparent AND p.adnum = a.attnum
            WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped AND d.adbin IS DISTINCT FROM p.adbin
            ORDER BY a.attnum", part.oid)).await
    }

    /// Generated columns are worked out anew.
    async fn rows(&mut self, table: &Relation) -> Result<()> {
        let columns = self
            .ask(&format!(
                "SELECT quote_ident(attname) FROM pg_catalog.pg_attribute
            WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
                table.oid
            ))
            .await?;
        let columns: Vec<String> = columns.iter().map(|row| cell(row, 0)).collect();
        if columns.is_empty() {
            return Ok(());
        }
        let columns = columns.join(", ");
        self.say(&format!("COPY {} ({columns}) FROM stdin;", table.name))?;
        let copy = format!("COPY {} ({columns}) TO STDOUT", table.name);
        let pieces = self.client.copy_out(&copy).await.map_err(wrap)?;
        pin_mut!(pieces);
        while let Some(piece) = pieces.next().await {
            self.out.write_all(&piece.map_err(wrap)?).map_err(failed)?;
        }
        self.say("\\.")
    }

    async fn value(&mut self, sequence: &Relation) -> Result<()> {
        self.each(&format!("SELECT 'SELECT pg_catalog.setval(' || quote_literal('{}') || ', ' || last_value || ', ' || is_called || ');'
            FROM {}", doubled(&sequence.name), sequence.name)).await
    }

    /// `f` is NULL for a condition that calls no function.
    async fn constraints(&mut self, which: &str) -> Result<()> {
        // Partitions have keys by names of their own, and the rest from their parents.
        self.each(&format!("SELECT 'ALTER TABLE ' || CASE WHEN r.relkind = 'p' AND c.contype NOT IN ('p', 'u') THEN '' ELSE 'ONLY ' END
              || c.conrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(c.conname) || ' '
              || pg_catalog.pg_get_constraintdef(c.oid) || ';'
              || coalesce('\nALTER INDEX ' || h.inhparent::regclass || ' ATTACH PARTITION ' || c.conindid::regclass || ';', '')
            FROM pg_catalog.pg_constraint c
            JOIN pg_catalog.pg_class r ON r.oid = c.conrelid AND r.relpersistence <> 't'
            JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
            LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.conindid AND c.contype IN ('p', 'u')
            LEFT JOIN {} f ON f.objid = c.oid
            WHERE {OWN} AND {which} AND (NOT r.relispartition OR c.contype IN ('p', 'u'))
            ORDER BY CASE WHEN c.conparentid = 0 THEN c.oid ELSE c.conparentid END, c.conparentid <> 0, c.oid", calling("pg_constraint"))).await
    }

    async fn view(&mut self, view: &Relation, with_rows: bool) -> Result<()> {
        let (kind, end) = match (&*view.kind, with_rows) {
            ("m", true) => ("MATERIALIZED VIEW", ""),
            ("m", false) => ("MATERIALIZED VIEW", " WITH NO DATA"),
            _ => ("VIEW", ""),
        };
        self.each(&format!(
            "SELECT 'CREATE {kind} {} AS ' || rtrim(pg_catalog.pg_get_viewdef({}::oid), '; ') || '{end};'",
            doubled(&view.name),
            view.oid
        ))
        .await
    }

    /// Those of relations, of their parts and of what is in no relation; types and large objects have theirs where they are.
    async fn comments(&mut self, relations: &[Relation]) -> Result<()> {
        self.each(&format!("SELECT 'COMMENT ON SCHEMA ' || quote_ident(n.nspname) || ' IS ' || quote_literal(d.description) || ';'
            FROM pg_catalog.pg_description d JOIN pg_catalog.pg_namespace n ON n.oid = d.objoid
            WHERE {OWN} AND d.classoid = 'pg_catalog.pg_namespace'::regclass ORDER BY n.nspname")).await?;
        self.each(&format!("SELECT 'COMMENT ON FUNCTION ' || quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '('
              || pg_catalog.pg_get_function_identity_arguments(p.oid) || ') IS ' || quote_literal(d.description) || ';'
            FROM pg_catalog.pg_description d JOIN pg_catalog.pg_proc p ON p.oid = d.objoid
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            WHERE {OWN} AND d.classoid = 'pg_catalog.pg_proc'::regclass AND p.oid >= 16384 ORDER BY p.oid")).await?;
        self.each(&format!("SELECT 'COMMENT ON INDEX ' || c.oid::regclass || ' IS ' || quote_literal(d.description) || ';'
            FROM pg_catalog.pg_description d JOIN pg_catalog.pg_class c ON c.oid = d.objoid AND c.relkind IN ('i', 'I')
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE {OWN} AND d.classoid = 'pg_catalog.pg_class'::regclass AND c.relpersistence <> 't' ORDER BY c.oid")).await?;
        self.each(&format!("SELECT 'COMMENT ON CONSTRAINT ' || quote_ident(c.conname) || ' ON ' || r.oid::regclass || ' IS ' || quote_literal(d.description) || ';'
            FROM pg_catalog.pg_description d JOIN pg_catalog.pg_constraint c ON c.oid = d.objoid
            JOIN pg_catalog.pg_class r ON r.oid = c.conrelid AND r.relpersistence <> 't'
            JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
            WHERE {OWN} AND d.classoid = 'pg_catalog.pg_constraint'::regclass ORDER BY c.oid")).await?;
        for relation in relations {
            let kind = match &*relation.kind {
                "r" | "p" | "P" => "TABLE",
                "v" => "VIEW",
                "m" => "MATERIALIZED VIEW",
                _ => "SEQUENCE",
            };
            let name = doubled(&relation.name);
            self.each(&format!("SELECT 'COMMENT ON ' || CASE WHEN d.objsubid = 0 THEN '{kind} {name}'
                  ELSE 'COLUMN {name}.' || quote_ident(a.attname) END || ' IS ' || quote_literal(d.description) || ';'
                FROM pg_catalog.pg_description d
                LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
                WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objoid = {} ORDER BY d.objsubid", relation.oid)).await?;
        }
        Ok(())
    }

    /// Large objects: their pages in any order; one without bytes is the end of an object that was truncated.
    async fn large_objects(&mut self) -> Result<()> {
        self.each(
            "SELECT format('SELECT pg_catalog.lo_create(%s);', oid) FROM pg_catalog.pg_largeobject_metadata
            ORDER BY oid",
        )
        .await?;
        let pages = format!(
            "SELECT CASE WHEN length(data) > 0
              THEN format('SELECT pg_catalog.lo_put(%s, %s, ''%s'');', loid, pageno::bigint * {PAGE_BYTES}, data)
              ELSE format('SELECT pg_catalog.lo_truncate64(pg_catalog.lo_open(%s, 131072), %s);', loid,
                pageno::bigint * {PAGE_BYTES}) END
            FROM pg_catalog.pg_largeobject"
        );
        self.each(&pages).await?;
        self.each(
            "SELECT format('COMMENT ON LARGE OBJECT %s IS %L;', objoid, description)
            FROM pg_catalog.pg_description WHERE classoid = 'pg_catalog.pg_largeobject'::regclass ORDER BY objoid",
        )
        .await
    }

    /// Writes the first column of every row as it comes.
    async fn each(&mut self, query: &str) -> Result<()> {
        let refused = |error| wrap(error).context(query.to_owned());
        let messages = self.client.simple_query_raw(query).await.map_err(refused)?;
        pin_mut!(messages);
        while let Some(message) = messages.next().await {
            if let SimpleQueryMessage::Row(row) = message.map_err(refused)? {
                self.say(&cell(&row, 0))?;
            }
        }
        Ok(())
    }

    /// Pairs of oids.
    async fn pairs(&self, query: &str) -> Result<Vec<(u32, u32)>> {
        let rows = self.ask(query).await?;
        rows.iter().map(|row| Ok((number(&cell(row, 0))?, number(&cell(row, 1))?))).collect()
    }

    async fn ask(&self, query: &str) -> Result<Vec<SimpleQueryRow>> {
        let messages =
            self.client.simple_query(query).await.map_err(|error| wrap(error).context(query.to_owned()))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }

    fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.out, "{line}").map_err(failed)
    }
}

/// NULL as nothing: none of these columns is NULL.
fn cell(row: &SimpleQueryRow, at: usize) -> String {
    row.get(at).unwrap_or_default().to_owned()
}

/// An oid as the server writes it.
fn number(oid: &str) -> Result<u32> {
    oid.parse().map_err(|_| Error::internal(format!("\"{oid}\" is no oid")))
}

fn by_oid<'r>(relations: impl Iterator<Item = &'r Relation>) -> Result<BTreeMap<u32, &'r Relation>> {
    relations.map(|relation| Ok((number(&relation.oid)?, relation))).collect()
}

/// `all` from the smallest, but each behind those of them that it needs; a circle ends with its smallest.
fn in_order(mut all: Vec<u32>, needs: &[(u32, u32)]) -> Vec<u32> {
    all.sort_unstable();
    let mut left: BTreeSet<u32> = all.iter().copied().collect();
    let mut needed: HashMap<u32, Vec<u32>> = HashMap::new();
    for (who, what) in needs {
        needed.entry(*who).or_default().push(*what);
    }
    needed.values_mut().for_each(|what| what.sort_unstable_by(|a, b| b.cmp(a)));
    let mut done = Vec::with_capacity(all.len());
    for first in all {
        // Its needs, and theirs, lie above what waits for them.
        let mut open = vec![(first, false)];
        while let Some((one, is_ready)) = open.pop() {
            if is_ready {
                done.push(one);
            } else if left.remove(&one) {
                open.push((one, true));
                open.extend(needed.get(&one).into_iter().flatten().map(|what| (*what, false)));
            }
        }
    }
    done
}

/// For a place between quotes.
fn doubled(name: &str) -> String {
    name.replace('\'', "''")
}

fn failed(error: std::io::Error) -> Error {
    Error::io("write", "standard output", &error)
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn each_comes_behind_what_it_needs() {
        assert_eq!(in_order(vec![3, 1, 2], &[]), [1, 2, 3]);
        assert_eq!(in_order(vec![1, 2, 3, 4], &[(1, 3), (3, 4), (2, 1)]), [4, 3, 1, 2]);
        // What is not among them is there already.
        assert_eq!(in_order(vec![1, 2], &[(1, 9), (9, 2), (1, 2)]), [2, 1]);
        assert_eq!(in_order(vec![1, 2, 3], &[(1, 2), (2, 3), (3, 1), (2, 2)]), [3, 2, 1]);
        let chain: Vec<(u32, u32)> = (1..100_000).map(|n| (n, n + 1)).collect();
        assert_eq!(in_order((1..=100_000).collect(), &chain), (1..=100_000).rev().collect::<Vec<_>>());
    }
}
