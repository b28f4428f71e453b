//! JSON as servers really send it, read in place.
//!
//! There is one pass, no allocation (except for values nested more than 63 deep), and no recursion in what is skipped.
//!
//! It reads all of RFC 8259. Beyond that it reads a byte order mark, `NaN`, `Infinity` and `-Infinity`, any depth, raw
//! control characters and invalid UTF-8 inside strings, and halves of surrogate pairs. It refuses what is not one whole
//! value: a value that was cut, a page of markup, a value with something behind it, an empty text.

use std::borrow::Cow;

mod text;
mod value;

pub use value::lenient_json;

/// What was read is not JSON. The [`Scanner`] says where, and whether it only ended too early.
#[derive(Debug)]
pub(crate) struct JsonError;

/// Reads one value after the other. The scanner stands before the next value. One of the methods reads that value, or
/// [`skip`](Scanner::skip) passes over it.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    all: &'a [u8],
    /// The part of `all` that is still to be read.
    rest: &'a [u8],
}

/// What a string holds between its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) raw: &'a [u8],
    /// Whether `raw` has escapes in it.
    pub(crate) escaped: bool,
}

impl<'a> Scanner<'a> {
    /// Stands on the first byte behind a byte order mark.
    pub(crate) fn new(bytes: &'a [u8]) -> Scanner<'a> {
        let bytes = without_mark(bytes);
        Scanner { all: bytes, rest: bytes }
    }

    /// How many bytes were read, without the byte order mark.
    pub(crate) fn at(&self) -> usize {
        self.all.len() - self.rest.len()
    }

    /// Whether all bytes were read: a value that was refused there was cut short.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes between `start` and the scanner.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.all.get(start..self.at()).unwrap_or_default()
    }

    /// The first byte of the next value or sign, behind white space. 0 at the end.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> u8 {
        match self.rest.first() {
            Some(&byte) if byte > b' ' => byte,
            _ => self.peek_behind_space(),
        }
    }

    #[inline(never)]
    fn peek_behind_space(&mut self) -> u8 {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied().unwrap_or(0)
    }

    /// Nothing may follow.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        self.peek();
        if self.is_at_end() { Ok(()) } else { Err(JsonError) }
    }

    /// Reads an object. `each` gets the name of each field, as it stands between the quotes, and has to read the
    /// value.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a [u8]) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.sign(b'{')?;
        if self.peek() == b'}' {
            return self.sign(b'}');
        }
        loop {
            let name = self.name()?;
            each(self, name)?;
            match self.peek() {
                b',' => self.sign(b',')?,
                _ => return self.sign(b'}'),
            }
        }
    }

    /// Reads an array. `each` has to read one item.
    #[inline]
    pub(crate) fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.sign(b'[')?;
        if self.peek() == b']' {
            return self.sign(b']');
        }
        loop {
            self.peek();
            each(self)?;
            match self.peek() {
                b',' => self.sign(b',')?,
                _ => return self.sign(b']'),
            }
        }
    }

    /// Reads a string.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Text<'a>, JsonError> {
        let [b'"', start @ ..] = self.rest else { return Err(JsonError) };
        let mut rest = start;
        let mut escaped = false;
        loop {
            rest = text::behind_plain(rest);
            match rest {
                [b'"', behind @ ..] => {
                    self.rest = behind;
                    let raw = &start[..start.len() - rest.len()];
                    return Ok(Text { raw, escaped });
                }
                [_, _, behind @ ..] => {
                    escaped = true;
                    rest = behind;
                }
                _ => {
                    self.rest = &[];
                    return Err(JsonError);
                }
            }
        }
    }

    /// The text of a string; of any other value `None`, which is passed over.
    pub(crate) fn text_or_skip(&mut self) -> Result<Option<Text<'a>>, JsonError> {
        if self.peek() == b'"' { self.string().map(Some) } else { self.skip().map(|()| None) }
    }

    /// A whole number that is not negative; of any other value `None`, which is passed over.
    pub(crate) fn u64_or_skip(&mut self) -> Result<Option<u64>, JsonError> {
        self.peek();
        let mut number = Some(0u64);
        let mut rest = self.rest;
        while let [digit @ b'0'..=b'9', behind @ ..] = rest {
            number = number.and_then(|n| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
            rest = behind;
        }
        if rest.len() == self.rest.len() || matches!(rest, [b'.' | b'e' | b'E', ..]) {
            self.skip()?;
            return Ok(None);
        }
        self.rest = rest;
        Ok(number)
    }

    /// Passes over any value, whatever is in it.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.skip_nested(),
            _ => self.scalar().map(drop),
        }
    }

    fn skip_nested(&mut self) -> Result<(), JsonError> {
        let mut open = Nesting::default();
        loop {
            match self.peek() {
                b'"' => drop(self.string()?),
                b'{' => {
                    self.sign(b'{')?;
                    if self.peek() != b'}' {
                        open.push(true);
                        self.name()?;
                        continue;
                    }
                    self.sign(b'}')?;
                }
                b'[' => {
                    self.sign(b'[')?;
                    if self.peek() != b']' {
                        open.push(false);
                        continue;
                    }
                    self.sign(b']')?;
                }
                _ => drop(self.scalar()?),
            }
            // A value has ended, and so may those around it.
            loop {
                let Some(in_object) = open.innermost() else { return Ok(()) };
                match (self.peek(), in_object) {
                    (b',', _) => {
                        self.sign(b',')?;
                        if in_object {
                            self.name()?;
                        }
                        break;
                    }
                    (_, true) => self.sign(b'}')?,
                    (_, false) => self.sign(b']')?,
                }
                open.pop();
            }
        }
    }

    /// Reads what is neither string nor object nor array, and gives it back as it stands.
    pub(crate) fn scalar(&mut self) -> Result<&'a [u8], JsonError> {
        let first = self.peek();
        let start = self.rest;
        match first {
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'N' => self.word(b"NaN"),
            b'I' => self.word(b"Infinity"),
            b'-' => {
                self.sign(b'-')?;
                if self.rest.first() == Some(&b'I') { self.word(b"Infinity") } else { self.number() }
            }
            _ => self.number(),
        }?;
        Ok(&start[..start.len() - self.rest.len()])
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let before = self.rest.len();
        self.digits();
        if self.rest.len() == before {
            return Err(JsonError);
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            self.digits();
        }
        if let [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            self.digits();
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) {
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if let Some(rest) = self.rest.strip_prefix(word) {
            self.rest = rest;
            return Ok(());
        }
        if word.starts_with(self.rest) {
            self.rest = &[];
        }
        Err(JsonError)
    }

    /// The name of a field, behind which and the colon the scanner then stands.
    fn name(&mut self) -> Result<&'a [u8], JsonError> {
        self.peek();
        let name = self.string()?;
        self.peek();
        self.sign(b':')?;
        self.peek();
        Ok(name.raw)
    }

    #[inline(always)]
    fn sign(&mut self, sign: u8) -> Result<(), JsonError> {
        match self.rest {
            [first, rest @ ..] if *first == sign => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(JsonError),
        }
    }
}

impl<'a> Text<'a> {
    /// The text, escapes resolved. What is no text becomes U+FFFD.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if self.escaped { text::unescape(self.raw).into() } else { String::from_utf8_lossy(self.raw) }
    }

    /// Quarters of tokens, as [`Estimate`](crate::Estimate) counts them.
    pub(crate) fn quarters(self) -> u64 {
        if self.escaped { text::quarters_escaped(self.raw) } else { text::quarters(self.raw) }
    }
}

/// `bytes` behind a byte order mark.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// Which objects (1) and arrays (0) are open: one bit for each, the innermost in the lowest bit. One more bit above the
/// outermost marks the end, so that a full word can be put aside.
#[derive(Debug)]
struct Nesting {
    bits: u64,
    aside: Vec<u64>,
}

impl Default for Nesting {
    fn default() -> Nesting {
        Nesting { bits: 1, aside: Vec::new() }
    }
}

impl Nesting {
    fn push(&mut self, object: bool) {
        if self.bits >> 63 == 1 {
            self.aside.push(self.bits);
            self.bits = 1;
        }
        self.bits = self.bits << 1 | u64::from(object);
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        if self.bits == 1
            && let Some(bits) = self.aside.pop()
        {
            self.bits = bits;
        }
    }

    fn innermost(&self) -> Option<bool> {
        (self.bits > 1).then_some(self.bits & 1 == 1)
    }
}
