//! Streams of JSON that are not events, cut into their values.

use std::{collections::VecDeque, error, fmt};

/// The longest value, in bytes.
const LIMIT: usize = 64 << 20;

/// Cuts a stream of JSON into its values, as the bytes come: lines of JSON, values one behind the other, or the items of
/// one array that grows. The values do not depend on how the bytes were cut.
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
/// It does not check the values. Text that is no JSON, such as a message of a proxy, is given out line by line, for the
/// reader of the values to judge. It is not made for an array of arrays or of numbers.
#[derive(Default)]
pub struct JsonSplitter {
    /// The value that is being read.
    value: Vec<u8>,
    /// The values that are whole.
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
    /// A splitter at the start of a body.
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

    /// The next value that is whole. Invalid UTF-8 in it becomes U+FFFD.
    pub fn next_value(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    /// The end of the body. Gives what began and did not end: a value that was cut, or a last line without its line feed.
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
            // RFC 7464 has the last of these before each value.
            b' ' | b'\t' | b',' | b'\x1e' if self.value.is_empty() => {}
            // A byte order mark.
            0xEF | 0xBB | 0xBF if !self.begun => {}
            // The array that holds all values is no value itself.
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

/// The answer is not shown: it may be long, and it belongs to the caller.
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
