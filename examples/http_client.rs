//! An async HTTP client: one request well done, then many of them over the same connections.
//!
//! ```sh
//! cargo run --example http_client
//! ```
//!
//! It talks to servers of its own on the loopback interface, in real time.

use std::{
    future::pending,
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    future::{join_all, try_join_all},
    stream,
};
use outbound::{
    Client,
    client::{
        Body, Delivery, Error, Kind, Limit, Limits, Multipart, Part, Phase, Proxy, Reply, RequestBuilder,
        StatusCode, Version, progress,
    },
};
use outbound_examples::{EchoServer, Result, heading};
use outbound_simulator::{Refusal, Simulator};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

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
    proxy(&server).await?;
    around_send(&server).await?;
    errors(&client).await?;
    timings(&server).await?;
    phase_limits().await?;
    several_at_once(&client, &server).await?;
    http2(&server).await?;
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

    // Nothing is read ahead: a slow reader slows the server down, not the memory up.
    let (begun, mut reply, mut lines) = (Instant::now(), client.get("/chunks").send().await?, 0);
    while let Some(piece) = reply.chunk().await {
        println!("down: {:?} after {:?}", piece?, begun.elapsed());
        lines += 1;
    }
    assert_eq!(lines, 5);

    // Or by lines, however they were cut on the way.
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

async fn proxy(server: &EchoServer) -> Result {
    heading("Through a proxy");
    // The server stands in for one: it is given requests with their whole URL, whatever host they name. Without a word
    // about it, a client asks the environment (`http_proxy`, `no_proxy`).
    let proxy = Proxy::new(server.url())?.basic_auth("user", "a-password")?.except("127.0.0.1");
    let client = Client::builder().proxy(proxy).build()?;
    let reply = client.get("http://far.test/echo").send().await?;
    assert!(reply.connection().proxied && reply.remote_addr().is_none());
    let seen: Value = reply.json().await?;
    println!("the proxy was asked for {} of {}", seen["path"], seen["headers"]["host"]);
    assert_eq!(seen["headers"]["host"], "far.test");
    assert!(seen["headers"]["proxy-authorization"].as_str().is_some_and(|user| user.starts_with("Basic ")));

    let reply = client.get(&format!("{}/echo", server.url())).send().await?;
    println!("what is excepted is reached without it: {:?}", reply.remote_addr());
    assert!(!reply.connection().proxied);
    Ok(())
}

async fn around_send(server: &EchoServer) -> Result {
    heading("Middleware: functions and types around `send`");
    // A function that signs what it is given and tells how it went.
    async fn signed<B>(request: RequestBuilder<B>) -> Result<Reply, Error> {
        let begun = Instant::now();
        let name = format!("{} {}", request.method(), request.target());
        // A real one would be a MAC of method, target and body.
        let signature = format!("signed {}", request.target());
        let answer = request.header("x-signature", signature).send().await;
        match &answer {
            Ok(reply) => println!("{name}: {} after {:?}", reply.status(), begun.elapsed()),
            Err(error) => println!("{name}: {error}; delivery: {:?}", error.delivery()),
        }
        answer
    }

    // A type that knows several addresses of one service, and asks the next where the one before cannot have seen it.
    struct Mirrors(Vec<Client>);
    impl Mirrors {
        async fn send<B>(&self, request: impl Fn(&Client) -> RequestBuilder<B>) -> Result<Reply, Error> {
            let (last, others) = self.0.split_last().expect("one address at least");
            for client in others {
                match signed(request(client)).await {
                    Err(error) if error.delivery() == Delivery::NotSent => {}
                    answer => return answer,
                }
            }
            signed(request(last)).await
        }
    }

    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let client = |url: String| Client::builder().base_url(url).build();
    let mirrors = Mirrors(vec![client(format!("http://{nobody}"))?, client(server.url().to_string())?]);
    let seen: Value = mirrors.send(|client| client.post("/echo").text("hello")).await?.json().await?;
    assert_eq!(seen["body"], "hello");
    assert_eq!(seen["headers"]["x-signature"], "signed /echo");
    Ok(())
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

async fn timings(server: &EchoServer) -> Result {
    heading("Where the time went");
    // A name that only this program knows.
    let address: SocketAddr = server.url().trim_start_matches("http://").parse()?;
    let client = Client::builder()
        .base_url("http://echo.test")
        .resolver(move |_: &str, _: u16| async move {
            sleep(Duration::from_millis(20)).await;
            Ok(vec![address])
        })
        .timings(true)
        .build()?;
    for round in 1..=2 {
        let reply = client.get("/chunks").send().await?;
        let (timings, connection) = (reply.timings().ok_or("they were asked for")?, reply.connection());
        println!("{timings:?} over {connection:?}");
        assert_eq!((connection.reused, connection.remote_addr), (round == 2, Some(address)));
        assert_eq!(timings.dns >= Duration::from_millis(20), round == 1);
        assert!(timings.dns + timings.connect + timings.first_byte <= timings.total);
        reply.bytes().await?;
    }
    server.take_connections();
    Ok(())
}

async fn phase_limits() -> Result {
    heading("Each phase has a limit of its own, and its error names it");
    let soon = Duration::from_millis(50);
    // It takes connections and says nothing, not even for TLS.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?;
    let client = Client::builder().limits(Limits::new().dns(soon).tls(soon).first_byte(soon)).build()?;
    for (scheme, limit, delivery) in
        [("https", Limit::Tls, Delivery::NotSent), ("http", Limit::FirstByte, Delivery::MaybeSent)]
    {
        let url = format!("{scheme}://{address}/");
        let error = client.get(&url).send().await.err().ok_or("nobody answers")?;
        println!("{error}; delivery: {:?}", error.delivery());
        assert_eq!((error.limit(), error.delivery()), (Some((limit, soon)), delivery));
    }

    let lost = Client::builder().resolver(|_: &str, _: u16| pending()).limits(client.limits()).build()?;
    let error = lost.get("http://echo.test/").send().await.err().ok_or("the name is never found")?;
    println!("{error}; delivery: {:?}", error.delivery());
    assert_eq!((error.phase(), error.delivery()), (Phase::Dns, Delivery::NotSent));
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

async fn http2(server: &EchoServer) -> Result {
    heading("HTTP/2: many requests over one connection");
    // Over TLS the two sides agree on the version by themselves (ALPN); in the clear one has to know.
    let client = Client::builder().base_url(server.url()).http2_prior_knowledge().build()?;
    let begun = Instant::now();
    let versions = try_join_all((0..20).map(|_| async {
        let reply = client.get("/chunks").send().await?;
        let version = reply.version();
        reply.bytes().await?;
        Ok::<_, Error>(version)
    }));
    let versions = versions.await?;
    let dialled = server.take_connections();
    println!("20 replies of 100 ms, {:?}: {dialled} connection, {:?} in all", versions[0], begun.elapsed());
    assert!(versions.iter().all(|version| *version == Version::HTTP_2) && dialled == 1);
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
