//! The usual loop beside a demonstration: the same lines, the same provider, the same seed.

use std::{
    fmt::{self, Display, Formatter},
    pin::pin,
    sync::Arc,
};

use futures::StreamExt;
use tokio::task::JoinHandle;

use super::{
    Mishaps, Plan, SEED,
    usual_loop::{self, Came, Settings},
};
use crate::{
    args::{Concurrency, Run},
    input::Reading,
};

/// With more lines the loop is not run, since it holds all of them in memory.
const MOST: u64 = 5_000;

/// The requests in flight at once, if --concurrency is not given. The manager has the same default.
const CONCURRENT: usize = 64;

/// The loop while it runs. It has a thread and a clock of its own, and takes only moments.
#[derive(Debug)]
pub(crate) struct Beside(JoinHandle<std::io::Result<Came>>);

impl Beside {
    /// Starts the loop. `None` if the input has too many lines.
    pub(crate) async fn start(plan: Plan, run: &Run, reading: &Arc<Reading>, requests: u64) -> Option<Self> {
        if requests > MOST {
            return None;
        }
        let mut lines = pin!(reading.lines().await.ok()?);
        let mut bodies = Vec::new();
        while let Some(line) = lines.next().await {
            bodies.push(usual_loop::without_stream(line.ok()?.body()));
        }
        let max_concurrent = match run.concurrency {
            Some(Concurrency::Fixed(requests)) => requests,
            _ => CONCURRENT,
        };
        let timeout = run.attempt_timeout.unwrap_or(plan.attempt_timeout);
        let settings = Settings { max_concurrent, timeout, seed: SEED };
        let work = move || usual_loop::run(plan.provider(), settings, &bodies, 1);
        Some(Self(tokio::task::spawn_blocking(work)))
    }

    pub(crate) async fn end(self) -> Option<UsualLoop> {
        let Came { took, answered, lost, refused, paid_twice } = self.0.await.ok()?.ok()?;
        Some(UsualLoop {
            wall_s: (took.as_secs_f64() * 1e3).round() / 1e3,
            answered: answered as u64,
            lost: lost as u64,
            refused: refused as u64,
            paid_twice: paid_twice as u64,
        })
    }
}

/// What the summary of a demonstration has in addition.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Simulated {
    pub(crate) provider: Mishaps,
    pub(crate) usual_loop: Option<UsualLoop>,
}

/// The result of the usual loop.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct UsualLoop {
    /// Seconds on its own clock.
    pub(crate) wall_s: f64,
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) refused: u64,
    pub(crate) paid_twice: u64,
}

impl Display for Simulated {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the simulated provider received {}", self.provider)?;
        let Some(usual) = &self.usual_loop else { return Ok(()) };
        write!(
            f,
            "\nthe usual loop (a semaphore, a timeout, 3 tries with backoff) with the same provider and seed: \
             {} answered, {} lost in {:.1} s; refused (429) {} times",
            usual.answered, usual.lost, usual.wall_s, usual.refused
        )?;
        match usual.paid_twice {
            0 => Ok(()),
            times => write!(f, ", {times} paid for twice"),
        }
    }
}
