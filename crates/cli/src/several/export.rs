//! `outbound export`: writes the answers of a batch to a file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use outbound::work::{Counts, WorkStore};
use outbound_postgres::PostgresWork;

use super::store::{self, failed};
use crate::{
    args::Export,
    exit::{ALL_SUCCEEDED, RESUMABLE, SOME_FAILED, Stop},
    identity::Digest,
    output::{Earlier, Existing, Found as Output, beside, free_name},
    say,
};

/// This many answers are read with one call.
const AT_ONCE: usize = 1_000;

pub(crate) async fn export(arguments: Export) -> Result<u8, Stop> {
    let (work, _batch) = store::look(&arguments.store, &arguments.name).await?;
    let before = work.last_lease().await.map_err(|error| failed(&error))?;
    let written = write(&work, &arguments.output).await?;
    say::line(written.in_words());
    let is_done = written.missing == 0;
    if arguments.remove {
        let is_removed = is_done && work.remove(before).await.map_err(|error| failed(&error))?;
        let name = &arguments.name;
        match is_removed {
            true => say::line(format_args!("the batch {name} is removed from the database")),
            false => say::line(format_args!(
                "the batch {name} is not removed: not all of its lines have an answer, or machines work on it"
            )),
        }
    }
    Ok(match () {
        () if !is_done => RESUMABLE,
        () if written.failed > 0 => SOME_FAILED,
        () => ALL_SUCCEEDED,
    })
}

/// What was written, and what is not there yet.
#[derive(Debug, Default)]
pub(super) struct Written {
    name: String,
    answered: u64,
    pub(super) failed: u64,
    missing: u64,
    /// The new name of the file that was there.
    kept: Option<PathBuf>,
}

impl Written {
    pub(super) fn in_words(&self) -> String {
        let Self { name, answered, failed, missing, kept } = self;
        let mut words =
            format!("{} lines written to {name}, {failed} of them with an error", answered + failed);
        if *missing > 0 {
            words += &format!("; {missing} have no answer yet");
        }
        if let Some(kept) = kept {
            words += &format!("; the file that was there is kept as {}", kept.display());
        }
        words
    }
}

/// The file that is there already. It is read and locked before anything is written.
pub(super) struct Found {
    output: Output,
}

impl Found {
    /// # Errors
    ///
    /// Where the file has lines that this command did not write, or a run is writing to it.
    pub(super) fn look(path: &Path) -> Result<Self, Stop> {
        let output = Output::look(path, Existing::Export)?;
        Ok(Self { output })
    }

    fn earlier(&self) -> &Earlier {
        &self.output.earlier
    }
}

/// Writes all answers that are there, in the order of the input. A file appears with all of them, or not at all.
pub(super) async fn write(work: &PostgresWork, path: &Path) -> Result<Written, Stop> {
    let name = path.display().to_string();
    if path.as_os_str() == "-" {
        let mut written = Written { name: String::from("standard output"), ..Written::default() };
        let unwritable = |error: io::Error| Stop::Output(format!("standard output: {error}"));
        copy(work, &mut written, unwritable, |line, _| {
            let mut out = io::stdout().lock();
            out.write_all(line)
        })
        .await?;
        io::stdout().flush().map_err(unwritable)?;
        return Ok(written);
    }
    let unwritable = |error: io::Error| Stop::Output(format!("{name}: {error}"));
    let found = Found::look(path)?;
    // A symbolic link stays: the file that it names is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // Of this process alone: others may write the same answers.
    let mut new = beside(&target).into_os_string();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    let file = File::create(&new).map_err(unwritable)?;
    if let Ok(old) = fs::metadata(&target) {
        // Whoever may not read the old file may not read the new one either.
        file.set_permissions(old.permissions()).map_err(unwritable)?;
    }
    let mut file = BufWriter::new(file);
    let mut written = Written { name: name.clone(), ..Written::default() };
    let mut repeated = 0;
    copy(work, &mut written, unwritable, |line, id| {
        repeated += usize::from(found.earlier().has(Digest::of_id(id)));
        file.write_all(line)
    })
    .await?;
    let file = file.into_inner().map_err(|error| unwritable(error.into_error()))?;
    file.sync_all().map_err(unwritable)?;
    drop(file);
    if repeated < found.earlier().len() {
        let old = free_name(&target);
        fs::rename(&target, &old).map_err(unwritable)?;
        written.kept = Some(old);
    }
    fs::rename(&new, &target).map_err(unwritable)?;
    // The name is as durable as the content. Not every system can sync a folder.
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(written)
}

/// Gives each line that is there to `put`, with its id.
async fn copy(
    work: &PostgresWork,
    written: &mut Written,
    unwritable: impl Fn(io::Error) -> Stop,
    mut put: impl FnMut(&[u8], &str) -> io::Result<()>,
) -> Result<(), Stop> {
    let mut after = None;
    loop {
        let answers = work.answers(after, AT_ONCE).await.map_err(|error| failed(&error))?;
        let Some(last) = answers.last() else { break };
        after = Some(last.position);
        for answer in &answers {
            put(&answer.bytes, &answer.id).map_err(&unwritable)?;
            *(if answer.failed { &mut written.failed } else { &mut written.answered }) += 1;
        }
    }
    let counts = work.counts().await.map_err(|error| failed(&error))?;
    written.missing = all(&counts).saturating_sub(written.answered + written.failed);
    Ok(())
}

/// How many lines a batch has.
pub(super) fn all(counts: &Counts) -> u64 {
    (counts.ready + counts.ambiguous + counts.claimed + counts.done + counts.exported) as u64
}
