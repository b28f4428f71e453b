//! tokio's cooperative budget, which loom's models do without.

#[cfg(not(outbound_loom))]
pub(crate) use tokio::task::coop::poll_proceed;

#[cfg(outbound_loom)]
pub(crate) fn poll_proceed(_cx: &mut std::task::Context<'_>) -> std::task::Poll<Unlimited> {
    std::task::Poll::Ready(Unlimited)
}

#[cfg(outbound_loom)]
pub(crate) struct Unlimited;

#[cfg(outbound_loom)]
impl Unlimited {
    pub(crate) fn made_progress(&self) {}
}
