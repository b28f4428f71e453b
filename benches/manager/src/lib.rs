//! What a request costs through the manager, beside the client alone and beside hyper-util.
