//! The trait of limiters that a layer can use, and its implementations.

use std::{future::Future, sync::Arc};

use outbound_limiter::{
    Charge, ConcurrencyLimiter, Cost, OwnedPermit, QuotaLimiter, RateLimiter, Reservation,
};

use crate::BoxError;

/// A limiter. Each request takes a share of it before it is sent.
///
/// It is made for the limiters of `outbound-limiter`, and may be implemented for others.
pub trait Reserve: Clone {
    /// A share that is reserved for a request. Dropping it gives it back, if the limiter can take it back.
    type Reserved: Send + Sync + 'static;

    /// What a request holds while it runs.
    type Sent;

    /// A share, if one is free and nobody waits for it.
    fn try_reserve(&self) -> Option<Self::Reserved>;

    /// Waits for a share.
    fn reserve(&self) -> impl Future<Output = Result<Self::Reserved, BoxError>> + Send + Sync + 'static;

    /// The request is sent now.
    fn sent(&self, reserved: Self::Reserved) -> Self::Sent;
}

/// One permit for each request, held until its response.
impl Reserve for ConcurrencyLimiter {
    type Reserved = OwnedPermit;
    type Sent = OwnedPermit;

    fn try_reserve(&self) -> Option<OwnedPermit> {
        self.try_acquire_owned()
    }

    fn reserve(&self) -> impl Future<Output = Result<OwnedPermit, BoxError>> + Send + Sync + 'static {
        let acquire = self.acquire_owned();
        async { Ok(acquire.await) }
    }

    fn sent(&self, permit: OwnedPermit) -> OwnedPermit {
        permit
    }
}

/// One unit for each request. A service that is dropped after it was ready has used its unit.
impl Reserve for RateLimiter {
    type Reserved = ();
    type Sent = ();

    fn try_reserve(&self) -> Option<()> {
        self.try_acquire(1).ok()
    }

    fn reserve(&self) -> impl Future<Output = Result<(), BoxError>> + Send + Sync + 'static {
        let limiter = self.clone();
        async move {
            limiter.acquire(1).await;
            Ok(())
        }
    }

    fn sent(&self, (): ()) {}
}

/// A quota, and the estimated cost of each request.
///
/// Either the whole cost is reserved, or nothing. When the request is called it counts as sent, and the estimate
/// stays its cost: a layer does not see the real cost of a request. A program that settles the cost and observes the
/// replies should call [`QuotaLimiter::reserve`] itself.
#[derive(Clone, Debug)]
pub struct QuotaShare {
    quota: QuotaLimiter,
    cost: Arc<Cost>,
}

impl QuotaShare {
    /// Reserves this cost of the quota for each request.
    pub fn new(quota: QuotaLimiter, cost: Cost) -> Self {
        Self { quota, cost: Arc::new(cost) }
    }
}

impl Reserve for QuotaShare {
    type Reserved = Reservation;
    type Sent = Charge;

    fn try_reserve(&self) -> Option<Reservation> {
        self.quota.try_reserve(*self.cost).ok()
    }

    fn reserve(&self) -> impl Future<Output = Result<Reservation, BoxError>> + Send + Sync + 'static {
        let Self { quota, cost } = self.clone();
        async move { Ok(quota.reserve(*cost).await?) }
    }

    fn sent(&self, reservation: Reservation) -> Charge {
        reservation.sent()
    }
}
