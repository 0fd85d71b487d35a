//! What is paid at Stripe, and what it buys here: plans and credits.
//!
//! Stripe is the truth about payments, the ledger about credits, and this crate keeps the second in step with the first.
//! An event leads to a [`SyncStripe`] job, which looks up what the event is about and takes over how it *stands now*:
//!
//! * **The order of events does not matter**, nor how often they come. The row that says what has been taken over is read
//!   before Stripe is asked and written only if it has not changed since, so that of two jobs the one that asked last
//!   wins.
//! * **One grant per payment.** Row, posting and balance are one transaction; the posting's cause is the invoice or the
//!   checkout, and the ledger knows each cause once.
//! * **What is given back is taken back**: the part of the credits that the returned part of the money had bought. A
//!   payment in dispute freezes the account until the bank has decided.
//! * **Nothing is missed for long.** [`ReconcileStripe`] lists what Stripe could not deliver and has it looked at.
//!
//! Customers are made before their first checkout and bound to their tenant by a row of our own, so nothing that a payer
//! can write at Stripe says whose account is credited.

mod catalog;
mod customer;
mod jobs;
mod payments;
#[cfg(feature = "http")]
mod problem;
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
