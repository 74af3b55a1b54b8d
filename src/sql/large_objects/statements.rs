//! COMMENT ON, ALTER and GRANT ON LARGE OBJECT: statements that name an object by its number.

use crate::catalog::Oid;
use crate::error::{Error, Result, SqlState};
use crate::sql::response::Response;
use crate::sql::session::{Session, done};
use crate::sql::statement::Name;
use crate::sql::words::{Parsed, Words};

/// The number of an object, as a name.
pub(crate) fn object(w: &mut Words) -> Parsed<Name> {
    let number = w.integer()?;
    match Oid::try_from(number) {
        Ok(object) => Ok(Name { schema: None, name: object.to_string(), position: 0 }),
        Err(_) => {
            let message = format!("value \"{number}\" is out of range for type oid");
            Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message).into())
        }
    }
}

impl Session {
    /// COMMENT ON LARGE OBJECT.
    pub(crate) async fn comment_large_object(&mut self, name: &Name, text: Option<&str>) -> Result<Response> {
        let object = number(name)?;
        self.retry(|transaction| transaction.describe_large_object(object, text)).await?;
        Ok(done("COMMENT"))
    }

    /// 42704 where there is no such object.
    pub(crate) fn check_large_object(&mut self, name: &Name) -> Result<()> {
        self.start_statement()?;
        let object = number(name)?;
        self.shared.with_transaction(|transaction| transaction.check_large_object(object))
    }

    /// Before a statement that found `changed` large objects changed when it began begins again.
    pub(crate) fn check_again(&self, changed: u64) -> Result<()> {
        self.shared.check_unchanged(changed)?;
        self.cancel.check()
    }
}

fn number(name: &Name) -> Result<Oid> {
    name.name.parse().map_err(|_| Error::internal("a large object by something else than its number"))
}
