//! An incident of the field as a file: what is asked, how the server behaves, and what the result has to be.

use std::fmt;

use serde::Deserialize;

use crate::Builder;

mod expect;
mod server;
mod time;
mod workload;

pub use self::{expect::Expect, workload::Workload as ScenarioWorkload};

/// A scenario, read from TOML: `[workload]`, `[server]` and `[expect]` side by side.
///
/// All times are text such as `250ms`, `30s`, `10m`, `2h`. An unknown key is an error, and so is a
/// value that is not valid. The message names the line and the key.
///
/// ```
/// use outbound_simulator::Scenario;
///
/// let scenario = Scenario::parse(r#"
///     story = "one call in ten is overloaded"
///
///     [workload]
///     requests = 100
///
///     [server]
///     latency = "200ms"
///     fault = [{ status = 503, retry_after = "2s", chance = 0.1 }]
///
///     [expect]
///     answered = 100
///     seconds_at_most = 60
/// "#)?;
/// assert_eq!(scenario.workload().requests, 100);
/// let simulator = scenario.server().build();
/// # drop(simulator);
/// # Ok::<_, outbound_simulator::ScenarioError>(())
/// ```
///
/// The folder `scenarios` of this crate has one for each incident of the field that a server can show.
#[derive(Debug, Clone)]
pub struct Scenario(Sections);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    story: String,
    workload: ScenarioWorkload,
    #[serde(default)]
    server: server::Server,
    expect: Expect,
}

/// Why a text is no scenario.
#[derive(Debug, Clone)]
pub struct ScenarioError(String);

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// If the text is no TOML, or has a key or a value that no scenario has.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let sections: Sections = toml::from_str(text).map_err(|error| ScenarioError(error.to_string()))?;
        sections.server.check().map_err(ScenarioError)?;
        Ok(Self(sections))
    }

    /// What happened in the field, in a sentence.
    pub fn story(&self) -> &str {
        &self.0.story
    }

    /// The requests, and what the client is told.
    pub fn workload(&self) -> &ScenarioWorkload {
        &self.0.workload
    }

    /// The server, as a builder with which more can be set.
    pub fn server(&self) -> Builder {
        self.0.server.builder()
    }

    /// What the result has to be.
    pub fn expect(&self) -> &Expect {
        &self.0.expect
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

impl std::error::Error for ScenarioError {}
