//! Random streams of server-sent events.

use allocation_counter::measure;
use outbound_client::Kind;

use super::{Draws, rounds};
use crate::events::{model, read};

const PIECES: &[&str] = &[
    "data",
    "data:",
    "data: ",
    "data: a\n\n",
    "event: x\n",
    "event",
    "id: 1",
    "id: a\0b\n",
    "retry: 5\n",
    "retry",
    ":",
    ": c\n",
    " ",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\r\n\r\n",
    "\u{feff}",
    "ü€",
    "\0",
    "x",
    "data: {\"a\":[1]}\n",
];

fn cut<'a>(draws: &mut Draws, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = (0..draws.below(9)).map(|_| draws.below(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

#[test]
fn a_stream_of_events_is_the_same_however_it_is_cut() {
    rounds(150, |draws| {
        let bytes = draws.bytes(PIECES, 60);
        let chunks = cut(draws, &bytes);
        assert_eq!(read(&chunks, 1 << 20), (model(&bytes), None), "{}", bytes.escape_ascii());
        let max = 1 + draws.below(40);
        let whole = read(&[&bytes], max);
        assert!(model(&bytes).starts_with(&whole.0) && whole.1.is_none_or(|kind| kind == Kind::TooLarge));
        assert_eq!(read(&chunks, max), whole, "{max}: {}", bytes.escape_ascii());
    });
}

#[test]
fn an_endless_event_costs_what_its_bound_says() {
    rounds(4, |draws| {
        let line = draws.bytes(PIECES, 8);
        // Without an empty line, so no event ends. A comment adds nothing to an event and may continue.
        let endless: Vec<u8> = b"data: xxxxxxxx\n:"
            .iter()
            .chain(line.iter().filter(|byte| !b"\r\n".contains(byte)))
            .copied()
            .collect();
        let bytes = [endless.as_slice(), b"\n"].concat().repeat(100_000);
        let chunks: Vec<_> = bytes.chunks(1024).collect();
        let mut failed = None;
        let (small, large) = (1 << 10, 64 << 10);
        let of_small = measure(|| failed = read(&chunks, small).1).bytes_max;
        assert_eq!(failed, Some(Kind::TooLarge));
        let of_large = measure(|| failed = read(&chunks, large).1).bytes_max;
        assert_eq!(failed, Some(Kind::TooLarge));
        assert!(of_large < of_small + 8 * large as u64, "{of_small} and {of_large} bytes");
    });
}
