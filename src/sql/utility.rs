//! Statements that are read word by word: everything but queries and data changes.
//!
//! [`statement`] looks at the first words and goes to the reader of that command; the readers of one family stand
//! together. Transactions and settings come first, then prepared statements and cursors, maintenance. The
//! readers of data definitions are in [`crate::sql::ddl_words`], that of COPY in [`crate::sql::copy_words`].

use std::collections::VecDeque;

use datafusion::sql::sqlparser::ast::{self, SetExpr};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::catalog::OnCommit;
use crate::database::BackupOptions;
use crate::error::{Error, SqlState};
use crate::sql::grants::grant;
use crate::sql::lock_table::lock_table;
use crate::sql::notifications::Listening;
use crate::sql::source::Source;
use crate::sql::staged;
use crate::sql::statement::*;
use crate::sql::type_names;
use crate::sql::words::{Parsed, Words, object_name};
use crate::sql::{
    blocks, copy_words, ddl_words, explain_words, like_words, locking, merge_words, view_words,
};

/// Commands of PostgreSQL that are not built, by their first words.
const UNSUPPORTED: &[&str] = &[
    "CALL",
    "CLUSTER",
    "IMPORT FOREIGN SCHEMA",
    "LOAD",
    "REASSIGN OWNED",
    "SECURITY LABEL",
    "PREPARE TRANSACTION",
    "COMMIT PREPARED",
    "ROLLBACK PREPARED",
];

/// Clauses that sqlparser does not read, taken out of the tokens beforehand.
#[derive(Clone, Default)]
pub struct Taken {
    pub overriding: Option<Overriding>,
    /// CREATE UNLOGGED TABLE, and CREATE TEMP TABLE without its LOCAL or GLOBAL.
    pub persistence: Persistence,
    /// CREATE TABLE: per AS IDENTITY, the tokens of its options.
    pub identities: VecDeque<Vec<TokenWithSpan>>,
    /// CREATE TABLE: the tokens of each LIKE clause, in whose place a column stands.
    pub likes: VecDeque<Vec<TokenWithSpan>>,
    /// Whether FOR UPDATE or FOR SHARE stands anywhere.
    pub locks: bool,
}

/// Takes INSERT's OVERRIDING clause and the options of identity columns, whose order sqlparser fixes.
pub fn take(mut tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Taken) {
    let mut taken = Taken::default();
    let words = words_of(&tokens);
    match words.first().map(|(_, word)| word.as_str()) {
        Some("INSERT" | "WITH") => {
            let clause = words.windows(3).find(|window| {
                window[0].1 == "OVERRIDING"
                    && matches!(window[1].1.as_str(), "SYSTEM" | "USER")
                    && window[2].1 == "VALUE"
            });
            if let Some([first, which, last]) = clause {
                taken.overriding =
                    Some(if which.1 == "SYSTEM" { Overriding::System } else { Overriding::User });
                tokens.drain(first.0..=last.0);
            }
        }
        Some("CREATE") => {
            take_persistence(&mut tokens, &mut taken);
            take_access_method(&mut tokens);
            take_identities(&mut tokens, &mut taken);
            taken.likes = like_words::take(&mut tokens);
        }
        _ => {}
    }
    if words.iter().any(|(_, word)| word == "MERGE") {
        let words = words_of(&tokens);
        merge_words::spell(&mut tokens, &words);
    }
    taken.locks = take_lock_strengths(&mut tokens);
    (tokens, taken)
}

/// Positions of what is not white space, with unquoted words in upper case; anything else is an empty word.
fn words_of(tokens: &[TokenWithSpan]) -> Vec<(usize, String)> {
    let word = |(index, token): (usize, &TokenWithSpan)| match &token.token {
        Token::Whitespace(_) => None,
        Token::Word(word) if word.quote_style.is_none() => Some((index, word.value.to_uppercase())),
        _ => Some((index, String::new())),
    };
    tokens.iter().enumerate().filter_map(word).collect()
}

/// Takes UNLOGGED, [LOCAL | GLOBAL] TEMP and ON COMMIT out of CREATE TABLE.
fn take_persistence(tokens: &mut Vec<TokenWithSpan>, taken: &mut Taken) {
    let words = words_of(tokens);
    let word = |place: usize| words.get(place).map_or("", |(_, word)| word.as_str());
    let mut end = 1;
    if matches!(word(end), "LOCAL" | "GLOBAL") {
        end += 1;
    }
    let temporary = matches!(word(end), "TEMP" | "TEMPORARY");
    if !(temporary || word(1) == "UNLOGGED") || word(end + 1) != "TABLE" {
        return;
    }
    taken.persistence = match temporary {
        true => Persistence::Temporary(OnCommit::PreserveRows),
        false => Persistence::Unlogged,
    };
    let mut gone: Vec<usize> = (1..=end).map(|place| words[place].0).collect();
    for place in end..words.len() {
        let (action, length) = match (word(place), word(place + 1), word(place + 2), word(place + 3)) {
            ("ON", "COMMIT", "DROP", _) => (OnCommit::Drop, 3),
            ("ON", "COMMIT", "DELETE", "ROWS") => (OnCommit::DeleteRows, 4),
            ("ON", "COMMIT", "PRESERVE", "ROWS") => (OnCommit::PreserveRows, 4),
            _ => continue,
        };
        if temporary {
            taken.persistence = Persistence::Temporary(action);
            gone.extend((place..place + length).map(|place| words[place].0));
        }
        break;
    }
    for index in gone.into_iter().rev() {
        tokens.remove(index);
    }
}

/// Takes USING heap out of CREATE TABLE, which is what all tables are said to be.
fn take_access_method(tokens: &mut Vec<TokenWithSpan>) {
    let words = words_of(tokens);
    if words.get(1).is_none_or(|(_, word)| word != "TABLE") {
        return;
    }
    let mut open = 0_usize;
    for pair in words.windows(2) {
        match &tokens[pair[0].0].token {
            Token::LParen => open += 1,
            Token::RParen => open = open.saturating_sub(1),
            // The query behind it joins as it likes.
            _ if open == 0 && pair[0].1 == "AS" => return,
            _ if open == 0 && pair[0].1 == "USING" && pair[1].1 == "HEAP" => {
                tokens.drain(pair[0].0..=pair[1].0);
                return;
            }
            _ => {}
        }
    }
}

/// FOR NO KEY UPDATE and FOR KEY SHARE lock as FOR UPDATE and FOR SHARE do, which is more than they ask for. Returns
/// whether a locking clause of any strength stands there.
fn take_lock_strengths(tokens: &mut Vec<TokenWithSpan>) -> bool {
    let is_for =
        |token: &TokenWithSpan| matches!(&token.token, Token::Word(w) if w.value.eq_ignore_ascii_case("for"));
    if !tokens.iter().any(is_for) {
        return false;
    }
    let words = words_of(tokens);
    let mut gone = Vec::new();
    let mut locks = false;
    for place in (0..words.len()).filter(|&place| words[place].1 == "FOR") {
        let next: Vec<&str> = words[place + 1..].iter().take(3).map(|(_, word)| word.as_str()).collect();
        locks |= matches!(
            next.as_slice(),
            ["UPDATE" | "SHARE", ..] | ["NO", "KEY", "UPDATE"] | ["KEY", "SHARE", ..]
        );
        match next.as_slice() {
            ["NO", "KEY", "UPDATE"] => gone.extend([words[place + 1].0, words[place + 2].0]),
            ["KEY", "SHARE", ..] => gone.push(words[place + 1].0),
            _ => {}
        }
    }
    for index in gone.into_iter().rev() {
        tokens.remove(index);
    }
    if locks {
        *tokens = locking::limits_first(locking::one_each(std::mem::take(tokens)));
    }
    locks
}

fn take_identities(tokens: &mut Vec<TokenWithSpan>, taken: &mut Taken) {
    let mut from = 0;
    loop {
        let words = words_of(&tokens[from..]);
        let Some(at) = words.windows(2).position(|pair| pair[0].1 == "AS" && pair[1].1 == "IDENTITY") else {
            return;
        };
        let after = from + words[at + 1].0 + 1;
        let open = words.get(at + 2).map(|(index, _)| from + index);
        from = after;
        let Some(open) = open.filter(|&open| tokens[open].token == Token::LParen) else {
            taken.identities.push_back(Vec::new());
            continue;
        };
        let close = tokens[open..].iter().position(|token| token.token == Token::RParen);
        let Some(close) = close.map(|length| open + length) else { return };
        let options: Vec<TokenWithSpan> = tokens.drain(open..=close).collect();
        taken.identities.push_back(options[1..options.len() - 1].to_vec());
    }
}

/// Reads one statement.
pub fn statement(parser: &mut Parser<'static>, source: &Source, taken: Taken) -> Parsed<Ast> {
    let Taken { overriding, persistence, identities, likes, locks } = taken;
    let mut words = Words { parser, source, identities, likes, persistence, locks };
    any(&mut words, overriding.unwrap_or(Overriding::None))
}

pub(super) fn any(w: &mut Words, overriding: Overriding) -> Parsed<Ast> {
    if let Some(command) = UNSUPPORTED.iter().find(|command| w.at(command)) {
        return Err(Error::unsupported(command).into());
    }
    let start = w.peek().clone();
    let first = match &start {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_uppercase(),
        Token::LParen => return query(w, overriding),
        _ => return w.unexpected("a statement"),
    };
    match first.as_str() {
        "SELECT" | "VALUES" | "WITH" | "TABLE" | "MERGE" => query(w, overriding),
        "INSERT" | "UPDATE" | "DELETE" => data_change(w, overriding),
        "TRUNCATE" => truncate(w),
        "EXPLAIN" => explain_words::explain(w),
        "COPY" => copy_words::copy(w),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
            transaction(w)
        }
        "SET" => set(w),
        "RESET" => reset(w),
        "SHOW" => show(w),
        "DISCARD" => discard(w),
        "PREPARE" => prepare(w),
        "EXECUTE" => execute(w),
        "DEALLOCATE" => deallocate(w),
        "DECLARE" => declare(w),
        "FETCH" | "MOVE" => fetch(w),
        "CLOSE" => close(w),
        "LISTEN" => listen(w),
        "UNLISTEN" => unlisten(w),
        "NOTIFY" => notify(w),
        "DO" => blocks::statement(w),
        "VACUUM" => vacuum(w),
        "ANALYZE" | "ANALYSE" => analyze(w),
        "CHECKPOINT" => word_only(w, Ast::Checkpoint),
        "LOCK" => {
            w.advance();
            Ok(Ast::LockTable(lock_table(w)?))
        }
        "GRANT" | "REVOKE" => Ok(Ast::Grant(grant(w)?)),
        "BACKUP" => backup(w),
        "SCRUB" => word_only(w, Ast::Scrub),
        "REINDEX" => reindex(w),
        "CREATE" => ddl_words::create(w),
        "REFRESH" => view_words::refresh(w),
        "DROP" => ddl_words::drop(w),
        "ALTER" => ddl_words::alter(w),
        "COMMENT" => ddl_words::comment(w),
        _ => w.unexpected("a statement"),
    }
}

fn word_only(w: &mut Words, ast: Ast) -> Parsed<Ast> {
    w.advance();
    Ok(ast)
}

// ---- queries and data changes ----

fn query(w: &mut Words, overriding: Overriding) -> Parsed<Ast> {
    let mut query = w.query()?;
    if !matches!(
        query.body.as_ref(),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
    ) {
        let with = query.with.take();
        return match into_table(query)? {
            Ast::CreateTableAs { persistence, name, if_not_exists, columns, mut query, with_data } => {
                query.with = with;
                Ok(Ast::CreateTableAs { persistence, name, if_not_exists, columns, query, with_data })
            }
            main => Ok(staged::arrange(with, main, w.locks)?),
        };
    }
    let main = match *query.body {
        SetExpr::Insert(ast::Statement::Insert(insert)) => Ast::Insert(Box::new(insert), overriding),
        SetExpr::Update(ast::Statement::Update(update)) => Ast::Update(Box::new(update)),
        SetExpr::Delete(ast::Statement::Delete(delete)) => Ast::Delete(Box::new(delete)),
        SetExpr::Merge(ast::Statement::Merge(merge)) => Ast::Merge(Box::new(merge)),
        _ => return w.unexpected("a data change"),
    };
    Ok(staged::arrange(query.with, main, w.locks)?)
}

/// SELECT ... INTO makes a table; anything else is a query.
fn into_table(mut query: Box<ast::Query>) -> Result<Ast, Error> {
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(Ast::Query(query)) };
    let Some(into) = select.into.take() else { return Ok(Ast::Query(query)) };
    let persistence = match (into.temporary, into.unlogged) {
        (true, _) => Persistence::Temporary(OnCommit::PreserveRows),
        (_, true) => Persistence::Unlogged,
        _ => Persistence::Permanent,
    };
    let name = object_name(&into.name);
    Ok(Ast::CreateTableAs {
        persistence,
        name,
        if_not_exists: false,
        columns: Vec::new(),
        query,
        with_data: true,
    })
}

fn data_change(w: &mut Words, overriding: Overriding) -> Parsed<Ast> {
    if w.contains("WHERE CURRENT OF") {
        return Err(Error::unsupported("WHERE CURRENT OF").into());
    }
    let main = match w.parser.parse_statement()? {
        ast::Statement::Insert(insert) => Ast::Insert(Box::new(insert), overriding),
        ast::Statement::Update(update) => Ast::Update(Box::new(update)),
        ast::Statement::Delete(delete) => Ast::Delete(Box::new(delete)),
        _ => return w.unexpected("a data change"),
    };
    Ok(staged::arrange(None, main, w.locks)?)
}

fn truncate(w: &mut Words) -> Parsed<Ast> {
    w.expect("TRUNCATE")?;
    w.accept("TABLE");
    let tables = w.list(|w| {
        let only = w.accept("ONLY");
        let name = w.name()?;
        w.accept_token(&Token::Mul);
        Ok((name, only))
    })?;
    let restart_identity = w.accept("RESTART IDENTITY");
    if !restart_identity {
        w.accept("CONTINUE IDENTITY");
    }
    let cascade = w.accept("CASCADE");
    if !cascade {
        w.accept("RESTRICT");
    }
    Ok(Ast::Truncate(Truncate { tables, restart_identity, cascade }))
}

/// `[true | on | 1 | false | off | 0]` after an option's name; nothing is true.
pub(super) fn boolean_option(w: &mut Words, name: &str) -> Parsed<bool> {
    let text = match w.peek() {
        Token::Comma | Token::RParen | Token::EOF => return Ok(true),
        Token::Number(text, _) => text.clone(),
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) => text.clone(),
        _ => return w.unexpected("a Boolean"),
    };
    w.advance();
    match text.to_lowercase().as_str() {
        "true" | "on" | "1" | "yes" => Ok(true),
        "false" | "off" | "0" | "no" => Ok(false),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("{name} requires a Boolean value")).into()),
    }
}

// ---- transactions ----

fn transaction(w: &mut Words) -> Parsed<Ast> {
    let first = w.word().unwrap_or_default();
    let noise = |w: &mut Words| w.accept("WORK") || w.accept("TRANSACTION");
    match first.as_str() {
        "START" => {
            w.expect("TRANSACTION")?;
            Ok(Ast::Begin { modes: modes(w)?, tag: "START TRANSACTION" })
        }
        "BEGIN" => {
            noise(w);
            Ok(Ast::Begin { modes: modes(w)?, tag: "BEGIN" })
        }
        "SAVEPOINT" => Ok(Ast::Savepoint(Savepoint::Define(w.identifier()?))),
        "RELEASE" => {
            w.accept("SAVEPOINT");
            Ok(Ast::Savepoint(Savepoint::Release(w.identifier()?)))
        }
        "COMMIT" | "END" => {
            noise(w);
            Ok(Ast::Commit { chain: chain(w)? })
        }
        _ => {
            noise(w);
            if w.accept("TO") {
                w.accept("SAVEPOINT");
                return Ok(Ast::Savepoint(Savepoint::RollBackTo(w.identifier()?)));
            }
            Ok(Ast::Rollback { chain: chain(w)? })
        }
    }
}

fn chain(w: &mut Words) -> Parsed<bool> {
    if w.accept("AND NO CHAIN") {
        return Ok(false);
    }
    Ok(w.accept("AND CHAIN"))
}

fn modes(w: &mut Words) -> Parsed<Modes> {
    let mut modes = Modes::default();
    loop {
        if w.accept("ISOLATION LEVEL") {
            modes.isolation = Some(isolation_level(w)?);
        } else if w.accept("READ ONLY") {
            modes.read_only = Some(true);
        } else if w.accept("READ WRITE") {
            modes.read_only = Some(false);
        } else if w.accept("NOT DEFERRABLE") {
            modes.deferrable = Some(false);
        } else if w.accept("DEFERRABLE") {
            modes.deferrable = Some(true);
        } else {
            return Ok(modes);
        }
        w.accept_token(&Token::Comma);
    }
}

fn isolation_level(w: &mut Words) -> Parsed<IsolationLevel> {
    use IsolationLevel::*;
    for (text, level) in [
        ("READ UNCOMMITTED", ReadUncommitted),
        ("READ COMMITTED", ReadCommitted),
        ("REPEATABLE READ", RepeatableRead),
        ("SERIALIZABLE", Serializable),
    ] {
        if w.accept(text) {
            return Ok(level);
        }
    }
    w.unexpected("an isolation level")
}

// ---- settings ----

fn set(w: &mut Words) -> Parsed<Ast> {
    w.expect("SET")?;
    if w.accept("SESSION CHARACTERISTICS AS TRANSACTION") {
        return Ok(Ast::SetTransaction { modes: modes(w)?, session: true });
    }
    if w.accept("CONSTRAINTS") {
        let names = if w.accept("ALL") { Vec::new() } else { w.names()? };
        let deferred = w.accept("DEFERRED");
        if !deferred {
            w.expect("IMMEDIATE")?;
        }
        return Ok(Ast::SetConstraints { names, deferred });
    }
    if w.at("TRANSACTION SNAPSHOT") {
        return Err(Error::unsupported("SET TRANSACTION SNAPSHOT").into());
    }
    if w.accept("TRANSACTION") || w.accept("LOCAL TRANSACTION") {
        return Ok(Ast::SetTransaction { modes: modes(w)?, session: false });
    }
    if w.at("SESSION AUTHORIZATION") || w.at("LOCAL SESSION AUTHORIZATION") {
        return set_authorization(w);
    }
    let local = w.accept("LOCAL");
    if !local && !w.at("SESSION =") && w.at("SESSION") && !next_is_assignment(w, 1) {
        w.advance();
    }
    if w.accept("TIME ZONE") {
        let value = if w.accept("LOCAL") || w.accept("DEFAULT") {
            SetValue::Default
        } else {
            let interval = w.accept("INTERVAL");
            let mut zone = setting_value(w)?;
            if interval {
                w.accept("HOUR TO MINUTE");
                // Hours east of Greenwich.
                if let Ok(span) = crate::types::interval::parse(&zone) {
                    zone = (span.microseconds as f64 / 3.6e9).to_string();
                }
            }
            SetValue::Values(vec![zone])
        };
        return Ok(Ast::Set { local, name: "timezone".into(), value });
    }
    if w.accept("NAMES") {
        let value = if w.at_end() || w.accept("DEFAULT") {
            SetValue::Default
        } else {
            SetValue::Values(vec![setting_value(w)?])
        };
        return Ok(Ast::Set { local, name: "client_encoding".into(), value });
    }
    if w.accept("ROLE") {
        let value = SetValue::Values(vec![setting_value(w)?]);
        return Ok(Ast::Set { local, name: "role".into(), value });
    }
    if w.accept("XML OPTION") {
        return Ok(Ast::Set {
            local,
            name: "xmloption".into(),
            value: SetValue::Values(vec![setting_value(w)?]),
        });
    }
    let name = setting_name(w)?;
    if !w.accept("TO") {
        w.expect_token(&Token::Eq)?;
    }
    if w.accept("DEFAULT") {
        return Ok(Ast::Set { local, name, value: SetValue::Default });
    }
    Ok(Ast::Set { local, name, value: SetValue::Values(w.list(setting_value)?) })
}

fn next_is_assignment(w: &Words, n: usize) -> bool {
    match &w.parser.peek_nth_token_ref(n).token {
        Token::Eq => true,
        Token::Word(word) => word.value.eq_ignore_ascii_case("TO"),
        _ => false,
    }
}

fn set_authorization(w: &mut Words) -> Parsed<Ast> {
    let local = w.accept("LOCAL");
    w.expect("SESSION AUTHORIZATION")?;
    let value =
        if w.accept("DEFAULT") { SetValue::Default } else { SetValue::Values(vec![setting_value(w)?]) };
    Ok(Ast::Set { local, name: "session_authorization".into(), value })
}

/// A setting's name, dots included, as written.
fn setting_name(w: &mut Words) -> Parsed<String> {
    let mut name = w.identifier()?;
    while w.accept_token(&Token::Period) {
        name.push('.');
        name.push_str(&w.identifier()?);
    }
    Ok(name)
}

/// One value of a SET list as text.
fn setting_value(w: &mut Words) -> Parsed<String> {
    let sign = if w.accept_token(&Token::Minus) {
        "-"
    } else {
        w.accept_token(&Token::Plus);
        ""
    };
    let text = match w.peek().clone() {
        Token::Number(text, _) => format!("{sign}{text}"),
        Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
        Token::Word(word) => word.value,
        _ => return w.string(),
    };
    w.advance();
    Ok(text)
}

fn reset(w: &mut Words) -> Parsed<Ast> {
    w.expect("RESET")?;
    if w.accept("ALL") {
        return Ok(Ast::Reset(None));
    }
    Ok(Ast::Reset(Some(special_setting_name(w)?)))
}

fn show(w: &mut Words) -> Parsed<Ast> {
    w.expect("SHOW")?;
    if w.accept("ALL") {
        return Ok(Ast::Show(None));
    }
    Ok(Ast::Show(Some(special_setting_name(w)?)))
}

fn special_setting_name(w: &mut Words) -> Parsed<String> {
    for (text, name) in [
        ("TIME ZONE", "timezone"),
        ("TRANSACTION ISOLATION LEVEL", "transaction_isolation"),
        ("SESSION AUTHORIZATION", "session_authorization"),
    ] {
        if w.accept(text) {
            return Ok(name.into());
        }
    }
    setting_name(w)
}

fn discard(w: &mut Words) -> Parsed<Ast> {
    w.expect("DISCARD")?;
    let what = match w.word().as_deref() {
        Some("ALL") => Discard::All,
        Some("PLANS") => Discard::Plans,
        Some("SEQUENCES") => Discard::Sequences,
        Some("TEMP" | "TEMPORARY") => Discard::Temp,
        _ => return w.unexpected("ALL, PLANS, SEQUENCES or TEMP"),
    };
    Ok(Ast::Discard(what))
}

fn listen(w: &mut Words) -> Parsed<Ast> {
    w.expect("LISTEN")?;
    Ok(Ast::Listen(Listening::Start(w.identifier()?)))
}

fn unlisten(w: &mut Words) -> Parsed<Ast> {
    w.expect("UNLISTEN")?;
    if w.accept_token(&Token::Mul) {
        return Ok(Ast::Listen(Listening::StopAll));
    }
    Ok(Ast::Listen(Listening::Stop(w.identifier()?)))
}

fn notify(w: &mut Words) -> Parsed<Ast> {
    w.expect("NOTIFY")?;
    let channel = w.identifier()?;
    let payload = if w.accept_token(&Token::Comma) { w.string()? } else { String::new() };
    Ok(Ast::Notify { channel, payload })
}

// ---- prepared statements and cursors ----

fn prepare(w: &mut Words) -> Parsed<Ast> {
    w.expect("PREPARE")?;
    let name = w.identifier()?;
    let types = if *w.peek() == Token::LParen {
        w.parenthesised(|w| Ok(type_names::column_type(&w.parser.parse_data_type()?)?))?
    } else {
        Vec::new()
    };
    w.expect("AS")?;
    let statement = any(w, Overriding::None)?;
    if !is_planned(&statement) {
        return w.unexpected("a query or a data change");
    }
    Ok(Ast::Prepare { name, types, statement: Box::new(statement) })
}

/// Queries and data changes: what can be prepared, and explained.
pub(super) fn is_planned(statement: &Ast) -> bool {
    matches!(
        statement,
        Ast::Query(_) | Ast::Insert(..) | Ast::Update(_) | Ast::Delete(_) | Ast::Merge(_) | Ast::Staged(_)
    )
}

/// EXECUTE
pub fn execute(w: &mut Words) -> Parsed<Ast> {
    w.expect("EXECUTE")?;
    let name = w.identifier()?;
    let arguments = if *w.peek() == Token::LParen { w.parenthesised(Words::expression)? } else { Vec::new() };
    Ok(Ast::Execute { name, arguments })
}

fn deallocate(w: &mut Words) -> Parsed<Ast> {
    w.expect("DEALLOCATE")?;
    w.accept("PREPARE");
    if w.accept("ALL") {
        return Ok(Ast::Deallocate(None));
    }
    Ok(Ast::Deallocate(Some(w.identifier()?)))
}

fn declare(w: &mut Words) -> Parsed<Ast> {
    w.expect("DECLARE")?;
    let name = w.identifier()?;
    let mut options = DeclareOptions::default();
    loop {
        if w.accept("BINARY") {
            options.binary = true;
        } else if w.accept("SCROLL") {
            options.scroll = Some(true);
        } else if w.accept("NO SCROLL") {
            options.scroll = Some(false);
        } else if !(w.accept("INSENSITIVE") || w.accept("ASENSITIVE")) {
            break;
        }
    }
    w.expect("CURSOR")?;
    options.hold = w.accept("WITH HOLD");
    if !options.hold {
        w.accept("WITHOUT HOLD");
    }
    w.expect("FOR")?;
    let query = w.query()?;
    staged::refuse_changes(&query, "DECLARE CURSOR")?;
    Ok(Ast::Declare { name, query, options })
}

fn fetch(w: &mut Words) -> Parsed<Ast> {
    let move_only = w.word().as_deref() == Some("MOVE");
    let direction = direction(w)?;
    if !w.accept("FROM") {
        w.accept("IN");
    }
    Ok(Ast::Fetch { name: w.identifier()?, direction, move_only })
}

fn direction(w: &mut Words) -> Parsed<Direction> {
    let fixed = [
        ("NEXT", Direction::Forward(Some(1))),
        ("PRIOR", Direction::Backward(Some(1))),
        ("FIRST", Direction::Absolute(1)),
        ("LAST", Direction::Absolute(-1)),
        ("ALL", Direction::Forward(None)),
        ("FORWARD ALL", Direction::Forward(None)),
        ("BACKWARD ALL", Direction::Backward(None)),
    ];
    if let Some((_, direction)) = fixed.iter().find(|(words, _)| w.accept(words)) {
        return Ok(*direction);
    }
    if w.accept("ABSOLUTE") {
        return Ok(Direction::Absolute(w.integer()?));
    }
    if w.accept("RELATIVE") {
        return Ok(Direction::Relative(w.integer()?));
    }
    let backward = w.accept("BACKWARD");
    let forward = !backward && w.accept("FORWARD");
    let count = match w.peek() {
        Token::Number(..) | Token::Minus | Token::Plus => w.integer()?,
        _ if backward || forward => 1,
        // FETCH FROM c, FETCH c
        _ => return Ok(Direction::Forward(Some(1))),
    };
    let rows = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    Ok(match backward != (count < 0) {
        true => Direction::Backward(Some(rows)),
        false => Direction::Forward(Some(rows)),
    })
}

fn close(w: &mut Words) -> Parsed<Ast> {
    w.expect("CLOSE")?;
    if w.accept("ALL") {
        return Ok(Ast::Close(None));
    }
    Ok(Ast::Close(Some(w.identifier()?)))
}

// ---- maintenance ----

fn vacuum(w: &mut Words) -> Parsed<Ast> {
    w.expect("VACUUM")?;
    let (mut full, mut analyze, mut verbose) = (false, false, false);
    if *w.peek() == Token::LParen {
        w.parenthesised(|w| {
            let Some(option) = w.word() else { return w.unexpected("an option") };
            match option.as_str() {
                "VERBOSE" => verbose = boolean_option(w, "verbose")?,
                "FULL" => full = boolean_option(w, "full")?,
                "ANALYZE" | "ANALYSE" => analyze = boolean_option(w, "analyze")?,
                "PARALLEL" => {
                    w.integer()?;
                }
                "INDEX_CLEANUP" => w.advance(),
                "FREEZE"
                | "DISABLE_PAGE_SKIPPING"
                | "SKIP_LOCKED"
                | "PROCESS_TOAST"
                | "PROCESS_MAIN"
                | "TRUNCATE" => {
                    boolean_option(w, &option.to_lowercase())?;
                }
                _ => {
                    let message = format!("unrecognized VACUUM option \"{}\"", option.to_lowercase());
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
                }
            }
            Ok(())
        })?;
    } else {
        full = w.accept("FULL");
        w.accept("FREEZE");
        verbose = w.accept("VERBOSE");
        analyze = w.accept("ANALYZE") || w.accept("ANALYSE");
    }
    Ok(Ast::Vacuum { analyze, full, verbose, tables: tables_with_columns(w)? })
}

/// `BACKUP TO 'folder' [KEEP backups] [RATE megabytes per second]`
fn backup(w: &mut Words) -> Parsed<Ast> {
    w.expect("BACKUP")?;
    w.expect("TO")?;
    let to = w.string()?;
    let mut options = BackupOptions::default();
    if w.accept("KEEP") {
        options.keep = Some(usize::try_from(w.integer()?).unwrap_or(0)); // A backup refuses 0.
    }
    if w.accept("RATE") {
        let negative =
            |_| Error::new(SqlState::INVALID_PARAMETER_VALUE, "RATE of BACKUP must not be negative");
        let bytes = u64::try_from(w.integer()?).map_err(negative)?.saturating_mul(1 << 20);
        options.bytes_per_second_max = bytes;
    }
    Ok(Ast::Backup(to, options))
}

fn analyze(w: &mut Words) -> Parsed<Ast> {
    w.advance();
    if *w.peek() == Token::LParen {
        w.parenthesised(|w| {
            w.advance();
            boolean_option(w, "verbose")
        })?;
    } else {
        w.accept("VERBOSE");
    }
    Ok(Ast::Analyze(tables_with_columns(w)?))
}

/// `[name [(column, ...)], ...]`; the columns only restrict what is gathered.
fn tables_with_columns(w: &mut Words) -> Parsed<Vec<(Name, Vec<String>)>> {
    if w.at_end() {
        return Ok(Vec::new());
    }
    w.list(|w| {
        let name = w.name()?;
        let columns = match *w.peek() == Token::LParen {
            true => w.parenthesised(Words::identifier)?,
            false => Vec::new(),
        };
        Ok((name, columns))
    })
}

fn reindex(w: &mut Words) -> Parsed<Ast> {
    w.expect("REINDEX")?;
    let mut concurrently = false;
    if *w.peek() == Token::LParen {
        w.parenthesised(|w| {
            let is_concurrently = w.at("CONCURRENTLY");
            w.advance();
            concurrently |= boolean_option(w, "option")? && is_concurrently;
            Ok(())
        })?;
    }
    let kind = match w.word().as_deref() {
        Some("INDEX") => ReindexKind::Index,
        Some("TABLE") => ReindexKind::Table,
        Some("SCHEMA") => ReindexKind::Schema,
        Some("DATABASE" | "SYSTEM") => ReindexKind::Database,
        _ => return w.unexpected("INDEX, TABLE, SCHEMA or DATABASE"),
    };
    concurrently |= w.accept("CONCURRENTLY");
    let name = if w.at_end() { None } else { Some(w.name()?) };
    Ok(Ast::Reindex { kind, name, concurrently })
}
