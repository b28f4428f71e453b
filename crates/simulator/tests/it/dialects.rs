//! The other dialects, besides OpenAI's chat and Anthropic's messages: whole answers, streams, refusals, faults inside.

use outbound_simulator::{Fault, Outcome, Refusal, Simulator};
use serde_json::{Value, json};

use crate::support::{Client, Got, chat, ms, streamed};

const GEMINI: &str = "/v1beta/models/flash:generateContent";
const GEMINI_ARRAY: &str = "/v1beta/models/flash:streamGenerateContent";
const GEMINI_SSE: &str = "/v1beta/models/flash:streamGenerateContent?alt=sse";
const AZURE: &str = "/openai/deployments/mine/chat/completions?api-version=2024-10-21";

fn contents() -> Value {
    json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }] })
}

fn input() -> Value {
    json!({ "model": "test-model", "input": "hello" })
}

async fn post(simulator: &Simulator, path: &str, body: &Value) -> Got {
    Client::to(simulator).await.post(path, body).await
}

fn parts(values: &[Value]) -> String {
    values.iter().filter_map(|value| value["candidates"][0]["content"]["parts"][0]["text"].as_str()).collect()
}

fn sse(got: &Got) -> Vec<Value> {
    let text = got.text().replace("\r\n", "\n");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn lines(got: &Got) -> Vec<Value> {
    got.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn gemini_streams_an_array_or_events_that_add_up_to_the_whole_answer() {
    let simulator = Simulator::builder().output_tokens(5..=5).build();
    let whole = post(&simulator, GEMINI, &contents()).await.json();
    let usage = json!({ "promptTokenCount": 2, "candidatesTokenCount": 5, "totalTokenCount": 7 });
    assert_eq!(whole["usageMetadata"], usage);
    assert_eq!(
        (&whole["candidates"][0]["finishReason"], &whole["modelVersion"]),
        (&json!("STOP"), &json!("flash"))
    );

    let array = post(&simulator, GEMINI_ARRAY, &contents()).await;
    assert_eq!(array.header("content-type"), Some("application/json; charset=UTF-8"));
    let events = post(&simulator, GEMINI_SSE, &contents()).await;
    assert_eq!(events.header("content-type"), Some("text/event-stream; charset=utf-8"));
    for chunks in [array.json().as_array().unwrap().clone(), sse(&events)] {
        assert_eq!(chunks.len(), 6);
        assert_eq!(parts(&chunks), parts(std::slice::from_ref(&whole)));
        assert_eq!(chunks[5]["usageMetadata"], usage);
        assert_eq!(chunks[5]["candidates"][0]["finishReason"], "STOP");
        assert!(chunks[..5].iter().all(|chunk| chunk["candidates"][0].get("finishReason").is_none()));
    }
    let ledger = simulator.ledger();
    assert_eq!(ledger.tokens(), (6, 15));
    assert!(ledger.entries().iter().all(|entry| entry.seen.model.as_deref() == Some("flash")));
    assert_eq!(ledger.entries().iter().filter(|entry| entry.seen.stream).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn gemini_names_the_quota_and_the_wait_in_the_body_only() {
    let simulator = Simulator::builder()
        .requests_per_minute(1)
        .fault_on_attempt(Refusal::quota_spent().hint(ms(22_500)), 1)
        .build();
    let spent = post(&simulator, GEMINI, &contents()).await;
    let error = &spent.json()["error"];
    assert_eq!((spent.status.as_u16(), &error["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
    assert_eq!(
        error["details"][0]["violations"][0]["quotaId"],
        "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    );
    assert_eq!(error["details"][1]["retryDelay"], "22s");
    assert!(error["message"].as_str().unwrap().ends_with("Please retry in 22.500000000s."));

    let over = post(&simulator, GEMINI, &contents()).await;
    let error = &over.json()["error"];
    assert_eq!(
        error["details"][0]["violations"][0]["quotaId"],
        "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
    );
    assert_eq!(error["details"][1]["retryDelay"], "60s");
    assert!(over.headers.keys().all(|name| !name.as_str().contains("limit") && name != "retry-after"));
}

#[tokio::test(start_paused = true)]
async fn responses_stream_numbered_events_to_the_completed_response() {
    let simulator = Simulator::builder().output_tokens(5..=5).build();
    let whole = post(&simulator, "/v1/responses", &input()).await.json();
    assert_eq!((&whole["status"], &whole["usage"]["total_tokens"]), (&json!("completed"), &json!(7)));
    let got = post(&simulator, "/v1/responses", &streamed(input())).await;
    let events = sse(&got);
    assert!(events.iter().enumerate().all(|(index, event)| event["sequence_number"] == index));
    assert!(
        got.events().iter().zip(&events).all(|((name, _), event)| event["type"] == *name.as_ref().unwrap())
    );
    assert_eq!((&events[0]["type"], events.len()), (&json!("response.created"), 13));
    let text: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    let last = &events[12];
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], text);
    assert_eq!((&last["type"], &last["response"]["usage"]), (&json!("response.completed"), &whole["usage"]));

    let mut short = streamed(input());
    short["max_output_tokens"] = json!(2);
    let last = sse(&post(&simulator, "/v1/responses", &short).await).pop().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
}

#[tokio::test(start_paused = true)]
async fn embeddings_give_a_vector_for_each_input_and_bill_no_output() {
    let simulator = Simulator::builder().tokens_per_minute(10).build();
    let got = post(&simulator, "/v1/embeddings", &json!({ "model": "e", "input": ["hello", "bye"] })).await;
    let body = got.json();
    let vectors: Vec<_> = (0..2).map(|index| body["data"][index]["embedding"].clone()).collect();
    assert!(vectors.iter().all(|vector| vector.as_array().unwrap().len() == 8) && vectors[0] != vectors[1]);
    assert_eq!(body["usage"], json!({ "prompt_tokens": 2, "total_tokens": 2 }));
    assert_eq!(got.header("x-ratelimit-remaining-tokens"), Some("8"));
    assert_eq!(simulator.ledger().tokens(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn ollama_streams_lines_unless_told_not_to() {
    let simulator = Simulator::builder().output_tokens(5..=5).build();
    let got = post(&simulator, "/api/chat", &chat("hello")).await;
    assert_eq!(got.header("content-type"), Some("application/x-ndjson"));
    let events = lines(&got);
    let (last, tokens) = events.split_last().unwrap();
    assert!(tokens.len() == 5 && tokens.iter().all(|line| line["done"] == false));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    assert_eq!((&last["prompt_eval_count"], &last["eval_count"]), (&json!(2), &json!(5)));
    let mut whole = chat("hello");
    whole["stream"] = json!(false);
    assert_eq!(post(&simulator, "/api/chat", &whole).await.json()["done"], true);
}

#[tokio::test(start_paused = true)]
async fn azure_has_the_model_in_the_path_and_wants_a_version_and_its_own_header() {
    let simulator = Simulator::builder().key("secret").requests_per_minute(1).build();
    let mut client = Client::to(&simulator).await.with("api-key", "secret");
    let got = client.post("/openai/deployments/mine/chat/completions", &chat("hello")).await;
    assert_eq!(got.status.as_u16(), 400);
    let got = client.post(AZURE, &streamed(chat("hello"))).await;
    assert!(sse(&got)[0]["prompt_filter_results"].is_array());
    assert_eq!(
        (got.header("x-ratelimit-remaining-requests"), &sse(&got)[1]["model"]),
        (Some("0"), &json!("mine"))
    );
    let got = client.post(AZURE, &chat("hello")).await;
    assert_eq!(
        (got.json()["error"]["code"].as_str(), got.header("retry-after-ms")),
        (Some("429"), Some("60000"))
    );
    let got =
        Client::to(&simulator).await.with("authorization", "Bearer secret").post(AZURE, &chat("hi")).await;
    assert_eq!((got.status.as_u16(), got.json()["error"]["code"].as_str()), (401, Some("401")));
}

#[tokio::test(start_paused = true)]
async fn each_dialect_has_its_overload_inside_a_stream() {
    let simulator = Simulator::builder()
        .output_tokens(5..=5)
        .fault_on_attempt(Fault::ErrorEvent { after: 0 }, 1)
        .fault(Fault::ErrorEvent { after: 2 }, 1.0)
        .build();
    for after in [0, 2] {
        let got = post(&simulator, GEMINI_ARRAY, &contents()).await.json();
        let array = got.as_array().unwrap();
        assert_eq!((array.len(), &array[after]["error"]["status"]), (after + 1, &json!("UNAVAILABLE")));
    }
    let got = post(&simulator, GEMINI_SSE, &contents()).await;
    assert_eq!(sse(&got)[2]["error"]["code"], 503);
    for body in [streamed(input()), streamed(input())] {
        let last = sse(&post(&simulator, "/v1/responses", &body).await).pop().unwrap();
        assert_eq!(last["type"], "response.failed");
        assert_eq!(last["response"]["error"]["code"], "server_is_overloaded");
    }
    let got = lines(&post(&simulator, "/api/chat", &chat("hello")).await);
    assert!(got.last().unwrap()["error"].is_string());
    assert!(simulator.ledger().entries().iter().all(|entry| entry.outcome == Outcome::Broken));
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_and_bad_json_keep_the_form_of_each_stream() {
    let alive = Fault::KeepAlive { every: ms(10), count: Some(2) };
    let simulator = Simulator::builder().fault_on_attempt(alive, 1).fault(Fault::BadJson, 1.0).build();
    let got = post(&simulator, GEMINI_ARRAY, &contents()).await;
    assert!(got.text().starts_with("\n\n[") && got.json().is_array());
    let got = post(&simulator, GEMINI_ARRAY, &contents()).await;
    assert!(serde_json::from_slice::<Value>(&got.body()).is_err());
    let got = post(&simulator, "/api/chat", &chat("hello")).await;
    assert!(got.text().starts_with("\n\n{"));
    let got = post(&simulator, "/api/chat", &chat("hello")).await;
    let bad = got.text().lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert_eq!(bad, 1);
}
