//! `--ca`: a server whose certificate only a given file of roots makes trusted.

use std::sync::Arc;

use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{folder, input, outbound, said, text};

/// A TLS server with a self-signed certificate for `localhost`. Returns its base URL and the certificate in PEM.
async fn serve() -> (String, String) {
    const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("its key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 1 << 16];
            let _ = stream.read(&mut request).await;
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", ANSWER.len());
            let _ = stream.write_all(format!("{head}{ANSWER}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (format!("https://localhost:{port}/v1"), certified.cert.pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_where_its_file_is_named() {
    let (base, pem) = serve().await;
    let folder = folder();
    let (file, input) = (folder.path().join("ca.pem"), input(&folder, 1, &[]));
    std::fs::write(&file, pem).expect("a file");
    let other = folder.path().join("other.pem");
    std::fs::write(&other, "no certificate").expect("a file");
    let run_with = |more: &[&str], variable: Option<&std::path::Path>| {
        let arguments =
            [&["run", text(&input), "--fresh", "--base-url", &base, "--deadline", "4s"], more].concat();
        let mut command = outbound(&arguments);
        command.env_remove("SSL_CERT_FILE").envs(variable.map(|file| ("SSL_CERT_FILE", file)));
        let run = tokio::task::block_in_place(|| command.output().expect("it runs"));
        (run.status.code(), said(&run))
    };
    let run = |more: &[&str]| run_with(more, None);
    assert_eq!(run_with(&[], Some(&file)).0, Some(0));
    assert_eq!(run(&["--ca", text(&file)]).0, Some(0));
    let (code, said) = run(&[]);
    assert_eq!(code, Some(5));
    assert!(
        said.contains("the server's certificate is self-signed, and not among the trusted roots"),
        "{said}"
    );
    let (code, said) = run(&["--ca", "no-such-file.pem"]);
    assert!(code == Some(2) && said.contains("--ca no-such-file.pem: "), "{said}");
    let (code, said) = run(&["--ca", text(&other)]);
    assert!(code == Some(2) && said.contains("the roots are not certificates in PEM"), "{said}");
}
