//! The run log: one append-only sequence of events per run, with one writer fenced by the log itself.
//!
//! The protocol rests on a single primitive, "store this segment if nothing stands at its position". From it follow:
//!
//! * **Order.** A position is only ever learnt from the segment before it, so segments never overlap or leave gaps.
//! * **Fencing.** Whoever loses the race for a position reads what won it. An owner that meets a higher epoch stops.
//! * **Ambiguity.** A write whose outcome is unknown is repeated under the same batch id; losing to one's own batch
//!   is winning.
//! * **Truth before show.** A [`Writer`] tells its observer of a segment only after the write was acknowledged.
//!
//! No lock, counter row or clock takes part in that argument. Leases and clocks only decide *when* somebody tries
//! to take a run over. The protocol is generic over [`Storage`] so that the same code runs against DynamoDB and in
//! a deterministic simulation that injects every fault it must survive.

mod append;
mod claim;
mod control;
mod dynamo;
mod follow;
mod segment;
mod settings;
mod size;
mod storage;
mod writer;

pub use append::Unavailable;
pub use claim::{Claim, claim, create, create_claimed};
pub use control::{ControlOutcome, Decision, append_control, decide};
pub use dynamo::{DynamoStorage, TransactionRows};
pub use follow::{Follow, Poll, page, read_all};
pub use segment::{LogKey, MAX_BYTES, MAX_EVENTS, Segment, WriterId};
pub use settings::Settings;
pub use storage::{AppendError, ReadError, Storage};
pub use writer::{Finish, Signals, Stopped, Writer};
