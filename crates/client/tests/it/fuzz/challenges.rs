//! Random challenges of the scheme `Digest`.

use super::{anywhere, block_on, rounds};

const PIECES: &[&str] = &[
    "Digest ",
    "digest",
    "Basic realm=\"x\"",
    " ",
    ", ",
    "=",
    "\"",
    "\\",
    "realm=",
    "\"a\"",
    "nonce=\"n\"",
    "qop=",
    "\"auth\"",
    "\"auth-int\"",
    "auth",
    "algorithm=",
    "MD5",
    "SHA-256",
    "SHA-256-sess",
    "SHA-512-256",
    "userhash=true",
    "charset=UTF-8",
    "realm=\"x\\\"y\"",
    "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
    "\t",
    "opaque=\"\"",
    "stale=true",
    "domain=\"/\"",
    "token68==",
    "Negotiate abc=",
    "(",
    "ü",
];

/// The parts of an answer: a name each, and its value, quoted or not.
fn parts(answer: &str) -> Vec<(String, String)> {
    let (mut parts, mut rest) = (Vec::new(), answer.strip_prefix("Digest ").unwrap());
    loop {
        let (name, behind) = rest.split_once('=').unwrap();
        let mut value = String::new();
        let mut chars = behind.char_indices();
        let mut quoted = behind.starts_with('"');
        if quoted {
            chars.next();
        }
        let end = loop {
            match chars.next() {
                None => break behind.len(),
                Some((_, '\\')) if quoted => value.push(chars.next().unwrap().1),
                Some((_, '"')) if quoted => quoted = false,
                Some((at, ',')) if !quoted => break at,
                Some((_, c)) => value.push(c),
            }
        };
        assert!(!quoted, "{answer}");
        parts.push((name.trim().to_owned(), value));
        match behind[end..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return parts,
        }
    }
}

#[test]
fn a_challenge_is_answered_once_or_not_at_all_and_the_password_is_never_sent() {
    rounds(300, |draws| {
        let challenges: Vec<_> = (0..=draws.below(2)).map(|_| draws.header(PIECES, 14)).collect();
        let user = draws.pick(&["user", "us\"er", "us\\er", "Jäsøn"]);
        let target = draws.pick(&["/", "/a?b=\"c\"", "/x?y=1,2"]);
        let lines = challenges.iter().map(|text| [b"www-authenticate: ".as_slice(), text, b"\r\n"].concat());
        let head = [b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n".to_vec(), lines.collect::<Vec<_>>().concat()];
        let reply = [head.concat(), b"\r\n".to_vec()].concat();
        let (builder, sent) = anywhere(move |_, _| reply.clone());
        block_on(async {
            let request = builder.build().unwrap().post(&format!("http://api.test{target}")).body("body");
            // Text that a header cannot contain is an error. In all other cases there is a reply.
            if let Ok(reply) = request.digest_auth(user, "canary").send().await {
                assert_eq!(reply.status(), 401);
            }
        });
        let sent = sent.lock().unwrap();
        assert!(sent.len() <= 2 && !sent.iter().any(|(_, head)| head.contains("canary")), "{sent:?}");
        let Some((_, head)) = sent.get(1) else { return };
        let answer = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap();
        let parts = parts(answer);
        let part = |name| parts.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        assert_eq!(part("uri"), head.split(' ').nth(1), "{answer}");
        // A server may ask for a hash of the user name; a name that is not ASCII has another form.
        let is_hashed = part("userhash") == Some("true");
        assert!(is_hashed || part("username*").is_some() || part("username") == Some(user), "{answer}");
    });
}
