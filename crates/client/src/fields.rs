//! Looks up a header field in a head.

use http::{HeaderMap, HeaderName};

/// Whether a head has a field. Most heads are short: to hash a name costs as much as to compare it with a few names.
#[inline]
pub(crate) fn has_field(headers: &HeaderMap, name: &HeaderName) -> bool {
    const FEW: usize = 8;
    if headers.len() <= FEW { headers.keys().any(|other| other == name) } else { headers.contains_key(name) }
}
