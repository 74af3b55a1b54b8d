//! The text of a block to its steps.
//!
//! A step is told by its first word. What is SQL in it ends at the first semicolon, THEN, comma or USING outside of
//! brackets, as in PostgreSQL's reader, and goes to [`dialect::parse`] as a text of its own.

use datafusion::sql::sqlparser::ast::SetExpr;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, Result, SqlState};
use crate::sql::blocks::conditions::{self, Condition};
use crate::sql::blocks::{Action, Block, Handler, Level, Message, Raise, RaiseOption, Step};
use crate::sql::dialect::{self, DIALECT};
use crate::sql::response::Severity;
use crate::sql::statement::{Ast, Statement};
use crate::sql::words::{Parsed, Words, is_word, literal, word_of};

/// How deep blocks and IFs may nest: each is a few calls on the stack of a connection.
const NESTING_MAX: usize = 100;

/// Statements of PL/pgSQL that are not built, and those that need one that is not.
const UNSUPPORTED: &[&str] = &[
    "ASSERT", "CALL", "CASE", "CLOSE", "CONTINUE", "DECLARE", "DO", "EXIT", "FETCH", "FOR", "FOREACH", "GET",
    "LOOP", "MOVE", "OPEN", "WHILE",
];

/// What ends or begins a transaction.
const TRANSACTIONS: &[&str] = &["ABORT", "COMMIT", "RELEASE", "ROLLBACK", "SAVEPOINT", "START"];

/// DO with its body, before or behind which the language may be named.
pub fn statement(w: &mut Words) -> Parsed<Ast> {
    let mut body = None;
    let mut language = None;
    w.expect("DO")?;
    while !w.at_end() {
        if language.is_none() && w.accept("LANGUAGE") {
            language = Some(if matches!(w.peek(), Token::Word(_)) { w.identifier()? } else { w.string()? });
        } else if body.is_none() {
            body = Some(w.string()?);
        } else {
            return w.unexpected("the end");
        }
    }
    match language.as_deref() {
        None | Some("plpgsql") => {}
        Some("sql" | "c" | "internal") => {
            let message = format!(
                "language \"{}\" does not support inline code execution",
                language.unwrap_or_default()
            );
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
        }
        Some(other) => {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("language \"{other}\" does not exist"),
            )
            .into());
        }
    }
    match body {
        Some(body) => Ok(Ast::Do(Box::new(read(&body)?))),
        None => w.unexpected("a string"),
    }
}

/// Reads a body: 0A000 for what is not built of the language, 42601 for what is none of it.
fn read(body: &str) -> Result<Block> {
    let mut reader = Reader::new(body)?;
    let block = reader.block(0)?;
    reader.accept_token(&Token::SemiColon);
    match reader.peek() {
        Token::EOF => Ok(block),
        _ => Err(reader.unexpected()),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Without white space; the last is EOF.
    tokens: Vec<TokenWithSpan>,
    /// The byte each token begins at.
    starts: Vec<usize>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Result<Reader<'a>> {
        let invalid = |error: datafusion::sql::sqlparser::tokenizer::TokenizerError| {
            Error::new(SqlState::SYNTAX_ERROR, format!("syntax error: {}", error.message))
        };
        let mut tokens = Tokenizer::new(&DIALECT, text).tokenize_with_location().map_err(invalid)?;
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
        tokens.push(TokenWithSpan::new_eof());
        let starts = starts_of(text, &tokens);
        Ok(Reader { text, tokens, starts, at: 0 })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    fn at_word(&self, word: &str) -> bool {
        is_word(self.peek(), word)
    }

    fn advance(&mut self) {
        // EOF stays.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn semicolon(&mut self) -> Result<()> {
        if self.accept_token(&Token::SemiColon) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Error {
        let Some(next) = self.starts.get(self.at + 1) else {
            return Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input");
        };
        let text = self.text[self.starts[self.at]..*next].trim_end();
        Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{text}\""))
    }

    fn line(&self) -> usize {
        usize::try_from(self.tokens[self.at].span.start.line).unwrap_or(usize::MAX)
    }

    /// `BEGIN steps [EXCEPTION handlers] END`
    fn block(&mut self, depth: usize) -> Result<Block> {
        if self.at_word("DECLARE") {
            return Err(refused("DECLARE"));
        }
        if matches!(self.peek(), Token::ShiftLeft) {
            return Err(refused("a label"));
        }
        self.expect("BEGIN")?;
        let steps = self.steps(depth + 1, &["EXCEPTION", "END"])?;
        let mut handlers = Vec::new();
        if self.accept("EXCEPTION") {
            while self.accept("WHEN") {
                let mut conditions = vec![self.condition()?];
                while self.accept("OR") {
                    conditions.push(self.condition()?);
                }
                self.expect("THEN")?;
                handlers.push(Handler { conditions, steps: self.steps(depth + 1, &["WHEN", "END"])? });
            }
            if handlers.is_empty() {
                return Err(self.unexpected());
            }
        }
        self.expect("END")?;
        Ok(Block { steps, handlers })
    }

    /// Steps up to one of these words, which is left.
    fn steps(&mut self, depth: usize, ends: &[&str]) -> Result<Vec<Step>> {
        if depth > NESTING_MAX {
            return Err(Error::new(SqlState("54001"), "stack depth limit exceeded"));
        }
        let mut steps = Vec::new();
        while !ends.iter().any(|end| self.at_word(end)) {
            let line = self.line();
            steps.push(Step { line, action: self.action(depth)? });
        }
        Ok(steps)
    }

    fn action(&mut self, depth: usize) -> Result<Action> {
        let Some(word) = word_of(self.peek()) else {
            return Err(match self.peek() {
                Token::ShiftLeft => refused("a label"),
                _ => self.unexpected(),
            });
        };
        if matches!(self.tokens[self.at + 1].token, Token::Assignment | Token::Eq) {
            // None is declared.
            let name = word.to_lowercase();
            return Err(Error::new(SqlState::SYNTAX_ERROR, format!("\"{name}\" is not a known variable")));
        }
        match word.as_str() {
            "NULL" => {
                self.advance();
                self.semicolon()?;
                Ok(Action::Null)
            }
            "RETURN" => {
                self.advance();
                if self.peek() != &Token::SemiColon {
                    let message = "RETURN cannot have a parameter in function returning void";
                    return Err(Error::new(SqlState("42804"), message));
                }
                self.advance();
                Ok(Action::Return)
            }
            "BEGIN" => {
                let block = self.block(depth)?;
                self.semicolon()?;
                Ok(Action::Block(block))
            }
            "IF" => self.choice(depth),
            "RAISE" => self.raise(),
            "PERFORM" => {
                self.advance();
                let query = self.query_until(&[])?;
                self.semicolon()?;
                Ok(Action::Perform(query))
            }
            "EXECUTE" => {
                self.advance();
                let text = self.query_until(&["INTO", "USING"])?;
                if !self.accept_token(&Token::SemiColon) {
                    return Err(refused("EXECUTE with INTO or USING"));
                }
                Ok(Action::Execute(text))
            }
            word if UNSUPPORTED.contains(&word) => Err(refused(word)),
            word if TRANSACTIONS.contains(&word) => Err(refused(word)),
            word => {
                let is_query = matches!(word, "SELECT" | "WITH");
                let text = self.text_until(&[])?;
                self.semicolon()?;
                let statement = one_statement(text)?;
                match &statement.ast {
                    // INTO names a variable here.
                    Ast::CreateTableAs { name, .. } if is_query => {
                        let message = format!("\"{}\" is not a known variable", name.name);
                        Err(Error::new(SqlState::SYNTAX_ERROR, message))
                    }
                    _ => Ok(Action::Sql(statement)),
                }
            }
        }
    }

    /// IF ... THEN ... [ELSIF ... THEN ...] [ELSE ...] END IF;
    fn choice(&mut self, depth: usize) -> Result<Action> {
        let mut arms = Vec::new();
        let mut otherwise = Vec::new();
        self.expect("IF")?;
        loop {
            let condition = self.query_until(&["THEN"])?;
            self.expect("THEN")?;
            arms.push((condition, self.steps(depth + 1, &["ELSIF", "ELSEIF", "ELSE", "END"])?));
            if !self.accept("ELSIF") && !self.accept("ELSEIF") {
                break;
            }
        }
        if self.accept("ELSE") {
            otherwise = self.steps(depth + 1, &["END"])?;
        }
        self.expect("END")?;
        self.expect("IF")?;
        self.semicolon()?;
        Ok(Action::If { arms, otherwise })
    }

    /// RAISE [level] {'format' [, argument ...] | condition | SQLSTATE 'state'} [USING option = text, ...];
    fn raise(&mut self) -> Result<Action> {
        const LEVELS: &[(&str, Level)] = &[
            ("EXCEPTION", Level::Exception),
            ("WARNING", Level::Notice(Severity::Warning)),
            ("NOTICE", Level::Notice(Severity::Notice)),
            ("INFO", Level::Notice(Severity::Info)),
            ("LOG", Level::Notice(Severity::Log)),
            ("DEBUG", Level::Notice(Severity::Debug)),
        ];
        self.expect("RAISE")?;
        let written = LEVELS.iter().find(|(word, _)| self.accept(word)).map(|(_, level)| *level);
        let mut message = None;
        if let Some(format) = literal(self.peek()) {
            self.advance();
            let arguments = match self.accept_token(&Token::Comma) {
                true => Some(Box::new(self.query_until(&["USING"])?)),
                false => None,
            };
            let given = arguments.as_deref().map_or(0, items);
            let amount = match wanted(&format) {
                wanted if wanted < given => Some("many"),
                wanted if wanted > given => Some("few"),
                _ => None,
            };
            if let Some(amount) = amount {
                let message = format!("too {amount} parameters specified for RAISE");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            message = Some(Message::Format(format, arguments));
        } else if !self.at_word("USING") && self.peek() != &Token::SemiColon {
            let (name, state) = self.condition_name()?;
            message = Some(Message::Named(name, state));
        }
        let mut options = Vec::new();
        if self.accept("USING") {
            loop {
                options.push((self.raise_option()?, self.list_item()?));
                if !self.accept_token(&Token::Comma) {
                    break;
                }
            }
        }
        if written.is_some() && message.is_none() && options.is_empty() {
            return Err(self.unexpected());
        }
        self.semicolon()?;
        Ok(Action::Raise(Raise { level: written.unwrap_or(Level::Exception), message, options }))
    }

    fn raise_option(&mut self) -> Result<RaiseOption> {
        const OPTIONS: &[(&str, RaiseOption)] = &[
            ("MESSAGE", RaiseOption::Message),
            ("DETAIL", RaiseOption::Detail),
            ("HINT", RaiseOption::Hint),
            ("ERRCODE", RaiseOption::Errcode),
            ("COLUMN", RaiseOption::Column),
            ("CONSTRAINT", RaiseOption::Constraint),
            ("DATATYPE", RaiseOption::Datatype),
            ("TABLE", RaiseOption::Table),
            ("SCHEMA", RaiseOption::Schema),
        ];
        let Some((_, option)) = OPTIONS.iter().find(|(word, _)| self.accept(word)) else {
            return Err(self.unexpected());
        };
        if !self.accept_token(&Token::Eq) && !self.accept_token(&Token::Assignment) {
            return Err(self.unexpected());
        }
        Ok(*option)
    }

    /// A branch's condition: a name, or SQLSTATE and a literal.
    fn condition(&mut self) -> Result<Condition> {
        if self.accept("SQLSTATE") {
            let state = literal(self.peek()).ok_or_else(|| self.unexpected())?;
            self.advance();
            // A state that nothing raises takes nothing.
            return Ok(Condition::of_state(&state).unwrap_or(Condition::States(Vec::new())));
        }
        let name = word_of(self.peek()).ok_or_else(|| self.unexpected())?.to_lowercase();
        self.advance();
        Condition::named(&name).ok_or_else(|| conditions::unknown(&name))
    }

    /// What RAISE raises by name: the name and its first state.
    fn condition_name(&mut self) -> Result<(String, SqlState)> {
        if self.accept("SQLSTATE") {
            let state = literal(self.peek()).ok_or_else(|| self.unexpected())?;
            self.advance();
            let known = conditions::known_state(&state);
            return known
                .map(|known| (state.clone(), known))
                .ok_or_else(|| refused(format!("SQLSTATE '{state}'")));
        }
        let name = word_of(self.peek()).ok_or_else(|| self.unexpected())?.to_lowercase();
        self.advance();
        let state = conditions::state_named(&name).ok_or_else(|| conditions::unknown(&name))?;
        Ok((name, state))
    }

    /// What follows SELECT up to the semicolon or one of these words, as a query.
    fn query_until(&mut self, ends: &[&str]) -> Result<Statement> {
        let text = self.text_until(ends)?;
        query(text)
    }

    /// One of several expressions.
    fn list_item(&mut self) -> Result<Statement> {
        let text = self.text_to(|token| *token == Token::Comma)?;
        query(text)
    }

    fn text_until(&mut self, ends: &[&str]) -> Result<&'a str> {
        self.text_to(|token| ends.iter().any(|end| is_word(token, end)))
    }

    /// The text up to the semicolon or a token outside of brackets, which is left.
    fn text_to(&mut self, ends: impl Fn(&Token) -> bool) -> Result<&'a str> {
        let start = self.at;
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Token::EOF => return Err(self.unexpected()),
                Token::SemiColon => break,
                token if open == 0 && ends(token) => break,
                Token::LParen | Token::LBracket => open += 1,
                Token::RParen | Token::RBracket => open = open.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
        if self.at == start {
            return Err(self.unexpected());
        }
        Ok(self.text[self.starts[start]..self.starts[self.at]].trim_end())
    }
}

/// How many arguments a format of RAISE wants.
pub(super) fn wanted(format: &str) -> usize {
    format.split("%%").map(|part| part.matches('%').count()).sum()
}

/// How many expressions a query lists.
fn items(query: &Statement) -> usize {
    match &query.ast {
        Ast::Query(query) => match query.body.as_ref() {
            SetExpr::Select(select) => select.projection.len(),
            _ => 1,
        },
        _ => 1,
    }
}

/// The byte each token begins at; that of EOF is the end.
fn starts_of(text: &str, tokens: &[TokenWithSpan]) -> Vec<usize> {
    let mut starts = Vec::with_capacity(tokens.len());
    let mut characters = text.char_indices();
    let (mut line, mut column) = (1, 1);
    for token in tokens {
        let start = token.span.start;
        let mut found = text.len();
        if token.token != Token::EOF {
            for (index, character) in characters.by_ref() {
                let here = (line, column) == (start.line, start.column);
                (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
                if here {
                    found = index;
                    break;
                }
            }
        }
        starts.push(found);
    }
    starts
}

fn query(text: &str) -> Result<Statement> {
    one_statement(&format!("SELECT {text}"))
}

/// The statement of a text that has one.
fn one_statement(text: &str) -> Result<Statement> {
    let mut statements = dialect::parse(text).map_err(|error| within(error, text))?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error in \"{text}\""))),
    }
}

/// The line of a context that shows a statement.
pub(super) fn of_statement(text: &str) -> String {
    format!("SQL statement \"{text}\"")
}

/// An error in a statement of a block: its position counts in the statement, which the context shows.
fn within(error: Error, text: &str) -> Error {
    error.without_position().context(of_statement(text))
}

/// 0A000 for what a block cannot do.
pub(super) fn refused(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("{what} in a block of DO"))
}

/// The statements of a text that EXECUTE runs.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>> {
    let statements = dialect::parse(text).map_err(|error| within(error, text))?;
    let refusal = statements.iter().find_map(|statement| match statement.ast {
        Ast::Do(_) | Ast::Begin { .. } | Ast::Commit { .. } | Ast::Rollback { .. } | Ast::Savepoint(_) => {
            Some(refused(statement.ast.command()))
        }
        _ => None,
    });
    refusal.map_or(Ok(statements), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        let error = read(body).expect_err(body);
        format!("{} {}", error.state().0, error.message())
    }

    #[test]
    fn bodies_are_read() {
        assert!(read("BEGIN PERFORM (1; 2); END").is_err(), "a semicolon within brackets ends a statement");
        let block = read(
            "BEGIN
               IF a.x = 'THEN' THEN
                 CREATE TABLE t (a int, b text DEFAULT 'é;'); INSERT INTO t VALUES (1, $q$;$q$);
               ELSIF count(*) > 1 FROM t THEN PERFORM 1; ELSE RETURN; END IF;
               BEGIN EXECUTE 'SELECT ' || 1; EXCEPTION WHEN unique_violation OR SQLSTATE '22012' THEN RAISE; END;
               RAISE NOTICE '% and %%', (SELECT 1, 2) USING HINT = 'x' || ',', ERRCODE = '22012';
             EXCEPTION WHEN others THEN NULL;
             END;",
        )
        .expect("a body");
        assert_eq!((block.steps.len(), block.handlers.len()), (3, 1));
        assert_eq!(block.steps.iter().map(|step| step.line).collect::<Vec<_>>(), [2, 5, 6]);
        let Action::If { arms, otherwise } = &block.steps[0].action else { panic!("IF comes first") };
        let texts: Vec<&str> = arms[0]
            .1
            .iter()
            .map(|step| match &step.action {
                Action::Sql(statement) => statement.text(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(arms.len() == 2 && matches!(otherwise[0].action, Action::Return));
        assert_eq!(
            texts,
            ["CREATE TABLE t (a int, b text DEFAULT 'é;')", "INSERT INTO t VALUES (1, $q$;$q$)"]
        );
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        for (body, refused) in [
            ("DECLARE x int; BEGIN END", "0A000 DECLARE in a block of DO is not supported"),
            ("BEGIN FOR i IN 1..3 LOOP NULL; END LOOP; END", "0A000 FOR in a block of DO is not supported"),
            ("BEGIN x := 1; END", "42601 \"x\" is not a known variable"),
            ("BEGIN RAISE 'x %'; END", "42601 too few parameters specified for RAISE"),
            ("BEGIN RAISE '%%', 1; END", "42601 too many parameters specified for RAISE"),
            ("BEGIN COMMIT; END", "0A000 COMMIT in a block of DO is not supported"),
            ("BEGIN SELECT 1 INTO x; END", "42601 \"x\" is not a known variable"),
            ("BEGIN NULL END", "42601 syntax error at or near \"END\""),
            ("BEGIN NULL;", "42601 syntax error at end of input"),
            ("BEGIN IF true NULL; END IF; END", "42601 syntax error at or near \";\""),
            (
                "BEGIN EXCEPTION WHEN nonsense THEN NULL; END",
                "42704 unrecognized exception condition \"nonsense\"",
            ),
            ("BEGIN SELEC 1; END", "42601 syntax error at or near \"SELEC\""),
            ("SELECT 1", "42601 syntax error at or near \"SELECT\""),
            ("", "42601 syntax error at end of input"),
        ] {
            assert_eq!(refusal(body), refused, "{body}");
        }
        assert!(refusal(&"BEGIN ".repeat(5_000)).starts_with("54001"));
        assert!(refusal(&format!("BEGIN {}", "IF true THEN ".repeat(5_000))).starts_with("54001"));
    }
}
