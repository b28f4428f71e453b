//! `outbound run`: a file of requests in, a file of answers out.

use std::{cell::RefCell, path::Path, pin::pin, sync::Arc, time::Duration};

use futures::{FutureExt, Stream, StreamExt, future::FusedFuture};
use outbound::{ClientBuilder, ErrorKind, Provider, RequestManager, RequestManagerBuilder, Stopped};
use outbound_simulator::Simulator;
use tokio::time::Instant;

use crate::{
    args::{Concurrency, Run},
    exit::{ALL_SUCCEEDED, INTERRUPTED, REFUSED, SOME_FAILED, Stop},
    input::{Line, Reading},
    interrupt::Interrupt,
    output::{self, Output},
    plan,
    progress::Progress,
    say,
    simulate::{self, Plan},
    summary::Summary,
};

pub(crate) async fn run(arguments: Run) -> Result<u8, Stop> {
    if arguments.dry_run {
        return plan::plan(arguments.into()).await;
    }
    let interrupt = Interrupt::listen();
    // A file is read through once before anything is sent: a mistake on the last line costs nothing then.
    let (reading, job) = tokio::select! {
        survey = survey(&arguments) => survey?,
        () = interrupt.clone().times(1) => return Ok(INTERRUPTED),
    };
    let path = arguments
        .output
        .clone()
        .unwrap_or_else(|| output::default_path(&arguments.input, arguments.simulate));
    if is_same_file(&arguments.input, &path) {
        return Err(Stop::Usage(format!("{} is the input and the output", path.display())));
    }
    let replace = arguments.force || (arguments.simulate && arguments.output.is_none());
    let target = Target::of(&arguments, job.as_ref()).await?;
    let manager = target.builder.build().map_err(|error| Stop::Usage(error.to_string()))?;
    // The input first: nothing is replaced for a run that cannot begin.
    let lines = reading.lines().await?;
    let mut output = Output::open(&path, replace)?;

    let started = Instant::now();
    let mut summary = Summary::default();
    let mut progress = Progress::start(job.as_ref().map(|job| job.requests), arguments.quiet);
    let end = drive(lines, &target.base_path, &manager, &interrupt, &mut output, |outcome| {
        summary.add(outcome);
        progress.show(&summary);
    })
    .await;
    let end = end.map(|stopped| summary.stopped = stopped);
    summary.asked = job.as_ref().map(|job| job.requests);
    manager.shutdown(Duration::ZERO).await;
    progress.finish();
    summary.wall = started.elapsed();
    if let Some(simulator) = target.simulator {
        simulator.shutdown().await;
        if !arguments.quiet {
            say::line(simulate::seen(&simulator.ledger()));
        }
    }
    if !arguments.quiet {
        say::line(format_args!("{summary}\n{} answers written to {}", summary.done(), path.display()));
    }
    end?;
    Ok(match () {
        () if interrupt.asked() => INTERRUPTED,
        () if summary.key_or_money_refused() => REFUSED,
        () if summary.failed > 0 || summary.stopped.is_some() => SOME_FAILED,
        () => ALL_SUCCEEDED,
    })
}

/// Sends every line and writes every answer, until the input ends, or goes wrong, or the output does, or somebody
/// interrupts. Unless the output failed, attempts that are under way by then are brought to their end.
async fn drive(
    lines: impl Stream<Item = Result<Line, Stop>>,
    base_path: &str,
    manager: &RequestManager,
    interrupt: &Interrupt,
    output: &mut Output,
    mut done: impl FnMut(&outbound::Outcome),
) -> Result<Option<Stopped>, Stop> {
    let wrong = RefCell::new(None);
    let requests = lines
        .map(|line| line.map_err(|stop| drop(wrong.replace(Some(stop)))).ok())
        .take_while(|line| std::future::ready(line.is_some()))
        .filter_map(|line| std::future::ready(line.map(|line| line.into_request(base_path))))
        .take_until(interrupt.clone().times(1));
    let mut outcomes = Box::pin(manager.batch_stream(requests));
    let mut at_once = pin!(interrupt.clone().times(2));
    // Fused, since it is polled on after it is done.
    let closing = async {
        interrupt.clone().times(1).await;
        manager.shutdown(Duration::MAX).await
    };
    let mut closing = pin!(closing.fuse());
    loop {
        let outcome = tokio::select! {
            biased;
            () = at_once.as_mut() => break,
            _ = closing.as_mut(), if !closing.is_terminated() => continue,
            outcome = outcomes.next() => outcome,
        };
        let Some(outcome) = outcome else { break };
        // What an interrupt kept from its answer has no line: that is for another run.
        if outcome.error_kind() != Some(ErrorKind::ShutDown) {
            output.write(&outcome)?;
        }
        done(&outcome);
    }
    wrong.take().map_or_else(|| Ok(outcomes.stopped()), Err)
}

/// What a job is made of.
#[derive(Debug, Default)]
struct Job {
    requests: u64,
    tokens: u64,
}

/// Reads the input through, if it can be read twice.
async fn survey(arguments: &Run) -> Result<(Arc<Reading>, Option<Job>), Stop> {
    let (provider, base_url) = (arguments.provider, arguments.base_url.as_deref());
    let reading =
        Reading::new(&arguments.input, &arguments.forms, arguments.part, provider, base_url).await?;
    if !reading.can_be_read_twice() {
        return Ok((reading, None));
    }
    let mut job = Job::default();
    let mut lines = pin!(reading.lines().await?);
    while let Some(line) = lines.next().await {
        let estimate = line?.check()?.estimate;
        job.requests += 1;
        job.tokens = job.tokens.saturating_add(estimate.input).saturating_add(estimate.output);
    }
    Ok((reading, Some(job)))
}

/// Whom a run speaks to.
struct Target {
    builder: RequestManagerBuilder,
    /// The path of the base URL.
    base_path: String,
    simulator: Option<Simulator>,
}

impl Target {
    async fn of(arguments: &Run, job: Option<&Job>) -> Result<Self, Stop> {
        let mut target =
            if arguments.simulate { Self::simulated(arguments, job).await? } else { Self::real(arguments)? };
        let mut builder = target.builder;
        builder = match arguments.concurrency {
            Some(Concurrency::Fixed(requests)) => builder.max_concurrent(requests),
            Some(Concurrency::Auto) => builder.auto_concurrency(Concurrency::MOST),
            None => builder,
        };
        if let Some(requests) = arguments.rpm {
            builder = builder.requests_per_minute(requests);
        }
        if let Some(tokens) = arguments.tpm {
            builder = builder.tokens_per_minute(tokens);
        }
        if let Some(deadline) = arguments.deadline {
            builder = builder.deadline(deadline);
        }
        if let Some(timeout) = arguments.attempt_timeout {
            builder = builder.attempt_timeout(timeout);
        }
        if let Some(attempts) = arguments.max_attempts {
            builder = builder.max_attempts(attempts);
        }
        target.builder = builder;
        Ok(target)
    }

    fn real(arguments: &Run) -> Result<Self, Stop> {
        let provider = arguments.provider;
        let base_url = arguments.base_url.as_deref().or(provider.base_url());
        let base_url =
            base_url.ok_or_else(|| Stop::Usage(String::from("--provider http needs a --base-url")))?;
        let key = key(arguments, provider)?;
        let mut builder = RequestManager::builder().provider(provider).base_url(base_url);
        if let Some(key) = key {
            builder = builder.key(key);
        }
        if let Some(path) = &arguments.ca {
            let unreadable = |error| Stop::Usage(format!("--ca {}: {error}", path.display()));
            let pem = std::fs::read(path).map_err(unreadable)?;
            builder = builder.change_client(|client| client.add_root_pem(pem));
        }
        Ok(Self { builder, base_path: path_of(base_url), simulator: None })
    }

    async fn simulated(arguments: &Run, job: Option<&Job>) -> Result<Self, Stop> {
        let job = job
            .ok_or_else(|| Stop::Usage(String::from("--simulate needs a file, to scale the limits to it")))?;
        let mut plan = Plan::for_job(job.requests, job.tokens);
        plan.requests_per_minute = arguments.rpm.unwrap_or(plan.requests_per_minute);
        plan.tokens_per_minute = arguments.tpm.unwrap_or(plan.tokens_per_minute);
        let provider = simulate::provider(plan.requests_per_minute, plan.tokens_per_minute, 1);
        let simulator = simulate::with_faults(provider).build();
        let address = simulate::serve(&simulator, 0)
            .await
            .map_err(|error| Stop::Usage(format!("the simulator cannot listen on loopback: {error}")))?;
        if !arguments.quiet {
            say::line(format_args!("simulated provider at {address}: {plan}"));
        }
        let builder = RequestManager::builder()
            .provider(Provider::openai_compatible())
            // It is inside this process, whatever proxy there is for the world outside.
            .change_client(ClientBuilder::no_proxy)
            .base_url(format!("http://{address}/v1"))
            .key("simulated")
            .requests_per_minute(plan.requests_per_minute)
            .tokens_per_minute(plan.tokens_per_minute)
            .attempt_timeout(plan.attempt_timeout)
            .first_item_timeout(plan.first_item_timeout)
            .idle_timeout(plan.idle_timeout);
        Ok(Self { builder, base_path: String::from("/v1"), simulator: Some(simulator) })
    }
}

/// Whether two paths name one file that is there, be it by a link.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => (one == other && one.is_file()) || is_hard_link(&one, &other),
        _ => false,
    }
}

#[cfg(unix)]
fn is_hard_link(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// The standard library has no stable way to ask there.
#[cfg(not(unix))]
fn is_hard_link(_one: &Path, _other: &Path) -> bool {
    false
}

/// The key from the environment. The customary variable holds a key for the provider's own address: to any other it is
/// sent only if it is named.
fn key(arguments: &Run, provider: Provider) -> Result<Option<String>, Stop> {
    let Some(name) = arguments.key_env.as_deref().or(provider.key_env()) else { return Ok(None) };
    let key = std::env::var_os(name)
        .map(|key| key.to_string_lossy().trim().to_owned())
        .filter(|key| !key.is_empty());
    if arguments.base_url.is_some() && arguments.key_env.is_none() {
        if key.is_some() && !arguments.quiet {
            say::line(format_args!("{name} is set, and not sent to --base-url; --key-env {name} sends it"));
        }
        return Ok(None);
    }
    let Some(key) = key else {
        return Err(Stop::Usage(format!("no key: the environment variable {name} is not set")));
    };
    match key.chars().position(|character| !matches!(character, ' '..='~')) {
        None => Ok(Some(key)),
        Some(before) => Err(Stop::Usage(format!(
            "the key in {name} has a character that a header cannot carry, at place {} of {}",
            before + 1,
            key.chars().count()
        ))),
    }
}

/// The path of an address: what stands after its host, up to a query.
fn path_of(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |slash| &after_scheme[slash..]);
    path.split(['?', '#']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_address() {
        assert_eq!(path_of("http://127.0.0.1:8000/v1"), "/v1");
        assert_eq!(path_of("http://127.0.0.1:8000"), "");
        assert_eq!(path_of("https://h/a/b/?q=/x"), "/a/b/");
    }
}
