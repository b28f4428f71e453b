//! The command that goes on where a run ended. The summary prints it.

use crate::secrets::hidden;

/// The command line of this process, quoted for a shell; with `--retry-failed` added if `retry_failed` is set.
pub(crate) fn command(retry_failed: bool) -> String {
    // Before it is quoted: quotes may stand in the middle of a secret.
    let arguments = std::env::args_os().map(|argument| hidden(argument.to_string_lossy().into_owned()));
    of(arguments.skip(1), retry_failed)
}

fn of(arguments: impl Iterator<Item = String>, retry_failed: bool) -> String {
    // With --fresh the command would begin anew. --retry-failed is added below, if at all.
    let ends_it = ["--fresh", "--force", "--retry-failed"];
    let own = arguments.filter(|argument| !ends_it.contains(&argument.as_str()));
    let again = retry_failed.then(|| String::from("--retry-failed"));
    let words = own.chain(again).map(|word| quoted(&word));
    std::iter::once(String::from("outbound")).chain(words).collect::<Vec<_>>().join(" ")
}

/// A word as a POSIX shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_command_without_what_begins_anew() {
        let of = |words: &[&str], retry| of(words.iter().map(|word| (*word).to_owned()), retry);
        assert_eq!(of(&["run", "in put.jsonl", "--fresh"], false), "outbound run 'in put.jsonl'");
        assert_eq!(of(&["run", "it's", ""], true), r"outbound run 'it'\''s' '' --retry-failed");
        assert_eq!(of(&["run", "a", "--retry-failed"], true), "outbound run a --retry-failed");
    }
}
