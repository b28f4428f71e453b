//! `outbound ctl --store`: tells all machines that work on a batch.

use outbound_postgres::Order;
use serde_json::json;

use super::{
    status::Machine,
    store::{self, failed},
    team::limits,
};
use crate::{
    args::CtlCommand,
    control::Limits,
    exit::{ALL_SUCCEEDED, Stop},
    progress::plain,
    stdout::print,
};

pub(crate) async fn ctl(address: &str, name: &str, command: CtlCommand, in_json: bool) -> Result<u8, Stop> {
    let order = match command {
        CtlCommand::Pause => Some(Order::Pause),
        CtlCommand::Resume => Some(Order::Resume),
        CtlCommand::Drain => Some(Order::Drain),
        CtlCommand::Limits { rpm, tpm, concurrency, budget } => {
            let limits = Limits { rpm, tpm, concurrency, budget };
            Some(Order::Limits(serde_json::to_string(&limits).unwrap_or_default()))
        }
        CtlCommand::Status => None,
    };
    let (_work, batch) = store::look(address, name).await?;
    if let Some(order) = &order {
        batch.order(order).await.map_err(|error| failed(&error))?;
    }
    let orders = batch.orders().await.map_err(|error| failed(&error))?;
    let members = batch.members().await.map_err(|error| failed(&error))?;
    let machines: Vec<_> = members.iter().map(Machine::of).collect();
    if in_json {
        let limits = limits(&orders).map_err(Stop::Usage)?;
        let reply = json!({"ok": true, "paused": orders.paused, "limits": limits, "machines": machines});
        print(reply.to_string())?;
        return Ok(ALL_SUCCEEDED);
    }
    let present = machines.iter().filter(|machine| machine.is_at_work).count();
    let mut words = match (&order, present) {
        (Some(Order::Pause), _) => String::from(
            "Paused: requests in flight are finished, and no machine sends more until `resume`, nor one that joins\n",
        ),
        (Some(Order::Resume), _) => String::from("All machines go on\n"),
        (Some(Order::Limits(_)), _) => String::from("All machines hear the new limits within a second\n"),
        (Some(Order::Drain), 0) => String::from("No machine works on it: there is nothing to end\n"),
        (Some(Order::Drain), _) => String::from(
            "All machines that are at work end: requests in flight are finished, and nothing more is sent\n",
        ),
        _ => String::new(),
    };
    for machine in &machines {
        words += &plain(&machine.in_words());
        words += "\n";
    }
    if machines.is_empty() && order.is_none() {
        words += "No machine works on it\n";
    }
    print(words.trim_end())?;
    Ok(ALL_SUCCEEDED)
}
