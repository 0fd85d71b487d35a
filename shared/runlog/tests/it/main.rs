//! Tests of the guarantees of the run log: in a simulation that injects every fault that it must survive, in
//! virtual time, and against the semantics of DynamoDB.
#![cfg(test)]

mod answers;
mod contest;
mod dynamo;
mod follow;
mod lease;
mod limits;
mod memory;
mod process;
mod simulation;
mod stale;
mod timing;
mod writer;
