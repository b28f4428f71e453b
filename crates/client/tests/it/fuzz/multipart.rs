//! Random names of parts in multipart bodies.

use outbound_client::{Multipart, Part};

use super::{anywhere, block_on, rounds};
use crate::support::OK;

const PIECES: &[&str] = &[
    "a",
    "file",
    "\"",
    "\\",
    "\r\n",
    "\r",
    "\n",
    "\0",
    "%",
    "%22",
    ";",
    "; filename=\"x\"",
    "--",
    "=",
    "ü",
    "€",
    ":",
    "\r\n\r\n",
    "Content-Type: text/html",
    " ",
    "\t",
    "\u{7f}",
    "\u{2028}",
    "../",
    "name",
];

/// WHATWG HTML, "multipart/form-data encoding algorithm", and all other control characters as well.
fn encoded(name: &str) -> String {
    let one = |c: char| match c {
        '"' => "%22".to_owned(),
        '\0'..='\x1f' | '\x7f' => format!("%{:02X}", c as u32),
        c => c.to_string(),
    };
    name.chars().map(one).collect()
}

#[test]
fn no_name_of_a_part_makes_another_part_or_header() {
    rounds(300, |draws| {
        let count = 1 + draws.below(3);
        let parts: Vec<[String; 4]> =
            (0..count).map(|_| std::array::from_fn(|_| draws.text(PIECES, 10))).collect();
        let mut multipart = Multipart::new();
        for [name, file, kind, content] in &parts {
            let part = Part::bytes(content.clone()).file_name(file).content_type(kind);
            multipart = multipart.part(name, part);
        }
        let (body, content_type) = block_on(async {
            let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
            let (builder, _) = anywhere(move |_, request| {
                let content_type = request.header("content-type").unwrap().to_owned();
                give.send((request.body.clone(), content_type)).unwrap();
                OK.to_vec()
            });
            let client = builder.build().unwrap();
            client.post("http://api.test/").multipart(multipart).send().await.unwrap().bytes().await.unwrap();
            take.recv().await.unwrap()
        });
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let mut expected = String::new();
        for [name, file, kind, content] in &parts {
            let (name, file, kind) = (encoded(name), encoded(file), encoded(kind));
            expected += &format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
                 Content-Type: {kind}\r\n\r\n{content}\r\n"
            );
        }
        expected += &format!("--{boundary}--\r\n");
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    });
}
