//! The records of an input, each as one JSON object on one line: a line of JSON, an element of an array, a line of plain text,
//! or a row of CSV.

use std::{fmt, sync::Arc};

use super::{
    Reading,
    array::{self, Element},
    csv::Table,
    text::Text,
};
use crate::args::input::Format;

/// The part of the input that makes one request.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) place: Place,
    pub(super) text: String,
    /// The form that it has in the input.
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Plain,
    Row,
}

/// The position of a record in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    /// Only in an array: the number of the element, counted from 1.
    pub(crate) element: Option<u64>,
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Wrong {
    place: Place,
    why: String,
}

/// The records, one at a time. Blank lines are skipped.
pub(super) struct Records {
    text: Text,
    reading: Arc<Reading>,
    state: State,
}

enum State {
    Start,
    /// Lines of JSON.
    Lines,
    /// An array, of which this many elements have been read.
    Array(u64),
    Plain,
    Rows(Table),
    Ended,
}

impl Records {
    pub(super) fn new(text: Text, reading: Arc<Reading>) -> Self {
        Self { text, reading, state: State::Start }
    }

    /// The next record, or what is wrong with it. Where the next record cannot be found after an error, this ends.
    pub(super) async fn next(&mut self) -> Option<Result<Record, Wrong>> {
        match self.read().await {
            Ok(Some(record)) => Some(record),
            Ok(None) => None,
            Err(wrong) => {
                self.state = State::Ended;
                Some(Err(wrong))
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Result<Record, Wrong>>, Wrong> {
        if matches!(self.state, State::Start) {
            self.state = self.start().await?;
        }
        match &mut self.state {
            State::Start | State::Ended => Ok(None),
            State::Lines => line(&mut self.text, Kind::Json).await,
            State::Plain => {
                let line = line(&mut self.text, Kind::Plain).await?;
                Ok(line.map(|line| line.and_then(|line| self.reading.prompt_of_line(line))))
            }
            State::Array(elements) => match array::next(&mut self.text, elements).await? {
                Element::Object(place, text) => {
                    Ok(Some(utf_8(place, text).map(|text| Record { place, text, kind: Kind::Json })))
                }
                Element::End => {
                    self.state = State::Ended;
                    Ok(None)
                }
            },
            State::Rows(table) => table.next(&mut self.text).await,
        }
    }

    async fn start(&mut self) -> Result<State, Wrong> {
        match self.reading.format {
            Format::Plain => Ok(State::Plain),
            Format::Csv => {
                let prompt = self.reading.needs_column().then_some(self.reading.column.as_str());
                Ok(Table::open(&mut self.text, prompt).await?.map_or(State::Ended, State::Rows))
            }
            Format::Json if self.text.skip_space().await? == Some(b'[') => {
                self.text.consume(1);
                Ok(State::Array(0))
            }
            Format::Json => Ok(State::Lines),
        }
    }
}

/// The next line that is not blank. From a line of JSON, white space around it is removed.
async fn line(text: &mut Text, kind: Kind) -> Result<Option<Result<Record, Wrong>>, Wrong> {
    loop {
        let place = Place::line(text.line());
        let line = text.read_line().await?;
        if line.is_empty() {
            return Ok(None);
        }
        if !line.trim_ascii().is_empty() {
            let line = if kind == Kind::Json { line.trim_ascii() } else { without_end(&line) };
            return Ok(Some(utf_8(place, line.to_vec()).map(|text| Record { place, text, kind })));
        }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Checks that bytes are UTF-8. Bytes in another encoding would be sent as another text.
pub(super) fn utf_8(place: Place, bytes: Vec<u8>) -> Result<String, Wrong> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        Wrong::at(
            place,
            format!(
                "byte {at} is not UTF-8; convert the file, for example with `iconv -f WINDOWS-1252 -t UTF-8 IN > OUT`"
            ),
        )
    })
}

impl Place {
    pub(super) fn line(line: u64) -> Self {
        Self { line, element: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.element {
            Some(element) => write!(f, "element {element} (line {})", self.line),
            None => write!(f, "line {}", self.line),
        }
    }
}

impl Wrong {
    pub(super) fn at(place: Place, why: impl fmt::Display) -> Self {
        Self { place, why: why.to_string() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}
