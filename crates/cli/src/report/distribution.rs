//! The chart of latencies: the number of answers for each length of time.

use std::fmt::Write as _;

use super::{
    axis,
    lines::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, frame},
    times::{count, length},
};
use crate::{summary::Latency, watch::Histogram};

/// This many classes of the histogram make one bar.
const TOGETHER: usize = 4;

/// The axis has room for at least this many bars.
const FEWEST: usize = 5;

pub(super) fn chart(histogram: &Histogram, latency: Option<&Latency>) -> String {
    let (title, sub) = ("Latency", "Of attempts with an answer. The axis of time is logarithmic.");
    let mut html = format!("<figure>\n<figcaption><h2>{title}</h2><p>{sub}</p>");
    let bars = histogram.classes(TOGETHER);
    let (Some(first), Some(last), Some(latency)) = (bars.first(), bars.last(), latency) else {
        html += "</figcaption>\n<p class=\"none\">No answer came.</p>\n</figure>\n";
        return html;
    };
    let _ = writeln!(
        html,
        "</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    // If there are few bars, there is empty room beside them.
    let step = (first.1 / first.0).ln();
    let room = FEWEST.saturating_sub(bars.len()) as f64 / 2.0 * step;
    let (from, to) = (first.0.ln() - room, last.1.ln() + room);
    let x = |time: f64| LEFT + (time.ln() - from) / (to - from) * (RIGHT - LEFT);
    let highest = bars.iter().map(|(.., count)| *count as f64).fold(0.0, f64::max);
    let (top, ticks) = axis::amounts(highest, true);
    let y = |count: f64| BOTTOM - count / top * (BOTTOM - TOP);
    html += &frame(
        &times(from.exp(), to.exp()).into_iter().map(|at| (x(at), length(at))).collect::<Vec<_>>(),
        &ticks.into_iter().map(|at| (y(at), count(at))).collect::<Vec<_>>(),
        "time to the answer",
        "answers",
    );
    for (from, to, answers) in &bars {
        let (left, width, above) = (x(*from) + 0.5, (x(*to) - x(*from) - 1.0).max(0.5), y(*answers as f64));
        let _ = writeln!(
            html,
            "<rect class=\"bar c1\" x=\"{left:.1}\" y=\"{above:.1}\" width=\"{width:.1}\" height=\"{:.1}\">\
             <title>{} to {}: {answers} answers</title></rect>",
            BOTTOM - above,
            length(*from),
            length(*to),
        );
    }
    for (name, at) in [("p50", latency.p50_s), ("p90", latency.p90_s), ("p99", latency.p99_s)] {
        let at_x = x(at.max(1e-3)).clamp(LEFT, RIGHT);
        let said = length(at);
        let _ = writeln!(
            html,
            "<g class=\"mark\"><title>{name}: {said}</title><path d=\"M{at_x:.1} {TOP}V{BOTTOM}\"/></g>"
        );
    }
    html += "</svg>\n<p class=\"legend\">";
    for (name, at) in [
        ("p50", latency.p50_s),
        ("p90", latency.p90_s),
        ("p99", latency.p99_s),
        ("longest", latency.longest_s),
    ] {
        let _ = write!(html, "<span>{name} {}</span>", length(at));
    }
    html + "</p>\n</figure>\n"
}

/// Round times between two times, as ticks of a logarithmic axis.
fn times(from: f64, to: f64) -> Vec<f64> {
    let decades = (to / from).log10();
    let steps: &[f64] = if decades > 3.0 {
        &[1.0]
    } else if decades > 1.2 {
        &[1.0, 3.0]
    } else {
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]
    };
    let powers = (-3..=5).map(|power| 10_f64.powi(power));
    let all = powers.flat_map(|power| steps.iter().map(move |step| step * power));
    all.filter(|time| (from..=to).contains(time)).collect()
}
