//! Pages and archives that are shown, and addresses that show nothing.

use std::{
    io::{Cursor, Write as _},
    time::Duration,
};

use sequent_artifacts::{Artifact, Artifacts, Description, Origin, PreviewKeys, Previewed, testing::bucket};
use sequent_core::{ArtifactId, TenantId, Timestamp, golden::cases};
use sequent_http::{
    App, Config, Pipeline,
    testing::{Answer, Event},
};
use sequent_preview_function::{App as State, router};
use zip::write::SimpleFileOptions;

const APP: &str = "https://chat.example.com";

struct Bench {
    app: App,
    artifacts: Artifacts,
    keys: PreviewKeys,
    tenant: TenantId,
}

impl Bench {
    async fn new() -> Self {
        let (bucket, _) = bucket().await;
        let keys = PreviewKeys::fixed("a key for tests".into());
        let state = State::new(bucket.clone(), keys.clone());
        let app = Pipeline::with_config("preview", Config::for_tests()).around(router(state));
        let artifacts = Artifacts::new(sequent_tables::testing::store().await, bucket);
        Self { app, artifacts, keys, tenant: TenantId::new() }
    }

    async fn save(&self, media_type: &str, bytes: &[u8]) -> Artifact {
        let description = Description {
            title: "A page".to_owned(),
            entity_type: "website".to_owned(),
            tags: Vec::new(),
            media_type: media_type.to_owned(),
        };
        let id = ArtifactId::new();
        let bytes = bytes.to_vec().into();
        self.artifacts.save(self.tenant, id, description, Origin::default(), bytes).await.unwrap()
    }

    async fn token(&self, artifact: &Artifact, now: Timestamp) -> String {
        self.keys.get().await.unwrap().seal(&Previewed::of(self.tenant, artifact, Some(APP), now))
    }

    async fn get(&self, path: &str) -> Answer {
        Event::new("GET", path).send(&self.app).await
    }

    /// Requests a page or a file of it, as the frame of the shell does.
    async fn content(&self, path: &str) -> Answer {
        Event::new("GET", &format!("/content{path}")).header("sec-fetch-dest", "iframe").send(&self.app).await
    }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[tokio::test]
async fn a_page_is_shown_in_a_sandbox() {
    let bench = Bench::new().await;
    let page = bench.save("text/html", b"<h1>Q3</h1>").await;
    let token = bench.token(&page, Timestamp::now()).await;
    let answer = bench.content(&format!("/{token}/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "<h1>Q3</h1>");
    assert_eq!(answer.header("content-type"), "text/html");
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
    assert_eq!(answer.header("x-robots-tag"), "noindex");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("sandbox allow-scripts; default-src 'none'; "), "{policy}");
    assert!(policy.contains("connect-src 'none'"), "{policy}");
    assert!(policy.ends_with(&format!("frame-ancestors 'self' {APP}")), "{policy}");
    assert_eq!(bench.content(&format!("/{token}/other.html")).await.status, 404, "it is one file");
}

#[tokio::test]
async fn people_get_a_shell_whose_frame_stays_on_the_preview_origin() {
    let bench = Bench::new().await;
    let page = bench.save("text/html", b"<h1>Q3</h1>").await;
    let token = bench.token(&page, Timestamp::now()).await;
    let shell = bench.get(&format!("/{token}/")).await;
    assert_eq!((shell.status.as_u16(), shell.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(!shell.text().contains("<h1>"), "{}", shell.text());
    assert!(
        shell
            .text()
            .contains(&format!("sandbox=allow-scripts referrerpolicy=no-referrer src=\"/content/{token}/\""))
    );
    let policy = shell.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; frame-src 'self'; "), "{policy}");
    assert!(policy.ends_with(&format!("frame-ancestors {APP}")), "{policy}");

    // Outside the frame, a page could navigate to any server.
    for path in [format!("/content/{token}/"), format!("/content/{token}/other.html")] {
        // Old browsers do not say where they show a page.
        let silent = Event::new("GET", &path);
        for alone in [silent.clone().header("sec-fetch-dest", "document"), silent] {
            let alone = alone.send(&bench.app).await;
            assert_eq!(
                (alone.status.as_u16(), alone.header("location")),
                (303, format!("/{token}/").as_str())
            );
        }
    }
}

#[tokio::test]
async fn the_files_of_an_archive_are_shown_by_their_paths() {
    let bench = Bench::new().await;
    let files = [("index.html", "<link href=a/b.css>"), ("a/b.css", "b{}"), ("c/index.html", "<p>c")];
    let website = bench.save("application/zip", &archive(&files)).await;
    let token = bench.token(&website, Timestamp::now()).await;
    for (path, media_type, text) in [
        ("", "text/html; charset=utf-8", "<link href=a/b.css>"),
        ("index.html", "text/html; charset=utf-8", "<link href=a/b.css>"),
        ("a/b.css", "text/css; charset=utf-8", "b{}"),
        ("c/index.html", "text/html; charset=utf-8", "<p>c"),
    ] {
        let answer = bench.content(&format!("/{token}/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), media_type, "{path}");
        assert_eq!(answer.text(), text, "{path}");
    }
    assert_eq!(bench.content(&format!("/{token}/a/missing.css")).await.status, 404);
}

#[tokio::test]
async fn an_archive_that_cannot_be_opened_is_refused() {
    let bench = Bench::new().await;
    let damaged = bench.save("application/zip", b"not an archive").await;
    let token = bench.token(&damaged, Timestamp::now()).await;
    let answer = bench.content(&format!("/{token}/")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "validation_failed"));
}

#[tokio::test]
async fn a_forged_or_expired_address_shows_nothing() {
    let bench = Bench::new().await;
    for case in cases("preview") {
        let answer = Event::golden("preview", &case).send(&bench.app).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{case}");
    }
    let page = bench.save("text/html", b"<h1>Q3</h1>").await;
    let expired = bench.token(&page, Timestamp::now() - Duration::from_secs(601)).await;
    assert_eq!(bench.get(&format!("/{expired}/")).await.status, 404);
    assert_eq!(bench.content(&format!("/{expired}/")).await.status, 404);
    let other_keys = PreviewKeys::fixed("another key".into());
    let other_key = other_keys.get().await.unwrap();
    let forged = other_key.seal(&Previewed::of(bench.tenant, &page, Some(APP), Timestamp::now()));
    assert_eq!(bench.get(&format!("/{forged}/")).await.status, 404);
    assert_eq!(bench.content(&format!("/{forged}/")).await.status, 404);
}

#[tokio::test]
async fn an_address_shows_objects_of_its_tenant_only() {
    let bench = Bench::new().await;
    let page = bench.save("text/html", b"<h1>Q3</h1>").await;
    let other = Previewed::of(TenantId::new(), &page, None, Timestamp::now());
    let token = bench.keys.get().await.unwrap().seal(&other);
    assert_eq!(bench.content(&format!("/{token}/")).await.status, 404);
}
