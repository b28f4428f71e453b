//! Prices and budgets.

use outbound::{
    Endpoint, ErrorKind, Money, Price, Prices, Provider, Request, RequestManager, RequestManagerBuilder,
};
use outbound_simulator::{Fault, Latency, Refusal, Simulator};
use tokio::time::Instant;

use crate::stack::{chat, manager, ms, provider, s};

/// One dollar for each token of input, and two for each of output. So amounts are easy to read.
fn prices() -> Prices {
    Prices::new().model("test", Price::per_million(1e6, 2e6))
}

fn priced(simulator: &Simulator) -> RequestManagerBuilder {
    manager(simulator).prices(prices())
}

/// What a server has billed, by the same prices.
fn billed(simulator: &Simulator) -> Money {
    let (input, output) = simulator.ledger().tokens();
    Money::dollars(input as f64 + 2.0 * output as f64)
}

#[tokio::test(start_paused = true)]
async fn an_outcome_says_what_its_answer_cost() {
    let simulator = provider().build();
    let manager = priced(&simulator).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert!(outcome.cost.is_some_and(|cost| cost > Money::ZERO));
    assert_eq!(outcome.cost, Some(billed(&simulator)));
    assert_eq!(manager.spent(), billed(&simulator));
    let plain = crate::stack::manager(&simulator).build().expect("a manager").send(chat(2)).await;
    assert_eq!(plain.cost, None, "without prices nobody knows");
}

/// No budget is passed, and nearly all of it is used, whatever the concurrency and the faults.
#[tokio::test(start_paused = true)]
async fn budgets_are_never_passed_and_nearly_used_up() {
    // The full test has OUTBOUND_HISTORIES=1000.
    let budgets = std::env::var("OUTBOUND_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    for seed in 0..budgets {
        let latency = Latency::log_normal(ms(200), s(2)).max(s(5));
        let mut provider = provider().seed(seed).latency(latency).output_tokens(4..=32);
        if seed % 4 == 1 {
            provider = provider.fault(Fault::Refuse(Refusal::status(500)), 0.1);
        }
        if seed % 4 == 2 {
            provider = provider.fault(Fault::Refuse(Refusal::rate_limited().retry_after(s(1))), 0.1);
        }
        let simulator = provider.build();
        // The most expensive request may cost 215. The budget has to be 20 times that for a margin of a twentieth.
        let budget = Money::dollars(5_000.0 + (seed % 97) as f64 * 31.0);
        let concurrent = 1 + usize::try_from(seed % 23).expect("small");
        let manager =
            priced(&simulator).budget(budget).max_concurrent(concurrent).build().expect("a manager");
        let mut batch = manager.batch((0..400).map(chat));
        let mut costs = Money::ZERO;
        while let Some(outcome) = batch.next().await {
            costs += outcome.cost.unwrap_or_default();
        }
        let stopped = batch.stopped().expect("the budget ends first");
        assert_eq!(stopped.kind, ErrorKind::BudgetSpent, "{seed}: {stopped:?}");
        assert!(!batch.into_rest().requests.is_empty(), "{seed}");
        let spent = manager.spent();
        assert!(spent <= budget && billed(&simulator) <= budget, "{seed}: {spent} of {budget}");
        assert_eq!(spent, costs, "{seed}: all that was spent is in an outcome");
        let used = spent.as_dollars() / budget.as_dollars();
        assert!(used >= 0.95, "{seed}: {used} of {budget}");
    }
}

/// A budget with room for nine worst cases costs no more time than nine calls at once. Who waits for the budget holds nothing
/// of the rate.
#[tokio::test(start_paused = true)]
async fn a_budget_for_few_worst_cases_costs_no_rate() {
    async fn run(budget: Option<Money>, concurrent: usize) -> f64 {
        let simulator = provider()
            .requests_per_minute(600)
            .burst(s(1))
            .latency(Latency::fixed(ms(300)))
            .output_tokens(4..=8)
            .build();
        let mut builder = priced(&simulator).max_concurrent(concurrent).requests_per_minute(600);
        if let Some(budget) = budget {
            builder = builder.budget(budget);
        }
        let manager = builder.build().expect("a manager");
        let began = Instant::now();
        // At worst each of them costs a little more than 2,000, and really about 30.
        let requests = (0..200).map(|id| Request::prompt("test", format!("Name {id}.")).max_tokens(1_000));
        let outcomes: Vec<_> = manager.batch(requests).collect().await;
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
        began.elapsed().as_secs_f64()
    }
    let (with, without) = (run(Some(Money::dollars(24_500.0)), 64).await, run(None, 9).await);
    assert!(with <= without * 1.05, "{with} s, and {without} s with as many calls at once");
    // 200 at ten a second.
    assert!((19.0..22.0).contains(&with), "{with} s");
}

/// After a pause requests with a price go on in the order in which they came.
#[tokio::test(start_paused = true)]
async fn a_pause_changes_no_order() {
    let simulator = provider().latency(Latency::fixed(s(1))).build();
    let manager = priced(&simulator).max_concurrent(4).build().expect("a manager");
    let mut tickets = Vec::new();
    for id in 0..20 {
        tickets.push(manager.submit(chat(id)).await.expect("is taken"));
    }
    tokio::time::sleep(ms(500)).await;
    manager.pause();
    tokio::time::sleep(s(60)).await;
    manager.resume();
    let mut ends = Vec::new();
    for ticket in tickets {
        let outcome = ticket.await;
        assert!(outcome.result.is_ok());
        ends.push(outcome.elapsed);
    }
    assert!(ends.is_sorted(), "{ends:?}");
}

/// A call with an unknown end counts with its estimate: aborted, timed out, or broken.
#[tokio::test(start_paused = true)]
async fn what_may_have_been_billed_is_counted() {
    for fault in [Fault::Silence, Fault::ResetAfterHeaders { after: 2 }, Fault::BadJson] {
        let simulator = provider().fault(fault.clone(), 1.0).build();
        let manager = priced(&simulator).max_attempts(1).attempt_timeout(s(9)).build().expect("a manager");
        assert!(manager.send(chat(1)).await.result.is_err());
        assert!(manager.spent() >= billed(&simulator) && manager.spent() > Money::ZERO, "{fault:?}");
    }
    let simulator = provider().build();
    let manager = priced(&simulator).build().expect("a manager");
    assert!(tokio::time::timeout(ms(100), manager.send(chat(1))).await.is_err(), "it was cut off");
    tokio::time::sleep(ms(1)).await;
    assert!(manager.spent() > Money::ZERO);
    for refusal in [Refusal::status(400), Refusal::status(503)] {
        let simulator = provider().fault(Fault::Refuse(refusal), 1.0).build();
        let manager = priced(&simulator).max_attempts(1).deadline(s(5)).build().expect("a manager");
        assert!(manager.send(chat(1)).await.result.is_err());
        assert_eq!(manager.spent(), Money::ZERO, "a refusal costs nothing");
    }
}

/// A larger budget lets later requests go on.
#[tokio::test(start_paused = true)]
async fn a_budget_can_be_changed_while_it_runs() {
    let simulator = provider().build();
    let manager = priced(&simulator).budget(Money::dollars(1.0)).build().expect("a manager");
    let outcome = manager.send(chat(1)).await;
    assert_eq!(outcome.error_kind(), Some(ErrorKind::Stopped));
    assert!(outcome.unsent.is_some(), "here it is back");
    let message = outcome.result.expect_err("stopped").to_string();
    assert!(message.contains("budget of $1.00") && message.contains("may cost"), "{message}");
    manager.set_budget(Money::dollars(1_000.0));
    assert!(manager.send(chat(1)).await.result.is_ok());
    manager.set_budget(None);
    let began = Instant::now();
    assert!(manager.send(chat(2)).await.result.is_ok() && began.elapsed() < s(1));
}

/// Under a budget a request without a price is not sent.
#[tokio::test(start_paused = true)]
async fn a_budget_needs_prices() {
    let simulator = provider().build();
    let other = Prices::new().model("other", Price::per_million(1.0, 1.0));
    for manager in [manager(&simulator), manager(&simulator).prices(other)] {
        let manager = manager.budget(Money::dollars(9.0)).build().expect("a manager");
        let error = manager.send(chat(1)).await.result.expect_err("no price");
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("\"test\""), "{error}");
    }
    assert_eq!(simulator.ledger().sends(), 0);
}

#[test]
fn prices_are_found_by_name_and_read_from_data() {
    let table = r#"{
        "small": {"input": 0.15, "output": 0.6, "cached_input": 0.075},
        "small-vision": {"input": 1, "output": 2, "reasoning": 4, "cache_write": 8, "request": 0.5}
    }"#;
    let prices = Prices::parse(table).expect("a table");
    let small = Price::per_million(0.15, 0.60).cached_input(0.075);
    let vision = Price::per_million(1.0, 2.0).reasoning(4.0).cache_write(8.0).request(0.5);
    for (name, price) in [
        ("small", Some(&small)),
        ("small-2026-01-01", Some(&small)),
        ("small-vision", Some(&vision)),
        ("small-vision-2026", Some(&vision)),
        ("small:free", Some(&small)),
        ("smaller", None),
        ("", None),
    ] {
        assert_eq!(prices.get(name), price, "{name}");
    }
    let mut usage = outbound::Usage::default();
    (usage.input, usage.cached, usage.cache_written) = (1_000_000, 400_000, 100_000);
    (usage.output, usage.reasoning) = (1_000_000, 250_000);
    assert_eq!(vision.of(usage), Money::dollars(0.5 + 0.5 + 0.4 + 0.8 + 1.5 + 1.0));
    assert_eq!(small.of(usage), Money::dollars(0.6 * 0.15 + 0.4 * 0.075 + 0.6));
    assert_eq!(vision.at(0.5).of(usage), Money::dollars(2.35));
    for (table, says) in [
        ("[]", "object of models"),
        (r#"{"m": 1}"#, "\"m\": it is not an object"),
        (r#"{"m": {"input": 1}}"#, "output is missing"),
        (r#"{"m": {"input": -1, "output": 1}}"#, "input is not an amount"),
        (r#"{"m": {"input": 1, "output": 1, "x": 1}}"#, "no price called \"x\""),
        ("{", "EOF"),
    ] {
        let error = Prices::parse(table).expect_err(table).to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(Money::dollars(1.5).to_string(), "$1.50");
    assert_eq!(Money::dollars(0.000_123).to_string(), "$0.000123");
    assert_eq!((Money::dollars(-1.0), Money::dollars(f64::NAN)), (Money::ZERO, Money::ZERO));
}

/// Endpoints of one name may write a prompt at different lengths. The budget needs room for the longest.
#[tokio::test(start_paused = true)]
async fn a_budget_holds_over_endpoints_of_different_formats() {
    let simulator = provider().build();
    let endpoint = |provider: Provider| {
        let client = crate::stack::client(&simulator);
        Endpoint::new(provider).base_url("http://other.test/v1").key(crate::stack::KEY).client(client)
    };
    let (mut sent, mut stopped) = (0, 0);
    for dollars in 120..280 {
        for [one, other] in [
            [Provider::openai_compatible(), Provider::anthropic()],
            [Provider::anthropic(), Provider::openai_compatible()],
        ] {
            let manager = RequestManager::builder()
                .default_endpoint(endpoint(one))
                .another_endpoint(endpoint(other))
                .prices(prices())
                .budget(Money::dollars(f64::from(dollars)));
            let manager = manager.build().expect("a manager");
            let outcome = manager
                .send(Request::prompt("test", "What is 1 and 1?").system("Be short.").max_tokens(32))
                .await;
            match outcome.error_kind() {
                Some(kind) => {
                    assert_eq!(kind, ErrorKind::Stopped);
                    stopped += 1;
                }
                None => sent += 1,
            }
        }
    }
    assert!(sent > 20 && stopped > 20, "{sent} {stopped}");
}
