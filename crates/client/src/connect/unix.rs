//! A connector to a unix socket.

use std::{path::Path, sync::Arc};

use tokio::net::UnixStream;

use super::{Connect, Connecting};
use crate::origin::Origin;

/// One unix socket, for every origin.
pub(crate) struct Unix(pub(crate) Arc<Path>);

impl Connect for Unix {
    fn connect(&self, _: &Origin) -> Connecting {
        let path = self.0.clone();
        Box::pin(async move {
            let stream = UnixStream::connect(path).await?;
            Ok(stream.into())
        })
    }
}
