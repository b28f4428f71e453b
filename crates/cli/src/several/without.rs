//! Without the feature `postgres` there is no batch on several machines. The options say so.

use crate::{
    args::{CtlCommand, Export, Run},
    exit::Stop,
    interrupt::Interrupt,
};

fn missing() -> Result<u8, Stop> {
    let why = "--store: this build has no support for a database; build it with the feature `postgres`, which is on by default";
    Err(Stop::Usage(String::from(why)))
}

pub(crate) async fn run(_arguments: &Run, _interrupt: &Interrupt) -> Result<u8, Stop> {
    missing()
}

pub(crate) async fn export(_arguments: Export) -> Result<u8, Stop> {
    missing()
}

pub(crate) async fn ctl(
    _address: &str,
    _name: &str,
    _command: CtlCommand,
    _in_json: bool,
) -> Result<u8, Stop> {
    missing()
}

pub(crate) async fn status(_address: &str, _name: &str, _in_json: bool) -> Result<u8, Stop> {
    missing()
}
