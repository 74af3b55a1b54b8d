//! Who may connect.
//!
//! A fresh data directory has the superuser role `postgres`. Roles have no passwords yet, so the rule is short:
//! connections from this machine are trusted, others are refused.

use std::net::IpAddr;

use crate::error::{Error, Result, SqlState};

/// The one role until CREATE ROLE exists.
pub const SUPERUSER: &str = "postgres";

const INVALID_AUTHORIZATION: SqlState = SqlState("28000");

/// PostgreSQL's order: the host first, then the role; the database comes after them (`Databases::admit`).
pub fn check(address: IpAddr, user: &str, database: &str) -> Result<()> {
    if !address.to_canonical().is_loopback() {
        return Err(Error::new(
            INVALID_AUTHORIZATION,
            format!(
                "no entry for host \"{address}\", user \"{user}\", database \"{database}\", no encryption"
            ),
        )
        .hint("Roles have no passwords yet, so only connections from this machine are trusted."));
    }
    if user != SUPERUSER {
        return Err(Error::new(INVALID_AUTHORIZATION, format!("role \"{user}\" does not exist")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_trusted_and_names_are_checked() {
        let here = "127.0.0.1".parse().expect("an address");
        let mapped = "::ffff:127.0.0.1".parse().expect("an address");
        let away = "192.0.2.7".parse().expect("an address");
        assert!(check(here, "postgres", "postgres").is_ok());
        assert!(check(mapped, "postgres", "postgres").is_ok());
        let state = |result: Result<()>| result.err().map(|error| error.state().0);
        assert_eq!(state(check(away, "postgres", "postgres")), Some("28000"));
        assert_eq!(state(check(here, "alice", "postgres")), Some("28000"));
    }
}
