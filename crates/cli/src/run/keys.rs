//! The keys of a run. They come from the environment, a file or a command, and never from the command line.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use outbound::Provider;

use crate::{args::Run, exit::Stop, say};

/// The keys to send with. All of them have equal rights. The usual variable of a provider holds a key for the provider's own
/// address: to any other address it is sent only if --key-env names it.
pub(super) fn keys(arguments: &Run, provider: Provider) -> Result<Vec<String>, Stop> {
    if let Some(path) = &arguments.sending.key_file {
        return of_file(path);
    }
    if let Some(command) = &arguments.sending.key_command {
        return of_command(command);
    }
    let Some(names) = arguments.key_env.as_deref().or(provider.key_env()) else { return Ok(Vec::new()) };
    if arguments.base_url.is_some() && arguments.key_env.is_none() {
        if !arguments.quiet && from_environment(names).is_some() {
            say::line(format_args!(
                "{names} is set, but its key is not sent to --base-url; --key-env {names} sends it"
            ));
        }
        return Ok(Vec::new());
    }
    names.split(',').map(str::trim).map(named).collect()
}

fn named(name: &str) -> Result<String, Stop> {
    // If it is the key itself, the message must not repeat it.
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || name.is_empty() {
        let why = "--key-env takes the name of an environment variable that holds the key, such as OPENAI_API_KEY; this is not \
                   such a name. Do not give a key on the command line, where others can see it";
        return Err(Stop::Usage(String::from(why)));
    }
    let key = from_environment(name).ok_or_else(|| {
        Stop::Usage(format!(
            "no key: the environment variable {name} is not set. Set it (export {name}=..), or give --key-env, --key-file or \
             --key-command"
        ))
    })?;
    checked(key, name)
}

fn from_environment(name: &str) -> Option<String> {
    let key = std::env::var_os(name)?.to_string_lossy().trim().to_owned();
    (!key.is_empty()).then_some(key)
}

fn of_file(path: &Path) -> Result<Vec<String>, Stop> {
    let shown = format!("--key-file {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Stop::Usage(format!("{shown}: {error}")))?;
    of_text(&text, &shown)
}

fn of_command(command: &str) -> Result<Vec<String>, Stop> {
    // Its standard error goes to the user: it may ask for a password there.
    let output = Command::new("sh").args(["-c", command]).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Stop::Usage(format!("--key-command: {error}")))?;
    if !output.status.success() {
        return Err(Stop::Usage(format!("--key-command ended with {}", output.status)));
    }
    of_text(&String::from_utf8_lossy(&output.stdout), "--key-command")
}

fn of_text(text: &str, source: &str) -> Result<Vec<String>, Stop> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Vec<_> = lines.map(|line| checked(line.to_owned(), source)).collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(Stop::Usage(format!("{source} has no key in it")));
    }
    Ok(keys)
}

fn checked(key: String, source: &str) -> Result<String, Stop> {
    match key.chars().position(|character| !matches!(character, ' '..='~')) {
        None => Ok(key),
        Some(before) => Err(Stop::Usage(format!(
            "the key in {source} has a character that an HTTP header cannot carry: character {} of {}",
            before + 1,
            key.chars().count()
        ))),
    }
}
