//! `outbound sim`: the simulated provider as a server of its own.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use outbound_simulator::Scenario;

use crate::{
    args::Sim,
    exit::{ALL_SUCCEEDED, Stop},
    interrupt::Interrupt,
    say, simulate,
};

pub(crate) async fn sim(arguments: Sim) -> Result<u8, Stop> {
    let scenario = arguments.scenario.as_deref().map(read).transpose()?;
    let mut provider = match &scenario {
        Some(scenario) => scenario.server(),
        None => simulate::provider(arguments.rpm, arguments.tpm, arguments.seed),
    };
    if let Some(key) = &arguments.key {
        provider = provider.key(key);
    }
    if arguments.faults {
        provider = simulate::with_faults(provider);
    }
    // The file is created before the server starts: if it cannot be written, that is known at once.
    let ledger = match &arguments.ledger {
        Some(path) => {
            let file =
                File::create(path).map_err(|error| Stop::Output(format!("{}: {error}", path.display())))?;
            Some((path, BufWriter::new(file)))
        }
        None => None,
    };
    let simulator = provider.build();
    let address = simulate::serve(&simulator, arguments.port)
        .await
        .map_err(|error| Stop::Usage(format!("port {}: {error}", arguments.port)))?;
    // A closed standard output is no error: Ctrl-C still ends the server.
    let _ = writeln!(std::io::stdout(), "http://{address}/v1");
    match scenario {
        Some(scenario) => say::line(format_args!(
            "{}; for {} requests, of which {} should be answered; Ctrl-C ends it",
            scenario.story(),
            scenario.workload().requests,
            scenario.expect().answered
        )),
        None => say::line(format_args!(
            "it grants {} requests and {} tokens a minute; send to it with: outbound run --base-url http://{address}/v1; Ctrl-C ends it",
            arguments.rpm, arguments.tpm
        )),
    }
    Interrupt::listen().times(1).await;
    simulator.shutdown().await;
    let seen = simulator.ledger();
    say::line(simulate::seen(&seen));
    if let Some((path, file)) = ledger {
        seen.write_to(file).map_err(|error| Stop::Output(format!("{}: {error}", path.display())))?;
    }
    Ok(ALL_SUCCEEDED)
}

fn read(path: &Path) -> Result<Scenario, Stop> {
    let wrong = |why: &dyn std::fmt::Display| Stop::Input(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    Scenario::parse(&text).map_err(|error| wrong(&error))
}
