//! Single frames (RFC 6455, section 5), including those that no well-behaved peer sends.

use outbound_client::{Kind, Message, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::server::pipe;
use crate::support::settle;

/// A frame from a client, unmasked: its first byte and its payload.
async fn read_frame(pipe: &mut DuplexStream) -> Option<(u8, Vec<u8>)> {
    let first = pipe.read_u8().await.ok()?;
    let second = pipe.read_u8().await.unwrap();
    assert!(second & 0x80 != 0, "a client masks its frames");
    let length = match second & 0x7f {
        126 => usize::from(pipe.read_u16().await.unwrap()),
        127 => usize::try_from(pipe.read_u64().await.unwrap()).unwrap(),
        length => usize::from(length),
    };
    let mut mask = [0; 4];
    pipe.read_exact(&mut mask).await.unwrap();
    let mut payload = vec![0; length];
    pipe.read_exact(&mut payload).await.unwrap();
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((first, payload))
}

#[tokio::test(start_paused = true)]
async fn fragments_are_one_message_with_pings_between_them() {
    let (mut socket, mut pipe) = pipe(|limits| limits).await;
    let frames: &[&[u8]] =
        &[b"\x01\x03\xe4\xbd\xa0", b"\x89\x02p1", b"\x00\x02\xe5\xa5", b"\x89\x02p2", b"\x80\x01\xbd"];
    for byte in frames.concat() {
        pipe.write_all(&[byte]).await.unwrap();
        settle().await;
    }
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("你好"));
    // If several pings are read together, at least the last one is answered.
    let reading = tokio::spawn(async move { socket.next().await.map(drop) });
    let mut pong = read_frame(&mut pipe).await.unwrap();
    if pong.1 == b"p1" {
        pong = read_frame(&mut pipe).await.unwrap();
    }
    assert_eq!(pong, (0x8a, b"p2".to_vec()));
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn what_the_protocol_forbids_is_an_error_and_the_server_is_told_why() {
    let cases: &[(&str, &[u8], Kind, u16)] = &[
        ("a masked frame", b"\x81\x82\x01\x02\x03\x04hi", Kind::Protocol, 1002),
        ("a reserved bit", b"\xc1\x02hi", Kind::Protocol, 1002),
        ("an unknown data frame", b"\x83\x00", Kind::Protocol, 1002),
        ("an unknown control frame", b"\x8b\x00", Kind::Protocol, 1002),
        ("a fragment of nothing", b"\x80\x02hi", Kind::Protocol, 1002),
        ("a message inside another", b"\x01\x02hi\x81\x02ho", Kind::Protocol, 1002),
        ("a ping in fragments", b"\x09\x02hi", Kind::Protocol, 1002),
        ("a close of one byte", b"\x88\x01\x03", Kind::Protocol, 1002),
        ("text that is not UTF-8", b"\x81\x02\xc3\x28", Kind::Protocol, 1007),
        ("text that is cut", b"\x81\x02\xe4\xbd", Kind::Protocol, 1007),
        ("text in fragments that is not UTF-8", b"\x01\x01\xc3\x80\x01\x28", Kind::Protocol, 1007),
        ("a surrogate", b"\x81\x03\xed\xa0\x80", Kind::Protocol, 1007),
        ("a close with a reason that is not UTF-8", b"\x88\x04\x03\xe8\xc3\x28", Kind::Protocol, 1007),
        ("a frame that is too long", b"\x82\x7e\x04\x01", Kind::TooLarge, 1009),
        ("one that is far too long", b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", Kind::TooLarge, 1009),
        ("a length without end", b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", Kind::TooLarge, 1009),
    ];
    for (what, bytes, kind, code) in cases {
        let (mut socket, mut pipe) = pipe(|limits| limits.max_body(1024)).await;
        pipe.write_all(bytes).await.unwrap();
        let error = socket.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.phase()), (*kind, Phase::Upgraded), "{what}: {error}");
        assert!(socket.next().await.is_none(), "{what}");
        let (opcode, payload) = read_frame(&mut pipe).await.unwrap();
        assert_eq!((opcode, &payload[..2]), (0x88, &code.to_be_bytes()[..]), "{what}");
        assert_eq!(read_frame(&mut pipe).await, None, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_more_than_125_bytes_is_an_error() {
    let (mut socket, mut pipe) = pipe(|limits| limits).await;
    pipe.write_all(&[b"\x89\x7e\x00\x7e".as_slice(), &[0; 126]].concat()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap_err().kind(), Kind::Protocol);
}

#[tokio::test(start_paused = true)]
async fn a_message_in_fragments_is_bounded_as_a_whole() {
    let (mut socket, mut pipe) = pipe(|limits| limits.max_body(1000)).await;
    let fragment = [b"\x02\x7e\x01\xf4".as_slice(), &[0; 500]].concat();
    let last = [b"\x80\x7e\x01\xf4".as_slice(), &[0; 500]].concat();
    pipe.write_all(&[fragment.clone(), last].concat()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().as_bytes().len(), 1000);
    let one_more = b"\x80\x01\x00".to_vec();
    let middle = [b"\x00\x7e\x01\xf4".as_slice(), &[0; 500]].concat();
    pipe.write_all(&[fragment, middle, one_more].concat()).await.unwrap();
    let error = socket.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.to_string().contains("`max_body` of 1000 bytes"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_normal_close_is_the_end_and_any_other_is_an_error_with_its_code() {
    for (payload, code, is_end) in [
        (&b"\x88\x00"[..], None, true),
        (b"\x88\x02\x03\xe8", Some(1000), true),
        (b"\x88\x04\x03\xe9by", Some(1001), true),
        (b"\x88\x02\x03\xf3", Some(1011), false),
        (b"\x88\x05\x0f\xa0own", Some(4000), false),
        // Codes that are never sent.
        (b"\x88\x02\x03\xed", Some(1002), false),
        (b"\x88\x02\x00\x01", Some(1002), false),
    ] {
        let (mut socket, mut pipe) = pipe(|limits| limits).await;
        pipe.write_all(&[b"\x81\x02hi", payload].concat()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("hi"));
        match socket.next().await {
            None => assert!(is_end, "{payload:?}"),
            Some(Ok(message)) => panic!("{message:?}"),
            Some(Err(error)) => {
                assert!(!is_end, "{payload:?}");
                assert_eq!(error.kind(), Kind::Closed);
                assert!(error.to_string().contains(&format!("code {}", code.unwrap())), "{error}");
            }
        }
        assert!(socket.next().await.is_none());
        assert_eq!(socket.close_frame().map(|frame| frame.code), code);
        let answer = read_frame(&mut pipe).await.unwrap();
        assert_eq!(
            (answer.0, answer.1.get(..2)),
            (0x88, code.map(u16::to_be_bytes).as_ref().map(|code| &code[..]))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_frame_is_an_error() {
    for bytes in [&b""[..], b"\x81\x02h", b"\x01\x02hi"] {
        let (mut socket, mut pipe) = pipe(|limits| limits).await;
        pipe.write_all(bytes).await.unwrap();
        drop(pipe);
        let error = socket.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::Closed, "{bytes:?}");
        assert!(socket.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn pings_that_nobody_reads_the_answers_to_are_bounded() {
    let (mut socket, mut pipe) = pipe(|limits| limits).await;
    let reading = tokio::spawn(async move { socket.next().await.unwrap().unwrap() });
    let ping = [b"\x89\x7d".as_slice(), &[7; 125]].concat();
    let mut sent = 0_usize;
    let flood = async {
        while sent < 100_000 {
            pipe.write_all(&ping).await.unwrap();
            sent += 1;
        }
    };
    tokio::select! {
        biased;
        () = flood => panic!("the client reads on, and holds all answers"),
        () = tokio::time::sleep(std::time::Duration::from_secs(10)) => {}
    }
    // Two pipes of 64 KiB, and as many bytes of answers, but not a multiple of that.
    assert!(sent > 100 && sent < 4_000, "{sent}");
    let (mut from_client, mut to_client) = tokio::io::split(pipe);
    let draining = tokio::spawn(async move {
        let mut read = 0_usize;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match from_client.read(&mut buffer).await.unwrap() {
                0 => return read,
                more => read += more,
            }
        }
    });
    // The ping that was being written when the time was up is incomplete. Its rest is sent as zeros in place of
    // sevens.
    to_client.write_all(&[0; 127]).await.ok();
    drop(to_client);
    reading.abort();
    let _ = reading.await;
    assert!(draining.await.unwrap() > 100 * 131);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pings_between_messages_are_all_answered() {
    let (mut socket, pipe) = pipe(|limits| limits).await;
    let (mut from_client, mut to_client) = tokio::io::split(pipe);
    let answers = tokio::spawn(async move {
        let mut all = Vec::new();
        from_client.read_to_end(&mut all).await.unwrap();
        // A masked pong of four bytes each.
        all.chunks(10).filter(|frame| frame[..2] == *b"\x8a\x84").count()
    });
    let sending = tokio::spawn(async move {
        for number in 0..1000_u32 {
            let ping = [b"\x89\x04".as_slice(), &number.to_be_bytes()].concat();
            to_client.write_all(&ping).await.unwrap();
            to_client.write_all(b"\x82\x01x").await.unwrap();
        }
        to_client
    });
    for _ in 0..1000 {
        assert_eq!(socket.next().await.unwrap().unwrap().as_bytes(), b"x");
    }
    let kept = sending.await.unwrap();
    assert!(futures::FutureExt::now_or_never(socket.next()).is_none());
    drop(socket);
    assert_eq!(answers.await.unwrap(), 1000);
    drop(kept);
}
