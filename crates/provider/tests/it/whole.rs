//! Whole answers in every format: their text, and the same in OpenAI's shape.

use http::{HeaderMap, StatusCode};
use outbound_provider::{Class, Fault, Provider, Success, Terminal};
use serde_json::{Value, json};

use crate::{chat, headers, now, read};

const OPENAI: Provider = Provider::openai();

#[test]
fn the_text_of_an_answer_in_each_format() {
    let cases = [
        (json!({"choices": [{"message": {"role": "assistant", "content": "Hi"}}]}), Some("Hi")),
        (json!({"choices": [{"message": {"content": [{"type": "text", "text": "Hi"}]}}]}), Some("Hi")),
        (json!({"choices": [{"text": "Hi"}]}), Some("Hi")),
        (json!({"choices": [{"message": {"content": null, "tool_calls": []}}]}), Some("")),
        (
            json!({"content": [{"type": "thinking", "thinking": "no"}, {"type": "text", "text": "Hi"}]}),
            Some("Hi"),
        ),
        (
            json!({"candidates": [{"content": {"parts": [{"text": "no", "thought": true}, {"text": "H"}, {"text": "i"}]}}]}),
            Some("Hi"),
        ),
        (json!({"candidates": [{"finishReason": "SAFETY"}]}), Some("")),
        (
            json!({"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]}),
            Some("Hi"),
        ),
        (json!({"message": {"role": "assistant", "content": "Hi"}, "done": true}), Some("Hi")),
        (json!({"response": "Hi", "done": true}), Some("Hi")),
        (json!({"choices": []}), None),
        (json!({"data": [{"embedding": [0.1]}]}), None),
        (json!({"error": {"message": "no"}}), None),
        (json!([1]), None),
    ];
    for (body, text) in cases {
        let body = body.to_string();
        assert_eq!(OPENAI.text_of(body.as_bytes()).as_deref(), text, "{body}");
        assert_eq!(Provider::http().text_of(body.as_bytes()), None, "{body}");
        assert_eq!(Provider::http().as_openai(body.as_bytes()), None, "{body}");
    }
    assert_eq!(OPENAI.text_of(b"{\"choices\":"), None);
    assert_eq!(OPENAI.as_openai(b"{\"data\":[]}"), None);
}

#[test]
fn what_is_openais_stays_as_it_is() {
    let body = json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": "a"},
        "x": 1}], "usage": {"prompt_tokens": 1}, "service_tier": "default"});
    assert_eq!(OPENAI.as_openai(body.to_string().as_bytes()), Some(body));
    let completion = json!({"id": "c", "object": "text_completion", "created": 5, "model": "m",
        "choices": [{"index": 0, "text": "a", "finish_reason": "length"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    let expected = json!({"id": "c", "object": "chat.completion", "created": 5, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a", "refusal": null},
            "logprobs": null, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 0}}});
    assert_eq!(OPENAI.as_openai(completion.to_string().as_bytes()), Some(expected));
}

fn as_openai(body: &Value) -> Value {
    OPENAI.as_openai(body.to_string().as_bytes()).unwrap()
}

#[test]
fn an_answer_with_calls_only_has_no_content() {
    let bodies = [
        json!({"content": [{"type": "tool_use", "id": "t", "name": "look", "input": {"x": 1}}], "stop_reason": "tool_use"}),
        json!({"candidates": [{"content": {"parts": [{"functionCall": {"id": "t", "name": "look", "args": {"x": 1}}}]}, "finishReason": "STOP"}]}),
        json!({"output": [{"type": "function_call", "call_id": "t", "name": "look", "arguments": "{\"x\":1}"}], "status": "completed"}),
        json!({"message": {"content": "", "tool_calls": [{"id": "t", "function": {"name": "look", "arguments": {"x": 1}}}]}, "done": true}),
    ];
    for body in bodies {
        let choice = &as_openai(&body)["choices"][0];
        assert_eq!(choice["message"]["content"], Value::Null, "{body}");
        let calls =
            json!([{"id": "t", "type": "function", "function": {"name": "look", "arguments": "{\"x\":1}"}}]);
        assert_eq!(
            (&choice["message"]["tool_calls"], &choice["finish_reason"]),
            (&calls, &json!("tool_calls")),
            "{body}"
        );
    }
    // A call without an id gets one, so that a result can name it.
    let body = json!({"message": {"content": "", "tool_calls": [{"function": {"name": "a", "arguments": {}}},
        {"function": {"name": "b", "arguments": {}}}]}, "done": true});
    let calls = as_openai(&body)["choices"][0]["message"]["tool_calls"].take();
    assert_eq!((&calls[0]["id"], &calls[1]["id"]), (&json!("call_0"), &json!("call_1")));
}

#[test]
fn ids_models_refusals_and_cached_tokens_come_along() {
    let gemini = json!({"responseId": "r", "modelVersion": "gemini-2.5", "usageMetadata": {"promptTokenCount": 5,
        "cachedContentTokenCount": 3, "candidatesTokenCount": 1}, "candidates": [
        {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
        {"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "SAFETY"}]});
    let body = as_openai(&gemini);
    assert_eq!((&body["id"], &body["model"]), (&json!("r"), &json!("gemini-2.5")));
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
    assert_eq!(
        (&body["choices"][1]["index"], &body["choices"][1]["finish_reason"]),
        (&json!(1), &json!("content_filter"))
    );
    let anthropic = json!({"id": "msg", "model": "claude", "type": "message", "stop_reason": "end_turn", "content": [],
        "usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 4, "output_tokens": 8}});
    let body = as_openai(&anthropic);
    assert_eq!(
        body["usage"],
        json!({"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 2}})
    );
    assert_eq!(body["choices"][0]["message"]["content"], "");
    let response = json!({"id": "resp", "created_at": 9, "model": "gpt", "status": "incomplete",
        "incomplete_details": {"reason": "content_filter"},
        "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "I cannot"}]}]});
    let body = as_openai(&response);
    assert_eq!(
        (&body["created"], &body["choices"][0]["message"]["refusal"]),
        (&json!(9), &json!("I cannot"))
    );
    assert_eq!(body["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
}

fn tokens(read: &Result<Success, Fault>) -> Option<(u64, u64, u64)> {
    let usage = read.as_ref().unwrap().usage?;
    Some((usage.input, usage.output, usage.cached))
}

#[test]
fn whole_bodies_of_gemini_and_ollama_are_answers() {
    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],
        "usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":2,"thoughtsTokenCount":7,"cachedContentTokenCount":1,"totalTokenCount":13,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":4}]}}"#;
    let read_gemini = read(Provider::gemini(), gemini);
    assert_eq!(tokens(&read_gemini), Some((4, 9, 1)));
    assert_eq!(read_gemini.unwrap().body, None);
    let ollama = r#"{"model":"m","message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":298}"#;
    assert_eq!(tokens(&read(Provider::ollama(), ollama)), Some((26, 298, 0)));
    assert_eq!(
        tokens(&read(Provider::ollama(), r#"{"response":"Hi","done":true,"eval_count":1}"#)),
        Some((0, 1, 0))
    );
    // A candidate that ended before its first word is an answer with a reason.
    assert!(read(Provider::gemini(), r#"{"candidates":[{"finishReason":"SAFETY","index":0}]}"#).is_ok());
    for nothing in [
        r#"{"candidates":[]}"#,
        r#"{"candidates":[{"index":0}]}"#,
        r#"{"usageMetadata":{"promptTokenCount":1}}"#,
    ] {
        assert_eq!(read(Provider::gemini(), nothing).unwrap_err().class, Class::Unreadable, "{nothing}");
    }
}

#[test]
fn a_prompt_that_gemini_blocks_is_not_sent_again() {
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[]},"usageMetadata":{"promptTokenCount":5}}"#;
    let fault = read(Provider::gemini(), blocked).unwrap_err();
    assert_eq!(fault.class, Class::Terminal(Terminal::ContentFilter));
    assert_eq!(fault.code.as_deref(), Some("content_filter"));
    let rated =
        r#"{"promptFeedback":{"safetyRatings":[]},"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
    assert!(read(Provider::gemini(), rated).is_ok());
    // A candidate beside it is an answer.
    let both =
        r#"{"promptFeedback":{"blockReason":"OTHER"},"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
    assert!(read(Provider::gemini(), both).is_ok());
    let stopped = r#"{"promptFeedback":{"blockReason":"OTHER"},"candidates":[{"finishReason":"SAFETY"}]}"#;
    assert!(read(Provider::gemini(), stopped).is_ok());
}

/// Ollama streams unless the request says no, and Gemini streams where the path asks for it.
#[test]
fn a_stream_of_json_where_a_whole_body_was_asked_for_is_put_together() {
    let lines = "{\"message\":{\"role\":\"assistant\",\"content\":\"H\"},\"done\":false}\n\
        {\"message\":{\"role\":\"assistant\",\"content\":\"i\"},\"done\":true,\"prompt_eval_count\":1,\"eval_count\":2}\n";
    let array = r#"[{"candidates":[{"content":{"parts":[{"text":"H"}]}}]}
,
{"candidates":[{"content":{"parts":[{"text":"i"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}]"#;
    for (provider, stream) in
        [(Provider::ollama(), lines), (Provider::gemini(), array), (Provider::openai_compatible(), lines)]
    {
        let read = read(provider, stream);
        assert_eq!(tokens(&read), Some((1, 2, 0)), "{stream}");
        assert_eq!(provider.text_of(&read.unwrap().body.unwrap()).as_deref(), Some("Hi"));
    }
    let (first, _) = lines.split_once('\n').unwrap();
    let cut = array.rfind(",\"finishReason\"").unwrap();
    for (stream, partial) in [
        (first, "H"),
        (&lines[..lines.len() - 9], "H"),
        (&array[..array.find("\n,").unwrap()], "H"),
        (&array[..cut], "H"),
        (&format!("{first}\n{first}"), "HH"),
        (&array.replace(",\"finishReason\":\"STOP\"", ""), "Hi"),
    ] {
        let fault = read(Provider::openai(), stream).unwrap_err();
        assert_eq!((fault.class, fault.partial.as_deref()), (Class::StreamBroken, Some(partial)), "{stream}");
    }
    let overloaded = format!("{first}\n{{\"error\":\"server overloaded\"}}");
    let told = headers(&[("retry-after", "3")]);
    let fault = Provider::ollama()
        .read_success(&chat(), StatusCode::OK, &told, overloaded.as_bytes(), now())
        .unwrap_err();
    assert_eq!((fault.class, fault.partial.as_deref()), (Class::Overloaded, Some("H")));
    assert_eq!(fault.wait, Some(std::time::Duration::from_secs(3)));
    // For a request that was no chat everything is an answer, as it came.
    let facts = Provider::ollama().read_request(br#"{"name":"m"}"#).unwrap();
    let pulled = b"{\"status\":\"pulling\",\"done\":false}\n{\"status\":\"success\"}\n";
    let read = Provider::ollama().read_success(&facts, StatusCode::OK, &HeaderMap::new(), pulled, now());
    assert_eq!(read, Ok(Success::default()));
}

/// "Streaming" in OpenRouter's documentation and "Rate Limit" in `DeepSeek`'s: comments and empty lines keep a connection
/// alive, before a stream and before a whole body.
#[test]
fn comments_before_an_answer_are_passed_over() {
    let events = ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
        : keep-alive\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let body = read(Provider::openrouter(), events).unwrap().body.unwrap();
    assert_eq!(Provider::openrouter().text_of(&body).as_deref(), Some("Hi"));
    let waited = format!("\n\n\n\n{}", r#"{"choices":[{"message":{"content":"Hi"}}]}"#);
    assert_eq!(read(Provider::deepseek(), &waited), Ok(Success::default()));
    let failed = ": OPENROUTER PROCESSING\n\ndata: {\"id\":\"g\",\"error\":{\"code\":\"server_error\",\"message\":\"Provider disconnected\"},\
        \"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n";
    assert_eq!(read(Provider::openrouter(), failed).unwrap_err().class, Class::Transient);
}
