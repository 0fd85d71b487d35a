//! Decisions over whole templates.

use serde_json::{Value, json};

use super::Error;
use super::condition::{IF_NONE_MATCH, LEADING_KEYS, OBJECT_CREATION, PROFILE};
use super::request::Need;
use super::roles::{Reason, Roles};
use crate::template::Template;

const FUNCTION: &str = "AFunction";

/// A template with a table, a bucket, a queue, a secret, and a function with these policies.
fn template(policies: &Value, more: &Value) -> Template {
    let mut resources = json!({
        "Rows": {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}},
        "Files": {"Type": "AWS::S3::Bucket"},
        "Work": {"Type": "AWS::SQS::Queue"},
        "Key": {"Type": "AWS::SecretsManager::Secret"},
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Shared": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [
            {"Effect": "Allow", "Action": "sns:Publish", "Resource": {"Ref": "Topic"}},
        ]}}},
        FUNCTION: {"Type": "AWS::Serverless::Function", "Properties": {"Policies": policies}},
    });
    for (id, resource) in more.as_object().into_iter().flatten() {
        resources[id] = resource.clone();
    }
    Template::parse(&json!({"Resources": resources}).to_string(), &std::collections::BTreeMap::new()).unwrap()
}

fn read(policies: &Value) -> Result<Roles, Error> {
    Roles::imagined(&template(policies, &json!({})))
}

fn decide(roles: &Roles, need: &Need) -> Result<(), Reason> {
    roles.decide(roles.of(FUNCTION).unwrap(), need).map(drop)
}

const ROWS: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/Rows";

#[test]
fn golden_decisions() {
    let roles = read(&json!([
        {"Ref": "Shared"},
        {"Statement": [
            {"Effect": "Allow", "Action": ["dynamodb:Get*", "DynamoDB:query"], "Resource": {"Fn::GetAtt": ["Rows", "Arn"]}},
            {"Effect": "Allow", "Action": "dynamodb:Query", "Resource": {"Fn::Sub": "${Rows.Arn}/index/by-time"}},
            {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": {"Fn::GetAtt": ["Rows", "Arn"]},
             "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["warm", "jobs#*"]}}},
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Fn::Sub": "${Files.Arn}/open/*"}},
            {"Effect": "Allow", "Action": "sqs:*", "Resource": {"Fn::GetAtt": ["Work", "Arn"]}},
            {"Effect": "Deny", "Action": "sqs:PurgeQueue", "Resource": "*"},
            {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": {"Ref": "Key"}},
        ]},
    ]))
    .unwrap();
    let index = format!("{ROWS}/index/by-time");
    let other = format!("{ROWS}2");
    let queue = "arn:aws:sqs:us-east-1:000000000000:Work";
    let secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:Key";
    let no = Err(Reason::NotAllowed);
    for (action, resource, expected) in [
        ("dynamodb:GetItem", ROWS, Ok(())),
        ("dynamodb:GetItem", &index, no),
        ("dynamodb:GetItem", &other, no),
        ("dynamodb:Query", ROWS, Ok(())),
        ("dynamodb:Query", &index, Ok(())),
        ("dynamodb:Scan", ROWS, no),
        ("dynamodb:ListTables", "*", no),
        ("s3:GetObject", "arn:aws:s3:::Files/open/a/b", Ok(())),
        ("s3:GetObject", "arn:aws:s3:::Files/closed", no),
        ("s3:GetObjectVersion", "arn:aws:s3:::Files/open/a", no),
        ("s3:ListBucket", "arn:aws:s3:::Files", no),
        ("sqs:SendMessage", queue, Ok(())),
        ("sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:Work2", no),
        ("sqs:PurgeQueue", queue, Err(Reason::DeniedByRole)),
        ("secretsmanager:GetSecretValue", &format!("{secret}-aB3xYz"), Ok(())),
        ("secretsmanager:GetSecretValue", &format!("{secret}-??????"), Ok(())),
        ("secretsmanager:GetSecretValue", &format!("{secret}2-aB3xYz"), no),
        ("secretsmanager:PutSecretValue", &format!("{secret}-aB3xYz"), no),
        ("sns:Publish", "arn:aws:sns:us-east-1:000000000000:Topic", Ok(())),
        ("logs:PutLogEvents", "arn:aws:logs:us-east-1:000000000000:log-group:x:log-stream:y", Ok(())),
        ("xray:PutTraceSegments", "*", no),
    ] {
        assert_eq!(decide(&roles, &Need::new(action, resource)), expected, "{action} on {resource}");
    }
    for (keys, expected) in [
        (vec!["warm"], Ok(())),
        (vec!["jobs#1", "warm"], Ok(())),
        (vec!["warm", "x"], no),
        (vec!["xjobs#1"], no),
    ] {
        let mut need = Need::new("dynamodb:PutItem", ROWS);
        need.circumstances.insert(LEADING_KEYS, keys.iter().map(|key| (*key).to_owned()).collect());
        assert_eq!(decide(&roles, &need), expected, "{keys:?}");
    }
}

#[test]
fn the_policy_of_a_bucket_denies_what_a_role_allows() {
    let policy = json!({"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "Files"}, "PolicyDocument": {
        "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": {"Fn::Sub": "${Files.Arn}/*"},
             "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}},
            {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": {"Fn::GetAtt": ["Files", "Arn"]},
             "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            {"Effect": "Allow", "Principal": {"Service": "cloudfront.amazonaws.com"}, "Action": "s3:ListBucket",
             "Resource": {"Fn::GetAtt": ["Files", "Arn"]}, "Condition": {"StringEquals": {"aws:SourceArn": "x"}}},
        ],
    }}});
    let put = json!({"Statement": {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}});
    let roles = Roles::imagined(&template(&put, &json!({"FilesPolicy": policy}))).unwrap();
    let mut need = Need::new("s3:PutObject", "arn:aws:s3:::Files/a");
    need.circumstances.insert(OBJECT_CREATION, vec!["true".to_owned()]);
    assert_eq!(decide(&roles, &need), Err(Reason::DeniedByResource));
    need.circumstances.insert(IF_NONE_MATCH, vec!["*".to_owned()]);
    assert_eq!(decide(&roles, &need), Ok(()));
    let list = Need::new("s3:ListBucket", "arn:aws:s3:::Files");
    assert_eq!(decide(&roles, &list), Err(Reason::NotAllowed), "a service's permission is not a function's");
}

#[test]
fn a_boundary_limits_what_a_role_allows_and_allows_nothing() {
    let boundary = json!({"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [
        {"Effect": "Allow", "NotAction": ["sqs:*", "lambda:*"], "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
    ]}}});
    let policies = json!({"Statement": {"Effect": "Allow", "Action": ["sqs:*", "s3:*"], "Resource": "*"}});
    let mut function = json!({"Type": "AWS::Serverless::Function", "Properties": {"Policies": policies}});
    function["Properties"]["PermissionsBoundary"] = json!({"Ref": "Boundary"});
    let more = json!({"Boundary": boundary, FUNCTION: function});
    let roles = Roles::imagined(&template(&json!([]), &more)).unwrap();
    for (action, expected) in [
        ("s3:GetObject", Ok(())),
        ("s3:DeleteObject", Err(Reason::DeniedByRole)),
        ("sqs:SendMessage", Err(Reason::OutsideBoundary)),
        ("dynamodb:GetItem", Err(Reason::NotAllowed)),
    ] {
        assert_eq!(decide(&roles, &Need::new(action, ROWS)), expected, "{action}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let statement = |fields: Value| json!({"Statement": [fields]});
    for policies in [
        json!({"DynamoDBCrudPolicy": {"TableName": {"Ref": "Rows"}}}),
        json!("AmazonDynamoDBFullAccess"),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "NotResource": "*"})),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "NotAction": "s3:*", "Resource": "*"})),
        statement(json!({"Effect": "Maybe", "Action": "s3:*", "Resource": "*"})),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "Resource": "Files"})),
        statement(
            json!({"Effect": "Allow", "Action": "s3:*", "Resource": {"Fn::GetAtt": ["Files", "DomainName"]}}),
        ),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "Resource": {"Ref": "Nothing"}})),
        statement(json!({"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::x/${aws:userid}"})),
        statement(
            json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "::"}}}),
        ),
    ] {
        let refused = read(&policies).unwrap_err();
        assert!(
            matches!(&refused, Error::Policy { resource, .. } if resource == FUNCTION),
            "{policies}: {refused}"
        );
    }
    let role = json!({"ARole": {"Type": "AWS::IAM::Role"}});
    assert!(Roles::imagined(&template(&json!([]), &role)).is_err());
}

/// An evaluator that knows no wildcards, over policies without any.
fn defined(statements: &[(bool, usize, usize)], action: usize, resource: usize) -> Result<(), Reason> {
    let matched: Vec<bool> = statements
        .iter()
        .filter(|(_, a, r)| (*a, *r) == (action, resource))
        .map(|(denies, _, _)| *denies)
        .collect();
    match (matched.contains(&true), matched.is_empty()) {
        (true, _) => Err(Reason::DeniedByRole),
        (false, true) => Err(Reason::NotAllowed),
        (false, false) => Ok(()),
    }
}

#[test]
fn a_denial_wins_and_without_a_permission_the_answer_is_no() {
    let actions = ["s3:GetObject", "s3:PutObject", "sqs:SendMessage"];
    let resources = ["arn:aws:s3:::a/b", "arn:aws:s3:::a/bc", "arn:aws:s3:::c/d"];
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..300 {
        let count = random.usize(0..6);
        let mut draw = |_| (random.u8(..4) == 0, random.usize(..3), random.usize(..3));
        let statements: Vec<(bool, usize, usize)> = (0..count).map(&mut draw).collect();
        let written = statements.iter().map(|(denies, action, resource)| {
            let effect = if *denies { "Deny" } else { "Allow" };
            json!({"Effect": effect, "Action": [actions[*action]], "Resource": [resources[*resource]]})
        });
        let roles = read(&json!([{"Statement": written.collect::<Vec<_>>()}])).unwrap();
        for (at, action) in actions.iter().enumerate() {
            for (on, resource) in resources.iter().enumerate() {
                let need = Need::new(action, resource);
                assert_eq!(decide(&roles, &need), defined(&statements, at, on), "{need} by {statements:?}");
            }
        }
    }
}

#[test]
fn the_roles_of_the_deployment_are_understood() {
    let path = crate::Options::repository().join("template.yaml");
    for local in ["true", "false"] {
        let parameters = [("Local", local), ("Stage", "prod"), ("Billing", "on"), ("AWS::StackName", "s")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let template = Template::read(&path, &std::collections::BTreeMap::from(parameters)).unwrap();
        let roles = Roles::imagined(&template).unwrap();
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/EventsTable";
        let erases = |function: &str| {
            roles.decide(roles.of(function).unwrap(), &Need::new("dynamodb:DeleteItem", table)).is_ok()
        };
        assert!(erases("JobWorkerFunction") && !erases("ChatFunction"), "only job-worker deletes events");
    }
}

/// Returns the functions that may do one of the actions with the row of the secret.
fn users(roles: &Roles, actions: &[&str], key: Option<&str>) -> Vec<String> {
    let table = "arn:aws:dynamodb:us-east-1:000000000000:table/SecretsTable";
    let may = |function: &str, action: &str| {
        let mut need = Need::new(&format!("dynamodb:{action}"), table);
        if let Some(key) = key {
            need.circumstances.insert(LEADING_KEYS, vec![key.to_owned()]);
        }
        roles.decide(roles.of(function).unwrap(), &need).is_ok()
    };
    let functions = roles.iter().map(|role| role.function.trim_end_matches("Function"));
    functions
        .filter(|name| actions.iter().any(|action| may(&format!("{name}Function"), action)))
        .map(str::to_owned)
        .collect()
}

/// The roles of `template.yaml` with these parameters.
fn deployed(parameters: &[(&str, &str)]) -> Roles {
    let path = crate::Options::repository().join("template.yaml");
    let parameters = [("Stage", "prod"), ("AWS::StackName", "s")].iter().chain(parameters);
    let parameters = parameters.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Roles::imagined(&Template::read(&path, &parameters.collect()).unwrap()).unwrap()
}

#[test]
fn the_functions_that_call_models_may_call_those_of_bedrock_that_are_listed() {
    let list = "eu.anthropic.claude-sonnet-4-5*,amazon.nova-pro-v1:0";
    let roles = deployed(&[("BedrockModels", list)]);
    let profile = |id: &str| format!("arn:aws:bedrock:eu-west-1:000000000000:inference-profile/{id}");
    let model = |id: &str| format!("arn:aws:bedrock:eu-north-1::foundation-model/{id}");
    let may = |roles: &Roles, function: &str, resource: &str, through: Option<String>| {
        let may_do = |action: &str| {
            let mut need = Need::new(action, resource);
            need.circumstances.extend(through.iter().map(|profile| (PROFILE, vec![profile.clone()])));
            roles.decide(roles.of(function).unwrap(), &need).is_ok()
        };
        let streams = may_do("bedrock:InvokeModelWithResponseStream");
        assert_eq!(may_do("bedrock:InvokeModel"), streams);
        assert!(!may_do("bedrock:InvokeModelWithBidirectionalStream"));
        streams
    };
    let listed = profile("eu.anthropic.claude-sonnet-4-5-20250929-v1:0");
    let sonnet = model("anthropic.claude-sonnet-4-5-20250929-v1:0");
    for (resource, through, expected) in [
        (listed.clone(), None, true),
        (sonnet.clone(), Some(listed.clone()), true),
        (model("amazon.nova-pro-v1:0"), None, true),
        (profile("global.anthropic.claude-sonnet-4-5-20250929-v1:0"), None, false),
        (sonnet.clone(), None, false),
        (sonnet, Some(profile("us.anthropic.claude-sonnet-4-5-20250929-v1:0")), false),
        (model("amazon.nova-lite-v1:0"), None, false),
    ] {
        for function in ["ChatFunction", "AgentWorkerFunction", "JobWorkerFunction"] {
            assert_eq!(may(&roles, function, &resource, through.clone()), expected, "{function} {resource}");
        }
        assert!(!may(&roles, "ProjectsFunction", &resource, through.clone()), "it calls no model");
    }
    assert!(
        !may(&deployed(&[]), "ChatFunction", &listed, None),
        "Bedrock is not used unless it is asked for"
    );
}

#[test]
fn each_secret_has_the_readers_and_writers_that_need_it() {
    let roles = deployed(&[("Billing", "on")]);
    let writes = ["PutItem", "UpdateItem", "DeleteItem"];
    for (secret, readers, writers) in [
        ("signing", "Auth Scheduler", "Auth Scheduler"),
        (
            "pipeline",
            "Agents Artifacts Auth Billing Chat Evaluations Jobs Mcp Projects Runs Schedules Webhooks",
            "Auth Scheduler",
        ),
        ("sealing", "AgentWorker Agents Chat JobWorker Mcp Webhooks", "Agents Mcp Webhooks"),
        ("preview", "Artifacts Preview", "Artifacts"),
        ("admin", "Auth Billing Jobs", ""),
        ("models", "AgentWorker Chat JobWorker Projects", ""),
        ("stripe", "Billing JobWorker", ""),
        ("stripe-webhook", "StripeWebhook", ""),
        ("prompts", "JobWorker Projects", ""),
        ("traces", "JobWorker", ""),
        ("another", "", ""),
    ] {
        let key = format!("secret#{secret}");
        assert_eq!(users(&roles, &["GetItem"], Some(&key)).join(" "), readers, "readers of {secret}");
        assert_eq!(users(&roles, &writes, Some(&key)).join(" "), writers, "writers of {secret}");
    }
    // An action that names no row satisfies every condition on leading keys, so no role may do any.
    let keyless = [
        "Scan",
        "Query",
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "PartiQLSelect",
        "PartiQLUpdate",
        "PartiQLDelete",
        "CreateBackup",
        "ExportTableToPointInTime",
        "RestoreTableToPointInTime",
        "UpdateTable",
        "DeleteTable",
        "GetRecords",
    ];
    assert_eq!(users(&roles, &keyless, None), [""; 0]);
}
