//! Streams of JSON values that are not events, cut into the values.

use std::{collections::VecDeque, error, fmt};

/// The longest value, in bytes.
const LIMIT: usize = 64 << 20;

/// Cuts a stream of JSON values into these, as its bytes come: lines of JSON, values one behind the other, or the items
/// of one array that grows. However the bytes are cut, the values are the same.
///
/// ```
/// use outbound_provider::JsonSplitter;
///
/// let mut splitter = JsonSplitter::new();
/// splitter.push(br#"[{"text":"Hel"},{"te"#)?;
/// assert_eq!(splitter.next_value().as_deref(), Some(r#"{"text":"Hel"}"#));
/// assert_eq!(splitter.next_value(), None);
/// splitter.push(br#"xt":"lo"}]"#)?;
/// assert_eq!(splitter.next_value().as_deref(), Some(r#"{"text":"lo"}"#));
/// assert_eq!(splitter.finish(), None);
/// # Ok::<(), outbound_provider::TooLong>(())
/// ```
///
/// It does not judge: what is no JSON, such as a message of a proxy, is given out by the line, and whoever reads it
/// sees what it is. An array of arrays or of numbers is not what it is made for.
#[derive(Default)]
pub struct JsonSplitter {
    /// The value that is being read.
    value: Vec<u8>,
    /// Those that are whole.
    ready: VecDeque<String>,
    /// How many objects and arrays of the value are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether anything but white space has come.
    begun: bool,
}

/// A value of a stream is longer than 64 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooLong;

impl JsonSplitter {
    /// One at the start of a body.
    pub fn new() -> JsonSplitter {
        JsonSplitter::default()
    }

    /// Takes the bytes that came next.
    ///
    /// # Errors
    ///
    /// [`TooLong`] for a value of more than 64 MiB, from then on each time. The values before it are there.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for &byte in bytes {
            self.byte(byte);
            if self.value.len() > LIMIT {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    /// The next value that is whole. What is no UTF-8 in it is U+FFFD.
    pub fn next_value(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    /// The end of the body: what began and did not end, which is a value cut short or a last line without its end.
    /// Whole values that nobody took are dropped.
    pub fn finish(mut self) -> Option<String> {
        self.ready.clear();
        self.end();
        self.next_value()
    }

    fn byte(&mut self, byte: u8) {
        if self.in_string {
            self.value.push(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        if self.depth > 0 {
            self.value.push(byte);
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.end();
                    }
                }
                _ => {}
            }
            return;
        }
        match byte {
            b'\n' | b'\r' => self.end(),
            // The last is what goes before each value in RFC 7464.
            b' ' | b'\t' | b',' | b'\x1e' if self.value.is_empty() => {}
            // A byte order mark.
            0xEF | 0xBB | 0xBF if !self.begun => {}
            // The array that holds all values opens and closes without being one.
            b'[' if !self.begun => self.begun = true,
            b']' if self.value.is_empty() => {}
            b'{' if self.value.is_empty() => {
                self.begun = true;
                self.depth = 1;
                self.value.push(byte);
            }
            _ => {
                self.begun = true;
                self.value.push(byte);
            }
        }
    }

    fn end(&mut self) {
        let value = std::mem::take(&mut self.value);
        if !value.trim_ascii().is_empty() {
            self.ready.push_back(String::from_utf8_lossy(&value).into_owned());
        }
    }
}

/// Without the answer: it may be long, and it is nobody's but the caller's.
impl fmt::Debug for JsonSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ready, begun) = (self.ready.len(), self.value.len());
        f.debug_struct("JsonSplitter").field("ready", &ready).field("bytes", &begun).finish()
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of the stream is longer than {} MiB", LIMIT >> 20)
    }
}

impl error::Error for TooLong {}
