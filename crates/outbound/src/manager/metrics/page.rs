//! The page for Prometheus: families of samples, each with its help and its type.

use std::fmt::{self, Display, Formatter, Write};

use super::{BOUNDS, Histogram, Metrics, Series};

/// A page of text for Prometheus. It ends with a line feed.
impl Display for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Copied, so that a slow writer does not block requests.
        let counts = self.0.lock().clone();
        let help = "Requests that have begun and have no outcome yet.";
        head(f, "outbound_requests_in_progress", "gauge", help)?;
        writeln!(f, "outbound_requests_in_progress {}", counts.in_progress)?;
        for family in FAMILIES {
            head(f, family.name, family.kind, family.help)?;
            for series in &counts.series {
                (family.write)(&mut Samples { f, series, name: family.name })?;
            }
        }
        Ok(())
    }
}

/// All samples of one name.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    write: fn(&mut Samples<'_, '_>) -> fmt::Result,
}

const FAMILIES: [Family; 14] = [
    Family {
        name: "outbound_requests_total",
        kind: "counter",
        help: "Requests by their outcome, whatever attempts they took.",
        write: |to| to.each("outcome", to.series.requests.iter().map(|(outcome, count)| (*outcome, *count))),
    },
    Family {
        name: "outbound_request_duration_seconds",
        kind: "histogram",
        help: "Time from the beginning of a request to its outcome, waits and attempts included.",
        write: |to| to.histogram(&to.series.request_time),
    },
    Family {
        name: "outbound_attempts_total",
        kind: "counter",
        help: "Attempts by their outcome.",
        write: |to| to.each("outcome", to.series.attempts.iter().map(|(outcome, count)| (*outcome, *count))),
    },
    Family {
        name: "outbound_attempt_duration_seconds",
        kind: "histogram",
        help: "Time from the beginning of an attempt to its end.",
        write: |to| to.histogram(&to.series.attempt_time),
    },
    Family {
        name: "outbound_attempts_in_flight",
        kind: "gauge",
        help: "Attempts that were sent and have not ended.",
        write: |to| to.one(to.series.in_flight),
    },
    Family {
        name: "outbound_first_item_seconds",
        kind: "histogram",
        help: "Time from the beginning of an attempt to the first item of its stream.",
        write: |to| to.histogram(&to.series.first_item),
    },
    Family {
        name: "outbound_waits_total",
        kind: "counter",
        help: "Waits that have ended, by what was waited for.",
        write: |to| to.each("reason", to.series.waits.iter().map(|(reason, waits)| (*reason, waits.ended))),
    },
    Family {
        name: "outbound_wait_seconds_total",
        kind: "counter",
        help: "Time spent in waits that have ended, by what was waited for.",
        write: |to| {
            let took = |(reason, waits): (&&'static str, &super::Waits)| (*reason, waits.took.as_secs_f64());
            to.each("reason", to.series.waits.iter().map(took))
        },
    },
    Family {
        name: "outbound_requests_waiting",
        kind: "gauge",
        help: "Requests that wait, by what they wait for.",
        write: |to| to.each("reason", to.series.waits.iter().map(|(reason, waits)| (*reason, waits.now))),
    },
    Family {
        name: "outbound_reroutes_total",
        kind: "counter",
        help: "Requests that took another route, by where it leads.",
        write: |to| to.one(to.series.reroutes),
    },
    Family {
        name: "outbound_requests_reused_total",
        kind: "counter",
        help: "Requests that made no call of their own, by where their answers came from.",
        write: |to| to.each("from", to.series.reused.iter().map(|(from, count)| (*from, *count))),
    },
    Family {
        name: "outbound_tokens_total",
        kind: "counter",
        help: "Tokens of answers, as far as the provider told.",
        write: |to| to.each("type", [("input", to.series.input), ("output", to.series.output)]),
    },
    Family {
        name: "outbound_cached_tokens_total",
        kind: "counter",
        help: "Tokens of the input that came from the provider's cache.",
        write: |to| to.one(to.series.cached),
    },
    Family {
        name: "outbound_cost_dollars_total",
        kind: "counter",
        help: "What answers cost, by the prices that the manager was given.",
        write: |to| to.one(to.series.cost.as_dollars()),
    },
];

fn head(f: &mut Formatter<'_>, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(f, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Writes the samples of a family for one series.
struct Samples<'a, 'f> {
    f: &'a mut Formatter<'f>,
    series: &'a Series,
    name: &'static str,
}

impl<'a> Samples<'a, '_> {
    fn one(&mut self, value: impl Display) -> fmt::Result {
        self.line("", None, value)
    }

    fn each<V: Display>(
        &mut self,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) -> fmt::Result {
        values.into_iter().try_for_each(|(of, value)| self.line("", Some((label, of)), value))
    }

    fn histogram(&mut self, histogram: &Histogram) -> fmt::Result {
        if histogram.count == 0 {
            return Ok(());
        }
        let mut so_far = 0;
        for (bound, count) in BOUNDS.iter().zip(histogram.buckets) {
            so_far += count;
            self.line("_bucket", Some(("le", &bound.to_string())), so_far)?;
        }
        self.line("_bucket", Some(("le", "+Inf")), histogram.count)?;
        self.line("_sum", None, histogram.sum.as_secs_f64())?;
        self.line("_count", None, histogram.count)
    }

    fn line(&mut self, suffix: &str, more: Option<(&str, &str)>, value: impl Display) -> fmt::Result {
        let labels = &self.series.labels;
        write!(self.f, "{}{suffix}{{endpoint=", self.name)?;
        quoted(self.f, &labels.endpoint)?;
        self.f.write_str(",provider=")?;
        quoted(self.f, &labels.provider)?;
        self.f.write_str(",model=")?;
        quoted(self.f, &labels.model)?;
        if let Some((name, value)) = more {
            write!(self.f, ",{name}=")?;
            quoted(self.f, value)?;
        }
        writeln!(self.f, "}} {value}")
    }
}

/// Writes the value of a label. A backslash, a quotation mark and a line feed are escaped with a backslash.
fn quoted(f: &mut Formatter<'_>, value: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in value.chars() {
        match character {
            '\\' => f.write_str("\\\\")?,
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}
