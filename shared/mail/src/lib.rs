//! Mail to users, through Amazon SES: the jobs `send_mail` and `send_notice`.
//!
//! A request for a mail answers in the same way, and does the same work, whether the account exists or not. It only enqueues
//! the job, which makes the one-time token, so no row of a job contains one, and no address.

mod job;
mod letter;
mod ses;

pub use job::{SendMail, SendNotice};
pub use ses::{Error, Ses};

#[cfg(test)]
mod tests;
