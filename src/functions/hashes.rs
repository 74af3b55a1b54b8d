//! PostgreSQL's hash functions, number for number: `hashtext('abc')` picks advisory locks and shares of rows.
//!
//! Bob Jenkins's lookup3 as in PostgreSQL's `hashfn.c`, whose seed is the length; words are read as little-endian
//! machines read them.

/// Where the three words start.
const SEED: u32 = 0x9e37_79b9u32.wrapping_add(3_923_095);

/// hash_bytes()
pub fn hash(bytes: &[u8]) -> u32 {
    let start = SEED.wrapping_add(bytes.len() as u32);
    let (mut a, mut b, mut c) = (start, start, start);
    let mut blocks = bytes.chunks_exact(12);
    for block in &mut blocks {
        a = a.wrapping_add(word(&block[0..4]));
        b = b.wrapping_add(word(&block[4..8]));
        c = c.wrapping_add(word(&block[8..12]));
        (a, b, c) = mixed(a, b, c);
    }
    let rest = blocks.remainder();
    let part = |from: usize| word(&rest[from.min(rest.len())..(from + 4).min(rest.len())]);
    a = a.wrapping_add(part(0));
    b = b.wrapping_add(part(4));
    // The lowest byte of the last word is the length's.
    c = c.wrapping_add(part(8) << 8);
    last(a, b, c)
}

/// hashint8(), which is hashint4() of what fits there.
pub fn hash_integer(number: i64) -> u32 {
    let (low, high) = (number as u32, (number >> 32) as u32);
    let folded = low ^ if number >= 0 { high } else { !high };
    let start = SEED.wrapping_add(4);
    last(start.wrapping_add(folded), start, start)
}

/// Up to four bytes, the first one the lowest.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn mixed(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    a = a.wrapping_sub(c) ^ c.rotate_left(4);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(6);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(8);
    b = b.wrapping_add(a);
    a = a.wrapping_sub(c) ^ c.rotate_left(16);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(19);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(4);
    b = b.wrapping_add(a);
    (a, b, c)
}

fn last(mut a: u32, mut b: u32, mut c: u32) -> u32 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_postgresqls() {
        // hashtext() and hashint4() of PostgreSQL 16.
        assert_eq!(hash(b"abc") as i32, -785_388_649);
        assert_eq!(hash_integer(5) as i32, -1_330_264_708);
    }
}
