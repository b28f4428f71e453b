//! A body that takes some time to send: several pieces or a stream, with its announced length and its progress.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::Instant;

use super::{Body, Segment, Stage, Upload, expectation::Expectation};
use crate::{
    error::BoxError,
    progress::{OnProgress, Progress},
};

/// A body that may take some time: pieces and streams, whose progress is recorded while they are sent.
pub(super) struct Long {
    // Pieces and streams in order.
    pub(super) segments: VecDeque<Segment>,
    // Bytes still to come. `None` if a stream has no known length.
    pub(super) remaining: Option<u64>,
    pub(super) upload: Arc<Upload>,
    // The progress callback, and the last progress that it was given.
    pub(super) report: Option<(OnProgress, Progress)>,
    // Set if the body waits for the server before its first piece.
    pub(super) expectation: Option<Expectation>,
}

impl Long {
    /// Ready with `true` if the body is to be sent, with `false` if not.
    fn poll_go(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let go = self.upload.poll_go(cx);
        if go.is_pending()
            && let Some(expectation) = &mut self.expectation
            && expectation.poll(cx).is_ready()
            && self.upload.ask()
        {
            return Poll::Ready(true);
        }
        go
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            match self.segments.front_mut() {
                None => return Poll::Ready(None),
                Some(Segment::Bytes(bytes)) => {
                    let piece = bytes.split_to(bytes.len().min(Body::PIECE));
                    if bytes.is_empty() {
                        self.segments.pop_front();
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                Some(Segment::Stream(stream)) => match ready!(stream.as_mut().poll_next(cx)) {
                    Some(piece) => return Poll::Ready(Some(piece)),
                    None => self.segments.pop_front(),
                },
            };
        }
    }

    /// Checks a stream against its announced length: it must be neither shorter nor longer.
    fn count(
        &mut self,
        piece: Option<Result<Bytes, BoxError>>,
        cx: &mut Context<'_>,
    ) -> Option<Result<Bytes, BoxError>> {
        match (piece, self.remaining) {
            (Some(Ok(piece)), Some(remaining)) => {
                let left = remaining.checked_sub(piece.len() as u64);
                self.remaining = left;
                // A connection that has all announced bytes does not poll again. So the check for too many bytes has
                // to happen now.
                let more = left == Some(0)
                    && matches!(self.poll_piece(cx), Poll::Ready(Some(Ok(piece))) if !piece.is_empty());
                if left.is_none() || more {
                    return Some(Err("the body is longer than the length given for it".into()));
                }
                Some(Ok(piece))
            }
            (None, Some(left @ 1..)) => {
                Some(Err(format!("the body ended {left} bytes before the length given for it").into()))
            }
            (piece, _) => piece,
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.poll_go(cx) {
            Poll::Ready(true) => {}
            Poll::Ready(false) => return Poll::Ready(Some(Err("the rest of the body is not wanted".into()))),
            Poll::Pending => return Poll::Pending,
        }
        let piece = match self.poll_piece(cx) {
            Poll::Ready(piece) => self.count(piece, cx),
            Poll::Pending => {
                self.upload.wait(cx);
                return Poll::Pending;
            }
        };
        let ended = match &piece {
            Some(Ok(_)) => self.remaining == Some(0) || self.segments.is_empty(),
            None | Some(Err(_)) => true,
        };
        if ended {
            self.segments.clear();
        }
        Poll::Ready(match piece {
            // The caller who waits gets the cause. The connection only needs to know that the body ends here.
            Some(Err(error)) => {
                self.upload.fail(error);
                Some(Err("the request's body failed".into()))
            }
            piece => {
                let now = Instant::now();
                self.upload.reach(if ended { Stage::Done(now) } else { Stage::Sending(now) });
                if let (Some((report, progress)), Some(Ok(piece))) = (&mut self.report, &piece) {
                    progress.bytes += piece.len() as u64;
                    report(*progress);
                }
                piece.map(|piece| piece.map(Frame::data))
            }
        })
    }
}
