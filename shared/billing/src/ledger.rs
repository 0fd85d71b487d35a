//! The account and the ledger of a tenant in the table.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{GrantId, MicroCredits, TenantId, Timestamp};
use sequent_event::Hold;
use sequent_tables::{
    Cancelled, CursorKey, Error as DataError, InvalidCursor, Page, PageRequest, Row, Store, Transaction, key,
};
use serde::{Deserialize, Serialize};

use crate::{Account, Cause, Denied, Held, Markup, Plans, Posting, audit, held_for, hold};

/// How often a change is tried against others at the same account: with the pauses between, some seconds.
const TRIES: u32 = 40;
/// Days that are forgotten together.
const SOME_DAYS: usize = 7;
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// The ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The cursor is not one of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// Too many others are at the account.
    #[error("the account is busy")]
    Busy,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was posted.
    Posted(Posting),
    /// Its cause has been posted before.
    Known,
}

/// What a change comes to.
#[derive(Debug, Clone, Default)]
pub struct Changed {
    /// What moved.
    pub postings: Vec<Posting>,
    /// A row that is written with it.
    pub beside: Option<Beside>,
}

/// A row that is written with a change of the account, if it is as it was seen.
#[derive(Debug, Clone)]
pub struct Beside {
    /// The row as it will be. Its attribute `version` is another one than that of every row before it.
    pub row: Row,
    /// The `version` that was seen; none if there was no row.
    pub seen: Option<u64>,
}

/// What became of a change with a row beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// All of it is stored.
    Stored,
    /// The row beside it is not as it was seen.
    Moved,
    /// One of the causes was posted before.
    Known,
}

/// A tenant's ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Store,
    tenant: TenantId,
}

/// What a deployment asks of runs.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The plans.
    pub plans: Plans,
    /// What people pay for what we pay.
    pub markup: Markup,
    /// What is held for a run whose request says nothing of its cost.
    pub usual_hold: MicroCredits,
    /// What a new tenant is given.
    pub welcome: MicroCredits,
    /// Whether what runs spend is reported to whoever bills by use.
    pub metered: bool,
}

/// What a run is expected to do.
#[derive(Debug, Clone, Copy)]
pub struct Quote<'a> {
    /// The model that was asked for; none is the deployment's own, which every plan has.
    pub model: Option<&'a str>,
    /// What the first call is estimated to cost us.
    pub first_call: sequent_core::MicroUsd,
    /// The most that the request allows its calls to cost us.
    pub budget: Option<sequent_core::MicroUsd>,
}

/// The row of a cause.
#[derive(Serialize, Deserialize)]
struct Caused {
    posting: sequent_core::PostingId,
}

impl Ledger {
    /// The ledger of `tenant`.
    #[must_use]
    pub fn new(store: Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// The account. A tenant that has none is given one, with what `terms` welcome it with.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn account(&self, terms: &Terms) -> Result<Account, Error> {
        if let Some(account) = self.stored().await? {
            return Ok(account);
        }
        let now = Timestamp::now();
        let mut account = Account::new(Plans::FREE);
        let welcome = (terms.welcome > MicroCredits::ZERO)
            .then(|| account.grant(Cause::SignUp, terms.welcome, None, now));
        let writes = Transaction::new().insert(&self.store, Row::new(&key::account(self.tenant), &account)?);
        let writes = self.posted(writes, welcome.as_slice())?;
        for attempt in 0..TRIES {
            match writes.clone().run(&self.store).await {
                Ok(()) => return Ok(account),
                Err(error) if error.is_transient() => pause(attempt).await,
                Err(Cancelled::Failed(error)) => return Err(error.into()),
                // Another request was first.
                Err(Cancelled::Reasons(_)) => match self.stored().await? {
                    Some(account) => return Ok(account),
                    None => pause(attempt).await,
                },
            }
        }
        Err(Error::Busy)
    }

    /// What to hold for a run. The start of the run has to take it, under conditions of its own.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn quote(
        &self,
        terms: &Terms,
        quote: Quote<'_>,
        now: Timestamp,
    ) -> Result<Result<Held, Denied>, Error> {
        let mut account = self.account(terms).await?;
        // Sums of days gone by would make every write dearer.
        if account.next_expiry <= now.millis() || account.old_days().count() > SOME_DAYS {
            account = self.expire(now).await?;
        }
        let plan = terms.plans.get(&account.plan);
        if let Some(model) = quote.model.filter(|model| !plan.has_model(model)) {
            return Ok(Err(Denied::Model { plan: account.plan, model: model.to_owned() }));
        }
        let (first, budget) =
            (terms.markup.credits(quote.first_call), quote.budget.map(|most| terms.markup.credits(most)));
        let amount = match held_for(first, (terms.usual_hold, plan.per_run), budget, account.available) {
            Ok(amount) => amount,
            Err(needed) => {
                let hold = hold::hold(needed, terms.markup, now);
                let few = Denied::Insufficient { needed, available: account.available };
                return Ok(Err(hold::denied(&hold, &account, plan).unwrap_or(few)));
            }
        };
        let hold = Hold { metered: terms.metered, ..hold::hold(amount, terms.markup, now) };
        Ok(match hold::denied(&hold, &account, plan) {
            Some(denied) => Err(denied),
            None => {
                let first_today = !account.days.contains_key(&hold.day);
                Ok(Held { hold, plan: plan.clone(), first_today })
            }
        })
    }

    /// Grants credits.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn grant(
        &self,
        cause: Cause,
        amount: MicroCredits,
        expires: Option<Timestamp>,
    ) -> Result<Outcome, Error> {
        self.post(|account, now| account.grant(cause.clone(), amount, expires, now)).await
    }

    /// Takes credits back that were granted, as far as they are there.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn refund(&self, of: GrantId, cause: Cause, amount: MicroCredits) -> Result<Outcome, Error> {
        self.post(|account, now| account.refund(of, cause.clone(), amount, now)).await
    }

    /// Gives credits, or takes them as far as they are there.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn adjust(&self, cause: Cause, amount: MicroCredits) -> Result<Outcome, Error> {
        self.post(|account, now| account.adjust(cause.clone(), amount, now)).await
    }

    /// Lets expire what is due.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn expire(&self, now: Timestamp) -> Result<Account, Error> {
        let change = |account: &mut Account, _| Changed { postings: account.expire(now), beside: None };
        self.change(change).await?;
        self.stored().await?.ok_or(Error::Busy)
    }

    /// A page of the ledger, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn postings(
        &self,
        (cursors, cursor): (&CursorKey, Option<&str>),
        limit: Option<u32>,
    ) -> Result<Page<Posting>, Error> {
        let request = PageRequest::new(key::ledger(self.tenant)).limit(limit).cursor(cursors, cursor)?;
        Ok(self.store.page(&request).await?)
    }

    async fn stored(&self) -> Result<Option<Account>, Error> {
        Ok(self.store.get(&key::account(self.tenant)).await?)
    }

    /// Changes the account, with a row beside it. `change` may be called more than once.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn record(
        &self,
        change: impl Fn(&mut Account, Timestamp) -> Changed,
    ) -> Result<Recorded, Error> {
        self.change(change).await.map(|(recorded, _)| recorded)
    }

    async fn post(&self, change: impl Fn(&mut Account, Timestamp) -> Posting) -> Result<Outcome, Error> {
        let posted = self
            .change(|account, now| Changed { postings: vec![change(account, now)], beside: None })
            .await?;
        Ok(match posted {
            (Recorded::Stored, postings) => {
                postings.into_iter().next().map_or(Outcome::Known, Outcome::Posted)
            }
            (Recorded::Known | Recorded::Moved, _) => Outcome::Known,
        })
    }

    /// Reads the account, has it changed, and writes it under the version that was read.
    async fn change(
        &self,
        change: impl Fn(&mut Account, Timestamp) -> Changed,
    ) -> Result<(Recorded, Vec<Posting>), Error> {
        for attempt in 0..TRIES {
            let stored = self.stored().await?;
            let before = stored.clone().unwrap_or_else(|| Account::new(Plans::FREE));
            let (mut account, now) = (before.clone(), Timestamp::now());
            let Changed { postings, beside } = change(&mut account, now);
            // Its own change, whatever else it was: what is written under the version that was read differs from it.
            account.version = before.version + 1;
            let row = Row::new(&key::account(self.tenant), &account)?;
            let writes = self.replace(Transaction::new(), row, stored.map(|account| account.version));
            let writes = match beside.clone() {
                Some(Beside { row, seen }) => self.replace(writes, row, seen),
                None => writes,
            };
            let entries = audit::entries((&before, &account), &postings, now);
            let writes = entries.iter().try_fold(writes, |writes, entry| {
                Ok::<_, DataError>(writes.put(&self.store, entry.row(self.tenant)?))
            })?;
            let causes = writes.len()..writes.len() + 2 * postings.len();
            match self.posted(writes, &postings)?.run(&self.store).await {
                Ok(()) => return Ok((Recorded::Stored, postings)),
                // Whether the account changed as well or not: the cause was there first.
                Err(cancelled) if causes.clone().any(|n| cancelled.condition_failed(n)) => {
                    return Ok((Recorded::Known, Vec::new()));
                }
                Err(cancelled) if beside.is_some() && cancelled.condition_failed(1) => {
                    return Ok((Recorded::Moved, Vec::new()));
                }
                Err(Cancelled::Failed(error)) if !error.is_transient() => return Err(error.into()),
                Err(_) => pause(attempt).await,
            }
        }
        Err(Error::Busy)
    }

    /// Writes a row in the place of the one whose version was seen.
    fn replace(&self, writes: Transaction, row: Row, seen: Option<u64>) -> Transaction {
        match seen {
            None => writes.insert(&self.store, row),
            Some(version) => {
                let version = vec![(":version", Value::N(version.to_string()))];
                writes.put_if(&self.store, row, "version = :version", version)
            }
        }
    }

    /// The writes of postings: each, and the claim of its cause.
    fn posted(&self, writes: Transaction, postings: &[Posting]) -> Result<Transaction, DataError> {
        postings.iter().try_fold(writes, |writes, posting| {
            let writes = writes.put(&self.store, Row::new(&key::posting(self.tenant, posting.id), posting)?);
            Ok(match posting.cause.name() {
                Some(name) => {
                    let place = key::posting_cause(self.tenant, &name);
                    writes.insert(&self.store, Row::new(&place, &Caused { posting: posting.id })?)
                }
                None => writes,
            })
        })
    }
}

/// Waits before the next attempt, longer each time, and never as long as others do (full jitter).
async fn pause(attempt: u32) {
    let most = Duration::from_millis(10).saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE);
    tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
}
