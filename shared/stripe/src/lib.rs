//! Stripe, as far as we use it: what it sends us and whether it is really from there, and what it says when asked.
//!
//! Nothing here knows of tenants or credits. Two things hold:
//!
//! * **An event is a hint.** Events come more than once, out of order, late, and in the form of whichever API version the
//!   endpoint was made with. So an [`Event`] tells which object it is about and no more; how that object stands now is
//!   asked for, in the form of the one [`VERSION`] that every request names.
//! * **A request can be sent again.** Whatever changes something carries an idempotency key that is made from what it is
//!   for, so that a crash between the request and our own write leads to the same object.

mod api;
mod client;
mod event;
mod object;
mod secret;
pub mod signature;
#[cfg(feature = "testing")]
pub mod testing;

pub use api::{NewCheckout, Sale};
pub use client::{Answer, Client, Error, InvalidBase, Method, Request, Transport, Unsent, VERSION, Web};
pub use event::{Event, Kind, Subject, Unreadable, is_id};
pub use object::{
    Charge, Checkout, Customer, Dispute, DisputeStatus, Invoice, InvoiceStatus, Line, List, Payment,
    PaymentOf, Period, Portal, Price, Refund, Session, Subscription, SubscriptionStatus,
};
pub use secret::{ApiKey, WebhookSecrets};
