//! The steps of a reply's body and their times, for an answer and a fault.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::{answer::Answer, body::Step, dialect::Ask, fault::Fault, ledger::Outcome, reply::Reply};

/// How fast an answer is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) first_token: Duration,
    pub(crate) token: Duration,
    /// Tokens that are sent together, 1 at the least.
    pub(crate) together: usize,
}

impl Timing {
    /// How long it takes until this many tokens are made.
    pub(crate) fn whole(self, tokens: u64) -> Duration {
        self.first_token.saturating_add(self.token.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX)))
    }
}

/// The steps of a body, the length that its head announces (`None`: chunked), and the outcome of the send at its end.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) steps: VecDeque<Step>,
    pub(crate) length: Option<u64>,
    pub(crate) ending: Outcome,
}

impl Script {
    /// A body that is sent at once.
    pub(crate) fn immediate(body: Bytes, ending: Outcome) -> Self {
        let length = Some(body.len() as u64);
        let steps = if body.is_empty() { VecDeque::new() } else { VecDeque::from([Step::Send(body)]) };
        Self { steps, length, ending }
    }

    /// A streamed answer: the first chunk after the time to the first token, then one token at a time, then the end.
    pub(crate) fn stream(
        reply: &Reply,
        answer: &Answer,
        ask: &Ask,
        timing: Timing,
        fault: Option<&Fault>,
    ) -> Self {
        let mut events = reply.dialect.events(answer, ask);
        let mut steps = VecDeque::new();
        let mut start = Duration::ZERO;
        let cut = match fault {
            Some(
                Fault::ResetAfterHeaders { after }
                | Fault::CutShort { after }
                | Fault::Stall { after }
                | Fault::Truncate { after }
                | Fault::ErrorEvent { after },
            ) => Some(*after as usize),
            Some(Fault::KeepAlive { every, count }) => {
                let (signs, silent) = signs_of_life(ask.framing.sign_of_life(), *every, *count);
                steps.push_back(signs);
                let Some(silent) = silent else { return Self::new(steps, None, Outcome::Broken) };
                start = silent;
                None
            }
            Some(Fault::BadJson) => {
                // Every answer has at least one chunk.
                events.chunks[0] = reply.dialect.bad_event(ask.framing);
                None
            }
            _ => None,
        };
        let tokens = events.chunks.len();
        let shown = cut.map_or(tokens, |after| after.min(tokens));
        let at = |index: usize| start.saturating_add(timing.whole(index as u64));
        let mut opening = std::mem::take(&mut events.opening);
        for (piece, chunks) in events.chunks[..shown].chunks(timing.together.max(1)).enumerate() {
            // The opening goes with the first chunk. So nothing follows the head if a fault strikes before that chunk.
            let events = std::mem::take(&mut opening) + &chunks.concat();
            let sent = Step::SendTokens(events.into(), chunks.len() as u64);
            steps.extend([Step::At(at(piece * timing.together.max(1))), sent]);
        }
        if cut.is_none() {
            steps.extend([Step::At(at(tokens)), Step::Send(events.closing.into())]);
        } else {
            steps.push_back(Step::At(at(shown)));
        }
        match fault {
            Some(Fault::ErrorEvent { .. }) => {
                let (event, _) = reply.dialect.overload(ask.framing, shown == 0, &reply.request_id);
                steps.push_back(Step::Send(event.into()));
            }
            Some(Fault::ResetAfterHeaders { .. }) => steps.push_back(Step::Cut { resets: true }),
            Some(Fault::CutShort { .. }) => steps.push_back(Step::Cut { resets: false }),
            Some(Fault::Stall { .. }) => steps.push_back(Step::Hang),
            _ => {}
        }
        Self::new(steps, None, ending(fault))
    }

    /// A plain answer. `whole` is the time that it takes if signs of life go before it. Without them that time has passed
    /// already.
    pub(crate) fn plain(
        reply: &Reply,
        answer: &Answer,
        ask: &Ask,
        whole: Duration,
        fault: Option<&Fault>,
    ) -> Self {
        let body = Bytes::from(reply.dialect.plain(answer, ask).to_string());
        let length = Some(body.len() as u64);
        let part = |after: u32| if after == 0 { Bytes::new() } else { body.slice(..body.len() / 2) };
        let broken = Outcome::Broken;
        match fault {
            Some(Fault::Truncate { after }) => Self::immediate(part(*after), broken),
            Some(Fault::ResetAfterHeaders { after }) => {
                Self::new([Step::Send(part(*after)), Step::Cut { resets: true }], length, broken)
            }
            Some(Fault::CutShort { after }) => {
                Self::new([Step::Send(part(*after)), Step::Cut { resets: false }], length, broken)
            }
            Some(Fault::Stall { after }) => Self::new([Step::Send(part(*after)), Step::Hang], length, broken),
            Some(Fault::ErrorEvent { .. }) => {
                let (_, body) = reply.dialect.overload(ask.framing, true, &reply.request_id);
                Self::immediate(body.to_string().into(), broken)
            }
            Some(Fault::BadJson) => {
                Self::immediate(Bytes::from_static(b"{\"choices\":[{],\"content\":"), broken)
            }
            Some(Fault::KeepAlive { every, count }) => {
                let (signs, silent) = signs_of_life(b"\n", *every, *count);
                let Some(silent) = silent else { return Self::new([signs], None, broken) };
                let answer = [signs, Step::At(silent.saturating_add(whole)), Step::Send(body)];
                Self::new(answer, None, Outcome::Answered)
            }
            _ => Self::immediate(body, Outcome::Answered),
        }
    }

    fn new(steps: impl Into<VecDeque<Step>>, length: Option<u64>, ending: Outcome) -> Self {
        Self { steps: steps.into(), length, ending }
    }
}

/// The signs of life, and the time that they take if they end. Some time always passes between two of them. Endless signs
/// without a pause would let nothing else run.
fn signs_of_life(sign: &'static [u8], every: Duration, count: Option<u32>) -> (Step, Option<Duration>) {
    let every = every.max(Duration::from_millis(1));
    let signs = Step::Repeat { data: Bytes::from_static(sign), every, at: every, left: count };
    (signs, count.map(|count| every.saturating_mul(count)))
}

fn ending(fault: Option<&Fault>) -> Outcome {
    if fault.is_some_and(Fault::breaks) { Outcome::Broken } else { Outcome::Answered }
}
