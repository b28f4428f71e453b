//! A parser of server-sent events, by the rules of WHATWG HTML, section 9.2.6 ("Interpreting an event stream").

use std::{ops::Range, time::Duration};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use memchr::{memchr, memchr2};

use crate::events::Event;

/// Takes chunks as they come and gives events. The events do not depend on how the bytes are split into chunks.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    chunk: Bytes,
    // How much of the chunk was read.
    read: usize,
    // The beginning of a line whose end has not come yet.
    line: BytesMut,
    // The last line ended with a carriage return. A line feed right after it belongs to it.
    after_return: bool,
    // Whether the first line has begun. Only that line may begin with a byte order mark.
    begun: bool,
    event: ByteString,
    data: Data,
    // Joins data of several lines. Events share its memory, which is used again once they are dropped.
    joined: BytesMut,
    id: ByteString,
    pub(crate) retry: Option<Duration>,
    pub(crate) comments: u64,
}

#[derive(Debug, Default)]
enum Data {
    /// No `data` field yet.
    #[default]
    None,
    /// One field, which is a part of the chunk that it came in.
    One(ByteString),
    /// Several fields, in `joined`, with line feeds between them.
    Many,
}

/// An event has more bytes than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Parser {
    /// Takes the next chunk, after [`next`](Self::next) has returned `None`.
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        debug_assert_eq!(self.read, self.chunk.len());
        self.chunk = chunk;
        self.read = 0;
    }

    /// Whether there are bytes in the chunk that [`next`](Self::next) has not read.
    pub(crate) fn has_more(&self) -> bool {
        self.read < self.chunk.len()
    }

    /// The next event in the chunk.
    #[inline]
    pub(crate) fn next(&mut self, max: usize) -> Result<Option<Event>, TooLarge> {
        match self.one_line(max) {
            Some(event) => Ok(Some(event)),
            None => self.next_of_any_shape(max),
        }
    }

    /// The event that begins here, if it has the most common form: one line of data, complete in the chunk. The
    /// general rules below give the same event in twice the time.
    #[inline]
    fn one_line(&mut self, max: usize) -> Option<Event> {
        let clean = self.begun
            && !self.after_return
            && self.line.is_empty()
            && self.event.is_empty()
            && matches!(self.data, Data::None);
        let rest = self.chunk[self.read..].strip_prefix(b"data:").filter(|_| clean)?;
        let length = memchr2(b'\n', b'\r', rest)?;
        if !rest[length..].starts_with(b"\n\n") || self.id.len() + 5 + length > max {
            return None;
        }
        let space = usize::from(rest[0] == b' ');
        let start = self.read + 5;
        self.read = start + length + 2;
        let data = text(&self.chunk, start + space..start + length);
        if !self.has_more() {
            self.release();
        }
        Some(Event { event: ByteString::from_static("message"), data, id: self.id() })
    }

    /// Most servers give no id. To clone an empty one costs as much as to clone a long one, so this avoids it.
    #[inline]
    fn id(&self) -> ByteString {
        if self.id.is_empty() { ByteString::new() } else { self.id.clone() }
    }

    #[inline(never)]
    fn next_of_any_shape(&mut self, max: usize) -> Result<Option<Event>, TooLarge> {
        while let Some(&first) = self.chunk.get(self.read) {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                self.read += 1;
                continue;
            }
            // The empty line between two events needs no search.
            let length = match first {
                b'\n' | b'\r' => 0,
                _ => match memchr2(b'\n', b'\r', &self.chunk[self.read..]) {
                    Some(length) => length,
                    None => break,
                },
            };
            let line = self.read..self.read + length;
            self.read = line.end + 1;
            self.after_return = self.chunk[line.end] == b'\r';
            self.begun |= length == 0 && self.line.is_empty();
            // The whole line is counted, so that the result does not depend on how it was split.
            if self.size() + length > max {
                return Err(TooLarge);
            }
            if length > 0 || !self.line.is_empty() {
                self.take_line(line);
            } else if let Some(event) = self.dispatch() {
                if !self.has_more() {
                    self.release();
                }
                return Ok(Some(event));
            }
        }
        if self.has_more() {
            // The line continues in the next chunk.
            self.line.extend_from_slice(&self.chunk[self.read..]);
        }
        self.release();
        if self.size() > max { Err(TooLarge) } else { Ok(None) }
    }

    /// Drops a chunk that was read, so that the connection can use its memory again.
    fn release(&mut self) {
        self.chunk = Bytes::new();
        self.read = 0;
    }

    /// Whether an event has begun and not ended. Such an event is not given.
    pub(crate) fn is_inside_event(&self) -> bool {
        !self.line.is_empty() || !matches!(self.data, Data::None)
    }

    /// Takes a line that is not empty. Its beginning may have come with an earlier chunk.
    fn take_line(&mut self, mut range: Range<usize>) {
        let mut bytes = std::mem::take(&mut self.chunk);
        if self.line.is_empty() {
            self.field(&bytes, range);
            self.chunk = bytes;
        } else {
            self.line.extend_from_slice(&bytes[range]);
            self.chunk = bytes;
            bytes = self.line.split().freeze();
            range = 0..bytes.len();
            self.field(&bytes, range);
        }
    }

    fn field(&mut self, bytes: &Bytes, mut range: Range<usize>) {
        if !std::mem::replace(&mut self.begun, true) && bytes[range.clone()].starts_with(b"\xef\xbb\xbf") {
            range.start += 3;
        }
        let line = &bytes[range.clone()];
        // The most common field is checked first.
        let colon = if line.starts_with(b"data:") { Some(4) } else { memchr(b':', line) };
        let (name, value) = match colon {
            Some(0) => {
                self.comments += 1;
                return;
            }
            Some(colon) => {
                let space = usize::from(line.get(colon + 1) == Some(&b' '));
                (&line[..colon], range.start + colon + 1 + space..range.end)
            }
            None => (line, range.end..range.end),
        };
        match name {
            b"data" => self.push_data(bytes, value),
            b"event" => self.event = text(bytes, value),
            b"id" if memchr(0, &bytes[value.clone()]).is_none() => self.id = text(bytes, value),
            b"retry" => {
                let digits = &bytes[value];
                if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
                    let millis = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                    self.retry = millis.map(Duration::from_millis).or(self.retry);
                }
            }
            _ => {}
        }
    }

    fn push_data(&mut self, bytes: &Bytes, value: Range<usize>) {
        if let Data::None = &self.data {
            self.data = Data::One(text(bytes, value));
            return;
        }
        if let Data::One(first) = std::mem::replace(&mut self.data, Data::Many) {
            self.joined.reserve(first.len() + 1 + value.len());
            self.joined.extend_from_slice(first.as_bytes());
        }
        self.joined.extend_from_slice(b"\n");
        self.joined.extend_from_slice(&bytes[value]);
    }

    fn dispatch(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        let data = match std::mem::take(&mut self.data) {
            Data::None => return None,
            Data::One(data) => data,
            Data::Many => {
                let joined = self.joined.split().freeze();
                text(&joined, 0..joined.len())
            }
        };
        let event = if event.is_empty() { ByteString::from_static("message") } else { event };
        Some(Event { event, data, id: self.id() })
    }

    /// The number of bytes that are kept for the current event and the current line.
    fn size(&self) -> usize {
        let data = match &self.data {
            Data::None => 0,
            Data::One(data) => data.len(),
            Data::Many => self.joined.len(),
        };
        self.line.len() + self.event.len() + self.id.len() + data
    }
}

/// A part of `bytes` as UTF-8, with replacement characters for what is not valid. A line end is never inside a
/// character, so each line can be decoded alone.
fn text(bytes: &Bytes, range: Range<usize>) -> ByteString {
    match ByteString::try_from(bytes.slice(range.clone())) {
        Ok(text) => text,
        Err(_) => String::from_utf8_lossy(&bytes[range]).into_owned().into(),
    }
}
