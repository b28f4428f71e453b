//! Timeouts: how long to wait, for what, and which limit it was that ended the wait.
//!
//! ```sh
//! cargo run --example timeouts
//! ```
//!
//! It runs on tokio's paused clock: where every task waits, time jumps to the next timer. So the waits are exact, and
//! minutes take no time. The last section speaks HTTP over a pipe in memory, because a socket does not obey that clock.

use std::{future::pending, io, time::Duration};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use outbound::{
    client::{Client, Limit as Phase, Limits, Origin},
    retry::{Retry, Wait, policy::AttemptTimeout},
    timeout::{
        Counts, Deadline, Elapsed, Limit, StreamLimits, StreamTimeoutExt, TimeoutExt, TimeoutHandle, timeout,
        timeout_with,
    },
};
use outbound_examples::{Result, heading};
use outbound_simulator::{Fault, Simulator};
use serde_json::json;
use tokio::time::{Instant, sleep};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    basic().await?;
    per_operation().await?;
    dynamic().await?;
    tiered().await?;
    one_deadline_for_all().await?;
    moved_while_it_runs().await?;
    with_retries().await?;
    streams().await?;
    phases_of_a_request().await
}

/// Stands for any work that takes this long.
async fn work(time: Duration) -> &'static str {
    sleep(time).await;
    "done"
}

async fn basic() -> Result {
    heading("Basic: no longer than two seconds");
    let answer = timeout(Duration::from_secs(2), work(Duration::from_secs(1))).await?;
    println!("one second of work: {answer}");

    let begun = Instant::now();
    let late = work(Duration::from_secs(60)).timeout(Duration::from_secs(2)).await;
    println!("a minute of work: {} (after {:?})", fired(late)?, begun.elapsed());
    assert_eq!(begun.elapsed().as_secs(), 2);
    Ok(())
}

async fn per_operation() -> Result {
    heading("Per operation: what is normal for one is too long for another");
    // Limits are plain data, so they can stand together where everyone sees them.
    const LIMITS: [(&str, Duration, Duration); 3] = [
        ("look up", Duration::from_millis(500), Duration::from_millis(20)),
        ("embed", Duration::from_secs(5), Duration::from_secs(1)),
        ("generate", Duration::from_secs(60), Duration::from_secs(90)),
    ];
    for (operation, limit, takes) in LIMITS {
        let result = work(takes).timeout(limit).await;
        assert_eq!(result.is_err(), operation == "generate");
        match result {
            Ok(done) => println!("{operation}: {done}"),
            Err(elapsed) => println!("{operation}: {elapsed}"),
        }
    }
    Ok(())
}

async fn dynamic() -> Result {
    heading("Dynamic: by the size of the answer");
    // So much, plus so much per token. The saturating kind of arithmetic does not panic on an absurd request.
    fn limit_for(max_tokens: u32) -> Duration {
        Duration::from_millis(20).saturating_mul(max_tokens).saturating_add(Duration::from_secs(10))
    }
    // A provider that needs 15 ms for a token, and one that has slowed down to 40 ms.
    for (max_tokens, per_token) in [(100, 15), (4_000, 15), (4_000, 40)] {
        let generation = work(Duration::from_millis(per_token) * max_tokens);
        let done = generation.timeout(limit_for(max_tokens)).await;
        println!(
            "{max_tokens} tokens at {per_token} ms within {:?}: {}",
            limit_for(max_tokens),
            done.is_ok()
        );
        assert_eq!(done.is_ok(), per_token == 15);
    }
    Ok(())
}

async fn tiered() -> Result {
    heading("Tiered: limits inside limits, and which of them fired");
    // Joined by method calls they are one future with one timer, and the error says which limit it was.
    let whole = Deadline::after(Duration::from_secs(5));
    for attempt in 1.. {
        let late = work(Duration::from_secs(60)).timeout(Duration::from_secs(2)).deadline(whole).await;
        let elapsed = fired(late)?;
        println!("attempt {attempt}: {elapsed}");
        if elapsed.limit() == Limit::Deadline {
            assert_eq!(attempt, 3, "two seconds, two seconds, and the one that was left");
            break;
        }
    }

    // Limits in different functions nest, and the types tell them apart.
    async fn step() -> Result<&'static str, Elapsed> {
        work(Duration::from_secs(60)).timeout(Duration::from_secs(1)).await
    }
    match timeout(Duration::from_secs(3), step()).await {
        Err(outer) => return Err(format!("the inner limit is the shorter one, but {outer}").into()),
        Ok(inner) => println!("nested: the inner one, {}", fired(inner)?),
    }

    // A limit need not be a time: a stop button, a closed channel, any future will do.
    let stop = sleep(Duration::from_secs(3));
    let stopped = pending::<()>().until(stop).timeout(Duration::from_secs(10)).await?;
    println!("until something else happens: stopped = {}", stopped.is_err());
    assert!(stopped.is_err());
    Ok(())
}

async fn one_deadline_for_all() -> Result {
    heading("One deadline for all the steps of a job");
    // A deadline is an instant. It is fixed here and handed down. A duration in each step would begin anew.
    async fn search(deadline: Deadline) -> Result<&'static str, Elapsed> {
        // A step may have an earlier deadline for itself, never a later one.
        work(Duration::from_secs(3)).deadline(deadline.min(Deadline::after(Duration::from_secs(4)))).await
    }
    async fn answer(deadline: Deadline) -> Result<&'static str, Elapsed> {
        println!("left for the answer: {:?}", deadline.remaining());
        work(Duration::from_secs(9)).deadline(deadline).await
    }
    let begun = Instant::now();
    let deadline = Deadline::after(Duration::from_secs(10));
    search(deadline).await?;
    println!("{}", fired(answer(deadline).await)?);
    assert_eq!(begun.elapsed().as_secs(), 10);
    Ok(())
}

async fn moved_while_it_runs() -> Result {
    heading("A limit that is moved while the work runs");
    let begun = Instant::now();
    // Five seconds to the first part, which says how many follow: five more seconds for each of them.
    let done = timeout_with(Deadline::after(Duration::from_secs(5)), async |limit: TimeoutHandle| {
        work(Duration::from_secs(4)).await;
        for _ in 0..3 {
            limit.set(Deadline::after(Duration::from_secs(5)));
            work(Duration::from_secs(4)).await;
        }
    });
    done.await?;
    println!("four parts in {:?}", begun.elapsed());
    assert_eq!(begun.elapsed().as_secs(), 16);
    Ok(())
}

async fn with_retries() -> Result {
    heading("With retries: so long for each attempt, so long for everything");
    const POLICY: Retry<AttemptTimeout> = Retry::attempts(5)
        .within(Duration::from_secs(12))
        .wait(Wait::fixed(Duration::from_secs(1)))
        .attempt_timeout(Duration::from_secs(4));
    let begun = Instant::now();
    // An attempt ends at its own limit or at that of the whole call, whichever is earlier. Any error that can be made from
    // a limit that has passed will do; `io::Error` can.
    let late = POLICY.call(async |attempt| {
        println!("attempt {} begins after {:?}", attempt.number(), begun.elapsed());
        Ok::<_, io::Error>(work(Duration::from_secs(60)).await)
    });
    let error = late.await.err().ok_or("it takes too long")?;
    println!("{error} (after {:?})", begun.elapsed());
    assert_eq!(begun.elapsed().as_secs(), 12, "4 + 1 + 4 + 1, and 2 that were left for the third attempt");
    Ok(())
}

async fn streams() -> Result {
    heading("Streams: the first item, the silence between two, the whole");
    /// Tokens after these many seconds each, and then silence.
    fn tokens(seconds: &'static [u64]) -> impl Stream<Item = &'static str> + Unpin {
        let waits = stream::iter(seconds).then(|wait| work(Duration::from_secs(*wait)));
        Box::pin(waits.chain(stream::pending()))
    }
    let limits = StreamLimits::new()
        .first_item(Duration::from_secs(30))
        .idle(Duration::from_secs(10))
        .total(Duration::from_secs(60));
    for (name, seconds, limit) in [
        ("never begins", &[][..], Limit::FirstItem),
        ("begins late, then stalls", &[25, 1, 1], Limit::Idle),
        ("never ends", &[5; 100], Limit::Total),
    ] {
        let items: Vec<_> = tokens(seconds).limits(limits).collect().await;
        let (last, before) = items.split_last().ok_or("a limit is the last item")?;
        println!("{name}: {} items, {}", before.len(), fired(*last)?);
        assert_eq!(fired(*last)?.limit(), limit);
    }

    // Comments and pings keep a connection open. They are no first item of an answer.
    let pings = stream::repeat(()).then(|()| work(Duration::from_secs(9))).map(|_| ": ping");
    let counts = |line: &&str| if line.starts_with(':') { Counts::Activity } else { Counts::Item };
    let limited = pings.limits(limits).counting(counts);
    let last = limited.collect::<Vec<_>>().await.pop().ok_or("a limit is the last item")?;
    println!("nothing but pings: {}", fired(last)?);
    assert_eq!(fired(last)?.limit(), Limit::FirstItem);
    Ok(())
}

async fn phases_of_a_request() -> Result {
    heading("Phases of an HTTP request");
    for (fault, phase) in [(Fault::Silence, Phase::FirstByte), (Fault::Stall { after: 2 }, Phase::Idle)] {
        let name = fault.to_string();
        let provider = Simulator::builder().fault(fault, 1.0).build();
        let server = provider.clone();
        let client = Client::builder()
            .base_url("http://provider.test/v1")
            .connector(move |_: &Origin| std::future::ready(Ok(server.connect())))
            .limits(Limits::new().first_byte(Duration::from_secs(60)).idle(Duration::from_secs(15)))
            .build()?;
        let question =
            json!({"model": "small", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]});
        let ask = async {
            let events = client.post("/chat/completions").json(&question).send().await?.events()?;
            events.try_collect::<Vec<_>>().await
        };
        let error = ask.await.err().ok_or("the provider is silent")?;
        println!("{name}: {error}");
        assert_eq!(error.limit().map(|(limit, _)| limit), Some(phase));
        provider.shutdown().await;
    }
    Ok(())
}

/// The limit that fired, where one must have.
fn fired<T>(result: Result<T, Elapsed>) -> Result<Elapsed> {
    result.err().ok_or_else(|| "no limit fired".into())
}
