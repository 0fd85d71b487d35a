//! Positions that no reader can go on from.

use std::time::Duration;

use sequent_core::Timestamp;
use sequent_feed::{Error, FollowFeed, KEPT};

use super::{History, Tenant};

#[tokio::test]
async fn a_position_whose_next_entry_has_expired_is_refused_with_the_position_to_begin_at() {
    let tenant = Tenant::new().await;
    let now = Timestamp::now();
    let old = now - KEPT - Duration::from_secs(5);
    for _ in 0..120 {
        tenant.feed.append(tenant.id, vec![History::new().created()], old).await.unwrap();
    }
    // Every entry that the feed has is too old.
    let refused = tenant.feed.page(tenant.id, 7, 10, now).await.unwrap_err();
    assert!(matches!(refused, Error::TooOld { oldest: 120 }), "{refused:?}");
    let page = tenant.feed.page(tenant.id, 120, 10, now).await.unwrap();
    assert!(page.entries.is_empty() && !page.has_more);

    // The positions go on: they do not begin again at 1.
    tenant.append([History::new().created(), History::new().created()]).await;
    let refused = tenant.feed.page(tenant.id, 7, 10, now).await.unwrap_err();
    assert!(matches!(refused, Error::TooOld { oldest: 120 }), "{refused:?}");
    let page = tenant.feed.page(tenant.id, 120, 10, now).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [121, 122]);
}

#[tokio::test]
async fn a_position_after_the_last_entry_is_refused() {
    let tenant = Tenant::new().await;
    tenant.append([History::new().created()]).await;
    let refused = tenant.feed.page(tenant.id, 2, 10, Timestamp::now()).await.unwrap_err();
    assert!(matches!(refused, Error::Ahead { last: 1 }), "{refused:?}");
}

#[tokio::test]
async fn a_follower_waits_for_the_next_entry_and_loses_none() {
    let tenant = Tenant::new().await;
    let [one, two] = [History::new(), History::new()];
    tenant.append([one.created()]).await;
    let mut follow = FollowFeed::new(tenant.feed.clone(), tenant.id, 0);
    assert_eq!(follow.next().await.unwrap().len(), 1);
    let appended = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        tenant.append([two.created(), two.ended()]).await
    };
    let (next, _) = tokio::join!(follow.next(), appended);
    assert_eq!(next.unwrap().iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
}
