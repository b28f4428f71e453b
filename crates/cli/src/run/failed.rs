//! The lines that failed, in a file of their own: as they stand in the input, ready to be mended and run again.

use std::{
    fs,
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
    output::{Earlier, State, beside},
};

/// Where the lines of an output go that failed.
pub(super) fn path_of(named: &Path) -> PathBuf {
    // Whatever name the output is called by: /dev/stdout may be a file elsewhere.
    let output = named.canonicalize().ok().filter(|_| named.is_symlink());
    output.as_deref().unwrap_or(named).with_extension("failed.jsonl")
}

/// Writes the lines of the input that failed, for all that the output tells, and says how many. Where none did, an earlier
/// list goes: it would be sent and paid for again.
pub(super) async fn write(reading: &Arc<Reading>, output: &Path) -> Result<(u64, PathBuf), Stop> {
    let path = path_of(output);
    let unwritable = |error: io::Error| Stop::Output(format!("{}: {error}", path.display()));
    let earlier = Earlier::of_file(output)?;
    let beside = beside(&path);
    let mut file = BufWriter::new(fs::File::create(&beside).map_err(unwritable)?);
    let mut lines = pin!(reading.lines().await?);
    let mut count = 0;
    while let Some(line) = lines.next().await {
        let line = line?;
        let known = earlier.of(Digest::of_id(&line.custom_id), line.fingerprint());
        if known == Ok(Some(State::Failed)) {
            writeln!(file, "{}", line.text).map_err(unwritable)?;
            count += 1;
        }
    }
    file.flush().map_err(unwritable)?;
    drop(file);
    if count == 0 {
        fs::remove_file(&beside).map_err(unwritable)?;
        let removed = fs::remove_file(&path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        });
        return removed.map(|()| (0, path.clone())).map_err(unwritable);
    }
    // At once or not at all: half a list would be taken for all of it.
    fs::rename(&beside, &path).map_err(unwritable)?;
    Ok((count, path))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_list_stands_beside_the_file_that_a_link_names() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let here = folder.path().canonicalize().expect("it is there");
        let (file, link) = (here.join("out.jsonl"), here.join("link"));
        assert_eq!(path_of(&file), here.join("out.failed.jsonl"));
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        fs::write(&file, "").expect("a file");
        assert_eq!(path_of(&link), here.join("out.failed.jsonl"));
    }
}
