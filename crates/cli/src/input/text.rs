//! The text of an input as UTF-8, read from a file in UTF-8 or UTF-16, with line numbers.

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::record::{Place, Wrong};

/// The longest record, in bytes. Providers limit a whole batch file to about 200 MB.
pub(super) const MAX_RECORD: usize = 64 * 1024 * 1024;

/// How many bytes are read at once.
const PIECE: usize = 256 * 1024;

/// A text that is read piece by piece. A byte order mark is removed.
pub(super) struct Text {
    input: Box<dyn AsyncRead + Send + Unpin>,
    /// UTF-8, unless the file has another encoding. Bytes before `at` have been consumed.
    buffer: Vec<u8>,
    at: usize,
    /// The line of the byte at `at`.
    line: u64,
    /// Only for UTF-16.
    decoder: Option<Decoder>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    /// Nothing has been read.
    Start,
    Reading,
    Ended,
}

impl Text {
    pub(super) fn new(input: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self { input, buffer: Vec::new(), at: 0, line: 1, decoder: None, state: State::Start }
    }

    /// The number of the line that the next byte belongs to.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The next bytes; none at the end of the text.
    pub(super) async fn fill(&mut self) -> Result<&[u8], Wrong> {
        while self.at == self.buffer.len() && self.state != State::Ended {
            self.read_more().await.map_err(|(line, why)| Wrong::at(Place::line(line), why))?;
        }
        Ok(&self.buffer[self.at..])
    }

    /// Consumes this many of the bytes that [`fill`](Self::fill) returned.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.line += line_ends(&self.buffer[self.at..self.at + bytes]);
        self.at += bytes;
    }

    /// Consumes white space, and returns the byte after it, which is not consumed. `None` at the end of the text.
    pub(super) async fn skip_space(&mut self) -> Result<Option<u8>, Wrong> {
        loop {
            let bytes = self.fill().await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            match bytes.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(at) => {
                    let byte = bytes[at];
                    self.consume(at);
                    return Ok(Some(byte));
                }
                None => self.consume(self.buffer.len() - self.at),
            }
        }
    }

    /// Reads the rest of the line, with its line end. It is empty at the end of the text.
    pub(super) async fn read_line(&mut self) -> Result<Vec<u8>, Wrong> {
        let (mut text, number) = (Vec::new(), self.line);
        loop {
            let bytes = self.fill().await?;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(bytes.len(), |end| end + 1);
            push(&mut text, &bytes[..taken], number)?;
            self.consume(taken);
            if taken == 0 || end.is_some() {
                return Ok(text);
            }
        }
    }

    /// Reads the next piece. An error is the number of a line, and what is wrong there.
    async fn read_more(&mut self) -> Result<(), (u64, String)> {
        let mut piece = std::mem::take(&mut self.buffer);
        piece.resize(PIECE, 0);
        let mut read = self.read_into(&mut piece).await?;
        if self.state == State::Start {
            // A byte order mark has up to three bytes.
            while read < 3 && self.state != State::Ended {
                read += self.read_into(&mut piece[read..]).await?;
            }
            self.state = if self.state == State::Ended { State::Ended } else { State::Reading };
            let (mark, decoder) = match &piece[..read] {
                [0xef, 0xbb, 0xbf, ..] => (3, None),
                [0xff, 0xfe, ..] => (2, Some(UTF_16LE.new_decoder_without_bom_handling())),
                [0xfe, 0xff, ..] => (2, Some(UTF_16BE.new_decoder_without_bom_handling())),
                _ => (0, None),
            };
            let packed = match &piece[..read] {
                [0x1f, 0x8b, ..] => {
                    Some("the file is compressed; unpack it first: `gzip -dc IN | outbound run -`")
                }
                [0x28, 0xb5, 0x2f, ..] => {
                    Some("the file is compressed; unpack it first: `zstd -dc IN | outbound run -`")
                }
                [b'P', b'K', 3 | 5, ..] => {
                    Some("the file is a ZIP archive or a spreadsheet; save it as CSV in UTF-8")
                }
                _ => None,
            };
            if let Some(why) = packed {
                return Err((1, why.to_owned()));
            }
            self.decoder = decoder;
            piece.truncate(read);
            piece.drain(..mark);
            read -= mark;
        }
        piece.truncate(read);
        self.at = 0;
        self.buffer = match &mut self.decoder {
            None => piece,
            Some(decoder) => decode(decoder, &piece, self.state == State::Ended, self.line)?,
        };
        Ok(())
    }

    async fn read_into(&mut self, piece: &mut [u8]) -> Result<usize, (u64, String)> {
        let read = self.input.read(piece).await.map_err(|error| (self.line, error.to_string()))?;
        if read == 0 {
            self.state = State::Ended;
        }
        Ok(read)
    }
}

fn decode(decoder: &mut Decoder, bytes: &[u8], last: bool, line: u64) -> Result<Vec<u8>, (u64, String)> {
    let most = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
    let mut text = vec![0; most.unwrap_or(bytes.len().saturating_mul(3))];
    let (result, _, written) = decoder.decode_to_utf8_without_replacement(bytes, &mut text, last);
    text.truncate(written);
    match result {
        DecoderResult::InputEmpty => Ok(text),
        DecoderResult::OutputFull | DecoderResult::Malformed(..) => {
            Err((line + line_ends(&text), String::from("half a character of UTF-16; was the file cut?")))
        }
    }
}

fn line_ends(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Adds bytes to a record, whose length is limited.
pub(super) fn push(record: &mut Vec<u8>, bytes: &[u8], line: u64) -> Result<(), Wrong> {
    if record.len() + bytes.len() > MAX_RECORD {
        return Err(Wrong::at(Place::line(line), format!("it is longer than {MAX_RECORD} bytes")));
    }
    record.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: Vec<u8>) -> Result<Vec<String>, Wrong> {
        lines_of(Box::new(std::io::Cursor::new(bytes))).await
    }

    async fn lines_of(input: Box<dyn AsyncRead + Send + Unpin>) -> Result<Vec<String>, Wrong> {
        let mut text = Text::new(input);
        let mut lines = Vec::new();
        loop {
            let line = text.read_line().await?;
            if line.is_empty() {
                return Ok(lines);
            }
            lines.push(String::from_utf8(line).expect("UTF-8"));
        }
    }

    fn utf_16(text: &str, encode: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(encode).collect()
    }

    #[tokio::test]
    async fn a_mark_is_no_text_and_utf_16_is_read() {
        // More than one piece, so that characters are cut.
        let long = format!("a\r\n{}\n", "é😀".repeat(PIECE));
        let marked = format!("\u{feff}{long}");
        for bytes in [
            long.clone().into_bytes(),
            marked.clone().into_bytes(),
            utf_16(&marked, u16::to_le_bytes),
            utf_16(&marked, u16::to_be_bytes),
        ] {
            let lines = lines(bytes).await.expect("text");
            assert!(lines[0] == "a\r\n" && lines[1] == long[3..] && lines.len() == 2);
        }
        assert_eq!(lines(Vec::new()).await.expect("text"), [""; 0]);
        assert_eq!(lines(b"a".to_vec()).await.expect("text"), ["a"]);
    }

    #[tokio::test]
    async fn a_pipe_may_bring_a_byte_at_a_time() {
        for bytes in ["\u{feff}aé\nb".as_bytes().to_vec(), utf_16("\u{feff}aé\nb", u16::to_be_bytes)] {
            let (reader, mut writer) = tokio::io::duplex(1);
            let write =
                tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut writer, &bytes).await });
            assert_eq!(lines_of(Box::new(reader)).await.expect("text"), ["aé\n", "b"]);
            write.await.expect("no panic").expect("all was read");
        }
    }

    #[tokio::test]
    async fn half_a_character_names_its_line() {
        let mut bytes = utf_16("\u{feff}a\nb\n", u16::to_le_bytes);
        bytes.extend([0x3d, 0xd8, b'c', 0]);
        let wrong = lines(bytes).await.expect_err("half a pair");
        assert_eq!(wrong.to_string(), "line 3: half a character of UTF-16; was the file cut?");
        let wrong = lines(b"\xff\xfea\0\n\0b".to_vec()).await.expect_err("half a unit");
        assert!(wrong.to_string().starts_with("line 2: "), "{wrong}");
    }

    #[tokio::test]
    async fn what_is_packed_says_how_it_is_unpacked() {
        for (bytes, says) in [
            (&b"\x1f\x8b\x08"[..], "line 1: the file is compressed; unpack it first: `gzip"),
            (b"\x28\xb5\x2f\xfd", "line 1: the file is compressed; unpack it first: `zstd"),
            (b"PK\x03\x04", "line 1: the file is a ZIP archive or a spreadsheet"),
        ] {
            let wrong = lines(bytes.to_vec()).await.expect_err(says).to_string();
            assert!(wrong.starts_with(says), "{wrong}");
        }
        assert_eq!(lines(b"PK".to_vec()).await.expect("text"), ["PK"]);
    }

    #[tokio::test]
    async fn a_line_without_an_end_has_a_bound() {
        let mut text = Text::new(Box::new(tokio::io::repeat(b'x')));
        let wrong = text.read_line().await.expect_err("too long");
        assert_eq!(wrong.to_string(), "line 1: it is longer than 67108864 bytes");
    }
}
