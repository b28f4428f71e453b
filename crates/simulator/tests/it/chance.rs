//! Which fault strikes which attempt: by chance, by time, by number, by a rule of your own.

use std::collections::BTreeMap;

use outbound_simulator::{Builder, Fault, Ledger, Refusal, Simulator};

use crate::support::{Client, chat, ms, secs};

fn builder() -> Builder {
    Simulator::builder().seed(7).fault(Refusal::status(500), 0.2).fault(Refusal::status(503), 0.1)
}

/// The status of each attempt at each body.
fn statuses(ledger: &Ledger) -> BTreeMap<(u64, u32), String> {
    ledger
        .entries()
        .iter()
        .map(|entry| ((entry.seen.body_hash, entry.seen.attempt), entry.outcome.to_string()))
        .collect()
}

async fn send(simulator: &Simulator, prompts: impl IntoIterator<Item = u32>) {
    let mut client = Client::to(simulator).await;
    for prompt in prompts {
        client.chat(&chat(&prompt.to_string())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_draw_does_not_depend_on_the_order_of_arrival() {
    let (one, other) = (builder().build(), builder().build());
    send(&one, (0..200).chain(0..200)).await;
    send(&other, (0..200).rev().flat_map(|prompt| [prompt, prompt])).await;
    assert_eq!(statuses(&one.ledger()), statuses(&other.ledger()));
    assert_ne!(one.ledger().digest(), other.ledger().digest());
}

#[tokio::test(start_paused = true)]
async fn refusals_by_a_quota_do_not_shift_the_draws() {
    let (free, limited) = (builder().build(), builder().requests_per_minute(60).burst(secs(1)).build());
    send(&free, 0..100).await;
    let mut client = Client::to(&limited).await;
    for prompt in 0..100 {
        while client.chat(&chat(&prompt.to_string())).await.status == 429 {
            tokio::time::sleep(ms(170)).await;
        }
    }
    let ledger = limited.ledger();
    assert!(ledger.refused() > 100);
    assert_eq!(ledger.most_attempts(), 1);
    let admitted: BTreeMap<_, _> =
        statuses(&ledger).into_iter().filter(|(_, outcome)| !outcome.starts_with("over quota")).collect();
    assert_eq!(admitted, statuses(&free.ledger()));
}

#[tokio::test(start_paused = true)]
async fn faults_are_as_likely_as_asked_for() {
    let simulator = builder().build();
    send(&simulator, 0..2_000).await;
    let ledger = simulator.ledger();
    let count =
        |name: &str| ledger.entries().iter().filter(|entry| entry.outcome.to_string() == name).count();
    // The first rule that applies strikes. So the shares are 0.2, and 0.8 * 0.1 for the second rule.
    assert!((340..460).contains(&count("refused 500")), "{}", count("refused 500"));
    assert!((110..210).contains(&count("refused 503")), "{}", count("refused 503"));
}

#[tokio::test(start_paused = true)]
async fn seeds_differ_and_odd_probabilities_have_a_meaning() {
    let ledger_of = async |builder: Builder| {
        let simulator = builder.build();
        send(&simulator, 0..50).await;
        simulator.ledger()
    };
    assert_ne!(statuses(&ledger_of(builder()).await), statuses(&ledger_of(builder().seed(8)).await));
    for (probability, answered) in [(0.0, 50), (-1.0, 50), (f64::NAN, 50), (1.0, 0), (2.0, 0)] {
        let ledger = ledger_of(Simulator::builder().fault(Refusal::status(500), probability)).await;
        assert_eq!(ledger.answered(), answered, "{probability}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_keep_to_their_times() {
    let simulator = Simulator::builder().fault_during(Refusal::status(503), secs(20)..secs(25)).build();
    let mut client = Client::to(&simulator).await;
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(client.chat(&chat("hello")).await.status.as_u16());
        tokio::time::sleep(secs(1)).await;
    }
    let outage: Vec<_> = (0..30).filter(|second| statuses[*second] == 503).collect();
    assert_eq!(outage, [20, 21, 22, 23, 24]);
}

#[tokio::test(start_paused = true)]
async fn faults_strike_an_attempt_of_each_request() {
    let simulator = Simulator::builder()
        .fault_on_attempt(Refusal::status(500), 1)
        .fault_on_attempt(Refusal::status(502), 2)
        .build();
    let mut client = Client::to(&simulator).await;
    for expected in [500, 502, 200, 200] {
        for prompt in ["a", "b"] {
            assert_eq!(client.chat(&chat(prompt)).await.status, expected);
        }
    }
    // An idempotency key makes it another request.
    let mut client = client.with("idempotency-key", "k1");
    assert_eq!(client.chat(&chat("a")).await.status, 500);
    assert_eq!(simulator.ledger().entries().last().unwrap().seen.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_ones_own_sees_the_request() {
    let simulator = Simulator::builder()
        .fault_when(|seen| {
            (seen.sequence < 2 && seen.model.as_deref() == Some("test-model")).then_some(Fault::BadJson)
        })
        .fault_when(|seen| (seen.at >= secs(5)).then(|| Refusal::status(529).into()))
        .build();
    let mut client = Client::to(&simulator).await;
    for _ in 0..2 {
        assert!(serde_json::from_slice::<serde_json::Value>(&client.chat(&chat("a")).await.body()).is_err());
    }
    assert_eq!(client.chat(&chat("a")).await.json()["object"], "chat.completion");
    tokio::time::sleep(secs(5)).await;
    assert_eq!(client.chat(&chat("a")).await.status, 529);
}
