//! JSON that a strict parser refuses, as a value.

use serde_json::{Map, Number, Value};

use super::{JsonError, Scanner};

/// Values nested deeper stay text, because code that walks a [`Value`] recurses.
const DEEPEST: usize = 128;

/// The value of a body that a strict parser may refuse and a reader understands.
///
/// It reads what `serde_json` reads. Beyond that it reads a byte order mark, `NaN` and the infinities (as null), numbers
/// too large for an `f64` (as null), halves of surrogate pairs and invalid UTF-8 in strings (as U+FFFD), raw control
/// characters in strings, and any depth (a value nested more than 128 deep is a string that holds its text). It gives
/// `None` for what is no JSON at all: cut, empty, a page of markup, or followed by something else.
///
/// ```
/// let body = b"\xEF\xBB\xBF{\"text\":\"half \\ud83d\",\"logprob\":-Infinity}";
/// let value = outbound_provider::lenient_json(body).unwrap();
/// assert_eq!(value["text"], "half \u{FFFD}");
/// assert!(value["logprob"].is_null());
/// assert_eq!(outbound_provider::lenient_json(b"{\"text\":\"cut"), None);
/// ```
pub fn lenient_json(bytes: &[u8]) -> Option<Value> {
    let mut scanner = Scanner::new(bytes);
    let value = read(&mut scanner, DEEPEST).ok()?;
    scanner.end().ok()?;
    Some(value)
}

fn read(scanner: &mut Scanner<'_>, depth: usize) -> Result<Value, JsonError> {
    match scanner.peek() {
        b'"' => Ok(Value::String(scanner.string()?.decode().into_owned())),
        b'{' | b'[' if depth == 0 => {
            let start = scanner.at();
            scanner.skip()?;
            Ok(Value::String(String::from_utf8_lossy(scanner.since(start)).into_owned()))
        }
        b'{' => {
            let mut fields = Map::new();
            scanner.object(|scanner, name| {
                let name = super::Text { raw: name, escaped: name.contains(&b'\\') }.decode();
                fields.insert(name.into_owned(), read(scanner, depth - 1)?);
                Ok(())
            })?;
            Ok(Value::Object(fields))
        }
        b'[' => {
            let mut items = Vec::new();
            scanner.array(|scanner| {
                items.push(read(scanner, depth - 1)?);
                Ok(())
            })?;
            Ok(Value::Array(items))
        }
        _ => Ok(match scanner.scalar()? {
            b"true" => Value::Bool(true),
            b"false" => Value::Bool(false),
            number => number_of(number).map_or(Value::Null, Value::Number),
        }),
    }
}

/// `None` for null, NaN and infinities.
fn number_of(text: &[u8]) -> Option<Number> {
    serde_json::from_slice(text).ok().or_else(|| {
        let number: f64 = str::from_utf8(text).ok()?.parse().ok()?;
        Number::from_f64(number)
    })
}
