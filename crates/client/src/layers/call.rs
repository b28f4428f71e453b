//! The future of one request that goes through layers.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, Uri};
use tokio::time::Instant;

use super::{BoxedResponse, ExchangeInfo, Options, Stack};
use crate::{
    body::Body,
    client::Core,
    error::{Error, Phase},
    limit_timer::LimitTimer,
    look::LastLook,
    origin::Origin,
    redirect::{Chain, Step},
    reply::Reply,
    reply_body::{ReplyBody, RequestInfo},
    request_copy::RequestCopy,
};

/// One request through the layers, with its redirects and its total limit.
pub(crate) struct Layered {
    core: Arc<Core>,
    stack: Arc<dyn Stack>,
    // Until the layers take it.
    request: Option<Request<Body>>,
    request_copy: RequestCopy,
    answer: Option<BoxedResponse>,
    options: Options,
    chain: Box<Chain>,
    pub(crate) origin: Origin,
    limit_timer: LimitTimer,
    // The last look before a limit that has passed ends the request, and how many more there will be.
    last_look: Option<(LastLook, u8)>,
}

impl Layered {
    // The exchange below the layers has the same limit, and its own last look. It knows what was sent, so it should
    // end first.
    const LOOKS: u8 = 3;

    pub(crate) fn new(
        core: Arc<Core>,
        stack: Arc<dyn Stack>,
        request: Request<Body>,
        options: Options,
        origin: Origin,
    ) -> Box<Self> {
        Box::new(Self {
            core,
            stack,
            request_copy: RequestCopy::of(&request, options.redirects.are_followed()),
            request: Some(request),
            answer: None,
            limit_timer: LimitTimer::new(options.limits.clone()),
            options,
            chain: Box::default(),
            origin,
            last_look: None,
        })
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, Error>> {
        loop {
            if let Some(mut request) = self.request.take() {
                self.limit_timer.start_total(Instant::now());
                self.options.deadline = self.limit_timer.deadline();
                self.options.left_origin = self.chain.left_origin;
                #[cfg(feature = "cookies")]
                {
                    self.options.left_site = self.chain.left_site;
                }
                request.extensions_mut().insert(self.options.clone());
                self.answer = Some(self.stack.call(request));
            }
            let answer = self.answer.as_mut().expect("polled after it was ready");
            return match answer.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => match self.redirected(&response) {
                    Ok(true) => continue,
                    Ok(false) => Poll::Ready(Ok(self.reply(response))),
                    Err(error) => Poll::Ready(Err(self.describe(error))),
                },
                Poll::Ready(Err(error)) => Poll::Ready(Err(self.describe(error))),
                Poll::Pending => {
                    let error = ready!(self.poll_total(cx));
                    Poll::Ready(Err(self.describe(error)))
                }
            };
        }
    }

    /// Follows the redirect, if the reply is a redirect that is followed.
    fn redirected(&mut self, response: &Response<ReplyBody>) -> Result<bool, Error> {
        let (status, headers) = (response.status(), response.headers());
        let (policy, secrets) = (self.options.redirects, &self.core.secrets);
        let step = Step { policy, secrets, from: &self.origin, request: &self.request_copy, status, headers };
        let Some((origin, mut request)) = step.follow(&mut self.chain)? else { return Ok(false) };
        self.request_copy = RequestCopy::of(&request, true);
        let url = format!("{origin}{}", self.request_copy.target());
        // It is made of an origin and a target that are both valid.
        *request.uri_mut() = Uri::try_from(url).unwrap_or_default();
        (self.origin, self.request, self.answer) = (origin, Some(request), None);
        Ok(true)
    }

    fn reply(&mut self, mut response: Response<ReplyBody>) -> Reply {
        let arrived = response.extensions().get::<ExchangeInfo>().copied();
        let mut limit_timer = LimitTimer::new(self.options.limits.clone());
        limit_timer.end_by(self.options.deadline);
        response.body_mut().belong_to(RequestInfo {
            origin: self.origin.clone(),
            target: self.request_copy.target().to_owned(),
            chain: std::mem::take(&mut self.chain),
            limit_timer,
            connection: arrived.map(|arrived| arrived.connection),
            timings: arrived.and_then(|arrived| arrived.timings),
        });
        Reply::of(response, self.core.takes_codings || self.request_copy.asks_for_coding)
    }

    fn describe(&self, error: Error) -> Error {
        let mut error = match error.origin() {
            Some(_) => error,
            None => error.at(&self.origin),
        };
        error.set_url(&self.origin, self.request_copy.target());
        if self.chain.followed.is_empty() { error } else { error.after_redirect() }
    }

    fn poll_total(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let (limit, duration) = ready!(self.limit_timer.poll(cx, Instant::now(), None));
        loop {
            let (look, left) = self.last_look.get_or_insert_with(|| (LastLook::begin(None), Self::LOOKS));
            ready!(look.poll(None, cx));
            if *left == 0 {
                // Layers have the request and do not report what they did with it, so it may have been sent.
                return Poll::Ready(Error::timeout(limit, duration, Phase::Head));
            }
            *left -= 1;
            *look = LastLook::begin(None);
        }
    }
}
