//! Where a run sends to: a provider with its address and keys, or a simulated provider inside this process.

use std::time::Duration;

use outbound::{
    ClientBuilder, Endpoint, Hedging, Money, Provider, RequestManager, RequestManagerBuilder, ResponseCache,
    Route,
};
use outbound_simulator::Simulator;

use super::{keys::keys, survey::Job};
use crate::{
    args::{Concurrency, Run, Sending},
    exit::Stop,
    plan::read_prices,
    say,
    simulate::{self, Plan},
};

/// Where a run sends to, and how.
pub(crate) struct Target {
    pub(crate) builder: RequestManagerBuilder,
    /// The path of the base URL.
    pub(crate) base_path: String,
    /// The simulated provider, and its limits.
    pub(crate) simulator: Option<(Simulator, Plan)>,
    pub(crate) keys: Vec<String>,
}

impl Target {
    pub(crate) async fn of(arguments: &Run, job: Option<&Job>) -> Result<Self, Stop> {
        let mut target =
            if arguments.simulate { Self::simulated(arguments, job).await? } else { Self::real(arguments)? };
        target.builder = with_times(target.builder, arguments);
        target.builder = with_ways(target.builder, arguments)?;
        Ok(target)
    }

    fn real(arguments: &Run) -> Result<Self, Stop> {
        let provider = arguments.provider;
        let base_url = arguments.base_url.as_deref().or(provider.base_url());
        let base_url =
            base_url.ok_or_else(|| Stop::Usage(String::from("--provider http needs a --base-url")))?;
        let pem = match &arguments.ca {
            Some(path) => {
                let unreadable = |error| Stop::Usage(format!("--ca {}: {error}", path.display()));
                Some(std::fs::read(path).map_err(unreadable)?)
            }
            None => None,
        };
        let endpoint = |key: Option<String>| {
            let mut endpoint = with_limits(Endpoint::new(provider).base_url(base_url), arguments);
            if let Some(key) = key {
                endpoint = endpoint.key(key);
            }
            match pem.clone() {
                Some(pem) => endpoint.change_client(|client| client.add_root_pem(pem)),
                None => endpoint,
            }
        };
        let keys = keys(arguments, provider)?;
        let mut rest = keys.iter().cloned();
        let builder = RequestManager::builder().default_endpoint(endpoint(rest.next()));
        let builder = rest.fold(builder, |builder, key| builder.another_endpoint(endpoint(Some(key))));
        Ok(Self { builder, base_path: path_of(base_url), simulator: None, keys })
    }

    async fn simulated(arguments: &Run, job: Option<&Job>) -> Result<Self, Stop> {
        let job = job.ok_or_else(|| {
            Stop::Usage(String::from(
                "--simulate needs a file as its input: its limits depend on the number of lines",
            ))
        })?;
        let mut plan = Plan::for_job(job.requests, job.tokens);
        plan.requests_per_minute = arguments.rpm.unwrap_or(plan.requests_per_minute);
        plan.tokens_per_minute = arguments.tpm.unwrap_or(plan.tokens_per_minute);
        let simulator = plan.provider().build();
        let address = simulate::serve(&simulator, 0)
            .await
            .map_err(|error| Stop::Usage(format!("the simulator cannot listen on loopback: {error}")))?;
        if !arguments.quiet {
            say::line(format_args!("simulated provider at {address}: {plan}"));
        }
        let endpoint = Endpoint::new(Provider::openai_compatible())
            // The server is inside this process: no proxy can reach it.
            .change_client(ClientBuilder::no_proxy)
            .base_url(format!("http://{address}/v1"))
            .key("simulated")
            .requests_per_minute(plan.requests_per_minute)
            .tokens_per_minute(plan.tokens_per_minute);
        let builder = RequestManager::builder()
            .default_endpoint(with_limits(endpoint, arguments))
            .attempt_timeout(plan.attempt_timeout)
            .first_item_timeout(plan.first_item_timeout)
            .idle_timeout(plan.idle_timeout);
        Ok(Self {
            builder,
            base_path: String::from("/v1"),
            simulator: Some((simulator, plan)),
            keys: Vec::new(),
        })
    }
}

fn with_limits(mut endpoint: Endpoint, arguments: &Run) -> Endpoint {
    endpoint = match arguments.concurrency {
        Some(Concurrency::Fixed(requests)) => endpoint.max_concurrent(requests),
        Some(Concurrency::Auto) => endpoint.auto_concurrency(Concurrency::MOST),
        None => endpoint,
    };
    if let Some(requests) = arguments.rpm {
        endpoint = endpoint.requests_per_minute(requests);
    }
    match arguments.tpm {
        Some(tokens) => endpoint.tokens_per_minute(tokens),
        None => endpoint,
    }
}

fn with_times(builder: RequestManagerBuilder, arguments: &Run) -> RequestManagerBuilder {
    type Set = fn(RequestManagerBuilder, Duration) -> RequestManagerBuilder;
    let Sending { connect_timeout, first_item_timeout, idle_timeout, unreachable_timeout, .. } =
        arguments.sending;
    let times: [(Option<Duration>, Set); 6] = [
        (arguments.deadline, RequestManagerBuilder::deadline),
        (arguments.attempt_timeout, RequestManagerBuilder::attempt_timeout),
        (connect_timeout, RequestManagerBuilder::connect_timeout),
        (first_item_timeout, RequestManagerBuilder::first_item_timeout),
        (idle_timeout, RequestManagerBuilder::idle_timeout),
        (unreachable_timeout, RequestManagerBuilder::unreachable_timeout),
    ];
    let builder = times.into_iter().fold(builder, |builder, (time, set)| match time {
        Some(time) => set(builder, time),
        None => builder,
    });
    match arguments.max_attempts {
        Some(attempts) => builder.max_attempts(attempts),
        None => builder,
    }
}

/// Sets fallbacks, retries, the budget, and everything that saves calls.
fn with_ways(mut builder: RequestManagerBuilder, arguments: &Run) -> Result<RequestManagerBuilder, Stop> {
    let sending = &arguments.sending;
    for model in &sending.fallback {
        builder = builder.fallback(Route::model(model));
    }
    if sending.keep_going {
        builder = builder.stop_after_equal_refusals(None);
    }
    builder = builder.retry_ambiguous(!sending.no_retry_ambiguous).coalesce(sending.coalesce);
    if let Some(percentile) = sending.hedge {
        builder = builder.hedge(Hedging::at_percentile(percentile.into()));
    }
    if let Some(folder) = &sending.cache {
        builder = builder.cache(ResponseCache::folder(folder));
    }
    if let Some(path) = &arguments.prices {
        builder = builder.prices(read_prices(path)?);
    }
    Ok(match sending.budget {
        Some(dollars) => builder.budget(Money::dollars(dollars)),
        None => builder,
    })
}

/// The path of a URL: what follows the host, up to the query.
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
