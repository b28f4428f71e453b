//! What each provider's replies mean: the tables in `replies/`, one for each provider, and cases that fit into no table.
//!
//! A line is a reply, read at 2026-11-22T10:00:00Z:
//! status | class | wait in milliseconds | of: `account`, `parallel` (of requests at one time) | code | headers | body.
//! The head of each table names the provider's document that the replies are taken from.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use outbound_provider::Provider;

use crate::{headers, now, read};

/// Each provider, its table, and how many lines it has at least.
const TABLES: &[(Provider, &str, usize)] = &[
    (Provider::openai(), include_str!("replies/openai.txt"), 52),
    (Provider::anthropic(), include_str!("replies/anthropic.txt"), 30),
    (Provider::gemini(), include_str!("replies/gemini.txt"), 29),
    (Provider::azure_openai(), include_str!("replies/azure_openai.txt"), 24),
    (Provider::mistral(), include_str!("replies/mistral.txt"), 17),
    (Provider::groq(), include_str!("replies/groq.txt"), 16),
    (Provider::openrouter(), include_str!("replies/openrouter.txt"), 25),
    (Provider::deepseek(), include_str!("replies/deepseek.txt"), 9),
    (Provider::dashscope(), include_str!("replies/dashscope.txt"), 29),
    (Provider::moonshot(), include_str!("replies/moonshot.txt"), 18),
    (Provider::zhipu(), include_str!("replies/zhipu.txt"), 40),
    (Provider::siliconflow(), include_str!("replies/siliconflow.txt"), 12),
    (Provider::ollama(), include_str!("replies/ollama.txt"), 13),
    (Provider::vllm(), include_str!("replies/vllm.txt"), 9),
    (Provider::sglang(), include_str!("replies/sglang.txt"), 5),
    (Provider::litellm(), include_str!("replies/litellm.txt"), 25),
    (Provider::openai_compatible(), include_str!("replies/openai_compatible.txt"), 77),
    (Provider::http(), include_str!("replies/http.txt"), 19),
];

/// One line of a table.
struct Row<'a> {
    line: &'a str,
    provider: Provider,
    status: StatusCode,
    headers: HeaderMap,
    body: &'a str,
    class: &'a str,
    wait: Option<Duration>,
    of: &'a str,
    code: Option<&'a str>,
}

fn rows() -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    for &(provider, table, least) in TABLES {
        let before = rows.len();
        rows.extend(
            table
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(|line| row(provider, line)),
        );
        assert!(rows.len() - before >= least, "{}: {}", provider.name(), rows.len() - before);
    }
    rows
}

fn row(provider: Provider, line: &str) -> Row<'_> {
    let columns: Vec<&str> = line.splitn(7, " | ").map(|text| if text == "-" { "" } else { text }).collect();
    let [status, class, wait, of, code, list, body] = columns[..] else { panic!("seven columns: {line}") };
    let pairs = list.split("; ").filter_map(|header| header.split_once(": "));
    let header = |(name, value): (&str, &str)| -> (HeaderName, HeaderValue) {
        (name.parse().expect("a name"), value.parse().expect("a value"))
    };
    let wait = (!wait.is_empty()).then(|| wait.parse::<f64>().expect("a wait"));
    Row {
        line,
        provider,
        status: status.parse().expect("a status"),
        headers: pairs.map(header).collect(),
        body,
        class,
        wait: wait.map(|wait| Duration::from_secs_f64(wait / 1e3)),
        of,
        code: (!code.is_empty()).then_some(code),
    }
}

#[test]
fn every_reply_means_what_the_table_says() {
    let rows = rows();
    assert!(rows.len() >= 449, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let fault = row.provider.classify(row.status, &row.headers, row.body.as_bytes(), now());
        let of = match (fault.of_account, fault.parallel) {
            (false, false) => "",
            (true, false) => "account",
            (false, true) => "parallel",
            (true, true) => "both",
        };
        let told = (fault.class.as_str(), fault.wait, of, fault.code.as_deref());
        if told != (row.class, row.wait, row.of, row.code) {
            wrong.push(format!("{}: {told:?}: {}", row.provider.name(), row.line));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An error inside a success, or inside a stream, means the same as with its own status. If the body names neither the
/// status nor a code that stands for one, the error may pass.
#[test]
fn the_same_error_inside_a_200_has_the_same_class() {
    let mut same = 0;
    for row in rows() {
        let told_by_headers = !row.headers.is_empty() || row.provider == Provider::http();
        if told_by_headers || row.status.is_success() || !row.body.contains("\"error\"") {
            continue;
        }
        let mut stream = row.provider.stream();
        let inside =
            [read(row.provider, row.body).map(drop).unwrap_err(), stream.feed("", row.body).unwrap_err()];
        for fault in inside {
            let class = fault.class.as_str();
            assert!(
                class == row.class || matches!(class, "transient" | "bad_request"),
                "{}: {fault:?}",
                row.line
            );
            same += usize::from(class == row.class);
        }
        assert!(stream.finish().is_err());
    }
    assert!(same >= 220, "{same}");
}

#[test]
fn the_code_and_message_come_along() {
    let cases = [
        (
            r#"{"error":{"message":"Rate limit\n reached","type":"tokens","code":"rate_limit_exceeded"}}"#,
            Some("rate_limit_exceeded"),
            Some("Rate limit reached"),
        ),
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#,
            Some("rate_limit_error"),
            Some("m"),
        ),
        (
            r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#,
            Some("RESOURCE_EXHAUSTED"),
            Some("m"),
        ),
        (r#"{"error":"busy"}"#, None, Some("busy")),
        (r#"{"error":"rate_limited","message":"busy"}"#, Some("rate_limited"), Some("busy")),
        (r#"{"detail":"Not Found"}"#, None, Some("Not Found")),
        (r#"{"detail":[{"msg":"Field required"}]}"#, None, Some("Field required")),
        ("upstream connect error", None, Some("upstream connect error")),
        ("<html>no</html>", None, Some("an HTML page")),
        ("", None, None),
        ("[]", None, None),
        ("null", None, None),
        ("{}", None, None),
    ];
    for (body, code, message) in cases {
        let fault =
            Provider::openai().classify(StatusCode::TOO_MANY_REQUESTS, &headers(&[]), body.as_bytes(), now());
        assert_eq!((fault.code.as_deref(), fault.message.as_deref()), (code, message), "{body}");
    }
}

#[test]
fn the_servers_word_on_retrying_overrides_the_class() {
    let fault = |status: u16, word: &str, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        Provider::openai().classify(status, &headers(&[("x-should-retry", word)]), body.as_bytes(), now())
    };
    assert!(fault(400, "true", "").is_retryable());
    assert!(!fault(500, "false", "").is_retryable());
    assert!(fault(500, "perhaps", "").is_retryable());
    assert!(!fault(400, "", "").is_retryable());
    // A refused key stays refused, whatever the server says about retries.
    assert!(!fault(401, "true", "").is_retryable());
    assert!(!fault(429, "true", r#"{"error":{"code":"insufficient_quota"}}"#).is_retryable());
}

#[test]
fn a_prompt_quoted_in_a_refusal_is_no_hint() {
    let body = br#"{"error":{"message":"Invalid prompt: 'try again in 3 days'","code":"invalid_prompt"}}"#;
    let fault = Provider::openai().classify(StatusCode::BAD_REQUEST, &headers(&[]), body, now());
    assert_eq!(fault.wait, None);
}
