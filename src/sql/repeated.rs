//! Statements that come again. The simple protocol plans a statement each time it comes, and so does a Parse without a
//! name; that takes half a millisecond, where running the plan may take a tenth of it. A database keeps the plans of
//! statements that its sessions have met twice:
//!
//! ```text
//!   SELECT id FROM t WHERE a = 1 ORDER BY v <-> '[1,2]' LIMIT 5     planned; its hash is noted
//!   SELECT id FROM t WHERE a = 2 ORDER BY v <-> '[3,4]' LIMIT 5     planned as ... a = $1 ORDER BY v <-> $2 ..., and kept
//!   SELECT id FROM t WHERE a = 3 ORDER BY v <-> '[5,6]' LIMIT 5     run with $1 = 3, $2 = '[5,6]'
//! ```
//!
//! Literals that may be parameters are found by `repeated/lifted.rs`; all else of the text has to be the same, byte for
//! byte. Beside columns that partial indexes have conditions on literals stay. Plans are those of `repeated/kept.rs`, used
//! as long as they fit, as those of prepared statements are; whatever is not as expected is left to the way every statement
//! goes the first time, and to its errors. So is what may say `'now'` or `'today'`, a moment of its own each time, in its
//! text or in a definition that it may use.

mod kept;
mod lifted;

use std::sync::Arc;

use crate::error::Result;
use crate::sql::backslashes::Rules;
use crate::sql::dialect;
use crate::sql::plans::Plan;
use crate::sql::session::{Declared, Prepared, Session};
use crate::sql::setting_ids as id;
use crate::sql::statement::Ast;
use crate::types::{Type, Value, text};
use kept::Key;
pub use kept::Repeated;
use lifted::{Lifted, Literal};

/// Longer texts are loads of data, whose plans are as large, and do not come again: a page of 100 rows of ten columns
/// has 7 kB without its literals.
const TEXT_MAX: usize = 16 << 10;
/// The same with literals in it: four vectors of pgvector's 16,000 dimensions.
const SAID_MAX: usize = 1 << 20;

/// A statement that is planned already.
pub struct Again {
    pub prepared: Arc<Prepared>,
    pub params: Vec<Value>,
    /// The client's text, where it is not the statement's.
    pub said: Option<Arc<str>>,
}

impl Session {
    /// A simple query that came before.
    pub fn repeated(&mut self, sql: &str) -> Option<Again> {
        if sql.len() > SAID_MAX || self.check_not_failed(None).is_err() || !self.reads_plainly() {
            return None;
        }
        self.repeated_with_parameters(sql).or_else(|| {
            let prepared =
                self.kept(&self.key(sql, &[])?).filter(|prepared| prepared.param_types.is_empty())?;
            Some(Again { prepared, params: Vec::new(), said: None })
        })
    }

    fn repeated_with_parameters(&mut self, sql: &str) -> Option<Again> {
        let guarded = self.shared.engine.repeated.guarded(&self.shared.current_catalog());
        let lifted = Lifted::of(sql, &|column| guarded.has(column))?;
        let prepared = self.keep_lifted(&lifted)?;
        let look = self.look();
        let value = |(ty, literal): (&Type, &Literal)| text::parse_as(ty, &literal.text, look).ok();
        let params = prepared.param_types.iter().zip(&lifted.literals).map(value).collect::<Option<_>>()?;
        Some(Again { prepared, params, said: Some(sql.into()) })
    }

    /// [`Session::prepare`] for the protocol's Parse without a name, which may have come before.
    pub fn prepare_unnamed(&mut self, sql: &str, declared: Declared<'_>) -> Result<Arc<Prepared>> {
        let is_plain = declared.domains.is_empty() && self.reads_plainly();
        let key = if is_plain { self.key(sql, declared.types) } else { None };
        if let Some(kept) = key.and_then(|key| self.kept(&key)) {
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

    /// The plan of a statement that was kept, if it fits.
    fn kept(&self, key: &Key) -> Option<Arc<Prepared>> {
        let kept = self.shared.engine.repeated.get(key, &self.shared.current_catalog())?;
        self.fits(&kept).then_some(kept)
    }

    /// `None` for a text that is too long to be kept.
    fn key(&self, text: &str, declared: &[Option<Type>]) -> Option<Key> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (search_path, look) = {
            let mut settings = self.shared.settings.lock();
            (settings.text(id::SEARCH_PATH), settings.look())
        };
        let temporary = self.shared.temporary_schema();
        let temporary = self.shared.current_catalog().schema(&temporary).map(|_| temporary);
        let (declared, roles) = (declared.to_vec(), Vec::new());
        Some(Key { text: text.into(), declared, roles, search_path, temporary, look })
    }

    /// Keeps a plan that was made for a text, when the text came before.
    pub(crate) fn keep_repeated(&mut self, text: &str, declared: &[Option<Type>], prepared: &Arc<Prepared>) {
        if !prepared.is_one_plan() || !self.reads_plainly() {
            return;
        }
        let Some(key) = self.key(text, declared).filter(|key| self.is_due(key)) else { return };
        match self.tells_time(text) {
            true => self.shared.engine.repeated.refuse(&key),
            false => self.keep(key, prepared),
        }
    }

    /// Keeps a plan, unless it is of definitions that are this transaction's alone.
    fn keep(&self, key: Key, prepared: &Arc<Prepared>) {
        let newest = self.shared.engine.database.catalog();
        if Arc::ptr_eq(&newest, &prepared.plan.lock().catalog) {
            self.shared.engine.repeated.keep(key, prepared, &newest);
        }
    }

    fn is_due(&self, key: &Key) -> bool {
        self.shared.engine.repeated.is_due(key, &self.shared.current_catalog())
    }

    /// The plan of a text whose literals are parameters, made now when it came before.
    fn keep_lifted(&mut self, lifted: &Lifted) -> Option<Arc<Prepared>> {
        let roles = lifted.literals.iter().map(|literal| literal.role).collect();
        let key = Key { roles, ..self.key(&lifted.text, &[])? };
        if let Some(kept) = self.kept(&key) {
            return Some(kept);
        }
        if !self.is_due(&key) {
            return None;
        }
        let planned = self.plan_lifted(lifted);
        match &planned {
            Some(prepared) => self.keep(key, prepared),
            None => self.shared.engine.repeated.refuse(&key),
        }
        planned
    }

    /// `None` for what is no query or change alone, or not planned with parameters of the literals' types.
    fn plan_lifted(&mut self, lifted: &Lifted) -> Option<Arc<Prepared>> {
        let mut statements = dialect::parse(&lifted.text).ok().filter(|_| !self.tells_time(&lifted.text))?;
        let is_one =
            |ast: &Ast| matches!(ast, Ast::Query(_) | Ast::Insert(..) | Ast::Update(_) | Ast::Delete(_));
        let statement = statements.pop().filter(|statement| is_one(&statement.ast))?;
        if !statements.is_empty() {
            return None;
        }
        // A literal beside an element of an array of citext is one too, which of a parameter is not known in time.
        let has_citext = self.shared.current_catalog().extension_named("citext").is_some();
        let is_text =
            |ty: &Type| matches!(ty, Type::Text) || matches!(ty, Type::Array(of) if **of == Type::Text);
        let notices = self.notices.len();
        let prepared = self.plan(Some(statement), Declared::default()).ok();
        // Whoever says something says it each time.
        let is_silent = self.notices.len() == notices;
        self.notices.truncate(notices);
        prepared.filter(|prepared| {
            let types = &prepared.param_types;
            let are_of = types.len() == lifted.literals.len()
                && types.iter().zip(&lifted.literals).all(|(ty, literal)| literal.can_be(ty));
            is_silent && prepared.is_one_plan() && are_of && !(has_citext && types.iter().any(is_text))
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

#[cfg(test)]
mod tests {
    use super::*;

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
