//! Decides what follows from a failed attempt. A pure function.

use std::time::Duration;

use outbound_client::{ConnectFailure, Delivery};
use outbound_provider::{Class, Fault};
use outbound_retry::Wait;

/// Waits between attempts: full jitter under a ceiling that doubles.
const BACKOFF: Wait =
    Wait::exponential(Duration::from_millis(500)).max(Duration::from_secs(60)).full_jitter();

/// How many hints are obeyed exactly. After that each wait adds a growing backoff.
const HINTS_OBEYED: u32 = 3;

/// How many failed probes of an outage one request may make without a charge. The bound is for requests that fail by
/// themselves and keep each other probing.
const FREE_PROBES: u32 = 16;

/// A failed attempt, and what is known about its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) fault: &'a Fault,
    pub(crate) delivery: Delivery,
    /// Why no connection was made, if that failed.
    pub(crate) connect: Option<ConnectFailure>,
    /// An error status came back: the server received the request and did not process it completely.
    pub(crate) refused_by_status: bool,
    /// The reply says how much of the limits remains.
    pub(crate) tells_limits: bool,
    pub(crate) counts: Counts,
    /// Other requests of the scope fail as well, and none succeeds. So the failure is not the fault of this request.
    pub(crate) outage: bool,
    /// The deadline of the request ended the attempt.
    pub(crate) past_deadline: bool,
    /// An item of the reply was delivered, so the answer cannot start again.
    pub(crate) items_delivered: bool,
    /// The time left until the deadline.
    pub(crate) left: Duration,
    /// A random number that belongs to the request.
    pub(crate) draw: u64,
    pub(crate) rules: Rules,
}

/// The options that the user has set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) max_attempts: u32,
    pub(crate) retry_ambiguous: bool,
}

/// The failures of a request so far, by sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) charged: u32,
    pub(crate) refused: u32,
    pub(crate) overloads: u32,
    pub(crate) unreached: u32,
    pub(crate) unreadable: u32,
    pub(crate) free_probes: u32,
}

/// What follows from a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the attempt counts against `max_attempts`.
    pub(crate) charged: bool,
    pub(crate) next: Next,
    pub(crate) effect: Effect,
    pub(crate) settle: Settle,
    /// Whether the next attempt is an extra call, which takes from the retry budget.
    pub(crate) extra: bool,
}

/// What happens to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It fails with this failure.
    Fail,
    /// It fails because this wait is longer than the time left.
    TooLate(Duration),
    /// It is sent again, after at least this wait.
    Retry(Duration),
}

/// What the failure means for all requests of the scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: the failure is this request's own.
    None,
    /// Refused for its rate: nothing is sent to this model until the time that the server gave, or an estimated one.
    Refused { ramp: bool, parallel: bool },
    /// The server is overloaded.
    Overloaded,
    /// The server failed.
    Failed,
    /// No connection: nothing was sent. `can_heal`: it may pass by itself.
    Unreachable { can_heal: bool },
    /// The key or the money was refused.
    AccountRefused,
}

/// What happens to the quota that the attempt holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settle {
    /// Not sent, or refused before processing: everything is given back.
    Refund,
    /// The server has counted the request, but no tokens.
    RequestOnly,
    /// It may have been processed: the estimate stays charged.
    Keep,
}

/// The rule table: from the class of a failure, the counts and the time left to the verdict. It reads no clock and
/// changes nothing.
pub(crate) fn judge(case: &Case<'_>) -> Verdict {
    let verdict = judge_by_class(case);
    if case.items_delivered { Verdict { next: Next::Fail, ..verdict } } else { verdict }
}

fn judge_by_class(case: &Case<'_>) -> Verdict {
    let class = case.fault.class;
    if case.past_deadline {
        return past_deadline(case);
    }
    if case.delivery == Delivery::NotSent && !matches!(class, Class::Terminal(_)) {
        return unreachable(case);
    }
    match class {
        Class::RateLimited | Class::RampLimited => refused(case, class == Class::RampLimited),
        Class::Overloaded => overloaded(case),
        _ if case.fault.of_account => {
            let settle = if case.refused_by_status { Settle::RequestOnly } else { Settle::Keep };
            Verdict { charged: true, next: Next::Fail, effect: Effect::AccountRefused, settle, extra: false }
        }
        Class::Unreadable => charged(case, Effect::None, case.counts.unreadable == 0),
        Class::Ambiguous | Class::StreamBroken => charged(case, Effect::Failed, case.rules.retry_ambiguous),
        Class::Transient => charged(case, Effect::Failed, true),
        _ if case.fault.should_retry == Some(true) => charged(case, Effect::None, true),
        _ => charged(case, Effect::None, false),
    }
}

/// The deadline of the request ended the attempt. That says nothing about the server.
fn past_deadline(case: &Case<'_>) -> Verdict {
    let was_sent = case.delivery != Delivery::NotSent;
    let settle = if was_sent { Settle::Keep } else { Settle::Refund };
    Verdict { charged: was_sent, next: Next::Fail, effect: Effect::None, settle, extra: false }
}

/// Nothing was sent: it costs no attempt, and the request waits until its deadline.
fn unreachable(case: &Case<'_>) -> Verdict {
    let can_heal = case.connect.is_none_or(ConnectFailure::can_heal);
    let wait = BACKOFF.delay(case.counts.unreached + 1, case.draw).min(Duration::from_secs(2));
    Verdict {
        charged: false,
        next: in_time(case, wait),
        effect: Effect::Unreachable { can_heal },
        settle: Settle::Refund,
        extra: false,
    }
}

/// Refused for its rate: it costs no attempt. The gate of the model holds the request back.
fn refused(case: &Case<'_>, ramp: bool) -> Verdict {
    let again = case.counts.refused + 1;
    let own = match case.fault.wait {
        Some(_) if again <= HINTS_OBEYED => Duration::ZERO,
        Some(_) => BACKOFF.delay(again - HINTS_OBEYED, case.draw),
        None => BACKOFF.delay(again, case.draw),
    };
    let next = match case.fault.wait {
        _ if case.fault.should_retry == Some(false) => Next::Fail,
        Some(wait) if wait >= case.left => Next::TooLate(wait),
        // Also after a refusal inside a stream, though the request was processed then.
        _ => in_time(case, own),
    };
    Verdict {
        charged: false,
        next,
        effect: Effect::Refused { ramp, parallel: case.fault.parallel },
        settle: if case.refused_by_status { Settle::Refund } else { Settle::Keep },
        extra: false,
    }
}

/// Overloaded: it costs no attempt. The request waits for the hint, or longer each time.
fn overloaded(case: &Case<'_>) -> Verdict {
    let again = case.counts.overloads + 1;
    let wait = case.fault.wait.unwrap_or_else(|| BACKOFF.delay(again, case.draw));
    let next = match () {
        () if case.fault.should_retry == Some(false) => Next::Fail,
        () if case.fault.wait.is_some() && again > HINTS_OBEYED => {
            in_time(case, wait + BACKOFF.delay(again - HINTS_OBEYED, case.draw))
        }
        () => in_time(case, wait),
    };
    Verdict {
        charged: false,
        next,
        effect: Effect::Overloaded,
        // With limits in the reply, their remainder says already whether the request was counted.
        settle: if case.refused_by_status && !case.tells_limits { Settle::Refund } else { Settle::Keep },
        extra: true,
    }
}

/// A failure that costs an attempt, unless it was a probe of an outage.
fn charged(case: &Case<'_>, effect: Effect, again: bool) -> Verdict {
    let free = case.outage && effect == Effect::Failed && case.counts.free_probes < FREE_PROBES;
    let used = case.counts.charged + u32::from(!free);
    let again = again && case.fault.should_retry != Some(false) && used < case.rules.max_attempts;
    let wait = case.fault.wait.unwrap_or_else(|| BACKOFF.delay(used.max(1), case.draw));
    Verdict {
        charged: !free,
        next: if again { in_time(case, wait) } else { Next::Fail },
        effect,
        settle: match (effect, case.refused_by_status) {
            // The server has read and counted a faulty request, and has produced no tokens.
            (Effect::None, true) => Settle::RequestOnly,
            _ => Settle::Keep,
        },
        extra: true,
    }
}

fn in_time(case: &Case<'_>, wait: Duration) -> Next {
    if wait >= case.left { Next::TooLate(wait) } else { Next::Retry(wait) }
}

#[cfg(test)]
mod tests;
