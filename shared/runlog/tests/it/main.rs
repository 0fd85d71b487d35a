//! The protocol of the run log, held to its promises: in a simulation that injects every fault it must survive, in
//! virtual time, and against DynamoDB's semantics.
#![cfg(test)]

mod answers;
mod dynamo;
mod follow;
mod lease;
mod limits;
mod memory;
mod process;
mod simulation;
mod timing;
mod writer;
