//! What happened, when, and what the server saw.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The client was built from parts that do not fit.
    Config,
    /// The request cannot be sent as it is: its URL, a header, its body's shape.
    Request,
    /// No connection: name look-up or TCP failed, or a proxy or the egress policy refused.
    Connect,
    /// No connection: the TLS handshake failed.
    Tls,
    /// A limit in time has passed; [`Error::limit`](crate::Error::limit) says which.
    Timeout,
    /// The connection ended too early.
    Closed,
    /// [`Client::close`](crate::Client::close) was called before the request had a connection.
    ClientClosed,
    /// The server's bytes are not the protocol, or a head is beyond the bounds on heads. The message says which line or
    /// which bound. A reply that cannot be read came all the same: its delivery is [`Replied`](Delivery::Replied).
    Protocol,
    /// The server ended this request's HTTP/2 stream alone.
    Reset,
    /// The caller's own body stream failed, or was not as long as it said.
    RequestBody,
    /// A bound on what is read was reached; the message names it.
    TooLarge,
    /// A redirect that cannot be followed, or that the policy ([`Redirects`](crate::Redirects)) forbids.
    Redirect,
    /// A reply could not be written to its file: [`Reply::save`](crate::Reply::save). The source says why.
    File,
    /// A status of 300 or more, from [`Reply::error_for_status`](crate::Reply::error_for_status), or one that is
    /// not a success where [`Reply::events`](crate::Reply::events) needs it.
    Status,
    /// The reply is not `text/event-stream`.
    ContentType,
    /// The reply's body is not the text or the JSON that was asked for.
    Decode,
    /// A [layer](crate::ClientBuilder::layer) failed by itself; the source is its error. Whether the request was sent
    /// before is not known, so its [`delivery`](crate::Error::delivery) is [`MaybeSent`](Delivery::MaybeSent) until a reply
    /// came. Where an error of this client is the cause of the layer's, kind, phase and delivery are those of the cause.
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
    /// Waiting for a place among the connections.
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
    /// After the connection was switched to another protocol: a WebSocket.
    Upgraded,
}

/// Whether the server can have seen the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Certainly not: sending it again cannot do anything twice.
    NotSent,
    /// Some or all of it was given to a connection, and no answer came.
    MaybeSent,
    /// The head of a reply came; or bytes in its place that are none ([`Kind::Protocol`]).
    Replied,
}
