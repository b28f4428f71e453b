//! `namespaces`: three processes in network namespaces of their own, one of which is cut off for longer than its lease.

use std::{process::Command, time::Duration};

use super::kill::manners;
use crate::{
    machines::{
        process::Running,
        row::Row,
        trial::{Setup, Trial},
        wait::{pause, seconds, until},
    },
    run::{Result, succeeds},
};

const LIMIT: Duration = Duration::from_secs(240);
const LEASE: f64 = 4.0;
const MACHINES: u32 = 3;
/// Only inside these namespaces, which have no way out.
const HUB_ADDRESS: &str = "10.83.0.1";
const DATABASE_PORT: u16 = 5_432;
const REFEREE_PORT: u16 = 8_080;

/// A namespace for the hub and one for each machine. They go with this.
struct Network {
    prefix: String,
}

impl Network {
    /// `None` where the system does not let one make them.
    fn new() -> Result<Option<Self>> {
        let network = Self { prefix: format!("outbound-{}", std::process::id()) };
        if !succeeds("ip", &["netns", "add", &network.hub()]) {
            return Ok(None);
        }
        let hub = network.hub();
        ip(&["-n", &hub, "link", "set", "lo", "up"])?;
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "addr", "add", &format!("{HUB_ADDRESS}/24"), "dev", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        for machine in 1..=MACHINES {
            let (name, port) = (network.machine(machine), format!("port{machine}"));
            ip(&["netns", "add", &name])?;
            ip(&["-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "wire", "netns", &name])?;
            ip(&["-n", &hub, "link", "set", &port, "master", "bridge"])?;
            ip(&["-n", &hub, "link", "set", &port, "up"])?;
            ip(&["-n", &name, "addr", "add", &format!("10.83.0.{}/24", machine + 1), "dev", "wire"])?;
            ip(&["-n", &name, "link", "set", "wire", "up"])?;
        }
        Ok(Some(network))
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    fn machine(&self, number: u32) -> String {
        format!("{}-{number}", self.prefix)
    }

    /// The wire of a machine is pulled out, or put back.
    fn wire(&self, machine: u32, state: &str) -> Result {
        ip(&["-n", &self.hub(), "link", "set", &format!("port{machine}"), state])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in 1..=MACHINES {
            let _ = succeeds("ip", &["netns", "del", &self.machine(machine)]);
        }
        let _ = succeeds("ip", &["netns", "del", &self.hub()]);
    }
}

fn ip(arguments: &[&str]) -> Result {
    if succeeds("ip", arguments) { Ok(()) } else { Err(format!("ip {} fails", arguments.join(" ")).into()) }
}

/// A program inside a namespace.
fn within(namespace: &str, program: &std::path::Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Row>> {
    let Some(socket) = setup.database.socket() else {
        println!("namespaces: skipped, since the database is not one of its own");
        return Ok(Vec::new());
    };
    let Some(network) = Network::new()? else {
        println!("namespaces: skipped, since no network namespace can be made here");
        return Ok(Vec::new());
    };
    let items = if setup.is_quick { 500 } else { 2_500 };
    let hub = network.hub();
    let referee = setup.inside(within(&hub, &setup.outbound));
    let mut trial = Trial::with_referee(setup, "namespaces", manners(setup), items, LEASE, referee)?;
    // This program itself, as a proxy inside the hub.
    let listen = |name: &str, port: u16, target: &str| {
        let mut command = within(&hub, &std::env::current_exe()?);
        command.args(["machines", "hand-on", &format!("{HUB_ADDRESS}:{port}"), target]);
        Running::start(name, command, &trial.folder)
    };
    let mut proxies = [
        listen("way-to-the-database", DATABASE_PORT, &format!("socket:{}", socket.display()))?,
        listen("way-to-the-referee", REFEREE_PORT, trial.referee_server())?,
    ];
    for proxy in &mut proxies {
        until("a proxy listens", Duration::from_secs(10), || match proxy.ended()? {
            Some(_) => Err(format!("{}:\n{}", proxy.name, proxy.last_lines()).into()),
            None => Ok(proxy.printed().contains("listens").then_some(())),
        })?;
    }
    let direct = trial.store.clone();
    let hub_server = format!("{HUB_ADDRESS}:{DATABASE_PORT}");
    trial.store = setup.database.address_through(&hub_server, &trial.database);
    trial.url = format!("http://{HUB_ADDRESS}:{REFEREE_PORT}/v1");
    for machine in 1..=MACHINES {
        let command = trial.work_on(setup.inside(within(&network.machine(machine), &setup.outbound)));
        trial.start_as(command)?;
    }
    pause(seconds(3.0));
    let cut_off = trial.time();
    network.wire(1, "down")?;
    pause(seconds(LEASE * 2.0));
    network.wire(1, "up")?;
    let back = trial.time();
    trial.wait(None, LIMIT)?;
    trial.store = direct;
    let ended = trial.end(setup)?;
    let mut rows = ended.rows;
    rows.push(Row::figure("one of three cut off", format!("{:.0} s, lease {LEASE} s", back - cut_off)));
    Ok(rows)
}
