//! A tenant's subscriptions: the plan that they give, and the step from the applied state to the state at Stripe.

use sequent_billing::{Account, Cause, Plans, Posting};
use sequent_core::{MicroCredits, Timestamp};
use sequent_stripe::SubscriptionStatus;
use serde::{Deserialize, Serialize};

use crate::{Catalog, sell::TRIAL_CREDITS};

/// The applied state of a tenant's subscriptions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// Incremented by every change.
    pub version: u64,
    /// The subscription that decides the plan, or the last one that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
    /// Id of the subscription whose trial received credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<String>,
}

/// A subscription in API responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Subscription {
    /// Id at Stripe.
    pub id: String,
    /// Name of the plan; null if the catalog does not have it.
    pub plan: Option<String>,
    /// Status at Stripe. With `past_due`, a payment failed and is retried, and the plan stays. With `unpaid`, `paused` and
    /// `canceled` the plan has ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "active"))]
    pub status: SubscriptionStatus,
    /// End of the period that is paid for.
    pub current_period_end: Option<Timestamp>,
    /// Scheduled end of a cancelled subscription.
    pub cancels_at: Option<Timestamp>,
    /// End of the trial.
    pub trial_end: Option<Timestamp>,
    /// Creation time at Stripe.
    pub created_at: Timestamp,
}

/// The changes that bring an account to the state at Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionStep {
    plan: String,
    trial: Option<(Cause, MicroCredits, Timestamp)>,
    after: Subscribed,
}

impl Subscribed {
    /// Returns the step that gives the account what `all`, its subscriptions at Stripe, entitle it to. Returns `None` if
    /// nothing has to change.
    pub(crate) fn next(
        &self,
        all: &[sequent_stripe::Subscription],
        catalog: &Catalog,
        plan: &str,
    ) -> Option<SubscriptionStep> {
        let shown = |one: &sequent_stripe::Subscription| Subscription::of(one, catalog);
        // A subscription that gives a plan ranks before one that does not, and a later one before an earlier one.
        let rank = |one: &&sequent_stripe::Subscription| {
            let gives = one.status.entitles();
            (gives && shown(one).plan.is_some(), gives, !one.status.has_ended(), one.created, one.id.clone())
        };
        let counts = all.iter().max_by_key(rank);
        let entitled = counts.filter(|one| one.status.entitles()).and_then(|one| shown(one).plan);
        // A tenant gets one trial, however many checkout pages that offer one were open.
        let first = all
            .iter()
            .filter(|_| self.tried.is_none())
            .filter_map(Trial::of)
            .min_by_key(|trial| trial.order());
        let tried = self.tried.clone().or_else(|| first.as_ref().map(|trial| trial.subscription.to_owned()));
        let trial = first.map(|trial| (trial.cause(), trial.credits, trial.end));
        let subscription = counts.map(shown).or_else(|| self.subscription.clone().map(Subscription::ended));
        let after = Self { version: self.version + 1, subscription, tried };
        let entitled = entitled.unwrap_or_else(|| Plans::FREE.to_owned());
        if (Self { version: self.version, ..after.clone() }) == *self && entitled == plan {
            return None;
        }
        Some(SubscriptionStep { plan: entitled, trial, after })
    }
}

/// The credits of a trial, as promised at the sale.
struct Trial<'a> {
    subscription: &'a str,
    created: i64,
    credits: MicroCredits,
    end: Timestamp,
}

impl<'a> Trial<'a> {
    /// Reads the promise from the metadata. Later changes of the subscription or of the catalog do not affect it.
    fn of(one: &'a sequent_stripe::Subscription) -> Option<Self> {
        let credits = MicroCredits(one.metadata.get(TRIAL_CREDITS)?.parse().ok()?);
        let end = Timestamp::from_millis(one.trial_end?.saturating_mul(1000));
        let trial = Self { subscription: &one.id, created: one.created, credits, end };
        (credits > MicroCredits::ZERO).then_some(trial)
    }

    fn order(&self) -> (i64, &'a str) {
        (self.created, self.subscription)
    }

    fn cause(&self) -> Cause {
        Cause::Stripe { object: self.subscription.to_owned(), effect: "trial".to_owned() }
    }
}

impl SubscriptionStep {
    /// Applies the step to the account. Returns the postings and the new applied state.
    pub(crate) fn apply(&self, account: &mut Account, now: Timestamp) -> (Vec<Posting>, Subscribed) {
        account.plan.clone_from(&self.plan);
        let grant = |(cause, credits, expires): &(Cause, MicroCredits, Timestamp)| {
            account.grant(cause.clone(), *credits, Some(*expires), now)
        };
        (self.trial.iter().map(grant).collect(), self.after.clone())
    }
}

impl Subscription {
    /// Returns the state of a subscription that Stripe does not list any more.
    fn ended(self) -> Self {
        Self { status: SubscriptionStatus::Canceled, cancels_at: None, ..self }
    }

    fn of(one: &sequent_stripe::Subscription, catalog: &Catalog) -> Self {
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let end = one.items.data.first().map(|item| at(item.current_period_end));
        let cancels_at = one.cancel_at.map(at).or_else(|| end.filter(|_| one.cancel_at_period_end));
        Self {
            id: one.id.clone(),
            plan: price(one).and_then(|price| catalog.plan_of(price)).map(|(name, _)| name.to_owned()),
            status: one.status,
            current_period_end: end,
            cancels_at,
            trial_end: one.trial_end.map(at),
            created_at: at(one.created),
        }
    }
}

fn price(one: &sequent_stripe::Subscription) -> Option<&str> {
    one.items.data.first().map(|item| item.price.id.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalog() -> Catalog {
        let json = r#"{"plans": {"pro": {"prices": {"m": {"price": "price_pro", "credits": 5}}},
                       "team": {"prices": {"m": {"price": "price_team", "credits": 5}}}}}"#;
        Catalog::from_json(json).unwrap()
    }

    fn one(id: &str, price: &str, status: &str, created: i64) -> sequent_stripe::Subscription {
        let value = json!({
            "id": id, "customer": "cus_1", "status": status, "created": created, "cancel_at": null, "trial_end": null,
            "cancel_at_period_end": false,
            "items": {"data": [{"price": {"id": price}, "current_period_end": 2000}], "has_more": false},
        });
        serde_json::from_value(value).unwrap()
    }

    fn plan(all: &[sequent_stripe::Subscription]) -> String {
        Subscribed::default().next(all, &catalog(), "").unwrap().plan
    }

    #[test]
    fn the_plan_is_that_of_the_latest_subscription_that_gives_one() {
        for (status, expected) in [
            ("active", "pro"),
            ("trialing", "pro"),
            ("past_due", "pro"),
            ("incomplete", "free"),
            ("incomplete_expired", "free"),
            ("unpaid", "free"),
            ("paused", "free"),
            ("canceled", "free"),
            ("something_new", "free"),
        ] {
            assert_eq!(plan(&[one("sub_1", "price_pro", status, 1)]), expected, "{status}");
        }
        let pro = one("sub_1", "price_pro", "active", 1);
        let team = one("sub_2", "price_team", "active", 1);
        assert_eq!(plan(&[pro.clone(), team.clone()]), "team");
        assert_eq!(plan(&[team, pro.clone()]), "team", "the order of the list does not matter");
        let later = |price: &str, status: &str| one("sub_3", price, status, 9);
        assert_eq!(plan(&[pro.clone(), later("price_team", "canceled")]), "pro");
        assert_eq!(plan(&[pro, later("price_unknown", "active")]), "pro");
        assert_eq!(plan(&[later("price_unknown", "active")]), "free");
        assert_eq!(plan(&[]), "free");
    }

    #[test]
    fn a_trial_is_given_its_credits_once() {
        let mut account = Account::new(Plans::FREE);
        let mut tried = one("sub_1", "price_pro", "trialing", 1);
        tried.trial_end = Some(4_000_000_000);
        tried.metadata.insert(TRIAL_CREDITS.to_owned(), "7".to_owned());
        let row = Subscribed::default();
        let catalog = catalog();
        let now = Timestamp::from_millis(5);
        let step = row.next(std::slice::from_ref(&tried), &catalog, "free").unwrap();
        let (postings, row) = step.apply(&mut account, now);
        assert_eq!((postings.len(), account.available, account.plan.as_str()), (1, MicroCredits(7), "pro"));
        assert_eq!(row.next(std::slice::from_ref(&tried), &catalog, "pro"), None);
        tried.status = SubscriptionStatus::Active;
        let step = row.next(std::slice::from_ref(&tried), &catalog, "pro").unwrap();
        assert!(step.trial.is_none());
        let mut again = one("sub_2", "price_pro", "trialing", 2);
        again.trial_end = Some(5_000_000_000);
        again.metadata.insert(TRIAL_CREDITS.to_owned(), "7".to_owned());
        assert!(row.next(&[again.clone()], &catalog, "pro").unwrap().trial.is_none(), "no second trial");
        let (_, both) =
            Subscribed::default().next(&[again, tried], &catalog, "free").unwrap().apply(&mut account, now);
        assert_eq!(both.tried.as_deref(), Some("sub_1"), "the first of them");
    }

    #[test]
    fn a_subscription_that_is_not_listed_any_more_has_ended_and_is_kept() {
        let mut ends = one("sub_1", "price_pro", "active", 1);
        ends.cancel_at_period_end = true;
        let subscription = Some(Subscription::of(&ends, &catalog()));
        let row = Subscribed { version: 3, subscription, tried: None };
        let step = row.next(&[], &catalog(), "pro").unwrap();
        assert_eq!(step.plan, "free");
        let shown = step.after.subscription.clone().unwrap();
        assert_eq!(
            (shown.id.as_str(), shown.status, shown.cancels_at),
            ("sub_1", SubscriptionStatus::Canceled, None)
        );
        assert_eq!(step.after.next(&[], &catalog(), "free"), None, "once");
    }

    #[test]
    fn a_cancellation_has_its_date() {
        let mut ends = one("sub_1", "price_pro", "active", 1);
        ends.cancel_at_period_end = true;
        let shown = Subscription::of(&ends, &catalog());
        assert_eq!(shown.cancels_at, Some(Timestamp::from_millis(2_000_000)));
        ends.cancel_at = Some(1500);
        assert_eq!(Subscription::of(&ends, &catalog()).cancels_at, Some(Timestamp::from_millis(1_500_000)));
    }
}
