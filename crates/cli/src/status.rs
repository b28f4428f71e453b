//! `outbound status`: what the output of a run holds, and what is missing in it. It takes no lock and changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    args,
    control::{Request, ask},
    exit::{ALL_SUCCEEDED, Stop},
    identity::Digest,
    output::{self, Entry, Lines},
    progress::plain,
    several,
    state::State,
    stdout::print,
};

pub(crate) async fn status(arguments: args::Status) -> Result<u8, Stop> {
    let Some(output) = &arguments.output else {
        let (address, name) =
            arguments.batch.both().ok_or_else(|| Stop::Usage(String::from("--store needs a --name")))?;
        return several::status(address, name, arguments.json).await;
    };
    let output = find(output)?;
    // The run is asked before the output is read. If it ends in between, the output has all its answers.
    let reply = ask(&output, &Request::Status).await;
    let mut found = Status::of(&output)?;
    match reply {
        Ok(reply) => {
            found.at_work = Some(reply.is_some());
            found.run = reply;
        }
        Err(error) => found.unknown = Some(error),
    }
    let said =
        if arguments.json { serde_json::to_string(&found).unwrap_or_default() } else { found.in_words() };
    print(said.trim_end())?;
    Ok(ALL_SUCCEEDED)
}

/// The output that a path means: the file itself; or, if it is an input, the default output of that input.
pub(crate) fn find(path: &Path) -> Result<PathBuf, Stop> {
    let mut lines = Lines::new(open(path)?);
    let Some(line) = lines.next().map_err(|error| unreadable(path, &error))? else {
        return Ok(path.to_owned());
    };
    if line.entry().is_ok_and(|entry| entry.is_some()) {
        return Ok(path.to_owned());
    }
    let outputs = [false, true].map(|simulate| output::default_path(path, simulate));
    if let Some(output) = outputs.iter().find(|output| output.is_file()) {
        return Ok(output.clone());
    }
    if serde_json::from_slice::<InputLine>(line.bytes).is_ok() {
        let (path, output) = (path.display(), outputs[0].display());
        let wrong =
            format!("{path} is an input, and its default output {output} is not there; name the output");
        return Err(Stop::Input(wrong));
    }
    // Perhaps its first line is cut. What is wrong with it is reported when the whole file is read.
    Ok(path.to_owned())
}

/// Only a line of an input has both members.
#[derive(Deserialize)]
struct InputLine {
    #[serde(rename = "custom_id")]
    _custom_id: IgnoredAny,
    #[serde(rename = "body")]
    _body: IgnoredAny,
}

/// What the output of a run and its state say.
#[derive(Debug, Default, Serialize)]
struct Status {
    output: String,
    answered: u64,
    failed: u64,
    failures: Vec<Failure>,
    sent_without_answer: usize,
    /// The last line has no end: a run is writing it, or a crash has cut it.
    is_torn: bool,
    /// Whether a run is at work on it; `None` if that is not known.
    at_work: Option<bool>,
    /// The reply of that run.
    run: Option<Value>,
    /// Why `at_work` is not known.
    #[serde(skip)]
    unknown: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: String,
    count: u64,
    /// The message of the first of them.
    message: String,
}

impl Status {
    fn of(output: &Path) -> Result<Self, Stop> {
        let mut lines = OutputLines::default();
        let mut file = open(output)?;
        lines.read(&mut file, output)?;
        let sent = lines.read_what_was_sent(&mut file, output)?;
        Ok(lines.into_status(output, &sent))
    }

    fn in_words(&self) -> String {
        let Self { output, answered, failed, sent_without_answer, .. } = self;
        let mut said = format!("{}: {answered} answered, {failed} failed\n", plain(output));
        for Failure { code, count, message } in &self.failures {
            said += &format!("  {count} {}, the first: {}\n", plain(code), plain(message));
        }
        let at_work = self.at_work == Some(true);
        if *sent_without_answer > 0 && at_work {
            said += &format!("{sent_without_answer} sent and not answered yet\n");
        } else if *sent_without_answer > 0 {
            said += &format!(
                "{sent_without_answer} sent without an answer: they may have been billed. The same `outbound run` command \
                 sends them again, and marks their answers as possible duplicates\n"
            );
        }
        if self.is_torn && !at_work {
            said += "The last line was cut by a crash. The same `outbound run` command repairs it\n";
        }
        said += &match (&self.run, &self.unknown) {
            (Some(run), _) => {
                format!("A run is writing to it: {}\n", plain(run["text"].as_str().unwrap_or_default()))
            }
            (None, Some(error)) => {
                format!("It is not known whether a run is writing to it: {}\n", plain(error))
            }
            (None, None) => String::from("No run is writing to it\n"),
        };
        said
    }
}

/// The lines of an output that were read so far.
#[derive(Default)]
struct OutputLines {
    ids: Vec<Digest>,
    answered: u64,
    failures: BTreeMap<String, (u64, String)>,
    number: u64,
    /// How many bytes the lines take that were read.
    whole: u64,
    is_torn: bool,
}

impl OutputLines {
    /// Reads the lines that follow, up to the last whole one.
    fn read(&mut self, file: &mut File, path: &Path) -> Result<(), Stop> {
        let wrong = |error| unreadable(path, &error);
        file.seek(SeekFrom::Start(self.whole)).map_err(wrong)?;
        let mut lines = Lines::after(file, self.number);
        self.is_torn = false;
        while let Some(line) = lines.next().map_err(wrong)? {
            self.is_torn = !line.is_whole;
            if self.is_torn {
                break;
            }
            self.number = line.number;
            self.whole += line.length();
            if !line.is_blank() {
                let entry = line.entry().ok().flatten().ok_or_else(|| foreign(path, line.number))?;
                self.add(&entry);
            }
        }
        Ok(())
    }

    /// The ids of requests that were sent and have no line. The output is read first, so that only those ids are kept: that
    /// takes 8 bytes for each line. A run at work writes more lines in the meantime; they are read at the end.
    fn read_what_was_sent(&mut self, file: &mut File, output: &Path) -> Result<BTreeSet<Digest>, Stop> {
        let mut ids = std::mem::take(&mut self.ids);
        ids.sort_unstable();
        let mut sent = State::sent(output, |id| ids.binary_search(&id).is_ok())?;
        self.read(file, output)?;
        for id in &self.ids {
            sent.remove(id);
        }
        Ok(sent)
    }

    fn add(&mut self, entry: &Entry<'_>) {
        self.ids.push(Digest::of_id(&entry.custom_id));
        let Some(error) = &entry.error else {
            self.answered += 1;
            return;
        };
        match self.failures.get_mut(&*error.code) {
            Some((count, _)) => *count += 1,
            None => {
                drop(self.failures.insert(error.code.clone().into_owned(), (1, plain(&error.message))));
            }
        }
    }

    fn into_status(self, output: &Path, sent: &BTreeSet<Digest>) -> Status {
        let of = |(code, (count, message))| Failure { code, count, message };
        Status {
            output: output.display().to_string(),
            answered: self.answered,
            failed: self.failures.values().map(|(count, _)| count).sum(),
            failures: self.failures.into_iter().map(of).collect(),
            sent_without_answer: sent.len(),
            is_torn: self.is_torn,
            ..Status::default()
        }
    }
}

fn open(path: &Path) -> Result<File, Stop> {
    // Opening a pipe would wait for its writer.
    if path.exists() && !path.is_file() {
        return Err(Stop::Input(format!("{} is no regular file; name the output of a run", path.display())));
    }
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Stop::Input(format!("{}: there is no such file; name the output of a run", path.display()))
        }
        _ => unreadable(path, &error),
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Stop {
    Stop::Input(format!("{}: {error}", path.display()))
}

fn foreign(path: &Path, number: u64) -> Stop {
    Stop::Input(format!(
        "{}, line {number}: this is no answer that `outbound run` wrote; name the output of a run",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use outbound_journal::Journal;

    use super::*;

    #[test]
    fn a_line_that_comes_while_the_state_is_read_is_an_answer() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let output = folder.path().join("out.jsonl");
        let journal = Journal::builder().open(State::folder_of(&output)).expect("a journal");
        for id in ["a", "b", "c"] {
            let digest = Digest::of_id(id).0.to_le_bytes();
            journal.append(&[&b"S"[..], &digest].concat()).expect("a record");
        }
        drop(journal);
        let line = |id| {
            format!(r#"{{"custom_id":"{id}","error":null,"outbound":{{"request":"00000000000000ab"}}}}"#)
                + "\n"
        };
        std::fs::write(&output, line("a")).expect("a file");
        let (mut lines, mut file) = (OutputLines::default(), open(&output).expect("it is there"));
        lines.read(&mut file, &output).expect("a good line");
        std::fs::write(&output, line("a") + &line("b")).expect("a line more");
        let sent = lines.read_what_was_sent(&mut file, &output).expect("a state");
        assert_eq!((lines.answered, sent), (2, BTreeSet::from([Digest::of_id("c")])));
    }
}
