//! Options from a file and from the environment. The command line overrides the environment, and the environment overrides
//! the file.
//!
//! ```toml
//! # outbound.toml, in the folder where the command is run
//! [run]
//! model = "gpt-4o-mini"
//! rpm = 500
//! fallback = ["gpt-4o", "gpt-4.1"]
//! keep-going = true
//! ```
//!
//! `OUTBOUND_RPM=500` has the meaning of `--rpm 500`.

use std::{collections::BTreeMap, ffi::OsString, fs, io};

use clap::{ArgAction, Command, CommandFactory};

use crate::{args::Arguments, exit::Stop};

const FILE: &str = "outbound.toml";
const PREFIX: &str = "OUTBOUND_";

/// Options by their long names, each with its values. One empty value: a switch that is on. No value: it is off.
type Options = BTreeMap<String, Vec<String>>;

/// The arguments of this process. Options from the file and the environment stand before its own.
pub(crate) fn arguments() -> Result<Vec<OsString>, Stop> {
    let own: Vec<OsString> = std::env::args_os().collect();
    let text = match fs::read_to_string(FILE) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Stop::Usage(format!("{FILE}: {error}"))),
    };
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    with_options(own, text.as_deref(), environment)
}

fn with_options(
    own: Vec<OsString>,
    file: Option<&str>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Vec<OsString>, Stop> {
    let program = Arguments::command();
    // An unknown command gets no options. The parser reports it.
    let name = own.get(1).and_then(|name| name.to_str());
    let Some(command) = name.and_then(|name| program.find_subcommand(name)) else { return Ok(own) };
    let mut options = match file {
        Some(text) => of_file(text, command)?,
        None => Options::new(),
    };
    options.extend(of_environment(environment, command));
    let given = given(&own[2..], command);
    options.retain(|option, _| !is_replaced(option, &given, command));
    let more = options.into_iter().flat_map(|(option, values)| {
        values.into_iter().map(move |value| match value.as_str() {
            "" => OsString::from(format!("--{option}")),
            value => OsString::from(format!("--{option}={value}")),
        })
    });
    let mut all = own[..2].to_vec();
    all.extend(more);
    all.extend_from_slice(&own[2..]);
    Ok(all)
}

fn of_file(text: &str, command: &Command) -> Result<Options, Stop> {
    let wrong = |why: String| Stop::Usage(format!("{FILE}: {why}"));
    let tables: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    for (name, value) in &tables {
        let is_command = Arguments::command().find_subcommand(name).is_some();
        if !is_command || !value.is_table() {
            return Err(wrong(format!(
                "{name:?} is not the name of a command; an option of run stands below the line [run]"
            )));
        }
    }
    let Some(table) = tables.get(command.get_name()).and_then(toml::Value::as_table) else {
        return Ok(Options::new());
    };
    let mut options = Options::new();
    for (key, value) in table {
        let name = key.replace('_', "-");
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&name));
        let Some(argument) = argument else {
            return Err(wrong(format!(
                "[{0}] has {key:?}, but there is no option --{name}; outbound {0} -h lists the options",
                command.get_name()
            )));
        };
        let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
        let values = match (value, is_switch) {
            (toml::Value::Boolean(true), true) => Some(vec![String::new()]),
            (toml::Value::Boolean(false), true) => continue,
            (_, true) => return Err(wrong(format!("{key:?} must be true or false"))),
            (toml::Value::Array(values), false) => values.iter().map(word).collect::<Option<Vec<_>>>(),
            (value, false) => word(value).map(|word| vec![word]),
        }
        .ok_or_else(|| wrong(format!("{key:?} must be a string, a number, or a list of these")))?;
        options.insert(name, values);
    }
    Ok(options)
}

fn word(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `OUTBOUND_MAX_ATTEMPTS` is `--max-attempts`. A switch that is 0 is off, whatever the file says. A variable that names no
/// option is ignored.
fn of_environment(variables: impl Iterator<Item = (String, String)>, command: &Command) -> Options {
    let option = |(name, value): (String, String)| {
        let name = name.strip_prefix(PREFIX)?.to_lowercase().replace('_', "-");
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&name))?;
        match argument.get_action() {
            ArgAction::SetTrue if ["", "0", "false", "no"].contains(&value.as_str()) => {
                Some((name, Vec::new()))
            }
            ArgAction::SetTrue => Some((name, vec![String::new()])),
            _ if value.is_empty() => None,
            _ => Some((name, vec![value])),
        }
    };
    variables.filter_map(option).collect()
}

/// The long names of the options on the command line.
fn given(own: &[OsString], command: &Command) -> Vec<String> {
    let words = own.iter().filter_map(|word| word.to_str());
    let names = words.take_while(|word| *word != "--").filter_map(|word| {
        let long = word.strip_prefix("--").and_then(|word| word.split('=').next());
        let short = word.strip_prefix('-').and_then(|word| word.chars().next());
        let argument = command.get_arguments().find(|argument| match long {
            Some(long) => argument.get_long() == Some(long),
            None => short.is_some() && argument.get_short() == short,
        })?;
        argument.get_long().map(str::to_owned)
    });
    names.collect()
}

/// Whether the command line has this option, or an option that conflicts with it.
fn is_replaced(option: &str, given: &[String], command: &Command) -> bool {
    let of = |name: &str| command.get_arguments().find(|argument| argument.get_long() == Some(name));
    given.iter().any(|given| {
        let excludes = |one: &str, other: &str| {
            let Some(one) = of(one) else { return false };
            command.get_arg_conflicts_with(one).iter().any(|argument| argument.get_long() == Some(other))
        };
        given == option || excludes(given, option) || excludes(option, given)
    })
}

#[cfg(test)]
mod tests;
