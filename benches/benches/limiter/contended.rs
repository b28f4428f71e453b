//! todo
pub(super) fn measure() {}
