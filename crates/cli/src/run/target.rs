//! Whom a run speaks to: its provider, its address, its key; or a simulated provider inside this process.

use outbound::{ClientBuilder, Provider, RequestManager, RequestManagerBuilder};
use outbound_simulator::Simulator;

use super::survey::Job;
use crate::{
    args::{Concurrency, Run},
    exit::Stop,
    say,
    simulate::{self, Plan},
};

/// Whom a run speaks to.
pub(super) struct Target {
    pub(super) builder: RequestManagerBuilder,
    /// The path of the base URL.
    pub(super) base_path: String,
    pub(super) simulator: Option<Simulator>,
}

impl Target {
    pub(super) async fn of(arguments: &Run, job: Option<&Job>) -> Result<Self, Stop> {
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
