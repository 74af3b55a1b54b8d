//! A node of a plan as EXPLAIN shows it: once as text for people, once as JSON for tools.
//!
//! ```text
//!   Index Scan using items_embedding_idx on items  (strategy: graph, approximate, candidates: 50000)   heading
//!   Order By: (embedding <=> query)                                                                    a line
//!   Visited: 812  Distances: 578  Hops: 47                                                             a line of three
//! ```

use serde_json::{Map, Value};

/// What a node says of itself.
#[derive(Clone, Debug, Default)]
pub struct Explained {
    /// The first line of the text.
    pub heading: String,
    /// What the heading says, by PostgreSQL's keys where it has one: "Node Type", "Relation Name", "Index Name".
    pub facts: Vec<Property>,
    /// Further lines; the properties of one stand side by side.
    pub lines: Vec<Vec<Property>>,
}

/// A name and a string or number.
pub type Property = (&'static str, Value);

impl Explained {
    /// A node with nothing but its type.
    pub fn new(node_type: &str) -> Explained {
        Explained { heading: node_type.to_owned(), ..Explained::default() }.fact("Node Type", node_type)
    }

    pub fn heading(mut self, heading: impl Into<String>) -> Explained {
        self.heading = heading.into();
        self
    }

    pub fn fact(mut self, name: &'static str, value: impl Into<Value>) -> Explained {
        self.facts.push((name, value.into()));
        self
    }

    /// The table it reads.
    pub fn relation(&self) -> Option<&str> {
        let (_, name) = self.facts.iter().find(|(name, _)| *name == "Relation Name")?;
        name.as_str()
    }

    /// A line of one property.
    pub fn line(self, name: &'static str, value: impl Into<Value>) -> Explained {
        self.row([(name, value.into())])
    }

    /// A line of several.
    pub fn row(mut self, properties: impl IntoIterator<Item = Property>) -> Explained {
        self.lines.push(properties.into_iter().collect());
        self
    }

    /// Leaves out the properties that the caller does not want to see.
    pub fn without(mut self, unwanted: impl Fn(&str) -> bool) -> Explained {
        self.facts.retain(|(name, _)| !unwanted(name));
        for line in &mut self.lines {
            line.retain(|(name, _)| !unwanted(name));
        }
        self.lines.retain(|line| !line.is_empty());
        self
    }

    /// The lines below the heading.
    pub fn text(&self) -> impl Iterator<Item = String> + '_ {
        self.lines.iter().map(|line| {
            let shown: Vec<String> =
                line.iter().map(|(name, value)| format!("{name}: {}", plain(value))).collect();
            shown.join("  ")
        })
    }

    /// All properties as one object.
    pub fn json(&self) -> Map<String, Value> {
        let all = self.facts.iter().chain(self.lines.iter().flatten());
        all.map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }
}

/// A value as text: strings without quotes, several with commas between them.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_say_the_same() {
        let node = Explained::new("Seq Scan")
            .heading("Seq Scan on t")
            .fact("Relation Name", "t")
            .line("Filter", "(a = 1)")
            .row([("Visited", 3.into()), ("Time", "1 ms".into())]);
        assert_eq!(node.text().collect::<Vec<_>>(), ["Filter: (a = 1)", "Visited: 3  Time: 1 ms"]);
        let json = Value::Object(node.json());
        assert_eq!(json["Node Type"], "Seq Scan");
        assert_eq!(json["Visited"], 3);
        let less = node.without(|name| name == "Time");
        assert_eq!(less.text().collect::<Vec<_>>(), ["Filter: (a = 1)", "Visited: 3"]);
    }
}
