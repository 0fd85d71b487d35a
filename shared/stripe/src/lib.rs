//! The part of Stripe that we use: verified webhooks, and a client for a few requests.
//!
//! Nothing here knows tenants or credits. Two invariants hold:
//!
//! * **An event is a hint.** Events arrive more than once, out of order and late, in the form of the API version that the
//!   endpoint was created with. An [`Event`] therefore holds only the object that it is about. The current state of that
//!   object is fetched, in the form of the one [`VERSION`] that every request names.
//! * **A request can be sent again.** Every change carries an idempotency key derived from its purpose. After a crash
//!   between the request and our own write, the repeated request returns the same object.
//!
//! Decision 12 (`infra/decisions/0012-our-own-stripe-client.md`) explains why.

mod api;
mod client;
mod event;
mod object;
pub mod price;
mod secret;
pub mod signature;
#[cfg(feature = "testing")]
pub mod testing;

pub use api::{EventPage, NewCheckout, Sale};
pub use client::{Answer, Client, Error, InvalidBase, Method, Request, Transport, Unsent, VERSION, Web};
pub use event::{Event, Kind, Subject, Unreadable, is_id};
pub use object::{
    Charge, Checkout, Customer, Dispute, DisputeStatus, Invoice, InvoiceStatus, Line, List, Payment,
    PaymentOf, Period, Portal, Refund, Session, Subscription, SubscriptionStatus,
};
pub use price::Price;
pub use secret::{ApiKey, WebhookSecrets};
