//! The progress of a run on standard error: how far it is, and why it waits.

use std::{
    io::{self, IsTerminal},
    path::Path,
    time::Duration,
};

use outbound::RequestManager;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use self::{status::Status, why::Why};
use crate::{
    args::{ProgressFormat, Run},
    interrupt::Interrupt,
    say,
    watch::Watch,
};

mod screen;
mod status;
mod why;
mod words;

pub(crate) use self::{
    screen::Screen,
    status::Status as Progressing,
    words::{amount, plain, seconds, time},
};

/// The time between two looks at the manager.
const LOOK: Duration = Duration::from_millis(250);

/// The time between two plain lines.
const EVERY: Duration = Duration::from_secs(10);

/// The shortest time between two lines of any kind.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The task that prints progress. It also prints while no request ends. Dropping this ends it.
pub(crate) struct Progress {
    task: JoinHandle<()>,
    how: How,
}

/// The form of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Silent,
    Lines,
    Json,
    Screen,
}

/// What the task needs.
struct Printer {
    manager: RequestManager,
    watch: Watch,
    interrupt: Interrupt,
    /// The number of requests, if it is known.
    of: Option<u64>,
    lines: Lines,
}

/// When the last line was printed, and the reason in it.
struct Lines {
    how: How,
    began: Instant,
    said_at: Option<Instant>,
    why: Option<Why>,
}

impl Progress {
    /// `of`: the number of requests, if it is known.
    pub(crate) fn start(
        manager: &RequestManager,
        watch: &Watch,
        interrupt: &Interrupt,
        of: Option<u64>,
        how: How,
    ) -> Self {
        let printer = Printer {
            manager: manager.clone(),
            watch: watch.clone(),
            interrupt: interrupt.clone(),
            of,
            lines: Lines::new(how),
        };
        Self { task: tokio::spawn(printer.run()), how }
    }

    pub(crate) fn finish(self) {
        self.task.abort();
        if self.how == How::Screen {
            say::clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl How {
    pub(crate) fn of(arguments: &Run, output: &Path) -> Self {
        // The status would overwrite answers on the same terminal.
        let answers_are_shown = output.as_os_str() == "-" && io::stdout().is_terminal();
        let can_draw = io::stderr().is_terminal() && !is_dumb() && !answers_are_shown;
        match arguments.reporting.progress {
            _ if arguments.quiet => Self::Silent,
            ProgressFormat::None => Self::Silent,
            ProgressFormat::Json => Self::Json,
            ProgressFormat::Auto if can_draw => Self::Screen,
            ProgressFormat::Auto | ProgressFormat::Plain => Self::Lines,
        }
    }
}

/// Whether the terminal cannot move its cursor.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

impl Printer {
    async fn run(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let snapshot = self.manager.snapshot();
            self.watch.look(&snapshot);
            if self.lines.how == How::Silent {
                continue;
            }
            let interrupted = self.interrupt.asked();
            let status = self.watch.read(|counts| Status::of(counts, &snapshot, self.of, interrupted));
            match self.lines.how {
                How::Screen => say::show(words::screen(&status)),
                _ => {
                    if let Some(line) = self.lines.next(&status, Instant::now()) {
                        say::raw(line);
                    }
                }
            }
        }
    }
}

impl Lines {
    fn new(how: How) -> Self {
        Self { how, began: Instant::now(), said_at: None, why: None }
    }

    /// The line to print now, if it is time for one.
    fn next(&mut self, status: &Status, now: Instant) -> Option<String> {
        let since = now.saturating_duration_since(self.said_at.unwrap_or(self.began));
        let every = if self.how == How::Json { AT_MOST_EVERY } else { EVERY };
        let begins_long = |why: &Why| why.is_long() && why.differs(self.why.as_ref());
        let news = status.why.as_ref().is_some_and(begins_long)
            && (since >= AT_MOST_EVERY || self.said_at.is_none());
        if since < every && !news {
            return None;
        }
        self.said_at = Some(now);
        self.why.clone_from(&status.why);
        Some(match self.how {
            How::Json => serde_json::to_string(status).unwrap_or_default(),
            _ => words::line(status),
        })
    }
}

#[cfg(test)]
mod tests;
