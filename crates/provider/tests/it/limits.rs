//! What each provider's headers say of its limits: `limits.txt`.

use http::{HeaderMap, HeaderName, HeaderValue};
use outbound_provider::{Dimension, Provider, Reset, Signal};

use crate::now;

fn shown(signal: &Signal) -> String {
    let dimension = match signal.dimension {
        Dimension::Requests => "requests",
        Dimension::Tokens => "tokens",
        Dimension::InputTokens => "input",
        Dimension::OutputTokens => "output",
        other => panic!("{other:?}"),
    };
    let named = if signal.window_is_named { "!" } else { "" };
    let window = signal.window.map_or("-".into(), |window| format!("{}{named}", window.as_secs()));
    let count = |count: Option<u64>| count.map_or("-".into(), |count| count.to_string());
    let reset = signal.reset.map_or("-".into(), |reset| {
        let kind = if matches!(reset, Reset::Full(_)) { "full" } else { "window" };
        format!("{kind}:{}", reset.after().as_micros() as f64 / 1e3)
    });
    format!("{dimension} {window} {} {} {reset}", count(signal.limit), count(signal.remaining))
}

/// The headers of one line, separated by `; `.
fn headers(list: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    let mut rest = list;
    while let Some((name, behind)) = rest.split_once(": ") {
        let next = behind.match_indices("; ").find(|(at, _)| {
            let (name, _) = behind[at + 2..].split_once(':').unwrap_or(("", ""));
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_".contains(&byte))
        });
        let end = next.map_or(behind.len(), |(at, _)| at);
        let name: HeaderName = name.parse().expect("a name");
        map.append(name, HeaderValue::from_str(&behind[..end]).expect("a value"));
        rest = behind.get(end + 2..).unwrap_or_default();
    }
    map
}

#[test]
fn headers_say_of_limits_what_the_table_says() {
    let table = include_str!("limits.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut lines = 0;
    let mut seen = Vec::new();
    for line in table {
        let columns: Vec<&str> = line.splitn(3, " | ").collect();
        let [name, list, expected] = columns[..] else { panic!("three columns: {line}") };
        let provider = Provider::named(name).expect("a provider");
        let signals = provider.signals(&headers(list), now());
        let mut found: Vec<String> = signals.iter().map(shown).collect();
        let mut expected: Vec<&str> = expected.split(", ").filter(|text| *text != "-").collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{line}");
        lines += 1;
        seen.push(name);
    }
    assert!(lines >= 36, "{lines}");
    let left_out: Vec<_> =
        Provider::ALL.iter().map(Provider::name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(left_out, ["openai_embeddings", "http"]);
}
