//! The lines that failed, in a file of their own: as they stand in the input, ready to be mended and run again.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use futures::StreamExt;

use crate::{
    exit::Stop,
    identity::Digest,
    input::Reading,
    output::{Earlier, State},
};

/// Where the lines of an output go that failed.
pub(super) fn path_of(output: &Path) -> PathBuf {
    output.with_extension("failed.jsonl")
}

/// Writes the lines of the input that failed, for all that the output tells, and says how many.
pub(super) async fn write(reading: &Arc<Reading>, output: &Path) -> Result<(u64, PathBuf), Stop> {
    let path = path_of(output);
    let unwritable = |error: io::Error| Stop::Output(format!("{}: {error}", path.display()));
    let earlier = Earlier::of_file(output)?;
    let beside = path.with_extension("jsonl.new");
    let mut file = BufWriter::new(std::fs::File::create(&beside).map_err(unwritable)?);
    let mut lines = pin!(reading.lines().await?);
    let mut count = 0;
    while let Some(line) = lines.next().await {
        let line = line?;
        let known = earlier.of(Digest::of_id(&line.custom_id), Digest(line.fingerprint()));
        if known == Ok(Some(State::Failed)) {
            writeln!(file, "{}", line.text).map_err(unwritable)?;
            count += 1;
        }
    }
    file.flush().map_err(unwritable)?;
    drop(file);
    // At once or not at all: half a list would be taken for all of it.
    std::fs::rename(&beside, &path).map_err(unwritable)?;
    Ok((count, path))
}
