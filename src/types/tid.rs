//! `tid`: where a row lies, a block and a place in it. The type of the system column `ctid` (PostgreSQL's documentation,
//! "System Columns").
//!
//! A row here has a slot; 256 of them make what is shown as a block, so that places look as they do in
//! PostgreSQL and order as rows lie:
//!
//! ```text
//!   slot      0      1   ...    255    256
//!   ctid  (0,1)  (0,2)   (0,256)     (1,1)
//! ```

use crate::error::{Error, Result, SqlState};
use crate::types::integer;

/// PostgreSQL has up to 291 in a block of 8 kB, fewer of wider rows.
const ROWS_PER_BLOCK: u32 = 256;

/// Orders by block, then by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid {
    pub block: u32,
    /// From 1 on.
    pub offset: u16,
}

impl Tid {
    /// Bytes of [`Tid::to_bytes`].
    pub const BYTES: usize = 6;

    pub fn of_slot(slot: u32) -> Tid {
        Tid { block: slot / ROWS_PER_BLOCK, offset: (slot % ROWS_PER_BLOCK) as u16 + 1 }
    }

    /// `None` for places where no row can be.
    pub fn slot(self) -> Option<u32> {
        let offset = u32::from(self.offset).checked_sub(1).filter(|offset| *offset < ROWS_PER_BLOCK)?;
        self.block.checked_mul(ROWS_PER_BLOCK)?.checked_add(offset)
    }

    /// Big-endian, block first: bytes order as places do, and are what PostgreSQL sends.
    pub fn to_bytes(self) -> [u8; Tid::BYTES] {
        let [a, b, c, d] = self.block.to_be_bytes();
        let [e, f] = self.offset.to_be_bytes();
        [a, b, c, d, e, f]
    }

    pub fn from_bytes([a, b, c, d, e, f]: [u8; Tid::BYTES]) -> Tid {
        Tid { block: u32::from_be_bytes([a, b, c, d]), offset: u16::from_be_bytes([e, f]) }
    }
}

/// Reads `(block,offset)`; 22P02.
pub fn parse(text: &str) -> Result<Tid> {
    let parts = text.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let read = parts.and_then(|parts| {
        let (block, offset) = parts.split_once(',')?;
        Some(Tid { block: number(block)?.try_into().ok()?, offset: number(offset)?.try_into().ok()? })
    });
    read.ok_or_else(|| {
        let message = format!("invalid input syntax for type tid: \"{text}\"");
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    })
}

pub fn print(tid: Tid, out: &mut Vec<u8>) {
    out.push(b'(');
    integer::print_u64(tid.block.into(), out);
    out.push(b',');
    integer::print_u64(tid.offset.into(), out);
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tid: Tid) -> String {
        let mut out = Vec::new();
        print(tid, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn slots_have_places_in_their_order() {
        let places = [0, 1, 255, 256, u32::MAX].map(Tid::of_slot);
        assert_eq!(places.map(shown), ["(0,1)", "(0,2)", "(0,256)", "(1,1)", "(16777215,256)"]);
        assert!(places.is_sorted());
        assert!(places.map(Tid::to_bytes).is_sorted());
        for place in places {
            assert_eq!(Tid::from_bytes(place.to_bytes()), place);
            assert_eq!(parse(&shown(place)).unwrap(), place);
            assert_eq!(place.slot().map(Tid::of_slot), Some(place));
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        assert_eq!(parse(" ( 7 , 9 ) ").unwrap(), Tid { block: 7, offset: 9 });
        assert_eq!(parse("(4294967295,65535)").unwrap(), Tid { block: u32::MAX, offset: u16::MAX });
        for text in ["", "(0,1", "0,1", "(0)", "(0,1,2)", "(a,1)", "(4294967296,1)", "(0,65536)", "(-1,0)"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.state().0, "22P02", "{text}");
            assert_eq!(error.message(), format!("invalid input syntax for type tid: \"{text}\""));
        }
    }
}
