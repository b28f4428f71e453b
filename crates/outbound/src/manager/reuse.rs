//! Answers without a call of their own: from an equal request in flight, or from a cache.

use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::{
    attempt::Attempt,
    cache::{Key, ResponseCache},
    destination::Destination,
    error::{Error, ErrorKind},
    in_flight::{InFlight, Role, SharedAnswer},
    read::whole_item,
    record::Record,
    reply::Reply,
    request::Request,
    reused::Reused,
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
        let key = key_of(request, run.admission.destinations);
        // The items of a stream would have to be handed to several: it waits for no other.
        let in_flight = self.in_flight.as_ref().filter(|_| run.items.is_none());
        let leader = loop {
            match in_flight.map(|in_flight| in_flight.join(key)) {
                None => break None,
                Some(Role::Leader(leader)) => break Some(leader),
                Some(Role::Follower(answer)) => {
                    if let Some(answer) = run.admission.wait_for_answer(answer, record).await? {
                        record.reuses(Reused::InFlight);
                        return answer;
                    }
                }
            }
        };
        // Only now, or an answer that was kept in between would be missed.
        let cached = match &self.cache {
            Some(cache) => cache.find(key, clock.now()).await,
            None => None,
        };
        let result = match cached {
            Some(reply) => {
                record.reuses(Reused::Cache);
                if let Some(items) = run.items {
                    items.send(whole_item(
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
        if let (Some(leader), Some(answer)) = (leader, shareable(&result)) {
            leader.answers(answer);
        }
        result
    }
}

/// What equal requests get of a result: an answer, and a refusal of the request for what it is. All other failures are of
/// that one call, and the next of them makes its own.
fn shareable(result: &Result<Reply, Error>) -> Option<SharedAnswer> {
    let own = |error: &Error| !(error.is_terminal() && error.kind() == ErrorKind::Rejected);
    (!result.as_ref().is_err_and(own)).then(|| result.clone())
}

/// Of what would be sent, byte for byte: where to, the method, the path, the headers but the manager's own, and the body. A key
/// of idempotency that the caller gave tells two requests apart; id, priority, tenant and deadline do not.
fn key_of(request: &Request, destinations: &[Destination<'_>]) -> Key {
    let Destination { scope, prepared } = &destinations[0];
    let mut hash = Hash(Sha256::new());
    hash.part(scope.account.base_url.as_bytes());
    hash.part(prepared.method.as_str().as_bytes());
    hash.part(prepared.path.as_bytes());
    hash.part(&prepared.body);
    let given = request.options().idempotency_key.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    hash.part(given);
    // A map has them in an order of its own; those of one name stay in theirs.
    let mut headers: Vec<_> = prepared.headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        hash.part(name.as_str().as_bytes());
        hash.part(value.as_bytes());
    }
    Key(hash.0.finalize().into())
}

struct Hash(Sha256);

impl Hash {
    /// With its length before it, so that no two lists of parts are the same bytes.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}
