//! What an input is made of, counted: for `check` and `plan`.

use std::{collections::BTreeMap, fmt};

use outbound::provider::RequestFacts;

use crate::input::Line;

/// Models beyond so many are counted together: there could be one for each line.
const MODELS: usize = 64;

/// So many of them are shown.
const SHOWN: usize = 10;

/// Counts of lines and tokens.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) all: Count,
    forms: BTreeMap<&'static str, u64>,
    models: BTreeMap<Option<String>, Count>,
    others: Count,
}

/// Lines, and the tokens that they are guessed to take.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) lines: u64,
    pub(crate) input: u64,
    /// At the most.
    pub(crate) output: u64,
    /// Lines that do not say how long their answers may be.
    pub(crate) unbounded: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, line: &Line, facts: &RequestFacts) {
        self.all.add(facts);
        *self.forms.entry(line.form).or_default() += 1;
        if let Some(count) = self.models.get_mut(&facts.model) {
            count.add(facts);
        } else if self.models.len() < MODELS {
            self.models.entry(facts.model.clone()).or_default().add(facts);
        } else {
            self.others.add(facts);
        }
    }
}

impl Tally {
    /// The models, those with the most lines first. Beyond some they are counted together.
    pub(crate) fn models(&self) -> impl Iterator<Item = (&str, Count)> {
        let mut models: Vec<_> = self.models.iter().collect();
        models.sort_by_key(|(_, count)| std::cmp::Reverse(count.lines));
        let mut others = self.others;
        models.iter().skip(SHOWN).for_each(|(_, count)| others += **count);
        models.truncate(SHOWN);
        let models =
            models.into_iter().map(|(name, count)| (name.as_deref().unwrap_or("no model named"), *count));
        models.chain((others.lines > 0).then_some(("other models", others)))
    }
}

impl Count {
    fn add(&mut self, facts: &RequestFacts) {
        let estimate = facts.estimate;
        self.lines += 1;
        self.input = self.input.saturating_add(estimate.input);
        self.output = self.output.saturating_add(estimate.output);
        self.unbounded += u64::from(estimate.output > 0 && !estimate.output_stated);
    }
}

/// `lines 12 (10 prompt, 2 OpenAI batch)`, and a line for each model.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forms: Vec<_> = self.forms.iter().map(|(form, lines)| format!("{lines} {form}")).collect();
        let forms = if forms.is_empty() { String::from("nothing") } else { forms.join(", ") };
        write!(f, "lines  {} ({forms})\ntokens {}", self.all.lines, self.all)?;
        for (name, count) in self.models() {
            write!(f, "\n       {name}: lines {}, {count}", count.lines)?;
        }
        Ok(())
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.unbounded += other.unbounded;
    }
}

/// `about 120 in, up to 2048 out`
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about {} in, up to {} out", self.input, self.output)
    }
}
