//! Faults in the form of each dialect: refusals, cuts, stalls, errors inside a reply, signs of life.

use http::Method;
use outbound_simulator::{Builder, Fault, Latency, Ledger, Outcome, Refusal, Simulator};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Client, Got, chat, ms, secs};

/// One way to ask for an answer.
struct Form {
    name: &'static str,
    path: &'static str,
    body: Value,
    /// Text that is once in each piece of the answer.
    piece: &'static str,
    /// Text that is in the end of a whole answer only.
    end: &'static str,
}

fn streams() -> Vec<Form> {
    let contents = json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }] });
    let piece = "\"text\":";
    let end = "\"finishReason\"";
    let path = "/v1beta/models/flash:streamGenerateContent";
    let array = Form { name: "gemini, an array", path, body: contents.clone(), piece, end };
    let path = "/v1beta/models/flash:streamGenerateContent?alt=sse";
    let events = Form { name: "gemini, events", path, body: contents, piece, end };
    let responses = Form {
        name: "responses",
        path: "/v1/responses",
        body: json!({ "model": "m", "input": "hello", "stream": true }),
        piece: "event: response.output_text.delta\n",
        end: "response.completed",
    };
    let ollama = Form {
        name: "ollama",
        path: "/api/chat",
        body: chat("hello"),
        piece: "\"done\":false",
        end: "\"done\":true",
    };
    vec![array, events, responses, ollama]
}

fn plains() -> Vec<Form> {
    let mut forms = streams();
    forms.remove(0);
    forms[0].path = "/v1beta/models/flash:generateContent";
    forms[1].end = "\"completed\"";
    for form in &mut forms[1..] {
        form.body["stream"] = json!(false);
    }
    forms
}

fn five_tokens() -> Builder {
    Simulator::builder().output_tokens(5..=5)
}

async fn ask(simulator: &Simulator, form: &Form) -> Got {
    Client::to(simulator).await.post(form.path, &form.body).await
}

/// One request of two input tokens against a simulator with this fault.
async fn strike(fault: impl Into<Fault>, form: &Form) -> (Got, Ledger) {
    let simulator = five_tokens().fault(fault, 1.0).build();
    let got = ask(&simulator, form).await;
    (got, simulator.ledger())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

#[tokio::test(start_paused = true)]
async fn every_status_has_a_body_in_the_form_of_the_dialect() {
    let statuses = [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (413, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ];
    for (status, word) in statuses {
        for form in streams().iter().chain(&plains()) {
            let (got, ledger) = strike(Refusal::status(status), form).await;
            assert_eq!(got.status, status, "{}", form.name);
            assert_eq!(got.header("content-type"), Some("application/json"), "{}", form.name);
            let error = got.json()["error"].clone();
            match form.name {
                "ollama" => assert!(error.is_string(), "{error}"),
                "responses" => assert!(error["message"].is_string() && error["type"].is_string(), "{error}"),
                _ => {
                    assert_eq!((&error["code"], &error["status"]), (&json!(status), &json!(word)));
                    assert!(error["message"].is_string() && error["details"].is_array(), "{error}");
                }
            }
            assert_eq!(ledger.entries()[0].outcome, Outcome::Refused(got.status));
            assert_eq!(ledger.tokens(), (0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn gemini_and_ollama_have_no_headers_of_their_own() {
    let simulator = five_tokens().requests_per_minute(100).build();
    for form in streams().iter().chain(&plains()) {
        let got = ask(&simulator, form).await;
        let has_own = form.name == "responses";
        for name in ["x-request-id", "x-ratelimit-remaining-requests"] {
            assert_eq!(got.header(name).is_some(), has_own, "{}, {name}", form.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_cut_in_each_way_before_its_end() {
    for form in streams() {
        for after in [0, 2, 99] {
            let faults = [
                (Fault::Truncate { after }, true),
                (Fault::CutShort { after }, false),
                (Fault::ResetAfterHeaders { after }, false),
            ];
            for (fault, is_whole) in faults {
                let case = format!("{}, {fault}", form.name);
                let (got, ledger) = strike(fault, &form).await;
                assert_eq!((got.status.as_u16(), got.is_whole), (200, is_whole), "{case}");
                let text = got.text();
                let sent = after.min(5) as usize;
                assert_eq!(text.matches(form.piece).count(), sent, "{case}: {text}");
                assert!(!text.contains(form.end), "{case}: {text}");
                assert_eq!(text.is_empty(), after == 0, "{case}: {text}");
                assert_eq!(ledger.entries()[0].outcome, Outcome::Broken, "{case}");
                assert_eq!(ledger.tokens(), (2, sent as u64), "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_stalls_until_the_client_leaves() {
    for form in streams() {
        let simulator = five_tokens().fault(Fault::Stall { after: 3 }, 1.0).build();
        assert!(timeout(secs(3_600), ask(&simulator, &form)).await.is_err(), "{}", form.name);
        tokio::time::sleep(ms(1)).await;
        assert_eq!(simulator.ledger().entries()[0].outcome, Outcome::Broken, "{}", form.name);
        assert_eq!(simulator.ledger().tokens(), (2, 3), "{}", form.name);
    }
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_go_before_the_answer_or_have_none() {
    for form in streams().iter().chain(&plains()) {
        let simulator = five_tokens()
            .time_to_first_token(Latency::fixed(secs(1)))
            .fault_on_attempt(Fault::KeepAlive { every: secs(10), count: Some(3) }, 1)
            .fault(Fault::KeepAlive { every: secs(10), count: None }, 1.0)
            .build();
        let got = ask(&simulator, form).await;
        let times: Vec<_> = got.frames.iter().map(|(at, _)| at.as_secs()).take(4).collect();
        assert_eq!(times, [10, 20, 30, 31], "{}", form.name);
        let text = got.text();
        assert!(got.is_whole && text.contains(form.end), "{}: {text}", form.name);
        assert_eq!(simulator.ledger().entries()[0].outcome, Outcome::Answered, "{}", form.name);

        assert!(timeout(secs(3_600), ask(&simulator, form)).await.is_err(), "{}", form.name);
        tokio::time::sleep(ms(1)).await;
        assert_eq!(simulator.ledger().entries()[1].outcome, Outcome::Broken, "{}", form.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_reply_is_half_there_or_not_json() {
    for form in plains() {
        for (fault, is_whole) in [
            (Fault::Truncate { after: 1 }, true),
            (Fault::CutShort { after: 1 }, false),
            (Fault::ResetAfterHeaders { after: 1 }, false),
            (Fault::BadJson, true),
        ] {
            let case = format!("{}, {fault}", form.name);
            let (got, ledger) = strike(fault, &form).await;
            assert_eq!((got.status.as_u16(), got.is_whole), (200, is_whole), "{case}");
            assert!(!got.body().is_empty() && !is_json(&got.text()), "{case}: {}", got.text());
            assert_eq!(ledger.entries()[0].outcome, Outcome::Broken, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_overload_in_the_place_of_a_plain_answer_is_billed_nothing() {
    for form in plains() {
        let (got, ledger) = strike(Fault::ErrorEvent { after: 0 }, &form).await;
        assert_eq!(got.status, 200, "{}", form.name);
        let body = got.json();
        match form.name {
            "ollama" => assert!(body["error"].is_string(), "{body}"),
            "responses" => {
                assert_eq!((&body["object"], &body["status"]), (&json!("response"), &json!("failed")));
                assert_eq!(body["error"]["code"], "server_is_overloaded");
            }
            _ => assert_eq!(body["error"]["status"], "UNAVAILABLE"),
        }
        assert_eq!(ledger.tokens(), (0, 0), "{}", form.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_refused_as_the_real_one_refuses_it() {
    let simulator = five_tokens().key("right").build();
    for form in streams().iter().chain(&plains()) {
        let header = if form.name.starts_with("gemini") { "x-goog-api-key" } else { "authorization" };
        let key = |key: &str| if header == "authorization" { format!("Bearer {key}") } else { key.into() };
        let mut client = Client::to(&simulator).await.with(header, &key("right"));
        assert_eq!(client.post(form.path, &form.body).await.status, 200, "{}", form.name);
        let none = ask(&simulator, form).await;
        let mut client = Client::to(&simulator).await.with(header, &key("wrong"));
        let wrong = client.post(form.path, &form.body).await;
        let statuses = (none.status.as_u16(), wrong.status.as_u16());
        if form.name.starts_with("gemini") {
            assert_eq!(statuses, (403, 400), "{}", form.name);
            assert_eq!(none.json()["error"]["status"], "PERMISSION_DENIED");
            assert_eq!(wrong.json()["error"]["details"][0]["reason"], "API_KEY_INVALID");
        } else {
            assert_eq!(statuses, (401, 401), "{}", form.name);
            assert!(!none.json()["error"].is_null() && !wrong.json()["error"].is_null(), "{}", form.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_a_400_in_the_form_of_the_dialect() {
    let simulator = Simulator::builder().build();
    let mut client = Client::to(&simulator).await;
    let message = json!([{ "role": "user", "content": "x" }]);
    let contents = json!([{ "parts": [{ "text": "x" }] }]);
    for (path, bodies) in [
        (
            "/v1beta/models/flash:generateContent",
            vec![
                json!([]),
                json!({ "contents": [] }),
                json!({ "contents": "x" }),
                json!({ "contents": [{}] }),
                json!({ "contents": contents, "generationConfig": { "maxOutputTokens": "many" } }),
            ],
        ),
        (
            "/api/chat",
            vec![
                json!(null),
                json!({ "messages": message }),
                json!({ "model": "m" }),
                json!({ "model": "m", "messages": message, "stream": "yes" }),
            ],
        ),
        (
            "/v1/responses",
            vec![
                json!({}),
                json!({ "input": "x" }),
                json!({ "model": "m", "input": [] }),
                json!({ "model": "m", "input": "x", "max_output_tokens": 0 }),
            ],
        ),
    ] {
        for body in bodies {
            let got = client.post(path, &body).await;
            assert_eq!(got.status, 400, "{path} {body}");
            assert!(!got.json()["error"].is_null(), "{path} {body}");
        }
        let got = client.send(Method::POST, path, "{").await.unwrap();
        assert_eq!(got.status, 400, "{path}");
        let got = client.send(Method::GET, path, "").await.unwrap();
        assert_eq!((got.status.as_u16(), got.json()["error"].is_null()), (405, false), "{path}");
    }
    for path in ["/v1beta/models/:generateContent", "/v1beta/models/flash:countTokens"] {
        assert_eq!(client.post(path, &json!({ "contents": contents })).await.status, 404, "{path}");
    }
}
