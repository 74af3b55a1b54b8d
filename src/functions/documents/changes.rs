//! Documents with a part set, inserted, taken away or put behind: jsonb_set(), `||`, `-` and their like.

use super::*;

/// What is to be changed, at the end of all steps but the last; a step into an array is a number.
pub(super) fn place_of<'a>(document: &'a mut Node, before: &[&str]) -> Result<Option<&'a mut Node>> {
    let mut at = document;
    for (index, step) in before.iter().enumerate() {
        if let Node::Array(items) = at
            && position(step, items.len()).is_none()
        {
            return Err(no_integer(step, index + 1));
        }
        match step_in(at, step) {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// A document, changed by the last step of a path, which finds what it is to change, and a value; as it is where the path
/// leads nowhere.
fn changed(v: &[Value], change: impl FnOnce(&mut Node, Step, Node) -> Result<()>) -> Result<Value> {
    let mut target = node(&v[0])?;
    refuse_scalar(&target, "set")?;
    let (steps, value) = (path(&v[1])?, node(&v[2])?);
    if let Some((last, before)) = steps.split_last()
        && let Some(at) = place_of(&mut target, before)?
    {
        change(at, Step { text: last, number: steps.len() }, value)?;
    }
    Ok(document(target))
}

/// A step of a path, the how manyth it is.
struct Step<'a> {
    text: &'a str,
    number: usize,
}

impl Step<'_> {
    /// The place among so many elements; 22P02 of what is no number.
    fn position(&self, length: usize) -> Result<i64> {
        position(self.text, length).ok_or_else(|| no_integer(self.text, self.number))
    }
}

pub(super) fn set(v: &[Value], create: bool) -> Result<Value> {
    changed(v, |at, step, value| {
        match at {
            Node::Object(entries) => {
                let key = Key::new(step.text);
                if create || entries.contains_key(&key) {
                    entries.insert(key, value);
                }
            }
            Node::Array(items) => match usize::try_from(step.position(items.len())?) {
                Ok(at) if at < items.len() => items[at] = value,
                Ok(_) if create => items.push(value),
                Err(_) if create => items.insert(0, value),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    })
}

pub(super) fn insert(v: &[Value], after: bool) -> Result<Value> {
    changed(v, |at, step, value| {
        match at {
            Node::Object(entries) => {
                let key = Key::new(step.text);
                if entries.contains_key(&key) {
                    let error = Error::new(SqlState("22023"), "cannot replace existing key");
                    return Err(error.hint("Try using the function jsonb_set to replace key value."));
                }
                entries.insert(key, value);
            }
            Node::Array(items) => {
                let at = step.position(items.len())? + i64::from(after);
                items.insert(at.clamp(0, items.len() as i64) as usize, value);
            }
            _ => {}
        }
        Ok(())
    })
}

/// jsonb_set() that says what becomes of a NULL.
pub(super) fn set_lax(v: &[Value]) -> Result<Value> {
    let create = v.get(3).cloned().unwrap_or(Value::Bool(true));
    if v[0] == Value::Null || v[1] == Value::Null || create == Value::Null {
        return Ok(Value::Null);
    }
    let treatment = v.get(4).map_or("use_json_null", |treatment| match treatment {
        Value::Text(treatment) => treatment.as_str(),
        _ => "",
    });
    let with = |new: Value| set(&[v[0].clone(), v[1].clone(), new], create == Value::Bool(true));
    match treatment {
        _ if v.get(4) != Some(&Value::Null) && v[2] != Value::Null => with(v[2].clone()),
        "raise_exception" => {
            let error = Error::new(SqlState("22004"), "JSON value must not be null")
                .detail("Exception was raised because null_value_treatment is \"raise_exception\".");
            Err(error.hint(
                "To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.",
            ))
        }
        "use_json_null" => with(Value::Jsonb("null".to_owned())),
        "delete_key" => {
            let mut target = node(&v[0])?;
            delete_path(&mut target, &path(&v[1])?)?;
            Ok(document(target))
        }
        "return_target" => Ok(v[0].clone()),
        _ => {
            let message = "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"";
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}

pub(super) fn stripped(node: Node) -> Node {
    match node {
        Node::Object(entries) => Node::Object(
            entries
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, stripped(value)))
                .collect(),
        ),
        Node::Array(items) => Node::Array(items.into_iter().map(stripped).collect()),
        node => node,
    }
}

pub(super) fn pretty(node: &Node, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth * 4));
    };
    match node {
        Node::Object(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                print_string(&key.text, out);
                out.push_str(": ");
                pretty(value, depth + 1, out);
            }
            line(depth, out);
            out.push('}');
        }
        Node::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                pretty(item, depth + 1, out);
            }
            line(depth, out);
            out.push(']');
        }
        node => out.push_str(&node.to_text()),
    }
}

pub(super) fn concatenated(left: Node, right: Node) -> Node {
    match (left, right) {
        (Node::Object(mut left), Node::Object(right)) => {
            left.extend(right);
            Node::Object(left)
        }
        (Node::Array(mut left), Node::Array(right)) => {
            left.extend(right);
            Node::Array(left)
        }
        (Node::Array(mut left), right) => {
            left.push(right);
            Node::Array(left)
        }
        (left, Node::Array(mut right)) => {
            right.insert(0, left);
            Node::Array(right)
        }
        (left, right) => Node::Array(vec![left, right]),
    }
}

pub(super) fn without_keys(node: Node, keys: &[&str]) -> Result<Value> {
    Ok(document(match node {
        Node::Object(mut entries) => {
            entries.retain(|key, _| !keys.contains(&key.text.as_str()));
            Node::Object(entries)
        }
        Node::Array(mut items) => {
            items.retain(|item| !matches!(item, Node::Text(text) if keys.contains(&text.as_str())));
            Node::Array(items)
        }
        _ => return Err(Error::new(SqlState("22023"), "cannot delete from scalar")),
    }))
}

pub(super) fn without_index(node: Node, index: &Value) -> Result<Value> {
    let Value::Int4(index) = index else { return Ok(Value::Null) };
    match node {
        Node::Array(mut items) => {
            let at = if *index < 0 { i64::from(*index) + items.len() as i64 } else { i64::from(*index) };
            if let Some(at) = usize::try_from(at).ok().filter(|at| *at < items.len()) {
                items.remove(at);
            }
            Ok(document(Node::Array(items)))
        }
        Node::Object(_) => {
            Err(Error::new(SqlState("22023"), "cannot delete from object using integer index"))
        }
        _ => Err(Error::new(SqlState("22023"), "cannot delete from scalar")),
    }
}

pub(super) fn delete_path(node: &mut Node, steps: &[&str]) -> Result<()> {
    refuse_scalar(node, "delete")?;
    // There is nothing that a step could not mean.
    let is_empty = match node {
        Node::Array(items) => items.is_empty(),
        Node::Object(entries) => entries.is_empty(),
        _ => false,
    };
    if is_empty {
        return Ok(());
    }
    let Some((last, before)) = steps.split_last() else { return Ok(()) };
    let Some(at) = place_of(node, before)? else { return Ok(()) };
    match at {
        Node::Object(entries) => {
            entries.remove(&Key::new(last));
        }
        Node::Array(items) => {
            let at = position(last, items.len()).ok_or_else(|| no_integer(last, steps.len()))?;
            if let Some(at) = usize::try_from(at).ok().filter(|at| *at < items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
    Ok(())
}
