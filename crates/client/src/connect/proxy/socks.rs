//! SOCKS 5 (RFC 1928), with user and password (RFC 1929).

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Refusal, User};
use crate::connect::Transport;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const SUCCEEDED: u8 = 0;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Where the proxy shall connect to.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Address(SocketAddr),
    /// A name, which may also be an address in text form.
    Name(&'a str, u16),
}

pub(super) async fn open(
    transport: &mut dyn Transport,
    user: Option<&User>,
    target: Target<'_>,
) -> Result<(), Refusal> {
    let request = request(target)?;
    let methods: &[u8] =
        if user.is_some() { &[NO_AUTHENTICATION, USER_AND_PASSWORD] } else { &[NO_AUTHENTICATION] };
    let greeting = [&[VERSION, methods.len() as u8], methods].concat();
    send(transport, &greeting).await?;
    let [version, method] = receive(transport).await?;
    if version != VERSION {
        return Err(Refusal::Protocol("its answer is not SOCKS 5"));
    }
    match (method, user) {
        (NO_AUTHENTICATION, _) => {}
        (USER_AND_PASSWORD, Some(user)) => authenticate(transport, user).await?,
        _ => return Err(Refusal::User),
    }
    send(transport, &request).await?;
    let [version, code, _, address] = receive(transport).await?;
    if version != VERSION {
        return Err(Refusal::Protocol("its answer is not SOCKS 5"));
    }
    if code != SUCCEEDED {
        return Err(Refusal::Socks(code));
    }
    // The address and the port that the proxy connected from. Nothing needs them, but they have to be read.
    let length = match address {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(receive::<1>(transport).await?[0]),
        _ => return Err(Refusal::Protocol("its answer has an address of no known type")),
    };
    let mut rest = [0; u8::MAX as usize + 2];
    transport.read_exact(&mut rest[..length + 2]).await.map_err(Refusal::Connection)?;
    Ok(())
}

fn request(target: Target<'_>) -> Result<Vec<u8>, Refusal> {
    let mut request = vec![VERSION, CONNECT, 0];
    let (address, port) = match target {
        Target::Address(address) => (Some(address.ip()), address.port()),
        Target::Name(name, port) => (name.parse().ok(), port),
    };
    match (address, target) {
        (Some(IpAddr::V4(ip)), _) => {
            request.push(IPV4);
            request.extend_from_slice(&ip.octets());
        }
        (Some(IpAddr::V6(ip)), _) => {
            request.push(IPV6);
            request.extend_from_slice(&ip.octets());
        }
        (None, Target::Name(name, _)) => {
            let too_long = |_| Refusal::Protocol("SOCKS carries names of up to 255 bytes");
            request.extend([NAME, u8::try_from(name.len()).map_err(too_long)?]);
            request.extend_from_slice(name.as_bytes());
        }
        (None, Target::Address(_)) => unreachable!("an address target has an address"),
    }
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

async fn authenticate(transport: &mut dyn Transport, user: &User) -> Result<(), Refusal> {
    const AUTHENTICATION_VERSION: u8 = 1;
    let mut request = vec![AUTHENTICATION_VERSION];
    for text in [&*user.name, user.password.expose()] {
        // The length was checked when the proxy was made.
        request.push(u8::try_from(text.len()).map_err(|_| Refusal::User)?);
        request.extend_from_slice(text.as_bytes());
    }
    send(transport, &request).await?;
    let [_version, status] = receive(transport).await?;
    if status == SUCCEEDED { Ok(()) } else { Err(Refusal::User) }
}

async fn send(transport: &mut dyn Transport, bytes: &[u8]) -> Result<(), Refusal> {
    transport.write_all(bytes).await.map_err(Refusal::Connection)?;
    transport.flush().await.map_err(Refusal::Connection)
}

async fn receive<const N: usize>(transport: &mut dyn Transport) -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    transport.read_exact(&mut bytes).await.map_err(Refusal::Connection)?;
    Ok(bytes)
}
