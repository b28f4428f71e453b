//! Middleware: what is to happen around requests, as a function, as a type, or as a layer of tower's.
//!
//! ```sh
//! cargo run --example http_middleware
//! ```
//!
//! It talks to a server of its own on the loopback interface, in real time.

use std::{
    net::TcpListener,
    task::{Context, Poll},
};

use outbound::{
    Client,
    client::{Body, ClientService, Delivery, Error, Reply, RequestBuilder},
};
use outbound_examples::{EchoServer, Result, heading};
use serde_json::Value;
use tower::{Service, layer::layer_fn};

#[tokio::main]
async fn main() -> Result {
    let server = EchoServer::start().await?;
    a_function(&server).await?;
    a_type(&server).await?;
    a_layer(&server).await
}

async fn a_function(server: &EchoServer) -> Result {
    heading("A function around `send`");
    let client = Client::builder().base_url(server.url()).build()?;
    let seen: Value = signed(client.post("/echo").text("hello")).await?.json().await?;
    assert_eq!(seen["headers"]["x-signature"], "signed /echo");
    Ok(())
}

/// Signs a request, and says how it went.
async fn signed<B>(request: RequestBuilder<B>) -> Result<Reply, Error> {
    let name = format!("{} {}", request.method(), request.target());
    // A real one would be a MAC of method, target and body.
    let signature = format!("signed {}", request.target());
    let answer = request.header("x-signature", signature).send().await;
    match &answer {
        Ok(reply) => println!("{name}: {}", reply.status()),
        Err(error) => println!("{name}: {error}; delivery: {:?}", error.delivery()),
    }
    answer
}

async fn a_type(server: &EchoServer) -> Result {
    heading("A type around `send`: several addresses of one service");
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let client = |url: String| Client::builder().base_url(url).build();
    let mirrors = Mirrors(vec![client(format!("http://{nobody}"))?, client(server.url().to_string())?]);
    let seen: Value = mirrors.send(|client| client.post("/echo").text("hello")).await?.json().await?;
    assert_eq!(seen["body"], "hello");
    Ok(())
}

/// One service at several addresses. The next is asked only where the one before cannot have seen the request.
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

async fn a_layer(server: &EchoServer) -> Result {
    heading("A layer of tower's around every request of the client");
    let client = Client::builder()
        .base_url(server.url())
        .bearer_auth("a-key-that-no-layer-sees")
        .layer(layer_fn(|inner: ClientService| Numbered { inner, next: 1 }))
        .build()?;
    let seen: Value = client.get("/echo").send().await?.json().await?;
    println!("the server saw request {}", seen["headers"]["x-request-id"]);
    assert_eq!(seen["headers"]["x-request-id"], "1");
    // The client's key is added below all layers.
    assert_eq!(seen["headers"]["authorization"], "Bearer a-key-that-no-layer-sees");
    Ok(())
}

/// Gives each request a number.
#[derive(Clone)]
struct Numbered<S> {
    inner: S,
    next: u64,
}

impl<S: Service<hyper::Request<Body>>> Service<hyper::Request<Body>> for Numbered<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: hyper::Request<Body>) -> S::Future {
        request.headers_mut().insert("x-request-id", self.next.into());
        self.next += 1;
        self.inner.call(request)
    }
}
