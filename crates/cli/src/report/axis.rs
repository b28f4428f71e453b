//! Axes: the position and the label of each tick.

/// Usual steps of time, in seconds.
const TIMES: [f64; 20] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0,
    7_200.0, 14_400.0, 28_800.0, 86_400.0,
];

/// The most ticks on an axis of time, and on any other axis.
const MOST_TIMES: f64 = 6.0;
const MOST: f64 = 4.0;

/// The ticks of an axis of time that begins at 0, each with its label.
pub(super) fn times(end: f64) -> Vec<(f64, String)> {
    let fits = |step: &&f64| end / **step <= MOST_TIMES;
    let days = (end / MOST_TIMES / 86_400.0).ceil() * 86_400.0;
    let step = TIMES.iter().find(fits).copied().unwrap_or(days);
    ticks(step, end).into_iter().map(|at| (at, time(at, step))).collect()
}

/// The upper end of an axis for values up to `highest`, and its ticks. `whole`: ticks are whole numbers.
pub(super) fn amounts(highest: f64, whole: bool) -> (f64, Vec<f64>) {
    let highest = if highest.is_finite() && highest > 0.0 { highest } else { 1.0 };
    let power = 10_f64.powf((highest / MOST).log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| highest / step <= MOST);
    let step = step.unwrap_or(power * 10.0).max(if whole { 1.0 } else { 0.0 });
    let end = (highest / step).ceil() * step;
    (end, ticks(step, end))
}

fn ticks(step: f64, end: f64) -> Vec<f64> {
    // A conversion from a float saturates.
    let count = (end / step * (1.0 + 1e-9)) as u32;
    (0..=count.min(64)).map(|tick| f64::from(tick) * step).collect()
}

fn time(at: f64, step: f64) -> String {
    match step {
        _ if at == 0.0 => String::from("0"),
        short if short < 1.0 => format!("{at:.1} s"),
        short if short < 60.0 => format!("{at:.0} s"),
        short if short < 3_600.0 => format!("{:.0} min", at / 60.0),
        short if short < 86_400.0 => format!("{:.0} h", at / 3_600.0),
        _ => format!("{:.0} d", at / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(amounts(37.0, true), (40.0, vec![0.0, 10.0, 20.0, 30.0, 40.0]));
        assert_eq!(amounts(0.0, true), (1.0, vec![0.0, 1.0]));
        assert_eq!(amounts(1.0, false).1, [0.0, 0.5, 1.0]);
        assert_eq!(amounts(f64::NAN, false).0, 1.0);
        assert_eq!(amounts(600.0, true).0, 600.0);
        for end in [0.05, 3.0, 61.0, 5_000.0, 90_000.0, 4e6] {
            let ticks = times(end);
            assert!(ticks.len() <= 7 && ticks.iter().all(|(at, _)| *at <= end * 1.001), "{end}: {ticks:?}");
        }
        assert_eq!(times(300.0).last(), Some(&(300.0, String::from("5 min"))));
    }
}
