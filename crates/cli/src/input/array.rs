//! A file that is one JSON array. It is read element by element, so that only one element is in memory.

use super::{
    prompt::EXAMPLE,
    record::{Place, Wrong},
    text::{self, Text},
};

/// What comes next in an array.
#[derive(Debug)]
pub(super) enum Element {
    /// An element, with its line breaks replaced by spaces.
    Object(Place, Vec<u8>),
    /// The end of the array and of the file.
    End,
}

/// Reads the next element. `before` elements and the first bracket of the array have been read.
pub(super) async fn next(text: &mut Text, before: &mut u64) -> Result<Element, Wrong> {
    let wrong = |text: &Text, why: &str| Wrong::at(Place::line(text.line()), why);
    const CUT: &str = "the file ends inside the array; was it cut?";
    let mut first = text.skip_space().await?.ok_or_else(|| wrong(text, CUT))?;
    match first {
        b']' => {
            text.consume(1);
            return match text.skip_space().await? {
                None => Ok(Element::End),
                Some(_) => Err(wrong(text, "something follows the array, which must be the whole file")),
            };
        }
        b',' if *before > 0 => {
            text.consume(1);
            first = text.skip_space().await?.ok_or_else(|| wrong(text, CUT))?;
        }
        _ if *before > 0 => {
            return Err(wrong(text, &format!("after element {before} a `,` or `]` is missing")));
        }
        _ => {}
    }
    *before += 1;
    let place = Place { line: text.line(), element: Some(*before) };
    if first != b'{' {
        return Err(Wrong::at(place, format!("it is not an object\na right element: {EXAMPLE}")));
    }
    let mut scan = Scan::default();
    let mut object = Vec::new();
    loop {
        let bytes = text.fill().await?;
        if bytes.is_empty() {
            return Err(Wrong::at(place, CUT));
        }
        let end = bytes.iter().position(|byte| scan.ends_with(*byte));
        let taken = end.map_or(bytes.len(), |end| end + 1);
        text::push(&mut object, &bytes[..taken], place.line)?;
        text.consume(taken);
        if end.is_some() {
            break;
        }
    }
    on_one_line(&mut object);
    Ok(Element::Object(place, object))
}

/// Finds the end of an object: the brace that closes its first brace.
#[derive(Default)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    fn ends_with(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0 && !self.in_string
    }
}

/// Replaces line breaks by spaces. A line break inside a string is an error, which the parser reports.
fn on_one_line(object: &mut [u8]) {
    let mut scan = Scan::default();
    for byte in object {
        let in_string = scan.in_string;
        scan.ends_with(*byte);
        if !in_string && matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}
