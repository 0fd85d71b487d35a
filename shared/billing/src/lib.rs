//! Credits: the balances of tenants, the ledger of their changes, and the limits of plans. A deployment that does not charge
//! limits its tenants by their [`Quota`].
//!
//! Every tenant has one *account* row with its balances, and an append-only *ledger* of postings. A posting moves credits
//! between [`LedgerAccount`]s; its entries sum to zero, it has a cause, and a cause is posted once. The account changes in
//! the transaction that stores the posting. The sum of the ledger therefore equals the balances at every moment.
//!
//! Invariants, enforced by the conditions of the writes:
//!
//! * **The available balance is never negative.** A run holds credits before it starts, in the transaction that stores it,
//!   and settles in the transaction that ends it. Its price never exceeds its hold. A hold is in the account's row and
//!   becomes a posting when its run settles: this saves two writes, half of the cost of billing a turn.
//! * **The hot path reads nothing.** Holding and settling are arithmetic in DynamoDB. All other changes are rare: they read
//!   the account, decide in plain code and write under the version that they read.
//! * **Credits that expire first are spent first.** Spent credits are taken from the grants at the next change of a grant.

mod account;
mod api_error;
mod audit;
mod credits;
mod estimate;
pub mod hold;
mod ledger;
mod low;
mod metering;
mod plan;
mod posting;
mod quota;
mod streams;
#[cfg(feature = "testing")]
pub mod testing;
mod unverified;
mod versioned;

pub use account::{Account, Grant, LatestGrant, NEVER};
pub use credits::{Credits, InvalidSetting, PricedRequest};
pub use estimate::{HoldLimits, HoldTooSmall, Markup, hold_amount};
pub use hold::{Denied, Payer, Reservation, is_held};
pub use ledger::{AccountChange, Error, Ledger, PostOutcome, Quote, Recorded, Terms};
pub use low::{LowBalance, LowCredits};
pub use metering::Spent;
pub use plan::{Plan, Plans};
pub use posting::{Cause, LedgerAccount, Posting, PostingEntry};
pub use quota::Quota;
pub use streams::OpenStream;
pub use versioned::versioned;
