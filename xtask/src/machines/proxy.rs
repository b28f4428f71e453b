//! A proxy between the processes and a server. It hands on what it gets, or makes trouble.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{draw::Draw, wait::pause};
use crate::run::Result;

/// Where the connections go.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Tcp(String),
    Socket(PathBuf),
}

/// What happens to the connections of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Cut before a request was handed on.
    pub(crate) cut: AtomicU64,
    /// Cut with a reply in the proxy's hands.
    pub(crate) swallowed: AtomicU64,
    /// Left without any reply for a while, and then cut.
    pub(crate) silent: AtomicU64,
    pub(crate) delayed: AtomicU64,
}

/// Ends with its handle.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: String,
    pub(crate) counts: Arc<Counts>,
    is_over: Arc<AtomicBool>,
}

/// How many pieces of one direction a connection hands on before trouble comes.
const LIFE: std::ops::Range<u64> = 12..60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Cut,
    Swallow,
    Silence(Duration),
}

impl Proxy {
    /// Makes trouble: each connection is cut after some time, in one of three ways, and some pieces are late. One of the ways is
    /// a silence of this length before the cut.
    pub(crate) fn with_trouble(target: Target, seed: u64, silence: Duration) -> Result<Self> {
        Self::listen("127.0.0.1:0", target, Some((seed, silence)))
    }

    pub(crate) fn listen(address: &str, target: Target, trouble: Option<(u64, Duration)>) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?.to_string();
        let (counts, is_over) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let proxy = Self { address, counts: counts.clone(), is_over: is_over.clone() };
        thread::spawn(move || {
            let mut draw = Draw::new(trouble.map_or(0, |(seed, _)| seed));
            for client in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let trouble = match (trouble, draw.below(8)) {
                    (None, _) => Trouble::None,
                    (Some(_), 0..4) => Trouble::Cut,
                    (Some(_), 4..7) => Trouble::Swallow,
                    (Some((_, silence)), _) => Trouble::Silence(silence),
                };
                let life = LIFE.start + draw.below(LIFE.end - LIFE.start);
                if let Ok(client) = client {
                    // A server that is away is a connection that is cut.
                    let _ = serve(client, &target, trouble, life, draw.next(), &counts);
                }
            }
        });
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // The thread that accepts looks at it once more.
        let _ = TcpStream::connect(&self.address);
    }
}

/// One end of a connection.
trait End: Read + Write + std::marker::Send + 'static {
    fn other(&self) -> std::io::Result<Box<dyn End>>;
    fn cut(&self);
}

macro_rules! end {
    ($stream:ty) => {
        impl End for $stream {
            fn other(&self) -> std::io::Result<Box<dyn End>> {
                Ok(Box::new(self.try_clone()?))
            }
            fn cut(&self) {
                let _ = self.shutdown(Shutdown::Both);
            }
        }
    };
}
end!(TcpStream);
end!(UnixStream);

fn serve(
    client: TcpStream,
    target: &Target,
    trouble: Trouble,
    life: u64,
    seed: u64,
    counts: &Arc<Counts>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let server: Box<dyn End> = match target {
        Target::Tcp(address) => {
            let server = TcpStream::connect(address)?;
            server.set_nodelay(true)?;
            Box::new(server)
        }
        Target::Socket(path) => Box::new(UnixStream::connect(path)?),
    };
    let (from_client, to_server) = (client.other()?, server.other()?);
    let (from_server, to_client) = (server, Box::new(client));
    // Trouble comes in the direction in which it is seen.
    let requests = if trouble == Trouble::Cut { trouble } else { Trouble::None };
    let replies = if trouble == Trouble::Cut { Trouble::None } else { trouble };
    let late = trouble != Trouble::None;
    let (mine, other) = (counts.clone(), counts.clone());
    thread::spawn(move || {
        hand_on(from_client, to_server, requests, life, late.then(|| Draw::new(seed)), &mine);
    });
    thread::spawn(move || {
        hand_on(from_server, to_client, replies, life, late.then(|| Draw::new(!seed)), &other);
    });
    Ok(())
}

fn hand_on(
    mut from: Box<dyn End>,
    mut to: Box<dyn End>,
    trouble: Trouble,
    life: u64,
    mut late: Option<Draw>,
    counts: &Counts,
) {
    let mut buffer = vec![0; 64 * 1024];
    for piece in 0.. {
        let read = match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        if let Some(draw) = &mut late
            && draw.below(40) == 0
        {
            counts.delayed.fetch_add(1, Ordering::Relaxed);
            pause(Duration::from_millis(draw.below(300)));
        }
        if piece >= life && trouble != Trouble::None {
            let count = match trouble {
                Trouble::Swallow => &counts.swallowed,
                Trouble::Silence(_) => &counts.silent,
                _ => &counts.cut,
            };
            count.fetch_add(1, Ordering::Relaxed);
            if let Trouble::Silence(time) = trouble {
                pause(time);
            }
            break;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    from.cut();
    to.cut();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with the same byte.
    fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("is bound").to_string();
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.expect("a client");
                thread::spawn(move || {
                    let mut byte = [0];
                    while client.read_exact(&mut byte).is_ok() && client.write_all(&byte).is_ok() {}
                });
            }
        });
        address
    }

    /// How many bytes come back before the connection ends, of so many.
    fn exchanged(address: &str, bytes: usize) -> usize {
        let mut stream = TcpStream::connect(address).expect("connects");
        let mut byte = [7];
        (0..bytes)
            .take_while(|_| stream.write_all(&[7]).is_ok() && stream.read_exact(&mut byte).is_ok())
            .count()
    }

    #[test]
    fn without_trouble_all_is_handed_on() {
        let proxy = Proxy::listen("127.0.0.1:0", Target::Tcp(echo()), None).expect("listens");
        assert_eq!(exchanged(&proxy.address, 500), 500);
    }

    #[test]
    fn with_trouble_connections_are_cut_on_both_ways() {
        let proxy = Proxy::with_trouble(Target::Tcp(echo()), 1, Duration::from_millis(10)).expect("listens");
        let all: Vec<usize> = thread::scope(|scope| {
            let one = || exchanged(&proxy.address, 500);
            let threads: Vec<_> = (0..24).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().expect("ends")).collect()
        });
        assert!(all.iter().all(|bytes| (12..60).contains(bytes)), "{all:?}");
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert!(count(&proxy.counts.cut) > 0 && count(&proxy.counts.swallowed) > 0, "{:?}", proxy.counts);
    }
}
