//! Tests: how long each phase took, as replies and errors report it.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_reply_tells_the_story_of_its_connection() {
    let (connector, _) = slow(secs(1));
    let client = Client::builder().base_url("http://api.test").connector(connector).build().unwrap();
    for n in 1..=3 {
        let reply = client.get("/x").send().await.unwrap();
        let connection = reply.connection();
        assert_eq!((connection.reused, connection.requests), (n > 1, n));
        assert_eq!(connection.age, secs(5 * (n - 1)));
        assert_eq!(connection.version, outbound_client::Version::HTTP_11);
        assert_eq!(connection.remote_addr, None);
        reply.text().await.unwrap();
        sleep(secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn timings_are_recorded_where_they_are_asked_for() {
    let client = Client::builder()
        .base_url("http://api.test")
        .max_connections_per_origin(1)
        .connector(|_: &Origin| async {
            sleep(secs(3)).await;
            let (near, mut far) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                while read_request(&mut far, 0).await.is_some() {
                    sleep(secs(4)).await;
                    write(&mut far, OK).await;
                }
            });
            Ok(near)
        })
        .build()
        .unwrap();
    let get = async || {
        let reply = client.get("/x").timings(true).send().await.unwrap();
        let timings = reply.timings().unwrap();
        reply.text().await.unwrap();
        timings
    };
    let (first, second) = tokio::join!(get(), get());
    assert_eq!((first.pool_wait, first.connect), (secs(0), secs(3)));
    assert_eq!((first.upload, first.first_byte, first.total), (secs(0), secs(4), secs(7)));
    assert_eq!((first.dns, first.tls), (secs(0), secs(0)));
    assert_eq!((second.pool_wait, second.connect), (secs(7), secs(0)));
    assert_eq!((second.first_byte, second.total), (secs(4), secs(11)));

    // The stream takes 6 s. The server answers 4 s after its end.
    let pieces = futures::stream::unfold(0, |n| async move {
        sleep(secs(2)).await;
        (n < 2).then(|| (Ok::<_, io::Error>("piece".into()), n + 1))
    });
    let reply = client.post("/x").stream(pieces, None).timings(true).send().await.unwrap();
    let timings = reply.timings().unwrap();
    assert_eq!((timings.upload, timings.first_byte, timings.total), (secs(6), secs(4), secs(10)));
    assert_eq!((timings.pool_wait, timings.connect), (secs(0), secs(0)));
    reply.text().await.unwrap();

    assert_eq!(client.get("/x").send().await.unwrap().timings(), None);
}

#[tokio::test(start_paused = true)]
async fn a_client_can_ask_for_all_timings_and_a_request_for_none() {
    let (connector, _) = slow(secs(1));
    let client =
        Client::builder().base_url("http://api.test").connector(connector).timings(true).build().unwrap();
    let reply = client.get("/x").send().await.unwrap();
    assert_eq!(reply.timings().unwrap().total, secs(1));
    assert_eq!(client.get("/x").timings(false).send().await.unwrap().timings(), None);
}

/// When a request begins, and its connect limit, in seconds.
type Plan = (u64, u64);

/// Runs requests over dials with these durations, some of which are refused. Returns for each: its time, its timings,
/// its limit.
async fn run(
    http2: bool,
    max: Option<usize>,
    dials: Vec<(u64, bool)>,
    plans: Vec<Plan>,
) -> Vec<(Duration, Timings, Option<(Limit, Duration)>)> {
    let next = AtomicUsize::new(0);
    let builder = Client::builder().base_url("http://api.test").connector(move |_: &Origin| {
        let (time, works) = dials[next.fetch_add(1, Ordering::SeqCst) % dials.len()];
        async move {
            sleep(secs(time)).await;
            if !works {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            if !http2 {
                return Ok(pipe());
            }
            let (near, far) = tokio::io::duplex(4096);
            tokio::spawn(serve_http2(far, |_, mut respond: h2::server::SendResponse<_>| async move {
                respond.send_response(http::Response::new(()), true).unwrap();
            }));
            Ok(near)
        }
    });
    let builder = builder.max_connections_per_origin(max).timings(true);
    let client = if http2 { builder.http2_prior_knowledge() } else { builder }.build().unwrap();
    join_all(plans.into_iter().map(async |(begins, limit)| {
        sleep(secs(begins)).await;
        let started = Instant::now();
        match client.get("/x").limits(client.limits().connect(secs(limit))).send().await {
            Ok(reply) => {
                let (took, timings) = (started.elapsed(), reply.timings().unwrap());
                reply.bytes().await.unwrap();
                (took, timings, None)
            }
            Err(error) => (started.elapsed(), error.timings().unwrap(), error.limit()),
        }
    }))
    .await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whichever dial serves a request: the phases add up, connecting ends at the request's own limit and no later,
    /// and without a maximum of connections no request waits for a permit.
    #[test]
    fn every_wait_is_accounted_for(
        http2: bool,
        max in prop::option::of(1..4_usize),
        dials in prop::collection::vec((0..20_u64, prop::bool::weighted(0.8)), 1..6),
        plans in prop::collection::vec((0..20_u64, 1..15_u64), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let outcomes = runtime.block_on(run(http2, max, dials, plans.clone()));
        for ((took, timings, limit), (_, own)) in outcomes.into_iter().zip(plans) {
            let parts = timings.pool_wait + timings.connect + timings.upload + timings.first_byte;
            prop_assert_eq!((parts, timings.total), (took, took), "{:?}", timings);
            prop_assert!(timings.connect <= secs(own), "{:?} of {}", timings, own);
            prop_assert!(limit.is_none_or(|limit| limit == (Limit::Connect, timings.connect)), "{:?}", limit);
            prop_assert!(max.is_some() || timings.pool_wait.is_zero(), "{:?}", timings);
        }
    }
}
