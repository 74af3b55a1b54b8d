//! Spoilt statements are answered: no panic, no lost connection, no internal error, no hang.
//!
//! The corpus is every statement of sql-tests/*.slt and what the generator makes. A round runs one file on a server of
//! its own; after each statement of the file, which sets up what the next ones are about, come mutations of it: tokens
//! deleted, doubled, swapped, replaced by those of other statements, numbers at the edges, quotes without an end, two
//! statements spliced. `HITHER_SEED` (1) and `HITHER_ROUND` (0) choose the first round, `HITHER_MUTATIONS` (300) is how
//! many spoilt statements are sent before the end of a round ends the run.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::client::{Answer, Client};
use crate::house::{self, House};
use crate::random::Random;
use crate::{fault, generator, number, short};

/// Spoilt statements after each one of a file.
const PER_STATEMENT: usize = 4;

/// Ends statements that compute for long, which a number at the edge brings about.
const LIMIT: &str = "SET statement_timeout = '2s'";

#[test]
fn mutated_statements_are_answered() {
    house::panics();
    let corpus = corpus();
    let (seed, first, count) =
        (number("HITHER_SEED", 1), number("HITHER_ROUND", 0), number("HITHER_MUTATIONS", 300) as usize);
    let start = Instant::now();
    let mut run = Run { corpus: &corpus, seed, sent: 0, faults: BTreeMap::new() };
    let mut round = first;
    while run.sent < count {
        run.round(round);
        round += 1;
    }
    println!(
        "{} mutated statements in rounds {first} to {} of seed {seed} in {:.0} s, faults: {:?}",
        run.sent,
        round - 1,
        start.elapsed().as_secs_f64(),
        run.faults
    );
    assert_eq!(run.faults.values().sum::<usize>(), 0, "faults");
}

/// The statements of a file in their order, by the name of the file.
fn corpus() -> Vec<(String, Vec<String>)> {
    let directory = std::fs::read_dir("sql-tests").expect("sql-tests");
    let mut paths: Vec<_> = directory.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).expect("a file of text");
        (path.display().to_string(), statements(&text))
    };
    paths.iter().map(read).filter(|(_, statements)| !statements.is_empty()).collect()
}

/// What stands between a line `statement` or `query` and the next empty one or `----`.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("statement") || line.starts_with("query") {
            let sql: Vec<&str> =
                lines.by_ref().take_while(|line| !line.is_empty() && *line != "----").collect();
            if !sql.is_empty() {
                found.push(sql.join("\n"));
            }
        }
    }
    found
}

struct Run<'a> {
    corpus: &'a [(String, Vec<String>)],
    seed: u64,
    sent: usize,
    faults: BTreeMap<String, usize>,
}

impl Run<'_> {
    fn round(&mut self, round: u64) {
        let mut random = Random::of(self.seed, round);
        let (name, statements) = &self.corpus[random.below(self.corpus.len())];
        let house = House::open();
        let mut client = Client::open(&house.url());
        client.ask(LIMIT);
        for (index, sql) in statements.iter().enumerate() {
            let place =
                format!("HITHER_SEED={} HITHER_ROUND={round}: statement {index} of {name}", self.seed);
            self.send(&mut client, sql, &place);
            for _ in 0..PER_STATEMENT {
                let base = match random.below(4) {
                    0 => {
                        let case = generator::case(&mut random);
                        case[random.below(case.len())].clone()
                    }
                    _ => sql.clone(),
                };
                let spoilt = self.mutate(&mut random, &base);
                self.sent += 1;
                self.send(&mut client, &spoilt, &place);
            }
        }
        drop(client);
        house.close();
    }

    fn send(&mut self, client: &mut Client, sql: &str, place: &str) {
        let before = house::panics();
        let answer = client.ask(sql);
        let found = match (&answer, house::panics() > before) {
            (_, true) => Some("panic".to_owned()),
            // A statement that computes is ended by its timeout, as it should be.
            (Answer::Error(state, _), _) if state == "57014" => None,
            // PostgreSQL's words and class for a letter that is no weight.
            (Answer::Error(_, message), _) if message.starts_with("unrecognized weight: ") => None,
            (Answer::Error(state, message), _) if state == "XX000" => {
                Some(format!("internal error: {}", message.chars().take(60).collect::<String>()))
            }
            (answer, _) => fault(answer).map(str::to_owned),
        };
        if let Some(kind) = found {
            println!("{place}: {kind}\n  {}\n  {}", short(sql), short(&format!("{answer:?}")));
            *self.faults.entry(kind).or_default() += 1;
        }
        let gone = matches!(&answer, Answer::Lost | Answer::Silent)
            || matches!(&answer, Answer::Error(state, _) if state == "57P01");
        if gone {
            client.reopen();
            client.ask(LIMIT);
        }
        let words = sql.to_ascii_lowercase();
        if ["timeout", "reset", "discard", "databases"].iter().any(|word| words.contains(word)) {
            client.ask("ROLLBACK");
            client.ask(LIMIT);
        }
    }

    /// One to four changes of a statement's tokens.
    fn mutate(&self, random: &mut Random, sql: &str) -> String {
        let mut tokens = tokens(sql);
        for _ in 0..1 + random.below(4) {
            if tokens.is_empty() {
                break;
            }
            let (at, other) = (random.below(tokens.len()), random.below(tokens.len()));
            match random.below(12) {
                0 | 1 => drop(tokens.remove(at)),
                2 => tokens.insert(at, tokens[at].clone()),
                3 => tokens.swap(at, other),
                4 | 5 => tokens[at] = self.token(random),
                6 => tokens.insert(at, self.token(random)),
                7 => tokens[at] = random.pick(EDGES).to_owned(),
                8 => {
                    let numbers: Vec<usize> = (0..tokens.len())
                        .filter(|at| tokens[*at].starts_with(|c: char| c.is_ascii_digit()))
                        .collect();
                    if !numbers.is_empty() {
                        tokens[numbers[random.below(numbers.len())]] = random.pick(EDGES).to_owned();
                    }
                }
                9 => {
                    let splice = self::tokens(self.statement(random));
                    tokens.truncate(at);
                    tokens.extend(splice.into_iter().skip(other));
                }
                10 => tokens[at] = format!("({})", tokens[at]).repeat(1 + random.below(3)),
                _ => {
                    tokens[at] = random
                        .pick(&["'", "\"", "$$", "/*", "--", "E'\\", "(", ")", "[", "]", ";", "\u{1F980}"])
                        .to_owned()
                }
            }
        }
        tokens.concat()
    }

    fn statement(&self, random: &mut Random) -> &str {
        let statements = &self.corpus[random.below(self.corpus.len())].1;
        &statements[random.below(statements.len())]
    }

    fn token(&self, random: &mut Random) -> String {
        let tokens = tokens(self.statement(random));
        tokens[random.below(tokens.len())].clone()
    }
}

/// Numbers and values at the edges of types.
const EDGES: &[&str] = &[
    "0",
    "-1",
    "NULL",
    "''",
    "'NaN'",
    "'infinity'",
    "32768",
    "2147483647",
    "2147483648",
    "(-2147483648)",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "99999999999999999999999999999999999999",
    "1e308",
    "1e-400",
    "0.00000000000000000000000000000000000001",
    "'[]'",
    "'{}'",
    "'294276-12-31'",
    "'4713-01-01 BC'",
    "'178956970 years'",
    "ARRAY[]::int[]",
    "*",
];

/// Words, numbers, quoted texts, spaces and single characters, which joined make the text again.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ => {
                let class = class_of(first);
                match class {
                    Class::Other => first.len_utf8(),
                    _ => rest.find(|c| class_of(c) != class).unwrap_or(rest.len()),
                }
            }
        };
        tokens.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    tokens
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Word,
    Space,
    Operator,
    Other,
}

fn class_of(c: char) -> Class {
    match c {
        _ if c.is_alphanumeric() || c == '_' || c == '.' => Class::Word,
        _ if c.is_whitespace() => Class::Space,
        '<' | '>' | '=' | '+' | '-' | '*' | '/' | '|' | '&' | '@' | '#' | '~' | ':' => Class::Operator,
        _ => Class::Other,
    }
}
