//! The server of the control socket, inside the run.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixSocket, UnixStream},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{Controlled, NAME, refused};
use crate::state::State;

/// The longest request, in bytes.
const LONGEST: usize = 64 << 10;

/// The longest time for a request to arrive, and for a reply to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// At most this many connections are served at once. Others wait in the queue of the system.
const AT_ONCE: usize = 128;

/// The socket of a run. Dropping this removes it.
pub(crate) struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Listens beside an output. This process must hold its lock and its state, so that an old socket can only be left from a
    /// crash.
    pub(crate) fn listen(output: &Path, run: Controlled) -> Result<Self, String> {
        let path = State::folder_of(output).join(NAME);
        let listener = listener(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, task: tokio::spawn(accept(listener, run)) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // If the file cannot be removed, the next run replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

fn listener(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Nobody can connect to a socket that does not listen yet.
    let only_the_owner = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    let listener = only_the_owner.and_then(|()| socket.listen(AT_ONCE as u32));
    listener.inspect_err(|_| drop(fs::remove_file(path)))
}

async fn accept(listener: UnixListener, run: Controlled) {
    // The tasks of the set end with this task.
    let mut clients = JoinSet::new();
    loop {
        while clients.len() >= AT_ONCE {
            clients.join_next().await;
        }
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => drop(clients.spawn(serve(stream, run.clone()))),
            // Most likely too many files are open. That may change.
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Answers one line after the other. A line that is too long gets an error, and the connection is closed.
async fn serve(stream: UnixStream, run: Controlled) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(LONGEST as u64 + 1);
        let Ok(Ok(1..)) = timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await else { return };
        let is_too_long = line.len() > LONGEST;
        let (reply, drains) = if is_too_long {
            (refused(&format!("a request has at most {LONGEST} bytes")), false)
        } else if line.ends_with(b"\n") {
            run.answer(&line)
        } else {
            // The client closed the connection inside a line.
            return;
        };
        let mut reply = serde_json::to_vec(&reply).unwrap_or_default();
        reply.push(b'\n');
        let written = timeout(PATIENCE, writer.write_all(&reply)).await;
        if drains {
            run.interrupt.ask();
        }
        if is_too_long || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}
