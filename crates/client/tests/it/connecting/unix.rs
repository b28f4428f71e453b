//! Tests of connections over a unix socket.

use tokio::net::UnixListener;

use super::*;

#[tokio::test]
async fn a_unix_socket_is_what_all_requests_go_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let mut hosts = Vec::new();
        for number in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream, number).await.unwrap();
            hosts.push(request.header("host").unwrap().to_owned());
            write(&mut stream, OK).await;
        }
        hosts
    });
    let client = Client::builder().base_url("http://daemon").unix_socket(&path).build().unwrap();
    for url in ["/info", "http://127.0.0.1:1/x"] {
        let reply = client.get(url).send().await.unwrap();
        assert_eq!(reply.connection().remote_addr, None);
        assert_eq!(reply.text().await.unwrap(), "ok");
    }
    assert_eq!(server.await.unwrap(), ["daemon", "127.0.0.1:1"]);
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nobody.sock");
    let client = Client::builder().base_url("http://daemon").unix_socket(path).build().unwrap();
    let error = client.get("/x").send().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.phase(), error.delivery()),
        (Kind::Connect, Phase::Connect, Delivery::NotSent)
    );
}
