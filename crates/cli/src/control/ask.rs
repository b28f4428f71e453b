//! The client of the control socket.

use std::{
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

use super::{NAME, Request};
use crate::state::State;

/// The longest wait for a reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest reply that is read.
const LONGEST: u64 = 1 << 20;

/// Sends a request to the run that is writing to an output. `None` if there is no such run.
pub(crate) async fn ask(output: &Path, request: &Request) -> Result<Option<Value>, String> {
    let path = State::folder_of(output).join(NAME);
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    match timeout(PATIENCE, asked(&path, request)).await {
        Ok(Ok(reply)) if reply.is_empty() => Ok(None),
        Ok(Ok(reply)) => serde_json::from_slice(&reply).map(Some).map_err(|error| wrong(&error)),
        // There is no socket, no process listens on it, or the run ended before it replied.
        Ok(Err(error)) if is_gone(&error) => Ok(None),
        Ok(Err(error)) => Err(wrong(&error)),
        Err(_) => Err(wrong(&"the run does not answer")),
    }
}

async fn asked(path: &Path, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut reply = Vec::new();
    BufReader::new(stream).take(LONGEST).read_until(b'\n', &mut reply).await?;
    Ok(reply)
}

fn is_gone(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotADirectory, NotFound};
    [BrokenPipe, ConnectionRefused, ConnectionReset, NotADirectory, NotFound].contains(&error.kind())
}
