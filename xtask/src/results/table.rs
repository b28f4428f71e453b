//! Figures as Markdown tables.

use super::figures::{Answer, Figure, Group, Kind, RATIO};

/// One table: a row for each case, a column for each measure.
pub(crate) fn of_group(group: &Group) -> String {
    let mut measures: Vec<(&str, &str)> = Vec::new();
    for figure in &group.figures {
        if !measures.iter().any(|(measure, _)| *measure == figure.measure) {
            measures.push((&figure.measure, &figure.unit));
        }
    }
    let head = |(measure, unit): &(&str, &str)| {
        if unit.is_empty() { (*measure).to_owned() } else { format!("{measure}, {unit}") }
    };
    let heads: Vec<String> = measures.iter().map(head).collect();
    let rows = group.cases().into_iter().map(|(case, kind)| {
        let cells: Vec<String> = measures
            .iter()
            .map(|(measure, _)| {
                group.get(case, measure).map_or_else(|| "-".to_owned(), |figure| cell(group, figure))
            })
            .collect();
        let wins = cells.iter().any(|cell| cell.starts_with("**"));
        [vec![label(case, kind, wins)], cells].concat()
    });
    table(&heads, rows)
}

/// Several groups of the same cases: a column for each group, with the time and how many times ours it is.
pub(crate) fn of_groups(groups: &[&Group], prefix: &str) -> String {
    let heads: Vec<String> = groups
        .iter()
        .map(|group| group.name.trim_start_matches(prefix).trim_start_matches(", ").to_owned())
        .collect();
    let mut cases: Vec<(&str, Kind)> = Vec::new();
    for (case, kind) in groups.iter().flat_map(|group| group.cases()) {
        if !cases.iter().any(|(known, _)| *known == case) {
            cases.push((case, kind));
        }
    }
    let rows = cases.into_iter().map(|(case, kind)| {
        let cells: Vec<String> = groups
            .iter()
            .map(|group| {
                let Some(figure) = group.get(case, "time") else { return "-".to_owned() };
                let ratio = group.get(case, RATIO).map_or(f64::NAN, |figure| figure.mid);
                let text = format!("{} ({ratio:.2})", number(figure.mid));
                if group.is_won_by_peer(figure) { format!("**{text}**") } else { text }
            })
            .collect();
        let wins = cells.iter().any(|cell| cell.starts_with("**"));
        [vec![label(case, kind, wins)], cells].concat()
    });
    table(&heads, rows)
}

/// What the cases guarantee: a row for each question.
pub(crate) fn of_answers(answers: &[Answer]) -> String {
    let mut cases: Vec<&str> = Vec::new();
    let mut questions: Vec<&str> = Vec::new();
    for answer in answers {
        if !cases.contains(&answer.case.as_str()) {
            cases.push(&answer.case);
        }
        if !questions.contains(&answer.question.as_str()) {
            questions.push(&answer.question);
        }
    }
    let heads: Vec<String> = cases.iter().map(|case| (*case).to_owned()).collect();
    let rows = questions.iter().map(|question| {
        let answer = |case: &&str| {
            let found = answers.iter().find(|answer| answer.case == *case && answer.question == *question);
            found.map_or_else(|| "-".to_owned(), |found| found.answer.clone())
        };
        [vec![(*question).to_owned()], cases.iter().map(answer).collect()].concat()
    });
    table(&heads, rows)
}

pub(crate) fn table(heads: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("| | {} |\n|---|{}\n", heads.join(" | "), "---:|".repeat(heads.len()));
    for row in rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

fn label(case: &str, kind: Kind, wins: bool) -> String {
    match (kind, wins) {
        (Kind::Floor, _) => format!("floor: {case}"),
        (_, true) => format!("**{case}**"),
        _ => case.to_owned(),
    }
}

fn cell(group: &Group, figure: &Figure) -> String {
    let median = if figure.measure == RATIO { format!("{:.2}", figure.mid) } else { number(figure.mid) };
    // The spread of a ratio is seen in that of the times.
    let has_spread = figure.measure != RATIO && figure.low < figure.high;
    let spread = if has_spread {
        format!(" ({} to {})", number(figure.low), number(figure.high))
    } else {
        String::new()
    };
    if group.is_won_by_peer(figure) { format!("**{median}**{spread}") } else { format!("{median}{spread}") }
}

/// Three digits, or as many as there are before the point, in thousands.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        ..1.0 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}
