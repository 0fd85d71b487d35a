//! Credits: who has how many, what they were spent on, and what a plan allows.
//!
//! Every tenant has one *account* row with its balances, and a *ledger* of postings that is only appended to. A posting
//! moves credits between [`Place`]s; its entries sum to zero, it cites its cause, and there is one posting of a cause,
//! however often the cause is heard of. The account changes in the transaction that stores the posting, so that adding
//! up the ledger gives the balances, at every moment.
//!
//! The invariants, which the account's conditions hold:
//!
//! * What is available is never negative. A run takes a *hold* before it begins, in the transaction that stores it, and
//!   settles in the transaction that ends it: it never costs more than was held for it. A hold is a posting that has not
//!   been written yet: it lives in the account's row until its run settles, because two writes less are half the price
//!   of a turn's billing.
//! * The hot path, holding and settling, is arithmetic in DynamoDB and reads nothing. Everything else, which is rare,
//!   reads the account, decides in plain code and writes under the version that it read.
//! * Credits that expire first are spent first. What was spent is taken from the grants when one is next looked at.

mod account;
mod api_error;
mod audit;
mod desk;
mod estimate;
pub mod hold;
mod ledger;
mod metering;
mod plan;
mod posting;
#[cfg(feature = "testing")]
pub mod testing;

pub use account::{Account, Grant, NEVER};
pub use desk::{Asked, Desk, Unreadable};
pub use estimate::{Markup, held_for};
pub use hold::{Denied, Held, Payer};
pub use ledger::{Beside, Changed, Error, Ledger, Outcome, Quote, Recorded, Terms};
pub use metering::Spent;
pub use plan::{Plan, Plans};
pub use posting::{Cause, Entry, Place, Posting};
