//! The lines of an output file, read back: by a run that goes on, and by `status`.

use std::{
    borrow::Cow,
    io::{self, BufRead, BufReader, Read},
};

use serde::{Deserialize, de::IgnoredAny};

use crate::identity::Digest;

/// The lines of a file, one at a time.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

/// One line as it stands in the file.
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Without the line end.
    pub(crate) bytes: &'a [u8],
    /// Whether it has a line end. Only the last line can have none: a run is writing it, or a crash has cut it.
    pub(crate) is_whole: bool,
}

/// What a line says of its request.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) custom_id: Cow<'a, str>,
    /// The digest of what was sent.
    pub(crate) request: Digest,
    /// `None` for an answer.
    pub(crate) error: Option<EntryError<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct EntryError<'a> {
    #[serde(borrow)]
    pub(crate) code: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(crate) message: Cow<'a, str>,
}

/// The members of a line that are read.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(default, borrow)]
    error: Option<EntryError<'a>>,
    #[serde(default)]
    outbound: Option<Extra>,
    #[serde(default, rename = "response")]
    _response: IgnoredAny,
}

#[derive(Deserialize)]
struct Extra {
    request: Option<Digest>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(file: R) -> Self {
        Self::after(file, 0)
    }

    /// The lines of a file of which this many have been read before.
    pub(crate) fn after(file: R, number: u64) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, file), line: Vec::new(), number }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        self.number += 1;
        if self.reader.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        let is_whole = self.line.pop_if(|byte| *byte == b'\n').is_some();
        Ok(Some(Line { number: self.number, bytes: &self.line, is_whole }))
    }
}

impl<'a> Line<'a> {
    pub(crate) fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }

    /// How many bytes of the file it takes, with its line end.
    pub(crate) fn length(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.is_whole)
    }

    /// Reads the line. `None`: it has the shape of a batch output, but this command did not write it.
    ///
    /// # Errors
    ///
    /// Where it does not have that shape: it is cut, or it is something else.
    pub(crate) fn entry(&self) -> serde_json::Result<Option<Entry<'a>>> {
        let Members { custom_id, error, outbound, .. } = serde_json::from_slice(self.bytes)?;
        let request = outbound.and_then(|extra| extra.request);
        Ok(request.map(|request| Entry { custom_id, request, error }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_ours_another_or_cut() {
        let ours =
            r#"{"custom_id":"a","error":{"code":"rejected"},"outbound":{"request":"00000000000000ab"}}"#;
        let text = format!("{ours}\n \n{{\"custom_id\":\"b\"}}\n{}", &ours[..40]);
        let mut lines = Lines::after(text.as_bytes(), 6);
        let line = lines.next().expect("memory can be read").expect("a line");
        assert_eq!((line.number, line.is_whole, line.length()), (7, true, ours.len() as u64 + 1));
        let entry = line.entry().expect("its shape is right").expect("it is ours");
        assert_eq!((&*entry.custom_id, entry.request), ("a", Digest(0xab)));
        assert!(entry.error.is_some_and(|error| error.code == "rejected" && error.message.is_empty()));
        assert!(lines.next().expect("memory can be read").is_some_and(|line| line.is_blank()));
        let other = lines.next().expect("memory can be read").expect("a line");
        assert!(other.entry().is_ok_and(|entry| entry.is_none()));
        let cut = lines.next().expect("memory can be read").expect("a line");
        assert!(!cut.is_whole && cut.entry().is_err() && cut.length() == 40);
        assert!(lines.next().expect("memory can be read").is_none());
    }
}
