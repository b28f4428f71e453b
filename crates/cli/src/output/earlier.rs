//! What an output file holds already: which lines have their answer, and which have failed.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use serde::{Deserialize, de::IgnoredAny};

use crate::{exit::Stop, identity::Digest};

/// Failures that are not the line's own: the key, the money, or the end of the run. Such a line is sent again.
const NOT_ITS_OWN: [&str; 6] = ["auth", "quota_spent", "budget_spent", "stopped", "shut_down", "cancelled"];

/// The lines of an output file, by id. 16 bytes a line.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    known: Vec<Known>,
    /// So many bytes are whole lines. What follows is a line that a crash cut.
    pub(super) whole: u64,
    /// Lines that will be sent again, and have to go.
    again: Vec<Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    id: Digest,
    /// Of what was sent. Its last bit says whether that failed.
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

/// What a line of the output says of its line of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Answered,
    Failed,
}

/// The part of an output line that is read.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(default, borrow)]
    error: Option<SeenError<'a>>,
    #[serde(default)]
    outbound: Option<SeenExtra>,
    #[serde(default, rename = "response")]
    _response: IgnoredAny,
}

#[derive(Deserialize)]
struct SeenError<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
}

#[derive(Deserialize)]
struct SeenExtra {
    request: Option<Digest>,
}

impl Earlier {
    /// Reads an output as it is, whoever writes it.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Stop> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Stop::Output(format!("{name}: {error}")))?;
        Self::read(file, &name, false)
    }

    /// Reads an output. Lines that failed are left out, and so sent again, where `retry_failed` says so or where the failure
    /// was not theirs.
    pub(super) fn read(file: impl Read, name: &str, retry_failed: bool) -> Result<Self, Stop> {
        let mut earlier = Self::default();
        let mut lines = Lines::new(file);
        while let Some(line) = lines.next().map_err(|error| Stop::Output(format!("{name}: {error}")))? {
            let Line { number, bytes, is_whole } = line;
            let seen = match serde_json::from_slice::<Seen<'_>>(bytes) {
                // Only the last line has no end: a crash has cut it.
                Err(_) if !is_whole => break,
                Err(_) if bytes.trim_ascii().is_empty() => {
                    earlier.whole += bytes.len() as u64 + 1;
                    continue;
                }
                Ok(Seen {
                    custom_id, error, outbound: Some(SeenExtra { request: Some(request) }), ..
                }) => (custom_id, error, request),
                Ok(_) | Err(_) => return Err(foreign(name, number)),
            };
            earlier.whole += bytes.len() as u64 + u64::from(is_whole);
            let (custom_id, error, request) = seen;
            let state = if error.is_some() { State::Failed } else { State::Answered };
            let is_sent_again = is_sent_again(error.as_ref(), retry_failed);
            let lines = if is_sent_again { &mut earlier.again } else { &mut earlier.known };
            lines.push(Known::new(Digest::of_id(&custom_id), request, state));
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
    /// Where what would be sent is not what was sent under this id.
    pub(crate) fn of(&self, id: Digest, request: Digest) -> Result<Option<State>, Changed> {
        let Ok(place) = self.known.binary_search_by_key(&id, |known| known.id) else { return Ok(None) };
        let known = self.known[place];
        if known.has_sent(request) { Ok(Some(known.state())) } else { Err(Changed(known.state())) }
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

    /// The input has these lines to be sent again, and no others: those stay as they are.
    pub(crate) fn only_these_again(&mut self, ids: &BTreeSet<Digest>) {
        self.known.extend(self.again.extract_if(.., |known| !ids.contains(&known.id)));
        self.known.sort_unstable();
    }

    /// Writes the lines that stay, as they are.
    pub(super) fn copy(&self, from: impl Read, mut to: impl Write) -> io::Result<()> {
        let mut lines = Lines::new(from);
        while let Some(Line { bytes, .. }) = lines.next()? {
            let seen = serde_json::from_slice::<Seen<'_>>(bytes);
            let goes =
                |seen: Seen<'_>| seen.error.is_some() && self.is_sent_again(Digest::of_id(&seen.custom_id));
            if seen.is_ok_and(|seen| !goes(seen)) {
                to.write_all(bytes)?;
                to.write_all(b"\n")?;
            }
        }
        to.flush()
    }
}

/// What is sent under an id is not what was sent before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed(pub(crate) State);

fn is_sent_again(error: Option<&SeenError<'_>>, retry_failed: bool) -> bool {
    error.is_some_and(|error| retry_failed || NOT_ITS_OWN.contains(&&*error.code))
}

fn foreign(name: &str, number: u64) -> Stop {
    Stop::Output(format!(
        "{name} holds something already: line {number} is no answer that this command wrote. Give another --output, or \
         --fresh to begin anew (the file is kept under another name)"
    ))
}

/// The lines of a file, one at a time.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

struct Line<'a> {
    number: u64,
    /// Without the line end.
    bytes: &'a [u8],
    /// It has a line end.
    is_whole: bool,
}

impl<R: Read> Lines<R> {
    fn new(file: R) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, file), line: Vec::new(), number: 0 }
    }

    fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        self.number += 1;
        if self.reader.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        let is_whole = self.line.pop_if(|byte| *byte == b'\n').is_some();
        Ok(Some(Line { number: self.number, bytes: &self.line, is_whole }))
    }
}
