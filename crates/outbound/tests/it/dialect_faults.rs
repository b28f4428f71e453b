//! Faults of a simulated provider in each dialect, and what the manager makes of them.

use outbound::{ErrorKind, Outcome, Provider, Request, RequestManagerBuilder};
use outbound_simulator::{Builder, Fault, Refusal, Simulator};
use serde_json::json;
use tokio::time::Instant;

use crate::stack::{self, ms, provider, s};

/// A provider, the path prefix of its simulated server, and a request for a stream.
struct Dialect {
    name: &'static str,
    provider: Provider,
    base: &'static str,
    streamed: Request,
}

fn dialects() -> Vec<Dialect> {
    let prompt = || Request::prompt("m", "Two rivers?");
    let contents = json!({ "contents": [{ "role": "user", "parts": [{ "text": "Two rivers?" }] }] });
    let array = Request::post("/models/m:streamGenerateContent", &contents);
    let gemini = "http://provider.test/v1beta";
    [
        ("gemini, events", Provider::gemini(), gemini, prompt()),
        ("gemini, an array", Provider::gemini(), gemini, array),
        ("responses", Provider::openai_responses(), "http://provider.test/v1", prompt()),
        ("ollama", Provider::ollama(), "http://provider.test", prompt()),
    ]
    .map(|(name, provider, base, streamed)| Dialect { name, provider, base, streamed })
    .into()
}

impl Dialect {
    fn manager(&self, simulator: &Simulator) -> RequestManagerBuilder {
        stack::manager(simulator).provider(self.provider).base_url(self.base)
    }

    /// Sends a prompt for a whole answer.
    async fn plain(&self, simulator: Builder) -> Outcome {
        let manager = self.manager(&simulator.build()).build().expect("a manager");
        manager.send(Request::prompt("m", "Two rivers?")).await
    }

    /// Sends a prompt for a stream. Returns the texts that were delivered too.
    async fn stream(
        &self,
        simulator: Builder,
        set: impl FnOnce(RequestManagerBuilder) -> RequestManagerBuilder,
    ) -> (Vec<String>, Outcome) {
        let manager = set(self.manager(&simulator.build())).build().expect("a manager");
        let mut reply = manager.stream(self.streamed.clone());
        let mut texts = Vec::new();
        while let Some(item) = reply.next().await {
            texts.extend(item.map(|item| item.text().to_owned()).ok().filter(|text| !text.is_empty()));
        }
        (texts, reply.outcome().await)
    }
}

fn five_tokens() -> Builder {
    provider().output_tokens(5..=5)
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_delivered_item_by_item_with_its_usage() {
    for dialect in dialects() {
        let (texts, outcome) = dialect.stream(five_tokens(), |manager| manager).await;
        assert_eq!(texts.len(), 5, "{}: {texts:?}", dialect.name);
        assert_eq!(outcome.usage.map(|usage| (usage.input, usage.output)), Some((3, 5)), "{}", dialect.name);
        let reply = outcome.result.expect("an answer");
        assert_eq!(reply.content(), Some(texts.concat()), "{}", dialect.name);
        let openai = reply.as_openai().expect("an answer");
        assert_eq!(openai["choices"][0]["finish_reason"], "stop", "{}", dialect.name);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_reached_its_limit_says_so() {
    for dialect in dialects() {
        let simulator = five_tokens().build();
        let manager = dialect.manager(&simulator).build().expect("a manager");
        let short = Request::prompt("m", "Two rivers?").max_tokens(2);
        for outcome in [manager.send(short.clone()).await, manager.stream(short).outcome().await] {
            let openai = outcome.result.expect("an answer").as_openai().expect("an answer");
            assert_eq!(openai["choices"][0]["finish_reason"], "length", "{}", dialect.name);
            assert_eq!(openai["usage"]["completion_tokens"], 2, "{}", dialect.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_refused_is_tried_again() {
    for dialect in dialects() {
        for (refusal, charged) in [
            (Refusal::rate_limited().retry_after(s(2)).hint(s(2)), 1),
            (Refusal::status(503).retry_after(s(2)), 1),
            (Refusal::status(500), 2),
        ] {
            let status = format!("{}: {refusal:?}", dialect.name);
            let simulator = five_tokens().fault_on_attempt(refusal, 1);
            let (texts, outcome) = dialect.stream(simulator, |manager| manager).await;
            assert_eq!((texts.len(), outcome.sends, outcome.charged), (5, 2, charged), "{status}");
            assert!(outcome.result.is_ok(), "{status}");
        }
    }
}

/// The message has the wait in nanoseconds. `RetryInfo` has it in whole seconds, rounded down.
#[tokio::test(start_paused = true)]
async fn geminis_wait_is_kept_to_the_end() {
    for dialect in &dialects()[..2] {
        let simulator = five_tokens().fault_on_attempt(Refusal::rate_limited().hint(ms(3_700)), 1);
        let started = Instant::now();
        let (_, outcome) = dialect.stream(simulator, |manager| manager).await;
        assert!(outcome.result.is_ok() && outcome.sends == 2, "{}: {outcome:?}", dialect.name);
        assert!(started.elapsed() >= ms(3_700) && started.elapsed() < s(6), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_says_what_arrived() {
    for dialect in dialects() {
        for (fault, kind) in [
            (Fault::Truncate { after: 3 }, ErrorKind::StreamBroken),
            (Fault::Truncate { after: 99 }, ErrorKind::StreamBroken),
            (Fault::CutShort { after: 3 }, ErrorKind::Connection),
            (Fault::CutShort { after: 99 }, ErrorKind::Connection),
            (Fault::ResetAfterHeaders { after: 3 }, ErrorKind::Connection),
        ] {
            let case = format!("{}, {fault}", dialect.name);
            let simulator = five_tokens().fault(fault, 1.0);
            let (texts, outcome) = dialect.stream(simulator, |manager| manager).await;
            let error = outcome.result.expect_err("it was cut");
            assert_eq!(error.kind(), kind, "{case}: {error}");
            assert_eq!(error.partial(), Some(texts.concat().as_str()), "{case}");
            assert!(texts.len() >= 3, "{case}: {texts:?}");
            // Items that were delivered cannot be taken back.
            assert_eq!(outcome.sends, 1, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_before_its_first_item_is_tried_again() {
    for dialect in dialects() {
        for fault in [
            Fault::Truncate { after: 0 },
            Fault::CutShort { after: 0 },
            Fault::ResetAfterHeaders { after: 0 },
            Fault::ResetBeforeHeaders,
            Fault::Stall { after: 0 },
            Fault::Silence,
            Fault::BadJson,
            Fault::ErrorEvent { after: 0 },
        ] {
            let case = format!("{}, {fault}", dialect.name);
            let simulator = five_tokens().fault_on_attempt(fault, 1);
            let (texts, outcome) =
                dialect.stream(simulator, |manager| manager.first_item_timeout(s(5))).await;
            assert!(outcome.result.is_ok(), "{case}: {outcome:?}");
            assert_eq!((texts.len(), outcome.sends), (5, 2), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_ends_by_its_idle_limit() {
    for dialect in dialects() {
        let started = Instant::now();
        let simulator = five_tokens().fault(Fault::Stall { after: 3 }, 1.0);
        let (texts, outcome) = dialect.stream(simulator, |manager| manager.idle_timeout(s(5))).await;
        let error = outcome.result.expect_err("it stalled");
        assert_eq!((error.kind(), texts.len()), (ErrorKind::Timeout, 3), "{}: {error}", dialect.name);
        assert_eq!(error.partial(), Some(texts.concat().as_str()), "{}", dialect.name);
        assert!(started.elapsed() < s(6), "{}: {:?}", dialect.name, started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_a_stream_ends_it() {
    for dialect in dialects() {
        let simulator = five_tokens().fault(Fault::ErrorEvent { after: 2 }, 1.0);
        let (texts, outcome) = dialect.stream(simulator, |manager| manager).await;
        let error = outcome.result.expect_err("it sent an error");
        assert_eq!((texts.len(), outcome.sends), (2, 1), "{}: {error}", dialect.name);
        assert_eq!(error.partial(), Some(texts.concat().as_str()), "{}", dialect.name);
    }
}

#[tokio::test(start_paused = true)]
async fn comments_keep_a_slow_stream_until_the_first_item_timeout() {
    for dialect in dialects() {
        let slow = five_tokens().fault(Fault::KeepAlive { every: s(4), count: Some(4) }, 1.0);
        let (texts, outcome) = dialect.stream(slow, |manager| manager.idle_timeout(s(5))).await;
        assert!(outcome.result.is_ok(), "{}: {outcome:?}", dialect.name);
        assert_eq!((texts.len(), outcome.sends), (5, 1), "{}", dialect.name);

        let started = Instant::now();
        let dead = five_tokens().fault(Fault::KeepAlive { every: s(4), count: None }, 1.0);
        let limits = |manager: RequestManagerBuilder| {
            manager.idle_timeout(s(5)).first_item_timeout(s(20)).max_attempts(1)
        };
        let (_, outcome) = dialect.stream(dead, limits).await;
        let error = outcome.result.expect_err("dead");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{}: {error}", dialect.name);
        let took = started.elapsed();
        assert!(took > ms(19_900) && took < s(21), "{}: {took:?}", dialect.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_answer_that_goes_wrong_is_tried_again() {
    for dialect in dialects() {
        for fault in [
            Fault::Truncate { after: 1 },
            Fault::CutShort { after: 1 },
            Fault::ResetAfterHeaders { after: 1 },
            Fault::ResetBeforeHeaders,
            Fault::BadJson,
            Fault::ErrorEvent { after: 0 },
        ] {
            let case = format!("{}, {fault}", dialect.name);
            let outcome = dialect.plain(five_tokens().fault_on_attempt(fault, 1)).await;
            assert_eq!(outcome.sends, 2, "{case}: {outcome:?}");
            let text = outcome.result.expect("an answer").content().expect("a text");
            assert_eq!(text.split(' ').count(), 5, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_and_a_quota_that_is_spent_are_known() {
    for dialect in dialects() {
        let outcome = dialect.plain(provider().fault(Refusal::quota_spent(), 1.0)).await;
        let error = outcome.result.expect_err("it is spent");
        assert_eq!(error.kind(), ErrorKind::QuotaSpent, "{}: {error}", dialect.name);

        let simulator = Simulator::builder().key("another").build();
        let manager = dialect.manager(&simulator).build().expect("a manager");
        let outcome = manager.send(Request::prompt("m", "Two rivers?")).await;
        let error = outcome.result.expect_err("it is not the key");
        assert_eq!((error.kind(), outcome.sends), (ErrorKind::Auth, 1), "{}: {error}", dialect.name);
    }
}
