//! The parts, each of which runs alone by its name.

mod apart;
mod away;
mod clock;
mod ctl;
mod cut;
mod kill;
mod late;
mod many;
mod namespaces;
mod quota;

use super::{row::Row, trial::Setup};
use crate::run::Result;

pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Setup) -> Result<Vec<Row>>,
}

pub(crate) const PARTS: &[Part] = &[
    Part {
        name: "kill",
        about: "one process a second is killed, some are stopped for longer than their lease",
        run: |setup| kill::run(setup),
    },
    Part {
        name: "late",
        about: "a process that was stopped takes again what another one sent meanwhile",
        run: |setup| late::run(setup),
    },
    Part { name: "quota", about: "four processes share one quota", run: |setup| quota::run(setup) },
    Part {
        name: "apart",
        about: "four processes that share nothing, for comparison; not with --quick unless it is named",
        run: |setup| apart::run(setup),
    },
    Part { name: "away", about: "the database crashes in the middle, and comes back", run: away::run },
    Part {
        name: "cut",
        about: "connections to the database are cut, late, or without a reply",
        run: |setup| cut::run(setup),
    },
    Part {
        name: "clock",
        about: "the database's clock jumps, further than a lease",
        run: |setup| clock::run(setup),
    },
    Part { name: "ctl", about: "one command pauses, slows and drains all", run: |setup| ctl::run(setup) },
    Part {
        name: "namespaces",
        about: "three machines as network namespaces, one of which is cut off",
        run: |setup| namespaces::run(setup),
    },
    Part {
        name: "many",
        about: "a million jobs by the store alone, behind an open transaction",
        run: |setup| many::run(setup),
    },
];
