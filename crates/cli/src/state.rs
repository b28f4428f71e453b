//! The state of a run, which it keeps beside its output so that a later run can go on after a crash.
//!
//! It is a journal in the folder `OUT.state`. The first byte of a record is its kind:
//!
//! | byte | what follows | meaning |
//! |---|---|---|
//! | `R` | JSON: [`Header`] | a run begins; the last such record counts |
//! | `S` | 8 bytes: digest of a `custom_id` | this request is sent now |
//! | `U` | 8 bytes: digest of a `custom_id` | no attempt of this request had an effect |
//!
//! A request that was sent and has no line in the output may have been billed.

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

/// The longest record, in bytes: a header fits. A segment is small enough to be read at once.
const MAX_RECORD: u32 = 4 << 10;
const SEGMENT: u64 = 8 << 20;

/// The state of a run.
pub(crate) struct State {
    folder: PathBuf,
    journal: Arc<Journal>,
    pub(crate) header: Header,
    /// Requests that earlier runs sent and whose end is not known.
    sent: BTreeSet<Digest>,
}

/// Which run it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The seed of random numbers and of idempotency keys. A run that goes on uses the same keys again.
    pub(crate) seed: u64,
    /// Whether the run sends to the simulated provider.
    pub(crate) simulated: bool,
}

impl State {
    /// The folder with the state of an output.
    pub(crate) fn folder_of(output: &Path) -> PathBuf {
        // The same for every link to the output.
        let output = output.canonicalize().unwrap_or_else(|_| output.to_owned());
        let mut folder = output.into_os_string();
        folder.push(".state");
        PathBuf::from(folder)
    }

    /// Opens the state of an output, or creates it. `earlier` says what has an answer. `header` is used if no earlier run is
    /// continued.
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
                "{} has {has}, and this run would add {wants}; give another --output, or use --fresh",
                output.display()
            )));
        }
        // With --retry-failed a request may have another body now. It must not have the idempotency key of the old one.
        let header = found.filter(|_| existing == Existing::Resume).unwrap_or(header);
        let state = Self { folder, journal: Arc::new(journal), header, sent };
        state.rewrite().map_err(|error| unusable(&state.folder, &error))?;
        Ok(state)
    }

    /// The requests that were sent and are not done, as the state of an output says. A run may be at work on it.
    pub(crate) fn sent(output: &Path, is_done: impl Fn(Digest) -> bool) -> Result<BTreeSet<Digest>, Stop> {
        let folder = Self::folder_of(output);
        let mut tries = 0;
        loop {
            match Records::read(&folder).and_then(|records| Known::read(records, &is_done)) {
                Ok(known) => return Ok(known.sent),
                // A run that succeeded has removed its state.
                Err(_) if !folder.exists() => return Ok(BTreeSet::new()),
                // A run that begins is rewriting the journal.
                Err(_) if tries < 8 => tries += 1,
                Err(error) => return Err(Stop::Input(error.to_string())),
            }
        }
    }

    /// Rewrites the journal with only what is still needed.
    fn rewrite(&self) -> Result<(), Error> {
        let header = [b"R".as_slice(), &serde_json::to_vec(&self.header).unwrap_or_default()].concat();
        let sent = self.sent.iter().map(|id| record(b'S', *id).to_vec());
        self.journal.rewrite(std::iter::once(header).chain(sent))
    }

    /// Whether an earlier run may have sent this request.
    pub(crate) fn may_have_been_sent(&self, id: Digest) -> bool {
        self.sent.contains(&id)
    }

    /// The log that records each request before it is sent.
    pub(crate) fn log(&self) -> impl SendLog + use<> {
        Log(Arc::clone(&self.journal))
    }

    /// Whether the end of every request that an earlier run sent is known.
    pub(crate) fn has_sent_nothing(&self) -> bool {
        self.sent.is_empty()
    }

    /// Whether every request that an earlier run sent has an answer in the output.
    pub(crate) fn is_settled(&self, output: &Earlier) -> bool {
        self.sent.iter().all(|id| output.is_answered(*id))
    }

    /// Removes the folder, unless it has files that are not ours.
    pub(crate) fn remove(self) {
        drop(self.journal);
        // Nothing in it is needed any more. A file that cannot be removed does no harm.
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
    /// `is_done`: whether a request that was sent has its line in the output.
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
                // A kind of a later version.
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
            "{error}. The answers are safe: they are not in that folder. To go on, move the folder {} away; it is then not \
             known which requests an earlier run sent without an answer",
            folder.display()
        ),
        _ => error.to_string(),
    })
}

/// Records each request before it is sent.
struct Log(Arc<Journal>);

impl SendLog for Log {
    fn sending<'a>(&'a self, request: Sending<'a>) -> Written<'a> {
        Box::pin(async move {
            // What an earlier run has sent is in the journal.
            if request.is_logged { Ok(()) } else { Ok(self.sent(request.id.unwrap_or_default()).await?) }
        })
    }

    fn not_processed(&self, request: Sending<'_>) {
        self.not_sent(request.id.unwrap_or_default());
    }
}

impl Log {
    async fn sent(&self, custom_id: &str) -> Result<(), Error> {
        self.0.append(&record(b'S', Digest::of_id(custom_id)))?;
        self.0.committed().await
    }

    fn not_sent(&self, custom_id: &str) {
        // If it cannot be recorded, the request counts as sent. That is the safe side.
        let _ = self.0.append(&record(b'U', Digest::of_id(custom_id)));
    }
}

#[cfg(test)]
mod tests;
