//! Charts of horizontal bars, one for each name.

use std::fmt::Write as _;

use super::text::{escape, short};

/// The width of the drawing, and the height of a bar with its name above it.
const WIDTH: f64 = 460.0;
const ROW: f64 = 38.0;

/// The most characters of a name.
const NAME: usize = 36;

/// The most bars of a chart.
const MOST: usize = 14;

pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    /// The value as text.
    pub(super) shown: String,
    pub(super) class: &'static str,
}

/// A chart of bars. Without bars it is the text `none`.
pub(super) fn bars(title: &str, sub: &str, bars: &[Bar], none: &str) -> String {
    let mut html = format!("<figure>\n<figcaption><h2>{title}</h2><p>{sub}</p></figcaption>\n");
    if bars.is_empty() {
        let _ = writeln!(html, "<p class=\"none\">{none}</p>\n</figure>");
        return html;
    }
    let longest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let height = bars.len().min(MOST) as f64 * ROW + 6.0;
    let _ = writeln!(html, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">");
    for (place, bar) in bars.iter().take(MOST).enumerate() {
        let (top, width) = (place as f64 * ROW, (bar.value / longest * WIDTH).max(2.0));
        let (label, shown) = (escape(&bar.label), escape(&bar.shown));
        let name = escape(&short(&bar.label, NAME));
        let _ = writeln!(
            html,
            "<g><title>{label}: {shown}</title><text x=\"0\" y=\"{:.0}\">{name}</text>\
             <text class=\"end\" x=\"{WIDTH}\" y=\"{:.0}\">{shown}</text>\
             <rect class=\"track\" x=\"0\" y=\"{:.0}\" width=\"{WIDTH}\" height=\"10\" rx=\"3\"/>\
             <rect class=\"bar {}\" x=\"0\" y=\"{:.0}\" width=\"{width:.1}\" height=\"10\" rx=\"3\"/></g>",
            top + 15.0,
            top + 15.0,
            top + 22.0,
            bar.class,
            top + 22.0,
        );
    }
    html += "</svg>\n";
    if let Some(more) = bars.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = writeln!(html, "<p class=\"none\">and {more} more</p>");
    }
    html + "</figure>\n"
}
