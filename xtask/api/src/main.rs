//! Prints the public API that a JSON file of rustdoc describes, a line for each item: `outbound-api FILE`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("outbound-api FILE");
        return ExitCode::from(2);
    };
    // What every type implements says nothing about one of them. `Send`, `Sync` and `Unpin` are pinned by tests.
    let api = public_api::Builder::from_rustdoc_json(&file)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build();
    match api {
        Ok(api) => api.items().for_each(|item| println!("{item}")),
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
