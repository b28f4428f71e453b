//! Chunks of a chat that bring nothing but text. Nearly all chunks differ from the one before in one string alone. Such a
//! chunk is read in place: everything else is compared byte by byte, and only the string is taken.

use super::chat::REASONING;
use crate::json::{JsonError, Scanner, Text};

/// The fields of the last chunk that was read in full, without the string.
#[derive(Default)]
pub(super) struct Plain {
    /// The choice of that chunk. `None`: there is nothing to compare with.
    index: Option<u64>,
    top: Fields,
    choice: Fields,
    delta: Fields,
    /// How many chunks in a row were kept and were of no use.
    in_vain: u8,
}

/// What a plain chunk brings.
pub(super) struct Piece<'a> {
    pub(super) index: u64,
    /// The field of the delta that grows.
    pub(super) field: &'static str,
    pub(super) text: Text<'a>,
}

/// OpenAI's padding. It differs in each chunk and means nothing ("Streaming events" in its API reference).
pub(super) const PADDING: &str = "obfuscation";
/// Fields whose value matters in each chunk, unless it is null.
const TOLD_ANEW: [&[u8]; 6] = [b"usage", b"x_groq", b"text", b"message", b"logprobs", b"finish_reason"];
/// After so many chunks in a row that were kept in vain, the stream is taken to have no plain chunks.
const TRIES: u8 = 8;

impl Plain {
    /// The piece in this chunk. `None`: the chunk is not a plain one, and has to be read in full.
    pub(super) fn read<'a>(&mut self, chunk: &'a [u8]) -> Option<Piece<'a>> {
        self.index?;
        let mut piece = None;
        let mut scanner = Scanner::new(chunk);
        scanner.peek();
        let read = scanner.object(|scanner, name| match name {
            b"choices" if piece.is_none() && scanner.peek() == b'[' => scanner.array(|scanner| {
                if piece.is_some() || scanner.peek() != b'{' {
                    return Err(JsonError);
                }
                piece = Some(self.choice(scanner)?);
                Ok(())
            }),
            _ if name == PADDING.as_bytes() => scanner.skip(),
            _ => self.top.expect(scanner, name),
        });
        read.and_then(|()| scanner.end()).ok()?;
        self.in_vain = 0;
        piece
    }

    fn choice<'a>(&self, scanner: &mut Scanner<'a>) -> Result<Piece<'a>, JsonError> {
        let mut index = None;
        let mut piece: Option<(&'static str, Text<'a>)> = None;
        scanner.object(|scanner, name| match name {
            b"index" => {
                index = scanner.u64_or_skip()?;
                Ok(())
            }
            b"delta" if piece.is_none() && scanner.peek() == b'{' => {
                scanner.object(|scanner, name| match growing(name).filter(|_| scanner.peek() == b'"') {
                    Some(_) if piece.is_some() => Err(JsonError),
                    Some(field) => {
                        piece = Some((field, scanner.string()?));
                        Ok(())
                    }
                    None => self.delta.expect(scanner, name),
                })
            }
            _ => self.choice.expect(scanner, name),
        })?;
        let (field, text) = piece.filter(|(_, text)| !text.raw.is_empty()).ok_or(JsonError)?;
        let index = index.filter(|_| index == self.index).ok_or(JsonError)?;
        Ok(Piece { index, field, text })
    }

    /// Keeps a chunk that was read in full, if it has one choice.
    pub(super) fn learn(&mut self, chunk: &[u8]) {
        self.top.clear();
        self.choice.clear();
        self.delta.clear();
        self.index = None;
        if self.in_vain < TRIES {
            self.in_vain += 1;
            self.index = self.keep(chunk);
        }
    }

    fn keep(&mut self, chunk: &[u8]) -> Option<u64> {
        let mut index = None;
        let mut choices = 0;
        let mut scanner = Scanner::new(chunk);
        scanner.peek();
        let read = scanner.object(|scanner, name| match name {
            b"choices" if scanner.peek() == b'[' => scanner.array(|scanner| {
                choices += 1;
                if scanner.peek() != b'{' {
                    return Err(JsonError);
                }
                scanner.object(|scanner, name| match name {
                    b"index" => {
                        index = scanner.u64_or_skip()?;
                        Ok(())
                    }
                    b"delta" if scanner.peek() == b'{' => scanner.object(|scanner, name| {
                        let stays = scanner.peek() == b'n' || name == b"role";
                        self.delta.put(scanner, name, stays)
                    }),
                    _ => {
                        let stays = scanner.peek() == b'n' || !TOLD_ANEW.contains(&name);
                        self.choice.put(scanner, name, stays)
                    }
                })
            }),
            _ if name == PADDING.as_bytes() => scanner.skip(),
            _ => {
                let stays = scanner.peek() == b'n' || !TOLD_ANEW.contains(&name);
                self.top.put(scanner, name, stays)
            }
        });
        read.ok()?;
        index.filter(|_| choices == 1)
    }
}

fn growing(name: &[u8]) -> Option<&'static str> {
    ["content"].iter().chain(REASONING).copied().find(|field| field.as_bytes() == name)
}

/// Fields as they stand in JSON, one behind the other: the lengths of name and value, and their bytes.
#[derive(Default)]
struct Fields {
    lengths: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Fields {
    fn clear(&mut self) {
        self.lengths.clear();
        self.bytes.clear();
    }

    /// Passes over a field, and adds it if its value does not change. A field that is there twice is not added.
    fn put(&mut self, scanner: &mut Scanner<'_>, name: &[u8], stays: bool) -> Result<(), JsonError> {
        let start = scanner.at();
        scanner.skip()?;
        if stays {
            if self.iter().any(|(of, _)| of == name) {
                return Err(JsonError);
            }
            let value = scanner.since(start);
            self.lengths.push((name.len(), value.len()));
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(value);
        }
        Ok(())
    }

    /// Passes over a field that has not changed.
    fn expect(&self, scanner: &mut Scanner<'_>, name: &[u8]) -> Result<(), JsonError> {
        let start = scanner.at();
        scanner.skip()?;
        let value = scanner.since(start);
        if self.iter().any(|(of, was)| of == name && was == value) { Ok(()) } else { Err(JsonError) }
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.bytes[..];
        self.lengths.iter().map(move |&(name, value)| {
            let (field, behind) = rest.split_at(name + value);
            rest = behind;
            field.split_at(name)
        })
    }
}
