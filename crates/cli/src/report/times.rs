//! The charts over time: throughput, requests in flight, and latency.

use super::lines::{Chart, Line, Look};
use crate::{
    progress::{amount, seconds},
    watch::{Bucket, Counts},
};

/// The fewest and the most parts into which the time is cut. Between them there is one part for each second.
const FEWEST: f64 = 12.0;
const MOST: f64 = 120.0;

const NOTHING: &str = "No request was sent.";

/// The time of the run, cut into parts.
struct Parts {
    spans: Vec<(f64, f64)>,
    buckets: Vec<Bucket>,
}

pub(super) fn charts(counts: &Counts, wall: f64) -> String {
    let Some(parts) = Parts::of(counts, wall) else { return String::new() };
    let anything = counts.attempts > 0;
    let spans: &[_] = if anything { &parts.spans } else { &[] };
    let requests = Chart {
        title: "Requests a minute",
        sub: "The rates of sent and answered requests, and what the known limits allow.",
        unit: "requests a minute",
        spans,
        lines: vec![
            Line {
                name: "answered",
                class: "c1",
                values: parts.rates(|part| part.answered),
                look: Look::Area,
            },
            Line { name: "sent", class: "c2", values: parts.rates(|part| part.sent), look: Look::Line },
            Line {
                name: "limit",
                class: "c0",
                values: parts.carried(|part| part.request_limit),
                look: Look::Dashed,
            },
        ],
        number: count,
        whole: true,
        none: NOTHING,
    };
    let tokens = Chart {
        title: "Tokens a minute",
        sub: "Input and output tokens of answers, at the time of the answer, and what the known limits allow.",
        unit: "tokens a minute",
        spans,
        lines: vec![
            Line { name: "tokens", class: "c1", values: parts.rates(|part| part.tokens), look: Look::Area },
            Line {
                name: "limit",
                class: "c0",
                values: parts.carried(|part| part.token_limit),
                look: Look::Dashed,
            },
        ],
        number: count,
        whole: true,
        none: NOTHING,
    };
    let in_flight = Chart {
        title: "In flight and waiting",
        sub: "The most attempts in flight in each span, and the average number of waiting requests.",
        unit: "requests",
        spans,
        lines: vec![
            Line {
                name: "in flight",
                class: "c1",
                values: parts.each(|part| Some(part.in_flight as f64)),
                look: Look::Area,
            },
            Line { name: "waiting", class: "c2", values: parts.carried(Bucket::waiting), look: Look::Line },
        ],
        number: count,
        whole: true,
        none: NOTHING,
    };
    let time = |length: Option<std::time::Duration>| length.map(|length| length.as_secs_f64());
    let latency = Chart {
        title: "Latency over time",
        sub: "Of attempts with an answer, at the time of the answer.",
        unit: "time to the answer",
        spans,
        lines: vec![
            Line {
                name: "longest",
                class: "c3",
                values: parts.each(|part| time(part.longest())),
                look: Look::Line,
            },
            Line {
                name: "p90",
                class: "c2",
                values: parts.each(|part| time(part.quantile(0.9))),
                look: Look::Line,
            },
            Line {
                name: "p50",
                class: "c1",
                values: parts.each(|part| time(part.quantile(0.5))),
                look: Look::Area,
            },
        ],
        number: length,
        whole: false,
        none: "No answer came.",
    };
    [requests, tokens, in_flight, latency].map(|chart| chart.html()).concat()
}

/// A number on an axis: `30k`, not `30.0k`.
pub(super) fn count(number: f64) -> String {
    amount(number).replace(".0", "")
}

/// A time on an axis.
pub(super) fn length(length: f64) -> String {
    match length {
        none if none <= 0.0 => String::from("0"),
        _ => seconds(std::time::Duration::from_secs_f64(length)).replace(".00 s", " s").replace(".0 s", " s"),
    }
}

impl Parts {
    fn of(counts: &Counts, wall: f64) -> Option<Self> {
        let (span, mut buckets) = counts.series.as_ref()?.parts(wall.clamp(FEWEST, MOST) as usize);
        let span = span.as_secs_f64();
        // A last part that is too short gives no meaningful rate. It is merged with the part before it.
        if buckets.len() > 1
            && wall - (buckets.len() - 1) as f64 * span < span / 2.0
            && let Some(rest) = buckets.pop()
            && let Some(last) = buckets.last_mut()
        {
            last.take_in(&rest);
        }
        let count = buckets.len();
        let end = |place: usize| if place + 1 == count { wall } else { (place + 1) as f64 * span };
        let spans = (0..count).map(|place| (place as f64 * span, end(place))).collect();
        Some(Self { spans, buckets })
    }

    fn each(&self, of: impl Fn(&Bucket) -> Option<f64>) -> Vec<Option<f64>> {
        self.buckets.iter().map(of).collect()
    }

    /// Values that hold until the next one is known.
    fn carried(&self, of: impl Fn(&Bucket) -> Option<f64>) -> Vec<Option<f64>> {
        let mut last = None;
        let values = self.buckets.iter().map(|part| {
            last = of(part).or(last);
            last
        });
        values.collect()
    }

    /// Amounts in a minute.
    fn rates(&self, of: impl Fn(&Bucket) -> u64) -> Vec<Option<f64>> {
        let parts = self.buckets.iter().zip(&self.spans);
        parts.map(|(part, (from, to))| Some(of(part) as f64 * 60.0 / (to - from).max(1e-3))).collect()
    }
}
