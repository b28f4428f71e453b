//! Cases, and what runs their rounds.

use std::{
    future::Future,
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

/// A table: cases that do the same, ours first.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// So many rounds, and three times as many, are enough to count over.
    pub(crate) rounds: u64,
    /// Whether instructions are counted: not where tasks, threads or another process are part of it. What a runtime does for
    /// them differs from start to start by more than a round costs.
    pub(crate) is_counted: bool,
    pub(crate) cases: Vec<Case>,
}

/// One way to do what the group is about.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Of the future, with what is in it, in bytes.
    pub(crate) size: usize,
    /// Runs so many rounds. How long they took, without what prepares them.
    pub(crate) run: Box<dyn Fn(u64) -> Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Peer,
    /// What is done without any of them.
    Floor,
}

impl Case {
    /// A round makes a future and polls it so often that it succeeds.
    pub(crate) fn polled<const POLLS: usize, F: Future<Output = Result<T, E>>, T, E>(
        name: &'static str,
        make: impl Fn() -> F + 'static,
    ) -> Self {
        Self::new::<F>(name, move |rounds| {
            in_busy_runtime(|cx| {
                let started = Instant::now();
                for _ in 0..rounds {
                    let mut future = pin!(make());
                    for _ in 1..POLLS {
                        assert!(future.as_mut().poll(cx).is_pending());
                        // An executor comes between: what state it is in is no longer known.
                        black_box(&mut future);
                    }
                    let polled = future.poll(cx);
                    assert!(matches!(polled, Poll::Ready(Ok(_))));
                }
                started.elapsed()
            })
        })
    }

    /// A round makes a future that stays pending, polls it and drops it, 10,000 of them at a time, in slots that are there
    /// already.
    pub(crate) fn among_many<F: Future>(name: &'static str, make: impl Fn() -> F + 'static) -> Self {
        const SLOTS: u64 = 10_000;
        Self::new::<F>(name, move |rounds| {
            let mut slots: Vec<Pin<Box<Option<F>>>> = (0..SLOTS).map(|_| Box::pin(None)).collect();
            in_busy_runtime(|cx| {
                let started = Instant::now();
                for _ in 0..rounds / SLOTS {
                    for slot in &mut slots {
                        slot.set(Some(make()));
                        let future = slot.as_mut().as_pin_mut().expect("just set");
                        assert!(future.poll(cx).is_pending());
                    }
                    for slot in &mut slots {
                        slot.set(None);
                    }
                }
                started.elapsed()
            })
        })
    }

    /// A round makes a future that succeeds, and awaits it: what it waits for is part of it.
    pub(crate) fn awaited<F: Future<Output = Result<T, E>>, T, E>(
        name: &'static str,
        make: impl Fn() -> F + 'static,
    ) -> Self {
        Self::new::<F>(name, move |rounds| {
            runtime().block_on(async {
                let started = Instant::now();
                for _ in 0..rounds {
                    assert!(make().await.is_ok());
                }
                started.elapsed()
            })
        })
    }

    fn new<F>(name: &'static str, run: impl Fn(u64) -> Duration + 'static) -> Self {
        Self { name, kind: Kind::Peer, size: size_of::<F>(), run: Box::new(run) }
    }

    pub(crate) fn ours(self) -> Self {
        Self { kind: Kind::Ours, ..self }
    }

    pub(crate) fn floor(self) -> Self {
        Self { kind: Kind::Floor, ..self }
    }

    /// What it is called among the cases of all groups.
    pub(crate) fn id(&self, group: &str) -> String {
        format!("{group}: {}", self.name)
    }
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Inside of a runtime that has an earlier timer armed, as a busy service has: arming the earliest one costs tokio a
/// system call.
#[inline(always)]
fn in_busy_runtime<T>(run: impl FnOnce(&mut Context<'_>) -> T) -> T {
    runtime().block_on(async {
        let mut earlier = pin!(tokio::time::sleep(Duration::from_secs(10)));
        assert!(futures::poll!(earlier.as_mut()).is_pending());
        tokio::task::yield_now().await;
        run(black_box(&mut Context::from_waker(Waker::noop())))
    })
}
