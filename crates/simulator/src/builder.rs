//! Setting a simulator up.

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use crate::{
    accounts::{self, Accounts, Common, Limits},
    batching::Batching,
    fault::{Closure, Fault, Rule},
    keys::{Key, KeySettings},
    latency::{self, Latency},
    ledger::Seen,
    meter::Window,
    models::ModelSettings,
    others::OtherUsers,
    plan::Plan,
    provider::{Provider, Settings},
    quota::{Charging, Counting, Dimension},
    simulator::Simulator,
    transport::{Trouble, Troubles},
    wall::Wall,
};

/// What a provider's replies say about its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitHeaders {
    /// Each reply says what is left in each dimension. A refusal also has the wait, in every form of the dialect.
    #[default]
    All,
    /// A refusal has `Retry-After`. Nothing else is said.
    RetryAfter,
    /// A refusal has the wait to a millisecond, in every form of the dialect. Nothing else is said.
    ExactWait,
    /// Nothing: a bare 429.
    None,
}

/// Settings of a [`Simulator`]. Every value of every setting has a meaning, so building cannot fail.
///
/// | setting | default |
/// |---|---|
/// | [`seed`](Self::seed) | 0 |
/// | [`key`](Self::key), [`key_with`](Self::key_with) | any key, or none, is accepted, and all count together |
/// | [`model`](Self::model) | any model is served |
/// | limits per minute | none |
/// | [`scale_limits_at`](Self::scale_limits_at) | no change |
/// | [`other_users`](Self::other_users) | none |
/// | [`burst`](Self::burst) | 60 s: a whole minute's limit may be used at once |
/// | [`window`](Self::window) | [`Window::Bucket`] |
/// | [`charging`](Self::charging) | [`Charging::Settle`] |
/// | [`charge_refused`](Self::charge_refused) | no |
/// | [`token_spread`](Self::token_spread) | characters / 4, rounded up, and nothing else |
/// | [`plan`](Self::plan) | none |
/// | [`outage`](Self::outage), [`trouble`](Self::trouble) | none |
/// | [`bill_only_seen`](Self::bill_only_seen) | no: silence and early resets are billed |
/// | [`limit_headers`](Self::limit_headers) | [`LimitHeaders::All`] |
/// | [`headers_at_admission`](Self::headers_at_admission) | no: they say what is left at the time of the head |
/// | [`dial_time`](Self::dial_time) | none |
/// | [`way_in`](Self::way_in), [`latency`](Self::latency), [`time_to_first_token`](Self::time_to_first_token) | [`Latency::none`] |
/// | [`tokens_per_second`](Self::tokens_per_second) | without limit |
/// | [`output_tokens`](Self::output_tokens) | 16 to 128 |
/// | [`batching`](Self::batching) | no: calls do not slow each other |
/// | faults | none |
/// | [`close_idle_after`](Self::close_idle_after) | never |
/// | [`max_body`](Self::max_body) | 32 MiB |
/// | [`wall_clock`](Self::wall_clock) | 2026-01-01 00:00:00 UTC |
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    limits: Limits,
    changes: Vec<(Duration, f64)>,
    counting: Counting,
    others: Option<OtherUsers>,
    anchor: Wall,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            limits: Vec::new(),
            changes: Vec::new(),
            counting: Counting {
                window: Window::Bucket,
                burst: Duration::from_secs(60),
                charging: Charging::Settle,
                charge_refused: false,
            },
            others: None,
            anchor: Wall::DEFAULT,
            settings: Settings {
                seed: 0,
                keys: Vec::new(),
                models: BTreeMap::new(),
                limit_headers: LimitHeaders::All,
                latency: Latency::none(),
                way_in: Latency::none(),
                dial: Duration::ZERO,
                first_token: Latency::none(),
                token_time: Duration::ZERO,
                output_tokens: 16..=128,
                rules: Vec::new(),
                idle_close: None,
                max_body: 32 << 20,
                plan: None,
                token_spread: None,
                outages: Vec::new(),
                troubles: Troubles::default(),
                bill_unseen: true,
                headers_at_admission: false,
                batching: None,
            },
        }
    }

    /// The seed of all chance: faults, times, and the length and words of the answers.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Adds a key, and refuses every key that was not added with 401. It stands in
    /// `Authorization: Bearer`; in Anthropic's dialect in `x-api-key`, in Azure's in `api-key`, in Gemini's in `x-goog-api-key` or
    /// the query's `key`. Each key has quotas of its own. Gemini refuses a wrong key with 400 and a request without one
    /// with 403, as the real one does.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.key_with(key, KeySettings::new())
    }

    /// As [`key`](Self::key), with settings for this key alone. Keys are numbered from 0 in the order in which they are
    /// added: see [`Seen::key`]. The same key again replaces its settings.
    pub fn key_with(mut self, key: impl Into<String>, settings: KeySettings) -> Self {
        let key = key.into();
        match self.settings.keys.iter_mut().find(|known| known.is(&key)) {
            Some(known) => known.settings = settings,
            None => self.settings.keys.push(Key::new(key, settings)),
        }
        self
    }

    /// Adds a model with settings for it alone, and refuses every model that was not added with 404. The same model again
    /// replaces its settings.
    pub fn model(mut self, name: impl Into<String>, settings: ModelSettings) -> Self {
        self.settings.models.insert(name.into(), settings);
        self
    }

    /// Limits requests, in a bucket that refills all the time. 0 refuses everything.
    pub fn requests_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::Requests, limit)
    }

    /// Limits tokens, input and output together. A request takes the tokens of its prompt and its `max_tokens` (or,
    /// if it has none, the longest answer there is) when it is admitted, and gets back at its end what it is not
    /// billed for. A request that is larger than the limit is refused, without a wait. A request that is larger than the
    /// burst, but within the limit, needs a full bucket, and leaves a debt for those after it.
    pub fn tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::Tokens, limit)
    }

    /// Limits the tokens of prompts, as [`tokens_per_minute`](Self::tokens_per_minute) does. OpenAI's dialect has no
    /// headers for it.
    pub fn input_tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::InputTokens, limit)
    }

    /// Limits the tokens of answers, as [`tokens_per_minute`](Self::tokens_per_minute) does. OpenAI's dialect has no
    /// headers for it.
    pub fn output_tokens_per_minute(self, limit: u64) -> Self {
        self.limit(Dimension::OutputTokens, limit)
    }

    /// How much the buckets hold, and have at the start: what they refill in this time, but at least one request or one
    /// token. With another [`window`](Self::window) it is the length of that window.
    pub fn burst(mut self, burst: Duration) -> Self {
        self.counting.burst = burst;
        self
    }

    /// How a limit is kept: in a bucket that refills all the time, in fixed windows, or in a log.
    pub fn window(mut self, window: Window) -> Self {
        self.counting.window = window;
        self
    }

    /// What an admission takes from the quotas of tokens, and whether it is corrected.
    pub fn charging(mut self, charging: Charging) -> Self {
        self.counting.charging = charging;
        self
    }

    /// Counts the tokens of a prompt about as a real tokenizer does: characters / 4, more or less by up to this share (drawn
    /// by seed and request), then 4 for each message, and 3.
    pub fn token_spread(mut self, share: f64) -> Self {
        self.settings.token_spread = Some(share);
        self
    }

    /// For requests that have the marks of a plan, draws latencies and faults from the plan instead of
    /// [`latency`](Self::latency). Faults of other rules go before those of the plan.
    pub fn plan(mut self, plan: Plan) -> Self {
        self.settings.plan = Some(plan);
        self
    }

    /// Answers everything that comes in this span of time since the start with a 503: at once, with no hint, and with
    /// nothing charged. Requests that came earlier go on. Unlike a fault, such a reply does not count as an attempt.
    pub fn outage(mut self, times: Range<Duration>) -> Self {
        self.settings.outages.push(times);
        self
    }

    /// Makes the way to the provider fail in this span of time since the start, for connections made with
    /// [`Simulator::dial`].
    pub fn trouble(mut self, trouble: Trouble, times: Range<Duration>) -> Self {
        self.settings.troubles.push(trouble, times);
        self
    }

    /// Bills nothing for a reply of which no byte has left: silence, and a reset before the head.
    pub fn bill_only_seen(mut self) -> Self {
        self.settings.bill_unseen = false;
        self
    }

    /// At this time after the start, changes all limits to `factor` times what they were at the start. It may be called for
    /// several times. A factor that is not a positive number counts as 0.
    pub fn scale_limits_at(mut self, at: Duration, factor: f64) -> Self {
        self.changes.push((at, factor));
        self
    }

    /// Lets others use the quotas too: those of each key, or the common ones if no key was added. Models that have an
    /// account of their own are left out. The oracle, the floor and the reference know nothing of other users.
    pub fn other_users(mut self, others: OtherUsers) -> Self {
        self.others = Some(others);
        self
    }

    /// Counts requests that are refused by a quota against the limit of requests too, as some providers do. Then a client
    /// that never pauses is never admitted.
    pub fn charge_refused(mut self) -> Self {
        self.counting.charge_refused = true;
        self
    }

    /// What the replies say about the limits.
    pub fn limit_headers(mut self, headers: LimitHeaders) -> Self {
        self.settings.limit_headers = headers;
        self
    }

    /// Lets the headers say what was left at the time of the admission, not of the reply. When they arrive they are as old
    /// as the reply took.
    pub fn headers_at_admission(mut self) -> Self {
        self.settings.headers_at_admission = true;
        self
    }

    /// Time to make a connection with [`Simulator::dial`].
    pub fn dial_time(mut self, time: Duration) -> Self {
        self.settings.dial = time;
        self
    }

    /// Time from a request to its admission: the network, a gateway, and everything else that makes requests arrive later
    /// than they were sent.
    pub fn way_in(mut self, latency: Latency) -> Self {
        self.settings.way_in = latency;
        self
    }

    /// Time from an admission to the head of its reply; in a plain reply, to the start of work on the answer. Refusals
    /// for a key, a form or a quota come at once.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.settings.latency = latency;
        self
    }

    /// Puts the calls into one batch, in which they slow each other. The time in the batch comes before the times that are
    /// set elsewhere. A streamed answer is made as a whole before its head is sent. The oracle knows
    /// nothing of it.
    pub fn batching(mut self, batching: Batching) -> Self {
        self.settings.batching = Some(batching);
        self
    }

    /// Time from the head, or the start of work, to the first token of the answer.
    pub fn time_to_first_token(mut self, latency: Latency) -> Self {
        self.settings.first_token = latency;
        self
    }

    /// Speed of the answer after its first token. A number that is not positive means no limit.
    pub fn tokens_per_second(mut self, speed: f64) -> Self {
        self.settings.token_time = latency::of_token(speed);
        self
    }

    /// How long the answers are, before `max_tokens` cuts them: drawn from this range (both ends at least 1, and at
    /// most 1,000,000).
    pub fn output_tokens(mut self, tokens: RangeInclusive<u64>) -> Self {
        let low = (*tokens.start()).clamp(1, 1_000_000);
        self.settings.output_tokens = low..=(*tokens.end()).clamp(low, 1_000_000);
        self
    }

    /// Adds a fault that strikes each admitted attempt with this probability. The draw depends on the seed, the body
    /// and the number of the attempt, and on nothing else: not on what else is being sent, and not on when.
    ///
    /// Of several rules the first that applies strikes, in the order in which they were added. The rules of the key, and then
    /// those of the model, come after the rules that are added here.
    pub fn fault(self, fault: impl Into<Fault>, probability: f64) -> Self {
        self.rule(Rule::Chance(fault.into(), probability))
    }

    /// Adds a fault that strikes every attempt that comes in this span of time since the start.
    pub fn fault_during(self, fault: impl Into<Fault>, times: Range<Duration>) -> Self {
        self.rule(Rule::During(fault.into(), times))
    }

    /// Adds a fault that strikes this attempt of each request, counted from 1.
    pub fn fault_on_attempt(self, fault: impl Into<Fault>, attempt: u32) -> Self {
        self.rule(Rule::OnAttempt(fault.into(), attempt))
    }

    /// Adds a rule of your own: for one path, say, or for one model with one key.
    pub fn fault_when(self, choose: impl Fn(&Seen) -> Option<Fault> + Send + Sync + 'static) -> Self {
        self.rule(Rule::When(Closure(Arc::new(choose))))
    }

    /// Closes a connection without notice when it had no request for this long. The next request on it may cross with the
    /// close.
    pub fn close_idle_after(mut self, idle: Duration) -> Self {
        self.settings.idle_close = Some(idle);
        self
    }

    /// Refuses longer bodies with 413. In bytes.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.settings.max_body = bytes;
        self
    }

    /// The time of the provider's wall clock at the start, for `Date`, `created` and absolute resets.
    pub fn wall_clock(mut self, start: SystemTime) -> Self {
        self.anchor = Wall::new(start);
        self
    }

    /// Starts the simulator's time. Where tokio's clock is paused, call it in that runtime.
    pub fn build(self) -> Simulator {
        let common = Common {
            limits: &self.limits,
            changes: &self.changes,
            counting: self.counting,
            others: self.others.as_ref(),
            seed: self.settings.seed,
        };
        let keys = self.settings.keys.iter().map(|key| &key.settings);
        let quotas = Accounts::new(&common, keys, &self.settings.models);
        Simulator::new(Arc::new(Provider::new(self.settings, quotas, self.anchor)))
    }

    fn limit(mut self, dimension: Dimension, limit: u64) -> Self {
        accounts::set(&mut self.limits, dimension, limit);
        self
    }

    fn rule(mut self, rule: Rule) -> Self {
        self.settings.rules.push(rule);
        self
    }
}
