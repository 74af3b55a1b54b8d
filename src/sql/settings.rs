//! The settings of a session: one list, from which SET, SHOW, pg_settings and the documentation all read.
//!
//! A value has three lives inside a transaction. SET changes `now` and `after` (what COMMIT leaves), SET LOCAL only
//! `now`; ROLLBACK returns to `before`:
//!
//! ```text
//!            BEGIN        SET x = 2      SET LOCAL x = 3     COMMIT   (or ROLLBACK)
//!   now      1            2              3                   2        1
//!   after    -            2              2
//!   before   -            1              1
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::sql::setting_list::{Context, Kind, LIST, PLANNER, SEARCH, Setting, Unit, date_style};
use crate::types::{DateStyle, IntervalStyle, Look, Zone};

pub use crate::sql::setting_ids as id;

/// Index of a setting in [`LIST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub(crate) usize);

/// A setting's value, parsed.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(Arc<str>),
}

#[derive(Clone, Debug)]
struct State {
    values: Vec<Value>,
    /// Names with a dot that are nobody's: programs keep their own variables there.
    custom: BTreeMap<String, String>,
}

/// What transactions undo.
#[derive(Clone, Debug)]
struct Saved {
    before: State,
    after: State,
}

/// The settings at a savepoint.
#[derive(Clone, Debug)]
pub struct Mark {
    now: State,
    saved: Option<Saved>,
}

/// All settings of a session.
#[derive(Clone, Debug)]
pub struct Settings {
    now: State,
    saved: Option<Saved>,
    /// What RESET returns to: defaults with the startup packet's on top.
    startup: Vec<Value>,
    /// To be reported to the client.
    changed: BTreeSet<usize>,
    in_transaction: bool,
    /// The look of the values it was read from: every statement asks for it.
    look: Option<([Arc<str>; 3], Look)>,
}

/// A row of SHOW ALL and pg_settings.
#[derive(Clone, Debug)]
pub struct Shown {
    pub setting: &'static Setting,
    pub value: String,
}

/// Prefixes whose names are ours alone.
const RESERVED_PREFIXES: &[&str] = &["hnsw", "ivfflat", "hither"];

impl Default for Settings {
    fn default() -> Settings {
        let values: Vec<Value> = LIST.iter().map(Setting::default_value).collect();
        Settings {
            now: State { values: values.clone(), custom: BTreeMap::new() },
            saved: None,
            startup: values,
            changed: (0..LIST.len()).filter(|&index| LIST[index].report).collect(),
            in_transaction: false,
            look: None,
        }
    }
}

impl Settings {
    pub fn bool(&self, id: Id) -> bool {
        matches!(self.now.values[id.0], Value::Bool(true))
    }

    /// In the setting's own unit.
    pub fn int(&self, id: Id) -> i64 {
        match self.now.values[id.0] {
            Value::Int(value) => value,
            _ => 0,
        }
    }

    pub fn real(&self, id: Id) -> f64 {
        match self.now.values[id.0] {
            Value::Real(value) => value,
            _ => 0.0,
        }
    }

    pub fn text(&self, id: Id) -> Arc<str> {
        match &self.now.values[id.0] {
            Value::Text(text) => text.clone(),
            _ => "".into(),
        }
    }

    /// How values are shown, and in which time zone.
    pub fn look(&mut self) -> Look {
        let names = [id::TIME_ZONE, id::DATE_STYLE, id::INTERVAL_STYLE].map(|id| self.text(id));
        let float_digits = self.int(id::EXTRA_FLOAT_DIGITS) as i8;
        let escapes_bytes = &*self.text(id::BYTEA_OUTPUT) == "escape";
        match &self.look {
            Some((of, look))
                if *of == names
                    && look.float_digits == float_digits
                    && look.escapes_bytes == escapes_bytes =>
            {
                *look
            }
            _ => {
                let [zone, dates, intervals] = &names;
                let look = Look {
                    zone: Zone::of_setting(zone).unwrap_or(Zone::UTC),
                    dates: DateStyle::from_name(dates).unwrap_or_default(),
                    intervals: IntervalStyle::from_name(intervals).unwrap_or_default(),
                    float_digits,
                    escapes_bytes,
                };
                self.look = Some((names, look));
                look
            }
        }
    }

    /// The startup packet's and the server's own values: they become what RESET returns to.
    pub fn set_startup(&mut self, name: &str, value: &str) -> Result<()> {
        let Some(index) = find(name) else { return self.set_custom(name, value, false) };
        let parsed = self.parse(index, value)?;
        self.startup[index] = parsed.clone();
        self.store(index, parsed, false);
        Ok(())
    }

    /// A value from its text. A DateStyle may leave out what it does not change.
    fn parse(&self, index: usize, value: &str) -> Result<Value> {
        let style = |value: &Value| match value {
            Value::Text(name) => DateStyle::from_name(name).unwrap_or_default(),
            _ => DateStyle::ISO,
        };
        if index != id::DATE_STYLE.0 {
            return LIST[index].parse(value);
        }
        let (now, reset) = (style(&self.now.values[index]), style(&self.startup[index]));
        let changed = date_style(value, now, reset)?;
        Ok(Value::Text(changed.to_string().into()))
    }

    /// A value only the server knows, such as the user's name; allowed where SET is not.
    pub fn set_internal(&mut self, id: Id, value: Value) {
        self.startup[id.0] = value.clone();
        self.store(id.0, value, true);
    }

    /// SET, SET LOCAL and set_config(); the value SHOW then prints.
    pub fn set(&mut self, name: &str, value: &str, local: bool) -> Result<String> {
        let Some(index) = find(name) else {
            self.set_custom(name, value, local)?;
            return Ok(value.to_string());
        };
        LIST[index].changeable()?;
        let parsed = self.parse(index, value)?;
        self.store(index, parsed, local);
        self.show(name)
    }

    /// RESET and SET TO DEFAULT.
    pub fn reset(&mut self, name: &str, local: bool) -> Result<()> {
        let Some(index) = find(name) else {
            if !self.now.custom.contains_key(name) {
                return Err(unrecognized(name));
            }
            return self.set_custom(name, "", local);
        };
        LIST[index].changeable()?;
        self.store(index, self.startup[index].clone(), local);
        Ok(())
    }

    pub fn reset_all(&mut self) {
        for (index, setting) in LIST.iter().enumerate() {
            if setting.changeable().is_ok() && !setting.kept_by_reset_all {
                self.store(index, self.startup[index].clone(), false);
            }
        }
        self.save();
        self.now.custom.clear();
        if let Some(saved) = &mut self.saved {
            saved.after.custom.clear();
        }
    }

    /// What SHOW prints.
    pub fn show(&self, name: &str) -> Result<String> {
        match find(name) {
            Some(index) => Ok(LIST[index].print(&self.now.values[index])),
            None => self.now.custom.get(&name.to_lowercase()).cloned().ok_or_else(|| unrecognized(name)),
        }
    }

    pub fn show_all(&self) -> Vec<Shown> {
        LIST.iter()
            .zip(&self.now.values)
            .map(|(setting, value)| Shown { setting, value: setting.print(value) })
            .collect()
    }

    /// Those that change plans and searches and are not as they come, for EXPLAIN.
    pub fn planning_changes(&self) -> Vec<Shown> {
        let changed = |shown: &Shown| {
            let Setting { category, .. } = shown.setting;
            [PLANNER, SEARCH].contains(category)
                && shown.value != shown.setting.print(&shown.setting.default_value())
        };
        self.show_all().into_iter().filter(changed).collect()
    }

    /// A transaction begins: what is set from here on can be undone. Its modes are the defaults until it says more.
    pub fn begin(&mut self) {
        self.in_transaction = true;
        // What is so anyway is not set: that would keep a copy of all settings.
        for (default, own) in [
            (id::DEFAULT_TRANSACTION_ISOLATION, id::TRANSACTION_ISOLATION),
            (id::DEFAULT_TRANSACTION_READ_ONLY, id::TRANSACTION_READ_ONLY),
            (id::DEFAULT_TRANSACTION_DEFERRABLE, id::TRANSACTION_DEFERRABLE),
        ] {
            let default = self.now.values[default.0].clone();
            if self.now.values[own.0] != default {
                self.store(own.0, default, true);
            }
        }
    }

    pub fn commit(&mut self) {
        self.in_transaction = false;
        if let Some(saved) = self.saved.take() {
            self.replace(saved.after);
        }
    }

    pub fn rollback(&mut self) {
        self.in_transaction = false;
        if let Some(saved) = self.saved.take() {
            self.replace(saved.before);
        }
    }

    /// A savepoint is made.
    pub fn mark(&self) -> Mark {
        Mark { now: self.now.clone(), saved: self.saved.clone() }
    }

    /// Everything that was set since then is undone.
    pub fn back_to(&mut self, mark: Mark) {
        self.replace(mark.now);
        self.saved = mark.saved;
    }

    /// Name and value of what the client is to be told of since the last call.
    pub fn take_changes(&mut self) -> Vec<(String, String)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|index| (LIST[index].name.into(), LIST[index].print(&self.now.values[index])))
            .collect()
    }

    fn replace(&mut self, state: State) {
        for (index, setting) in LIST.iter().enumerate() {
            if setting.report && self.now.values[index] != state.values[index] {
                self.changed.insert(index);
            }
        }
        self.now = state;
    }

    fn save(&mut self) {
        if self.in_transaction && self.saved.is_none() {
            self.saved = Some(Saved { before: self.now.clone(), after: self.now.clone() });
        }
    }

    fn store(&mut self, index: usize, value: Value, local: bool) {
        if local && !self.in_transaction {
            return;
        }
        self.save();
        if LIST[index].report && self.now.values[index] != value {
            self.changed.insert(index);
        }
        if let (Some(saved), false) = (&mut self.saved, local) {
            saved.after.values[index] = value.clone();
        }
        self.now.values[index] = value;
    }

    fn set_custom(&mut self, name: &str, value: &str, local: bool) -> Result<()> {
        let name = name.to_lowercase();
        let Some((prefix, _)) = name.split_once('.') else { return Err(unrecognized(&name)) };
        if RESERVED_PREFIXES.contains(&prefix) {
            let message = format!("invalid configuration parameter name \"{name}\"");
            return Err(Error::new(SqlState::INVALID_NAME, message)
                .detail(format!("\"{prefix}\" is a reserved prefix.")));
        }
        if !name.split('.').all(is_simple) {
            let message = format!("invalid configuration parameter name \"{name}\"");
            return Err(Error::new(SqlState::INVALID_NAME, message)
                .detail("Custom parameter names must be two or more simple identifiers separated by dots."));
        }
        if local && !self.in_transaction {
            return Ok(());
        }
        self.save();
        if let (Some(saved), false) = (&mut self.saved, local) {
            saved.after.custom.insert(name.clone(), value.to_string());
        }
        self.now.custom.insert(name, value.to_string());
        Ok(())
    }
}

/// Whether it is a part of a custom parameter's name: a letter or underscore, then digits and $ too.
fn is_simple(part: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    part.starts_with(is_letter) && part.chars().all(|c| is_letter(c) || c.is_ascii_digit() || c == '$')
}

fn find(name: &str) -> Option<usize> {
    LIST.iter().position(|setting| setting.name.eq_ignore_ascii_case(name))
}

pub fn unrecognized(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

impl Setting {
    pub fn default_value(&self) -> Value {
        match &self.kind {
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int { default, .. } => Value::Int(*default),
            Kind::Real { default, .. } => Value::Real(*default),
            Kind::Enum { default, .. } | Kind::Text { default, .. } => Value::Text((*default).into()),
        }
    }

    fn changeable(&self) -> Result<()> {
        let name = self.name;
        let message = match self.context {
            Context::User => return Ok(()),
            Context::Internal => format!("parameter \"{name}\" cannot be changed"),
            Context::Server => {
                format!("parameter \"{name}\" cannot be changed without restarting the server")
            }
        };
        Err(Error::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message))
    }

    /// A value as given to SET; 22023 when it is none.
    pub fn parse(&self, text: &str) -> Result<Value> {
        match &self.kind {
            Kind::Bool(_) => parse_bool(text)
                .map(Value::Bool)
                .ok_or_else(|| invalid(format!("parameter \"{}\" requires a Boolean value", self.name))),
            Kind::Int { min, max, unit, .. } => {
                let number =
                    parse_number(text, *unit).ok_or_else(|| self.invalid_number(text, *unit))?.round();
                if number < *min as f64 || number > *max as f64 {
                    let unit = unit.suffix();
                    return Err(
                        self.outside(&format!("{number}{unit}"), format!("{min}{unit} .. {max}{unit}"))
                    );
                }
                Ok(Value::Int(number as i64))
            }
            Kind::Real { min, max, .. } => {
                let number =
                    parse_number(text, Unit::None).ok_or_else(|| self.invalid_number(text, Unit::None))?;
                if !(*min..=*max).contains(&number) {
                    return Err(self.outside(&number.to_string(), format!("{min} .. {max}")));
                }
                Ok(Value::Real(number))
            }
            Kind::Enum { options, hidden, .. } => self.parse_enum(text, options, hidden),
            Kind::Text { check, .. } => check(text).map(|text| Value::Text(text.into())),
        }
    }

    fn parse_enum(&self, text: &str, options: &[&str], hidden: &[(&str, &str)]) -> Result<Value> {
        let same = |option: &str| option.eq_ignore_ascii_case(text);
        if let Some(option) = options.iter().find(|option| same(option)) {
            return Ok(Value::Text((*option).into()));
        }
        if let Some((_, option)) = hidden.iter().find(|(name, _)| same(name)) {
            return Ok(Value::Text((*option).into()));
        }
        Err(self.invalid_value(text).hint(format!("Available values: {}.", options.join(", "))))
    }

    fn outside(&self, value: &str, range: String) -> Error {
        invalid(format!("{value} is outside the valid range for parameter \"{}\" ({range})", self.name))
    }

    fn invalid_value(&self, text: &str) -> Error {
        invalid(format!("invalid value for parameter \"{}\": \"{text}\"", self.name))
    }

    fn invalid_number(&self, text: &str, unit: Unit) -> Error {
        let error = self.invalid_value(text);
        match unit.hint() {
            Some(hint) if text.trim().starts_with(|c: char| c.is_ascii_digit()) => error.hint(hint),
            _ => error,
        }
    }

    /// What SHOW prints: numbers in the largest unit that keeps them whole.
    pub fn print(&self, value: &Value) -> String {
        match (value, &self.kind) {
            (Value::Bool(true), _) => "on".into(),
            (Value::Bool(false), _) => "off".into(),
            (Value::Int(number), Kind::Int { unit, .. }) => unit.print(*number),
            (Value::Int(number), _) => number.to_string(),
            (Value::Real(number), _) => number.to_string(),
            (Value::Text(text), _) => text.to_string(),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// PostgreSQL's: unambiguous beginnings of true, false, yes, no, on, off, and 1, 0.
pub fn parse_bool(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let begins = |word: &str| !text.is_empty() && word.starts_with(&text);
    match text.as_str() {
        "1" | "on" => Some(true),
        "0" | "of" | "off" => Some(false),
        _ if begins("true") || begins("yes") => Some(true),
        _ if begins("false") || begins("no") => Some(false),
        _ => None,
    }
}

/// A number with an optional unit, in the setting's unit.
fn parse_number(text: &str, unit: Unit) -> Option<f64> {
    let text = text.trim();
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    match text[end..].trim_start() {
        "" => Some(number),
        suffix => Some(number * unit.factor_of(suffix)?),
    }
}

impl Unit {
    /// Names of units with their size in microseconds or bytes, ascending.
    fn scale(self) -> &'static [(&'static str, f64)] {
        const TIME: &[(&str, f64)] =
            &[("us", 1.0), ("ms", 1e3), ("s", 1e6), ("min", 6e7), ("h", 3.6e9), ("d", 8.64e10)];
        const MEMORY: &[(&str, f64)] = &[
            ("B", 1.0),
            ("kB", 1024.0),
            ("MB", 1_048_576.0),
            ("GB", 1_073_741_824.0),
            ("TB", 1_099_511_627_776.0),
        ];
        match self {
            Unit::None => &[],
            Unit::Milliseconds | Unit::Seconds => TIME,
            Unit::Kilobytes | Unit::Megabytes => MEMORY,
        }
    }

    fn size(self) -> f64 {
        match self {
            Unit::None => 1.0,
            Unit::Milliseconds => 1e3,
            Unit::Seconds => 1e6,
            Unit::Kilobytes => 1024.0,
            Unit::Megabytes => 1_048_576.0,
        }
    }

    fn factor_of(self, name: &str) -> Option<f64> {
        let (_, size) = self.scale().iter().find(|(unit, _)| *unit == name)?;
        Some(size / self.size())
    }

    fn suffix(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Milliseconds => " ms",
            Unit::Seconds => " s",
            Unit::Kilobytes => " kB",
            Unit::Megabytes => " MB",
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Unit::None => None,
            Unit::Kilobytes | Unit::Megabytes => {
                Some("Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".")
            }
            _ => Some("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."),
        }
    }

    fn print(self, number: i64) -> String {
        if number <= 0 || matches!(self, Unit::None) {
            return number.to_string();
        }
        let exact = number as f64 * self.size();
        let fitting = self.scale().iter().rev().find(|(_, size)| *size >= self.size() && exact % size == 0.0);
        match fitting {
            Some((name, size)) => format!("{}{name}", (exact / size) as i64),
            None => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_in_the_largest_whole_unit() {
        let mut settings = Settings::default();
        for (given, shown) in
            [("2s", "2s"), ("1500", "1500ms"), ("60000", "1min"), ("0", "0"), ("1.5 h", "90min")]
        {
            assert_eq!(settings.set("statement_timeout", given, false).unwrap(), shown);
        }
        assert_eq!(settings.set("WORK_MEM", "8192", false).unwrap(), "8MB");
    }

    #[test]
    fn transactions_undo() {
        let mut settings = Settings::default();
        let name = "application_name";
        settings.set(name, "one", false).unwrap();
        settings.begin();
        settings.set(name, "two", false).unwrap();
        settings.set(name, "three", true).unwrap();
        assert_eq!(settings.show(name).unwrap(), "three");
        settings.commit();
        assert_eq!(settings.show(name).unwrap(), "two");
        settings.begin();
        settings.set(name, "four", false).unwrap();
        settings.rollback();
        assert_eq!(settings.show(name).unwrap(), "two");
    }

    #[test]
    fn errors_read_as_postgresql() {
        let mut settings = Settings::default();
        let mut message = |name, value| settings.set(name, value, false).unwrap_err().message().to_string();
        assert_eq!(message("nope", "1"), "unrecognized configuration parameter \"nope\"");
        assert_eq!(
            message("hnsw.ef_search", "1001"),
            "1001 is outside the valid range for parameter \"hnsw.ef_search\" (1 .. 1000)"
        );
        assert_eq!(
            message("statement_timeout", "soon"),
            "invalid value for parameter \"statement_timeout\": \"soon\""
        );
        assert_eq!(
            message("enable_seqscan", "maybe"),
            "parameter \"enable_seqscan\" requires a Boolean value"
        );
        assert_eq!(message("server_version", "1"), "parameter \"server_version\" cannot be changed");
    }

    #[test]
    fn every_default_is_valid() {
        for setting in LIST {
            let shown = setting.print(&setting.default_value());
            assert_eq!(setting.parse(&shown).unwrap(), setting.default_value(), "{}", setting.name);
        }
    }
}
