//! Happy Eyeballs (RFC 8305): one connection to whichever of several addresses answers first.

#[cfg(test)]
mod tests;

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use outbound_timer::Timer;
use tokio::time::Instant;

/// How long an attempt runs alone before the next one starts beside it (RFC 8305, section 5, recommends this value).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to one of the addresses. The next one is tried when the last attempt has not answered in time, or at once
/// when an attempt has failed. The first attempt that connects wins, and the others are dropped.
pub(super) async fn race<T, F, Fut>(addresses: &[SocketAddr], connect: F) -> io::Result<(T, SocketAddr)>
where
    F: Fn(SocketAddr) -> Fut,
    Fut: Future<Output = io::Result<T>>,
{
    let mut left = interleave(addresses).into_iter();
    let mut attempts = Attempts(Vec::new());
    let mut failure: Option<Failure> = None;
    let mut timer = pin!(Timer::new());
    poll_fn(|cx| {
        let mut next = attempts.0.is_empty();
        loop {
            match attempts.poll(cx) {
                Poll::Ready((address, Ok(transport))) => return Poll::Ready(Ok((transport, address))),
                Poll::Ready((address, Err(error))) => {
                    failure = Some(Failure::after(failure.take(), address, error));
                    next = true;
                }
                Poll::Pending if next || timer.as_mut().poll_elapsed(cx).is_ready() => {
                    next = false;
                    match left.next() {
                        Some(address) => {
                            attempts.0.push((address, Box::pin(connect(address))));
                            timer.as_mut().set(Instant::now() + ATTEMPT_DELAY);
                        }
                        None if attempts.0.is_empty() => {
                            return Poll::Ready(Err(Failure::of(failure.take())));
                        }
                        None => timer.as_mut().clear(),
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// The attempts that are under way, in the order in which they began.
struct Attempts<Fut>(Vec<(SocketAddr, Pin<Box<Fut>>)>);

impl<T, Fut: Future<Output = io::Result<T>>> Attempts<Fut> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(SocketAddr, io::Result<T>)> {
        for (position, (address, attempt)) in self.0.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                let address = *address;
                self.0.remove(position);
                return Poll::Ready((address, result));
            }
        }
        Poll::Pending
    }
}

/// Alternates the address families, beginning with the one that the resolver put first. Within a family the
/// resolver's order is kept (RFC 8305, section 4).
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().map(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<SocketAddr>, Vec<_>) =
        addresses.iter().partition(|address| Some(address.is_ipv6()) == first);
    let mut others = others.into_iter();
    let mut all = Vec::with_capacity(addresses.len());
    for address in preferred {
        all.push(address);
        all.extend(others.next());
    }
    all.extend(others);
    all
}

/// None of the addresses could be connected to.
#[derive(Debug)]
struct Failure {
    tried: usize,
    /// The address whose failure says most.
    address: SocketAddr,
    cause: io::Error,
}

impl Failure {
    fn after(earlier: Option<Self>, address: SocketAddr, cause: io::Error) -> Self {
        match earlier {
            None => Self { tried: 1, address, cause },
            // "No route" often only means that the machine has no IPv6. The failure of the other family says more, so
            // that one is kept.
            Some(earlier) if has_no_route(&cause) => Self { tried: earlier.tried + 1, ..earlier },
            Some(earlier) => Self { tried: earlier.tried + 1, address, cause },
        }
    }

    fn of(failure: Option<Self>) -> io::Error {
        match failure {
            Some(failure) => io::Error::new(failure.cause.kind(), failure),
            None => io::Error::new(io::ErrorKind::NotFound, "no addresses"),
        }
    }
}

fn has_no_route(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable, Unsupported};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkUnreachable | Unsupported)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tried {
            1 => write!(f, "{} could not be connected to", self.address),
            tried => {
                write!(f, "none of {tried} addresses could be connected to, {} among them", self.address)
            }
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
