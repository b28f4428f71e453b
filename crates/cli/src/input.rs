//! The file of requests. Its text is UTF-8 or UTF-16. It is cut into records: lines, elements of an array, or rows of a table.
//! Each record is a line of a provider's batch file, or a prompt.

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{Stream, StreamExt, future, stream};
use outbound::Provider;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokio::io::AsyncRead;

pub(crate) use self::line::{Line, Payload};
use self::{
    ids::Ids,
    line::Members,
    record::{Record, Records, Wrong},
    sample::Sample,
    template::Template,
    text::Text,
};
use crate::{
    args::input::{Format, Forms, Part},
    exit::Stop,
};

mod array;
mod batch;
mod csv;
mod ids;
mod line;
mod options;
mod prompt;
mod record;
mod sample;
mod template;
mod text;

/// An input, and the options that say how to read it.
#[derive(Debug)]
pub(crate) struct Reading {
    path: PathBuf,
    provider: Provider,
    base_url: Option<String>,
    format: Format,
    /// The format was chosen by the name of the file.
    is_guessed: bool,
    column: String,
    model: Option<String>,
    system: Option<String>,
    template: Option<Template>,
    max_tokens: Option<u64>,
    part: Part,
    /// The lines of the sample, counted from 0.
    drawn: OnceLock<Vec<u64>>,
    /// A line had no id of its own.
    made_an_id: AtomicBool,
    /// All lines were read once, and their ids are all given and all different.
    ids_are_good: AtomicBool,
}

impl Reading {
    /// Checks the options, reads the files that they name, and chooses the lines of a sample.
    pub(crate) async fn new(
        path: &Path,
        forms: &Forms,
        part: Part,
        provider: Provider,
        base_url: Option<&str>,
    ) -> Result<Arc<Self>, Stop> {
        let template = text_or_file("--template", forms.template.as_deref())?;
        let template = template.map(|template| Template::parse(&template)).transpose();
        let reading = Arc::new(Self {
            path: path.to_owned(),
            provider,
            base_url: base_url.map(ToOwned::to_owned),
            format: forms.format.unwrap_or_else(|| Format::of(path)),
            is_guessed: forms.format.is_none(),
            column: forms.column.clone().unwrap_or_else(|| String::from("prompt")),
            model: forms.model.clone(),
            system: text_or_file("--system", forms.system.as_deref())?,
            template: template.map_err(|why| Stop::Usage(format!("--template: {why}")))?,
            max_tokens: forms.max_tokens,
            part,
            drawn: OnceLock::new(),
            made_an_id: AtomicBool::new(false),
            ids_are_good: AtomicBool::new(false),
        });
        let Some(lines) = part.sample else { return Ok(reading) };
        if !reading.can_be_read_twice() {
            let why =
                "--sample needs a file as its input, since it reads it twice; --limit works with any input";
            return Err(Stop::Usage(String::from(why)));
        }
        let mut sample = Sample::new(lines);
        let mut all = pin!(reading.all().await?);
        while let Some(line) = all.next().await {
            line?;
            sample.add();
        }
        reading.drawn.get_or_init(|| sample.into_lines());
        Ok(reading)
    }

    /// To be called after all lines were read and none was wrong. If all lines have ids of their own, later reads do not
    /// compare them again, which would take memory.
    pub(crate) fn was_read(&self) {
        self.ids_are_good.store(!self.made_an_id.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether it is a file and not a pipe.
    pub(crate) fn can_be_read_twice(&self) -> bool {
        self.path.as_os_str() != "-" && (self.path.is_file() || !self.path.exists())
    }

    /// The lines of the part that is read, one at a time. It goes on after a wrong line, where the next line can be found.
    pub(crate) async fn lines(
        self: &Arc<Self>,
    ) -> Result<impl Stream<Item = Result<Line, Stop>> + Send + use<>, Stop> {
        let reading = self.clone();
        let mut drawn = 0;
        let counts = move |(at, line): (u64, Result<Line, Stop>)| {
            let counts = match reading.drawn.get() {
                Some(lines) if line.is_ok() => lines.get(drawn) == Some(&at),
                _ => true,
            };
            drawn += usize::from(counts);
            future::ready(counts.then_some(line))
        };
        let most = self.part.limit.and_then(|lines| usize::try_from(lines).ok()).unwrap_or(usize::MAX);
        Ok(stream::iter(0..).zip(self.all().await?).take(most).filter_map(counts))
    }

    async fn all(self: &Arc<Self>) -> Result<impl Stream<Item = Result<Line, Stop>> + Send + use<>, Stop> {
        let text = Text::new(open(&self.path).await?);
        let ids = (!self.ids_are_good.load(Ordering::Relaxed)).then(Ids::new);
        let start = (Records::new(text, self.clone()), ids, self.clone());
        Ok(stream::unfold(start, async |(mut records, mut ids, reading)| {
            let record = records.next().await?;
            let line = record
                .and_then(|record| Line::parse(record, &reading))
                .and_then(|line| reading.with_id(line, ids.as_mut()))
                .map_err(|wrong| reading.stop(&wrong));
            Some((line, (records, ids, reading)))
        }))
    }

    /// The name of the input in messages.
    pub(crate) fn name(&self) -> String {
        if self.path.as_os_str() == "-" {
            String::from("standard input")
        } else {
            self.path.display().to_string()
        }
    }

    fn stop(&self, wrong: &Wrong) -> Stop {
        Stop::Input(format!("{}, {wrong}", self.name()))
    }

    fn base_url(&self) -> Option<&str> {
        self.base_url.as_deref().or(self.provider.base_url())
    }

    /// Whether a line has the members of a prompt.
    fn is_prompt(&self, members: &Members<'_>, line: &str) -> bool {
        match self.column.as_str() {
            _ if self.template.is_some() => true,
            "prompt" => members.prompt.is_some(),
            column => prompt::all(line).is_ok_and(|members| members.contains_key(column)),
        }
    }

    /// Whether a table must have the column of the prompt.
    fn needs_column(&self) -> bool {
        self.template.is_none()
    }

    /// A line of plain text as a JSON object. A line that is JSON itself is an error, unless --format says that it is a prompt.
    fn prompt_of_line(&self, line: Record) -> Result<Record, Wrong> {
        let is_json = |text: &str| {
            text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
        };
        if self.is_guessed && is_json(&line.text) {
            let why = "it is JSON in a file of plain text; `--format json` reads it as JSON, and `--format plain` sends it as a prompt";
            return Err(Wrong::at(line.place, why));
        }
        let members = Map::from_iter([(self.column.clone(), Value::String(line.text))]);
        Ok(Record { text: Value::Object(members).to_string(), ..line })
    }

    fn with_id(&self, mut line: Line, ids: Option<&mut Ids>) -> Result<Line, Wrong> {
        match ids {
            Some(ids) if line.custom_id.is_empty() => {
                self.made_an_id.store(true, Ordering::Relaxed);
                let id = ids.make(line.fingerprint().0);
                line.name(id);
            }
            Some(ids) => ids.given(&line.custom_id, line.place())?,
            None if line.custom_id.is_empty() => {
                let why = "it had an id when the file was checked, so the file has changed since then; run it again";
                return Err(Wrong::at(line.place(), why));
            }
            None => {}
        }
        Ok(line)
    }

    /// The first option that is set and is only for prompts.
    fn option_for_prompts(&self) -> Option<&'static str> {
        let options = [
            ("--system", self.system.is_some()),
            ("--template", self.template.is_some()),
            ("--max-tokens", self.max_tokens.is_some()),
        ];
        options.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}

impl Format {
    /// The format for the name of a file.
    fn of(path: &Path) -> Self {
        let ends_with = |end: &str| path.extension().is_some_and(|name| name.eq_ignore_ascii_case(end));
        match () {
            () if ends_with("csv") => Self::Csv,
            () if ends_with("txt") => Self::Plain,
            () => Self::Json,
        }
    }
}

/// The value of an option: a text, or the text in the file that `@` names. A byte order mark and the last line end are removed.
fn text_or_file(option: &str, text: Option<&str>) -> Result<Option<String>, Stop> {
    let Some(path) = text.and_then(|text| text.strip_prefix('@')) else {
        return Ok(text.map(ToOwned::to_owned));
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| Stop::Usage(format!("{option} @{path}: {error}")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Some(text.to_owned()))
}

/// Opens the input. `-` is standard input.
async fn open(path: &Path) -> Result<Box<dyn AsyncRead + Send + Unpin>, Stop> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(tokio::io::stdin()));
    }
    match tokio::fs::File::open(path).await {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Stop::Input(format!("{}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests;
