//! What the examples share: headings, small servers on the loopback interface to talk to, and a service that fails.
//!
//! Nothing in here is needed to use `outbound`; the programs beside this folder are what to read.
#![forbid(unsafe_code)]

mod echo;
mod flaky;
mod websocket;

pub use echo::EchoServer;
pub use flaky::Flaky;
pub use websocket::WebSocketServer;

/// The snippets of the comparison with other libraries.
#[cfg(doctest)]
#[doc = include_str!("../../COMPARE.md")]
mod compare {}

/// What the programs return: any error ends them with exit code 1.
pub type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Prints the title of a section.
pub fn heading(title: &str) {
    println!("\n== {title}");
}
