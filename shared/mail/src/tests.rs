//! Mails from the request to the effect of their tokens, with a server in the place of SES.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use sequent_core::{JobId, TenantId, Timestamp, WebhookId};
use sequent_identity::{
    Config, Error as IdentityError, Identity, SignedIn, Vault,
    account::NewAccount,
    mail::{MailRequest, MailToken, Notice, NoticeSubject, Recipient},
    password::{Cost, Password},
    session::Device,
};
use sequent_jobs::{Delivery, NewJob, Registry, Worked, Worker, enqueue};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{Store, testing};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const PASSWORD: &str = "correct horse battery";
const NEW: &str = "seven lanterns over the harbour";

/// A server that answers as SES does, and keeps what it was sent.
struct Post {
    url: String,
    received: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Post {
    async fn open(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let (head, body) = loop {
                    let mut part = [0; 4096];
                    let read = stream.read(&mut part).await.unwrap();
                    bytes.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str::<Value>(body)
                    {
                        break (head.to_owned(), body);
                    }
                };
                kept.lock().unwrap().push((head, body));
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, received }
    }

    fn received(&self) -> Vec<(String, Value)> {
        self.received.lock().unwrap().clone()
    }

    /// The token in the latest mail.
    fn token(&self) -> MailToken {
        let (_, mail) = self.received().pop().unwrap();
        let text = mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap().to_owned();
        let token = text.split_once("#token=").unwrap().1.lines().next().unwrap();
        MailToken::parse(token).unwrap()
    }

    fn ses(&self) -> Ses {
        let credentials = Credentials::new("key", "secret", None, None, "test");
        let config = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(&self.url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Ses::new("no-reply@chat.example".to_owned(), &config).unwrap()
    }
}

struct Deployment {
    store: Store,
    identity: Identity,
    post: Post,
}

impl Deployment {
    async fn new(status: &'static str) -> Self {
        let store = testing::store().await;
        let config = Config {
            issuer: "urn:sequent".to_owned(),
            access_token_ttl: std::time::Duration::from_secs(900),
            reauthenticate_after: std::time::Duration::from_secs(600),
            password_cost: Cost { memory_kib: 64, iterations: 1, parallelism: 1 },
        };
        let vault = Vault::fixed(&r#"{"seed": "a seed for tests"}"#.into()).unwrap();
        let identity = Identity::new(store.clone(), vault, &config).unwrap();
        Self { store, identity, post: Post::open(status).await }
    }

    async fn sign_up(&self) -> SignedIn {
        let account = NewAccount {
            email: "ann@example.com".parse().unwrap(),
            password: Password::presented(PASSWORD.into()).unwrap(),
            name: "Ann".to_owned(),
        };
        self.identity.sign_up(account, Device::default(), Timestamp::now()).await.unwrap()
    }

    async fn request_reset(&self, email: &str) -> Option<MailRequest> {
        let email = email.parse().unwrap();
        let origin = "https://chat.example";
        self.identity.request_password_reset(&email, origin, Timestamp::now()).await.unwrap()
    }

    /// Executes the job of a mail.
    async fn deliver(&self, request: &MailRequest) -> Worked {
        let job = NewJob { id: JobId::new(), ..NewJob::of::<SendMail>(TenantId::SYSTEM, request) };
        enqueue(&self.store, &job, Timestamp::now()).await.unwrap();
        let kinds = Registry::new().with(SendMail::new(Some(self.post.ses())));
        let worker = Worker::new(kinds, DynamoStorage::new(self.store.clone()), Settings::default());
        let delivery = Delivery { tenant_id: TenantId::SYSTEM, job_id: job.id };
        Box::pin(worker.work(delivery, None)).await.unwrap()
    }

    /// Executes the job of a notice.
    async fn tell(&self, ses: Option<Ses>, notice: &Notice) -> Worked {
        let job = NewJob::of::<SendNotice>(TenantId::SYSTEM, notice);
        enqueue(&self.store, &job, Timestamp::now()).await.unwrap();
        let kinds = Registry::new().with(SendMail::new(ses).notices());
        let worker = Worker::new(kinds, DynamoStorage::new(self.store.clone()), Settings::default());
        let delivery = Delivery { tenant_id: TenantId::SYSTEM, job_id: job.id };
        Box::pin(worker.work(delivery, None)).await.unwrap()
    }

    async fn sign_in(&self, password: &str) -> Result<SignedIn, IdentityError> {
        let email = "ann@example.com".parse().unwrap();
        let password = Password::presented(password.into()).unwrap();
        self.identity.sign_in(&email, password, Device::default(), Timestamp::now()).await
    }
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_with_the_token_of_a_mail_once() {
    let deployment = Deployment::new("200 OK").await;
    let ann = deployment.sign_up().await;
    let request = deployment.request_reset("ann@example.com").await.unwrap();
    assert_eq!(deployment.deliver(&request).await, Worked::Success);
    let (head, mail) = deployment.post.received().pop().unwrap();
    assert!(head.starts_with("POST /v2/email/outbound-emails HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("/eu-central-1/ses/aws4_request"), "{head}");
    assert_eq!(mail["FromEmailAddress"], "no-reply@chat.example");
    assert_eq!(mail["Destination"]["ToAddresses"][0], "ann@example.com");

    let token = deployment.post.token();
    let identity = &deployment.identity;
    assert_eq!(identity.user_of_reset(&token, Timestamp::now()).await.unwrap().id, ann.user.id);
    let new = || Password::presented(NEW.into()).unwrap();
    identity.reset_password(&token, new(), Timestamp::now()).await.unwrap();
    let again = identity.reset_password(&token, new(), Timestamp::now()).await;
    assert!(matches!(again, Err(IdentityError::InvalidMailToken)), "{again:?}");
    let old = identity.refresh(&ann.refresh_token, Timestamp::now()).await;
    assert!(matches!(old, Err(IdentityError::InvalidRefreshToken)), "all sessions have ended: {old:?}");
    assert!(matches!(deployment.sign_in(PASSWORD).await, Err(IdentityError::WrongCredentials)));
    assert!(deployment.sign_in(NEW).await.unwrap().user.email_verified_at.is_some());
}

#[tokio::test]
async fn no_row_of_a_mail_contains_its_token_or_address() {
    let deployment = Deployment::new("200 OK").await;
    deployment.sign_up().await;
    let before = testing::all_rows(&deployment.store).await;
    let request = deployment.request_reset("ann@example.com").await.unwrap();
    deployment.deliver(&request).await;
    let token = deployment.post.token();
    let mut rows = testing::all_rows(&deployment.store).await;
    rows.retain(|row| !before.contains(row));
    let dump = format!("{rows:?}");
    assert!(!dump.contains(token.expose()) && !dump.contains("ann@example.com"), "{dump}");
}

#[tokio::test]
async fn an_unknown_address_gets_a_job_that_sends_nothing() {
    let deployment = Deployment::new("200 OK").await;
    let request = deployment.request_reset("eve@example.com").await.expect("as for a known address");
    assert_eq!(deployment.deliver(&request).await, Worked::Success);
    assert_eq!(deployment.post.received().len(), 0);
}

#[tokio::test]
async fn an_address_is_verified_with_a_token_of_that_purpose() {
    let deployment = Deployment::new("200 OK").await;
    let ann = deployment.sign_up().await;
    let identity = &deployment.identity;
    let now = Timestamp::now();
    let request =
        identity.request_verification(&ann.user, "https://chat.example", now).await.unwrap().unwrap();
    deployment.deliver(&request).await;
    let token = deployment.post.token();
    let other = identity.user_of_reset(&token, now).await;
    assert!(matches!(other, Err(IdentityError::InvalidMailToken)), "{other:?}");
    let late = identity.verify_email(&token, now + std::time::Duration::from_secs(25 * 3600)).await;
    assert!(matches!(late, Err(IdentityError::InvalidMailToken)), "{late:?}");
    identity.verify_email(&token, now).await.unwrap();
    let user = identity.user(ann.user.tenant_id, ann.user.id).await.unwrap().unwrap();
    assert_eq!(user.email_verified_at, Some(now));
    assert_eq!(identity.request_verification(&user, "", now).await.unwrap(), None, "it is verified");
}

#[tokio::test]
async fn a_notice_goes_to_a_verified_address_only() {
    let deployment = Deployment::new("200 OK").await;
    let ann = deployment.sign_up().await.user;
    let now = Timestamp::now();
    let webhook_id = WebhookId::new();
    let notice = Notice {
        recipient: Recipient { tenant_id: ann.tenant_id, user_id: ann.id },
        subject: NoticeSubject::WebhookDisabled { webhook_id, is_gone: false },
    };
    assert_eq!(deployment.tell(Some(deployment.post.ses()), &notice).await, Worked::Success);
    assert_eq!(deployment.post.received().len(), 0, "the address may be a stranger's");
    let verification =
        deployment.identity.request_verification(&ann, "https://chat.example", now).await.unwrap().unwrap();
    deployment.deliver(&verification).await;
    deployment.identity.verify_email(&deployment.post.token(), now).await.unwrap();

    assert_eq!(deployment.tell(Some(deployment.post.ses()), &notice).await, Worked::Success);
    let (_, mail) = deployment.post.received().pop().unwrap();
    assert_eq!(mail["Destination"]["ToAddresses"][0], "ann@example.com");
    let text = mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap();
    assert!(text.contains(&webhook_id.to_string()) && text.contains("five days"), "{text}");
    assert_eq!(deployment.tell(None, &notice).await, Worked::Success, "a deployment without mail");
}

#[tokio::test]
async fn an_address_gets_three_mails_an_hour() {
    let deployment = Deployment::new("200 OK").await;
    let identity = &deployment.identity;
    let noon = Timestamp::from_millis(1_900_065_600_000);
    for email in ["ann@example.com", "eve@example.com"] {
        let email = email.parse().unwrap();
        for number in 0..4 {
            let request = identity.request_password_reset(&email, "", noon).await.unwrap();
            assert_eq!(request.is_some(), number < 3);
        }
        let later = noon + std::time::Duration::from_secs(3600);
        assert!(identity.request_password_reset(&email, "", later).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_mail_that_ses_refuses_is_not_tried_again() {
    let deployment = Deployment::new("400 Bad Request").await;
    deployment.sign_up().await;
    let request = deployment.request_reset("ann@example.com").await.unwrap();
    assert_eq!(deployment.deliver(&request).await, Worked::Failed);
    assert_eq!(deployment.post.received().len(), 1);
    let deployment = Deployment::new("503 Service Unavailable").await;
    deployment.sign_up().await;
    let request = deployment.request_reset("ann@example.com").await.unwrap();
    assert_eq!(deployment.deliver(&request).await, Worked::Again);
}
