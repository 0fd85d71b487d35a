//! Payments at Stripe, and the plans and credits that they buy.
//!
//! Stripe is the truth about payments, the ledger is the truth about credits, and this crate keeps the ledger in step with
//! Stripe. An event leads to a [`SyncStripe`] job, which fetches the object of the event and applies its *current* state:
//!
//! * **The order of events does not matter**, nor how often they arrive. The row with the applied state is read before the
//!   fetch and written only if it has not changed since. Of two jobs, the one that fetched last wins.
//! * **One grant per payment.** Row, posting and balance change in one transaction. The cause of the posting is the invoice or
//!   the checkout, and the ledger accepts each cause once.
//! * **A refund takes back credits**, in the same proportion as the money. A disputed payment freezes the account until the
//!   bank has decided.
//! * **No event is missed for long.** [`ReconcileStripe`] lists the events that Stripe could not deliver and enqueues them.
//!
//! A customer is created before its first checkout and bound to its tenant by a row of our own. Nothing that a payer can
//! write at Stripe decides which account is credited.
//!
//! Decision 7 (`infra/decisions/0007-stripe-is-asked.md`) explains why.

mod api_error;
mod catalog;
mod customer;
mod jobs;
mod line;
mod payments;
mod purchase;
mod sell;
mod subscription;
mod sync;

pub use catalog::{Catalog, Pack, PlanOffer, PriceOffer, Unreadable};
pub use jobs::{ReconcileInput, ReconcileStripe, ReportUsage, SyncInput, SyncStripe};
pub use payments::{Error, Payments};
pub use purchase::Purchase;
pub use sell::{Article, Buyer};
pub use subscription::{Subscribed, Subscription};
pub use sync::Synced;
