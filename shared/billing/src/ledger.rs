//! The account and the ledger of a tenant in the table.

use sequent_core::{GrantId, MicroCredits, MicroUsd, PostingId, RunId, TenantId, TenantTrust, Timestamp};
use sequent_model::ModelName;
use sequent_tables::{
    Cancelled, CursorKey, Error as DataError, InvalidCursor, Label, Page, PageRequest, Retry, Row, Store,
    Transaction, Tries, Write, key,
};
use serde::{Deserialize, Serialize};

use crate::{
    Account, Cause, Denied, Markup, Plans, Posting, Reservation, audit,
    unverified::{self, UnverifiedLimit},
    versioned,
};

/// Sums of past days that are kept until they are removed together.
const PAST_DAYS: usize = 7;

/// The write of the row beside the account.
const BESIDE: Label = Label::new("beside");
/// The claim of a posting's cause, and the posting.
const CAUSE: Label = Label::new("cause");

/// An operation on the ledger failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account or its plan does not allow the run.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The cursor was not issued by this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// Other changes of the account came first again and again. The same call may succeed a moment later.
    #[error("the account is busy")]
    Busy,
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Self {
        match DataError::from(cancelled) {
            // Another change of the account was first.
            DataError::Conflict(_) | DataError::Throttled => Self::Busy,
            error => Self::Data(error),
        }
    }
}

/// The outcome of a posting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostOutcome {
    /// The posting is stored.
    Posted(Posting),
    /// The cause was posted before.
    Known,
}

/// A change of the account that is to be stored.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    /// The postings of the change.
    pub postings: Vec<Posting>,
    /// The change of another row in the same transaction: see [`versioned`]. Its condition decides about both.
    pub beside: Option<Write>,
}

/// The outcome of a change with a row beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The change is stored.
    Stored,
    /// The row beside it was changed since it was read. Nothing was stored.
    Moved,
    /// One of the causes was posted before. Nothing was stored.
    Known,
}

/// The ledger of a tenant.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Store,
    tenant: TenantId,
}

/// The terms on which a deployment charges for runs.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The plans by name.
    pub plans: Plans,
    /// The price of a run in relation to its cost.
    pub markup: Markup,
    /// Hold of a run whose request has no budget.
    pub usual_hold: MicroCredits,
    /// Grant to a new tenant, as soon as it is trusted. In a deployment without mail it is granted at once.
    pub welcome: MicroCredits,
    /// Sum of the grants to new tenants of a day that are not trusted.
    pub unverified_usd: Option<MicroUsd>,
    /// The spent credits are reported to a meter.
    pub metered: bool,
}

/// The expected cost of a run.
#[derive(Debug, Clone, Copy)]
pub struct Quote<'a> {
    /// The model that the request names. `None` is the deployment's default, which every plan includes.
    pub model: Option<&'a str>,
    /// The models that the agent of the run names for the case that the first cannot answer.
    pub fallbacks: &'a [ModelName],
    /// Estimated cost of the first model call.
    pub first_call: MicroUsd,
    /// Largest cost of the model calls that the request allows.
    pub budget: Option<MicroUsd>,
}

/// The row that claims a cause.
#[derive(Serialize, Deserialize)]
struct CauseClaim {
    posting: sequent_core::PostingId,
}

impl Ledger {
    /// The ledger of `tenant`.
    #[must_use]
    pub fn new(store: Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Reads the account. A tenant without one gets an account with the welcome grant of `terms`.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn account(&self, terms: &Terms) -> Result<Account, Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            match self.read_or_open(terms, &mut tries).await {
                Err(error) if is_transient(&error) && tries.pause().await => {}
                outcome => return outcome,
            }
        }
    }

    async fn read_or_open(&self, terms: &Terms, tries: &mut Tries) -> Result<Account, Error> {
        let now = Timestamp::now();
        if let Some(account) = self.stored().await? {
            let is_welcome = account.welcome_due && self.is_welcome(terms, now).await?;
            return if is_welcome { self.welcome(terms.welcome).await } else { Ok(account) };
        }
        let mut account = Account::new(Plans::FREE);
        let is_welcome = self.is_welcome(terms, now).await?;
        let welcome = is_welcome.then(|| account.grant(Cause::SignUp, terms.welcome, None, now));
        account.welcome_due = terms.welcome > MicroCredits::ZERO && !is_welcome;
        let row = Row::new(&key::account(self.tenant), &account)?;
        let transaction = self.post_all(Transaction::new().write(Write::insert(row)), welcome.as_slice())?;
        self.store.commit_within(transaction, tries).await?;
        Ok(account)
    }

    /// Returns `true` if the tenant may have the grant to a new tenant now. A stranger can invent any number of addresses.
    async fn is_welcome(&self, terms: &Terms, now: Timestamp) -> Result<bool, Error> {
        if terms.welcome <= MicroCredits::ZERO {
            return Ok(false);
        }
        match (unverified::trust_in(&self.store, self.tenant).await?, terms.unverified_usd) {
            (Some(TenantTrust::Unverified), _) => Ok(false),
            (Some(TenantTrust::Unverifiable), Some(limit)) => {
                let cost = terms.markup.cost(terms.welcome);
                Ok(UnverifiedLimit(limit).take(&self.store, cost, now).await?)
            }
            (None | Some(TenantTrust::Trusted | TenantTrust::Unverifiable), _) => Ok(true),
        }
    }

    /// Makes the grant that the account is due.
    async fn welcome(&self, amount: MicroCredits) -> Result<Account, Error> {
        let change = |account: &mut Account, now| {
            let is_due = std::mem::take(&mut account.welcome_due);
            let posting = is_due.then(|| account.grant(Cause::SignUp, amount, None, now));
            AccountChange { postings: posting.into_iter().collect(), beside: None }
        };
        self.change(change).await?;
        self.stored().await?.ok_or(Error::Busy)
    }

    /// Decides which credits to hold for a run. The start of the run stores the hold, under conditions of its own.
    ///
    /// # Errors
    /// [`Error::Denied`], or an error of the table.
    pub async fn reserve(
        &self,
        terms: &Terms,
        quote: Quote<'_>,
        now: Timestamp,
    ) -> Result<Reservation, Error> {
        let mut account = self.account(terms).await?;
        // Sums of past days make the row larger and every write more expensive.
        if account.next_expiry <= now.millis() || account.old_days().count() > PAST_DAYS {
            account = self.expire(now).await?;
        }
        Ok(Reservation::of(&account, terms, quote, now)?)
    }

    /// Returns `true` if the end of the run `live` can make room for a run that the account does not allow now: if it would
    /// allow it after `live` had ended and cost nothing. Returns `false` if the account holds no credits for `live`.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn has_room_without(
        &self,
        live: RunId,
        terms: &Terms,
        quote: Quote<'_>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let account = self.stored().await?.and_then(|account| account.without(live));
        Ok(account.is_some_and(|account| Reservation::of(&account, terms, quote, now).is_ok()))
    }

    /// Returns `true` if the account holds credits for the run.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn holds_for(&self, run: RunId) -> Result<bool, Error> {
        Ok(self.stored().await?.is_some_and(|account| account.holds.contains_key(&run)))
    }

    /// Grants credits.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn grant(
        &self,
        cause: Cause,
        amount: MicroCredits,
        expires: Option<Timestamp>,
    ) -> Result<PostOutcome, Error> {
        self.post(|account, now| account.grant(cause.clone(), amount, expires, now)).await
    }

    /// Takes back credits that were granted, as far as the account has them.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn refund(
        &self,
        of: GrantId,
        cause: Cause,
        amount: MicroCredits,
    ) -> Result<PostOutcome, Error> {
        self.post(|account, now| account.refund(of, cause.clone(), amount, now)).await
    }

    /// Adds credits, or takes them as far as the account has them.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn adjust(&self, cause: Cause, amount: MicroCredits) -> Result<PostOutcome, Error> {
        self.post(|account, now| account.adjust(cause.clone(), amount, now)).await
    }

    /// Lets due grants expire.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn expire(&self, now: Timestamp) -> Result<Account, Error> {
        let change = |account: &mut Account, _| AccountChange { postings: account.expire(now), beside: None };
        self.change(change).await?;
        self.stored().await?.ok_or(Error::Busy)
    }

    /// Reads the first page of the postings whose id is not later than `until`, newest first. [`postings`](Self::postings)
    /// continues it.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn postings_until(&self, until: Timestamp, limit: Option<u32>) -> Result<Page<Posting>, Error> {
        // An id begins with its time in milliseconds, and 80 random bits follow (ULID).
        let next = PostingId::from_bits(u128::try_from(until.millis() + 1).unwrap_or(0) << 80);
        let request = PageRequest::new(key::ledger(self.tenant))
            .limit(limit)
            .starting_after(&key::posting(self.tenant, next));
        Ok(self.store.page(&request).await?)
    }

    /// Reads a page of the ledger, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or an error of the table.
    pub async fn postings(
        &self,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Posting>, Error> {
        let request = PageRequest::new(key::ledger(self.tenant)).limit(limit).cursor(cursors, cursor)?;
        Ok(self.store.page(&request).await?)
    }

    async fn stored(&self) -> Result<Option<Account>, Error> {
        Ok(self.store.get(&key::account(self.tenant)).await?)
    }

    /// Changes the account together with a row beside it. `change` may be called more than once.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn record(
        &self,
        change: impl Fn(&mut Account, Timestamp) -> AccountChange,
    ) -> Result<Recorded, Error> {
        self.change(change).await.map(|(recorded, _)| recorded)
    }

    async fn post(&self, change: impl Fn(&mut Account, Timestamp) -> Posting) -> Result<PostOutcome, Error> {
        let change =
            |account: &mut Account, now| AccountChange { postings: vec![change(account, now)], beside: None };
        let (recorded, postings) = self.change(change).await?;
        let posted = postings.into_iter().next().filter(|_| recorded == Recorded::Stored);
        Ok(posted.map_or(PostOutcome::Known, PostOutcome::Posted))
    }

    /// Reads the account, lets `change` decide, and writes the account if it still has the version that was read.
    async fn change(
        &self,
        change: impl Fn(&mut Account, Timestamp) -> AccountChange,
    ) -> Result<(Recorded, Vec<Posting>), Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            match self.try_change(&change, &mut tries).await {
                Err(error) if is_transient(&error) && tries.pause().await => {}
                outcome => return outcome,
            }
        }
    }

    async fn try_change(
        &self,
        change: impl Fn(&mut Account, Timestamp) -> AccountChange,
        tries: &mut Tries,
    ) -> Result<(Recorded, Vec<Posting>), Error> {
        let stored = self.stored().await?;
        let before = stored.clone().unwrap_or_else(|| Account::new(Plans::FREE));
        let now = Timestamp::now();
        let mut account = before.clone();
        let AccountChange { postings, beside } = change(&mut account, now);
        // The version always changes, also if nothing else does.
        account.version = before.version + 1;
        let write = versioned(&key::account(self.tenant), stored.as_ref(), &account)?;
        let mut transaction = Transaction::new().write(write);
        if let Some(beside) = beside {
            transaction = transaction.write(beside).label(BESIDE);
        }
        for entry in audit::entries(&before, &account, &postings, now) {
            transaction = transaction.write(Write::put(entry.row(self.tenant)?));
        }
        match self.store.commit_within(self.post_all(transaction, &postings)?, tries).await {
            Ok(()) => Ok((Recorded::Stored, postings)),
            // The cause was posted before, whether or not the account was changed since it was read.
            Err(cancelled) if cancelled.refused(CAUSE) => Ok((Recorded::Known, Vec::new())),
            Err(cancelled) if cancelled.refused(BESIDE) => Ok((Recorded::Moved, Vec::new())),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Adds the writes of postings: each row, and the claim of its cause.
    fn post_all(&self, mut transaction: Transaction, postings: &[Posting]) -> Result<Transaction, DataError> {
        for posting in postings {
            let row = Row::new(&key::posting(self.tenant, posting.id), posting)?;
            transaction = transaction.write(Write::put(row));
            if let Some(name) = posting.cause.name() {
                let key = key::posting_cause(self.tenant, &name);
                let claim = Row::new(&key, &CauseClaim { posting: posting.id })?;
                transaction = transaction.write(Write::insert(claim)).label(CAUSE);
            }
        }
        Ok(transaction)
    }
}

/// Returns `true` if a new attempt may succeed. It is safe after an ambiguous outcome, too: the version of the account
/// and the cause of each posting keep a change from being applied twice.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Busy => true,
        Error::Data(error) => error.is_transient(),
        _ => false,
    }
}
