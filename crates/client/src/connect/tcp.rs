use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::eyeballs;
use crate::{dns::Dns, origin::Origin};

/// TCP to the addresses that a name has.
pub(crate) struct Tcp {
    pub(crate) dns: Dns,
}

impl Tcp {
    // Below the shortest silence after which common NATs forget a connection (120 s).
    const PROBE_AFTER: Duration = Duration::from_secs(60);
    const PROBE_EVERY: Duration = Duration::from_secs(15);

    /// The address of an origin whose host is one.
    pub(crate) fn literal(&self, origin: &Origin) -> Option<SocketAddr> {
        let ip = origin.host().parse::<IpAddr>().ok()?;
        Some(SocketAddr::new(ip, origin.port()))
    }

    pub(crate) async fn connect(&self, addresses: &[SocketAddr]) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = eyeballs::race(addresses, TcpStream::connect).await?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(Self::PROBE_AFTER).with_interval(Self::PROBE_EVERY);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok((stream, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::SystemResolver;

    #[tokio::test]
    async fn a_socket_sends_at_once_and_probes_a_silent_peer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = Tcp { dns: Dns::new(Box::new(SystemResolver), Dns::TTL) };
        let (stream, address) = tcp.connect(&[listener.local_addr().unwrap()]).await.unwrap();
        assert_eq!(address, listener.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(
            (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap()),
            (Tcp::PROBE_AFTER, Tcp::PROBE_EVERY)
        );
    }
}
