//! Tests of requests as they appear on the wire, and of their replies.

use bytes::Bytes;
use outbound_client::{Kind, Method, Multipart, Part, StatusCode, Version};

use crate::support::{OK, Request, answering, with_length};

#[tokio::test(start_paused = true)]
async fn a_get_goes_under_the_base_url_with_host_and_default_headers() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.default_header("user-agent", "tests").bearer_auth("k").build().unwrap();

    let reply = client.get("/models").query(&[("limit", "5"), ("after", "a b&c")]).send().await.unwrap();

    assert_eq!((reply.status(), reply.version()), (StatusCode::OK, Version::HTTP_11));
    assert_eq!(reply.text().await.unwrap(), "ok");
    let [request] = &seen.requests()[..] else { panic!("one request") };
    assert_eq!(request.line(), "GET /v1/models?limit=5&after=a%20b%26c HTTP/1.1");
    assert_eq!(request.header("host"), Some("api.test"));
    assert_eq!(request.header("user-agent"), Some("tests"));
    assert_eq!(request.header("authorization"), Some("Bearer k"));
    assert_eq!(request.header("content-length"), None);
}

#[tokio::test(start_paused = true)]
async fn json_goes_out_and_comes_back() {
    let (builder, seen) = answering(|_| with_length("200 OK", r#"{"answer":42}"#));
    let client = builder.build().unwrap();

    #[derive(serde::Deserialize)]
    struct Answer {
        answer: u32,
    }
    let reply = client.post("/chat").json(&serde_json::json!({"q": "?"})).idempotency_key("i1").send().await;
    let answer: Answer = reply.unwrap().error_for_status().await.unwrap().json().await.unwrap();

    assert_eq!(answer.answer, 42);
    let [request] = &seen.requests()[..] else { panic!("one request") };
    assert_eq!(request.line(), "POST /v1/chat HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("idempotency-key"), Some("i1"));
    assert_eq!(request.body, br#"{"q":"?"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_header_of_the_request_takes_the_place_of_a_default() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.default_header("accept", "a/a").build().unwrap();

    let request = client.post("/x").header("accept", "b/b").header("content-type", "c/c").json(&1);
    request.send().await.unwrap().bytes().await.unwrap();

    let [request] = &seen.requests()[..] else { panic!("one request") };
    assert_eq!(request.header("accept"), Some("b/b"));
    assert_eq!(request.header("content-type"), Some("c/c"));
    assert_eq!(request.head.matches("accept").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_form_is_encoded_as_one() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();

    let request = client.post("/x").form(&[("grant type", "a&b=c"), ("ü", "1+1")]);
    request.send().await.unwrap().bytes().await.unwrap();

    let [request] = &seen.requests()[..] else { panic!("one request") };
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(String::from_utf8_lossy(&request.body), "grant+type=a%26b%3Dc&%C3%BC=1%2B1");
}

#[tokio::test(start_paused = true)]
async fn a_multipart_body_has_its_length_and_its_wire_format() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let pieces = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from("ab")), Ok(Bytes::from("cd"))]);

    let body = Multipart::new()
        .text("pur\"pose\r\n", "batch")
        .part("file", Part::bytes("{}").file_name("in\"put.jsonl").content_type("application/jsonl"))
        .part("more", Part::stream(pieces, Some(4)));
    client.post("/files").multipart(body).send().await.unwrap().bytes().await.unwrap();

    let [request] = &seen.requests()[..] else { panic!("one request") };
    let boundary =
        request.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    assert_eq!(boundary.len(), 32);
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"pur%22pose%0D%0A\"\r\n\r\nbatch\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in%22put.jsonl\"\r\n\
         Content-Type: application/jsonl\r\n\r\n{{}}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"more\"\r\n\r\nabcd\r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8_lossy(&request.body), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_length_goes_in_chunks_and_one_with_it_does_not() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let pieces = || futures::stream::iter(["abc", "", "de"].map(|p| Ok::<_, std::io::Error>(Bytes::from(p))));

    client.put("/x").stream(pieces(), None).send().await.unwrap().bytes().await.unwrap();
    client.put("/x").stream(pieces(), Some(5)).send().await.unwrap().bytes().await.unwrap();

    let requests = seen.requests();
    assert_eq!(requests[0].header("transfer-encoding"), Some("chunked"));
    assert_eq!(requests[0].body, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(requests[1].header("content-length"), Some("5"));
    assert_eq!(requests[1].body, b"abcde");
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_arrives_whole() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let body: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();

    for _ in 0..2 {
        client.post("/x").body(body.clone()).send().await.unwrap().bytes().await.unwrap();
    }

    assert!(seen.requests().iter().all(|request| request.body == body));
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn error_for_status_keeps_status_headers_and_a_bounded_body() {
    let long = "x".repeat(100_000);
    let (builder, seen) = answering(move |request: &Request| {
        if request.line().contains("/long") {
            with_length("503 Service Unavailable", &long)
        } else {
            b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\nslow down".to_vec()
        }
    });
    let client = builder.build().unwrap();

    let error = client.get("/short").send().await.unwrap().error_for_status().await.unwrap_err();
    let reply = error.reply().unwrap();
    assert_eq!((error.kind(), reply.status.as_u16()), (Kind::Status, 429));
    assert_eq!(reply.headers["retry-after"], "7");
    assert_eq!((&reply.body[..], reply.complete), (&b"slow down"[..], true));

    let error = client.get("/long").send().await.unwrap().error_for_status().await.unwrap_err();
    let reply = error.reply().unwrap();
    assert_eq!((reply.body.len(), reply.complete), (64 << 10, false));
    // The whole short body was read, so its connection served the second request.
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_expected_json_or_text_is_an_error_with_its_position() {
    let (builder, _) = answering(|request| match request.line() {
        line if line.contains("text") => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xff".to_vec(),
        _ => with_length("200 OK", "{\n\"a\": nope}"),
    });
    let client = builder.build().unwrap();

    let error = client.get("/json").send().await.unwrap().json::<serde_json::Value>().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Decode);
    assert!(error.to_string().contains("line 2, column 7"), "{error}");
    let error = client.get("/text").send().await.unwrap().text().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Decode);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_no_body_whatever_its_length_says() {
    let (builder, seen) = answering(|request| match request.line().starts_with("HEAD") {
        true => b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec(),
        false => OK.to_vec(),
    });
    let client = builder.build().unwrap();
    let reply = client.request(Method::HEAD, "/x").send().await.unwrap();
    assert!(reply.bytes().await.unwrap().is_empty());
    assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "ok");
    assert_eq!(seen.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_comes_in_pieces_as_a_stream_too() {
    use futures::StreamExt;
    let (builder, _) = answering(|_| {
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nx-t: 1\r\n\r\n"
            .to_vec()
    });
    let client = builder.build().unwrap();
    let pieces: Vec<_> = client.get("/x").send().await.unwrap().map(Result::unwrap).collect().await;
    assert_eq!(pieces.concat(), b"abcde");
    assert_eq!(client.get("/x").send().await.unwrap().text().await.unwrap(), "abcde");
}
