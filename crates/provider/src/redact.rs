//! Secrets cut out of messages. Servers repeat what they were sent: a message about a bad key often holds the key, and one
//! about an address its query.

/// The longest text kept, in bytes.
pub(crate) const MESSAGE_LIMIT: usize = 2_048;

/// How providers' keys begin. Only the start of a word is compared, so that "risk-free" holds no key.
const KEY_PREFIXES: [&str; 10] =
    ["sk-", "sk_", "gsk_", "xai-", "hf_", "pplx-", "AIza", "AKIA", "ghp_", "eyJ"];
const SHORTEST_PREFIX: usize = 3;
/// A key has at least so many characters behind its prefix. With fewer it is an ordinary word.
const SHORTEST_SECRET: usize = 6;
const BLOT: &str = "[redacted]";

/// `text` cut to `limit` bytes, on a character boundary.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

/// `text` on one line, cut to [`MESSAGE_LIMIT`], without keys, bearer tokens, query strings and user
/// names in addresses.
pub(crate) fn message(text: &str) -> String {
    let mut clean = String::new();
    let mut after_bearer = false;
    for word in cut(text, MESSAGE_LIMIT).split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !clean.is_empty() {
            clean.push(' ');
        }
        if std::mem::replace(&mut after_bearer, word.eq_ignore_ascii_case("bearer")) {
            clean.push_str(BLOT);
        } else if let Some(at) = word.find("://") {
            address(word, at + 3, &mut clean);
        } else {
            push_without_key(word, &mut clean);
        }
    }
    clean
}

fn address(word: &str, authority: usize, clean: &mut String) {
    let (word, query) = word.split_at(word.find(['?', '#']).unwrap_or(word.len()));
    let (scheme, rest) = word.split_at(authority.min(word.len()));
    clean.push_str(scheme);
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => {
            clean.push_str(BLOT);
            push_without_key(&rest[at..], clean);
        }
        None => push_without_key(rest, clean),
    }
    if !query.is_empty() {
        clean.push('?');
        clean.push_str(BLOT);
    }
}

fn push_without_key(word: &str, clean: &mut String) {
    match key_start(word) {
        Some(at) => {
            clean.push_str(&word[..at]);
            clean.push_str(BLOT);
        }
        None => clean.push_str(word),
    }
}

fn key_start(word: &str) -> Option<usize> {
    // No word that is so short holds a key. Most words are left here.
    if word.len() < SHORTEST_PREFIX + SHORTEST_SECRET {
        return None;
    }
    let parameter = word.find("key=").map(|at| at + "key=".len());
    let prefixed = KEY_PREFIXES.iter().flat_map(|prefix| {
        word.match_indices(prefix).filter_map(move |(at, _)| {
            let inside_word = word[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
            let long_enough = word.len() - at - prefix.len() >= SHORTEST_SECRET;
            (!inside_word && long_enough).then_some(at)
        })
    });
    prefixed.chain(parameter).min()
}
