//! Every route of the OpenAPI document, and the calls of each for the belongings of one tenant.
//!
//! A route that is missing from the table in [`calls`] fails the tests, so each new route needs an entry that
//! states the expected response to strangers and forgers.

mod belongings;
mod calls;
mod document;
mod person;
mod table;

pub(crate) use belongings::Belongings;
pub(crate) use calls::{Call, Entry, Foreign, entries};
pub(crate) use document::Access;
pub(crate) use person::{Answer, Header, Person};
