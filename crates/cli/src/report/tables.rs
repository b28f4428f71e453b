//! The text of the report: the notes, the summary, the failures and the slowest answers.

use std::fmt::Write as _;

use super::text::escape;
use crate::{
    progress::amount,
    summary::{
        Facts,
        words::{dollars, ids, wall},
    },
};

/// The notes: what the reader must know or do.
pub(super) fn notes(facts: &Facts) -> String {
    let mut notes = Vec::new();
    notes.extend(facts.trouble.clone());
    notes.extend(facts.stopped.as_ref().map(|why| format!("stopped: {why}")));
    if facts.interrupted {
        notes.push(String::from("It was interrupted."));
    }
    if facts.perhaps_billed.count > 0 {
        let (count, ids) = (facts.perhaps_billed.count, ids(&facts.perhaps_billed));
        notes.push(format!("{count} may have been billed, and their answers are lost: {ids}"));
    }
    if facts.unwritten.count > 0 {
        let (count, ids) = (facts.unwritten.count, ids(&facts.unwritten));
        notes.push(format!("{count} were answered, and are not in the output: {ids}"));
    }
    notes.extend(facts.go_on.as_ref().map(|command| format!("to go on: {command}")));
    if notes.is_empty() {
        return String::new();
    }
    let items: String = notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    format!("<ul class=\"notes\">\n{items}</ul>\n")
}

pub(super) fn tables(facts: &Facts) -> String {
    format!("<div class=\"tables\">\n{}{}{}</div>\n", summary(facts), failures(facts), slowest(facts))
}

fn summary(facts: &Facts) -> String {
    let number = |count: u64| amount(count as f64);
    let mut rows = vec![
        ("succeeded", number(facts.succeeded)),
        ("failed", number(facts.failed)),
        ("done before this run", number(facts.skipped)),
        ("not sent", number(facts.not_sent)),
        ("may have been billed, without an answer", number(facts.perhaps_billed.count)),
        ("answered, but not in the output", number(facts.unwritten.count)),
        ("attempts", number(facts.attempts)),
        ("retries", number(facts.retries)),
        ("refused by a rate limit", number(facts.refused)),
        ("possible duplicates", number(facts.possible_duplicates)),
        ("answered without a request of their own", number(facts.reused)),
        ("input tokens", number(facts.input_tokens)),
        ("output tokens", number(facts.output_tokens)),
    ];
    rows.extend(facts.cost.map(|cost| ("cost", dollars(cost))));
    rows.push(("wall time", wall(facts.wall_s)));
    if let Some(efficiency) = &facts.efficiency {
        rows.push(("best time under the known limits", wall(efficiency.best_s)));
        rows.push(("what limits the best time", efficiency.bound_by.clone()));
        rows.push(("E: best time / wall time", format!("{:.3}", efficiency.e)));
    }
    rows.push(("answers", facts.output.clone()));
    let mut html = String::from("<section>\n<h2>Summary</h2>\n<table>\n");
    for (name, value) in rows {
        let _ = writeln!(html, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escape(&value));
    }
    html + "</table>\n<p class=\"how\">The best time is the longest of these times. For each known limit: the time to use \
            what was used, at the rate of the limit, without what was available at once. And the time of all attempts with an \
            answer, divided by the concurrency limit. Tokens are those that the answers report: if a server charges for the \
            tokens that a request allows, E stays below 1.</p>\n</section>\n"
}

fn failures(facts: &Facts) -> String {
    if facts.failures.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section>\n<h2>Failures</h2>\n<div class=\"wide\"><table>\n<tr><th>class</th><th>count</th><th>first</th>\
         <th>its message</th></tr>\n",
    );
    for (class, failures) in &facts.failures {
        let _ = writeln!(
            html,
            "<tr><td class=\"name\">{class}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            failures.count,
            escape(&failures.first_id),
            escape(&failures.first_message)
        );
    }
    html + "</table></div>\n</section>\n"
}

fn slowest(facts: &Facts) -> String {
    if facts.slowest.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section>\n<h2>Slowest answers</h2>\n<div class=\"wide\"><table>\n<tr><th>id</th><th>time to the answer</th>\
         <th>with waits</th><th>sends</th></tr>\n",
    );
    for slow in &facts.slowest {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{:.2} s</td><td>{}</td><td>{}</td></tr>",
            escape(&slow.id),
            slow.latency_s,
            wall(slow.elapsed_s),
            slow.sends
        );
    }
    html + "</table></div>\n</section>\n"
}
