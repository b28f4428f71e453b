//! Five minutes of a backlog that never ends, event by event.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::{
    laws::{Ended, Law},
    server::{Call, Model, Server},
};
use crate::simulation::Random;

/// Windows of 30 s.
pub(super) const WINDOWS: usize = 10;
pub(super) const WINDOW: f64 = 30.0;

/// What came of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Made {
    /// The tokens that were made in each window.
    pub(super) tokens: [f64; WINDOWS],
    /// How many were in flight in the last half, on average.
    pub(super) in_flight: f64,
    /// Refusals for each 1,000 that were done.
    pub(super) refused: f64,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Arrives,
    IsDone,
    IsRefused,
    GoesAgain,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    at: f64,
    number: u64,
    what: What,
    call: Call,
}

struct Client<'a> {
    law: &'a mut dyn Law,
    model: Model,
    random: Random,
    waits: Random,
    events: BinaryHeap<Event>,
    numbers: u64,
    in_flight: usize,
    /// Refused calls that wait for their next try, and those that have waited.
    backing_off: usize,
    again: Vec<Call>,
    /// The number in flight, summed up over time, since the half.
    area: f64,
    at: f64,
    done: f64,
    refused: f64,
}

/// Runs a law against a server.
pub(super) fn run(model: Model, law: &mut dyn Law, seed: u64) -> Made {
    let mut client = Client {
        law,
        model,
        random: Random::new(seed),
        waits: Random::new(seed + 1_000),
        events: BinaryHeap::new(),
        numbers: 0,
        in_flight: 0,
        backing_off: 0,
        again: Vec::new(),
        area: 0.0,
        at: 0.0,
        done: 0.0,
        refused: 0.0,
    };
    let end = WINDOW * WINDOWS as f64;
    let (mut server, mut now, mut made) = (Server::new(model), 0.0, Made::default());
    let mut finished = Vec::new();
    client.send(0.0);
    while now < end {
        client.pass(now, &mut server);
        if server.is_idle() {
            let Some(next) = client.events.peek() else { break };
            now = next.at;
            continue;
        }
        let (ends, tokens) = server.iterate(now, &mut finished);
        now = ends;
        if let Some(window) = made.tokens.get_mut((now / WINDOW) as usize) {
            *window += tokens;
        }
        let back = now + model.way / 1_000.0;
        for call in finished.drain(..) {
            client.push(back, What::IsDone, call);
        }
    }
    made.in_flight = client.area / (end / 2.0);
    made.refused = 1_000.0 * client.refused / client.done.max(1.0);
    made
}

impl Client<'_> {
    /// All that happens until now.
    fn pass(&mut self, now: f64, server: &mut Server) {
        while self.events.peek().is_some_and(|event| event.at <= now) {
            let Some(Event { at, what, call, .. }) = self.events.pop() else { return };
            self.count(at);
            match what {
                What::Arrives if server.takes(call) => {}
                What::Arrives => self.push(at + self.model.way / 1_000.0, What::IsRefused, call),
                What::IsDone => {
                    self.done += 1.0;
                    let work = if self.model.tells_work { call.answer as u64 } else { 1 };
                    self.end(at, call, Some(work));
                }
                What::IsRefused => {
                    self.refused += 1.0;
                    // It waits for a growing, jittered time.
                    let most = f64::from(1 << call.attempt.min(5));
                    self.backing_off += 1;
                    let again = at + most * self.waits.uniform();
                    self.push(again, What::GoesAgain, Call { attempt: call.attempt + 1, ..call });
                    self.end(at, call, None);
                }
                What::GoesAgain => {
                    self.backing_off -= 1;
                    self.again.push(call);
                    self.send(at);
                }
            }
        }
    }

    fn end(&mut self, now: f64, call: Call, work: Option<u64>) {
        self.law.ended(Ended { now, sent_at: call.sent_at, work, in_flight: self.in_flight });
        self.in_flight -= 1;
        self.send(now);
    }

    fn send(&mut self, now: f64) {
        // As the manager does, it does not go through its whole backlog while all of it is refused.
        while self.in_flight < self.law.limit() && self.backing_off <= 4 * self.law.limit() {
            let call = self.again.pop().unwrap_or_else(|| self.draw());
            self.in_flight += 1;
            self.law.started(now, self.in_flight);
            self.push(now + self.model.way / 1_000.0, What::Arrives, Call { sent_at: now, ..call });
        }
    }

    fn draw(&mut self) -> Call {
        let mut tokens = |(median, sigma): (f64, f64)| {
            self.random.log_normal(median, sigma).clamp(median / 8.0, 8.0 * median) as usize
        };
        let (prompt, answer) = (tokens(self.model.prompt), tokens(self.model.answer).max(1));
        let pace = 1.0 / self.random.log_normal(1.0, self.model.jitter).max(1.0 / 8.0);
        Call { sent_at: 0.0, attempt: 0, prompt, answer, pace, made: 0.0 }
    }

    fn push(&mut self, at: f64, what: What, call: Call) {
        self.numbers += 1;
        self.events.push(Event { at, number: self.numbers, what, call });
    }

    fn count(&mut self, now: f64) {
        let half = WINDOW * WINDOWS as f64 / 2.0;
        self.area += self.in_flight as f64 * (now.min(2.0 * half) - self.at.clamp(half, 2.0 * half)).max(0.0);
        self.at = now;
    }
}

/// The heap gives the earliest first.
impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}
