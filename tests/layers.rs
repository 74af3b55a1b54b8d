//! The picture of the layers in ARCHITECTURE.md, held against the code.
//!
//! Reads every file under `src/`, without comments, strings and test modules, and looks at three things: which of our
//! modules it names (`crate::...`), which foreign crates, and whether it says `unsafe`. A module may use what is on
//! lower lines; modules on one line are strangers; the ground line may use itself.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. A line may use only the lines before it.
const LAYERS: &[&[&str]] = &[
    &["types", "codec", "fs", "clock", "config", "error", "memory"],
    &["distance", "fulltext", "log"],
    &["vectors"],
    &["index", "storage"],
    &["catalog", "locks"],
    &["functions"],
    &["table"],
    &["planner", "database"],
    &["sql"],
    &["server"],
    &["cli", "main", "lib"],
];

/// Crates that only some places may name: a folder ends with `/`, everything else is a file.
const FOREIGN: &[(&str, &[&str])] = &[
    ("pgwire", &["server/"]),
    ("sqlparser", &["sql/"]),
    ("datafusion", &["sql/", "planner/", "functions/", "table/", "types/arrow.rs", "types/arrow/"]),
    ("arrow", &["sql/", "planner/", "functions/", "table/", "types/arrow.rs", "types/arrow/", "server/"]),
    ("memmap2", &["fs/"]),
    ("hashbrown", &["storage/"]),
    ("roaring", &["index/", "table/", "database/", "planner/"]),
    ("simsimd", &["distance/"]),
    ("encoding_rs", &["functions/encodings.rs"]),
    ("rust_stemmers", &["fulltext/"]),
    ("unicode_properties", &["fulltext/"]),
    // A correlated subquery is run to its end inside a call of a function, which is not asynchronous.
    ("tokio", &["server/", "sql/", "cli/", "planner/by_row/"]),
    ("tokio_postgres", &["cli/"]),
    ("tokio_util", &["server/", "sql/", "cli/"]),
    ("clap", &["cli/", "config.rs"]),
    ("toml", &["config.rs"]),
    ("env_logger", &["cli/"]),
    ("recursive", &["planner/environment.rs"]),
    ("libmimalloc_sys", &["cli/allocator.rs"]),
];

/// Where unsafe code is allowed.
const UNSAFE: &[&str] = &["distance/", "fs/mapped.rs", "cli/allocator.rs"];

/// Longest file, in lines: one job fits.
const LINES_MAX: usize = 900;

/// A source file: its path below `src/`, its text, and its code alone.
struct Source {
    path: String,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "src/ was not found");
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a readable source file");
            let path = file.strip_prefix(&root).expect("below src/").to_string_lossy().replace('\\', "/");
            Source { code: code_of(&text), path, text }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a readable folder");
    for path in entries.map(|entry| entry.expect("a readable entry").path()) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The text without comments, string contents and the test module at the end.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut inside_string = false;
        let mut previous = ' ';
        for (at, c) in line.char_indices() {
            match c {
                '"' if previous != '\\' && previous != '\'' => inside_string = !inside_string,
                '/' if !inside_string && line[at..].starts_with("//") => break,
                _ if inside_string => {}
                _ => code.push(c),
            }
            previous = c;
        }
        code.push('\n');
    }
    code
}

/// The words in `code` that follow `prefix` where it starts a path, such as `types` in `crate::types::Value`.
fn paths_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level_names(group)),
            None => found.push(word(rest)),
        }
    }
    found
}

/// The first word of each item of a `{a::b, c::{d, e}}` group, its opening brace already read.
fn top_level_names(group: &str) -> Vec<&str> {
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && is_word(c) => {
                names.push(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// Whether `code` names the crate: as a path (`name::`) or in a `use name;`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].trim_end_matches(' ');
        let after = &code[at + name.len()..];
        let starts_path =
            !code[..at].ends_with(is_word) && !before.ends_with("crate::") && !before.ends_with("::");
        starts_path && (after.starts_with("::") && !after.starts_with("::<"))
            || (before.ends_with("datafusion::sql::") && after.starts_with("::"))
    })
}

fn module(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or(path)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|line| line.contains(&module))
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

/// Test files may reach anywhere.
fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

#[test]
fn modules_use_lower_lines_only() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test(&source.path)) {
        let own = module(&source.path);
        let Some(own_layer) = layer(own) else {
            wrong.push(format!("src/{}: `{own}` is in no layer", source.path));
            continue;
        };
        for used in paths_after(&source.code, "crate::") {
            let allowed = match layer(used) {
                // A macro or an item of lib.rs itself; there are none to speak of.
                None => true,
                Some(_) if used == own => true,
                Some(0) => true,
                Some(used_layer) => used_layer < own_layer,
            };
            if !allowed {
                wrong.push(format!("src/{}: `{own}` uses `{used}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "against the layers:\n  {}", wrong.join("\n  "));
}

#[test]
fn foreign_crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test(&source.path)) {
        for (name, places) in FOREIGN {
            if names_crate(&source.code, name) && !is_in(&source.path, places) {
                wrong.push(format!(
                    "src/{}: names {name}, which belongs in {}",
                    source.path,
                    places.join(" ")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "crates out of place:\n  {}", wrong.join("\n  "));
}

#[test]
fn unsafe_code_is_where_it_is_opened() {
    let says_unsafe = |code: &str| code.split(|c| !is_word(c)).any(|word| word == "unsafe");
    let wrong: Vec<String> = sources()
        .iter()
        .filter(|source| says_unsafe(&source.code) && !is_in(&source.path, UNSAFE))
        .map(|source| format!("src/{}", source.path))
        .collect();
    assert!(wrong.is_empty(), "unsafe code outside {}:\n  {}", UNSAFE.join(" "), wrong.join("\n  "));
}

#[test]
fn files_open_with_a_page_and_hold_one_job() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            wrong.push(format!("src/{}: does not open with a //! page", source.path));
        }
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("src/{}: {lines} lines, more than {LINES_MAX}", source.path));
        }
    }
    assert!(wrong.is_empty(), "against the conventions:\n  {}", wrong.join("\n  "));
}

/// The reader itself: what it sees and what it must not.
#[test]
fn the_reader_reads() {
    let code =
        code_of("use crate::{log::Position, types::{Type, Value}}; // crate::sql\nlet a = \"crate::cli\";");
    assert_eq!(paths_after(&code, "crate::"), ["log", "types"]);
    assert!(names_crate("use arrow::array::Array;", "arrow"));
    assert!(names_crate("use datafusion::sql::sqlparser::ast;", "sqlparser"));
    assert!(!names_crate("use crate::types::arrow::field;", "arrow"));
    assert!(!names_crate("types::arrow::field(x)", "arrow"));
}
