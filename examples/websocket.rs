//! WebSocket with the same client that sends the requests: its keys, TLS, proxies and limits hold for it too.
//!
//! ```sh
//! cargo run --example websocket
//! ```
//!
//! It talks to a server of its own on the loopback interface, in real time.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use outbound::{
    Client,
    client::{Kind, Limit, Message},
};
use outbound_examples::{EchoServer, Result, WebSocketServer, heading};

#[tokio::main]
async fn main() -> Result {
    let server = WebSocketServer::start().await?;
    let client =
        Client::builder().base_url(server.url()).bearer_auth("a-key-that-is-never-printed").build()?;

    back_and_forth(&client).await?;
    until_the_end(&client).await?;
    two_tasks(&client).await?;
    what_goes_wrong(&client).await
}

async fn back_and_forth(client: &Client) -> Result {
    heading("Send, receive, close");
    // A path under the base URL. A whole URL (`wss://...`) does as well.
    let mut socket = client.websocket("/feed").connect().await?;
    socket.send("hello").await?;
    socket.send(vec![1, 2, 3]).await?;
    for _ in 0..2 {
        if let Some(message) = socket.next().await {
            println!("back came {:?}", message?);
        }
    }
    // Sends a close frame, and waits for that of the server.
    socket.close().await?;
    println!("closed with {:?}", socket.close_frame().map(|frame| frame.code));
    Ok(())
}

async fn until_the_end(client: &Client) -> Result {
    heading("Read until the server closes");
    let mut socket = client.websocket("/feed").connect().await?;
    socket.send("count 3").await?;
    // Pings are answered in passing. A connection that breaks off is an error here, never an end.
    while let Some(message) = socket.next().await {
        println!("{}", message?.as_text().unwrap_or("bytes"));
    }
    Ok(())
}

async fn two_tasks(client: &Client) -> Result {
    heading("One task sends, another receives");
    let (mut sink, stream) = client.websocket("/feed").connect().await?.split();
    let sending = tokio::spawn(async move {
        for number in 0..1000 {
            // `feed` leaves it to the sink when to write.
            sink.feed(Message::from(format!("message {number}"))).await?;
        }
        sink.close().await
    });
    let received = stream.filter(|message| std::future::ready(message.is_ok())).count().await;
    sending.await??;
    println!("{received} messages came back");
    Ok(())
}

async fn what_goes_wrong(client: &Client) -> Result {
    heading("What goes wrong says what it was");
    // A server that does not speak WebSocket: its status is the error.
    let plain = EchoServer::start().await?;
    let Err(error) = client.websocket(plain.url()).connect().await else {
        return Err("a server of HTTP alone switched".into());
    };
    println!("{:?}: {error}", error.kind());

    // One that gives up tells why.
    let mut socket = client.websocket("/feed").connect().await?;
    socket.send("fail").await?;
    if let Some(Err(error)) = socket.next().await {
        println!("{:?}: {error}; {:?}", error.kind(), socket.close_frame().map(|frame| &frame.reason));
        assert_eq!(error.kind(), Kind::Closed);
    }

    // One that says nothing is pinged after half of the limit. This one answers, so the limit does not pass.
    let soon = Duration::from_millis(50);
    let opening = client.websocket("/feed").change_limits(|limits| limits.idle(soon));
    let mut socket = opening.connect().await?;
    match tokio::time::timeout(4 * soon, socket.next()).await {
        Err(_) => println!("still open after {:?}, {} has not passed", 4 * soon, Limit::Idle),
        Ok(message) => println!("not expected: {message:?}"),
    }
    Ok(())
}
