//! The help of each command, short and long: snapshots of what a user reads.

use crate::support::{outbound, said};

fn help(arguments: &[&str]) -> String {
    let run = outbound(arguments).output().expect("it runs");
    assert_eq!((run.status.code(), said(&run).as_str()), (Some(0), ""));
    String::from_utf8(run.stdout).expect("text")
}

#[test]
fn each_command_has_its_help() {
    insta::assert_snapshot!("outbound", help(&["--help"]));
    for command in ["run", "check", "plan", "sim", "completions", "status", "ctl", "export"] {
        let (short, long) = (help(&[command, "-h"]), help(&[command, "--help"]));
        insta::assert_snapshot!(format!("{command}_short"), short);
        if long != short {
            insta::assert_snapshot!(format!("{command}_long"), long);
        }
    }
    for command in ["pause", "resume", "limits", "drain", "status"] {
        insta::assert_snapshot!(format!("ctl_{command}"), help(&["ctl", "OUT.jsonl", command, "--help"]));
    }
}

#[test]
fn no_command_is_an_error_with_the_help() {
    let run = outbound(&[]).output().expect("it runs");
    assert_eq!((run.status.code(), run.stdout.len()), (Some(2), 0));
    assert_eq!(said(&run).trim_end(), help(&["-h"]).trim_end());
    assert!(help(&["--version"]).starts_with("outbound "));
}
