//! Kinds of objects, as statements and messages call them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    Index,
    Sequence,
    Extension,
    Schema,
    View,
    MaterializedView,
    Column,
    Constraint,
    Type,
    Domain,
}

impl ObjectKind {
    /// The noun of error texts.
    pub fn noun(self) -> &'static str {
        match self {
            ObjectKind::Table => "table",
            ObjectKind::Index => "index",
            ObjectKind::Sequence => "sequence",
            ObjectKind::Extension => "extension",
            ObjectKind::Schema => "schema",
            ObjectKind::View => "view",
            ObjectKind::MaterializedView => "materialized view",
            ObjectKind::Column => "column",
            ObjectKind::Constraint => "constraint",
            ObjectKind::Type => "type",
            ObjectKind::Domain => "type",
        }
    }

    pub(super) fn drop_command(self) -> &'static str {
        match self {
            ObjectKind::Index => "DROP INDEX",
            ObjectKind::Sequence => "DROP SEQUENCE",
            ObjectKind::Extension => "DROP EXTENSION",
            ObjectKind::Schema => "DROP SCHEMA",
            ObjectKind::View => "DROP VIEW",
            ObjectKind::MaterializedView => "DROP MATERIALIZED VIEW",
            ObjectKind::Type => "DROP TYPE",
            ObjectKind::Domain => "DROP DOMAIN",
            _ => "DROP TABLE",
        }
    }

    pub(super) fn alter_command(self) -> &'static str {
        match self {
            ObjectKind::Index => "ALTER INDEX",
            ObjectKind::Sequence => "ALTER SEQUENCE",
            ObjectKind::Schema => "ALTER SCHEMA",
            ObjectKind::View => "ALTER VIEW",
            ObjectKind::MaterializedView => "ALTER MATERIALIZED VIEW",
            ObjectKind::Type => "ALTER TYPE",
            ObjectKind::Domain => "ALTER DOMAIN",
            _ => "ALTER TABLE",
        }
    }
}
