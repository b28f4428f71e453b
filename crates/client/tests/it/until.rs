//! Tests: streams of events with a last event.

use futures::{StreamExt, TryStreamExt};
use outbound_client::{Delivery, Event, Events, Kind, Phase};

use crate::{
    events::{HEAD, chunked, events},
    support::{answering, in_memory, read_head, settle, silence, write},
};

fn is_done(event: &Event) -> bool {
    event.data == "[DONE]"
}

async fn texts(events: Events) -> Result<Vec<String>, Kind> {
    events.map_ok(|event| event.data.to_string()).try_collect().await.map_err(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn the_last_event_ends_the_stream_and_is_kept_apart() {
    let stream = b"data: 1\n\ndata: 2\n\nevent: end\ndata: [DONE]\n\ndata: 3\n\n";
    let mut events = events(&[stream]).await.until(is_done);
    assert!(events.last().is_none());
    assert_eq!(events.next().await.unwrap().unwrap().data, "1");
    assert_eq!(events.next().await.unwrap().unwrap().data, "2");
    assert!(events.last().is_none());
    assert!(events.next().await.is_none());
    assert_eq!(events.last().unwrap().event, "end");
    assert!(!events.ended_inside_event());
    // What comes after it is not read.
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_end_without_it_is_an_error_however_proper() {
    for stream in [
        &b"data: 1\n\ndata: 2\n\n"[..],
        b"data: 1\n\ndata: 2\n\ndata: [DONE]",
        b"data: 1\n\ndata: 2\n\ndata: [DON",
    ] {
        let mut events = events(&[stream]).await.until(is_done);
        assert_eq!(events.next().await.unwrap().unwrap().data, "1");
        assert_eq!(events.next().await.unwrap().unwrap().data, "2");
        let error = events.next().await.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.delivery()),
            (Kind::Incomplete, Phase::Body, Delivery::Replied)
        );
        assert_eq!(error.to_string(), "the events ended before the last one (http://api.test)");
        assert!(events.next().await.is_none() && events.last().is_none());
    }
    assert_eq!(texts(events(&[b"data: 1\n\n"]).await.until(is_done)).await, Err(Kind::Incomplete));
    assert_eq!(texts(events(&[b""]).await.until(is_done)).await, Err(Kind::Incomplete));
    assert_eq!(
        texts(events(&[b"data: 1\n\ndata: [DONE]\n\n"]).await.until(is_done)).await,
        Ok(vec!["1".into()])
    );
    // Without a last event, any regular end is an end.
    assert_eq!(texts(events(&[b"data: 1\n\n"]).await).await, Ok(vec!["1".into()]));
}

#[tokio::test(start_paused = true)]
async fn a_test_of_the_callers_may_count() {
    let mut left = 2;
    let events = events(&[b"data: 1\n\ndata: 2\n\ndata: 3\n\n"]).await.until(move |_| {
        left -= 1;
        left == 0
    });
    assert_eq!(texts(events).await, Ok(vec!["1".into()]));
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_once_where_the_server_leaves_the_body_open() {
    let (builder, _) = in_memory(|_, mut pipe, _| async move {
        read_head(&mut pipe).await;
        write(&mut pipe, HEAD).await;
        write(&mut pipe, "e\r\ndata: [DONE]\n\n\r\n").await;
        silence(pipe).await;
    });
    let started = tokio::time::Instant::now();
    let events = builder.build().unwrap().get("/x").send().await.unwrap().events().unwrap();
    assert!(events.until(is_done).next().await.is_none());
    assert_eq!(started.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn its_connection_is_used_again_if_the_body_has_ended_too() {
    let reply = chunked(&[b"data: 1\n\n", b"data: [DONE]\n\n"]);
    let (builder, seen) = answering(move |_| reply.clone());
    let client = builder.build().unwrap();
    for _ in 0..3 {
        let events = client.get("/x").send().await.unwrap().events().unwrap().until(is_done);
        settle().await;
        let events: Vec<_> = events.collect().await;
        assert_eq!(events.len(), 1);
        settle().await;
    }
    assert_eq!(seen.connections(), 1);
}
