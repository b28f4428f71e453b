//! `outbound ctl`: sends a command to the run that is at work on an output.

use serde_json::Value;

use crate::{
    args::{Ctl, CtlCommand},
    control::{Limits, Request, ask},
    exit::{ALL_SUCCEEDED, Stop},
    progress::plain,
    several,
    status::find,
    stdout::print,
};

pub(crate) async fn ctl(arguments: Ctl) -> Result<u8, Stop> {
    let Some(output) = &arguments.output else {
        let (address, name) =
            arguments.batch.both().ok_or_else(|| Stop::Usage(String::from("--store needs a --name")))?;
        return several::ctl(address, name, arguments.command, arguments.json).await;
    };
    if !cfg!(unix) {
        return Err(Stop::Usage(String::from("this system has no `ctl`: it needs unix sockets")));
    }
    let output = find(output)?;
    let request = match arguments.command {
        CtlCommand::Pause => Request::Pause,
        CtlCommand::Resume => Request::Resume,
        CtlCommand::Limits { rpm, tpm, concurrency, budget } => {
            Request::Limits(Limits { rpm, tpm, concurrency, budget })
        }
        CtlCommand::Drain => Request::Drain,
        CtlCommand::Status => Request::Status,
    };
    let reply = ask(&output, &request).await.map_err(Stop::Input)?.ok_or_else(|| {
        let output = output.display();
        Stop::Input(format!(
            "{output}: no run is writing to it, or the run has no control socket (a run says so when it begins)"
        ))
    })?;
    if let Some(error) = reply["error"].as_str() {
        return Err(Stop::Usage(plain(error)));
    }
    print(if arguments.json { reply.to_string() } else { in_words(&request, &reply) })?;
    Ok(ALL_SUCCEEDED)
}

fn in_words(request: &Request, reply: &Value) -> String {
    let what = match request {
        Request::Pause => {
            "Paused: requests in flight are finished, and nothing more is sent until `resume`\n"
        }
        Request::Resume => "The run goes on\n",
        Request::Limits(_) => "The new limits hold from now on\n",
        Request::Drain => "The run ends: requests in flight are finished, and nothing more is sent\n",
        Request::Status => "",
    };
    format!("{what}{}", plain(reply["text"].as_str().unwrap_or_default()))
}
