//! What this process is called where other machines see it.

use std::{fs, process::Command};

/// The name of the machine and the number of the process, such as `worker-3:4711`.
pub(super) fn holder() -> String {
    format!("{}:{}", host(), std::process::id())
}

fn host() -> String {
    // The system's own name where it has one; the command for systems without that file.
    let of_system = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_command = || {
        let output = Command::new("hostname").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let name = of_system.or_else(of_command).map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| String::from("unknown"))
}
