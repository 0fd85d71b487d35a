//! The operations of DynamoDB by what can happen to them.

use http::HeaderMap;

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// `TransactWriteItems`.
    Transaction,
    /// A write of one item.
    Write,
    /// `BatchGetItem`.
    BatchRead,
    /// A read of one item or of a list.
    Read,
    /// An operation on tables or streams, which meets no faults.
    Other,
}

impl Operation {
    /// Returns the operation that a request asks for.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let Some(name) = target.and_then(|target| target.strip_prefix("DynamoDB_20120810.")) else {
            return Self::Other;
        };
        match name {
            "TransactWriteItems" => Self::Transaction,
            "PutItem" | "UpdateItem" | "DeleteItem" => Self::Write,
            "BatchGetItem" => Self::BatchRead,
            "GetItem" | "Query" | "Scan" | "TransactGetItems" => Self::Read,
            _ => Self::Other,
        }
    }
}
