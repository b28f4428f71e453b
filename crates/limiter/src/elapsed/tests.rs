use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{nanos_between, read};

/// The quick way is taken on every system that this is tested on.
#[test]
fn instants_can_be_read() {
    let now = Instant::now();
    let (seconds, nanos) = read(now).expect("seconds and nanoseconds");
    assert_eq!(read(now + Duration::from_secs(7)), Some((seconds + 7, nanos)));
    assert!((0..1_000_000_000).contains(&nanos));
}

proptest! {
    #[test]
    fn it_is_what_subtracting_them_says(one: u64, other: u64) {
        let start = Instant::now();
        let instants = [one, other].map(|nanos| start.checked_add(Duration::from_nanos(nanos)));
        let [Some(from), Some(to)] = instants else { return Ok(()) };
        let expected = to.saturating_duration_since(from).as_nanos().min(i64::MAX as u128);
        prop_assert_eq!(u128::from(nanos_between(from, to)), expected);
        prop_assert_eq!(nanos_between(from, from), 0);
    }

    #[test]
    fn close_ones_are_told_apart(at in 0_u64..1 << 40, apart in 0_u64..3_000_000_000) {
        let from = Instant::now() + Duration::from_nanos(at);
        let to = from + Duration::from_nanos(apart);
        prop_assert_eq!((nanos_between(from, to), nanos_between(to, from)), (apart, 0));
    }
}
