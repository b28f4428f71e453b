//! Tests: request values, and layers around them, including those of tower-http.

use std::{
    convert::Infallible,
    error::Error as _,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::BodyExt;
use outbound_client::{Body, Client, ClientService, Delivery, Error, Kind, Limit, Limits, Phase, ReplyBody};
use tower::{Service, ServiceBuilder, ServiceExt, layer::layer_fn};
use tower_http::{
    follow_redirect::FollowRedirectLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
    set_header::SetRequestHeaderLayer, trace::TraceLayer,
};

use crate::support::{OK, answering, in_memory, secs, silence, with_length};

type Call = Arc<dyn Fn(ClientService, Request<Body>) -> Answer + Send + Sync>;
type Answer = BoxFuture<'static, Result<Response<ReplyBody>, Wrapped>>;

/// A layer that consists of one function.
#[derive(Clone)]
struct Around(ClientService, Call);

impl Around {
    fn layer(
        call: impl Fn(ClientService, Request<Body>) -> Answer + Send + Sync + 'static,
    ) -> impl tower::Layer<ClientService, Service = Self> + Send + Sync {
        let call: Call = Arc::new(call);
        layer_fn(move |inner| Self(inner, call.clone()))
    }
}

impl Service<Request<Body>> for Around {
    type Response = Response<ReplyBody>;
    type Error = Wrapped;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Wrapped>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        self.1(self.0.clone(), request)
    }
}

/// The error of a layer, with another error as its source.
#[derive(Debug)]
struct Wrapped(Option<Error>);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the layer's own words")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_ref().map(|error| error as _)
    }
}

fn pass(mut inner: ClientService, request: Request<Body>) -> Answer {
    Box::pin(async move { inner.call(request).await.map_err(|error| Wrapped(Some(error))) })
}

#[tokio::test(start_paused = true)]
async fn a_client_is_a_service_of_request_values() {
    let (builder, seen) = answering(|_| with_length("200 OK", "hello"));
    let client = builder.bearer_auth("k").build().unwrap();
    let request = || {
        Request::put("http://api.test/a?b=c")
            .header("x", "1")
            .header("content-length", "77")
            .header("host", "elsewhere.test")
            .body(Body::from("abc"))
            .unwrap()
    };

    let response = client.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    let reply = client.execute(request()).await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "hello");

    for seen in seen.requests() {
        assert_eq!(seen.line(), "PUT /a?b=c HTTP/1.1");
        assert_eq!(seen.header("host"), Some("api.test"));
        assert_eq!(seen.header("authorization"), Some("Bearer k"));
        assert_eq!(seen.body, b"abc");
    }
    assert_eq!((seen.requests().len(), seen.connections()), (2, 1));
    let relative = Request::get("/a").body(Body::empty()).unwrap();
    assert_eq!(client.execute(relative).await.unwrap_err().kind(), Kind::Request);
}

#[tokio::test(start_paused = true)]
async fn a_request_can_be_built_now_and_sent_later_with_its_limits() {
    let (builder, _) = in_memory(|_, pipe, _| silence(pipe));
    let client = builder.build().unwrap();
    let request = client.post("/x").limits(Limits::new().first_byte(secs(3))).json(&1).build().unwrap();
    assert_eq!(request.uri(), "http://api.test/v1/x");
    let error = client.execute(request).await.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::FirstByte, secs(3))));
    assert_eq!(client.get("x\ny").build().unwrap_err().kind(), Kind::Request);

    let mut request = client.post("/x").body("a").replayable(true).build().unwrap();
    *request.body_mut() = Body::stream(futures::stream::empty::<Result<Bytes, Infallible>>(), None);
    let error = client.execute(request).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Request, Delivery::NotSent));
}

#[tokio::test(start_paused = true)]
async fn a_layer_sees_an_absolute_uri_and_never_the_clients_own_key() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let heads = Arc::<Mutex<Vec<(String, HeaderMap)>>>::default();
    let told = heads.clone();
    let layer = Around::layer(move |inner, request| {
        told.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
        pass(inner, request)
    });
    let client =
        builder.bearer_auth("canary").default_header("x-home", "canary").layer(layer).build().unwrap();

    let reply = client.get("/a").query(&[("b", "c")]).header("x-mine", "1").send().await.unwrap();
    assert_eq!(reply.connection().requests, 1);
    assert_eq!(reply.text().await.unwrap(), "ok");
    client.get("http://other.test/").send().await.unwrap().text().await.unwrap();

    let heads = heads.lock().unwrap();
    assert_eq!(heads[0].0, "http://api.test/v1/a?b=c");
    assert_eq!(heads[0].1.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-mine"]);
    assert!(!format!("{heads:?}").contains("canary"));
    let requests = seen.requests();
    assert_eq!(requests[0].header("authorization"), Some("Bearer canary"));
    assert_eq!((requests[0].header("x-home"), requests[0].header("x-mine")), (Some("canary"), Some("1")));
    assert!(!requests[1].head.contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn layers_go_around_one_another_in_the_order_they_were_given() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let mark = |mark: &'static str| {
        Around::layer(move |inner, mut request| {
            request.headers_mut().append("x-order", HeaderValue::from_static(mark));
            pass(inner, request)
        })
    };
    let client = builder.layer(mark("inner")).layer(mark("outer")).build().unwrap();
    client.get("/").send().await.unwrap().bytes().await.unwrap();
    let head = &seen.requests()[0].head;
    assert!(head.find("outer") < head.find("inner"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_client_is_found_again_inside_a_layers_own() {
    let (builder, _) = in_memory(|_, pipe, _| async { drop(pipe) });
    let client = builder.layer(Around::layer(pass)).build().unwrap();
    let error = client.get("/x").limits(Limits::new().connect(secs(1))).send().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery(), error.phase()),
        (Kind::Closed, Delivery::NotSent, Phase::Connect)
    );
    assert_eq!(error.origin().unwrap().host(), "api.test");
    let wrapped = error.source().unwrap();
    assert_eq!(wrapped.to_string(), "the layer's own words");
    assert!(wrapped.source().and_then(|own| own.downcast_ref::<Error>()).is_some());

    let (builder, seen) = answering(|_| OK.to_vec());
    let refuses = Around::layer(|_, _| Box::pin(async { Err(Wrapped(None)) }));
    let error = builder.layer(refuses).build().unwrap().get("/x").send().await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Layer, Delivery::MaybeSent));
    assert!(seen.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_total_limit_spans_what_layers_do() {
    let (builder, _) = in_memory(|_, pipe, _| silence(pipe));
    let limits = Limits::new().total(secs(10));
    let begun = tokio::time::Instant::now();

    // A layer that waits before it sends: the exchange has the rest of the time.
    let waits = Around::layer(|inner, request| {
        Box::pin(async move {
            tokio::time::sleep(secs(4)).await;
            pass(inner, request).await
        })
    });
    let client = builder.limits(limits).layer(waits).build().unwrap();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!((error.limit(), begun.elapsed()), (Some((Limit::Total, secs(10))), secs(10)));
    assert_eq!((error.delivery(), error.phase()), (Delivery::MaybeSent, Phase::Head));

    // A layer that never sends, and one that drops the extension with the limits.
    let stops = Around::layer(|_, _| Box::pin(std::future::pending()));
    let drops = Around::layer(|inner, mut request| {
        request.extensions_mut().clear();
        pass(inner, request)
    });
    for client in [
        in_memory(|_, pipe, _| silence(pipe)).0.layer(stops).build().unwrap(),
        in_memory(|_, pipe, _| silence(pipe)).0.layer(drops).build().unwrap(),
    ] {
        let begun = tokio::time::Instant::now();
        let error = client.get("/x").limits(limits).send().await.unwrap_err();
        assert_eq!((error.limit(), begun.elapsed()), (Some((Limit::Total, secs(10))), secs(10)));
        assert_eq!(error.delivery(), Delivery::MaybeSent);
    }
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_phases_and_of_bodies_pass_the_layers() {
    let (builder, _) = answering(|request| match request.line().contains("long") {
        true => with_length("200 OK", &"x".repeat(100)),
        false => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec(),
    });
    let client = builder.layer(Around::layer(pass)).build().unwrap();
    let request = |path: &str, limits| client.get(path).limits(limits).timings(true).send();

    let reply = request("/long", Limits::new().max_body(50)).await.unwrap();
    assert!(reply.timings().is_some());
    assert!(reply.bytes().await.unwrap_err().to_string().contains("max_body"));
    let error = request("/x", Limits::new().idle(secs(2))).await.unwrap().bytes().await.unwrap_err();
    assert_eq!((error.limit(), error.phase()), (Some((Limit::Idle, secs(2))), Phase::Body));
    let error = request("/x", Limits::new().total(secs(2))).await.unwrap().bytes().await.unwrap_err();
    assert_eq!((error.limit(), error.delivery()), (Some((Limit::Total, secs(2))), Delivery::Replied));
}

/// Another body in place of the connection's, which ends with an error of its own type.
struct Shouted(ReplyBody, bool);

impl http_body::Body for Shouted {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        match std::task::ready!(frame) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame.map_data(|data| data.to_ascii_uppercase().into())))),
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None if self.1 => Poll::Ready(Some(Err("no more".into()))),
            None => Poll::Ready(None),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_layers_own_body_is_a_replys_body() {
    let client = |fails| {
        let (builder, _) = answering(|request| match request.line().contains("cut") {
            true => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec(),
            false => with_length("200 OK", "a\nb"),
        });
        let layer = tower::util::MapResponseLayer::new(move |response: Response<ReplyBody>| {
            response.map(|body| Shouted(body, fails))
        });
        builder.limits(Limits::new().idle(secs(1))).layer(layer).build().unwrap()
    };
    let reply = client(false).get("/x").send().await.unwrap();
    assert_eq!((reply.connection().requests, reply.connection().reused), (1, false));
    assert_eq!(reply.text().await.unwrap(), "A\nB");
    let lines = client(false).get("/x").send().await.unwrap().lines();
    assert_eq!(lines.map(|line| line.unwrap().to_string()).collect::<Vec<_>>().await, ["A", "B"]);

    let error = client(true).get("/x").send().await.unwrap().text().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery(), error.phase()),
        (Kind::Layer, Delivery::Replied, Phase::Body)
    );
    let error = client(false).get("/cut").send().await.unwrap().text().await.unwrap_err();
    assert_eq!(error.limit(), Some((Limit::Idle, secs(1))));
    let limits = Limits::new().max_body(2);
    let error = client(false).get("/x").limits(limits).send().await.unwrap().text().await.unwrap_err();
    assert!(error.to_string().contains("max_body"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn bodies_are_bodies() {
    assert_eq!(Body::default().collect().await.unwrap().to_bytes(), "");
    assert_eq!(Body::from("ab").try_clone().unwrap().collect().await.unwrap().to_bytes(), "ab");
    let long = Body::from(vec![b'x'; 100_000]);
    assert_eq!(long.try_clone().unwrap().collect().await.unwrap().to_bytes().len(), 100_000);
    let stream = Body::stream(futures::stream::iter([Ok::<_, Infallible>(Bytes::from("ab"))]), None);
    assert!(stream.try_clone().is_none());
    let wrapped = Body::new(http_body_util::Limited::new(stream, 1));
    assert!(wrapped.collect().await.is_err());
    let wrapped = Body::new(http_body_util::Full::new(Bytes::from("abc")));
    assert_eq!(http_body::Body::size_hint(&wrapped).exact(), Some(3));
    assert_eq!(wrapped.collect().await.unwrap().to_bytes(), "abc");
}

#[tokio::test(start_paused = true)]
async fn tower_https_trace_headers_and_sensitive_headers_work() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let stack = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION]))
        .layer(SetRequestHeaderLayer::if_not_present(header::ACCEPT, HeaderValue::from_static("a/b")))
        .layer(TraceLayer::new_for_http());
    let client = builder.bearer_auth("k").layer(stack).build().unwrap();

    let text = client.get("/x").send().await.unwrap().text().await.unwrap();
    let json = client.post("/x").header("accept", "c/d").json(&1).send().await.unwrap();

    assert_eq!((text.as_str(), &json.bytes().await.unwrap()[..]), ("ok", &b"ok"[..]));
    let requests = seen.requests();
    assert_eq!((requests[0].header("accept"), requests[1].header("accept")), (Some("a/b"), Some("c/d")));
    assert_eq!((requests[1].header("authorization"), &requests[1].body[..]), (Some("Bearer k"), &b"1"[..]));
}

#[tokio::test(start_paused = true)]
async fn tower_https_redirects_carry_no_key_to_another_origin() {
    let (builder, seen) = answering(|request| match request.line() {
        line if line.contains("/a") => {
            b"HTTP/1.1 302 Found\r\nlocation: /v1/b\r\ncontent-length: 0\r\n\r\n".to_vec()
        }
        line if line.contains("/b") => {
            b"HTTP/1.1 302 Found\r\nlocation: http://other.test/c\r\ncontent-length: 0\r\n\r\n".to_vec()
        }
        _ => OK.to_vec(),
    });
    let client = builder.bearer_auth("canary").layer(FollowRedirectLayer::new()).build().unwrap();
    assert_eq!(client.get("/a").send().await.unwrap().text().await.unwrap(), "ok");
    let requests = seen.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[1].header("authorization"), Some("Bearer canary"));
    assert_eq!(requests[2].header("host"), Some("other.test"));
    assert!(!requests[2].head.contains("canary"), "{}", requests[2].head);
}

#[tokio::test(start_paused = true)]
async fn a_client_with_layers_is_a_service_for_other_peoples_stacks() {
    let (builder, _) = answering(|_| OK.to_vec());
    let client: Client = builder.layer(Around::layer(pass)).build().unwrap();
    let mut service =
        ServiceBuilder::new().map_response(|response: Response<_>| response.status()).service(client);
    let request = Request::get("http://api.test/x").body(Body::empty()).unwrap();
    assert_eq!(service.ready().await.unwrap().call(request).await.unwrap(), 200);
}
