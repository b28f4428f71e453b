//! What the command says on standard error. It is advice: nobody has to read it, and nothing waits for it or fails by it.

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

/// So many lines may wait for a reader who is slow. What is said beyond them is lost.
const WAITING: usize = 64;

/// How long the last lines are waited for at the end.
const AT_THE_END: Duration = Duration::from_secs(1);

/// Whether whoever reads this reads JSON, an object a line.
static IN_JSON: AtomicBool = AtomicBool::new(false);

/// Whether lines for the screen are still to be shown. No others are kept meanwhile: they would be old.
static TO_BE_SHOWN: AtomicBool = AtomicBool::new(false);

enum Said {
    Line(String),
    /// What the terminal shows at its bottom from now on.
    Screen(Vec<String>),
    /// Told when everything before it has been written.
    Flush(SyncSender<()>),
}

/// Says a line. Standard error may be closed, full or stopped.
pub(crate) fn line(text: impl Display) {
    let text = text.to_string();
    if IN_JSON.load(Ordering::Relaxed) {
        return raw(serde_json::json!({"event": "message", "text": text}).to_string());
    }
    raw(text);
}

/// Says a line as it is, but for keys.
pub(crate) fn raw(line: String) {
    // With nobody to write it, it is lost.
    let _ = writer().try_send(Said::Line(hidden(line)));
}

/// From now on each line is an object of JSON, or is not.
pub(crate) fn in_json(json: bool) {
    IN_JSON.store(json, Ordering::Relaxed);
}

/// Shows lines at the bottom of the terminal, in place of those before.
pub(crate) fn show(lines: Vec<String>) {
    if !TO_BE_SHOWN.swap(true, Ordering::Relaxed) && writer().try_send(Said::Screen(lines)).is_err() {
        TO_BE_SHOWN.store(false, Ordering::Relaxed);
    }
}

/// Takes those lines off the terminal.
pub(crate) fn clear() {
    let _ = writer().try_send(Said::Screen(Vec::new()));
}

/// Waits until all that was said is written, but not long.
pub(crate) fn flush() {
    let (done, written) = mpsc::sync_channel(1);
    if writer().try_send(Said::Flush(done)).is_ok() {
        let _ = written.recv_timeout(AT_THE_END);
    }
}

/// The thread that writes: a write that blocks holds up nothing else.
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
