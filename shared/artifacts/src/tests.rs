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
