//! Whole replies of status 200: which of them are answers, and what the others are.

use http::{HeaderMap, StatusCode};
use outbound_provider::{Class, Provider, Success, Terminal};
use serde_json::Value;

use crate::{chat, headers, ms, now, read, read_other};

const BAD: Class = Class::Terminal(Terminal::BadRequest);
const GOOD: &str = r#"{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;

fn class(body: impl AsRef<[u8]>) -> Option<Class> {
    read(Provider::openai_compatible(), body).err().map(|fault| fault.class)
}

#[test]
fn answers_of_every_shape() {
    let answers = [
        GOOD,
        r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}],"error":null,"errors":[],"detail":null}"#,
        r#"{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a"}]}}]}"#,
        r#"{"choices":[{"message":{"role":"assistant","content":null},"finish_reason":"content_filter"}]}"#,
        r#"{"choices":[{"message":{"role":"assistant","content":null,"refusal":"no"},"finish_reason":null}]}"#,
        r#"{"choices":[{"text":"","index":0}]}"#,
        r#"{"choices":[{"delta":{"content":"whole"},"finish_reason":"stop"}]}"#,
        // Good choices are an answer, whatever else the body has.
        r#"{"code":500,"message":"failed","success":false,"status":"error","choices":[{"message":{"content":"x"}}]}"#,
        r#"{"choices":[{"message":{"content":"x"}}],"base_resp":{"status_code":0,"status_msg":""}}"#,
        r#"{"choices":[{"message":{"content":"x"}}],"error":{"code":0,"message":""}}"#,
        r#"{"choices":[{"message":{"content":"x"},"error":null}],"error":{"message":"warning"}}"#,
        // An error in the text of an answer is no error.
        r#"{"choices":[{"message":{"content":"{\"error\":{\"code\":429}}"}}]}"#,
        r#"{"choices":[{"message":{"content":"x","error":"insufficient_quota"},"finish_reason":"stop"}]}"#,
        r#"{"type":"message","content":[{"type":"text","text":"error"}],"stop_reason":"end_turn"}"#,
        r#"{"type":"message","role":"assistant","content":[],"stop_reason":"end_turn"}"#,
        r#"{"type":"message","content":[],"stop_reason":"end_turn","code":0}"#,
        r#"{"id":"resp_1","object":"response","status":"completed","error":null,"output":[{"type":"message"}]}"#,
        r#"{"id":"resp_1","object":"response","status":"queued","error":null,"output":[]}"#,
        r#"{"object":"list","data":[{"embedding":[0.1]}],"message":"ok","code":0}"#,
        r#"{"code":200,"message":"success","data":{"text":"x"}}"#,
        r#"{"message":{"role":"assistant","content":"x"},"done":true}"#,
        r#"[{"generated_text":"x"}]"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}"#,
        r#"{"input_tokens":14}"#,
        r#"{"id":"thread_1","object":"thread"}"#,
    ];
    for body in answers {
        for provider in
            [Provider::openai(), Provider::openai_compatible(), Provider::anthropic(), Provider::http()]
        {
            let success = read(provider, body);
            assert_eq!(success.map(|success| success.body), Ok(None), "{}: {body}", provider.name());
        }
    }
}

#[test]
fn an_odd_answer_is_still_an_answer() {
    let odd: &[&[u8]] = &[
        b"\xEF\xBB\xBF{\"choices\":[{\"message\":{\"content\":\"x\"}}]}",
        b"\n\n  {\"choices\":[{\"message\":{\"content\":\"x\"}}]}  \n",
        b"{\"choices\":[{\"message\":{\"content\":\"half \\ud83d\"}}]}",
        b"{\"choices\":[{\"message\":{\"content\":\"bad \xFF utf-8 \xC3\"}}]}",
        b"{\"choices\":[{\"message\":{\"content\":\"x\"},\"logprobs\":{\"x\":-Infinity,\"y\":NaN}}]}",
        b"{\"choices\":[{\"message\":{\"content\":\"raw \n\t control\"}}]}",
    ];
    let deep = format!("{{\"x\":{}{},{}", "[".repeat(5_000), "]".repeat(5_000), &GOOD[1..]);
    for body in odd.iter().copied().chain([deep.as_bytes()]) {
        let success = read(Provider::openai(), body);
        assert_eq!(success, Ok(Success::default()), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn an_error_inside_a_200_is_a_fault() {
    let cases = [
        (r#"{"error":{"code":502,"message":"Provider returned error"}}"#, Class::Transient),
        (r#"{"error":{"code":429,"message":"limit"}}"#, Class::RateLimited),
        (r#"{"error":{"code":"429","message":"limit"}}"#, Class::RateLimited),
        (r#"{"error":{"type":"server_error","message":"oops"}}"#, Class::Transient),
        (r#"{"error":"out of memory"}"#, Class::Transient),
        (r#"{"error":"rate limit exceeded"}"#, Class::RateLimited),
        (r#"{"error":"Rate limit exceeded","choices":null}"#, Class::RateLimited),
        (r#"{"error":{"code":403,"message":"flagged"}}"#, Class::Terminal(Terminal::ContentFilter)),
        (r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#, BAD),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Class::Overloaded),
        (r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#, Class::Overloaded),
        (r#"{"choices":[{"error":{"code":502,"message":"cut"},"finish_reason":"error"}]}"#, Class::Transient),
        (r#"{"choices":[{"message":{"content":"ha"},"finish_reason":"error"}]}"#, Class::Transient),
        (r#"{"choices":[{"message":{"content":"ha"},"error":{"code":429}}]}"#, Class::RateLimited),
        (r#"{"choices":[{"message":{"content":"a"}},{"error":{"code":429}}]}"#, Class::RateLimited),
        // The error beside a failed choice says more than the choice.
        (r#"{"error":{"code":429},"choices":[{"finish_reason":"error"}]}"#, Class::RateLimited),
        (r#"{"error":{"code":7,"message":"no status"}}"#, Class::Transient),
        (r#"{"error":true}"#, Class::Transient),
        (r#"{"errors":[{"code":429,"message":"slow"}]}"#, Class::Transient),
        (r#"{"errors":[{"message":"too many requests"}]}"#, Class::RateLimited),
        (r#"{"errors":["invalid api key"],"success":false}"#, Class::Terminal(Terminal::Auth)),
        (r#"{"code":"rate_limit_exceeded","message":"slow"}"#, Class::RateLimited),
        (r#"{"code":429,"message":"slow","data":null}"#, Class::RateLimited),
        (r#"{"code":429,"message":"slow","data":{"trace":"t"}}"#, Class::RateLimited),
        (r#"{"code":"500","msg":"slow"}"#, Class::Transient),
        (r#"{"error_code":18,"error_msg":"qps request limit reached"}"#, Class::Transient),
        (r#"{"detail":"Internal error"}"#, Class::Transient),
        (r#"{"detail":{"error":"busy"}}"#, Class::Transient),
        (r#"{"message":"rate limit reached","type":"error"}"#, Class::RateLimited),
        (r#"{"message":"m","type":"rate_limit_error"}"#, Class::RateLimited),
        (r#"{"message":"m","type":"rate_limited","code":"1300"}"#, Class::RateLimited),
        (
            r#"{"base_resp":{"status_code":1002,"status_msg":"rate limit"},"choices":null}"#,
            Class::RateLimited,
        ),
        (r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#, Class::QuotaSpent),
        (r#"{"base_resp":{"status_code":1013,"status_msg":"internal"},"choices":[]}"#, Class::Transient),
        (r#"{"success":false,"message":"no"}"#, Class::Transient),
        (r#"{"ok":false}"#, Class::Transient),
        (r#"{"status":"error","message":"overloaded"}"#, Class::Overloaded),
        (r#"{"status":"failed"}"#, Class::Transient),
        (r#"{"status":429,"title":"Too Many Requests","type":"about:blank"}"#, Class::RateLimited),
        (r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#, Class::RateLimited),
        (r#"{"fault":{"faultstring":"Rate limit quota violation"}}"#, Class::RateLimited),
        (
            r#"{"id":"r","object":"response","status":"failed","output":[],"error":{"code":"rate_limit_exceeded"}}"#,
            Class::RateLimited,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(class(body), Some(expected), "{body}");
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(body).unwrap()).unwrap();
        assert_eq!(class(pretty), Some(expected), "{body}");
        assert_eq!(read(Provider::http(), body), Ok(Success::default()), "{body}");
    }
}

#[test]
fn what_is_no_answer_to_a_chat_is_unreadable() {
    let cases = [
        ("", "the answer is empty"),
        (" \n", "the answer is empty"),
        ("{\"choices\":[", "the answer is cut short"),
        (&GOOD[..GOOD.len() - 1], "the answer is cut short"),
        ("<html>", "the answer is an HTML page"),
        ("<!DOCTYPE html>\n<title>Log\nin</title>", "the answer is an HTML page: Log in"),
        ("<html><title>a > b</title>", "the answer is an HTML page: a > b"),
        ("<html><h1>Bad <b>gate</b>way", "the answer is an HTML page: Bad gateway"),
        ("upstream said no", "the answer is no JSON: upstream said no"),
        ("{}", NO_CHOICES),
        ("null", NO_CHOICES),
        ("[]", NO_CHOICES),
        ("3", NO_CHOICES),
        (
            r#"{"id":null,"choices":null,"model":null,"object":null,"usage":null,"system_fingerprint":null}"#,
            NO_CHOICES,
        ),
        (r#"{"choices":[]}"#, NO_CHOICES),
        (r#"{"choices":[null]}"#, NO_CHOICES),
        (r#"{"choices":[{}]}"#, NO_CHOICES),
        (r#"{"choices":[{"index":1,"message":null,"finish_reason":null}]}"#, NO_CHOICES),
        (r#"{"choices":[{"message":{"role":"assistant","content":null},"finish_reason":null}]}"#, NO_CHOICES),
        (r#"{"id":"c","object":"chat.completion","choices":[],"usage":{"prompt_tokens":1}}"#, NO_CHOICES),
        (r#"{"id":"c","object":"chat.completion","usage":{"prompt_tokens":1}}"#, NO_CHOICES),
        (r#"{"choices":{"a":1}}"#, NO_CHOICES),
        (r#"{"error":null,"content":null}"#, NO_CHOICES),
        (r#"{"error":{"code":null,"message":""}}"#, NO_CHOICES),
        (r#"{"message":"hello"}"#, NO_CHOICES),
    ];
    for (body, message) in cases {
        let fault = read(Provider::openai(), body).unwrap_err();
        assert_eq!((fault.class, fault.message.as_deref()), (Class::Unreadable, Some(message)), "{body:?}");
        assert!(fault.is_retryable(), "once more");
        assert_eq!(read(Provider::http(), body), Ok(Success::default()), "{body:?}");
    }
    let trailing = format!("{GOOD} x");
    assert_eq!(class(trailing), Some(Class::Unreadable));
}

const NO_CHOICES: &str = "the answer holds no choices";

#[test]
fn whatever_answers_what_was_no_chat_is_an_answer() {
    let answers: &[&[u8]] = &[
        b"",
        b"ID3\x04\x00\xFF\xFB",
        b"plain text, { or not",
        b"{laughs} a transcript",
        b"<html>a file</html>",
        b"WEBVTT\n\n00:00 --> 00:01\n",
        b"data: not for us\n\n",
        b"{\"a\":1}\n{\"a\":2}\n",
        b"\x1F\x8B\x08",
        b"{}",
        b"null",
        b"[]",
        b"{\"choices\":null}",
        b"{\"message\":\"deleted\"}",
        b"{\"object\":\"list\",\"data\":[]}",
        b"{\"status\":\"ok\",\"code\":200,\"message\":\"OK\"}",
        b"{\"id\":\"b\",\"object\":\"batch\",\"status\":\"failed\",\"errors\":{\"data\":[{\"code\":\"x\"}]}}",
        b"{\"id\":\"j\",\"object\":\"fine_tuning.job\",\"status\":\"failed\",\"error\":{\"code\":\"x\"}}",
    ];
    for body in answers {
        assert_eq!(read_other(body), Ok(Success::default()), "{}", String::from_utf8_lossy(body));
    }
    for body in ["{\"data\":[{\"embedding\":[0.1,", "[{\"a\":1}"] {
        assert_eq!(read_other(body).unwrap_err().class, Class::Unreadable, "{body}");
    }
    for body in [
        r#"{"error":{"code":429}}"#,
        r#"{"object":"error","id":"x","code":429}"#,
        r#"{"code":429,"message":"m"}"#,
    ] {
        assert_eq!(read_other(body).unwrap_err().class, Class::RateLimited, "{body}");
    }
}

#[test]
fn headers_of_a_200_tell_waits_too() {
    let body = br#"{"error":{"code":429,"message":"limit"}}"#;
    let told = headers(&[("retry-after", "3")]);
    let fault = Provider::openai().read_success(&chat(), StatusCode::OK, &told, body, now()).unwrap_err();
    assert_eq!(fault.wait, Some(ms(3_000)));
}

#[test]
fn a_coding_that_nobody_decoded_is_named_and_not_retried() {
    let told = headers(&[("content-encoding", "gzip")]);
    let read = |headers, body: &str| {
        Provider::openai().read_success(&chat(), StatusCode::OK, headers, body.as_bytes(), now())
    };
    let fault = read(&told, "\u{1F}gibberish").unwrap_err();
    assert_eq!(fault.class, Class::Unreadable);
    assert_eq!(
        fault.message.as_deref(),
        Some("the answer has the content coding gzip, which was not asked for")
    );
    assert!(!fault.is_retryable());
    assert!(read(&told, GOOD).is_ok(), "it was decoded, and the header was left");
    assert!(read(&headers(&[("content-encoding", "identity")]), "x").unwrap_err().is_retryable());
}

#[test]
fn a_status_that_is_no_success_is_classified() {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let fault = Provider::openai()
        .read_success(&chat(), status, &HeaderMap::new(), GOOD.as_bytes(), now())
        .unwrap_err();
    assert_eq!(fault.class, Class::RateLimited);
}
