use std::collections::BTreeMap;

use super::*;

/// Small on purpose: one of each thing we read.
const FIXTURE: &str = include_str!("../../tests/fixture.yaml");

fn fixture(stage: &str) -> Template {
    Template::parse(FIXTURE, &BTreeMap::from([("Stage".to_owned(), stage.to_owned())])).unwrap()
}

fn function(template: &Template, id: &str) -> Function {
    template.functions().unwrap().into_iter().find(|f| f.logical_id == id).unwrap()
}

#[test]
fn short_tags_become_long_forms() {
    let template = fixture("dev");
    let properties = &template.document()["Resources"]["ProbeFunction"]["Properties"];
    assert_eq!(properties["Environment"]["Variables"]["TABLE"], serde_json::json!({"Ref": "ItemsTable"}));
    let arn = &properties["Environment"]["Variables"]["TABLE_ARN"];
    assert_eq!(*arn, serde_json::json!({"Fn::GetAtt": ["ItemsTable", "Arn"]}));
    assert!(template.document()["Conditions"]["IsCloud"]["Fn::Not"][0]["Fn::Equals"].is_array());
}

#[test]
fn globals_are_inherited_and_overridden() {
    let template = fixture("dev");
    let probe = function(&template, "ProbeFunction");
    assert_eq!((probe.timeout_s, probe.memory_mb), (5, 256), "own timeout, inherited memory");
    let stream = function(&template, "StreamFunction");
    assert_eq!(stream.timeout_s, 20);
    assert_eq!(stream.url, Some(InvokeMode::ResponseStream));
    assert_eq!(probe.url, None);
}

#[test]
fn conditions_choose_values_and_resources() {
    assert_eq!(function(&fixture("dev"), "StreamFunction").reserved_concurrency, None);
    assert_eq!(function(&fixture("prod"), "StreamFunction").reserved_concurrency, Some(50));
    let ids =
        |stage| fixture(stage).functions().unwrap().into_iter().map(|f| f.logical_id).collect::<Vec<_>>();
    assert!(!ids("dev").contains(&"CloudOnlyFunction".to_owned()));
    assert!(ids("prod").contains(&"CloudOnlyFunction".to_owned()));
}

#[test]
fn binaries_follow_metadata_then_folder_then_id() {
    let template = fixture("prod");
    assert_eq!(function(&template, "ProbeFunction").binary, "probe");
    assert_eq!(function(&template, "StreamFunction").binary, "sequent-stream-function");
    assert_eq!(function(&template, "CloudOnlyFunction").binary, "sequent-cloud-only-function");
}

#[test]
fn http_routes_are_read() {
    let sources = function(&fixture("dev"), "ProbeFunction").sources;
    assert!(sources.contains(&Source::HttpApi { method: "GET".into(), path: "/api/items/{id}".into() }));
    assert!(sources.contains(&Source::HttpApi { method: "ANY".into(), path: "/api/echo/{proxy+}".into() }));
    assert!(sources.contains(&Source::Other("SQS".into())));
}

#[test]
fn schedules_at_a_rate_are_read() {
    let source = |schedule: &str| {
        let text = format!(
            "Resources: {{ F: {{ Type: AWS::Serverless::Function, Properties: {{ Events: {{ E: {{ Type: Schedule, \
             Properties: {{ Schedule: {schedule}, Input: '{{}}' }} }} }} }} }} }}"
        );
        function(&Template::parse(&text, &BTreeMap::new()).unwrap(), "F").sources.remove(0)
    };
    for (rate, seconds) in [("rate(1 minute)", 60), ("rate(2 hours)", 7200), ("rate(1 day)", 86_400)] {
        let every = std::time::Duration::from_secs(seconds);
        assert_eq!(source(rate), Source::Schedule { every, input: Some("{}".into()) });
    }
    assert_eq!(source("cron(0 12 * * ? *)"), Source::Other("Schedule".into()));
}

#[test]
fn origins_lead_to_the_resources_they_name() {
    // Read although the distribution itself is not deployed in dev.
    let distribution = fixture("dev").distribution();
    let stream = Target::FunctionUrl("StreamFunction".into());
    assert_eq!(distribution.behavior("/api/stream/numbers").target, stream);
    assert_eq!(distribution.behavior("/api/runs/run_1/events").target, stream);
    assert_eq!(distribution.behavior("/api/runs/run_1").target, Target::HttpApi);
    assert_eq!(distribution.behavior("/index.html").target, Target::Elsewhere("site".into()));
}

#[test]
fn without_a_distribution_everything_is_the_http_api() {
    let template = Template::parse("Resources: {}", &BTreeMap::new()).unwrap();
    assert_eq!(template.distribution().behavior("/anything").target, Target::HttpApi);
}

#[test]
fn a_bad_template_is_named() {
    assert!(matches!(Template::parse("Resources: [", &BTreeMap::new()), Err(Error::Yaml(_))));
    assert!(matches!(Template::parse("{}", &BTreeMap::new()), Err(Error::Shape(_))));
    let text = "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {Timeout: soon}}}";
    let error = Template::parse(text, &BTreeMap::new()).unwrap().functions().unwrap_err();
    assert!(error.to_string().contains("F: Timeout"), "{error}");
}
