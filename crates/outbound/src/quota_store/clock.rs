//! A clock that all processes of a machine share, and that is not set back.

use std::{
    fs, io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

const UPTIME: &str = "/proc/uptime";

/// The time since the machine was started, where the system tells it, or else the time of day.
#[derive(Debug)]
pub(super) struct Clock {
    name: String,
    since_start: bool,
}

impl Clock {
    pub(super) fn new() -> Self {
        // The kernel draws it anew at each start.
        let start = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let Some(start) = start.ok().filter(|_| uptime().is_ok()) else { return Self::of_the_day() };
        // Processes may be given a zero of their own.
        let zero = fs::read_link("/proc/self/ns/time").unwrap_or_default();
        Self { name: format!("{} {}", start.trim(), zero.display()), since_start: true }
    }

    fn of_the_day() -> Self {
        Self { name: "time of day".to_owned(), since_start: false }
    }

    /// Times of clocks with another name say nothing.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Microseconds.
    pub(super) fn now(&self) -> io::Result<u64> {
        let time = if self.since_start {
            // Not from 0: a wait that began before the start of the machine lies in the past, too.
            uptime()? + Duration::from_secs(86_400)
        } else {
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
        };
        let (ahead, behind) = paused();
        Ok(u64::try_from((time + ahead).saturating_sub(behind).as_micros()).unwrap_or(u64::MAX))
    }
}

fn uptime() -> io::Result<Duration> {
    let text = fs::read_to_string(UPTIME)?;
    let seconds = text.split(' ').next().and_then(|seconds| seconds.parse().ok());
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| io::Error::other(format!("{UPTIME} holds no time: {text:?}")))
}

/// How far tokio's clock is ahead of the machine's, and how far behind: nothing, unless a test paused it.
#[expect(clippy::disallowed_methods, reason = "what is asked for is the difference to tokio's")]
fn paused() -> (Duration, Duration) {
    let before = std::time::Instant::now();
    let tokio = Instant::now().into_std();
    let after = std::time::Instant::now();
    (tokio.saturating_duration_since(after), before.saturating_duration_since(tokio))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(left: u64, right: u64) -> bool {
        left.abs_diff(right) < 2_000_000
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_with_a_paused_clock() {
        for clock in [Clock::new(), Clock::of_the_day()] {
            let before = clock.now().expect("a time");
            tokio::time::advance(Duration::from_secs(1_000)).await;
            let after = clock.now().expect("a time");
            assert!(is_near(before + 1_000_000_000, after), "{before} {after}");
        }
    }

    #[test]
    fn clocks_of_one_machine_are_the_same() {
        let (one, other) = (Clock::new(), Clock::new());
        assert_eq!(one.name(), other.name());
        assert_ne!(one.name(), Clock::of_the_day().name());
        assert!(is_near(one.now().expect("a time"), other.now().expect("a time")));
        assert_eq!(paused(), (Duration::ZERO, Duration::ZERO));
        // As long as the machine may have been running, a wait of a day began after the zero of the clock.
        assert!(one.now().expect("a time") >= 86_400_000_000);
        let today = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        assert!(is_near(Clock::of_the_day().now().expect("a time"), today.as_micros() as u64));
    }
}
