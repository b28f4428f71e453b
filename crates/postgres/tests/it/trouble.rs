//! A database that cuts, is away, is of another version, or does not let one make tables.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use outbound::work::{Ambiguous, Counts, Pushed, Work, WorkStore};
use outbound_postgres::PostgresWork;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_postgres::{Config, NoTls, config::Host};

use crate::{
    database::{Schema, address},
    proxy::Proxy,
};

/// The host and port of an address, and the rest of it for another port.
pub(crate) fn through(address: &str, port: u16) -> (String, String) {
    let config: Config = address.parse().expect("an address");
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        _ => "127.0.0.1".to_owned(),
    };
    let database_port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or("postgres");
    let name = config.get_dbname().unwrap_or("postgres");
    let secret = config.get_password().map(|secret| format!("password={}", String::from_utf8_lossy(secret)));
    let secret = secret.unwrap_or_default();
    (
        format!("{host}:{database_port}"),
        format!("host=127.0.0.1 port={port} user={user} dbname={name} {secret}"),
    )
}

/// A store behind a proxy that cuts. The store does not try again to open, so the test does.
pub(crate) async fn open_through(proxy: &Proxy, address: &str, schema: &Schema) -> PostgresWork {
    let (_, cut) = through(address, proxy.address.port());
    let builder = PostgresWork::builder(&cut).schema(&schema.name).patience(Duration::from_secs(30));
    for _ in 0..20 {
        if let Ok(store) = builder.clone().open().await {
            return store;
        }
    }
    builder.open().await.expect("opens")
}

#[tokio::test]
async fn connections_that_are_cut_lose_nothing_and_do_nothing_twice() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    schema.builder().open().await.expect("makes the tables");
    let (database, _) = through(&address, 0);
    let proxy = Proxy::new(database).await;
    let store = open_through(&proxy, &address, &schema).await;
    let work: Vec<_> = (0..60).map(|id| Work::new(format!("{id:02}"), vec![7; 1000])).collect();
    for some in work.chunks(20) {
        store.push(some.to_vec()).await.expect("is pushed");
    }
    let mut accepted = BTreeMap::new();
    for round in 0..2_000 {
        // Claims whose reply was lost come back soon.
        let leases = store.claim(3, Duration::from_millis(300), Ambiguous::Take).await.expect("claims");
        if leases.is_empty() && store.counts().await.expect("counts").done == 60 {
            break;
        }
        assert!(round < 1_999, "it goes on for ever");
        let all: Vec<_> = leases.iter().collect();
        let may = store.sent(&all).await.expect("is sent");
        for (lease, may) in leases.iter().zip(may) {
            if may.is_err() {
                continue;
            }
            let answer = Bytes::from(format!("{} by {}", lease.id, lease.number));
            if store.finish(&[(lease, answer.clone().into())]).await.expect("finishes")[0].is_ok() {
                assert_eq!(accepted.insert(lease.id.to_string(), answer), None, "finished once");
            }
        }
    }
    assert!(proxy.cuts.load(Ordering::Relaxed) > 5, "{proxy:?}");
    let answers = schema.builder().open().await.expect("opens").answers(None, 100).await.expect("answers");
    let answers: BTreeMap<_, _> = answers.into_iter().map(|one| (one.id.to_string(), one.bytes)).collect();
    assert_eq!(answers, accepted, "whoever was told that it finished did, and nobody else");
    assert_eq!(answers.len(), 60);
}

#[tokio::test]
async fn a_release_whose_reply_is_lost_is_a_release() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    schema.builder().open().await.expect("makes the tables");
    let (database, _) = through(&address, 0);
    let proxy = Proxy::new(database).await;
    let direct = schema.builder().open().await.expect("opens");
    let store = open_through(&proxy, &address, &schema).await;
    direct.push(vec![Work::new("one", "")]).await.expect("is pushed");
    for round in 0..40 {
        let lease =
            direct.claim(1, Duration::from_secs(60), Ambiguous::Leave).await.expect("claims").remove(0);
        assert!(store.release(&[&lease], false).await.expect("releases")[0].is_ok(), "round {round}");
    }
    assert!(proxy.cuts.load(Ordering::Relaxed) > 1, "{proxy:?}");
}

#[tokio::test]
async fn what_stays_wrong_is_said_at_once() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let store = schema.builder().patience(Duration::from_millis(1_500)).open().await.expect("opens");
    store.push(vec![Work::new("one", "")]).await.expect("is pushed");
    let client = schema.client().await;
    client.batch_execute("alter table job rename to away").await.expect("is away");
    let error = store.counts().await.expect_err("a table that is missing stays missing");
    assert!(format!("{error:?}").contains("does not exist"), "{error:?}");
    client.batch_execute("alter table away rename to job").await.expect("is back");
    assert_eq!(store.counts().await.expect("counts"), Counts { ready: 1, ..Counts::default() });

    let gone = PostgresWork::builder("host=127.0.0.1 port=1 user=nobody dbname=none").open().await;
    let error = gone.expect_err("nobody listens there");
    assert_eq!(error.to_string(), "the database refused, or could not be reached");
}

#[tokio::test]
async fn a_role_that_may_not_make_tables_uses_those_that_are_there() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let admin = {
        let (client, connection) = tokio_postgres::connect(&address, NoTls).await.expect("connects");
        tokio::spawn(connection);
        client
    };
    let role = format!("{}_role", schema.name);
    admin.batch_execute(&format!("create role {role} login")).await.expect("a role");
    let mut config: Config = address.parse().expect("an address");
    let (host, _) = through(&address, 0);
    let (host, port) = host.split_once(':').expect("a port");
    let name =
        config.dbname(config.get_dbname().unwrap_or("postgres").to_owned()).get_dbname().expect("a name");
    let limited = PostgresWork::builder(&format!("host={host} port={port} user={role} dbname={name}"))
        .schema(&schema.name);
    let error = limited.clone().open().await.expect_err("it may not");
    assert!(error.to_string().contains("may not make them"), "{error}");
    schema.builder().open().await.expect("makes the tables");
    admin
        .batch_execute(&format!(
            "grant usage on schema {0} to {role}; grant usage on all sequences in schema {0} to {role}; \
             grant select, insert, update, delete on all tables in schema {0} to {role}",
            schema.name
        ))
        .await
        .expect("is granted");
    let store = limited.open().await.expect("opens");
    assert_eq!(store.push(vec![Work::new("one", "")]).await.expect("is pushed"), [Pushed::New]);
    assert_eq!(store.claim(1, Duration::from_secs(9), Ambiguous::Leave).await.expect("claims").len(), 1);
    drop(store);
    admin.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.expect("is dropped");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_not_touched() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    schema.builder().open().await.expect("makes the tables");
    schema
        .client()
        .await
        .batch_execute("insert into migration (version) values (999)")
        .await
        .expect("is newer");
    let error = schema.builder().open().await.expect_err("it is newer");
    assert!(error.to_string().contains("999"), "{error}");
    let error = schema.builder().schema("No Schema").open().await.expect_err("no name");
    assert!(error.to_string().contains("No Schema"), "{error}");
    assert!(PostgresWork::builder("postgres://[").open().await.is_err());
}

#[tokio::test]
async fn any_id_and_any_payload_comes_back() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let store = schema.builder().name("a name").open().await.expect("opens");
    let other = schema.builder().name("another").open().await.expect("opens");
    let ids = ["", "a\0b", "半", "'; drop table job; --"];
    let work: Vec<_> = ids.iter().map(|id| Work::new(*id, vec![0xff; 3_000_000])).collect();
    assert_eq!(store.push(work).await.expect("is pushed"), [Pushed::New; 4]);
    // Another batch knows nothing of it.
    assert_eq!(other.counts().await.expect("counts"), Counts::default());
    let leases = store.claim(9, Duration::from_secs(60), Ambiguous::Leave).await.expect("claims");
    assert!(leases.iter().map(|lease| &*lease.id).eq(ids));
    assert!(leases.iter().all(|lease| lease.payload == vec![0xff; 3_000_000]));
}

/// Trusts everybody: the tests' database has a certificate that nobody signed.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn encryption_that_is_asked_for_is_made_and_the_certificate_is_verified() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    schema.builder().open().await.expect("makes the tables");
    let row = schema.client().await.query_one("show ssl", &[]).await.expect("says");
    if row.get::<_, String>(0) == "off" {
        eprintln!("skipped: the database has no certificate");
        return;
    }
    let (database, plain) = through(&address, 0);
    let port = database.rsplit(':').next().expect("a port");
    let encrypted = format!("{} sslmode=require", plain.replace("port=0", &format!("port={port}")));
    let builder = PostgresWork::builder(&encrypted).schema(&schema.name);
    let error = builder.clone().open().await.expect_err("nobody signed it");
    assert!(format!("{error:?}").to_lowercase().contains("certificate"), "{error:?}");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let store = builder.tls(Arc::new(config)).open().await.expect("opens");
    assert_eq!(store.push(vec![Work::new("one", "")]).await.expect("is pushed"), [Pushed::New]);
    let counted = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where ssl and query like '%given%'";
    let row = schema.client().await.query_one(counted, &[]).await.expect("says");
    assert!(row.get::<_, i64>(0) >= 1, "no connection is encrypted");
}

/// Two who open at once make the tables once.
#[tokio::test]
async fn many_who_open_at_once_make_one_set_of_tables() {
    let Some(address) = address() else { return };
    let schema = Schema::new(&address);
    let all = (0..8).map(|_| schema.builder().open());
    for opened in futures::future::join_all(all).await {
        opened.expect("opens");
    }
}
