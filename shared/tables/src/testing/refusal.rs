//! The refusals of DynamoDB in its own words, from the API reference of `TransactWriteItems` and "Error handling with
//! DynamoDB".

use http::StatusCode;
use serde_json::{Value, json};

use super::operation::Operation;

/// A refusal: the status and the body of the answer.
pub(super) type Refusal = (StatusCode, Value);

const ONGOING: &str = "Transaction is ongoing for the item";
const EXCEEDED: &str = "The level of configured provisioned throughput for the table was exceeded. Consider increasing \
                        your provisioning level with the UpdateTable API";
const THROTTLED: &str = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically \
                         scaling your table or index so please try again shortly.";

/// Another transaction has a row of the request.
pub(super) fn contention(operation: Operation, request: &Value) -> Refusal {
    match operation {
        Operation::Transaction => cancelled(request, "TransactionConflict", ONGOING),
        _ => refused("TransactionConflictException", ONGOING),
    }
}

/// The table takes no more requests. DynamoDB has three ways to say so, and a request meets one of them at random.
pub(super) fn throttled(operation: Operation, request: &Value) -> Refusal {
    match (fastrand::u8(..3), operation) {
        (0, Operation::Transaction) => cancelled(request, "ProvisionedThroughputExceeded", EXCEEDED),
        (1, Operation::Transaction) => cancelled(request, "ThrottlingError", THROTTLED),
        (0, _) => refused("ProvisionedThroughputExceededException", EXCEEDED),
        _ => refused("ThrottlingException", THROTTLED),
    }
}

pub(super) fn internal_error() -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, body("InternalServerError", "Internal server error"))
}

/// The request breaks a rule that DynamoDB checks before it reads anything.
pub(super) fn invalid(message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, body("ValidationException", message))
}

/// A transaction is cancelled because of one of its actions, chosen at random.
fn cancelled(request: &Value, code: &str, message: &str) -> Refusal {
    let actions = request["TransactItems"].as_array().map_or(1, Vec::len).max(1);
    let culprit = fastrand::usize(..actions);
    let reason =
        |n| if n == culprit { json!({"Code": code, "Message": message}) } else { json!({"Code": "None"}) };
    let reasons: Vec<Value> = (0..actions).map(reason).collect();
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
    let codes = codes.join(", ");
    let message =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]");
    let mut answer = body("TransactionCanceledException", &message);
    answer["CancellationReasons"] = reasons.into();
    (StatusCode::BAD_REQUEST, answer)
}

fn refused(kind: &str, message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, body(kind, message))
}

fn body(kind: &str, message: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "Message": message, "message": message})
}
