//! `outbound sim`: the simulated provider alone.

use std::{fs::File, io::BufWriter};

use crate::{
    args::Sim,
    exit::{ALL_SUCCEEDED, Stop},
    interrupt::Interrupt,
    simulate,
};

pub(crate) async fn sim(arguments: Sim) -> Result<u8, Stop> {
    let mut provider = simulate::provider(arguments.rpm, arguments.tpm, arguments.seed);
    if let Some(key) = &arguments.key {
        provider = provider.key(key);
    }
    if arguments.faults {
        provider = simulate::with_faults(provider);
    }
    // The ledger's file first: better no run than a run whose record cannot be kept.
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
    println!("http://{address}/v1");
    eprintln!("{} requests and {} tokens a minute; Ctrl-C ends it", arguments.rpm, arguments.tpm);
    Interrupt::listen().times(1).await;
    simulator.shutdown().await;
    let seen = simulator.ledger();
    eprintln!("{}", simulate::seen(&seen));
    if let Some((path, file)) = ledger {
        seen.write_to(file).map_err(|error| Stop::Output(format!("{}: {error}", path.display())))?;
    }
    Ok(ALL_SUCCEEDED)
}
