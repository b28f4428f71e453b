//! How many tokens a request takes, as far as its text tells.

use crate::json::{JsonError, Scanner};

/// Tokens that a message costs besides its content: role and delimiters.
const PER_MESSAGE: u64 = 4;
/// An image or a file. Its tokens depend on its size in pixels, which is not known here. This is about a megapixel.
const PER_MEDIA: u64 = 1_000;
/// Values nested deeper count nothing. Recursion has to end, and no provider accepts such values.
const DEEPEST: usize = 128;

/// What a request will cost, guessed without a tokenizer.
///
/// Text counts by the length of each character in UTF-8: one byte is a quarter of a token (English has about
/// four letters a token, and OpenAI's own admission counts so), two bytes a half (Cyrillic, Greek, accents),
/// three a whole (Chinese, Japanese, Korean), four two (emoji). Each message costs 4 more, an image or file
/// 1,000, a token given as a number 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Estimate {
    /// Tokens of messages, system prompt, tools and schemas, rounded up.
    pub input: u64,
    /// The most that can be written: the request's own maximum, or 1,024 where it names none, times the
    /// number of answers asked for. Embeddings write nothing.
    pub output: u64,
    /// Whether the request names its maximum. If not, `output` is a guess. No request should be called impossible because
    /// of a guess.
    pub output_stated: bool,
}

/// How many quarters of a token the next value takes. `names` says whether the names of fields count as text too, as they
/// do in a schema.
pub(crate) fn quarters(scanner: &mut Scanner<'_>, names: bool) -> Result<u64, JsonError> {
    Ok(weigh(scanner, names, DEEPEST)?.0)
}

/// What the `type` of an object says about it.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The object holds data, mostly base64, which must not be counted as text.
    Media,
    /// Media, unless its source is text.
    Document,
    /// A source that is text.
    Text,
    Other,
}

fn weigh(scanner: &mut Scanner<'_>, names: bool, depth: usize) -> Result<(u64, Kind), JsonError> {
    let Some(depth) = depth.checked_sub(1) else {
        scanner.skip()?;
        return Ok((0, Kind::Other));
    };
    let quarters = match scanner.peek() {
        b'"' => scanner.string()?.quarters(),
        b'{' => return object(scanner, names, depth),
        b'[' => {
            let mut sum = 0u64;
            scanner.array(|scanner| {
                sum = sum.saturating_add(weigh(scanner, names, depth)?.0);
                Ok(())
            })?;
            sum
        }
        b'n' => {
            scanner.skip()?;
            0
        }
        _ => {
            scanner.skip()?;
            4
        }
    };
    Ok((quarters, Kind::Other))
}

fn object(scanner: &mut Scanner<'_>, names: bool, depth: usize) -> Result<(u64, Kind), JsonError> {
    let mut sum = 0u64;
    let mut kind = Kind::Other;
    let mut source = Kind::Other;
    scanner.object(|scanner, name| {
        match name {
            b"role" => sum = sum.saturating_add(4 * PER_MESSAGE),
            b"type" if !names => {
                if let Some(text) = scanner.text_or_skip()? {
                    kind = kind_of(text.raw);
                }
                return Ok(());
            }
            _ => {}
        }
        if !names && is_media(name) {
            scanner.skip()?;
            sum = sum.saturating_add(4 * PER_MEDIA);
            return Ok(());
        }
        if !names && name == b"images" && scanner.peek() == b'[' {
            return scanner.array(|scanner| {
                sum = sum.saturating_add(4 * PER_MEDIA);
                scanner.skip()
            });
        }
        if names {
            sum = sum.saturating_add(text_quarters(name));
        } else if is_structure(name) {
            return scanner.skip();
        }
        // The arguments of a tool may have any shape, and the names in them are text.
        let (inner, of) = weigh(scanner, names || name == b"input", depth)?;
        if name == b"source" {
            source = of;
        }
        sum = sum.saturating_add(inner);
        Ok(())
    })?;
    if kind == Kind::Media || (kind == Kind::Document && source != Kind::Text) {
        sum = 4 * PER_MEDIA;
    }
    Ok((sum, kind))
}

fn text_quarters(raw: &[u8]) -> u64 {
    crate::json::Text { raw, escaped: raw.contains(&b'\\') }.quarters()
}

fn kind_of(name: &[u8]) -> Kind {
    match name {
        b"image_url" | b"input_image" | b"image" | b"input_audio" | b"file" | b"input_file"
        | b"video_url" => Kind::Media,
        b"document" => Kind::Document,
        b"text" | b"content" => Kind::Text,
        _ => Kind::Other,
    }
}

/// Fields of Gemini's parts that hold media. Ollama has `images`, a list of them.
fn is_media(name: &[u8]) -> bool {
    matches!(name, b"inlineData" | b"inline_data" | b"fileData" | b"file_data")
}

/// Fields whose values the model does not read as text.
fn is_structure(name: &[u8]) -> bool {
    matches!(
        name,
        b"role"
            | b"type"
            | b"id"
            | b"tool_call_id"
            | b"tool_use_id"
            | b"call_id"
            | b"cache_control"
            | b"status"
    )
}
