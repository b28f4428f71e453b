//! Random URLs, paths and redirects, compared with the `url` crate.

use allocation_counter::measure;
use outbound_client::{Client, Redirects};
use url::{Host, Position, Url};

use super::{Draws, anywhere, block_on, rounds};
use crate::support::{OK, Request};

const PIECES: &[&str] = &[
    "http://",
    "https://",
    "HTTP://",
    "ftp://",
    "//",
    "/",
    "\\",
    "..",
    ".",
    "%2e",
    "%2E%2e",
    "@",
    ":",
    "?",
    "#",
    "a",
    "b.test",
    "good.test",
    "GOOD.test",
    "[::1]",
    "127.0.0.1",
    "0x7f.1",
    "2130706433",
    ":80",
    ":+80",
    ":443",
    ":8080",
    ":65536",
    "user:pw@",
    "ü",
    " ",
    "\t",
    "\r\n",
    "\0",
    "%",
    "%00",
    "%0d%0a",
    "[",
    "]",
    "&k=v",
    ";p",
    "good.test.",
    "|",
    "\"",
    "<",
    "^",
    "`",
    "{",
    "%2f",
    "%5c",
    "xn--a",
    "-",
    "_",
    "~",
    "!",
    "$",
    "'",
    "*",
    "+",
];

const CANARIES: [(&str, &str); 4] =
    [("authorization", "canary"), ("cookie", "a=canary"), ("x-api-key", "canary"), ("x-own", "canary")];

/// What servers read in a path or a query: the text without percent encoding.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        let hex = behind.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match hex.filter(|_| byte == b'%') {
            Some(hex) => {
                bytes.push(u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap());
                rest = &behind[2..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    bytes
}

/// What the `url` crate reads in a URL: the origin, and the rest without encoding. An error if there is no such part.
fn read(url: Result<Url, url::ParseError>) -> Result<(url::Origin, bool, Vec<u8>), url::ParseError> {
    let url = url?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    Ok((url.origin(), has_user, decoded(&url[Position::BeforePath..Position::AfterQuery])))
}

/// The URL of a request that was sent.
fn url_of(origin: &str, head: &str) -> String {
    let target = head.split(' ').nth(1).unwrap();
    assert!(target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
    format!("{origin}{target}")
}

#[test]
fn a_url_leads_where_another_reader_says() {
    let client = Client::builder().no_proxy().build().unwrap();
    rounds(2000, |draws| {
        let url = ["http://", "https://", "http://good.test", ""][draws.below(4)].to_owned()
            + &draws.text(PIECES, 10);
        let mut built = None;
        let used = measure(|| built = client.get(&url).build().ok()).bytes_max;
        assert!(used <= 16 * 1024 + 16 * url.len() as u64, "{used} bytes for {url:?}");
        let Some(request) = built else { return };
        // Also if the `url` crate refuses it: then the request goes nowhere else. (That crate removes spaces at the
        // end; here they are encoded like other spaces.)
        let other = Url::parse(&url.replace(' ', "%20"));
        assert_eq!(read(Url::parse(&request.uri().to_string())), read(other), "{url:?}");
    });
}

#[test]
fn no_path_leaves_the_base_url() {
    let (builder, sent) = anywhere(|_, _| OK.to_vec());
    let builder = builder.base_url("http://good.test/v1").bearer_auth("canary").redirects(Redirects::none());
    let client = builder.build().unwrap();
    rounds(1000, |draws| {
        let path = draws.text(PIECES, 8);
        let Ok(request) = client.get(&path).build() else { return };
        let is_absolute = path.contains("://");
        let _ = block_on(async { client.execute(request).await.map(drop) });
        // Over TLS nothing is sent in this test.
        let Some((origin, head)) = sent.lock().unwrap().pop() else { return };
        let target = url_of(&origin, &head).split_off(origin.len());
        let path = target.split('?').next().unwrap();
        let is_base = origin == "http://good.test";
        assert!(is_base || is_absolute, "{path:?}");
        assert!(is_absolute || path == "/v1" || path.starts_with("/v1/"), "{path:?}");
        assert!(is_absolute || Url::parse(&format!("{origin}{target}")).unwrap().path().starts_with("/v1"));
        assert_eq!(head.contains("canary"), is_base, "{path:?}");
    });
}

fn location(draws: &mut Draws) -> Vec<u8> {
    let start = ["", "/", "//", "http://", "https://", "http://good.test", "?"][draws.below(7)];
    [start.as_bytes(), &draws.header(PIECES, 8)].concat()
}

fn redirecting(locations: Vec<Vec<u8>>, status: u16) -> impl Fn(usize, &Request) -> Vec<u8> + Clone {
    move |number, _| match locations.get(number) {
        Some(location) => {
            let head = format!("HTTP/1.1 {status} Elsewhere\r\ncontent-length: 0\r\nlocation: ");
            [head.as_bytes(), location, b"\r\n\r\n"].concat()
        }
        None => OK.to_vec(),
    }
}

#[test]
fn redirects_lead_where_another_reader_says_and_take_no_secret_along() {
    rounds(400, |draws| {
        let mut locations: Vec<_> = (0..=draws.below(3)).map(|_| location(draws)).collect();
        if draws.one_in(3) {
            locations.push(b"http://good.test/back".to_vec());
        }
        let status = [301, 302, 303, 307, 308][draws.below(5)];
        let (builder, sent) = anywhere(redirecting(locations.clone(), status));
        let first = "http://good.test/a/b?c";
        block_on(async {
            let client = builder.secret_header("x-own").build().unwrap();
            let mut request = client.post(first).body("secret body");
            for (name, value) in CANARIES {
                request = request.header(name, value);
            }
            let _ = request.send().await;
        });
        let sent = sent.lock().unwrap();
        let (mut at, mut left) = (first.to_owned(), false);
        for ((origin, head), location) in sent.iter().skip(1).zip(&locations) {
            let what = String::from_utf8(location.clone()).unwrap();
            let url = url_of(origin, head);
            let Ok(base) = Url::parse(&at) else { return };
            assert_eq!(read(Url::parse(&url)), read(base.join(&what)), "{what:?} from {at}");
            left |= !at.starts_with(&format!("{origin}/"));
            assert!(!left || !head.contains("canary"), "{locations:?}: {head}");
            assert!(!left || status < 307, "a body went elsewhere: {locations:?}");
            at = url;
        }
    });
}

#[test]
fn a_host_that_is_accepted_is_a_name_or_an_address() {
    let client = Client::builder().no_proxy().build().unwrap();
    rounds(1000, |draws| {
        let url = format!("http://{}/", draws.text(PIECES, 4));
        let request = client.get(&url);
        let Some(origin) = request.origin() else { return };
        let is_address = origin.host().contains(':');
        let is_name = origin
            .host()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte));
        assert!(is_address || is_name, "{url:?}: {origin}");
        assert!(!is_address || Host::parse(&format!("[{}]", origin.host())).is_ok(), "{url:?}");
    });
}
