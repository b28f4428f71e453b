//! What the provider crate reads, in the limiter's terms: the two need not know each other.

use outbound_limiter as limiter;
use outbound_provider::{self as provider, Class, Fault};
use tokio::time::Instant;

/// What a reply to a request sent at this time says about the limits.
pub(crate) fn signals(sent_at: Instant, told: &provider::Signals) -> limiter::Signals {
    let mut signals = limiter::Signals::new(sent_at);
    for signal in told.iter() {
        let dimension = match signal.dimension {
            provider::Dimension::Requests => limiter::Dimension::Requests,
            provider::Dimension::Tokens => limiter::Dimension::Tokens,
            provider::Dimension::InputTokens => limiter::Dimension::InputTokens,
            provider::Dimension::OutputTokens => limiter::Dimension::OutputTokens,
            _ => continue,
        };
        // Most often it is a minute where nothing is said.
        let mut reading = signal.window.map_or_else(limiter::Reading::per_minute, limiter::Reading::per);
        if let Some(limit) = signal.limit {
            reading = reading.limit(limit);
        }
        if let Some(remaining) = signal.remaining {
            reading = reading.remaining(remaining);
        }
        if let Some(reset) = signal.reset {
            reading = reading.reset(reset.after());
        }
        signals = signals.reading(dimension, reading);
    }
    signals
}

/// The same of a reply that was a fault: a refusal for the rate closes the gate.
pub(crate) fn failure(sent_at: Instant, told: &provider::Signals, fault: &Fault) -> limiter::Signals {
    let signals = signals(sent_at, told);
    match fault.class {
        Class::RateLimited => signals.refused(fault.wait),
        Class::RampLimited => signals.ramp(fault.wait),
        _ => signals,
    }
}
