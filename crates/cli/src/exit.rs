//! The exit codes of the process, and the errors that end it.

use std::{fmt, process::ExitCode};

/// An error that ends a command. Each kind has its own exit code.
#[derive(Debug)]
pub(crate) enum Stop {
    /// 2: the options contradict each other, or the environment lacks something.
    Usage(String),
    /// 3: the input is wrong; the message names the line.
    Input(String),
    /// 6: the output cannot be written.
    Output(String),
    /// 130: the user interrupted before anything was sent.
    Interrupted,
}

/// The exit codes of a run without such an error.
pub(crate) const ALL_SUCCEEDED: u8 = 0;
pub(crate) const SOME_FAILED: u8 = 1;
pub(crate) const REFUSED: u8 = 4;
/// It ended early and nothing failed; the same command goes on.
pub(crate) const RESUMABLE: u8 = 5;
pub(crate) const INTERRUPTED: u8 = 130;

impl Stop {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Input(_) => 3,
            Self::Output(_) => 6,
            Self::Interrupted => INTERRUPTED,
        })
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Input(message) | Self::Output(message) => f.write_str(message),
            Self::Interrupted => f.write_str("interrupted; nothing was sent"),
        }
    }
}
