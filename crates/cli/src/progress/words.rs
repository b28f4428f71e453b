//! The status of a run as text.

use std::time::Duration;

use super::status::Status;

/// Longer texts from a provider or an input are cut, in characters.
const LONGEST: usize = 600;

/// The width of the bar, in characters.
const BAR: usize = 20;

/// The whole status as one line.
pub(super) fn line(status: &Status) -> String {
    let mut parts = vec![done(status), format!("{} in flight", status.in_flight)];
    parts.extend(troubles(status));
    parts.extend(rates(status));
    parts.extend(cost(status));
    parts.extend(to_go(status));
    let mut line = format!("[{}] {}", time(Duration::from_secs_f64(status.elapsed_s)), parts.join(", "));
    if let Some(why) = &status.why {
        line += "; ";
        line += &why.text;
    }
    line
}

/// Three lines for a terminal: how far the run is, how fast it is, and why it waits.
pub(super) fn screen(status: &Status) -> Vec<String> {
    let mut far = vec![done(status)];
    far.extend(to_go(status));
    far.push(time(Duration::from_secs_f64(status.elapsed_s)));
    let mut fast = vec![format!("{} in flight", status.in_flight)];
    fast.extend(troubles(status));
    fast.extend(rates(status));
    fast.extend(cost(status));
    let why = status.why.as_ref().map(|why| why.text.clone()).unwrap_or_default();
    vec![format!("{}{}", bar(status), far.join(" · ")), fast.join(" · "), why]
}

fn bar(status: &Status) -> String {
    let Some(of) = status.of.filter(|of| *of > 0) else { return String::new() };
    let full = (status.done.min(of) as f64 / of as f64 * BAR as f64) as usize;
    format!("{}{} ", "█".repeat(full), "░".repeat(BAR - full))
}

fn done(status: &Status) -> String {
    let of = status.of.map(|of| format!(" of {}", amount(of as f64))).unwrap_or_default();
    let failed = if status.failed > 0 { format!(", {} failed", status.failed) } else { String::new() };
    format!("{}{of} done{failed}", amount(status.done as f64))
}

fn troubles(status: &Status) -> Vec<String> {
    let word = if status.retries == 1 { "retry" } else { "retries" };
    let retries = (status.retries > 0).then(|| format!("{} {word}", amount(status.retries as f64)));
    let refused = (status.refused > 0).then(|| format!("{} refused", amount(status.refused as f64)));
    retries.into_iter().chain(refused).collect()
}

fn rates(status: &Status) -> Vec<String> {
    let rate = |rate: Option<f64>, limit: Option<f64>, what: &str| {
        let limit = limit.map(|limit| format!(" of {}", amount(limit))).unwrap_or_default();
        rate.map(|rate| format!("{}{limit} {what}/min", amount(rate.round())))
    };
    let requests = rate(status.requests_per_minute, status.requests_per_minute_limit, "requests");
    let tokens = rate(status.tokens_per_minute, status.tokens_per_minute_limit, "tokens");
    requests.into_iter().chain(tokens).collect()
}

fn cost(status: &Status) -> Option<String> {
    let projected = status.cost_projected.filter(|_| status.of.is_some_and(|of| of > status.done));
    let projected = projected.map(|cost| format!(" of about ${cost:.2}")).unwrap_or_default();
    status.cost.map(|cost| format!("${cost:.2}{projected}"))
}

fn to_go(status: &Status) -> Option<String> {
    status.to_go_s.map(|seconds| format!("about {} to go", time(Duration::from_secs_f64(seconds))))
}

/// `0.4 s`, `12 s`, `3m 20s`, `2h 05m`, `3d 04h`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let rounded = (time.as_secs_f64()).round() as u64;
    match seconds {
        0 => format!("{:.1} s", time.as_secs_f64()),
        _ if rounded < 60 => format!("{rounded} s"),
        _ if rounded < 3_600 => format!("{}m {:02}s", rounded / 60, rounded % 60),
        _ if rounded < 86_400 => format!("{}h {:02}m", rounded / 3_600, rounded / 60 % 60),
        _ => format!("{}d {:02}h", rounded / 86_400, rounded / 3_600 % 24),
    }
}

/// A time with parts of a second: `340 ms`, `1.25 s`. From a minute on it is as in [`time`].
pub(crate) fn seconds(length: Duration) -> String {
    match length.as_secs_f64() {
        short if short < 0.9995 => format!("{:.0} ms", short * 1e3),
        short if short < 10.0 => format!("{short:.2} s"),
        short if short < 60.0 => format!("{short:.1} s"),
        _ => time(length),
    }
}

/// A number for people: `1,234`, `81.5k`, `2.3M`.
pub(crate) fn amount(number: f64) -> String {
    match number {
        few if few < 9_999.5 => {
            let few = few.round() as u64;
            if few < 1_000 { few.to_string() } else { format!("{},{:03}", few / 1_000, few % 1_000) }
        }
        many if many < 999_950.0 => format!("{:.1}k", many / 1e3),
        many if many < 999_950_000.0 => format!("{:.1}M", many / 1e6),
        most => format!("{:.1}G", most / 1e9),
    }
}

/// A text from a provider or an input, made safe for a terminal: one line of bounded length, without control characters.
pub(crate) fn plain(text: &str) -> String {
    let mut characters = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    let mut cut: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (milliseconds, said) in [
            (0, "0.0 s"),
            (420, "0.4 s"),
            (1_400, "1 s"),
            (59_400, "59 s"),
            (59_600, "1m 00s"),
            (200_000, "3m 20s"),
            (7_500_000, "2h 05m"),
            (273_600_000, "3d 04h"),
        ] {
            assert_eq!(time(Duration::from_millis(milliseconds)), said);
        }
        for (milliseconds, said) in [(3, "3 ms"), (1_250, "1.25 s"), (12_340, "12.3 s"), (61_000, "1m 01s")] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), said);
        }
    }

    #[test]
    fn amounts_are_short() {
        for (number, said) in [
            (0.0, "0"),
            (999.0, "999"),
            (1_005.0, "1,005"),
            (81_500.0, "81.5k"),
            (2_300_000.0, "2.3M"),
            (1e12, "1000.0G"),
        ] {
            assert_eq!(amount(number), said);
        }
    }

    #[test]
    fn a_text_of_others_moves_no_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(plain(&"x".repeat(900)).chars().count(), LONGEST + 1);
    }
}
