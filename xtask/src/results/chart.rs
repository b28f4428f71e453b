//! A topic's chart: one bar for each case of some of its groups.

use super::{
    figures::{Figures, Kind},
    topics::Topic,
};
use crate::svg::{Bar, Chart, Group, Scale};

/// Nothing where the topic has no figures for it.
pub(crate) fn of(topic: &Topic, figures: &Figures) -> Option<Chart> {
    let groups: Vec<Group> = topic
        .chart
        .iter()
        .filter_map(|name| {
            let group = figures.groups.iter().find(|group| group.name == *name)?;
            let bar = |(case, kind): (&str, Kind)| {
                let figure = group.get(case, topic.measure)?;
                let label = if kind == Kind::Floor { format!("floor: {case}") } else { case.to_owned() };
                Some(Bar {
                    label,
                    value: Some(figure.mid),
                    spread: (figure.low < figure.high).then_some((figure.low, figure.high)),
                    note: String::new(),
                    is_ours: kind == Kind::Ours,
                })
            };
            let bars = group.cases().into_iter().filter_map(bar).collect();
            Some(Group { label: group.name.clone(), bars })
        })
        .collect();
    (!groups.is_empty()).then(|| Chart {
        title: topic.title.to_owned(),
        unit: topic.unit.to_owned(),
        scale: if topic.is_logarithmic { Scale::Logarithmic } else { Scale::Linear },
        reference: None,
        groups,
    })
}
