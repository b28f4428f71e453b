//! How far a run has come, on standard error.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::{say, summary::Summary};

/// Where standard error is no terminal, one plain line in this time.
const EVERY: Duration = Duration::from_secs(10);

pub(crate) enum Progress {
    Silent,
    Bar(ProgressBar),
    Lines { total: Option<u64>, next: Instant },
}

impl Progress {
    pub(crate) fn start(total: Option<u64>, quiet: bool) -> Self {
        if quiet {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines { total, next: Instant::now() + EVERY };
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let template = if total.is_some() {
            "{bar:30} {pos}/{len} {msg} ({elapsed}, {eta} to go)"
        } else {
            "{spinner} {pos} {msg} ({elapsed})"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Bar(bar)
    }

    pub(crate) fn show(&mut self, summary: &Summary) {
        match self {
            Self::Silent => {}
            Self::Bar(bar) => {
                bar.set_position(summary.done());
                bar.set_message(format!("{} of them failed", summary.failed));
            }
            Self::Lines { total, next } => {
                let now = Instant::now();
                if now >= *next {
                    *next = now + EVERY;
                    let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
                    say::line(format_args!("{}{of} done, {} of them failed", summary.done(), summary.failed));
                }
            }
        }
    }

    pub(crate) fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
