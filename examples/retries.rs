//! Retries: which failures are worth another attempt, how long to wait before it, and when to stop.
//!
//! ```sh
//! cargo run --example retries
//! ```
//!
//! It runs on tokio's paused clock: where every task waits, time jumps to the next timer. So the waits are exact, and
//! minutes take no time.

use std::{pin::pin, time::Duration};

use futures::{StreamExt, stream};
use outbound::retry::{
    Attempt, Elapsed, Hint, Judged, Retry, Verdict, Wait, bail,
    policy::{AttemptTimeout, When},
};
use outbound_examples::{Flaky, heading};
use tokio::time::{Instant, sleep};

/// Policies are plain data. Named and side by side they can be read, compared and reviewed.
const INTERACTIVE: Retry = Retry::attempts(3).wait(Wait::fixed(Duration::from_millis(200)));
const PATIENT: Retry = Retry::attempts(8)
    .within(Duration::from_secs(600))
    .wait(Wait::exponential(Duration::from_secs(1)).max(Duration::from_secs(30)).full_jitter());
const POLLING: Retry =
    Retry::forever().within(Duration::from_secs(300)).wait(Wait::fixed(Duration::from_secs(5)));

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ApiError> {
    println!("(on the paused clock)");
    basic().await?;
    exponential_with_jitter().await?;
    other_waits();
    by_condition().await?;
    by_what_the_server_says().await?;
    by_result().await?;
    by_the_operation_itself().await?;
    with_a_limit_for_each_attempt().await?;
    hooks().await?;
    the_loop_written_out().await?;
    streams().await
}

/// What the service of this program fails with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ApiError {
    Overloaded,
    RateLimited { retry_after: Duration },
    BadRequest,
    TimedOut,
}

impl From<Elapsed> for ApiError {
    fn from(_: Elapsed) -> Self {
        Self::TimedOut
    }
}

impl ApiError {
    fn is_transient(&self) -> bool {
        !matches!(self, Self::BadRequest)
    }

    /// A verdict says more than yes or no: here, that the server asked for the wait.
    fn verdict(&self) -> Verdict {
        match self {
            Self::Overloaded | Self::TimedOut => Verdict::Retry,
            Self::RateLimited { retry_after } => Verdict::RetryAfter(*retry_after),
            Self::BadRequest => Verdict::Stop,
        }
    }
}

async fn basic() -> Result<(), ApiError> {
    heading("Basic: three attempts");
    let service = Flaky::failing(2, ApiError::Overloaded);
    let answer = INTERACTIVE.call(|_| service.call()).await?;
    println!("{answer} at attempt {}", service.calls());
    assert_eq!(service.calls(), 3);

    // When it gives up, the error is the service's own, not a wrapper of it.
    let service = Flaky::failing(99, ApiError::Overloaded);
    let error = INTERACTIVE.call(|_| service.call()).await;
    println!("after {} attempts: {error:?}", service.calls());
    assert_eq!(error, Err(ApiError::Overloaded));
    Ok(())
}

async fn exponential_with_jitter() -> Result<(), ApiError> {
    heading("Exponential, with jitter: so that those who failed together do not return together");
    for client in 1..=3 {
        let service = Flaky::failing(5, ApiError::Overloaded);
        let mut waits = Vec::new();
        // Each call draws its own jitter. A seed makes it repeat, which this program wants and yours most likely not.
        let call = PATIENT.seed(client).before_sleep(|_, wait| waits.push(wait));
        call.call(|_| service.call()).await?;
        println!("client {client} waited {waits:.2?}");
        // Full jitter draws from all of 0 to 1, 2, 4, 8, 16 s.
        assert!(waits.iter().zip([1, 2, 4, 8, 16]).all(|(wait, most)| wait.as_secs_f64() <= f64::from(most)));
    }
    Ok(())
}

fn other_waits() {
    heading("Other waits, looked at before they are used");
    const S: Duration = Duration::from_secs(1);
    const STEPS: [Duration; 3] = [S, Duration::from_secs(5), Duration::from_secs(30)];
    for (name, wait) in [
        ("incrementing", Wait::incrementing(S, Duration::from_secs(2))),
        ("exponential by 3, at most 20 s", Wait::exponential(S).factor(3.0).max(Duration::from_secs(20))),
        ("fibonacci", Wait::fibonacci(S)),
        ("steps, then the last one again", Wait::steps(&STEPS)),
        ("random", Wait::random(S, Duration::from_secs(3))),
        ("exponential, equal jitter", Wait::exponential(S).equal_jitter()),
        ("exponential, decorrelated jitter", Wait::exponential(S).decorrelated_jitter()),
    ] {
        let waits: Vec<_> = wait.iter(1).take(5).collect();
        println!("{name}: {waits:.1?}");
        assert!(waits[0] >= S.mul_f64(0.5));
    }
}

async fn by_condition() -> Result<(), ApiError> {
    heading("By condition: what cannot go away is not tried again");
    let service = Flaky::failing(1, ApiError::BadRequest);
    let error = PATIENT.when(ApiError::is_transient).call(|_| service.call()).await;
    println!("{error:?} after {} attempt", service.calls());
    assert_eq!(service.calls(), 1);
    Ok(())
}

async fn by_what_the_server_says() -> Result<(), ApiError> {
    heading("By what the server says: come back in 20 s");
    let begun = Instant::now();
    let service = Flaky::failing(1, ApiError::RateLimited { retry_after: Duration::from_secs(20) });
    PATIENT.when(ApiError::verdict).call(|_| service.call()).await?;
    println!("answered after {:?}", begun.elapsed());
    assert!(begun.elapsed() >= Duration::from_secs(20));

    // A server that asks for an hour is told no, at once.
    let impatient = PATIENT.hint(Hint::Exact).give_up_beyond(Duration::from_secs(60));
    let service = Flaky::failing(1, ApiError::RateLimited { retry_after: Duration::from_secs(3600) });
    let begun = Instant::now();
    let error = impatient.when(ApiError::verdict).call(|_| service.call()).await;
    println!("given up after {:?}: {error:?}", begun.elapsed());
    assert!(error.is_err() && begun.elapsed() < Duration::from_secs(1));
    Ok(())
}

async fn by_result() -> Result<(), ApiError> {
    heading("By result: the call succeeds, and the answer is not ready yet");
    // The state of a batch job at the provider. It is asked for until the job is done.
    let states = ["queued", "running", "running", "done"];
    let begun = Instant::now();
    let state = POLLING
        .when(ApiError::is_transient)
        .when_ok(|state: &&str| *state != "done")
        .call(|attempt| async move { Ok::<_, ApiError>(states[attempt.number() as usize - 1]) });
    println!("{} after {:?}", state.await?, begun.elapsed());
    assert_eq!(begun.elapsed().as_secs(), 15);
    Ok(())
}

async fn by_the_operation_itself() -> Result<(), ApiError> {
    heading("By the operation itself: it bails out, whatever the policy says");
    let service = Flaky::failing(9, ApiError::Overloaded);
    let call = PATIENT.when(Judged::verdict).call(async |attempt| match service.call().await {
        Err(error) if attempt.number() == 2 => Err(bail(error)),
        result => Ok(result?),
    });
    let error = call.await.map_err(Judged::into_error);
    println!("{error:?} after {} attempts", service.calls());
    assert_eq!((error, service.calls()), (Err(ApiError::Overloaded), 2));
    Ok(())
}

/// A policy with its rules is a value: here it is kept in a `static`.
static IN_TIME: Retry<When<ApiError, AttemptTimeout>> =
    INTERACTIVE.attempt_timeout(Duration::from_secs(2)).when(ApiError::is_transient);

async fn with_a_limit_for_each_attempt() -> Result<(), ApiError> {
    heading("With a limit for each attempt: the first is stuck, the second is not");
    let begun = Instant::now();
    let call = IN_TIME.call(async |attempt| {
        let takes = if attempt.is_retry() { 1 } else { 3600 };
        sleep(Duration::from_secs(takes)).await;
        Ok(attempt.number())
    });
    // It owns its policy, so that a task can have it.
    let number = tokio::spawn(call).await.expect("the task does not panic")?;
    println!("attempt {number} succeeded after {:?}", begun.elapsed());
    assert_eq!((number, begun.elapsed().as_millis()), (2, 3_200));
    Ok(())
}

async fn hooks() -> Result<(), ApiError> {
    heading("Hooks: see each wait, change it, stop");
    let service = Flaky::failing(99, ApiError::Overloaded);
    let call = PATIENT
        .when(ApiError::is_transient)
        .seed(4)
        // A closure can change the wait: here, to whole seconds.
        .wait_with(|_, wait| Duration::from_secs(wait.as_secs() + 1))
        .stop_when(|failed| failed.number() == 4)
        .before_sleep(|failed, wait| {
            println!("attempt {}: {:?}, next in {wait:?}", failed.number(), failed.error());
        });
    let error = call.call(|_| service.call()).await;
    println!("{error:?}");
    assert_eq!(service.calls(), 4);
    Ok(())
}

async fn the_loop_written_out() -> Result<(), ApiError> {
    heading("The loop written out: for attempts that borrow what they change");
    /// Loads pages until one fails; those it has, it keeps.
    async fn load(pages: &mut Vec<u32>, service: &Flaky<ApiError>) -> Result<(), ApiError> {
        while pages.len() < 4 {
            service.call().await?;
            pages.push(pages.len() as u32 + 1);
            // After each page the next call fails once.
            service.fail_again(1);
        }
        Ok(())
    }
    let (service, mut pages) = (Flaky::failing(0, ApiError::Overloaded), Vec::new());
    let mut attempts = INTERACTIVE.max_attempts(10).start();
    while let Err(error) = load(&mut pages, &service).await {
        println!("{error:?} with {} pages", pages.len());
        // It waits, or gives the error back where it gives up.
        attempts.failed_as(error.verdict(), error).await?;
    }
    println!("{pages:?} in {} attempts", attempts.report().attempts());
    assert_eq!((pages.len(), attempts.report().attempts()), (4, 4));
    Ok(())
}

async fn streams() -> Result<(), ApiError> {
    heading("Streams: opened again until the first item has come, and never after it");
    // The first attempt fails before its first item, the second one after two items.
    let open = |attempt: Attempt| {
        stream::iter(match attempt.number() {
            1 => vec![Err(ApiError::Overloaded)],
            _ => vec![Ok("Name"), Ok(" three"), Err(ApiError::TimedOut)],
        })
    };
    let mut items = pin!(INTERACTIVE.when(ApiError::is_transient).stream(open));
    let mut text = String::new();
    let error = loop {
        match items.next().await {
            Some(Ok(item)) => text.push_str(item),
            Some(Err(error)) => break error,
            None => unreachable!("it ends with an error"),
        }
    };
    println!("{text:?}, then {error:?}; {} attempts", items.report().attempts());
    assert_eq!((text.as_str(), error), ("Name three", ApiError::TimedOut));
    Ok(())
}
