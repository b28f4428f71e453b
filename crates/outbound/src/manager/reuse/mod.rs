//! Answers without a call of their own: from an equal request in flight, or from a cache.

mod cache;
mod folder;
mod in_flight;
mod key;
mod memory;

pub use self::cache::ResponseCache;
pub(crate) use self::in_flight::{Answered, ToCome};
use self::in_flight::{InFlight, Joined};
use super::{
    attempt::Attempt,
    error::{Error, ErrorKind},
    outcome::Reused,
    read::whole,
    record::Record,
    reply::Reply,
    request::Request,
    run::Run,
    wall_clock::WallClock,
};

/// How a manager saves calls, where it was asked to.
#[derive(Debug, Default)]
pub(crate) struct Reuse {
    /// The calls that equal requests wait for. `None`: each makes its own.
    in_flight: Option<InFlight>,
    cache: Option<ResponseCache>,
}

impl Reuse {
    /// `None` if there is nothing to do.
    pub(super) fn new(coalesces: bool, cache: Option<ResponseCache>) -> Option<Self> {
        let in_flight = coalesces.then(InFlight::default);
        (coalesces || cache.is_some()).then_some(Self { in_flight, cache })
    }

    /// The answer to a request: that of an equal request in flight, a kept one, or that of a call of its own.
    pub(super) async fn answer<A: Attempt>(
        &self,
        request: &Request,
        mut run: Run<'_, A>,
        clock: &WallClock,
        record: &mut Record,
    ) -> Result<Reply, Error> {
        let key = key::of(request, run.admission.destinations);
        // The items of a stream would have to be handed to several: it waits for no other.
        let in_flight = self.in_flight.as_ref().filter(|_| run.items.is_none());
        let lead = loop {
            match in_flight.map(|in_flight| in_flight.join(key)) {
                None => break None,
                Some(Joined::Leads(lead)) => break Some(lead),
                Some(Joined::Follows(answer)) => {
                    if let Some(answer) = run.admission.wait_for(answer, record).await? {
                        record.reuses(Reused::InFlight);
                        return answer;
                    }
                }
            }
        };
        // Only now, or an answer that was kept in between would be missed.
        let kept = match &self.cache {
            Some(cache) => cache.find(key, clock.now()).await,
            None => None,
        };
        let result = match kept {
            Some(reply) => {
                record.reuses(Reused::Cache);
                if let Some(items) = run.items {
                    items.send(whole(
                        &run.admission.destinations[0].scope.account.provider,
                        None,
                        &reply.body,
                    ));
                }
                Ok(reply)
            }
            None => {
                let result = run.run(record).await;
                if let (Some(cache), Ok(reply)) = (&self.cache, &result) {
                    cache.keep(key, reply, clock.now()).await;
                }
                result
            }
        };
        if let (Some(lead), Some(answer)) = (lead, for_others(&result)) {
            lead.answers(answer);
        }
        result
    }
}

/// What equal requests get of a result: an answer, and a refusal of the request for what it is. All other failures are of
/// that one call, and the next of them makes its own.
fn for_others(result: &Result<Reply, Error>) -> Option<Answered> {
    let own = |error: &Error| !(error.is_terminal() && error.kind() == ErrorKind::Rejected);
    (!result.as_ref().is_err_and(own)).then(|| result.clone())
}
