//! Digests of ids and requests, by which a later run recognizes a line.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The first 64 bits of a SHA-256 sum (FIPS 180-4); as text, 16 digits of base 16.
///
/// With 1,000,000 ids, the probability that two have the same digest is 3 in 100,000,000. That is then reported as an error;
/// no line is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(pub(crate) u64);

impl Digest {
    /// Of a line's `custom_id`.
    pub(crate) fn of_id(custom_id: &str) -> Self {
        Self::of(&[custom_id.as_bytes()])
    }

    /// Of these bytes, one after the other.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut sum = Sha256::new();
        parts.iter().for_each(|part| sum.update(part));
        let sum: [u8; 32] = sum.finalize().into();
        Self(sum.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_beginning_of_the_sum() {
        // The example of FIPS 180-4 for "abc".
        assert_eq!(Digest::of(&[b"a", b"bc"]).to_string(), "ba7816bf8f01cfea");
        assert_eq!(Digest(1).to_string(), "0000000000000001");
        let text = serde_json::to_string(&Digest(0xab)).expect("text");
        assert_eq!(serde_json::from_str::<Digest>(&text).expect("a digest"), Digest(0xab));
    }
}
