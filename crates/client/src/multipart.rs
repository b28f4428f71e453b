//! Bodies of the type `multipart/form-data`.

use std::{collections::VecDeque, fmt, fmt::Write, io, path::Path};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderValue;
use rand::RngExt;

use crate::{
    body::{Body, Segment},
    error::BoxError,
    file::FileContent,
};

/// A `multipart/form-data` body (RFC 7578): fields and files, each after a boundary.
///
/// Its length is known if the length of each of its streams is known. If not, it is sent in chunks.
///
/// ```
/// use outbound_client::{Multipart, Part};
///
/// let upload = Multipart::new()
///     .text("purpose", "batch")
///     .part("file", Part::bytes(&b"{}\n"[..]).file_name("input.jsonl").content_type("application/jsonl"));
/// ```
pub struct Multipart {
    boundary: String,
    segments: VecDeque<Segment>,
    length: Option<u64>,
}

/// The content of one part, and its headers.
pub struct Part {
    content: Segment,
    length: Option<u64>,
    file_name: Option<String>,
    content_type: Option<String>,
}

impl Multipart {
    /// A body without parts. Its boundary is drawn from a cryptographic random generator, so that nobody can write a
    /// content that contains it.
    pub fn new() -> Self {
        let mut boundary = String::with_capacity(32);
        let _ = write!(boundary, "{:032x}", rand::rng().random::<u128>());
        Self { boundary, segments: VecDeque::new(), length: Some(0) }
    }

    /// Adds a field of text.
    pub fn text(self, name: &str, value: impl Into<String>) -> Self {
        self.part(name, Part::bytes(value.into()))
    }

    /// Adds a part. Quotes and control characters in its names are percent-encoded, as browsers do.
    pub fn part(mut self, name: &str, part: Part) -> Self {
        let mut head =
            format!("--{}\r\nContent-Disposition: form-data; name=\"{}\"", self.boundary, Escaped(name));
        if let Some(file_name) = &part.file_name {
            let _ = write!(head, "; filename=\"{}\"", Escaped(file_name));
        }
        if let Some(content_type) = &part.content_type {
            let _ = write!(head, "\r\nContent-Type: {}", Escaped(content_type));
        }
        head.push_str("\r\n\r\n");
        let length = part.length.map(|length| head.len() as u64 + length + 2);
        self.length = self.length.zip(length).map(|(all, this)| all + this);
        self.segments.push_back(Segment::Bytes(head.into()));
        self.segments.push_back(part.content);
        self.segments.push_back(Segment::Bytes(Bytes::from_static(b"\r\n")));
        self
    }

    /// All of it in one piece, with its content type, which names the boundary. Such a body can be sent more than
    /// once. `None` if a part is a stream or a file.
    pub fn into_bytes(self) -> Option<(HeaderValue, Bytes)> {
        let (content_type, segments, _) = self.finish();
        let pieces = segments.iter().map(|segment| match segment {
            Segment::Bytes(bytes) => Some(&bytes[..]),
            Segment::Stream(_) => None,
        });
        let pieces: Vec<_> = pieces.collect::<Option<_>>()?;
        Some((content_type, pieces.concat().into()))
    }

    pub(crate) fn into_body(self) -> (HeaderValue, Body) {
        let (content_type, segments, length) = self.finish();
        (content_type, Body::segments(segments, length))
    }

    fn finish(mut self) -> (HeaderValue, VecDeque<Segment>, Option<u64>) {
        let end = format!("--{}--\r\n", self.boundary);
        let length = self.length.map(|length| length + end.len() as u64);
        self.segments.push_back(Segment::Bytes(end.into()));
        let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={}", self.boundary));
        // The boundary has hexadecimal digits only, which are valid in a header.
        let content_type = content_type.unwrap_or_else(|_| HeaderValue::from_static("multipart/form-data"));
        (content_type, self.segments, length)
    }
}

impl Default for Multipart {
    fn default() -> Self {
        Self::new()
    }
}

impl Part {
    /// Content that is in memory.
    pub fn bytes(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self { length: Some(content.len() as u64), ..Self::new(Segment::Bytes(content)) }
    }

    /// Content that is read while it is sent, with or without a known length.
    pub fn stream<S, E>(content: S, length: Option<u64>) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self { length, ..Self::new(Segment::stream(content)) }
    }

    /// The content of a file. The file is opened here and read while it is sent. Its length, the last part of its
    /// path as the file name, and the type `application/octet-stream` (RFC 7578, section 4.4) are set. See
    /// [`Body::file`](crate::Body::file).
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or is a folder.
    pub async fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let content = FileContent::open(path).await?;
        let length = content.length();
        let part = Self::stream(content, length).content_type("application/octet-stream");
        Ok(match path.file_name() {
            Some(name) => part.file_name(name.to_string_lossy()),
            None => part,
        })
    }

    /// The name of the file, without its folders.
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// The content's media type. None by default; receivers then assume `text/plain`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    fn new(content: Segment) -> Self {
        Self { content, length: None, file_name: None, content_type: None }
    }
}

/// A quoted name (WHATWG HTML, multipart/form-data encoding algorithm). All other control characters are encoded too.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '"' => f.write_str("%22")?,
                char if char.is_ascii_control() => write!(f, "%{:02X}", u32::from(char))?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart").field("length", &self.length).finish_non_exhaustive()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("length", &self.length)
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}
