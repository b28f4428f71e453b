//! How many lines an input has and how many tokens they take, in all and for each model: what `check` and `plan` print.

use std::{collections::BTreeMap, fmt};

use outbound::provider::RequestFacts;

use crate::input::Line;

/// At most this many models are counted separately. Each line could name another model, and memory is bounded.
const MODELS: usize = 64;

/// At most this many models are printed.
const SHOWN: usize = 10;

/// The totals of an input, also by model and by the form of the line.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) all: Count,
    forms: BTreeMap<&'static str, u64>,
    models: BTreeMap<Option<String>, Count>,
    /// All models beyond the first [`MODELS`].
    others: Count,
}

/// A number of lines, and an estimate of their tokens.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) lines: u64,
    pub(crate) input: u64,
    /// The most that the answers can have.
    pub(crate) output: u64,
    /// Lines that set no maximum for the length of their answer.
    pub(crate) unbounded: u64,
}

impl Totals {
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

    /// The models with their counts, those with the most lines first. All beyond the first [`SHOWN`] are one entry.
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
impl fmt::Display for Totals {
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
