//! Reuse: an answer without a call of the request's own, from an equal request in flight or from the cache.

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

/// Answers requests from equal ones in flight or from the cache.
#[derive(Debug, Default)]
pub(crate) struct Reuse {
    /// Calls in flight that equal requests share. `None`: each request makes its own.
    in_flight: Option<InFlight>,
    cache: Option<ResponseCache>,
}

impl Reuse {
    /// `None` if nothing is to be reused.
    pub(super) fn new(coalesces: bool, cache: Option<ResponseCache>) -> Option<Self> {
        let in_flight = coalesces.then(InFlight::default);
        (coalesces || cache.is_some()).then_some(Self { in_flight, cache })
    }

    /// The answer to a request: from an equal request in flight, from the cache, or from a call of its own.
    pub(super) async fn answer<A: Attempt>(
        &self,
        request: &Request,
        mut run: Run<'_, A>,
        clock: &WallClock,
        record: &mut Record,
    ) -> Result<Reply, Error> {
        let key = key_of(request, run.admission.destinations);
        // A request of `stream` does not share a call, since its items cannot go to several readers.
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
        // Read after joining: an answer that was stored in between would be missed otherwise.
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

/// The part of a result that equal requests share: an answer, or a refusal of the content. Any other failure belongs to
/// this call alone, and the next follower makes its own.
fn shareable(result: &Result<Reply, Error>) -> Option<SharedAnswer> {
    let own = |error: &Error| !(error.is_terminal() && error.kind() == ErrorKind::Rejected);
    (!result.as_ref().is_err_and(own)).then(|| result.clone())
}

/// The key of what would be sent, byte for byte: address, method, path, body, and the headers except those that the
/// manager adds. An idempotency key of the caller counts. Id, priority, tenant and deadline do not.
fn key_of(request: &Request, destinations: &[Destination<'_>]) -> Key {
    let Destination { scope, prepared } = &destinations[0];
    let mut hash = Hash(Sha256::new());
    hash.part(scope.account.base_url.as_bytes());
    hash.part(prepared.method.as_str().as_bytes());
    hash.part(prepared.path.as_bytes());
    hash.part(&prepared.body);
    let given = request.options().idempotency_key.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
    hash.part(given);
    // The order in the map is not stable. The order of values under one name is kept.
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
    /// With its length before it, so that different lists of parts give different bytes.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}
