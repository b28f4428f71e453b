//! Tools to test code that uses the client, without a network and under tokio's paused clock. With the feature
//! `test-kit`.
//!
//! | to | use |
//! |---|---|
//! | answer requests in the test itself, over real HTTP through a pipe | [`Mock`] |
//! | make the bytes of a server come late, slowly, cut or not at all | [`Faults`] |
//! | record the replies of a real server once, and replay them afterwards | [`Tape`] |
//!
//! They use what the client has anyway: a [`Connect`](crate::Connect) that supplies the bytes, and a
//! [layer](crate::ClientBuilder::layer) around requests. So the test runs the same client as the program, with its
//! pool, its limits and its errors.
//!
//! ```
//! use std::time::Duration;
//! use outbound_client::{Client, Limit, Limits, test_kit::{Fault, Faults, Mock, Response, StatusCode}};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), outbound_client::Error> {
//! let server = Mock::new(|request| async move {
//!     match request.uri().path() {
//!         "/models" => Response::new("[\"small\"]".into()),
//!         _ => {
//!             let mut missing = Response::new("no such thing".into());
//!             *missing.status_mut() = StatusCode::NOT_FOUND;
//!             missing
//!         }
//!     }
//! });
//! let client = Client::builder().base_url("http://api.test").connector(server.clone()).build()?;
//! let models: Vec<String> = client.get("/models").send().await?.json().await?;
//! assert_eq!(models, ["small"]);
//! assert_eq!(server.requests()[0].headers()["host"], "api.test");
//!
//! // The first connection says nothing; the minute that the client waits is over at once.
//! let faults = Faults::new(server, |connection| (connection == 0).then_some(Fault::Stall { after: 0 }));
//! let limits = Limits::new().first_byte(Duration::from_secs(60));
//! let client = Client::builder().base_url("http://api.test").connector(faults).limits(limits).build()?;
//! let error = client.get("/models").send().await.unwrap_err();
//! assert_eq!(error.limit(), Some((Limit::FirstByte, Duration::from_secs(60))));
//! assert_eq!(client.get("/models").send().await?.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```

mod faults;
mod mock;
mod tape;

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http_body::Body;

pub use http::{Request, Response, StatusCode};

pub use self::{
    faults::{Fault, Faults},
    mock::Mock,
    tape::{Tape, TapeService},
};

/// All that a body brings, without its trailers.
async fn whole<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Bytes, B::Error> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(piece) = frame?.into_data() {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes.freeze())
}
