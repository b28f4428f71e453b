//! What an output file already holds from earlier runs: which requests have an answer, and which failed.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use super::{
    Existing,
    lines::{EntryError, Lines},
};
use crate::{exit::Stop, identity::Digest};

/// Codes of failures that the request itself did not cause: the key, the money, or the end of the run. Such a request is
/// sent again.
const NOT_ITS_OWN: [&str; 6] = ["auth", "quota_spent", "budget_spent", "stopped", "shut_down", "cancelled"];

/// The lines of an output file, by id. It takes 16 bytes for each line.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    known: Vec<Known>,
    /// How many bytes whole lines take. What follows them is a line that a crash has cut.
    pub(super) whole: u64,
    /// Lines whose requests are sent again. They are taken out of the output before that.
    again: Vec<Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    id: Digest,
    /// The digest of what was sent. Its last bit is replaced: it is 1 if the request failed.
    request: u64,
}

impl Known {
    fn new(id: Digest, request: Digest, state: State) -> Self {
        Self { id, request: request.0 & !1 | u64::from(state == State::Failed) }
    }

    fn state(self) -> State {
        if self.request & 1 == 1 { State::Failed } else { State::Answered }
    }

    fn has_sent(self, request: Digest) -> bool {
        self.request & !1 == request.0 & !1
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Answered,
    Failed,
}

impl Earlier {
    /// Reads an output as it is now, also while a run writes to it.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Stop> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Stop::Output(format!("{name}: {error}")))?;
        Self::read(file, &name, Existing::Resume)
    }

    /// Reads an output. Failed requests are sent again if `existing` says so, and in any case if the request itself did not cause
    /// the failure.
    pub(super) fn read(file: impl Read, name: &str, existing: Existing) -> Result<Self, Stop> {
        let retry_failed = existing == Existing::RetryFailed;
        let mut earlier = Self::default();
        let mut lines = Lines::new(file);
        while let Some(line) = lines.next().map_err(|error| Stop::Output(format!("{name}: {error}")))? {
            let entry = match line.entry() {
                // A crash has cut the last line.
                Err(_) if !line.is_whole => break,
                Err(_) if line.is_blank() => {
                    earlier.whole += line.length();
                    continue;
                }
                Ok(Some(entry)) => entry,
                Ok(None) | Err(_) => return Err(foreign(name, line.number, existing)),
            };
            earlier.whole += line.length();
            let state = if entry.error.is_some() { State::Failed } else { State::Answered };
            let is_sent_again = is_sent_again(entry.error.as_ref(), retry_failed);
            let lines = if is_sent_again { &mut earlier.again } else { &mut earlier.known };
            lines.push(Known::new(Digest::of_id(&entry.custom_id), entry.request, state));
        }
        earlier.known.sort_unstable();
        earlier.again.sort_unstable();
        earlier.known.shrink_to_fit();
        Ok(earlier)
    }

    /// What is known of a line of the input.
    ///
    /// # Errors
    ///
    /// Where another request was sent under this id.
    pub(crate) fn of(&self, id: Digest, request: Digest) -> Result<Option<State>, Changed> {
        let Ok(place) = self.known.binary_search_by_key(&id, |known| known.id) else { return Ok(None) };
        let known = self.known[place];
        if known.has_sent(request) { Ok(Some(known.state())) } else { Err(Changed(known.state())) }
    }

    /// Whether it has a line of this id that stays.
    pub(crate) fn has(&self, id: Digest) -> bool {
        self.known.binary_search_by_key(&id, |known| known.id).is_ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn has_failures(&self) -> bool {
        self.known.iter().any(|known| known.state() == State::Failed)
    }

    /// Whether this id has its answer.
    pub(crate) fn is_answered(&self, id: Digest) -> bool {
        let place = self.known.binary_search_by_key(&id, |known| known.id);
        place.is_ok_and(|place| self.known[place].state() == State::Answered)
    }

    pub(crate) fn has_lines_to_drop(&self) -> bool {
        !self.again.is_empty()
    }

    /// Whether a line of this id will be sent again, if the input has it.
    pub(crate) fn is_sent_again(&self, id: Digest) -> bool {
        self.again.binary_search_by_key(&id, |known| known.id).is_ok()
    }

    /// Sends again only the requests with these ids, which the input has. All other lines stay as they are.
    pub(crate) fn only_these_again(&mut self, ids: &BTreeSet<Digest>) {
        self.known.extend(self.again.extract_if(.., |known| !ids.contains(&known.id)));
        self.known.sort_unstable();
    }

    /// Copies the lines that stay in the output, byte for byte.
    pub(super) fn copy(&self, from: impl Read, mut to: impl Write) -> io::Result<()> {
        let mut lines = Lines::new(from);
        while let Some(line) = lines.next()? {
            let Ok(Some(entry)) = line.entry() else { continue };
            if entry.error.is_none() || !self.is_sent_again(Digest::of_id(&entry.custom_id)) {
                to.write_all(line.bytes)?;
                to.write_all(b"\n")?;
            }
        }
        to.flush()
    }
}

/// Another request was sent under the same id; and what became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed(pub(crate) State);

fn is_sent_again(error: Option<&EntryError<'_>>, retry_failed: bool) -> bool {
    error.is_some_and(|error| retry_failed || !is_its_own(&error.code))
}

/// Whether a failure with this code was caused by the request itself.
pub(crate) fn is_its_own(code: &str) -> bool {
    !NOT_ITS_OWN.contains(&code)
}

fn foreign(name: &str, number: u64, existing: Existing) -> Stop {
    let hint = match existing {
        Existing::Export => "Give another --output",
        _ => "Give another --output, or use --fresh to begin anew (the old file is kept under another name)",
    };
    Stop::Output(format!(
        "{name} is not an output of this command: line {number} is no answer that it wrote. {hint}"
    ))
}
