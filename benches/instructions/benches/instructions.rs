//! Instructions for one operation, as callgrind counts them, against the gates.
//!
//! Without valgrind it says so and passes.

use std::{
    future::{Future, ready},
    hint::black_box,
    pin::{Pin, pin},
    process::ExitCode,
    task::{Context, Poll, Waker},
    time::Duration,
};

use backon::{ConstantBuilder, Retryable};
use outbound_instructions::callgrind::{self, ROUNDS};
use outbound_retry::{Budget, Retry, Wait};
use outbound_timeout::{StreamLimits, StreamTimeoutExt, TimeoutExt, timeout};

const LIMIT: Duration = Duration::from_secs(30);
const AT_ONCE: Retry = Retry::attempts(3).wait(Wait::none());

/// A case's name, what it may cost over another case, and that case.
type Gate = (&'static str, Allowed, &'static str);

enum Allowed {
    Above(f64),
    Times(f64),
}

const GATES: &[Gate] = &[
    ("timeout ready", Allowed::Above(20.0), "bare ready"),
    ("timeout pending once", Allowed::Times(1.0), "tokio pending once"),
    ("four limits pending once", Allowed::Times(1.2), "timeout pending once"),
    ("four stream limits pending once", Allowed::Times(1.2), "one stream limit pending once"),
    // A call owns its policy, so that it can be spawned: 112 bytes are copied, in 14 instructions. The rest is 17, and 10
    // of the case's own.
    ("retry success", Allowed::Above(42.0), "nothing"),
    ("retry success, policy not constant", Allowed::Above(42.0), "bare ready"),
    ("retry success", Allowed::Times(0.8), "tokio-retry success"),
    ("retry two failures", Allowed::Times(0.5), "backon two failures"),
    ("retry success, budget and report", Allowed::Above(75.0), "nothing"),
    ("retry two failures", Allowed::Above(118.0), "nothing"),
    ("retry two failures, policy not constant", Allowed::Above(118.0), "nothing"),
    ("budget deposit", Allowed::Above(15.0), "nothing"),
];

/// What is aimed at and not reached, or reached in some shapes only: said, and not held against the build.
const AIMS: &[Gate] = &[
    // tokio's own timeout makes its timer in place; one from outside is made and then moved into its place.
    ("timeout pending, among many", Allowed::Times(1.0), "tokio pending, among many"),
    // It would have to borrow its policy.
    ("retry success", Allowed::Above(28.0), "nothing"),
    // A call that is awaited through a reference has a stack frame more.
    ("retry success, budget and report, by reference", Allowed::Above(75.0), "nothing"),
];

/// A case's name, and what runs so many rounds of it.
type Case = (&'static str, fn(u64));

const CASES: &[Case] = &[
    ("nothing", |rounds| each(rounds, |_| ())),
    ("bare ready", |rounds| each(rounds, |cx| assert_eq!(poll(cx, black_box(ready(1))), Poll::Ready(1)))),
    ("tokio ready", |rounds| {
        each(rounds, |cx| assert!(poll(cx, tokio::time::timeout(LIMIT, black_box(ready(1)))).is_ready()));
    }),
    ("timeout ready", |rounds| {
        each(rounds, |cx| assert!(poll(cx, timeout(LIMIT, black_box(ready(1)))).is_ready()));
    }),
    ("bare pending once", |rounds| each(rounds, |cx| twice(cx, Once::default()))),
    ("tokio pending once", |rounds| {
        each(rounds, |cx| twice(cx, tokio::time::timeout(LIMIT, Once::default())));
    }),
    ("timeout pending once", |rounds| each(rounds, |cx| twice(cx, timeout(LIMIT, Once::default())))),
    ("four limits pending once", |rounds| {
        let deadline = tokio::time::Instant::now() + 3 * LIMIT;
        each(rounds, |cx| {
            twice(
                cx,
                Once::default()
                    .timeout(LIMIT)
                    .deadline(deadline)
                    .timeout(2 * LIMIT)
                    .deadline(deadline + LIMIT),
            );
        });
    }),
    ("tokio pending, among many", |rounds| {
        among_many(rounds, || tokio::time::timeout(LIMIT, std::future::pending::<()>()));
    }),
    ("timeout pending, among many", |rounds| {
        among_many(rounds, || timeout(LIMIT, std::future::pending::<()>()));
    }),
    ("one stream limit pending once", |rounds| stream_case(rounds, StreamLimits::new().idle(LIMIT))),
    ("four stream limits pending once", |rounds| {
        let deadline = tokio::time::Instant::now() + 3 * LIMIT;
        let limits =
            StreamLimits::new().total(3 * LIMIT).deadline(deadline).first_item(2 * LIMIT).idle(LIMIT);
        stream_case(rounds, limits);
    }),
    ("retry success", |rounds| {
        each(rounds, |cx| {
            assert_eq!(poll(cx, AT_ONCE.call(|_| ready(black_box(Ok::<_, ()>(1))))), Poll::Ready(Ok(1)));
        });
    }),
    ("retry success, policy not constant", |rounds| {
        let policy = black_box(AT_ONCE);
        each(rounds, |cx| {
            assert_eq!(poll(cx, policy.call(|_| ready(black_box(Ok::<_, ()>(1))))), Poll::Ready(Ok(1)));
        });
    }),
    ("backon success", |rounds| {
        let policy = ConstantBuilder::new().with_delay(Duration::ZERO).with_max_times(2);
        each(rounds, |cx| {
            let retry = (|| ready(black_box(Ok::<_, ()>(1)))).retry(policy).sleep(|_| ready(()));
            assert_eq!(poll(cx, retry), Poll::Ready(Ok(1)));
        });
    }),
    ("tokio-retry success", |rounds| {
        each(rounds, |cx| {
            let retry = tokio_retry::Retry::start([Duration::ZERO; 2], || ready(black_box(Ok::<_, ()>(1))));
            assert_eq!(poll(cx, retry), Poll::Ready(Ok(1)));
        });
    }),
    ("retry success, budget and report", |rounds| {
        let budget = Budget::percent(1).reserve(0).max(u32::MAX);
        each(rounds, |cx| {
            let mut call = pin!(AT_ONCE.budget(&budget).call(|_| ready(black_box(Ok::<_, ()>(1)))));
            assert_eq!(call.as_mut().poll(cx), Poll::Ready(Ok(1)));
            assert_eq!(call.report().attempts(), 1);
        });
    }),
    ("retry success, budget and report, by reference", |rounds| {
        let budget = Budget::percent(1).reserve(0).max(u32::MAX);
        each(rounds, |cx| {
            let mut call = pin!(AT_ONCE.budget(&budget).call(|_| ready(black_box(Ok::<_, ()>(1)))));
            assert_eq!(poll(cx, call.as_mut()), Poll::Ready(Ok(1)));
            assert_eq!(call.report().attempts(), 1);
        });
    }),
    ("retry two failures, policy not constant", |rounds| {
        let policy = black_box(AT_ONCE);
        each(rounds, |cx| {
            let call = policy.call(|n| ready(if n.number() == black_box(3) { Ok(1) } else { Err(()) }));
            assert_eq!(poll(cx, call), Poll::Ready(Ok(1)));
        });
    }),
    ("retry two failures", |rounds| {
        each(rounds, |cx| {
            let call = AT_ONCE.call(|n| ready(if n.number() == black_box(3) { Ok(1) } else { Err(()) }));
            assert_eq!(poll(cx, call), Poll::Ready(Ok(1)));
        });
    }),
    ("backon two failures", |rounds| {
        let policy = ConstantBuilder::new().with_delay(Duration::ZERO).with_max_times(2);
        each(rounds, |cx| {
            let mut number = 0;
            let operation = || {
                number += 1;
                ready(if number == black_box(3) { Ok(1) } else { Err(()) })
            };
            let retry = operation.retry(policy).sleep(|_| ready(()));
            assert_eq!(poll(cx, retry), Poll::Ready(Ok(1)));
        });
    }),
    ("budget deposit", |rounds| {
        let budget = Budget::percent(1).reserve(0).max(u32::MAX);
        each(rounds, |_| budget.deposit());
    }),
];

fn main() -> ExitCode {
    if let Some((case, rounds)) = callgrind::asked() {
        run_case(&case, rounds);
        return ExitCode::SUCCESS;
    }
    if !callgrind::is_installed() {
        println!("valgrind is not installed: instruction gates skipped");
        return ExitCode::SUCCESS;
    }

    let costs: Vec<_> = CASES.iter().map(|(name, _)| (*name, callgrind::per_round(name, ROUNDS))).collect();
    for (name, cost) in &costs {
        println!("{cost:>8.1}  {name}");
    }
    let cost = |wanted: &str| costs.iter().find(|(name, _)| *name == wanted).expect("a case").1;
    let kept = |(case, allowed, base): &Gate, otherwise: &str| {
        let (limit, text) = match allowed {
            Allowed::Above(more) => (cost(base) + more, format!("{base} + {more}")),
            Allowed::Times(times) => (cost(base) * times, format!("{base} x {times}")),
        };
        let kept = cost(case) <= limit;
        let word = if kept { "ok" } else { otherwise };
        println!("{word:<10}  {case}: {:.1} <= {limit:.1} ({text})", cost(case));
        kept
    };
    let broken = GATES.iter().filter(|gate| !kept(gate, "BROKEN")).count();
    for aim in AIMS {
        kept(aim, "MISSED aim");
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_case(wanted: &str, rounds: u64) {
    let (_, run) = CASES.iter().find(|(name, _)| *name == wanted).expect("a case");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // An earlier timer is armed, as in a busy service: arming the earliest costs tokio a system call.
        let mut earlier = pin!(tokio::time::sleep(Duration::from_secs(10)));
        assert!(futures::poll!(earlier.as_mut()).is_pending());
        tokio::task::yield_now().await;
        run(rounds);
    });
}

/// Runs the rounds under one task context, made outside of what is counted.
#[inline(always)]
fn each(rounds: u64, mut round: impl FnMut(&mut Context<'_>)) {
    let mut cx = Context::from_waker(Waker::noop());
    let cx = black_box(&mut cx);
    for _ in 0..rounds {
        round(cx);
    }
}

#[inline(always)]
fn poll<F: Future>(cx: &mut Context<'_>, future: F) -> Poll<F::Output> {
    pin!(future).poll(cx)
}

#[inline(always)]
fn twice<F: Future>(cx: &mut Context<'_>, future: F) {
    let mut future = pin!(future);
    assert!(future.as_mut().poll(cx).is_pending());
    assert!(future.as_mut().poll(cx).is_ready());
}

#[inline(always)]
fn stream_case(rounds: u64, limits: StreamLimits) {
    each(rounds, |cx| {
        let mut limited = pin!(OnceStream(Once::default()).limits(black_box(limits)));
        assert!(futures::Stream::poll_next(limited.as_mut(), cx).is_pending());
        assert!(futures::Stream::poll_next(limited.as_mut(), cx).is_ready());
    });
}

/// Makes, polls and drops them 1,000 at a time, in slots that are there already.
#[inline(always)]
fn among_many<F: Future>(rounds: u64, mut make: impl FnMut() -> F) {
    let mut slots: Vec<Pin<Box<Option<F>>>> = (0..1_000).map(|_| Box::pin(None)).collect();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..rounds / 1_000 {
        for slot in &mut slots {
            slot.set(Some(make()));
            let future = slot.as_mut().as_pin_mut().expect("just set");
            assert!(future.poll(&mut cx).is_pending());
        }
        for slot in &mut slots {
            slot.set(None);
        }
    }
}

/// Pending once, then ready.
#[derive(Default)]
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

struct OnceStream(Once);

impl futures::Stream for OnceStream {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        Pin::new(&mut self.0).poll(cx).map(Some)
    }
}
