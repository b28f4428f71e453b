//! Tests with random hostile input: pieces that a parser looks for, combined and damaged. A round is determined by
//! its number.
//!
//! Some hundred rounds run with the tests. The variable `OUTBOUND_FUZZ` multiplies this number.

#[cfg(feature = "digest")]
mod challenges;
#[cfg(feature = "cookies")]
mod cookies;
mod desync;
mod events;
mod multipart;
mod no_proxy;
mod urls;

use std::{
    io,
    sync::{Arc, Mutex},
};

use outbound_client::{Client, ClientBuilder, Origin};

use crate::support::{Request, draws, read_request, write};

/// Runs rounds, each with its own seed, and prints the number of the one that fails.
fn rounds(few: u64, mut round: impl FnMut(&mut Draws)) {
    let times: Option<u64> = std::env::var("OUTBOUND_FUZZ").ok().and_then(|text| text.parse().ok());
    for number in 0..few * times.unwrap_or(1) {
        let _named = Named(number);
        round(&mut Draws(Box::new(draws(number))));
    }
}

struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in round {}", self.0);
        }
    }
}

struct Draws(Box<dyn FnMut(u64) -> u64 + Send>);

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        (self.0)(end as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Up to this many pieces. Every second text is damaged: a byte is changed, inserted or removed, or a part is
    /// repeated.
    fn bytes(&mut self, pieces: &[&str], most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(most + 1) {
            bytes.extend_from_slice(self.pick(pieces).as_bytes());
        }
        let spoils = if self.one_in(2) { self.below(4) } else { 0 };
        for _ in 0..spoils {
            let (at, any) = (self.below(bytes.len() + 1), self.below(256) as u8);
            match self.below(4) {
                0 => bytes.insert(at, any),
                1 if at < bytes.len() => bytes[at] = any,
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => {
                    let part = bytes[at..(at + 20).min(bytes.len())].to_vec();
                    bytes.extend_from_slice(&part);
                }
            }
        }
        bytes
    }

    /// The same, as text.
    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        String::from_utf8_lossy(&self.bytes(pieces, most)).into_owned()
    }

    /// The same, without bytes that end a header.
    fn header(&mut self, pieces: &[&str], most: usize) -> Vec<u8> {
        let mut bytes = self.bytes(pieces, most);
        bytes.retain(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
        bytes
    }
}

/// Runs a future to its end on the paused clock.
fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

/// What was sent: the origin that was dialled, and the head of the request.
type Sent = Arc<Mutex<Vec<(String, String)>>>;

/// A client that reaches any origin in memory. `answer` gives the reply to the n-th request.
fn anywhere<F>(answer: F) -> (ClientBuilder, Sent)
where
    F: Fn(usize, &Request) -> Vec<u8> + Clone + Send + Sync + 'static,
{
    let sent = Sent::default();
    let record = sent.clone();
    let builder = Client::builder().connector(move |origin: &Origin| {
        let (near, mut far) = tokio::io::duplex(64 << 10);
        let (origin, record, answer) = (origin.to_string(), record.clone(), answer.clone());
        tokio::spawn(async move {
            while let Some(request) = read_request(&mut far, 0).await {
                let number = {
                    let mut record = record.lock().unwrap();
                    record.push((origin.clone(), request.head.clone()));
                    record.len() - 1
                };
                write(&mut far, answer(number, &request)).await;
            }
        });
        async { Ok::<_, io::Error>(near) }
    });
    (builder, sent)
}
