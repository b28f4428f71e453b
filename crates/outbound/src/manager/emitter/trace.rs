//! The events of a request as spans and events of `tracing`. The crate's page lists their names.

use outbound_client::Origin;
use tracing::{Level, Span, debug, debug_span, field::Empty, info, info_span};

use super::{Event, Step};
use crate::manager::reused::Reused;

/// The target of all spans and events.
const TARGET: &str = "outbound::request";

/// The spans of one request.
pub(super) struct Trace {
    /// The span in which the request was made.
    parent: Span,
    request: Span,
    /// The spans of attempts in flight: one, or two where a slow one is hedged.
    attempts: Vec<(u32, Span)>,
}

impl Trace {
    /// `None` if no subscriber wants these events. Called where the request comes from.
    pub(super) fn new() -> Option<Self> {
        // No event has a higher level than this. So a subscriber that wants warnings only costs one load.
        let wanted = tracing::enabled!(target: TARGET, Level::INFO);
        wanted.then(|| Self { parent: Span::current(), request: Span::none(), attempts: Vec::new() })
    }

    pub(super) fn emit(&mut self, event: &Event<'_>) {
        let request = &self.request;
        match event.step {
            Step::Queued => {
                self.request = info_span!(
                    target: TARGET,
                    parent: &self.parent,
                    "outbound.request",
                    number = event.number,
                    id = event.id,
                    index = event.index,
                    endpoint = event.endpoint,
                    provider = event.provider,
                    operation = event.operation.as_str(),
                    model = event.model,
                    stream = event.streams,
                    outcome = Empty,
                    reused = Empty,
                    sends = Empty,
                    input_tokens = Empty,
                    output_tokens = Empty,
                );
            }
            Step::Rerouted { route } => {
                let Event { endpoint, provider, model, .. } = *event;
                info!(
                    name: "outbound.rerouted", target: TARGET, parent: request,
                    route, endpoint, provider, model, "takes another route"
                );
            }
            Step::Waiting { reason, at_least } => {
                let at_least_s = at_least.map(|wait| wait.as_secs_f64());
                let why = reason.as_str();
                debug!(
                    name: "outbound.waiting", target: TARGET, parent: request,
                    reason = why, at_least_s, "waits for {reason}"
                );
            }
            Step::Waited { reason, took } => {
                let (why, took_s) = (reason.as_str(), took.as_secs_f64());
                debug!(
                    name: "outbound.waited", target: TARGET, parent: request,
                    reason = why, took_s, "has waited for {reason}"
                );
            }
            Step::Admitted => {
                debug!(name: "outbound.admitted", target: TARGET, parent: request, "may be sent");
            }
            Step::Sent { attempt } => {
                let span = debug_span!(
                    target: TARGET,
                    parent: request,
                    "outbound.attempt",
                    attempt,
                    provider = event.provider,
                    server = event.server.map(Origin::host),
                    status = Empty,
                    outcome = Empty,
                );
                self.attempts.push((attempt, span));
            }
            Step::Item { after } => {
                let after_s = after.as_secs_f64();
                debug!(
                    name: "outbound.first_item", target: TARGET, parent: request,
                    after_s, "the first item has come"
                );
            }
            Step::AttemptEnded { attempt, took, status, failure, message, .. } => {
                let status = status.map(|status| status.as_u16());
                let outcome = failure.map_or("answered", |kind| kind.as_str());
                if let Some(index) = self.attempts.iter().position(|(number, _)| *number == attempt) {
                    let (_, span) = self.attempts.swap_remove(index);
                    span.record("status", status).record("outcome", outcome);
                }
                if failure.is_some() {
                    let took_s = took.as_secs_f64();
                    info!(
                        name: "outbound.attempt_failed", target: TARGET, parent: request,
                        attempt, status, kind = outcome, took_s, error = message, "an attempt has failed"
                    );
                }
            }
            Step::Ended { failure, usage, reused, sends, elapsed, .. } => {
                let outcome = failure.map_or("answered", |kind| kind.as_str());
                let (input, output) = (usage.map(|usage| usage.input), usage.map(|usage| usage.output));
                request.record("outcome", outcome).record("sends", sends);
                request.record("reused", reused.map(Reused::as_str));
                request.record("input_tokens", input).record("output_tokens", output);
                let elapsed_s = elapsed.as_secs_f64();
                if failure.is_some() {
                    info!(
                        name: "outbound.failed", target: TARGET, parent: request,
                        kind = outcome, sends, elapsed_s, "the request has failed"
                    );
                } else {
                    debug!(
                        name: "outbound.answered", target: TARGET, parent: request,
                        sends, elapsed_s, "the request is answered"
                    );
                }
            }
        }
    }
}
