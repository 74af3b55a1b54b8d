//! Sequences: CREATE SEQUENCE, ALTER SEQUENCE, and those of serial and identity columns.

use crate::catalog::{Edit, Object, Oid, Sequence};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::temporary::persistence;
use crate::sql::response::{Response, Severity};
use crate::sql::session::{Session, done};
use crate::sql::statement::{AlterSequence, CreateSequence, SequenceOptions};
use crate::types::Type;

/// The range of a sequence's type.
fn type_range(ty: &Type) -> (i64, i64) {
    match ty {
        Type::Int2 => (i16::MIN.into(), i16::MAX.into()),
        Type::Int4 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// A new sequence with PostgreSQL's defaults.
pub fn new_sequence(
    oid: Oid,
    schema: &str,
    name: &str,
    ty: Type,
    options: &SequenceOptions,
) -> Result<Sequence> {
    let increment = options.increment.unwrap_or(1);
    let blank = Sequence {
        oid,
        schema: schema.into(),
        name: name.into(),
        ty: options.ty.clone().unwrap_or(ty),
        start: 0,
        increment,
        min: 0,
        max: 0,
        cycle: false,
        cache: 1,
        owned_by: None,
        comment: None,
    };
    let defaults = SequenceOptions {
        min: Some(options.min.flatten()),
        max: Some(options.max.flatten()),
        ..options.clone()
    };
    with_options(blank, &defaults, true)
}

/// The sequence under another type; a bound that was the old type's becomes the new one's.
pub fn with_type(sequence: &Sequence, ty: &Type) -> Sequence {
    let ((old_min, old_max), (min, max)) = (type_range(&sequence.ty), type_range(ty));
    let mut sequence = sequence.clone();
    sequence.ty = ty.clone();
    sequence.min = if sequence.min == old_min { min } else { sequence.min };
    sequence.max = if sequence.max == old_max { max } else { sequence.max };
    sequence
}

/// A sequence with some options changed.
fn with_options(mut sequence: Sequence, options: &SequenceOptions, new: bool) -> Result<Sequence> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if let Some(ty) = &options.ty {
        sequence = with_type(&sequence, ty);
    }
    if let Some(increment) = options.increment {
        sequence.increment = increment;
    }
    if sequence.increment == 0 {
        return invalid("INCREMENT must not be zero".into());
    }
    let (type_min, type_max) = type_range(&sequence.ty);
    let ascending = sequence.increment > 0;
    if let Some(min) = options.min {
        sequence.min = min.unwrap_or(if ascending { 1 } else { type_min });
    }
    if let Some(max) = options.max {
        sequence.max = max.unwrap_or(if ascending { type_max } else { -1 });
    }
    if let Some(cycle) = options.cycle {
        sequence.cycle = cycle;
    }
    if let Some(cache) = options.cache {
        sequence.cache = cache;
    }
    if sequence.min < type_min || sequence.max > type_max {
        let (name, bad) = match sequence.min < type_min {
            true => ("MINVALUE", sequence.min),
            false => ("MAXVALUE", sequence.max),
        };
        return invalid(format!("{name} ({bad}) is out of range for sequence data type {}", sequence.ty));
    }
    if sequence.min >= sequence.max {
        return invalid(format!("MINVALUE ({}) must be less than MAXVALUE ({})", sequence.min, sequence.max));
    }
    match options.start {
        Some(start) => sequence.start = start,
        None if new => sequence.start = if ascending { sequence.min } else { sequence.max },
        None => {}
    }
    if sequence.start < sequence.min {
        return invalid(format!(
            "START value ({}) cannot be less than MINVALUE ({})",
            sequence.start, sequence.min
        ));
    }
    if sequence.start > sequence.max {
        return invalid(format!(
            "START value ({}) cannot be greater than MAXVALUE ({})",
            sequence.start, sequence.max
        ));
    }
    if sequence.cache < 1 {
        return invalid(format!("CACHE ({}) must be greater than zero", sequence.cache));
    }
    Ok(sequence)
}

impl Session {
    pub(super) async fn create_sequence(&mut self, create: &CreateSequence) -> Result<Response> {
        let schema = self.schema_for(persistence(create.temporary), &create.name).await?;
        let catalog = self.shared.current_catalog();
        if catalog.relation(&schema, &create.name.name).is_some() {
            return self.already_exists(&create.name.name, create.if_not_exists, "CREATE SEQUENCE");
        }
        let oid = self.new_oid()?;
        let mut sequence = new_sequence(oid, &schema, &create.name.name, Type::Int8, &create.options)?;
        self.set_owner(&mut sequence, &create.options)?;
        self.edit(vec![Edit::Put(Object::Sequence(sequence))]).await?;
        Ok(done("CREATE SEQUENCE"))
    }

    pub(super) async fn alter_sequence(&mut self, alter: &AlterSequence) -> Result<Response> {
        let catalog = self.shared.current_catalog();
        if alter.if_exists && self.shared.relation(&catalog, &alter.name).is_none() {
            let message = format!("relation \"{}\" does not exist, skipping", alter.name);
            self.notice(Severity::Notice, Error::new(SqlState("00000"), message));
            return Ok(done("ALTER SEQUENCE"));
        }
        let sequence = self.shared.sequence(&catalog, &alter.name)?;
        self.change_sequence(sequence.oid, &alter.options).await?;
        Ok(done("ALTER SEQUENCE"))
    }

    /// Changes what the options say.
    pub(super) async fn change_sequence(&mut self, oid: Oid, options: &SequenceOptions) -> Result<()> {
        let catalog = self.shared.current_catalog();
        let sequence = catalog.sequences().find(|sequence| sequence.oid == oid);
        let sequence = sequence.ok_or_else(|| Error::internal("a sequence to change that is not there"))?;
        let mut changed = with_options((**sequence).clone(), options, false)?;
        self.set_owner(&mut changed, options)?;
        let start = changed.start;
        let last = self.shared.with_transaction(|transaction| transaction.sequence_state(oid))?.0;
        let value = options.restart.map_or(last, |value| value.unwrap_or(start));
        let wrong = match &changed {
            changed if value < changed.min => Some(("less than MINVALUE", changed.min)),
            changed if value > changed.max => Some(("greater than MAXVALUE", changed.max)),
            _ => None,
        };
        if let Some((what, bound)) = wrong {
            let message = format!("RESTART value ({value}) cannot be {what} ({bound})");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        if changed != **sequence {
            self.edit(vec![Edit::Put(Object::Sequence(changed))]).await?;
        }
        if let Some(value) = options.restart {
            let value = value.unwrap_or(start);
            self.shared.with_transaction(|transaction| transaction.setval(oid, value, false))?;
        }
        Ok(())
    }

    /// OWNED BY.
    fn set_owner(&self, sequence: &mut Sequence, options: &SequenceOptions) -> Result<()> {
        match &options.owned_by {
            None => {}
            Some(None) => sequence.owned_by = None,
            Some(Some((table, column))) => {
                let table = self.shared.table(&self.shared.current_catalog(), table)?;
                let column = table.column(column).ok_or_else(|| {
                    let message =
                        format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
                    Error::new(SqlState::UNDEFINED_COLUMN, message)
                })?;
                sequence.owned_by = Some((table.oid, column.number));
            }
        }
        Ok(())
    }

    /// A new object's oid.
    pub(super) fn new_oid(&self) -> Result<Oid> {
        self.shared.with_transaction(|transaction| Ok(transaction.new_oid()))
    }

    pub(super) async fn edit(&mut self, edits: Vec<Edit>) -> Result<()> {
        self.retry(|transaction| transaction.edit_catalog(edits.clone())).await
    }

    /// What CREATE answers when the name is taken.
    pub(super) fn already_exists(&mut self, name: &str, if_not_exists: bool, tag: &str) -> Result<Response> {
        if !if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")));
        }
        let message = format!("relation \"{name}\" already exists, skipping");
        self.notice(Severity::Notice, Error::new(SqlState::DUPLICATE_TABLE, message));
        Ok(done(tag))
    }
}
