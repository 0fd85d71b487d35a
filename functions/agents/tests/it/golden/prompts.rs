//! Prompts and their versions.

use super::Bench;

#[tokio::test]
async fn prompts_are_listed_and_read() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("list-prompts").await, @r#"
    200 application/json
    {
      "items": [
        {
          "name": "house-style",
          "latest_version": 2,
          "labels": {
            "production": 1
          },
          "user_id": "usr_1",
          "created_at": "[time]",
          "updated_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("get-prompt").await, @r#"
    200 application/json
    {
      "name": "house-style",
      "latest_version": 2,
      "labels": {
        "production": 1
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("get-prompt-unknown").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#prompt_not_found",
      "title": "Not Found",
      "status": 404,
      "code": "prompt_not_found",
      "detail": "There is no prompt with this name.",
      "instance": "[redacted]"
    }
    "#);
}

#[tokio::test]
async fn a_prompt_is_created() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("create-prompt").await, @r#"
    201 application/json
    {
      "name": "greeting",
      "latest_version": 1,
      "labels": {},
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("create-prompt-include").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#template_invalid",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "template_invalid",
      "detail": "The template is not allowed.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/template",
          "detail": "must not include another prompt"
        }
      ],
      "line": 2
    }
    "##);
}

#[tokio::test]
async fn versions_of_a_prompt_are_listed_read_compared_and_added() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("list-prompt-versions").await, @r#"
    200 application/json
    {
      "items": [
        {
          "version": 2,
          "change": "Exact answers.",
          "user_id": "usr_1",
          "created_at": "[time]"
        },
        {
          "version": 1,
          "change": null,
          "user_id": "usr_1",
          "created_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("get-prompt-version").await, @r#"
    200 application/json
    {
      "version": 1,
      "change": null,
      "user_id": "usr_1",
      "created_at": "[time]",
      "template": "Be kind.\nBe brief.",
      "variables": []
    }
    "#);
    insta::assert_snapshot!(bench.answer("diff").await, @r#"
    200 application/json
    {
      "from": 1,
      "to": 2,
      "lines": [
        {
          "change": "same",
          "text": "Be kind."
        },
        {
          "change": "removed",
          "text": "Be brief."
        },
        {
          "change": "added",
          "text": "Be exact, {{ user_name }}."
        }
      ]
    }
    "#);
    insta::assert_snapshot!(bench.answer("set-prompt-label").await, @r#"
    200 application/json
    {
      "name": "house-style",
      "latest_version": 2,
      "labels": {
        "production": 2
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("add-prompt-version").await, @r#"
    201 application/json
    {
      "name": "house-style",
      "latest_version": 3,
      "labels": {
        "production": 2
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
}
