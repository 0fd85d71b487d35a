//! Entries of the ledger.

use sequent_core::{GrantId, MicroCredits, PostingId, ProjectId, RunId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where credits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Where they come from, and what a refund gives back: the negative of all that was granted.
    Granted,
    /// To be spent.
    Available,
    /// Held for runs that have not ended.
    Reserved,
    /// Spent on runs.
    Spent,
    /// Not spent in time.
    Expired,
    /// Given and taken by administrators: the negative of what they gave.
    Adjustments,
}

/// Credits come to a place, or leave it if the amount is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Entry {
    /// The place.
    pub place: Place,
    /// How many.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub amount: MicroCredits,
}

/// Why credits moved. There is one posting of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Cause {
    /// The tenant is new.
    SignUp,
    /// A run has ended.
    Run {
        /// The run.
        run_id: RunId,
        /// Who started it.
        user_id: UserId,
        /// The conversation.
        project_id: ProjectId,
        /// What its model calls cost, in millionths of a US dollar.
        cost_micro_usd: u64,
    },
    /// Something was paid for, or paid back: the object at Stripe, and what became of it.
    Stripe {
        /// The object, such as an invoice or a refund.
        object: String,
        /// What it means, such as `grant` or `refund`.
        effect: String,
    },
    /// A grant's time is over.
    Expiry {
        /// The grant.
        grant_id: GrantId,
        /// Of the grant's expiries, which: what runs hold at its end expires when they have let go of it.
        step: u32,
    },
    /// An administrator decided so.
    Admin {
        /// Names the decision; the same one again is the same decision.
        key: String,
        /// Why.
        reason: String,
    },
}

/// A movement of credits, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Posting {
    /// Its id; they sort by time.
    pub id: PostingId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
    /// What moved; the amounts sum to zero.
    pub entries: Vec<Entry>,
    /// What could not be taken, because it was not there: the part of a run's cost beyond what was held for it, or of a
    /// refund's credits that were spent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub uncovered: MicroCredits,
}

impl Cause {
    /// What there is one posting of. A run needs no such name: its posting's id is its own.
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

    /// The id of a grant for this cause at this time: the same whoever makes it.
    #[must_use]
    pub fn grant_id(&self, at: Timestamp) -> GrantId {
        let digest = Sha256::digest(self.name().unwrap_or_default().as_bytes());
        let (head, _) = digest.split_first_chunk::<16>().expect("a digest has 32 bytes");
        let time = u128::try_from(at.millis()).unwrap_or(0) << 80;
        GrantId::from_bits(time | (u128::from_be_bytes(*head) & ((1 << 80) - 1)))
    }
}

impl Posting {
    /// A posting that moves `amount` from one place to another.
    pub(crate) fn moving(cause: Cause, at: Timestamp, moves: &[(Place, Place, MicroCredits)]) -> Self {
        let legs = moves.iter().filter(|(_, _, amount)| *amount != MicroCredits::ZERO);
        let entries = legs.flat_map(|(from, to, amount)| {
            [Entry { place: *from, amount: -*amount }, Entry { place: *to, amount: *amount }]
        });
        let entries = entries.collect();
        Self { id: PostingId::new(), at, cause, entries, uncovered: MicroCredits::ZERO }
    }

    /// What came to `place`.
    #[must_use]
    pub fn to(&self, place: Place) -> MicroCredits {
        self.entries.iter().filter(|entry| entry.place == place).map(|entry| entry.amount).sum()
    }

    /// Whether its amounts sum to zero, which those of every posting do.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.entries.iter().map(|entry| entry.amount).sum::<MicroCredits>() == MicroCredits::ZERO
    }
}
