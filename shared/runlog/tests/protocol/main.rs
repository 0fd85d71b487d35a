//! The protocol of the run log, held to its promises: in a simulation that injects every fault it must survive, in
//! virtual time, and against DynamoDB's semantics.
#![cfg(test)]

mod memory;
mod simulation;
