//! The public side of this crate's errors.

use sequent_core::{ApiError, Code, ErrorDetails};

use crate::{Cancelled, Error, InvalidCursor};

fn details(transient: bool) -> ErrorDetails {
    if transient { ErrorDetails::unavailable() } else { ErrorDetails::internal() }
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        details(self.is_transient())
    }
}

impl ApiError for Cancelled {
    fn details(&self) -> ErrorDetails {
        details(self.is_transient())
    }
}

impl ApiError for InvalidCursor {
    fn details(&self) -> ErrorDetails {
        ErrorDetails::new(Code::InvalidCursor, "The cursor was not issued by this list.")
            .at_parameter("cursor", "not valid for this list")
    }
}
