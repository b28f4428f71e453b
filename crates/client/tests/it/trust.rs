//! Tests: which certificates a client trusts, which one it presents, and the messages when this fails.

use std::{
    io,
    process::Command,
    sync::{Arc, Mutex},
};

use outbound_client::{Client, ClientBuilder, ConnectFailure, Delivery, Error, Kind, Origin, rustls};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::{
    ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;

use crate::support::{OK, read_request, write};

/// An authority with its own certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A server's chain of certificates, and the key of the first one.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pem: String,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = authority_params(name).self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(authority_params(name), key), pem, der }
    }

    /// An authority below this one.
    fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = authority_params(name).signed_by(&key, &self.issuer).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(authority_params(name), key), pem, der }
    }

    fn issue(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }
}

fn self_signed(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
}

/// What servers received: the name in the TLS handshake, and whether there was a client certificate.
type Heard = Arc<Mutex<Vec<(Option<String>, bool)>>>;

struct Server {
    versions: Versions,
    clients: Option<Authority>,
}

type Versions = &'static [&'static SupportedProtocolVersion];

const OLD: Versions = &[&TLS12];
const NEW: Versions = &[&TLS13];
const ANY: Server = Server { versions: &[&TLS12, &TLS13], clients: None };

impl Server {
    /// A client of a server in memory with `identity`, whatever its name is.
    fn client(self, identity: &Identity) -> (ClientBuilder, Heard) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        let config = builder.with_single_cert(identity.chain.clone(), key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let heard = Heard::default();
        let record = heard.clone();
        let builder = Client::builder().connector(move |_: &Origin| {
            let (near, far) = tokio::io::duplex(64 << 10);
            let (acceptor, record) = (acceptor.clone(), record.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(far).await else { return };
                let connection = stream.get_ref().1;
                let name = connection.server_name().map(str::to_owned);
                record.lock().unwrap().push((name, connection.peer_certificates().is_some()));
                while read_request(&mut stream, 0).await.is_some() {
                    write(&mut stream, OK).await;
                }
            });
            async { Ok::<_, io::Error>(near) }
        });
        (builder, heard)
    }
}

async fn get(builder: ClientBuilder) -> Result<String, Error> {
    builder.build()?.get("https://api.test/").send().await?.text().await
}

/// Checks the kind of a failed handshake, and that the most specific message contains this text.
async fn refusal(builder: ClientBuilder, failure: ConnectFailure, says: &str) {
    let error = get(builder).await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert_eq!((error.kind(), error.delivery()), (Kind::Tls, Delivery::NotSent), "{cause}");
    assert!(cause.contains(says), "{cause:?} does not say {says:?}");
    assert_eq!(error.connect_failure(), Some(failure), "{cause}");
}

#[tokio::test]
async fn an_added_authority_is_trusted_beside_the_platforms_or_alone() {
    let authority = Authority::new("Our authority");
    let identity = authority.issue(&params("api.test"));
    for only in [false, true] {
        let (builder, heard) = ANY.client(&identity);
        let builder = builder.add_root_pem(&authority.pem);
        let builder = if only { builder.only_added_roots() } else { builder };
        assert_eq!(get(builder).await.unwrap(), "ok");
        assert_eq!(*heard.lock().unwrap(), [(Some("api.test".to_owned()), false)]);
    }
    // Several certificates in one text, with other text around them.
    let two = format!("# first\n{}\n# second\n{}", Authority::new("Another").pem, authority.pem);
    assert_eq!(get(ANY.client(&identity).0.add_root_pem(two).only_added_roots()).await.unwrap(), "ok");
    // A server's own certificate can be a root, also if it is an authority's.
    for params in [params("api.test"), authority_params("api.test")] {
        let own = self_signed(&params);
        assert_eq!(get(ANY.client(&own).0.add_root_pem(&own.pem)).await.unwrap(), "ok");
        assert_eq!(get(ANY.client(&own).0.add_root_pem(&own.pem).only_added_roots()).await.unwrap(), "ok");
    }
}

#[tokio::test]
async fn an_untrusted_chain_says_what_is_amiss() {
    let certificate = ConnectFailure::Certificate;
    let builder = |identity: &Identity| ANY.client(identity).0;
    let own = self_signed(&params("api.test"));
    refusal(builder(&own), certificate, "is self-signed, and not among the trusted roots").await;
    let of_authority = self_signed(&authority_params("api.test"));
    refusal(builder(&of_authority), certificate, "is self-signed, and not among the trusted roots").await;
    // A trusted certificate must still be for this host and this time.
    let mut expired = authority_params("api.test");
    expired.not_after = date_time_ymd(2002, 3, 4);
    for (params, says) in [
        (authority_params("other.test"), "certificate is for other.test and not for api.test"),
        (expired, "certificate expired on 2002-03-04 00:00 UTC, "),
    ] {
        let own = self_signed(&params);
        refusal(builder(&own).add_root_pem(&own.pem), certificate, says).await;
    }

    let (root, other) = (Authority::new("The root"), Authority::new("Another"));
    let middle = root.below("The middle");
    let mut identity = middle.issue(&params("api.test"));
    let incomplete =
        "issued by `The middle`, which is not among the trusted roots; the chain may be incomplete";
    refusal(builder(&identity).add_root_pem(&root.pem), certificate, incomplete).await;
    identity.chain.push(middle.der);
    assert_eq!(get(builder(&identity).add_root_pem(&root.pem)).await.unwrap(), "ok");
    let unknown = "ends at `The root`, which is not among the trusted roots";
    refusal(builder(&identity), certificate, unknown).await;
    refusal(builder(&identity).add_root_pem(&other.pem).only_added_roots(), certificate, unknown).await;
}

#[tokio::test]
async fn a_certificate_out_of_its_time_or_for_another_host_says_so() {
    let authority = Authority::new("Our authority");
    let client =
        |params: &CertificateParams| ANY.client(&authority.issue(params)).0.add_root_pem(&authority.pem);
    let mut expired = params("api.test");
    expired.not_before = date_time_ymd(2001, 1, 1);
    expired.not_after = date_time_ymd(2002, 3, 4);
    refusal(client(&expired), ConnectFailure::Certificate, "certificate expired on 2002-03-04 00:00 UTC, ")
        .await;
    let mut future = params("api.test");
    future.not_before = date_time_ymd(2900, 5, 6);
    future.not_after = date_time_ymd(2901, 1, 1);
    let says = "is not valid before 2900-05-06 00:00 UTC, and the time here is 2";
    refusal(client(&future), ConnectFailure::Certificate, says).await;
    let mut other =
        CertificateParams::new(["a.test".to_owned(), "*.b.test".to_owned(), "192.0.2.1".to_owned()]).unwrap();
    other.distinguished_name.push(DnType::CommonName, "api.test");
    let says = "certificate is for a.test, *.b.test, 192.0.2.1 and not for api.test";
    refusal(client(&other), ConnectFailure::Certificate, says).await;
    let mut purpose = params("api.test");
    purpose.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let error = get(client(&purpose)).await.unwrap_err();
    assert_eq!(error.connect_failure(), Some(ConnectFailure::Certificate));
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_a_server_that_asks() {
    let authority = Authority::new("Our authority");
    let server = authority.issue(&params("api.test"));
    let person = authority.issue(&params("somebody"));
    let key = person.key.serialize_pem();
    for versions in [OLD, NEW] {
        for pem in [format!("{}{key}", person.pem), format!("{key}{}", person.pem)] {
            let clients = Some(Authority {
                issuer: Authority::new("x").issuer,
                pem: String::new(),
                der: authority.der.clone(),
            });
            let (builder, heard) = Server { versions, clients }.client(&server);
            let builder = builder.add_root_pem(&authority.pem).client_certificate_pem(pem);
            assert!(!format!("{builder:?}").contains("PRIVATE"));
            assert_eq!(get(builder).await.unwrap(), "ok");
            assert_eq!(*heard.lock().unwrap(), [(Some("api.test".to_owned()), true)]);
        }
    }
    let clients = Some(Authority::new("x"));
    let (builder, heard) = Server { versions: OLD, clients }.client(&server);
    let error = get(builder.add_root_pem(&authority.pem)).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (Kind::Tls, Delivery::NotSent));
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_older_version_than_allowed_is_refused() {
    let authority = Authority::new("Our authority");
    let server = authority.issue(&params("api.test"));
    let client = |versions| Server { versions, clients: None }.client(&server).0.add_root_pem(&authority.pem);
    assert_eq!(get(client(OLD)).await.unwrap(), "ok");
    assert_eq!(get(client(NEW).min_tls_version(ProtocolVersion::TLSv1_3)).await.unwrap(), "ok");
    assert_eq!(get(client(OLD).min_tls_version(ProtocolVersion::TLSv1_2)).await.unwrap(), "ok");
    let only_new = client(OLD).min_tls_version(ProtocolVersion::TLSv1_3);
    refusal(only_new, ConnectFailure::Other, "speaks no version of TLS that is allowed here").await;
}

#[tokio::test]
async fn the_name_is_told_in_the_clear_unless_it_is_not_to_be() {
    let authority = Authority::new("Our authority");
    let server = authority.issue(&params("api.test"));
    for (sni, expected) in [(true, Some("api.test".to_owned())), (false, None)] {
        let (builder, heard) = ANY.client(&server);
        assert_eq!(get(builder.add_root_pem(&authority.pem).sni(sni)).await.unwrap(), "ok");
        assert_eq!(*heard.lock().unwrap(), [(expected, false)]);
    }
}

#[tokio::test]
async fn any_certificate_is_taken_only_where_that_is_said_and_then_it_shows() {
    let mut expired = params("other.test");
    expired.not_after = date_time_ymd(2002, 3, 4);
    let identity = self_signed(&expired);
    let client = || ANY.client(&identity).0;
    assert!(get(client()).await.is_err());
    assert_eq!(get(client().danger_accept_any_certificate()).await.unwrap(), "ok");
    let builder = client().danger_accept_any_certificate();
    let shown = format!("{builder:?}");
    assert!(shown.contains("danger_accept_any_certificate: true"), "{shown}");
    let shown = format!("{:?}", builder.build().unwrap());
    assert!(shown.contains("danger_accept_any_certificate: true"), "{shown}");
    let shown = format!("{:?}", client().build().unwrap());
    assert!(shown.contains("danger_accept_any_certificate: false"), "{shown}");
}

#[tokio::test]
async fn a_port_that_speaks_plain_http_is_called_that() {
    let builder = Client::builder().connector(|_: &Origin| {
        let (near, mut far) = tokio::io::duplex(4096);
        tokio::spawn(async move { write(&mut far, "HTTP/1.1 400 Bad Request\r\n\r\n").await });
        async { Ok::<_, io::Error>(near) }
    });
    refusal(
        builder,
        ConnectFailure::NotTls,
        "does not speak TLS; if it speaks plain HTTP, use a URL that begins with",
    )
    .await;
}

#[test]
fn what_is_not_valid_is_said_when_building() {
    let authority = Authority::new("Our authority");
    let person = authority.issue(&params("somebody"));
    let own = Arc::new(
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    );
    let not_a_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let table = [
        (Client::builder().add_root_pem("canary"), "the roots are not certificates in PEM"),
        (Client::builder().add_root_pem(not_a_certificate), "a root is not a valid certificate"),
        (Client::builder().only_added_roots(), "no root is added, and only those are to be trusted"),
        (Client::builder().client_certificate_pem("canary"), "the client's certificate is not one in PEM"),
        (Client::builder().client_certificate_pem(&person.pem), "there is no private key in PEM"),
        (
            Client::builder().client_certificate_pem(format!("{}{other_key}", person.pem)),
            "the client's private key cannot be used with its certificate",
        ),
        (
            Client::builder().min_tls_version(ProtocolVersion::TLSv1_1),
            "the least version of TLS is 1.2 or 1.3",
        ),
        (Client::builder().tls_config(own).sni(false), "`tls_config` is the whole TLS configuration"),
    ];
    for (builder, says) in table {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().starts_with(says), "{error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[test]
fn a_configuration_of_the_callers_is_not_shown_as_something_else() {
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
    let client = Client::builder().tls_config(Arc::new(config)).build().unwrap();
    let shown = format!("{client:?}");
    assert!(shown.contains("Tls(the caller's configuration)") && !shown.contains("danger"), "{shown}");
}

/// The environment of a process cannot be changed safely, so this test runs itself in another process.
#[tokio::test]
async fn secrets_are_logged_only_where_that_is_said() {
    if std::env::var_os("SSLKEYLOGFILE").is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "trust::secrets_are_logged_only_where_that_is_said"])
            .env("SSLKEYLOGFILE", &file)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        let keys = std::fs::read_to_string(file).unwrap();
        assert_eq!(keys.matches("CLIENT_TRAFFIC_SECRET_0 ").count(), 1, "one session of two: {keys}");
        return;
    }
    let authority = Authority::new("Our authority");
    let server = authority.issue(&params("api.test"));
    let client = || ANY.client(&server).0.add_root_pem(&authority.pem);
    assert_eq!(get(client()).await.unwrap(), "ok");
    assert_eq!(get(client().tls_key_log()).await.unwrap(), "ok");
}
