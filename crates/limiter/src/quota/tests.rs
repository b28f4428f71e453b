#[cfg(outbound_loom)]
mod loom;
