//! What a failed call means for its retry: client, provider and retry, brought together.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, SystemTime},
};

use outbound_client::{ConnectFailure, Delivery, Error, Kind, Phase};
use outbound_provider::{Class, Fault, Provider, Terminal};
use outbound_retry::Verdict;

/// What to do about a failed call to a provider, as the manager would: for [`when`](outbound_retry::Retry::when).
///
/// | what failed | verdict |
/// |---|---|
/// | nothing was sent: no connection | [`RetryFree`](Verdict::RetryFree), after 0.5 to 2 s |
/// | no connection, for a reason that seldom passes: no such name, a refused certificate, no TLS there | [`Retry`](Verdict::Retry) |
/// | refused for the rate, or overloaded, and the server said how long to wait | [`RetryFree`](Verdict::RetryFree) |
/// | another reply that is worth another attempt (500, 408), with a wait | [`RetryAfter`](Verdict::RetryAfter) |
/// | any of these without a wait | [`Retry`](Verdict::Retry) |
/// | it was sent, and no whole answer came | [`Retry`](Verdict::Retry) |
/// | refused for what it is, for the key or the money; the server said not to retry | [`Stop`](Verdict::Stop) |
/// | the answer came, and is not of the type that was asked for, or too large | [`Stop`](Verdict::Stop): another would be charged too |
/// | the request could not be built, or the client was closed | [`Stop`](Verdict::Stop) |
///
/// What is free counts neither as an attempt nor against a budget, so only time ends it: give the policy a
/// [`within`](outbound_retry::Retry::within).
///
/// An error status has to be an error for this to see it: [`error_for_status`](outbound_client::Reply::error_for_status).
/// Whether a request that was sent without an answer may be sent again is the caller's to say:
/// [`delivery`](Error::delivery) is [`MaybeSent`](Delivery::MaybeSent) then, and the provider may charge for both.
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

/// The class of a failure that is no reply with an error status.
pub(crate) fn class(error: &Error) -> Class {
    match (error.kind(), error.delivery()) {
        (Kind::Config | Kind::Request, _) => Class::Terminal(Terminal::BadRequest),
        (Kind::TooLarge, _) => Class::Terminal(Terminal::TooLarge),
        // It would come again: what made the head unreadable is the server's way of writing it.
        _ if is_unreadable_head(error) => Class::Terminal(Terminal::Unexpected),
        (_, Delivery::NotSent) => Class::Transient,
        (_, _) => Class::Ambiguous,
    }
}

/// Whether a head came that cannot be read.
pub(crate) fn is_unreadable_head(error: &Error) -> bool {
    error.kind() == Kind::Protocol && error.delivery() == Delivery::Replied && error.phase() == Phase::Head
}

/// How long to wait before the next try to connect: spread, since many calls lose their server at the same moment.
fn unreached() -> Duration {
    let draw = RandomState::new().build_hasher().finish();
    Duration::from_millis(500 + draw % 1500)
}
