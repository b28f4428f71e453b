//! The options for the input. `run`, `check` and `plan` share them.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};
use outbound::Provider;

use super::heading::{INPUT as HEADING, SERVER};

/// How the input is read.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Forms {
    /// The format of the file. [default: csv for .csv, plain for .txt, json for any other name]
    #[arg(long, help_heading = HEADING, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// The JSON member or the CSV column that holds the prompt. [default: prompt]
    #[arg(long, help_heading = HEADING, value_name = "NAME")]
    pub(crate) column: Option<String>,

    /// The model for every line. Prompts need it unless they name a model themselves.
    ///
    /// It replaces the model that a line names. In a batch line it changes the member `model` of the body and nothing else.
    #[arg(long, help_heading = HEADING, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,

    /// The system prompt for every line: a text, or @FILE for the text in a file.
    #[arg(long, help_heading = HEADING, value_name = "TEXT|@FILE")]
    pub(crate) system: Option<String>,

    /// The text around every prompt, such as "Translate into {language}: {prompt}"; or @FILE.
    ///
    /// {prompt} is the prompt, and {NAME} is any other JSON member or CSV column. Write {{ and }} for braces.
    #[arg(long, help_heading = HEADING, value_name = "TEXT|@FILE")]
    pub(crate) template: Option<String>,

    /// Tokens that the answer to a prompt can have, at most.
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = super::positive::<u64>)]
    pub(crate) max_tokens: Option<u64>,
}

/// Which lines of the input are read.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Part {
    /// Only the first N lines. The others are not read.
    #[arg(long, help_heading = HEADING, value_name = "N", conflicts_with = "sample", value_parser = super::positive::<u64>)]
    pub(crate) limit: Option<u64>,

    /// Only N lines, chosen at random from the whole file: a trial before the whole.
    ///
    /// The same file gives the same lines each time. A later run without this option sends only the others.
    #[arg(long, help_heading = HEADING, value_name = "N", value_parser = super::positive::<u64>)]
    pub(crate) sample: Option<u64>,
}

/// The format of an input file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object on each line, or one JSON array of objects: batch lines of OpenAI or Anthropic, or prompts.
    Json,
    /// Each line is a prompt.
    Plain,
    /// A table with a header; each row is a prompt. The columns id, model, system and max_tokens are read as in JSON.
    Csv,
}

/// An input and its provider: all that `check` needs to know.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{INPUT}\n\n{EXIT_CODES}"))]
pub(crate) struct Source {
    /// The requests. `-` is standard input.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,

    /// The provider, whose format the requests must have. A wrong name prints all names.
    #[arg(long, help_heading = SERVER, value_name = "NAME", default_value = "openai", value_parser = super::provider)]
    pub(crate) provider: Provider,

    /// Address of the API. [default: the provider's own]
    #[arg(long, help_heading = SERVER, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    #[command(flatten)]
    pub(crate) forms: Forms,
}

/// What an input can be. It stands at the end of the help.
pub(crate) const INPUT: &str = r#"The input has one JSON object on each line; or it is a JSON array of such objects, plain text, or CSV. An object is one of
  {"prompt": "Name a river."}
      and optionally "id", "system", "model", "max_tokens"
  {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
      a line of an OpenAI batch file; the body is sent as it is
  {"custom_id": "1", "params": {...}}
      a line of an Anthropic batch; it needs --provider anthropic
Each can have a member "outbound", an object with some of
  "priority"      a number; requests with a higher one are sent first
  "tenant"        a name; tenants share the limits evenly
  "deadline"      seconds for this request
  "max_attempts"  attempts for this request, at most
  "fallback"      a list of other models to try
The output has the ids of the requests, and not their prompts. A line without an id gets one that is made from its content."#;

/// The exit codes of the commands that send nothing.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0    every line is right
  2    an option is wrong
  3    the input is wrong; the message names the line
  6    standard output cannot be written";
