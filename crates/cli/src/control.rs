//! The control socket of a run, `OUT.state/control`. Through it the user who started the run can pause it, resume it, change
//! its limits, or end it.
//!
//! A request is one line with a JSON object, and so is its reply. A client cannot hold up the run: a connection is closed if
//! its next line is too long or takes too long.
#![cfg_attr(not(unix), allow(dead_code, reason = "there is no socket"))]

use outbound::{ModelLimits, Money, RequestManager};
use serde::{Deserialize, Serialize};

#[cfg(unix)]
mod ask;
#[cfg(unix)]
mod listen;

#[cfg(not(unix))]
pub(crate) use self::without::{Control, ask};
#[cfg(unix)]
pub(crate) use self::{ask::ask, listen::Control};
use crate::{
    interrupt::Interrupt,
    progress::{Progressing, plain},
    watch::Watch,
};

/// The name of the socket in the folder of the state.
#[cfg(unix)]
const NAME: &str = "control";

/// The run that is controlled.
#[derive(Clone)]
pub(crate) struct Controlled {
    pub(crate) manager: RequestManager,
    pub(crate) watch: Watch,
    pub(crate) interrupt: Interrupt,
    /// The number of requests in all.
    pub(crate) of: Option<u64>,
}

/// A command to a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub(crate) enum Request {
    Pause,
    Resume,
    Limits(Limits),
    Drain,
    Status,
}

/// New limits. A limit that is not given stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rpm: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tpm: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency: Option<u64>,
    /// Dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<f64>,
}

/// The reply of a run: its status, or what was wrong with the request.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    Done { ok: bool, paused: bool, text: String, status: Box<Progressing> },
    Refused { ok: bool, error: String },
}

impl Controlled {
    /// Does what a line asks, and returns the reply and whether the run must end. The caller ends it, after the reply is
    /// written.
    fn answer(&self, line: &[u8]) -> (Reply, bool) {
        let request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => return (refused(&format!("this is not a request: {error}")), false),
        };
        match request {
            Request::Pause => self.manager.pause(),
            Request::Resume => self.manager.resume(),
            Request::Limits(limits) => {
                if let Err(error) = self.limit(limits) {
                    return (refused(&error), false);
                }
            }
            Request::Drain | Request::Status => {}
        }
        (self.stands(), request == Request::Drain)
    }

    /// Changes the limits of the run.
    pub(crate) fn limit(&self, limits: Limits) -> Result<(), String> {
        let Limits { rpm, tpm, concurrency, budget } = limits;
        if limits == Limits::default() {
            return Err(String::from("give a limit: rpm, tpm, concurrency or budget"));
        }
        // All limits are checked before any is changed.
        let mut changed = ModelLimits::new();
        for (name, limit, most) in
            [("rpm", rpm, u64::MAX), ("tpm", tpm, u64::MAX), ("concurrency", concurrency, 100_000)]
        {
            if limit.is_some_and(|limit| limit == 0 || limit > most) {
                return Err(format!("{name} must be a number from 1 to {most}; to send nothing, use pause"));
            }
        }
        if let Some(requests) = rpm {
            changed = changed.requests_per_minute(requests);
        }
        if let Some(tokens) = tpm {
            changed = changed.tokens_per_minute(tokens);
        }
        if let Some(requests) = concurrency {
            changed = changed.max_concurrent(usize::try_from(requests).unwrap_or(usize::MAX));
        }
        if let Some(dollars) = budget {
            if !dollars.is_finite() || dollars < 0.0 {
                return Err(String::from("budget must be a number of dollars, zero or more"));
            }
            // Without prices every request would fail under a budget.
            let snapshot = self.manager.snapshot();
            if snapshot.budget.is_none() && snapshot.spent.as_dollars() <= 0.0 {
                return Err(String::from(
                    "budget: this run knows no cost yet; it needs prices (--prices) and a first answer",
                ));
            }
            self.manager.set_budget(Money::dollars(dollars));
        }
        self.manager.set_limits(None, &changed);
        Ok(())
    }

    /// How the run stands.
    pub(crate) fn stands(&self) -> Reply {
        let snapshot = self.manager.snapshot();
        let interrupted = self.interrupt.asked();
        let status = self.watch.read(|counts| Progressing::of(counts, &snapshot, self.of, interrupted));
        // The status has no key in it: the manager removes keys from the messages of providers.
        Reply::Done { ok: true, paused: snapshot.paused, text: status.line(), status: Box::new(status) }
    }
}

fn refused(error: &str) -> Reply {
    Reply::Refused { ok: false, error: plain(error) }
}

/// For systems without unix sockets.
#[cfg(not(unix))]
mod without {
    use std::path::Path;

    use super::{Controlled, Request};

    pub(crate) struct Control;

    impl Control {
        pub(crate) fn listen(_output: &Path, _run: Controlled) -> Result<Self, String> {
            Ok(Self)
        }
    }

    pub(crate) async fn ask(_output: &Path, _request: &Request) -> Result<Option<serde_json::Value>, String> {
        Err(String::from("this system has no unix sockets"))
    }
}
