//! Random replies that end in different ways: no request must get a part of another reply.

use std::sync::{Arc, Mutex};

use futures::future::join_all;
use outbound_client::{Client, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Draws, block_on, rounds};
use crate::support::{in_memory, read_head};

/// A reply to the request with this number, and whether the connection continues after it.
fn reply(draws: &mut Draws, number: &str, is_head: bool) -> (Vec<u8>, bool) {
    let body = number.repeat(1 + draws.below(40));
    let length = body.len();
    let chunks = |end: &str| {
        let (one, two) = body.split_at(length / 2);
        format!("{:x};a=b\r\n{one}\r\n{:x}\r\n{two}\r\n{end}", one.len().max(1), two.len())
    };
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nx-number: {number}\r\n{more}\r\n");
    let body_of = |body: &str| if is_head { String::new() } else { body.to_owned() };
    let evil = "HTTP/1.1 200 OK\r\nx-number: evil\r\ncontent-length: 4\r\n\r\nevil";
    let (reply, goes_on) = match draws.below(16) {
        0..4 => (head("200 OK", &format!("content-length: {length}\r\n")) + &body_of(&body), true),
        4 | 5 if length > 1 => {
            (head("200 OK", "transfer-encoding: chunked\r\n") + &body_of(&chunks("0\r\nx: y\r\n\r\n")), true)
        }
        6 => (head("200 OK", "") + &body_of(&body), false),
        7 => {
            let both = format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", draws.below(9));
            (head("200 OK", &both) + &body_of(&chunks("0\r\n\r\n")), true)
        }
        8 => (head("204 No", "content-length: 62\r\n") + evil, true),
        9 => (head("304 No", "content-length: 9\r\n"), true),
        10 => (head("200 OK", &format!("content-length: {length}\r\n")) + &body_of(&body) + evil, true),
        11 => {
            let early = "HTTP/1.1 103 Early Hints\r\nx-number: evil\r\n\r\n".repeat(draws.below(4));
            (early + &head("200 OK", &format!("content-length: {length}\r\n")) + &body_of(&body), true)
        }
        12 => (head("200 OK", &format!("content-length: {}\r\n", length + 9)) + &body_of(&body), false),
        13 => (head("200 OK", "transfer-encoding: chunked\r\n") + &body_of(&chunks("zz\r\n")) + evil, true),
        14 => (head("200 OK", "content-length: 3\r\ncontent-length: 4\r\n") + evil, true),
        // To HEAD, with the length of the body that GET would have.
        _ => (head("200 OK", &format!("content-length: {length}\r\n")) + &body, true),
    };
    (reply.into_bytes(), goes_on)
}

/// A request whose reply is read to its end, in part or not at all. What is read must be its own. Returns whether
/// there was a reply.
async fn exchange(client: &Client, number: usize, draws: &mut Draws) -> bool {
    let method = [Method::GET, Method::HEAD, Method::POST, Method::DELETE][draws.below(4)].clone();
    let mut request = client.request(method.clone(), &format!("/{number:05}"));
    if method == Method::POST {
        request = request.body(vec![b'b'; draws.below(200_000)]);
    }
    let how = draws.below(5);
    let sending = request.send();
    let Ok(mut reply) = (if how == 0 {
        // Given up after a random number of steps.
        let steps = draws.below(12);
        let wait = async {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            reply = sending => reply,
            () = wait => return false,
        }
    } else {
        sending.await
    }) else {
        return false;
    };
    let number = format!("{number:05}");
    let (found, status) = (reply.headers()["x-number"].to_str().unwrap().to_owned(), reply.status());
    assert_eq!(found, number, "the head of another reply");
    let mut read = Vec::new();
    for _ in 0..[0, 1, 1000, 1000, 1000][how] {
        match reply.chunk().await {
            Some(Ok(chunk)) => read.extend_from_slice(&chunk),
            _ => break,
        }
    }
    let whole = number.repeat(1 + read.len() / number.len());
    assert!(
        whole.as_bytes().starts_with(&read),
        "{status}: the body of another reply: {}",
        read.escape_ascii()
    );
    true
}

#[test]
fn whatever_ends_a_reply_the_next_request_has_its_own() {
    rounds(60, |draws| {
        let of_server =
            Arc::new(Mutex::new(Draws(Box::new(crate::support::draws(draws.below(1 << 40) as u64)))));
        let mut seeds: Vec<_> = (0..4).map(|_| draws.below(1 << 40) as u64).collect();
        block_on(async move {
            let (builder, _) = in_memory(move |_, mut pipe, _| {
                let draws = of_server.clone();
                async move {
                    // Some replies are sent before the request has come.
                    while let Some(head) = read_head(&mut pipe).await {
                        let is_head = head.starts_with("HEAD");
                        let number = head.split(['/', ' ']).find(|part| part.len() == 5).unwrap().to_owned();
                        let ((reply, goes_on), is_early) = {
                            let mut draws = draws.lock().unwrap();
                            (reply(&mut draws, &number, is_head), draws.one_in(4))
                        };
                        let length = head.split_once("content-length: ").map(|(_, rest)| rest);
                        let length: usize = length
                            .and_then(|rest| rest.split("\r\n").next())
                            .map_or(0, |text| text.parse().unwrap());
                        let mut body = vec![0; length];
                        let before = if is_early { 0 } else { length };
                        if pipe.read_exact(&mut body[..before]).await.is_err()
                            || pipe.write_all(&reply).await.is_err()
                            || !goes_on
                            || pipe.read_exact(&mut body[before..]).await.is_err()
                        {
                            return;
                        }
                    }
                }
            });
            let client = builder.max_connections_per_origin(3).build().unwrap();
            let workers = seeds.drain(..).enumerate().map(|(worker, seed)| {
                let client = &client;
                async move {
                    let mut draws = Draws(Box::new(crate::support::draws(seed)));
                    let mut replies = 0;
                    for number in 0..20 {
                        replies += usize::from(exchange(client, worker * 1000 + number, &mut draws).await);
                    }
                    replies
                }
            });
            let replies: usize = join_all(workers).await.iter().sum();
            assert!(replies > 20, "{replies} replies to 80 requests");
        });
    });
}
