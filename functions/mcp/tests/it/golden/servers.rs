//! The golden events of the routes of MCP servers and web access.

use insta::assert_snapshot;

use super::answer;

#[tokio::test]
async fn a_new_tenant_has_no_servers() {
    assert_snapshot!(answer("servers-list").await, @r#"
    200 application/json
    {
      "items": []
    }
    "#);
}

#[tokio::test]
async fn a_server_in_a_private_network_is_refused() {
    assert_snapshot!(answer("servers-create-private").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The address of the MCP server is not allowed.",
      "instance": "req_1",
      "errors": [
        {
          "pointer": "#/url",
          "detail": "the address is not on the public internet"
        }
      ]
    }
    "##);
}

#[tokio::test]
async fn a_token_is_not_sent_in_clear_text() {
    assert_snapshot!(answer("servers-create-token-in-clear").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The address of the MCP server is not allowed.",
      "instance": "req_1",
      "errors": [
        {
          "pointer": "#/url",
          "detail": "must be https if a token is sent"
        }
      ]
    }
    "##);
}

#[tokio::test]
async fn an_unknown_server_can_neither_be_inspected_nor_have_tools_accepted() {
    let missing = answer("servers-get").await;
    assert_eq!(answer("servers-accept").await, missing);
    assert!(missing.contains("There is no MCP server with this name."), "{missing}");
}

#[tokio::test]
async fn a_sign_in_to_an_unknown_server_is_neither_begun_nor_finished() {
    let missing = answer("servers-authorize").await;
    assert_eq!(answer("servers-authorize-finish").await, missing);
    assert!(missing.contains("There is no MCP server with this name."), "{missing}");
}

#[tokio::test]
async fn a_new_tenant_lets_its_agents_read_what_the_deployment_allows() {
    assert_snapshot!(answer("web-fetch-get").await, @r#"
    200 application/json
    {
      "mode": "on",
      "hosts": []
    }
    "#);
}

#[tokio::test]
async fn a_tenant_limits_the_hosts_that_its_agents_read() {
    assert_snapshot!(answer("web-fetch-set").await, @r#"
    200 application/json
    {
      "mode": "allowlist",
      "hosts": [
        "example.com",
        "*.example.org"
      ]
    }
    "#);
}

#[tokio::test]
async fn an_unknown_server_is_not_found() {
    assert_snapshot!(answer("servers-delete").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is no MCP server with this name.",
      "instance": "req_1"
    }
    "#);
}
