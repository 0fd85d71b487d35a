//! The limits of a tenant in a deployment that does not charge for runs.

use sequent_billing::{Denied, Error as BillingError, Quota};
use sequent_core::{MicroCredits, MicroUsd, TenantLimits};
use sequent_event::RunOutcome;
use sequent_model::{AllowedModels, Client, Config, ModelName};
use sequent_tables::Row;

use super::*;
use crate::{RunLimits, finish};

const DOLLAR: i64 = 1_000_000;

fn limits(runs: Option<u32>, dollars: Option<u64>) -> TenantLimits {
    let daily_usd = dollars.map(|dollars| MicroUsd(dollars * 1_000_000));
    TenantLimits { runs, daily_usd, ..TenantLimits::uncapped() }
}

fn of_model(model: Option<ModelName>) -> RunSetup {
    RunSetup { model, ..RunSetup::default() }
}

fn limited_to(budget: RunLimits) -> RunSetup {
    RunSetup { options: RunOptions { budget, ..RunOptions::default() }, ..RunSetup::default() }
}

impl Bench {
    async fn limited(limits: TenantLimits) -> Self {
        let store = sequent_tables::testing::store().await;
        Self::with(Credits::new(store.clone(), None, Default::default()).with_limits(limits), store)
    }

    async fn quota(&self) -> Quota {
        let key = key::quota(self.caller.tenant);
        self.starter.runs().tables().get(&key).await.expect("the table answers").unwrap_or_default()
    }

    /// The amount that was held or spent today.
    async fn today(&self) -> i64 {
        self.quota().await.days.values().map(|amount| amount.0).sum()
    }

    async fn begin(&self) -> Result<StartedRun, Error> {
        self.starter.start(&self.request(Destination::or_new(None))).await
    }

    /// Ends a run whose model calls have cost this many millionths of a dollar.
    async fn end(&self, started: StartedRun, cost: u64) {
        let OwnedRun { writer, .. } = started.owner.expect("an owner");
        let mut usage = crate::testing::response("done", 1, "stop");
        if let Some(Body::UsageRecorded(recorded)) = usage.last_mut() {
            recorded.cost_micro_usd = Some(MicroUsd(cost));
        }
        crate::testing::append_all(&writer, usage).await;
        writer.flush().await.expect("stored");
        let run = Runs::new(self.starter.runs().tables(), self.caller.tenant)
            .get(started.run)
            .await
            .expect("exists");
        let outcome = RunOutcome::Success;
        let end = Body::RunFinished { thread_id: started.project, run_id: started.run, outcome };
        let known = *writer.signals().borrow();
        finish(&writer, self.caller.tenant, &run, known, vec![end]).await.expect("ended");
    }
}

fn denied<T>(refused: Result<T, Error>) -> Option<Denied> {
    match refused {
        Err(Error::Billing(BillingError::Denied(denied))) => Some(denied),
        _ => None,
    }
}

#[tokio::test]
async fn of_many_starts_at_once_as_many_succeed_as_the_tenant_may_have_runs() {
    let bench = Bench::limited(limits(Some(3), None)).await;
    let started = join_all((0..20).map(|_| bench.begin())).await;
    let (live, refused): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
    assert_eq!(live.len(), 3);
    for refused in refused {
        match refused.map(|started| started.run) {
            Err(Error::Billing(BillingError::Denied(Denied::Concurrent { limit: 3 }))) => {}
            // It gave up because the row was contended. Nothing was stored.
            Err(Error::ReservationLost) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.quota().await.holds.len(), 3);
}

#[tokio::test]
async fn runs_that_wait_or_are_pending_count_until_they_end() {
    let bench = Bench::limited(limits(Some(2), None)).await;
    let live = bench.begin().await.expect("started");
    let waiting = bench.request(Destination::Project(live.project));
    let waiting = RunRequest { on_conflict: OnConflict::Enqueue, ..waiting };
    bench.starter.submit(&waiting).await.expect("enqueued");
    assert_eq!(denied(bench.begin().await), Some(Denied::Concurrent { limit: 2 }));
    bench.end(live, 0).await;
    bench.begin().await.expect("the first has ended");
}

#[tokio::test]
async fn an_interrupting_run_needs_no_second_live_run() {
    let bench = Bench::limited(limits(Some(1), Some(5))).await;
    let live = bench.submit_elsewhere().await;
    assert_eq!(denied(bench.begin().await), Some(Denied::Concurrent { limit: 1 }));
    let next = bench.starter.submit(&bench.interrupting(live.project)).await.expect("started");
    assert_ne!(next.run, live.run);
    assert_eq!(bench.quota().await.holds.len(), 1);
}

#[tokio::test]
async fn the_runs_of_a_day_hold_no_more_than_the_limit_and_are_counted_at_their_cost() {
    let bench = Bench::limited(limits(None, Some(4))).await;
    let first = bench.begin().await.expect("started");
    let run =
        Runs::new(bench.starter.runs().tables(), bench.caller.tenant).get(first.run).await.expect("exists");
    assert_eq!(run.options.budget.max_cost_micro_usd, Some(2_000_000), "half of what is left");
    let second = bench.begin().await.expect("started");
    assert_eq!(bench.today().await, 3 * DOLLAR);
    bench.end(first, 500_000).await;
    assert_eq!(bench.today().await, 3 * DOLLAR / 2);
    bench.end(second, 1_000_000).await;
    assert_eq!((bench.today().await, bench.quota().await.holds.len()), (3 * DOLLAR / 2, 0));

    let budget = RunLimits { max_cost_micro_usd: Some(100_000_000), ..RunLimits::default() };
    let request = bench.request(Destination::or_new(None));
    let dear = RunRequest { setup: limited_to(budget), ..request };
    let dear = bench.starter.start(&dear).await.expect("it gets all that is left");
    assert_eq!(bench.today().await, 4 * DOLLAR);
    let limit = MicroUsd(4_000_000);
    assert_eq!(denied(bench.begin().await), Some(Denied::DailyCost { limit }));
    bench.end(dear, 2_500_000).await;
    assert_eq!(denied(bench.begin().await), Some(Denied::DailyCost { limit }), "the day's limit is spent");
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_where_costs_are_limited() {
    for (dollars, is_allowed) in [(Some(4), false), (None, true)] {
        let bench = Bench::limited(limits(Some(1), dollars)).await;
        let model = Some("unheard-of".parse().expect("a name"));
        let request = RunRequest { setup: of_model(model), ..bench.request(Destination::or_new(None)) };
        let started = bench.starter.start(&request).await;
        assert_eq!(started.is_ok(), is_allowed, "{dollars:?}");
        if let Some(denied) = denied(started) {
            assert_eq!(denied, Denied::Unpriced("unheard-of".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_deployment_without_limits_writes_no_quota() {
    let bench = Bench::limited(TenantLimits::uncapped()).await;
    let live = bench.begin().await.expect("started");
    bench.end(live, 5).await;
    assert_eq!(bench.quota().await, Quota::default());
}

#[tokio::test]
async fn a_model_that_is_not_allowed_starts_no_run() {
    let store = sequent_tables::testing::store().await;
    let credits = Credits::new(store.clone(), None, Default::default());
    let bench = Bench::with(credits.with_allowed_models(AllowedModels::listed("gpt-5*")), store);
    for (model, is_allowed) in [("gpt-5.4-mini", true), ("openai/gpt-5.4-pro", true), ("o3", false)] {
        let model = model.parse().expect("a name");
        let request = RunRequest { setup: of_model(Some(model)), ..bench.request(Destination::or_new(None)) };
        assert_eq!(bench.starter.submit(&request).await.is_ok(), is_allowed, "{:?}", request.setup);
    }
}

#[tokio::test]
async fn a_fallback_that_is_not_allowed_starts_no_run() {
    let store = sequent_tables::testing::store().await;
    let credits = Credits::new(store.clone(), None, Default::default());
    let bench = Bench::with(credits.with_allowed_models(AllowedModels::listed("gpt-5*")), store);
    for (fallback, is_allowed) in [("gpt-5.4-mini", true), ("o3", false)] {
        let fallbacks = vec![fallback.parse().expect("a name")];
        let setup = RunSetup { fallbacks, ..of_model(Some("gpt-5.4".parse().expect("a name"))) };
        let request = RunRequest { setup, ..bench.request(Destination::or_new(None)) };
        let refused = denied(bench.starter.submit(&request).await);
        let expected = (!is_allowed).then(|| Denied::NotAllowed(fallback.to_owned()));
        assert_eq!(refused, expected);
    }
}

#[tokio::test]
async fn the_demo_and_a_missing_provider_are_refused_before_a_run_exists() {
    let store = sequent_tables::testing::store().await;
    let models = Client::new(Config { demo: false, ..Config::demo() });
    let credits = Credits::new(store.clone(), None, Default::default()).with_models(models);
    let bench = Bench::with(credits, store);
    assert_eq!(denied(bench.begin().await), Some(Denied::NoProvider));
    let demo = Some("demo".parse().expect("a name"));
    let request = RunRequest { setup: of_model(demo), ..bench.request(Destination::or_new(None)) };
    let refused = denied(bench.starter.submit(&request).await);
    assert_eq!(refused, Some(Denied::NotAllowed("demo".to_owned())), "as an unknown model is");
    let rows = sequent_tables::testing::all_rows(bench.starter.runs().tables()).await;
    assert!(rows.is_empty(), "{rows:?}");
}

#[tokio::test]
async fn a_run_ends_with_its_messages_although_the_quota_was_deleted_meanwhile() {
    let bench = Bench::limited(limits(Some(1), Some(4))).await;
    let started = bench.begin().await.expect("started");
    let tables = bench.starter.runs().tables().clone();
    tables.delete(&key::quota(bench.caller.tenant)).await.expect("deleted");
    bench.end(started, 500_000).await;
    let jobs = sequent_tables::testing::all_rows(&tables).await;
    let rebuilds = jobs.iter().filter(|row| format!("{row:?}").contains("rebuild_projections"));
    assert_eq!(rebuilds.count(), 0, "its messages were stored with its end");
    assert_eq!(bench.quota().await, Quota::default(), "and no part of a quota");
    bench.begin().await.expect("the tenant has a new quota");
}

#[tokio::test]
async fn the_sums_of_old_days_are_removed_and_those_around_midnight_stay() {
    let bench = Bench::limited(limits(None, Some(4))).await;
    let days = (1..10).map(|day| (format!("d2025010{day}"), MicroCredits(day))).collect();
    let row = Row::new(&key::quota(bench.caller.tenant), &Quota { days, ..Quota::default() });
    bench.starter.runs().tables().insert(row.expect("a row")).await.expect("stored");
    bench.begin().await.expect("started");
    let days: Vec<String> = bench.quota().await.days.into_keys().collect();
    assert_eq!(days[..2], ["d20250108", "d20250109"], "{days:?}");
    assert_eq!(days.len(), 3, "and today");
}
