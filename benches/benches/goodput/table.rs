//! The table.

use std::fmt::Write as _;

use outbound_simulator::{Charging, Window};

use crate::{arguments::Setting, run::Run};

/// Median and worst goodput that a variant has to reach, and refusals per 1,000 it may have.
fn goal(setting: &Setting) -> (f64, f64, f64) {
    let (median, worst, refused): (f64, f64, f64) = match setting.variant {
        'A' | 'N' => (0.97, 0.94, 1.0),
        'B' => (0.97, 0.94, 10.0),
        'S' => (0.97, 0.94, 40.0),
        'C' | 'D' | 'H' => (0.95, 0.91, 40.0),
        _ => (0.93, 0.89, 40.0),
    };
    if setting.managers > 1 {
        (median - 0.02, worst - 0.02, refused.max(5.0))
    } else if setting.charging == Charging::Estimate && setting.window == Window::Bucket && !setting.streamed
    {
        (median, worst, refused)
    } else {
        // The same within 0.02.
        (median - 0.02, worst - 0.02, 60.0)
    }
}

pub(crate) fn head() {
    println!(
        "{:<22} {:>5} {:>5} {:>7} {:>6} {:>8} {:>6} {:>7} {:>7} {:>5} {:>6} {:>8} {:>6}  goal",
        "",
        "E",
        "worst",
        "T, s",
        "T_ref",
        "ref/1000",
        "extra",
        "outage%",
        "flight%",
        "dupl",
        "conns",
        "missing",
        "wrong",
    );
}

/// Prints the row of a setting: the median of times and goodput, the worst of everything else. Returns whether it
/// reached its goal.
pub(crate) fn row(setting: &Setting, runs: &[Run]) -> bool {
    let sorted = |of: &dyn Fn(&Run) -> f64| {
        let mut values: Vec<_> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let median = |of: &dyn Fn(&Run) -> f64| sorted(of)[runs.len() / 2];
    let most = |of: &dyn Fn(&Run) -> f64| sorted(of)[runs.len() - 1];
    let (goodput, worst) = (median(&Run::goodput), sorted(&Run::goodput)[0]);
    let refused = most(&Run::refused_per_thousand);
    let outage = most(&Run::outage_percent);
    let flight = most(&|run| run.ledger.in_flight_at_outages() as f64 * 100.0 / run.items as f64);
    let duplicates = most(&|run| run.ledger.answered_again() as f64);
    let connections = most(&|run| run.ledger.connections() as f64);
    let (missing, wrong) = (most(&|run| run.missing as f64), most(&|run| run.wrong as f64));
    let (least, least_worst, most_refused) = goal(setting);
    // Rounded as it is shown.
    let reached = |value: f64, goal: f64| (value * 100.0).round() >= (goal * 100.0).round();
    let mut short = String::new();
    for (name, holds) in [
        ("E", reached(goodput, least)),
        ("worst", reached(worst, least_worst)),
        ("refused", refused <= most_refused),
        // Each manager finds out by itself that the provider is down.
        ("outage", outage <= 3.0 * setting.managers as f64),
        ("duplicates", duplicates == 0.0),
        ("connections", connections <= 128.0 * setting.managers as f64),
        ("missing", missing + wrong == 0.0),
    ] {
        if !holds {
            let _ = write!(short, " {name}");
        }
    }
    let text = if short.is_empty() { "held".to_owned() } else { format!("short in{short}") };
    println!(
        "{:<22} {goodput:>5.3} {worst:>5.3} {:>7.2} {:>6.2} {refused:>8.1} {:>6} {outage:>7.2} {flight:>7.2} \
         {duplicates:>5} {connections:>6} {missing:>8} {wrong:>6}  {text}",
        name(setting),
        median(&|run| run.time.as_secs_f64()),
        median(&|run| run.oracle.as_secs_f64()),
        most(&|run| run.extra() as f64),
    );
    for error in runs.iter().flat_map(|run| &run.errors).take(3).filter(|_| missing > 0.0) {
        println!("    {error}");
    }
    short.is_empty()
}

pub(crate) fn name(setting: &Setting) -> String {
    let mut name = setting.variant.to_string();
    match setting.charging {
        Charging::Estimate => {}
        Charging::Settle => name += " settle",
        Charging::Actual => name += " actual",
    }
    match setting.window {
        Window::Bucket => {}
        Window::Fixed => name += " window",
        Window::Log => name += " log",
    }
    for (is_set, word) in [
        (setting.streamed, " streamed"),
        (setting.count_refused, " counted"),
        (setting.kind, " kind"),
        (setting.smoke, " smoke"),
    ] {
        if is_set {
            name += word;
        }
    }
    if setting.managers > 1 {
        let _ = write!(name, " {} managers", setting.managers);
    }
    name
}
