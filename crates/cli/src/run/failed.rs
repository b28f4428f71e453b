//! The list of failed lines: a file with the lines as they stand in the input, to be corrected and run again.

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

/// The path of the list that belongs to an output: `OUT.failed.jsonl` for `OUT.jsonl`. Another ending stays in the name, so
/// that `OUT.a` and `OUT.b` do not share a list: `OUT.a.failed.jsonl`, `OUT.b.failed.jsonl`.
pub(crate) fn path_of(output: &Path) -> PathBuf {
    // The list of a link is beside the file that the link names: /dev/stdout may be a file elsewhere.
    let named = output.canonicalize().ok().filter(|_| output.is_symlink());
    let output = named.as_deref().unwrap_or(output);
    if output.extension().is_some_and(|ending| ending == "jsonl") {
        return output.with_extension("failed.jsonl");
    }
    let mut path = output.as_os_str().to_owned();
    path.push(".failed.jsonl");
    PathBuf::from(path)
}

/// Writes the lines of the input whose requests failed, by what the output says, and returns their number. If none failed, an
/// earlier list is removed: its lines have succeeded, and sending them would be paid for again.
pub(super) async fn write(reading: &Arc<Reading>, output: &Path, path: &Path) -> Result<u64, Stop> {
    let unwritable = |error: io::Error| Stop::Output(format!("{}: {error}", path.display()));
    let earlier = Earlier::of_file(output)?;
    let beside = beside(path);
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
        let removed = fs::remove_file(path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        });
        return removed.map(|()| 0).map_err(unwritable);
    }
    // The whole list appears at once: a reader cannot take a part of it for all.
    fs::rename(&beside, path).map_err(unwritable)?;
    Ok(count)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_ending_other_than_jsonl_stays_in_the_name() {
        for (output, list) in [
            ("out.jsonl", "out.failed.jsonl"),
            ("in.results.jsonl", "in.results.failed.jsonl"),
            ("out.a", "out.a.failed.jsonl"),
            ("out.b", "out.b.failed.jsonl"),
            ("out", "out.failed.jsonl"),
            ("folder.a/out", "folder.a/out.failed.jsonl"),
        ] {
            assert_eq!(path_of(Path::new(output)), Path::new(list));
        }
    }

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
