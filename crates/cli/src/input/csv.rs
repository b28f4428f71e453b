//! A table with a header (RFC 4180): each row becomes an object with a member for each column.
//!
//! It is stricter than most readers of CSV. Otherwise a quote that is never closed would turn the rest of the file into one
//! prompt, which would be paid for.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    record::{Kind, Place, Record, Wrong, utf_8},
    text::{self, Text},
};

/// A table whose header has been read.
pub(super) struct Table {
    columns: Vec<String>,
}

impl Table {
    /// Reads the header. It must have the column `prompt`, if one is given. `None`: the file is empty.
    pub(super) async fn open(text: &mut Text, prompt: Option<&str>) -> Result<Option<Self>, Wrong> {
        let Some((place, cells)) = row(text).await? else { return Ok(None) };
        let columns: Vec<_> = cells?.into_iter().map(|name| name.trim().to_owned()).collect();
        let mut names = BTreeSet::new();
        if let Some(name) = columns.iter().find(|name| !name.is_empty() && !names.insert(name.as_str())) {
            return Err(Wrong::at(place, format!("the header has two columns called {name:?}")));
        }
        match prompt {
            Some(prompt) if !columns.iter().any(|name| name == prompt) => {
                let there = columns.join("`, `");
                let why = format!(
                    "there is no column {prompt:?}, the columns are `{there}`; name the column of the prompt with `--column`, or give a `--template` with names of columns in braces"
                );
                Err(Wrong::at(place, why))
            }
            _ => Ok(Some(Self { columns })),
        }
    }

    /// The next row that is not blank.
    pub(super) async fn next(&mut self, text: &mut Text) -> Result<Option<Result<Record, Wrong>>, Wrong> {
        loop {
            let Some((place, cells)) = row(text).await? else { return Ok(None) };
            match cells {
                Ok(cells) if cells.len() == 1 && cells[0].trim().is_empty() => {}
                cells => return Ok(Some(cells.and_then(|cells| self.record(place, cells)))),
            }
        }
    }

    fn record(&self, place: Place, cells: Vec<String>) -> Result<Record, Wrong> {
        let (have, want) = (cells.len(), self.columns.len());
        if have != want {
            let why = format!(
                "it has {have} cells, and the header has {want}; put quotes around a cell with a comma in it"
            );
            return Err(Wrong::at(place, why));
        }
        let members = self.columns.iter().cloned().zip(cells).filter(|(name, cell)| match name.as_str() {
            "" => false,
            // Like any line without an id, this one gets an id that is made.
            "id" | "custom_id" => !cell.is_empty(),
            _ => true,
        });
        let members: Map<_, _> = members.map(|(name, cell)| (name, Value::String(cell))).collect();
        Ok(Record { place, text: Value::Object(members).to_string(), kind: Kind::Row })
    }
}

type Cells = Result<Vec<String>, Wrong>;

/// The cells of a row. A quoted cell can have line breaks.
async fn row(text: &mut Text) -> Result<Option<(Place, Cells)>, Wrong> {
    let place = Place::line(text.line());
    let mut row = Vec::new();
    let mut quotes = Quotes::default();
    loop {
        let line = text.read_line().await?;
        if line.is_empty() {
            break;
        }
        text::push(&mut row, &line, place.line)?;
        quotes.read(&line);
        if !quotes.open {
            break;
        }
    }
    if row.is_empty() {
        return Ok(None);
    }
    let cells = utf_8(place, row).and_then(|row| cells(row.trim_end_matches(['\n', '\r']), place));
    Ok(Some((place, cells)))
}

/// Whether a quoted cell is open at the end of what was read.
#[derive(Default)]
struct Quotes {
    open: bool,
    /// The text before is part of an unquoted cell. A quote in such a cell has no special meaning.
    in_cell: bool,
}

impl Quotes {
    fn read(&mut self, line: &[u8]) {
        for byte in line {
            match byte {
                b'"' if !self.in_cell => self.open = !self.open,
                _ if self.open => {}
                b',' | b'\n' => self.in_cell = false,
                _ => self.in_cell = true,
            }
        }
    }
}

fn cells(row: &str, place: Place) -> Cells {
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (cell, more) = rest.split_once(',').map_or((rest, None), |(cell, more)| (cell, Some(more)));
            cells.push(cell.to_owned());
            match more {
                Some(more) => rest = more,
                None => return Ok(cells),
            }
            continue;
        };
        let (cell, more) = closing(quoted)
            .ok_or_else(|| Wrong::at(place, "a quote is opened in this row and never closed"))?;
        cells.push(cell.replace("\"\"", "\""));
        match more.strip_prefix(',') {
            Some(more) => rest = more,
            None if more.is_empty() => return Ok(cells),
            None => {
                let why = format!(
                    "cell {} goes on after its closing quote; inside a quoted cell, write a quote twice",
                    cells.len()
                );
                return Err(Wrong::at(place, why));
            }
        }
    }
}

/// A quoted cell up to its closing quote, and the text after that quote.
fn closing(text: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('"')?;
        if text[at + 1..].starts_with('"') {
            from = at + 2;
        } else {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
}
