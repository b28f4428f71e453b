use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::body::Body;

/// A copy of a request, to send it once more.
///
/// Of the head there are only the bytes, in a buffer that is used again: to clone a request's headers would allocate
/// for most of them, and most copies are never looked at.
pub(crate) struct Replica {
    method: Method,
    head: Vec<u8>,
    body: Body,
}

impl Replica {
    /// None where the body cannot be read twice. The URI is in origin form.
    pub(crate) fn of(request: &Request<Body>, mut buffer: Vec<u8>) -> Option<Self> {
        let body = request.body().try_clone()?;
        buffer.clear();
        push(&mut buffer, request.uri().path_and_query().map_or("/", |path| path.as_str()).as_bytes());
        for (name, value) in request.headers() {
            push(&mut buffer, name.as_str().as_bytes());
            push(&mut buffer, value.as_bytes());
            buffer.push(u8::from(value.is_sensitive()));
        }
        Some(Self { method: request.method().clone(), head: buffer, body })
    }

    pub(crate) fn request(&self) -> Option<Request<Body>> {
        let mut request = Request::new(self.body.try_clone()?);
        *request.method_mut() = self.method.clone();
        let mut rest = &self.head[..];
        *request.uri_mut() = Uri::try_from(take(&mut rest)?).ok()?;
        while !rest.is_empty() {
            let name = HeaderName::from_bytes(take(&mut rest)?).ok()?;
            let mut value = HeaderValue::from_bytes(take(&mut rest)?).ok()?;
            value.set_sensitive(*rest.split_off_first()? == 1);
            request.headers_mut().append(name, value);
        }
        Some(request)
    }

    /// What the next copy can be written into.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        // A request with a head like none before is no reason to hold on to as much for each.
        const MOST: usize = 16 << 10;
        if self.head.capacity() > MOST { Vec::new() } else { self.head }
    }
}

fn push(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.extend_from_slice(&bytes.len().to_ne_bytes());
    buffer.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = rest.split_off(..size_of::<usize>())?.try_into().ok()?;
    rest.split_off(..usize::from_ne_bytes(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_same_request() {
        let mut request = Request::new(Body::bytes("abc"));
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = "/a?b=c".parse().unwrap();
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        request.headers_mut().insert("authorization", secret);
        request.headers_mut().append("x", HeaderValue::from_static("1"));
        request.headers_mut().append("x", HeaderValue::from_bytes(b"\xff").unwrap());
        request.headers_mut().append("y", HeaderValue::from_static(""));
        let copy = Replica::of(&request, vec![1, 2, 3]).unwrap().request().unwrap();
        assert_eq!((copy.method(), copy.uri()), (request.method(), request.uri()));
        assert_eq!(copy.headers(), request.headers());
        assert!(copy.headers()["authorization"].is_sensitive() && !copy.headers()["y"].is_sensitive());
        assert_eq!(format!("{:?}", copy.body()), format!("{:?}", request.body()));
    }
}
