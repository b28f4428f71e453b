//! Tests: the beginning of a body, and bodies with a coding that nobody asked for.

use outbound_client::Limits;
#[cfg(not(any(feature = "gzip", feature = "brotli", feature = "zstd")))]
use outbound_client::{Delivery, Kind};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep},
};

use crate::support::{answering, in_memory, read_request, secs, write};

#[tokio::test(start_paused = true)]
async fn the_beginning_of_a_body_is_what_comes_in_time() {
    // What comes at once, what comes after a second, and whether the connection ends then.
    for (first, second, cut, expected, spent) in [
        ("content-length: 6\r\n\r\nabc", "def", false, "abcdef", 1),
        ("content-length: 9\r\n\r\nabc", "def", false, "abcdef", 2),
        ("content-length: 9\r\n\r\nabc", "def", true, "abcdef", 1),
        ("content-length: 99\r\n\r\nabc", "defghijkl", false, "abcdefgh", 1),
        ("content-length: 3\r\n\r\nabc", "", false, "abc", 0),
        ("content-length: 0\r\n\r\n", "", false, "", 0),
        ("content-length: 9\r\n\r\n", "", false, "", 2),
        ("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "nonsense\r\n", false, "abc", 1),
    ] {
        let (builder, seen) = in_memory(move |_, mut pipe, _| async move {
            while read_request(&mut pipe, 0).await.is_some() {
                write(&mut pipe, format!("HTTP/1.1 500 X\r\n{first}")).await;
                if !second.is_empty() {
                    sleep(secs(1)).await;
                    write(&mut pipe, second).await;
                }
                if cut {
                    return;
                }
            }
        });
        let client = builder.build().unwrap();
        let get = || async { client.get("/x").send().await.unwrap() };
        let started = Instant::now();
        assert_eq!(get().await.bytes_up_to(8, secs(2)).await, expected, "{first}{second}");
        assert_eq!(started.elapsed(), secs(spent), "{first}{second}");
        // As the body of an error, it has the same bounds except for the size.
        let started = Instant::now();
        let error = get().await.error_for_status().await.unwrap_err();
        let reply = error.reply().unwrap();
        let whole = first.contains("h: 6") || first.contains("h: 3") || first.contains("h: 0");
        assert_eq!(reply.complete, whole, "{first}{second}");
        assert!(reply.body.starts_with(expected.as_bytes()) && started.elapsed() <= secs(2));
        assert_eq!(seen.connections(), if whole { 1 } else { 2 }, "{first}{second}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_for_the_beginning_of_a_body_does_not_run_before_it_is_waited_for_nor_longer_than_others() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_request(&mut pipe, 0).await;
        write(&mut pipe, "HTTP/1.1 500 X\r\ncontent-length: 9\r\n\r\nabc").await;
        sleep(secs(20)).await;
        write(&mut pipe, "def").await;
        let _ = pipe.read_to_end(&mut Vec::new()).await;
    });
    let client = builder.limits(Limits::new().total(secs(25))).build().unwrap();
    let started = Instant::now();
    let reply = client.get("/x").send().await.unwrap();
    let prefix = reply.bytes_up_to(100, secs(10));
    sleep(secs(21)).await;
    assert_eq!(prefix.await, "abcdef");
    assert_eq!(started.elapsed(), secs(25), "the request's own limit is sooner");
}

#[tokio::test(start_paused = true)]
async fn a_coding_that_nobody_asked_for_is_named() {
    for (headers, coding) in [
        ("", None),
        ("content-encoding: identity\r\n", None),
        ("content-encoding: \r\n", None),
        ("content-encoding: , IDENTITY\r\n", None),
        ("Content-Encoding: gzip \r\n", Some("gzip")),
        ("content-encoding: identity\r\ncontent-encoding: br\r\n", Some("br")),
        ("content-encoding: identity, zstd\r\n", Some("identity, zstd")),
        ("accept-encoding: gzip\r\n", None),
    ] {
        let (builder, _) =
            answering(move |_| format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n").into_bytes());
        let reply = builder.build().unwrap().get("/x").send().await.unwrap();
        assert_eq!(reply.content_encoding(), coding, "{headers}");
    }
}

#[cfg(not(any(feature = "gzip", feature = "brotli", feature = "zstd")))]
#[tokio::test(start_paused = true)]
async fn a_body_with_a_coding_that_nobody_asked_for_is_an_error_that_names_it() {
    let (builder, _) = answering(|request| {
        let coding = request.line().split(['/', ' ']).nth(3).unwrap();
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-type: text/event-stream\r\ncontent-length: 4\r\n\r\n\x1f\x7f{{}}")
            .into_bytes()
    });
    let client = builder.build().unwrap();
    for (coding, feature) in [
        ("gzip", "gzip"),
        ("br", "brotli"),
        ("zstd,gzip", "zstd"),
        ("x-unknown-and-longer-than-any", "x-unk"),
    ] {
        let send = || async { client.get(&format!("/{coding}")).send().await.unwrap() };
        let name = coding.get(..24).unwrap_or(coding).split(',').next().unwrap();
        let errors = [
            send().await.bytes().await.unwrap_err(),
            send().await.text().await.unwrap_err(),
            send().await.json::<u8>().await.unwrap_err(),
            send().await.chunk().await.unwrap().unwrap_err(),
            send().await.lines().next().await.unwrap().unwrap_err(),
            send().await.events().unwrap().next().await.unwrap().unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.delivery()), (Kind::Decode, Delivery::Replied));
            let text = error.to_string();
            assert!(
                error.is_decode() && text.contains(&format!("`{name}`")) && text.contains(feature),
                "{text}"
            );
        }
        let reply = send().await;
        assert_eq!((reply.status().as_u16(), reply.content_encoding()), (200, Some(coding)));
        assert!(reply.connection().requests > 0);
        // A request that asks for the coding gets the body as it came.
        let asked = client.get(&format!("/{coding}")).header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(asked.bytes().await.unwrap(), "\x1f\x7f{}");
    }
    let plain = client.get("/identity").send().await.unwrap();
    assert_eq!(plain.bytes().await.unwrap(), "\x1f\x7f{}");
}

#[tokio::test(start_paused = true)]
async fn a_coding_without_a_body_is_no_error() {
    let (builder, _) =
        answering(|_| b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n".to_vec());
    let reply = builder.build().unwrap().get("/x").send().await.unwrap();
    assert!(reply.bytes().await.unwrap().is_empty());
}
