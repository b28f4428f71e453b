//! Tests of Happy Eyeballs on the paused clock: order, delays, and which failure is reported.

use std::{
    cell::RefCell,
    error::Error,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{Failure, interleave, race};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn v4(n: u8) -> SocketAddr {
    ([127, 0, 0, n], 80).into()
}

fn v6(n: u16) -> SocketAddr {
    ([0, 0, 0, 0, 0, 0, 0, n], 80).into()
}

/// An address, how long its attempt takes, and how the attempt ends.
type Behaviour = (SocketAddr, Duration, Result<(), ErrorKind>);

/// The result of a race and its time. For each address: when its attempt began, and whether the attempt was dropped
/// before its end.
struct Outcome {
    result: io::Result<((), SocketAddr)>,
    took: Duration,
    begun: Vec<(SocketAddr, Duration)>,
    dropped: Vec<SocketAddr>,
}

struct Attempt<'a>(SocketAddr, bool, &'a RefCell<Vec<SocketAddr>>);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.2.borrow_mut().push(self.0);
        }
    }
}

async fn run(behaviours: &[Behaviour]) -> Outcome {
    let started = Instant::now();
    let (begun, dropped) = (RefCell::<Vec<_>>::default(), RefCell::<Vec<_>>::default());
    let addresses: Vec<_> = behaviours.iter().map(|behaviour| behaviour.0).collect();
    let result = race(&addresses, |address| {
        begun.borrow_mut().push((address, started.elapsed()));
        let attempt = Attempt(address, false, &dropped);
        async move {
            let mut attempt = attempt;
            let (_, after, result) = behaviours.iter().find(|behaviour| behaviour.0 == address).unwrap();
            sleep(*after).await;
            attempt.1 = true;
            result.map_err(io::Error::from)
        }
    });
    let result = timeout(ms(60_000), result).await.expect("it ends");
    let took = started.elapsed();
    Outcome { result, took, begun: begun.into_inner(), dropped: dropped.into_inner() }
}

#[test]
fn families_take_turns_beginning_with_the_first() {
    let mixed = [v6(1), v6(2), v6(3), v4(1), v4(2)];
    assert_eq!(interleave(&mixed), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
    let mixed = [v4(1), v6(1), v6(2), v6(3)];
    assert_eq!(interleave(&mixed), [v4(1), v6(1), v6(2), v6(3)]);
    assert_eq!(interleave(&[v4(1), v4(2)]), [v4(1), v4(2)]);
    assert_eq!(interleave(&[]), []);
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_costs_a_quarter_of_a_second() {
    let outcome = run(&[(v6(1), ms(100_000), Ok(())), (v4(1), ms(30), Ok(()))]).await;
    assert_eq!(outcome.result.unwrap().1, v4(1));
    assert_eq!(outcome.took, ms(280));
    assert_eq!(outcome.begun, [(v6(1), ms(0)), (v4(1), ms(250))]);
    assert_eq!(outcome.dropped, [v6(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_costs_nothing() {
    let refused = Err(ErrorKind::ConnectionRefused);
    let outcome = run(&[(v6(1), ms(5), refused), (v6(2), ms(5), refused), (v4(1), ms(5), Ok(()))]).await;
    assert_eq!(outcome.result.unwrap().1, v4(1));
    assert_eq!(outcome.took, ms(10));
    assert_eq!(outcome.begun, [(v6(1), ms(0)), (v4(1), ms(5))]);
}

#[tokio::test(start_paused = true)]
async fn the_first_to_answer_wins_and_not_the_first_to_begin() {
    let outcome = run(&[(v6(1), ms(400), Ok(())), (v4(1), ms(100), Ok(())), (v6(2), ms(1), Ok(()))]).await;
    assert_eq!((outcome.result.unwrap().1, outcome.took), (v4(1), ms(350)));
    assert_eq!(outcome.dropped, [v6(1)]);
    let outcome = run(&[(v6(1), ms(300), Ok(())), (v4(1), ms(100), Ok(()))]).await;
    assert_eq!((outcome.result.unwrap().1, outcome.took), (v6(1), ms(300)));
    assert_eq!(outcome.dropped, [v4(1)]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_counts_from_the_last_attempt() {
    let refused = Err(ErrorKind::ConnectionRefused);
    let hangs = |address| (address, ms(10_000), refused);
    let outcome = run(&[hangs(v4(1)), (v4(2), ms(100), refused), hangs(v4(3)), hangs(v4(4))]).await;
    assert_eq!(outcome.begun, [(v4(1), ms(0)), (v4(2), ms(250)), (v4(3), ms(350)), (v4(4), ms(600))]);
    assert_eq!(outcome.took, ms(10_600));
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_the_addresses_and_tells_the_telling_cause() {
    let outcome = run(&[
        (v6(1), ms(0), Err(ErrorKind::NetworkUnreachable)),
        (v4(1), ms(0), Err(ErrorKind::ConnectionRefused)),
        (v6(2), ms(0), Err(ErrorKind::NetworkUnreachable)),
    ])
    .await;
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "none of 3 addresses could be connected to, 127.0.0.1:80 among them");
    let failure = error.get_ref().unwrap().downcast_ref::<Failure>().unwrap();
    assert_eq!(failure.source().unwrap().to_string(), "connection refused");

    let outcome = run(&[(v4(1), ms(0), Err(ErrorKind::ConnectionRefused))]).await;
    assert_eq!(outcome.result.unwrap_err().to_string(), "127.0.0.1:80 could not be connected to");
    assert_eq!(run(&[]).await.result.unwrap_err().kind(), ErrorKind::NotFound);
}
