//! Streamed replies: their pieces put together, and the proof that they ended.

use std::{error, fmt};

use serde_json::Value;

use crate::{
    Class, Fault, Terminal, Usage, answer,
    error_body::{self, ErrorBody},
    json,
    provider::{self, Dialect},
    shape::Shape,
};

mod chat;
mod delta;
mod gemini;
mod merge;
mod message;
mod ollama;
mod plain;
mod responses;

pub use delta::{Delta, ToolCallDelta};

pub(crate) use chat::REASONING;
pub(crate) use delta::reason;
pub(crate) use gemini::{text_of_parts, tool_call};
pub(crate) use merge::{reasoning_of, text_of};

use chat::Chat;
use gemini::Gemini;
use message::Message;
use ollama::Ollama;
use responses::Responses;

/// How many bytes of event data one streamed reply may hold.
const LIMIT: usize = 64 << 20;

/// Reads one streamed reply: puts the pieces together and tells whether it really ended.
///
/// Feed it each server-sent event in turn, then ask for the [`finish`](StreamReader::finish). A stream without events is
/// fed by lines or items ([`JsonSplitter`](crate::JsonSplitter)). A stream that just stops is never taken for a whole
/// answer. The first event shows the format of the stream, whatever the provider's own format is. What counts as proof of
/// the end:
///
/// | reply | proof |
/// |---|---|
/// | OpenAI chat and completions, and all compatible servers | `[DONE]`, or a `finish_reason` for every choice (see [`expect_choices`](StreamReader::expect_choices)) |
/// | OpenAI responses | `response.completed` or `response.incomplete` |
/// | Anthropic messages | `message_stop` |
/// | Gemini | a `finishReason` for every candidate |
/// | Ollama | `done: true` |
/// | [`Provider::http`](crate::Provider::http) | none: the end of the body is the end |
///
/// ```
/// use outbound_provider::{Provider, StreamItem};
///
/// let mut reader = Provider::openai().stream();
/// let chunk = r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
/// assert!(matches!(reader.feed("", chunk), Ok(StreamItem::Delta(delta)) if delta.text == "Hello"));
/// assert!(!reader.is_complete());
/// assert_eq!(reader.feed("", "[DONE]"), Ok(StreamItem::Finished));
///
/// let body = reader.finish().unwrap();
/// assert_eq!(body["object"], "chat.completion");
/// assert_eq!(body["choices"][0]["message"]["content"], "Hello");
/// ```
pub struct StreamReader {
    fold: Fold,
    /// The meanings of the provider's own codes.
    codes: &'static [(&'static str, Class)],
    /// Whether an event has shown the format of the stream.
    begun: bool,
    state: State,
    /// How many choices have to finish if no end marker comes. At least one.
    choices: usize,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Events are read.
    Open,
    /// The end marker was seen. Later events are not read.
    Ended,
    /// A fault was reported. Later events are not read, and the reply is never whole.
    Failed,
}

/// What one event brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamItem {
    /// Nothing that was generated: a ping, a role, an event of an unknown kind.
    Nothing,
    /// A count of the tokens taken so far, and nothing else.
    Usage(Usage),
    /// A piece of the answer, or its end with the reason.
    Delta(Delta),
    /// The end marker. Nothing follows, and the connection need not be read further. Gemini and Ollama have no end marker:
    /// with them [`is_complete`](StreamReader::is_complete) says whether an item was the last.
    Finished,
}

/// The stream ended without the proof that it was whole. It holds what had arrived.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Truncated {
    /// The visible text of the first choice, as far as it came.
    pub text: String,
    /// All that came, put together as the whole body would be.
    pub body: Value,
}

enum Fold {
    Chat(Chat),
    Responses(Responses),
    Message(Message),
    Gemini(Gemini),
    Ollama(Ollama),
    Plain(Vec<Value>),
}

impl StreamReader {
    pub(crate) fn new(dialect: Dialect, codes: &'static [(&'static str, Class)]) -> StreamReader {
        let fold = match dialect {
            Dialect::Chat | Dialect::Responses | Dialect::Embeddings => Fold::Chat(Chat::default()),
            Dialect::Messages => Fold::Message(Message::default()),
            Dialect::Gemini => Fold::Gemini(Gemini::default()),
            Dialect::Ollama => Fold::Ollama(Ollama::default()),
            Dialect::Plain => Fold::Plain(Vec::new()),
        };
        StreamReader { fold, codes, begun: false, state: State::Open, choices: 1, bytes: 0 }
    }

    /// Says how many answers the request asked for (OpenAI's `n`). The default is 1, and zero counts as 1. Without an end
    /// marker nothing else would show that a choice never began.
    #[must_use]
    pub fn expect_choices(mut self, choices: usize) -> StreamReader {
        self.choices = choices.max(1);
        self
    }

    /// Takes one event: its name (`""` or `message` where it has none) and its data.
    ///
    /// The data is read as generously as [`lenient_json`](crate::lenient_json) does. After a fault or
    /// [`StreamItem::Finished`] the reader keeps what came before, and ignores what follows.
    ///
    /// # Errors
    ///
    /// An error event is a [`Fault`] of the class that the same error has as a reply with its own status. An event that does
    /// not belong to the format is [`Class::StreamBroken`], because a piece of the answer may be lost with it. A reply of
    /// more than 64 MiB is [`Terminal::TooLarge`].
    pub fn feed(&mut self, event: &str, data: &str) -> Result<StreamItem, Fault> {
        if self.state != State::Open {
            return Ok(StreamItem::Nothing);
        }
        let item = self.event(event, data);
        match item {
            Ok(StreamItem::Finished) => self.state = State::Ended,
            Ok(_) => {}
            Err(_) => self.state = State::Failed,
        }
        item
    }

    /// Whether the proof of the end has come.
    pub fn is_complete(&self) -> bool {
        match self.state {
            State::Ended => true,
            State::Failed => false,
            State::Open => match &self.fold {
                Fold::Chat(chat) => chat.has_finished(self.choices),
                Fold::Gemini(gemini) => gemini.has_finished(self.choices),
                Fold::Ollama(ollama) => ollama.has_finished(),
                Fold::Responses(_) | Fold::Message(_) => false,
                Fold::Plain(_) => true,
            },
        }
    }

    /// The visible text of the first choice, as far as it came.
    pub fn text(&self) -> String {
        match &self.fold {
            Fold::Chat(chat) => chat.text(),
            Fold::Responses(responses) => responses.text.clone(),
            Fold::Message(message) => message.text(),
            Fold::Gemini(gemini) => gemini.text(),
            Fold::Ollama(ollama) => ollama.text(),
            Fold::Plain(data) => data.iter().filter_map(Value::as_str).collect(),
        }
    }

    /// The tokens reported so far. Anthropic reports the input at the start, OpenAI all at the end and only
    /// if the request asks for it (`stream_options.include_usage`).
    pub fn usage(&self) -> Option<Usage> {
        match &self.fold {
            Fold::Chat(chat) => chat.usage(),
            Fold::Responses(responses) => Usage::read(&responses.response),
            Fold::Message(message) => message.usage(),
            Fold::Gemini(gemini) => gemini.usage(),
            Fold::Ollama(ollama) => ollama.usage(),
            Fold::Plain(_) => None,
        }
    }

    /// Why the first choice ended, in OpenAI's words (see [`Delta::finish_reason`]). `None` until that is told.
    pub fn finish_reason(&self) -> Option<String> {
        match &self.fold {
            Fold::Chat(chat) => chat.finish_reason(),
            Fold::Responses(responses) => answer::finish_reason(&responses.response),
            Fold::Message(message) => message.finish_reason(),
            Fold::Gemini(gemini) => gemini.finish_reason(),
            Fold::Ollama(ollama) => ollama.finish_reason(),
            Fold::Plain(_) => None,
        }
    }

    /// The end of the stream, as [`finish`](StreamReader::finish), with the body in the shape of OpenAI's
    /// `chat.completion`, whatever the provider's own is. See [`Provider::as_openai`](crate::Provider::as_openai). A body
    /// in no known shape stays as it came.
    ///
    /// # Errors
    ///
    /// [`Truncated`]. Its body is as it came.
    pub fn finish_as_openai(self) -> Result<Value, Truncated> {
        self.finish().map(|body| answer::as_openai(&body).unwrap_or(body))
    }

    /// The end of the stream. Gives the whole body, in the shape that the same request without `stream` would have
    /// brought. With [`Provider::http`](crate::Provider::http) the body is the list of the events' data.
    ///
    /// # Errors
    ///
    /// [`Truncated`], with what came, if the proof of the end is missing, and always after a fault.
    pub fn finish(self) -> Result<Value, Truncated> {
        let complete = self.is_complete();
        let text = if complete { String::new() } else { self.text() };
        let body = match self.fold {
            Fold::Chat(chat) => chat.into_body(),
            Fold::Responses(responses) => responses.response,
            Fold::Message(message) => message.into_body(),
            Fold::Gemini(gemini) => gemini.into_body(),
            Fold::Ollama(ollama) => ollama.into_body(),
            Fold::Plain(data) => Value::Array(data),
        };
        if complete { Ok(body) } else { Err(Truncated { text, body }) }
    }

    fn event(&mut self, event: &str, data: &str) -> Result<StreamItem, Fault> {
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > LIMIT {
            let message = Some(format!("the streamed reply is larger than {} MiB", LIMIT >> 20));
            return Err(Fault { message, ..Fault::new(Class::Terminal(Terminal::TooLarge)) });
        }
        if let Fold::Plain(all) = &mut self.fold {
            all.push(data.into());
            return Ok(StreamItem::Delta(Delta { text: data.to_owned(), ..Delta::default() }));
        }
        let data = data.trim();
        if data.is_empty() && event != "error" {
            return Ok(StreamItem::Nothing);
        }
        if let (Fold::Chat(chat), "[DONE]") = (&self.fold, data) {
            return if chat.has_begun() {
                Ok(StreamItem::Finished)
            } else {
                Err(broken("it holds no answer"))
            };
        }
        // Most events bring a piece of text and nothing else.
        let piece = match &mut self.fold {
            _ if !self.begun || event == "error" => None,
            Fold::Chat(chat) => chat.piece(data),
            Fold::Message(message) => message.piece(data),
            _ => None,
        };
        if let Some(delta) = piece {
            return Ok(StreamItem::Delta(delta));
        }
        // A strict parser is faster, and mostly enough.
        let value: Value =
            match serde_json::from_str(data).ok().or_else(|| json::lenient_json(data.as_bytes())) {
                Some(value) => value,
                None if event == "error" => return Err(self.fault(ErrorBody::plain(data, None))),
                None => return Err(broken("an event is not JSON")),
            };
        if event == "error" || error_body::is_refusal(&value) {
            return Err(self.fault(ErrorBody::read(&value, None)));
        }
        let Value::Object(value) = value else { return Err(broken("an event is not a JSON object")) };
        if !self.begun
            && let Some(shape) = Shape::of_event(event, &value)
        {
            self.begun = true;
            self.fold = Fold::of(shape, std::mem::replace(&mut self.fold, Fold::Plain(Vec::new())));
        }
        let read = match &mut self.fold {
            Fold::Chat(chat) => chat.chunk(value).inspect(|_| chat.learn(data)),
            Fold::Responses(responses) => responses.event(value),
            Fold::Message(message) => message.event(event, value),
            Fold::Gemini(gemini) => gemini.chunk(value),
            Fold::Ollama(ollama) => Ok(ollama.line(value)),
            Fold::Plain(_) => Ok(StreamItem::Nothing),
        };
        read.map_err(|bad| match bad {
            EventError::Fault(fault) => *fault,
            EventError::Refusal(error) => self.fault(ErrorBody::read(&error, None)),
        })
    }

    fn fault(&self, error: ErrorBody) -> Fault {
        provider::of_event(error, self.codes)
    }
}

impl Fold {
    /// The part for this shape: the one that is there, if it has the shape.
    fn of(shape: Shape, now: Fold) -> Fold {
        match (shape, now) {
            (Shape::Chat, now @ Fold::Chat(_)) | (Shape::Gemini, now @ Fold::Gemini(_)) => now,
            (Shape::Chat, _) => Fold::Chat(Chat::default()),
            (Shape::Responses, _) => Fold::Responses(Responses::default()),
            (Shape::Message, _) => Fold::Message(Message::default()),
            (Shape::Gemini, _) => Fold::Gemini(Gemini::default()),
            (Shape::Ollama, _) => Fold::Ollama(Ollama::default()),
        }
    }
}

/// The item of an event that brought this piece and this count.
fn item(delta: Option<Delta>, usage: Option<Usage>) -> StreamItem {
    match (delta, usage) {
        (Some(delta), usage) => StreamItem::Delta(Delta { usage, ..delta }),
        (None, Some(usage)) => StreamItem::Usage(usage),
        (None, None) => StreamItem::Nothing,
    }
}

/// The answer is not shown: it may be long, and it belongs to the caller.
impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = self.is_complete();
        f.debug_struct("StreamReader").field("complete", &complete).field("bytes", &self.bytes).finish()
    }
}

impl Truncated {
    /// Always [`Class::StreamBroken`].
    pub const fn class(&self) -> Class {
        Class::StreamBroken
    }
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream ended without its end marker, after {} bytes of text", self.text.len())
    }
}

impl error::Error for Truncated {}

/// Why an event is no piece of an answer.
enum EventError {
    Fault(Box<Fault>),
    /// It holds this error.
    Refusal(Value),
}

impl From<Fault> for EventError {
    fn from(fault: Fault) -> EventError {
        EventError::Fault(Box::new(fault))
    }
}

fn broken(why: &str) -> Fault {
    Fault { message: Some(format!("the stream is broken: {why}")), ..Fault::new(Class::StreamBroken) }
}
