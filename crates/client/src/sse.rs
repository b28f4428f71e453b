//! Server-sent events from bytes, by the rules of WHATWG HTML, section 9.2.6 ("Interpreting an event stream").

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use memchr::memchr2;

use crate::events::Event;

/// Takes chunks as they come, gives events. Any split of the same bytes into chunks gives the same events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    chunk: Bytes,
    // The beginning of a line whose end has not come yet.
    line: BytesMut,
    // A carriage return ended the last line; a line feed right after it belongs to it.
    after_return: bool,
    // The first line may begin with a byte order mark.
    begun: bool,
    event: ByteString,
    data: Data,
    id: ByteString,
    pub(crate) retry: Option<Duration>,
    pub(crate) comments: u64,
}

#[derive(Debug, Default)]
enum Data {
    /// No `data` field yet.
    #[default]
    None,
    /// One, which is a part of the chunk it came in.
    One(Bytes),
    /// Several, with a line feed between two.
    Many(BytesMut),
}

/// An event has more bytes than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Parser {
    /// Takes the next chunk, once [`next`](Self::next) has nothing more.
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty());
        self.chunk = chunk;
    }

    /// The next event in the chunk.
    pub(crate) fn next(&mut self, max: usize) -> Result<Option<Event>, TooLarge> {
        while let Some(line) = self.next_line() {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(&line);
            }
            if self.size() > max {
                return Err(TooLarge);
            }
        }
        if self.size() > max { Err(TooLarge) } else { Ok(None) }
    }

    /// Whether an event was begun and not ended. Such an event is not dispatched.
    pub(crate) fn is_inside_event(&self) -> bool {
        !self.line.is_empty() || !matches!(self.data, Data::None)
    }

    fn next_line(&mut self) -> Option<Bytes> {
        if self.after_return && !self.chunk.is_empty() {
            self.after_return = false;
            if self.chunk[0] == b'\n' {
                self.chunk.advance(1);
            }
        }
        let Some(end) = memchr2(b'\n', b'\r', &self.chunk) else {
            self.line.extend_from_slice(&self.chunk);
            self.chunk.clear();
            return None;
        };
        self.after_return = self.chunk[end] == b'\r';
        let mut line = self.chunk.split_to(end);
        self.chunk.advance(1);
        if !self.line.is_empty() {
            self.line.extend_from_slice(&line);
            line = self.line.split().freeze();
        }
        if !self.begun {
            self.begun = true;
            if line.starts_with(b"\xef\xbb\xbf") {
                line.advance(3);
            }
        }
        Some(line)
    }

    fn field(&mut self, line: &Bytes) {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(0) => {
                self.comments += 1;
                return;
            }
            Some(colon) => {
                let space = usize::from(line.get(colon + 1) == Some(&b' '));
                (&line[..colon], line.slice(colon + 1 + space..))
            }
            None => (&line[..], Bytes::new()),
        };
        match name {
            b"data" => self.data.push(value),
            b"event" => self.event = text(&value),
            b"id" if !value.contains(&0) => self.id = text(&value),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let millis = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
                self.retry = millis.map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        let data = match std::mem::take(&mut self.data) {
            Data::None => return None,
            Data::One(data) => data,
            Data::Many(data) => data.freeze(),
        };
        let event = if event.is_empty() { ByteString::from_static("message") } else { event };
        Some(Event { event, data: text(&data), id: self.id.clone() })
    }

    /// The bytes kept for the event that is coming, and for the line.
    fn size(&self) -> usize {
        let data = match &self.data {
            Data::None => 0,
            Data::One(data) => data.len(),
            Data::Many(data) => data.len(),
        };
        self.line.len() + self.event.len() + self.id.len() + data
    }
}

impl Data {
    fn push(&mut self, value: Bytes) {
        match self {
            Self::None => *self = Self::One(value),
            Self::One(first) => {
                let mut data = BytesMut::with_capacity(first.len() + 1 + value.len());
                data.extend_from_slice(first);
                data.extend_from_slice(b"\n");
                data.extend_from_slice(&value);
                *self = Self::Many(data);
            }
            Self::Many(data) => {
                data.extend_from_slice(b"\n");
                data.extend_from_slice(&value);
            }
        }
    }
}

/// UTF-8, what is not with replacement characters. A line end is never inside a character, so lines decode alone.
fn text(bytes: &Bytes) -> ByteString {
    match ByteString::try_from(bytes.clone()) {
        Ok(text) => text,
        Err(_) => String::from_utf8_lossy(bytes).into_owned().into(),
    }
}
