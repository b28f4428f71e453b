//! The report of a run: one HTML page that loads nothing else.

use std::fmt::Write as _;

use self::{
    bars::{Bar, bars},
    text::escape,
};
use crate::{
    progress::amount,
    summary::{
        Facts,
        words::{dollars, percent, reason, wall},
    },
    watch::Counts,
};

mod axis;
mod bars;
mod distribution;
mod lines;
mod tables;
mod text;
mod times;

const STYLE: &str = include_str!("report/style.css");

/// The whole page.
pub(crate) fn page(facts: &Facts, counts: &Counts) -> String {
    let done = amount((facts.succeeded + facts.failed) as f64);
    let title = format!("{done} done in {}; answers in {}", wall(facts.wall_s), facts.output);
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let _ = write!(
        page,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>outbound run: {}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>outbound run</h1>\n<p class=\"sub\">{}</p>\n",
        escape(&title),
        escape(&title),
    );
    page += &tiles(facts);
    page += &tables::notes(facts);
    page += "<div class=\"charts\">\n";
    page += &times::charts(counts, facts.wall_s);
    page += &distribution::chart(&counts.latency, facts.latency.as_ref());
    page += &waits(facts);
    page += &short_of(facts);
    page += &failures(facts);
    page += "</div>\n";
    page += &tables::tables(facts);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// The most important numbers, in large type.
fn tiles(facts: &Facts) -> String {
    let mut tiles = vec![
        (amount(facts.succeeded as f64), String::from("succeeded"), "good"),
        (amount(facts.failed as f64), String::from("failed"), if facts.failed > 0 { "bad" } else { "" }),
        (amount(facts.not_sent as f64), String::from("not sent"), ""),
        (wall(facts.wall_s), String::from("wall time"), ""),
    ];
    let tokens = facts.input_tokens.saturating_add(facts.output_tokens);
    tiles.push((amount(tokens as f64), String::from("tokens"), ""));
    tiles.extend(facts.cost.map(|cost| (dollars(cost), String::from("cost"), "")));
    let efficiency = facts.efficiency.as_ref();
    tiles.extend(efficiency.map(|efficiency| {
        (format!("{:.2}", efficiency.e), String::from("E: best possible time / wall time"), "")
    }));
    let mut html = String::from("<div class=\"tiles\">\n");
    for (number, what, class) in tiles {
        let _ = writeln!(html, "<div class=\"tile {class}\"><b>{number}</b><span>{what}</span></div>");
    }
    html + "</div>\n"
}

fn waits(facts: &Facts) -> String {
    let rows = facts.waits.iter().map(|wait| Bar {
        label: reason(wait.reason).to_owned(),
        value: wait.sum_s,
        shown: format!("{}, {} of the time", wall(wait.sum_s), percent(wait.share)),
        class: "c2",
    });
    let title = "Waits by reason";
    let sub =
        "The sum over all requests, and the share of the wall time in which at least one request waited.";
    bars(title, sub, &rows.collect::<Vec<_>>(), "No request waited.")
}

fn short_of(facts: &Facts) -> String {
    let mut rows: Vec<_> = facts.short_of.iter().collect();
    rows.sort_by(|one, other| other.1.total_cmp(one.1));
    let rows = rows.into_iter().map(|(what, seconds)| Bar {
        label: what.clone(),
        value: *seconds,
        shown: format!("{}, {} of the time", wall(*seconds), percent((seconds / facts.wall_s).min(1.0))),
        class: "c5",
    });
    let title = "What the next request waited for";
    let sub = "The time in which this limit held the next request back, measured four times a second.";
    bars(title, sub, &rows.collect::<Vec<_>>(), "No limit held a request back.")
}

fn failures(facts: &Facts) -> String {
    let of_requests = facts.failures.iter().map(|(class, failures)| Bar {
        label: format!("{class}: requests"),
        value: failures.count as f64,
        shown: amount(failures.count as f64),
        class: "c4",
    });
    let of_attempts = facts.failed_attempts.iter().map(|(class, count)| Bar {
        label: format!("{class}: attempts"),
        value: *count as f64,
        shown: amount(*count as f64),
        class: "c3",
    });
    let rows: Vec<_> = of_requests.chain(of_attempts).collect();
    let sub =
        "Requests that failed, and single attempts that failed. A request can succeed after failed attempts.";
    bars("Failures by class", sub, &rows, "Nothing failed.")
}

#[cfg(test)]
mod tests;
