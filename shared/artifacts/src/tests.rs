//! Objects and artifacts over an in-process database and an in-process bucket.

use std::time::Duration;

use bytes::Bytes;
use sequent_core::{ArtifactId, TenantId, Timestamp};

use crate::{
    Artifact, Artifacts, Collected, Content, Description, Error, Offer, Origin, Upload,
    testing::{Objects, bucket},
};

const TEXT: &[u8] = b"hello";

struct Bench {
    artifacts: Artifacts,
    objects: Objects,
    tenant: TenantId,
}

impl Bench {
    async fn new() -> Self {
        let (bucket, objects) = bucket().await;
        let store = sequent_tables::testing::store().await;
        Self { artifacts: Artifacts::new(store, bucket), objects, tenant: TenantId::new() }
    }

    async fn save(&self, id: ArtifactId, bytes: &'static [u8]) -> Result<Artifact, Error> {
        let bytes = Bytes::from_static(bytes);
        self.artifacts.save(self.tenant, id, description("text/plain"), Origin::default(), bytes).await
    }

    async fn offer(&self) -> Offer {
        let Content { sha256, size } = Content::of(TEXT);
        let description = description("text/plain");
        let upload = Upload { sha256, size, description, origin: Origin::default() };
        self.artifacts.offer(self.tenant, upload).await.unwrap()
    }

    /// Runs the collector at a time when everything is due.
    async fn collect(&self) -> Collected {
        let later = Timestamp::now() + Duration::from_secs(60);
        self.artifacts.collect(later, || true).await.unwrap()
    }
}

fn description(media_type: &str) -> Description {
    Description {
        title: "Greeting".to_owned(),
        entity_type: "file".to_owned(),
        tags: Vec::new(),
        media_type: media_type.to_owned(),
    }
}

#[tokio::test]
async fn equal_bytes_are_one_object_until_the_last_artifact_is_deleted() {
    let bench = Bench::new().await;
    let first = bench.save(ArtifactId::new(), TEXT).await.unwrap();
    let second = bench.save(ArtifactId::new(), TEXT).await.unwrap();
    assert_eq!(bench.objects.keys().len(), 1);

    bench.artifacts.delete(bench.tenant, first.id).await.unwrap();
    assert_eq!(bench.collect().await, Collected { kept: 1, ..Collected::default() });
    let bytes = bench.artifacts.bytes(bench.tenant, &second, 100).await.unwrap();
    assert_eq!(&bytes[..], TEXT);

    bench.artifacts.delete(bench.tenant, second.id).await.unwrap();
    assert_eq!(bench.collect().await, Collected { deleted: 1, ..Collected::default() });
    assert!(bench.objects.keys().is_empty());
    assert_eq!(bench.collect().await, Collected::default(), "the row is deleted, too");
    bench.save(first.id, TEXT).await.unwrap();
    assert_eq!(bench.objects.keys().len(), 1, "the object can be stored again");
}

#[tokio::test]
async fn a_repeated_save_returns_the_stored_artifact_and_other_bytes_are_refused() {
    let bench = Bench::new().await;
    let id = ArtifactId::new();
    let artifact = bench.save(id, TEXT).await.unwrap();
    assert_eq!(bench.save(id, TEXT).await.unwrap(), artifact);
    let other = bench.save(id, b"other").await;
    assert!(matches!(other, Err(Error::Taken)), "{other:?}");
    // The bytes without an artifact are garbage.
    assert_eq!(bench.collect().await.deleted, 1);
    // The repeated save did not count the artifact twice.
    bench.artifacts.delete(bench.tenant, id).await.unwrap();
    assert_eq!(bench.collect().await.deleted, 1);
}

#[tokio::test]
async fn an_upload_is_complete_when_the_announced_bytes_are_in_the_bucket() {
    let bench = Bench::new().await;
    let Offer::Put(id, link) = bench.offer().await else { panic!("the bytes are new") };
    assert_eq!(link.method, "PUT");
    let early = bench.artifacts.complete(bench.tenant, id).await;
    assert!(matches!(early, Err(Error::NotUploaded)), "{early:?}");

    let digest = Content::of(TEXT).sha256;
    bench.artifacts.bucket.put(bench.tenant, &digest, "text/html", TEXT.into()).await.unwrap();
    let mismatch = bench.artifacts.complete(bench.tenant, id).await;
    assert!(matches!(mismatch, Err(Error::Mismatch("media_type"))), "{mismatch:?}");
}

#[tokio::test]
async fn a_completed_upload_can_be_completed_again_and_its_bytes_need_no_second_upload() {
    let bench = Bench::new().await;
    let Offer::Put(id, _) = bench.offer().await else { panic!("the bytes are new") };
    let digest = Content::of(TEXT).sha256;
    bench.artifacts.bucket.put(bench.tenant, &digest, "text/plain", TEXT.into()).await.unwrap();
    let artifact = bench.artifacts.complete(bench.tenant, id).await.unwrap();
    assert_eq!(artifact.id, id);
    assert_eq!(bench.artifacts.complete(bench.tenant, id).await.unwrap(), artifact);
    let Offer::Stored(second) = bench.offer().await else { panic!("the bytes are stored") };
    assert_ne!(second.id, id);
}

#[tokio::test]
async fn the_collector_stops_when_it_has_no_time_left() {
    let bench = Bench::new().await;
    let artifact = bench.save(ArtifactId::new(), TEXT).await.unwrap();
    bench.artifacts.delete(bench.tenant, artifact.id).await.unwrap();
    let later = Timestamp::now() + Duration::from_secs(60);
    assert_eq!(bench.artifacts.collect(later, || false).await.unwrap(), Collected::default());
    let early = Timestamp::now() - Duration::from_secs(60);
    assert_eq!(
        bench.artifacts.collect(early, || true).await.unwrap(),
        Collected::default(),
        "it is not due yet"
    );
    assert_eq!(bench.objects.keys().len(), 1);
}

/// The bytes that the tenant stores, as its storage row and as the sum of its object rows.
async fn stored_bytes(bench: &Bench) -> (i64, u64) {
    let rows = sequent_tables::testing::all_rows(&bench.artifacts.store).await;
    let pk = |row: &sequent_tables::Item| sequent_tables::Key::of_item(row).map(|key| key.pk().to_owned());
    let of = |kind: &str| format!("{}#{kind}", bench.tenant);
    let objects = rows.iter().filter(|row| pk(row) == Some(of("objects")));
    let sizes = objects.filter_map(|row| sequent_tables::attribute_of::<u64>(row, "size"));
    let counter = rows.iter().find(|row| pk(row) == Some(of("storage")));
    let counted = counter.and_then(|row| sequent_tables::attribute_of::<i64>(row, "bytes"));
    (counted.unwrap_or_default(), sizes.sum())
}

impl Bench {
    fn limited(self, bytes: u64) -> Self {
        Self { artifacts: self.artifacts.with_storage_limit(Some(bytes)), ..self }
    }

    async fn announce(&self, text: &str, size: u64) -> Result<Offer, Error> {
        let sha256 = Content::of(text.as_bytes()).sha256;
        let upload =
            Upload { sha256, size, description: description("text/plain"), origin: Origin::default() };
        self.artifacts.offer(self.tenant, upload).await
    }
}

#[tokio::test]
async fn many_uploads_at_once_never_exceed_the_limit() {
    let bench = Bench::new().await.limited(100);
    let offers = (0..40).map(|n| {
        let bench = &bench;
        async move { bench.announce(&n.to_string(), 10).await }
    });
    let offers = futures::future::join_all(offers).await;
    let accepted = offers.iter().filter(|offer| matches!(offer, Ok(Offer::Put(..)))).count();
    for refused in offers.iter().filter_map(|offer| offer.as_ref().err()) {
        let is_transient = refused.is_transient();
        assert!(matches!(refused, Error::StorageLimit { limit: 100 }) || is_transient, "{refused:?}");
    }
    assert!(accepted <= 10, "{accepted}");
    let (counted, sizes) = stored_bytes(&bench).await;
    assert_eq!((counted, sizes), (10 * accepted as i64, 10 * accepted as u64));
    // Requests that gave up under contention may be repeated.
    for n in 40..60 {
        let _ = bench.announce(&n.to_string(), 10).await;
    }
    assert_eq!(stored_bytes(&bench).await, (100, 100));
}

#[tokio::test]
async fn an_upload_that_was_offered_and_never_completed_gives_its_bytes_back() {
    let bench = Bench::new().await.limited(100);
    bench.announce("a", 60).await.unwrap();
    assert!(matches!(bench.announce("b", 60).await, Err(Error::StorageLimit { .. })));
    assert_eq!(bench.collect().await.deleted, 1);
    assert_eq!(stored_bytes(&bench).await, (0, 0));
    bench.announce("b", 60).await.unwrap();
}

#[tokio::test]
async fn a_deleted_artifact_gives_its_bytes_back_when_it_is_collected() {
    let bench = Bench::new().await.limited(TEXT.len() as u64);
    let first = bench.save(ArtifactId::new(), TEXT).await.unwrap();
    bench.save(ArtifactId::new(), TEXT).await.unwrap();
    assert_eq!(stored_bytes(&bench).await, (5, 5), "equal bytes are stored once");
    let full = bench.save(ArtifactId::new(), b"x").await;
    assert!(matches!(full, Err(Error::StorageLimit { limit: 5 })), "{full:?}");
    bench.artifacts.delete(bench.tenant, first.id).await.unwrap();
    bench.collect().await;
    assert_eq!(stored_bytes(&bench).await, (5, 5), "the other artifact refers to the bytes");
}

#[tokio::test]
async fn an_announcement_that_was_too_small_does_not_open_room_for_a_larger_upload() {
    let bench = Bench::new().await.limited(100);
    bench.announce("a", 1).await.unwrap();
    let larger = bench.announce("a", 101).await;
    assert!(matches!(larger, Err(Error::StorageLimit { .. })), "{larger:?}");
    bench.announce("a", 100).await.unwrap();
    assert_eq!(stored_bytes(&bench).await, (100, 100));
}

#[tokio::test]
async fn an_object_larger_than_the_limit_is_refused() {
    let bench = Bench::new().await.limited(100);
    assert!(matches!(bench.announce("a", 101).await, Err(Error::StorageLimit { .. })));
    assert_eq!(stored_bytes(&bench).await, (0, 0));
}
