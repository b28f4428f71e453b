//! Where each part of a chart is.

use super::{Bar, Chart, Scale, WIDTH, text};

pub(super) const MARGIN: f64 = 16.0;
/// The height of a bar.
pub(super) const BAR: f64 = 18.0;
/// Between the end of a bar and its value.
pub(super) const GAP: f64 = 7.0;
/// From the top of one bar to the top of the next.
const STEP: f64 = 27.0;
const HEADING: f64 = 26.0;
/// The part that title and unit take.
const HEAD: f64 = 62.0;
/// What a word above the reference line takes.
const REFERENCE: f64 = 20.0;
/// The values of the scale, below the bars.
const FOOT: f64 = 26.0;
/// Labels may take so much of the width; longer ones are cut.
const LABELS: f64 = 300.0;
/// A value that is there is seen, however small it is.
const SHORTEST: f64 = 2.0;

pub(super) enum Row<'a> {
    /// A heading, and the height of its baseline.
    Heading { label: &'a str, y: f64 },
    /// A bar, and the height of its upper edge.
    Bar { bar: &'a Bar, y: f64 },
}

pub(super) struct Layout<'a> {
    pub(super) rows: Vec<Row<'a>>,
    pub(super) height: f64,
    /// Where the bars begin.
    pub(super) left: f64,
    /// The upper and the lower end of the lines of the scale.
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// The length of a bar of the highest value.
    length: f64,
    axis: Axis,
}

impl<'a> Layout<'a> {
    pub(super) fn of(chart: &'a Chart) -> Self {
        let bars = || chart.groups.iter().flat_map(|group| &group.bars);
        let labels = bars().map(|bar| text::width(&bar.label, 13.0)).fold(0.0, f64::max);
        let left = MARGIN + labels.min(LABELS) + 8.0;
        let top = HEAD + if chart.reference.is_some() { REFERENCE } else { 0.0 };
        let mut y = top + 6.0;
        let mut rows = Vec::new();
        for (index, group) in chart.groups.iter().enumerate() {
            if !group.label.is_empty() {
                y += if index == 0 { 0.0 } else { 6.0 };
                rows.push(Row::Heading { label: &group.label, y: y + 15.0 });
                y += HEADING;
            } else if index > 0 {
                y += 10.0;
            }
            for bar in &group.bars {
                rows.push(Row::Bar { bar, y });
                y += STEP;
            }
        }
        let axis = Axis::of(chart);
        let room = WIDTH - MARGIN - left;
        // As long as the values and notes after the bars still have room.
        let length = bars()
            .map(|bar| {
                let (value, note) = said(bar);
                let after = GAP + text::width(&value, 13.5) + text::width(&note, 13.0);
                (room - after) / axis.part(farthest(bar)).max(0.01)
            })
            .fold(room, f64::min)
            .max(room / 4.0);
        Self { rows, height: y + FOOT, left, top, bottom: y, length, axis }
    }

    /// Each bar, and the height of its upper edge.
    pub(super) fn bars(&self) -> impl Iterator<Item = (&'a Bar, f64)> {
        self.rows.iter().filter_map(|row| match *row {
            Row::Bar { bar, y } => Some((bar, y)),
            Row::Heading { .. } => None,
        })
    }

    pub(super) fn x(&self, value: f64) -> f64 {
        self.left + self.length * self.axis.part(value)
    }

    pub(super) fn length(&self, value: f64) -> f64 {
        (self.length * self.axis.part(value)).max(SHORTEST)
    }

    /// Where the bar and its spread end.
    pub(super) fn end(&self, bar: &Bar) -> f64 {
        if bar.value.is_none() && bar.spread.is_none() {
            return self.left;
        }
        self.left + self.length(farthest(bar))
    }

    /// The values at which the scale has a line.
    pub(super) fn ticks(&self) -> Vec<f64> {
        self.axis.ticks()
    }
}

/// The value and the note of a bar, as they stand after it.
pub(super) fn said(bar: &Bar) -> (String, String) {
    let value = bar.value.map(text::number).unwrap_or_default();
    let note = match (value.is_empty(), bar.note.is_empty()) {
        (false, false) => format!(", {}", bar.note),
        _ => bar.note.clone(),
    };
    (value, note)
}

fn farthest(bar: &Bar) -> f64 {
    bar.value.unwrap_or_default().max(bar.spread.map_or(0.0, |(_, high)| high))
}

/// From the lowest to the highest value.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn of(chart: &Chart) -> Self {
        let bars = chart.groups.iter().flat_map(|group| &group.bars);
        let mut values: Vec<_> = bars
            .flat_map(|bar| [bar.value, bar.spread.map(|(low, _)| low), bar.spread.map(|(_, high)| high)])
            .chain([chart.reference.as_ref().map(|reference| reference.value)])
            .flatten()
            .filter(|value| value.is_finite() && *value > 0.0)
            .collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = match (values.first(), values.last()) {
            (Some(least), Some(most)) => (*least, *most),
            _ => (1.0, 1.0),
        };
        let low = match chart.scale {
            Scale::Linear => 0.0,
            // At least a third of a power of ten below the least value, so that its bar has a length too.
            Scale::Logarithmic => 10f64.powf((least / 2.0).log10().floor()),
        };
        Self { scale: chart.scale, low, high: most }
    }

    /// What part of the whole length a value takes.
    fn part(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => value / self.high,
            Scale::Logarithmic if value <= self.low => 0.0,
            Scale::Logarithmic => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 }
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.high / 5.0);
                (0..).map(|count| f64::from(count) * step).take_while(|tick| *tick <= self.high).collect()
            }
            Scale::Logarithmic => {
                let first = self.low.log10().round() as i32;
                (first..).map(|power| 10f64.powi(power)).take_while(|tick| *tick <= self.high).collect()
            }
        }
    }
}

/// The next of 1, 2, 5, 10, 20, ... (or 0.5, 0.2, ...) from a number upwards.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= least * 0.999)
        .unwrap_or(10.0 * power)
}
