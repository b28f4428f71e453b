//! Messages on standard error. A reader that is slow or gone holds up nothing and fails nothing: such messages are lost.

use std::{
    fmt::Display,
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use crate::{progress::Screen, secrets::hidden};

/// At most this many lines wait for a slow reader. Lines beyond them are lost.
const WAITING: usize = 64;

/// The longest wait for the last lines at the end of the process.
const AT_THE_END: Duration = Duration::from_secs(1);

/// Whether each line is a JSON object.
static IN_JSON: AtomicBool = AtomicBool::new(false);

/// Whether lines for the screen wait to be shown. While they wait, newer ones are dropped.
static TO_BE_SHOWN: AtomicBool = AtomicBool::new(false);

enum Said {
    Line(String),
    /// The lines at the bottom of the terminal from now on.
    Screen(Vec<String>),
    /// Sends a signal when everything before it is written.
    Flush(SyncSender<()>),
}

/// Prints a line. Standard error may be closed, full or not read.
pub(crate) fn line(text: impl Display) {
    let text = text.to_string();
    if IN_JSON.load(Ordering::Relaxed) {
        return raw(serde_json::json!({"event": "message", "text": text}).to_string());
    }
    raw(text);
}

/// Prints a line as it is, with keys replaced.
pub(crate) fn raw(line: String) {
    // If the writing thread is behind or could not start, the line is lost.
    let _ = writer().try_send(Said::Line(hidden(line)));
}

/// Sets whether each line is a JSON object from now on.
pub(crate) fn in_json(json: bool) {
    IN_JSON.store(json, Ordering::Relaxed);
}

/// Shows lines at the bottom of the terminal, in place of the lines shown before.
pub(crate) fn show(lines: Vec<String>) {
    if !TO_BE_SHOWN.swap(true, Ordering::Relaxed) && writer().try_send(Said::Screen(lines)).is_err() {
        TO_BE_SHOWN.store(false, Ordering::Relaxed);
    }
}

/// Removes those lines from the terminal.
pub(crate) fn clear() {
    let _ = writer().try_send(Said::Screen(Vec::new()));
}

/// Waits until everything is written, but at most [`AT_THE_END`].
pub(crate) fn flush() {
    let (done, written) = mpsc::sync_channel(1);
    if writer().try_send(Said::Flush(done)).is_ok() {
        let _ = written.recv_timeout(AT_THE_END);
    }
}

/// Where a thread of its own takes the lines to write. A write that blocks holds up only that thread.
fn writer() -> &'static SyncSender<Said> {
    static WRITER: OnceLock<SyncSender<Said>> = OnceLock::new();
    WRITER.get_or_init(|| {
        let (sender, lines) = mpsc::sync_channel(WAITING);
        let _ = thread::Builder::new().name(String::from("stderr")).spawn(move || write(&lines));
        sender
    })
}

fn write(lines: &Receiver<Said>) {
    let mut screen = Screen::default();
    let mut shown = Vec::new();
    for said in lines {
        match said {
            Said::Line(line) => {
                if !shown.is_empty() {
                    screen.show(&[]);
                }
                drop(writeln!(io::stderr(), "{line}"));
                if !shown.is_empty() {
                    screen.show(&shown);
                }
            }
            Said::Screen(lines) => {
                shown = lines;
                screen.show(&shown);
                TO_BE_SHOWN.store(false, Ordering::Relaxed);
            }
            Said::Flush(done) => drop(done.try_send(())),
        }
    }
}
