//! Base64 (RFC 4648).

/// The last two digits of base64's alphabet (RFC 4648, section 4).
pub(crate) const STANDARD: [u8; 2] = *b"+/";
/// The same for the alphabet of URLs and file names (section 5).
pub(super) const URL_SAFE: [u8; 2] = *b"-_";

/// Base64 with padding.
pub(crate) fn encode(bytes: &[u8], last: [u8; 2]) -> Vec<u8> {
    const COMMON: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let digit = |bits: u32| {
        let bits = (bits & 63) as usize;
        COMMON.get(bits).copied().unwrap_or_else(|| last[bits - COMMON.len()])
    };
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, n| (bits << 8) | u32::from(group.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            text.push(if n <= group.len() as u32 { digit(bits >> (18 - 6 * n)) } else { b'=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4648() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            assert_eq!(encode(text.as_bytes(), STANDARD), expected.as_bytes());
        }
        assert_eq!(encode(&[0xfb, 0xff], STANDARD), b"+/8=");
        assert_eq!(encode(&[0xfb, 0xff], URL_SAFE), b"-_8=");
    }
}
