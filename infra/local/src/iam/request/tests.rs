//! Needs of requests, in the form `action resource circumstances`.

use http::Request;
use serde_json::{Value, json};

use super::*;
use crate::template::Template;

fn world() -> World {
    let document = json!({"Resources": {"Main": {"Type": "AWS::DynamoDB::Table", "Properties": {
        "KeySchema": [{"AttributeName": "sk", "KeyType": "RANGE"}, {"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [{"IndexName": "gsi1", "KeySchema": [{"AttributeName": "gsi1pk", "KeyType": "HASH"}]}],
    }}}});
    let template = Template::parse(&document.to_string(), &BTreeMap::new()).unwrap();
    let ids = BTreeMap::from([("Main".to_owned(), "main".to_owned())]);
    World::new(Resources { template: &template, ids: &ids, region: "us-east-1" })
}

fn shown(needs: Result<Vec<Need>, Unknown>) -> Vec<String> {
    let needs = needs.unwrap_or_else(|unknown| panic!("{unknown:?}"));
    let line = |need: &Need| {
        let mut line = format!("{} {}", need.action, need.resource.rsplit("000000000000:").next().unwrap());
        let told = need.circumstances.iter().filter(|(key, _)| **key != SECURE_TRANSPORT);
        told.for_each(|(key, values)| line += &format!(" {key}={}", values.join(",")));
        line
    };
    needs.iter().map(line).collect()
}

fn dynamodb(operation: &str, body: &Value) -> Vec<String> {
    let request = Request::post("/").header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    shown(world().needs("dynamodb", &parts, &Bytes::from(body.to_string())))
}

fn s3(method: &str, path: &str, header: Option<(&str, &str)>) -> Result<Vec<Need>, Unknown> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    world().needs("s3", &parts, &Bytes::new())
}

#[test]
fn an_item_needs_its_operation_on_its_table() {
    let key = json!({"pk": {"S": "ten_1#jobs"}, "sk": {"S": "a"}});
    let read = dynamodb("GetItem", &json!({"TableName": "main", "Key": key}));
    assert_eq!(read, ["dynamodb:GetItem table/main dynamodb:leadingkeys=ten_1#jobs"]);
    let put = dynamodb("PutItem", &json!({"TableName": "main", "Item": key}));
    assert_eq!(put, ["dynamodb:PutItem table/main dynamodb:leadingkeys=ten_1#jobs"]);
}

#[test]
fn a_query_needs_the_index_and_the_partition_that_it_reads() {
    let query = |index: Value, condition: &str| {
        let names = json!({"#pk": "pk", "#one": "gsi1pk"});
        let values = json!({":pk": {"S": "p"}, ":other": {"S": "o"}});
        dynamodb(
            "Query",
            &json!({
                "TableName": "main", "IndexName": index, "KeyConditionExpression": condition,
                "ExpressionAttributeNames": names, "ExpressionAttributeValues": values,
            }),
        )
    };
    for condition in ["#pk = :pk", "pk=:pk", "sk > :other AND (#pk = :pk)", "#pk = :pk AND sk = :other"] {
        assert_eq!(
            query(Value::Null, condition),
            ["dynamodb:Query table/main dynamodb:leadingkeys=p"],
            "{condition}"
        );
    }
    let expected = ["dynamodb:Query table/main/index/gsi1 dynamodb:leadingkeys=p"];
    assert_eq!(query(json!("gsi1"), "#one = :pk"), expected);
    assert_eq!(dynamodb("Scan", &json!({"TableName": "main"})), ["dynamodb:Scan table/main"]);
}

#[test]
fn a_transaction_needs_the_permission_of_each_part() {
    let key = json!({"pk": {"S": "p"}, "sk": {"S": "a"}});
    let on = |field: &str| json!({"TableName": "main", field: key});
    let parts = json!([
        {"Put": on("Item")}, {"Update": on("Key")}, {"Delete": on("Key")}, {"ConditionCheck": on("Key")},
    ]);
    let needs = dynamodb("TransactWriteItems", &json!({"TransactItems": parts}));
    let expected = ["PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"].map(|action| {
        format!("dynamodb:{action} table/main dynamodb:enclosingoperation=TransactWriteItems dynamodb:leadingkeys=p")
    });
    assert_eq!(needs, expected);
}

#[test]
fn a_batch_needs_its_own_permission_for_each_table_with_all_keys() {
    let keys = ["a", "b"].map(|pk| json!({"pk": {"S": pk}}));
    let read = dynamodb("BatchGetItem", &json!({"RequestItems": {"main": {"Keys": keys}}}));
    assert_eq!(read, ["dynamodb:BatchGetItem table/main dynamodb:leadingkeys=a,b"]);
    let [put, delete] = keys;
    let writes = json!([{"PutRequest": {"Item": put}}, {"DeleteRequest": {"Key": delete}}]);
    let write = dynamodb("BatchWriteItem", &json!({"RequestItems": {"main": writes}}));
    assert_eq!(write, ["dynamodb:BatchWriteItem table/main dynamodb:leadingkeys=a,b"]);
}

#[test]
fn an_object_needs_what_its_method_and_version_say() {
    for (method, path, expected) in [
        ("GET", "/b/a%20b/c+d", "s3:GetObject arn:aws:s3:::b/a b/c+d"),
        ("HEAD", "/b/k", "s3:GetObject arn:aws:s3:::b/k"),
        ("GET", "/b/k?versionId=1", "s3:GetObjectVersion arn:aws:s3:::b/k"),
        ("PUT", "/b/k", "s3:PutObject arn:aws:s3:::b/k s3:objectcreationoperation=true"),
        (
            "PUT",
            "/b/k?partNumber=1&uploadId=u",
            "s3:PutObject arn:aws:s3:::b/k s3:objectcreationoperation=false",
        ),
        ("DELETE", "/b/k", "s3:DeleteObject arn:aws:s3:::b/k"),
        ("DELETE", "/b/k?versionId=1", "s3:DeleteObjectVersion arn:aws:s3:::b/k"),
        ("GET", "/b?list-type=2&prefix=ten_1/", "s3:ListBucket arn:aws:s3:::b s3:prefix=ten_1/"),
        ("GET", "/b?versions", "s3:ListBucketVersions arn:aws:s3:::b"),
        ("HEAD", "/b", "s3:ListBucket arn:aws:s3:::b"),
    ] {
        assert_eq!(shown(s3(method, path, None)), [expected], "{method} {path}");
    }
    let put = shown(s3("PUT", "/b/k", Some(("if-none-match", "*"))));
    assert_eq!(put, ["s3:PutObject arn:aws:s3:::b/k s3:if-none-match=* s3:objectcreationoperation=true"]);
    assert!(s3("PUT", "/b/k", Some(("x-amz-copy-source", "/b/other"))).is_err());
    assert!(s3("GET", "/b/k?tagging", None).is_err());
    assert!(s3("PUT", "/b", None).is_err());
}

#[test]
fn other_services_name_their_operation_in_a_header_a_form_or_the_path() {
    let ask = |service: &str, target: &str, path: &str, body: &str| {
        let (parts, ()) = Request::post(path).header("x-amz-target", target).body(()).unwrap().into_parts();
        world().needs(service, &parts, &Bytes::from(body.to_owned()))
    };
    let queue = r#"{"QueueUrl": "http://x/000000000000/runs"}"#;
    assert_eq!(shown(ask("sqs", "AmazonSQS.SendMessageBatch", "/", queue)), ["sqs:SendMessage runs"]);
    let secret = r#"{"SecretId": "app"}"#;
    let read = ask("secretsmanager", "secretsmanager.GetSecretValue", "/", secret);
    assert_eq!(shown(read), ["secretsmanager:GetSecretValue secret:app-??????"]);
    let parameter = ask("ssm", "AmazonSSM.GetParameter", "/", r#"{"Name": "/a/b:3"}"#);
    assert_eq!(shown(parameter), ["ssm:GetParameter parameter/a/b"]);
    let publish = "Action=Publish&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3Atopic";
    assert_eq!(shown(ask("sns", "", "/", publish)), ["sns:Publish topic"]);
    let invoke = ask("lambda", "", "/2015-03-31/functions/f/invocations", "{}");
    assert_eq!(shown(invoke), ["lambda:InvokeFunction function:f"]);
    let mail = r#"{"FromEmailAddress": "Sequent <no-reply@Example.com>"}"#;
    let mail = shown(ask("ses", "", "/v2/email/outbound-emails", mail));
    assert_eq!(mail, ["ses:SendEmail identity/example.com ses:fromaddress=no-reply@Example.com"]);
    assert_eq!(shown(ask("sts", "", "/", "Action=GetCallerIdentity")), [""; 0]);
    for (service, target, body) in [
        ("dynamodb", "DynamoDB_20120810.ListTables", "{}"),
        ("sqs", "AmazonSQS.PurgeQueue", queue),
        ("iam", "", "Action=ListUsers"),
    ] {
        assert!(ask(service, target, "/", body).is_err(), "{service} {target}");
    }
}

#[test]
fn the_caller_is_read_from_the_header_or_the_link() {
    let scope = "AKIA1/20261130/us-east-1/s3/aws4_request";
    let header = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
    let signed = Request::get("/b/k").header("authorization", header);
    let link = Request::get(format!("/b/k?X-Amz-Credential={}", scope.replace('/', "%2F")));
    for (request, by_link) in [(signed, false), (link, true)] {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let expected = Signed { key_id: "AKIA1".to_owned(), service: "s3".to_owned(), by_link };
        assert_eq!(Signed::of(&parts), Some(expected));
    }
    let (parts, ()) = Request::get("/b/k").body(()).unwrap().into_parts();
    assert_eq!(Signed::of(&parts), None);
}

#[test]
fn a_profile_of_bedrock_is_needed_beside_its_model() {
    let needs = |path: &str| {
        let (parts, ()) = Request::post(path).body(()).unwrap().into_parts();
        world().needs("bedrock", &parts, &Bytes::new())
    };
    let model = needs("/model/amazon.nova-pro-v1%3A0/converse-stream");
    let action = "bedrock:InvokeModelWithResponseStream";
    let model_arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0";
    assert_eq!(shown(model), [format!("{action} {model_arn}")]);
    let profile = shown(needs("/model/eu.amazon.nova-pro-v1%3A0/converse-stream"));
    assert_eq!(profile[0], format!("{action} inference-profile/eu.amazon.nova-pro-v1:0"));
    let through = "bedrock:inferenceprofilearn=arn:aws:bedrock:us-east-1:000000000000:inference-profile/eu.amazon.nova-pro-v1:0";
    assert!(profile[1].contains("::foundation-model/amazon.nova-pro-v1:0") && profile[1].ends_with(through));
    let whole = shown(needs("/model/meta.llama3-3-70b-instruct-v1%3A0/converse"));
    assert!(whole[0].starts_with("bedrock:InvokeModel arn:aws:bedrock:"), "{whole:?}");
    assert!(needs("/model/amazon.nova-pro-v1%3A0/invoke").is_err(), "no function sends it");
}
