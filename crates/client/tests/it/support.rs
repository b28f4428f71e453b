//! Small servers for tests. Those in memory run under the paused clock; those on sockets are for behaviour that needs
//! sockets.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use outbound_client::{Client, ClientBuilder, Origin};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a server saw.
#[derive(Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    pub(crate) requests: Mutex<Vec<Request>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) connection: usize,
}

impl Seen {
    /// Counts one more connection. Returns how many there were before.
    pub(crate) fn connect(&self) -> usize {
        self.connections.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Request {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A client whose connections are pipes. Each pipe is given, with its number, to a server of its own.
pub(crate) fn in_memory<F, Fut>(server: F) -> (ClientBuilder, Arc<Seen>)
where
    F: Fn(usize, DuplexStream, Arc<Seen>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let seen = Arc::<Seen>::default();
    let on_connect = seen.clone();
    let builder = Client::builder().base_url("http://api.test/v1").connector(move |_: &Origin| {
        let (near, far) = tokio::io::duplex(64 << 10);
        let number = on_connect.connect();
        tokio::spawn(server(number, far, on_connect.clone()));
        async { Ok::<_, io::Error>(near) }
    });
    (builder, seen)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) async fn get(client: &Client) -> String {
    client.get("/x").send().await.unwrap().text().await.unwrap()
}

/// A server that answers [`OK`], and how many connections to it are open.
pub(crate) fn counting_open() -> (ClientBuilder, Arc<AtomicUsize>) {
    let open = Arc::new(AtomicUsize::new(0));
    let counted = open.clone();
    let (builder, _) = in_memory(move |number, mut pipe, _| {
        let open = counted.clone();
        async move {
            open.fetch_add(1, Ordering::SeqCst);
            while read_request(&mut pipe, number).await.is_some() {
                write(&mut pipe, OK).await;
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }
    });
    (builder, open)
}

/// A client whose server answers each request with `answer`, as long as the connection is open.
pub(crate) fn answering<F>(answer: F) -> (ClientBuilder, Arc<Seen>)
where
    F: Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    in_memory(move |number, mut pipe, seen| {
        let answer = answer.clone();
        async move {
            while let Some(request) = read_request(&mut pipe, number).await {
                let reply = answer(&request);
                seen.requests.lock().unwrap().push(request);
                if pipe.write_all(&reply).await.is_err() {
                    return;
                }
            }
        }
    })
}

/// A server on a socket. Its connections end with it.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

pub(crate) async fn on_socket<F, Fut>(server: F) -> Server
where
    F: Fn(usize, TcpStream, Arc<Seen>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::<Seen>::default();
    let on_accept = seen.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let number = on_accept.connect();
            connections.spawn(server(number, stream, on_accept.clone()));
        }
    });
    Server { url, seen, _tasks: tasks }
}

/// Reads a request with a length or without a body. `None` at the end of the connection.
pub(crate) async fn read_request<S: AsyncRead + Unpin>(stream: &mut S, connection: usize) -> Option<Request> {
    let head = read_head(stream).await?;
    let mut request = Request { head, body: Vec::new(), connection };
    if let Some(length) = request.header("content-length").map(|value| value.parse().unwrap()) {
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body).await.ok()?;
    } else if request.header("transfer-encoding").is_some() {
        while !request.body.ends_with(b"0\r\n\r\n") {
            request.body.push(stream.read_u8().await.ok()?);
        }
    }
    Some(request)
}

pub(crate) async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Keeps a connection open and sends nothing, until the other side closes it.
pub(crate) async fn silence<S: AsyncRead + Unpin>(mut stream: S) {
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

pub(crate) async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: impl AsRef<[u8]>) {
    let _ = stream.write_all(bytes.as_ref()).await;
}

/// Lets all tasks run until none has anything to do. Needs the current-thread runtime.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn with_length(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An HTTP/2 server on any transport, with a task for each stream.
pub(crate) async fn serve_http2<S, F, Fut>(io: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(http::Request<h2::RecvStream>, h2::server::SendResponse<bytes::Bytes>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(answer(request, respond));
    }
}

/// Random numbers below a bound, by `SplitMix64`.
pub(crate) fn draws(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}
