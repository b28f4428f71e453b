//! What follows from a failed attempt: one pure function.

use std::time::Duration;

use outbound_client::{ConnectFailure, Delivery};
use outbound_provider::{Class, Fault};
use outbound_retry::Wait;

/// Waits between attempts: full jitter under a ceiling that doubles.
const BACKOFF: Wait =
    Wait::exponential(Duration::from_millis(500)).max(Duration::from_secs(60)).full_jitter();

/// So many hints are taken at their word. A server that goes on saying "in a moment" is asked less and less often.
const HINTS_OBEYED: u32 = 3;

/// So many failed probes of an outage are not charged to the request that was the probe. More are, so that two requests
/// that fail by themselves do not probe until their deadline.
const FREE_PROBES: u32 = 16;

/// A failed attempt, and what is known about its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) fault: &'a Fault,
    pub(crate) delivery: Delivery,
    /// Why no connection was made, if that is what failed.
    pub(crate) connect: Option<ConnectFailure>,
    /// An error status came back, so the server had the request and did not process it whole.
    pub(crate) refused_by_status: bool,
    /// The reply says what is left of the limits.
    pub(crate) tells_limits: bool,
    pub(crate) counts: Counts,
    /// Other requests of the scope fail as well, and none succeeds: the failure is not this request's own.
    pub(crate) outage: bool,
    /// It was the request's own deadline that ended the attempt.
    pub(crate) past_deadline: bool,
    /// A part of the reply was handed on: there is no second beginning.
    pub(crate) items_delivered: bool,
    /// The time until the request's deadline.
    pub(crate) left: Duration,
    /// A draw that belongs to the request.
    pub(crate) draw: u64,
    pub(crate) rules: Rules,
}

/// What the user has set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) max_attempts: u32,
    pub(crate) retry_ambiguous: bool,
}

/// How a request has fared before this failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) charged: u32,
    pub(crate) refused: u32,
    pub(crate) overloads: u32,
    pub(crate) unreached: u32,
    pub(crate) unreadable: u32,
    pub(crate) free_probes: u32,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the attempt counts against `max_attempts`.
    pub(crate) charged: bool,
    pub(crate) next: Next,
    pub(crate) effect: Effect,
    pub(crate) settle: Settle,
    /// Whether the next attempt is an extra call, to be paid for from the budget.
    pub(crate) extra: bool,
}

/// What becomes of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It fails with this failure.
    Fail,
    /// It fails because the wait would be longer than it has left.
    TooLate(Duration),
    /// It is sent again after this time at the earliest.
    Retry(Duration),
}

/// What the failure means for all who share the scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it is the request's own.
    None,
    /// Refused for the rate: nobody sends until the time told, or learnt.
    Refused { ramp: bool, parallel: bool },
    /// The server has too much to do.
    Overloaded,
    /// The server failed.
    Failed,
    /// No connection: nothing was sent. `can_heal`: it may pass by itself.
    Unreachable { can_heal: bool },
    /// The key or the money was refused.
    AccountRefused,
}

/// What becomes of the quota that the attempt holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settle {
    /// It was not sent, or refused at the door: all goes back.
    Refund,
    /// The server has counted the request, and made no tokens.
    RequestOnly,
    /// It may have been processed: the estimate stands.
    Keep,
}

/// The rule table: `class` x `counts` x `time left` to what follows. Reads no clock and changes nothing.
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

/// The caller gave it so long and no longer. That says nothing about the server.
fn past_deadline(case: &Case<'_>) -> Verdict {
    let was_sent = case.delivery != Delivery::NotSent;
    let settle = if was_sent { Settle::Keep } else { Settle::Refund };
    Verdict { charged: was_sent, next: Next::Fail, effect: Effect::None, settle, extra: false }
}

/// Nothing was sent, so it costs nothing, and patience ends with the deadline.
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

/// Refused for the rate: the gate is what holds it back, and it costs no attempt.
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
        // A refusal inside a stream follows a request that was processed: the gate and the same wait.
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

/// Too much to do: it costs no attempt, and waits for its hint or longer each time.
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
        // Whether it was counted is in what its own reply says is left.
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
            // A request that is at fault itself was looked at and counted, and made no tokens.
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
