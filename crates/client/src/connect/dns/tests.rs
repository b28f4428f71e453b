//! Tests of the cache of names: sharing, lifetimes, failures and bounds.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::join_all};
use tokio::time::{Instant, advance, sleep};

use super::{Dns, Resolving};
use crate::origin::Origin;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn origin(host: &str) -> Origin {
    Origin::of(&format!("http://{host}/").parse().unwrap()).unwrap()
}

fn address(n: u8) -> SocketAddr {
    ([10, 0, 0, n], 80).into()
}

type Answers = Arc<Mutex<VecDeque<Result<Vec<SocketAddr>, ErrorKind>>>>;

/// A resolver that takes a second and gives these answers in turn, then 10.0.0.9. Also returns how often it was
/// asked.
fn dns(
    ttl: Duration,
    answers: impl Into<VecDeque<Result<Vec<SocketAddr>, ErrorKind>>>,
) -> (Dns, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, answers) = (asked.clone(), Answers::new(Mutex::new(answers.into())));
    let resolver = move |_: &str, _: u16| -> Resolving {
        counted.fetch_add(1, Ordering::SeqCst);
        let answer = answers.lock().unwrap().pop_front().unwrap_or(Ok(vec![address(9)]));
        Box::pin(async move {
            sleep(secs(1)).await;
            answer.map_err(io::Error::from)
        })
    };
    (Dns::new(Box::new(resolver), ttl), asked)
}

#[tokio::test(start_paused = true)]
async fn one_look_up_runs_for_all_who_want_a_name_at_the_same_time() {
    let (dns, asked) = dns(Dns::TTL, []);
    let (a, b) = (origin("a.test"), origin("b.test"));
    let started = Instant::now();
    for addresses in join_all((0..100).map(|_| dns.look_up(&a))).await {
        assert_eq!(addresses.unwrap()[..], [address(9)]);
    }
    assert_eq!((started.elapsed(), asked.load(Ordering::SeqCst)), (secs(1), 1));
    dns.look_up(&b).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_hands_the_look_up_on_as_far_as_it_has_got() {
    let (dns, asked) = dns(Dns::TTL, []);
    let name = origin("a.test");
    let started = Instant::now();
    let mut leaves = Box::pin(dns.look_up(&name));
    let mut stays = Box::pin(dns.look_up(&name));
    assert!(leaves.as_mut().now_or_never().is_none());
    assert!(stays.as_mut().now_or_never().is_none());
    advance(secs(1) / 2).await;
    drop(leaves);
    assert_eq!(stays.await.unwrap()[..], [address(9)]);
    assert_eq!((started.elapsed(), asked.load(Ordering::SeqCst)), (secs(1), 1));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_nobody_waits_for_is_given_up() {
    let (dns, asked) = dns(Dns::TTL, []);
    let name = origin("a.test");
    assert!(dns.look_up(&name).now_or_never().is_none());
    advance(secs(100)).await;
    let started = Instant::now();
    dns.look_up(&name).await.unwrap();
    assert_eq!((started.elapsed(), asked.load(Ordering::SeqCst)), (secs(1), 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_holds_for_its_time_and_no_longer() {
    let (dns, asked) = dns(secs(30), [Ok(vec![address(1)]), Ok(vec![address(2)])]);
    let name = origin("a.test");
    assert_eq!(dns.look_up(&name).await.unwrap()[..], [address(1)]);
    advance(Duration::from_millis(29_999)).await;
    assert_eq!(dns.look_up(&name).await.unwrap()[..], [address(1)]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    advance(Duration::from_millis(1)).await;
    assert_eq!(dns.look_up(&name).await.unwrap()[..], [address(2)]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_all_who_waited_and_is_not_kept() {
    let (dns, asked) = dns(Dns::TTL, [Err(ErrorKind::TimedOut), Ok(vec![])]);
    let name = origin("a.test");
    for result in join_all((0..3).map(|_| dns.look_up(&name))).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
    }
    // A name without addresses is a failure too.
    assert_eq!(dns.look_up(&name).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(dns.look_up(&name).await.unwrap()[..], [address(9)]);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_stands_in_for_one_that_fails_but_not_for_an_empty_one() {
    let failed = || Err(ErrorKind::TimedOut);
    let (dns, _) = dns(secs(30), [Ok(vec![address(1)]), failed(), failed(), Ok(vec![]), failed()]);
    let name = origin("a.test");
    dns.look_up(&name).await.unwrap();
    advance(secs(590)).await;
    assert_eq!(dns.look_up(&name).await.unwrap()[..], [address(1)]);
    advance(secs(10)).await;
    assert_eq!(dns.look_up(&name).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(dns.look_up(&name).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(dns.look_up(&name).await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn addresses_of_no_use_are_forgotten_also_as_old_ones() {
    let (dns, asked) = dns(Dns::TTL, [Ok(vec![address(1)]), Err(ErrorKind::TimedOut), Ok(vec![address(2)])]);
    let name = origin("a.test");
    let useless = dns.look_up(&name).await.unwrap();
    dns.forget(&name, &useless);
    assert_eq!(dns.look_up(&name).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(dns.look_up(&name).await.unwrap()[..], [address(2)]);
    // A dial that still uses the old addresses says nothing about the new ones.
    dns.forget(&name, &useless);
    assert_eq!(dns.look_up(&name).await.unwrap()[..], [address(2)]);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_time_nothing_is_kept_and_what_runs_is_shared_all_the_same() {
    let (dns, asked) = dns(Duration::ZERO, [Ok(vec![address(1)]), Err(ErrorKind::TimedOut)]);
    let name = origin("a.test");
    for result in join_all((0..10).map(|_| dns.look_up(&name))).await {
        result.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(dns.look_up(&name).await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn names_are_bounded_and_the_oldest_go_first() {
    let (dns, asked) = dns(Duration::MAX, []);
    let names = Dns::MAX_NAMES + 10;
    for n in 0..names {
        dns.look_up(&origin(&format!("{n}.test"))).await.unwrap();
    }
    assert_eq!(dns.lock().len(), Dns::MAX_NAMES);
    dns.look_up(&origin(&format!("{}.test", 10))).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), names);
    dns.look_up(&origin("9.test")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), names + 1);
}
