//! Streams whose credential ends while they are open.

use http_body_util::BodyExt as _;
use sequent_agent::Engine;
use sequent_billing::Credits;
use sequent_chat_function::{App, router};
use sequent_conversation::{RunStatus, Runs};
use sequent_core::{RunId, Scope, Timestamp};
use sequent_http::{
    axum::{body::Body, response::Response},
    testing::{
        Event,
        deployment::{Deployment, request, with_token},
    },
};
use sequent_model::{Client, Config};
use sequent_runlog::DynamoStorage;
use serde_json::{Value, json};

const ADA: &str = "ada@example.com";

async fn deployment() -> Deployment {
    let routes = |store: &sequent_tables::Store, _: &_| {
        let engine = Engine::new(DynamoStorage::new(store.clone()), Client::new(Config::demo()));
        router(App::new(engine, Credits::new(store.clone(), None, Default::default())))
    };
    Deployment::new("chat", routes).await
}

/// An open stream, as its client reads it.
struct Reading {
    run: RunId,
    project: String,
    body: Body,
    text: String,
}

impl Reading {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let run = header("x-run-id").parse().unwrap();
        Self { run, project: header("x-project-id"), body: response.into_body(), text: String::new() }
    }

    /// Reads until the text contains `part`.
    async fn until(&mut self, part: &str) {
        while !self.text.contains(part) {
            let frame = self.body.frame().await.expect("the stream goes on").unwrap();
            self.text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }

    /// Reads to the end.
    async fn rest(mut self) -> String {
        let rest = self.body.collect().await.unwrap().to_bytes();
        self.text += std::str::from_utf8(&rest).unwrap();
        self.text
    }
}

fn say(words: &str) -> Value {
    json!({"message": {"content": words}})
}

/// The data of the last frame with this name. It must be the last of the text but for `after`.
fn last_frame(text: &str, name: &str, after: &str) -> Value {
    let text = text.strip_suffix(after).unwrap_or_else(|| panic!("{text}"));
    let (_, frame) = text.rsplit_once(name).unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(frame.trim()).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[tokio::test]
async fn a_sender_who_signs_out_sees_no_more_of_a_run_that_goes_on() {
    let deployment = deployment().await;
    let ada = deployment.sign_up(ADA).await;
    let send = request("POST", "/api/chat/send", &ada).json(&say("/demo tokens=60 rate=20"));
    let mut reading = Reading::of(deployment.open(&send).await);
    reading.until("TEXT_MESSAGE_CONTENT").await;
    let now = Timestamp::now();
    deployment.identity().revoke_session(ada.tenant(), ada.user(), ada.session(), now).await.unwrap();
    let run = reading.run;
    let text = reading.rest().await;
    let problem = last_frame(&text, "event: problem\ndata: ", "");
    assert_eq!((&problem["status"], &problem["code"]), (&json!(401), &json!("invalid_credential")), "{text}");
    assert!(!text.contains("RUN_FINISHED"), "{text}");
    // Lambda freezes the process at the end of the response.
    let run = Runs::new(deployment.store(), ada.tenant()).get(run).await.unwrap();
    assert_eq!(run.status, RunStatus::Success);
}

#[tokio::test]
async fn a_suspension_ends_the_streams_of_every_protocol_and_credential() {
    let deployment = deployment().await;
    let ada = deployment.sign_up(ADA).await;
    let key = deployment.api_key(&ada, [Scope::Chat, Scope::RunsRead]).await;
    let send = request("POST", "/api/chat/send", &ada).json(&say("/demo tokens=100000 rate=20"));
    let sent = Reading::of(deployment.open(&send).await);
    let run = sent.run;
    let source = format!("/api/projects/{}/messages/stream?content=x", sent.project);
    let follow: [(Event, &str, &str); 3] = [
        (request("GET", &format!("/api/runs/{run}/events"), &ada), "event: problem\ndata: ", ""),
        (
            with_token("GET", &format!("/api/chat/{run}/stream?startIndex=0"), &key),
            "\n\ndata: ",
            "\n\ndata: {\"type\":\"finish\",\"finishReason\":\"error\"}\n\ndata: [DONE]\n\n",
        ),
        (
            with_token("GET", &source, &key)
                .header("last-event-id", &format!("{run}:0"))
                .header("sec-fetch-site", "same-origin"),
            "event: error\ndata: ",
            "",
        ),
    ];
    let mut readings = Vec::new();
    for (event, ..) in &follow {
        let mut reading = Reading::of(deployment.open(event).await);
        reading.until("\n\n").await;
        readings.push(reading);
    }
    deployment.identity().suspend(&ADA.parse().unwrap(), Timestamp::now()).await.unwrap();
    for (reading, (event, name, after)) in readings.into_iter().zip(&follow) {
        let text = reading.rest().await;
        let frame = last_frame(&text, name, after);
        assert_eq!(frame["code"], "invalid_credential", "{text}");
        let again = deployment.send(event).await;
        assert_eq!((again.status.as_u16(), again.code().as_str()), (401, "invalid_credential"));
    }
}

#[tokio::test]
async fn a_stream_of_another_session_goes_on() {
    let deployment = deployment().await;
    let ada = deployment.sign_up(ADA).await;
    let key = deployment.api_key(&ada, [Scope::Chat]).await;
    let send = with_token("POST", "/api/chat/send", &key).json(&say("/demo tokens=20 rate=20"));
    let mut reading = Reading::of(deployment.open(&send).await);
    reading.until("TEXT_MESSAGE_CONTENT").await;
    let now = Timestamp::now();
    deployment.identity().revoke_session(ada.tenant(), ada.user(), ada.session(), now).await.unwrap();
    let text = reading.rest().await;
    assert!(text.contains("event: RUN_FINISHED") && !text.contains("event: problem"), "{text}");
}
