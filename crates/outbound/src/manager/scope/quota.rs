//! Conversions from the provider crate to the limiter crate. So neither has to know the other.

use outbound_limiter::{self as limiter, Cost};
use outbound_provider::{self as provider, Provider, Usage};
use tokio::time::Instant;

/// What a reply reports about the limits. `sent_at` is when its request was sent.
pub(super) fn observation(sent_at: Instant, signals: &provider::Signals) -> limiter::Observation {
    let mut observation = limiter::Observation::new(sent_at);
    for signal in signals.iter() {
        let dimension = match signal.dimension {
            provider::Dimension::Requests => limiter::QuotaDimension::Requests,
            provider::Dimension::Tokens => limiter::QuotaDimension::Tokens,
            provider::Dimension::InputTokens => limiter::QuotaDimension::InputTokens,
            provider::Dimension::OutputTokens => limiter::QuotaDimension::OutputTokens,
            _ => continue,
        };
        let guessed = !signal.window_is_named && matches!(signal.reset, Some(provider::Reset::Window(_)));
        // Without a named window the limit is most often per minute. A window guessed from one reply also counts as per
        // minute, and the limiter corrects its length from later replies.
        let window = signal.window.filter(|_| !guessed);
        let mut reading = window.map_or_else(limiter::Reading::per_minute, limiter::Reading::per);
        if let Some(limit) = signal.limit {
            reading = reading.limit(limit);
        }
        if let Some(remaining) = signal.remaining {
            reading = reading.remaining(remaining);
        }
        match signal.reset {
            Some(provider::Reset::Full(after)) => reading = reading.fills_by(after),
            Some(provider::Reset::Window(after)) => reading = reading.resets_window(after),
            None => {}
        }
        if guessed {
            reading = reading.window_guessed();
        }
        observation = observation.reading(dimension, reading);
    }
    observation
}

/// How tokens are charged.
pub(super) fn charging(charging: provider::Charging) -> Option<limiter::Charging> {
    match charging {
        provider::Charging::Estimate => Some(limiter::Charging::Estimate),
        provider::Charging::Settle => Some(limiter::Charging::Settle),
        provider::Charging::Actual => Some(limiter::Charging::Actual),
        _ => None,
    }
}

/// What a request did cost, by the tokens that the reply reports.
pub(super) fn cost(provider: &Provider, usage: Usage) -> Cost {
    let free = if provider.cached_tokens_are_free() { usage.cached } else { 0 };
    Cost::request().input_tokens(usage.input.saturating_sub(free)).output_tokens(usage.output)
}
