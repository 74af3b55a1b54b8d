//! Text to tokens, as PostgreSQL's default parser finds them: words, numbers, addresses, files, tags.
//!
//! The states and their rules are in `states`; this file walks them. A position is where the machine is and what it
//! has of a token; positions that may be gone back to are kept on a stack.

use crate::fulltext::characters::{is_letter, is_letter_or_digit, is_space, is_special, is_url};
use crate::fulltext::machine::{Move, Rule, Special, State, Test};
use crate::fulltext::states::rules;

pub use crate::fulltext::machine::Kind;

/// A piece of the text. Hyphenated words come whole and then in parts, and so do URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
}

/// The tokens of a text, which cover all of it.
pub fn tokens(text: &str) -> Parser<'_> {
    Parser::new(text)
}

#[derive(Clone, Copy, Debug)]
struct Position {
    /// Of the next character, in bytes.
    at: usize,
    /// Of that character; 0 at the end.
    width: usize,
    /// Bytes of the token so far.
    length: usize,
    state: State,
    /// The rule that pushed the next position on the stack.
    pushed_by: Option<usize>,
}

pub struct Parser<'a> {
    text: &'a str,
    /// The current position last.
    positions: Vec<Position>,
    /// Within a script or style.
    ignores: bool,
    wants_host: bool,
}

impl<'a> Iterator for Parser<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.token()
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        let start = Position { at: 0, width: 0, length: 0, state: State::Base, pushed_by: None };
        Parser { text, positions: vec![start], ignores: false, wants_host: false }
    }

    fn here(&mut self) -> &mut Position {
        self.positions.last_mut().expect("a position is taken back only where one was pushed before")
    }

    fn character(&self) -> Option<char> {
        let here = self.positions.last()?;
        self.text[here.at..].chars().next()
    }

    fn token(&mut self) -> Option<Token<'a>> {
        let start = self.here().at;
        if start >= self.text.len() {
            return None;
        }
        self.here().pushed_by = None;
        loop {
            self.here().width = self.character().map_or(0, char::len_utf8);
            let (index, rule) = self.rule();
            self.special(rule.special, start);
            let mut found = None;
            if let Some(kind) = rule.found {
                let length = std::mem::take(&mut self.here().length);
                found = Some(Token { kind, text: &self.text[start..start + length] });
            }
            self.make(rule, index)?;
            if let Some(state) = rule.to {
                self.here().state = state;
            }
            if found.is_some() {
                return found;
            }
            if self.here().at >= self.text.len() && rule.step != Move::Again {
                return None;
            }
            if !matches!(rule.step, Move::Again | Move::Pop) {
                let here = self.here();
                here.at += here.width;
                here.length += here.width;
            }
        }
    }

    /// The rule to follow, and its place in its state.
    fn rule(&mut self) -> (usize, &'static Rule) {
        let here = self.here();
        let rules = rules(here.state);
        let first = here.pushed_by.take().map_or(0, |index| index + 1);
        let holds = (first..rules.len()).find(|&index| self.holds(rules[index].test));
        let index = holds.expect("the last rule of a state always holds");
        (index, &rules[index])
    }

    fn holds(&mut self, test: Test) -> bool {
        let c = self.character();
        let is = |f: fn(char) -> bool| c.is_some_and(f);
        match test {
            Test::Any => true,
            Test::End => c.is_none(),
            Test::Is(byte) => c == Some(char::from(byte)),
            Test::AsciiLetter => is(|c| c.is_ascii_alphabetic()),
            Test::Letter => is(is_letter),
            Test::Digit => is(|c| c.is_ascii_digit()),
            Test::HexDigit => is(|c| c.is_ascii_hexdigit()),
            Test::LetterOrDigit => is(is_letter_or_digit),
            Test::NeitherLetterNorDigit => !is(is_letter_or_digit),
            Test::Special => is(is_special),
            Test::Space => is(is_space),
            Test::Url => is(is_url),
            Test::Ignored => self.ignores,
            Test::StopHost => std::mem::take(&mut self.wants_host),
            Test::HostHere => self.takes(Kind::Host),
            Test::PathHere => self.takes(Kind::UrlPath),
        }
    }

    /// Looks for a token of `kind` here with a parser of its own, and takes it into this one's token.
    fn takes(&mut self, kind: Kind) -> bool {
        let here = *self.here();
        let mut inner = Parser::new(&self.text[here.at..]);
        match kind {
            Kind::Host => inner.wants_host = true,
            _ => {
                let path = Position { state: State::UrlPathFirst, ..*inner.here() };
                inner.positions.push(path);
            }
        }
        let Some(token) = inner.token().filter(|token| token.kind == kind) else { return false };
        let width = inner.here().width;
        let here = self.here();
        here.at += token.text.len();
        here.length += token.text.len();
        here.width = width;
        true
    }

    fn special(&mut self, special: Special, start: usize) {
        match special {
            Special::Nothing => {}
            Special::Tags => {
                let length = self.here().length;
                match self.text[start..start + length].to_ascii_lowercase().as_str() {
                    "</script" | "</style" => self.ignores = false,
                    "<script" | "<style" => self.ignores = true,
                    _ => {}
                }
            }
            Special::WholeUrl => {
                self.wants_host = true;
                let here = self.here();
                here.at -= here.length;
            }
            Special::Hyphen => {
                let here = self.here();
                here.at -= here.length;
            }
            Special::Version => {
                let here = self.here();
                here.at -= std::mem::take(&mut here.length);
            }
        }
    }

    /// What the rule does with the stack; `None` when nothing is left on it.
    fn make(&mut self, rule: &Rule, index: usize) -> Option<()> {
        let here = *self.here();
        let last = self.positions.len() - 1;
        match rule.step {
            Move::Next | Move::Again => {}
            Move::Push => {
                self.here().pushed_by = Some(index);
                self.positions.push(Position { pushed_by: None, ..here });
            }
            Move::Pop => {
                self.positions.pop();
                self.positions.last()?;
            }
            Move::Clear => {
                self.positions.remove(last.checked_sub(1)?);
            }
            Move::ClearAll => {
                self.positions.drain(..last);
            }
            Move::Merge => {
                self.positions.pop();
                let before = self.positions.last_mut()?;
                *before = Position { state: before.state, pushed_by: before.pushed_by, ..here };
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(u8, &str)> {
        tokens(text).map(|token| (token.kind as u8, token.text)).collect()
    }

    #[test]
    fn tokens_are_postgres() {
        // SELECT tokid, token FROM ts_parse('default', ...) in PostgreSQL 15.
        for (text, expected) in [
            ("", vec![]),
            ("a word1", vec![(1, "a"), (12, " "), (3, "word1")]),
            (
                "up-to-date",
                vec![(16, "up-to-date"), (11, "up"), (12, "-"), (11, "to"), (12, "-"), (11, "date")],
            ),
            ("na\u{ef}ve", vec![(2, "na\u{ef}ve")]),
            ("me@example.com", vec![(4, "me@example.com")]),
            (
                "http://example.com/a/b.html",
                vec![(14, "http://"), (5, "example.com/a/b.html"), (6, "example.com"), (18, "/a/b.html")],
            ),
            ("/usr/bin/x", vec![(19, "/usr/bin/x")]),
            ("-3 4.5 1e-7 8.3.0", {
                vec![(21, "-3"), (12, " "), (20, "4.5"), (12, " "), (7, "1e-7"), (12, " "), (8, "8.3.0")]
            }),
            ("<b>x</b> &amp;", vec![(13, "<b>"), (1, "x"), (13, "</b>"), (12, " "), (23, "&amp;")]),
            ("<script>x</script>y", vec![(13, "<script>"), (12, "x"), (13, "</script>"), (1, "y")]),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn tokens_cover_the_text_without_an_end() {
        for text in ["<", "<a", "a@", "a@b.", "-", "&#x", "1.2.", "a-", "<!--", "~", "..", "é-", "<a '\\"] {
            let joined: String = tokens(text).map(|token| token.text).collect();
            assert!(text.starts_with(&joined), "{text}: {joined}");
        }
    }
}
