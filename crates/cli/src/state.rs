//! What a run keeps beside its output, to be taken up again after a crash: its name, and what it sends.
//!
//! It is a journal in the folder `OUT.state`. Its records are, by their first byte:
//!
//! | byte | then | says |
//! |---|---|---|
//! | `R` | JSON: [`Header`] | a run begins; the last one counts |
//! | `S` | 8 bytes: digest of a `custom_id` | this line leaves now |
//! | `U` | 8 bytes: the same | all that left of it provably did nothing |
//!
//! A line that has an answer is in the output. One that left and has no answer there may have been billed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use outbound::{SendLog, Sending, Written};
use outbound_journal::{Error, Journal, Records};
use serde::{Deserialize, Serialize};

use crate::{
    exit::Stop,
    identity::Digest,
    output::{Earlier, Existing, Fsync},
};

/// Enough for a header, and little enough that a segment is read at once.
const MAX_RECORD: u32 = 4 << 10;
const SEGMENT: u64 = 8 << 20;

/// The state of a run.
pub(crate) struct State {
    folder: PathBuf,
    journal: Arc<Journal>,
    pub(crate) header: Header,
    /// What earlier runs sent, and nobody knows what came of it.
    sent: BTreeSet<Digest>,
}

/// Which run it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Where the draws of the run come from, and its idempotency keys: a run that is taken up again repeats them.
    pub(crate) seed: u64,
    /// It spoke to a provider inside of its own process.
    pub(crate) simulated: bool,
}

impl State {
    /// Where the state of an output is.
    pub(crate) fn folder_of(output: &Path) -> PathBuf {
        // Whatever name it is called by.
        let output = output.canonicalize().unwrap_or_else(|_| output.to_owned());
        let mut folder = output.into_os_string();
        folder.push(".state");
        PathBuf::from(folder)
    }

    /// Takes up the state of an output, or begins one. `earlier` says what has its answer. The header is that of a run that
    /// does not go on with an earlier one.
    pub(crate) fn open(
        output: &Path,
        fsync: Fsync,
        existing: Existing,
        earlier: &Earlier,
        header: Header,
    ) -> Result<Self, Stop> {
        let folder = Self::folder_of(output);
        let fsync = match fsync {
            Fsync::Off => outbound_journal::Fsync::Off,
            Fsync::Batch | Fsync::Always => outbound_journal::Fsync::Always,
        };
        let builder = Journal::builder().fsync(fsync).max_record(MAX_RECORD).segment_bytes(SEGMENT);
        let journal = builder.open(&folder).map_err(|error| unusable(&folder, &error))?;
        let mut known = Known::default();
        if !matches!(existing, Existing::Fresh { .. }) {
            let records = journal.records();
            let read = records.and_then(|records| Known::read(records, |id| earlier.is_answered(id)));
            known = read.map_err(|error| unusable(&folder, &error))?;
        }
        let Known { header: found, sent } = known;
        if found.as_ref().is_some_and(|found| found.simulated != header.simulated) {
            let what = ["a real provider's answers", "answers of a simulated provider"];
            let (has, wants) = if header.simulated { (what[0], what[1]) } else { (what[1], what[0]) };
            return Err(Stop::Output(format!(
                "{} has {has}, and this run would add {wants}; give another --output, or --fresh",
                output.display()
            )));
        }
        // What is sent again after it failed may be another body now, which must not have the key of the old one.
        let header = found.filter(|_| existing == Existing::Resume).unwrap_or(header);
        let state = Self { folder, journal: Arc::new(journal), header, sent };
        state.rewrite().map_err(|error| unusable(&state.folder, &error))?;
        Ok(state)
    }

    /// What was sent and is not done, for all that the state of an output tells. A run may be at work on it.
    pub(crate) fn sent(output: &Path, is_done: impl Fn(Digest) -> bool) -> Result<BTreeSet<Digest>, Stop> {
        let folder = Self::folder_of(output);
        let mut tries = 0;
        loop {
            match Records::read(&folder).and_then(|records| Known::read(records, &is_done)) {
                Ok(known) => return Ok(known.sent),
                // A run that has ended well leaves none.
                Err(_) if !folder.exists() => return Ok(BTreeSet::new()),
                // A run that begins makes the journal anew meanwhile.
                Err(_) if tries < 8 => tries += 1,
                Err(error) => return Err(Stop::Input(error.to_string())),
            }
        }
    }

    /// Leaves in the journal what still matters.
    fn rewrite(&self) -> Result<(), Error> {
        let header = [b"R".as_slice(), &serde_json::to_vec(&self.header).unwrap_or_default()].concat();
        let sent = self.sent.iter().map(|id| record(b'S', *id).to_vec());
        self.journal.rewrite(std::iter::once(header).chain(sent))
    }

    /// Whether an earlier run may have sent this line, for all that the state tells.
    pub(crate) fn may_have_been_sent(&self, id: Digest) -> bool {
        self.sent.contains(&id)
    }

    /// What writes down each send.
    pub(crate) fn log(&self) -> impl SendLog + use<> {
        Log(Arc::clone(&self.journal))
    }

    /// Whether no earlier run sent anything whose end is not known.
    pub(crate) fn has_sent_nothing(&self) -> bool {
        self.sent.is_empty()
    }

    /// Whether every line that an earlier run sent has an answer in the output.
    pub(crate) fn is_settled(&self, output: &Earlier) -> bool {
        self.sent.iter().all(|id| output.is_answered(*id))
    }

    /// Nothing is left to be taken up: the folder goes, unless somebody else has put something in it.
    pub(crate) fn remove(self) {
        drop(self.journal);
        // It holds nothing that matters any more. What cannot be removed does no harm.
        for file in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = file.path();
            if file.file_name() == "lock" || path.extension().is_some_and(|end| end == "journal") {
                let _ = fs::remove_file(path);
            }
        }
        let _ = fs::remove_dir(self.folder);
    }
}

/// What a journal says.
#[derive(Debug, Default)]
struct Known {
    header: Option<Header>,
    sent: BTreeSet<Digest>,
}

impl Known {
    /// `is_done`: whether a line that was sent has what came of it.
    fn read(records: Records, is_done: impl Fn(Digest) -> bool) -> Result<Self, Error> {
        let mut known = Self::default();
        for record in records {
            let bytes = record?.bytes;
            let Some((kind, rest)) = bytes.split_first() else { continue };
            let id = || rest.try_into().map(|bytes| Digest(u64::from_le_bytes(bytes))).ok();
            match kind {
                b'R' => known.header = serde_json::from_slice(rest).ok().or(known.header),
                b'S' => known.sent.extend(id().filter(|id| !is_done(*id))),
                b'U' => _ = id().map(|id| known.sent.remove(&id)),
                // A later version's.
                _ => {}
            }
        }
        Ok(known)
    }
}

fn record(kind: u8, id: Digest) -> [u8; 9] {
    let mut record = [kind; 9];
    record[1..].copy_from_slice(&id.0.to_le_bytes());
    record
}

fn unusable(folder: &Path, error: &Error) -> Stop {
    Stop::Output(match error {
        Error::Locked { .. } => format!("{}: another run uses it; wait for its end", folder.display()),
        Error::Damaged { .. } | Error::Missing { .. } | Error::Version { .. } => format!(
            "{error}. The answers are safe: they are not in there. Move the folder {} away to go on; then nothing says \
             which requests an earlier run had sent without an answer",
            folder.display()
        ),
        _ => error.to_string(),
    })
}

/// Writes down each line that leaves.
struct Log(Arc<Journal>);

impl SendLog for Log {
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a> {
        Box::pin(async move { Ok(self.leaves(request.id.unwrap_or_default()).await?) })
    }

    fn not_processed(&self, request: Sending<'_>) {
        self.takes_back(request.id.unwrap_or_default());
    }
}

impl Log {
    async fn leaves(&self, custom_id: &str) -> Result<(), Error> {
        self.0.append(&record(b'S', Digest::of_id(custom_id)))?;
        self.0.committed().await
    }

    fn takes_back(&self, custom_id: &str) {
        // If it cannot be written, the line counts as sent, which is on the safe side.
        let _ = self.0.append(&record(b'U', Digest::of_id(custom_id)));
    }
}

#[cfg(test)]
mod tests;
