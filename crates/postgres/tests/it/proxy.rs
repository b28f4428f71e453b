//! A proxy before the database that cuts connections: before a request arrives, or after its reply was made.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Ends with its handle.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// How many connections were cut.
    pub(crate) cuts: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Cuts a connection after it has handed on so many pieces in one direction, a number that grows with each connection. Every
    /// second connection is cut with the reply in the proxy's hands.
    pub(crate) async fn new(database: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("is bound");
        let cuts = Arc::new(AtomicU64::new(0));
        let counted = cuts.clone();
        let task = tokio::spawn(async move {
            for number in 0_u64.. {
                let Ok((client, _)) = listener.accept().await else { return };
                let Ok(server) = TcpStream::connect(&database).await else { return };
                tokio::spawn(serve(client, server, number, counted.clone()));
            }
        });
        Self { address, cuts, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, server: TcpStream, number: u64, cuts: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // The first pieces are the greeting and the preparing of statements.
    let left = 12 + number % 17;
    let keeps_reply = number.is_multiple_of(2);
    let requests = async {
        let mut buffer = vec![0; 64 * 1024];
        for _ in 0..if keeps_reply { u64::MAX } else { left } {
            match from_client.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) if to_server.write_all(&buffer[..read]).await.is_err() => return,
                Ok(_) => {}
            }
        }
    };
    let replies = async {
        let mut buffer = vec![0; 64 * 1024];
        for piece in 0.. {
            match from_server.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                // The server has done it, and nobody hears of it.
                Ok(_) if keeps_reply && piece >= left => return,
                Ok(read) if to_client.write_all(&buffer[..read]).await.is_err() => return,
                Ok(_) => {}
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
    cuts.fetch_add(1, Ordering::Relaxed);
}
