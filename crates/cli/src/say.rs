//! What the command says on standard error. It is advice: nobody has to read it, and nothing waits for it or fails by it.

use std::{
    fmt::Display,
    io::{self, Write},
    sync::{
        OnceLock,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

/// So many lines may wait for a reader who is slow. What is said beyond them is lost.
const WAITING: usize = 64;

/// How long the last lines are waited for at the end.
const AT_THE_END: Duration = Duration::from_secs(1);

enum Said {
    Line(String),
    /// Told when everything before it has been written.
    Flush(SyncSender<()>),
}

/// Says a line. Standard error may be closed, full or stopped.
pub(crate) fn line(text: impl Display) {
    // With nobody to write it, it is lost.
    let _ = writer().try_send(Said::Line(text.to_string()));
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
    for said in lines {
        match said {
            Said::Line(line) => drop(writeln!(io::stderr(), "{line}")),
            Said::Flush(done) => drop(done.try_send(())),
        }
    }
}
