use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Request;
use tokio::time::Instant;

use super::{Answer, Arrived, Options, Stack};
use crate::{
    body::Body,
    clock::Clock,
    error::{Delivery, Error, Phase},
    look::LastLook,
    origin::Origin,
    reply::Reply,
    reply_body::About,
};

/// One request through the layers, with its limit on everything.
pub(crate) struct Layered {
    stack: Arc<dyn Stack>,
    // Until the first poll.
    request: Option<Request<Body>>,
    answer: Option<Answer>,
    options: Options,
    pub(crate) origin: Origin,
    clock: Clock,
    // What is done before the limit that has passed ends it, and how often it is to be done again.
    last_look: Option<(LastLook, u8)>,
}

impl Layered {
    // The exchange under the layers has the same limit, and a look of its own: it is the one that knows what was sent.
    const LOOKS: u8 = 3;

    pub(crate) fn new(
        stack: Arc<dyn Stack>,
        request: Request<Body>,
        options: Options,
        origin: Origin,
    ) -> Box<Self> {
        let clock = Clock::new(options.limits.clone());
        Box::new(Self {
            stack,
            request: Some(request),
            answer: None,
            options,
            origin,
            clock,
            last_look: None,
        })
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Error>> {
        if let Some(mut request) = self.request.take() {
            self.clock.start_total(Instant::now());
            self.options.ends = self.clock.total();
            request.extensions_mut().insert(self.options.clone());
            self.answer = Some(self.stack.call(request));
        }
        let answer = self.answer.as_mut().expect("polled after it was ready");
        match answer.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => {
                let arrived = response.extensions().get::<Arrived>().copied();
                let mut clock = Clock::new(self.options.limits.clone());
                clock.end_at(self.options.ends);
                let about = About {
                    origin: self.origin.clone(),
                    clock,
                    connection: arrived.map(|arrived| arrived.connection),
                    timings: arrived.and_then(|arrived| arrived.timings),
                };
                let mut response = response;
                response.body_mut().belong_to(about);
                Poll::Ready(Ok(Reply::of(response)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(match error.origin() {
                Some(_) => error,
                None => error.at(&self.origin),
            })),
            Poll::Pending => self.poll_total(cx).map(Err),
        }
    }

    fn poll_total(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let (limit, duration) = ready!(self.clock.poll(cx, Instant::now(), None));
        loop {
            let (look, left) = self.last_look.get_or_insert_with(|| (LastLook::begin(None), Self::LOOKS));
            ready!(look.poll(None, cx));
            if *left == 0 {
                // Layers have the request, and do not say what they did with it.
                let error = Error::timeout(limit, duration, Phase::Head);
                debug_assert_eq!(error.delivery(), Delivery::MaybeSent);
                return Poll::Ready(error.at(&self.origin));
            }
            *left -= 1;
            *look = LastLook::begin(None);
        }
    }
}
