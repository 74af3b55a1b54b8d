//! A plan for tools: the same properties as JSON, XML or YAML, laid out as PostgreSQL lays them out.
//!
//! ```text
//!   [ { "Plan": { "Node Type": "Result" } } ]      <Query><Plan><Node-Type>Result</Node-Type></Plan></Query>
//!                                                  - Plan: ⏎ Node Type: "Result"
//! ```

use serde_json::{Map, Value, json};

/// How EXPLAIN writes a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
    Xml,
    Yaml,
}

impl Format {
    /// The one that goes by a name.
    pub fn named(name: &str) -> Option<Format> {
        let formats = [Format::Text, Format::Json, Format::Xml, Format::Yaml];
        formats.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Json => "json",
            Format::Xml => "xml",
            Format::Yaml => "yaml",
        }
    }

    /// The query's properties as one text; `None` for what is a text of lines.
    pub fn of(self, query: Map<String, Value>) -> Option<String> {
        match self {
            Format::Text => None,
            // What cannot fail: the keys are strings.
            Format::Json => Some(serde_json::to_string_pretty(&json!([query])).unwrap_or_default()),
            Format::Xml => Some(xml(&query)),
            Format::Yaml => Some(yaml(&query)),
        }
    }
}

fn xml(query: &Map<String, Value>) -> String {
    let mut lines = vec![r#"<explain xmlns="http://www.postgresql.org/2009/explain">"#.to_owned()];
    element("Query", &Value::Object(query.clone()), 1, &mut lines);
    lines.push("</explain>".to_owned());
    lines.join("\n")
}

fn element(name: &str, value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let may_be_in_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let tag: String = name.chars().map(|c| if may_be_in_tag(c) { c } else { '-' }).collect();
    let inner: Vec<(&str, &Value)> = match value {
        Value::Object(properties) => properties.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        Value::Array(items) => {
            let name = if name == "Plans" { "Plan" } else { "Item" };
            items.iter().map(|item| (name, item)).collect()
        }
        single => {
            lines.push(format!("{indent}<{tag}>{}</{tag}>", escaped(single)));
            return;
        }
    };
    lines.push(format!("{indent}<{tag}>"));
    for (name, value) in inner {
        element(name, value, depth + 1, lines);
    }
    lines.push(format!("{indent}</{tag}>"));
}

fn escaped(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // XML has no way to write the others.
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#x0d;")
}

fn yaml(query: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    properties(query, 1, &mut lines);
    first_with_dash(&mut lines, 0, 0);
    lines.join("\n")
}

fn properties(all: &Map<String, Value>, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    for (name, value) in all {
        match value {
            Value::Object(inner) => {
                lines.push(format!("{indent}{name}: "));
                properties(inner, depth + 1, lines);
            }
            Value::Array(items) => {
                lines.push(format!("{indent}{name}: "));
                for item in items {
                    let start = lines.len();
                    match item {
                        Value::Object(inner) => properties(inner, depth + 2, lines),
                        single => lines.push(format!("{indent}    {single}")),
                    }
                    first_with_dash(lines, start, depth + 1);
                }
            }
            // Strings of YAML are escaped as those of JSON.
            single => lines.push(format!("{indent}{name}: {single}")),
        }
    }
}

/// An item's first line begins with a dash in place of its last step of indentation.
fn first_with_dash(lines: &mut [String], start: usize, depth: usize) {
    if let Some(line) = lines.get_mut(start) {
        line.replace_range(depth * 2..depth * 2 + 1, "-");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Map<String, Value> {
        let below = json!({ "Node Type": "Seq Scan", "Filter": "(a < 'x&\"')" });
        let plan = json!({ "Node Type": "Sort", "Sort Key": ["a", "b"], "Rows": 3, "Plans": [below] });
        json!({ "Plan": plan }).as_object().cloned().unwrap_or_default()
    }

    /// The layouts that PostgreSQL 16 gives to such a plan.
    #[test]
    fn laid_out_as_in_postgresql() {
        let xml = Format::Xml.of(query()).unwrap();
        for part in [
            "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n    <Plan>\n",
            "      <Node-Type>Sort</Node-Type>\n",
            "      <Sort-Key>\n        <Item>a</Item>\n        <Item>b</Item>\n      </Sort-Key>\n",
            "      <Plans>\n        <Plan>\n",
            "          <Filter>(a &lt; 'x&amp;\"')</Filter>\n",
            "    </Plan>\n  </Query>\n</explain>",
        ] {
            assert!(xml.contains(part), "{part} in {xml}");
        }
        let yaml = Format::Yaml.of(query()).unwrap();
        assert!(yaml.starts_with("- Plan: \n    "), "{yaml}");
        for part in [
            "    Node Type: \"Sort\"\n",
            "    Sort Key: \n      - \"a\"\n      - \"b\"",
            "    Plans: \n      - ",
            "Filter: \"(a < 'x&\\\"')\"",
        ] {
            assert!(yaml.contains(part), "{part} in {yaml}");
        }
        assert_eq!(Format::named("YAML"), Some(Format::Yaml));
        assert_eq!(Format::named("csv"), None);
        assert_eq!(Format::Text.of(query()), None);
    }
}
