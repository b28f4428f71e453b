//! What a request's body says about it.

use outbound_provider::{NotJson, Provider, RequestFacts};
use serde_json::{Value, json};

fn facts(body: &Value) -> RequestFacts {
    Provider::openai().read_request(body.to_string().as_bytes()).unwrap()
}

#[test]
fn model_stream_and_choices() {
    let read = facts(&json!({"model": "gpt-x", "stream": true, "n": 3, "messages": []}));
    assert_eq!((read.model.as_deref(), read.stream, read.choices, read.chat), (Some("gpt-x"), true, 3, true));
    let read = facts(&json!({"messages": "text"}));
    assert_eq!((read.model, read.stream, read.choices, read.chat), (None, false, 1, true));
    for odd in [
        json!({"model": null, "n": 0, "stream": "true"}),
        json!({"model": 7, "n": -2, "stream": 1}),
        json!({"n": "3"}),
    ] {
        let read = facts(&odd);
        assert_eq!((read.model, read.stream, read.choices), (None, false, 1), "{odd}");
    }
    assert_eq!(facts(&json!({"model": "a\"b\u{e9}\n"})).model.as_deref(), Some("a\"b\u{e9}\n"));
    // Fields inside messages are not fields of the request.
    let quoted =
        json!({"messages": [{"role": "user", "content": "x", "model": "no", "stream": true, "n": 9}]});
    let read = facts(&quoted);
    assert_eq!((read.model, read.stream, read.choices), (None, false, 1));
}

#[test]
fn only_a_text_can_answer_a_chat() {
    let chats = [
        json!({"messages": []}),
        json!({"prompt": "x", "max_tokens": 5}),
        json!({"prompt": "x", "temperature": 0}),
        json!({"prompt": "x", "stream": true}),
        json!({"model": "gpt-x", "input": "x"}),
        json!({"model": "gpt-x", "input": [{"role": "user", "content": "x"}], "instructions": "y"}),
    ];
    let others = [
        json!({}),
        json!({"model": "gpt-x"}),
        json!({"model": "text-embedding-3-small", "input": "x"}),
        json!({"model": "x", "input": "x", "encoding_format": "float"}),
        json!({"model": "x", "input": "x", "dimensions": 5}),
        json!({"model": "gpt-audio", "input": "x", "voice": "alloy"}),
        json!({"model": "tts-1", "input": "x"}),
        json!({"model": "omni-moderation-latest", "input": "x"}),
        json!({"input": "x"}),
        json!({"model": "dall-e-3", "prompt": "x"}),
        json!({"model": "dall-e-3", "prompt": "x", "n": 1, "size": "1024x1024"}),
        json!({"model": "rerank-1", "query": "x", "documents": ["y"]}),
        json!({"requests": [{"messages": []}]}),
        json!({"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}),
        json!([{"messages": []}]),
        json!(null),
    ];
    for body in &chats {
        assert!(facts(body).chat, "{body}");
    }
    for body in &others {
        assert!(!facts(body).chat, "{body}");
    }
}

#[test]
fn odd_bodies_are_read() {
    let odd: &[&[u8]] = &[
        b"\xEF\xBB\xBF{\"model\":\"m\",\"messages\":[]}",
        b"{\"messages\":[{\"content\":\"half \\ud83d\"}],\"model\":\"m\"}",
        b"{\"messages\":[{\"content\":\"\xFF\xC3\"}],\"model\":\"m\"}",
        b"{\"temperature\":NaN,\"x\":-Infinity,\"messages\":[],\"model\":\"m\"}",
        b"{\"messages\":[],\"model\":\"m\"}\r\n",
    ];
    for body in odd {
        let read = Provider::anthropic().read_request(body).unwrap();
        assert_eq!(
            (read.model.as_deref(), read.chat),
            (Some("m"), true),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn an_empty_body_says_nothing_and_plain_http_does_not_look() {
    assert_eq!(Provider::openai().read_request(b""), Ok(RequestFacts::default()));
    assert_eq!(RequestFacts::default().choices, 1);
    for body in [&b"{\"messages\":[],\"stream\":true}"[..], b"{", b"no"] {
        assert_eq!(Provider::http().read_request(body), Ok(RequestFacts::default()));
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let place = |body: &str| {
        let NotJson { at, cut, .. } = Provider::openai().read_request(body.as_bytes()).unwrap_err();
        (at, cut)
    };
    assert_eq!(place("{\"a\":1"), (6, true));
    assert_eq!(place("{\"a\":tru"), (8, true));
    assert_eq!(place("{\"a\":\"x"), (7, true));
    assert_eq!(place("{\"a\":x}"), (5, false));
    assert_eq!(place("\u{FEFF}{\"a\":x}"), (8, false));
    assert_eq!(place("{} {}"), (3, false));
    assert_eq!(place("<html>"), (0, false));
    let refused = |body: &str| Provider::openai().read_request(body.as_bytes()).unwrap_err().to_string();
    assert_eq!(refused("{\"a\":x}"), "it is wrong at byte 5");
    assert_eq!(refused("{\"a\":"), "it ends at byte 5, in the middle of a value");
}

/// Gemini's and Ollama's requests have other names for the same.
#[test]
fn native_requests_are_chats_too() {
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "generationConfig": {"maxOutputTokens": 70, "candidateCount": 3, "stopSequences": ["n"]}});
    let read = facts(&gemini);
    assert_eq!((read.chat, read.model, read.choices, read.stream), (true, None, 3, false));
    assert_eq!((read.estimate.output, read.estimate.output_stated), (210, true));
    let other = json!({"contents": [], "generation_config": {"max_output_tokens": 5, "candidate_count": 2}});
    assert_eq!((facts(&other).estimate.output, facts(&other).choices), (10, 2));
    let ollama =
        json!({"model": "gemma3", "messages": [], "options": {"num_predict": 42, "num_ctx": 9, "n": 5}});
    let read = facts(&ollama);
    assert_eq!(
        (read.chat, read.model.as_deref(), read.choices, read.estimate.output),
        (true, Some("gemma3"), 1, 42)
    );
    for odd in
        [json!({"messages": [], "options": null}), json!({"messages": [], "options": {"num_predict": -1}})]
    {
        assert_eq!(
            (facts(&odd).estimate.output, facts(&odd).estimate.output_stated),
            (1_024, false),
            "{odd}"
        );
    }
}
