//! Entries of the ledger.

use sequent_core::{GrantId, MicroCredits, PostingId, ProjectId, RunId, Timestamp, UserId};
use sequent_tables::derived_id_at;
use serde::{Deserialize, Serialize};

/// An account of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LedgerAccount {
    /// The source of credits, and the target of refunds: the negative of all grants.
    Granted,
    /// Credits that runs can hold and spend.
    Available,
    /// Credits that are held for runs.
    Reserved,
    /// Credits that runs spent.
    Spent,
    /// Credits that were not spent in time.
    Expired,
    /// The source and target of adjustments by administrators: the negative of their sum.
    Adjustments,
}

/// A movement of credits to one account of the ledger, or from it if the amount is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PostingEntry {
    /// The account of the ledger.
    pub place: LedgerAccount,
    /// Amount in millionths of a credit.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub amount: MicroCredits,
}

/// The cause of a posting. A cause is posted once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Cause {
    /// The tenant signed up.
    SignUp,
    /// The end of a run.
    #[expect(missing_docs, reason = "plain data")]
    Run {
        run_id: RunId,
        user_id: UserId,
        project_id: ProjectId,
        /// Cost of the model calls in millionths of a US dollar.
        cost_micro_usd: u64,
    },
    /// A payment or a refund at Stripe.
    Stripe {
        /// Id of the object at Stripe, such as an invoice or a refund.
        object: String,
        /// Effect on the account, such as `grant` or `refund`.
        effect: String,
    },
    /// The expiry of a grant.
    #[expect(missing_docs, reason = "plain data")]
    Expiry {
        grant_id: GrantId,
        /// Number of the expiry, from 0. Credits that runs hold expire later, when the runs have released them.
        step: u32,
    },
    /// An administrator adjusted the account.
    Admin {
        /// Key of the adjustment. A second request with the same key changes nothing.
        key: String,
        /// Reason for people who read the ledger.
        reason: String,
    },
}

/// An entry of the ledger: one movement of credits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Posting {
    /// Id of the posting. Ids sort by time.
    pub id: PostingId,
    /// Time of the posting.
    pub at: Timestamp,
    /// Cause of the posting.
    pub cause: Cause,
    /// Movements. Their amounts sum to zero.
    pub entries: Vec<PostingEntry>,
    /// Amount that could not be taken: the part of a run's cost beyond its hold, or the part of a refund that is spent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub uncovered: MicroCredits,
}

impl Cause {
    /// Returns the name that is claimed for the posting. A run needs none, because its posting has the id of the run.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        Some(match self {
            Self::SignUp => "sign_up".to_owned(),
            Self::Run { .. } => return None,
            Self::Stripe { object, effect } => format!("stripe:{object}:{effect}"),
            Self::Expiry { grant_id, step } => format!("expiry:{grant_id}:{step}"),
            Self::Admin { key, .. } => format!("admin:{key}"),
        })
    }

    /// Returns the id of a grant for this cause at this time.
    #[must_use]
    pub fn grant_id(&self, at: Timestamp) -> GrantId {
        GrantId::from_bits(derived_id_at(at.millis(), self.name().unwrap_or_default()))
    }
}

impl Posting {
    /// A posting that moves amounts from one account of the ledger to another.
    pub(crate) fn moving(
        cause: Cause,
        at: Timestamp,
        moves: &[(LedgerAccount, LedgerAccount, MicroCredits)],
    ) -> Self {
        let legs = moves.iter().filter(|(_, _, amount)| *amount != MicroCredits::ZERO);
        let entries = legs.flat_map(|(from, to, amount)| {
            [PostingEntry { place: *from, amount: -*amount }, PostingEntry { place: *to, amount: *amount }]
        });
        let entries = entries.collect();
        Self { id: PostingId::new(), at, cause, entries, uncovered: MicroCredits::ZERO }
    }

    /// Returns the sum of the movements to `place`.
    #[must_use]
    pub fn to(&self, place: LedgerAccount) -> MicroCredits {
        self.entries.iter().filter(|entry| entry.place == place).map(|entry| entry.amount).sum()
    }

    /// Returns `true` if the amounts sum to zero, which is the case for every posting.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.entries.iter().map(|entry| entry.amount).sum::<MicroCredits>() == MicroCredits::ZERO
    }
}
