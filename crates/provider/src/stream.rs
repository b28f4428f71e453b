use std::{error, fmt};

use serde_json::Value;

use crate::{
    Class, Fault, Terminal, Usage,
    error_body::{self, ErrorBody},
    json,
    provider::{self, Kind},
};

mod chat;
mod merge;
mod message;
mod responses;

use chat::Chat;
use message::Message;
use responses::Responses;

/// The most that one streamed reply may hold, in bytes of event data.
const LIMIT: usize = 64 << 20;

/// Reads one streamed reply: puts the pieces together and tells whether it really ended.
///
/// Feed it each server-sent event in turn, then ask for the [`finish`](StreamReader::finish). A stream that
/// just stops is never taken for a whole answer. What counts as proof of the end:
///
/// | reply | proof |
/// |---|---|
/// | OpenAI chat and completions, and all compatible servers | `[DONE]`, or a `finish_reason` for every choice (see [`expect_choices`](StreamReader::expect_choices)) |
/// | OpenAI responses | `response.completed` or `response.incomplete` |
/// | Anthropic messages | `message_stop` |
/// | [`Provider::http`](crate::Provider::http) | none: the end of the body is the end |
///
/// ```
/// use outbound_provider::{Provider, StreamItem};
///
/// let mut reader = Provider::openai().stream();
/// let chunk = r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
/// assert_eq!(reader.feed("", chunk), Ok(StreamItem::Delta("Hello".into())));
/// assert!(!reader.is_complete());
/// assert_eq!(reader.feed("", "[DONE]"), Ok(StreamItem::Finished));
///
/// let body = reader.finish().unwrap();
/// assert_eq!(body["object"], "chat.completion");
/// assert_eq!(body["choices"][0]["message"]["content"], "Hello");
/// ```
pub struct StreamReader {
    fold: Fold,
    state: State,
    /// How many choices have to finish where no end marker comes; at least one.
    choices: usize,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Events are read.
    Open,
    /// The end marker was seen. What still comes is not read.
    Ended,
    /// A fault was told. What still comes is not read, and the reply is never whole.
    Failed,
}

/// What one event brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamItem {
    /// Nothing generated: a ping, a role, a count of tokens, a kind of event not known here.
    Nothing,
    /// A piece of the answer. The text is what a reader sees; it is empty for calls of tools and for
    /// reasoning. Of several choices in one event the texts follow each other.
    Delta(String),
    /// The end marker: nothing is to follow, and the connection need not be read further.
    Finished,
}

/// The stream ended without the proof that it was whole. What had arrived is kept.
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
    Plain(Vec<Value>),
}

impl StreamReader {
    pub(crate) fn new(kind: Kind) -> StreamReader {
        let fold = match kind {
            Kind::OpenAi | Kind::Compatible => Fold::Chat(Chat::default()),
            Kind::Anthropic => Fold::Message(Message::default()),
            Kind::Http => Fold::Plain(Vec::new()),
        };
        StreamReader { fold, state: State::Open, choices: 1, bytes: 0 }
    }

    /// Says how many answers the request asked for (OpenAI's `n`), 1 if never said. Without an end marker, a
    /// choice that never began could not be missed otherwise. Zero counts as 1.
    #[must_use]
    pub fn expect_choices(mut self, choices: usize) -> StreamReader {
        self.choices = choices.max(1);
        self
    }

    /// Takes one event: its name (`""` or `message` where it has none) and its data.
    ///
    /// An error event is a [`Fault`] of the class that its status would have had, had it come in time to have
    /// one. What is JSON to a generous reader ([`lenient_json`](crate::lenient_json)) is read. An event that is not of the format is [`Class::StreamBroken`]: to skip it would be to lose a
    /// piece. A reply of more than 64 MiB is [`Terminal::TooLarge`]. After a fault or
    /// [`StreamItem::Finished`] the reader holds what came before, and ignores what follows.
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
            Fold::Plain(_) => None,
        }
    }

    /// The end of the stream: the whole body, in the shape that the same request without `stream` would have
    /// brought, or what there is of it. Of [`Provider::http`](crate::Provider::http) the body is the list of
    /// the events' data.
    ///
    /// # Errors
    ///
    /// [`Truncated`] where the proof of the end is missing, and always after a fault.
    pub fn finish(self) -> Result<Value, Truncated> {
        let complete = self.is_complete();
        let text = if complete { String::new() } else { self.text() };
        let body = match self.fold {
            Fold::Chat(chat) => chat.into_body(),
            Fold::Responses(responses) => responses.response,
            Fold::Message(message) => message.into_body(),
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
            return Ok(StreamItem::Delta(data.to_owned()));
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
        // A strict parser is the faster one, and mostly enough.
        let value: Value =
            match serde_json::from_str(data).ok().or_else(|| json::lenient_json(data.as_bytes())) {
                Some(value) => value,
                None if event == "error" => return Err(provider::of_event(ErrorBody::plain(data, None))),
                None => return Err(broken("an event is not JSON")),
            };
        if event == "error" || error_body::is_refusal(&value) {
            return Err(fault(&value));
        }
        let Value::Object(value) = value else { return Err(broken("an event is not a JSON object")) };
        if let Fold::Chat(chat) = &self.fold
            && !chat.has_begun()
            && responses::is_event(&value)
        {
            self.fold = Fold::Responses(Responses::default());
        }
        match &mut self.fold {
            Fold::Chat(chat) => chat.chunk(value),
            Fold::Responses(responses) => responses.event(value),
            Fold::Message(message) => message.event(event, value),
            Fold::Plain(_) => Ok(StreamItem::Nothing),
        }
    }
}

/// Without the answer: it may be long, and it is nobody's but the caller's.
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

fn broken(why: &str) -> Fault {
    Fault { message: Some(format!("the stream is broken: {why}")), ..Fault::new(Class::StreamBroken) }
}

fn fault(error: &Value) -> Fault {
    provider::of_event(ErrorBody::read(error, None))
}
