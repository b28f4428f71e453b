//! Standard output, for the commands whose result is a text: `check`, `plan`, `status`, `ctl`, `completions`.

use std::{
    fmt::Display,
    io::{self, Write},
};

use crate::exit::Stop;

/// Writes a text, with a line end after it.
///
/// # Errors
///
/// Where it cannot be written whole, whatever the reason: the disk is full, or the reader of a pipe has gone. A command
/// whose result nobody has is not a success.
pub(crate) fn print(text: impl Display) -> Result<(), Stop> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.map_err(|error| Stop::Output(format!("standard output: {error}")))
}
