//! A hedged call, compared with a plain model: its result, its time and its price.

use std::pin::pin;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{HEDGE, Output, Server, budget, took};
use crate::ms;

/// The result of a call, its time, and whether it was hedged.
fn model(
    [original, hedge]: [(u64, Output); 2],
    delay: u64,
    until: u64,
    affordable: bool,
) -> (Output, u64, bool) {
    let hedged = original.0 > delay && delay < until && affordable;
    if !hedged {
        return (original.1, original.0, false);
    }
    // Where both are ready at the same time, the original counts.
    let hedge = (delay + hedge.0, hedge.1);
    let (first, second) = if original.0 <= hedge.0 { (original, hedge) } else { (hedge, original) };
    let (output, at) = match (first.1, second.1) {
        (Err("busy"), Err("busy")) => (Err("busy"), second.0),
        (Err("busy"), decided) => (decided, second.0),
        (decided, _) => (decided, first.0),
    };
    (output, at, true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_call_does_what_the_model_does(
        answers in proptest::array::uniform2((
            0..40u64, prop_oneof![Just(Ok("reply")), Just(Err("busy")), Just(Err("final"))],
        )),
        delay in 1..20u64,
        until in 1..25u64,
        affordable: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let actual = runtime.block_on(async {
            let server = Server::new(answers[0], answers[1]);
            let (latencies, budget) = (took(ms(delay)), budget(affordable.into()));
            let hedge = HEDGE.when(|error: &&str| *error == "busy").until(Instant::now() + ms(until));
            let mut call = pin!(hedge.call_idempotent(&latencies, &budget, |attempt| server.call(attempt)));
            let output = call.as_mut().await;
            assert_eq!(server.under_way.get(), 0);
            let hedged = server.begun().len() == 2;
            assert_eq!(budget.available(), u64::from(affordable && !hedged));
            (output, server.started.elapsed().as_millis() as u64, hedged)
        });
        prop_assert_eq!(actual, model(answers, delay, until, affordable));
    }
}
