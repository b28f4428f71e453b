//! Random draws and idempotency keys, derived from the seed of a manager and a request.

use http::HeaderValue;

/// An idempotency key. No other request of the manager has the same key. A request with an id has the same key in every
/// run with the same seed, so a resumed run repeats it. Each route has a key of its own.
pub(super) fn idempotency_key(seed: u64, id: Option<&str>, number: u64, route: usize) -> HeaderValue {
    // One half depends on the manager, the other one on the request. Requests with an id never share a key with others.
    let request = match id {
        Some(id) => id.bytes().fold(mix(seed, id.len() as u64), |hash, byte| mix(hash, u64::from(byte))),
        None => number,
    };
    let request = if route == 0 { request } else { mix(request, route as u64) };
    let halves = [mix(seed, u64::MAX - u64::from(id.is_some())), request];
    let mut key = *b"outbound-00000000000000000000000000000000";
    let digits =
        halves.into_iter().flat_map(|half| (0..16).rev().map(move |digit| half >> (4 * digit) & 0xf));
    for (byte, digit) in key[9..].iter_mut().zip(digits) {
        *byte = b"0123456789abcdef"[digit as usize];
    }
    // Hexadecimal digits are always a valid header value.
    HeaderValue::from_bytes(&key).unwrap_or(HeaderValue::from_static("outbound"))
}

/// The finalizer of `SplitMix64` over a seed and a counter (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
pub(super) fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
