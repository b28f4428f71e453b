//! Bar charts as SVG text: horizontal bars, a light and a dark colour scheme, the reader's own font, no script.
//!
//! A chart is plain data ([`Chart`]), and [`svg`] makes the text of it. The same data gives the same text, so that a
//! committed picture can be compared with a new one.

use std::fmt::Write as _;

pub(crate) use self::text::number;
use self::{
    layout::{Layout, Row},
    text::{clipped, escaped},
};

mod layout;
mod text;

/// The width of each chart in pixels.
pub(crate) const WIDTH: f64 = 720.0;

/// What a chart shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What the numbers are, under the title: `seconds, less is better`.
    pub(crate) unit: String,
    pub(crate) scale: Scale,
    /// A vertical line through all bars, such as the optimum or the floor.
    pub(crate) reference: Option<Reference>,
    pub(crate) groups: Vec<Group>,
}

/// How a value becomes a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scale {
    /// A bar twice as long is a value twice as large. The scale begins at 0.
    #[default]
    Linear,
    /// The same length more is ten times the value. For values that differ by a hundred times and more.
    Logarithmic,
}

/// A vertical line with a word at its top.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) label: String,
    pub(crate) value: f64,
}

/// Bars under one heading.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// No heading is drawn where this is empty.
    pub(crate) label: String,
    pub(crate) bars: Vec<Bar>,
}

/// One value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bar {
    pub(crate) label: String,
    /// No bar is drawn where there is no value. The note then says why.
    pub(crate) value: Option<f64>,
    /// The lowest and the highest measured value.
    pub(crate) spread: Option<(f64, f64)>,
    /// Stands after the value: `14 lost`.
    pub(crate) note: String,
    /// Whether the bar gets the accent colour.
    pub(crate) is_ours: bool,
}

/// For which background a chart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

struct Colours {
    background: &'static str,
    text: &'static str,
    muted: &'static str,
    grid: &'static str,
    bar: &'static str,
    ours: &'static str,
    reference: &'static str,
}

impl Theme {
    /// Those of GitHub's pages, so that the picture has no edge there.
    fn colours(self) -> Colours {
        match self {
            Self::Light => Colours {
                background: "#ffffff",
                text: "#1f2328",
                muted: "#59636e",
                grid: "#d8dee4",
                bar: "#b4bcc6",
                ours: "#0f7b6c",
                reference: "#bc4c00",
            },
            Self::Dark => Colours {
                background: "#0d1117",
                text: "#e6edf3",
                muted: "#9198a1",
                grid: "#30363d",
                bar: "#545d68",
                ours: "#2fae98",
                reference: "#f0883e",
            },
        }
    }
}

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";

/// The chart as an SVG document.
pub(crate) fn svg(chart: &Chart, theme: Theme) -> String {
    let layout = Layout::of(chart);
    let colours = theme.colours();
    let mut out = String::new();
    let height = layout.height;
    line(
        &mut out,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" font-family="{FONT}" font-size="13">"#
        ),
    );
    line(&mut out, format_args!("<title>{}</title>", escaped(&chart.title)));
    line(&mut out, format_args!("<desc>{}</desc>", escaped(&description(chart))));
    line(
        &mut out,
        format_args!(r#"<rect width="{WIDTH}" height="{height}" fill="{}"/>"#, colours.background),
    );
    line(
        &mut out,
        format_args!(
            r#"<text x="{:.1}" y="28" font-size="17" font-weight="600" fill="{}">{}</text>"#,
            layout::MARGIN,
            colours.text,
            escaped(&chart.title)
        ),
    );
    line(
        &mut out,
        format_args!(
            r#"<text x="{:.1}" y="48" fill="{}">{}</text>"#,
            layout::MARGIN,
            colours.muted,
            escaped(&chart.unit)
        ),
    );
    grid(&mut out, &layout, &colours);
    for (bar, y) in layout.bars() {
        draw(&mut out, &layout, bar, y, &colours);
    }
    // Over the bars, since it is compared with each of them, and under the words.
    if let Some(reference) = &chart.reference {
        reference_line(&mut out, &layout, reference, &colours);
    }
    for row in &layout.rows {
        match row {
            Row::Heading { label, y } => line(
                &mut out,
                format_args!(
                    r#"<text x="{:.1}" y="{y:.1}" font-weight="600" fill="{}">{}</text>"#,
                    layout::MARGIN,
                    colours.text,
                    escaped(label)
                ),
            ),
            Row::Bar { bar, y } => words(&mut out, &layout, bar, *y, &colours),
        }
    }
    out.push_str("</svg>\n");
    out
}

/// The scale: thin lines behind the bars, and their values below.
fn grid(out: &mut String, layout: &Layout<'_>, colours: &Colours) {
    for tick in layout.ticks() {
        let x = layout.x(tick);
        line(
            out,
            format_args!(
                r#"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{:.1}" stroke="{}"/>"#,
                layout.top, layout.bottom, colours.grid
            ),
        );
        line(
            out,
            format_args!(
                r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="11" fill="{}">{}</text>"#,
                layout.bottom + 15.0,
                colours.muted,
                number(tick)
            ),
        );
    }
}

fn reference_line(out: &mut String, layout: &Layout<'_>, reference: &Reference, colours: &Colours) {
    let x = layout.x(reference.value);
    line(
        out,
        format_args!(
            r#"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{:.1}" stroke="{}" stroke-width="1.5" stroke-dasharray="4 3"/>"#,
            layout.top - 4.0,
            layout.bottom,
            colours.reference
        ),
    );
    let label = format!("{} {}", reference.label, number(reference.value));
    // The word stays inside the picture at both ends.
    let half = text::width(&label, 12.0) / 2.0;
    let middle = x.clamp(layout::MARGIN + half, WIDTH - layout::MARGIN - half);
    line(
        out,
        format_args!(
            r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle" font-size="12" fill="{}">{}</text>"#,
            layout.top - 9.0,
            colours.reference,
            escaped(&label)
        ),
    );
}

/// The bar at this height, and its spread.
fn draw(out: &mut String, layout: &Layout<'_>, bar: &Bar, y: f64, colours: &Colours) {
    let fill = if bar.is_ours { colours.ours } else { colours.bar };
    if let Some(value) = bar.value {
        line(
            out,
            format_args!(
                r#"<rect x="{:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" rx="2" fill="{fill}"/>"#,
                layout.left,
                layout.length(value),
                layout::BAR
            ),
        );
    }
    if let Some((low, high)) = bar.spread {
        let (from, to, middle) = (layout.x(low), layout.x(high), y + layout::BAR / 2.0);
        let (above, below) = (middle - 4.0, middle + 4.0);
        line(
            out,
            format_args!(
                r#"<path d="M{from:.1} {above:.1}V{below:.1}M{from:.1} {middle:.1}H{to:.1}M{to:.1} {above:.1}V{below:.1}" stroke="{}" stroke-width="1.2" fill="none"/>"#,
                colours.text
            ),
        );
    }
}

/// The label before the bar, and what stands after it.
fn words(out: &mut String, layout: &Layout<'_>, bar: &Bar, y: f64, colours: &Colours) {
    let weight = if bar.is_ours { "600" } else { "400" };
    let baseline = y + layout::BAR / 2.0 + 4.5;
    line(
        out,
        format_args!(
            r#"<text x="{:.1}" y="{baseline:.1}" text-anchor="end" font-weight="{weight}" fill="{}">{}</text>"#,
            layout.left - 8.0,
            colours.text,
            escaped(&clipped(&bar.label, 13.0, layout.left - 8.0 - layout::MARGIN))
        ),
    );
    let (value, note) = layout::said(bar);
    // The outline in the colour of the background keeps the text readable where a line of the scale runs through it.
    line(
        out,
        format_args!(
            r#"<text x="{:.1}" y="{baseline:.1}" font-weight="{weight}" fill="{}" stroke="{}" stroke-width="6" stroke-linejoin="round" paint-order="stroke">{}<tspan font-weight="400" fill="{}">{}</tspan></text>"#,
            layout.end(bar) + layout::GAP,
            colours.text,
            colours.background,
            escaped(&value),
            colours.muted,
            escaped(&note)
        ),
    );
}

/// All of it in words, for those who do not see the picture.
fn description(chart: &Chart) -> String {
    let mut words = chart.unit.clone();
    if let Some(reference) = &chart.reference {
        let _ = write!(words, "; {}: {}", reference.label.trim_end_matches(':'), number(reference.value));
    }
    for group in &chart.groups {
        for bar in &group.bars {
            let (value, note) = layout::said(bar);
            let heading = if group.label.is_empty() { String::new() } else { format!("{}, ", group.label) };
            let _ = write!(words, "; {heading}{}: {value}{note}", bar.label);
        }
    }
    words
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests;
