//! `outbound status`: what the output of a run holds, and what is missing in it. No lock is taken and nothing is changed.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    args,
    control::{Request, ask},
    exit::{ALL_SUCCEEDED, Stop},
    identity::Digest,
    output,
    progress::plain,
    state::State,
};

pub(crate) async fn status(arguments: args::Status) -> Result<u8, Stop> {
    let output = find(&arguments.output)?;
    // First: a run that ends meanwhile has its answers in the output by then.
    let reply = ask(&output, &Request::Status).await;
    let mut found = Status::of(&output)?;
    match reply {
        Ok(reply) => {
            found.at_work = Some(reply.is_some());
            found.run = reply;
        }
        Err(error) => found.unknown = Some(error),
    }
    let said = if arguments.json {
        serde_json::to_string(&found).unwrap_or_default() + "\n"
    } else {
        found.in_words()
    };
    print(&said)?;
    Ok(ALL_SUCCEEDED)
}

/// Writes to standard output. A reader who has left wants no more, which is no error.
pub(crate) fn print(text: &str) -> Result<(), Stop> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Stop::Output(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// The output that is meant by a path: itself, or the default output of an input.
pub(crate) fn find(path: &Path) -> Result<PathBuf, Stop> {
    let mut line = Vec::new();
    BufReader::new(open(path)?).read_until(b'\n', &mut line).map_err(|error| unreadable(path, &error))?;
    if line.is_empty() || serde_json::from_slice::<Seen<'_>>(&line).is_ok() {
        return Ok(path.to_owned());
    }
    let outputs = [false, true].map(|simulate| output::default_path(path, simulate));
    if let Some(output) = outputs.iter().find(|output| output.is_file()) {
        return Ok(output.clone());
    }
    if serde_json::from_slice::<InputLine>(&line).is_ok() {
        let (path, output) = (path.display(), outputs[0].display());
        let wrong =
            format!("{path} is an input, and its default output {output} is not there; name the output");
        return Err(Stop::Input(wrong));
    }
    // Perhaps its first line is torn. What is wrong with it is said when it is read.
    Ok(path.to_owned())
}

/// What tells an input from an output.
#[derive(Deserialize)]
struct InputLine {
    #[serde(rename = "custom_id")]
    _custom_id: IgnoredAny,
    #[serde(rename = "body")]
    _body: IgnoredAny,
}

/// What is found in the output of a run and in its state.
#[derive(Debug, Default, Serialize)]
struct Status {
    output: String,
    answered: u64,
    failed: u64,
    failures: Vec<Failure>,
    sent_without_answer: usize,
    /// The last line has no end: a run is writing it, or a crash has cut it.
    is_torn: bool,
    /// Whether a run answers.
    at_work: Option<bool>,
    /// What it says.
    run: Option<Value>,
    /// Why it is not known whether one is at work.
    #[serde(skip)]
    unknown: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: String,
    count: u64,
    /// That of the first.
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
            said += &format!("{sent_without_answer} sent, and not answered yet\n");
        } else if *sent_without_answer > 0 {
            said += &format!(
                "{sent_without_answer} sent without an answer: they may have been billed. The same `outbound run` sends them \
                 again, and marks their answers as possible duplicates\n"
            );
        }
        if self.is_torn && !at_work {
            said += "The last line was cut by a crash. The same `outbound run` mends that\n";
        }
        said += &match (&self.run, &self.unknown) {
            (Some(run), _) => {
                format!("A run is at work on it: {}\n", plain(run["text"].as_str().unwrap_or_default()))
            }
            (None, Some(error)) => format!("Whether a run is at work on it is not known: {}\n", plain(error)),
            (None, None) => String::from("No run is at work on it\n"),
        };
        said
    }
}

/// The lines of an output, as far as they are read.
#[derive(Default)]
struct OutputLines {
    ids: Vec<Digest>,
    answered: u64,
    failures: BTreeMap<String, (u64, String)>,
    number: u64,
    /// So many bytes are read lines.
    whole: u64,
    is_torn: bool,
}

/// The part of an output line that is read.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(default, borrow)]
    error: Option<SeenError<'a>>,
    #[serde(rename = "outbound")]
    _outbound: SeenExtra,
}

#[derive(Deserialize)]
struct SeenError<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default, borrow)]
    message: Cow<'a, str>,
}

#[derive(Deserialize)]
struct SeenExtra {
    #[serde(rename = "request")]
    _request: Digest,
}

impl OutputLines {
    /// Reads on, up to the last whole line.
    fn read(&mut self, file: &mut File, path: &Path) -> Result<(), Stop> {
        let wrong = |error| unreadable(path, &error);
        file.seek(SeekFrom::Start(self.whole)).map_err(wrong)?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        self.is_torn = false;
        while reader.read_until(b'\n', &mut line).map_err(wrong)? > 0 {
            self.is_torn = !line.ends_with(b"\n");
            if self.is_torn {
                // Only the last line has no end.
                break;
            }
            self.number += 1;
            self.whole += line.len() as u64;
            if !line.trim_ascii().is_empty() {
                let seen = serde_json::from_slice(&line).map_err(|_| foreign(path, self.number))?;
                self.add(&seen);
            }
            line.clear();
        }
        Ok(())
    }

    /// What was sent and has no line. The lines were read before, so that what has one is not kept: 8 bytes a line do. A run
    /// at work writes on meanwhile, so the lines that came since are read at last.
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

    fn add(&mut self, seen: &Seen<'_>) {
        self.ids.push(Digest::of_id(&seen.custom_id));
        let Some(error) = &seen.error else {
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
    // A pipe would be waited for.
    if path.exists() && !path.is_file() {
        return Err(Stop::Input(format!("{} is no file: name the output of a run", path.display())));
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
        "{}, line {number}: that is no answer that this command wrote; name the output of a run",
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
