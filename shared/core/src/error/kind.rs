//! The classes of errors, from which HTTP derives the status.

/// The class of an error. HTTP derives the status from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the HTTP statuses")]
pub enum ErrorKind {
    BadRequest,
    Unauthenticated,
    PaymentRequired,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    Gone,
    BodyTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    HeadersTooLarge,
    Internal,
    Unavailable,
    Timeout,
}

impl ErrorKind {
    /// Returns `true` if the service is at fault and not the request. Such errors are logged with their source.
    #[must_use]
    pub const fn is_server_fault(self) -> bool {
        matches!(self, Self::Internal | Self::Unavailable | Self::Timeout)
    }
}
