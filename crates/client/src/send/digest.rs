//! Answers a challenge of the scheme `Digest`.

use std::sync::Arc;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::Call;
use crate::{body::Body, digest::Credentials};

impl Call {
    /// Whether a reply has a challenge that this request may answer: from its own origin, and only once.
    #[inline]
    pub(super) fn is_challenge(&self, response: &Response<Incoming>) -> bool {
        let may_answer = |credentials: &Credentials| {
            !self.is_answer && !self.has_left() && credentials.origin == self.pool.origin
        };
        response.status() == StatusCode::UNAUTHORIZED && self.credentials.as_deref().is_some_and(may_answer)
    }

    /// Sends the request again with the answer. Returns the reply if there is no answer.
    pub(super) fn answer(self: &mut Box<Self>, response: Response<Incoming>) -> Option<Response<Incoming>> {
        let answered = self.request_copy.as_ref().and_then(|request_copy| {
            let mut request = request_copy.request()?;
            let credentials = self.credentials.as_ref()?;
            // Credentials of the request itself are used in place of the client's.
            let is_clients =
                self.core.credentials.as_ref().is_some_and(|clients| Arc::ptr_eq(clients, credentials));
            if is_clients && request.headers().contains_key(header::AUTHORIZATION) {
                return None;
            }
            let answer =
                credentials.answer(response.headers(), request_copy.method(), request_copy.target())?;
            request.headers_mut().insert(header::AUTHORIZATION, answer);
            Some(request)
        });
        let Some(request) = answered else { return Some(response) };
        let pool = self.pool.clone();
        self.turn_to(pool, request, response);
        self.is_answer = true;
        None
    }

    /// An answer is valid for one target only, so a redirect does not repeat it.
    pub(super) fn without_answer(&self, mut request: Request<Body>) -> Request<Body> {
        if self.is_answer {
            request.headers_mut().remove(header::AUTHORIZATION);
        }
        request
    }
}
