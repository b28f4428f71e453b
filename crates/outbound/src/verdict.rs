//! The retry verdict on a failed call. It combines client, provider and retry.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, SystemTime},
};

use outbound_client::{ConnectFailure, Delivery, Error, Kind, Phase};
use outbound_provider::{Class, Fault, Provider, Terminal};
use outbound_retry::Verdict;

/// The retry verdict on a failed call to a provider, as the manager would decide. For
/// [`when`](outbound_retry::Retry::when).
///
/// | what failed | verdict |
/// |---|---|
/// | nothing was sent: no connection | [`RetryFree`](Verdict::RetryFree), after 0.5 to 2 s |
/// | no connection, for a reason that rarely goes away: no such name, a refused certificate, no TLS there | [`Retry`](Verdict::Retry) |
/// | refused for the rate, or overloaded, and the server said how long to wait | [`RetryFree`](Verdict::RetryFree) |
/// | another reply that may succeed on another attempt (500, 408), with a wait | [`RetryAfter`](Verdict::RetryAfter) |
/// | any of these without a wait | [`Retry`](Verdict::Retry) |
/// | it was sent, and no whole answer came | [`Retry`](Verdict::Retry) |
/// | refused for its content, for the key or the money; the server said not to retry | [`Stop`](Verdict::Stop) |
/// | the answer came, and has the wrong content type or is too large | [`Stop`](Verdict::Stop): another one would be billed too |
/// | the request could not be built, or the client was closed | [`Stop`](Verdict::Stop) |
///
/// A free retry counts neither as an attempt nor against a budget. Only time ends it, so give the policy a
/// [`within`](outbound_retry::Retry::within).
///
/// An error status has to be an error here: use [`error_for_status`](outbound_client::Reply::error_for_status). A
/// request that was sent without an answer has the [`delivery`](Error::delivery) [`MaybeSent`](Delivery::MaybeSent).
/// Sending it again may be billed twice. If that matters, check the delivery first.
///
/// ```
/// use std::time::Duration;
/// use outbound::{Provider, client::{Client, Error}, retry::{Retry, Wait}, verdict};
///
/// const PROVIDER: Provider = Provider::openai();
/// const POLICY: Retry = Retry::attempts(5)
///     .within(Duration::from_secs(600))
///     .wait(Wait::exponential(Duration::from_secs(1)).max(Duration::from_secs(30)).full_jitter());
///
/// async fn models(client: &Client) -> Result<String, Error> {
///     POLICY
///         .when(|error: &Error| verdict(error, &PROVIDER))
///         .call(|_| async { client.get("/models").send().await?.error_for_status().await?.text().await })
///         .await
/// }
/// ```
pub fn verdict(error: &Error, provider: &Provider) -> Verdict {
    if let Some(reply) = error.reply() {
        let now = SystemTime::now();
        return of_fault(&provider.classify(reply.status, &reply.headers, &reply.body, now));
    }
    match error.kind() {
        Kind::ClientClosed | Kind::ContentType | Kind::Decode => Verdict::Stop,
        _ if matches!(class(error), Class::Terminal(_)) => Verdict::Stop,
        _ if error.delivery() != Delivery::NotSent => Verdict::Retry,
        _ if error.connect_failure().is_none_or(ConnectFailure::can_heal) => Verdict::RetryFree(unreached()),
        _ => Verdict::Retry,
    }
}

fn of_fault(fault: &Fault) -> Verdict {
    if !fault.is_retryable() {
        return Verdict::Stop;
    }
    match (fault.class, fault.wait) {
        (Class::RateLimited | Class::RampLimited | Class::Overloaded, Some(wait)) => Verdict::RetryFree(wait),
        (_, Some(wait)) => Verdict::RetryAfter(wait),
        (_, None) => Verdict::Retry,
    }
}

/// The class of a failure that is not a reply with an error status.
pub(crate) fn class(error: &Error) -> Class {
    match (error.kind(), error.delivery()) {
        (Kind::Config | Kind::Request, _) => Class::Terminal(Terminal::BadRequest),
        (Kind::TooLarge, _) => Class::Terminal(Terminal::TooLarge),
        // The same server would send the same unreadable head again.
        _ if is_unreadable_head(error) => Class::Terminal(Terminal::Unexpected),
        (_, Delivery::NotSent) => Class::Transient,
        (_, _) => Class::Ambiguous,
    }
}

/// Whether the head of a reply could not be parsed.
pub(crate) fn is_unreadable_head(error: &Error) -> bool {
    error.kind() == Kind::Protocol && error.delivery() == Delivery::Replied && error.phase() == Phase::Head
}

/// The wait before the next attempt to connect. Random, because many calls lose their server at the same moment.
fn unreached() -> Duration {
    let draw = RandomState::new().build_hasher().finish();
    Duration::from_millis(500 + draw % 1500)
}
