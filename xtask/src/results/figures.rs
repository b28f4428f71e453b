//! The figures of a topic, as its CSV file has them.

use std::path::Path;

use super::csv;
use crate::run::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Peer,
    Floor,
}

#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) case: String,
    pub(crate) kind: Kind,
    pub(crate) measure: String,
    pub(crate) unit: String,
    /// `lower`, `higher`, or nothing.
    pub(crate) better: String,
    pub(crate) low: f64,
    pub(crate) mid: f64,
    pub(crate) high: f64,
}

/// Figures that belong into one table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// Without the topic.
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) figures: Vec<Figure>,
}

/// What a case guarantees.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) case: String,
    pub(crate) question: String,
    pub(crate) answer: String,
}

#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) groups: Vec<Group>,
    pub(crate) answers: Vec<Answer>,
}

/// What the times are compared by: the median of their ratios, turn by turn.
pub(crate) const RATIO: &str = "x ours";

/// Less than this much of an allocation is the work of other threads.
const ROUNDING: f64 = 0.005;

impl Figures {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::of(&csv::read(path)?)
    }

    pub(crate) fn of(lines: &[Vec<String>]) -> Result<Self> {
        let mut figures = Self::default();
        for line in lines {
            let [group, case, kind, measure, unit, better, low, mid, high] = &line[..] else {
                return Err(format!("not nine fields: {}", line.join(",")).into());
            };
            let name = group.split_once('/').map_or(group.as_str(), |(_, name)| name);
            let kind = match kind.as_str() {
                "about" => {
                    figures.group(name).about.clone_from(case);
                    continue;
                }
                "contract" => {
                    let (question, answer) = (measure.clone(), unit.clone());
                    figures.answers.push(Answer { case: case.clone(), question, answer });
                    continue;
                }
                "ours" => Kind::Ours,
                "peer" => Kind::Peer,
                "floor" => Kind::Floor,
                other => return Err(format!("no kind: {other}").into()),
            };
            let [low, mid, high] = [low.parse()?, mid.parse()?, high.parse()?];
            let (measure, unit, better) = (measure.clone(), unit.clone(), better.clone());
            let figure = Figure { case: case.clone(), kind, measure, unit, better, low, mid, high };
            figures.group(name).figures.push(figure);
        }
        Ok(figures)
    }

    fn group(&mut self, name: &str) -> &mut Group {
        let found = self.groups.iter().position(|group| group.name == name);
        let at = found.unwrap_or_else(|| {
            self.groups.push(Group { name: name.to_owned(), ..Group::default() });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }
}

impl Group {
    /// Each case once, in their order.
    pub(crate) fn cases(&self) -> Vec<(&str, Kind)> {
        let mut cases: Vec<(&str, Kind)> = Vec::new();
        for figure in &self.figures {
            if !cases.iter().any(|(case, _)| *case == figure.case) {
                cases.push((&figure.case, figure.kind));
            }
        }
        cases
    }

    pub(crate) fn get(&self, case: &str, measure: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.case == case && figure.measure == measure)
    }

    /// Whether this figure is of a peer, and better than that of our first case.
    pub(crate) fn is_won_by_peer(&self, figure: &Figure) -> bool {
        let ours = self.cases().into_iter().find(|(_, kind)| *kind == Kind::Ours);
        let Some(ours) = ours.and_then(|(ours, _)| self.get(ours, &figure.measure)) else { return false };
        if figure.kind != Kind::Peer {
            return false;
        }
        let ratio = (figure.measure == "time").then(|| self.get(&figure.case, RATIO)).flatten();
        match (figure.better.as_str(), ratio) {
            // Both: the medians of noisy rounds may say one thing, and the rounds side by side another.
            ("lower", Some(ratio)) => ratio.mid < 1.0 && figure.mid < ours.mid,
            ("lower", None) => figure.mid < ours.mid - ROUNDING,
            ("higher", _) => figure.mid > ours.mid + ROUNDING,
            _ => false,
        }
    }
}
