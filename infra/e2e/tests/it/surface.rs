//! All that is served: every route of the OpenAPI document, and how each is called for the belongings of one tenant.
//!
//! A route that the table in [`calls`] does not know fails the tests that walk over all of them, so nobody adds one
//! without saying what strangers and forgers must get from it.

mod belongings;
mod calls;
mod document;
mod person;
mod table;

pub(crate) use belongings::Belongings;
pub(crate) use calls::{Call, Entry, Foreign, entries};
pub(crate) use document::Access;
pub(crate) use person::{Answer, Header, Person};
