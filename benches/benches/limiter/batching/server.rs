//! A server that batches: in each iteration every call in the batch gets one token.

use std::collections::VecDeque;

/// What a server is like. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    pub(super) name: &'static str,
    /// An iteration takes `base + per_call * batch + per_prompt_token * tokens of new prompts`, and `past_knee` times the
    /// square of what the batch has above `knee`.
    pub(super) base: f64,
    pub(super) per_call: f64,
    pub(super) per_prompt_token: f64,
    pub(super) past_knee: f64,
    pub(super) knee: usize,
    /// So many calls are in a batch, at most. The others wait.
    pub(super) slots: usize,
    /// So many calls wait, at most. One more is refused (503).
    pub(super) queue: usize,
    /// So many tokens are held in the cache, at most.
    pub(super) cache: usize,
    /// The cache is given out as it is used, and the newest call loses its place where it is full (`vLLM`). Else the whole
    /// of a call is set aside when it begins (TGI).
    pub(super) preempts: bool,
    /// The median of the tokens of a prompt and of an answer, and the sigma of their logarithms.
    pub(super) prompt: (f64, f64),
    pub(super) answer: (f64, f64),
    /// How unlike the calls are in what a token takes: the sigma of a log-normal factor.
    pub(super) jitter: f64,
    /// Whether the client learns how many tokens an answer has.
    pub(super) tells_work: bool,
    /// From so many seconds on it is so many times as fast. 0 is a stall.
    pub(super) speeds: &'static [(f64, f64)],
    /// Milliseconds there, and back.
    pub(super) way: f64,
}

impl Model {
    /// The log-normal that fits 1,859 real prompts, four characters a token.
    pub(super) const PROMPT: (f64, f64) = (87.0, 0.62);

    pub(super) const PLAIN: Self = Self {
        name: "",
        base: 20.0,
        per_call: 0.1,
        per_prompt_token: 0.02,
        past_knee: 0.0,
        knee: 0,
        slots: usize::MAX,
        queue: usize::MAX,
        cache: usize::MAX,
        preempts: false,
        prompt: Self::PROMPT,
        answer: (120.0, 0.6),
        jitter: 0.0,
        tells_work: true,
        speeds: &[],
        way: 10.0,
    };

    /// The speed at a time, and until when it is so.
    fn speed_at(&self, now: f64) -> (f64, f64) {
        let next = self.speeds.iter().position(|(from, _)| *from > now);
        let last = next.unwrap_or(self.speeds.len()).checked_sub(1);
        let until = next.map_or(f64::INFINITY, |at| self.speeds[at].0);
        (last.map_or(1.0, |at| self.speeds[at].1), until)
    }
}

/// A call, and how far it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) sent_at: f64,
    pub(super) attempt: u32,
    pub(super) prompt: usize,
    pub(super) answer: usize,
    /// An iteration brings it so much of a token.
    pub(super) pace: f64,
    pub(super) made: f64,
}

impl Call {
    fn cached(&self) -> usize {
        self.prompt + self.made as usize
    }
}

#[derive(Debug)]
pub(super) struct Server {
    model: Model,
    batch: Vec<Call>,
    waiting: VecDeque<Call>,
    cached: usize,
}

/// The tokens of new prompts that one iteration takes, at most.
const PROMPT_TOKENS: usize = 8_192;

impl Server {
    pub(super) fn new(model: Model) -> Self {
        Self { model, batch: Vec::new(), waiting: VecDeque::new(), cached: 0 }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.batch.is_empty() && self.waiting.is_empty()
    }

    /// Whether there is room for one more.
    pub(super) fn takes(&mut self, call: Call) -> bool {
        let room = self.model.slots.saturating_add(self.model.queue);
        let takes = self.batch.len() + self.waiting.len() < room;
        if takes {
            self.waiting.push_back(call);
        }
        takes
    }

    /// One iteration that begins now: when it ends, the tokens that it made, and who is done.
    pub(super) fn iterate(&mut self, now: f64, done: &mut Vec<Call>) -> (f64, f64) {
        let (speed, until) = self.model.speed_at(now);
        if speed == 0.0 {
            return (until, 0.0);
        }
        self.make_room();
        let prompts = self.admit();
        let (model, batch) = (&self.model, self.batch.len() as f64);
        let beyond = self.batch.len().saturating_sub(model.knee) as f64;
        let time = model.base
            + model.per_call * batch
            + model.per_prompt_token * prompts as f64
            + model.past_knee * beyond * beyond;
        let mut made = 0.0;
        let (mut cached, mut at) = (0, 0);
        while let Some(call) = self.batch.get_mut(at) {
            let more = call.pace.min(call.answer as f64 - call.made);
            made += more;
            call.made += more;
            if call.made + 1e-9 >= call.answer as f64 {
                done.push(self.batch.remove(at));
            } else {
                cached += self.held(&self.batch[at]);
                at += 1;
            }
        }
        self.cached = cached;
        (now + time / 1_000.0 / speed, made)
    }

    /// What a call takes of the cache.
    fn held(&self, call: &Call) -> usize {
        if self.model.preempts { call.cached() } else { call.prompt + call.answer }
    }

    /// The newest give way to those before them. They keep what they have made, and read all of it again later.
    fn make_room(&mut self) {
        while self.model.preempts && self.batch.len() > 1 && self.cached + self.batch.len() > self.model.cache
        {
            let Some(newest) = self.batch.pop() else { return };
            self.cached = self.cached.saturating_sub(newest.cached());
            self.waiting.push_front(newest);
        }
    }

    /// Takes in who waits. Returns the tokens that are to be read for them.
    fn admit(&mut self) -> usize {
        let mut prompts = 0;
        while let Some(call) = self.waiting.front() {
            let held = self.held(call);
            let is_first = self.batch.is_empty();
            let fits = self.batch.len() < self.model.slots
                && prompts + call.cached() <= PROMPT_TOKENS
                && self.cached + held + self.batch.len() <= self.model.cache;
            if !(fits || is_first) {
                break;
            }
            prompts += call.cached();
            self.cached += held;
            self.batch.extend(self.waiting.pop_front());
        }
        prompts
    }
}
