//! Outages below HTTP: before the first reply and later, short and long, alone and mixed with refusals. They cost time
//! and no request. Few calls are wasted on them, and the full rate is back at once.

use std::{ops::Range, time::Duration};

use futures::StreamExt;
use outbound::{Client, Origin, Outcome, RequestManagerBuilder};
use outbound_simulator::{Fault, Latency, Refusal, Simulator, Trouble};
use tokio::time::Instant;

use crate::stack::{all_succeeded, chat, manager as piped, ms, provider, run, s};

const WIDTH: usize = 32;
const LATENCY: Duration = ms(400);

fn manager(simulator: &Simulator) -> RequestManagerBuilder {
    let dialled = simulator.clone();
    let client = Client::builder().connector(move |_: &Origin| {
        let dialled = dialled.clone();
        async move { dialled.dial().await }
    });
    piped(simulator).client(client).max_concurrent(WIDTH)
}

fn healthy() -> outbound_simulator::Builder {
    provider().latency(Latency::fixed(LATENCY)).dial_time(ms(5))
}

/// The result of a batch with an outage.
struct Run {
    outcomes: Vec<Outcome>,
    simulator: Simulator,
    took: Duration,
}

async fn through(builder: outbound_simulator::Builder, requests: usize) -> Run {
    let simulator = builder.build();
    let manager = manager(&simulator).build().expect("a manager");
    let began = Instant::now();
    let outcomes = run(&manager, requests).await;
    Run { outcomes, simulator, took: began.elapsed() }
}

impl Run {
    /// Calls that were sent in a range of time.
    fn sent(&self, times: Range<Duration>) -> usize {
        let ledger = self.simulator.ledger();
        ledger.entries().iter().filter(|entry| times.contains(&entry.seen.at)).count()
    }

    /// When the first call after this instant reached the server.
    fn first_after(&self, at: Duration) -> Duration {
        let ledger = self.simulator.ledger();
        ledger.entries().iter().map(|entry| entry.seen.at).filter(|sent| *sent >= at).min().expect("a call")
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_costs_its_time_and_no_request() {
    for trouble in
        [Trouble::Refused, Trouble::Reset, Trouble::SilentDrop, Trouble::NameGone, Trouble::TlsBroken]
    {
        for seconds in [5, 60, 600] {
            let what = format!("{trouble:?} for {seconds} s");
            let (begins, ends) = (s(5), s(5 + seconds));
            // Enough requests to last past the outage.
            let requests = 1_500;
            let run = through(healthy().trouble(trouble, begins..ends), requests).await;
            all_succeeded(&run.outcomes);
            assert_eq!(run.outcomes.len(), requests, "{what}");
            let sends: u32 = run.outcomes.iter().map(|outcome| outcome.sends).sum();
            let extra = sends as usize - requests;
            assert!(extra <= WIDTH + requests / 100, "{what}: {extra} extra calls");
            // Open connections outlive a missing name or a broken certificate.
            if matches!(trouble, Trouble::NameGone | Trouble::TlsBroken) {
                continue;
            }
            let first = run.first_after(ends);
            let pause = if seconds <= 60 { s(2) } else { s(20) };
            assert!(first <= ends + pause + s(2), "{what}: first call {:?} late", first - ends);
            // After the first reply all requests may be sent: the full rate of two seconds, minus one round.
            let full_rate = WIDTH * 5;
            let back = first + LATENCY..first + LATENCY + s(3);
            let sent = run.sent(back);
            assert!(sent >= full_rate, "{what}: {sent} calls in 3 s after the first reply");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_late_costs_its_time() {
    for trouble in [Trouble::Refused, Trouble::SilentDrop] {
        for seconds in [3, 20] {
            let run = through(healthy().trouble(trouble, s(0)..s(seconds)), 200).await;
            all_succeeded(&run.outcomes);
            let latest = s(seconds * 2 + 12);
            assert!(run.took < latest, "{trouble:?} for {seconds} s: {:?}", run.took);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_heals_ends_soon_with_nothing_consumed() {
    // A custom connector does not say that a name is permanently missing. So it is tried as long as in any other
    // failure.
    for (trouble, most) in [
        (Trouble::NameGone, s(35)),
        (Trouble::TlsBroken, s(35)),
        (Trouble::Refused, s(35)),
        (Trouble::SilentDrop, s(45)),
    ] {
        let simulator = healthy().trouble(trouble, s(0)..s(100_000)).build();
        let manager = manager(&simulator).build().expect("a manager");
        let began = Instant::now();
        let mut batch = manager.batch((0..100).map(chat));
        assert!(batch.next().await.is_none(), "{trouble:?}: nothing was sent, so there is no outcome");
        assert!(began.elapsed() <= most, "{trouble:?}: {:?}", began.elapsed());
        let why = batch.stopped().expect("a reason");
        assert!(why.message.contains("provider.test"), "{}", why.message);
        let rest = batch.into_rest();
        let unread = rest.source.map(CountOf::count_of).unwrap_or_default();
        assert_eq!(rest.requests.len() + unread, 100, "{trouble:?}");
    }
}

/// How many requests a source still has.
trait CountOf {
    fn count_of(self) -> usize;
}

impl<I: Iterator> CountOf for futures::stream::Iter<I> {
    fn count_of(self) -> usize {
        use futures::{FutureExt, StreamExt};
        self.count().now_or_never().expect("ready at once")
    }
}

#[tokio::test(start_paused = true)]
async fn outages_alternating_with_overloads() {
    let simulator = healthy()
        .trouble(Trouble::Refused, s(3)..s(20))
        .fault_during(Refusal::status(503), s(20)..s(40))
        .trouble(Trouble::Reset, s(40)..s(70))
        .trouble(Trouble::SilentDrop, s(80)..s(100))
        .fault_during(Refusal::status(502), s(110)..s(150));
    let requests = 4_000;
    let run = through(simulator, requests).await;
    all_succeeded(&run.outcomes);
    let sends: u32 = run.outcomes.iter().map(|outcome| outcome.sends).sum();
    let extra = sends as usize - requests;
    assert!(extra <= 4 * WIDTH + requests / 50, "{extra} extra calls");
}

/// A proxy takes connections and calls, and answers none. Hung calls end by their own timeout. The other requests do
/// not wait for that.
#[tokio::test(start_paused = true)]
async fn a_server_that_answers_no_call_is_probed_until_it_answers() {
    for seconds in [5, 60, 600] {
        let (begins, ends) = (s(5), s(5 + seconds));
        let requests = 3_000;
        let run = through(healthy().trouble(Trouble::Swallowed, begins..ends), requests).await;
        all_succeeded(&run.outcomes);
        assert_eq!(run.outcomes.len(), requests, "{seconds} s");
        let sends: u32 = run.outcomes.iter().map(|outcome| outcome.sends).sum();
        let extra = sends as usize - requests;
        assert!(extra <= WIDTH + requests / 100, "{seconds} s: {extra} extra calls");
        // The pause is half of the silence: ten seconds at first, a minute at most.
        let first = run.first_after(ends);
        let pause = s((seconds / 2).clamp(10, 60));
        assert!(first <= ends + pause + s(2), "{seconds} s: first call {:?} late", first - ends);
        let back = first + LATENCY..first + LATENCY + s(2);
        let sent = run.sent(back);
        assert!(sent >= WIDTH * 5, "{seconds} s: {sent} calls in 2 s after the first reply");
        // The hung calls are the last to end, by the timeout of an attempt.
        assert!(run.took < ends + s(300) + s(10), "{seconds} s: {:?}", run.took);
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_at_a_time_is_enough_to_be_asked_again() {
    let simulator = healthy().trouble(Trouble::Swallowed, s(5)..s(65)).build();
    let manager = manager(&simulator).max_concurrent(1).build().expect("a manager");
    let began = Instant::now();
    let outcomes = run(&manager, 600).await;
    all_succeeded(&outcomes);
    let sends: u32 = outcomes.iter().map(|outcome| outcome.sends).sum();
    assert!(sends as usize <= 600 + 1 + 6, "{sends}");
    // 240 s of work, plus the outage. The hung calls end meanwhile or a little later.
    assert!(began.elapsed() < s(65 + 300 + 60), "{:?}", began.elapsed());
}

/// A stopped server looks the same until it goes on. Then nothing was lost, and nothing is sent twice.
#[tokio::test(start_paused = true)]
async fn a_stopped_server_is_sent_nothing_twice() {
    let (begins, ends) = (s(5), s(50));
    let builder = healthy().fault_when(move |seen| {
        let every = ends.checked_sub(seen.at).filter(|_| seen.at >= begins)?;
        Some(Fault::KeepAlive { every, count: Some(1) })
    });
    let requests = 2_000;
    let run = through(builder, requests).await;
    all_succeeded(&run.outcomes);
    assert_eq!(run.simulator.ledger().sends(), requests);
    let meanwhile = run.sent(begins..ends);
    assert!((WIDTH + 1..=WIDTH + 4).contains(&meanwhile), "{meanwhile}: those that hung, and probes");
    let at_once = run.sent(ends..ends + LATENCY);
    assert!(at_once <= WIDTH + 4, "{at_once}: what hung is over, so no more than before are in flight");
}

/// After the server has answered again, a silence is detected as soon as the first one was.
#[tokio::test(start_paused = true)]
async fn a_slow_time_does_not_delay_the_detection_of_a_later_silence() {
    let (slow_from, slow_until) = (s(2), s(30));
    let (begins, ends) = (s(45), s(52));
    let builder = healthy().trouble(Trouble::SilentDrop, begins..ends).fault_when(move |seen| {
        let every = slow_until.checked_sub(seen.at).filter(|_| seen.at >= slow_from)?;
        Some(Fault::KeepAlive { every, count: Some(1) })
    });
    let run = through(builder, 4_000).await;
    all_succeeded(&run.outcomes);
    assert!(run.sent(begins - LATENCY..begins) > WIDTH / 2, "at the full rate when it begins");
    let late = run.first_after(ends) - ends;
    assert!(late <= s(2), "{late:?}");
}

/// One task watches for silence, whatever the number of calls.
#[tokio::test(start_paused = true)]
async fn one_task_looks_for_silences() {
    let simulator = healthy().build();
    let manager = manager(&simulator).max_concurrent(4).build().expect("a manager");
    let mut batch = manager.batch((0..100).map(chat));
    for _ in 0..50 {
        assert!(batch.next().await.is_some());
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // Four requests, both ends of four connections, and the requests that wait for their turn.
    assert!(tasks <= 4 * 3 + 4 + 1, "{tasks} tasks");
    assert_eq!(batch.count().await, 50);
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    tokio::time::sleep(s(1)).await;
    let later = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(later, tasks - 1, "it ends with the calls");
}

#[tokio::test(start_paused = true)]
async fn a_silence_is_detected_again_after_a_time_without_calls() {
    let (begins, ends) = (s(20), s(80));
    let simulator = healthy().trouble(Trouble::SilentDrop, begins..ends).build();
    let manager = manager(&simulator).build().expect("a manager");
    all_succeeded(&run(&manager, 10).await);
    tokio::time::sleep(s(15)).await;
    let began = Instant::now();
    let outcomes = run(&manager, 1_500).await;
    let run = Run { outcomes, simulator, took: began.elapsed() };
    all_succeeded(&run.outcomes);
    let late = run.first_after(ends) - ends;
    assert!(late <= s(4), "{late:?}");
}

/// A slow server does not count as gone.
#[tokio::test(start_paused = true)]
async fn a_silent_server_that_takes_connections_is_only_slow() {
    let run = through(healthy().latency(Latency::fixed(s(100))), 100).await;
    all_succeeded(&run.outcomes);
    assert_eq!(run.simulator.ledger().sends(), 100);
    // Each check opens a connection, and the next check is twice as far away.
    let connections = run.simulator.ledger().connections();
    assert!(connections <= WIDTH + 32, "{connections} connections");
    assert!(run.took <= s(401), "{:?}", run.took);
}

/// A server that starts after everything has stopped is used again, without any action of the caller.
#[tokio::test(start_paused = true)]
async fn an_address_that_was_given_up_is_tried_again_later() {
    let simulator = healthy().trouble(Trouble::Refused, s(0)..s(50)).build();
    let manager = manager(&simulator).build().expect("a manager");
    assert_eq!(manager.send(chat(1)).await.error_kind(), Some(outbound::ErrorKind::Stopped));
    assert_eq!(
        manager.send(chat(2)).await.error_kind(),
        Some(outbound::ErrorKind::Stopped),
        "left alone for now"
    );
    tokio::time::sleep(s(30)).await;
    assert!(manager.send(chat(3)).await.result.is_ok());
}

/// While nothing was sent, no reply was due, so this time is not a silence.
#[tokio::test(start_paused = true)]
async fn a_time_without_calls_is_no_silence() {
    let simulator = healthy().latency(Latency::fixed(s(2))).build();
    let manager = manager(&simulator).max_concurrent(4).build().expect("a manager");
    all_succeeded(&run(&manager, 4).await);
    tokio::time::sleep(s(100)).await;
    let mut batch = manager.batch((0..40).map(chat));
    assert!(tokio::time::timeout(ms(1_900), batch.next()).await.is_err());
    assert_eq!(simulator.ledger().sends(), 4 + 4, "no probes beside them");
}

/// A snapshot says when the server is probed next.
#[tokio::test(start_paused = true)]
async fn a_snapshot_says_when_the_server_is_probed_next() {
    for (builder, reached) in [
        (healthy().trouble(Trouble::Refused, s(5)..s(65)), false),
        (healthy().fault_during(Refusal::status(500), s(5)..s(65)), true),
    ] {
        let simulator = builder.build();
        let manager = manager(&simulator).build().expect("a manager");
        let looks = async {
            tokio::time::sleep(s(1)).await;
            let snapshot = manager.snapshot();
            let endpoint = &snapshot.endpoints[0];
            assert_eq!((endpoint.next_probe, endpoint.models[0].next_probe), (None, None), "all is well");
            let mut waits = Vec::new();
            for _ in 0..40 {
                tokio::time::sleep(ms(500)).await;
                let snapshot = manager.snapshot();
                let endpoint = &snapshot.endpoints[0];
                let next = if reached { endpoint.models[0].next_probe } else { endpoint.next_probe };
                waits.extend(next.map(|at| at.saturating_duration_since(Instant::now())));
            }
            waits
        };
        let (outcomes, waits) = tokio::join!(run(&manager, 1_000), looks);
        all_succeeded(&outcomes);
        assert!(waits.len() > 10, "{reached}: {waits:?}");
        assert!(
            waits.iter().any(|wait| *wait > ms(500)) && waits.iter().all(|wait| *wait <= s(20)),
            "{waits:?}"
        );
    }
}
