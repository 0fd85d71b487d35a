//! The run log: one append-only sequence of events per run, with one writer fenced by the log itself.
//!
//! The protocol is based on a single primitive: "store this segment if its position is free". This gives:
//!
//! * **Order.** A process learns a position only from the segment before it, so segments neither overlap nor
//!   leave gaps.
//! * **Fencing.** A process that loses the race for a position reads the segment that won. An owner that
//!   reads a higher epoch stops.
//! * **Ambiguity.** A write with an unknown outcome is repeated under the same batch id. If the position is
//!   then taken by a segment with that batch id, the first write had succeeded.
//! * **Nothing is shown before it is stored.** A [`Writer`] passes a segment to its observer only after the
//!   write was acknowledged.
//!
//! This argument needs no lock, counter row or clock. Leases and clocks only decide *when* a process tries to
//! take over a run. The protocol is generic over [`Storage`], so the same code runs against DynamoDB and in a
//! deterministic simulation that injects every fault that it must survive.

mod append;
mod claim;
mod control;
mod dynamo;
mod erase;
mod follow;
mod segment;
mod settings;
mod size;
mod storage;
mod waiting;
mod writer;

pub use append::Unavailable;
pub use claim::{Claim, OBSERVED_SEGMENTS, claim, create, create_claimed};
pub use control::{ControlOutcome, Decision, append_after, append_control, decide};
pub use dynamo::{DynamoStorage, TransactionRows};
pub use follow::{Follow, Poll, page, read_all};
pub use segment::{LogKey, MAX_BYTES, MAX_EVENTS, Segment, WriterId};
pub use settings::Settings;
pub use size::{EventsTooLarge, MAX_FIRST_BYTES, MAX_FIRST_SEGMENTS, MAX_SEGMENTS, check_size};
pub use storage::{AppendError, Consistency, ReadError, SegmentPage, Storage};
pub use waiting::{Lease, WAIT_CHECK, Waiting};
pub use writer::{Finish, Signals, Stopped, Writer};
