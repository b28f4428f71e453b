//! What can be said of the input: the same for `run`, `check` and `plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};
use outbound::Provider;

use super::heading::{INPUT as HEADING, SERVER};

/// How the input is read.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Forms {
    /// How the file is written. [default: by its name: .csv is csv, .txt is plain, all else is json]
    #[arg(long, help_heading = HEADING, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// The member of a line, or the column of a CSV file, that holds the prompt. [default: prompt]
    #[arg(long, help_heading = HEADING, value_name = "NAME")]
    pub(crate) column: Option<String>,

    /// The model for every line. Prompts need it unless they name a model themselves.
    ///
    /// It goes before what a line says. Of a batch line it changes the member `model` of the body and nothing else.
    #[arg(long, help_heading = HEADING, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,

    /// What the model is told before every prompt: a text, or @FILE for what stands in a file.
    #[arg(long, help_heading = HEADING, value_name = "TEXT|@FILE")]
    pub(crate) system: Option<String>,

    /// The text around every prompt, like "Translate into {language}: {prompt}"; or @FILE.
    ///
    /// {prompt} is the prompt, {NAME} any other member of the line or column of the CSV file; {{ and }} are braces.
    #[arg(long, help_heading = HEADING, value_name = "TEXT|@FILE")]
    pub(crate) template: Option<String>,

    /// The most tokens that the answer to a prompt may have.
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_tokens: Option<u64>,
}

/// Which lines of the input count.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Part {
    /// Only the first N lines: the others are not even read.
    #[arg(long, help_heading = HEADING, value_name = "N", conflicts_with = "sample", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,

    /// Only N lines, drawn evenly from all of the file: a trial before the whole.
    ///
    /// The same file gives the same lines each time. A later run without this sends only the others.
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sample: Option<u64>,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line, or one JSON array of objects: batch lines of OpenAI or Anthropic, or prompts.
    Json,
    /// Each line is a prompt.
    Plain,
    /// A table with a header; each row is a prompt. Columns called id, model, system and max_tokens are read as in JSON.
    Csv,
}

/// An input, and whom it is for: all that `check` needs to know.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{INPUT}\n\n{EXIT_CODES}"))]
pub(crate) struct Source {
    /// The requests. `-` is standard input.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,

    /// Whose format the requests are to have. A wrong name lists them all.
    #[arg(long, help_heading = SERVER, value_name = "NAME", default_value = "openai", value_parser = super::provider)]
    pub(crate) provider: Provider,

    /// Address of the API. [default: the provider's own]
    #[arg(long, help_heading = SERVER, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    #[command(flatten)]
    pub(crate) forms: Forms,
}

/// What an input may be, at the end of the help.
pub(crate) const INPUT: &str = r#"The input is a file with one request a line, a JSON array of the same objects, plain text, or CSV. In JSON each is one of
  {"prompt": "Name a river."}
      and, if you like, "id", "system", "model", "max_tokens"
  {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
      a line of an OpenAI batch file: the body is sent as it stands
  {"custom_id": "1", "params": {...}}
      a line of an Anthropic batch: with --provider anthropic
and each may say more under "outbound": {"priority", "tenant", "deadline", "max_attempts", "fallback"}: a number, higher
goes first; a name, and tenants share the limits evenly; seconds; a number; a list of other models to try.
Where a line has no id, it gets one from what is sent. The output names ids and not prompts: give ids to know the answers by."#;

/// Those of the commands that send nothing.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 every line is right, 2 usage, 3 the input is wrong (the line is named), 6 the report cannot be written.";
