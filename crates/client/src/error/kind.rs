//! The three properties of an error: its kind, its phase, and whether the request was delivered.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The client's settings do not fit together.
    Config,
    /// The request cannot be sent as it is: its URL, a header, or its body is not valid.
    Request,
    /// No connection: name look-up or TCP failed, or a proxy or the egress policy refused.
    Connect,
    /// No connection: the TLS handshake failed.
    Tls,
    /// A time limit has passed; [`Error::limit`](crate::Error::limit) says which one.
    Timeout,
    /// The connection ended too early.
    Closed,
    /// [`Client::close`](crate::Client::close) was called before the request had a connection.
    ClientClosed,
    /// The server's bytes are not valid HTTP, or a head is larger than the bounds. The message names the line or the
    /// bound. A reply came, even if it cannot be read, so the delivery is [`Replied`](Delivery::Replied).
    Protocol,
    /// The server ended only this request's HTTP/2 stream.
    Reset,
    /// The caller's body stream failed, or had another length than announced.
    RequestBody,
    /// A bound on what is read was reached; the message names it.
    TooLarge,
    /// A redirect that cannot be followed, or that the policy ([`Redirects`](crate::Redirects)) forbids.
    Redirect,
    /// A reply could not be written to its file: [`Reply::save`](crate::Reply::save). The source says why.
    File,
    /// A status of 300 or more, from [`Reply::error_for_status`](crate::Reply::error_for_status); or a status that is
    /// not a success, in methods that need one, such as [`Reply::events`](crate::Reply::events).
    Status,
    /// The reply is not `text/event-stream`.
    ContentType,
    /// The reply's body is not the text or the JSON that was asked for.
    Decode,
    /// A [layer](crate::ClientBuilder::layer) failed; the source is its error. It is not known whether the request
    /// was sent before, so the [`delivery`](crate::Error::delivery) is [`MaybeSent`](Delivery::MaybeSent) until a
    /// reply came. If an error of this client is the cause of the layer's error, its kind, phase and delivery are
    /// used instead.
    Layer,
    /// The events ended before the one that [`Events::until`](crate::Events::until) waits for.
    Incomplete,
}

/// When it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Before anything was done.
    Build,
    /// Waiting for a connection permit in the pool.
    PoolWait,
    /// Looking up the origin's name.
    Dns,
    /// Connecting: TCP, or the client's connector.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request's body.
    Upload,
    /// Waiting for the reply's head.
    Head,
    /// Reading the reply's body.
    Body,
    /// After the connection was switched to another protocol, such as WebSocket.
    Upgraded,
}

/// Whether the server may have seen the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Certainly not. Sending it again cannot do anything twice.
    NotSent,
    /// A part or all of it was given to a connection, and no reply came.
    MaybeSent,
    /// The head of a reply came, or bytes in its place that are not a reply ([`Kind::Protocol`]).
    Replied,
}
