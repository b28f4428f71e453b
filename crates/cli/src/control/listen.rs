//! The side of the run.

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

/// The longest request.
const LONGEST: usize = 64 << 10;

/// How long a request may take to come, and a reply to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many connections are served at once. Others wait in the system's queue.
const AT_ONCE: usize = 128;

/// The socket of a run. It goes with this.
pub(crate) struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Listens beside an output whose lock and state this process holds, so that a socket that is there already is one that
    /// a crash has left.
    pub(crate) fn listen(output: &Path, run: Controlled) -> Result<Self, String> {
        let path = State::folder_of(output).join(NAME);
        let listener = listener(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, task: tokio::spawn(accept(listener, run)) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // One that stays is replaced by the next run.
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
    // They end with this task.
    let mut clients = JoinSet::new();
    loop {
        while clients.len() >= AT_ONCE {
            clients.join_next().await;
        }
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => drop(clients.spawn(serve(stream, run.clone()))),
            // Too many files are open. Some will be closed.
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Answers line after line. A client that goes wrong is told so, and left.
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
            // The client left in the middle of it.
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
