//! The [`SendLog`] of one request.

use super::{
    admission::{Admission, Admitted},
    error::{Error, ErrorKind},
    record::{Logged, Record},
    send_log::{SendLog, Sending, Withdrawn},
};

/// The entries of one request in the log.
pub(super) struct RequestLog<'a> {
    log: &'a dyn SendLog,
    request: Sending<'a>,
}

impl<'a> RequestLog<'a> {
    pub(super) fn new(log: &'a dyn SendLog, id: Option<&'a str>, number: u64) -> Self {
        Self { log, request: Sending { id, number, is_logged: false } }
    }

    /// Writes that the request is about to be sent, unless it has done so already.
    ///
    /// # Errors
    ///
    /// If the log cannot be written; the batch is stopped then. If the request was withdrawn, it alone ends.
    pub(super) async fn write_before_send<'b>(
        &self,
        admitted: Admitted<'b>,
        admission: &Admission<'_>,
        record: &mut Record,
    ) -> Result<Admitted<'b>, Error> {
        let (before, is_logged) = (record.logged, record.logged == Logged::Earlier);
        record.logged = match before {
            Logged::No => Logged::Sending,
            Logged::Earlier => Logged::Permanent,
            Logged::Sending | Logged::Permanent => return Ok(admitted),
        };
        match self.log.sending(Sending { is_logged, ..self.request }).await {
            Ok(()) => Ok(admitted),
            Err(error) => {
                admitted.charge.refund();
                if error.is::<Withdrawn>() {
                    record.logged = before;
                    return Err(Error::new(ErrorKind::Cancelled, error.to_string()));
                }
                let why = format!("the send log could not be written: {error}");
                Err(admission.stop_all(&why, record))
            }
        }
    }

    /// An attempt has failed.
    pub(super) fn failed(&self, maybe_processed: bool, record: &mut Record) {
        if maybe_processed {
            record.logged = Logged::Permanent;
        } else if record.logged == Logged::Sending {
            record.logged = Logged::No;
            self.log.not_processed(self.request);
        }
    }
}
