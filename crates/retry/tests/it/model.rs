//! A call, compared with a plain model: when it makes attempts, and why it stops.

use std::{cell::RefCell, pin::pin, time::Duration};

use outbound_retry::{Budget, Retry, StopReason, Verdict, Wait};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

/// One attempt: how long it takes, and the verdict on its failure. `None` is a success.
type Step = (u64, Option<Verdict>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Retry),
        2 => (0..40u64).prop_map(|n| Verdict::RetryAfter(Duration::from_millis(n))),
        2 => (0..40u64).prop_map(|n| Verdict::RetryFree(Duration::from_millis(n))),
        1 => Just(Verdict::Stop),
    ];
    proptest::collection::vec((0..20u64, proptest::option::weighted(0.85, verdict)), 1..12)
}

#[derive(Debug, PartialEq)]
struct Outcome {
    begun_at: Vec<u64>,
    stopped: Option<StopReason>,
    slept: u64,
    left: u64,
}

fn model(
    steps: &[Step],
    attempts: u32,
    within: Option<u64>,
    wait: u64,
    give_up: u64,
    mut tokens: u64,
) -> Outcome {
    let (mut now, mut charged, mut slept, mut begun_at) = (0, 0, 0, Vec::new());
    // `within` starts at the first `Pending` or at the first failure. Here both are at zero.
    let outcome = |stopped, slept, left, begun_at: &mut Vec<u64>| Outcome {
        begun_at: std::mem::take(begun_at),
        stopped,
        slept,
        left,
    };
    for (takes, verdict) in steps {
        begun_at.push(now);
        now += takes;
        let Some(verdict) = verdict else { return outcome(None, slept, tokens, &mut begun_at) };
        let free = matches!(verdict, Verdict::RetryFree(_));
        charged += u32::from(!free);
        let hint = match verdict {
            Verdict::RetryAfter(hint) | Verdict::RetryFree(hint) => Some(hint.as_millis() as u64),
            Verdict::Retry | Verdict::Stop => None,
        };
        let wait = if free { hint.unwrap() } else { hint.unwrap_or(0).max(wait) };
        let stopped = if *verdict == Verdict::Stop {
            Some(StopReason::NotRetryable)
        } else if !free && charged >= attempts {
            Some(StopReason::Attempts)
        } else if hint.is_some_and(|hint| hint > give_up) {
            Some(StopReason::HintTooLong)
        } else if within.is_some_and(|within| now + wait >= within) {
            Some(StopReason::Deadline)
        } else if !free && tokens == 0 {
            Some(StopReason::Budget)
        } else {
            None
        };
        if stopped.is_some() {
            return outcome(stopped, slept, tokens, &mut begun_at);
        }
        tokens -= u64::from(!free);
        slept += wait;
        now += wait;
    }
    begun_at.push(now);
    outcome(None, slept, tokens, &mut begun_at)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_call_does_what_the_model_does(
        steps in steps(),
        attempts in 1..8u32,
        within in proptest::option::of(1..150u64),
        wait in 0..30u64,
        give_up in 10..40u64,
        tokens in 0..6u32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let actual = runtime.block_on(async {
            let mut retry = Retry::attempts(attempts)
                .wait(Wait::fixed(Duration::from_millis(wait)))
                .give_up_beyond(Duration::from_millis(give_up));
            if let Some(within) = within {
                retry = retry.within(Duration::from_millis(within));
            }
            let budget = Budget::percent(0).reserve(tokens);
            let begun_at = RefCell::new(Vec::new());
            let started = Instant::now();
            let mut call = pin!(retry.when(|verdict: &Verdict| *verdict).budget(&budget).call(|attempt| {
                begun_at.borrow_mut().push(started.elapsed().as_millis() as u64);
                let step = steps.get(attempt.number() as usize - 1).copied();
                async move {
                    let (takes, verdict) = step.unwrap_or((0, None));
                    if takes > 0 {
                        sleep(Duration::from_millis(takes)).await;
                    }
                    verdict.map_or(Ok(()), Err)
                }
            }));
            let _ = call.as_mut().await;
            let report = call.report();
            assert_eq!(report.attempts() as usize, begun_at.borrow().len());
            Outcome {
                begun_at: begun_at.take(),
                stopped: report.stopped(),
                slept: report.slept().as_millis() as u64,
                left: budget.available(),
            }
        });
        prop_assert_eq!(actual, model(&steps, attempts, within, wait, give_up, tokens.into()));
    }
}
