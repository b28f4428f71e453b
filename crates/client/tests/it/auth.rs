//! Tests: credentials of a client and of one request, and answers to challenges.

use outbound_client::{Client, Kind, Secret};

use crate::support::{OK, answering};

#[tokio::test(start_paused = true)]
async fn a_request_can_have_a_key_of_its_own() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.bearer_auth("the-clients").build().unwrap();
    drop(client.get("/").send().await.unwrap());
    drop(client.get("/").bearer_auth("its-own").send().await.unwrap());
    // RFC 7617, sections 2 and 2.1. The second one is in UTF-8.
    drop(client.get("/").basic_auth("Aladdin", "open sesame").send().await.unwrap());
    drop(client.get("/").basic_auth("test", "123\u{a3}").send().await.unwrap());
    drop(client.get("http://other.test/").basic_auth("", Secret::new("")).send().await.unwrap());
    let keys: Vec<_> =
        seen.requests().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(
        keys,
        [
            "Bearer the-clients",
            "Bearer its-own",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Basic dGVzdDoxMjPCow==",
            "Basic Og==",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_has_one_user_or_key_which_its_own_origin_alone_gets() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.bearer_auth("first").basic_auth("Aladdin", "open sesame").build().unwrap();
    for url in ["/", "http://api.test/v2", "http://other.test/", "http://api.test:81/"] {
        drop(client.get(url).send().await.unwrap());
    }
    drop(client.get("/").bearer_auth("its-own").send().await.unwrap());
    let keys: Vec<_> = seen
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap_or_default().to_owned())
        .collect();
    let ours = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(keys, [ours, ours, "", "", "Bearer its-own"]);

    let of_kind = |builder: outbound_client::ClientBuilder| builder.build().unwrap_err();
    for error in [
        of_kind(Client::builder().basic_auth("user", "canary")),
        of_kind(Client::builder().base_url("http://a.test").basic_auth("canary:", "x")),
        of_kind(Client::builder().base_url("http://a.test").basic_auth("x", "canary\n")),
    ] {
        assert_eq!(error.kind(), Kind::Config);
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_redirect_takes_it_to_another_origin() {
    let (builder, seen) = answering(|request| match request.line().split(' ').nth(1).unwrap() {
        "/v1/a" => b"HTTP/1.1 302 Found\r\nlocation: /v1/b\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "/v1/b" => {
            b"HTTP/1.1 302 Found\r\nlocation: http://other.test/\r\ncontent-length: 0\r\n\r\n".to_vec()
        }
        _ => OK.to_vec(),
    });
    let client = builder.build().unwrap();
    drop(client.get("/a").basic_auth("user", "canary").send().await.unwrap());
    let keys: Vec<_> =
        seen.requests().iter().map(|request| request.header("authorization").is_some()).collect();
    assert_eq!(keys, [true, true, false]);
}

#[tokio::test]
async fn what_no_header_can_carry_is_an_error_that_does_not_show_it() {
    let client = Client::builder().no_proxy().build().unwrap();
    let get = || client.get("http://a.invalid/");
    for request in [
        get().bearer_auth("canary\n"),
        get().basic_auth("canary:x", "y"),
        get().basic_auth("x", "canary\0"),
        get().basic_auth("canary\r", ""),
    ] {
        let error = request.send().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Request);
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    let request = get().basic_auth("x", "y").build().unwrap();
    assert!(!format!("{:?}", request.headers()).contains("Basic"));
}

#[cfg(feature = "digest")]
mod digest {
    use std::sync::Arc;

    use http_auth::{DigestClient, PasswordParams, parse_challenges};
    use outbound_client::{Client, ClientBuilder, ClientService, Method, Reply, StatusCode};
    use tower_layer::layer_fn;

    use crate::support::{OK, Request, Seen, answering};

    const CHALLENGE: &str = "Digest realm=\"r\", nonce=\"n0nce\", qop=\"auth\", algorithm=SHA-256";

    /// Whether a request has the answer to this challenge.
    fn is_answered(request: &Request, challenge: &str) -> bool {
        let Some(answer) = request.header("authorization") else { return false };
        let part = |name: &str| {
            let (_, rest) = answer.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0)
        };
        let challenge = parse_challenges(challenge).unwrap().remove(0);
        let mut line = request.line().split(' ');
        let (method, uri) = (line.next().unwrap(), line.next().unwrap());
        let params = PasswordParams { username: "user", password: "canary", uri, method, body: None };
        let mut client = DigestClient::try_from(&challenge).unwrap();
        let expected = client.respond_with_testing_cnonce(&params, part("cnonce").unwrap_or_default());
        expected.unwrap() == answer
    }

    fn unauthorized(challenge: &str) -> Vec<u8> {
        let head = format!("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: {challenge}\r\n");
        format!("{head}set-cookie: a=b\r\ncontent-length: 4\r\n\r\nwho?").into_bytes()
    }

    /// A server for all names that requires an answer. `/leave` redirects to another origin.
    fn guarded(challenge: &'static str) -> (ClientBuilder, Arc<Seen>) {
        answering(move |request| {
            let to = |url: &str| {
                format!("HTTP/1.1 307 No\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n").into_bytes()
            };
            match request.line().split(' ').nth(1).unwrap() {
                "/v1/leave" => to("http://other.test/"),
                "/back" => to("http://api.test/v1/x"),
                _ if !is_answered(request, challenge) => unauthorized(challenge),
                "/v1/move" => to("/v1/moved"),
                _ => OK.to_vec(),
            }
        })
    }

    fn with_and_without_layer(challenge: &'static str) -> [(Client, Arc<Seen>); 2] {
        let ((plain, seen), (layered, seen_too)) = (guarded(challenge), guarded(challenge));
        let layered = layered.layer(layer_fn(|service: ClientService| service));
        [(plain.build().unwrap(), seen), (layered.build().unwrap(), seen_too)]
    }

    async fn text(reply: Reply) -> (StatusCode, String) {
        (reply.status(), reply.text().await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_challenge_is_answered_over_the_same_connection() {
        for challenge in
            [CHALLENGE, "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"", "Digest realm=\"r\", nonce=\"n\""]
        {
            for (client, seen) in with_and_without_layer(challenge) {
                let request = client.post("/x?y=z").digest_auth("user", "canary").json(&[1, 2]);
                assert!(!format!("{request:?}").contains("canary"));
                let reply = request.send().await.unwrap();
                assert!(reply.redirects().is_empty());
                assert_eq!(text(reply).await, (StatusCode::OK, "ok".to_owned()), "{challenge}");
                let requests = seen.requests();
                assert_eq!((requests.len(), seen.connections()), (2, 1));
                assert!(requests.iter().all(|request| request.body == b"[1,2]"));
                assert_eq!(requests[0].header("authorization"), None);
                // As a request value, and with another method.
                let request =
                    client.request(Method::DELETE, "/x").digest_auth("user", "canary").build().unwrap();
                assert_eq!(client.execute(request).await.unwrap().status(), StatusCode::OK);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_answered_once() {
        for (client, seen) in with_and_without_layer(CHALLENGE) {
            let reply = client.get("/x").digest_auth("user", "wrong").send().await.unwrap();
            assert_eq!(text(reply).await, (StatusCode::UNAUTHORIZED, "who?".to_owned()));
            assert_eq!(seen.requests().len(), 2);
            // Without credentials, it is not answered.
            let reply = client.get("/x").send().await.unwrap();
            assert_eq!(text(reply).await, (StatusCode::UNAUTHORIZED, "who?".to_owned()));
            assert_eq!(seen.requests().len(), 3);
            // It is not answered either if the body cannot be read twice.
            let body = futures::stream::iter([Ok::<_, std::io::Error>("body".into())]);
            let reply =
                client.post("/x").digest_auth("user", "canary").stream(body, Some(4)).send().await.unwrap();
            assert_eq!(text(reply).await, (StatusCode::UNAUTHORIZED, "who?".to_owned()));
            assert_eq!(seen.requests().len(), 4);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_answers_its_own_origin_for_requests_without_a_key() {
        for with_layer in [false, true] {
            let (builder, seen) = guarded(CHALLENGE);
            let builder = builder.digest_auth("user", "canary");
            assert!(!format!("{builder:?}").contains("canary"));
            let builder = match with_layer {
                true => builder.layer(layer_fn(|service: ClientService| service)),
                false => builder,
            };
            let client = builder.build().unwrap();
            let reply = client.post("/x").json(&[1, 2]).send().await.unwrap();
            assert_eq!(text(reply).await, (StatusCode::OK, "ok".to_owned()));
            assert_eq!(seen.requests().len(), 2);
            for request in [
                client.get("http://other.test/"),
                client.get("/leave"),
                client.get("/x").bearer_auth("its-own"),
                client.get("/x").digest_auth("user", "wrong"),
            ] {
                assert_eq!(text(request.send().await.unwrap()).await.0, StatusCode::UNAUTHORIZED);
            }
            let answers = seen.requests();
            let answers = answers.iter().filter_map(|request| request.header("authorization"));
            let schemes: Vec<_> = answers.map(|answer| answer.split(' ').next().unwrap()).collect();
            assert_eq!(schemes, ["Digest", "Bearer", "Digest"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_origin_gets_no_answer_and_neither_does_who_comes_back_from_there() {
        for (client, seen) in with_and_without_layer(CHALLENGE) {
            let reply = client.get("/leave").digest_auth("user", "canary").send().await.unwrap();
            assert_eq!(text(reply).await, (StatusCode::UNAUTHORIZED, "who?".to_owned()));
            let reply =
                client.get("http://other.test/back").digest_auth("user", "canary").send().await.unwrap();
            assert_eq!(text(reply).await, (StatusCode::UNAUTHORIZED, "who?".to_owned()));
            assert_eq!(seen.requests().len(), 4);
            assert!(seen.requests().iter().all(|request| request.header("authorization").is_none()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_redirect_within_the_origin_is_challenged_and_answered_anew() {
        for (client, seen) in with_and_without_layer(CHALLENGE) {
            let reply = client.get("/move").digest_auth("user", "canary").send().await.unwrap();
            assert_eq!(reply.redirects().len(), 1);
            assert_eq!(text(reply).await, (StatusCode::OK, "ok".to_owned()));
            let answered: Vec<_> =
                seen.requests().iter().map(|request| request.header("authorization").is_some()).collect();
            assert_eq!(answered, [false, true, false, true]);
        }
    }
}
