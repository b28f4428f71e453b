//! Resources: what is opened is closed, in order, on every way out of the block that uses it.
//!
//! ```sh
//! cargo run --example resources
//! ```
//!
//! It runs on tokio's paused clock: where every task waits, time jumps to the next timer. A simulated provider is
//! reached over a pipe in memory, because a socket does not obey that clock.

use std::{any::Any, fmt::Debug, future::ready, panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt, future::join_all};
use outbound::{
    Client, Error, ErrorKind, Origin, Outcome, Provider, Request, RequestManager, RequestManagerBuilder,
    timeout::{Elapsed, TimeoutExt},
};
use outbound_examples::{Result, heading};
use outbound_simulator::{Latency, Simulator};
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result {
    println!("(on the paused clock)");
    // Each request takes ten seconds at this provider.
    let provider =
        Simulator::builder().latency(Latency::fixed(Duration::from_secs(10))).output_tokens(4..=8).build();
    scoped_session(&provider).await?;
    every_way_out(&provider).await?;
    nesting(&provider).await?;
    orderly_close(&provider).await?;
    a_resource_of_ones_own().await?;
    provider.shutdown().await;
    Ok(())
}

fn builder(provider: &Simulator) -> RequestManagerBuilder {
    let provider = provider.clone();
    RequestManager::builder()
        .provider(Provider::openai_compatible())
        .base_url("http://provider.test/v1")
        .client(Client::builder().connector(move |_: &Origin| ready(Ok(provider.connect()))))
        .max_concurrent(4)
}

fn question(text: &str) -> Request {
    Request::chat(&json!({"model": "small", "messages": [{"role": "user", "content": text}]})).id(text)
}

async fn scoped_session(provider: &Simulator) -> Result {
    heading("A scoped session: connections, quotas and workers end with the block");
    let (answer, leaked) = RequestManager::scope(builder(provider), async |manager| {
        let outcome = manager.send(question("Name three rivers.")).await;
        (outcome.result, manager)
    })
    .await?;
    println!("the block gave {:?}", answer?.content());

    // A handle that gets out of the block is of no use any more.
    let outcome = leaked.send(question("And three lakes.")).await;
    println!("after the block: {}", kind(&outcome).ok_or("the manager is shut down")?);
    assert_eq!(kind(&outcome), Some(ErrorKind::ShutDown));
    Ok(())
}

async fn every_way_out(provider: &Simulator) -> Result {
    heading("Every way out of the block cuts off what was left behind in it");
    std::panic::set_hook(Box::new(|_| println!("  (the block panics)")));
    for way in ["returns", "fails", "panics", "is dropped"] {
        let (tell, told) = oneshot::channel();
        let block = RequestManager::scope(builder(provider), async move |manager| {
            // A task that nobody waits for, in the middle of a request.
            tokio::spawn(async move { tell.send(manager.send(question("Anyone?")).await) });
            sleep(Duration::from_secs(1)).await;
            match way {
                "returns" => Ok(()),
                "fails" => Err("out of luck"),
                "panics" => panic!("to show that the scope ends all the same"),
                _ => std::future::pending().await,
            }
        });
        let begun = Instant::now();
        let ended = AssertUnwindSafe(block.timeout(Duration::from_secs(2))).catch_unwind().await;
        // Not after the ten seconds that the request would have taken.
        let outcome = told.await?;
        println!("the block {way}: {}, the request {}", describe(&ended), kind(&outcome).ok_or("cut off")?);
        assert_eq!(kind(&outcome), Some(ErrorKind::ShutDown));
        assert!(begun.elapsed() <= Duration::from_secs(2));
    }
    let _ = std::panic::take_hook();
    Ok(())
}

async fn nesting(provider: &Simulator) -> Result {
    heading("Nesting: the inner block ends first, the outer one goes on");
    let (inner, outer) = RequestManager::scope(builder(provider), async |outer| {
        // A stricter manager for one part of the work.
        let strict = builder(provider).max_concurrent(1).deadline(Duration::from_secs(5));
        let inner =
            RequestManager::scope(strict, async |inner| inner.send(question("In five seconds?")).await).await;
        (inner, outer.send(question("In a minute?")).await)
    })
    .await?;
    let inner = inner?;
    println!("inner: {:?}, then outer: {:?}", kind(&inner), kind(&outer));
    assert_eq!((kind(&inner), kind(&outer)), (Some(ErrorKind::Deadline), None));
    Ok(())
}

async fn orderly_close(provider: &Simulator) -> Result {
    heading("An orderly close: nothing new is sent, what is under way has a while to finish");
    let manager = builder(provider).build()?;
    let mut tickets = Vec::new();
    for number in 1..=6 {
        tickets.push(manager.submit(question(&format!("question {number}"))).await?);
    }
    // Four are under way, two wait for their turn.
    sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    let report = manager.shutdown(Duration::from_secs(30)).await;
    println!("shut down after {:?}, {} cut off", begun.elapsed(), report.aborted);
    let outcomes = join_all(tickets).await;
    for outcome in &outcomes {
        // What was never sent can be sent again safely.
        println!(
            "  {}: {:?}, sent {} times",
            outcome.id.as_deref().unwrap_or("?"),
            kind(outcome),
            outcome.sends
        );
        assert_eq!(u32::from(outcome.result.is_ok()), outcome.sends);
    }
    let done = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    assert_eq!((done, report.aborted, begun.elapsed().as_secs()), (4, 0, 5));

    let refused = manager.submit(question("one more")).await.err().ok_or("it is shut down")?;
    println!("{refused}; {:?} comes back", refused.0.get_id());
    Ok(())
}

async fn a_resource_of_ones_own() -> Result {
    heading("A resource of one's own that needs to await to be closed");
    let server = Server::default();
    std::panic::set_hook(Box::new(|_| println!("  (the work panics)")));
    for way in ["returns", "fails", "panics", "is dropped"] {
        let work = with_session(&server, async |session| {
            session.say("hello").await;
            match way {
                "returns" => Ok(()),
                "fails" => Err("out of luck"),
                "panics" => panic!("to show that the session is closed all the same"),
                _ => std::future::pending().await,
            }
        });
        let ended = AssertUnwindSafe(work.timeout(Duration::from_secs(1))).catch_unwind().await;
        // A block that was dropped cannot wait for the goodbye. The owner of the server can.
        server.open.subscribe().wait_for(|open| *open == 0).await?;
        println!("the work {way}: {}, no session is open", describe(&ended));
    }
    let _ = std::panic::take_hook();
    assert_eq!(*server.open.borrow(), 0);
    Ok(())
}

/// Something that sessions are held with. It counts those that are open.
#[derive(Default)]
struct Server {
    open: watch::Sender<u32>,
}

/// A session that wants a goodbye. `Drop` cannot await, so the session lives in a task of its own, which says goodbye
/// once nobody holds the other end: whether that was dropped by a return, an error, a panic or a cancellation.
struct Session(mpsc::Sender<String>);

impl Session {
    async fn say(&self, text: &str) {
        // It fails only if the task has ended.
        let _ = self.0.send(text.to_owned()).await;
    }
}

async fn with_session<T>(server: &Server, work: impl AsyncFnOnce(&Session) -> T) -> T {
    let open = server.open.clone();
    open.send_modify(|open| *open += 1);
    let (session, mut said) = mpsc::channel(8);
    let task = tokio::spawn(async move {
        while let Some(text) = said.recv().await {
            println!("  > {text}");
        }
        sleep(Duration::from_millis(300)).await;
        println!("  > goodbye");
        open.send_modify(|open| *open -= 1);
    });
    let session = Session(session);
    let value = work(&session).await;
    // The usual end: drop the session, and wait until it is closed.
    drop(session);
    let _ = task.await;
    value
}

fn kind(outcome: &Outcome) -> Option<ErrorKind> {
    outcome.result.as_ref().err().map(Error::kind)
}

/// How a block ended that may have panicked, or have been dropped by its timeout.
fn describe<T: Debug>(ended: &Result<Result<T, Elapsed>, Box<dyn Any + Send>>) -> String {
    match ended {
        Ok(Ok(value)) => format!("{value:?}"),
        Ok(Err(_)) => "dropped".to_owned(),
        Err(_) => "the panic goes on".to_owned(),
    }
}
