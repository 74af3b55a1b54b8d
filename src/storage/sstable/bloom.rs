//! A bloom filter of a table's keys: "certainly not here" without reading a block.
//!
//! The filter is blocked (Putze, Sanders, Singler 2007): a key's six bits all lie in one 64-byte line, so
//! that a question costs one cache miss. At ten bits a key about one question in a hundred for an absent key
//! is answered "perhaps".
//!
//! ```text
//!   | line 0: 512 bits | line 1 | ... |        hash: upper 32 bits choose the line, the lower 54 the six bits in it
//! ```

/// Six probes are close to the best for ten bits a key (0.69 * 10 = 6.9), and six times nine bits fit the
/// hash.
const PROBES: u32 = 6;
const BITS_PER_KEY: usize = 10;
const LINE_BYTES: usize = 64;

/// A filter over its bytes, wherever they lie.
#[derive(Clone)]
pub struct Bloom<B>(B);

impl<B: AsRef<[u8]>> Bloom<B> {
    /// `None` when the length is not that of a filter.
    pub fn new(bytes: B) -> Option<Bloom<B>> {
        bytes.as_ref().len().is_multiple_of(LINE_BYTES).then_some(Bloom(bytes))
    }

    /// False only if `key` was not added.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        self.may_contain_hash(hash(key))
    }

    pub fn may_contain_hash(&self, hash: u64) -> bool {
        let bytes = self.0.as_ref();
        let Some(line) = line(hash, bytes.len() / LINE_BYTES) else { return true };
        let line = &bytes[line * LINE_BYTES..][..LINE_BYTES];
        probes(hash).all(|bit| line[bit >> 3] & (1 << (bit & 7)) != 0)
    }

    pub fn bytes(&self) -> usize {
        self.0.as_ref().len()
    }
}

/// Bytes of the filter of so many keys.
pub fn bytes_of(keys: u64) -> usize {
    (keys as usize * BITS_PER_KEY).div_ceil(LINE_BYTES * 8) * LINE_BYTES
}

/// The filter of these hashes.
pub fn build(hashes: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0; bytes_of(hashes.len() as u64)];
    let lines = bytes.len() / LINE_BYTES;
    for &hash in hashes {
        let Some(line) = line(hash, lines) else { break };
        for bit in probes(hash) {
            bytes[line * LINE_BYTES + (bit >> 3)] |= 1 << (bit & 7);
        }
    }
    bytes
}

/// `None` for a filter without lines, which knows nothing.
fn line(hash: u64, lines: usize) -> Option<usize> {
    (lines > 0).then(|| (((hash >> 32) * lines as u64) >> 32) as usize)
}

/// Bit numbers in the line. The line was chosen by the upper half, so the bits are mixed once more.
fn probes(hash: u64) -> impl Iterator<Item = usize> {
    let mixed = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..PROBES).map(move |probe| (mixed >> (10 + 9 * probe)) as usize & 511)
}

/// A hash that is part of the format: eight bytes at a time, folded by a 64 x 64 -> 128 bit multiplication.
pub fn hash(key: &[u8]) -> u64 {
    let mut state = 0x243F_6A88_85A3_08D3 ^ key.len() as u64;
    let (words, rest) = key.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), 0xA409_3822_299F_31D1);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    fold(fold(state ^ u64::from_le_bytes(last), 0x082E_FA98_EC4E_6C89), 0x4528_21E6_38D0_1377)
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_keys_are_found_and_few_others() {
        let key = |number: u32| [&[1][..], &number.to_be_bytes()].concat();
        let hashes: Vec<u64> = (0..10_000).map(|number| hash(&key(number))).collect();
        let bloom = Bloom::new(build(&hashes)).unwrap();
        assert!((0..10_000).all(|number| bloom.may_contain(&key(number))));
        let wrong = (10_000..110_000).filter(|number| bloom.may_contain(&key(*number))).count();
        assert!(wrong < 2_000, "{wrong} of 100,000 absent keys pass");
    }

    #[test]
    fn an_empty_filter_excludes_nothing() {
        assert!(Bloom::new(build(&[])).unwrap().may_contain(b"a"));
    }

    /// Filters on disk are read by later versions.
    #[test]
    fn the_hash_is_part_of_the_format() {
        assert_eq!(hash(b""), 0xCA3F62CF4009501B);
        assert_eq!(hash(b"hither and thither"), 0xA554F72A4238E549);
    }
}
