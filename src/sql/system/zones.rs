//! Time zones as views: pg_timezone_names and pg_timezone_abbrevs.

use crate::error::Result;
use crate::planner::bindings::Execution;
use crate::sql::system::PG_CATALOG;
use crate::sql::system::relation::{Relation, Rows, cells};
use crate::types::{Interval, Zone};

pub const RELATIONS: &[Relation] = &[
    Relation {
        oid: 12_119,
        schema: PG_CATALOG,
        name: "pg_timezone_names",
        kind: 'v',
        columns: "name text, abbrev text, utc_offset interval, is_dst bool",
        rows: names,
    },
    Relation {
        oid: 12_115,
        schema: PG_CATALOG,
        name: "pg_timezone_abbrevs",
        kind: 'v',
        columns: "abbrev text, utc_offset interval, is_dst bool",
        rows: abbreviations,
    },
];

/// What each place's clocks are called and show now.
fn names(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let now = execution.transaction_time;
    for zone in Zone::places() {
        rows.add(cells! {
            name: zone.to_string(), abbrev: zone.abbreviation_at(now),
            utc_offset: offset(zone.offset_at(now)), is_dst: zone.is_summer_at(now),
        });
    }
    Ok(())
}

fn abbreviations(execution: &Execution, rows: &mut Rows) -> Result<()> {
    let now = execution.transaction_time;
    for (name, zone, is_dst) in Zone::abbreviations() {
        let is_dst = is_dst.unwrap_or_else(|| zone.is_summer_at(now));
        rows.add(
            cells! { abbrev: name.to_uppercase(), utc_offset: offset(zone.offset_at(now)), is_dst: is_dst },
        );
    }
    Ok(())
}

fn offset(seconds: i32) -> Interval {
    Interval { months: 0, days: 0, microseconds: i64::from(seconds) * 1_000_000 }
}
