//! The client's costs beside hyper's.
