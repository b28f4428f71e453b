//! Dates, waits and streams, made of the parts that a reader looks for, and then damaged at random. The number of a round is
//! its seed. Some hundred rounds run with the tests. The variable `OUTBOUND_FUZZ` multiplies that.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use outbound_provider::{Fault, JsonSplitter, Provider, StreamItem};

const YEAR: u64 = 365 * 86_400;

/// A stream of draws (Steele, Lea, Flood: `SplitMix64`).
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn rounds(few: u64, mut round: impl FnMut(u64, &mut Draws)) {
    let times: Option<u64> = std::env::var("OUTBOUND_FUZZ").ok().and_then(|text| text.parse().ok());
    for number in 0..few * times.unwrap_or(1) {
        round(number, &mut Draws(number));
    }
}

fn wait(provider: &Provider, headers: &HeaderMap, now: u64) -> Option<Duration> {
    let now = UNIX_EPOCH + Duration::from_secs(now);
    provider.classify(StatusCode::TOO_MANY_REQUESTS, headers, b"", now).wait
}

/// A time in one of the forms of RFC 9110, section 5.6.7. Its days are counted one by one, as a second way to compute it.
fn written(time: u64, form: u64) -> String {
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut day, mut year, mut month) = (time / 86_400, 1970, 0);
    let week_day = DAYS[(day % 7) as usize];
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let days =
        |month, year| [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
    while day >= days(month, year) {
        day -= days(month, year);
        month += 1;
    }
    let (day, month) = (day + 1, MONTHS[month]);
    let clock = format!("{:02}:{:02}:{:02}", time / 3600 % 24, time / 60 % 60, time % 60);
    match form {
        0 => format!("{}, {day:02} {month} {year} {clock} GMT", &week_day[..3]),
        1 => format!("{week_day}, {day:02}-{month}-{:02} {clock} GMT", year % 100),
        _ => format!("{} {month} {day:>2} {clock} {year}", &week_day[..3]),
    }
}

#[test]
fn a_time_to_come_back_at_is_read_against_the_servers_clock() {
    rounds(500, |round, draws| {
        // A year of two digits lies between 1970 and 2069.
        let date = 30 * YEAR + 86_400 * 8 + draws.below(60 * YEAR);
        let later = 1 + draws.below(5 * YEAR);
        let mut headers = HeaderMap::new();
        for (name, time) in [(header::DATE, date), (header::RETRY_AFTER, date + later)] {
            headers.insert(name, HeaderValue::try_from(written(time, draws.below(3))).unwrap());
        }
        // The local clock may say anything, because the reply's `Date` counts.
        let now = draws.below(200 * YEAR);
        let found = wait(&Provider::http(), &headers, now);
        assert_eq!(found, Some(Duration::from_secs(later)), "round {round}: {headers:?}");
    });
}

const PIECES: &[&str] = &[
    "0",
    "1",
    "5",
    "60",
    ".",
    "-",
    "+",
    "e9",
    "s",
    "m",
    "h",
    "ms",
    "99999999999999999999",
    "1795341600",
    "1795341600000",
    "Sun, 22 Nov 2026 10:00:00 GMT",
    "Sunday, 22-Nov-26 10:00:00 GMT",
    "Sun Nov 22 10:00:00 2026",
    "2026-11-22T10:00:00Z",
    "2026-11-22 10:00:00",
    "+01:00",
    "Nov",
    " ",
    ",",
    ";",
    "\"",
    "=",
    "T",
    "Z",
    "GMT",
    "nan",
    "\t",
    "r=1;t=2",
    "q=100;w=60",
    "ü",
];

const NAMES: [&str; 10] = [
    "date",
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-reset-requests",
    "anthropic-ratelimit-input-tokens-reset",
    "ratelimit",
    "ratelimit-policy",
    "reset_at",
    "llm_provider-retry-after",
    "x-litellm-key-rpm-limit",
];

fn value(draws: &mut Draws) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..draws.below(5) {
        bytes.extend_from_slice(PIECES[draws.below(PIECES.len() as u64) as usize].as_bytes());
    }
    for _ in 0..draws.below(3) {
        let (at, any) = (draws.below(bytes.len() as u64 + 1) as usize, draws.below(256) as u8);
        match draws.below(3) {
            0 => bytes.insert(at, any),
            1 if at < bytes.len() => bytes[at] = any,
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
    bytes.retain(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    bytes
}

#[test]
fn a_wait_is_none_or_one_that_can_be_waited_for() {
    let providers = [Provider::http(), Provider::openai(), Provider::anthropic(), Provider::litellm()];
    rounds(500, |round, draws| {
        let provider = &providers[draws.below(4) as usize];
        let now = draws.below(1 << 40);
        let (mut headers, mut padded) = (HeaderMap::new(), HeaderMap::new());
        for _ in 0..=draws.below(4) {
            let (name, value) = (NAMES[draws.below(10) as usize], value(draws));
            headers.append(name, HeaderValue::from_bytes(&value).unwrap());
            let spaces = [b" ".as_slice(), &value, b"\t"].concat();
            padded.append(name, HeaderValue::from_bytes(&spaces).unwrap());
        }
        let found = wait(provider, &headers, now);
        let can_be = |wait: Duration| !wait.is_zero() && wait <= Duration::from_secs(101 * YEAR);
        assert!(found.is_none_or(can_be), "round {round}: {headers:?} {found:?}");
        assert_eq!(found, wait(provider, &padded, now), "round {round}: {headers:?}");
        let time = UNIX_EPOCH + Duration::from_secs(now);
        assert_eq!(provider.signals(&headers, time), provider.signals(&padded, time), "round {round}");
    });
}

/// A stream of each format, whole and with its end.
const STREAMS: &[&[&str]] = &[
    &[
        r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
    ],
    &[
        r#"{"type":"message_start","message":{"role":"assistant","usage":{"input_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop"}"#,
    ],
    &[
        r#"{"type":"response.created","response":{"status":"in_progress"}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"Hello"}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","call_id":"t","name":"f"}}"#,
        r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[]}]}}"#,
    ],
    &[
        r#"{"candidates":[{"content":{"parts":[{"text":"h","thought":true}],"role":"model"},"index":0}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"Hello"},{"functionCall":{"name":"f","args":{}}}]},"index":0}]}"#,
        r#"{"candidates":[{"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1}}"#,
    ],
    &[
        r#"{"message":{"role":"assistant","content":"Hel","thinking":"h"},"done":false}"#,
        r#"{"message":{"content":"lo","tool_calls":[{"function":{"name":"f","arguments":{}}}]},"done":false}"#,
        r#"{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":2}"#,
    ],
];

/// Cut at these places, split into values, and read.
fn outcome(provider: Provider, body: &[u8], cuts: &[usize]) -> (Vec<Result<StreamItem, Fault>>, String) {
    let mut reader = provider.stream();
    let mut splitter = JsonSplitter::new();
    let mut items = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&body.len()]) {
        splitter.push(&body[from..cut]).unwrap();
        from = cut;
        while let Some(value) = splitter.next_value() {
            items.push(reader.feed("", &value));
        }
    }
    items.extend(splitter.finish().map(|value| reader.feed("", &value)));
    let shown = format!("{:?} {:?} {}", reader.usage(), reader.finish_reason(), reader.is_complete());
    let end = reader.finish_as_openai();
    (items, format!("{shown} {end:?}"))
}

#[test]
fn a_spoiled_stream_is_read_the_same_however_it_is_cut() {
    let providers = [Provider::openai(), Provider::anthropic(), Provider::gemini(), Provider::ollama()];
    let mut broken = 0;
    rounds(400, |round, draws| {
        let provider = providers[draws.below(4) as usize];
        let events = STREAMS[draws.below(STREAMS.len() as u64) as usize];
        let mut body = match draws.below(3) {
            0 => format!("[{}]", events.join(",\r\n")),
            1 => events.concat(),
            _ => events.join("\n"),
        }
        .into_bytes();
        for _ in 0..draws.below(4) {
            let at = draws.below(body.len().max(1) as u64) as usize;
            match draws.below(4) {
                _ if body.is_empty() => {}
                0 => body[at] = draws.below(256) as u8,
                1 => drop(body.remove(at)),
                2 => body.insert(at, b"{}[]\",:\\n0"[draws.below(10) as usize]),
                _ => body.truncate(at.max(1)),
            }
        }
        let mut cuts: Vec<usize> =
            (0..draws.below(6)).map(|_| draws.below(body.len() as u64 + 1) as usize).collect();
        cuts.sort_unstable();
        let whole = outcome(provider, &body, &[]);
        assert_eq!(
            whole,
            outcome(provider, &body, &cuts),
            "round {round}: {}",
            String::from_utf8_lossy(&body)
        );
        broken += u32::from(whole.0.iter().any(Result::is_err));
        // Read as one body it panics neither.
        let _ = crate::read(provider, &body);
        let _ = (provider.text_of(&body), provider.as_openai(&body));
    });
    assert!(broken > 50, "{broken}");
}
