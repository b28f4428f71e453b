//! Recognises a server that counts in fixed windows, by the moment at which it says all will be there again.

use std::time::Duration;

use tokio::time::Instant;

use super::cost::growth;

/// Moments closer together than this are the same: resets are often told in whole seconds.
const SAME: Duration = Duration::from_millis(1_500);
/// So much has to be sent, in time of the rate, before a moment that stays where it is means anything.
const EVIDENCE: f64 = 5.0;
/// A moment that moves by less than this part of that time stays where it is.
const STILL: f64 = 0.2;

/// A bucket is full later by as long as it takes to make up for what was taken: the moment moves with every request. The
/// end of a fixed window stays where it is, however much is sent.
#[derive(Debug, Default)]
pub(super) struct FixedWindow {
    /// A moment that was told, and what had been sent then.
    anchor: Option<(Instant, u64)>,
    /// The end of the window, while it is taken for one.
    ends: Option<Instant>,
}

impl FixedWindow {
    /// Takes note of the moment that was told, after so much was sent at a rate of so many per second.
    pub(super) fn note(&mut self, now: Instant, ends: Instant, sent: u64, per_second: f64) {
        match (self.ends, self.anchor) {
            (Some(known), _) if apart(known, ends) <= SAME => {}
            (Some(known), _) if now >= known => self.ends = Some(ends),
            (Some(_), _) => (self.ends, self.anchor) = (None, Some((ends, sent))),
            (None, None) => self.anchor = Some((ends, sent)),
            (None, Some((first, sent_first))) => {
                let moves = growth(sent_first, sent) as f64 / per_second.max(f64::MIN_POSITIVE);
                let still = SAME.max(Duration::from_secs_f64(STILL * moves.min(1e6)));
                if apart(first, ends) > still {
                    self.anchor = Some((ends, sent));
                } else if moves >= EVIDENCE {
                    self.ends = Some(ends);
                }
            }
        }
    }

    /// The end of the window, if it is taken for one.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.ends
    }
}

fn apart(one: Instant, other: Instant) -> Duration {
    one.max(other).duration_since(one.min(other))
}
