//! Tests: files as bodies, replies that are saved to files, progress, and trailers.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use outbound_client::{Body, Kind, Multipart, Part, Progress, RequestBuilder, Streamed, progress};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::support::{OK, answering, in_memory, read_request, secs, settle, with_length, write};

fn folder_with(name: &str, content: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    folder
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_is_sent_with_its_length() {
    for length in [0, 1, 64 << 10, 300_001] {
        let content: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        let folder = folder_with("input.bin", &content);
        let (builder, seen) = answering(|_| OK.to_vec());
        let client = builder.build().unwrap();
        let body = Body::file(folder.path().join("input.bin")).await.unwrap();
        client.put("/x").with_body(body).send().await.unwrap().text().await.unwrap();
        let request = seen.requests().pop().unwrap();
        assert_eq!(request.header("content-length"), Some(&*length.to_string()));
        assert!(request.body == content, "{length}");
    }
}

#[tokio::test]
async fn what_is_appended_later_is_not_sent_and_what_is_cut_off_is_an_error() {
    let folder = folder_with("log", &[b'a'; 100_000]);
    let path = folder.path().join("log");
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let body = Body::file(&path).await.unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().set_len(150_000).unwrap();
    client.put("/x").with_body(body).send().await.unwrap().text().await.unwrap();
    assert!(seen.requests().pop().unwrap().body == [b'a'; 100_000]);

    let body = Body::file(&path).await.unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
    let error = client.put("/x").with_body(body).send().await.unwrap_err();
    assert_eq!(error.kind(), Kind::RequestBody);
}

#[tokio::test]
async fn a_file_that_is_none_cannot_be_opened() {
    let folder = TempDir::new().unwrap();
    let error = Body::file(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::IsADirectory);
    let error = Part::file(folder.path().join("missing")).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_part_is_a_file_with_its_name_and_a_length() {
    let folder = folder_with("in \"put\".jsonl", b"{}\n");
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let part = Part::file(folder.path().join("in \"put\".jsonl")).await.unwrap();
    let upload = Multipart::new().text("purpose", "batch").part("file", part);
    client.post("/files").multipart(upload).send().await.unwrap().text().await.unwrap();
    let request = seen.requests().pop().unwrap();
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert!(body.contains(
        "name=\"file\"; filename=\"in %22put%22.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n{}\n\r\n"
    ));
    assert_eq!(request.header("content-length"), Some(&*body.len().to_string()));
}

#[tokio::test]
async fn a_saved_reply_takes_the_place_of_the_file_when_it_is_whole() {
    let folder = folder_with("page", b"old");
    let path = folder.path().join("page");
    let (builder, _) = in_memory(|number, mut pipe, _| async move {
        read_request(&mut pipe, number).await;
        write(&mut pipe, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
        write(&mut pipe, vec![b'n'; 1_000_000]).await;
    });
    let client = builder.build().unwrap();
    let bytes = client.get("/x").send().await.unwrap().save(&path).await.unwrap();
    assert_eq!(bytes, 1_000_000);
    assert!(fs::read(&path).unwrap() == vec![b'n'; 1_000_000]);
    assert_eq!(names(&folder), ["page"]);
}

#[tokio::test]
async fn a_reply_that_breaks_off_or_is_dropped_leaves_the_file_as_it_was() {
    let folder = folder_with("page", b"old");
    let path = folder.path().join("page");
    let (builder, _) = in_memory(|number, mut pipe, _| async move {
        let request = read_request(&mut pipe, number).await.unwrap();
        write(&mut pipe, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await;
        if request.line().contains("stall") {
            std::future::pending::<()>().await;
        }
    });
    let client = builder.build().unwrap();
    let error = client.get("/cut").send().await.unwrap().save(&path).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Closed);
    assert_eq!(names(&folder), ["page"]);

    let reply = client.get("/stall").send().await.unwrap();
    let saving = tokio::spawn(reply.save(path.clone()));
    for _ in 0..1000 {
        if names(&folder).len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let [partial, _] = &names(&folder)[..] else { panic!("nothing is being written") };
    assert!(partial.starts_with(".page.") && partial.ends_with(".part"), "{partial}");
    saving.abort();
    let _ = saving.await;
    assert_eq!(names(&folder), ["page"]);
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_save_that_is_dropped_while_its_file_is_made_leaves_none() {
    let folder = TempDir::new().unwrap();
    // Blocking work runs one after the other, so that the test can wait for what was begun.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (builder, _) = answering(|_| OK.to_vec());
        let client = builder.build().unwrap();
        let mut saving = client.get("/x").send().await.unwrap().save(folder.path().join("page"));
        assert!(futures::poll!(&mut saving).is_pending());
        drop(saving);
        tokio::task::spawn_blocking(|| {}).await.unwrap();
    });
    assert!(names(&folder).is_empty(), "{:?}", names(&folder));
}

#[tokio::test]
async fn an_error_page_is_not_saved_and_a_file_that_cannot_be_is_told() {
    let folder = TempDir::new().unwrap();
    let (builder, _) = answering(|request| {
        with_length(if request.line().contains("missing") { "404 Not Found" } else { "200 OK" }, "page")
    });
    let client = builder.build().unwrap();
    let reply = client.get("/missing").send().await.unwrap();
    let error = reply.save(folder.path().join("page")).await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (Kind::Status, 404));
    assert!(names(&folder).is_empty());
    for path in [folder.path().join("no/such/folder"), folder.path().join("..")] {
        let error = client.get("/x").send().await.unwrap().save(path).await.unwrap_err();
        assert_eq!(error.kind(), Kind::File);
        assert!(std::error::Error::source(&error).is_some());
    }
    // A folder at the path is not replaced, and nothing is left beside it.
    fs::create_dir(folder.path().join("page")).unwrap();
    let error = client.get("/x").send().await.unwrap().save(folder.path().join("page")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::File);
    assert_eq!(names(&folder), ["page"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_replaced_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("page");
    let (builder, _) = answering(|_| with_length("200 OK", "new"));
    let client = builder.build().unwrap();
    for mode in [0o600, 0o640, 0o755, 0o666] {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        client.get("/x").send().await.unwrap().save(&path).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
    }
}

type Reports = Arc<Mutex<Vec<Progress>>>;

fn recording() -> (Reports, impl FnMut(Progress) + Send + 'static) {
    let reports = Reports::default();
    let shared = reports.clone();
    (reports, move |progress| shared.lock().unwrap().push(progress))
}

#[tokio::test(start_paused = true)]
async fn each_piece_of_an_upload_is_told() {
    let (builder, seen) = answering(|_| OK.to_vec());
    let client = builder.build().unwrap();
    let pieces = || {
        stream::iter([1000, 2000, 500].map(|length| Ok::<_, std::io::Error>(Bytes::from(vec![7; length]))))
    };
    let cases: [(RequestBuilder<Streamed>, Option<u64>, usize); 4] = [
        (client.post("/x").stream(pieces(), Some(3500)), Some(3500), 3),
        (client.post("/x").stream(pieces(), None), None, 3),
        (client.post("/x").with_body(Body::bytes(vec![7; 3500])), Some(3500), 1),
        (client.post("/x").with_body(Body::empty()), Some(0), 0),
    ];
    for (request, total, pieces) in cases {
        let (reports, report) = recording();
        request.on_progress(report).send().await.unwrap().text().await.unwrap();
        let reports = reports.lock().unwrap();
        assert_eq!(reports.len(), pieces);
        assert!(reports.iter().all(|progress| progress.total == total));
        assert!(reports.is_sorted_by_key(|progress| progress.bytes));
        let length = seen.requests().pop().unwrap().body.len() as u64;
        if total.is_some() {
            assert_eq!(reports.last().map_or(0, |progress| progress.bytes), length);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_piece_of_a_download_is_told_however_it_is_read() {
    let (builder, _) = answering(|_| with_length("200 OK", &"x".repeat(10_000)));
    let client = builder.build().unwrap();
    for way in 0..3 {
        let (reports, report) = recording();
        let mut reply = client.get("/x").send().await.unwrap().on_progress(report);
        assert_eq!(reply.content_length(), Some(10_000));
        match way {
            0 => drop(reply.text().await.unwrap()),
            1 => while reply.chunk().await.is_some() {},
            _ => drop(reply.bytes_stream().collect::<Vec<_>>().await),
        }
        let reports = reports.lock().unwrap();
        let last = reports.last().unwrap();
        assert_eq!((last.bytes, last.total), (10_000, Some(10_000)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_progress_has_the_newest_and_ends() {
    let (builder, _) = in_memory(|number, mut pipe, _| async move {
        read_request(&mut pipe, number).await;
        write(&mut pipe, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n").await;
        for byte in *b"abc" {
            tokio::time::sleep(secs(1)).await;
            pipe.write_all(&[byte]).await.unwrap();
        }
        settle().await;
    });
    let client = builder.build().unwrap();
    let (report, progress) = progress();
    let reply = client.get("/x").send().await.unwrap().on_progress(report);
    let watching = tokio::spawn(progress.map(|progress| progress.bytes).collect::<Vec<_>>());
    assert_eq!(reply.text().await.unwrap(), "abc");
    assert_eq!(watching.await.unwrap(), [1, 2, 3]);

    // A late reader gets the last progress, and then the end.
    let (mut report, progress) = outbound_client::progress();
    report(Progress::default());
    drop(report);
    assert_eq!(progress.count().await, 1);
}

#[tokio::test(start_paused = true)]
async fn trailers_are_there_once_the_body_is_read() {
    let (builder, _) = answering(|_| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
        format!("{head}2\r\nok\r\n0\r\nx-sum: 17\r\n\r\n").into_bytes()
    });
    let client = builder.build().unwrap();
    for reported in [false, true] {
        let mut reply = client.get("/x").send().await.unwrap();
        if reported {
            reply = reply.on_progress(drop);
        }
        assert!(reply.trailers().is_none());
        let mut text = Vec::new();
        while let Some(piece) = reply.chunk().await {
            text.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(text, b"ok");
        assert_eq!(reply.trailers().unwrap()["x-sum"], "17");
    }
}
