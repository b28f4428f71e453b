//! Plans, what they cost, and the oracle that computes their best time.

use bytes::Bytes;
use http::Method;
use outbound_simulator::{
    Builder, Charging, Fault, Latency, LimitHeaders, Outcome, Plan, Refusal, Simulator, Window,
};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::support::{CHAT, Client, chat, ms, secs};

fn items(count: u64) -> Vec<Bytes> {
    let item = |item| {
        let mut body = chat(&format!("What is {item}? {}", Plan::mark(item)));
        body["max_tokens"] = json!(50);
        body.to_string().into()
    };
    (0..count).map(item).collect()
}

/// Sends one call at a time, each again until it is answered.
async fn serve(simulator: &Simulator, bodies: &[Bytes], patience: std::time::Duration) {
    for body in bodies {
        loop {
            let mut client = Client::to(simulator).await;
            let sent = timeout(patience, client.send(Method::POST, CHAT, body.clone())).await;
            match sent {
                Ok(Ok(got)) if got.status == 429 => {
                    let wait = got.header("retry-after-ms").map_or(10, |wait| wait.parse().unwrap());
                    sleep(ms(wait)).await;
                }
                Ok(Ok(got)) if got.status == 200 && got.is_whole => {
                    let whole = serde_json::from_slice::<serde_json::Value>(&got.body());
                    if whole.is_ok() {
                        break;
                    }
                }
                Ok(Ok(got)) if got.status == 400 => break,
                _ => {}
            }
        }
    }
}

fn faulty(plan: Plan) -> Plan {
    plan.fault(Refusal::status(500), 0.1)
        .fault(Fault::ResetBeforeHeaders, 0.05)
        .fault(Fault::ResetAfterHeaders { after: 1 }, 0.05)
        .fault(Fault::Silence, 0.05)
        .fault(Fault::CutShort { after: 1 }, 0.05)
        .fault(Fault::Stall { after: 1 }, 0.05)
        .fault(Fault::Truncate { after: 1 }, 0.05)
}

#[tokio::test(start_paused = true)]
async fn a_run_meets_exactly_what_the_oracle_foresaw() {
    let plan = faulty(Plan::new(3, 40).latency(Latency::log_normal(ms(100), secs(1)).max(secs(3))));
    let simulator = Simulator::builder().plan(plan.refuse_for_good(Refusal::status(400), 0.05)).build();
    let bodies = items(40);
    let best = simulator.oracle(&bodies, 1, secs(2));
    serve(&simulator, &bodies, secs(2)).await;
    let ledger = simulator.ledger();
    assert_eq!(ledger.sends(), best.attempts);
    // Without limits and with one call at a time there is only one possible time, except for what timers round up.
    let over = simulator.elapsed().checked_sub(best.time).expect("nobody beats the oracle");
    assert!(over < ms(1) * best.attempts as u32, "{over:?}");
    let first = |text: &str| {
        let is = |fault: &Fault| fault.to_string() == text;
        ledger.entries().iter().filter(|e| e.seen.attempt == 1 && e.fault.as_ref().is_some_and(is)).count()
    };
    for (text, count) in [
        ("status 500", 4),
        ("reset before headers", 2),
        ("reset after 1", 2),
        ("silence", 2),
        ("cut short after 1", 2),
        ("stall after 1", 2),
        ("truncated after 1", 2),
        ("status 400", 2),
    ] {
        assert_eq!(first(text), count, "{text}");
    }
    assert_eq!((ledger.answered(), ledger.answered_again()), (38, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_beats_the_oracle() {
    for charging in [Charging::Estimate, Charging::Settle, Charging::Actual] {
        for window in [Window::Bucket, Window::Fixed, Window::Log] {
            let plan = faulty(Plan::new(5, 60).latency(Latency::fixed(ms(50))));
            let simulator = Simulator::builder()
                .requests_per_minute(600)
                .tokens_per_minute(36_000)
                .burst(secs(1))
                .charging(charging)
                .window(window)
                .outage(secs(1)..secs(2))
                .plan(plan)
                .build();
            let bodies = items(60);
            let best = simulator.oracle(&bodies, 64, secs(2));
            serve(&simulator, &bodies, secs(2)).await;
            assert!(best.time <= simulator.elapsed(), "{charging:?} {window:?}");
            assert!(best.time > secs(5), "600 a minute are ten a second: {best:?}");
            assert_eq!(simulator.ledger().admitted(), best.attempts);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_charges_nothing_and_is_no_attempt() {
    let simulator = Simulator::builder()
        .requests_per_minute(60)
        .burst(secs(1))
        .latency(Latency::fixed(secs(3)))
        .outage(secs(1)..secs(5))
        .plan(Plan::new(1, 2).latency(Latency::fixed(secs(3))))
        .build();
    let bodies = items(2);
    let mut early = Client::to(&simulator).await;
    let mut late = Client::to(&simulator).await;
    let (early, ()) = tokio::join!(early.send(Method::POST, CHAT, bodies[0].clone()), async {
        sleep(secs(2)).await;
        for _ in 0..3 {
            let got = late.send(Method::POST, CHAT, bodies[1].clone()).await.unwrap();
            assert_eq!((got.status.as_u16(), got.header("retry-after")), (503, None));
            assert_eq!(got.header("x-ratelimit-remaining-requests"), Some("1"));
        }
        assert_eq!(simulator.elapsed(), secs(2));
    });
    assert_eq!(early.unwrap().status, 200, "what was there before goes on");
    let ledger = simulator.ledger();
    assert_eq!((ledger.sends_in_outages(), ledger.in_flight_at_outages(), ledger.admitted()), (3, 1, 1));
    sleep(secs(3)).await;
    assert_eq!(late.send(Method::POST, CHAT, bodies[1].clone()).await.unwrap().status, 200);
    assert_eq!(simulator.ledger().entries().last().unwrap().seen.attempt, 1);
}

fn with_a_limit(builder: Builder) -> Simulator {
    builder.tokens_per_minute(60_000).output_tokens(10..=10).latency(Latency::fixed(ms(1))).build()
}

#[tokio::test(start_paused = true)]
async fn each_way_of_charging_leaves_what_it_must() {
    for (charging, left) in
        [(Charging::Estimate, 60_000 - 502), (Charging::Settle, 60_000 - 12), (Charging::Actual, 60_000 - 12)]
    {
        let simulator = with_a_limit(Simulator::builder().charging(charging).window(Window::Log));
        let mut body = chat("12345678");
        body["max_tokens"] = json!(500);
        let mut client = Client::to(&simulator).await;
        client.chat(&body).await;
        let got = client.chat(&chat("")).await;
        let remaining: u64 = got.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
        // The second one: a token for a prompt of nothing, and ten.
        assert_eq!(remaining, left - 11, "{charging:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_counted_about_as_a_tokenizer_does() {
    let simulator = Simulator::builder().token_spread(0.1).output_tokens(1..=1).build();
    let mut client = Client::to(&simulator).await;
    let mut counts = Vec::new();
    for index in 0..100 {
        let got = client.chat(&chat(&format!("{index:04000}"))).await;
        counts.push(got.json()["usage"]["prompt_tokens"].as_u64().unwrap());
    }
    assert!(counts.iter().all(|count| (907..=1_107).contains(count)), "{counts:?}");
    assert!(counts.iter().any(|count| *count < 957) && counts.iter().any(|count| *count > 1_057));
    let again = client.chat(&chat(&format!("{:04000}", 0))).await;
    assert_eq!(again.json()["usage"]["prompt_tokens"].as_u64(), Some(counts[0]));
}

#[tokio::test(start_paused = true)]
async fn headers_may_be_as_old_as_the_reply() {
    for (is_old, remaining) in [(true, "9"), (false, "10")] {
        let mut builder =
            Simulator::builder().requests_per_minute(600).burst(secs(1)).latency(Latency::fixed(secs(2)));
        if is_old {
            builder = builder.headers_at_admission();
        }
        let got = Client::to(&builder.build()).await.chat(&chat("a")).await;
        assert_eq!(got.header("x-ratelimit-remaining-requests"), Some(remaining));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_seen_need_not_be_billed() {
    for (fault, is_billed) in [
        (Fault::Silence, false),
        (Fault::ResetBeforeHeaders, false),
        (Fault::Stall { after: 1 }, true),
        (Fault::CutShort { after: 1 }, true),
        (Fault::Truncate { after: 1 }, true),
    ] {
        let simulator = Simulator::builder()
            .fault(fault.clone(), 1.0)
            .bill_only_seen()
            .limit_headers(LimitHeaders::None)
            .build();
        let mut client = Client::to(&simulator).await;
        let _ = timeout(secs(1), client.send(Method::POST, CHAT, chat("a").to_string())).await;
        drop(client);
        sleep(secs(1)).await;
        let ledger = simulator.ledger();
        assert_eq!(ledger.entries()[0].outcome, Outcome::Broken, "{fault}");
        assert_eq!(ledger.tokens().1 > 0, is_billed, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_in_comes_before_the_admission() {
    let simulator =
        Simulator::builder().way_in(Latency::fixed(ms(30))).requests_per_minute(60).burst(secs(1)).build();
    let mut client = Client::to(&simulator).await;
    client.chat(&chat("a")).await;
    client.chat(&chat("a")).await;
    let ledger = simulator.ledger();
    assert_eq!(ledger.entries()[0].seen.at, ms(30));
    assert_eq!((ledger.entries()[1].seen.at, ledger.refused()), (ms(60), 1));
}

#[tokio::test(start_paused = true)]
async fn models_share_the_quota_and_streams_follow_the_plan() {
    let simulator = Simulator::builder()
        .requests_per_minute(60)
        .burst(secs(2))
        .plan(Plan::new(1, 3).latency(Latency::fixed(secs(4))))
        .build();
    let ask = |item: u64| {
        let body = json!({
            "model": format!("model-{item}"), "stream": true,
            "messages": [{ "role": "user", "content": Plan::mark(item) }],
        });
        let simulator = simulator.clone();
        async move { Client::to(&simulator).await.post(CHAT, &body).await }
    };
    let (first, second, third) = tokio::join!(ask(0), ask(1), ask(2));
    let mut status = [first.status.as_u16(), second.status.as_u16(), third.status.as_u16()];
    status.sort_unstable();
    assert_eq!(status, [200, 200, 429]);
    let whole = [first, second, third].into_iter().find(|got| got.status == 200).unwrap();
    assert_eq!(whole.frames[0].0, secs(1), "a quarter of the time for the head");
    assert!(whole.frames.last().unwrap().0 > ms(3_900));
    assert!(whole.text().contains(" [item "), "and the mark with the last token");
}
