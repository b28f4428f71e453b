//! What a request looks like on the wire: method, headers, and bodies of every kind.

use std::sync::{Arc, Mutex};

use outbound::{
    Client, ErrorKind, Origin, Provider, Request, RequestManager,
    client::{HeaderValue, Method, Multipart, Part},
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::stack::{KEY, s};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";

/// A manager, and everything that its servers have read.
fn manager() -> (RequestManager, Arc<Mutex<String>>) {
    let wire = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&wire);
    let client = Client::builder().connector(move |_: &Origin| {
        let (near, far) = duplex(1 << 16);
        tokio::spawn(answer(far, Arc::clone(&seen)));
        async move { Ok(near) }
    });
    let builder =
        RequestManager::builder().provider(Provider::openai_compatible()).base_url("http://wire.test/v1");
    let manager = builder.key(KEY).client(client).seed(7).deadline(s(30)).build().expect("a manager");
    (manager, wire)
}

async fn answer(mut pipe: DuplexStream, wire: Arc<Mutex<String>>) -> std::io::Result<()> {
    let mut request = vec![0; 1 << 16];
    let read = pipe.read(&mut request).await?;
    wire.lock().expect("no panic").push_str(&String::from_utf8_lossy(&request[..read]));
    pipe.write_all(ANSWER).await
}

/// The head in lower case, and the body.
async fn sent(request: Request) -> (String, String) {
    let (manager, wire) = manager();
    let outcome = manager.send(request).await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    let wire = wire.lock().expect("no panic");
    let (head, body) = wire.split_once("\r\n\r\n").expect("a head");
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test(start_paused = true)]
async fn any_method_and_headers_of_text() {
    let delete = Request::new(Method::DELETE, "/files/file-7").header("x-reason", "done");
    let (head, body) = sent(delete).await;
    assert!(head.starts_with("delete /v1/files/file-7 http/1.1"), "{head}");
    assert!(
        head.contains("x-reason: done")
            && !head.contains("content-type")
            && !head.contains("idempotency-key"),
        "{head}"
    );
    assert_eq!(body, "");

    let key = HeaderValue::from_static("once");
    let (head, body) =
        sent(Request::new(Method::PUT, "/x").json(&json!({"a": 1})).idempotency_key(key)).await;
    assert!(head.starts_with("put /v1/x") && head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("idempotency-key: once"), "{head}");
    assert_eq!(body, r#"{"a":1}"#);
}

#[tokio::test(start_paused = true)]
async fn a_form_and_bytes() {
    let (head, body) = sent(Request::new(Method::POST, "/tokens").form(&[("a", "b c"), ("d", "&")])).await;
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
    assert!(head.contains("idempotency-key: "), "{head}");
    assert_eq!(body, "a=b+c&d=%26");

    let bytes =
        Request::new(Method::PATCH, "/blob").body("abc").header("content-type", "application/x-thing");
    let (head, body) = sent(bytes).await;
    assert!(head.starts_with("patch ") && head.contains("content-type: application/x-thing"), "{head}");
    assert_eq!((head.matches("content-type").count(), body.as_str()), (1, "abc"));
}

#[tokio::test(start_paused = true)]
async fn files_are_sent_as_parts() {
    let part = Part::bytes("{}\n").file_name("in.jsonl").content_type("application/jsonl");
    let upload = Multipart::new().text("purpose", "batch").part("file", part);
    let (head, body) = sent(Request::new(Method::POST, "/files").multipart(upload)).await;
    let (_, boundary) = head.split_once("content-type: multipart/form-data; boundary=").expect("its type");
    let boundary = boundary.lines().next().expect("a line");
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\
         Content-Type: application/jsonl\r\n\r\n{{}}\n\r\n--{boundary}--\r\n"
    );
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_part_is_reported_when_the_request_is_sent() {
    let (manager, wire) = manager();
    let stream = futures::stream::empty::<std::io::Result<outbound::client::Bytes>>();
    let wrong = [
        (Request::get("/x").header("a b", "c"), "the name of a header is not valid"),
        (Request::get("/x").header("a", "b\nc"), "the value of a header is not valid"),
        (Request::new(Method::POST, "/x").form(&7), "the form is not made of pairs"),
        (
            Request::new(Method::POST, "/x")
                .multipart(Multipart::new().part("a", Part::stream(stream, None))),
            "a part of the body is read while it is sent",
        ),
    ];
    for (request, why) in wrong {
        let outcome = manager.send(request).await;
        assert_eq!((outcome.error_kind(), outcome.sends), (Some(ErrorKind::Invalid), 0));
        let error = outcome.result.expect_err("it is wrong");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(*wire.lock().expect("no panic"), "");
}
