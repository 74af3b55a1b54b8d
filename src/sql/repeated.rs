//! Statements that come again. The simple protocol plans a statement each time it comes, and so does a Parse without a
//! name; that takes half a millisecond, where running the plan may take a tenth of it. A session keeps the plans of
//! statements that it has met twice:
//!
//! ```text
//!   SELECT id FROM t ORDER BY v <-> '[1,2]' LIMIT 5     planned; its hash is noted
//!   SELECT id FROM t ORDER BY v <-> '[3,4]' LIMIT 5     planned as ... v <-> $1 ..., and kept
//!   SELECT id FROM t ORDER BY v <-> '[5,6]' LIMIT 5     run with $1 = '[5,6]'
//! ```
//!
//! A literal behind an operator of distances is a parameter so: its type follows from the operator in either form. All
//! else of the text has to be the same, byte for byte. A plan is used as long as it fits, as that of a prepared statement
//! is; whatever is not as expected is left to the way every statement goes the first time, and to its errors. So is what
//! may say `'now'` or `'today'`, a moment of its own each time, in its text or in a definition that it may use.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::Result;
use crate::sql::backslashes::Rules;
use crate::sql::dialect;
use crate::sql::engine::Engine;
use crate::sql::plans::Plan;
use crate::sql::session::{Declared, Prepared, Session};
use crate::sql::statement::Ast;
use crate::types::{Type, Value, text};

/// Statements of a session whose plans are kept: those of a loop, not those of a whole application.
const KEPT_MAX: usize = 16;
/// Of this much of the server's budget there is one plan among all sessions, whose plans take some 50 to 100 kB.
const BYTES_PER_PLAN: u64 = 1 << 20;
/// Longer texts are loads of data, whose plans are as large, and do not come again.
const TEXT_MAX: usize = 8 << 10;
/// The same with literals in it: four vectors of pgvector's 16,000 dimensions.
const SAID_MAX: usize = 1 << 20;
/// Literals of a text that are looked at: a query has one or two.
const LITERALS_MAX: usize = 16;
/// Hashes of texts that came once, or cannot be kept.
const NOTED_MAX: usize = 64;

/// What a session knows of its statements.
#[derive(Default)]
pub struct Repeated {
    /// The one used last is the last.
    kept: VecDeque<Kept>,
    seen: Noted,
    refused: Noted,
}

impl Repeated {
    /// Whether a text came before and may be kept; it has come now.
    fn is_due(&mut self, hash: u64) -> bool {
        if self.seen.has(hash) {
            return !self.refused.has(hash);
        }
        self.seen.note(hash);
        false
    }
}

/// A statement that is planned already.
pub struct Again {
    pub prepared: Arc<Prepared>,
    pub params: Vec<Value>,
    /// The client's text, where it is not the statement's.
    pub said: Option<Arc<str>>,
}

struct Kept {
    hash: u64,
    text: Box<str>,
    declared: Vec<Option<Type>>,
    prepared: Arc<Prepared>,
    _room: Room,
}

/// Room for one plan among those of all sessions.
struct Room(Arc<Engine>);

impl Room {
    fn in_engine(engine: &Arc<Engine>) -> Option<Room> {
        let most = (engine.budget.bytes() / BYTES_PER_PLAN) as usize;
        let taken = engine.plans_kept.fetch_add(1, Ordering::Relaxed);
        let room = Room(Arc::clone(engine));
        (taken < most).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.plans_kept.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The latest of some hashes.
#[derive(Default)]
struct Noted(VecDeque<u64>);

impl Noted {
    fn has(&self, hash: u64) -> bool {
        self.0.contains(&hash)
    }

    fn note(&mut self, hash: u64) {
        if self.0.len() == NOTED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(hash);
    }
}

fn hash(text: &str, declared: &[Option<Type>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    declared.hash(&mut hasher);
    hasher.finish()
}

impl Session {
    /// A simple query that came before.
    pub fn repeated(&mut self, sql: &str) -> Option<Again> {
        if sql.len() > SAID_MAX || self.check_not_failed(None).is_err() || !self.reads_plainly() {
            return None;
        }
        self.repeated_with_parameters(sql).or_else(|| {
            let prepared = self.kept(sql, &[]).filter(|prepared| prepared.param_types.is_empty())?;
            Some(Again { prepared, params: Vec::new(), said: None })
        })
    }

    fn repeated_with_parameters(&mut self, sql: &str) -> Option<Again> {
        let lifted = Lifted::of(sql)?;
        let prepared = match self.kept(&lifted.text, &[]) {
            Some(prepared) => prepared,
            None => self.keep_lifted(&lifted.text)?,
        };
        let look = self.look();
        let value = |(ty, literal): (&Type, &&str)| text::parse_as(ty, literal, look).ok();
        let params = prepared.param_types.iter().zip(&lifted.literals).map(value).collect::<Option<_>>()?;
        Some(Again { prepared, params, said: Some(sql.into()) })
    }

    /// [`Session::prepare`] for the protocol's Parse without a name, which may have come before.
    pub fn prepare_unnamed(&mut self, sql: &str, declared: Declared<'_>) -> Result<Arc<Prepared>> {
        let is_plain = declared.domains.is_empty() && self.reads_plainly();
        if let Some(kept) = is_plain.then(|| self.kept(sql, declared.types)).flatten() {
            let statement = kept.statement.as_ref();
            let checked = self.check_not_failed(statement.map(|statement| &statement.ast));
            let outcome = checked.and_then(|()| self.cancel.begin()).map(|()| Arc::clone(&kept));
            return self.failing(outcome, statement);
        }
        let prepared = self.prepare(sql, declared)?;
        if is_plain {
            self.keep_repeated(sql, declared.types, &prepared);
        }
        Ok(prepared)
    }

    /// The plan of a statement that was kept under this text, if it fits.
    fn kept(&mut self, text: &str, declared: &[Option<Type>]) -> Option<Arc<Prepared>> {
        if self.repeated.kept.is_empty() || text.len() > TEXT_MAX {
            return None;
        }
        let hash = hash(text, declared);
        let is_it = |kept: &Kept| kept.hash == hash && *kept.text == *text && kept.declared == declared;
        let place = self.repeated.kept.iter().position(is_it)?;
        let kept = self.repeated.kept.remove(place)?;
        if !self.fits(&kept.prepared) {
            return None;
        }
        let prepared = Arc::clone(&kept.prepared);
        self.repeated.kept.push_back(kept);
        Some(prepared)
    }

    /// Keeps a plan that was made for a text, when the text came before.
    pub(crate) fn keep_repeated(&mut self, text: &str, declared: &[Option<Type>], prepared: &Arc<Prepared>) {
        if text.len() > TEXT_MAX || !prepared.is_one_plan() || !self.reads_plainly() {
            return;
        }
        let hash = hash(text, declared);
        if !self.repeated.is_due(hash) {
            return;
        }
        match self.tells_time(text) {
            true => self.repeated.refused.note(hash),
            false => self.keep(hash, text, declared, prepared),
        }
    }

    fn keep(&mut self, hash: u64, text: &str, declared: &[Option<Type>], prepared: &Arc<Prepared>) {
        if self.repeated.kept.len() == KEPT_MAX {
            self.repeated.kept.pop_front();
        }
        let Some(room) = Room::in_engine(&self.shared.engine) else { return };
        let (text, declared, prepared) = (text.into(), declared.to_vec(), Arc::clone(prepared));
        self.repeated.kept.push_back(Kept { hash, text, declared, prepared, _room: room });
    }

    /// Plans a text whose literals are parameters, when it came before.
    fn keep_lifted(&mut self, text: &str) -> Option<Arc<Prepared>> {
        let hash = hash(text, &[]);
        if text.len() > TEXT_MAX || !self.repeated.is_due(hash) {
            return None;
        }
        let planned = self.plan_lifted(text);
        match &planned {
            Some(prepared) => self.keep(hash, text, &[], prepared),
            None => self.repeated.refused.note(hash),
        }
        planned
    }

    /// `None` for what is no query alone, or not planned with parameters of pgvector's types.
    fn plan_lifted(&mut self, text: &str) -> Option<Arc<Prepared>> {
        let mut statements = dialect::parse(text).ok().filter(|_| !self.tells_time(text))?;
        let statement = statements.pop().filter(|statement| matches!(statement.ast, Ast::Query(_)))?;
        if !statements.is_empty() {
            return None;
        }
        let notices = self.notices.len();
        let prepared = self.plan(Some(statement), Declared::default()).ok();
        // Whoever says something says it each time.
        let is_silent = self.notices.len() == notices;
        self.notices.truncate(notices);
        prepared.filter(|prepared| {
            is_silent && prepared.is_one_plan() && prepared.param_types.iter().all(Type::is_pgvectors)
        })
    }

    /// Whether texts are read as they are.
    fn reads_plainly(&self) -> bool {
        Rules::of(&self.shared.settings.lock()).are_standard()
    }

    /// Whether a statement may have a moment in it that is a constant of its plan: by its text, or by a view, a function, a
    /// default or a condition of this database, whichever it uses.
    fn tells_time(&self, text: &str) -> bool {
        tells_time(text) || self.shared.current_catalog().texts().any(tells_time)
    }

    /// Forgets all plans.
    pub(crate) fn forget_repeated(&mut self) {
        self.repeated = Repeated::default();
    }
}

impl Prepared {
    /// Whether it is a query or a change in one part, which is run the same way each time.
    fn is_one_plan(&self) -> bool {
        let plan = &self.plan.lock().plan;
        !matches!(plan, Plan::Staged(_) | Plan::Explain(..) | Plan::Utility)
    }
}

/// Whether a text has a word that is a moment as a literal: a constant of a plan, and another one the next time. `now()` is
/// none; behind a backslash there may be any.
fn tells_time(text: &str) -> bool {
    if text.contains('\\') {
        return true;
    }
    let text = text.to_ascii_lowercase();
    ["now", "today", "tomorrow", "yesterday"].into_iter().any(|word| {
        text.match_indices(word).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + word.len()..]);
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            !before.ends_with(is_word) && !after.starts_with(is_word) && !after.trim_start().starts_with('(')
        })
    })
}

/// A text with parameters in the place of literals.
#[derive(Debug, PartialEq)]
struct Lifted<'a> {
    text: String,
    /// What $1, $2, ... stand for, without quotes.
    literals: Vec<&'a str>,
    /// The column before the operator of each, which tells the type; empty for an expression.
    beside: Vec<String>,
}

/// Operators beside which a literal is a vector, whatever its type.
const OPERATORS: [&str; 4] = ["<->", "<=>", "<#>", "<+>"];

impl<'a> Lifted<'a> {
    /// `None` without a literal to lift, and for texts with more than words, numbers, operators and plain strings in them.
    fn of(sql: &'a str) -> Option<Lifted<'a>> {
        let mut lifted =
            Lifted { text: String::with_capacity(256), literals: Vec::new(), beside: Vec::new() };
        let mut rest = sql;
        while let Some(place) = rest.find(['\'', '"', '$', '\\', '-', '/']) {
            let (before, from) = rest.split_at(place);
            lifted.text.push_str(before);
            let (quote, inside) = from.split_at(1);
            match quote {
                // A comment may hide anything.
                "-" | "/" if inside.starts_with(['-', '*']) => return None,
                "-" | "/" => {
                    lifted.text.push_str(quote);
                    rest = inside;
                    continue;
                }
                "$" | "\\" => return None,
                // A string of another kind, such as E'...' and U&"...".
                _ if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '&') => return None,
                _ => {}
            }
            let (content, after) = inside.split_once(quote)?;
            if content.contains('\\') {
                return None;
            }
            // One string goes on in the next, or what follows is a name or a syntax error.
            let is_open = |c: char| c.is_alphanumeric() || matches!(c, '_' | '\'' | '"');
            if after.starts_with(is_open) || after.trim_start().starts_with(['\'', '"']) && quote == "'" {
                return None;
            }
            let is_vector = quote == "'" && content.starts_with(['[', '{']);
            let operand = || {
                let text = lifted.text.trim_end();
                OPERATORS.iter().find_map(|operator| Some(name_at_end(text.strip_suffix(operator)?)))
            };
            match is_vector.then(operand).flatten() {
                Some(_) if lifted.literals.len() == LITERALS_MAX => return None,
                Some(operand) => lifted.push(content, operand),
                None => lifted.text.extend([quote, content, quote]),
            }
            rest = after;
        }
        lifted.text.push_str(rest);
        (!lifted.literals.is_empty()).then_some(lifted)
    }

    /// The same literal beside the same column is the same parameter, for expressions are known as the same by it.
    fn push(&mut self, literal: &'a str, operand: String) {
        let mut known = self.literals.iter().zip(&self.beside);
        let known =
            known.position(|(known, beside)| *known == literal && *beside == operand && !operand.is_empty());
        let place = known.unwrap_or_else(|| {
            self.literals.push(literal);
            self.beside.push(operand);
            self.literals.len() - 1
        });
        self.text.push_str(&format!("${}", place + 1));
    }
}

/// The column's name that a text ends with; nothing where it ends with another expression.
fn name_at_end(text: &str) -> String {
    let text = text.trim_end();
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let start = text.trim_end_matches(is_of_name).len();
    // The end of `v::vector` and of `"a b"` is no column.
    match text[..start].ends_with([':', '"', ']', ')']) {
        true => String::new(),
        false => text[start..].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifted(sql: &str) -> Option<(String, Vec<&str>)> {
        Lifted::of(sql).map(|lifted| (lifted.text, lifted.literals))
    }

    #[test]
    fn vectors_beside_distances_are_parameters_and_nothing_else_is() {
        let sql = "SELECT 'a', v <-> '[1,-2]'::vector(2) FROM \"T x\" WHERE b = '[1]' ORDER BY v<=>'[3]', v <-> '[1,-2]'";
        let text = "SELECT 'a', v <-> $1::vector(2) FROM \"T x\" WHERE b = '[1]' ORDER BY v<=>$2, v <-> $1";
        assert_eq!(lifted(sql), Some((text.to_owned(), vec!["[1,-2]", "[3]"])));
        // Beside another operand it may be of another type.
        let sql = "SELECT v <-> '[1]', (h<->'[1]') FROM t ORDER BY h <-> '[1]'";
        let text = "SELECT v <-> $1, (h<->$2) FROM t ORDER BY h <-> $2";
        assert_eq!(lifted(sql), Some((text.to_owned(), vec!["[1]", "[1]"])));
        let sql =
            "SELECT v::halfvec(3) <-> '[1]', v::vector(3) <-> '[1]', \u{a0}v <-> '[1]', \u{3000}é <-> '[2]'";
        let text = "SELECT v::halfvec(3) <-> $1, v::vector(3) <-> $2, \u{a0}v <-> $3, \u{3000}é <-> $4";
        assert_eq!(lifted(sql), Some((text.to_owned(), vec!["[1]", "[1]", "[1]", "[2]"])));
        for other in [
            "SELECT v <-> $1 FROM t WHERE v <-> '[1]' < 1",
            "SELECT v <-> '[1]' -- a comment's '",
            "SELECT v <-> '[1]' /* ' */",
            "SELECT v <-> E'[1]'",
            "SELECT 'it''s', v <-> '[1]'",
            "SELECT v <-> '[1]",
            "SELECT v <-> 'abc'",
            "SELECT '[1]' <-> v",
            "SELECT v <-> '[1]' 'x'",
            "SELECT v <-> '[1]'\n'[2]'",
            "SELECT v <-> '[1]'AS d",
        ] {
            assert_eq!(lifted(other), None, "{other}");
        }
    }

    #[test]
    fn moments_of_a_word_are_told_from_functions_and_names() {
        for text in [
            "SELECT 'now'::date",
            "SELECT DATE 'Today'",
            "SELECT ' yesterday 10:00'::timestamp",
            r"SELECT E'n\x6fw'::date",
        ] {
            assert!(tells_time(text), "{text}");
        }
        for text in ["SELECT now ()", "SELECT known, now_at FROM t", "SELECT 'snow'"] {
            assert!(!tells_time(text), "{text}");
        }
    }
}
