//! Keys that were given on the command line by mistake. No message repeats them.

use std::sync::OnceLock;

/// How the keys of providers begin.
const BEGINNINGS: [&str; 13] = [
    "sk-", "sk_", "gsk_", "AIza", "xai-", "hf_", "r8_", "pplx-", "nvapi-", "tgp_v1_", "csk-", "fw_",
    "Bearer ",
];

/// Options after which a user may write a key, although no option takes one.
const KEY_OPTIONS: [&str; 5] = ["--key", "--api-key", "--token", "--key-env", "--auth"];

/// The text, with such keys replaced by `***`.
pub(crate) fn hidden(text: String) -> String {
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        keys_in(&arguments.collect::<Vec<_>>())
    });
    hide(text, keys)
}

fn hide(text: String, keys: &[String]) -> String {
    keys.iter().fold(text, |text, key| if text.contains(key) { text.replace(key, "***") } else { text })
}

fn keys_in(arguments: &[String]) -> Vec<String> {
    let mut keys = Vec::new();
    let mut after_option = false;
    for argument in arguments {
        let (option, value) = argument.split_once('=').unwrap_or(("", argument));
        let given_as_key = after_option || KEY_OPTIONS.contains(&option);
        if value.len() >= 8 && (looks_like_a_key(value) || (given_as_key && !is_name(value))) {
            keys.push(value.to_owned());
        }
        after_option = KEY_OPTIONS.contains(&argument.as_str());
    }
    // The longest is replaced first: one key may be the beginning of another.
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    keys
}

fn looks_like_a_key(value: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| value.starts_with(beginning)) && !value.contains(['/', '\\'])
}

/// Whether it is the name of a variable, or several names with commas.
fn is_name(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_,".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_key_or_is_given_as_one_is_hidden() {
        let given = [
            "run",
            "sk-canary-1234",
            "--key",
            "canary-5678",
            "--key-env",
            "OPENAI_API_KEY",
            "--token=canary-9012",
        ];
        let keys = keys_in(&given.map(String::from));
        assert_eq!(keys, ["sk-canary-1234", "canary-5678", "canary-9012"]);
        let text = String::from("no such file: sk-canary-1234; OPENAI_API_KEY canary-5678");
        assert_eq!(hide(text, &keys), "no such file: ***; OPENAI_API_KEY ***");
        assert!(keys_in(&["run", "sk-folder/in.jsonl", "-o", "out.jsonl"].map(String::from)).is_empty());
    }
}
