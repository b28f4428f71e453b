//! Auto traits and sizes of every public type.

use outbound_queue::{
    Failure, Items, Join, Lease, NextLease, Pop, PopMany, Push, PushAt, PushError, PushMany, Queue, Report,
    TryPopError, TryPushError, WorkerPool, WorkerPoolBuilder,
};

type Item = std::cell::Cell<u8>; // `Send`, not `Sync`

fn send<T: Send>() {}
fn send_sync<T: Send + Sync>() {}
fn unpin<T: Unpin>() {}

trait NotUnpin<A> {
    fn holds() {}
}
impl<T: ?Sized> NotUnpin<()> for T {}
impl<T: ?Sized + Unpin> NotUnpin<u8> for T {}

#[test]
fn send_and_sync_follow_the_item() {
    send_sync::<Queue<Item>>();
    send_sync::<Pop<'_, Item>>();
    send_sync::<Items<'_, Item>>();
    send::<PopMany<'_, '_, Item>>();
    send_sync::<PopMany<'_, '_, u8>>();
    send::<PushMany<'_, '_, Item>>();
    send::<PushAt<'_, Item>>();
    send_sync::<PushAt<'_, u8>>();
    send_sync::<PushMany<'_, '_, u8>>();
    send_sync::<NextLease<'_, Item>>();
    send_sync::<Join<'_, Item>>();
    send::<Push<'_, Item>>();
    send_sync::<Push<'_, u8>>();
    send::<Lease<Item>>();
    send_sync::<Lease<u8>>();
    send_sync::<WorkerPool<Item>>();
    send_sync::<WorkerPoolBuilder<Item>>();
    send_sync::<Failure>();
    send::<Report<Item>>();
    send_sync::<(PushError<u8>, TryPushError<u8>, TryPopError)>();
}

#[test]
fn handles_move_and_futures_are_pinned() {
    unpin::<Queue<Item>>();
    unpin::<Lease<Item>>();
    unpin::<WorkerPool<Item>>();
    unpin::<Report<Item>>();
    // If the type were `Unpin`, this call would be ambiguous and would not compile.
    <Push<'_, u8> as NotUnpin<_>>::holds();
    <PushAt<'_, u8> as NotUnpin<_>>::holds();
    <Pop<'_, u8> as NotUnpin<_>>::holds();
    <NextLease<'_, u8> as NotUnpin<_>>::holds();
    <Join<'_, u8> as NotUnpin<_>>::holds();
    <Items<'_, u8> as NotUnpin<_>>::holds();
    <PopMany<'_, '_, u8> as NotUnpin<_>>::holds();
    <PushMany<'_, '_, u8> as NotUnpin<_>>::holds();
}

#[test]
fn futures_are_small() {
    assert!(size_of::<Pop<'_, u64>>() <= 64);
    assert!(size_of::<NextLease<'_, u64>>() <= 64);
    assert!(size_of::<Join<'_, u64>>() <= 64);
    assert!(size_of::<Push<'_, u64>>() <= 64 + size_of::<u64>());
    assert!(size_of::<Push<'_, String>>() <= 64 + size_of::<String>());
}
