//! Keys that were given on the command line by mistake, and passwords in the address of a database. No message repeats them.

use std::sync::OnceLock;

/// How the keys of providers begin.
const BEGINNINGS: [&str; 13] = [
    "sk-", "sk_", "gsk_", "AIza", "xai-", "hf_", "r8_", "pplx-", "nvapi-", "tgp_v1_", "csk-", "fw_",
    "Bearer ",
];

/// Options after which a user may write a key, although no option takes one.
const KEY_OPTIONS: [&str; 5] = ["--key", "--api-key", "--token", "--key-env", "--auth"];

/// The shortest password that is replaced wherever it stands. A shorter one is replaced in an address.
const LONG: usize = 6;

/// The text, with such keys and passwords replaced by `***`.
pub(crate) fn hidden(text: String) -> String {
    static SECRETS: OnceLock<Vec<Secret>> = OnceLock::new();
    let secrets = SECRETS.get_or_init(|| {
        let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        let arguments: Vec<_> = arguments.collect();
        let address = std::env::var("OUTBOUND_STORE").ok();
        let passwords = arguments.iter().chain(&address).flat_map(|argument| password_in(argument));
        passwords.chain(keys_in(&arguments).into_iter().map(|key| (key, String::from("***")))).collect()
    });
    hide(text, secrets)
}

/// A secret with what stands around it, and what is shown in its place.
type Secret = (String, String);

fn hide(text: String, secrets: &[Secret]) -> String {
    let replaced = |text: String, (secret, shown): &Secret| {
        if text.contains(secret) { text.replace(secret, shown) } else { text }
    };
    secrets.iter().fold(text, replaced)
}

/// The password in an address: `scheme://user:PASSWORD@host`, or `password=PASSWORD`.
fn password_in(argument: &str) -> Vec<Secret> {
    let of_user = || {
        let (_, rest) = argument.split_once("://")?;
        let (user, _) = rest.rsplit_once('@')?;
        let (_, password) = user.split_once(':')?;
        Some((password, format!(":{password}@"), String::from(":***@")))
    };
    let of_name = || {
        let (_, rest) = argument.split_once("password=")?;
        let password = rest.split([' ', '&']).next()?;
        Some((password, format!("password={password}"), String::from("password=***")))
    };
    let mut secrets = Vec::new();
    for (password, in_address, shown) in [of_user(), of_name()].into_iter().flatten() {
        if !password.is_empty() {
            secrets.push((in_address, shown));
        }
        if password.len() >= LONG {
            secrets.push((password.to_owned(), String::from("***")));
        }
    }
    secrets
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
        let keys: Vec<_> = keys.into_iter().map(|key| (key, String::from("***"))).collect();
        assert_eq!(hide(text, &keys), "no such file: ***; OPENAI_API_KEY ***");
        assert!(keys_in(&["run", "sk-folder/in.jsonl", "-o", "out.jsonl"].map(String::from)).is_empty());
    }

    #[test]
    fn the_password_of_an_address_is_hidden() {
        for (address, shown) in [
            ("postgres://me:pa:ss/wo@rd@host:5432/db", "postgres://me:***@host:5432/db"),
            ("--store=postgres://me:pw@host/db", "--store=postgres://me:***@host/db"),
            ("host=h user=me password=pw dbname=db", "host=h user=me password=*** dbname=db"),
            ("postgres://me@host/db", "postgres://me@host/db"),
            ("http://127.0.0.1:80/v1", "http://127.0.0.1:80/v1"),
        ] {
            assert_eq!(hide(address.to_owned(), &password_in(address)), shown);
        }
        let secrets = password_in("postgres://me:long-password@host/db");
        assert_eq!(hide(String::from("no long-password here"), &secrets), "no *** here");
    }
}
