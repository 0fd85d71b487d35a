//! The life of a job against DynamoDB semantics, checked against a model, and what the worker makes of handlers.

mod cleanup;
mod lifecycle;
mod listing;
mod storing;
mod working;
