//! What a part found: one line for each fact.

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) mark: Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Held,
    /// A goal that was not reached.
    Missed,
    /// Something that must never happen: the task fails.
    Violated,
    /// A figure without a goal.
    Figure,
}

impl Row {
    /// What must always hold.
    pub(crate) fn must(what: &str, goal: &str, measured: impl ToString, holds: bool) -> Self {
        Self::new(what, goal, measured, if holds { Mark::Held } else { Mark::Violated })
    }

    /// A goal that depends on the machine.
    pub(crate) fn goal(what: &str, goal: &str, measured: impl ToString, holds: bool) -> Self {
        Self::new(what, goal, measured, if holds { Mark::Held } else { Mark::Missed })
    }

    pub(crate) fn figure(what: &str, measured: impl ToString) -> Self {
        Self::new(what, "-", measured, Mark::Figure)
    }

    #[expect(clippy::needless_pass_by_value)]
    fn new(what: &str, goal: &str, measured: impl ToString, mark: Mark) -> Self {
        Self { what: what.to_owned(), goal: goal.to_owned(), measured: measured.to_string(), mark }
    }

    pub(crate) fn print(&self, part: &str) {
        let mark = match self.mark {
            Mark::Held => "held",
            Mark::Missed => "MISSED",
            Mark::Violated => "VIOLATED",
            Mark::Figure => "",
        };
        println!("| {part:<10} | {:<56} | {:<9} | {:<26} | {mark} |", self.what, self.goal, self.measured);
    }
}
