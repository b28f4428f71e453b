//! An async HTTP client: requests, bodies, streams, errors, and many requests at once.
//!
//! ```sh
//! cargo run --example http_client
//! ```
//!
//! It talks to servers of its own on the loopback interface, in real time.

use std::{io, net::TcpListener, time::Duration};

use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    future::{join_all, try_join_all},
    stream,
};
use outbound::{
    Client,
    client::{Body, CookieJar, Delivery, Error, Kind, Multipart, Part, Redirects, StatusCode, progress},
};
use outbound_examples::{EchoServer, Result, heading};
use outbound_simulator::{Refusal, Simulator};
use serde_json::{Value, json};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> Result {
    let server = EchoServer::start().await?;
    // One client for the whole program: it owns the pool, and a clone is another handle on it.
    let client = Client::builder()
        .base_url(server.url())
        .bearer_auth("a-key-that-is-never-printed")
        .default_header("user-agent", "outbound-examples")
        .build()?;

    get(&client).await?;
    post_json(&client).await?;
    form(&client).await?;
    upload(&client).await?;
    stream_a_body(&client).await?;
    files(&client).await?;
    events(&client).await?;
    redirects_and_cookies(&server).await?;
    errors(&client).await?;
    several_at_once(&client, &server).await?;
    several_models().await
}

async fn get(client: &Client) -> Result {
    heading("GET, with a query and a header");
    let reply =
        client.get("/echo").query(&[("page", "2"), ("of", "a & b")]).header("x-trace", "17").send().await?;
    println!("{} over {:?}", reply.status(), reply.version());
    // `send` is ready with the head. The body is read by asking for it: as bytes, text, JSON or in pieces.
    let seen: Value = reply.json().await?;
    println!("the server saw {}?{}", seen["path"], seen["query"]);
    assert_eq!(seen["query"], "page=2&of=a%20%26%20b");
    assert_eq!(seen["headers"]["x-trace"], "17");
    assert_eq!(seen["headers"]["user-agent"], "outbound-examples");
    // The key went out, but no Debug, Display or error shows it.
    assert!(seen["headers"]["authorization"].as_str().is_some_and(|key| key.starts_with("Bearer ")));
    assert!(!format!("{client:?}").contains("never-printed"));
    Ok(())
}

async fn post_json(client: &Client) -> Result {
    heading("POST JSON");
    let question = json!({"model": "small", "messages": [{"role": "user", "content": "Name three rivers."}]});
    let seen: Value =
        client.post("/echo").json(&question).send().await?.error_for_status().await?.json().await?;
    println!("{} bytes of {}", seen["bytes"], seen["headers"]["content-type"]);
    assert_eq!(seen["headers"]["content-type"], "application/json");
    assert_eq!(seen["body"], question.to_string());
    Ok(())
}

async fn form(client: &Client) -> Result {
    heading("POST a form");
    let pairs = [("name", "Ada Lovelace"), ("city", "London & elsewhere")];
    let seen: Value = client.post("/echo").form(&pairs).send().await?.json().await?;
    println!("{}", seen["body"]);
    assert_eq!(seen["body"], "name=Ada+Lovelace&city=London+%26+elsewhere");
    Ok(())
}

async fn upload(client: &Client) -> Result {
    heading("Upload files: multipart/form-data");
    // The second part is read while it is sent; of a file that would be a stream over tokio::fs::File.
    let lines = (0..1000).map(|n| Ok::<_, io::Error>(Bytes::from(format!("{{\"line\": {n:04}}}\n"))));
    let upload = Multipart::new()
        .text("purpose", "batch")
        .part("notes", Part::bytes("in memory").file_name("notes.txt").content_type("text/plain"))
        .part("file", Part::stream(stream::iter(lines), Some(15_000)).file_name("requests.jsonl"));
    let seen: Value = client.post("/echo").multipart(upload).send().await?.json().await?;
    println!("{} bytes arrived, {} announced", seen["bytes"], seen["headers"]["content-length"]);
    let body = seen["body"].as_str().unwrap_or_default();
    assert!(body.contains("name=\"file\"; filename=\"requests.jsonl\"") && body.contains("{\"line\": 0999}"));
    Ok(())
}

async fn stream_a_body(client: &Client) -> Result {
    heading("Stream a body, up and down");
    let pieces = stream::iter(["one ", "two ", "three"].map(|piece| Ok::<_, io::Error>(Bytes::from(piece))));
    // Without a length it is sent in chunks.
    let seen: Value = client.post("/echo").stream(pieces, None).send().await?.json().await?;
    println!("up: {}, {}", seen["body"], seen["headers"]["transfer-encoding"]);
    assert_eq!(seen["body"], "one two three");

    // Nothing is read ahead: a slow reader slows the server down, and fills no memory.
    let (begun, mut reply, mut lines) = (Instant::now(), client.get("/chunks").send().await?, 0);
    while let Some(piece) = reply.chunk().await {
        println!("down: {:?} after {:?}", piece?, begun.elapsed());
        lines += 1;
    }
    assert_eq!(lines, 5);

    // Or line by line, wherever the pieces were cut on the way.
    let lines: Vec<_> = client.get("/chunks").send().await?.lines().try_collect().await?;
    assert_eq!((lines.len(), &lines[4][..]), (5, "line 5"));
    Ok(())
}

async fn files(client: &Client) -> Result {
    heading("A file up, a reply into a file, and how far each is");
    let folder = std::env::temp_dir().join(format!("outbound-example-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (input, output) = (folder.join("input.bin"), folder.join("output.json"));
    std::fs::write(&input, vec![b'x'; 200_000])?;

    // Read while it is sent, with its length. The callback is told of each piece that the connection takes.
    let upload = client.post("/echo").with_body(Body::file(&input).await?);
    let upload = upload.on_progress(|up| {
        if Some(up.bytes) == up.total {
            println!("sent all of {} bytes", up.bytes);
        }
    });
    // The same for the reply, here as a stream. The file is there once all of it is.
    let (report, progress) = progress();
    let reply = upload.send().await?.error_for_status().await?.on_progress(report);
    let watching = tokio::spawn(progress.map(|down| down.bytes).collect::<Vec<_>>());
    let saved = reply.save(&output).await?;
    assert_eq!(watching.await?.last(), Some(&saved));
    assert_eq!(std::fs::metadata(&output)?.len(), saved);
    println!("saved the reply");
    Ok(std::fs::remove_dir_all(&folder)?)
}

async fn events(client: &Client) -> Result {
    heading("Server-sent events");
    // Status and content type are checked by `events`; what an event means is the caller's to know.
    let mut events = client.get("/events").send().await?.events()?;
    let mut steps = Vec::new();
    while let Some(event) = events.next().await {
        let event = event?;
        println!("event {}: {}", event.id, event.data);
        steps.push(event.id.to_string());
    }
    assert_eq!(steps, ["1", "2", "3", "4", "5"]);

    // Or with the adapters of any stream.
    let events: Vec<_> = client.get("/events").send().await?.events()?.try_collect().await?;
    assert_eq!(events.len(), 5);
    Ok(())
}

async fn redirects_and_cookies(server: &EchoServer) -> Result {
    heading("Redirects, cookies, compression");
    let jar = CookieJar::new();
    let client = Client::builder().base_url(server.url()).cookies(jar.clone()).decompress().build()?;
    client.post("/login").basic_auth("ada", "a-password").send().await?.bytes().await?;
    let reply = client.post("/moved").text("hello").send().await?;
    println!("followed {} redirect, to {}", reply.redirects().len(), path(&reply.url()));
    let seen: Value = reply.json().await?;
    println!(
        "the server got the cookie {} and was told to use {}",
        seen["headers"]["cookie"], seen["headers"]["accept-encoding"]
    );
    assert_eq!(
        (&seen["method"], &seen["body"], &seen["headers"]["cookie"]),
        (&json!("POST"), &json!("hello"), &json!("session=17"))
    );
    // The jar can be looked at and kept.
    assert_eq!(jar.cookies().len(), 1);

    let reply = client.get("/moved").redirects(Redirects::none()).send().await?;
    println!("not followed: {}, {:?}", reply.status(), reply.headers()["location"]);
    assert_eq!(reply.status(), StatusCode::TEMPORARY_REDIRECT);
    Ok(())
}

/// The path of a URL.
fn path(url: &str) -> &str {
    url.find("/echo").map_or(url, |index| &url[index..])
}

async fn errors(client: &Client) -> Result {
    heading("Errors say what happened, when, and whether the server can have seen the request");
    let missing = client.get("/nowhere").send().await?.error_for_status().await;
    let error = missing.err().ok_or("404 is an error")?;
    let reply = error.reply().ok_or("the reply is kept")?;
    println!("{error}; delivery: {:?}; the server says: {:?}", error.delivery(), reply.body);
    assert_eq!((error.kind(), reply.status), (Kind::Status, StatusCode::NOT_FOUND));

    // A port that nobody listens on any more: certainly not sent, so sending again cannot do anything twice.
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let error = client.get(&format!("http://{nobody}/echo")).send().await.err().ok_or("nobody is there")?;
    println!("{error}; delivery: {:?}", error.delivery());
    assert_eq!((error.kind(), error.delivery()), (Kind::Connect, Delivery::NotSent));
    Ok(())
}

async fn several_at_once(client: &Client, server: &EchoServer) -> Result {
    heading("Several at once, over pooled connections");
    server.take_connections();
    for _ in 0..20 {
        client.get("/echo").send().await?.bytes().await?;
    }
    let dialled = server.take_connections();
    println!("20 requests one after the other: {dialled} new connections");
    assert_eq!(dialled, 0, "the connection of the requests before is used again");

    // A client that may have 4 connections: the other requests wait for one, in order.
    let client = Client::builder().base_url(server.url()).max_connections_per_origin(4).build()?;
    let begun = Instant::now();
    let replies = try_join_all((0..20).map(|_| async {
        let reply = client.get("/chunks").send().await?;
        reply.text().await
    }));
    let texts = replies.await?;
    let dialled = server.take_connections();
    println!("20 replies of 100 ms at once: {dialled} connections, {:?} in all", begun.elapsed());
    assert!(dialled == 4 && texts.iter().all(|text| text.ends_with("line 5\n")));
    assert!(begun.elapsed() < Duration::from_millis(20 * 100));
    Ok(())
}

async fn several_models() -> Result {
    heading("Several models at once, each failure on its own");
    // A simulated provider, in which one model is overloaded.
    let provider = Simulator::builder()
        .output_tokens(4..=8)
        .fault_when(|seen| (seen.model.as_deref() == Some("large")).then(|| Refusal::status(503).into()))
        .build();
    let address = provider.listen("127.0.0.1:0").await?;
    let client = Client::builder().base_url(format!("http://{address}/v1")).build()?;
    let ask = async |model: &str| -> Result<String, Error> {
        let question = json!({"model": model, "messages": [{"role": "user", "content": "Hello!"}]});
        let reply = client.post("/chat/completions").json(&question).send().await?.error_for_status().await?;
        let answer: Value = reply.json().await?;
        Ok(answer["choices"][0]["message"]["content"].to_string())
    };

    let models = ["small", "large", "medium"];
    // Not `try_join_all`, which would drop the answers of the others at the first failure.
    let answers = join_all(models.map(ask)).await;
    for (model, answer) in models.iter().zip(&answers) {
        match answer {
            Ok(text) => println!("{model}: {text}"),
            Err(error) => println!("{model}: failed, {error}"),
        }
    }
    assert!(answers[0].is_ok() && answers[1].is_err() && answers[2].is_ok());
    provider.shutdown().await;
    Ok(())
}
