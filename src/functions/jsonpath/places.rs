//! Where an object lies in PostgreSQL's jsonb, which is the id that `.keyvalue()` gives it.
//!
//! A container is a header of four bytes, four for each element, key or value, and behind them what they hold. Numbers
//! and containers begin at a multiple of four.
//!
//! ```text
//!   [{"a": 1}, {}]     0 header   4 8 entries   12 {"a": 1}   ...
//! ```

use crate::types::json::Node;

/// The place of a part in the document it is borrowed from.
pub fn place_of(document: &Node, part: &Node) -> Option<usize> {
    match walk(document, 0, part) {
        Walk::Found(place) => Some(place),
        Walk::End(_) => None,
    }
}

enum Walk {
    Found(usize),
    /// Where what was looked at ends.
    End(usize),
}

fn walk(node: &Node, start: usize, part: &Node) -> Walk {
    let aligned = |at: usize| at.next_multiple_of(4);
    if std::ptr::eq(node, part) {
        return Walk::Found(aligned(start));
    }
    let (entries, keys, values): (usize, usize, Vec<&Node>) = match node {
        Node::Text(text) => return Walk::End(start + text.len()),
        Node::Plain(text) => {
            return Walk::End(match text.as_str() {
                "true" | "false" | "null" => start,
                number => aligned(start) + number_size(number),
            });
        }
        Node::Array(items) => (items.len(), 0, items.iter().collect()),
        Node::Object(entries) => {
            let keys = entries.keys().map(|key| key.text.len()).sum();
            (entries.len() * 2, keys, entries.values().collect())
        }
    };
    let mut at = aligned(start) + 4 + 4 * entries + keys;
    for value in values {
        match walk(value, at, part) {
            Walk::End(end) => at = end,
            found => return found,
        }
    }
    Walk::End(at)
}

/// Bytes of a number: its length, its header, and two for four digits.
fn number_size(text: &str) -> usize {
    let (whole, fraction) =
        text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
    let before = whole.len().next_multiple_of(4);
    let mut digits = format!("{whole:0>before$}{fraction}");
    let behind = digits.len().next_multiple_of(4);
    digits = format!("{digits:0<behind$}");
    let is_zero = |group: &&[u8]| group.iter().all(|digit| *digit == b'0');
    let groups: Vec<&[u8]> = digits.as_bytes().chunks(4).collect();
    let leading = groups.iter().take_while(|group| is_zero(group)).count();
    let trailing = groups[leading..].iter().rev().take_while(|group| is_zero(group)).count();
    // How many groups the first is before the point.
    let weight = (before / 4) as i64 - 1 - leading as i64;
    let is_short = fraction.len() <= 63 && (-64..=63).contains(&weight);
    4 + if is_short { 2 } else { 4 } + 2 * (groups.len() - leading - trailing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_postgresqls() {
        let document = Node::parse(r#"[{"a": 1, "b": [1, 2]}, {"c": {"a": "bbb"}}]"#).unwrap();
        let Node::Array(items) = &document else { panic!("an array") };
        assert_eq!(place_of(&document, &items[0]), Some(12));
        assert_eq!(place_of(&document, &items[1]), Some(72));
        assert_eq!(place_of(&document, &document), Some(0));
    }
}
