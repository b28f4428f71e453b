//! Charts of lines over time.

use std::fmt::Write as _;

use super::{
    axis,
    text::{escape, short},
};

/// The size of the drawing and of the frame in it. Numbers are left of the frame, and times below it.
pub(super) const WIDTH: f64 = 460.0;
pub(super) const HEIGHT: f64 = 230.0;
pub(super) const LEFT: f64 = 72.0;
pub(super) const RIGHT: f64 = 450.0;
pub(super) const TOP: f64 = 12.0;
pub(super) const BOTTOM: f64 = 184.0;

/// A chart of lines.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) sub: &'a str,
    /// The unit of the vertical axis.
    pub(super) unit: &'a str,
    /// Where each span begins and ends, in seconds.
    pub(super) spans: &'a [(f64, f64)],
    pub(super) lines: Vec<Line>,
    /// Formats a number on that axis.
    pub(super) number: fn(f64) -> String,
    /// Whether that axis has whole numbers.
    pub(super) whole: bool,
    /// The text if there is nothing to draw.
    pub(super) none: &'a str,
}

pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) class: &'static str,
    /// One for each span; `None` where it is not known.
    pub(super) values: Vec<Option<f64>>,
    pub(super) look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Filled down to the axis.
    Area,
    Line,
    Dashed,
}

impl Chart<'_> {
    pub(super) fn html(&self) -> String {
        let (title, sub) = (self.title, self.sub);
        let mut html = format!("<figure>\n<figcaption><h2>{title}</h2><p>{sub}</p>");
        let known: Vec<_> =
            self.lines.iter().filter(|line| line.values.iter().any(Option::is_some)).collect();
        let end = self.spans.last().map_or(0.0, |(_, end)| *end);
        if known.is_empty() || end <= 0.0 {
            let _ = writeln!(html, "</figcaption>\n<p class=\"none\">{}</p>\n</figure>", self.none);
            return html;
        }
        html += "<p class=\"legend\">";
        for line in &known {
            let dashed = if line.look == Look::Dashed { " dashed" } else { "" };
            let _ = write!(html, "<span><i class=\"{}{dashed}\"></i>{}</span>", line.class, line.name);
        }
        let highest = known.iter().flat_map(|line| &line.values).flatten().copied().fold(0.0, f64::max);
        let (top, ticks) = axis::amounts(highest, self.whole);
        let _ = writeln!(
            html,
            "</p></figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        );
        let x = |at: f64| LEFT + at / end * (RIGHT - LEFT);
        let y = |value: f64| BOTTOM - value / top * (BOTTOM - TOP);
        html += &frame(
            &axis::times(end).into_iter().map(|(at, label)| (x(at), label)).collect::<Vec<_>>(),
            &ticks.into_iter().map(|at| (y(at), (self.number)(at))).collect::<Vec<_>>(),
            "time since the start",
            self.unit,
        );
        for line in &known {
            html += &self.path(line, &x, &y);
        }
        html += &self.hover(&known, &x);
        html + "</svg>\n</figure>\n"
    }

    /// A line of steps: a value is constant within its span.
    fn path(&self, line: &Line, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) -> String {
        let (mut path, mut area, mut open) = (String::new(), String::new(), false);
        let steps = self.spans.iter().zip(&line.values);
        for ((from, to), value) in steps {
            let Some(value) = value else {
                if open {
                    let _ = write!(area, "V{BOTTOM}Z");
                }
                open = false;
                continue;
            };
            let (from, to, at) = (x(*from), x(*to), y(*value));
            if open {
                let _ = write!(path, "V{at:.1}H{to:.1}");
                let _ = write!(area, "V{at:.1}H{to:.1}");
            } else {
                let _ = write!(path, "M{from:.1} {at:.1}H{to:.1}");
                let _ = write!(area, "M{from:.1} {BOTTOM}V{at:.1}H{to:.1}");
            }
            open = true;
        }
        if open {
            let _ = write!(area, "V{BOTTOM}Z");
        }
        let (class, dashed) = (line.class, if line.look == Look::Dashed { " dashed" } else { "" });
        let filled = format!("<path class=\"area {class}\" d=\"{area}\"/>\n");
        let filled = if line.look == Look::Area { filled } else { String::new() };
        format!("{filled}<path class=\"line {class}{dashed}\" d=\"{path}\"/>\n")
    }

    /// An invisible strip for each span, with a tooltip that has its values.
    fn hover(&self, lines: &[&Line], x: &impl Fn(f64) -> f64) -> String {
        let mut html = String::from("<g class=\"hover\">\n");
        for (place, (from, to)) in self.spans.iter().enumerate() {
            let mut said = format!("{from:.1} to {to:.1} s");
            for line in lines {
                if let Some(value) = line.values.get(place).copied().flatten() {
                    let _ = write!(said, "\n{}: {}", line.name, (self.number)(value));
                }
            }
            let (left, width) = (x(*from), x(*to) - x(*from));
            let _ = writeln!(
                html,
                "<rect x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{}\"><title>{said}</title></rect>",
                BOTTOM - TOP
            );
        }
        html + "</g>\n"
    }
}

/// The grid, the axes and their labels. A tick is its position in the drawing and its label.
pub(super) fn frame(across: &[(f64, String)], up: &[(f64, String)], across_is: &str, up_is: &str) -> String {
    let mut html = String::from("<g class=\"axis\">\n");
    for (y, label) in up {
        let label = escape(&short(label, 8));
        let _ = writeln!(
            html,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"end\" x=\"{}\" y=\"{:.1}\">{label}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for (x, label) in across {
        let label = escape(label);
        let class = if *x > RIGHT - 16.0 { "end" } else { "middle" };
        let x_of_text = if class == "end" { RIGHT } else { *x };
        let _ = writeln!(
            html,
            "<path d=\"M{x:.1} {BOTTOM}v4\"/><text class=\"{class}\" x=\"{x_of_text:.1}\" y=\"{}\">{label}</text>",
            BOTTOM + 18.0
        );
    }
    let (middle, below) = ((LEFT + RIGHT) / 2.0, BOTTOM + 38.0);
    let (up_middle, up_is) = ((TOP + BOTTOM) / 2.0, escape(up_is));
    let _ = writeln!(
        html,
        "<text class=\"middle name\" x=\"{middle}\" y=\"{below}\">{}</text>",
        escape(across_is)
    );
    let _ = writeln!(
        html,
        "<text class=\"middle name\" transform=\"translate(11 {up_middle}) rotate(-90)\">{up_is}</text>\n</g>"
    );
    html
}
